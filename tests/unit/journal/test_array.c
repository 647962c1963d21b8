/* Cache arrays against a plain array in memory, through flushes, faults and crashes. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "journal/array.h"
#include "tests/lib/memenv.h"

#define MAX 3000

struct world {
	struct memenv *e;
	struct nrs_array *a;
	size_t esize;
	uint64_t n;
	uint8_t model[MAX][40];
};

static void
world_init(struct world *w, size_t esize)
{
	memset(w, 0, sizeof(*w));
	w->e = memenv_new(esize);
	w->esize = esize;
	assert_int_equal(w->e->env.ops->dir_make(&w->e->env, "logs"), 0);
	assert_int_equal(nrs_array_open(&w->e->env, "logs/a", esize, 0, &w->a), 0);
}

static void
world_fini(struct world *w)
{
	nrs_array_free(w->a);
	memenv_free(w->e);
}

static void
set(struct world *w, uint64_t i, uint8_t v)
{
	uint8_t elem[40];

	memset(elem, v, sizeof(elem));
	assert_int_equal(nrs_array_set(w->a, i, elem), 0);
	memcpy(w->model[i], elem, w->esize);
	if (i >= w->n)
		w->n = i + 1;
}

static void
check(struct world *w, uint64_t from, uint64_t to)
{
	static uint8_t got[MAX * 40];
	uint64_t i;

	assert_int_equal(nrs_array_get(w->a, from, (size_t)(to - from), got), 0);
	for (i = from; i < to; i++)
		assert_memory_equal(got + (i - from) * w->esize, w->model[i], w->esize);
}

static void
cut(struct world *w, uint64_t n)
{
	nrs_array_truncate(w->a, n);
	if (n < w->n) {
		memset(w->model[n], 0, (size_t)(w->n - n) * sizeof(w->model[0]));
		w->n = n;
	}
}

/* Everything at random, against the model; steps are done in between. */
static void
test_model(void **state)
{
	static const size_t sizes[] = { 1, 8, 24, 32, 40 };
	static struct world w;
	uint64_t rng = 5, r, i;
	const size_t nsizes = sizeof(sizes) / sizeof(*sizes);
	size_t k;
	int turn;

	for (k = 0; k < 2 * nsizes; k++) {
		world_init(&w, sizes[k % nsizes]);
		if (k >= nsizes)
			nrs_array_in_order(w.a);
		for (turn = 0; turn < 4000; turn++) {
			r = memenv_random(&rng);
			if (r % 16 < 9 && w.n + 1 < MAX) {
				set(&w, w.n, (uint8_t)(r >> 8));
			} else if (r % 16 == 9 && w.n > 0) {
				set(&w, (r >> 16) % w.n, (uint8_t)(r >> 8));
			} else if (r % 16 == 10 && w.n + 400 < MAX) {
				set(&w, w.n + (r >> 16) % 400, (uint8_t)(r >> 8));
			} else if (r % 16 == 11 && (r >> 16) % 8 == 0 && w.n > 0) {
				cut(&w, w.n - (r >> 20) % (w.n < 300 ? w.n : 300));
			} else if (r % 16 == 12) {
				(void)!nrs_array_flush(w.a, (r >> 16 & 1) != 0);
			} else if (r % 16 == 13) {
				for (i = (r >> 16) % 5; i > 0; i--)
					memenv_step(w.e);
			} else if (r % 16 == 14 && (r >> 16) % 8 == 0) {
				memenv_fail(w.e, 1 + (r >> 20) % 4, NRS_EFULL);
			} else if (w.n > 0) {
				i = (r >> 16) % w.n;
				check(&w, i, i + (r >> 40) % (w.n - i + 1));
				for (; k >= nsizes && i < w.n && (r >> 32) % 3 == 0; i++)
					check(&w, i, i + 1);
			}
			assert_true(nrs_array_count(w.a) == w.n);
		}
		check(&w, 0, w.n);
		memenv_run(w.e);
		while (nrs_array_flush(w.a, true) != 0)
			memenv_run(w.e);
		memenv_run(w.e);
		assert_true(nrs_array_dirty(w.a) == 0 && !nrs_array_busy(w.a));
		check(&w, 0, w.n);
		nrs_array_free(w.a);
		memenv_crash(w.e, MEMENV_LOSE, 0);
		assert_int_equal(
		    nrs_array_open(&w.e->env, "logs/a", w.esize, w.n, &w.a), 0);
		check(&w, 0, w.n);
		world_fini(&w);
	}
}

