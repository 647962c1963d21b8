/*
 * Sync: which origin's leaves and which audiences are fetched from whom, what
 * credit the source gets, and what is acknowledged and announced
 * (PROTOCOL.md, sections 3 to 5).
 *
 * The origin itself is preferred.  When it is away, or does not deliver, any
 * peer whose HAVE is ahead will do.  All decisions walk the lists of peers,
 * origins and audiences in their order: the same input gives the same fetches.
 */
#include "node/session_priv.h"

#include <noroshi/plant.h>

#include <stdlib.h>
#include <string.h>

#define WINDOW	    (4u << 20)
#define RETRY_MIN   1000u
#define RETRY_MAX   60000u
#define AVOID_TIME  (60 * SECOND)
#define EPOCH_TIME  (30 * SECOND)
#define STALL_MIN   30u
#define STALL_MAX   600u
#define CHAINS_MAX  4096u /* audiences of one origin: no more are ever taken in */
#define UNKNOWN_MAX 256u  /* of them, asked of one session before their list is here */
#define HELD_MAX    (128u << 20) /* bytes of records waiting, of one session */
#define STREAMS_MAX 16384u

struct sync {
	bool planning;
	bool again;
};

/* --- what is known of each origin and audience ------------------------------- */

static struct nrs_map *
map_new(struct node *n)
{
	uint8_t seed[16];

	n->env->ops->random(n->env, seed, sizeof(seed));
	return nrs_map_new(NRS_HASH_LEN, seed);
}

struct osync *
sync_of(struct origin *o)
{
	struct osync *os = o->sync_priv;

	if (os != NULL)
		return os;
	os = calloc(1, sizeof(*os));
	if (os == NULL)
		return NULL;
	os->chain_by_id = map_new(o->node);
	if (os->chain_by_id == NULL) {
		free(os);
		return NULL;
	}
	os->origin = o;
	os->retry.stall_s = STALL_MIN;
	TAILQ_INIT(&os->chains);
	o->sync_priv = os;
	return os;
}

struct chain *
sync_chain(struct origin *o, const struct nrs_hash *id, uint8_t type, bool make)
{
	struct audience *a = audience_find(o, id);
	struct osync *os = sync_of(o);
	struct chain *c;

	if (os == NULL)
		return NULL;
	if (a != NULL && a->sync_priv != NULL)
		return a->sync_priv;
	c = nrs_map_find(os->chain_by_id, id->b);
	if (c == NULL) {
		/* What is known here is followed whatever others make up. */
		if (!make ||
		    (a == NULL && nrs_map_count(os->chain_by_id) >= 2 * CHAINS_MAX))
			return NULL;
		c = calloc(1, sizeof(*c));
		if (c == NULL || nrs_map_set(os->chain_by_id, id->b, c, NULL) != 0) {
			free(c);
			return NULL;
		}
		c->origin = o;
		c->id = *id;
		c->type = type;
		c->retry.stall_s = STALL_MIN;
		TAILQ_INIT(&c->recs);
		TAILQ_INSERT_TAIL(&os->chains, c, link);
	}
	if (a != NULL) {
		c->audience = a;
		/* It may have been announced by the wrong name before. */
		c->type = a->type;
		a->sync_priv = c;
	}
	return c;
}

uint64_t
sync_next(const struct chain *c)
{
	return c->audience == NULL ? 0 : c->audience->next;
}

/* --- what the other side of a session has -------------------------------------- */

struct share *
sync_share(struct session *s, struct origin *o, bool make)
{
	struct share *sh;

	TAILQ_FOREACH(sh, &s->shares, link) {
		if (sh->origin == o)
			return sh;
	}
	if (!make)
		return NULL;
	sh = calloc(1, sizeof(*sh));
	if (sh == NULL)
		return NULL;
	sh->aud_by_id = map_new(s->node);
	if (sh->aud_by_id == NULL) {
		free(sh);
		return NULL;
	}
	sh->origin = o;
	TAILQ_INIT(&sh->auds);
	TAILQ_INSERT_TAIL(&s->shares, sh, link);
	return sh;
}

static struct share_aud *
share_aud_find(const struct share *sh, const struct nrs_hash *id)
{
	return nrs_map_find(sh->aud_by_id, id->b);
}

