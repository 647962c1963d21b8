/* Membership statements and direct audiences. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/text.h"
#include "crypto/digest.h"
#include "record/record.h"
#include "record/statement.h"

#define NKEYS 4
static const char *const names[NKEYS] = { "au.cert.example", "jp.cert.example",
	"sg.cert.example", "us.cert.example" };
static struct nrs_seckey *sec[NKEYS];
static struct nrs_pubkey pub[NKEYS];
static uint8_t nonce[32];
static char b64_root[NKEYS][NRS_B64_LEN(32) + 1];
static char b64_id[NRS_B64_LEN(32) + 1];
static char b64_nonce[NRS_B64_LEN(32) + 1];

static struct nrs_hash
root_of(unsigned int i)
{
	struct nrs_hash h;

	memset(h.b, (int)(0x60 + i), sizeof(h.b));
	return h;
}

static int
setup(void **state)
{
	struct nrs_hash id;

	memset(nonce, 0x99, sizeof(nonce));
	for (unsigned int i = 0; i < NKEYS; i++) {
		uint8_t seed[32] = { 0x50, (uint8_t)i };

		if (nrs_seckey_from_seed(seed, &sec[i]) != 0)
			return -1;
		nrs_seckey_public(sec[i], &pub[i]);
		nrs_b64_format(b64_root[i], root_of(i).b, 32);
	}
	if (nrs_community_id("jp.cert.example", "iwwn", nonce, &id) != 0)
		return -1;
	nrs_b64_format(b64_id, id.b, 32);
	nrs_b64_format(b64_nonce, nonce, 32);
	return 0;
}

static int
teardown(void **state)
{
	for (int i = 0; i < NKEYS; i++)
		nrs_seckey_free(sec[i]);
	return 0;
}

/* %I id, %N nonce, %R0.. root-key hashes */
static const char *const lines[] = { "noroshi/v1/membership", "community %I", "name iwwn",
	"founder jp.cert.example", "nonce %N", "epoch 0", "previous -", "threshold 1",
	"ceiling AMBER+STRICT", "onward members", "history no", "exercise no",
	"steward jp.cert.example %R1", "steward sg.cert.example %R2",
	"member au.cert.example %R0", "member jp.cert.example %R1",
	"member sg.cert.example %R2" };

static const char *const direct_lines[] = { "noroshi/v1/direct", "origin jp.cert.example",
	"nonce %N", "recipient sg.cert.example", "recipient us.cert.example" };

static void
put_line(struct nrs_buf *b, const char *s)
{
	for (; *s != '\0'; s++) {
		if (s[0] != '%') {
			nrs_buf_u8(b, (uint8_t)*s);
			continue;
		}
		s++;
		if (*s == 'I')
			nrs_buf_str(b, b64_id);
		else if (*s == 'N')
			nrs_buf_str(b, b64_nonce);
		else
			nrs_buf_str(b, b64_root[*++s - '0']);
	}
	nrs_buf_u8(b, '\n');
}

struct row {
	size_t no; /* the line replaced, from 1; 0: none */
	const char *other;
	int err;
	uint64_t line;
};

static void
put_text(struct nrs_buf *b, const char *const *v, size_t n, size_t no, const char *other)
{
	nrs_buf_reset(b);
	for (size_t i = 0; i < n; i++) {
		if (i + 1 != no)
			put_line(b, v[i]);
		else if (other != NULL)
			put_line(b, other);
	}
	assert_int_equal(b->err, 0);
}

#define COUNT(v) (sizeof(v) / sizeof((v)[0]))

