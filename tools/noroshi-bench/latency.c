/*
 * latency: from a submission at one node to the line at a subscriber of
 * another.  Requests are due on a schedule that does not wait for anybody: the
 * time begins when the last byte of a request was due, also when the generator or
 * all connections were late, and ends when the subscriber has read the line.
 *
 * Both nodes, their keepers, the generator and the subscriber share this machine.
 */
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "tools/noroshi-bench/fleet.h"
#include "tools/noroshi-bench/gen.h"
#include "tools/noroshi-bench/hist.h"
#include "tools/noroshi-bench/limits.h"
#include "tools/noroshi-bench/limits_priv.h"

#define SAMPLES	   10000u
#define IDLE_RATE  100.0 /* a second */
#define LOAD_RATE  1000.0
#define CONNS	   64u
#define WARM_UP	   200u
#define SPIN_NS	   150000u /* idle: the generator is awake before a request is due */
#define PATIENCE_S 60
#define LINE_MAX   65536u

/* One request of a run. */
struct shot {
	uint64_t due;
	uint64_t answered;
	uint64_t index; /* in the log, from the answer */
	size_t off;	/* of its frames */
	size_t len;
};

struct conn {
	int fd;
	struct shot *shot; /* under way; NULL: free */
	uint8_t in[4096];
	size_t have;
};

/* What reads at the other node; read_at is by index from base on. */
struct subscriber {
	pthread_t thread;
	int fd;
	uint64_t base;
	uint64_t n;
	_Atomic uint64_t *read_at; /* 0: not yet */
	atomic_uint left;
	char *line;
	size_t have;
};

struct run {
	struct bench *b;
	struct fleet_node *from, *to;
	struct gen *gen;
	struct conn conn[CONNS];
	int ep;
	int timer;
	struct nrs_buf frames;
	struct shot *shot;
	unsigned int n;
	unsigned int answered;
	struct hist late; /* of the generator */
};

/* --- sockets ---------------------------------------------------------------- */

