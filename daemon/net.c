/*
 * Connections: one table, bytes in and out, and how they end.  A connection is
 * this file's alone until TLS is up and the pin is known; then the engine hears
 * of it; after net_close() it is this file's again until its last bytes are out.
 */
#include "daemon/net_priv.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "base/map.h"
#include "daemon/jobs.h"
#include "daemon/log.h"
#include "node/node.h"

#define HANDSHAKE_S    10
#define LINGER_S       5	    /* for the last bytes, a BYE among them */
#define PEER_CONNS_MAX 8	    /* of one peer, up or closing; one of them is in use */
#define READ_PER_TURN  (256u << 10) /* one noisy peer costs one turn, not the loop */
#define INPUT_MAX      (512u << 10)
#define UNSENT_LOW     (1u << 20) /* a quarter of the engine's high mark of 4 MiB */
#define UNSENT_MAX     (64u << 20) /* the engine stops far below; beyond it is a slip of ours */

static void
reap_later(struct net_conn *c)
{
	struct net *net = c->net;

	TAILQ_REMOVE(&net->conns, c, link);
	TAILQ_INSERT_TAIL(&net->dying, c, link);
	event_active(net->reap, EV_TIMEOUT, 0);
}

static void
conn_free(struct net_conn *c)
{
	if (c->deadline != NULL)
		event_free(c->deadline);
	if (c->bev != NULL)
		bufferevent_free(c->bev);
	free(c);
}

static void
on_reap(evutil_socket_t fd, short what, void *arg)
{
	struct net *net = arg;
	struct net_conn *c;

	while ((c = TAILQ_FIRST(&net->dying)) != NULL) {
		TAILQ_REMOVE(&net->dying, c, link);
		conn_free(c);
	}
}

/* Takes it out of every count; its memory goes at the end of the turn. */
static void
conn_end(struct net_conn *c)
{
	struct net *net = c->net;

	bufferevent_setcb(c->bev, NULL, NULL, NULL, NULL);
	bufferevent_disable(c->bev, EV_READ | EV_WRITE);
	evtimer_del(c->deadline);
	if (c->up && !c->closing)
		nrs_map_del(net->by_id, &c->id);
	if (!c->up)
		net->nhandshakes--;
	net_wait_end(c);
	if (!c->dialed)
		net->ninbound--;
	net->nconns--;
	reap_later(c);
}

void
net_conn_drop(struct net_conn *c)
{
	conn_end(c);
}

static void conn_lost(struct net_conn *c, const char *why);

/* --- the handshake -------------------------------------------------------- */

static void
handshake_failed(struct net_conn *c, enum net_reason r, const char *why)
{
	struct net *net = c->net;
	enum net_stage stage = c->pin_ok ? NET_STAGE_PIN
	    : c->seen_cert		 ? NET_STAGE_TLS
					 : NET_STAGE_ADDRESS;
	struct dial *d = c->dial;

	if (stage == NET_STAGE_PIN) /* the key fits, and yet it did not come up */
		stage = NET_STAGE_ADDRESS;
	if (!c->dialed)
		net_refuse(net, (const struct sockaddr *)&c->addr, r, why);
	c->dial = NULL;
	conn_end(c);
	if (d != NULL)
		net_dial_ended(d, NULL, stage, why);
}

/*
 * A peer may come again and again, and each time the connection before lingers for
 * its BYE: that is not to take the room of others.
 */
static void
drop_older(struct net *net, const char *peer)
{
	struct net_conn *c, *oldest = NULL;
	unsigned int n = 0;

	TAILQ_FOREACH(c, &net->conns, link) {
		if (!c->up || strcmp(c->peer, peer) != 0)
			continue;
		if (oldest == NULL || (c->closing && !oldest->closing))
			oldest = c;
		n++;
	}
	if (n < PEER_CONNS_MAX)
		return;
	if (oldest->closing)
		conn_end(oldest);
	else
		conn_lost(oldest, "it has too many connections");
}

