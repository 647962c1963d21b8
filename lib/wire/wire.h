/*
 * What peers say to each other (docs/PROTOCOL.md): frames, and one codec for
 * each family of messages.
 *
 * Decoders are strict: what is after the end, reserved bytes that are not zero
 * and values out of range are refused.  Lists stay in the frame: a decoder
 * checks the whole of it first and gives views, walked with the _next functions,
 * which then cannot fail.  Encoders append a body; wire_begin() and wire_end()
 * put the frame header before it.
 */
#ifndef WIRE_WIRE_H
#define WIRE_WIRE_H

#include <noroshi/err.h>
#include <noroshi/limits.h>
#include <noroshi/types.h>

#include "base/buf.h"
#include "record/record.h"
#include "tlog/tree.h"

#define WIRE_VERSION	1
#define WIRE_HEADER_LEN 8
#define WIRE_ITEM_MAX	(17u << 20) /* a RECORD with its DATA frames */
#define WIRE_MORE	0x01	    /* the only frame flag */

enum wire_type {
	WIRE_HELLO = 1,
	WIRE_BYE = 2,
	WIRE_MANIFESTS = 3,
	WIRE_STATEMENTS = 4,
	WIRE_COMMUNITIES = 5,
	WIRE_HAVE = 6,
	WIRE_FETCH_LEAVES = 7,
	WIRE_FETCH_RECORDS = 8,
	WIRE_CREDIT = 9,
	WIRE_CANCEL = 10,
	WIRE_LEAVES = 11,
	WIRE_RECORD = 12,
	WIRE_DATA = 13,
	WIRE_ACK = 14,
	WIRE_REFUSE = 15,
	WIRE_PING = 16,
	WIRE_PONG = 17,
	WIRE__MAX
};

/* --- frames (frame.c) --------------------------------------------------- */

struct wire_frame {
	uint8_t type;
	uint8_t flags;
	uint16_t stream;
	uint32_t len;	     /* of the body, as its header says */
	const uint8_t *body; /* NULL when it was too long and is skipped */
};

/* Incremental: bytes in any portions, frames out.  Zeroed is ready. */
struct wire_reader {
	uint8_t header[WIRE_HEADER_LEN];
	size_t header_len;
	uint8_t *body; /* of a frame that came in parts; owned */
	size_t body_len;
	uint64_t skip; /* bytes of an oversized frame still to come */
};

/*
 * Takes from *p, *len as much as one frame needs.  1: *ret is a frame; its body
 * lives until the next call and no longer than the input.  0: all was taken,
 * more is needed.  NRS_ENOMEM: nothing was taken.
 */
int wire_reader_next(struct wire_reader *r, const uint8_t **p, size_t *len,
    struct wire_frame *ret) NRS_MUST_CHECK;
void wire_reader_fini(struct wire_reader *r);
/*
 * May this frame be at all?  0, NRS_ELIMIT, NRS_ETYPE, NRS_ERESERVED (a flag
 * that its type does not have), NRS_ERANGE (stream 0 where one is needed, or
 * the reverse; a frame with more to come that is not full).
 */
int wire_frame_check(const struct wire_frame *f) NRS_MUST_CHECK;
/* Name of a type, for logs; "unknown". */
const char *wire_type_name(uint8_t type);

/* A frame header, whose length wire_end() fills in. *ret_at: where it stands. */
void wire_begin(
    struct nrs_buf *b, uint8_t type, uint8_t flags, uint16_t stream, size_t *ret_at);
void wire_end(struct nrs_buf *b, size_t at);

/* --- of the session itself (hello.c) ------------------------------------ */

struct wire_hello {
	uint16_t version;
	char origin[NRS_ORIGIN_MAX + 1];
	struct nrs_wall clock;
	uint64_t manifest;
	struct nrs_hash manifest_hash;
	uint32_t capabilities;
};
void wire_hello_encode(struct nrs_buf *b, const struct wire_hello *m);
/* Another version: NRS_EVERSION, with ret->version filled and nothing else read. */
int wire_hello_decode(struct wire_hello *ret, const void *p, size_t len) NRS_MUST_CHECK;

#define WIRE_TEXT_MAX 255
struct wire_bye {
	uint16_t code;
	char text[WIRE_TEXT_MAX + 1]; /* UTF-8; cut when longer */
};
void wire_bye_encode(struct nrs_buf *b, const struct wire_bye *m);
int wire_bye_decode(struct wire_bye *ret, const void *p, size_t len) NRS_MUST_CHECK;

struct wire_refuse {
	uint16_t code;
	uint16_t stream;
	struct nrs_hash origin; /* zeros: does not apply */
	uint64_t index;		/* NRS_NONE: does not apply */
	uint64_t seq;		/* likewise */
	char text[WIRE_TEXT_MAX + 1];
};
void wire_refuse_encode(struct nrs_buf *b, const struct wire_refuse *m);
int wire_refuse_decode(struct wire_refuse *ret, const void *p, size_t len) NRS_MUST_CHECK;

/* PING and PONG. */
void wire_ping_encode(struct nrs_buf *b, uint64_t token);
int wire_ping_decode(uint64_t *ret_token, const void *p, size_t len) NRS_MUST_CHECK;

