/*
 * A floor: the bare work of a path, on as many threads as the daemon uses, in
 * batches like its own: what came while the one before was written, and no
 * fewer than the daemon's mean.  It is only believed when it comes near to what
 * its stages imply; a floor that waits for itself would flatter what is
 * measured against it.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tools/noroshi-bench/limits_priv.h"

#define STAGES_MAX  16
#define LANES_MAX   8
#define THREADS_MAX 64
#define ITEMS	    64 /* in flight; more for larger batches */
#define BATCH_MAX   4096
#define SLICES	    4
#define VALID	    0.8
#define PATIENCE    10 /* seconds until nothing is taken for a fault */

uint8_t *
limit_other(const struct limit_item *it)
{
	return it->p == it->buf[0] ? it->buf[1] : it->buf[0];
}

struct queue {
	struct limit_item **v;
	size_t head, n;
};

struct line;

struct lane {
	struct line *line;
	struct queue q; /* what it is to work on */
	unsigned int first, end;
	unsigned int number;
	size_t batch, least;
	uint64_t takes, took; /* calls together, and items in them */
	unsigned int threads;
};

struct line {
	const struct limit_stage *stages;
	unsigned int nstages;
	struct lane lane[LANES_MAX];
	unsigned int nlanes;
	struct limit_item *item;
	size_t nitems;
	const struct nrs_str *inputs;
	size_t ninputs, next;
	pthread_mutex_t lock;
	pthread_cond_t change;
	bool stop, failed;
	unsigned int ready; /* threads that opened their stages */
	uint64_t done, done_bytes;
};

/* What was measured, all slices together. */
struct tally {
	unsigned int slices;
	double alone, wall[STAGES_MAX], cpu[STAGES_MAX]; /* items; seconds of each stage */
	double seconds, items, bytes;			 /* together */
};

/* --- items ------------------------------------------------------------------ */

static void
items_init(struct line *l, size_t n, size_t cap)
{
	l->nitems = n;
	l->item = bench_alloc(n * sizeof(*l->item));
	for (size_t i = 0; i < n; i++) {
		l->item[i].buf_cap = cap;
		for (int k = 0; k < 2; k++) {
			l->item[i].buf[k] = bench_alloc(cap);
			memset(l->item[i].buf[k], 1, cap); /* touched before, not while */
		}
	}
}

static void
items_fini(struct line *l)
{
	for (size_t i = 0; i < l->nitems; i++) {
		free(l->item[i].buf[0]);
		free(l->item[i].buf[1]);
	}
	free(l->item);
}

static void
item_begin(struct line *l, struct limit_item *it)
{
	const struct nrs_str *in = &l->inputs[l->next++ % l->ninputs];

	it->src = it->p = in->p;
	it->src_len = it->len = in->len;
}

/* --- together ----------------------------------------------------------------- */

static void
queue_put(struct queue *q, size_t cap, struct limit_item *it)
{
	q->v[(q->head + q->n++) % cap] = it;
}

/* Waits for work; how many were taken, 0: the end. */
static size_t
lane_take(struct lane *a, struct limit_item **v)
{
	struct line *l = a->line;
	size_t n = 0;

	pthread_mutex_lock(&l->lock);
	while (a->q.n < a->least && !l->stop)
		pthread_cond_wait(&l->change, &l->lock);
	for (; !l->stop && n < a->batch && a->q.n > 0; n++, a->q.n--) {
		v[n] = a->q.v[a->q.head];
		a->q.head = (a->q.head + 1) % l->nitems;
		if (a->number == 0)
			item_begin(l, v[n]);
	}
	if (n > 0) {
		a->takes++;
		a->took += n;
	}
	pthread_mutex_unlock(&l->lock);
	return n;
}

