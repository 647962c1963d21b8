/*
 * Two and three whole nodes over pipes in memory: a bundle that is published at
 * one appears at the others exactly once, is acknowledged, and everything goes
 * on after restarts, cuts and rubbish on the line.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/node/pair.h"
#include "wire/wire.h"

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

/* Both hold the same log of origin, proven to the same size, with all of its records. */
static void
assert_same(unsigned int a, unsigned int b, unsigned int origin, uint64_t records)
{
	struct origin *x = log_at(a, origin), *y = log_at(b, origin);

	assert_non_null(x);
	assert_non_null(y);
	assert_int_equal(y->durable, x->durable);
	assert_int_equal(y->shown.size, x->shown.size);
	assert_memory_equal(x->shown.root.b, y->shown.root.b, NRS_HASH_LEN);
	assert_int_equal(x->opened, records);
	assert_int_equal(y->opened, records);
	assert_int_equal(y->refused, 0);
}

static const char *
state_of(unsigned int node, unsigned int peer)
{
	struct peer *p;

	TAILQ_FOREACH(p, &w.v[node].n->peers, link) {
		if (strcmp(p->name, w.v[peer].name) == 0)
			return p->info.state;
	}
	return NULL;
}

/* What node says peer has of its own community audience. */
static uint64_t
acked(unsigned int node, unsigned int peer)
{
	struct peer_ack *a;
	struct peer *p;
	uint64_t next = 0;

	TAILQ_FOREACH(p, &w.v[node].n->peers, link) {
		if (strcmp(p->name, w.v[peer].name) != 0)
			continue;
		TAILQ_FOREACH(a, &p->acks, link) {
			if (memcmp(a->origin.b, w.v[node].n->id.b, NRS_HASH_LEN) == 0 &&
			    a->next > next)
				next = a->next;
		}
	}
	return next;
}

static uint64_t
events(unsigned int node)
{
	return w.v[node].n->shown_event;
}

static void
test_publish(void **state)
{
	start(2);
	assert_string_equal(state_of(0, 1), "up");
	assert_string_equal(state_of(1, 0), "up");
	world_submit(&w, 0, 3, 10);
	world_submit(&w, 0, 1, 10);
	world_run(&w, 5);
	assert_same(0, 1, 0, 2);
	assert_int_equal(events(0), 2);
	assert_int_equal(events(1), 2);
	assert_int_equal(acked(0, 1), 2);
	/* And the other way round. */
	world_submit(&w, 1, 2, 10);
	world_run(&w, 5);
	assert_same(0, 1, 1, 1);
	assert_int_equal(events(0), 3);
	assert_int_equal(acked(1, 0), 1);
	world_free(&w);
}

static void
test_restart(void **state)
{
	start(2);
	world_submit(&w, 0, 3, 10);
	world_run(&w, 5);
	for (unsigned int i = 0; i < 6; i++) {
		world_crash(&w, i % 2);
		if (i % 2 == 1)
			world_submit(&w, 0, 1, 100);
		world_open(&w, i % 2, false);
		world_submit(&w, 0, 1, 10);
		world_run(&w, 120);
		assert_string_equal(state_of(0, 1), "up");
		assert_int_equal(events(1), events(0));
		assert_same(0, 1, 0, events(0));
		assert_int_equal(acked(0, 1), events(0));
	}
	assert_int_equal(events(0), 10);
	world_free(&w);
}

/* A record of several frames, over a window that is smaller than it. */
static void
test_long_record(void **state)
{
	start(2);
	world_submit(&w, 0, 1, 9u << 20);
	world_submit(&w, 0, 1, 10);
	world_run(&w, 30);
	assert_same(0, 1, 0, 2);
	world_free(&w);
}

static void
test_many(void **state)
{
	start(2);
	world_cut(&w, 0, 1, true);
	for (unsigned int i = 0; i < 300; i++)
		world_submit(&w, 0, 1, 50 + i);
	world_run(&w, 5);
	assert_string_not_equal(state_of(0, 1), "up");
	assert_int_equal(events(1), 0);
	world_cut(&w, 0, 1, false);
	world_run(&w, 120);
	assert_same(0, 1, 0, 300);
	assert_int_equal(events(1), 300);
	assert_int_equal(acked(0, 1), 300);
	world_free(&w);
}

/* 0 and 2 cannot reach each other: 1 relays, and 2 checks all by itself. */
static void
test_relay(void **state)
{
	start(3);
	world_cut(&w, 0, 2, true);
	for (unsigned int i = 0; i < 20; i++)
		world_submit(&w, 0, 2, 10);
	world_run(&w, 10);
	assert_same(0, 1, 0, 20);
	assert_same(0, 2, 0, 20);
	/* Back again: the origin learns what has arrived, and goes on itself. */
	world_cut(&w, 0, 2, false);
	world_run(&w, 120);
	assert_int_equal(acked(0, 2), 20);
	world_submit(&w, 0, 1, 10);
	world_run(&w, 5);
	assert_same(0, 2, 0, 21);
	assert_ptr_equal(log_at(2, 0)->source, log_at(2, 0)->peer->session);
	world_free(&w);
}

