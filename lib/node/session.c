/*
 * Sessions: who is connected, in which state a peer is, and when it is dialled
 * again (PROTOCOL.md, section 2).  The state of a peer has one writer,
 * peer_enter(), and one table that says which moves there are.
 *
 * A session ends for these reasons only: HELLO failed or did not come, nothing
 * was heard for 60 s, another connection took its place, the peer was suspended
 * or removed, the node is draining, BYE, or the environment lost it.
 */
#include "node/session_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HELLO_TIME  (10 * SECOND)
#define PING_TIME   (20 * SECOND)
#define DEAD_TIME   (60 * SECOND)
#define LINGER_TIME (2 * SECOND)
#define STABLE_TIME (10 * SECOND) /* up for so long: the back-off starts anew */
#define BACKOFF_MIN 1000u
#define BACKOFF_MAX 60000u
#define REFUSE_RATE 100u
#define OUT_MAX	    (64u << 20)
#define OUT_FLUSH   (64u << 10)
#define DAY	    (86400 * SECOND)
#define QUOTA_HOLD  (60 * SECOND) /* within a rate for so long: the alarm is over */

struct sessions {
	TAILQ_HEAD(, session) all;
	/* Statements are told to peers once they are durable. */
	struct nrs_jwait wait;
	bool waiting;
	bool again;
	bool started;
};

/* --- the states of a peer ------------------------------------------------ */

#define TO(s) (1u << (s))
static const struct {
	const char *name;
	uint64_t time; /* ns until the state is left by itself; 0: no limit */
	unsigned int to;
} states[PEER__MAX] = {
	[PEER_OFF] = { "off", 0, TO(PEER_IDLE) },
	[PEER_IDLE] = { "idle", 0, TO(PEER_OFF) | TO(PEER_DIALING) | TO(PEER_HELLO) },
	[PEER_DIALING] = { "dialing", 0, TO(PEER_OFF) | TO(PEER_IDLE) | TO(PEER_HELLO) },
	[PEER_HELLO] = { "hello", HELLO_TIME,
	    TO(PEER_OFF) | TO(PEER_IDLE) | TO(PEER_HELLO) | TO(PEER_UP) },
	[PEER_UP] = { "up", 0, TO(PEER_OFF) | TO(PEER_IDLE) | TO(PEER_HELLO) },
};

struct nrs_mono
session_now(const struct node *n)
{
	return n->env->ops->mono(n->env);
}

static struct nrs_mono
after(struct nrs_mono t, uint64_t ns)
{
	t.ns += ns;
	return t;
}

static void
peer_subject(const struct peer *p, char *buf, size_t len)
{
	snprintf(buf, len, "peer %s", p->name);
}

void
session_peer_log(struct peer *p, enum nrs_level lvl, const char *fmt, ...)
{
	char subject[NRS_ORIGIN_MAX + 8], text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	peer_subject(p, subject, sizeof(subject));
	node_log(p->node, lvl, subject, "%s", text);
}

static void
peer_enter(struct peer *p, enum peer_state to, const char *why)
{
	struct peer_session *ps = p->session_priv;
	enum peer_state from = ps->state;
	bool loud = from == PEER_UP || to == PEER_UP;

	if (from == to && to != PEER_HELLO)
		return;
	if (!(states[from].to & TO(to))) {
		session_peer_log(p, NRS_LOG_ERROR, "no way from %s to %s, %s",
		    states[from].name, states[to].name, why);
		return;
	}
	ps->state = to;
	ps->entered = session_now(p->node);
	p->info.state = states[to].name;
	snprintf(p->why, sizeof(p->why), "%s", why);
	p->info.why = p->why;
	p->info.up_since_ms = 0;
	if (to == PEER_UP)
		p->info.up_since_ms = p->node->env->ops->wall(p->node->env).ms;
	if (states[to].time != 0)
		node_wake_at(p->node, after(ps->entered, states[to].time));
	session_peer_log(p, loud ? NRS_LOG_NOTICE : NRS_LOG_INFO, "%s -> %s, %s",
	    states[from].name, states[to].name, why);
}

