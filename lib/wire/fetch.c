/* FETCH_LEAVES, FETCH_RECORDS and CREDIT (PROTOCOL.md, sections 3 to 5). */
#include "wire/wire.h"

#include <string.h>

void
wire_fetch_encode(struct nrs_buf *b, const struct wire_fetch *m, bool records)
{
	nrs_buf_hash(b, &m->origin);
	if (records)
		nrs_buf_hash(b, &m->audience);
	nrs_buf_u64(b, m->from);
	nrs_buf_u32(b, m->credit);
}

int
wire_fetch_decode(struct wire_fetch *ret, bool records, const void *p, size_t len)
{
	struct nrs_rd r;

	memset(ret, 0, sizeof(*ret));
	nrs_rd_init(&r, p, len);
	nrs_rd_hash(&r, &ret->origin);
	if (records)
		nrs_rd_hash(&r, &ret->audience);
	ret->from = nrs_rd_u64(&r);
	ret->credit = nrs_rd_u32(&r);
	if (nrs_rd_end(&r) != 0)
		return r.err;
	return ret->from > INT64_MAX ? NRS_ERANGE : 0;
}

void
wire_credit_encode(struct nrs_buf *b, uint32_t bytes)
{
	nrs_buf_u32(b, bytes);
}

int
wire_credit_decode(uint32_t *ret_bytes, const void *p, size_t len)
{
	struct nrs_rd r;

	nrs_rd_init(&r, p, len);
	*ret_bytes = nrs_rd_u32(&r);
	return nrs_rd_end(&r);
}
