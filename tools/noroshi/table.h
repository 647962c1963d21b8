/*
 * Tables for people (straight with double-width text, escaped, coloured by
 * TLP on terminals) and as CSV (quoted, no cell that a spreadsheet would run).
 */
#ifndef NOROSHI_TABLE_H
#define NOROSHI_TABLE_H

#include "tools/noroshi/cli.h"

#define TABLE_COLS_MAX 16

struct table;

/* Titles, ended by NULL; one that begins with '>' is aligned to the right. */
struct table *table_new(const char *const *titles);
void table_free(struct table *t); /* accepts NULL */
/* The next cell; NULL is an empty one. Rows fill from left to right. */
void table_text(struct table *t, const char *s);
void table_fmt(struct table *t, const char *fmt, ...) NRS_PRINTF(2, 3);
/* A TLP marking, coloured. */
void table_tlp(struct table *t, const char *name);
/* A state: the words that mean trouble are coloured. */
void table_state(struct table *t, const char *word, bool good);
/* In the form of c: human or CSV. */
void table_print(const struct table *t, const struct cli *c, FILE *f);

/* Colour for a TLP name, or "" (also when none is wanted); table_plain ends it. */
const char *tlp_color(const struct cli *c, const char *name);
const char *plain_color(const struct cli *c);

#endif
