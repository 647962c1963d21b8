/*
 * Growable buffers and reading cursors.  Growth doubles up to the buffer's
 * maximum, so that a hostile length costs at most what it really sent.
 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 64

void
nrs_buf_init(struct nrs_buf *b, size_t max)
{
	memset(b, 0, sizeof(*b));
	b->max = max;
}

void
nrs_buf_fini(struct nrs_buf *b)
{
	free(b->p);
	nrs_buf_init(b, b->max);
}

void
nrs_buf_wipe(struct nrs_buf *b)
{
	/* All of cap: a reset buffer still holds what it held. */
	if (b->p != NULL)
		explicit_bzero(b->p, b->cap);
	nrs_buf_fini(b);
}

void
nrs_buf_reset(struct nrs_buf *b)
{
	b->len = 0;
	b->err = 0;
}

uint8_t *
nrs_buf_take(struct nrs_buf *b, size_t *ret_len)
{
	uint8_t *p = NULL;

	*ret_len = 0;
	/* What failed half-way is never handed out as if it were whole. */
	if (b->err == 0 && b->len > 0) {
		p = b->p;
		*ret_len = b->len;
		b->p = NULL;
	}
	nrs_buf_fini(b);
	return p;
}

static int
buf_room(struct nrs_buf *b, size_t n)
{
	size_t cap;
	uint8_t *p;

	if (n > b->max || b->len > b->max - n)
		return NRS_ELIMIT;
	if (b->p != NULL && b->len + n <= b->cap)
		return 0;
	cap = b->cap > b->max / 2 ? b->max : b->cap * 2;
	if (cap < FIRST_CAP)
		cap = FIRST_CAP;
	if (cap < b->len + n)
		cap = b->len + n;
	if (cap > b->max)
		cap = b->max;
	if ((p = realloc(b->p, cap > 0 ? cap : 1)) == NULL)
		return NRS_ENOMEM;
	b->p = p;
	b->cap = cap;
	return 0;
}

uint8_t *
nrs_buf_reserve(struct nrs_buf *b, size_t n)
{
	if (b->err == 0)
		b->err = buf_room(b, n);
	return b->err == 0 ? b->p + b->len : NULL;
}

void
nrs_buf_grow(struct nrs_buf *b, size_t n)
{
	if (b->err != 0)
		return;
	if (n > b->cap - b->len)
		b->err = NRS_EINTERNAL; /* more than was reserved: our mistake */
	else
		b->len += n;
}

void
nrs_buf_u8(struct nrs_buf *b, uint8_t v)
{
	nrs_buf_put(b, &v, 1);
}

void
nrs_buf_u16(struct nrs_buf *b, uint16_t v)
{
	uint8_t *p;

	if ((p = nrs_buf_reserve(b, 2)) == NULL)
		return;
	nrs_put_u16(p, v);
	b->len += 2;
}

void
nrs_buf_u32(struct nrs_buf *b, uint32_t v)
{
	uint8_t *p;

	if ((p = nrs_buf_reserve(b, 4)) == NULL)
		return;
	nrs_put_u32(p, v);
	b->len += 4;
}

void
nrs_buf_u64(struct nrs_buf *b, uint64_t v)
{
	uint8_t *p;

	if ((p = nrs_buf_reserve(b, 8)) == NULL)
		return;
	nrs_put_u64(p, v);
	b->len += 8;
}

void
nrs_buf_put(struct nrs_buf *b, const void *src, size_t len)
{
	uint8_t *p;

	if (len == 0 || (p = nrs_buf_reserve(b, len)) == NULL)
		return;
	memcpy(p, src, len);
	b->len += len;
}

void
nrs_buf_zero(struct nrs_buf *b, size_t len)
{
	uint8_t *p;

	if (len == 0 || (p = nrs_buf_reserve(b, len)) == NULL)
		return;
	memset(p, 0, len);
	b->len += len;
}

void
nrs_buf_hash(struct nrs_buf *b, const struct nrs_hash *h)
{
	nrs_buf_put(b, h->b, sizeof(h->b));
}

void
nrs_buf_str(struct nrs_buf *b, const char *s)
{
	nrs_buf_put(b, s, strlen(s));
}

