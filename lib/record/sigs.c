/* The signature block: its strict form, and when it counts (docs/FORMAT.md, section 3). */
#include "record/record.h"

#include <string.h>

void
nrs_sigs_encode1(struct nrs_buf *b, const uint8_t key_id[NRS_KEYID_LEN],
    const uint8_t sig[NRS_ED25519_SIG])
{
	nrs_buf_u8(b, 1);
	nrs_buf_u8(b, NRS_ALG_ED25519);
	nrs_buf_put(b, key_id, NRS_KEYID_LEN);
	nrs_buf_lstr(b, sig, NRS_ED25519_SIG);
}

static int
sig_order(const struct nrs_sig *a, const struct nrs_sig *b)
{
	if (a->alg != b->alg)
		return a->alg < b->alg ? -1 : 1;
	return memcmp(a->key_id, b->key_id, NRS_KEYID_LEN);
}

static int
sig_check(const struct nrs_sigs *s, unsigned int i, size_t off, struct nrs_detail *d)
{
	const struct nrs_sig *sig = &s->v[i];
	int cmp;

	if (sig->alg == NRS_ALG_ED25519 && sig->sig.len != NRS_ED25519_SIG)
		return nrs_fail(d, NRS_ESYNTAX, off, "an Ed25519 signature has 64 bytes");
	if (i == 0)
		return 0;
	cmp = sig_order(&s->v[i - 1], sig);
	if (cmp == 0)
		return nrs_fail(d, NRS_EDUPLICATE, off, "two signatures by one key");
	if (cmp > 0)
		return nrs_fail(d, NRS_EORDER, off, "signatures are not sorted");
	return 0;
}

int
nrs_sigs_decode(struct nrs_sigs *ret, const uint8_t *p, size_t len, struct nrs_detail *d)
{
	struct nrs_rd r;
	unsigned int n;
	size_t off;
	int err;

	ret->n = 0;
	if (len > NRS_SIGBLOCK_MAX)
		return nrs_fail(d, NRS_ELIMIT, 0, "signature block is too long");
	nrs_rd_init(&r, p, len);
	n = nrs_rd_u8(&r);
	if (r.err == 0 && (n == 0 || n > NRS_SIGS_MAX))
		return nrs_fail(d, NRS_ERANGE, 0, "%u signatures", n);
	for (unsigned int i = 0; i < n; i++) {
		off = nrs_rd_off(&r);
		ret->v[i].alg = nrs_rd_u8(&r);
		nrs_rd_copy(&r, ret->v[i].key_id, NRS_KEYID_LEN);
		ret->v[i].sig = nrs_rd_lstr(&r, UINT16_MAX);
		if (r.err != 0)
			return nrs_fail(d, r.err, off, "signature %u", i);
		err = sig_check(ret, i, off, d);
		if (err != 0)
			return err;
	}
	err = nrs_rd_end(&r);
	if (err != 0)
		return nrs_fail(d, err, nrs_rd_off(&r), "signature block");
	ret->n = n;
	return 0;
}

int
nrs_sigs_verify(const struct nrs_sigs *s, const uint8_t header[NRS_HEADER_LEN],
    const struct nrs_pubkey *feed, nrs_record_verify_fn verify)
{
	uint8_t pae[NRS_PAE_MAX];
	bool have_alg = false;
	size_t n;

	for (unsigned int i = 0; i < s->n; i++) {
		const struct nrs_sig *sig = &s->v[i];

		if (sig->alg != feed->alg)
			continue;
		have_alg = true;
		if (memcmp(sig->key_id, feed->id, NRS_KEYID_LEN) != 0)
			continue;
		n = nrs_header_pae(header, pae);
		return verify(feed->alg, feed->pub, sizeof(feed->pub), pae, n, sig->sig.p,
		    sig->sig.len);
	}
	return have_alg ? NRS_EKEY : NRS_EALG;
}
