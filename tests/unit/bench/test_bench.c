/* What noroshi-bench tells: histograms, the run that counts, targets, bundles like real ones, floors. */
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/map.h"
#include "crypto/digest.h"
#include "import/csv.h"
#include "stix/scan.h"
#include "tools/noroshi-bench/gen.h"
#include "tools/noroshi-bench/hist.h"
#include "tools/noroshi-bench/limits.h"
#include "tools/noroshi-bench/out.h"

#define BUNDLE 1000

/* --- histograms ------------------------------------------------------------ */

static void
test_hist_is_exact_when_small(void **state)
{
	struct hist *h = bench_alloc(sizeof(*h));

	hist_init(h);
	assert_int_equal(hist_quantile(h, 0.5), 0);
	for (uint64_t v = 1; v <= 60; v++)
		hist_add(h, v);
	assert_int_equal(h->n, 60);
	assert_int_equal(h->min, 1);
	assert_int_equal(h->max, 60);
	assert_int_equal(hist_quantile(h, 0.5), 30);
	assert_int_equal(hist_quantile(h, 0.99), 60);
	assert_int_equal(hist_quantile(h, 0), 1);
	assert_int_equal(hist_quantile(h, 1), 60);
	free(h);
}

/* Every magnitude: never below the value, and at most a 64th above it. */
static void
test_hist_errs_upward_and_little(void **state)
{
	struct hist *h = bench_alloc(sizeof(*h));
	uint64_t q;

	for (uint64_t v = 1; v < UINT64_MAX / 3; v = v * 3 + 1) {
		hist_init(h);
		hist_add(h, v);
		hist_add(h, UINT64_MAX);
		q = hist_quantile(h, 0.5);
		assert_true(q >= v);
		assert_true(q - v <= v / 64);
		assert_true(hist_quantile(h, 1) == UINT64_MAX);
	}
	free(h);
}

static void
test_hist_merges(void **state)
{
	struct hist *a = bench_alloc(sizeof(*a)), *b = bench_alloc(sizeof(*b));

	hist_init(a);
	hist_init(b);
	for (int i = 0; i < 99; i++)
		hist_add(a, 10);
	hist_add(b, 5000);
	hist_merge(a, b);
	assert_int_equal(a->n, 100);
	assert_int_equal(a->max, 5000);
	assert_int_equal(hist_quantile(a, 0.99), 10);
	assert_true(hist_quantile(a, 0.995) >= 5000 - 5000 / 64);
	free(a);
	free(b);
}

/* --- rows -------------------------------------------------------------------- */

/* What a row looks like on standard output, and whether a target was missed. */
static unsigned int
tell(const struct bench_row *row, char *dst, size_t len)
{
	struct bench b = { .json = true, .runs = 1 };
	struct bench_out *out;
	unsigned int missed;
	FILE *tmp = tmpfile();
	int saved;
	size_t n;

	assert_non_null(tmp);
	fflush(stdout);
	saved = dup(1);
	assert_true(saved >= 0 && dup2(fileno(tmp), 1) == 1);
	bench_out_begin(&b, &out);
	bench_row(&b, row);
	missed = bench_out_end(&b);
	fflush(stdout);
	assert_int_equal(dup2(saved, 1), 1);
	close(saved);
	rewind(tmp);
	n = fread(dst, 1, len - 1, tmp);
	dst[n] = '\0';
	fclose(tmp);
	return missed;
}

static struct bench_series
series(double a, double b, double c)
{
	struct bench_series s = { .n = 3, .v = { a, b, c } };

	return s;
}

static void
test_the_worst_run_counts(void **state)
{
	struct bench_series s = series(3, 1, 2);

	assert_true(bench_worst(&s, BENCH_MORE) == 1);
	assert_true(bench_best(&s, BENCH_MORE) == 3);
	assert_true(bench_worst(&s, BENCH_LESS) == 3);
	assert_true(bench_best(&s, BENCH_LESS) == 1);
	assert_true(bench_median(&s) == 2);
	bench_add(&s, 10);
	assert_true(bench_median(&s) == 2.5);
	for (int i = 0; i < 2 * BENCH_RUNS_MAX; i++)
		bench_add(&s, 0);
	assert_int_equal(s.n, BENCH_RUNS_MAX);
}

