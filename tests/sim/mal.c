/*
 * A peer that lies: pinned and configured like any other, with a log and keys
 * of its own, and with direct audiences in which it tries one thing each.
 *
 * Some of its records are in order and must arrive once; the others must never
 * be seen.  It also asks for what it is not entitled to, makes leaves up, and
 * offers the logs of others with entries that are not theirs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/node_priv.h"
#include "record/record.h"
#include "record/statement.h"
#include "sim.h"
#include "stix/scan.h"
#include "wire/wire.h"

#define MAL_NAME    "mal.cert.example"
#define CREATED_MS  1763800000000ULL
#define BAD_RECORDS 24 /* refused ones in a row: more than a small window holds */
#define ASK_ROUNDS  8

enum attack {
	ATT_NONE,    /* good records, before and after a new feed key */
	ATT_CREDIT,  /* many that are refused, then a good one */
	ATT_STALE,   /* signed by the feed key of the manifest before */
	ATT_LEAF,    /* well signed, but not what the log committed to */
	ATT_GAP,     /* one is left out */
	ATT_TWICE,   /* the same one twice */
	ATT_PAYLOAD, /* other bytes than were committed to */
	ATT_MARKING, /* an object marked more strictly than the header says */
	ATT_LIST,    /* the list does not name the receiver */
	ATT__MAX
};

struct item { /* a record as it is sent */
	uint64_t index;
	uint64_t seq;
	uint8_t header[NRS_HEADER_LEN];
	struct nrs_buf sigs;
	uint8_t salt[NRS_SALT_LEN];
	uint8_t *payload;
	size_t len;
	struct nrs_hash c;
};

struct maud {
	unsigned int victim;
	enum attack attack;
	struct nrs_direct d;
	struct nrs_hash head;
	uint64_t seq;
	struct item *v; /* in the order of sending */
	unsigned int n;
};

struct mfetch {
	bool used;
	uint16_t stream;
	struct maud *a;
	unsigned int next; /* item */
	int64_t credit;
};

struct mconn {
	nrs_conn id;
	unsigned int with;
	bool up;
	bool deaf; /* bytes were lost to it */
	bool leaves_sent;
	unsigned int forged;
	unsigned int asked; /* rounds */
	uint16_t next_stream;
	struct wire_reader rd;
	struct mfetch fetch[SIM_NODES_MAX * ATT__MAX];
	struct nrs_buf out;
};

struct entry {
	bool control;
	struct nrs_hash c;
	const struct nrs_buf *doc;
};

struct mal {
	struct sim *s;
	struct keys keys;
	struct nrs_hash id;
	struct nrs_buf manifest[2];
	struct nrs_buf checkpoint;
	struct entry *log;
	size_t nlog;
	struct maud *auds;
	unsigned int nauds;
	struct mconn **conns;
	size_t nconns;
	bool forges;	      /* leaves, now and then */
	unsigned int rotated; /* which feed key signs */
	uint32_t *wanted;
	size_t nwanted;
};

const char *
mal_name(void)
{
	return MAL_NAME;
}

const struct nrs_buf *
mal_manifest(const struct mal *m)
{
	return &m->manifest[0];
}

const struct nrs_hash *
mal_pin(const struct mal *m)
{
	return &m->keys.pin;
}

/* --- its log ------------------------------------------------------------------ */

static uint64_t
log_add(struct mal *m, bool control, const struct nrs_hash *c, const struct nrs_buf *doc)
{
	struct nrs_hash leaf;
	struct entry *e;
	int rc;

	m->log = realloc(m->log, (m->nlog + 1) * sizeof(*m->log));
	if (m->log == NULL)
		abort();
	e = &m->log[m->nlog];
	memset(e, 0, sizeof(*e));
	e->control = control;
	e->doc = doc;
	if (c != NULL)
		e->c = *c;
	rc = control ? nrs_leaf_control(m->s->dg, doc->p, doc->len, &leaf)
		     : nrs_leaf_sealed(m->s->dg, c, &leaf);
	if (rc != 0)
		abort();
	check_ref_append(m->s, &m->s->ref[m->s->n], &leaf);
	return m->nlog++;
}

