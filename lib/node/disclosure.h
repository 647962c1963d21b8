/*
 * Ranges of events given to local readers, in the journal (docs/FORMAT-journal.md,
 * DISCLOSURE).  What reader.c and state.c ask of it.
 */
#ifndef NODE_DISCLOSURE_H
#define NODE_DISCLOSURE_H

#include "node/node_priv.h"

struct disclosure;

/*
 * Puts the frame that opens a range; ready(arg) is called once, later, when it is
 * durable: not before may anything be given.  d: op and time are filled here.
 */
int disclosure_open(struct node *n, struct nrs_jdisclosure *d, void (*ready)(void *arg),
    void *arg, struct disclosure **ret) NRS_MUST_CHECK;
bool disclosure_durable(const struct disclosure *d);
/* The reader is gone: puts the frame that closes the range. Accepts NULL. */
void disclosure_close(struct disclosure *d, struct node_cursor at);

/* --- state.c, node.c --- */
int disclosure_init(struct node *n) NRS_MUST_CHECK;
void disclosure_fini(struct node *n);
/* The ranges are forgotten: everything is read again. */
void disclosure_drop(struct node *n);
void disclosure_state_encode(const struct node *n, struct nrs_buf *b);
int disclosure_state_decode(struct node *n, struct nrs_rd *r) NRS_MUST_CHECK;
int disclosure_replay(struct node *n, const struct nrs_jframe *f) NRS_MUST_CHECK;
/* After opening: ranges that a crash left open end with the newest event. */
int disclosure_recover(struct node *n) NRS_MUST_CHECK;
void disclosure_counts(const struct node *n, struct node_counts *ret);

#endif
