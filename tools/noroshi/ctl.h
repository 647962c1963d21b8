/*
 * The control protocol's client (docs/CONTROL.md): frames over a Unix stream
 * socket.  All calls return 0 or an exit status, having said what was wrong.
 */
#ifndef NOROSHI_CTL_H
#define NOROSHI_CTL_H

#include <jansson.h>
#include <stdint.h>

#include "tools/noroshi/cli.h"

struct ctl;

int ctl_open(const struct cli *c, struct ctl **ret) NRS_MUST_CHECK;
void ctl_close(struct ctl *ctl); /* accepts NULL */

/* A request, of which "v" and "attach" are filled in. Takes req. data NULL: nothing attached. */
int ctl_send(struct ctl *ctl, json_t *req, const void *data, size_t len) NRS_MUST_CHECK;

struct ctl_answer {
	json_t *json;
	uint8_t *data; /* what was attached, or NULL */
	size_t len;
	json_t *error; /* the member "error", borrowed; NULL: success */
};
void ctl_answer_fini(struct ctl_answer *a);
/* An answer, error or not. */
int ctl_recv(struct ctl *ctl, struct ctl_answer *ret) NRS_MUST_CHECK;
/* Says what the error of an answer is; returns its exit status. */
int ctl_tell(const struct cli *c, const json_t *error);

/* Opens, sends, receives, tells. ret may be NULL. */
int ctl_call(const struct cli *c, json_t *req, const void *data, size_t len,
    struct ctl_answer *ret) NRS_MUST_CHECK;
/* A command without members, quietly: for completion. Non-zero: no answer. */
int ctl_try(const struct cli *c, const char *cmd, json_t **ret) NRS_MUST_CHECK;

/*
 * The lines of a stream, each without its newline, NUL after it; a non-zero
 * return of line() ends it and is returned.  *ret_end: the last J (to decref).
 */
/* Likewise of a stream of lines and of pieces. */
int ctl_pieces(struct ctl *ctl, int (*line)(void *arg, char *s, size_t len),
    int (*data)(void *arg, const void *p, size_t len), void *arg,
    json_t **ret_end) NRS_MUST_CHECK;
int ctl_stream(struct ctl *ctl, int (*line)(void *arg, char *s, size_t len), void *arg,
    json_t **ret_end) NRS_MUST_CHECK;

#endif
