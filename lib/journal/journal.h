/*
 * The journal: append-only, group-committed, encrypted segments
 * (docs/FORMAT-journal.md), with the caches that give places in it.
 *
 * It decides when bytes are durable and what of the disk to believe after a
 * crash.  It does not know what a record means: the node puts frames in and
 * gets them back in order.
 */
#ifndef JOURNAL_JOURNAL_H
#define JOURNAL_JOURNAL_H

#include <noroshi/env.h>
#include <noroshi/err.h>
#include <noroshi/limits.h>
#include <noroshi/types.h>

#include "base/buf.h"
#include "record/record.h"

enum nrs_jtype {
	NRS_J_STATE = 1,
	NRS_J_RECORD = 2,
	NRS_J_LEAVES = 3,
	NRS_J_CONTROL = 4,
	NRS_J_EVENT = 5,
	NRS_J_CHECKPOINT = 6,
	NRS_J_COSIGNATURE = 7,
	NRS_J_OUTBOX = 8,
	NRS_J_STATEMENT = 9,
	NRS_J_REFUSED = 10,
	NRS_J_COMMIT = 11,
	NRS_J_PEER = 12,
	NRS_J_DISCLOSURE = 13,
	NRS_J__MAX
};

#define NRS_JRECORD_RAW 0x01 /* flags: payload not compressed */
#define NRS_JRECORD_CHECKPOINT \
	0x02 /* accepted on its checkpoint, signatures not verified */
#define NRS_JRECORD_FLAGS     0x03
#define NRS_JCHECKPOINT_RIVAL 0x01 /* flags: evidence against its origin, not in force */
#define NRS_POS(seg, off)     ((uint64_t)(seg) << 32 | (off))

/* A frame as read; body is borrowed from the reader's buffer. */
struct nrs_jframe {
	uint8_t type;
	uint8_t flags;
	uint64_t batch;
	uint64_t pos;
	struct nrs_str body;
};

/* Calls up into the node. All are made on the engine's thread. */
struct nrs_journal_ops {
	/*
	 * Appends the node's state as of every frame put so far (section 5).  It is
	 * called from inside nrs_journal_put(), before the frame that is being put
	 * counts: change the state it encodes after put, not before.  "previous
	 * segment, its end, next event" before it are the journal's own business.
	 */
	int (*state_encode)(void *arg, struct nrs_buf *b);
	/*
	 * At open: the state of the last segment (r stands at section 5; zero origins,
	 * zero communities in a new journal); then every committed frame after it,
	 * COMMITs left out.  Reading by position works only after open returned.
	 */
	int (*state_decode)(void *arg, struct nrs_rd *r);
	int (*replay)(void *arg, const struct nrs_jframe *f);
	/*
	 * Before a new segment is begun: appends cache writes and syncs that must be
	 * durable with its STATE: nrs_array_flush() of every array, with sync.  Returns
	 * the first error that one of them returned.  Also called from inside put.
	 */
	int (*flush_caches)(void *arg);
	/* No space (true), and space again (false). */
	void (*full)(void *arg, bool full);
	/* Broken for good: acknowledge nothing more, exit. */
	void (*failed)(void *arg, int rc, const char *why);
	/*
	 * May be NULL. Size of the own log as replayed, asked before anything is cut:
	 * below signed_size is NRS_EROLLBACK (behind a torn tail NRS_ECORRUPT), and the files
	 * stay as they are.
	 */
	uint64_t (*own_size)(void *arg);
};

struct nrs_journal_config {
	struct nrs_env *env;
	const struct nrs_journal_ops *ops;
	void *arg;
	struct nrs_hash origin_id; /* of this node */
	uint64_t segment_bytes;	   /* 0: NRS_SEGMENT_BYTES; the simulator uses small ones */
	uint64_t signed_size;	   /* own log: never recover below (0: none) */
};

struct nrs_journal;

/* Creates an empty journal (directory made, segment 1 with an empty STATE, durable). Synchronous. */
int nrs_journal_create(
    const struct nrs_journal_config *cfg, struct nrs_detail *d) NRS_MUST_CHECK;
/*
 * Recovers and opens for appending; calls state_decode and replay before it
 * returns.  NRS_ECORRUPT with file (path) and offset in d; NRS_ENOTFOUND when there
 * is no journal; NRS_EVERSION for frames of a newer version.
 */
