/*
 * Any bytes as a signed note: text and signature lines make up the whole of
 * it, and written again they are the same bytes.
 */
#include <noroshi/limits.h>

#include "crypto/key.h"
#include "crypto/note.h"
#include "tests/fuzz/fuzz.h"

static int
any_verify(uint8_t alg, const uint8_t *pub, size_t pub_len, const uint8_t *msg,
    size_t msg_len, const uint8_t *sig, size_t sig_len)
{
	FUZZ_CHECK(sig_len == NRS_ED25519_SIG && pub_len == 32 && msg_len > 0);
	return 0;
}

/* A line whose signature is longer than any known one is kept without it. */
static void
check_same(const struct nrs_note *n, const uint8_t *p, size_t len)
{
	struct nrs_buf b;
	unsigned int i;
	char *name;

	nrs_buf_init(&b, len + 1);
	nrs_buf_put(&b, n->text.p, n->text.len);
	nrs_buf_u8(&b, '\n');
	for (i = 0; i < n->nsigs; i++) {
		FUZZ_CHECK(n->sigs[i].sig_len <= sizeof(n->sigs[i].sig));
		if (n->sigs[i].sig_len == 0)
			break;
		if ((name = strndup(
			 (const char *)n->sigs[i].name.p, n->sigs[i].name.len)) == NULL)
			break;
		nrs_note_add_sig(
		    &b, name, n->sigs[i].id, n->sigs[i].sig, n->sigs[i].sig_len);
		free(name);
	}
	if (i == n->nsigs)
		FUZZ_SAME(&b, p, len);
	else
		FUZZ_CHECK(b.len < len && memcmp(b.p, p, b.len) == 0);
	nrs_buf_fini(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	static const uint8_t pub[32] = { 1 };
	struct nrs_detail d = { 0 };
	struct nrs_note n;
	uint64_t t;
	int rc;

	rc = nrs_note_parse(&n, p, len, &d);
	FUZZ_DETAIL(rc, &d);
	if (rc != 0)
		return 0;
	FUZZ_CHECK(n.nsigs > 0 && n.nsigs <= NRS_NOTE_SIGS_MAX);
	FUZZ_CHECK(n.text.p == p && n.text.len > 0 && p[n.text.len - 1] == '\n');
	check_same(&n, p, len);
	rc =
	    nrs_note_verify(&n, "example.org/log", NRS_NOTE_ED25519, pub, any_verify, NULL);
	FUZZ_CHECK(rc <= 0);
	rc = nrs_note_verify(
	    &n, "example.org/witness", NRS_NOTE_COSIGN, pub, any_verify, &t);
	FUZZ_CHECK(rc <= 0);
	return 0;
}
