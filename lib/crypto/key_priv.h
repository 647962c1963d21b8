/* What key.c, key_pem.c and key_cert.c know of a private key. */
#ifndef CRYPTO_KEY_PRIV_H
#define CRYPTO_KEY_PRIV_H

#include <openssl/evp.h>

#include "crypto/key.h"

struct nrs_seckey {
	EVP_PKEY *pkey;	 /* OpenSSL wipes the secret when it frees it */
	EVP_MD_CTX *ctx; /* kept from one signature to the next; NULL: none yet */
	struct nrs_pubkey pub;
};

/* Takes pkey in all cases; NRS_EKEY when it is not an Ed25519 key. */
int nrs_seckey_from_evp(EVP_PKEY *pkey, struct nrs_seckey **ret) NRS_MUST_CHECK;

#endif
