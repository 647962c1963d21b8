/*
 * Where subscribers connect: the Unix socket of each, whose mode and group say
 * who may, and the addresses for those with a certificate.  What is served on a
 * connection is stream_client.c's business.
 */
#include "daemon/stream_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/listener.h>

#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/net.h"
#include "daemon/unix_socket.h"

#define PAUSE_S	      1
#define ACCEPTS_TURN  64 /* over TLS; then what is up gets its turn */
#define LOG_WINDOW_NS UINT64_C(1000000000)

struct stream_listener {
	TAILQ_ENTRY(stream_listener) link;
	struct stream *s;
	char *address;
	struct evconnlistener *ev; /* NULL in `next`: the one in force goes on */
};

/* --- who is turned away ----------------------------------------------------------- */

static const struct {
	const char *name;
	const char *text;
} reasons[] = {
#define X(id, name, text) [STREAM_R_##id] = { name, text },
	STREAM_REASONS(X)
#undef X
};

void
stream_refuse(struct stream *s, enum stream_reason why, const char *who)
{
	struct nrs_mono now = loop_mono();

	s->refused[why]++;
	if (s->logged.ns != 0 && now.ns - s->logged.ns < LOG_WINDOW_NS)
		return;
	s->logged = now;
	if (who != NULL)
		log_notice("subscriber", "%s: a connection was refused: %s", who,
		    reasons[why].text);
	else
		log_notice("subscriber", "a connection was refused: %s", reasons[why].text);
}

void
stream_info(const struct stream *s, struct stream_counts *ret)
{
	*ret = (struct stream_counts){ .tls = s->ntls, .local = s->nunix };
}

void
stream_refusals(const struct stream *s,
    void (*each)(void *arg, const char *name, uint64_t count), void *arg)
{
	for (unsigned int i = 0; i < STREAM_R__MAX; i++)
		each(arg, reasons[i].name, s->refused[i]);
}

struct sub *
stream_find_pin(struct stream *s, const struct nrs_hash *pin)
{
	struct sub *sub;

	TAILQ_FOREACH(sub, &s->subs, link)
		if (sub->has_pin && memcmp(&sub->pin, pin, sizeof(*pin)) == 0)
			return sub;
	return NULL;
}

/* --- sockets that listen ------------------------------------------------------------ */

static void
on_unix(struct evconnlistener *ev, evutil_socket_t fd, struct sockaddr *sa, int salen,
    void *arg)
{
	client_accept_unix(arg, fd);
}

static void
set_listening(struct stream *s, bool on)
{
	struct stream_listener *l;

	TAILQ_FOREACH(l, &s->listeners, link) {
		if (on)
			evconnlistener_enable(l->ev);
		else
			evconnlistener_disable(l->ev);
	}
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;

	if (s->turn_accepts >= ACCEPTS_TURN && !evtimer_pending(s->resume, NULL))
		set_listening(s, true);
	s->turn_accepts = 0;
}

/* A listener accepts until nobody knocks any more: strangers could keep it at that. */
static void
on_tls(struct evconnlistener *ev, evutil_socket_t fd, struct sockaddr *sa, int salen,
    void *arg)
{
	const struct timeval soon = { 0, 0 };
	struct stream_listener *l = arg;
	struct stream *s = l->s;

	client_accept_tls(s, fd, sa);
	if (s->turn_accepts++ == 0)
		evtimer_add(s->turn, &soon);
	if (s->turn_accepts == ACCEPTS_TURN)
		set_listening(s, false);
}

static void
on_resume(evutil_socket_t fd, short what, void *arg)
{
	struct sub *sub = arg;

	evconnlistener_enable(sub->ev);
}

static void
on_resume_tls(evutil_socket_t fd, short what, void *arg)
{
	set_listening(arg, true);
}

/* Out of descriptors or memory: the loop would spin on a socket that stays readable. */
static void
pause_listener(struct evconnlistener *ev, struct event *resume, const char *name)
{
	const struct timeval pause = { PAUSE_S, 0 };

	log_error("subscriber", "%s: cannot accept connections, trying again: %s", name,
	    strerror(errno));
	evconnlistener_disable(ev);
	evtimer_add(resume, &pause);
}

