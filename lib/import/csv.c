/*
 * The reader: bytes in, rows out.  A row is parsed from its first byte once it
 * is complete, and its text is kept until then, so that a quote that is never
 * closed costs one row: reading goes on with the next line.
 */
#include "import/csv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/text.h"

#define FEED_MAX ((size_t)1 << 30)
#define ROW_MAX	 ((size_t)4 << 20)
#define HEAD_MAX ((size_t)64 << 10) /* a first line longer than this has commas */

struct nrs_csv {
	struct nrs_buf in;
	struct nrs_buf cells; /* fields of the row, unquoted, one after the other */
	size_t row;	      /* where in the input the next row begins */
	uint64_t line;	      /* its line */
	char sep;
	bool begun; /* the byte order mark is behind us */
	bool last;
};

/* How a row ended. */
enum end { END_ROW, END_MORE, END_UNCLOSED, END_AFTER_QUOTE, END_FIELD, END_LONG };

int
nrs_csv_new(char sep, struct nrs_csv **ret)
{
	struct nrs_csv *c;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		return NRS_ENOMEM;
	nrs_buf_init(&c->in, FEED_MAX);
	nrs_buf_init(&c->cells, 2 * ROW_MAX);
	c->line = 1;
	c->sep = sep;
	*ret = c;
	return 0;
}

void
nrs_csv_free(struct nrs_csv *c)
{
	if (c == NULL)
		return;
	nrs_buf_fini(&c->in);
	nrs_buf_fini(&c->cells);
	free(c);
}

int
nrs_csv_feed(struct nrs_csv *c, const void *p, size_t len, bool last)
{
	if (c->last)
		return NRS_ESTATE;
	if (c->row > 0) {
		memmove(c->in.p, c->in.p + c->row, c->in.len - c->row);
		c->in.len -= c->row;
		c->row = 0;
	}
	nrs_buf_put(&c->in, p, len);
	c->last = last;
	return c->in.err;
}

/* The separator that the first line has most of, outside quotes; 0: not there yet. */
static char
find_sep(const struct nrs_csv *c)
{
	static const char seps[] = ",;\t";
	size_t i, n[3] = { 0 };
	bool quoted = false;
	unsigned int k, best = 0;

	for (i = c->row; i < c->in.len && i - c->row < HEAD_MAX; i++) {
		if (c->in.p[i] == '"')
			quoted = !quoted;
		if (quoted)
			continue;
		if (c->in.p[i] == '\n')
			break;
		for (k = 0; k < 3; k++)
			n[k] += c->in.p[i] == (uint8_t)seps[k];
	}
	if (i == c->in.len && !c->last)
		return 0;
	for (k = 1; k < 3; k++)
		if (n[k] > n[best])
			best = k;
	return seps[best];
}

/* Passes the byte order mark and finds the separator: 0, or NRS_CSV_MORE. */
static int
begin(struct nrs_csv *c)
{
	static const uint8_t bom[] = { 0xef, 0xbb, 0xbf };

	if (!c->begun) {
		if (c->in.len < 3 && !c->last)
			return NRS_CSV_MORE;
		if (c->in.len >= 3 && memcmp(c->in.p, bom, 3) == 0)
			c->row = 3;
		c->begun = true;
	}
	if (c->sep == 0 && (c->sep = find_sep(c)) == 0)
		return NRS_CSV_MORE;
	return 0;
}

/* One quoted field from the byte after its quote; *pp past the closing quote. */
static enum end
take_quoted(struct nrs_csv *c, const uint8_t **pp, const uint8_t *end)
{
	const uint8_t *p = *pp, *q;

	for (;;) {
		q = p < end ? memchr(p, '"', (size_t)(end - p)) : NULL;
		if (q == NULL)
			return c->last ? END_UNCLOSED : END_MORE;
		nrs_buf_put(&c->cells, p, (size_t)(q - p));
		p = q + 1;
		if (p == end && !c->last)
			return END_MORE;
		if (p == end || *p != '"')
			break;
		nrs_buf_u8(&c->cells, '"');
		p++;
	}
	*pp = p;
	return END_ROW;
}

static bool
at_line_end(const uint8_t *p, const uint8_t *end)
{
	return p == end || *p == '\n' || (*p == '\r' && end - p > 1 && p[1] == '\n');
}

/* An unquoted field; quotes inside are text, as spreadsheets have it. */
static enum end
take_plain(struct nrs_csv *c, const uint8_t **pp, const uint8_t *end)
{
	const uint8_t *p = *pp;

	while (p < end && *p != (uint8_t)c->sep && !at_line_end(p, end))
		p++;
	nrs_buf_put(&c->cells, *pp, (size_t)(p - *pp));
	*pp = p;
	return END_ROW;
}

/*
 * The row at c->row into cells and at[] (where its fields begin; n + 1 of them).
 * *ret_next is past its line break.
 */
static enum end
take_row(
    struct nrs_csv *c, size_t at[NRS_CSV_COLS + 1], unsigned int *ret_n, size_t *ret_next)
{
	const uint8_t *p = c->in.p + c->row, *end = c->in.p + c->in.len;
	unsigned int n = 0;
	enum end e;