static void
item_sign(struct mal *m, struct item *it, struct nrs_header *h, enum key_role feed)
{
	uint8_t pae[NRS_PAE_MAX], sig[64];
	size_t len;

	h->payload_len = it->len;
	if (nrs_payload_commit(
		m->s->dg, it->salt, it->payload, it->len, &h->payload_commit) != 0)
		abort();
	nrs_header_encode(h, it->header);
	len = nrs_header_pae(it->header, pae);
	keys_sign(&m->keys, feed, pae, len, sig);
	nrs_buf_init(&it->sigs, NRS_SIGBLOCK_MAX);
	nrs_sigs_encode1(&it->sigs, m->keys.pub[feed].id, sig);
	if (it->sigs.err != 0 ||
	    nrs_record_commit(m->s->dg, it->header, it->sigs.p, it->sigs.len, &it->c) != 0)
		abort();
}

static struct nrs_header
header_of(struct mal *m, struct maud *a, uint8_t kind)
{
	struct nrs_header h;

	memset(&h, 0, sizeof(h));
	h.kind = kind;
	h.tlp = NRS_TLP_AMBER;
	h.created.ms = CREATED_MS;
	h.seq = a->seq;
	h.audience = a->d.id;
	h.prev = a->head;
	h.origin = m->id;
	h.ref_index = NRS_NONE;
	rng_fill(&m->s->rng, h.uuid, sizeof(h.uuid));
	h.uuid[6] = (uint8_t)((h.uuid[6] & 0x0f) | 0x40);
	h.uuid[8] = (uint8_t)((h.uuid[8] & 0x3f) | 0x80);
	return h;
}

static struct item *
item_new(struct maud *a)
{
	struct item *it;

	a->v = realloc(a->v, (a->n + 1) * sizeof(*a->v));
	if (a->v == NULL)
		abort();
	it = &a->v[a->n++];
	memset(it, 0, sizeof(*it));
	return it;
}

/* Into the log and the chain, as the origin would. */
static void
item_append(struct mal *m, struct maud *a, struct item *it)
{
	it->index = log_add(m, false, &it->c, NULL);
	it->seq = a->seq++;
	if (nrs_header_link(it->header, &a->head) != 0)
		abort();
}

static void
payload_make(struct item *it, uint32_t object, size_t pad, const char *marking)
{
	struct nrs_buf b;

	nrs_buf_init(&b, NRS_PAYLOAD_MAX);
	nrs_buf_fmt(&b,
	    "{\"type\":\"bundle\",\"id\":\"bundle--%08x-5351-4d42-9000-000000000001\",\"objects\":["
	    "{\"type\":\"indicator\",\"spec_version\":\"2.1\","
	    "\"id\":\"indicator--%08x-5351-4d49-8000-000000000000\","
	    "\"created\":\"2026-01-02T03:04:05.678Z\",\"modified\":\"2026-01-02T03:04:05.678Z\","
	    "%s%s%s\"pattern\":\"[url:value = 'http://" SIM_MARKER "-%u.example/",
	    object, object, marking != NULL ? "\"object_marking_refs\":[\"" : "",
	    marking != NULL ? marking : "", marking != NULL ? "\"]," : "", object);
	while (pad-- > 0)
		nrs_buf_u8(&b, (uint8_t)('a' + pad % 23 + (pad * pad) % 3));
	nrs_buf_str(&b,
	    "']\",\"pattern_type\":\"stix\",\"valid_from\":\"2026-01-02T03:04:05Z\"}]}");
	it->payload = nrs_buf_take(&b, &it->len);
}

static uint32_t
object_of(const struct maud *a, unsigned int k)
{
	return MAL_OBJECT | a->victim << 16 | (unsigned int)a->attack << 8 | k;
}

static void
want(struct mal *m, uint32_t object)
{
	m->wanted = realloc(m->wanted, (m->nwanted + 1) * sizeof(*m->wanted));
	if (m->wanted == NULL)
		abort();
	m->wanted[m->nwanted++] = object;
}

bool
mal_wanted(const struct mal *m, uint32_t object)
{
	size_t i;

	for (i = 0; i < m->nwanted; i++)
		if (m->wanted[i] == object)
			return true;
	return false;
}

static struct item *
record(struct mal *m, struct maud *a, unsigned int k, enum key_role feed, size_t pad)
{
	struct item *it = item_new(a);
	struct nrs_header h = header_of(m, a, NRS_KIND_BUNDLE);

