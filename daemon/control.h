/*
 * The control socket (docs/CONTROL.md): frames, roles, one request at a time on
 * a connection.  What the commands do stands in ctl_*.c.
 */
#ifndef DAEMON_CONTROL_H
#define DAEMON_CONTROL_H

#include <noroshi/err.h>

struct app;
struct control;

int control_new(struct app *app, struct control **ret, struct nrs_detail *d) NRS_MUST_CHECK;
void control_free(struct control *ct); /* accepts NULL */
void control_stop(
    struct control *ct); /* no new connections; requests under way are finished */

#endif