static void
test_rows(void **state)
{
	static const struct {
		struct bench_row row;
		unsigned int missed;
		const char *want; /* the line begins with it */
	} cases[] = {
		/* of rates the least; of times the longest */
		{ { .name = "x",
		      .unit = "records/s",
		      .value = { .n = 2, .v = { 50, 40 } } },
		    0,
		    "{\"bench\":\"x\",\"value\":40,\"unit\":\"records/s\",\"best\":50,\"median\":45,"
		    "\"worst\":40,\"runs\":[50.0,40.0]}" },
		{ { .name = "x",
		      .unit = "ms",
		      .sense = BENCH_LESS,
		      .value = { .n = 1, .v = { 2.5 } } },
		    0, "{\"bench\":\"x\",\"value\":2.5,\"unit\":\"ms\"}" },
		/* each run beside its own limit: the worst ratio is the second's */
		{ { .name = "x",
		      .unit = "records/s",
		      .value = { .n = 2, .v = { 40, 50 } },
		      .limit = { .n = 2, .v = { 50, 100 } },
		      .limit_of = "it" },
		    0,
		    "{\"bench\":\"x\",\"value\":50,\"unit\":\"records/s\",\"limit\":100,\"ratio\":0.5,"
		    "\"limit_of\":\"it\"" },
		/* one limit for all; a time: limit by value */
		{ { .name = "x",
		      .unit = "s",
		      .sense = BENCH_LESS,
		      .value = { .n = 2, .v = { 4, 8 } },
		      .limit = { .n = 1, .v = { 2 } } },
		    0,
		    "{\"bench\":\"x\",\"value\":8,\"unit\":\"s\",\"limit\":2,\"ratio\":0.25" },
		/* targets: of the ratio, of the value, of a time */
		{ { .name = "ingest",
		      .unit = "records/s",
		      .value = { .n = 1, .v = { 49 } },
		      .limit = { .n = 1, .v = { 100 } } },
		    1,
		    "{\"bench\":\"ingest\",\"value\":49,\"unit\":\"records/s\",\"limit\":100,"
		    "\"ratio\":0.49,\"target\":0.5,\"target_of\":\"ratio\",\"met\":false}" },
		{ { .name = "ingest",
		      .unit = "records/s",
		      .value = { .n = 1, .v = { 50 } },
		      .limit = { .n = 1, .v = { 100 } } },
		    0,
		    "{\"bench\":\"ingest\",\"value\":50,\"unit\":\"records/s\",\"limit\":100,"
		    "\"ratio\":0.5,\"target\":0.5,\"target_of\":\"ratio\",\"met\":true}" },
		{ { .name = "fanout",
		      .unit = "deliveries/s",
		      .value = { .n = 2, .v = { 299999, 4e5 } } },
		    1,
		    "{\"bench\":\"fanout\",\"value\":299999,\"unit\":\"deliveries/s\",\"target\":300000,"
		    "\"target_of\":\"value\",\"met\":false" },
		{ { .name = "restart",
		      .unit = "s",
		      .sense = BENCH_LESS,
		      .value = { .n = 2, .v = { 0.5, 1.5 } } },
		    1,
		    "{\"bench\":\"restart\",\"value\":1.5,\"unit\":\"s\",\"target\":1,"
		    "\"target_of\":\"value\",\"met\":false" },
		{ { .name = "restart",
		      .unit = "s",
		      .sense = BENCH_LESS,
		      .value = { .n = 1, .v = { 1 } } },
		    0,
		    "{\"bench\":\"restart\",\"value\":1,\"unit\":\"s\",\"target\":1,"
		    "\"target_of\":\"value\",\"met\":true}" },
	};
	char text[1024];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(tell(&cases[i].row, text, sizeof(text)), cases[i].missed);
		if (strncmp(text, cases[i].want, strlen(cases[i].want)) != 0)
			fail_msg("case %zu: %s", i, text);
		assert_true(text[strlen(text) - 1] == '\n');
	}
}

/* --- the generator -------------------------------------------------------------- */

static void
test_values_are_distinct(void **state)
{
	static const uint8_t seed[16] = { 1 };
	struct nrs_map *map = nrs_map_new(sizeof(struct nrs_hash), seed);
	struct nrs_hash h;
	struct nrs_buf b;
	struct gen *g;

	nrs_buf_init(&b, 4096);
	assert_non_null(map);
	for (uint64_t s = 0; s < 3; s++) {
		assert_int_equal(gen_new(s, "a.bench.example", &g), 0);
		for (int i = 0; i < 30000; i++) {
			nrs_buf_reset(&b);
			assert_int_equal(gen_value(g, &b), 0);
			assert_int_equal(nrs_sha256(b.p, b.len, &h), 0);
			assert_null(nrs_map_find(map, h.b));
			assert_int_equal(nrs_map_set(map, h.b, map, NULL), 0);
		}
		assert_int_equal(gen_count(g), 30000);
		gen_free(g);
	}
	nrs_map_free(map);
	nrs_buf_fini(&b);
}

