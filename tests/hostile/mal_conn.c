/* TLS over memory: this file alone moves bytes, so that any of them can be the last. */
#include "tests/hostile/mal.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const unsigned char alpn[] = "\x09noroshi/1";

uint64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int
accept_any(X509_STORE_CTX *store, void *arg)
{
	X509_STORE_CTX_set_error(store, X509_V_OK);
	return 1;
}

static void
ctx_make(struct mal *m)
{
	char path[4096];
	EVP_PKEY *key;
	uint8_t *der;
	size_t len;
	FILE *f;

	snprintf(path, sizeof(path), "%s/keys/tls.pem", m->dir);
	if ((m->ctx = SSL_CTX_new(TLS_method())) == NULL ||
	    (f = fopen(path, "r")) == NULL ||
	    (key = PEM_read_PrivateKey(f, NULL, NULL, NULL)) == NULL ||
	    nrs_tls_cert(m->tls, m->name, &der, &len) != 0)
		die("no TLS key");
	fclose(f);
	SSL_CTX_set_cert_verify_callback(m->ctx, accept_any, NULL);
	SSL_CTX_set_verify(m->ctx, SSL_VERIFY_PEER, NULL);
	if (SSL_CTX_use_certificate_ASN1(m->ctx, (int)len, der) != 1 ||
	    SSL_CTX_use_PrivateKey(m->ctx, key) != 1 ||
	    SSL_CTX_set_min_proto_version(m->ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_alpn_protos(m->ctx, alpn, sizeof(alpn) - 1) != 0)
		die("libssl does not take the key");
	EVP_PKEY_free(key);
	free(der);
}

static int
dial(const char *address)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	const char *colon = strrchr(address, ':');
	char host[64];
	int fd, one = 1;

	snprintf(host, sizeof(host), "%.*s", (int)(colon - address), address);
	in.sin_port = htons((uint16_t)atoi(colon + 1));
	if (inet_pton(AF_INET, host, &in.sin_addr) != 1)
		die("%s is not an address", address);
	if ((fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0 ||
	    connect(fd, (struct sockaddr *)&in, sizeof(in)) != 0)
		die("cannot connect to %s: %s", address, strerror(errno));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	return fd;
}

void
conn_open(struct conn *c, struct mal *m)
{
	if (m->ctx == NULL)
		ctx_make(m);
	memset(c, 0, sizeof(*c));
	c->m = m;
	c->cut_tx = c->cut_rx = UINT64_MAX;
	c->honest = true;
	c->fd = dial(m->address);
	c->ssl = SSL_new(m->ctx);
	c->in = BIO_new(BIO_s_mem());
	c->out = BIO_new(BIO_s_mem());
	if (c->ssl == NULL || c->in == NULL || c->out == NULL)
		die("out of memory");
	BIO_set_mem_eof_return(c->in, -1);
	SSL_set_bio(c->ssl, c->in, c->out);
	SSL_set_connect_state(c->ssl);
	nrs_buf_init(&c->buf, 64u << 20);
	nrs_buf_init(&c->pend, 64u << 20);
	nrs_buf_init(&c->statements, 2u << 20);
	for (unsigned int i = 0; i < m->nauds; i++)
		m->aud[i].stream = 0;
}

void
conn_close(struct conn *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->dead = true;
	SSL_free(c->ssl);
	c->ssl = NULL;
	wire_reader_fini(&c->rd);
	nrs_buf_fini(&c->buf);
	nrs_buf_fini(&c->pend);
	nrs_buf_fini(&c->statements);
}

void
conn_reset(struct conn *c)
{
	struct linger l = { 1, 0 };

	if (c->fd >= 0) {
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
		close(c->fd);
	}
	c->fd = -1;
	c->dead = true;
	c->reset = true;
}

/* May one more byte pass? */
static bool
slow_turn(const struct conn *c, uint64_t *next)
{
	uint64_t now = now_ms();

	if (now < *next)
		return false;
	*next = now + c->slow_ms;
	return true;
}

/* What TLS wants to send goes out, to the last byte that may. */
static void
move_out(struct conn *c)
{
	struct pollfd pfd = { .fd = c->fd, .events = POLLOUT };
	size_t off = 0, k;
	ssize_t sent;
	char *p;
	long n = BIO_get_mem_data(c->out, &p);

	nrs_buf_put(&c->pend, p, (size_t)n);
	(void)BIO_reset(c->out);
	if (c->pend.err != 0)
		die("too much to send");
	while (off < c->pend.len && !c->dead) {
		k = c->pend.len - off;
		if (c->slow_ms != 0) {
			if (!slow_turn(c, &c->slow_tx))
				break;
			k = 1;
		}
		if (c->tx + k > c->cut_tx)
			k = (size_t)(c->cut_tx - c->tx);
		sent = k > 0 ? send(c->fd, c->pend.p + off, k, MSG_NOSIGNAL) : 0;
		if (sent < 0 && errno == EAGAIN) {
			if (poll(&pfd, 1, 30000) <= 0)
				c->dead = true;
			continue;
		}
		if (sent < 0) {
			c->dead = true;
			break;
		}
		c->tx += (uint64_t)sent;
		off += (size_t)sent;
		if (c->tx >= c->cut_tx)
			conn_reset(c);
	}
	memmove(c->pend.p, c->pend.p + off, c->pend.len - off);
	c->pend.len -= off;
}

void
conn_put(struct conn *c, const void *p, size_t len)
{
	nrs_buf_put(&c->buf, p, len);
	if (c->buf.err != 0)
		die("too much to send");
}

void
conn_flush(struct conn *c)
{
	size_t off = 0, n;

	while (!c->dead && off < c->buf.len && SSL_is_init_finished(c->ssl)) {
		n = c->buf.len - off < 65536 ? c->buf.len - off : 65536;
		if (SSL_write(c->ssl, c->buf.p + off, (int)n) <= 0)
			c->dead = true;
		off += n;
		move_out(c);
	}
	if (off > 0 || c->dead)
		nrs_buf_reset(&c->buf);
}

static void
take_plain(struct conn *c)
{
	static uint8_t text[65536];
	struct wire_frame f;
	const uint8_t *p;
	size_t left;
	int n = 1;

	while (!c->dead && (n = SSL_read(c->ssl, text, sizeof(text))) > 0) {
		p = text;
		left = (size_t)n;
		while (wire_reader_next(&c->rd, &p, &left, &f) == 1)
			peer_frame(c, &f);
	}
	if (n <= 0 && SSL_get_error(c->ssl, n) != SSL_ERROR_WANT_READ)
		c->dead = true;
	ERR_clear_error();
}

bool
conn_pump(struct conn *c, int ms)
{
	static uint8_t raw[65536];
	struct pollfd pfd = { .fd = c->fd, .events = POLLIN };
	size_t room = sizeof(raw);
	ssize_t n;

	if (c->dead)
		return false;
	if (!SSL_is_init_finished(c->ssl)) {
		(void)SSL_do_handshake(c->ssl);
		ERR_clear_error();
		move_out(c);
	}
	conn_flush(c);
	if (!c->dead && c->pend.len > 0)
		move_out(c);
	if (c->dead || poll(&pfd, 1, ms) <= 0)
		return !c->dead;
	if (c->slow_ms != 0) {
		if (!slow_turn(c, &c->slow_rx)) {
			struct timespec t = { 0, 5000000 };

			nanosleep(&t, NULL);
			return true;
		}
		room = 1;
	}
	if (c->cut_rx - c->rx < room)
		room = (size_t)(c->cut_rx - c->rx);
	n = recv(c->fd, raw, room, 0);
	if (n < 0 && errno == EAGAIN)
		return true;
	if (n <= 0) {
		c->dead = true;
		return false;
	}
	c->rx += (uint64_t)n;
	BIO_write(c->in, raw, (int)n);
	if (!SSL_is_init_finished(c->ssl)) {
		if (SSL_do_handshake(c->ssl) != 1 &&
		    SSL_get_error(c->ssl, -1) != SSL_ERROR_WANT_READ)
			c->dead = true;
		ERR_clear_error();
		move_out(c);
	}
	if (!c->dead && SSL_is_init_finished(c->ssl))
		take_plain(c);
	if (!c->dead)
		move_out(c);
	if (c->rx >= c->cut_rx)
		conn_reset(c);
	return !c->dead;
}
