/* One node alone: publishing, crashes, caches, readers, communities. */
#include "tests/unit/node/tnode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "stix/scan.h"

static const struct node_clearance all = { .tlp = NRS_TLP_RED };
static const struct node_cursor begin = { 0, 0 };

static struct tnode *
start(uint64_t seed)
{
	struct tnode *t = tnode_new(seed);

	assert_int_equal(tnode_open(t, true), 0);
	tnode_run(t);
	tnode_community(t, "iwwn", NRS_TLP_AMBER);
	return t;
}

static void
publish(struct tnode *t, unsigned int first, unsigned int count, uint64_t want_index)
{
	struct tsubmit ts;

	tnode_submit(t, &ts, "iwwn", first, count, NRS_TLP_GREEN);
	tnode_run(t);
	assert_int_equal(ts.called, 1);
	assert_int_equal(ts.rc, 0);
	assert_int_equal(ts.s.index, want_index);
	assert_int_equal(ts.s.objects, count);
}

static unsigned int
count_lines(struct tnode *t, const struct node_clearance *cl)
{
	struct nrs_buf out;
	unsigned int n;

	nrs_buf_init(&out, 64u << 20);
	n = tnode_read(t, cl, begin, 1u << 20, &out, NULL);
	nrs_buf_fini(&out);
	return n;
}

static int
take_own(void *arg, const struct node_origin_info *i)
{
	if (i->own)
		*(struct node_origin_info *)arg = *i;
	return 0;
}

static void
test_create(void **state)
{
	struct tnode *t = tnode_new(1);
	struct node_origin_info i;
	struct nrs_hash leaf;
	struct nrs_digest *dg = nrs_digest_new();

	assert_int_equal(tnode_open(t, false), NRS_ENOTFOUND);
	assert_int_equal(tnode_open(t, true), 0);
	node_origins(t->n, take_own, &i);
	assert_int_equal(i.size, 0); /* nothing is shown before it is durable */
	tnode_run(t);
	node_origins(t->n, take_own, &i);
	assert_int_equal(i.size, 1);
	assert_int_equal(nrs_leaf_control(dg, t->id.note.p, t->id.note.len, &leaf), 0);
	assert_memory_equal(i.root.b, leaf.b, 32);
	nrs_digest_free(dg);
	tnode_free(t);
}

static void
test_publish(void **state)
{
	struct tnode *t = start(2);
	struct nrs_buf out;
	struct node_cursor at;

	publish(t, 0, 3, 1);
	publish(t, 3, 2, 2);
	nrs_buf_init(&out, 1u << 20);
	assert_int_equal(tnode_read(t, &all, begin, 1u << 20, &out, &at), 5);
	nrs_buf_u8(&out, 0);
	assert_non_null(strstr((char *)out.p,
	    "{\"event\":1,\"n\":0,\"action\":\"add\",\"reason\":\"new\","
	    "\"origin\":\"jp.cert.example\",\"index\":1,\"community\":\"iwwn\","
	    "\"tlp\":\"GREEN\",\"time\":\""));
	assert_non_null(strstr((char *)out.p, "\"event\":2,\"n\":1,"));
	assert_int_equal(at.event, 2);
	assert_true(at.n == NRS_NONE);
	assert_int_equal(t->n->own->shown.size, 3);
	nrs_buf_fini(&out);
	tnode_free(t);
}

/* Every page size gives the same lines, resumed from the cursor after each page. */
static void
test_resume(void **state)
{
	struct tnode *t = start(3);
	struct node_reader *r;
	struct node_cursor at;
	struct nrs_buf whole, part;
	int rc;

	publish(t, 0, 3, 1);
	publish(t, 10, 1, 2);
	publish(t, 20, 4, 3);
	nrs_buf_init(&whole, 1u << 20);
	(void)tnode_read(t, &all, begin, 1u << 20, &whole, NULL);
	for (size_t max = 1; max < 2000; max += 333) {
		nrs_buf_init(&part, 1u << 20);
		at = begin;
		do {
			assert_int_equal(
			    node_reader_open(t->n, &all, at, NULL, NULL, &r, NULL), 0);
			rc = node_reader_next(r, &part, max);
			at = node_reader_cursor(r);
			node_reader_free(r);
		} while (rc == 0);
		assert_int_equal(rc, NODE_READER_IDLE);
		assert_int_equal(part.len, whole.len);
		assert_memory_equal(part.p, whole.p, whole.len);
		nrs_buf_fini(&part);
	}
	at = (struct node_cursor){ 4, NRS_NONE };
	assert_int_equal(
	    node_reader_open(t->n, &all, at, NULL, NULL, &r, NULL), NRS_ERANGE);
	nrs_buf_fini(&whole);
	tnode_free(t);
}

static void
woken(void *arg)
{
	++*(unsigned int *)arg;
}

