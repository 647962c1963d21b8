/* Headers, signature blocks, commitments, leaves, ids. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/text.h"
#include "record/record.h"

static struct nrs_seckey *key;
static struct nrs_pubkey pub;
static struct nrs_digest *dg;

static int
setup(void **state)
{
	uint8_t seed[32] = { 7 };

	dg = nrs_digest_new();
	if (dg == NULL || nrs_seckey_from_seed(seed, &key) != 0)
		return -1;
	nrs_seckey_public(key, &pub);
	return 0;
}

static int
teardown(void **state)
{
	nrs_seckey_free(key);
	nrs_digest_free(dg);
	return 0;
}

static struct nrs_header
sample(void)
{
	struct nrs_header h = { .kind = NRS_KIND_BUNDLE,
		.tlp = NRS_TLP_AMBER,
		.flags = NRS_FLAG_URGENT | 1 << NRS_FLAG_ONWARD_SHIFT,
		.created = { 1700000000123 },
		.expires = { 1800000000000 },
		.seq = 41,
		.epoch = 3,
		.payload_len = 1234567,
		.ref_index = 17 };

	memset(h.audience.b, 0xa1, 32);
	memset(h.prev.b, 0xb2, 32);
	memset(h.origin.b, 0xc3, 32);
	memset(h.payload_commit.b, 0xd4, 32);
	memset(h.ref_leaf.b, 0xe5, 32);
	memset(h.uuid, 0x11, 16);
	h.uuid[6] = 0x4f;
	h.uuid[8] = 0xbf;
	return h;
}

static void
assert_layout(const uint8_t *p, size_t off, const char *hex)
{
	uint8_t want[32];
	size_t n = strlen(hex) / 2;

	assert_int_equal(nrs_hex_parse(hex, 2 * n, want, n), 0);
	assert_memory_equal(p + off, want, n);
}

static void
test_layout(void **state)
{
	struct nrs_header h = sample(), r;
	uint8_t p[NRS_HEADER_LEN], q[NRS_HEADER_LEN];

	memset(p, 0xff, sizeof(p));
	nrs_header_encode(&h, p);
	assert_layout(p, 0, "4e525331010102050000018bcfe5687b");
	assert_layout(p, 16, "000001a3185c5000");
	assert_layout(p, 24, "00000000000000290000000300000000a1a1");
	assert_layout(p, 70, "a1a1b2b2");
	assert_layout(p, 102, "b2b2c3c3");
	assert_layout(p, 134, "c3c3000000000012d687d4d4");
	assert_layout(p, 174, "d4d40000000000000011e5e5");
	assert_layout(p, 214, "e5e51111111111114f11bf11111111111111");
	assert_int_equal(nrs_header_decode(&r, p, sizeof(p), NULL), 0);
	nrs_header_encode(&r, q);
	assert_memory_equal(p, q, sizeof(p));
	assert_int_equal(r.created.ms, 1700000000123);
	assert_int_equal(r.seq, 41);
	assert_int_equal(r.epoch, 3);
	assert_int_equal(r.payload_len, 1234567);
	assert_int_equal(r.ref_index, 17);
	assert_memory_equal(r.uuid, h.uuid, 16);
}

/* One field changed: bytes written at an offset. */
struct change {
	size_t off;
	const char *hex;
	int err;
	uint64_t err_off;
};

#define Z16 "00000000000000000000000000000000"
#define FF8 "ffffffffffffffff"

