/*
 * What the frames add up to: origins with their trees, keys and chains, and
 * communities with their statements.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "tools/noroshi-fsck/fsck.h"

/* --- elements --------------------------------------------------------------- */

void *
vec_set(struct vec *v, uint64_t i)
{
	uint64_t cap = v->cap > 0 ? v->cap : 64;
	uint8_t *p;

	/* i may be what a damaged or made-up file says */
	if (i >= SIZE_MAX / 4 / v->esize)
		return NULL;
	while (cap <= i)
		cap *= 2;
	if (cap > v->cap) {
		if ((p = realloc(v->p, cap * v->esize)) == NULL)
			return NULL;
		memset(p + v->cap * v->esize, 0, (cap - v->cap) * v->esize);
		v->p = p;
		v->cap = cap;
	}
	if (i >= v->n)
		v->n = i + 1;
	return v->p + i * v->esize;
}

const void *
vec_get(const struct vec *v, uint64_t i)
{
	return i < v->n ? v->p + i * v->esize : NULL;
}

void
vec_fini(struct vec *v)
{
	free(v->p);
	v->p = NULL;
	v->n = v->cap = 0;
}

bool
excused(struct fsck *f, uint64_t *seen)
{
	if (f->lost <= *seen)
		return false;
	*seen = f->lost;
	report_excuse(&f->rep);
	return true;
}

void
model_lose(struct fsck *f, uint64_t pos, uint64_t len)
{
	struct m_hole *h = vec_set(&f->holes, f->holes.n);

	f->lost++;
	if (h == NULL)
		f->failed = true;
	else
		*h = (struct m_hole){ pos, pos + len };
}

bool
model_in_hole(const struct fsck *f, uint64_t pos)
{
	const struct m_hole *v = (const struct m_hole *)(const void *)f->holes.p;

	for (uint64_t i = 0; i < f->holes.n; i++)
		if (pos >= v[i].from && pos < v[i].to)
			return true;
	return false;
}

/* --- origins ------------------------------------------------------------------ */

struct m_origin *
model_origin(struct fsck *f, const struct nrs_hash *id)
{
	for (size_t i = 0; i < f->norigins; i++)
		if (memcmp(f->origins[i]->id.b, id->b, NRS_HASH_LEN) == 0)
			return f->origins[i];
	return NULL;
}

static void
origin_free(struct m_origin *o)
{
	struct m_audience *a;
	size_t it = 0;

	while ((a = nrs_map_next(o->audiences, &it, NULL)) != NULL) {
		vec_fini(&a->index);
		free(a);
	}
	nrs_map_free(o->audiences);
	vec_fini(&o->leaf);
	vec_fini(&o->pos);
	vec_fini(&o->leaves_pos);
	for (unsigned int k = 0; k < NRS_TILE_LEVELS; k++)
		vec_fini(&o->level[k]);
	free(o->manifests);
	free(o);
}

struct m_origin *
model_origin_new(struct fsck *f, const char *name)
{
	struct m_origin **v, *o = calloc(1, sizeof(*o));

	v = realloc(f->origins, (f->norigins + 1) * sizeof(*v));
	if (v != NULL)
		f->origins = v;
	if (o == NULL || v == NULL || (o->audiences = nrs_map_new(32, f->seed)) == NULL) {
		free(o);
		f->failed = true;
		return NULL;
	}
	snprintf(o->name, sizeof(o->name), "%s", name);
	nrs_frontier_init(&o->put);
	nrs_frontier_init(&o->edge);
	o->leaf.esize = NRS_HASH_LEN;
	o->pos.esize = o->leaves_pos.esize = sizeof(uint64_t);
	for (unsigned int k = 0; k < NRS_TILE_LEVELS; k++)
		o->level[k].esize = NRS_HASH_LEN;
	if (nrs_origin_id(name, strlen(name), &o->id) != 0) {
		origin_free(o);
		f->failed = true;
		return NULL;
	}
	o->own = nrs_hash_eq(&o->id, &f->self);
	f->origins[f->norigins++] = o;
	return o;
}

int
model_push_manifest(struct fsck *f, struct m_origin *o, const uint8_t *note, size_t len,
    uint64_t index, struct nrs_detail *d)
{
	struct m_manifest *v = realloc(o->manifests, (o->nmanifests + 1) * sizeof(*v));
	int rc;

	if (v == NULL) {
		f->failed = true;
		return NRS_ENOMEM;
	}
	o->manifests = v;
	v += o->nmanifests;
	rc = nrs_manifest_open(
	    &v->m, note, len, o->nmanifests > 0 ? &v[-1].m : NULL, nrs_verify, d);
	if (rc == 0 && strcmp(v->m.origin, o->name) != 0)
		rc = nrs_fail(d, NRS_EORIGIN, 0, "manifest of another origin");
	if (rc == 0)
		rc = nrs_sha256(note, len, &v->note);
	if (rc != 0)
		return rc;
	f->counts.signatures++;
	v->index = index;
	o->nmanifests++;
	return 0;
}

/* FORMAT.md, section 6: for indices after its own, for sizes above its own index + 1. */
const struct nrs_manifest *
model_manifest_at(const struct m_origin *o, uint64_t index)
{
	const struct nrs_manifest *m = NULL;

	for (unsigned int i = 0; i < o->nmanifests; i++)
		if (i == 0 || o->manifests[i].index < index)
			m = &o->manifests[i].m;
	return m;
}

