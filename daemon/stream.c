/*
 * Subscribers' sockets.  The stanza says what may be read there; the file's mode
 * and group say by whom.  A client may begin with one line that says where, and
 * from then on only reads.
 */
#include "daemon/stream.h"

#include <inttypes.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#include <jansson.h>

#include "base/queue.h"
#include "base/text.h"
#include "daemon/app.h"
#include "daemon/feed.h"
#include "daemon/log.h"
#include "daemon/unix_socket.h"

#define CLIENTS_MAX  64	  /* of one subscriber */
#define LINE_MAX_LEN 1024 /* the line that says where to begin */
#define WAIT_MS	     200
#define PAUSE_S	     1

struct sub;

struct client {
	TAILQ_ENTRY(client) link;
	struct sub *sub;
	struct bufferevent *bev;
	struct event *timer; /* without a first line: from now on */
	struct feed *feed;
	bool dead;
};
TAILQ_HEAD(clients, client);

/* One stanza in force. */
struct sub {
	TAILQ_ENTRY(sub) link;
	struct stream *s;
	char *name, *path;
	char **communities;
	unsigned int ncommunities;
	bool all, direct;
	uint8_t tlp;
	unsigned int heartbeat_s;
	mode_t mode;
	gid_t group;
	struct evconnlistener *ev; /* NULL among `next`: taken over from the one in force */
	struct event *resume;
	struct clients clients;
	unsigned int nclients;
};
TAILQ_HEAD(subs, sub);

struct stream {
	struct app *app;
	struct subs subs, next;
	struct clients dying;
	struct event *reap;
};

/* --- clients --------------------------------------------------------------------- */

