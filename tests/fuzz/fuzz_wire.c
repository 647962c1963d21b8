/*
 * Any bytes as what a peer sends: the same frames however the stream is cut,
 * and every body that a decoder accepts is the one encoding of what it says.
 * The first byte chooses the size of the pieces.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/digest.h"
#include "wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

static void
same(const struct nrs_buf *b, const uint8_t *p, size_t len)
{
	if (b->err != 0 || b->len != len || (len > 0 && memcmp(b->p, p, len) != 0))
		abort();
}

static void
lists(const struct wire_frame *f, struct nrs_buf *b)
{
	struct wire_have_audience ha;
	struct wire_community c;
	struct wire_list l;
	struct wire_have h;
	struct nrs_str note;

	if (f->type == WIRE_COMMUNITIES &&
	    wire_communities_decode(&l, f->body, f->len) == 0) {
		nrs_buf_u32(b, l.n);
		while (wire_communities_next(&l, &c))
			wire_community_encode(b, &c);
		same(b, f->body, f->len);
	} else if (f->type == WIRE_STATEMENTS &&
	    wire_statements_decode(&l, f->body, f->len) == 0) {
		nrs_buf_u32(b, l.n);
		while (wire_statements_next(&l, &note))
			wire_statement_encode(b, note.p, note.len);
		same(b, f->body, f->len);
	} else if (f->type == WIRE_HAVE && wire_have_decode(&l, f->body, f->len) == 0) {
		nrs_buf_u32(b, l.n);
		while (wire_have_next(&l, &h)) {
			wire_have_encode(b, &h.origin, h.size, h.audiences.n);
			while (wire_have_audience_next(&h.audiences, &ha))
				wire_have_audience_encode(b, &ha);
		}
		same(b, f->body, f->len);
	}
}

static void
streams(const struct wire_frame *f, struct nrs_buf *b)
{
	struct wire_ack_audience aa;
	struct wire_record rec;
	struct wire_leaves lv;
	struct wire_fetch fe;
	struct wire_entry e;
	struct wire_ack a;
	bool records = f->type == WIRE_FETCH_RECORDS;

	if (f->type == WIRE_ACK && wire_ack_decode(&a, f->body, f->len) == 0) {
		wire_ack_encode(b, &a.origin, a.size, a.audiences.n);
		while (wire_ack_audience_next(&a.audiences, &aa))
			wire_ack_audience_encode(b, &aa);
		same(b, f->body, f->len);
	} else if ((f->type == WIRE_FETCH_LEAVES || records) &&
	    wire_fetch_decode(&fe, records, f->body, f->len) == 0) {
		wire_fetch_encode(b, &fe, records);
		same(b, f->body, f->len);
	} else if (f->type == WIRE_LEAVES &&
	    wire_leaves_decode(&lv, f->body, f->len) == 0) {
		wire_leaves_encode(b, &lv);
		while (wire_leaves_next(&lv.entries, &e))
			wire_entry_encode(b, &e);
		same(b, f->body, f->len);
	} else if (f->type == WIRE_RECORD &&
	    wire_record_decode(&rec, f->body, f->len) == 0) {
		wire_record_encode(b, &rec);
		same(b, f->body, f->len);
	}
}

static void
session(const struct wire_frame *f, struct nrs_buf *b)
{
	struct wire_refuse refuse;
	struct wire_hello hello;
	struct wire_bye bye;
	uint32_t credit;
	uint64_t token;

	if (f->type == WIRE_HELLO && wire_hello_decode(&hello, f->body, f->len) == 0) {
		wire_hello_encode(b, &hello);
		same(b, f->body, f->len);
	} else if (f->type == WIRE_BYE && wire_bye_decode(&bye, f->body, f->len) == 0) {
		wire_bye_encode(b, &bye);
		same(b, f->body, f->len);
	} else if (f->type == WIRE_REFUSE &&
	    wire_refuse_decode(&refuse, f->body, f->len) == 0) {
		wire_refuse_encode(b, &refuse);
		same(b, f->body, f->len);
	} else if ((f->type == WIRE_PING || f->type == WIRE_PONG) &&
	    wire_ping_decode(&token, f->body, f->len) == 0) {
		wire_ping_encode(b, token);
		same(b, f->body, f->len);
	} else if (f->type == WIRE_CREDIT &&
	    wire_credit_decode(&credit, f->body, f->len) == 0) {
		wire_credit_encode(b, credit);
		same(b, f->body, f->len);
	}
}

/* All frames of the stream, in pieces; what came out, as a hash. */
static void
run(const uint8_t *p, size_t len, size_t piece, bool decode, struct nrs_hash *ret)
{
	struct nrs_digest *dg = nrs_digest_new();
	struct wire_reader r = { 0 };
	struct wire_frame f;
	struct nrs_buf b;
	size_t n;

	if (dg == NULL)
		abort();
	nrs_digest_begin(dg);
	nrs_buf_init(&b, NRS_FRAME_MAX * 2);
	while (len > 0) {
		const uint8_t *q = p;
		size_t left;

		n = left = len < piece ? len : piece;
		while (wire_reader_next(&r, &q, &left, &f) == 1) {
			nrs_digest_u32(dg, f.len);
			nrs_digest_u32(
			    dg, (uint32_t)f.type << 24 | f.flags << 16 | f.stream);
			if (f.body != NULL)
				nrs_digest_add(dg, f.body, f.len);
			if (!decode || wire_frame_check(&f) != 0)
				continue;
			nrs_buf_reset(&b);
			session(&f, &b);
			lists(&f, &b);
			streams(&f, &b);
		}
		p += n;
		len -= n;
	}
	if (nrs_digest_end(dg, ret) != 0)
		abort();
	nrs_digest_free(dg);
	nrs_buf_fini(&b);
	wire_reader_fini(&r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	struct nrs_hash whole, parts;

	if (len == 0)
		return 0;
	run(p + 1, len - 1, len, true, &whole);
	run(p + 1, len - 1, (size_t)p[0] + 1, false, &parts);
	if (memcmp(whole.b, parts.b, NRS_HASH_LEN) != 0)
		abort();
	return 0;
}
