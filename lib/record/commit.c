/*
 * What is hashed: payloads, records, log entries, object keys (docs/FORMAT.md,
 * sections 3, 4 and 9).
 */
#include "record/record.h"

#include <string.h>

int
nrs_payload_commit(struct nrs_digest *dg, const uint8_t salt[NRS_SALT_LEN],
    const void *payload, size_t len, struct nrs_hash *ret)
{
	nrs_digest_label(dg, "noroshi/v1/payload");
	nrs_digest_add(dg, salt, NRS_SALT_LEN);
	nrs_digest_u64(dg, len);
	nrs_digest_add(dg, payload, len);
	return nrs_digest_end(dg, ret);
}

int
nrs_record_commit(struct nrs_digest *dg, const uint8_t header[NRS_HEADER_LEN],
    const uint8_t *sigs, size_t sigs_len, struct nrs_hash *ret)
{
	if (sigs_len > NRS_SIGBLOCK_MAX)
		return NRS_ELIMIT;
	nrs_digest_label(dg, "noroshi/v1/leaf");
	nrs_digest_u32(dg, (uint32_t)(NRS_HEADER_LEN + sigs_len));
	nrs_digest_add(dg, header, NRS_HEADER_LEN);
	nrs_digest_add(dg, sigs, sigs_len);
	return nrs_digest_end(dg, ret);
}

void
nrs_entry_sealed(const struct nrs_hash *c, uint8_t out[NRS_SEALED_LEN])
{
	memcpy(out, "NRL1\0\0\0\0", 8);
	memcpy(out + 8, c->b, sizeof(c->b));
}

/* 0x00 || entry: RFC 6962, 2.1, so that a leaf is never mistaken for a node */
int
nrs_leaf_sealed(struct nrs_digest *dg, const struct nrs_hash *c, struct nrs_hash *ret)
{
	uint8_t in[1 + NRS_SEALED_LEN];

	in[0] = 0x00;
	nrs_entry_sealed(c, in + 1);
	nrs_digest_begin(dg);
	nrs_digest_add(dg, in, sizeof(in));
	return nrs_digest_end(dg, ret);
}

int
nrs_leaf_control(struct nrs_digest *dg, const void *doc, size_t len, struct nrs_hash *ret)
{
	uint8_t head[9] = { 0x00, 'N', 'R', 'L', '1', 1, 0 };

	if (len > NRS_CONTROL_MAX)
		return NRS_ELIMIT;
	nrs_put_u16(head + 7, (uint16_t)len);
	nrs_digest_begin(dg);
	nrs_digest_add(dg, head, sizeof(head));
	nrs_digest_add(dg, doc, len);
	return nrs_digest_end(dg, ret);
}

static void
digest_lstr(struct nrs_digest *dg, struct nrs_str s)
{
	uint8_t n[2];

	nrs_put_u16(n, (uint16_t)s.len);
	nrs_digest_add(dg, n, sizeof(n));
	nrs_digest_add(dg, s.p, s.len);
}

int
nrs_object_key(struct nrs_digest *dg, const struct nrs_hash *audience, uint8_t tlp,
    struct nrs_str id, struct nrs_str modified, uint8_t ret[16])
{
	struct nrs_hash h;
	int err;

	if (id.len > UINT16_MAX || modified.len > UINT16_MAX)
		return NRS_ELIMIT;
	nrs_digest_label(dg, "noroshi/v1/object");
	nrs_digest_add(dg, audience->b, sizeof(audience->b));
	nrs_digest_add(dg, &tlp, 1);
	digest_lstr(dg, id);
	digest_lstr(dg, modified);
	err = nrs_digest_end(dg, &h);
	if (err == 0)
		memcpy(ret, h.b, 16);
	return err;
}
