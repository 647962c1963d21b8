/* Nodes in one process: keys, keeper, pipes, time. */
#include "tests/unit/node/pair.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOT, FEED, LOG, WITNESS, TLS };

static struct world *the_world; /* environments find their way back by it */

static void
need(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "# world: %s\n", what);
	abort();
}

static unsigned int
node_of(const struct nrs_env *env)
{
	for (unsigned int i = 0; i < the_world->n; i++) {
		if (&the_world->v[i].e->env == env)
			return i;
	}
	abort();
}

/* --- keeper ----------------------------------------------------------------- */

static int
sign_one(struct world_node *v, struct nrs_sign *s)
{
	uint8_t pae[NRS_PAE_MAX];
	size_t n;
	int rc = 0;

	switch (s->what) {
	case NRS_SIGN_HEADERS:
		for (size_t i = 0; rc == 0 && i < s->in_len / NRS_HEADER_LEN; i++) {
			n = nrs_header_pae(s->in + i * NRS_HEADER_LEN, pae);
			rc = nrs_seckey_sign(v->sec[FEED], pae, n, s->out + i * 64);
		}
		s->out_len = s->in_len / NRS_HEADER_LEN * 64;
		return rc;
	case NRS_SIGN_CHECKPOINT:
		s->out_len = 64;
		return nrs_seckey_sign(v->sec[LOG], s->in, s->in_len, s->out);
	case NRS_SIGN_STATEMENT:
		s->out_len = 64;
		return nrs_seckey_sign(v->sec[FEED], s->in, s->in_len, s->out);
	default:
		return v->base->sign_run(&v->e->env, s);
	}
}

static void
env_sign(struct nrs_env *env, struct nrs_sign *s)
{
	struct nrs_sign **p = &the_world->v[node_of(env)].signs;

	while (*p != NULL)
		p = &(*p)->next;
	s->next = NULL;
	*p = s;
}

static int
env_sign_run(struct nrs_env *env, struct nrs_sign *s)
{
	s->rc = sign_one(&the_world->v[node_of(env)], s);
	return s->rc;
}

/* --- network ----------------------------------------------------------------- */

static struct pipe_end *
end_find(struct world *w, nrs_conn id)
{
	for (unsigned int i = 0; id != 0 && i < w->nends; i++) {
		if (w->ends[i].id == id)
			return &w->ends[i];
	}
	return NULL;
}

static struct pipe_end *
end_new(struct world *w, unsigned int node, unsigned int other, bool dialed)
{
	static nrs_conn next = 1;
	struct pipe_end *e = NULL;

	for (unsigned int i = 0; e == NULL && i < w->nends; i++) {
		if (w->ends[i].id == 0)
			e = &w->ends[i];
	}
	if (e == NULL) {
		need(w->nends < 64, "too many connections");
		e = &w->ends[w->nends++];
	}
	memset(e, 0, sizeof(*e));
	e->id = next++;
	e->node = node;
	e->other = other;
	e->dialed = dialed;
	e->open = true;
	nrs_buf_init(&e->in, 256u << 20);
	return e;
}

static void
end_drop(struct pipe_end *e)
{
	nrs_buf_fini(&e->in);
	memset(e, 0, sizeof(*e));
}

static void
env_dial(struct nrs_env *env, const char *peer)
{
	struct world *w = the_world;
	unsigned int i = node_of(env), k;
	struct pipe_end *a, *b;

	for (k = 0; k < w->n; k++) {
		if (strcmp(w->v[k].name, peer) == 0)
			break;
	}
	need(k < w->n, "dialling a stranger");
	a = end_new(w, i, k, true);
	if (w->cut[i][k] || w->v[k].n == NULL)
		return; /* told as a failure */
	b = end_new(w, k, i, false);
	b->peer = a->id;
	a->peer = b->id;
}

static int
env_send(struct nrs_env *env, nrs_conn c, const void *buf, size_t len)
{
	struct pipe_end *a = end_find(the_world, c), *b;

	if (a == NULL || (b = end_find(the_world, a->peer)) == NULL)
		return 0; /* into the void, as the kernel would */
	nrs_buf_put(&b->in, buf, len);
	return b->in.err;
}

