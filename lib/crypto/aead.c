/*
 * Sealing of journal bodies and of segment seeds: AES-256-GCM.  A body key is
 * derived from a fresh nonce and the record's commitment and used once, hence
 * the IV of zeros; a seed is wrapped with a random nonce under a lasting key.
 */
#include "crypto/aead.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <limits.h>
#include <string.h>

#include "base/buf.h"

#define IV_LEN	  12
#define LABEL_LEN 32

static const uint8_t zero_iv[IV_LEN];

void
nrs_wipe(void *p, size_t len)
{
	if (p != NULL)
		OPENSSL_cleanse(p, len);
}

int
nrs_body_key(const uint8_t seed[32], const uint8_t frame_nonce[16],
    const struct nrs_hash *c, uint8_t key[NRS_AEAD_KEY])
{
	/* RFC 5869 section 2.3 with L = 32: T(1) = HMAC(PRK, info || 0x01). */
	uint8_t info[LABEL_LEN + 16 + NRS_HASH_LEN + 1] = "noroshi/v1/body";

	memcpy(info + LABEL_LEN, frame_nonce, 16);
	memcpy(info + LABEL_LEN + 16, c->b, NRS_HASH_LEN);
	info[sizeof(info) - 1] = 1;
	if (HMAC(EVP_sha256(), seed, 32, info, sizeof(info), key, NULL) != NULL)
		return 0;
	ERR_clear_error();
	nrs_wipe(key, NRS_AEAD_KEY);
	return NRS_ECRYPTO;
}

static int
gcm_seal(const uint8_t *key, const uint8_t iv[IV_LEN], const uint8_t *aad, size_t aad_len,
    const uint8_t *src, size_t len, uint8_t *dst)
{
	EVP_CIPHER_CTX *ctx;
	int n, rc = NRS_ECRYPTO;

	if (len > INT_MAX - NRS_AEAD_TAG || aad_len > INT_MAX)
		return NRS_ELIMIT;
	if ((ctx = EVP_CIPHER_CTX_new()) == NULL)
		return NRS_ENOMEM;
	if (EVP_EncryptInit_ex2(ctx, EVP_aes_256_gcm(), key, iv, NULL) == 1 &&
	    (aad_len == 0 || EVP_EncryptUpdate(ctx, NULL, &n, aad, (int)aad_len) == 1) &&
	    (len == 0 || EVP_EncryptUpdate(ctx, dst, &n, src, (int)len) == 1) &&
	    EVP_EncryptFinal_ex(ctx, dst + len, &n) == 1 &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, NRS_AEAD_TAG, dst + len) == 1)
		rc = 0;
	else
		ERR_clear_error();
	EVP_CIPHER_CTX_free(ctx);
	return rc;
}

/* len without the tag. */
static int
gcm_open(const uint8_t *key, const uint8_t iv[IV_LEN], const uint8_t *aad, size_t aad_len,
    const uint8_t *src, size_t len, uint8_t *dst)
{
	uint8_t tag[NRS_AEAD_TAG], end[NRS_AEAD_TAG];
	EVP_CIPHER_CTX *ctx;
	int n, rc = NRS_ECRYPTO;

	if (len > INT_MAX || aad_len > INT_MAX)
		return NRS_ELIMIT;
	if ((ctx = EVP_CIPHER_CTX_new()) == NULL)
		return NRS_ENOMEM;
	memcpy(tag, src + len, sizeof(tag));
	if (EVP_DecryptInit_ex2(ctx, EVP_aes_256_gcm(), key, iv, NULL) == 1 &&
	    (aad_len == 0 || EVP_DecryptUpdate(ctx, NULL, &n, aad, (int)aad_len) == 1) &&
	    (len == 0 || EVP_DecryptUpdate(ctx, dst, &n, src, (int)len) == 1) &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, sizeof(tag), tag) == 1)
		rc = EVP_DecryptFinal_ex(ctx, end, &n) == 1 ? 0 : NRS_ECORRUPT;
	if (rc != 0) {
		/* Nobody sees what was not authenticated. */
		nrs_wipe(dst, len);
		ERR_clear_error();
	}
	EVP_CIPHER_CTX_free(ctx);
	return rc;
}

int
nrs_aead_seal(const uint8_t key[NRS_AEAD_KEY], const uint8_t *aad, size_t aad_len,
    const uint8_t *src, size_t len, uint8_t *dst)
{
	return gcm_seal(key, zero_iv, aad, aad_len, src, len, dst);
}

int
nrs_aead_open(const uint8_t key[NRS_AEAD_KEY], const uint8_t *aad, size_t aad_len,
    const uint8_t *src, size_t len, uint8_t *dst)
{
	if (len < NRS_AEAD_TAG)
		return NRS_ECORRUPT;
	return gcm_open(key, zero_iv, aad, aad_len, src, len - NRS_AEAD_TAG, dst);
}

/* A wrapped seed opens only as that of its segment. */
static void
seed_aad(uint8_t aad[LABEL_LEN + 8], uint64_t segment)
{
	static const char label[] = "noroshi/v1/seed";

	memset(aad, 0, LABEL_LEN);
	memcpy(aad, label, sizeof(label) - 1);
	nrs_put_u64(aad + LABEL_LEN, segment);
}

int
nrs_seed_wrap(const uint8_t kek[32], const uint8_t nonce[12], uint64_t segment,
    const uint8_t seed[32], uint8_t out[NRS_WRAPPED_SEED])
{
	uint8_t aad[LABEL_LEN + 8];

	seed_aad(aad, segment);
	memcpy(out, nonce, IV_LEN);
	return gcm_seal(kek, out, aad, sizeof(aad), seed, 32, out + IV_LEN);
}

int
nrs_seed_unwrap(const uint8_t kek[32], uint64_t segment, const uint8_t in[NRS_WRAPPED_SEED],
    uint8_t seed[32])
{
	uint8_t aad[LABEL_LEN + 8];

	seed_aad(aad, segment);
	return gcm_open(kek, in, aad, sizeof(aad), in + IV_LEN, 32, seed);
}
