/*
 * Private keys as PKCS #8 PEM.  Encrypted ones use PBES2 with scrypt and
 * AES-256-CBC, which every OpenSSL of the last decade opens.
 */
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/aead.h"
#include "crypto/key_priv.h"

/* 16 MiB and about a quarter of a second; OpenSSL refuses more than 32 MiB. */
#define SCRYPT_N 16384
#define SCRYPT_R 8
#define SCRYPT_P 5
#define SALT_LEN 16

#define PEM_MAX 16384 /* an Ed25519 key takes 119 bytes, encrypted some 400 */

/* NULL on failure. */
static X509_SIG *
encrypt_pkcs8(PKCS8_PRIV_KEY_INFO *info, const char *passphrase)
{
	X509_ALGOR *pbe;
	X509_SIG *sig;

	pbe = PKCS5_pbe2_set_scrypt(
	    EVP_aes_256_cbc(), NULL, SALT_LEN, NULL, SCRYPT_N, SCRYPT_R, SCRYPT_P);
	if (pbe == NULL)
		return NULL;
	sig = PKCS8_set0_pbe(passphrase, (int)strlen(passphrase), info, pbe);
	if (sig == NULL)
		X509_ALGOR_free(pbe);
	return sig;
}

static int
write_pem(BIO *bio, EVP_PKEY *pkey, const char *passphrase)
{
	PKCS8_PRIV_KEY_INFO *info;
	X509_SIG *sig = NULL;
	int rc = NRS_ECRYPTO;

	if ((info = EVP_PKEY2PKCS8(pkey)) == NULL)
		return NRS_ECRYPTO;
	if (passphrase == NULL) {
		if (PEM_write_bio_PKCS8_PRIV_KEY_INFO(bio, info) == 1)
			rc = 0;
	} else if ((sig = encrypt_pkcs8(info, passphrase)) != NULL) {
		if (PEM_write_bio_PKCS8(bio, sig) == 1)
			rc = 0;
	}
	X509_SIG_free(sig);
	PKCS8_PRIV_KEY_INFO_free(info);
	return rc;
}

int
nrs_seckey_to_pem(
    struct nrs_seckey *k, const char *passphrase, char **ret_pem, size_t *ret_len)
{
	char *data, *pem;
	long len;
	BIO *bio;
	int rc;

	*ret_pem = NULL;
	*ret_len = 0;
	/* An empty passphrase looks like protection and is none. */
	if (passphrase != NULL &&
	    (passphrase[0] == '\0' || strlen(passphrase) > PEM_BUFSIZE))
		return NRS_ERANGE;
	/* Secure memory bios are wiped when freed, also those without a secure heap. */
	if ((bio = BIO_new(BIO_s_secmem())) == NULL)
		return NRS_ENOMEM;
	if ((rc = write_pem(bio, k->pkey, passphrase)) != 0)
		goto out;
	if ((len = BIO_get_mem_data(bio, &data)) <= 0) {
		rc = NRS_ECRYPTO;
		goto out;
	}
	if ((pem = malloc((size_t)len + 1)) == NULL) {
		rc = NRS_ENOMEM;
		goto out;
	}
	memcpy(pem, data, (size_t)len);
	pem[len] = '\0';
	*ret_pem = pem;
	*ret_len = (size_t)len;
out:
	if (rc != 0)
		ERR_clear_error();
	BIO_free(bio);
	return rc;
}

/* OpenSSL would ask the terminal if there were no callback. */
static int
give_passphrase(char *buf, int size, int writing, void *arg)
{
	const char *passphrase = arg;
	size_t len;

	if (passphrase == NULL || size < 0)
		return -1;
	if ((len = strlen(passphrase)) > (size_t)size)
		return -1;
	memcpy(buf, passphrase, len);
	return (int)len;
}

static bool
begins_with(const char *s, size_t len, const char *prefix)
{
	size_t n = strlen(prefix);

	return len >= n && memcmp(s, prefix, n) == 0;
}

/* Only PKCS #8 and nothing before it: not the older forms that OpenSSL also reads. */
static bool
is_pkcs8(const char *pem, size_t len)
{
	return begins_with(pem, len, "-----BEGIN PRIVATE KEY-----\n") ||
	    begins_with(pem, len, "-----BEGIN ENCRYPTED PRIVATE KEY-----\n");
}

int
nrs_seckey_from_pem(
    const char *pem, size_t len, const char *passphrase, struct nrs_seckey **ret)
{
	EVP_PKEY *pkey;
	BIO *bio;

	*ret = NULL;
	if (len > PEM_MAX)
		return NRS_ELIMIT;
	if (!is_pkcs8(pem, len))
		return NRS_EKEY;
	if ((bio = BIO_new_mem_buf(pem, (int)len)) == NULL)
		return NRS_ENOMEM;
	pkey = PEM_read_bio_PrivateKey_ex(
	    bio, NULL, give_passphrase, (void *)(uintptr_t)passphrase, NULL, NULL);
	if (pkey != NULL && BIO_pending(bio) != 0) {
		EVP_PKEY_free(pkey); /* something follows the key */
		pkey = NULL;
	}
	BIO_free(bio);
	if (pkey == NULL) {
		ERR_clear_error();
		return NRS_EKEY;
	}
	return nrs_seckey_from_evp(pkey, ret);
}
