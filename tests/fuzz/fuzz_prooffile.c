/*
 * Any bytes as a proof file: what is read is written again as it was, and it
 * verifies only if it is one of the files that the origin's keys made.
 *
 * Input: u8 which true file (0-7), or above: none.  With one, what follows are
 * edits of it: u16 place, u8 length, u8 mode (0 change, 1 take out, 2 put in),
 * bytes; without, what follows is the file.
 */
#include "base/buf.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/proofworld.h"

static const struct {
	uint64_t index, size;
} files[] = { { 1, 2 }, { 1, 4 }, { 3, 4 }, { 3, 8 }, { 5, 6 }, { 5, 8 }, { 6, 7 },
	{ 7, 8 } };
#define NFILES (sizeof(files) / sizeof(files[0]))

static struct {
	bool ready;
	struct proofworld world;
	struct nrs_buf file[NFILES];
} made;

static void
make(void)
{
	if (made.ready)
		return;
	proofworld_init(&made.world);
	for (size_t i = 0; i < NFILES; i++)
		proofworld_file(&made.world, files[i].index, files[i].size, &made.file[i]);
	made.ready = true;
}

/* One edit after the other, as far as the input goes. */
static void
distort(struct nrs_buf *b, struct nrs_rd *r)
{
	struct nrs_str s;
	size_t at, n;
	uint8_t mode;

	while (nrs_rd_left(r) >= 4) {
		at = nrs_rd_u16(r);
		n = nrs_rd_u8(r);
		mode = nrs_rd_u8(r) % 3;
		if (at > b->len)
			at = b->len;
		if (mode == 1) {
			if (n > b->len - at)
				n = b->len - at;
			memmove(b->p + at, b->p + at + n, b->len - at - n);
			b->len -= n;
			continue;
		}
		if (n > nrs_rd_left(r))
			n = nrs_rd_left(r);
		if (mode == 0 && n > b->len - at)
			n = b->len - at;
		s = nrs_rd_bytes(r, n);
		if (mode == 2) {
			if (nrs_buf_reserve(b, n) == NULL)
				return;
			memmove(b->p + at + n, b->p + at, b->len - at);
			nrs_buf_grow(b, n);
		}
		if (n > 0)
			memcpy(b->p + at, s.p, n);
	}
}

static bool
is_true(const struct nrs_buf *b)
{
	for (size_t i = 0; i < NFILES; i++)
		if (b->len == made.file[i].len && memcmp(b->p, made.file[i].p, b->len) == 0)
			return true;
	return false;
}

static void
check(const struct nrs_buf *b)
{
	struct nrs_str given = { made.world.note[0].p, made.world.note[0].len };
	struct nrs_proof_result ret;
	struct nrs_proof_file f;
	struct nrs_detail d = { 0 };
	struct nrs_buf again;
	int rc;

	rc = nrs_proof_file_parse(&f, b->p, b->len, &d);
	FUZZ_DETAIL(rc, &d);
	FUZZ_CHECK(d.off <= b->len);
	if (rc == 0) {
		nrs_buf_init(&again, NRS_PROOF_FILE_MAX);
		nrs_proof_file_encode(&again, &f);
		FUZZ_SAME(&again, b->p, b->len);
		nrs_buf_fini(&again);
		nrs_proof_file_fini(&f);
	}
	memset(&d, 0, sizeof(d));
	rc = nrs_proof_file_verify(&ret, b->p, b->len, &given, 1, nrs_verify, &d);
	FUZZ_DETAIL(rc, &d);
	FUZZ_CHECK(d.off <= b->len);
	FUZZ_CHECK((rc == 0) == is_true(b));
	FUZZ_CHECK((rc == 0) == (ret.check == NRS_PROOF__CHECKS));
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	struct nrs_buf b;
	struct nrs_rd r;
	uint8_t which;

	if (len == 0)
		return 0;
	make();
	nrs_rd_init(&r, p, len);
	which = nrs_rd_u8(&r);
	nrs_buf_init(&b, NRS_PROOF_FILE_MAX);
	if (which < NFILES) {
		nrs_buf_put(&b, made.file[which].p, made.file[which].len);
		distort(&b, &r);
	} else {
		nrs_buf_put(&b, p + 1, len - 1);
	}
	check(&b);
	nrs_buf_fini(&b);
	return 0;
}
