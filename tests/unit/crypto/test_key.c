/* Ed25519 keys: RFC 8032 vectors, weak keys, PEM files, certificates. */
#include "base/text.h"
#include "crypto/key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define SEED1 "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
#define PUB1  "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"

static void
unhex(const char *s, uint8_t *out, size_t len)
{
	assert_int_equal(nrs_hex_parse(s, strlen(s), out, len), 0);
}

static void
assert_hex(const uint8_t *p, size_t len, const char *want)
{
	char s[257];

	assert_true(len <= 128);
	nrs_hex_format(s, p, len);
	assert_string_equal(s, want);
}

static struct nrs_seckey *
key1(void)
{
	struct nrs_seckey *k;
	uint8_t seed[32];

	unhex(SEED1, seed, 32);
	assert_int_equal(nrs_seckey_from_seed(seed, &k), 0);
	return k;
}

static void
test_rfc8032(void **state)
{
	static const struct {
		const char *seed, *pub, *msg, *sig;
	} t[] = {
		{ SEED1, PUB1, "",
		    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bac"
		    "c61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b" },
		{ "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
		    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
		    "72",
		    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e"
		    "458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00" }
	};
	uint8_t seed[32], msg[1], sig[64];
	struct nrs_verifier *v;
	struct nrs_seckey *k;
	struct nrs_pubkey p;
	size_t i, j, len;

	for (i = 0; i < 2; i++) {
		len = strlen(t[i].msg) / 2;
		unhex(t[i].seed, seed, 32);
		unhex(t[i].msg, msg, len);
		assert_int_equal(nrs_seckey_from_seed(seed, &k), 0);
		nrs_seckey_public(k, &p);
		assert_hex(p.pub, 32, t[i].pub);
		assert_int_equal(nrs_seckey_sign(k, msg, len, sig), 0);
		assert_hex(sig, 64, t[i].sig);
		assert_int_equal(nrs_verify(1, p.pub, 32, msg, len, sig, 64), 0);
		/* the one that is kept says the same, and a bad one leaves no trace in it */
		assert_int_equal(nrs_verifier_new(1, p.pub, 32, &v), 0);
		for (j = 0; j < 64 * 8; j++) {
			sig[j / 8] ^= (uint8_t)(1 << j % 8);
			assert_int_equal(
			    nrs_verify(1, p.pub, 32, msg, len, sig, 64), NRS_ESIG);
			assert_int_equal(nrs_verifier_run(v, msg, len, sig, 64), NRS_ESIG);
			sig[j / 8] ^= (uint8_t)(1 << j % 8);
			assert_int_equal(nrs_verifier_run(v, msg, len, sig, 64), 0);
		}
		assert_int_equal(nrs_verifier_run(v, msg, len, sig, 63), NRS_ESIG);
		nrs_verifier_free(v);
		assert_int_equal(nrs_verifier_new(2, p.pub, 32, &v), NRS_ETYPE);
		assert_int_equal(nrs_verifier_new(1, p.pub, 31, &v), NRS_ETYPE);
		assert_null(v);
		assert_int_equal(
		    nrs_verify(1, p.pub, 32, (const uint8_t *)"no", 2, sig, 64), NRS_ESIG);
		assert_int_equal(nrs_verify(2, p.pub, 32, msg, len, sig, 64), NRS_ESIG);
		assert_int_equal(nrs_verify(1, p.pub, 31, msg, len, sig, 64), NRS_ESIG);
		assert_int_equal(nrs_verify(1, p.pub, 32, msg, len, sig, 63), NRS_ESIG);
		nrs_seckey_free(k);
	}
	nrs_seckey_free(NULL);
}