static void
test_wake(void **state)
{
	struct tnode *t = start(4);
	struct node_reader *r[3];
	unsigned int calls[3] = { 0 };
	struct nrs_buf out;

	nrs_buf_init(&out, 1u << 20);
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(
		    node_reader_open(t->n, &all, begin, woken, &calls[i], &r[i], NULL), 0);
		if (i < 2)
			assert_int_equal(
			    node_reader_next(r[i], &out, 100), NODE_READER_IDLE);
	}
	publish(t, 0, 1, 1);
	publish(t, 1, 1, 2);
	assert_int_equal(calls[0], 1);
	assert_int_equal(calls[1], 1);
	assert_int_equal(calls[2], 0); /* never said that it waits */
	node_reader_free(r[1]);
	nrs_buf_fini(&out);
	tnode_free(t); /* frees the others */
}

static void
test_idempotent(void **state)
{
	struct tnode *t = start(5);
	struct tsubmit a, b;

	publish(t, 0, 3, 1);
	/* one known object: nothing is sent, and which one is said */
	tnode_submit(t, &a, "iwwn", 2, 3, NRS_TLP_GREEN);
	tnode_run(t);
	assert_int_equal(a.rc, NRS_EEXISTS);
	assert_int_equal(a.nknown, 1);
	assert_int_equal(a.known[0], 0);
	assert_int_equal(t->n->own->put.size, 2);
	/* another marking is another sharing */
	tnode_submit(t, &a, "iwwn", 2, 1, NRS_TLP_AMBER);
	tnode_run(t);
	assert_int_equal(a.rc, 0);
	/* two at once: one is first */
	tnode_submit(t, &a, "iwwn", 50, 2, NRS_TLP_GREEN);
	tnode_submit(t, &b, "iwwn", 51, 2, NRS_TLP_GREEN);
	tnode_run(t);
	assert_true(
	    (a.rc == 0 && b.rc == NRS_EEXISTS) || (b.rc == 0 && a.rc == NRS_EEXISTS));
	assert_int_equal(t->n->own->put.size, 4);
	/* the cache of keys is lost: the journal knows */
	tnode_crash(t, MEMENV_KILL, 0);
	t->nkv = 0;
	t->kv_mark = 0;
	assert_int_equal(tnode_open(t, false), 0);
	tnode_submit(t, &a, "iwwn", 0, 3, NRS_TLP_GREEN);
	tnode_run(t);
	assert_int_equal(a.rc, NRS_EEXISTS);
	assert_int_equal(a.nknown, 3);
	tnode_free(t);
}

/* A journal put back from an older copy is refused before anything is signed or cut. */
static void
test_older_state(void **state)
{
	struct tnode *t = start(8);
	struct tsubmit a;
	uint64_t size;

	tnode_submit(t, &a, "iwwn", 0, 1, NRS_TLP_GREEN);
	tnode_run(t);
	assert_int_equal(a.rc, 0);
	size = t->signed_size;
	assert_true(size > 1);
	tnode_crash(t, MEMENV_KILL, 0);
	t->signed_size = size + 1; /* the keeper has seen one more */
	assert_int_equal(tnode_open(t, false), NRS_EROLLBACK);
	t->signed_size = size;
	assert_int_equal(tnode_open(t, false), 0);
	tnode_free(t);
}

/*
 * A checkpoint is shown once it is signed; when the power fails before its frame
 * is durable, the next start makes the same one again, or does not start.
 */
static void
test_lost_checkpoint(void **state)
{
	for (unsigned int seed = 1; seed < 20; seed++) {
		struct tnode *t = start(100 + seed);
		uint8_t note[NRS_NOTE_MAX];
		struct tsubmit a;
		uint64_t size;
		size_t len;

		size = t->n->own->shown.size;
		tnode_submit(t, &a, "iwwn", 0, 1, NRS_TLP_GREEN);
		for (unsigned int i = 0; t->n->own->shown.size == size; i++) {
			assert_true(i < 1000);
			(void)tnode_step(t);
		}
		assert_true(nrs_journal_pending(t->n->journal) > 0);
		size = t->n->own->shown.size;
		len = t->n->own->shown_len;
		assert_true(len > 0 && len <= sizeof(note));
		memcpy(note, t->n->own->shown_note, len);
		tnode_crash(t, MEMENV_LOSE, seed);
		t->sign_run_rc = NRS_EFORK; /* it remembers another root */
		assert_int_equal(tnode_open(t, false), NRS_EFORK);
		t->sign_run_rc = 0;
		assert_int_equal(tnode_open(t, false), 0);
		assert_int_equal(t->n->own->shown.size, size);
		assert_int_equal(t->n->own->shown_len, len);
		assert_memory_equal(t->n->own->shown_note, note, len);
		tnode_run(t);
		tnode_free(t);
	}
}

