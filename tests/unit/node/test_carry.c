/*
 * Carrier files: two nodes that never connect end in the same state, and a file
 * that was cut, changed or meant for others changes nothing that a relay's
 * session could not (docs/FORMAT.md, section 11).
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/node/pair.h"
#include "wire/carrier.h"

#define FILE_MAX (64u << 20)
#ifndef FLIPS
#define FLIPS 96
#endif

static struct world w;

static void
start(unsigned int n)
{
	world_new(&w, n);
	for (unsigned int i = 0; i < n; i++)
		world_open(&w, i, true);
	world_run(&w, 5);
	world_community(&w);
	for (unsigned int i = 0; i < n; i++)
		for (unsigned int k = 0; k < i; k++)
			world_cut(&w, i, k, true);
	world_run(&w, 1);
}

/* --- writing and reading ----------------------------------------------------- */

static struct node_carry_info
write_file(unsigned int at, unsigned int to, uint64_t from, size_t piece, struct nrs_buf *b)
{
	struct node_carry_info info;
	struct node_carry *c;
	struct nrs_detail d = { 0 };
	int rc;

	nrs_buf_init(b, FILE_MAX);
	rc = node_carry_open(w.v[at].n, w.v[to].name, from, &c, &d);
	if (rc != 0)
		fail_msg("writing: %s %s", nrs_errname(rc), d.text);
	while ((rc = node_carry_next(c, b, piece)) == 0)
		;
	assert_int_equal(rc, NODE_CARRY_END);
	node_carry_info(c, &info);
	assert_int_equal(info.done, info.total);
	node_carry_free(c);
	return info;
}

/* What an import came to; names stay valid as long as the node. */
struct outcome {
	int rc; /* of feeding */
	bool whole;
	uint64_t refused, leaves_new, leaves_known, records_new, records_known;
	uint64_t held, begins;
	unsigned int norigins;
	char damage[200];
	int err; /* of the first refusal */
	char text[200];
	unsigned int woken;
};

static void
on_wake(void *arg)
{
	(*(unsigned int *)arg)++;
}

static void
sum_up(struct node_import *im, struct outcome *o)
{
	struct node_import_result r;

	node_import_result(im, &r);
	assert_true(r.done);
	o->whole = r.whole;
	o->refused = r.refused;
	o->norigins = r.norigins;
	assert_int_equal(r.whole, r.damage == NULL);
	if (r.damage != NULL)
		snprintf(o->damage, sizeof(o->damage), "%s", r.damage);
	for (unsigned int i = 0; i < r.norigins; i++) {
		o->leaves_new += r.origins[i].leaves_new;
		o->leaves_known += r.origins[i].leaves_known;
		o->records_new += r.origins[i].records_new;
		o->records_known += r.origins[i].records_known;
		if (r.origins[i].begins > 0) {
			o->held = r.origins[i].held;
			o->begins = r.origins[i].begins;
		}
	}
	assert_int_equal(r.nrefusals, r.refused < 100 ? r.refused : 100);
	if (r.nrefusals > 0) {
		o->err = r.refusals[0].err;
		snprintf(o->text, sizeof(o->text), "%s", r.refusals[0].text);
	}
}

/* Reads a file at node "at", in pieces; runs the world in between as needed. */
static struct outcome
read_file(unsigned int at, const uint8_t *p, size_t len, size_t piece)
{
	struct outcome o = { 0 };
	struct node_import *im;
	struct nrs_detail d = { 0 };
	const uint8_t *q = p, *end = p + len;
	size_t n;

	assert_int_equal(node_import_open(w.v[at].n, on_wake, &o.woken, &im), 0);
	while (q < end && o.rc >= 0) {
		n = (size_t)(end - q) < piece ? (size_t)(end - q) : piece;
		o.rc = node_import_feed(im, &q, &n, &d);
		node_turn(w.v[at].n);
		if (o.rc == 1)
			world_run(&w, 1);
		assert_true(o.rc != 0 || n == 0);
	}
	if (o.rc >= 0) {
		o.rc = 0;
		node_import_end(im);
		world_run(&w, 2);
		sum_up(im, &o);
	} else {
		snprintf(o.text, sizeof(o.text), "%s", d.text);
	}
	node_import_free(im);
	world_run(&w, 1);
	return o;
}

