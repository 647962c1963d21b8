/* What app*.c and env.c share of the application. */
#ifndef DAEMON_APP_PRIV_H
#define DAEMON_APP_PRIV_H

#include "daemon/app.h"

#define APP_SIGNALS 3

struct app_priv {
	char *conf_path;
	int lock_fd;
	uint64_t signed_size;	/* the keeper's word */
	struct event *ev_timer; /* node_on_timer() */
	struct event *ev_turn;
	bool turn_due;
	struct event *ev_tick;
	struct event *ev_watchdog;
	struct event *ev_drain;
	struct event *ev_signal[APP_SIGNALS];
	bool failed;
	bool readers_stopped; /* draining: all else is durable */
};

/* app_start.c: the steps before anything runs; exit code 0, or after a log line another. */
int app_exit_code(int err);
int app_become_user(const struct conf *c, bool allow_root);
int app_lock_data(struct app *a);
int app_check_keys(struct app *a);
int app_load_tls(struct app *a);
int app_journal_exists(const struct conf *c, bool *ret_exists);

#endif
