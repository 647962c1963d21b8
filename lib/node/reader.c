/*
 * Fan-out by event.  A reader is a cursor and a clearance; it keeps no queue,
 * so a slow one costs nobody anything.  Records that several readers pass one
 * after the other are expanded once: a small cache, bounded in bytes, newest
 * first.  Only durable events are seen.
 */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "node/node_priv.h"
#include "policy/clearance.h"
#include "stix/scan.h"

#define CACHE_BYTES ((size_t)32 << 20)
#define CACHE_RECORDS \
	64 /* searched one by one; readers that keep up share the newest few */
#define CALL_EVENTS   1000		 /* passed over or read in one call */
#define CALL_EXPANDED ((size_t)32 << 20) /* bytes read anew in one call */

/* An object within the payload. */
struct slice {
	uint32_t off;
	uint32_t len;
	uint8_t tlp; /* effective */
};

/* A record as expanded: payload, and where its objects stand. */
struct cached {
	TAILQ_ENTRY(cached) link;
	struct origin *o;
	uint64_t index;
	struct nrs_header h;
	uint8_t *payload;
	struct slice *v;
	uint32_t n, cap;
	size_t bytes;
};

struct reader_cache {
	TAILQ_HEAD(cached_list, cached) list; /* newest first */
	size_t bytes;
	unsigned int n;
};

struct node_reader {
	TAILQ_ENTRY(node_reader) link;
	struct node *node;
	struct nrs_clearance cl;
	char **names;
	struct node_cursor at;
	void (*wake)(void *arg);
	void *arg;
	struct node_readers *on;
	struct nrs_buf frame;
	size_t expanded; /* in this call */
};

/* --- cache ------------------------------------------------------------------- */

static void
cached_free(struct cached *c)
{
	if (c == NULL)
		return;
	free(c->payload);
	free(c->v);
	free(c);
}

void
reader_cache_free(struct reader_cache *rc)
{
	struct cached *c;

	if (rc == NULL)
		return;
	while ((c = TAILQ_FIRST(&rc->list)) != NULL) {
		TAILQ_REMOVE(&rc->list, c, link);
		cached_free(c);
	}
	free(rc);
}

static struct cached *
cache_find(struct reader_cache *rc, const struct origin *o, uint64_t index)
{
	struct cached *c;

	TAILQ_FOREACH(c, &rc->list, link) {
		if (c->o != o || c->index != index)
			continue;
		TAILQ_REMOVE(&rc->list, c, link);
		TAILQ_INSERT_HEAD(&rc->list, c, link);
		return c;
	}
	return NULL;
}

/* The newest stays whatever its size: its reader is using it. */
static void
cache_add(struct reader_cache *rc, struct cached *c)
{
	struct cached *last;

	TAILQ_INSERT_HEAD(&rc->list, c, link);
	rc->bytes += c->bytes;
	rc->n++;
	while ((rc->bytes > CACHE_BYTES || rc->n > CACHE_RECORDS) &&
	    (last = TAILQ_LAST(&rc->list, cached_list)) != c) {
		TAILQ_REMOVE(&rc->list, last, link);
		rc->bytes -= last->bytes;
		rc->n--;
		cached_free(last);
	}
}

static int
add_slice(void *arg, const struct nrs_stix_object *obj)
{
	struct cached *c = arg;
	struct slice *v;
	uint32_t cap;

	if (c->n == c->cap) {
		cap = c->cap > 0 ? c->cap * 2 : 64;
		v = realloc(c->v, cap * sizeof(*v));
		if (v == NULL)
			return NRS_ENOMEM;
		c->v = v;
		c->cap = cap;
	}
	c->v[c->n++] = (struct slice){
		.off = (uint32_t)(obj->json.p - c->payload),
		.len = (uint32_t)obj->json.len,
		.tlp = nrs_tlp_effective(obj->tlp, c->h.tlp),
	};
	return 0;
}

static int
expand(struct node *n, struct origin *o, const struct node_record *rec, struct cached **ret)
{
	struct cached *c = calloc(1, sizeof(*c));
	struct nrs_bundle bundle;
	int err;

	if (c == NULL)
		return NRS_ENOMEM;
	c->o = o;
	c->index = rec->v.index;
	c->h = rec->h;
	err = node_read_payload(n, rec, &c->payload);
	if (err == 0)
		err = nrs_bundle_scan(
		    c->payload, (size_t)c->h.payload_len, &bundle, add_slice, c, NULL);
	if (err != 0) {
		cached_free(c);
		return err;
	}
	c->bytes = sizeof(*c) + (size_t)c->h.payload_len + c->cap * sizeof(*c->v);
	cache_add(n->cache, c);
	*ret = c;
	return 0;
}

