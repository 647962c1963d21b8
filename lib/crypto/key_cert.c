/*
 * The X.509 shell that TLS wants around a key.  Peers pin the key and look at
 * nothing else, so the certificate never needs renewing.
 */
#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/x509.h>

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