static const struct change changes[] = {
	{ 0, "4e525332", NRS_EMAGIC, 0 },
	{ 0, "4e524c31", NRS_EMAGIC, 0 },
	{ 4, "00", NRS_EVERSION, 4 },
	{ 5, "02", 0, 0 },
	{ 5, "08", 0, 0 },
	{ 5, "09", 0, 0 }, /* a kind of a later version */
	{ 5, "ff", 0, 0 },
	{ 6, "00", 0, 0 },
	{ 6, "04", 0, 0 },
	{ 6, "05", NRS_ERANGE, 6 },
	{ 6, "ff", NRS_ERANGE, 6 },
	{ 7, "00", 0, 0 },
	{ 7, "0b", 0, 0 },
	{ 7, "0c", NRS_ERANGE, 7 },
	{ 7, "10", NRS_ERESERVED, 7 },
	{ 7, "80", NRS_ERESERVED, 7 },
	{ 8, FF8 FF8, 0, 0 }, /* a claim, never used for order */
	{ 36, "00000001", NRS_ERESERVED, 36 },
	{ 36, "80000000", NRS_ERESERVED, 36 },
	{ 24, "0000000000000000", NRS_ERESERVED, 72 },
	{ 72, Z16 Z16, 0, 0 }, /* the chain will not fit, the form does */
	{ 136, "0000000000000000", 0, 0 },
	{ 136, "0000000001000000", 0, 0 },
	{ 136, "0000000001000001", NRS_ELIMIT, 136 },
	{ 136, FF8, NRS_ELIMIT, 136 },
	{ 176, FF8, NRS_ERESERVED, 184 },
	{ 176, FF8 Z16 Z16, 0, 0 },
	{ 184, Z16 Z16, NRS_ERANGE, 184 },
	{ 216, Z16, NRS_ERANGE, 216 },
	{ 222, "0f", NRS_ERANGE, 216 },
	{ 222, "5f", 0, 0 },
	{ 222, "8f", 0, 0 },
	{ 222, "9f", NRS_ERANGE, 216 },
	{ 224, "7f", NRS_ERANGE, 216 },
	{ 224, "c0", NRS_ERANGE, 216 },
};

static void
test_form(void **state)
{
	struct nrs_header h = sample(), r;
	uint8_t p[NRS_HEADER_LEN + 1], q[NRS_HEADER_LEN];

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		const struct change *c = &changes[i];
		struct nrs_detail d = { 0 };
		size_t n = strlen(c->hex) / 2;

		nrs_header_encode(&h, p);
		assert_int_equal(nrs_hex_parse(c->hex, 2 * n, p + c->off, n), 0);
		assert_int_equal(nrs_header_decode(&r, p, NRS_HEADER_LEN, &d), c->err);
		assert_int_equal(d.code, c->err);
		assert_int_equal(d.off, c->err_off);
		if (c->err == 0) {
			nrs_header_encode(&r, q);
			assert_memory_equal(p, q, NRS_HEADER_LEN);
		}
	}
	/* what is not a bundle has a UUID made here: at random */
	nrs_header_encode(&h, p);
	p[5] = NRS_KIND_RETRACT;
	p[222] = 0x5f;
	assert_int_equal(nrs_header_decode(&r, p, NRS_HEADER_LEN, NULL), NRS_ERANGE);
	nrs_header_encode(&h, p);
	p[NRS_HEADER_LEN] = 0;
	assert_int_equal(nrs_header_decode(&r, p, sizeof(p), NULL), NRS_ETRAILING);
	for (size_t len = 0; len < NRS_HEADER_LEN; len++)
		assert_int_equal(nrs_header_decode(&r, p, len, NULL), NRS_ETRUNC);
}

static void
test_pae(void **state)
{
	static const struct {
		uint8_t kind;
		const char *head;
	} rows[] = {
		{ 1, "DSSEv1 24 noroshi/v1/record/bundle 232 " },
		{ 2, "DSSEv1 25 noroshi/v1/record/retract 232 " },
		{ 3, "DSSEv1 27 noroshi/v1/record/supersede 232 " },
		{ 4, "DSSEv1 24 noroshi/v1/record/remark 232 " },
		{ 5, "DSSEv1 23 noroshi/v1/record/erase 232 " },
		{ 6, "DSSEv1 25 noroshi/v1/record/receipt 232 " },
		{ 7, "DSSEv1 25 noroshi/v1/record/padding 232 " },
		{ 8, "DSSEv1 28 noroshi/v1/record/membership 232 " },
		{ 0, "DSSEv1 19 noroshi/v1/record/0 232 " },
		{ 9, "DSSEv1 19 noroshi/v1/record/9 232 " },
		{ 255, "DSSEv1 21 noroshi/v1/record/255 232 " },
	};
	struct nrs_header h = sample();
	uint8_t p[NRS_HEADER_LEN], pae[NRS_PAE_MAX];
	size_t n;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		h.kind = rows[i].kind;
		nrs_header_encode(&h, p);
		n = nrs_header_pae(p, pae);
		assert_int_equal(n, strlen(rows[i].head) + NRS_HEADER_LEN);
		assert_memory_equal(pae, rows[i].head, strlen(rows[i].head));
		assert_memory_equal(pae + strlen(rows[i].head), p, NRS_HEADER_LEN);
	}
}

