/*
 * Writing, waiting, no space, broken media, new segments, scans, records.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "journal/internal.h"
#include "tests/unit/journal/toy.h"

static void
test_group_commit(void **state)
{
	struct toy t;

	toy_init(&t, 1, 65536, true);
	assert_true(nrs_journal_batch(t.j) == 1);
	toy_batch(&t, 2, 50);
	assert_true(nrs_journal_pending(t.j) > 100);
	/* While the first flies, what is put makes one batch, however often kicked. */
	toy_batch(&t, 1, 50);
	toy_batch(&t, 1, 50);
	toy_batch(&t, 1, 50);
	assert_int_equal(t.waits_ok, 0); /* never from inside a call */
	memenv_run(t.e);
	assert_int_equal(t.waits_ok, 4);
	assert_true(t.acked == 5);
	assert_true(nrs_journal_batch(t.j) == 3);
	assert_true(nrs_journal_pending(t.j) == 0);
	/* Two batches, one write and one sync each. */
	toy_check_all(&t);
	toy_fini(&t);
}

static void
test_wait_for_nothing(void **state)
{
	struct toy t;
	uint64_t steps;

	toy_init(&t, 2, 65536, false);
	steps = t.e->steps;
	toy_batch(&t, 0, 0);
	toy_batch(&t, 0, 0);
	assert_int_equal(t.waits_ok, 0);
	memenv_run(t.e);
	assert_int_equal(t.waits_ok, 2);
	assert_true(t.e->steps == steps);
	/* Behind a batch in flight it waits for that one. */
	toy_batch(&t, 1, 30);
	toy_batch(&t, 0, 0);
	memenv_step(t.e);
	assert_int_equal(t.waits_ok, 2);
	memenv_run(t.e);
	assert_int_equal(t.waits_ok, 4);
	toy_fini(&t);
}

/* Acknowledged only after the step that syncs. */
static void
test_ack_after_sync(void **state)
{
	struct toy t;

	toy_init(&t, 3, 65536, false);
	toy_batch(&t, 1, 30);
	memenv_step(t.e); /* the write */
	assert_int_equal(t.waits_ok, 0);
	toy_crash(&t, MEMENV_LOSE, 0);
	assert_int_equal(toy_open(&t), 0);
	assert_true(t.n == 0);
	toy_fini(&t);
}

/* Every step of a batch and of a new segment in turn finds no space. */
static void
test_full_everywhere(void **state)
{
	unsigned int stalls = 0, total = 0;
	uint64_t at;
	struct toy t;
	int i;

	for (at = 1; at < 60; at++) {
		toy_init(&t, 4, 1024, true);
		memenv_fail(t.e, at, NRS_EFULL);
		for (i = 0; i < 10; i++) {
			toy_batch(&t, 1, 200);
			memenv_run(t.e);
			if (!nrs_journal_full(t.j))
				continue;
			stalls++;
			assert_int_equal(t.fulls, 1);
			assert_int_equal(t.unfulls, 0);
			assert_int_equal(t.waits_full, 1);
			assert_true(nrs_journal_pending(t.j) > 0);
			/* What is put meanwhile is kept, too. */
			toy_batch(&t, 1, 60);
			memenv_run(t.e);
			assert_int_equal(t.waits_full, 1);
			nrs_journal_retry(t.j);
			memenv_run(t.e);
			assert_false(nrs_journal_full(t.j));
			assert_int_equal(t.unfulls, 1);
		}
		assert_true(nrs_journal_pending(t.j) == 0);
		assert_int_equal(t.faileds, 0);
		total += t.fulls;
		toy_check_all(&t);
		toy_crash(&t, MEMENV_LOSE, 0);
		assert_int_equal(toy_open(&t), 0);
		assert_true(t.hash == t.hash_at[t.n] && t.n == t.acked);
		toy_check_all(&t);
		toy_fini(&t);
	}
	assert_true(stalls == total && total > 20);
}

