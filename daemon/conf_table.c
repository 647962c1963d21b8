/*
 * Every option there is.  Adding one is one row here and one line in the
 * tests; what a value may be is decided by its type, lo and hi.
 */
#include "daemon/conf_table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "daemon/log.h"

#define FIELD(s, f) offsetof(struct s, f), sizeof(((struct s *)0)->f)

const struct conf_section_def conf_sections[CS__MAX] = {
	[CS_NODE] = { "node", NULL, "This node. Exactly one stanza." },
	[CS_LIMITS] = { "limits", NULL, "Sizes and numbers. At most one stanza." },
	[CS_LISTEN] = { "listen", "ADDRESS:PORT",
	    "Where peers may connect; * is every address, IPv6 stands in brackets. Without one, "
	    "this node only dials." },
	[CS_STREAM] = { "stream", "ADDRESS:PORT",
	    "Where subscribers on other machines may connect, over TLS with their certificates." },
	[CS_PEER] = { "peer", "ORIGIN", "A node to exchange records with, by its origin." },
	[CS_SUBSCRIBER] = { "subscriber", "NAME",
	    "A program that gets records as lines of JSON: here on a Unix socket of its own, or "
	    "over TLS." },
};

const struct conf_row conf_rows[] = {
	{ CS_NODE, "origin", CT_STR, FIELD(conf, origin), 0, 0, "", CF_REQUIRED,
	    "name of this node, a host name such as cert.example.org" },
	{ CS_NODE, "manifest", CT_PATH, FIELD(conf, manifest_path), 0, 0, "manifest", 0,
	    "manifest 0 of this node, as noroshi init made it" },
	{ CS_NODE, "data", CT_PATH, FIELD(conf, data), 0, 0, "data", 0,
	    "directory of the journal and its caches" },
	{ CS_NODE, "keys", CT_PATH, FIELD(conf, keys), 0, 0, "keys", 0,
	    "directory of the private keys: feed.pem log.pem witness.pem tls.pem kek" },
	{ CS_NODE, "control", CT_PATH, FIELD(conf, control), 0, 0,
	    "/run/noroshi/control.sock", 0, "socket that noroshi(1) speaks to" },
	{ CS_NODE, "user", CT_STR, FIELD(conf, user), 0, 0, "", 0,
	    "user to become when started as root" },
	{ CS_NODE, "log", CT_PATH, FIELD(conf, log), 0, 0, "stderr", CF_RELOAD | CF_TARGET,
	    "stderr, syslog, or the path of a file" },
	{ CS_NODE, "log-level", CT_LEVEL, FIELD(conf, log_level), 0, 0, "info", CF_RELOAD,
	    "error, warning, notice, info or debug" },
	{ CS_NODE, "operators", CT_LIST, FIELD(conf, operators), 0, 0, "", CF_RELOAD,
	    "users and @groups that may do everything on the control socket" },
	{ CS_NODE, "submitters", CT_LIST, FIELD(conf, submitters), 0, 0, "", CF_RELOAD,
	    "users and @groups that may submit and read" },
	{ CS_NODE, "readers", CT_LIST, FIELD(conf, readers), 0, 0, "", CF_RELOAD,
	    "users and @groups that may read" },

	{ CS_LIMITS, "job-threads", CT_UINT, FIELD(conf, job_threads), 0, 64, "0", 0,
	    "threads that check signatures and scan bundles; 0: one for each processor" },
	{ CS_LIMITS, "connections", CT_UINT, FIELD(conf, connections), 1, 10000, "512",
	    CF_RELOAD, "connections from peers at one time" },
	{ CS_LIMITS, "handshakes", CT_UINT, FIELD(conf, handshakes), 16, 10000, "256",
	    CF_RELOAD, "connections of which it is not known yet whose they are" },
	{ CS_LIMITS, "control-connections", CT_UINT, FIELD(conf, control_connections), 1,
	    4096, "256", CF_RELOAD, "connections on the control socket at one time" },
	{ CS_LIMITS, "stream-connections", CT_UINT, FIELD(conf, stream_connections), 1,
	    100000, "4096", CF_RELOAD, "connections of subscribers over TLS at one time" },
	{ CS_LIMITS, "window", CT_SIZE, FIELD(conf, window_bytes), 2u << 20, 256u << 20,
	    "4M", 0,
	    "bytes that a peer may send ahead of what is durable here, for each stream" },
	{ CS_LIMITS, "segment", CT_SIZE, FIELD(conf, segment_bytes), 1u << 20, 1u << 30,
	    "64M", 0, "size at which a new file of the journal is begun" },

	{ CS_LISTEN, "backlog", CT_UINT, FIELD(conf_listen, backlog), 1, 65535, "1024",
	    CF_RELOAD, "connections that may wait to be accepted" },

	{ CS_STREAM, "backlog", CT_UINT, FIELD(conf_listen, backlog), 1, 65535, "1024",
	    CF_RELOAD, "connections that may wait to be accepted" },

	{ CS_PEER, "manifest", CT_PATH, FIELD(conf_peer, manifest_path), 0, 0, "",
	    CF_RELOAD,
	    "manifest 0 of the peer; peers/ORIGIN.manifest beside the main file when not given" },
	{ CS_PEER, "communities", CT_LIST, FIELD(conf_peer, communities), 0, 0, "",
	    CF_RELOAD, "communities shared with it" },
	{ CS_PEER, "addresses", CT_LIST, FIELD(conf_peer, own_addresses), 0, 0, "",
	    CF_RELOAD,
	    "HOST:PORT to dial, in order; those of its manifest when not given" },
	{ CS_PEER, "bind", CT_STR, FIELD(conf_peer, bind), 0, 0, "", CF_RELOAD,
	    "local IP address to dial from" },
	{ CS_PEER, "proxy", CT_STR, FIELD(conf_peer, proxy), 0, 0, "", CF_RELOAD,
	    "socks5://HOST:PORT or http://HOST:PORT to dial through" },
	{ CS_PEER, "suspended", CT_BOOL, FIELD(conf_peer, suspended), 0, 0, "no", CF_RELOAD,
	    "yes: no session, nothing goes in or out" },
	{ CS_PEER, "ceiling", CT_TLP, FIELD(conf_peer, ceiling), 0, 0, "RED", CF_RELOAD,
	    "strictest marking sent to it and taken from it" },
	{ CS_PEER, "records-per-second", CT_UINT, FIELD(conf_peer, records_per_s), 0,
	    1000000, "0", CF_RELOAD, "quota on what it sends; 0: none" },
	{ CS_PEER, "bytes-per-day", CT_SIZE, FIELD(conf_peer, bytes_per_day), 0, 1ull << 50,
	    "0", CF_RELOAD, "quota on what it sends; 0: none" },
	{ CS_PEER, "leaves-per-day", CT_UINT, FIELD(conf_peer, leaves_per_day), 0,
	    1000000000000, "10000000", CF_RELOAD,
	    "entries of its log that are taken in a day; 0: no limit" },
	{ CS_PEER, "disk-share", CT_SIZE, FIELD(conf_peer, disk_share), 0, 1ull << 50,
	    "32G", CF_RELOAD, "bytes that are kept of its log and records; 0: no limit" },
	{ CS_PEER, "catch-up", CT_CATCH_UP, FIELD(conf_peer, catch_up), 0, 0, "signatures",
	    CF_RELOAD,
	    "what a long backlog of its records is accepted on: signatures or checkpoint" },

	{ CS_SUBSCRIBER, "socket", CT_PATH, FIELD(conf_subscriber, socket), 0, 0, "",
	    CF_RELOAD, "its Unix socket" },
	{ CS_SUBSCRIBER, "certificate", CT_PATH, FIELD(conf_subscriber, certificate), 0, 0,
	    "", CF_RELOAD,
	    "its certificate, in PEM; the key in it is the one that it must have to get records "
	    "over TLS" },
	{ CS_SUBSCRIBER, "communities", CT_LIST, FIELD(conf_subscriber, communities), 0, 0,
	    "", CF_RELOAD, "communities it may see; \"*\" is all" },
	{ CS_SUBSCRIBER, "tlp", CT_TLP, FIELD(conf_subscriber, tlp), 0, 0, "AMBER",
	    CF_RELOAD, "strictest marking it may see" },
	{ CS_SUBSCRIBER, "direct", CT_BOOL, FIELD(conf_subscriber, direct), 0, 0, "no",
	    CF_RELOAD, "yes: also what is addressed to this node alone" },
	{ CS_SUBSCRIBER, "heartbeat", CT_UINT, FIELD(conf_subscriber, heartbeat_s), 1, 3600,
	    "30", CF_RELOAD, "seconds of silence after which a heartbeat line is sent" },
	{ CS_SUBSCRIBER, "connections", CT_UINT, FIELD(conf_subscriber, connections), 1,
	    10000, "64", CF_RELOAD, "connections it may have at one time" },
	{ CS_SUBSCRIBER, "mode", CT_MODE, FIELD(conf_subscriber, mode), 0, 0777, "0660",
	    CF_RELOAD, "permissions of the socket" },
	{ CS_SUBSCRIBER, "group", CT_STR, FIELD(conf_subscriber, group_name), 0, 0, "",
	    CF_RELOAD, "group of the socket" },
};
const unsigned int conf_nrows = sizeof(conf_rows) / sizeof(conf_rows[0]);

