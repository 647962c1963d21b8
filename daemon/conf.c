/*
 * The life of a configuration: load, compare, print, look up.
 */
#include "daemon/conf.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/conf_table.h"

static int
conf_new(const char *path, struct conf **ret)
{
	struct conf *c = calloc(1, sizeof(*c));
	char why[160], *slash;
	int rc = 0;

	if (c == NULL)
		return NRS_ENOMEM;
	/* Defaults of limits hold without a stanza too; those of node follow its own. */
	for (unsigned int i = 0; rc == 0 && i < conf_nrows; i++)
		if (conf_rows[i].sec == CS_LIMITS && conf_rows[i].type != CT_LIST)
			rc = conf_row_set(
			    &conf_rows[i], c, conf_rows[i].def, "", why, sizeof(why));
	c->priv = calloc(1, sizeof(*c->priv));
	if ((c->path = realpath(path, NULL)) == NULL)
		c->path = strdup(path);
	if (rc == 0 && c->path != NULL)
		c->dir = strdup(c->path);
	if (c->priv == NULL || c->dir == NULL) {
		conf_free(c);
		return NRS_ENOMEM;
	}
	if ((slash = strrchr(c->dir, '/')) != NULL)
		*slash = '\0';
	else
		strcpy(c->dir, ".");
	*ret = c;
	return 0;
}

int
conf_load(const char *path, struct conf **ret, struct conf_err *e)
{
	struct conf *c = NULL;
	int rc;

	memset(e, 0, sizeof(*e));
	*ret = NULL;
	if (path[0] == '\0')
		path = "/";
	if ((rc = conf_new(path, &c)) != 0 || (rc = conf_parse_files(c, e)) != 0)
		goto out;
	/* A file that was not read leaves holes: what it lacks is not an error of its own. */
	if (e->n == 0)
		rc = conf_check_whole(c, e);
	if (rc == 0 && e->n > 0)
		rc = NRS_ESYNTAX;
	if (rc != 0)
		goto out;
	*ret = c;
	c = NULL;
out:
	conf_free(c);
	return rc;
}

static void
peer_fini(struct conf_peer *p)
{
	free(p->origin);
	free(p->manifest_path);
	free(p->manifest);
	conf_strs_fini(&p->communities);
	conf_strs_fini(&p->addresses);
	conf_strs_fini(&p->own_addresses);
	free(p->bind);
	free(p->proxy);
}

static void
subscriber_fini(struct conf_subscriber *s)
{
	free(s->name);
	free(s->socket);
	free(s->certificate);
	conf_strs_fini(&s->communities);
	free(s->group_name);
}

static void
ids_fini(struct conf_ids *i)
{
	free(i->uids);
	free(i->gids);
}

void
conf_free(struct conf *c)
{
	if (c == NULL)
		return;
	for (unsigned int i = 0; i < c->nlistens; i++)
		free(c->listens[i].address);
	for (unsigned int i = 0; i < c->nstreams; i++)
		free(c->streams[i].address);
	for (unsigned int i = 0; i < c->npeers; i++)
		peer_fini(&c->peers[i]);
	for (unsigned int i = 0; i < c->nsubscribers; i++)
		subscriber_fini(&c->subscribers[i]);
	free(c->listens);
	free(c->streams);
	free(c->peers);
	free(c->subscribers);
	ids_fini(&c->operator_ids);
	ids_fini(&c->submitter_ids);
	ids_fini(&c->reader_ids);
	conf_strs_fini(&c->operators);
	conf_strs_fini(&c->submitters);
	conf_strs_fini(&c->readers);
	conf_strs_fini(&c->includes);
	free(c->origin);
	free(c->manifest_path);
	free(c->manifest);
	free(c->data);
	free(c->keys);
	free(c->control);
	free(c->user);
	free(c->log);
	free(c->path);
	free(c->dir);
	if (c->priv != NULL)
		conf_strs_fini(&c->priv->files);
	free(c->priv);
	free(c);
}

int
conf_reloadable(const struct conf *c, const struct conf *next, struct conf_err *e)
{
	unsigned int before = e->n;

	for (unsigned int i = 0; i < conf_nrows; i++) {
		const struct conf_row *r = &conf_rows[i];
		bool node = r->sec == CS_NODE;
		const struct conf_where *w = node ? &next->node_where : &next->limits_where;

		if (r->sec > CS_LIMITS || (r->flags & CF_RELOAD) != 0 ||
		    conf_row_equal(r, c, next))
			continue;
		conf_error(e, w->file != NULL ? w->file : next->path,
		    conf_line_of(
			r->sec, r->key, w, node ? next->node_lines : next->limits_lines),
		    "\"%s\" cannot be changed by a reload; restart noroshid, or take it back",
		    r->key);
	}
	if (c->manifest_len != next->manifest_len ||
	    memcmp(c->manifest, next->manifest, c->manifest_len) != 0)
		conf_error(e, next->manifest_path, 0,
		    "the manifest of this node cannot be changed by a reload; restart noroshid");
	return e->n != before ? NRS_EPERM : 0;
}

/* --- print --------------------------------------------------------------------- */

static void
print_section(enum conf_section sec, const char *title, const void *base, struct nrs_buf *b)
{
	nrs_buf_str(b, conf_sections[sec].name);
	nrs_buf_u8(b, ' ');
	if (title != NULL) {
		conf_quote(b, title);
		nrs_buf_u8(b, ' ');
	}
	nrs_buf_str(b, "{\n");
	for (unsigned int i = 0; i < conf_nrows; i++) {
		if (conf_rows[i].sec != sec)
			continue;
		nrs_buf_fmt(b, "\t%s = ", conf_rows[i].key);
		conf_row_format(&conf_rows[i], base, b);
		nrs_buf_u8(b, '\n');
	}
	nrs_buf_str(b, "}\n");
}

