/* SHA-256, with and without the labels that separate its uses. */
#ifndef CRYPTO_DIGEST_H
#define CRYPTO_DIGEST_H

#include <noroshi/err.h>
#include <noroshi/types.h>

/*
 * A running hash.  Init prefetches the algorithm once per context; a context
 * is reused for many hashes (an order of magnitude faster than one-shot calls).
 */
struct nrs_digest;
struct nrs_digest *nrs_digest_new(void);    /* NULL: out of memory */
void nrs_digest_free(struct nrs_digest *d); /* accepts NULL */
void nrs_digest_begin(struct nrs_digest *d);
/* begin() and the 32-byte zero-padded ASCII label (docs/FORMAT.md, "Labels"). */
void nrs_digest_label(struct nrs_digest *d, const char *label);
void nrs_digest_add(struct nrs_digest *d, const void *p, size_t len);
void nrs_digest_u32(struct nrs_digest *d, uint32_t v); /* big-endian */
void nrs_digest_u64(struct nrs_digest *d, uint64_t v);
/* Ends the hash; the context may begin again. NRS_ECRYPTO if any step failed. */
int nrs_digest_end(struct nrs_digest *d, struct nrs_hash *ret) NRS_MUST_CHECK;

/* One-shot over one piece, without a label. */
int nrs_sha256(const void *p, size_t len, struct nrs_hash *ret) NRS_MUST_CHECK;
/* SHA-256(label[32] || bytes). */
int nrs_sha256_label(
    const char *label, const void *p, size_t len, struct nrs_hash *ret) NRS_MUST_CHECK;

bool nrs_hash_eq(const struct nrs_hash *a, const struct nrs_hash *b); /* constant time */

#endif