/* While the first is with the keeper the second waits; when it fails, the second goes. */
static void
test_keeper(void **state)
{
	struct tnode *t = start(6);
	struct tsubmit a, b;

	t->sign_hold = true;
	tnode_submit(t, &a, "iwwn", 0, 2, NRS_TLP_GREEN);
	tnode_run(t);
	tnode_submit(t, &b, "iwwn", 1, 2, NRS_TLP_GREEN);
	tnode_run(t);
	assert_int_equal(a.called + b.called, 0);
	assert_int_equal(t->n->own->put.size, 1);
	t->sign_rc = NRS_EPERM;
	t->sign_hold = false;
	while (a.called == 0)
		(void)tnode_step(t);
	assert_int_equal(a.rc, NRS_EPERM);
	assert_int_equal(t->n->own->put.size, 1);
	t->sign_rc = 0;
	tnode_run(t);
	/* nor does a signature with a flipped bit reach the log */
	t->sign_flip = true;
	tnode_submit(t, &a, "iwwn", 90, 1, NRS_TLP_GREEN);
	tnode_run(t);
	assert_int_equal(a.rc, NRS_ESIG);
	t->sign_flip = false;
	if (b.rc == NRS_EPERM) { /* it was asked before the keeper recovered */
		tnode_submit(t, &b, "iwwn", 1, 2, NRS_TLP_GREEN);
		tnode_run(t);
	}
	assert_int_equal(b.rc, 0);
	assert_int_equal(b.s.index, 1);
	publish(t, 10, 1, 2);
	tnode_free(t);
}

/* A checkpoint with a flipped bit is shown to nobody; a second later it is asked for again. */
static void
test_keeper_flips(void **state)
{
	struct tnode *t = start(6);
	struct tsubmit a;
	uint64_t shown;

	t->sign_hold = true;
	tnode_submit(t, &a, "iwwn", 0, 2, NRS_TLP_GREEN);
	tnode_run(t);
	t->sign_hold = false;
	while (t->n->own->put.size == t->n->own->shown.size)
		(void)tnode_step(t);
	shown = t->n->own->shown.size;
	t->sign_flip = true;
	tnode_run(t);
	assert_int_equal(t->n->own->shown.size, shown);
	assert_int_equal(t->n->own->cp.size, shown);
	tnode_run(t);
	assert_int_equal(t->n->own->shown.size, shown);
	t->sign_flip = false;
	t->m->mono.ns += 2000000000;
	tnode_run(t);
	assert_int_equal(t->n->own->shown.size, t->n->own->put.size);
	assert_int_equal(a.rc, 0);
	tnode_free(t);
}

static void
test_checks(void **state)
{
	static const char *const nobody[] = { "us.cert.example", "xx.cert.example" };
	static const struct {
		const char *community;
		unsigned int nrecipients;
		uint8_t tlp, marked, flags;
		const char *payload;
		int want;
	} v[] = {
		{ "nowhere", 0, 1, 1, 0, NULL, NRS_EUNKNOWN },
		{ "iwwn", 0, 3, 1, 0, NULL, NRS_ECEILING },
		{ "iwwn", 0, 4, 1, 0, NULL, NRS_ECEILING },
		{ "iwwn", 0, 5, 1, 0, NULL, NRS_ERANGE },
		{ "iwwn", 0, 1, 2, 0, NULL, NRS_EMARKING },
		{ "iwwn", 0, 1, 1, NRS_FLAG_EXERCISE, NULL, NRS_ERESERVED },
		{ "iwwn", 1, 1, 1, 0, NULL, NRS_ESYNTAX },
		{ NULL, 0, 1, 1, 0, NULL, NRS_ESYNTAX },
		{ NULL, 2, 1, 1, 0, NULL, NRS_EUNKNOWN },
		{ NULL, 1, 4, 1, 0, NULL, NRS_ECEILING },
		{ "iwwn", 0, 1, 1, 0, "{}", NRS_ESTIX },
		{ "iwwn", 0, 1, 1, 0, "{", 0 },
		{ "iwwn", 0, 1, 1, 0, NULL, 0 },
	};
	struct tnode *t = tnode_new(7);
	struct nrs_detail d;
	struct tident us;
	struct tsubmit ts;
	struct nrs_buf b;
	int check;

	tident_init(&us, "us.cert.example");
	tnode_peer(t, &us, NULL, 0, NRS_TLP_AMBER);
	assert_int_equal(tnode_open(t, true), 0);
	tnode_run(t);
	tnode_community(t, "iwwn", NRS_TLP_AMBER);
	for (unsigned int i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		nrs_buf_init(&b, 1u << 20);
		if (v[i].payload != NULL)
			nrs_buf_str(&b, v[i].payload);
		else
			tnode_bundle(&b, i * 10, 2, v[i].marked);
		tnode_submit(t, &ts, "nowhere", 0, 1, 0); /* for its callback */
		tnode_run(t);
		ts.called = 0;
		ts.s.community = v[i].community;
		ts.s.recipients = nobody;
		ts.s.nrecipients = v[i].nrecipients;
		ts.s.tlp = v[i].tlp;
		ts.s.flags = v[i].flags;
		ts.s.payload = nrs_buf_take(&b, &ts.s.payload_len);
		memset(&d, 0, sizeof(d));
		check = node_submit_check(t->n, &ts.s, &d);
		node_submit(t->n, &ts.s);
		tnode_run(t);
		assert_int_equal(ts.called, 1);
		assert_int_equal(ts.rc, check);
		if (v[i].payload == NULL || v[i].want != 0)
			assert_int_equal(ts.rc, v[i].want);
		else
			assert_true(ts.rc < 0);
		if (ts.rc != 0)
			assert_true(ts.s.d.text[0] != '\0');
		nrs_buf_fini(&b);
	}
	assert_int_equal(t->n->own->put.size, 2);
	tident_fini(&us);
	tnode_free(t);
}

