/*
 * What of the disk to believe (docs/FORMAT-journal.md, section 4): which
 * segment is the last, where its last valid batch ends, and whether what
 * follows is a torn tail or damage.  Nothing on disk is changed before the
 * answer is known and the node has taken its state back.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/aead.h"
#include "journal/internal.h"

/* --- what is there ------------------------------------------------------ */

struct listing {
	uint32_t *v;
	size_t n;
	size_t cap;
	int rc;
};

static void
list_one(void *arg, const char *name)
{
	struct listing *l = arg;
	uint32_t seg = nrs_jseg_number(name, "nrj"), *p;
	size_t cap;

	if (seg == 0 || l->rc != 0)
		return;
	if (l->n == l->cap) {
		cap = l->cap > 0 ? l->cap * 2 : 64;
		if ((p = realloc(l->v, cap * sizeof(*p))) == NULL) {
			l->rc = NRS_ENOMEM;
			return;
		}
		l->v = p;
		l->cap = cap;
	}
	l->v[l->n++] = seg;
}

static int
compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Number of segments: they stand without a gap from 1. 0: none. */
static int
list_segments(struct nrs_env *env, uint32_t *ret_last, struct nrs_detail *d)
{
	struct listing l = { 0 };
	size_t i;
	int rc;

	*ret_last = 0;
	if ((rc = env->ops->dir_list(env, JDIR, list_one, &l)) == 0)
		rc = l.rc;
	if (rc == NRS_ENOTFOUND)
		rc = 0;
	if (rc != 0) {
		nrs_fail(d, rc, 0, "the journal's directory cannot be read");
		goto out;
	}
	if (l.n > 0)
		qsort(l.v, l.n, sizeof(*l.v), compare_u32);
	for (i = 0; i < l.n; i++) {
		if (l.v[i] == i + 1)
			continue;
		rc = nrs_jfail(
		    d, NRS_ECORRUPT, (uint32_t)i + 1, "nrj", 0, "segment is missing");
		goto out;
	}
	*ret_last = (uint32_t)l.n;
out:
	free(l.v);
	return rc;
}

/* --- keys --------------------------------------------------------------- */

static int
key_read(struct nrs_env *env, uint32_t seg, uint8_t wrapped[JWRAPPED])
{
	uint8_t p[JKEY_FILE + 1];
	char path[JPATH];
	nrs_file f;
	size_t got;
	int rc;

	nrs_jseg_path(path, seg, "key");
	if ((rc = env->ops->file_open(env, path, 0, &f)) != 0)
		return rc == NRS_ENOTFOUND ? NRS_ECORRUPT : rc;
	if ((rc = env->ops->file_pread(env, f, 0, p, sizeof(p), &got)) == 0)
		rc = nrs_jkey_decode(p, got, seg, wrapped);
	env->ops->file_close(env, f);
	return rc;
}

static int
key_load(struct nrs_journal *j, uint32_t seg, struct nrs_detail *d)
{
	uint8_t in[JWRAPPED + 8], seed[JSEED];
	struct nrs_sign s = { .what = NRS_KEK_UNWRAP,
		.in = in,
		.in_len = sizeof(in),
		.out = seed,
		.out_len = sizeof(seed) };
	int rc;

	if ((rc = key_read(j->env, seg, in)) != 0)
		return nrs_jfail(d, rc, seg, "key", 0, "key file is missing or damaged");
	nrs_put_u64(in + JWRAPPED, seg);
	if ((rc = j->env->ops->sign_run(j->env, &s)) == 0)
		rc = s.rc;
	if (rc == 0 && s.out_len != JSEED)
		rc = NRS_EINTERNAL;
	if (rc != 0)
		nrs_jfail(d, rc, seg, "key", 0, "the key-encryption key does not open it");
	else
		rc = nrs_jseed_add(j, seed);
	nrs_wipe(seed, sizeof(seed));
	return rc;
}

/* --- which segment is the last ------------------------------------------ */

