/*
 * Signed notes and cosignatures: https://c2sp.org/signed-note and
 * https://c2sp.org/tlog-cosignature, docs/FORMAT.md section 5.
 *
 * This file decides what the bytes of a note are; what its text says is the
 * business of others.
 */
#include "crypto/note.h"

#include <noroshi/limits.h>

#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "crypto/digest.h"
#include "crypto/key.h"

#define ID_LEN	   4
#define COSIGN_LEN (8 + NRS_ED25519_SIG)

static const uint8_t sig_prefix[] = { 0xe2, 0x80, 0x94, ' ' }; /* U+2014 SP */

/* What Unicode calls White_Space, besides the controls. */
static bool
is_space(uint32_t cp)
{
	return cp == ' ' || cp == 0xa0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200a) ||
	    cp == 0x2028 || cp == 0x2029 || cp == 0x202f || cp == 0x205f || cp == 0x3000;
}

static bool
is_control(uint32_t cp)
{
	return cp < 0x20 || (cp >= 0x7f && cp <= 0x9f);
}

/* Key names: not empty, no space, no plus sign (it ends the name in a vkey). */
static bool
name_ok(const uint8_t *p, size_t len)
{
	size_t off, n;
	uint32_t cp;

	for (off = 0; off < len; off += n) {
		n = nrs_utf8_next(p + off, len - off, &cp);
		if (n == 0 || is_space(cp) || is_control(cp) || cp == '+')
			return false;
	}
	return len > 0;
}

static int
check_text(const uint8_t *buf, size_t len, struct nrs_detail *d)
{
	size_t off, n;
	uint32_t cp;

	for (off = 0; off < len; off += n) {
		if ((n = nrs_utf8_next(buf + off, len - off, &cp)) == 0)
			return nrs_fail(d, NRS_EUTF8, off, "note is not UTF-8");
		if (is_control(cp) && cp != '\n')
			return nrs_fail(d, NRS_ESYNTAX, off, "control character in note");
	}
	return 0;
}

/*
 * Decodes id || signature.  A signature too long for any algorithm known here
 * is checked for its form and kept as an empty one, which verifies under none.
 */
static int
parse_blob(struct nrs_note_sig *s, const uint8_t *b64, size_t len)
{
	uint8_t blob[ID_LEN + sizeof(s->sig) + 1];
	const size_t step =
	    NRS_B64_LEN(ID_LEN + sizeof(s->sig)); /* 188 digits, 141 bytes */
	size_t off, n, take, total = 0;

	for (off = 0; off < len; off += take) {
		take = len - off < step ? len - off : step;
		if (nrs_b64_parse((const char *)b64 + off, take, blob, sizeof(blob), &n) !=
		    0)
			return NRS_ESYNTAX;
		if (off + take < len && n != step / 4 * 3)
			return NRS_ESYNTAX; /* padding before the end */
		if (off == 0 && n > ID_LEN) {
			s->sig_len = n - ID_LEN <= sizeof(s->sig) ? n - ID_LEN : 0;
			memcpy(s->id, blob, ID_LEN);
			memcpy(s->sig, blob + ID_LEN, s->sig_len);
		}
		total += n;
	}
	if (total <= ID_LEN)
		return NRS_ESYNTAX;
	if (total > ID_LEN + sizeof(s->sig))
		s->sig_len = 0;
	return 0;
}

/* One line without its newline. */
static int
parse_sig(struct nrs_note_sig *s, const uint8_t *line, size_t len)
{
	const uint8_t *name = line + sizeof(sig_prefix), *sp;

	if (len < sizeof(sig_prefix) || memcmp(line, sig_prefix, sizeof(sig_prefix)) != 0)
		return NRS_ESYNTAX;
	len -= sizeof(sig_prefix);
	if ((sp = memchr(name, ' ', len)) == NULL || !name_ok(name, (size_t)(sp - name)))
		return NRS_ESYNTAX;
	s->name.p = name;
	s->name.len = (size_t)(sp - name);
	return parse_blob(s, sp + 1, len - s->name.len - 1);
}

static bool
same_signer(const struct nrs_note_sig *a, const struct nrs_note_sig *b)
{
	return a->name.len == b->name.len &&
	    memcmp(a->name.p, b->name.p, a->name.len) == 0 &&
	    memcmp(a->id, b->id, ID_LEN) == 0;
}

static int
parse_sigs(
    struct nrs_note *ret, const uint8_t *buf, size_t off, size_t len, struct nrs_detail *d)
{
	struct nrs_note_sig *s;
	const uint8_t *nl;
	unsigned int i;

	for (; off < len; off = (size_t)(nl - buf) + 1) {
		if (ret->nsigs == NRS_NOTE_SIGS_MAX)
			return nrs_fail(d, NRS_ELIMIT, off, "too many signatures");
		s = &ret->sigs[ret->nsigs];
		if ((nl = memchr(buf + off, '\n', len - off)) == NULL)
			return nrs_fail(d, NRS_ETRUNC, len, "note ends inside a line");
		if (parse_sig(s, buf + off, (size_t)(nl - buf) - off) != 0)
			return nrs_fail(d, NRS_ESYNTAX, off, "malformed signature line");
		for (i = 0; i < ret->nsigs; i++)
			if (same_signer(&ret->sigs[i], s))
				return nrs_fail(
				    d, NRS_EDUPLICATE, off, "signed twice by one key");
		ret->nsigs++;
	}
	if (ret->nsigs == 0)
		return nrs_fail(d, NRS_ETRUNC, len, "note has no signature");
	return 0;
}

