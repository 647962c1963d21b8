/*
 * A stream of another machine's node (docs/CONTROL.md, the stream): TLS, the
 * server known by a pinned key, us by our certificate.  Lost connections are made
 * again, and the stream goes on at the very line.
 */
#ifndef NOROSHI_REMOTE_H
#define NOROSHI_REMOTE_H

#include <stdint.h>

#include "tools/noroshi/cli.h"

/* Is this a HOST:PORT and no path? */
bool remote_address(const char *s);

/* For nrs_invite_walk(): the first note, which is the manifest, into a struct nrs_str. */
int remote_first_note(void *arg, const uint8_t *note, size_t len);

struct remote_opts {
	const char *cert, *key; /* files, PEM */
	const char *server;	/* a manifest's file, or a pin: 64 hex digits, or base64 */
	const char *from;	/* the first line's value: a cursor or "now" */
	const char *since;	/* or this, RFC 3339; NULL */
	bool
	    patient; /* goes on trying from the beginning, not only after it was connected */
};
/*
 * Each line without its newline, NUL after it; heartbeats too.  A non-zero return of
 * line() ends it and is returned; else an exit status, told.
 */
int remote_stream(const struct cli *c, const struct remote_opts *o,
    int (*line)(void *arg, char *s, size_t len), void *arg) NRS_MUST_CHECK;

#endif