/* No space for long: one call of full(), one EFULL for each wait, then all is there. */
static void
test_full_for_long(void **state)
{
	struct toy t;
	int i;

	toy_init(&t, 5, 1024, true);
	for (i = 0; i < 7; i++) {
		toy_batch(&t, 1, 190);
		memenv_run(t.e);
	}
	t.e->full = true;
	toy_batch(&t, 1, 190); /* beyond what was reserved */
	toy_batch(&t, 1, 190);
	toy_batch(&t, 1, 190);
	memenv_run(t.e);
	for (i = 0; i < 5; i++) {
		nrs_journal_retry(t.j);
		memenv_run(t.e);
	}
	assert_int_equal(t.fulls, 1);
	assert_int_equal(t.waits_full, 3);
	assert_int_equal(t.waits_ok, 7);
	t.e->full = false;
	nrs_journal_retry(t.j);
	memenv_run(t.e);
	assert_int_equal(t.unfulls, 1);
	assert_true(nrs_journal_pending(t.j) == 0);
	toy_batch(&t, 1, 20);
	memenv_run(t.e);
	assert_true(t.acked == t.n && t.n == 11);
	toy_crash(&t, MEMENV_LOSE, 0);
	assert_int_equal(toy_open(&t), 0);
	assert_true(t.n == 11);
	toy_check_all(&t);
	toy_fini(&t);
}

/* Every step in turn fails for good: nothing is acknowledged afterwards, nothing lost. */
static void
test_eio_everywhere(void **state)
{
	unsigned int failed = 0;
	uint64_t at, steps;
	struct nrs_str part = { (const uint8_t *)"x", 1 };
	struct toy t;
	int i;

	for (at = 1; at < 60; at++) {
		toy_init(&t, 6, 1024, false);
		memenv_fail(t.e, at, NRS_EIO);
		for (i = 0; i < 10 && t.faileds == 0; i++) {
			toy_batch(&t, 1, 200);
			memenv_run(t.e);
		}
		if (t.faileds > 0) {
			failed++;
			assert_int_equal(t.faileds, 1);
			assert_int_equal(t.waits_eio, 1);
			steps = t.e->steps;
			assert_int_equal(
			    nrs_journal_put(t.j, NRS_J_CONTROL, 0, &part, 1, NULL),
			    NRS_EINTERNAL);
			toy_batch(&t, 0, 0);
			nrs_journal_retry(t.j);
			assert_int_equal(t.waits_eio, 1);
			memenv_run(t.e);
			assert_int_equal(t.waits_eio, 2);
			assert_true(t.e->steps == steps);
		}
		toy_crash(&t, MEMENV_KILL, 0);
		assert_int_equal(toy_open(&t), 0);
		assert_true(toy_sound(&t));
		/* What was read is on the medium, not only in a cache that believes so. */
		toy_crash(&t, MEMENV_LOSE, 0);
		i = (int)t.n;
		assert_int_equal(toy_open(&t), 0);
		assert_int_equal(t.n, i);
		toy_fini(&t);
	}
	assert_true(failed > 20);
}

static void
test_roll(void **state)
{
	uint64_t end = 0, prev;
	uint32_t segs;
	struct toy t;
	size_t len;
	int i;

	toy_init(&t, 7, 2048, true);
	for (i = 0; i < 60; i++) {
		prev = end;
		toy_batch(&t, 1, 100 + 7 * (size_t)(i % 9));
		memenv_run(t.e);
		end = nrs_journal_end(t.j);
		if (i > 0 && end >> 32 != prev >> 32) {
			assert_true((prev & UINT32_MAX) >= 2048);
			assert_true(end >> 32 == (prev >> 32) + 1);
		}
	}
	segs = (uint32_t)(end >> 32);
	assert_true(segs >= 4);
	/* An old segment gave back what it had reserved and not used. */
	assert_non_null(memenv_bytes(t.e, "journal/00000002.nrj", &len));
	assert_true(len >= 2048 && len < 2048 + 400);
	toy_check_all(&t);
	toy_crash(&t, MEMENV_LOSE, 0);
	assert_int_equal(toy_open(&t), 0);
	/* The last segment alone was replayed. */
	assert_true(t.replayed < 25 && t.n == 60);
	toy_check_all(&t);
	toy_fini(&t);
}

/* Rolls in a row, each begun while the one before is still on its way. */
static void
test_roll_behind_roll(void **state)
{
	struct toy t;
	int i;

	for (i = 0; i < 30; i++) {
		toy_init(&t, 100 + (uint64_t)i, 256, true);
		while (t.n < 30) {
			toy_batch(&t, 1 + (unsigned int)t.n % 3, 200);
			if (t.n % 4 == 0)
				memenv_step(t.e);
		}
		memenv_run(t.e);
		assert_true(t.acked == t.n);
		toy_check_all(&t);
		toy_crash(&t, MEMENV_LOSE, 0);
		assert_int_equal(toy_open(&t), 0);
		assert_true(toy_sound(&t));
		toy_check_all(&t);
		toy_fini(&t);
	}
}

