/*
 * Into a file: what a peer would be sent over a link, by the same code that
 * serves its fetches (docs/FORMAT.md, section 11).  The file is never whole in
 * memory: whoever writes it takes a piece at a time.
 *
 * What was stored before an event is told apart by its place in the journal:
 * along a chain places only grow.
 */
#include "node/session_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/carrier.h"

#define STEPS_MAX 4096u
#define SCAN	  4096u /* places looked at together */

enum stage {
	STAGE_HEAD,
	STAGE_STATEMENTS,
	STAGE_LEAVES,
	STAGE_RECORDS,
	STAGE_END,
	STAGE_DONE
};

struct node_carry {
	LIST_ENTRY(node_carry) link;
	struct node *n; /* NULL: the node is gone */
	char peer[NRS_ORIGIN_MAX + 1];
	struct node_carry_info info;
	uint64_t after; /* places up to this one were in an earlier file */
	struct session s;
	enum stage stage;
	struct origin *o;   /* being written; NULL: the next one is to be found */
	struct audience *a; /* likewise */
	struct serving *v;
	uint64_t v_end, v_at; /* of leaves: up to where; how far it was counted */
	struct nrs_digest *dg;
	uint64_t frames;
};

/* --- a session without a connection ------------------------------------------ */

#define OUT_MAX (32u << 20)

void
carry_session_init(struct session *s, struct node *n, struct peer *p)
{
	memset(s, 0, sizeof(*s));
	s->node = n;
	s->peer = p;
	s->carrier = true;
	nrs_buf_init(&s->out, OUT_MAX);
	TAILQ_INIT(&s->shares);
	TAILQ_INIT(&s->known);
	TAILQ_INIT(&s->fetches);
	TAILQ_INIT(&s->servings);
}

void
carry_session_fini(struct session *s)
{
	struct known *k;

	while ((k = TAILQ_FIRST(&s->known)) != NULL) {
		TAILQ_REMOVE(&s->known, k, link);
		free(k);
	}
	serve_session_down(s);
	sync_session_down(s);
	nrs_buf_fini(&s->out);
}

/* --- from where on --------------------------------------------------------------- */

static struct peer *
find_peer(struct node *n, const char *name)
{
	struct peer *p;

	TAILQ_FOREACH(p, &n->peers, link) {
		if (strcmp(p->name, name) == 0)
			return p;
	}
	return NULL;
}

static bool
carried(const struct node_carry *c, const struct origin *o)
{
	return o->shown_note != NULL && strcmp(o->name, c->peer) != 0;
}

/* The place of the record at *seq or, where none is held, of the next; *seq moves. */
static int
place(const struct audience *a, uint64_t *seq, uint64_t end, uint64_t *ret)
{
	uint64_t index = 0;
	int rc = 0;

	for (; rc == 0 && *seq < end; (*seq)++) {
		rc = nrs_array_get(a->index, *seq, 1, &index);
		if (rc == 0 && index != 0)
			return origin_pos(a->origin, index - 1, ret);
	}
	return rc;
}

/* The first seq that is stored behind a place. */
static int
chain_start(const struct audience *a, uint64_t after, uint64_t *ret)
{
	uint64_t lo = a->base, hi = a->durable, mid, at, pos = 0;
	int rc;

	while (lo < hi) {
		mid = at = lo + (hi - lo) / 2;
		rc = place(a, &at, hi, &pos);
		if (rc != 0)
			return rc;
		if (at == hi || pos > after)
			hi = mid;
		else
			lo = at + 1;
	}
	*ret = lo;
	return 0;
}

/*
 * The first leaf that may have come after a place.  Leaves that were opened since
 * have moved, so this is one too early rather than too late.
 */
static int
leaf_start(struct origin *o, uint64_t after, uint64_t *ret)
{
	uint64_t pos[SCAN], end = o->shown.size, n;
	int rc;

	*ret = 0;
	if (after == 0)
		return 0;
	rc = origin_moves_apply(o->node);
	for (; rc == 0 && end > 0; end -= n) {
		n = end < SCAN ? end : SCAN;
		rc = nrs_array_get(o->pos, end - n, (size_t)n, pos);
		for (uint64_t i = n; rc == 0 && i > 0; i--) {
			if (pos[i - 1] > after)
				continue;
			*ret = end - n + i;
			return 0;
		}
	}
	return rc;
}

/* Records beyond the checkpoint that is shown are for the next file: *limit is before them. */
static int
chain_limit(const struct audience *a, uint64_t *limit)
{
	uint64_t index, pos, seq = a->durable;
	int rc = 0;

	while (rc == 0 && seq > a->base) {
		rc = nrs_array_get(a->index, seq - 1, 1, &index);
		if (rc != 0 || (index != 0 && index - 1 < a->origin->shown.size))
			break;
		if (index != 0)
			rc = origin_pos(a->origin, index - 1, &pos);
		if (rc == 0 && index != 0 && pos < *limit)
			*limit = pos;
		seq--;
	}
	return rc;
}

