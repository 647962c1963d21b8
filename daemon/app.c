/*
 * The application's life: make the parts in order, run the loop, reload, drain,
 * take everything down again.
 */
#include "daemon/app.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <errno.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/text.h"
#include "daemon/app_priv.h"
#include "daemon/control.h"
#include "daemon/env.h"
#include "daemon/jobs.h"
#include "daemon/keeper.h"
#include "daemon/kv.h"
#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/net.h"
#include "daemon/notify.h"
#include "daemon/sandbox.h"
#include "daemon/secret.h"
#include "daemon/store.h"
#include "daemon/stream.h"
#include "node/node.h"

#define JOB_THREADS_AUTO 16
#define DRAIN_SECONDS	 10
#define TICK_SECONDS	 5

/* What the code of an error adds to its text: nothing, where errno's says it all. */
static const char *
code_text(int rc)
{
	return rc == NRS_EIO || rc == NRS_EPERM || rc == NRS_ENOTFOUND || rc == NRS_ELOCKED
	    ? ""
	    : nrs_strerror(rc);
}

static const int app_signals[APP_SIGNALS] = { SIGTERM, SIGINT, SIGHUP };

/* --- the engine's turn ------------------------------------------------------- */

static void
app_end(struct app *a)
{
	event_base_loopbreak(a->base);
}

void
app_fail(struct app *a, int code, const char *subject, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_error(subject, "%s", text);
	if (!a->priv->failed)
		a->exit_code = code;
	a->priv->failed = true;
	app_end(a);
}

void
app_touch(struct app *a)
{
	if (a->priv->turn_due || a->priv->ev_turn == NULL)
		return;
	a->priv->turn_due = true;
	event_active(a->priv->ev_turn, EV_TIMEOUT, 0);
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct app *a = arg;
	const char *why;

	a->priv->turn_due = false;
	if (a->node == NULL)
		return;
	node_turn(a->node);
	if ((why = node_failed(a->node)) != NULL) {
		app_fail(a, EX_IOERR, "journal",
		    "%s: nothing is acknowledged any more; ending, so that the disk is read anew",
		    why);
		return;
	}
	if (!a->draining || !node_drained(a->node) || !store_idle(a->store) ||
	    !jobs_idle(a->jobs))
		return;
	if (!a->priv->readers_stopped) {
		/* what readers were given becomes durable before the end, if it is not yet */
		a->priv->readers_stopped = true;
		node_readers_stop(a->node);
		app_touch(a);
		return;
	}
	log_info("daemon", "drained");
	app_end(a);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct app *a = arg;

	if (a->node != NULL)
		node_on_timer(a->node);
	app_touch(a);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	log_tick();
	app_touch(arg);
}

static void
on_watchdog(evutil_socket_t fd, short what, void *arg)
{
	notify_watchdog();
}

/* What it signed goes into the journal, which is written at the end of the turn. */
static void
on_keeper_answered(void *arg)
{
	app_touch(arg);
}

static void
on_keeper_died(void *arg, const char *why)
{
	app_fail(arg, EX_SOFTWARE, "keeper", "%s: nothing can be signed; ending", why);
}

/* --- the end -------------------------------------------------------------------- */

static void
on_drain_timeout(evutil_socket_t fd, short what, void *arg)
{
	log_warning("daemon", "not drained after %d s: ending all the same", DRAIN_SECONDS);
	app_end(arg);
}

void
app_drain(struct app *a)
{
	const struct timeval tv = { .tv_sec = DRAIN_SECONDS };

	if (a->draining) { /* asked twice: at once */
		app_end(a);
		return;
	}
	log_notice("daemon", "draining: no new work, peers are told");
	a->draining = true;
	notify_stopping();
	net_stop(a->net);
	control_stop(a->control);
	node_drain(a->node);
	(void)event_add(a->priv->ev_drain, &tv);
	app_touch(a);
}

/* --- configuration ----------------------------------------------------------------- */

