/*
 * What must hold whatever happens.  Cheap things are looked at all the time,
 * dear ones after every start and at the end.
 *
 *  - What was acknowledged is there, at its index, with its bytes.
 *  - An origin never signs two roots for one size, and nothing below a size.
 *  - What anybody mirrors of a log is a prefix of what its origin holds durably.
 *  - A subscriber's cursor misses nothing and sees nothing twice; what it was
 *    shown stays, across crashes (A11).
 *  - At the end everybody entitled has every object once, nobody else has any.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/node_priv.h"
#include "sim.h"

/* --- logs -------------------------------------------------------------------- */

void
check_ref_append(struct sim *s, struct reflog *r, const struct nrs_hash *leaf)
{
	if (r->n == r->cap) {
		r->cap = r->cap > 0 ? r->cap * 2 : 1024;
		r->leaf = realloc(r->leaf, r->cap * sizeof(*r->leaf));
		r->root = realloc(r->root, r->cap * sizeof(*r->root));
		if (r->leaf == NULL || r->root == NULL)
			abort();
	}
	if (r->n == 0)
		nrs_frontier_init(&r->f);
	r->leaf[r->n] = *leaf;
	if (nrs_frontier_append(s->dg, &r->f, leaf, NULL, NULL) != 0 ||
	    nrs_frontier_root(s->dg, &r->f, &r->root[r->n]) != 0)
		abort();
	r->n++;
}

static void
ref_grow(struct snode *n, uint64_t size)
{
	struct sim *s = n->sim;
	struct reflog *r = &s->ref[n->id];
	struct origin *o = origin_find(n->node, &n->origin_id);
	struct nrs_hash leaf;

	while (r->n < size) {
		if (origin_leaf(o, r->n, &leaf) != 0)
			sim_fail(s, "logs can be read", "%s: leaf %llu", n->name,
			    (unsigned long long)r->n);
		check_ref_append(s, r, &leaf);
	}
}

static int
origin_index(struct sim *s, const char *name)
{
	struct snode *n = sim_find(s, name);

	if (n != NULL)
		return (int)n->id;
	return s->mal != NULL && strcmp(name, mal_name()) == 0 ? (int)s->n : -1;
}

struct own {
	uint64_t size;
};

static int
own_size(void *arg, const struct node_origin_info *i)
{
	struct own *o = arg;

	if (i->own)
		o->size = i->size;
	return 0;
}

static int
one_origin(void *arg, const struct node_origin_info *i)
{
	struct snode *n = arg;
	struct sim *s = n->sim;
	int k = origin_index(s, i->origin);
	struct reflog *r = k >= 0 ? &s->ref[k] : NULL;
	struct own own = { 0 };

	if (k < 0)
		sim_fail(
		    s, "only known origins", "%s holds a log of %s", n->name, i->origin);
	if (i->frozen && k < (int)s->n)
		sim_fail(
		    s, "honest origins are not frozen", "%s froze %s", n->name, i->origin);
	if (i->size < n->last_size[k])
		sim_fail(s, "sizes never go back", "%s: log of %s: %llu after %llu",
		    n->name, i->origin, (unsigned long long)i->size,
		    (unsigned long long)n->last_size[k]);
	if (i->size == n->last_size[k] && i->size != 0)
		return 0;
	n->last_size[k] = i->size;
	if (i->own)
		ref_grow(n, i->size);
	else if (i->size > r->mirrored)
		r->mirrored = i->size;
	if (i->size > r->n && k < (int)s->n && s->node[k].node != NULL) {
		node_origins(s->node[k].node, own_size, &own);
		ref_grow(&s->node[k], own.size);
	}
	if (i->size > r->n && (k == (int)s->n || s->node[k].node != NULL))
		sim_fail(s, "nobody is ahead of the origin",
		    "%s holds %llu of %s, which has %llu durable", n->name,
		    (unsigned long long)i->size, i->origin, (unsigned long long)r->n);
	if (i->size > 0 && i->size <= r->n && !nrs_hash_eq(&i->root, &r->root[i->size - 1]))
		sim_fail(s, "roots agree", "%s: another root of %s at size %llu", n->name,
		    i->origin, (unsigned long long)i->size);
	return 0;
}

void
check_node(struct snode *n)
{
	node_origins(n->node, one_origin, n);
}