static int
event_place(struct node *n, uint64_t event, uint64_t *ret)
{
	*ret = 0;
	return event == 0 ? 0 : nrs_array_get(n->events, event - 1, 1, ret);
}

/* The last event before a place. */
static int
last_before(struct node *n, uint64_t limit, uint64_t *ret)
{
	uint64_t lo = 0, hi = n->shown_event, mid, pos;
	int rc;

	while (lo < hi) {
		mid = lo + (hi - lo + 1) / 2;
		rc = event_place(n, mid, &pos);
		if (rc != 0)
			return rc;
		if (pos < limit)
			lo = mid;
		else
			hi = mid - 1;
	}
	*ret = lo;
	return 0;
}

/* What there is to do, and up to which event. */
static int
plan(struct node_carry *c, struct peer *p)
{
	struct node *n = c->n;
	uint64_t limit = UINT64_MAX, from;
	struct audience *a;
	struct origin *o;
	int rc = 0;

	TAILQ_FOREACH(o, &n->origins, link) {
		if (!carried(c, o))
			continue;
		rc = leaf_start(o, c->after, &from);
		if (rc != 0)
			return rc;
		c->info.total += o->shown.size - from;
		TAILQ_FOREACH(a, &o->audiences, link) {
			if (!audience_shared(n, a, p) || a->durable == 0)
				continue;
			rc = chain_start(a, c->after, &from);
			if (rc == 0)
				rc = chain_limit(a, &limit);
			if (rc != 0)
				return rc;
			c->info.total += a->durable - from;
		}
	}
	return last_before(n, limit, &c->info.to);
}

int
node_carry_open(struct node *n, const char *peer, uint64_t from, struct node_carry **ret,
    struct nrs_detail *d)
{
	struct peer *p = find_peer(n, peer);
	struct node_carry *c;
	int rc;

	if (p == NULL)
		return nrs_fail(d, NRS_EUNKNOWN, 0, "%.100s is not a peer here", peer);
	if (p->suspended)
		return nrs_fail(
		    d, NRS_ESUSPENDED, 0, "%.100s is suspended: nothing goes to it", peer);
	if (from > n->shown_event + 1)
		return nrs_fail(d, NRS_ERANGE, 0, "the newest event is %llu",
		    (unsigned long long)n->shown_event);
	c = calloc(1, sizeof(*c));
	if (c == NULL || (c->dg = nrs_digest_new()) == NULL) {
		free(c);
		return NRS_ENOMEM;
	}
	c->n = n;
	snprintf(c->peer, sizeof(c->peer), "%s", peer);
	carry_session_init(&c->s, n, p);
	nrs_digest_begin(c->dg);
	LIST_INSERT_HEAD(&n->carries, c, link);
	c->info.from = from > 0 ? from : 1;
	rc = event_place(n, c->info.from - 1, &c->after);
	if (rc == 0)
		rc = plan(c, p);
	if (rc != 0) {
		node_carry_free(c);
		return nrs_fail(d, rc, 0, "places in the journal cannot be read");
	}
	*ret = c;
	return 0;
}

/* --- pieces -------------------------------------------------------------------------- */

static void
put_head(struct node_carry *c)
{
	struct nrs_env *env = c->n->env;
	struct wire_carrier_head h = {
		.from = c->info.from, .to = c->info.to, .written = env->ops->wall(env)
	};

	snprintf(h.source, sizeof(h.source), "%s", c->n->name);
	snprintf(h.dest, sizeof(h.dest), "%s", c->peer);
	wire_carrier_head_encode(&c->s.out, &h);
	c->stage = STAGE_STATEMENTS;
}

static int
put_end(struct node_carry *c)
{
	struct wire_carrier_end e = { c->info.leaves, c->info.records, c->frames };

	c->stage = STAGE_DONE;
	return wire_carrier_end_encode(&c->s.out, &e, c->dg);
}

static void
end_cursor(struct node_carry *c)
{
	if (c->v != NULL)
		serve_carry_end(&c->s, c->v);
	c->v = NULL;
}

/* Leaves of one origin after the other. */
static int
step_leaves(struct node_carry *c)
{
	uint64_t from;
	int rc;

	if (c->v == NULL) {
		do
			c->o = c->o == NULL ? TAILQ_FIRST(&c->n->origins)
					    : TAILQ_NEXT(c->o, link);
		while (c->o != NULL && !carried(c, c->o));
		if (c->o == NULL) {
			c->stage = STAGE_RECORDS;
			return 0;
		}
		rc = leaf_start(c->o, c->after, &from);
		if (rc != 0)
			return rc;
		c->v = serve_carry(&c->s, c->o, NULL, from);
		c->v_end = c->o->shown.size;
		c->v_at = from;
		return c->v == NULL ? NRS_ENOMEM : 0;
	}
	if (serve_carry_at(c->v) >= c->v_end) {
		end_cursor(c);
		return 0;
	}
	rc = serve_carry_step(&c->s, c->v);
	c->info.leaves += serve_carry_at(c->v) - c->v_at;
	c->info.done += serve_carry_at(c->v) - c->v_at;
	c->v_at = serve_carry_at(c->v);
	return rc == 1 ? NRS_EINTERNAL : rc;
}

