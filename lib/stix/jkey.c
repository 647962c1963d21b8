/*
 * Duplicate keys (RFC 7493, 2.3), compared in decoded form.  Objects of up to
 * JLEX_KEYS_SMALL keys, nearly all there are, are checked as the keys come: a
 * Bloom filter of 64 bits says "new" for most.  Larger ones are sorted when
 * they end, which bounds the cost for keys made to collide.
 */
#include "stix/jkey.h"

#include <stdlib.h>
#include <string.h>

#define DUP_STEPS 8 /* for each entry, to find its place in a table that is half empty */

static uint64_t
load(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	memcpy(&v, p, n);
	return v;
}

/*
 * Of the first and the last eight bytes and the length: enough to tell the
 * keys of real objects apart, and whoever collides on purpose gains nothing.
 */
static uint64_t
hash_ends(uint64_t first, uint64_t last, size_t len)
{
	return jlex_mix(first + len, last);
}

static uint64_t
hash_plain(struct nrs_str key)
{
	size_t n = key.len;

	if (n >= 8)
		return hash_ends(load(key.p, 8), load(key.p + n - 8, 8), n);
	if (n >= 4)
		return hash_ends(load(key.p, 4), load(key.p + n - 4, 4), n);
	if (n > 0)
		return hash_ends(
		    load(key.p, 1), load(key.p + n / 2, 1) << 8 | key.p[n - 1], n);
	return hash_ends(0, 0, 0);
}

static uint64_t
hash_escaped(struct nrs_str key)
{
	uint8_t first[8], last[8];
	struct jlex_dec dec;
	size_t len = 0;
	int c;

	jlex_dec_init(&dec, key);
	while ((c = jlex_dec_next(&dec)) >= 0) {
		if (len < 8) {
			first[len] = (uint8_t)c;
			last[len] = (uint8_t)c;
		} else {
			memmove(last, last + 1, 7);
			last[7] = (uint8_t)c;
		}
		len++;
	}
	if (len < 8)
		return hash_plain((struct nrs_str){ first, len });
	return hash_ends(load(first, 8), load(last, 8), len);
}

static struct nrs_str
raw_key(const struct jlex *j, const struct jlex_ent *e)
{
	return (struct nrs_str){ j->base + e->a, e->b >> 1 };
}

/* Orders keys by their decoded bytes. */
static int
cmp_key(const void *arg, const struct jlex_ent *x, const struct jlex_ent *y)
{
	struct nrs_str a = raw_key(arg, x), b = raw_key(arg, y);
	struct jlex_dec da, db;
	int ca, cb, rc;

	if (((x->b | y->b) & 1) == 0) {
		rc = memcmp(a.p, b.p, a.len < b.len ? a.len : b.len);
		return rc != 0 ? rc : (a.len > b.len) - (a.len < b.len);
	}
	jlex_dec_init(&da, a);
	jlex_dec_init(&db, b);
	do {
		ca = jlex_dec_next(&da);
		cb = jlex_dec_next(&db);
	} while (ca == cb && ca >= 0);
	return ca - cb;
}

static int
keys_grow(struct jlex *j)
{
	struct jlex_ent *e;
	uint32_t cap = j->cap * 4;

	if (cap > JLEX_KEYS_MAX)
		cap = JLEX_KEYS_MAX;
	if (j->nkeys >= cap)
		return jlex_fail(j, NRS_ELIMIT, jlex_off(j), NULL,
		    "more than %u keys in objects that are open", JLEX_KEYS_MAX);
	e = realloc(j->keys == j->fixed ? NULL : j->keys, cap * sizeof(*e));
	if (e == NULL)
		return NRS_ENOMEM;
	if (j->keys == j->fixed)
		memcpy(e, j->fixed, sizeof(j->fixed));
	j->keys = e;
	j->cap = cap;
	return 0;
}

static int
fail_duplicate(struct jlex *j, const struct jlex_ent *e)
{
	return jlex_fail(j, NRS_EDUPLICATE, e->a - 1u, NULL,
	    "a key is given twice in one object (RFC 7493, 2.3)");
}