static struct outcome
read_buf(unsigned int at, const struct nrs_buf *b)
{
	return read_file(at, b->p, b->len, 65536);
}

static struct origin *
log_at(unsigned int node, unsigned int origin)
{
	return origin_find_name(w.v[node].n, w.v[origin].name);
}

static void
assert_same(unsigned int a, unsigned int b, unsigned int origin)
{
	struct origin *x = log_at(a, origin), *y = log_at(b, origin);

	assert_int_equal(y->durable, x->durable);
	assert_int_equal(y->shown.size, x->shown.size);
	assert_memory_equal(x->shown.root.b, y->shown.root.b, NRS_HASH_LEN);
	assert_int_equal(x->opened, y->opened);
	assert_int_equal(y->refused, 0);
	assert_false(y->frozen);
}

static void
assert_clean(const struct outcome *o)
{
	if (o->rc != 0 || !o->whole || o->refused != 0)
		fail_msg("rc %d, refused %llu, %s; %s", o->rc,
		    (unsigned long long)o->refused, o->damage, o->text);
}

/* --- there and back ------------------------------------------------------------- */

static void
test_there_and_back(void **state)
{
	struct node_carry_info info;
	struct outcome o;
	struct nrs_buf b;

	start(2);
	world_submit(&w, 0, 3, 0);
	world_submit(&w, 0, 2, 3u << 20); /* several frames */
	world_submit_direct(&w, 0, 1, 1, 0);
	world_submit(&w, 1, 1, 0);
	info = write_file(0, 1, 0, 65536, &b);
	assert_int_equal(info.from, 1);
	assert_int_equal(info.to, w.v[0].n->shown_event);
	assert_int_equal(info.records, 4); /* with the list of the direct audience */
	o = read_buf(1, &b);
	assert_clean(&o);
	assert_int_equal(o.records_new, 4);
	assert_int_equal(o.records_known, 0);
	assert_int_equal(o.leaves_new + o.leaves_known, info.leaves);
	assert_same(0, 1, 0);
	/* Again: nothing happens. */
	o = read_buf(1, &b);
	assert_clean(&o);
	assert_int_equal(o.records_new + o.leaves_new, 0);
	assert_int_equal(o.records_known, 4);
	assert_same(0, 1, 0);
	nrs_buf_fini(&b);
	/* The way back has what was just brought in, too: it is left out. */
	info = write_file(1, 0, 0, 1000, &b);
	assert_int_equal(info.records, 1);
	o = read_file(0, b.p, b.len, 1);
	assert_clean(&o);
	assert_same(1, 0, 1);
	nrs_buf_fini(&b);
	/* After a restart it is still there. */
	world_crash(&w, 1);
	world_open(&w, 1, false);
	world_run(&w, 1);
	assert_same(0, 1, 0);
	world_free(&w);
}

static void
test_parts(void **state)
{
	struct node_carry_info first, second;
	struct outcome o;
	struct nrs_buf a, b;

	start(2);
	world_submit(&w, 0, 3, 0);
	world_submit(&w, 0, 3, 0);
	first = write_file(0, 1, 0, 65536, &a);
	world_submit(&w, 0, 2, 0);
	world_submit_direct(&w, 0, 1, 1, 0);
	second = write_file(0, 1, first.to + 1, 65536, &b);
	assert_int_equal(second.from, first.to + 1);
	assert_int_equal(first.records, 2);
	assert_int_equal(second.records, 3);
	/* The second alone: it says what is missing, and takes nothing. */
	o = read_buf(1, &b);
	assert_true(o.whole && o.refused > 0);
	assert_int_equal(o.records_new + o.leaves_new, 0);
	assert_true(o.begins > o.held && o.held > 0);
	assert_int_equal(o.err, NRS_EORDER);
	o = read_buf(1, &a);
	assert_clean(&o);
	o = read_buf(1, &b);
	assert_clean(&o);
	assert_int_equal(o.records_new, 3);
	assert_same(0, 1, 0);
	nrs_buf_fini(&b);
	/* Nothing new: a file all the same. */
	write_file(0, 1, second.to + 1, 65536, &b);
	o = read_buf(1, &b);
	assert_clean(&o);
	nrs_buf_fini(&a);
	nrs_buf_fini(&b);
	world_free(&w);
}