static const struct row rows[] = {
	{ 0, NULL, 0, 0 },
	{ 1, "noroshi/v1/manifest", NRS_EMAGIC, 1 },
	{ 1, "noroshi/v1/membership ", NRS_EMAGIC, 1 },
	{ 2, "community %N", NRS_ESYNTAX, 2 },
	{ 2, "community -", NRS_ESYNTAX, 2 },
	{ 2, NULL, NRS_ESYNTAX, 2 },
	{ 3, "name iwwo", NRS_ESYNTAX, 2 }, /* the id is of another name */
	{ 3, "name IWWN", NRS_ESYNTAX, 3 },
	{ 3, "name -iwwn", NRS_ESYNTAX, 3 },
	{ 3, "name iw wn", NRS_ESYNTAX, 3 },
	{ 3, "name 01234567890123456789012345678901234567890123456789012345678901234",
	    NRS_ESYNTAX, 3 },
	{ 4, "founder sg.cert.example", NRS_ESYNTAX, 2 },
	{ 4, "founder au.cert.example", NRS_EMEMBER, 4 }, /* founder must be steward */
	{ 4, "founder jp", NRS_ESYNTAX, 4 },
	{ 5, "nonce %I", NRS_ESYNTAX, 2 },
	{ 5, "nonce AAAA", NRS_ESYNTAX, 5 },
	{ 6, "epoch 00", NRS_ESYNTAX, 6 },
	{ 6, "epoch 4294967296", NRS_ERANGE, 6 },
	{ 6, "epoch 1", NRS_ESYNTAX, 7 },
	{ 7, "previous %I", NRS_ESYNTAX, 7 },
	{ 7, NULL, NRS_ESYNTAX, 7 },
	{ 8, "threshold 0", NRS_ERANGE, 8 },
	{ 8, "threshold 2", 0, 0 },
	{ 8, "threshold 3", NRS_ERANGE, 8 },
	{ 8, "threshold 1025", NRS_ERANGE, 8 },
	{ 8, "threshold one", NRS_ESYNTAX, 8 },
	{ 9, "ceiling CLEAR", 0, 0 },
	{ 9, "ceiling amber", NRS_ESYNTAX, 9 },
	{ 9, "ceiling TLP:AMBER", NRS_ESYNTAX, 9 },
	{ 9, "ceiling WHITE", NRS_ESYNTAX, 9 },
	{ 10, "onward none", 0, 0 },
	{ 10, "onward constituents", 0, 0 },
	{ 10, "onward all", NRS_ESYNTAX, 10 },
	{ 11, "history yes", 0, 0 },
	{ 11, "history maybe", NRS_ESYNTAX, 11 },
	{ 12, "exercise yes", 0, 0 },
	{ 12, "exercise true", NRS_ESYNTAX, 12 },
	{ 12, NULL, NRS_ESYNTAX, 12 },
	{ 13, NULL, NRS_EMEMBER, 4 },
	{ 13, "steward jp.cert.example", NRS_ESYNTAX, 13 },
	{ 13, "steward jp.cert.example AAAA", NRS_ESYNTAX, 13 },
	{ 13, "steward jp.cert.example %R1 x", NRS_ESYNTAX, 13 },
	{ 13, "steward jp.cert.example  %R1", NRS_ESYNTAX, 13 },
	{ 13, "steward JP.cert.example %R1", NRS_ESYNTAX, 13 },
	{ 13, "steward jp.cert.example %R3", NRS_EKEY, 13 },
	{ 13, "steward us.cert.example %R3", NRS_EORDER, 14 },
	{ 14, "steward jp.cert.example %R1", NRS_EDUPLICATE, 14 },
	{ 14, "steward au.cert.example %R0", NRS_EORDER, 14 },
	{ 14, "steward us.cert.example %R3", NRS_EMEMBER, 14 },
	{ 14, NULL, 0, 0 },
	{ 15, "steward us.cert.example %R3", NRS_EMEMBER, 15 },
	{ 15, "member jp.cert.example %R1", NRS_EDUPLICATE, 16 },
	{ 15, "member us.cert.example %R3", NRS_EORDER, 16 },
	{ 15, "memberr au.cert.example %R0", NRS_ESYNTAX, 15 },
	{ 15, NULL, 0, 0 },
	{ 16, NULL, NRS_EMEMBER, 13 },
	{ 17, "member sg.cert.example %R3", NRS_EKEY, 14 },
	{ 17, "steward sg.cert.example %R2", NRS_ETRAILING, 17 },
	{ 17, "", NRS_ETRAILING, 17 },
};

