/*
 * Every frame of a segment, sound or not: what a verifier wants to see, where
 * recovery only wants to know how far to believe.  Sound batches are found by
 * the very function that recovery uses; what it stops at is taken apart here,
 * and the walk goes on at the next sound frame.
 */
#ifndef JOURNAL_WALK_H
#define JOURNAL_WALK_H

#include "journal/journal.h"

/* Where the frames of a segment begin, and what a frame and a key file are made of. */
#define NRS_JWALK_FIRST	 72
#define NRS_JWALK_HEAD	 24
#define NRS_JKEY_LEN	 72
#define NRS_JSTATE_FIXED 16 /* of STATE, before the node's state */

enum nrs_jwalk_what {
	NRS_JWALK_FRAME, /* f: a sound frame */
	NRS_JWALK_BATCH, /* f: the COMMIT that closes the frames before it */
	NRS_JWALK_FAULT
};

/* Of which kind a fault is. */
enum nrs_jwalk_fault {
	NRS_JWALK_NONE,
	NRS_JWALK_HEADER,  /* the segment's header */
	NRS_JWALK_BAD,	   /* bytes that are no frame, or one in a wrong place */
	NRS_JWALK_COMMIT,  /* a batch without its COMMIT, or with one that does not fit */
	NRS_JWALK_BATCHES, /* batches are missing */
};

struct nrs_jwalk_item {
	enum nrs_jwalk_what what;
	/*
	 * Of a FAULT: type 0 when the header of the frame cannot be believed; body is
	 * then what stands behind it, for a guess only.
	 */
	struct nrs_jframe f;
	bool known;	 /* FRAME: type and flags are of this version */
	bool whole;	 /* FRAME, BATCH: all of its batch is sound, COMMIT included */
	uint32_t off;	 /* in the segment, of the frame or of the fault */
	uint32_t len;	 /* likewise; 0: something that should be there is not */
	const char *why; /* FAULT */
	/* FAULT: no frame of a later batch follows in this segment: recovery would cut it off. */
	bool tail;
	enum nrs_jwalk_fault fault;
};

struct nrs_jwalk_end {
	uint32_t end; /* after the last batch that recovery would believe, or has to */
	uint64_t first_batch; /* 0: there is none */
	uint64_t last_batch;
	bool state; /* its STATE is sound: */
	uint32_t prev, prev_end;
};

/*
 * Walks p, the first len bytes of segment seg of this origin.  Also where the
 * header is damaged: what its salt was follows from any sound frame.  each()
 * returns 0 to go on; what it returns else is returned.
 */
int nrs_jwalk_segment(const uint8_t *p, size_t len, uint32_t seg,
    const struct nrs_hash *origin, int (*each)(void *arg, const struct nrs_jwalk_item *it),
    void *arg, struct nrs_jwalk_end *ret) NRS_MUST_CHECK;

/* Number and origin that a segment's header claims. NRS_ECORRUPT, NRS_EVERSION. */
int nrs_jwalk_header(const uint8_t *p, size_t len, uint32_t *ret_seg,
    struct nrs_hash *ret_origin) NRS_MUST_CHECK;
/* The number in the name of a segment ("nrj") or key file ("key"); 0: neither. */
uint32_t nrs_jwalk_name(const char *name, const char *ext);
/* The wrapped seed in a key file. NRS_ECORRUPT. */
int nrs_jwalk_key(
    const uint8_t *p, size_t len, uint32_t seg, uint8_t wrapped[60]) NRS_MUST_CHECK;

#endif
