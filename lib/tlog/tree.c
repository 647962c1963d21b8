/*
 * Building Merkle trees: frontiers, roots and proofs out of a store of tile
 * levels (RFC 6962, 2.1).  Checking proofs is in verify.c.
 */
#include "tlog/tree.h"

#include <string.h>

#include "base/buf.h"
#include "tlog/node.h"

void
nrs_frontier_init(struct nrs_frontier *f)
{
	memset(f, 0, sizeof(*f));
}

/* The frontier changes only when all has worked. */
int
nrs_frontier_append(struct nrs_digest *dg, struct nrs_frontier *f,
    const struct nrs_hash *leaf,
    int (*emit)(void *arg, unsigned int level, uint64_t index, const struct nrs_hash *h),
    void *arg)
{
	struct nrs_hash cur = *leaf;
	uint64_t size = f->size + 1;
	unsigned int k = f->n;
	int err;

	if (f->size >= NRS_TREE_MAX)
		return NRS_ELIMIT;
	if (emit != NULL && (err = emit(arg, 0, f->size, leaf)) != 0)
		return err;
	/* each trailing zero of the new size is a subtree that is complete now */
	for (unsigned int height = 1; (size & ((UINT64_C(1) << height) - 1)) == 0;
	     height++) {
		err = nrs_node_hash(dg, &f->h[--k], &cur, &cur);
		if (err == 0 && emit != NULL && height % NRS_TILE_HEIGHT == 0)
			err =
			    emit(arg, height / NRS_TILE_HEIGHT, (size >> height) - 1, &cur);
		if (err != 0)
			return err;
	}
	f->h[k] = cur;
	f->n = k + 1;
	f->size = size;
	return 0;
}

/* RFC 6962: the smaller subtrees on the right are joined first. */
static int
fold(struct nrs_digest *dg, const struct nrs_hash *h, unsigned int n, struct nrs_hash *ret)
{
	struct nrs_hash cur = h[n - 1];
	int err;

	for (unsigned int i = n - 1; i > 0; i--) {
		err = nrs_node_hash(dg, &h[i - 1], &cur, &cur);
		if (err != 0)
			return err;
	}
	*ret = cur;
	return 0;
}

int
nrs_frontier_root(struct nrs_digest *dg, const struct nrs_frontier *f, struct nrs_hash *ret)
{
	if (f->n == 0)
		return nrs_sha256("", 0, ret);
	return fold(dg, f->h, f->n, ret);
}

static unsigned int
popcount(uint64_t v)
{
	unsigned int n = 0;

	for (; v != 0; v &= v - 1)
		n++;
	return n;
}

void
nrs_frontier_encode(struct nrs_buf *b, const struct nrs_frontier *f)
{
	nrs_buf_u64(b, f->size);
	for (unsigned int i = 0; i < f->n; i++)
		nrs_buf_hash(b, &f->h[i]);
}

void
nrs_frontier_decode(struct nrs_rd *r, struct nrs_frontier *ret)
{
	nrs_frontier_init(ret);
	ret->size = nrs_rd_u64(r);
	if (r->err == 0 && ret->size > NRS_TREE_MAX)
		r->err = NRS_ERANGE;
	if (r->err == 0)
		ret->n = popcount(ret->size);
	for (unsigned int i = 0; i < ret->n; i++)
		nrs_rd_hash(r, &ret->h[i]);
	if (r->err != 0)
		nrs_frontier_init(ret);
}

/* Root of the complete subtree of 2^height leaves that begins at leaf lo. */
static int
subtree(struct nrs_digest *dg, const struct nrs_tile_store *s, uint64_t lo,
    unsigned int height, struct nrs_hash *ret)
{
	struct nrs_hash h[1u << (NRS_TILE_HEIGHT - 1)];
	unsigned int level = height / NRS_TILE_HEIGHT;
	size_t n = (size_t)1 << height % NRS_TILE_HEIGHT;
	int err;

	err = s->read(s->arg, level, lo >> level * NRS_TILE_HEIGHT, n, h);
	for (; err == 0 && n > 1; n /= 2)
		for (size_t i = 0; err == 0 && i < n / 2; i++)
			err = nrs_node_hash(dg, &h[2 * i], &h[2 * i + 1], &h[i]);
	if (err == 0)
		*ret = h[0];
	return err;
}

/* The complete subtrees of leaves lo to hi, largest first: lo is a multiple of the first. */
static int
split(struct nrs_digest *dg, const struct nrs_tile_store *s, uint64_t lo, uint64_t hi,
    struct nrs_hash h[64], unsigned int *ret_n)
{
	unsigned int n = 0;
	int err;

