/*
 * One subscriber's connection: handshake, first line, lines, heartbeats, end.
 *
 * A connection has one event, edge-triggered and never changed, and no timer: who
 * has something to do stands in a queue, and the pump serves it a piece at a time,
 * a few milliseconds in each turn of the loop, so that peers wait for no subscriber.
 * The bytes are the engine's, shared by all who get the same; what a socket does
 * not take costs its own cursor, and over TLS one record.
 */
#include "daemon/stream_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include <jansson.h>

#include "base/text.h"
#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/net.h"

#define MS		UINT64_C(1000000)
#define LINE_MAX_LEN	1024 /* the line that says where to begin */
#define WAIT_NS		(200 * MS)
#define WAIT_TLS_NS	(5000 * MS) /* a lost packet must not lose the first line */
#define HANDSHAKE_NS	(10000 * MS)
#define HANDSHAKES_MAX	256
#define HANDSHAKES_HOST 64  /* of one address: a stranger cannot take all of them */
#define TICK_MS		50  /* while somebody is waited for */
#define BEAT_MS		250 /* else */
#define SLICE_NS	(3 * MS)
#define PIECE		(64u << 10) /* for one client before the next has its turn */
#define OUT_MAX		(64u << 10)
#define SAID_MAX	(64u << 10)
#define SAID_TLS	1024u /* what a message of TLS itself counts as */

static void on_pump(evutil_socket_t fd, short what, void *arg);

/* --- the socket ---------------------------------------------------------------- */

