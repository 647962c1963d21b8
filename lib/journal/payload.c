/* Payloads as the journal stores them: one zstd frame, or as they are. */
#include <stdlib.h>
#include <string.h>

#include <zstd.h>

#include "journal/journal.h"

#define LEVEL 1

struct nrs_packer {
	ZSTD_CCtx *ctx;
};

struct nrs_packer *
nrs_packer_new(void)
{
	struct nrs_packer *k = calloc(1, sizeof(*k));

	if (k != NULL && (k->ctx = ZSTD_createCCtx()) != NULL)
		return k;
	free(k);
	return NULL;
}

void
nrs_packer_free(struct nrs_packer *k)
{
	if (k == NULL)
		return;
	ZSTD_freeCCtx(k->ctx);
	free(k);
}

/* The same bytes with and without a context that is kept. */
int
nrs_packer_run(struct nrs_packer *k, const uint8_t *p, size_t len, uint8_t **ret,
    size_t *ret_len, bool *ret_raw)
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
	n = k != NULL ? ZSTD_compressCCtx(k->ctx, out, len - 1, p, len, LEVEL)
		      : ZSTD_compress(out, len - 1, p, len, LEVEL);
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

int
nrs_payload_compress(
    const uint8_t *p, size_t len, uint8_t **ret, size_t *ret_len, bool *ret_raw)
{
	return nrs_packer_run(NULL, p, len, ret, ret_len, ret_raw);
}

/* Exactly one frame that says its size, and says the size that the header promised. */
static bool
frame_ok(const uint8_t *p, size_t len, size_t raw_len)
{
	unsigned long long size = ZSTD_getFrameContentSize(p, len);
	size_t n = ZSTD_findFrameCompressedSize(p, len);

	return size == raw_len && !ZSTD_isError(n) && n == len;
}

struct nrs_expander {
	ZSTD_DCtx *ctx;
	uint8_t *buf;
	size_t cap;
};

struct nrs_expander *
nrs_expander_new(void)
{
	struct nrs_expander *x = calloc(1, sizeof(*x));

	if (x != NULL && (x->ctx = ZSTD_createDCtx()) == NULL) {
		free(x);
		return NULL;
	}
	return x;
}

void
nrs_expander_free(struct nrs_expander *x)
{
	if (x == NULL)
		return;
	ZSTD_freeDCtx(x->ctx);
	free(x->buf);
	free(x);
}

void
nrs_expander_trim(struct nrs_expander *x, size_t keep)
{
	if (x->cap <= keep)
		return;
	free(x->buf);
	x->buf = NULL;
	x->cap = 0;
}

static int
expander_room(struct nrs_expander *x, size_t len)
{
	size_t cap = len > 4096 ? len : 4096;
	uint8_t *p;

	if (len <= x->cap)
		return 0;
	/* Not realloc: what is in it need not be kept. */
	if ((p = malloc(cap)) == NULL)
		return NRS_ENOMEM;
	free(x->buf);
	x->buf = p;
	x->cap = cap;
	return 0;
}

int
nrs_expander_run(struct nrs_expander *x, const uint8_t *p, size_t len, bool raw,
    size_t raw_len, const uint8_t **ret)
{
	int rc;

	*ret = NULL;
	if (raw_len > NRS_PAYLOAD_MAX)
		return NRS_ELIMIT;
	if (raw ? len != raw_len : !frame_ok(p, len, raw_len))
		return NRS_ECORRUPT;
	if (raw) {
		*ret = p;
		return 0;
	}
	if ((rc = expander_room(x, raw_len)) != 0)
		return rc;
	if (ZSTD_decompressDCtx(x->ctx, x->buf, raw_len, p, len) != raw_len)
		return NRS_ECORRUPT;
	*ret = x->buf;
	return 0;
}

int
nrs_payload_expand(const uint8_t *p, size_t len, bool raw, size_t raw_len, uint8_t **ret)
{
	struct nrs_expander x = { 0 };
	const uint8_t *out;
	int rc;

	*ret = NULL;
	if (!raw && (x.ctx = ZSTD_createDCtx()) == NULL)
		return NRS_ENOMEM;
	rc = nrs_expander_run(&x, p, len, raw, raw_len, &out);
	ZSTD_freeDCtx(x.ctx);
	if (rc == 0 && raw) {
		if ((*ret = malloc(raw_len > 0 ? raw_len : 1)) == NULL)
			return NRS_ENOMEM;
		if (raw_len > 0)
			memcpy(*ret, p, raw_len);
		return 0;
	}
	if (rc != 0)
		free(x.buf);
	else
		*ret = x.buf;
	return rc;
}
