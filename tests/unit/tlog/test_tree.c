/*
 * Merkle trees against the published vectors, and against a model that is the
 * text of RFC 6962, 2.1 written down as recursion.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/text.h"
#include "tlog/tree.h"

#define SMALL  131
#define LEVELS 3

static struct nrs_digest *dg;

static void
hash_node(const struct nrs_hash *l, const struct nrs_hash *r, struct nrs_hash *ret)
{
	uint8_t in[65];

	in[0] = 1;
	memcpy(in + 1, l->b, 32);
	memcpy(in + 33, r->b, 32);
	assert_int_equal(nrs_sha256(in, sizeof(in), ret), 0);
}

static void
hash_leaf(const void *p, size_t len, struct nrs_hash *ret)
{
	uint8_t in[128] = { 0 };

	assert_true(len < sizeof(in));
	memcpy(in + 1, p, len);
	assert_int_equal(nrs_sha256(in, len + 1, ret), 0);
}

static void
hex(struct nrs_hash *ret, const char *s)
{
	assert_int_equal(nrs_hex_parse(s, strlen(s), ret->b, 32), 0);
}

/* --- the model --- */

static struct nrs_hash leaves[SMALL];
static struct nrs_hash memo[SMALL + 1][SMALL + 1];
static bool known[SMALL + 1][SMALL + 1];

static uint64_t
model_k(uint64_t n)
{
	uint64_t k = 1;

	while (2 * k < n)
		k = 2 * k;
	return k;
}

/* MTH(D[lo:hi]) */
static const struct nrs_hash *
model_mth(size_t lo, size_t hi)
{
	size_t k;

	if (!known[lo][hi]) {
		if (hi == lo)
			assert_int_equal(nrs_sha256("", 0, &memo[lo][hi]), 0);
		else if (hi - lo == 1)
			memo[lo][hi] = leaves[lo];
		else {
			k = model_k(hi - lo);
			hash_node(
			    model_mth(lo, lo + k), model_mth(lo + k, hi), &memo[lo][hi]);
		}
		known[lo][hi] = true;
	}
	return &memo[lo][hi];
}

static void
model_path(size_t m, size_t lo, size_t hi, struct nrs_proof *p)
{
	size_t k;

	if (hi - lo <= 1)
		return;
	k = model_k(hi - lo);
	if (m < k) {
		model_path(m, lo, lo + k, p);
		p->h[p->n++] = *model_mth(lo + k, hi);
	} else {
		model_path(m - k, lo + k, hi, p);
		p->h[p->n++] = *model_mth(lo, lo + k);
	}
}

static void
model_subproof(size_t m, size_t lo, size_t hi, bool b, struct nrs_proof *p)
{
	size_t k;

	if (m == hi - lo) {
		if (!b)
			p->h[p->n++] = *model_mth(lo, hi);
		return;
	}
	k = model_k(hi - lo);
	if (m <= k) {
		model_subproof(m, lo, lo + k, b, p);
		p->h[p->n++] = *model_mth(lo + k, hi);
	} else {
		model_subproof(m - k, lo + k, hi, false, p);
		p->h[p->n++] = *model_mth(lo, lo + k);
	}
}

/* --- a store in memory, filled by the frontier --- */

struct store {
	struct nrs_hash *v[LEVELS];
	uint64_t n[LEVELS];
	uint64_t cap;
	unsigned int reads;
	unsigned int fail_at; /* 0: never */
};

static void
store_init(struct store *s, uint64_t cap)
{
	memset(s, 0, sizeof(*s));
	s->cap = cap;
	for (int i = 0; i < LEVELS; i++)
		assert_non_null(s->v[i] = calloc(cap, sizeof(struct nrs_hash)));
}

static void
store_fini(struct store *s)
{
	for (int i = 0; i < LEVELS; i++)
		free(s->v[i]);
}

static int
store_emit(void *arg, unsigned int level, uint64_t index, const struct nrs_hash *h)
{
	struct store *s = arg;

	assert_true(level < LEVELS);
	assert_true(index == s->n[level]); /* appended to, nothing skipped */
	assert_true(index < s->cap);
	s->v[level][s->n[level]++] = *h;
	return 0;
}

