/*
 * SHA-256 through EVP.  A running context keeps its algorithm, because looking
 * the algorithm up costs more than hashing a tree node.
 */
#include "crypto/digest.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

#define LABEL_LEN 32

struct nrs_digest {
	EVP_MD *md;
	EVP_MD_CTX *ctx;
	bool open; /* between begin and end */
	bool bad;  /* sticky until end */
};

struct nrs_digest *
nrs_digest_new(void)
{
	struct nrs_digest *d;

	if ((d = calloc(1, sizeof(*d))) == NULL)
		return NULL;
	d->md = EVP_MD_fetch(NULL, "SHA256", NULL);
	d->ctx = EVP_MD_CTX_new();
	if (d->md != NULL && d->ctx != NULL && EVP_DigestInit_ex2(d->ctx, d->md, NULL) == 1)
		return d;
	ERR_clear_error();
	nrs_digest_free(d);
	return NULL;
}

void
nrs_digest_free(struct nrs_digest *d)
{
	if (d == NULL)
		return;
	EVP_MD_CTX_free(d->ctx);
	EVP_MD_free(d->md);
	free(d);
}

void
nrs_digest_begin(struct nrs_digest *d)
{
	/* NULL: the algorithm the context has, without looking at it again. */
	d->bad = EVP_DigestInit_ex2(d->ctx, NULL, NULL) != 1;
	d->open = true;
}

/* The 32 bytes of a label; false when it does not fit. */
static bool
label_bytes(const char *label, uint8_t out[LABEL_LEN])
{
	size_t len = strlen(label);

	if (len > LABEL_LEN)
		return false;
	memset(out, 0, LABEL_LEN);
	memcpy(out, label, len);
	return true;
}

void
nrs_digest_label(struct nrs_digest *d, const char *label)
{
	uint8_t bytes[LABEL_LEN];

	nrs_digest_begin(d);
	if (label_bytes(label, bytes))
		nrs_digest_add(d, bytes, sizeof(bytes));
	else
		d->bad = true;
}

void
nrs_digest_add(struct nrs_digest *d, const void *p, size_t len)
{
	if (!d->open || (len > 0 && EVP_DigestUpdate(d->ctx, p, len) != 1))
		d->bad = true;
}

void
nrs_digest_u32(struct nrs_digest *d, uint32_t v)
{
	uint8_t b[4];

	nrs_put_u32(b, v);
	nrs_digest_add(d, b, sizeof(b));
}

void
nrs_digest_u64(struct nrs_digest *d, uint64_t v)
{
	uint8_t b[8];

	nrs_put_u64(b, v);
	nrs_digest_add(d, b, sizeof(b));
}

int
nrs_digest_end(struct nrs_digest *d, struct nrs_hash *ret)
{
	bool ok = d->open && !d->bad && EVP_DigestFinal_ex(d->ctx, ret->b, NULL) == 1;

	d->open = false;
	d->bad = false;
	if (ok)
		return 0;
	ERR_clear_error();
	memset(ret, 0, sizeof(*ret));
	return NRS_ECRYPTO;
}

int
nrs_sha256(const void *p, size_t len, struct nrs_hash *ret)
{
	/* NULL stands for no bytes with our callers, OpenSSL wants a pointer. */
	if (EVP_Digest(p != NULL ? p : "", len, ret->b, NULL, EVP_sha256(), NULL) == 1)
		return 0;
	ERR_clear_error();
	memset(ret, 0, sizeof(*ret));
	return NRS_ECRYPTO;
}

int
nrs_sha256_label(const char *label, const void *p, size_t len, struct nrs_hash *ret)
{
	struct nrs_digest *d;
	int rc;

	if ((d = nrs_digest_new()) == NULL)
		return NRS_ENOMEM;
	nrs_digest_label(d, label);
	nrs_digest_add(d, p, len);
	rc = nrs_digest_end(d, ret);
	nrs_digest_free(d);
	return rc;
}

bool
nrs_hash_eq(const struct nrs_hash *a, const struct nrs_hash *b)
{
	return CRYPTO_memcmp(a->b, b->b, sizeof(a->b)) == 0;
}
