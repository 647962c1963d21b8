/* Threads that run jobs: signatures, payloads, bundles.  Jobs live for one segment. */
#include <stdlib.h>
#include <string.h>

#include "tools/noroshi-fsck/fsck.h"

#define CHUNK 256

struct chunk {
	struct chunk *next;
	unsigned int n;
	struct job v[CHUNK];
};

struct worker {
	pthread_t thread;
	struct pool *pool;
	struct nrs_digest *dg;
	struct nrs_buf buf;
};

struct pool {
	struct fsck *f;
	pthread_mutex_t lock;
	pthread_cond_t work, idle;
	struct chunk *first, *last; /* of this round; the last is being filled */
	struct chunk *next;	    /* the first that is not taken; under lock */
	unsigned int pushed;	    /* of the last chunk that are ready; under lock */
	unsigned int taken;	    /* of next; under lock */
	uint64_t ready, done;	    /* under lock */
	bool stop;
	unsigned int nworkers;
	struct worker *workers;
	struct worker self; /* of the main thread, when it waits */
};

/* Under lock; NULL: nothing to do. */
static struct job *
take(struct pool *p)
{
	while (p->next != NULL) {
		if (p->taken < (p->next == p->last ? p->pushed : p->next->n))
			return &p->next->v[p->taken++];
		if (p->next->next == NULL)
			return NULL;
		p->next = p->next->next;
		p->taken = 0;
	}
	return NULL;
}

static void
work(struct pool *p, struct worker *w, struct job *j)
{
	job_run(p->f, j, w->dg, &w->buf);
	pthread_mutex_lock(&p->lock);
	if (++p->done == p->ready)
		pthread_cond_signal(&p->idle);
}

static void *
worker_main(void *arg)
{
	struct worker *w = arg;
	struct pool *p = w->pool;
	struct job *j;

	pthread_mutex_lock(&p->lock);
	while (!p->stop) {
		if ((j = take(p)) == NULL) {
			pthread_cond_wait(&p->work, &p->lock);
			continue;
		}
		pthread_mutex_unlock(&p->lock);
		work(p, w, j);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static int
worker_init(struct worker *w, struct pool *p)
{
	w->pool = p;
	w->dg = nrs_digest_new();
	nrs_buf_init(&w->buf, NRS_JFRAME_MAX + 64);
	return w->dg != NULL ? 0 : NRS_ENOMEM;
}

static void
worker_fini(struct worker *w)
{
	nrs_digest_free(w->dg);
	nrs_buf_wipe(&w->buf);
}

int
pool_new(struct fsck *f, unsigned int threads, struct pool **ret)
{
	struct pool *p = calloc(1, sizeof(*p));
	int rc = NRS_ENOMEM;

	if ((*ret = p) == NULL)
		return rc;
	p->f = f;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	pthread_cond_init(&p->idle, NULL);
	if (worker_init(&p->self, p) != 0 ||
	    (p->workers = calloc(threads, sizeof(*p->workers))) == NULL)
		return rc;
	for (unsigned int i = 0; i < threads; i++) {
		if (worker_init(&p->workers[i], p) != 0 ||
		    pthread_create(
			&p->workers[i].thread, NULL, worker_main, &p->workers[i]) != 0) {
			worker_fini(&p->workers[i]);
			return rc;
		}
		p->nworkers++;
	}
	return 0;
}

void
pool_free(struct pool *p)
{
	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	for (unsigned int i = 0; i < p->nworkers; i++) {
		pthread_join(p->workers[i].thread, NULL);
		worker_fini(&p->workers[i]);
	}
	worker_fini(&p->self);
	free(p->workers);
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->work);
	pthread_cond_destroy(&p->idle);
	free(p);
}

struct job *
pool_job(struct pool *p)
{
	struct chunk *c = p->last;

	if (c == NULL || c->n == CHUNK) {
		if ((c = calloc(1, sizeof(*c))) == NULL) {
			p->f->failed = true;
			return NULL;
		}
		pthread_mutex_lock(&p->lock);
		if (p->last != NULL)
			p->last->next = c;
		else
			p->first = p->next = c;
		p->last = c;
		p->pushed = 0;
		pthread_mutex_unlock(&p->lock);
	}
	return &c->v[c->n];
}

void
pool_push(struct pool *p, struct job *j)
{
	(void)j; /* the last one that pool_job() gave */
	pthread_mutex_lock(&p->lock);
	p->last->n++;
	p->pushed = p->last->n;
	p->ready++;
	pthread_cond_signal(&p->work);
	pthread_mutex_unlock(&p->lock);
}

void
pool_drain(struct pool *p, void (*each)(struct fsck *f, struct job *j))
{
	struct chunk *c, *next;
	struct job *j;

	pthread_mutex_lock(&p->lock);
	while (p->done < p->ready) {
		if ((j = take(p)) == NULL) {
			pthread_cond_wait(&p->idle, &p->lock);
			continue;
		}
		pthread_mutex_unlock(&p->lock);
		work(p, &p->self, j);
	}
	pthread_mutex_unlock(&p->lock);
	for (c = p->first; c != NULL; c = next) {
		for (unsigned int i = 0; i < c->n; i++)
			each(p->f, &c->v[i]);
		next = c->next;
		free(c);
	}
	pthread_mutex_lock(&p->lock);
	p->first = p->last = p->next = NULL;
	p->pushed = p->taken = 0;
	p->ready = p->done = 0;
	pthread_mutex_unlock(&p->lock);
}
