/*
 * A configured peer with good keys that lies: everything here is signed as it
 * should be, or comes from one who may say it.  What it may cost is its own
 * standing, never another's records, the journal, or the next start.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/key.h"
#include "crypto/note.h"
#include "tests/unit/node/pair.h"
#include "node/session_priv.h"
#include "wire/wire.h"

enum { KEY_ROOT, KEY_FEED, KEY_LOG }; /* as pair.c makes them */

static struct world w;

static void
start(unsigned int n)
{
	world_new(&w, n);
	for (unsigned int i = 0; i < n; i++)
		world_open(&w, i, true);
	world_run(&w, 5);
	world_community(&w);
}

static struct origin *
log_at(unsigned int node, unsigned int origin)
{
	return origin_find_name(w.v[node].n, w.v[origin].name);
}

static void
frame(struct nrs_buf *b, uint8_t type, uint16_t stream, size_t *at)
{
	nrs_buf_init(b, 4u << 20);
	wire_begin(b, type, 0, stream, at);
}

static void
inject(unsigned int to, unsigned int from, struct nrs_buf *b, size_t at)
{
	wire_end(b, at);
	assert_int_equal(b->err, 0);
	world_inject(&w, to, from, b->p, b->len);
	nrs_buf_fini(b);
}

/* Likewise, but before anything else happens. */
static void
inject_now(unsigned int to, unsigned int from, struct nrs_buf *b, size_t at)
{
	const struct session *s = log_at(to, from)->peer->session;

	wire_end(b, at);
	assert_int_equal(b->err, 0);
	node_on_data(w.v[to].n, s->conn, b->p, b->len);
	nrs_buf_fini(b);
}

/* A checkpoint that node i could sign of any history. */
static void
checkpoint(unsigned int i, uint64_t size, const struct nrs_hash *root, struct nrs_buf *note)
{
	struct nrs_checkpoint cp = { .size = size, .root = *root };
	uint8_t sig[64], id[4];
	char name[64];

	nrs_buf_init(note, NRS_NOTE_MAX);
	snprintf(cp.origin, sizeof(cp.origin), "%s", w.v[i].name);
	snprintf(name, sizeof(name), "%s/log", w.v[i].name);
	assert_int_equal(nrs_checkpoint_format(note, &cp), 0);
	assert_int_equal(nrs_seckey_sign(w.v[i].sec[KEY_LOG], note->p, note->len, sig), 0);
	assert_int_equal(
	    nrs_note_keyid(name, NRS_NOTE_ED25519, w.v[i].pub[KEY_LOG].pub, id), 0);
	nrs_buf_str(note, "\n");
	nrs_note_add_sig(note, name, id, sig, sizeof(sig));
	assert_int_equal(note->err, 0);
}

/* Leaves of node 0 to node 1, as from its source of them: count of them, under a checkpoint. */
static void
leaves(unsigned int from, uint64_t first, const struct wire_entry *e, uint32_t count,
    uint64_t size, const struct nrs_hash *root)
{
	struct wire_leaves m = {
		.origin = log_at(1, 0)->id, .first = first, .count = count
	};
	struct nrs_buf b, note;
	size_t at;

	checkpoint(0, size, root, &note);
	m.checkpoint.p = note.p;
	m.checkpoint.len = note.len;
	frame(&b, WIRE_LEAVES, log_at(1, 0)->source_stream, &at);
	wire_leaves_encode(&b, &m);
	for (uint32_t i = 0; i < count; i++)
		wire_entry_encode(&b, &e[i]);
	inject_now(1, from, &b, at);
	nrs_buf_fini(&note);
}

/* Two roots of one size: frozen, and still so after a restart, which must succeed. */
static void
test_fork_then_restart(void **state)
{
	struct nrs_hash other;

	start(2);
	world_submit(&w, 0, 1, 10);
	world_run(&w, 5);
	memset(other.b, 0x5a, sizeof(other.b));
	leaves(0, log_at(1, 0)->put.size, NULL, 0, log_at(1, 0)->put.size, &other);
	world_run(&w, 5);
	assert_true(log_at(1, 0)->frozen);
	world_crash(&w, 1);
	world_open(&w, 1, false);
	assert_true(log_at(1, 0)->frozen);
	assert_int_equal(log_at(1, 0)->opened, 1);
	assert_memory_not_equal(log_at(1, 0)->shown.root.b, other.b, NRS_HASH_LEN);
	world_run(&w, 30);
	world_free(&w);
}

/* A checkpoint that never fits, again and again: likewise, at a size above ours. */
static void
test_bad_proofs_then_restart(void **state)
{
	struct wire_entry e = { 0 };
	struct nrs_hash other;

	start(2);
	memset(other.b, 0x5a, sizeof(other.b));
	for (unsigned int i = 0; i < 8 && !log_at(1, 0)->frozen; i++) {
		leaves(
		    0, log_at(1, 0)->put.size, &e, 1, log_at(1, 0)->put.size + 1, &other);
		world_run(&w, 70);
	}
	assert_true(log_at(1, 0)->frozen);
	world_crash(&w, 1);
	world_open(&w, 1, false);
	assert_true(log_at(1, 0)->frozen);
	world_free(&w);
}