int
conf_print(const struct conf *c, struct nrs_buf *b)
{
	print_section(CS_NODE, NULL, c, b);
	print_section(CS_LIMITS, NULL, c, b);
	for (unsigned int i = 0; i < c->nlistens; i++)
		print_section(CS_LISTEN, c->listens[i].address, &c->listens[i], b);
	for (unsigned int i = 0; i < c->nstreams; i++)
		print_section(CS_STREAM, c->streams[i].address, &c->streams[i], b);
	for (unsigned int i = 0; i < c->npeers; i++)
		print_section(CS_PEER, c->peers[i].origin, &c->peers[i], b);
	for (unsigned int i = 0; i < c->nsubscribers; i++)
		print_section(CS_SUBSCRIBER, c->subscribers[i].name, &c->subscribers[i], b);
	return b->err;
}

static const char *const type_names[] = {
	[CT_STR] = "text",
	[CT_PATH] = "path",
	[CT_UINT] = "number",
	[CT_SIZE] = "bytes",
	[CT_BOOL] = "yes or no",
	[CT_TLP] = "marking",
	[CT_LEVEL] = "level",
	[CT_MODE] = "octal",
	[CT_CATCH_UP] = "text",
	[CT_LIST] = "list",
};

/* A hyphen of an option is typed as it stands; man would make a dash of it. */
static void
man_text(struct nrs_buf *b, const char *s)
{
	for (; *s != '\0'; s++) {
		if (*s == '\\')
			nrs_buf_str(b, "\\e");
		else if (*s == '-')
			nrs_buf_str(b, "\\-");
		else
			nrs_buf_u8(b, (uint8_t)*s);
	}
}

static void
man_row(struct nrs_buf *b, const struct conf_row *r)
{
	nrs_buf_str(b, ".TP\n.B ");
	man_text(b, r->key);
	nrs_buf_u8(b, '\n');
	man_text(b, r->help);
	nrs_buf_fmt(b, ".\n.br\n%s", type_names[r->type]);
	if (r->type == CT_UINT || r->type == CT_SIZE)
		nrs_buf_fmt(b, " %llu to %llu", (unsigned long long)r->lo,
		    (unsigned long long)r->hi);
	if ((r->flags & CF_REQUIRED) != 0) {
		nrs_buf_str(b, "; required");
	} else if (r->type != CT_LIST && r->def[0] != '\0') {
		nrs_buf_str(b, "; default ");
		man_text(b, r->def);
	}
	nrs_buf_str(
	    b, (r->flags & CF_RELOAD) != 0 ? "\n" : "; changed by a restart only\n");
}

int
conf_print_man(struct nrs_buf *b)
{
	for (unsigned int s = 0; s < CS__MAX; s++) {
		nrs_buf_fmt(b, ".SS %s", conf_sections[s].name);
		if (conf_sections[s].title != NULL)
			nrs_buf_fmt(b, " %s", conf_sections[s].title);
		nrs_buf_str(b, " { ... }\n");
		man_text(b, conf_sections[s].help);
		nrs_buf_u8(b, '\n');
		for (unsigned int i = 0; i < conf_nrows; i++)
			if (conf_rows[i].sec == s)
				man_row(b, &conf_rows[i]);
	}
	return b->err;
}

/* --- look up ----------------------------------------------------------------- */

const struct conf_peer *
conf_peer_find(const struct conf *c, const char *origin)
{
	for (unsigned int i = 0; i < c->npeers; i++)
		if (strcmp(c->peers[i].origin, origin) == 0)
			return &c->peers[i];
	return NULL;
}

const struct conf_subscriber *
conf_subscriber_find(const struct conf *c, const char *name)
{
	for (unsigned int i = 0; i < c->nsubscribers; i++)
		if (strcmp(c->subscribers[i].name, name) == 0)
			return &c->subscribers[i];
	return NULL;
}

bool
conf_includes_file(const struct conf *c, const char *path)
{
	for (unsigned int i = 0; i < c->includes.n; i++)
		if (fnmatch(c->includes.v[i], path, FNM_PATHNAME | FNM_PERIOD) == 0)
			return true;
	return false;
}

static bool
ids_hold(const struct conf_ids *ids, uid_t uid, const gid_t *groups, unsigned int ngroups)
{
	for (unsigned int i = 0; i < ids->nuids; i++)
		if (ids->uids[i] == uid)
			return true;
	for (unsigned int i = 0; i < ids->ngids; i++)
		for (unsigned int k = 0; k < ngroups; k++)
			if (ids->gids[i] == groups[k])
				return true;
	return false;
}

enum conf_role
conf_role_of(const struct conf *c, uid_t uid, const gid_t *groups, unsigned int ngroups)
{
	if (uid == 0 || uid == geteuid() ||
	    ids_hold(&c->operator_ids, uid, groups, ngroups))
		return CONF_ROLE_OPERATOR;
	if (ids_hold(&c->submitter_ids, uid, groups, ngroups))
		return CONF_ROLE_SUBMITTER;
	if (ids_hold(&c->reader_ids, uid, groups, ngroups))
		return CONF_ROLE_READER;
	return CONF_ROLE_NONE;
}

const char *
conf_role_name(enum conf_role r)
{
	static const char *const names[] = { "none", "reader", "submitter", "operator" };

	return (unsigned int)r < 4 ? names[r] : "none";
}
