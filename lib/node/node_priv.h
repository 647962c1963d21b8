/*
 * What the files of lib/node share.  Who writes what:
 *   node.c      life, configuration, timer, turn        origin.c    one origin's log and its caches
 *   state.c     STATE encode/decode, replay             audience.c  chains, directs, entitlement
 *   publish.c   submit, chain, sign                     checkpoint.c own checkpoints, by a second path
 *   community.c statements of others                    steward.c   statements of our own
 *   reader.c    fan-out by event                     lines.c     events as lines
 *   disclosure.c who was given what                  chunk.c     lines made once for all readers alike
 *   info.c      what status shows                   export.c    one record, for a file
 *   session.c   connections, HELLO, FSM, keepalive      sync.c      what to fetch from whom, credit, ACK
 *   ingest.c    leaves and records that come in         serve.c     answering fetches
 *
 * Two kinds of sizes are kept apart throughout: what was *put* into the
 * journal (the logical state, which STATE encodes and the next put builds on)
 * and what is *durable*.  Only what is durable is shown, served or acknowledged.
 */
#ifndef NODE_NODE_PRIV_H
#define NODE_NODE_PRIV_H

#include <noroshi/plant.h>

#include "base/map.h"
#include "base/queue.h"
#include "crypto/digest.h"
#include "journal/array.h"
#include "journal/journal.h"
#include "node/node.h"
#include "record/manifest.h"
#include "record/record.h"
#include "record/statement.h"
#include "tlog/checkpoint.h"
#include "tlog/tree.h"

struct peer;
struct session;
struct origin;
struct audience;
struct community;

/* A manifest in force from a place of the log on. */
struct origin_manifest {
	struct nrs_manifest m;
	uint64_t
	    index; /* of its control entry; NRS_NONE: not in the log yet (number 0 only) */
	uint8_t *note;
	size_t note_len;
};

/* One origin: our own, or that of a peer. Stays when the peer is removed. */
struct origin {
	TAILQ_ENTRY(origin) link;
	struct node *node;
	char name[NRS_ORIGIN_MAX + 1];
	struct nrs_hash id;
	bool own;
	bool frozen;
	struct origin_manifest *manifests;
	unsigned int nmanifests;

	struct nrs_frontier put; /* logical */
	uint64_t durable;	 /* leaves durable */
	uint8_t *cp_note;	 /* newest verified checkpoint put; owned */
	size_t cp_len;
	struct nrs_checkpoint cp; /* cp.size <= put.size */
	uint8_t *shown_note;	  /* newest durable checkpoint: served, shown; owned */
	size_t shown_len;
	struct nrs_checkpoint shown;
	uint64_t opened, refused; /* logical */
	uint64_t on_checkpoint; /* of opened, without a look at their signatures; logical */
	uint64_t kept; /* logical: bytes besides leaves (FORMAT-journal.md, section 5) */

	struct nrs_array
	    *pos; /* u64 per leaf: position of RECORD, REFUSED, CONTROL or LEAVES frame */
	struct nrs_array *level[NRS_TILE_LEVELS];
	struct nrs_tile_store store; /* over level[] */

	TAILQ_HEAD(, audience)
	audiences; /* of which this origin's records are known here */
	struct nrs_map *audience_by_id;

	TAILQ_ENTRY(origin) dirty_link; /* node.c: put and not marked yet */
	bool dirty;
	bool cp_dirty;

	/* sync.c: where its leaves come from */
	struct session *source;
	uint16_t source_stream;
	struct peer *peer; /* the peer that is this origin; NULL: own or removed */
	void *sync_priv;
};

/* Records of one origin for one audience: a chain. */
struct audience {
	TAILQ_ENTRY(audience) link;
	struct origin *origin;
	struct nrs_hash id;
	uint8_t type;		     /* AUD_COMMUNITY, AUD_DIRECT */
	struct community *community; /* by id; NULL while unknown here, or direct */
	struct nrs_direct direct;    /* type direct, once its list is known */
	bool direct_known;
	uint64_t next;			  /* seq expected next; logical. 0: none held */
	struct nrs_hash head;		  /* link of the record next - 1; zeros */
	uint32_t epoch;			  /* of that record */
	uint64_t durable;		  /* seqs below are durable */
	uint64_t newest_index;		  /* index of the record next - 1; NRS_NONE */
	uint64_t base;			  /* first seq held */
	struct nrs_array *index;	  /* u64 per seq: log index + 1; 0 = not held */
	TAILQ_ENTRY(audience) dirty_link; /* node.c: put and not marked yet */
	bool dirty;
	void *sync_priv;
};
enum { AUD_COMMUNITY = 0, AUD_DIRECT = 1 };

