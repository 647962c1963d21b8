/*
 * Any bytes as a record: header, then signature block.  What is accepted is
 * encoded again to the same bytes, and a header never verifies as another.
 */
#include "record/record.h"
#include "tests/fuzz/fuzz.h"

static void
fuzz_header(const uint8_t *p, size_t len)
{
	uint8_t again[NRS_HEADER_LEN], pae[NRS_PAE_MAX];
	struct nrs_detail d = { 0 };
	struct nrs_header h;
	size_t n;
	int rc;

	rc = nrs_header_decode(&h, p, len, &d);
	FUZZ_DETAIL(rc, &d);
	if (rc != 0)
		return;
	if (h.version == NRS_HEADER_VERSION) {
		nrs_header_encode(&h, again);
		FUZZ_CHECK(memcmp(again, p, NRS_HEADER_LEN) == 0);
	}
	FUZZ_CHECK(
	    h.version != 0 && (h.version == NRS_HEADER_VERSION || h.kind == NRS_KIND_NONE));
	n = nrs_header_pae(p, pae);
	FUZZ_CHECK(n > NRS_HEADER_LEN && n <= sizeof(pae));
	FUZZ_CHECK(memcmp(pae + n - NRS_HEADER_LEN, p, NRS_HEADER_LEN) == 0);
}

static int
no_verify(uint8_t alg, const uint8_t *pub, size_t pub_len, const uint8_t *msg,
    size_t msg_len, const uint8_t *sig, size_t sig_len)
{
	FUZZ_CHECK(alg == NRS_ALG_ED25519 && sig_len == NRS_ED25519_SIG);
	return NRS_ESIG;
}

static void
fuzz_sigs(const uint8_t *p, size_t len)
{
	static const uint8_t header[NRS_HEADER_LEN] = { 'N', 'R', 'S', '1', 1, 1 };
	struct nrs_pubkey key = { .alg = NRS_ALG_ED25519 };
	struct nrs_detail d = { 0 };
	struct nrs_sigs s;
	struct nrs_buf b;
	unsigned int i;
	int rc;

	rc = nrs_sigs_decode(&s, p, len, &d);
	FUZZ_DETAIL(rc, &d);
	FUZZ_CHECK((rc == 0) == (s.n > 0));
	nrs_buf_init(&b, len + 1);
	if (rc == 0) {
		nrs_buf_u8(&b, (uint8_t)s.n);
		for (i = 0; i < s.n; i++) {
			nrs_buf_u8(&b, s.v[i].alg);
			nrs_buf_put(&b, s.v[i].key_id, NRS_KEYID_LEN);
			nrs_buf_lstr(&b, s.v[i].sig.p, s.v[i].sig.len);
		}
		FUZZ_SAME(&b, p, len);
		memcpy(key.id, s.v[0].key_id, NRS_KEYID_LEN);
		FUZZ_CHECK(nrs_sigs_verify(&s, header, &key, no_verify) != 0);
	}
	nrs_buf_fini(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	size_t n = len < NRS_HEADER_LEN ? len : NRS_HEADER_LEN;

	fuzz_header(p, n);
	fuzz_sigs(p + n, len - n);
	return 0;
}