/* What a relay holds goes on with it, also over a link that comes up meanwhile. */
static void
test_relay_and_link(void **state)
{
	struct outcome o;
	struct nrs_buf b;

	start(3);
	world_submit(&w, 0, 3, 0);
	world_submit_direct(&w, 0, 1, 1, 0);
	world_cut(&w, 0, 1, false);
	world_run(&w, 90);
	assert_same(0, 1, 0);
	write_file(1, 2, 0, 65536, &b);
	o = read_buf(2, &b);
	assert_clean(&o);
	assert_int_equal(
	    log_at(2, 0)->opened, 1); /* what was for it; the direct one is not */
	assert_int_equal(log_at(2, 0)->durable, log_at(0, 0)->durable);
	nrs_buf_fini(&b);
	world_submit(&w, 0, 3, 0);
	world_submit(&w, 1, 3, 0);
	write_file(0, 2, 0, 65536, &b);
	world_cut(&w, 0, 2, false);
	world_cut(&w, 1, 2, false);
	world_run(&w, 90);
	assert_same(1, 2, 1);
	assert_int_equal(log_at(2, 0)->opened, 2);
	o = read_buf(2, &b);
	assert_clean(&o);
	assert_int_equal(o.records_new, 0);
	world_submit(&w, 0, 1, 0);
	world_run(&w, 30);
	assert_int_equal(log_at(2, 0)->opened, 3); /* the links go on */
	nrs_buf_fini(&b);
	world_free(&w);
}

/* --- files that are not what they should be ------------------------------------------ */

static void
test_truncations(void **state)
{
	struct outcome o;
	struct nrs_buf b;
	uint64_t had;

	start(2);
	for (unsigned int i = 0; i < 6; i++)
		world_submit(&w, 0, 2, 0);
	write_file(0, 1, 0, 65536, &b);
	for (size_t len = 60; len < b.len; len += len < b.len - 200 ? b.len / 23 : 7) {
		had = log_at(1, 0)->opened;
		o = read_file(1, b.p, len, 4096);
		assert_int_equal(o.rc, 0);
		assert_false(o.whole);
		assert_non_null(strstr(o.damage, "cut short"));
		/* What was whole is kept. */
		assert_int_equal(o.refused, 0);
		assert_true(log_at(1, 0)->opened >= had);
	}
	o = read_buf(1, &b);
	assert_clean(&o);
	assert_same(0, 1, 0);
	nrs_buf_fini(&b);
	world_free(&w);
}

static size_t
head_len(const struct nrs_buf *b)
{
	struct nrs_rd r;

	nrs_rd_init(&r, b->p, b->len);
	nrs_rd_skip(&r, 8);
	(void)nrs_rd_lstr(&r, NRS_ORIGIN_MAX);
	(void)nrs_rd_lstr(&r, NRS_ORIGIN_MAX);
	nrs_rd_skip(&r, 24);
	return nrs_rd_off(&r);
}

/* Each to a node that had nothing before: what is wrong is not taken, whatever else is. */
static void
test_flips(void **state)
{
	size_t step = 0, at;
	struct outcome o;
	struct nrs_buf b;

	for (unsigned int i = 0; i < FLIPS; i++) {
		start(2);
		world_submit(&w, 0, 1, 0);
		world_submit(&w, 0, 1, 0);
		world_submit_direct(&w, 0, 1, 1, 0);
		write_file(0, 1, 0, 65536, &b);
		if (step == 0)
			step = (b.len - head_len(&b)) / FLIPS;
		at = head_len(&b) + i * step + i % 7;
		b.p[at] ^= (uint8_t)(1u << i % 8);
		o = read_buf(1, &b);
		assert_int_equal(o.rc, 0);
		assert_false(o.whole);
		assert_false(log_at(1, 0)->frozen);
		assert_int_equal(log_at(1, 0)->refused, 0);
		/* What a good file brings then is all. */
		b.p[at] ^= (uint8_t)(1u << i % 8);
		o = read_buf(1, &b);
		assert_clean(&o);
		assert_same(0, 1, 0);
		nrs_buf_fini(&b);
		world_free(&w);
	}
}

