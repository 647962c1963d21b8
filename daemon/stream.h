/* Subscribers' own sockets: the stream of objects for programs (docs/CONTROL.md, end). */
#ifndef DAEMON_STREAM_H
#define DAEMON_STREAM_H

#include <noroshi/err.h>

struct app;
struct conf;
struct stream;

int stream_new(struct app *app, struct stream **ret, struct nrs_detail *d) NRS_MUST_CHECK;
void stream_free(struct stream *s); /* accepts NULL */
/* See app.h: everything that can fail, then the change or nothing. */
int stream_prepare(
    struct stream *s, const struct conf *next, struct nrs_detail *d) NRS_MUST_CHECK;
void stream_commit(struct stream *s);
void stream_abort(struct stream *s);

#endif
