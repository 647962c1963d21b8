/* Reading what is durable: one frame by its position, or all of them in order. */
#include <stdlib.h>
#include <string.h>

#include "journal/internal.h"

/* Most frames but records fit one read of this. */
#define FIRST_READ 4096

static void
handle_close(struct nrs_journal *j, struct nrs_jhandle *h)
{
	if (h->seg != 0)
		j->env->ops->file_close(j->env, h->file);
	memset(h, 0, sizeof(*h));
}

void
nrs_jhandles_close(struct nrs_journal *j)
{
	size_t i;

	for (i = 0; i < JHANDLES; i++)
		handle_close(j, &j->handles[i]);
}

static int
handle_open(struct nrs_journal *j, struct nrs_jhandle *h, uint32_t seg)
{
	uint8_t head[JSEG_HEADER];
	char path[JPATH];
	const char *why;
	size_t got;
	int rc;

	handle_close(j, h);
	nrs_jseg_path(path, seg, "nrj");
	if ((rc = j->env->ops->file_open(j->env, path, 0, &h->file)) != 0)
		return rc;
	h->seg = seg;
	if ((rc = j->env->ops->file_pread(j->env, h->file, 0, head, sizeof(head), &got)) !=
		0 ||
	    (rc = nrs_jseg_decode(head, got, seg, &j->origin, &h->salt_crc, &why)) != 0)
		handle_close(j, h);
	return rc;
}

static int
handle_get(struct nrs_journal *j, uint32_t seg, nrs_file *ret_file, uint32_t *ret_salt_crc)
{
	struct nrs_jhandle *h, *old = &j->handles[0];
	size_t i;
	int rc;

	if (seg == j->end_seg) {
		*ret_file = j->file;
		*ret_salt_crc = j->file_salt_crc;
		return 0;
	}
	for (i = 0; i < JHANDLES; i++) {
		h = &j->handles[i];
		if (h->seg == seg)
			goto found;
		if (h->used < old->used)
			old = h;
	}
	h = old;
	if ((rc = handle_open(j, h, seg)) != 0)
		return rc;
found:
	h->used = ++j->handle_clock;
	*ret_file = h->file;
	*ret_salt_crc = h->salt_crc;
	return 0;
}

static int
read_more(
    struct nrs_journal *j, nrs_file file, uint64_t off, struct nrs_buf *buf, size_t len)
{
	size_t got, want;
	uint8_t *p;
	int rc;

	if (buf->len >= len)
		return 0;
	want = len - buf->len;
	if ((p = nrs_buf_reserve(buf, want)) == NULL)
		return buf->err;
	rc = j->env->ops->file_pread(j->env, file, off + buf->len, p, want, &got);
	if (rc == 0)
		nrs_buf_grow(buf, got);
	return rc;
}

int
nrs_journal_read(
    struct nrs_journal *j, uint64_t pos, struct nrs_buf *buf, struct nrs_jframe *ret)
{
	uint32_t seg = (uint32_t)(pos >> 32), off = (uint32_t)pos, salt_crc;
	struct nrs_jhead h;
	size_t first = FIRST_READ;
	nrs_file file;
	int rc;

	memset(ret, 0, sizeof(*ret));
	if (seg == 0 || off < JSEG_HEADER || off % 8 != 0)
		return NRS_ERANGE;
	if (pos >= nrs_journal_end(j))
		return NRS_ESTATE;
	if (seg == j->end_seg && j->end_off - off < first)
		first = j->end_off - off;
	if ((rc = handle_get(j, seg, &file, &salt_crc)) != 0)
		return rc;
	nrs_buf_reset(buf);
	if ((rc = read_more(j, file, off, buf, first)) != 0)
		return rc;
	if (buf->len < JFRAME_HEAD)
		return NRS_ECORRUPT;
	if ((rc = nrs_jhead_decode(&h, buf->p, salt_crc)) != 0)
		return rc;
	if ((rc = read_more(j, file, off, buf, JFRAME_HEAD + JPAD(h.len))) != 0)
		return rc;
	if (buf->len < JFRAME_HEAD + JPAD(h.len) ||
	    !nrs_jbody_ok(&h, buf->p + JFRAME_HEAD, salt_crc))
		return NRS_ECORRUPT;
	ret->type = h.type;
	ret->flags = h.flags;
	ret->batch = h.batch;
	ret->pos = pos;
	ret->body.p = buf->p + JFRAME_HEAD;
	ret->body.len = h.len;
	return 0;
}