/* What the daemon's own scanner makes of a bundle. */
static void
test_bundles_are_stix(void **state)
{
	struct nrs_detail d = { 0 };
	struct nrs_bundle s;
	struct nrs_buf b, again;
	struct gen *g, *twin;

	nrs_buf_init(&b, 1u << 22);
	nrs_buf_init(&again, 1u << 22);
	assert_int_equal(gen_new(1, "a.bench.example", &g), 0);
	assert_int_equal(gen_new(1, "a.bench.example", &twin), 0);
	assert_int_equal(gen_bundle(g, BUNDLE, &b), 0);
	assert_int_equal(gen_bundle(twin, BUNDLE, &again), 0);
	/* the same seed makes the same bytes */
	assert_int_equal(b.len, again.len);
	assert_memory_equal(b.p, again.p, b.len);
	/* it refuses what is there twice */
	if (nrs_bundle_scan(b.p, b.len, &s, NULL, NULL, &d) != 0)
		fail_msg("%s at %llu", d.text, (unsigned long long)d.off);
	assert_int_equal(s.n, BUNDLE);
	gen_free(g);
	gen_free(twin);
	nrs_buf_fini(&b);
	nrs_buf_fini(&again);
}

/* --- against real lists ------------------------------------------------------------ */

struct real {
	struct nrs_buf b;
	unsigned int n, bundles, lens, len[40000];
	double ratio, least; /* sum; of one bundle */
};

static void
real_bundle_end(struct real *r)
{
	double ratio;

	nrs_buf_str(&r->b, "]}");
	ratio = gen_ratio(r->b.p, r->b.len, 1);
	r->ratio += ratio;
	if (r->bundles == 0 || ratio < r->least)
		r->least = ratio;
	r->bundles++;
	r->n = 0;
	nrs_buf_reset(&r->b);
}

static void
real_row(struct real *r, const struct nrs_indicator *i)
{
	if (r->n == 0)
		nrs_buf_str(&r->b,
		    "{\"type\":\"bundle\",\"id\":\"bundle--10635ddb-63d1-4fd6-aacb-8953dec2a937\","
		    "\"objects\":[");
	else
		nrs_buf_u8(&r->b, ',');
	assert_int_equal(nrs_indicator_format(&r->b, i), 0);
	if (r->lens < sizeof(r->len) / sizeof(r->len[0]))
		r->len[r->lens++] = (unsigned int)i->value.len;
	if (++r->n == BUNDLE)
		real_bundle_end(r);
}

static void
real_file(struct real *r, const char *path)
{
	struct nrs_indicator defaults = { .confidence = -1,
		.tlp = NRS_TLP_GREEN,
		.origin = "a.bench.example" },
			     i;
	static struct nrs_csv_row row;
	struct nrs_detail d = { 0 };
	struct nrs_csv_map map;
	struct nrs_buf scratch;
	struct nrs_csv *c;
	bool header = false;
	char piece[65536];
	size_t n;
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	nrs_buf_init(&scratch, 1u << 20);
	assert_int_equal(nrs_csv_new(',', &c), 0);
	do {
		n = fread(piece, 1, sizeof(piece), f);
		assert_int_equal(nrs_csv_feed(c, piece, n, n == 0), 0);
		while (nrs_csv_next(c, &row) == 0) {
			if (!header) {
				header = true;
				assert_int_equal(nrs_csv_map_parse(
						     "value=URL,name=description,seen=date",
						     &row, &map, &d),
				    0);
				continue;
			}
			nrs_buf_reset(&scratch);
			if (nrs_csv_indicator(
				&row, &map, &defaults, NULL, &scratch, &i, &d) == 0)
				real_row(r, &i);
		}
	} while (n > 0);
	nrs_csv_free(c);
	nrs_buf_fini(&scratch);
	fclose(f);
}

static int
by_number(const void *a, const void *b)
{
	unsigned int x = *(const unsigned int *)a, y = *(const unsigned int *)b;

	return x < y ? -1 : x > y;
}

