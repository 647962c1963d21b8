/*
 * How other threads speak to the loop: a note wakes it through an eventfd, and
 * what is to be said stands in a list that its owner locks.
 */
#ifndef DAEMON_LOOP_H
#define DAEMON_LOOP_H

#include <noroshi/err.h>
#include <noroshi/types.h>

struct event;
struct event_base;

struct loop_note {
	int fd;
	struct event *ev;
	void (*fn)(void *arg);
	void *arg;
};

/* fn(arg) is called on the loop once or more after every post. */
int loop_note_init(struct loop_note *n, struct event_base *base, void (*fn)(void *arg),
    void *arg) NRS_MUST_CHECK;
void loop_note_fini(struct loop_note *n); /* accepts a zeroed struct */
void loop_note_post(struct loop_note *n); /* from any thread */

/* A thread with every signal blocked, so that signals reach the loop's thread only. */
int loop_thread(unsigned long *ret_thread, void *(*body)(void *), void *arg,
    const char *name) NRS_MUST_CHECK;

struct nrs_mono loop_mono(void);
struct nrs_wall loop_wall(void);

#endif
