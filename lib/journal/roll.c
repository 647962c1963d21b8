/*
 * The beginning of a segment: its number, salt and seed, its STATE batch, and
 * the order in which all of it reaches the medium.  Whether a new segment is
 * due is decided in batch.c.
 */
#include <stdlib.h>
#include <string.h>

#include <noroshi/plant.h>

#include "crypto/aead.h"
#include "journal/internal.h"

_Static_assert(JWRAPPED == NRS_WRAPPED_SEED, "wrapped seeds have one size");

struct nrs_jroll *
nrs_jroll_new(struct nrs_env *env, const struct nrs_hash *origin, uint32_t seg,
    uint32_t prev_end, uint64_t batch)
{
	uint8_t salt[JSEG_SALT], head[JSEG_HEADER];
	struct nrs_jroll *r;

	if ((r = calloc(1, sizeof(*r))) == NULL)
		return NULL;
	r->seg = seg;
	r->prev = seg - 1;
	r->prev_end = prev_end;
	r->batch = batch;
	env->ops->random(env, salt, sizeof(salt));
	env->ops->random(env, r->seed_in, JSEED);
	nrs_put_u64(r->seed_in + JSEED, seg);
	r->salt_crc = nrs_jsalt_crc(salt);
	nrs_jseg_path(r->seg_path, seg, "nrj");
	nrs_jseg_path(r->key_path, seg, "key");
	nrs_buf_init(&r->buf,
	    JSEG_HEADER + 2 * JFRAME_HEAD + JPAD((size_t)NRS_JFRAME_MAX) + JCOMMIT_BODY);
	nrs_jseg_encode(head, seg, salt, origin);
	nrs_buf_put(&r->buf, head, sizeof(head));
	if (r->buf.err != 0) {
		nrs_jroll_free(env, r);
		return NULL;
	}
	return r;
}

void
nrs_jroll_free(struct nrs_env *env, struct nrs_jroll *r)
{
	if (r == NULL)
		return;
	if (r->file != 0)
		env->ops->file_close(env, r->file);
	if (r->key_file != 0)
		env->ops->file_close(env, r->key_file);
	nrs_wipe(r->seed_in, sizeof(r->seed_in));
	nrs_buf_fini(&r->buf);
	free(r);
}

int
nrs_jroll_state(struct nrs_jroll *r, uint64_t next_event,
    int (*encode)(void *arg, struct nrs_buf *b), void *arg)
{
	struct nrs_buf *b = &r->buf;
	size_t len;
	int rc;

	nrs_buf_zero(b, JFRAME_HEAD);
	nrs_buf_u32(b, r->prev);
	nrs_buf_u32(b, r->prev_end);
	nrs_buf_u64(b, next_event);
	if (encode == NULL)
		nrs_buf_zero(b, 8);
	else if ((rc = encode(arg, b)) != 0)
		return rc;
	if (b->err != 0)
		return b->err;
	len = b->len - JSEG_HEADER - JFRAME_HEAD;
	if (len > NRS_JFRAME_MAX)
		return NRS_ELIMIT;
	nrs_buf_zero(b, JPAD(len) - len);
	if (b->err != 0)
		return b->err;
	nrs_jframe_seal(
	    b->p + JSEG_HEADER, r->salt_crc, NRS_J_STATE, 0, (uint32_t)len, r->batch);
	return nrs_jcommit_put(b, JSEG_HEADER, 0, r->salt_crc, r->batch, 1);
}

void
nrs_jroll_sign(struct nrs_jroll *r, struct nrs_sign *s)
{
	memset(s, 0, sizeof(*s));
	s->what = NRS_KEK_WRAP;
	s->in = r->seed_in;
	s->in_len = sizeof(r->seed_in);
	s->out = r->wrapped;
	s->out_len = sizeof(r->wrapped);
}

static struct nrs_io_step *
step(struct nrs_io_step *steps, unsigned int *n, enum nrs_io_op op, nrs_file file)
{
	struct nrs_io_step *s = &steps[(*n)++];

	memset(s, 0, sizeof(*s));
	s->op = op;
	s->file = file;
	return s;
}

/*
 * Key file, then segment, then names.  A crash between any two steps leaves a
 * segment that recovery knows as never used.  The old segment gives its
 * reserve back last: until then its tail still says where it ended.
 */
int
nrs_jroll_steps(struct nrs_env *env, struct nrs_jroll *r, uint64_t segment_bytes,
    nrs_file old, struct nrs_io_step *steps, unsigned int *ret_n)
{
	const unsigned int flags = NRS_OPEN_WRITE | NRS_OPEN_MAYBE;
	struct nrs_io_step *s;
	unsigned int n = 0;
	int rc;

	if (r->key_file == 0 &&
	    (rc = env->ops->file_open(env, r->key_path, flags, &r->key_file)) != 0)
		return rc;
	if (r->file == 0 &&
	    (rc = env->ops->file_open(env, r->seg_path, flags, &r->file)) != 0)
		return rc;
	nrs_jkey_encode(r->key, r->seg, r->wrapped);
	s = step(steps, &n, NRS_IO_PWRITE, r->key_file);
	s->data = r->key;
	s->len = sizeof(r->key);
	step(steps, &n, NRS_IO_SYNC, r->key_file);
	s = step(steps, &n, NRS_IO_PREALLOC, r->file);
	s->off = segment_bytes > r->buf.len ? segment_bytes : r->buf.len;
	s = step(steps, &n, NRS_IO_PWRITE, r->file);
	s->data = r->buf.p;
	s->len = r->buf.len;
	if (!NRS_PLANTED(SKIP_STATE_SYNC))
		step(steps, &n, NRS_IO_SYNC, r->file);
	if (!NRS_PLANTED(SKIP_DIRSYNC)) {
		s = step(steps, &n, NRS_IO_SYNCDIR, 0);
		s->path = JDIR;
	}
	if (old != 0) {
		s = step(steps, &n, NRS_IO_TRUNCATE, old);
		s->off = r->prev_end;
	}
	*ret_n = n;
	return 0;
}