void
check_signed(struct snode *n, uint64_t size, const struct nrs_hash *root)
{
	struct reflog *r = &n->sim->ref[n->id];
	size_t i;

	for (i = r->nsig; i > 0; i--)
		if (r->sig[i - 1].size == size) {
			if (!nrs_hash_eq(&r->sig[i - 1].root, root))
				sim_fail(n->sim, "one root for one size", "%s: size %llu",
				    n->name, (unsigned long long)size);
			return;
		}
	if (r->nsig == r->sig_cap) {
		r->sig_cap = r->sig_cap > 0 ? r->sig_cap * 2 : 256;
		if ((r->sig = realloc(r->sig, r->sig_cap * sizeof(*r->sig))) == NULL)
			abort();
	}
	r->sig[r->nsig].size = size;
	r->sig[r->nsig++].root = *root;
}

/* --- what was acknowledged ------------------------------------------------------ */

void
check_acked(struct sub *u)
{
	struct snode *n = u->node;
	struct sim *s = n->sim;
	struct origin *o = origin_find(n->node, &n->origin_id);
	struct node_record rec;
	uint8_t *payload = NULL;
	struct nrs_buf buf;
	int rc;

	nrs_buf_init(&buf, NRS_JFRAME_MAX + 64);
	rc = node_read_record(o, u->index, &buf, &rec);
	if (rc == 0)
		rc = node_read_payload(n->node, &rec, &payload);
	if (rc != 0)
		sim_fail(s, "acknowledged is kept", "%s: submission %u at %llu: %s",
		    n->name, u->id, (unsigned long long)u->index, nrs_errname(rc));
	if (rec.h.payload_len != u->len || memcmp(payload, u->payload, u->len) != 0)
		sim_fail(s, "acknowledged is kept",
		    "%s: submission %u at %llu: other bytes", n->name, u->id,
		    (unsigned long long)u->index);
	u->known_epoch = true;
	u->epoch = rec.h.epoch;
	free(payload);
	nrs_buf_fini(&buf);
}

static void
check_leaves(struct snode *n)
{
	struct sim *s = n->sim;
	struct reflog *r = &s->ref[n->id];
	struct origin *o = origin_find(n->node, &n->origin_id);
	struct nrs_hash leaf;
	uint64_t i;

	for (i = 0; i < r->n; i++)
		if (i >= o->put.size || origin_leaf(o, i, &leaf) != 0 ||
		    !nrs_hash_eq(&leaf, &r->leaf[i]))
			sim_fail(s, "own leaves are kept", "%s: leaf %llu of %llu", n->name,
			    (unsigned long long)i, (unsigned long long)r->n);
	if (o->put.size < r->mirrored)
		sim_fail(s, "nobody is ahead of the origin",
		    "%s recovered %llu, others hold %llu", n->name,
		    (unsigned long long)o->put.size, (unsigned long long)r->mirrored);
}

/* Does this frame hold the entry of this index? */
static bool
frame_has(const struct nrs_jframe *f, uint64_t index)
{
	uint64_t first;

	switch (f->type) {
	case NRS_J_RECORD:
	case NRS_J_REFUSED:
		return nrs_get_u64(f->body.p) == index;
	case NRS_J_CONTROL:
		return nrs_get_u64(f->body.p + 32) == index;
	case NRS_J_LEAVES:
		first = nrs_get_u64(f->body.p + 32);
		return index >= first && index - first < nrs_get_u32(f->body.p + 40);
	default:
		return false;
	}
}

/*
 * What was mirrored is the origin's, and stands where the caches say: an entry
 * is looked up as a peer that asks for it would have it looked up.
 */
static void
check_mirror(struct snode *n, struct origin *o, const struct reflog *r)
{
	struct sim *s = n->sim;
	struct nrs_hash leaf;
	struct nrs_jframe f;
	struct nrs_buf buf;
	uint64_t i, pos;

	nrs_buf_init(&buf, NRS_JFRAME_MAX + 64);
	for (i = 0; i < o->durable && i < r->n; i++) {
		if (origin_leaf(o, i, &leaf) != 0 || !nrs_hash_eq(&leaf, &r->leaf[i]))
			sim_fail(s, "mirrored leaves are kept", "%s: leaf %llu of %s",
			    n->name, (unsigned long long)i, o->name);
		if (!rng_chance(&s->rng, 1, 4))
			continue;
		if (origin_pos(o, i, &pos) != 0 ||
		    nrs_journal_read(n->node->journal, pos, &buf, &f) != 0 ||
		    !frame_has(&f, i))
			sim_fail(s, "caches tell the truth",
			    "%s: place of entry %llu of %s", n->name, (unsigned long long)i,
			    o->name);
		if (f.type == NRS_J_RECORD && (f.flags & NRS_JRECORD_CHECKPOINT) != 0) {
			cov_add(&sim_cov->on_checkpoint, 1);
			if (!n->catch_up)
				sim_fail(s, "signatures are verified",
				    "%s took record %llu of %s on its checkpoint", n->name,
				    (unsigned long long)i, o->name);
		}
	}
	nrs_buf_fini(&buf);
}

