/*
 * What is told to peers of what is durable here: HAVE (what may be fetched) and
 * ACK (what has arrived), and what they tell us of the latter.
 */
#include "node/session_priv.h"

#include <stdlib.h>
#include <string.h>

#define ACKS_MAX 65536u

/* --- HAVE ----------------------------------------------------------------------- */

/* Appends one origin with its audiences for this peer; all: also what did not change. */
static bool
have_origin(struct session *s, struct origin *o, bool all)
{
	struct nrs_buf *b = &s->out;
	struct wire_have_audience m;
	struct osync *os = o->sync_priv;
	struct audience *a;
	struct chain *c;
	size_t start = b->len;
	uint32_t n = 0;

	wire_have_encode(b, &o->id, o->shown.size, 0);
	TAILQ_FOREACH(a, &o->audiences, link) {
		c = a->sync_priv;
		if (a->durable == 0 || (!all && c != NULL && c->announced == a->durable))
			continue;
		m.id = a->id;
		m.type = a->type;
		if ((m.next = audience_reach(s->node, a, s->peer)) == 0)
			continue;
		wire_have_audience_encode(b, &m);
		n++;
	}
	if (b->err != 0)
		return false;
	if (n == 0 && !all && (os == NULL || os->announced == o->shown.size)) {
		b->len = start;
		return false;
	}
	nrs_put_u32(b->p + start + NRS_HASH_LEN + 8, n);
	return true;
}

static void
send_have(struct session *s, bool all)
{
	struct nrs_buf *b = &s->out;
	struct origin *o;
	size_t at = 0, count = 0;
	uint32_t n = 0;

	TAILQ_FOREACH(o, &s->node->origins, link) {
		if (n > 0 && b->len - at > NRS_FRAME_MAX / 2) {
			nrs_put_u32(b->p + count, n);
			session_end(s, at);
			n = 0;
		}
		if (n == 0) {
			at = session_begin(s, WIRE_HAVE, 0, 0);
			count = b->len;
			nrs_buf_u32(b, 0);
		}
		if (have_origin(s, o, all))
			n++;
		else if (n == 0 && b->err == 0)
			b->len = at;
		if (b->err != 0)
			return;
	}
	if (n > 0) {
		nrs_put_u32(b->p + count, n);
		session_end(s, at);
	}
}

/* --- ACK ------------------------------------------------------------------------- */

static void
send_ack(struct session *s, struct origin *o, bool all)
{
	struct nrs_buf *b = &s->out;
	struct wire_ack_audience m;
	struct audience *a;
	struct chain *c;
	size_t at, head;
	uint32_t n = 0;

	at = session_begin(s, WIRE_ACK, 0, 0);
	head = b->len;
	wire_ack_encode(b, &o->id, o->durable, 0);
	TAILQ_FOREACH(a, &o->audiences, link) {
		c = a->sync_priv;
		if (a->durable == 0 || (!all && c != NULL && c->acked == a->durable))
			continue;
		/* An audience is named to those only who may know of it. */
		if (s->peer->origin != o && !audience_shared(s->node, a, s->peer))
			continue;
		m.id = a->id;
		m.next = a->durable;
		wire_ack_audience_encode(b, &m);
		n++;
	}
	if (b->err == 0)
		nrs_put_u32(b->p + head + NRS_HASH_LEN + 8, n);
	session_end(s, at);
}

static bool
fetches_from(const struct session *s, const struct origin *o)
{
	const struct fetch *f;

	TAILQ_FOREACH(f, &s->fetches, link) {
		if (f->origin == o)
			return true;
	}
	return false;
}

static void
ack_origin(struct node *n, struct origin *o)
{
	struct session *s;
	struct peer *p;

	TAILQ_FOREACH(p, &n->peers, link) {
		s = p->session;
		if (s != NULL && s->up && (p->origin == o || fetches_from(s, o)))
			send_ack(s, o, false);
	}
}

/* Something of this origin became durable since the last ACK / HAVE? */
static bool
changed(struct origin *o, bool ack)
{
	struct osync *os = sync_of(o);
	struct audience *a;
	struct chain *c;

	if (os == NULL)
		return false;
	if (ack ? os->acked != o->durable : os->announced != o->shown.size)
		return true;
	TAILQ_FOREACH(a, &o->audiences, link) {
		c = a->sync_priv != NULL ? a->sync_priv
					 : sync_chain(o, &a->id, a->type, true);
		if (c != NULL && a->durable != (ack ? c->acked : c->announced))
			return true;
	}
	return false;
}

