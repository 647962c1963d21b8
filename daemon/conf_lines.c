/*
 * Where sections and options stand in a configuration file.  libConfuse knows
 * the line while it reads and forgets it after; complaints that need two files
 * to be seen come later.  This follows its lexical rules and judges nothing: of
 * a file that libConfuse refuses, nobody asks.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/conf_table.h"

#define STMTS_MAX 100000

enum token { T_END, T_WORD, T_STRING, T_OPEN, T_CLOSE, T_EQUALS, T_OTHER };

struct lex {
	const char *p, *end;
	char *blank; /* the text, writable: comments become blanks; or NULL */
	size_t len;
	unsigned int line;
	const char *word;
	size_t word_len;
	unsigned int word_line;
};

static void
step(struct lex *l)
{
	if (*l->p++ == '\n')
		l->line++;
}

static bool
at(const struct lex *l, const char *s)
{
	size_t n = strlen(s);

	return (size_t)(l->end - l->p) >= n && memcmp(l->p, s, n) == 0;
}

static void
blank_since(struct lex *l, const char *from)
{
	for (; l->blank != NULL && from < l->p; from++)
		if (*from != '\n')
			l->blank[from - (l->end - l->len)] = ' ';
}

static void
skip_blank(struct lex *l)
{
	const char *from;

	while (l->p < l->end) {
		from = l->p;
		if (strchr(" \t\r\n", *l->p) != NULL && *l->p != '\0') {
			step(l);
		} else if (*l->p == '#' || at(l, "//")) {
			while (l->p < l->end && *l->p != '\n')
				l->p++;
			blank_since(l, from);
		} else if (at(l, "/*")) {
			while (l->p < l->end && !at(l, "*/"))
				step(l);
			if (l->p == l->end)
				return; /* no end: libConfuse says so */
			l->p += 2;
			blank_since(l, from);
		} else {
			return;
		}
	}
}

static enum token
take_string(struct lex *l)
{
	char quote = *l->p;

	step(l);
	while (l->p < l->end && *l->p != quote) {
		if (*l->p == '\\' && l->p + 1 < l->end)
			step(l);
		step(l);
	}
	if (l->p < l->end)
		step(l);
	return T_STRING;
}

static enum token
next(struct lex *l)
{
	skip_blank(l);
	l->word_line = l->line;
	if (l->p == l->end)
		return T_END;
	switch (*l->p) {
	case '{':
		l->p++;
		return T_OPEN;
	case '}':
		l->p++;
		return T_CLOSE;
	case '=':
		l->p++;
		return T_EQUALS;
	case '"':
	case '\'':
		return take_string(l);
	case '(':
	case ')':
	case ',':
	case '+':
		l->p++;
		return T_OTHER;
	default:
		break;
	}
	l->word = l->p;
	while (l->p < l->end && strchr(" \t\r\n\"'={}()+,", *l->p) == NULL)
		l->p++;
	l->word_len = (size_t)(l->p - l->word);
	if (l->word_len == 0) /* NUL: refused elsewhere */
		l->p++;
	return T_WORD;
}

static int
add(struct conf_stmts *s, const struct lex *l, int parent)
{
	struct conf_stmt *st;
	size_t n = l->word_len;

	if (s->n == STMTS_MAX)
		return NRS_ELIMIT;
	if ((s->n & (s->n - 1)) == 0) {
		size_t cap = s->n == 0 ? 1 : 2 * (size_t)s->n;

		if ((st = realloc(s->v, cap * sizeof(*st))) == NULL)
			return NRS_ENOMEM;
		s->v = st;
	}
	st = &s->v[s->n++];
	if (n >= sizeof(st->name))
		n = sizeof(st->name) - 1;
	memcpy(st->name, l->word, n);
	st->name[n] = '\0';
	st->line = l->word_line;
	st->parent = parent;
	return 0;
}

/* The value of an option: a word, a string, or a list of them. */
static void
skip_value(struct lex *l)
{
	enum token t = next(l);

	if (t != T_OPEN)
		return;
	while (t != T_CLOSE && t != T_END)
		t = next(l);
}

int
conf_stmts_scan(struct conf_stmts *ret, const char *text, size_t len)
{
	struct lex l = { .p = text, .end = text + len, .len = len, .line = 1 };
	int section = -1, head = -1, rc = 0;
	enum token t;

	memset(ret, 0, sizeof(*ret));
	while (rc == 0 && (t = next(&l)) != T_END) {
		if (t == T_OPEN && section < 0) {
			section = head;
		} else if (t == T_CLOSE) {
			section = head = -1;
		} else if (t == T_EQUALS) {
			skip_value(&l);
		} else if (t == T_WORD && section >= 0) {
			rc = add(ret, &l, section);
		} else if (t == T_WORD && head < 0) {
			head = (int)ret->n;
			rc = add(ret, &l, -1);
		} else if (t == T_OTHER && section < 0) {
			head = -1; /* a call: include("...") */
			(void)next(&l);
			(void)next(&l);
		}
	}
	ret->open = section;
	if (rc != 0)
		conf_stmts_fini(ret);
	return rc;
}

/* libConfuse counts the line after a comment twice, so it gets to see none. */
void
conf_comments_blank(char *text, size_t len)
{
	struct lex l = {
		.p = text, .end = text + len, .blank = text, .len = len, .line = 1
	};

	while (next(&l) != T_END)
		;
}

void
conf_stmts_fini(struct conf_stmts *s)
{
	free(s->v);
	memset(s, 0, sizeof(*s));
}

int
conf_stmts_section(const struct conf_stmts *s, const char *name, unsigned int nth)
{
	for (unsigned int i = 0; i < s->n; i++)
		if (s->v[i].parent < 0 && strcmp(s->v[i].name, name) == 0 && nth-- == 0)
			return (int)i;
	return -1;
}

unsigned int
conf_stmts_option(
    const struct conf_stmts *s, int section, const char *name, unsigned int nth)
{
	for (unsigned int i = 0; section >= 0 && i < s->n; i++)
		if (s->v[i].parent == section && strcmp(s->v[i].name, name) == 0 &&
		    nth-- == 0)
			return s->v[i].line;
	return 0;
}
