/*
 * A whole segment in memory, and which of its batches are valid.  Reading it
 * all at once costs one segment of memory during a start or a scan and makes
 * the questions of recovery (what stands behind a damage?) plain loops.
 */
#include <stdlib.h>
#include <string.h>

#include <noroshi/plant.h>

#include "base/crc32c.h"
#include "journal/internal.h"

/* A full segment, a batch that began just below its end, and STATE. */
#define IMAGE_MAX ((uint64_t)JSEG_BYTES_MAX + JBATCH_MAX + NRS_JFRAME_MAX)

int
nrs_jfail(struct nrs_detail *d, int code, uint32_t seg, const char *ext, uint64_t off,
    const char *why)
{
	char path[JPATH];

	if (d != NULL && d->code == 0) {
		nrs_jseg_path(path, seg, ext);
		memcpy(d->path, path, sizeof(path));
	}
	return nrs_fail(d, code, off, "%s", why);
}

static int
image_fill(struct nrs_env *env, struct nrs_jimage *im, bool tail)
{
	struct nrs_io_step steps[2] = {
		{ .op = NRS_IO_SYNC, .file = im->file },
		{ .op = NRS_IO_REREAD, .file = im->file, .data = im->p, .len = im->len },
	};
	struct nrs_io io = { .steps = steps, .nsteps = im->len > 0 ? 2 : 1 };
	size_t got;
	int rc;

	if (tail)
		return env->ops->io_run(env, &io);
	if ((rc = env->ops->file_pread(env, im->file, 0, im->p, im->len, &got)) != 0)
		return rc;
	im->len = got;
	return 0;
}

int
nrs_jimage_load(struct nrs_env *env, const struct nrs_hash *origin, uint32_t seg, bool tail,
    struct nrs_jimage *ret, struct nrs_detail *d)
{
	char path[JPATH];
	uint64_t size = 0;
	int rc;

	memset(ret, 0, sizeof(*ret));
	ret->seg = seg;
	nrs_jseg_path(path, seg, "nrj");
	if ((rc = env->ops->file_open(env, path, tail ? NRS_OPEN_WRITE : 0, &ret->file)) !=
	    0)
		return nrs_jfail(d, rc, seg, "nrj", 0, "cannot open the segment");
	if ((rc = env->ops->file_size(env, ret->file, &size)) != 0) {
		nrs_jfail(d, rc, seg, "nrj", 0, "cannot read the segment");
		goto fail;
	}
	if (size > IMAGE_MAX) {
		rc = nrs_jfail(
		    d, NRS_ECORRUPT, seg, "nrj", IMAGE_MAX, "longer than a segment can be");
		goto fail;
	}
	ret->len = (size_t)size;
	if ((ret->p = malloc(ret->len > 0 ? ret->len : 1)) == NULL) {
		rc = NRS_ENOMEM;
		goto fail;
	}
	if ((rc = image_fill(env, ret, tail)) != 0) {
		nrs_jfail(d, rc, seg, "nrj", 0, "cannot read the segment");
		goto fail;
	}
	ret->header_rc =
	    nrs_jseg_decode(ret->p, ret->len, seg, origin, &ret->salt_crc, &ret->why);
	ret->off = ret->start = JSEG_HEADER;
	return 0;
fail:
	nrs_jimage_fini(env, ret);
	return rc;
}

void
nrs_jimage_fini(struct nrs_env *env, struct nrs_jimage *im)
{
	if (im->file != 0)
		env->ops->file_close(env, im->file);
	free(im->p);
	memset(im, 0, sizeof(*im));
}

bool
nrs_jcommit_ok(const uint8_t *p, size_t start, size_t at, uint32_t frames)
{
	const uint8_t *b = p + at + JFRAME_HEAD;

	return nrs_get_u32(b) == frames && nrs_get_u64(b + 8) == start &&
	    nrs_get_u32(b + 4) == nrs_crc32c(0, p + start, at - start);
}

static int
image_stop(struct nrs_jimage *im, size_t at, uint32_t frames, const char *why)
{
	im->bad = at;
	im->why = why;
	if (NRS_PLANTED(TORN_COMMIT) && frames > 0 && im->batch != 0) {
		im->start = im->off;
		im->off = at;
		im->batch++;
		return 1;
	}
	return 0;
}

/*
 * STATE alone in the first batch, and nowhere else.  The number of the first
 * batch is what its frame says; all others follow it.
 */