static size_t
env_unsent(struct nrs_env *env, nrs_conn c)
{
	return 0;
}

static void
env_close(struct nrs_env *env, nrs_conn c)
{
	struct pipe_end *a = end_find(the_world, c);

	if (a != NULL)
		end_drop(a);
}

static void
env_log(struct nrs_env *env, enum nrs_level lvl, const char *subject, const char *text)
{
	struct world_node *v = &the_world->v[node_of(env)];

	if (strstr(text, "two histories") != NULL)
		v->forks_logged++;
	if (getenv("PAIR_VERBOSE") != NULL)
		fprintf(stderr, "# %llu %s <%d> %s: %s\n",
		    (unsigned long long)(v->e->mono.ns / 1000000), v->name, (int)lvl,
		    subject, text);
}

/* --- kv: an idempotence cache that remembers nothing ---------------------------- */

static int
env_kv_get(struct nrs_env *env, const uint8_t key[16], uint64_t *ret)
{
	return NRS_ENOTFOUND;
}

static void
env_kv_put(struct nrs_env *env, const struct nrs_kv_item *items, size_t n, uint64_t mark)
{
	the_world->v[node_of(env)].kv_mark = mark;
}

static uint64_t
env_kv_mark(struct nrs_env *env)
{
	return the_world->v[node_of(env)].kv_mark;
}

static void
env_kv_clear(struct nrs_env *env)
{
	the_world->v[node_of(env)].kv_mark = 0;
}

/* --- the world ---------------------------------------------------------------------- */

static void
make_manifest(struct world_node *v)
{
	struct nrs_manifest m = { 0 };
	struct nrs_seckey *next;
	struct nrs_pubkey pub;
	struct nrs_buf text;
	uint8_t seed[32], sig[64], id[4];
	char name[64];

	for (unsigned int i = 0; i < 5; i++) {
		memset(seed, (int)i + 1, sizeof(seed));
		memcpy(seed, v->name, 8);
		need(nrs_seckey_from_seed(seed, &v->sec[i]) == 0, "key");
		nrs_seckey_public(v->sec[i], &v->pub[i]);
	}
	seed[31] = 99;
	need(nrs_seckey_from_seed(seed, &next) == 0, "key");
	nrs_seckey_public(next, &pub);
	nrs_seckey_free(next);
	need(nrs_tls_pin(&v->pub[TLS], &v->pin) == 0, "pin");
	snprintf(m.origin, sizeof(m.origin), "%s", v->name);
	m.created.ms = 1763800000000;
	m.root = v->pub[ROOT];
	need(nrs_rootkey_hash(&pub, &m.next_root) == 0, "root");
	m.feed = v->pub[FEED];
	m.log = v->pub[LOG];
	m.witness = v->pub[WITNESS];
	m.tls[0] = v->pub[TLS];
	m.ntls = 1;
	m.require_ed25519 = true;
	nrs_buf_init(&text, NRS_NOTE_MAX);
	nrs_buf_init(&v->manifest, NRS_NOTE_MAX);
	need(nrs_manifest_format(&text, &m) == 0, "manifest");
	need(nrs_seckey_sign(v->sec[ROOT], text.p, text.len, sig) == 0, "sign");
	snprintf(name, sizeof(name), "%s/root", v->name);
	need(nrs_note_keyid(name, NRS_NOTE_ED25519, v->pub[ROOT].pub, id) == 0, "id");
	nrs_buf_put(&v->manifest, text.p, text.len);
	nrs_buf_str(&v->manifest, "\n");
	nrs_note_add_sig(&v->manifest, name, id, sig, sizeof(sig));
	need(v->manifest.err == 0, "manifest");
	nrs_buf_fini(&text);
}