static void
check_mirrors(struct snode *n)
{
	struct origin *o;
	int k;

	TAILQ_FOREACH(o, &n->node->origins, link)
		if ((k = origin_index(n->sim, o->name)) >= 0)
			check_mirror(n, o, &n->sim->ref[k]);
}

static struct node_reader *reader_new(
    struct snode *n, struct node_cursor from, void (*wake)(void *), const char *why);
static void read_all_again(struct snode *n);

void
check_recovered(struct snode *n)
{
	struct sim *s = n->sim;
	size_t i, recent = s->nsubs > 100 ? s->nsubs - 100 : 0;

	check_leaves(n);
	check_mirrors(n);
	check_node(n);
	for (i = 0; i < s->nsubs; i++) {
		struct sub *u = s->subs[i];

		if (u->node != n || u->state != SUB_ACKED || !u->has_index)
			continue;
		if (i >= recent || rng_chance(&s->rng, 1, 16))
			check_acked(u);
	}
	if (rng_chance(&s->rng, 1, 4))
		read_all_again(n);
}

void
check_log_line(struct snode *n, const char *text)
{
	if (text != NULL && strstr(text, SIM_MARKER) != NULL)
		sim_fail(n->sim, "no values in logs", "%s: %s", n->name, text);
}

/* --- status ------------------------------------------------------------------------ */

static int
status_origin(void *arg, const struct node_origin_info *i)
{
	struct nrs_digest *dg = arg;

	nrs_digest_add(dg, i->origin, strlen(i->origin));
	nrs_digest_u64(dg, i->size);
	nrs_digest_add(dg, i->root.b, sizeof(i->root.b));
	nrs_digest_u64(dg, i->opened);
	nrs_digest_u64(dg, i->refused);
	nrs_digest_u64(dg, i->checkpoint_size);
	nrs_digest_u64(dg, i->frozen);
	return 0;
}

static int
status_community(void *arg, const struct node_community_info *i)
{
	struct nrs_digest *dg = arg;

	nrs_digest_add(dg, i->name, strlen(i->name));
	nrs_digest_u64(dg, i->epoch);
	nrs_digest_add(dg, i->hash.b, sizeof(i->hash.b));
	nrs_digest_u64(dg, i->trusted);
	nrs_digest_u64(dg, i->frozen);
	return 0;
}

uint64_t
check_status(struct snode *n)
{
	struct nrs_digest *dg = nrs_digest_new();
	struct nrs_hash h;

	if (dg == NULL)
		abort();
	nrs_digest_begin(dg);
	node_origins(n->node, status_origin, dg);
	node_communities(n->node, status_community, dg);
	nrs_digest_u64(dg, node_cursor_now(n->node).event);
	if (nrs_digest_end(dg, &h) != 0)
		abort();
	nrs_digest_free(dg);
	return nrs_get_u64(h.b);
}

/* --- subscribers ---------------------------------------------------------------------- */

static const char *
after_text(const char *p, const char *end, const char *what)
{
	const char *q = memmem(p, (size_t)(end - p), what, strlen(what));

	return q != NULL ? q + strlen(what) : NULL;
}

static uint64_t
line_hash(const char *p, size_t len)
{
	return nrs_siphash13(1, 2, p, len);
}

