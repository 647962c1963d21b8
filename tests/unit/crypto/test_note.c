/* Signed notes: the interoperability vectors, every flip, every cut, every form. */
#include <noroshi/limits.h>

#include "base/text.h"
#include "crypto/digest.h"
#include "crypto/key.h"
#include "crypto/note.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define LOG	"log.cert-a.example/feed"
#define WITNESS "witness.cert-b.example/w1"
#define ROOT	"O2zM1+PgI/85MAbwMDFe562esRGwIrQfun5bejlz9og="
#define TEXT	LOG "\n3\n" ROOT "\n"
#define LOG_BLOB                                                                            \
	"nD9sRbg4dDKThwK5Ks9jt+IbJdYAZ/+vLhKhDXzzTjW3qpMGX/vOVWVc4ZzrJT4f3l5VD8rkify65MSB+" \
	"qFRhArYfQ8="
#define WITNESS_BLOB                                                                      \
	"El4mPgAAAABlU/EAfLx5fD2JzkGa2ETyGQLLaO+x2Fzp6GU74GMzv+hk9M7unWIRE8XrBFWYCv6Dga+" \
	"GMGnbfzNtsMoMJXVvrSizDA=="
#define DASH "\xe2\x80\x94 "
#define NOTE TEXT "\n" DASH LOG " " LOG_BLOB "\n" DASH WITNESS " " WITNESS_BLOB "\n"

struct keys {
	struct nrs_seckey *log, *witness;
	struct nrs_pubkey log_pub, witness_pub;
};

static int
setup(void **state)
{
	static struct keys k;
	uint8_t seed[64];
	size_t i;

	for (i = 0; i < 64; i++)
		seed[i] = (uint8_t)i;
	if (nrs_seckey_from_seed(seed, &k.log) != 0 ||
	    nrs_seckey_from_seed(seed + 32, &k.witness) != 0)
		return -1;
	nrs_seckey_public(k.log, &k.log_pub);
	nrs_seckey_public(k.witness, &k.witness_pub);
	*state = &k;
	return 0;
}

static int
teardown(void **state)
{
	struct keys *k = *state;

	nrs_seckey_free(k->log);
	nrs_seckey_free(k->witness);
	return 0;
}

static void
assert_buf(struct nrs_buf *b, const char *want)
{
	assert_int_equal(b->err, 0);
	assert_int_equal(b->len, strlen(want));
	assert_memory_equal(b->p, want, b->len);
}

static void
test_root(void **state)
{
	/* the root of the vector, so that the text is tested and not only copied */
	uint8_t entry[2] = { 0, 0 }, node[65] = { 1 };
	struct nrs_hash leaf[3], h;
	char s[45];
	int i;

	for (i = 0; i < 3; i++) {
		entry[1] = (uint8_t)i;
		assert_int_equal(nrs_sha256(entry, 2, &leaf[i]), 0);
	}
	memcpy(node + 1, leaf[0].b, 32);
	memcpy(node + 33, leaf[1].b, 32);
	assert_int_equal(nrs_sha256(node, 65, &h), 0);
	memcpy(node + 1, h.b, 32);
	memcpy(node + 33, leaf[2].b, 32);
	assert_int_equal(nrs_sha256(node, 65, &h), 0);
	nrs_b64_format(s, h.b, 32);
	assert_string_equal(s, ROOT);
}

static void
test_vectors(void **state)
{
	struct keys *k = *state;
	struct nrs_buf b, msg;
	uint8_t sig[72], id[4];

	nrs_buf_init(&b, NRS_NOTE_MAX);
	nrs_buf_init(&msg, NRS_NOTE_MAX);
	assert_int_equal(nrs_note_vkey(&b, LOG, NRS_NOTE_ED25519, k->log_pub.pub), 0);
	assert_buf(&b, LOG "+9c3f6c45+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4");
	nrs_buf_reset(&b);
	assert_int_equal(
	    nrs_note_vkey(&b, WITNESS, NRS_NOTE_COSIGN, k->witness_pub.pub), 0);
	assert_buf(&b, WITNESS "+125e263e+BCmsuuFBvMrwsi4alNNNC8c2HlJtC/4SyJeUvJMilm3X");
	nrs_buf_reset(&b);

	nrs_buf_str(&b, TEXT);
	nrs_buf_u8(&b, '\n');
	assert_int_equal(
	    nrs_seckey_sign(k->log, (const uint8_t *)TEXT, strlen(TEXT), sig), 0);
	assert_int_equal(nrs_note_keyid(LOG, NRS_NOTE_ED25519, k->log_pub.pub, id), 0);
	nrs_note_add_sig(&b, LOG, id, sig, 64);
	nrs_note_cosign_msg(&msg, 1700000000, (const uint8_t *)TEXT, strlen(TEXT));
	assert_buf(&msg, "cosignature/v1\ntime 1700000000\n" TEXT);
	nrs_put_u64(sig, 1700000000);
	assert_int_equal(nrs_seckey_sign(k->witness, msg.p, msg.len, sig + 8), 0);
	assert_int_equal(
	    nrs_note_keyid(WITNESS, NRS_NOTE_COSIGN, k->witness_pub.pub, id), 0);
	nrs_note_add_sig(&b, WITNESS, id, sig, 72);
	assert_buf(&b, NOTE);
	nrs_buf_fini(&msg);
	nrs_buf_fini(&b);
}