static void
mark(struct origin *o, bool ack)
{
	struct osync *os = sync_of(o);
	struct audience *a;
	struct chain *c;

	if (os == NULL)
		return;
	if (ack)
		os->acked = o->durable;
	else
		os->announced = o->shown.size;
	TAILQ_FOREACH(a, &o->audiences, link) {
		c = a->sync_priv != NULL ? a->sync_priv
					 : sync_chain(o, &a->id, a->type, true);
		if (c == NULL)
			continue;
		if (ack)
			c->acked = a->durable;
		else
			c->announced = a->durable;
	}
}

/* --- what peers acknowledged ------------------------------------------------------- */

static struct peer_ack *
ack_find(struct peer *p, const struct nrs_hash *origin, const struct nrs_hash *audience)
{
	struct peer_ack *a;
	unsigned int n = 0;

	TAILQ_FOREACH(a, &p->acks, link) {
		if (memcmp(a->origin.b, origin->b, NRS_HASH_LEN) == 0 &&
		    memcmp(a->audience.b, audience->b, NRS_HASH_LEN) == 0)
			return a;
		n++;
	}
	if (n >= ACKS_MAX)
		return NULL;
	a = calloc(1, sizeof(*a));
	if (a == NULL)
		return NULL;
	a->origin = *origin;
	a->audience = *audience;
	TAILQ_INSERT_TAIL(&p->acks, a, link);
	return a;
}

static void
ack_since(
    struct peer_ack *a, uint64_t has, uint64_t durable, struct nrs_mono now, bool moved)
{
	if (has >= durable)
		a->since.ns = 0;
	else if (a->since.ns == 0 || moved)
		a->since = now;
}

int
sync_ack(struct session *s, const uint8_t *p, size_t len)
{
	static const struct nrs_hash none;
	struct nrs_mono now = session_now(s->node);
	struct wire_ack_audience m;
	struct audience *a;
	struct peer_ack *pa;
	struct wire_ack w;
	struct origin *o;
	struct share *sh;
	int rc = wire_ack_decode(&w, p, len);

	if (rc != 0)
		return rc;
	o = origin_find(s->node, &w.origin);
	if (o == NULL)
		return 0;
	sh = sync_share(s, o, true);
	pa = ack_find(s->peer, &o->id, &none);
	if (sh == NULL || pa == NULL)
		return NRS_ENOMEM;
	if (w.size > sh->claimed)
		sh->claimed = w.size;
	ack_since(pa, w.size, o->durable, now, w.size != pa->size);
	pa->size = w.size;
	while (wire_ack_audience_next(&w.audiences, &m)) {
		a = audience_find(o, &m.id);
		pa = a != NULL ? ack_find(s->peer, &o->id, &m.id) : NULL;
		if (pa == NULL)
			continue;
		ack_since(pa, m.next, a->durable, now, m.next != pa->next);
		pa->next = m.next;
	}
	s->serve_more = true;
	return 0;
}

/* Own records that are durable now and not yet acknowledged: since when. */
static void
lag_begin(struct node *n)
{
	struct nrs_mono now = session_now(n);
	struct peer_ack *pa;
	struct audience *a;
	struct peer *p;

	TAILQ_FOREACH(a, &n->own->audiences, link) {
		TAILQ_FOREACH(p, &n->peers, link) {
			uint64_t reach = audience_reach(n, a, p);

			if (reach == 0)
				continue;
			pa = ack_find(p, &n->own->id, &a->id);
			if (pa != NULL)
				ack_since(pa, pa->next, reach, now, false);
		}
	}
}

/* --- when ---------------------------------------------------------------------------- */

void
sync_session_up(struct session *s)
{
	struct origin *o;

	send_have(s, true);
	TAILQ_FOREACH(o, &s->node->origins, link) {
		if (!o->own)
			send_ack(s, o, true);
	}
	sync_plan(s->node);
}

void
sync_session_changed(struct session *s)
{
	send_have(s, true);
}

void
sync_on_durable(struct node *n)
{
	struct origin *o;
	struct peer *p;
	bool have = false;

	if (changed(n->own, false))
		lag_begin(n);
	TAILQ_FOREACH(o, &n->origins, link) {
		if (!o->own && changed(o, true)) {
			ack_origin(n, o);
			mark(o, true);
		}
		have = have || changed(o, false);
	}
	TAILQ_FOREACH(p, &n->peers, link) {
		if (have && p->session != NULL && p->session->up)
			send_have(p->session, false);
	}
	TAILQ_FOREACH(o, &n->origins, link)
		mark(o, false);
	ingest_resume(n);
	sync_credits(n);
}
