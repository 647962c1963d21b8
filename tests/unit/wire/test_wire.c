/* Every message: round trip, every truncation, every byte too many, reserved bits. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/wire.h"

static struct nrs_hash
hash_of(uint8_t v)
{
	struct nrs_hash h;

	memset(h.b, v, sizeof(h.b));
	return h;
}

/* --- decoders as one shape: decode, encode again into b ---------------------- */

static int
re_hello(const uint8_t *p, size_t len, struct nrs_buf *b)
{
	struct wire_hello m;
	int rc = wire_hello_decode(&m, p, len);

	if (rc == 0)
		wire_hello_encode(b, &m);
	return rc;
}

static int
re_bye(const uint8_t *p, size_t len, struct nrs_buf *b)
{
	struct wire_bye m;
	int rc = wire_bye_decode(&m, p, len);

	if (rc == 0)
		wire_bye_encode(b, &m);
	return rc;
}

static int
re_refuse(const uint8_t *p, size_t len, struct nrs_buf *b)
{
	struct wire_refuse m;
	int rc = wire_refuse_decode(&m, p, len);

	if (rc == 0)
		wire_refuse_encode(b, &m);
	return rc;
}

static int
re_ping(const uint8_t *p, size_t len, struct nrs_buf *b)
{
	uint64_t v;
	int rc = wire_ping_decode(&v, p, len);

	if (rc == 0)
		wire_ping_encode(b, v);
	return rc;
}

static int
re_communities(const uint8_t *p, size_t len, struct nrs_buf *b)
{
	struct wire_community m;
	struct wire_list l;
	int rc = wire_communities_decode(&l, p, len);

	if (rc != 0)
		return rc;
	nrs_buf_u32(b, l.n);
	while (wire_communities_next(&l, &m))
		wire_community_encode(b, &m);
	return 0;
}

static int
re_statements(const uint8_t *p, size_t len, struct nrs_buf *b)
{
	struct nrs_str note;
	struct wire_list l;
	int rc = wire_statements_decode(&l, p, len);

	if (rc != 0)
		return rc;
	nrs_buf_u32(b, l.n);
	while (wire_statements_next(&l, &note))
		wire_statement_encode(b, note.p, note.len);
	return 0;
}

static int
re_have(const uint8_t *p, size_t len, struct nrs_buf *b)
{
	struct wire_have_audience a;
	struct wire_have m;
	struct wire_list l;
	int rc = wire_have_decode(&l, p, len);

	if (rc != 0)
		return rc;
	nrs_buf_u32(b, l.n);
	while (wire_have_next(&l, &m)) {
		wire_have_encode(b, &m.origin, m.size, m.audiences.n);
		while (wire_have_audience_next(&m.audiences, &a))
			wire_have_audience_encode(b, &a);
	}
	return 0;
}

static int
re_ack(const uint8_t *p, size_t len, struct nrs_buf *b)
{
	struct wire_ack_audience a;
	struct wire_ack m;
	int rc = wire_ack_decode(&m, p, len);

	if (rc != 0)
		return rc;
	wire_ack_encode(b, &m.origin, m.size, m.audiences.n);
	while (wire_ack_audience_next(&m.audiences, &a))
		wire_ack_audience_encode(b, &a);
	return 0;
}

static int
re_fetch_leaves(const uint8_t *p, size_t len, struct nrs_buf *b)
{
	struct wire_fetch m;
	int rc = wire_fetch_decode(&m, false, p, len);

	if (rc == 0)
		wire_fetch_encode(b, &m, false);
	return rc;
}

static int
re_fetch_records(const uint8_t *p, size_t len, struct nrs_buf *b)
{
	struct wire_fetch m;
	int rc = wire_fetch_decode(&m, true, p, len);

	if (rc == 0)
		wire_fetch_encode(b, &m, true);
	return rc;
}

static int
re_credit(const uint8_t *p, size_t len, struct nrs_buf *b)
{
	uint32_t v;
	int rc = wire_credit_decode(&v, p, len);

	if (rc == 0)
		wire_credit_encode(b, v);
	return rc;
}

static int
re_leaves(const uint8_t *p, size_t len, struct nrs_buf *b)
{
	struct wire_leaves m;
	struct wire_entry e;
	int rc = wire_leaves_decode(&m, p, len);

	if (rc != 0)
		return rc;
	wire_leaves_encode(b, &m);
	while (wire_leaves_next(&m.entries, &e))
		wire_entry_encode(b, &e);
	return 0;
}