static int
verify_both(const struct keys *k, const char *buf, size_t len, int *ret_witness)
{
	struct nrs_note n;
	uint64_t t;
	int rc;

	*ret_witness = NRS_ESYNTAX;
	if ((rc = nrs_note_parse(&n, (const uint8_t *)buf, len, NULL)) != 0)
		return rc;
	*ret_witness = nrs_note_verify(
	    &n, WITNESS, NRS_NOTE_COSIGN, k->witness_pub.pub, nrs_verify, &t);
	if (*ret_witness == 0)
		assert_true(t == 1700000000);
	return nrs_note_verify(&n, LOG, NRS_NOTE_ED25519, k->log_pub.pub, nrs_verify, NULL);
}

static void
test_verify(void **state)
{
	struct keys *k = *state;
	struct nrs_note n;
	int witness;

	assert_int_equal(verify_both(k, NOTE, strlen(NOTE), &witness), 0);
	assert_int_equal(witness, 0);
	assert_int_equal(nrs_note_parse(&n, (const uint8_t *)NOTE, strlen(NOTE), NULL), 0);
	assert_int_equal(n.nsigs, 2);
	assert_int_equal(n.text.len, strlen(TEXT));
	/* another key, another type, another name, a name that cannot be */
	assert_int_equal(nrs_note_verify(&n, LOG, NRS_NOTE_ED25519, k->witness_pub.pub,
			     nrs_verify, NULL),
	    NRS_ENOTFOUND);
	assert_int_equal(
	    nrs_note_verify(&n, LOG, NRS_NOTE_COSIGN, k->log_pub.pub, nrs_verify, NULL),
	    NRS_ENOTFOUND);
	assert_int_equal(
	    nrs_note_verify(&n, "log", NRS_NOTE_ED25519, k->log_pub.pub, nrs_verify, NULL),
	    NRS_ENOTFOUND);
	assert_int_equal(
	    nrs_note_verify(&n, "a b", NRS_NOTE_ED25519, k->log_pub.pub, nrs_verify, NULL),
	    NRS_ESYNTAX);
}

/* Every bit of the text breaks both; every bit of a line breaks at least its signer. */
static void
test_flips(void **state)
{
	const size_t len = strlen(NOTE),
		     second = len - strlen(DASH WITNESS " " WITNESS_BLOB "\n");
	struct keys *k = *state;
	int log, witness;
	char buf[1024];
	size_t i;

	memcpy(buf, NOTE, len);
	for (i = 0; i < len * 8; i++) {
		buf[i / 8] ^= (char)(1 << i % 8);
		log = verify_both(k, buf, len, &witness);
		buf[i / 8] ^= (char)(1 << i % 8);
		if (i / 8 <= strlen(TEXT) ? log == 0 || witness == 0
			: i / 8 < second  ? log == 0
					  : witness == 0)
			fail_msg("bit %zu of byte %zu accepted", i % 8, i / 8);
	}
}

static void
test_cuts(void **state)
{
	const size_t len = strlen(NOTE),
		     second = len - strlen(DASH WITNESS " " WITNESS_BLOB "\n");
	struct keys *k = *state;
	int log, witness;
	char *buf;
	size_t i;

	for (i = 0; i < len; i++) {
		/* of exact size, so that reading past the end is seen */
		assert_non_null(buf = malloc(i + 1));
		memmove(buf, NOTE, i);
		buf = realloc(buf, i > 0 ? i : 1);
		log = verify_both(k, buf, i, &witness);
		free(buf);
		/* the note with one signature less is a note */
		assert_true(i == second ? log == 0 : log != 0);
		assert_int_not_equal(witness, 0);
	}
}

#define SIG DASH "a AAAAAAA=\n"

