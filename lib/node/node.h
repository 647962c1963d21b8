/*
 * The engine of one node: ingest, publish, peer sessions, sync, fan-out, over
 * the environment.  A pure machine: the daemon and the simulator both drive it
 * with the calls below and supply its struct nrs_env.
 *
 * Calls come from one thread.  After any sequence of calls (one turn of the
 * loop) the driver calls node_turn().
 */
#ifndef NODE_NODE_H
#define NODE_NODE_H

#include <noroshi/env.h>
#include <noroshi/err.h>
#include <noroshi/limits.h>
#include <noroshi/types.h>

#include "base/buf.h"

struct node;

/* --- configuration ----------------------------------------------------- */

struct node_peer_config {
	const char *origin;	 /* us.cert.example; also the name of the peer */
	const uint8_t *manifest; /* its manifest 0, a note */
	size_t manifest_len;
	const char *const *communities; /* names of communities shared with it */
	unsigned int ncommunities;
	bool suspended;	 /* no session, nothing in or out; its log stays */
	uint8_t ceiling; /* enum nrs_tlp: strictest marking sent to and taken from it */
	uint64_t records_per_s; /* quota on what it sends; 0: none */
	uint64_t bytes_per_day; /* likewise */
	/* Of the origin that it is, whoever passes it on: entries of its log; 0: none */
	uint64_t leaves_per_day;
	uint64_t disk_share; /* bytes kept of it */
	bool catch_up;	     /* likewise: a long backlog is accepted on its checkpoint */
};

struct node_config {
	const char *origin;
	const uint8_t *manifest; /* own manifest 0, a note; becomes entry 0 */
	size_t manifest_len;
	const struct node_peer_config *peers;
	unsigned int npeers;
	uint64_t segment_bytes; /* 0: default */
	uint64_t signed_size;	/* the keeper's word: never recover the own log below */
	uint32_t window_bytes;	/* credit of one stream; 0: 4 MiB */
	bool real_time_off;	/* tests: no keepalive timers */
	uint64_t catch_up_min;	/* records that make a backlog; 0: 1000 */
};

/*
 * Opens (journal exists) or creates (create is true, and it does not) the
 * node's data.  The configuration is copied.  Sessions begin with the first
 * node_on_timer().  Errors as nrs_journal_open(), and NRS_EORIGIN when the
 * journal belongs to another origin.
 */
int node_open(struct nrs_env *env, const struct node_config *cfg, bool create,
    struct node **ret, struct nrs_detail *d) NRS_MUST_CHECK;
/* A new configuration: peers added, removed, suspended, changed. All or nothing. */
int node_reconfigure(
    struct node *n, const struct node_config *cfg, struct nrs_detail *d) NRS_MUST_CHECK;
/* Refuses new submissions and says BYE to peers; true from node_drained() when nothing is pending. */
void node_drain(struct node *n);
bool node_drained(const struct node *n);
/* Frees everything; completions of the environment must not come any more. Accepts NULL. */
void node_free(struct node *n);

/* --- what the driver reports ------------------------------------------- */

void node_on_timer(struct node *n);
void node_turn(struct node *n);
/* TLS is up and the peer's key has this pin. Refusing closes the connection. */
void node_on_connected(struct node *n, nrs_conn c, const struct nrs_hash *pin, bool dialed);
void node_on_dial_failed(struct node *n, const char *peer, const char *why);
void node_on_data(struct node *n, nrs_conn c, const uint8_t *p, size_t len);
void node_on_writable(struct node *n, nrs_conn c);
void node_on_closed(struct node *n, nrs_conn c, const char *why);
/* Broken for good (EIO): why, or NULL. The driver exits. */
const char *node_failed(const struct node *n);

/* Pins of all peers that may connect: is this one of them? Name of the peer, or NULL. */
const char *node_pin_find(const struct node *n, const struct nrs_hash *pin);

/* --- submitting -------------------------------------------------------- */