struct recovery {
	struct nrs_journal *j;
	struct nrs_jimage im;	  /* the last segment */
	struct nrs_jimage unused; /* a later one that was never used; p NULL: none */
	size_t body;		  /* end of its STATE batch: replay begins here */
	uint64_t first_batch;
	bool torn;
};

/* Is its first batch whole? 1 or 0; errors that are not damage are passed on. */
static int
first_batch(struct nrs_jimage *im, struct nrs_detail *d)
{
	int rc = im->header_rc;

	if (rc == 0)
		rc = nrs_jimage_next(im);
	else if (rc == NRS_ECORRUPT)
		return 0;
	if (rc < 0)
		nrs_jfail(d, rc, im->seg, "nrj", im->bad, im->why);
	return rc;
}

/* Its salt is lost or its STATE is: is there a sign that it was ever used? */
static bool
was_used(const struct nrs_jimage *im, uint64_t state_batch)
{
	if (im->header_rc != 0)
		return nrs_jimage_looks_used(im);
	return nrs_jimage_later(im, JSEG_HEADER, state_batch);
}

/*
 * Has it a whole STATE, and its key file or something written since?  1, 0 or an
 * error.  Names are made durable last, so a new segment's key file may be missing.
 */
static int
begun(struct nrs_env *env, struct nrs_jimage *im, struct nrs_detail *d)
{
	uint8_t wrapped[JWRAPPED];
	int rc;

	if ((rc = first_batch(im, d)) != 1)
		return rc;
	return key_read(env, im->seg, wrapped) == 0 ||
	    nrs_jimage_later(im, im->off, im->batch);
}

/* To the last valid batch of rv->im, whose first one was just found. */
static int
walk(struct recovery *rv, struct nrs_detail *d)
{
	struct nrs_jimage *im = &rv->im;
	int rc;

	rv->body = im->off;
	rv->first_batch = im->batch;
	while ((rc = nrs_jimage_next(im)) == 1)
		continue;
	if (rc < 0)
		return nrs_jfail(d, rc, im->seg, "nrj", im->bad, im->why);
	if (nrs_jimage_later(im, im->off, im->batch + 1))
		return nrs_jfail(d, NRS_ECORRUPT, im->seg, "nrj", im->bad, im->why);
	rv->torn = !nrs_jimage_zero(im, im->off);
	return 0;
}

static int
find_last(struct recovery *rv, uint32_t n, struct nrs_detail *d)
{
	struct nrs_journal *j = rv->j;
	struct nrs_jimage *im = &rv->im;
	uint64_t state_batch;
	int rc;

	if ((rc = nrs_jimage_load(j->env, &j->origin, n, true, im, d)) != 0)
		return rc;
	if ((rc = begun(j->env, im, d)) < 0)
		return rc;
	if (rc == 1)
		return walk(rv, d);
	if (n == 1) {
		if (was_used(im, 1))
			return nrs_jfail(d, NRS_ECORRUPT, n, "nrj", im->bad,
			    "the first batch is damaged");
		return nrs_jfail(d, NRS_ENOTFOUND, n, "nrj", 0,
		    "the journal was never completely created");
	}
	rv->unused = *im;
	memset(im, 0, sizeof(*im));
	if ((rc = nrs_jimage_load(j->env, &j->origin, n - 1, true, im, d)) != 0)
		return rc;
	if ((rc = first_batch(im, d)) < 0)
		return rc;
	if (rc == 0)
		return nrs_jfail(d, NRS_ECORRUPT, n - 1, "nrj", im->bad,
		    im->why != NULL ? im->why : "the first batch is damaged");
	if ((rc = walk(rv, d)) != 0)
		return rc;
	state_batch = im->batch + 1;
	if (was_used(&rv->unused, state_batch))
		return nrs_jfail(d, NRS_ECORRUPT, n, "nrj", rv->unused.bad,
		    "the beginning of a segment in use is damaged");
	return 0;
}

/* --- giving it to the node ---------------------------------------------- */