static void
test_clearance(void **state)
{
	static const char *const iwwn[] = { "iwwn" }, *const other[] = { "other" };
	struct node_clearance green = { .tlp = NRS_TLP_GREEN };
	struct node_clearance named = {
		.tlp = NRS_TLP_RED, .communities = iwwn, .ncommunities = 1
	};
	struct node_clearance none = {
		.tlp = NRS_TLP_RED, .communities = other, .ncommunities = 1
	};
	struct node_cursor at;
	struct tnode *t = start(8);
	struct nrs_buf out;
	struct tsubmit ts;

	publish(t, 0, 3, 1);
	tnode_submit(t, &ts, "iwwn", 0, 2, NRS_TLP_AMBER);
	tnode_run(t);
	assert_int_equal(ts.rc, 0);
	assert_int_equal(count_lines(t, &all), 5);
	assert_int_equal(count_lines(t, &green), 3);
	assert_int_equal(count_lines(t, &named), 5);
	assert_int_equal(count_lines(t, &none), 0);
	/* what is passed over still moves the cursor */
	nrs_buf_init(&out, 1024);
	(void)tnode_read(t, &none, begin, 100, &out, &at);
	assert_int_equal(at.event, 2);
	nrs_buf_fini(&out);
	tnode_free(t);
}

static void
test_direct(void **state)
{
	static const char *const both[] = { "us.cert.example", "sg.cert.example" };
	static const char *const swapped[] = { "sg.cert.example", "us.cert.example" };
	struct tnode *t = tnode_new(9);
	struct node_clearance red = { .tlp = NRS_TLP_RED };
	struct tident us, sg;
	struct nrs_buf out;
	struct tsubmit ts;

	tident_init(&us, "us.cert.example");
	tident_init(&sg, "sg.cert.example");
	tnode_peer(t, &us, NULL, 0, NRS_TLP_RED);
	tnode_peer(t, &sg, NULL, 0, NRS_TLP_RED);
	assert_int_equal(tnode_open(t, true), 0);
	for (unsigned int i = 0; i < 4; i++) {
		if (i == 2) {
			tnode_crash(t, MEMENV_KILL, 0);
			assert_int_equal(tnode_open(t, false), 0);
		}
		tnode_submit(t, &ts, "x", i, 1, NRS_TLP_RED);
		tnode_run(t);
		assert_int_equal(ts.rc, NRS_EUNKNOWN);
		nrs_buf_init(&out, 1u << 20);
		tnode_bundle(&out, i, 1, NRS_TLP_UNMARKED);
		ts.s.payload = nrs_buf_take(&out, &ts.s.payload_len);
		ts.s.community = NULL;
		ts.s.recipients = i % 2 == 0 ? both : swapped;
		ts.s.nrecipients = 2;
		node_submit(t->n, &ts.s);
		tnode_run(t);
		assert_int_equal(ts.rc, 0);
		/* entry 0 is the manifest, 1 the list: one list for one set */
		assert_int_equal(ts.s.index, 2 + i);
	}
	nrs_buf_init(&out, 1u << 20);
	assert_int_equal(tnode_read(t, &red, begin, 1u << 20, &out, NULL), 4);
	nrs_buf_u8(&out, 0);
	assert_non_null(strstr((char *)out.p,
	    "\"community\":null,\"to\":[\"sg.cert.example\",\"us.cert.example\"],"
	    "\"tlp\":\"RED\""));
	nrs_buf_fini(&out);
	tident_fini(&us);
	tident_fini(&sg);
	tnode_free(t);
}

/* State through segments: each is small, so that STATE is written and read often. */
static void
test_segments(void **state)
{
	struct tnode *t = tnode_new(10);
	struct nrs_hash root;
	struct nrs_frontier f;

	t->segment_bytes = 16384;
	assert_int_equal(tnode_open(t, true), 0);
	tnode_run(t);
	tnode_community(t, "iwwn", NRS_TLP_AMBER);
	for (unsigned int i = 0; i < 60; i++) {
		publish(t, i * 10, 5, i + 1);
		if (i % 13 == 12) {
			tnode_crash(t, MEMENV_KILL, i);
			assert_int_equal(tnode_open(t, false), 0);
		}
	}
	assert_true(nrs_journal_end(t->n->journal) >> 32 > 2);
	assert_int_equal(count_lines(t, &all), 300);
	f = t->n->own->put;
	assert_int_equal(f.size, 61);
	assert_int_equal(nrs_frontier_root(t->n->dg, &f, &root), 0);
	tnode_run(t);
	assert_memory_equal(t->n->own->shown.root.b, root.b, 32);
	tnode_free(t);
}

