/* Pulls lines from a node_reader into a bufferevent, a bounded piece a turn. */
#include "daemon/feed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "base/text.h"
#include "daemon/app.h"
#include "daemon/loop.h"

#define PIECE	    (64u << 10)
#define FRAME_LINES (1u << 20)			   /* body of an L frame */
#define LINES_MAX   (NRS_PAYLOAD_MAX + PIECE * 4u) /* one line is one object at most */

struct feed {
	struct app *app;
	struct bufferevent *bev;
	struct feed_opts o;
	struct node_reader *reader;
	struct event *go;
	struct event *beat;
	struct nrs_buf buf;
	bool idle;
	bool waiting; /* for the journal: on_wake() comes */
};

static void
schedule(struct feed *f)
{
	event_active(f->go, EV_TIMEOUT, 0);
}

static void
arm_beat(struct feed *f)
{
	const struct timeval tv = { (time_t)f->o.heartbeat_s, 0 };

	if (f->beat != NULL)
		evtimer_add(f->beat, &tv);
}

/* A line longer than a frame goes on in the next one. */
static int
put_lines(struct feed *f, const uint8_t *p, size_t len)
{
	struct evbuffer *out = bufferevent_get_output(f->bev);
	uint8_t head[5];
	size_t n;

	if (!f->o.framed)
		return evbuffer_add(out, p, len) == 0 ? 0 : NRS_ENOMEM;
	for (; len > 0; p += n, len -= n) {
		n = len < FRAME_LINES ? len : FRAME_LINES;
		nrs_put_u32(head, (uint32_t)n);
		head[4] = 'L';
		if (evbuffer_add(out, head, sizeof(head)) != 0 ||
		    evbuffer_add(out, p, n) != 0)
			return NRS_ENOMEM;
	}
	return 0;
}

static void
on_go(evutil_socket_t fd, short what, void *arg)
{
	struct feed *f = arg;
	int rc;

	/* More than enough waits in the socket: feed_drained() comes when it is gone. */
	if (evbuffer_get_length(bufferevent_get_output(f->bev)) >= FEED_OUTPUT_MAX)
		return;
	nrs_buf_reset(&f->buf);
	rc = node_reader_next(f->reader, &f->buf, PIECE);
	if (rc >= 0 && f->buf.len > 0) {
		arm_beat(f);
		if (put_lines(f, f->buf.p, f->buf.len) != 0)
			rc = NRS_ENOMEM;
		if (f->buf.cap > 4u * PIECE)
			nrs_buf_fini(&f->buf);
	}
	f->idle = rc == NODE_READER_IDLE;
	if (rc < 0)
		f->o.failed(f->o.arg, rc);
	else if (rc == 0)
		schedule(f);
	else if (!f->idle)
		f->waiting = true;
	else if (f->o.idle != NULL)
		f->o.idle(f->o.arg);
}

static void
on_wake(void *arg)
{
	struct feed *f = arg;

	f->idle = f->waiting = false;
	schedule(f);
}

static void
on_beat(evutil_socket_t fd, short what, void *arg)
{
	struct feed *f = arg;
	char time[25], line[128];
	int n;

	arm_beat(f);
	/* A client that takes nothing gets no heartbeats either. */
	if (!f->idle || evbuffer_get_length(bufferevent_get_output(f->bev)) > 0)
		return;
	nrs_time_format(time, loop_wall());
	n = snprintf(line, sizeof(line),
	    "{\"action\":\"heartbeat\",\"event\":%" PRIu64 ",\"time\":\"%s\"}\n",
	    node_reader_cursor(f->reader).event, time);
	if (put_lines(f, (const uint8_t *)line, (size_t)n) != 0)
		f->o.failed(f->o.arg, NRS_ENOMEM);
}

int
feed_new(struct app *app, struct bufferevent *bev, const struct feed_opts *o,
    struct feed **ret, struct nrs_detail *d)
{
	struct node_receiver who = { .kind = NODE_READER_CONTROL, .uid = o->uid };
	struct node_clearance cl = { .tlp = o->tlp,
		.communities = o->communities,
		.ncommunities = o->ncommunities,
		.direct = o->direct,
		.receiver = &who };
	struct node_counts counts;
	struct feed *f = calloc(1, sizeof(*f));
	int rc = NRS_ENOMEM;

	*ret = NULL;
	if (f == NULL)
		return nrs_fail(d, NRS_ENOMEM, 0, "out of memory");
	f->app = app;
	f->bev = bev;
	f->o = *o;
	nrs_buf_init(&f->buf, LINES_MAX * 2u);
	f->go = event_new(app->base, -1, 0, on_go, f);
	if (f->go == NULL)
		goto fail;
	if (o->heartbeat_s > 0 && (f->beat = evtimer_new(app->base, on_beat, f)) == NULL)
		goto fail;
	node_counts(app->node, &counts);
	rc = counts.full
	    ? nrs_fail(
		  d, NRS_EFULL, 0, "the journal has no space to say who reads: free some")
	    : node_reader_open(app->node, &cl, o->from, on_wake, f, &f->reader, d);
	if (rc != 0)
		goto fail;
	app_touch(app); /* the range becomes durable */
	arm_beat(f);
	schedule(f);
	*ret = f;
	return 0;
fail:
	nrs_fail(d, rc, 0, "out of memory");
	feed_free(f);
	return rc;
}

void
feed_free(struct feed *f)
{
	if (f == NULL)
		return;
	node_reader_free(f->reader);
	if (f->reader != NULL)
		app_touch(f->app); /* what it was given goes into the journal */
	if (f->go != NULL)
		event_free(f->go);
	if (f->beat != NULL)
		event_free(f->beat);
	nrs_buf_fini(&f->buf);
	free(f);
}

void
feed_drained(struct feed *f)
{
	if (!f->idle && !f->waiting)
		schedule(f);
}

bool
feed_idle(const struct feed *f)
{
	return f->idle;
}

struct node_cursor
feed_cursor(const struct feed *f)
{
	return node_reader_cursor(f->reader);
}
