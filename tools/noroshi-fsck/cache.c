/*
 * The caches against the journal (FORMAT-journal.md, section 6): what counts of
 * them is what the last STATE says, and nothing in them is ever the truth.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "tools/noroshi-fsck/fsck.h"

struct cache {
	struct fsck *f;
	char path[96];
	const struct m_origin *o;
	size_t esize;
	uint64_t count;
	const struct vec *want;
	const struct vec *or_want; /* NULL: nothing else will do */
	bool gaps;		   /* zero is an element like any other */
	bool places;		   /* elements are positions: a live node may be ahead */
};

static bool
all_zero(const uint8_t *p, size_t len)
{
	while (len > 0 && *p == 0) {
		p++;
		len--;
	}
	return len == 0;
}

static bool
element_ok(const struct cache *c, uint64_t i, const uint8_t *have)
{
	const uint8_t *want = vec_get(c->want, i), *other;
	uint64_t pos;

	if (want == NULL)
		return !c->gaps || all_zero(have, c->esize) || c->f->lost > 0;
	if (memcmp(want, have, c->esize) == 0)
		return true;
	/* not known here, because the frame that said it is lost */
	if (all_zero(want, c->esize))
		return !c->gaps || c->f->lost > 0;
	other = c->or_want != NULL ? vec_get(c->or_want, i) : NULL;
	if (other != NULL && !all_zero(other, c->esize) &&
	    memcmp(other, have, c->esize) == 0)
		return true;
	if (!c->places)
		return false;
	memcpy(&pos, have, sizeof(pos));
	if (model_in_hole(c->f, pos))
		return true;
	return c->f->live && pos >= NRS_POS(c->f->segs[c->f->nsegs - 1].no, c->f->limit);
}

static void
compare(struct cache *c, const uint8_t *p, size_t len)
{
	struct place at = { .file = c->path,
		.origin = c->o != NULL ? c->o->name : NULL,
		.index = NRS_NONE };
	uint64_t bad = 0, first = 0;

	for (uint64_t i = 0; i < c->count && (i + 1) * c->esize <= len; i++) {
		if (element_ok(c, i, p + i * c->esize))
			continue;
		if (bad++ == 0)
			first = i;
	}
	if (bad == 0)
		return;
	at.off = first * c->esize;
	at.len = c->esize;
	report_fault(&c->f->rep, F_CACHE_DIFFERS, &at, NULL,
	    "%llu of %llu elements differ from the journal, element %llu first",
	    (unsigned long long)bad, (unsigned long long)c->count,
	    (unsigned long long)first);
}

static void
check(struct cache *c)
{
	struct place at = { .file = c->path,
		.origin = c->o != NULL ? c->o->name : NULL,
		.index = NRS_NONE };
	uint64_t size = 0;
	uint8_t *p;
	size_t len;

	if (c->count == 0)
		return;
	c->f->counts.caches++;
	if (dir_size(c->f, c->path, &size) != 0 || size / c->esize < c->count) {
		at.off = size;
		report_fault(&c->f->rep, F_CACHE_MISSING, &at, NULL,
		    "cache has %llu elements, %llu count",
		    (unsigned long long)(size / c->esize), (unsigned long long)c->count);
		return;
	}
	if (dir_read(c->f, c->path, UINT64_MAX, &p, &len) != 0) {
		report_fault(
		    &c->f->rep, F_CACHE_MISSING, &at, NULL, "cache cannot be read");
		return;
	}
	compare(c, p, len);
	free(p);
}

static void
check_origin(struct fsck *f, struct m_origin *o)
{
	struct cache c = { .f = f, .o = o, .esize = sizeof(uint64_t) };
	const struct m_audience *a;
	char hex[17], id[17];
	size_t it = 0;

	nrs_hex_format(hex, o->id.b, 8);
	snprintf(c.path, sizeof(c.path), "logs/%s/pos", hex);
	c.count = o->state_size;
	c.want = &o->pos;
	c.or_want = &o->leaves_pos;
	c.places = true;
	check(&c);
	c.or_want = NULL;
	c.places = false;
	c.esize = NRS_HASH_LEN;
	for (unsigned int k = 0; k < NRS_TILE_LEVELS; k++) {
		snprintf(c.path, sizeof(c.path), "logs/%s/l%u", hex, k);
		c.count = o->state_size >> (k * NRS_TILE_HEIGHT);
		c.want = k == 0 ? &o->leaf : &o->level[k];
		check(&c);
	}
	c.esize = sizeof(uint64_t);
	c.gaps = true;
	while ((a = nrs_map_next(o->audiences, &it, NULL)) != NULL) {
		nrs_hex_format(id, a->id.b, 8);
		snprintf(c.path, sizeof(c.path), "logs/%s/aud-%s", hex, id);
		c.count = a->state_next;
		c.want = &a->index;
		check(&c);
	}
}

void
caches_check(struct fsck *f)
{
	struct cache c = { .f = f, .path = "events", .esize = sizeof(uint64_t) };

	c.count = f->state_event > 0 ? f->state_event - 1 : 0;
	c.want = &f->events;
	c.places = true;
	check(&c);
	for (size_t i = 0; i < f->norigins; i++)
		check_origin(f, f->origins[i]);
}