struct community {
	TAILQ_ENTRY(community) link;
	struct nrs_hash id;
	char name[NRS_NAME_MAX + 1];
	bool trusted; /* accepted by the operator */
	bool frozen;  /* rival successors seen */
	unsigned int n;
	struct community_epoch {
		struct nrs_statement s;
		uint8_t *note;
		size_t note_len;
	} * v;		/* v[i].s.epoch == i */
	uint8_t *rival; /* frozen: the statement that contradicts v[]; evidence */
	size_t rival_len;
	unsigned int shown;   /* epochs that are durable: what peers are told (session.c) */
	unsigned int pending; /* likewise, once the wait in flight ends (session.c) */
};

/*
 * What a peer said is durable there (ACK): one for the leaves of an origin
 * (audience zeros; size), one for each audience (next).  Kept beyond sessions.
 */
struct peer_ack {
	TAILQ_ENTRY(peer_ack) link;
	struct nrs_hash origin;
	struct nrs_hash audience; /* zeros: the leaves */
	uint64_t size;
	uint64_t next; /* seqs below are durable there */
	struct nrs_mono
	    since; /* when it fell behind what is durable here; ns 0: it has all */
};

/* A peer as configured, and what is known of it beyond one session. */
struct peer {
	TAILQ_ENTRY(peer) link;
	struct node *node;
	struct origin *origin;
	char name[NRS_ORIGIN_MAX + 1];
	char **communities;
	unsigned int ncommunities;
	bool suspended;
	uint8_t ceiling;
	uint64_t records_per_s, bytes_per_day, leaves_per_day, disk_share;
	bool catch_up; /* of the origin: a backlog is accepted on its checkpoint */
	struct session *session;    /* the one that is up or coming up; NULL */
	struct node_peer_info info; /* counters and the last session's facts */
	char why[128];
	/* session.c */
	uint32_t backoff_ms;
	struct nrs_mono redial_at; /* ns 0: not waiting */
	bool dialing;
	void *session_priv;
	TAILQ_HEAD(, peer_ack) acks; /* sync.c; session_peer_fini() frees them */
};

/* What a subscriber line needs of a decoded record: a small cache, newest first. */
struct reader_cache;

struct node {
	struct nrs_env *env;
	struct nrs_journal *journal;
	struct nrs_digest *dg; /* the engine thread's */
	char name[NRS_ORIGIN_MAX + 1];
	struct nrs_hash id;
	struct origin *own;
	TAILQ_HEAD(, origin) origins;
	TAILQ_HEAD(communities, community) communities;
	TAILQ_HEAD(, peer) peers;
	struct nrs_map *origin_by_id;
	struct nrs_map *conns; /* nrs_conn (8 bytes) -> struct session */
	uint64_t segment_bytes;
	uint32_t window;
	uint64_t catch_up_min;
	bool draining;
	bool replaying;
	bool full;
	bool failed;
	char failed_why[160];
	bool real_time_off;

	size_t statement_bytes; /* of all statements held: bounded, STATE has them */
	size_t direct_bytes;	/* of all lists held: bounded */
	bool rebuild;		/* caches are missing or short: read everything again */
	uint64_t cache_sets;	/* since the caches were flushed last */
	struct origin_move {
		struct origin *o;
		uint64_t index;
		uint64_t pos;
	} * moves; /* by origin_set_pos(), not durable yet; in order of pos */
	size_t nmoves, moves_cap, moves_done;

	uint64_t next_event;	  /* logical: number of the next event, from 1 */
	uint64_t event_ms;	  /* time of the newest event: they never go back */
	uint64_t shown_event;	  /* newest durable event: what readers may see */
	struct nrs_array *events; /* u64 per event (element number - 1): position */
	TAILQ_HEAD(node_readers, node_reader)
	readers;			   /* they know that there may be more */
	struct node_readers idle_readers;  /* owed a wake */
	struct node_readers woken_readers; /* being called */
	struct reader_cache *cache;

	struct node_counts counts;
	uint64_t refusals[128]; /* by wire code */

	struct publish *publish;	   /* publish.c */
	struct sessions *sessions;	   /* session.c */
	struct serve *serve;		   /* serve.c */
	struct sync *sync;		   /* sync.c */
	struct steward *steward;	   /* steward.c */
	struct checkpointer *checkpointer; /* checkpoint.c */
	struct ingest *ingest;		   /* ingest.c */
	LIST_HEAD(, node_carry) carries;   /* carry_out.c: files being written */
	struct node_import *import;	   /* carry_in.c: the file being read; NULL */

