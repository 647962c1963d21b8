/*
 * Forming, writing and acknowledging batches: when bytes count as durable, and
 * what happens when there is no space or the medium fails
 * (docs/FORMAT-journal.md, section 3).  One batch flies at a time; the next
 * one forms meanwhile.  A batch that is the first of a new segment drags the
 * beginning of that segment behind it and flies only after it.
 */
#include <stdlib.h>
#include <string.h>

#include <noroshi/plant.h>

#include "crypto/aead.h"
#include "journal/internal.h"

static void journal_advance(struct nrs_journal *j);

/* --- waits -------------------------------------------------------------- */

static void
waits_init(struct nrs_jwaits *w)
{
	w->first = NULL;
	w->last = &w->first;
}

static void
waits_add(struct nrs_jwaits *w, struct nrs_jwait *one)
{
	one->next = NULL;
	*w->last = one;
	w->last = &one->next;
}

static void
waits_move(struct nrs_jwaits *to, struct nrs_jwaits *from)
{
	if (from->first == NULL)
		return;
	*to->last = from->first;
	to->last = from->last;
	waits_init(from);
}

/* The list is the caller's alone: done() may free its wait and wait again. */
static void
waits_done(struct nrs_jwaits *w, int rc)
{
	struct nrs_jwait *one, *next;

	for (one = w->first; one != NULL; one = next) {
		next = one->next;
		one->done(one->arg, rc);
	}
}

void
nrs_jbatch_init(struct nrs_jbatch *b)
{
	memset(b, 0, sizeof(*b));
	nrs_buf_init(&b->buf, JBATCH_MAX);
	waits_init(&b->waits);
}

void
nrs_jbatch_fini(struct nrs_env *env, struct nrs_jbatch *b)
{
	nrs_jroll_free(env, b->roll);
	nrs_buf_fini(&b->buf);
}

/* --- forming ------------------------------------------------------------ */

int
nrs_jseed_add(struct nrs_journal *j, const uint8_t seed[JSEED])
{
	size_t cap = j->seeds_cap > 0 ? j->seeds_cap * 2 : 16;
	uint8_t(*p)[JSEED];

	if (j->nseeds == j->seeds_cap) {
		/* Not realloc: it would leave a copy of the seeds behind. */
		if ((p = calloc(cap, sizeof(*p))) == NULL)
			return NRS_ENOMEM;
		if (j->nseeds > 0) {
			memcpy(p, j->seeds, j->nseeds * sizeof(*p));
			nrs_wipe(j->seeds, j->nseeds * sizeof(*p));
		}
		free(j->seeds);
		j->seeds = p;
		j->seeds_cap = cap;
	}
	memcpy(j->seeds[j->nseeds++], seed, JSEED);
	return 0;
}

/*
 * A new segment is due.  Its STATE is of this moment, when every frame so far
 * lies in older segments; writing it can wait until its first batch flies.
 */
static int
roll_begin(struct nrs_journal *j)
{
	struct nrs_jroll *r;
	int rc;

	if (j->seg >= JSEG_LAST)
		return NRS_ELIMIT;
	r = nrs_jroll_new(j->env, &j->origin, j->seg + 1, j->used, j->next_batch);
	if (r == NULL)
		return NRS_ENOMEM;
	if ((rc = nrs_jroll_state(r, j->next_event, j->ops->state_encode, j->arg)) != 0 ||
	    (rc = nrs_jseed_add(j, r->seed_in)) != 0) {
		nrs_jroll_free(j->env, r);
		return rc;
	}
	j->form.roll = r;
	j->seg = r->seg;
	j->used = (uint32_t)r->buf.len;
	j->salt_crc = r->salt_crc;
	j->next_batch++;
	j->must_roll = false;
	return 0;
}

static int
batch_begin(struct nrs_journal *j)
{
	struct nrs_jbatch *b = &j->form;
	int rc;

	if (b->number != 0)
		return 0;
	if ((j->must_roll || j->used >= j->segment_bytes) && (rc = roll_begin(j)) != 0)
		return rc;
	b->number = j->next_batch++;
	b->seg = j->seg;
	b->off = j->used;
	b->salt_crc = j->salt_crc;
	b->frames = 0;
	return 0;
}

