/*
 * Recovery: every flipped bit, every truncation, and the world stopped after
 * every storage step of batches and of new segments.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "journal/internal.h"
#include "tests/unit/journal/toy.h"

#define SEG1 "journal/00000001.nrj"
#define SEG2 "journal/00000002.nrj"
#define SEG3 "journal/00000003.nrj"
#define KEY1 "journal/00000001.key"
#define KEY2 "journal/00000002.key"

/* cmocka cannot free the waits of a crash: they are counted by nobody. */
static void
batch(struct toy *t, unsigned int frames, size_t len)
{
	toy_batch(t, frames, len);
	memenv_run(t->e);
}

static void
reopen_sound(struct toy *t)
{
	assert_int_equal(toy_open(t), 0);
	assert_true(toy_sound(t));
	toy_check_all(t);
}

static void
test_reopen(void **state)
{
	enum memenv_crash how;
	struct toy t;
	int i;

	for (how = MEMENV_KILL; how <= MEMENV_TEAR; how++) {
		toy_init(&t, 1, 4096, true);
		for (i = 0; i < 40; i++)
			batch(&t, 1 + (unsigned int)i % 3, 100 + 40 * (size_t)(i % 5));
		toy_check_all(&t);
		assert_true(t.acked == t.n);
		toy_crash(&t, how, 7);
		reopen_sound(&t);
		assert_true(nrs_journal_next_event(t.j) == 1);
		/* And it goes on where it was. */
		batch(&t, 2, 64);
		toy_crash(&t, how, 8);
		reopen_sound(&t);
		assert_true(t.acked == t.n);
		toy_fini(&t);
	}
}

/* One flipped bit anywhere in what was committed. */
static void
test_every_flip(void **state)
{
	size_t used, off, len;
	struct toy t;
	int bit, rc;

	toy_init(&t, 2, 65536, false);
	batch(&t, 1, 13);
	batch(&t, 2, 21);
	batch(&t, 1, 16);
	used = (size_t)(nrs_journal_end(t.j) & UINT32_MAX);
	toy_crash(&t, MEMENV_LOSE, 0);
	for (off = 0; off < used; off++) {
		for (bit = 0; bit < 8; bit++) {
			memenv_poke(t.e, SEG1, off, (uint8_t)(1 << bit));
			rc = toy_open(&t);
			/* The last batch cannot be told from one that was torn. */
			if (rc == 0) {
				assert_true(t.n == 3 && t.hash == t.hash_at[3]);
				assert_true(off >= used - 80);
				toy_crash(&t, MEMENV_LOSE, 0);
				toy_fini(&t);
				toy_init(&t, 2, 65536, false);
				batch(&t, 1, 13);
				batch(&t, 2, 21);
				batch(&t, 1, 16);
				toy_crash(&t, MEMENV_LOSE, 0);
				continue;
			}
			assert_true(rc == NRS_ECORRUPT);
			assert_string_equal(t.d.path, SEG1);
			assert_true(t.d.off <= off);
			nrs_journal_free(t.j);
			memenv_crash(t.e, MEMENV_LOSE, 0);
			memenv_poke(t.e, SEG1, off, (uint8_t)(1 << bit));
		}
	}
	assert_int_equal(toy_open(&t), 0);
	assert_true(t.n == 4);
	memenv_bytes(t.e, SEG1, &len);
	assert_true(len == 65536);
	toy_fini(&t);
}

