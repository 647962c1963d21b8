/*
 * sim: runs seeds, one or many, in several processes, and prints what they
 * covered.  sim-plant is the same program with planted bugs.
 */
#include <sys/mman.h>
#include <sys/wait.h>

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <noroshi/plant.h>

#include "sim.h"

#define JOBS_MAX     64
#define SEED_SECONDS 120 /* real time of one seed: more is a loop without end */

#if NRS_PLANT < 0
int nrs_plant;
#endif

struct shared {
	struct cov cov;
	uint64_t next;		    /* seed */
	uint64_t left;		    /* seeds */
	uint64_t running[JOBS_MAX]; /* seed of each job, plus one */
	int stop;
};

struct args {
	struct sim_opts o;
	bool one, coverage, have_from, keep_going;
	uint64_t from, seeds;
	unsigned int seconds, jobs;
	const char *corpus;
};

static const struct {
	const char *name;
	int number;
	const char *text;
} plants[] = {
#define PLANT(n, num, t) { #n, num, t },
#include "noroshi/plant.def"
#undef PLANT
};

static void
usage(void)
{
	fprintf(stderr,
	    "usage: sim --seed S [-v]\n"
	    "       sim --seeds N | --seconds T | --corpus FILE [--from S] [--jobs J]\n"
	    "       [--nodes N] [--records N] [--real-keys] [--plant NAME] [--coverage]\n"
	    "       [--keep-going]\n"
	    "       sim --list-plants\n");
	exit(2);
}

static void
choose_plant(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(plants) / sizeof(plants[0]); i++)
		if (strcmp(plants[i].name, name) == 0 || atoi(name) == plants[i].number) {
#if NRS_PLANT < 0
			nrs_plant = plants[i].number;
			return;
#endif
		}
	fprintf(stderr, "sim: this build has no planted bug %s\n", name);
	exit(2);
}

static void
list_plants(void)
{
	size_t i;

	for (i = 0; i < sizeof(plants) / sizeof(plants[0]); i++)
		printf("%s\n", plants[i].name);
	exit(0);
}

static void
parse(int argc, char **argv, struct args *a)
{
	static const struct option opts[] = { { "seed", 1, NULL, 's' },
		{ "seeds", 1, NULL, 'n' }, { "from", 1, NULL, 'f' },
		{ "jobs", 1, NULL, 'j' }, { "seconds", 1, NULL, 't' },
		{ "plant", 1, NULL, 'p' }, { "real-keys", 0, NULL, 'k' },
		{ "nodes", 1, NULL, 'N' }, { "records", 1, NULL, 'r' },
		{ "coverage", 0, NULL, 'c' }, { "corpus", 1, NULL, 'C' },
		{ "list-plants", 0, NULL, 'L' }, { "keep-going", 0, NULL, 'K' }, { NULL } };
	int c;

	memset(a, 0, sizeof(*a));
	a->o.records = 500;
	a->jobs = 1;
	while ((c = getopt_long(argc, argv, "v", opts, NULL)) != -1) {
		unsigned long long v = optarg != NULL ? strtoull(optarg, NULL, 0) : 0;

		switch (c) {
		case 's':
			a->one = true;
			a->o.seed = v;
			break;
		case 'n':
			a->seeds = v;
			break;
		case 'f':
			a->from = v;
			a->have_from = true;
			break;
		case 'j':
			a->jobs = v > 0 && v <= JOBS_MAX ? (unsigned int)v : 1;
			break;
		case 't':
			a->seconds = (unsigned int)v;
			break;
		case 'p':
			choose_plant(optarg);
			a->o.plant = optarg;
			break;
		case 'k':
			keys_real = true;
			break;
		case 'N':
			a->o.nodes = (unsigned int)v;
			if (v < 2 || v > SIM_NODES_MAX)
				usage();
			break;
		case 'r':
			a->o.records = (unsigned int)v;
			break;
		case 'c':
			a->coverage = true;
			break;
		case 'C':
			a->corpus = optarg;
			break;
		case 'v':
			a->o.verbose = true;
			break;
		case 'K':
			a->keep_going = true;
			break;
		case 'L':
			list_plants();
			break;
		default:
			usage();
		}
	}
	if (optind != argc ||
	    (!a->one && a->seeds == 0 && a->seconds == 0 && a->corpus == NULL))
		usage();
}

