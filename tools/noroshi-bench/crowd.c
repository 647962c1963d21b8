/* Subscribers in numbers: crowd.h. */
#include "tools/noroshi-bench/crowd.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto/key.h"

#define BUF	    (256u << 10)
#define EVENTS	    256
#define CHECK_EVERY 25 /* of them one is checked line by line */
#define PREFIX_MAX  64

struct member {
	int fd;
	SSL *ssl;
	uint64_t bytes, lines;
	bool checked, wrong;
	uint64_t event, n; /* of the line before */
	char part[PREFIX_MAX];
	unsigned int part_len; /* of the line that is coming */
};

struct crowd {
	struct bench *b;
	int ep;
	struct member *v;
	unsigned int n, max;
	uint8_t *buf;
	uint64_t bytes, lines;
	bool gone;
};

int
crowd_new(struct bench *b, unsigned int max, struct crowd **ret)
{
	struct crowd *c = bench_alloc(sizeof(*c));

	memset(c, 0, sizeof(*c));
	c->b = b;
	c->max = max;
	c->v = bench_alloc(max * sizeof(*c->v));
	c->buf = bench_alloc(BUF);
	*ret = c;
	if ((c->ep = epoll_create1(EPOLL_CLOEXEC)) >= 0)
		return 0;
	crowd_free(c);
	*ret = NULL;
	return bench_fail_errno(b, "cannot make an epoll");
}

void
crowd_free(struct crowd *c)
{
	if (c == NULL)
		return;
	for (unsigned int i = 0; i < c->n; i++) {
		SSL_free(c->v[i].ssl);
		close(c->v[i].fd);
	}
	if (c->ep >= 0)
		close(c->ep);
	free(c->v);
	free(c->buf);
	free(c);
}

int
crowd_add(struct crowd *c, int fd, SSL *ssl)
{
	struct epoll_event e = { .events = EPOLLIN, .data.u32 = c->n };
	struct member *m = &c->v[c->n];

	memset(m, 0, sizeof(*m));
	m->fd = fd;
	m->ssl = ssl;
	m->checked = c->n % CHECK_EVERY == 0;
	if (c->n == c->max || fcntl(fd, F_SETFL, O_NONBLOCK) != 0 ||
	    epoll_ctl(c->ep, EPOLL_CTL_ADD, fd, &e) != 0) {
		SSL_free(ssl);
		close(fd);
		return bench_fail_errno(c->b, "cannot watch a socket");
	}
	c->n++;
	return 0;
}

/* --- connecting ------------------------------------------------------------ */

int
crowd_unix(struct crowd *c, const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(sun.sun_path)) {
		close(fd);
		return bench_fail(c->b, "%s: too long for a socket", path);
	}
	strcpy(sun.sun_path, path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sun, sizeof(sun)) != 0 ||
	    write(fd, "\n", 1) != 1) {
		close(fd);
		return bench_fail_errno(c->b, "cannot connect to %s", path);
	}
	return crowd_add(c, fd, NULL);
}

static void
seed_bytes(unsigned int seed, uint8_t out[32])
{
	memset(out, 0x5c, 32);
	for (unsigned int i = 0; i < 4; i++)
		out[i] = (uint8_t)(seed >> (8 * i));
}

static uint8_t *
certificate(unsigned int seed, size_t *ret_len)
{
	struct nrs_seckey *k = NULL;
	uint8_t raw[32], *der = NULL;
	char name[32];

	seed_bytes(seed, raw);
	snprintf(name, sizeof(name), "bench-%u", seed);
	if (nrs_seckey_from_seed(raw, &k) != 0 || nrs_tls_cert(k, name, &der, ret_len) != 0)
		der = NULL;
	nrs_seckey_free(k);
	return der;
}

char *
crowd_certificate(unsigned int seed)
{
	size_t der_len = 0, len;
	uint8_t *der = certificate(seed, &der_len);
	char *pem = NULL;

	if (der != NULL && nrs_cert_to_pem(der, der_len, &pem, &len) != 0)
		pem = NULL;
	free(der);
	return pem;
}

static int
use_key(SSL *ssl, unsigned int seed)
{
	uint8_t raw[32], *der;
	size_t len = 0;
	EVP_PKEY *key;
	int ok;

	seed_bytes(seed, raw);
	der = certificate(seed, &len);
	key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, raw, sizeof(raw));
	ok = der != NULL && key != NULL &&
	    SSL_use_certificate_ASN1(ssl, der, (int)len) == 1 &&
	    SSL_use_PrivateKey(ssl, key) == 1;
	EVP_PKEY_free(key);
	free(der);
	return ok;
}