static void
on_unix_error(struct evconnlistener *ev, void *arg)
{
	struct sub *sub = arg;

	pause_listener(ev, sub->resume, sub->name);
}

static void
on_tls_error(struct evconnlistener *ev, void *arg)
{
	struct stream_listener *l = arg;

	pause_listener(ev, l->s->resume, l->address);
}

static void
listener_free(struct stream_listener *l)
{
	if (l->ev != NULL)
		evconnlistener_free(l->ev);
	free(l->address);
	free(l);
}

static struct stream_listener *
find_listener(struct stream_listeners *list, const char *address)
{
	struct stream_listener *l;

	TAILQ_FOREACH(l, list, link)
		if (strcmp(l->address, address) == 0)
			return l;
	return NULL;
}

static int
prepare_listener(struct stream *s, const struct conf_listen *cl, struct nrs_detail *d)
{
	struct stream_listener *l = calloc(1, sizeof(*l));
	int fd;

	if (l == NULL || (l->address = strdup(cl->address)) == NULL) {
		free(l);
		return nrs_fail(d, NRS_ENOMEM, 0, "no memory for a listener");
	}
	l->s = s;
	TAILQ_INSERT_TAIL(&s->next_listeners, l, link);
	if (find_listener(&s->listeners, cl->address) != NULL)
		return 0;
	if ((fd = net_listen_fd(cl, d)) < 0)
		return NRS_EIO;
	l->ev = evconnlistener_new(s->app->base, on_tls, l,
	    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_DISABLED, 0, fd);
	if (l->ev == NULL) {
		close(fd);
		return nrs_fail(d, NRS_ENOMEM, 0, "no memory for a listener");
	}
	evconnlistener_set_error_cb(l->ev, on_tls_error);
	return 0;
}

static void
commit_listeners(struct stream *s)
{
	struct stream_listener *l, *old, *tmp;

	TAILQ_FOREACH(l, &s->next_listeners, link) {
		if (l->ev == NULL &&
		    (old = find_listener(&s->listeners, l->address)) != NULL) {
			l->ev = old->ev;
			old->ev = NULL;
			evconnlistener_set_cb(l->ev, on_tls, l);
		}
		evconnlistener_enable(l->ev);
	}
	TAILQ_FOREACH_SAFE(l, &s->listeners, link, tmp)
	listener_free(l);
	TAILQ_INIT(&s->listeners);
	TAILQ_CONCAT(&s->listeners, &s->next_listeners, link);
}

/* --- stanzas --------------------------------------------------------------------- */

