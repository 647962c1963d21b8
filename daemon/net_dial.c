/*
 * One dial: the peer's addresses in order, every IP address of each, until one
 * is up.  The engine gets one answer; an answer that failed says what each
 * address did.
 */
#include "daemon/net_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "daemon/jobs.h"
#include "daemon/loop.h"
#include "node/node.h"
#include "record/manifest.h"

#define ATTEMPT_S   10
#define TARGETS_MAX 8 /* IP addresses of one name */

struct target {
	struct sockaddr_storage sa;
	socklen_t len;
};

struct dial {
	TAILQ_ENTRY(dial) link;
	struct net *net; /* NULL: given up, the lookup still runs */
	char peer[NRS_ORIGIN_MAX + 1];
	char **addrs; /* copies: the configuration may be replaced meanwhile */
	unsigned int naddrs, next_addr;
	char bind[64];
	enum conf_proxy proxy_type;
	char proxy_host[NRS_ORIGIN_MAX + 1];
	uint16_t proxy_port;

	char host[NRS_ORIGIN_MAX + 1]; /* of the address being tried */
	uint16_t port;
	struct target targets[TARGETS_MAX];
	unsigned int ntargets, next_target;
	int fd;		     /* until TLS takes it; -1 */
	struct event *ev;    /* the connect */
	struct event *timer; /* the next step, or the attempt's limit */
	bool stepping;	     /* timer stands for the next step */
	struct proxy *proxy;
	struct net_conn *conn;

	struct nrs_job job; /* the lookup */
	bool looking;
	char look_host[NRS_ORIGIN_MAX + 1], look_port[8];
	int look_rc;
	struct target found[TARGETS_MAX];
	unsigned int nfound;

	enum net_stage stage;
	char reached[300];
	char why[512];
};

static void
dial_free(struct dial *d)
{
	if (d->ev != NULL)
		event_free(d->ev);
	if (d->timer != NULL)
		event_free(d->timer);
	proxy_free(d->proxy);
	if (d->fd >= 0)
		close(d->fd);
	for (unsigned int i = 0; i < d->naddrs; i++)
		free(d->addrs[i]);
	free(d->addrs);
	free(d);
}

static void
forget(struct dial *d)
{
	if (d->net != NULL)
		TAILQ_REMOVE(&d->net->dials, d, link);
	d->net = NULL;
	if (d->looking) { /* freed by its completion */
		event_free(d->timer);
		d->timer = NULL;
	} else {
		dial_free(d);
	}
}

static void
say(struct dial *d, const char *why)
{
	size_t n = strlen(d->why);
	const char *at = d->next_addr > 0 ? d->addrs[d->next_addr - 1] : "";

	snprintf(d->why + n, sizeof(d->why) - n, "%s%s%s%s", n > 0 ? "; " : "", at,
	    at[0] != '\0' ? ": " : "", why);
}

/* The next thing to try is tried from the loop, never from inside a call. */
static void
step_soon(struct dial *d)
{
	const struct timeval now = { 0, 0 };

	d->stepping = true;
	evtimer_add(d->timer, &now);
}

static void
end_attempt(struct dial *d, enum net_stage stage, const char *why)
{
	evtimer_del(d->timer);
	if (d->ev != NULL)
		event_free(d->ev);
	d->ev = NULL;
	proxy_free(d->proxy);
	d->proxy = NULL;
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
	d->conn = NULL;
	if (stage >= d->stage && d->next_addr > 0) {
		d->stage = stage;
		snprintf(d->reached, sizeof(d->reached), "%s", d->addrs[d->next_addr - 1]);
	}
	say(d, why);
	step_soon(d);
}

static void
record(struct dial *d)
{
	struct net_last *last = net_last_get(d->net, d->peer);

	if (last == NULL)
		return;
	last->busy = false;
	last->attempts++;
	last->stage = d->stage;
	snprintf(last->address, sizeof(last->address), "%s", d->reached);
	snprintf(last->why, sizeof(last->why), "%s", d->why);
}

static void
give_up(struct dial *d)
{
	struct app *app = d->net->app;

	if (d->why[0] == '\0')
		snprintf(d->why, sizeof(d->why), "no address is known");
	record(d);
	node_on_dial_failed(app->node, d->peer, d->why);
	forget(d);
	app_touch(app);
}

void
net_dial_ended(struct dial *d, struct net_conn *c, enum net_stage stage, const char *why)
{
	if (c == NULL) {
		end_attempt(d, stage, why);
		return;
	}
	d->stage = stage;
	snprintf(d->reached, sizeof(d->reached), "%s", d->addrs[d->next_addr - 1]);
	d->why[0] = '\0';
	record(d);
	forget(d);
}

