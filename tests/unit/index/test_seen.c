/* The overlay of object keys over a cache that lags behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "index/seen.h"

#define STORE 64

/* A cache that applies what it was given only when told to. */
struct fake {
	struct nrs_env env;
	struct nrs_kv_item store[STORE], late[STORE];
	size_t n, nlate;
	uint64_t mark, late_mark;
	unsigned int clears;
};

static int
kv_get(struct nrs_env *e, const uint8_t key[16], uint64_t *ret)
{
	struct fake *f = (struct fake *)e;

	for (size_t i = 0; i < f->n; i++) {
		if (memcmp(f->store[i].key, key, 16) != 0)
			continue;
		*ret = f->store[i].value;
		return 0;
	}
	return NRS_ENOTFOUND;
}

static void
kv_put(struct nrs_env *e, const struct nrs_kv_item *items, size_t n, uint64_t mark)
{
	struct fake *f = (struct fake *)e;

	for (size_t i = 0; i < n; i++)
		f->late[f->nlate++] = items[i];
	f->late_mark = mark;
}

static uint64_t
kv_mark(struct nrs_env *e)
{
	return ((struct fake *)e)->mark;
}

static void
kv_clear(struct nrs_env *e)
{
	struct fake *f = (struct fake *)e;

	f->n = f->nlate = 0;
	f->mark = 0;
	f->clears++;
}

static void
kv_random(struct nrs_env *e, void *buf, size_t len)
{
	memset(buf, 7, len);
}

static const struct nrs_env_ops ops = { .kv_get = kv_get,
	.kv_put = kv_put,
	.kv_mark = kv_mark,
	.kv_clear = kv_clear,
	.random = kv_random };

static void
apply(struct fake *f)
{
	for (size_t i = 0; i < f->nlate; i++)
		f->store[f->n++] = f->late[i];
	f->nlate = 0;
	f->mark = f->late_mark;
}

static void
test_life(void **state)
{
	struct fake f = { .env.ops = &ops };
	uint8_t keys[3 * 16];
	struct nrs_seen *s;
	uint64_t index = 0;

	for (size_t i = 0; i < sizeof(keys); i++)
		keys[i] = (uint8_t)i;
	assert_int_equal(nrs_seen_new(&f.env, &s), 0);
	assert_int_equal(nrs_seen_find(s, keys, &index), NRS_ENOTFOUND);
	assert_int_equal(nrs_seen_reserve(s, keys, 2), 0);
	assert_int_equal(nrs_seen_find(s, keys, &index), NRS_EBUSY);
	/* all or none: the third key is not left reserved by a failure */
	assert_int_equal(nrs_seen_reserve(s, keys + 16, 2), NRS_EDUPLICATE);
	assert_int_equal(nrs_seen_find(s, keys + 32, &index), NRS_ENOTFOUND);
	assert_int_equal(nrs_seen_find(s, keys + 16, &index), NRS_EBUSY);
	nrs_seen_release(s, keys + 16, 1);
	assert_int_equal(nrs_seen_find(s, keys + 16, &index), NRS_ENOTFOUND);

	assert_int_equal(nrs_seen_add(s, keys, 1, 5), 0);
	assert_int_equal(nrs_seen_commit(s, 6), 0);
	assert_int_equal(f.nlate, 1);
	/* handed over, not applied: still known */
	assert_int_equal(nrs_seen_find(s, keys, &index), 0);
	assert_int_equal(index, 5);
	assert_int_equal(nrs_seen_count(s), 1);
	apply(&f);
	nrs_seen_trim(s);
	assert_int_equal(nrs_seen_count(s), 0);
	index = 0;
	assert_int_equal(nrs_seen_find(s, keys, &index), 0);
	assert_int_equal(index, 5);
	/* the first record with a key is the one that counts */
	assert_int_equal(nrs_seen_add(s, keys + 16, 1, 8), 0);
	assert_int_equal(nrs_seen_add(s, keys + 16, 1, 9), 0);
	assert_int_equal(nrs_seen_find(s, keys + 16, &index), 0);
	assert_int_equal(index, 8);
	nrs_seen_free(s);
}

static void
test_mark(void **state)
{
	struct fake f = { .env.ops = &ops, .mark = 10 };
	struct nrs_seen *s;

	assert_int_equal(nrs_seen_new(&f.env, &s), 0);
	assert_int_equal(nrs_seen_mark(s, 10), 10);
	assert_int_equal(nrs_seen_mark(s, 11), 10);
	assert_int_equal(f.clears, 0);
	/* the cache knows of a log that does not exist: nothing of it is believed */
	assert_int_equal(nrs_seen_mark(s, 9), 0);
	assert_int_equal(f.clears, 1);
	nrs_seen_free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_mark),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
