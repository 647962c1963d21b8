/* AES-256-GCM with per-record keys from HKDF-SHA-256, and key wrapping. Thread-safe. */
#ifndef CRYPTO_AEAD_H
#define CRYPTO_AEAD_H

#include <noroshi/err.h>
#include <noroshi/types.h>

#define NRS_AEAD_KEY	 32
#define NRS_AEAD_TAG	 16
#define NRS_WRAPPED_SEED 60 /* nonce 12, ciphertext 32, tag 16 */

/*
 * The key of one record body: HKDF-Expand(seed, info = label || frame_nonce ||
 * C), 32 bytes (docs/FORMAT-journal.md).  Never used twice, so the IV is zero.
 */
int nrs_body_key(const uint8_t seed[32], const uint8_t frame_nonce[16],
    const struct nrs_hash *c, uint8_t key[NRS_AEAD_KEY]) NRS_MUST_CHECK;
/* dst has len + NRS_AEAD_TAG bytes; dst may equal src. */
int nrs_aead_seal(const uint8_t key[NRS_AEAD_KEY], const uint8_t *aad, size_t aad_len,
    const uint8_t *src, size_t len, uint8_t *dst) NRS_MUST_CHECK;
/* len includes the tag; dst has len - NRS_AEAD_TAG bytes. NRS_ECORRUPT: does not open. */
int nrs_aead_open(const uint8_t key[NRS_AEAD_KEY], const uint8_t *aad, size_t aad_len,
    const uint8_t *src, size_t len, uint8_t *dst) NRS_MUST_CHECK;

/*
 * Both steps for many bodies, one after the other: the same bytes as
 * nrs_body_key() and nrs_aead_seal() make, in half the time for small ones.
 */
struct nrs_sealer;
struct nrs_sealer *nrs_sealer_new(void);    /* NULL: out of memory */
void nrs_sealer_free(struct nrs_sealer *s); /* accepts NULL */
int nrs_sealer_seal(struct nrs_sealer *s, const uint8_t seed[32],
    const uint8_t frame_nonce[16], const struct nrs_hash *c, const uint8_t *aad,
    size_t aad_len, const uint8_t *src, size_t len, uint8_t *dst) NRS_MUST_CHECK;

/* Wraps a segment's seed under the key-encryption key; nonce fresh and random. */
int nrs_seed_wrap(const uint8_t kek[32], const uint8_t nonce[12], uint64_t segment,
    const uint8_t seed[32], uint8_t out[NRS_WRAPPED_SEED]) NRS_MUST_CHECK;
int nrs_seed_unwrap(const uint8_t kek[32], uint64_t segment,
    const uint8_t in[NRS_WRAPPED_SEED], uint8_t seed[32]) NRS_MUST_CHECK;

void nrs_wipe(void *p, size_t len); /* the compiler does not remove it */

#endif
