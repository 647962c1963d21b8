/*
 * The layout of a carrier file, read in pieces (docs/FORMAT.md, section 11).
 * What the frames say is the business of others.
 */
#include "wire/carrier.h"

#include <string.h>

#include "base/text.h"

#define TYPE_END 0

static const uint8_t magic[8] = { 'N', 'R', 'C', '1', 1 };

void
wire_carrier_head_encode(struct nrs_buf *b, const struct wire_carrier_head *h)
{
	nrs_buf_put(b, magic, sizeof(magic));
	nrs_buf_lstr(b, h->source, strlen(h->source));
	nrs_buf_lstr(b, h->dest, strlen(h->dest));
	nrs_buf_u64(b, h->from);
	nrs_buf_u64(b, h->to);
	nrs_buf_u64(b, h->written.ms);
}

int
wire_carrier_end_encode(
    struct nrs_buf *b, const struct wire_carrier_end *e, struct nrs_digest *dg)
{
	struct nrs_hash hash = { { 0 } };
	size_t at;
	int rc;

	wire_begin(b, TYPE_END, 0, 0, &at);
	nrs_buf_u64(b, e->leaves);
	nrs_buf_u64(b, e->records);
	nrs_buf_u64(b, e->frames);
	nrs_buf_zero(b, 32);
	nrs_buf_hash(b, &hash);
	wire_end(b, at);
	if (b->err != 0)
		return b->err;
	nrs_digest_add(dg, b->p + at, b->len - at - NRS_HASH_LEN);
	rc = nrs_digest_end(dg, &hash);
	memcpy(b->p + b->len - NRS_HASH_LEN, hash.b, NRS_HASH_LEN);
	return rc;
}

int
wire_carrier_init(struct wire_carrier *c)
{
	memset(c, 0, sizeof(*c));
	c->dg = nrs_digest_new();
	if (c->dg == NULL)
		return NRS_ENOMEM;
	nrs_digest_begin(c->dg);
	return 0;
}

void
wire_carrier_fini(struct wire_carrier *c)
{
	wire_reader_fini(&c->reader);
	nrs_digest_free(c->dg);
	c->dg = NULL;
}

static int
broken(struct wire_carrier *c, int err, uint64_t off, const char *why, struct nrs_detail *d)
{
	c->state = WIRE_CARRIER_BROKEN;
	return nrs_fail(d, err, off, "%s", why);
}

/* --- header ---------------------------------------------------------------- */

static void
read_name(struct nrs_rd *r, char dst[NRS_ORIGIN_MAX + 1])
{
	struct nrs_str s = nrs_rd_lstr(r, NRS_ORIGIN_MAX);

	if (r->err != 0)
		return;
	if (!nrs_origin_ok((const char *)s.p, s.len)) {
		r->err = NRS_ESYNTAX;
		return;
	}
	memcpy(dst, s.p, s.len);
	dst[s.len] = '\0';
}

/* NRS_ETRUNC: not all of it is there. */
static int
parse_head(struct wire_carrier *c, size_t *ret_used)
{
	struct wire_carrier_head *h = &c->head;
	struct nrs_rd r;

	if (memcmp(c->buf, magic, c->len < 4 ? c->len : 4) != 0)
		return NRS_EMAGIC;
	if (c->len > 4 && c->buf[4] != magic[4])
		return NRS_EVERSION;
	nrs_rd_init(&r, c->buf, c->len);
	nrs_rd_skip(&r, 5);
	nrs_rd_zero(&r, 3);
	read_name(&r, h->source);
	read_name(&r, h->dest);
	h->from = nrs_rd_u64(&r);
	h->to = nrs_rd_u64(&r);
	h->written.ms = nrs_rd_u64(&r);
	*ret_used = nrs_rd_off(&r);
	return r.err;
}

/* Byte by byte at most: it is short, and what follows it is not its own. */
static int
take_head(struct wire_carrier *c, const uint8_t **p, size_t *len, struct nrs_detail *d)
{
	size_t used = 0;
	int rc;

	while (*len > 0) {
		if (c->len == sizeof(c->buf))
			return broken(c, NRS_ELIMIT, 0, "the header is too long", d);
		c->buf[c->len++] = *(*p)++;
		(*len)--;
		c->off++;
		rc = parse_head(c, &used);
		if (rc == 0) {
			nrs_digest_add(c->dg, c->buf, c->len);
			c->state = WIRE_CARRIER_FRAMES;
			return 2;
		}
		if (rc != NRS_ETRUNC)
			return broken(c, rc, 0,
			    rc == NRS_EMAGIC	     ? "not a carrier file"
				: rc == NRS_EVERSION ? "a carrier file of another version"
						     : "the header is malformed",
			    d);
	}
	return 0;
}