void
world_new(struct world *w, unsigned int n)
{
	static const char *const names[] = { "jp.cert.example", "us.cert.example",
		"sg.cert.example" };

	memset(w, 0, sizeof(*w));
	the_world = w;
	w->n = n;
	for (unsigned int i = 0; i < n; i++) {
		struct world_node *v = &w->v[i];

		snprintf(v->name, sizeof(v->name), "%s", names[i]);
		v->e = memenv_new(i + 1);
		v->base = v->e->env.ops;
		v->ops = *v->base;
		v->ops.sign = env_sign;
		v->ops.sign_run = env_sign_run;
		v->ops.verify = nrs_verify;
		v->ops.dial = env_dial;
		v->ops.send = env_send;
		v->ops.unsent = env_unsent;
		v->ops.close = env_close;
		v->ops.log = env_log;
		v->ops.kv_get = env_kv_get;
		v->ops.kv_put = env_kv_put;
		v->ops.kv_mark = env_kv_mark;
		v->ops.kv_clear = env_kv_clear;
		v->e->env.ops = &v->ops;
		v->e->wall.ms = 1795358400000;
		v->e->mono.ns = 1000000000;
		make_manifest(v);
	}
}

void
world_open(struct world *w, unsigned int i, bool create)
{
	static const char *const communities[] = { "iwwn" };
	struct node_peer_config peers[WORLD_NODES] = { 0 };
	struct node_config cfg = { 0 };
	struct nrs_detail d = { 0 };
	int rc;

	cfg.origin = w->v[i].name;
	cfg.manifest = w->v[i].manifest.p;
	cfg.manifest_len = w->v[i].manifest.len;
	cfg.segment_bytes = w->segment_bytes > 0 ? w->segment_bytes : 4u << 20;
	cfg.peers = peers;
	for (unsigned int k = 0; k < w->n; k++) {
		struct node_peer_config *p = &peers[cfg.npeers];

		if (k == i)
			continue;
		p->origin = w->v[k].name;
		p->manifest = w->v[k].manifest.p;
		p->manifest_len = w->v[k].manifest.len;
		p->communities = communities;
		p->ncommunities = 1;
		p->ceiling = NRS_TLP_RED;
		cfg.npeers++;
	}
	rc = node_open(&w->v[i].e->env, &cfg, create, &w->v[i].n, &d);
	if (rc != 0)
		fprintf(stderr, "# open %s: %d %s %s\n", cfg.origin, rc, nrs_errname(rc),
		    d.text);
	need(rc == 0, "open");
}

static void
ends_lost(struct world *w, unsigned int i)
{
	struct pipe_end *b;

	for (unsigned int k = 0; k < w->nends; k++) {
		if (w->ends[k].id == 0 || w->ends[k].node != i)
			continue;
		b = end_find(w, w->ends[k].peer);
		if (b != NULL)
			b->peer = 0;
		end_drop(&w->ends[k]);
	}
}

void
world_crash(struct world *w, unsigned int i)
{
	node_free(w->v[i].n);
	w->v[i].n = NULL;
	w->v[i].signs = NULL;
	ends_lost(w, i);
	memenv_crash(w->v[i].e, MEMENV_LOSE, 7);
}

void
world_free(struct world *w)
{
	for (unsigned int i = 0; i < w->n; i++) {
		node_free(w->v[i].n);
		w->v[i].n = NULL;
		ends_lost(w, i);
		nrs_buf_fini(&w->v[i].manifest);
		for (unsigned int k = 0; k < 5; k++)
			nrs_seckey_free(w->v[i].sec[k]);
	}
	for (unsigned int i = 0; i < w->n; i++)
		memenv_free(w->v[i].e);
}

void
world_cut(struct world *w, unsigned int a, unsigned int b, bool cut)
{
	w->cut[a][b] = w->cut[b][a] = cut;
	for (unsigned int k = 0; cut && k < w->nends; k++) {
		struct pipe_end *e = &w->ends[k];

		if (e->id != 0 &&
		    ((e->node == a && e->other == b) || (e->node == b && e->other == a)))
			e->peer = 0;
	}
}

void
world_inject(struct world *w, unsigned int i, unsigned int k, const void *p, size_t len)
{
	for (unsigned int j = 0; j < w->nends; j++) {
		struct pipe_end *e = &w->ends[j];

		if (e->id != 0 && e->node == i && e->other == k && e->peer != 0)
			nrs_buf_put(&e->in, p, len);
	}
}

