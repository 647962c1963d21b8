/*
 * RECORD and DATA.  A record is padded to a multiple of 256 bytes, so that its
 * length on the wire says little about its content.
 */
#include "wire/wire.h"

#include <string.h>

#define FIXED_LEN (8 + 4 + 1 + 3 + 4 + NRS_HEADER_LEN + NRS_SALT_LEN)

/* What it may take to carry a payload that does not compress. */
#define DATA_MAX (NRS_PAYLOAD_MAX + (NRS_PAYLOAD_MAX >> 7) + 1024)

size_t
wire_record_len(size_t sigs_len, size_t data_len)
{
	size_t n = FIXED_LEN + sigs_len + data_len;

	return (n + WIRE_RECORD_PAD - 1) / WIRE_RECORD_PAD * WIRE_RECORD_PAD;
}

void
wire_record_encode(struct nrs_buf *b, const struct wire_record *m)
{
	size_t n = FIXED_LEN + m->sigs.len + m->data.len;

	nrs_buf_u64(b, m->index);
	nrs_buf_u32(b, (uint32_t)m->sigs.len);
	nrs_buf_u8(b, m->flags);
	nrs_buf_zero(b, 3);
	nrs_buf_u32(b, (uint32_t)m->data.len);
	nrs_buf_put(b, m->header, NRS_HEADER_LEN);
	nrs_buf_put(b, m->sigs.p, m->sigs.len);
	nrs_buf_put(b, m->salt, NRS_SALT_LEN);
	nrs_buf_put(b, m->data.p, m->data.len);
	nrs_buf_zero(b, wire_record_len(m->sigs.len, m->data.len) - n);
}

int
wire_record_decode(struct wire_record *ret, const void *p, size_t len)
{
	uint32_t sigs_len, data_len;
	struct nrs_rd r;

	memset(ret, 0, sizeof(*ret));
	nrs_rd_init(&r, p, len);
	ret->index = nrs_rd_u64(&r);
	sigs_len = nrs_rd_u32(&r);
	ret->flags = nrs_rd_u8(&r);
	nrs_rd_zero(&r, 3);
	data_len = nrs_rd_u32(&r);
	if (r.err != 0)
		return r.err;
	if (sigs_len > NRS_SIGBLOCK_MAX || data_len > DATA_MAX)
		return NRS_ELIMIT;
	if (ret->flags > WIRE_RECORD_HEADER) /* raw and header only: nothing is raw */
		return NRS_ERESERVED;
	if (ret->flags == WIRE_RECORD_HEADER && data_len != 0)
		return NRS_ERANGE;
	if (ret->index > INT64_MAX)
		return NRS_ERANGE;
	ret->header = nrs_rd_bytes(&r, NRS_HEADER_LEN).p;
	ret->sigs = nrs_rd_bytes(&r, sigs_len);
	ret->salt = r.p;
	if (ret->flags == WIRE_RECORD_HEADER)
		nrs_rd_zero(&r, NRS_SALT_LEN);
	else
		ret->salt = nrs_rd_bytes(&r, NRS_SALT_LEN).p;
	ret->data = nrs_rd_bytes(&r, data_len);
	if (r.err != 0)
		return r.err;
	if (len > wire_record_len(sigs_len, data_len))
		return NRS_ETRAILING;
	nrs_rd_zero(&r, wire_record_len(sigs_len, data_len) - nrs_rd_off(&r));
	return nrs_rd_end(&r);
}

void
wire_record_frames(struct nrs_buf *b, uint16_t stream, const uint8_t *p, size_t len)
{
	uint8_t type = WIRE_RECORD;
	size_t at, n;

	do {
		n = len < NRS_FRAME_MAX ? len : NRS_FRAME_MAX;
		wire_begin(b, type, len > n ? WIRE_MORE : 0, stream, &at);
		nrs_buf_put(b, p, n);
		wire_end(b, at);
		p += n;
		len -= n;
		type = WIRE_DATA;
	} while (len > 0);
}
