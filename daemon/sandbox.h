/*
 * What the kernel will still do for us.  sandbox_seccomp.c or sandbox_none.c;
 * the build chooses: none under sanitizers, which need calls of their own.
 */
#ifndef DAEMON_SANDBOX_H
#define DAEMON_SANDBOX_H

#include <noroshi/err.h>

/* Before threads are made. NRS_EPERM when the kernel refuses. */
int sandbox_daemon(void) NRS_MUST_CHECK;
/* Only open files from here on; any other call kills the keeper. */
int sandbox_keeper(void) NRS_MUST_CHECK;
const char *sandbox_name(void);

#endif
