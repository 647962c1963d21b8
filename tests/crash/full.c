/*
 * A disk that is full while a file named "full" lies in the directory the
 * process was started in (LD_PRELOAD, tests only): nothing can be reserved and
 * nothing grows; what is there can be read, and written over.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))

static int keeper; /* may not open files, and writes little */
static char flag[PATH_MAX + 8];
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_fallocate)(int, int, off_t, off_t);

static void
in_child(void)
{
	keeper = 1;
}

__attribute__((constructor)) static void
full_init(void)
{
	char dir[PATH_MAX];

	real_pwrite =
	    (ssize_t(*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");
	real_fallocate = (int (*)(int, int, off_t, off_t))dlsym(RTLD_NEXT, "fallocate");
	pthread_atfork(NULL, NULL, in_child);
	if (getcwd(dir, sizeof(dir)) != NULL)
		snprintf(flag, sizeof(flag), "%s/full", dir);
}

static int
grows(int fd, off_t end)
{
	struct stat st;
	int f;

	if (keeper || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || end <= st.st_size)
		return 0;
	if ((f = open(flag, O_RDONLY | O_CLOEXEC)) < 0)
		return 0;
	close(f);
	errno = ENOSPC;
	return 1;
}

PUBLIC ssize_t
pwrite(int fd, const void *p, size_t len, off_t off)
{
	return grows(fd, off + (off_t)len) ? -1 : real_pwrite(fd, p, len, off);
}

PUBLIC ssize_t
pwrite64(int fd, const void *p, size_t len, off_t off)
{
	return pwrite(fd, p, len, off);
}

PUBLIC int
fallocate(int fd, int mode, off_t off, off_t len)
{
	return mode == 0 && grows(fd, off + len) ? -1 : real_fallocate(fd, mode, off, len);
}

PUBLIC int
fallocate64(int fd, int mode, off_t off, off_t len)
{
	return fallocate(fd, mode, off, len);
}
