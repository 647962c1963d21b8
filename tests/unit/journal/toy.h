/*
 * A toy node over the journal: its state is how many frames it has put and a
 * running hash over them, and one cache array with the position of each.  A
 * history of every state it went through tells whether what recovery gives back
 * was ever true.
 */
#ifndef TESTS_JOURNAL_TOY_H
#define TESTS_JOURNAL_TOY_H

#include "journal/array.h"
#include "journal/journal.h"
#include "tests/lib/memenv.h"

#define TOY_MAX 512

#define TOY_WAITS 64

struct toy;
struct toy_wait {
	struct nrs_jwait w;
	struct toy *t; /* NULL: free */
	uint64_t n;
};

struct toy {
	struct memenv *e;
	struct nrs_journal_config cfg;
	struct nrs_journal *j;
	struct nrs_array *pos; /* NULL: the toy has no cache */
	bool with_cache;
	size_t state_pad; /* makes STATE this much longer */

	uint64_t n; /* the state */
	uint64_t hash;

	uint64_t hash_at[TOY_MAX + 1]; /* history: hash after n frames */
	bool batch_at[TOY_MAX + 1];    /* a batch was closed after n frames */
	uint64_t acked;		       /* n of the last batch that was acknowledged */

	/* what the journal told */
	unsigned int replayed, fulls, unfulls, faileds, decoded;
	unsigned int waits_ok, waits_full, waits_eio;
	struct toy_wait waits[TOY_WAITS];
	struct nrs_detail d;
};

/* A new world with an empty journal, opened. */
void toy_init(struct toy *t, uint64_t seed, uint64_t segment_bytes, bool with_cache);
void toy_fini(struct toy *t);
/* The journal of the world as it is. 0 or the error; d has the place. */
int toy_open(struct toy *t);
/* Frees the journal, crashes the world. */
void toy_crash(struct toy *t, enum memenv_crash how, uint64_t seed);
/* Puts one frame whose body is made of n; asserts that it is taken. */
void toy_put(struct toy *t, size_t len);
/* Frames of this length make one batch, which is waited for and kicked. */
void toy_batch(struct toy *t, unsigned int frames, size_t len);
/* Is the state one that was, at a batch's end, and no older than what was acknowledged? */
bool toy_sound(const struct toy *t);
/* Reads every frame by the cache's positions, and by a scan. */
void toy_check_all(struct toy *t);

#endif
