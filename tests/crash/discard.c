/*
 * A layer that forgets what was not synced (LD_PRELOAD, tests only).
 *
 * kill -9 alone proves nothing about durability: the page cache survives it.
 * This library lets every change of a file or a name happen as usual, and
 * first writes down how to take it back, in undo.log in the directory the
 * process was started in; a sync of the file (or of the directory, for names)
 * is written down as well.  After the kill, tests/crash/undo.py takes back, by
 * sectors of 512 bytes, what no sync had covered, as a power failure would.
 *
 * DISCARD_NOSYNC=1       syncs do nothing and are not noted: the tests must then fail
 * DISCARD_DELAY_US=N     a sync takes that long, so that kills hit unfinished ones
 *
 * Record: u32 length of what follows | u8 kind | u16 path length | path | rest
 *   W u64 offset, u64 old size, u32 bytes, old bytes      T u64 old size
 *   S (file synced)   C (name created)   D (directory synced)
 *   U u16 length, backup path (name removed)
 *   R u16 length, old path, u16 length, backup path of what stood there or empty
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))

static int log_fd = -1;
static char base[PATH_MAX];
static size_t base_len;
static int nosync;
static unsigned int delay_us;
static unsigned int backups;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_fdatasync)(int);
static int (*real_fsync)(int);
static int (*real_ftruncate)(int, off_t);
static int (*real_fallocate)(int, int, off_t, off_t);
static int (*real_openat)(int, const char *, int, ...);
static int (*real_renameat)(int, const char *, int, const char *);
static int (*real_unlinkat)(int, const char *, int);

static void
open_log(void)
{
	char path[PATH_MAX + 16];
	int high;

	snprintf(path, sizeof(path), "%s/undo.log", base);
	log_fd =
	    real_openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	/* Out of the way of daemons that count the low descriptors. */
	if (log_fd >= 0 && (high = fcntl(log_fd, F_DUPFD_CLOEXEC, 900)) >= 0) {
		close(log_fd);
		log_fd = high;
	}
}

