/* Fan-out: who was given what is in the journal, and lines are made once. */
#include "tests/unit/node/tnode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const struct node_cursor begin = { 0, NRS_NONE };
static const struct node_receiver siem = {
	.kind = NODE_READER_UNIX, .name = "siem", .uid = 1000
};
static const struct node_clearance to_siem = { .tlp = NRS_TLP_RED, .receiver = &siem };

static struct tnode *
start(uint64_t seed, uint64_t segment_bytes)
{
	struct tnode *t = tnode_new(seed);

	t->segment_bytes = segment_bytes;
	assert_int_equal(tnode_open(t, true), 0);
	tnode_run(t);
	tnode_community(t, "iwwn", NRS_TLP_AMBER);
	return t;
}

static void
publish(struct tnode *t, unsigned int first, unsigned int count)
{
	struct tsubmit ts;

	tnode_submit(t, &ts, "iwwn", first, count, NRS_TLP_GREEN);
	tnode_run(t);
	assert_int_equal(ts.rc, 0);
}

/* --- what the journal says ------------------------------------------------------- */

struct range {
	uint64_t pos;
	struct nrs_jdisclosure open;
	bool closed;
	struct node_cursor to;
};
struct said {
	struct range v[512];
	unsigned int n, open, crashes;
};

static int
on_frame(void *arg, const struct nrs_jframe *f)
{
	struct said *s = arg;
	struct nrs_jdisclosure d;

	if (f->type != NRS_J_DISCLOSURE)
		return 0;
	assert_int_equal(nrs_jdisclosure_decode(&d, f->body), 0);
	if (d.op == NRS_JDISCLOSURE_OPEN) {
		assert_true(s->n < 512);
		s->v[s->n++] = (struct range){ .pos = f->pos, .open = d };
		s->open++;
	}
	s->crashes += d.op == NRS_JDISCLOSURE_CRASH;
	for (unsigned int i = 0; i < s->n; i++) {
		struct range *r = &s->v[i];

		if (r->closed || d.op == NRS_JDISCLOSURE_OPEN ||
		    (d.op == NRS_JDISCLOSURE_CLOSE && d.range != r->pos))
			continue;
		r->closed = true;
		r->to = (struct node_cursor){ d.event,
			d.op == NRS_JDISCLOSURE_CLOSE ? d.n : NRS_NONE };
		s->open--;
	}
	return 0;
}

static void
hear(struct tnode *t, struct said *s)
{
	struct nrs_detail d = { 0 };
	struct node_counts c;

	memset(s, 0, sizeof(*s));
	assert_int_equal(nrs_journal_scan(t->n->journal, 0, on_frame, s, &d), 0);
	node_counts(t->n, &c);
	assert_int_equal(s->open, c.ranges_open);
}

static void
woken(void *arg)
{
	++*(unsigned int *)arg;
}

/* Nothing is given before the range is durable; its end is exact to the line. */
static void
test_range(void **state)
{
	struct tnode *t = start(1, 0);
	struct node_reader *r;
	struct node_counts c;
	struct nrs_str s;
	struct said said;
	unsigned int calls = 0;
	const uint8_t *nl;

	publish(t, 0, 3);
	assert_int_equal(
	    node_reader_open(t->n, &to_siem, begin, woken, &calls, &r, NULL), 0);
	assert_int_equal(node_reader_peek(r, &s), NODE_READER_WAIT);
	assert_int_equal(s.len, 0);
	node_turn(t->n);
	assert_int_equal(node_reader_peek(r, &s), NODE_READER_WAIT);
	tnode_run(t);
	assert_int_equal(calls, 1);
	assert_int_equal(node_reader_peek(r, &s), 0);
	hear(t, &said);
	assert_int_equal(said.n, 1);
	assert_int_equal(said.open, 1);
	assert_int_equal(said.v[0].open.kind, NRS_JREADER_UNIX);
	assert_string_equal(said.v[0].open.name, "siem");
	assert_int_equal(said.v[0].open.uid, 1000);
	assert_int_equal(said.v[0].open.event, 0);
	assert_int_equal(said.v[0].open.flags, NRS_JCLEARANCE_ALL | NRS_JCLEARANCE_DIRECT);
	node_counts(t->n, &c);
	assert_int_equal(c.ranges_open, 1);

	/* one line and one byte: the second line counts as given */
	nl = memchr(s.p, '\n', s.len);
	assert_non_null(nl);
	node_reader_take(r, (size_t)(nl - s.p) + 1);
	assert_int_equal(node_reader_cursor(r).event, 1);
	assert_int_equal(node_reader_cursor(r).n, 1);
	assert_int_equal(node_reader_peek(r, &s), 0);
	assert_memory_equal(s.p, "{\"event\":1,\"n\":1,", 17);
	node_reader_take(r, 1);
	node_reader_free(r);
	tnode_run(t);
	hear(t, &said);
	assert_true(said.v[0].closed);
	assert_int_equal(said.v[0].to.event, 1);
	assert_int_equal(said.v[0].to.n, 2);
	assert_int_equal(said.crashes, 0);
	tnode_free(t);
}

