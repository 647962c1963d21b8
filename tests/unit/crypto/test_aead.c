/* Digests, derived keys and sealing, against published or independent vectors. */
#include "base/text.h"
#include "crypto/aead.h"
#include "crypto/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void
assert_hex(const uint8_t *p, size_t len, const char *want)
{
	char s[257];

	assert_true(len <= 128);
	nrs_hex_format(s, p, len);
	assert_string_equal(s, want);
}

static void
test_sha256(void **state)
{
	/* FIPS 180-4 examples */
	static const struct {
		const char *in;
		const char *want;
	} t[] = { { "",
		      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
		{ "abc",
		    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" } };
	struct nrs_digest *d = nrs_digest_new();
	struct nrs_hash h;
	size_t i, j;

	assert_non_null(d);
	for (i = 0; i < 3; i++) {
		assert_int_equal(nrs_sha256(t[i].in, strlen(t[i].in), &h), 0);
		assert_hex(h.b, 32, t[i].want);
		nrs_digest_begin(d);
		for (j = 0; j < strlen(t[i].in); j++)
			nrs_digest_add(d, t[i].in + j, 1);
		assert_int_equal(nrs_digest_end(d, &h), 0);
		assert_hex(h.b, 32, t[i].want);
	}
	assert_int_equal(nrs_sha256(NULL, 0, &h), 0);
	assert_hex(h.b, 32, t[0].want);
	nrs_digest_begin(d);
	for (i = 0; i < 1000; i++)
		nrs_digest_add(d,
		    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		    "aaaaaaaaaaaa",
		    100);
	for (i = 0; i < 9; i++)
		for (j = 0; j < 100000; j += 8)
			nrs_digest_add(d, "aaaaaaaa", 8);
	assert_int_equal(nrs_digest_end(d, &h), 0);
	assert_hex(
	    h.b, 32, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
	nrs_digest_free(d);
	nrs_digest_free(NULL);
}

static void
test_label(void **state)
{
	const char *want =
	    "0e2d05ec98ff48ee5f096702c25740d6002bf8d5a5e4e1c9b9cfa787bd64191f";
	const char *longest = "0123456789abcdef0123456789abcdef";
	struct nrs_digest *d = nrs_digest_new();
	struct nrs_hash h, g;

	assert_int_equal(nrs_sha256_label("noroshi/v1/leaf", "abc", 3, &h), 0);
	assert_hex(h.b, 32, want);
	nrs_digest_label(d, "noroshi/v1/leaf");
	nrs_digest_add(d, "abc", 3);
	assert_int_equal(nrs_digest_end(d, &g), 0);
	assert_true(nrs_hash_eq(&h, &g));
	g.b[31] ^= 1;
	assert_false(nrs_hash_eq(&h, &g));
	/* integers are big-endian */
	nrs_digest_begin(d);
	nrs_digest_u32(d, 0x30313233);
	nrs_digest_u64(d, 0x3435363738396162ull);
	assert_int_equal(nrs_digest_end(d, &h), 0);
	assert_int_equal(nrs_sha256("0123456789ab", 12, &g), 0);
	assert_true(nrs_hash_eq(&h, &g));
	/* misuse fails and leaves the context usable */
	assert_int_equal(nrs_digest_end(d, &h), NRS_ECRYPTO);
	nrs_digest_label(d, "0123456789abcdef0123456789abcdefX");
	assert_int_equal(nrs_digest_end(d, &h), NRS_ECRYPTO);
	nrs_digest_label(d, longest);
	assert_int_equal(nrs_digest_end(d, &h), 0);
	assert_int_equal(nrs_sha256(longest, 32, &g), 0);
	assert_true(nrs_hash_eq(&h, &g));
	nrs_digest_free(d);
}

static void
test_body_key(void **state)
{
	uint8_t seed[32], nonce[16], key[32], other[32];
	struct nrs_hash c;
	size_t i;

	for (i = 0; i < 32; i++) {
		seed[i] = (uint8_t)i;
		c.b[i] = (uint8_t)(0x80 + i);
		nonce[i % 16] = (uint8_t)(0x40 + i % 16);
	}
	assert_int_equal(nrs_body_key(seed, nonce, &c, key), 0);
	assert_hex(
	    key, 32, "21f1b68b5e97c6a3054345dbaf82047cc875b96aafbd92b2fa5228eaa8910106");
	nonce[15] ^= 1;
	assert_int_equal(nrs_body_key(seed, nonce, &c, other), 0);
	assert_memory_not_equal(key, other, 32);
}

/* One context for many bodies makes what the two steps make, whatever came before. */
static void
test_sealer(void **state)
{
	struct nrs_sealer *s = nrs_sealer_new();
	static uint8_t text[4096], one[4096 + 16], two[4096 + 16], back[4096];
	uint8_t seed[32], nonce[16], key[32], flags;
	struct nrs_hash c;

	assert_non_null(s);
	for (size_t len = 0; len <= sizeof(text); len += len < 70 ? 1 : 671) {
		for (size_t i = 0; i < 32; i++) {
			seed[i] = (uint8_t)(i * len);
			c.b[i] = (uint8_t)(i + len);
			nonce[i % 16] = (uint8_t)(len - i);
		}
		for (size_t i = 0; i < len; i++)
			text[i] = (uint8_t)(i * 7 + len);
		flags = (uint8_t)len;
		assert_int_equal(nrs_body_key(seed, nonce, &c, key), 0);
		assert_int_equal(nrs_aead_seal(key, &flags, 1, text, len, one), 0);
		assert_int_equal(
		    nrs_sealer_seal(s, seed, nonce, &c, &flags, 1, text, len, two), 0);
		assert_memory_equal(one, two, len + 16);
		assert_int_equal(nrs_aead_open(key, &flags, 1, two, len + 16, back), 0);
		assert_memory_equal(back, text, len);
	}
	nrs_sealer_free(s);
	nrs_sealer_free(NULL);
}

static void
test_gcm(void **state)
{
	/* the GCM specification, test cases 13 and 14: all zeros */
	uint8_t key[32] = { 0 }, zero[16] = { 0 }, out[32], back[16];

	assert_int_equal(nrs_aead_seal(key, NULL, 0, NULL, 0, out), 0);
	assert_hex(out, 16, "530f8afbc74536b9a963b4f1c4cb738b");
	assert_int_equal(nrs_aead_open(key, NULL, 0, out, 16, back), 0);
	assert_int_equal(nrs_aead_seal(key, NULL, 0, zero, 16, out), 0);
	assert_hex(
	    out, 32, "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919");
	assert_int_equal(nrs_aead_open(key, NULL, 0, out, 32, back), 0);
	assert_memory_equal(back, zero, 16);
	/* in place */
	assert_int_equal(nrs_aead_open(key, NULL, 0, out, 32, out), 0);
	assert_memory_equal(out, zero, 16);
}

static void
test_gcm_damage(void **state)
{
	const uint8_t aad[5] = "frame";
	uint8_t key[32] = { 7 }, text[21] = "indicator of nothing", box[37], back[37],
		bad[5];
	size_t i;

	assert_int_equal(nrs_aead_seal(key, aad, 5, text, 21, box), 0);
	for (i = 0; i < 37 * 8; i++) {
		box[i / 8] ^= (uint8_t)(1 << i % 8);
		memset(back, 0xaa, sizeof(back));
		assert_int_equal(nrs_aead_open(key, aad, 5, box, 37, back), NRS_ECORRUPT);
		assert_int_equal(back[0] | back[20], 0); /* nothing is shown */
		box[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	for (i = 0; i < 37; i++)
		assert_int_equal(nrs_aead_open(key, aad, 5, box, i, back), NRS_ECORRUPT);
	for (i = 0; i < 5 * 8; i++) {
		memcpy(bad, aad, 5);
		bad[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(nrs_aead_open(key, bad, 5, box, 37, back), NRS_ECORRUPT);
	}
	assert_int_equal(nrs_aead_open(key, aad, 4, box, 37, back), NRS_ECORRUPT);
	assert_int_equal(nrs_aead_open(key, aad, 5, box, 37, back), 0);
	assert_memory_equal(back, text, 21);
}

static void
test_wrap(void **state)
{
	uint8_t kek[32], seed[32], out[NRS_WRAPPED_SEED], back[32];
	size_t i;

	for (i = 0; i < 32; i++) {
		kek[i] = (uint8_t)i;
		seed[i] = (uint8_t)(0x80 + i);
	}
	assert_int_equal(nrs_seed_wrap(kek, kek, 7, seed, out), 0);
	assert_hex(out, sizeof(out),
	    "000102030405060708090a0bc78354984160449c05c81d003d64f6e2134715a764eec9eba0fe7f1e81f4"
	    "9e2d4d475b6f25420299289a2cc0348e5b56");
	assert_int_equal(nrs_seed_unwrap(kek, 7, out, back), 0);
	assert_memory_equal(back, seed, 32);
	assert_int_equal(nrs_seed_unwrap(kek, 8, out, back), NRS_ECORRUPT);
	for (i = 0; i < sizeof(out) * 8; i++) {
		out[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(nrs_seed_unwrap(kek, 7, out, back), NRS_ECORRUPT);
		out[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	nrs_wipe(seed, sizeof(seed));
	for (i = 0; i < 32; i++)
		assert_int_equal(seed[i], 0);
	nrs_wipe(NULL, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sha256),
		cmocka_unit_test(test_label),
		cmocka_unit_test(test_body_key),
		cmocka_unit_test(test_sealer),
		cmocka_unit_test(test_gcm),
		cmocka_unit_test(test_gcm_damage),
		cmocka_unit_test(test_wrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