static void
handshake_done(struct net_conn *c)
{
	struct net *net = c->net;
	struct net_last *last;
	enum net_reason r;

	if (!tls_check(c, &r)) {
		handshake_failed(c, r, net_reason_text(r));
		return;
	}
	if (nrs_map_set(net->by_id, &c->id, c, NULL) != 0) {
		handshake_failed(c, NET_R_LIMIT, "out of memory");
		return;
	}
	drop_older(net, c->peer);
	evtimer_del(c->deadline);
	c->up = true;
	net->nhandshakes--;
	net_wait_end(c);
	if ((last = net_last_get(net, c->peer)) != NULL) {
		last->up++;
		last->seen = true;
		net_host_key((const struct sockaddr *)&c->addr, last->host);
	}
	if (c->dial != NULL)
		net_dial_ended(c->dial, c, NET_STAGE_PIN, NULL);
	c->dial = NULL;
	node_on_connected(net->app->node, c->id, &c->pin, c->dialed);
	app_touch(net->app);
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct net_conn *c = arg;

	if (c->closing)
		conn_end(c);
	else if (!c->up)
		handshake_failed(c, NET_R_TIMEOUT, net_reason_text(NET_R_TIMEOUT));
}

/* --- up ------------------------------------------------------------------- */

static void
on_read(struct bufferevent *bev, void *arg)
{
	struct net_conn *c = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	struct evbuffer_iovec v;
	size_t left = READ_PER_TURN, n;

	if (!c->up)
		return;
	/* Into nothing: what we sent last is not to be lost to a reset. */
	if (c->closing)
		evbuffer_drain(in, evbuffer_get_length(in));
	while (!c->closing && left > 0 && evbuffer_peek(in, -1, NULL, &v, 1) > 0) {
		n = v.iov_len < left ? v.iov_len : left;
		if (n == 0)
			break;
		/* The engine keeps nothing of it: draining afterwards is safe. */
		node_on_data(c->net->app->node, c->id, v.iov_base, n);
		evbuffer_drain(in, n);
		left -= n;
	}
	if (!c->closing && evbuffer_get_length(in) > 0)
		bufferevent_trigger(bev, EV_READ, BEV_TRIG_DEFER_CALLBACKS);
	app_touch(c->net->app);
}

static void
on_write(struct bufferevent *bev, void *arg)
{
	struct net_conn *c = arg;

	if (c->closing) {
		if (evbuffer_get_length(bufferevent_get_output(bev)) == 0) {
			tls_say_goodbye(c);
			conn_end(c);
		}
		return;
	}
	if (!c->up || !c->high)
		return;
	c->high = false;
	node_on_writable(c->net->app->node, c->id);
	app_touch(c->net->app);
}

static void
conn_lost(struct net_conn *c, const char *why)
{
	struct net *net = c->net;
	struct net_last *last = net_last_get(net, c->peer);

	if (last != NULL) {
		last->downs++;
		snprintf(last->closed, sizeof(last->closed), "%s", why);
	}
	conn_end(c);
	node_on_closed(net->app->node, c->id, why);
	app_touch(net->app);
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	struct net_conn *c = arg;
	char why[192] = "closed by the other side";
	enum net_reason r = NET_R_HANGUP;

	if ((what & BEV_EVENT_CONNECTED) != 0) {
		handshake_done(c);
		return;
	}
	if ((what & BEV_EVENT_ERROR) != 0)
		r = tls_error(c, why, sizeof(why));
	else if (c->seen_cert && !c->pin_ok)
		r = NET_R_PIN;
	if (c->closing)
		conn_end(c);
	else if (!c->up)
		handshake_failed(c, r, why);
	else {
		on_read(bev, c); /* what came before the end, a BYE perhaps */
		if (!c->closing)
			conn_lost(c, why);
	}
}

