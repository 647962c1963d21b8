/*
 * The header of a record: its bytes, what signers sign, and the ids derived
 * from it (docs/FORMAT.md, sections 2 and 3).
 */
#include "record/record.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

static const char magic[4] = { 'N', 'R', 'S', '1' };
static const char link_label[] = "noroshi/v1/header";

enum {
	OFF_VERSION = 4,
	OFF_TLP = 6,
	OFF_FLAGS = 7,
	OFF_CREATED = 8,
	OFF_ZERO = 36,
	OFF_PREV = 72,
	OFF_PAYLOAD_LEN = 136,
	OFF_REF_INDEX = 176,
	OFF_REF_LEAF = 184,
	OFF_UUID = 216
};

static bool
is_zero(const struct nrs_hash *h)
{
	uint8_t or = 0;

	for (size_t i = 0; i < sizeof(h->b); i++)
		or |= h->b[i];
	return or == 0;
}

void
nrs_header_encode(const struct nrs_header *h, uint8_t out[NRS_HEADER_LEN])
{
	memcpy(out, magic, 4);
	out[OFF_VERSION] = 1;
	out[5] = h->kind;
	out[OFF_TLP] = h->tlp;
	out[OFF_FLAGS] = h->flags;
	nrs_put_u64(out + OFF_CREATED, h->created.ms);
	nrs_put_u64(out + 16, h->expires.ms);
	nrs_put_u64(out + 24, h->seq);
	nrs_put_u32(out + 32, h->epoch);
	nrs_put_u32(out + OFF_ZERO, 0);
	memcpy(out + 40, h->audience.b, 32);
	memcpy(out + OFF_PREV, h->prev.b, 32);
	memcpy(out + 104, h->origin.b, 32);
	nrs_put_u64(out + OFF_PAYLOAD_LEN, h->payload_len);
	memcpy(out + 144, h->payload_commit.b, 32);
	nrs_put_u64(out + OFF_REF_INDEX, h->ref_index);
	memcpy(out + OFF_REF_LEAF, h->ref_leaf.b, 32);
	memcpy(out + OFF_UUID, h->uuid, NRS_UUID_LEN);
}

static int
check_flags(const struct nrs_header *h, struct nrs_detail *d)
{
	if (h->tlp >= NRS_TLP__MAX)
		return nrs_fail(d, NRS_ERANGE, OFF_TLP, "TLP %u does not exist", h->tlp);
	if ((h->flags & 0xf0) != 0)
		return nrs_fail(d, NRS_ERESERVED, OFF_FLAGS, "reserved flags are set");
	if ((h->flags & NRS_FLAG_ONWARD_MASK) == NRS_FLAG_ONWARD_MASK)
		return nrs_fail(d, NRS_ERANGE, OFF_FLAGS, "onward rule 3 does not exist");
	return 0;
}

/*
 * A bundle's UUID is the one in its STIX id, which others may have made by
 * another rule than random; all else is made here, at random.
 */
static bool
uuid_ok(const uint8_t uuid[NRS_UUID_LEN], uint8_t kind)
{
	unsigned int version = uuid[6] >> 4;

	if ((uuid[8] & 0xc0) != 0x80)
		return false;
	if (kind == NRS_KIND_BUNDLE)
		return version >= 1 && version <= 8;
	return version == 4;
}

static int
check_fields(const struct nrs_header *h, struct nrs_detail *d)
{
	if (h->seq == 0 && !is_zero(&h->prev))
		return nrs_fail(d, NRS_ERESERVED, OFF_PREV,
		    "the first of a chain has no "
		    "predecessor");
	if (h->payload_len > NRS_PAYLOAD_MAX)
		return nrs_fail(d, NRS_ELIMIT, OFF_PAYLOAD_LEN, "payload is above %u bytes",
		    NRS_PAYLOAD_MAX);
	if (h->ref_index == NRS_NONE && !is_zero(&h->ref_leaf))
		return nrs_fail(d, NRS_ERESERVED, OFF_REF_LEAF, "leaf without an index");
	if (h->ref_index != NRS_NONE && is_zero(&h->ref_leaf))
		return nrs_fail(d, NRS_ERANGE, OFF_REF_LEAF, "index without a leaf");
	if (h->version == NRS_HEADER_VERSION && !uuid_ok(h->uuid, h->kind))
		return nrs_fail(d, NRS_ERANGE, OFF_UUID, "not a UUID of the right version");
	return 0;
}

/* What a later version may use as it likes reads as if it were not there (section 3). */
static void
forget_later(struct nrs_header *h)
{
	h->kind = NRS_KIND_NONE;
	h->flags &= 0x0f;
	h->ref_index = NRS_NONE;
	memset(&h->ref_leaf, 0, sizeof(h->ref_leaf));
	memset(h->uuid, 0, sizeof(h->uuid));
}

int
nrs_header_decode(
    struct nrs_header *ret, const uint8_t *p, size_t len, struct nrs_detail *d)
{
	struct nrs_rd r;
	bool later;
	int err;