static unsigned int preads;
static int (*real_pread)(
    struct nrs_env *e, nrs_file f, uint64_t off, void *buf, size_t len, size_t *ret_len);

static int
count_pread(
    struct nrs_env *e, nrs_file f, uint64_t off, void *buf, size_t len, size_t *ret_len)
{
	preads++;
	return real_pread(e, f, off, buf, len, ret_len);
}

/* Element by element, a page is read once; what was set meanwhile is seen. */
static void
test_in_order(void **state)
{
	static struct world w;
	struct nrs_env_ops ops;
	uint64_t i;

	world_init(&w, 32);
	for (i = 0; i < 2000; i++)
		set(&w, i, (uint8_t)(i * 7 + 1));
	assert_int_equal(nrs_array_flush(w.a, true), 0);
	memenv_run(w.e);
	ops = *w.e->env.ops;
	real_pread = ops.file_pread;
	ops.file_pread = count_pread;
	w.e->env.ops = &ops;
	for (i = 0; i < w.n; i++)
		check(&w, i, i + 1);
	assert_int_equal(preads, w.n);
	nrs_array_in_order(w.a);
	preads = 0;
	for (i = 0; i < w.n; i++)
		check(&w, i, i + 1);
	/* 128 to a page, and the first piece before it is known that others follow */
	assert_true(preads <= w.n / 128 + 2);
	/* of the page that is kept, one changes, is flushed, and is read again */
	i = w.n - 1;
	set(&w, i, 99);
	check(&w, i, i + 1);
	assert_int_equal(nrs_array_flush(w.a, true), 0);
	check(&w, i, i + 1);
	memenv_run(w.e);
	check(&w, i - 1, i);
	check(&w, i, i + 1);
	cut(&w, i);
	set(&w, i, 98);
	assert_int_equal(nrs_array_flush(w.a, true), 0);
	memenv_run(w.e);
	check(&w, i, i + 1);
	world_fini(&w);
}

/* Two calls with sync: the second 0 says that all before the first is durable. */
static void
test_two_flushes(void **state)
{
	static struct world w;
	uint64_t at, i;
	int rc, round, bad = 0;

	for (at = 1; at < 12; at++) {
		world_init(&w, 8);
		for (i = 0; i < 2000; i++)
			set(&w, i, (uint8_t)(i * 7));
		memenv_fail(w.e, at, at % 2 == 0 ? NRS_EFULL : NRS_EIO);
		for (rc = round = 0; round < 2; round = rc == 0 ? round + 1 : 0) {
			rc = nrs_array_flush(w.a, true);
			bad += rc != 0;
			/* A flush of someone else in between hides nothing. */
			(void)!nrs_array_flush(w.a, false);
			memenv_run(w.e);
		}
		check(&w, 0, 2000);
		nrs_array_free(w.a);
		memenv_crash(w.e, MEMENV_LOSE, 0);
		assert_int_equal(nrs_array_open(&w.e->env, "logs/a", 8, 2000, &w.a), 0);
		check(&w, 0, 2000);
		world_fini(&w);
	}
	assert_true(bad > 3);
}

/* Written without sync, dropped from memory, and then the sync fails: said, for good. */
static void
test_lost(void **state)
{
	static struct world w;

	world_init(&w, 8);
	set(&w, 0, 1);
	assert_int_equal(nrs_array_flush(w.a, false), 0);
	memenv_run(w.e);
	memenv_fail(w.e, 1, NRS_EIO);
	assert_int_equal(nrs_array_flush(w.a, true), 0);
	memenv_run(w.e);
	assert_int_equal(nrs_array_flush(w.a, true), NRS_ECORRUPT);
	assert_int_equal(nrs_array_flush(w.a, true), NRS_ECORRUPT);
	world_fini(&w);
}