/* --- life -------------------------------------------------------------------- */

static int
copy_clearance(struct node_reader *r, const struct node_clearance *cl)
{
	r->cl.tlp = cl->tlp;
	r->cl.all = cl->communities == NULL;
	r->cl.direct = cl->direct;
	if (r->cl.all)
		return 0;
	r->names = calloc(cl->ncommunities + 1, sizeof(*r->names));
	if (r->names == NULL)
		return NRS_ENOMEM;
	for (unsigned int i = 0; i < cl->ncommunities; i++) {
		r->names[i] = strdup(cl->communities[i]);
		if (r->names[i] == NULL)
			return NRS_ENOMEM;
		r->cl.ncommunities++;
	}
	r->cl.communities = (const char *const *)r->names;
	return 0;
}

int
node_reader_open(struct node *n, const struct node_clearance *cl, struct node_cursor from,
    void (*wake)(void *arg), void *arg, struct node_reader **ret, struct nrs_detail *d)
{
	struct node_reader *r;
	int err;

	if (from.event > n->shown_event)
		return nrs_fail(d, NRS_ERANGE, 0, "the cursor is ahead of this node");
	if (cl->tlp >= NRS_TLP__MAX)
		return nrs_fail(d, NRS_ERANGE, 0, "not a TLP marking");
	if (n->cache == NULL) {
		n->cache = calloc(1, sizeof(*n->cache));
		if (n->cache == NULL)
			return NRS_ENOMEM;
		TAILQ_INIT(&n->cache->list);
	}
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return NRS_ENOMEM;
	r->node = n;
	r->at = from;
	if (r->at.event == 0)
		r->at.n = NRS_NONE; /* there is no event 0 */
	r->wake = wake;
	r->arg = arg;
	nrs_buf_init(&r->frame, NRS_JFRAME_MAX + 64);
	r->on = &n->readers;
	TAILQ_INSERT_TAIL(r->on, r, link);
	n->counts.readers++;
	err = copy_clearance(r, cl);
	if (err != 0) {
		node_reader_free(r);
		return err;
	}
	*ret = r;
	return 0;
}

void
node_reader_free(struct node_reader *r)
{
	if (r == NULL)
		return;
	TAILQ_REMOVE(r->on, r, link);
	r->node->counts.readers--;
	for (unsigned int i = 0; i < r->cl.ncommunities; i++)
		free(r->names[i]);
	free(r->names);
	nrs_buf_fini(&r->frame);
	free(r);
}

void
reader_fini(struct node *n)
{
	struct node_reader *r;

	while ((r = TAILQ_FIRST(&n->readers)) != NULL ||
	    (r = TAILQ_FIRST(&n->idle_readers)) != NULL)
		node_reader_free(r);
	reader_cache_free(n->cache);
	n->cache = NULL;
}

static void
move(struct node_reader *r, struct node_readers *to)
{
	TAILQ_REMOVE(r->on, r, link);
	TAILQ_INSERT_TAIL(to, r, link);
	r->on = to;
}

void
reader_on_durable(struct node *n)
{
	struct node_reader *r;

	/* wake() may free readers, or read and become idle again: those wait for more */
	while ((r = TAILQ_FIRST(&n->idle_readers)) != NULL && r->at.event < n->shown_event)
		move(r, &n->woken_readers);
	while ((r = TAILQ_FIRST(&n->woken_readers)) != NULL) {
		move(r, &n->readers);
		if (r->wake != NULL)
			r->wake(r->arg);
	}
}

struct node_cursor
node_reader_cursor(const struct node_reader *r)
{
	return r->at;
}

/* --- lines ---------------------------------------------------------------------- */

static void
put_to(struct nrs_buf *b, const struct audience *a)
{
	nrs_buf_str(b, ",\"community\":null,\"to\":[");
	for (unsigned int i = 0; i < a->direct.n; i++) {
		if (i > 0)
			nrs_buf_str(b, ",");
		nrs_json_quote(b, a->direct.recipients[i], strlen(a->direct.recipients[i]));
	}
	nrs_buf_str(b, "]");
}

