/*
 * Any bytes as a proof of a small tree that is true elsewhere: it may hold only
 * if it is the proof that the tree itself gives.  And any bytes as a frontier.
 *
 * Input: u8 tree size, u8 index or older size, u8 kind, then the proof as
 * differences from the true one, so that the true one is within reach.
 */
#include "base/buf.h"
#include "tests/fuzz/fuzz.h"
#include "tlog/tree.h"

#define LEAVES 255

struct tree {
	struct nrs_hash l0[LEAVES];
};

static int
tree_read(void *arg, unsigned int level, uint64_t index, size_t n, struct nrs_hash *ret)
{
	struct tree *t = arg;

	FUZZ_CHECK(level == 0 && index + n <= LEAVES);
	memcpy(ret, t->l0 + index, n * sizeof(*ret));
	return 0;
}

static void
tree_init(struct tree *t)
{
	unsigned int i;

	memset(t, 0, sizeof(*t));
	for (i = 0; i < LEAVES; i++)
		t->l0[i].b[0] = (uint8_t)i;
}

/* The true proof, changed by the input; true when nothing was changed. */
static bool
distort(struct nrs_proof *p, struct nrs_rd *r)
{
	int8_t more = (int8_t)nrs_rd_u8(r);
	unsigned int n = p->n, i;
	bool same = true;
	size_t j;

	for (i = 0; i < NRS_PROOF_MAX; i++) {
		if (i >= p->n)
			memset(&p->h[i], 0, sizeof(p->h[i]));
		for (j = 0; j < NRS_HASH_LEN && nrs_rd_left(r) > 0; j++) {
			uint8_t x = nrs_rd_u8(r);

			p->h[i].b[j] ^= x;
			same = same && (x == 0 || i >= n);
		}
	}
	p->n = (unsigned int)((int)n + more % 8);
	if (p->n > NRS_PROOF_MAX + 1)
		p->n = NRS_PROOF_MAX + 1;
	return same && p->n == n;
}

static void
fuzz_inclusion(struct nrs_digest *dg, struct tree *t, const struct nrs_tile_store *s,
    uint64_t size, uint64_t index, struct nrs_rd *r)
{
	struct nrs_proof p;
	struct nrs_hash root;
	bool same;
	int rc;

	rc = nrs_tree_root(dg, s, size, &root);
	FUZZ_CHECK(rc == 0);
	rc = nrs_tree_inclusion(dg, s, index, size, &p);
	FUZZ_CHECK(rc == (index < size ? 0 : NRS_ERANGE));
	if (rc != 0)
		return;
	same = distort(&p, r);
	rc = nrs_inclusion_verify(dg, index, size, &t->l0[index], &p, &root);
	FUZZ_CHECK(rc == (same ? 0 : NRS_EPROOF));
}

static void
fuzz_consistency(struct nrs_digest *dg, const struct nrs_tile_store *s, uint64_t size,
    uint64_t old, struct nrs_rd *r)
{
	struct nrs_hash root, old_root;
	struct nrs_proof p;
	bool same;
	int rc;

	rc = nrs_tree_consistency(dg, s, old, size, &p);
	FUZZ_CHECK((rc == 0) == (old <= size));
	if (rc != 0)
		return;
	rc = nrs_tree_root(dg, s, size, &root);
	FUZZ_CHECK(rc == 0);
	rc = nrs_tree_root(dg, s, old, &old_root);
	FUZZ_CHECK(rc == 0);
	same = distort(&p, r);
	rc = nrs_consistency_verify(dg, old, size, &old_root, &root, &p);
	FUZZ_CHECK(rc == (same ? 0 : NRS_EPROOF));
}

/* Sizes and hashes of the input alone: no tree is behind them. */
static void
fuzz_wild(struct nrs_digest *dg, struct nrs_rd *r)
{
	uint64_t a = nrs_rd_u64(r), b = nrs_rd_u64(r);
	struct nrs_hash h1, h2;
	struct nrs_proof p;
	int rc;

	memset(&p, 0, sizeof(p));
	nrs_rd_hash(r, &h1);
	nrs_rd_hash(r, &h2);
	while (p.n < NRS_PROOF_MAX && nrs_rd_left(r) >= NRS_HASH_LEN)
		nrs_rd_hash(r, &p.h[p.n++]);
	rc = nrs_inclusion_verify(dg, a, b, &h1, &p, &h2);
	FUZZ_CHECK(rc == 0 || rc == NRS_EPROOF);
	FUZZ_CHECK(rc != 0 || a < b);
	rc = nrs_consistency_verify(dg, a, b, &h1, &h2, &p);
	FUZZ_CHECK(rc == 0 || rc == NRS_EPROOF);
	FUZZ_CHECK(rc != 0 || a <= b);
}

static void
fuzz_frontier(struct nrs_digest *dg, const uint8_t *p, size_t len)
{
	struct nrs_hash root, leaf = { { 7 } };
	struct nrs_frontier f;
	struct nrs_buf b;
	struct nrs_rd r;
	int rc;

	nrs_rd_init(&r, p, len);
	nrs_frontier_decode(&r, &f);
	FUZZ_CHECK(f.n == (unsigned int)__builtin_popcountll(f.size));
	if (nrs_rd_end(&r) == 0) {
		nrs_buf_init(&b, len + 1);
		nrs_frontier_encode(&b, &f);
		FUZZ_SAME(&b, p, len);
		nrs_buf_fini(&b);
	}
	rc = nrs_frontier_root(dg, &f, &root);
	FUZZ_CHECK(rc == 0);
	rc = nrs_frontier_append(dg, &f, &leaf, NULL, NULL);
	FUZZ_CHECK(rc <= 0);
	FUZZ_CHECK(f.n == (unsigned int)__builtin_popcountll(f.size));
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	struct tree t;
	struct nrs_tile_store s = { tree_read, &t };
	struct nrs_digest *dg;
	uint64_t size, index;
	struct nrs_rd r;

	if (len < 3 || (dg = nrs_digest_new()) == NULL)
		return 0;
	tree_init(&t);
	nrs_rd_init(&r, p, len);
	size = nrs_rd_u8(&r);
	index = nrs_rd_u8(&r);
	switch (nrs_rd_u8(&r) % 4) {
	case 0:
		fuzz_inclusion(dg, &t, &s, size, index, &r);
		break;
	case 1:
		fuzz_consistency(dg, &s, size, index, &r);
		break;
	case 2:
		fuzz_wild(dg, &r);
		break;
	default:
		fuzz_frontier(dg, p + 3, len - 3);
		break;
	}
	nrs_digest_free(dg);
	return 0;
}