static int
share_aud_set(struct share *sh, const struct wire_have_audience *m)
{
	struct share_aud *sa = share_aud_find(sh, &m->id);

	if (sa == NULL) {
		if (nrs_map_count(sh->aud_by_id) >= CHAINS_MAX)
			return NRS_ELIMIT;
		sa = calloc(1, sizeof(*sa));
		if (sa == NULL || nrs_map_set(sh->aud_by_id, m->id.b, sa, NULL) != 0) {
			free(sa);
			return NRS_ENOMEM;
		}
		sa->id = m->id;
		sa->type = m->type;
		TAILQ_INSERT_TAIL(&sh->auds, sa, link);
	}
	sa->next = m->next;
	return 0;
}

int
sync_have(struct session *s, const uint8_t *p, size_t len)
{
	struct wire_have_audience m;
	struct wire_have h;
	struct wire_list l;
	struct origin *o;
	struct share *sh;
	int rc = wire_have_decode(&l, p, len);

	while (rc == 0 && wire_have_next(&l, &h)) {
		o = origin_find(s->node, &h.origin);
		if (o == NULL)
			continue; /* not configured here */
		sh = sync_share(s, o, true);
		if (sh == NULL)
			return NRS_ENOMEM;
		sh->have = h.size;
		while (rc == 0 && wire_have_audience_next(&h.audiences, &m))
			rc = share_aud_set(sh, &m);
	}
	s->serve_more = true; /* records may have waited for these leaves */
	sync_plan(s->node);
	return rc;
}

uint64_t
sync_behind(const struct peer *p)
{
	const struct session *s = p->session;
	const struct audience *a;
	const struct share_aud *sa;
	struct share *sh;
	uint64_t behind = 0, have;

	if (s == NULL || !s->up || p->origin == NULL)
		return 0;
	TAILQ_FOREACH(sh, &s->shares, link) {
		if (sh->origin != p->origin)
			continue;
		TAILQ_FOREACH(sa, &sh->auds, link) {
			a = audience_find(p->origin, &sa->id);
			have = a == NULL ? 0 : a->durable;
			if (sa->next > have)
				behind += sa->next - have;
		}
	}
	return behind;
}

/* --- fetches ----------------------------------------------------------------------- */

static struct fetch *
fetch_find(struct session *s, uint16_t stream)
{
	struct fetch *f;

	TAILQ_FOREACH(f, &s->fetches, link) {
		if (f->stream == stream)
			return f;
	}
	return NULL;
}

static struct retry *
fetch_retry(struct fetch *f)
{
	struct osync *os = f->origin->sync_priv;

	return f->chain != NULL ? &f->chain->retry : &os->retry;
}

/* Forgets a fetch; says nothing to the other side. */
static void
fetch_end(struct fetch *f)
{
	struct osync *os = f->origin->sync_priv;

	TAILQ_REMOVE(&f->session->fetches, f, link);
	f->session->held -= f->held;
	if (f->chain != NULL) {
		f->chain->fetch = NULL;
		ingest_chain_drop(f->chain);
	} else {
		os->fetch = NULL;
		f->origin->source = NULL;
		f->origin->source_stream = 0;
	}
	nrs_buf_fini(&f->part);
	free(f);
}

void
sync_origin_fini(struct origin *o)
{
	struct osync *os = o->sync_priv;
	struct audience *a;
	struct chain *c;

	if (os == NULL)
		return;
	if (os->fetch != NULL)
		fetch_end(os->fetch);
	while ((c = TAILQ_FIRST(&os->chains)) != NULL) {
		if (c->fetch != NULL)
			fetch_end(c->fetch);
		TAILQ_REMOVE(&os->chains, c, link);
		free(c);
	}
	TAILQ_FOREACH(a, &o->audiences, link)
		a->sync_priv = NULL;
	nrs_map_free(os->chain_by_id);
	free(os);
	o->sync_priv = NULL;
}

static void
fetch_cancel(struct fetch *f)
{
	struct session *s = f->session;

	session_end(s, session_begin(s, WIRE_CANCEL, 0, f->stream));
	fetch_end(f);
}

static bool
stream_next(struct session *s, uint16_t *ret)
{
	for (unsigned int i = 0; i < STREAMS_MAX; i++) {
		*ret = s->next_stream;
		s->next_stream = (uint16_t)(s->next_stream + 2);
		if (s->next_stream == 0)
			s->next_stream = 2;
		if (fetch_find(s, *ret) == NULL)
			return true;
	}
	return false;
}

