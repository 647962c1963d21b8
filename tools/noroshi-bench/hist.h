/*
 * A histogram of times: 64 buckets for each power of two of nanoseconds, so
 * that a quantile is off by less than 1.6 % at any magnitude.
 *
 * For an open-loop schedule the time that counts begins when a request was
 * due, not when it was sent: call hist_add(h, now - due).
 */
#ifndef BENCH_HIST_H
#define BENCH_HIST_H

#include <stdint.h>

#define HIST_SUB_BITS 6
#define HIST_BUCKETS  ((64 - HIST_SUB_BITS + 1) << HIST_SUB_BITS)

struct hist {
	uint64_t count[HIST_BUCKETS];
	uint64_t n;
	uint64_t min, max; /* exact */
	double sum;
};

void hist_init(struct hist *h);
void hist_add(struct hist *h, uint64_t ns);
void hist_merge(struct hist *dst, const struct hist *src);
/* q in 0..1; the upper end of the bucket, and never more than max. 0 when empty. */
uint64_t hist_quantile(const struct hist *h, double q);

struct bench;
/*
 * Rows NAME.p50, .p90, .p99, .p99.9 and .max in ms, each the worst of n
 * histograms (one for each run), and NAME.samples, the least of them.
 */
void hist_rows(struct bench *b, const char *name, const struct hist *runs, unsigned int n);

#endif