/* --- frames ------------------------------------------------------------------ */

static int
take_end(struct wire_carrier *c, const struct wire_frame *f, const uint8_t *head,
    struct nrs_detail *d)
{
	struct nrs_hash want, have;
	struct nrs_rd r;
	int rc;

	nrs_rd_init(&r, f->body, f->len);
	c->end.leaves = nrs_rd_u64(&r);
	c->end.records = nrs_rd_u64(&r);
	c->end.frames = nrs_rd_u64(&r);
	nrs_rd_zero(&r, 32);
	nrs_rd_hash(&r, &want);
	rc = nrs_rd_end(&r);
	if (rc != 0 || f->flags != 0 || f->stream != 0)
		return broken(
		    c, rc != 0 ? rc : NRS_ERESERVED, c->frame, "its END is malformed", d);
	nrs_digest_add(c->dg, head, WIRE_HEADER_LEN);
	nrs_digest_add(c->dg, f->body, f->len - NRS_HASH_LEN);
	rc = nrs_digest_end(c->dg, &have);
	if (rc == 0 && (!nrs_hash_eq(&want, &have) || c->end.frames != c->frames))
		rc = NRS_ECORRUPT;
	if (rc != 0)
		return broken(c, rc, c->frame, "it was changed: its hash does not fit", d);
	c->state = WIRE_CARRIER_ENDED;
	return 0;
}

/* May it stand in a file? */
static int
check_frame(const struct wire_frame *f)
{
	int rc = wire_frame_check(f);

	if (rc != 0)
		return rc;
	if (f->type != WIRE_STATEMENTS && f->type != WIRE_LEAVES &&
	    f->type != WIRE_RECORD && f->type != WIRE_DATA)
		return NRS_ETYPE;
	if (f->stream != (f->type == WIRE_STATEMENTS ? 0 : WIRE_CARRIER_STREAM))
		return NRS_ERANGE;
	return 0;
}

static int
take_frame(struct wire_carrier *c, const uint8_t **p, size_t *len, struct wire_frame *ret,
    int *ret_err, struct nrs_detail *d)
{
	uint8_t head[WIRE_HEADER_LEN];
	size_t had = *len;
	int rc;

	rc = wire_reader_next(&c->reader, p, len, ret);
	c->off += had - *len;
	if (rc <= 0)
		return rc;
	/* Where the next frame would begin is anybody's guess. */
	if (ret->body == NULL)
		return broken(
		    c, NRS_ELIMIT, c->off, "a frame is longer than any can be", d);
	c->frame = c->off - WIRE_HEADER_LEN - ret->len;
	nrs_put_u32(head, ret->len);
	head[4] = ret->type;
	head[5] = ret->flags;
	nrs_put_u16(head + 6, ret->stream);
	if (ret->type == TYPE_END)
		return take_end(c, ret, head, d);
	nrs_digest_add(c->dg, head, sizeof(head));
	nrs_digest_add(c->dg, ret->body, ret->len);
	c->frames++;
	*ret_err = check_frame(ret);
	if (*ret_err != 0)
		ret->body = NULL;
	return 1;
}

int
wire_carrier_next(struct wire_carrier *c, const uint8_t **p, size_t *len,
    struct wire_frame *ret, int *ret_err, struct nrs_detail *d)
{
	int rc = 0;

	*ret_err = 0;
	if (c->state == WIRE_CARRIER_BROKEN)
		return nrs_fail(d, NRS_ESTATE, c->off, "it is damaged");
	if (c->state == WIRE_CARRIER_HEAD)
		return take_head(c, p, len, d);
	if (c->state == WIRE_CARRIER_FRAMES)
		rc = take_frame(c, p, len, ret, ret_err, d);
	if (c->state == WIRE_CARRIER_ENDED && *len > 0)
		return broken(c, NRS_ETRAILING, c->off, "something follows its END", d);
	return rc;
}

int
wire_carrier_finish(const struct wire_carrier *c, struct nrs_detail *d)
{
	if (c->state == WIRE_CARRIER_ENDED)
		return 0;
	return nrs_fail(d, NRS_ETRUNC, c->off, "it is cut short");
}