/* Full jitter: anywhere between now and the back-off, which doubles. */
static void
peer_redial_later(struct peer *p)
{
	struct node *n = p->node;
	uint64_t r;

	p->backoff_ms = p->backoff_ms == 0 ? BACKOFF_MIN : p->backoff_ms * 2;
	if (p->backoff_ms > BACKOFF_MAX)
		p->backoff_ms = BACKOFF_MAX;
	n->env->ops->random(n->env, &r, sizeof(r));
	p->redial_at = after(session_now(n), 1 + r % (p->backoff_ms * MSEC));
	node_wake_at(n, p->redial_at);
}

static void
peer_dial(struct peer *p)
{
	p->redial_at.ns = 0;
	p->dialing = true;
	peer_enter(p, PEER_DIALING, "time to connect");
	p->node->env->ops->dial(p->node->env, p->name);
}

void
session_peer_init(struct peer *p)
{
	struct peer_session *ps = calloc(1, sizeof(*ps));

	/* Without memory the peer stays off: nothing below touches it then. */
	p->session_priv = ps;
	TAILQ_INIT(&p->acks);
	p->info.state = states[PEER_OFF].name;
	p->why[0] = '\0';
	p->info.why = p->why;
}

void
session_peer_fini(struct peer *p)
{
	struct peer_ack *a;

	if (p->session != NULL)
		session_close(p->session, NRS_ESUSPENDED, "no longer a peer");
	sync_peer_fini(p);
	while ((a = TAILQ_FIRST(&p->acks)) != NULL) {
		TAILQ_REMOVE(&p->acks, a, link);
		free(a);
	}
	if (p->session_priv != NULL)
		free(((struct peer_session *)p->session_priv)->shared);
	free(p->session_priv);
	p->session_priv = NULL;
}

/* --- life of a session ---------------------------------------------------- */

static void
session_free(struct session *s)
{
	struct known *k;

	while ((k = TAILQ_FIRST(&s->known)) != NULL) {
		TAILQ_REMOVE(&s->known, k, link);
		free(k);
	}
	wire_reader_fini(&s->reader);
	nrs_buf_fini(&s->out);
	free(s);
}

static void
session_forget(struct session *s)
{
	if (s->dead)
		return;
	s->dead = true;
	nrs_map_del(s->node->conns, &s->conn);
}

static void
session_cut(struct session *s)
{
	if (s->dead)
		return;
	session_forget(s);
	s->node->env->ops->close(s->node->env, s->conn);
}

/* Takes the session from its peer: nothing more is done for it. */
static void
session_detach(struct session *s, const char *why)
{
	struct peer *p = s->peer;
	struct peer_session *ps;
	bool stable;

	if (p == NULL)
		return;
	ps = p->session_priv;
	if (s->up) {
		sync_session_down(s);
		serve_session_down(s);
	}
	stable = s->up && session_now(p->node).ns - ps->entered.ns >= STABLE_TIME;
	s->up = false;
	s->peer = NULL;
	if (p->session != s)
		return;
	p->session = NULL;
	if (stable)
		p->backoff_ms = 0;
	peer_enter(p, p->suspended || p->node->draining ? PEER_OFF : PEER_IDLE, why);
	if (!p->suspended && !p->node->draining)
		peer_redial_later(p);
}

void
session_close(struct session *s, int err, const char *why)
{
	struct wire_bye bye = { 0 };
	size_t at;

	if (s->dead || s->peer == NULL)
		return;
	if (err != 0) {
		bye.code = (uint16_t)nrs_err_wire(err);
		snprintf(bye.text, sizeof(bye.text), "%s", why);
		at = session_begin(s, WIRE_BYE, 0, 0);
		wire_bye_encode(&s->out, &bye);
		session_end(s, at);
		session_flush(s);
	}
	session_detach(s, why);
	if (s->dead)
		return;
	if (err == 0 || session_backlog(s) == 0) {
		session_cut(s);
		return;
	}
	s->linger = after(session_now(s->node), LINGER_TIME);
	node_wake_at(s->node, s->linger);
}

size_t
session_begin(struct session *s, uint8_t type, uint8_t flags, uint16_t stream)
{
	size_t at;

	if (s->out.len >= OUT_FLUSH && !s->carrier)
		session_flush(s);
	wire_begin(&s->out, type, flags, stream, &at);
	return at;
}

