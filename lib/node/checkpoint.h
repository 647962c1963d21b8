/* Checkpoints of our own log, for publish.c. */
#ifndef NODE_CHECKPOINT_H
#define NODE_CHECKPOINT_H

#include "node/node_priv.h"

int checkpoint_init(struct node *n) NRS_MUST_CHECK;
/* While opening: what the keeper signed last, at this size, is made again if it was lost. */
int checkpoint_recover(struct node *n, uint64_t size) NRS_MUST_CHECK;
void checkpoint_fini(struct node *n);
void checkpoint_turn(struct node *n);
void checkpoint_on_timer(struct node *n);
/* Every entry is under a checkpoint that is shown. */
bool checkpoint_idle(const struct node *n);

#endif