/* The text may hold empty lines: the last one is the border.  0 when there is none. */
static size_t
find_border(const uint8_t *buf, size_t len)
{
	size_t i;

	for (i = len; i >= 2; i--)
		if (buf[i - 1] == '\n' && buf[i - 2] == '\n')
			return i;
	return 0;
}

int
nrs_note_parse(struct nrs_note *ret, const uint8_t *buf, size_t len, struct nrs_detail *d)
{
	size_t border;
	int rc;

	memset(ret, 0, sizeof(*ret));
	if (len > NRS_NOTE_MAX)
		return nrs_fail(
		    d, NRS_ELIMIT, 0, "note of more than %u bytes", NRS_NOTE_MAX);
	if ((rc = check_text(buf, len, d)) != 0)
		return rc;
	/* 2 would be an empty text. */
	if ((border = find_border(buf, len)) <= 2)
		return nrs_fail(d, NRS_ESYNTAX, len, "no empty line before the signatures");
	ret->text.p = buf;
	ret->text.len = border - 1;
	return parse_sigs(ret, buf, border, len, d);
}

int
nrs_note_keyid(const char *name, uint8_t type, const uint8_t pub[32], uint8_t id[4])
{
	uint8_t tail[2] = { '\n', type };
	struct nrs_digest *h;
	struct nrs_hash hash;
	int rc;

	if (!name_ok((const uint8_t *)name, strlen(name)))
		return NRS_ESYNTAX;
	if ((h = nrs_digest_new()) == NULL)
		return NRS_ENOMEM;
	nrs_digest_begin(h);
	nrs_digest_add(h, name, strlen(name));
	nrs_digest_add(h, tail, sizeof(tail));
	nrs_digest_add(h, pub, 32);
	if ((rc = nrs_digest_end(h, &hash)) == 0)
		memcpy(id, hash.b, ID_LEN);
	nrs_digest_free(h);
	return rc;
}

/* Appends base64 of head || tail. */
static void
put_b64(struct nrs_buf *b, const uint8_t *head, size_t head_len, const uint8_t *tail,
    size_t tail_len)
{
	uint8_t raw[ID_LEN + sizeof(((struct nrs_note_sig *)0)->sig)];
	char text[NRS_B64_LEN(sizeof(raw)) + 1];

	if (head_len + tail_len > sizeof(raw)) {
		if (b->err == 0)
			b->err = NRS_ELIMIT;
		return;
	}
	memcpy(raw, head, head_len);
	memcpy(raw + head_len, tail, tail_len);
	nrs_b64_format(text, raw, head_len + tail_len);
	nrs_buf_str(b, text);
}

void
nrs_note_add_sig(struct nrs_buf *b, const char *name, const uint8_t id[4],
    const uint8_t *sig, size_t len)
{
	nrs_buf_put(b, sig_prefix, sizeof(sig_prefix));
	nrs_buf_str(b, name);
	nrs_buf_u8(b, ' ');
	put_b64(b, id, ID_LEN, sig, len);
	nrs_buf_u8(b, '\n');
}

void
nrs_note_cosign_msg(struct nrs_buf *b, uint64_t time_s, const uint8_t *text, size_t len)
{
	nrs_buf_fmt(b, "cosignature/v1\ntime %" PRIu64 "\n", time_s);
	nrs_buf_put(b, text, len);
}

static int
verify_cosign(const struct nrs_note *n, const struct nrs_note_sig *s, const uint8_t pub[32],
    nrs_verify_fn verify, uint64_t *ret_time)
{
	uint64_t t = nrs_get_u64(s->sig);
	struct nrs_buf msg;
	int rc;

	nrs_buf_init(&msg, NRS_NOTE_MAX + 64);
	nrs_note_cosign_msg(&msg, t, n->text.p, n->text.len);
	if ((rc = msg.err) == 0)
		rc = verify(
		    NRS_ALG_ED25519, pub, 32, msg.p, msg.len, s->sig + 8, NRS_ED25519_SIG);
	nrs_buf_fini(&msg);
	if (rc == 0 && ret_time != NULL)
		*ret_time = t;
	return rc;
}

int
nrs_note_verify(const struct nrs_note *n, const char *name, uint8_t type,
    const uint8_t pub[32], nrs_verify_fn verify, uint64_t *ret_time)
{
	struct nrs_note_sig want = { .name = { (const uint8_t *)name, strlen(name) } };
	const struct nrs_note_sig *s = NULL;
	unsigned int i;
	int rc;

	if (ret_time != NULL)
		*ret_time = 0;
	if ((rc = nrs_note_keyid(name, type, pub, want.id)) != 0)
		return rc;
	for (i = 0; i < n->nsigs && s == NULL; i++)
		if (same_signer(&n->sigs[i], &want))
			s = &n->sigs[i];
	if (s == NULL)
		return NRS_ENOTFOUND;
	if (type == NRS_NOTE_COSIGN && s->sig_len == COSIGN_LEN)
		return verify_cosign(n, s, pub, verify, ret_time);
	if (type == NRS_NOTE_ED25519 && s->sig_len == NRS_ED25519_SIG)
		return verify(
		    NRS_ALG_ED25519, pub, 32, n->text.p, n->text.len, s->sig, s->sig_len);
	return NRS_ESIG;
}

int
nrs_note_vkey(struct nrs_buf *b, const char *name, uint8_t type, const uint8_t pub[32])
{
	uint8_t id[ID_LEN];
	char hex[2 * ID_LEN + 1];
	int rc;

	if ((rc = nrs_note_keyid(name, type, pub, id)) != 0)
		return rc;
	nrs_hex_format(hex, id, sizeof(id));
	nrs_buf_fmt(b, "%s+%s+", name, hex);
	put_b64(b, &type, 1, pub, 32);
	return b->err;
}
