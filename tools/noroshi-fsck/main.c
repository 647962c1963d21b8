/* noroshi-fsck: every frame, leaf, root and signature of a data directory. */
#include <sys/random.h>

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/noroshi-fsck/fsck.h"

#define SEGMENT_MAX  (UINT64_C(2) << 30)
#define LIVE_TRIES   40
#define LIVE_WAIT_NS 50000000

enum { EXIT_CLEAN = 0, EXIT_USE = 64, EXIT_FAULTS = 65, EXIT_UNREADABLE = 74 };

static const char usage_text[] =
    "noroshi-fsck [OPTION]... DATADIR\n"
    "Checks every frame, leaf, root and signature of the data directory of a node,\n"
    "stopped or running. It only reads.\n\n"
    "  -j, --jobs N     threads for signatures and payloads (as many as processors)\n"
    "  -k, --keys DIR   where kek is (DATADIR/keys, or DATADIR/../keys)\n"
    "      --json       one object for each fault, and one summary\n"
    "  -q, --quiet      faults only\n"
    "  -h, --help       this\n"
    "  -V, --version    of this program\n\n"
    "Exit: 0 clean, 65 faults found, 74 it cannot be read, 64 usage.\n";

/* --- one segment ------------------------------------------------------------------ */

struct pass {
	struct fsck *f;
	const struct seg *s;
	bool last;
	bool tail; /* a fault with nothing sound behind it */
	uint64_t tail_off;
};

static enum fault_kind
kind_of(const struct nrs_jwalk_item *it, bool last)
{
	if (it->fault == NRS_JWALK_HEADER)
		return F_SEGMENT_HEADER;
	if (it->tail && last)
		return F_TAIL;
	if (it->fault == NRS_JWALK_COMMIT)
		return F_COMMIT;
	return it->fault == NRS_JWALK_BATCHES ? F_BATCHES : F_FRAME;
}

static int
on_fault(struct pass *p, const struct nrs_jwalk_item *it)
{
	struct fsck *f = p->f;
	struct place at = {
		.file = p->s->name, .off = it->off, .len = it->len, .index = NRS_NONE
	};
	char touched[240] = "";
	enum fault_kind kind = kind_of(it, p->last);

	if (it->fault != NRS_JWALK_HEADER)
		frame_guess(f, it, &at, touched);
	if (kind == F_TAIL)
		touched[0] = '\0';
	report_fault(
	    &f->rep, kind, &at, touched[0] != '\0' ? touched : NULL, "%s", it->why);
	model_lose(f, it->f.pos, it->len);
	p->tail = p->tail || it->tail;
	return 0;
}

static int
on_item(void *arg, const struct nrs_jwalk_item *it)
{
	struct pass *p = arg;
	struct fsck *f = p->f;
	struct place at;

	f->rep.bytes += it->len;
	report_progress(&f->rep, f->counts.records);
	if (it->what == NRS_JWALK_FAULT)
		return on_fault(p, it);
	f->counts.frames++;
	if (it->what == NRS_JWALK_BATCH) {
		f->counts.batches++;
		frame_batch_end(f);
	} else if (!it->known) {
		at = place_of(f, &it->f);
		report_fault(&f->rep, F_TYPE, &at, NULL,
		    "type %u with flags %u is not known to this version", it->f.type,
		    it->f.flags);
		model_lose(f, it->f.pos, it->len);
	} else
		frame_apply(f, &it->f);
	return f->failed ? NRS_ENOMEM : 0;
}

/* What of two neighbours must fit. */
static void
check_seam(struct fsck *f, const struct seg *s, const struct nrs_jwalk_end *end,
    const struct nrs_jwalk_end *before)
{
	struct place at = { .file = s->name,
		.off = NRS_JWALK_FIRST,
		.type = NRS_J_STATE,
		.index = NRS_NONE };

	if (end->first_batch == 0 || !end->state)
		return;
	if (end->prev != s->no - 1)
		report_fault(&f->rep, F_STATE, &at, NULL,
		    "STATE names segment %u as the one before", end->prev);
	if (s->no == 1 || before->last_batch == 0)
		return;
	if (end->first_batch != before->last_batch + 1)
		report_fault(&f->rep, F_BATCHES, &at, NULL,
		    "begins with batch %" PRIu64
		    ", but the segment before ends with %" PRIu64,
		    end->first_batch, before->last_batch);
	else if (end->prev_end != before->end)
		report_fault(&f->rep, F_STATE, &at, NULL,
		    "the segment before ends at %u, STATE says %u", before->end,
		    end->prev_end);
}