/* A reader that goes before its range is durable, and one that nobody names. */
static void
test_early(void **state)
{
	static const struct node_receiver wrong[] = {
		{ .kind = NODE_READER_UNIX },
		{ .kind = NODE_READER_CONTROL, .name = "siem" },
		{ .kind = NODE_READER_UNIX, .name = "Not A Name" },
		{ .name = "siem" },
	};
	struct tnode *t = start(2, 0);
	struct node_clearance cl = { .tlp = NRS_TLP_RED };
	struct node_reader *r;
	struct said said;

	assert_int_equal(node_reader_open(t->n, &to_siem, begin, NULL, NULL, &r, NULL), 0);
	node_reader_free(r);
	tnode_run(t);
	hear(t, &said);
	assert_int_equal(said.n, 1);
	assert_int_equal(said.open, 0);
	for (unsigned int i = 0; i < 4; i++) {
		cl.receiver = &wrong[i];
		assert_int_equal(
		    node_reader_open(t->n, &cl, begin, NULL, NULL, &r, NULL), NRS_ERANGE);
	}
	tnode_run(t);
	hear(t, &said);
	assert_int_equal(said.n, 1);
	tnode_free(t);
}

/* A clean stop closes what is open; a start after it says nothing. */
static void
test_stop(void **state)
{
	struct tnode *t = start(3, 0);
	struct node_reader *r[2];
	struct nrs_str s;
	struct said said;

	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(
		    node_reader_open(t->n, &to_siem, begin, NULL, NULL, &r[i], NULL), 0);
	publish(t, 0, 2);
	assert_int_equal(node_reader_peek(r[0], &s), 0);
	node_reader_take(r[0], s.len);
	node_drain(t->n);
	node_readers_stop(t->n);
	assert_false(node_drained(t->n));
	assert_int_equal(node_reader_peek(r[0], &s), NODE_READER_IDLE);
	assert_int_equal(node_reader_peek(r[1], &s), NODE_READER_IDLE);
	tnode_run(t);
	assert_true(node_drained(t->n));
	hear(t, &said);
	assert_int_equal(said.n, 2);
	assert_int_equal(said.open, 0);
	assert_int_equal(said.v[0].to.event, 1);
	assert_int_equal(said.v[1].to.event, 0); /* nothing was given */
	tnode_crash(t, MEMENV_LOSE, 3);
	assert_int_equal(tnode_open(t, false), 0);
	tnode_run(t);
	hear(t, &said);
	assert_int_equal(said.crashes, 0);
	tnode_free(t);
}

/* Ranges that are open when segments roll are in STATE; caches lost or not, one start ends them. */
static void
test_state(void **state)
{
	for (unsigned int rebuild = 0; rebuild < 2; rebuild++) {
		struct tnode *t = start(4, 16384);
		struct node_reader *r;
		struct said said;

		for (unsigned int i = 0; i < 3; i++) {
			assert_int_equal(node_reader_open(t->n, &to_siem,
					     node_cursor_now(t->n), NULL, NULL, &r, NULL),
			    0);
			if (i == 1)
				node_reader_free(r);
			for (unsigned int k = 0; k < 10; k++)
				publish(t, (i * 10 + k) * 10, 10);
		}
		assert_true(nrs_journal_end(t->n->journal) >> 32 > 2);
		tnode_crash(t, MEMENV_LOSE, 4);
		if (rebuild == 1)
			memenv_remove(t->m, "events");
		assert_int_equal(tnode_open(t, false), 0);
		tnode_run(t);
		hear(t, &said);
		assert_int_equal(said.n, 3);
		assert_int_equal(said.open, 0);
		assert_int_equal(said.crashes, 1);
		assert_int_equal(said.v[1].to.event, 10);
		assert_int_equal(said.v[0].to.event, 30);
		assert_int_equal(said.v[2].to.event, 30);
		tnode_free(t);
	}
}

