/* LEAVES: a run of log entries with a checkpoint and the proof that leads to it. */
#include "wire/wire.h"

#include <string.h>

enum { ENTRY_SEALED = 0, ENTRY_CONTROL = 1 };

void
wire_leaves_encode(struct nrs_buf *b, const struct wire_leaves *m)
{
	nrs_buf_hash(b, &m->origin);
	nrs_buf_u64(b, m->first);
	nrs_buf_u32(b, m->count);
	nrs_buf_lstr(b, m->checkpoint.p, m->checkpoint.len);
	nrs_buf_u16(b, (uint16_t)m->proof.n);
	for (unsigned int i = 0; i < m->proof.n; i++)
		nrs_buf_hash(b, &m->proof.h[i]);
}

void
wire_entry_encode(struct nrs_buf *b, const struct wire_entry *e)
{
	nrs_buf_u8(b, e->control ? ENTRY_CONTROL : ENTRY_SEALED);
	if (e->control)
		nrs_buf_lstr(b, e->doc.p, e->doc.len);
	else
		nrs_buf_hash(b, &e->c);
}

static void
entry_read(struct nrs_rd *r, struct wire_entry *ret)
{
	uint8_t class = nrs_rd_u8(r);

	memset(ret, 0, sizeof(*ret));
	if (r->err == 0 && class > ENTRY_CONTROL)
		r->err = NRS_ETYPE;
	ret->control = class == ENTRY_CONTROL;
	if (ret->control)
		ret->doc = nrs_rd_lstr(r, NRS_CONTROL_MAX);
	else
		nrs_rd_hash(r, &ret->c);
}

int
wire_leaves_decode(struct wire_leaves *ret, const void *p, size_t len)
{
	struct wire_entry e;
	struct nrs_rd r;

	memset(ret, 0, sizeof(*ret));
	nrs_rd_init(&r, p, len);
	nrs_rd_hash(&r, &ret->origin);
	ret->first = nrs_rd_u64(&r);
	ret->count = nrs_rd_u32(&r);
	ret->checkpoint = nrs_rd_lstr(&r, NRS_NOTE_MAX);
	ret->proof.n = nrs_rd_u16(&r);
	if (r.err == 0 &&
	    (ret->count > NRS_LEAVES_PER_FRAME || ret->proof.n > NRS_PROOF_MAX))
		return NRS_ELIMIT;
	if (r.err == 0 && ret->first > INT64_MAX)
		return NRS_ERANGE;
	for (unsigned int i = 0; i < ret->proof.n && r.err == 0; i++)
		nrs_rd_hash(&r, &ret->proof.h[i]);
	ret->entries.n = ret->count;
	ret->entries.rd = r;
	for (uint32_t i = 0; i < ret->count && r.err == 0; i++)
		entry_read(&r, &e);
	return nrs_rd_end(&r);
}

bool
wire_leaves_next(struct wire_list *l, struct wire_entry *ret)
{
	if (l->n == 0)
		return false;
	l->n--;
	entry_read(&l->rd, ret);
	return true;
}