static int
re_record(const uint8_t *p, size_t len, struct nrs_buf *b)
{
	struct wire_record m;
	int rc = wire_record_decode(&m, p, len);

	if (rc == 0)
		wire_record_encode(b, &m);
	return rc;
}

/* --- samples ------------------------------------------------------------------- */

static void
mk_hello(struct nrs_buf *b)
{
	struct wire_hello m = { .version = 1, .origin = "jp.cert.example", .manifest = 2 };

	m.clock.ms = 1795358400000;
	m.manifest_hash = hash_of(7);
	wire_hello_encode(b, &m);
}

static void
mk_bye(struct nrs_buf *b)
{
	struct wire_bye m = { .code = 6, .text = "another version" };

	wire_bye_encode(b, &m);
}

static void
mk_refuse(struct nrs_buf *b)
{
	struct wire_refuse m = { .code = 27, .stream = 5, .index = 12, .seq = NRS_NONE };

	m.origin = hash_of(1);
	strcpy(m.text, "\xe8\x91\x89");
	wire_refuse_encode(b, &m);
}

static void
mk_ping(struct nrs_buf *b)
{
	wire_ping_encode(b, 0x0102030405060708);
}

static void
mk_communities(struct nrs_buf *b)
{
	struct wire_community m = { .id = hash_of(1), .epoch = 3, .hash = hash_of(2) };

	nrs_buf_u32(b, 2);
	wire_community_encode(b, &m);
	m.id = hash_of(3);
	wire_community_encode(b, &m);
}

static void
mk_statements(struct nrs_buf *b)
{
	nrs_buf_u32(b, 2);
	wire_statement_encode(b, "one\n", 4);
	wire_statement_encode(b, "second\n", 7);
}

static void
mk_have(struct nrs_buf *b)
{
	struct wire_have_audience a = { .id = hash_of(4), .type = 1, .next = 9 };
	struct nrs_hash o = hash_of(1), o2 = hash_of(2);

	nrs_buf_u32(b, 2);
	wire_have_encode(b, &o, 77, 2);
	wire_have_audience_encode(b, &a);
	a.id = hash_of(5);
	a.type = 0;
	wire_have_audience_encode(b, &a);
	wire_have_encode(b, &o2, 0, 0);
}

static void
mk_ack(struct nrs_buf *b)
{
	struct wire_ack_audience a = { .id = hash_of(4), .next = 9 };
	struct nrs_hash o = hash_of(1);

	wire_ack_encode(b, &o, 77, 1);
	wire_ack_audience_encode(b, &a);
}

static void
mk_fetch_leaves(struct nrs_buf *b)
{
	struct wire_fetch m = { .origin = hash_of(1), .from = 12, .credit = 4 << 20 };

	wire_fetch_encode(b, &m, false);
}

static void
mk_fetch_records(struct nrs_buf *b)
{
	struct wire_fetch m = {
		.origin = hash_of(1), .audience = hash_of(2), .from = 12, .credit = 4 << 20
	};

	wire_fetch_encode(b, &m, true);
}

static void
mk_credit(struct nrs_buf *b)
{
	wire_credit_encode(b, 4711);
}

static void
mk_leaves(struct nrs_buf *b)
{
	static const uint8_t note[] = "jp.cert.example\n3\nroot\n", doc[] = "manifest";
	struct wire_leaves m = { .origin = hash_of(1), .first = 4, .count = 3 };
	struct wire_entry e = { .c = hash_of(8) };

	m.checkpoint.p = note;
	m.checkpoint.len = sizeof(note) - 1;
	m.proof.n = 2;
	m.proof.h[0] = hash_of(5);
	m.proof.h[1] = hash_of(6);
	wire_leaves_encode(b, &m);
	wire_entry_encode(b, &e);
	e.control = true;
	e.doc.p = doc;
	e.doc.len = sizeof(doc) - 1;
	wire_entry_encode(b, &e);
	e.control = false;
	wire_entry_encode(b, &e);
}

static void
mk_record(struct nrs_buf *b)
{
	uint8_t header[NRS_HEADER_LEN], salt[NRS_SALT_LEN], sigs[76], data[300];
	struct wire_record m = {
		.index = 9, .flags = WIRE_RECORD_RAW, .header = header, .salt = salt
	};

	memset(header, 0x11, sizeof(header));
	memset(salt, 0x22, sizeof(salt));
	memset(sigs, 0x33, sizeof(sigs));
	memset(data, 0x44, sizeof(data));
	m.sigs.p = sigs;
	m.sigs.len = sizeof(sigs);
	m.data.p = data;
	m.data.len = sizeof(data);
	wire_record_encode(b, &m);
}

