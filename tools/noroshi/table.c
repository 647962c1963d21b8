/* How rows of cells become text. */
#include "tools/noroshi/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

enum tint { TINT_NONE, TINT_TLP, TINT_GOOD, TINT_BAD };

struct cell {
	char *raw;
	char *shown; /* escaped */
	size_t width;
	enum tint tint;
};

struct table {
	unsigned int ncols;
	const char *titles[TABLE_COLS_MAX];
	bool right[TABLE_COLS_MAX];
	struct cell *cells;
	size_t n, cap;
};

struct table *
table_new(const char *const *titles)
{
	struct table *t = cli_alloc(sizeof(*t));

	for (; *titles != NULL && t->ncols < TABLE_COLS_MAX; titles++) {
		t->right[t->ncols] = (*titles)[0] == '>';
		t->titles[t->ncols++] = *titles + ((*titles)[0] == '>');
	}
	return t;
}

void
table_free(struct table *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->n; i++) {
		free(t->cells[i].raw);
		free(t->cells[i].shown);
	}
	free(t->cells);
	free(t);
}

static void
add(struct table *t, const char *s, enum tint tint)
{
	struct cell *c;
	size_t len, max;

	if (t->n == t->cap) {
		t->cap = t->cap > 0 ? 2 * t->cap : 64;
		t->cells = cli_realloc(t->cells, t->cap * sizeof(*t->cells));
	}
	c = &t->cells[t->n++];
	if (s == NULL)
		s = "";
	len = strlen(s);
	max = 8 * len + 1;
	c->raw = cli_strdup(s);
	c->shown = cli_alloc(max);
	len = nrs_text_escape(c->shown, max, s, len);
	c->width = nrs_text_width(c->shown, len);
	c->tint = tint;
}

void
table_text(struct table *t, const char *s)
{
	add(t, s, TINT_NONE);
}

void
table_fmt(struct table *t, const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		cli_oom();
	va_end(ap);
	add(t, s, TINT_NONE);
	free(s);
}

void
table_tlp(struct table *t, const char *name)
{
	add(t, name, TINT_TLP);
}

void
table_state(struct table *t, const char *word, bool good)
{
	add(t, word, good ? TINT_GOOD : TINT_BAD);
}

/* --- people ------------------------------------------------------------ */

/* The colours of TLP 2.0, on the black ground that it asks for. */
const char *
tlp_color(const struct cli *c, const char *name)
{
	enum nrs_tlp tlp;

	if (!c->color || name == NULL || nrs_tlp_parse(name, strlen(name), &tlp) != 0)
		return "";
	switch (tlp) {
	case NRS_TLP_RED:
		return "\033[91;40m";
	case NRS_TLP_AMBER_STRICT:
	case NRS_TLP_AMBER:
		return "\033[93;40m";
	case NRS_TLP_GREEN:
		return "\033[92;40m";
	default:
		return "\033[97;40m";
	}
}

const char *
plain_color(const struct cli *c)
{
	return c->color ? "\033[0m" : "";
}

static const char *
color_of(const struct cell *cell, const struct cli *c)
{
	if (!c->color)
		return "";
	switch (cell->tint) {
	case TINT_TLP:
		return tlp_color(c, cell->raw);
	case TINT_GOOD:
		return "\033[32m";
	case TINT_BAD:
		return "\033[31m";
	default:
		return "";
	}
}

static void
pad(FILE *f, size_t n)
{
	for (; n > 0; n--)
		fputc(' ', f);
}

static void
print_human(const struct table *t, const struct cli *c, FILE *f)
{
	size_t width[TABLE_COLS_MAX], w, i, col;
	const struct cell *cell;
	const char *color;

	for (col = 0; col < t->ncols; col++)
		width[col] = strlen(t->titles[col]);
	for (i = 0; i < t->n; i++)
		if (t->cells[i].width > width[i % t->ncols])
			width[i % t->ncols] = t->cells[i].width;
	for (col = 0; col < t->ncols; col++) {
		w = width[col] - strlen(t->titles[col]);
		if (t->right[col])
			pad(f, w);
		fputs(t->titles[col], f);
		if (!t->right[col] && col + 1 < t->ncols)
			pad(f, w);
		fputs(col + 1 < t->ncols ? "  " : "\n", f);
	}
	for (i = 0; i < t->n; i++) {
		col = i % t->ncols;
		cell = &t->cells[i];
		color = color_of(cell, c);
		w = width[col] - cell->width;
		if (t->right[col])
			pad(f, w);
		fprintf(
		    f, "%s%s%s", color, cell->shown, *color != '\0' ? plain_color(c) : "");
		if (!t->right[col] && col + 1 < t->ncols)
			pad(f, w);
		fputs(col + 1 < t->ncols ? "  " : "\n", f);
	}
}

/* --- CSV (RFC 4180) ---------------------------------------------------- */

static void
put_csv(FILE *f, const char *s)
{
	bool quote = strpbrk(s, ",\"\r\n") != NULL;

	if (quote)
		fputc('"', f);
	if (*s != '\0' && strchr("=+-@\t\r", *s) != NULL)
		fputc('\'', f); /* or a spreadsheet would run it as a formula */
	for (; *s != '\0'; s++) {
		if (*s == '"')
			fputc('"', f);
		fputc(*s, f);
	}
	if (quote)
		fputc('"', f);
}

static void
print_csv(const struct table *t, FILE *f)
{
	for (unsigned int i = 0; i < t->ncols; i++) {
		put_csv(f, t->titles[i]);
		fputs(i + 1 < t->ncols ? "," : "\r\n", f);
	}
	for (size_t i = 0; i < t->n; i++) {
		put_csv(f, t->cells[i].raw);
		fputs((i + 1) % t->ncols != 0 ? "," : "\r\n", f);
	}
}

void
table_print(const struct table *t, const struct cli *c, FILE *f)
{
	if (c->form == CLI_CSV)
		print_csv(t, f);
	else
		print_human(t, c, f);
}
