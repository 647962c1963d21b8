/*
 * Ed25519 keys: what is accepted as a public key, signing and verifying.
 * OpenSSL refuses S >= L and computes the cofactorless equation; that leaves
 * the public key itself, which is checked here once.
 */
#include "crypto/key.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include <stdlib.h>
#include <string.h>

#include "crypto/digest.h"
#include "crypto/key_priv.h"

/*
 * y coordinates (little-endian, sign bit cleared) of the eight points of small
 * order; both signs of x are meant.  y = p and p + 1, the other spellings of 0
 * and 1, are refused as non-canonical.
 */
static const uint8_t small_order[][32] = {
	{ 0 },
	{ 1 },
	{ 0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	    0xff, 0xff, 0xff, 0xff, 0xff, 0x7f },
	{ 0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2,
	    0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38,
	    0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05 },
	{ 0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d,
	    0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7,
	    0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a },
};

/* y >= p = 2^255 - 19, that is, 0xed..ff, ff * 30, 7f. */
static bool
not_canonical(const uint8_t y[32])
{
	size_t i;

	if (y[31] != 0x7f || y[0] < 0xed)
		return false;
	for (i = 1; i < 31; i++)
		if (y[i] != 0xff)
			return false;
	return true;
}

static int
check_point(const uint8_t pub[32])
{
	uint8_t y[32];
	size_t i;

	memcpy(y, pub, sizeof(y));
	y[31] &= 0x7f;
	if (not_canonical(y))
		return NRS_EWEAKKEY;
	for (i = 0; i < sizeof(small_order) / sizeof(small_order[0]); i++)
		if (memcmp(y, small_order[i], sizeof(y)) == 0)
			return NRS_EWEAKKEY;
	return 0;
}

/* H(label, u8 alg, public key): key ids and root-key commitments. */
static int
labelled_hash(const char *label, const struct nrs_pubkey *k, struct nrs_hash *ret)
{
	uint8_t in[1 + NRS_ED25519_PUB];

	in[0] = k->alg;
	memcpy(in + 1, k->pub, sizeof(k->pub));
	return nrs_sha256_label(label, in, sizeof(in), ret);
}

int
nrs_pubkey_init(struct nrs_pubkey *ret, uint8_t alg, const uint8_t *pub, size_t len)
{
	struct nrs_pubkey k;
	struct nrs_hash id;
	int rc;

	if (alg != NRS_ALG_ED25519)
		return NRS_ETYPE;
	if (len != NRS_ED25519_PUB)
		return NRS_ESYNTAX;
	if ((rc = check_point(pub)) != 0)
		return rc;
	k.alg = alg;
	memcpy(k.pub, pub, sizeof(k.pub));
	if ((rc = labelled_hash("noroshi/v1/keyid", &k, &id)) != 0)
		return rc;
	memcpy(k.id, id.b, sizeof(k.id));
	*ret = k;
	return 0;
}

int
nrs_rootkey_hash(const struct nrs_pubkey *k, struct nrs_hash *ret)
{
	return labelled_hash("noroshi/v1/rootkey", k, ret);
}

struct nrs_verifier {
	EVP_PKEY *pkey;
	EVP_MD_CTX *ready; /* initialised once */
	EVP_MD_CTX *ctx;   /* a copy of it for each signature */
};

int
nrs_verifier_new(uint8_t alg, const uint8_t *pub, size_t len, struct nrs_verifier **ret)
{
	struct nrs_verifier *v;

	*ret = NULL;
	if (alg != NRS_ALG_ED25519 || len != NRS_ED25519_PUB)
		return NRS_ETYPE;
	if ((v = calloc(1, sizeof(*v))) == NULL)
		return NRS_ENOMEM;
	v->pkey = EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, pub, len);
	v->ready = EVP_MD_CTX_new();
	v->ctx = EVP_MD_CTX_new();
	if (v->pkey != NULL && v->ready != NULL && v->ctx != NULL &&
	    EVP_DigestVerifyInit_ex(v->ready, NULL, NULL, NULL, NULL, v->pkey, NULL) == 1) {
		*ret = v;
		return 0;
	}
	/* A stale error would confuse whoever reads the queue next: TLS. */
	ERR_clear_error();
	nrs_verifier_free(v);
	return NRS_ECRYPTO;
}

void
nrs_verifier_free(struct nrs_verifier *v)
{
	if (v == NULL)
		return;
	EVP_MD_CTX_free(v->ctx);
	EVP_MD_CTX_free(v->ready);
	EVP_PKEY_free(v->pkey);
	free(v);
}

