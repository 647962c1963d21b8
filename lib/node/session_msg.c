/*
 * What comes in over a session: one table says in which state a frame may come
 * and who takes it.  A bad frame is refused and costs itself; only a HELLO that
 * does not fit ends the session.
 */
#include "node/session_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KNOWN_MAX  4096	      /* communities that one side may list */
#define ANSWER_MAX (8u << 20) /* statements of all communities, once */

static int
on_hello(struct session *s, const struct wire_frame *f)
{
	struct node *n = s->node;
	struct peer *p = s->peer;
	struct wire_hello h;
	const struct nrs_manifest *m;
	char text[160];
	int rc = wire_hello_decode(&h, f->body, f->len);

	p->info.version = h.version;
	if (rc != 0) {
		snprintf(text, sizeof(text), "HELLO: %s", nrs_strerror(rc));
		session_close(s, rc, text);
		return 0;
	}
	if (strcmp(h.origin, p->name) != 0) {
		session_close(s, NRS_EPIN, "the key is pinned for another origin");
		return 0;
	}
	p->info.clock_ms = (int64_t)(h.clock.ms - n->env->ops->wall(n->env).ms);
	if (p->info.clock_ms > NRS_CLOCK_SKEW_MS || p->info.clock_ms < -NRS_CLOCK_SKEW_MS)
		session_peer_log(p, NRS_LOG_WARNING,
		    "its clock differs from ours by %lld s",
		    (long long)(p->info.clock_ms / 1000));
	if (h.manifest < p->origin->nmanifests) {
		m = &p->origin->manifests[h.manifest].m;
		if (!nrs_hash_eq(&m->hash, &h.manifest_hash))
			session_peer_log(p, NRS_LOG_WARNING,
			    "its manifest %llu is not the one known here",
			    (unsigned long long)h.manifest);
	}
	session_up(s);
	return 0;
}

static int
on_bye(struct session *s, const struct wire_frame *f)
{
	struct wire_bye m;
	char text[WIRE_TEXT_MAX + 32];
	int rc = wire_bye_decode(&m, f->body, f->len);

	if (rc != 0)
		return rc;
	snprintf(text, sizeof(text), "it said BYE (%u %s)", m.code,
	    nrs_errname(nrs_err_from_wire(m.code)));
	session_close(s, 0, text);
	return 0;
}

static int
on_refuse(struct session *s, const struct wire_frame *f)
{
	struct wire_refuse m;
	int rc = wire_refuse_decode(&m, f->body, f->len);

	if (rc != 0)
		return rc;
	s->peer->info.refused_out++;
	/* Its own words are not for our log: they may hold anything. */
	if (m.index != NRS_NONE)
		session_peer_log(s->peer, NRS_LOG_INFO, "refused record %llu: %s",
		    (unsigned long long)m.index, nrs_strerror(nrs_err_from_wire(m.code)));
	else
		session_peer_log(s->peer, NRS_LOG_DEBUG, "refused on stream %u: %s",
		    m.stream, nrs_strerror(nrs_err_from_wire(m.code)));
	return 0;
}

static int
on_ping(struct session *s, const struct wire_frame *f)
{
	uint64_t token;
	size_t at;
	int rc = wire_ping_decode(&token, f->body, f->len);

	if (rc != 0 || f->type == WIRE_PONG)
		return rc;
	at = session_begin(s, WIRE_PONG, 0, 0);
	wire_ping_encode(&s->out, token);
	session_end(s, at);
	return 0;
}

/* --- communities ------------------------------------------------------------ */

static struct known *
known_find(struct session *s, const struct nrs_hash *id)
{
	struct known *k;

	TAILQ_FOREACH(k, &s->known, link) {
		if (memcmp(k->id.b, id->b, NRS_HASH_LEN) == 0)
			return k;
	}
	return NULL;
}

static struct known *
known_make(struct session *s, const struct nrs_hash *id)
{
	struct known *k = known_find(s, id);

	if (k != NULL)
		return k;
	k = calloc(1, sizeof(*k));
	if (k == NULL)
		return NULL;
	k->id = *id;
	TAILQ_INSERT_TAIL(&s->known, k, link);
	return k;
}

/* Is this peer a member now, as far as what is durable here says? */
static bool
told_to(const struct community *c, const struct peer *p)
{
	return c->trusted && c->shown > 0 && community_member_at(c, c->shown - 1, p->name);
}