/* A hash is no evidence: else each member could stop a community. */
static void
test_community_hash(void **state)
{
	struct wire_community m;
	struct community *c;
	struct nrs_buf b;
	size_t at;

	start(3);
	c = community_find_name(w.v[1].n, "iwwn");
	m.id = c->id;
	m.epoch = 0;
	memset(m.hash.b, 7, sizeof(m.hash.b));
	for (unsigned int i = 0; i < 3; i++) {
		frame(&b, WIRE_COMMUNITIES, 0, &at);
		nrs_buf_u32(&b, 1);
		wire_community_encode(&b, &m);
		inject(1, 2, &b, at);
	}
	world_run(&w, 5);
	assert_false(c->frozen);
	world_free(&w);
}

static void
have(unsigned int to, unsigned int from, const struct nrs_hash *origin,
    const struct nrs_hash *audience, uint8_t type, unsigned int n)
{
	struct wire_have_audience m = { .id = *audience, .type = type, .next = 1 };
	struct nrs_buf b;
	size_t at;

	frame(&b, WIRE_HAVE, 0, &at);
	nrs_buf_u32(&b, 1);
	wire_have_encode(&b, origin, 1000, n);
	for (unsigned int i = 0; i < n; i++) {
		if (n > 1)
			nrs_put_u32(m.id.b + 4, i);
		wire_have_audience_encode(&b, &m);
	}
	inject_now(to, from, &b, at);
}

/* Node 2 calls node 0's community a direct audience, before node 0 says anything of it. */
static void
test_audience_by_wrong_name(void **state)
{
	struct community *c;

	start(3);
	c = community_find_name(w.v[1].n, "iwwn");
	have(1, 2, &log_at(1, 0)->id, &c->id, AUD_DIRECT, 1);
	world_run(&w, 2);
	world_submit(&w, 0, 1, 10);
	world_run(&w, 120);
	assert_int_equal(log_at(1, 0)->opened, 1);
	assert_int_equal(log_at(1, 0)->refused, 0);
	world_free(&w);
}

static unsigned int
fetches(const struct session *s)
{
	const struct fetch *f;
	unsigned int n = 0;

	TAILQ_FOREACH(f, &s->fetches, link)
		n++;
	return n;
}

/* Thousands of audiences that do not exist cost little, and stop nobody. */
static void
test_made_up_audiences(void **state)
{
	struct nrs_hash id;

	start(3);
	memset(id.b, 0x11, sizeof(id.b));
	for (unsigned int i = 0; i < 4; i++) {
		id.b[0] = (uint8_t)i;
		have(1, 2, &log_at(1, 0)->id, &id, AUD_DIRECT, 20000);
	}
	world_run(&w, 2);
	assert_true(fetches(log_at(1, 2)->peer->session) <= 300);
	world_submit(&w, 0, 1, 10);
	world_run(&w, 120);
	assert_int_equal(log_at(1, 0)->opened, 1);
	world_free(&w);
}

/* What node 0 could sign: an empty payload of no known kind, under any seq and epoch. */
static void
forge(const struct community *c, uint64_t seq, uint32_t epoch, uint8_t *header,
    struct nrs_buf *sigs)
{
	struct nrs_header h = { .kind = 99,
		.tlp = NRS_TLP_GREEN,
		.seq = seq,
		.epoch = epoch,
		.audience = c->id,
		.origin = log_at(1, 0)->id,
		.ref_index = NRS_NONE };
	uint8_t pae[NRS_PAE_MAX], sig[64], salt[NRS_SALT_LEN] = { 0 };

	h.created.ms = 1795358400000;
	h.uuid[6] = 0x40;
	h.uuid[8] = 0x80;
	memset(h.prev.b, seq > 0 ? 3 : 0, sizeof(h.prev.b));
	assert_int_equal(
	    nrs_payload_commit(w.v[1].n->dg, salt, "", 0, &h.payload_commit), 0);
	nrs_header_encode(&h, header);
	assert_int_equal(
	    nrs_seckey_sign(w.v[0].sec[KEY_FEED], pae, nrs_header_pae(header, pae), sig),
	    0);
	nrs_buf_init(sigs, 4096);
	nrs_sigs_encode1(sigs, w.v[0].pub[KEY_FEED].id, sig);
}