static ssize_t
sock_send(struct client *c, const uint8_t *p, size_t len)
{
	ssize_t n;

	do
		n = send(c->fd, p, len, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		n = 0;
	if (n >= 0 && (size_t)n < len)
		c->blocked = true;
	return n;
}

int
client_send(struct client *c, const uint8_t *p, size_t len)
{
	ssize_t n = 0;
	uint8_t *out;

	if (c->out == NULL && !c->blocked && (n = sock_send(c, p, len)) < 0)
		return NRS_EIO;
	p += n;
	len -= (size_t)n;
	if (len == 0)
		return 0;
	if (c->out_len + len > OUT_MAX || (out = realloc(c->out, c->out_len + len)) == NULL)
		return NRS_ELIMIT;
	memcpy(out + c->out_len, p, len);
	c->out = out;
	c->out_len += (uint32_t)len;
	return 0;
}

/* What waited goes first. 1: all of it went; 0: not yet; -1: broken. */
static int
client_flush(struct client *c)
{
	ssize_t n;

	while (c->out != NULL && !c->blocked) {
		n = sock_send(c, c->out + c->out_off, c->out_len - c->out_off);
		if (n < 0)
			return -1;
		c->out_off += (uint32_t)n;
		if (c->out_off < c->out_len)
			continue;
		free(c->out);
		c->out = NULL;
		c->out_off = c->out_len = 0;
	}
	return c->out == NULL && !c->blocked;
}

/* As stream_tls_read(). */
static ssize_t
client_read(struct client *c, void *buf, size_t len)
{
	ssize_t n;

	if (c->ssl != NULL)
		return stream_tls_read(c, buf, len);
	do
		n = recv(c->fd, buf, len, 0);
	while (n < 0 && errno == EINTR);
	return n >= 0 ? n : errno == EAGAIN ? -1 : -2;
}

/* How much was taken, which may be nothing; -1: broken. */
static ssize_t
client_write(struct client *c, const uint8_t *p, size_t len)
{
	if (c->ssl == NULL)
		return sock_send(c, p, len);
	return stream_tls_write(c, p, len < STREAM_RECORD ? len : STREAM_RECORD);
}

/* A short line of our own, whole. */
static void
client_say(struct client *c, const char *line, size_t len)
{
	int rc;

	if (c->ssl != NULL)
		rc = stream_tls_write(c, line, len) == (ssize_t)len ? 0 : NRS_EIO;
	else
		rc = client_send(c, (const uint8_t *)line, len);
	if (rc != 0)
		client_end(c);
}

/* --- life ------------------------------------------------------------------------ */

static void
arm(struct event *ev, unsigned int ms)
{
	const struct timeval tv = { ms / 1000, (ms % 1000) * 1000 };

	evtimer_add(ev, &tv);
}

static void
want_tick(struct stream *s, unsigned int ms)
{
	if (s->ticking && ms >= BEAT_MS)
		return;
	s->ticking = true;
	arm(s->tick, ms);
}

static void
enqueue(struct client *c)
{
	struct stream *s = c->s;

	if (c->queued)
		return;
	c->queued = true;
	TAILQ_INSERT_TAIL(&s->ready, c, queue);
	if (!s->pumping) {
		s->pumping = true;
		arm(s->pump, 0);
	}
}

static void
dequeue(struct client *c)
{
	if (!c->queued)
		return;
	c->queued = false;
	TAILQ_REMOVE(&c->s->ready, c, queue);
}

static struct clients *
list_of(struct client *c)
{
	return c->phase == CLIENT_HANDSHAKE ? &c->s->handshakes
	    : c->phase == CLIENT_FIRST	    ? &c->s->waiting
	    : c->phase == CLIENT_STREAM	    ? &c->sub->clients
					    : &c->s->dying;
}

static void
set_phase(struct client *c, enum client_phase to)
{
	TAILQ_REMOVE(list_of(c), c, link);
	c->s->nhandshakes -= c->phase == CLIENT_HANDSHAKE;
	c->phase = (uint8_t)to;
	c->since = loop_mono();
	TAILQ_INSERT_TAIL(list_of(c), c, link);
}

static void
client_free(struct client *c)
{
	node_reader_free(c->reader);
	stream_tls_end(c);
	if (c->fd >= 0) {
		event_del(&c->ev);
		close(c->fd);
	}
	free(c->in);
	free(c->out);
	free(c);
}

static void
on_reap(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;
	struct client *c;

	while ((c = TAILQ_FIRST(&s->dying)) != NULL) {
		TAILQ_REMOVE(&s->dying, c, link);
		client_free(c);
	}
}

void
client_end(struct client *c)
{
	if (c->phase == CLIENT_DEAD)
		return;
	dequeue(c);
	if (c->sub != NULL)
		c->sub->nclients--;
	if (c->ssl != NULL)
		c->s->ntls--;
	else
		c->s->nunix--;
	node_reader_free(c->reader); /* now, while its place is known */
	c->reader = NULL;
	stream_tls_end(c);
	event_del(&c->ev);
	close(c->fd);
	c->fd = -1;
	set_phase(c, CLIENT_DEAD);
	app_touch(c->s->app); /* what it was given goes into the journal */
	event_active(c->s->reap, EV_TIMEOUT, 0);
	c->sub = NULL;
}

/* One line in the form of the control protocol's errors, then the end. */
static void
client_refuse(struct client *c, enum stream_reason r, const char *code, const char *why)
{
	char line[512];
	int n = snprintf(line, sizeof(line),
	    "{\"error\":{\"code\":\"%s\",\"what\":\"the stream cannot begin\",\"why\":\"%s\","
	    "\"next\":\"see docs/CONTROL.md\",\"exit\":%d}}\n",
	    code, why, r == STREAM_R_LIMIT ? 75 : 65);

	stream_refuse(c->s, r, c->sub->name);
	/* Fits an empty socket buffer; if not, the end alone says enough. */
	if (c->out == NULL && !c->blocked && (!c->queued || !c->given))
		client_say(c, line, (size_t)n);
	client_end(c);
}

static void
on_wake(void *arg)
{
	enqueue(arg);
}

/*
 * Each stream leaves a range in the journal, which nothing takes away again: who
 * comes and goes for ever must not fill the disk.
 */
static bool
may_begin(struct sub *sub)
{
	const unsigned int burst = 64 + 4 * sub->connections;
	const unsigned int per_s = 1 + sub->connections / 8;
	struct nrs_mono now = loop_mono();
	uint64_t back = (now.ns - sub->begun_at.ns) / (1000 * MS / per_s);

	if (back > 0) {
		sub->begun -= back < sub->begun ? (unsigned int)back : sub->begun;
		sub->begun_at = now;
	}
	if (sub->begun >= burst)
		return false;
	sub->begun++;
	return true;
}

static void
begin(struct client *c, struct node_cursor from)
{
	const struct sub *sub = c->sub;
	struct node *n = c->s->app->node;
	struct node_receiver who = { .kind = c->ssl != NULL ? NODE_READER_TLS
							    : NODE_READER_UNIX,
		.name = sub->name,
		.uid = c->uid,
		.pin = c->pin };
	struct node_clearance cl = { .tlp = sub->tlp,
		.communities = sub->all ? NULL : (const char *const *)sub->communities,
		.ncommunities = sub->ncommunities,
		.direct = sub->direct,
		.receiver = &who };
	struct nrs_detail d = { 0 };
	int rc;

	free(c->in);
	c->in = NULL;
	if (n == NULL) {
		client_end(c);
		return;
	}
	if (!may_begin(c->sub)) {
		client_refuse(
		    c, STREAM_R_LIMIT, "limit", "it began too many streams: wait a little");
		return;
	}
	rc = node_reader_open(n, &cl, from, on_wake, c, &c->reader, &d);
	if (rc != 0) {
		client_refuse(c, STREAM_R_LINE, nrs_errname(rc),
		    rc == NRS_ERANGE ? "the cursor is ahead of this node"
				     : nrs_strerror(rc));
		return;
	}
	set_phase(c, CLIENT_STREAM);
	app_touch(c->s->app); /* the range becomes durable */
	enqueue(c);
}

/* Where it is: the newest event that was passed. */
static void
tell_place(struct client *c)
{
	char time[25], line[128];
	int n;

	nrs_time_format(time, loop_wall());
	n = snprintf(line, sizeof(line),
	    "{\"action\":\"heartbeat\",\"event\":%" PRIu64 ",\"time\":\"%s\"}\n",
	    node_reader_cursor(c->reader).event, time);
	client_say(c, line, (size_t)n);
}

static void
heartbeat(struct client *c, struct nrs_mono now)
{
	if (now.ns - c->since.ns < c->sub->heartbeat_s * 1000 * MS)
		return;
	c->since = now;
	/* A client that takes nothing gets no heartbeats either. */
	if (!c->queued && c->out == NULL && !c->blocked)
		tell_place(c);
}

/* --- the first line ----------------------------------------------------------------- */

static int
parse_from(const char *s, struct node_cursor *ret)
{
	const char *dot = strchr(s, '.');
	size_t len = dot != NULL ? (size_t)(dot - s) : strlen(s);

	ret->n = NRS_NONE;
	if (nrs_u64_parse(s, len, NRS_NONE - 1, &ret->event) != 0)
		return NRS_ESYNTAX;
	return dot == NULL ? 0
			   : nrs_u64_parse(dot + 1, strlen(dot + 1), NRS_NONE - 1, &ret->n);
}

static int
parse_start(
    struct node *n, const char *line, size_t len, struct node_cursor *ret, bool *ret_tell)
{
	json_t *j = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	const char *from = json_string_value(json_object_get(j, "from"));
	const char *since = json_string_value(json_object_get(j, "since"));
	struct nrs_wall t;
	int rc = NRS_ESYNTAX;

	if (json_object_size(j) != 1) {
		rc = NRS_ESYNTAX;
	} else if (from != NULL && strcmp(from, "now") == 0) {
		*ret = node_cursor_now(n);
		*ret_tell = true;
		rc = 0;
	} else if (from != NULL)
		rc = parse_from(from, ret);
	else if (since != NULL && (rc = nrs_time_parse(since, strlen(since), &t)) == 0)
		rc = node_cursor_since(n, t, ret);
	json_decref(j);
	return rc;
}

static void
on_line(struct client *c, const char *line, size_t len)
{
	struct node *n = c->s->app->node;
	struct node_cursor from;
	bool tell = false;

	if (n == NULL)
		client_end(c);
	else if (len == 0)
		begin(c, node_cursor_now(n));
	else if (parse_start(n, line, len, &from, &tell) != 0)
		client_refuse(
		    c, STREAM_R_LINE, "syntax", "the first line is neither from nor since");
	else
		begin(c, from);
	if (tell && c->phase == CLIENT_STREAM)
		tell_place(c);
}

/* Is it ended for that? */
static bool
said_too_much(struct client *c, uint32_t n)
{
	c->said += n;
	if (c->said <= SAID_MAX)
		return false;
	stream_refuse(c->s, STREAM_R_TALK, c->sub->name);
	client_end(c);
	return true;
}

static void
read_first(struct client *c)
{
	char buf[LINE_MAX_LEN], *nl;
	ssize_t n;

	while (c->phase == CLIENT_FIRST) {
		n = client_read(c, buf, sizeof(buf));
		if (n == -1)
			return;
		if (n == -3) {
			(void)said_too_much(c, SAID_TLS);
			continue;
		}
		if (n <= 0) {
			client_end(c);
			return;
		}
		if (c->in == NULL && (c->in = malloc(2 * LINE_MAX_LEN)) == NULL) {
			client_end(c);
			return;
		}
		memcpy(c->in + c->in_len, buf, (size_t)n);
		c->in_len += (uint32_t)n;
		if ((nl = memchr(c->in, '\n', c->in_len)) != NULL &&
		    nl - c->in <= LINE_MAX_LEN) {
			c->said += c->in_len - (uint32_t)(nl - c->in) - 1;
			on_line(c, c->in, (size_t)(nl - c->in));
		} else if (c->in_len > LINE_MAX_LEN) {
			client_refuse(
			    c, STREAM_R_LINE, "limit", "the first line is too long");
		}
	}
}

/* It has said all that it may: a little more is overlooked, unless it may mean something. */
static void
read_more(struct client *c)
{
	char buf[512];
	ssize_t n;

	while (c->phase == CLIENT_STREAM) {
		n = client_read(c, buf, sizeof(buf));
		if (n == -1)
			return;
		if (n == -3) {
			(void)said_too_much(c, SAID_TLS);
			continue;
		}
		if (n <= 0) {
			client_end(c);
			return;
		}
		for (ssize_t i = 0; c->silent && i < n; i++)
			if (buf[i] != '\n') {
				/* a first line that came too late would be lost in silence */
				client_refuse(c, STREAM_R_LINE, "timeout",
				    "the first line came too late");
				return;
			}
		(void)said_too_much(c, (uint32_t)n);
	}
}

/* --- lines -------------------------------------------------------------------------- */

static void
on_failed(struct client *c, int rc)
{
	char subject[96];

	snprintf(subject, sizeof(subject), "subscriber %s", c->sub->name);
	log_warning(subject, "a client was cut off: %s", nrs_strerror(rc));
	client_end(c);
}

/* A piece for one client; true: there may be more, and it would be taken. */
static bool
serve(struct client *c, struct nrs_mono now)
{
	size_t done = 0;
	struct nrs_str s;
	ssize_t n;
	int rc;

	while (done < PIECE) {
		if ((rc = client_flush(c)) <= 0) {
			if (rc < 0)
				client_end(c);
			return false;
		}
		rc = node_reader_peek(c->reader, &s);
		if (rc < 0)
			on_failed(c, rc);
		if (rc != 0)
			return false;
		if (s.len == 0)
			return true;
		n = client_write(c, s.p, s.len < PIECE ? s.len : PIECE);
		if (n < 0) {
			client_end(c);
			return false;
		}
		node_reader_take(c->reader, (size_t)n);
		c->given = true;
		done += (size_t)n;
		if (n > 0)
			c->since = now;
	}
	return true;
}

static void
on_pump(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;
	const uint64_t begun = loop_mono().ns;
	struct nrs_mono now = { begun };
	struct client *c;

	while ((c = TAILQ_FIRST(&s->ready)) != NULL && now.ns - begun < SLICE_NS) {
		dequeue(c);
		if (c->phase == CLIENT_STREAM && serve(c, now))
			enqueue(c);
		now = loop_mono();
	}
	s->pumping = c != NULL;
	/* a timer, not an active event: the sockets of others are looked at in between */
	if (s->pumping)
		arm(s->pump, 0);
}

/* --- events --------------------------------------------------------------------------- */

static void
on_up(struct client *c)
{
	struct sub *sub = stream_find_pin(c->s, &c->pin);

	if (sub == NULL) { /* revoked meanwhile */
		stream_refuse(c->s, STREAM_R_PIN, NULL);
		client_end(c);
		return;
	}
	c->sub = sub;
	sub->nclients++;
	set_phase(c, CLIENT_FIRST);
	if (sub->nclients > sub->connections)
		client_refuse(c, STREAM_R_LIMIT, "limit", "too many connections");
}

/* Closed with something unread, the kernel would send a reset, and the alert be lost. */
static void
drain(struct client *c)
{
	char buf[1024];
	ssize_t n;

	while ((n = recv(c->fd, buf, sizeof(buf), 0)) > 0 && c->said < SAID_MAX)
		c->said += (uint32_t)n;
	if (n >= 0 || (errno != EAGAIN && errno != EINTR))
		client_end(c);
}

static void
handshake(struct client *c)
{
	enum stream_reason why = STREAM_R_TLS;
	int rc = client_flush(c);

	if (rc == 0)
		return;
	rc = rc < 0 ? -1 : stream_tls_handshake(c, &why);
	if (rc > 0)
		on_up(c);
	if (rc >= 0)
		return;
	stream_refuse(c->s, why, NULL);
	c->over = true;
	(void)shutdown(c->fd, SHUT_WR);
	drain(c);
}

static void
on_io(evutil_socket_t fd, short what, void *arg)
{
	struct client *c = arg;

	if ((what & EV_WRITE) != 0 && c->blocked) {
		c->blocked = false;
		if (c->phase == CLIENT_STREAM)
			enqueue(c);
	}
	if (c->over && c->phase == CLIENT_HANDSHAKE) {
		drain(c);
		return;
	}
	if (c->phase == CLIENT_HANDSHAKE) {
		handshake(c);
		what |= EV_READ; /* the first line may have come with its end */
	}
	if ((what & EV_READ) == 0)
		return;
	if (c->phase == CLIENT_FIRST)
		read_first(c);
	if (c->phase == CLIENT_STREAM)
		read_more(c);
}

/* Who was waited for long enough, and who has heard nothing for as long as its stanza says. */
static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;
	struct nrs_mono now = loop_mono();
	struct client *c, *tmp;
	struct sub *sub;

	TAILQ_FOREACH_SAFE(c, &s->handshakes, link, tmp)
	{
		if (now.ns - c->since.ns < HANDSHAKE_NS)
			break; /* in order of time */
		if (!c->over)
			stream_refuse(s, STREAM_R_TIMEOUT, NULL);
		client_end(c);
	}
	TAILQ_FOREACH_SAFE(c, &s->waiting, link, tmp)
	{
		if (now.ns - c->since.ns < (c->ssl != NULL ? WAIT_TLS_NS : WAIT_NS))
			continue;
		c->silent = true;
		on_line(c, "", 0);
	}
	TAILQ_FOREACH(sub, &s->subs, link)
		TAILQ_FOREACH_SAFE(c, &sub->clients, link, tmp)
	heartbeat(c, now);
	s->ticking = s->ntls + s->nunix > 0;
	if (s->ticking)
		arm(s->tick,
		    TAILQ_EMPTY(&s->waiting) && TAILQ_EMPTY(&s->handshakes) ? BEAT_MS
									    : TICK_MS);
}

