/* Manifests, addresses, invites. */
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
#include "record/manifest.h"
#include "record/record.h"

/* root of 0, root of 1, root of 2, feed, log, witness, tls, next tls */
#define NKEYS 8
static struct nrs_seckey *sec[NKEYS];
static struct nrs_pubkey pub[NKEYS];
static char b64[NKEYS][NRS_B64_LEN(32) + 1];

static int
setup(void **state)
{
	for (uint8_t i = 0; i < NKEYS; i++) {
		uint8_t seed[32] = { 0x40, i };

		if (nrs_seckey_from_seed(seed, &sec[i]) != 0)
			return -1;
		nrs_seckey_public(sec[i], &pub[i]);
		nrs_b64_format(b64[i], pub[i].pub, 32);
	}
	return 0;
}

static int
teardown(void **state)
{
	for (int i = 0; i < NKEYS; i++)
		nrs_seckey_free(sec[i]);
	return 0;
}

static struct nrs_manifest
sample(void)
{
	struct nrs_manifest m = { .origin = "jp.cert.example",
		.created = { 1795358460000 },
		.root = pub[0],
		.feed = pub[3],
		.log = pub[4],
		.witness = pub[5],
		.tls = { pub[6], pub[7] },
		.ntls = 2,
		.require_ed25519 = true,
		.addr = { "jp.cert.example:7443", "[2001:db8::1]:7443" },
		.naddr = 2 };

	assert_int_equal(nrs_rootkey_hash(&pub[1], &m.next_root), 0);
	return m;
}

/* The text of sample() by lines, with %K0..%K7 for keys and %N for next-root. */
static const char *const lines[] = { "noroshi/v1/manifest", "origin jp.cert.example",
	"number 0", "previous -", "created 2026-11-22T14:41:00Z", "root ed25519 %K0",
	"next-root %N", "key feed ed25519 %K3", "key log ed25519 %K4",
	"key witness ed25519 %K5", "key tls ed25519 %K6", "key tls ed25519 %K7",
	"require ed25519", "address jp.cert.example:7443", "address [2001:db8::1]:7443" };
#define NLINES (sizeof(lines) / sizeof(lines[0]))

static void
put_line(struct nrs_buf *b, const char *s)
{
	char next[NRS_B64_LEN(32) + 1];
	struct nrs_manifest m;

	for (; *s != '\0'; s++) {
		if (s[0] == '%' && s[1] == 'K') {
			nrs_buf_str(b, b64[s[2] - '0']);
			s += 2;
		} else if (s[0] == '%' && s[1] == 'N') {
			m = sample();
			nrs_b64_format(next, m.next_root.b, 32);
			nrs_buf_str(b, next);
			s++;
		} else {
			nrs_buf_u8(b, (uint8_t)*s);
		}
	}
	nrs_buf_u8(b, '\n');
}

/* The text with line no (from 1) replaced by other (NULL: left out; 0: nothing replaced). */
static void
put_text(struct nrs_buf *b, size_t no, const char *other)
{
	nrs_buf_reset(b);
	for (size_t i = 0; i < NLINES; i++) {
		if (i + 1 != no)
			put_line(b, lines[i]);
		else if (other != NULL)
			put_line(b, other);
	}
	assert_int_equal(b->err, 0);
}

static void
test_text(void **state)
{
	struct nrs_manifest m = sample(), r;
	struct nrs_hash pin, hash, id;
	struct nrs_buf a, b;

	nrs_buf_init(&a, 65536);
	nrs_buf_init(&b, 65536);
	put_text(&a, 0, NULL);
	nrs_buf_str(&b, "before");
	assert_int_equal(nrs_manifest_format(&b, &m), 0);
	assert_int_equal(b.len - 6, a.len);
	assert_memory_equal(b.p + 6, a.p, a.len);
	assert_int_equal(nrs_manifest_parse(&r, a.p, a.len, NULL), 0);
	assert_string_equal(r.origin, "jp.cert.example");
	assert_int_equal(r.number, 0);
	assert_int_equal(r.created.ms, m.created.ms);
	assert_memory_equal(r.root.pub, m.root.pub, 32);
	assert_memory_equal(r.root.id, m.root.id, NRS_KEYID_LEN);
	assert_memory_equal(&r.next_root, &m.next_root, 32);
	assert_memory_equal(r.feed.pub, m.feed.pub, 32);
	assert_memory_equal(r.log.pub, m.log.pub, 32);
	assert_memory_equal(r.witness.pub, m.witness.pub, 32);
	assert_int_equal(r.ntls, 2);
	for (int i = 0; i < 2; i++) {
		assert_memory_equal(r.tls[i].pub, m.tls[i].pub, 32);
		assert_int_equal(nrs_tls_pin(&m.tls[i], &pin), 0);
		assert_memory_equal(&r.tls_pin[i], &pin, 32);
	}
	assert_int_equal(r.naddr, 2);
	assert_string_equal(r.addr[0], m.addr[0]);
	assert_string_equal(r.addr[1], m.addr[1]);
	assert_true(r.require_ed25519);
	assert_int_equal(nrs_sha256_label("noroshi/v1/manifest", a.p, a.len, &hash), 0);
	assert_memory_equal(&r.hash, &hash, 32);
	assert_int_equal(nrs_origin_id("jp.cert.example", 15, &id), 0);
	assert_memory_equal(&r.origin_id, &id, 32);
	nrs_buf_fini(&a);
	nrs_buf_fini(&b);
}