/* A later version: what all versions share is read, the rest is as if it were not there. */
static void
test_later_version(void **state)
{
	static const char head[] = "DSSEv1 24 noroshi/v2/record/bundle 232 ";
	static const struct nrs_hash zero;
	struct nrs_header h = sample(), r;
	uint8_t p[NRS_HEADER_LEN], pae[NRS_PAE_MAX];

	h.kind = NRS_KIND_BUNDLE;
	nrs_header_encode(&h, p);
	for (unsigned int v = 2; v < 256; v++) {
		p[4] = (uint8_t)v;
		assert_int_equal(nrs_header_decode(&r, p, sizeof(p), NULL), 0);
		assert_int_equal(r.version, v);
	}
	/* all that it may use: flags, word, ref and UUID */
	p[4] = 2;
	p[7] |= 0xf0;
	memset(p + 36, 0xaa, 4);
	memset(p + 176, 0xaa, 56);
	assert_int_equal(nrs_header_decode(&r, p, sizeof(p), NULL), 0);
	assert_int_equal(r.kind, NRS_KIND_NONE);
	assert_int_equal(r.flags, h.flags);
	assert_int_equal(r.tlp, h.tlp);
	assert_true(r.seq == h.seq && r.epoch == h.epoch && r.payload_len == h.payload_len);
	assert_true(nrs_hash_eq(&r.audience, &h.audience) && nrs_hash_eq(&r.prev, &h.prev));
	assert_true(nrs_hash_eq(&r.origin, &h.origin));
	assert_true(nrs_hash_eq(&r.payload_commit, &h.payload_commit));
	assert_true(r.ref_index == NRS_NONE && nrs_hash_eq(&r.ref_leaf, &zero));
	assert_true(nrs_header_pae(p, pae) == strlen(head) + sizeof(p));
	assert_memory_equal(pae, head, strlen(head));
	/* and what it may not */
	p[6] = 5;
	assert_int_equal(nrs_header_decode(&r, p, sizeof(p), NULL), NRS_ERANGE);
	p[6] = h.tlp;
	p[7] = 0x0c;
	assert_int_equal(nrs_header_decode(&r, p, sizeof(p), NULL), NRS_ERANGE);
	p[7] = 0;
	p[136] = 0xff;
	assert_int_equal(nrs_header_decode(&r, p, sizeof(p), NULL), NRS_ELIMIT);
	p[136] = 0;
	p[0] = 'M';
	assert_int_equal(nrs_header_decode(&r, p, sizeof(p), NULL), NRS_EMAGIC);
}

/* --- signature blocks --- */

static void
sign(const uint8_t header[NRS_HEADER_LEN], struct nrs_buf *b)
{
	uint8_t pae[NRS_PAE_MAX], sig[NRS_ED25519_SIG];
	size_t n = nrs_header_pae(header, pae);

	assert_int_equal(nrs_seckey_sign(key, pae, n, sig), 0);
	nrs_sigs_encode1(b, pub.id, sig);
	assert_int_equal(b->err, 0);
}

static void
put_sig(struct nrs_buf *b, uint8_t alg, uint8_t id, uint16_t len)
{
	nrs_buf_u8(b, alg);
	for (int i = 0; i < NRS_KEYID_LEN; i++)
		nrs_buf_u8(b, id);
	nrs_buf_u16(b, len);
	nrs_buf_zero(b, len);
}