/* May more come over this fetch now: room here, quotas of who sends and of the origin? */
static bool
may_ask(const struct fetch *f)
{
	if (!node_room(f->session->node) || !session_quota(f->session))
		return false;
	return f->chain != NULL ? session_quota_disk(f->origin)
				: session_quota_leaves(f->origin);
}

static void
fetch_begin(struct session *s, struct origin *o, struct chain *c)
{
	struct node *n = s->node;
	struct wire_fetch m = { .origin = o->id };
	struct osync *os = sync_of(o);
	struct fetch *f = calloc(1, sizeof(*f));
	size_t at;

	if (f == NULL || os == NULL || !stream_next(s, &f->stream)) {
		free(f);
		return;
	}
	f->session = s;
	f->origin = o;
	f->chain = c;
	f->progress = session_now(n);
	nrs_buf_init(&f->part, WIRE_ITEM_MAX);
	m.credit = n->window != 0 ? n->window : WINDOW;
	if (may_ask(f)) {
		f->credit = m.credit;
	} else {
		/* Asked for all the same: the credit comes when there is room. */
		f->owed = m.credit;
		m.credit = 0;
	}
	if (c != NULL) {
		m.audience = c->id;
		m.from = sync_next(c);
		if (NRS_PLANTED(CURSOR_OFF_BY_ONE) && m.from > 0 && !c->fetched)
			m.from++;
		if (NRS_PLANTED(DUP_EVENT) && m.from > 0)
			m.from--;
		c->fetched = true;
		c->fetch = f;
	} else {
		m.from = o->put.size;
		os->fetch = f;
		o->source = s;
		o->source_stream = f->stream;
	}
	TAILQ_INSERT_TAIL(&s->fetches, f, link);
	at = session_begin(
	    s, c != NULL ? WIRE_FETCH_RECORDS : WIRE_FETCH_LEAVES, 0, f->stream);
	wire_fetch_encode(&s->out, &m, c != NULL);
	session_end(s, at);
	node_wake_at(
	    n, (struct nrs_mono){ f->progress.ns + fetch_retry(f)->stall_s * SECOND });
}

static void
retry_later(struct node *n, struct retry *r, struct peer *avoid)
{
	struct nrs_mono now = session_now(n);
	uint64_t rnd;

	r->wait_ms = r->wait_ms == 0 ? RETRY_MIN : r->wait_ms * 2;
	if (r->wait_ms > RETRY_MAX)
		r->wait_ms = RETRY_MAX;
	n->env->ops->random(n->env, &rnd, sizeof(rnd));
	r->at.ns = now.ns + r->wait_ms * MSEC / 2 + rnd % (r->wait_ms * MSEC / 2 + 1);
	if (avoid != NULL) {
		r->avoid = avoid;
		r->avoid_until.ns = now.ns + AVOID_TIME;
	}
	node_wake_at(n, r->at);
}

void
sync_fail(struct fetch *f, int err, bool avoid)
{
	struct node *n = f->session->node;
	struct peer *p = f->session->peer;

	if (f->session->import != NULL) {
		fetch_cancel(f); /* a file cannot be asked again */
		return;
	}
	session_peer_log(p, NRS_LOG_INFO, "fetching %s of %s stopped: %s",
	    f->chain != NULL ? "records" : "leaves", f->origin->name, nrs_strerror(err));
	retry_later(n, fetch_retry(f), avoid ? p : NULL);
	fetch_cancel(f);
	sync_plan(n);
}

void
sync_wait_epoch(struct fetch *f)
{
	struct node *n = f->session->node;
	struct retry *r = fetch_retry(f);

	if (f->session->import != NULL) {
		fetch_cancel(f);
		return;
	}
	r->at.ns = session_now(n).ns + EPOCH_TIME;
	node_wake_at(n, r->at);
	session_send_communities(f->session);
	fetch_cancel(f);
}

void
sync_hole(struct session *s, uint16_t stream, int err)
{
	struct fetch *f = fetch_find(s, stream);

	if (f != NULL)
		sync_fail(f, err, true);
}

void
sync_canceled(struct session *s, uint16_t stream)
{
	struct fetch *f = fetch_find(s, stream);

	if (f == NULL)
		return;
	retry_later(s->node, fetch_retry(f), s->peer);
	fetch_end(f);
	sync_plan(s->node);
}