static const struct row direct_rows[] = {
	{ 0, NULL, 0, 0 },
	{ 1, "noroshi/v1/membership", NRS_EMAGIC, 1 },
	{ 2, "origin jp", NRS_ESYNTAX, 2 },
	{ 2, NULL, NRS_ESYNTAX, 2 },
	{ 2, "origin sg.cert.example", NRS_ESYNTAX, 4 },
	{ 2, "origin us.cert.example", NRS_ESYNTAX, 5 },
	{ 3, "nonce -", NRS_ESYNTAX, 3 },
	{ 3, NULL, NRS_ESYNTAX, 3 },
	{ 4, "recipient", NRS_ESYNTAX, 4 },
	{ 4, "recipient SG.cert.example", NRS_ESYNTAX, 4 },
	{ 4, "recipient sg.cert.example %R1", NRS_ESYNTAX, 4 },
	{ 4, "recipient us.cert.example", NRS_EDUPLICATE, 5 },
	{ 4, "recipient zz.cert.example", NRS_EORDER, 5 },
	{ 5, "member us.cert.example", NRS_ETRAILING, 5 },
	{ 5, NULL, 0, 0 },
};

static void
test_form(void **state)
{
	struct nrs_statement s;
	struct nrs_buf b, again;

	nrs_buf_init(&b, 65536);
	nrs_buf_init(&again, 65536);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct nrs_detail d = { 0 };
		struct nrs_hash hash;

		put_text(&b, lines, COUNT(lines), rows[i].no, rows[i].other);
		assert_int_equal(nrs_statement_parse(&s, b.p, b.len, &d), rows[i].err);
		assert_int_equal(d.code, rows[i].err);
		assert_int_equal(d.off, rows[i].line);
		if (rows[i].err != 0) {
			assert_null(s.stewards);
			assert_null(s.members);
			continue;
		}
		assert_int_equal(
		    nrs_sha256_label("noroshi/v1/statement", b.p, b.len, &hash), 0);
		assert_memory_equal(&s.hash, &hash, 32);
		nrs_buf_reset(&again);
		assert_int_equal(nrs_statement_format(&again, &s), 0);
		assert_int_equal(again.len, b.len);
		assert_memory_equal(again.p, b.p, b.len);
		nrs_statement_fini(&s);
	}
	nrs_buf_fini(&b);
	nrs_buf_fini(&again);
}

static void
test_fields(void **state)
{
	const struct nrs_member *m;
	struct nrs_statement s;
	struct nrs_hash id;
	struct nrs_buf b;

	nrs_buf_init(&b, 65536);
	put_text(&b, lines, COUNT(lines), 0, NULL);
	assert_int_equal(nrs_statement_parse(&s, b.p, b.len, NULL), 0);
	assert_string_equal(s.name, "iwwn");
	assert_string_equal(s.founder, "jp.cert.example");
	assert_memory_equal(s.nonce, nonce, 32);
	assert_int_equal(s.ceiling, NRS_TLP_AMBER_STRICT);
	assert_int_equal(s.onward, NRS_ONWARD_MEMBERS);
	assert_false(s.history);
	assert_false(s.exercise);
	assert_int_equal(s.nstewards, 2);
	assert_int_equal(s.nmembers, 3);
	for (unsigned int i = 0; i < 3; i++) {
		m = nrs_member_find(s.members, s.nmembers, names[i]);
		assert_ptr_equal(m, &s.members[i]);
		assert_memory_equal(m->root.b, root_of(i).b, 32);
		assert_int_equal(nrs_origin_id(names[i], strlen(names[i]), &id), 0);
		assert_memory_equal(&m->origin_id, &id, 32);
	}
	assert_null(nrs_member_find(s.members, s.nmembers, "us.cert.example"));
	assert_null(nrs_member_find(s.members, s.nmembers, ""));
	assert_null(nrs_member_find(NULL, 0, "us.cert.example"));
	s.onward = 3;
	assert_int_equal(nrs_statement_format(&b, &s), NRS_ERANGE);
	s.onward = 0;
	s.threshold = 9;
	nrs_buf_reset(&b);
	assert_int_equal(nrs_statement_format(&b, &s), NRS_ERANGE);
	assert_int_equal(b.len, 0);
	nrs_statement_fini(&s);
	nrs_statement_fini(&s);
	nrs_statement_fini(NULL);
	nrs_buf_fini(&b);
}