__attribute__((constructor)) static void
discard_init(void)
{
	const char *s;

	real_pwrite =
	    (ssize_t(*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");
	real_fdatasync = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
	real_fsync = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
	real_ftruncate = (int (*)(int, off_t))dlsym(RTLD_NEXT, "ftruncate");
	real_fallocate = (int (*)(int, int, off_t, off_t))dlsym(RTLD_NEXT, "fallocate");
	real_openat = (int (*)(int, const char *, int, ...))dlsym(RTLD_NEXT, "openat");
	real_renameat =
	    (int (*)(int, const char *, int, const char *))dlsym(RTLD_NEXT, "renameat");
	real_unlinkat = (int (*)(int, const char *, int))dlsym(RTLD_NEXT, "unlinkat");
	nosync = (s = getenv("DISCARD_NOSYNC")) != NULL && *s == '1';
	delay_us = (s = getenv("DISCARD_DELAY_US")) != NULL ? (unsigned int)atoi(s) : 0;
	if (getcwd(base, sizeof(base)) == NULL)
		return;
	base_len = strlen(base);
	open_log();
}

/* The path of dirfd/name below base, without resolving its last part; 0 when it is none of ours. */
static size_t
path_at(int dirfd, const char *name, char out[PATH_MAX])
{
	char link[64], dir[PATH_MAX];
	ssize_t n;
	int len;

	if (log_fd < 0)
		return 0;
	if (name[0] == '/')
		len = snprintf(out, PATH_MAX, "%s", name);
	else if (dirfd == AT_FDCWD) {
		if (getcwd(dir, sizeof(dir)) == NULL)
			return 0;
		len = snprintf(out, PATH_MAX, "%s/%s", dir, name);
	} else {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", dirfd);
		if ((n = readlink(link, dir, sizeof(dir) - 1)) <= 0)
			return 0;
		dir[n] = '\0';
		len = snprintf(out, PATH_MAX, "%s/%s", dir, name);
	}
	if (len <= 0 || len >= PATH_MAX || strncmp(out, base, base_len) != 0 ||
	    out[base_len] != '/' || strstr(out, "/kv/") != NULL ||
	    strstr(out, "/undo.") != NULL || strstr(out, "/log") == out + base_len)
		return 0;
	return (size_t)len;
}

static size_t
path_of(int fd, char out[PATH_MAX])
{
	char link[64], p[PATH_MAX];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (log_fd < 0 || (n = readlink(link, p, sizeof(p) - 1)) <= 0)
		return 0;
	p[n] = '\0';
	return p[0] == '/' ? path_at(AT_FDCWD, p, out) : 0;
}

static void
note(uint8_t kind, const char *path, size_t path_len, const struct iovec *rest, int nrest)
{
	uint8_t head[7];
	struct iovec v[8];
	uint32_t len = (uint32_t)(3 + path_len);
	uint16_t plen = (uint16_t)path_len;
	int i;

	for (i = 0; i < nrest; i++) {
		v[2 + i] = rest[i];
		len += (uint32_t)rest[i].iov_len;
	}
	memcpy(head, &len, 4);
	head[4] = kind;
	memcpy(head + 5, &plen, 2);
	v[0].iov_base = head;
	v[0].iov_len = sizeof(head);
	v[1].iov_base = (void *)(uintptr_t)path;
	v[1].iov_len = path_len;
	if (writev(log_fd, v, 2 + nrest) >= 0)
		return;
	if (errno == EBADF)
		open_log(); /* a child closed what it did not know */
	if (writev(log_fd, v, 2 + nrest) < 0)
		_exit(99); /* a test harness without its log is worth nothing */
}

PUBLIC ssize_t
pwrite(int fd, const void *buf, size_t len, off_t off)
{
	char path[PATH_MAX];
	size_t n = path_of(fd, path);
	struct stat st;
	uint64_t o = (uint64_t)off, size;
	uint32_t have = 0;
	uint8_t *old = NULL;
	ssize_t rc;

	if (n == 0)
		return real_pwrite(fd, buf, len, off);
	pthread_mutex_lock(&lock);
	if (fstat(fd, &st) == 0 && st.st_size > off && (old = malloc(len)) != NULL) {
		char self[64];
		int rfd;

		/* The descriptor may be for writing only. */
		snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
		if ((rfd = real_openat(AT_FDCWD, self, O_RDONLY | O_CLOEXEC)) >= 0) {
			ssize_t got = pread(rfd, old, len, off);

			have = got > 0 ? (uint32_t)got : 0;
			close(rfd);
		}
	}
	size = (uint64_t)st.st_size;
	struct iovec v[4] = { { &o, 8 }, { &size, 8 }, { &have, 4 }, { old, have } };
	note('W', path, n, v, 4);
	free(old);
	rc = real_pwrite(fd, buf, len, off);
	pthread_mutex_unlock(&lock);
	return rc;
}

PUBLIC ssize_t
pwrite64(int fd, const void *buf, size_t len, off64_t off)
{
	return pwrite(fd, buf, len, (off_t)off);
}

static void
note_size(int fd)
{
	char path[PATH_MAX];
	size_t n = path_of(fd, path);
	struct stat st;

	if (n != 0 && fstat(fd, &st) == 0) {
		uint64_t size = (uint64_t)st.st_size;
		struct iovec v = { &size, 8 };

		note('T', path, n, &v, 1);
	}
}

PUBLIC int
ftruncate(int fd, off_t len)
{
	note_size(fd);
	return real_ftruncate(fd, len);
}

PUBLIC int
ftruncate64(int fd, off64_t len)
{
	return ftruncate(fd, (off_t)len);
}

PUBLIC int
fallocate(int fd, int mode, off_t off, off_t len)
{
	note_size(fd);
	return real_fallocate(fd, mode, off, len);
}

PUBLIC int
fallocate64(int fd, int mode, off64_t off, off64_t len)
{
	return fallocate(fd, mode, (off_t)off, (off_t)len);
}

PUBLIC int
posix_fallocate(int fd, off_t off, off_t len)
{
	return fallocate(fd, 0, off, len) == 0 ? 0 : errno;
}

/* The note comes after the sync: a kill between the two takes back too much, never too little...
 * which a disk may do as well, as long as nobody was told that the sync is done. */
static int
sync_fd(int fd, int (*real)(int))
{
	char path[PATH_MAX];
	size_t n = path_of(fd, path);
	struct stat st;

	if (n == 0)
		return real(fd);
	if (delay_us != 0)
		usleep(delay_us);
	if (nosync)
		return 0;
	note(fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) ? 'D' : 'S', path, n, NULL, 0);
	return 0;
}

PUBLIC int
fdatasync(int fd)
{
	return sync_fd(fd, real_fdatasync);
}

PUBLIC int
fsync(int fd)
{
	return sync_fd(fd, real_fsync);
}

PUBLIC int
openat(int dirfd, const char *name, int flags, ...)
{
	char path[PATH_MAX];
	size_t n;
	mode_t mode = 0;
	va_list ap;
	int fd, existed;

	va_start(ap, flags);
	if ((flags & (O_CREAT | O_TMPFILE)) != 0)
		mode = va_arg(ap, mode_t);
	va_end(ap);
	if ((flags & O_CREAT) == 0 || (n = path_at(dirfd, name, path)) == 0)
		return real_openat(dirfd, name, flags, mode);
	existed = access(path, F_OK) == 0;
	if (!existed)
		note('C', path, n, NULL, 0);
	fd = real_openat(dirfd, name, flags, mode);
	return fd;
}

PUBLIC int
openat64(int dirfd, const char *name, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	va_start(ap, flags);
	if ((flags & (O_CREAT | O_TMPFILE)) != 0)
		mode = va_arg(ap, mode_t);
	va_end(ap);
	return openat(dirfd, name, flags, mode);
}

PUBLIC int
open(const char *name, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	va_start(ap, flags);
	if ((flags & (O_CREAT | O_TMPFILE)) != 0)
		mode = va_arg(ap, mode_t);
	va_end(ap);
	return openat(AT_FDCWD, name, flags, mode);
}

PUBLIC int
open64(const char *name, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	va_start(ap, flags);
	if ((flags & (O_CREAT | O_TMPFILE)) != 0)
		mode = va_arg(ap, mode_t);
	va_end(ap);
	return openat(AT_FDCWD, name, flags, mode);
}

/* Keeps what a name stood for as undo.N, so that it can come back. */
static size_t
backup(const char *path, char out[PATH_MAX])
{
	struct stat st;
	int n;

	if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode))
		return 0;
	n = snprintf(out, PATH_MAX, "%s/undo.%d.%u", base, (int)getpid(),
	    __atomic_add_fetch(&backups, 1, __ATOMIC_RELAXED));
	return n > 0 && n < PATH_MAX && link(path, out) == 0 ? (size_t)n : 0;
}

