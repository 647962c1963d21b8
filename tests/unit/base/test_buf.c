/* Buffers and cursors: limits hold, the first error stays. */
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void
test_write(void **state)
{
	static const uint8_t want[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
		0, 0, 'a', 'b', 0, 2, 'x', 'y', 'n', '=', '7' };
	struct nrs_buf b;
	uint8_t *p;
	size_t len;

	nrs_buf_init(&b, 1000);
	nrs_buf_u8(&b, 1);
	nrs_buf_u16(&b, 0x0203);
	nrs_buf_u32(&b, 0x04050607);
	nrs_buf_u64(&b, 0x08090a0b0c0d0e0full);
	nrs_buf_zero(&b, 2);
	nrs_buf_str(&b, "ab");
	nrs_buf_lstr(&b, "xy", 2);
	nrs_buf_fmt(&b, "n=%d", 7);
	nrs_buf_put(&b, NULL, 0);
	assert_int_equal(b.err, 0);
	assert_int_equal(b.len, sizeof(want));
	assert_memory_equal(b.p, want, sizeof(want));
	p = nrs_buf_take(&b, &len);
	assert_int_equal(len, sizeof(want));
	free(p);
	assert_null(b.p);
	assert_null(nrs_buf_take(&b, &len));
	nrs_buf_str(&b, "again");
	assert_int_equal(b.len, 5);
	nrs_buf_wipe(&b);
	assert_null(b.p);
	assert_int_equal(b.max, 1000);
}

static void
test_limit(void **state)
{
	struct nrs_buf b;
	uint8_t *p;
	size_t i, len;

	for (i = 0; i < 300; i++) {
		nrs_buf_init(&b, i);
		nrs_buf_zero(&b, i);
		assert_int_equal(b.err, 0);
		assert_int_equal(b.len, i);
		nrs_buf_u8(&b, 1);
		assert_int_equal(b.err, NRS_ELIMIT);
		assert_int_equal(b.len, i);
		assert_true(b.cap <= i || i == 0);
		nrs_buf_fini(&b);
	}
	/* sticky: what would fit is not written either, nor is the rest handed out */
	nrs_buf_init(&b, 4);
	nrs_buf_u8(&b, 1);
	nrs_buf_u64(&b, 1);
	nrs_buf_u8(&b, 2);
	assert_int_equal(b.len, 1);
	assert_null(nrs_buf_reserve(&b, 1));
	nrs_buf_fmt(&b, "x");
	assert_int_equal(b.err, NRS_ELIMIT);
	assert_null(nrs_buf_take(&b, &len));
	/* a length that overflows */
	nrs_buf_u8(&b, 1);
	assert_null(nrs_buf_reserve(&b, SIZE_MAX));
	assert_int_equal(b.err, NRS_ELIMIT);
	nrs_buf_reset(&b);
	assert_int_equal(b.err, 0);
	p = nrs_buf_reserve(&b, 3);
	memcpy(p, "abc", 3);
	nrs_buf_grow(&b, 3);
	assert_int_equal(b.len, 3);
	nrs_buf_grow(&b, 2);
	assert_int_equal(b.err, NRS_EINTERNAL);
	nrs_buf_fini(&b);
	/* a length that 16 bits cannot hold; a string that leaves no bare length */
	nrs_buf_init(&b, 1 << 20);
	nrs_buf_lstr(&b, NULL, 65536);
	assert_int_equal(b.err, NRS_ELIMIT);
	nrs_buf_fini(&b);
	nrs_buf_init(&b, 4);
	nrs_buf_lstr(&b, "abc", 3);
	assert_int_equal(b.len, 0);
	nrs_buf_fini(&b);
}

static void
test_fmt(void **state)
{
	struct nrs_buf b;
	size_t n;

	/* around the small buffer, and filling the maximum to the last byte */
	for (n = 250; n < 262; n++) {
		nrs_buf_init(&b, n);
		nrs_buf_fmt(&b, "%0*d", (int)n, 5);
		assert_int_equal(b.err, 0);
		assert_int_equal(b.len, n);
		assert_int_equal(b.p[n - 1], '5');
		nrs_buf_fini(&b);
		nrs_buf_init(&b, n - 1);
		nrs_buf_fmt(&b, "%0*d", (int)n, 5);
		assert_int_equal(b.err, NRS_ELIMIT);
		nrs_buf_fini(&b);
	}
}

static void
test_read(void **state)
{
	static const uint8_t in[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0,
		0, 0, 2, 'x', 'y' };
	struct nrs_rd r;
	struct nrs_str s;
	uint8_t two[2];
	size_t len;
	int rc;

	for (len = 0; len <= sizeof(in); len++) {
		nrs_rd_init(&r, in, len);
		assert_int_equal(nrs_rd_u8(&r), len >= 1 ? 1 : 0);
		assert_int_equal(nrs_rd_u16(&r), len >= 3 ? 0x0203 : 0);
		assert_int_equal(nrs_rd_u32(&r), len >= 7 ? 0x04050607 : 0);
		assert_true(nrs_rd_u64(&r) == (len >= 15 ? 0x08090a0b0c0d0e0full : 0));
		nrs_rd_zero(&r, 2);
		s = nrs_rd_lstr(&r, 2);
		rc = nrs_rd_end(&r);
		assert_int_equal(rc, len == sizeof(in) ? 0 : NRS_ETRUNC);
		assert_int_equal(s.len, len == sizeof(in) ? 2 : 0);
		assert_true((s.p == NULL) == (len != sizeof(in)));
	}
	assert_memory_equal(s.p, "xy", 2);

	nrs_rd_init(&r, in, sizeof(in));
	nrs_rd_skip(&r, 14);
	nrs_rd_zero(&r, 3);
	assert_int_equal(r.err, NRS_ERESERVED);
	assert_int_equal(nrs_rd_off(&r), 14);
	memset(two, 9, 2);
	nrs_rd_copy(&r, two, 2);
	assert_int_equal(two[0] | two[1], 0);
	assert_int_equal(nrs_rd_end(&r), NRS_ERESERVED);

	nrs_rd_init(&r, in + 17, 4);
	assert_null(nrs_rd_lstr(&r, 1).p);
	assert_int_equal(r.err, NRS_ELIMIT);
	assert_int_equal(nrs_rd_off(&r), 0);

	nrs_rd_init(&r, in, 3);
	(void)nrs_rd_u16(&r);
	assert_int_equal(nrs_rd_left(&r), 1);
	assert_int_equal(nrs_rd_end(&r), NRS_ETRAILING);
	assert_int_equal(nrs_rd_off(&r), 2);

	nrs_rd_init(&r, NULL, 0);
	assert_non_null(nrs_rd_bytes(&r, 0).p);
	assert_int_equal(nrs_rd_end(&r), 0);
	nrs_rd_skip(&r, SIZE_MAX);
	assert_int_equal(r.err, NRS_ETRUNC);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_fmt),
		cmocka_unit_test(test_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