/* A cache that is gone or cut is made again from the journal alone. */
static void
test_rebuild(void **state)
{
	static const char *const gone[] = { "events", "pos", "l0", "aud" };
	char path[128], hex[40];

	for (unsigned int k = 0; k < 4; k++) {
		struct tnode *t = tnode_new(11 + k);
		struct audience *a;
		struct node_origin_info before, after;

		t->segment_bytes = 16384;
		assert_int_equal(tnode_open(t, true), 0);
		tnode_run(t);
		tnode_community(t, "iwwn", NRS_TLP_AMBER);
		for (unsigned int i = 0; i < 40; i++)
			publish(t, i * 10, 5, i + 1);
		assert_true(nrs_journal_end(t->n->journal) >> 32 > 1);
		node_origins(t->n, take_own, &before);
		snprintf(hex, sizeof(hex), "%02x%02x%02x%02x%02x%02x%02x%02x",
		    t->n->id.b[0], t->n->id.b[1], t->n->id.b[2], t->n->id.b[3],
		    t->n->id.b[4], t->n->id.b[5], t->n->id.b[6], t->n->id.b[7]);
		a = TAILQ_FIRST(&t->n->own->audiences);
		if (k == 0)
			snprintf(path, sizeof(path), "events");
		else if (k < 3)
			snprintf(path, sizeof(path), "logs/%s/%s", hex, gone[k]);
		else
			snprintf(path, sizeof(path),
			    "logs/%s/aud-%02x%02x%02x%02x%02x%02x%02x%02x", hex, a->id.b[0],
			    a->id.b[1], a->id.b[2], a->id.b[3], a->id.b[4], a->id.b[5],
			    a->id.b[6], a->id.b[7]);
		tnode_crash(t, MEMENV_KILL, k);
		memenv_remove(t->m, path);
		assert_int_equal(tnode_open(t, false), 0);
		tnode_run(t);
		node_origins(t->n, take_own, &after);
		assert_int_equal(after.size, before.size);
		assert_memory_equal(after.root.b, before.root.b, 32);
		assert_int_equal(count_lines(t, &all), 200);
		publish(t, 5000, 1, 41);
		tnode_free(t);
	}
}

/* Power fails anywhere: what was acknowledged is there, once, and nothing else is torn. */
static void
test_crash(void **state)
{
	for (unsigned int seed = 0; seed < 60; seed++) {
		struct tnode *t = tnode_new(seed + 100);
		struct tsubmit ts[6];
		unsigned int acked = 0, lines, steps = seed * 7 % 41;
		struct node_cursor seen;
		uint64_t signed_size;

		t->segment_bytes = 16384;
		assert_int_equal(tnode_open(t, true), 0);
		tnode_run(t);
		tnode_community(t, "iwwn", NRS_TLP_AMBER);
		for (unsigned int i = 0; i < 6; i++) {
			tnode_submit(t, &ts[i], "iwwn", i * 10, 2, NRS_TLP_GREEN);
			for (unsigned int k = 0; k < steps / 6; k++)
				(void)tnode_step(t);
		}
		for (unsigned int k = 0; k < steps; k++)
			(void)tnode_step(t);
		for (unsigned int i = 0; i < 6; i++)
			acked += ts[i].called > 0 && ts[i].rc == 0;
		seen = node_cursor_now(t->n);
		signed_size = t->signed_size;
		tnode_crash(t, seed % 2 == 0 ? MEMENV_LOSE : MEMENV_TEAR, seed);
		assert_int_equal(tnode_open(t, false), 0);
		assert_true(t->n->own->put.size >= signed_size);
		assert_true(node_cursor_now(t->n).event >= seen.event);
		lines = count_lines(t, &all);
		assert_true(lines >= acked * 2);
		/* sent again, each is there exactly once */
		for (unsigned int i = 0; i < 6; i++)
			tnode_submit(t, &ts[i], "iwwn", i * 10, 2, NRS_TLP_GREEN);
		tnode_run(t);
		for (unsigned int i = 0; i < 6; i++)
			assert_true(ts[i].rc == 0 || ts[i].rc == NRS_EEXISTS);
		assert_int_equal(count_lines(t, &all), 12);
		assert_int_equal(t->n->own->shown.size, t->n->own->put.size);
		tnode_free(t);
	}
}