	rng_fill(&m->s->rng, it->salt, sizeof(it->salt));
	payload_make(it, object_of(a, k), pad, NULL);
	item_sign(m, it, &h, feed);
	item_append(m, a, it);
	return it;
}

static void
record_list(struct mal *m, struct maud *a)
{
	struct item *it = item_new(a);
	struct nrs_header h;
	struct nrs_buf b;

	nrs_buf_init(&b, NRS_PAYLOAD_MAX);
	if (nrs_direct_format(&b, &a->d) != 0)
		abort();
	it->payload = nrs_buf_take(&b, &it->len);
	h = header_of(m, a, NRS_KIND_MEMBERSHIP);
	item_sign(m, it, &h, m->rotated ? KEY_FEED2 : KEY_FEED);
	item_append(m, a, it);
}

/* Well signed, refused for what it says: not a bundle. */
static void
record_bad(struct mal *m, struct maud *a)
{
	struct item *it = item_new(a);
	struct nrs_header h = header_of(m, a, NRS_KIND_BUNDLE);
	size_t i;

	it->len = 2000 + rng_below(&m->s->rng, 1000);
	if ((it->payload = malloc(it->len)) == NULL)
		abort();
	for (i = 0; i < it->len; i++)
		it->payload[i] = (uint8_t)rng_u64(&m->s->rng);
	item_sign(m, it, &h, KEY_FEED);
	item_append(m, a, it);
}

static void
record_marked(struct mal *m, struct maud *a)
{
	struct item *it = item_new(a);
	struct nrs_header h = header_of(m, a, NRS_KIND_BUNDLE);

	h.tlp = NRS_TLP_CLEAR;
	payload_make(it, object_of(a, 1), 10, nrs_tlp_marking_id(NRS_TLP_RED));
	item_sign(m, it, &h, KEY_FEED);
	item_append(m, a, it);
}

static void
item_free(struct item *it)
{
	nrs_buf_fini(&it->sigs);
	free(it->payload);
}

/* Another record than the one in the log, with the same place in the chain. */
static void
swap_record(struct mal *m, struct maud *a, struct item *it)
{
	struct nrs_header h;
	uint64_t index = it->index;

	if (nrs_header_decode(&h, it->header, NRS_HEADER_LEN, NULL) != 0)
		abort();
	item_free(it);
	payload_make(it, object_of(a, 2), 10, NULL);
	item_sign(m, it, &h, KEY_FEED);
	it->index = index;
}

static void
attack_build(struct mal *m, struct maud *a)
{
	struct item *it, copy;
	unsigned int i;

	record_list(m, a);
	switch (a->attack) {
	case ATT_NONE:
		for (i = 1; i <= 3; i++) {
			record(m, a, i, KEY_FEED, 30);
			want(m, object_of(a, i));
		}
		break;
	case ATT_CREDIT:
		for (i = 0; i < BAD_RECORDS; i++)
			record_bad(m, a);
		record(m, a, 1, KEY_FEED, 10);
		want(m, object_of(a, 1));
		break;
	case ATT_STALE: /* built after the new manifest */
		record(m, a, 1, KEY_FEED, 10);
		break;
	case ATT_LEAF:
		it = record(m, a, 1, KEY_FEED, 10);
		swap_record(m, a, it);
		break;
	case ATT_GAP:
		it = record(m, a, 1, KEY_FEED, 10);
		item_free(it);
		a->n--;
		record(m, a, 2, KEY_FEED, 10);
		break;
	case ATT_TWICE:
		it = record(m, a, 1, KEY_FEED, 10);
		want(m, object_of(a, 1));
		copy = *it;
		it = item_new(a);
		*it = copy;
		it->payload = malloc(copy.len);
		nrs_buf_init(&it->sigs, NRS_SIGBLOCK_MAX);
		nrs_buf_put(&it->sigs, copy.sigs.p, copy.sigs.len);
		if (it->payload == NULL || it->sigs.err != 0)
			abort();
		memcpy(it->payload, copy.payload, copy.len);
		record(m, a, 2, KEY_FEED, 10);
		want(m, object_of(a, 2));
		break;
	case ATT_PAYLOAD:
		it = record(m, a, 1, KEY_FEED, 10);
		free(it->payload);
		payload_make(it, object_of(a, 3), 10, NULL);
		break;
	case ATT_MARKING:
		record_marked(m, a);
		break;
	case ATT_LIST:
		record(m, a, 1, KEY_FEED, 10);
		break;
	case ATT__MAX:
		break;
	}
}

