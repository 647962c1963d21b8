/*
 * Fan-out by event.  A reader is a place and a clearance; it keeps no queue, so a
 * slow one costs nobody anything.  What it reads is made once for all readers of
 * its clearance (chunk.c), and given only when the journal says durably that it
 * is (disclosure.c).
 */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "node/disclosure.h"
#include "node/reader_priv.h"

/* --- life -------------------------------------------------------------------- */

static int
cache_get(struct node *n, struct reader_cache **ret)
{
	struct reader_cache *rc = n->cache;

	if (rc == NULL) {
		rc = calloc(1, sizeof(*rc));
		if (rc == NULL)
			return NRS_ENOMEM;
		rc->node = n;
		expanded_init(&rc->expanded);
		TAILQ_INIT(&rc->groups);
		TAILQ_INIT(&rc->lru);
		rc->woken_event = n->shown_event;
		n->cache = rc;
	}
	*ret = rc;
	return 0;
}

static void
move(struct node_reader *r, struct node_readers *to)
{
	TAILQ_REMOVE(r->on, r, link);
	TAILQ_INSERT_TAIL(to, r, link);
	r->on = to;
}

/* It is owed a wake. */
static int
idle(struct node_reader *r, int why)
{
	move(r, &r->node->idle_readers);
	return why;
}

static void
on_range(void *arg)
{
	struct node_reader *r = arg;

	if (r->on != &r->node->idle_readers)
		return; /* it has not asked yet */
	move(r, &r->node->readers);
	if (r->wake != NULL)
		r->wake(r->arg);
}

static int
open_range(struct node_reader *r, const struct node_receiver *who)
{
	struct nrs_jdisclosure d = {
		.kind = (uint8_t)who->kind,
		.tlp = r->group->cl.tlp,
		.flags = (uint8_t)((r->group->cl.all ? NRS_JCLEARANCE_ALL : 0) |
		    (r->group->cl.direct ? NRS_JCLEARANCE_DIRECT : 0)),
		.uid = who->uid,
		.event = r->at.event,
		.n = r->at.n,
		.clearance = r->group->digest,
	};
	const char *name = who->name != NULL ? who->name : "";

	if (who->kind < NODE_READER_UNIX || who->kind > NODE_READER_CONTROL ||
	    (who->kind == NODE_READER_CONTROL) != (*name == '\0') ||
	    (*name != '\0' && !nrs_name_ok(name, strlen(name))))
		return NRS_ERANGE;
	memcpy(d.name, name, strlen(name) + 1);
	if (who->kind == NODE_READER_TLS)
		d.pin = who->pin;
	return disclosure_open(r->node, &d, on_range, r, &r->range);
}

int
node_reader_open(struct node *n, const struct node_clearance *cl, struct node_cursor from,
    void (*wake)(void *arg), void *arg, struct node_reader **ret, struct nrs_detail *d)
{
	struct reader_cache *rc;
	struct node_reader *r;
	int err;

	if (from.event > n->shown_event)
		return nrs_fail(d, NRS_ERANGE, 0, "the cursor is ahead of this node");
	if (cl->tlp >= NRS_TLP__MAX)
		return nrs_fail(d, NRS_ERANGE, 0, "not a TLP marking");
	if ((err = cache_get(n, &rc)) != 0)
		return err;
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return NRS_ENOMEM;
	r->node = n;
	r->at = from;
	if (r->at.event == 0)
		r->at.n = NRS_NONE; /* there is no event 0 */
	r->wake = wake;
	r->arg = arg;
	r->on = &n->readers;
	TAILQ_INSERT_TAIL(r->on, r, link);
	n->counts.readers++;
	err = group_get(rc, cl, &r->group);
	if (err == 0 && cl->receiver != NULL)
		err = open_range(r, cl->receiver);
	if (err != 0) {
		node_reader_free(r);
		return nrs_fail(d, err, 0, "the reader cannot begin");
	}
	*ret = r;
	return 0;
}

void
node_reader_free(struct node_reader *r)
{
	if (r == NULL)
		return;
	disclosure_close(r->range, node_reader_cursor(r));
	chunk_leave(r);
	group_put(r->group);
	TAILQ_REMOVE(r->on, r, link);
	r->node->counts.readers--;
	free(r);
}