	struct disclosures *disclosures; /* disclosure.c */

	/* One waiter covers all that was put in a turn: what becomes durable with it. */
	struct durable *durable; /* node.c */
	struct nrs_mono next_wake;
};

/* --- node.c ----------------------------------------------------------- */

/* One line for the operator. subject: "peer us.cert.example", "journal", ... */
void node_log(struct node *n, enum nrs_level lvl, const char *subject, const char *fmt, ...)
    NRS_PRINTF(4, 5);
/* Ask for node_on_timer() not later than t. */
void node_wake_at(struct node *n, struct nrs_mono t);
/*
 * After putting frames: node_put_done() marks what was put in this turn; when
 * it is durable node.c advances origin.durable, shown checkpoints,
 * audience.durable and shown_event to what they were at that moment, in order,
 * and then calls serve_on_durable, sync_on_durable, publish_on_durable, reader_on_durable.
 */
void node_put_done(struct node *n);
/*
 * Calls done(arg) once all that was put so far is durable and the hooks have
 * run. Owned by the caller until then; dropped without a call by node_free().
 */
struct node_wait {
	TAILQ_ENTRY(node_wait) link;
	void (*done)(void *arg);
	void *arg;
};
void node_when_durable(struct node *n, struct node_wait *w);
/* It is forgotten, if it still waits. */
void node_wait_cancel(struct node *n, struct node_wait *w);
/* What apply functions tell the ledger. */
void node_touch_origin(struct origin *o);
void node_touch_audience(struct audience *a);
/* Broken for good: acknowledge nothing more. why is shown to the operator. */
void node_fail(struct node *n, const char *fmt, ...) NRS_PRINTF(2, 3);
/* Room for more input? (journal pending below NRS_BATCH_BYTES, not full, not failed) */
bool node_room(const struct node *n);
void node_count_refusal(struct node *n, int err);

/* --- origin.c --------------------------------------------------------- */

struct origin *origin_find(const struct node *n, const struct nrs_hash *id); /* or NULL */
struct origin *origin_find_name(const struct node *n, const char *name);
/* Finds or makes it; note: manifest 0 (verified here). NRS_EORIGIN, NRS_EEXISTS (another manifest 0). */
int origin_add(struct node *n, const uint8_t *note, size_t len, struct origin **ret,
    struct nrs_detail *d) NRS_MUST_CHECK;
/* The manifest in force for records at index / for checkpoints of size. NULL: none. */
const struct nrs_manifest *origin_manifest_at(const struct origin *o, uint64_t index);
const struct nrs_manifest *origin_manifest_for_size(const struct origin *o, uint64_t size);
/*
 * Logical changes, shared by live code and replay: they change memory and
 * caches and put nothing into the journal.
 */
int origin_apply_leaf(
    struct origin *o, const struct nrs_hash *leaf, uint64_t pos) NRS_MUST_CHECK;
int origin_apply_control(struct origin *o, uint64_t index, const uint8_t *doc, size_t len,
    uint64_t pos) NRS_MUST_CHECK;
/*
 * Is this the manifest 0 by which the origin is known here (NRS_EORIGIN)?  The
 * text alone says: lines of other signatures may have been added on the way.
 */
int origin_check_first(
    const struct origin *o, const uint8_t *doc, size_t len) NRS_MUST_CHECK;
/* By its first line: does this control document mean to be a manifest? */
bool origin_is_manifest(const uint8_t *doc, size_t len);
/* The caller has verified its signature; size is at most put.size. */
int origin_apply_checkpoint(
    struct origin *o, const uint8_t *note, size_t len) NRS_MUST_CHECK;
/* A record of it was journalled in a frame with a body of len: counts against its share. */
void origin_kept_record(struct origin *o, size_t len);
/* Bytes on the disk of what is kept of it, caches included. */
uint64_t origin_disk(const struct origin *o);
/* Leaf hash / position of an index below put.size. */
int origin_leaf(struct origin *o, uint64_t index, struct nrs_hash *ret) NRS_MUST_CHECK;
int origin_pos(struct origin *o, uint64_t index, uint64_t *ret) NRS_MUST_CHECK;
/*
 * The frame at index was stored again, elsewhere (a leaf that was opened).
 * origin_pos() tells the new place once it is durable.
 */