/* Leaves room for the COMMIT, so that closing a batch needs no memory limit of its own. */
static int
batch_room(struct nrs_journal *j, size_t body)
{
	struct nrs_buf *b = &j->form.buf;
	size_t need = JFRAME_HEAD + JPAD(body) + JFRAME_HEAD + JCOMMIT_BODY;
	int rc;

	if (body > NRS_JFRAME_MAX)
		return NRS_ELIMIT;
	if (nrs_buf_reserve(b, need) == NULL) {
		rc = b->err;
		b->err = 0;
		return rc;
	}
	return 0;
}

static void
note_event(struct nrs_journal *j, const uint8_t *body, size_t len)
{
	if (len >= 8 && nrs_get_u64(body) < UINT64_MAX)
		j->next_event = nrs_get_u64(body) + 1;
}

int
nrs_journal_put(struct nrs_journal *j, uint8_t type, uint8_t flags,
    const struct nrs_str *parts, unsigned int nparts, uint64_t *ret_pos)
{
	struct nrs_jbatch *b = &j->form;
	size_t len = 0, at;
	unsigned int i;
	int rc;

	if (j->phase == JPHASE_FAILED || type == 0 || type >= NRS_J__MAX ||
	    type == NRS_J_STATE || type == NRS_J_COMMIT ||
	    (flags & ~nrs_jframe_flags(type)) != 0)
		return NRS_EINTERNAL;
	for (i = 0; i < nparts; i++) {
		if (parts[i].len > NRS_JFRAME_MAX - len)
			return NRS_ELIMIT;
		len += parts[i].len;
	}
	if ((rc = batch_begin(j)) != 0 || (rc = batch_room(j, len)) != 0)
		return rc;
	at = b->buf.len;
	if ((rc = nrs_jframe_put(
		 &b->buf, b->salt_crc, type, flags, b->number, parts, nparts)) != 0)
		return rc;
	if (type == NRS_J_EVENT)
		note_event(j, b->buf.p + at + JFRAME_HEAD, len);
	b->frames++;
	if (ret_pos != NULL)
		*ret_pos = NRS_POS(b->seg, b->off + at);
	return 0;
}

int
nrs_journal_put_record(
    struct nrs_journal *j, const struct nrs_jrecord *r, uint64_t *ret_pos)
{
	struct nrs_jbatch *b = &j->form;
	uint8_t nonce[16], *p, *body;
	size_t plain, len, at;
	int rc;

	if (j->phase == JPHASE_FAILED || (r->flags & ~NRS_JRECORD_FLAGS) != 0)
		return NRS_EINTERNAL;
	if (r->sigs.len > NRS_SIGBLOCK_MAX || r->data.len > NRS_PAYLOAD_MAX)
		return NRS_ELIMIT;
	plain = NRS_SALT_LEN + r->data.len;
	len = JRECORD_FIXED + r->sigs.len + plain + NRS_AEAD_TAG;
	/* The batch first: it decides whose seed this record is sealed with. */
	if ((rc = batch_begin(j)) != 0 || (rc = batch_room(j, len)) != 0)
		return rc;
	at = b->buf.len;
	p = b->buf.p + at;
	body = p + JFRAME_HEAD + JRECORD_FIXED + r->sigs.len;
	j->env->ops->random(j->env, nonce, sizeof(nonce));
	nrs_jrecord_layout(
	    p + JFRAME_HEAD, r, (uint32_t)(plain + NRS_AEAD_TAG), nonce, b->seg);
	memcpy(body, r->salt, NRS_SALT_LEN);
	if (r->data.len > 0)
		memcpy(body + NRS_SALT_LEN, r->data.p, r->data.len);
	rc = nrs_sealer_seal(
	    j->sealer, j->seeds[b->seg - 1], nonce, &r->c, &r->flags, 1, body, plain, body);
	if (rc != 0)
		return rc;
	nrs_jframe_seal(p, b->salt_crc, NRS_J_RECORD, r->flags, (uint32_t)len, b->number);
	nrs_buf_grow(&b->buf, JFRAME_HEAD + JPAD(len));
	b->frames++;
	if (ret_pos != NULL)
		*ret_pos = NRS_POS(b->seg, b->off + at);
	return 0;
}

/* --- waiting ------------------------------------------------------------ */

