/*
 * The environment: all that libnoroshi sees of the world.
 *
 * lib/ decides, the environment does.  The daemon supplies a real one
 * (libevent, files, threads, a keeper process); the simulator supplies one
 * whose disks tear, whose links lie and whose completions come in any order.
 *
 * Rules of the contract
 *  - All calls are made from one thread, the engine's, except the body of a
 *    job (nrs_job.run), which may run anywhere and sees immutable input only.
 *  - A completion is never called from inside the call that asked for it.
 *  - Completions may come in any order, except those of io_submit(), which
 *    come in the order of submission.
 *  - Memory named in a request stays the caller's and stays valid and
 *    unchanged until its completion; the environment copies nothing.
 */
#ifndef NOROSHI_ENV_H
#define NOROSHI_ENV_H

#include <noroshi/err.h>
#include <noroshi/types.h>

struct nrs_env;

/* --- storage ---------------------------------------------------------- */

/* A handle of the environment's; 0 is never a file. */
typedef uint32_t nrs_file;

enum nrs_io_op {
	NRS_IO_PWRITE,	 /* file, off, data, len */
	NRS_IO_SYNC,	 /* file: its data is on the medium (fdatasync) */
	NRS_IO_PREALLOC, /* file, off = size: room is reserved, reads as zeros */
	NRS_IO_TRUNCATE, /* file, off = new size */
	NRS_IO_PUNCH,	 /* file, off, len: reads as zeros, space given back */
	NRS_IO_RENAME,	 /* path -> path2, within the data directory */
	NRS_IO_UNLINK,	 /* path; absent is success */
	NRS_IO_SYNCDIR,	 /* path: names in this directory are on the medium */
	NRS_IO_REREAD, /* file, off, data (a buffer to fill), len: past the cache if it can */
};

struct nrs_io_step {
	enum nrs_io_op op;
	nrs_file file;
	uint64_t off;
	void *data;
	size_t len;
	const char *path; /* relative to the data directory */
	const char *path2;
};

/*
 * Steps done in order; the first failure ends the request.  rc is 0,
 * NRS_EFULL (no space: nothing is damaged, the file is as it was or has a tail
 * that was never acknowledged), or NRS_EIO, after which nothing that was
 * written and not synced may be believed.  failed is the number of the step.
 */
struct nrs_io {
	struct nrs_io_step *steps;
	unsigned int nsteps;
	int rc;
	unsigned int failed;
	void (*done)(struct nrs_io *io); /* called on the engine's thread */
	void *arg;
	struct nrs_io *next; /* for the environment while in flight */
};

#define NRS_OPEN_CREATE 1u /* create, fail if it exists */
#define NRS_OPEN_WRITE	2u
#define NRS_OPEN_MAYBE	4u /* with WRITE: create if absent */

/* --- jobs: pure work on immutable input -------------------------------- */

#define NRS_WORKERS_MAX 64

struct nrs_job {
	void (*run)(struct nrs_job *job);  /* anywhere; no environment calls */
	void (*done)(struct nrs_job *job); /* on the engine's thread */
	void *arg;
	/*
	 * Set before run(): which worker runs it.  Two jobs with one number never run
	 * at the same time, and one sees what the other left: a place to keep tools.
	 */
	unsigned int worker;
	struct nrs_job *next;
};

/* --- signer: the keeper ------------------------------------------------ */

enum nrs_sign_what {
	NRS_SIGN_HEADERS,    /* in: n record headers of 232 bytes; out: n * 64 bytes */
	NRS_SIGN_CHECKPOINT, /* in: checkpoint text; out: 64 bytes by the log key */
	NRS_SIGN_STATEMENT,  /* in: membership statement text; out: 64 by the feed key */
	NRS_SIGN_COSIGN, /* in: u64 seconds, checkpoint text; out: 64 by the witness key */
	NRS_KEK_WRAP,	 /* in: seed[32], segment number u64; out: wrapped, 60 bytes */
	NRS_KEK_UNWRAP,	 /* in: wrapped[60], segment number u64; out: seed[32] */
};

struct nrs_sign {
	enum nrs_sign_what what;
	const uint8_t *in;
	size_t in_len;
	uint8_t *out;
	size_t out_len; /* in: room; out: bytes written */
	int rc;
	void (*done)(struct nrs_sign *s);
	void *arg;
	struct nrs_sign *next;
};

