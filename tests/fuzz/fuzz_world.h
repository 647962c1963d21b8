/*
 * The world of the fuzz targets of lib/node: two nodes of one community, one of
 * which has two records for the other and is then replaced by the input.
 * All that is in it follows from constants: an input always does the same.
 */
#ifndef TESTS_FUZZ_WORLD_H
#define TESTS_FUZZ_WORLD_H

#include "tests/unit/node/pair.h"

enum { FUZZ_PEER, FUZZ_NODE };

static inline void
fuzz_world_new(struct world *w)
{
	world_new(w, 2);
	w->segment_bytes = 64u << 10; /* they are zeroed: less to do for each input */
	for (unsigned int i = 0; i < 2; i++)
		world_open(w, i, true);
	world_run(w, 5);
	world_community(w);
	world_cut(w, FUZZ_PEER, FUZZ_NODE, true);
	world_run(w, 5);
	world_submit(w, FUZZ_PEER, 1, 10);
	world_submit_direct(w, FUZZ_PEER, FUZZ_NODE, 1, 10);
	world_run(w, 5);
}

#endif
