/*
 * Connections to peers: listening, dialling (addresses in order, local address,
 * proxy), TLS 1.3 with both keys pinned, and the bytes.  What they mean is the
 * engine's business (docs/PROTOCOL.md).
 */
#ifndef DAEMON_NET_H
#define DAEMON_NET_H

#include <noroshi/env.h>
#include <noroshi/err.h>

struct app;
struct conf;
struct conf_listen;
struct net;

/* Listens as app->conf says; reads app->tls_pem. */
int net_new(struct app *app, struct net **ret, struct nrs_detail *d) NRS_MUST_CHECK;
void net_free(struct net *net); /* accepts NULL; no calls into the engine */
int net_prepare(
    struct net *net, const struct conf *next, struct nrs_detail *d) NRS_MUST_CHECK;
void net_commit(struct net *net);
void net_abort(struct net *net);
void net_stop(struct net *net); /* no new connections in */

/* A socket that listens there, not blocking; -1 and d. */
int net_listen_fd(const struct conf_listen *cl, struct nrs_detail *d);
/* Host part only of an address, for counting by it. */
struct sockaddr;
void net_host_format(const struct sockaddr *sa, char *dst, size_t max);
/* What every TCP connection gets: not blocking, keepalive, no delay. */
int net_socket_prepare(int fd);

/* The environment's. */
void net_dial(struct nrs_env *e, const char *peer);
int net_send(struct nrs_env *e, nrs_conn c, const void *buf, size_t len) NRS_MUST_CHECK;
size_t net_unsent(struct nrs_env *e, nrs_conn c);
void net_close(struct nrs_env *e, nrs_conn c);

/* How far an attempt came. */
enum net_stage {
	NET_STAGE_NONE,	   /* no address answered */
	NET_STAGE_ADDRESS, /* TCP stands */
	NET_STAGE_TLS,	   /* TLS 1.3, ALPN, a certificate */
	NET_STAGE_PIN,	   /* the peer's key is the pinned one: all is well */
};

/* The last attempt with a peer, for "peer test". */
struct net_last {
	char peer[NRS_ORIGIN_MAX + 1];
	bool busy;	      /* an attempt is under way */
	uint64_t attempts;    /* finished ones */
	enum net_stage stage; /* the furthest of the last */
	char address[300];    /* where that was reached */
	char why[512];	      /* reasons, address by address; "" when it came up */
	char closed[160];     /* why the last connection that was up ended */
	uint64_t up, downs;   /* connections that came up, and ended, in either direction */
	bool seen;	      /* it was up from here, as net_host_key() has it: */
	uint8_t host[16];
};
const struct net_last *net_last_find(const struct net *net, const char *peer); /* or NULL */

/* Connections that were turned away before they were up, by reason. */
struct net_refusal {
	const char *name;
	const char *text;
	uint64_t count;
};
/* Calls each() for every reason. */
void net_refusals(
    const struct net *net, void (*each)(void *arg, const struct net_refusal *r), void *arg);
unsigned int net_connections(const struct net *net); /* handshakes included */
uint64_t net_accepted(const struct net *net);

#endif
