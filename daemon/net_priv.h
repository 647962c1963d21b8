/*
 * What the files of net share.
 *   net.c         connections: their table, bytes, end
 *   net_listen.c  sockets that listen, and what is turned away
 *   net_dial.c    one dial: addresses in order, until one is up
 *   net_proxy.c   SOCKS5 and CONNECT, before TLS
 *   net_tls.c     the only user of libssl
 */
#ifndef DAEMON_NET_PRIV_H
#define DAEMON_NET_PRIV_H

#include <sys/socket.h>

#include "base/queue.h"
#include "daemon/app.h"
#include "daemon/net.h"

struct bufferevent;
struct event;
struct evconnlistener;
struct nrs_map;
struct ssl_ctx_st;
struct ssl_st;

#define NET_HOST_KEY 16

/* Why a connection never came up. Rows: name, text. */
#define NET_REASONS(X)                                                    \
	X(PLAIN, "plain", "no TLS was spoken")                            \
	X(VERSION, "version", "a TLS version other than 1.3")             \
	X(CERT, "cert", "no certificate, or not an Ed25519 one")          \
	X(PIN, "pin", "the key is not that of any configured peer")       \
	X(ALPN, "alpn", "the application protocol is not noroshi/1")      \
	X(TIMEOUT, "timeout", "the handshake took too long")              \
	X(LIMIT, "limit", "too many connections")                         \
	X(CROWD, "crowd", "given up for a newer one before it was known") \
	X(HANGUP, "hangup", "closed by the other side")                   \
	X(TLS, "tls", "TLS failed")
enum net_reason {
#define X(id, name, text) NET_R_##id,
	NET_REASONS(X)
#undef X
	    NET_R__MAX
};

/* Where connections come from that are not known yet: an IPv4 address, or an IPv6 /64. */
struct net_host {
	TAILQ_ENTRY(net_host) link;
	uint8_t key[NET_HOST_KEY];
	bool known; /* a peer was up from there */
	unsigned int n;
	TAILQ_HEAD(, net_conn) waiting; /* oldest first */
};

struct net_conn {
	TAILQ_ENTRY(net_conn) link;
	TAILQ_ENTRY(net_conn) host_link;
	struct net *net;
	struct net_host *host; /* accepted, and its handshake is not over */
	nrs_conn id;
	struct bufferevent *bev;
	struct event *deadline; /* of the handshake, then of the last bytes */
	struct sockaddr_storage addr;
	char remote[80];	       /* for people */
	char peer[NRS_ORIGIN_MAX + 1]; /* dialed: whom; accepted: by the pin; "" so far */
	struct nrs_hash pin;
	struct dial *dial; /* the attempt that waits for this handshake */
	bool dialed;
	bool seen_cert; /* a certificate came, and it was the wrong one unless pin_ok */
	bool pin_ok;
	bool up;      /* the engine knows it */
	bool closing; /* the engine does not know it any more */
	bool high;    /* a note is owed when the queue is short again */
};
TAILQ_HEAD(net_conns, net_conn);

struct net_listener;
#define NET_LOGGED_MAX 128

struct net {
	struct app *app;
	struct ssl_ctx_st *ssl;
	struct nrs_map *by_id;
	struct net_conns conns;
	struct net_conns
	    dying; /* freed by reap, when no callback of theirs is on the stack */
	struct event *reap;
	nrs_conn next_id;
	unsigned int nconns, nhandshakes, ninbound;
	TAILQ_HEAD(, net_host) hosts;
	unsigned int nwaiting;	   /* of all hosts */
	unsigned int turn_accepts; /* since the loop was here last */
	uint64_t accepted;
	bool stopped;

	TAILQ_HEAD(listeners, net_listener) listeners, next;
	struct event *resume; /* listening again after EMFILE */
	struct event *turn;   /* the next turn of the loop: more may be accepted */
	struct net_hellos {
		struct nrs_mono since;
		unsigned int n;
	} hellos[2]; /* of strangers; from where peers were up */
	uint64_t refused[NET_R__MAX];
	struct net_logged {
		char host[64];
		enum net_reason reason;
		struct nrs_mono at;
	} logged[NET_LOGGED_MAX];

	TAILQ_HEAD(, dial) dials;
	struct jobs *resolver;
	struct net_last *last;
	unsigned int nlast;
};

/* --- net.c --- */
/* Takes the socket (also on failure): the TLS handshake begins. */
int net_conn_new(struct net *net, int fd, const struct sockaddr *sa, socklen_t salen,
    const char *peer, struct dial *dial, struct net_conn **ret) NRS_MUST_CHECK;
/* The handshake is given up; nobody is told. */
void net_conn_drop(struct net_conn *c);
struct net_last *net_last_get(
    struct net *net, const char *peer); /* makes it; NULL: no memory */
void net_addr_format(const struct sockaddr *sa, socklen_t len, char *dst, size_t max);

void net_host_key(const struct sockaddr *sa, uint8_t ret[NET_HOST_KEY]);

/* --- net_listen.c --- */
/* A connection that was accepted waits to be known, and no longer does. */
int net_wait_begin(struct net_conn *c) NRS_MUST_CHECK;
void net_wait_end(struct net_conn *c);
int net_listen_init(struct net *net, struct nrs_detail *d) NRS_MUST_CHECK;
void net_listen_fini(struct net *net);
/* Counts it, and says so in the log once in a while for each address. */
void net_refuse(
    struct net *net, const struct sockaddr *sa, enum net_reason why, const char *more);
const char *net_reason_text(enum net_reason r);

/* --- net_dial.c --- */
/* The handshake of an attempt has ended; why NULL: it is up and the engine's. */
void net_dial_ended(
    struct dial *d, struct net_conn *c, enum net_stage stage, const char *why);
void net_dials_fini(struct net *net);

/* --- net_proxy.c --- */
struct proxy;
/* done(arg, NULL) when the tunnel stands, else done(arg, why); never inside. fd stays the caller's. */
int proxy_start(struct net *net, int fd, enum conf_proxy type, const char *host,
    uint16_t port, void (*done)(void *arg, const char *why), void *arg,
    struct proxy **ret) NRS_MUST_CHECK;
void proxy_free(struct proxy *p); /* accepts NULL */

/* --- net_tls.c --- */
int tls_init(struct net *net, struct nrs_detail *d) NRS_MUST_CHECK;
void tls_fini(struct net *net);
/* For c: a bufferevent over fd. NULL: no memory, fd is closed. */
struct bufferevent *tls_wrap(struct net_conn *c, int fd);
/* After the handshake: is all as it must be? Else the reason. */
bool tls_check(struct net_conn *c, enum net_reason *ret);
/* Has the other side said anything yet? */
bool tls_spoken(const struct net_conn *c);
/* What went wrong, as a reason and in words. */
enum net_reason tls_error(struct net_conn *c, char *why, size_t max);
void tls_say_goodbye(struct net_conn *c);

#endif