static void
test_public(void **state)
{
	static const char *const weak[] = {
		/* the points of order 1, 2, 4 and 8 */
		"0100000000000000000000000000000000000000000000000000000000000000",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"0000000000000000000000000000000000000000000000000000000000000000",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		/* y = p, p + 1, and the largest */
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	};
	uint8_t pub[32];
	struct nrs_pubkey p;
	struct nrs_hash h;
	size_t i;

	for (i = 0; i < sizeof(weak) / sizeof(weak[0]); i++) {
		unhex(weak[i], pub, 32);
		assert_int_equal(nrs_pubkey_init(&p, 1, pub, 32), NRS_EWEAKKEY);
		pub[31] |= 0x80;
		assert_int_equal(nrs_pubkey_init(&p, 1, pub, 32), NRS_EWEAKKEY);
	}
	/* p - 2 is an ordinary y */
	unhex("ebffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", pub, 32);
	assert_int_equal(nrs_pubkey_init(&p, 1, pub, 32), 0);
	unhex(PUB1, pub, 32);
	assert_int_equal(nrs_pubkey_init(&p, 2, pub, 32), NRS_ETYPE);
	assert_int_equal(nrs_pubkey_init(&p, 1, pub, 31), NRS_ESYNTAX);
	assert_int_equal(nrs_pubkey_init(&p, 1, pub, 32), 0);
	assert_hex(p.id, 8, "2368f25b44435e0e");
	assert_int_equal(nrs_rootkey_hash(&p, &h), 0);
	assert_hex(
	    h.b, 32, "84da4b8453dac20a647abdd74ac3d48d577d54cf0387eedc179a395e5058c1ce");
	assert_int_equal(nrs_tls_pin(&p, &h), 0);
	assert_hex(
	    h.b, 32, "06e3fd8fda29bb60ab59557de61edb0aecdb231134be30e75b455f8e1b792fa9");
}

static void
test_pem(void **state)
{
	static const char *const other[] = { /* the same kind of file, X25519 */
		"-----BEGIN PRIVATE KEY-----\n"
		"MC4CAQAwBQYDK2VuBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n"
		"-----END PRIVATE KEY-----\n",
		"", "-----BEGIN PRIVATE KEY-----\n", "garbage"
	};
	struct nrs_seckey *k = key1(), *back;
	struct nrs_pubkey a, b;
	char *pem, big[200];
	size_t len, i;

	nrs_seckey_public(k, &a);
	assert_int_equal(nrs_seckey_to_pem(k, NULL, &pem, &len), 0);
	assert_int_equal(strlen(pem), len);
	assert_int_equal(nrs_seckey_from_pem(pem, len, NULL, &back), 0);
	nrs_seckey_public(back, &b);
	assert_memory_equal(&a, &b, sizeof(a));
	nrs_seckey_free(back);
	/* a truncated file, but for its last newline, and one with something around it */
	for (i = 0; i < len - 1; i++) {
		assert_int_equal(nrs_seckey_from_pem(pem, i, NULL, &back), NRS_EKEY);
		assert_null(back);
	}
	memcpy(big, pem, len);
	big[len] = 'x';
	assert_int_equal(nrs_seckey_from_pem(big, len + 1, NULL, &back), NRS_EKEY);
	big[0] = '\n';
	memcpy(big + 1, pem, len);
	assert_int_equal(nrs_seckey_from_pem(big, len + 1, NULL, &back), NRS_EKEY);
	assert_int_equal(nrs_seckey_from_pem(pem, 1 << 20, NULL, &back), NRS_ELIMIT);
	for (i = 0; i < sizeof(other) / sizeof(other[0]); i++)
		assert_int_equal(
		    nrs_seckey_from_pem(other[i], strlen(other[i]), NULL, &back), NRS_EKEY);
	free(pem);
	nrs_seckey_free(k);
}