void
node_readers_stop(struct node *n)
{
	struct node_readers *lists[] = { &n->readers, &n->idle_readers, &n->woken_readers };
	struct node_reader *r;

	if (n->cache == NULL)
		return;
	n->cache->stopped = true;
	for (unsigned int i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		TAILQ_FOREACH(r, lists[i], link) {
			disclosure_close(r->range, node_reader_cursor(r));
			r->range = NULL;
		}
}

void
reader_fini(struct node *n)
{
	struct node_reader *r;

	while ((r = TAILQ_FIRST(&n->readers)) != NULL ||
	    (r = TAILQ_FIRST(&n->idle_readers)) != NULL)
		node_reader_free(r);
	if (n->cache == NULL)
		return;
	chunks_fini(n->cache);
	expanded_fini(&n->cache->expanded);
	free(n->cache);
	n->cache = NULL;
}

void
reader_on_durable(struct node *n)
{
	struct node_reader *r;

	if (n->cache == NULL || n->cache->woken_event == n->shown_event)
		return;
	n->cache->woken_event = n->shown_event;
	/* wake() may free readers, or read and become idle again: those wait for more */
	while ((r = TAILQ_FIRST(&n->idle_readers)) != NULL)
		move(r, &n->woken_readers);
	while ((r = TAILQ_FIRST(&n->woken_readers)) != NULL) {
		move(r, &n->readers);
		if (r->wake != NULL)
			r->wake(r->arg);
	}
}

void
reader_counts(const struct node *n, struct node_counts *ret)
{
	if (n->cache == NULL)
		return;
	ret->chunk_bytes = n->cache->bytes;
	ret->lines = n->cache->lines;
	ret->given_bytes = n->cache->given;
}

/* --- reading ------------------------------------------------------------------- */

struct node_cursor
node_reader_cursor(const struct node_reader *r)
{
	const struct chunk *c = r->chunk;

	if (c == NULL)
		return r->skip > 0 ? r->after : r->at;
	if (r->off >= c->b.len)
		return r->off > c->b.len ? r->after : c->end;
	if (r->off == 0)
		return c->start;
	return c->v[chunk_line(c, r->off)].after;
}

/* The chunk that the reader's place is in. */
static int
find_place(struct node_reader *r)
{
	struct chunk *c;
	size_t off;
	int err;

	err = chunk_at(r->group, r->at, &c, &off);
	if (err != 0)
		return err;
	r->off = off + r->skip;
	chunk_enter(c, r);
	return 0;
}

int
node_reader_peek(struct node_reader *r, struct nrs_str *ret)
{
	struct chunk *c;
	int rc = 0;

	*ret = (struct nrs_str){ NULL, 0 };
	if (r->node->cache->stopped)
		return idle(r, NODE_READER_IDLE);
	if (r->range != NULL && !disclosure_durable(r->range))
		return idle(r, NODE_READER_WAIT);
	if (r->chunk != NULL && r->off == r->chunk->b.len && chunk_full(r->chunk))
		chunk_leave(r);
	if (r->chunk == NULL && (rc = find_place(r)) != 0)
		return rc;
	if (r->off == r->chunk->b.len)
		(void)chunk_join(r);
	c = r->chunk;
	if (r->off >= c->b.len)
		rc = chunk_extend(c);
	if (r->off < c->b.len) {
		*ret = (struct nrs_str){ c->b.p + r->off, c->b.len - r->off };
		return 0;
	}
	return rc == NODE_READER_IDLE ? idle(r, rc) : rc;
}

void
node_reader_take(struct node_reader *r, size_t len)
{
	r->off += len;
	r->node->cache->given += len;
}

/* How many of the bytes that come next are whole lines of at least want bytes, if there are. */
static size_t
whole_lines(const struct node_reader *r, size_t want)
{
	const struct chunk *c = r->chunk;
	uint32_t i;

	if (want >= c->b.len - r->off)
		return c->b.len - r->off;
	i = chunk_line(c, r->off + (want > 0 ? want : 1));
	return c->v[i].off - r->off;
}

int
node_reader_next(struct node_reader *r, struct nrs_buf *out, size_t max)
{
	size_t start = out->len, got = 0, len;
	struct nrs_str s;
	int rc;

	do {
		rc = node_reader_peek(r, &s);
		if (rc != 0 || s.len == 0)
			return rc;
		len = whole_lines(r, max - got);
		nrs_buf_put(out, s.p, len);
		if (out->err != 0) {
			rc = out->err;
			out->err = 0;
			out->len = start + got; /* whole lines only */
			return rc == NRS_ELIMIT && got > 0 ? 0 : rc;
		}
		node_reader_take(r, len);
		got += len;
	} while (got < max);
	return 0;
}

/* --- cursors -------------------------------------------------------------------- */

struct node_cursor
node_cursor_now(const struct node *n)
{
	return (struct node_cursor){ n->shown_event, NRS_NONE };
}

int
node_cursor_since(struct node *n, struct nrs_wall t, struct node_cursor *ret)
{
	uint64_t lo = 1, hi = n->shown_event + 1, mid;
	struct nrs_jevent e;
	struct nrs_buf buf;
	int err = 0;

	/* times of events never go back, so the first one at or after t is found by halving */
	nrs_buf_init(&buf, NRS_JFRAME_MAX + 64);
	while (lo < hi && err == 0) {
		mid = lo + (hi - lo) / 2;
		err = lines_event(n, mid, &buf, &e);
		if (err == 0 && e.time.ms < t.ms)
			lo = mid + 1;
		else
			hi = mid;
	}
	nrs_buf_fini(&buf);
	if (err == 0)
		*ret = (struct node_cursor){ lo - 1, NRS_NONE };
	return err;
}
