/*
 * Walking a segment with its faults: every flipped bit is told, at its place and
 * once, and nothing else is lost; also where the salt is gone.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/crc32c.h"
#include "journal/internal.h"
#include "journal/walk.h"
#include "tests/unit/journal/toy.h"

#define SEG1	"journal/00000001.nrj"
#define FRAMES	64
#define FAULTS	8
#define SEG_MAX (1u << 20)

/* What a walk saw. */
struct seen {
	uint32_t frame[FRAMES];
	bool whole[FRAMES];
	unsigned int frames, batches, unknown;
	struct nrs_jwalk_item fault[FAULTS];
	unsigned int faults;
	struct nrs_jwalk_end end;
};

static int
each(void *arg, const struct nrs_jwalk_item *it)
{
	struct seen *s = arg;

	if (it->what == NRS_JWALK_FAULT) {
		assert_true(s->faults < FAULTS);
		assert_non_null(it->why);
		s->fault[s->faults++] = *it;
		return 0;
	}
	assert_true(s->frames < FRAMES);
	assert_int_equal(it->off % 8, 0);
	assert_int_equal(it->what == NRS_JWALK_BATCH, it->f.type == NRS_J_COMMIT);
	s->whole[s->frames] = it->whole;
	s->frame[s->frames++] = it->off;
	s->batches += it->what == NRS_JWALK_BATCH;
	s->unknown += it->what == NRS_JWALK_FRAME && !it->known;
	return 0;
}

struct world {
	struct toy t;
	uint8_t *p;
	size_t len, used;
	struct seen good;
};

static void
walk(const struct world *w, const uint8_t *p, size_t len, struct seen *s)
{
	memset(s, 0, sizeof(*s));
	assert_int_equal(
	    nrs_jwalk_segment(p, len, 1, &w->t.cfg.origin_id, each, s, &s->end), 0);
}

static void
begin(struct world *w)
{
	nrs_file file;
	size_t i;

	memset(w, 0, sizeof(*w));
	toy_init(&w->t, 5, 65536, false);
	for (i = 0; i < 6; i++) {
		toy_batch(&w->t, 1 + (unsigned int)i % 3, 13 + 7 * i);
		memenv_run(w->t.e);
	}
	w->used = (size_t)(nrs_journal_end(w->t.j) & UINT32_MAX);
	assert_int_equal(w->t.cfg.env->ops->file_open(w->t.cfg.env, SEG1, 0, &file), 0);
	assert_non_null(w->p = malloc(SEG_MAX));
	assert_int_equal(
	    w->t.cfg.env->ops->file_pread(w->t.cfg.env, file, 0, w->p, SEG_MAX, &w->len),
	    0);
	w->t.cfg.env->ops->file_close(w->t.cfg.env, file);
	assert_true(w->len > w->used + 64);
	walk(w, w->p, w->len, &w->good);
	assert_int_equal(w->good.faults, 0);
	assert_int_equal(w->good.batches, 7); /* with STATE's */
	assert_int_equal(w->good.end.end, w->used);
	assert_int_equal(w->good.end.first_batch, 1);
	assert_int_equal(w->good.end.last_batch, 7);
	assert_true(w->good.end.state);
}

static void
finish(struct world *w)
{
	free(w->p);
	toy_fini(&w->t);
}

/* The frame of the sound walk that off is in. */
static unsigned int
frame_of(const struct world *w, size_t off)
{
	unsigned int i = w->good.frames;

	while (i > 0 && w->good.frame[i - 1] > off)
		i--;
	assert_true(i > 0);
	return i - 1;
}

static size_t
batch_start(const struct world *w, unsigned int n)
{
	unsigned int commits = 0;

	for (unsigned int i = 0; i < w->good.frames; i++) {
		if (commits == n)
			return w->good.frame[i];
		commits += w->p[w->good.frame[i]] == NRS_J_COMMIT;
	}
	return w->used;
}

