/* How rows are told, and what the machine is: for main.c. */
#ifndef BENCH_OUT_H
#define BENCH_OUT_H

#include "tools/noroshi-bench/bench.h"

/* --- targets (targets.c) ------------------------------------------------ */

enum bench_target_of {
	BENCH_OF_VALUE, /* the value, in the sense of its row */
	BENCH_OF_RATIO, /* value by limit */
};

struct bench_target {
	const char *row;
	enum bench_target_of of;
	enum bench_sense sense;
	double value;
};
/* Ended by a row without a name. */
extern const struct bench_target bench_targets[];

/* --- output (out.c) ----------------------------------------------------- */

/* Begins the output; rows go to standard output. */
void bench_out_begin(struct bench *b, struct bench_out **ret);
void bench_out_scenario(struct bench *b, const struct bench_scenario *s);
/* Prints what is left; returns how many targets were missed. Frees. */
unsigned int bench_out_end(struct bench *b);

/* --- machine (machine.c) ------------------------------------------------ */

/* Tells processors, kernel, filesystem of b->dir and libraries. Exit status: dir will not do. */
int machine_tell(struct bench *b) NRS_MUST_CHECK;

/* How busy the machine was with others. */
struct weather {
	double load;
	double wall, busy, steal; /* seconds; of all processors together */
	double own;		  /* of processor time: we, and nodes that ended */
};
void weather_begin(struct weather *w);
/* A warning if the figures are lower than this machine's best. */
void weather_end(struct bench *b, const struct weather *w);

#endif