static void
aud_init(struct mal *m, struct maud *a, unsigned int victim, enum attack attack)
{
	const char *to =
	    m->s->node[attack == ATT_LIST ? (victim + 1) % m->s->n : victim].name;

	a->victim = victim;
	a->attack = attack;
	strcpy(a->d.origin, MAL_NAME);
	rng_fill(&m->s->rng, a->d.nonce, sizeof(a->d.nonce));
	a->d.n = 1;
	if ((a->d.recipients = calloc(1, sizeof(*a->d.recipients))) == NULL)
		abort();
	strcpy(a->d.recipients[0], to);
	if (nrs_direct_id(&a->d) != 0)
		abort();
}

static void
checkpoint_make(struct mal *m)
{
	const struct reflog *r = &m->s->ref[m->s->n];
	struct nrs_checkpoint cp;
	struct nrs_buf text;
	uint8_t sig[64];

	memset(&cp, 0, sizeof(cp));
	strcpy(cp.origin, MAL_NAME);
	cp.size = r->n;
	cp.root = r->root[r->n - 1];
	nrs_buf_init(&text, NRS_NOTE_MAX);
	nrs_buf_init(&m->checkpoint, NRS_NOTE_MAX);
	if (nrs_checkpoint_format(&text, &cp) != 0)
		abort();
	keys_sign(&m->keys, KEY_LOG, text.p, text.len, sig);
	if (nrs_checkpoint_note(&m->checkpoint, &cp, &m->keys.pub[KEY_LOG], sig) != 0)
		abort();
	nrs_buf_fini(&text);
}

static void
rotate(struct mal *m)
{
	struct nrs_manifest first;
	unsigned int i;

	if (nrs_manifest_open(
		&first, m->manifest[0].p, m->manifest[0].len, NULL, keys_verify, NULL) != 0)
		abort();
	keys_manifest(&m->manifest[1], &m->keys, MAL_NAME, 1, &first);
	log_add(m, true, NULL, &m->manifest[1]);
	m->rotated = 1;
	for (i = 0; i < m->nauds; i++)
		if (m->auds[i].attack == ATT_NONE) {
			record(m, &m->auds[i], 4, KEY_FEED2, 10);
			want(m, object_of(&m->auds[i], 4));
		}
}

struct mal *
mal_new(struct sim *s)
{
	struct mal *m = calloc(1, sizeof(*m));
	unsigned int i, k;

	if (m == NULL)
		abort();
	m->s = s;
	m->forges = rng_chance(&s->rng, 1, 2);
	keys_init(&m->keys, MAL_NAME);
	if (nrs_origin_id(MAL_NAME, strlen(MAL_NAME), &m->id) != 0)
		abort();
	nrs_buf_init(&m->manifest[0], NRS_NOTE_MAX);
	nrs_buf_init(&m->manifest[1], NRS_NOTE_MAX);
	keys_manifest(&m->manifest[0], &m->keys, MAL_NAME, 0, NULL);
	log_add(m, true, NULL, &m->manifest[0]);
	m->nauds = s->n * ATT__MAX;
	if ((m->auds = calloc(m->nauds, sizeof(*m->auds))) == NULL)
		abort();
	for (i = 0; i < s->n; i++)
		for (k = 0; k < ATT__MAX; k++)
			aud_init(m, &m->auds[i * ATT__MAX + k], i, (enum attack)k);
	for (i = 0; i < m->nauds; i++)
		if (m->auds[i].attack != ATT_STALE)
			attack_build(m, &m->auds[i]);
	rotate(m);
	for (i = 0; i < m->nauds; i++)
		if (m->auds[i].attack == ATT_STALE)
			attack_build(m, &m->auds[i]);
	checkpoint_make(m);
	return m;
}

void
mal_free(struct mal *m)
{
	unsigned int i, k;
	size_t c;

	if (m == NULL)
		return;
	for (i = 0; i < m->nauds; i++) {
		for (k = 0; k < m->auds[i].n; k++)
			item_free(&m->auds[i].v[k]);
		free(m->auds[i].v);
		nrs_direct_fini(&m->auds[i].d);
	}
	for (c = 0; c < m->nconns; c++) {
		wire_reader_fini(&m->conns[c]->rd);
		nrs_buf_fini(&m->conns[c]->out);
		free(m->conns[c]);
	}
	free(m->conns);
	free(m->auds);
	free(m->log);
	free(m->wanted);
	nrs_buf_fini(&m->manifest[0]);
	nrs_buf_fini(&m->manifest[1]);
	nrs_buf_fini(&m->checkpoint);
	free(m);
}