struct node_submit {
	const char *community;	       /* or NULL: direct */
	const char *const *recipients; /* direct: origins of peers, any order */
	unsigned int nrecipients;
	uint8_t tlp;
	uint8_t flags; /* NRS_FLAG_URGENT */
	struct nrs_wall expires;
	uint8_t *payload; /* malloc'd; the node takes it (also on failure) */
	size_t payload_len;
	/*
	 * Once: rc 0 and index, durable and signed; NRS_EEXISTS and known[] (nknown
	 * positions of objects already shared: nothing was sent); NRS_EFULL, NRS_ESTIX,
	 * NRS_ECEILING, NRS_EUNKNOWN, NRS_EMARKING, ... with d saying why.
	 */
	void (*done)(struct node_submit *s, int rc);
	void *arg;
	uint64_t index;
	uint32_t objects;
	uint32_t *known; /* owned by the node until done returns */
	uint32_t nknown;
	struct nrs_detail d;
	void *priv;
};
/* Takes the request; done() comes later, never inside. s stays valid until then. */
void node_submit(struct node *n, struct node_submit *s);
/* Would be refused? The same checks without effect; fills d. Direct: recipients known? */
int node_submit_check(
    struct node *n, const struct node_submit *s, struct nrs_detail *d) NRS_MUST_CHECK;
/* Positions of objects shared already, after a good check; *ret is malloc'd or NULL. */
int node_submit_known(struct node *n, const struct node_submit *s, uint32_t **ret,
    uint32_t *ret_n) NRS_MUST_CHECK;

/* --- communities ------------------------------------------------------- */

struct node_op {
	void (*done)(struct node_op *op, int rc);
	void *arg;
	struct nrs_detail d;
	void *priv;
};
struct node_community_opts {
	uint8_t ceiling; /* enum nrs_tlp */
	uint8_t onward;
	bool history;
	bool exercise;
};
/* Founds a community with this node as its only steward and member. */
void node_community_create(struct node *n, const char *name,
    const struct node_community_opts *o, struct node_op *op);
/* Steward: the next statement, with this peer added or taken out. Unchanged: done(0). */
void node_community_member(
    struct node *n, const char *name, const char *peer, bool add, struct node_op *op);
/* The operator accepts statements (in order of epoch; a founding one first): journalled as trusted. */
void node_statement_accept(struct node *n, const uint8_t *note, size_t len,
    const struct node_config *with_peers, struct node_op *op);
/* The invite: own manifests, then statements of the communities named (NULL: all). */
int node_invite(struct node *n, struct nrs_buf *b) NRS_MUST_CHECK;

/* --- reading ----------------------------------------------------------- */

/* Who reads: what the journal says of it (FORMAT-journal.md, DISCLOSURE). */
enum node_receiver_kind {
	NODE_READER_UNIX = 1, /* a subscriber, on its Unix socket */
	NODE_READER_TLS = 2,  /* a subscriber, by its certificate */
	NODE_READER_CONTROL = 3,
};
struct node_receiver {
	enum node_receiver_kind kind;
	const char *name;    /* of the subscriber; NULL: the control socket */
	uint32_t uid;	     /* of the process; all ones: unknown */
	struct nrs_hash pin; /* NODE_READER_TLS */
};
struct node_clearance {
	uint8_t tlp;			/* ceiling */
	const char *const *communities; /* names; NULL: all, direct audiences included */
	unsigned int ncommunities;
	bool direct; /* direct audiences too, when communities is given */
	/* Read by node_reader_open() only. NULL: what is read stays in this process. */
	const struct node_receiver *receiver;
};
struct node_cursor {
	uint64_t
	    event;  /* the last event of which something was read; 0: from the beginning */
	uint64_t n; /* next object within it; NRS_NONE: the event is done */
};
struct node_reader;
enum {
	NODE_READER_IDLE = 1,
	NODE_READER_WAIT = 2, /* with a receiver: the journal does not say it yet */
};

/*
 * A reader stands at a cursor and costs nothing else.  wake(arg) is called
 * once after a NODE_READER_IDLE or _WAIT when there may be more.  With a receiver nothing
 * is given before the journal says durably that it is.  NRS_ERANGE: the cursor
 * is ahead of this node; NRS_ELIMIT: too many readers.
 */
int node_reader_open(struct node *n, const struct node_clearance *cl,
    struct node_cursor from, void (*wake)(void *arg), void *arg, struct node_reader **ret,
    struct nrs_detail *d) NRS_MUST_CHECK;