/* One thing at one end of a pipe; false: nothing to do there. */
static bool
end_step(struct world *w, struct pipe_end *e)
{
	struct node *n = w->v[e->node].n;
	nrs_conn id = e->id;
	uint8_t *p;
	size_t len;

	if (id == 0 || n == NULL)
		return false;
	if (!e->told) {
		e->told = true;
		if (e->peer == 0 && e->dialed && e->in.len == 0) {
			unsigned int other = e->other;

			end_drop(e);
			node_on_dial_failed(n, w->v[other].name, "unreachable");
			return true;
		}
		node_on_connected(n, id, &w->v[e->other].pin, e->dialed);
		return true;
	}
	if (e->in.len > 0) {
		p = nrs_buf_take(&e->in, &len);
		nrs_buf_init(&e->in, 256u << 20);
		if (w->tap != NULL)
			w->tap(w, e, p, len);
		if (w->mangle != NULL)
			w->mangle(w, e->node, p, len);
		node_on_data(n, id, p, len);
		free(p);
		return true;
	}
	if (end_find(w, e->peer) == NULL) {
		end_drop(e);
		node_on_closed(n, id, "closed by the other side");
		return true;
	}
	return false;
}

static bool
node_step(struct world *w, unsigned int i)
{
	struct world_node *v = &w->v[i];
	bool did = false;
	struct nrs_sign *s;

	if (v->n == NULL)
		return false;
	for (unsigned int k = 0; k < w->nends; k++) {
		if (w->ends[k].id != 0 && w->ends[k].node == i)
			did = end_step(w, &w->ends[k]) || did;
	}
	while (memenv_step(v->e))
		did = true;
	while ((s = v->signs) != NULL) {
		v->signs = s->next;
		s->rc = sign_one(v, s);
		s->done(s);
		did = true;
	}
	if (v->e->wake.ns != 0 && v->e->wake.ns <= v->e->mono.ns) {
		v->e->wake.ns = 0;
		node_on_timer(v->n);
		did = true;
	}
	node_turn(v->n);
	return did;
}

void
world_run(struct world *w, unsigned int seconds)
{
	uint64_t end = w->v[0].e->mono.ns + seconds * UINT64_C(1000000000), next;
	unsigned int rounds = 0;
	bool did;

	for (;;) {
		did = false;
		for (unsigned int i = 0; i < w->n; i++)
			did = node_step(w, i) || did;
		need(rounds++ < 1000000, "no end of it");
		if (did)
			continue;
		next = end;
		for (unsigned int i = 0; i < w->n; i++) {
			if (w->v[i].n != NULL && w->v[i].e->wake.ns != 0 &&
			    w->v[i].e->wake.ns < next)
				next = w->v[i].e->wake.ns;
		}
		if (next >= end)
			break;
		for (unsigned int i = 0; i < w->n; i++) {
			w->v[i].e->wall.ms += (next - w->v[i].e->mono.ns) / 1000000;
			w->v[i].e->mono.ns = next;
		}
	}
	for (unsigned int i = 0; i < w->n; i++)
		w->v[i].e->mono.ns = end;
}

/* --- what tests do ------------------------------------------------------------------- */

static void
op_done(struct node_op *op, int rc)
{
	int *ret = op->arg;

	if (rc != 0)
		fprintf(stderr, "# op: %s %s\n", nrs_errname(rc), op->d.text);
	*ret = rc;
}

static void
op_wait(struct world *w, const int *rc, const char *what)
{
	for (unsigned int i = 0; *rc == 1 && i < 10; i++)
		world_run(w, 1);
	need(*rc == 0, what);
}

void
world_close(struct world *w)
{
	for (unsigned int i = 0; i < w->n; i++) {
		node_free(w->v[i].n);
		w->v[i].n = NULL;
		w->v[i].signs = NULL;
		ends_lost(w, i);
		memenv_crash(w->v[i].e, MEMENV_KILL, 1);
	}
}

void
world_clone(struct world *w, const struct world *base)
{
	*w = *base;
	the_world = w;
	memset(w->ends, 0, sizeof(w->ends));
	w->nends = 0;
	for (unsigned int i = 0; i < w->n; i++) {
		w->v[i].e = memenv_clone(base->v[i].e);
		w->v[i].e->env.ops = &w->v[i].ops;
	}
}

