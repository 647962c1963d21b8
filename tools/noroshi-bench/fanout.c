/*
 * fanout: one node and a thousand subscribers on the same machine.  Each has a
 * stanza and a connection of its own, half of them on Unix sockets and half over
 * TLS.  The limit is a process that writes the same lines, made already, to the
 * same crowd over the same kinds of sockets, in pieces of the same size.
 */
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <noroshi/limits.h>

#include "crypto/key.h"
#include "tools/noroshi-bench/crowd.h"
#include "tools/noroshi-bench/fleet.h"
#include "tools/noroshi-bench/gen.h"
#include "tools/noroshi-bench/limits_priv.h"

#define LINE_MIN 500 /* shorter ones would be too easy */
#define EACH	 500 /* of a kind */
#define OBJECTS	 1000
#define SECONDS	 5.0
#define AHEAD	 2 /* bundles that the slowest may be behind before the next is shared */
#define PIECE	 (64u << 10)
#define RECORD	 16384
#define PATIENCE 60.0
#define BALLAST	 2 /* times EACH */

struct fanout {
	struct bench *b;
	struct fleet *fleet;
	struct fleet_node *node;
	struct gen *gen;
	struct crowd *crowd;
	int port;
	double seconds;
	/* the one that shares */
	pthread_t thread;
	atomic_bool stop;
	atomic_uint_fast64_t shared, slowest;
	int rc;
};

struct figures {
	struct bench_series rate, limit, idle_unix, idle_tls, cpu, cpu_limit, bytes;
};

/* --- the node -------------------------------------------------------------- */

static int
write_file(struct bench *b, const char *path, const char *text)
{
	FILE *fp = fopen(path, "we");

	if (fp == NULL || fputs(text, fp) == EOF || fclose(fp) != 0)
		return bench_fail_errno(b, "cannot write %s", path);
	return 0;
}

/* Four clearances, as subscribers have; all of them see what is shared here. */
static int
write_stanzas(struct fanout *f)
{
	static const char *const see[] = { "tlp = GREEN", "tlp = AMBER", "tlp = RED",
		"tlp = AMBER direct = yes" };
	char *conf = bench_fmt("%s/conf.d/crowd.conf", f->node->dir), *pem, *path;
	FILE *fp;
	int rc = 0;

	if ((fp = fopen(conf, "we")) == NULL) {
		rc = bench_fail_errno(f->b, "cannot write %s", conf);
		free(conf);
		return rc;
	}
	fprintf(fp, "stream \"127.0.0.1:%d\" { backlog = 1024 }\n", f->port);
	for (unsigned int i = 0; i < EACH && rc == 0; i++) {
		fprintf(fp,
		    "subscriber u%u { socket = \"%s/u%u\" communities = {\"*\"} %s heartbeat = 3600 }\n",
		    i, f->node->dir, i, see[i % 4]);
		fprintf(fp,
		    "subscriber t%u { certificate = \"%s/t%u.pem\" communities = {\"*\"} %s "
		    "heartbeat = 3600 }\n",
		    i, f->node->dir, i, see[i % 4]);
		path = bench_fmt("%s/t%u.pem", f->node->dir, i);
		pem = crowd_certificate(i);
		rc = pem == NULL ? bench_fail(f->b, "no certificate")
				 : write_file(f->b, path, pem);
		free(pem);
		free(path);
	}
	if (fclose(fp) != 0 && rc == 0)
		rc = bench_fail_errno(f->b, "cannot write %s", conf);
	free(conf);
	return rc;
}

static int
make_node(struct fanout *f)
{
	int rc;

	f->port = fleet_port();
	if ((rc = fleet_new(f->b, "fanout", &f->fleet)) != 0 ||
	    (rc = fleet_add(f->fleet, "n", NULL, NULL, &f->node)) != 0 ||
	    (rc = fleet_found(f->node)) != 0 || (rc = write_stanzas(f)) != 0)
		return rc;
	return fleet_stop(f->node);
}

static int
share(struct fanout *f, unsigned int objects)
{
	struct nrs_buf buf;
	int rc;

	nrs_buf_init(&buf, NRS_PAYLOAD_MAX);
	rc = gen_bundle(f->gen, objects, &buf) != 0
	    ? bench_fail(f->b, "no bundle")
	    : fleet_call(f->node,
		  json_pack("{s:s,s:s,s:s}", "cmd", "submit", "community", FLEET_COMMUNITY,
		      "tlp", "GREEN"),
		  buf.p, buf.len, NULL);
	nrs_buf_fini(&buf);
	return rc;
}

/* Until the daemon has so many readers. */
static int
wait_readers(struct fanout *f, double readers)
{
	double until = bench_now() + PATIENCE;

	while (fleet_metric(f->node, "noroshi_readers") < readers) {
		if (bench_now() > until)
			return bench_fail(f->b, "the subscribers are not let in");
		bench_sleep_until_ns(bench_now_ns() + 10000000);
	}
	return 0;
}

