/*
 * Rows: one JSON object a line, or an aligned table for people.  The worst run
 * is the figure; best and median stand beside it, so that nobody has to ask.
 */
#include "tools/noroshi-bench/out.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/noroshi/cli.h"

struct bench_out {
	unsigned int missed;
	bool table; /* the head of the table is printed */
};

/* --- series ------------------------------------------------------------- */

void
bench_add(struct bench_series *s, double value)
{
	if (s->n < BENCH_RUNS_MAX)
		s->v[s->n++] = value;
}

static double
extreme(const struct bench_series *s, bool most)
{
	double v = s->n > 0 ? s->v[0] : 0;

	for (unsigned int i = 1; i < s->n; i++)
		if (most ? s->v[i] > v : s->v[i] < v)
			v = s->v[i];
	return v;
}

double
bench_worst(const struct bench_series *s, enum bench_sense sense)
{
	return extreme(s, sense == BENCH_LESS);
}

double
bench_best(const struct bench_series *s, enum bench_sense sense)
{
	return extreme(s, sense == BENCH_MORE);
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

double
bench_median(const struct bench_series *s)
{
	struct bench_series t = *s;

	if (t.n == 0)
		return 0;
	qsort(t.v, t.n, sizeof(t.v[0]), by_value);
	return t.n % 2 == 1 ? t.v[t.n / 2] : (t.v[t.n / 2 - 1] + t.v[t.n / 2]) / 2;
}

/* --- figures ------------------------------------------------------------ */

struct figure {
	double value, limit, ratio; /* limit 0: none */
};

static double
limit_of_run(const struct bench_series *limit, unsigned int run)
{
	return limit->n == 0 ? 0 : limit->v[run < limit->n ? run : limit->n - 1];
}

static double
ratio_of(enum bench_sense sense, double value, double limit)
{
	double over = sense == BENCH_MORE ? value : limit,
	       under = sense == BENCH_MORE ? limit : value;

	return under > 0 ? over / under : 0;
}

/* The run that counts: the worst ratio, or without a limit the worst value. */
static struct figure
figure_of(const struct bench_row *row)
{
	struct figure f = { .value = bench_worst(&row->value, row->sense) }, g;

	if (row->limit.n == 0 || bench_worst(&row->limit, BENCH_MORE) <= 0)
		return f;
	for (unsigned int i = 0; i < row->value.n; i++) {
		g.value = row->value.v[i];
		g.limit = limit_of_run(&row->limit, i);
		g.ratio = ratio_of(row->sense, g.value, g.limit);
		if (i == 0 || g.ratio < f.ratio)
			f = g;
	}
	return f;
}

static const struct bench_target *
target_of(const char *name)
{
	for (const struct bench_target *t = bench_targets; t->row != NULL; t++)
		if (strcmp(t->row, name) == 0)
			return t;
	return NULL;
}

static bool
target_met(const struct bench_target *t, const struct figure *f, double worst)
{
	double v = t->of == BENCH_OF_RATIO ? f->ratio : worst;

	return t->sense == BENCH_MORE ? v >= t->value : v <= t->value;
}

/* --- telling ------------------------------------------------------------ */

/* Six digits are more than any of this deserves, and keep rows readable. */
static double
rounded(double v)
{
	double scale;

	if (v == 0 || !isfinite(v))
		return 0;
	scale = pow(10, 5 - floor(log10(fabs(v))));
	return round(v * scale) / scale;
}

static void
put(json_t *o, const char *key, json_t *v)
{
	if (json_object_set_new(o, key, v) != 0)
		cli_oom();
}

static void
put_num(json_t *o, const char *key, double v)
{
	v = rounded(v);
	put(o, key,
	    v == floor(v) && fabs(v) < 1e15 ? json_integer((json_int_t)v) : json_real(v));
}

static void
put_line(json_t *o)
{
	if (o == NULL || json_dumpf(o, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9)) != 0)
		cli_oom();
	fputc('\n', stdout);
	fflush(stdout);
	json_decref(o);
}

