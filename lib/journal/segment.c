/*
 * The bytes of a segment: file names, segment header, key file, frame headers
 * and their checksums (docs/FORMAT-journal.md, section 1).  It knows nothing of
 * files or of what frames mean.
 */
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "journal/internal.h"

#define SEG_MAGIC   "NRJ1"
#define KEY_MAGIC   "NRK1"
#define SEG_VERSION 1

void
nrs_jseg_path(char out[JPATH], uint32_t seg, const char *ext)
{
	snprintf(out, JPATH, JDIR "/%08u.%s", (unsigned int)seg, ext);
}

uint32_t
nrs_jseg_number(const char *name, const char *ext)
{
	uint32_t n = 0;
	int i;

	for (i = 0; i < 8; i++) {
		if (name[i] < '0' || name[i] > '9')
			return 0;
		n = n * 10 + (uint32_t)(name[i] - '0');
	}
	return name[8] == '.' && strcmp(name + 9, ext) == 0 ? n : 0;
}

void
nrs_jseg_encode(uint8_t out[JSEG_HEADER], uint32_t seg, const uint8_t salt[JSEG_SALT],
    const struct nrs_hash *origin)
{
	memset(out, 0, JSEG_HEADER);
	memcpy(out, SEG_MAGIC, 4);
	out[4] = SEG_VERSION;
	nrs_put_u32(out + 8, seg);
	memcpy(out + 16, salt, JSEG_SALT);
	memcpy(out + 32, origin->b, NRS_HASH_LEN);
	nrs_put_u32(out + 64, nrs_crc32c(0, out, 64));
}

static bool
all_zero(const uint8_t *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (p[i] != 0)
			return false;
	return true;
}

int
nrs_jseg_decode(const uint8_t *p, size_t len, uint32_t seg, const struct nrs_hash *origin,
    uint32_t *ret_salt_crc, const char **ret_why)
{
	*ret_salt_crc = 0;
	*ret_why = "segment header is damaged";
	if (len < JSEG_HEADER || memcmp(p, SEG_MAGIC, 4) != 0 ||
	    nrs_get_u32(p + 64) != nrs_crc32c(0, p, 64) || !all_zero(p + 68, 4))
		return NRS_ECORRUPT;
	if (p[4] != SEG_VERSION) {
		*ret_why = "segment was written by a newer version";
		return NRS_EVERSION;
	}
	if (!all_zero(p + 5, 3) || !all_zero(p + 12, 4))
		return NRS_ECORRUPT;
	if (nrs_get_u32(p + 8) != seg) {
		*ret_why = "segment header has another number than its file name";
		return NRS_ECORRUPT;
	}
	if (memcmp(p + 32, origin->b, NRS_HASH_LEN) != 0) {
		*ret_why = "segment belongs to another origin";
		return NRS_EORIGIN;
	}
	*ret_salt_crc = nrs_jsalt_crc(p + 16);
	*ret_why = NULL;
	return 0;
}

void
nrs_jkey_encode(uint8_t out[JKEY_FILE], uint32_t seg, const uint8_t wrapped[JWRAPPED])
{
	memcpy(out, KEY_MAGIC, 4);
	nrs_put_u32(out + 4, seg);
	memcpy(out + 8, wrapped, JWRAPPED);
	nrs_put_u32(out + 68, nrs_crc32c(0, out, 68));
}

int
nrs_jkey_decode(const uint8_t *p, size_t len, uint32_t seg, uint8_t wrapped[JWRAPPED])
{
	if (len != JKEY_FILE || memcmp(p, KEY_MAGIC, 4) != 0 || nrs_get_u32(p + 4) != seg ||
	    nrs_get_u32(p + 68) != nrs_crc32c(0, p, 68))
		return NRS_ECORRUPT;
	memcpy(wrapped, p + 8, JWRAPPED);
	return 0;
}

uint32_t
nrs_jsalt_crc(const uint8_t salt[JSEG_SALT])
{
	return nrs_crc32c(0, salt, JSEG_SALT);
}

static uint32_t
head_crc(const uint8_t p[JFRAME_HEAD], uint32_t salt_crc)
{
	return nrs_crc32c(nrs_crc32c(salt_crc, p, 16), p + 20, 4);
}

static uint32_t
body_crc(uint32_t salt_crc, uint64_t batch, const uint8_t *body, uint32_t len)
{
	uint8_t b[8];

	nrs_put_u64(b, batch);
	return nrs_crc32c(nrs_crc32c(salt_crc, b, sizeof(b)), body, len);
}