/* --- one attempt ------------------------------------------------------------ */

static void
start_tls(struct dial *d)
{
	const struct target *t = &d->targets[d->next_target - 1];
	int fd = d->fd;

	d->fd = -1;
	if (net_conn_new(d->net, fd, (const struct sockaddr *)&t->sa, t->len, d->peer, d,
		&d->conn) != 0)
		end_attempt(d, NET_STAGE_ADDRESS, "out of memory");
}

static void
on_proxied(void *arg, const char *why)
{
	struct dial *d = arg;

	proxy_free(d->proxy);
	d->proxy = NULL;
	if (why != NULL)
		end_attempt(d, NET_STAGE_NONE, why);
	else
		start_tls(d);
}

static void
on_connect(evutil_socket_t fd, short what, void *arg)
{
	struct dial *d = arg;
	int err = 0;
	socklen_t len = sizeof(err);

	event_free(d->ev);
	d->ev = NULL;
	if (getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0)
		err = errno;
	if (err != 0)
		end_attempt(d, NET_STAGE_NONE, strerror(err));
	else if (d->proxy_type == CONF_PROXY_NONE)
		start_tls(d);
	else if (proxy_start(d->net, d->fd, d->proxy_type, d->host, d->port, on_proxied, d,
		     &d->proxy) != 0)
		end_attempt(d, NET_STAGE_NONE, "proxy: cannot be spoken to");
}

/* NULL, or what went wrong. */
static const char *
bind_local(int fd, int family, const char *local)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	int rc;

	if (local[0] == '\0')
		return NULL;
	if (family == AF_INET && inet_pton(AF_INET, local, &in.sin_addr) == 1)
		rc = bind(fd, (struct sockaddr *)&in, sizeof(in));
	else if (family == AF_INET6 && inet_pton(AF_INET6, local, &in6.sin6_addr) == 1)
		rc = bind(fd, (struct sockaddr *)&in6, sizeof(in6));
	else
		return "the address is of another family than \"bind\"";
	return rc == 0 ? NULL : "\"bind\" is not an address of this machine";
}

