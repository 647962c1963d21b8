/*
 * Between control.c and the commands.  A handler gets a checked request and
 * ends it exactly once, now or later, with ctl_ok(), ctl_ok_data() or one of the
 * failures; after that the request is gone.  A client that goes away before
 * does not end it: the answer then goes nowhere.
 */
#ifndef DAEMON_CTL_PRIV_H
#define DAEMON_CTL_PRIV_H

#include <jansson.h>
#include <sysexits.h>

#include "base/buf.h"
#include "daemon/app.h"
#include "daemon/control.h"
#include "node/node.h"

struct bufferevent;
struct ctl_conn;

struct ctl_req {
	struct control *ct; /* NULL: the daemon ends */
	struct app *app;
	struct ctl_conn *conn; /* NULL: the client is gone */
	const struct ctl_cmd *cmd;
	enum conf_role role;
	char who[32]; /* "uid 1000", for the log */
	uint32_t uid; /* all ones: unknown */
	json_t *args;
	uint8_t *body; /* attached, malloc'd; a handler may take it and set NULL */
	size_t body_len;
	size_t charged;
	void *priv;
	/* The client is gone: streams and waits end here (the request is then ended). NULL: goes on. */
	void (*gone)(struct ctl_req *r);
	/* The socket has taken what it had. */
	void (*drained)(struct ctl_req *r);
};

/*
 * One row a command.  members: "name:s! communities:S", types s string, S array
 * of strings, b boolean, i integer >= 0; ! is required.
 */
struct ctl_cmd {
	const char *name;
	enum conf_role role;
	const char *members;
	bool attach;
	void (*run)(struct ctl_req *r);
	const char *help;
};
/* What the J of a request asks for. */
struct ctl_ask {
	json_t *args; /* the caller's, also of a refused one; NULL: no object */
	const struct ctl_cmd *cmd;
	bool attach;
	/* refused: */
	const char *code, *what, *next;
	char why[256];
};
/* Everything that can be said of it without knowing who asks. False: refused. */
bool ctl_ask_parse(struct ctl_ask *ret, const uint8_t *p, size_t len);
extern const struct ctl_cmd ctl_cmds[];
extern const unsigned int ctl_ncmds;

/* --- ends of a request; answer is taken, NULL stands for no memory --- */
void ctl_ok(struct ctl_req *r, json_t *answer);
void ctl_ok_data(struct ctl_req *r, json_t *answer, const void *data, size_t len);
void ctl_fail(struct ctl_req *r, const char *code, const char *what, const char *why,
    const char *next, int exit_status);
/* From an error of the library; d (may be NULL) says why. next NULL: the usual one of the error. */
void ctl_fail_rc(struct ctl_req *r, int rc, const char *what, const struct nrs_detail *d,
    const char *next);
/* For streams: the socket, without the read time limit of a request; NULL: client gone. */
struct bufferevent *ctl_stream(struct ctl_req *r);
/* One frame of a stream. The client may be gone after it, and the request ended. */
void ctl_put(struct ctl_req *r, char kind, const void *p, size_t len);
/*
 * What belongs to a connection and outlives its requests: end() is called when
 * the connection ends, after its request was.  NULL: there is none, or none any more.
 */
struct ctl_session {
	void (*end)(struct ctl_session *s);
};
struct ctl_session *ctl_session(const struct ctl_req *r);
void ctl_session_set(struct ctl_req *r, struct ctl_session *s);

/* --- members, checked before the handler runs --- */
const char *ctl_str(const struct ctl_req *r, const char *name); /* NULL: not given */
bool ctl_bool(const struct ctl_req *r, const char *name);
uint64_t ctl_int(const struct ctl_req *r, const char *name, uint64_t missing);
/* Borrowed strings; *ret is to be freed. Absent: 0 and NULL. */
int ctl_strs(const struct ctl_req *r, const char *name, const char ***ret,
    unsigned int *ret_n) NRS_MUST_CHECK;
/* The marking in a member; missing when it is not given. NRS_ERANGE: the request was failed. */
int ctl_tlp(struct ctl_req *r, const char *name, enum nrs_tlp missing,
    enum nrs_tlp *ret) NRS_MUST_CHECK;

/* --- pieces of answers --- */
json_t *ctl_time(uint64_t ms); /* null for 0 */
json_t *ctl_b64(const struct nrs_hash *h);
/* What was meant by a name that is not known: the nearest of those tried. */
struct ctl_near {
	const char *name;
	unsigned int least;
	char best[NRS_ORIGIN_MAX + 1];
	char text[NRS_ORIGIN_MAX + 200];
};
void ctl_near_init(struct ctl_near *n, const char *name);
void ctl_near_try(struct ctl_near *n, const char *candidate);
void ctl_near_peers(struct ctl_near *n, struct app *app);
void ctl_near_communities(struct ctl_near *n, struct app *app);
/* What to do next: that name, if one is near, and what else. */
const char *ctl_near_next(struct ctl_near *n, const char *otherwise);
/* Is there a peer of this name in the configuration? Otherwise the request was failed. */
const struct conf_peer *ctl_peer(struct ctl_req *r, const char *name);
/* In sync with every connected peer. */
bool ctl_in_sync(struct app *app);
/* Fails with what a reload had to say. */
void ctl_fail_conf(struct ctl_req *r, const char *what, const struct conf_err *e);
/*
 * One community's facts, a trusted one before a pending one; false: not known.
 * ret->members is NULL: the names go to *ret_members (NULL: not wanted), to be decref'd.
 */
bool ctl_community(struct app *app, const char *name, struct node_community_info *ret,
    json_t **ret_members);

/* --- handlers --- */
void ctl_version(struct ctl_req *r);
void ctl_status(struct ctl_req *r);
void ctl_peer_list(struct ctl_req *r);
void ctl_peer_show(struct ctl_req *r);
void ctl_community_list(struct ctl_req *r);
void ctl_conf_show(struct ctl_req *r);
void ctl_stats(struct ctl_req *r);
void ctl_reload(struct ctl_req *r);
void ctl_peer_test(struct ctl_req *r);
void ctl_peer_suspend(struct ctl_req *r);
void ctl_peer_resume(struct ctl_req *r);
void ctl_peer_remove(struct ctl_req *r);
void ctl_peer_invite(struct ctl_req *r);
void ctl_peer_accept(struct ctl_req *r);
void ctl_community_create(struct ctl_req *r);
void ctl_access_add(struct ctl_req *r);
void ctl_access_list(struct ctl_req *r);
void ctl_access_revoke(struct ctl_req *r);
void ctl_submit(struct ctl_req *r);
void ctl_tail(struct ctl_req *r);
void ctl_idle(struct ctl_req *r);
void ctl_export(struct ctl_req *r);
void ctl_records_export(struct ctl_req *r);
void ctl_records_import(struct ctl_req *r);

#endif
