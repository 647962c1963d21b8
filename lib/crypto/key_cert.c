/*
 * The X.509 shell that TLS wants around a key.  Peers pin the key and look at
 * nothing else, so the certificate never needs renewing.
 */
#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "crypto/digest.h"
#include "crypto/key_priv.h"

#define CN_MAX	   64 /* characters: ub-common-name of RFC 5280 */
#define SERIAL_LEN 16

int
nrs_tls_pin(const struct nrs_pubkey *k, struct nrs_hash *ret)
{
	/* SubjectPublicKeyInfo of RFC 8410: all but the key is constant. */
	uint8_t spki[12 + NRS_ED25519_PUB] = { 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b,
		0x65, 0x70, 0x03, 0x21, 0x00 };

	memcpy(spki + 12, k->pub, sizeof(k->pub));
	return nrs_sha256(spki, sizeof(spki), ret);
}

/* From the key, so that one key always gives the same certificate. */
static int
set_serial(X509 *x, const struct nrs_pubkey *k)
{
	struct nrs_hash pin;
	BIGNUM *bn;
	int rc;

	if ((rc = nrs_tls_pin(k, &pin)) != 0)
		return rc;
	/* Positive and of constant length: RFC 5280 section 4.1.2.2. */
	pin.b[0] = (uint8_t)((pin.b[0] & 0x3f) | 0x40);
	if ((bn = BN_bin2bn(pin.b, SERIAL_LEN, NULL)) == NULL)
		return NRS_ENOMEM;
	rc = BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(x)) != NULL ? 0 : NRS_ECRYPTO;
	BN_free(bn);
	return rc;
}

static int
set_names(X509 *x, const char *name)
{
	const uint8_t *s = (const uint8_t *)name;
	size_t len = strlen(name), off = 0, chars, n;
	X509_NAME *dn = X509_get_subject_name(x);
	uint32_t cp;

	for (chars = 0; off < len && chars < CN_MAX; chars++, off += n)
		if ((n = nrs_utf8_next(s + off, len - off, &cp)) == 0)
			return NRS_EUTF8;
	if (off == 0)
		return NRS_ERANGE;
	if (X509_NAME_add_entry_by_txt(dn, "CN", MBSTRING_UTF8, s, (int)off, -1, 0) != 1 ||
	    X509_set_issuer_name(x, dn) != 1)
		return NRS_ECRYPTO;
	return 0;
}

static int
set_fields(X509 *x, struct nrs_seckey *k, const char *name)
{
	int rc;

	if (X509_set_version(x, X509_VERSION_3) != 1 || X509_set_pubkey(x, k->pkey) != 1 ||
	    ASN1_TIME_set_string_X509(X509_getm_notBefore(x), "19700101000000Z") != 1 ||
	    ASN1_TIME_set_string_X509(X509_getm_notAfter(x), "99991231235959Z") != 1)
		return NRS_ECRYPTO;
	if ((rc = set_serial(x, &k->pub)) != 0 || (rc = set_names(x, name)) != 0)
		return rc;
	return X509_sign(x, k->pkey, NULL) > 0 ? 0 : NRS_ECRYPTO;
}

int
nrs_tls_cert(struct nrs_seckey *k, const char *name, uint8_t **ret_der, size_t *ret_len)
{
	uint8_t *der = NULL, *p;
	int len, rc;
	X509 *x;

	*ret_der = NULL;
	*ret_len = 0;
	if ((x = X509_new()) == NULL)
		return NRS_ENOMEM;
	if ((rc = set_fields(x, k, name)) != 0)
		goto out;
	rc = NRS_ECRYPTO;
	if ((len = i2d_X509(x, NULL)) <= 0)
		goto out;
	rc = NRS_ENOMEM;
	if ((der = malloc((size_t)len)) == NULL)
		goto out;
	rc = NRS_ECRYPTO;
	p = der; /* i2d moves it */
	if (i2d_X509(x, &p) != len)
		goto out;
	*ret_der = der;
	*ret_len = (size_t)len;
	der = NULL;
	rc = 0;
out:
	if (rc != 0)
		ERR_clear_error();
	free(der);
	X509_free(x);
	return rc;
}

/* Is this a key that a subscriber may have? */
static bool
key_ok(EVP_PKEY *k)
{
	char group[32] = "";

	switch (EVP_PKEY_get_base_id(k)) {
	case EVP_PKEY_ED25519:
		return true;
	case EVP_PKEY_EC:
		return EVP_PKEY_get_group_name(k, group, sizeof(group), NULL) == 1 &&
		    (strcmp(group, "prime256v1") == 0 || strcmp(group, "secp384r1") == 0);
	case EVP_PKEY_RSA:
		return EVP_PKEY_get_bits(k) >= 2048 && EVP_PKEY_get_bits(k) <= 8192;
	default:
		return false;
	}
}

int
nrs_cert_pin(const char *pem, size_t len, struct nrs_hash *ret)
{
	unsigned char *spki = NULL;
	EVP_PKEY *key;
	X509 *x = NULL;
	int n, rc = NRS_ESYNTAX;
	BIO *bio;

	if (len > INT_MAX)
		return NRS_ELIMIT;
	if ((bio = BIO_new_mem_buf(pem, (int)len)) == NULL)
		return NRS_ENOMEM;
	if ((x = PEM_read_bio_X509(bio, NULL, NULL, NULL)) == NULL)
		goto out;
	rc = NRS_EKEY;
	if ((key = X509_get0_pubkey(x)) == NULL || !key_ok(key))
		goto out;
	rc = NRS_ECRYPTO;
	if ((n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &spki)) > 0)
		rc = nrs_sha256(spki, (size_t)n, ret);
out:
	ERR_clear_error();
	OPENSSL_free(spki);
	X509_free(x);
	BIO_free(bio);
	return rc;
}

int
nrs_cert_to_pem(const uint8_t *der, size_t der_len, char **ret_pem, size_t *ret_len)
{
	const unsigned char *p = der;
	BIO *bio = BIO_new(BIO_s_mem());
	X509 *x = NULL;
	int rc = NRS_ENOMEM;
	char *data;
	long n;

	*ret_pem = NULL;
	if (bio == NULL || der_len > LONG_MAX)
		goto out;
	rc = NRS_ESYNTAX;
	if ((x = d2i_X509(NULL, &p, (long)der_len)) == NULL)
		goto out;
	rc = NRS_ECRYPTO;
	if (PEM_write_bio_X509(bio, x) != 1 || (n = BIO_get_mem_data(bio, &data)) <= 0)
		goto out;
	rc = NRS_ENOMEM;
	if ((*ret_pem = malloc((size_t)n + 1)) == NULL)
		goto out;
	memcpy(*ret_pem, data, (size_t)n);
	(*ret_pem)[n] = '\0';
	*ret_len = (size_t)n;
	rc = 0;
out:
	ERR_clear_error();
	X509_free(x);
	BIO_free(bio);
	return rc;
}