/* --- power loss ------------------------------------------------------------------- */

#define READERS 24

struct given {
	struct node_reader *r;
	char name[8];
	struct node_cursor from, to; /* what went out of the process */
	bool any;
};

static void
read_some(struct tnode *t, struct given *g)
{
	struct nrs_str s;
	size_t n;

	if (node_reader_peek(g->r, &s) != 0 || s.len == 0)
		return;
	n = 1 + memenv_random(&t->m->rng) % s.len;
	node_reader_take(g->r, n);
	g->to = node_reader_cursor(g->r);
	g->any = true;
}

static bool
later(struct node_cursor a, struct node_cursor b)
{
	return a.event != b.event ? a.event > b.event : a.n > b.n;
}

static void
check_given(struct tnode *t, const struct given *v)
{
	struct said said;

	hear(t, &said);
	assert_int_equal(said.open, 0);
	for (unsigned int i = 0; i < READERS; i++) {
		bool covered = false;

		for (unsigned int k = 0; k < said.n; k++) {
			const struct range *r = &said.v[k];
			struct node_cursor from = { r->open.event, r->open.n };

			if (strcmp(r->open.name, v[i].name) == 0 &&
			    !later(from, v[i].from) && !later(v[i].to, r->to))
				covered = true;
		}
		if (v[i].any && !covered)
			fail_msg("%s was given up to %llu, and the journal does not say so",
			    v[i].name, (unsigned long long)v[i].to.event);
	}
}

/* Wherever the power fails, what was given is in the journal that is left. */
static void
test_power(void **state)
{
	for (unsigned int seed = 0; seed < 120; seed++) {
		struct tnode *t = start(seed + 200, 16384);
		struct given v[READERS] = { 0 };
		uint64_t *rng = &t->m->rng;
		unsigned int opened = 0, any = 0;
		struct tsubmit ts[40];

		for (unsigned int k = 0, sent = 0; k < 40 + seed * 3 % 160; k++) {
			unsigned int i = (unsigned int)(memenv_random(rng) % READERS);
			struct given *g = &v[i];

			(void)tnode_step(t);
			if (memenv_random(rng) % 8 == 0 && sent < 40) {
				tnode_submit(
				    t, &ts[sent], "iwwn", sent * 10, 5, NRS_TLP_GREEN);
				sent++;
			}
			if (g->name[0] == '\0') {
				struct node_receiver who = { .kind = NODE_READER_TLS,
					.name = g->name };
				struct node_clearance cl = { .tlp = NRS_TLP_RED,
					.receiver = &who };

				snprintf(g->name, sizeof(g->name), "r%u", i);
				g->from = memenv_random(rng) % 2 == 0
				    ? begin
				    : node_cursor_now(t->n);
				assert_int_equal(node_reader_open(t->n, &cl, g->from, NULL,
						     NULL, &g->r, NULL),
				    0);
				opened++;
			} else if (g->r != NULL && memenv_random(rng) % 16 == 0) {
				node_reader_free(g->r);
				g->r = NULL;
			}
			if (g->r != NULL)
				read_some(t, g);
		}
		for (unsigned int i = 0; i < READERS; i++)
			any += v[i].any;
		assert_true(opened > 0);
		if (seed > 20)
			assert_true(any > 0 || seed * 3 % 160 < 40);
		tnode_crash(t, seed % 2 == 0 ? MEMENV_LOSE : MEMENV_TEAR, seed);
		assert_int_equal(tnode_open(t, false), 0);
		tnode_run(t);
		check_given(t, v);
		tnode_free(t);
	}
}

