/* How far a long command is: rate and time left, on standard error. */
#ifndef NOROSHI_PROGRESS_H
#define NOROSHI_PROGRESS_H

#include <stdint.h>

#include "tools/noroshi/cli.h"

struct progress {
	const struct cli *c;
	const char *unit;
	uint64_t start_ns, shown_ns;
	bool line; /* something stands on the terminal's line */
};

void progress_begin(struct progress *p, const struct cli *c, const char *unit);
/*
 * done units so far; share is the part of the whole, 0..1, or negative when
 * nobody knows.  Shown at most 10 times a second on a terminal, every 10
 * seconds elsewhere.
 */
void progress_at(struct progress *p, uint64_t done, double share);
/* Clears the line. */
void progress_end(struct progress *p);

/* "1 h 02 min", "3 min 20 s", "4 s" */
const char *progress_eta(char dst[32], double seconds);

#endif