int origin_set_pos(struct origin *o, uint64_t index, uint64_t pos) NRS_MUST_CHECK;
/* Places that changed and have become durable since go into the caches. */
int origin_moves_apply(struct node *n) NRS_MUST_CHECK;
/* Writes one element of a cache of this node. */
int node_cache_set(
    struct node *n, struct nrs_array *a, uint64_t i, const void *elem) NRS_MUST_CHECK;
/*
 * Is the page of a cache around element i whole?  A power failure may have
 * zeroed sectors of a page that was being written again (NRS_ECORRUPT).
 */
int node_cache_check(struct nrs_array *a, size_t esize, uint64_t i) NRS_MUST_CHECK;
/* For state.c: an origin with its own caches of these sizes; nothing is put. */
int origin_new(struct node *n, const char *name, struct origin **ret) NRS_MUST_CHECK;
int origin_open_caches(struct origin *o) NRS_MUST_CHECK;
/* verify: the root's signature is checked; index as in struct origin_manifest. */
int origin_push_manifest(struct origin *o, const uint8_t *note, size_t len, uint64_t index,
    struct nrs_detail *d) NRS_MUST_CHECK;
void origin_free(struct origin *o);

/* --- audience.c ------------------------------------------------------- */

struct community *community_find(const struct node *n, const struct nrs_hash *id);
struct community *community_find_name(
    const struct node *n, const char *name); /* trusted first */
struct audience *audience_find(const struct origin *o, const struct nrs_hash *id);
/* Makes the (origin, audience) chain if it is not known. */
int audience_add(struct origin *o, const struct nrs_hash *id, uint8_t type,
    struct audience **ret) NRS_MUST_CHECK;
/* Is this origin a member at epoch? (epoch beyond what is held: false) */
bool community_member_at(const struct community *c, uint32_t epoch, const char *origin);
uint32_t community_epoch(const struct community *c); /* newest */
/*
 * Entitled to this record, by membership and by what is configured for the
 * peer (communities, ceiling)?  0, NRS_EMEMBER, NRS_ECEILING, NRS_EEPOCH,
 * NRS_EUNKNOWN.  For ourselves as receiver: peer NULL.
 */
int audience_entitled(struct node *n, const struct audience *a, const struct nrs_header *h,
    const struct peer *p) NRS_MUST_CHECK;
/* Might this peer be entitled to anything in it (for HAVE and FETCH)? */
bool audience_shared(struct node *n, const struct audience *a, const struct peer *p);
/*
 * One past the last durable record that the membership lets this peer have; 0:
 * none.  What a newcomer was not a member for is neither offered to it nor
 * counted as lagging.
 */
uint64_t audience_reach(struct node *n, const struct audience *a, const struct peer *p);
/* A statement that came from a peer or the operator: parse, verify, follow, put STATEMENT, apply.
 * 0 adopted; 1 known already or pending (kept); errors. */
int community_take(struct node *n, const uint8_t *note, size_t len, bool trusted,
    struct nrs_detail *d) NRS_MUST_CHECK;
int community_apply(
    struct node *n, const uint8_t *note, size_t len, bool trusted) NRS_MUST_CHECK;
/* For state.c: evidence of a rival statement, as kept. */
int community_set_rival(
    struct community *c, const uint8_t *note, size_t len) NRS_MUST_CHECK;
void community_free(struct community *c);
/* Opens the cache with a->next elements believed; made once. */
int audience_open_cache(struct audience *a) NRS_MUST_CHECK;
void audience_free(struct audience *a);
/*
 * The list of a direct audience becomes known: ownership of d moves (also on
 * failure). NRS_EORIGIN: not the list of this audience; NRS_EQUOTA.
 */
int audience_take_direct(struct audience *a, struct nrs_direct *d) NRS_MUST_CHECK;
/* After opening: lists are read again from the records at seq 0. */
int audience_load_directs(struct node *n, struct nrs_detail *d) NRS_MUST_CHECK;
/* Our own direct audience for these recipients (sorted); made when there is none. */
/* NULL if nothing was ever sent to just these; names are sorted. */
struct audience *audience_find_direct(
    const struct node *n, const char *const *names, unsigned int nnames);
int audience_own_direct(struct node *n, const char *const *names, unsigned int nnames,
    struct audience **ret) NRS_MUST_CHECK;
/* A record that was accepted (put or replayed): advances chain, seq index, counters, pos. */
int audience_apply_record(struct audience *a, const struct nrs_header *h,
    const uint8_t header[NRS_HEADER_LEN], uint64_t index, uint64_t pos,
    bool refused) NRS_MUST_CHECK;