static void
turn_done(struct nrs_io *io)
{
	struct nrs_journal *j = io->arg;
	struct nrs_jwaits w;

	j->turn_flying = false;
	waits_init(&w);
	waits_move(&w, &j->turn_waits);
	waits_done(&w, j->phase == JPHASE_FAILED ? NRS_EIO : 0);
}

void
nrs_journal_wait(struct nrs_journal *j, struct nrs_jwait *w)
{
	if (j->phase != JPHASE_FAILED) {
		if (j->form.frames > 0) {
			w->batch = j->form.number;
			waits_add(&j->form.waits, w);
			return;
		}
		if (j->flight.number != 0) {
			w->batch = j->flight.number;
			waits_add(&j->flight.waits, w);
			return;
		}
	}
	w->batch = j->batch;
	waits_add(&j->turn_waits, w);
	if (j->turn_flying)
		return;
	/* Nothing to write; a request of no steps still gives a turn of its own. */
	memset(&j->turn, 0, sizeof(j->turn));
	j->turn.steps = NULL;
	j->turn.done = turn_done;
	j->turn.arg = j;
	j->turn_flying = true;
	j->env->ops->io_submit(j->env, &j->turn);
}

/* --- flying ------------------------------------------------------------- */

static void
journal_fail(struct nrs_journal *j, int rc, const char *why)
{
	struct nrs_jwaits w;

	j->phase = JPHASE_FAILED;
	waits_init(&w);
	waits_move(&w, &j->flight.waits);
	waits_move(&w, &j->form.waits);
	if (j->ops->failed != NULL)
		j->ops->failed(j->arg, rc, why);
	waits_done(&w, NRS_EIO);
}

/* What was put stays and is written on retry; those who wait are told once. */
static void
journal_stall(struct nrs_journal *j)
{
	bool first = !j->full;
	struct nrs_jwaits w;

	j->phase = JPHASE_STALL;
	j->full = true;
	waits_init(&w);
	waits_move(&w, &j->flight.waits);
	waits_move(&w, &j->form.waits);
	if (first && j->ops->full != NULL)
		j->ops->full(j->arg, true);
	waits_done(&w, NRS_EFULL);
}

static void
journal_submit(struct nrs_journal *j, enum nrs_jphase phase, unsigned int nsteps,
    void (*done)(struct nrs_io *io))
{
	j->phase = phase;
	memset(&j->io, 0, sizeof(j->io));
	j->io.steps = j->steps;
	j->io.nsteps = nsteps;
	j->io.done = done;
	j->io.arg = j;
	j->env->ops->io_submit(j->env, &j->io);
}

/*
 * Caches: a flush says only that it was submitted.  Requests are done in
 * order, so one behind it tells when it ended, and the next flush tells how:
 * two flushes in a row without a complaint mean that the first succeeded.
 */
static void
flush_done(struct nrs_io *io)
{
	struct nrs_journal *j = io->arg;
	int rc = j->ops->flush_caches(j->arg);

	if (rc == 0) {
		j->flight.roll->flushes++;
		journal_advance(j);
	} else if (rc == NRS_EFULL || rc == NRS_EIO || rc == NRS_ENOMEM) {
		j->flight.roll->flushes = 0;
		journal_stall(j);
	} else {
		journal_fail(j, rc, "a cache cannot be written");
	}
}

static void
sign_done(struct nrs_sign *s)
{
	struct nrs_journal *j = s->arg;

	if (s->rc != 0 || s->out_len != JWRAPPED) {
		journal_fail(j, s->rc != 0 ? s->rc : NRS_EINTERNAL,
		    "the keeper did not wrap the key of a new segment");
		return;
	}
	j->flight.roll->is_wrapped = true;
	journal_advance(j);
}

static void
roll_done(struct nrs_io *io)
{
	struct nrs_journal *j = io->arg;
	struct nrs_jroll *r = j->flight.roll;

	if (io->rc == NRS_EFULL) {
		journal_stall(j);
		return;
	}
	if (io->rc != 0) {
		journal_fail(j, io->rc, "a new segment cannot be written");
		return;
	}
	j->env->ops->file_close(j->env, j->file);
	j->file = r->file;
	j->file_salt_crc = r->salt_crc;
	j->batch = r->batch;
	j->end_seg = r->seg;
	j->end_off = (uint32_t)r->buf.len;
	r->file = 0;
	j->flight.roll = NULL;
	nrs_jroll_free(j->env, r);
	journal_advance(j);
}

