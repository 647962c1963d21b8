/*
 * Indicators as CERTs send them: distinct values and ids, lengths and entropy
 * like those of real phishing lists, made from a seed and nothing else.
 *
 * Bundles are what "noroshi submit" makes of such a list.  They must not
 * compress better than real ones; a test compares both.
 */
#ifndef BENCH_GEN_H
#define BENCH_GEN_H

#include <stdint.h>

#include "base/buf.h"

struct gen;

/* Different seeds give different values and ids throughout. origin: ours, NUL-terminated. */
int gen_new(uint64_t seed, const char *origin, struct gen **ret) NRS_MUST_CHECK;
void gen_free(struct gen *g); /* accepts NULL */

/* Appends the next bundle of n indicators: STIX 2.1 on one line, TLP:GREEN. */
int gen_bundle(struct gen *g, unsigned int n, struct nrs_buf *dst) NRS_MUST_CHECK;
/* Appends the next value alone (a URL, without NUL). */
int gen_value(struct gen *g, struct nrs_buf *dst) NRS_MUST_CHECK;
/* UUID of the bundle made last. */
const uint8_t *gen_uuid(const struct gen *g);
/* Indicators made so far. */
uint64_t gen_count(const struct gen *g);

/* Raw size by compressed size, one zstd frame of the given level. 0: no memory. */
double gen_ratio(const void *p, size_t len, int level);

#endif
