/*
 * A reader of the engine's events bound to a socket: it pulls lines while the
 * socket takes them, and stands still otherwise.  A client that stopped costs its
 * own cursor and at most FEED_OUTPUT_MAX bytes.
 */
#ifndef DAEMON_FEED_H
#define DAEMON_FEED_H

#include <noroshi/err.h>
#include <noroshi/types.h>

#include "node/node.h"

#define FEED_OUTPUT_MAX (256u << 10)

struct app;
struct bufferevent;
struct feed;

struct feed_opts {
	uint8_t tlp;
	const char *const *communities; /* NULL: all; read by feed_new() only */
	unsigned int ncommunities;
	bool direct;
	struct node_cursor from;
	uint32_t uid;		  /* of the process that reads */
	unsigned int heartbeat_s; /* 0: none */
	bool framed;		  /* lines go in L frames of the control protocol */
	/* Nothing more to read for now; may free the feed. NULL: not wanted. */
	void (*idle)(void *arg);
	/* The engine failed to read on; may free the feed. */
	void (*failed)(void *arg, int rc);
	void *arg;
};

int feed_new(struct app *app, struct bufferevent *bev, const struct feed_opts *o,
    struct feed **ret, struct nrs_detail *d) NRS_MUST_CHECK;
void feed_free(struct feed *f); /* accepts NULL */
/* The socket has taken what it had: called by the owner of the bufferevent. */
void feed_drained(struct feed *f);
bool feed_idle(const struct feed *f);
struct node_cursor feed_cursor(const struct feed *f);

#endif