/* --- memory ------------------------------------------------------------------ */

static int
connect_all(struct fanout *f, struct figures *v, unsigned int others)
{
	uint64_t before, after;
	int rc = 0;
	char *path;

	before = bench_rss_pid(f->node->pid);
	for (unsigned int i = 0; i < EACH && rc == 0; i++) {
		path = bench_fmt("%s/u%u", f->node->dir, i);
		rc = crowd_unix(f->crowd, path);
		free(path);
	}
	if (rc != 0 || (rc = wait_readers(f, others + EACH)) != 0)
		return rc;
	after = bench_rss_pid(f->node->pid);
	bench_add(&v->idle_unix, after > before ? (double)(after - before) / EACH : 0);
	before = after;
	for (unsigned int i = 0; i < EACH && rc == 0; i++)
		rc = crowd_tls(f->crowd, f->port, i);
	if (rc != 0 || (rc = wait_readers(f, others + 2 * EACH)) != 0)
		return rc;
	after = bench_rss_pid(f->node->pid);
	bench_add(&v->idle_tls, after > before ? (double)(after - before) / EACH : 0);
	return 0;
}

/*
 * What is made once for all is there before the first of them is weighed, and what
 * memory was free already is taken by others, who stay until the weighing is done.
 */
static int
weigh(struct fanout *f, struct figures *v)
{
	struct crowd *ballast;
	char *path;
	int rc;

	if ((rc = crowd_new(f->b, BALLAST * EACH + 1, &ballast)) != 0)
		return rc;
	for (unsigned int i = 0; i < BALLAST * EACH && rc == 0; i++) {
		path = bench_fmt("%s/u%u", f->node->dir, i % EACH);
		rc = crowd_unix(ballast, path);
		free(path);
	}
	if (rc == 0 && (rc = crowd_tls(ballast, f->port, 0)) == 0 &&
	    (rc = wait_readers(f, BALLAST * EACH + 1)) == 0 && (rc = share(f, 1)) == 0)
		while (rc == 0 && crowd_slowest(ballast) < 1)
			rc = crowd_poll(ballast, 100, true);
	if (rc == 0)
		rc = connect_all(f, v, BALLAST * EACH + 1);
	crowd_free(ballast);
	while (rc == 0 && fleet_metric(f->node, "noroshi_readers") > 2 * EACH)
		bench_sleep_until_ns(bench_now_ns() + 10000000);
	return rc;
}

/* --- load ---------------------------------------------------------------------- */

static void *
sharer(void *arg)
{
	struct fanout *f = arg;

	while (!f->stop && f->rc == 0) {
		if (f->shared >= f->slowest + AHEAD * OBJECTS) {
			bench_sleep_until_ns(bench_now_ns() + 500000);
			continue;
		}
		if ((f->rc = share(f, OBJECTS)) == 0)
			f->shared += OBJECTS;
	}
	return NULL;
}

static int
load(struct fanout *f, struct figures *v)
{
	double t0, cpu, until;
	bool first = true;
	int rc = 0;

	crowd_reset(f->crowd);
	f->stop = false;
	f->shared = f->slowest = 0;
	f->rc = 0;
	cpu = fleet_cpu(f->node);
	t0 = bench_now();
	if (pthread_create(&f->thread, NULL, sharer, f) != 0)
		return bench_fail(f->b, "cannot make a thread");
	while (rc == 0 && (bench_now() - t0 < f->seconds || first)) {
		rc = crowd_poll(f->crowd, 100, true);
		f->slowest = crowd_slowest(f->crowd);
		first = f->shared == 0;
	}
	f->stop = true;
	until = bench_now() + PATIENCE;
	/* the last one is being shared still: it counts like the others */
	while (rc == 0 && pthread_tryjoin_np(f->thread, NULL) != 0)
		rc = crowd_poll(f->crowd, 1, true);
	if (rc != 0)
		(void)pthread_join(f->thread, NULL);
	while (rc == 0 && crowd_slowest(f->crowd) < f->shared && bench_now() < until)
		rc = crowd_poll(f->crowd, 100, true);
	t0 = bench_now() - t0;
	if (rc == 0)
		rc = f->rc != 0 ? f->rc : crowd_check(f->crowd, f->shared);
	if (rc != 0)
		return rc;
	bench_add(&v->rate, (double)crowd_lines(f->crowd) / t0);
	bench_add(
	    &v->cpu, (fleet_cpu(f->node) - cpu) / (double)crowd_lines(f->crowd) * 1e6);
	bench_add(&v->bytes, (double)crowd_bytes(f->crowd) / (double)crowd_lines(f->crowd));
	return 0;
}