static int
store_read(void *arg, unsigned int level, uint64_t index, size_t n, struct nrs_hash *ret)
{
	struct store *s = arg;

	s->reads++;
	if (s->fail_at != 0 && s->reads >= s->fail_at)
		return NRS_EIO;
	assert_true(level < LEVELS);
	assert_true(n >= 1 && index + n <= s->n[level]);
	memcpy(ret, &s->v[level][index], n * sizeof(*ret));
	return 0;
}

static void
store_append(struct store *s, struct nrs_frontier *f, const struct nrs_hash *leaf)
{
	assert_int_equal(nrs_frontier_append(dg, f, leaf, store_emit, s), 0);
}

static int
setup(void **state)
{
	uint8_t name[2] = { 'x', 0 };

	dg = nrs_digest_new();
	for (size_t i = 0; i < SMALL; i++) {
		name[1] = (uint8_t)i;
		hash_leaf(name, 2, &leaves[i]);
	}
	return dg == NULL;
}

static int
teardown(void **state)
{
	nrs_digest_free(dg);
	return 0;
}

/* --- the vectors that every Certificate Transparency log is tested with --- */

static const char *const ct_leaves[] = { "", "00", "10", "2021", "3031", "40414243",
	"5051525354555657", "606162636465666768696a6b6c6d6e6f" };
static const char *const ct_roots[] = {
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
	"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
	"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
	"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
	"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
	"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
	"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
	"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
	"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
};

struct ct_proof {
	uint64_t a; /* leaf index, or the old size */
	uint64_t size;
	const char *h[4];
};

static const struct ct_proof ct_paths[] = { { 0, 1, { NULL } },
	{ 0, 8,
	    { "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
		"5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
		"6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4" } },
	{ 5, 8,
	    { "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
		"ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7" } },
	{ 2, 3, { "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125" } },
	{ 1, 5,
	    { "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
		"bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b" } } };

static const struct ct_proof ct_consistency[] = { { 1, 1, { NULL } },
	{ 1, 8,
	    { "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
		"5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
		"6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4" } },
	{ 6, 8,
	    { "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
		"ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7" } },
	{ 2, 5,
	    { "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
		"bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b" } } };

static void
assert_proof(const struct nrs_proof *p, const char *const h[4])
{
	struct nrs_hash want;
	unsigned int n = 0;

	for (; n < 4 && h[n] != NULL; n++) {
		hex(&want, h[n]);
		assert_true(n < p->n);
		assert_memory_equal(&p->h[n], &want, 32);
	}
	assert_int_equal(p->n, n);
}

static void
test_vectors(void **state)
{
	struct nrs_hash leaf[8], root, want;
	struct nrs_frontier f;
	struct nrs_proof p;
	struct store s;
	struct nrs_tile_store ts = { store_read, &s };
	uint8_t raw[16];
	size_t n;

	store_init(&s, 8);
	nrs_frontier_init(&f);
	for (size_t i = 0; i <= 8; i++) {
		hex(&want, ct_roots[i]);
		assert_int_equal(nrs_frontier_root(dg, &f, &root), 0);
		assert_memory_equal(&root, &want, 32);
		assert_int_equal(nrs_tree_root(dg, &ts, i, &root), 0);
		assert_memory_equal(&root, &want, 32);
		if (i == 8)
			break;
		n = strlen(ct_leaves[i]) / 2;
		assert_int_equal(nrs_hex_parse(ct_leaves[i], 2 * n, raw, n), 0);
		hash_leaf(raw, n, &leaf[i]);
		store_append(&s, &f, &leaf[i]);
	}
	for (size_t i = 0; i < sizeof(ct_paths) / sizeof(ct_paths[0]); i++) {
		const struct ct_proof *c = &ct_paths[i];

		assert_int_equal(nrs_tree_inclusion(dg, &ts, c->a, c->size, &p), 0);
		assert_proof(&p, c->h);
		hex(&root, ct_roots[c->size]);
		assert_int_equal(
		    nrs_inclusion_verify(dg, c->a, c->size, &leaf[c->a], &p, &root), 0);
	}
	for (size_t i = 0; i < sizeof(ct_consistency) / sizeof(ct_consistency[0]); i++) {
		const struct ct_proof *c = &ct_consistency[i];

		assert_int_equal(nrs_tree_consistency(dg, &ts, c->a, c->size, &p), 0);
		assert_proof(&p, c->h);
		hex(&want, ct_roots[c->a]);
		hex(&root, ct_roots[c->size]);
		assert_int_equal(
		    nrs_consistency_verify(dg, c->a, c->size, &want, &root, &p), 0);
	}
	store_fini(&s);
}

