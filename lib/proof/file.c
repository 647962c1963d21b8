/* The layout of a proof file (docs/FORMAT.md, section 10). */
#include "proof/proof.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "crypto/note.h"

static const uint8_t magic[8] = { 'N', 'R', 'P', '1', 1 };

void
nrs_proof_file_encode(struct nrs_buf *b, const struct nrs_proof_file *f)
{
	const struct nrs_proof_manifest *m;
	uint8_t *at;
	size_t start;

	nrs_buf_put(b, magic, sizeof(magic));
	nrs_buf_lstr(b, f->origin, strlen(f->origin));
	nrs_buf_u16(b, (uint16_t)f->nmanifests);
	for (unsigned int i = 0; i < f->nmanifests; i++) {
		m = &f->manifests[i];
		nrs_buf_u64(b, m->index);
		nrs_buf_u32(b, (uint32_t)m->note.len);
		nrs_buf_put(b, m->note.p, m->note.len);
		nrs_buf_u16(b, (uint16_t)(m->path.len / NRS_HASH_LEN));
		nrs_buf_put(b, m->path.p, m->path.len);
	}
	start = b->len;
	nrs_buf_u32(b, 0);
	nrs_proof_text_format(b, &f->text);
	if (b->err == 0) {
		at = b->p + start;
		nrs_put_u32(at, (uint32_t)(b->len - start - 4));
	}
	nrs_buf_put(b, f->header, NRS_HEADER_LEN);
	nrs_buf_u32(b, (uint32_t)f->sigs.len);
	nrs_buf_put(b, f->sigs.p, f->sigs.len);
	nrs_buf_put(b, f->salt, NRS_SALT_LEN);
	nrs_buf_put(b, f->payload.p, f->payload.len);
}

/* --- reading ------------------------------------------------------------- */

/* A piece of the file, by name for the error. */
static struct nrs_str
take(struct nrs_rd *r, size_t len, const char *what, struct nrs_detail *d)
{
	struct nrs_str s = { NULL, 0 };

	if (r->err == 0 && nrs_rd_left(r) < len)
		r->err = nrs_fail(d, NRS_ETRUNC, nrs_rd_off(r) + nrs_rd_left(r),
		    "the file ends inside the %s", what);
	else
		s = nrs_rd_bytes(r, len);
	return s;
}

static uint64_t
take_int(struct nrs_rd *r, size_t len, uint64_t max, const char *what, struct nrs_detail *d)
{
	size_t off = nrs_rd_off(r);
	struct nrs_str s = take(r, len, what, d);
	uint64_t v = 0;

	for (size_t i = 0; i < s.len; i++)
		v = v << 8 | s.p[i];
	if (r->err == 0 && v > max)
		r->err = nrs_fail(d, NRS_ELIMIT, off, "the %s is too large", what);
	return r->err == 0 ? v : 0;
}

static void
take_start(struct nrs_proof_file *f, struct nrs_rd *r, struct nrs_detail *d)
{
	struct nrs_str s = take(r, sizeof(magic), "beginning", d);
	size_t len, off;

	if (r->err != 0)
		return;
	if (memcmp(s.p, magic, 4) != 0)
		r->err = nrs_fail(d, NRS_EMAGIC, 0, "not a proof file");
	else if (s.p[4] != magic[4])
		r->err = nrs_fail(d, NRS_EVERSION, 4, "a proof file of version %u", s.p[4]);
	else if (memcmp(s.p + 5, magic + 5, sizeof(magic) - 5) != 0)
		r->err = nrs_fail(d, NRS_ERESERVED, 5, "reserved bytes are not zero");
	len = take_int(r, 2, NRS_ORIGIN_MAX, "name of the origin", d);
	off = nrs_rd_off(r);
	s = take(r, len, "name of the origin", d);
	if (r->err != 0)
		return;
	if (!nrs_origin_ok((const char *)s.p, s.len)) {
		r->err = nrs_fail(d, NRS_ESYNTAX, off, "not the name of an origin");
		return;
	}
	memcpy(f->origin, s.p, s.len);
	f->origin[s.len] = '\0';
}