int nrs_journal_open(const struct nrs_journal_config *cfg, struct nrs_journal **ret,
    struct nrs_detail *d) NRS_MUST_CHECK;
/* Nothing may be in flight. Accepts NULL. */
void nrs_journal_free(struct nrs_journal *j);

/*
 * Adds one frame to the forming batch; the body is the concatenation of parts.
 * *ret_pos (may be NULL) is where it will stand.  Only fails for NRS_ENOMEM,
 * NRS_ELIMIT, NRS_EINTERNAL (failed journal).
 */
int nrs_journal_put(struct nrs_journal *j, uint8_t type, uint8_t flags,
    const struct nrs_str *parts, unsigned int nparts, uint64_t *ret_pos) NRS_MUST_CHECK;

/* A record to store. data = zstd frame or raw payload, as flags say. */
struct nrs_jrecord {
	uint64_t index;
	const uint8_t *header; /* 232 */
	struct nrs_str sigs;
	const uint8_t *salt; /* 32 */
	struct nrs_str data;
	uint8_t flags;
	struct nrs_hash c; /* commitment */
};
/* Length of its body. */
size_t nrs_jrecord_len(const struct nrs_jrecord *r);
int nrs_journal_put_record(
    struct nrs_journal *j, const struct nrs_jrecord *r, uint64_t *ret_pos) NRS_MUST_CHECK;

/* Waits for everything put so far: done(arg, rc) once it is durable (or NRS_EFULL when there
 * is no space: it is kept and written later). At once never: always from a completion. */
struct nrs_jwait {
	void (*done)(void *arg, int rc);
	void *arg;
	uint64_t batch;
	struct nrs_jwait *next;
};
void nrs_journal_wait(struct nrs_journal *j, struct nrs_jwait *w);
/* End of the engine's turn: begins writing what formed, if nothing is being written. */
void nrs_journal_kick(struct nrs_journal *j);
/* For timers: tries again after NRS_EFULL. */
void nrs_journal_retry(struct nrs_journal *j);
/* Bytes put and not durable yet: above NRS_BATCH_BYTES the node takes nothing more in. */
size_t nrs_journal_pending(const struct nrs_journal *j);
bool nrs_journal_full(const struct nrs_journal *j);
/* Number of the last durable batch, and the position after it. */
uint64_t nrs_journal_batch(const struct nrs_journal *j);
uint64_t nrs_journal_end(const struct nrs_journal *j);
/* One more than the number of the last EVENT put; 1 in a new journal. Kept in STATE. */
uint64_t nrs_journal_next_event(const struct nrs_journal *j);

/*
 * Reads one durable frame. buf is the caller's, reused; f->body points into it.
 * NRS_ESTATE: not durable yet; NRS_ECORRUPT, NRS_EVERSION; NRS_ERANGE: no position.
 */
int nrs_journal_read(struct nrs_journal *j, uint64_t pos, struct nrs_buf *buf,
    struct nrs_jframe *ret) NRS_MUST_CHECK;
/* A RECORD body taken apart; views into the frame. */
struct nrs_jrecord_view {
	uint64_t index;
	const uint8_t *header;
	struct nrs_str sigs;
	struct nrs_str sealed;
	const uint8_t *nonce;
	uint32_t seed_segment;
	uint8_t flags;
};
int nrs_jrecord_decode(
    struct nrs_jrecord_view *ret, const struct nrs_jframe *f) NRS_MUST_CHECK;
/* Opens the body: salt and data (still compressed unless flags say raw) into out, which
 * is the caller's and must not be the buffer that v points into. NRS_ECORRUPT. */
int nrs_journal_unseal(struct nrs_journal *j, const struct nrs_jrecord_view *v,
    struct nrs_buf *out, uint8_t salt[NRS_SALT_LEN],
    struct nrs_str *ret_data) NRS_MUST_CHECK;
/* The same without a journal: with the seed of v->seed_segment. */
int nrs_jrecord_unseal(struct nrs_digest *dg, const uint8_t seed[32],
    const struct nrs_jrecord_view *v, struct nrs_buf *out, uint8_t salt[NRS_SALT_LEN],
    struct nrs_str *ret_data) NRS_MUST_CHECK;

