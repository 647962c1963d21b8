/*
 * The configuration: libConfuse reads it, one table of rows says what there is
 * (conf_table.h), and this is what the rest of the daemon sees: plain structs,
 * checked as a whole, never changed after conf_load().  A reload makes a new one.
 *
 * Every path is absolute, or relative to the directory of the file it stands in.
 */
#ifndef DAEMON_CONF_H
#define DAEMON_CONF_H

#include <sys/types.h>

#include <noroshi/env.h>
#include <noroshi/err.h>
#include <noroshi/limits.h>
#include <noroshi/types.h>

#include "base/buf.h"
#include "record/manifest.h"

/* Where something stands. file is owned by the struct conf. */
struct conf_where {
	const char *file;
	unsigned int line;
};

/* Options of one section; lines of options are kept for later complaints. */
#define CONF_KEYS_MAX 16

struct conf_strs {
	char **v;
	unsigned int n;
};

/* Who may do what on the control socket, made of user names and "@group". */
struct conf_ids {
	uid_t *uids;
	unsigned int nuids;
	gid_t *gids;
	unsigned int ngids;
};

enum conf_role {
	CONF_ROLE_NONE,
	CONF_ROLE_READER,
	CONF_ROLE_SUBMITTER,
	CONF_ROLE_OPERATOR,
};

struct conf_listen {
	char *address;		       /* as written: "0.0.0.0:7373", "[::]:7373" */
	char host[NRS_ORIGIN_MAX + 1]; /* "" or "*": any */
	uint16_t port;
	unsigned int backlog;
	struct conf_where where;
	unsigned int lines[CONF_KEYS_MAX];
};

enum conf_proxy {
	CONF_PROXY_NONE,
	CONF_PROXY_SOCKS5, /* socks5://host:port, name resolved by the proxy */
	CONF_PROXY_HTTP,   /* http://host:port, by CONNECT */
};

struct conf_peer {
	char *origin; /* the title */
	char *manifest_path;
	uint8_t *manifest; /* the note, signature of its root verified */
	size_t manifest_len;
	struct nrs_manifest m;
	struct conf_strs communities;
	struct conf_strs addresses;	/* effective: own list, else the manifest's */
	struct conf_strs own_addresses; /* those of the configuration */
	char *bind;			/* local address, or "" */
	char *proxy;			/* as written, or "" */
	enum conf_proxy proxy_type;
	char proxy_host[NRS_ORIGIN_MAX + 1];
	uint16_t proxy_port;
	bool suspended;
	enum nrs_tlp ceiling;
	uint64_t records_per_s;
	uint64_t bytes_per_day;
	uint64_t leaves_per_day;
	uint64_t disk_share;
	uint8_t catch_up; /* 1: on checkpoints */
	struct conf_where where;
	unsigned int lines[CONF_KEYS_MAX];
};

struct conf_subscriber {
	char *name;
	char *socket;	   /* path, or "" */
	char *certificate; /* path, or "" */
	bool has_pin;
	struct nrs_hash pin;	      /* of the key in the certificate */
	struct conf_strs communities; /* as written */
	bool all_communities;	      /* communities = {"*"} */
	enum nrs_tlp tlp;
	bool direct;
	unsigned int heartbeat_s;
	unsigned int connections; /* at once */
	unsigned int mode;	  /* of the socket */
	gid_t group;		  /* (gid_t)-1: unchanged */
	char *group_name;
	struct conf_where where;
	unsigned int lines[CONF_KEYS_MAX];
};

struct conf {
	char *path; /* of the main file, absolute */
	char *dir;  /* its directory: conf.d/ and peers/ stand there */

	/* node */
	char *origin;
	char *manifest_path;
	uint8_t *manifest; /* the note, verified */
	size_t manifest_len;
	struct nrs_manifest m;
	char *data;
	char *keys;
	char *control;
	char *user; /* or "" */
	char *log;
	enum nrs_level log_level;
	struct conf_strs operators, submitters, readers;
	struct conf_ids operator_ids, submitter_ids, reader_ids;
	struct conf_where node_where, limits_where;
	unsigned int node_lines[CONF_KEYS_MAX], limits_lines[CONF_KEYS_MAX];

	struct conf_listen *listens;
	unsigned int nlistens;
	struct conf_listen *streams; /* for subscribers over TLS */
	unsigned int nstreams;
	struct conf_peer *peers; /* sorted by origin */
	unsigned int npeers;
	struct conf_subscriber *subscribers; /* sorted by name */
	unsigned int nsubscribers;
	struct conf_strs includes; /* patterns, as written */

