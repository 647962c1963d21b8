/*
 * Any bytes as the segments of a journal: opening gives it or refuses it.  What
 * was opened reads back frame by frame, can be written to, and opens again with
 * the same frames and the one that was added.
 *
 * Input: u8 what to repair, u8 where the second segment begins (in 1/256 of the
 * rest; 0: there is none), then the bytes of the files.  Random bytes never have
 * right checksums, so those that the input asks for are made right first.
 */
#include "base/crc32c.h"
#include "journal/internal.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/memenv.h"

#define REPAIR_HEADER 0x01
#define REPAIR_FRAMES 0x02
#define REPAIR_LENGTH 0x04 /* a frame that is too long is cut to what there is */
#define REPAIR_COMMIT 0x08
#define SIGNED_SIZE   0x10
#define NO_LAST_KEY   0x20

#define FRAMES_MAX 4096

static const struct nrs_hash origin = { { 0x0a, 0x0b, 0x0c } };

struct world {
	struct memenv *e;
	struct nrs_journal_config cfg;
	struct nrs_journal *j;
	uint64_t pos[FRAMES_MAX];
	unsigned int n;
	uint64_t sum; /* over the frames, COMMIT and STATE left out */
	int waited;
};

static void
check_bodies(const struct nrs_jframe *f)
{
	uint8_t again[NRS_JEVENT_LEN];
	struct nrs_jrecord_view v;
	struct nrs_jevent e;

	if (nrs_jrecord_decode(&v, f) == 0)
		FUZZ_CHECK(v.sealed.p + v.sealed.len == f->body.p + f->body.len);
	if (f->type == NRS_J_EVENT && nrs_jevent_decode(&e, f->body) == 0) {
		nrs_jevent_encode(&e, again);
		FUZZ_CHECK(f->body.len == sizeof(again) &&
		    memcmp(again, f->body.p, sizeof(again)) == 0);
	}
}

static int
on_frame(void *arg, const struct nrs_jframe *f)
{
	struct world *w = arg;

	FUZZ_CHECK(f->type != NRS_J_COMMIT && f->type != NRS_J_STATE);
	check_bodies(f);
	if (w->n < FRAMES_MAX)
		w->pos[w->n] = f->pos;
	w->n++;
	w->sum = w->sum * 31 + nrs_crc32c(f->type, f->body.p, f->body.len) + f->pos;
	return 0;
}

static int
state_encode(void *arg, struct nrs_buf *b)
{
	return 0;
}

static int
state_decode(void *arg, struct nrs_rd *r)
{
	nrs_rd_skip(r, nrs_rd_left(r));
	return nrs_rd_end(r);
}

static int
flush_caches(void *arg)
{
	return 0;
}

static void
on_full(void *arg, bool full)
{
	FUZZ_CHECK(!full);
}

static void
on_failed(void *arg, int rc, const char *why)
{
	fprintf(stderr, "journal failed: %d %s\n", rc, why);
	abort();
}

static uint64_t
own_size(void *arg)
{
	return 3;
}

static const struct nrs_journal_ops ops = {
	.state_encode = state_encode,
	.state_decode = state_decode,
	.replay = on_frame,
	.flush_caches = flush_caches,
	.full = on_full,
	.failed = on_failed,
	.own_size = own_size,
};

/* --- making the files ---------------------------------------------------- */

static void
repair_commit(uint8_t *seg, size_t start, size_t at, uint32_t frames)
{
	uint8_t *b = seg + at + JFRAME_HEAD;

	nrs_put_u32(b, frames);
	nrs_put_u32(b + 4, nrs_crc32c(0, seg + start, at - start));
	nrs_put_u64(b + 8, start);
}

static void
repair(uint8_t *p, size_t len, uint32_t seg, unsigned int what)
{
	size_t at = JSEG_HEADER, start = at, body;
	uint32_t frames = 0, salt_crc;
	uint8_t salt[JSEG_SALT];

	if (len < JSEG_HEADER)
		return;
	memcpy(salt, p + 16, sizeof(salt));
	if (what & REPAIR_HEADER)
		nrs_jseg_encode(p, seg, salt, &origin);
	salt_crc = nrs_jsalt_crc(salt);
	while ((what & REPAIR_FRAMES) && len - at >= JFRAME_HEAD && p[at] != 0) {
		body = nrs_get_u32(p + at + 4);
		if (body > len - at - JFRAME_HEAD || JPAD(body) > len - at - JFRAME_HEAD) {
			if (!(what & REPAIR_LENGTH))
				return;
			body = (len - at - JFRAME_HEAD) & ~(size_t)7;
		}
		if (p[at] == NRS_J_COMMIT && body == JCOMMIT_BODY && (what & REPAIR_COMMIT))
			repair_commit(p, start, at, frames);
		nrs_jframe_seal(p + at, salt_crc, p[at], p[at + 1], (uint32_t)body,
		    nrs_get_u64(p + at + 8));
		frames++;
		at += JFRAME_HEAD + JPAD(body);
		if (p[at - JFRAME_HEAD - JPAD(body)] == NRS_J_COMMIT) {
			start = at;
			frames = 0;
		}
	}
}