/* The community id written out once more. */
static void
test_community_id(void **state)
{
	struct nrs_hash got, want;
	struct nrs_buf b;
	char big[300];

	nrs_buf_init(&b, 4096);
	nrs_buf_str(&b, "noroshi/v1/community");
	nrs_buf_zero(&b, 12);
	nrs_buf_lstr(&b, "jp.cert.example", 15);
	nrs_buf_lstr(&b, "iwwn", 4);
	nrs_buf_put(&b, nonce, 32);
	assert_int_equal(nrs_sha256(b.p, b.len, &want), 0);
	assert_int_equal(nrs_community_id("jp.cert.example", "iwwn", nonce, &got), 0);
	assert_memory_equal(&got, &want, 32);
	memset(big, 'a', sizeof(big));
	big[299] = '\0';
	assert_int_equal(nrs_community_id(big, "iwwn", nonce, &got), NRS_ELIMIT);
	assert_int_equal(nrs_community_id("a.b", big, nonce, &got), NRS_ELIMIT);
	nrs_buf_fini(&b);
}

/* A text cut anywhere is refused, except after a whole last item. */
static void
test_cuts(void **state)
{
	unsigned int good = 0, good_direct = 0;
	struct nrs_statement s;
	struct nrs_direct dr;
	struct nrs_buf b;
	uint8_t *cut;

	nrs_buf_init(&b, 65536);
	put_text(&b, lines, COUNT(lines), 0, NULL);
	for (size_t len = 0; len <= b.len; len++) {
		assert_non_null(cut = malloc(len > 0 ? len : 1)); /* for the sanitizer */
		memcpy(cut, b.p, len);
		if (nrs_statement_parse(&s, cut, len, NULL) == 0)
			good++;
		nrs_statement_fini(&s);
		free(cut);
	}
	assert_int_equal(good, 1); /* before that, a steward is not a member */
	put_text(&b, direct_lines, COUNT(direct_lines), 0, NULL);
	for (size_t len = 0; len <= b.len; len++) {
		assert_non_null(cut = malloc(len > 0 ? len : 1));
		memcpy(cut, b.p, len);
		if (nrs_direct_parse(&dr, cut, len, NULL) == 0)
			good_direct++;
		nrs_direct_fini(&dr);
		free(cut);
	}
	assert_int_equal(good_direct, 2);
	nrs_buf_fini(&b);
}

