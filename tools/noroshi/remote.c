/*
 * The client of a stream over TLS.  It believes the server by its key alone, and
 * keeps one thing in mind between connections: where it is.
 */
#include "tools/noroshi/remote.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "base/text.h"
#include "crypto/digest.h"
#include "crypto/key.h"
#include "record/manifest.h"
#include "record/record.h"
#include "tools/noroshi/ctl.h"
#include "tools/noroshi/file.h"

#define LINE_MAX_LEN (18u << 20)
#define PIECE	     65536
#define WAIT_MIN_MS  1000
#define WAIT_MAX_MS  30000
#define CONNECT_S    20
#define PINS_MAX     8
#define LOST	     (-1000) /* no status: the connection ended, r->why */

static const unsigned char alpn[] = "\x10noroshi-stream/1";

struct remote {
	const struct cli *c;
	const struct remote_opts *o;
	char host[NRS_ORIGIN_MAX + 1];
	char port[8];
	SSL_CTX *ctx;
	struct nrs_hash pin[PINS_MAX];
	unsigned int npins;
	bool wrong_pin; /* the server showed another key */

	int fd;
	SSL *ssl;
	char *buf; /* what came and is no whole line yet */
	size_t len, cap;
	bool up; /* it was connected once */

	/* where it is */
	bool placed;
	uint64_t event, next; /* next: of the object; UINT64_MAX: the event is done */

	int (*line)(void *arg, char *s, size_t len);
	void *arg;
	char why[256];
};

bool
remote_address(const char *s)
{
	char host[NRS_ORIGIN_MAX + 1];
	uint16_t port;

	return strchr(s, '/') == NULL && nrs_addr_parse(s, strlen(s), host, &port) == 0;
}

/* --- whom to believe ------------------------------------------------------- */

static bool
parse_pin(const char *s, struct nrs_hash *ret)
{
	size_t len = strlen(s), n = 0;

	return nrs_hex_parse(s, len, ret->b, sizeof(ret->b)) == 0 ||
	    (nrs_b64_parse(s, len, ret->b, sizeof(ret->b), &n) == 0 && n == sizeof(ret->b));
}

int
remote_first_note(void *arg, const uint8_t *note, size_t len)
{
	*(struct nrs_str *)arg = (struct nrs_str){ note, len };
	return -1;
}

/* From a manifest, or an invite file: its first note. */
static int
pins_of(struct remote *r, const uint8_t *p, size_t len)
{
	struct nrs_str note = { p, len };
	struct nrs_detail d = { 0 };
	struct nrs_manifest m;

	(void)!nrs_invite_walk(p, len, remote_first_note, &note, NULL);
	if (nrs_manifest_open(&m, note.p, note.len, NULL, nrs_verify, &d) != 0)
		return cli_fail(r->c, CLI_DATA, "manifest", d.text,
		    "Take the manifest or the invite that the CERT gave you.",
		    "--server %s: not a manifest", r->o->server);
	for (; r->npins < m.ntls && r->npins < PINS_MAX; r->npins++)
		r->pin[r->npins] = m.tls_pin[r->npins];
	return 0;
}

static int
load_server(struct remote *r)
{
	uint8_t *p = NULL;
	size_t len;
	int rc;

	if (r->o->server == NULL)
		return cli_usage(r->c,
		    "The manifest that the CERT gave you, or the pin of its TLS key.",
		    "tail from %s:%s needs --server", r->host, r->port);
	if (access(r->o->server, F_OK) != 0 && parse_pin(r->o->server, &r->pin[0])) {
		r->npins = 1;
		return 0;
	}
	if ((rc = file_read(r->c, r->o->server, NRS_INVITE_MAX, &p, &len)) == 0)
		rc = pins_of(r, p, len);
	free(p);
	return rc;
}

static int
verify_cb(X509_STORE_CTX *store, void *arg)
{
	struct remote *r = arg;
	X509 *x = X509_STORE_CTX_get0_cert(store);
	unsigned char *spki = NULL;
	struct nrs_hash pin;
	bool ok = false;
	int n;

	n = x != NULL ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &spki) : 0;
	if (n > 0 && nrs_sha256(spki, (size_t)n, &pin) == 0)
		for (unsigned int i = 0; i < r->npins; i++)
			ok = ok || nrs_hash_eq(&pin, &r->pin[i]);
	OPENSSL_free(spki);
	r->wrong_pin = !ok;
	X509_STORE_CTX_set_error(store, ok ? X509_V_OK : X509_V_ERR_CERT_UNTRUSTED);
	return ok;
}

/* --- who we are -------------------------------------------------------------- */

static int
no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	return -1;
}