PUBLIC int
renameat(int od, const char *on, int nd, const char *nn)
{
	char from[PATH_MAX], to[PATH_MAX], keep[PATH_MAX];
	size_t fl = path_at(od, on, from), tl = path_at(nd, nn, to);

	if (fl != 0 && tl != 0) {
		uint16_t l1 = (uint16_t)fl, l2 = (uint16_t)backup(to, keep);
		struct iovec v[4] = { { &l1, 2 }, { from, l1 }, { &l2, 2 }, { keep, l2 } };

		note('R', to, tl, v, 4);
	}
	return real_renameat(od, on, nd, nn);
}

PUBLIC int
rename(const char *from, const char *to)
{
	return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

PUBLIC int
unlinkat(int dirfd, const char *name, int flags)
{
	char path[PATH_MAX], keep[PATH_MAX];
	size_t n = path_at(dirfd, name, path);

	if (n != 0 && (flags & AT_REMOVEDIR) == 0) {
		uint16_t l = (uint16_t)backup(path, keep);
		struct iovec v[2] = { { &l, 2 }, { keep, l } };

		if (l != 0)
			note('U', path, n, v, 2);
	}
	return real_unlinkat(dirfd, name, flags);
}

PUBLIC int
unlink(const char *name)
{
	return unlinkat(AT_FDCWD, name, 0);
}

/* The filters would forbid the bookkeeping above; what they forbid has tests of its own. */
PUBLIC int seccomp_load(void *ctx);
PUBLIC int
seccomp_load(void *ctx)
{
	(void)ctx;
	return 0;
}
