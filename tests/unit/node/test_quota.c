/*
 * Quotas of a peer: beyond one nothing is lost and nobody else waits; when it is
 * raised, or the day is over, exactly what was missing comes.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/session_priv.h"
#include "tests/unit/node/pair.h"

static struct world w;

static void
start(unsigned int n)
{
	world_new(&w, n);
	for (unsigned int i = 0; i < n; i++)
		world_open(&w, i, true);
	world_run(&w, 5);
	world_community(&w);
	world_run(&w, 5);
}

static struct origin *
log_at(unsigned int node, unsigned int origin)
{
	return origin_find_name(w.v[node].n, w.v[origin].name);
}

static const char *
quota_at(unsigned int node, unsigned int peer)
{
	return log_at(node, peer)->peer->info.quota;
}

static void
same(unsigned int node, unsigned int origin)
{
	const struct origin *a = log_at(node, origin), *b = log_at(origin, origin);

	assert_int_equal(a->shown.size, b->shown.size);
	assert_memory_equal(a->shown.root.b, b->shown.root.b, NRS_HASH_LEN);
}

static void
submit(unsigned int i, unsigned int n)
{
	while (n-- > 0)
		world_submit(&w, i, 1, 100);
}

static void
test_leaves_per_day(void **state)
{
	struct peer *p;
	uint64_t size;

	start(3);
	p = log_at(1, 0)->peer;
	submit(0, 1);
	world_run(&w, 5);
	size = log_at(1, 0)->put.size;
	p->leaves_per_day = 2; /* from now on */
	/* One run more than the quota at most: these come one by one. */
	for (unsigned int i = 0; i < 6; i++) {
		submit(0, 1);
		submit(2, 1);
		world_run(&w, 2);
	}
	assert_int_equal(log_at(1, 0)->put.size, size + 2);
	assert_string_equal(quota_at(1, 0), "leaves-per-day");
	assert_int_equal(p->info.quota_stops, 1);
	same(1, 2); /* others are not affected */
	assert_null(quota_at(1, 2));
	same(2, 0); /* nor is the peer, anywhere else */
	/* The day is over. */
	p->leaves_per_day = 1000;
	world_run(&w, 86400);
	same(1, 0);
	assert_int_equal(log_at(1, 0)->opened, 7);
	assert_int_equal(log_at(1, 0)->refused, 0);
	assert_null(quota_at(1, 0));
	world_free(&w);
}

/* Whoever passes the log on: the relay is not blamed, and the quota holds. */
static void
test_leaves_by_relay(void **state)
{
	struct peer *p;
	uint64_t size;

	start(3);
	world_cut(&w, 0, 1, true);
	world_run(&w, 5);
	p = log_at(1, 0)->peer;
	size = log_at(1, 0)->put.size;
	p->leaves_per_day = 1;
	for (unsigned int i = 0; i < 4; i++) {
		submit(0, 1);
		world_run(&w, 2);
	}
	assert_int_equal(log_at(1, 0)->put.size, size + 1);
	assert_string_equal(quota_at(1, 0), "leaves-per-day");
	assert_null(quota_at(1, 2));
	submit(2, 3);
	world_run(&w, 5);
	same(1, 2);
	p->leaves_per_day = 0;
	world_run(&w, 120);
	same(1, 0);
	assert_int_equal(log_at(1, 0)->opened, 4);
	assert_null(quota_at(1, 0));
	world_free(&w);
}

static void
test_disk_share(void **state)
{
	struct peer *p;
	uint64_t kept;

	start(2);
	submit(0, 2);
	world_run(&w, 5);
	p = log_at(1, 0)->peer;
	kept = origin_disk(log_at(1, 0));
	assert_true(kept > 2 * 400);
	p->disk_share = kept;
	submit(0, 5);
	world_run(&w, 100);
	assert_true(origin_disk(log_at(1, 0)) == kept);
	assert_string_equal(quota_at(1, 0), "disk-share");
	assert_int_equal(log_at(1, 0)->opened, 2);
	assert_int_equal(p->info.quota_stops, 1);
	p->disk_share = kept * 10;
	node_wake_at(w.v[1].n, session_now(w.v[1].n));
	world_run(&w, 100);
	same(1, 0);
	assert_int_equal(log_at(1, 0)->opened, 7);
	assert_null(quota_at(1, 0));
	/* What is kept is counted alike when the journal is read again. */
	kept = origin_disk(log_at(1, 0));
	world_crash(&w, 1);
	world_open(&w, 1, false);
	assert_true(origin_disk(log_at(1, 0)) == kept);
	world_free(&w);
}

static void
test_records_per_second(void **state)
{
	struct peer *p;

	start(2);
	p = log_at(1, 0)->peer;
	p->records_per_s = 1;
	w.v[1].n->window = 2048; /* a few records: else all come at once */
	world_cut(&w, 0, 1, true);
	submit(0, 40);
	world_cut(&w, 0, 1, false);
	for (unsigned int i = 0; i < 120 && quota_at(1, 0) == NULL; i++)
		world_run(&w, 1);
	assert_true(log_at(1, 0)->opened < 40);
	assert_string_equal(quota_at(1, 0), "records-per-second");
	world_run(&w, 240);
	assert_int_equal(log_at(1, 0)->opened, 40);
	assert_int_equal(p->info.quota_stops, 1);
	assert_null(quota_at(1, 0));
	world_free(&w);
}

static void
test_bytes_per_day(void **state)
{
	struct peer *p;

	start(2);
	p = log_at(1, 0)->peer;
	p->bytes_per_day = 3000;
	w.v[1].n->window = 2048;
	submit(0, 40);
	world_run(&w, 100);
	assert_true(log_at(1, 0)->opened < 40);
	assert_string_equal(quota_at(1, 0), "bytes-per-day");
	p->bytes_per_day = 1u << 20;
	world_run(&w, 86400);
	assert_int_equal(log_at(1, 0)->opened, 40);
	assert_null(quota_at(1, 0));
	world_free(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_leaves_per_day),
		cmocka_unit_test(test_leaves_by_relay),
		cmocka_unit_test(test_disk_share),
		cmocka_unit_test(test_records_per_second),
		cmocka_unit_test(test_bytes_per_day),
	};

	return cmocka_run_group_tests_name("quota", tests, NULL, NULL);
}
