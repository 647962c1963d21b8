/*
 * What the files of the journal share: the frame codec, the forming and the
 * flying batch, the beginning of a segment, and the image of a segment that
 * recovery and scans read.
 */
#ifndef JOURNAL_INTERNAL_H
#define JOURNAL_INTERNAL_H

#include "journal/journal.h"

#define JSEG_HEADER   72
#define JSEG_SALT     16
#define JFRAME_HEAD   24
#define JCOMMIT_BODY  16
#define JSTATE_PREFIX 16 /* previous segment, its end, next event */
#define JKEY_FILE     72
#define JSEED	      32
#define JWRAPPED      60
#define JSEG_LAST     99999999u /* eight digits */
#define JRECORD_FIXED (40 + NRS_HEADER_LEN)

/* The hard end of one batch; the node stops far below (NRS_BATCH_BYTES). */
#define JBATCH_MAX (64u << 20)
/* So that every offset fits its 32 bits with a batch beyond the limit. */
#define JSEG_BYTES_MAX (1u << 30)

#define JDIR  "journal"
#define JPATH 32

#define JPAD(n) (((n) + 7) & ~(size_t)7)

/* segment.c: bytes of names, headers and frames */
struct nrs_jhead {
	uint8_t type;
	uint8_t flags;
	uint32_t len;
	uint64_t batch;
	uint32_t body_crc;
};

void nrs_jseg_path(char out[JPATH], uint32_t seg, const char *ext);
/* The number in "NNNNNNNN.ext", 0 when name is something else. */
uint32_t nrs_jseg_number(const char *name, const char *ext);
void nrs_jseg_encode(uint8_t out[JSEG_HEADER], uint32_t seg, const uint8_t salt[JSEG_SALT],
    const struct nrs_hash *origin);
int nrs_jseg_decode(const uint8_t *p, size_t len, uint32_t seg,
    const struct nrs_hash *origin, uint32_t *ret_salt_crc,
    const char **ret_why) NRS_MUST_CHECK;
void nrs_jkey_encode(uint8_t out[JKEY_FILE], uint32_t seg, const uint8_t wrapped[JWRAPPED]);
int nrs_jkey_decode(
    const uint8_t *p, size_t len, uint32_t seg, uint8_t wrapped[JWRAPPED]) NRS_MUST_CHECK;

/* The flags that a type may have. */
uint8_t nrs_jframe_flags(uint8_t type);

/*
 * Frame CRCs begin with the salt, so its CRC is all that is kept of it.  seal
 * writes header and padding around a body that stands at p + JFRAME_HEAD.
 */
uint32_t nrs_jsalt_crc(const uint8_t salt[JSEG_SALT]);
void nrs_jframe_seal(uint8_t *p, uint32_t salt_crc, uint8_t type, uint8_t flags,
    uint32_t len, uint64_t batch);
/* NRS_ECORRUPT, NRS_EVERSION (sound, but of a type or flag unknown here). */
int nrs_jhead_decode(
    struct nrs_jhead *ret, const uint8_t p[JFRAME_HEAD], uint32_t salt_crc) NRS_MUST_CHECK;
/* Header, body and padding, all within left bytes. */
int nrs_jframe_check(
    struct nrs_jhead *ret, const uint8_t *p, size_t left, uint32_t salt_crc) NRS_MUST_CHECK;
bool nrs_jbody_ok(const struct nrs_jhead *h, const uint8_t *body, uint32_t salt_crc);
/* Appends one whole frame; on failure b is as it was. */
int nrs_jframe_put(struct nrs_buf *b, uint32_t salt_crc, uint8_t type, uint8_t flags,
    uint64_t batch, const struct nrs_str *parts, unsigned int nparts) NRS_MUST_CHECK;
/* Appends the COMMIT of the batch that stands in b from start; base = offset of b in its file. */
int nrs_jcommit_put(struct nrs_buf *b, size_t start, size_t base, uint32_t salt_crc,
    uint64_t batch, uint32_t frames) NRS_MUST_CHECK;

/* image.c: a whole segment in memory, and what of it is valid */

/* Does the COMMIT at p + at fit the batch of so many frames from p + start? */
bool nrs_jcommit_ok(const uint8_t *p, size_t start, size_t at, uint32_t frames);

struct nrs_jimage {
	uint32_t seg;
	nrs_file file;
	uint8_t *p;
	size_t len;
	int header_rc; /* 0: salt_crc is known */
	const char *why;
	uint32_t salt_crc;
	/* the walk */
	size_t off;	/* end of the last valid batch */
	size_t start;	/* its beginning */
	size_t bad;	/* where the walk stopped */
	uint64_t batch; /* of the last valid batch; 0: none yet */
};

/*
 * Reads the file; a segment that recovery will append to is synced first and
 * then read around the cache, so that what is believed is what is on the medium.
 */
int nrs_jimage_load(struct nrs_env *env, const struct nrs_hash *origin, uint32_t seg,
    bool tail, struct nrs_jimage *ret, struct nrs_detail *d) NRS_MUST_CHECK;
void nrs_jimage_fini(struct nrs_env *env, struct nrs_jimage *im);
/* 1: one more valid batch (start..off); 0: none here, see bad and why; NRS_EVERSION. */
int nrs_jimage_next(struct nrs_jimage *im) NRS_MUST_CHECK;
/* Calls each() for the frames of the batch just found, COMMIT left out, from position from. */
int nrs_jimage_each(const struct nrs_jimage *im, uint64_t from,
    int (*each)(void *arg, const struct nrs_jframe *f), void *arg) NRS_MUST_CHECK;
