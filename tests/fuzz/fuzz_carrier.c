/*
 * Any bytes as a carrier file.  In one piece or byte by byte, the same is read;
 * what is read as whole is written again as it was; and a file that is made here
 * of frames of the input is read as whole, and not when a bit of it is changed.
 *
 * Input: u8 how (0: the file itself; else edits of a true file), then bytes.
 */
#include "base/buf.h"
#include "tests/fuzz/fuzz.h"
#include "wire/carrier.h"

#define FILE_MAX (4u << 20)

/* All that a reader says of a file, in one hash. */
static void
told(struct nrs_digest *dg, int rc, const struct wire_frame *f, int err)
{
	nrs_digest_u64(dg, (uint64_t)rc);
	if (rc != 1)
		return;
	nrs_digest_u64(dg, (uint64_t)err);
	nrs_digest_u32(dg, f->len);
	nrs_digest_u32(dg, (uint32_t)f->type << 16 | f->stream);
	if (f->body != NULL)
		nrs_digest_add(dg, f->body, f->len);
}

static int
read_all(
    const uint8_t *p, size_t len, size_t step, struct nrs_hash *ret, struct nrs_buf *again)
{
	struct nrs_digest *dg = nrs_digest_new();
	struct wire_frame f;
	struct wire_carrier c;
	struct nrs_detail d = { 0 };
	size_t n, at;
	int rc, err;

	FUZZ_CHECK(dg != NULL && wire_carrier_init(&c) == 0);
	nrs_digest_begin(dg);
	for (rc = 0; rc >= 0 && len > 0; len -= n) {
		const uint8_t *q = p;
		size_t left;

		n = len < step ? len : step;
		left = n;
		while ((rc = wire_carrier_next(&c, &q, &left, &f, &err, &d)) != 0) {
			FUZZ_CHECK(c.off <= FILE_MAX);
			told(dg, rc, &f, err);
			if (rc < 0)
				break;
			if (rc == 2 && again != NULL)
				wire_carrier_head_encode(again, &c.head);
			if (rc == 1 && again != NULL && f.body != NULL) {
				wire_begin(again, f.type, f.flags, f.stream, &at);
				nrs_buf_put(again, f.body, f.len);
				wire_end(again, at);
			}
		}
		FUZZ_CHECK(rc < 0 || left == 0);
		p += n;
	}
	FUZZ_CHECK(rc >= 0 || (d.code == rc && c.state == WIRE_CARRIER_BROKEN));
	if (rc >= 0)
		rc = wire_carrier_finish(&c, &d);
	nrs_digest_u64(dg, c.state);
	nrs_digest_u64(dg, c.off);
	nrs_digest_u64(dg, (uint64_t)rc);
	FUZZ_CHECK(nrs_digest_end(dg, ret) == 0);
	nrs_digest_free(dg);
	wire_carrier_fini(&c);
	return rc;
}

static void
check(const uint8_t *p, size_t len)
{
	struct nrs_hash one, two;
	struct nrs_buf again;
	int rc;

	nrs_buf_init(&again, FILE_MAX);
	rc = read_all(p, len, len > 0 ? len : 1, &one, &again);
	if (rc == 0 && again.len + WIRE_HEADER_LEN + WIRE_CARRIER_END_LEN == len)
		FUZZ_CHECK(memcmp(again.p, p, again.len) == 0);
	FUZZ_CHECK(read_all(p, len, 1, &two, NULL) == rc);
	FUZZ_CHECK(nrs_hash_eq(&one, &two));
	FUZZ_CHECK(read_all(p, len, 7, &two, NULL) == rc);
	FUZZ_CHECK(nrs_hash_eq(&one, &two));
	nrs_buf_fini(&again);
}

/* A true file of frames that the input names: u8 type, u8 length, bytes. */
static void
make(struct nrs_buf *b, struct nrs_rd *r)
{
	static const uint8_t types[] = { WIRE_STATEMENTS, WIRE_LEAVES, WIRE_RECORD,
		WIRE_DATA };
	struct wire_carrier_head h = { .source = "jp.cert.example",
		.dest = "sg.cert.example",
		.from = 3,
		.to = 9,
		.written.ms = 1763822460000 };
	struct wire_carrier_end e = { 1, 2, 0 };
	struct nrs_digest *dg = nrs_digest_new();
	struct nrs_str s;
	uint8_t type;
	size_t at, n;

	wire_carrier_head_encode(b, &h);
	for (; nrs_rd_left(r) >= 2 && e.frames < 64; e.frames++) {
		type = types[nrs_rd_u8(r) % 4];
		n = nrs_rd_u8(r);
		if (n > nrs_rd_left(r))
			n = nrs_rd_left(r);
		s = nrs_rd_bytes(r, n);
		wire_begin(
		    b, type, 0, type == WIRE_STATEMENTS ? 0 : WIRE_CARRIER_STREAM, &at);
		nrs_buf_put(b, s.p, s.len);
		wire_end(b, at);
	}
	FUZZ_CHECK(b->err == 0 && dg != NULL);
	nrs_digest_begin(dg);
	nrs_digest_add(dg, b->p, b->len);
	FUZZ_CHECK(wire_carrier_end_encode(b, &e, dg) == 0);
	nrs_digest_free(dg);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	struct nrs_hash hash;
	struct nrs_buf b;
	struct nrs_rd r;
	size_t bit;

	if (len < 3 || len > FILE_MAX / 2)
		return 0;
	if (p[0] == 0) {
		check(p + 1, len - 1);
		return 0;
	}
	nrs_buf_init(&b, FILE_MAX);
	nrs_rd_init(&r, p + 3, len - 3);
	make(&b, &r);
	FUZZ_CHECK(read_all(b.p, b.len, b.len, &hash, NULL) == 0);
	bit = (size_t)(p[1] << 8 | p[2]) % (b.len * 8);
	b.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
	FUZZ_CHECK(read_all(b.p, b.len, b.len, &hash, NULL) != 0);
	check(b.p, b.len);
	nrs_buf_fini(&b);
	return 0;
}