/* --- the limit --------------------------------------------------------------------- */

struct out {
	int fd;
	SSL *ssl;
	size_t at;
	bool ready;
};

static SSL *
limit_accept(int fd)
{
	static SSL_CTX *ctx;
	uint8_t seed[32] = { 7 }, *der = NULL;
	struct nrs_seckey *k = NULL;
	size_t len = 0;
	EVP_PKEY *key;
	SSL *ssl;

	if (ctx == NULL) {
		ctx = SSL_CTX_new(TLS_server_method());
		key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
		if (ctx == NULL || key == NULL || nrs_seckey_from_seed(seed, &k) != 0 ||
		    nrs_tls_cert(k, "bench", &der, &len) != 0 ||
		    SSL_CTX_use_certificate_ASN1(ctx, (int)len, der) != 1 ||
		    SSL_CTX_use_PrivateKey(ctx, key) != 1)
			return NULL;
		SSL_CTX_set_num_tickets(ctx, 0);
		SSL_CTX_set_mode(ctx,
		    SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
			SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	}
	ssl = SSL_new(ctx);
	if (ssl == NULL || SSL_set_fd(ssl, fd) != 1 || SSL_accept(ssl) != 1)
		return NULL;
	return ssl;
}

/* One piece; false: it takes no more now. */
static bool
put(struct out *o, const uint8_t *text, size_t len)
{
	ssize_t n = 0;

	if (o->at == len)
		o->at = 0;
	for (size_t done = 0; done < PIECE && o->at < len; done += (size_t)n) {
		size_t want = len - o->at < PIECE ? len - o->at : PIECE;

		if (o->ssl == NULL)
			n = send(o->fd, text + o->at, want, MSG_NOSIGNAL);
		else
			n = SSL_write(
			    o->ssl, text + o->at, (int)(want < RECORD ? want : RECORD));
		if (n <= 0)
			return false;
		o->at += (size_t)n;
		if (o->ssl == NULL && (size_t)n < want)
			return false;
	}
	return true;
}

/* The child: writes to all as fast as they take it, until it is told to end. */
static void
limit_feed(struct out *v, unsigned int n, const uint8_t *text, size_t len)
{
	struct epoll_event e[256];
	int ep = epoll_create1(0), k;

	for (unsigned int i = 0; i < n; i++) {
		struct epoll_event one = { .events = EPOLLOUT | EPOLLET, .data.u32 = i };

		fcntl(v[i].fd, F_SETFL, O_NONBLOCK);
		epoll_ctl(ep, EPOLL_CTL_ADD, v[i].fd, &one);
	}
	for (bool any = false;;) {
		k = epoll_wait(ep, e, 256, any ? 0 : 1000);
		for (int i = 0; i < k; i++)
			v[e[i].data.u32].ready = true;
		any = false;
		for (unsigned int i = 0; i < n; i++)
			if (v[i].ready)
				any |= v[i].ready = put(&v[i], text, len);
	}
}

static int
limit_pairs(struct fanout *f, struct out *v, int *mine)
{
	int fd[2];

	for (unsigned int i = 0; i < 2 * EACH; i++) {
		if ((i < EACH ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd)
			      : limit_socket_pair(fd)) != 0)
			return bench_fail_errno(f->b, "cannot make %u sockets", 2 * EACH);
		v[i].fd = fd[0];
		mine[i] = fd[1];
	}
	return 0;
}

static void
limit_child(struct out *v, const int *mine, const uint8_t *text, size_t len)
{
	for (unsigned int i = 0; i < 2 * EACH; i++)
		close(mine[i]);
	for (unsigned int i = EACH; i < 2 * EACH; i++)
		if ((v[i].ssl = limit_accept(v[i].fd)) == NULL)
			_exit(1);
	limit_feed(v, 2 * EACH, text, len);
	_exit(0);
}

