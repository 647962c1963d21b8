/* Sockets that listen, their change at a reload, and what is turned away at the door. */
#include "daemon/net_priv.h"

#include <netdb.h>
#include <netinet/in.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/listener.h>

#include "daemon/log.h"
#include "daemon/loop.h"

#define ACCEPTS_TURN  64 /* then what is up gets its turn */
#define KNOWN_WORTH   16 /* where peers were up may hold so many times what others may */
#define RESUME_S      1
#define LOG_WINDOW_NS (UINT64_C(60) * 1000000000)

struct net_listener {
	TAILQ_ENTRY(net_listener) link;
	struct net *net;
	char *address;
	struct evconnlistener *ev; /* NULL in `next`: the one in force goes on */
};

static const struct {
	const char *name;
	const char *text;
} reasons[] = {
#define X(id, name, text) [NET_R_##id] = { name, text },
	NET_REASONS(X)
#undef X
};

const char *
net_reason_text(enum net_reason r)
{
	return reasons[r].text;
}

void
net_refusals(
    const struct net *net, void (*each)(void *arg, const struct net_refusal *r), void *arg)
{
	struct net_refusal r;

	for (unsigned int i = 0; i < NET_R__MAX; i++) {
		r = (struct net_refusal){ reasons[i].name, reasons[i].text,
			net->refused[i] };
		each(arg, &r);
	}
}

/* Once a minute for an address and a reason; nothing when too many are remembered. */
static bool
may_log(struct net *net, const char *host, enum net_reason why)
{
	struct nrs_mono now = loop_mono();
	struct net_logged *l, *slot = NULL;

	for (unsigned int i = 0; i < NET_LOGGED_MAX; i++) {
		l = &net->logged[i];
		if (l->at.ns == 0 || now.ns - l->at.ns > LOG_WINDOW_NS)
			slot = slot != NULL ? slot : l;
		else if (l->reason == why && strcmp(l->host, host) == 0)
			return false;
	}
	if (slot == NULL)
		return false;
	snprintf(slot->host, sizeof(slot->host), "%s", host);
	slot->reason = why;
	slot->at = now;
	return true;
}

void
net_refuse(
    struct net *net, const struct sockaddr *sa, enum net_reason why, const char *more)
{
	char host[64];

	net->refused[why]++;
	net_host_format(sa, host, sizeof(host));
	if (!may_log(net, host, why))
		return;
	if (why == NET_R_TLS && more != NULL) /* it says so itself */
		log_notice("network", "connection from %s refused: %s", host, more);
	else if (more == NULL || strcmp(more, reasons[why].text) == 0)
		log_notice(
		    "network", "connection from %s refused: %s", host, reasons[why].text);
	else
		log_notice("network", "connection from %s refused: %s (%s)", host,
		    reasons[why].text, more);
}

/* --- who waits to be known --------------------------------------------------- */

static bool
host_known(const struct net *net, const uint8_t key[NET_HOST_KEY])
{
	for (unsigned int i = 0; i < net->nlast; i++)
		if (net->last[i].seen && memcmp(net->last[i].host, key, NET_HOST_KEY) == 0)
			return true;
	return false;
}

/* Hosts that wait are no more than connections that wait: a list will do. */
static struct net_host *
host_get(struct net *net, const uint8_t key[NET_HOST_KEY])
{
	struct net_host *h;

	TAILQ_FOREACH(h, &net->hosts, link)
		if (memcmp(h->key, key, NET_HOST_KEY) == 0)
			return h;
	if ((h = calloc(1, sizeof(*h))) == NULL)
		return NULL;
	memcpy(h->key, key, NET_HOST_KEY);
	h->known = host_known(net, key);
	TAILQ_INIT(&h->waiting);
	TAILQ_INSERT_TAIL(&net->hosts, h, link);
	return h;
}

int
net_wait_begin(struct net_conn *c)
{
	uint8_t key[NET_HOST_KEY];

	net_host_key((const struct sockaddr *)&c->addr, key);
	if ((c->host = host_get(c->net, key)) == NULL)
		return NRS_ENOMEM;
	TAILQ_INSERT_TAIL(&c->host->waiting, c, host_link);
	c->host->n++;
	c->net->nwaiting++;
	return 0;
}

