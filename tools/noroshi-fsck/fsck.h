/*
 * The parts of noroshi-fsck: the directory, the model of the node that the
 * frames add up to, the work done in threads, and the caches.
 *
 * It is a second opinion: it shares the readers of bytes with the daemon
 * (lib/journal, lib/record, lib/tlog), and none of what decides in lib/node.
 */
#ifndef FSCK_FSCK_H
#define FSCK_FSCK_H

#include "base/map.h"
#include "crypto/digest.h"
#include "journal/journal.h"
#include "journal/walk.h"
#include "record/manifest.h"
#include "record/record.h"
#include "record/statement.h"
#include "tlog/checkpoint.h"
#include "tlog/tree.h"
#include "tools/noroshi-fsck/report.h"

/* Elements of one size; what was never set is zero. */
struct vec {
	uint8_t *p;
	size_t esize;
	uint64_t n;
	uint64_t cap;
};
/* Makes room up to element i; NULL: no memory. */
void *vec_set(struct vec *v, uint64_t i);
/* NULL beyond the end. */
const void *vec_get(const struct vec *v, uint64_t i);
void vec_fini(struct vec *v);

/* --- the model ------------------------------------------------------------ */

struct m_manifest {
	struct nrs_manifest m;
	uint64_t index; /* in the log; NRS_NONE: not in it yet */
	struct nrs_hash note;
};

struct m_audience {
	struct nrs_hash id;
	uint8_t type;
	uint64_t next, base, newest_index;
	struct nrs_hash head;
	uint32_t epoch;
	struct vec index;    /* u64: log index + 1 */
	uint64_t state_next; /* as of the last STATE */
	uint64_t lost_seen;
	bool seen;
};
enum { AUD_COMMUNITY = 0, AUD_DIRECT = 1 };

struct m_origin {
	char name[NRS_ORIGIN_MAX + 1];
	struct nrs_hash id;
	bool own, frozen;
	bool broken; /* leaves are unknown: the tree cannot be computed */
	struct m_manifest *manifests;
	unsigned int nmanifests;
	struct nrs_frontier put;
	struct nrs_frontier edge;	   /* at the newest checkpoint */
	struct vec leaf;		   /* hash; zero: not known */
	struct vec pos;			   /* u64 */
	struct vec leaves_pos;		   /* u64, of records opened since the last STATE */
	struct vec level[NRS_TILE_LEVELS]; /* from 1 on */
	uint64_t opened, refused, kept, on_checkpoint;
	bool has_cp;
	struct nrs_checkpoint cp;
	struct nrs_hash cp_note;
	struct nrs_map *audiences;
	uint64_t state_size;
	uint64_t bridged_from, bridged_to; /* leaves taken from the cache, not proven yet */
	uint64_t lost_seen;
	bool seen;
};

struct m_epoch {
	struct nrs_statement s;
	struct nrs_hash note;
};

struct m_community {
	struct nrs_hash id;
	bool trusted, frozen;
	unsigned int n;
	struct m_epoch *v;
	bool has_rival;
	struct nrs_hash rival;
	bool seen;
};

struct m_range { /* of a disclosure that is open */
	uint64_t pos;
	struct nrs_hash body;
};

struct m_hole { /* positions that nothing sound stands in */
	uint64_t from, to;
};

/* --- files ------------------------------------------------------------------ */

struct seg {
	uint32_t no;   /* by its header, or by its name where that is damaged */
	uint32_t file; /* by its name */
	char name[32];
	char key_name[32];
	bool missing;
	bool no_key; /* the newest may have none, while it holds no payload */
	uint8_t seed[32];
	bool has_seed;
};

/* --- work in threads -------------------------------------------------------- */

enum job_what { JOB_RECORD, JOB_REFUSED, JOB_CHECKPOINT };

struct job {
	enum job_what what;
	struct place at;
	const struct m_origin *origin;
	uint64_t index;
	const uint8_t *header;
	struct nrs_str sigs;
	struct nrs_jrecord_view v;
	const uint8_t *seed; /* NULL: the body stays closed */
	struct nrs_pubkey key;
	struct nrs_str note;
	bool doubt; /* keys may be missing, with frames that were lost */
	bool list;  /* it is the list of a direct audience */
	/* findings */
	bool opened;
	bool scanned;
	uint32_t objects;
	/* what the event says; checked when all is known */
	bool has_event;
	uint32_t event_objects;
};

struct fsck;
struct pool;
int pool_new(struct fsck *f, unsigned int threads, struct pool **ret) NRS_MUST_CHECK;
void pool_free(struct pool *p);
/* A job for the threads, zeroed; hand it over with pool_push(). NULL: no memory. */
struct job *pool_job(struct pool *p);
void pool_push(struct pool *p, struct job *j);
/* Until all are done; each() sees every job of this round, in order. */
void pool_drain(struct pool *p, void (*each)(struct fsck *f, struct job *j));
/* record.c: one job, on any thread. */
void job_run(struct fsck *f, struct job *j, struct nrs_digest *dg, struct nrs_buf *buf);

/* --- all of it ---------------------------------------------------------------- */

