/* The hash of an inner node, for this folder. */
#ifndef TLOG_NODE_H
#define TLOG_NODE_H

#include <string.h>

#include "crypto/digest.h"

/* A proof of a larger tree would not fit NRS_PROOF_MAX. */
#define NRS_TREE_MAX ((uint64_t)INT64_MAX)

/* H(0x01 || left || right); ret may be either of them. */
static inline int
nrs_node_hash(struct nrs_digest *dg, const struct nrs_hash *left,
    const struct nrs_hash *right, struct nrs_hash *ret)
{
	uint8_t in[1 + 2 * NRS_HASH_LEN];

	in[0] = 0x01;
	memcpy(in + 1, left->b, NRS_HASH_LEN);
	memcpy(in + 1 + NRS_HASH_LEN, right->b, NRS_HASH_LEN);
	nrs_digest_begin(dg);
	nrs_digest_add(dg, in, sizeof(in));
	return nrs_digest_end(dg, ret);
}

#endif
