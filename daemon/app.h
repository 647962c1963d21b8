/*
 * The application: owns every part, wires them to the engine, reloads, drains.
 * Parts do not know each other; they meet through the engine, and through the
 * few calls below.
 *
 * Every part has x_new(app, ...) / x_free(x), the latter accepting NULL.  The
 * functions of the environment are provided by the parts under these names,
 * with the signatures of struct nrs_env_ops, and gathered in env.c:
 *   store.h    store_file_open store_file_close store_file_size store_file_pread
 *              store_dir_make store_dir_list store_io_run store_io_submit
 *   jobs.h     jobs_submit
 *   net.h      net_dial net_send net_unsent net_close
 *   kv.h       kv_get kv_put kv_mark kv_clear        (kv_lmdb.c)
 * env_app(e) leads from the environment back here.
 *
 * Order of making: log, conf, keeper (forked), store, jobs, kv, node, net,
 * stream, control; of freeing: control, stream, node once jobs and store have
 * handed everything out, net, kv, jobs, store, keeper.
 */
#ifndef DAEMON_APP_H
#define DAEMON_APP_H

#include <noroshi/env.h>
#include <noroshi/err.h>

#include "base/buf.h"
#include "daemon/conf.h"

struct event;
struct event_base;
struct node;

struct control;
struct jobs;
struct keeper;
struct kv;
struct net;
struct store;
struct stream;

struct app {
	struct nrs_env env; /* first: env_app() */
	struct event_base *base;
	struct conf *conf; /* in force; replaced by a reload: keep no pointers into it */
	struct node *node; /* NULL before it is opened and after it is freed */

	struct keeper *keeper;
	struct store *store;
	struct jobs *jobs;
	struct kv *kv;
	struct net *net;
	struct stream *stream;
	struct control *control;

	/* The private TLS key, PEM; wiped after net_new() and stream_new(). */
	struct nrs_buf tls_pem;
	char fingerprint[25]; /* of manifest 0 */
	struct nrs_wall started;
	bool draining;
	int exit_code; /* once the loop has ended */
	struct app_priv *priv;
};

static inline struct app *
env_app(struct nrs_env *e)
{
	return (struct app *)(void *)e;
}

/* Runs until it is told to end; takes c; returns the exit code (sysexits.h). */
int app_run(struct conf *c, bool allow_root);

/* --- for all parts ------------------------------------------------------- */

/*
 * After calls of node_on_*() or completions: node_turn() follows at the end of
 * this turn of the loop, once, however often this is called.
 */
void app_touch(struct app *a);
/* The loop ends as soon as it can with this exit code (sysexits.h); says why in the log. */
void app_fail(struct app *a, int code, const char *subject, const char *fmt, ...)
    NRS_PRINTF(4, 5);
/* SIGTERM: drains for at most 10 s, then ends with 0. */
void app_drain(struct app *a);
/*
 * Reads the configuration again and puts it in force: everything or nothing.
 * On failure e has file and line, it is logged, and the old one stays.
 */
int app_reload(struct app *a, struct conf_err *e) NRS_MUST_CHECK;
/*
 * The node's view of a configuration, e.g. node_statement_accept()'s
 * with_peers; valid as long as c and until app_node_config_fini().
 */
struct node_config;
int app_node_config(
    const struct app *a, const struct conf *c, struct node_config *ret) NRS_MUST_CHECK;
void app_node_config_fini(struct node_config *nc);

/* --- what a reload asks of the parts that listen ------------------------- */
/*
 * prepare: take everything that can fail (bind new sockets) and change nothing
 * that is seen; d says what failed.  Then either commit or abort, neither of
 * which can fail.  app->conf is the new one in and after commit.
 *	int  net_prepare(struct net *, const struct conf *next, struct nrs_detail *d);
 *	void net_commit(struct net *);	void net_abort(struct net *);
 *	int  stream_prepare(struct stream *, const struct conf *next, struct nrs_detail *d);
 *	void stream_commit(struct stream *);	void stream_abort(struct stream *);
 * Control reads app->conf at every request and has nothing to prepare.
 *
 * Constructors:
 *	int store_new(struct app *, const char *data_dir, struct store **ret, struct nrs_detail *d);
 *	int jobs_new(struct app *, unsigned int threads, struct jobs **ret);
 *	int kv_new(struct app *, const char *data_dir, struct kv **ret, struct nrs_detail *d);
 *	int net_new(struct app *, struct net **ret, struct nrs_detail *d);	listens per app->conf
 *	int stream_new(struct app *, struct stream **ret, struct nrs_detail *d);
 *	int control_new(struct app *, struct control **ret, struct nrs_detail *d);
 * and for the end:
 *	void net_stop(struct net *);	   no new connections (draining)
 *	void control_stop(struct control *);	likewise; requests under way are finished
 *	bool store_idle(const struct store *), jobs_idle(const struct jobs *);
 */

#endif
