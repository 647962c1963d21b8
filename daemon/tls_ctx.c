/* The settings of TLS, in one place for the peers' port and that of subscribers. */
#include "daemon/tls_ctx.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <stdlib.h>

#include "crypto/digest.h"
#include "crypto/key.h"
#include "daemon/app.h"

/* The key must be one that peers know from our manifest. */
static int
check_key(const struct nrs_pubkey *pub, const struct nrs_manifest *m, struct nrs_detail *d)
{
	struct nrs_hash pin;

	if (nrs_tls_pin(pub, &pin) != 0)
		return nrs_fail(d, NRS_ECRYPTO, 0, "the TLS key cannot be hashed");
	for (unsigned int i = 0; i < m->ntls; i++)
		if (nrs_hash_eq(&pin, &m->tls_pin[i]))
			return 0;
	return nrs_fail(d, NRS_EKEY, 0, "tls.pem is not a TLS key of the own manifest");
}

static int
use_key(struct app *app, SSL_CTX *ctx, struct nrs_detail *d)
{
	const struct nrs_buf *pem = &app->tls_pem;
	struct nrs_seckey *key = NULL;
	struct nrs_pubkey pub;
	EVP_PKEY *pkey = NULL;
	uint8_t *der = NULL;
	size_t der_len;
	BIO *bio = NULL;
	int rc;

	rc = nrs_seckey_from_pem((const char *)pem->p, pem->len, NULL, &key);
	if (rc != 0)
		return nrs_fail(d, rc, 0, "tls.pem is not an Ed25519 key");
	nrs_seckey_public(key, &pub);
	if ((rc = check_key(&pub, &app->conf->m, d)) != 0)
		goto out;
	if ((rc = nrs_tls_cert(key, app->conf->origin, &der, &der_len)) != 0) {
		nrs_fail(d, rc, 0, "cannot make the TLS certificate");
		goto out;
	}
	bio = BIO_new_mem_buf(pem->p, (int)pem->len);
	pkey = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
	if (pkey == NULL || SSL_CTX_use_certificate_ASN1(ctx, (int)der_len, der) != 1 ||
	    SSL_CTX_use_PrivateKey(ctx, pkey) != 1 || SSL_CTX_check_private_key(ctx) != 1)
		rc = nrs_fail(d, NRS_ECRYPTO, 0, "libssl does not take the TLS key");
out:
	EVP_PKEY_free(pkey);
	BIO_free(bio);
	free(der);
	nrs_seckey_free(key);
	return rc;
}

int
tls_ctx_new(struct app *app, SSL_CTX **ret, struct nrs_detail *d)
{
	static const unsigned char sid[] = "noroshi";
	SSL_CTX *ctx;

	if ((*ret = ctx = SSL_CTX_new(TLS_method())) == NULL)
		return nrs_fail(d, NRS_ECRYPTO, 0, "libssl cannot be used");
	SSL_CTX_set_options(ctx,
	    SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
		SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_num_tickets(ctx, 0) != 1 ||
	    SSL_CTX_set_max_early_data(ctx, 0) != 1 ||
	    SSL_CTX_set1_sigalgs_list(ctx, "ed25519") != 1 ||
	    SSL_CTX_set_session_id_context(ctx, sid, sizeof(sid) - 1) != 1)
		return nrs_fail(d, NRS_ECRYPTO, 0, "libssl does not take the settings");
	return use_key(app, ctx, d);
}
