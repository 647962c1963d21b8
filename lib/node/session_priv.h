/*
 * What session.c, sync.c, ingest.c and serve.c share: one connection and the
 * fetches that go over it in both directions.
 *
 * Streams are numbered by the side that fetches: odd numbers by the side that
 * dialled, even ones by the other, so that each number means one fetch.
 */
#ifndef NODE_SESSION_PRIV_H
#define NODE_SESSION_PRIV_H

#include "node/node_priv.h"
#include "record/record.h"
#include "wire/wire.h"

#define SECOND 1000000000ull
#define MSEC   1000000ull

struct chain;
struct fetch;
struct serving;
struct share;

/* --- sessions ----------------------------------------------------------- */

struct session {
	TAILQ_ENTRY(session) link;
	struct node *node;
	struct peer *peer; /* NULL: it only waits for its BYE to leave */
	nrs_conn conn;
	bool dialed;
	bool up;
	bool dead;   /* the environment knows it no more; freed at the end of the turn */
	bool broken; /* sending failed: taken down at the end of the turn */
	struct nrs_mono linger; /* when a closing one is cut off */
	struct wire_reader reader;
	struct nrs_buf out; /* frames of this turn */
	struct nrs_mono last_rx;
	struct nrs_mono last_ping;
	struct nrs_mono refuse_at; /* token bucket of REFUSE */
	unsigned int refuse_tokens;

	TAILQ_HEAD(, share) shares;	/* by origin: what the other has; sync.c */
	TAILQ_HEAD(, known) known;	/* communities it listed; session.c */
	TAILQ_HEAD(, fetch) fetches;	/* ours; sync.c */
	TAILQ_HEAD(, serving) servings; /* theirs; serve.c */
	unsigned int nservings;
	struct serving *long_one; /* the only one that may be in the middle of a record */
	uint16_t next_stream;
	bool serve_more; /* work is left */
	bool carrier;	 /* no connection: frames go to a file, or come from one */
	struct node_import *import; /* carrier: what comes in */
	uint64_t held; /* bytes of records that came in and are not dealt with */
};

/* A community as the other side knows it. */
struct known {
	TAILQ_ENTRY(known) link;
	struct nrs_hash id;
	bool listed;
	bool disputed;	/* it named another statement, and was sent ours */
	uint32_t epoch; /* it has, or was sent, up to this one */
};

enum peer_state { PEER_OFF, PEER_IDLE, PEER_DIALING, PEER_HELLO, PEER_UP, PEER__MAX };

/* Quotas: of what a peer sends, and of the origin that it is, whoever passes it on. */
enum peer_quota { QUOTA_RECORDS, QUOTA_BYTES, QUOTA_LEAVES, QUOTA_DISK, QUOTA__MAX };

/* peer.session_priv */
struct peer_session {
	enum peer_state state; /* written by peer_enter() only */
	struct nrs_mono entered;
	struct nrs_mono rate_at; /* records a second: what is owed beyond the rate */
	uint64_t rate_debt;
	struct nrs_mono day_at;
	uint64_t day_bytes, day_leaves;
	bool beyond[QUOTA__MAX];   /* the alarm was raised */
	struct nrs_mono beyond_at; /* of records a second: when it was so last */
	const char **shared;	   /* names shown as info.communities */
};

void session_peer_log(struct peer *p, enum nrs_level lvl, const char *fmt, ...)
    NRS_PRINTF(3, 4);
void session_up(struct session *s);
/* One frame (session_msg.c). */
void session_frame(struct session *s, const struct wire_frame *f);
/* Statements that the other side lacks, of communities of which it is a member. */
void session_push_statements(struct session *s);
void session_show_communities(struct session *s);
/* STATEMENTS came in: adopts what follows what is held. */
int session_statements(struct session *s, const struct wire_frame *f);