int
net_socket_prepare(int fd)
{
	int one = 1, idle = 60;

	if (evutil_make_socket_nonblocking(fd) != 0 ||
	    evutil_make_socket_closeonexec(fd) != 0)
		return NRS_EIO;
	/* Better with, right without. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	return 0;
}

void
net_host_format(const struct sockaddr *sa, char *dst, size_t max)
{
	const struct sockaddr_in *in = (const void *)sa;
	const struct sockaddr_in6 *in6 = (const void *)sa;

	dst[0] = '\0';
	if (sa->sa_family == AF_INET)
		inet_ntop(AF_INET, &in->sin_addr, dst, (socklen_t)max);
	else if (sa->sa_family == AF_INET6)
		inet_ntop(AF_INET6, &in6->sin6_addr, dst, (socklen_t)max);
}

/* Who has one IPv6 address has 2^64 of them. */
void
net_host_key(const struct sockaddr *sa, uint8_t ret[NET_HOST_KEY])
{
	const struct sockaddr_in *in = (const void *)sa;
	const struct sockaddr_in6 *in6 = (const void *)sa;

	memset(ret, 0, NET_HOST_KEY);
	if (sa->sa_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
		ret[0] = 6;
		memcpy(ret + 1, &in6->sin6_addr, 8);
		return;
	}
	ret[0] = 4;
	if (sa->sa_family == AF_INET6)
		memcpy(ret + 1, (const uint8_t *)&in6->sin6_addr + 12, 4);
	else if (sa->sa_family == AF_INET)
		memcpy(ret + 1, &in->sin_addr, 4);
}

void
net_addr_format(const struct sockaddr *sa, socklen_t len, char *dst, size_t max)
{
	const struct sockaddr_in *in = (const void *)sa;
	const struct sockaddr_in6 *in6 = (const void *)sa;
	char host[INET6_ADDRSTRLEN];

	net_host_format(sa, host, sizeof(host));
	if (sa->sa_family == AF_INET)
		snprintf(dst, max, "%s:%u", host, ntohs(in->sin_port));
	else
		snprintf(dst, max, "[%s]:%u", host, ntohs(in6->sin6_port));
}

int
net_conn_new(struct net *net, int fd, const struct sockaddr *sa, socklen_t salen,
    const char *peer, struct dial *dial, struct net_conn **ret)
{
	const struct timeval limit = { HANDSHAKE_S, 0 };
	struct net_conn *c = calloc(1, sizeof(*c));

	*ret = NULL;
	if (c == NULL || net_socket_prepare(fd) != 0) {
		close(fd);
		free(c);
		return NRS_ENOMEM;
	}
	c->net = net;
	c->id = ++net->next_id;
	c->dial = dial;
	c->dialed = peer != NULL;
	snprintf(c->peer, sizeof(c->peer), "%s", peer != NULL ? peer : "");
	memcpy(&c->addr, sa, salen < sizeof(c->addr) ? salen : sizeof(c->addr));
	net_addr_format(sa, salen, c->remote, sizeof(c->remote));
	c->bev = tls_wrap(c, fd);
	c->deadline = evtimer_new(net->app->base, on_deadline, c);
	if (c->bev == NULL || c->deadline == NULL ||
	    evtimer_add(c->deadline, &limit) != 0 ||
	    (!c->dialed && net_wait_begin(c) != 0)) {
		conn_free(c);
		return NRS_ENOMEM;
	}
	bufferevent_setcb(c->bev, on_read, on_write, on_event, c);
	bufferevent_setwatermark(c->bev, EV_READ, 0, INPUT_MAX);
	bufferevent_setwatermark(c->bev, EV_WRITE, UNSENT_LOW, 0);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
	TAILQ_INSERT_TAIL(&net->conns, c, link);
	net->nconns++;
	net->nhandshakes++;
	if (!c->dialed)
		net->ninbound++;
	*ret = c;
	return 0;
}

/* --- the environment's calls ----------------------------------------------- */

int
net_send(struct nrs_env *e, nrs_conn id, const void *buf, size_t len)
{
	struct net *net = env_app(e)->net;
	struct net_conn *c = nrs_map_find(net->by_id, &id);
	struct evbuffer *out;

	if (c == NULL)
		return NRS_ESTATE;
	out = bufferevent_get_output(c->bev);
	if (evbuffer_get_length(out) + len > UNSENT_MAX)
		return NRS_ELIMIT;
	if (bufferevent_write(c->bev, buf, len) != 0)
		return NRS_ENOMEM;
	if (evbuffer_get_length(out) > UNSENT_LOW)
		c->high = true;
	return 0;
}

size_t
net_unsent(struct nrs_env *e, nrs_conn id)
{
	struct net_conn *c = nrs_map_find(env_app(e)->net->by_id, &id);

	return c == NULL ? 0 : evbuffer_get_length(bufferevent_get_output(c->bev));
}

void
net_close(struct nrs_env *e, nrs_conn id)
{
	const struct timeval limit = { LINGER_S, 0 };
	struct net *net = env_app(e)->net;
	struct net_conn *c = nrs_map_find(net->by_id, &id);
	struct net_last *last;

	if (c == NULL)
		return;
	nrs_map_del(net->by_id, &id);
	c->closing = true;
	if ((last = net_last_get(net, c->peer)) != NULL) {
		last->downs++;
		snprintf(last->closed, sizeof(last->closed), "closed by this node");
	}
	/* Reading goes on into nothing, so that what we sent last is not lost to a reset. */
	bufferevent_setwatermark(c->bev, EV_WRITE, 0, 0);
	evtimer_add(c->deadline, &limit);
	bufferevent_trigger(c->bev, EV_WRITE, BEV_TRIG_DEFER_CALLBACKS);
}

/* --- life ------------------------------------------------------------------ */

int
net_new(struct app *app, struct net **ret, struct nrs_detail *d)
{
	struct net *net;
	uint8_t seed[16];
	int rc = NRS_ENOMEM;

	*ret = NULL;
	if ((net = calloc(1, sizeof(*net))) == NULL)
		return nrs_fail(d, NRS_ENOMEM, 0, "no memory for the network");
	net->app = app;
	TAILQ_INIT(&net->conns);
	TAILQ_INIT(&net->dying);
	TAILQ_INIT(&net->listeners);
	TAILQ_INIT(&net->next);
	TAILQ_INIT(&net->dials);
	TAILQ_INIT(&net->hosts);
	evutil_secure_rng_get_bytes(seed, sizeof(seed));
	net->by_id = nrs_map_new(sizeof(nrs_conn), seed);
	net->reap = event_new(app->base, -1, 0, on_reap, net);
	if (net->by_id == NULL || net->reap == NULL ||
	    (rc = jobs_new(app, 1, &net->resolver)) != 0) {
		nrs_fail(d, rc, 0, "no memory for the network");
		goto fail;
	}
	if ((rc = tls_init(net, d)) != 0 || (rc = net_listen_init(net, d)) != 0)
		goto fail;
	*ret = net;
	return 0;
fail:
	net_free(net);
	return rc;
}

void
net_free(struct net *net)
{
	struct net_conn *c, *tmp;

	if (net == NULL)
		return;
	net_listen_fini(net);
	net_dials_fini(net);
	TAILQ_FOREACH_SAFE(c, &net->conns, link, tmp)
	{
		if (c->up)
			tls_say_goodbye(c);
		net_wait_end(c);
		conn_free(c);
	}
	TAILQ_FOREACH_SAFE(c, &net->dying, link, tmp)
	conn_free(c);
	if (net->reap != NULL)
		event_free(net->reap);
	jobs_free(net->resolver);
	nrs_map_free(net->by_id);
	tls_fini(net);
	free(net->last);
	free(net);
}

/* --- what is known --------------------------------------------------------- */

const struct net_last *
net_last_find(const struct net *net, const char *peer)
{
	for (unsigned int i = 0; i < net->nlast; i++)
		if (strcmp(net->last[i].peer, peer) == 0)
			return &net->last[i];
	return NULL;
}

struct net_last *
net_last_get(struct net *net, const char *peer)
{
	struct net_last *v;

	for (unsigned int i = 0; i < net->nlast; i++)
		if (strcmp(net->last[i].peer, peer) == 0)
			return &net->last[i];
	v = realloc(net->last, (net->nlast + 1) * sizeof(*v));
	if (v == NULL)
		return NULL;
	net->last = v;
	v += net->nlast++;
	memset(v, 0, sizeof(*v));
	snprintf(v->peer, sizeof(v->peer), "%s", peer);
	return v;
}

unsigned int
net_connections(const struct net *net)
{
	return net->nconns;
}

uint64_t
net_accepted(const struct net *net)
{
	return net->accepted;
}