	nrs_buf_reset(&c->cells);
	for (;;) {
		at[n < NRS_CSV_COLS ? n : NRS_CSV_COLS] = c->cells.len;
		if (p < end && *p == '"') {
			p++;
			e = take_quoted(c, &p, end);
		} else
			e = take_plain(c, &p, end);
		if (e != END_ROW)
			return e;
		if (n < NRS_CSV_COLS && c->cells.len - at[n] > NRS_CSV_FIELD_MAX)
			return END_FIELD;
		if ((size_t)(p - (c->in.p + c->row)) > ROW_MAX)
			return END_LONG;
		n++;
		if (p < end && *p == (uint8_t)c->sep) {
			p++;
			continue;
		}
		/* a CR at the end of a piece may be half of a line break */
		if (!c->last && (p == end || (*p == '\r' && p + 1 == end)))
			return END_MORE;
		if (!at_line_end(p, end))
			return END_AFTER_QUOTE;
		break;
	}
	if (n <= NRS_CSV_COLS)
		at[n] = c->cells.len;
	if (p < end)
		p += *p == '\r' ? 2 : 1;
	*ret_n = n;
	*ret_next = (size_t)(p - c->in.p);
	return END_ROW;
}

static void
row_fail(struct nrs_csv_row *row, int err, const char *why)
{
	if (row->err != 0)
		return;
	row->err = err;
	snprintf(row->why, sizeof(row->why), "%s", why);
}

static void
advance(struct nrs_csv *c, size_t next)
{
	size_t i;

	for (i = c->row; i < next; i++)
		c->line += c->in.p[i] == '\n';
	c->row = next;
}

/* A row that cannot be read: its first line is given up, the rest goes on. */
static int
give_up_line(struct nrs_csv *c, enum end e, struct nrs_csv_row *ret)
{
	const uint8_t *p = c->in.p + c->row, *nl;
	size_t left = c->in.len - c->row;

	if ((nl = memchr(p, '\n', left < ROW_MAX ? left : ROW_MAX)) == NULL &&
	    (!c->last || left > ROW_MAX))
		return left > ROW_MAX ? NRS_ELIMIT : NRS_CSV_MORE;
	if (e == END_UNCLOSED)
		row_fail(ret, NRS_ETRUNC, "a quote is opened and never closed");
	else if (e == END_AFTER_QUOTE)
		row_fail(ret, NRS_ESYNTAX, "text follows a closing quote");
	else
		row_fail(
		    ret, NRS_ELIMIT, "a field or row is too long; is a quote not closed?");
	advance(c, nl == NULL ? c->in.len : (size_t)(nl + 1 - c->in.p));
	return 0;
}

/* Text that no later step may see: columns beyond the limit, NUL, not UTF-8. */
static void
check_row(
    const struct nrs_csv *c, const size_t *at, unsigned int n, struct nrs_csv_row *ret)
{
	unsigned int i, shown = n < NRS_CSV_COLS ? n : NRS_CSV_COLS;
	char why[96];

	ret->n = shown;
	if (n > NRS_CSV_COLS)
		row_fail(ret, NRS_ELIMIT, "more than 256 columns");
	for (i = 0; i < shown; i++) {
		ret->f[i].len = at[i + 1] - at[i];
		ret->f[i].p = ret->f[i].len > 0 ? c->cells.p + at[i] : (const uint8_t *)"";
		if (!nrs_utf8_ok(ret->f[i].p, ret->f[i].len, NULL)) {
			snprintf(why, sizeof(why),
			    "column %u is not UTF-8: convert the file first, e.g. with iconv",
			    i + 1);
			row_fail(ret, NRS_EUTF8, why);
		}
		if (memchr(ret->f[i].p, 0, ret->f[i].len) != NULL) {
			snprintf(why, sizeof(why), "column %u has a NUL byte", i + 1);
			row_fail(ret, NRS_ESYNTAX, why);
		}
	}
}

int
nrs_csv_next(struct nrs_csv *c, struct nrs_csv_row *ret)
{
	size_t at[NRS_CSV_COLS + 1], next;
	unsigned int n;
	enum end e;
	int rc;

	ret->n = 0;
	ret->err = 0;
	ret->why[0] = '\0';
	if (c->in.err != 0)
		return c->in.err;
	if ((rc = begin(c)) != 0)
		return rc;
	for (;;) {
		if (c->row == c->in.len)
			return c->last ? NRS_CSV_END : NRS_CSV_MORE;
		ret->line = c->line;
		e = take_row(c, at, &n, &next);
		if (e == END_MORE && c->in.len - c->row > ROW_MAX)
			e = END_LONG;
		if (e == END_MORE)
			return NRS_CSV_MORE;
		if (c->cells.err != 0 && c->cells.err != NRS_ELIMIT)
			return c->cells.err;
		if (e != END_ROW)
			return give_up_line(c, e, ret);
		advance(c, next);
		if (n == 1 && c->cells.len == 0)
			continue; /* an empty line */
		check_row(c, at, n, ret);
		return 0;
	}
}