uint8_t
nrs_jframe_flags(uint8_t type)
{
	if (type == NRS_J_RECORD)
		return NRS_JRECORD_FLAGS;
	return type == NRS_J_CHECKPOINT ? NRS_JCHECKPOINT_RIVAL : 0;
}

void
nrs_jframe_seal(uint8_t *p, uint32_t salt_crc, uint8_t type, uint8_t flags, uint32_t len,
    uint64_t batch)
{
	p[0] = type;
	p[1] = flags;
	nrs_put_u16(p + 2, 0);
	nrs_put_u32(p + 4, len);
	nrs_put_u64(p + 8, batch);
	nrs_put_u32(p + 20, body_crc(salt_crc, batch, p + JFRAME_HEAD, len));
	nrs_put_u32(p + 16, head_crc(p, salt_crc));
	memset(p + JFRAME_HEAD + len, 0, JPAD(len) - len);
}

int
nrs_jhead_decode(struct nrs_jhead *ret, const uint8_t p[JFRAME_HEAD], uint32_t salt_crc)
{
	ret->type = p[0];
	ret->flags = p[1];
	ret->len = nrs_get_u32(p + 4);
	ret->batch = nrs_get_u64(p + 8);
	ret->body_crc = nrs_get_u32(p + 20);
	if (p[0] == 0 || nrs_get_u16(p + 2) != 0 || ret->len > NRS_JFRAME_MAX ||
	    ret->batch == 0 || nrs_get_u32(p + 16) != head_crc(p, salt_crc))
		return NRS_ECORRUPT;
	if (ret->type >= NRS_J__MAX || (ret->flags & ~nrs_jframe_flags(ret->type)) != 0)
		return NRS_EVERSION;
	return 0;
}

bool
nrs_jbody_ok(const struct nrs_jhead *h, const uint8_t *body, uint32_t salt_crc)
{
	return body_crc(salt_crc, h->batch, body, h->len) == h->body_crc &&
	    all_zero(body + h->len, JPAD(h->len) - h->len);
}

int
nrs_jframe_check(struct nrs_jhead *ret, const uint8_t *p, size_t left, uint32_t salt_crc)
{
	int rc;

	if (left < JFRAME_HEAD)
		return NRS_ECORRUPT;
	rc = nrs_jhead_decode(ret, p, salt_crc);
	if (rc == NRS_ECORRUPT)
		return rc;
	if (JPAD(ret->len) > left - JFRAME_HEAD ||
	    !nrs_jbody_ok(ret, p + JFRAME_HEAD, salt_crc))
		return NRS_ECORRUPT;
	return rc;
}

int
nrs_jframe_put(struct nrs_buf *b, uint32_t salt_crc, uint8_t type, uint8_t flags,
    uint64_t batch, const struct nrs_str *parts, unsigned int nparts)
{
	size_t len = 0, at = JFRAME_HEAD;
	unsigned int i;
	uint8_t *p;
	int rc;

	for (i = 0; i < nparts; i++) {
		if (parts[i].len > NRS_JFRAME_MAX - len)
			return NRS_ELIMIT;
		len += parts[i].len;
	}
	if ((p = nrs_buf_reserve(b, JFRAME_HEAD + JPAD(len))) == NULL) {
		rc = b->err;
		b->err = 0; /* the frames before this one are whole and stay */
		return rc;
	}
	for (i = 0; i < nparts; i++) {
		if (parts[i].len > 0)
			memcpy(p + at, parts[i].p, parts[i].len);
		at += parts[i].len;
	}
	nrs_jframe_seal(p, salt_crc, type, flags, (uint32_t)len, batch);
	nrs_buf_grow(b, JFRAME_HEAD + JPAD(len));
	return 0;
}

int
nrs_jcommit_put(struct nrs_buf *b, size_t start, size_t base, uint32_t salt_crc,
    uint64_t batch, uint32_t frames)
{
	uint8_t body[JCOMMIT_BODY];
	struct nrs_str part = { body, sizeof(body) };

	nrs_put_u32(body, frames);
	nrs_put_u32(body + 4, nrs_crc32c(0, b->p + start, b->len - start));
	nrs_put_u64(body + 8, base + start);
	return nrs_jframe_put(b, salt_crc, NRS_J_COMMIT, 0, batch, &part, 1);
}
