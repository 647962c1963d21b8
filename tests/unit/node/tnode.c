#include "tests/unit/node/tnode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/text.h"
#include "stix/scan.h"

/* One world at a time: the environment has no place for more. */
static struct tnode *world;
static struct nrs_env_ops ops;
static const struct nrs_env_ops *mem_ops;

static struct nrs_seckey *
derive(const char *origin, unsigned int role, struct nrs_pubkey *pub)
{
	struct nrs_seckey *k;
	struct nrs_hash h;
	char text[96];

	snprintf(text, sizeof(text), "%u %s", role, origin);
	assert_int_equal(nrs_sha256(text, strlen(text), &h), 0);
	assert_int_equal(nrs_seckey_from_seed(h.b, &k), 0);
	nrs_seckey_public(k, pub);
	return k;
}

void
tident_note(struct nrs_buf *b, const struct tident *id, const char *role,
    struct nrs_seckey *sec, const struct nrs_buf *text)
{
	char name[96];
	uint8_t sig[64], kid[4];
	struct nrs_pubkey pub;

	snprintf(name, sizeof(name), "%s/%s", id->origin, role);
	nrs_seckey_public(sec, &pub);
	assert_int_equal(nrs_seckey_sign(sec, text->p, text->len, sig), 0);
	assert_int_equal(nrs_note_keyid(name, NRS_NOTE_ED25519, pub.pub, kid), 0);
	nrs_buf_put(b, text->p, text->len);
	nrs_buf_str(b, "\n");
	nrs_note_add_sig(b, name, kid, sig, sizeof(sig));
	assert_int_equal(b->err, 0);
}

void
tident_init(struct tident *id, const char *origin)
{
	struct nrs_manifest *m = &id->m;
	struct nrs_pubkey next;
	struct nrs_buf text;

	memset(id, 0, sizeof(*id));
	snprintf(id->origin, sizeof(id->origin), "%s", origin);
	snprintf(m->origin, sizeof(m->origin), "%s", origin);
	id->root = derive(origin, 0, &m->root);
	id->next = derive(origin, 1, &next);
	id->feed = derive(origin, 2, &m->feed);
	id->log = derive(origin, 3, &m->log);
	id->witness = derive(origin, 4, &m->witness);
	id->tls = derive(origin, 5, &m->tls[0]);
	m->ntls = 1;
	m->require_ed25519 = true;
	m->created.ms = 1763800000000;
	assert_int_equal(nrs_rootkey_hash(&next, &m->next_root), 0);
	nrs_buf_init(&text, NRS_NOTE_MAX);
	nrs_buf_init(&id->note, NRS_NOTE_MAX);
	assert_int_equal(nrs_manifest_format(&text, m), 0);
	tident_note(&id->note, id, "root", id->root, &text);
	nrs_buf_fini(&text);
}

void
tident_fini(struct tident *id)
{
	nrs_seckey_free(id->root);
	nrs_seckey_free(id->next);
	nrs_seckey_free(id->feed);
	nrs_seckey_free(id->log);
	nrs_seckey_free(id->witness);
	nrs_seckey_free(id->tls);
	nrs_buf_fini(&id->note);
}

/* --- the environment beyond memenv ------------------------------------------- */

static void
env_sign(struct nrs_env *env, struct nrs_sign *s)
{
	if (s->what == NRS_KEK_WRAP || s->what == NRS_KEK_UNWRAP) {
		mem_ops->sign(env, s);
		return;
	}
	s->next = NULL;
	*world->signs_last = s;
	world->signs_last = &s->next;
}

static void
sign_headers(struct nrs_sign *s)
{
	uint8_t pae[NRS_PAE_MAX];
	size_t len;

	assert_int_equal(s->in_len % NRS_HEADER_LEN, 0);
	assert_int_equal(s->out_len, s->in_len / NRS_HEADER_LEN * 64);
	for (size_t i = 0; i < s->in_len / NRS_HEADER_LEN; i++) {
		len = nrs_header_pae(s->in + i * NRS_HEADER_LEN, pae);
		assert_int_equal(
		    nrs_seckey_sign(world->id.feed, pae, len, s->out + i * 64), 0);
		if (world->sign_flip)
			s->out[i * 64 + 5] ^= 1;
	}
}

/* A keeper that remembers: a smaller size than one it signed is refused. */
static int
sign_checkpoint(struct nrs_sign *s)
{
	struct nrs_checkpoint cp;
	int rc;

	assert_int_equal(nrs_checkpoint_parse(&cp, s->in, s->in_len, NULL), 0);
	if (cp.size < world->signed_size)
		return NRS_EROLLBACK;
	world->signed_size = cp.size;
	rc = nrs_seckey_sign(world->id.log, s->in, s->in_len, s->out);
	if (world->sign_flip)
		s->out[5] ^= 1;
	return rc;
}