void
sync_unhold(struct fetch *f, uint64_t bytes)
{
	f->held -= bytes;
	f->session->held -= bytes;
}

void
sync_progress(struct fetch *f)
{
	struct retry *r = fetch_retry(f);

	if (f->session->import != NULL)
		carry_kept(f->session->import, f);
	f->progress = session_now(f->session->node);
	r->wait_ms = 0;
	r->stall_s = STALL_MIN;
}

/* --- credit ---------------------------------------------------------------------------- */

static void
give_credit(struct fetch *f)
{
	struct session *s = f->session;
	uint32_t window = s->node->window != 0 ? s->node->window : WINDOW;
	uint32_t bytes;
	size_t at;

	/* Whatever is neither given nor owed is still being dealt with. */
	if (f->owed == 0 || f->owed < window / 4)
		return;
	if (!may_ask(f))
		return;
	bytes = f->owed > UINT32_MAX ? UINT32_MAX : (uint32_t)f->owed;
	f->owed -= bytes;
	f->credit += bytes;
	at = session_begin(s, WIRE_CREDIT, 0, f->stream);
	wire_credit_encode(&s->out, bytes);
	session_end(s, at);
}

void
sync_return(struct fetch *f, uint64_t bytes)
{
	if (f->session->carrier)
		return;
	f->owed += bytes;
	give_credit(f);
}

static void
give_credits(struct node *n)
{
	struct fetch *f;
	struct peer *p;

	TAILQ_FOREACH(p, &n->peers, link) {
		if (p->session == NULL || !p->session->up)
			continue;
		TAILQ_FOREACH(f, &p->session->fetches, link)
			give_credit(f);
	}
}

/* A whole item of records: its memory goes to ingest. */
static void
take_item(struct fetch *f, const uint8_t *p, size_t len, uint64_t cost)
{
	uint8_t *item;

	if (f->part.len > 0) {
		nrs_buf_put(&f->part, p, len);
		if (f->part.err != 0) {
			sync_fail(f, f->part.err, true);
			return;
		}
		item = nrs_buf_take(&f->part, &len);
	} else {
		item = malloc(len > 0 ? len : 1);
		if (item == NULL) {
			sync_fail(f, NRS_ENOMEM, false);
			return;
		}
		memcpy(item, p, len);
	}
	ingest_record(f, item, len, cost);
}

static int
item_frame(struct fetch *f, const struct wire_frame *w)
{
	if (f->chain == NULL || (w->type == WIRE_DATA) != (f->part.len > 0))
		return NRS_EORDER;
	f->held += w->len;
	f->session->held += w->len;
	if (!(w->flags & WIRE_MORE)) {
		take_item(f, w->body, w->len, w->len);
		return 0;
	}
	nrs_buf_put(&f->part, w->body, w->len);
	if (f->part.err != 0)
		return f->part.err;
	/* The item is bounded by itself; its end needs credit to come. */
	sync_return(f, w->len);
	return 0;
}

void
sync_data(struct session *s, const struct wire_frame *w)
{
	struct fetch *f = fetch_find(s, w->stream);
	int rc = 0;

	if (f == NULL)
		return; /* sent before our CANCEL arrived */
	/* A frame may be sent while credit is above zero. */
	if (f->credit <= 0) {
		session_refuse(s, NRS_EQUOTA, w->stream, &f->origin->id, NRS_NONE, NRS_NONE,
		    "more than the credit given");
		sync_fail(f, NRS_EQUOTA, true);
		return;
	}
	/* Windows and items are bounded each; so is what all of them may hold at once. */
	if (w->type != WIRE_LEAVES && s->held + w->len > HELD_MAX) {
		session_refuse(s, NRS_EQUOTA, w->stream, &f->origin->id, NRS_NONE, NRS_NONE,
		    "too much is waiting");
		sync_fail(f, NRS_EQUOTA, false);
		return;
	}
	f->credit -= w->len;
	session_quota_charge(s, w->type == WIRE_RECORD, w->len);
	if (w->type == WIRE_LEAVES && f->chain == NULL)
		ingest_leaves(f, w->body, w->len);
	else
		rc = item_frame(f, w);
	if (rc != 0) {
		session_refuse(s, rc, w->stream, &f->origin->id, NRS_NONE, NRS_NONE, NULL);
		sync_fail(f, rc, true);
	}
}

/* --- who is asked for what -------------------------------------------------------------- */

