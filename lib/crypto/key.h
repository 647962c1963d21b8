/*
 * Ed25519 keys: make, load, save, sign, verify.  Public keys are checked once,
 * when they enter the configuration or a manifest: canonical encoding, not of
 * small order.
 */
#ifndef CRYPTO_KEY_H
#define CRYPTO_KEY_H

#include <noroshi/err.h>
#include <noroshi/types.h>

#define NRS_ALG_ED25519 1
#define NRS_ED25519_PUB 32
#define NRS_ED25519_SIG 64

struct nrs_pubkey {
	uint8_t alg;
	uint8_t pub[NRS_ED25519_PUB];
	uint8_t id[NRS_KEYID_LEN]; /* SHA-256(label keyid || alg || pub), first 8 bytes */
};

/* Fills ret; NRS_EWEAKKEY for non-canonical or small-order points. */
int nrs_pubkey_init(
    struct nrs_pubkey *ret, uint8_t alg, const uint8_t *pub, size_t len) NRS_MUST_CHECK;
/* The environment's verify(): 0 or NRS_ESIG (also for unknown algorithms). Thread-safe. */
int nrs_verify(uint8_t alg, const uint8_t *pub, size_t pub_len, const uint8_t *msg,
    size_t msg_len, const uint8_t *sig, size_t sig_len) NRS_MUST_CHECK;

/*
 * The same for many signatures by one key, each 6 us faster: what the library
 * looks up for a key is looked up once.  Used by one thread at a time.
 */
struct nrs_verifier;
int nrs_verifier_new(
    uint8_t alg, const uint8_t *pub, size_t len, struct nrs_verifier **ret) NRS_MUST_CHECK;
int nrs_verifier_run(struct nrs_verifier *v, const uint8_t *msg, size_t msg_len,
    const uint8_t *sig, size_t sig_len) NRS_MUST_CHECK;
void nrs_verifier_free(struct nrs_verifier *v); /* accepts NULL */

struct nrs_seckey; /* a private key; memory is wiped on free */

int nrs_seckey_generate(struct nrs_seckey **ret) NRS_MUST_CHECK;
int nrs_seckey_from_seed(const uint8_t seed[32], struct nrs_seckey **ret) NRS_MUST_CHECK;
void nrs_seckey_free(struct nrs_seckey *k); /* accepts NULL */
void nrs_seckey_public(const struct nrs_seckey *k, struct nrs_pubkey *ret);
int nrs_seckey_sign(struct nrs_seckey *k, const uint8_t *msg, size_t len,
    uint8_t sig[NRS_ED25519_SIG]) NRS_MUST_CHECK;
/*
 * PKCS #8 PEM; passphrase NULL = unencrypted (the keeper's files, mode 0600),
 * else scrypt and AES-256 (the root key).  *ret_pem is malloc'd: wipe and free it.
 */
int nrs_seckey_to_pem(struct nrs_seckey *k, const char *passphrase, char **ret_pem,
    size_t *ret_len) NRS_MUST_CHECK;
/* NRS_EKEY: not an Ed25519 key or a wrong passphrase; never asks a terminal. */
int nrs_seckey_from_pem(const char *pem, size_t len, const char *passphrase,
    struct nrs_seckey **ret) NRS_MUST_CHECK;

/* The root key's commitment: SHA-256(label rootkey || alg || pub). */
int nrs_rootkey_hash(const struct nrs_pubkey *k, struct nrs_hash *ret) NRS_MUST_CHECK;

/*
 * A self-signed X.509 certificate (DER) for TLS, of an Ed25519 key; name is
 * shown, never checked; valid 1970..9999, since only the key is pinned.
 */
int nrs_tls_cert(struct nrs_seckey *k, const char *name, uint8_t **ret_der,
    size_t *ret_len) NRS_MUST_CHECK;
/* The pin: SHA-256 of the DER SubjectPublicKeyInfo of an Ed25519 public key. */
int nrs_tls_pin(const struct nrs_pubkey *k, struct nrs_hash *ret) NRS_MUST_CHECK;
/*
 * The same of the key in a certificate (PEM, the first one of the file; what else
 * it says is not looked at): Ed25519, ECDSA over P-256 or P-384, RSA of 2048 to
 * 8192 bits; NRS_EKEY for others, NRS_ESYNTAX when there is no certificate.
 */
int nrs_cert_pin(const char *pem, size_t len, struct nrs_hash *ret) NRS_MUST_CHECK;
/* From DER as malloc'd PEM, NUL-terminated. */
int nrs_cert_to_pem(
    const uint8_t *der, size_t der_len, char **ret_pem, size_t *ret_len) NRS_MUST_CHECK;

#endif
