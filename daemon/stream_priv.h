/*
 * What the files of stream share.
 *   stream.c         stanzas: sockets that listen, who may connect, reload
 *   stream_client.c  one connection: first line, lines, heartbeats, end
 *   stream_tls.c     TLS over a socket: the only user of libssl here
 */
#ifndef DAEMON_STREAM_PRIV_H
#define DAEMON_STREAM_PRIV_H

#include <sys/socket.h>
#include <sys/types.h>

#include <event2/event_struct.h>

#include "base/queue.h"
#include "daemon/app.h"
#include "daemon/stream.h"
#include "node/node.h"

struct evconnlistener;
struct ssl_ctx_st;
struct ssl_st;
struct sub;

enum client_phase {
	CLIENT_HANDSHAKE, /* in stream.handshakes; sub is not known */
	CLIENT_FIRST,	  /* in stream.waiting: its first line may come */
	CLIENT_STREAM,	  /* in sub.clients */
	CLIENT_DEAD,	  /* in stream.dying */
};

/* Small: there may be thousands, and most are idle. */
struct client {
	TAILQ_ENTRY(client) link; /* by phase */
	TAILQ_ENTRY(client) queue;
	struct stream *s;
	struct sub *sub;    /* counted there, from CLIENT_FIRST on */
	struct ssl_st *ssl; /* NULL: a Unix socket */
	struct node_reader *reader;
	char *in;     /* the first line, as far as it came; or NULL */
	uint8_t *out; /* what the socket did not take yet; or NULL */
	uint32_t in_len;
	uint32_t out_off, out_len;
	uint32_t said; /* bytes after the first line */
	uint32_t uid;
	struct nrs_mono since; /* of the phase; then of the last line */
	struct nrs_hash pin;
	int fd;
	uint32_t host; /* hash of the address, to count handshakes by */
	uint8_t phase;
	bool queued;
	bool blocked; /* the socket takes nothing: there will be an event */
	bool dry;     /* TLS: the socket had nothing more */
	bool silent;  /* began without a first line */
	bool given;   /* something of its stream: a line may be half out */
	bool over; /* refused in the handshake: it is only waited until it has read why */
	struct event ev;
};
TAILQ_HEAD(clients, client);

/* One subscriber stanza in force. */
struct sub {
	TAILQ_ENTRY(sub) link;
	struct stream *s;
	char *name, *path; /* path NULL: TLS only */
	char **communities;
	unsigned int ncommunities;
	bool all, direct;
	uint8_t tlp;
	unsigned int heartbeat_s;
	unsigned int connections;
	mode_t mode;
	gid_t group;
	bool has_pin;
	struct nrs_hash pin;
	struct evconnlistener *ev; /* NULL among `next`: taken over from the one in force */
	struct event *resume;
	struct clients clients;
	unsigned int nclients;
	unsigned int begun; /* streams, less what time has let it have again */
	struct nrs_mono begun_at;
};
TAILQ_HEAD(subs, sub);

struct stream_listener;

/* Why a connection did not become a stream. Rows: name, text. */
#define STREAM_REASONS(X)                                                      \
	X(TLS, "tls", "the TLS handshake failed")                              \
	X(PIN, "pin", "the key is not that of any subscriber")                 \
	X(ALPN, "alpn", "the application protocol is not noroshi-stream/1")    \
	X(TIMEOUT, "timeout", "the handshake took too long")                   \
	X(LIMIT, "limit", "too many connections")                              \
	X(LINE, "line", "the first line is malformed, or its cursor is wrong") \
	X(TALK, "talk", "it sent more than its first line")
enum stream_reason {
#define X(id, name, text) STREAM_R_##id,
	STREAM_REASONS(X)
#undef X
	    STREAM_R__MAX
};

struct stream {
	struct app *app;
	struct ssl_ctx_st *ssl;
	void *bio; /* BIO_METHOD of stream_tls.c */
	struct subs subs, next;
	TAILQ_HEAD(stream_listeners, stream_listener) listeners, next_listeners;
	struct event *resume;	   /* listening again after EMFILE */
	struct event *turn;	   /* the next turn of the loop: more may be accepted */
	unsigned int turn_accepts; /* over TLS, since the loop was here last */
	struct clients handshakes, waiting, dying;
	unsigned int nhandshakes, ntls, nunix;
	struct clients ready; /* by queue: they have something to do */
	struct event *pump, *tick, *reap;
	bool pumping, ticking;
	uint64_t refused[STREAM_R__MAX];
	struct nrs_mono logged;
};

/* --- stream.c --- */
/* The subscriber with this key, or NULL. */
struct sub *stream_find_pin(struct stream *s, const struct nrs_hash *pin);
/* Counts it, and says so in the log once a second at most. */
void stream_refuse(struct stream *s, enum stream_reason why, const char *who);

/* --- stream_client.c --- */
int client_init(struct stream *s) NRS_MUST_CHECK;
void client_fini(struct stream *s);
/* Takes the socket. */
void client_accept_unix(struct sub *sub, int fd);
void client_accept_tls(struct stream *s, int fd, const struct sockaddr *sa);
void client_end(struct client *c);
/* All of a subscriber, in every phase. */
void client_end_all(struct sub *sub);
/* The stanza was replaced by one that gives the same: those it still lets in go on. */
void client_move_all(struct sub *from, struct sub *to);

/* --- stream_tls.c --- */
int stream_tls_init(struct stream *s, struct nrs_detail *d) NRS_MUST_CHECK;
void stream_tls_fini(struct stream *s);
int stream_tls_begin(struct client *c) NRS_MUST_CHECK;
void stream_tls_end(struct client *c);
/* 1: it stands, and c->pin is a subscriber's; 0: later; -1: refused, *why. */
int stream_tls_handshake(struct client *c, enum stream_reason *why);
/* Bytes; 0: the end; -1: nothing now; -2: broken; -3: a message of TLS itself, go on. */
ssize_t stream_tls_read(struct client *c, void *buf, size_t len);
/* All of it, at most STREAM_RECORD, some of it into c->out; -2: broken. */
ssize_t stream_tls_write(struct client *c, const void *buf, size_t len);
#define STREAM_RECORD 16384u
/* For the socket itself: what it takes at once; the rest is kept in c->out. */
int client_send(struct client *c, const uint8_t *p, size_t len) NRS_MUST_CHECK;

#endif
