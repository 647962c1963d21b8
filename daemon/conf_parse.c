/*
 * From files to plain values: libConfuse reads each file by the arrays made of
 * the table, and what it read is taken over row by row.  Every option is text
 * to libConfuse, so that one place says what is wrong with a value.
 *
 * Included files are read one after another, in the order of their names, and
 * may not include others: a stanza stands where its file says, and nowhere else.
 */
#include <sys/stat.h>

#include <confuse.h>
#include <errno.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "daemon/conf_table.h"

#define FILE_MAX  (4u << 20)
#define ITEMS_MAX 10000 /* stanzas of one kind */

/* One file while it is read. */
struct parse {
	struct conf *c;
	struct conf_err *e;
	const char *file; /* owned by the struct conf */
	const char *dir;
	struct conf_stmts stmts;
	bool included;
	bool failed; /* something was said */
};

/*
 * libConfuse's callbacks have no argument of ours, and its scanner is global
 * anyway: one file at a time, on one thread.
 */
static _Thread_local struct parse *current;

/* --- complaints of libConfuse ---------------------------------------------- */

static void
nearest(const char *word, const char *candidate, unsigned int *best, const char **ret)
{
	unsigned int d = nrs_text_distance(word, candidate);

	if (d < *best) {
		*best = d;
		*ret = candidate;
	}
}

static void
suggest(struct parse *p, unsigned int line, int sec, const char *word)
{
	unsigned int best = strlen(word) / 3 + 2;
	const char *name = NULL, *home = NULL;

	for (unsigned int i = 0; i < conf_nrows; i++) {
		if ((int)conf_rows[i].sec == sec)
			nearest(word, conf_rows[i].key, &best, &name);
		else if (strcmp(conf_rows[i].key, word) == 0)
			home = conf_sections[conf_rows[i].sec].name;
	}
	for (unsigned int i = 0; sec < 0 && i < CS__MAX; i++)
		nearest(word, conf_sections[i].name, &best, &name);
	if (sec < 0)
		nearest(word, "include", &best, &name);
	if (name != NULL)
		conf_error(p->e, p->file, line, "unknown %s \"%s\"; did you mean \"%s\"?",
		    sec < 0 ? "stanza" : "option", word, name);
	else if (home != NULL)
		conf_error(p->e, p->file, line,
		    "unknown %s \"%s\"; it belongs into a %s stanza",
		    sec < 0 ? "stanza" : "option", word, home);
	else if (sec < 0)
		conf_error(p->e, p->file, line,
		    "unknown stanza \"%s\"; there are node, limits, listen, stream, peer, "
		    "subscriber and include",
		    word);
	else
		conf_error(p->e, p->file, line,
		    "unknown option \"%s\" of %s; noroshi.conf(5) lists them all", word,
		    conf_sections[sec].name);
}

static void on_error(cfg_t *cfg, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

static void
on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	static const char unknown[] = "no such option '";
	static const char twice[] = "found duplicate title '";
	struct parse *p = current;
	char text[300];
	size_t n;
	int sec = -1;

	if (p == NULL)
		return;
	p->failed = true;
	vsnprintf(text, sizeof(text), fmt, ap);
	for (unsigned int i = 0; i < CS__MAX; i++)
		if (cfg->name != NULL && strcmp(cfg->name, conf_sections[i].name) == 0)
			sec = (int)i;
	n = strlen(text);
	if (strncmp(text, unknown, sizeof(unknown) - 1) == 0 && text[n - 1] == '\'') {
		text[n - 1] = '\0';
		suggest(p, (unsigned int)cfg->line, sec, text + sizeof(unknown) - 1);
		return;
	}
	if (strncmp(text, twice, sizeof(twice) - 1) == 0)
		conf_error(p->e, p->file, (unsigned int)cfg->line,
		    "a second stanza of this name: %s; keep one", text + sizeof(twice) - 2);
	else
		conf_error(p->e, p->file, (unsigned int)cfg->line, "%s%s", text,
		    strcmp(text, "premature end of file") == 0
			? "; a quote or a brace is missing before"
			: "");
}