/* Memory in flight does not change; what is set meanwhile is read and flushed later. */
static void
test_copy_on_write(void **state)
{
	static struct world w;
	const uint8_t *disk;
	size_t len;

	world_init(&w, 8);
	set(&w, 0, 1);
	assert_int_equal(nrs_array_flush(w.a, true), 0);
	set(&w, 0, 2);
	check(&w, 0, 1);
	memenv_run(w.e);
	disk = memenv_bytes(w.e, "logs/a", &len);
	assert_int_equal(disk[0], 1);
	check(&w, 0, 1);
	assert_true(nrs_array_dirty(w.a) == 4096);
	assert_int_equal(nrs_array_flush(w.a, true), 0);
	memenv_run(w.e);
	disk = memenv_bytes(w.e, "logs/a", &len);
	assert_int_equal(disk[0], 2);
	/* Clean: a further flush does nothing. */
	assert_int_equal(nrs_array_flush(w.a, true), 0);
	assert_true(memenv_idle(w.e));
	world_fini(&w);
}

/* What an older life left behind the believed count is never seen. */
static void
test_stale_tail(void **state)
{
	static struct world w;
	uint64_t i;

	world_init(&w, 8);
	for (i = 0; i < 2000; i++)
		set(&w, i, 0xee);
	assert_int_equal(nrs_array_flush(w.a, true), 0);
	memenv_run(w.e);
	nrs_array_free(w.a);
	assert_int_equal(nrs_array_open(&w.e->env, "logs/a", 8, 10, &w.a), 0);
	w.n = 2000;
	cut(&w, 10);
	set(&w, 1500, 0x11); /* a gap: zeros, not the old bytes */
	check(&w, 0, 1501);
	assert_int_equal(nrs_array_flush(w.a, true), 0);
	memenv_run(w.e);
	check(&w, 0, 1501);
	world_fini(&w);
}

static void
test_errors(void **state)
{
	static struct world w;
	uint8_t elem[8] = { 0 };
	struct nrs_array *b;

	world_init(&w, 8);
	assert_int_equal(nrs_array_get(w.a, 0, 1, elem), NRS_ERANGE);
	assert_int_equal(nrs_array_get(w.a, 1, 0, elem), NRS_ERANGE);
	assert_int_equal(nrs_array_get(w.a, 0, 0, elem), 0);
	set(&w, 0, 1);
	assert_int_equal(nrs_array_get(w.a, 0, 2, elem), NRS_ERANGE);
	assert_int_equal(nrs_array_get(w.a, 0, SIZE_MAX, elem), NRS_ERANGE);
	assert_int_equal(nrs_array_set(w.a, UINT64_MAX, elem), NRS_ERANGE);
	assert_int_equal(nrs_array_set(w.a, 1ull << 40, elem), NRS_ELIMIT);
	assert_true(nrs_array_count(w.a) == 1);
	/* absent or too short for what is believed: rebuild */
	assert_int_equal(nrs_array_open(&w.e->env, "logs/b", 8, 1, &b), NRS_ECORRUPT);
	memenv_write(w.e, "logs/b", elem, 7);
	assert_int_equal(nrs_array_open(&w.e->env, "logs/b", 8, 1, &b), NRS_ECORRUPT);
	memenv_write(w.e, "logs/b", elem, 8);
	assert_int_equal(
	    nrs_array_open(&w.e->env, "logs/b", 8, UINT64_MAX, &b), NRS_ECORRUPT);
	assert_int_equal(nrs_array_open(&w.e->env, "logs/b", 8, 1, &b), 0);
	nrs_array_free(b);
	assert_int_equal(nrs_array_open(&w.e->env, "logs/b", 0, 1, &b), NRS_EINTERNAL);
	/* nothing was created by asking */
	assert_int_equal(nrs_array_open(&w.e->env, "logs/c", 8, 0, &b), 0);
	nrs_array_free(b);
	assert_null(memenv_bytes(w.e, "logs/c", &(size_t){ 0 }));
	world_fini(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_in_order),
		cmocka_unit_test(test_two_flushes),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_copy_on_write),
		cmocka_unit_test(test_stale_tail),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests_name("array", tests, NULL, NULL);
}