/* Every length of the last segment gives back whole batches. */
static void
test_every_truncation(void **state)
{
	size_t used, len;
	uint64_t min = 0;
	struct toy t;
	int i, rc;

	toy_init(&t, 3, 65536, false);
	batch(&t, 1, 20);
	used = (size_t)(nrs_journal_end(t.j) & UINT32_MAX);
	toy_fini(&t);
	for (len = 0; len < used + 200; len++) {
		toy_init(&t, 3, 65536, false);
		for (i = 0; i < 4; i++)
			batch(&t, 1 + (unsigned int)i, 20 + (size_t)i);
		toy_crash(&t, MEMENV_LOSE, 0);
		t.acked = 0; /* a cut file is no crash: what was acknowledged goes */
		memenv_resize(t.e, SEG1, len);
		rc = toy_open(&t);
		if (len < 72 + 24 + 24 + 40) {
			assert_int_equal(rc, NRS_ENOTFOUND);
		} else {
			assert_int_equal(rc, 0);
			assert_true(toy_sound(&t));
			assert_true(t.n >= min);
			min = t.n;
			batch(&t, 1, 30);
			toy_crash(&t, MEMENV_TEAR, len);
			reopen_sound(&t);
		}
		toy_fini(&t);
	}
	assert_true(min >= 1);
}

static void
scenario(struct toy *t, uint64_t seed)
{
	toy_init(t, seed, 3072, true);
	t->state_pad = 1200; /* over several sectors: it can tear */
}

/* Work until the process dies or all is done; returns the steps it took. */
static void
scenario_run(struct toy *t)
{
	int i;

	for (i = 0; i < 14 && !t->e->dead; i++) {
		toy_batch(t, 1 + (unsigned int)i % 2, 150 + 90 * (size_t)(i % 4));
		/* Two batches at a time: one flies, one forms. */
		if (i % 2 == 1)
			memenv_run(t->e);
	}
	memenv_run(t->e);
}

/*
 * The process dies after each storage step in turn; the medium keeps an
 * arbitrary part of what was not synced.  Then recovery itself dies after
 * each of its steps, and is done again.
 */
static void
test_every_crash(void **state)
{
	uint64_t steps, at, base, seed, dead_at;
	enum memenv_crash how;
	unsigned int torn = 0, rolls = 0;
	struct toy t;
	int rc;

	scenario(&t, 4);
	base = t.e->steps;
	scenario_run(&t);
	steps = t.e->steps - base;
	assert_true(nrs_journal_end(t.j) >> 32 >= 3);
	toy_fini(&t);
	for (at = 1; at <= steps; at++) {
		for (seed = 0; seed < 12; seed++) {
			how = seed == 0 ? MEMENV_KILL
			    : seed == 1 ? MEMENV_LOSE
					: MEMENV_TEAR;
			scenario(&t, 4);
			t.e->die_at = base + at;
			scenario_run(&t);
			toy_crash(&t, how, seed * 1000 + at);
			/* A third of them die once more while recovering. */
			if (seed % 3 == 2) {
				dead_at = 1 + (at + seed) % 6;
				t.e->die_at = t.e->steps + dead_at;
				rc = toy_open(&t);
				assert_true(rc == 0 || rc == NRS_EIO);
				toy_crash(&t, MEMENV_TEAR, seed * 7 + at);
			}
			rc = toy_open(&t);
			if (rc != 0)
				fail_msg("step %u seed %u: %s %s at %u: %s",
				    (unsigned int)at, (unsigned int)seed, nrs_strerror(rc),
				    t.d.path, (unsigned int)t.d.off, t.d.text);
			if (!toy_sound(&t))
				fail_msg("step %u seed %u: %u frames, %u acknowledged",
				    (unsigned int)at, (unsigned int)seed, (unsigned int)t.n,
				    (unsigned int)t.acked);
			toy_check_all(&t);
			rolls = nrs_journal_end(t.j) >> 32 > 1 ? rolls + 1 : rolls;
			torn += t.j->must_roll;
			batch(&t, 1, 99);
			assert_true(t.acked == t.n);
			toy_crash(&t, MEMENV_LOSE, 0);
			reopen_sound(&t);
			toy_fini(&t);
		}
	}
	/* The test reached what it is about. */
	assert_true(torn > 20 && rolls > 20);
}

