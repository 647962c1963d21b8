/* The toy node of toy.h. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/crc32c.h"
#include "tests/unit/journal/toy.h"

static const struct nrs_hash origin = { { 0x0a, 0x0b, 0x0c } };

static size_t
toy_body(uint64_t n, size_t len, uint8_t *out)
{
	uint64_t s = n;
	size_t i;

	nrs_put_u64(out, n);
	nrs_put_u32(out + 8, (uint32_t)len);
	for (i = 12; i < len; i++)
		out[i] = (uint8_t)memenv_random(&s);
	return len;
}

static void
toy_apply(struct toy *t, const uint8_t *body, size_t len, uint64_t pos)
{
	uint8_t be[8];

	t->hash = t->hash * 31 + nrs_crc32c(0, body, len) + len;
	if (t->with_cache) {
		nrs_put_u64(be, pos);
		assert_int_equal(nrs_array_set(t->pos, t->n, be), 0);
	}
	t->n++;
}

static int
toy_encode(void *arg, struct nrs_buf *b)
{
	struct toy *t = arg;
	size_t i;

	nrs_buf_u64(b, t->n);
	nrs_buf_u64(b, t->hash);
	for (i = 0; i < t->state_pad; i++)
		nrs_buf_u8(b, (uint8_t)(i | 1));
	return 0;
}

static int
toy_decode(void *arg, struct nrs_rd *r)
{
	struct toy *t = arg;
	int rc;

	t->decoded++;
	t->n = nrs_rd_u64(r);
	t->hash = t->n == 0 && nrs_rd_left(r) == 0 ? 0 : nrs_rd_u64(r);
	nrs_rd_skip(r, nrs_rd_left(r));
	if ((rc = nrs_rd_end(r)) != 0)
		return rc;
	return t->with_cache ? nrs_array_open(&t->e->env, "pos", 8, t->n, &t->pos) : 0;
}

static int
toy_replay(void *arg, const struct nrs_jframe *f)
{
	struct toy *t = arg;

	t->replayed++;
	if (f->body.len < 12 || nrs_get_u64(f->body.p) != t->n)
		return NRS_EORDER;
	toy_apply(t, f->body.p, f->body.len, f->pos);
	return 0;
}

static int
toy_flush(void *arg)
{
	struct toy *t = arg;

	return t->with_cache ? nrs_array_flush(t->pos, true) : 0;
}

static void
toy_full(void *arg, bool full)
{
	struct toy *t = arg;

	t->fulls += full;
	t->unfulls += !full;
}

static void
toy_failed(void *arg, int rc, const char *why)
{
	struct toy *t = arg;

	assert_non_null(why);
	t->faileds++;
}

static uint64_t
toy_own_size(void *arg)
{
	return ((struct toy *)arg)->n;
}

static const struct nrs_journal_ops ops = {
	.state_encode = toy_encode,
	.state_decode = toy_decode,
	.replay = toy_replay,
	.flush_caches = toy_flush,
	.full = toy_full,
	.failed = toy_failed,
	.own_size = toy_own_size,
};

int
toy_open(struct toy *t)
{
	memset(&t->d, 0, sizeof(t->d));
	t->n = t->hash = 0;
	t->replayed = 0;
	return nrs_journal_open(&t->cfg, &t->j, &t->d);
}

void
toy_init(struct toy *t, uint64_t seed, uint64_t segment_bytes, bool with_cache)
{
	memset(t, 0, sizeof(*t));
	t->e = memenv_new(seed);
	t->cfg.env = &t->e->env;
	t->cfg.ops = &ops;
	t->cfg.arg = t;
	t->cfg.origin_id = origin;
	t->cfg.segment_bytes = segment_bytes;
	t->with_cache = with_cache;
	t->batch_at[0] = true;
	assert_int_equal(nrs_journal_create(&t->cfg, &t->d), 0);
	assert_int_equal(toy_open(t), 0);
}

static void
toy_close(struct toy *t)
{
	nrs_journal_free(t->j);
	t->j = NULL;
	nrs_array_free(t->pos);
	t->pos = NULL;
	memset(t->waits, 0, sizeof(t->waits));
}

void
toy_fini(struct toy *t)
{
	toy_close(t);
	memenv_free(t->e);
}

void
toy_crash(struct toy *t, enum memenv_crash how, uint64_t seed)
{
	toy_close(t);
	memenv_crash(t->e, how, seed);
}

void
toy_put(struct toy *t, size_t len)
{
	uint8_t body[8192];
	struct nrs_str parts[2];
	uint64_t pos;

	assert_true(len >= 12 && len <= sizeof(body) && t->n < TOY_MAX);
	parts[0].p = body;
	parts[0].len = 5;
	parts[1].p = body + 5;
	parts[1].len = toy_body(t->n, len, body) - 5;
	assert_int_equal(nrs_journal_put(t->j, NRS_J_CONTROL, 0, parts, 2, &pos), 0);
	toy_apply(t, body, len, pos);
	t->hash_at[t->n] = t->hash;
}

static void
wait_done(void *arg, int rc)
{
	struct toy_wait *w = arg;

	assert_non_null(w->t); /* told once */
	if (rc == 0) {
		assert_true(w->n >= w->t->acked);
		w->t->acked = w->n;
		w->t->waits_ok++;
	} else if (rc == NRS_EFULL) {
		w->t->waits_full++;
	} else {
		assert_int_equal(rc, NRS_EIO);
		w->t->waits_eio++;
	}
	w->t = NULL;
}

