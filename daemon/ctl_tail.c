/* Streams and waits: tail, idle. */
#include "daemon/ctl_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/bufferevent.h>
#include <event2/event.h>

#include "base/text.h"
#include "daemon/feed.h"
#include "daemon/loop.h"

#define POLL_MS	      100
#define QUIET_NS      (UINT64_C(1000) * 1000000) /* nothing new for this long */
#define HEARTBEAT_MAX 3600
#define WAIT_MAX      86400

/* What "nothing new for one second" is measured by. */
struct quiet {
	uint64_t events;
	struct nrs_mono since;
};

static bool
quiet_long_enough(struct quiet *q, struct app *app)
{
	struct nrs_mono now = loop_mono();
	struct node_counts c;

	node_counts(app->node, &c);
	if (q->since.ns == 0 || c.events != q->events || !ctl_in_sync(app)) {
		q->events = c.events;
		q->since = now;
	}
	return now.ns - q->since.ns >= QUIET_NS;
}

static void
again(struct event *ev)
{
	const struct timeval tv = { 0, POLL_MS * 1000 };

	evtimer_add(ev, &tv);
}

/* --- idle ------------------------------------------------------------------- */

struct idle {
	struct ctl_req *r;
	struct event *ev;
	struct quiet quiet;
	struct nrs_mono until;
};

static void
idle_free(struct idle *w)
{
	if (w->ev != NULL)
		event_free(w->ev);
	free(w);
}

static void
idle_gone(struct ctl_req *r)
{
	idle_free(r->priv);
	ctl_ok(r, NULL);
}

static void
idle_poll(evutil_socket_t fd, short what, void *arg)
{
	struct idle *w = arg;
	struct ctl_req *r = w->r;

	if (quiet_long_enough(&w->quiet, r->app)) {
		idle_free(w);
		ctl_ok(r, json_pack("{s:b}", "ok", 1));
	} else if (loop_mono().ns >= w->until.ns) {
		idle_free(w);
		ctl_fail(r, "busy", "not idle yet", "records are still to come or to go",
		    "wait longer, or see noroshi status", EX_TEMPFAIL);
	} else {
		again(w->ev);
	}
}

void
ctl_idle(struct ctl_req *r)
{
	uint64_t timeout = ctl_int(r, "timeout_s", 60);
	struct idle *w = calloc(1, sizeof(*w));

	if (w == NULL || (w->ev = evtimer_new(r->app->base, idle_poll, w)) == NULL) {
		free(w);
		ctl_fail_rc(r, NRS_ENOMEM, "cannot wait", NULL, NULL);
		return;
	}
	if (timeout > WAIT_MAX)
		timeout = WAIT_MAX;
	w->r = r;
	w->until.ns = loop_mono().ns + timeout * UINT64_C(1000000000);
	r->priv = w;
	r->gone = idle_gone;
	idle_poll(-1, 0, w);
}

/* --- tail ------------------------------------------------------------------- */

struct tail {
	struct ctl_req *r;
	struct feed *feed;
	struct event *ev; /* until_idle: looks again */
	bool follow, until_idle;
	struct quiet quiet;
};

static void
tail_free(struct tail *t)
{
	feed_free(t->feed);
	if (t->ev != NULL)
		event_free(t->ev);
	free(t);
}

static void
tail_gone(struct ctl_req *r)
{
	tail_free(r->priv);
	ctl_ok(r, NULL);
}

static void
tail_end(struct tail *t)
{
	struct node_cursor c = feed_cursor(t->feed);
	struct ctl_req *r = t->r;
	char text[48];

	if (c.n == NRS_NONE)
		snprintf(text, sizeof(text), "%" PRIu64, c.event);
	else
		snprintf(text, sizeof(text), "%" PRIu64 ".%" PRIu64, c.event, c.n);
	tail_free(t);
	ctl_ok(r, json_pack("{s:s}", "cursor", text));
}

static void
tail_poll(evutil_socket_t fd, short what, void *arg)
{
	struct tail *t = arg;

	if (feed_idle(t->feed) && quiet_long_enough(&t->quiet, t->r->app))
		tail_end(t);
	else
		again(t->ev);
}

