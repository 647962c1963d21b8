/*
 * Lines made once for all readers of the same clearance.  A chunk is a run of
 * consecutive lines with the cursor after each; readers stand in it at an
 * offset, so they share its bytes whoever is ahead.  At the newest event a chunk
 * grows until it is full; then the next one begins.
 *
 * All chunks together are bounded.  One that is given up leaves its readers at
 * their cursors, to make it again when they come to it: a slow reader costs work
 * when it reads, and no memory while it does not.
 */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "node/reader_priv.h"

#define CHUNK_BYTES  ((size_t)64 << 10) /* full at; a line may be longer */
#define CHUNK_MAX    (NRS_PAYLOAD_MAX + (1u << 20))
#define CHUNKS_BYTES ((size_t)16 << 20) /* all */
#define CHUNKS_MAX   1024

/* --- chunks -------------------------------------------------------------------- */

static bool
cursor_eq(struct node_cursor a, struct node_cursor b)
{
	return a.event == b.event && a.n == b.n;
}

static size_t
weight(const struct chunk *c)
{
	return sizeof(*c) + c->b.cap + c->cap * sizeof(*c->v);
}

bool
chunk_full(const struct chunk *c)
{
	return c->b.len >= CHUNK_BYTES;
}

uint32_t
chunk_line(const struct chunk *c, size_t off)
{
	uint32_t lo = 0, hi = c->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (c->v[mid].off < off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

void
chunk_enter(struct chunk *c, struct node_reader *r)
{
	r->chunk = c;
	TAILQ_INSERT_TAIL(&c->readers, r, in_chunk);
}

/* The reader stands at its cursor alone, wherever in a line it was. */
void
chunk_leave(struct node_reader *r)
{
	struct chunk *c = r->chunk;
	uint32_t i;

	if (c == NULL)
		return;
	TAILQ_REMOVE(&c->readers, r, in_chunk);
	r->chunk = NULL;
	r->skip = 0;
	if (r->off >= c->b.len) {
		/* a line of which part is gone may not be made again yet */
		r->skip = r->off - c->b.len;
		r->at = c->end;
		return;
	}
	i = chunk_line(c, r->off);
	if (r->off == c->v[i].off) {
		r->at = c->v[i].after;
		return;
	}
	r->at = i > 0 ? c->v[i - 1].after : c->start;
	r->skip = r->off - (i > 0 ? c->v[i - 1].off : 0);
	r->after = c->v[i].after;
}

static void
chunk_free(struct chunk *c)
{
	struct reader_cache *rc = c->group->rc;
	struct node_reader *r;

	while ((r = TAILQ_FIRST(&c->readers)) != NULL)
		chunk_leave(r);
	TAILQ_REMOVE(&c->group->chunks, c, link);
	TAILQ_REMOVE(&rc->lru, c, lru);
	rc->nchunks--;
	rc->bytes -= weight(c);
	nrs_buf_fini(&c->b);
	free(c->v);
	free(c);
}

static void
chunk_used(struct chunk *c)
{
	struct reader_cache *rc = c->group->rc;

	if (TAILQ_FIRST(&c->group->chunks) != c) {
		TAILQ_REMOVE(&c->group->chunks, c, link);
		TAILQ_INSERT_HEAD(&c->group->chunks, c, link);
	}
	if (TAILQ_FIRST(&rc->lru) != c) {
		TAILQ_REMOVE(&rc->lru, c, lru);
		TAILQ_INSERT_HEAD(&rc->lru, c, lru);
	}
}

/* Those used longest ago go; the one in use stays whatever its size. */
static void
make_room(struct reader_cache *rc, const struct chunk *used)
{
	struct chunk *c;

	while ((rc->bytes > CHUNKS_BYTES || rc->nchunks > CHUNKS_MAX) &&
	    (c = TAILQ_LAST(&rc->lru, chunks)) != used)
		chunk_free(c);
}

static int
chunk_new(struct group *g, struct node_cursor at, struct chunk **ret)
{
	struct reader_cache *rc = g->rc;
	struct chunk *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NRS_ENOMEM;
	c->group = g;
	c->start = c->end = at;
	TAILQ_INIT(&c->readers);
	nrs_buf_init(&c->b, CHUNK_MAX);
	TAILQ_INSERT_HEAD(&g->chunks, c, link);
	TAILQ_INSERT_HEAD(&rc->lru, c, lru);
	rc->nchunks++;
	rc->bytes += weight(c);
	make_room(rc, c);
	*ret = c;
	return 0;
}

/* Does the cursor stand in this chunk? */
static bool
chunk_has(const struct chunk *c, struct node_cursor at, size_t *ret_off)
{
	if (cursor_eq(c->start, at)) {
		*ret_off = 0;
		return true;
	}
	/* at the end of a full one there is nothing to read */
	if (!chunk_full(c) && cursor_eq(c->end, at)) {
		*ret_off = c->b.len;
		return true;
	}
	if (at.event < c->start.event || at.event > c->end.event)
		return false;
	for (uint32_t i = 0; i + 1 < c->n; i++)
		if (cursor_eq(c->v[i].after, at)) {
			*ret_off = c->v[i].off;
			return true;
		}
	return false;
}

bool
chunk_join(struct node_reader *r)
{
	struct chunk *c = r->chunk, *first = TAILQ_FIRST(&c->group->chunks);
	size_t off;

	if (first == c || !chunk_has(first, c->end, &off))
		return false;
	chunk_leave(r);
	r->off = off;
	chunk_enter(first, r);
	return true;
}

int
chunk_at(struct group *g, struct node_cursor at, struct chunk **ret, size_t *ret_off)
{
	struct chunk *c;

	TAILQ_FOREACH(c, &g->chunks, link) {
		if (!chunk_has(c, at, ret_off))
			continue;
		chunk_used(c);
		*ret = c;
		return 0;
	}
	*ret_off = 0;
	return chunk_new(g, at, ret);
}

/* --- lines ----------------------------------------------------------------------- */

static int
add_line(void *arg, struct node_cursor after)
{
	struct chunk *c = arg;
	struct line_end *v;
	uint32_t cap;

	if (after.n == NRS_NONE) { /* the event is done: its last line says so as well */
		if (c->n > 0 && c->v[c->n - 1].after.event == after.event)
			c->v[c->n - 1].after = after;
		return 0;
	}
	if (c->n == c->cap) {
		cap = c->cap > 0 ? c->cap * 2 : 8;
		v = realloc(c->v, cap * sizeof(*v));
		if (v == NULL) {
			/* whole lines only */
			c->b.len = c->n > 0 ? c->v[c->n - 1].off : 0;
			return NRS_ENOMEM;
		}
		c->v = v;
		c->cap = cap;
	}
	c->v[c->n++] = (struct line_end){ c->b.len, after };
	c->group->rc->lines++;
	return 0;
}

int
chunk_extend(struct chunk *c)
{
	struct reader_cache *rc = c->group->rc;
	struct walk w = {
		.node = rc->node,
		.cl = &c->group->cl,
		.at = c->end,
		.out = &c->b,
		.max = CHUNK_BYTES,
		.line = add_line,
		.arg = c,
	};
	int rc_walk;

	rc->bytes -= weight(c);
	rc_walk = lines_walk(&w);
	rc->bytes += weight(c);
	/* Within an event the place is after a line, as other chunks have it; so after an error. */
	if (c->n > 0 &&
	    (rc_walk < 0 ||
		(w.at.n != NRS_NONE && c->v[c->n - 1].after.event == w.at.event)))
		c->end = c->v[c->n - 1].after;
	else if (rc_walk >= 0)
		c->end = w.at;
	chunk_used(c);
	make_room(rc, c);
	return rc_walk;
}

/* --- groups ------------------------------------------------------------------------ */

static int
name_cmp(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* As FORMAT-journal.md has it. */
static int
group_digest(struct group *g, struct nrs_digest *dg)
{
	uint8_t head[2] = { g->cl.tlp,
		(uint8_t)((g->cl.all ? NRS_JCLEARANCE_ALL : 0) |
		    (g->cl.direct ? NRS_JCLEARANCE_DIRECT : 0)) };
	uint8_t len[2];

	nrs_digest_begin(dg);
	nrs_digest_label(dg, "noroshi/v1/clearance");
	nrs_digest_add(dg, head, sizeof(head));
	nrs_digest_u32(dg, g->cl.ncommunities);
	for (unsigned int i = 0; i < g->cl.ncommunities; i++) {
		nrs_put_u16(len, (uint16_t)strlen(g->names[i]));
		nrs_digest_add(dg, len, sizeof(len));
		nrs_digest_add(dg, g->names[i], strlen(g->names[i]));
	}
	return nrs_digest_end(dg, &g->digest);
}

static void
group_free(struct group *g)
{
	struct chunk *c;

	if (g == NULL)
		return;
	while ((c = TAILQ_FIRST(&g->chunks)) != NULL)
		chunk_free(c);
	for (unsigned int i = 0; i < g->cl.ncommunities; i++)
		free(g->names[i]);
	free(g->names);
	free(g);
}

static int
group_new(struct reader_cache *rc, const struct node_clearance *cl, struct group **ret)
{
	struct group *g = calloc(1, sizeof(*g));
	int err = NRS_ENOMEM;

	if (g == NULL)
		return NRS_ENOMEM;
	g->rc = rc;
	TAILQ_INIT(&g->chunks);
	g->cl.tlp = cl->tlp;
	g->cl.all = cl->communities == NULL;
	g->cl.direct = g->cl.all || cl->direct;
	if (!g->cl.all &&
	    (g->names = calloc(cl->ncommunities + 1, sizeof(*g->names))) == NULL)
		goto fail;
	for (unsigned int i = 0; !g->cl.all && i < cl->ncommunities; i++) {
		if (strlen(cl->communities[i]) > NRS_NAME_MAX) {
			err = NRS_ELIMIT;
			goto fail;
		}
		if ((g->names[i] = strdup(cl->communities[i])) == NULL)
			goto fail;
		g->cl.ncommunities++;
	}
	if (g->cl.ncommunities > 0)
		qsort(g->names, g->cl.ncommunities, sizeof(*g->names), name_cmp);
	g->cl.communities = (const char *const *)g->names;
	if ((err = group_digest(g, rc->node->dg)) != 0)
		goto fail;
	*ret = g;
	return 0;
fail:
	group_free(g);
	return err;
}

int
group_get(struct reader_cache *rc, const struct node_clearance *cl, struct group **ret)
{
	struct group *g, *made;
	int err;

	err = group_new(rc, cl, &made);
	if (err != 0)
		return err;
	TAILQ_FOREACH(g, &rc->groups, link)
		if (nrs_hash_eq(&g->digest, &made->digest))
			break;
	if (g == NULL) {
		TAILQ_INSERT_TAIL(&rc->groups, made, link);
		g = made;
	} else {
		group_free(made);
	}
	g->nreaders++;
	*ret = g;
	return 0;
}

void
group_put(struct group *g)
{
	if (g == NULL || --g->nreaders > 0)
		return;
	TAILQ_REMOVE(&g->rc->groups, g, link);
	group_free(g);
}

void
chunks_fini(struct reader_cache *rc)
{
	struct group *g;

	while ((g = TAILQ_FIRST(&rc->groups)) != NULL) {
		TAILQ_REMOVE(&rc->groups, g, link);
		group_free(g);
	}
}