static void
test_form(void **state)
{
	static const struct {
		const char *s;
		int rc;
		unsigned int off;
	} t[] = { { "a\n\n" SIG, 0, 0 }, { "a\n\nb\n\n" SIG, 0, 0 },
		{ "a\n\n\n" SIG, 0, 0 }, { "", NRS_ESYNTAX, 0 }, { "a", NRS_ESYNTAX, 1 },
		{ "a\n" SIG, NRS_ESYNTAX, 17 }, { "\n\n" SIG, NRS_ESYNTAX, 17 },
		{ "\n" SIG, NRS_ESYNTAX, 16 }, { "a\n\n", NRS_ETRUNC, 3 },
		{ "a\n\n" SIG "x", NRS_ETRUNC, 19 }, { "a\n\n" SIG "x\n", NRS_ESYNTAX, 18 },
		{ "a\n\n" SIG "\n", NRS_ETRUNC, 19 },
		{ "a\n\n" DASH "a AAAAAAA=", NRS_ETRUNC, 17 },
		{ "a\r\n\n" SIG, NRS_ESYNTAX, 1 }, { "a\t\n\n" SIG, NRS_ESYNTAX, 1 },
		{ "a\x7f\n\n" SIG, NRS_ESYNTAX, 1 },
		{ "a\xc2\x85\n\n" SIG, NRS_ESYNTAX, 1 }, { "a\xff\n\n" SIG, NRS_EUTF8, 1 },
		{ "a\n\n" SIG SIG, NRS_EDUPLICATE, 18 },
		{ "a\n\n" SIG DASH "b AAAAAAA=\n", 0, 0 },
		{ "a\n\n- a AAAAAAA=\n", NRS_ESYNTAX, 3 },
		{ "a\n\n" DASH " AAAAAAA=\n", NRS_ESYNTAX, 3 },
		{ "a\n\n" DASH "a+b AAAAAAA=\n", NRS_ESYNTAX, 3 },
		{ "a\n\n" DASH "a\xe3\x80\x80 AAAAAAA=\n", NRS_ESYNTAX, 3 },
		{ "a\n\n" DASH "a  AAAAAAA=\n", NRS_ESYNTAX, 3 },
		{ "a\n\n" DASH "a AAAAAAA= \n", NRS_ESYNTAX, 3 },
		{ "a\n\n" DASH "a AAAAAAB=\n", NRS_ESYNTAX, 3 },
		{ "a\n\n" DASH "a AAAAAA==\n", NRS_ESYNTAX, 3 }, /* an id alone */
		{ "a\n\n" DASH "a \n", NRS_ESYNTAX, 3 },
		{ "a\n\n" DASH "a\n", NRS_ESYNTAX, 3 } };
	struct nrs_detail d;
	struct nrs_note n;
	size_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		memset(&d, 0, sizeof(d));
		if (nrs_note_parse(&n, (const uint8_t *)t[i].s, strlen(t[i].s), &d) !=
			t[i].rc ||
		    d.off != t[i].off)
			fail_msg("case %zu: %d at %u", i, d.code, (unsigned int)d.off);
	}
}

static void
test_limits(void **state)
{
	const uint8_t id[4] = { 1, 2, 3, 4 };
	uint8_t sig[136] = { 5 };
	struct nrs_note n;
	struct nrs_buf b;
	char name[16];
	int i, rc;

	nrs_buf_init(&b, 1 << 20);
	nrs_buf_str(&b, "text\n\n");
	for (i = 0; i <= NRS_NOTE_SIGS_MAX; i++) {
		rc = i == 0 ? NRS_ETRUNC : 0;
		assert_int_equal(nrs_note_parse(&n, b.p, b.len, NULL), rc);
		name[0] = (char)('a' + i / 26);
		name[1] = (char)('a' + i % 26);
		name[2] = '\0';
		nrs_note_add_sig(&b, name, id, sig, sizeof(sig));
	}
	assert_int_equal(n.nsigs, NRS_NOTE_SIGS_MAX);
	assert_int_equal(n.sigs[63].sig_len, 136);
	assert_memory_equal(n.sigs[63].sig, sig, 136);
	assert_int_equal(nrs_note_parse(&n, b.p, b.len, NULL), NRS_ELIMIT);
	/* no more fits into a line of ours, */
	nrs_buf_reset(&b);
	nrs_note_add_sig(&b, "a", id, sig, 137);
	assert_int_equal(b.err, NRS_ELIMIT);
	/* but longer signatures of others are carried, if well-formed */
	for (i = 1; i < 600; i++) {
		nrs_buf_reset(&b);
		nrs_buf_fmt(&b, "text\n\n%sa %0*d\n", DASH, 4 * i, 0);
		rc = i == 1 ? NRS_ESYNTAX : 0;
		assert_int_equal(nrs_note_parse(&n, b.p, b.len, NULL), rc);
		if (rc == 0)
			assert_int_equal(
			    n.sigs[0].sig_len, 3 * i - 4 <= 136 ? 3 * i - 4 : 0);
		if (i >= 2) {
			b.p[b.len - 6] = '='; /* padding inside */
			assert_int_equal(nrs_note_parse(&n, b.p, b.len, NULL), NRS_ESYNTAX);
		}
	}
	nrs_buf_reset(&b);
	nrs_buf_fmt(&b, "%0*d\n\n%sa AAAAAAA=\n", (int)NRS_NOTE_MAX - 17, 0, DASH);
	assert_int_equal(b.len, NRS_NOTE_MAX);
	assert_int_equal(nrs_note_parse(&n, b.p, b.len, NULL), 0);
	assert_int_equal(nrs_note_parse(&n, b.p, b.len + 1, NULL), NRS_ELIMIT);
	nrs_buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_root),
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_verify),
		cmocka_unit_test(test_flips),
		cmocka_unit_test(test_cuts),
		cmocka_unit_test(test_form),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
