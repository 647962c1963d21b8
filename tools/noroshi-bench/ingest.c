/*
 * ingest and single: how fast a node takes in what a peer has: bundles of a
 * thousand indicators, records of one indicator, and those as a backlog that
 * is accepted on its checkpoint.
 *
 * The peer is made here and sends what was signed and encoded beforehand
 * (peer.h), the node is a real one; the time ends when it has acknowledged all
 * as durable.  Each run has an origin of its own at the same node.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "tools/noroshi-bench/fleet.h"
#include "tools/noroshi-bench/gen.h"
#include "tools/noroshi-bench/limits.h"
#include "tools/noroshi-bench/peer.h"
#include "tools/noroshi/answer.h"
#include "wire/wire.h"

#define BUNDLES	    1000u /* of PER_BUNDLE */
#define PER_BUNDLE  1000u
#define SINGLES	    20000u
#define BACKLOG	    60000u
#define PLAY_S	    600
#define FLOOR_S	    2.0
#define FLOOR_BATCH 32u /* records in one write; more would only need more memory */
#define LIMIT_S	    0.5

/* One node and the origins that send to it, one for each run. */
struct rig {
	struct bench *b;
	struct fleet *fleet;
	struct fleet_node *node;
	struct maker *maker[2 * BENCH_RUNS_MAX];
	unsigned int nmakers;
	struct nrs_hash community;
	uint32_t epoch;
	unsigned int threads; /* of the node, for jobs */
};

/* What one run tells. */
struct run {
	double records_s;
	double cpu_us;	  /* processor time of the node for a record */
	double sender;	  /* share of the sender in the processor time of both */
	double mb_s;	  /* of payload */
	double ratio;	  /* payload to frames */
	double per_batch; /* records in one write */
	double frame_bytes;
};

/* --- the rig --------------------------------------------------------------- */

static int
rig_accept(struct rig *g)
{
	struct maker *m = NULL;
	char *origin;
	int rc;

	origin = bench_fmt("run%u.bench.example", g->nmakers);
	rc = maker_new(origin, g->nmakers + 1, fleet_port(), &m);
	free(origin);
	if (rc != 0)
		return bench_fail(g->b, "%s", nrs_strerror(rc));
	g->maker[g->nmakers++] = m;
	return peer_accept(g->node, m);
}

/* From "job-threads = N" of the configuration in force; 0 is one for each processor. */
static int
rig_threads(struct rig *g)
{
	static const char key[] = "job-threads = ";
	json_t *a = NULL;
	const char *at;
	int rc;

	rc = fleet_call(g->node, json_pack("{s:s}", "cmd", "conf.show"), NULL, 0, &a);
	if (rc != 0)
		return rc;
	at = strstr(ans_text(a, "text"), key);
	g->threads = at != NULL ? (unsigned int)strtoul(at + sizeof(key) - 1, NULL, 10) : 1;
	if (g->threads == 0)
		g->threads = (unsigned int)sysconf(_SC_NPROCESSORS_ONLN);
	json_decref(a);
	return 0;
}

static int
rig_open(struct bench *b, unsigned int origins, struct rig *g)
{
	int rc;

	memset(g, 0, sizeof(*g));
	g->b = b;
	if ((rc = fleet_new(b, b->scenario, &g->fleet)) != 0 ||
	    (rc = fleet_add(g->fleet, "n", NULL, NULL, &g->node)) != 0 ||
	    (rc = fleet_found(g->node)) != 0)
		return rc;
	while (rc == 0 && g->nmakers < origins)
		rc = rig_accept(g);
	if (rc == 0)
		rc = peer_audience(g->b, g->node, &g->community, &g->epoch);
	return rc == 0 ? rig_threads(g) : rc;
}

static void
rig_close(struct rig *g)
{
	for (unsigned int i = 0; i < g->nmakers; i++)
		maker_free(g->maker[i]);
	fleet_free(g->fleet);
}