void
world_clone_free(struct world *w)
{
	for (unsigned int i = 0; i < w->n; i++) {
		node_free(w->v[i].n);
		w->v[i].n = NULL;
		ends_lost(w, i);
	}
	for (unsigned int i = 0; i < w->n; i++)
		memenv_free(w->v[i].e);
}

void
world_community(struct world *w)
{
	struct node_community_opts o = { .ceiling = NRS_TLP_AMBER_STRICT };
	struct node_op op = { .done = op_done };
	const struct community *c;
	int rc = 1;

	op.arg = &rc;
	node_community_create(w->v[0].n, "iwwn", &o, &op);
	op_wait(w, &rc, "community");
	for (unsigned int i = 1; i < w->n; i++) {
		rc = 1;
		memset(&op.d, 0, sizeof(op.d));
		node_community_member(w->v[0].n, "iwwn", w->v[i].name, true, &op);
		op_wait(w, &rc, "member");
	}
	for (unsigned int i = 1; i < w->n; i++) {
		c = community_find_name(w->v[0].n, "iwwn");
		need(c != NULL, "its community");
		for (unsigned int e = 0; e < c->n; e++) {
			rc = 1;
			memset(&op.d, 0, sizeof(op.d));
			node_statement_accept(
			    w->v[i].n, c->v[e].note, c->v[e].note_len, NULL, &op);
			op_wait(w, &rc, "accept");
		}
	}
	world_run(w, 5);
}

static void
submit_done(struct node_submit *s, int rc)
{
	if (rc != 0)
		fprintf(stderr, "# submit: %s %s\n", nrs_errname(rc), s->d.text);
	*(int *)s->arg = rc;
}

static void
make_bundle(struct world *w, unsigned int nobjects, size_t filler, struct nrs_buf *b)
{
	static unsigned int serial;

	nrs_buf_init(b, 16u << 20);
	serial++;
	nrs_buf_fmt(b,
	    "{\"type\":\"bundle\",\"id\":\"bundle--0c7b5b88-8ff7-4a4d-aa9d-%012x\",\"objects\":[",
	    serial);
	for (unsigned int i = 0; i < nobjects; i++) {
		nrs_buf_fmt(b,
		    "%s{\"type\":\"indicator\",\"spec_version\":\"2.1\",\"id\":\"indicator--8e2e2d2b-17d4-4cbf-%04x-%012x\",\"created\":\"2026-11-22T10:00:00.000Z\",\"modified\":\"2026-11-22T10:00:00.000Z\",\"pattern\":\"[url:value = 'http://x%u-%u.example/']\",\"pattern_type\":\"stix\",\"valid_from\":\"2026-11-22T10:00:00Z\",\"description\":\"",
		    i > 0 ? "," : "", 0x8000 + i % 0x1000, serial * 1000 + i, serial, i);
		for (size_t k = 0; k < filler; k++)
			nrs_buf_u8(b, (uint8_t)('a' + memenv_random(&w->v[0].e->rng) % 26));
		nrs_buf_str(b, "\"}");
	}
	nrs_buf_str(b, "]}");
	need(b->err == 0, "bundle");
}

static void
submit(struct world *w, unsigned int i, const char *recipient, unsigned int nobjects,
    size_t filler)
{
	struct node_submit s = { .tlp = NRS_TLP_AMBER };
	struct nrs_buf b;
	int rc = 1;

	if (recipient != NULL) {
		s.recipients = &recipient;
		s.nrecipients = 1;
	} else {
		s.community = "iwwn";
	}
	make_bundle(w, nobjects, filler, &b);
	s.payload = nrs_buf_take(&b, &s.payload_len);
	s.done = submit_done;
	s.arg = &rc;
	node_submit(w->v[i].n, &s);
	op_wait(w, &rc, "submit");
}

void
world_submit(struct world *w, unsigned int i, unsigned int nobjects, size_t filler)
{
	submit(w, i, NULL, nobjects, filler);
}

void
world_submit_direct(
    struct world *w, unsigned int i, unsigned int to, unsigned int nobjects, size_t filler)
{
	submit(w, i, w->v[to].name, nobjects, filler);
}
