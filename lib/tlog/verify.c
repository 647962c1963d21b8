/*
 * Checking proofs, by the algorithms of RFC 9162, 2.1.3.2 and 2.1.4.2 (the
 * proofs are those of RFC 6962).  Needs no store and trusts nothing.
 */
#include "tlog/tree.h"

#include <noroshi/plant.h>

#include "tlog/node.h"

/* Joins a hash of the path that lies on the left of what is known so far. */
static int
join_left(struct nrs_digest *dg, const struct nrs_hash *path, struct nrs_hash *cur)
{
	if (NRS_PLANTED(PROOF_SIDE))
		return nrs_node_hash(dg, cur, path, cur);
	return nrs_node_hash(dg, path, cur, cur);
}

/* Where the way up stands: the node's number at its height, and the last one's. */
struct way {
	uint64_t fn;
	uint64_t sn;
};

/* Is the next hash of the path on the left? Skips heights where the node has no sibling. */
static bool
way_left(struct way *w)
{
	if ((w->fn & 1) == 0 && w->fn != w->sn)
		return false;
	while ((w->fn & 1) == 0 && w->fn != 0) {
		w->fn >>= 1;
		w->sn >>= 1;
	}
	return true;
}

static void
way_up(struct way *w)
{
	w->fn >>= 1;
	w->sn >>= 1;
}

int
nrs_inclusion_verify(struct nrs_digest *dg, uint64_t index, uint64_t size,
    const struct nrs_hash *leaf, const struct nrs_proof *p, const struct nrs_hash *root)
{
	struct nrs_hash cur = *leaf;
	struct way w;
	int err;

	if (index >= size || size > NRS_TREE_MAX || p->n > NRS_PROOF_MAX)
		return NRS_EPROOF;
	w = (struct way){ index, size - 1 };
	for (unsigned int i = 0; i < p->n; i++) {
		if (w.sn == 0)
			return NRS_EPROOF;
		if (way_left(&w))
			err = join_left(dg, &p->h[i], &cur);
		else
			err = nrs_node_hash(dg, &cur, &p->h[i], &cur);
		if (err != 0)
			return err;
		way_up(&w);
	}
	return w.sn == 0 && nrs_hash_eq(&cur, root) ? 0 : NRS_EPROOF;
}

/* The two sizes of which there is nothing to prove. */
static int
verify_trivial(uint64_t size1, uint64_t size2, const struct nrs_hash *root1,
    const struct nrs_hash *root2, const struct nrs_proof *p)
{
	struct nrs_hash empty;
	int err;

	if (p->n != 0)
		return NRS_EPROOF;
	if (size1 == size2 && !nrs_hash_eq(root1, root2))
		return NRS_EPROOF;
	if (size1 != 0)
		return 0;
	err = nrs_sha256("", 0, &empty);
	if (err != 0)
		return err;
	return nrs_hash_eq(&empty, root1) ? 0 : NRS_EPROOF;
}

static int
verify_path(struct nrs_digest *dg, struct way w, unsigned int i, const struct nrs_proof *p,
    struct nrs_hash *fr, struct nrs_hash *sr)
{
	int err;

	for (; i < p->n; i++) {
		if (w.sn == 0)
			return NRS_EPROOF;
		if (way_left(&w)) {
			err = join_left(dg, &p->h[i], fr);
			if (err == 0)
				err = join_left(dg, &p->h[i], sr);
		} else {
			err = nrs_node_hash(dg, sr, &p->h[i], sr);
		}
		if (err != 0)
			return err;
		way_up(&w);
	}
	return w.sn == 0 ? 0 : NRS_EPROOF;
}

int
nrs_consistency_verify(struct nrs_digest *dg, uint64_t size1, uint64_t size2,
    const struct nrs_hash *root1, const struct nrs_hash *root2, const struct nrs_proof *p)
{
	struct nrs_hash fr, sr;
	unsigned int i = 0;
	struct way w;
	int err;

	if (size1 > size2 || size2 > NRS_TREE_MAX || p->n > NRS_PROOF_MAX)
		return NRS_EPROOF;
	if (size1 == 0 || size1 == size2)
		return verify_trivial(size1, size2, root1, root2, p);
	if (p->n == 0)
		return NRS_EPROOF;
	w = (struct way){ size1 - 1, size2 - 1 };
	while ((w.fn & 1) != 0)
		way_up(&w);
	/* a complete old tree is a node of the new one: its root is left out of the proof */
	if ((size1 & (size1 - 1)) == 0)
		fr = *root1;
	else
		fr = p->h[i++];
	sr = fr;
	err = verify_path(dg, w, i, p, &fr, &sr);
	if (err != 0)
		return err;
	return nrs_hash_eq(&fr, root1) && nrs_hash_eq(&sr, root2) ? 0 : NRS_EPROOF;
}