/* --- what each side knows and has (have.c) ------------------------------ */

struct wire_list {
	uint32_t n; /* elements left */
	struct nrs_rd rd;
};

/* COMMUNITIES: begin, then n times one element. */
struct wire_community {
	struct nrs_hash id;
	uint32_t epoch;
	struct nrs_hash hash;
};
void wire_community_encode(struct nrs_buf *b, const struct wire_community *m);
int wire_communities_decode(
    struct wire_list *ret, const void *p, size_t len) NRS_MUST_CHECK;
bool wire_communities_next(struct wire_list *l, struct wire_community *ret);

/* STATEMENTS: u32 n, then notes. */
void wire_statement_encode(struct nrs_buf *b, const void *note, size_t len);
int wire_statements_decode(struct wire_list *ret, const void *p, size_t len) NRS_MUST_CHECK;
bool wire_statements_next(struct wire_list *l, struct nrs_str *ret_note);

/* HAVE: u32 n, then origins, each with its audiences. Each origin once. */
struct wire_have_audience {
	struct nrs_hash id;
	uint8_t type; /* 0 community, 1 direct */
	uint64_t next;
};
struct wire_have {
	struct nrs_hash origin;
	uint64_t size;
	struct wire_list audiences;
};
/* One origin; then exactly m times an audience. */
void wire_have_encode(
    struct nrs_buf *b, const struct nrs_hash *origin, uint64_t size, uint32_t m);
void wire_have_audience_encode(struct nrs_buf *b, const struct wire_have_audience *m);
int wire_have_decode(struct wire_list *ret, const void *p, size_t len) NRS_MUST_CHECK;
bool wire_have_next(struct wire_list *l, struct wire_have *ret);
bool wire_have_audience_next(struct wire_list *l, struct wire_have_audience *ret);

/* ACK: one origin, then audiences. */
struct wire_ack_audience {
	struct nrs_hash id;
	uint64_t next;
};
struct wire_ack {
	struct nrs_hash origin;
	uint64_t size;
	struct wire_list audiences;
};
void wire_ack_encode(
    struct nrs_buf *b, const struct nrs_hash *origin, uint64_t size, uint32_t m);
void wire_ack_audience_encode(struct nrs_buf *b, const struct wire_ack_audience *m);
int wire_ack_decode(struct wire_ack *ret, const void *p, size_t len) NRS_MUST_CHECK;
bool wire_ack_audience_next(struct wire_list *l, struct wire_ack_audience *ret);

/* --- fetching (fetch.c) ------------------------------------------------- */

struct wire_fetch {
	struct nrs_hash origin;
	struct nrs_hash audience; /* FETCH_RECORDS only */
	uint64_t from;
	uint32_t credit;
};
void wire_fetch_encode(struct nrs_buf *b, const struct wire_fetch *m, bool records);
int wire_fetch_decode(
    struct wire_fetch *ret, bool records, const void *p, size_t len) NRS_MUST_CHECK;
void wire_credit_encode(struct nrs_buf *b, uint32_t bytes);
int wire_credit_decode(uint32_t *ret_bytes, const void *p, size_t len) NRS_MUST_CHECK;

/* --- leaves (leaves.c) -------------------------------------------------- */

struct wire_leaves {
	struct nrs_hash origin;
	uint64_t first;
	uint32_t count; /* at most NRS_LEAVES_PER_FRAME */
	struct nrs_str checkpoint;
	struct nrs_proof proof; /* first + count to the checkpoint */
	struct wire_list entries;
};
struct wire_entry {
	bool control;
	struct nrs_hash c;  /* sealed */
	struct nrs_str doc; /* control */
};
/* All but the entries, which follow: exactly m->count times wire_entry_encode(). */
void wire_leaves_encode(struct nrs_buf *b, const struct wire_leaves *m);
void wire_entry_encode(struct nrs_buf *b, const struct wire_entry *e);
int wire_leaves_decode(struct wire_leaves *ret, const void *p, size_t len) NRS_MUST_CHECK;
bool wire_leaves_next(struct wire_list *l, struct wire_entry *ret);

/* --- records (record.c) ------------------------------------------------- */

#define WIRE_RECORD_RAW	   0x01 /* data is the payload, else one zstd frame */
#define WIRE_RECORD_HEADER 0x02 /* header and signatures only: salt zeros, no data */
#define WIRE_RECORD_PAD	   256
struct wire_record {
	uint64_t index;
	uint8_t flags;
	const uint8_t *header; /* NRS_HEADER_LEN */
	struct nrs_str sigs;
	const uint8_t *salt; /* NRS_SALT_LEN */
	struct nrs_str data;
};
/* An item: body of RECORD and its DATA frames joined. */
void wire_record_encode(struct nrs_buf *b, const struct wire_record *m);
size_t wire_record_len(size_t sigs_len, size_t data_len);
int wire_record_decode(struct wire_record *ret, const void *p, size_t len) NRS_MUST_CHECK;
/* The frames of one item, encoded record in p: RECORD, then DATA as needed. */
void wire_record_frames(struct nrs_buf *b, uint16_t stream, const uint8_t *p, size_t len);

#endif
