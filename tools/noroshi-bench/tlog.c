/*
 * tlog: the Merkle tree alone, on the code that the daemon runs.  The limit is
 * the rate at which 65 bytes are hashed: every node of a tree is that.
 */
#include "tlog/tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "tools/noroshi-bench/limits.h"

#define LEAVES 1000000u
#define MADE   "one SHA-256 of 65 bytes for each pair of hashes read"
#define PROOFS 20000u

/* The store: every level in memory. */
struct forest {
	struct nrs_hash *level[NRS_TILE_LEVELS];
	uint64_t room;
	uint64_t nodes; /* computed of what was read: one less than hashes, each time */
};

struct work {
	struct nrs_digest *dg;
	struct forest forest;
	struct nrs_frontier edge;
	struct nrs_hash *leaf;
	uint64_t n;
	uint64_t rng;
};

static uint64_t
draw(struct work *w)
{
	w->rng ^= w->rng << 13;
	w->rng ^= w->rng >> 7;
	w->rng ^= w->rng << 17;
	return w->rng;
}

static int
forest_emit(void *arg, unsigned int level, uint64_t index, const struct nrs_hash *h)
{
	struct forest *f = arg;

	if (level >= NRS_TILE_LEVELS || index >= f->room)
		return NRS_ELIMIT;
	f->level[level][index] = *h;
	return 0;
}

static int
forest_read(void *arg, unsigned int level, uint64_t index, size_t n, struct nrs_hash *ret)
{
	struct forest *f = arg;

	if (level >= NRS_TILE_LEVELS || index + n > f->room)
		return NRS_ERANGE;
	memcpy(ret, &f->level[level][index], n * sizeof(*ret));
	f->nodes += n - 1;
	return 0;
}

static void
work_fini(struct work *w)
{
	nrs_digest_free(w->dg);
	for (unsigned int i = 0; i < NRS_TILE_LEVELS; i++)
		free(w->forest.level[i]);
	free(w->leaf);
}

static void
work_init(struct work *w, uint64_t n)
{
	uint64_t room = n;

	memset(w, 0, sizeof(*w));
	w->n = n;
	w->rng = 88172645463325252u;
	if ((w->dg = nrs_digest_new()) == NULL)
		abort();
	w->leaf = bench_alloc(n * sizeof(*w->leaf));
	w->forest.room = n;
	for (unsigned int i = 0; i < NRS_TILE_LEVELS; i++, room = room / 256 + 1)
		w->forest.level[i] = bench_alloc(room * sizeof(struct nrs_hash));
}

/* A log entry is "NRL1", its class and a commitment of 32 bytes; a leaf hash covers 0x00 and that. */
static int
hash_leaves(struct work *w, double *ret_s)
{
	uint8_t entry[41] = { 0x00, 'N', 'R', 'L', '1' };
	double t0 = bench_now();
	int rc = 0;

	for (uint64_t i = 0; i < w->n && rc == 0; i++) {
		nrs_put_u64(entry + 9, i);
		nrs_digest_begin(w->dg);
		nrs_digest_add(w->dg, entry, sizeof(entry));
		rc = nrs_digest_end(w->dg, &w->leaf[i]);
	}
	*ret_s = bench_now() - t0;
	return rc;
}

static int
append_all(struct work *w, double *ret_s)
{
	double t0 = bench_now();
	int rc = 0;

	nrs_frontier_init(&w->edge);
	for (uint64_t i = 0; i < w->n && rc == 0; i++)
		rc = nrs_frontier_append(
		    w->dg, &w->edge, &w->leaf[i], forest_emit, &w->forest);
	*ret_s = bench_now() - t0;
	return rc;
}

struct proofs {
	struct nrs_proof *v;
	uint64_t *at; /* leaf, or smaller size */
	struct nrs_hash *old;
	unsigned int n;
	double made_s, checked_s;
	uint64_t hashes; /* in all of them */
	uint64_t nodes;	 /* computed to make them, at the least */
};

static void
proofs_init(struct proofs *p, unsigned int n)
{
	memset(p, 0, sizeof(*p));
	p->n = n;
	p->v = bench_alloc(n * sizeof(*p->v));
	p->at = bench_alloc(n * sizeof(*p->at));
	p->old = bench_alloc(n * sizeof(*p->old));
}

static void
proofs_fini(struct proofs *p)
{
	free(p->v);
	free(p->at);
	free(p->old);
}

static int
inclusion(struct work *w, const struct nrs_hash *root, struct proofs *p)
{
	struct nrs_tile_store store = { forest_read, &w->forest };
	double t0 = bench_now();
	int rc = 0;

	w->forest.nodes = 0;
	for (unsigned int i = 0; i < p->n && rc == 0; i++) {
		p->at[i] = draw(w) % w->n;
		rc = nrs_tree_inclusion(w->dg, &store, p->at[i], w->n, &p->v[i]);
	}
	p->made_s = bench_now() - t0;
	p->nodes = w->forest.nodes;
	t0 = bench_now();
	for (unsigned int i = 0; i < p->n && rc == 0; i++) {
		rc = nrs_inclusion_verify(
		    w->dg, p->at[i], w->n, &w->leaf[p->at[i]], &p->v[i], root);
		p->hashes += p->v[i].n;
	}
	p->checked_s = bench_now() - t0;
	return rc;
}