/* One life: work, with the medium full now and then, until something kills it. */
static void
live(struct toy *t, uint64_t *rng)
{
	uint64_t r;
	int i;

	t->e->die_at = t->e->steps + 1 + memenv_random(rng) % 60;
	for (i = 0; i < 40 && !t->e->dead && t->n + 4 < TOY_MAX; i++) {
		r = memenv_random(rng);
		if (r % 8 < 4)
			toy_batch(t, 1 + (unsigned int)(r >> 8) % 3, 12 + (r >> 16) % 500);
		else if (r % 8 == 4)
			t->e->full = (r >> 8 & 3) == 0;
		else if (r % 8 == 5)
			(void)!nrs_array_flush(t->pos, (r >> 8 & 1) != 0);
		for (; (r >> 32) % 4 != 0 && memenv_step(t->e); r = memenv_random(rng))
			continue;
		nrs_journal_retry(t->j);
		if ((r >> 40) % 4 == 0)
			memenv_run(t->e);
	}
	assert_int_equal(t->faileds, t->e->dead ? t->faileds : 0);
}

/* Crash after crash: what one recovery gave back, every later one gives back, too. */
static void
test_many_lives(void **state)
{
	uint64_t rng = 13, world, i;
	unsigned int lives, died_full = 0;
	struct toy t;

	for (world = 0; world < 40; world++) {
		toy_init(&t, world, 1500, true);
		t.state_pad = world % 3 * 700;
		for (lives = 0; lives < 40 && t.n + 10 < TOY_MAX; lives++) {
			t.faileds = 0;
			live(&t, &rng);
			died_full += nrs_journal_full(t.j);
			toy_crash(&t, memenv_random(&rng) % 3, memenv_random(&rng));
			if (memenv_random(&rng) % 3 == 0) {
				t.e->die_at = t.e->steps + 1 + memenv_random(&rng) % 6;
				(void)!toy_open(&t);
				toy_crash(&t, memenv_random(&rng) % 3, memenv_random(&rng));
			}
			reopen_sound(&t);
			t.acked = t.n;
			for (i = t.n + 1; i <= TOY_MAX; i++)
				t.batch_at[i] = false;
		}
		assert_true(t.n > 20);
		toy_fini(&t);
	}
	assert_true(died_full > 10);
}

/* What the tests above would say of a disk whose syncs lie. */
static void
test_lying_disk(void **state)
{
	struct toy t;
	int rc;

	scenario(&t, 5);
	t.e->nosync = true;
	scenario_run(&t);
	toy_crash(&t, MEMENV_LOSE, 0);
	rc = toy_open(&t);
	assert_true(rc != 0 || !toy_sound(&t));
	toy_fini(&t);
}

static void
corrupt(struct toy *t, const char *path, size_t off, int want, uint64_t want_off,
    const char *want_path)
{
	size_t len;
	uint8_t *copy;
	const uint8_t *now;
	int rc;

	now = memenv_bytes(t->e, path, &len);
	copy = malloc(len);
	assert_non_null(copy);
	memcpy(copy, now, len);
	memenv_poke(t->e, path, off, 0x20);
	rc = toy_open(t);
	assert_int_equal(rc, want);
	if (want != 0) {
		assert_string_equal(t->d.path, want_path);
		assert_true(t->d.off == want_off);
	}
	/* Nothing was changed. */
	now = memenv_bytes(t->e, path, &len);
	copy[off] ^= 0x20;
	assert_memory_equal(now, copy, len);
	copy[off] ^= 0x20;
	memenv_poke(t->e, path, off, 0x20);
	free(copy);
	toy_crash(t, MEMENV_LOSE, 0);
}