/* --- talking -------------------------------------------------------------------- */

static void
flush(struct mal *m, struct mconn *c)
{
	if (c->out.err != 0)
		abort();
	if (c->up && c->out.len > 0)
		(void)net_send(m->s->net, c->id, c->out.p, c->out.len);
	nrs_buf_reset(&c->out);
}

static void
say_hello(struct mal *m, struct mconn *c)
{
	struct wire_hello h;
	struct nrs_manifest last;
	size_t at;

	memset(&h, 0, sizeof(h));
	if (nrs_manifest_open(
		&last, m->manifest[0].p, m->manifest[0].len, NULL, keys_verify, NULL) != 0)
		abort();
	h.version = WIRE_VERSION;
	strcpy(h.origin, MAL_NAME);
	h.clock.ms = CREATED_MS + m->s->now / SIM_MS;
	h.manifest_hash = last.hash;
	wire_begin(&c->out, WIRE_HELLO, 0, 0, &at);
	wire_hello_encode(&c->out, &h);
	wire_end(&c->out, at);
	flush(m, c);
}

/* Its own log, and the logs of all others as if it mirrored them. */
static void
say_have(struct mal *m, struct mconn *c)
{
	struct wire_have_audience ha;
	unsigned int i, n = 0;
	bool relays = m->forges && !m->s->healing;
	size_t at;

	wire_begin(&c->out, WIRE_COMMUNITIES, 0, 0, &at);
	nrs_buf_u32(&c->out, 0);
	wire_end(&c->out, at);
	for (i = 0; relays && i < m->s->n; i++)
		n += m->s->node[i].node != NULL && i != c->with;
	wire_begin(&c->out, WIRE_HAVE, 0, 0, &at);
	nrs_buf_u32(&c->out, 1 + n);
	wire_have_encode(&c->out, &m->id, m->nlog, ATT__MAX);
	for (i = 0; i < ATT__MAX; i++) {
		const struct maud *a = &m->auds[c->with * ATT__MAX + i];

		ha.id = a->d.id;
		ha.type = 1;
		ha.next = a->seq;
		wire_have_audience_encode(&c->out, &ha);
	}
	for (i = 0; relays && i < m->s->n; i++)
		if (m->s->node[i].node != NULL && i != c->with)
			wire_have_encode(&c->out, &m->s->node[i].origin_id, 1000000, 0);
	wire_end(&c->out, at);
}

/* audience NULL: its leaves, of which it claims to have all. */
static void
ask(struct mconn *c, const struct nrs_hash *origin, const struct nrs_hash *audience)
{
	struct wire_fetch f;
	size_t at;

	memset(&f, 0, sizeof(f));
	f.origin = *origin;
	f.from = audience == NULL ? 1000000 : 0;
	f.credit = 1u << 20;
	if (audience != NULL)
		f.audience = *audience;
	c->next_stream = (uint16_t)(c->next_stream + 2); /* it never dials: even */
	wire_begin(&c->out, audience != NULL ? WIRE_FETCH_RECORDS : WIRE_FETCH_LEAVES, 0,
	    c->next_stream, &at);
	wire_fetch_encode(&c->out, &f, audience != NULL);
	wire_end(&c->out, at);
}

/* What it has no right to: records of every community and list anybody knows. */
static void
ask_all(struct mal *m, struct mconn *c)
{
	struct snode *n = &m->s->node[c->with];
	const struct audience *a;
	const struct origin *o;

	if (c->asked++ >= ASK_ROUNDS)
		return;
	TAILQ_FOREACH(o, &n->node->origins, link) {
		if (memcmp(o->id.b, m->id.b, NRS_HASH_LEN) == 0)
			continue;
		if (c->asked == 1)
			ask(c, &o->id, NULL);
		TAILQ_FOREACH(a, &o->audiences, link)
			ask(c, &o->id, &a->id);
	}
}