unsigned int
conf_row_index(const struct conf_row *row)
{
	unsigned int i = 0;

	for (const struct conf_row *r = row; r > conf_rows && (r - 1)->sec == row->sec; r--)
		i++;
	return i;
}

const struct conf_row *
conf_row_find(enum conf_section sec, const char *key)
{
	for (unsigned int i = 0; i < conf_nrows; i++)
		if (conf_rows[i].sec == sec && strcmp(conf_rows[i].key, key) == 0)
			return &conf_rows[i];
	return NULL;
}

unsigned int
conf_line_of(enum conf_section sec, const char *key, const struct conf_where *where,
    const unsigned int *lines)
{
	const struct conf_row *row = conf_row_find(sec, key);
	unsigned int line = row != NULL ? lines[conf_row_index(row)] : 0;

	return line != 0 ? line : where->line;
}

/* --- lists, paths, quoting ------------------------------------------------ */

int
conf_strs_add(struct conf_strs *l, const char *s)
{
	char **v = realloc(l->v, (l->n + 1) * sizeof(*v));

	if (v == NULL)
		return NRS_ENOMEM;
	l->v = v;
	if ((v[l->n] = strdup(s)) == NULL)
		return NRS_ENOMEM;
	l->n++;
	return 0;
}

void
conf_strs_fini(struct conf_strs *l)
{
	for (unsigned int i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
	l->v = NULL;
	l->n = 0;
}

char *
conf_path_join(const char *dir, const char *path)
{
	char *s;

	if (path[0] == '/' || path[0] == '\0')
		return strdup(path);
	while (strncmp(path, "./", 2) == 0)
		path += 2;
	return asprintf(&s, "%s/%s", dir, path) < 0 ? NULL : s;
}

/* libConfuse would read ${X} in double quotes as a variable: the dollar is escaped. */
void
conf_quote(struct nrs_buf *b, const char *s)
{
	nrs_buf_u8(b, '"');
	for (; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\' || *s == '$')
			nrs_buf_u8(b, '\\');
		nrs_buf_u8(b, (uint8_t)*s);
	}
	nrs_buf_u8(b, '"');
}

/* --- values ---------------------------------------------------------------- */

static void
store_uint(const struct conf_row *row, void *base, uint64_t v)
{
	uint8_t *p = (uint8_t *)base + row->off;
	unsigned int u = (unsigned int)v;

	if (row->size == sizeof(uint64_t))
		memcpy(p, &v, sizeof(v));
	else
		memcpy(p, &u, sizeof(u));
}

static uint64_t
fetch_uint(const struct conf_row *row, const void *base)
{
	const uint8_t *p = (const uint8_t *)base + row->off;
	unsigned int u;
	uint64_t v;

	if (row->size == sizeof(uint64_t)) {
		memcpy(&v, p, sizeof(v));
		return v;
	}
	memcpy(&u, p, sizeof(u));
	return u;
}

static int
set_string(const struct conf_row *row, void *base, const char *value, const char *dir)
{
	char **p = (char **)(void *)((uint8_t *)base + row->off);
	bool path = row->type == CT_PATH;
	char *s;

	if ((row->flags & CF_TARGET) != 0 &&
	    (strcmp(value, "stderr") == 0 || strcmp(value, "syslog") == 0))
		path = false;
	s = path ? conf_path_join(dir, value) : strdup(value);
	if (s == NULL)
		return NRS_ENOMEM;
	free(*p);
	*p = s;
	return 0;
}

static int
set_uint(const struct conf_row *row, void *base, const char *value, char *why, size_t len)
{
	static const char units[] = "KMG";
	size_t n = strlen(value);
	unsigned int shift = 0;
	const char *u;
	uint64_t v;

	if (row->type == CT_SIZE && n > 1 && (u = strchr(units, value[n - 1])) != NULL) {
		shift = 10 * (unsigned int)(u - units + 1);
		n--;
	}
	if (nrs_u64_parse(value, n, UINT64_MAX >> shift, &v) != 0) {
		snprintf(why, len, "expected a number%s",
		    row->type == CT_SIZE ? " of bytes, such as 65536, 64K, 4M or 1G" : "");
		return NRS_ESYNTAX;
	}
	v <<= shift;
	if (v < row->lo || v > row->hi) {
		snprintf(why, len, "expected a number from %llu to %llu",
		    (unsigned long long)row->lo, (unsigned long long)row->hi);
		return NRS_ERANGE;
	}
	store_uint(row, base, v);
	return 0;
}

static int
set_bool(const struct conf_row *row, void *base, const char *value, char *why, size_t len)
{
	bool yes = strcmp(value, "yes") == 0 || strcmp(value, "true") == 0;

	if (!yes && strcmp(value, "no") != 0 && strcmp(value, "false") != 0) {
		snprintf(why, len, "expected yes or no");
		return NRS_ESYNTAX;
	}
	memcpy((uint8_t *)base + row->off, &yes, sizeof(yes));
	return 0;
}

static const char *const catch_up_names[] = { "signatures", "checkpoint" };

static int
set_catch_up(
    const struct conf_row *row, void *base, const char *value, char *why, size_t len)
{
	for (unsigned int i = 0; i < 2; i++) {
		if (strcmp(value, catch_up_names[i]) == 0) {
			store_uint(row, base, i);
			return 0;
		}
	}
	snprintf(why, len, "expected signatures or checkpoint");
	return NRS_ESYNTAX;
}

static int
set_mode(const struct conf_row *row, void *base, const char *value, char *why, size_t len)
{
	size_t n = strspn(value, "01234567");

	if (n < 3 || n > 4 || value[n] != '\0' || strtoul(value, NULL, 8) > row->hi) {
		snprintf(why, len, "expected permissions in octal, such as 0660");
		return NRS_ESYNTAX;
	}
	store_uint(row, base, strtoul(value, NULL, 8));
	return 0;
}

static int
set_name(const struct conf_row *row, void *base, const char *value, char *why, size_t len)
{
	enum nrs_tlp tlp;
	enum nrs_level level;

	if (row->type == CT_TLP && nrs_tlp_parse(value, strlen(value), &tlp) == 0) {
		store_uint(row, base, tlp);
		return 0;
	}
	if (row->type == CT_LEVEL && log_level_parse(value, &level) == 0) {
		store_uint(row, base, level);
		return 0;
	}
	snprintf(why, len, "%s",
	    row->type == CT_TLP ? "expected CLEAR, GREEN, AMBER, \"AMBER+STRICT\" or RED"
				: "expected error, warning, notice, info or debug");
	return NRS_ESYNTAX;
}

/* One text for one value, so that what was printed is what is read. */
static bool
text_ok(const char *s, char *why, size_t len)
{
	size_t n = strlen(s);

	if (n > 4096 || !nrs_utf8_ok((const uint8_t *)s, n, NULL)) {
		snprintf(why, len, "too long, or not in UTF-8");
		return false;
	}
	for (; *s != '\0'; s++)
		if ((uint8_t)*s < 0x20 || *s == 0x7f) {
			snprintf(why, len, "control characters are not allowed");
			return false;
		}
	return true;
}

int
conf_row_set(const struct conf_row *row, void *base, const char *value, const char *dir,
    char *why, size_t why_len)
{
	why[0] = '\0';
	if (!text_ok(value, why, why_len))
		return NRS_ESYNTAX;
	switch (row->type) {
	case CT_STR:
	case CT_PATH:
		return set_string(row, base, value, dir);
	case CT_UINT:
	case CT_SIZE:
		return set_uint(row, base, value, why, why_len);
	case CT_BOOL:
		return set_bool(row, base, value, why, why_len);
	case CT_CATCH_UP:
		return set_catch_up(row, base, value, why, why_len);
	case CT_MODE:
		return set_mode(row, base, value, why, why_len);
	case CT_TLP:
	case CT_LEVEL:
		return set_name(row, base, value, why, why_len);
	case CT_LIST:
		return conf_strs_add(
		    (struct conf_strs *)(void *)((uint8_t *)base + row->off), value);
	}
	return NRS_EINTERNAL;
}

static void
format_list(const struct conf_strs *l, struct nrs_buf *b)
{
	nrs_buf_str(b, "{");
	for (unsigned int i = 0; i < l->n; i++) {
		if (i > 0)
			nrs_buf_str(b, ", ");
		conf_quote(b, l->v[i]);
	}
	nrs_buf_str(b, "}");
}

/* The largest unit that divides it. */
static void
format_size(uint64_t v, struct nrs_buf *b)
{
	static const char units[] = "GMK";

	for (unsigned int i = 0; v != 0 && i < 3; i++) {
		unsigned int shift = 30 - 10 * i;

		if (v % (1ull << shift) == 0) {
			nrs_buf_fmt(
			    b, "%llu%c", (unsigned long long)(v >> shift), units[i]);
			return;
		}
	}
	nrs_buf_fmt(b, "%llu", (unsigned long long)v);
}

void
conf_row_format(const struct conf_row *row, const void *base, struct nrs_buf *b)
{
	const uint8_t *p = (const uint8_t *)base + row->off;
	uint64_t v;

	switch (row->type) {
	case CT_STR:
	case CT_PATH:
		conf_quote(b, *(char *const *)(const void *)p);
		break;
	case CT_UINT:
		nrs_buf_fmt(b, "%llu", (unsigned long long)fetch_uint(row, base));
		break;
	case CT_SIZE:
		format_size(fetch_uint(row, base), b);
		break;
	case CT_BOOL:
		nrs_buf_str(b, *(const bool *)p ? "yes" : "no");
		break;
	case CT_MODE:
		nrs_buf_fmt(b, "\"%04o\"", (unsigned int)fetch_uint(row, base));
		break;
	case CT_TLP:
		v = fetch_uint(row, base);
		conf_quote(b, nrs_tlp_name((enum nrs_tlp)v));
		break;
	case CT_CATCH_UP:
		conf_quote(b, catch_up_names[fetch_uint(row, base) != 0]);
		break;
	case CT_LEVEL:
		v = fetch_uint(row, base);
		conf_quote(b, log_level_name((enum nrs_level)v));
		break;
	case CT_LIST:
		format_list((const struct conf_strs *)(const void *)p, b);
		break;
	}
}

bool
conf_row_equal(const struct conf_row *row, const void *x, const void *y)
{
	struct nrs_buf a, b;
	bool same;

	nrs_buf_init(&a, 1u << 20);
	nrs_buf_init(&b, 1u << 20);
	conf_row_format(row, x, &a);
	conf_row_format(row, y, &b);
	same = a.err == 0 && b.err == 0 && a.len == b.len && memcmp(a.p, b.p, a.len) == 0;
	nrs_buf_fini(&a);
	nrs_buf_fini(&b);
	return same;
}

/* --- complaints ------------------------------------------------------------ */

static void complain(char *text, size_t max, const char *file, unsigned int line,
    const char *fmt, va_list ap) __attribute__((format(printf, 5, 0)));

static void
complain(char *text, size_t max, const char *file, unsigned int line, const char *fmt,
    va_list ap)
{
	size_t used = strlen(text), n;
	char what[600], safe[700], where[16] = "";

	vsnprintf(what, sizeof(what), fmt, ap);
	(void)nrs_text_escape(safe, sizeof(safe), what, strlen(what));
	if (line != 0)
		snprintf(where, sizeof(where), "%u:", line);
	n = (size_t)snprintf(text + used, max - used, "%s:%s %s\n", file, where, safe);
	if (n >= max - used) /* whole lines or none */
		text[used] = '\0';
}

void
conf_error(struct conf_err *e, const char *file, unsigned int line, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain(e->text, sizeof(e->text), file, line, fmt, ap);
	va_end(ap);
	e->n++;
}

void
conf_warn(struct conf_err *e, const char *file, unsigned int line, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain(e->warn, sizeof(e->warn), file, line, fmt, ap);
	va_end(ap);
	e->nwarn++;
}
