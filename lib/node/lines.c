/*
 * Events as lines.  Records that are passed one after the other are expanded
 * once: a small cache, bounded in bytes, newest first.  Only durable events are
 * seen.
 */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "node/reader_priv.h"
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
expanded_init(struct expanded *x)
{
	TAILQ_INIT(&x->list);
	nrs_buf_init(&x->frame, NRS_JFRAME_MAX + 64);
}

void
expanded_fini(struct expanded *x)
{
	struct cached *c;

	while ((c = TAILQ_FIRST(&x->list)) != NULL) {
		TAILQ_REMOVE(&x->list, c, link);
		cached_free(c);
	}
	nrs_buf_fini(&x->frame);
}

static struct cached *
cache_find(struct expanded *x, const struct origin *o, uint64_t index)
{
	struct cached *c;

	TAILQ_FOREACH(c, &x->list, link) {
		if (c->o != o || c->index != index)
			continue;
		TAILQ_REMOVE(&x->list, c, link);
		TAILQ_INSERT_HEAD(&x->list, c, link);
		return c;
	}
	return NULL;
}

/* The newest stays whatever its size: its reader is using it. */
static void
cache_add(struct expanded *x, struct cached *c)
{
	struct cached *last;

	TAILQ_INSERT_HEAD(&x->list, c, link);
	x->bytes += c->bytes;
	x->n++;
	while ((x->bytes > CACHE_BYTES || x->n > CACHE_RECORDS) &&
	    (last = TAILQ_LAST(&x->list, cached_list)) != c) {
		TAILQ_REMOVE(&x->list, last, link);
		x->bytes -= last->bytes;
		x->n--;
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
	cache_add(&n->cache->expanded, c);
	*ret = c;
	return 0;
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

int
lines_event(struct node *n, uint64_t number, struct nrs_buf *buf, struct nrs_jevent *ret)
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
 * The record of an event, if this clearance allows anything of it: *ret NULL when
 * not.  Kinds other than bundles give no lines in this version (A12).
 */
static int
find_record(struct walk *w, const struct nrs_jevent *e, struct cached **ret,
    struct audience **ret_a)
{
	struct expanded *x = &w->node->cache->expanded;
	struct origin *o = origin_find(w->node, &e->origin);
	struct node_record rec;
	struct cached *c;
	int err;

	*ret = NULL;
	if (o == NULL)
		return NRS_ECORRUPT;
	c = cache_find(x, o, e->index);
	if (c == NULL) {
		err = node_read_record(o, e->index, &x->frame, &rec);
		if (err != 0)
			return err == NRS_ENOTFOUND ? NRS_ECORRUPT : err;
		if (rec.h.kind != NRS_KIND_BUNDLE)
			return 0;
	}
	*ret_a = audience_find(o, c != NULL ? &c->h.audience : &rec.h.audience);
	if (*ret_a == NULL)
		return NRS_ECORRUPT;
	if (!nrs_clearance_audience(w->cl, audience_name(*ret_a)))
		return 0;
	if (c == NULL) {
		err = expand(w->node, o, &rec, &c);
		if (err != 0)
			return err;
		w->expanded += c->bytes;
	}
	*ret = c;
	return 0;
}

/* Lines of one event from w->at.n on. 1: out is full enough. */
static int
walk_objects(struct walk *w, const struct nrs_jevent *e)
{
	struct audience *a = NULL;
	struct cached *c;
	int err;

	err = find_record(w, e, &c, &a);
	if (err != 0 || c == NULL)
		return err;
	for (; w->at.n < c->n; w->at.n++) {
		if (!nrs_clearance_allows(w->cl, audience_name(a), c->v[w->at.n].tlp))
			continue;
		if (w->out->len >= w->max)
			return 1;
		err = put_line(w->out, e, c, (uint32_t)w->at.n, a);
		if (err == 0)
			err =
			    w->line(w->arg, (struct node_cursor){ e->number, w->at.n + 1 });
		if (err != 0)
			return err;
	}
	return 0;
}

int
lines_walk(struct walk *w)
{
	struct node *n = w->node;
	struct nrs_jevent e;
	int err;

	for (unsigned int i = 0; i < CALL_EVENTS && w->expanded < CALL_EXPANDED; i++) {
		uint64_t number = w->at.n == NRS_NONE ? w->at.event + 1 : w->at.event;

		if (number > n->shown_event)
			return NODE_READER_IDLE;
		if (w->out->len >= w->max)
			return 0;
		err = lines_event(n, number, &n->cache->expanded.frame, &e);
		if (err != 0)
			return err;
		if (w->at.n == NRS_NONE)
			w->at = (struct node_cursor){ number, 0 };
		if (e.objects > 0)
			err = walk_objects(w, &e);
		if (err != 0)
			return err == 1 ? 0 : err;
		w->at.n = NRS_NONE;
		err = w->line(w->arg, w->at);
		if (err != 0)
			return err;
	}
	return 0;
}