int
app_node_config(const struct app *a, const struct conf *c, struct node_config *ret)
{
	struct node_peer_config *peers = calloc(c->npeers + 1, sizeof(*peers));

	if (peers == NULL)
		return NRS_ENOMEM;
	for (unsigned int i = 0; i < c->npeers; i++) {
		const struct conf_peer *p = &c->peers[i];

		peers[i] = (struct node_peer_config){
			.origin = p->origin,
			.manifest = p->manifest,
			.manifest_len = p->manifest_len,
			.communities = (const char *const *)p->communities.v,
			.ncommunities = p->communities.n,
			.suspended = p->suspended,
			.ceiling = (uint8_t)p->ceiling,
			.records_per_s = p->records_per_s,
			.bytes_per_day = p->bytes_per_day,
			.leaves_per_day = p->leaves_per_day,
			.disk_share = p->disk_share,
			.catch_up = p->catch_up != 0,
		};
	}
	*ret = (struct node_config){
		.origin = c->origin,
		.manifest = c->manifest,
		.manifest_len = c->manifest_len,
		.peers = peers,
		.npeers = c->npeers,
		.segment_bytes = c->segment_bytes,
		.signed_size = a->priv->signed_size,
		.window_bytes = c->window_bytes,
	};
	return 0;
}

void
app_node_config_fini(struct node_config *nc)
{
	free((void *)(uintptr_t)nc->peers);
	nc->peers = NULL;
	nc->npeers = 0;
}

/* The stanza that an error of a part is about, else that of the node. */
static struct conf_where
error_where(const struct conf *c, const struct nrs_detail *d)
{
	const struct conf_peer *p = conf_peer_find(c, d->path);
	const struct conf_subscriber *s = conf_subscriber_find(c, d->path);

	for (unsigned int i = 0; i < c->nlistens; i++)
		if (strncmp(c->listens[i].address, d->path, sizeof(d->path) - 1) == 0)
			return c->listens[i].where;
	for (unsigned int i = 0; i < c->nstreams; i++)
		if (strncmp(c->streams[i].address, d->path, sizeof(d->path) - 1) == 0)
			return c->streams[i].where;
	return p != NULL ? p->where : s != NULL ? s->where : c->node_where;
}

static void
reload_error(struct conf_err *e, const struct conf *next, const struct nrs_detail *d)
{
	struct conf_where w = error_where(next, d);
	const char *code = code_text(d->code);
	size_t used = strlen(e->text);

	snprintf(e->text + used, sizeof(e->text) - used, "%s:%u: %s%s%s%s\n", w.file,
	    w.line, d->text, *code != '\0' ? " (" : "", code, *code != '\0' ? ")" : "");
	e->n++;
}

/* Parts that listen take what they need; the engine is last, since it cannot go back. */
static int
reload_apply(struct app *a, struct conf *next, struct conf_err *e)
{
	struct nrs_detail d = { 0 };
	struct node_config nc = { 0 };
	struct conf *old = a->conf;
	int rc;

	if ((rc = app_node_config(a, next, &nc)) != 0 ||
	    (rc = net_prepare(a->net, next, &d)) != 0)
		goto out;
	if ((rc = stream_prepare(a->stream, next, &d)) != 0) {
		net_abort(a->net);
		goto out;
	}
	if (strcmp(old->log, next->log) != 0 &&
	    (rc = log_open(next->log, next->log_level)) != 0)
		(void)nrs_fail(&d, rc, 0, "log %s cannot be opened: %s", next->log,
		    rc == NRS_EIO ? strerror(errno) : nrs_strerror(rc));
	if (rc == 0 && (rc = node_reconfigure(a->node, &nc, &d)) != 0 &&
	    strcmp(old->log, next->log) != 0)
		(void)!log_open(old->log, old->log_level);
	if (rc != 0) {
		stream_abort(a->stream);
		net_abort(a->net);
		goto out;
	}
	a->conf = next;
	log_set_level(next->log_level);
	net_commit(a->net);
	stream_commit(a->stream);
	conf_free(old);
	app_touch(a);
out:
	app_node_config_fini(&nc);
	if (rc != 0)
		reload_error(e, next, &d);
	return rc;
}

