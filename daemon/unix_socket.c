/* A path that is a socket nobody answers at is a leftover of a daemon that died. */
#include "daemon/unix_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#define BACKLOG 64

static bool
alive(const struct sockaddr_un *sun)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool yes;

	if (fd < 0)
		return true;
	yes = connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) == 0 ||
	    (errno != ECONNREFUSED && errno != ENOENT);
	close(fd);
	return yes;
}

int
unix_listen(const char *path, mode_t mode, gid_t group, int *ret_fd, struct nrs_detail *d)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct stat st;
	int fd;

	*ret_fd = -1;
	if (strlen(path) >= sizeof(sun.sun_path))
		return nrs_fail(
		    d, NRS_ELIMIT, 0, "the path %.60s... is too long for a socket", path);
	strcpy(sun.sun_path, path);
	if (lstat(path, &st) == 0) {
		if (!S_ISSOCK(st.st_mode))
			return nrs_fail(d, NRS_EEXISTS, 0,
			    "%s is there, and is no socket: remove it", path);
		if (alive(&sun))
			return nrs_fail(
			    d, NRS_ELOCKED, 0, "%s is in use by another process", path);
		(void)unlink(path); /* bind() says what is wrong */
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return nrs_fail(d, NRS_EIO, 0, "cannot make a socket: %s", strerror(errno));
	if (bind(fd, (const struct sockaddr *)&sun, sizeof(sun)) != 0 ||
	    (group != (gid_t)-1 && lchown(path, (uid_t)-1, group) != 0) ||
	    chmod(path, mode) != 0 || listen(fd, BACKLOG) != 0) {
		nrs_fail(d, NRS_EIO, 0, "cannot listen at %s: %s%s", path, strerror(errno),
		    errno == ENOENT ? "; make that directory" : "");
		close(fd);
		return NRS_EIO;
	}
	*ret_fd = fd;
	return 0;
}
