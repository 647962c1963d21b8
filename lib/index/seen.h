/*
 * Which objects this node has shared already: object key to record index.
 *
 * The truth is the journal.  The environment's key-value cache holds what was
 * durable at its mark (a size of the own log); what is newer, or on its way,
 * stands in an overlay until the cache has caught up.
 */
#ifndef INDEX_SEEN_H
#define INDEX_SEEN_H

#include <noroshi/env.h>
#include <noroshi/err.h>
#include <noroshi/types.h>

#define NRS_SEEN_KEY 16
#define NRS_SEEN_MAX (4u << 20) /* keys in the overlay */

struct nrs_seen;

int nrs_seen_new(struct nrs_env *env, struct nrs_seen **ret) NRS_MUST_CHECK;
void nrs_seen_free(struct nrs_seen *s); /* accepts NULL */

/* Own log size up to which the cache is complete; beyond size it is cleared: 0 then. */
uint64_t nrs_seen_mark(struct nrs_seen *s, uint64_t size);

/*
 * Looks one key up: 0 with the index of its record, which is durable;
 * NRS_EBUSY while a record with it is on its way; NRS_ENOTFOUND.
 */
int nrs_seen_find(struct nrs_seen *s, const uint8_t key[NRS_SEEN_KEY],
    uint64_t *ret_index) NRS_MUST_CHECK;
/*
 * Keys (n times 16 bytes) of a record on its way. All or none; none of them is known.
 * NRS_EBUSY when the overlay is full.
 */
int nrs_seen_reserve(struct nrs_seen *s, const uint8_t *keys, size_t n) NRS_MUST_CHECK;
/* It did not come to be. */
void nrs_seen_release(struct nrs_seen *s, const uint8_t *keys, size_t n);
/* It is durable at this index. Not reserved (rebuild): added. */
int nrs_seen_add(
    struct nrs_seen *s, const uint8_t *keys, size_t n, uint64_t index) NRS_MUST_CHECK;
/* Hands what was added over to the cache: complete up to size now. */
int nrs_seen_commit(struct nrs_seen *s, uint64_t size) NRS_MUST_CHECK;
/* Forgets what the cache has made its own. Cheap; call it now and then. */
void nrs_seen_trim(struct nrs_seen *s);
/* Keys in the overlay. */
size_t nrs_seen_count(const struct nrs_seen *s);

#endif