/* Its tree: small enough for the leaves and the first whole tile. */
static int
tile_read(void *arg, unsigned int level, uint64_t index, size_t n, struct nrs_hash *ret)
{
	const struct reflog *r = arg;

	if (level == 1 && index == 0 && n == 1 && r->n >= 256)
		*ret = r->root[255];
	else if (level == 0 && index + n <= r->n)
		memcpy(ret, r->leaf + index, n * sizeof(*ret));
	else
		return NRS_ERANGE;
	return 0;
}

static void
leaves_frame(struct mal *m, struct mconn *c, uint16_t stream, uint64_t from, uint64_t to,
    uint64_t bad)
{
	struct nrs_tile_store store = { tile_read, &m->s->ref[m->s->n] };
	struct wire_leaves w;
	struct wire_entry e;
	size_t at;
	uint64_t i;

	memset(&w, 0, sizeof(w));
	w.origin = m->id;
	w.first = from;
	w.count = (uint32_t)(to - from);
	w.checkpoint.p = m->checkpoint.p;
	w.checkpoint.len = m->checkpoint.len;
	if (nrs_tree_consistency(m->s->dg, &store, to, m->nlog, &w.proof) != 0)
		abort();
	wire_begin(&c->out, WIRE_LEAVES, 0, stream, &at);
	wire_leaves_encode(&c->out, &w);
	for (i = from; i < to; i++) {
		memset(&e, 0, sizeof(e));
		e.control = m->log[i].control && i != bad;
		e.c = m->log[i].c;
		if (i == bad)
			rng_fill(&m->s->rng, e.c.b, 1 + rng_below(&m->s->rng, 32));
		if (e.control)
			e.doc = (struct nrs_str){ m->log[i].doc->p, m->log[i].doc->len };
		wire_entry_encode(&c->out, &e);
	}
	wire_end(&c->out, at);
}

/* In pieces, so that each but the last needs its proof; bad: one entry is another. */
static void
leaves_frames(struct mal *m, struct mconn *c, uint16_t stream, uint64_t from, bool forged)
{
	uint64_t bad = forged ? from + rng_below(&m->s->rng, m->nlog - from) : m->nlog, to;

	for (; from < m->nlog; from = to) {
		to = from + rng_range(&m->s->rng, 1, 60);
		if (to > m->nlog)
			to = m->nlog;
		leaves_frame(m, c, stream, from, to, bad);
	}
}

/* Leaves of another's log: invented, under its newest checkpoint. */
static void
relay_frame(struct mal *m, struct mconn *c, uint16_t stream, const struct wire_fetch *f)
{
	struct origin *o = NULL;
	struct wire_leaves w;
	struct wire_entry e;
	unsigned int i;
	size_t at;

	for (i = 0; i < m->s->n; i++)
		if (m->s->node[i].node != NULL &&
		    nrs_hash_eq(&m->s->node[i].origin_id, &f->origin))
			o = origin_find(m->s->node[i].node, &f->origin);
	if (o == NULL || o->shown_len == 0 || o->shown.size <= f->from)
		return;
	memset(&w, 0, sizeof(w));
	w.origin = f->origin;
	w.first = f->from;
	w.count = (uint32_t)rng_range(&m->s->rng, 1, o->shown.size - f->from);
	if (w.count > 64)
		w.count = 64;
	w.checkpoint = (struct nrs_str){ o->shown_note, o->shown_len };
	w.proof.n = (unsigned int)rng_below(&m->s->rng, 4);
	for (i = 0; i < w.proof.n; i++)
		rng_fill(&m->s->rng, w.proof.h[i].b, NRS_HASH_LEN);
	wire_begin(&c->out, WIRE_LEAVES, 0, stream, &at);
	wire_leaves_encode(&c->out, &w);
	for (i = 0; i < w.count; i++) {
		memset(&e, 0, sizeof(e));
		rng_fill(&m->s->rng, e.c.b, NRS_HASH_LEN);
		wire_entry_encode(&c->out, &e);
	}
	wire_end(&c->out, at);
}

static void serve(struct mal *m, struct mconn *c);