void
net_wait_end(struct net_conn *c)
{
	struct net_host *h = c->host;

	if (h == NULL)
		return;
	c->host = NULL;
	TAILQ_REMOVE(&h->waiting, c, host_link);
	c->net->nwaiting--;
	if (--h->n > 0)
		return;
	TAILQ_REMOVE(&c->net->hosts, h, link);
	free(h);
}

/*
 * Which one goes when there is no room: of the host that holds the most, the
 * oldest that has not said a word, else the oldest.  So somebody who comes from
 * where nobody else does, and speaks, is the last to go, however many others there
 * are; and where peers were up before weighs less.
 */
static struct net_conn *
least_worth(struct net *net)
{
	struct net_host *h, *most = NULL;
	struct net_conn *c;

	TAILQ_FOREACH(h, &net->hosts, link)
		if (most == NULL ||
		    h->n * (h->known ? 1 : KNOWN_WORTH) >
			most->n * (most->known ? 1 : KNOWN_WORTH))
			most = h;
	if (most == NULL)
		return NULL;
	TAILQ_FOREACH(c, &most->waiting, host_link)
		if (!tls_spoken(c))
			return c;
	return TAILQ_FIRST(&most->waiting);
}

static bool
make_room(struct net *net)
{
	const struct conf *conf = net->app->conf;
	struct net_conn *c;

	if (net->nwaiting < conf->handshakes && net->ninbound < conf->connections)
		return true;
	if ((c = least_worth(net)) == NULL)
		return false;
	net_refuse(net, (const struct sockaddr *)&c->addr, NET_R_CROWD, NULL);
	net_conn_drop(c);
	return true;
}

/* --- accepting ---------------------------------------------------------------- */

static void
set_listening(struct net *net, bool on)
{
	struct net_listener *l;

	TAILQ_FOREACH(l, &net->listeners, link) {
		if (on)
			evconnlistener_enable(l->ev);
		else
			evconnlistener_disable(l->ev);
	}
}

static void
on_resume(evutil_socket_t fd, short what, void *arg)
{
	struct net *net = arg;

	if (!net->stopped)
		set_listening(net, true);
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct net *net = arg;

	if (net->turn_accepts >= ACCEPTS_TURN && !net->stopped &&
	    !evtimer_pending(net->resume, NULL))
		set_listening(net, true);
	net->turn_accepts = 0;
}

/* However many come, what is up gets its turn between them. */
static void
count_turn(struct net *net)
{
	const struct timeval soon = { 0, 0 };

	if (net->turn_accepts++ == 0)
		evtimer_add(net->turn, &soon);
	if (net->turn_accepts == ACCEPTS_TURN)
		set_listening(net, false);
}

static void
on_accept(struct evconnlistener *ev, evutil_socket_t fd, struct sockaddr *sa, int salen,
    void *arg)
{
	struct net_listener *l = arg;
	struct net *net = l->net;
	struct net_conn *c;

	net->accepted++;
	count_turn(net);
	if (!make_room(net)) {
		net_refuse(net, sa, NET_R_LIMIT, NULL);
		close(fd);
		return;
	}
	if (net_conn_new(net, fd, sa, (socklen_t)salen, NULL, NULL, &c) != 0)
		net_refuse(net, sa, NET_R_LIMIT, "out of memory");
}

/* Out of descriptors or memory: the loop would spin on a socket that stays readable. */
static void
on_accept_error(struct evconnlistener *ev, void *arg)
{
	const struct timeval pause = { RESUME_S, 0 };
	struct net_listener *l = arg;

	log_error(
	    "network", "cannot accept connections, trying again: %s", strerror(errno));
	set_listening(l->net, false);
	evtimer_add(l->net->resume, &pause);
}

static int
bind_one(const struct addrinfo *ai, unsigned int backlog)
{
	int fd, one = 1;

	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
	    (ai->ai_family != AF_INET6 ||
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) == 0) &&
	    bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, (int)backlog) == 0)
		return fd;
	one = errno;
	close(fd);
	errno = one;
	return -1;
}