static void
test_middle_damage(void **state)
{
	uint64_t second;
	struct toy t;

	toy_init(&t, 6, 65536, false);
	batch(&t, 1, 40);
	second = nrs_journal_end(t.j) & UINT32_MAX;
	batch(&t, 1, 40);
	batch(&t, 1, 40);
	toy_crash(&t, MEMENV_LOSE, 0);
	/* header of the second batch's frame; its body; its COMMIT */
	corrupt(&t, SEG1, second + 5, NRS_ECORRUPT, second, SEG1);
	corrupt(&t, SEG1, second + 30, NRS_ECORRUPT, second, SEG1);
	corrupt(&t, SEG1, second + 64 + 8, NRS_ECORRUPT, second + 64, SEG1);
	/* STATE, and the header of the segment */
	corrupt(&t, SEG1, 72 + 24 + 3, NRS_ECORRUPT, 72, SEG1);
	corrupt(&t, SEG1, 20, NRS_ECORRUPT, 0, SEG1);
	assert_int_equal(toy_open(&t), 0);
	assert_true(t.n == 3);
	toy_fini(&t);
}

static int
ignore(void *arg, const struct nrs_jframe *f)
{
	return 0;
}

static void
three_segments(struct toy *t)
{
	toy_init(t, 7, 1024, true);
	while (nrs_journal_end(t->j) >> 32 < 3)
		batch(t, 2, 200);
	batch(t, 1, 50);
	toy_crash(t, MEMENV_LOSE, 0);
}

static void
test_segments_damaged(void **state)
{
	struct toy t;

	three_segments(&t);
	corrupt(&t, KEY1, 30, NRS_ECORRUPT, 0, KEY1);
	corrupt(&t, KEY2, 70, NRS_ECORRUPT, 0, KEY2);
	corrupt(&t, SEG3, 20, NRS_ECORRUPT, 0, SEG3);
	corrupt(&t, SEG3, 72, NRS_ECORRUPT, 72, SEG3);
	/* An older segment is not read at the start; a scan finds it. */
	memenv_poke(t.e, SEG2, 300, 1);
	assert_int_equal(toy_open(&t), 0);
	memset(&t.d, 0, sizeof(t.d));
	assert_int_equal(nrs_journal_scan(t.j, 0, ignore, NULL, &t.d), NRS_ECORRUPT);
	assert_string_equal(t.d.path, SEG2);
	toy_fini(&t);
}

static void
test_segment_missing(void **state)
{
	struct toy t;

	three_segments(&t);
	memenv_remove(t.e, SEG2);
	assert_int_equal(toy_open(&t), NRS_ECORRUPT);
	assert_string_equal(t.d.path, SEG2);
	toy_fini(&t);
	three_segments(&t);
	memenv_remove(t.e, KEY2);
	assert_int_equal(toy_open(&t), NRS_ECORRUPT);
	assert_string_equal(t.d.path, KEY2);
	toy_fini(&t);
}

static void
test_wrong_kek(void **state)
{
	struct toy t;

	three_segments(&t);
	t.e->kek[3] ^= 1;
	assert_int_not_equal(toy_open(&t), 0);
	assert_string_equal(t.d.path, KEY1);
	t.e->kek[3] ^= 1;
	assert_int_equal(toy_open(&t), 0);
	toy_fini(&t);
}

static void
test_wrong_origin(void **state)
{
	struct toy t;

	three_segments(&t);
	t.cfg.origin_id.b[0] ^= 1;
	assert_int_equal(toy_open(&t), NRS_EORIGIN);
	toy_fini(&t);
}

/* A frame that this version does not know, otherwise sound. */
static void
test_newer_version(void **state)
{
	uint8_t frame[JFRAME_HEAD + 8] = { 0 }, salt[JSEG_SALT];
	size_t off, len, i;
	const uint8_t *p;
	struct toy t;

	toy_init(&t, 8, 65536, false);
	batch(&t, 1, 40);
	off = (size_t)(nrs_journal_end(t.j) & UINT32_MAX);
	toy_crash(&t, MEMENV_LOSE, 0);
	p = memenv_bytes(t.e, SEG1, &len);
	memcpy(salt, p + 16, sizeof(salt));
	nrs_jframe_seal(frame, nrs_jsalt_crc(salt), NRS_J__MAX, 0, 8, 3);
	for (i = 0; i < sizeof(frame); i++)
		memenv_poke(t.e, SEG1, off + i, frame[i]);
	assert_int_equal(toy_open(&t), NRS_EVERSION);
	assert_true(t.d.off == off);
	toy_fini(&t);
}