/* --- network ----------------------------------------------------------- */

/* A connection, numbered by the environment; 0 is none, numbers are not reused. */
typedef uint64_t nrs_conn;

/* --- log --------------------------------------------------------------- */

enum nrs_level {
	NRS_LOG_ERROR = 3,
	NRS_LOG_WARNING = 4,
	NRS_LOG_NOTICE = 5,
	NRS_LOG_INFO = 6,
	NRS_LOG_DEBUG = 7
};

/* --- small key-value cache (idempotence, indexes); never the truth ------ */

struct nrs_kv_item {
	uint8_t key[16];
	uint64_t value;
};

struct nrs_env_ops {
	/* clocks */
	struct nrs_wall (*wall)(struct nrs_env *e);
	struct nrs_mono (*mono)(struct nrs_env *e);
	/* Calls node_on_timer() once, not before t; a new call replaces the old. */
	void (*wake_at)(struct nrs_env *e, struct nrs_mono t);

	/* len bytes of cryptographic randomness; cannot fail */
	void (*random)(struct nrs_env *e, void *buf, size_t len);

	/* storage: reads are synchronous, writes are submitted */
	int (*file_open)(
	    struct nrs_env *e, const char *path, unsigned int flags, nrs_file *ret_file);
	void (*file_close)(struct nrs_env *e, nrs_file f);
	int (*file_size)(struct nrs_env *e, nrs_file f, uint64_t *ret_size);
	/* Reads up to len; short only at the end of the file. */
	int (*file_pread)(struct nrs_env *e, nrs_file f, uint64_t off, void *buf,
	    size_t len, size_t *ret_len);
	int (*dir_make)(struct nrs_env *e, const char *path); /* existing is success */
	/* Calls each() for every name in the directory, in no order. */
	int (*dir_list)(struct nrs_env *e, const char *path,
	    void (*each)(void *arg, const char *name), void *arg);
	/* Does the steps before it returns; for opening and recovery only. */
	int (*io_run)(struct nrs_env *e, struct nrs_io *io);
	/* The journal's stream: done in order, by the commit thread. */
	void (*io_submit)(struct nrs_env *e, struct nrs_io *io);

	/* pure work; done() in any order */
	void (*job_submit)(struct nrs_env *e, struct nrs_job *job);

	/* the keeper; done() in order of submission */
	void (*sign)(struct nrs_env *e, struct nrs_sign *s);
	/* Does one request before it returns; for opening and recovery only. */
	int (*sign_run)(struct nrs_env *e, struct nrs_sign *s);

	/*
	 * Is sig a signature of msg by pub under alg?  0 or NRS_ESIG.  A pure
	 * function that jobs call; the simulator puts a MAC here.
	 */
	int (*verify)(uint8_t alg, const uint8_t *pub, size_t pub_len, const uint8_t *msg,
	    size_t msg_len, const uint8_t *sig, size_t sig_len);

	/*
	 * network.  dial() asks for one connection to a peer; the environment
	 * tries its addresses and answers with node_on_connected() or
	 * node_on_dial_failed().  send() takes bytes into the connection's
	 * queue; unsent() says how many of them the network has not taken yet,
	 * node_on_writable() comes when it falls to a quarter of the high mark.
	 * close() is final: no call about conn follows it.
	 */
	void (*dial)(struct nrs_env *e, const char *peer);
	int (*send)(struct nrs_env *e, nrs_conn c, const void *buf, size_t len);
	size_t (*unsent)(struct nrs_env *e, nrs_conn c);
	void (*close)(struct nrs_env *e, nrs_conn c);

	/* one line for the operator: subject, fact and reason; no secrets, no values */
	void (*log)(
	    struct nrs_env *e, enum nrs_level lvl, const char *subject, const char *text);

	/* a cache: get is 0 or NRS_ENOTFOUND; put is applied with the mark, atomically */
	int (*kv_get)(struct nrs_env *e, const uint8_t key[16], uint64_t *ret_value);
	void (*kv_put)(
	    struct nrs_env *e, const struct nrs_kv_item *items, size_t n, uint64_t mark);
	uint64_t (*kv_mark)(struct nrs_env *e); /* last durable mark; 0 = empty */
	void (*kv_clear)(struct nrs_env *e);
};

/* Embedded first in the environment's own struct. */
struct nrs_env {
	const struct nrs_env_ops *ops;
};

#endif
