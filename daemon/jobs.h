/* The pool of threads for pure work on immutable input (noroshi/env.h, jobs). */
#ifndef DAEMON_JOBS_H
#define DAEMON_JOBS_H

#include <noroshi/env.h>
#include <noroshi/err.h>

struct app;
struct jobs;

int jobs_new(struct app *app, unsigned int threads, struct jobs **ret) NRS_MUST_CHECK;
/* Ends the threads when they are done with what was submitted; hands nothing out. Accepts NULL. */
void jobs_free(struct jobs *j);
/* Waits for what was submitted and hands the completions out, until there is nothing. */
void jobs_drain(struct jobs *j);
bool jobs_idle(const struct jobs *j);

/* Adds to a pool that is not the environment's (net.c has one of its own for name lookups). */
void jobs_add(struct jobs *j, struct nrs_job *job);
/* The environment's. */
void jobs_submit(struct nrs_env *e, struct nrs_job *job);

#endif