static void
log_lines(enum nrs_level lvl, const char *lines)
{
	while (*lines != '\0') {
		size_t n = strcspn(lines, "\n");

		log_msg(lvl, "configuration", "%.*s", (int)n, lines);
		lines += n + (lines[n] == '\n');
	}
}

int
app_reload(struct app *a, struct conf_err *e)
{
	struct conf *next = NULL;
	int rc;

	memset(e, 0, sizeof(*e));
	if (a->draining)
		return NRS_ESTATE;
	notify_reloading();
	if ((rc = conf_load(a->priv->conf_path, &next, e)) == 0 &&
	    (rc = conf_reloadable(a->conf, next, e)) == 0 &&
	    (rc = reload_apply(a, next, e)) == 0)
		next = NULL; /* in force */
	conf_free(next);
	log_lines(NRS_LOG_WARNING, e->warn);
	if (rc != 0) {
		log_lines(NRS_LOG_ERROR, e->text);
		log_error("configuration", "not reloaded: %s; the old one stays",
		    e->n > 0 ? "see above" : nrs_strerror(rc));
	} else {
		log_notice("configuration", "reloaded: %u peer%s, %u subscriber%s",
		    a->conf->npeers, a->conf->npeers == 1 ? "" : "s", a->conf->nsubscribers,
		    a->conf->nsubscribers == 1 ? "" : "s");
	}
	notify_ready(a->conf->origin);
	return rc;
}

static void
on_signal(evutil_socket_t sig, short what, void *arg)
{
	struct app *a = arg;
	struct conf_err e;

	if (sig != SIGHUP) {
		app_drain(a);
		return;
	}
	log_reopen();
	(void)!app_reload(a, &e);
}

/* --- the beginning -------------------------------------------------------------------- */

static int
make_events(struct app *a)
{
	struct app_priv *p = a->priv;
	struct timeval tick = { .tv_sec = TICK_SECONDS };
	uint64_t us = notify_watchdog_us() / 2;
	struct timeval dog = { .tv_sec = (time_t)(us / 1000000),
		.tv_usec = (suseconds_t)(us % 1000000) };

	if (evthread_use_pthreads() != 0 || (a->base = event_base_new()) == NULL)
		return NRS_ENOMEM;
	p->ev_timer = event_new(a->base, -1, 0, on_timer, a);
	p->ev_turn = event_new(a->base, -1, 0, on_turn, a);
	p->ev_tick = event_new(a->base, -1, EV_PERSIST, on_tick, a);
	p->ev_drain = event_new(a->base, -1, 0, on_drain_timeout, a);
	p->ev_watchdog = event_new(a->base, -1, EV_PERSIST, on_watchdog, a);
	if (p->ev_timer == NULL || p->ev_turn == NULL || p->ev_tick == NULL ||
	    p->ev_drain == NULL || p->ev_watchdog == NULL ||
	    event_add(p->ev_tick, &tick) != 0)
		return NRS_ENOMEM;
	if (us > 0 && event_add(p->ev_watchdog, &dog) != 0)
		return NRS_ENOMEM;
	for (unsigned int i = 0; i < APP_SIGNALS; i++) {
		p->ev_signal[i] = evsignal_new(a->base, app_signals[i], on_signal, a);
		if (p->ev_signal[i] == NULL || event_add(p->ev_signal[i], NULL) != 0)
			return NRS_ENOMEM;
	}
	return 0;
}

static int
start_keeper(struct app *a, struct nrs_detail *d)
{
	int rc;

	if ((rc = keeper_start(a->conf->keys, &a->conf->m, &a->keeper, d)) != 0)
		return rc;
	rc = keeper_signed_size(a->keeper, &a->priv->signed_size);
	return rc != 0 ? nrs_fail(d, rc, 0, "the keeper does not answer") : 0;
}

/*
 * The keeper remembers a checkpoint before it signs it: only a keeper.state that
 * was lost or put back from a backup can be behind the log.
 */