void
session_end(struct session *s, size_t at)
{
	wire_end(&s->out, at);
}

void
session_flush(struct session *s)
{
	struct nrs_env *env = s->node->env;
	int rc = s->out.err;

	if (s->dead || s->broken || (s->out.len == 0 && rc == 0)) {
		nrs_buf_reset(&s->out);
		return;
	}
	if (rc == 0)
		rc = env->ops->send(env, s->conn, s->out.p, s->out.len);
	if (s->peer != NULL)
		s->peer->info.tx_bytes += s->out.len;
	nrs_buf_reset(&s->out);
	/*
	 * What the other side got ends somewhere: only a new session helps.  It is
	 * taken down at the end of the turn, not below the feet of the callers.
	 */
	if (rc != 0)
		s->broken = true;
}

size_t
session_backlog(const struct session *s)
{
	if (s->dead)
		return 0;
	if (s->carrier)
		return s->out.len;
	return s->out.len + s->node->env->ops->unsent(s->node->env, s->conn);
}

void
session_refuse(struct session *s, int err, uint16_t stream, const struct nrs_hash *origin,
    uint64_t index, uint64_t seq, const char *text)
{
	struct wire_refuse m = { 0 };
	struct nrs_mono now = session_now(s->node);
	size_t at;

	node_count_refusal(s->node, err);
	if (s->import != NULL)
		carry_refused(s->import, err, origin, index, text);
	if (s->peer == NULL || s->import != NULL)
		return;
	s->peer->info.refused_in++;
	if (now.ns - s->refuse_at.ns >= SECOND) {
		s->refuse_at = now;
		s->refuse_tokens = REFUSE_RATE;
	}
	if (s->refuse_tokens == 0)
		return;
	s->refuse_tokens--;
	m.code = (uint16_t)nrs_err_wire(err);
	m.stream = stream;
	m.index = index;
	m.seq = seq;
	if (origin != NULL)
		m.origin = *origin;
	snprintf(m.text, sizeof(m.text), "%s",
	    text != NULL && text[0] != '\0' ? text : nrs_strerror(err));
	at = session_begin(s, WIRE_REFUSE, 0, 0);
	wire_refuse_encode(&s->out, &m);
	session_end(s, at);
}

bool
session_is_mine(const struct session *s, uint16_t stream)
{
	return ((stream & 1) != 0) == s->dialed;
}

static void
send_hello(struct session *s)
{
	struct node *n = s->node;
	const struct origin_manifest *m = &n->own->manifests[n->own->nmanifests - 1];
	struct wire_hello h = { .version = WIRE_VERSION };
	size_t at;

	snprintf(h.origin, sizeof(h.origin), "%s", n->name);
	h.clock = n->env->ops->wall(n->env);
	h.manifest = m->m.number;
	h.manifest_hash = m->m.hash;
	at = session_begin(s, WIRE_HELLO, 0, 0);
	wire_hello_encode(&s->out, &h);
	session_end(s, at);
	session_flush(s);
}

static struct session *
session_new(struct node *n, struct peer *p, nrs_conn c, bool dialed)
{
	struct session *s = calloc(1, sizeof(*s));

	if (s == NULL || nrs_map_set(n->conns, &c, s, NULL) != 0) {
		free(s);
		return NULL;
	}
	s->node = n;
	s->peer = p;
	s->conn = c;
	s->dialed = dialed;
	s->last_rx = session_now(n);
	s->last_ping = s->last_rx;
	s->refuse_at = s->last_rx;
	s->refuse_tokens = REFUSE_RATE;
	s->next_stream = dialed ? 1 : 2;
	nrs_buf_init(&s->out, OUT_MAX);
	TAILQ_INIT(&s->shares);
	TAILQ_INIT(&s->known);
	TAILQ_INIT(&s->fetches);
	TAILQ_INIT(&s->servings);
	TAILQ_INSERT_TAIL(&n->sessions->all, s, link);
	return s;
}

/* Of two connections to one peer: does the new one stay? (PROTOCOL.md, section 2, 2) */
static bool
newer_stays(const struct session *old, bool dialed)
{
	const struct node *n = old->node;
	bool smaller;

	if (old->dialed == dialed)
		return true;
	smaller = memcmp(n->id.b, old->peer->origin->id.b, NRS_HASH_LEN) < 0;
	return dialed == smaller;
}

