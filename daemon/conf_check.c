/*
 * What no row can say alone: names, addresses and manifests of the stanzas, and
 * what they say about each other.  Everything that is wrong is said at once.
 */
#include <sys/un.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "crypto/key.h"
#include "daemon/conf_table.h"

/* The line of an option that a stanza gave. */
#define AT(sec, key, s) (s)->where.file, conf_line_of(sec, key, &(s)->where, (s)->lines)
#define AT_NODE(key) \
	c->node_where.file, conf_line_of(CS_NODE, key, &c->node_where, c->node_lines)

/* --- manifests ------------------------------------------------------------ */

/* A small file: malloc'd; NULL and errno. */
static uint8_t *
read_small(const char *path, size_t *ret_len)
{
	uint8_t *p = malloc(NRS_NOTE_MAX + 1);
	size_t got = 0;
	ssize_t n = -1;
	int fd, e;

	if (p == NULL)
		return NULL;
	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY)) < 0) {
		free(p);
		return NULL;
	}
	while (got <= NRS_NOTE_MAX && (n = read(fd, p + got, NRS_NOTE_MAX + 1 - got)) > 0)
		got += (size_t)n;
	e = n < 0 ? errno : EFBIG;
	close(fd);
	if (n < 0 || got > NRS_NOTE_MAX) {
		free(p);
		errno = e;
		return NULL;
	}
	*ret_len = got;
	return p;
}

static void
load_manifest(struct conf_err *e, const char *file, unsigned int line, const char *what,
    const char *origin, const char *path, struct nrs_manifest *m, uint8_t **ret_note,
    size_t *ret_len)
{
	struct nrs_detail d = { 0 };
	const uint8_t *end;
	size_t len = 0;
	uint8_t *note;

	if ((note = read_small(path, &len)) == NULL) {
		conf_error(e, file, line, "manifest of %s: %s: %s; %s", what, path,
		    strerror(errno),
		    errno == ENOENT ? "put the file there, or say where it is"
				    : "it must be readable");
		return;
	}
	/* An invite file is good as well: its first note is the manifest. */
	end = memmem(note, len, "\n-----\n", 7);
	if (end != NULL)
		len = (size_t)(end - note) + 1;
	if (nrs_manifest_open(m, note, len, NULL, nrs_verify, &d) != 0) {
		conf_error(e, file, line, "manifest of %s: %s:%llu: %s (%s)", what, path,
		    (unsigned long long)d.off, d.text, nrs_strerror(d.code));
		free(note);
		return;
	}
	if (strcmp(m->origin, origin) != 0)
		conf_error(e, file, line,
		    "manifest of %s: %s is that of %s; take the right file, or correct the name",
		    what, path, m->origin);
	*ret_note = note;
	*ret_len = len;
}

/* --- node ------------------------------------------------------------------ */

static int
add_uid(struct conf_ids *ids, uid_t uid)
{
	uid_t *v = realloc(ids->uids, (ids->nuids + 1) * sizeof(*v));

	if (v == NULL)
		return NRS_ENOMEM;
	ids->uids = v;
	v[ids->nuids++] = uid;
	return 0;
}

static int
add_gid(struct conf_ids *ids, gid_t gid)
{
	gid_t *v = realloc(ids->gids, (ids->ngids + 1) * sizeof(*v));

	if (v == NULL)
		return NRS_ENOMEM;
	ids->gids = v;
	v[ids->ngids++] = gid;
	return 0;
}

static int
resolve_ids(struct conf *c, const char *key, const struct conf_strs *names,
    struct conf_ids *ids, struct conf_err *e)
{
	const struct passwd *pw;
	const struct group *gr;
	int rc = 0;