static int
replay_one(void *arg, const struct nrs_jframe *f)
{
	struct nrs_journal *j = arg;

	if (f->type == NRS_J_EVENT && f->body.len >= 8 &&
	    nrs_get_u64(f->body.p) < UINT64_MAX)
		j->next_event = nrs_get_u64(f->body.p) + 1;
	return j->ops->replay != NULL ? j->ops->replay(j->arg, f) : 0;
}

static int
give_state(struct recovery *rv, struct nrs_detail *d)
{
	struct nrs_journal *j = rv->j;
	uint32_t prev, prev_end;
	struct nrs_jimage im = rv->im;
	struct nrs_rd r;
	int rc;

	im.start = JSEG_HEADER;
	if ((rc = nrs_jimage_state(&im, &prev, &prev_end, &j->next_event, &r)) == 0 &&
	    prev != im.seg - 1)
		rc = NRS_ECORRUPT;
	if (rc == 0 && j->ops->state_decode != NULL)
		rc = j->ops->state_decode(j->arg, &r);
	if (rc != 0)
		nrs_jfail(d, rc, im.seg, "nrj", JSEG_HEADER, "STATE is not understood");
	return rc;
}

static int
give_frames(struct recovery *rv, struct nrs_detail *d)
{
	struct nrs_jimage im = rv->im;
	int rc;

	/* The batches are known to be valid: the frames between them are one run. */
	im.start = rv->body;
	rc = nrs_jimage_each(&im, 0, replay_one, rv->j);
	if (rc != 0)
		nrs_jfail(d, rc, im.seg, "nrj", im.start, "a frame cannot be replayed");
	return rc;
}

/* --- what was signed is never cut --------------------------------------- */

static bool
frame_signed(const struct nrs_journal *j, const struct nrs_jhead *h, const uint8_t *body,
    uint64_t signed_size)
{
	if (h->type == NRS_J_RECORD && h->len >= JRECORD_FIXED)
		return memcmp(body + 40 + 104, j->origin.b, NRS_HASH_LEN) == 0 &&
		    nrs_get_u64(body) < signed_size;
	if (h->type == NRS_J_CONTROL && h->len >= NRS_HASH_LEN + 8)
		return memcmp(body, j->origin.b, NRS_HASH_LEN) == 0 &&
		    nrs_get_u64(body + NRS_HASH_LEN) < signed_size;
	return false;
}

static int
check_signed(struct recovery *rv, uint64_t signed_size, struct nrs_detail *d)
{
	static const char why[] = "what was signed would be cut off";
	const struct nrs_journal *j = rv->j;
	const struct nrs_jimage *im = &rv->im;
	struct nrs_jhead h;
	uint64_t size;
	size_t at;

	if (signed_size == 0)
		return 0;
	for (at = im->off; rv->torn && at < im->len; at += 8)
		if (im->p[at] != 0 &&
		    nrs_jframe_check(&h, im->p + at, im->len - at, im->salt_crc) == 0 &&
		    frame_signed(j, &h, im->p + at + JFRAME_HEAD, signed_size))
			return nrs_jfail(d, NRS_ECORRUPT, im->seg, "nrj", at, why);
	if (j->ops->own_size == NULL || (size = j->ops->own_size(j->arg)) >= signed_size)
		return 0;
	/* Damage has a place; only where nothing is damaged something is missing. */
	if (rv->torn)
		return nrs_jfail(d, NRS_ECORRUPT, im->seg, "nrj", im->off, why);
	return nrs_fail(d, NRS_EROLLBACK, im->off,
	    "the own log has %llu entries here, but %llu were signed: this is an older "
	    "state; put back the newest copy of the data directory",
	    (unsigned long long)size, (unsigned long long)signed_size);
}

/* --- tidying up --------------------------------------------------------- */

/*
 * The names are synced even where nothing is cut: what was read may have been
 * written by a process that died before it came to that.
 */
