/* The core: random numbers, the queue of events, coverage, and how a run ends. */
#include "sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EVENTS_MAX  20000000ULL
#define VIRTUAL_MAX (3600 * SIM_S)

struct cov *sim_cov;

const char *const proto_names[PROTO__MAX] = { "batch with records", "batch with leaves",
	"batch with checkpoint", "batch with statement", "first of a segment",
	"segment roll", "cache flush", "creation", "recovery: reread", "recovery: names",
	"recovery: cut", "recovery: unused", "checkpoint signed" };

/* --- random numbers (xoshiro256**) -------------------------------------- */

static uint64_t
rotl(uint64_t x, int k)
{
	return x << k | x >> (64 - k);
}

void
rng_seed(struct rng *r, uint64_t seed)
{
	uint64_t z;
	int i;

	for (i = 0; i < 4; i++) {
		seed += 0x9e3779b97f4a7c15ULL;
		z = (seed ^ seed >> 30) * 0xbf58476d1ce4e5b9ULL;
		z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
		r->s[i] = z ^ z >> 31;
	}
}

uint64_t
rng_u64(struct rng *r)
{
	uint64_t out = rotl(r->s[1] * 5, 7) * 9, t = r->s[1] << 17;

	r->s[2] ^= r->s[0];
	r->s[3] ^= r->s[1];
	r->s[1] ^= r->s[2];
	r->s[0] ^= r->s[3];
	r->s[2] ^= t;
	r->s[3] = rotl(r->s[3], 45);
	return out;
}

uint64_t
rng_below(struct rng *r, uint64_t n)
{
	return n == 0 ? 0 : (rng_u64(r) >> 11) % n;
}

uint64_t
rng_range(struct rng *r, uint64_t lo, uint64_t hi)
{
	return lo + rng_below(r, hi - lo + 1);
}

bool
rng_chance(struct rng *r, unsigned int num, unsigned int den)
{
	return rng_below(r, den) < num;
}

void
rng_fill(struct rng *r, void *p, size_t len)
{
	uint8_t *q = p;
	uint64_t v = 0;
	size_t i;

	for (i = 0; i < len; i++, v >>= 8) {
		if (i % 8 == 0)
			v = rng_u64(r);
		q[i] = (uint8_t)v;
	}
}

/* --- events: a heap by time, then by order of asking ---------------------- */

static bool
ev_less(const struct sim_ev *a, const struct sim_ev *b)
{
	return a->t != b->t ? a->t < b->t : a->seq < b->seq;
}

void
sim_after(struct sim *s, uint64_t dt, void (*fn)(struct sim *, const struct sim_ev *),
    struct snode *who, void *p, uint64_t a)
{
	struct sim_ev e = { s->now + dt, s->seq++, fn, who, who != NULL ? who->inc : 0, p,
		a };
	size_t i, up;

	if (s->nheap == s->heap_cap) {
		s->heap_cap = s->heap_cap > 0 ? s->heap_cap * 2 : 256;
		s->heap = realloc(s->heap, s->heap_cap * sizeof(*s->heap));
		if (s->heap == NULL)
			abort();
	}
	for (i = s->nheap++; i > 0; i = up) {
		up = (i - 1) / 2;
		if (!ev_less(&e, &s->heap[up]))
			break;
		s->heap[i] = s->heap[up];
	}
	s->heap[i] = e;
}

static struct sim_ev
ev_pop(struct sim *s)
{
	struct sim_ev top = s->heap[0], e = s->heap[--s->nheap];
	size_t i = 0, k;

	while ((k = 2 * i + 1) < s->nheap) {
		if (k + 1 < s->nheap && ev_less(&s->heap[k + 1], &s->heap[k]))
			k++;
		if (!ev_less(&s->heap[k], &e))
			break;
		s->heap[i] = s->heap[k];
		i = k;
	}
	if (s->nheap > 0)
		s->heap[i] = e;
	return top;
}