/* --- beginning ------------------------------------------------------------------------- */

static struct client *
client_new(struct stream *s, int fd)
{
	struct client *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->s = s;
	c->fd = fd;
	c->uid = UINT32_MAX;
	c->since = loop_mono();
	if (event_assign(&c->ev, s->app->base, fd, EV_READ | EV_WRITE | EV_ET | EV_PERSIST,
		on_io, c) != 0 ||
	    event_add(&c->ev, NULL) != 0) {
		free(c);
		return NULL;
	}
	return c;
}

void
client_accept_unix(struct sub *sub, int fd)
{
	struct client *c = NULL;
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (sub->nclients >= sub->connections || (c = client_new(sub->s, fd)) == NULL) {
		stream_refuse(sub->s, STREAM_R_LIMIT, sub->name);
		close(fd);
		return;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0)
		c->uid = cred.uid;
	c->phase = CLIENT_FIRST;
	c->sub = sub;
	sub->nclients++;
	sub->s->nunix++;
	TAILQ_INSERT_TAIL(&sub->s->waiting, c, link);
	want_tick(sub->s, TICK_MS);
}

static uint32_t
host_of(const struct sockaddr *sa)
{
	char host[64];
	uint32_t h = 2166136261u;

	net_host_format(sa, host, sizeof(host));
	for (const char *p = host; *p != '\0'; p++)
		h = (h ^ (uint8_t)*p) * 16777619u;
	return h;
}

