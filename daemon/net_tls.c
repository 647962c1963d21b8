/*
 * TLS as docs/PROTOCOL.md wants it: 1.3 only, ALPN noroshi/1, a certificate on
 * both sides of which the public key alone counts.  Nothing is resumed, so every
 * connection proves its key anew.
 */
#include "daemon/net_priv.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <sys/ioctl.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>

#include "crypto/digest.h"
#include "crypto/key.h"
#include "daemon/loop.h"
#include "daemon/tls_ctx.h"
#include "node/node.h"

/* A second: from where peers were up before, and from everywhere else. */
#define HELLOS_KNOWN   1000u
#define HELLOS_STRANGE 250u

static const unsigned char alpn[] = { 9, 'n', 'o', 'r', 'o', 's', 'h', 'i', '/', '1' };

static bool
cert_pin(X509 *x, struct nrs_hash *ret)
{
	uint8_t raw[NRS_ED25519_PUB];
	struct nrs_pubkey key;
	size_t len = sizeof(raw);
	EVP_PKEY *pkey;

	return x != NULL && (pkey = X509_get0_pubkey(x)) != NULL &&
	    EVP_PKEY_get_base_id(pkey) == EVP_PKEY_ED25519 &&
	    EVP_PKEY_get_raw_public_key(pkey, raw, &len) == 1 && len == sizeof(raw) &&
	    nrs_pubkey_init(&key, NRS_ALG_ED25519, raw, sizeof(raw)) == 0 &&
	    nrs_tls_pin(&key, ret) == 0;
}

/* In place of all that X.509 would check: names, dates and issuers mean nothing here. */
static int
verify_cb(X509_STORE_CTX *store, void *arg)
{
	struct net *net = arg;
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct net_conn *c = ssl != NULL ? SSL_get_app_data(ssl) : NULL;
	const char *name = NULL;

	X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_UNTRUSTED);
	if (c == NULL || net->app->node == NULL)
		return 0;
	if (!cert_pin(X509_STORE_CTX_get0_cert(store), &c->pin))
		return 0;
	c->seen_cert = true;
	name = node_pin_find(net->app->node, &c->pin);
	if (name == NULL || (c->dialed && strcmp(name, c->peer) != 0))
		return 0;
	snprintf(c->peer, sizeof(c->peer), "%s", name);
	c->pin_ok = true;
	X509_STORE_CTX_set_error(store, X509_V_OK);
	return 1;
}

/*
 * The costly part begins behind this one: about 1 ms for each.  Strangers, and the
 * places where peers were up before, have so many in a second each, and no more.
 */
static int
hello_cb(SSL *ssl, int *alert, void *arg)
{
	struct net *net = arg;
	const struct net_conn *c = SSL_get_app_data(ssl);
	struct net_hellos *h;
	struct nrs_mono now = loop_mono();

	if (c == NULL || c->host == NULL)
		return SSL_CLIENT_HELLO_SUCCESS;
	h = &net->hellos[c->host->known];
	if (now.ns - h->since.ns >= UINT64_C(1000000000)) {
		h->since = now;
		h->n = 0;
	}
	if (h->n++ < (c->host->known ? HELLOS_KNOWN : HELLOS_STRANGE))
		return SSL_CLIENT_HELLO_SUCCESS;
	*alert = SSL_AD_INTERNAL_ERROR;
	return SSL_CLIENT_HELLO_ERROR;
}

