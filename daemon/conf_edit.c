/*
 * What the commands on peers and subscribers change in the configuration: one
 * file for each in conf.d/, and its manifest in peers/ or its certificate in
 * subscribers/.  What people wrote by hand stays theirs.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "daemon/conf_table.h"

#define STANZA_MAX (1u << 20)

static int
io_fail(struct nrs_detail *d, const char *path)
{
	int code = errno == ENOSPC || errno == EDQUOT		  ? NRS_EFULL
	    : errno == EACCES || errno == EPERM || errno == EROFS ? NRS_EPERM
								  : NRS_EIO;

	return nrs_fail(d, code, 0, "%s: %s", path, strerror(errno));
}

static int
write_all(int fd, const uint8_t *p, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* The directory, made if it is not there. */
static int
open_dir(const char *path, bool make, struct nrs_detail *d)
{
	int fd;

	if (make && mkdir(path, 0750) != 0 && errno != EEXIST)
		return io_fail(d, path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 ? fd : io_fail(d, path);
}

/* Old or new, whole and durable, whenever the power goes. */
static int
replace_file(
    const char *dir, const char *name, const uint8_t *p, size_t len, struct nrs_detail *d)
{
	char tmp[NRS_ORIGIN_MAX + 32];
	int dirfd, fd, rc = 0;

	if ((dirfd = open_dir(dir, true, d)) < 0)
		return dirfd;
	snprintf(tmp, sizeof(tmp), ".%s.new", name);
	fd =
	    openat(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd < 0 || write_all(fd, p, len) != 0 || fsync(fd) != 0 ||
	    renameat(dirfd, tmp, dirfd, name) != 0 || fsync(dirfd) != 0) {
		rc = io_fail(d, dir);
		(void)unlinkat(dirfd, tmp, 0);
	}
	if (fd >= 0)
		close(fd);
	close(dirfd);
	return rc;
}

static int
remove_file(const char *dir, const char *name, struct nrs_detail *d)
{
	int dirfd = open_dir(dir, false, d), rc = 0;

	if (dirfd < 0)
		return dirfd;
	if ((unlinkat(dirfd, name, 0) != 0 && errno != ENOENT) || fsync(dirfd) != 0)
		rc = io_fail(d, dir);
	close(dirfd);
	return rc;
}

struct names {
	char *conf_dir, *peers_dir; /* owned */
	char *stanza_path;
	char stanza[NRS_ORIGIN_MAX + 16];
	char manifest[NRS_ORIGIN_MAX + 16];
};

static void
names_fini(struct names *n)
{
	free(n->conf_dir);
	free(n->peers_dir);
	free(n->stanza_path);
}

static int
names_init(struct names *n, const struct conf *c, const char *origin)
{
	memset(n, 0, sizeof(*n));
	snprintf(n->stanza, sizeof(n->stanza), "peer-%s.conf", origin);
	snprintf(n->manifest, sizeof(n->manifest), "%s.manifest", origin);
	n->conf_dir = conf_path_join(c->dir, "conf.d");
	n->peers_dir = conf_path_join(c->dir, "peers");
	if (n->conf_dir != NULL)
		n->stanza_path = conf_path_join(n->conf_dir, n->stanza);
	if (n->conf_dir != NULL && n->peers_dir != NULL && n->stanza_path != NULL)
		return 0;
	names_fini(n);
	return NRS_ENOMEM;
}

/* Only a file of ours, and one that is read. */
static int
may_edit(const struct conf *c, const struct names *n, const struct conf_peer *p,
    struct nrs_detail *d)
{
	if (p != NULL && strcmp(p->where.file, n->stanza_path) != 0)
		return nrs_fail(d, NRS_EPERM, p->where.line,
		    "peer %s was written by hand: edit %s:%u and reload", p->origin,
		    p->where.file, p->where.line);
	if (!conf_includes_file(c, n->stanza_path))
		return nrs_fail(d, NRS_EPERM, 0,
		    "%s reads no conf.d: add include(\"conf.d/*.conf\")", c->path);
	return 0;
}

/* Only what differs from the defaults. */
static int
put_stanza(struct nrs_buf *b, const struct conf_peer *p)
{
	struct conf_peer def = { 0 };
	char why[160];
	int rc = 0;

	nrs_buf_str(b, "# Written by noroshi peer; changed by it as well.\npeer ");
	conf_quote(b, p->origin);
	nrs_buf_str(b, " {\n");
	for (unsigned int i = 0; rc == 0 && i < conf_nrows; i++) {
		const struct conf_row *r = &conf_rows[i];

		if (r->sec != CS_PEER)
			continue;
		if (r->type != CT_LIST)
			rc = conf_row_set(r, &def, r->def, "", why, sizeof(why));
		if (rc != 0 || conf_row_equal(r, p, &def))
			continue;
		nrs_buf_fmt(b, "\t%s = ", r->key);
		conf_row_format(r, p, b);
		nrs_buf_u8(b, '\n');
	}
	nrs_buf_str(b, "}\n");
	free(def.manifest_path);
	free(def.bind);
	free(def.proxy);
	return rc != 0 ? rc : b->err;
}

static int
save_stanza(const struct names *n, const struct conf_peer *p, struct nrs_detail *d)
{
	struct nrs_buf b;
	int rc;

	nrs_buf_init(&b, STANZA_MAX);
	if ((rc = put_stanza(&b, p)) == 0)
		rc = replace_file(n->conf_dir, n->stanza, b.p, b.len, d);
	nrs_buf_fini(&b);
	return rc;
}

/* The stanza as it stands, or as it would with no option given; views only. */
static struct conf_peer
stanza_of(const struct conf *c, const struct conf_peer *p, const char *origin)
{
	struct conf_peer s = { 0 };
	static char none[] = "";
	char name[NRS_ORIGIN_MAX + 32], why[160];
	size_t dir = strlen(c->dir);

	if (p != NULL) {
		s = *p;
		/* The usual place goes without saying, so that the tree can be moved. */
		snprintf(name, sizeof(name), "/peers/%s.manifest", origin);
		if (strncmp(s.manifest_path, c->dir, dir) == 0 &&
		    strcmp(s.manifest_path + dir, name) == 0)
			s.manifest_path = none;
		return s;
	}
	s.origin = (char *)(uintptr_t)origin;
	s.manifest_path = none;
	s.bind = none;
	s.proxy = none;
	/* A default that stands in the file would be a choice of the operator's. */
	for (unsigned int i = 0; i < conf_nrows; i++) {
		const struct conf_row *r = &conf_rows[i];

		if (r->sec == CS_PEER && r->type != CT_STR && r->type != CT_PATH &&
		    r->type != CT_LIST)
			(void)!conf_row_set(r, &s, r->def, "", why, sizeof(why));
	}
	return s;
}

int
conf_peer_write(const struct conf *c, const struct conf_peer_edit *e, struct nrs_detail *d)
{
	const struct conf_peer *p = conf_peer_find(c, e->origin);
	struct conf_peer s = stanza_of(c, p, e->origin);
	static char none[] = "";
	struct names n;
	int rc;

	if (!nrs_origin_ok(e->origin, strlen(e->origin)))
		return nrs_fail(d, NRS_ESYNTAX, 0, "not the name of an origin");
	if ((rc = names_init(&n, c, e->origin)) != 0)
		return rc;
	s.manifest_path = none;
	s.communities.v = (char **)(uintptr_t)e->communities;
	s.communities.n = e->ncommunities;
	s.own_addresses.v = (char **)(uintptr_t)e->addresses;
	s.own_addresses.n = e->naddresses;
	/* The manifest first: a stanza without one would not load. */
	if ((rc = may_edit(c, &n, p, d)) == 0 &&
	    (rc = replace_file(n.peers_dir, n.manifest, e->manifest, e->manifest_len, d)) ==
		0)
		rc = save_stanza(&n, &s, d);
	names_fini(&n);
	return rc;
}

int
conf_peer_suspend(
    const struct conf *c, const char *origin, bool suspended, struct nrs_detail *d)
{
	const struct conf_peer *p = conf_peer_find(c, origin);
	struct conf_peer s;
	struct names n;
	int rc;

	if (p == NULL)
		return nrs_fail(d, NRS_EUNKNOWN, 0, "there is no peer of this name");
	if ((rc = names_init(&n, c, origin)) != 0)
		return rc;
	s = stanza_of(c, p, origin);
	s.suspended = suspended;
	if ((rc = may_edit(c, &n, p, d)) == 0)
		rc = save_stanza(&n, &s, d);
	names_fini(&n);
	return rc;
}

int
conf_peer_remove(const struct conf *c, const char *origin, struct nrs_detail *d)
{
	const struct conf_peer *p = conf_peer_find(c, origin);
	struct names n;
	int rc;

	if (p == NULL)
		return nrs_fail(d, NRS_EUNKNOWN, 0, "there is no peer of this name");
	if ((rc = names_init(&n, c, origin)) != 0)
		return rc;
	/* The stanza first, for the same reason. */
	if ((rc = may_edit(c, &n, p, d)) == 0 &&
	    (rc = remove_file(n.conf_dir, n.stanza, d)) == 0)
		rc = remove_file(n.peers_dir, n.manifest, d);
	names_fini(&n);
	return rc;
}

int
conf_peer_undo(const struct conf *c, const char *origin, struct nrs_detail *d)
{
	const struct conf_peer *p = conf_peer_find(c, origin);
	struct names n;
	int rc;

	if ((rc = names_init(&n, c, origin)) != 0)
		return rc;
	if ((rc = may_edit(c, &n, p, d)) != 0)
		goto out;
	if (p == NULL) {
		if ((rc = remove_file(n.conf_dir, n.stanza, d)) == 0)
			rc = remove_file(n.peers_dir, n.manifest, d);
	} else {
		struct conf_peer s = stanza_of(c, p, origin);

		/* A manifest that stands elsewhere by hand was not touched. */
		if (*s.manifest_path == '\0')
			rc = replace_file(
			    n.peers_dir, n.manifest, p->manifest, p->manifest_len, d);
		if (rc == 0)
			rc = save_stanza(&n, &s, d);
	}
out:
	names_fini(&n);
	return rc;
}

/* --- subscribers -------------------------------------------------------------- */

struct sub_names {
	char *conf_dir, *pem_dir, *stanza_path; /* owned */
	char stanza[NRS_NAME_MAX + 24];
	char pem[NRS_NAME_MAX + 8];
};

static void
sub_names_fini(struct sub_names *n)
{
	free(n->conf_dir);
	free(n->pem_dir);
	free(n->stanza_path);
}

static int
sub_names_init(struct sub_names *n, const struct conf *c, const char *name)
{
	memset(n, 0, sizeof(*n));
	snprintf(n->stanza, sizeof(n->stanza), "subscriber-%s.conf", name);
	snprintf(n->pem, sizeof(n->pem), "%s.pem", name);
	n->conf_dir = conf_path_join(c->dir, "conf.d");
	n->pem_dir = conf_path_join(c->dir, "subscribers");
	if (n->conf_dir != NULL)
		n->stanza_path = conf_path_join(n->conf_dir, n->stanza);
	if (n->conf_dir != NULL && n->pem_dir != NULL && n->stanza_path != NULL)
		return 0;
	sub_names_fini(n);
	return NRS_ENOMEM;
}

static void
put_list(struct nrs_buf *b, const char *key, const char *const *v, unsigned int n)
{
	nrs_buf_fmt(b, "\t%s = {", key);
	for (unsigned int i = 0; i < n; i++) {
		if (i > 0)
			nrs_buf_str(b, ", ");
		conf_quote(b, v[i]);
	}
	nrs_buf_str(b, "}\n");
}

static int
put_subscriber(
    struct nrs_buf *b, const struct sub_names *n, const struct conf_subscriber_edit *s)
{
	nrs_buf_str(
	    b, "# Written by noroshi access; taken away by it as well.\nsubscriber ");
	conf_quote(b, s->name);
	nrs_buf_str(b, " {\n");
	if (*s->socket != '\0') {
		nrs_buf_str(b, "\tsocket = ");
		conf_quote(b, s->socket);
		nrs_buf_u8(b, '\n');
	}
	/* beside conf.d/, so that the tree can be moved */
	if (s->certificate != NULL)
		nrs_buf_fmt(b, "\tcertificate = \"../subscribers/%s\"\n", n->pem);
	put_list(b, "communities", s->communities, s->ncommunities);
	nrs_buf_fmt(b, "\ttlp = \"%s\"\n", nrs_tlp_name(s->tlp));
	if (s->direct)
		nrs_buf_str(b, "\tdirect = yes\n");
	nrs_buf_str(b, "}\n");
	return b->err;
}

int
conf_subscriber_write(
    const struct conf *c, const struct conf_subscriber_edit *s, struct nrs_detail *d)
{
	struct sub_names n;
	struct nrs_buf b;
	int rc;

	if (!nrs_name_ok(s->name, strlen(s->name)))
		return nrs_fail(d, NRS_ESYNTAX, 0,
		    "the name of a subscriber has letters a-z, digits, - _ and .");
	if (conf_subscriber_find(c, s->name) != NULL)
		return nrs_fail(
		    d, NRS_EEXISTS, 0, "there is a subscriber \"%s\" already", s->name);
	if ((rc = sub_names_init(&n, c, s->name)) != 0)
		return rc;
	nrs_buf_init(&b, STANZA_MAX);
	if (!conf_includes_file(c, n.stanza_path))
		rc = nrs_fail(d, NRS_EPERM, 0,
		    "%s reads no conf.d: add include(\"conf.d/*.conf\")", c->path);
	/* The certificate first: a stanza without one would not load. */
	if (rc == 0 && s->certificate != NULL)
		rc = replace_file(n.pem_dir, n.pem, s->certificate, s->certificate_len, d);
	if (rc == 0 && (rc = put_subscriber(&b, &n, s)) == 0)
		rc = replace_file(n.conf_dir, n.stanza, b.p, b.len, d);
	nrs_buf_fini(&b);
	sub_names_fini(&n);
	return rc;
}

int
conf_subscriber_remove(const struct conf *c, const char *name, struct nrs_detail *d)
{
	const struct conf_subscriber *s = conf_subscriber_find(c, name);
	struct sub_names n;
	int rc;

	if ((rc = sub_names_init(&n, c, name)) != 0)
		return rc;
	if (s != NULL && strcmp(s->where.file, n.stanza_path) != 0)
		rc = nrs_fail(d, NRS_EPERM, s->where.line,
		    "subscriber %s was written by hand: edit %s:%u and reload", name,
		    s->where.file, s->where.line);
	/* The stanza first, for the same reason. */
	if (rc == 0 && (rc = remove_file(n.conf_dir, n.stanza, d)) == 0 &&
	    access(n.pem_dir, F_OK) == 0)
		rc = remove_file(n.pem_dir, n.pem, d);
	sub_names_fini(&n);
	return rc;
}