static void
test_sigs_form(void **state)
{
	static const struct {
		uint8_t n;
		struct {
			uint8_t alg, id;
			uint16_t len;
		} v[3];
		uint8_t extra;
		int err;
		uint64_t off;
	} rows[] = {
		{ 1, { { 1, 5, 64 } }, 0, 0, 0 },
		{ 1, { { 200, 5, 4000 } }, 0, 0, 0 },
		{ 3, { { 1, 5, 64 }, { 1, 6, 64 }, { 2, 1, 96 } }, 0, 0, 0 },
		{ 0, { { 0 } }, 0, NRS_ERANGE, 0 },
		{ 17, { { 1, 5, 64 } }, 0, NRS_ERANGE, 0 },
		{ 2, { { 1, 5, 64 } }, 0, NRS_ETRUNC, 76 },
		{ 1, { { 1, 5, 64 } }, 1, NRS_ETRAILING, 76 },
		{ 1, { { 1, 5, 63 } }, 0, NRS_ESYNTAX, 1 },
		{ 1, { { 1, 5, 65 } }, 0, NRS_ESYNTAX, 1 },
		{ 2, { { 1, 5, 64 }, { 1, 5, 64 } }, 0, NRS_EDUPLICATE, 76 },
		{ 2, { { 1, 6, 64 }, { 1, 5, 64 } }, 0, NRS_EORDER, 76 },
		{ 2, { { 2, 1, 1 }, { 1, 5, 64 } }, 0, NRS_EORDER, 13 },
	};
	struct nrs_sigs s;
	struct nrs_buf b;

	nrs_buf_init(&b, 1 << 20);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct nrs_detail d = { 0 };

		nrs_buf_reset(&b);
		nrs_buf_u8(&b, rows[i].n);
		for (int k = 0; k < 3; k++)
			if (rows[i].v[k].alg != 0)
				put_sig(&b, rows[i].v[k].alg, rows[i].v[k].id,
				    rows[i].v[k].len);
		nrs_buf_zero(&b, rows[i].extra);
		assert_int_equal(nrs_sigs_decode(&s, b.p, b.len, &d), rows[i].err);
		assert_int_equal(d.off, rows[i].off);
		assert_int_equal(s.n, rows[i].err == 0 ? rows[i].n : 0);
	}
	nrs_buf_reset(&b);
	nrs_buf_u8(&b, 2);
	put_sig(&b, 2, 1, 65000);
	put_sig(&b, 2, 2, 600);
	assert_int_equal(nrs_sigs_decode(&s, b.p, b.len, NULL), NRS_ELIMIT);
	assert_int_equal(nrs_sigs_decode(&s, b.p, 0, NULL), NRS_ETRUNC);
	nrs_buf_fini(&b);
}

static void
test_sigs_verify(void **state)
{
	struct nrs_header h = sample();
	struct nrs_pubkey other = pub;
	uint8_t p[NRS_HEADER_LEN];
	struct nrs_sigs s;
	struct nrs_buf b;

	nrs_buf_init(&b, 4096);
	nrs_header_encode(&h, p);
	sign(p, &b);
	assert_int_equal(b.len, NRS_SIGS1_LEN);
	assert_int_equal(nrs_sigs_decode(&s, b.p, b.len, NULL), 0);
	assert_int_equal(nrs_sigs_verify(&s, p, &pub, nrs_verify), 0);
	/* the type is signed with the header, and so is every byte of it */
	p[5] = NRS_KIND_RETRACT;
	assert_int_equal(nrs_sigs_verify(&s, p, &pub, nrs_verify), NRS_ESIG);
	p[5] = NRS_KIND_BUNDLE;
	other.id[7] ^= 1;
	assert_int_equal(nrs_sigs_verify(&s, p, &other, nrs_verify), NRS_EKEY);
	s.v[0].alg = 2;
	assert_int_equal(nrs_sigs_verify(&s, p, &pub, nrs_verify), NRS_EALG);
	/* found among others, which count for nothing */
	s.n = 3;
	s.v[2] = s.v[0];
	s.v[1] = s.v[0];
	s.v[0].alg = 1;
	memset(s.v[0].key_id, 0, NRS_KEYID_LEN);
	s.v[1].alg = 1;
	assert_int_equal(nrs_sigs_verify(&s, p, &pub, nrs_verify), 0);
	nrs_buf_fini(&b);
}

/* What a receiver does with a record's header and signatures. */
static int
accept(const uint8_t *p, size_t len)
{
	struct nrs_header h;
	struct nrs_sigs s;
	int err;

	if (len < NRS_HEADER_LEN)
		return NRS_ETRUNC;
	err = nrs_header_decode(&h, p, NRS_HEADER_LEN, NULL);
	if (err == 0)
		err = nrs_sigs_decode(&s, p + NRS_HEADER_LEN, len - NRS_HEADER_LEN, NULL);
	return err != 0 ? err : nrs_sigs_verify(&s, p, &pub, nrs_verify);
}