/* --- lines made once ----------------------------------------------------------------- */

static void
test_shared(void **state)
{
	static const struct node_clearance a = { .tlp = NRS_TLP_RED },
					   b = { .tlp = NRS_TLP_AMBER };
	struct tnode *t = start(5, 0);
	struct node_reader *r[3];
	struct node_counts c;
	struct nrs_str s[3];

	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(
		    node_reader_open(t->n, i < 2 ? &a : &b, begin, NULL, NULL, &r[i], NULL),
		    0);
	publish(t, 0, 5);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(node_reader_peek(r[i], &s[i]), 0);
	assert_ptr_equal(s[0].p, s[1].p);
	assert_ptr_not_equal(s[0].p, s[2].p);
	assert_int_equal(s[0].len, s[2].len);
	node_counts(t->n, &c);
	assert_int_equal(c.lines, 10);
	/* the next event goes to the same readers at the same cost */
	node_reader_take(r[0], s[0].len);
	publish(t, 10, 1);
	assert_int_equal(node_reader_peek(r[0], &s[0]), 0);
	assert_int_equal(node_reader_peek(r[1], &s[1]), 0);
	assert_ptr_equal(s[0].p + s[0].len, s[1].p + s[1].len);
	node_counts(t->n, &c);
	assert_int_equal(c.lines, 11);
	for (unsigned int i = 0; i < 3; i++)
		node_reader_free(r[i]);
	node_counts(t->n, &c);
	assert_int_equal(c.chunk_bytes, 0);
	tnode_free(t);
}

/* Two that begin at other places come together; each sees every line once. */
static void
test_together(void **state)
{
	static const struct node_clearance a = { .tlp = NRS_TLP_RED };
	struct tnode *t = start(6, 0);
	struct node_reader *r[3];
	struct node_counts c;
	struct nrs_buf out[3];
	uint64_t before;
	struct nrs_str s;

	publish(t, 0, 3);
	publish(t, 10, 3);
	for (unsigned int i = 0; i < 3; i++) {
		struct node_cursor from = { i, i == 0 ? NRS_NONE : i == 1 ? 2 : NRS_NONE };

		assert_int_equal(
		    node_reader_open(t->n, &a, from, NULL, NULL, &r[i], NULL), 0);
		nrs_buf_init(&out[i], 1u << 20);
		assert_int_equal(
		    node_reader_next(r[i], &out[i], 1u << 20), NODE_READER_IDLE);
	}
	assert_true(out[1].len < out[0].len && out[1].len > 0 && out[2].len == 0);
	assert_memory_equal(out[0].p + out[0].len - out[1].len, out[1].p, out[1].len);
	publish(t, 20, 1);
	for (unsigned int i = 0; i < 3; i++) {
		nrs_buf_reset(&out[i]);
		assert_int_equal(
		    node_reader_next(r[i], &out[i], 1u << 20), NODE_READER_IDLE);
		assert_memory_equal(out[i].p, "{\"event\":3,\"n\":0,", 17);
		assert_int_equal(out[i].len, out[0].len);
	}
	node_counts(t->n, &c);
	before = c.lines;
	publish(t, 30, 1);
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(node_reader_peek(r[i], &s), 0);
		nrs_buf_fini(&out[i]);
	}
	node_counts(t->n, &c);
	assert_int_equal(c.lines, before + 1);
	tnode_free(t);
}