/* zstd within limits: used by jobs. Level 1. Decompress refuses output unlike raw_len. */
int nrs_payload_compress(const uint8_t *p, size_t len, uint8_t **ret, size_t *ret_len,
    bool *ret_raw) NRS_MUST_CHECK; /* *ret NULL and raw: keep p as it is */
int nrs_payload_expand(
    const uint8_t *p, size_t len, bool raw, size_t raw_len, uint8_t **ret) NRS_MUST_CHECK;
/*
 * The same for many payloads, one after the other, with one context and one
 * buffer: for small ones the context costs more than the work.
 */
struct nrs_packer;
struct nrs_packer *nrs_packer_new(void);    /* NULL: out of memory */
void nrs_packer_free(struct nrs_packer *k); /* accepts NULL */
/* nrs_payload_compress() for many small ones, each 10 us faster. k NULL: just that. */
int nrs_packer_run(struct nrs_packer *k, const uint8_t *p, size_t len, uint8_t **ret,
    size_t *ret_len, bool *ret_raw) NRS_MUST_CHECK;
struct nrs_expander;
struct nrs_expander *nrs_expander_new(void);	/* NULL: out of memory */
void nrs_expander_free(struct nrs_expander *x); /* accepts NULL */
/* *ret lives until the next call; of a raw payload it is p. */
int nrs_expander_run(struct nrs_expander *x, const uint8_t *p, size_t len, bool raw,
    size_t raw_len, const uint8_t **ret) NRS_MUST_CHECK;
/* A buffer larger than keep bytes is given back. */
void nrs_expander_trim(
    struct nrs_expander *x, size_t keep); /* malloc'd; limit NRS_PAYLOAD_MAX */

/*
 * Walks all committed frames from position from (0: the very first) to the end,
 * for rebuilding caches, fsck and export. each() returns 0 to go on. COMMIT and
 * STATE frames are left out: it gives back exactly what was put.
 */
int nrs_journal_scan(struct nrs_journal *j, uint64_t from,
    int (*each)(void *arg, const struct nrs_jframe *f), void *arg,
    struct nrs_detail *d) NRS_MUST_CHECK;

/* Encoders and decoders of the small frames' bodies. */
struct nrs_jevent {
	uint64_t number;
	uint8_t action;
	uint8_t reason;
	uint32_t objects;
	struct nrs_hash origin;
	uint64_t index;
	struct nrs_wall time;
};
#define NRS_JEVENT_LEN 64
void nrs_jevent_encode(const struct nrs_jevent *e, uint8_t out[NRS_JEVENT_LEN]);
int nrs_jevent_decode(struct nrs_jevent *ret, struct nrs_str body) NRS_MUST_CHECK;

/* DISCLOSURE: who was given which events. Members that an op does not have are zero. */
enum { NRS_JDISCLOSURE_OPEN = 1, NRS_JDISCLOSURE_CLOSE = 2, NRS_JDISCLOSURE_CRASH = 3 };
enum { NRS_JREADER_UNIX = 1, NRS_JREADER_TLS = 2, NRS_JREADER_CONTROL = 3 };
enum { NRS_JCLEARANCE_ALL = 0x01, NRS_JCLEARANCE_DIRECT = 0x02 };
struct nrs_jdisclosure {
	uint8_t op;
	uint8_t kind;
	uint8_t tlp;
	uint8_t flags;
	uint32_t uid;	/* all ones: unknown */
	uint64_t range; /* close: position of the frame that opened it */
	uint64_t event; /* cursor; crash: the newest event */
	uint64_t n;
	struct nrs_wall time;
	struct nrs_hash clearance;
	struct nrs_hash pin;
	char name[NRS_NAME_MAX + 1]; /* of the subscriber; "" for the control socket */
};
#define NRS_JDISCLOSURE_MAX (8 + 24 + 64 + 2 + NRS_NAME_MAX)
#define NRS_JDISCLOSURES    16384 /* open at one time */
void nrs_jdisclosure_encode(const struct nrs_jdisclosure *d, struct nrs_buf *b);
int nrs_jdisclosure_decode(struct nrs_jdisclosure *ret, struct nrs_str body) NRS_MUST_CHECK;

#endif