static void
test_put_limits(void **state)
{
	static uint8_t big[1024];
	struct nrs_str huge[2] = { { big, NRS_JFRAME_MAX }, { big, 1 } };
	struct nrs_str none = { NULL, 0 };
	uint64_t pos = 0, next;
	struct toy t;

	toy_init(&t, 8, 65536, false);
	assert_int_equal(nrs_journal_put(t.j, NRS_J_CONTROL, 0, huge, 2, NULL), NRS_ELIMIT);
	assert_int_equal(
	    nrs_journal_put(t.j, NRS_J_STATE, 0, &none, 1, NULL), NRS_EINTERNAL);
	assert_int_equal(
	    nrs_journal_put(t.j, NRS_J_COMMIT, 0, &none, 1, NULL), NRS_EINTERNAL);
	assert_int_equal(
	    nrs_journal_put(t.j, NRS_J__MAX, 0, &none, 1, NULL), NRS_EINTERNAL);
	assert_int_equal(
	    nrs_journal_put(t.j, NRS_J_EVENT, 1, &none, 1, NULL), NRS_EINTERNAL);
	assert_int_equal(nrs_journal_put(t.j, NRS_J_PEER, 0, &none, 1, &pos), 0);
	assert_int_equal(nrs_journal_put(t.j, NRS_J_PEER, 0, NULL, 0, &next), 0);
	assert_true(next == pos + JFRAME_HEAD);
	toy_fini(&t);
}

static void
test_read_errors(void **state)
{
	struct nrs_jframe f;
	struct nrs_buf buf;
	uint64_t end;
	struct toy t;

	toy_init(&t, 9, 65536, false);
	toy_batch(&t, 1, 100);
	nrs_buf_init(&buf, 65536);
	/* forming or flying is not durable */
	assert_int_equal(nrs_journal_read(t.j, NRS_POS(1, 168), &buf, &f), NRS_ESTATE);
	memenv_run(t.e);
	assert_int_equal(nrs_journal_read(t.j, NRS_POS(1, 160), &buf, &f), 0);
	assert_int_equal(f.type, NRS_J_CONTROL);
	end = nrs_journal_end(t.j);
	assert_int_equal(nrs_journal_read(t.j, end, &buf, &f), NRS_ESTATE);
	assert_int_equal(nrs_journal_read(t.j, NRS_POS(2, 72), &buf, &f), NRS_ESTATE);
	assert_int_equal(nrs_journal_read(t.j, NRS_POS(0, 72), &buf, &f), NRS_ERANGE);
	assert_int_equal(nrs_journal_read(t.j, NRS_POS(1, 64), &buf, &f), NRS_ERANGE);
	assert_int_equal(nrs_journal_read(t.j, NRS_POS(1, 172), &buf, &f), NRS_ERANGE);
	assert_int_equal(nrs_journal_read(t.j, NRS_POS(1, 168), &buf, &f), NRS_ECORRUPT);
	memenv_poke(t.e, "journal/00000001.nrj", 160 + 24 + 99, 4);
	assert_int_equal(nrs_journal_read(t.j, NRS_POS(1, 160), &buf, &f), NRS_ECORRUPT);
	nrs_buf_fini(&buf);
	toy_fini(&t);
}

struct count {
	uint64_t n;
	uint64_t first;
	int stop;
};

static int
count_one(void *arg, const struct nrs_jframe *f)
{
	struct count *c = arg;

	if (c->n++ == 0)
		c->first = f->pos;
	return c->stop;
}

static void
test_scan_from(void **state)
{
	struct count c = { 0 };
	uint64_t from;
	uint8_t be[8];
	struct toy t;
	int i;

	toy_init(&t, 10, 1024, true);
	for (i = 0; i < 30; i++) {
		toy_batch(&t, 1, 120);
		memenv_run(t.e);
	}
	assert_int_equal(nrs_array_get(t.pos, 13, 1, be), 0);
	from = nrs_get_u64(be);
	assert_int_equal(nrs_journal_scan(t.j, from, count_one, &c, NULL), 0);
	assert_true(c.n == 17 && c.first == from);
	c.stop = NRS_ECANCELED;
	c.n = 0;
	assert_int_equal(nrs_journal_scan(t.j, 0, count_one, &c, NULL), NRS_ECANCELED);
	assert_true(c.n == 1);
	assert_int_equal(nrs_journal_scan(t.j, 5, count_one, &c, NULL), NRS_ERANGE);
	toy_fini(&t);
}