	for (unsigned int i = 0; rc == 0 && i < names->n; i++) {
		const char *name = names->v[i];

		if (name[0] == '@' && (gr = getgrnam(name + 1)) != NULL)
			rc = add_gid(ids, gr->gr_gid);
		else if (name[0] != '@' && (pw = getpwnam(name)) != NULL)
			rc = add_uid(ids, pw->pw_uid);
		else
			conf_error(e, AT_NODE(key),
			    "%s: there is no %s \"%s\" here; create it, or take it out",
			    key, name[0] == '@' ? "group" : "user",
			    name + (name[0] == '@'));
	}
	return rc;
}

static void
check_socket_path(struct conf_err *e, const char *file, unsigned int line, const char *path)
{
	if (path[0] == '\0')
		return;
	if (strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		conf_error(e, file, line,
		    "the path of a socket has at most %zu bytes; choose a shorter one",
		    sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
}

static int
check_node(struct conf *c, struct conf_err *e)
{
	int rc;

	if (!nrs_origin_ok(c->origin, strlen(c->origin))) {
		if (c->origin[0] != '\0')
			conf_error(e, AT_NODE("origin"),
			    "\"%s\" is not the name of an origin; it is a host name in lower "
			    "case with at least one dot",
			    c->origin);
	} else {
		load_manifest(e, AT_NODE("manifest"), "this node", c->origin,
		    c->manifest_path, &c->m, &c->manifest, &c->manifest_len);
	}
	if (c->user[0] != '\0' && getpwnam(c->user) == NULL)
		conf_error(
		    e, AT_NODE("user"), "there is no user \"%s\" here; create it", c->user);
	if (c->data[0] == '\0' || c->keys[0] == '\0' || c->control[0] == '\0' ||
	    c->log[0] == '\0')
		conf_error(e, c->node_where.file, c->node_where.line,
		    "data, keys, control and log cannot be empty");
	check_socket_path(e, AT_NODE("control"), c->control);
	if ((rc = resolve_ids(c, "operators", &c->operators, &c->operator_ids, e)) != 0 ||
	    (rc = resolve_ids(c, "submitters", &c->submitters, &c->submitter_ids, e)) != 0)
		return rc;
	return resolve_ids(c, "readers", &c->readers, &c->reader_ids, e);
}

/* --- listen ------------------------------------------------------------------ */

static void
check_address(struct conf_listen *l, const char *what, struct conf_err *e)
{
	const char *s = l->address;
	struct in6_addr any;
	uint64_t port;

	if (strncmp(s, "*:", 2) == 0 &&
	    nrs_u64_parse(s + 2, strlen(s + 2), 65535, &port) == 0 && port > 0) {
		l->port = (uint16_t)port;
		l->host[0] = '\0';
	} else if (nrs_addr_parse(s, strlen(s), l->host, &l->port) != 0 ||
	    (inet_pton(AF_INET, l->host, &any) != 1 &&
		inet_pton(AF_INET6, l->host, &any) != 1)) {
		conf_error(e, l->where.file, l->where.line,
		    "%s \"%s\": expected an IP address and a port, such as 192.0.2.1:7373, "
		    "[2001:db8::1]:7373 or *:7373",
		    what, s);
	}
}

/* One of the sockets before it has the same address. */
static void
check_other(const struct conf_listen *l, const char *what, const struct conf_listen *v,
    unsigned int n, struct conf_err *e)
{
	for (unsigned int i = 0; i < n; i++)
		if (strcmp(v[i].address, l->address) == 0)
			conf_error(e, l->where.file, l->where.line,
			    "%s \"%s\" stands at %s:%u as well; keep one", what, l->address,
			    v[i].where.file, v[i].where.line);
}

static void
check_listens(struct conf *c, struct conf_err *e)
{
	for (unsigned int i = 0; i < c->nlistens; i++) {
		check_address(&c->listens[i], "listen", e);
		check_other(&c->listens[i], "listen", c->listens, i, e);
	}
	for (unsigned int i = 0; i < c->nstreams; i++) {
		check_address(&c->streams[i], "stream", e);
		check_other(&c->streams[i], "stream", c->listens, c->nlistens, e);
		check_other(&c->streams[i], "stream", c->streams, i, e);
	}
}

/* --- peers --------------------------------------------------------------------- */

static void
check_names(struct conf_err *e, const char *file, unsigned int line,
    const struct conf_strs *l, bool star)
{
	for (unsigned int i = 0; i < l->n; i++) {
		if (star && strcmp(l->v[i], "*") == 0)
			continue;
		if (!nrs_name_ok(l->v[i], strlen(l->v[i])))
			conf_error(e, file, line,
			    "\"%s\" is not the name of a community; it has letters a-z, digits, "
			    "- _ and .",
			    l->v[i]);
		for (unsigned int k = 0; k < i; k++)
			if (strcmp(l->v[k], l->v[i]) == 0)
				conf_error(e, file, line, "\"%s\" is given twice; keep one",
				    l->v[i]);
	}
}

static int
check_addresses(struct conf_peer *p, struct conf_err *e)
{
	char host[NRS_ORIGIN_MAX + 1];
	uint16_t port;
	int rc = 0;

	if (p->own_addresses.n > NRS_ADDRS_MAX)
		conf_error(
		    e, AT(CS_PEER, "addresses", p), "at most %d addresses", NRS_ADDRS_MAX);
	for (unsigned int i = 0; rc == 0 && i < p->own_addresses.n; i++) {
		const char *s = p->own_addresses.v[i];

		if (nrs_addr_parse(s, strlen(s), host, &port) != 0)
			conf_error(e, AT(CS_PEER, "addresses", p),
			    "address \"%s\": expected HOST:PORT, such as noroshi.example.org:7373",
			    s);
		rc = conf_strs_add(&p->addresses, s);
	}
	for (unsigned int i = 0; rc == 0 && p->own_addresses.n == 0 && i < p->m.naddr; i++)
		rc = conf_strs_add(&p->addresses, p->m.addr[i]);
	return rc;
}

static void
check_proxy(struct conf_peer *p, struct conf_err *e)
{
	const char *s = p->proxy;

	if (s[0] == '\0')
		return;
	if (strncmp(s, "socks5://", 9) == 0) {
		p->proxy_type = CONF_PROXY_SOCKS5;
		s += 9;
	} else if (strncmp(s, "http://", 7) == 0) {
		p->proxy_type = CONF_PROXY_HTTP;
		s += 7;
	}
	if (p->proxy_type == CONF_PROXY_NONE ||
	    nrs_addr_parse(s, strlen(s), p->proxy_host, &p->proxy_port) != 0)
		conf_error(e, AT(CS_PEER, "proxy", p),
		    "proxy \"%s\": expected socks5://HOST:PORT or http://HOST:PORT",
		    p->proxy);
}

static int
check_peer(struct conf *c, struct conf_peer *p, struct conf_err *e)
{
	struct in6_addr any;

	if (!nrs_origin_ok(p->origin, strlen(p->origin))) {
		conf_error(e, p->where.file, p->where.line,
		    "peer \"%s\" is not the name of an origin; it is a host name in lower case "
		    "with at least one dot",
		    p->origin);
		return 0;
	}
	if (strcmp(p->origin, c->origin) == 0)
		conf_error(e, p->where.file, p->where.line,
		    "peer \"%s\" is this node itself; take it out", p->origin);
	if (p->manifest_path[0] == '\0') {
		free(p->manifest_path);
		if (asprintf(&p->manifest_path, "%s/peers/%s.manifest", c->dir, p->origin) <
		    0) {
			p->manifest_path = NULL;
			return NRS_ENOMEM;
		}
	}
	load_manifest(e, AT(CS_PEER, "manifest", p), p->origin, p->origin, p->manifest_path,
	    &p->m, &p->manifest, &p->manifest_len);
	check_names(e, AT(CS_PEER, "communities", p), &p->communities, false);
	if (p->bind[0] != '\0' && inet_pton(AF_INET, p->bind, &any) != 1 &&
	    inet_pton(AF_INET6, p->bind, &any) != 1)
		conf_error(e, AT(CS_PEER, "bind", p), "bind \"%s\": expected an IP address",
		    p->bind);
	check_proxy(p, e);
	return check_addresses(p, e);
}

/* Two peers are two origins with two TLS keys. */
static void
check_peer_pair(struct conf_peer *p, struct conf_peer *q, struct conf_err *e)
{
	if (strcmp(p->origin, q->origin) == 0) {
		conf_error(e, q->where.file, q->where.line,
		    "peer \"%s\" stands at %s:%u as well; keep one", q->origin,
		    p->where.file, p->where.line);
		return;
	}
	if (p->manifest == NULL || q->manifest == NULL)
		return;
	for (unsigned int i = 0; i < p->m.ntls; i++)
		for (unsigned int k = 0; k < q->m.ntls; k++)
			if (memcmp(&p->m.tls_pin[i], &q->m.tls_pin[k], NRS_HASH_LEN) == 0)
				conf_error(e, q->where.file, q->where.line,
				    "peer \"%s\" has the TLS key of peer \"%s\" (%s:%u); ask for "
				    "its manifest again",
				    q->origin, p->origin, p->where.file, p->where.line);
}

/* --- subscribers ------------------------------------------------------------------ */

static void
check_certificate(struct conf *c, struct conf_subscriber *s, struct conf_err *e)
{
	size_t len = 0;
	uint8_t *pem;
	int rc;

	if (s->certificate[0] == '\0')
		return;
	if (c->nstreams == 0)
		conf_warn(e, AT(CS_SUBSCRIBER, "certificate", s),
		    "subscriber \"%s\" has a certificate, and there is no stream stanza to connect "
		    "to",
		    s->name);
	if ((pem = read_small(s->certificate, &len)) == NULL) {
		conf_error(e, AT(CS_SUBSCRIBER, "certificate", s),
		    "certificate of %s: %s: %s; %s", s->name, s->certificate,
		    strerror(errno),
		    errno == ENOENT ? "put the file there, or say where it is"
				    : "it must be readable");
		return;
	}
	if ((rc = nrs_cert_pin((const char *)pem, len, &s->pin)) != 0)
		conf_error(e, AT(CS_SUBSCRIBER, "certificate", s),
		    "certificate of %s: %s: not a certificate in PEM with a key of Ed25519, "
		    "ECDSA (P-256, P-384) or RSA from 2048 bits (%s)",
		    s->name, s->certificate, nrs_strerror(rc));
	s->has_pin = rc == 0;
	free(pem);
}

static void
check_subscriber(struct conf *c, struct conf_subscriber *s, struct conf_err *e)
{
	const struct group *gr;

	if (!nrs_name_ok(s->name, strlen(s->name)))
		conf_error(e, s->where.file, s->where.line,
		    "subscriber \"%s\": a name has letters a-z, digits, - _ and .",
		    s->name);
	check_names(e, AT(CS_SUBSCRIBER, "communities", s), &s->communities, true);
	for (unsigned int i = 0; i < s->communities.n; i++)
		if (strcmp(s->communities.v[i], "*") == 0)
			s->all_communities = true;
	if (s->communities.n == 0 && !s->direct)
		conf_warn(e, s->where.file, s->where.line,
		    "subscriber \"%s\" names no community and sees nothing", s->name);
	if (s->socket[0] == '\0' && s->certificate[0] == '\0')
		conf_error(e, s->where.file, s->where.line,
		    "subscriber \"%s\" needs a socket, a certificate, or both", s->name);
	check_certificate(c, s, e);
	check_socket_path(e, AT(CS_SUBSCRIBER, "socket", s), s->socket);
	if (strcmp(s->socket, c->control) == 0)
		conf_error(e, AT(CS_SUBSCRIBER, "socket", s),
		    "%s is the control socket; choose another", s->socket);
	s->group = (gid_t)-1;
	if (s->group_name[0] == '\0')
		return;
	if ((gr = getgrnam(s->group_name)) != NULL)
		s->group = gr->gr_gid;
	else
		conf_error(e, AT(CS_SUBSCRIBER, "group", s),
		    "there is no group \"%s\" here; create it, or take it out",
		    s->group_name);
}

static void
check_subscriber_pair(
    struct conf_subscriber *a, struct conf_subscriber *b, struct conf_err *e)
{
	if (strcmp(a->name, b->name) == 0)
		conf_error(e, b->where.file, b->where.line,
		    "subscriber \"%s\" stands at %s:%u as well; keep one", b->name,
		    a->where.file, a->where.line);
	else if (a->socket[0] != '\0' && strcmp(a->socket, b->socket) == 0)
		conf_error(e, AT(CS_SUBSCRIBER, "socket", b),
		    "%s is the socket of subscriber \"%s\" (%s:%u); each needs its own",
		    b->socket, a->name, a->where.file, a->where.line);
	if (a->has_pin && b->has_pin && memcmp(&a->pin, &b->pin, sizeof(a->pin)) == 0)
		conf_error(e, AT(CS_SUBSCRIBER, "certificate", b),
		    "it has the key of subscriber \"%s\" (%s:%u); each needs its own",
		    a->name, a->where.file, a->where.line);
}

/* Nobody shares this community with us here: it may be our own alone, so only a hint. */
static void
warn_unknown_communities(struct conf *c, struct conf_subscriber *s, struct conf_err *e)
{
	for (unsigned int i = 0; i < s->communities.n; i++) {
		bool known = strcmp(s->communities.v[i], "*") == 0;

		for (unsigned int k = 0; !known && k < c->npeers; k++)
			for (unsigned int j = 0; j < c->peers[k].communities.n; j++)
				if (strcmp(c->peers[k].communities.v[j],
					s->communities.v[i]) == 0)
					known = true;
		if (!known)
			conf_warn(e, AT(CS_SUBSCRIBER, "communities", s),
			    "community \"%s\" is not shared with any peer here",
			    s->communities.v[i]);
	}
}

/* --- all ---------------------------------------------------------------------------- */

static int
peer_cmp(const void *a, const void *b)
{
	return strcmp(
	    ((const struct conf_peer *)a)->origin, ((const struct conf_peer *)b)->origin);
}

static int
subscriber_cmp(const void *a, const void *b)
{
	return strcmp(((const struct conf_subscriber *)a)->name,
	    ((const struct conf_subscriber *)b)->name);
}

int
conf_check_whole(struct conf *c, struct conf_err *e)
{
	int rc;

	if (c->priv->nnode == 0) {
		conf_error(e, c->path, 0,
		    "there is no node stanza; it needs at least: node { "
		    "origin = \"cert.example.org\" }");
		return 0;
	}
	if ((rc = check_node(c, e)) != 0)
		return rc;
	check_listens(c, e);
	for (unsigned int i = 0; rc == 0 && i < c->npeers; i++) {
		rc = check_peer(c, &c->peers[i], e);
		for (unsigned int k = 0; k < i; k++)
			check_peer_pair(&c->peers[k], &c->peers[i], e);
	}
	for (unsigned int i = 0; rc == 0 && i < c->nsubscribers; i++) {
		check_subscriber(c, &c->subscribers[i], e);
		for (unsigned int k = 0; k < i; k++)
			check_subscriber_pair(&c->subscribers[k], &c->subscribers[i], e);
		warn_unknown_communities(c, &c->subscribers[i], e);
	}
	if (c->npeers > 1)
		qsort(c->peers, c->npeers, sizeof(*c->peers), peer_cmp);
	if (c->nsubscribers > 1)
		qsort(c->subscribers, c->nsubscribers, sizeof(*c->subscribers),
		    subscriber_cmp);
	return rc;
}