/* Every bit of the header: refused at once, or by the hash at the end. */
static void
test_header(void **state)
{
	struct outcome o;
	struct nrs_buf b;
	struct peer *p;
	size_t len;

	start(3);
	world_submit(&w, 0, 1, 0);
	write_file(0, 1, 0, 65536, &b);
	len = head_len(&b);
	for (size_t bit = 0; bit < len * 8; bit++) {
		b.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
		o = read_buf(1, &b);
		assert_true(o.rc < 0 || !o.whole);
		assert_true(o.rc == 0 || o.text[0] != '\0');
		b.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	o = read_buf(2, &b);
	assert_int_equal(o.rc, NRS_EORIGIN);
	assert_non_null(strstr(o.text, "not for this node"));
	p = TAILQ_FIRST(&w.v[1].n->peers);
	assert_string_equal(p->name, w.v[0].name);
	p->suspended = true;
	o = read_buf(1, &b);
	assert_int_equal(o.rc, NRS_ESUSPENDED);
	p->suspended = false;
	o = read_buf(1, &b);
	assert_clean(&o);
	nrs_buf_fini(&b);
	world_free(&w);
}

/* --- whole files by a liar --------------------------------------------------------------- */

/* The frames of a file, changed by edit (which may drop one), as a file again. */
static void
rewrite(struct nrs_buf *b, void (*edit)(const struct wire_frame *f, struct nrs_buf *out))
{
	struct wire_carrier_end e = { 0 };
	const uint8_t *p = b->p;
	size_t len = b->len;
	struct wire_carrier c;
	struct wire_frame f;
	struct nrs_digest *dg = nrs_digest_new();
	struct nrs_buf out;
	int rc, err;

	nrs_buf_init(&out, FILE_MAX);
	assert_int_equal(wire_carrier_init(&c), 0);
	while ((rc = wire_carrier_next(&c, &p, &len, &f, &err, NULL)) > 0) {
		size_t before = out.len;

		if (rc == 2) {
			wire_carrier_head_encode(&out, &c.head);
			continue;
		}
		assert_non_null(f.body);
		edit(&f, &out);
		for (; before < out.len; e.frames++)
			before += WIRE_HEADER_LEN + nrs_get_u32(out.p + before);
	}
	assert_int_equal(rc, 0);
	wire_carrier_fini(&c);
	assert_non_null(dg);
	nrs_digest_begin(dg);
	nrs_digest_add(dg, out.p, out.len);
	assert_int_equal(wire_carrier_end_encode(&out, &e, dg), 0);
	nrs_digest_free(dg);
	nrs_buf_fini(b);
	*b = out;
}

static void
copy_frame(const struct wire_frame *f, struct nrs_buf *out)
{
	size_t at;

	wire_begin(out, f->type, f->flags, f->stream, &at);
	nrs_buf_put(out, f->body, f->len);
	wire_end(out, at);
}

/* Every record as header only: the payloads are hidden. */
static void
hide(const struct wire_frame *f, struct nrs_buf *out)
{
	static const uint8_t zero[NRS_SALT_LEN];
	struct wire_record m;
	size_t at;

	if (f->type != WIRE_RECORD) {
		copy_frame(f, out);
		return;
	}
	assert_int_equal(wire_record_decode(&m, f->body, f->len), 0);
	m.flags = WIRE_RECORD_HEADER;
	m.salt = zero;
	m.data.len = 0;
	wire_begin(out, WIRE_RECORD, 0, f->stream, &at);
	wire_record_encode(out, &m);
	wire_end(out, at);
}

static void
drop_statements(const struct wire_frame *f, struct nrs_buf *out)
{
	if (f->type != WIRE_STATEMENTS)
		copy_frame(f, out);
}

static unsigned int nrecords;

static void
drop_second_record(const struct wire_frame *f, struct nrs_buf *out)
{
	if (f->type != WIRE_RECORD || ++nrecords != 2)
		copy_frame(f, out);
}

static void
drop_leaves(const struct wire_frame *f, struct nrs_buf *out)
{
	if (f->type != WIRE_LEAVES)
		copy_frame(f, out);
}

static void
other_types(const struct wire_frame *f, struct nrs_buf *out)
{
	size_t at;

	wire_begin(out, WIRE_HAVE, 0, 0, &at);
	nrs_buf_u32(out, 0);
	wire_end(out, at);
	copy_frame(f, out);
}

static void
test_liars(void **state)
{
	static const struct {
		const char *name;
		void (*edit)(const struct wire_frame *f, struct nrs_buf *out);
		uint64_t taken;
		int err;
	} v[] = {
		{ "payloads hidden", hide, 0, NRS_EPERM },
		{ "no leaves", drop_leaves, 0, NRS_ELEAF },
		{ "a record left out", drop_second_record, 1, NRS_ECHAIN },
		{ "frames that do not belong", other_types, 3, NRS_ETYPE },
		{ "no statements, all known", drop_statements, 3, 0 },
	};
	struct outcome o;
	struct nrs_buf b;

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		start(2);
		for (unsigned int k = 0; k < 3; k++)
			world_submit(&w, 0, 1, 0);
		write_file(0, 1, 0, 65536, &b);
		nrecords = 0;
		rewrite(&b, v[i].edit);
		o = read_buf(1, &b);
		assert_true(o.whole);
		if (o.records_new != v[i].taken || o.err != v[i].err ||
		    (o.refused > 0) != (v[i].err != 0))
			fail_msg("%s: took %llu, refused %llu, %s: %s", v[i].name,
			    (unsigned long long)o.records_new,
			    (unsigned long long)o.refused, nrs_errname(o.err), o.text);
		nrs_buf_fini(&b);
		write_file(0, 1, 0, 65536, &b);
		o = read_buf(1, &b);
		assert_clean(&o);
		assert_same(0, 1, 0);
		nrs_buf_fini(&b);
		world_free(&w);
	}
}

