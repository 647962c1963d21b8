/*
 * Time that runs WARP_FACTOR times as fast (LD_PRELOAD, tests only): a daemon that
 * waits longer after each failure can be made to fail thousands of times.
 * The monotonic clock and the waits of the loop agree; the wall clock is left alone.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

#define PUBLIC __attribute__((visibility("default")))

static int (*real_gettime)(clockid_t, struct timespec *);
static int (*real_wait)(int, struct epoll_event *, int, int);
static long factor = 1;

__attribute__((constructor)) static void
warp_init(void)
{
	const char *s = getenv("WARP_FACTOR");

	*(void **)&real_gettime = dlsym(RTLD_NEXT, "clock_gettime");
	*(void **)&real_wait = dlsym(RTLD_NEXT, "epoll_wait");
	if (s != NULL && atol(s) > 0)
		factor = atol(s);
}

PUBLIC int
clock_gettime(clockid_t id, struct timespec *t)
{
	long long ns;
	int rc;

	if (real_gettime == NULL)
		warp_init();
	rc = real_gettime(id, t);
	if (rc != 0 || (id != CLOCK_MONOTONIC && id != CLOCK_MONOTONIC_COARSE))
		return rc;
	ns = (t->tv_sec * 1000000000LL + t->tv_nsec) * factor;
	t->tv_sec = (time_t)(ns / 1000000000);
	t->tv_nsec = (long)(ns % 1000000000);
	return 0;
}

PUBLIC int
epoll_wait(int fd, struct epoll_event *ev, int max, int ms)
{
	if (ms > 0)
		ms = (int)((ms + factor - 1) / factor);
	return real_wait(fd, ev, max, ms);
}
