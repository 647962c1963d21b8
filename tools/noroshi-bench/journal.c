/*
 * journal: records made durable by lib/journal, with one thread that seals and
 * one that writes and syncs, as in the daemon; the next batch forms while one
 * is synced.  The limit is the same bytes written in batches of the same size,
 * each with its fdatasync, and nothing else done.
 */
#include "journal/journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/noroshi-bench/disk.h"
#include "tools/noroshi-bench/gen.h"
#include "tools/noroshi-bench/limits.h"

#define DISTINCT 512 /* records made in advance, gone through in turn */
#define SLICES	 4
#define SIGS_LEN 76 /* a block of one Ed25519 signature */

/* Records ready to be put: sealed anew each time, with a nonce of their own. */
struct load {
	struct nrs_jrecord v[DISTINCT];
	uint8_t header[NRS_HEADER_LEN], sigs[SIGS_LEN], salt[NRS_SALT_LEN];
	unsigned int n;
	uint64_t raw; /* bytes of payloads */
};

struct shape {
	const char *name;
	unsigned int objects;
	unsigned int records; /* distinct */
};

struct outcome {
	struct bench_series records, mb, batch, limit_records, limit_mb;
};

struct turn {
	struct nrs_journal *j;
	int failed;
};

static int
no_state(void *arg, struct nrs_buf *b)
{
	(void)arg;
	nrs_buf_u32(b, 0); /* origins */
	nrs_buf_u32(b, 0); /* communities */
	return b->err;
}

static int
no_caches(void *arg)
{
	(void)arg;
	return 0;
}

static void
on_full(void *arg, bool full)
{
	struct turn *t = arg;

	if (full)
		t->failed = NRS_EFULL;
}

static void
on_failed(void *arg, int rc, const char *why)
{
	struct turn *t = arg;

	(void)why;
	t->failed = rc;
}

static const struct nrs_journal_ops ops = {
	.state_encode = no_state,
	.flush_caches = no_caches,
	.full = on_full,
	.failed = on_failed,
};

/* --- load ------------------------------------------------------------------------ */

static int
load_one(struct load *l, struct gen *g, unsigned int objects)
{
	struct nrs_jrecord *r = &l->v[l->n];
	struct nrs_buf b;
	uint8_t *packed;
	size_t len;
	bool raw;
	int rc;

	nrs_buf_init(&b, NRS_PAYLOAD_MAX);
	if ((rc = gen_bundle(g, objects, &b)) == 0 &&
	    (rc = nrs_payload_compress(b.p, b.len, &packed, &len, &raw)) == 0) {
		l->raw += b.len;
		if (raw)
			packed = nrs_buf_take(&b, &len);
		*r = (struct nrs_jrecord){ .index = l->n,
			.header = l->header,
			.sigs = { l->sigs, SIGS_LEN },
			.salt = l->salt,
			.data = { packed, len },
			.flags = raw ? NRS_JRECORD_RAW : 0 };
		memcpy(r->c.b, gen_uuid(g), 16);
		l->n++;
	}
	nrs_buf_fini(&b);
	return rc;
}

static void
load_free(struct load *l)
{
	if (l == NULL)
		return;
	for (unsigned int i = 0; i < l->n; i++)
		free((void *)(uintptr_t)l->v[i].data.p);
	free(l);
}

static int
load_new(const struct shape *s, struct load **ret)
{
	struct load *l = bench_alloc(sizeof(*l));
	struct gen *g;
	int rc = gen_new(3, "a.bench.example", &g);

	for (unsigned int i = 0; i < s->records && rc == 0; i++)
		rc = load_one(l, g, s->objects);
	gen_free(g);
	if (rc != 0) {
		load_free(l);
		return rc;
	}
	*ret = l;
	return 0;
}

/* --- one run ----------------------------------------------------------------------- */

static int
put_until(struct disk *d, struct nrs_journal *j, struct load *l, struct turn *t,
    double seconds, uint64_t *ret_n)
{
	double t0 = bench_now();
	uint64_t n = 0;
	int rc = 0;

	while (rc == 0 && t->failed == 0 && ((n & 63) != 0 || bench_now() - t0 < seconds)) {
		if (nrs_journal_pending(j) >= NRS_BATCH_BYTES) {
			(void)disk_turn(d, true);
		} else {
			l->v[n % l->n].index = n;
			rc = nrs_journal_put_record(j, &l->v[n % l->n], NULL);
			n++;
		}
		/* The end of an engine's turn, every few records. */
		if (n % 16 == 0 || l->raw / l->n > 65536) {
			(void)disk_turn(d, false);
			nrs_journal_kick(j);
		}
	}
	while (rc == 0 && t->failed == 0 && nrs_journal_pending(j) > 0) {
		nrs_journal_kick(j);
		(void)disk_turn(d, true);
	}
	*ret_n = n;
	return rc != 0 ? rc : t->failed;
}

/* Bytes of the journal so far: segments before the last one are full, to a batch. */
static uint64_t
journal_bytes(const struct nrs_journal *j)
{
	return ((nrs_journal_end(j) >> 32) - 1) * NRS_SEGMENT_BYTES +
	    (nrs_journal_end(j) & UINT32_MAX);
}

