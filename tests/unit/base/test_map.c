/* The map against a plain array, and its hash and the CRC against vectors. */
#include "base/crc32c.h"
#include "base/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const uint8_t seed[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };

static void
test_siphash(void **state)
{
	/* the first vector of the reference generator, then what CPython computes with seed 0 */
	static const struct {
		const char *s;
		uint64_t want;
	} t[] = { { "a", 0x407448d2b89b1813ull }, { "abcdefg", 0x6db12aae9070f506ull },
		{ "abcdefgh", 0x3f7b849c0b8e35eaull },
		{ "hello world, hello", 0x57badf15ddb260afull } };
	size_t i;

	assert_true(nrs_siphash13(0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull, seed, 0) ==
	    0xabac0158050fc4dcull);
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		assert_true(nrs_siphash13(0, 0, t[i].s, strlen(t[i].s)) == t[i].want);
}

#define KEYS 500

/* A small generator: the test is the same on every machine. */
static uint32_t
next_random(uint32_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 17;
	*x ^= *x << 5;
	return *x;
}

static void
check_all(const struct nrs_map *m, void *const values[KEYS])
{
	uint8_t key[4] = { 0, 0, 'k', 'y' };
	size_t i, n = 0, it = 0, seen = 0;
	const void *at;
	void *v;

	for (i = 0; i < KEYS; i++) {
		key[0] = (uint8_t)i;
		key[1] = (uint8_t)(i >> 8);
		assert_ptr_equal(nrs_map_find(m, key), values[i]);
		n += values[i] != NULL;
	}
	assert_int_equal(nrs_map_count(m), n);
	while ((v = nrs_map_next(m, &it, &at)) != NULL) {
		memcpy(key, at, 4);
		assert_ptr_equal(v, values[key[0] | key[1] << 8]);
		seen++;
	}
	assert_int_equal(seen, n);
}

static void
test_random(void **state)
{
	static char pool[KEYS * 2];
	void *values[KEYS] = { NULL }, *old;
	struct nrs_map *m = nrs_map_new(4, seed);
	uint8_t key[4] = { 0, 0, 'k', 'y' };
	uint32_t x = 2463534242u, i;
	int step;

	assert_non_null(m);
	check_all(m, values);
	assert_null(nrs_map_del(m, key));
	for (step = 0; step < 60000; step++) {
		i = next_random(&x) % KEYS;
		key[0] = (uint8_t)i;
		key[1] = (uint8_t)(i >> 8);
		/* phases that fill and phases that empty */
		if (next_random(&x) % 8 < (step / 10000 % 2 == 0 ? 6u : 2u)) {
			void *v = &pool[next_random(&x) % sizeof(pool)];

			assert_int_equal(nrs_map_set(m, key, v, &old), 0);
			assert_ptr_equal(old, values[i]);
			values[i] = v;
		} else {
			assert_ptr_equal(nrs_map_del(m, key), values[i]);
			values[i] = NULL;
		}
		if (step % 500 == 0)
			check_all(m, values);
	}
	check_all(m, values);
	nrs_map_free(m);
	nrs_map_free(NULL);
}

static void
test_refused(void **state)
{
	struct nrs_map *m;
	uint8_t key[64] = { 0 };
	int v;

	assert_null(nrs_map_new(0, seed));
	assert_null(nrs_map_new(65, seed));
	m = nrs_map_new(64, seed);
	assert_int_equal(nrs_map_set(m, key, NULL, NULL), NRS_ERANGE);
	assert_int_equal(nrs_map_set(m, key, &v, NULL), 0);
	key[63] = 1;
	assert_null(nrs_map_find(m, key));
	nrs_map_free(m);
}

static void
test_crc32c(void **state)
{
	/* RFC 3720 appendix B.4 */
	uint8_t zeros[32] = { 0 }, ones[32], up[32], many[1000];
	uint32_t whole;
	size_t i;

	for (i = 0; i < 32; i++) {
		ones[i] = 0xff;
		up[i] = (uint8_t)i;
	}
	assert_int_equal(nrs_crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(nrs_crc32c(0, zeros, 32), 0x8a9136aa);
	assert_int_equal(nrs_crc32c(0, ones, 32), 0x62a8ab43);
	assert_int_equal(nrs_crc32c(0, up, 32), 0x46dd794e);
	assert_int_equal(nrs_crc32c_table(0, up, 32), 0x46dd794e);
	assert_int_equal(nrs_crc32c(7, NULL, 0), 7);
	for (i = 0; i < sizeof(many); i++)
		many[i] = (uint8_t)(i * i + 31 * i);
	whole = nrs_crc32c(0, many, sizeof(many));
	for (i = 0; i <= sizeof(many); i++) {
		uint32_t part = nrs_crc32c_table(0, many, i);

		assert_int_equal(part, nrs_crc32c(0, many, i));
		assert_int_equal(nrs_crc32c(part, many + i, sizeof(many) - i), whole);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_siphash),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_crc32c),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