static void
test_full(void **state)
{
	struct tnode *t = tnode_new(12);
	struct tsubmit ts;
	unsigned int i;

	t->segment_bytes = 16384; /* what is reserved in advance is soon used up */
	assert_int_equal(tnode_open(t, true), 0);
	tnode_run(t);
	tnode_community(t, "iwwn", NRS_TLP_AMBER);
	t->m->full = true;
	for (i = 0; i < 200; i++) {
		tnode_submit(t, &ts, "iwwn", i * 2, 2, NRS_TLP_GREEN);
		tnode_run(t);
		if (ts.called == 0 || ts.rc != 0)
			break;
	}
	assert_true(i < 200);
	/* taken in before it was noticed, or refused: new work is refused now */
	tnode_submit(t, &ts, "iwwn", 9000, 1, NRS_TLP_GREEN);
	tnode_run(t);
	assert_int_equal(ts.rc, NRS_EFULL);
	assert_true(count_lines(t, &all) >= i * 2);
	t->m->full = false;
	t->m->mono.ns += 2000000000;
	tnode_run(t);
	tnode_submit(t, &ts, "iwwn", 9000, 1, NRS_TLP_GREEN);
	tnode_run(t);
	assert_int_equal(ts.rc, 0);
	tnode_free(t);
}

static void
op_done(struct node_op *op, int rc)
{
	*(int *)op->arg = rc;
}

static int
found(struct tnode *t, const char *name, uint8_t ceiling, uint8_t onward)
{
	struct node_community_opts o = { .ceiling = ceiling, .onward = onward };
	int rc = 1;
	struct node_op op = { .done = op_done, .arg = &rc };

	node_community_create(t->n, name, &o, &op);
	tnode_run(t);
	return rc;
}

/* What a community may be: names and markings up to their limits, and nothing above. */
static void
test_found(void **state)
{
	struct tnode *t = tnode_new(14);
	char name[NRS_NAME_MAX + 2];

	memset(name, 'n', sizeof(name));
	assert_int_equal(tnode_open(t, true), 0);
	name[NRS_NAME_MAX + 1] = '\0';
	assert_int_equal(found(t, name, NRS_TLP_AMBER, 0), NRS_ESYNTAX);
	name[NRS_NAME_MAX] = '\0';
	assert_int_equal(found(t, name, NRS_TLP_AMBER_STRICT, 2), 0);
	assert_non_null(community_find_name(t->n, name));
	assert_int_equal(found(t, name, NRS_TLP_AMBER, 0), NRS_EEXISTS);
	assert_int_equal(found(t, "red", NRS_TLP_RED, 0), NRS_ERANGE);
	assert_int_equal(found(t, "onward", NRS_TLP_AMBER, 3), NRS_ERANGE);
	assert_null(community_find_name(t->n, "red"));
	assert_null(community_find_name(t->n, "onward"));
	tnode_free(t);
}

static void
test_members(void **state)
{
	static const char *const iwwn[] = { "iwwn" };
	struct tnode *t = tnode_new(13);
	struct community *c;
	struct tident us;
	int rc = 1;
	struct node_op op = { .done = op_done, .arg = &rc };
	struct peer *p;

	tident_init(&us, "us.cert.example");
	tnode_peer(t, &us, iwwn, 1, NRS_TLP_AMBER);
	assert_int_equal(tnode_open(t, true), 0);
	tnode_community(t, "iwwn", NRS_TLP_AMBER);
	c = community_find_name(t->n, "iwwn");
	p = TAILQ_FIRST(&t->n->peers);
	assert_false(community_member_at(c, 0, "us.cert.example"));
	node_community_member(t->n, "iwwn", "us.cert.example", true, &op);
	tnode_run(t);
	assert_int_equal(rc, 0);
	assert_int_equal(community_epoch(c), 1);
	assert_true(community_member_at(c, 1, "us.cert.example"));
	rc = 1;
	node_community_member(t->n, "iwwn", "us.cert.example", true, &op);
	tnode_run(t);
	assert_int_equal(rc, 0);
	assert_int_equal(community_epoch(c), 1); /* unchanged */
	publish(t, 0, 1, 1);
	/* entitled by epoch */
	{
		struct audience *a = audience_find(t->n->own, &c->id);
		struct nrs_header h = { .kind = 1, .tlp = 1, .epoch = 1 };

		assert_true(audience_shared(t->n, a, p));
		assert_int_equal(audience_entitled(t->n, a, &h, p), 0);
		h.epoch = 0;
		assert_int_equal(audience_entitled(t->n, a, &h, p), NRS_EMEMBER);
		h.epoch = 2;
		assert_int_equal(audience_entitled(t->n, a, &h, p), NRS_EEPOCH);
		h.epoch = 1;
		h.tlp = NRS_TLP_AMBER_STRICT;
		assert_int_equal(audience_entitled(t->n, a, &h, p), NRS_ECEILING);
		h.tlp = 1;
		h.flags = NRS_FLAG_EXERCISE;
		assert_int_equal(audience_entitled(t->n, a, &h, p), NRS_EMARKING);
	}
	rc = 1;
	node_community_member(t->n, "iwwn", "us.cert.example", false, &op);
	tnode_run(t);
	assert_int_equal(rc, 0);
	tnode_crash(t, MEMENV_LOSE, 1);
	assert_int_equal(tnode_open(t, false), 0);
	c = community_find_name(t->n, "iwwn");
	assert_non_null(c);
	assert_true(c->trusted);
	assert_int_equal(community_epoch(c), 2);
	assert_false(community_member_at(c, 2, "us.cert.example"));
	rc = 1;
	node_community_member(t->n, "iwwn", "de.cert.example", true, &op);
	tnode_run(t);
	assert_int_equal(rc, NRS_EUNKNOWN);
	tident_fini(&us);
	tnode_free(t);
}