static void
lane_give(struct lane *a, struct limit_item **v, size_t n)
{
	struct line *l = a->line;
	bool last = a->number + 1 == l->nlanes;
	struct lane *next = last ? &l->lane[0] : a + 1;

	pthread_mutex_lock(&l->lock);
	for (size_t i = 0; i < n; i++) {
		queue_put(&next->q, l->nitems, v[i]);
		if (last) {
			l->done++;
			l->done_bytes += v[i]->src_len;
		}
	}
	pthread_cond_broadcast(&l->change);
	pthread_mutex_unlock(&l->lock);
}

static void
line_fail(struct line *l)
{
	pthread_mutex_lock(&l->lock);
	l->failed = l->stop = true;
	pthread_cond_broadcast(&l->change);
	pthread_mutex_unlock(&l->lock);
}

static void
lane_ready(struct line *l)
{
	pthread_mutex_lock(&l->lock);
	l->ready++;
	pthread_cond_broadcast(&l->change);
	pthread_mutex_unlock(&l->lock);
}

/* A handshake, or the making of a file, is no part of any rate. */
static void
wait_ready(struct line *l, unsigned int threads)
{
	pthread_mutex_lock(&l->lock);
	while (l->ready < threads && !l->failed)
		pthread_cond_wait(&l->change, &l->lock);
	pthread_mutex_unlock(&l->lock);
}

static void *
stage_open(const struct limit_stage *s)
{
	return s->open != NULL ? s->open(s->arg) : s->arg;
}

static void
stage_close(const struct limit_stage *s, void *ctx)
{
	if (s->close != NULL && ctx != NULL)
		s->close(ctx);
}

static void *
lane_thread(void *arg)
{
	struct lane *a = arg;
	const struct limit_stage *stages = a->line->stages;
	struct limit_item **v = bench_alloc(a->batch * sizeof(*v));
	void *ctx[STAGES_MAX] = { NULL };
	size_t n;
	int rc = 0;

	for (unsigned int i = a->first; i < a->end && rc == 0; i++)
		if ((ctx[i] = stage_open(&stages[i])) == NULL && stages[i].open != NULL)
			rc = -1;
	if (rc == 0)
		lane_ready(a->line);
	while (rc == 0 && (n = lane_take(a, v)) > 0) {
		for (unsigned int i = a->first; i < a->end && rc == 0; i++)
			rc = stages[i].work(ctx[i], v, n);
		if (rc == 0)
			lane_give(a, v, n);
	}
	if (rc != 0)
		line_fail(a->line);
	for (unsigned int i = a->first; i < a->end; i++)
		stage_close(&stages[i], ctx[i]);
	free(v);
	return NULL;
}

/* Waits until something was done or it failed; what was done so far. */
static uint64_t
line_done(struct line *l, uint64_t *ret_bytes)
{
	uint64_t n;

	pthread_mutex_lock(&l->lock);
	n = l->done;
	*ret_bytes = l->done_bytes;
	pthread_mutex_unlock(&l->lock);
	return n;
}

static bool
line_failed(struct line *l)
{
	bool failed;

	pthread_mutex_lock(&l->lock);
	failed = l->failed;
	pthread_mutex_unlock(&l->lock);
	return failed;
}

static int
together(struct line *l, double seconds, struct tally *y)
{
	pthread_t thread[THREADS_MAX];
	unsigned int n = 0;
	uint64_t done0, done, bytes0, bytes;
	double t0, t;

	l->stop = false;
	l->ready = 0;
	for (unsigned int i = 0; i < l->nlanes; i++)
		l->lane[i].q.n = 0;
	for (size_t i = 0; i < l->nitems; i++)
		queue_put(&l->lane[0].q, l->nitems, &l->item[i]);
	for (unsigned int i = 0; i < l->nlanes; i++)
		for (unsigned int k = 0; k < l->lane[i].threads && n < THREADS_MAX; k++)
			if (pthread_create(&thread[n], NULL, lane_thread, &l->lane[i]) == 0)
				n++;
			else
				line_fail(l);
	wait_ready(l, n);
	/* The first tenth fills the queues. */
	usleep((useconds_t)(seconds * 1e5));
	done0 = line_done(l, &bytes0);
	t0 = bench_now();
	/* On a machine that is busy with others, longer than asked. */
	do {
		usleep((useconds_t)(seconds * 1e6));
		done = line_done(l, &bytes);
		t = bench_now() - t0;
	} while (done == done0 && !line_failed(l) && t < PATIENCE);
	pthread_mutex_lock(&l->lock);
	l->stop = true;
	pthread_cond_broadcast(&l->change);
	pthread_mutex_unlock(&l->lock);
	while (n > 0)
		pthread_join(thread[--n], NULL);
	y->seconds += t;
	y->items += (double)(done - done0);
	y->bytes += (double)(bytes - bytes0);
	return l->failed || done == done0 ? -1 : 0;
}

