/*
 * The map: linear probing in a power-of-two table that is at most 70% full.
 * Deletion shifts the rest of the run back, so there are no tombstones and a
 * table does not slow down with age.  SipHash-1-3 is enough here: nobody sees
 * its output, only the time that collisions would take.
 */
#include "base/map.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 16
#define CAP_MAX	  ((size_t)1 << 31) /* hashes are kept as 32 bits */

struct slots {
	uint8_t *keys;
	void **values; /* NULL = free */
	uint32_t *hashes;
	size_t cap;
};

struct nrs_map {
	size_t key_len;
	size_t count;
	uint64_t k0, k1;
	struct slots s;
};

#define ROTL(x, n) ((x) << (n) | (x) >> (64 - (n)))

static void
sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = ROTL(v[1], 13) ^ v[0];
	v[0] = ROTL(v[0], 32);
	v[2] += v[3];
	v[3] = ROTL(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = ROTL(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = ROTL(v[1], 17) ^ v[2];
	v[2] = ROTL(v[2], 32);
}

static uint64_t
load_le(const uint8_t *p, size_t len)
{
	uint64_t v = 0;
	size_t i;

	for (i = 0; i < len; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

uint64_t
nrs_siphash13(uint64_t k0, uint64_t k1, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t v[4] = { k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du,
		k0 ^ 0x6c7967656e657261u, k1 ^ 0x7465646279746573u };
	uint64_t m;
	size_t left;

	for (left = len; left >= 8; left -= 8, p += 8) {
		m = load_le(p, 8);
		v[3] ^= m;
		sip_round(v);
		v[0] ^= m;
	}
	m = (uint64_t)len << 56 | load_le(p, left);
	v[3] ^= m;
	sip_round(v);
	v[0] ^= m;
	v[2] ^= 0xff;
	sip_round(v);
	sip_round(v);
	sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static void
slots_fini(struct slots *s)
{
	free(s->keys);
	free(s->values);
	free(s->hashes);
	memset(s, 0, sizeof(*s));
}

static int
slots_init(struct slots *s, size_t cap, size_t key_len)
{
	s->cap = cap;
	s->keys = calloc(cap, key_len);
	s->values = calloc(cap, sizeof(*s->values));
	s->hashes = calloc(cap, sizeof(*s->hashes));
	if (s->keys != NULL && s->values != NULL && s->hashes != NULL)
		return 0;
	slots_fini(s);
	return NRS_ENOMEM;
}

static uint8_t *
slot_key(const struct nrs_map *m, const struct slots *s, size_t i)
{
	return s->keys + i * m->key_len;
}

struct nrs_map *
nrs_map_new(size_t key_len, const uint8_t seed[16])
{
	struct nrs_map *m;

	if (key_len == 0 || key_len > 64 || (m = calloc(1, sizeof(*m))) == NULL)
		return NULL;
	m->key_len = key_len;
	m->k0 = load_le(seed, 8);
	m->k1 = load_le(seed + 8, 8);
	return m;
}

void
nrs_map_free(struct nrs_map *m)
{
	if (m == NULL)
		return;
	slots_fini(&m->s);
	free(m);
}

static uint32_t
map_hash(const struct nrs_map *m, const void *key)
{
	return (uint32_t)nrs_siphash13(m->k0, m->k1, key, m->key_len);
}

/* The slot of key, or the free slot where it would go; the table is not full. */
static size_t
map_probe(const struct nrs_map *m, const void *key, uint32_t h)
{
	const struct slots *s = &m->s;
	size_t i = h & (s->cap - 1);

	while (s->values[i] != NULL &&
	    (s->hashes[i] != h || memcmp(slot_key(m, s, i), key, m->key_len) != 0))
		i = (i + 1) & (s->cap - 1);
	return i;
}

static void
slot_copy(const struct nrs_map *m, struct slots *to, size_t ti, const struct slots *from,
    size_t fi)
{
	memcpy(slot_key(m, to, ti), slot_key(m, from, fi), m->key_len);
	to->values[ti] = from->values[fi];
	to->hashes[ti] = from->hashes[fi];
}

static int
map_enlarge(struct nrs_map *m)
{
	size_t cap = m->s.cap > 0 ? m->s.cap * 2 : FIRST_CAP, i, j;
	struct slots n;

	if (cap > CAP_MAX || slots_init(&n, cap, m->key_len) != 0)
		return NRS_ENOMEM;
	for (i = 0; i < m->s.cap; i++) {
		if (m->s.values[i] == NULL)
			continue;
		j = m->s.hashes[i] & (cap - 1);
		while (n.values[j] != NULL)
			j = (j + 1) & (cap - 1);
		slot_copy(m, &n, j, &m->s, i);
	}
	slots_fini(&m->s);
	m->s = n;
	return 0;
}

void *
nrs_map_find(const struct nrs_map *m, const void *key)
{
	if (m->count == 0)
		return NULL;
	return m->s.values[map_probe(m, key, map_hash(m, key))];
}

int
nrs_map_set(struct nrs_map *m, const void *key, void *value, void **ret_old)
{
	uint32_t h = map_hash(m, key);
	size_t i;
	int rc;

	if (ret_old != NULL)
		*ret_old = NULL;
	if (value == NULL)
		return NRS_ERANGE;
	if (m->s.cap > 0) {
		i = map_probe(m, key, h);
		if (m->s.values[i] != NULL) {
			if (ret_old != NULL)
				*ret_old = m->s.values[i];
			m->s.values[i] = value;
			return 0;
		}
	}
	if ((m->count + 1) * 10 > m->s.cap * 7 && (rc = map_enlarge(m)) != 0)
		return rc;
	i = map_probe(m, key, h);
	memcpy(slot_key(m, &m->s, i), key, m->key_len);
	m->s.values[i] = value;
	m->s.hashes[i] = h;
	m->count++;
	return 0;
}

void *
nrs_map_del(struct nrs_map *m, const void *key)
{
	struct slots *s = &m->s;
	size_t mask = s->cap - 1, hole, i;
	void *value;

	if (m->count == 0)
		return NULL;
	hole = map_probe(m, key, map_hash(m, key));
	if ((value = s->values[hole]) == NULL)
		return NULL;
	for (i = (hole + 1) & mask; s->values[i] != NULL; i = (i + 1) & mask) {
		/* Stays, when its home lies after the hole: (hole, i]. */
		if (((i - s->hashes[i]) & mask) < ((i - hole) & mask))
			continue;
		slot_copy(m, s, hole, s, i);
		hole = i;
	}
	s->values[hole] = NULL;
	m->count--;
	return value;
}

size_t
nrs_map_count(const struct nrs_map *m)
{
	return m->count;
}

void *
nrs_map_next(const struct nrs_map *m, size_t *it, const void **ret_key)
{
	size_t i;

	for (i = *it; i < m->s.cap; i++) {
		if (m->s.values[i] == NULL)
			continue;
		*it = i + 1;
		if (ret_key != NULL)
			*ret_key = slot_key(m, &m->s, i);
		return m->s.values[i];
	}
	*it = i;
	return NULL;
}