static int
settle(struct recovery *rv, struct nrs_detail *d)
{
	struct nrs_journal *j = rv->j;
	char seg_path[JPATH], key_path[JPATH], own_key[JPATH];
	struct nrs_io_step steps[6];
	struct nrs_io io = { .steps = steps };
	nrs_file key;
	unsigned int n = 0;
	int rc;

	memset(steps, 0, sizeof(steps));
	nrs_jseg_path(own_key, rv->im.seg, "key");
	if ((rc = j->env->ops->file_open(j->env, own_key, NRS_OPEN_WRITE, &key)) != 0)
		return nrs_jfail(d, rc, rv->im.seg, "key", 0, "key file cannot be opened");
	steps[n].op = NRS_IO_SYNC;
	steps[n++].file = key;
	if (rv->unused.p != NULL) {
		nrs_jseg_path(seg_path, rv->unused.seg, "nrj");
		nrs_jseg_path(key_path, rv->unused.seg, "key");
		steps[n].op = NRS_IO_UNLINK;
		steps[n++].path = seg_path;
		steps[n].op = NRS_IO_UNLINK;
		steps[n++].path = key_path;
		nrs_jimage_fini(j->env, &rv->unused);
	}
	if (rv->torn) {
		steps[n].op = NRS_IO_TRUNCATE;
		steps[n].file = rv->im.file;
		steps[n++].off = rv->im.off;
		steps[n].op = NRS_IO_SYNC;
		steps[n++].file = rv->im.file;
	}
	steps[n].op = NRS_IO_SYNCDIR;
	steps[n++].path = JDIR;
	io.nsteps = n;
	rc = j->env->ops->io_run(j->env, &io);
	j->env->ops->file_close(j->env, key);
	if (rc != 0)
		nrs_jfail(d, rc, rv->im.seg, "nrj", rv->im.off, "recovery cannot write");
	return rc;
}

static void
adopt(struct recovery *rv)
{
	struct nrs_journal *j = rv->j;

	j->seg = j->end_seg = rv->im.seg;
	j->used = j->end_off = (uint32_t)rv->im.off;
	j->salt_crc = j->file_salt_crc = rv->im.salt_crc;
	j->batch = rv->im.batch;
	j->next_batch = rv->im.batch + 1;
	j->must_roll = rv->torn;
	j->file = rv->im.file;
	rv->im.file = 0;
}

static int
recover(struct nrs_journal *j, uint64_t signed_size, struct nrs_detail *d)
{
	struct recovery rv = { .j = j };
	uint32_t n, seg;
	int rc;

	if ((rc = list_segments(j->env, &n, d)) != 0)
		return rc;
	if (n == 0)
		return nrs_fail(d, NRS_ENOTFOUND, 0, "there is no journal");
	if ((rc = find_last(&rv, n, d)) != 0)
		goto out;
	for (seg = 1; seg <= rv.im.seg; seg++)
		if ((rc = key_load(j, seg, d)) != 0)
			goto out;
	if ((rc = give_state(&rv, d)) != 0 || (rc = give_frames(&rv, d)) != 0 ||
	    (rc = check_signed(&rv, signed_size, d)) != 0 || (rc = settle(&rv, d)) != 0)
		goto out;
	adopt(&rv);
out:
	nrs_jimage_fini(j->env, &rv.im);
	nrs_jimage_fini(j->env, &rv.unused);
	return rc;
}

/* --- open, create, free -------------------------------------------------- */

static uint64_t
segment_bytes(const struct nrs_journal_config *cfg)
{
	if (cfg->segment_bytes == 0)
		return NRS_SEGMENT_BYTES;
	return cfg->segment_bytes < JSEG_BYTES_MAX ? cfg->segment_bytes : JSEG_BYTES_MAX;
}