/* --- records ------------------------------------------------------------ */

struct rec {
	uint8_t header[NRS_HEADER_LEN];
	uint8_t sigs[77];
	uint8_t salt[NRS_SALT_LEN];
	uint8_t data[3000];
	struct nrs_jrecord r;
};

static void
rec_make(struct rec *c, size_t len)
{
	struct nrs_digest *dg = nrs_digest_new();
	uint64_t s = len;
	size_t i;

	memset(c->header, 0x11, sizeof(c->header));
	memset(c->sigs, 0x22, sizeof(c->sigs));
	memset(c->salt, 0x33, sizeof(c->salt));
	for (i = 0; i < len; i++)
		c->data[i] = (uint8_t)memenv_random(&s);
	c->r.index = 4711;
	c->r.header = c->header;
	c->r.sigs.p = c->sigs;
	c->r.sigs.len = sizeof(c->sigs);
	c->r.salt = c->salt;
	c->r.data.p = c->data;
	c->r.data.len = len;
	c->r.flags = len % 2 == 0 ? NRS_JRECORD_RAW : 0;
	assert_non_null(dg);
	assert_int_equal(
	    nrs_record_commit(dg, c->header, c->sigs, sizeof(c->sigs), &c->r.c), 0);
	nrs_digest_free(dg);
}

static void
rec_check(struct toy *t, uint64_t pos, const struct rec *c)
{
	struct nrs_jrecord_view v;
	uint8_t salt[NRS_SALT_LEN];
	struct nrs_buf buf, out;
	struct nrs_jframe f;
	struct nrs_str data;

	nrs_buf_init(&buf, 65536);
	nrs_buf_init(&out, 65536);
	assert_int_equal(nrs_journal_read(t->j, pos, &buf, &f), 0);
	assert_int_equal(nrs_jrecord_decode(&v, &f), 0);
	assert_true(v.index == 4711 && v.flags == c->r.flags);
	assert_memory_equal(v.header, c->header, NRS_HEADER_LEN);
	assert_int_equal(v.sigs.len, sizeof(c->sigs));
	assert_memory_equal(v.sigs.p, c->sigs, sizeof(c->sigs));
	assert_int_equal(nrs_journal_unseal(t->j, &v, &out, salt, &data), 0);
	assert_memory_equal(salt, c->salt, sizeof(salt));
	assert_int_equal(data.len, c->r.data.len);
	if (data.len > 0)
		assert_memory_equal(data.p, c->data, data.len);
	/* A body opens under its own header, signatures, flags, nonce and seed only. */
	buf.p[JFRAME_HEAD + 40] ^= 1;
	assert_int_equal(nrs_journal_unseal(t->j, &v, &out, salt, &data), NRS_ECORRUPT);
	buf.p[JFRAME_HEAD + 40] ^= 1;
	v.flags ^= NRS_JRECORD_RAW;
	assert_int_equal(nrs_journal_unseal(t->j, &v, &out, salt, &data), NRS_ECORRUPT);
	v.flags ^= NRS_JRECORD_RAW;
	v.seed_segment = v.seed_segment == 1 ? 2 : 1;
	assert_int_equal(nrs_journal_unseal(t->j, &v, &out, salt, &data), NRS_ECORRUPT);
	v.seed_segment = UINT32_MAX;
	assert_int_equal(nrs_journal_unseal(t->j, &v, &out, salt, &data), NRS_ECORRUPT);
	nrs_buf_fini(&buf);
	nrs_buf_fini(&out);
}