static void
on_fetch_leaves(struct mal *m, struct mconn *c, const struct wire_frame *f)
{
	struct wire_fetch w;
	bool forged;

	if (wire_fetch_decode(&w, false, f->body, f->len) != 0)
		sim_fail(m->s, "honest nodes speak the protocol", "%s: FETCH_LEAVES",
		    m->s->node[c->with].name);
	if (!nrs_hash_eq(&w.origin, &m->id)) {
		relay_frame(m, c, f->stream, &w);
		return;
	}
	forged = m->forges && c->forged == 0 && w.from < m->nlog && !m->s->healing &&
	    rng_chance(&m->s->rng, 1, 2);
	if (forged)
		c->forged++;
	if (w.from < m->nlog)
		leaves_frames(m, c, f->stream, w.from, forged);
	if (!forged)
		c->leaves_sent = true;
	serve(m, c);
}

static void
on_fetch_records(struct mal *m, struct mconn *c, const struct wire_frame *f)
{
	struct wire_fetch w;
	unsigned int i, k;

	if (wire_fetch_decode(&w, true, f->body, f->len) != 0)
		sim_fail(m->s, "honest nodes speak the protocol", "%s: FETCH_RECORDS",
		    m->s->node[c->with].name);
	for (i = 0; i < m->nauds; i++)
		if (nrs_hash_eq(&m->auds[i].d.id, &w.audience))
			break;
	for (k = 0; k < SIM_NODES_MAX * ATT__MAX && c->fetch[k].used; k++)
		;
	if (i == m->nauds || k == SIM_NODES_MAX * ATT__MAX)
		return;
	c->fetch[k] = (struct mfetch){ true, f->stream, &m->auds[i], 0, w.credit };
	while (
	    c->fetch[k].next < m->auds[i].n && m->auds[i].v[c->fetch[k].next].seq < w.from)
		c->fetch[k].next++;
	serve(m, c);
}

static void
serve_one(struct mal *m, struct mconn *c, struct mfetch *f)
{
	struct item *it;
	struct wire_record w;
	struct nrs_buf b;
	size_t before;

	while (f->used && f->credit > 0 && f->next < f->a->n) {
		it = &f->a->v[f->next++];
		memset(&w, 0, sizeof(w));
		w.index = it->index;
		w.flags = WIRE_RECORD_RAW;
		w.header = it->header;
		w.sigs = (struct nrs_str){ it->sigs.p, it->sigs.len };
		w.salt = it->salt;
		w.data = (struct nrs_str){ it->payload, it->len };
		nrs_buf_init(&b, WIRE_ITEM_MAX);
		wire_record_encode(&b, &w);
		before = c->out.len;
		wire_record_frames(&c->out, f->stream, b.p, b.len);
		f->credit -= (int64_t)(c->out.len - before - WIRE_HEADER_LEN);
		nrs_buf_fini(&b);
	}
}

static void
serve(struct mal *m, struct mconn *c)
{
	unsigned int i;

	if (!c->leaves_sent)
		return;
	for (i = 0; i < SIM_NODES_MAX * ATT__MAX; i++)
		if (c->fetch[i].used)
			serve_one(m, c, &c->fetch[i]);
}

static struct mfetch *
fetch_of(struct mconn *c, uint16_t stream)
{
	unsigned int i;

	for (i = 0; i < SIM_NODES_MAX * ATT__MAX; i++)
		if (c->fetch[i].used && c->fetch[i].stream == stream)
			return &c->fetch[i];
	return NULL;
}

static void
on_credit(struct mal *m, struct mconn *c, const struct wire_frame *f)
{
	struct mfetch *mf = fetch_of(c, f->stream);
	uint32_t bytes;

	if (mf == NULL || wire_credit_decode(&bytes, f->body, f->len) != 0)
		return;
	mf->credit += bytes;
	serve(m, c);
}

static void
on_frame(struct mal *m, struct mconn *c, const struct wire_frame *f)
{
	struct mfetch *mf;
	uint64_t token;
	size_t at;

	if (wire_frame_check(f) != 0)
		sim_fail(m->s, "honest nodes speak the protocol", "%s: frame of type %u",
		    m->s->node[c->with].name, f->type);
	switch (f->type) {
	case WIRE_HELLO:
		say_have(m, c);
		break;
	case WIRE_HAVE:
		ask_all(m, c);
		break;
	case WIRE_PING:
		if (wire_ping_decode(&token, f->body, f->len) == 0) {
			wire_begin(&c->out, WIRE_PONG, 0, 0, &at);
			wire_ping_encode(&c->out, token);
			wire_end(&c->out, at);
		}
		break;
	case WIRE_FETCH_LEAVES:
		on_fetch_leaves(m, c, f);
		break;
	case WIRE_FETCH_RECORDS:
		on_fetch_records(m, c, f);
		break;
	case WIRE_CREDIT:
		on_credit(m, c, f);
		break;
	case WIRE_CANCEL:
		if ((mf = fetch_of(c, f->stream)) != NULL)
			mf->used = false;
		break;
	case WIRE_REFUSE:
		cov_add(&sim_cov->refused_mal, 1);
		break;
	case WIRE_RECORD:
	case WIRE_DATA:
		sim_fail(m->s, "only to the entitled",
		    "%s gave a record to one who is no member", m->s->node[c->with].name);
	}
	flush(m, c);
}

