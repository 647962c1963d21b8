/* Frames found in a stream: however it is cut, the same frames come out. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/digest.h"
#include "wire/wire.h"

/* What came out of a reader: a digest over all frames, and how many. */
struct seen {
	unsigned int n, skipped;
	struct nrs_hash h;
};

static void
feed(const uint8_t *p, size_t len, const size_t *cuts, size_t ncuts, struct seen *ret)
{
	struct wire_reader r = { 0 };
	struct nrs_digest *dg = nrs_digest_new();
	struct wire_frame f;
	size_t at = 0, n;
	int rc;

	assert_non_null(dg);
	memset(ret, 0, sizeof(*ret));
	nrs_digest_begin(dg);
	for (size_t i = 0; at < len; i++) {
		const uint8_t *q;
		uint8_t *part;
		size_t left;

		n = ncuts > 0 ? cuts[i % ncuts] : len;
		if (n > len - at)
			n = len - at;
		/* Its own block: nothing may be read or kept beyond it. */
		part = malloc(n > 0 ? n : 1);
		assert_non_null(part);
		memcpy(part, p + at, n);
		q = part;
		left = n;
		while ((rc = wire_reader_next(&r, &q, &left, &f)) == 1) {
			uint8_t head[4] = { f.type, f.flags, (uint8_t)(f.stream >> 8),
				(uint8_t)f.stream };

			nrs_digest_add(dg, head, sizeof(head));
			nrs_digest_u32(dg, f.len);
			if (f.body != NULL)
				nrs_digest_add(dg, f.body, f.len);
			else
				ret->skipped++;
			ret->n++;
		}
		assert_int_equal(rc, 0);
		assert_int_equal(left, 0);
		free(part);
		at += n;
	}
	assert_int_equal(nrs_digest_end(dg, &ret->h), 0);
	nrs_digest_free(dg);
	wire_reader_fini(&r);
}

static void
put_frame(struct nrs_buf *b, uint8_t type, uint16_t stream, size_t len, uint8_t fill)
{
	nrs_buf_u32(b, (uint32_t)len);
	nrs_buf_u8(b, type);
	nrs_buf_u8(b, 0);
	nrs_buf_u16(b, stream);
	for (size_t i = 0; i < len; i++)
		nrs_buf_u8(b, (uint8_t)(fill + i));
}

static void
make_stream(struct nrs_buf *b)
{
	put_frame(b, WIRE_PING, 0, 8, 1);
	put_frame(b, WIRE_CANCEL, 3, 0, 0);
	put_frame(b, WIRE_RECORD, 3, NRS_FRAME_MAX + 1, 9);
	put_frame(b, 200, 7, 5, 3);
	put_frame(b, WIRE_DATA, 1, 3000, 5);
	put_frame(b, WIRE_HAVE, 0, NRS_FRAME_MAX + 70000, 5);
	put_frame(b, WIRE_PONG, 0, 8, 2);
	put_frame(b, WIRE_CANCEL, 5, 0, 0);
}

static void
test_any_portions(void **state)
{
	static const size_t cuts[][4] = { { 7, 7, 7, 7 }, { 8, 8, 8, 8 }, { 9, 1, 4096, 3 },
		{ 65536, 1, 1, 1 }, { 3, 1 << 20, 5, 11 }, { 13, 1000003, 1, 2 } };
	struct seen whole, parts;
	struct nrs_buf b;

	nrs_buf_init(&b, 8 << 20);
	make_stream(&b);
	assert_int_equal(b.err, 0);
	feed(b.p, b.len, NULL, 0, &whole);
	assert_int_equal(whole.n, 8);
	assert_int_equal(whole.skipped, 2);
	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		feed(b.p, b.len, cuts[i], 4, &parts);
		assert_int_equal(parts.n, whole.n);
		assert_int_equal(parts.skipped, whole.skipped);
		assert_memory_equal(parts.h.b, whole.h.b, NRS_HASH_LEN);
	}
	nrs_buf_fini(&b);
}

/* Byte by byte, over a stream of small frames. */
static void
test_single_bytes(void **state)
{
	static const size_t one[] = { 1 };
	struct seen whole, parts;
	struct nrs_buf b;

	nrs_buf_init(&b, 1 << 20);
	for (unsigned int i = 0; i < 200; i++)
		put_frame(&b, (uint8_t)(1 + i % 17), (uint16_t)i, i % 23, (uint8_t)i);
	feed(b.p, b.len, NULL, 0, &whole);
	feed(b.p, b.len, one, 1, &parts);
	assert_int_equal(whole.n, 200);
	assert_int_equal(parts.n, 200);
	assert_memory_equal(parts.h.b, whole.h.b, NRS_HASH_LEN);
	nrs_buf_fini(&b);
}