/* Waits live in the toy: a crash forgets them without a word. */
static void
toy_wait(struct toy *t)
{
	struct toy_wait *w = t->waits;

	while (w->t != NULL)
		w++;
	assert_true(w < t->waits + TOY_WAITS);
	w->w.done = wait_done;
	w->w.arg = w;
	w->t = t;
	w->n = t->n;
	nrs_journal_wait(t->j, &w->w);
}

void
toy_batch(struct toy *t, unsigned int frames, size_t len)
{
	while (frames-- > 0)
		toy_put(t, len);
	toy_wait(t);
	t->batch_at[t->n] = true;
	nrs_journal_kick(t->j);
}

bool
toy_sound(const struct toy *t)
{
	return t->n <= TOY_MAX && t->n >= t->acked && t->batch_at[t->n] &&
	    t->hash == t->hash_at[t->n];
}

struct scan {
	struct toy *t;
	uint64_t n;
};

static int
scan_one(void *arg, const struct nrs_jframe *f)
{
	struct scan *s = arg;
	uint8_t want[8192], be[8];

	assert_int_equal(f->type, NRS_J_CONTROL);
	assert_int_equal(f->flags, 0);
	assert_int_equal(f->body.len, nrs_get_u32(f->body.p + 8));
	toy_body(s->n, f->body.len, want);
	assert_memory_equal(f->body.p, want, f->body.len);
	if (s->t->with_cache) {
		assert_int_equal(nrs_array_get(s->t->pos, s->n, 1, be), 0);
		assert_true(nrs_get_u64(be) == f->pos);
	}
	s->n++;
	return 0;
}

void
toy_check_all(struct toy *t)
{
	struct scan s = { .t = t };
	struct nrs_jframe f;
	struct nrs_buf buf;
	uint8_t be[8];
	uint64_t i;

	memset(&t->d, 0, sizeof(t->d));
	assert_int_equal(nrs_journal_scan(t->j, 0, scan_one, &s, &t->d), 0);
	assert_true(s.n == t->n);
	nrs_buf_init(&buf, 65536);
	for (i = 0; t->with_cache && i < t->n; i++) {
		assert_int_equal(nrs_array_get(t->pos, i, 1, be), 0);
		assert_int_equal(nrs_journal_read(t->j, nrs_get_u64(be), &buf, &f), 0);
		assert_true(nrs_get_u64(f.body.p) == i);
	}
	nrs_buf_fini(&buf);
}