/* --- every small tree --- */

struct question {
	bool inclusion;
	uint64_t a;
	uint64_t size;
};

static int
ask(const struct question *q, const struct nrs_proof *p, const struct nrs_hash *x,
    const struct nrs_hash *root)
{
	if (q->inclusion)
		return nrs_inclusion_verify(dg, q->a, q->size, x, p, root);
	return nrs_consistency_verify(dg, q->a, q->size, x, root, p);
}

/* x: the leaf, or the old root. All that is wrong by one hash is refused. */
static void
assert_mutants_refused(const struct question *q, const struct nrs_proof *p,
    const struct nrs_hash *x, const struct nrs_hash *root)
{
	struct nrs_hash bad;
	struct nrs_proof m;

	bad = *root;
	bad.b[31] ^= 1;
	/* from the empty tree, every tree follows */
	if (q->inclusion || q->a != 0)
		assert_int_equal(ask(q, p, x, &bad), NRS_EPROOF);
	bad = *x;
	bad.b[0] ^= 0x80;
	assert_int_equal(ask(q, p, &bad, root), NRS_EPROOF);
	for (unsigned int i = 0; i < p->n; i++) {
		m = *p;
		m.h[i].b[i % 32] ^= 4;
		assert_int_equal(ask(q, &m, x, root), NRS_EPROOF);
		m = *p; /* one missing */
		memmove(&m.h[i], &m.h[i + 1], (m.n - i - 1) * sizeof(m.h[0]));
		m.n--;
		assert_int_equal(ask(q, &m, x, root), NRS_EPROOF);
	}
	for (unsigned int i = 0; i <= p->n; i++) {
		m = *p; /* one too many */
		memmove(&m.h[i + 1], &m.h[i], (m.n - i) * sizeof(m.h[0]));
		m.h[i] = i % 2 ? *root : *x;
		m.n++;
		assert_int_equal(ask(q, &m, x, root), NRS_EPROOF);
	}
	m = *p;
	m.n = NRS_PROOF_MAX + 1;
	assert_int_equal(ask(q, &m, x, root), NRS_EPROOF);
}

static void
check_inclusion(const struct nrs_tile_store *ts, uint64_t index, uint64_t size, bool mutate)
{
	const struct question q = { true, index, size };
	const struct nrs_hash *root = model_mth(0, size);
	struct nrs_proof p, want = { 0 };

	assert_int_equal(nrs_tree_inclusion(dg, ts, index, size, &p), 0);
	model_path(index, 0, size, &want);
	assert_int_equal(p.n, want.n);
	assert_memory_equal(p.h, want.h, p.n * sizeof(p.h[0]));
	assert_int_equal(ask(&q, &p, &leaves[index], root), 0);
	if (!mutate)
		return;
	assert_mutants_refused(&q, &p, &leaves[index], root);
	for (uint64_t i = 0; i < size; i++)
		if (i != index)
			assert_int_equal(
			    nrs_inclusion_verify(dg, i, size, &leaves[index], &p, root),
			    NRS_EPROOF);
}

static void
check_consistency(
    const struct nrs_tile_store *ts, uint64_t size1, uint64_t size2, bool mutate)
{
	const struct question q = { false, size1, size2 };
	const struct nrs_hash *root1 = model_mth(0, size1), *root2 = model_mth(0, size2);
	struct nrs_proof p, want = { 0 };

	assert_int_equal(nrs_tree_consistency(dg, ts, size1, size2, &p), 0);
	if (size1 > 0)
		model_subproof(size1, 0, size2, true, &want);
	assert_int_equal(p.n, want.n);
	assert_memory_equal(p.h, want.h, p.n * sizeof(p.h[0]));
	assert_int_equal(ask(&q, &p, root1, root2), 0);
	if (mutate)
		assert_mutants_refused(&q, &p, root1, root2);
	if (size1 != size2)
		assert_int_equal(
		    nrs_consistency_verify(dg, size2, size1, root2, root1, &p), NRS_EPROOF);
}