/* What was signed is never cut, even if it looks torn. */
static void
test_signed_size(void **state)
{
	size_t end;
	struct toy t;

	toy_init(&t, 9, 65536, false);
	batch(&t, 2, 40);
	batch(&t, 1, 40);
	end = (size_t)(nrs_journal_end(t.j) & UINT32_MAX);
	toy_crash(&t, MEMENV_LOSE, 0);
	memenv_poke(t.e, SEG1, end - 1, 1); /* the last COMMIT */
	t.cfg.signed_size = 3;
	assert_int_equal(toy_open(&t), NRS_ECORRUPT);
	assert_string_equal(t.d.path, SEG1);
	memenv_crash(t.e, MEMENV_LOSE, 0);
	t.cfg.signed_size = 2;
	assert_int_equal(toy_open(&t), 0);
	assert_true(t.n == 2);
	toy_fini(&t);
}

/* Creation dies after each of its steps; the next one succeeds, a third is refused. */
static void
test_create_crash(void **state)
{
	struct nrs_journal_config cfg;
	uint64_t at, seed;
	struct toy t;
	int rc;

	for (at = 1; at < 12; at++) {
		for (seed = 0; seed < 16; seed++) {
			memset(&t, 0, sizeof(t));
			toy_init(&t, 10, 4096, false);
			cfg = t.cfg;
			toy_fini(&t);
			t.e = memenv_new(seed);
			cfg.env = &t.e->env;
			t.cfg = cfg;
			t.e->die_at = at;
			(void)!nrs_journal_create(&t.cfg, NULL);
			memenv_crash(t.e, seed == 0 ? MEMENV_KILL : MEMENV_TEAR, seed);
			rc = toy_open(&t);
			if (rc != 0) {
				assert_int_equal(rc, NRS_ENOTFOUND);
				assert_int_equal(nrs_journal_create(&t.cfg, NULL), 0);
				assert_int_equal(toy_open(&t), 0);
			}
			assert_int_equal(nrs_journal_create(&t.cfg, NULL), NRS_EEXISTS);
			batch(&t, 1, 20);
			toy_crash(&t, MEMENV_LOSE, 0);
			t.batch_at[0] = true;
			reopen_sound(&t);
			assert_true(t.n == 1);
			toy_fini(&t);
		}
	}
}

/* Disk content that means harm: no length is believed, nothing crashes. */
static void
test_hostile_bytes(void **state)
{
	uint64_t rng = 77, i, k;
	size_t len;
	struct toy t;
	int rc;

	for (i = 0; i < 400; i++) {
		three_segments(&t);
		memenv_bytes(t.e, SEG3, &len);
		for (k = memenv_random(&rng) % 8; k < 8; k++)
			memenv_poke(t.e, SEG3, (size_t)(memenv_random(&rng) % len),
			    (uint8_t)memenv_random(&rng));
		rc = toy_open(&t);
		if (rc == 0)
			assert_true(t.n <= TOY_MAX && t.hash == t.hash_at[t.n]);
		else
			assert_true(
			    rc == NRS_ECORRUPT || rc == NRS_EVERSION || rc == NRS_EORIGIN);
		toy_fini(&t);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reopen),
		cmocka_unit_test(test_every_flip),
		cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_every_crash),
		cmocka_unit_test(test_many_lives),
		cmocka_unit_test(test_lying_disk),
		cmocka_unit_test(test_middle_damage),
		cmocka_unit_test(test_segments_damaged),
		cmocka_unit_test(test_segment_missing),
		cmocka_unit_test(test_wrong_kek),
		cmocka_unit_test(test_wrong_origin),
		cmocka_unit_test(test_newer_version),
		cmocka_unit_test(test_signed_size),
		cmocka_unit_test(test_create_crash),
		cmocka_unit_test(test_hostile_bytes),
	};

	return cmocka_run_group_tests_name("recover", tests, NULL, NULL);
}
