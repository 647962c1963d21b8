/* Wakes the loop from other threads, and the clocks. */
#include "daemon/loop.h"

#include <sys/eventfd.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

static void
on_note(evutil_socket_t fd, short what, void *arg)
{
	struct loop_note *n = arg;
	uint64_t count;

	/* Empty when a wake-up was taken together with the one before it. */
	if (read(fd, &count, sizeof(count)) == (ssize_t)sizeof(count))
		n->fn(n->arg);
}

int
loop_note_init(
    struct loop_note *n, struct event_base *base, void (*fn)(void *arg), void *arg)
{
	memset(n, 0, sizeof(*n));
	n->fn = fn;
	n->arg = arg;
	if ((n->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
		return NRS_EIO;
	n->ev = event_new(base, n->fd, EV_READ | EV_PERSIST, on_note, n);
	if (n->ev == NULL || event_add(n->ev, NULL) != 0) {
		loop_note_fini(n);
		return NRS_ENOMEM;
	}
	return 0;
}

void
loop_note_fini(struct loop_note *n)
{
	if (n->fn == NULL)
		return;
	if (n->ev != NULL)
		event_free(n->ev);
	if (n->fd >= 0)
		close(n->fd);
	memset(n, 0, sizeof(*n));
}

void
loop_note_post(struct loop_note *n)
{
	uint64_t one = 1;
	ssize_t w;

	/* EAGAIN means that 2^64 - 2 posts wait: the loop wakes anyway. */
	do
		w = write(n->fd, &one, sizeof(one));
	while (w < 0 && errno == EINTR);
}

int
loop_thread(unsigned long *ret_thread, void *(*body)(void *), void *arg, const char *name)
{
	sigset_t all, old;
	pthread_t t;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&t, NULL, body, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err != 0)
		return NRS_ENOMEM;
	(void)pthread_setname_np(t, name); /* only for ps */
	*ret_thread = t;
	return 0;
}

struct nrs_mono
loop_mono(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (
	    struct nrs_mono){ (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec };
}

struct nrs_wall
loop_wall(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (struct nrs_wall){ (uint64_t)ts.tv_sec * 1000u +
		(uint64_t)ts.tv_nsec / 1000000u };
}
