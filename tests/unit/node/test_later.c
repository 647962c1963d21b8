/*
 * What a node does not understand it verifies as far as the format lets it,
 * stores and relays, and does not interpret: records of unknown kinds and of
 * later versions, and control documents of which nothing is known, go from JP
 * over US to SG byte for byte (FORMAT.md, sections 3 and 4).
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/node/raw.h"

enum { JP, US, SG };

static struct world w;

static struct origin *
log_at(unsigned int node, unsigned int origin)
{
	return origin_find_name(w.v[node].n, w.v[origin].name);
}

static void
check_held(unsigned int node, const struct raw_record *l)
{
	struct origin *o = log_at(node, JP);
	struct node_record rec;
	uint8_t *payload;
	struct nrs_buf buf;

	nrs_buf_init(&buf, NRS_JFRAME_MAX + 64);
	assert_int_equal(node_read_record(o, l->index, &buf, &rec), 0);
	assert_memory_equal(rec.v.header, l->header, sizeof(l->header));
	assert_int_equal(rec.v.sigs.len, sizeof(l->sigs));
	assert_memory_equal(rec.v.sigs.p, l->sigs, sizeof(l->sigs));
	assert_int_equal(node_read_payload(w.v[node].n, &rec, &payload), 0);
	assert_int_equal(rec.h.payload_len, strlen(l->payload));
	assert_memory_equal(payload, l->payload, strlen(l->payload));
	free(payload);
	nrs_buf_fini(&buf);
}

static void
same_log(unsigned int node)
{
	const struct origin *a = log_at(JP, JP), *b = log_at(node, JP);

	assert_true(a->put.size == b->put.size);
	assert_memory_equal(a->put.h, b->put.h, a->put.n * sizeof(a->put.h[0]));
	assert_true(b->cp.size == b->put.size);
	assert_int_equal(b->refused, 0);
	assert_null(node_failed(w.v[node].n));
}

static void
start(void)
{
	world_new(&w, 3);
	for (unsigned int i = 0; i < 3; i++)
		world_open(&w, i, true);
	world_run(&w, 5);
	world_community(&w);
	world_cut(&w, JP, SG, true);
}

static void
test_relayed(void **state)
{
	struct raw_record v[] = {
		{ .name = "kind 200",
		    .version = 1,
		    .kind = 200,
		    .tlp = NRS_TLP_AMBER,
		    .payload = "{ not a bundle" },
		{ .name = "kind 0",
		    .version = 1,
		    .kind = 0,
		    .tlp = NRS_TLP_CLEAR,
		    .payload = "" },
		{ .name = "version 2",
		    .version = 2,
		    .kind = 200,
		    .tlp = NRS_TLP_GREEN,
		    .payload = "\x01\x02 something else" },
		{ .name = "version 2 of a bundle",
		    .version = 2,
		    .kind = NRS_KIND_BUNDLE,
		    .wild = true,
		    .tlp = NRS_TLP_AMBER,
		    .payload = "not JSON" },
		{ .name = "version 255",
		    .version = 255,
		    .kind = NRS_KIND_MEMBERSHIP,
		    .wild = true,
		    .tlp = NRS_TLP_AMBER,
		    .payload = "nor a list" },
	};
	const size_t n = sizeof(v) / sizeof(v[0]);

	start();
	for (size_t i = 0; i < n; i++)
		raw_publish(&w, JP, &v[i]);
	world_submit(&w, JP, 2, 10); /* the chain goes on behind them */
	world_run(&w, 60);
	for (unsigned int node = US; node <= SG; node++) {
		assert_int_equal(log_at(node, JP)->opened, n + 1);
		assert_int_equal(w.v[node].n->shown_event, 1); /* the bundle's */
		same_log(node);
		for (size_t i = 0; i < n; i++)
			check_held(node, &v[i]);
	}
	/* and after a start, from the journal alone */
	world_crash(&w, SG);
	world_open(&w, SG, false);
	world_submit(&w, JP, 2, 10);
	world_run(&w, 120);
	assert_int_equal(log_at(SG, JP)->opened, n + 2);
	same_log(SG);
	for (size_t i = 0; i < n; i++)
		check_held(SG, &v[i]);
	world_free(&w);
}

/* What all versions share still counts. */
static void
test_refused(void **state)
{
	struct raw_record red = {
		.version = 2, .kind = 1, .wild = true, .tlp = NRS_TLP_RED, .payload = "x"
	};

	start();
	raw_publish(&w, JP, &red); /* no community takes RED, whatever the version */
	world_run(&w, 60);
	assert_int_equal(log_at(US, JP)->opened, 0);
	assert_int_equal(log_at(US, JP)->refused, 1);
	assert_int_equal(log_at(SG, JP)->opened, 0);
	world_free(&w);
}

static void
test_control(void **state)
{
	static const char *const docs[] = {
		("noroshi/v2/manifest\norigin jp.cert.example\nwhat comes then\n\n"
		 "\xe2\x80\x94 jp.cert.example/root AAAAAA==\n"),
		"noroshi/v1/manifest\nthis is none\n",
		"noroshi/v1/witnesses\n",
		"\x01\x02\x03",
		"",
	};
	const size_t n = sizeof(docs) / sizeof(docs[0]);
	struct nrs_jframe f;
	struct nrs_buf buf;
	uint64_t pos, first;

	start();
	first = log_at(JP, JP)->put.size;
	for (size_t i = 0; i < n; i++)
		raw_control(&w, JP, docs[i], strlen(docs[i]));
	world_submit(&w, JP, 2, 10);
	world_run(&w, 60);
	nrs_buf_init(&buf, NRS_JFRAME_MAX + 64);
	for (unsigned int node = US; node <= SG; node++) {
		same_log(node);
		assert_int_equal(log_at(node, JP)->nmanifests, 1);
		assert_int_equal(log_at(node, JP)->opened, 1);
		for (size_t i = 0; i < n; i++) {
			assert_int_equal(origin_pos(log_at(node, JP), first + i, &pos), 0);
			assert_int_equal(
			    nrs_journal_read(w.v[node].n->journal, pos, &buf, &f), 0);
			assert_int_equal(f.type, NRS_J_CONTROL);
			assert_int_equal(f.body.len, 40 + strlen(docs[i]));
			assert_memory_equal(f.body.p + 40, docs[i], strlen(docs[i]));
		}
	}
	nrs_buf_fini(&buf);
	world_free(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_relayed),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_control),
	};

	return cmocka_run_group_tests_name("later", tests, NULL, NULL);
}
