/* A segment from end to end, faults included (docs/FORMAT-journal.md, sections 1 and 4). */
#include <assert.h>
#include <string.h>

#include "base/crc32c.h"
#include "journal/internal.h"
#include "journal/walk.h"

#define POLY 0x82f63b78u /* CRC-32C, reflected */

static_assert(NRS_JWALK_FIRST == JSEG_HEADER && NRS_JWALK_HEAD == JFRAME_HEAD &&
	NRS_JKEY_LEN == JKEY_FILE && NRS_JSTATE_FIXED == JSTATE_PREFIX,
    "what is public is what is written");

struct walk {
	struct nrs_jimage im;
	int (*each)(void *arg, const struct nrs_jwalk_item *it);
	void *arg;
	struct nrs_jwalk_end *end;
	bool done;
};

/* --- a lost salt -------------------------------------------------------- */

/* The CRC that len bytes at p lead from to crc: the same steps, backwards. */
static uint32_t
crc_before(uint32_t crc, const uint8_t *p, size_t len)
{
	uint32_t r = ~crc;
	int i;

	while (len-- > 0) {
		for (i = 0; i < 8; i++)
			r = (r & 0x80000000u) != 0 ? (r ^ POLY) << 1 | 1 : r << 1;
		r ^= p[len];
	}
	return ~r;
}

/*
 * All that is needed of the salt is its CRC, and that is what the checksum of a
 * frame's header leads back to; the checksum of the body then says whether.
 */
static bool
salt_from_frame(const struct nrs_jimage *im, size_t at, uint32_t *ret)
{
	const uint8_t *p = im->p + at;
	struct nrs_jhead h;
	uint32_t crc;

	if (p[0] == 0 || p[0] >= NRS_J__MAX || nrs_get_u16(p + 2) != 0 ||
	    nrs_get_u32(p + 4) > NRS_JFRAME_MAX || nrs_get_u64(p + 8) == 0 ||
	    nrs_get_u64(p + 8) >> 48 != 0)
		return false;
	crc = crc_before(nrs_get_u32(p + 16), p + 20, 4);
	crc = crc_before(crc, p, 16);
	if (nrs_jframe_check(&h, p, im->len - at, crc) != 0)
		return false;
	*ret = crc;
	return true;
}

static bool
salt_find(struct nrs_jimage *im)
{
	struct nrs_jhead h;
	size_t at;

	if (im->len < JSEG_HEADER + JFRAME_HEAD)
		return false;
	im->salt_crc = nrs_jsalt_crc(im->p + 16);
	if (nrs_jframe_check(&h, im->p + JSEG_HEADER, im->len - JSEG_HEADER,
		im->salt_crc) != NRS_ECORRUPT)
		return true;
	for (at = JSEG_HEADER; at <= im->len - JFRAME_HEAD; at += 8)
		if (salt_from_frame(im, at, &im->salt_crc))
			return true;
	return false;
}

/* --- telling ------------------------------------------------------------ */

static void
fill_frame(const struct walk *w, size_t at, const struct nrs_jhead *h, struct nrs_jframe *f)
{
	f->type = h->type;
	f->flags = h->flags;
	f->batch = h->batch;
	f->pos = NRS_POS(w->im.seg, at);
	f->body = (struct nrs_str){ w->im.p + at + JFRAME_HEAD, h->len };
}

static int
tell_frame(struct walk *w, size_t at, const struct nrs_jhead *h, bool known, bool whole)
{
	struct nrs_jwalk_item it = {
		.what = h->type == NRS_J_COMMIT ? NRS_JWALK_BATCH : NRS_JWALK_FRAME,
		.known = known,
		.whole = whole,
		.off = (uint32_t)at,
		.len = (uint32_t)(JFRAME_HEAD + JPAD(h->len)),
	};

	fill_frame(w, at, h, &it.f);
	if (h->type == NRS_J_STATE && h->len >= JSTATE_PREFIX && at == JSEG_HEADER) {
		w->end->state = true;
		w->end->prev = nrs_get_u32(it.f.body.p);
		w->end->prev_end = nrs_get_u32(it.f.body.p + 4);
	}
	return w->each(w->arg, &it);
}

/* h: the header if it can be believed, or NULL. */
static int
tell_fault(struct walk *w, enum nrs_jwalk_fault fault, size_t at, size_t len,
    const struct nrs_jhead *h, bool tail, const char *why)
{
	struct nrs_jwalk_item it = {
		.what = NRS_JWALK_FAULT,
		.fault = fault,
		.off = (uint32_t)at,
		.len = (uint32_t)len,
		.tail = tail,
		.why = why,
	};

	if (h != NULL) {
		fill_frame(w, at, h, &it.f);
	} else {
		it.f.pos = NRS_POS(w->im.seg, at);
		if (len > JFRAME_HEAD && at >= JSEG_HEADER)
			it.f.body = (struct nrs_str){ w->im.p + at + JFRAME_HEAD,
				len - JFRAME_HEAD };
	}
	if (it.f.body.len > w->im.len - at - (len > 0 ? JFRAME_HEAD : 0))
		it.f.body.len = 0;
	return w->each(w->arg, &it);
}