void node_reader_free(struct node_reader *r);
/*
 * Appends whole NDJSON lines until about max bytes, or a bounded amount of
 * work, are reached: 0 (there may be more), NODE_READER_IDLE, NODE_READER_WAIT, or an error.
 * Line: {"event":E,"n":N,"action":"add","reason":"new","origin":"...","index":I,
 * "community":"iwwn" (or null and "to":[...]),"tlp":"AMBER","time":"...","object":{...}}
 */
int node_reader_next(struct node_reader *r, struct nrs_buf *out, size_t max) NRS_MUST_CHECK;
/*
 * The same without a copy: the bytes that come next, whole lines from the
 * beginning of one or from where node_reader_take() stopped; they were made once
 * for all readers of the same clearance.  Valid until the next call into the
 * node.  0 (*ret may be empty: there is more work than one call does), NODE_READER_IDLE,
 * NODE_READER_WAIT, or an error.
 */
int node_reader_peek(struct node_reader *r, struct nrs_str *ret) NRS_MUST_CHECK;
/* That many of them are handed over: a line of which one byte is counts as given. */
void node_reader_take(struct node_reader *r, size_t len);
/*
 * A clean end: nobody is given anything more, and what was given is put into the
 * journal. node_drained() tells when that is durable.
 */
void node_readers_stop(struct node *n);
struct node_cursor node_reader_cursor(const struct node_reader *r);
/* The newest visible event; a cursor for "from now on". */
struct node_cursor node_cursor_now(const struct node *n);
/* The first event at or after a time. */
int node_cursor_since(
    struct node *n, struct nrs_wall t, struct node_cursor *ret) NRS_MUST_CHECK;

/* --- taking out ---------------------------------------------------------- */

struct node_export_info {
	char id[NRS_ORIGIN_MAX + 32]; /* origin/index~hex8 */
	uint8_t kind;
	uint8_t tlp;
};
/*
 * One record that is opened and shown here, appended to b: its payload, or with
 * proof the proof file (FORMAT.md, section 10; b must have room for
 * NRS_PROOF_FILE_MAX).  hex8 (may be NULL or empty): the beginning of its leaf
 * hash.  NRS_EUNKNOWN no such origin, NRS_ENOTFOUND not opened here, NRS_ELEAF
 * another leaf; d says which.
 */
int node_export(struct node *n, const char *origin, uint64_t index, const char *hex8,
    bool proof, struct nrs_buf *b, struct node_export_info *ret,
    struct nrs_detail *d) NRS_MUST_CHECK;

/* --- carrying records by file (FORMAT.md, section 11) -------------------- */

/*
 * A file for one peer: what it may have of what was stored here from event from
 * on (0: of everything).  NRS_EUNKNOWN: no such peer; NRS_ESUSPENDED; NRS_ERANGE:
 * there are not so many events.  To be freed before or after the node.
 */
struct node_carry;
int node_carry_open(struct node *n, const char *peer, uint64_t from,
    struct node_carry **ret, struct nrs_detail *d) NRS_MUST_CHECK;
enum { NODE_CARRY_END = 1 };
/* Appends to b until about max bytes, or a bounded amount of work: 0 (there is more), NODE_CARRY_END, or an error. */
int node_carry_next(struct node_carry *c, struct nrs_buf *b, size_t max) NRS_MUST_CHECK;
struct node_carry_info {
	uint64_t from, to; /* events; what comes after is for the next file */
	uint64_t leaves, records;
	uint64_t stopped;     /* chains that another node has to give from some record on */
	uint64_t done, total; /* how far it is */
};
void node_carry_info(const struct node_carry *c, struct node_carry_info *ret);
void node_carry_free(struct node_carry *c);

/*
 * Such a file is read.  feed() takes what it can of *p, *len: 0 all of it; 1 the
 * rest has to wait until wake(arg) is called; NRS_EFULL no space for more;
 * NRS_EORIGIN, NRS_EUNKNOWN, NRS_ESUSPENDED the file is not for here, with d; other
 * errors: this node takes nothing more in.  A damaged file is no error: what is
 * behind the damage is passed over.  end() comes after the last byte: wake(arg) is
 * called when all that was taken is durable, and only then node_import_result()
 * tells.  One import at a time (NRS_EBUSY).
 */
struct node_import;
int node_import_open(struct node *n, void (*wake)(void *arg), void *arg,
    struct node_import **ret) NRS_MUST_CHECK;
int node_import_feed(struct node_import *im, const uint8_t **p, size_t *len,
    struct nrs_detail *d) NRS_MUST_CHECK;
