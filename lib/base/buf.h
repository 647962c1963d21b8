/*
 * A growable byte buffer with a hard maximum, and two sticky cursors.
 *
 * All writes are no-ops after the first failure; the error is kept in .err, so
 * a codec reads like the format document and checks once at its end.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <noroshi/err.h>
#include <noroshi/types.h>

struct nrs_buf {
	uint8_t *p;
	size_t len;
	size_t cap;
	size_t max; /* never grows beyond; exceeding sets err = NRS_ELIMIT */
	int err;
};

/* max in bytes; nothing is allocated yet. */
void nrs_buf_init(struct nrs_buf *b, size_t max);
/* Frees the memory; the buffer is as after init. Accepts a zeroed struct. */
void nrs_buf_fini(struct nrs_buf *b);
/*
 * As fini, after overwriting the content: for secrets.  Reserve the whole size
 * first: growth may leave copies behind.
 */
void nrs_buf_wipe(struct nrs_buf *b);
/* Length 0 and no error; memory is kept. */
void nrs_buf_reset(struct nrs_buf *b);
/* Hands the memory out (free() it) and re-initialises. NULL when empty. */
uint8_t *nrs_buf_take(struct nrs_buf *b, size_t *ret_len);
/* Room for n more bytes: pointer to write at, or NULL (err set). Commit with _grow. */
uint8_t *nrs_buf_reserve(struct nrs_buf *b, size_t n);
void nrs_buf_grow(struct nrs_buf *b, size_t n);

void nrs_buf_u8(struct nrs_buf *b, uint8_t v);
void nrs_buf_u16(struct nrs_buf *b, uint16_t v); /* all integers big-endian */
void nrs_buf_u32(struct nrs_buf *b, uint32_t v);
void nrs_buf_u64(struct nrs_buf *b, uint64_t v);
void nrs_buf_put(struct nrs_buf *b, const void *p, size_t len);
void nrs_buf_zero(struct nrs_buf *b, size_t len);
void nrs_buf_hash(struct nrs_buf *b, const struct nrs_hash *h);
void nrs_buf_str(struct nrs_buf *b, const char *s); /* without the NUL */
void nrs_buf_fmt(struct nrs_buf *b, const char *fmt, ...) NRS_PRINTF(2, 3);
/* u16 length and bytes; more than 65535 sets NRS_ELIMIT. */
void nrs_buf_lstr(struct nrs_buf *b, const void *p, size_t len);

/* Reader: after the first failure every read returns zeros and moves nothing. */
struct nrs_rd {
	const uint8_t *base;
	const uint8_t *p;
	const uint8_t *end;
	int err;
};

void nrs_rd_init(struct nrs_rd *r, const void *p, size_t len);
size_t nrs_rd_left(const struct nrs_rd *r);
size_t nrs_rd_off(const struct nrs_rd *r);
uint8_t nrs_rd_u8(struct nrs_rd *r);
uint16_t nrs_rd_u16(struct nrs_rd *r);
uint32_t nrs_rd_u32(struct nrs_rd *r);
uint64_t nrs_rd_u64(struct nrs_rd *r);
void nrs_rd_copy(struct nrs_rd *r, void *dst, size_t len); /* zeros dst on failure */
struct nrs_str nrs_rd_bytes(
    struct nrs_rd *r, size_t len); /* borrowed; {NULL,0} on failure */
struct nrs_str nrs_rd_lstr(
    struct nrs_rd *r, size_t max); /* u16 length; > max: NRS_ELIMIT */
void nrs_rd_hash(struct nrs_rd *r, struct nrs_hash *ret);
void nrs_rd_zero(struct nrs_rd *r, size_t len); /* not all zero: NRS_ERESERVED */
void nrs_rd_skip(struct nrs_rd *r, size_t len);
/* Sets NRS_ETRAILING when bytes are left; returns the sticky error. */
int nrs_rd_end(struct nrs_rd *r) NRS_MUST_CHECK;

/* Big-endian integers at a place, for fixed layouts. */
static inline void
nrs_put_u16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}
static inline void
nrs_put_u32(uint8_t *p, uint32_t v)
{
	nrs_put_u16(p, (uint16_t)(v >> 16));
	nrs_put_u16(p + 2, (uint16_t)v);
}
static inline void
nrs_put_u64(uint8_t *p, uint64_t v)
{
	nrs_put_u32(p, (uint32_t)(v >> 32));
	nrs_put_u32(p + 4, (uint32_t)v);
}
static inline uint16_t
nrs_get_u16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}
static inline uint32_t
nrs_get_u32(const uint8_t *p)
{
	return (uint32_t)nrs_get_u16(p) << 16 | nrs_get_u16(p + 2);
}
static inline uint64_t
nrs_get_u64(const uint8_t *p)
{
	return (uint64_t)nrs_get_u32(p) << 32 | nrs_get_u32(p + 4);
}

#endif