static void
test_form(void **state)
{
	static const struct {
		size_t no;
		const char *other;
		int err;
		uint64_t line;
	} rows[] = {
		{ 1, "noroshi/v2/manifest", NRS_EMAGIC, 1 },
		{ 1, "noroshi/v1/membership", NRS_EMAGIC, 1 },
		{ 1, NULL, NRS_EMAGIC, 1 },
		{ 2, NULL, NRS_ESYNTAX, 2 },
		{ 2, "origin", NRS_ESYNTAX, 2 },
		{ 2, "origin ", NRS_ESYNTAX, 2 },
		{ 2, "origin  jp.cert.example", NRS_ESYNTAX, 2 },
		{ 2, "origin jp.cert.example ", NRS_ESYNTAX, 2 },
		{ 2, "origin JP.cert.example", NRS_ESYNTAX, 2 },
		{ 2, "origin example", NRS_ESYNTAX, 2 },
		{ 2, "origin jp.cert.example\r", NRS_ESYNTAX, 2 },
		{ 3, "number 00", NRS_ESYNTAX, 3 },
		{ 3, "number -1", NRS_ESYNTAX, 3 },
		{ 3, "number 18446744073709551616", NRS_ERANGE, 3 },
		{ 3, "number 1", NRS_ESYNTAX, 4 }, /* then previous is not "-" */
		{ 4, "previous %N", NRS_ESYNTAX, 4 },
		{ 4, "previous --", NRS_ESYNTAX, 4 },
		{ 5, "created 2026-11-22T14:41:00.000Z", NRS_ESYNTAX, 5 },
		{ 5, "created 2026-11-22T15:41:00+01:00", NRS_ESYNTAX, 5 },
		{ 5, "created 2026-02-30T14:41:00Z", NRS_ESYNTAX, 5 },
		{ 5, "created yesterday", NRS_ESYNTAX, 5 },
		{ 6, "root ed448 %K0", NRS_EALG, 6 },
		{ 6, "root %K0", NRS_ESYNTAX, 6 },
		{ 6, "root ed25519 ", NRS_ESYNTAX, 6 },
		{ 6, "root ed25519 %K0 ", NRS_ESYNTAX, 6 },
		{ 6, "root ed25519  %K0", NRS_ESYNTAX, 6 },
		{ 6, "root ed25519 AAAA", NRS_ESYNTAX, 6 },
		/* small order: the neutral element, and a point of order 4 */
		{ 6, "root ed25519 AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		    NRS_EWEAKKEY, 6 },
		{ 8, "key feed ed25519 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		    NRS_EWEAKKEY, 8 },
		{ 9, "key log ed25519 //////////////////////////////////////////8=",
		    NRS_EWEAKKEY, 9 },
		{ 7, "next-root -", NRS_ESYNTAX, 7 },
		{ 7, "next-root ed25519 %N", NRS_ESYNTAX, 7 },
		{ 7, NULL, NRS_ESYNTAX, 7 },
		{ 8, "key log ed25519 %K3", NRS_ESYNTAX, 8 },
		{ 8, NULL, NRS_ESYNTAX, 8 },
		{ 8, "key feed ed25519 %K0", NRS_EDUPLICATE, 8 },
		{ 9, "key log ed25519 %K3", NRS_EDUPLICATE, 9 },
		{ 9, "key feed ed25519 %K4", NRS_ESYNTAX, 9 },
		{ 10, "key witness ed25519 %K4", NRS_EDUPLICATE, 10 },
		{ 11, "key tls ed25519 %K5", NRS_EDUPLICATE, 11 },
		{ 12, "key tls ed25519 %K6", NRS_EDUPLICATE, 12 },
		{ 12, "key tls ed25519 %K0", NRS_EDUPLICATE, 12 },
		{ 12, NULL, 0, 0 },				/* one TLS key is enough */
		{ 13, "key tls ed25519 %K1", NRS_ESYNTAX, 13 }, /* a third one */
		{ 13, NULL, NRS_ESYNTAX, 13 },
		{ 13, "require ml-dsa-65", NRS_EALG, 13 },
		{ 14, "require ed25519", NRS_EDUPLICATE, 14 },
		{ 14, "require ecdsa-p384", NRS_EALG, 14 },
		{ 14, "address jp.cert.example", NRS_ESYNTAX, 14 },
		{ 14, "address jp.cert.example:0", NRS_ERANGE, 14 },
		{ 14, "address jp.cert.example:65536", NRS_ERANGE, 14 },
		{ 14, "address [2001:db8::1]:7443", NRS_EDUPLICATE, 15 },
		{ 14, "addresses x:1", NRS_ETRAILING, 14 },
		{ 14, "", NRS_ETRAILING, 14 },
		{ 15, "note hello", NRS_ETRAILING, 15 },
		{ 15, NULL, 0, 0 },
	};
	struct nrs_manifest m;
	struct nrs_buf b;

	nrs_buf_init(&b, 65536 * 2);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct nrs_detail d = { 0 };

		put_text(&b, rows[i].no, rows[i].other);
		assert_int_equal(nrs_manifest_parse(&m, b.p, b.len, &d), rows[i].err);
		assert_int_equal(d.code, rows[i].err);
		assert_int_equal(d.off, rows[i].line);
	}
	put_text(&b, 0, NULL);
	for (int i = 0; i < 7; i++)
		nrs_buf_fmt(&b, "address jp%d.cert.example:1\n", i);
	assert_int_equal(nrs_manifest_parse(&m, b.p, b.len, NULL), NRS_ELIMIT);
	b.len -= strlen("address jp0.cert.example:1\n");
	assert_int_equal(nrs_manifest_parse(&m, b.p, b.len, NULL), 0);
	assert_int_equal(m.naddr, NRS_ADDRS_MAX);
	nrs_buf_zero(&b, NRS_NOTE_MAX);
	assert_int_equal(nrs_manifest_parse(&m, b.p, b.len, NULL), NRS_ELIMIT);
	nrs_buf_fini(&b);
}

/* Complete after require and after each address only. */
static void
test_cuts(void **state)
{
	struct nrs_manifest m;
	unsigned int good = 0;
	struct nrs_buf b;
	uint8_t *cut;

	nrs_buf_init(&b, 65536);
	put_text(&b, 0, NULL);
	for (size_t len = 0; len <= b.len; len++) {
		assert_non_null(cut = malloc(len + 1)); /* exact, for the sanitizer */
		memcpy(cut, b.p, len);
		cut = realloc(cut, len > 0 ? len : 1);
		assert_non_null(cut);
		good += nrs_manifest_parse(&m, cut, len, NULL) == 0;
		free(cut);
	}
	assert_int_equal(good, 3);
	nrs_buf_fini(&b);
}

static void
test_format_refuses(void **state)
{
	struct nrs_manifest m = sample();
	struct nrs_buf b;

	nrs_buf_init(&b, 65536);
	m.ntls = 3;
	assert_int_equal(nrs_manifest_format(&b, &m), NRS_ERANGE);
	m = sample();
	m.naddr = 9;
	assert_int_equal(nrs_manifest_format(&b, &m), NRS_ERANGE);
	m = sample();
	m.require_ed25519 = false;
	assert_int_equal(nrs_manifest_format(&b, &m), NRS_ESYNTAX);
	m = sample();
	m.log = m.feed;
	assert_int_equal(nrs_manifest_format(&b, &m), NRS_EDUPLICATE);
	m = sample();
	memcpy(m.origin, "x\ny", 4);
	assert_int_equal(nrs_manifest_format(&b, &m), NRS_ESYNTAX);
	assert_int_equal(b.len, 0);
	nrs_buf_fini(&b);
	nrs_buf_init(&b, 100);
	m = sample();
	assert_int_equal(nrs_manifest_format(&b, &m), NRS_ELIMIT);
	nrs_buf_fini(&b);
}

/* --- notes and succession --- */

static void
make_note(struct nrs_buf *b, const struct nrs_manifest *m, struct nrs_seckey *by)
{
	uint8_t sig[NRS_ED25519_SIG], id[4];
	char name[NRS_ORIGIN_MAX + 8];
	struct nrs_pubkey k;

	snprintf(name, sizeof(name), "%s/root", m->origin);
	nrs_seckey_public(by, &k);
	nrs_buf_reset(b);
	assert_int_equal(nrs_manifest_format(b, m), 0);
	assert_int_equal(nrs_seckey_sign(by, b->p, b->len, sig), 0);
	assert_int_equal(nrs_note_keyid(name, NRS_NOTE_ED25519, k.pub, id), 0);
	nrs_buf_u8(b, '\n');
	nrs_note_add_sig(b, name, id, sig, sizeof(sig));
	assert_int_equal(b->err, 0);
}

static struct nrs_manifest
second(const struct nrs_manifest *m0)
{
	struct nrs_manifest m = sample();

	m.number = 1;
	m.previous = m0->hash;
	m.root = pub[1];
	assert_int_equal(nrs_rootkey_hash(&pub[2], &m.next_root), 0);
	return m;
}

static void
test_open(void **state)
{
	struct nrs_manifest m = sample(), r;
	struct nrs_buf b;

	nrs_buf_init(&b, 65536);
	make_note(&b, &m, sec[0]);
	assert_int_equal(nrs_manifest_open(&r, b.p, b.len, NULL, nrs_verify, NULL), 0);
	for (size_t i = 0; i < b.len; i++) {
		assert_true(nrs_manifest_open(&r, b.p, i, NULL, nrs_verify, NULL) < 0);
		for (int bit = 0; bit < 8; bit++) {
			b.p[i] ^= (uint8_t)(1 << bit);
			assert_true(
			    nrs_manifest_open(&r, b.p, b.len, NULL, nrs_verify, NULL) < 0);
			b.p[i] ^= (uint8_t)(1 << bit);
		}
	}
	make_note(&b, &m, sec[1]);
	assert_int_equal(
	    nrs_manifest_open(&r, b.p, b.len, NULL, nrs_verify, NULL), NRS_EKEY);
	nrs_buf_fini(&b);
}

static void
test_succession(void **state)
{
	struct nrs_manifest m0 = sample(), m1, m, r;
	struct nrs_buf b;

	nrs_buf_init(&b, 65536);
	make_note(&b, &m0, sec[0]);
	assert_int_equal(nrs_manifest_open(&m0, b.p, b.len, NULL, nrs_verify, NULL), 0);
	assert_int_equal(
	    nrs_manifest_open(&r, b.p, b.len, &m0, nrs_verify, NULL), NRS_EORDER);
	m1 = second(&m0);
	make_note(&b, &m1, sec[1]);
	assert_int_equal(nrs_manifest_open(&r, b.p, b.len, &m0, nrs_verify, NULL), 0);
	assert_int_equal(
	    nrs_manifest_open(&m, b.p, b.len, NULL, nrs_verify, NULL), NRS_EORDER);
	assert_int_equal(
	    nrs_manifest_open(&m, b.p, b.len, &r, nrs_verify, NULL), NRS_EORDER);

	m = m1; /* the old root signs on */
	m.root = pub[0];
	make_note(&b, &m, sec[0]);
	assert_int_equal(
	    nrs_manifest_open(&r, b.p, b.len, &m0, nrs_verify, NULL), NRS_EKEY);
	m = m1;
	m.previous.b[0] ^= 1;
	make_note(&b, &m, sec[1]);
	assert_int_equal(
	    nrs_manifest_open(&r, b.p, b.len, &m0, nrs_verify, NULL), NRS_EORDER);
	m = m1;
	m.number = 2;
	make_note(&b, &m, sec[1]);
	assert_int_equal(
	    nrs_manifest_open(&r, b.p, b.len, &m0, nrs_verify, NULL), NRS_EORDER);
	m = m1;
	memcpy(m.origin, "sg.cert.example", 16);
	make_note(&b, &m, sec[1]);
	assert_int_equal(
	    nrs_manifest_open(&r, b.p, b.len, &m0, nrs_verify, NULL), NRS_EORIGIN);
	m = sample(); /* another manifest 0 */
	m.naddr = 1;
	make_note(&b, &m, sec[0]);
	assert_int_equal(
	    nrs_manifest_open(&r, b.p, b.len, &m0, nrs_verify, NULL), NRS_EFORK);
	nrs_buf_fini(&b);
}

/* --- addresses --- */

static void
test_addr(void **state)
{
	static const struct {
		const char *text;
		int err;
		const char *host;
		uint16_t port;
	} rows[] = {
		{ "jp.cert.example:7443", 0, "jp.cert.example", 7443 },
		{ "localhost:1", 0, "localhost", 1 },
		{ "a-b.9c:65535", 0, "a-b.9c", 65535 },
		{ "192.0.2.1:80", 0, "192.0.2.1", 80 },
		{ "[::]:80", 0, "::", 80 },
		{ "[::1]:80", 0, "::1", 80 },
		{ "[2001:db8:0:1:2:3:4:5]:80", 0, "2001:db8:0:1:2:3:4:5", 80 },
		{ "[2001:db8::]:80", 0, "2001:db8::", 80 },
		{ "[::ffff:192.0.2.1]:80", 0, "::ffff:192.0.2.1", 80 },
		{ "[1:2:3:4:5:6:192.0.2.1]:80", 0, "1:2:3:4:5:6:192.0.2.1", 80 },
		{ "", NRS_ESYNTAX, NULL, 0 },
		{ ":80", NRS_ESYNTAX, NULL, 0 },
		{ "host", NRS_ESYNTAX, NULL, 0 },
		{ "host:", NRS_ESYNTAX, NULL, 0 },
		{ "host:0", NRS_ERANGE, NULL, 0 },
		{ "host:080", NRS_ESYNTAX, NULL, 0 },
		{ "host:65536", NRS_ERANGE, NULL, 0 },
		{ "host:80 ", NRS_ESYNTAX, NULL, 0 },
		{ "ho st:80", NRS_ESYNTAX, NULL, 0 },
		{ "-host:80", NRS_ESYNTAX, NULL, 0 },
		{ "host-:80", NRS_ESYNTAX, NULL, 0 },
		{ "host.:80", NRS_ESYNTAX, NULL, 0 },
		{ ".host:80", NRS_ESYNTAX, NULL, 0 },
		{ "ho_st:80", NRS_ESYNTAX, NULL, 0 },
		{ "192.0.2:80", NRS_ESYNTAX, NULL, 0 },
		{ "192.0.2.256:80", NRS_ESYNTAX, NULL, 0 },
		{ "192.0.2.01:80", NRS_ESYNTAX, NULL, 0 },
		{ "192.0.2.1.5:80", NRS_ESYNTAX, NULL, 0 },
		{ "2130706433:80", NRS_ESYNTAX, NULL, 0 },
		{ "host.1:80", NRS_ESYNTAX, NULL, 0 },
		{ "::1:80", NRS_ESYNTAX, NULL, 0 },
		{ "[::1]", NRS_ESYNTAX, NULL, 0 },
		{ "[::1:80", NRS_ESYNTAX, NULL, 0 },
		{ "[::1]80", NRS_ESYNTAX, NULL, 0 },
		{ "[]:80", NRS_ESYNTAX, NULL, 0 },
		{ "[:]:80", NRS_ESYNTAX, NULL, 0 },
		{ "[:::]:80", NRS_ESYNTAX, NULL, 0 },
		{ "[1::2::3]:80", NRS_ESYNTAX, NULL, 0 },
		{ "[1:2:3:4:5:6:7]:80", NRS_ESYNTAX, NULL, 0 },
		{ "[1:2:3:4:5:6:7:8:9]:80", NRS_ESYNTAX, NULL, 0 },
		{ "[1:2:3:4:5:6:7:8::]:80", NRS_ESYNTAX, NULL, 0 },
		{ "[1:2:3:4:5:6:7:]:80", NRS_ESYNTAX, NULL, 0 },
		{ "[1:2:3:4:5:6:7:192.0.2.1]:80", NRS_ESYNTAX, NULL, 0 },
		{ "[12345::]:80", NRS_ESYNTAX, NULL, 0 },
		{ "[g::]:80", NRS_ESYNTAX, NULL, 0 },
		{ "[fe80::1%eth0]:80", NRS_ESYNTAX, NULL, 0 },
		{ "[192.0.2.1]:80", NRS_ESYNTAX, NULL, 0 },
		{ "[host]:80", NRS_ESYNTAX, NULL, 0 },
	};
	char host[NRS_ORIGIN_MAX + 1], big[400];
	uint16_t port;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int err = nrs_addr_parse(rows[i].text, strlen(rows[i].text), host, &port);

		if (err != rows[i].err)
			print_error("address %s\n", rows[i].text);
		assert_int_equal(err, rows[i].err);
		if (err != 0)
			continue;
		assert_string_equal(host, rows[i].host);
		assert_int_equal(port, rows[i].port);
	}
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = i % 2 ? '.' : 'a';
	memcpy(big + 253, ":65535", 7);
	assert_int_equal(nrs_addr_parse(big, 259, host, &port), 0);
	memcpy(big + 253, ".a:65535", 8);
	assert_int_equal(nrs_addr_parse(big, 261, host, &port), NRS_ESYNTAX);
}