/* gone: the path is nobody's any more. */
static void
sub_free(struct sub *sub, bool gone)
{
	client_end_all(sub);
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
	sub->connections = cs->connections;
	sub->has_pin = cs->has_pin;
	sub->pin = cs->pin;
	if (*cs->socket != '\0' && (sub->path = strdup(cs->socket)) == NULL)
		goto fail;
	sub->communities = calloc(cs->communities.n + 1, sizeof(*sub->communities));
	sub->resume = evtimer_new(s->app->base, on_resume, sub);
	if (sub->name == NULL || sub->communities == NULL || sub->resume == NULL)
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

/* The one in force at this path. */
static struct sub *
find_path(struct stream *s, const char *path)
{
	struct sub *sub;

	TAILQ_FOREACH(sub, &s->subs, link)
		if (sub->path != NULL && path != NULL && strcmp(sub->path, path) == 0)
			return sub;
	return NULL;
}

static struct sub *
find_name(struct stream *s, const char *name)
{
	struct sub *sub;

	TAILQ_FOREACH(sub, &s->subs, link)
		if (strcmp(sub->name, name) == 0)
			return sub;
	return NULL;
}

static bool
same_clearance(const struct sub *a, const struct sub *b)
{
	if (a->all != b->all || a->direct != b->direct || a->tlp != b->tlp ||
	    a->heartbeat_s != b->heartbeat_s || a->ncommunities != b->ncommunities)
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
	if (sub->path == NULL)
		return 0;
	if ((old = find_path(s, sub->path)) != NULL) {
		if (old->mode == sub->mode && old->group == sub->group)
			return 0;
		return nrs_fail(d, NRS_EPERM, 0,
		    "mode and group of a socket change with a restart only, or with another "
		    "path");
	}
	if ((rc = unix_listen(sub->path, sub->mode, sub->group, &fd, d)) != 0)
		return rc;
	sub->ev = evconnlistener_new(s->app->base, on_unix, sub,
	    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_DISABLED, 0, fd);
	if (sub->ev == NULL) {
		close(fd);
		return nrs_fail(d, NRS_ENOMEM, 0, "no memory for a subscriber");
	}
	evconnlistener_set_error_cb(sub->ev, on_unix_error);
	return 0;
}

int
stream_prepare(struct stream *s, const struct conf *next, struct nrs_detail *d)
{
	int rc = 0;

	for (unsigned int i = 0; i < next->nsubscribers && rc == 0; i++)
		if ((rc = prepare_one(s, &next->subscribers[i], d)) != 0)
			snprintf(d->path, sizeof(d->path), "%s", next->subscribers[i].name);
	for (unsigned int i = 0; i < next->nstreams && rc == 0; i++)
		if ((rc = prepare_listener(s, &next->streams[i], d)) != 0)
			snprintf(d->path, sizeof(d->path), "%s", next->streams[i].address);
	if (rc != 0)
		stream_abort(s);
	return rc;
}

/* Clients go on where nothing changed for them; others are cut off and come back. */
static void
take_over(struct stream *s, struct sub *sub)
{
	struct sub *old = find_path(s, sub->path);

	if (sub->ev == NULL && old != NULL) {
		sub->ev = old->ev;
		old->ev = NULL;
		evconnlistener_set_cb(sub->ev, on_unix, sub);
	}
	if (sub->ev != NULL)
		evconnlistener_enable(sub->ev);
	old = find_name(s, sub->name);
	if (old != NULL && same_clearance(sub, old))
		client_move_all(old, sub);
}

void
stream_commit(struct stream *s)
{
	struct sub *sub, *tmp;

	TAILQ_FOREACH(sub, &s->next, link)
		take_over(s, sub);
	TAILQ_FOREACH_SAFE(sub, &s->subs, link, tmp)
	sub_free(sub, true);
	TAILQ_INIT(&s->subs);
	TAILQ_CONCAT(&s->subs, &s->next, link);
	commit_listeners(s);
}

void
stream_abort(struct stream *s)
{
	struct stream_listener *l, *tmp_l;
	struct sub *sub, *tmp;

	TAILQ_FOREACH_SAFE(sub, &s->next, link, tmp)
	sub_free(sub, true);
	TAILQ_INIT(&s->next);
	TAILQ_FOREACH_SAFE(l, &s->next_listeners, link, tmp_l)
	listener_free(l);
	TAILQ_INIT(&s->next_listeners);
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
	TAILQ_INIT(&s->listeners);
	TAILQ_INIT(&s->next_listeners);
	s->resume = evtimer_new(app->base, on_resume_tls, s);
	s->turn = evtimer_new(app->base, on_turn, s);
	if (client_init(s) != 0 || s->resume == NULL || s->turn == NULL)
		rc = nrs_fail(d, NRS_ENOMEM, 0, "no memory for subscribers");
	else if ((rc = stream_tls_init(s, d)) == 0)
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
	struct stream_listener *l, *tmp_l;
	struct sub *sub, *tmp;

	if (s == NULL)
		return;
	stream_abort(s);
	TAILQ_FOREACH_SAFE(l, &s->listeners, link, tmp_l)
	listener_free(l);
	TAILQ_FOREACH_SAFE(sub, &s->subs, link, tmp)
	sub_free(sub, true);
	client_fini(s);
	stream_tls_fini(s);
	if (s->resume != NULL)
		event_free(s->resume);
	if (s->turn != NULL)
		event_free(s->turn);
	free(s);
}