static bool
have_room(struct stream *s, uint32_t host)
{
	unsigned int n = 0;
	struct client *c;

	if (s->nhandshakes >= HANDSHAKES_MAX || s->ntls >= s->app->conf->stream_connections)
		return false;
	TAILQ_FOREACH(c, &s->handshakes, link)
		n += c->host == host;
	return n < HANDSHAKES_HOST;
}

void
client_accept_tls(struct stream *s, int fd, const struct sockaddr *sa)
{
	uint32_t host = host_of(sa);
	struct client *c = NULL;

	if (!have_room(s, host) || net_socket_prepare(fd) != 0 ||
	    (c = client_new(s, fd)) == NULL) {
		stream_refuse(s, STREAM_R_LIMIT, NULL);
		close(fd);
		return;
	}
	c->host = host;
	if (stream_tls_begin(c) != 0) {
		stream_refuse(s, STREAM_R_LIMIT, NULL);
		client_free(c);
		return;
	}
	s->ntls++;
	s->nhandshakes++;
	TAILQ_INSERT_TAIL(&s->handshakes, c, link);
	want_tick(s, TICK_MS);
}

/* --- many ------------------------------------------------------------------------------ */

void
client_end_all(struct sub *sub)
{
	struct client *c, *tmp;

	TAILQ_FOREACH_SAFE(c, &sub->s->waiting, link, tmp)
	if (c->sub == sub)
		client_end(c);
	while ((c = TAILQ_FIRST(&sub->clients)) != NULL)
		client_end(c);
}