/* Frames to the other side: begin, encode into s->out, end. */
size_t session_begin(struct session *s, uint8_t type, uint8_t flags, uint16_t stream);
void session_end(struct session *s, size_t at);
void session_flush(struct session *s);
size_t session_backlog(const struct session *s); /* bytes queued and not taken */
/* REFUSE, if fewer than 100 were sent in this second; counted in any case. */
void session_refuse(struct session *s, int err, uint16_t stream,
    const struct nrs_hash *origin, uint64_t index, uint64_t seq, const char *text);
void session_send_communities(struct session *s);
/* Says BYE and closes; err 0: nothing is said. */
void session_close(struct session *s, int err, const char *why);
struct nrs_mono session_now(const struct node *n);
bool session_is_mine(const struct session *s, uint16_t stream); /* numbered by this side */
/* May more be asked of this peer (records a second, bytes a day)? */
bool session_quota(struct session *s);
void session_quota_charge(struct session *s, uint64_t records, uint64_t bytes);
/* May more of this origin be kept: of its leaves, of anything (PROTOCOL.md, section 5)? */
bool session_quota_leaves(const struct origin *o);
bool session_quota_disk(const struct origin *o);
void session_quota_charge_leaves(const struct origin *o, uint64_t leaves);

/* --- sync --------------------------------------------------------------- */

/* What is known of one origin in one session. */
struct share {
	TAILQ_ENTRY(share) link;
	struct origin *origin;
	uint64_t have;	  /* size the other announced */
	uint64_t claimed; /* size it said to have: FETCH_LEAVES, ACK */
	uint64_t sent;	  /* leaves we sent to it end here */
	TAILQ_HEAD(, share_aud) auds;
	struct nrs_map *aud_by_id;
};
struct share_aud {
	TAILQ_ENTRY(share_aud) link;
	struct nrs_hash id;
	uint8_t type;
	uint64_t next;
};

/* One of our fetches: of an origin's leaves (chain NULL) or of a chain. */
struct fetch {
	TAILQ_ENTRY(fetch) link;
	struct session *session;
	uint16_t stream;
	struct origin *origin;
	struct chain *chain;
	int64_t credit;	     /* what the other may still send */
	uint64_t owed;	     /* to be given back */
	uint64_t held;	     /* of session.held */
	struct nrs_buf part; /* an item of which more is to come */
	struct nrs_mono progress;
};

/* When and where something is fetched again after it went wrong. */
struct retry {
	struct nrs_mono at; /* not before */
	uint32_t wait_ms;   /* the last delay */
	struct peer *avoid;
	struct nrs_mono avoid_until;
	uint32_t stall_s; /* patience with a source that does not deliver; doubles */
};

/* Mirroring of one origin: origin.sync_priv. */
struct osync {
	struct origin *origin;
	struct fetch *fetch;
	struct retry retry;
	uint64_t announced;	 /* size of the last HAVE */
	uint64_t acked;		 /* size of the last ACK */
	unsigned int bad_proofs; /* one after the other, from the origin itself */
	bool reported;		 /* a failure of this kind was logged */
	TAILQ_HEAD(, chain) chains;
	struct nrs_map *chain_by_id;
};

/* One audience of one origin as it is fetched; it may be unknown to the node yet. */
struct chain {
	TAILQ_ENTRY(chain) link;
	struct origin *origin;
	struct nrs_hash id;
	uint8_t type;
	struct audience *audience; /* NULL: direct, and nothing accepted yet */
	struct fetch *fetch;
	struct retry retry;
	bool fetched; /* not the first fetch */
	uint64_t announced, acked;
	/* ingest.c */
	TAILQ_HEAD(, rec) recs; /* in order of arrival */
	struct rec *waiting;	/* the first that no job has had; all after it wait too */
	TAILQ_ENTRY(chain) due_link;
	bool due;
};

struct osync *sync_of(struct origin *o); /* made on demand; NULL: no memory */
struct chain *sync_chain(
    struct origin *o, const struct nrs_hash *id, uint8_t type, bool make);
