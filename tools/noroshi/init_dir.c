/* Files and directories that are taken back when a later one fails. */
#include "tools/noroshi/init_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void
remember(struct init_dir *d, const char *path, bool dir)
{
	if (d->n == sizeof(d->v) / sizeof(d->v[0]))
		return;
	d->v[d->n].path = cli_strdup(path);
	d->v[d->n++].dir = dir;
}

static bool
is_empty(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *e;
	bool empty;

	if (dir == NULL)
		return false;
	do {
		errno = 0;
		e = readdir(dir);
	} while (
	    e != NULL && (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0));
	empty = e == NULL && errno == 0;
	closedir(dir);
	return empty;
}

/* Is the directory there already, and may it be? Others could change what goes into a link or an open one. */
static bool
is_there(const char *path, bool full)
{
	struct stat st;

	if (full)
		return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) &&
	    (st.st_mode & (S_IWGRP | S_IWOTH)) == 0 && is_empty(path);
}

int
init_mkdir(struct init_dir *d, const char *path, bool full)
{
	bool there;

	if (mkdir(path, 0700) == 0) {
		remember(d, path, true);
		return 0;
	}
	there = errno == EEXIST;
	if (there && is_there(path, full))
		return 0;
	if (there)
		errno = EEXIST;
	return cli_fail_errno(d->c,
	    there ? "Remove or rename it, or choose another directory." : NULL,
	    "cannot make the directory %s", path);
}

static int
write_all(int fd, const char *p, size_t len)
{
	ssize_t n;

	for (; len > 0; p += n, len -= (size_t)n)
		if ((n = write(fd, p, len)) < 0)
			return -1;
	return fsync(fd);
}

int
init_file(struct init_dir *d, const char *path, mode_t mode, const void *data, size_t len)
{
	int fd, rc = 0;

	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return cli_fail_errno(d->c,
		    errno == EEXIST ? "Nothing is overwritten: remove or rename it first."
				    : NULL,
		    "cannot create %s", path);
	remember(d, path, false);
	/* fchmod: the umask may have taken bits that the mode means to give. */
	if (fchmod(fd, mode) != 0 || write_all(fd, data, len) != 0)
		rc = cli_fail_errno(d->c, NULL, "cannot write %s", path);
	if (close(fd) != 0 && rc == 0)
		rc = cli_fail_errno(d->c, NULL, "cannot write %s", path);
	return rc;
}

static int
sync_parent(const struct init_dir *d, const char *path)
{
	char *parent = cli_strdup(path), *slash = strrchr(parent, '/');
	int fd, rc = 0;

	if (slash == NULL)
		strcpy(parent, ".");
	else
		slash[slash == parent] = '\0';
	fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) != 0)
		rc = cli_fail_errno(d->c, NULL, "cannot sync the directory %s", parent);
	if (fd >= 0)
		close(fd);
	free(parent);
	return rc;
}

int
init_sync(struct init_dir *d)
{
	int rc = 0;

	for (unsigned int i = 0; i < d->n && rc == 0; i++)
		rc = sync_parent(d, d->v[i].path);
	return rc;
}

void
init_end(struct init_dir *d, bool keep)
{
	while (d->n > 0) {
		struct made *m = &d->v[--d->n];

		if (!keep && (m->dir ? rmdir(m->path) : unlink(m->path)) != 0)
			cli_note(
			    d->c, "%s could not be removed: %s", m->path, strerror(errno));
		free(m->path);
	}
}