/* One that stopped within a line holds no memory, and goes on at the very byte. */
static void
test_laggard(void **state)
{
	static const struct node_clearance a = { .tlp = NRS_TLP_RED };
	struct tnode *t = start(7, 0);
	struct node_reader *slow, *fast;
	struct nrs_buf whole, got;
	struct node_counts c;
	struct nrs_str s;
	unsigned int n = 0;
	size_t max = 0;

	assert_int_equal(node_reader_open(t->n, &a, begin, NULL, NULL, &slow, NULL), 0);
	assert_int_equal(node_reader_open(t->n, &a, begin, NULL, NULL, &fast, NULL), 0);
	nrs_buf_init(&whole, 1u << 30);
	nrs_buf_init(&got, 1u << 30);
	publish(t, n++ * 1000, 100);
	assert_int_equal(node_reader_peek(slow, &s), 0);
	nrs_buf_put(&got, s.p, 1000);
	node_reader_take(slow, 1000);
	while (whole.len < (40u << 20)) {
		t->nkv = 0; /* nothing is sent twice here */
		publish(t, n++ * 1000, 900);
		assert_int_equal(
		    node_reader_next(fast, &whole, 64u << 20), NODE_READER_IDLE);
		node_counts(t->n, &c);
		max = c.chunk_bytes > max ? c.chunk_bytes : max;
	}
	assert_true(max < (17u << 20));
	assert_int_equal(node_reader_cursor(slow).event, 1);
	for (unsigned int i = 0; got.len < whole.len; i++) {
		size_t take;

		assert_int_equal(node_reader_peek(slow, &s), 0);
		if (s.len == 0)
			continue;
		take = i % 7 == 0 ? s.len : s.len - s.len / 3;
		nrs_buf_put(&got, s.p, take);
		node_reader_take(slow, take);
	}
	assert_int_equal(node_reader_peek(slow, &s), NODE_READER_IDLE);
	assert_int_equal(got.len, whole.len);
	assert_memory_equal(got.p, whole.p, whole.len);
	nrs_buf_fini(&whole);
	nrs_buf_fini(&got);
	tnode_free(t);
}

/* --- the frame -------------------------------------------------------------------------- */

static void
test_codec(void **state)
{
	struct nrs_jdisclosure d = { .op = NRS_JDISCLOSURE_OPEN,
		.kind = NRS_JREADER_TLS,
		.tlp = NRS_TLP_AMBER,
		.flags = NRS_JCLEARANCE_DIRECT,
		.uid = UINT32_MAX,
		.event = 7,
		.n = 3,
		.time.ms = 99,
		.name = "soc-1" };
	struct nrs_jdisclosure back;
	struct nrs_buf b;

	memset(&d.clearance, 0x11, sizeof(d.clearance));
	memset(&d.pin, 0x22, sizeof(d.pin));
	for (uint8_t op = NRS_JDISCLOSURE_OPEN; op <= NRS_JDISCLOSURE_CRASH; op++) {
		struct nrs_str s;

		d.op = op;
		nrs_buf_init(&b, NRS_JDISCLOSURE_MAX);
		nrs_jdisclosure_encode(&d, &b);
		assert_int_equal(b.err, 0);
		s = (struct nrs_str){ b.p, b.len };
		assert_int_equal(nrs_jdisclosure_decode(&back, s), 0);
		assert_int_equal(back.op, op);
		assert_int_equal(back.event, 7);
		assert_int_equal(back.time.ms, 99);
		if (op == NRS_JDISCLOSURE_OPEN)
			assert_string_equal(back.name, "soc-1");
		for (s.len = 0; s.len < b.len; s.len++)
			assert_int_not_equal(nrs_jdisclosure_decode(&back, s), 0);
		nrs_buf_u8(&b, 0);
		s = (struct nrs_str){ b.p, b.len };
		assert_int_equal(nrs_jdisclosure_decode(&back, s), NRS_ETRAILING);
		s.len--;
		b.p[0] = 4;
		assert_int_equal(nrs_jdisclosure_decode(&back, s), NRS_ERANGE);
		b.p[0] = op;
		b.p[op == NRS_JDISCLOSURE_OPEN ? 3 : 5] |= 0x80;
		assert_int_equal(nrs_jdisclosure_decode(&back, s), NRS_ERESERVED);
		nrs_buf_fini(&b);
	}
	/* only a certificate has a pin */
	d.op = NRS_JDISCLOSURE_OPEN;
	d.kind = NRS_JREADER_UNIX;
	nrs_buf_init(&b, NRS_JDISCLOSURE_MAX);
	nrs_jdisclosure_encode(&d, &b);
	assert_int_equal(
	    nrs_jdisclosure_decode(&back, (struct nrs_str){ b.p, b.len }), NRS_ERESERVED);
	nrs_buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_range),
		cmocka_unit_test(test_early),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_state),
		cmocka_unit_test(test_power),
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_together),
		cmocka_unit_test(test_laggard),
		cmocka_unit_test(test_codec),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