const struct nrs_manifest *
model_manifest_for_size(const struct m_origin *o, uint64_t size)
{
	const struct nrs_manifest *m = NULL;

	for (unsigned int i = 0; i < o->nmanifests; i++)
		if (i == 0 || o->manifests[i].index + 1 < size)
			m = &o->manifests[i].m;
	return m;
}

/* --- trees ---------------------------------------------------------------------- */

static int
emit(void *arg, unsigned int level, uint64_t index, const struct nrs_hash *h)
{
	struct m_origin *o = arg;
	void *p;

	if (level == 0 || level >= NRS_TILE_LEVELS)
		return 0;
	if ((p = vec_set(&o->level[level], index)) == NULL)
		return NRS_ENOMEM;
	memcpy(p, h->b, NRS_HASH_LEN);
	return 0;
}

int
model_leaf(struct fsck *f, struct m_origin *o, const struct nrs_hash *leaf, uint64_t pos)
{
	void *l = vec_set(&o->leaf, o->put.size), *p = vec_set(&o->pos, o->put.size);

	if (l == NULL || p == NULL ||
	    nrs_frontier_append(f->dg, &o->put, leaf, emit, o) != 0) {
		f->failed = true;
		return NRS_ENOMEM;
	}
	memcpy(l, leaf->b, NRS_HASH_LEN);
	memcpy(p, &pos, sizeof(pos));
	return 0;
}

bool
model_bridge(struct fsck *f, struct m_origin *o, uint64_t to)
{
	static const struct nrs_hash zero;
	char hex[17], path[64];
	uint64_t from = o->put.size;
	struct nrs_hash leaf;

	if (o->broken || to <= from || to > f->journal_bytes)
		return false;
	nrs_hex_format(hex, o->id.b, 8);
	snprintf(path, sizeof(path), "logs/%s/l0", hex);
	while (o->put.size < to) {
		if (dir_part(f, path, o->put.size * NRS_HASH_LEN, &leaf, sizeof(leaf)) !=
			0 ||
		    nrs_hash_eq(&leaf, &zero) || model_leaf(f, o, &leaf, 0) != 0)
			return false;
	}
	if (o->bridged_from == o->bridged_to)
		o->bridged_from = from;
	o->bridged_to = to;
	return true;
}

/* --- chains, communities ----------------------------------------------------------- */

struct m_audience *
model_audience(struct fsck *f, struct m_origin *o, const struct nrs_hash *id, bool make)
{
	struct m_audience *a = nrs_map_find(o->audiences, id->b);

	if (a != NULL || !make)
		return a;
	if ((a = calloc(1, sizeof(*a))) == NULL ||
	    nrs_map_set(o->audiences, id->b, a, NULL) != 0) {
		free(a);
		f->failed = true;
		return NULL;
	}
	a->id = *id;
	a->type = model_community(f, id, false) != NULL ? AUD_COMMUNITY : AUD_DIRECT;
	a->newest_index = NRS_NONE;
	a->index.esize = sizeof(uint64_t);
	return a;
}

struct m_community *
model_community(struct fsck *f, const struct nrs_hash *id, bool make)
{
	struct m_community **v, *c;

	for (size_t i = 0; i < f->ncommunities; i++)
		if (memcmp(f->communities[i]->id.b, id->b, NRS_HASH_LEN) == 0)
			return f->communities[i];
	if (!make)
		return NULL;
	c = calloc(1, sizeof(*c));
	v = realloc(f->communities, (f->ncommunities + 1) * sizeof(*v));
	if (v != NULL)
		f->communities = v;
	if (c == NULL || v == NULL) {
		free(c);
		f->failed = true;
		return NULL;
	}
	c->id = *id;
	f->communities[f->ncommunities++] = c;
	return c;
}

int
model_statement(struct fsck *f, struct m_community *c, struct nrs_statement *s,
    const struct nrs_hash *note)
{
	struct m_epoch *v;

	if (s->epoch < c->n) {
		if (!nrs_hash_eq(&c->v[s->epoch].s.hash, &s->hash)) {
			c->frozen = true;
			if (!c->has_rival)
				c->rival = *note;
			c->has_rival = true;
		}
		return 0;
	}
	if ((v = realloc(c->v, (c->n + 1) * sizeof(*v))) == NULL) {
		f->failed = true;
		return NRS_ENOMEM;
	}
	c->v = v;
	v[c->n].s = *s;
	v[c->n].note = *note;
	c->n++;
	memset(s, 0, sizeof(*s));
	return 0;
}

void
model_free(struct fsck *f)
{
	for (size_t i = 0; i < f->norigins; i++)
		origin_free(f->origins[i]);
	free(f->origins);
	for (size_t i = 0; i < f->ncommunities; i++) {
		for (unsigned int k = 0; k < f->communities[i]->n; k++)
			nrs_statement_fini(&f->communities[i]->v[k].s);
		free(f->communities[i]->v);
		free(f->communities[i]);
	}
	free(f->communities);
	vec_fini(&f->events);
	vec_fini(&f->ranges);
	vec_fini(&f->holes);
}