static int
rig_fill(struct rig *g, unsigned int i, uint64_t records, unsigned int objects)
{
	struct maker *m = g->maker[i];
	struct gen *gen = NULL;
	struct nrs_buf b;
	int rc;

	nrs_buf_init(&b, NRS_PAYLOAD_MAX);
	maker_audience(m, &g->community, g->epoch);
	rc = gen_new(i + 1, maker_origin(m), &gen);
	for (uint64_t k = 0; rc == 0 && k < records; k++) {
		nrs_buf_reset(&b);
		rc = gen_bundle(gen, objects, &b);
		if (rc == 0)
			rc = maker_record(m, b.p, b.len, gen_uuid(gen));
	}
	if (rc == 0)
		rc = maker_finish(m);
	gen_free(gen);
	nrs_buf_fini(&b);
	return rc == 0 ? 0 : bench_fail(g->b, "cannot make records: %s", nrs_strerror(rc));
}

static int
rig_play(struct rig *g, unsigned int i, struct run *ret)
{
	struct maker *m = g->maker[i];
	double n = (double)maker_count(m), cpu, batches;
	struct peer_result r;
	int rc;

	batches = fleet_metric(g->node, "noroshi_journal_batches_total");
	cpu = fleet_cpu(g->node);
	rc = peer_play(m, g->node->port, PLAY_S, &r);
	cpu = fleet_cpu(g->node) - cpu;
	batches = fleet_metric(g->node, "noroshi_journal_batches_total") - batches;
	if (rc != 0 || r.refused > 0)
		return bench_fail(
		    g->b, "not everything was taken in: %s: %s", nrs_strerror(rc), r.why);
	ret->records_s = n / r.seconds;
	ret->cpu_us = 1e6 * cpu / n;
	ret->sender = cpu > 0 ? r.cpu / (r.cpu + cpu) : 0;
	ret->mb_s = (double)maker_raw(m) / 1e6 / r.seconds;
	ret->ratio = (double)maker_raw(m) / (double)maker_records(m)->len;
	ret->per_batch = batches > 0 ? n / batches : n;
	ret->frame_bytes = (double)maker_records(m)->len / n;
	bench_debug(g->b,
	    "%.0f records/s, %.1f us of processor time each, sender %.0f %%, "
	    "%.1f in a batch",
	    ret->records_s, ret->cpu_us, 100 * ret->sender, ret->per_batch);
	return 0;
}

static void
tell_run(struct bench *b, const char *name, const struct run *r, double indicators)
{
	bench_note(b,
	    "%s: %.1f us of processor time of the node for an indicator, the sender's share is "
	    "%.0f %% beside it; compression %.1f, frames of %.0f bytes, %.1f records in a batch",
	    name, r->cpu_us / indicators, 100 * r->sender, r->ratio, r->frame_bytes,
	    r->per_batch);
}

/* --- the floor of ingest ------------------------------------------------------- */

/* Where a frame, as it comes from the wire, has its zstd frame. */
static bool
frame_data(const uint8_t *p, size_t len, struct wire_record *ret)
{
	return len > WIRE_HEADER_LEN &&
	    wire_record_decode(ret, p + WIRE_HEADER_LEN, len - WIRE_HEADER_LEN) == 0 &&
	    ret->flags == 0;
}

static void *
expand_open(void *arg)
{
	return ZSTD_createDCtx();
}

static void
expand_close(void *ctx)
{
	ZSTD_freeDCtx(ctx);
}

static int
expand_work(void *ctx, struct limit_item **items, size_t n)
{
	struct limit_item *it;
	struct wire_record w;
	size_t len;

	for (size_t i = 0; i < n; i++) {
		it = items[i];
		if (!frame_data(it->buf[0], it->src_len, &w))
			return -1;
		len =
		    ZSTD_decompressDCtx(ctx, it->buf[1], it->buf_cap, w.data.p, w.data.len);
		if (ZSTD_isError(len))
			return -1;
		it->p = it->buf[1];
		it->len = len;
	}
	return 0;
}

/* What is sealed and stored is what came, and not what came out of it. */
static int
seal_work(void *ctx, struct limit_item **items, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		items[i]->p = items[i]->buf[0];
		items[i]->len = items[i]->src_len;
	}
	return limit_stage_aead().work(ctx, items, n);
}

/*
 * The same frames through TLS, expanded, hashed, sealed, written and synced: in
 * the threads and batches of the node.  Nothing is parsed or checked.
 */