static const struct family {
	const char *name;
	void (*make)(struct nrs_buf *b);
	int (*again)(const uint8_t *p, size_t len, struct nrs_buf *b);
} families[] = {
	{ "HELLO", mk_hello, re_hello },
	{ "BYE", mk_bye, re_bye },
	{ "STATEMENTS", mk_statements, re_statements },
	{ "COMMUNITIES", mk_communities, re_communities },
	{ "HAVE", mk_have, re_have },
	{ "FETCH_LEAVES", mk_fetch_leaves, re_fetch_leaves },
	{ "FETCH_RECORDS", mk_fetch_records, re_fetch_records },
	{ "CREDIT", mk_credit, re_credit },
	{ "LEAVES", mk_leaves, re_leaves },
	{ "RECORD", mk_record, re_record },
	{ "ACK", mk_ack, re_ack },
	{ "REFUSE", mk_refuse, re_refuse },
	{ "PING", mk_ping, re_ping },
};
#define NFAMILIES (sizeof(families) / sizeof(families[0]))

/* In a block of exactly len bytes, so that a sanitizer sees what is read beyond. */
static int
again_exact(const struct family *f, const uint8_t *p, size_t len, struct nrs_buf *out)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);
	int rc;

	assert_non_null(copy);
	memcpy(copy, p, len);
	nrs_buf_reset(out);
	rc = f->again(copy, len, out);
	free(copy);
	return rc;
}

static void
test_round_trip(void **state)
{
	struct nrs_buf a, b;

	nrs_buf_init(&a, 1 << 20);
	nrs_buf_init(&b, 1 << 20);
	for (size_t i = 0; i < NFAMILIES; i++) {
		nrs_buf_reset(&a);
		families[i].make(&a);
		assert_int_equal(a.err, 0);
		assert_int_equal(again_exact(&families[i], a.p, a.len, &b), 0);
		assert_int_equal(a.len, b.len);
		assert_memory_equal(a.p, b.p, a.len);
	}
	nrs_buf_fini(&a);
	nrs_buf_fini(&b);
}

static void
test_truncated(void **state)
{
	struct nrs_buf a, b;

	nrs_buf_init(&a, 1 << 20);
	nrs_buf_init(&b, 1 << 20);
	for (size_t i = 0; i < NFAMILIES; i++) {
		nrs_buf_reset(&a);
		families[i].make(&a);
		for (size_t n = 0; n < a.len; n++) {
			int rc = again_exact(&families[i], a.p, n, &b);

			if (rc != NRS_ETRUNC)
				fail_msg("%s cut to %zu of %zu bytes: %d", families[i].name,
				    n, a.len, rc);
		}
	}
	nrs_buf_fini(&a);
	nrs_buf_fini(&b);
}

static void
test_trailing(void **state)
{
	struct nrs_buf a, b;

	nrs_buf_init(&a, 1 << 20);
	nrs_buf_init(&b, 1 << 20);
	for (size_t i = 0; i < NFAMILIES; i++) {
		for (unsigned int v = 0; v < 256; v++) {
			nrs_buf_reset(&a);
			families[i].make(&a);
			nrs_buf_u8(&a, (uint8_t)v);
			assert_int_equal(
			    again_exact(&families[i], a.p, a.len, &b), NRS_ETRAILING);
		}
	}
	nrs_buf_fini(&a);
	nrs_buf_fini(&b);
}

