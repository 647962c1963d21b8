/* The body of DISCLOSURE frames (docs/FORMAT-journal.md, section 2). */
#include <string.h>

#include "base/text.h"
#include "journal/journal.h"

#define FLAGS (NRS_JCLEARANCE_ALL | NRS_JCLEARANCE_DIRECT)

void
nrs_jdisclosure_encode(const struct nrs_jdisclosure *d, struct nrs_buf *b)
{
	nrs_buf_u8(b, d->op);
	if (d->op == NRS_JDISCLOSURE_OPEN) {
		nrs_buf_u8(b, d->kind);
		nrs_buf_u8(b, d->tlp);
		nrs_buf_u8(b, d->flags);
		nrs_buf_u32(b, d->uid);
	} else {
		nrs_buf_zero(b, 7);
	}
	if (d->op == NRS_JDISCLOSURE_CLOSE)
		nrs_buf_u64(b, d->range);
	nrs_buf_u64(b, d->event);
	if (d->op != NRS_JDISCLOSURE_CRASH)
		nrs_buf_u64(b, d->n);
	nrs_buf_u64(b, d->time.ms);
	if (d->op != NRS_JDISCLOSURE_OPEN)
		return;
	nrs_buf_hash(b, &d->clearance);
	nrs_buf_hash(b, &d->pin);
	nrs_buf_lstr(b, d->name, strlen(d->name));
}

static int
decode_open(struct nrs_rd *r, struct nrs_jdisclosure *ret)
{
	static const struct nrs_hash zeros;
	struct nrs_str name;

	nrs_rd_hash(r, &ret->clearance);
	nrs_rd_hash(r, &ret->pin);
	name = nrs_rd_lstr(r, NRS_NAME_MAX);
	if (r->err != 0)
		return r->err;
	if (ret->kind < NRS_JREADER_UNIX || ret->kind > NRS_JREADER_CONTROL ||
	    ret->tlp >= NRS_TLP__MAX)
		return NRS_ERANGE;
	if ((ret->flags & ~FLAGS) != 0)
		return NRS_ERESERVED;
	if (ret->kind != NRS_JREADER_TLS && memcmp(&ret->pin, &zeros, sizeof(zeros)) != 0)
		return NRS_ERESERVED;
	if (ret->kind == NRS_JREADER_CONTROL ? name.len != 0
					     : !nrs_name_ok((const char *)name.p, name.len))
		return NRS_ESYNTAX;
	if (name.len > 0)
		memcpy(ret->name, name.p, name.len);
	return 0;
}

int
nrs_jdisclosure_decode(struct nrs_jdisclosure *ret, struct nrs_str body)
{
	struct nrs_rd r;
	int err = 0;

	memset(ret, 0, sizeof(*ret));
	nrs_rd_init(&r, body.p, body.len);
	ret->op = nrs_rd_u8(&r);
	if (ret->op < NRS_JDISCLOSURE_OPEN || ret->op > NRS_JDISCLOSURE_CRASH)
		return r.err != 0 ? r.err : NRS_ERANGE;
	if (ret->op == NRS_JDISCLOSURE_OPEN) {
		ret->kind = nrs_rd_u8(&r);
		ret->tlp = nrs_rd_u8(&r);
		ret->flags = nrs_rd_u8(&r);
		ret->uid = nrs_rd_u32(&r);
	} else {
		nrs_rd_zero(&r, 7);
	}
	if (ret->op == NRS_JDISCLOSURE_CLOSE)
		ret->range = nrs_rd_u64(&r);
	ret->event = nrs_rd_u64(&r);
	if (ret->op != NRS_JDISCLOSURE_CRASH)
		ret->n = nrs_rd_u64(&r);
	ret->time.ms = nrs_rd_u64(&r);
	if (r.err == 0 && ret->op == NRS_JDISCLOSURE_OPEN)
		err = decode_open(&r, ret);
	return err != 0 ? err : nrs_rd_end(&r);
}