static bool
saw(const struct seen *s, uint32_t off)
{
	for (unsigned int i = 0; i < s->frames; i++)
		if (s->frame[i] == off)
			return true;
	return false;
}

static void
test_every_flip(void **state)
{
	const struct nrs_jwalk_item *f;
	struct world w;
	struct seen s;
	unsigned int hit;

	begin(&w);
	for (size_t off = JSEG_HEADER; off < w.used; off++) {
		for (int bit = 0; bit < 8; bit++) {
			w.p[off] ^= (uint8_t)(1 << bit);
			walk(&w, w.p, w.len, &s);
			w.p[off] ^= (uint8_t)(1 << bit);
			hit = frame_of(&w, off);
			assert_int_equal(s.faults, 1);
			f = &s.fault[0];
			assert_int_equal(f->off, w.good.frame[hit]);
			assert_true(off >= f->off && off < f->off + f->len);
			assert_int_equal(f->fault, NRS_JWALK_BAD);
			/* all others are still there */
			for (unsigned int i = 0; i < w.good.frames; i++)
				assert_int_equal(saw(&s, w.good.frame[i]), i != hit);
			assert_int_equal(f->tail, off >= batch_start(&w, 6));
			if (f->tail)
				assert_int_equal(s.end.end, batch_start(&w, 6));
			else
				assert_int_equal(s.end.end, w.used);
		}
	}
	finish(&w);
}

/* The salt is needed for every checksum, and follows from any of them. */
static void
test_header_flips(void **state)
{
	struct world w;
	struct seen s;

	begin(&w);
	for (size_t off = 0; off < JSEG_HEADER; off++) {
		for (int bit = 0; bit < 8; bit++) {
			w.p[off] ^= (uint8_t)(1 << bit);
			walk(&w, w.p, w.len, &s);
			w.p[off] ^= (uint8_t)(1 << bit);
			assert_int_equal(s.faults, 1);
			assert_int_equal(s.fault[0].fault, NRS_JWALK_HEADER);
			assert_false(s.fault[0].tail);
			assert_int_equal(s.frames, w.good.frames);
			assert_int_equal(s.end.end, w.used);
		}
	}
	finish(&w);
}

/* Header and STATE gone: the next frames give the salt back. */
static void
test_first_page(void **state)
{
	struct world w;
	struct seen s;

	begin(&w);
	memset(w.p, 0, w.good.frame[2] + 8);
	walk(&w, w.p, w.len, &s);
	assert_int_equal(s.faults, 2);
	assert_int_equal(s.fault[0].fault, NRS_JWALK_HEADER);
	assert_int_equal(s.fault[1].fault, NRS_JWALK_BAD);
	assert_int_equal(s.fault[1].off, JSEG_HEADER);
	assert_int_equal(s.frames, w.good.frames - 3);
	assert_int_equal(s.end.last_batch, 7);
	memset(w.p, 0, w.len);
	walk(&w, w.p, w.len, &s);
	assert_int_equal(s.faults, 1);
	assert_true(s.fault[0].tail);
	assert_int_equal(s.frames, 0);
	finish(&w);
}

/* Whole batches are believed, a cut one is told, unless the cut is between two. */
static void
test_every_cut(void **state)
{
	struct world w;
	struct seen s;
	bool between;

	begin(&w);
	for (size_t len = JSEG_HEADER; len < w.used; len++) {
		walk(&w, w.p, len, &s);
		between = len == JSEG_HEADER;
		for (unsigned int i = 1; i < w.good.frames; i++)
			if (w.good.frame[i] == len &&
			    w.p[w.good.frame[i - 1]] == NRS_J_COMMIT)
				between = true;
		assert_int_equal(s.faults, between ? 0 : 1);
		if (!between)
			assert_true(s.fault[0].tail);
		assert_true(s.end.end <= len);
	}
	for (size_t len = 0; len < JSEG_HEADER; len++) {
		walk(&w, w.p, len, &s);
		assert_int_equal(s.faults, 1);
	}
	finish(&w);
}

