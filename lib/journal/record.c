/* The bodies of RECORD and EVENT frames (docs/FORMAT-journal.md, section 2). */
#include <string.h>

#include "crypto/aead.h"
#include "journal/internal.h"

void
nrs_jrecord_layout(uint8_t *p, const struct nrs_jrecord *r, uint32_t sealed_len,
    const uint8_t nonce[16], uint32_t seed_segment)
{
	nrs_put_u64(p, r->index);
	nrs_put_u32(p + 8, (uint32_t)r->sigs.len);
	nrs_put_u32(p + 12, sealed_len);
	memcpy(p + 16, nonce, 16);
	nrs_put_u32(p + 32, seed_segment);
	nrs_put_u32(p + 36, 0);
	memcpy(p + 40, r->header, NRS_HEADER_LEN);
	if (r->sigs.len > 0)
		memcpy(p + JRECORD_FIXED, r->sigs.p, r->sigs.len);
}

size_t
nrs_jrecord_len(const struct nrs_jrecord *r)
{
	return JRECORD_FIXED + r->sigs.len + NRS_SALT_LEN + r->data.len + NRS_AEAD_TAG;
}

int
nrs_jrecord_decode(struct nrs_jrecord_view *ret, const struct nrs_jframe *f)
{
	uint32_t sigs_len, sealed_len;
	struct nrs_rd r;

	memset(ret, 0, sizeof(*ret));
	if (f->type != NRS_J_RECORD)
		return NRS_ETYPE;
	if ((f->flags & ~NRS_JRECORD_FLAGS) != 0)
		return NRS_ERESERVED;
	nrs_rd_init(&r, f->body.p, f->body.len);
	ret->flags = f->flags;
	ret->index = nrs_rd_u64(&r);
	sigs_len = nrs_rd_u32(&r);
	sealed_len = nrs_rd_u32(&r);
	ret->nonce = nrs_rd_bytes(&r, 16).p;
	ret->seed_segment = nrs_rd_u32(&r);
	nrs_rd_zero(&r, 4);
	ret->header = nrs_rd_bytes(&r, NRS_HEADER_LEN).p;
	if (r.err == 0 &&
	    (sigs_len > NRS_SIGBLOCK_MAX || sealed_len < NRS_SALT_LEN + NRS_AEAD_TAG ||
		sealed_len > NRS_SALT_LEN + NRS_PAYLOAD_MAX + NRS_AEAD_TAG))
		return NRS_ELIMIT;
	ret->sigs = nrs_rd_bytes(&r, sigs_len);
	ret->sealed = nrs_rd_bytes(&r, sealed_len);
	return nrs_rd_end(&r);
}

int
nrs_jrecord_unseal(struct nrs_digest *dg, const uint8_t seed[32],
    const struct nrs_jrecord_view *v, struct nrs_buf *out, uint8_t salt[NRS_SALT_LEN],
    struct nrs_str *ret_data)
{
	uint8_t key[NRS_AEAD_KEY], *p;
	struct nrs_hash c;
	size_t len;
	int rc;

	if (v->sealed.len < NRS_SALT_LEN + NRS_AEAD_TAG)
		return NRS_ETRUNC;
	len = v->sealed.len - NRS_AEAD_TAG;
	if ((rc = nrs_record_commit(dg, v->header, v->sigs.p, v->sigs.len, &c)) != 0)
		return rc;
	nrs_buf_reset(out);
	if ((p = nrs_buf_reserve(out, len)) == NULL)
		return out->err;
	if ((rc = nrs_body_key(seed, v->nonce, &c, key)) == 0)
		rc = nrs_aead_open(key, &v->flags, 1, v->sealed.p, v->sealed.len, p);
	nrs_wipe(key, sizeof(key));
	if (rc != 0)
		return rc;
	nrs_buf_grow(out, len);
	memcpy(salt, p, NRS_SALT_LEN);
	ret_data->p = p + NRS_SALT_LEN;
	ret_data->len = len - NRS_SALT_LEN;
	return 0;
}

int
nrs_journal_unseal(struct nrs_journal *j, const struct nrs_jrecord_view *v,
    struct nrs_buf *out, uint8_t salt[NRS_SALT_LEN], struct nrs_str *ret_data)
{
	if (v->seed_segment == 0 || v->seed_segment > j->nseeds)
		return NRS_ECORRUPT;
	return nrs_jrecord_unseal(
	    j->dg, j->seeds[v->seed_segment - 1], v, out, salt, ret_data);
}

void
nrs_jevent_encode(const struct nrs_jevent *e, uint8_t out[NRS_JEVENT_LEN])
{
	nrs_put_u64(out, e->number);
	out[8] = e->action;
	out[9] = e->reason;
	nrs_put_u16(out + 10, 0);
	nrs_put_u32(out + 12, e->objects);
	memcpy(out + 16, e->origin.b, NRS_HASH_LEN);
	nrs_put_u64(out + 48, e->index);
	nrs_put_u64(out + 56, e->time.ms);
}

int
nrs_jevent_decode(struct nrs_jevent *ret, struct nrs_str body)
{
	struct nrs_rd r;

	memset(ret, 0, sizeof(*ret));
	nrs_rd_init(&r, body.p, body.len);
	ret->number = nrs_rd_u64(&r);
	ret->action = nrs_rd_u8(&r);
	ret->reason = nrs_rd_u8(&r);
	nrs_rd_zero(&r, 2);
	ret->objects = nrs_rd_u32(&r);
	nrs_rd_hash(&r, &ret->origin);
	ret->index = nrs_rd_u64(&r);
	ret->time.ms = nrs_rd_u64(&r);
	if (r.err == 0 && (ret->action == 0 || ret->action >= NRS_ACTION__MAX))
		return NRS_ERANGE;
	return nrs_rd_end(&r);
}