static void
test_limits(void **state)
{
	struct nrs_statement s;
	struct nrs_direct dr;
	struct nrs_buf b;

	nrs_buf_init(&b, 1 << 20);
	put_text(&b, direct_lines, 3, 0, NULL);
	for (int i = 0; i < NRS_MEMBERS_MAX; i++)
		nrs_buf_fmt(&b, "recipient m%04d.example\n", i);
	assert_int_equal(nrs_direct_parse(&dr, b.p, b.len, NULL), 0);
	assert_int_equal(dr.n, NRS_MEMBERS_MAX);
	nrs_direct_fini(&dr);
	nrs_buf_str(&b, "recipient z.example\n");
	assert_int_equal(nrs_direct_parse(&dr, b.p, b.len, NULL), NRS_ELIMIT);

	put_text(&b, lines, 14, 0, NULL);
	for (int i = 0; i <= NRS_MEMBERS_MAX; i++)
		nrs_buf_fmt(&b, "member m%04d.e %s\n", i, "x");
	assert_true(b.len < NRS_NOTE_MAX);
	assert_int_equal(nrs_statement_parse(&s, b.p, b.len, NULL), NRS_ELIMIT);
	nrs_buf_zero(&b, NRS_NOTE_MAX);
	assert_int_equal(nrs_statement_parse(&s, b.p, b.len, NULL), NRS_ELIMIT);
	nrs_buf_fini(&b);
}

/* --- succession and signatures --- */

/* A statement made of members by mask, as text and parsed. */
static void
make(struct nrs_statement *ret, struct nrs_buf *text, const struct nrs_statement *prev,
    uint32_t threshold, unsigned int stewards, unsigned int members)
{
	struct nrs_member sv[NKEYS], mv[NKEYS];
	struct nrs_statement s = { .name = "iwwn",
		.founder = "jp.cert.example",
		.threshold = threshold,
		.ceiling = NRS_TLP_AMBER,
		.onward = NRS_ONWARD_MEMBERS,
		.stewards = sv,
		.members = mv };

	memset(sv, 0, sizeof(sv));
	memset(mv, 0, sizeof(mv));
	memcpy(s.nonce, nonce, 32);
	assert_int_equal(nrs_community_id(s.founder, s.name, nonce, &s.community), 0);
	if (prev != NULL) {
		s.epoch = prev->epoch + 1;
		s.previous = prev->hash;
	}
	for (unsigned int i = 0; i < NKEYS; i++) {
		if (stewards >> i & 1) {
			strcpy(sv[s.nstewards].origin, names[i]);
			sv[s.nstewards++].root = root_of(i);
		}
		if (members >> i & 1) {
			strcpy(mv[s.nmembers].origin, names[i]);
			mv[s.nmembers++].root = root_of(i);
		}
	}
	nrs_buf_reset(text);
	assert_int_equal(nrs_statement_format(text, &s), 0);
	assert_int_equal(nrs_statement_parse(ret, text->p, text->len, NULL), 0);
}

enum { AU = 1, JP = 2, SG = 4, US = 8, ALL = 15 };

static void
test_follows(void **state)
{
	struct nrs_statement s0, s1, s1b, s2, other;
	struct nrs_detail d = { 0 };
	struct nrs_buf t;

	nrs_buf_init(&t, 65536);
	make(&s0, &t, NULL, 1, JP | SG, JP | SG);
	make(&s1, &t, &s0, 1, JP | SG, ALL);
	make(&s1b, &t, &s0, 1, JP, JP | US);
	make(&s2, &t, &s1, 1, JP, ALL);
	assert_int_equal(nrs_statement_follows(NULL, &s0, NULL), 0);
	assert_int_equal(nrs_statement_follows(NULL, &s1, NULL), NRS_EORDER);
	assert_int_equal(nrs_statement_follows(&s0, &s1, NULL), 0);
	assert_int_equal(nrs_statement_follows(&s0, &s1b, NULL), 0);
	assert_int_equal(nrs_statement_follows(&s1, &s2, NULL), 0);
	assert_int_equal(nrs_statement_follows(&s1, &s1, NULL), NRS_EORDER);
	assert_int_equal(nrs_statement_follows(&s1, &s0, NULL), NRS_EORDER);
	assert_int_equal(nrs_statement_follows(&s0, &s2, NULL), NRS_EORDER);
	assert_int_equal(nrs_statement_follows(&s1, &s1b, &d), NRS_EFORK);
	assert_int_equal(d.code, NRS_EFORK);
	assert_int_equal(nrs_statement_follows(&s1b, &s2, NULL), NRS_EORDER);

	other = s1;
	other.community.b[3] ^= 1;
	assert_int_equal(nrs_statement_follows(&s0, &other, NULL), NRS_ESYNTAX);
	other = s1;
	other.name[0] = 'x';
	assert_int_equal(nrs_statement_follows(&s0, &other, NULL), NRS_ESYNTAX);
	other = s1;
	other.founder[0] = 'x';
	assert_int_equal(nrs_statement_follows(&s0, &other, NULL), NRS_ESYNTAX);
	other = s1;
	other.nonce[31] ^= 1;
	assert_int_equal(nrs_statement_follows(&s0, &other, NULL), NRS_ESYNTAX);
	other = s1;
	other.exercise = true;
	assert_int_equal(nrs_statement_follows(&s0, &other, NULL), NRS_ESYNTAX);
	other = s1;
	other.epoch = 0;
	s0.epoch = UINT32_MAX; /* no wrap */
	assert_int_equal(nrs_statement_follows(&s0, &other, NULL), NRS_EORDER);
	nrs_statement_fini(&s0);
	nrs_statement_fini(&s1);
	nrs_statement_fini(&s1b);
	nrs_statement_fini(&s2);
	nrs_buf_fini(&t);
}