/* --- invites --- */

struct seen {
	unsigned int n;
	unsigned int stop_at;
	char text[64];
};

static int
see(void *arg, const uint8_t *note, size_t len)
{
	struct seen *s = arg;
	size_t have = strlen(s->text);

	if (have + len + 2 < sizeof(s->text)) {
		memcpy(s->text + have, note, len);
		memcpy(s->text + have + len, "|", 2);
	}
	return ++s->n == s->stop_at ? NRS_ECANCELED : 0;
}

static void
test_invite(void **state)
{
	static const struct {
		const char *file;
		int err;
		uint64_t line;
		const char *seen;
	} rows[] = {
		{ "a\nb\n", 0, 0, "a\nb\n|" },
		{ "-----\na\nb\n", 0, 0, "a\nb\n|" },
		{ "a\n-----\nb\n-----\nc\n", 0, 0, "a\n|b\n|c\n|" },
		{ "-----\na\n-----\nb\n", 0, 0, "a\n|b\n|" },
		{ "a\n------\nb\n", 0, 0, "a\n------\nb\n|" },
		{ "", NRS_ETRUNC, 1, "" },
		{ "-----\n", NRS_ESYNTAX, 2, "" },
		{ "a\n-----\n", NRS_ESYNTAX, 3, "" },
		{ "a\n-----\n-----\nb\n", NRS_ESYNTAX, 3, "" },
		{ "a", NRS_ETRUNC, 1, "" },
		{ "a\n-----\nb", NRS_ETRUNC, 3, "" },
		{ "a\n-----", NRS_ETRUNC, 2, "" },
	};
	struct nrs_buf b;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const uint8_t *p = (const uint8_t *)rows[i].file;
		struct nrs_detail d = { 0 };
		struct seen s = { 0 };

		assert_int_equal(
		    nrs_invite_walk(p, strlen(rows[i].file), see, &s, &d), rows[i].err);
		assert_int_equal(d.off, rows[i].line);
		assert_string_equal(s.text, rows[i].seen);
	}
	nrs_buf_init(&b, 2 * NRS_INVITE_MAX);
	for (int i = 0; i < 4096; i++)
		nrs_invite_add(&b, (const uint8_t *)"x\n", 2);
	struct seen s = { 0 };
	assert_int_equal(nrs_invite_walk(b.p, b.len, see, &s, NULL), 0);
	assert_int_equal(s.n, 4096);
	s = (struct seen){ .stop_at = 7 };
	assert_int_equal(nrs_invite_walk(b.p, b.len, see, &s, NULL), NRS_ECANCELED);
	assert_int_equal(s.n, 7);
	nrs_invite_add(&b, (const uint8_t *)"x\n", 2);
	s = (struct seen){ 0 };
	assert_int_equal(nrs_invite_walk(b.p, b.len, see, &s, NULL), NRS_ELIMIT);
	nrs_buf_reset(&b);
	while (b.len <= NRS_NOTE_MAX)
		nrs_buf_str(&b, "x\n");
	assert_int_equal(nrs_invite_walk(b.p, b.len, see, &s, NULL), NRS_ELIMIT);
	while (b.len <= NRS_INVITE_MAX)
		nrs_invite_add(&b,
		    (const uint8_t *)"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
				     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
				     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
				     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
				     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
				     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
				     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
				     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n",
		    256);
	assert_int_equal(nrs_invite_walk(b.p, b.len, see, &s, NULL), NRS_ELIMIT);
	assert_int_equal(s.n, 0);
	nrs_buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_form),
		cmocka_unit_test(test_cuts),
		cmocka_unit_test(test_format_refuses),
		cmocka_unit_test(test_open),
		cmocka_unit_test(test_succession),
		cmocka_unit_test(test_addr),
		cmocka_unit_test(test_invite),
	};

	return cmocka_run_group_tests_name("record/manifest", tests, setup, teardown);
}
