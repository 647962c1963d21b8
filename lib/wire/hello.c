/* HELLO, BYE, REFUSE, PING: what concerns the session itself (PROTOCOL.md, section 1). */
#include "wire/wire.h"

#include <string.h>

#include "base/text.h"

/* Text for people: at most WIRE_TEXT_MAX bytes, cut between characters. */
static void
text_encode(struct nrs_buf *b, const char *s)
{
	size_t len = strnlen(s, WIRE_TEXT_MAX + 1), bad;

	if (len > WIRE_TEXT_MAX)
		len = WIRE_TEXT_MAX;
	if (!nrs_utf8_ok((const uint8_t *)s, len, &bad))
		len = bad;
	nrs_buf_lstr(b, s, len);
}

static void
text_decode(struct nrs_rd *r, char *ret)
{
	struct nrs_str s = nrs_rd_lstr(r, WIRE_TEXT_MAX);

	ret[0] = '\0';
	if (r->err != 0)
		return;
	if (!nrs_utf8_ok(s.p, s.len, NULL) || memchr(s.p, '\0', s.len) != NULL) {
		r->err = NRS_EUTF8;
		return;
	}
	memcpy(ret, s.p, s.len);
	ret[s.len] = '\0';
}

void
wire_hello_encode(struct nrs_buf *b, const struct wire_hello *m)
{
	nrs_buf_u16(b, m->version);
	nrs_buf_u16(b, 0);
	nrs_buf_lstr(b, m->origin, strlen(m->origin));
	nrs_buf_u64(b, m->clock.ms);
	nrs_buf_u64(b, m->manifest);
	nrs_buf_hash(b, &m->manifest_hash);
	nrs_buf_u32(b, m->capabilities);
}

int
wire_hello_decode(struct wire_hello *ret, const void *p, size_t len)
{
	struct nrs_str origin;
	struct nrs_rd r;

	memset(ret, 0, sizeof(*ret));
	nrs_rd_init(&r, p, len);
	ret->version = nrs_rd_u16(&r);
	if (r.err == 0 && ret->version != WIRE_VERSION)
		return NRS_EVERSION;
	nrs_rd_zero(&r, 2);
	origin = nrs_rd_lstr(&r, NRS_ORIGIN_MAX);
	ret->clock.ms = nrs_rd_u64(&r);
	ret->manifest = nrs_rd_u64(&r);
	nrs_rd_hash(&r, &ret->manifest_hash);
	ret->capabilities = nrs_rd_u32(&r);
	if (nrs_rd_end(&r) != 0)
		return r.err;
	if (ret->capabilities != 0)
		return NRS_ERESERVED;
	if (!nrs_origin_ok((const char *)origin.p, origin.len))
		return NRS_ESYNTAX;
	memcpy(ret->origin, origin.p, origin.len);
	return 0;
}

void
wire_bye_encode(struct nrs_buf *b, const struct wire_bye *m)
{
	nrs_buf_u16(b, m->code);
	text_encode(b, m->text);
}

int
wire_bye_decode(struct wire_bye *ret, const void *p, size_t len)
{
	struct nrs_rd r;

	nrs_rd_init(&r, p, len);
	ret->code = nrs_rd_u16(&r);
	text_decode(&r, ret->text);
	return nrs_rd_end(&r);
}

void
wire_refuse_encode(struct nrs_buf *b, const struct wire_refuse *m)
{
	nrs_buf_u16(b, m->code);
	nrs_buf_u16(b, m->stream);
	nrs_buf_hash(b, &m->origin);
	nrs_buf_u64(b, m->index);
	nrs_buf_u64(b, m->seq);
	text_encode(b, m->text);
}

int
wire_refuse_decode(struct wire_refuse *ret, const void *p, size_t len)
{
	struct nrs_rd r;

	nrs_rd_init(&r, p, len);
	ret->code = nrs_rd_u16(&r);
	ret->stream = nrs_rd_u16(&r);
	nrs_rd_hash(&r, &ret->origin);
	ret->index = nrs_rd_u64(&r);
	ret->seq = nrs_rd_u64(&r);
	text_decode(&r, ret->text);
	return nrs_rd_end(&r);
}

void
wire_ping_encode(struct nrs_buf *b, uint64_t token)
{
	nrs_buf_u64(b, token);
}

int
wire_ping_decode(uint64_t *ret_token, const void *p, size_t len)
{
	struct nrs_rd r;

	nrs_rd_init(&r, p, len);
	*ret_token = nrs_rd_u64(&r);
	return nrs_rd_end(&r);
}