void
session_send_communities(struct session *s)
{
	struct wire_community m;
	struct community *c;
	uint32_t n = 0;
	size_t at, count;

	at = session_begin(s, WIRE_COMMUNITIES, 0, 0);
	count = s->out.len;
	nrs_buf_u32(&s->out, 0);
	TAILQ_FOREACH(c, &s->node->communities, link) {
		if (!told_to(c, s->peer))
			continue;
		m.id = c->id;
		m.epoch = c->shown - 1;
		m.hash = c->v[c->shown - 1].s.hash;
		wire_community_encode(&s->out, &m);
		n++;
	}
	if (s->out.err == 0)
		nrs_put_u32(s->out.p + count, n);
	session_end(s, at);
}

/* STATEMENTS from epoch on, in as many frames as they need. */
static void
send_statements(struct session *s, const struct community *c, uint32_t epoch)
{
	size_t at, count, room;
	uint32_t n;

	while (epoch < c->shown) {
		at = session_begin(s, WIRE_STATEMENTS, 0, 0);
		count = s->out.len;
		room = NRS_FRAME_MAX - 4;
		nrs_buf_u32(&s->out, 0);
		for (n = 0; epoch < c->shown && c->v[epoch].note_len + 4 <= room; n++) {
			wire_statement_encode(
			    &s->out, c->v[epoch].note, c->v[epoch].note_len);
			room -= c->v[epoch].note_len + 4;
			epoch++;
		}
		if (s->out.err == 0)
			nrs_put_u32(s->out.p + count, n);
		session_end(s, at);
	}
}

void
session_push_statements(struct session *s)
{
	struct community *c;
	struct known *k;

	TAILQ_FOREACH(c, &s->node->communities, link) {
		if (!told_to(c, s->peer))
			continue;
		k = known_make(s, &c->id);
		if (k == NULL)
			return;
		if (k->listed && k->epoch >= c->shown - 1)
			continue;
		send_statements(s, c, k->listed ? k->epoch + 1 : 0);
		k->listed = true;
		k->epoch = c->shown - 1;
	}
}

/*
 * Another statement for one epoch, as it says: a hash proves nothing, so it only
 * gets ours again, and an honest one sends its own, too.  What is signed and
 * contradicts freezes the community (community.c).
 */
static void
compare_epoch(struct session *s, struct known *k, const struct wire_community *m)
{
	const struct community *c = community_find(s->node, &m->id);

	if (c == NULL || m->epoch >= c->n || k->disputed ||
	    nrs_hash_eq(&c->v[m->epoch].s.hash, &m->hash))
		return;
	k->disputed = true; /* once in a session: the answer may be long */
	k->listed = false;
	session_peer_log(s->peer, NRS_LOG_ERROR,
	    "says that it holds another statement for epoch %u of community %s", m->epoch,
	    c->name);
}

static int
on_communities(struct session *s, const struct wire_frame *f)
{
	struct wire_community m;
	struct wire_list l;
	struct known *k;
	int rc = wire_communities_decode(&l, f->body, f->len);

	if (rc != 0)
		return rc;
	if (l.n > KNOWN_MAX)
		return NRS_ELIMIT;
	/* The answer may be long: who does not take the last one asks in vain. */
	if (session_backlog(s) > ANSWER_MAX)
		return NRS_EBUSY;
	TAILQ_FOREACH(k, &s->known, link)
		k->listed = false;
	while (wire_communities_next(&l, &m)) {
		/* Only what is known here: the list cannot grow by what it makes up. */
		if (community_find(s->node, &m.id) == NULL)
			continue;
		k = known_make(s, &m.id);
		if (k == NULL)
			return NRS_ENOMEM;
		k->listed = true;
		k->epoch = m.epoch;
		compare_epoch(s, k, &m);
	}
	session_push_statements(s);
	session_show_communities(s);
	return 0;
}

/* Names of the communities that both sides hold the other to be a member of. */
void
session_show_communities(struct session *s)
{
	struct peer *p = s->peer;
	struct peer_session *ps = p->session_priv;
	struct community *c;
	struct known *k;
	unsigned int n = 0;
	const char **v;

	TAILQ_FOREACH(c, &s->node->communities, link)
		n++;
	v = calloc(n + 1, sizeof(*v));
	if (v == NULL)
		return;
	n = 0;
	TAILQ_FOREACH(c, &s->node->communities, link) {
		k = known_find(s, &c->id);
		if (k != NULL && k->listed && told_to(c, p))
			v[n++] = c->name;
	}
	free(ps->shared);
	ps->shared = v;
	p->info.communities = v;
	p->info.ncommunities = n;
}