/* Its leaf, proven, and then itself, as RECORD with these flags over the chain's fetch. */
static void
give(const struct community *c, const uint8_t *header, const struct nrs_buf *sigs,
    unsigned int from, uint8_t flags)
{
	static const uint8_t salt[NRS_SALT_LEN];
	struct wire_record m = { .flags = flags, .header = header, .salt = salt };
	struct origin *o = log_at(1, 0);
	struct nrs_frontier edge = o->put;
	struct chain *chain = sync_chain(o, &c->id, AUD_COMMUNITY, false);
	struct nrs_digest *dg = w.v[1].n->dg;
	struct wire_entry e = { 0 };
	struct nrs_hash leaf, root;
	struct nrs_buf b;
	size_t at;

	m.index = o->put.size;
	m.sigs = (struct nrs_str){ sigs->p, sigs->len };
	assert_int_equal(nrs_record_commit(dg, header, sigs->p, sigs->len, &e.c), 0);
	assert_int_equal(nrs_leaf_sealed(dg, &e.c, &leaf), 0);
	assert_int_equal(nrs_frontier_append(dg, &edge, &leaf, NULL, NULL), 0);
	assert_int_equal(nrs_frontier_root(dg, &edge, &root), 0);
	leaves(from, m.index, &e, 1, m.index + 1, &root);
	assert_non_null(chain);
	assert_non_null(chain->fetch);
	frame(&b, WIRE_RECORD, chain->fetch->stream, &at);
	wire_record_encode(&b, &m);
	inject_now(1, from, &b, at);
}

/* Epoch 0 was without us, so a gap is allowed: but no larger than the log. */
static void
test_seq_far_ahead(void **state)
{
	static const uint64_t seqs[] = { UINT64_MAX, (uint64_t)1 << 40, 1u << 20, 100 };
	uint8_t header[NRS_HEADER_LEN];
	struct nrs_buf sigs;
	struct community *c;

	for (unsigned int i = 0; i < sizeof(seqs) / sizeof(seqs[0]); i++) {
		start(2);
		c = community_find_name(w.v[1].n, "iwwn");
		have(1, 0, &log_at(1, 0)->id, &c->id, AUD_COMMUNITY, 1);
		forge(c, seqs[i], 1, header, &sigs);
		give(c, header, &sigs, 0, WIRE_RECORD_RAW);
		world_run(&w, 5);
		assert_null(node_failed(w.v[1].n));
		assert_int_equal(log_at(1, 0)->put.size, 2);
		assert_int_equal(log_at(1, 0)->opened + log_at(1, 0)->refused, 0);
		world_crash(&w, 1);
		world_open(&w, 1, false);
		nrs_buf_fini(&sigs);
		world_free(&w);
	}
}

/* Above what is agreed with node 1: header and signatures, and the chain goes on. */
static void
test_above_ceiling(void **state)
{
	start(2);
	log_at(0, 1)->peer->ceiling = NRS_TLP_GREEN;
	world_submit(&w, 0, 1, 10);
	world_run(&w, 5);
	assert_int_equal(log_at(1, 0)->opened, 0);
	assert_int_equal(log_at(1, 0)->refused, 1);
	assert_int_equal(w.v[1].n->shown_event, 0);
	log_at(0, 1)->peer->ceiling = NRS_TLP_RED;
	world_submit(&w, 0, 1, 10);
	world_run(&w, 5);
	assert_int_equal(log_at(1, 0)->opened, 1);
	assert_int_equal(log_at(1, 0)->refused, 1);
	assert_int_equal(w.v[1].n->shown_event, 1);
	world_crash(&w, 1);
	world_open(&w, 1, false);
	assert_int_equal(log_at(1, 0)->refused, 1);
	world_submit(&w, 0, 1, 10);
	world_run(&w, 120);
	assert_int_equal(log_at(1, 0)->opened, 2);
	world_free(&w);
}

/* From a relay it counts for nothing: the origin has the record. */
static void
test_relay_hides(void **state)
{
	uint8_t header[NRS_HEADER_LEN];
	struct nrs_buf sigs;
	struct community *c;

	start(3);
	world_cut(&w, 0, 1, true);
	c = community_find_name(w.v[1].n, "iwwn");
	have(1, 2, &log_at(1, 0)->id, &c->id, AUD_COMMUNITY, 1);
	forge(c, 0, 2, header, &sigs);
	give(c, header, &sigs, 2, WIRE_RECORD_HEADER);
	world_run(&w, 5);
	assert_int_equal(log_at(1, 0)->refused, 0);
	assert_true(w.v[1].n->refusals[nrs_err_wire(NRS_EPERM)] > 0);
	nrs_buf_fini(&sigs);
	world_free(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fork_then_restart),
		cmocka_unit_test(test_bad_proofs_then_restart),
		cmocka_unit_test(test_community_hash),
		cmocka_unit_test(test_audience_by_wrong_name),
		cmocka_unit_test(test_made_up_audiences),
		cmocka_unit_test(test_seq_far_ahead),
		cmocka_unit_test(test_above_ceiling),
		cmocka_unit_test(test_relay_hides),
	};

	return cmocka_run_group_tests_name("attack", tests, NULL, NULL);
}