/* The text and a signature line of each signer; bad: whose bytes are wrong. */
static void
sign(struct nrs_buf *note, const struct nrs_buf *text, unsigned int signers,
    unsigned int bad)
{
	uint8_t sig[NRS_ED25519_SIG], id[4];
	char name[NRS_ORIGIN_MAX + 8];

	nrs_buf_reset(note);
	nrs_buf_put(note, text->p, text->len);
	nrs_buf_u8(note, '\n');
	for (unsigned int i = 0; i < NKEYS; i++) {
		if ((signers >> i & 1) == 0)
			continue;
		snprintf(name, sizeof(name), "%s/feed", names[i]);
		assert_int_equal(nrs_seckey_sign(sec[i], text->p, text->len, sig), 0);
		sig[40] ^= bad >> i & 1;
		assert_int_equal(nrs_note_keyid(name, NRS_NOTE_ED25519, pub[i].pub, id), 0);
		nrs_note_add_sig(note, name, id, sig, sizeof(sig));
	}
	assert_int_equal(note->err, 0);
}

/* Knows the feed keys of the origins in the mask, under their true root only. */
static const struct nrs_pubkey *
key_of(void *arg, const struct nrs_member *m)
{
	unsigned int mask = *(unsigned int *)arg;

	for (unsigned int i = 0; i < NKEYS; i++) {
		struct nrs_hash root = root_of(i);

		if ((mask >> i & 1) && strcmp(m->origin, names[i]) == 0 &&
		    nrs_hash_eq(&m->root, &root))
			return &pub[i];
	}
	return NULL;
}

static int
verify_broken(uint8_t alg, const uint8_t *p, size_t plen, const uint8_t *msg, size_t mlen,
    const uint8_t *sig, size_t slen)
{
	return NRS_ECRYPTO;
}