void node_import_end(struct node_import *im);
void node_import_free(struct node_import *im); /* what was taken stays; accepts NULL */

struct node_import_origin {
	const char *origin; /* NULL: not known here */
	struct nrs_hash id;
	uint64_t leaves_new, leaves_known, records_new, records_known;
	uint64_t refused;
	uint64_t codes[128]; /* by wire code */
	uint64_t held,
	    begins; /* leaves end here, and the file's begin above; 0, 0: no gap */
};
struct node_import_refusal {
	const char *origin; /* NULL: not known */
	uint64_t index;	    /* NRS_NONE: no record */
	int err;
	const char *text;
};
struct node_import_result {
	bool done; /* all that was taken is durable */
	const char *source;
	uint64_t from, to;
	bool whole;
	const char *damage; /* why not, and where; NULL */
	uint64_t statements, refused;
	unsigned int norigins, nrefusals;
	const struct node_import_origin
	    *origins; /* valid until the next call about the import */
	const struct node_import_refusal *refusals; /* the first of them */
};
void node_import_result(struct node_import *im, struct node_import_result *ret);

/* --- looking ----------------------------------------------------------- */

struct node_origin_info {
	const char *origin;
	bool own;
	uint64_t size;	      /* leaves durable here and covered by a verified checkpoint */
	struct nrs_hash root; /* of that size */
	uint64_t opened;
	uint64_t refused;
	uint64_t on_checkpoint; /* of opened: signatures were not verified */
	uint64_t checkpoint_size;
	bool frozen;	    /* evidence of two histories */
	const char *source; /* peer its leaves come from, or NULL */
};
struct node_peer_info {
	const char *name;
	const char *state; /* name of the session's state: "up", "idle", ... */
	const char *why;   /* of the last change */
	bool suspended;
	bool dialed;
	uint64_t lag_records;	 /* entitled to, and not acknowledged by it */
	uint64_t lag_ms;	 /* age of the oldest of them; 0: none */
	uint64_t behind_records; /* its records that we do not hold yet */
	uint64_t rx_bytes, tx_bytes, rx_records, tx_records, refused_in, refused_out;
	int64_t clock_ms;     /* its clock minus ours at HELLO */
	uint64_t up_since_ms; /* wall; 0: not up */
	unsigned int version;
	const char *quota;    /* option of the peer that it is beyond, or NULL */
	uint64_t quota_stops; /* how often it came to be beyond one */
	uint64_t kept_bytes;  /* of the log and records of this origin */
	const char *const
	    *communities; /* shared by both sides' view; valid until the next call */
	unsigned int ncommunities;
	unsigned int nconfigured; /* communities configured here for it */
};
struct node_community_info {
	const char *name;
	struct nrs_hash id;
	const char *founder;
	uint32_t epoch;
	uint8_t ceiling;
	bool trusted; /* accepted by the operator; else pending */
	bool member, steward, frozen, history, exercise;
	uint8_t onward;
	unsigned int nmembers;
	const char *const *members;
	struct nrs_hash hash;
};
struct node_counts {
	uint64_t events, opened, published, refused, submitted, submit_refused;
	uint64_t journal_bytes, journal_segments, batches;
	bool full;
	uint64_t readers;
	uint64_t ranges_open,
	    ranges;	      /* of events given to readers: open now; since the start */
	uint64_t chunk_bytes; /* lines held for the readers */
	uint64_t lines, given_bytes; /* lines made; bytes handed to readers */
};
/* Calls each() for every one; non-zero ends the walk. */
void node_origins(
    struct node *n, int (*each)(void *arg, const struct node_origin_info *i), void *arg);
void node_peers(
    struct node *n, int (*each)(void *arg, const struct node_peer_info *i), void *arg);
void node_communities(
    struct node *n, int (*each)(void *arg, const struct node_community_info *i), void *arg);
void node_counts(const struct node *n, struct node_counts *ret);
/* Refusals by code, as (error name, count). */
void node_refusals(const struct node *n,
    int (*each)(void *arg, const char *name, uint64_t count), void *arg);
/* Dial this peer now, whatever the back-off says. NRS_EUNKNOWN. */
int node_peer_kick(struct node *n, const char *peer) NRS_MUST_CHECK;

#endif
