/*
 * A hash map from fixed-size keys to pointers, open addressing, seeded with
 * SipHash so that a peer who chooses keys cannot choose collisions.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <noroshi/err.h>
#include <noroshi/types.h>

struct nrs_map;

/* key_len 1..64 bytes; seed from the environment's randomness. NULL: no memory. */
struct nrs_map *nrs_map_new(size_t key_len, const uint8_t seed[16]);
void nrs_map_free(struct nrs_map *m); /* accepts NULL; values are the caller's */
void *nrs_map_find(const struct nrs_map *m, const void *key); /* NULL: absent */
/* Adds or replaces (the old value in *ret_old, may be NULL). value is not NULL. */
int nrs_map_set(
    struct nrs_map *m, const void *key, void *value, void **ret_old) NRS_MUST_CHECK;
void *nrs_map_del(struct nrs_map *m, const void *key); /* the value, or NULL */
size_t nrs_map_count(const struct nrs_map *m);
/* Walks in no order: *it starts at 0; NULL at the end. No change while walking. */
void *nrs_map_next(const struct nrs_map *m, size_t *it, const void **ret_key);

/* SipHash-1-3, what the map uses. */
uint64_t nrs_siphash13(uint64_t k0, uint64_t k1, const void *p, size_t len);

#endif