static void
test_verify(void **state)
{
	static const struct {
		bool first; /* epoch 0, else epoch 1 after stewards JP, SG, threshold 2 */
		uint32_t threshold;
		unsigned int stewards, signers, bad, known;
		int err;
	} cases[] = {
		{ true, 1, JP | SG, JP, 0, ALL, 0 },
		{ true, 1, JP | SG, SG, 0, ALL, NRS_ESIG }, /* not the founder */
		{ true, 1, JP, AU | US, 0, ALL, NRS_ESIG },
		{ true, 2, JP | SG, JP, 0, ALL, NRS_ESIG },
		{ true, 2, JP | SG, JP | SG, 0, ALL, 0 },
		{ true, 2, JP | SG, JP | AU, 0, ALL, NRS_ESIG }, /* AU is no steward */
		{ true, 2, JP | SG | US, SG | US, 0, ALL, NRS_ESIG },
		{ true, 1, JP, JP, JP, ALL, NRS_ESIG },
		{ true, 1, JP | SG, JP | SG, SG, ALL, 0 }, /* a bad line is no veto */
		{ true, 2, JP | SG, JP | SG, SG, ALL, NRS_ESIG },
		{ true, 1, JP, JP, 0, AU, NRS_ESIG }, /* feed key not known */
		{ false, 1, JP, JP | SG, 0, ALL, 0 },
		{ false, 1, JP, JP, 0, ALL, NRS_ESIG }, /* the old threshold holds */
		{ false, 1, JP | US, JP | US, 0, ALL, NRS_ESIG }, /* and the old stewards */
		{ false, 1, JP | US, US, 0, ALL, NRS_ESIG },
		{ false, 1, US, JP | SG, 0, ALL, 0 }, /* a removed one signs its removal */
		{ false, 3, JP | SG | US, JP | SG, 0, ALL, 0 },
		{ false, 1, JP, JP | SG, JP, ALL, NRS_ESIG },
	};
	struct nrs_statement s0, next;
	struct nrs_buf t, b;
	struct nrs_note note;
	unsigned int known;

	nrs_buf_init(&t, 65536);
	nrs_buf_init(&b, 65536);
	make(&s0, &t, NULL, 2, JP | SG, ALL);
	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct nrs_statement *prev = cases[i].first ? NULL : &s0;

		make(&next, &t, prev, cases[i].threshold, cases[i].stewards, ALL);
		sign(&b, &t, cases[i].signers, cases[i].bad);
		assert_int_equal(nrs_note_parse(&note, b.p, b.len, NULL), 0);
		known = cases[i].known;
		if (nrs_statement_verify(prev, &next, &note, key_of, &known, nrs_verify) !=
		    cases[i].err)
			fail_msg("case %zu", i);
		nrs_statement_fini(&next);
	}

	/* failures that are no verdict go up */
	make(&next, &t, &s0, 1, JP, ALL);
	sign(&b, &t, JP | SG, 0);
	assert_int_equal(nrs_note_parse(&note, b.p, b.len, NULL), 0);
	known = ALL;
	assert_int_equal(
	    nrs_statement_verify(&s0, &next, &note, key_of, &known, verify_broken),
	    NRS_ECRYPTO);
	assert_int_equal(
	    nrs_statement_verify(NULL, &next, &note, key_of, &known, nrs_verify),
	    NRS_EORDER);
	/* a steward under another root key is another one */
	s0.stewards[0].root.b[0] ^= 1;
	assert_int_equal(
	    nrs_statement_verify(&s0, &next, &note, key_of, &known, nrs_verify), NRS_ESIG);
	s0.stewards[0].root.b[0] ^= 1;
	assert_int_equal(
	    nrs_statement_verify(&s0, &next, &note, key_of, &known, nrs_verify), 0);
	/* signatures under another text */
	next.hash.b[0] ^= 1;
	assert_int_equal(
	    nrs_statement_verify(&s0, &next, &note, key_of, &known, nrs_verify), NRS_ESIG);
	nrs_statement_fini(&next);
	nrs_statement_fini(&s0);
	nrs_buf_fini(&t);
	nrs_buf_fini(&b);
}