static int
check_keeper_memory(void *arg, const struct node_origin_info *i)
{
	const struct app *a = arg;

	if (i->own && i->checkpoint_size > a->priv->signed_size)
		log_error("keeper",
		    "keeper.state knows of %llu signed entries, the log of %llu: it was lost or "
		    "is an old copy, and what else it remembered is gone",
		    (unsigned long long)a->priv->signed_size,
		    (unsigned long long)i->checkpoint_size);
	return i->own;
}

static int
open_node(struct app *a, struct nrs_detail *d)
{
	struct node_config nc;
	bool exists;
	int rc;

	if (app_journal_exists(a->conf, &exists) != EX_OK)
		return NRS_EIO;
	if (!exists && a->priv->signed_size > 0)
		return nrs_fail(d, NRS_EROLLBACK, 0,
		    "%s has no journal, but %llu entries of this log were signed: restore it from "
		    "a backup",
		    a->conf->data, (unsigned long long)a->priv->signed_size);
	if ((rc = app_node_config(a, a->conf, &nc)) != 0)
		return rc;
	rc = node_open(&a->env, &nc, !exists, &a->node, d);
	app_node_config_fini(&nc);
	if (rc == 0)
		node_origins(a->node, check_keeper_memory, a);
	return rc;
}

/* More would wait for the engine: it has no more jobs than these at one time. */
static unsigned int
job_threads(const struct conf *c)
{
	cpu_set_t set;
	int n = 1;

	if (c->job_threads > 0)
		return c->job_threads;
	/* Not all there are: those that we may use. */
	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		n = CPU_COUNT(&set);
	return n < 1 ? 1 : n > JOB_THREADS_AUTO ? JOB_THREADS_AUTO : (unsigned int)n;
}

static int
make_parts(struct app *a, struct nrs_detail *d)
{
	const struct conf *c = a->conf;
	int rc;

	if ((rc = make_events(a)) != 0 || (rc = store_new(a, c->data, &a->store, d)) != 0 ||
	    (rc = jobs_new(a, job_threads(c), &a->jobs)) != 0 ||
	    (rc = kv_new(a, c->data, &a->kv, d)) != 0 || (rc = open_node(a, d)) != 0 ||
	    (rc = keeper_attach(
		 a->keeper, a->base, on_keeper_answered, on_keeper_died, a)) != 0)
		return rc;
	rc = net_new(a, &a->net, d);
	if (rc == 0)
		rc = stream_new(a, &a->stream, d);
	nrs_buf_wipe(&a->tls_pem);
	if (rc != 0)
		return rc;
	return control_new(a, &a->control, d);
}

/*
 * Each log, chain and connection has a descriptor, and how many there are is for
 * others to decide, within limits.  Without more the usual 1024 have to do.
 */
static void
raise_files(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur == r.rlim_max)
		return;
	r.rlim_cur = r.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &r);
}

/* Of an error of a part: the stanza it is about, or the file. */
static void
tell_no_start(const struct app *a, int rc, const struct nrs_detail *d)
{
	struct conf_where w = error_where(a->conf, d);
	const char *code = d->text[0] != '\0' ? code_text(rc) : nrs_strerror(rc);
	const char *text = d->text[0] != '\0' ? d->text : "cannot start";
	const char *sep = *code != '\0' ? ": " : "";

	if (w.line != a->conf->node_where.line || w.file != a->conf->node_where.file)
		log_error("daemon", "%s:%u: %s%s%s", w.file, w.line, text, sep, code);
	else
		log_error("daemon", "%s%s%s%s%s", d->path, d->path[0] != '\0' ? ": " : "",
		    text, sep, code);
	if (rc == NRS_ECORRUPT && strncmp(d->path, "journal/", 8) == 0)
		log_error(
		    "daemon", "noroshi-fsck tells what is touched by that and what to do");
}