static bool
avoided(const struct retry *r, const struct peer *p, struct nrs_mono now)
{
	return r->avoid == p && now.ns < r->avoid_until.ns;
}

/* What this session could give of an origin (chain NULL: leaves); false: nothing. */
static bool
could_give(struct session *s, struct origin *o, const struct chain *c, uint64_t *ret)
{
	struct share *sh = sync_share(s, o, false);
	struct share_aud *sa;

	*ret = 0;
	if (sh == NULL)
		return false;
	if (c == NULL) {
		*ret = sh->have;
		return true;
	}
	sa = share_aud_find(sh, &c->id);
	if (sa == NULL)
		return false;
	*ret = sa->next;
	return true;
}

uint64_t
sync_offered(const struct fetch *f)
{
	uint64_t have;

	return could_give(f->session, f->origin, f->chain, &have) ? have : 0;
}

/* The origin itself, or whoever is most ahead; the one in use while it will do. */
static struct session *
choose_among(struct node *n, struct origin *o, const struct chain *c, const struct retry *r,
    const struct fetch *cur, bool shun)
{
	uint64_t want = c != NULL ? sync_next(c) : o->put.size, most = want, have;
	struct nrs_mono now = session_now(n);
	struct session *s, *best = NULL;
	struct peer *p;

	s = o->peer != NULL ? o->peer->session : NULL;
	if (s != NULL && s->up && !(shun && avoided(r, o->peer, now)) &&
	    could_give(s, o, c, &have))
		return s;
	TAILQ_FOREACH(p, &n->peers, link) {
		s = p->session;
		if (s == NULL || !s->up || (shun && avoided(r, p, now)) ||
		    !could_give(s, o, c, &have) || have <= want)
			continue;
		if (cur != NULL && cur->session == s)
			return s;
		if (have > most) {
			best = s;
			most = have;
		}
	}
	return best;
}

static struct session *
choose(struct node *n, struct origin *o, const struct chain *c, const struct retry *r,
    const struct fetch *cur)
{
	struct session *s = choose_among(n, o, c, r, cur, true);

	if (s == NULL && cur != NULL)
		return cur->session;
	/* The one that failed is better than none. */
	return s != NULL ? s : choose_among(n, o, c, r, cur, false);
}

static void
plan_one(
    struct node *n, struct origin *o, struct chain *c, struct fetch *cur, struct retry *r)
{
	struct nrs_mono now = session_now(n);
	struct session *s;

	/* From a file: it goes on over a link when the file is done. */
	if (cur != NULL && cur->session->carrier)
		return;
	if (cur == NULL && now.ns < r->at.ns) {
		node_wake_at(n, r->at);
		return;
	}
	s = choose(n, o, c, r, cur);
	/* Back to the origin when its time as a bad source is over. */
	if (r->avoid != NULL && now.ns < r->avoid_until.ns)
		node_wake_at(n, r->avoid_until);
	if (s == NULL || (cur != NULL && cur->session == s))
		return;
	if (cur != NULL)
		fetch_cancel(cur);
	fetch_begin(s, o, c);
}

/* May we be given this audience at all? */
static bool
wanted(struct node *n, struct origin *o, const struct nrs_hash *id, uint8_t type)
{
	struct community *c;

	if (type == AUD_DIRECT)
		return true;
	c = community_find(n, id);
	if (c == NULL || !c->trusted)
		return false;
	for (uint32_t e = 0; e < c->n; e++) {
		if (community_member_at(c, e, n->name))
			return true;
	}
	return false;
}

/* unknown: of this session, counted: nobody fills memory with what it makes up. */
static void
want_chain(
    struct node *n, struct origin *o, const struct share_aud *sa, unsigned int *unknown)
{
	struct audience *a = audience_find(o, &sa->id);

	uint8_t type = sa->type;

	/* A community is one whatever somebody calls it. */
	if (a != NULL)
		type = a->type;
	else if (community_find(n, &sa->id) != NULL)
		type = AUD_COMMUNITY;
	if (!wanted(n, o, &sa->id, type))
		return;
	if (a == NULL && type == AUD_COMMUNITY && audience_add(o, &sa->id, type, &a) != 0)
		return;
	if (a == NULL && ++*unknown > UNKNOWN_MAX)
		return;
	(void)sync_chain(o, &sa->id, type, true);
}