/* The next chain of which this peer may have something; NULL: there is none. */
static struct audience *
next_chain(struct node_carry *c)
{
	struct audience *a = c->a != NULL ? TAILQ_NEXT(c->a, link) : NULL;

	for (;;) {
		for (; a != NULL; a = TAILQ_NEXT(a, link))
			if (audience_shared(c->n, a, c->s.peer) && a->durable > 0)
				return a;
		do
			c->o = c->o == NULL ? TAILQ_FIRST(&c->n->origins)
					    : TAILQ_NEXT(c->o, link);
		while (c->o != NULL && !carried(c, c->o));
		if (c->o == NULL)
			return NULL;
		a = TAILQ_FIRST(&c->o->audiences);
	}
}

static int
step_records(struct node_carry *c)
{
	uint64_t from;
	int rc;

	if (c->v == NULL) {
		c->a = next_chain(c);
		if (c->a == NULL) {
			c->stage = STAGE_END;
			return 0;
		}
		rc = chain_start(c->a, c->after, &from);
		if (rc != 0)
			return rc;
		c->v = serve_carry(&c->s, c->a->origin, c->a, from);
		c->v_at = from;
		return c->v == NULL ? NRS_ENOMEM : 0;
	}
	rc = serve_carry_step(&c->s, c->v);
	c->info.done += serve_carry_at(c->v) - c->v_at;
	c->v_at = serve_carry_at(c->v);
	if (rc == NRS_ENOTFOUND)
		c->info.stopped++;
	if (rc == 1 || rc == NRS_ENOTFOUND) {
		end_cursor(c);
		return 0;
	}
	return rc;
}

static int
step(struct node_carry *c)
{
	switch (c->stage) {
	case STAGE_HEAD:
		put_head(c);
		return 0;
	case STAGE_STATEMENTS:
		session_push_statements(&c->s);
		c->stage = STAGE_LEAVES;
		return 0;
	case STAGE_LEAVES:
		return step_leaves(c);
	case STAGE_RECORDS:
		return step_records(c);
	case STAGE_END:
		return put_end(c);
	default:
		return NRS_ESTATE;
	}
}

/* What a step wrote: counted, hashed, handed out. The header of the file is no frame. */
static int
hand_out(struct node_carry *c, enum stage was, struct nrs_buf *b)
{
	struct nrs_buf *out = &c->s.out;
	size_t at = was == STAGE_HEAD ? out->len : 0;

	if (out->err != 0)
		return out->err;
	while (at < out->len && was != STAGE_END) {
		c->frames++;
		c->info.records += out->p[at + 4] == WIRE_RECORD;
		at += WIRE_HEADER_LEN + nrs_get_u32(out->p + at);
	}
	if (was != STAGE_END)
		nrs_digest_add(c->dg, out->p, out->len);
	nrs_buf_put(b, out->p, out->len);
	nrs_buf_reset(out);
	return b->err;
}

int
node_carry_next(struct node_carry *c, struct nrs_buf *b, size_t max)
{
	size_t start = b->len;
	enum stage was;
	int rc = 0;

	if (c->n == NULL || c->n->failed || c->n->draining)
		return NRS_ESTATE;
	/* The configuration may have changed since. */
	c->s.peer = find_peer(c->n, c->peer);
	if (c->s.peer == NULL)
		return NRS_EUNKNOWN;
	if (c->s.peer->suspended)
		return NRS_ESUSPENDED;
	for (unsigned int i = 0; i < STEPS_MAX && b->len - start < max; i++) {
		was = c->stage;
		if (was == STAGE_DONE)
			return NODE_CARRY_END;
		rc = step(c);
		if (rc == 0)
			rc = hand_out(c, was, b);
		if (rc != 0)
			return rc;
	}
	return 0;
}

void
node_carry_info(const struct node_carry *c, struct node_carry_info *ret)
{
	*ret = c->info;
}

/* What refers to the node; the rest is for whoever holds the file. */
static void
detach(struct node_carry *c)
{
	if (c->n == NULL)
		return;
	carry_session_fini(&c->s);
	LIST_REMOVE(c, link);
	c->n = NULL;
}

void
node_carry_free(struct node_carry *c)
{
	if (c == NULL)
		return;
	detach(c);
	nrs_digest_free(c->dg);
	free(c);
}

void
carry_fini(struct node *n)
{
	while (!LIST_EMPTY(&n->carries))
		detach(LIST_FIRST(&n->carries));
	carry_import_detach(n);
}