static struct peer *
peer_by_pin(const struct node *n, const struct nrs_hash *pin)
{
	const struct nrs_manifest *m;
	struct peer *p;

	TAILQ_FOREACH(p, &n->peers, link) {
		if (p->suspended || p->origin == NULL || p->origin->nmanifests == 0)
			continue;
		m = &p->origin->manifests[p->origin->nmanifests - 1].m;
		for (unsigned int i = 0; i < m->ntls; i++) {
			if (nrs_hash_eq(&m->tls_pin[i], pin))
				return p;
		}
	}
	return NULL;
}

const char *
node_pin_find(const struct node *n, const struct nrs_hash *pin)
{
	const struct peer *p = peer_by_pin(n, pin);

	return p == NULL ? NULL : p->name;
}

void
node_on_connected(struct node *n, nrs_conn c, const struct nrs_hash *pin, bool dialed)
{
	struct peer *p = peer_by_pin(n, pin);
	struct session *old, *s;

	if (p != NULL && dialed)
		p->dialing = false;
	if (p == NULL || p->session_priv == NULL || n->draining || n->failed) {
		n->env->ops->close(n->env, c);
		return;
	}
	s = session_new(n, p, c, dialed);
	if (s == NULL) {
		n->env->ops->close(n->env, c);
		return;
	}
	old = p->session;
	if (old != NULL && !newer_stays(old, dialed)) {
		/* Not the peer's session: only its BYE goes over it. */
		session_close(s, NRS_EEXISTS, "another connection is used");
		return;
	}
	p->session = s;
	p->info.dialed = dialed;
	p->redial_at.ns = 0;
	if (old != NULL)
		session_close(old, NRS_EEXISTS, "another connection took its place");
	peer_enter(p, PEER_HELLO, dialed ? "connected" : "it connected");
	send_hello(s);
}

void
node_on_dial_failed(struct node *n, const char *peer, const char *why)
{
	struct peer *p;

	TAILQ_FOREACH(p, &n->peers, link) {
		if (strcmp(p->name, peer) == 0)
			break;
	}
	if (p == NULL)
		return;
	p->dialing = false;
	if (p->session != NULL || p->session_priv == NULL)
		return;
	peer_enter(p, p->suspended || n->draining ? PEER_OFF : PEER_IDLE, why);
	if (!p->suspended && !n->draining)
		peer_redial_later(p);
}

void
node_on_closed(struct node *n, nrs_conn c, const char *why)
{
	struct session *s = nrs_map_find(n->conns, &c);

	if (s == NULL)
		return;
	session_forget(s);
	session_detach(s, why != NULL ? why : "connection lost");
}

void
node_on_writable(struct node *n, nrs_conn c)
{
	struct session *s = nrs_map_find(n->conns, &c);

	if (s == NULL)
		return;
	if (s->peer == NULL) {
		if (session_backlog(s) == 0)
			session_cut(s);
		return;
	}
	s->serve_more = s->up;
}

void
node_on_data(struct node *n, nrs_conn c, const uint8_t *p, size_t len)
{
	struct session *s = nrs_map_find(n->conns, &c);
	struct wire_frame f;
	int rc;

	if (s == NULL || s->peer == NULL || len == 0)
		return;
	s->last_rx = session_now(n);
	s->peer->info.rx_bytes += len;
	while (!s->dead && !s->broken && s->peer != NULL) {
		rc = wire_reader_next(&s->reader, &p, &len, &f);
		if (rc == 0)
			return;
		if (rc < 0) {
			session_close(s, rc, nrs_strerror(rc));
			return;
		}
		session_frame(s, &f);
	}
}

int
node_peer_kick(struct node *n, const char *peer)
{
	struct peer *p;

	TAILQ_FOREACH(p, &n->peers, link) {
		if (strcmp(p->name, peer) == 0)
			break;
	}
	if (p == NULL)
		return NRS_EUNKNOWN;
	p->backoff_ms = 0;
	if (p->session == NULL && !p->dialing && !p->suspended && p->session_priv != NULL) {
		p->redial_at = session_now(n);
		node_wake_at(n, p->redial_at);
	}
	return 0;
}