static int
floor_measure(struct rig *g, unsigned int i, const struct run *r, struct limit_floor *ret)
{
	const struct maker_frames *f = maker_records(g->maker[i]);
	struct limit_stage s[5] = { limit_stage_tls(g->b), limit_stage_sha256(),
		limit_stage_sha256(), limit_stage_aead(), limit_stage_store(g->b) };
	struct nrs_str *in = bench_alloc(f->n * sizeof(*in));
	size_t cap = (size_t)((double)maker_raw(g->maker[i]) / (double)f->n) * 2;
	int rc;

	for (size_t k = 0; k < f->n; k++)
		in[k] = (struct nrs_str){ f->p + f->at[k], f->at[k + 1] - f->at[k] };
	s[1].name = "zstd";
	s[1].open = expand_open;
	s[1].work = expand_work;
	s[1].close = expand_close;
	s[1].lane = s[2].lane = 1;
	s[1].threads = g->threads;
	s[3].work = seal_work;
	s[3].lane = 2;
	s[4].lane = 3;
	/* As the node has it: all that waits, up to the size of a batch. */
	s[4].batch = (size_t)(NRS_BATCH_BYTES / r->frame_bytes);
	s[4].batch = s[4].batch > FLOOR_BATCH ? FLOOR_BATCH : s[4].batch;
	s[4].least = (size_t)(r->per_batch + 0.5);
	s[4].least = s[4].least > s[4].batch ? s[4].batch : s[4].least;
	rc = limit_together(
	    g->b, s, 5, in, f->n, cap, g->b->seconds > 0 ? g->b->seconds : FLOOR_S, ret);
	free(in);
	return rc;
}

static void
tell_million(struct bench *b, const struct run *r)
{
	bench_note(b,
	    "a million indicators/s would take %.1f processors like these for the node, %.0f MB/s "
	    "from the network and to the disk, and %.0f MB/s of JSON to be hashed and read",
	    r->cpu_us / PER_BUNDLE, r->frame_bytes * 1e6 / PER_BUNDLE / 1e6,
	    r->frame_bytes * r->ratio * 1e6 / PER_BUNDLE / 1e6);
}

/*
 * What else the machine does changes times, and processor time hardly.  It says
 * nothing of waiting: the target is of the other ratio.
 */
static void
add_cpu(struct bench_row *row, const struct run *r, const struct limit_floor *f)
{
	double least = 0;

	for (unsigned int i = 0; i < f->n; i++)
		least += f->stage[i].cpu_us;
	bench_add(&row->value, r->cpu_us / (1 - r->sender));
	bench_add(&row->limit, least);
}

static int
ingest_runs(struct rig *g, uint64_t n)
{
	struct bench_row row = { .name = "ingest",
		.unit = "indicators/s",
		.sense = BENCH_MORE,
		.limit_of = "the same bytes without parsing and checks" };
	struct bench_row cpu = { .name = "ingest.cpu",
		.unit = "us",
		.sense = BENCH_LESS,
		.limit_of = "the floor's stages, each alone",
		.note = "processor time of both ends for one bundle" };
	struct limit_floor f, worst = { 0 };
	struct bench_series mb = { 0 };
	struct run r;
	int rc = 0;

	for (unsigned int i = 0; rc == 0 && i < g->b->runs; i++) {
		if ((rc = rig_fill(g, i, n, PER_BUNDLE)) != 0 ||
		    (rc = rig_play(g, i, &r)) != 0 ||
		    (rc = floor_measure(g, i, &r, &f)) != 0)
			break;
		bench_add(&row.value, r.records_s * PER_BUNDLE);
		/* A floor that is not valid would flatter: what it should have been, instead. */
		bench_add(&row.limit, (f.valid ? f.items_s : f.implied) * PER_BUNDLE);
		add_cpu(&cpu, &r, &f);
		bench_add(&mb, r.mb_s);
		if (worst.n == 0 || f.share < worst.share)
			worst = f;
		maker_free(g->maker[i]);
		g->maker[i] = NULL;
	}
	if (rc != 0)
		return rc;
	bench_row(g->b, &row);
	bench_row(g->b, &cpu);
	bench_row(g->b,
	    &(struct bench_row){ .name = "ingest.json", .unit = "MB/s", .value = mb });
	limit_floor_rows(g->b, "ingest", &worst);
	tell_run(g->b, "ingest", &r, PER_BUNDLE);
	tell_million(g->b, &r);
	bench_note(g->b, "ingest: %u threads for jobs, as configured", g->threads);
	return 0;
}