struct counts {
	uint64_t bytes, frames, batches, records, on_checkpoint, refused, opened, unopened,
	    leaves, controls, checkpoints, events, statements, disclosures, signatures,
	    caches;
};

struct fsck {
	const char *dir;
	const char *keys; /* NULL: looked for */
	unsigned int jobs;
	bool live;
	struct report rep;
	struct counts counts;
	int dirfd;
	bool has_kek;
	uint8_t kek[32];
	struct nrs_hash self; /* origin id of this node */
	uint8_t seed[16];
	struct seg *segs;
	uint32_t nsegs;
	uint32_t limit;		/* the last segment is looked at up to here */
	uint64_t journal_bytes; /* no count of anything can be above this */

	struct nrs_digest *dg;
	struct pool *pool;
	bool failed; /* no memory */
	/* damage so far: what does not fit because of it is not told again */
	uint64_t lost;
	uint64_t counts_lost; /* as of the last STATE: before it all is known again */

	struct m_origin **origins;
	size_t norigins;
	struct m_community **communities;
	size_t ncommunities;
	uint64_t next_event, event_ms, events_seen;
	struct vec events; /* u64 */
	uint64_t state_event;
	bool any_state;
	struct vec holes;  /* struct m_hole */
	struct vec ranges; /* struct m_range */
	uint64_t ranges_seen;

	const struct seg *cur;	 /* the segment that is read */
	struct job *pending[64]; /* records of this batch that wait for their event */
	unsigned int npending;
};

/* Something was lost since this was last known to be right? Then it is a consequence. */
bool excused(struct fsck *f, uint64_t *seen);
/* What stood there is lost. */
void model_lose(struct fsck *f, uint64_t pos, uint64_t len);
bool model_in_hole(const struct fsck *f, uint64_t pos);
struct place place_of(const struct fsck *f, const struct nrs_jframe *fr);

/* dir.c */
int dir_open(struct fsck *f);
void dir_close(struct fsck *f);
/* A whole file, at most max; malloc'd. */
int dir_read(
    struct fsck *f, const char *path, uint64_t max, uint8_t **ret, size_t *ret_len);
int dir_part(struct fsck *f, const char *path, uint64_t off, void *buf, size_t len);
int dir_size(struct fsck *f, const char *path, uint64_t *ret);
int dir_segments(struct fsck *f);
bool dir_live(struct fsck *f);
void dir_keys(struct fsck *f);
/* Size of the own log that the keeper signed; 0: not known. */
uint64_t dir_signed(struct fsck *f);

/* model.c */
struct m_origin *model_origin(struct fsck *f, const struct nrs_hash *id);
struct m_origin *model_origin_new(struct fsck *f, const char *name);
struct m_audience *model_audience(
    struct fsck *f, struct m_origin *o, const struct nrs_hash *id, bool make);
struct m_community *model_community(struct fsck *f, const struct nrs_hash *id, bool make);
int model_leaf(
    struct fsck *f, struct m_origin *o, const struct nrs_hash *leaf, uint64_t pos);
/* Leaves lost with a frame, from the cache: proven or not by what is signed later. */
bool model_bridge(struct fsck *f, struct m_origin *o, uint64_t to);
int model_push_manifest(struct fsck *f, struct m_origin *o, const uint8_t *note, size_t len,
    uint64_t index, struct nrs_detail *d);
const struct nrs_manifest *model_manifest_at(const struct m_origin *o, uint64_t index);
const struct nrs_manifest *model_manifest_for_size(const struct m_origin *o, uint64_t size);
void model_free(struct fsck *f);
/* One more statement of the chain, or evidence against one. */
int model_statement(struct fsck *f, struct m_community *c, struct nrs_statement *s,
    const struct nrs_hash *note);

/* frames.c */
void frame_bad(struct fsck *f, const struct nrs_jframe *fr, int rc);
/* Of an origin that nothing has introduced; NULL then. */
struct m_origin *frame_origin(
    struct fsck *f, const struct nrs_jframe *fr, const struct nrs_hash *id);
/* The next entry of a log: is it the one after the last? */
bool frame_follows(
    struct fsck *f, struct m_origin *o, const struct place *at, uint64_t index);
/* records.c, members.c: by type */
void frame_record(struct fsck *f, const struct nrs_jframe *fr);
void frame_refused(struct fsck *f, const struct nrs_jframe *fr);
void frame_event(struct fsck *f, const struct nrs_jframe *fr);
void frame_statement(struct fsck *f, const struct nrs_jframe *fr);
void frame_disclosure(struct fsck *f, const struct nrs_jframe *fr);
void frame_apply(struct fsck *f, const struct nrs_jframe *fr);
void frame_batch_end(struct fsck *f);
void frame_job_end(struct fsck *f, struct job *j);
/* What a damaged frame held, as far as it can be read. */
void frame_guess(
    struct fsck *f, const struct nrs_jwalk_item *it, struct place *at, char touched[240]);

/* state.c */
void state_apply(struct fsck *f, const struct nrs_jframe *fr);

/* cache.c */
void caches_check(struct fsck *f);

#endif