/* --- ends in between -------------------------------------------------------------------------- */

static void
test_given_up(void **state)
{
	struct node_import *im, *other;
	struct node_carry *c;
	struct nrs_detail d = { 0 };
	unsigned int woken = 0;
	struct outcome o;
	const uint8_t *p;
	struct nrs_buf b, piece;
	size_t n;

	start(2);
	for (unsigned int i = 0; i < 4; i++)
		world_submit(&w, 0, 2, 0);
	write_file(0, 1, 0, 65536, &b);
	assert_int_equal(node_import_open(w.v[1].n, on_wake, &woken, &im), 0);
	assert_int_equal(node_import_open(w.v[1].n, on_wake, &woken, &other), NRS_EBUSY);
	p = b.p;
	n = b.len - 500;
	assert_int_equal(node_import_feed(im, &p, &n, &d), 0);
	node_import_free(im); /* its checks still run */
	world_run(&w, 2);
	o = read_buf(1, &b);
	assert_clean(&o);
	assert_same(0, 1, 0);
	/* The node ends first. */
	assert_int_equal(node_import_open(w.v[1].n, on_wake, &woken, &im), 0);
	p = b.p;
	n = b.len;
	assert_int_equal(node_import_feed(im, &p, &n, &d), 0);
	node_import_end(im);
	assert_int_equal(node_carry_open(w.v[1].n, w.v[0].name, 0, &c, &d), 0);
	world_crash(&w, 1);
	p = b.p;
	n = 1;
	assert_int_equal(node_import_feed(im, &p, &n, &d), NRS_ESTATE);
	nrs_buf_init(&piece, FILE_MAX);
	assert_int_equal(node_carry_next(c, &piece, 100), NRS_ESTATE);
	node_carry_free(c);
	node_import_free(im);
	nrs_buf_fini(&piece);
	world_open(&w, 1, false);
	assert_int_equal(
	    node_carry_open(w.v[1].n, "kr.cert.example", 0, &c, &d), NRS_EUNKNOWN);
	assert_int_equal(
	    node_carry_open(w.v[1].n, w.v[0].name, 10000, &c, NULL), NRS_ERANGE);
	nrs_buf_fini(&b);
	world_free(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_relay_and_link),
		cmocka_unit_test(test_truncations),
		cmocka_unit_test(test_flips),
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_liars),
		cmocka_unit_test(test_given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
