/* Checkpoints: the published vector byte for byte, and the strict form. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/text.h"
#include "tlog/checkpoint.h"
#include "tlog/tree.h"

#define ROOT	     "O2zM1+PgI/85MAbwMDFe562esRGwIrQfun5bejlz9og="
#define LOG_NAME     "log.cert-a.example/feed"
#define WITNESS_NAME "witness.cert-b.example/w1"
#define VECTOR_TEXT  LOG_NAME "\n3\n" ROOT "\n"

static struct nrs_seckey *log_key, *witness_key;
static struct nrs_pubkey log_pub, witness_pub;

static int
setup(void **state)
{
	uint8_t seed[32];

	for (uint8_t i = 0; i < 32; i++)
		seed[i] = i;
	if (nrs_seckey_from_seed(seed, &log_key) != 0)
		return -1;
	for (uint8_t i = 0; i < 32; i++)
		seed[i] = (uint8_t)(32 + i);
	if (nrs_seckey_from_seed(seed, &witness_key) != 0)
		return -1;
	nrs_seckey_public(log_key, &log_pub);
	nrs_seckey_public(witness_key, &witness_pub);
	return 0;
}

static int
teardown(void **state)
{
	nrs_seckey_free(log_key);
	nrs_seckey_free(witness_key);
	return 0;
}

static void
assert_buf(struct nrs_buf *b, const char *want)
{
	assert_int_equal(b->err, 0);
	assert_int_equal(b->len, strlen(want));
	assert_memory_equal(b->p, want, b->len);
	nrs_buf_reset(b);
}

static void
test_vector_root(void **state)
{
	struct nrs_digest *dg = nrs_digest_new();
	char text[NRS_B64_LEN(32) + 1];
	struct nrs_frontier f;
	struct nrs_hash h;

	assert_non_null(dg);
	nrs_frontier_init(&f);
	for (uint8_t i = 0; i < 3; i++) {
		const uint8_t entry[2] = { 0, i };

		assert_int_equal(nrs_sha256(entry, 2, &h), 0);
		assert_int_equal(nrs_frontier_append(dg, &f, &h, NULL, NULL), 0);
	}
	assert_int_equal(nrs_frontier_root(dg, &f, &h), 0);
	nrs_b64_format(text, h.b, 32);
	assert_string_equal(text, ROOT);
	nrs_digest_free(dg);
}

static void
test_vector_note(void **state)
{
	static const char text[] = VECTOR_TEXT;
	uint8_t sig[8 + NRS_ED25519_SIG], id[4];
	struct nrs_buf b, msg;
	struct nrs_note note;
	uint64_t t = 0;

	nrs_buf_init(&b, 65536);
	nrs_buf_init(&msg, 65536);
	assert_int_equal(nrs_note_vkey(&b, LOG_NAME, NRS_NOTE_ED25519, log_pub.pub), 0);
	assert_buf(&b, LOG_NAME "+9c3f6c45+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4");
	assert_int_equal(
	    nrs_note_vkey(&b, WITNESS_NAME, NRS_NOTE_COSIGN, witness_pub.pub), 0);
	assert_buf(
	    &b, WITNESS_NAME "+125e263e+BCmsuuFBvMrwsi4alNNNC8c2HlJtC/4SyJeUvJMilm3X");

	nrs_buf_str(&b, VECTOR_TEXT "\n");
	assert_int_equal(
	    nrs_seckey_sign(log_key, (const uint8_t *)text, strlen(text), sig), 0);
	assert_int_equal(nrs_note_keyid(LOG_NAME, NRS_NOTE_ED25519, log_pub.pub, id), 0);
	nrs_note_add_sig(&b, LOG_NAME, id, sig, NRS_ED25519_SIG);

	nrs_put_u64(sig, 1700000000);
	nrs_note_cosign_msg(&msg, 1700000000, (const uint8_t *)text, strlen(text));
	assert_int_equal(nrs_seckey_sign(witness_key, msg.p, msg.len, sig + 8), 0);
	assert_int_equal(
	    nrs_note_keyid(WITNESS_NAME, NRS_NOTE_COSIGN, witness_pub.pub, id), 0);
	nrs_note_add_sig(&b, WITNESS_NAME, id, sig, sizeof(sig));

	assert_int_equal(nrs_note_parse(&note, b.p, b.len, NULL), 0);
	assert_int_equal(nrs_note_verify(&note, LOG_NAME, NRS_NOTE_ED25519, log_pub.pub,
			     nrs_verify, NULL),
	    0);
	assert_int_equal(nrs_note_verify(&note, WITNESS_NAME, NRS_NOTE_COSIGN,
			     witness_pub.pub, nrs_verify, &t),
	    0);
	assert_int_equal(t, 1700000000);
	assert_buf(&b,
	    VECTOR_TEXT
	    "\n\u2014 " LOG_NAME
	    " nD9sRbg4dDKThwK5Ks9jt+IbJdYAZ/+vLhKhDXzzTjW3qpMGX/vOVWVc4ZzrJT4f3l5V"
	    "D8rkify65MSB+qFRhArYfQ8=\n\u2014 " WITNESS_NAME
	    " El4mPgAAAABlU/EAfLx5fD2JzkGa2ETyGQLLaO+x2Fzp6GU74GMzv+hk9M7unWIRE8Xr"
	    "BFWYCv6Dga+GMGnbfzNtsMoMJXVvrSizDA==\n");
	nrs_buf_fini(&b);
	nrs_buf_fini(&msg);
}

static void
test_form(void **state)
{
	static const struct {
		const char *text;
		int err;
		uint64_t line;
	} rows[] = {
		{ "jp.cert.example\n3\n" ROOT "\n", 0, 0 },
		{ "jp.cert.example\n0\n" ROOT "\n", 0, 0 },
		{ "jp.cert.example\n9223372036854775807\n" ROOT "\n", 0, 0 },
		{ "", NRS_ETRUNC, 1 },
		{ "jp.cert.example", NRS_ETRUNC, 1 },
		{ "jp.cert.example\n", NRS_ETRUNC, 2 },
		{ "jp.cert.example\n3\n", NRS_ETRUNC, 3 },
		{ "jp.cert.example\n3\n" ROOT, NRS_ETRUNC, 3 },
		{ "jp.cert.example\n3\n" ROOT "\nmore\n", NRS_ETRAILING, 4 },
		{ "jp.cert.example\n3\n" ROOT "\n\n", NRS_ETRAILING, 4 },
		{ "\n3\n" ROOT "\n", NRS_ESYNTAX, 1 },
		{ "JP.cert.example\n3\n" ROOT "\n", NRS_ESYNTAX, 1 },
		{ "example\n3\n" ROOT "\n", NRS_ESYNTAX, 1 },
		{ "jp.cert.example/log\n3\n" ROOT "\n", NRS_ESYNTAX, 1 },
		{ "noroshi/v1/manifest\n3\n" ROOT "\n", NRS_ESYNTAX, 1 },
		{ "jp.cert.example \n3\n" ROOT "\n", NRS_ESYNTAX, 1 },
		{ "jp.cert.example\n\n" ROOT "\n", NRS_ESYNTAX, 2 },
		{ "jp.cert.example\n03\n" ROOT "\n", NRS_ESYNTAX, 2 },
		{ "jp.cert.example\n+3\n" ROOT "\n", NRS_ESYNTAX, 2 },
		{ "jp.cert.example\n3 \n" ROOT "\n", NRS_ESYNTAX, 2 },
		{ "jp.cert.example\n9223372036854775808\n" ROOT "\n", NRS_ERANGE, 2 },
		{ "jp.cert.example\n99999999999999999999\n" ROOT "\n", NRS_ERANGE, 2 },
		{ "jp.cert.example\n3\n\n", NRS_ESYNTAX, 3 },
		{ "jp.cert.example\n3\n" ROOT "=\n", NRS_ESYNTAX, 3 },
		{ "jp.cert.example\n3\n " ROOT "\n", NRS_ESYNTAX, 3 },
		{ "jp.cert.example\n3\nO2zM1+PgI/85MAbwMDFe562esRGwIrQfun5bejlz9oh=\n",
		    NRS_ESYNTAX, 3 },
		{ "jp.cert.example\n3\nO2zM1+PgI/85MAbwMDFe562esRGwIrQfun5bejlz9g==\n",
		    NRS_ESYNTAX, 3 },
	};
	struct nrs_checkpoint c;
	struct nrs_buf b;

	nrs_buf_init(&b, 1024);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct nrs_detail d = { 0 };

		assert_int_equal(nrs_checkpoint_parse(&c, (const uint8_t *)rows[i].text,
				     strlen(rows[i].text), &d),
		    rows[i].err);
		assert_int_equal(d.code, rows[i].err);
		assert_int_equal(d.off, rows[i].line);
		if (rows[i].err != 0)
			continue;
		assert_int_equal(nrs_checkpoint_format(&b, &c), 0);
		assert_true(b.len <= NRS_CHECKPOINT_TEXT_MAX);
		assert_buf(&b, rows[i].text);
	}
	memset(&c, 0, sizeof(c));
	memcpy(c.origin, "a/b", 4);
	assert_int_equal(nrs_checkpoint_format(&b, &c), NRS_ESYNTAX);
	memset(c.origin, 'a', sizeof(c.origin)); /* not even a text */
	assert_int_equal(nrs_checkpoint_format(&b, &c), NRS_ESYNTAX);
	memcpy(c.origin, "a.b", 4);
	c.size = UINT64_C(1) << 63;
	assert_int_equal(nrs_checkpoint_format(&b, &c), NRS_ERANGE);
	assert_int_equal(b.len, 0);
	nrs_buf_fini(&b);
}