static void
keeper_answer(struct nrs_sign *s)
{
	s->rc = 0;
	if (s->what == NRS_SIGN_HEADERS && world->sign_rc != 0)
		s->rc = world->sign_rc;
	else if (s->what == NRS_SIGN_HEADERS)
		sign_headers(s);
	else if (s->what == NRS_SIGN_CHECKPOINT)
		s->rc = sign_checkpoint(s);
	else if (s->what == NRS_SIGN_STATEMENT)
		s->rc = nrs_seckey_sign(world->id.feed, s->in, s->in_len, s->out);
	else
		fail();
	s->done(s);
}

static int
env_sign_run(struct nrs_env *e, struct nrs_sign *s)
{
	if (s->what != NRS_SIGN_CHECKPOINT)
		return mem_ops->sign_run(e, s);
	s->rc = world->sign_run_rc != 0 ? world->sign_run_rc : sign_checkpoint(s);
	return s->rc;
}

static void
env_log(struct nrs_env *e, enum nrs_level lvl, const char *subject, const char *text)
{
	if (lvl <= NRS_LOG_ERROR)
		world->nlog++;
	if (getenv("TN_LOG") != NULL)
		fprintf(stderr, "# %s: %s\n", subject, text);
}

static int
kv_get(struct nrs_env *e, const uint8_t key[16], uint64_t *ret)
{
	for (size_t i = 0; i < world->nkv; i++) {
		if (memcmp(world->kv[i].key, key, 16) != 0)
			continue;
		*ret = world->kv[i].value;
		return 0;
	}
	return NRS_ENOTFOUND;
}

static void
kv_put(struct nrs_env *e, const struct nrs_kv_item *items, size_t n, uint64_t mark)
{
	assert_true(world->nkv + n <= TN_KV);
	assert_true(mark >= world->kv_mark);
	if (n > 0)
		memcpy(world->kv + world->nkv, items, n * sizeof(*items));
	world->nkv += n;
	world->kv_mark = mark;
}

static uint64_t
kv_mark(struct nrs_env *e)
{
	return world->kv_mark;
}

static void
kv_clear(struct nrs_env *e)
{
	world->nkv = 0;
	world->kv_mark = 0;
}

static void
env_dial(struct nrs_env *e, const char *peer)
{
}

static int
env_send(struct nrs_env *e, nrs_conn c, const void *buf, size_t len)
{
	return 0;
}

static size_t
env_unsent(struct nrs_env *e, nrs_conn c)
{
	return 0;
}

static void
env_close(struct nrs_env *e, nrs_conn c)
{
}

/* --- the driver ------------------------------------------------------------------ */

struct tnode *
tnode_new(uint64_t seed)
{
	struct tnode *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	world = t;
	t->m = memenv_new(seed);
	mem_ops = t->m->env.ops;
	ops = *mem_ops;
	ops.sign = env_sign;
	ops.sign_run = env_sign_run;
	ops.verify = nrs_verify;
	ops.log = env_log;
	ops.kv_get = kv_get;
	ops.kv_put = kv_put;
	ops.kv_mark = kv_mark;
	ops.kv_clear = kv_clear;
	ops.dial = env_dial;
	ops.send = env_send;
	ops.unsent = env_unsent;
	ops.close = env_close;
	t->m->env.ops = &ops;
	t->m->mono.ns = 1000000000;
	t->signs_last = &t->signs;
	tident_init(&t->id, "jp.cert.example");
	t->cfg.origin = t->id.origin;
	t->cfg.manifest = t->id.note.p;
	t->cfg.manifest_len = t->id.note.len;
	t->cfg.peers = t->peers;
	t->cfg.real_time_off = true;
	return t;
}

void
tnode_free(struct tnode *t)
{
	node_free(t->n);
	memenv_free(t->m);
	tident_fini(&t->id);
	free(t);
}

void
tnode_peer(struct tnode *t, const struct tident *id, const char *const *communities,
    unsigned int ncommunities, uint8_t ceiling)
{
	t->peers[t->cfg.npeers++] = (struct node_peer_config){
		.origin = id->origin,
		.manifest = id->note.p,
		.manifest_len = id->note.len,
		.communities = communities,
		.ncommunities = ncommunities,
		.ceiling = ceiling,
	};
}

int
tnode_open(struct tnode *t, bool create)
{
	struct nrs_detail d = { 0 };
	int err;

	t->cfg.segment_bytes = t->segment_bytes;
	t->cfg.signed_size = t->signed_size;
	err = node_open(&t->m->env, &t->cfg, create, &t->n, &d);
	if (err != 0) {
		t->n = NULL;
		if (getenv("TN_LOG") != NULL)
			fprintf(stderr, "# open: %s %s %s\n", nrs_strerror(err), d.path,
			    d.text);
	}
	return err;
}