static int
alpn_cb(SSL *ssl, const unsigned char **out, unsigned char *out_len,
    const unsigned char *in, unsigned int in_len, void *arg)
{
	for (unsigned int i = 0; i < in_len; i += 1u + in[i])
		if (in[i] == alpn[0] && in_len - i >= sizeof(alpn) &&
		    memcmp(in + i, alpn, sizeof(alpn)) == 0) {
			*out = alpn + 1;
			*out_len = alpn[0];
			return SSL_TLSEXT_ERR_OK;
		}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

int
tls_init(struct net *net, struct nrs_detail *d)
{
	SSL_CTX *ctx;
	int rc;

	if ((rc = tls_ctx_new(net->app, &net->ssl, d)) != 0)
		return rc;
	ctx = net->ssl;
	SSL_CTX_set_cert_verify_callback(ctx, verify_cb, net);
	SSL_CTX_set_client_hello_cb(ctx, hello_cb, net);
	SSL_CTX_set_alpn_select_cb(ctx, alpn_cb, NULL);
	/* One message of TLS in a turn: who sends key updates for ever keeps nobody else waiting. */
	SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
	/* SSL_CTX_set_alpn_protos() alone is 0 on success. */
	if (SSL_CTX_set1_client_sigalgs_list(ctx, "ed25519") != 1 ||
	    SSL_CTX_set_alpn_protos(ctx, alpn, sizeof(alpn)) != 0)
		return nrs_fail(d, NRS_ECRYPTO, 0, "libssl does not take the settings");
	return 0;
}

void
tls_fini(struct net *net)
{
	SSL_CTX_free(net->ssl);
	net->ssl = NULL;
}

struct bufferevent *
tls_wrap(struct net_conn *c, int fd)
{
	struct bufferevent *bev;
	SSL *ssl;

	if ((ssl = SSL_new(c->net->ssl)) == NULL) {
		ERR_clear_error();
		evutil_closesocket(fd);
		return NULL;
	}
	SSL_set_app_data(ssl, c);
	bev = bufferevent_openssl_socket_new(c->net->app->base, fd, ssl,
	    c->dialed ? BUFFEREVENT_SSL_CONNECTING : BUFFEREVENT_SSL_ACCEPTING,
	    BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	if (bev == NULL) {
		SSL_free(ssl);
		evutil_closesocket(fd);
		return NULL;
	}
	/* Our frames have lengths and a BYE: a cut is seen there. */
	bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
	return bev;
}

bool
tls_spoken(const struct net_conn *c)
{
	SSL *ssl = bufferevent_openssl_get_ssl(c->bev);
	int waiting = 0;

	if (ssl != NULL && !SSL_in_before(ssl))
		return true;
	/* It may have come, and the loop has not been there yet. */
	return ioctl(bufferevent_getfd(c->bev), FIONREAD, &waiting) == 0 && waiting > 0;
}

bool
tls_check(struct net_conn *c, enum net_reason *ret)
{
	SSL *ssl = bufferevent_openssl_get_ssl(c->bev);
	const unsigned char *p = NULL;
	unsigned int len = 0;

	*ret = NET_R_TLS;
	if (SSL_version(ssl) != TLS1_3_VERSION) {
		*ret = NET_R_VERSION;
		return false;
	}
	if (!c->pin_ok || SSL_get_verify_result(ssl) != X509_V_OK) {
		*ret = NET_R_PIN;
		return false;
	}
	/* A client that offers nothing at all is never asked by alpn_cb(). */
	SSL_get0_alpn_selected(ssl, &p, &len);
	if (len != alpn[0] || memcmp(p, alpn + 1, len) != 0) {
		*ret = NET_R_ALPN;
		return false;
	}
	return true;
}

static enum net_reason
reason_of(const struct net_conn *c, unsigned long err)
{
	if (c->seen_cert && !c->pin_ok)
		return NET_R_PIN;
	switch (ERR_GET_REASON(err)) {
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
	case SSL_R_VERSION_TOO_LOW:
		return NET_R_VERSION;
	case SSL_R_HTTP_REQUEST:
	case SSL_R_HTTPS_PROXY_REQUEST:
	case SSL_R_WRONG_VERSION_NUMBER:
	case SSL_R_UNEXPECTED_MESSAGE:
	case SSL_R_PACKET_LENGTH_TOO_LONG:
	case SSL_R_BAD_RECORD_TYPE:
		return NET_R_PLAIN;
	case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
	case SSL_R_CERTIFICATE_VERIFY_FAILED:
	case SSL_R_WRONG_CERTIFICATE_TYPE:
	case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
	case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
	case SSL_R_WRONG_SIGNATURE_TYPE:
		return NET_R_CERT;
	case SSL_R_NO_APPLICATION_PROTOCOL:
	case SSL_R_BAD_EXTENSION:
		return NET_R_ALPN;
	case SSL_R_CALLBACK_FAILED:
		return NET_R_LIMIT;
	case SSL_R_UNEXPECTED_EOF_WHILE_READING:
		return NET_R_HANGUP;
	default:
		return NET_R_TLS;
	}
}

/* Alerts that mean, between two of us, that the other side does not have our key. */
static bool
is_key_alert(unsigned long err)
{
	int r = ERR_GET_REASON(err);

	return r == SSL_R_SSLV3_ALERT_BAD_CERTIFICATE ||
	    r == SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN ||
	    r == SSL_R_TLSV1_ALERT_UNKNOWN_CA || r == SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE ||
	    r == SSL_R_TLSV1_ALERT_ACCESS_DENIED;
}

enum net_reason
tls_error(struct net_conn *c, char *why, size_t max)
{
	unsigned long err = 0, e;
	enum net_reason r;
	const char *text;

	/* The first error is the cause. */
	while ((e = bufferevent_get_openssl_error(c->bev)) != 0)
		err = err != 0 ? err : e;
	ERR_clear_error();
	if (err == 0 && !(c->seen_cert && !c->pin_ok)) {
		int sock = EVUTIL_SOCKET_ERROR();

		snprintf(why, max, "%s",
		    sock != 0 ? evutil_socket_error_to_string(sock)
			      : "closed by the other side");
		return NET_R_HANGUP;
	}
	r = reason_of(c, err);
	text = err != 0 ? ERR_reason_error_string(err) : NULL;
	if (is_key_alert(err))
		snprintf(why, max,
		    "the peer does not accept our key: it has another one "
		    "pinned, or none");
	else if (r == NET_R_PIN && c->dialed)
		snprintf(why, max, "the key is not the one pinned for %s", c->peer);
	else if (r == NET_R_TLS)
		snprintf(
		    why, max, "TLS failed: %s", text != NULL ? text : "no reason given");
	else
		snprintf(why, max, "%s", net_reason_text(r));
	return r;
}

void
tls_say_goodbye(struct net_conn *c)
{
	SSL *ssl = bufferevent_openssl_get_ssl(c->bev);

	if (ssl != NULL && SSL_is_init_finished(ssl))
		(void)SSL_shutdown(ssl); /* close_notify, if it fits; the frames said BYE */
	ERR_clear_error();
}
