/*
 * Any bytes as the text of a membership statement: what is accepted is written
 * again to the same bytes, its members are found, and it does not follow itself.
 */
#include "base/buf.h"
#include "record/statement.h"
#include "tests/fuzz/fuzz.h"

static const struct nrs_pubkey *
no_key(void *arg, const struct nrs_member *m)
{
	return NULL;
}

static int
any_verify(uint8_t alg, const uint8_t *pub, size_t pub_len, const uint8_t *msg,
    size_t msg_len, const uint8_t *sig, size_t sig_len)
{
	return 0;
}

static void
check_members(const struct nrs_statement *s)
{
	unsigned int i;

	FUZZ_CHECK(s->nmembers >= 1 && s->nmembers <= NRS_MEMBERS_MAX);
	FUZZ_CHECK(s->nstewards >= 1 && s->threshold >= 1 && s->threshold <= s->nstewards);
	for (i = 0; i < s->nmembers; i++)
		FUZZ_CHECK(nrs_member_find(s->members, s->nmembers, s->members[i].origin) ==
		    &s->members[i]);
	for (i = 0; i < s->nstewards; i++)
		FUZZ_CHECK(nrs_member_find(
			       s->members, s->nmembers, s->stewards[i].origin) != NULL);
	FUZZ_CHECK(nrs_member_find(s->members, s->nmembers, "") == NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	struct nrs_detail d = { 0 };
	struct nrs_statement s;
	struct nrs_note note;
	struct nrs_buf b;
	int rc;

	rc = nrs_statement_parse(&s, p, len, &d);
	FUZZ_CHECK(rc == NRS_ENOMEM || d.code == rc);
	if (rc != 0)
		return 0;
	nrs_buf_init(&b, len + 1);
	rc = nrs_statement_format(&b, &s);
	FUZZ_CHECK(rc == 0);
	FUZZ_SAME(&b, p, len);
	check_members(&s);
	FUZZ_CHECK(nrs_statement_follows(&s, &s, NULL) != 0);
	FUZZ_CHECK((nrs_statement_follows(NULL, &s, NULL) == 0) == (s.epoch == 0));
	memset(&note, 0, sizeof(note));
	note.text.p = p;
	note.text.len = len;
	/* without a signature or a key nothing is signed by enough */
	FUZZ_CHECK(nrs_statement_verify(NULL, &s, &note, no_key, NULL, any_verify) != 0);
	nrs_buf_fini(&b);
	nrs_statement_fini(&s);
	return 0;
}
