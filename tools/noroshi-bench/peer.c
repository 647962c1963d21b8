/* One connection, one thread: what is due is written, what comes is read (docs/PROTOCOL.md). */
#include "tools/noroshi-bench/peer.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "base/text.h"
#include "tools/noroshi/answer.h"
#include "wire/wire.h"

#define PIECE (256u << 10) /* of one SSL_write */

/* A fetch of the other side: where it is, and what it may still get. */
struct cursor {
	struct maker_frames *f;
	bool open;
	uint16_t stream;
	size_t next; /* frame */
	int64_t credit;
};

struct play {
	struct maker *m;
	struct peer_result *res;
	int fd;
	SSL *ssl;
	struct wire_reader reader;
	struct nrs_buf out;  /* frames made here */
	struct cursor at[2]; /* leaves, records */
	const uint8_t *p;    /* what is being sent: whole frames */
	size_t left;
	bool own; /* p is in out */
	bool up, begun, done;
	double t0, cpu0;
};

static double
wall(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* --- connecting ----------------------------------------------------------- */

static int
any_key(X509_STORE_CTX *store, void *arg)
{
	X509_STORE_CTX_set_error(store, X509_V_OK);
	return 1;
}

static int
use_key(SSL_CTX *ctx, const struct maker *m)
{
	size_t der_len = 0, pem_len = 0;
	EVP_PKEY *pkey = NULL;
	uint8_t *der = NULL;
	char *pem = NULL;
	BIO *bio = NULL;
	int rc;

	rc = nrs_tls_cert(maker_tls_key(m), maker_origin(m), &der, &der_len);
	if (rc == 0)
		rc = nrs_seckey_to_pem(maker_tls_key(m), NULL, &pem, &pem_len);
	if (rc != 0)
		goto out;
	bio = BIO_new_mem_buf(pem, (int)pem_len);
	pkey = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
	if (pkey == NULL || SSL_CTX_use_certificate_ASN1(ctx, (int)der_len, der) != 1 ||
	    SSL_CTX_use_PrivateKey(ctx, pkey) != 1)
		rc = NRS_ECRYPTO;
out:
	EVP_PKEY_free(pkey);
	BIO_free(bio);
	free(pem);
	free(der);
	return rc;
}

static SSL_CTX *
make_ctx(const struct maker *m)
{
	static const unsigned char alpn[] = "\x09noroshi/1";
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (ctx == NULL)
		return NULL;
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, any_key, NULL);
	SSL_CTX_set_mode(
	    ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_alpn_protos(ctx, alpn, sizeof(alpn) - 1) != 0 ||
	    use_key(ctx, m) != 0) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

static int
dial(struct play *y, int port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port) };
	SSL_CTX *ctx = make_ctx(y->m);
	int one = 1, rc = NRS_ECRYPTO;

	if (ctx == NULL)
		return NRS_ECRYPTO;
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	y->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	y->ssl = SSL_new(ctx);
	SSL_CTX_free(ctx);
	if (y->fd < 0 || y->ssl == NULL)
		return NRS_ENOMEM;
	(void)setsockopt(y->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(y->fd, (const struct sockaddr *)&sin, sizeof(sin)) != 0)
		snprintf(y->res->why, sizeof(y->res->why), "cannot connect");
	else if (SSL_set_fd(y->ssl, y->fd) != 1 || SSL_connect(y->ssl) != 1)
		snprintf(y->res->why, sizeof(y->res->why), "TLS failed: %s",
		    ERR_reason_error_string(ERR_peek_error()));
	else
		rc = fcntl(y->fd, F_SETFL, O_NONBLOCK) == 0 ? 0 : NRS_EIO;
	ERR_clear_error();
	return rc;
}

/* --- what is said --------------------------------------------------------- */

