/* Unix sockets that listen: made over a stale one, never over a living one. */
#ifndef DAEMON_UNIX_SOCKET_H
#define DAEMON_UNIX_SOCKET_H

#include <sys/types.h>

#include <noroshi/err.h>

/* group (gid_t)-1: unchanged. Non-blocking, listening. */
int unix_listen(const char *path, mode_t mode, gid_t group, int *ret_fd,
    struct nrs_detail *d) NRS_MUST_CHECK;

#endif