/* HELLO was good (session_msg.c). */
void
session_up(struct session *s)
{
	s->up = true;
	peer_enter(s->peer, PEER_UP, "HELLO agreed");
	session_send_communities(s);
	sync_session_up(s);
}

/* --- quotas ---------------------------------------------------------------- */

static uint64_t
quota_of(const struct peer *p, enum peer_quota q)
{
	const uint64_t v[QUOTA__MAX] = { p->records_per_s, p->bytes_per_day,
		p->leaves_per_day, p->disk_share };

	return v[q];
}

/* Options of the stanza of a peer: what the operator has to change. */
static const char *const quota_names[QUOTA__MAX] = { "records-per-second", "bytes-per-day",
	"leaves-per-day", "disk-share" };

static void
quota_show(struct peer *p)
{
	const struct peer_session *ps = p->session_priv;

	p->info.quota = NULL;
	for (unsigned int q = QUOTA__MAX; q-- > 0;)
		if (ps->beyond[q])
			p->info.quota = quota_names[q];
}

/* One alarm, however long it goes on; over: it is so now. */
static void
quota_alarm(struct peer *p, enum peer_quota q, bool over, struct nrs_mono now)
{
	struct peer_session *ps = p->session_priv;

	/* A rate is kept by stopping and going on: that is one alarm, too. */
	if (q == QUOTA_RECORDS && over)
		ps->beyond_at = now;
	if (over == ps->beyond[q] ||
	    (q == QUOTA_RECORDS && !over && now.ns - ps->beyond_at.ns < QUOTA_HOLD))
		return;
	ps->beyond[q] = over;
	p->info.quota_stops += over;
	quota_show(p);
	if (over)
		session_peer_log(p, NRS_LOG_WARNING,
		    "beyond its %s of %llu: it has to wait", quota_names[q],
		    (unsigned long long)quota_of(p, q));
	else
		session_peer_log(p, NRS_LOG_NOTICE, "within its %s again", quota_names[q]);
}

static uint64_t
quota_used(struct peer *p, enum peer_quota q, struct nrs_mono now)
{
	struct peer_session *ps = p->session_priv;

	switch (q) {
	case QUOTA_BYTES:
	case QUOTA_LEAVES:
		if (ps->day_at.ns == 0 || now.ns - ps->day_at.ns >= DAY) {
			ps->day_at = now;
			ps->day_bytes = 0;
			ps->day_leaves = 0;
		}
		return q == QUOTA_BYTES ? ps->day_bytes : ps->day_leaves;
	case QUOTA_DISK:
		return p->origin != NULL ? origin_disk(p->origin) : 0;
	default:
		return 0;
	}
}

/* A debt of what came too fast is paid off at the agreed rate. */
static bool
rate_over(struct peer *p, struct nrs_mono now)
{
	struct peer_session *ps = p->session_priv;
	uint64_t paid, ms = (now.ns - ps->rate_at.ns) / MSEC;

	if (p->records_per_s == 0) {
		ps->rate_debt = 0;
		return false;
	}
	paid = ms > UINT64_MAX / 1000000 ? UINT64_MAX : ms * p->records_per_s / 1000;
	if (paid > 0) {
		ps->rate_debt -= paid < ps->rate_debt ? paid : ps->rate_debt;
		ps->rate_at = now;
	}
	return ps->rate_debt > p->records_per_s;
}

/* Is the peer within this quota of its? */
static bool
quota_ok(struct peer *p, enum peer_quota q)
{
	struct peer_session *ps = p->session_priv;
	struct nrs_mono now = session_now(p->node);
	uint64_t max = quota_of(p, q);
	bool over;

	over = q == QUOTA_RECORDS ? rate_over(p, now)
				  : max != 0 && quota_used(p, q, now) >= max;
	quota_alarm(p, q, over, now);
	if (over && q == QUOTA_RECORDS)
		node_wake_at(p->node, after(now, SECOND));
	else if (over && q != QUOTA_DISK)
		node_wake_at(p->node, after(ps->day_at, DAY));
	return !over;
}

/* Those that were beyond one may be within it again, and nobody asks. */
static void
quotas_timer(struct peer *p)
{
	const struct peer_session *ps = p->session_priv;

	for (unsigned int q = 0; ps != NULL && q < QUOTA__MAX; q++)
		if (ps->beyond[q])
			(void)quota_ok(p, q);
}