static int
put_line(struct nrs_buf *b, const struct nrs_jevent *e, const struct cached *c, uint32_t i,
    const struct audience *a)
{
	const struct slice *s = &c->v[i];
	size_t start = b->len;
	char when[25];
	int err;

	nrs_time_format(when, e->time);
	nrs_buf_fmt(b, "{\"event\":%llu,\"n\":%u,\"action\":\"%s\",\"reason\":\"new\"",
	    (unsigned long long)e->number, i, nrs_action_name(e->action));
	nrs_buf_fmt(b, ",\"origin\":\"%s\",\"index\":%llu", c->o->name,
	    (unsigned long long)e->index);
	if (a->type == AUD_COMMUNITY && a->community != NULL)
		nrs_buf_fmt(b, ",\"community\":\"%s\"", a->community->name);
	else
		put_to(b, a);
	nrs_buf_fmt(b, ",\"tlp\":\"%s\",\"time\":\"%s\",\"object\":",
	    nrs_tlp_name((enum nrs_tlp)s->tlp), when);
	nrs_json_compact(b, c->payload + s->off, s->len);
	nrs_buf_str(b, "}\n");
	err = b->err;
	if (err != 0) {
		b->len = start; /* whole lines only */
		b->err = 0;
	}
	return err;
}

/* --- walking ---------------------------------------------------------------------- */

static int
read_event(struct node *n, uint64_t number, struct nrs_buf *buf, struct nrs_jevent *ret)
{
	struct nrs_jframe f;
	uint64_t pos;
	int err;

	err = nrs_array_get(n->events, number - 1, 1, &pos);
	if (err == 0)
		err = nrs_journal_read(n->journal, pos, buf, &f);
	if (err == 0)
		err = f.type == NRS_J_EVENT ? nrs_jevent_decode(ret, f.body) : NRS_ECORRUPT;
	if (err == 0 && ret->number != number)
		err = NRS_ECORRUPT;
	return err;
}

static const char *
audience_name(const struct audience *a)
{
	return a->type == AUD_COMMUNITY && a->community != NULL ? a->community->name : NULL;
}

/*
 * The record of an event, if this reader may see anything of it: *ret NULL when
 * not.  Kinds other than bundles give no lines in this version (A12).
 */
static int
find_record(struct node_reader *r, const struct nrs_jevent *e, struct cached **ret,
    struct audience **ret_a)
{
	struct node *n = r->node;
	struct origin *o = origin_find(n, &e->origin);
	struct node_record rec;
	struct cached *c;
	int err;

	*ret = NULL;
	if (o == NULL)
		return NRS_ECORRUPT;
	c = cache_find(n->cache, o, e->index);
	if (c == NULL) {
		err = node_read_record(o, e->index, &r->frame, &rec);
		if (err != 0)
			return err == NRS_ENOTFOUND ? NRS_ECORRUPT : err;
		if (rec.h.kind != NRS_KIND_BUNDLE)
			return 0;
	}
	*ret_a = audience_find(o, c != NULL ? &c->h.audience : &rec.h.audience);
	if (*ret_a == NULL)
		return NRS_ECORRUPT;
	if (!nrs_clearance_audience(&r->cl, audience_name(*ret_a)))
		return 0;
	if (c == NULL) {
		err = expand(n, o, &rec, &c);
		if (err != 0)
			return err;
		r->expanded += c->bytes;
	}
	*ret = c;
	return 0;
}

/* Lines of one event from r->at.n on. 1: out is full enough. */
static int
read_objects(struct node_reader *r, const struct nrs_jevent *e, struct nrs_buf *out,
    size_t start, size_t max)
{
	struct audience *a = NULL;
	struct cached *c;
	int err;

	err = find_record(r, e, &c, &a);
	if (err != 0 || c == NULL)
		return err;
	while (r->at.n < c->n) {
		if (nrs_clearance_allows(&r->cl, audience_name(a), c->v[r->at.n].tlp)) {
			if (out->len > start && out->len - start >= max)
				return 1;
			err = put_line(out, e, c, (uint32_t)r->at.n, a);
			if (err == NRS_ELIMIT && out->len > start)
				return 1;
			if (err != 0)
				return err;
		}
		r->at.n++;
	}
	return 0;
}

int
node_reader_next(struct node_reader *r, struct nrs_buf *out, size_t max)
{
	struct node *n = r->node;
	size_t start = out->len;
	struct nrs_jevent e;
	int err;

	r->expanded = 0;
	for (unsigned int i = 0; i < CALL_EVENTS && r->expanded < CALL_EXPANDED; i++) {
		uint64_t number = r->at.n == NRS_NONE ? r->at.event + 1 : r->at.event;

		if (number > n->shown_event) {
			move(r, &n->idle_readers);
			return NODE_READER_IDLE;
		}
		if (out->len > start && out->len - start >= max)
			return 0;
		err = read_event(n, number, &r->frame, &e);
		if (err != 0)
			return err;
		if (r->at.n == NRS_NONE)
			r->at = (struct node_cursor){ number, 0 };
		if (e.objects > 0)
			err = read_objects(r, &e, out, start, max);
		if (err != 0)
			return err == 1 ? 0 : err;
		r->at.n = NRS_NONE;
	}
	return 0;
}

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
		err = read_event(n, mid, &buf, &e);
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