static bool
still_welcome(const struct client *c, const struct sub *to)
{
	if (c->ssl != NULL)
		return to->has_pin && memcmp(&c->pin, &to->pin, sizeof(c->pin)) == 0;
	return to->path != NULL && c->sub->path != NULL &&
	    strcmp(to->path, c->sub->path) == 0;
}

static void
client_move(struct client *c, struct sub *to)
{
	if (!still_welcome(c, to)) {
		client_end(c);
		return;
	}
	if (c->phase == CLIENT_STREAM) {
		TAILQ_REMOVE(&c->sub->clients, c, link);
		TAILQ_INSERT_TAIL(&to->clients, c, link);
	}
	c->sub->nclients--;
	c->sub = to;
	to->nclients++;
}

void
client_move_all(struct sub *from, struct sub *to)
{
	struct client *c, *tmp;

	TAILQ_FOREACH_SAFE(c, &from->s->waiting, link, tmp)
	if (c->sub == from)
		client_move(c, to);
	TAILQ_FOREACH_SAFE(c, &from->clients, link, tmp)
	client_move(c, to);
}

int
client_init(struct stream *s)
{
	struct event_base *base = s->app->base;

	TAILQ_INIT(&s->handshakes);
	TAILQ_INIT(&s->waiting);
	TAILQ_INIT(&s->dying);
	TAILQ_INIT(&s->ready);
	s->pump = evtimer_new(base, on_pump, s);
	s->tick = evtimer_new(base, on_tick, s);
	s->reap = event_new(base, -1, 0, on_reap, s);
	return s->pump != NULL && s->tick != NULL && s->reap != NULL ? 0 : NRS_ENOMEM;
}

void
client_fini(struct stream *s)
{
	struct client *c;

	while ((c = TAILQ_FIRST(&s->handshakes)) != NULL)
		client_end(c);
	if (s->reap != NULL) {
		on_reap(-1, 0, s);
		event_free(s->reap);
	}
	if (s->pump != NULL)
		event_free(s->pump);
	if (s->tick != NULL)
		event_free(s->tick);
}
