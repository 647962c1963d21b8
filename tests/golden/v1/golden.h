/*
 * What the committed bytes of format version 1 say, as text: the generator writes
 * these texts beside the bytes, the test makes them again from the bytes alone.
 */
#ifndef TESTS_GOLDEN_V1_H
#define TESTS_GOLDEN_V1_H

#include "tests/unit/node/pair.h"

#define GOLDEN_TEXT_MAX (1u << 20)
#define GOLDEN_SEGMENT	(12u << 10) /* of the journal here: several small segments */
#define GOLDEN_SEGMENTS 6

/* One frame of the transcript; views into its file. */
struct golden_frame {
	uint8_t to_jp; /* 0: from jp to us */
	struct nrs_str bytes;
};
/* 1: one more; 0: the end. Ends the test on a file that is not whole. */
int golden_frame_next(const uint8_t **p, size_t *left, struct golden_frame *ret);

/* Each appends lines; all fail the test on what they cannot read. */
void golden_state(struct node *n, struct nrs_buf *out);
void golden_transcript(const uint8_t *p, size_t len, struct nrs_buf *out);
/* All of documents/, as documents.txt has it. */
void golden_documents(const char *dir, struct nrs_buf *out);

/* The operator of node i accepts a statement in a file of the set. */
void golden_accept(struct world *w, unsigned int i, const char *dir, const char *name);
/* A new SG reads carrier/us-to-sg: what it knows then. */
void golden_import(const char *dir, struct nrs_buf *out);

/* A file of the set; malloc'd, ended by a NUL that does not count. */
uint8_t *golden_read(const char *dir, const char *name, size_t *ret_len);

#endif
