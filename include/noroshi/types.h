/*
 * Small value types that cross every layer.  Sizes are of the formats, not of
 * the machine: docs/FORMAT.md says what each of them means.
 */
#ifndef NOROSHI_TYPES_H
#define NOROSHI_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NRS_HASH_LEN  32
#define NRS_KEYID_LEN 8
#define NRS_UUID_LEN  16

/* A SHA-256 value: leaf, node, commitment, community id, origin id. */
struct nrs_hash {
	uint8_t b[NRS_HASH_LEN];
};

/* A borrowed view; lives no longer than the buffer its giver names. */
struct nrs_str {
	const uint8_t *p;
	size_t len;
};

/* Two clocks, two types: they cannot be mixed by accident. */
struct nrs_wall {
	uint64_t ms; /* milliseconds since 1970-01-01T00:00:00Z; a claim */
};
struct nrs_mono {
	uint64_t ns; /* nanoseconds since some point in the past; never jumps */
};

/* TLP 2.0, ordered: a larger value is stricter. */
enum nrs_tlp {
	NRS_TLP_CLEAR = 0,
	NRS_TLP_GREEN = 1,
	NRS_TLP_AMBER = 2,
	NRS_TLP_AMBER_STRICT = 3,
	NRS_TLP_RED = 4,
	NRS_TLP__MAX
};

/* What a record is (header byte 5). */
enum nrs_kind {
	NRS_KIND_NONE = 0, /* not interpreted */
	NRS_KIND_BUNDLE = 1,
	NRS_KIND_RETRACT = 2,
	NRS_KIND_SUPERSEDE = 3,
	NRS_KIND_REMARK = 4,
	NRS_KIND_ERASE = 5,
	NRS_KIND_RECEIPT = 6,
	NRS_KIND_PADDING = 7,
	NRS_KIND_MEMBERSHIP = 8,
	NRS_KIND__MAX
};

/* What an event does to what this node shows. */
enum nrs_action {
	NRS_ACTION_ADD = 1,
	NRS_ACTION_UPDATE = 2,
	NRS_ACTION_REMOVE = 3,
	NRS_ACTION_STATE = 4,
	NRS_ACTION__MAX
};

/* "no index", "no reference" */
#define NRS_NONE UINT64_MAX

#endif