/* The same lines, written by a process that does nothing else, read by the same crowd. */
static int
limit(struct fanout *f, struct figures *v)
{
	struct out *out = bench_alloc(2 * EACH * sizeof(*out));
	int *mine = bench_alloc(2 * EACH * sizeof(*mine)), rc;
	double line = v->bytes.v[v->bytes.n - 1], t0 = 0, cpu, lines;
	struct crowd *c = NULL;
	struct nrs_buf text;
	pid_t pid = -1;
	SSL *ssl;

	memset(out, 0, 2 * EACH * sizeof(*out));
	nrs_buf_init(&text, 16u << 20);
	if ((rc = limit_pairs(f, out, mine)) != 0 ||
	    (rc = crowd_new(f->b, 2 * EACH, &c)) != 0)
		goto out;
	if (gen_bundle(f->gen, OBJECTS, &text) != 0 || (pid = fork()) < 0) {
		rc = bench_fail(f->b, "no writer");
		goto out;
	}
	if (pid == 0)
		limit_child(out, mine, text.p, text.len);
	for (unsigned int i = 0; i < 2 * EACH; i++)
		close(out[i].fd);
	for (unsigned int i = EACH; i < 2 * EACH && rc == 0; i++)
		rc = (ssl = crowd_connect(f->b, mine[i], i, NULL)) == NULL
		    ? 1
		    : crowd_add(c, mine[i], ssl);
	for (unsigned int i = 0; i < EACH && rc == 0; i++)
		rc = crowd_add(c, mine[i], NULL);
	/* half a second to get going */
	for (t0 = bench_now(); rc == 0 && bench_now() - t0 < 0.5;)
		rc = crowd_poll(c, 100, false);
	crowd_reset(c);
	cpu = bench_cpu_pid(pid);
	for (t0 = bench_now(); rc == 0 && bench_now() - t0 < f->seconds;)
		rc = crowd_poll(c, 100, false);
	t0 = bench_now() - t0;
	if (rc == 0) {
		lines = (double)crowd_bytes(c) / line;
		bench_add(&v->limit, lines / t0);
		bench_add(&v->cpu_limit, (bench_cpu_pid(pid) - cpu) / lines * 1e6);
	}
out:
	if (pid > 0) {
		kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
	}
	crowd_free(c);
	nrs_buf_fini(&text);
	free(out);
	free(mine);
	return rc;
}

/* --- all ------------------------------------------------------------------------------ */

static int
one_run(struct fanout *f, struct figures *v, bool first)
{
	int rc;

	if ((rc = fleet_start(f->node)) != 0 ||
	    (rc = crowd_new(f->b, 2 * EACH, &f->crowd)) != 0)
		return rc;
	if ((rc = weigh(f, v)) == 0 && (rc = load(f, v)) == 0 && first)
		bench_note(f->b,
		    "fanout: %.0f bytes a line; %.0f ranges of events in the journal, "
		    "%.0f open; lines were made %.1f times each",
		    v->bytes.v[0], fleet_metric(f->node, "noroshi_disclosures_total"),
		    fleet_metric(f->node, "noroshi_disclosures"),
		    fleet_metric(f->node, "noroshi_lines_total") / (double)(f->shared + 1));
	if (rc == 0 && v->bytes.v[0] < LINE_MIN)
		rc = bench_fail(f->b, "lines of less than %d bytes", LINE_MIN);
	if (rc == 0 && fleet_metric(f->node, "noroshi_disclosures") < 2 * EACH)
		rc = bench_fail(f->b, "the journal does not say who reads");
	crowd_free(f->crowd);
	f->crowd = NULL;
	if (rc == 0)
		rc = fleet_stop(f->node);
	return rc == 0 ? limit(f, v) : rc;
}

static void
tell(struct bench *b, const struct figures *v)
{
	struct bench_row rows[] = {
		{ .name = "fanout",
		    .unit = "deliveries/s",
		    .sense = BENCH_MORE,
		    .value = v->rate,
		    .limit = v->limit,
		    .limit_of = "the same bytes, one writer, the same crowd" },
		{ .name = "fanout.idle_unix",
		    .unit = "bytes",
		    .sense = BENCH_LESS,
		    .value = v->idle_unix },
		{ .name = "fanout.idle_tls",
		    .unit = "bytes",
		    .sense = BENCH_LESS,
		    .value = v->idle_tls },
		{ .name = "fanout.cpu",
		    .unit = "us",
		    .sense = BENCH_LESS,
		    .value = v->cpu,
		    .limit = v->cpu_limit,
		    .limit_of = "that writer",
		    .note = "processor time of the node for one delivery" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		bench_row(b, &rows[i]);
}

static int
run(struct bench *b)
{
	struct fanout f = { .b = b, .seconds = b->seconds > 0 ? b->seconds : SECONDS };
	struct figures v = { 0 };
	int rc;

	if (gen_new(17, "n.bench.example", &f.gen) != 0)
		return bench_fail(b, "no generator");
	rc = make_node(&f);
	for (unsigned int i = 0; i < b->runs && rc == 0; i++)
		rc = one_run(&f, &v, i == 0);
	if (rc == 0)
		tell(b, &v);
	crowd_free(f.crowd);
	gen_free(f.gen);
	fleet_free(f.fleet);
	return rc;
}

const struct bench_scenario bench_fanout = {
	.name = "fanout",
	.brief = "lines to a thousand subscribers, half Unix, half TLS",
	.how =
	    "bundles of 1,000 indicators, shared while the slowest subscriber is at most two "
	    "behind; lines that reached a subscriber, until all have all, by the time from the "
	    "first submission on; against the same bytes written by one process",
	.run = run,
};