	/* limits */
	unsigned int job_threads;
	unsigned int connections;	  /* of peers, at once, inbound */
	unsigned int handshakes;	  /* of them, before their key is known */
	unsigned int control_connections; /* likewise on the control socket */
	unsigned int stream_connections;  /* likewise of subscribers over TLS */
	uint32_t window_bytes;
	uint64_t segment_bytes;

	struct conf_priv *priv;
};

/* What was wrong: whole lines "FILE:LINE: what; fix\n", the first few of them. */
struct conf_err {
	unsigned int n;	    /* errors seen */
	unsigned int nwarn; /* warnings seen; their text is in warn */
	char text[4096];
	char warn[2048];
};

/*
 * Parses and checks everything, manifests included.  0, or NRS_ESYNTAX with
 * e filled (also for files that cannot be read), or NRS_ENOMEM.
 */
int conf_load(const char *path, struct conf **ret, struct conf_err *e) NRS_MUST_CHECK;
void conf_free(struct conf *c); /* accepts NULL */
/*
 * May next replace c without a restart?  Otherwise NRS_EPERM, and e names every
 * row that would need one, with file and line.
 */
int conf_reloadable(
    const struct conf *c, const struct conf *next, struct conf_err *e) NRS_MUST_CHECK;
/* The whole configuration in its canonical form, includes merged in. */
int conf_print(const struct conf *c, struct nrs_buf *b) NRS_MUST_CHECK;
/* The table of all options as mdoc/man text, for noroshi.conf(5). */
int conf_print_man(struct nrs_buf *b) NRS_MUST_CHECK;

const struct conf_peer *conf_peer_find(const struct conf *c, const char *origin);
const struct conf_subscriber *conf_subscriber_find(const struct conf *c, const char *name);
/* The role of a caller, groups being all of its groups. Root and the daemon's own user operate. */
enum conf_role conf_role_of(
    const struct conf *c, uid_t uid, const gid_t *groups, unsigned int ngroups);
const char *conf_role_name(enum conf_role r);

/*
 * What the commands on peers write: peers/ORIGIN.manifest and
 * conf.d/peer-ORIGIN.conf beside the main file, each replaced atomically and
 * made durable.  A stanza that stands in any other file is not touched:
 * NRS_EPERM, and d says which file and line to edit.  The change counts after a
 * reload.  All return 0, NRS_EUNKNOWN (no such peer), NRS_EPERM, NRS_EIO,
 * NRS_EFULL, NRS_ENOMEM.
 */
struct conf_peer_edit {
	const char *origin;
	const char *const *communities;
	unsigned int ncommunities;
	const char *const *addresses; /* none: those of the manifest */
	unsigned int naddresses;
	const uint8_t *manifest; /* the note */
	size_t manifest_len;
};
/* Adds the peer or replaces its stanza, keeping the other options of an existing one. */
int conf_peer_write(const struct conf *c, const struct conf_peer_edit *p,
    struct nrs_detail *d) NRS_MUST_CHECK;
int conf_peer_suspend(const struct conf *c, const char *origin, bool suspended,
    struct nrs_detail *d) NRS_MUST_CHECK;
/* Takes the stanza and the manifest away. */
int conf_peer_remove(
    const struct conf *c, const char *origin, struct nrs_detail *d) NRS_MUST_CHECK;
/*
 * What the access commands write: subscribers/NAME.pem and
 * conf.d/subscriber-NAME.conf, in the same way.  NRS_EEXISTS: there is one already.
 */
struct conf_subscriber_edit {
	const char *name;
	const char *socket; /* "" none */
	const char *const *communities;
	unsigned int ncommunities;
	enum nrs_tlp tlp;
	bool direct;
	const uint8_t *certificate; /* PEM; NULL: none */
	size_t certificate_len;
};
int conf_subscriber_write(const struct conf *c, const struct conf_subscriber_edit *s,
    struct nrs_detail *d) NRS_MUST_CHECK;
/* Also after a write that did not load. */
int conf_subscriber_remove(
    const struct conf *c, const char *name, struct nrs_detail *d) NRS_MUST_CHECK;
/*
 * After an edit that did not load: the files of this peer as c, which is still
 * in force, has them; none when it has no such peer.
 */
int conf_peer_undo(
    const struct conf *c, const char *origin, struct nrs_detail *d) NRS_MUST_CHECK;

#endif