/* Has anything after off the header of a frame of a batch above min? */
bool nrs_jimage_later(const struct nrs_jimage *im, size_t off, uint64_t min);
/* The same question where the salt is lost: does anything look like a later COMMIT? */
bool nrs_jimage_looks_used(const struct nrs_jimage *im);
bool nrs_jimage_zero(const struct nrs_jimage *im, size_t off);
/* The STATE of the batch just found. */
int nrs_jimage_state(const struct nrs_jimage *im, uint32_t *ret_prev, uint32_t *ret_end,
    uint64_t *ret_event, struct nrs_rd *ret) NRS_MUST_CHECK;
int nrs_jfail(struct nrs_detail *d, int code, uint32_t seg, const char *ext, uint64_t off,
    const char *why);

/* roll.c: the beginning of a segment */
#define JROLL_STEPS 8
struct nrs_jroll {
	uint32_t seg;
	uint32_t prev;
	uint32_t prev_end;
	uint64_t batch; /* of STATE */
	uint32_t salt_crc;
	uint8_t seed_in[JSEED + 8]; /* seed, segment: the request to wrap it */
	uint8_t wrapped[JWRAPPED];
	bool is_wrapped;
	unsigned int flushes; /* consecutive cache flushes without a failure to report */
	uint8_t key[JKEY_FILE];
	struct nrs_buf buf; /* segment header, STATE, COMMIT */
	nrs_file file;
	nrs_file key_file;
	char seg_path[JPATH];
	char key_path[JPATH];
};

struct nrs_jroll *nrs_jroll_new(struct nrs_env *env, const struct nrs_hash *origin,
    uint32_t seg, uint32_t prev_end, uint64_t batch);
void nrs_jroll_free(struct nrs_env *env, struct nrs_jroll *r);
/* STATE and COMMIT; encode may be NULL: no origin, no community. */
int nrs_jroll_state(struct nrs_jroll *r, uint64_t next_event,
    int (*encode)(void *arg, struct nrs_buf *b), void *arg) NRS_MUST_CHECK;
void nrs_jroll_sign(struct nrs_jroll *r, struct nrs_sign *s);
/* Opens the files and fills steps: they may be done any number of times. */
int nrs_jroll_steps(struct nrs_env *env, struct nrs_jroll *r, uint64_t segment_bytes,
    nrs_file old, struct nrs_io_step *steps, unsigned int *ret_n) NRS_MUST_CHECK;

/* batch.c */
struct nrs_jwaits {
	struct nrs_jwait *first;
	struct nrs_jwait **last;
};

struct nrs_jbatch {
	struct nrs_buf buf;
	uint64_t number; /* 0: not begun */
	uint32_t seg;
	uint32_t off;
	uint32_t frames;
	uint32_t salt_crc;
	struct nrs_jroll *roll; /* the segment to begin before it may be written */
	struct nrs_jwaits waits;
};

enum nrs_jphase {
	JPHASE_IDLE,
	JPHASE_FLUSH, /* waiting for the caches to be durable */
	JPHASE_SIGN,  /* waiting for the wrapped seed */
	JPHASE_ROLL,  /* a new segment is being written */
	JPHASE_WRITE, /* the batch is being written */
	JPHASE_STALL, /* no space: nrs_journal_retry() goes on */
	JPHASE_FAILED
};

#define JHANDLES 16
struct nrs_jhandle {
	uint32_t seg; /* 0: free */
	nrs_file file;
	uint32_t salt_crc;
	uint64_t used; /* when, for replacement */
};

struct nrs_journal {
	struct nrs_env *env;
	const struct nrs_journal_ops *ops;
	void *arg;
	struct nrs_hash origin;
	uint64_t segment_bytes;
	struct nrs_digest *dg;
	struct nrs_sealer *sealer;

	/* where the next batch will stand */
	uint32_t seg;
	uint32_t used;
	uint32_t salt_crc;
	uint64_t next_batch;
	uint64_t next_event;
	bool must_roll; /* the tail of this segment was cut */

	/* what is durable */
	uint64_t batch;
	uint32_t end_seg;
	uint32_t end_off;
	nrs_file file; /* of end_seg */
	uint32_t file_salt_crc;

	enum nrs_jphase phase;
	bool full;
	struct nrs_jbatch form;
	struct nrs_jbatch flight;
	struct nrs_io io;
	struct nrs_io_step steps[JROLL_STEPS];
	struct nrs_sign sign;

	/* waits that have nothing to wait for */
	struct nrs_io turn;
	struct nrs_jwaits turn_waits;
	bool turn_flying;

	uint8_t (*seeds)[JSEED]; /* of segment i + 1 */
	size_t nseeds;
	size_t seeds_cap;

	struct nrs_jhandle handles[JHANDLES];
	uint64_t handle_clock;
};

int nrs_jseed_add(struct nrs_journal *j, const uint8_t seed[JSEED]) NRS_MUST_CHECK;
void nrs_jbatch_init(struct nrs_jbatch *b);
void nrs_jbatch_fini(struct nrs_env *env, struct nrs_jbatch *b);
/* read.c */
void nrs_jhandles_close(struct nrs_journal *j);
/* record.c */
void nrs_jrecord_layout(uint8_t *p, const struct nrs_jrecord *r, uint32_t sealed_len,
    const uint8_t nonce[16], uint32_t seed_segment);

#endif