int
net_listen_fd(const struct conf_listen *cl, struct nrs_detail *d)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	const char *host = cl->host;
	struct addrinfo *ai;
	char port[8];
	int rc, fd;

	if (strcmp(host, "") == 0 || strcmp(host, "*") == 0)
		host = "0.0.0.0";
	snprintf(port, sizeof(port), "%u", cl->port);
	if ((rc = getaddrinfo(host, port, &hints, &ai)) != 0) {
		nrs_fail(d, NRS_EIO, 0, "\"%s\": %s", cl->address, gai_strerror(rc));
		return -1;
	}
	if ((fd = bind_one(ai, cl->backlog)) < 0)
		nrs_fail(d, NRS_EIO, 0, "cannot listen on %s: %s%s", cl->address,
		    strerror(errno),
		    errno == EADDRINUSE		 ? "; \"ss -ltnp\" tells by whom"
			: errno == EADDRNOTAVAIL ? "; \"ip address\" tells what is here"
						 : "");
	freeaddrinfo(ai);
	return fd;
}

static void
listener_free(struct net_listener *l)
{
	if (l->ev != NULL)
		evconnlistener_free(l->ev);
	free(l->address);
	free(l);
}

static struct net_listener *
find(struct listeners *list, const char *address)
{
	struct net_listener *l;

	TAILQ_FOREACH(l, list, link)
		if (strcmp(l->address, address) == 0)
			return l;
	return NULL;
}

static int
prepare_one(struct net *net, const struct conf_listen *cl, struct nrs_detail *d)
{
	struct net_listener *l = calloc(1, sizeof(*l));
	int fd;

	if (l == NULL || (l->address = strdup(cl->address)) == NULL) {
		free(l);
		return nrs_fail(d, NRS_ENOMEM, 0, "no memory for a listener");
	}
	l->net = net;
	TAILQ_INSERT_TAIL(&net->next, l, link);
	if (find(&net->listeners, cl->address) != NULL)
		return 0;
	if ((fd = net_listen_fd(cl, d)) < 0)
		return NRS_EIO;
	l->ev = evconnlistener_new(net->app->base, on_accept, l,
	    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_DISABLED, 0, fd);
	if (l->ev == NULL) {
		close(fd);
		return nrs_fail(d, NRS_ENOMEM, 0, "no memory for a listener");
	}
	evconnlistener_set_error_cb(l->ev, on_accept_error);
	return 0;
}

int
net_prepare(struct net *net, const struct conf *next, struct nrs_detail *d)
{
	int rc = 0;

	for (unsigned int i = 0; i < next->nlistens && rc == 0; i++)
		if ((rc = prepare_one(net, &next->listens[i], d)) != 0)
			snprintf(d->path, sizeof(d->path), "%s", next->listens[i].address);
	if (rc != 0)
		net_abort(net);
	return rc;
}

void
net_commit(struct net *net)
{
	struct net_listener *l, *old, *tmp;

	TAILQ_FOREACH(l, &net->next, link) {
		if (l->ev != NULL || (old = find(&net->listeners, l->address)) == NULL)
			continue;
		l->ev = old->ev;
		old->ev = NULL;
		evconnlistener_set_cb(l->ev, on_accept, l);
	}
	TAILQ_FOREACH_SAFE(l, &net->listeners, link, tmp)
	listener_free(l);
	TAILQ_INIT(&net->listeners);
	TAILQ_CONCAT(&net->listeners, &net->next, link);
	set_listening(net, !net->stopped);
}

void
net_abort(struct net *net)
{
	struct net_listener *l, *tmp;

	TAILQ_FOREACH_SAFE(l, &net->next, link, tmp)
	listener_free(l);
	TAILQ_INIT(&net->next);
}

int
net_listen_init(struct net *net, struct nrs_detail *d)
{
	int rc;

	net->resume = evtimer_new(net->app->base, on_resume, net);
	net->turn = evtimer_new(net->app->base, on_turn, net);
	if (net->resume == NULL || net->turn == NULL)
		return nrs_fail(d, NRS_ENOMEM, 0, "no memory for the network");
	if ((rc = net_prepare(net, net->app->conf, d)) == 0)
		net_commit(net);
	return rc;
}

void
net_listen_fini(struct net *net)
{
	struct net_listener *l, *tmp;

	net_abort(net);
	TAILQ_FOREACH_SAFE(l, &net->listeners, link, tmp)
	listener_free(l);
	TAILQ_INIT(&net->listeners);
	if (net->resume != NULL)
		event_free(net->resume);
	net->resume = NULL;
	if (net->turn != NULL)
		event_free(net->turn);
	net->turn = NULL;
}

void
net_stop(struct net *net)
{
	net->stopped = true;
	set_listening(net, false);
}
