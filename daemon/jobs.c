/*
 * A queue, a few threads, a list of what is done.  Workers own nothing and
 * touch nothing but the job they hold.
 */
#include "daemon/jobs.h"

#include <pthread.h>
#include <stdlib.h>

#include "daemon/app.h"
#include "daemon/loop.h"

#define JOBS_THREADS_MAX NRS_WORKERS_MAX

struct jobs {
	pthread_mutex_t lock;
	pthread_cond_t work;   /* something is queued, or stop */
	pthread_cond_t idle;   /* something is done */
	struct nrs_job *queue; /* oldest first */
	struct nrs_job **queue_end;
	struct nrs_job *done; /* oldest first */
	struct nrs_job **done_end;
	bool stop;

	struct loop_note note;
	struct app *app;
	unsigned int pending; /* loop's thread only */
	unsigned int nthreads;
	unsigned int numbers; /* given to workers; under lock */
	unsigned long threads[JOBS_THREADS_MAX];
};

static void *
worker(void *arg)
{
	struct jobs *j = arg;
	struct nrs_job *job;
	unsigned int number;
	bool first;

	pthread_mutex_lock(&j->lock);
	number = j->numbers++;
	for (;;) {
		while (j->queue == NULL && !j->stop)
			pthread_cond_wait(&j->work, &j->lock);
		if ((job = j->queue) == NULL)
			break;
		if ((j->queue = job->next) == NULL)
			j->queue_end = &j->queue;
		pthread_mutex_unlock(&j->lock);
		job->next = NULL;
		job->worker = number;
		job->run(job);
		pthread_mutex_lock(&j->lock);
		first = j->done == NULL;
		*j->done_end = job;
		j->done_end = &job->next;
		pthread_cond_signal(&j->idle);
		if (!first)
			continue;
		/* Who is woken wants the lock. */
		pthread_mutex_unlock(&j->lock);
		loop_note_post(&j->note);
		pthread_mutex_lock(&j->lock);
	}
	pthread_mutex_unlock(&j->lock);
	return NULL;
}

static struct nrs_job *
take_done(struct jobs *j)
{
	struct nrs_job *list;

	pthread_mutex_lock(&j->lock);
	list = j->done;
	j->done = NULL;
	j->done_end = &j->done;
	pthread_mutex_unlock(&j->lock);
	return list;
}

static void
hand_out(struct jobs *j, struct nrs_job *list)
{
	struct nrs_job *next;

	for (; list != NULL; list = next) {
		next = list->next;
		list->next = NULL;
		j->pending--;
		list->done(list);
	}
}

static void
on_done(void *arg)
{
	struct jobs *j = arg;

	hand_out(j, take_done(j));
	app_touch(j->app);
}

int
jobs_new(struct app *app, unsigned int threads, struct jobs **ret)
{
	struct jobs *j;
	int rc;

	*ret = NULL;
	if (threads == 0 || threads > JOBS_THREADS_MAX)
		return NRS_ERANGE;
	if ((j = calloc(1, sizeof(*j))) == NULL)
		return NRS_ENOMEM;
	pthread_mutex_init(&j->lock, NULL);
	pthread_cond_init(&j->work, NULL);
	pthread_cond_init(&j->idle, NULL);
	j->queue_end = &j->queue;
	j->done_end = &j->done;
	j->app = app;
	rc = loop_note_init(&j->note, app->base, on_done, j);
	while (rc == 0 && j->nthreads < threads) {
		rc = loop_thread(&j->threads[j->nthreads], worker, j, "noroshi-job");
		if (rc == 0)
			j->nthreads++;
	}
	if (rc != 0) {
		jobs_free(j);
		return rc;
	}
	*ret = j;
	return 0;
}

void
jobs_submit(struct nrs_env *e, struct nrs_job *job)
{
	jobs_add(env_app(e)->jobs, job);
}

void
jobs_add(struct jobs *j, struct nrs_job *job)
{

	j->pending++;
	job->next = NULL;
	pthread_mutex_lock(&j->lock);
	*j->queue_end = job;
	j->queue_end = &job->next;
	pthread_mutex_unlock(&j->lock);
	pthread_cond_signal(&j->work);
}

bool
jobs_idle(const struct jobs *j)
{
	return j->pending == 0;
}

void
jobs_drain(struct jobs *j)
{
	while (j->pending > 0) {
		pthread_mutex_lock(&j->lock);
		while (j->done == NULL)
			pthread_cond_wait(&j->idle, &j->lock);
		pthread_mutex_unlock(&j->lock);
		hand_out(j, take_done(j));
	}
}

void
jobs_free(struct jobs *j)
{
	if (j == NULL)
		return;
	pthread_mutex_lock(&j->lock);
	j->stop = true;
	pthread_cond_broadcast(&j->work);
	pthread_mutex_unlock(&j->lock);
	while (j->nthreads > 0)
		pthread_join(j->threads[--j->nthreads], NULL);
	loop_note_fini(&j->note);
	pthread_cond_destroy(&j->idle);
	pthread_cond_destroy(&j->work);
	pthread_mutex_destroy(&j->lock);
	free(j);
}
