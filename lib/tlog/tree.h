/*
 * Merkle trees of RFC 6962: roots, inclusion and consistency proofs, as pure
 * functions over a store of hashes.  Nothing here keeps a cache or does I/O.
 *
 * The store is laid out in tile levels of height 8: level 0 holds the leaf
 * hashes, level k the roots of complete subtrees of 256^k leaves.  Each level
 * is a flat array, appended to and never changed.
 */
#ifndef TLOG_TREE_H
#define TLOG_TREE_H

#include <noroshi/err.h>
#include <noroshi/types.h>

#include "crypto/digest.h"

#define NRS_TILE_HEIGHT 8
#define NRS_TILE_LEVELS 8
#define NRS_PROOF_MAX	64 /* hashes in any proof of a tree below 2^63 leaves */

/* Reads n consecutive hashes of a level, starting at index. 0 or an error, passed up. */
struct nrs_tile_store {
	int (*read)(
	    void *arg, unsigned int level, uint64_t index, size_t n, struct nrs_hash *ret);
	void *arg;
};

struct nrs_proof {
	unsigned int n;
	struct nrs_hash h[NRS_PROOF_MAX];
};

/*
 * The right edge of a tree: roots of the complete subtrees that size's binary
 * digits name, largest first.  Enough to append and to compute the root.
 */
struct nrs_frontier {
	uint64_t size;
	unsigned int n; /* = popcount(size) */
	struct nrs_hash h[64];
};

void nrs_frontier_init(struct nrs_frontier *f); /* the empty tree */
/*
 * Appends a leaf hash.  emit (may be NULL) is called once for level 0 and for
 * every tile level that this leaf completes, with (level, index, hash).
 */
int nrs_frontier_append(struct nrs_digest *dg, struct nrs_frontier *f,
    const struct nrs_hash *leaf,
    int (*emit)(void *arg, unsigned int level, uint64_t index, const struct nrs_hash *h),
    void *arg) NRS_MUST_CHECK;
int nrs_frontier_root(struct nrs_digest *dg, const struct nrs_frontier *f,
    struct nrs_hash *ret) NRS_MUST_CHECK;
/* u64 size and popcount hashes, as kept in STATE. */
struct nrs_buf;
struct nrs_rd;
void nrs_frontier_encode(struct nrs_buf *b, const struct nrs_frontier *f);
void nrs_frontier_decode(struct nrs_rd *r, struct nrs_frontier *ret);
/* Rebuilds the frontier of any size up to the store's from the store. */
int nrs_frontier_load(struct nrs_digest *dg, const struct nrs_tile_store *s, uint64_t size,
    struct nrs_frontier *ret) NRS_MUST_CHECK;

/* Root of the first size leaves. */
int nrs_tree_root(struct nrs_digest *dg, const struct nrs_tile_store *s, uint64_t size,
    struct nrs_hash *ret) NRS_MUST_CHECK;
/* Audit path of leaf index in the tree of size (RFC 6962 2.1.1). NRS_ERANGE. */
int nrs_tree_inclusion(struct nrs_digest *dg, const struct nrs_tile_store *s,
    uint64_t index, uint64_t size, struct nrs_proof *ret) NRS_MUST_CHECK;
/* Consistency proof from size1 to size2 (RFC 6962 2.1.2); empty when equal or size1 = 0. */
int nrs_tree_consistency(struct nrs_digest *dg, const struct nrs_tile_store *s,
    uint64_t size1, uint64_t size2, struct nrs_proof *ret) NRS_MUST_CHECK;

/* Verification needs no store. NRS_EPROOF when it does not hold (extra hashes included). */
int nrs_inclusion_verify(struct nrs_digest *dg, uint64_t index, uint64_t size,
    const struct nrs_hash *leaf, const struct nrs_proof *p,
    const struct nrs_hash *root) NRS_MUST_CHECK;
int nrs_consistency_verify(struct nrs_digest *dg, uint64_t size1, uint64_t size2,
    const struct nrs_hash *root1, const struct nrs_hash *root2,
    const struct nrs_proof *p) NRS_MUST_CHECK;

#endif