/* Records of several segments, unsealed before and after a restart; nothing in the clear. */
static void
test_records(void **state)
{
	static const size_t lens[] = { 0, 1, 7, 2500, 2999, 3000 };
	uint64_t pos[6];
	const uint8_t *disk;
	struct rec c[6];
	struct toy t;
	size_t i, len;

	toy_init(&t, 11, 2048, false);
	for (i = 0; i < 6; i++) {
		rec_make(&c[i], lens[i]);
		assert_int_equal(nrs_journal_put_record(t.j, &c[i].r, &pos[i]), 0);
		nrs_journal_kick(t.j);
		memenv_run(t.e);
	}
	assert_true(pos[5] >> 32 >= 3);
	for (i = 0; i < 6; i++)
		rec_check(&t, pos[i], &c[i]);
	disk = memenv_bytes(t.e, "journal/00000001.nrj", &len);
	assert_null(memmem(disk, len, c[3].data, 16));
	assert_null(memmem(disk, len, c[0].salt, 16));
	nrs_journal_free(t.j);
	t.j = NULL;
	memenv_crash(t.e, MEMENV_LOSE, 0);
	/* The toy does not know records: only their segments are of interest. */
	t.cfg.ops = &(const struct nrs_journal_ops){ 0 };
	assert_int_equal(toy_open(&t), 0);
	for (i = 0; i < 6; i++)
		rec_check(&t, pos[i], &c[i]);
	toy_fini(&t);
}

static void
test_record_decode(void **state)
{
	uint8_t body[JRECORD_FIXED + 77 + 50] = { 0 };
	struct nrs_jframe f = { .type = NRS_J_RECORD, .body = { body, sizeof(body) } };
	struct nrs_jrecord_view v;
	size_t n;

	nrs_put_u32(body + 8, 77);
	nrs_put_u32(body + 12, 50);
	assert_int_equal(nrs_jrecord_decode(&v, &f), 0);
	for (n = 0; n < sizeof(body); n++) {
		f.body.len = n;
		assert_int_equal(nrs_jrecord_decode(&v, &f), NRS_ETRUNC);
	}
	f.body.len = sizeof(body);
	nrs_put_u32(body + 12, 49);
	assert_int_equal(nrs_jrecord_decode(&v, &f), NRS_ETRAILING);
	nrs_put_u32(body + 12, UINT32_MAX);
	assert_int_equal(nrs_jrecord_decode(&v, &f), NRS_ELIMIT);
	nrs_put_u32(body + 12, 47);
	assert_int_equal(nrs_jrecord_decode(&v, &f), NRS_ELIMIT);
	nrs_put_u32(body + 12, 50);
	body[39] = 1;
	assert_int_equal(nrs_jrecord_decode(&v, &f), NRS_ERESERVED);
	body[39] = 0;
	f.flags = 4;
	assert_int_equal(nrs_jrecord_decode(&v, &f), NRS_ERESERVED);
	f.flags = 0;
	f.type = NRS_J_EVENT;
	assert_int_equal(nrs_jrecord_decode(&v, &f), NRS_ETYPE);
}

/* --- the codecs --------------------------------------------------------- */

static void
test_event(void **state)
{
	struct nrs_jevent e = { .number = 7,
		.action = NRS_ACTION_UPDATE,
		.reason = 3,
		.objects = 1000,
		.index = 48213,
		.time = { 1795358460123u } };
	uint8_t b[NRS_JEVENT_LEN + 1] = { 0 };
	struct nrs_str s = { b, NRS_JEVENT_LEN };
	struct nrs_jevent r;
	size_t n;

	memset(e.origin.b, 0x5a, sizeof(e.origin.b));
	nrs_jevent_encode(&e, b);
	assert_int_equal(nrs_jevent_decode(&r, s), 0);
	assert_true(r.number == 7 && r.action == NRS_ACTION_UPDATE && r.reason == 3);
	assert_true(r.objects == 1000 && r.index == 48213 && r.time.ms == e.time.ms);
	assert_memory_equal(&r.origin, &e.origin, sizeof(e.origin));
	for (n = 0; n < NRS_JEVENT_LEN; n++) {
		s.len = n;
		assert_int_equal(nrs_jevent_decode(&r, s), NRS_ETRUNC);
	}
	s.len = NRS_JEVENT_LEN + 1;
	assert_int_equal(nrs_jevent_decode(&r, s), NRS_ETRAILING);
	s.len = NRS_JEVENT_LEN;
	b[8] = 0;
	assert_int_equal(nrs_jevent_decode(&r, s), NRS_ERANGE);
	b[8] = NRS_ACTION__MAX;
	assert_int_equal(nrs_jevent_decode(&r, s), NRS_ERANGE);
	b[8] = NRS_ACTION_ADD;
	b[11] = 1;
	assert_int_equal(nrs_jevent_decode(&r, s), NRS_ERESERVED);
}