static int
load_own(struct remote *r)
{
	const struct remote_opts *o = r->o;

	if (o->cert == NULL || o->key == NULL)
		return cli_usage(r->c, "\"noroshi access add\" at the CERT made both.",
		    "tail from %s:%s needs --cert and --key", r->host, r->port);
	SSL_CTX_set_default_passwd_cb(r->ctx, no_passphrase);
	if (SSL_CTX_use_certificate_chain_file(r->ctx, o->cert) != 1)
		return cli_fail(r->c, CLI_DATA, "cert",
		    ERR_reason_error_string(ERR_get_error()), NULL,
		    "--cert %s: no certificate can be read", o->cert);
	if (SSL_CTX_use_PrivateKey_file(r->ctx, o->key, SSL_FILETYPE_PEM) != 1)
		return cli_fail(r->c, CLI_DATA, "key",
		    ERR_reason_error_string(ERR_get_error()),
		    "It must be readable, unencrypted, and that of the certificate.",
		    "--key %s: cannot be used", o->key);
	return 0;
}

static int
make_ctx(struct remote *r)
{
	if ((r->ctx = SSL_CTX_new(TLS_client_method())) == NULL)
		cli_oom();
	SSL_CTX_set_options(r->ctx, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_verify(r->ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(r->ctx, verify_cb, r);
	SSL_CTX_set_read_ahead(r->ctx, 1);
	if (SSL_CTX_set_min_proto_version(r->ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_alpn_protos(r->ctx, alpn, sizeof(alpn) - 1) != 0)
		return cli_fail(r->c, CLI_IO, "tls", NULL, NULL, "TLS cannot be used");
	return load_own(r);
}

/* --- one connection ------------------------------------------------------------ */

static void
hang_up(struct remote *r)
{
	SSL_free(r->ssl);
	r->ssl = NULL;
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
	r->len = 0; /* half a line: it comes again */
	ERR_clear_error();
}

static void
set_times(int fd, int seconds)
{
	struct timeval tv = { .tv_sec = seconds };
	int one = 1, idle = 30, interval = 10, count = 3;

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	/* a server that vanished says nothing: the kernel finds out */
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
}

/* 0, or -1 and why. */
static int
dial(struct remote *r)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list, *ai;
	int rc;

	if ((rc = getaddrinfo(r->host, r->port, &hints, &list)) != 0) {
		snprintf(r->why, sizeof(r->why), "%s", gai_strerror(rc));
		return -1;
	}
	for (ai = list; ai != NULL; ai = ai->ai_next) {
		r->fd =
		    socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC, ai->ai_protocol);
		if (r->fd < 0)
			continue;
		set_times(r->fd, CONNECT_S);
		if (connect(r->fd, ai->ai_addr, ai->ai_addrlen) == 0)
			break;
		snprintf(r->why, sizeof(r->why), "%s", strerror(errno));
		close(r->fd);
		r->fd = -1;
	}
	freeaddrinfo(list);
	return r->fd >= 0 ? 0 : -1;
}

/* An alert that means: your key is not one that I know. */
static bool
is_key_alert(unsigned long err)
{
	int n = ERR_GET_REASON(err);

	return n == SSL_R_SSLV3_ALERT_BAD_CERTIFICATE ||
	    n == SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN ||
	    n == SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE ||
	    n == SSL_R_TLSV1_ALERT_UNKNOWN_CA || n == SSL_R_TLSV1_ALERT_ACCESS_DENIED ||
	    n == SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED;
}

/* What libssl said: an exit status for what will not get better, or LOST and why. */
static int
tls_failed(struct remote *r)
{
	unsigned long err = ERR_get_error();
	const char *text = err != 0 ? ERR_reason_error_string(err) : NULL;

	ERR_clear_error();
	if (r->wrong_pin)
		return cli_fail(r->c, CLI_PERM, "pin", NULL,
		    "Do not go on: ask the CERT for its manifest by another way.",
		    "%s:%s shows another key than that of --server", r->host, r->port);
	if (is_key_alert(err))
		return cli_fail(r->c, CLI_PERM, "key", NULL,
		    "Ask the CERT whether it gave access to this certificate.",
		    "%s:%s does not let this key in", r->host, r->port);
	snprintf(r->why, sizeof(r->why), "%s",
	    text != NULL	  ? text
		: errno == EAGAIN ? "no answer in time"
				  : "the connection was closed");
	return LOST;
}

static int
say_where(struct remote *r)
{
	char line[128];
	int n;

	if (r->placed && r->next != UINT64_MAX)
		n = snprintf(line, sizeof(line), "{\"from\":\"%" PRIu64 ".%" PRIu64 "\"}\n",
		    r->event, r->next);
	else if (r->placed)
		n = snprintf(line, sizeof(line), "{\"from\":\"%" PRIu64 "\"}\n", r->event);
	else if (r->o->since != NULL)
		n = snprintf(line, sizeof(line), "{\"since\":\"%s\"}\n", r->o->since);
	else
		n = snprintf(line, sizeof(line), "{\"from\":\"%s\"}\n",
		    r->o->from != NULL ? r->o->from : "now");
	return SSL_write(r->ssl, line, n) == n ? 0 : tls_failed(r);
}

/* 0, an exit status, or LOST and why. */
static int
connect_once(struct remote *r)
{
	const unsigned char *p = NULL;
	unsigned int len = 0;

	r->wrong_pin = false;
	errno = 0;
	if (dial(r) != 0)
		return LOST;
	if ((r->ssl = SSL_new(r->ctx)) == NULL || SSL_set_fd(r->ssl, r->fd) != 1)
		cli_oom();
	if (SSL_connect(r->ssl) != 1)
		return tls_failed(r);
	SSL_get0_alpn_selected(r->ssl, &p, &len);
	if (len != alpn[0] || memcmp(p, alpn + 1, len) != 0)
		return cli_fail(r->c, CLI_DATA, "alpn", NULL,
		    "Is this the port of its \"stream\" stanza?",
		    "%s:%s does not serve streams", r->host, r->port);
	return say_where(r);
}

/* --- lines ------------------------------------------------------------------------- */

/* The daemon's lines begin in one order. */
static void
note_place(struct remote *r, const char *s)
{
	unsigned long long event, n;

	if (sscanf(s, "{\"event\":%llu,\"n\":%llu,", &event, &n) == 2) {
		r->event = event;
		r->next = n + 1;
		r->placed = true;
	} else if (sscanf(s, "{\"action\":\"heartbeat\",\"event\":%llu,", &event) == 1) {
		r->event = event;
		r->next = UINT64_MAX;
		r->placed = true;
	}
}

/* 0, what line() returned, or an exit status. */
static int
take_line(struct remote *r, char *s, size_t len)
{
	json_t *j, *error;
	int rc;

	if (strncmp(s, "{\"error\":", 9) == 0) {
		j = json_loadb(s, len, 0, NULL);
		error = json_object_get(j, "error");
		rc = error != NULL ? ctl_tell(r->c, error) : 0;
		json_decref(j);
		if (rc != 0)
			return rc;
	}
	r->up = true;
	rc = r->line(r->arg, s, len);
	if (rc == 0)
		note_place(r, s);
	return rc;
}

static int
take_lines(struct remote *r)
{
	char *s = r->buf, *nl, *end = r->buf + r->len;
	int rc = 0;

	while (rc == 0 && (nl = memchr(s, '\n', (size_t)(end - s))) != NULL) {
		*nl = '\0';
		rc = take_line(r, s, (size_t)(nl - s));
		s = nl + 1;
	}
	r->len = (size_t)(end - s);
	memmove(r->buf, s, r->len);
	return rc;
}

/* Until the connection ends: LOST and why, or as take_line(). */
static int
read_lines(struct remote *r)
{
	int n, rc;

	set_times(r->fd, 0); /* as long as it takes: heartbeats are the server's choice */
	for (;;) {
		if (r->cap - r->len < PIECE) {
			r->cap = r->cap * 2 + PIECE;
			r->buf = cli_realloc(r->buf, r->cap);
		}
		errno = 0;
		n = SSL_read(r->ssl, r->buf + r->len, PIECE);
		if (n <= 0)
			return tls_failed(r);
		r->len += (size_t)n;
		if ((rc = take_lines(r)) != 0)
			return rc;
		if (r->len > LINE_MAX_LEN)
			return cli_fail(r->c, CLI_DATA, "line", NULL, NULL,
			    "%s:%s sent a line without an end", r->host, r->port);
	}
}

/* Half of it for certain, half by chance: those cut off together do not come back together. */
static void
pause_ms(unsigned int ms)
{
	struct timespec ts;
	uint32_t r = 0;

	(void)!getrandom(&r, sizeof(r), 0);
	ms = ms / 2 + r % (ms / 2 + 1);
	ts = (struct timespec){ ms / 1000, (long)(ms % 1000) * 1000000 };
	nanosleep(&ts, NULL);
}

static int
run(struct remote *r)
{
	unsigned int wait = WAIT_MIN_MS;
	int rc;

	for (;;) {
		/* libssl writes into what may be closed; a pipe behind us ends us as ever */
		signal(SIGPIPE, SIG_IGN);
		rc = connect_once(r);
		signal(SIGPIPE, SIG_DFL);
		if (rc == 0) {
			r->up = false;
			rc = read_lines(r);
			if (r->up)
				wait = WAIT_MIN_MS;
		}
		hang_up(r);
		if (rc != LOST)
			return rc;
		if (!r->placed && !r->o->patient)
			return cli_fail(r->c, CLI_NODAEMON, "no-daemon", r->why,
			    "With --follow it is tried again and again.",
			    "no stream from %s:%s", r->host, r->port);
		cli_note(r->c, "%s:%s: %s; trying again", r->host, r->port, r->why);
		pause_ms(wait);
		wait = wait * 2 < WAIT_MAX_MS ? wait * 2 : WAIT_MAX_MS;
	}
}

int
remote_stream(const struct cli *c, const struct remote_opts *o,
    int (*line)(void *arg, char *s, size_t len), void *arg)
{
	struct remote r = { .c = c, .o = o, .fd = -1, .line = line, .arg = arg };
	uint16_t port;
	int rc;

	if (nrs_addr_parse(c->socket, strlen(c->socket), r.host, &port) != 0)
		return cli_usage(c, NULL, "%s: not HOST:PORT", c->socket);
	snprintf(r.port, sizeof(r.port), "%u", port);
	if ((rc = load_server(&r)) == 0 && (rc = make_ctx(&r)) == 0)
		rc = run(&r);
	SSL_CTX_free(r.ctx);
	free(r.buf);
	return rc;
}