static int
unix_connect(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(sa.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(sa.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static int
send_all(int fd, const uint8_t *p, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* The number after "index": in a piece of JSON; NRS_NONE: none. */
static uint64_t
find_index(const char *p, size_t len)
{
	static const char key[] = "\"index\":";
	const char *at = memmem(p, len, key, sizeof(key) - 1);
	uint64_t v = 0;

	if (at == NULL)
		return NRS_NONE;
	at += sizeof(key) - 1;
	while (at < p + len && *at == ' ')
		at++;
	if (at == p + len || *at < '0' || *at > '9')
		return NRS_NONE;
	for (; at < p + len && *at >= '0' && *at <= '9'; at++)
		v = v * 10 + (uint64_t)(*at - '0');
	return v;
}

/* --- the subscriber ------------------------------------------------------------ */

static void
take_lines(struct subscriber *s, uint64_t now)
{
	char *p = s->line, *end;
	size_t left = s->have;
	uint64_t index;

	for (; (end = memchr(p, '\n', left)) != NULL; p = end + 1) {
		left -= (size_t)(end + 1 - p);
		index = find_index(p, (size_t)(end - p));
		if (index == NRS_NONE || index < s->base || index - s->base >= s->n ||
		    s->read_at[index - s->base] != 0)
			continue;
		s->read_at[index - s->base] = now;
		atomic_fetch_sub(&s->left, 1);
	}
	memmove(s->line, p, left);
	s->have = left;
}

static void *
subscriber_main(void *arg)
{
	struct subscriber *s = arg;
	ssize_t n;

	while (atomic_load(&s->left) > 0) {
		n = read(s->fd, s->line + s->have, LINE_MAX - s->have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		s->have += (size_t)n;
		take_lines(s, bench_now_ns());
	}
	return NULL;
}

static int
subscriber_start(struct run *r, struct subscriber *s, const char *path, uint64_t base)
{
	memset(s, 0, sizeof(*s));
	s->base = base;
	s->n = 2 * (uint64_t)r->n + 16; /* lists and retries take places too */
	s->read_at = bench_alloc(s->n * sizeof(*s->read_at));
	for (uint64_t i = 0; i < s->n; i++)
		s->read_at[i] = 0;
	s->line = bench_alloc(LINE_MAX);
	atomic_store(&s->left, r->n);
	s->fd = unix_connect(path);
	/* an empty line: what is new from now on */
	if (s->fd < 0 || send_all(s->fd, (const uint8_t *)"\n", 1) != 0)
		return bench_fail_errno(r->b, "subscriber at %s", path);
	bench_sleep_until_ns(bench_now_ns() + 100000000u);
	if (pthread_create(&s->thread, NULL, subscriber_main, s) != 0) {
		close(s->fd);
		s->fd = -1;
		return bench_fail(r->b, "no thread for the subscriber");
	}
	return 0;
}

static int
subscriber_end(struct run *r, struct subscriber *s)
{
	uint64_t until = bench_now_ns() + PATIENCE_S * UINT64_C(1000000000);
	unsigned int left;

	if (s->fd >= 0) {
		while (atomic_load(&s->left) > 0 && bench_now_ns() < until)
			bench_sleep_until_ns(bench_now_ns() + 1000000);
		shutdown(s->fd, SHUT_RDWR);
		pthread_join(s->thread, NULL);
		close(s->fd);
	}
	left = atomic_load(&s->left);
	free(s->line);
	return left == 0 ? 0 : bench_fail(r->b, "%u records did not come", left);
}

/* --- the generator ------------------------------------------------------------- */

static void
put_frame(struct nrs_buf *b, char kind, const void *p, size_t len)
{
	nrs_buf_u32(b, (uint32_t)len);
	nrs_buf_u8(b, (uint8_t)kind);
	nrs_buf_put(b, p, len);
}

/* All requests are made before the first is due. */
static int
load_shots(struct run *r, double rate)
{
	static const char ask[] =
	    "{\"v\":1,\"cmd\":\"submit\",\"community\":\"" FLEET_COMMUNITY
	    "\",\"tlp\":\"GREEN\",\"attach\":true}";
	uint64_t seed = 88172645463325252u + r->n;
	double t = 0.05;
	struct nrs_buf body;
	int rc = 0;

	nrs_buf_init(&body, 1u << 20);
	nrs_buf_reset(&r->frames);
	for (unsigned int i = 0; i < r->n && rc == 0; i++) {
		struct shot *s = &r->shot[i];

		/* Exponential gaps: requests know nothing of each other. */
		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		t -= log(((double)(seed >> 11) + 1) / 9007199254740993.0) / rate;
		memset(s, 0, sizeof(*s));
		s->due = (uint64_t)(t * 1e9);
		s->off = r->frames.len;
		nrs_buf_reset(&body);
		rc = gen_bundle(r->gen, 1, &body);
		put_frame(&r->frames, 'J', ask, sizeof(ask) - 1);
		put_frame(&r->frames, 'B', body.p, body.len);
		s->len = r->frames.len - s->off;
		rc = rc != 0 ? rc : r->frames.err;
	}
	nrs_buf_fini(&body);
	return rc != 0 ? bench_fail(r->b, "%s", nrs_strerror(rc)) : 0;
}

static int
fire(struct run *r, struct conn *c, struct shot *s)
{
	uint64_t now = bench_now_ns();

	c->shot = s;
	hist_add(&r->late, now > s->due ? now - s->due : 0);
	if (send_all(c->fd, r->frames.p + s->off, s->len) != 0)
		return bench_fail_errno(r->b, "submission to %s", r->from->name);
	return 0;
}

static int
take_answer(struct run *r, struct conn *c)
{
	ssize_t n = recv(c->fd, c->in + c->have, sizeof(c->in) - c->have, MSG_DONTWAIT);
	size_t len;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return bench_fail(r->b, "%s closed a connection", r->from->name);
	c->have += (size_t)n;
	if (c->have < 5)
		return 0;
	len = nrs_get_u32(c->in);
	if (len > sizeof(c->in) - 5 || c->shot == NULL)
		return bench_fail(r->b, "an answer that makes no sense");
	if (c->have < 5 + len)
		return 0;
	c->shot->answered = bench_now_ns();
	c->shot->index = find_index((const char *)c->in + 5, len);
	if (c->shot->index == NRS_NONE)
		return bench_fail(r->b, "%s refused: %.*s", r->from->name, (int)len,
		    (const char *)c->in + 5);
	c->shot = NULL;
	c->have = 0;
	r->answered++;
	return 0;
}

static struct conn *
free_conn(struct run *r)
{
	for (unsigned int i = 0; i < CONNS; i++)
		if (r->conn[i].shot == NULL)
			return &r->conn[i];
	return NULL;
}

/* Until something can be read, or ns has come. */
static int
wait_events(struct run *r, uint64_t ns)
{
	struct itimerspec at = { .it_value = { .tv_sec = (time_t)(ns / 1000000000u),
				     .tv_nsec = (long)(ns % 1000000000u) } };
	struct epoll_event ev[CONNS + 1];
	uint64_t count;
	int n, rc = 0;

	(void)timerfd_settime(r->timer, TFD_TIMER_ABSTIME, &at, NULL);
	n = epoll_wait(r->ep, ev, CONNS + 1, -1);
	for (int i = 0; i < n && rc == 0; i++) {
		if (ev[i].data.ptr != NULL)
			rc = take_answer(r, ev[i].data.ptr);
		else
			(void)!read(r->timer, &count, sizeof(count));
	}
	return rc;
}

/* No request waits for another but for a connection, and then its time runs. */
static int
shoot(struct run *r, uint64_t spin_ns)
{
	uint64_t t0 = bench_now_ns(), until;
	unsigned int next = 0;
	struct conn *c;
	int rc = 0;

	for (unsigned int i = 0; i < r->n; i++)
		r->shot[i].due += t0;
	until = r->shot[r->n - 1].due + PATIENCE_S * UINT64_C(1000000000);
	r->answered = 0;
	while (rc == 0 && r->answered < r->n) {
		c = free_conn(r);
		if (next < r->n && c != NULL &&
		    bench_now_ns() + spin_ns >= r->shot[next].due) {
			while (bench_now_ns() < r->shot[next].due)
				;
			rc = fire(r, c, &r->shot[next++]);
		} else if (next < r->n && c != NULL) {
			rc = wait_events(r, r->shot[next].due - spin_ns);
		} else {
			rc = wait_events(r, until);
			if (bench_now_ns() > until)
				rc = bench_fail(r->b, "%s does not answer", r->from->name);
		}
	}
	return rc;
}

/* --- one measurement -------------------------------------------------------------- */

static int
own_size(struct run *r, uint64_t *ret)
{
	json_t *a = NULL, *o;
	size_t i;
	int rc = fleet_call(r->from, json_pack("{s:s}", "cmd", "status"), NULL, 0, &a);

	*ret = 0;
	if (rc != 0)
		return rc;
	json_array_foreach(json_object_get(a, "origins"), i, o)
		if (json_is_true(json_object_get(o, "own")))
			*ret = (uint64_t)json_integer_value(json_object_get(o, "size"));
	json_decref(a);
	return 0;
}

static int
measure(struct run *r, const char *path, unsigned int n, double rate, struct hist *seen,
    struct hist *acked)
{
	struct subscriber s = { .fd = -1 };
	uint64_t base, at;
	int rc, rc2;

	r->n = n;
	hist_init(&r->late);
	if ((rc = load_shots(r, rate)) != 0 || (rc = own_size(r, &base)) != 0)
		return rc;
	rc = subscriber_start(r, &s, path, base);
	if (rc == 0)
		rc = shoot(r, rate < LOAD_RATE ? SPIN_NS : 0);
	rc2 = subscriber_end(r, &s);
	rc = rc != 0 ? rc : rc2;
	for (unsigned int i = 0; i < n && rc == 0; i++) {
		const struct shot *q = &r->shot[i];

		at = q->index >= base && q->index - base < s.n ? s.read_at[q->index - base]
							       : 0;
		if (at == 0)
			rc = bench_fail(r->b, "record %u was not seen", i);
		hist_add(seen, at > q->due ? at - q->due : 0);
		hist_add(acked, q->answered - q->due);
	}
	free(s.read_at);
	return rc;
}

/* --- what the machine needs at least ------------------------------------------------ */

#define SYNCS  3 /* records at the origin, the keeper's state, records at the other node */
#define SIGNS  1 /* header; that of the checkpoint is made while the state is written */
#define CHECKS 3 /* our own header; checkpoint and header at the other node */
#define HOPS   7 /* request, 2 x keeper there and back, peer, subscriber */
#define PROBES 200u

/* One at a time, ten milliseconds apart, as idle ones come; µs, the median. */
static int
probe_sync(struct bench *b, double *ret_us)
{
	enum { LEN = 1024, ROOM = 1 << 20 };
	uint8_t *p = bench_alloc(ROOM);
	char *path = NULL;
	struct hist h;
	uint64_t t;
	int fd = -1, rc;

	hist_init(&h);
	limit_noise(p, ROOM);
	if ((rc = limit_disk_open(b, &path, &fd)) != 0) {
		free(p);
		return rc;
	}
	if (pwrite(fd, p, ROOM, 0) != ROOM || fsync(fd) != 0)
		rc = bench_fail_errno(b, "cannot write to %s", path);
	for (unsigned int i = 0; i < PROBES && rc == 0; i++) {
		bench_sleep_until_ns(bench_now_ns() + 10000000u);
		t = bench_now_ns();
		if (pwrite(fd, p, LEN, (off_t)(i * LEN)) != LEN || fdatasync(fd) != 0)
			rc = bench_fail_errno(b, "cannot write to %s", path);
		hist_add(&h, bench_now_ns() - t);
	}
	limit_disk_close(path, fd);
	free(p);
	*ret_us = (double)hist_quantile(&h, 0.5) / 1e3;
	return rc;
}

static void *
echo(void *arg)
{
	int fd = *(int *)arg;
	uint8_t p[512];
	ssize_t n;

	while ((n = read(fd, p, sizeof(p))) > 0)
		if (write(fd, p, (size_t)n) != n)
			break;
	return NULL;
}

/* Half of there and back between two threads that sleep: 512 bytes on a socket. */
static int
probe_hop(struct bench *b, double *ret_us)
{
	uint8_t p[512] = { 0 };
	pthread_t other;
	struct hist h;
	uint64_t t;
	int sv[2], rc = 0;

	hist_init(&h);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv) != 0)
		return bench_fail_errno(b, "socketpair");
	if (pthread_create(&other, NULL, echo, &sv[1]) != 0) {
		close(sv[0]);
		close(sv[1]);
		return bench_fail(b, "no thread");
	}
	for (unsigned int i = 0; i < PROBES && rc == 0; i++) {
		bench_sleep_until_ns(bench_now_ns() + 10000000u);
		t = bench_now_ns();
		if (write(sv[0], p, sizeof(p)) != sizeof(p) ||
		    recv(sv[0], p, sizeof(p), MSG_WAITALL) != sizeof(p))
			rc = bench_fail_errno(b, "socketpair");
		hist_add(&h, (bench_now_ns() - t) / 2);
	}
	shutdown(sv[0], SHUT_RDWR);
	pthread_join(other, NULL);
	close(sv[0]);
	close(sv[1]);
	*ret_us = (double)hist_quantile(&h, 0.5) / 1e3;
	return rc;
}

/* ms: what one record cannot do without, one after the other, each measured alone. */
static int
least(struct bench *b, double *ret_ms)
{
	double sync = 0, hop = 0, sign, check;
	int rc;

	if ((rc = probe_sync(b, &sync)) != 0 || (rc = probe_hop(b, &hop)) != 0)
		return rc;
	sign = limit_sign(0.3);
	check = limit_verify(0.3);
	if (sign <= 0 || check <= 0)
		return bench_fail(b, "signatures cannot be measured");
	*ret_ms =
	    (SYNCS * sync + SIGNS * 1e6 / sign + CHECKS * 1e6 / check + HOPS * hop) / 1e3;
	bench_note(b,
	    "least: %d syncs of 1 KiB %.0f us, %d signatures %.0f us, %d checks %.0f us, "
	    "%d hops between processes %.0f us: %.2f ms",
	    SYNCS, sync, SIGNS, 1e6 / sign, CHECKS, 1e6 / check, HOPS, hop, *ret_ms);
	return 0;
}

/* --- the scenario -------------------------------------------------------------------- */

static int
run_open(struct run *r)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int rc;

	r->ep = epoll_create1(EPOLL_CLOEXEC);
	r->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (r->ep < 0 || r->timer < 0 ||
	    epoll_ctl(r->ep, EPOLL_CTL_ADD, r->timer, &ev) != 0)
		return bench_fail_errno(r->b, "epoll");
	for (unsigned int i = 0; i < CONNS; i++) {
		ev.data.ptr = &r->conn[i];
		r->conn[i].fd = unix_connect(r->from->socket);
		if (r->conn[i].fd < 0 ||
		    epoll_ctl(r->ep, EPOLL_CTL_ADD, r->conn[i].fd, &ev) != 0)
			return bench_fail_errno(r->b, "%s", r->from->socket);
	}
	rc = gen_new(1, r->from->origin, &r->gen);
	return rc != 0 ? bench_fail(r->b, "%s", nrs_strerror(rc)) : 0;
}

static void
run_close(struct run *r)
{
	for (unsigned int i = 0; i < CONNS; i++)
		if (r->conn[i].fd >= 0)
			close(r->conn[i].fd);
	if (r->ep >= 0)
		close(r->ep);
	if (r->timer >= 0)
		close(r->timer);
	gen_free(r->gen);
	nrs_buf_fini(&r->frames);
	free(r->shot);
	free(r);
}

static int
start_fleet(struct bench *b, struct fleet **ret, struct run *r, char **ret_path)
{
	char *lines;
	int rc;

	if ((rc = fleet_new(b, "latency", ret)) != 0 ||
	    (rc = fleet_add(*ret, "jp", NULL, NULL, &r->from)) != 0 ||
	    (rc = fleet_add(*ret, "us", NULL, NULL, &r->to)) != 0 ||
	    (rc = fleet_join(*ret)) != 0)
		return rc;
	*ret_path = bench_fmt("%s/feed.sock", r->to->dir);
	lines = bench_fmt(
	    "subscriber feed {\n\tsocket = \"%s\"\n\tcommunities = {\"" FLEET_COMMUNITY
	    "\"}\n\ttlp = \"AMBER\"\n}",
	    *ret_path);
	rc = fleet_conf(r->to, lines);
	free(lines);
	return rc != 0 ? rc : fleet_reload(r->to);
}

struct results {
	struct hist idle[BENCH_RUNS_MAX], load[BENCH_RUNS_MAX];
	struct hist idle_ack[BENCH_RUNS_MAX], load_ack[BENCH_RUNS_MAX];
	struct bench_series least;
};

static int
one_run(struct run *r, const char *path, struct results *v, unsigned int i)
{
	struct bench *b = r->b;
	unsigned int idle = SAMPLES, load = SAMPLES;
	double ms = 0;
	int rc;

	if (b->records > 0)
		idle = load = b->records < 10000000 ? (unsigned int)b->records : 10000000;
	if (b->seconds > 0) {
		idle = (unsigned int)(b->seconds * IDLE_RATE) + 1;
		load = (unsigned int)(b->seconds * LOAD_RATE) + 1;
	}
	free(r->shot);
	r->shot = bench_alloc(
	    (load > idle ? load : idle) * sizeof(*r->shot) + WARM_UP * sizeof(*r->shot));
	if ((rc = least(b, &ms)) != 0)
		return rc;
	bench_add(&v->least, ms);
	rc = measure(r, path, WARM_UP, IDLE_RATE, &v->idle[i], &v->idle_ack[i]);
	hist_init(&v->idle[i]);
	hist_init(&v->idle_ack[i]);
	if (rc == 0)
		rc = measure(r, path, idle, IDLE_RATE, &v->idle[i], &v->idle_ack[i]);
	bench_debug(b, "idle: p50 %.2f ms; the generator was late by %.3f ms, p99 %.3f",
	    (double)hist_quantile(&v->idle[i], 0.5) / 1e6,
	    (double)hist_quantile(&r->late, 0.5) / 1e6,
	    (double)hist_quantile(&r->late, 0.99) / 1e6);
	if (rc == 0)
		rc = measure(r, path, load, LOAD_RATE, &v->load[i], &v->load_ack[i]);
	bench_debug(b, "load: p50 %.2f ms; the generator was late by %.3f ms, p99 %.3f",
	    (double)hist_quantile(&v->load[i], 0.5) / 1e6,
	    (double)hist_quantile(&r->late, 0.5) / 1e6,
	    (double)hist_quantile(&r->late, 0.99) / 1e6);
	return rc;
}

static void
tell(struct bench *b, const struct results *v, unsigned int n)
{
	struct bench_row row = { .name = "latency",
		.unit = "ms",
		.sense = BENCH_LESS,
		.limit = v->least,
		.limit_of = "syncs, signatures and hops of one record, each alone",
		.note = "p50, idle" };

	for (unsigned int i = 0; i < n; i++)
		bench_add(&row.value, (double)hist_quantile(&v->idle[i], 0.5) / 1e6);
	bench_row(b, &row);
	hist_rows(b, "latency.idle", v->idle, n);
	hist_rows(b, "latency.load", v->load, n);
	hist_rows(b, "latency.idle.ack", v->idle_ack, n);
	hist_rows(b, "latency.load.ack", v->load_ack, n);
}

static int
run(struct bench *b)
{
	struct run *r = bench_alloc(sizeof(*r));
	struct results *v = bench_alloc(sizeof(*v));
	struct fleet *f = NULL;
	char *path = NULL;
	unsigned int i;
	int rc;

	memset(r, 0, sizeof(*r));
	memset(v, 0, sizeof(*v));
	r->b = b;
	r->ep = r->timer = -1;
	for (i = 0; i < CONNS; i++)
		r->conn[i].fd = -1;
	for (i = 0; i < BENCH_RUNS_MAX; i++) {
		hist_init(&v->idle[i]);
		hist_init(&v->load[i]);
		hist_init(&v->idle_ack[i]);
		hist_init(&v->load_ack[i]);
	}
	nrs_buf_init(&r->frames, SIZE_MAX / 2);
	rc = start_fleet(b, &f, r, &path);
	if (rc == 0)
		rc = run_open(r);
	for (i = 0; i < b->runs && rc == 0; i++)
		rc = one_run(r, path, v, i);
	if (rc == 0)
		tell(b, v, b->runs);
	run_close(r);
	free(v);
	fleet_free(f);
	free(path);
	return rc;
}

const struct bench_scenario bench_latency = {
	.name = "latency",
	.brief = "submit at one node to a subscriber at another, idle and at 1,000/s",
	.how =
	    "10,000 records of one indicator each, idle (100/s) and at 1,000/s, due at "
	    "exponential distances whatever the nodes do; from the moment the request was "
	    "due to the subscriber's read; two nodes, keepers, generator and subscriber "
	    "on this machine",
	.run = run,
};