static double
real_time(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Takes the next seed; false: there is none. */
static bool
next_seed(struct shared *sh, uint64_t *ret)
{
	uint64_t left;

	do {
		left = __atomic_load_n(&sh->left, __ATOMIC_SEQ_CST);
		if (left == 0 || __atomic_load_n(&sh->stop, __ATOMIC_SEQ_CST) != 0)
			return false;
	} while (!__atomic_compare_exchange_n(
	    &sh->left, &left, left - 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
	*ret = __atomic_fetch_add(&sh->next, 1, __ATOMIC_SEQ_CST);
	return true;
}

static void
work(struct shared *sh, const struct args *a, unsigned int job, double until)
{
	struct sim_opts o = a->o;

	while (next_seed(sh, &o.seed)) {
		if (a->seconds > 0 && real_time() >= until)
			break;
		sh->running[job] = o.seed + 1;
		alarm(SEED_SECONDS);
		sim_run(&o);
		sh->running[job] = 0;
	}
	alarm(0);
	fflush(stdout);
	_exit(0);
}

/* A process that died takes the others with it; its seed is named. */
static int
run_jobs(struct shared *sh, const struct args *a)
{
	double until = real_time() + a->seconds;
	pid_t pid[JOBS_MAX], p;
	unsigned int i;
	int status, rc = 0;

	fflush(stdout);
	for (i = 0; i < a->jobs; i++) {
		if ((pid[i] = fork()) < 0) {
			perror("fork");
			exit(2);
		}
		if (pid[i] == 0)
			work(sh, a, i, until);
	}
	while ((p = wait(&status)) > 0) {
		for (i = 0; i < a->jobs && pid[i] != p; i++)
			;
		if (status == 0)
			continue;
		rc = 1;
		if (!a->keep_going)
			__atomic_store_n(&sh->stop, 1, __ATOMIC_SEQ_CST);
		if (i < a->jobs && sh->running[i] != 0 &&
		    !(WIFEXITED(status) && WEXITSTATUS(status) == 1))
			printf("FAILED seed %llu: the process died: %s %d\n"
			       "  invariant: no crash\n",
			    (unsigned long long)sh->running[i] - 1,
			    WIFSIGNALED(status) ? "signal" : "exit status",
			    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
		fflush(stdout);
		if (i < a->jobs && a->keep_going && (pid[i] = fork()) == 0)
			work(sh, a, i, until);
	}
	return rc;
}

static int
run_corpus(struct shared *sh, struct args *a)
{
	char line[128], *end;
	FILE *f = fopen(a->corpus, "r");
	int rc = 0;

	if (f == NULL) {
		perror(a->corpus);
		return 2;
	}
	while (rc == 0 && fgets(line, sizeof(line), f) != NULL) {
		uint64_t seed = strtoull(line, &end, 0);

		if (end == line)
			continue; /* a comment */
		sh->next = seed;
		sh->left = 1;
		rc = run_jobs(sh, a);
	}
	fclose(f);
	return rc;
}

static void
summary(const struct cov *c, double took)
{
	printf("%llu seeds in %.1f s, %llu records, %llu acknowledged, %llu sent again, "
	       "%llu events\n",
	    (unsigned long long)c->seeds, took, (unsigned long long)c->records,
	    (unsigned long long)c->acked, (unsigned long long)c->resubmitted,
	    (unsigned long long)c->events);
	printf(
	    "%llu power losses, %llu kills, %llu partitions, %llu disks full, %llu syncs "
	    "failed, %llu opened twice, %llu seeds with a liar, %llu of its records refused, "
	    "%llu looks at records taken on their checkpoint, %llu checkpoints signed again\n",
	    (unsigned long long)c->crashes, (unsigned long long)c->kills,
	    (unsigned long long)c->partitions, (unsigned long long)c->full,
	    (unsigned long long)c->eio, (unsigned long long)c->idempotent,
	    (unsigned long long)c->mal_seeds, (unsigned long long)c->refused_mal,
	    (unsigned long long)c->on_checkpoint, (unsigned long long)c->signed_again);
}

int
main(int argc, char **argv)
{
	struct shared *sh;
	struct args a;
	double start = real_time();
	int rc;

	parse(argc, argv, &a);
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	sh = mmap(
	    NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (sh == MAP_FAILED) {
		perror("mmap");
		return 2;
	}
	sim_cov = &sh->cov;
	if (a.one) {
		sim_run(&a.o);
		rc = 0;
	} else if (a.corpus != NULL) {
		rc = run_corpus(sh, &a);
	} else {
		if (!a.have_from)
			a.from = (uint64_t)time(NULL) * 1000;
		printf("seeds from %llu\n", (unsigned long long)a.from);
		sh->next = a.from;
		sh->left = a.seeds > 0 ? a.seeds : UINT64_MAX;
		rc = run_jobs(sh, &a);
	}
	summary(&sh->cov, real_time() - start);
	if (a.coverage && !cov_print(&sh->cov) && rc == 0)
		rc = 3;
	return rc;
}
