/*
 * The table of options: one row each, and what is done with any row.  The
 * parser, the checks, the canonical print, reload and the manual page read it.
 */
#ifndef DAEMON_CONF_TABLE_H
#define DAEMON_CONF_TABLE_H

#include "daemon/conf.h"

enum conf_section {
	CS_NODE,
	CS_LIMITS,
	CS_LISTEN,
	CS_STREAM,
	CS_PEER,
	CS_SUBSCRIBER,
	CS__MAX
};

enum conf_type {
	CT_STR,
	CT_PATH,
	CT_UINT,
	CT_SIZE, /* bytes; K, M or G may follow */
	CT_BOOL,
	CT_TLP,
	CT_LEVEL,
	CT_MODE, /* octal */
	CT_CATCH_UP,
	CT_LIST,
};

#define CF_RELOAD   0x01 /* takes effect without a restart */
#define CF_REQUIRED 0x02
#define CF_TARGET   0x04 /* CT_PATH, but "stderr" and "syslog" are themselves */

struct conf_row {
	enum conf_section sec;
	const char *key;
	enum conf_type type;
	size_t off;  /* in the section's struct */
	size_t size; /* of the integer there */
	uint64_t lo, hi;
	const char *def;
	unsigned int flags;
	const char *help;
};

struct conf_section_def {
	const char *name;
	const char *title; /* what the title is; NULL: the section has none */
	const char *help;
};

extern const struct conf_row conf_rows[];
extern const unsigned int conf_nrows;
extern const struct conf_section_def conf_sections[CS__MAX];

/* Number of the row within its section; the index into lines[]. */
unsigned int conf_row_index(const struct conf_row *row);
/* NULL: no such key there. */
const struct conf_row *conf_row_find(enum conf_section sec, const char *key);

/* The line of an option that was given, or that of its section. */
unsigned int conf_line_of(enum conf_section sec, const char *key,
    const struct conf_where *where, const unsigned int *lines);

/*
 * Puts a value, as text, where the row says; dir is what relative paths are
 * relative to.  NRS_ESYNTAX or NRS_ERANGE: why (of at least 160 bytes) says what
 * is allowed.
 */
int conf_row_set(const struct conf_row *row, void *base, const char *value, const char *dir,
    char *why, size_t why_len) NRS_MUST_CHECK;
/* The value as it is written in a file, quoted. */
void conf_row_format(const struct conf_row *row, const void *base, struct nrs_buf *b);
bool conf_row_equal(const struct conf_row *row, const void *x, const void *y);

void conf_quote(struct nrs_buf *b, const char *s);
int conf_strs_add(struct conf_strs *l, const char *s) NRS_MUST_CHECK;
void conf_strs_fini(struct conf_strs *l);
/* "" and absolute paths as they are. NULL: no memory. */
char *conf_path_join(const char *dir, const char *path);

/* A line of complaint. line 0: the file as a whole. */
void conf_error(struct conf_err *e, const char *file, unsigned int line, const char *fmt,
    ...) NRS_PRINTF(4, 5);
void conf_warn(struct conf_err *e, const char *file, unsigned int line, const char *fmt,
    ...) NRS_PRINTF(4, 5);

/* conf_parse.c: fills the plain values of c from the main file and its includes. */
int conf_parse_files(struct conf *c, struct conf_err *e) NRS_MUST_CHECK;
/* conf_check.c: what one row cannot say alone; loads manifests, resolves names. */
int conf_check_whole(struct conf *c, struct conf_err *e) NRS_MUST_CHECK;
/* Is this file one that an include of the configuration reads? */
bool conf_includes_file(const struct conf *c, const char *path);

/* File names that the struct conf owns. */
struct conf_priv {
	struct conf_strs files;
	unsigned int nnode, nlimits; /* stanzas seen */
};
/* conf_lines.c: where things stand in a file. */
struct conf_stmt {
	char name[40]; /* longer ones are cut */
	unsigned int line;
	int parent; /* number of the section, -1 at the top */
};
struct conf_stmts {
	struct conf_stmt *v;
	unsigned int n;
	int open; /* number of the section that never ends, or -1 */
};
int conf_stmts_scan(struct conf_stmts *ret, const char *text, size_t len) NRS_MUST_CHECK;
void conf_stmts_fini(struct conf_stmts *s);
/* In place; lines stay where they are. */
void conf_comments_blank(char *text, size_t len);
/* Number of the nth (from 0) section of that name, or -1. */
int conf_stmts_section(const struct conf_stmts *s, const char *name, unsigned int nth);
/* Line of the nth option of that name in the section, or 0. */
unsigned int conf_stmts_option(
    const struct conf_stmts *s, int section, const char *name, unsigned int nth);

#endif
