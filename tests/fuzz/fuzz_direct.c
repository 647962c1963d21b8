/* Any bytes as a list of recipients: what is accepted is written again to the same bytes. */
#include "base/buf.h"
#include "crypto/digest.h"
#include "record/statement.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	struct nrs_detail d = { 0 };
	struct nrs_direct list;
	struct nrs_hash id;
	struct nrs_buf b;
	int rc;

	rc = nrs_direct_parse(&list, p, len, &d);
	FUZZ_CHECK(rc == NRS_ENOMEM || d.code == rc);
	if (rc != 0)
		return 0;
	FUZZ_CHECK(list.n >= 1 && list.n <= NRS_MEMBERS_MAX);
	nrs_buf_init(&b, len + 1);
	rc = nrs_direct_format(&b, &list);
	FUZZ_CHECK(rc == 0);
	FUZZ_SAME(&b, p, len);
	id = list.id;
	rc = nrs_direct_id(&list);
	FUZZ_CHECK(rc == 0 && nrs_hash_eq(&id, &list.id));
	nrs_buf_fini(&b);
	nrs_direct_fini(&list);
	return 0;
}
