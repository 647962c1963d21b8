/*
 * A backlog that is taken on its checkpoint (PROTOCOL.md, section 4): what is
 * let in by it, what never is, and that it is remembered.
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
#include "node/session_priv.h"
#include "tests/unit/node/pair.h"

enum { KEY_ROOT, KEY_FEED, KEY_LOG }; /* as pair.c makes them */

#define MIN 5 /* what makes a backlog here */

static struct world w;

static struct origin *
log_at(unsigned int node, unsigned int origin)
{
	return origin_find_name(w.v[node].n, w.v[origin].name);
}

static int
say_yes(uint8_t alg, const uint8_t *pub, size_t pub_len, const uint8_t *msg, size_t msg_len,
    const uint8_t *sig, size_t sig_len)
{
	return 0;
}

/* Node 0 signs with another key, and does not look at what it has signed. */
static void
swap_feed_key(void)
{
	struct nrs_seckey *k = w.v[0].sec[KEY_FEED];

	w.v[0].sec[KEY_FEED] = w.v[0].sec[KEY_LOG + 1];
	w.v[0].sec[KEY_LOG + 1] = k;
}

/* Node 1 has missed bad records and then good ones. */
static void
backlog(unsigned int bad, unsigned int good)
{
	nrs_verify_fn verify;

	world_new(&w, 2);
	world_open(&w, 0, true);
	world_open(&w, 1, true);
	world_run(&w, 5);
	world_community(&w);
	world_cut(&w, 0, 1, true);
	verify = w.v[0].ops.verify;
	w.v[0].ops.verify = say_yes;
	swap_feed_key();
	for (unsigned int i = 0; i < bad; i++)
		world_submit(&w, 0, 1, 50);
	swap_feed_key();
	for (unsigned int i = 0; i < good; i++)
		world_submit(&w, 0, 1, 50);
	w.v[0].ops.verify = verify;
	w.v[1].n->catch_up_min = MIN;
}

static void
go_on(void)
{
	world_cut(&w, 0, 1, false);
	world_run(&w, 120);
}

/* Of the records held at node 1, those that say how they were accepted. */
static uint64_t
marked(void)
{
	struct origin *o = log_at(1, 0);
	struct node_record r;
	struct nrs_buf buf;
	uint64_t n = 0;

	nrs_buf_init(&buf, NRS_JFRAME_MAX + 64);
	for (uint64_t i = 0; i < o->put.size; i++)
		if (node_read_record(o, i, &buf, &r) == 0)
			n += (r.v.flags & NRS_JRECORD_CHECKPOINT) != 0;
	nrs_buf_fini(&buf);
	return n;
}

static void
test_verified_unless_allowed(void **state)
{
	backlog(10, 20);
	go_on();
	assert_int_equal(log_at(1, 0)->opened, 0);
	assert_int_equal(log_at(1, 0)->on_checkpoint, 0);
	assert_true(w.v[1].n->refusals[nrs_err_wire(NRS_ESIG)] > 0);
	world_free(&w);
}

static void
test_allowed(void **state)
{
	struct node_counts before, after;

	backlog(10, 20);
	log_at(1, 0)->peer->catch_up = true;
	go_on();
	assert_int_equal(log_at(1, 0)->opened, 30);
	/* All but those near the end, whose signatures were good. */
	assert_int_equal(log_at(1, 0)->on_checkpoint, 30 - MIN);
	assert_int_equal(marked(), 30 - MIN);
	assert_int_equal(log_at(0, 0)->on_checkpoint, 0);
	node_counts(w.v[1].n, &before);
	world_crash(&w, 1);
	world_open(&w, 1, false);
	node_counts(w.v[1].n, &after);
	assert_int_equal(after.events, before.events);
	assert_int_equal(log_at(1, 0)->opened, 30);
	assert_int_equal(log_at(1, 0)->on_checkpoint, 30 - MIN);
	assert_int_equal(marked(), 30 - MIN);
	world_free(&w);
}

/* The newest records are verified whatever is allowed. */
static void
test_not_near_the_end(void **state)
{
	backlog(30, MIN - 1);
	log_at(1, 0)->peer->catch_up = true;
	go_on();
	assert_int_equal(log_at(1, 0)->opened, 29);
	assert_int_equal(log_at(1, 0)->on_checkpoint, 29);
	assert_true(w.v[1].n->refusals[nrs_err_wire(NRS_ESIG)] > 0);
	world_free(&w);
}

/* What is allowed of one origin is so of that one only, and of no live record. */
static void
test_live(void **state)
{
	backlog(0, 3);
	log_at(1, 0)->peer->catch_up = true;
	go_on();
	for (unsigned int i = 0; i < 10; i++) {
		world_submit(&w, 0, 1, 50);
		world_run(&w, 1);
	}
	assert_int_equal(log_at(1, 0)->opened, 13);
	assert_int_equal(log_at(1, 0)->on_checkpoint, 0);
	assert_int_equal(marked(), 0);
	world_free(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verified_unless_allowed),
		cmocka_unit_test(test_allowed),
		cmocka_unit_test(test_not_near_the_end),
		cmocka_unit_test(test_live),
	};

	return cmocka_run_group_tests_name("catchup", tests, NULL, NULL);
}