static int
ingest_run(struct bench *b)
{
	struct rig g;
	int rc;

	rc = rig_open(b, b->runs, &g);
	if (rc == 0)
		rc = ingest_runs(&g, b->records > 0 ? b->records : BUNDLES);
	rig_close(&g);
	return rc;
}

const struct bench_scenario bench_ingest = {
	.name = "ingest",
	.brief = "bundles of 1,000 indicators from a peer, durable and acknowledged",
	.how =
	    "a peer of canned frames sends bundles to a real node over TLS, until all are "
	    "acknowledged; against the same frames through TLS, zstd, SHA-256, AES-GCM, write "
	    "and fdatasync, without parsing and checks",
	.run = ingest_run,
};

/* --- single ---------------------------------------------------------------------- */

/* The option goes into the stanza that peer.accept has written. */
static int
catch_up(struct rig *g, unsigned int i)
{
	static const char option[] = "\tcatch-up = \"checkpoint\"\n}\n";
	char *path = bench_fmt(
		 "%s/conf.d/peer-%s.conf", g->node->dir, maker_origin(g->maker[i])),
	     text[4096], *end = NULL;
	FILE *fp = fopen(path, "r+e");
	size_t n = 0;

	if (fp != NULL) {
		n = fread(text, 1, sizeof(text) - 1, fp);
		text[n] = '\0';
		end = strrchr(text, '}');
	}
	if (end == NULL || fseek(fp, (long)(end - text), SEEK_SET) != 0 ||
	    fputs(option, fp) < 0)
		end = NULL;
	if ((fp != NULL && fclose(fp) != 0) || end == NULL)
		n = 0;
	free(path);
	return n > 0 ? 0 : bench_fail(g->b, "cannot change the stanza of a peer");
}

static int
single_run_one(struct rig *g, unsigned int i, uint64_t n, struct bench_row *row)
{
	double limit = 0;
	struct run r;
	int rc;

	if ((rc = rig_fill(g, i, n, 1)) != 0)
		return rc;
	if (row->limit_of != NULL) /* before and after: what else the machine does */
		limit = limit_verify(LIMIT_S);
	if ((rc = rig_play(g, i, &r)) != 0)
		return rc;
	bench_add(&row->value, r.records_s);
	if (row->limit_of != NULL)
		bench_add(&row->limit, (limit + limit_verify(LIMIT_S)) / 2);
	maker_free(g->maker[i]);
	g->maker[i] = NULL;
	if (i + 1 == g->b->runs || i + 1 == 2 * g->b->runs)
		tell_run(g->b, row->name, &r, 1);
	return 0;
}

static int
single_runs(struct rig *g)
{
	struct bench_row row = { .name = "single",
		.unit = "records/s",
		.sense = BENCH_MORE,
		.limit_of = "Ed25519 verify, one processor" };
	struct bench_row fast = { .name = "single.fast",
		.unit = "records/s",
		.sense = BENCH_MORE,
		.note = "a backlog accepted on its checkpoint (catch-up)" };
	unsigned int runs = g->b->runs;
	uint64_t n = g->b->records;
	int rc = 0;

	for (unsigned int i = runs; rc == 0 && i < 2 * runs; i++)
		rc = catch_up(g, i);
	if (rc == 0)
		rc = fleet_reload(g->node);
	for (unsigned int i = 0; rc == 0 && i < runs; i++)
		rc = single_run_one(g, i, n > 0 ? n : SINGLES, &row);
	for (unsigned int i = runs; rc == 0 && i < 2 * runs; i++)
		rc = single_run_one(g, i, n > 0 ? 3 * n : BACKLOG, &fast);
	if (rc != 0)
		return rc;
	bench_row(g->b, &row);
	bench_row(g->b, &fast);
	bench_note(g->b, "single: %u threads for jobs, as configured", g->threads);
	return 0;
}

static int
single_run(struct bench *b)
{
	struct rig g;
	int rc;

	rc = rig_open(b, 2 * b->runs, &g);
	if (rc == 0)
		rc = single_runs(&g);
	rig_close(&g);
	return rc;
}

const struct bench_scenario bench_single = {
	.name = "single",
	.brief = "records of one indicator from a peer, durable and acknowledged",
	.how =
	    "a peer of canned frames sends records of one indicator to a real node, until all "
	    "are acknowledged; against the Ed25519 verifications of one processor; then a "
	    "backlog accepted on its checkpoint",
	.run = single_run,
};