static void
write_done(struct nrs_io *io)
{
	struct nrs_journal *j = io->arg;
	struct nrs_jbatch *b = &j->flight;
	struct nrs_jwaits w;

	if (io->rc == NRS_EFULL) {
		journal_stall(j);
		return;
	}
	if (io->rc != 0) {
		journal_fail(j, io->rc, "a batch cannot be written");
		return;
	}
	j->batch = b->number;
	j->end_off = b->off + (uint32_t)b->buf.len;
	b->number = 0;
	b->frames = 0;
	nrs_buf_reset(&b->buf);
	waits_init(&w);
	waits_move(&w, &b->waits);
	j->phase = JPHASE_IDLE;
	if (j->full) {
		j->full = false;
		if (j->ops->full != NULL)
			j->ops->full(j->arg, false);
	}
	waits_done(&w, 0);
	nrs_journal_kick(j);
}

static void
advance_roll(struct nrs_journal *j)
{
	struct nrs_jroll *r = j->flight.roll;
	unsigned int n;
	int rc;

	if (r->flushes < 2 && j->ops->flush_caches != NULL) {
		journal_submit(j, JPHASE_FLUSH, 0, flush_done);
	} else if (!r->is_wrapped) {
		j->phase = JPHASE_SIGN;
		nrs_jroll_sign(r, &j->sign);
		j->sign.done = sign_done;
		j->sign.arg = j;
		j->env->ops->sign(j->env, &j->sign);
	} else if ((rc = nrs_jroll_steps(
			j->env, r, j->segment_bytes, j->file, j->steps, &n)) == 0) {
		journal_submit(j, JPHASE_ROLL, n, roll_done);
	} else if (rc == NRS_EFULL) {
		journal_stall(j);
	} else {
		journal_fail(j, rc, "a new segment cannot be created");
	}
}

/* The next thing that the flying batch needs.  Each of its parts may be done again. */
static void
journal_advance(struct nrs_journal *j)
{
	struct nrs_jbatch *b = &j->flight;

	if (b->roll != NULL) {
		advance_roll(j);
		return;
	}
	memset(j->steps, 0, 2 * sizeof(j->steps[0]));
	j->steps[0].op = NRS_IO_PWRITE;
	j->steps[0].file = j->file;
	j->steps[0].off = b->off;
	j->steps[0].data = b->buf.p;
	j->steps[0].len = b->buf.len;
	j->steps[1].op = NRS_IO_SYNC;
	j->steps[1].file = j->file;
	journal_submit(j, JPHASE_WRITE, NRS_PLANTED(ACK_BEFORE_SYNC) ? 1 : 2, write_done);
}

void
nrs_journal_kick(struct nrs_journal *j)
{
	struct nrs_jbatch *f = &j->form, old;
	int rc;

	if (j->phase != JPHASE_IDLE || f->frames == 0)
		return;
	/* Room for it was reserved with the last frame. */
	rc = nrs_jcommit_put(&f->buf, 0, f->off, f->salt_crc, f->number, f->frames);
	if (rc != 0)
		return; /* the next kick tries again */
	j->used = f->off + (uint32_t)f->buf.len;
	old = j->flight;
	j->flight = *f;
	j->form = old;
	/* The lists' tails point into the structs that were just copied. */
	if (j->flight.waits.first == NULL)
		waits_init(&j->flight.waits);
	waits_init(&j->form.waits);
	j->form.roll = NULL;
	journal_advance(j);
}

void
nrs_journal_retry(struct nrs_journal *j)
{
	if (j->phase == JPHASE_STALL)
		journal_advance(j);
}

size_t
nrs_journal_pending(const struct nrs_journal *j)
{
	return j->form.buf.len + j->flight.buf.len;
}

bool
nrs_journal_full(const struct nrs_journal *j)
{
	return j->full;
}

uint64_t
nrs_journal_batch(const struct nrs_journal *j)
{
	return j->batch;
}

uint64_t
nrs_journal_end(const struct nrs_journal *j)
{
	return NRS_POS(j->end_seg, j->end_off);
}

uint64_t
nrs_journal_next_event(const struct nrs_journal *j)
{
	return j->next_event;
}