/* The longest length there is: 4 GiB are announced, skipped, and nothing is kept. */
static void
test_huge_is_skipped(void **state)
{
	static const uint8_t head[8] = { 0xff, 0xff, 0xff, 0xff, WIRE_RECORD, 0, 0, 1 };
	struct wire_reader r = { 0 };
	const uint8_t *p = head;
	struct wire_frame f;
	uint8_t *junk = calloc(1, 1 << 20);
	size_t len = sizeof(head);

	assert_non_null(junk);
	assert_int_equal(wire_reader_next(&r, &p, &len, &f), 1);
	assert_null(f.body);
	assert_int_equal(wire_frame_check(&f), NRS_ELIMIT);
	for (unsigned int i = 0; i < 4095; i++) {
		p = junk;
		len = 1 << 20;
		assert_int_equal(wire_reader_next(&r, &p, &len, &f), 0);
		assert_null(r.body);
	}
	assert_true(r.skip == (1 << 20) - 1);
	/* One byte of the last portion is the next header's. */
	p = junk;
	len = 1 << 20;
	assert_int_equal(wire_reader_next(&r, &p, &len, &f), 0);
	assert_int_equal(r.header_len, 1);
	free(junk);
	wire_reader_fini(&r);
}

static void
test_frame_check(void **state)
{
	static const uint8_t body[1];
	static const struct {
		struct wire_frame f;
		int want;
	} rows[] = {
		{ { WIRE_PING, 0, 0, 8, body }, 0 },
		{ { WIRE_PING, 0, 1, 8, body }, NRS_ERANGE },
		{ { WIRE_CREDIT, 0, 0, 4, body }, NRS_ERANGE },
		{ { WIRE_CREDIT, 0, 9, 4, body }, 0 },
		{ { 0, 0, 0, 0, body }, NRS_ETYPE },
		{ { 18, 0, 0, 0, body }, NRS_ETYPE },
		{ { 255, 0, 0, 0, body }, NRS_ETYPE },
		{ { WIRE_HAVE, 1, 0, 8, body }, NRS_ERESERVED },
		{ { WIRE_RECORD, 2, 1, 8, body }, NRS_ERESERVED },
		{ { WIRE_RECORD, 1, 1, 8, body }, NRS_ERANGE },
		{ { WIRE_RECORD, 1, 1, NRS_FRAME_MAX, body }, 0 },
		{ { WIRE_DATA, 1, 1, NRS_FRAME_MAX, body }, 0 },
		{ { WIRE_RECORD, 0, 1, NRS_FRAME_MAX + 1, NULL }, NRS_ELIMIT },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(wire_frame_check(&rows[i].f), rows[i].want);
}

static void
test_record_in_frames(void **state)
{
	size_t len = 2 * NRS_FRAME_MAX + 512, left, total = 0;
	uint8_t *item = calloc(1, len);
	struct wire_reader r = { 0 };
	struct wire_frame f;
	const uint8_t *p;
	struct nrs_buf b;
	unsigned int n = 0;

	assert_non_null(item);
	nrs_buf_init(&b, 8 << 20);
	wire_record_frames(&b, 7, item, len);
	assert_int_equal(b.err, 0);
	p = b.p;
	left = b.len;
	while (wire_reader_next(&r, &p, &left, &f) == 1) {
		assert_int_equal(wire_frame_check(&f), 0);
		assert_int_equal(f.type, n == 0 ? WIRE_RECORD : WIRE_DATA);
		assert_int_equal(f.flags, n < 2 ? WIRE_MORE : 0);
		total += f.len;
		n++;
	}
	assert_int_equal(n, 3);
	assert_true(total == len);
	nrs_buf_fini(&b);
	wire_reader_fini(&r);
	free(item);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_portions),
		cmocka_unit_test(test_single_bytes),
		cmocka_unit_test(test_huge_is_skipped),
		cmocka_unit_test(test_frame_check),
		cmocka_unit_test(test_record_in_frames),
	};

	return cmocka_run_group_tests_name("wire frames", tests, NULL, NULL);
}