/* A founding statement by another origin, and two that contradict each other after it. */
static void
foreign_statement(struct nrs_buf *note, const struct tident *by, uint32_t epoch,
    const struct nrs_hash *previous, uint8_t ceiling, struct nrs_hash *ret_hash)
{
	struct nrs_statement s = { .threshold = 1, .nstewards = 1, .nmembers = 1 };
	struct nrs_member m = { 0 };
	struct nrs_buf text;

	snprintf(m.origin, sizeof(m.origin), "%s", by->origin);
	assert_int_equal(nrs_rootkey_hash(&by->m.root, &m.root), 0);
	snprintf(s.name, sizeof(s.name), "apcert");
	snprintf(s.founder, sizeof(s.founder), "%s", by->origin);
	s.stewards = s.members = &m;
	s.epoch = epoch;
	s.ceiling = ceiling;
	if (epoch > 0)
		s.previous = *previous;
	assert_int_equal(nrs_community_id(s.founder, s.name, s.nonce, &s.community), 0);
	nrs_buf_init(&text, NRS_NOTE_MAX);
	nrs_buf_reset(note);
	assert_int_equal(nrs_statement_format(&text, &s), 0);
	assert_int_equal(
	    nrs_sha256_label("noroshi/v1/statement", text.p, text.len, ret_hash), 0);
	tident_note(note, by, "feed", by->feed, &text);
	nrs_buf_fini(&text);
}

static void
test_statements(void **state)
{
	struct tnode *t = tnode_new(14);
	struct nrs_hash h0, h1, h;
	struct community *c;
	struct tident us, sg;
	struct nrs_buf note;
	int rc = 1;
	struct node_op op = { .done = op_done, .arg = &rc };

	tident_init(&us, "us.cert.example");
	tident_init(&sg, "sg.cert.example");
	tnode_peer(t, &us, NULL, 0, NRS_TLP_AMBER);
	assert_int_equal(tnode_open(t, true), 0);
	nrs_buf_init(&note, NRS_NOTE_MAX);
	/* of a founder that is not known here nothing is kept */
	foreign_statement(&note, &sg, 0, NULL, 2, &h);
	assert_int_equal(community_take(t->n, note.p, note.len, false, NULL), NRS_ESIG);
	assert_null(community_find_name(t->n, "apcert"));
	foreign_statement(&note, &us, 0, NULL, 2, &h0);
	note.p[note.len - 10] ^= 4;
	assert_true(community_take(t->n, note.p, note.len, false, NULL) < 0);
	foreign_statement(&note, &us, 0, NULL, 2, &h0);
	assert_int_equal(community_take(t->n, note.p, note.len, false, NULL), 1);
	c = community_find_name(t->n, "apcert");
	assert_non_null(c);
	assert_false(c->trusted);
	/* a successor of what is only pending is kept, too */
	foreign_statement(&note, &us, 1, &h0, 1, &h1);
	assert_int_equal(community_take(t->n, note.p, note.len, false, NULL), 1);
	/* the operator accepts */
	foreign_statement(&note, &us, 0, NULL, 2, &h0);
	node_statement_accept(t->n, note.p, note.len, NULL, &op);
	tnode_run(t);
	assert_int_equal(rc, 0);
	assert_true(c->trusted);
	/* a gap */
	foreign_statement(&note, &us, 3, &h1, 1, &h);
	assert_int_equal(community_take(t->n, note.p, note.len, false, NULL), NRS_EORDER);
	/* a rival of epoch 1: frozen, and it stays so */
	assert_int_equal(t->nlog, 0);
	foreign_statement(&note, &us, 1, &h0, 3, &h);
	assert_int_equal(community_take(t->n, note.p, note.len, false, NULL), NRS_EFORK);
	assert_int_equal(community_take(t->n, note.p, note.len, false, NULL), NRS_EFORK);
	assert_int_equal(t->nlog, 1);
	assert_true(c->frozen);
	foreign_statement(&note, &us, 2, &h1, 1, &h);
	assert_int_equal(community_take(t->n, note.p, note.len, true, NULL), NRS_EFORK);
	tnode_run(t);
	tnode_crash(t, MEMENV_LOSE, 3);
	assert_int_equal(tnode_open(t, false), 0);
	c = community_find_name(t->n, "apcert");
	assert_true(c->trusted && c->frozen);
	assert_non_null(c->rival);
	assert_int_equal(community_epoch(c), 1);
	nrs_buf_fini(&note);
	tident_fini(&us);
	tident_fini(&sg);
	tnode_free(t);
}