struct share *sync_share(struct session *s, struct origin *o, bool make);
uint64_t sync_next(const struct chain *c); /* seq wanted next */
void sync_session_up(struct session *s);
void sync_session_down(struct session *s);
void sync_communities_changed(struct node *n);
void sync_session_changed(struct session *s); /* what is shared with it may be other now */
void sync_peer_fini(struct peer *p);
/* Messages. */
int sync_have(struct session *s, const uint8_t *p, size_t len);
int sync_ack(struct session *s, const uint8_t *p, size_t len);
/* Something on this stream of ours was refused as a frame. */
void sync_hole(struct session *s, uint16_t stream, int err);
void sync_canceled(struct session *s, uint16_t stream);
/* LEAVES, RECORD, DATA: charges the credit and hands over whole items. */
void sync_data(struct session *s, const struct wire_frame *f);
/* This fetch is over; try again later, elsewhere if possible. */
void sync_fail(struct fetch *f, int err, bool avoid);
/* Likewise for a statement that has to come first. */
void sync_wait_epoch(struct fetch *f);
/* One past what its source announced to have of it; 0: nothing. */
uint64_t sync_offered(const struct fetch *f);
/* bytes of what came over f are dealt with. */
void sync_return(struct fetch *f, uint64_t bytes);
void sync_progress(struct fetch *f);
/* Memory of a record that came over f is free again. */
void sync_unhold(struct fetch *f, uint64_t bytes);
/* Decides what is fetched from whom. */
void sync_plan(struct node *n);
void sync_credits(struct node *n); /* gives back what is owed, as far as there is room */

/*
 * For what comes from a file (carry_in.c).  The chain, if this node may be given
 * that audience at all; unknown counts those made up, and bounds them.
 */
struct chain *sync_carry_chain(
    struct origin *o, const struct nrs_hash *id, unsigned int *unknown);
/* The fetch of leaves (c NULL) or of a chain by this session; one over a link ends. */
struct fetch *sync_carry_fetch(struct session *s, struct origin *o, struct chain *c);

/* --- ingest ------------------------------------------------------------- */

void ingest_leaves(struct fetch *f, const uint8_t *p, size_t len);
/* Takes p, which was malloc'd; cost is its credit. */
void ingest_record(struct fetch *f, uint8_t *p, size_t len, uint64_t cost);
void ingest_chain_drop(struct chain *c); /* forgets what came in over its fetch */
void ingest_chain_run(struct node *n, struct chain *c);
void ingest_resume(struct node *n); /* there may be room again */
void ingest_on_timer(struct node *n, struct nrs_mono now);

/* --- serve -------------------------------------------------------------- */

int serve_fetch(struct session *s, const struct wire_frame *f);
void serve_credit(struct session *s, uint16_t stream, uint32_t bytes);
void serve_canceled(struct session *s, uint16_t stream);
void serve_session_down(struct session *s);
void serve_session(struct session *s); /* some work; sets s->serve_more */
/*
 * For what goes into a file (carry_out.c): a cursor over leaves (a NULL) or a
 * chain.  step puts a frame or a few into s->out, or passes something over: 0,
 * 1 there is no more, NRS_ENOTFOUND another node has to give what comes next.
 */
struct serving *serve_carry(
    struct session *s, struct origin *o, struct audience *a, uint64_t from);
int serve_carry_step(struct session *s, struct serving *v) NRS_MUST_CHECK;
uint64_t serve_carry_at(const struct serving *v);
void serve_carry_end(struct session *s, struct serving *v);

/* --- carrying by file ------------------------------------------------------ */

/* A session without a connection. */
void carry_session_init(struct session *s, struct node *n, struct peer *p);
void carry_session_fini(struct session *s);
/* What became of something that came from a file. */
void carry_refused(struct node_import *im, int err, const struct nrs_hash *origin,
    uint64_t index, const char *text);
void carry_kept(struct node_import *im, const struct fetch *f);
/* Was anything of this file refused? */
bool carry_doubtful(const struct node_import *im);
/* The node ends: what is left of an import is its owner's. */
void carry_import_detach(struct node *n);

#endif
