/*
 * restart: how long a node needs from exec until it serves, from a cold disk,
 * and what it then holds in memory.  Twice: with records of one indicator, and
 * with bundles of a thousand.
 *
 * The data directory is filled by peers made here, over the wire: it is what a
 * node leaves behind, and not what somebody thinks it would.
 */
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/noroshi-bench/fleet.h"
#include "tools/noroshi-bench/gen.h"
#include "tools/noroshi-bench/limits.h"
#include "tools/noroshi-bench/peer.h"

#define RECORDS	  1000000u
#define BUNDLES	  1000u
#define PER_PEER  100000u /* records of one origin: so many are held in memory at once */
#define PEERS_MAX 12
#define FILL_S	  1800

/* One of the two: what it is filled with. */
struct shape {
	const char *row;
	unsigned int objects; /* in each record */
	uint64_t records;
};

struct fill {
	struct bench *b;
	struct shape shape;
	struct fleet *fleet;
	struct fleet_node *node;
	struct maker *maker[PEERS_MAX];
	unsigned int nmakers;
	struct nrs_hash community;
	uint32_t epoch;
};

/* --- filling --------------------------------------------------------------- */

/* Peers that do not listen: the node dials where nobody is. */
static int
make_peers(struct fill *f)
{
	unsigned int n = (unsigned int)((f->shape.records + PER_PEER - 1) / PER_PEER);
	char *origin;
	int rc = 0;

	if (n > PEERS_MAX)
		return bench_fail(f->b, "at most %u records", PEERS_MAX * PER_PEER);
	for (unsigned int i = 0; i < n && rc == 0; i++) {
		origin = bench_fmt("peer%u.bench.example", i);
		rc = maker_new(origin, i + 1, fleet_port(), &f->maker[i]);
		free(origin);
		if (rc != 0)
			return bench_fail(f->b, "%s", nrs_strerror(rc));
		f->nmakers++;
		rc = peer_accept(f->node, f->maker[i]);
	}
	return rc == 0 ? peer_audience(f->b, f->node, &f->community, &f->epoch) : rc;
}

static int
make_records(struct fill *f, unsigned int i, uint64_t n)
{
	struct gen *g;
	struct nrs_buf b;
	int rc;

	nrs_buf_init(&b, 16u << 20);
	if ((rc = gen_new(i, maker_origin(f->maker[i]), &g)) != 0)
		return rc;
	maker_audience(f->maker[i], &f->community, f->epoch);
	for (uint64_t k = 0; k < n && rc == 0; k++) {
		nrs_buf_reset(&b);
		if ((rc = gen_bundle(g, f->shape.objects, &b)) == 0)
			rc = maker_record(f->maker[i], b.p, b.len, gen_uuid(g));
	}
	if (rc == 0)
		rc = maker_finish(f->maker[i]);
	gen_free(g);
	nrs_buf_fini(&b);
	return rc;
}

static int
play_all(struct fill *f)
{
	uint64_t left = f->shape.records, n;
	struct peer_result res;
	int rc;

	for (unsigned int i = 0; i < f->nmakers; i++, left -= n) {
		n = left < PER_PEER ? left : PER_PEER;
		rc = make_records(f, i, n);
		if (rc == 0)
			rc = peer_play(f->maker[i], f->node->port, FILL_S, &res);
		if (rc != 0)
			return bench_fail(f->b, "the node was not filled: %s: %s",
			    nrs_strerror(rc), res.why);
		bench_debug(f->b, "%llu records taken in, %.0f/s", (unsigned long long)n,
		    (double)n / res.seconds);
		maker_free(f->maker[i]);
		f->maker[i] = NULL;
	}
	return 0;
}

/* --- a directory that may be there already ------------------------------------ */

#define PARAMETERS "parameters"

static char *
parameters(const struct shape *s)
{
	return bench_fmt("noroshi-bench restart 1: %llu records of %u indicators\n",
	    (unsigned long long)s->records, s->objects);
}