/* Every bit of a signed statement counts. */
static void
test_every_bit(void **state)
{
	struct nrs_statement s;
	unsigned int known = ALL;
	struct nrs_note note;
	struct nrs_buf t, b;
	int err;

	nrs_buf_init(&t, 65536);
	nrs_buf_init(&b, 65536);
	make(&s, &t, NULL, 1, JP, JP | SG);
	nrs_statement_fini(&s);
	sign(&b, &t, JP, 0);
	for (size_t i = 0; i <= b.len * 8; i++) {
		if (i > 0)
			b.p[(i - 1) / 8] ^= (uint8_t)(1 << (i - 1) % 8);
		err = nrs_note_parse(&note, b.p, b.len, NULL);
		if (err == 0) {
			err = nrs_statement_parse(&s, note.text.p, note.text.len, NULL);
			if (err == 0)
				err = nrs_statement_verify(
				    NULL, &s, &note, key_of, &known, nrs_verify);
			nrs_statement_fini(&s);
		}
		if (i > 0)
			b.p[(i - 1) / 8] ^= (uint8_t)(1 << (i - 1) % 8);
		assert_true(i == 0 ? err == 0 : err < 0);
	}
	nrs_buf_fini(&t);
	nrs_buf_fini(&b);
}

/* --- direct audiences --- */

static void
test_direct(void **state)
{
	struct nrs_buf b, again;
	struct nrs_hash id, want;
	struct nrs_direct dr;

	nrs_buf_init(&b, 65536);
	nrs_buf_init(&again, 65536);
	for (size_t i = 0; i < COUNT(direct_rows); i++) {
		struct nrs_detail d = { 0 };

		put_text(&b, direct_lines, COUNT(direct_lines), direct_rows[i].no,
		    direct_rows[i].other);
		assert_int_equal(nrs_direct_parse(&dr, b.p, b.len, &d), direct_rows[i].err);
		assert_int_equal(d.code, direct_rows[i].err);
		assert_int_equal(d.off, direct_rows[i].line);
		if (direct_rows[i].err != 0) {
			assert_null(dr.recipients);
			continue;
		}
		nrs_buf_reset(&again);
		assert_int_equal(nrs_direct_format(&again, &dr), 0);
		assert_int_equal(again.len, b.len);
		assert_memory_equal(again.p, b.p, b.len);
		nrs_direct_fini(&dr);
	}
	put_text(&b, direct_lines, 3, 0, NULL); /* nobody */
	assert_int_equal(nrs_direct_parse(&dr, b.p, b.len, NULL), NRS_ETRUNC);

	put_text(&b, direct_lines, COUNT(direct_lines), 0, NULL);
	assert_int_equal(nrs_direct_parse(&dr, b.p, b.len, NULL), 0);
	assert_int_equal(dr.n, 2);
	assert_string_equal(dr.recipients[1], "us.cert.example");
	nrs_buf_reset(&b);
	nrs_buf_str(&b, "noroshi/v1/direct");
	nrs_buf_zero(&b, 15);
	assert_int_equal(nrs_origin_id("jp.cert.example", 15, &id), 0);
	nrs_buf_hash(&b, &id);
	nrs_buf_put(&b, nonce, 32);
	nrs_buf_lstr(&b, "sg.cert.example", 15);
	nrs_buf_lstr(&b, "us.cert.example", 15);
	assert_int_equal(nrs_sha256(b.p, b.len, &want), 0);
	assert_memory_equal(&dr.id, &want, 32);
	memset(&dr.id, 0, sizeof(dr.id));
	assert_int_equal(nrs_direct_id(&dr), 0);
	assert_memory_equal(&dr.id, &want, 32);
	memcpy(dr.recipients[1], "sg.cert.example", 16);
	nrs_buf_reset(&again);
	assert_int_equal(nrs_direct_format(&again, &dr), NRS_EDUPLICATE);
	assert_int_equal(again.len, 0);
	nrs_direct_fini(&dr);
	nrs_direct_fini(NULL);
	nrs_buf_fini(&b);
	nrs_buf_fini(&again);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_form),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_community_id),
		cmocka_unit_test(test_cuts),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_follows),
		cmocka_unit_test(test_verify),
		cmocka_unit_test(test_every_bit),
		cmocka_unit_test(test_direct),
	};

	return cmocka_run_group_tests_name("record/statement", tests, setup, teardown);
}
