/*
 * Any bytes as an invite file: all of its notes or none are given, and put
 * together again they are the file.
 */
#include "base/buf.h"
#include "record/manifest.h"
#include "tests/fuzz/fuzz.h"

#define SEPARATOR "-----\n"

static int
each(void *arg, const uint8_t *note, size_t len)
{
	struct nrs_note n;

	FUZZ_CHECK(len > 0 && len <= NRS_NOTE_MAX && note[len - 1] == '\n');
	nrs_invite_add(arg, note, len);
	return nrs_note_parse(&n, note, len, NULL) == NRS_ENOMEM ? NRS_ENOMEM : 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	size_t skip = strlen(SEPARATOR);
	struct nrs_detail d = { 0 };
	struct nrs_buf b;
	int rc;

	nrs_buf_init(&b, len + skip + 1);
	rc = nrs_invite_walk(p, len, each, &b, &d);
	FUZZ_DETAIL(rc, &d);
	if (rc != 0)
		FUZZ_CHECK(b.len == 0);
	else if (len >= skip && memcmp(p, SEPARATOR, skip) == 0)
		FUZZ_SAME(&b, p, len);
	else
		FUZZ_CHECK(
		    b.err == 0 && b.len == len + skip && memcmp(b.p + skip, p, len) == 0);
	nrs_buf_fini(&b);
	return 0;
}