static void
test_configure(void **state)
{
	struct tnode *t = tnode_new(15);
	struct tident us, sg, other;
	struct nrs_detail d;

	tident_init(&us, "us.cert.example");
	tident_init(&sg, "sg.cert.example");
	tident_init(&other, "us.cert.example");
	tnode_peer(t, &us, NULL, 0, NRS_TLP_AMBER);
	assert_int_equal(tnode_open(t, true), 0);
	tnode_run(t);
	/* all or nothing: the second peer is bad, the first is not taken either */
	tnode_peer(t, &sg, NULL, 0, NRS_TLP_AMBER);
	tnode_peer(t, &sg, NULL, 0, NRS_TLP_AMBER);
	memset(&d, 0, sizeof(d));
	assert_int_equal(node_reconfigure(t->n, &t->cfg, &d), NRS_EDUPLICATE);
	assert_true(d.text[0] != '\0');
	assert_null(origin_find_name(t->n, "sg.cert.example"));
	t->cfg.npeers = 2;
	t->peers[1].manifest = us.note.p;
	t->peers[1].manifest_len = us.note.len;
	assert_int_equal(node_reconfigure(t->n, &t->cfg, NULL), NRS_EORIGIN);
	t->peers[1].manifest = sg.note.p;
	t->peers[1].manifest_len = sg.note.len;
	assert_int_equal(node_reconfigure(t->n, &t->cfg, NULL), 0);
	tnode_run(t);
	assert_non_null(node_pin_find(
	    t->n, &origin_find_name(t->n, "sg.cert.example")->manifests[0].m.tls_pin[0]));
	/* taken out: the peer is gone, its origin stays */
	t->cfg.npeers = 1;
	assert_int_equal(node_reconfigure(t->n, &t->cfg, NULL), 0);
	assert_non_null(origin_find_name(t->n, "sg.cert.example"));
	assert_null(origin_find_name(t->n, "sg.cert.example")->peer);
	assert_null(node_pin_find(
	    t->n, &origin_find_name(t->n, "sg.cert.example")->manifests[0].m.tls_pin[0]));
	tnode_crash(t, MEMENV_LOSE, 1);
	assert_int_equal(tnode_open(t, false), 0);
	assert_non_null(origin_find_name(t->n, "sg.cert.example"));
	/* a journal of another origin */
	tnode_crash(t, MEMENV_KILL, 1);
	t->cfg.origin = "de.cert.example";
	assert_true(tnode_open(t, false) < 0);
	tident_fini(&us);
	tident_fini(&sg);
	tident_fini(&other);
	tnode_free(t);
}

static void
test_since(void **state)
{
	struct tnode *t = start(16);
	struct node_cursor at;
	uint64_t t0 = t->m->wall.ms;

	for (unsigned int i = 0; i < 5; i++) {
		t->m->wall.ms = t0 + i * 1000;
		if (i == 3)
			t->m->wall.ms = t0; /* the clock jumps back: times do not */
		publish(t, i, 1, i + 1);
	}
	static const struct {
		int64_t ms;
		uint64_t want;
	} v[] = { { -5, 0 }, { 0, 0 }, { 1, 1 }, { 1000, 1 }, { 2000, 2 }, { 2001, 4 },
		{ 4000, 4 }, { 4001, 5 } };
	for (unsigned int i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct nrs_wall w = { (uint64_t)((int64_t)t0 + v[i].ms) };

		assert_int_equal(node_cursor_since(t->n, w, &at), 0);
		assert_int_equal(at.event, v[i].want);
		assert_true(at.n == NRS_NONE);
	}
	tnode_free(t);
}

static void
test_drain(void **state)
{
	struct tnode *t = start(17);
	struct tsubmit a, b;

	tnode_submit(t, &a, "iwwn", 0, 1, NRS_TLP_GREEN);
	node_drain(t->n);
	assert_false(node_drained(t->n));
	tnode_submit(t, &b, "iwwn", 5, 1, NRS_TLP_GREEN);
	tnode_run(t);
	assert_int_equal(a.rc, 0);
	assert_int_equal(b.rc, NRS_ESTATE);
	assert_true(node_drained(t->n));
	tnode_free(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_publish),
		cmocka_unit_test(test_resume),
		cmocka_unit_test(test_wake),
		cmocka_unit_test(test_idempotent),
		cmocka_unit_test(test_older_state),
		cmocka_unit_test(test_lost_checkpoint),
		cmocka_unit_test(test_keeper),
		cmocka_unit_test(test_keeper_flips),
		cmocka_unit_test(test_checks),
		cmocka_unit_test(test_clearance),
		cmocka_unit_test(test_direct),
		cmocka_unit_test(test_segments),
		cmocka_unit_test(test_rebuild),
		cmocka_unit_test(test_crash),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_statements),
		cmocka_unit_test(test_configure),
		cmocka_unit_test(test_since),
		cmocka_unit_test(test_drain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
