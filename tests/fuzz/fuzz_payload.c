/*
 * Any bytes as a stored payload: it expands to exactly the promised size or not
 * at all; and any bytes come back from their own compression.
 *
 * Input: u24 promised size, u8 raw, then the data.
 */
#include "journal/journal.h"
#include "tests/fuzz/fuzz.h"

static void
fuzz_expand(const uint8_t *p, size_t len, bool raw, size_t size)
{
	uint8_t *out;
	int rc;

	rc = nrs_payload_expand(p, len, raw, size, &out);
	FUZZ_CHECK((rc == 0) == (out != NULL));
	if (rc == 0 && raw)
		FUZZ_CHECK(len == size && (len == 0 || memcmp(out, p, len) == 0));
	free(out);
}

static void
fuzz_compress(const uint8_t *p, size_t len)
{
	uint8_t *packed, *out;
	size_t n;
	bool raw;
	int rc;

	rc = nrs_payload_compress(p, len, &packed, &n, &raw);
	FUZZ_CHECK(rc == 0 && raw == (packed == NULL));
	FUZZ_CHECK(raw ? n == len : n < len);
	rc = nrs_payload_expand(raw ? p : packed, n, raw, len, &out);
	FUZZ_CHECK(rc == 0 && (len == 0 || memcmp(out, p, len) == 0));
	free(out);
	free(packed);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	size_t size;

	if (len < 4)
		return 0;
	size = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
	fuzz_expand(p + 4, len - 4, (p[3] & 1) != 0, size);
	fuzz_compress(p + 4, len - 4);
	return 0;
}