static int
check_segment(struct fsck *f, const struct seg *s, bool last, struct nrs_jwalk_end *ret,
    bool *ret_tail)
{
	struct pass pass = { .f = f, .s = s, .last = last };
	struct place at = { .file = s->name, .index = NRS_NONE };
	uint64_t begun = f->rep.bytes;
	uint8_t *p;
	size_t len, use;
	int rc;

	f->cur = s;
	rc = dir_read(f, s->name, SEGMENT_MAX, &p, &len);
	if (rc != 0) {
		fprintf(
		    stderr, "noroshi-fsck: %s/%s: %s\n", f->dir, s->name, nrs_strerror(rc));
		return rc;
	}
	if (s->file != s->no)
		report_fault(&f->rep, F_SEGMENT_NAME, &at, NULL,
		    "this is segment %u, under the name of %u", s->no, s->file);
	use = last && f->limit > 0 && f->limit < len ? f->limit : len;
	rc = nrs_jwalk_segment(p, use, s->no, &f->self, on_item, &pass, ret);
	frame_batch_end(f);
	pool_drain(f->pool, frame_job_end);
	free(p);
	f->counts.bytes += ret->end;
	f->rep.bytes = begun + len;
	*ret_tail = pass.tail;
	return f->failed ? NRS_ENOMEM : rc;
}

/* --- where a running node ends ------------------------------------------------------- */

struct look {
	bool tail;
	uint32_t off;
};

static int
look_item(void *arg, const struct nrs_jwalk_item *it)
{
	struct look *l = arg;

	if (it->what == NRS_JWALK_FAULT && it->tail && !l->tail) {
		l->tail = true;
		l->off = it->off;
	}
	return 0;
}

static int
look(struct fsck *f, const struct seg *s, struct look *l, struct nrs_jwalk_end *end)
{
	uint8_t *p;
	size_t len;
	int rc;

	memset(l, 0, sizeof(*l));
	if ((rc = dir_read(f, s->name, SEGMENT_MAX, &p, &len)) != 0)
		return rc;
	rc = nrs_jwalk_segment(p, len, s->no, &f->self, look_item, l, end);
	free(p);
	return rc;
}

/*
 * The newest COMMIT seen at the start is the end.  What stands behind it may be
 * a batch that is being written: it is looked at again, until it is whole or
 * long enough has passed to say that nobody goes on with it.
 */
static int
find_end(struct fsck *f)
{
	const struct timespec wait = { .tv_nsec = LIVE_WAIT_NS };
	struct nrs_jwalk_end end, first;
	struct seg *s = &f->segs[f->nsegs - 1];
	struct look l, l0;
	int rc;

	if ((rc = look(f, s, &l0, &first)) != 0)
		return rc;
	l = l0;
	end = first;
	for (int i = 0; rc == 0 && l.tail && end.end <= l0.off && i < LIVE_TRIES; i++) {
		nanosleep(&wait, NULL);
		rc = look(f, s, &l, &end);
	}
	if (l.tail && end.end <= l0.off)
		return rc; /* told as what it is */
	if (first.first_batch == 0 && f->nsegs > 1) {
		f->nsegs--; /* was just being made */
		return find_end(f);
	}
	f->limit = first.end;
	return rc;
}

/* --- all ------------------------------------------------------------------------------ */

static int
check_journal(struct fsck *f)
{
	struct nrs_jwalk_end before = { 0 }, end;
	struct place at = { .index = NRS_NONE };
	bool tail = false;
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < f->nsegs; i++) {
		const struct seg *s = &f->segs[i];
		uint64_t lost = f->lost, unopened = f->counts.unopened;

		if (s->missing) {
			at.file = s->name;
			report_fault(
			    &f->rep, F_SEGMENT_MISSING, &at, NULL, "segment is missing");
			model_lose(f, NRS_POS(s->no, 0), NRS_POS(1, 0));
			memset(&before, 0, sizeof(before));
			continue;
		}
		rc = check_segment(f, s, i + 1 == f->nsegs, &end, &tail);
		/* an end that is damaged was told already */
		if (rc == 0 && lost == f->lost)
			check_seam(f, s, &end, &before);
		if (rc == 0 && s->no_key && f->counts.unopened > unopened) {
			at.file = s->key_name;
			report_fault(&f->rep, F_KEY, &at, NULL, "key file is missing");
		}
		before = end;
		if (tail)
			memset(&before, 0, sizeof(before));
		report_flush(&f->rep);
	}
	f->limit = end.end;
	return rc;
}