/* Bundles must not compress better than real ones, nor be so random that they flatter the other way. */
static void
test_like_real_lists(void **state)
{
	static const double quantiles[] = { 0.1, 0.25, 0.5, 0.75, 0.9 };
	struct real *r;
	unsigned int len[20000], a, b;
	struct nrs_buf buf;
	double ratio = 0;
	struct gen *g;
	glob_t files;

	if (glob("../shared/data/jpcert-phishing/*.csv", 0, NULL, &files) != 0) {
		print_message("# SKIP: ../shared/data/jpcert-phishing is not there\n");
		skip();
	}
	r = bench_alloc(sizeof(*r));
	nrs_buf_init(&r->b, 1u << 22);
	for (size_t i = 0; i < files.gl_pathc; i++)
		real_file(r, files.gl_pathv[i]);
	globfree(&files);
	assert_true(r->bundles >= 10);
	nrs_buf_init(&buf, 1u << 22);
	assert_int_equal(gen_new(7, "a.bench.example", &g), 0);
	for (int i = 0; i < 10; i++) {
		nrs_buf_reset(&buf);
		assert_int_equal(gen_bundle(g, BUNDLE, &buf), 0);
		ratio += gen_ratio(buf.p, buf.len, 1) / 10;
	}
	print_message(
	    "# compressed by zstd -1: real %.2f (%.2f at the least), generated %.2f\n",
	    r->ratio / r->bundles, r->least, ratio);
	assert_true(ratio <= r->ratio / r->bundles);
	assert_true(ratio >= 0.75 * r->ratio / r->bundles);
	for (int i = 0; i < 20000; i++) {
		nrs_buf_reset(&buf);
		assert_int_equal(gen_value(g, &buf), 0);
		len[i] = (unsigned int)buf.len;
	}
	qsort(len, 20000, sizeof(len[0]), by_number);
	qsort(r->len, r->lens, sizeof(r->len[0]), by_number);
	for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
		a = len[(size_t)(quantiles[i] * 19999)];
		b = r->len[(size_t)(quantiles[i] * (r->lens - 1))];
		print_message("# length of a value, quantile %.2f: real %u, generated %u\n",
		    quantiles[i], b, a);
		assert_true(a * 4 >= b * 3 && a * 3 <= b * 4);
	}
	gen_free(g);
	nrs_buf_fini(&buf);
	nrs_buf_fini(&r->b);
	free(r);
}

/* --- floors --------------------------------------------------------------------------- */

struct count {
	unsigned int calls, items, most;
};

static int
count_work(void *ctx, struct limit_item **items, size_t n)
{
	struct count *c = ctx;

	c->calls++;
	c->items += (unsigned int)n;
	if (n > c->most)
		c->most = (unsigned int)n;
	for (size_t i = 0; i < n; i++)
		assert_int_equal(items[i]->src_len, 3);
	return 0;
}

static int
fail_work(void *ctx, struct limit_item **items, size_t n)
{
	return -1;
}

static void
test_floor_goes_through_all_stages(void **state)
{
	struct nrs_str in[2] = { { (const uint8_t *)"abc", 3 },
		{ (const uint8_t *)"xyz", 3 } };
	struct count a = { 0 }, c = { 0 };
	struct limit_stage s[3] = { { .name = "one", .work = count_work, .arg = &a },
		limit_stage_sha256(),
		{ .name = "two", .lane = 1, .batch = 5, .work = count_work, .arg = &c } };
	struct bench b = { .dir = "." };
	struct limit_floor f;

	assert_int_equal(limit_together(&b, s, 3, in, 2, 64, 0.05, &f), 0);
	assert_int_equal(f.n, 3);
	assert_string_equal(f.stage[1].name, "sha256");
	assert_true(f.items_s > 0 && f.implied > 0);
	assert_true(f.bytes_s > 2.9 * f.items_s && f.bytes_s < 3.1 * f.items_s);
	assert_true(f.valid == (f.share >= 0.8));
	/* what a lane may take at once is its own */
	assert_true(a.items > 0 && c.items > 0);
	assert_true(c.most <= 5);
	s[1].work = fail_work;
	assert_int_not_equal(limit_together(&b, s, 3, in, 2, 64, 0.05, &f), 0);
	/* lanes without a gap, from 0 */
	s[1] = limit_stage_sha256();
	s[2].lane = 2;
	assert_int_not_equal(limit_together(&b, s, 3, in, 2, 64, 0.05, &f), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hist_is_exact_when_small),
		cmocka_unit_test(test_hist_errs_upward_and_little),
		cmocka_unit_test(test_hist_merges),
		cmocka_unit_test(test_the_worst_run_counts),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_values_are_distinct),
		cmocka_unit_test(test_bundles_are_stix),
		cmocka_unit_test(test_like_real_lists),
		cmocka_unit_test(test_floor_goes_through_all_stages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