int
session_statements(struct session *s, const struct wire_frame *f)
{
	struct nrs_detail d;
	struct wire_list l;
	struct nrs_str note;
	bool adopted = false;
	int rc = wire_statements_decode(&l, f->body, f->len);

	while (rc >= 0 && wire_statements_next(&l, &note)) {
		memset(&d, 0, sizeof(d));
		rc = community_take(s->node, note.p, note.len, false, &d);
		if (rc == 0)
			adopted = true;
		if (rc < 0)
			session_peer_log(s->peer, NRS_LOG_WARNING,
			    "sent a statement that does not count: %s%s%s",
			    nrs_strerror(rc), d.text[0] != '\0' ? ", " : "", d.text);
	}
	node_put_done(s->node);
	if (adopted)
		session_communities_changed(s->node);
	return rc < 0 ? rc : 0;
}

/* --- the table ----------------------------------------------------------------- */

static int
on_have(struct session *s, const struct wire_frame *f)
{
	return sync_have(s, f->body, f->len);
}

static int
on_ack(struct session *s, const struct wire_frame *f)
{
	return sync_ack(s, f->body, f->len);
}

static int
on_fetch(struct session *s, const struct wire_frame *f)
{
	if (session_is_mine(s, f->stream))
		return NRS_ERANGE;
	return serve_fetch(s, f);
}

static int
on_credit(struct session *s, const struct wire_frame *f)
{
	uint32_t bytes;
	int rc = wire_credit_decode(&bytes, f->body, f->len);

	if (rc == 0)
		serve_credit(s, f->stream, bytes);
	return rc;
}

static int
on_cancel(struct session *s, const struct wire_frame *f)
{
	if (f->len != 0)
		return NRS_ETRAILING;
	if (session_is_mine(s, f->stream))
		sync_canceled(s, f->stream);
	else
		serve_canceled(s, f->stream);
	return 0;
}

static int
on_data(struct session *s, const struct wire_frame *f)
{
	if (!session_is_mine(s, f->stream))
		return NRS_ERANGE;
	sync_data(s, f);
	return 0;
}

/* Reserved: chains of manifests on a pin mismatch, which end in the handshake today. */
static int
on_manifests(struct session *s, const struct wire_frame *f)
{
	return NRS_ETYPE;
}

static const struct {
	bool before; /* may come before the session is up */
	bool after;
	int (*take)(struct session *s, const struct wire_frame *f);
} takers[WIRE__MAX] = {
	[WIRE_HELLO] = { true, false, on_hello },
	[WIRE_BYE] = { true, true, on_bye },
	[WIRE_MANIFESTS] = { false, true, on_manifests },
	[WIRE_STATEMENTS] = { false, true, session_statements },
	[WIRE_COMMUNITIES] = { false, true, on_communities },
	[WIRE_HAVE] = { false, true, on_have },
	[WIRE_FETCH_LEAVES] = { false, true, on_fetch },
	[WIRE_FETCH_RECORDS] = { false, true, on_fetch },
	[WIRE_CREDIT] = { false, true, on_credit },
	[WIRE_CANCEL] = { false, true, on_cancel },
	[WIRE_LEAVES] = { false, true, on_data },
	[WIRE_RECORD] = { false, true, on_data },
	[WIRE_DATA] = { false, true, on_data },
	[WIRE_ACK] = { false, true, on_ack },
	[WIRE_REFUSE] = { false, true, on_refuse },
	[WIRE_PING] = { false, true, on_ping },
	[WIRE_PONG] = { false, true, on_ping },
};

void
session_frame(struct session *s, const struct wire_frame *f)
{
	int rc = wire_frame_check(f);

	if (rc == 0 && !(s->up ? takers[f->type].after : takers[f->type].before))
		rc = NRS_ESTATE;
	if (rc == 0)
		rc = takers[f->type].take(s, f);
	if (rc != 0 && !s->dead && s->peer != NULL) {
		session_peer_log(s->peer, NRS_LOG_DEBUG, "%s refused: %s",
		    wire_type_name(f->type), nrs_strerror(rc));
		session_refuse(
		    s, rc, f->stream, NULL, NRS_NONE, NRS_NONE, nrs_strerror(rc));
		/* A hole in a stream: what follows it cannot be used. */
		if (s->up && f->type >= WIRE_LEAVES && f->type <= WIRE_DATA &&
		    session_is_mine(s, f->stream))
			sync_hole(s, f->stream, rc);
	}
}
