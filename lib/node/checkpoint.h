/* Checkpoints of our own log, for publish.c. */
#ifndef NODE_CHECKPOINT_H
#define NODE_CHECKPOINT_H

#include "node/node_priv.h"

int checkpoint_init(struct node *n) NRS_MUST_CHECK;
void checkpoint_fini(struct node *n);
void checkpoint_turn(struct node *n);
void checkpoint_on_timer(struct node *n);
/* Every durable entry is under a durable checkpoint. */
bool checkpoint_idle(const struct node *n);

#endif