/* Whatever one flipped bit makes of a message: refused, or its one encoding. */
static void
test_flipped(void **state)
{
	struct nrs_buf a, b;

	nrs_buf_init(&a, 1 << 20);
	nrs_buf_init(&b, 1 << 20);
	for (size_t i = 0; i < NFAMILIES; i++) {
		nrs_buf_reset(&a);
		families[i].make(&a);
		for (size_t bit = 0; bit < a.len * 8; bit++) {
			a.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
			if (again_exact(&families[i], a.p, a.len, &b) == 0) {
				assert_int_equal(a.len, b.len);
				assert_memory_equal(a.p, b.p, a.len);
			}
			a.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
	}
	nrs_buf_fini(&a);
	nrs_buf_fini(&b);
}

/* One byte of a sample changed, and what it gets. */
static const struct {
	unsigned int family;
	size_t off;
	uint8_t value;
	int want;
} wrong[] = {
	{ 0, 1, 2, NRS_EVERSION },
	{ 0, 3, 1, NRS_ERESERVED },
	{ 0, 4, 1, NRS_ELIMIT }, /* a name of 271 bytes */
	{ 0, 6, 'J', NRS_ESYNTAX },
	{ 0, 72, 1, NRS_ERESERVED }, /* capabilities */
	{ 1, 4, 0xff, NRS_EUTF8 },
	{ 1, 4, 0, NRS_EUTF8 },
	{ 2, 7, 0, NRS_ERANGE },  /* an empty statement */
	{ 2, 5, 1, NRS_ELIMIT },  /* one of 64 KiB */
	{ 3, 0, 1, NRS_ELIMIT },  /* 16 million communities */
	{ 4, 80, 2, NRS_ERANGE }, /* type of an audience */
	{ 4, 81, 1, NRS_ERESERVED },
	{ 4, 36, 0x80, NRS_ERANGE }, /* size beyond 2^63 */
	{ 5, 32, 0x80, NRS_ERANGE },
	{ 6, 64, 0x80, NRS_ERANGE },
	{ 8, 32, 0x80, NRS_ERANGE },
	{ 8, 42, 0x20, NRS_ELIMIT }, /* more leaves than a frame may have */
	{ 8, 69, 1, NRS_ELIMIT },    /* more hashes than a proof may have */
	{ 8, 135, 2, NRS_ETYPE },    /* class of an entry */
	{ 9, 0, 0x80, NRS_ERANGE },
	{ 9, 9, 2, NRS_ELIMIT },  /* signature block */
	{ 9, 12, 2, NRS_ERANGE }, /* header only, with data */
	{ 9, 12, 4, NRS_ERESERVED },
	{ 9, 12, 3, NRS_ERESERVED },
	{ 9, 13, 1, NRS_ERESERVED },
	{ 9, 16, 2, NRS_ELIMIT }, /* data */
	{ 10, 32, 0x80, NRS_ERANGE },
};

static void
test_wrong_bytes(void **state)
{
	struct nrs_buf a, b;

	nrs_buf_init(&a, 1 << 20);
	nrs_buf_init(&b, 1 << 20);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		const struct family *f = &families[wrong[i].family];
		int rc;

		nrs_buf_reset(&a);
		f->make(&a);
		assert_true(wrong[i].off < a.len);
		assert_int_not_equal(a.p[wrong[i].off], wrong[i].value);
		a.p[wrong[i].off] = wrong[i].value;
		rc = again_exact(f, a.p, a.len, &b);
		if (rc != wrong[i].want)
			fail_msg("row %zu, %s at %zu: %s instead of %s", i, f->name,
			    wrong[i].off, nrs_errname(rc), nrs_errname(wrong[i].want));
	}
	nrs_buf_fini(&a);
	nrs_buf_fini(&b);
}

static void
test_record_padding(void **state)
{
	struct wire_record m;
	struct nrs_buf a;

	nrs_buf_init(&a, 1 << 20);
	mk_record(&a);
	assert_int_equal(a.len % WIRE_RECORD_PAD, 0);
	assert_int_equal(a.len, wire_record_len(76, 300));
	assert_int_equal(wire_record_decode(&m, a.p, a.len), 0);
	for (size_t i = 284 + 76 + 300; i < a.len; i++) {
		a.p[i] = 1;
		assert_int_equal(wire_record_decode(&m, a.p, a.len), NRS_ERESERVED);
		a.p[i] = 0;
	}
	/* A whole bucket of zeros more hides nothing and is not the one encoding. */
	nrs_buf_zero(&a, WIRE_RECORD_PAD);
	assert_int_equal(wire_record_decode(&m, a.p, a.len), NRS_ETRAILING);
	nrs_buf_fini(&a);
}

static void
test_long_text_is_cut(void **state)
{
	struct wire_refuse m = { .code = 1 }, back;
	struct nrs_buf b;

	/* 127 characters of two bytes and one more: cut before the last. */
	for (size_t i = 0; i + 1 < sizeof(m.text); i += 2)
		memcpy(m.text + i, "\xc3\xa9", 2);
	m.text[254] = (char)0xc3;
	m.text[255] = '\0';
	nrs_buf_init(&b, 4096);
	wire_refuse_encode(&b, &m);
	assert_int_equal(wire_refuse_decode(&back, b.p, b.len), 0);
	assert_int_equal(strlen(back.text), 254);
	nrs_buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_trailing),
		cmocka_unit_test(test_flipped),
		cmocka_unit_test(test_wrong_bytes),
		cmocka_unit_test(test_record_padding),
		cmocka_unit_test(test_long_text_is_cut),
	};

	return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