SSL *
crowd_connect(struct bench *b, int fd, unsigned int seed, const char *alpn)
{
	static SSL_CTX *ctx;
	SSL *ssl;
	int one = 1;

	if (ctx == NULL && (ctx = SSL_CTX_new(TLS_client_method())) != NULL) {
		SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
		SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
		/* the header and the record behind it with one call */
		SSL_CTX_set_read_ahead(ctx, 1);
		SSL_CTX_set_default_read_buffer_len(ctx, 65536);
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (ctx != NULL && (ssl = SSL_new(ctx)) != NULL) {
		if (use_key(ssl, seed) && SSL_set_fd(ssl, fd) == 1 &&
		    (alpn == NULL ||
			SSL_set_alpn_protos(ssl, (const unsigned char *)alpn,
			    (unsigned int)strlen(alpn)) == 0) &&
		    SSL_connect(ssl) == 1)
			return ssl;
		SSL_free(ssl);
	}
	(void)bench_fail(b, "TLS: %s", ERR_reason_error_string(ERR_peek_error()));
	ERR_clear_error();
	return NULL;
}

int
crowd_tls(struct crowd *c, int port, unsigned int seed)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	SSL *ssl;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sin, sizeof(sin)) != 0) {
		close(fd);
		return bench_fail_errno(c->b, "cannot connect to port %d", port);
	}
	if ((ssl = crowd_connect(c->b, fd, seed, "\x10noroshi-stream/1")) == NULL ||
	    SSL_write(ssl, "\n", 1) != 1) {
		SSL_free(ssl);
		close(fd);
		return bench_fail(c->b, "subscriber %u cannot begin", seed);
	}
	return crowd_add(c, fd, ssl);
}

/* --- reading ----------------------------------------------------------------- */

/* A line's beginning says where it stands: the next object, or an event after. */
static void
check_line(struct member *m, const char *p)
{
	unsigned long long event, n;

	if (strncmp(p, "{\"action\":\"heartbeat\"", 21) == 0) {
		m->lines--;
		return;
	}
	if (sscanf(p, "{\"event\":%llu,\"n\":%llu,", &event, &n) != 2 ||
	    !(event == m->event ? n == m->n + 1 : event > m->event && n == 0))
		m->wrong = true;
	m->event = event;
	m->n = n;
}

static void
keep(struct member *m, const uint8_t *p, size_t len)
{
	if (len > sizeof(m->part) - 1 - m->part_len)
		len = sizeof(m->part) - 1 - m->part_len;
	memcpy(m->part + m->part_len, p, len);
	m->part_len += (unsigned int)len;
	m->part[m->part_len] = '\0';
}

static void
take(struct crowd *c, struct member *m, const uint8_t *p, size_t len, bool count)
{
	const uint8_t *nl, *end = p + len;
	uint64_t before = m->lines;

	m->bytes += len;
	c->bytes += len;
	while (count && p < end && (nl = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		m->lines++;
		if (m->checked) {
			keep(m, p, (size_t)(nl - p));
			check_line(m, m->part);
			m->part_len = 0;
		}
		p = nl + 1;
	}
	if (count && m->checked && p < end)
		keep(m, p, (size_t)(end - p));
	c->lines += m->lines - before;
}

static void
read_one(struct crowd *c, struct member *m, bool count)
{
	ssize_t n;
	int k;

	if (m->ssl == NULL) {
		n = recv(m->fd, c->buf, BUF, 0);
		if (n > 0)
			take(c, m, c->buf, (size_t)n, count);
		else if (n == 0 || (errno != EAGAIN && errno != EINTR))
			c->gone = true;
		return;
	}
	for (size_t got = 0; got < BUF; got += (size_t)k) {
		k = SSL_read(m->ssl, c->buf, BUF);
		if (k <= 0) {
			c->gone |= SSL_get_error(m->ssl, k) != SSL_ERROR_WANT_READ;
			return;
		}
		take(c, m, c->buf, (size_t)k, count);
	}
}

int
crowd_poll(struct crowd *c, int ms, bool count)
{
	struct epoll_event e[EVENTS];
	int n = epoll_wait(c->ep, e, EVENTS, ms);

	ERR_clear_error();
	for (int i = 0; i < n; i++)
		read_one(c, &c->v[e[i].data.u32], count);
	return c->gone ? bench_fail(c->b, "a subscriber was cut off") : 0;
}

uint64_t
crowd_bytes(const struct crowd *c)
{
	return c->bytes;
}

uint64_t
crowd_lines(const struct crowd *c)
{
	return c->lines;
}

uint64_t
crowd_slowest(const struct crowd *c)
{
	uint64_t least = UINT64_MAX;

	for (unsigned int i = 0; i < c->n; i++)
		if (c->v[i].lines < least)
			least = c->v[i].lines;
	return least;
}

int
crowd_check(const struct crowd *c, uint64_t lines)
{
	for (unsigned int i = 0; i < c->n; i++) {
		const struct member *m = &c->v[i];

		if (m->lines != lines || m->wrong || m->bytes != c->v[0].bytes)
			return bench_fail(c->b,
			    "subscriber %u has %llu lines of %llu in %llu bytes%s", i,
			    (unsigned long long)m->lines, (unsigned long long)lines,
			    (unsigned long long)m->bytes,
			    m->wrong ? ", not in their order" : "");
	}
	return 0;
}

void
crowd_reset(struct crowd *c)
{
	c->bytes = c->lines = 0;
	for (unsigned int i = 0; i < c->n; i++)
		c->v[i].bytes = c->v[i].lines = 0;
}