/* --- alone ---------------------------------------------------------------------- */

static double
process_cpu(void)
{
	struct rusage u;

	if (getrusage(RUSAGE_SELF, &u) != 0)
		return 0;
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	    (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* Items in a call: what had come while the call before was busy. */
static size_t
lane_mean(const struct lane *a)
{
	return a->takes > 0 ? (size_t)((a->took + a->takes / 2) / a->takes) : 1;
}

/*
 * One thread takes batches, as large as they were together, through all stages,
 * each timed.  Processor time is
 * that of the process: a stage may have another end in a thread of its own.
 */
static int
alone(struct line *l, double seconds, struct tally *y)
{
	struct limit_item *v[BATCH_MAX];
	double t, t0 = bench_now(), cpu0;
	void *ctx[STAGES_MAX] = { NULL };
	size_t n = 0;
	int rc = 0;

	for (unsigned int i = 0; i < l->nlanes; i++)
		n = lane_mean(&l->lane[i]) > n ? lane_mean(&l->lane[i]) : n;
	for (size_t i = 0; i < n; i++)
		v[i] = &l->item[i];
	for (unsigned int i = 0; i < l->nstages && rc == 0; i++)
		if ((ctx[i] = stage_open(&l->stages[i])) == NULL &&
		    l->stages[i].open != NULL)
			rc = -1;
	for (unsigned int round = 0; rc == 0 && (round < 2 || bench_now() - t0 < seconds);
	     round++) {
		for (size_t i = 0; i < n; i++)
			item_begin(l, v[i]);
		for (unsigned int i = 0; i < l->nstages && rc == 0; i++) {
			cpu0 = process_cpu();
			t = bench_now();
			rc = l->stages[i].work(ctx[i], v, n);
			if (round == 0) /* warms up */
				continue;
			y->wall[i] += bench_now() - t;
			y->cpu[i] += process_cpu() - cpu0;
		}
		y->alone += round > 0 ? (double)n : 0;
	}
	for (unsigned int i = 0; i < l->nstages; i++)
		stage_close(&l->stages[i], ctx[i]);
	return rc;
}

/* The slowest lane, or all processors with all the work. */
static double
implied(const struct line *l, const struct tally *y)
{
	double least, lane, cpu = 0;

	for (unsigned int i = 0; i < l->nstages; i++)
		cpu += y->cpu[i] / y->alone;
	least = cpu > 0 ? (double)sysconf(_SC_NPROCESSORS_ONLN) / cpu : 0;
	for (unsigned int i = 0; i < l->nlanes; i++) {
		lane = 0;
		for (unsigned int k = l->lane[i].first; k < l->lane[i].end; k++)
			lane += y->wall[k] / y->alone;
		if (lane > 0 && (least <= 0 || l->lane[i].threads / lane < least))
			least = l->lane[i].threads / lane;
	}
	return least;
}

static void
conclude(const struct line *l, const struct tally *y, struct limit_floor *ret)
{
	ret->n = l->nstages;
	ret->batch = lane_mean(&l->lane[l->nlanes - 1]);
	for (unsigned int i = 0; i < l->nstages; i++) {
		ret->stage[i].name = l->stages[i].name;
		ret->stage[i].items_s = y->wall[i] > 0 ? y->alone / y->wall[i] : 0;
		ret->stage[i].cpu_us = 1e6 * y->cpu[i] / y->alone;
	}
	ret->items_s = y->items / y->seconds;
	ret->bytes_s = y->bytes / y->seconds;
	ret->implied = implied(l, y);
	ret->share = ret->implied > 0 ? ret->items_s / ret->implied : 0;
	ret->valid = ret->share >= VALID;
}

/* --- all of it -------------------------------------------------------------------- */

static int
line_init(struct line *l, const struct limit_stage *stages, unsigned int n)
{
	struct lane *a = NULL;

	l->stages = stages;
	l->nstages = n;
	for (unsigned int i = 0; i < n; i++) {
		if (a == NULL || stages[i].lane != a->number) {
			if (stages[i].lane != l->nlanes || l->nlanes == LANES_MAX)
				return -1;
			a = &l->lane[l->nlanes];
			*a = (struct lane){ .line = l,
				.number = l->nlanes++,
				.first = i,
				.batch = stages[i].batch > 0 ? stages[i].batch : 1,
				.least = stages[i].least > 0 ? stages[i].least : 1,
				.threads = stages[i].threads > 0 ? stages[i].threads : 1 };
			if (a->batch > BATCH_MAX || a->least > a->batch)
				return -1;
		}
		a->end = i + 1;
	}
	return 0;
}

static size_t
items_for(const struct line *l)
{
	size_t n = ITEMS;

	for (unsigned int i = 0; i < l->nlanes; i++)
		if (n < 3 * l->lane[i].batch)
			n = 3 * l->lane[i].batch;
	return n;
}

int
limit_together(struct bench *b, const struct limit_stage *stages, unsigned int n,
    const struct nrs_str *inputs, size_t ninputs, size_t buf_cap, double seconds,
    struct limit_floor *ret)
{
	struct line *l = bench_alloc(sizeof(*l));
	struct tally y = { 0 };
	int rc = -1;

	memset(ret, 0, sizeof(*ret));
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->change, NULL);
	l->inputs = inputs;
	l->ninputs = ninputs;
	if (n == 0 || n > STAGES_MAX || ninputs == 0 || line_init(l, stages, n) != 0)
		goto out;
	items_init(l, items_for(l), buf_cap);
	for (unsigned int i = 0; i < l->nlanes; i++)
		l->lane[i].q.v = bench_alloc(l->nitems * sizeof(struct limit_item *));
	/* In turns: what else the machine does then falls on both. */
	for (rc = 0; rc == 0 && y.slices < SLICES; y.slices++)
		if ((rc = together(l, seconds / SLICES, &y)) == 0)
			rc = alone(l, seconds / SLICES, &y);
	if (rc == 0)
		conclude(l, &y, ret);
	items_fini(l);
	for (unsigned int i = 0; i < l->nlanes; i++)
		free(l->lane[i].q.v);
out:
	pthread_mutex_destroy(&l->lock);
	pthread_cond_destroy(&l->change);
	free(l);
	return rc == 0 ? 0 : bench_fail(b, "a stage of the floor failed");
}

void
limit_floor_rows(struct bench *b, const char *name, const struct limit_floor *f)
{
	char text[80];

	for (unsigned int i = 0; i < f->n; i++) {
		snprintf(text, sizeof(text), "%s.floor.%s", name, f->stage[i].name);
		bench_value(b, text, f->stage[i].items_s, "items/s", BENCH_MORE, 0, NULL);
	}
	snprintf(text, sizeof(text), "%s.floor", name);
	bench_value(b, text, f->items_s, "items/s", BENCH_MORE, f->implied,
	    "what the stages alone imply");
	bench_note(b,
	    "floor of %s: %.1f MB/s, %zu in a batch; %s: %.2f of what its stages imply (0.80 is asked)",
	    name, f->bytes_s / 1e6, f->batch, f->valid ? "valid" : "NOT VALID", f->share);
}
