/* Clocks, files and failures of noroshi-bench: what scenarios have in common. */
#include "tools/noroshi-bench/bench.h"

#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/noroshi-bench/out.h"
#include "tools/noroshi/cli.h"

void *
bench_alloc(size_t n)
{
	return cli_alloc(n);
}

char *
bench_fmt(const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		cli_oom();
	va_end(ap);
	return s;
}

/* --- words on standard error ------------------------------------------- */

__attribute__((format(printf, 3, 0))) static int
fail(const char *why, const char *scenario, const char *fmt, va_list ap)
{
	fflush(stdout);
	fprintf(stderr, "noroshi-bench: %s%s", scenario != NULL ? scenario : "",
	    scenario != NULL ? ": " : "");
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, "%s%s\n", why != NULL ? ": " : "", why != NULL ? why : "");
	return CLI_IO;
}

int
bench_fail(struct bench *b, const char *fmt, ...)
{
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = fail(NULL, b->scenario, fmt, ap);
	va_end(ap);
	return rc;
}

int
bench_fail_errno(struct bench *b, const char *fmt, ...)
{
	const char *why = strerror(errno);
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = fail(why, b->scenario, fmt, ap);
	va_end(ap);
	return rc;
}

void
bench_debug(struct bench *b, const char *fmt, ...)
{
	va_list ap;

	if (!b->verbose)
		return;
	fflush(stdout);
	va_start(ap, fmt);
	fprintf(stderr, "# ");
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
}

/* --- clocks and memory ------------------------------------------------- */

static double
clock_s(clockid_t id)
{
	struct timespec ts;

	if (clock_gettime(id, &ts) != 0)
		return 0;
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

double
bench_now(void)
{
	return clock_s(CLOCK_MONOTONIC);
}

uint64_t
bench_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

double
bench_cpu_thread(void)
{
	return clock_s(CLOCK_THREAD_CPUTIME_ID);
}

double
bench_cpu_pid(int pid)
{
	clockid_t id;

	return clock_getcpuclockid(pid, &id) == 0 ? clock_s(id) : 0;
}

uint64_t
bench_rss_pid(int pid)
{
	unsigned long long size, rss = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	if ((f = fopen(path, "re")) == NULL)
		return 0;
	if (fscanf(f, "%llu %llu", &size, &rss) != 2)
		rss = 0;
	fclose(f);
	return rss * (unsigned long long)sysconf(_SC_PAGESIZE);
}

void
bench_sleep_until_ns(uint64_t ns)
{
	struct timespec ts = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
		;
}

/* --- files ------------------------------------------------------------- */

char *
bench_mkdir(struct bench *b, const char *name)
{
	char *path = bench_fmt("%s/%s-XXXXXX", b->dir, name);

	if (mkdtemp(path) != NULL)
		return path;
	(void)bench_fail_errno(b, "cannot make a directory in %s", b->dir);
	free(path);
	return NULL;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

void
bench_rmdir(struct bench *b, const char *path)
{
	size_t n = strlen(b->dir);

	/* A slip must not cost more than what is ours. */
	if (path == NULL || b->keep || strncmp(path, b->dir, n) != 0 || path[n] != '/')
		return;
	if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0)
		bench_debug(b, "%s could not be removed: %s", path, strerror(errno));
}

static int
drop_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	int fd;

	(void)ftw;
	if (type != FTW_F || !S_ISREG(st->st_mode) ||
	    (fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)) < 0)
		return 0;
	/* Dirty pages are not dropped: they are written first. */
	(void)fdatasync(fd);
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
	return 0;
}

const char *
bench_drop_cache(const char *path)
{
	int fd, ok = 0;

	(void)nftw(path, drop_file, 16, FTW_PHYS);
	sync();
	fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		ok = write(fd, "3\n", 2) == 2;
		close(fd);
	}
	return ok
	    ? "all of the page cache dropped (/proc/sys/vm/drop_caches)"
	    : "the files' pages dropped (posix_fadvise); not the kernel's inodes and the binaries";
}