	if (len < NRS_HEADER_LEN)
		return nrs_fail(d, NRS_ETRUNC, len, "a header has 232 bytes");
	if (len > NRS_HEADER_LEN)
		return nrs_fail(d, NRS_ETRAILING, NRS_HEADER_LEN, "a header has 232 bytes");
	if (memcmp(p, magic, 4) != 0)
		return nrs_fail(d, NRS_EMAGIC, 0, "not a record");
	if (p[OFF_VERSION] == 0)
		return nrs_fail(d, NRS_EVERSION, OFF_VERSION, "record version 0");
	nrs_rd_init(&r, p, len);
	nrs_rd_skip(&r, 4);
	ret->version = nrs_rd_u8(&r);
	later = ret->version != NRS_HEADER_VERSION;
	ret->kind = nrs_rd_u8(&r);
	ret->tlp = nrs_rd_u8(&r);
	ret->flags = nrs_rd_u8(&r);
	ret->created.ms = nrs_rd_u64(&r);
	ret->expires.ms = nrs_rd_u64(&r);
	ret->seq = nrs_rd_u64(&r);
	ret->epoch = nrs_rd_u32(&r);
	if (nrs_rd_u32(&r) != 0 && !later)
		return nrs_fail(d, NRS_ERESERVED, OFF_ZERO, "reserved bytes are not zero");
	nrs_rd_hash(&r, &ret->audience);
	nrs_rd_hash(&r, &ret->prev);
	nrs_rd_hash(&r, &ret->origin);
	ret->payload_len = nrs_rd_u64(&r);
	nrs_rd_hash(&r, &ret->payload_commit);
	ret->ref_index = nrs_rd_u64(&r);
	nrs_rd_hash(&r, &ret->ref_leaf);
	nrs_rd_copy(&r, ret->uuid, NRS_UUID_LEN);
	err = nrs_rd_end(&r);
	if (err != 0)
		return nrs_fail(d, err, nrs_rd_off(&r), "header");
	if (later)
		forget_later(ret);
	err = check_flags(ret, d);
	return err != 0 ? err : check_fields(ret, d);
}

size_t
nrs_header_pae(const uint8_t header[NRS_HEADER_LEN], uint8_t out[NRS_PAE_MAX])
{
	uint8_t kind = header[5];
	char type[48], head[88];
	int n;

	/* the name is part of what is signed: "unknown" would serve for all */
	if (kind >= NRS_KIND_BUNDLE && kind < NRS_KIND__MAX)
		n = snprintf(type, sizeof(type), "noroshi/v%u/record/%s",
		    header[OFF_VERSION], nrs_kind_name(kind));
	else
		n = snprintf(
		    type, sizeof(type), "noroshi/v%u/record/%u", header[OFF_VERSION], kind);
	n = snprintf(head, sizeof(head), "DSSEv1 %d %s %d ", n, type, NRS_HEADER_LEN);
	memcpy(out, head, (size_t)n);
	memcpy(out + n, header, NRS_HEADER_LEN);
	return (size_t)n + NRS_HEADER_LEN;
}

int
nrs_header_link(const uint8_t header[NRS_HEADER_LEN], struct nrs_hash *ret)
{
	return nrs_sha256_label(link_label, header, NRS_HEADER_LEN, ret);
}

int
nrs_header_link_with(
    struct nrs_digest *dg, const uint8_t header[NRS_HEADER_LEN], struct nrs_hash *ret)
{
	nrs_digest_label(dg, link_label);
	nrs_digest_add(dg, header, NRS_HEADER_LEN);
	return nrs_digest_end(dg, ret);
}

int
nrs_origin_id(const char *origin, size_t len, struct nrs_hash *ret)
{
	return nrs_sha256_label("noroshi/v1/origin", origin, len, ret);
}

/* Eight digits in lower case: one text for one record. */
static bool
hex8_ok(const char *s)
{
	size_t n = 0;

	while ((s[n] >= '0' && s[n] <= '9') || (s[n] >= 'a' && s[n] <= 'f'))
		n++;
	return n == 8 && s[n] == '\0';
}

int
nrs_record_id_parse(
    const char *s, char origin[NRS_ORIGIN_MAX + 1], uint64_t *ret_index, char ret_hex8[9])
{
	const char *slash = strchr(s, '/'), *tilde;
	size_t len, ilen;
	int ret;

	if (slash == NULL)
		return NRS_ESYNTAX;
	len = (size_t)(slash - s);
	if (len > NRS_ORIGIN_MAX || !nrs_origin_ok(s, len))
		return NRS_ESYNTAX;
	tilde = strchr(slash + 1, '~');
	ilen = tilde != NULL ? (size_t)(tilde - slash - 1) : strlen(slash + 1);
	if (tilde != NULL && !hex8_ok(tilde + 1))
		return NRS_ESYNTAX;
	ret = nrs_u64_parse(slash + 1, ilen, NRS_NONE - 1, ret_index);
	if (ret != 0)
		return ret;
	memcpy(origin, s, len);
	origin[len] = '\0';
	ret_hex8[0] = '\0';
	if (tilde != NULL)
		memcpy(ret_hex8, tilde + 1, 9);
	return 0;
}