static void
parse_line(struct snode *n, const char *p, const char *end, struct shown *ret)
{
	const char *q, *origin, *quote;
	char name[64];
	int k;

	memset(ret, 0, sizeof(*ret));
	ret->hash = line_hash(p, (size_t)(end - p));
	if ((q = after_text(p, end, "\"event\":")) == NULL)
		goto bad;
	ret->event = strtoull(q, NULL, 10);
	if ((q = after_text(q, end, "\"n\":")) == NULL)
		goto bad;
	ret->n = strtoull(q, NULL, 10);
	if ((origin = after_text(q, end, "\"origin\":\"")) == NULL ||
	    (quote = memchr(origin, '"', (size_t)(end - origin))) == NULL ||
	    (size_t)(quote - origin) >= sizeof(name))
		goto bad;
	memcpy(name, origin, (size_t)(quote - origin));
	name[quote - origin] = '\0';
	if ((k = origin_index(n->sim, name)) < 0)
		goto bad;
	ret->origin = (uint8_t)k;
	if ((q = after_text(quote, end, "\"index\":")) == NULL)
		goto bad;
	ret->index = strtoull(q, NULL, 10);
	if ((q = after_text(q, end, "\"id\":\"indicator--")) == NULL)
		goto bad;
	ret->object = (uint32_t)strtoul(q, NULL, 16);
	return;
bad:
	sim_fail(n->sim, "lines are well-formed", "%s: %.*s", n->name, (int)(end - p), p);
}

static void
shown_add(struct snode *n, const struct shown *l)
{
	const struct shown *last = n->nshown > 0 ? &n->shown[n->nshown - 1] : NULL;

	if (last != NULL &&
	    (l->event < last->event || (l->event == last->event && l->n <= last->n)))
		sim_fail(n->sim, "events come in order", "%s: %llu/%llu after %llu/%llu",
		    n->name, (unsigned long long)l->event, (unsigned long long)l->n,
		    (unsigned long long)last->event, (unsigned long long)last->n);
	if (n->nshown == n->shown_cap) {
		n->shown_cap = n->shown_cap > 0 ? n->shown_cap * 2 : 1024;
		if ((n->shown = realloc(n->shown, n->shown_cap * sizeof(*n->shown))) ==
		    NULL)
			abort();
	}
	n->shown[n->nshown++] = *l;
}

/* Calls each() for every line. */
static void
lines(struct snode *n, const struct nrs_buf *b,
    void (*each)(struct snode *n, const struct shown *l, void *arg), void *arg)
{
	const char *p = (const char *)b->p, *end = b->len > 0 ? p + b->len : p, *lf;
	struct shown l;

	for (; p < end; p = lf + 1) {
		if ((lf = memchr(p, '\n', (size_t)(end - p))) == NULL)
			sim_fail(n->sim, "lines are well-formed", "%s: cut line", n->name);
		parse_line(n, p, lf, &l);
		each(n, &l, arg);
	}
}

static void
line_new(struct snode *n, const struct shown *l, void *arg)
{
	shown_add(n, l);
}

static void
reader_read(struct snode *n)
{
	struct sim *s = n->sim;
	size_t max = rng_chance(&s->rng, 1, 4) ? 1 + rng_below(&s->rng, 2000) : 65536;
	int rc;

	do {
		nrs_buf_reset(&s->line);
		rc = node_reader_next(n->reader, &s->line, max);
		if (rc != 0 && rc != NODE_READER_IDLE)
			sim_fail(s, "events can be read", "%s: after event %llu: %s",
			    n->name, (unsigned long long)n->cursor.event, nrs_errname(rc));
		lines(n, &s->line, line_new, NULL);
		n->cursor = node_reader_cursor(n->reader);
	} while (rc == 0);
}

static void
ev_read(struct sim *s, const struct sim_ev *e)
{
	e->who->reader_due = false;
	if (e->who->reader != NULL)
		reader_read(e->who);
}

static void
reader_wake(void *arg)
{
	struct snode *n = arg;

	if (n->reader_due)
		return;
	n->reader_due = true;
	sim_after(n->sim,
	    rng_below(&n->sim->rng, rng_chance(&n->sim->rng, 1, 6) ? SIM_S : 2 * SIM_MS),
	    ev_read, n, NULL, 0);
}

static struct node_reader *
reader_new(struct snode *n, struct node_cursor from, void (*wake)(void *), const char *why)
{
	struct node_clearance cl = { .tlp = NRS_TLP_RED };
	struct nrs_detail d = { 0 };
	struct node_reader *r;
	int rc;

	rc = node_reader_open(n->node, &cl, from, wake, n, &r, &d);
	if (rc == NRS_ERANGE)
		sim_fail(n->sim, "what was shown stays",
		    "%s: a subscriber saw event %llu, the newest now is %llu", n->name,
		    (unsigned long long)from.event,
		    (unsigned long long)node_cursor_now(n->node).event);
	if (rc != 0)
		sim_fail(n->sim, "events can be read", "%s: %s: %s", n->name, why,
		    nrs_errname(rc));
	return r;
}