static void
check_signed_size(struct fsck *f)
{
	const struct m_origin *o = model_origin(f, &f->self);
	uint64_t size = dir_signed(f);
	struct place at = { .file = "keeper.state", .index = NRS_NONE };

	/* a tail that held nothing signed is normal, any other is not cut off by noroshid */
	if (f->live || size == 0 || f->lost > f->rep.by_kind[F_TAIL])
		return;
	if (o == NULL || o->put.size < size)
		report_fault(&f->rep, F_ROLLBACK, &at, NULL,
		    "%" PRIu64 " entries of the own log were signed, %" PRIu64 " are here",
		    size, o != NULL ? o->put.size : 0);
}

static int
check_all(struct fsck *f)
{
	int rc;

	if ((rc = dir_open(f)) != 0 || (rc = dir_segments(f)) != 0)
		return rc;
	f->live = dir_live(f);
	if (f->live && (rc = find_end(f)) != 0)
		return rc;
	f->rep.bytes_all = f->journal_bytes;
	dir_keys(f);
	if ((rc = check_journal(f)) != 0)
		return rc;
	check_signed_size(f);
	caches_check(f);
	report_flush(&f->rep);
	return f->failed || f->rep.nomem ? NRS_ENOMEM : 0;
}

static void
put_counts(json_t *o, const struct fsck *f)
{
	const struct counts *c = &f->counts;
	const struct {
		const char *name;
		uint64_t n;
	} rows[] = {
		{ "faults", f->rep.total },
		{ "consequences", f->rep.excused },
		{ "segments", f->nsegs },
		{ "bytes", c->bytes },
		{ "frames", c->frames },
		{ "batches", c->batches },
		{ "origins", f->norigins },
		{ "records", c->records },
		{ "on_checkpoint", c->on_checkpoint },
		{ "refused", c->refused },
		{ "bodies_opened", c->opened },
		{ "bodies_not_opened", c->unopened },
		{ "leaves", c->leaves },
		{ "checkpoints", c->checkpoints },
		{ "events", c->events },
		{ "disclosures", c->disclosures },
		{ "signatures", c->signatures },
		{ "caches", c->caches },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		json_object_set_new(o, rows[i].name, json_integer((json_int_t)rows[i].n));
}

static void
summary_json(const struct fsck *f, double s)
{
	json_t *j = json_pack("{s:{s:{} s:b s:b s:f}}", "summary", "kinds", "live", f->live,
	    "kek", f->has_kek, "seconds", s);
	json_t *o = json_object_get(j, "summary"), *kinds = json_object_get(o, "kinds");

	for (int k = 0; k < F__MAX; k++)
		if (f->rep.by_kind[k] > 0)
			json_object_set_new(kinds, fault_name((enum fault_kind)k),
			    json_integer((json_int_t)f->rep.by_kind[k]));
	put_counts(o, f);
	json_dumpf(j, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(j);
}

static void
summary(struct fsck *f)
{
	const struct counts *c = &f->counts;
	double s = report_seconds(&f->rep);

	if (f->rep.json) {
		summary_json(f, s);
		return;
	}
	report_say(&f->rep,
	    "%s: %u segments, %" PRIu64 " bytes, %" PRIu64 " frames in %" PRIu64
	    " batches%s",
	    f->dir, f->nsegs, c->bytes, c->frames, c->batches,
	    f->live ? "; a node runs in it: checked up to where it was at the start" : "");
	report_say(&f->rep,
	    "%zu logs: %" PRIu64 " records, %" PRIu64 " refused, %" PRIu64
	    " leaves, %" PRIu64 " checkpoints, %" PRIu64 " events; %" PRIu64
	    " signatures, %" PRIu64 " caches",
	    f->norigins, c->records, c->refused, c->leaves, c->checkpoints, c->events,
	    c->signatures, c->caches);
	if (c->on_checkpoint > 0)
		report_say(&f->rep,
		    "%" PRIu64
		    " records had been accepted on their checkpoints: their signatures are checked now",
		    c->on_checkpoint);
	report_say(&f->rep, "%" PRIu64 " payloads opened and checked", c->opened);
	if (c->unopened > 0)
		report_say(&f->rep,
		    "%" PRIu64
		    " payloads NOT opened and NOT checked: there is no key for them%s",
		    c->unopened, f->has_kek ? "" : " (--keys DIR)");
	if (f->rep.excused > 0)
		report_say(&f->rep,
		    "%" PRIu64
		    " things do not fit because of this damage and are not listed",
		    f->rep.excused);
	report_say(&f->rep, "%" PRIu64 " faults; %.2f s, %.1f MB/s, %.0f records/s",
	    f->rep.total, s, (double)c->bytes / 1e6 / s,
	    (double)(c->records + c->refused) / s);
}

static unsigned int
processors(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return 1;
	return (unsigned int)CPU_COUNT(&set);
}

static int
run(struct fsck *f)
{
	int rc, err = 0;

	f->dirfd = -1;
	f->next_event = 1;
	f->events.esize = sizeof(uint64_t);
	f->ranges.esize = sizeof(struct m_range);
	f->holes.esize = sizeof(struct m_hole);
	if (getrandom(f->seed, sizeof(f->seed), 0) != (ssize_t)sizeof(f->seed) ||
	    (f->dg = nrs_digest_new()) == NULL ||
	    pool_new(f, f->jobs > 1 ? f->jobs - 1 : 1, &f->pool) != 0)
		rc = NRS_ENOMEM;
	else {
		errno = 0;
		rc = check_all(f);
	}
	err = errno;
	report_flush(&f->rep);
	if (rc == 0 && (!f->rep.quiet || f->rep.json))
		summary(f);
	else if (rc != 0)
		fprintf(stderr, "noroshi-fsck: %s: %s\n", f->dir,
		    rc == NRS_ENOTFOUND ? "there is no journal; name the \"data\" of a node"
			: rc == NRS_ECORRUPT ? "no segment has a header that can be read"
			: rc == NRS_EIO && err != 0 ? strerror(err)
						    : nrs_strerror(rc));
	pool_free(f->pool);
	model_free(f);
	dir_close(f);
	nrs_digest_free(f->dg);
	if (rc != 0)
		return EXIT_UNREADABLE;
	return f->rep.total > 0 ? EXIT_FAULTS : EXIT_CLEAN;
}

int
main(int argc, char **argv)
{
	static const struct option opts[] = {
		{ "jobs", required_argument, NULL, 'j' },
		{ "keys", required_argument, NULL, 'k' },
		{ "json", no_argument, NULL, 'J' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	struct fsck f = { .jobs = processors() };
	bool json = false, quiet = false;
	unsigned long n;
	char *end;
	int c, rc;

	signal(SIGPIPE, SIG_DFL);
	while ((c = getopt_long(argc, argv, "j:k:qhV", opts, NULL)) != -1) {
		switch (c) {
		case 'j':
			n = strtoul(optarg, &end, 10);
			if (*end != '\0' || n < 1 || n > 256) {
				fputs("noroshi-fsck: --jobs is 1 to 256\n", stderr);
				return EXIT_USE;
			}
			f.jobs = (unsigned int)n;
			break;
		case 'k':
			f.keys = optarg;
			break;
		case 'J':
			json = true;
			break;
		case 'q':
			quiet = true;
			break;
		case 'h':
			fputs(usage_text, stdout);
			return EXIT_CLEAN;
		case 'V':
			puts("noroshi-fsck " NOROSHI_VERSION);
			return EXIT_CLEAN;
		default:
			fputs(usage_text, stderr);
			return EXIT_USE;
		}
	}
	if (optind + 1 != argc) {
		fputs(usage_text, stderr);
		return EXIT_USE;
	}
	f.dir = argv[optind];
	report_init(&f.rep, json, quiet);
	rc = run(&f);
	report_fini(&f.rep);
	return rc;
}
