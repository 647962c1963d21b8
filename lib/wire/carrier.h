/* The carrier file: frames of a session, in a file (docs/FORMAT.md, section 11). */
#ifndef WIRE_CARRIER_H
#define WIRE_CARRIER_H

#include "crypto/digest.h"
#include "wire/wire.h"

#define WIRE_CARRIER_STREAM   1
#define WIRE_CARRIER_END_LEN  88
#define WIRE_CARRIER_HEAD_MAX (8 + 2 * (2 + NRS_ORIGIN_MAX) + 3 * 8)

struct wire_carrier_head {
	char source[NRS_ORIGIN_MAX + 1];
	char dest[NRS_ORIGIN_MAX + 1];
	uint64_t from, to;
	struct nrs_wall written;
};

struct wire_carrier_end {
	uint64_t leaves, records, frames;
};

void wire_carrier_head_encode(struct nrs_buf *b, const struct wire_carrier_head *h);
/* The END frame, with the hash of every byte before the hash: dg has had all that went before. */
int wire_carrier_end_encode(struct nrs_buf *b, const struct wire_carrier_end *e,
    struct nrs_digest *dg) NRS_MUST_CHECK;

enum wire_carrier_state {
	WIRE_CARRIER_HEAD, /* still to come */
	WIRE_CARRIER_FRAMES,
	WIRE_CARRIER_ENDED, /* END was read, and the hash fits */
	WIRE_CARRIER_BROKEN,
};

/* Reads a file in pieces of any size. */
struct wire_carrier {
	enum wire_carrier_state state;
	struct wire_carrier_head head;
	struct wire_carrier_end end;
	uint64_t off;	 /* of the next byte */
	uint64_t frame;	 /* where the frame given last begins */
	uint64_t frames; /* given */
	/* the reader's own */
	uint8_t buf[WIRE_CARRIER_HEAD_MAX];
	size_t len;
	struct wire_reader reader;
	struct nrs_digest *dg;
};

int wire_carrier_init(struct wire_carrier *c) NRS_MUST_CHECK;
void wire_carrier_fini(struct wire_carrier *c);
/*
 * Takes from *p, *len as much as the header or one frame needs.  1: *ret is a
 * frame, checked as a frame and of a type that may be here; or, with body NULL,
 * one that may not, for the reason in *ret_err, and is passed over.  2: the header is
 * there.  0: all was taken; more is needed, or the file has ended.  Negative: the
 * file is damaged from here on, and nothing more is read; d says how.
 */
int wire_carrier_next(struct wire_carrier *c, const uint8_t **p, size_t *len,
    struct wire_frame *ret, int *ret_err, struct nrs_detail *d) NRS_MUST_CHECK;
/* The input is at its end: 0 when the file is whole, NRS_ETRUNC. */
int wire_carrier_finish(const struct wire_carrier *c, struct nrs_detail *d) NRS_MUST_CHECK;

#endif