/* The journal and its limit in turns: what else the machine does falls on both. */
static int
slices(struct bench *b, struct disk *d, struct nrs_journal *j, struct load *l,
    struct turn *t, struct outcome *o)
{
	double seconds = (b->seconds > 0 ? b->seconds : 3) / SLICES, t0, s = 0, limit = 0;
	uint64_t n = 0, one, bytes = 0, at = journal_bytes(j),
		 batches = nrs_journal_batch(j);
	struct limit_append a;
	int rc = 0;

	for (unsigned int i = 0; i < SLICES && rc == 0; i++) {
		t0 = bench_now();
		if ((rc = put_until(d, j, l, t, seconds, &one)) != 0)
			return bench_fail(b, "%s", nrs_strerror(rc));
		s += bench_now() - t0;
		n += one;
		bytes = journal_bytes(j) - at;
		rc = limit_append(
		    b, (size_t)(bytes / (nrs_journal_batch(j) - batches)), seconds / 2, &a);
		limit += a.mb_s / SLICES;
	}
	if (rc != 0)
		return rc;
	bench_add(&o->records, (double)n / s);
	bench_add(&o->mb, (double)bytes / s / 1e6);
	bench_add(&o->batch, (double)n / (double)(nrs_journal_batch(j) - batches));
	bench_add(&o->limit_mb, limit);
	bench_add(&o->limit_records, limit * 1e6 / ((double)bytes / (double)n));
	return 0;
}

static int
one_run(struct bench *b, struct load *l, struct outcome *o)
{
	struct nrs_detail detail = { 0 };
	struct turn turn = { 0 };
	struct nrs_journal_config cfg = { .ops = &ops, .arg = &turn };
	struct nrs_journal *j = NULL;
	char *dir = bench_mkdir(b, "journal");
	struct disk *d = dir != NULL ? disk_new(dir) : NULL;
	int rc = d != NULL ? 0 : NRS_EIO;

	cfg.env = d != NULL ? disk_env(d) : NULL;
	if (rc == 0)
		rc = nrs_journal_create(&cfg, &detail);
	if (rc == 0)
		rc = nrs_journal_open(&cfg, &j, &detail);
	if (rc == 0)
		rc = slices(b, d, j, l, &turn, o);
	else
		rc = bench_fail(b, "%s: %s", nrs_strerror(rc), detail.text);
	nrs_journal_free(j);
	disk_free(d);
	bench_rmdir(b, dir);
	free(dir);
	return rc;
}

static void
tell(struct bench *b, const struct shape *s, const struct outcome *o)
{
	const char *what = "the same bytes in the same batches, each with its fdatasync";
	char text[64];
	struct bench_row row = { .name = s->name,
		.unit = "records/s",
		.value = o->records,
		.limit = o->limit_records,
		.limit_of = what };

	bench_row(b, &row);
	snprintf(text, sizeof(text), "%s.mb_s", s->name);
	row = (struct bench_row){ .name = text,
		.unit = "MB/s",
		.value = o->mb,
		.limit = o->limit_mb,
		.limit_of = what };
	bench_row(b, &row);
	snprintf(text, sizeof(text), "%s.batch", s->name);
	row = (struct bench_row){ .name = text, .unit = "records", .value = o->batch };
	bench_row(b, &row);
}

static int
one_shape(struct bench *b, const struct shape *s)
{
	struct outcome o = { 0 };
	struct load *l = NULL;
	int rc = load_new(s, &l);

	if (rc != 0)
		return bench_fail(b, "%s", nrs_strerror(rc));
	bench_note(b, "%s: bundles of %u, %.0f bytes each, compressed to %.0f", s->name,
	    s->objects, (double)l->raw / l->n, (double)l->v[0].data.len);
	for (unsigned int i = 0; i < b->runs && rc == 0; i++)
		rc = one_run(b, l, &o);
	if (rc == 0)
		tell(b, s, &o);
	load_free(l);
	return rc;
}

static int
run(struct bench *b)
{
	static const struct shape shapes[] = {
		{ "journal", 1, DISTINCT },
		{ "journal.bundles", 1000, 32 },
	};
	struct limit_append one;
	int rc = 0;

	for (unsigned int i = 0; i < 2 && rc == 0; i++)
		rc = one_shape(b, &shapes[i]);
	if (rc != 0 ||
	    (rc = limit_append(b, 4096, b->seconds > 0 ? b->seconds : 1, &one)) != 0)
		return rc;
	bench_value(b, "journal.fdatasync.p50", one.p50_us, "us", BENCH_LESS, 0, NULL);
	bench_value(b, "journal.fdatasync.p99", one.p99_us, "us", BENCH_LESS, 0, NULL);
	bench_value(b, "journal.write",
	    limit_write(b, b->seconds > 0 ? b->seconds : 2) / 1e6, "MB/s", BENCH_MORE, 0,
	    NULL);
	return 0;
}

const struct bench_scenario bench_journal = {
	.name = "journal",
	.brief = "records sealed and made durable",
	.how =
	    "records of one indicator, and bundles of 1,000, put into a journal: sealed, written, "
	    "synced; against bare writes of the same bytes in the same batches",
	.run = run,
};