static void
add_key(struct memenv *e, uint32_t seg)
{
	uint8_t in[JSEED + 8] = { 1 }, wrapped[JWRAPPED], key[JKEY_FILE];
	struct nrs_sign s = { .what = NRS_KEK_WRAP,
		.in = in,
		.in_len = sizeof(in),
		.out = wrapped,
		.out_len = sizeof(wrapped) };
	char path[JPATH];
	int rc;

	nrs_put_u64(in + JSEED, seg);
	rc = e->env.ops->sign_run(&e->env, &s);
	FUZZ_CHECK(rc == 0 && s.rc == 0 && s.out_len == JWRAPPED);
	nrs_jkey_encode(key, seg, wrapped);
	nrs_jseg_path(path, seg, "key");
	memenv_write(e, path, key, sizeof(key));
}

static void
add_segment(struct memenv *e, uint32_t seg, const uint8_t *p, size_t len, unsigned int what)
{
	uint8_t *copy = malloc(len + 1);
	char path[JPATH];

	FUZZ_CHECK(copy != NULL);
	if (len > 0)
		memcpy(copy, p, len);
	repair(copy, len, seg, what);
	nrs_jseg_path(path, seg, "nrj");
	memenv_write(e, path, copy, len);
	free(copy);
}

static void
world_init(struct world *w, const uint8_t *p, size_t len)
{
	unsigned int what = p[0];
	size_t cut = (len - 2) * p[1] / 256;
	int rc;

	memset(w, 0, sizeof(*w));
	w->e = memenv_new(1);
	rc = w->e->env.ops->dir_make(&w->e->env, JDIR);
	FUZZ_CHECK(rc == 0);
	w->cfg.env = &w->e->env;
	w->cfg.ops = &ops;
	w->cfg.arg = w;
	w->cfg.origin_id = origin;
	w->cfg.segment_bytes = 4096;
	w->cfg.signed_size = what & SIGNED_SIZE ? 2 : 0;
	p += 2;
	len -= 2;
	if (cut == 0)
		cut = len;
	add_segment(w->e, 1, p, cut, what);
	if (cut < len || !(what & NO_LAST_KEY))
		add_key(w->e, 1);
	if (cut < len) {
		add_segment(w->e, 2, p + cut, len - cut, what);
		if (!(what & NO_LAST_KEY))
			add_key(w->e, 2);
	}
}

/* --- using what was opened ------------------------------------------------ */

static int
open_again(struct world *w, struct nrs_detail *d)
{
	memset(d, 0, sizeof(*d));
	w->n = 0;
	w->sum = 0;
	return nrs_journal_open(&w->cfg, &w->j, d);
}

static void
read_all(struct world *w)
{
	struct nrs_jrecord_view v;
	uint8_t salt[NRS_SALT_LEN];
	struct nrs_buf buf, out;
	struct nrs_jframe f;
	struct nrs_str data;
	unsigned int i;
	int rc;

	nrs_buf_init(&buf, 1u << 20);
	nrs_buf_init(&out, 1u << 20);
	for (i = 0; i < w->n && i < FRAMES_MAX; i++) {
		rc = nrs_journal_read(w->j, w->pos[i], &buf, &f);
		FUZZ_CHECK(rc == 0 && f.pos == w->pos[i]);
		if (nrs_jrecord_decode(&v, &f) == 0)
			FUZZ_CHECK(nrs_journal_unseal(w->j, &v, &out, salt, &data) <= 0);
	}
	/* only what a COMMIT closes has happened */
	rc = nrs_journal_read(
	    w->j, nrs_journal_end(w->j) - JFRAME_HEAD - JCOMMIT_BODY, &buf, &f);
	FUZZ_CHECK(rc == 0 && f.type == NRS_J_COMMIT && f.batch == nrs_journal_batch(w->j));
	nrs_buf_fini(&out);
	nrs_buf_fini(&buf);
}

static void
on_durable(void *arg, int rc)
{
	((struct world *)arg)->waited = rc == 0 ? 1 : -1;
}

static void
append(struct world *w)
{
	static const uint8_t body[40] = { 1, 2, 3 };
	struct nrs_str part = { body, sizeof(body) };
	struct nrs_jwait wait = { .done = on_durable, .arg = w };
	int rc;

	rc = nrs_journal_put(w->j, NRS_J_CONTROL, 0, &part, 1, NULL);
	FUZZ_CHECK(rc == 0);
	nrs_journal_wait(w->j, &wait);
	nrs_journal_kick(w->j);
	memenv_run(w->e);
	FUZZ_CHECK(w->waited == 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	static struct world w;
	struct nrs_detail d;
	unsigned int n;
	uint64_t batch, sum;
	int rc;

	if (len < 2 || len > 65536)
		return 0;
	world_init(&w, p, len);
	rc = open_again(&w, &d);
	FUZZ_DETAIL(rc, &d);
	if (rc == 0) {
		read_all(&w);
		batch = nrs_journal_batch(w.j);
		n = w.n;
		sum = w.sum;
		nrs_journal_free(w.j);
		rc = open_again(&w, &d);
		FUZZ_CHECK(rc == 0 && w.n == n && w.sum == sum);
		FUZZ_CHECK(nrs_journal_batch(w.j) == batch);
		FUZZ_CHECK(nrs_journal_scan(w.j, 0, on_frame, &w, NULL) <= 0);
		if (batch < UINT64_MAX / 2) {
			append(&w);
			batch = nrs_journal_batch(w.j);
			nrs_journal_free(w.j);
			rc = open_again(&w, &d);
			FUZZ_CHECK(rc == 0 && nrs_journal_batch(w.j) == batch);
			FUZZ_CHECK(w.n > 0);
		}
	}
	nrs_journal_free(w.j);
	memenv_free(w.e);
	return 0;
}