static void
test_exhaustive(void **state)
{
	struct nrs_frontier f, g;
	struct nrs_hash root;
	struct store s;
	struct nrs_tile_store ts = { store_read, &s };

	store_init(&s, SMALL);
	nrs_frontier_init(&f);
	for (uint64_t size = 0; size < SMALL; size++) {
		bool mutate = size <= 33 || size == 64 || size == 127;

		assert_int_equal(nrs_tree_root(dg, &ts, size, &root), 0);
		assert_memory_equal(&root, model_mth(0, size), 32);
		assert_int_equal(nrs_frontier_root(dg, &f, &root), 0);
		assert_memory_equal(&root, model_mth(0, size), 32);
		assert_int_equal(nrs_frontier_load(dg, &ts, size, &g), 0);
		assert_memory_equal(&f, &g, offsetof(struct nrs_frontier, h));
		assert_memory_equal(f.h, g.h, f.n * sizeof(f.h[0]));
		for (uint64_t i = 0; i < size; i++)
			check_inclusion(&ts, i, size, mutate);
		for (uint64_t i = 0; i <= size; i++)
			check_consistency(&ts, i, size, mutate);
		store_append(&s, &f, &leaves[size]);
	}
	store_fini(&s);
}

static void
test_ranges(void **state)
{
	struct nrs_frontier f = { .size = INT64_MAX };
	struct nrs_proof p = { 0 };
	struct nrs_hash h = { { 0 } };
	struct store s;
	struct nrs_tile_store ts = { store_read, &s };

	store_init(&s, 4);
	assert_int_equal(nrs_tree_inclusion(dg, &ts, 0, 0, &p), NRS_ERANGE);
	assert_int_equal(nrs_tree_inclusion(dg, &ts, 3, 3, &p), NRS_ERANGE);
	assert_int_equal(nrs_tree_inclusion(dg, &ts, 0, UINT64_MAX, &p), NRS_ERANGE);
	assert_int_equal(nrs_tree_consistency(dg, &ts, 4, 3, &p), NRS_ERANGE);
	assert_int_equal(
	    nrs_tree_consistency(dg, &ts, 1, UINT64_C(1) << 63, &p), NRS_ERANGE);
	assert_int_equal(nrs_tree_root(dg, &ts, UINT64_MAX, &h), NRS_ERANGE);
	assert_int_equal(nrs_frontier_load(dg, &ts, UINT64_C(1) << 63, &f), NRS_ERANGE);
	f.size = INT64_MAX;
	assert_int_equal(nrs_frontier_append(dg, &f, &h, NULL, NULL), NRS_ELIMIT);
	p.n = 0;
	assert_int_equal(nrs_inclusion_verify(dg, 0, 0, &h, &p, &h), NRS_EPROOF);
	assert_int_equal(nrs_inclusion_verify(dg, 1, 1, &h, &p, &h), NRS_EPROOF);
	assert_int_equal(nrs_inclusion_verify(dg, 0, UINT64_MAX, &h, &p, &h), NRS_EPROOF);
	assert_int_equal(nrs_inclusion_verify(dg, 0, 1, &h, &p, &h), 0);
	assert_int_equal(nrs_consistency_verify(dg, 1, UINT64_MAX, &h, &h, &p), NRS_EPROOF);
	assert_int_equal(s.reads, 0);
	store_fini(&s);
}

/* --- what the frontier emits --- */

#define BIG (65536 + 300)

static void
reduce(const struct nrs_hash *in, uint64_t n, struct nrs_hash *out)
{
	for (uint64_t i = 0; i < n; i++)
		hash_node(&in[2 * i], &in[2 * i + 1], &out[i]);
}

static bool
interesting(uint64_t size)
{
	static const uint64_t v[] = { 1, 2, 128, 255, 256, 257, 511, 512, 513, 32768, 65279,
		65280, 65535, 65536, 65537, 65791, 65792, 65793, BIG };

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++)
		if (v[i] == size)
			return true;
	return false;
}

