/* Direct audiences: a fixed list of recipients and its id (docs/FORMAT.md, section 8). */
#include "record/statement.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/digest.h"
#include "record/line.h"
#include "record/record.h"

int
nrs_direct_id(struct nrs_direct *d)
{
	struct nrs_digest *dg;
	struct nrs_hash origin;
	uint8_t n[2];
	size_t len;
	int err;

	err = nrs_origin_id(d->origin, strlen(d->origin), &origin);
	if (err != 0)
		return err;
	dg = nrs_digest_new();
	if (dg == NULL)
		return NRS_ENOMEM;
	nrs_digest_label(dg, "noroshi/v1/direct");
	nrs_digest_add(dg, origin.b, sizeof(origin.b));
	nrs_digest_add(dg, d->nonce, sizeof(d->nonce));
	for (unsigned int i = 0; i < d->n; i++) {
		len = strlen(d->recipients[i]);
		nrs_put_u16(n, (uint16_t)len);
		nrs_digest_add(dg, n, sizeof(n));
		nrs_digest_add(dg, d->recipients[i], len);
	}
	err = nrs_digest_end(dg, &d->id);
	nrs_digest_free(dg);
	return err;
}

static void
read_recipients(struct nrs_line *l, struct nrs_direct *d)
{
	unsigned int n = nrs_line_count(l, "recipient", NRS_MEMBERS_MAX);
	struct nrs_str v;
	int cmp;

	if (n > NRS_MEMBERS_MAX) {
		nrs_line_fail(l, l->no + n, NRS_ELIMIT, "too many recipients");
		return;
	}
	if (n > 0 && (d->recipients = calloc(n, sizeof(*d->recipients))) == NULL) {
		nrs_line_fail(l, l->no, NRS_ENOMEM, "recipients");
		return;
	}
	d->n = n;
	if (n == 0)
		(void)nrs_line_get(l, "recipient"); /* says what was expected */
	for (unsigned int i = 0; l->err == 0 && i < n; i++) {
		v = nrs_line_get(l, "recipient");
		nrs_line_origin(l, v, d->recipients[i]);
		if (l->err != 0)
			return;
		if (strcmp(d->recipients[i], d->origin) == 0)
			nrs_line_fail(l, l->no, NRS_ESYNTAX, "the origin is no recipient");
		cmp = i > 0 ? strcmp(d->recipients[i - 1], d->recipients[i]) : -1;
		if (cmp == 0)
			nrs_line_fail(l, l->no, NRS_EDUPLICATE, "given twice");
		else if (cmp > 0)
			nrs_line_fail(l, l->no, NRS_EORDER, "recipients are not sorted");
	}
}

int
nrs_direct_parse(
    struct nrs_direct *ret, const uint8_t *text, size_t len, struct nrs_detail *dt)
{
	struct nrs_line l;
	struct nrs_str v;
	int err;

	memset(ret, 0, sizeof(*ret));
	nrs_line_init(&l, text, len, NRS_PAYLOAD_MAX, dt);
	nrs_line_magic(&l, "noroshi/v1/direct");
	v = nrs_line_get(&l, "origin");
	nrs_line_origin(&l, v, ret->origin);
	v = nrs_line_get(&l, "nonce");
	nrs_line_b64(&l, v, ret->nonce);
	read_recipients(&l, ret);
	err = nrs_line_end(&l);
	if (err == 0)
		err = nrs_direct_id(ret);
	if (err != 0)
		nrs_direct_fini(ret);
	return err != 0 ? nrs_fail(dt, err, 0, "direct audience") : 0;
}

void
nrs_direct_fini(struct nrs_direct *d)
{
	if (d == NULL)
		return;
	free(d->recipients);
	memset(d, 0, sizeof(*d));
}

int
nrs_direct_format(struct nrs_buf *b, const struct nrs_direct *d)
{
	struct nrs_direct check;
	size_t start = b->len;
	int err;

	nrs_buf_fmt(b, "noroshi/v1/direct\norigin %s\n", d->origin);
	nrs_line_put_b64(b, "nonce", d->nonce);
	for (unsigned int i = 0; i < d->n; i++)
		nrs_buf_fmt(b, "recipient %s\n", d->recipients[i]);
	if (b->err != 0)
		return b->err;
	/* the id is taken from this text: it must be the one that others read */
	err = nrs_direct_parse(&check, b->p + start, b->len - start, NULL);
	if (err != 0)
		b->len = start;
	else
		nrs_direct_fini(&check);
	return err;
}