static void
client_free(struct client *c)
{
	feed_free(c->feed);
	if (c->timer != NULL)
		event_free(c->timer);
	bufferevent_free(c->bev);
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

static void
client_end(struct client *c)
{
	struct stream *s = c->sub->s;

	if (c->dead)
		return;
	c->dead = true;
	bufferevent_setcb(c->bev, NULL, NULL, NULL, NULL);
	bufferevent_disable(c->bev, EV_READ | EV_WRITE);
	evtimer_del(c->timer);
	feed_free(c->feed);
	c->feed = NULL;
	TAILQ_REMOVE(&c->sub->clients, c, link);
	c->sub->nclients--;
	TAILQ_INSERT_TAIL(&s->dying, c, link);
	event_active(s->reap, EV_TIMEOUT, 0);
}

/* One line in the form of the control protocol's errors, then the end. */
static void
client_refuse(struct client *c, const char *code, const char *why)
{
	char line[512];
	int n = snprintf(line, sizeof(line),
	    "{\"error\":{\"code\":\"%s\",\"what\":\"the stream cannot begin\",\"why\":\"%s\","
	    "\"next\":\"see docs/CONTROL.md\",\"exit\":65}}\n",
	    code, why);

	/* Fits an empty socket buffer; if not, the end alone says enough. */
	if (write(bufferevent_getfd(c->bev), line, (size_t)n) != n)
		log_debug("subscriber", "%s: a refusal was not delivered", c->sub->name);
	client_end(c);
}

static void
on_failed(void *arg, int rc)
{
	struct client *c = arg;
	char subject[96];

	snprintf(subject, sizeof(subject), "subscriber %s", c->sub->name);
	log_warning(subject, "a client was cut off: %s", nrs_strerror(rc));
	client_end(c);
}

static void
begin(struct client *c, struct node_cursor from)
{
	struct sub *sub = c->sub;
	struct feed_opts o = { .tlp = sub->tlp,
		.communities = sub->all ? NULL : (const char *const *)sub->communities,
		.ncommunities = sub->ncommunities,
		.direct = sub->direct,
		.from = from,
		.heartbeat_s = sub->heartbeat_s,
		.failed = on_failed,
		.arg = c };
	struct nrs_detail d = { 0 };
	int rc;

	evtimer_del(c->timer);
	if (sub->s->app->node == NULL) {
		client_end(c);
		return;
	}
	rc = feed_new(sub->s->app, c->bev, &o, &c->feed, &d);
	if (rc != 0)
		client_refuse(c, nrs_errname(rc),
		    rc == NRS_ERANGE ? "the cursor is ahead of this node"
				     : nrs_strerror(rc));
}

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
parse_start(struct node *n, const char *line, size_t len, struct node_cursor *ret)
{
	json_t *j = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	const char *from = json_string_value(json_object_get(j, "from"));
	const char *since = json_string_value(json_object_get(j, "since"));
	struct nrs_wall t;
	int rc = NRS_ESYNTAX;

	if (json_object_size(j) != 1)
		rc = NRS_ESYNTAX;
	else if (from != NULL)
		rc = parse_from(from, ret);
	else if (since != NULL && (rc = nrs_time_parse(since, strlen(since), &t)) == 0)
		rc = node_cursor_since(n, t, ret);
	json_decref(j);
	return rc;
}

static void
on_line(struct client *c, const char *line, size_t len)
{
	struct node *n = c->sub->s->app->node;
	struct node_cursor from;

	if (n == NULL)
		client_end(c);
	else if (len == 0)
		begin(c, node_cursor_now(n));
	else if (parse_start(n, line, len, &from) != 0)
		client_refuse(c, "syntax", "the first line is neither from nor since");
	else
		begin(c, from);
}

static void
on_read(struct bufferevent *bev, void *arg)
{
	struct client *c = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	size_t len;
	char *line;

	if (c->feed != NULL) { /* it has said all that it may */
		evbuffer_drain(in, evbuffer_get_length(in));
		return;
	}
	if ((line = evbuffer_readln(in, &len, EVBUFFER_EOL_LF)) != NULL) {
		on_line(c, line, len);
		free(line);
	} else if (evbuffer_get_length(in) > LINE_MAX_LEN) {
		client_refuse(c, "limit", "the first line is too long");
	}
}

static void
on_write(struct bufferevent *bev, void *arg)
{
	struct client *c = arg;

	if (c->feed != NULL)
		feed_drained(c->feed);
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	client_end(arg);
}

static void
on_silence(evutil_socket_t fd, short what, void *arg)
{
	struct client *c = arg;

	on_line(c, "", 0);
}

static void
on_accept(struct evconnlistener *ev, evutil_socket_t fd, struct sockaddr *sa, int salen,
    void *arg)
{
	const struct timeval wait = { 0, WAIT_MS * 1000 };
	struct sub *sub = arg;
	struct event_base *base = sub->s->app->base;
	struct client *c = NULL;

	if (sub->nclients >= CLIENTS_MAX || (c = calloc(1, sizeof(*c))) == NULL) {
		log_warning("subscriber", "%s: a client was turned away: it has %u already",
		    sub->name, sub->nclients);
		close(fd);
		return;
	}
	c->sub = sub;
	c->bev = bufferevent_socket_new(
	    base, fd, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	c->timer = evtimer_new(base, on_silence, c);
	if (c->bev == NULL || c->timer == NULL) {
		if (c->bev != NULL)
			bufferevent_free(c->bev);
		else
			close(fd);
		if (c->timer != NULL)
			event_free(c->timer);
		free(c);
		return;
	}
	TAILQ_INSERT_TAIL(&sub->clients, c, link);
	sub->nclients++;
	bufferevent_setcb(c->bev, on_read, on_write, on_event, c);
	bufferevent_setwatermark(c->bev, EV_READ, 0, 4096);
	bufferevent_setwatermark(c->bev, EV_WRITE, 64u << 10, 0);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
	evtimer_add(c->timer, &wait);
}

static void
on_resume(evutil_socket_t fd, short what, void *arg)
{
	struct sub *sub = arg;

	evconnlistener_enable(sub->ev);
}

static void
on_accept_error(struct evconnlistener *ev, void *arg)
{
	const struct timeval pause = { PAUSE_S, 0 };
	struct sub *sub = arg;

	log_error("subscriber", "%s: cannot accept connections, trying again: %s",
	    sub->name, strerror(errno));
	evconnlistener_disable(ev);
	evtimer_add(sub->resume, &pause);
}

/* --- stanzas --------------------------------------------------------------------- */

/* gone: the path is nobody's any more. */
static void
sub_free(struct sub *sub, bool gone)
{
	struct client *c, *tmp;

	TAILQ_FOREACH_SAFE(c, &sub->clients, link, tmp)
	{
		TAILQ_REMOVE(&sub->clients, c, link);
		client_free(c);
	}
	if (sub->ev != NULL) {
		evconnlistener_free(sub->ev);
		if (gone)
			(void)unlink(sub->path); /* a stale one is replaced */
	}
	if (sub->resume != NULL)
		event_free(sub->resume);
	for (unsigned int i = 0; i < sub->ncommunities; i++)
		free(sub->communities[i]);
	free(sub->communities);
	free(sub->name);
	free(sub->path);
	free(sub);
}

static struct sub *
sub_new(struct stream *s, const struct conf_subscriber *cs)
{
	struct sub *sub = calloc(1, sizeof(*sub));

	if (sub == NULL)
		return NULL;
	TAILQ_INIT(&sub->clients);
	sub->s = s;
	sub->all = cs->all_communities;
	sub->direct = cs->direct;
	sub->tlp = (uint8_t)cs->tlp;
	sub->heartbeat_s = cs->heartbeat_s;
	sub->mode = cs->mode;
	sub->group = cs->group;
	sub->name = strdup(cs->name);
	sub->path = strdup(cs->socket);
	sub->communities = calloc(cs->communities.n + 1, sizeof(*sub->communities));
	sub->resume = evtimer_new(s->app->base, on_resume, sub);
	if (sub->name == NULL || sub->path == NULL || sub->communities == NULL ||
	    sub->resume == NULL)
		goto fail;
	for (; sub->ncommunities < cs->communities.n; sub->ncommunities++)
		if ((sub->communities[sub->ncommunities] =
			    strdup(cs->communities.v[sub->ncommunities])) == NULL)
			goto fail;
	return sub;
fail:
	sub_free(sub, false);
	return NULL;
}

/* The one in force at this path, if it may be kept: same mode and group. */
static struct sub *
find(struct stream *s, const struct sub *as)
{
	struct sub *sub;

	TAILQ_FOREACH(sub, &s->subs, link)
		if (strcmp(sub->path, as->path) == 0)
			return sub;
	return NULL;
}

static bool
same_clearance(const struct sub *a, const struct sub *b)
{
	if (a->all != b->all || a->direct != b->direct || a->tlp != b->tlp ||
	    a->heartbeat_s != b->heartbeat_s || a->ncommunities != b->ncommunities ||
	    strcmp(a->name, b->name) != 0)
		return false;
	for (unsigned int i = 0; i < a->ncommunities; i++)
		if (strcmp(a->communities[i], b->communities[i]) != 0)
			return false;
	return true;
}

static int
prepare_one(struct stream *s, const struct conf_subscriber *cs, struct nrs_detail *d)
{
	struct sub *sub = sub_new(s, cs);
	const struct sub *old;
	int fd, rc;

	if (sub == NULL)
		return nrs_fail(d, NRS_ENOMEM, 0, "no memory for a subscriber");
	TAILQ_INSERT_TAIL(&s->next, sub, link);
	if ((old = find(s, sub)) != NULL) {
		if (old->mode == sub->mode && old->group == sub->group)
			return 0;
		return nrs_fail(d, NRS_EPERM, 0,
		    "mode and group of a socket change with a restart only, or with another "
		    "path");
	}
	if ((rc = unix_listen(sub->path, sub->mode, sub->group, &fd, d)) != 0)
		return rc;
	sub->ev = evconnlistener_new(s->app->base, on_accept, sub,
	    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_DISABLED, 0, fd);
	if (sub->ev == NULL) {
		close(fd);
		return nrs_fail(d, NRS_ENOMEM, 0, "no memory for a subscriber");
	}
	evconnlistener_set_error_cb(sub->ev, on_accept_error);
	return 0;
}

int
stream_prepare(struct stream *s, const struct conf *next, struct nrs_detail *d)
{
	int rc = 0;

	for (unsigned int i = 0; i < next->nsubscribers && rc == 0; i++)
		if ((rc = prepare_one(s, &next->subscribers[i], d)) != 0)
			snprintf(d->path, sizeof(d->path), "%s", next->subscribers[i].name);
	if (rc != 0)
		stream_abort(s);
	return rc;
}

/* Clients go on where nothing changed for them; others are cut off and come back. */
static void
take_over(struct sub *sub, struct sub *old)
{
	struct client *c;

	sub->ev = old->ev;
	old->ev = NULL;
	evconnlistener_set_cb(sub->ev, on_accept, sub);
	if (!same_clearance(sub, old)) {
		while ((c = TAILQ_FIRST(&old->clients)) != NULL)
			client_end(c);
		return;
	}
	TAILQ_CONCAT(&sub->clients, &old->clients, link);
	TAILQ_FOREACH(c, &sub->clients, link)
		c->sub = sub;
	sub->nclients = old->nclients;
	old->nclients = 0;
}

void
stream_commit(struct stream *s)
{
	struct sub *sub, *old, *tmp;

	TAILQ_FOREACH(sub, &s->next, link) {
		if (sub->ev == NULL && (old = find(s, sub)) != NULL)
			take_over(sub, old);
		evconnlistener_enable(sub->ev);
	}
	TAILQ_FOREACH_SAFE(sub, &s->subs, link, tmp)
	sub_free(sub, true);
	TAILQ_INIT(&s->subs);
	TAILQ_CONCAT(&s->subs, &s->next, link);
}

void
stream_abort(struct stream *s)
{
	struct sub *sub, *tmp;

	TAILQ_FOREACH_SAFE(sub, &s->next, link, tmp)
	sub_free(sub, true);
	TAILQ_INIT(&s->next);
}

int
stream_new(struct app *app, struct stream **ret, struct nrs_detail *d)
{
	struct stream *s = calloc(1, sizeof(*s));
	int rc;

	*ret = NULL;
	if (s == NULL)
		return nrs_fail(d, NRS_ENOMEM, 0, "no memory for subscribers");
	s->app = app;
	TAILQ_INIT(&s->subs);
	TAILQ_INIT(&s->next);
	TAILQ_INIT(&s->dying);
	if ((s->reap = event_new(app->base, -1, 0, on_reap, s)) == NULL)
		rc = nrs_fail(d, NRS_ENOMEM, 0, "no memory for subscribers");
	else
		rc = stream_prepare(s, app->conf, d);
	if (rc != 0) {
		stream_free(s);
		return rc;
	}
	stream_commit(s);
	*ret = s;
	return 0;
}

void
stream_free(struct stream *s)
{
	struct sub *sub, *tmp;
	struct client *c;

	if (s == NULL)
		return;
	stream_abort(s);
	TAILQ_FOREACH_SAFE(sub, &s->subs, link, tmp)
	sub_free(sub, true);
	while ((c = TAILQ_FIRST(&s->dying)) != NULL) {
		TAILQ_REMOVE(&s->dying, c, link);
		client_free(c);
	}
	if (s->reap != NULL)
		event_free(s->reap);
	free(s);
}