/* Where a segment that is not the last ended: its successor's STATE says it. */
static int
segment_end(struct nrs_journal *j, uint32_t seg, uint32_t *ret_end, struct nrs_detail *d)
{
	struct nrs_jframe f;
	struct nrs_buf buf;
	int rc;

	if (seg == j->end_seg) {
		*ret_end = j->end_off;
		return 0;
	}
	nrs_buf_init(&buf, JFRAME_HEAD + JPAD((size_t)NRS_JFRAME_MAX) + FIRST_READ);
	rc = nrs_journal_read(j, NRS_POS(seg + 1, JSEG_HEADER), &buf, &f);
	if (rc == 0 &&
	    (f.type != NRS_J_STATE || f.body.len < JSTATE_PREFIX ||
		nrs_get_u32(f.body.p) != seg))
		rc = NRS_ECORRUPT;
	if (rc == 0)
		*ret_end = nrs_get_u32(f.body.p + 4);
	else
		nrs_jfail(d, rc, seg + 1, "nrj", JSEG_HEADER, "STATE cannot be read");
	nrs_buf_fini(&buf);
	return rc;
}

static int
scan_segment(struct nrs_journal *j, struct nrs_jimage *im, uint32_t end, uint64_t from,
    uint64_t *batch, int (*each)(void *arg, const struct nrs_jframe *f), void *arg,
    struct nrs_detail *d)
{
	int rc;

	if (im->header_rc != 0)
		return nrs_jfail(d, im->header_rc, im->seg, "nrj", 0, im->why);
	if (end > im->len)
		return nrs_jfail(d, NRS_ECORRUPT, im->seg, "nrj", im->len,
		    "segment is shorter than its successor says");
	im->len = end;
	while (im->off < end) {
		if ((rc = nrs_jimage_next(im)) != 1)
			return nrs_jfail(d, rc != 0 ? rc : NRS_ECORRUPT, im->seg, "nrj",
			    im->bad, im->why);
		if (*batch != 0 && im->batch != *batch + 1)
			return nrs_jfail(d, NRS_ECORRUPT, im->seg, "nrj", im->start,
			    "batches are missing");
		*batch = im->batch;
		if ((rc = nrs_jimage_each(im, from, each, arg)) != 0)
			return rc;
	}
	return 0;
}

int
nrs_journal_scan(struct nrs_journal *j, uint64_t from,
    int (*each)(void *arg, const struct nrs_jframe *f), void *arg, struct nrs_detail *d)
{
	uint32_t seg = from == 0 ? 1 : (uint32_t)(from >> 32), last = j->end_seg, end;
	uint32_t last_end = j->end_off;
	struct nrs_jimage im;
	uint64_t batch = 0;
	int rc;

	if (seg == 0)
		return nrs_fail(d, NRS_ERANGE, from, "not a position in the journal");
	for (; seg <= last; seg++) {
		end = last_end;
		if (seg != last && (rc = segment_end(j, seg, &end, d)) != 0)
			return rc;
		if ((rc = nrs_jimage_load(j->env, &j->origin, seg, false, &im, d)) != 0)
			return rc;
		rc = scan_segment(j, &im, end, from, &batch, each, arg, d);
		nrs_jimage_fini(j->env, &im);
		if (rc != 0)
			return rc;
	}
	return 0;
}