static void
test_every_bit(void **state)
{
	struct nrs_header h = sample();
	uint8_t p[NRS_HEADER_LEN];
	struct nrs_buf b;

	nrs_buf_init(&b, 4096);
	nrs_header_encode(&h, p);
	nrs_buf_put(&b, p, sizeof(p));
	sign(p, &b);
	assert_int_equal(accept(b.p, b.len), 0);
	for (size_t i = 0; i < b.len * 8; i++) {
		b.p[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_true(accept(b.p, b.len) < 0);
		b.p[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	for (size_t len = 0; len < b.len; len++)
		assert_true(accept(b.p, len) < 0);
	nrs_buf_u8(&b, 0);
	assert_int_equal(accept(b.p, b.len), NRS_ETRAILING);
	nrs_buf_fini(&b);
}

/* --- hashes: written out here once more, piece by piece --- */

static void
hash_of(struct nrs_buf *b, struct nrs_hash *ret)
{
	assert_int_equal(b->err, 0);
	assert_int_equal(nrs_sha256(b->p, b->len, ret), 0);
	nrs_buf_reset(b);
}

static void
put_label(struct nrs_buf *b, const char *label)
{
	nrs_buf_str(b, label);
	nrs_buf_zero(b, 32 - strlen(label));
}

static void
test_commitments(void **state)
{
	const struct nrs_str id = { (const uint8_t *)"indicator--x", 12 };
	const struct nrs_str when = { (const uint8_t *)"2026", 4 }, none = { NULL, 0 };
	struct nrs_header h = sample();
	uint8_t p[NRS_HEADER_LEN], salt[32] = { 1, 2, 3 }, entry[NRS_SEALED_LEN], k[16];
	struct nrs_hash got, want, c;
	struct nrs_buf b;

	nrs_buf_init(&b, 1 << 20);
	nrs_header_encode(&h, p);

	put_label(&b, "noroshi/v1/payload");
	nrs_buf_put(&b, salt, 32);
	nrs_buf_u64(&b, 5);
	nrs_buf_str(&b, "hello");
	hash_of(&b, &want);
	assert_int_equal(nrs_payload_commit(dg, salt, "hello", 5, &got), 0);
	assert_memory_equal(&got, &want, 32);

	put_label(&b, "noroshi/v1/header");
	nrs_buf_put(&b, p, sizeof(p));
	hash_of(&b, &want);
	assert_int_equal(nrs_header_link(p, &got), 0);
	assert_memory_equal(&got, &want, 32);
	memset(&got, 0, sizeof(got));
	assert_int_equal(nrs_header_link_with(dg, p, &got), 0);
	assert_memory_equal(&got, &want, 32);

	put_label(&b, "noroshi/v1/origin");
	nrs_buf_str(&b, "jp.cert.example");
	hash_of(&b, &want);
	assert_int_equal(nrs_origin_id("jp.cert.example", 15, &got), 0);
	assert_memory_equal(&got, &want, 32);

	put_label(&b, "noroshi/v1/leaf");
	nrs_buf_u32(&b, 232 + 7);
	nrs_buf_put(&b, p, sizeof(p));
	nrs_buf_str(&b, "sigsigs");
	hash_of(&b, &want);
	assert_int_equal(nrs_record_commit(dg, p, (const uint8_t *)"sigsigs", 7, &c), 0);
	assert_memory_equal(&c, &want, 32);
	assert_int_equal(
	    nrs_record_commit(dg, p, NULL, NRS_SIGBLOCK_MAX + 1, &got), NRS_ELIMIT);

	nrs_buf_u8(&b, 0);
	nrs_buf_put(&b, "NRL1\0\0\0\0", 8);
	nrs_buf_hash(&b, &c);
	nrs_entry_sealed(&c, entry);
	assert_memory_equal(entry, b.p + 1, sizeof(entry));
	hash_of(&b, &want);
	assert_int_equal(nrs_leaf_sealed(dg, &c, &got), 0);
	assert_memory_equal(&got, &want, 32);

	nrs_buf_u8(&b, 0);
	nrs_buf_put(&b, "NRL1\1\0\0\3doc", 11);
	hash_of(&b, &want);
	assert_int_equal(nrs_leaf_control(dg, "doc", 3, &got), 0);
	assert_memory_equal(&got, &want, 32);
	assert_int_equal(
	    nrs_leaf_control(dg, "doc", NRS_CONTROL_MAX + 1, &got), NRS_ELIMIT);

	put_label(&b, "noroshi/v1/object");
	nrs_buf_hash(&b, &h.audience);
	nrs_buf_u8(&b, 2);
	nrs_buf_lstr(&b, id.p, id.len);
	nrs_buf_lstr(&b, when.p, when.len);
	hash_of(&b, &want);
	assert_int_equal(nrs_object_key(dg, &h.audience, 2, id, when, k), 0);
	assert_memory_equal(k, &want, 16);
	put_label(&b, "noroshi/v1/object");
	nrs_buf_hash(&b, &h.audience);
	nrs_buf_u8(&b, 2);
	nrs_buf_lstr(&b, id.p, id.len);
	nrs_buf_u16(&b, 0);
	hash_of(&b, &want);
	assert_int_equal(nrs_object_key(dg, &h.audience, 2, id, none, k), 0);
	assert_memory_equal(k, &want, 16);
	assert_int_equal(
	    nrs_object_key(dg, &h.audience, 2, (struct nrs_str){ id.p, 65536 }, none, k),
	    NRS_ELIMIT);
	nrs_buf_fini(&b);
}

static void
test_record_id(void **state)
{
	static const struct {
		const char *text;
		int err;
		uint64_t index;
		const char *hex8;
	} rows[] = {
		{ "cert.example.jp/48213", 0, 48213, "" },
		{ "cert.example.jp/0", 0, 0, "" },
		{ "cert.example.jp/48213~0123abcd", 0, 48213, "0123abcd" },
		{ "cert.example.jp/18446744073709551614", 0, UINT64_MAX - 1, "" },
		{ "cert.example.jp/18446744073709551615", NRS_ERANGE, 0, "" },
		{ "", NRS_ESYNTAX, 0, "" },
		{ "cert.example.jp", NRS_ESYNTAX, 0, "" },
		{ "cert.example.jp/", NRS_ESYNTAX, 0, "" },
		{ "/1", NRS_ESYNTAX, 0, "" },
		{ "CERT.example.jp/1", NRS_ESYNTAX, 0, "" },
		{ "cert.example.jp/01", NRS_ESYNTAX, 0, "" },
		{ "cert.example.jp/1 ", NRS_ESYNTAX, 0, "" },
		{ "cert.example.jp/1/2", NRS_ESYNTAX, 0, "" },
		{ "cert.example.jp/1~", NRS_ESYNTAX, 0, "" },
		{ "cert.example.jp/1~0123abc", NRS_ESYNTAX, 0, "" },
		{ "cert.example.jp/1~0123abcde", NRS_ESYNTAX, 0, "" },
		{ "cert.example.jp/1~0123ABCD", NRS_ESYNTAX, 0, "" },
		{ "cert.example.jp/~0123abcd", NRS_ESYNTAX, 0, "" },
	};
	char origin[NRS_ORIGIN_MAX + 1], hex8[9], big[300];
	uint64_t index;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(
		    nrs_record_id_parse(rows[i].text, origin, &index, hex8), rows[i].err);
		if (rows[i].err != 0)
			continue;
		assert_string_equal(origin, "cert.example.jp");
		assert_true(index == rows[i].index);
		assert_string_equal(hex8, rows[i].hex8);
	}
	memset(big, 'a', sizeof(big));
	memcpy(big + 290, ".jp/1", 6);
	assert_int_equal(nrs_record_id_parse(big, origin, &index, hex8), NRS_ESYNTAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_form),
		cmocka_unit_test(test_pae),
		cmocka_unit_test(test_later_version),
		cmocka_unit_test(test_sigs_form),
		cmocka_unit_test(test_sigs_verify),
		cmocka_unit_test(test_every_bit),
		cmocka_unit_test(test_commitments),
		cmocka_unit_test(test_record_id),
	};

	return cmocka_run_group_tests_name("record/header", tests, setup, teardown);
}
