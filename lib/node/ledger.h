/* What node.c asks of the ledger; the rest of it is in node_priv.h. */
#ifndef NODE_LEDGER_H
#define NODE_LEDGER_H

#include "node/node_priv.h"

int ledger_init(struct node *n) NRS_MUST_CHECK;
void ledger_fini(struct node *n);
/* After opening: all that was recovered is durable, and shown. */
int ledger_all_durable(struct node *n) NRS_MUST_CHECK;
/*
 * Shows the checkpoint of our own log that was put last, though its frame is
 * not durable: its leaves are, and the keeper remembers what it signed, so that
 * the next start signs the same bytes again (checkpoint.c).
 */
int ledger_show_own(struct node *n) NRS_MUST_CHECK;
/* End of a turn: marks what was put and waits for it. */
void ledger_turn(struct node *n);
/* Nothing waits to become durable. */
bool ledger_idle(const struct node *n);

#endif