/* --- a batch that is not whole -------------------------------------------- */

/* Where the next sound frame of a batch not seen yet begins; 0: nowhere. */
static size_t
resync(const struct nrs_jimage *im, size_t at, const struct nrs_jhead *h)
{
	const uint8_t *p;
	struct nrs_jhead next;
	size_t off;

	if (h != NULL && JPAD(h->len) <= im->len - at - JFRAME_HEAD) {
		off = at + JFRAME_HEAD + JPAD(h->len);
		if (nrs_jframe_check(&next, im->p + off, im->len - off, im->salt_crc) !=
			NRS_ECORRUPT &&
		    next.batch > im->batch)
			return off;
	}
	for (off = at + 8; off + JFRAME_HEAD <= im->len; off += 8) {
		p = im->p + off;
		if (p[0] == 0 || p[2] != 0 || p[3] != 0 || nrs_get_u64(p + 8) <= im->batch)
			continue;
		if (nrs_jframe_check(&next, p, im->len - off, im->salt_crc) != NRS_ECORRUPT)
			return off;
	}
	return 0;
}

/* The length of what is there from at, up to the zeros at the end. */
static size_t
used_from(const struct nrs_jimage *im, size_t at)
{
	size_t end = im->len;

	while (end > at && im->p[end - 1] == 0)
		end--;
	return end - at;
}

struct salvage {
	uint64_t batch; /* 0: no frame of it is known */
	uint32_t frames;
	bool bad;  /* something of it was told already */
	bool last; /* no later batch stands behind it: recovery would cut it off */
	size_t at;
};

/* What is not a frame. Sets w->done when nothing sound follows. */
static int
salvage_damage(struct walk *w, struct salvage *s)
{
	static const char body_why[] = "checksum of the frame's body is wrong";
	static const char head_why[] = "checksum of the frame's header is wrong";
	struct nrs_jimage *im = &w->im;
	struct nrs_jhead h;
	bool head_ok;
	size_t next, len;

	head_ok = im->len - s->at >= JFRAME_HEAD &&
	    nrs_jhead_decode(&h, im->p + s->at, im->salt_crc) != NRS_ECORRUPT;
	next = resync(im, s->at, head_ok ? &h : NULL);
	if (next == 0) {
		w->done = true;
		len = used_from(im, s->at);
		if (len == 0 && (s->at == im->off || s->bad))
			return 0;
		if (len == 0)
			return tell_fault(w, NRS_JWALK_COMMIT, s->at, 0, NULL, true,
			    "batch ends without its COMMIT");
		if (head_ok && JFRAME_HEAD + JPAD(h.len) <= im->len - s->at)
			len = JFRAME_HEAD + JPAD(h.len);
	} else {
		len = next - s->at;
	}
	s->bad = true;
	if (next != 0)
		s->at = next;
	return tell_fault(w, NRS_JWALK_BAD, next != 0 ? next - len : s->at, len,
	    head_ok ? &h : NULL, s->last || next == 0, head_ok ? body_why : head_why);
}

/* A sound frame. 1: the batch ends here, s->at is behind it. */
static int
salvage_frame(struct walk *w, struct salvage *s, const struct nrs_jhead *h, bool known)
{
	struct nrs_jimage *im = &w->im;
	size_t at = s->at, len = JFRAME_HEAD + JPAD(h->len);
	int rc = 0;

	if (h->batch <= im->batch) {
		s->bad = true;
		s->at += len;
		return tell_fault(
		    w, NRS_JWALK_BAD, at, len, h, s->last, "frame of an earlier batch");
	}
	if (s->batch != 0 && h->batch != s->batch) {
		if (!s->bad)
			rc = tell_fault(w, NRS_JWALK_COMMIT, at, 0, NULL, s->last,
			    "batch ends without its COMMIT");
		return rc != 0 ? rc : 1;
	}
	if (s->batch == 0 && !s->bad && im->batch != 0 && h->batch != im->batch + 1) {
		rc = tell_fault(
		    w, NRS_JWALK_BATCHES, at, 0, NULL, s->last, "batches are missing");
		if (rc != 0)
			return rc;
	}
	s->batch = h->batch;
	s->at += len;
	if (h->type == NRS_J_COMMIT) {
		if (!s->bad &&
		    (h->len != JCOMMIT_BODY ||
			!nrs_jcommit_ok(im->p, im->off, at, s->frames))) {
			s->bad = true;
			rc = tell_fault(w, NRS_JWALK_COMMIT, at, len, h, s->last,
			    "COMMIT does not fit its batch");
		}
		if (rc == 0)
			rc = tell_frame(w, at, h, known, !s->bad);
		return rc != 0 ? rc : 1;
	}
	if ((h->type == NRS_J_STATE) != (at == JSEG_HEADER)) {
		s->bad = true;
		rc = tell_fault(
		    w, NRS_JWALK_BAD, at, len, h, s->last, "STATE in a wrong place");
		if (rc != 0 || h->type == NRS_J_STATE)
			return rc;
	}
	s->frames++;
	return tell_frame(w, at, h, known, false);
}