static void
tail_idle(void *arg)
{
	struct tail *t = arg;

	if (t->until_idle)
		again(t->ev);
	else if (!t->follow)
		tail_end(t);
}

static void
tail_failed(void *arg, int rc)
{
	struct tail *t = arg;
	struct ctl_req *r = t->r;

	tail_free(t);
	ctl_fail_rc(r, rc, "the stream ended", NULL, NULL);
}

static void
tail_drained(struct ctl_req *r)
{
	struct tail *t = r->priv;

	feed_drained(t->feed);
}

/* "E": all of event E was had; "E.N": object N of it is next. */
static int
parse_cursor(const char *s, struct node_cursor *ret)
{
	const char *dot = strchr(s, '.');
	size_t len = dot != NULL ? (size_t)(dot - s) : strlen(s);

	ret->n = NRS_NONE;
	if (nrs_u64_parse(s, len, NRS_NONE - 1, &ret->event) != 0)
		return NRS_ESYNTAX;
	if (dot == NULL)
		return 0;
	return nrs_u64_parse(dot + 1, strlen(dot + 1), NRS_NONE - 1, &ret->n);
}

static int
start_at(struct ctl_req *r, struct node_cursor *ret)
{
	const char *from = ctl_str(r, "from");
	uint64_t since = ctl_int(r, "since_ms", NRS_NONE);
	int rc;

	if (from != NULL && since != NRS_NONE) {
		ctl_fail(r, "syntax", "two places to begin at",
		    "\"from\" and \"since_ms\" exclude each other", "give one of them",
		    EX_USAGE);
		return NRS_ESYNTAX;
	}
	if (from != NULL && parse_cursor(from, ret) != 0) {
		ctl_fail(r, "syntax", "the cursor is malformed",
		    "a cursor is an event, or an event and an object: 17 or 17.3",
		    "use the cursor of an earlier line", EX_USAGE);
		return NRS_ESYNTAX;
	}
	if (from != NULL)
		return 0;
	if (since == NRS_NONE) {
		*ret = node_cursor_now(r->app->node);
		return 0;
	}
	rc = node_cursor_since(r->app->node, (struct nrs_wall){ since }, ret);
	if (rc != 0)
		ctl_fail_rc(r, rc, "the time cannot be found", NULL, NULL);
	return rc;
}

void
ctl_tail(struct ctl_req *r)
{
	struct feed_opts o = {
		.framed = true, .direct = true, .idle = tail_idle, .failed = tail_failed
	};
	struct tail *t;
	struct nrs_detail d = { 0 };
	const char **names = NULL;
	enum nrs_tlp tlp;
	int rc;

	/* Every role with this command may see all: the narrowing is the caller's wish. */
	if (ctl_tlp(r, "tlp", NRS_TLP_RED, &tlp) != 0 || start_at(r, &o.from) != 0)
		return;
	if ((rc = ctl_strs(r, "communities", &names, &o.ncommunities)) != 0 ||
	    (t = calloc(1, sizeof(*t))) == NULL) {
		free(names);
		ctl_fail_rc(r, NRS_ENOMEM, "cannot begin the stream", NULL, NULL);
		return;
	}
	t->r = r;
	t->follow = ctl_bool(r, "follow");
	t->until_idle = ctl_bool(r, "until_idle");
	o.tlp = (uint8_t)tlp;
	o.communities = names;
	o.direct = names == NULL;
	o.uid = r->uid;
	o.heartbeat_s = (unsigned int)ctl_int(r, "heartbeat_s", 0);
	if (o.heartbeat_s > HEARTBEAT_MAX)
		o.heartbeat_s = HEARTBEAT_MAX;
	o.arg = t;
	t->ev = evtimer_new(r->app->base, tail_poll, t);
	rc = t->ev == NULL ? NRS_ENOMEM : feed_new(r->app, ctl_stream(r), &o, &t->feed, &d);
	free(names);
	if (rc != 0) {
		tail_free(t);
		ctl_fail_rc(r, rc, "cannot begin the stream", &d,
		    rc == NRS_ERANGE ? "begin at a cursor of this node, or at a time"
				     : NULL);
		return;
	}
	r->priv = t;
	r->gone = tail_gone;
	r->drained = tail_drained;
}
