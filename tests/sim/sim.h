/*
 * The deterministic simulator: what its files share.
 *
 * One process, one thread, one virtual clock, one generator of random numbers.
 * Machines with disks that tear (disk.c), an environment whose completions come
 * in any order (env.c), links that drop, delay and cut (net.c), a script of
 * operators, submitters and faults (world.c), and what must hold whatever
 * happens (check.c).  The same seed gives the same run, byte for byte.
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include <noroshi/env.h>
#include <noroshi/limits.h>

#include "base/buf.h"
#include "base/map.h"
#include "crypto/digest.h"
#include "node/node.h"
#include "record/manifest.h"
#include "tlog/tree.h"

#define SIM_NODES_MAX 8
#define SIM_US	      1000ULL
#define SIM_MS	      1000000ULL
#define SIM_S	      1000000000ULL
#define SIM_MARKER    "simval" /* in every payload, and never in a log line */
#define SIM_COMMUNITY "iwwn"

struct sim;
struct snode;
struct mal;

/* --- random numbers ---------------------------------------------------- */

struct rng {
	uint64_t s[4];
};
void rng_seed(struct rng *r, uint64_t seed);
uint64_t rng_u64(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t n); /* 0 for n == 0 */
uint64_t rng_range(struct rng *r, uint64_t lo, uint64_t hi);
bool rng_chance(struct rng *r, unsigned int num, unsigned int den);
void rng_fill(struct rng *r, void *p, size_t len);

/* --- events ------------------------------------------------------------ */

struct sim_ev {
	uint64_t t;
	uint64_t seq;
	void (*fn)(struct sim *s, const struct sim_ev *e);
	struct snode *who; /* NULL: the world's; else dropped when it has crashed since */
	uint32_t inc;
	void *p;
	uint64_t a;
};
void sim_after(struct sim *s, uint64_t dt, void (*fn)(struct sim *, const struct sim_ev *),
    struct snode *who, void *p, uint64_t a);
/* An invariant does not hold: prints how to see it again, and ends the process. */
void sim_fail(struct sim *s, const char *invariant, const char *fmt, ...) NRS_PRINTF(3, 4)
    __attribute__((noreturn));
void sim_trace(struct sim *s, const char *fmt, ...) NRS_PRINTF(2, 3);

/* --- disk.c ------------------------------------------------------------ */

struct disk;
struct disk *disk_new(struct rng *r);
void disk_free(struct disk *d);
/* No power: what was not synced is kept or lost, sector by sector, name by name. */
void disk_crash(struct disk *d);
/* The process ended: handles are gone, the page cache is not. */
void disk_restart(struct disk *d);
int disk_open(struct disk *d, const char *path, unsigned int flags, nrs_file *ret);
void disk_close(struct disk *d, nrs_file f);
int disk_size(struct disk *d, nrs_file f, uint64_t *ret);
int disk_pread(
    struct disk *d, nrs_file f, uint64_t off, void *buf, size_t len, size_t *ret);
int disk_mkdir(struct disk *d, const char *path);
int disk_list(
    struct disk *d, const char *path, void (*each)(void *arg, const char *name), void *arg);
int disk_step(struct disk *d, const struct nrs_io_step *s);
/* The power goes in the middle of this step: some of it has happened. */
void disk_step_torn(struct disk *d, const struct nrs_io_step *s);
const char *disk_path(struct disk *d, nrs_file f);
unsigned int disk_handles(const struct disk *d);
void disk_set_full(struct disk *d, bool full);
/* The next sync fails and leaves pages that are neither written nor dirty. */
void disk_set_eio(struct disk *d);
bool disk_eio_hit(const struct disk *d);
/* Some of what is dirty reaches the medium by itself. */
void disk_writeback(struct disk *d);

/* --- coverage ---------------------------------------------------------- */

enum proto {
	PROTO_RECORDS,	  /* a batch with records */
	PROTO_LEAVES,	  /* a batch with leaves of another origin */
	PROTO_CHECKPOINT, /* a batch with a checkpoint */
	PROTO_STATEMENT,  /* a batch with a membership statement */
	PROTO_FIRST,	  /* the first batch of a segment */
	PROTO_ROLL,	  /* a new segment */
	PROTO_CACHE,	  /* a flush of caches */
	PROTO_CREATE,	  /* a new data directory */
	PROTO_READ,	  /* recovery: the tail is read again */
	PROTO_NAMES,	  /* recovery: what is there is made durable */
	PROTO_CUT,	  /* recovery: the tail is cut */
	PROTO_UNUSED,	  /* recovery: a segment that was never used is removed */
	PROTO_KEEPER,	  /* a checkpoint is signed */
	PROTO__MAX
};
#define COV_STEPS 12
enum { COV_BEFORE, COV_INSIDE, COV_AFTER, COV__MAX };
struct cov {
	uint64_t done[PROTO__MAX][COV_STEPS];
	uint8_t op[PROTO__MAX][COV_STEPS];
	uint64_t crash[PROTO__MAX][COV_STEPS][COV__MAX];
	uint64_t crashes, kills, partitions, eio, full, records, seeds, events, opens;
	uint64_t acked, resubmitted, refused_mal, mal_seeds, idempotent, on_checkpoint;
	uint64_t signed_again; /* checkpoints whose frame was lost */
};
extern struct cov *sim_cov; /* shared by all processes of a run */
void cov_add(uint64_t *p, uint64_t n);
/* Was every step of every protocol that ran interrupted? */
bool cov_print(const struct cov *c);