static int
on_include(cfg_t *cfg, cfg_opt_t *opt, int argc, const char **argv)
{
	struct parse *p = current;
	char *path;
	int rc;

	if (p->included || argc != 1) {
		conf_error(p->e, p->file, (unsigned int)cfg->line,
		    argc != 1
			? "include takes one pattern: include(\"conf.d/*.conf\")"
			: "an included file cannot include others; do it in the main file");
		p->failed = true;
		return -1;
	}
	if ((path = conf_path_join(p->dir, argv[0])) == NULL)
		return -1;
	rc = conf_strs_add(&p->c->includes, path);
	free(path);
	return rc != 0 ? -1 : 0;
}

/* --- the arrays for libConfuse ---------------------------------------------- */

#define OPTS_MAX (CONF_KEYS_MAX + 1)

static void
make_opts(cfg_opt_t opts[CS__MAX][OPTS_MAX], cfg_opt_t top[CS__MAX + 2])
{
	static const cfg_opt_t end = CFG_END();
	static const cfg_opt_t include = CFG_FUNC("include", on_include);
	unsigned int n[CS__MAX] = { 0 };

	for (unsigned int i = 0; i < conf_nrows; i++) {
		const struct conf_row *r = &conf_rows[i];
		int flags = CFGF_NODEFAULT | (r->type == CT_LIST ? CFGF_LIST : 0);
		cfg_opt_t o = CFG_STR(r->key, NULL, flags);

		opts[r->sec][n[r->sec]++] = o;
	}
	for (unsigned int s = 0; s < CS__MAX; s++) {
		int flags = CFGF_MULTI;
		cfg_opt_t o = CFG_SEC(conf_sections[s].name, opts[s], flags);

		if (conf_sections[s].title != NULL)
			o.flags |= CFGF_TITLE | CFGF_NO_TITLE_DUPES;
		opts[s][n[s]] = end;
		top[s] = o;
	}
	top[CS__MAX] = include;
	top[CS__MAX + 1] = end;
}

/* --- taking over -------------------------------------------------------------- */

static void
set_value(struct parse *p, const struct conf_row *row, void *base, unsigned int line,
    const char *value)
{
	char why[160];
	int rc = conf_row_set(row, base, value, p->dir, why, sizeof(why));

	if (rc != 0)
		conf_error(p->e, p->file, line, "%s = \"%s\": %s", row->key, value,
		    rc == NRS_ENOMEM ? nrs_strerror(rc) : why);
}

static void
take_row(struct parse *p, const struct conf_row *row, cfg_t *sec, int stmt,
    struct conf_where where, void *base, unsigned int *lines)
{
	unsigned int n = cfg_size(sec, row->key);
	unsigned int line = conf_stmts_option(&p->stmts, stmt, row->key, 0);
	unsigned int again = conf_stmts_option(&p->stmts, stmt, row->key, 1);

	lines[conf_row_index(row)] = line;
	if (again != 0)
		conf_error(p->e, p->file, again,
		    "option \"%s\" is given twice, first in line %u; keep one", row->key,
		    line);
	if (line == 0)
		line = where.line;
	if (n == 0 && row->type != CT_LIST)
		set_value(p, row, base, line, row->def);
	for (unsigned int i = 0; i < n; i++)
		set_value(p, row, base, line, cfg_getnstr(sec, row->key, i));
	if (n == 0 && (row->flags & CF_REQUIRED) != 0)
		conf_error(p->e, p->file, where.line, "%s needs the option \"%s\": %s",
		    conf_sections[row->sec].name, row->key, row->help);
}

/* Grows an array by one zeroed element; NULL: no memory, or too many. */
static void *
grow(void *array, unsigned int *n, size_t size)
{
	uint8_t **v = array, *p;

	if (*n >= ITEMS_MAX || (p = realloc(*v, (*n + 1) * size)) == NULL)
		return NULL;
	*v = p;
	memset(p + *n * size, 0, size);
	return p + (*n)++ * size;
}

struct target {
	void *base;
	char **title;
	struct conf_where *where;
	unsigned int *lines;
};