void
check_reader_open(struct snode *n)
{
	n->reader = reader_new(n, n->cursor, reader_wake, "subscriber");
	n->reader_due = false;
	reader_wake(n);
}

void
check_reader_close(struct snode *n)
{
	node_reader_free(n->reader);
	n->reader = NULL;
	n->reader_due = false;
}

struct again {
	size_t at;
};

static void
line_again(struct snode *n, const struct shown *l, void *arg)
{
	struct again *a = arg;
	const struct shown *was;

	if (a->at >= n->nshown)
		return; /* newer than what the subscriber has read so far */
	was = &n->shown[a->at++];
	if (was->event != l->event || was->n != l->n || was->hash != l->hash)
		sim_fail(n->sim, "what was shown stays",
		    "%s: line %zu was event %llu/%llu object %u, now event %llu/%llu object %u",
		    n->name, a->at - 1, (unsigned long long)was->event,
		    (unsigned long long)was->n, was->object, (unsigned long long)l->event,
		    (unsigned long long)l->n, l->object);
}

static void
nothing(void *arg)
{
}

/* A reader from the beginning sees what the subscriber saw bit by bit. */
static void
read_all_again(struct snode *n)
{
	struct sim *s = n->sim;
	struct node_cursor zero = { 0, 0 };
	struct node_reader *r = reader_new(n, zero, nothing, "second reader");
	struct again a = { 0 };
	int rc;

	do {
		nrs_buf_reset(&s->line);
		rc = node_reader_next(r, &s->line, 1 + rng_below(&s->rng, 100000));
		if (rc != 0 && rc != NODE_READER_IDLE)
			sim_fail(s, "events can be read", "%s: second reader: %s", n->name,
			    nrs_errname(rc));
		lines(n, &s->line, line_again, &a);
	} while (rc == 0);
	node_reader_free(r);
	if (a.at != n->nshown)
		sim_fail(s, "what was shown stays",
		    "%s: %zu lines were shown, now there are %zu", n->name, n->nshown,
		    a.at);
}

/* --- the end ---------------------------------------------------------------------------- */

static const struct community *
the_community(struct sim *s)
{
	return community_find_name(s->node[0].node, SIM_COMMUNITY);
}

static void
learn_epoch(struct sub *u)
{
	struct snode *n = u->node;
	size_t i;

	if (u->known_epoch)
		return;
	for (i = 0; !u->has_index && i < n->nshown; i++)
		if (n->shown[i].origin == n->id && n->shown[i].object == u->first) {
			u->has_index = true;
			u->index = n->shown[i].index;
		}
	if (u->has_index)
		check_acked(u);
}

/*
 * Must it have this, or (may) could it rightly have got it?  Where members also
 * get what was shared before, one who left later may have.
 */
static bool
entitled(struct sim *s, const struct sub *u, const struct snode *n, bool may)
{
	const struct community *c;
	uint32_t e;

	if (n == u->node)
		return true;
	if (u->direct)
		return (u->to >> n->id & 1) != 0;
	c = the_community(s);
	if (c == NULL || !u->known_epoch)
		return false;
	/* Who left is told no statements any more, so some of this never comes. */
	if (!may && s->left && n->id == s->n - 1)
		return false;
	if (community_member_at(c, u->epoch, n->name))
		return true;
	if (!c->v[c->n - 1].s.history)
		return false;
	for (e = may ? u->epoch : c->n - 1; e < c->n; e++)
		if (community_member_at(c, e, n->name))
			return true;
	return false;
}

static uint16_t *
count_objects(struct snode *n)
{
	uint16_t *v = calloc(n->sim->nobjects + 1, sizeof(*v));
	size_t i;

	if (v == NULL)
		abort();
	for (i = 0; i < n->nshown; i++)
		if (n->shown[i].object < n->sim->nobjects)
			v[n->shown[i].object]++;
	return v;
}

static const char *
objects_missing(struct sim *s, struct snode *n)
{
	static char why[320];
	uint16_t *v = count_objects(n);
	const char *ret = NULL;
	uint32_t i;

	for (i = 0; i < s->nobjects && ret == NULL; i++) {
		struct sub *u = s->objects[i];

		if (u->state != SUB_ACKED || v[i] > 0)
			continue;
		learn_epoch(u);
		if (!entitled(s, u, n, false))
			continue;
		snprintf(why, sizeof(why),
		    "%s has not object %u of %s (index %lld, epoch %u)", n->name, i,
		    u->node->name, u->has_index ? (long long)u->index : -1LL, u->epoch);
		ret = why;
	}
	free(v);
	return ret;
}