static void
row_json(const struct bench_row *row, const struct figure *f, const struct bench_target *t,
    bool met)
{
	json_t *o = json_object(), *runs = json_array();

	put(o, "bench", json_string(row->name));
	put_num(o, "value", f->value);
	put(o, "unit", json_string(row->unit));
	if (f->limit > 0) {
		put_num(o, "limit", f->limit);
		put_num(o, "ratio", f->ratio);
		if (row->limit_of != NULL)
			put(o, "limit_of", json_string(row->limit_of));
	}
	if (t != NULL) {
		put_num(o, "target", t->value);
		put(o, "target_of",
		    json_string(t->of == BENCH_OF_RATIO ? "ratio" : "value"));
		put(o, "met", json_boolean(met));
	}
	if (row->value.n > 1) {
		put_num(o, "best", bench_best(&row->value, row->sense));
		put_num(o, "median", bench_median(&row->value));
		put_num(o, "worst", bench_worst(&row->value, row->sense));
		for (unsigned int i = 0; i < row->value.n; i++)
			json_array_append_new(runs, json_real(rounded(row->value.v[i])));
		put(o, "runs", json_incref(runs));
	}
	if (row->note != NULL)
		put(o, "note", json_string(row->note));
	json_decref(runs);
	put_line(o);
}

static const char *
num(char dst[32], double v)
{
	double a = fabs(v);
	int digits = a >= 1000 || a == 0 ? 0 : a >= 100 ? 1 : a >= 10 ? 2 : a >= 1 ? 3 : 4;

	snprintf(dst, 32, "%.*f", digits, v);
	return dst;
}

static void
row_human(struct bench *b, const struct bench_row *row, const struct figure *f,
    const struct bench_target *t, bool met)
{
	char v[32], l[32] = "", r[32] = "", m[32] = "", x[32] = "", want[64] = "", n[32];

	if (!b->out->table)
		printf("%-24s %13s %-10s %13s %7s %13s %13s  %s\n", "", "worst run", "",
		    "limit", "ratio", "median", "best", "");
	b->out->table = true;
	if (f->limit > 0) {
		num(l, f->limit);
		snprintf(r, sizeof(r), "%.3f", f->ratio);
	}
	if (row->value.n > 1) {
		num(m, bench_median(&row->value));
		num(x, bench_best(&row->value, row->sense));
	}
	if (t != NULL)
		snprintf(want, sizeof(want), "%s %s%s: %s",
		    t->sense == BENCH_MORE ? ">=" : "<=", num(n, t->value),
		    t->of == BENCH_OF_RATIO ? " of the limit" : "", met ? "met" : "MISSED");
	printf("%-24s %13s %-10s %13s %7s %13s %13s  %s%s%s%s%s\n", row->name,
	    num(v, f->value), row->unit, l, r, m, x, want,
	    want[0] != '\0' && row->limit_of != NULL ? "; " : "",
	    row->limit_of != NULL ? "limit: " : "",
	    row->limit_of != NULL ? row->limit_of : "", "");
	if (row->note != NULL)
		printf("    %s\n", row->note);
	fflush(stdout);
}

void
bench_row(struct bench *b, const struct bench_row *row)
{
	const struct bench_target *t = target_of(row->name);
	struct figure f = figure_of(row);
	bool met = t == NULL || target_met(t, &f, bench_worst(&row->value, row->sense));

	b->out->missed += !met;
	if (b->json)
		row_json(row, &f, t, met);
	else
		row_human(b, row, &f, t, met);
}

void
bench_value(struct bench *b, const char *name, double value, const char *unit,
    enum bench_sense sense, double limit, const char *limit_of)
{
	struct bench_row row = { .name = name,
		.unit = unit,
		.sense = sense,
		.limit_of = limit > 0 ? limit_of : NULL };

	bench_add(&row.value, value);
	if (limit > 0)
		bench_add(&row.limit, limit);
	bench_row(b, &row);
}

void
bench_note(struct bench *b, const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		cli_oom();
	va_end(ap);
	if (b->json) {
		put_line(json_pack("{s:s}", "note", s));
	} else {
		cli_put(stdout, s, true);
		fputc('\n', stdout);
		fflush(stdout);
		b->out->table = false;
	}
	free(s);
}

void
bench_out_begin(struct bench *b, struct bench_out **ret)
{
	b->out = *ret = bench_alloc(sizeof(**ret));
}

void
bench_out_scenario(struct bench *b, const struct bench_scenario *s)
{
	if (b->json) {
		put_line(json_pack("{s:s,s:s,s:i,s:s}", "scenario", s->name, "measures",
		    s->how, "runs", (int)b->runs, "figure", "the worst run"));
		return;
	}
	printf("\n%s: %s\nWorst of %u run%s.\n", s->name, s->how, b->runs,
	    b->runs == 1 ? "" : "s");
	b->out->table = false;
}

unsigned int
bench_out_end(struct bench *b)
{
	unsigned int missed = b->out->missed;

	free(b->out);
	b->out = NULL;
	return missed;
}
