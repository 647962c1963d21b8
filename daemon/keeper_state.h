/*
 * What the keeper has signed, as far as it must never take it back: the own
 * log's size and root, the epoch of each community, the checkpoint of each
 * origin that was cosigned.  keys/keeper.state holds two slots, written in
 * turn, so that a torn write leaves the one before:
 *	slot, 128 KiB: 0 magic "NRKS" | 4 u32 version = 1 | 8 u64 sequence
 *	   16 u32 length of the content | 20 u32 CRC-32C of bytes 0..19 and content
 *	   24 content: u64 size | root[32] | u32 n, n x community | u32 n, n x cosigned
 *	community: id[32], u64 epoch, hash[32]	cosigned: origin id[32], u64 size, root[32]
 * The slot with the higher sequence holds.  Nothing was signed: size is all ones.
 */
#ifndef DAEMON_KEEPER_STATE_H
#define DAEMON_KEEPER_STATE_H

#include <noroshi/err.h>
#include <noroshi/types.h>

#define KEEPER_SLOT_LEN	   (128u << 10)
#define KEEPER_ENTRIES_MAX 1800 /* of both kinds: they fit a slot */

struct keeper_entry {
	struct nrs_hash id;
	uint64_t n; /* epoch, or size */
	struct nrs_hash hash;
};

struct keeper_table {
	struct keeper_entry *v;
	unsigned int n;
};

struct keeper_state {
	int fd;
	bool broken; /* a write failed: what the disk holds is not known */
	bool unsynced;
	uint64_t sequence;
	struct keeper_entry own; /* n NRS_NONE: nothing yet; id unused */
	struct keeper_table communities;
	struct keeper_table cosigned;
	uint8_t *slot; /* room for encoding: nothing is allocated later */
};

/* Opens dir/keeper.state, or makes it; locked, NRS_ELOCKED if another holds it. NRS_ECORRUPT. */
int keeper_state_open(
    struct keeper_state *st, const char *dir, struct nrs_detail *d) NRS_MUST_CHECK;
void keeper_state_fini(struct keeper_state *st); /* accepts a zeroed struct with fd -1 */
/*
 * May this be signed: n larger than what is held for id, or equal with the same hash?
 * 0, NRS_EROLLBACK (smaller), NRS_EFORK (equal, other hash), NRS_ELIMIT.
 * If it is news it is durable when this returns; NRS_EIO otherwise.
 */
int keeper_state_own(
    struct keeper_state *st, uint64_t n, const struct nrs_hash *hash) NRS_MUST_CHECK;
/* The same in two halves: nothing may be said before the second has succeeded. */
int keeper_state_own_begin(
    struct keeper_state *st, uint64_t n, const struct nrs_hash *hash) NRS_MUST_CHECK;
int keeper_state_sync(struct keeper_state *st) NRS_MUST_CHECK;
int keeper_state_advance(struct keeper_state *st, struct keeper_table *t,
    const struct nrs_hash *id, uint64_t n, const struct nrs_hash *hash) NRS_MUST_CHECK;

#endif