bool
session_quota(struct session *s)
{
	bool rate = quota_ok(s->peer, QUOTA_RECORDS);

	return quota_ok(s->peer, QUOTA_BYTES) && rate;
}

void
session_quota_charge(struct session *s, uint64_t records, uint64_t bytes)
{
	struct peer_session *ps = s->peer->session_priv;

	ps->day_bytes += bytes;
	if (s->peer->records_per_s != 0)
		ps->rate_debt += records;
}

bool
session_quota_disk(const struct origin *o)
{
	return o->peer == NULL || o->peer->session_priv == NULL ||
	    quota_ok(o->peer, QUOTA_DISK);
}

bool
session_quota_leaves(const struct origin *o)
{
	return session_quota_disk(o) &&
	    (o->peer == NULL || o->peer->session_priv == NULL ||
		quota_ok(o->peer, QUOTA_LEAVES));
}

void
session_quota_charge_leaves(const struct origin *o, uint64_t leaves)
{
	struct peer_session *ps = o->peer != NULL ? o->peer->session_priv : NULL;

	if (ps != NULL)
		ps->day_leaves += leaves;
}

/* --- timers, turns ----------------------------------------------------------- */

static void
keepalive(struct session *s, struct nrs_mono now)
{
	struct nrs_mono next;
	size_t at;

	if (s->node->real_time_off)
		return;
	if (now.ns - s->last_rx.ns >= DEAD_TIME) {
		session_close(s, NRS_ECANCELED, "nothing heard for 60 s");
		return;
	}
	if (now.ns - s->last_rx.ns >= PING_TIME && now.ns - s->last_ping.ns >= PING_TIME) {
		at = session_begin(s, WIRE_PING, 0, 0);
		wire_ping_encode(&s->out, now.ns);
		session_end(s, at);
		s->last_ping = now;
	}
	next = after(s->last_rx, PING_TIME);
	if (next.ns <= now.ns)
		next = after(s->last_ping, PING_TIME);
	if (next.ns > s->last_rx.ns + DEAD_TIME)
		next.ns = s->last_rx.ns + DEAD_TIME;
	node_wake_at(s->node, next);
}

static void
peer_timer(struct peer *p, struct nrs_mono now)
{
	struct peer_session *ps = p->session_priv;
	uint64_t end;

	if (ps == NULL || p->suspended || p->node->draining)
		return;
	if (ps->state == PEER_OFF) {
		peer_enter(p, PEER_IDLE, "may connect");
		p->redial_at = now;
	}
	if (ps->state == PEER_HELLO && p->session != NULL) {
		end = ps->entered.ns + states[PEER_HELLO].time;
		if (now.ns >= end)
			session_close(p->session, NRS_ESTATE, "no HELLO within 10 s");
		else
			node_wake_at(p->node, (struct nrs_mono){ end });
	}
	if (ps->state == PEER_UP && p->session != NULL)
		keepalive(p->session, now);
	if (ps->state != PEER_IDLE || p->dialing || p->redial_at.ns == 0)
		return;
	if (now.ns >= p->redial_at.ns)
		peer_dial(p);
	else
		node_wake_at(p->node, p->redial_at);
}

void
session_on_timer(struct node *n, struct nrs_mono now)
{
	struct session *s, *tmp;
	struct peer *p;

	if (!n->sessions->started) {
		n->sessions->started = true;
		session_communities_changed(n);
	}
	TAILQ_FOREACH(p, &n->peers, link) {
		peer_timer(p, now);
		quotas_timer(p);
	}
	TAILQ_FOREACH_SAFE(s, &n->sessions->all, link, tmp)
	{
		if (s->dead || s->peer != NULL)
			continue;
		if (session_backlog(s) == 0 || now.ns >= s->linger.ns)
			session_cut(s);
		else
			node_wake_at(n, s->linger);
	}
}

