/* Payloads as the journal stores them: one zstd frame, or as they are. */
#include <stdlib.h>
#include <string.h>

#include <zstd.h>

#include "journal/journal.h"

#define LEVEL 1

int
nrs_payload_compress(
    const uint8_t *p, size_t len, uint8_t **ret, size_t *ret_len, bool *ret_raw)
{
	size_t n;
	uint8_t *out, *fit;

	*ret = NULL;
	*ret_len = len;
	*ret_raw = true;
	if (len > NRS_PAYLOAD_MAX)
		return NRS_ELIMIT;
	if (len == 0)
		return 0;
	/* No room to grow: what does not become smaller is stored as it is. */
	if ((out = malloc(len)) == NULL)
		return NRS_ENOMEM;
	n = ZSTD_compress(out, len - 1, p, len, LEVEL);
	if (ZSTD_isError(n)) {
		free(out);
		return 0;
	}
	if ((fit = realloc(out, n)) != NULL)
		out = fit;
	*ret = out;
	*ret_len = n;
	*ret_raw = false;
	return 0;
}

/* Exactly one frame that says its size, and says the size that the header promised. */
static bool
frame_ok(const uint8_t *p, size_t len, size_t raw_len)
{
	unsigned long long size = ZSTD_getFrameContentSize(p, len);
	size_t n = ZSTD_findFrameCompressedSize(p, len);

	return size == raw_len && !ZSTD_isError(n) && n == len;
}

int
nrs_payload_expand(const uint8_t *p, size_t len, bool raw, size_t raw_len, uint8_t **ret)
{
	uint8_t *out;
	int rc = 0;

	*ret = NULL;
	if (raw_len > NRS_PAYLOAD_MAX)
		return NRS_ELIMIT;
	if (raw ? len != raw_len : !frame_ok(p, len, raw_len))
		return NRS_ECORRUPT;
	if ((out = malloc(raw_len > 0 ? raw_len : 1)) == NULL)
		return NRS_ENOMEM;
	if (!raw)
		rc = ZSTD_decompress(out, raw_len, p, len) == raw_len ? 0 : NRS_ECORRUPT;
	else if (raw_len > 0)
		memcpy(out, p, raw_len);
	if (rc != 0) {
		free(out);
		return rc;
	}
	*ret = out;
	return 0;
}