/* The number of the next event outlives the segments that hold the events. */
static void
test_next_event(void **state)
{
	struct nrs_jevent e = { .action = NRS_ACTION_ADD };
	uint8_t b[NRS_JEVENT_LEN];
	struct nrs_str part = { b, sizeof(b) };
	struct toy t;
	int i;

	toy_init(&t, 12, 512, false);
	t.cfg.ops = &(const struct nrs_journal_ops){ 0 };
	nrs_journal_free(t.j);
	assert_int_equal(toy_open(&t), 0);
	for (i = 1; i <= 20; i++) {
		assert_true(nrs_journal_next_event(t.j) == (uint64_t)i);
		e.number = (uint64_t)i;
		nrs_jevent_encode(&e, b);
		assert_int_equal(nrs_journal_put(t.j, NRS_J_EVENT, 0, &part, 1, NULL), 0);
		nrs_journal_kick(t.j);
		memenv_run(t.e);
		toy_crash(&t, MEMENV_LOSE, 0);
		assert_int_equal(toy_open(&t), 0);
	}
	assert_true(nrs_journal_next_event(t.j) == 21);
	assert_true(nrs_journal_end(t.j) >> 32 > 3);
	toy_fini(&t);
}

static void
test_frame_flips(void **state)
{
	uint8_t salt[JSEG_SALT] = { 9 }, head[JSEG_HEADER], key[JKEY_FILE],
		w[JWRAPPED] = { 8 };
	struct nrs_hash origin = { { 1 } };
	struct nrs_str part = { (const uint8_t *)"thirteen bytes", 13 };
	uint32_t crc = nrs_jsalt_crc(salt), got;
	struct nrs_jhead h;
	struct nrs_buf b;
	const char *why;
	size_t i, n;

	nrs_buf_init(&b, 4096);
	assert_int_equal(nrs_jframe_put(&b, crc, NRS_J_RECORD, 1, 5, &part, 1), 0);
	assert_int_equal(b.len, JFRAME_HEAD + 16);
	assert_int_equal(nrs_jframe_check(&h, b.p, b.len, crc), 0);
	assert_true(h.type == NRS_J_RECORD && h.flags == 1 && h.len == 13 && h.batch == 5);
	for (i = 0; i < b.len * 8; i++) {
		b.p[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(nrs_jframe_check(&h, b.p, b.len, crc), NRS_ECORRUPT);
		b.p[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	for (n = 0; n < b.len; n++)
		assert_int_equal(nrs_jframe_check(&h, b.p, n, crc), NRS_ECORRUPT);
	/* Another segment's salt. */
	salt[0]++;
	assert_int_equal(
	    nrs_jframe_check(&h, b.p, b.len, nrs_jsalt_crc(salt)), NRS_ECORRUPT);
	nrs_buf_fini(&b);

	nrs_jseg_encode(head, 3, salt, &origin);
	assert_int_equal(nrs_jseg_decode(head, sizeof(head), 3, &origin, &got, &why), 0);
	assert_int_equal(nrs_jseg_decode(head, 71, 3, &origin, &got, &why), NRS_ECORRUPT);
	assert_int_equal(nrs_jseg_decode(head, 72, 4, &origin, &got, &why), NRS_ECORRUPT);
	for (i = 0; i < sizeof(head) * 8; i++) {
		head[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(
		    nrs_jseg_decode(head, sizeof(head), 3, &origin, &got, &why),
		    NRS_ECORRUPT);
		head[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	nrs_jkey_encode(key, 3, w);
	assert_int_equal(nrs_jkey_decode(key, sizeof(key), 3, w), 0);
	assert_int_equal(nrs_jkey_decode(key, sizeof(key) - 1, 3, w), NRS_ECORRUPT);
	assert_int_equal(nrs_jkey_decode(key, sizeof(key), 2, w), NRS_ECORRUPT);
	for (i = 0; i < sizeof(key) * 8; i++) {
		key[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(nrs_jkey_decode(key, sizeof(key), 3, w), NRS_ECORRUPT);
		key[i / 8] ^= (uint8_t)(1 << i % 8);
	}
}

static void
test_names(void **state)
{
	static const struct {
		const char *name;
		uint32_t want;
	} rows[] = {
		{ "00000001.nrj", 1 },
		{ "99999999.nrj", 99999999 },
		{ "00000000.nrj", 0 },
		{ "1.nrj", 0 },
		{ "000000001.nrj", 0 },
		{ "00000001.nrj~", 0 },
		{ "00000001.key", 0 },
		{ "0000000a.nrj", 0 },
		{ "00000001", 0 },
		{ "", 0 },
	};
	char path[JPATH];
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		assert_int_equal(nrs_jseg_number(rows[i].name, "nrj"), rows[i].want);
	nrs_jseg_path(path, 42, "key");
	assert_string_equal(path, "journal/00000042.key");
}

static void
test_payload(void **state)
{
	uint8_t *in = calloc(1, 100000), *z, *z2, *out;
	struct nrs_packer *packer;
	uint64_t s = 1;
	size_t len, len2, i;
	bool raw, raw2;

	assert_non_null(in);
	assert_int_equal(nrs_payload_compress(in, 100000, &z, &len, &raw), 0);
	assert_true(!raw && z != NULL && len < 1000);
	assert_int_equal(nrs_payload_expand(z, len, false, 100000, &out), 0);
	assert_memory_equal(in, out, 100000);
	free(out);
	/* Not what the header promised, not one frame, or not a frame. */
	assert_int_equal(nrs_payload_expand(z, len, false, 99999, &out), NRS_ECORRUPT);
	assert_int_equal(nrs_payload_expand(z, len, false, 100001, &out), NRS_ECORRUPT);
	assert_int_equal(
	    nrs_payload_expand(z, len, false, NRS_PAYLOAD_MAX + 1, &out), NRS_ELIMIT);
	assert_int_equal(nrs_payload_expand(z, len, true, 100000, &out), NRS_ECORRUPT);
	for (i = 0; i < len; i++)
		assert_int_equal(
		    nrs_payload_expand(z, i, false, 100000, &out), NRS_ECORRUPT);
	memcpy(in, z, len);
	in[len] = 0;
	assert_int_equal(
	    nrs_payload_expand(in, len + 1, false, 100000, &out), NRS_ECORRUPT);
	free(z);
	/* One that is kept makes the same bytes, whatever it did before. */
	packer = nrs_packer_new();
	assert_non_null(packer);
	for (i = 1; i < 3000; i += 97) {
		assert_int_equal(nrs_payload_compress(in, i, &z, &len, &raw), 0);
		assert_int_equal(nrs_packer_run(packer, in, i, &z2, &len2, &raw2), 0);
		assert_int_equal(raw, raw2);
		assert_int_equal(len, len2);
		assert_true((z == NULL) == (z2 == NULL));
		if (z != NULL)
			assert_memory_equal(z, z2, len);
		free(z);
		free(z2);
	}
	nrs_packer_free(packer);
	for (i = 0; i < 1000; i++)
		in[i] = (uint8_t)memenv_random(&s);
	assert_int_equal(nrs_payload_compress(in, 1000, &z, &len, &raw), 0);
	assert_true(raw && z == NULL && len == 1000);
	assert_int_equal(nrs_payload_expand(in, 1000, true, 1000, &out), 0);
	assert_memory_equal(in, out, 1000);
	free(out);
	assert_int_equal(nrs_payload_compress(in, 0, &z, &len, &raw), 0);
	assert_true(raw && z == NULL && len == 0);
	assert_int_equal(nrs_payload_expand(in, 0, true, 0, &out), 0);
	free(out);
	free(in);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_group_commit),
		cmocka_unit_test(test_wait_for_nothing),
		cmocka_unit_test(test_ack_after_sync),
		cmocka_unit_test(test_full_everywhere),
		cmocka_unit_test(test_full_for_long),
		cmocka_unit_test(test_eio_everywhere),
		cmocka_unit_test(test_roll),
		cmocka_unit_test(test_roll_behind_roll),
		cmocka_unit_test(test_put_limits),
		cmocka_unit_test(test_read_errors),
		cmocka_unit_test(test_scan_from),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_record_decode),
		cmocka_unit_test(test_event),
		cmocka_unit_test(test_next_event),
		cmocka_unit_test(test_frame_flips),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_payload),
	};

	return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