int
nrs_journal_open(
    const struct nrs_journal_config *cfg, struct nrs_journal **ret, struct nrs_detail *d)
{
	struct nrs_journal *j;
	int rc;

	*ret = NULL;
	if ((j = calloc(1, sizeof(*j))) == NULL)
		return NRS_ENOMEM;
	j->env = cfg->env;
	j->ops = cfg->ops;
	j->arg = cfg->arg;
	j->origin = cfg->origin_id;
	j->segment_bytes = segment_bytes(cfg);
	j->turn_waits.last = &j->turn_waits.first;
	nrs_jbatch_init(&j->form);
	nrs_jbatch_init(&j->flight);
	j->dg = nrs_digest_new();
	j->sealer = nrs_sealer_new();
	if (j->dg == NULL || j->sealer == NULL) {
		rc = NRS_ENOMEM;
		goto out;
	}
	if ((rc = recover(j, cfg->signed_size, d)) != 0)
		goto out;
	*ret = j;
	j = NULL;
out:
	nrs_journal_free(j);
	return rc;
}

void
nrs_journal_free(struct nrs_journal *j)
{
	if (j == NULL)
		return;
	if (j->file != 0)
		j->env->ops->file_close(j->env, j->file);
	nrs_jhandles_close(j);
	nrs_jbatch_fini(j->env, &j->form);
	nrs_jbatch_fini(j->env, &j->flight);
	if (j->seeds != NULL)
		nrs_wipe(j->seeds, j->seeds_cap * sizeof(*j->seeds));
	free(j->seeds);
	nrs_digest_free(j->dg);
	nrs_sealer_free(j->sealer);
	free(j);
}

/* A creation that was interrupted is done again; anything else is left alone. */
static int
create_check(const struct nrs_journal_config *cfg, struct nrs_detail *d)
{
	struct nrs_jimage im;
	uint32_t n;
	int rc;

	if ((rc = list_segments(cfg->env, &n, d)) != 0 || n == 0)
		return rc;
	if (n == 1) {
		rc = nrs_jimage_load(cfg->env, &cfg->origin_id, 1, false, &im, d);
		if (rc != 0)
			return rc;
		if (begun(cfg->env, &im, NULL) == 0 && !was_used(&im, 1))
			n = 0;
		nrs_jimage_fini(cfg->env, &im);
	}
	return n == 0 ? 0 : nrs_fail(d, NRS_EEXISTS, 0, "there is a journal already");
}

static int
create_run(const struct nrs_journal_config *cfg, struct nrs_jroll *r)
{
	struct nrs_env *env = cfg->env;
	struct nrs_io_step steps[JROLL_STEPS + 2], *s = steps;
	struct nrs_io io = { .steps = steps };
	struct nrs_sign sign;
	int rc;

	nrs_jroll_sign(r, &sign);
	if ((rc = env->ops->sign_run(env, &sign)) != 0 || (rc = sign.rc) != 0)
		return rc;
	if (sign.out_len != JWRAPPED)
		return NRS_EINTERNAL;
	memset(steps, 0, sizeof(steps));
	if ((rc = nrs_jroll_steps(env, r, segment_bytes(cfg), 0, steps + 1, &io.nsteps)) !=
	    0)
		return rc;
	s->op = NRS_IO_TRUNCATE; /* what an interrupted creation left */
	s->file = r->file;
	s = &steps[++io.nsteps];
	s->op = NRS_IO_SYNCDIR;
	s->path = ".";
	io.nsteps++;
	return env->ops->io_run(env, &io);
}

int
nrs_journal_create(const struct nrs_journal_config *cfg, struct nrs_detail *d)
{
	struct nrs_jroll *r = NULL;
	int rc;

	if ((rc = cfg->env->ops->dir_make(cfg->env, JDIR)) != 0)
		return nrs_fail(d, rc, 0, "the journal's directory cannot be made");
	if ((rc = create_check(cfg, d)) != 0)
		return rc;
	if ((r = nrs_jroll_new(cfg->env, &cfg->origin_id, 1, 0, 1)) == NULL)
		return NRS_ENOMEM;
	if ((rc = nrs_jroll_state(r, 1, NULL, NULL)) != 0 || (rc = create_run(cfg, r)) != 0)
		nrs_jfail(d, rc, 1, "nrj", 0, "the first segment cannot be written");
	nrs_jroll_free(cfg->env, r);
	return rc;
}
