/* Any bytes as the text of a checkpoint, and as its note; accepted: the same bytes again. */
#include "base/buf.h"
#include "tests/fuzz/fuzz.h"
#include "tlog/checkpoint.h"

static int
any_verify(uint8_t alg, const uint8_t *pub, size_t pub_len, const uint8_t *msg,
    size_t msg_len, const uint8_t *sig, size_t sig_len)
{
	FUZZ_CHECK(sig_len == NRS_ED25519_SIG);
	return 0;
}

static void
check_same(const struct nrs_checkpoint *c, const uint8_t *p, size_t len)
{
	struct nrs_buf b;
	int rc;

	FUZZ_CHECK(len <= NRS_CHECKPOINT_TEXT_MAX);
	nrs_buf_init(&b, len + 1);
	rc = nrs_checkpoint_format(&b, c);
	FUZZ_CHECK(rc == 0);
	FUZZ_SAME(&b, p, len);
	nrs_buf_fini(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	const struct nrs_pubkey log = { .alg = NRS_ALG_ED25519, .pub = { 1 } };
	struct nrs_detail d = { 0 }, dn = { 0 };
	struct nrs_checkpoint c;
	struct nrs_note n;
	int rc;

	rc = nrs_checkpoint_parse(&c, p, len, &d);
	FUZZ_DETAIL(rc, &d);
	if (rc == 0)
		check_same(&c, p, len);
	rc = nrs_checkpoint_open(&c, p, len, NULL, &log, any_verify, &dn);
	FUZZ_DETAIL(rc, &dn);
	if (rc == 0) {
		rc = nrs_note_parse(&n, p, len, NULL);
		FUZZ_CHECK(rc == 0);
		check_same(&c, n.text.p, n.text.len);
		rc = nrs_checkpoint_open(
		    &c, p, len, "other.example", &log, any_verify, NULL);
		FUZZ_CHECK(
		    rc == (strcmp(c.origin, "other.example") == 0 ? 0 : NRS_EORIGIN));
	}
	return 0;
}