static int
salvage(struct walk *w)
{
	struct nrs_jimage *im = &w->im;
	struct salvage s = { .at = im->off };
	struct nrs_jhead h;
	int rc = 0;

	s.last = im->batch != 0 && !nrs_jimage_later(im, im->off, im->batch + 1);
	while (rc == 0 && !w->done && s.at < im->len) {
		rc = nrs_jframe_check(&h, im->p + s.at, im->len - s.at, im->salt_crc);
		if (rc == NRS_ECORRUPT)
			rc = salvage_damage(w, &s);
		else
			rc = salvage_frame(w, &s, &h, rc == 0);
	}
	if (rc < 0)
		return rc;
	if (rc == 0 && !w->done && s.batch != 0 && !s.bad)
		rc = tell_fault(w, NRS_JWALK_COMMIT, s.at, 0, NULL, true,
		    "batch ends without its COMMIT");
	if (rc == 0)
		w->done = true;
	im->off = s.at;
	if (s.batch == 0)
		return rc < 0 ? rc : 0;
	im->batch = s.batch;
	if (w->end->first_batch == 0)
		w->end->first_batch = s.batch;
	if (!s.last) {
		w->end->last_batch = s.batch;
		if (!w->done)
			w->end->end = (uint32_t)s.at;
	}
	return rc < 0 ? rc : 0;
}

/* --- the whole ------------------------------------------------------------ */

static int
whole_batch(struct walk *w)
{
	struct nrs_jimage *im = &w->im;
	struct nrs_jhead h;
	size_t at;
	int rc = 0;

	if (w->end->first_batch == 0)
		w->end->first_batch = im->batch;
	w->end->last_batch = im->batch;
	w->end->end = (uint32_t)im->off;
	for (at = im->start; rc == 0 && at < im->off; at += JFRAME_HEAD + JPAD(h.len)) {
		rc = nrs_jhead_decode(&h, im->p + at, im->salt_crc);
		if (rc == 0)
			rc = tell_frame(w, at, &h, true, true);
	}
	return rc;
}

int
nrs_jwalk_segment(const uint8_t *p, size_t len, uint32_t seg, const struct nrs_hash *origin,
    int (*each)(void *arg, const struct nrs_jwalk_item *it), void *arg,
    struct nrs_jwalk_end *ret)
{
	struct walk w = { .each = each, .arg = arg, .end = ret };
	struct nrs_jimage *im = &w.im;
	struct nrs_jwalk_item it = { .what = NRS_JWALK_FAULT, .fault = NRS_JWALK_HEADER };
	int rc;

	memset(ret, 0, sizeof(*ret));
	ret->end = JSEG_HEADER;
	im->seg = seg;
	im->p = (uint8_t *)p; /* only ever read */
	im->len = len;
	im->off = im->start = JSEG_HEADER;
	rc = nrs_jseg_decode(p, len, seg, origin, &im->salt_crc, &im->why);
	if (rc != 0) {
		it.len = len < JSEG_HEADER ? (uint32_t)len : JSEG_HEADER;
		it.why = im->why;
		it.f.pos = NRS_POS(seg, 0);
		it.tail = !salt_find(im);
		if ((rc = each(arg, &it)) != 0 || it.tail)
			return rc;
	}
	while (!w.done) {
		if ((rc = nrs_jimage_next(im)) == 1)
			rc = whole_batch(&w);
		else
			rc = salvage(&w);
		if (rc != 0)
			return rc;
	}
	return 0;
}

int
nrs_jwalk_header(
    const uint8_t *p, size_t len, uint32_t *ret_seg, struct nrs_hash *ret_origin)
{
	const char *why;
	uint32_t salt;

	if (len < JSEG_HEADER)
		return NRS_ECORRUPT;
	*ret_seg = nrs_get_u32(p + 8);
	memcpy(ret_origin->b, p + 32, NRS_HASH_LEN);
	return nrs_jseg_decode(p, len, *ret_seg, ret_origin, &salt, &why);
}

uint32_t
nrs_jwalk_name(const char *name, const char *ext)
{
	return strlen(name) < 9 ? 0 : nrs_jseg_number(name, ext);
}

int
nrs_jwalk_key(const uint8_t *p, size_t len, uint32_t seg, uint8_t wrapped[60])
{
	return nrs_jkey_decode(p, len, seg, wrapped);
}