static void
try_target(struct dial *d)
{
	const struct timeval limit = { ATTEMPT_S, 0 };
	const struct target *t = &d->targets[d->next_target++];
	const char *why;

	d->fd = socket(t->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (d->fd < 0) {
		end_attempt(d, NET_STAGE_NONE, strerror(errno));
		return;
	}
	(void)net_socket_prepare(d->fd); /* again with TLS, where it counts */
	if ((why = bind_local(d->fd, t->sa.ss_family, d->bind)) != NULL) {
		end_attempt(d, NET_STAGE_NONE, why);
		return;
	}
	if (connect(d->fd, (const struct sockaddr *)&t->sa, t->len) != 0 &&
	    errno != EINPROGRESS) {
		end_attempt(d, NET_STAGE_NONE, strerror(errno));
		return;
	}
	d->ev = event_new(d->net->app->base, d->fd, EV_WRITE, on_connect, d);
	d->stepping = false;
	if (d->ev == NULL || event_add(d->ev, NULL) != 0 ||
	    evtimer_add(d->timer, &limit) != 0)
		end_attempt(d, NET_STAGE_NONE, "out of memory");
}

/* --- names ------------------------------------------------------------------ */

/* On the resolver's thread: may take many seconds. */
static void
lookup(struct nrs_job *job)
{
	struct dial *d = job->arg;
	struct addrinfo hints = { .ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG };
	struct addrinfo *list = NULL;

	d->nfound = 0;
	d->look_rc = getaddrinfo(d->look_host, d->look_port, &hints, &list);
	if (d->look_rc != 0)
		return;
	for (struct addrinfo *ai = list; ai != NULL && d->nfound < TARGETS_MAX;
	     ai = ai->ai_next) {
		memcpy(&d->found[d->nfound].sa, ai->ai_addr, ai->ai_addrlen);
		d->found[d->nfound++].len = ai->ai_addrlen;
	}
	freeaddrinfo(list);
}

static void
on_lookup(struct nrs_job *job)
{
	struct dial *d = job->arg;
	char why[192];

	d->looking = false;
	if (d->net == NULL) {
		dial_free(d);
		return;
	}
	memcpy(d->targets, d->found, sizeof(d->targets));
	d->ntargets = d->nfound;
	d->next_target = 0;
	if (d->look_rc != 0) {
		snprintf(why, sizeof(why), "name not found: %s", gai_strerror(d->look_rc));
		end_attempt(d, NET_STAGE_NONE, why);
		return;
	}
	step_soon(d);
}

static void
start_lookup(struct dial *d, const char *host, uint16_t port)
{
	snprintf(d->look_host, sizeof(d->look_host), "%s", host);
	snprintf(d->look_port, sizeof(d->look_port), "%u", port);
	d->job = (struct nrs_job){ .run = lookup, .done = on_lookup, .arg = d };
	d->looking = true;
	jobs_add(d->net->resolver, &d->job);
}

/* An address of numbers needs no lookup, and does not wait for one. */
static bool
numeric(const char *host, uint16_t port, struct target *t)
{
	struct sockaddr_in *in = (void *)&t->sa;
	struct sockaddr_in6 *in6 = (void *)&t->sa;

	memset(t, 0, sizeof(*t));
	if (inet_pton(AF_INET, host, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		t->len = sizeof(*in);
		return true;
	}
	if (inet_pton(AF_INET6, host, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		t->len = sizeof(*in6);
		return true;
	}
	return false;
}

static void
try_address(struct dial *d)
{
	const char *a = d->addrs[d->next_addr++];
	const char *host = d->host;
	uint16_t port;

	d->ntargets = d->next_target = 0;
	if (nrs_addr_parse(a, strlen(a), d->host, &d->port) != 0) {
		end_attempt(d, NET_STAGE_NONE, "not an address");
		return;
	}
	port = d->port;
	if (d->proxy_type != CONF_PROXY_NONE) {
		host = d->proxy_host;
		port = d->proxy_port;
	}
	if (numeric(host, port, &d->targets[0])) {
		d->ntargets = 1;
		try_target(d);
	} else {
		start_lookup(d, host, port);
	}
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct dial *d = arg;

	if (!d->stepping) {
		if (d->conn != NULL) {
			d->conn->dial = NULL;
			net_conn_drop(d->conn);
			end_attempt(d, NET_STAGE_ADDRESS, "timed out in the TLS handshake");
		} else {
			end_attempt(d, NET_STAGE_NONE, "timed out");
		}
		return;
	}
	d->stepping = false;
	if (d->next_target < d->ntargets)
		try_target(d);
	else if (d->next_addr < d->naddrs)
		try_address(d);
	else
		give_up(d);
}

/* --- asking ------------------------------------------------------------------ */

static int
copy_peer(struct dial *d, const struct conf_peer *p)
{
	d->addrs = calloc(p->addresses.n + 1, sizeof(*d->addrs));
	if (d->addrs == NULL)
		return NRS_ENOMEM;
	for (unsigned int i = 0; i < p->addresses.n; i++) {
		if ((d->addrs[i] = strdup(p->addresses.v[i])) == NULL)
			return NRS_ENOMEM;
		d->naddrs++;
	}
	snprintf(d->bind, sizeof(d->bind), "%s", p->bind != NULL ? p->bind : "");
	d->proxy_type = p->proxy_type;
	snprintf(d->proxy_host, sizeof(d->proxy_host), "%s", p->proxy_host);
	d->proxy_port = p->proxy_port;
	return 0;
}

void
net_dial(struct nrs_env *e, const char *peer)
{
	struct net *net = env_app(e)->net;
	const struct conf_peer *p = conf_peer_find(net->app->conf, peer);
	struct net_last *last;
	struct dial *d;

	TAILQ_FOREACH(d, &net->dials, link)
		if (strcmp(d->peer, peer) == 0)
			return; /* its answer is on the way */
	if ((d = calloc(1, sizeof(*d))) == NULL)
		return; /* the engine asks again after its own limit */
	d->net = net;
	d->fd = -1;
	snprintf(d->peer, sizeof(d->peer), "%s", peer);
	d->timer = evtimer_new(net->app->base, on_timer, d);
	if (d->timer == NULL || (p != NULL && copy_peer(d, p) != 0)) {
		dial_free(d);
		return;
	}
	TAILQ_INSERT_TAIL(&net->dials, d, link);
	if ((last = net_last_get(net, peer)) != NULL)
		last->busy = true;
	step_soon(d);
}

void
net_dials_fini(struct net *net)
{
	struct dial *d, *tmp;

	TAILQ_FOREACH_SAFE(d, &net->dials, link, tmp)
	{
		if (d->conn != NULL)
			d->conn->dial = NULL;
		forget(d);
	}
}
