/* Subscribers: the stream of objects for programs, here and elsewhere (docs/CONTROL.md, end). */
#ifndef DAEMON_STREAM_H
#define DAEMON_STREAM_H

#include <noroshi/err.h>
#include <noroshi/types.h>

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

struct stream_counts {
	uint64_t local, tls; /* connections, those that are not up yet included */
};
void stream_info(const struct stream *s, struct stream_counts *ret);
/* Connections that were turned away, by reason. */
void stream_refusals(const struct stream *s,
    void (*each)(void *arg, const char *name, uint64_t count), void *arg);

#endif