static void
check_edge(struct store *s, const struct nrs_frontier *f)
{
	struct nrs_tile_store ts = { store_read, s };
	struct nrs_hash root, again;
	struct nrs_frontier g;
	struct nrs_proof p;

	assert_true(s->n[0] == f->size);
	assert_true(s->n[1] == f->size / 256);
	assert_true(s->n[2] == f->size / 65536);
	assert_int_equal(nrs_frontier_root(dg, f, &root), 0);
	assert_int_equal(nrs_tree_root(dg, &ts, f->size, &again), 0);
	assert_memory_equal(&root, &again, 32);
	assert_int_equal(nrs_frontier_load(dg, &ts, f->size, &g), 0);
	assert_int_equal(g.n, f->n);
	assert_memory_equal(g.h, f->h, f->n * sizeof(f->h[0]));
	for (uint64_t i = 0; i < f->size; i += 1 + f->size / 9) {
		assert_int_equal(nrs_tree_inclusion(dg, &ts, i, f->size, &p), 0);
		assert_int_equal(
		    nrs_inclusion_verify(dg, i, f->size, &s->v[0][i], &p, &root), 0);
		assert_int_equal(nrs_tree_root(dg, &ts, i, &again), 0);
		assert_int_equal(nrs_tree_consistency(dg, &ts, i, f->size, &p), 0);
		assert_int_equal(
		    nrs_consistency_verify(dg, i, f->size, &again, &root, &p), 0);
	}
}

static void
test_levels(void **state)
{
	struct nrs_hash *a, *b, *t;
	struct nrs_frontier f;
	struct store s;
	uint64_t n = 65536;
	uint8_t raw[8];

	store_init(&s, BIG);
	nrs_frontier_init(&f);
	for (uint64_t i = 0; i < BIG; i++) {
		struct nrs_hash leaf;

		nrs_put_u64(raw, i);
		hash_leaf(raw, sizeof(raw), &leaf);
		store_append(&s, &f, &leaf);
		if (interesting(i + 1))
			check_edge(&s, &f);
	}
	/* the levels by brute force */
	assert_non_null(a = calloc(n, sizeof(*a)));
	assert_non_null(b = calloc(n, sizeof(*b)));
	memcpy(a, s.v[0], n * sizeof(*a));
	for (unsigned int height = 1; height <= 16; height++) {
		n /= 2;
		reduce(a, n, b);
		t = a;
		a = b;
		b = t;
		if (height == 8)
			assert_memory_equal(a, s.v[1], n * sizeof(*a));
	}
	assert_memory_equal(a, s.v[2], sizeof(*a));
	free(a);
	free(b);
	store_fini(&s);
}

/* A failure of the store or of emit comes back as it is, and changes nothing. */
static int
emit_fails(void *arg, unsigned int level, uint64_t index, const struct nrs_hash *h)
{
	return level == *(unsigned int *)arg ? NRS_EFULL : 0;
}

static void
test_failures(void **state)
{
	struct nrs_frontier f, before;
	unsigned int level;
	struct nrs_proof p;
	struct store s;
	struct nrs_tile_store ts = { store_read, &s };
	struct nrs_hash h;

	store_init(&s, 300);
	nrs_frontier_init(&f);
	for (size_t i = 0; i < 255; i++)
		store_append(&s, &f, &leaves[i % SMALL]);
	for (level = 0; level < 2; level++) {
		before = f;
		assert_int_equal(
		    nrs_frontier_append(dg, &f, &leaves[0], emit_fails, &level), NRS_EFULL);
		assert_memory_equal(&before, &f, sizeof(f));
	}
	for (s.fail_at = 1; s.fail_at <= 7; s.fail_at++) {
		s.reads = 0;
		assert_int_equal(nrs_tree_inclusion(dg, &ts, 77, 255, &p), NRS_EIO);
		s.reads = 0;
		assert_int_equal(nrs_tree_consistency(dg, &ts, 77, 255, &p), NRS_EIO);
		s.reads = 0;
		assert_int_equal(nrs_tree_root(dg, &ts, 255, &h), NRS_EIO);
		s.reads = 0;
		assert_int_equal(nrs_frontier_load(dg, &ts, 255, &f), NRS_EIO);
		assert_true(f.size == 0 && f.n == 0);
	}
	store_fini(&s);
}