struct chain *
sync_carry_chain(struct origin *o, const struct nrs_hash *id, unsigned int *unknown)
{
	struct share_aud sa = { .id = *id, .type = AUD_DIRECT };
	struct audience *a = audience_find(o, id);
	struct node *n = o->node;
	bool community =
	    a != NULL ? a->type == AUD_COMMUNITY : community_find(n, id) != NULL;

	if (!wanted(n, o, id, community ? AUD_COMMUNITY : AUD_DIRECT))
		return NULL;
	if (sync_of(o) == NULL)
		return NULL;
	want_chain(n, o, &sa, unknown);
	return sync_chain(o, id, AUD_DIRECT, false);
}

struct fetch *
sync_carry_fetch(struct session *s, struct origin *o, struct chain *c)
{
	struct osync *os = sync_of(o);
	struct fetch *f;

	if (os == NULL)
		return NULL;
	f = c != NULL ? c->fetch : os->fetch;
	if (f != NULL && f->session == s)
		return f;
	if (f != NULL)
		fetch_cancel(f);
	f = calloc(1, sizeof(*f));
	if (f == NULL)
		return NULL;
	f->session = s;
	f->origin = o;
	f->chain = c;
	f->progress = session_now(s->node);
	nrs_buf_init(&f->part, WIRE_ITEM_MAX);
	if (c != NULL) {
		c->fetch = f;
		c->fetched = true;
	} else {
		os->fetch = f;
	}
	TAILQ_INSERT_TAIL(&s->fetches, f, link);
	return f;
}

static void
plan_records(struct node *n, struct origin *o)
{
	struct osync *os = o->sync_priv;
	struct share_aud *sa;
	struct share *sh;
	struct chain *c, *tmp;
	unsigned int unknown;
	struct peer *p;

	TAILQ_FOREACH(p, &n->peers, link) {
		if (p->session == NULL || !p->session->up)
			continue;
		unknown = 0;
		sh = sync_share(p->session, o, false);
		if (sh == NULL)
			continue;
		TAILQ_FOREACH(sa, &sh->auds, link)
			want_chain(n, o, sa, &unknown);
	}
	TAILQ_FOREACH_SAFE(c, &os->chains, link, tmp)
	{
		if (wanted(n, o, &c->id, c->type))
			plan_one(n, o, c, c->fetch, &c->retry);
		else if (c->fetch != NULL)
			fetch_cancel(c->fetch);
	}
}

static void
stop_origin(struct osync *os)
{
	struct chain *c;

	if (os->fetch != NULL)
		fetch_cancel(os->fetch);
	TAILQ_FOREACH(c, &os->chains, link) {
		if (c->fetch != NULL)
			fetch_cancel(c->fetch);
	}
}

static void
plan(struct node *n)
{
	struct osync *os;
	struct origin *o;

	TAILQ_FOREACH(o, &n->origins, link) {
		if (o->own)
			continue;
		os = sync_of(o);
		if (os == NULL)
			continue;
		/* Removed, suspended or frozen: its log stays as it is. */
		if (o->frozen || o->peer == NULL || o->peer->suspended || n->draining) {
			stop_origin(os);
			continue;
		}
		plan_one(n, o, NULL, os->fetch, &os->retry);
		plan_records(n, o);
	}
}

/* Beginning and ending fetches asks for plans in turn: one at a time. */
void
sync_plan(struct node *n)
{
	struct sync *y = n->sync;

	if (y == NULL)
		return;
	if (y->planning) {
		y->again = true;
		return;
	}
	y->planning = true;
	do {
		y->again = false;
		plan(n);
	} while (y->again);
	y->planning = false;
}

/* Its source is ahead, may send, and does not. */
static void
check_stall(struct fetch *f, struct nrs_mono now)
{
	struct node *n = f->session->node;
	struct retry *r = fetch_retry(f);
	uint64_t have, want = f->chain != NULL ? sync_next(f->chain) : f->origin->put.size;
	uint64_t end = f->progress.ns + r->stall_s * SECOND;

	if (!could_give(f->session, f->origin, f->chain, &have) || have <= want ||
	    f->credit <= 0 || (f->chain != NULL && !TAILQ_EMPTY(&f->chain->recs))) {
		f->progress = now;
		return;
	}
	if (now.ns < end) {
		node_wake_at(n, (struct nrs_mono){ end });
		return;
	}
	r->stall_s = r->stall_s * 2 > STALL_MAX ? STALL_MAX : r->stall_s * 2;
	r->avoid = f->session->peer;
	r->avoid_until.ns = now.ns + AVOID_TIME;
	session_peer_log(f->session->peer, NRS_LOG_INFO,
	    "%s of %s do not come, asking again", f->chain != NULL ? "records" : "leaves",
	    f->origin->name);
	fetch_cancel(f);
	/* Asked again here only if nobody else has it. */
	r->at = now;
}