static int
new_target(struct conf *c, enum conf_section sec, struct target *t)
{
	struct conf_listen *l;
	struct conf_peer *p;
	struct conf_subscriber *s;

	memset(t, 0, sizeof(*t));
	switch (sec) {
	case CS_NODE:
		c->priv->nnode++;
		*t = (struct target){ c, NULL, &c->node_where, c->node_lines };
		break;
	case CS_LIMITS:
		c->priv->nlimits++;
		*t = (struct target){ c, NULL, &c->limits_where, c->limits_lines };
		break;
	case CS_LISTEN:
		if ((l = grow(&c->listens, &c->nlistens, sizeof(*l))) != NULL)
			*t = (struct target){ l, &l->address, &l->where, l->lines };
		break;
	case CS_STREAM:
		if ((l = grow(&c->streams, &c->nstreams, sizeof(*l))) != NULL)
			*t = (struct target){ l, &l->address, &l->where, l->lines };
		break;
	case CS_PEER:
		if ((p = grow(&c->peers, &c->npeers, sizeof(*p))) != NULL)
			*t = (struct target){ p, &p->origin, &p->where, p->lines };
		break;
	case CS_SUBSCRIBER:
		if ((s = grow(&c->subscribers, &c->nsubscribers, sizeof(*s))) != NULL)
			*t = (struct target){ s, &s->name, &s->where, s->lines };
		break;
	case CS__MAX:
		break;
	}
	return t->base != NULL ? 0 : NRS_ENOMEM;
}

static int
take_section(struct parse *p, enum conf_section sec, cfg_t *from, unsigned int nth)
{
	const char *name = conf_sections[sec].name, *title = cfg_title(from);
	int stmt = conf_stmts_section(&p->stmts, name, nth);
	struct conf_where where = { p->file, stmt >= 0 ? p->stmts.v[stmt].line : 0 };
	unsigned int before = sec == CS_NODE ? p->c->priv->nnode
	    : sec == CS_LIMITS		     ? p->c->priv->nlimits
					     : 0;
	struct target t;
	int rc;

	if (before > 0) {
		const struct conf_where *w =
		    sec == CS_NODE ? &p->c->node_where : &p->c->limits_where;

		conf_error(p->e, p->file, where.line,
		    "a second %s stanza, the first is at %s:%u; keep one", name, w->file,
		    w->line);
		return 0;
	}
	if ((rc = new_target(p->c, sec, &t)) != 0)
		return rc;
	*t.where = where;
	if (t.title != NULL && (*t.title = strdup(title != NULL ? title : "")) == NULL)
		return NRS_ENOMEM;
	for (unsigned int i = 0; i < conf_nrows; i++)
		if (conf_rows[i].sec == sec)
			take_row(p, &conf_rows[i], from, stmt, where, t.base, t.lines);
	return 0;
}

static int
take_file(struct parse *p, cfg_t *cfg)
{
	int rc = 0;

	for (unsigned int s = 0; rc == 0 && s < CS__MAX; s++) {
		unsigned int n = cfg_size(cfg, conf_sections[s].name);

		for (unsigned int i = 0; rc == 0 && i < n; i++)
			rc = take_section(p, (enum conf_section)s,
			    cfg_getnsec(cfg, conf_sections[s].name, i), i);
	}
	return rc;
}

/* --- files ---------------------------------------------------------------------- */

/* The whole text with a NUL, or NULL after a complaint. */
static char *
read_text(struct parse *p, size_t *ret_len)
{
	FILE *fp = fopen(p->file, "re");
	struct stat st;
	char *text = NULL;
	size_t n;

	if (fp == NULL) {
		conf_error(p->e, p->file, 0, "%s", strerror(errno));
		return NULL;
	}
	if (fstat(fileno(fp), &st) == 0 && S_ISREG(st.st_mode) &&
	    (st.st_mode & S_IWOTH) != 0)
		conf_error(p->e, p->file, 0, "everybody may write it; chmod o-w it");
	if ((text = malloc(FILE_MAX + 1)) == NULL) {
		fclose(fp);
		conf_error(p->e, p->file, 0, "%s", nrs_strerror(NRS_ENOMEM));
		return NULL;
	}
	n = fread(text, 1, FILE_MAX + 1, fp);
	if (ferror(fp))
		conf_error(p->e, p->file, 0, "%s", strerror(errno));
	else if (n > FILE_MAX)
		conf_error(p->e, p->file, 0, "larger than 4 MiB: not a configuration");
	else if (memchr(text, '\0', n) != NULL)
		conf_error(p->e, p->file, 0, "holds NUL bytes: not a configuration");
	else {
		text[n] = '\0';
		*ret_len = n;
		fclose(fp);
		return text;
	}
	fclose(fp);
	free(text);
	return NULL;
}