/* --- keys -------------------------------------------------------------- */

enum key_role {
	KEY_ROOT,
	KEY_NEXT,
	KEY_FEED,
	KEY_LOG,
	KEY_WITNESS,
	KEY_TLS,
	KEY_FEED2,
	KEY__MAX
};
struct keys {
	struct nrs_seckey *sec[KEY__MAX];
	struct nrs_pubkey pub[KEY__MAX];
	struct nrs_hash pin;
};
extern bool keys_real; /* Ed25519 instead of the MAC */
void keys_init(struct keys *k, const char *origin);
void keys_sign(
    const struct keys *k, enum key_role role, const void *msg, size_t len, uint8_t sig[64]);
int keys_verify(uint8_t alg, const uint8_t *pub, size_t pub_len, const uint8_t *msg,
    size_t msg_len, const uint8_t *sig, size_t sig_len);
/* Text and one signature line: a note. */
void keys_note(struct nrs_buf *b, const struct keys *k, enum key_role role,
    const char *origin, const char *suffix, const void *text, size_t len);
/* Manifest 0, or 1 with the second feed key, signed by the next root. */
void keys_manifest(struct nrs_buf *b, const struct keys *k, const char *origin,
    unsigned int number, const struct nrs_manifest *prev);

/* --- env.c: a machine --------------------------------------------------- */

/* What the keeper remembers durably. */
struct keeper {
	bool any;
	uint64_t size;
	struct nrs_hash root;
};

struct kv_put {
	uint8_t key[16];
	uint64_t value;
};
struct kv {
	struct kv_put *puts;
	size_t nputs, cap;
	struct kv_mark {
		uint64_t mark;
		size_t end;
	} * marks;
	size_t nmarks, marks_cap, durable; /* marks that a crash keeps */
	struct nrs_map *map;
};

struct shown { /* one line that the subscriber was given */
	uint64_t event;
	uint64_t n;
	uint64_t index;
	uint32_t object;
	uint8_t origin;
	uint64_t hash;
};

struct snode {
	struct nrs_env env; /* first */
	struct sim *sim;
	unsigned int id;
	char name[64];
	struct keys keys;
	struct nrs_buf manifest;
	struct nrs_hash origin_id;
	struct node_config cfg;
	struct node_peer_config peers[SIM_NODES_MAX + 1];
	bool catch_up; /* takes backlogs of honest origins on their checkpoints */

	struct node *node; /* NULL: down */
	uint32_t inc;	   /* counts crashes */
	bool created;	   /* was open at least once */
	bool opening;
	bool dead;	/* the power went inside an open: nothing works any more */
	int open_steps; /* steps until then; -1: never */
	bool eio_allowed;
	struct disk *disk;
	struct keeper keeper;
	struct kv kv;
	uint64_t boot;
	int64_t skew_ms;

	struct nrs_io *io_first, **io_last;
	unsigned int io_step;
	bool io_busy;
	unsigned int io_protos;
	bool rolled; /* the request before began a segment */
	unsigned int jobs;
	struct nrs_sign *sign_first, **sign_last;
	bool sign_busy, sign_made;
	uint64_t wake_gen;
	bool turn_due;
	/* a crash that waits for this step of this protocol */
	int arm_proto;
	unsigned int arm_step;

	/* the subscriber, whose memory outlives the node */
	struct node_reader *reader;
	bool reader_due;
	struct node_cursor cursor;
	struct shown *shown;
	size_t nshown, shown_cap;

	/* check.c */
	uint64_t last_size[SIM_NODES_MAX + 1];
	unsigned int check_due;
	/* world.c */
	unsigned int outstanding;
	unsigned int generated;
	bool member, accepted;
	bool out; /* it was told that it is no member any more */
	struct sim_op *op;
};

void env_init(struct snode *n);
void env_fini(struct snode *n);
/* After any call into the node: its turn, now or soon. */
void env_turn(struct snode *n);
/* The power goes: what is being done is done by half. The node still exists. */
void env_interrupt(struct snode *n);
/* Forgets all that was in flight; power: the disk loses what was not synced. */
void env_lost(struct snode *n, bool power);
bool env_quiet(const struct snode *n);
int kv_get(struct kv *kv, const uint8_t key[16], uint64_t *ret);
void kv_crash(struct kv *kv, struct rng *r);

/* --- net.c -------------------------------------------------------------- */

struct net;
struct net *net_new(struct sim *s);
void net_free(struct net *net);
void net_dial(struct net *net, unsigned int from, const char *peer);
int net_send(struct net *net, nrs_conn c, const void *p, size_t len);
size_t net_unsent(struct net *net, nrs_conn c);
void net_close(struct net *net, nrs_conn c);
/* This machine is gone: its connections break, soon (a process died) or silently. */
void net_node_down(struct net *net, unsigned int id, bool power);
/* Between two machines: nothing passes. cut: connections break too. */
void net_block(struct net *net, unsigned int a, unsigned int b, bool blocked, bool cut);
bool net_blocked(struct net *net, unsigned int a, unsigned int b);
void net_cut_some(struct net *net);

