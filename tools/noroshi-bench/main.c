/* noroshi-bench(1): options, the table of scenarios, and what the exit status says. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "tools/noroshi-bench/out.h"
#include "tools/noroshi/cli.h"

struct options {
	const char *dir, *bin, *runs, *seconds, *records;
	bool json, verbose, check, keep, help, version;
};

#define O(f) offsetof(struct options, f)
static const struct opt rows[] = {
	{ "dir", 'd', OPT_TEXT, "DIR", O(dir), "where data goes: on a disk (.)", NULL },
	{ "bin", 0, OPT_TEXT, "DIR", O(bin), "build tree or directory of noroshid", NULL },
	{ "runs", 'n', OPT_TEXT, "N", O(runs), "repetitions; the worst counts (5)", NULL },
	{ "seconds", 's', OPT_TEXT, "S", O(seconds), "for one measurement", NULL },
	{ "records", 'r', OPT_TEXT, "N", O(records), "how many", NULL },
	{ "json", 0, OPT_FLAG, NULL, O(json), "one object a line", NULL },
	{ "check", 0, OPT_FLAG, NULL, O(check), "status 65 when a target is missed", NULL },
	{ "keep", 0, OPT_FLAG, NULL, O(keep), "leave the data behind", NULL },
	{ "verbose", 'v', OPT_FLAG, NULL, O(verbose), "tell what is being done", NULL },
	{ "help", 'h', OPT_FLAG, NULL, O(help), "this", NULL },
	{ "version", 'V', OPT_FLAG, NULL, O(version), "of this program", NULL },
	{ NULL },
};
#undef O

static const struct bench_scenario *const scenarios[] = {
	&bench_ingest,
	&bench_single,
	&bench_journal,
	&bench_tlog,
	&bench_latency,
	&bench_restart,
	&bench_fanout,
	NULL,
};

static void
help(FILE *f)
{
	fputs("usage: noroshi-bench [OPTION]... SCENARIO...\n\nscenarios:\n", f);
	for (const struct bench_scenario *const *s = scenarios; *s != NULL; s++)
		fprintf(f, "  %-9s %s\n", (*s)->name, (*s)->brief);
	fputs("  all       each of them\n\noptions:\n", f);
	for (const struct opt *o = rows; o->name != NULL; o++)
		fprintf(f, "  %c%c --%-8s %-4s %s\n", o->letter != 0 ? '-' : ' ',
		    o->letter != 0 ? o->letter : ' ', o->name,
		    o->meta != NULL ? o->meta : "", o->help);
	fputs(
	    "\nThe worst run is the figure; limits are measured in the same run. See "
	    "noroshi-bench(1).\n"
	    "Exit: 0 measured, 64 usage, 65 a target was missed (--check), 74 not measured, 78 --dir "
	    "will not do\n",
	    f);
}

NRS_PRINTF(1, 2)
static int
usage(const char *fmt, ...)
{
	va_list ap;

	fputs("noroshi-bench: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs("\nnoroshi-bench --help tells more.\n", stderr);
	return CLI_USAGE;
}

static const struct bench_scenario *
find(const char *name)
{
	for (const struct bench_scenario *const *s = scenarios; *s != NULL; s++)
		if (strcmp((*s)->name, name) == 0)
			return *s;
	return NULL;
}

/* A number from 1; 0 when it is not. */
static uint64_t
number(const char *s, uint64_t max)
{
	uint64_t v = 0;

	return nrs_u64_parse(s, strlen(s), max, &v) == 0 ? v : 0;
}

static int
take_numbers(struct bench *b, const struct options *o)
{
	char *end;

	b->runs = 5;
	if (o->runs != NULL &&
	    (b->runs = (unsigned int)number(o->runs, BENCH_RUNS_MAX)) == 0)
		return usage("--runs is a number from 1 to 64, not \"%s\"", o->runs);
	if (o->records != NULL && (b->records = number(o->records, 1000000000)) == 0)
		return usage(
		    "--records is a number from 1 to 1000000000, not \"%s\"", o->records);
	if (o->seconds == NULL)
		return 0;
	errno = 0;
	b->seconds = strtod(o->seconds, &end);
	if (errno != 0 || *end != '\0' || end == o->seconds || !(b->seconds > 0) ||
	    b->seconds > 3600)
		return usage(
		    "--seconds is a number above 0, at most 3600, not \"%s\"", o->seconds);
	return 0;
}

static char *
own_dir(void)
{
	char path[PATH_MAX], *slash;
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (n <= 0)
		return bench_fmt(".");
	path[n] = '\0';
	if ((slash = strrchr(path, '/')) != NULL)
		*slash = '\0';
	return bench_fmt("%s", path);
}

static int
run_one(struct bench *b, const struct bench_scenario *s)
{
	struct weather w;
	int rc;

	b->scenario = s->name;
	bench_out_scenario(b, s);
	weather_begin(&w);
	rc = s->run(b);
	weather_end(b, &w);
	b->scenario = NULL;
	/* Whatever it was that a node answered: here it means only one thing. */
	return rc == 0 ? 0 : CLI_IO;
}

/* Each named one, in the order given. The first failure is the status; the others still run. */
static int
run_all(struct bench *b, char **names, int n, bool check)
{
	struct bench_out *out;
	unsigned int missed;
	int rc, one;

	bench_out_begin(b, &out);
	if ((rc = machine_tell(b)) != 0) {
		(void)bench_out_end(b);
		return rc;
	}
	for (int i = 0; i < n; i++) {
		bool all = strcmp(names[i], "all") == 0;

		for (const struct bench_scenario *const *s = scenarios; *s != NULL; s++) {
			if (!all && strcmp((*s)->name, names[i]) != 0)
				continue;
			one = run_one(b, *s);
			rc = rc != 0 ? rc : one;
		}
	}
	missed = bench_out_end(b);
	return rc != 0 ? rc : check && missed > 0 ? CLI_DATA : 0;
}

int
main(int argc, char **argv)
{
	struct options o = { 0 };
	struct bench b = { 0 };
	struct opt_set set = { rows, &o };
	char why[160], *dir, *bin;
	int rc;

	cli_program = "noroshi-bench";
	argc--;
	argv++;
	if (opts_parse(&set, 1, false, &argc, argv, NULL, why, sizeof(why)) != 0)
		return usage("%s", why);
	if (o.help || o.version) {
		if (o.help)
			help(stdout);
		else
			puts("noroshi-bench " NOROSHI_VERSION);
		return fflush(stdout) == 0 ? 0 : CLI_IO;
	}
	if (argc == 0)
		return usage("which scenario?");
	for (int i = 0; i < argc; i++)
		if (strcmp(argv[i], "all") != 0 && find(argv[i]) == NULL)
			return usage("there is no scenario \"%s\"", argv[i]);
	b.json = o.json;
	b.verbose = o.verbose;
	b.keep = o.keep;
	if ((rc = take_numbers(&b, &o)) != 0)
		return rc;
	if ((dir = realpath(o.dir != NULL ? o.dir : ".", NULL)) == NULL) {
		fprintf(stderr, "noroshi-bench: %s: %s\n", o.dir != NULL ? o.dir : ".",
		    strerror(errno));
		return CLI_IO;
	}
	bin = o.bin != NULL ? realpath(o.bin, NULL) : own_dir();
	b.dir = dir;
	b.bin = bin != NULL ? bin : o.bin;
	signal(SIGPIPE, SIG_IGN);
	rc = run_all(&b, argv, argc, o.check);
	free(dir);
	free(bin);
	return rc;
}
