/*
 * What this machine can do, measured in the same run as what stands beside it.
 *
 * Each limit is one thread doing nothing else for the given seconds, in the
 * way the daemon does it: prefetched algorithms, reused contexts.  0 means
 * that it could not be measured.
 */
#ifndef BENCH_LIMITS_H
#define BENCH_LIMITS_H

#include <noroshi/types.h>

#include "tools/noroshi-bench/bench.h"

double limit_verify(double seconds); /* Ed25519 verifications/s of 232-byte headers */
double limit_sign(double seconds);   /* Ed25519 signatures/s, likewise */
double limit_node(double seconds);   /* hashes/s of 65 bytes */
double limit_exec(void); /* seconds from fork to the end of a process that does nothing */

struct limit_append {
	double mb_s;	       /* 1e6 bytes/s */
	double syncs_s;	       /* batches/s */
	double p50_us, p99_us; /* of one fdatasync */
};
/* Appends batches of so many bytes, one pwrite and one fdatasync each, as the journal does. */
int limit_append(
    struct bench *b, size_t batch, double seconds, struct limit_append *ret) NRS_MUST_CHECK;
/* Sequential write of large blocks, an fdatasync every 64 MiB: bytes/s. */
double limit_write(struct bench *b, double seconds);

/* --- floors: stages together ------------------------------------------- */

/* What goes from stage to stage. A stage may replace p and len by memory of its own item. */
struct limit_item {
	const uint8_t *src; /* one of the inputs, never written to */
	size_t src_len;
	const uint8_t *p; /* as the stage before left it; first: src */
	size_t len;
	uint8_t *
	    buf[2]; /* each buf_cap bytes, for stages to write into; p may be one of them */
	size_t buf_cap;
};
/* The buffer that p is not in. */
uint8_t *limit_other(const struct limit_item *it);

/*
 * A stage.  Stages of one lane run in the same thread, one after the other,
 * as in the daemon; lanes are numbered 0, 1, ... in the order of the stages,
 * with a queue between them.
 */
struct limit_stage {
	const char *name;
	unsigned int lane;
	unsigned int threads; /* of the lane: told by its first stage; 0 is 1 */
	size_t batch; /* items in one call at most: told by a lane's first stage; 0 is 1 */
	size_t least; /* it waits for so many: likewise */
	void *(*open)(void *
		arg); /* one context for each thread; NULL: arg itself. Returns NULL: failed */
	int (*work)(void *ctx, struct limit_item **items, size_t n);
	void (*close)(void *ctx);
	void *arg;
};

struct limit_floor {
	double items_s; /* all stages together, as told */
	double bytes_s; /* of src */
	double implied; /* items/s: min(slowest lane, processors / processor time of all) */
	double share;	/* items_s / implied */
	bool valid;	/* share >= 0.8 */
	size_t batch;	/* items in a call of the last lane, on average */
	unsigned int n;
	struct {
		const char *name;
		double items_s; /* alone */
		double cpu_us;	/* processor time for one item */
	} stage[16];
};

/*
 * Each stage alone, then all together, for so many seconds each; the inputs
 * are gone through in turn.  buf_cap: see struct limit_item.
 */
int limit_together(struct bench *b, const struct limit_stage *stages, unsigned int n,
    const struct nrs_str *inputs, size_t ninputs, size_t buf_cap, double seconds,
    struct limit_floor *ret) NRS_MUST_CHECK;
/* Rows NAME.floor, NAME.floor.STAGE for each, and the verdict as a note. */
void limit_floor_rows(struct bench *b, const char *name, const struct limit_floor *f);

/* Ready stages; set lane, threads and batch. */
struct limit_stage limit_stage_tls(
    struct bench *b); /* src through TLS 1.3: a second thread writes, this one reads */
struct limit_stage limit_stage_sha256(void); /* of p */
struct limit_stage limit_stage_aead(
    void); /* p becomes its sealed form, with a key of its own */
/* p of all items of the call: one pwrite, one fdatasync, into preallocated files of 64 MiB. */
struct limit_stage limit_stage_store(struct bench *b);

#endif