/* --- world.c ------------------------------------------------------------ */

enum sub_state { SUB_NEW, SUB_SENT, SUB_AGAIN, SUB_ACKED };
struct sub {
	struct node_submit s;
	unsigned int id;
	struct snode *node;
	enum sub_state state;
	bool direct;
	unsigned int to; /* bit mask of nodes, direct */
	const char *names[SIM_NODES_MAX];
	uint32_t first; /* number of its first object */
	unsigned int n;
	uint8_t *payload;
	size_t len;
	bool has_index; /* acknowledged with one */
	uint64_t index;
	bool repeat; /* objects that were acknowledged before: must be known */
	uint64_t not_before;
	bool known_epoch;
	uint32_t epoch;
};

struct reflog { /* what one origin's log is, for ever */
	uint64_t n;
	uint64_t cap;
	struct nrs_hash *leaf;
	struct nrs_hash *root; /* of size i + 1 */
	struct nrs_frontier f;
	uint64_t mirrored; /* largest size that anybody else held */
	struct signed_root {
		uint64_t size;
		struct nrs_hash root;
	} * sig;
	size_t nsig, sig_cap;
};

struct sim_opts {
	uint64_t seed;
	unsigned int nodes; /* 0: the seed decides */
	unsigned int records;
	bool verbose;
	const char *plant; /* as on the command line, or NULL */
};

struct sim {
	struct sim_opts o;
	struct rng rng;
	uint64_t now;
	struct sim_ev *heap;
	size_t nheap, heap_cap;
	uint64_t seq;
	uint64_t nevents;

	unsigned int n;
	struct snode node[SIM_NODES_MAX];
	struct net *net;
	struct mal *mal; /* NULL: all are honest */
	struct nrs_digest *dg;

	struct sub **subs;
	size_t nsubs, subs_cap;
	struct sub **objects; /* by number */
	uint32_t nobjects, objects_cap;
	unsigned int target;

	bool created; /* the community */
	bool history;
	uint64_t join[SIM_NODES_MAX]; /* when this node becomes a member; NRS_NONE: never */
	uint64_t leave;		      /* when the last node is taken out; NRS_NONE */
	bool left;
	bool apart; /* the first and the last never connect */
	unsigned int crashes, partitions;
	bool healing;
	uint64_t heal_at;
	bool done;

	struct reflog ref[SIM_NODES_MAX + 1];
	struct nrs_buf line; /* scratch */
};

struct sim_op {
	struct node_op op;
	struct snode *node;
	int what;
	struct nrs_buf note;
};

/* Runs one seed; returns when all holds, else sim_fail(). */
void sim_run(const struct sim_opts *o);
struct snode *sim_find(struct sim *s, const char *name);
void world_init(struct sim *s);
void world_fini(struct sim *s);
void world_step(struct sim *s); /* after every event */
void world_crash(struct snode *n, bool power, const char *why);
void world_start(struct snode *n);
/* A machine's io begins this step: is it the one to crash at? */
void world_arm_hit(struct snode *n, unsigned int protos, unsigned int step, uint64_t lat);
void world_failed(struct snode *n, const char *why);
extern const char *const proto_names[PROTO__MAX];

/* --- check.c ------------------------------------------------------------ */

void check_node(struct snode *n);      /* sizes and roots */
void check_recovered(struct snode *n); /* dear: after every start */
void check_acked(struct sub *sub);
void check_signed(struct snode *n, uint64_t size, const struct nrs_hash *root);
void check_log_line(struct snode *n, const char *text);
void check_reader_open(struct snode *n);
void check_reader_close(struct snode *n);
/* NULL when all nodes have all; else what is missing. */
const char *check_in_sync(struct sim *s);
void check_end(struct sim *s);
uint64_t check_status(struct snode *n); /* a digest of what status shows */
void check_ref_append(struct sim *s, struct reflog *r, const struct nrs_hash *leaf);

/* --- mal.c: a peer that lies -------------------------------------------- */

struct mal *mal_new(struct sim *s);
void mal_free(struct mal *m);
const char *mal_name(void);
const struct nrs_buf *mal_manifest(const struct mal *m);
const struct nrs_hash *mal_pin(const struct mal *m);
void mal_connected(struct mal *m, nrs_conn c, unsigned int with);
void mal_data(struct mal *m, nrs_conn c, const uint8_t *p, size_t len);
void mal_closed(struct mal *m, nrs_conn c);
/* Objects of its own that every victim must have once, or must never have. */
#define MAL_OBJECT 0x80000000u
bool mal_wanted(const struct mal *m, uint32_t object);
/* NULL: the victim has every one it must have. */
const char *mal_in_sync(struct mal *m, struct snode *n);
void mal_check_end(struct mal *m, struct snode *n);

#endif
