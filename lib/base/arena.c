/*
 * Arenas: a list of blocks, newest first, that grow from 4 KiB to 256 KiB.
 * The maximum counts what callers asked for (rounded to 16), not the slack.
 */
#include "base/arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#define ALIGN	    16
#define FIRST_BLOCK 4096
#define LAST_BLOCK  (256u << 10)

struct block {
	struct block *next; /* older */
	size_t cap;
	size_t used;
	alignas(ALIGN) uint8_t data[];
};

struct nrs_arena {
	struct block *head;
	size_t max;
	size_t used;
	size_t next_cap;
};

struct nrs_arena *
nrs_arena_new(size_t max)
{
	struct nrs_arena *a;

	if ((a = calloc(1, sizeof(*a))) == NULL)
		return NULL;
	a->max = max;
	a->next_cap = FIRST_BLOCK;
	return a;
}

static void
free_blocks(struct block *b)
{
	struct block *next;

	for (; b != NULL; b = next) {
		next = b->next;
		free(b);
	}
}

void
nrs_arena_free(struct nrs_arena *a)
{
	if (a == NULL)
		return;
	free_blocks(a->head);
	free(a);
}

static struct block *
add_block(struct nrs_arena *a, size_t len)
{
	size_t cap = len > a->next_cap ? len : a->next_cap;
	struct block *b;

	if (cap > SIZE_MAX - sizeof(*b) || (b = malloc(sizeof(*b) + cap)) == NULL)
		return NULL;
	b->cap = cap;
	b->used = 0;
	b->next = a->head;
	a->head = b;
	if (a->next_cap < LAST_BLOCK)
		a->next_cap *= 2;
	return b;
}

void *
nrs_arena_alloc(struct nrs_arena *a, size_t len)
{
	struct block *b = a->head;
	uint8_t *p;

	if (len > SIZE_MAX - ALIGN)
		return NULL;
	/* Nothing takes room too, so that two results are never the same. */
	len = len > 0 ? (len + ALIGN - 1) / ALIGN * ALIGN : ALIGN;
	if (len > a->max - a->used)
		return NULL;
	if ((b == NULL || len > b->cap - b->used) && (b = add_block(a, len)) == NULL)
		return NULL;
	p = b->data + b->used;
	b->used += len;
	a->used += len;
	memset(p, 0, len);
	return p;
}

void *
nrs_arena_dup(struct nrs_arena *a, const void *src, size_t len)
{
	void *p;

	if ((p = nrs_arena_alloc(a, len)) != NULL && len > 0)
		memcpy(p, src, len);
	return p;
}

char *
nrs_arena_strdup(struct nrs_arena *a, const char *s, size_t len)
{
	char *p;

	if (len == SIZE_MAX || (p = nrs_arena_alloc(a, len + 1)) == NULL)
		return NULL;
	if (len > 0)
		memcpy(p, s, len);
	return p;
}

size_t
nrs_arena_used(const struct nrs_arena *a)
{
	return a->used;
}

void
nrs_arena_reset(struct nrs_arena *a)
{
	struct block *b = a->head, *next;

	for (; b != NULL && b->next != NULL; b = next) {
		next = b->next;
		free(b);
	}
	if (b != NULL)
		b->used = 0;
	a->head = b;
	a->used = 0;
	a->next_cap = FIRST_BLOCK;
}