void
nrs_buf_fmt(struct nrs_buf *b, const char *fmt, ...)
{
	char small[256], *big = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(small, sizeof(small), fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof(small)) {
		nrs_buf_put(b, small, (size_t)n);
		return;
	}
	/* Not formatted in place: the NUL need not fit below the maximum. */
	if (n >= 0) {
		va_start(ap, fmt);
		n = vasprintf(&big, fmt, ap);
		va_end(ap);
	}
	if (n >= 0) {
		nrs_buf_put(b, big, (size_t)n);
		free(big);
	} else if (b->err == 0) {
		b->err = NRS_ENOMEM;
	}
}

void
nrs_buf_lstr(struct nrs_buf *b, const void *p, size_t len)
{
	if (len > UINT16_MAX) {
		if (b->err == 0)
			b->err = NRS_ELIMIT;
		return;
	}
	/* Together, so that a full buffer does not end in a length alone. */
	if (nrs_buf_reserve(b, len + 2) == NULL)
		return;
	nrs_buf_u16(b, (uint16_t)len);
	nrs_buf_put(b, p, len);
}

/* Stands in for NULL, on which not even + 0 is defined. */
static const uint8_t nothing[1];

void
nrs_rd_init(struct nrs_rd *r, const void *p, size_t len)
{
	r->base = p != NULL ? p : nothing;
	r->p = r->base;
	r->end = r->base + (p != NULL ? len : 0);
	r->err = 0;
}

size_t
nrs_rd_left(const struct nrs_rd *r)
{
	return (size_t)(r->end - r->p);
}

size_t
nrs_rd_off(const struct nrs_rd *r)
{
	return (size_t)(r->p - r->base);
}

/* The next len bytes, or NULL with the error set. */
static const uint8_t *
rd_take(struct nrs_rd *r, size_t len)
{
	const uint8_t *p = r->p;

	if (r->err == 0 && nrs_rd_left(r) < len)
		r->err = NRS_ETRUNC;
	if (r->err != 0)
		return NULL;
	r->p += len;
	return p;
}

uint8_t
nrs_rd_u8(struct nrs_rd *r)
{
	const uint8_t *p = rd_take(r, 1);

	return p != NULL ? p[0] : 0;
}

uint16_t
nrs_rd_u16(struct nrs_rd *r)
{
	const uint8_t *p = rd_take(r, 2);

	return p != NULL ? nrs_get_u16(p) : 0;
}

uint32_t
nrs_rd_u32(struct nrs_rd *r)
{
	const uint8_t *p = rd_take(r, 4);

	return p != NULL ? nrs_get_u32(p) : 0;
}

uint64_t
nrs_rd_u64(struct nrs_rd *r)
{
	const uint8_t *p = rd_take(r, 8);

	return p != NULL ? nrs_get_u64(p) : 0;
}

void
nrs_rd_copy(struct nrs_rd *r, void *dst, size_t len)
{
	const uint8_t *p;

	if (len == 0)
		return;
	if ((p = rd_take(r, len)) != NULL)
		memcpy(dst, p, len);
	else
		memset(dst, 0, len);
}

struct nrs_str
nrs_rd_bytes(struct nrs_rd *r, size_t len)
{
	struct nrs_str s = { rd_take(r, len), len };

	if (s.p == NULL)
		s.len = 0;
	return s;
}

struct nrs_str
nrs_rd_lstr(struct nrs_rd *r, size_t max)
{
	const uint8_t *start = r->p;
	struct nrs_str s = { NULL, 0 };
	size_t len;

	len = nrs_rd_u16(r);
	if (r->err == 0 && len > max)
		r->err = NRS_ELIMIT;
	if (r->err == 0)
		s = nrs_rd_bytes(r, len);
	if (r->err != 0)
		r->p = start; /* the offset told is that of the field */
	return s;
}

void
nrs_rd_hash(struct nrs_rd *r, struct nrs_hash *ret)
{
	nrs_rd_copy(r, ret->b, sizeof(ret->b));
}

void
nrs_rd_zero(struct nrs_rd *r, size_t len)
{
	const uint8_t *p;
	size_t i;

	if ((p = rd_take(r, len)) == NULL)
		return;
	for (i = 0; i < len; i++) {
		if (p[i] != 0) {
			r->err = NRS_ERESERVED;
			r->p = p;
			return;
		}
	}
}

void
nrs_rd_skip(struct nrs_rd *r, size_t len)
{
	(void)rd_take(r, len);
}

int
nrs_rd_end(struct nrs_rd *r)
{
	if (r->err == 0 && r->p != r->end)
		r->err = NRS_ETRAILING;
	return r->err;
}