	for (unsigned int height = 63; height-- > 0;) {
		if (((hi - lo) >> height & 1) == 0)
			continue;
		err = subtree(dg, s, lo, height, &h[n++]);
		if (err != 0)
			return err;
		lo += UINT64_C(1) << height;
	}
	*ret_n = n;
	return 0;
}

/* MTH(D[lo:hi]) of RFC 6962, for lo < hi. */
static int
range_root(struct nrs_digest *dg, const struct nrs_tile_store *s, uint64_t lo, uint64_t hi,
    struct nrs_hash *ret)
{
	struct nrs_hash h[64];
	unsigned int n = 0;
	int err;

	err = split(dg, s, lo, hi, h, &n);
	return err != 0 ? err : fold(dg, h, n, ret);
}

int
nrs_frontier_load(struct nrs_digest *dg, const struct nrs_tile_store *s, uint64_t size,
    struct nrs_frontier *ret)
{
	int err;

	nrs_frontier_init(ret);
	if (size > NRS_TREE_MAX)
		return NRS_ERANGE;
	err = split(dg, s, 0, size, ret->h, &ret->n);
	if (err != 0)
		nrs_frontier_init(ret);
	else
		ret->size = size;
	return err;
}

int
nrs_tree_root(struct nrs_digest *dg, const struct nrs_tile_store *s, uint64_t size,
    struct nrs_hash *ret)
{
	if (size > NRS_TREE_MAX)
		return NRS_ERANGE;
	if (size == 0)
		return nrs_sha256("", 0, ret);
	return range_root(dg, s, 0, size, ret);
}

/* The largest power of two smaller than n, for n > 1. */
static uint64_t
split_point(uint64_t n)
{
	uint64_t k = 1;

	while (k < n - k)
		k *= 2;
	return k;
}

/* One step of a proof: where its hash lies. */
struct part {
	uint64_t lo;
	uint64_t hi;
};

/* The parts were found from the root down; a proof begins at the leaves. */
static int
read_parts(struct nrs_digest *dg, const struct nrs_tile_store *s, const struct part *v,
    unsigned int n, struct nrs_proof *ret)
{
	int err;

	for (unsigned int i = 0; i < n; i++) {
		err = range_root(dg, s, v[n - 1 - i].lo, v[n - 1 - i].hi, &ret->h[i]);
		if (err != 0)
			return err;
	}
	ret->n = n;
	return 0;
}

/*
 * Goes from the root of lo..hi down to where the left side ends at stop, and
 * keeps what lies beside the way.
 */
static unsigned int
descend(uint64_t *lo, uint64_t *hi, uint64_t stop, bool leaf, struct part *v)
{
	unsigned int n = 0;
	uint64_t k;

	while (leaf ? *hi - *lo > 1 : *hi != stop) {
		k = *lo + split_point(*hi - *lo);
		if (stop <= k) {
			v[n++] = (struct part){ k, *hi };
			*hi = k;
		} else {
			v[n++] = (struct part){ *lo, k };
			*lo = k;
		}
	}
	return n;
}

int
nrs_tree_inclusion(struct nrs_digest *dg, const struct nrs_tile_store *s, uint64_t index,
    uint64_t size, struct nrs_proof *ret)
{
	struct part v[NRS_PROOF_MAX];
	uint64_t lo = 0, hi = size;
	unsigned int n;

	ret->n = 0;
	if (size > NRS_TREE_MAX || index >= size)
		return NRS_ERANGE;
	n = descend(&lo, &hi, index + 1, true, v);
	return read_parts(dg, s, v, n, ret);
}

int
nrs_tree_consistency(struct nrs_digest *dg, const struct nrs_tile_store *s, uint64_t size1,
    uint64_t size2, struct nrs_proof *ret)
{
	struct part v[NRS_PROOF_MAX];
	uint64_t lo = 0, hi = size2;
	unsigned int n;

	ret->n = 0;
	if (size2 > NRS_TREE_MAX || size1 > size2)
		return NRS_ERANGE;
	if (size1 == 0 || size1 == size2)
		return 0;
	n = descend(&lo, &hi, size1, false, v);
	/* the old tree is not a node of the new one: its last subtree is needed too */
	if (lo != 0)
		v[n++] = (struct part){ lo, hi };
	return read_parts(dg, s, v, n, ret);
}