static void
take_manifests(struct nrs_proof_file *f, struct nrs_rd *r, struct nrs_detail *d)
{
	struct nrs_proof_manifest *m;
	unsigned int n;

	n = (unsigned int)take_int(r, 2, NRS_PROOF_MANIFESTS_MAX, "number of manifests", d);
	if (r->err != 0 || n == 0)
		return;
	f->manifests = calloc(n, sizeof(*f->manifests));
	if (f->manifests == NULL) {
		r->err = nrs_fail(d, NRS_ENOMEM, nrs_rd_off(r), "out of memory");
		return;
	}
	for (; r->err == 0 && f->nmanifests < n; f->nmanifests++) {
		m = &f->manifests[f->nmanifests];
		m->index = take_int(r, 8, UINT64_MAX, "index of a manifest", d);
		m->note = take(r, take_int(r, 4, NRS_NOTE_MAX, "length of a manifest", d),
		    "manifest", d);
		m->path = take(r,
		    take_int(r, 2, NRS_PROOF_MAX, "number of hashes of a manifest", d) *
			NRS_HASH_LEN,
		    "proof of a manifest", d);
	}
}

static void
take_text(struct nrs_proof_file *f, struct nrs_rd *r, struct nrs_detail *d)
{
	struct nrs_detail sub = { 0 };
	size_t len, off;

	len = take_int(r, 4, NRS_PROOF_TEXT_MAX, "length of the tlog-proof", d);
	off = nrs_rd_off(r);
	f->raw_text = take(r, len, "tlog-proof", d);
	if (r->err != 0)
		return;
	r->err = nrs_proof_text_parse(&f->text, f->raw_text.p, len, &sub);
	if (r->err != 0)
		(void)nrs_fail(d, r->err, off + sub.off, "tlog-proof: %s", sub.text);
}

/* payload_len tells where the file ends: header and what follows it. */
static void
take_record(struct nrs_proof_file *f, struct nrs_rd *r, struct nrs_detail *d)
{
	struct nrs_detail sub = { 0 };
	struct nrs_header h;
	size_t off = nrs_rd_off(r);

	f->header = take(r, NRS_HEADER_LEN, "header", d).p;
	if (r->err != 0)
		return;
	r->err = nrs_header_decode(&h, f->header, NRS_HEADER_LEN, &sub);
	if (r->err != 0) {
		(void)nrs_fail(d, r->err, off + sub.off, "header: %s", sub.text);
		return;
	}
	f->sigs =
	    take(r, take_int(r, 4, NRS_SIGBLOCK_MAX, "length of the signature block", d),
		"signature block", d);
	f->salt = take(r, NRS_SALT_LEN, "salt", d).p;
	f->payload = take(r, (size_t)h.payload_len, "payload", d);
	if (r->err == 0 && nrs_rd_left(r) > 0)
		r->err = nrs_fail(
		    d, NRS_ETRAILING, nrs_rd_off(r), "something follows the payload");
}

int
nrs_proof_file_parse(
    struct nrs_proof_file *ret, const uint8_t *p, size_t len, struct nrs_detail *d)
{
	struct nrs_rd r;

	memset(ret, 0, sizeof(*ret));
	if (len > NRS_PROOF_FILE_MAX)
		return nrs_fail(d, NRS_ELIMIT, 0, "a proof file has at most 17 MiB");
	nrs_rd_init(&r, p, len);
	take_start(ret, &r, d);
	take_manifests(ret, &r, d);
	take_text(ret, &r, d);
	take_record(ret, &r, d);
	if (r.err != 0)
		nrs_proof_file_fini(ret);
	return r.err;
}

void
nrs_proof_file_fini(struct nrs_proof_file *f)
{
	free(f->manifests);
	f->manifests = NULL;
	f->nmanifests = 0;
}

/* --- what a file has of a checkpoint ---------------------------------------- */

int
nrs_proof_strip(struct nrs_buf *b, const uint8_t *note, size_t len, const char *origin,
    const struct nrs_pubkey *log)
{
	char name[NRS_ORIGIN_MAX + 8];
	struct nrs_note n;
	uint8_t id[4];
	int err;

	snprintf(name, sizeof(name), "%s/log", origin);
	err = nrs_note_parse(&n, note, len, NULL);
	if (err == 0)
		err = nrs_note_keyid(name, NRS_NOTE_ED25519, log->pub, id);
	if (err != 0)
		return err;
	for (unsigned int i = 0; i < n.nsigs; i++) {
		if (!(n.sigs[i].name.len == strlen(name) &&
			memcmp(n.sigs[i].name.p, name, strlen(name)) == 0 &&
			memcmp(n.sigs[i].id, id, sizeof(id)) == 0))
			continue;
		nrs_buf_put(b, n.text.p, n.text.len);
		nrs_buf_u8(b, '\n');
		nrs_note_add_sig(b, name, id, n.sigs[i].sig, n.sigs[i].sig_len);
		return b->err;
	}
	return NRS_ENOTFOUND;
}