/* Exit code. */
static int
app_start(struct app *a, bool allow_root)
{
	struct nrs_detail d = { 0 };
	int rc;

	if ((rc = app_become_user(a->conf, allow_root)) != 0)
		return rc;
	umask(077);
	raise_files();
	if (secret_harden() != 0) {
		log_error("daemon", "the kernel does not let memory be protected");
		return EX_OSERR;
	}
	if ((rc = app_lock_data(a)) != 0 || (rc = app_check_keys(a)) != 0)
		return rc;
	if ((rc = start_keeper(a, &d)) != 0) {
		log_error("keeper", "%s%s%s", d.text,
		    d.text[0] != '\0' && code_text(rc)[0] != '\0' ? ": " : "",
		    d.text[0] != '\0' ? code_text(rc) : nrs_strerror(rc));
		return app_exit_code(rc);
	}
	if ((rc = app_load_tls(a)) != 0)
		return rc;
	if (sandbox_daemon() != 0) {
		log_error("daemon", "the kernel refuses the sandbox");
		return EX_OSERR;
	}
	if ((rc = make_parts(a, &d)) != 0) {
		tell_no_start(a, rc, &d);
		return app_exit_code(rc);
	}
	return EX_OK;
}

/* Completions are handed to the engine while it is there, and to nobody after. */
static void
settle(struct app *a)
{
	for (unsigned int i = 0; a->node != NULL && i < 100; i++) {
		if (a->jobs != NULL)
			jobs_drain(a->jobs);
		if (a->store != NULL)
			store_drain(a->store);
		if ((a->jobs == NULL || jobs_idle(a->jobs)) &&
		    (a->store == NULL || store_idle(a->store)))
			break;
	}
}

static void
free_event(struct event *ev)
{
	if (ev != NULL)
		event_free(ev);
}

static void
app_stop(struct app *a)
{
	struct app_priv *p = a->priv;

	control_free(a->control);
	stream_free(a->stream);
	settle(a);
	node_free(a->node);
	a->node = NULL;
	net_free(a->net);
	kv_free(a->kv);
	jobs_free(a->jobs);
	store_free(a->store);
	keeper_free(a->keeper);
	nrs_buf_wipe(&a->tls_pem);
	free_event(p->ev_timer);
	free_event(p->ev_turn);
	free_event(p->ev_tick);
	free_event(p->ev_drain);
	free_event(p->ev_watchdog);
	for (unsigned int i = 0; i < APP_SIGNALS; i++)
		free_event(p->ev_signal[i]);
	if (a->base != NULL) {
		/* Buffered connections are finalised by the loop alone, and no other event is left. */
		(void)event_base_loop(a->base, EVLOOP_NONBLOCK);
		event_base_free(a->base);
	}
	if (p->lock_fd >= 0)
		close(p->lock_fd);
	conf_free(a->conf);
}

int
app_run(struct conf *c, bool allow_root)
{
	struct app_priv p = { .lock_fd = -1 };
	struct app a = { .env.ops = &env_ops, .conf = c, .priv = &p };
	int rc;

	/* The path as the main file was found, whatever the directory becomes. */
	if ((p.conf_path = strdup(c->path)) == NULL) {
		conf_free(c);
		return EX_OSERR;
	}
	signal(SIGPIPE, SIG_IGN);
	nrs_buf_init(&a.tls_pem, 1);
	a.started = loop_wall();
	nrs_fingerprint_format(a.fingerprint, &c->m.hash);
	if ((rc = log_open(c->log, c->log_level)) != 0)
		log_error("daemon", "%s:%u: log %s cannot be opened: %s",
		    c->node_where.file, c->node_where.line, c->log,
		    rc == NRS_EIO ? strerror(errno) : nrs_strerror(rc));
	log_starting(true);
	rc = rc != 0 ? EX_CONFIG : app_start(&a, allow_root);
	log_starting(false);
	if (rc == 0) {
		log_notice("daemon", "%s serves, %u peer%s, fingerprint %s, sandbox %s",
		    c->origin, c->npeers, c->npeers == 1 ? "" : "s", a.fingerprint,
		    sandbox_name());
		notify_ready(c->origin);
		node_on_timer(a.node);
		app_touch(&a);
		event_base_dispatch(a.base);
		rc = a.exit_code;
	}
	app_stop(&a);
	log_msg(
	    rc == 0 ? NRS_LOG_NOTICE : NRS_LOG_ERROR, "daemon", "ended with status %d", rc);
	log_close();
	free(p.conf_path);
	return rc;
}
