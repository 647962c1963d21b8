/*
 * Frames: finding them in a stream of bytes that comes in any portions.  One
 * that is too long is skipped without being read, so it costs itself only.
 */
#include "wire/wire.h"

#include <stdlib.h>
#include <string.h>

static void
give_frame(struct wire_reader *r, const uint8_t *body, struct wire_frame *ret)
{
	ret->len = nrs_get_u32(r->header);
	ret->type = r->header[4];
	ret->flags = r->header[5];
	ret->stream = nrs_get_u16(r->header + 6);
	ret->body = body;
	r->header_len = 0;
	r->body_len = 0;
}

static bool
take_header(struct wire_reader *r, const uint8_t **p, size_t *len)
{
	size_t n = WIRE_HEADER_LEN - r->header_len;

	if (n > *len)
		n = *len;
	if (n > 0)
		memcpy(r->header + r->header_len, *p, n);
	r->header_len += n;
	*p += n;
	*len -= n;
	return r->header_len == WIRE_HEADER_LEN;
}

static void
take_skipped(struct wire_reader *r, const uint8_t **p, size_t *len)
{
	size_t n = *len < r->skip ? *len : (size_t)r->skip;

	r->skip -= n;
	*p += n;
	*len -= n;
}

/* A body that comes in parts is collected; memory for exactly its length. */
static int
take_body(struct wire_reader *r, uint32_t want, const uint8_t **p, size_t *len)
{
	size_t n = want - r->body_len;

	if (r->body == NULL) {
		r->body = malloc(want);
		if (r->body == NULL)
			return NRS_ENOMEM;
	}
	if (n > *len)
		n = *len;
	memcpy(r->body + r->body_len, *p, n);
	r->body_len += n;
	*p += n;
	*len -= n;
	return r->body_len == want;
}

int
wire_reader_next(
    struct wire_reader *r, const uint8_t **p, size_t *len, struct wire_frame *ret)
{
	static const uint8_t empty[1];
	uint32_t want;
	int rc;

	if (r->header_len == 0) {
		/* The frame given last is done with. */
		free(r->body);
		r->body = NULL;
	}
	take_skipped(r, p, len);
	if (*len == 0 && r->header_len < WIRE_HEADER_LEN)
		return 0;
	if (!take_header(r, p, len))
		return 0;
	want = nrs_get_u32(r->header);
	if (want > NRS_FRAME_MAX) {
		r->skip = want;
		give_frame(r, NULL, ret);
		return 1;
	}
	if (want == 0) {
		give_frame(r, empty, ret);
		return 1;
	}
	if (r->body == NULL && *len >= want) {
		give_frame(r, *p, ret);
		*p += want;
		*len -= want;
		return 1;
	}
	if (*len == 0)
		return 0;
	rc = take_body(r, want, p, len);
	if (rc == 1)
		give_frame(r, r->body, ret);
	return rc;
}

void
wire_reader_fini(struct wire_reader *r)
{
	free(r->body);
	memset(r, 0, sizeof(*r));
}

/* What a type is called, and whether it belongs to a stream. */
static const struct {
	const char *name;
	bool stream;
	uint8_t flags;
} types[WIRE__MAX] = {
	[WIRE_HELLO] = { "HELLO", false, 0 },
	[WIRE_BYE] = { "BYE", false, 0 },
	[WIRE_MANIFESTS] = { "MANIFESTS", false, 0 },
	[WIRE_STATEMENTS] = { "STATEMENTS", false, 0 },
	[WIRE_COMMUNITIES] = { "COMMUNITIES", false, 0 },
	[WIRE_HAVE] = { "HAVE", false, 0 },
	[WIRE_FETCH_LEAVES] = { "FETCH_LEAVES", true, 0 },
	[WIRE_FETCH_RECORDS] = { "FETCH_RECORDS", true, 0 },
	[WIRE_CREDIT] = { "CREDIT", true, 0 },
	[WIRE_CANCEL] = { "CANCEL", true, 0 },
	[WIRE_LEAVES] = { "LEAVES", true, 0 },
	[WIRE_RECORD] = { "RECORD", true, WIRE_MORE },
	[WIRE_DATA] = { "DATA", true, WIRE_MORE },
	[WIRE_ACK] = { "ACK", false, 0 },
	[WIRE_REFUSE] = { "REFUSE", false, 0 },
	[WIRE_PING] = { "PING", false, 0 },
	[WIRE_PONG] = { "PONG", false, 0 },
};

int
wire_frame_check(const struct wire_frame *f)
{
	if (f->len > NRS_FRAME_MAX || f->body == NULL)
		return NRS_ELIMIT;
	if (f->type >= WIRE__MAX || types[f->type].name == NULL)
		return NRS_ETYPE;
	if (f->flags & ~types[f->type].flags)
		return NRS_ERESERVED;
	if (types[f->type].stream != (f->stream != 0))
		return NRS_ERANGE;
	if (f->flags & WIRE_MORE && f->len != NRS_FRAME_MAX)
		return NRS_ERANGE;
	return 0;
}

const char *
wire_type_name(uint8_t type)
{
	if (type >= WIRE__MAX || types[type].name == NULL)
		return "unknown";
	return types[type].name;
}

void
wire_begin(struct nrs_buf *b, uint8_t type, uint8_t flags, uint16_t stream, size_t *ret_at)
{
	*ret_at = b->len;
	nrs_buf_u32(b, 0);
	nrs_buf_u8(b, type);
	nrs_buf_u8(b, flags);
	nrs_buf_u16(b, stream);
}

void
wire_end(struct nrs_buf *b, size_t at)
{
	size_t len;

	if (b->err != 0)
		return;
	len = b->len - at - WIRE_HEADER_LEN;
	if (len > NRS_FRAME_MAX) {
		b->err = NRS_ELIMIT;
		return;
	}
	nrs_put_u32(b->p + at, (uint32_t)len);
}
