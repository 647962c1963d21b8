/* Log-linear buckets: exact below 64 ns, then 64 for each power of two. */
#include "tools/noroshi-bench/hist.h"

#include <stdio.h>
#include <string.h>

#include "tools/noroshi-bench/bench.h"

#define SUB (1u << HIST_SUB_BITS)

static unsigned int
bucket_of(uint64_t v)
{
	unsigned int shift;

	if (v < SUB)
		return (unsigned int)v;
	shift = 63 - (unsigned int)__builtin_clzll(v) - HIST_SUB_BITS;
	return ((shift + 1) << HIST_SUB_BITS) + (unsigned int)((v >> shift) - SUB);
}

/* The greatest value that falls into a bucket. */
static uint64_t
bucket_end(unsigned int i)
{
	unsigned int shift;

	if (i < SUB)
		return i;
	shift = (i >> HIST_SUB_BITS) - 1;
	return (((uint64_t)SUB + (i & (SUB - 1)) + 1) << shift) - 1;
}

void
hist_init(struct hist *h)
{
	memset(h, 0, sizeof(*h));
	h->min = UINT64_MAX;
}

void
hist_add(struct hist *h, uint64_t ns)
{
	h->count[bucket_of(ns)]++;
	h->n++;
	h->sum += (double)ns;
	if (ns < h->min)
		h->min = ns;
	if (ns > h->max)
		h->max = ns;
}

void
hist_merge(struct hist *dst, const struct hist *src)
{
	for (unsigned int i = 0; i < HIST_BUCKETS; i++)
		dst->count[i] += src->count[i];
	dst->n += src->n;
	dst->sum += src->sum;
	if (src->min < dst->min)
		dst->min = src->min;
	if (src->max > dst->max)
		dst->max = src->max;
}

uint64_t
hist_quantile(const struct hist *h, double q)
{
	uint64_t want = (uint64_t)(q * (double)h->n + 0.999999), seen = 0, end;

	if (h->n == 0)
		return 0;
	if (want == 0)
		want = 1;
	for (unsigned int i = 0; i < HIST_BUCKETS; i++) {
		seen += h->count[i];
		if (seen < want)
			continue;
		end = bucket_end(i);
		return end < h->max ? end : h->max;
	}
	return h->max;
}

void
hist_rows(struct bench *b, const char *name, const struct hist *runs, unsigned int n)
{
	static const struct {
		const char *name;
		double q;
	} rows[] = { { "p50", 0.5 }, { "p90", 0.9 }, { "p99", 0.99 }, { "p99.9", 0.999 },
		{ "max", 1 } };
	struct bench_row row = { .unit = "ms", .sense = BENCH_LESS };
	struct bench_series samples = { .n = 0 };
	char text[64];

	for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		row.value.n = 0;
		for (unsigned int r = 0; r < n; r++)
			bench_add(
			    &row.value, (double)hist_quantile(&runs[r], rows[i].q) / 1e6);
		snprintf(text, sizeof(text), "%s.%s", name, rows[i].name);
		row.name = text;
		bench_row(b, &row);
	}
	for (unsigned int r = 0; r < n; r++)
		bench_add(&samples, (double)runs[r].n);
	snprintf(text, sizeof(text), "%s.samples", name);
	row = (struct bench_row){ .name = text, .unit = "samples", .value = samples };
	bench_row(b, &row);
}
