/*
 * COMMUNITIES, STATEMENTS, HAVE, ACK: lists of what each side knows and holds.
 * A list is checked as a whole before any of it is used.
 */
#include "wire/wire.h"

#include <string.h>

#define COMMUNITY_LEN	  (NRS_HASH_LEN + 4 + NRS_HASH_LEN)
#define HAVE_AUDIENCE_LEN (NRS_HASH_LEN + 4 + 8)
#define ACK_AUDIENCE_LEN  (NRS_HASH_LEN + 8)

/* n elements of exactly size bytes follow: the list over them. */
static void
list_fixed(struct nrs_rd *r, size_t size, struct wire_list *ret)
{
	struct nrs_str s;

	memset(ret, 0, sizeof(*ret));
	ret->n = nrs_rd_u32(r);
	if (r->err == 0 && ret->n > NRS_FRAME_MAX / size)
		r->err = NRS_ELIMIT;
	s = nrs_rd_bytes(r, ret->n * size);
	if (r->err != 0)
		ret->n = 0;
	nrs_rd_init(&ret->rd, s.p, s.len);
}

static bool
list_take(struct wire_list *l)
{
	if (l->n == 0)
		return false;
	l->n--;
	return true;
}

void
wire_community_encode(struct nrs_buf *b, const struct wire_community *m)
{
	nrs_buf_hash(b, &m->id);
	nrs_buf_u32(b, m->epoch);
	nrs_buf_hash(b, &m->hash);
}

int
wire_communities_decode(struct wire_list *ret, const void *p, size_t len)
{
	struct nrs_rd r;

	nrs_rd_init(&r, p, len);
	list_fixed(&r, COMMUNITY_LEN, ret);
	return nrs_rd_end(&r);
}

bool
wire_communities_next(struct wire_list *l, struct wire_community *ret)
{
	if (!list_take(l))
		return false;
	nrs_rd_hash(&l->rd, &ret->id);
	ret->epoch = nrs_rd_u32(&l->rd);
	nrs_rd_hash(&l->rd, &ret->hash);
	return true;
}

void
wire_statement_encode(struct nrs_buf *b, const void *note, size_t len)
{
	nrs_buf_u32(b, (uint32_t)len);
	nrs_buf_put(b, note, len);
}

int
wire_statements_decode(struct wire_list *ret, const void *p, size_t len)
{
	struct nrs_rd r;
	uint32_t size;

	memset(ret, 0, sizeof(*ret));
	nrs_rd_init(&r, p, len);
	ret->n = nrs_rd_u32(&r);
	ret->rd = r;
	for (uint32_t i = 0; i < ret->n && r.err == 0; i++) {
		size = nrs_rd_u32(&r);
		if (r.err == 0 && size == 0)
			r.err = NRS_ERANGE;
		if (r.err == 0 && size > NRS_NOTE_MAX)
			r.err = NRS_ELIMIT;
		nrs_rd_skip(&r, size);
	}
	return nrs_rd_end(&r);
}

bool
wire_statements_next(struct wire_list *l, struct nrs_str *ret_note)
{
	if (!list_take(l))
		return false;
	*ret_note = nrs_rd_bytes(&l->rd, nrs_rd_u32(&l->rd));
	return true;
}

void
wire_have_encode(
    struct nrs_buf *b, const struct nrs_hash *origin, uint64_t size, uint32_t m)
{
	nrs_buf_hash(b, origin);
	nrs_buf_u64(b, size);
	nrs_buf_u32(b, m);
}

void
wire_have_audience_encode(struct nrs_buf *b, const struct wire_have_audience *m)
{
	nrs_buf_hash(b, &m->id);
	nrs_buf_u8(b, m->type);
	nrs_buf_zero(b, 3);
	nrs_buf_u64(b, m->next);
}

static void
have_audience_read(struct nrs_rd *r, struct wire_have_audience *ret)
{
	nrs_rd_hash(r, &ret->id);
	ret->type = nrs_rd_u8(r);
	nrs_rd_zero(r, 3);
	ret->next = nrs_rd_u64(r);
	if (r->err == 0 && (ret->type > 1 || ret->next > INT64_MAX))
		r->err = NRS_ERANGE;
}

static void
have_read(struct nrs_rd *r, struct wire_have *ret)
{
	nrs_rd_hash(r, &ret->origin);
	ret->size = nrs_rd_u64(r);
	if (r->err == 0 && ret->size > INT64_MAX)
		r->err = NRS_ERANGE;
	list_fixed(r, HAVE_AUDIENCE_LEN, &ret->audiences);
}

int
wire_have_decode(struct wire_list *ret, const void *p, size_t len)
{
	struct wire_have_audience a;
	struct wire_have h;
	struct nrs_rd r;

	memset(ret, 0, sizeof(*ret));
	nrs_rd_init(&r, p, len);
	ret->n = nrs_rd_u32(&r);
	ret->rd = r;
	for (uint32_t i = 0; i < ret->n && r.err == 0; i++) {
		have_read(&r, &h);
		while (r.err == 0 && h.audiences.n > 0) {
			h.audiences.n--;
			have_audience_read(&h.audiences.rd, &a);
			r.err = h.audiences.rd.err;
		}
	}
	return nrs_rd_end(&r);
}

bool
wire_have_next(struct wire_list *l, struct wire_have *ret)
{
	if (!list_take(l))
		return false;
	have_read(&l->rd, ret);
	return true;
}

bool
wire_have_audience_next(struct wire_list *l, struct wire_have_audience *ret)
{
	if (!list_take(l))
		return false;
	have_audience_read(&l->rd, ret);
	return true;
}

void
wire_ack_encode(struct nrs_buf *b, const struct nrs_hash *origin, uint64_t size, uint32_t m)
{
	wire_have_encode(b, origin, size, m);
}

void
wire_ack_audience_encode(struct nrs_buf *b, const struct wire_ack_audience *m)
{
	nrs_buf_hash(b, &m->id);
	nrs_buf_u64(b, m->next);
}

int
wire_ack_decode(struct wire_ack *ret, const void *p, size_t len)
{
	struct wire_ack_audience a;
	struct wire_list l;
	struct nrs_rd r;

	nrs_rd_init(&r, p, len);
	nrs_rd_hash(&r, &ret->origin);
	ret->size = nrs_rd_u64(&r);
	list_fixed(&r, ACK_AUDIENCE_LEN, &ret->audiences);
	if (nrs_rd_end(&r) != 0)
		return r.err;
	if (ret->size > INT64_MAX)
		return NRS_ERANGE;
	l = ret->audiences;
	while (wire_ack_audience_next(&l, &a)) {
		if (a.next > INT64_MAX)
			return NRS_ERANGE;
	}
	return 0;
}

bool
wire_ack_audience_next(struct wire_list *l, struct wire_ack_audience *ret)
{
	if (!list_take(l))
		return false;
	nrs_rd_hash(&l->rd, &ret->id);
	ret->next = nrs_rd_u64(&l->rd);
	return true;
}