/* --- how a run ends ------------------------------------------------------- */

void
sim_trace(struct sim *s, const char *fmt, ...)
{
	va_list ap;

	if (!s->o.verbose)
		return;
	printf("%11.6f ", (double)s->now / 1e9);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

void
sim_fail(struct sim *s, const char *invariant, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	flockfile(stdout);
	printf("FAILED seed %llu at %.6f s virtual\n  invariant: %s\n  ",
	    (unsigned long long)s->o.seed, (double)s->now / 1e9, invariant);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n  again: sim%s%s --seed %llu --records %u%s -v\n",
	    s->o.plant != NULL ? "-plant --plant " : "",
	    s->o.plant != NULL ? s->o.plant : "", (unsigned long long)s->o.seed,
	    s->o.records, keys_real ? " --real-keys" : "");
	fflush(stdout);
	funlockfile(stdout);
	_exit(1);
}

static void
sim_loop(struct sim *s)
{
	struct sim_ev e;

	while (!s->done) {
		if (s->nheap == 0)
			sim_fail(s, "progress", "nothing is left to happen");
		e = ev_pop(s);
		s->now = e.t;
		if (++s->nevents > EVENTS_MAX)
			sim_fail(s, "progress", "more than %llu events", EVENTS_MAX);
		if (s->now > VIRTUAL_MAX)
			sim_fail(s, "progress", "no end after an hour of virtual time");
		if (e.who != NULL && e.who->inc != e.inc)
			continue;
		e.fn(s, &e);
		world_step(s);
	}
}

void
sim_run(const struct sim_opts *o)
{
	struct sim *s = calloc(1, sizeof(*s));

	if (s == NULL || (s->dg = nrs_digest_new()) == NULL)
		abort();
	s->o = *o;
	rng_seed(&s->rng, o->seed);
	nrs_buf_init(&s->line, 64u << 20);
	world_init(s);
	sim_loop(s);
	check_end(s);
	cov_add(&sim_cov->events, s->nevents);
	cov_add(&sim_cov->seeds, 1);
	world_fini(s);
	nrs_digest_free(s->dg);
	nrs_buf_fini(&s->line);
	free(s->heap);
	free(s);
}

/* --- coverage -------------------------------------------------------------- */

void
cov_add(uint64_t *p, uint64_t n)
{
	__atomic_add_fetch(p, n, __ATOMIC_RELAXED);
}

static const char *
op_name(unsigned int op)
{
	static const char *const names[] = { "PWRITE", "SYNC", "PREALLOC", "TRUNCATE",
		"PUNCH", "RENAME", "UNLINK", "SYNCDIR", "REREAD", "asked", "done" };

	return op < sizeof(names) / sizeof(names[0]) ? names[op] : "?";
}

bool
cov_print(const struct cov *c)
{
	bool all = true;
	unsigned int p, i;

	printf("%-24s %4s %-9s %10s %8s %8s %8s\n", "protocol", "step", "", "done",
	    "before", "inside", "after");
	for (p = 0; p < PROTO__MAX; p++)
		for (i = 0; i < COV_STEPS; i++) {
			const uint64_t *x = c->crash[p][i];

			if (c->done[p][i] == 0 && x[0] + x[1] + x[2] == 0)
				continue;
			printf("%-24s %4u %-9s %10llu %8llu %8llu %8llu%s\n",
			    proto_names[p], i, op_name(c->op[p][i]),
			    (unsigned long long)c->done[p][i], (unsigned long long)x[0],
			    (unsigned long long)x[1], (unsigned long long)x[2],
			    x[0] + x[1] + x[2] == 0 ? "  NEVER INTERRUPTED" : "");
			if (x[0] + x[1] + x[2] == 0)
				all = false;
		}
	printf("%s\n",
	    all ? "every step was interrupted" : "some steps were never interrupted");
	return all;
}
