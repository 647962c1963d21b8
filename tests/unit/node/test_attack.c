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

/* Leaves of node 0 to node 1: count of them, under a checkpoint. */
static void
leaves(uint64_t first, const struct wire_entry *e, uint32_t count, uint64_t size,
    const struct nrs_hash *root)
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
	inject(1, 0, &b, at);
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
	leaves(log_at(1, 0)->put.size, NULL, 0, log_at(1, 0)->put.size, &other);
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
		leaves(log_at(1, 0)->put.size, &e, 1, log_at(1, 0)->put.size + 1, &other);
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
	inject(to, from, &b, at);
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fork_then_restart),
		cmocka_unit_test(test_bad_proofs_then_restart),
		cmocka_unit_test(test_community_hash),
		cmocka_unit_test(test_audience_by_wrong_name),
		cmocka_unit_test(test_made_up_audiences),
	};

	return cmocka_run_group_tests_name("attack", tests, NULL, NULL);
}
