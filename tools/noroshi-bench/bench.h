/*
 * noroshi-bench(1): what every scenario sees.
 *
 * A scenario measures, and tells rows.  The rows are rules that nobody can
 * flatter: each figure stands beside the limit of the machine measured in the
 * same run, the worst of all runs is the figure, and no scenario ever fails
 * because of a time.  Targets are rows of one table (targets.c); only --check
 * looks at them.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <noroshi/err.h>

#define BENCH_RUNS_MAX 64

/* What the caller asked for; a scenario takes from it what it needs. */
struct bench {
	const char *dir;   /* absolute; exists, on a filesystem of a disk; ours to fill */
	const char *bin;   /* where noroshid and noroshi are looked for: fleet.h */
	unsigned int runs; /* at least 1 */
	double seconds;	   /* for one measurement; 0: as the scenario thinks best */
	uint64_t records;  /* how many; 0: as the scenario thinks best */
	bool json;
	bool verbose;
	bool keep;	      /* leave data directories behind */
	const char *scenario; /* the one that runs */
	struct bench_out *out;
};

/*
 * A scenario: returns 0, or an exit status having said why it could not
 * measure (bench_fail).  Listed in the table of main.c.
 */
struct bench_scenario {
	const char *name;
	const char *brief; /* one line for --help */
	const char *how; /* what is measured, against which limit; printed in human form */
	int (*run)(struct bench *b);
};

extern const struct bench_scenario bench_ingest, bench_single, bench_latency, bench_fanout,
    bench_journal, bench_restart, bench_tlog;

/* --- rows -------------------------------------------------------------- */

/* Which way is good. */
enum bench_sense {
	BENCH_MORE, /* rates: ratio = value / limit */
	BENCH_LESS, /* times, bytes of memory: ratio = limit / value */
};

/* One value for each run. */
struct bench_series {
	double v[BENCH_RUNS_MAX];
	unsigned int n;
};

/* Further ones than BENCH_RUNS_MAX are ignored. */
void bench_add(struct bench_series *s, double value);
double bench_worst(const struct bench_series *s, enum bench_sense sense);
double bench_best(const struct bench_series *s, enum bench_sense sense);
double bench_median(const struct bench_series *s);

struct bench_row {
	const char *name; /* the headline: the scenario's name; others: "ingest.mb_s" */
	const char *unit; /* "records/s", "MB/s", "ms", "us", "MB", "s", "ratio" */
	enum bench_sense sense;
	struct bench_series value;
	/* The machine's limit in the same runs: none, one for all, or one for each run. */
	struct bench_series limit;
	const char *limit_of; /* what the limit is: "Ed25519 verify, one core"; or NULL */
	const char *note;     /* or NULL */
};

/*
 * Tells a row.  With a limit the figure is the run with the worst ratio, else
 * the run with the worst value; best and median of the values are told beside
 * it.  A target is looked up by name.
 */
void bench_row(struct bench *b, const struct bench_row *row);
/* A row of one value; limit 0: none. */
void bench_value(struct bench *b, const char *name, double value, const char *unit,
    enum bench_sense sense, double limit, const char *limit_of);
/* A line of text about what was measured: {"note": ...} with --json. */
void bench_note(struct bench *b, const char *fmt, ...) NRS_PRINTF(2, 3);
/* To standard error, only with -v. */
void bench_debug(struct bench *b, const char *fmt, ...) NRS_PRINTF(2, 3);
/* Says why something could not be measured, on standard error; returns exit status 74. */
int bench_fail(struct bench *b, const char *fmt, ...) NRS_PRINTF(2, 3);
/* The same, with what errno says. */
int bench_fail_errno(struct bench *b, const char *fmt, ...) NRS_PRINTF(2, 3);

/* --- clocks and memory ------------------------------------------------- */

/* Seconds of the monotonic clock. */
double bench_now(void);
/* Nanoseconds of the same clock: for hist.h. */
uint64_t bench_now_ns(void);
/* Seconds of processor time of this thread. */
double bench_cpu_thread(void);
/* Seconds of processor time of a process, all its threads; 0 when it is gone. */
double bench_cpu_pid(int pid);
/* Resident memory of a process in bytes; 0 when it is gone. */
uint64_t bench_rss_pid(int pid);
/* Sleeps until the monotonic clock shows ns; late wake-ups are the caller's to count. */
void bench_sleep_until_ns(uint64_t ns);

/* Memory or the end. */
void *bench_alloc(size_t n);
char *bench_fmt(const char *fmt, ...) NRS_PRINTF(1, 2); /* free() it */

/* --- files ------------------------------------------------------------- */

/* A new, empty directory under b->dir; its path is free()d by the caller. NULL: said why. */
char *bench_mkdir(struct bench *b, const char *name);
/* Removes a directory under b->dir and all in it, unless b->keep. Accepts NULL. */
void bench_rmdir(struct bench *b, const char *path);
/*
 * Drops the page cache of the files below path: all of it if we may, else file
 * by file with posix_fadvise.  Returns which, for the note.
 */
const char *bench_drop_cache(const char *path);

#endif