struct sync_walk {
	struct snode *n;
	const char *why;
	char buf[320];
};

static int
sync_origin(void *arg, const struct node_origin_info *i)
{
	struct sync_walk *w = arg;
	struct sim *s = w->n->sim;
	int k = origin_index(s, i->origin);

	if (i->size == s->ref[k].n && i->size > 0)
		return 0;
	snprintf(w->buf, sizeof(w->buf), "%s holds %llu of the %llu leaves of %s",
	    w->n->name, (unsigned long long)i->size, (unsigned long long)s->ref[k].n,
	    i->origin);
	w->why = w->buf;
	return 1;
}

/* What was shared just before it left may never reach it: it is told no more statements. */
static bool
lag_is_vague(const struct sim *s, const struct snode *n)
{
	return !n->member || (n->id == s->n - 1 && s->left);
}

static int
sync_peer(void *arg, const struct node_peer_info *i)
{
	struct sync_walk *w = arg;
	struct sim *s = w->n->sim;
	const struct snode *peer = sim_find(s, i->name);

	if (peer == NULL ||
	    (s->apart && peer->id + w->n->id == s->n - 1 &&
		(peer->id == 0 || w->n->id == 0)))
		return 0; /* it never hears what the other holds */
	if (lag_is_vague(s, peer) || lag_is_vague(s, w->n))
		return 0;
	if (i->lag_records == 0 && i->behind_records == 0)
		return 0;
	snprintf(w->buf, sizeof(w->buf),
	    "%s: %s lacks %llu records, and we lack %llu of its", w->n->name, i->name,
	    (unsigned long long)i->lag_records, (unsigned long long)i->behind_records);
	w->why = w->buf;
	return 1;
}

const char *
check_in_sync(struct sim *s)
{
	static struct sync_walk w;
	const char *why;
	unsigned int i;

	for (i = 0; i < s->n; i++) {
		w.n = &s->node[i];
		w.why = NULL;
		check_node(w.n);
		node_origins(w.n->node, sync_origin, &w);
		if (w.why == NULL && (why = objects_missing(s, w.n)) != NULL)
			return why;
		if (w.why == NULL)
			node_peers(w.n->node, sync_peer, &w);
		if (w.why == NULL && s->mal != NULL)
			w.why = mal_in_sync(s->mal, w.n);
		if (w.why == NULL && !env_quiet(w.n))
			w.why = "requests to the environment are not done";
		if (w.why != NULL)
			return w.why;
	}
	return NULL;
}

static void
end_node(struct sim *s, struct snode *n)
{
	uint16_t *v = count_objects(n);
	uint32_t i;

	for (i = 0; i < s->nobjects; i++) {
		struct sub *u = s->objects[i];

		if (v[i] > 1)
			sim_fail(s, "exactly once",
			    "%s: object %u of %s was shown %u times", n->name, i,
			    u->node->name, v[i]);
		if (v[i] == 0)
			continue;
		learn_epoch(u);
		if (!entitled(s, u, n, true))
			sim_fail(s, "only to the entitled",
			    "%s was shown object %u of %s (epoch %u)", n->name, i,
			    u->node->name, u->epoch);
	}
	free(v);
	if (s->mal != NULL)
		mal_check_end(s->mal, n);
}

static void
end_roots(struct sim *s, unsigned int k)
{
	const struct reflog *r = &s->ref[k];
	size_t i;

	for (i = 0; i < r->nsig; i++)
		if (r->sig[i].size == 0 || r->sig[i].size > r->n ||
		    !nrs_hash_eq(&r->sig[i].root, &r->root[r->sig[i].size - 1]))
			sim_fail(s, "one root for one size",
			    "%s signed another root of size %llu", s->node[k].name,
			    (unsigned long long)r->sig[i].size);
}

void
check_end(struct sim *s)
{
	unsigned int i;
	size_t k;

	for (i = 0; i < s->n; i++) {
		read_all_again(&s->node[i]);
		end_node(s, &s->node[i]);
		end_roots(s, i);
		check_leaves(&s->node[i]);
		check_mirrors(&s->node[i]);
	}
	for (k = 0; k < s->nsubs; k++)
		if (s->subs[k]->state == SUB_ACKED && s->subs[k]->has_index)
			check_acked(s->subs[k]);
}
