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
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "crypto/digest.h"

#define IV_LEN	  12
#define LABEL_LEN 32

static const uint8_t zero_iv[IV_LEN];

void
nrs_wipe(void *p, size_t len)
{
	if (p != NULL)
		OPENSSL_cleanse(p, len);
}

/* RFC 5869 section 2.3 with L = 32: T(1) = HMAC(PRK, info || 0x01). */
#define INFO_LEN (LABEL_LEN + 16 + NRS_HASH_LEN + 1)

static void
body_info(const uint8_t frame_nonce[16], const struct nrs_hash *c, uint8_t info[INFO_LEN])
{
	static const char label[] = "noroshi/v1/body";

	memset(info, 0, LABEL_LEN);
	memcpy(info, label, sizeof(label) - 1);
	memcpy(info + LABEL_LEN, frame_nonce, 16);
	memcpy(info + LABEL_LEN + 16, c->b, NRS_HASH_LEN);
	info[INFO_LEN - 1] = 1;
}

int
nrs_body_key(const uint8_t seed[32], const uint8_t frame_nonce[16],
    const struct nrs_hash *c, uint8_t key[NRS_AEAD_KEY])
{
	uint8_t info[INFO_LEN];

	body_info(frame_nonce, c, info);
	if (HMAC(EVP_sha256(), seed, 32, info, sizeof(info), key, NULL) != NULL)
		return 0;
	ERR_clear_error();
	nrs_wipe(key, NRS_AEAD_KEY);
	return NRS_ECRYPTO;
}

/* cipher NULL: the one that the context has. */
static int
gcm_seal_with(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher, const uint8_t *key,
    const uint8_t iv[IV_LEN], const uint8_t *aad, size_t aad_len, const uint8_t *src,
    size_t len, uint8_t *dst)
{
	int n, rc = NRS_ECRYPTO;

	if (len > INT_MAX - NRS_AEAD_TAG || aad_len > INT_MAX)
		return NRS_ELIMIT;
	if (EVP_EncryptInit_ex2(ctx, cipher, key, iv, NULL) == 1 &&
	    (aad_len == 0 || EVP_EncryptUpdate(ctx, NULL, &n, aad, (int)aad_len) == 1) &&
	    (len == 0 || EVP_EncryptUpdate(ctx, dst, &n, src, (int)len) == 1) &&
	    EVP_EncryptFinal_ex(ctx, dst + len, &n) == 1 &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, NRS_AEAD_TAG, dst + len) == 1)
		rc = 0;
	else
		ERR_clear_error();
	return rc;
}

static int
gcm_seal(const uint8_t *key, const uint8_t iv[IV_LEN], const uint8_t *aad, size_t aad_len,
    const uint8_t *src, size_t len, uint8_t *dst)
{
	EVP_CIPHER_CTX *ctx;
	int rc;

	if ((ctx = EVP_CIPHER_CTX_new()) == NULL)
		return NRS_ENOMEM;
	rc = gcm_seal_with(ctx, EVP_aes_256_gcm(), key, iv, aad, aad_len, src, len, dst);
	EVP_CIPHER_CTX_free(ctx);
	return rc;
}

/* --- many bodies ---------------------------------------------------------- */

#define BLOCK 64 /* of SHA-256, for HMAC */

struct nrs_sealer {
	struct nrs_digest *dg;
	EVP_CIPHER *cipher;
	EVP_CIPHER_CTX *ctx;
};

struct nrs_sealer *
nrs_sealer_new(void)
{
	struct nrs_sealer *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->dg = nrs_digest_new();
	s->cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	s->ctx = EVP_CIPHER_CTX_new();
	if (s->dg != NULL && s->cipher != NULL && s->ctx != NULL &&
	    EVP_EncryptInit_ex2(s->ctx, s->cipher, NULL, NULL, NULL) == 1)
		return s;
	ERR_clear_error();
	nrs_sealer_free(s);
	return NULL;
}

void
nrs_sealer_free(struct nrs_sealer *s)
{
	if (s == NULL)
		return;
	nrs_digest_free(s->dg);
	EVP_CIPHER_CTX_free(s->ctx);
	EVP_CIPHER_free(s->cipher);
	free(s);
}

/* HMAC (RFC 2104) of info under a seed, which is shorter than a block. */
static int
hmac_info(struct nrs_digest *dg, const uint8_t seed[32], const uint8_t info[INFO_LEN],
    struct nrs_hash *ret)
{
	uint8_t pad[BLOCK];
	int rc;

	for (size_t i = 0; i < BLOCK; i++)
		pad[i] = (uint8_t)((i < 32 ? seed[i] : 0) ^ 0x36);
	nrs_digest_begin(dg);
	nrs_digest_add(dg, pad, BLOCK);
	nrs_digest_add(dg, info, INFO_LEN);
	if ((rc = nrs_digest_end(dg, ret)) == 0) {
		for (size_t i = 0; i < BLOCK; i++)
			pad[i] ^= 0x36 ^ 0x5c;
		nrs_digest_begin(dg);
		nrs_digest_add(dg, pad, BLOCK);
		nrs_digest_add(dg, ret->b, sizeof(ret->b));
		rc = nrs_digest_end(dg, ret);
	}
	nrs_wipe(pad, sizeof(pad));
	return rc;
}

int
nrs_sealer_seal(struct nrs_sealer *s, const uint8_t seed[32], const uint8_t frame_nonce[16],
    const struct nrs_hash *c, const uint8_t *aad, size_t aad_len, const uint8_t *src,
    size_t len, uint8_t *dst)
{
	uint8_t info[INFO_LEN];
	struct nrs_hash key;
	int rc;

	body_info(frame_nonce, c, info);
	rc = hmac_info(s->dg, seed, info, &key);
	if (rc == 0)
		rc = gcm_seal_with(
		    s->ctx, NULL, key.b, zero_iv, aad, aad_len, src, len, dst);
	nrs_wipe(&key, sizeof(key));
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