static struct mconn *
conn_find(struct mal *m, nrs_conn id)
{
	size_t i;

	for (i = m->nconns; i > 0; i--)
		if (m->conns[i - 1]->id == id)
			return m->conns[i - 1];
	return NULL;
}

void
mal_connected(struct mal *m, nrs_conn id, unsigned int with)
{
	struct mconn *c = calloc(1, sizeof(*c));

	m->conns = realloc(m->conns, (m->nconns + 1) * sizeof(struct mconn *));
	if (c == NULL || m->conns == NULL)
		abort();
	m->conns[m->nconns++] = c;
	c->id = id;
	c->with = with;
	c->up = true;
	nrs_buf_init(&c->out, 64u << 20);
	say_hello(m, c);
}

void
mal_data(struct mal *m, nrs_conn id, const uint8_t *p, size_t len)
{
	struct mconn *c = conn_find(m, id);
	struct wire_frame f;

	/*
	 * The engine may have gone while its bytes were on their way: with them the
	 * place in the stream is lost, also when it is back before the rest comes.
	 */
	if (c != NULL && m->s->node[c->with].node == NULL)
		c->deaf = true;
	while (c != NULL && c->up && !c->deaf && m->s->node[c->with].node != NULL &&
	    wire_reader_next(&c->rd, &p, &len, &f) == 1)
		on_frame(m, c, &f);
}

void
mal_closed(struct mal *m, nrs_conn id)
{
	struct mconn *c = conn_find(m, id);

	if (c == NULL)
		return;
	c->up = false;
	wire_reader_fini(&c->rd);
	nrs_buf_fini(&c->out);
}

/* --- what came of it ----------------------------------------------------------------- */

static unsigned int
times_shown(const struct snode *n, uint32_t object)
{
	unsigned int times = 0;
	size_t i;

	for (i = 0; i < n->nshown; i++)
		times += n->shown[i].object == object;
	return times;
}

const char *
mal_in_sync(struct mal *m, struct snode *n)
{
	static char why[160];
	size_t i;

	for (i = 0; i < m->nwanted; i++)
		if ((m->wanted[i] >> 16 & 0xff) == n->id &&
		    times_shown(n, m->wanted[i]) == 0) {
			snprintf(why, sizeof(why), "%s has not object %08x of %s", n->name,
			    m->wanted[i], MAL_NAME);
			return why;
		}
	return NULL;
}

void
mal_check_end(struct mal *m, struct snode *n)
{
	const struct reflog *r = &m->s->ref[m->s->n];
	struct origin *o = origin_find(n->node, &m->id);
	struct nrs_hash leaf;
	uint64_t k;
	size_t i;

	for (i = 0; i < n->nshown; i++) {
		uint32_t x = n->shown[i].object;

		if (x < MAL_OBJECT)
			continue;
		if (!mal_wanted(m, x) || (x >> 16 & 0xff) != n->id)
			sim_fail(m->s, "lies are refused",
			    "%s was shown object %08x (attack %u)", n->name, x,
			    x >> 8 & 0xff);
		if (times_shown(n, x) != 1)
			sim_fail(m->s, "exactly once", "%s was shown object %08x %u times",
			    n->name, x, times_shown(n, x));
	}
	for (k = 0; o != NULL && k < o->durable && k < r->n; k++)
		if (origin_leaf(o, k, &leaf) != 0 || !nrs_hash_eq(&leaf, &r->leaf[k]))
			sim_fail(m->s, "lies are refused", "%s took leaf %llu of %s",
			    n->name, (unsigned long long)k, MAL_NAME);
}
