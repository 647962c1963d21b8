/*
 * Nodes in one process, connected by pipes in memory, over memenv: for tests of
 * whole nodes.  Nothing happens but in world_run().
 */
#ifndef TESTS_PAIR_H
#define TESTS_PAIR_H

#include "node/node_priv.h"
#include "tests/lib/memenv.h"

#define WORLD_NODES 3

struct pipe_end {
	nrs_conn id;
	unsigned int node, other; /* whose end it is, and where it leads */
	nrs_conn peer;		  /* the other end; 0: closed */
	bool dialed, told, open;
	struct nrs_buf in; /* bytes for this end, not delivered yet */
};

struct world_node {
	struct memenv *e;
	struct nrs_env_ops ops; /* memenv's, with network and keeper */
	const struct nrs_env_ops *base;
	struct nrs_sign *signs;
	struct node *n;
	char name[32];
	struct nrs_seckey *sec[5];
	struct nrs_pubkey pub[5];
	struct nrs_hash pin;
	struct nrs_buf manifest;
	uint64_t kv_mark;
	unsigned int forks_logged;
};

struct world {
	struct world_node v[WORLD_NODES];
	unsigned int n;
	struct pipe_end ends[64];
	unsigned int nends;
	bool cut[WORLD_NODES][WORLD_NODES]; /* no connection between these */
	uint64_t segment_bytes;		    /* of their journals; 0: 4 MiB */
	/* Sees what is delivered at one end of a connection; NULL: nobody. */
	void (*tap)(
	    struct world *w, const struct pipe_end *e, const uint8_t *p, size_t len);
	/* Changes bytes under way to a node; NULL: none. */
	void (*mangle)(struct world *w, unsigned int to, uint8_t *p, size_t len);
};

void world_new(struct world *w, unsigned int n);
void world_free(struct world *w);
/*
 * A world that begins where base stands, whose nodes are closed (world_close()):
 * with its keys, and disks of its own.  It is the one in use until the next call.
 */
void world_close(struct world *w);
void world_clone(struct world *w, const struct world *base);
void world_clone_free(struct world *w);
void world_open(struct world *w, unsigned int i, bool create);
/* The process dies; what was not synced is lost. */
void world_crash(struct world *w, unsigned int i);
/* Until nothing happens any more, for at least so many seconds of its time. */
void world_run(struct world *w, unsigned int seconds);
void world_cut(struct world *w, unsigned int a, unsigned int b, bool cut);
/* Raw bytes into node i, as from its peer k over the connection in use. */
void world_inject(
    struct world *w, unsigned int i, unsigned int k, const void *p, size_t len);

/* Founds "iwwn" at node 0 with all others as members, who accept it. */
void world_community(struct world *w);
/* Submits a bundle of nobjects indicators and waits for it to be signed. */
void world_submit(struct world *w, unsigned int i, unsigned int nobjects, size_t filler);
/* Likewise, to node "to" only. */
void world_submit_direct(
    struct world *w, unsigned int i, unsigned int to, unsigned int nobjects, size_t filler);

#endif