static bool
same_parameters(const char *dir, const struct shape *s)
{
	char *path = bench_fmt("%s/" PARAMETERS, dir), *want = parameters(s),
	     text[128] = "";
	FILE *fp = fopen(path, "re");
	bool same =
	    fp != NULL && fgets(text, sizeof(text), fp) != NULL && strcmp(text, want) == 0;

	if (fp != NULL)
		fclose(fp);
	free(path);
	free(want);
	return same;
}

static int
write_parameters(struct fill *f, const char *dir)
{
	char *path = bench_fmt("%s/" PARAMETERS, dir), *text = parameters(&f->shape);
	FILE *fp = fopen(path, "we");
	int rc = 0;

	if (fp == NULL || fputs(text, fp) < 0 || fclose(fp) != 0)
		rc = bench_fail_errno(f->b, "cannot write %s", path);
	free(path);
	free(text);
	return rc;
}

static int
fill_new(struct fill *f, const char *dir)
{
	double t0 = bench_now();
	int rc;

	if ((rc = fleet_open(f->b, dir, &f->fleet)) != 0 ||
	    (rc = fleet_add(f->fleet, "n", NULL, NULL, &f->node)) != 0 ||
	    (rc = fleet_found(f->node)) != 0 || (rc = make_peers(f)) != 0 ||
	    (rc = play_all(f)) != 0)
		return rc;
	bench_note(f->b, "restart: filled with %llu records of %u in %.0f s",
	    (unsigned long long)f->shape.records, f->shape.objects, bench_now() - t0);
	if ((rc = fleet_stop(f->node)) != 0)
		return rc;
	return write_parameters(f, dir);
}

/* One that an earlier run kept, or a new one. */
static int
fill_open(struct fill *f, const char *dir)
{
	int rc;

	if (same_parameters(dir, &f->shape)) {
		bench_note(
		    f->b, "restart: data directory of an earlier run taken again: %s", dir);
		if ((rc = fleet_open(f->b, dir, &f->fleet)) != 0)
			return rc;
		rc = fleet_find(f->fleet, "n", &f->node);
		return rc == 0 ? 0 : bench_fail(f->b, "%s holds no node: remove it", dir);
	}
	if (mkdir(dir, 0700) != 0)
		return bench_fail_errno(f->b, "cannot make %s", dir);
	return fill_new(f, dir);
}

/* --- measuring ------------------------------------------------------------------ */

struct figures {
	struct bench_series ready, rss, peak, cpu, limit;
};

/* VmHWM, bytes. */
static uint64_t
peak_rss(int pid)
{
	char line[256], path[64];
	unsigned long long kb = 0;
	FILE *fp;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if ((fp = fopen(path, "re")) == NULL)
		return 0;
	while (fgets(line, sizeof(line), fp) != NULL)
		if (sscanf(line, "VmHWM: %llu kB", &kb) == 1)
			break;
	fclose(fp);
	return kb << 10;
}

/*
 * What a start has to read at the least: the last segment, up to its last batch,
 * with its key.  Read cold, and a process begun, is the limit.
 */
static int
last_segment(const char *dir, char *dst, size_t len)
{
	unsigned long last = 0, n;
	struct dirent *e;
	char *end;
	DIR *d = opendir(dir);

	if (d == NULL)
		return -1;
	while ((e = readdir(d)) != NULL) {
		n = strtoul(e->d_name, &end, 10);
		if (strcmp(end, ".nrj") == 0 && n > last)
			last = n;
	}
	closedir(d);
	snprintf(dst, len, "%s/%08lu.nrj", dir, last);
	return last > 0 ? 0 : -1;
}

/* Bytes that were written: the rest is room in advance, which costs no disk to read. */
static double
read_seconds(const char *path, uint64_t *ret_bytes)
{
	static uint8_t piece[1u << 20];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t end, at = 0;
	double t0;
	ssize_t n;

	*ret_bytes = 0;
	if (fd < 0)
		return 0;
	/* A trailing run of zeros, looked for beforehand and not timed. */
	end = 0;
	while ((n = pread(fd, piece, sizeof(piece), at)) > 0) {
		for (ssize_t i = n - 1; i >= 0; i--)
			if (piece[i] != 0) {
				end = at + i + 1;
				break;
			}
		at += n;
	}
	(void)bench_drop_cache(path);
	t0 = bench_now();
	for (at = 0; at < end; at += n)
		if ((n = pread(fd, piece, sizeof(piece), at)) <= 0)
			break;
	close(fd);
	*ret_bytes = (uint64_t)end;
	return bench_now() - t0;
}