void
sync_on_timer(struct node *n, struct nrs_mono now)
{
	struct fetch *f, *tmp;
	struct peer *p;

	TAILQ_FOREACH(p, &n->peers, link) {
		if (p->session == NULL || !p->session->up)
			continue;
		TAILQ_FOREACH_SAFE(f, &p->session->fetches, link, tmp)
		check_stall(f, now);
	}
	ingest_on_timer(n, now);
	give_credits(n);
	sync_plan(n);
}

/* --- sessions come and go ------------------------------------------------------------------- */

/*
 * Chains of which nothing was ever taken in: somebody named them.  Whoever still
 * does makes them again.  Not to be called while chains are being walked.
 */
static void
drop_unknown(struct node *n)
{
	struct chain *c, *tmp;
	struct osync *os;
	struct origin *o;

	TAILQ_FOREACH(o, &n->origins, link) {
		os = o->sync_priv;
		if (os == NULL)
			continue;
		TAILQ_FOREACH_SAFE(c, &os->chains, link, tmp)
		{
			if (c->audience != NULL || c->fetch != NULL ||
			    !TAILQ_EMPTY(&c->recs))
				continue;
			TAILQ_REMOVE(&os->chains, c, link);
			nrs_map_del(os->chain_by_id, c->id.b);
			free(c);
		}
	}
}

void
sync_session_down(struct session *s)
{
	struct share_aud *sa;
	struct fetch *f;
	struct share *sh;

	while ((f = TAILQ_FIRST(&s->fetches)) != NULL) {
		if (f->chain != NULL)
			f->chain->fetched = false;
		fetch_end(f);
	}
	while ((sh = TAILQ_FIRST(&s->shares)) != NULL) {
		while ((sa = TAILQ_FIRST(&sh->auds)) != NULL) {
			TAILQ_REMOVE(&sh->auds, sa, link);
			free(sa);
		}
		nrs_map_free(sh->aud_by_id);
		TAILQ_REMOVE(&s->shares, sh, link);
		free(sh);
	}
	drop_unknown(s->node);
	/* Others may take over: not from here, the caller is taking things apart. */
	node_wake_at(s->node, session_now(s->node));
}

static void
avoid_forget(struct retry *r, const struct peer *p)
{
	if (r->avoid == p)
		r->avoid = NULL;
}

void
sync_peer_fini(struct peer *p)
{
	struct osync *os;
	struct origin *o;
	struct chain *c;

	TAILQ_FOREACH(o, &p->node->origins, link) {
		os = o->sync_priv;
		if (os == NULL)
			continue;
		avoid_forget(&os->retry, p);
		TAILQ_FOREACH(c, &os->chains, link)
			avoid_forget(&c->retry, p);
	}
}

void
sync_communities_changed(struct node *n)
{
	struct osync *os;
	struct origin *o;
	struct chain *c;
	struct peer *p;

	/* What waited for a statement need not wait any more. */
	TAILQ_FOREACH(o, &n->origins, link) {
		os = o->sync_priv;
		if (os == NULL)
			continue;
		TAILQ_FOREACH(c, &os->chains, link) {
			if (c->type == AUD_COMMUNITY)
				c->retry.at.ns = 0;
		}
	}
	TAILQ_FOREACH(p, &n->peers, link) {
		if (p->session != NULL && p->session->up)
			sync_session_changed(p->session);
	}
	sync_plan(n);
}

int
sync_init(struct node *n)
{
	n->sync = calloc(1, sizeof(*n->sync));
	return n->sync == NULL ? NRS_ENOMEM : 0;
}

void
sync_fini(struct node *n)
{
	struct origin *o;

	if (n->sync == NULL)
		return;
	TAILQ_FOREACH(o, &n->origins, link)
		sync_origin_fini(o);
	free(n->sync);
	n->sync = NULL;
}

void
sync_credits(struct node *n)
{
	give_credits(n);
}
