/* An arena: many small allocations, one free. Each has a hard maximum. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <noroshi/err.h>
#include <noroshi/types.h>

struct nrs_arena;

/* max: bytes it may ever hold. NULL when out of memory. */
struct nrs_arena *nrs_arena_new(size_t max);
void nrs_arena_free(struct nrs_arena *a); /* accepts NULL */
/* 16-byte aligned, zeroed; NULL beyond the maximum or out of memory. */
void *nrs_arena_alloc(struct nrs_arena *a, size_t len);
void *nrs_arena_dup(struct nrs_arena *a, const void *p, size_t len);
char *nrs_arena_strdup(struct nrs_arena *a, const char *s, size_t len); /* adds a NUL */
size_t nrs_arena_used(const struct nrs_arena *a);
/* Forgets all allocations and keeps the first block. */
void nrs_arena_reset(struct nrs_arena *a);

#endif