static void
test_frontier_codec(void **state)
{
	static const uint64_t sizes[] = { 0, 1, 2, 3, 7, 8, 100, 255 };
	struct nrs_frontier f, g;
	struct nrs_buf b;
	struct nrs_rd r;

	nrs_buf_init(&b, 65536);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		nrs_frontier_init(&f);
		for (uint64_t k = 0; k < sizes[i]; k++)
			assert_int_equal(
			    nrs_frontier_append(dg, &f, &leaves[k % SMALL], NULL, NULL), 0);
		nrs_buf_reset(&b);
		nrs_frontier_encode(&b, &f);
		assert_int_equal(b.len, 8 + 32 * f.n);
		nrs_rd_init(&r, b.p, b.len);
		nrs_frontier_decode(&r, &g);
		assert_int_equal(nrs_rd_end(&r), 0);
		assert_true(g.size == f.size && g.n == f.n);
		assert_memory_equal(f.h, g.h, f.n * sizeof(f.h[0]));
		for (size_t len = 0; len < b.len; len++) {
			nrs_rd_init(&r, b.p, len);
			nrs_frontier_decode(&r, &g);
			assert_int_equal(r.err, NRS_ETRUNC);
			assert_true(g.size == 0 && g.n == 0);
		}
	}
	nrs_buf_reset(&b);
	nrs_buf_u64(&b, UINT64_C(1) << 63);
	nrs_buf_zero(&b, 32);
	nrs_rd_init(&r, b.p, b.len);
	nrs_frontier_decode(&r, &g);
	assert_int_equal(r.err, NRS_ERANGE);
	nrs_buf_fini(&b);
}

/* --- trees too large to build: all leaves are the same, so a subtree is its size --- */

static struct nrs_hash same[64]; /* root of a complete tree of 2^i leaves */
static uint64_t same_size;

static int
same_read(void *arg, unsigned int level, uint64_t index, size_t n, struct nrs_hash *ret)
{
	assert_true(level < NRS_TILE_LEVELS);
	assert_true(n >= 1 && n <= 128);
	/* nothing beyond the tree is ever read */
	assert_true(index + n <= same_size >> (8 * level));
	for (size_t i = 0; i < n; i++)
		ret[i] = same[8 * level];
	return 0;
}

static void
same_root(uint64_t n, struct nrs_hash *ret)
{
	struct nrs_hash r;
	unsigned int log = 0;
	uint64_t k;

	if ((n & (n - 1)) == 0) {
		while (UINT64_C(1) << log < n)
			log++;
		*ret = same[log];
		return;
	}
	k = model_k(n);
	same_root(n - k, &r);
	same_root(k, ret);
	hash_node(ret, &r, ret);
}

static void
test_large(void **state)
{
	static const uint64_t sizes[] = { 1000000, (UINT64_C(1) << 32) - 1,
		UINT64_C(1) << 32, (UINT64_C(1) << 32) + 1, UINT64_C(0x123456789abcd),
		(UINT64_C(1) << 62) + 3, INT64_MAX };
	struct nrs_tile_store ts = { same_read, NULL };
	struct nrs_hash root, root1, again;
	struct nrs_frontier f;
	struct nrs_proof p;
	uint64_t i;

	same[0] = leaves[0];
	for (int k = 1; k < 64; k++)
		hash_node(&same[k - 1], &same[k - 1], &same[k]);
	for (size_t c = 0; c < sizeof(sizes) / sizeof(sizes[0]); c++) {
		same_size = sizes[c];
		same_root(same_size, &root);
		assert_int_equal(nrs_tree_root(dg, &ts, same_size, &again), 0);
		assert_memory_equal(&root, &again, 32);
		assert_int_equal(nrs_frontier_load(dg, &ts, same_size, &f), 0);
		assert_int_equal(nrs_frontier_root(dg, &f, &again), 0);
		assert_memory_equal(&root, &again, 32);
		for (unsigned int k = 0; k <= 16; k++) {
			i = k == 16 ? same_size - 1 : same_size / 16 * k + k * k;
			assert_int_equal(nrs_tree_inclusion(dg, &ts, i, same_size, &p), 0);
			assert_int_equal(
			    nrs_inclusion_verify(dg, i, same_size, &leaves[0], &p, &root),
			    0);
			p.h[p.n / 2].b[7] ^= 1;
			assert_int_equal(
			    nrs_inclusion_verify(dg, i, same_size, &leaves[0], &p, &root),
			    NRS_EPROOF);
			same_root(i + 1, &root1);
			assert_int_equal(
			    nrs_tree_consistency(dg, &ts, i + 1, same_size, &p), 0);
			assert_int_equal(
			    nrs_consistency_verify(dg, i + 1, same_size, &root1, &root, &p),
			    0);
			root1.b[5] ^= 1;
			assert_int_equal(
			    nrs_consistency_verify(dg, i + 1, same_size, &root1, &root, &p),
			    NRS_EPROOF);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_exhaustive),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_frontier_codec),
		cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests_name("tlog/tree", tests, setup, teardown);
}