static void
test_pem_encrypted(void **state)
{
	struct nrs_seckey *k = NULL, *back;
	struct nrs_pubkey a, b;
	char *pem, *pem2, big[2000];
	size_t len;

	assert_int_equal(nrs_seckey_generate(&k), 0);
	nrs_seckey_public(k, &a);
	assert_int_equal(nrs_seckey_to_pem(k, "", &pem, &len), NRS_ERANGE);
	memset(big, 'p', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	assert_int_equal(nrs_seckey_to_pem(k, big, &pem, &len), NRS_ERANGE);
	assert_int_equal(nrs_seckey_to_pem(k, "correct horse", &pem, &len), 0);
	assert_int_equal(strncmp(pem, "-----BEGIN ENCRYPTED", 20), 0);
	assert_int_equal(nrs_seckey_from_pem(pem, len, NULL, &back), NRS_EKEY);
	assert_int_equal(nrs_seckey_from_pem(pem, len, "", &back), NRS_EKEY);
	assert_int_equal(nrs_seckey_from_pem(pem, len, "correct hors", &back), NRS_EKEY);
	assert_int_equal(nrs_seckey_from_pem(pem, len, big, &back), NRS_EKEY);
	assert_int_equal(nrs_seckey_from_pem(pem, len, "correct horse", &back), 0);
	nrs_seckey_public(back, &b);
	assert_memory_equal(&a, &b, sizeof(a));
	/* fresh salt and IV each time */
	assert_int_equal(nrs_seckey_to_pem(k, "correct horse", &pem2, &len), 0);
	assert_string_not_equal(pem, pem2);
	free(pem2);
	free(pem);
	nrs_seckey_free(back);
	nrs_seckey_free(k);
}

static bool
holds(const uint8_t *p, size_t len, const char *s)
{
	return memmem(p, len, s, strlen(s)) != NULL;
}

static void
test_cert(void **state)
{
	struct nrs_seckey *k = key1();
	uint8_t *der, *again, spki[44];
	char name[200];
	size_t len, len2;

	assert_int_equal(nrs_tls_cert(k, "jp.cert.example", &der, &len), 0);
	assert_true(holds(der, len, "jp.cert.example"));
	assert_true(holds(der, len, "700101000000Z"));
	assert_true(holds(der, len, "99991231235959Z"));
	unhex("302a300506032b6570032100" PUB1, spki, 44);
	assert_non_null(memmem(der, len, spki, 44));
	/* SEQUENCE { TBSCertificate, 7 bytes of algorithm, BIT STRING (3 bytes and 64) } */
	assert_int_equal(der[0], 0x30);
	assert_int_equal(der[1], 0x81);
	assert_int_equal(
	    nrs_verify(1, spki + 12, 32, der + 3, len - 3 - 64 - 3 - 7, der + len - 64, 64),
	    0);
	assert_int_equal(nrs_tls_cert(k, "jp.cert.example", &again, &len2), 0);
	assert_int_equal(len, len2);
	assert_memory_equal(der, again, len);
	free(again);
	free(der);
	/* 64 characters at most, of any length in bytes */
	memset(name, 'a', 100);
	name[100] = '\0';
	assert_int_equal(nrs_tls_cert(k, name, &der, &len), 0);
	name[65] = '\0';
	assert_false(holds(der, len, name));
	name[64] = '\0';
	assert_true(holds(der, len, name));
	free(der);
	assert_int_equal(nrs_tls_cert(k, "", &der, &len), NRS_ERANGE);
	assert_int_equal(nrs_tls_cert(k, "a\xff", &der, &len), NRS_EUTF8);
	assert_null(der);
	nrs_seckey_free(k);
}

/* A certificate of P-256, whose pin openssl(1) told, and one of P-521. */
static const char p256[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBczCCARmgAwIBAgIUY6q7S72D7s2Vz5OX3OpxJwCsNzEwCgYIKoZIzj0EAwIw\n"
    "DjEMMAoGA1UEAwwDc29jMCAXDTI2MTEyMjE4MjYxN1oYDzIxMDkwMTExMTgyNjE3\n"
    "WjAOMQwwCgYDVQQDDANzb2MwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQXnQh3\n"
    "dVMuarjuA8mbRiPRbumOf6PEMXJRNhkatx+2jzuTDkgEOhKYBgmN/Xb6hfwc4l1O\n"
    "nlGuToTrHvQ7FlTuo1MwUTAdBgNVHQ4EFgQUjDTS/6GASQnzGqUvwOFLmGG/3Psw\n"
    "HwYDVR0jBBgwFoAUjDTS/6GASQnzGqUvwOFLmGG/3PswDwYDVR0TAQH/BAUwAwEB\n"
    "/zAKBggqhkjOPQQDAgNIADBFAiEA6uf0qx/sf954v8E5nDEZRQKI+Dhlknm2mzmR\n"
    "Y62IzIsCIGuoQLiVAUmtYCSkmuWqOdPdKD0r6JbwLfT7VtihSUEK\n"
    "-----END CERTIFICATE-----\n";
static const char p521[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIB9zCCAVigAwIBAgIUPl9RqgQw82nkvyYwAjdMlHxVD2UwCgYIKoZIzj0EAwIw\n"
    "DDEKMAgGA1UEAwwBczAgFw0yNjExMjIxODI2MTdaGA8yMTA5MDExMTE4MjYxN1ow\n"
    "DDEKMAgGA1UEAwwBczCBmzAQBgcqhkjOPQIBBgUrgQQAIwOBhgAEAdyN8Dy4bUVB\n"
    "IOOHKXwNRaxQTUfbyHZ76QyYaWWCi1VRmBoMmKC9EDKKwpEK1Ba5HUb4+bM/Wn1T\n"
    "8RsDlT9uoiOWAf1RCDo8X0YtTH3E+tyqYfhdWjCZIoxPbSo+kAOug9WPmBif6iDb\n"
    "SepurlLPsruslIXCm6I3VHOvAwoTtVJyp8z7o1MwUTAdBgNVHQ4EFgQUXLZdiAbH\n"
    "ap4H5uYE+wqra5QJh6wwHwYDVR0jBBgwFoAUXLZdiAbHap4H5uYE+wqra5QJh6ww\n"
    "DwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgOBjAAwgYgCQgE7Q/dsNS2OQ4hI\n"
    "xGS8L8n8SUPaFPE5zJfdIOujUK2NYLz4ZZf/NpZgJM5m3zXmg9DmXdwM2YgFFjUY\n"
    "u9NO27qpOAJCAPL/ke4JC8FgqUn4v2xUKablTt7UCphKKP34mY+/5zw5Z27PijtA\n"
    "GZVXHmJ9UewZ86UlSg/J8FeooOIm+uhjB5+L\n"
    "-----END CERTIFICATE-----\n";
static const char p256_pin[] = "9e06f2b678b36808fdb8517897964bc8"
			       "9b8db1aec58c2126c77907f375a8f025";

static void
test_pin(void **state)
{
	struct nrs_hash pin, want;
	struct nrs_seckey *k;
	struct nrs_pubkey pub;
	size_t der_len, len;
	uint8_t *der;
	char *pem, hex[65];

	assert_int_equal(nrs_seckey_generate(&k), 0);
	nrs_seckey_public(k, &pub);
	assert_int_equal(nrs_tls_cert(k, "soc", &der, &der_len), 0);
	assert_int_equal(nrs_cert_to_pem(der, der_len, &pem, &len), 0);
	assert_int_equal(nrs_cert_pin(pem, len, &pin), 0);
	assert_int_equal(nrs_tls_pin(&pub, &want), 0);
	assert_memory_equal(pin.b, want.b, sizeof(pin.b));
	for (size_t i = 0; i < len - 1; i += 7)
		assert_int_equal(nrs_cert_pin(pem, i, &pin), NRS_ESYNTAX);
	free(pem);
	assert_int_equal(nrs_cert_to_pem(der, der_len - 1, &pem, &len), NRS_ESYNTAX);
	assert_null(pem);
	assert_int_equal(nrs_cert_pin(p256, strlen(p256), &pin), 0);
	for (unsigned int i = 0; i < 32; i++)
		snprintf(hex + 2 * i, 3, "%02x", pin.b[i]);
	assert_string_equal(hex, p256_pin);
	assert_int_equal(nrs_cert_pin(p521, strlen(p521), &pin), NRS_EKEY);
	free(der);
	nrs_seckey_free(k);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rfc8032),
		cmocka_unit_test(test_public),
		cmocka_unit_test(test_pem),
		cmocka_unit_test(test_pem_encrypted),
		cmocka_unit_test(test_cert),
		cmocka_unit_test(test_pin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