static void
say_hello(struct play *y)
{
	struct wire_hello h = { .version = WIRE_VERSION };
	struct timespec ts;
	size_t at;

	clock_gettime(CLOCK_REALTIME, &ts);
	h.clock.ms = (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
	h.manifest_hash = *maker_manifest_hash(y->m);
	snprintf(h.origin, sizeof(h.origin), "%s", maker_origin(y->m));
	wire_begin(&y->out, WIRE_HELLO, 0, 0, &at);
	wire_hello_encode(&y->out, &h);
	wire_end(&y->out, at);
}

/* No communities of our own accord: the node sends its statements, which are not needed. */
static void
say_have(struct play *y)
{
	struct wire_have_audience a = { .id = *maker_audience_id(y->m),
		.next = maker_count(y->m) };
	size_t at;

	wire_begin(&y->out, WIRE_COMMUNITIES, 0, 0, &at);
	nrs_buf_u32(&y->out, 0);
	wire_end(&y->out, at);
	wire_begin(&y->out, WIRE_HAVE, 0, 0, &at);
	nrs_buf_u32(&y->out, 1);
	wire_have_encode(&y->out, maker_id(y->m), maker_size(y->m), 1);
	wire_have_audience_encode(&y->out, &a);
	wire_end(&y->out, at);
}

static void
say_pong(struct play *y, const struct wire_frame *f)
{
	size_t at;

	wire_begin(&y->out, WIRE_PONG, 0, 0, &at);
	nrs_buf_put(&y->out, f->body, f->len);
	wire_end(&y->out, at);
}

/* --- what is heard -------------------------------------------------------- */

static int
on_fetch(struct play *y, const struct wire_frame *f, bool records)
{
	struct cursor *c = &y->at[records];
	struct wire_fetch m;
	int rc = wire_fetch_decode(&m, records, f->body, f->len);

	if (rc != 0 || !nrs_hash_eq(&m.origin, maker_id(y->m)))
		return rc;
	if (m.from != 0) {
		snprintf(
		    y->res->why, sizeof(y->res->why), "the node holds something already");
		return NRS_ESTATE;
	}
	c->f = records ? maker_records(y->m) : maker_leaves(y->m);
	c->open = true;
	c->stream = f->stream;
	c->next = 0;
	c->credit = m.credit;
	for (size_t i = 0; i < c->f->n; i++)
		nrs_put_u16(c->f->p + c->f->at[i] + 6, f->stream);
	if (records && !y->begun) {
		y->begun = true;
		y->res->first_s = wall() - y->t0;
		y->t0 = wall();
		y->cpu0 = bench_cpu_thread();
	}
	return 0;
}

static int
on_credit(struct play *y, const struct wire_frame *f)
{
	uint32_t bytes;
	int rc = wire_credit_decode(&bytes, f->body, f->len);

	for (int i = 0; rc == 0 && i < 2; i++)
		if (y->at[i].open && y->at[i].stream == f->stream)
			y->at[i].credit += bytes;
	return rc;
}

static int
on_ack(struct play *y, const struct wire_frame *f)
{
	struct wire_ack_audience a;
	struct wire_ack w;
	int rc = wire_ack_decode(&w, f->body, f->len);

	if (rc != 0 || !nrs_hash_eq(&w.origin, maker_id(y->m)))
		return rc;
	y->res->acks++;
	while (wire_ack_audience_next(&w.audiences, &a))
		if (nrs_hash_eq(&a.id, maker_audience_id(y->m)) &&
		    a.next == maker_count(y->m))
			y->done = true;
	return 0;
}

static int
on_no(struct play *y, const struct wire_frame *f)
{
	struct wire_refuse r;
	struct wire_bye b;

	if (f->type == WIRE_REFUSE && wire_refuse_decode(&r, f->body, f->len) == 0) {
		y->res->refused++;
		snprintf(y->res->why, sizeof(y->res->why), "refused (%u): %.200s", r.code,
		    r.text);
		return 0;
	}
	if (f->type == WIRE_BYE && wire_bye_decode(&b, f->body, f->len) == 0)
		snprintf(
		    y->res->why, sizeof(y->res->why), "BYE (%u): %.200s", b.code, b.text);
	return NRS_ECANCELED;
}

static int
on_frame(struct play *y, const struct wire_frame *f)
{
	switch (f->type) {
	case WIRE_HELLO:
		if (!y->up)
			say_have(y);
		y->up = true;
		return 0;
	case WIRE_FETCH_LEAVES:
	case WIRE_FETCH_RECORDS:
		return on_fetch(y, f, f->type == WIRE_FETCH_RECORDS);
	case WIRE_CREDIT:
		return on_credit(y, f);
	case WIRE_ACK:
		return on_ack(y, f);
	case WIRE_PING:
		say_pong(y, f);
		return 0;
	case WIRE_REFUSE:
	case WIRE_BYE:
	case WIRE_CANCEL:
		return on_no(y, f);
	default:
		return 0;
	}
}

static int
hear(struct play *y)
{
	static uint8_t in[65536];
	struct wire_frame f;
	const uint8_t *p;
	size_t len;
	int n, rc;

	for (;;) {
		n = SSL_read(y->ssl, in, sizeof(in));
		if (n <= 0) {
			rc = SSL_get_error(y->ssl, n);
			ERR_clear_error();
			if (rc == SSL_ERROR_WANT_READ || rc == SSL_ERROR_WANT_WRITE)
				return 0;
			return NRS_ECANCELED;
		}
		p = in;
		len = (size_t)n;
		while ((rc = wire_reader_next(&y->reader, &p, &len, &f)) == 1)
			if ((rc = on_frame(y, &f)) != 0)
				return rc;
		if (rc < 0)
			return rc;
	}
}

/* --- sending -------------------------------------------------------------- */

/* As many whole frames as the credit covers: one may go while it is above zero. */
static bool
take(struct play *y, struct cursor *c)
{
	size_t first = c->next, body;

	if (!c->open)
		return false;
	while (c->next < c->f->n && c->credit > 0 &&
	    c->f->at[c->next] - c->f->at[first] < PIECE) {
		body = c->f->at[c->next + 1] - c->f->at[c->next] - WIRE_HEADER_LEN;
		c->credit -= (int64_t)body;
		c->next++;
	}
	y->p = c->f->p + c->f->at[first];
	y->left = c->f->at[c->next] - c->f->at[first];
	return y->left > 0;
}

/* Own frames first, then leaves: no record goes before its leaf. */
static bool
next_piece(struct play *y)
{
	if (y->left > 0 && !y->own)
		return true;
	y->own = y->out.len > 0;
	if (y->own) {
		y->p = y->out.p;
		y->left = y->out.len;
		return true;
	}
	if (take(y, &y->at[0]))
		return true;
	return y->at[0].open && y->at[0].next == y->at[0].f->n && take(y, &y->at[1]);
}

static void
sent(struct play *y, size_t n)
{
	if (y->begun)
		y->res->bytes += n;
	y->p += n;
	y->left -= n;
	if (!y->own)
		return;
	/* The rest of them moves to the front, whatever is added meanwhile. */
	memmove(y->out.p, y->p, y->left);
	y->out.len = y->left;
	y->left = 0;
}

static int
speak(struct play *y, bool *ret_blocked)
{
	size_t n;
	int rc;

	*ret_blocked = false;
	while (next_piece(y)) {
		rc = SSL_write_ex(y->ssl, y->p, y->left, &n);
		if (rc == 1) {
			sent(y, n);
			continue;
		}
		rc = SSL_get_error(y->ssl, rc);
		ERR_clear_error();
		*ret_blocked = true;
		return rc == SSL_ERROR_WANT_READ || rc == SSL_ERROR_WANT_WRITE
		    ? 0
		    : NRS_ECANCELED;
	}
	return 0;
}

static int
play(struct play *y, double seconds)
{
	double end = wall() + seconds;
	bool blocked = false;
	int rc = 0;

	say_hello(y);
	while (rc == 0 && !y->done) {
		struct pollfd pfd = { .fd = y->fd };

		rc = speak(y, &blocked);
		if (rc != 0 || y->out.err != 0)
			break;
		pfd.events = POLLIN | (blocked ? POLLOUT : 0);
		if (poll(&pfd, 1, 100) < 0)
			rc = NRS_EIO;
		if (rc == 0)
			rc = hear(y);
		if (rc == 0 && !y->done && wall() > end)
			rc = NRS_EQUOTA;
	}
	if (rc == 0 && y->out.err != 0)
		rc = y->out.err;
	y->res->seconds = wall() - y->t0;
	y->res->cpu = bench_cpu_thread() - y->cpu0;
	return rc;
}

int
peer_play(struct maker *m, int port, double seconds, struct peer_result *ret)
{
	struct play *y = bench_alloc(sizeof(*y));
	int rc;

	memset(y, 0, sizeof(*y));
	memset(ret, 0, sizeof(*ret));
	y->m = m;
	y->res = ret;
	y->fd = -1;
	y->t0 = wall();
	nrs_buf_init(&y->out, 4u << 20);
	rc = dial(y, port);
	if (rc == 0)
		rc = play(y, seconds);
	SSL_free(y->ssl);
	if (y->fd >= 0)
		close(y->fd);
	wire_reader_fini(&y->reader);
	nrs_buf_fini(&y->out);
	free(y);
	return rc;
}

/* --- becoming one ------------------------------------------------------------- */

int
peer_accept(struct fleet_node *n, const struct maker *m)
{
	struct nrs_str invite = maker_invite(m);
	char words[25];

	maker_fingerprint(m, words);
	return fleet_call(n,
	    json_pack("{s:s,s:[s],s:[],s:s}", "cmd", "peer.accept", "communities",
		FLEET_COMMUNITY, "addresses", "fingerprint", words),
	    invite.p, invite.len, NULL);
}

int
peer_audience(
    struct bench *b, struct fleet_node *n, struct nrs_hash *ret_id, uint32_t *ret_epoch)
{
	json_t *a = NULL, *c;
	size_t i, len;
	int rc = fleet_call(n, json_pack("{s:s}", "cmd", "community.list"), NULL, 0, &a);

	if (rc != 0)
		return rc;
	rc = -1;
	json_array_foreach(json_object_get(a, "communities"), i, c) {
		const char *id = ans_text(c, "id");

		if (strcmp(ans_text(c, "name"), FLEET_COMMUNITY) != 0 ||
		    nrs_b64_parse(id, strlen(id), ret_id->b, sizeof(ret_id->b), &len) !=
			0 ||
		    len != sizeof(ret_id->b))
			continue;
		*ret_epoch = (uint32_t)ans_num(c, "epoch");
		rc = 0;
	}
	json_decref(a);
	return rc == 0 ? 0 : bench_fail(b, "there is no community " FLEET_COMMUNITY);
}