/* Peers in their own order, so that a turn does not depend on who connected first. */
void
session_turn(struct node *n)
{
	struct session *s, *tmp;
	struct peer *p;

	TAILQ_FOREACH(p, &n->peers, link) {
		s = p->session;
		if (s == NULL)
			continue;
		if (s->up && s->serve_more)
			serve_session(s);
		if (s->peer != NULL && s->up && s->serve_more)
			node_wake_at(n,
			    after(session_now(n), session_backlog(s) > 0 ? 20 * MSEC : 0));
		session_flush(s);
	}
	TAILQ_FOREACH_SAFE(s, &n->sessions->all, link, tmp)
	{
		if (s->broken && !s->dead) {
			session_detach(s, "sending failed");
			session_cut(s);
		}
		if (!s->dead)
			continue;
		TAILQ_REMOVE(&n->sessions->all, s, link);
		session_free(s);
	}
}

void
session_peers_changed(struct node *n)
{
	struct peer_session *ps;
	struct peer *p;

	TAILQ_FOREACH(p, &n->peers, link) {
		ps = p->session_priv;
		if (ps == NULL)
			continue;
		if (p->suspended) {
			if (p->session != NULL)
				session_close(p->session, NRS_ESUSPENDED,
				    "suspended by the operator");
			peer_enter(p, PEER_OFF, "suspended by the operator");
		} else if (p->session != NULL && p->session->up) {
			/* Communities or ceilings may be others now. */
			session_send_communities(p->session);
			session_push_statements(p->session);
			sync_session_changed(p->session);
		}
	}
	sync_plan(n);
	node_wake_at(n, session_now(n));
}

void
session_drain(struct node *n)
{
	struct peer *p;

	TAILQ_FOREACH(p, &n->peers, link) {
		if (p->session != NULL)
			session_close(p->session, NRS_ECANCELED, "shutting down");
		if (p->session_priv != NULL)
			peer_enter(p, PEER_OFF, "shutting down");
		p->redial_at.ns = 0;
	}
}

/* --- communities: told when durable ------------------------------------------- */

static void
communities_told(struct node *n)
{
	struct community *c;
	struct peer *p;

	TAILQ_FOREACH(c, &n->communities, link)
		c->shown = c->pending;
	TAILQ_FOREACH(p, &n->peers, link) {
		if (p->session == NULL || !p->session->up)
			continue;
		session_send_communities(p->session);
		session_push_statements(p->session);
		session_show_communities(p->session);
	}
	sync_communities_changed(n);
}

static void
communities_wait(struct node *n)
{
	struct sessions *ss = n->sessions;
	struct community *c;

	TAILQ_FOREACH(c, &n->communities, link)
		c->pending = c->n;
	if (nrs_journal_pending(n->journal) == 0) {
		communities_told(n);
		return;
	}
	ss->waiting = true;
	nrs_journal_wait(n->journal, &ss->wait);
}

static void
communities_durable(void *arg, int rc)
{
	struct node *n = arg;
	struct sessions *ss = n->sessions;

	ss->waiting = false;
	if (rc == NRS_EFULL) {
		ss->waiting = true;
		nrs_journal_wait(n->journal, &ss->wait);
		return;
	}
	if (rc != 0)
		return;
	communities_told(n);
	if (ss->again) {
		ss->again = false;
		communities_wait(n);
	}
}

void
session_communities_changed(struct node *n)
{
	if (n->sessions->waiting)
		n->sessions->again = true;
	else
		communities_wait(n);
}

int
session_init(struct node *n)
{
	n->sessions = calloc(1, sizeof(*n->sessions));
	if (n->sessions == NULL)
		return NRS_ENOMEM;
	TAILQ_INIT(&n->sessions->all);
	n->sessions->wait.done = communities_durable;
	n->sessions->wait.arg = n;
	node_wake_at(n, session_now(n));
	return 0;
}

void
session_fini(struct node *n)
{
	struct session *s;

	if (n->sessions == NULL)
		return;
	while ((s = TAILQ_FIRST(&n->sessions->all)) != NULL) {
		if (s->peer != NULL) {
			if (s->up) {
				sync_session_down(s);
				serve_session_down(s);
			}
			if (s->peer->session == s)
				s->peer->session = NULL;
			s->peer = NULL;
		}
		session_cut(s);
		TAILQ_REMOVE(&n->sessions->all, s, link);
		session_free(s);
	}
	free(n->sessions);
	n->sessions = NULL;
}