static void
make_note(struct nrs_buf *b, const struct nrs_checkpoint *c)
{
	uint8_t sig[NRS_ED25519_SIG];
	struct nrs_buf text;

	nrs_buf_init(&text, 1024);
	assert_int_equal(nrs_checkpoint_format(&text, c), 0);
	assert_int_equal(nrs_seckey_sign(log_key, text.p, text.len, sig), 0);
	assert_int_equal(nrs_checkpoint_note(b, c, &log_pub, sig), 0);
	nrs_buf_fini(&text);
}

static void
test_open(void **state)
{
	struct nrs_checkpoint c = { .origin = "jp.cert.example", .size = 77 }, r;
	struct nrs_detail d = { 0 };
	struct nrs_buf b;
	int err;

	nrs_buf_init(&b, 65536);
	memset(c.root.b, 0xab, 32);
	make_note(&b, &c);
	assert_int_equal(nrs_checkpoint_open(
			     &r, b.p, b.len, "jp.cert.example", &log_pub, nrs_verify, &d),
	    0);
	assert_string_equal(r.origin, c.origin);
	assert_int_equal(r.size, 77);
	assert_memory_equal(&r.root, &c.root, 32);
	assert_int_equal(
	    nrs_checkpoint_open(&r, b.p, b.len, NULL, &log_pub, nrs_verify, &d), 0);
	assert_int_equal(nrs_checkpoint_open(
			     &r, b.p, b.len, "sg.cert.example", &log_pub, nrs_verify, &d),
	    NRS_EORIGIN);
	assert_int_equal(d.off, 1);
	assert_int_equal(
	    nrs_checkpoint_open(&r, b.p, b.len, NULL, &witness_pub, nrs_verify, NULL),
	    NRS_EKEY);
	for (size_t i = 0; i < b.len; i++) {
		assert_int_not_equal(
		    nrs_checkpoint_open(&r, b.p, i, NULL, &log_pub, nrs_verify, NULL), 0);
		for (int bit = 0; bit < 8; bit++) {
			b.p[i] ^= (uint8_t)(1 << bit);
			err = nrs_checkpoint_open(
			    &r, b.p, b.len, NULL, &log_pub, nrs_verify, NULL);
			assert_int_not_equal(err, 0);
			b.p[i] ^= (uint8_t)(1 << bit);
		}
	}
	nrs_buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vector_root),
		cmocka_unit_test(test_vector_note),
		cmocka_unit_test(test_form),
		cmocka_unit_test(test_open),
	};

	return cmocka_run_group_tests_name("tlog/checkpoint", tests, setup, teardown);
}