static int
parse_text(struct parse *p, char *text, size_t len)
{
	cfg_opt_t opts[CS__MAX][OPTS_MAX], top[CS__MAX + 2];
	cfg_t *cfg;
	FILE *fp;
	int rc = 0;

	if (len == 0)
		return 0;
	make_opts(opts, top);
	if ((cfg = cfg_init(top, CFGF_NONE)) == NULL)
		return NRS_ENOMEM;
	cfg_set_error_function(cfg, on_error);
	cfg->filename = strdup(p->file);
	fp = fmemopen(text, len, "r");
	if (cfg->filename == NULL || fp == NULL) {
		rc = NRS_ENOMEM;
		goto out;
	}
	current = p;
	if (cfg_parse_fp(cfg, fp) != CFG_SUCCESS) {
		if (!p->failed)
			conf_error(p->e, p->file, (unsigned int)cfg->line, "syntax error");
	} else if (p->stmts.open >= 0) {
		/* libConfuse takes the end of a file for the end of everything. */
		conf_error(p->e, p->file, p->stmts.v[p->stmts.open].line,
		    "the stanza \"%s\" is not closed; a } is missing",
		    p->stmts.v[p->stmts.open].name);
	} else {
		rc = take_file(p, cfg);
	}
	current = NULL;
out:
	if (fp != NULL)
		fclose(fp);
	cfg_free(cfg);
	return rc;
}

static int
parse_file(struct conf *c, const char *path, bool included, struct conf_err *e)
{
	struct parse p = { .c = c, .e = e, .included = included };
	char *text, *dir, *slash;
	size_t len = 0;
	int rc;

	if (conf_strs_add(&c->priv->files, path) != 0 || (dir = strdup(path)) == NULL)
		return NRS_ENOMEM;
	if ((slash = strrchr(dir, '/')) != NULL)
		*slash = '\0';
	p.file = c->priv->files.v[c->priv->files.n - 1];
	p.dir = dir;
	if ((text = read_text(&p, &len)) == NULL) {
		free(dir);
		return 0; /* said */
	}
	rc = conf_stmts_scan(&p.stmts, text, len);
	conf_comments_blank(text, len);
	if (rc == 0)
		rc = parse_text(&p, text, len);
	conf_stmts_fini(&p.stmts);
	free(text);
	free(dir);
	return rc;
}

/* A pattern that nothing fits is fine: conf.d/ fills later.  A name is not. */
static int
parse_include(struct conf *c, const char *pattern, struct conf_err *e)
{
	glob_t g;
	int rc = 0;

	switch (glob(pattern, 0, NULL, &g)) {
	case 0:
		for (size_t i = 0; rc == 0 && i < g.gl_pathc; i++)
			rc = parse_file(c, g.gl_pathv[i], true, e);
		globfree(&g);
		return rc;
	case GLOB_NOMATCH:
		return strpbrk(pattern, "*?[") != NULL ? 0
						       : parse_file(c, pattern, true, e);
	case GLOB_NOSPACE:
		return NRS_ENOMEM;
	default:
		conf_error(e, pattern, 0, "cannot be read: %s", strerror(errno));
		return 0;
	}
}

int
conf_parse_files(struct conf *c, struct conf_err *e)
{
	int rc = parse_file(c, c->path, false, e);

	for (unsigned int i = 0; rc == 0 && i < c->includes.n; i++)
		rc = parse_include(c, c->includes.v[i], e);
	return rc;
}