static int
consistency(struct work *w, const struct nrs_hash *root, struct proofs *p)
{
	struct nrs_tile_store store = { forest_read, &w->forest };
	double t0;
	int rc = 0;

	for (unsigned int i = 0; i < p->n && rc == 0; i++) {
		p->at[i] = 1 + draw(w) % (w->n - 1);
		rc = nrs_tree_root(w->dg, &store, p->at[i], &p->old[i]);
	}
	w->forest.nodes = 0;
	t0 = bench_now();
	for (unsigned int i = 0; i < p->n && rc == 0; i++)
		rc = nrs_tree_consistency(w->dg, &store, p->at[i], w->n, &p->v[i]);
	p->made_s = bench_now() - t0;
	p->nodes = w->forest.nodes;
	t0 = bench_now();
	for (unsigned int i = 0; i < p->n && rc == 0; i++) {
		rc = nrs_consistency_verify(
		    w->dg, p->at[i], w->n, &p->old[i], root, &p->v[i]);
		p->hashes += p->v[i].n;
	}
	p->checked_s = bench_now() - t0;
	return rc;
}

enum { HEAD, LEAF, INC_MADE, INC_CHECKED, CON_MADE, CON_CHECKED, ROWS };

/* Proofs a second, of so many that take so many nodes; 0: no limit, they take none. */
static double
rate_of(double node, unsigned int proofs, uint64_t nodes)
{
	return nodes > 0 ? node * proofs / (double)nodes : 0;
}

static int
one_run(struct bench *b, uint64_t n, struct bench_row *rows)
{
	double s = 0, seconds = b->seconds > 0 ? b->seconds : 0.5,
	       node = limit_node(seconds), after;
	unsigned int nproofs = n < PROOFS ? (unsigned int)n : PROOFS;
	struct nrs_hash root;
	struct proofs inc, con;
	struct work w;
	int rc;

	work_init(&w, n);
	proofs_init(&inc, nproofs);
	proofs_init(&con, nproofs);
	if ((rc = hash_leaves(&w, &s)) != 0)
		goto out;
	bench_add(&rows[LEAF].value, (double)n / s);
	if ((rc = append_all(&w, &s)) != 0 ||
	    (rc = nrs_frontier_root(w.dg, &w.edge, &root)) != 0)
		goto out;
	bench_add(&rows[HEAD].value, (double)n / s);
	if ((rc = inclusion(&w, &root, &inc)) != 0 ||
	    (rc = consistency(&w, &root, &con)) != 0)
		goto out;
	bench_add(&rows[INC_MADE].value, nproofs / inc.made_s);
	bench_add(&rows[INC_CHECKED].value, nproofs / inc.checked_s);
	bench_add(&rows[CON_MADE].value, nproofs / con.made_s);
	bench_add(&rows[CON_CHECKED].value, nproofs / con.checked_s);
	/* Before and after, and the greater: what else the machine does must not flatter. */
	after = limit_node(seconds);
	node = after > node ? after : node;
	/* An append is one node on average; a check, one for each hash of its proof. */
	bench_add(&rows[LEAF].limit, node);
	bench_add(&rows[HEAD].limit, node);
	bench_add(&rows[INC_CHECKED].limit, rate_of(node, nproofs, inc.hashes));
	/* Roots between the levels that are kept are computed, each of one read. */
	bench_add(&rows[INC_MADE].limit, rate_of(node, nproofs, inc.nodes));
	bench_add(&rows[CON_MADE].limit, rate_of(node, nproofs, con.nodes));
	/* The first hash is where both roots begin; each other one is of the new root at least. */
	bench_add(&rows[CON_CHECKED].limit, rate_of(node, nproofs, con.hashes - nproofs));
out:
	proofs_fini(&inc);
	proofs_fini(&con);
	work_fini(&w);
	return rc == 0 ? 0 : bench_fail(b, "%s", nrs_strerror(rc));
}

static int
run(struct bench *b)
{
	struct bench_row rows[ROWS] = {
		[HEAD] = { .name = "tlog",
		    .unit = "appends/s",
		    .limit_of = "SHA-256 of 65 bytes" },
		[LEAF] = { .name = "tlog.leaf",
		    .unit = "leaves/s",
		    .limit_of = "SHA-256 of 65 bytes (a leaf is 41)" },
		[INC_MADE] = { .name = "tlog.inclusion",
		    .unit = "proofs/s",
		    .limit_of = MADE },
		[INC_CHECKED] = { .name = "tlog.inclusion_verify",
		    .unit = "proofs/s",
		    .limit_of = "one SHA-256 of 65 bytes for each hash in it" },
		[CON_MADE] = { .name = "tlog.consistency",
		    .unit = "proofs/s",
		    .limit_of = MADE },
		[CON_CHECKED] = { .name = "tlog.consistency_verify",
		    .unit = "proofs/s",
		    .limit_of = "one SHA-256 of 65 bytes for each hash in it but one" },
	};
	uint64_t n = b->records > 1 ? b->records : LEAVES;
	int rc = 0;

	bench_note(b, "tlog: %llu leaves in memory", (unsigned long long)n);
	for (unsigned int i = 0; i < b->runs && rc == 0; i++)
		rc = one_run(b, n, rows);
	for (unsigned int i = 0; i < ROWS && rc == 0; i++)
		bench_row(b, &rows[i]);
	return rc;
}

const struct bench_scenario bench_tlog = {
	.name = "tlog",
	.brief = "the Merkle tree: appends and proofs",
	.how =
	    "leaves appended to a tree, proofs made and checked, against the rate of hashing",
	.run = run,
};