bool
tnode_step(struct tnode *t)
{
	struct nrs_sign *s = t->signs;
	bool did = false;

	if (s != NULL && !t->sign_hold && (memenv_random(&t->m->rng) & 1) != 0) {
		t->signs = s->next;
		if (t->signs == NULL)
			t->signs_last = &t->signs;
		keeper_answer(s);
		did = true;
	} else {
		did = memenv_step(t->m) || (s != NULL && !t->sign_hold);
	}
	node_turn(t->n);
	return did;
}

void
tnode_run(struct tnode *t)
{
	node_on_timer(t->n);
	node_turn(t->n);
	for (unsigned int quiet = 0; quiet < 3;)
		quiet = tnode_step(t) ? 0 : quiet + 1;
}

void
tnode_crash(struct tnode *t, enum memenv_crash how, uint64_t seed)
{
	node_free(t->n);
	t->n = NULL;
	t->signs = NULL;
	t->signs_last = &t->signs;
	memenv_crash(t->m, how, seed);
}

static void
op_done(struct node_op *op, int rc)
{
	*(int *)op->arg = rc;
}

void
tnode_community(struct tnode *t, const char *name, uint8_t ceiling)
{
	struct node_community_opts o = { .ceiling = ceiling };
	int rc = 1;
	struct node_op op = { .done = op_done, .arg = &rc };

	node_community_create(t->n, name, &o, &op);
	assert_int_equal(rc, 1);
	tnode_run(t);
	assert_int_equal(rc, 0);
}

void
tnode_bundle(struct nrs_buf *b, unsigned int first, unsigned int count, uint8_t tlp)
{
	nrs_buf_fmt(b,
	    "{\"type\":\"bundle\",\"id\":\"bundle--11111111-2222-4333-8444-%012u\","
	    "\"objects\":[",
	    first);
	for (unsigned int i = first; i < first + count; i++) {
		nrs_buf_fmt(b,
		    "%s{\"type\":\"indicator\",\"spec_version\":\"2.1\","
		    "\"id\":\"indicator--11111111-2222-4333-8444-%012u\","
		    "\"created\":\"2026-01-01T00:00:00.000Z\","
		    "\"modified\":\"2026-01-01T00:00:00.000Z\",",
		    i > first ? ", " : "", i);
		if (tlp != NRS_TLP_UNMARKED)
			nrs_buf_fmt(b, "\"object_marking_refs\":[\"%s\"],",
			    nrs_tlp_marking_id((enum nrs_tlp)tlp));
		nrs_buf_fmt(b,
		    "\"pattern\":\"[url:value = 'http://%u.example/']\","
		    "\"pattern_type\":\"stix\",\"valid_from\":\"2026-01-01T00:00:00Z\"}",
		    i);
	}
	nrs_buf_str(b, "]}");
	assert_int_equal(b->err, 0);
}

static void
submit_done(struct node_submit *s, int rc)
{
	struct tsubmit *ts = s->arg;

	ts->called++;
	ts->rc = rc;
	ts->nknown = s->nknown;
	for (uint32_t i = 0; i < s->nknown && i < 8; i++)
		ts->known[i] = s->known[i];
}

void
tnode_submit(struct tnode *t, struct tsubmit *ts, const char *community, unsigned int first,
    unsigned int count, uint8_t tlp)
{
	struct nrs_buf b;

	nrs_buf_init(&b, NRS_PAYLOAD_MAX);
	tnode_bundle(&b, first, count, NRS_TLP_UNMARKED);
	memset(ts, 0, sizeof(*ts));
	ts->rc = 1;
	ts->s.community = community;
	ts->s.tlp = tlp;
	ts->s.payload = nrs_buf_take(&b, &ts->s.payload_len);
	ts->s.done = submit_done;
	ts->s.arg = ts;
	node_submit(t->n, &ts->s);
	assert_int_equal(ts->called, 0);
}

unsigned int
tnode_read(struct tnode *t, const struct node_clearance *cl, struct node_cursor from,
    size_t max, struct nrs_buf *out, struct node_cursor *ret_at)
{
	struct node_reader *r;
	unsigned int lines = 0;
	int rc;

	assert_int_equal(node_reader_open(t->n, cl, from, NULL, NULL, &r, NULL), 0);
	do {
		rc = node_reader_next(r, out, max);
	} while (rc == 0);
	assert_int_equal(rc, NODE_READER_IDLE);
	if (ret_at != NULL)
		*ret_at = node_reader_cursor(r);
	node_reader_free(r);
	for (size_t i = 0; i < out->len; i++)
		lines += out->p[i] == '\n';
	return lines;
}