static int
measure(struct fill *f, struct figures *v, bool first)
{
	char *journal = bench_fmt("%s/data/journal", f->node->dir), path[4096];
	const char *dropped;
	uint64_t bytes = 0;
	double limit;
	int rc = 0;

	if (last_segment(journal, path, sizeof(path)) != 0)
		rc = bench_fail(f->b, "%s holds no segment", journal);
	free(journal);
	if (rc != 0)
		return rc;
	limit = read_seconds(path, &bytes);
	dropped = bench_drop_cache(f->node->dir);
	limit += limit_exec();
	dropped = bench_drop_cache(f->node->dir);
	if (first)
		bench_note(f->b, "%s: %.1f MB of the last segment to be read; %s",
		    f->shape.row, (double)bytes / 1e6, dropped);
	if ((rc = fleet_start(f->node)) != 0)
		return rc;
	bench_add(&v->ready, f->node->start_s);
	bench_add(&v->cpu, fleet_cpu(f->node));
	bench_add(&v->limit, limit);
	bench_add(&v->rss, (double)fleet_rss(f->node) / 1e6);
	bench_add(&v->peak, (double)peak_rss(f->node->pid) / 1e6);
	return fleet_stop(f->node);
}

static void
tell(struct fill *f, const struct figures *v)
{
	struct bench_row row = { .name = f->shape.row,
		.unit = "s",
		.sense = BENCH_LESS,
		.value = v->ready,
		.limit = v->limit,
		.limit_of = "the last segment read cold, and a process begun" };
	char text[64];

	bench_row(f->b, &row);
	snprintf(text, sizeof(text), "%s.rss", f->shape.row);
	row = (struct bench_row){
		.name = text, .unit = "MB", .sense = BENCH_LESS, .value = v->rss
	};
	bench_row(f->b, &row);
	snprintf(text, sizeof(text), "%s.peak", f->shape.row);
	row.value = v->peak;
	bench_row(f->b, &row);
	snprintf(text, sizeof(text), "%s.cpu", f->shape.row);
	row.value = v->cpu;
	row.unit = "s";
	bench_row(f->b, &row);
}

static int
one_shape(struct bench *b, const struct shape *s)
{
	struct fill f = { .b = b, .shape = *s };
	struct figures v = { 0 };
	char *dir = bench_fmt("%s/restart-%u", b->dir, s->objects);
	bool there = same_parameters(dir, s);
	int rc = fill_open(&f, dir);

	for (unsigned int i = 0; i < b->runs && rc == 0; i++)
		rc = measure(&f, &v, i == 0);
	if (rc == 0)
		tell(&f, &v);
	for (unsigned int i = 0; i < f.nmakers; i++)
		maker_free(f.maker[i]);
	fleet_close(f.fleet);
	/* What was there before is left there. */
	if (!there)
		bench_rmdir(b, dir);
	free(dir);
	return rc;
}

static int
run(struct bench *b)
{
	const struct shape shapes[] = {
		{ "restart", 1, b->records > 0 ? b->records : RECORDS },
		{ "restart.bundles", 1000,
		    b->records > 0 ? b->records / 1000 + 1 : BUNDLES },
	};
	int rc = 0;

	for (unsigned int i = 0; i < 2 && rc == 0; i++)
		rc = one_shape(b, &shapes[i]);
	return rc;
}

const struct bench_scenario bench_restart = {
	.name = "restart",
	.brief = "from exec to serving with a million records, and the memory it takes",
	.how =
	    "from exec until the control socket says \"serving\", page cache dropped, with --records "
	    "records of one indicator and a thousandth of that in bundles of 1,000",
	.run = run,
};