/* Frames that are wrong each in their way: refused, and the session lives. */
static void
test_bad_frames(void **state)
{
	static const uint8_t ping_long[8 + 9] = { 0, 0, 0, 9, WIRE_PING, 0, 0, 0 };
	static const uint8_t unknown[8] = { 0, 0, 0, 0, 99, 0, 0, 0 };
	static const uint8_t flags[8] = { 0, 0, 0, 0, WIRE_CANCEL, 0x80, 0, 1 };
	static const uint8_t hello_again[8] = { 0, 0, 0, 0, WIRE_HELLO, 0, 0, 0 };
	static const uint8_t late[8 + 1] = { 0, 0, 0, 1, WIRE_RECORD, 0, 0x12, 0x34, 7 };
	struct nrs_buf big;
	struct session *s;
	uint64_t before;

	start(2);
	s = log_at(1, 0)->peer->session;
	before = log_at(1, 0)->peer->info.refused_in;
	nrs_buf_init(&big, 8u << 20);
	nrs_buf_u32(&big, NRS_FRAME_MAX + 5);
	nrs_buf_u32(&big, (uint32_t)WIRE_HAVE << 24);
	nrs_buf_zero(&big, NRS_FRAME_MAX + 5);
	world_inject(&w, 1, 0, ping_long, sizeof(ping_long));
	world_inject(&w, 1, 0, unknown, sizeof(unknown));
	world_inject(&w, 1, 0, flags, sizeof(flags));
	world_inject(&w, 1, 0, hello_again, sizeof(hello_again));
	world_inject(&w, 1, 0, big.p, big.len);
	world_inject(&w, 1, 0, late, sizeof(late));
	world_run(&w, 2);
	assert_true(log_at(1, 0)->peer->info.refused_in >= before + 5);
	assert_ptr_equal(log_at(1, 0)->peer->session, s);
	world_submit(&w, 0, 1, 10);
	world_run(&w, 5);
	assert_same(0, 1, 0, 1);
	assert_ptr_equal(log_at(1, 0)->peer->session, s);
	nrs_buf_fini(&big);
	world_free(&w);
}

static unsigned int mangled;

/* Turns one bit in the payload of every record of the first ten under way to node 1. */
static void
mangle_records(struct world *x, unsigned int to, uint8_t *p, size_t len)
{
	struct wire_reader r = { 0 };
	const uint8_t *q = p;
	struct wire_frame f;

	if (to != 1 || mangled >= 10)
		return;
	while (wire_reader_next(&r, &q, &len, &f) == 1) {
		if (f.type != WIRE_RECORD || f.body == NULL)
			continue;
		p[(size_t)(f.body - p) + 284 + 76 + mangled] ^= 0x10;
		mangled++;
	}
	wire_reader_fini(&r);
}

static void
test_mangled_records(void **state)
{
	struct session *s;

	start(2);
	s = log_at(1, 0)->peer->session;
	mangled = 0;
	w.mangle = mangle_records;
	world_submit(&w, 0, 1, 100);
	world_submit(&w, 0, 1, 100);
	world_run(&w, 1200);
	assert_true(mangled >= 10);
	assert_ptr_equal(log_at(1, 0)->peer->session, s);
	assert_same(0, 1, 0, 2);
	assert_int_equal(events(1), 2);
	world_free(&w);
}

/*
 * The invite went through hands that added a line of a signature nobody knows.
 * The text is what was signed and compared over the phone: no evidence of anything.
 */
static void
test_signature_line_added(void **state)
{
	static const uint8_t id[4] = { 1, 2, 3, 4 }, sig[NRS_ED25519_SIG] = { 5 };

	world_new(&w, 2);
	world_open(&w, 0, true);
	nrs_note_add_sig(&w.v[0].manifest, "ca.example/stamp", id, sig, sizeof(sig));
	world_open(&w, 1, true);
	world_run(&w, 5);
	assert_false(log_at(1, 0)->frozen);
	world_community(&w);
	world_submit(&w, 0, 3, 0);
	world_run(&w, 5);
	assert_same(0, 1, 0, 1);
	world_crash(&w, 1);
	world_open(&w, 1, false);
	world_run(&w, 5);
	assert_same(0, 1, 0, 1);
	world_free(&w);
}

static uint64_t least; /* of two chains, what had come of the other when one was whole */

#define EACH 12	     /* records in each of them */
#define BIG  1500000 /* reading and sending one is all the work of a turn */

static void
watch_chains(struct world *world, unsigned int to, uint8_t *p, size_t len)
{
	const struct origin *o = log_at(1, 0);
	const struct audience *a;
	uint64_t held[2] = { 0 };

	TAILQ_FOREACH(a, &o->audiences, link)
		held[a->type] = a->next;
	if (held[AUD_COMMUNITY] < EACH && held[AUD_DIRECT] < EACH + 1)
		least = held[AUD_COMMUNITY] < held[AUD_DIRECT] ? held[AUD_COMMUNITY]
							       : held[AUD_DIRECT];
}

/* A chain with much to send does not keep another waiting until it has ended. */
static void
test_fair(void **state)
{
	start(2);
	world_cut(&w, 0, 1, true);
	for (unsigned int i = 0; i < EACH; i++) {
		world_submit(&w, 0, 1, BIG);
		world_submit_direct(&w, 0, 1, 1, BIG);
	}
	w.mangle = watch_chains;
	world_cut(&w, 0, 1, false);
	world_run(&w, 120);
	w.mangle = NULL;
	assert_same(0, 1, 0, 2 * EACH + 1); /* and the list of the direct audience */
	assert_true(least >= EACH / 2);
	world_free(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_publish),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_long_record),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_relay),
		cmocka_unit_test(test_bad_frames),
		cmocka_unit_test(test_mangled_records),
		cmocka_unit_test(test_signature_line_added),
		cmocka_unit_test(test_fair),
	};

	return cmocka_run_group_tests_name("pair", tests, NULL, NULL);
}