int
nrs_jimage_next(struct nrs_jimage *im)
{
	size_t at = im->off;
	uint32_t frames = 0;
	uint64_t batch = im->batch + 1;
	struct nrs_jhead h;
	int rc;

	for (;;) {
		if (at > im->len ||
		    (rc = nrs_jframe_check(&h, im->p + at, im->len - at, im->salt_crc)) ==
			NRS_ECORRUPT)
			return image_stop(im, at, frames, "damaged frame");
		if (im->batch == 0 && frames == 0)
			batch = h.batch;
		if (h.batch != batch)
			return image_stop(im, at, frames, "frame of another batch");
		if (rc == NRS_EVERSION) {
			im->bad = at;
			im->why = "frame of a newer version";
			return rc;
		}
		if (h.type == NRS_J_COMMIT)
			break;
		if ((h.type == NRS_J_STATE) != (at == JSEG_HEADER) ||
		    (im->batch == 0 && frames > 0))
			return image_stop(im, at, frames, "STATE in a wrong place");
		frames++;
		at += JFRAME_HEAD + JPAD(h.len);
	}
	if (h.len != JCOMMIT_BODY || frames == 0 ||
	    !nrs_jcommit_ok(im->p, im->off, at, frames))
		return image_stop(im, at, 0, "COMMIT does not fit its batch");
	im->start = im->off;
	im->off = at + JFRAME_HEAD + JCOMMIT_BODY;
	im->bad = im->off;
	im->batch = batch;
	return 1;
}

int
nrs_jimage_each(const struct nrs_jimage *im, uint64_t from,
    int (*each)(void *arg, const struct nrs_jframe *f), void *arg)
{
	size_t at, len;
	struct nrs_jframe f;
	const uint8_t *p;
	int rc;

	for (at = im->start; at < im->off; at += JFRAME_HEAD + JPAD(len)) {
		p = im->p + at;
		len = nrs_get_u32(p + 4);
		if (p[0] == NRS_J_COMMIT || p[0] == NRS_J_STATE ||
		    NRS_POS(im->seg, at) < from)
			continue;
		f.type = p[0];
		f.flags = p[1];
		f.batch = nrs_get_u64(p + 8);
		f.pos = NRS_POS(im->seg, at);
		f.body.p = p + JFRAME_HEAD;
		f.body.len = len;
		if ((rc = each(arg, &f)) != 0)
			return rc;
	}
	return 0;
}

bool
nrs_jimage_later(const struct nrs_jimage *im, size_t off, uint64_t min)
{
	struct nrs_jhead h;
	const uint8_t *p;

	for (off = JPAD(off); im->len >= JFRAME_HEAD && off <= im->len - JFRAME_HEAD;
	     off += 8) {
		p = im->p + off;
		/* Cheap tests first: nearly every place fails them. */
		if (p[0] == 0 || p[2] != 0 || p[3] != 0 || nrs_get_u64(p + 8) <= min)
			continue;
		if (nrs_jhead_decode(&h, p, im->salt_crc) != NRS_ECORRUPT)
			return true;
	}
	return false;
}

/*
 * Without the salt no checksum can be compared, but a COMMIT has 20 bytes that
 * are known.  The COMMIT of STATE names the first frame's place and is not meant.
 */
bool
nrs_jimage_looks_used(const struct nrs_jimage *im)
{
	static const uint8_t commit[8] = { NRS_J_COMMIT, 0, 0, 0, 0, 0, 0, JCOMMIT_BODY };
	const uint8_t *p;
	uint64_t first;
	size_t off;

	for (off = JSEG_HEADER; off + JFRAME_HEAD + JCOMMIT_BODY <= im->len; off += 8) {
		p = im->p + off;
		if (memcmp(p, commit, sizeof(commit)) != 0)
			continue;
		first = nrs_get_u64(p + JFRAME_HEAD + 8);
		if (first > JSEG_HEADER && first < off && first % 8 == 0)
			return true;
	}
	return false;
}

bool
nrs_jimage_zero(const struct nrs_jimage *im, size_t off)
{
	if (off >= im->len)
		return true;
	return im->p[off] == 0 &&
	    memcmp(im->p + off, im->p + off + 1, im->len - off - 1) == 0;
}

int
nrs_jimage_state(const struct nrs_jimage *im, uint32_t *ret_prev, uint32_t *ret_end,
    uint64_t *ret_event, struct nrs_rd *ret)
{
	const uint8_t *p = im->p + im->start;

	nrs_rd_init(ret, p + JFRAME_HEAD, nrs_get_u32(p + 4));
	*ret_prev = nrs_rd_u32(ret);
	*ret_end = nrs_rd_u32(ret);
	*ret_event = nrs_rd_u64(ret);
	return ret->err != 0 ? NRS_ECORRUPT : 0;
}