int
nrs_verifier_run(struct nrs_verifier *v, const uint8_t *msg, size_t msg_len,
    const uint8_t *sig, size_t sig_len)
{
	if (sig_len == NRS_ED25519_SIG && EVP_MD_CTX_copy_ex(v->ctx, v->ready) == 1 &&
	    EVP_DigestVerify(v->ctx, sig, sig_len, msg_len > 0 ? msg : (const uint8_t *)"",
		msg_len) == 1)
		return 0;
	ERR_clear_error();
	return NRS_ESIG;
}

int
nrs_verify(uint8_t alg, const uint8_t *pub, size_t pub_len, const uint8_t *msg,
    size_t msg_len, const uint8_t *sig, size_t sig_len)
{
	struct nrs_verifier *v;
	int rc;

	if (nrs_verifier_new(alg, pub, pub_len, &v) != 0)
		return NRS_ESIG;
	rc = nrs_verifier_run(v, msg, msg_len, sig, sig_len);
	nrs_verifier_free(v);
	return rc;
}

int
nrs_seckey_from_evp(EVP_PKEY *pkey, struct nrs_seckey **ret)
{
	uint8_t pub[NRS_ED25519_PUB];
	struct nrs_seckey *k = NULL;
	size_t len = sizeof(pub);
	int rc = NRS_EKEY;

	if (!EVP_PKEY_is_a(pkey, "ED25519") ||
	    EVP_PKEY_get_raw_public_key(pkey, pub, &len) != 1)
		goto out;
	if ((k = calloc(1, sizeof(*k))) == NULL) {
		rc = NRS_ENOMEM;
		goto out;
	}
	if ((rc = nrs_pubkey_init(&k->pub, NRS_ALG_ED25519, pub, len)) != 0)
		goto out;
	k->pkey = pkey;
	*ret = k;
	return 0;
out:
	ERR_clear_error();
	EVP_PKEY_free(pkey);
	free(k);
	return rc;
}

int
nrs_seckey_generate(struct nrs_seckey **ret)
{
	EVP_PKEY *pkey;

	*ret = NULL;
	if ((pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")) == NULL) {
		ERR_clear_error();
		return NRS_ECRYPTO;
	}
	return nrs_seckey_from_evp(pkey, ret);
}

int
nrs_seckey_from_seed(const uint8_t seed[32], struct nrs_seckey **ret)
{
	EVP_PKEY *pkey;

	*ret = NULL;
	if ((pkey = EVP_PKEY_new_raw_private_key_ex(NULL, "ED25519", NULL, seed, 32)) ==
	    NULL) {
		ERR_clear_error();
		return NRS_ECRYPTO;
	}
	return nrs_seckey_from_evp(pkey, ret);
}

void
nrs_seckey_free(struct nrs_seckey *k)
{
	if (k == NULL)
		return;
	EVP_MD_CTX_free(k->ctx);
	EVP_PKEY_free(k->pkey);
	free(k);
}

void
nrs_seckey_public(const struct nrs_seckey *k, struct nrs_pubkey *ret)
{
	*ret = k->pub;
}

static int
sign_with(EVP_MD_CTX *ctx, const uint8_t *msg, size_t len, uint8_t sig[NRS_ED25519_SIG])
{
	size_t sig_len = NRS_ED25519_SIG;

	if (EVP_DigestSign(ctx, sig, &sig_len, len > 0 ? msg : (const uint8_t *)"", len) ==
		1 &&
	    sig_len == NRS_ED25519_SIG)
		return 0;
	ERR_clear_error();
	return NRS_ECRYPTO;
}

/*
 * One signature is one call, which leaves nothing in the context: it serves
 * again, where the library lets it, and is made anew where it does not.
 */
int
nrs_seckey_sign(
    struct nrs_seckey *k, const uint8_t *msg, size_t len, uint8_t sig[NRS_ED25519_SIG])
{
	if (k->ctx != NULL && sign_with(k->ctx, msg, len, sig) == 0)
		return 0;
	EVP_MD_CTX_free(k->ctx);
	if ((k->ctx = EVP_MD_CTX_new()) == NULL)
		return NRS_ENOMEM;
	if (EVP_DigestSignInit_ex(k->ctx, NULL, NULL, NULL, NULL, k->pkey, NULL) == 1 &&
	    sign_with(k->ctx, msg, len, sig) == 0)
		return 0;
	ERR_clear_error();
	EVP_MD_CTX_free(k->ctx);
	k->ctx = NULL;
	return NRS_ECRYPTO;
}
