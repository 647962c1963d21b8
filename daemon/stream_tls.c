/*
 * TLS for subscribers (docs/CONTROL.md, the stream): a certificate names one, and
 * of it the key alone counts.  libssl writes into a BIO that never refuses: what
 * the socket does not take waits in the client, at most one record of it, so that
 * no write has to be repeated with the same bytes.
 */
#include "daemon/stream_priv.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <errno.h>
#include <string.h>

#include "crypto/digest.h"
#include "daemon/tls_ctx.h"

static const unsigned char alpn[] = "\x10noroshi-stream/1";
#define ALPN_LEN (sizeof(alpn) - 1)

/* What a subscriber's certificate may sign with: conf_check.c lets in the same keys. */
static const char sigalgs[] = "ed25519:ecdsa_secp256r1_sha256:ecdsa_secp384r1_sha384:"
			      "rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512";

/* --- the BIO ------------------------------------------------------------------ */

static int
bio_write(BIO *b, const char *p, int len)
{
	struct client *c = BIO_get_data(b);

	BIO_clear_retry_flags(b);
	return len > 0 && client_send(c, (const uint8_t *)p, (size_t)len) == 0 ? len : -1;
}

static int
bio_read(BIO *b, char *p, int len)
{
	struct client *c = BIO_get_data(b);
	ssize_t n;

	BIO_clear_retry_flags(b);
	do
		n = recv(c->fd, p, (size_t)len, 0);
	while (n < 0 && errno == EINTR);
	c->dry = n < 0 && errno == EAGAIN;
	if (c->dry)
		BIO_set_retry_read(b);
	return (int)n;
}

static long
bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
	return cmd == BIO_CTRL_FLUSH || cmd == BIO_CTRL_DUP || cmd == BIO_CTRL_PUSH ||
	    cmd == BIO_CTRL_POP;
}

static int
bio_create(BIO *b)
{
	BIO_set_init(b, 1);
	return 1;
}

/* --- settings ------------------------------------------------------------------- */

static int
verify_cb(X509_STORE_CTX *store, void *arg)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct client *c = ssl != NULL ? SSL_get_app_data(ssl) : NULL;
	X509 *x = X509_STORE_CTX_get0_cert(store);
	unsigned char *spki = NULL;
	int n, rc = 0;

	X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_UNTRUSTED);
	if (c == NULL || x == NULL)
		return 0;
	n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &spki);
	if (n > 0 && nrs_sha256(spki, (size_t)n, &c->pin) == 0 &&
	    stream_find_pin(c->s, &c->pin) != NULL)
		rc = 1;
	OPENSSL_free(spki);
	if (rc == 1)
		X509_STORE_CTX_set_error(store, X509_V_OK);
	return rc;
}

static int
alpn_cb(SSL *ssl, const unsigned char **out, unsigned char *out_len,
    const unsigned char *in, unsigned int in_len, void *arg)
{
	for (unsigned int i = 0; i < in_len; i += 1u + in[i])
		if (in[i] == alpn[0] && in_len - i >= ALPN_LEN &&
		    memcmp(in + i, alpn, ALPN_LEN) == 0) {
			*out = alpn + 1;
			*out_len = alpn[0];
			return SSL_TLSEXT_ERR_OK;
		}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

int
stream_tls_init(struct stream *s, struct nrs_detail *d)
{
	BIO_METHOD *m;
	int rc;

	if ((rc = tls_ctx_new(s->app, &s->ssl, d)) != 0)
		return rc;
	SSL_CTX_set_cert_verify_callback(s->ssl, verify_cb, s);
	SSL_CTX_set_alpn_select_cb(s->ssl, alpn_cb, NULL);
	/* Thousands are idle at a time: they hold no buffers. */
	SSL_CTX_set_mode(s->ssl, SSL_MODE_RELEASE_BUFFERS);
	/* One message of TLS in a call: who sends key updates for ever keeps nobody else waiting. */
	SSL_CTX_clear_mode(s->ssl, SSL_MODE_AUTO_RETRY);
	m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "client");
	s->bio = m;
	if (m == NULL || BIO_meth_set_write(m, bio_write) != 1 ||
	    BIO_meth_set_read(m, bio_read) != 1 || BIO_meth_set_ctrl(m, bio_ctrl) != 1 ||
	    BIO_meth_set_create(m, bio_create) != 1 ||
	    SSL_CTX_set1_client_sigalgs_list(s->ssl, sigalgs) != 1)
		return nrs_fail(d, NRS_ECRYPTO, 0, "libssl does not take the settings");
	return 0;
}

void
stream_tls_fini(struct stream *s)
{
	SSL_CTX_free(s->ssl);
	s->ssl = NULL;
	BIO_meth_free(s->bio);
	s->bio = NULL;
}

/* --- one connection ---------------------------------------------------------------- */

int
stream_tls_begin(struct client *c)
{
	BIO *b = BIO_new(c->s->bio);

	if (b == NULL || (c->ssl = SSL_new(c->s->ssl)) == NULL) {
		BIO_free(b);
		ERR_clear_error();
		return NRS_ENOMEM;
	}
	BIO_set_data(b, c);
	SSL_set_bio(c->ssl, b, b);
	SSL_set_app_data(c->ssl, c);
	SSL_set_accept_state(c->ssl);
	return 0;
}

void
stream_tls_end(struct client *c)
{
	if (c->ssl == NULL)
		return;
	/* close_notify, if it goes out at once */
	if (SSL_is_init_finished(c->ssl) && c->out == NULL && !c->blocked)
		(void)SSL_shutdown(c->ssl);
	SSL_free(c->ssl);
	c->ssl = NULL;
	ERR_clear_error();
}

static enum stream_reason
reason(const struct client *c)
{
	unsigned long err = ERR_peek_error();

	switch (ERR_GET_REASON(err)) {
	case SSL_R_NO_APPLICATION_PROTOCOL:
		return STREAM_R_ALPN;
	case SSL_R_CERTIFICATE_VERIFY_FAILED:
		return STREAM_R_PIN;
	default:
		return STREAM_R_TLS;
	}
}

int
stream_tls_handshake(struct client *c, enum stream_reason *why)
{
	const unsigned char *p = NULL;
	unsigned int len = 0;
	int rc, err;

	ERR_clear_error();
	rc = SSL_accept(c->ssl);
	if (rc != 1) {
		err = SSL_get_error(c->ssl, rc);
		if (err == SSL_ERROR_WANT_READ || err == SSL_ERROR_WANT_WRITE)
			return 0;
		*why = reason(c);
		return -1;
	}
	/* A client that offers nothing at all is never asked by alpn_cb(). */
	SSL_get0_alpn_selected(c->ssl, &p, &len);
	if (len == alpn[0] && memcmp(p, alpn + 1, len) == 0)
		return 1;
	*why = STREAM_R_ALPN;
	return -1;
}

ssize_t
stream_tls_read(struct client *c, void *buf, size_t len)
{
	size_t n = 0;
	int rc;

	ERR_clear_error();
	if ((rc = SSL_read_ex(c->ssl, buf, len, &n)) == 1)
		return (ssize_t)n;
	switch (SSL_get_error(c->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
		return c->dry ? -1 : -3;
	case SSL_ERROR_WANT_WRITE:
		return -1;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		return -2;
	}
}

ssize_t
stream_tls_write(struct client *c, const void *buf, size_t len)
{
	size_t n = 0;

	ERR_clear_error();
	return SSL_write_ex(c->ssl, buf, len, &n) == 1 ? (ssize_t)n : -2;
}
