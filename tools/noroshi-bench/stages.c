/*
 * Stages of a floor, each the bare work on the bytes, with the sizes and the
 * settings of the daemon, and nothing of its checks.
 */
#include <sys/socket.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto/key.h"
#include "tools/noroshi-bench/limits_priv.h"

#define TLS_PIECE 16384 /* a TLS record */

/* --- TLS ------------------------------------------------------------------- */

int
limit_socket_pair(int fd[2])
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t len = sizeof(sin);
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	fd[0] = fd[1] = -1;
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (l >= 0 && bind(l, (struct sockaddr *)&sin, sizeof(sin)) == 0 &&
	    listen(l, 1) == 0 && getsockname(l, (struct sockaddr *)&sin, &len) == 0 &&
	    (fd[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) >= 0 &&
	    connect(fd[1], (struct sockaddr *)&sin, sizeof(sin)) == 0)
		fd[0] = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	if (l >= 0)
		close(l);
	if (fd[0] < 0)
		return -1;
	(void)setsockopt(fd[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(fd[1], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return 0;
}

/* The server's key and certificate, as a node makes them. */
static int
use_key(SSL_CTX *ctx)
{
	uint8_t seed[32] = { 9 }, *der = NULL;
	struct nrs_seckey *k = NULL;
	size_t len = 0;
	EVP_PKEY *key =
	    EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof(seed));
	int ok = key != NULL && nrs_seckey_from_seed(seed, &k) == 0 &&
	    nrs_tls_cert(k, "bench.example", &der, &len) == 0 &&
	    SSL_CTX_use_certificate_ASN1(ctx, (int)len, der) == 1 &&
	    SSL_CTX_use_PrivateKey(ctx, key) == 1;

	nrs_seckey_free(k);
	EVP_PKEY_free(key);
	free(der);
	return ok ? 0 : -1;
}

static void *
do_accept(void *arg)
{
	return SSL_accept(arg) == 1 ? arg : NULL;
}

int
limit_tls_open(struct limit_tls_pair *t)
{
	pthread_t thread;
	void *ok = NULL;

	memset(t, 0, sizeof(*t));
	t->fd[0] = t->fd[1] = -1;
	t->ctx[0] = SSL_CTX_new(TLS_server_method());
	t->ctx[1] = SSL_CTX_new(TLS_client_method());
	if (t->ctx[0] == NULL || t->ctx[1] == NULL || use_key(t->ctx[0]) != 0 ||
	    SSL_CTX_set_min_proto_version(t->ctx[0], TLS1_3_VERSION) != 1 ||
	    (t->ssl[0] = SSL_new(t->ctx[0])) == NULL ||
	    (t->ssl[1] = SSL_new(t->ctx[1])) == NULL || limit_socket_pair(t->fd) != 0 ||
	    SSL_set_fd(t->ssl[0], t->fd[0]) != 1 || SSL_set_fd(t->ssl[1], t->fd[1]) != 1 ||
	    pthread_create(&thread, NULL, do_accept, t->ssl[0]) != 0)
		goto fail;
	if (SSL_connect(t->ssl[1]) != 1)
		shutdown(t->fd[1], SHUT_RDWR);
	pthread_join(thread, &ok);
	if (ok != NULL)
		return 0;
fail:
	limit_tls_close(t);
	return -1;
}

void
limit_tls_close(struct limit_tls_pair *t)
{
	for (int i = 0; i < 2; i++) {
		SSL_free(t->ssl[i]);
		SSL_CTX_free(t->ctx[i]);
		if (t->fd[i] >= 0)
			close(t->fd[i]);
	}
}

/* The other end: writes what it is told, as a peer would. */
struct tls_stage {
	struct limit_tls_pair t;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t change;
	const uint8_t *p; /* to be written; NULL: nothing */
	size_t len;
	bool stop, failed;
};

static void *
tls_writer(void *arg)
{
	struct tls_stage *s = arg;
	size_t n, done;

	pthread_mutex_lock(&s->lock);
	while (!s->stop) {
		if (s->p == NULL) {
			pthread_cond_wait(&s->change, &s->lock);
			continue;
		}
		pthread_mutex_unlock(&s->lock);
		for (done = 0; done < s->len; done += n) {
			n = s->len - done < TLS_PIECE ? s->len - done : TLS_PIECE;
			if (SSL_write(s->t.ssl[1], s->p + done, (int)n) != (int)n)
				break;
		}
		pthread_mutex_lock(&s->lock);
		s->failed = s->failed || done < s->len;
		s->p = NULL;
		pthread_cond_broadcast(&s->change);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static void *
tls_open(void *arg)
{
	struct tls_stage *s = bench_alloc(sizeof(*s));

	(void)arg;
	if (limit_tls_open(&s->t) != 0) {
		free(s);
		return NULL;
	}
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->change, NULL);
	if (pthread_create(&s->thread, NULL, tls_writer, s) != 0) {
		limit_tls_close(&s->t);
		free(s);
		return NULL;
	}
	return s;
}

static int
tls_one(struct tls_stage *s, struct limit_item *it)
{
	uint8_t *dst = it->buf[0];
	size_t got = 0, n;

	if (it->src_len > it->buf_cap)
		return -1;
	pthread_mutex_lock(&s->lock);
	s->p = it->src;
	s->len = it->src_len;
	pthread_cond_broadcast(&s->change);
	pthread_mutex_unlock(&s->lock);
	for (; got < it->src_len; got += n)
		if (SSL_read_ex(s->t.ssl[0], dst + got, it->src_len - got, &n) != 1)
			return -1;
	pthread_mutex_lock(&s->lock);
	while (s->p != NULL)
		pthread_cond_wait(&s->change, &s->lock);
	pthread_mutex_unlock(&s->lock);
	it->p = dst;
	it->len = got;
	return s->failed ? -1 : 0;
}

static int
tls_work(void *ctx, struct limit_item **items, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (tls_one(ctx, items[i]) != 0)
			return -1;
	return 0;
}

static void
tls_close(void *ctx)
{
	struct tls_stage *s = ctx;

	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_broadcast(&s->change);
	pthread_mutex_unlock(&s->lock);
	shutdown(s->t.fd[0], SHUT_RDWR);
	pthread_join(s->thread, NULL);
	limit_tls_close(&s->t);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->change);
	free(s);
}

struct limit_stage
limit_stage_tls(struct bench *b)
{
	(void)b;
	return (struct limit_stage){
		.name = "tls", .open = tls_open, .work = tls_work, .close = tls_close
	};
}

/* --- hash and seal ----------------------------------------------------------- */

struct ctx {
	EVP_MD *md;
	EVP_MD_CTX *mctx;
	EVP_CIPHER *cipher;
	EVP_CIPHER_CTX *cctx;
	uint8_t aead[32];
};

static void
ctx_close(void *arg)
{
	struct ctx *c = arg;

	EVP_MD_CTX_free(c->mctx);
	EVP_MD_free(c->md);
	EVP_CIPHER_CTX_free(c->cctx);
	EVP_CIPHER_free(c->cipher);
	free(c);
}

/* One context for both kinds of stages: each uses what it needs. */
static void *
ctx_open(void *arg)
{
	struct ctx *c = bench_alloc(sizeof(*c));

	(void)arg;
	c->md = EVP_MD_fetch(NULL, "SHA256", NULL);
	c->mctx = EVP_MD_CTX_new();
	c->cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	c->cctx = EVP_CIPHER_CTX_new();
	if (c->md != NULL && c->mctx != NULL && c->cipher != NULL && c->cctx != NULL)
		return c;
	ctx_close(c);
	return NULL;
}

static int
sha_work(void *ctx, struct limit_item **items, size_t n)
{
	struct ctx *c = ctx;
	uint8_t out[32];
	unsigned int len;

	for (size_t i = 0; i < n; i++)
		if (EVP_DigestInit_ex2(c->mctx, c->md, NULL) != 1 ||
		    EVP_DigestUpdate(c->mctx, items[i]->p, items[i]->len) != 1 ||
		    EVP_DigestFinal_ex(c->mctx, out, &len) != 1)
			return -1;
	return 0;
}

static int
aead_work(void *ctx, struct limit_item **items, size_t n)
{
	static const uint8_t iv[12];
	struct ctx *c = ctx;
	struct limit_item *it;
	uint8_t *dst;
	int len, rest;

	for (size_t i = 0; i < n; i++) {
		it = items[i];
		dst = limit_other(it);
		c->aead[0]++; /* a key of its own for each, and so its schedule */
		if (it->len + 16 > it->buf_cap ||
		    EVP_EncryptInit_ex2(c->cctx, c->cipher, c->aead, iv, NULL) != 1 ||
		    EVP_EncryptUpdate(c->cctx, dst, &len, it->p, (int)it->len) != 1 ||
		    EVP_EncryptFinal_ex(c->cctx, dst + len, &rest) != 1 ||
		    EVP_CIPHER_CTX_ctrl(
			c->cctx, EVP_CTRL_AEAD_GET_TAG, 16, dst + len + rest) != 1)
			return -1;
		it->p = dst;
		it->len = (size_t)(len + rest) + 16;
	}
	return 0;
}

static struct limit_stage
ctx_stage(const char *name, int (*work)(void *ctx, struct limit_item **items, size_t n))
{
	return (struct limit_stage){
		.name = name, .open = ctx_open, .work = work, .close = ctx_close
	};
}

struct limit_stage
limit_stage_sha256(void)
{
	return ctx_stage("sha256", sha_work);
}

struct limit_stage
limit_stage_aead(void)
{
	return ctx_stage("aes-gcm", aead_work);
}

/* --- disk ----------------------------------------------------------------------- */

struct store {
	char *path;
	int fd;
	uint64_t off;
	uint8_t *batch;
	size_t cap;
};

static void *
store_open(void *arg)
{
	struct store *s = bench_alloc(sizeof(*s));

	if (limit_disk_open(arg, &s->path, &s->fd) == 0)
		return s;
	free(s);
	return NULL;
}

static void
store_close(void *ctx)
{
	struct store *s = ctx;

	limit_disk_close(s->path, s->fd);
	free(s->batch);
	free(s);
}

/* Everything of the call is one batch: one pwrite, one fdatasync. */
static int
store_work(void *ctx, struct limit_item **items, size_t n)
{
	struct store *s = ctx;
	size_t len = 0;

	for (size_t i = 0; i < n; i++)
		len += items[i]->len;
	if (len > s->cap) {
		free(s->batch);
		s->batch = bench_alloc(s->cap = len);
	}
	len = 0;
	for (size_t i = 0; i < n; i++) {
		memcpy(s->batch + len, items[i]->p, items[i]->len);
		len += items[i]->len;
	}
	if (s->off == 0 || s->off + len > LIMIT_SEGMENT) {
		if (ftruncate(s->fd, 0) != 0 || limit_room(s->fd) != 0)
			return -1;
		s->off = 0;
	}
	if (pwrite(s->fd, s->batch, len, (off_t)s->off) != (ssize_t)len ||
	    fdatasync(s->fd) != 0)
		return -1;
	s->off += len;
	return 0;
}

struct limit_stage
limit_stage_store(struct bench *b)
{
	return (struct limit_stage){ .name = "write+fdatasync",
		.open = store_open,
		.work = store_work,
		.close = store_close,
		.arg = b };
}