int
jkey_add(struct jlex *j, struct nrs_str key, bool esc)
{
	struct jlex_level *lv = &j->lv[j->depth - 1];
	uint32_t i, n = j->nkeys - lv->keys;
	struct jlex_ent *e;
	uint64_t bit;
	int rc;

	if (j->nkeys == j->cap && (rc = keys_grow(j)) != 0)
		return rc;
	/* Made where it stays: parts of it copied as a whole would wait for each other. */
	e = &j->keys[j->nkeys];
	e->h = esc ? hash_escaped(key) : hash_plain(key);
	e->a = (uint32_t)(key.p - j->base);
	e->b = (uint32_t)key.len << 1 | esc;
	bit = jlex_bloom(e->h);
	if (n < JLEX_KEYS_SMALL && (lv->bloom & bit) != 0)
		for (i = lv->keys; i < j->nkeys; i++)
			if (j->keys[i].h == e->h && cmp_key(j, &j->keys[i], e) == 0)
				return fail_duplicate(j, e);
	lv->bloom |= bit;
	j->nkeys++;
	return 0;
}

int
jkey_close(struct jlex *j)
{
	struct jlex_level *lv = &j->lv[j->depth - 1];
	uint32_t n = j->nkeys - lv->keys;
	const struct jlex_ent *dup;
	int rc;

	if (n > JLEX_KEYS_SMALL) {
		rc = jlex_dups(j->keys + lv->keys, n, cmp_key, j, &dup);
		if (rc != 0)
			return rc;
		if (dup != NULL) {
			lv->at_value = false;
			return fail_duplicate(j, dup);
		}
	}
	j->nkeys = lv->keys;
	return 0;
}

static bool
before(const struct jlex_ent *x, const struct jlex_ent *y,
    int (*cmp)(const void *, const struct jlex_ent *, const struct jlex_ent *),
    const void *arg)
{
	if (x->h != y->h)
		return x->h < y->h;
	return cmp(arg, x, y) <= 0;
}

/*
 * Mostly all hashes differ, and a table tells so sooner than an order does.  A
 * text that was made to collide gets no more steps than others.
 */
static bool
hashes_differ(const struct jlex_ent *e, size_t n)
{
	size_t mask = 1, steps = n * DUP_STEPS, i, k;
	uint64_t *t;

	while (mask < n * 2)
		mask *= 2;
	if ((t = calloc(mask, sizeof(*t))) == NULL)
		return false;
	mask--;
	for (i = 0; i < n; i++) {
		for (k = e[i].h & mask; t[k] != 0 && t[k] != e[i].h && steps > 0; steps--)
			k = (k + 1) & mask;
		if (t[k] != 0 || e[i].h == 0)
			break;
		t[k] = e[i].h;
	}
	free(t);
	return i == n;
}

int
jlex_dups(struct jlex_ent *e, size_t n,
    int (*cmp)(const void *, const struct jlex_ent *, const struct jlex_ent *),
    const void *arg, const struct jlex_ent **ret_dup)
{
	struct jlex_ent *tmp, *from = e, *to, *swap;
	size_t w, lo, mid, hi, a, b, k;

	*ret_dup = NULL;
	if (n < 2 || hashes_differ(e, n))
		return 0;
	if ((tmp = malloc(n * sizeof(*tmp))) == NULL)
		return NRS_ENOMEM;
	to = tmp;
	/* a merge sort from below: stable, so of two equal ones the later follows */
	for (w = 1; w < n; w *= 2) {
		for (lo = 0; lo < n; lo = hi) {
			mid = n - lo > w ? lo + w : n;
			hi = n - mid > w ? mid + w : n;
			a = lo;
			b = mid;
			for (k = lo; k < hi; k++)
				to[k] = a < mid &&
					(b == hi || before(&from[a], &from[b], cmp, arg))
				    ? from[a++]
				    : from[b++];
		}
		swap = from;
		from = to;
		to = swap;
	}
	if (from != e)
		memcpy(e, from, n * sizeof(*e));
	free(tmp);
	for (k = 1; k < n; k++)
		if (e[k].h == e[k - 1].h && cmp(arg, &e[k - 1], &e[k]) == 0 &&
		    (*ret_dup == NULL || e[k].a < (*ret_dup)->a))
			*ret_dup = &e[k];
	return 0;
}
