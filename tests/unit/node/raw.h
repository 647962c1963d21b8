/*
 * What this version would never write into its own log: records of other kinds
 * and versions, payloads that do not fit, control documents of any text.
 */
#ifndef TESTS_NODE_RAW_H
#define TESTS_NODE_RAW_H

#include "tests/unit/node/pair.h"

/* One record of a node, signed by its feed key. */
struct raw_record {
	const char *name;
	uint8_t version, kind;
	bool wild; /* all bytes that a later version may use are set */
	uint8_t tlp;
	const char *payload;
	/* filled in */
	uint64_t index;
	uint8_t header[NRS_HEADER_LEN];
	uint8_t sigs[NRS_SIGS1_LEN];
};

/* At the end of the node's log, for community iwwn. */
void raw_publish(struct world *w, unsigned int i, struct raw_record *l);
void raw_control(struct world *w, unsigned int i, const void *doc, size_t len);

#endif