static void
test_batches(void **state)
{
	uint8_t keep[4096];
	struct world w;
	struct seen s;
	size_t a, b, c;

	begin(&w);
	assert_true(w.used < sizeof(keep));
	memcpy(keep, w.p, w.used);
	a = batch_start(&w, 2);
	b = batch_start(&w, 3);
	c = batch_start(&w, 4);
	/* the third is taken out */
	memmove(w.p + a, w.p + b, w.used - b);
	memset(w.p + w.used - (b - a), 0, b - a);
	walk(&w, w.p, w.len, &s);
	assert_true(s.faults >= 1);
	assert_int_equal(s.fault[0].off, a);
	assert_int_equal(s.end.last_batch, 6); /* no COMMIT fits its place any more */
	/* the third stands twice, the second time over what follows */
	memcpy(w.p, keep, w.used);
	memset(w.p + b, 0, c - b);
	memcpy(w.p + b, keep + a, b - a < c - b ? b - a : c - b);
	walk(&w, w.p, w.len, &s);
	assert_true(s.faults >= 1);
	assert_true(s.fault[0].off >= b && s.fault[0].off < c);
	assert_int_equal(s.end.last_batch, 7);
	finish(&w);
}

/* Sound frames of a type that is not known are told as such, and gone past. */
static void
test_unknown(void **state)
{
	struct nrs_jhead h;
	uint32_t salt, crc;
	struct world w;
	struct seen s;
	size_t at, end, start;

	begin(&w);
	salt = nrs_jsalt_crc(w.p + 16);
	start = at = batch_start(&w, 3);
	assert_int_equal(nrs_jhead_decode(&h, w.p + at, salt), 0);
	nrs_jframe_seal(w.p + at, salt, 77, 0, h.len, h.batch);
	/* and the COMMIT is made to fit again */
	for (end = at; w.p[end] != NRS_J_COMMIT; end += JFRAME_HEAD + JPAD(h.len))
		assert_true(nrs_jhead_decode(&h, w.p + end, salt) != NRS_ECORRUPT);
	crc = nrs_crc32c(0, w.p + start, end - start);
	nrs_put_u32(w.p + end + JFRAME_HEAD + 4, crc);
	nrs_jframe_seal(w.p + end, salt, NRS_J_COMMIT, 0, JCOMMIT_BODY, h.batch);
	walk(&w, w.p, w.len, &s);
	assert_int_equal(s.faults, 0);
	assert_int_equal(s.unknown, 1);
	assert_int_equal(s.frames, w.good.frames);
	assert_int_equal(s.end.last_batch, 7);
	finish(&w);
}

static void
test_names(void **state)
{
	struct nrs_hash origin;
	uint8_t wrapped[60];
	struct world w;
	uint32_t seg;

	assert_int_equal(nrs_jwalk_name("00000012.nrj", "nrj"), 12);
	assert_int_equal(nrs_jwalk_name("00000012.key", "nrj"), 0);
	assert_int_equal(nrs_jwalk_name("0000001.nrj", "nrj"), 0);
	assert_int_equal(nrs_jwalk_name("x", "nrj"), 0);
	assert_int_equal(nrs_jwalk_name("", "nrj"), 0);
	begin(&w);
	assert_int_equal(nrs_jwalk_header(w.p, w.len, &seg, &origin), 0);
	assert_int_equal(seg, 1);
	assert_memory_equal(origin.b, w.t.cfg.origin_id.b, sizeof(origin.b));
	w.p[9] ^= 1;
	assert_int_equal(nrs_jwalk_header(w.p, w.len, &seg, &origin), NRS_ECORRUPT);
	assert_int_equal(nrs_jwalk_header(w.p, 71, &seg, &origin), NRS_ECORRUPT);
	assert_int_equal(nrs_jwalk_key(w.p, 72, 1, wrapped), NRS_ECORRUPT);
	finish(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_flip),
		cmocka_unit_test(test_header_flips),
		cmocka_unit_test(test_first_page),
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_batches),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