/* --- state.c ---------------------------------------------------------- */

extern const struct nrs_journal_ops node_journal_ops; /* arg = struct node */
/* Puts an EVENT and applies it; number = n->next_event. */
int node_put_event(struct node *n, uint8_t action, uint8_t reason, uint32_t objects,
    const struct nrs_hash *origin, uint64_t index) NRS_MUST_CHECK;

int node_events_open(struct node *n) NRS_MUST_CHECK;
/* Applies one frame again; n->replaying is set. */
int node_replay_frame(struct node *n, const struct nrs_jframe *f) NRS_MUST_CHECK;
int node_flush_caches(struct node *n, bool sync) NRS_MUST_CHECK;
/* One record as held: frame into buf, its parts, and the header decoded. */
struct node_record {
	struct nrs_jframe frame;
	struct nrs_jrecord_view v;
	struct nrs_header h;
};
/* NRS_ENOTFOUND: the record at this index is not opened here. */
int node_read_record(struct origin *o, uint64_t index, struct nrs_buf *buf,
    struct node_record *ret) NRS_MUST_CHECK;
/* Its payload, malloc'd. */
int node_read_payload(
    struct node *n, const struct node_record *r, uint8_t **ret) NRS_MUST_CHECK;

/* --- steward.c: statements that this node signs itself ------------------ */

int steward_init(struct node *n) NRS_MUST_CHECK;
void steward_fini(struct node *n);
void steward_turn(struct node *n);
bool steward_idle(const struct node *n);

/* --- publish.c, reader.c ---------------------------------------------- */

int publish_init(struct node *n) NRS_MUST_CHECK;
void publish_fini(struct node *n);
void publish_turn(struct node *n);
void publish_on_durable(struct node *n);
void publish_on_timer(struct node *n);
bool publish_idle(const struct node *n);
/* Checks that need no work on the payload; *ret_c or recipients decide the audience. */
int publish_check(struct node *n, const struct node_submit *s, struct community **ret_c,
    struct nrs_detail *d) NRS_MUST_CHECK;
void reader_fini(struct node *n);
void reader_on_durable(struct node *n); /* wakes readers up to shown_event */

/* --- session.c -------------------------------------------------------- */

/*
 * session.c also defines the public node_on_connected, node_on_dial_failed,
 * node_on_data, node_on_writable, node_on_closed, node_pin_find, node_peer_kick.
 * session_init() comes after the journal is open.  A struct peer is made zeroed
 * with session_peer_init() and ended with session_peer_fini(), which also closes
 * its session; peer.suspended may change at any time before session_peers_changed().
 */
void session_peer_init(struct peer *p);
void session_peer_fini(struct peer *p);

int session_init(struct node *n) NRS_MUST_CHECK;
void session_fini(struct node *n);
void session_on_timer(struct node *n, struct nrs_mono now);
void session_turn(
    struct node *n); /* flushes what was queued for sending, frees dead sessions */
/* The peer set changed (reconfigure): dial, close as needed. */
void session_peers_changed(struct node *n);
void session_drain(struct node *n);
/* Own statements changed: tell every session (COMMUNITIES, STATEMENTS). */
void session_communities_changed(struct node *n);

/* --- sync.c, serve.c, ingest.c ---------------------------------------- */

int sync_init(struct node *n) NRS_MUST_CHECK;
void sync_fini(struct node *n);
void sync_on_durable(struct node *n); /* ACK, credit, HAVE */
void sync_on_timer(struct node *n, struct nrs_mono now);
/* Records of this peer, as it announced them, that are not durable here yet. */
uint64_t sync_behind(const struct peer *p);
/* An origin or audience is about to be freed (at the end of the node): drop sync_priv. */
void sync_origin_fini(struct origin *o);
int serve_init(struct node *n) NRS_MUST_CHECK;
void serve_fini(struct node *n);
void serve_on_durable(struct node *n); /* standing fetches go on */
int ingest_init(struct node *n) NRS_MUST_CHECK;
void ingest_fini(struct node *n);
void ingest_turn(struct node *n); /* starts jobs for what came in */
bool ingest_idle(const struct node *n);
/* Should the forming batch wait for records whose leaves it has? Asked once a turn. */
bool ingest_hold(struct node *n);

/* --- carry_in.c, carry_out.c: files instead of links --------------------- */

void carry_turn(struct node *n);
void carry_fini(struct node *n);

#endif
