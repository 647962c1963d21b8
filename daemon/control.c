/*
 * The control socket: who calls, frame by frame what is asked, and the answer.
 * Memory that callers can make us hold is counted over all of them.
 */
#include "daemon/ctl_priv.h"

#include <sys/socket.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#include "base/queue.h"
#include "base/text.h"
#include "daemon/log.h"
#include "daemon/unix_socket.h"

#define J_MAX	   (4u << 20)
#define B_MAX	   (16u << 20)
#define ANSWER_MAX (17u << 20) /* of a B: a payload and its proof */
#define HELD_MAX   (64u << 20) /* bodies of all requests together */
#define IDLE_S	   600
#define BODY_S	   30 /* between two pieces of a body */
#define GROUPS_MAX 256
#define PAUSE_S	   1

struct ctl_conn {
	TAILQ_ENTRY(ctl_conn) link;
	struct control *ct;
	struct bufferevent *bev;
	enum conf_role role;
	char who[32];
	uint32_t uid;
	struct ctl_req *req;	     /* under way */
	struct ctl_req *coming;	     /* its J is here, its B is not */
	struct ctl_session *session; /* outlives its requests */
	uint8_t *body;		     /* being read */
	size_t len, have;
	char kind;
	bool ending; /* freed once its last answer is out */
	bool dead;   /* on the dying list */
};
TAILQ_HEAD(ctl_conns, ctl_conn);

struct control {
	struct app *app;
	char path[128];
	struct evconnlistener *listener;
	struct event *resume;
	struct event *reap;
	struct ctl_conns conns, dying;
	unsigned int nconns;
	size_t held;
	struct {
		struct ctl_req **v;
		unsigned int n, cap;
	} reqs; /* all that are not ended: they outlive their connections */
};

/* --- requests ------------------------------------------------------------- */

static struct ctl_req *
req_new(struct ctl_conn *c, json_t *args)
{
	struct control *ct = c->ct;
	struct ctl_req *r, **v;

	if (ct->reqs.n == ct->reqs.cap) {
		v = realloc(
		    ct->reqs.v, (ct->reqs.cap * 2u + 16u) * sizeof(struct ctl_req *));
		if (v == NULL)
			return NULL;
		ct->reqs.v = v;
		ct->reqs.cap = ct->reqs.cap * 2u + 16u;
	}
	if ((r = calloc(1, sizeof(*r))) == NULL)
		return NULL;
	r->ct = ct;
	r->app = ct->app;
	r->conn = c;
	r->role = c->role;
	r->args = args;
	memcpy(r->who, c->who, sizeof(r->who));
	r->uid = c->uid;
	ct->reqs.v[ct->reqs.n++] = r;
	return r;
}

static void
req_free(struct ctl_req *r)
{
	struct control *ct = r->ct;

	if (ct != NULL) {
		ct->held -= r->charged;
		for (unsigned int i = 0; i < ct->reqs.n; i++)
			if (ct->reqs.v[i] == r) {
				ct->reqs.v[i] = ct->reqs.v[--ct->reqs.n];
				break;
			}
	}
	json_decref(r->args);
	free(r->body);
	free(r);
}

/* --- connections ---------------------------------------------------------- */

static void
conn_free(struct ctl_conn *c)
{
	bufferevent_free(c->bev);
	free(c->body);
	free(c);
}

static void
on_reap(evutil_socket_t fd, short what, void *arg)
{
	struct control *ct = arg;
	struct ctl_conn *c;

	while ((c = TAILQ_FIRST(&ct->dying)) != NULL) {
		TAILQ_REMOVE(&ct->dying, c, link);
		conn_free(c);
	}
}

static void
conn_end(struct ctl_conn *c)
{
	struct control *ct = c->ct;
	struct ctl_req *r;

	if (c->dead)
		return;
	c->dead = true;
	bufferevent_setcb(c->bev, NULL, NULL, NULL, NULL);
	bufferevent_disable(c->bev, EV_READ | EV_WRITE);
	if (c->body != NULL)
		ct->held -= c->len;
	if (c->coming != NULL)
		req_free(c->coming);
	c->coming = NULL;
	if ((r = c->req) != NULL) {
		c->req = NULL;
		r->conn = NULL;
		if (r->gone != NULL)
			r->gone(r);
	}
	if (c->session != NULL)
		c->session->end(c->session);
	c->session = NULL;
	TAILQ_REMOVE(&ct->conns, c, link);
	TAILQ_INSERT_TAIL(&ct->dying, c, link);
	ct->nconns--;
	event_active(ct->reap, EV_TIMEOUT, 0);
}

static void
put_frame(struct ctl_conn *c, char kind, const void *p, size_t len)
{
	struct evbuffer *out = bufferevent_get_output(c->bev);
	uint8_t head[5];

	nrs_put_u32(head, (uint32_t)len);
	head[4] = (uint8_t)kind;
	if (evbuffer_add(out, head, sizeof(head)) != 0 || evbuffer_add(out, p, len) != 0)
		conn_end(c); /* half an answer is none */
}

static void
put_json(struct ctl_conn *c, json_t *j)
{
	static const char nomem[] =
	    "{\"error\":{\"code\":\"nomem\",\"what\":\"the answer could not be made\","
	    "\"why\":\"out of memory\",\"next\":\"try again later\",\"exit\":75}}";
	char *text = j != NULL ? json_dumps(j, JSON_COMPACT) : NULL;

	if (text != NULL && strlen(text) <= J_MAX)
		put_frame(c, 'J', text, strlen(text));
	else
		put_frame(c, 'J', nomem, sizeof(nomem) - 1);
	free(text);
}

static json_t *
error_json(
    const char *code, const char *what, const char *why, const char *next, int status)
{
	/* Text may hold bytes from files and peers: jansson takes UTF-8 only. */
	char w[4096];

	nrs_text_escape(w, sizeof(w), why, strlen(why));
	return json_pack("{s:{s:s,s:s,s:s,s:s,s:i}}", "error", "code", code, "what", what,
	    "why", nrs_utf8_ok((const uint8_t *)why, strlen(why), NULL) ? why : w, "next",
	    next, "exit", status);
}

/* The last thing said on a connection that cannot be understood. */
static void
refuse(struct ctl_conn *c, const char *code, const char *what, const char *why,
    const char *next, int status)
{
	json_t *j = error_json(code, what, why, next, status);

	put_json(c, j);
	json_decref(j);
	c->ending = true;
	if (c->dead)
		return;
	/* What else was sent is not read: the write callback ends the connection. */
	bufferevent_disable(c->bev, EV_READ);
	bufferevent_trigger(c->bev, EV_WRITE, BEV_TRIG_DEFER_CALLBACKS);
}

static void
set_limit(struct ctl_conn *c, int seconds)
{
	const struct timeval tv = { seconds, 0 };

	bufferevent_set_timeouts(c->bev, seconds > 0 ? &tv : NULL, NULL);
}

/* --- ends of a request ------------------------------------------------------ */

static void
end_request(struct ctl_req *r)
{
	struct ctl_conn *c = r->conn;

	req_free(r);
	if (c == NULL || c->dead)
		return;
	c->req = NULL;
	set_limit(c, IDLE_S);
	bufferevent_trigger(
	    c->bev, EV_READ, BEV_TRIG_DEFER_CALLBACKS | BEV_TRIG_IGNORE_WATERMARKS);
	bufferevent_trigger(c->bev, EV_WRITE, BEV_TRIG_DEFER_CALLBACKS);
}

void
ctl_ok(struct ctl_req *r, json_t *answer)
{
	if (r->conn != NULL)
		put_json(r->conn, answer);
	json_decref(answer);
	end_request(r);
}

void
ctl_ok_data(struct ctl_req *r, json_t *answer, const void *data, size_t len)
{
	if (r->conn != NULL && answer != NULL && len <= ANSWER_MAX &&
	    json_object_set_new(answer, "attach", json_true()) == 0) {
		put_json(r->conn, answer);
		if (!r->conn->dead)
			put_frame(r->conn, 'B', data, len);
	} else if (r->conn != NULL) {
		put_json(r->conn, NULL);
	}
	json_decref(answer);
	end_request(r);
}

void
ctl_fail(struct ctl_req *r, const char *code, const char *what, const char *why,
    const char *next, int exit_status)
{
	ctl_ok(r, error_json(code, what, why, next, exit_status));
}

static int
exit_of(int rc, const char **next)
{
	switch (rc) {
	case NRS_EPERM:
	case NRS_EPIN:
	case NRS_ESUSPENDED:
		*next = "ask an operator of this node";
		return EX_NOPERM;
	case NRS_EFULL:
		*next = "free some space on the disk of the node; it goes on by itself";
		return EX_TEMPFAIL;
	case NRS_EBUSY:
	case NRS_ESTATE:
	case NRS_ENOMEM:
	case NRS_ECANCELED:
	case NRS_EQUOTA:
		*next = "try again later";
		return EX_TEMPFAIL;
	case NRS_EIO:
	case NRS_ECORRUPT:
		*next = "see the log of the daemon";
		return EX_IOERR;
	case NRS_EINTERNAL:
	case NRS_ECRYPTO:
		*next = "see the log of the daemon, and report it";
		return EX_SOFTWARE;
	case NRS_EUNKNOWN:
		*next = "list what there is: noroshi peer list, noroshi community list";
		return EX_DATAERR;
	default:
		*next = "correct the input";
		return EX_DATAERR;
	}
}

void
ctl_fail_rc(struct ctl_req *r, int rc, const char *what, const struct nrs_detail *d,
    const char *next)
{
	const char *usual;
	int status = exit_of(rc, &usual);
	char why[400];

	if (d == NULL || d->code == 0 || d->text[0] == '\0')
		snprintf(why, sizeof(why), "%s", nrs_strerror(rc));
	else if (d->path[0] != '\0')
		snprintf(why, sizeof(why), "%s: %s (byte %llu)", d->path, d->text,
		    (unsigned long long)d->off);
	else
		snprintf(why, sizeof(why), "%s", d->text);
	ctl_fail(r, nrs_errname(rc), what, why, next != NULL ? next : usual, status);
}

void
ctl_put(struct ctl_req *r, char kind, const void *p, size_t len)
{
	if (r->conn != NULL && !r->conn->dead)
		put_frame(r->conn, kind, p, len);
}

struct ctl_session *
ctl_session(const struct ctl_req *r)
{
	return r->conn != NULL ? r->conn->session : NULL;
}

void
ctl_session_set(struct ctl_req *r, struct ctl_session *s)
{
	if (r->conn != NULL)
		r->conn->session = s;
}

struct bufferevent *
ctl_stream(struct ctl_req *r)
{
	if (r->conn == NULL)
		return NULL;
	set_limit(r->conn, 0);
	return r->conn->bev;
}

/* --- members ---------------------------------------------------------------- */

static bool
type_fits(char type, const json_t *v)
{
	size_t i;
	json_t *e;

	switch (type) {
	case 's':
		return json_is_string(v);
	case 'b':
		return json_is_boolean(v);
	case 'i':
		return json_is_integer(v) && json_integer_value(v) >= 0;
	case 'S':
		if (!json_is_array(v) || json_array_size(v) > NRS_MEMBERS_MAX)
			return false;
		json_array_foreach((json_t *)(uintptr_t)v, i, e)
			if (!json_is_string(e))
				return false;
		return true;
	default:
		return false;
	}
}

static const char *
type_name(char type)
{
	return type == 's' ? "a string"
	    : type == 'b'  ? "true or false"
	    : type == 'i'  ? "a whole number, 0 or more"
			   : "a list of strings";
}

/* Finds "key:T" in a row; returns its type, '\0' if there is none. nearest: 64 bytes. */
static char
member_type(const char *members, const char *key, char *nearest)
{
	unsigned int best = 4, d;
	const char *p = members;
	char name[64];
	size_t n;

	for (; *p != '\0'; p += n) {
		p += strspn(p, " ");
		n = strcspn(p, " ");
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(p, ":"), p);
		if (strcmp(name, key) == 0)
			return p[strlen(name) + 1];
		d = nrs_text_distance(name, key);
		if (d < best) {
			best = d;
			memcpy(nearest, name, sizeof(name));
		}
	}
	return '\0';
}

/* NULL: all is well; else what is wrong. */
static const char *
check_members(const struct ctl_cmd *cmd, json_t *args, char *why, size_t max)
{
	char nearest[64] = "", name[64];
	const char *key, *p;
	json_t *v;
	char type;
	size_t n;

	json_object_foreach(args, key, v) {
		if (strcmp(key, "v") == 0 || strcmp(key, "cmd") == 0 ||
		    strcmp(key, "attach") == 0)
			continue;
		nearest[0] = '\0';
		if ((type = member_type(cmd->members, key, nearest)) == '\0') {
			snprintf(why, max, "unknown member \"%.60s\"%s%s%s", key,
			    nearest[0] != '\0' ? "; did you mean \"" : "", nearest,
			    nearest[0] != '\0' ? "\"?" : "");
			return why;
		}
		if (!type_fits(type, v)) {
			snprintf(why, max, "\"%s\" must be %s", key, type_name(type));
			return why;
		}
	}
	for (p = cmd->members; *p != '\0'; p += n) {
		p += strspn(p, " ");
		n = strcspn(p, " ");
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(p, ":"), p);
		if (n > 0 && p[n - 1] == '!' && json_object_get(args, name) == NULL) {
			snprintf(why, max, "\"%s\" is missing", name);
			return why;
		}
	}
	return NULL;
}

const char *
ctl_str(const struct ctl_req *r, const char *name)
{
	return json_string_value(json_object_get(r->args, name));
}

bool
ctl_bool(const struct ctl_req *r, const char *name)
{
	return json_is_true(json_object_get(r->args, name));
}

uint64_t
ctl_int(const struct ctl_req *r, const char *name, uint64_t missing)
{
	const json_t *v = json_object_get(r->args, name);

	return v == NULL ? missing : (uint64_t)json_integer_value(v);
}

int
ctl_strs(const struct ctl_req *r, const char *name, const char ***ret, unsigned int *ret_n)
{
	const json_t *v = json_object_get(r->args, name);
	size_t n = json_array_size(v);

	*ret = NULL;
	*ret_n = 0;
	if (v == NULL)
		return 0;
	if ((*ret = calloc(n + 1, sizeof(const char *))) == NULL)
		return NRS_ENOMEM;
	for (size_t i = 0; i < n; i++)
		(*ret)[i] = json_string_value(json_array_get(v, i));
	*ret_n = (unsigned int)n;
	return 0;
}

int
ctl_tlp(struct ctl_req *r, const char *name, enum nrs_tlp missing, enum nrs_tlp *ret)
{
	const char *s = ctl_str(r, name);

	*ret = missing;
	if (s == NULL || nrs_tlp_parse(s, strlen(s), ret) == 0)
		return 0;
	ctl_fail(r, "range", "the marking is not known", "it is not a TLP 2.0 marking",
	    "use CLEAR, GREEN, AMBER, AMBER+STRICT or RED", EX_USAGE);
	return NRS_ERANGE;
}

/* --- dispatch --------------------------------------------------------------- */

static const struct ctl_cmd *
find_cmd(const char *name, const char **ret_nearest)
{
	unsigned int best = 4, d;

	*ret_nearest = NULL;
	for (unsigned int i = 0; i < ctl_ncmds; i++) {
		if (strcmp(ctl_cmds[i].name, name) == 0)
			return &ctl_cmds[i];
		d = nrs_text_distance(ctl_cmds[i].name, name);
		if (d < best) {
			best = d;
			*ret_nearest = ctl_cmds[i].name;
		}
	}
	return NULL;
}

static void
run(struct ctl_req *r)
{
	struct app *app = r->app;
	char why[200];

	r->conn->req = r;
	set_limit(r->conn, IDLE_S);
	if (r->role < r->cmd->role) {
		snprintf(why, sizeof(why), "the command is for %ss, and %s is a %s here",
		    conf_role_name(r->cmd->role), r->who, conf_role_name(r->role));
		log_notice(
		    "control", "%s refused to %s: not allowed", r->cmd->name, r->who);
		ctl_fail(r, "perm", "not allowed", why,
		    "ask an operator, who may name you in \"node { operators ... }\"",
		    EX_NOPERM);
		return;
	}
	if (app->node == NULL) {
		ctl_fail(r, "state", "the node is not ready", "it is starting or ending",
		    "try again later", EX_TEMPFAIL);
		return;
	}
	/* Waits may be long; only their own ends count. */
	set_limit(r->conn, 0);
	r->cmd->run(r);
	app_touch(app);
}

/* Says what is wrong; false. */
static bool
ask_refused(struct ctl_ask *a, const char *code, const char *what, const char *next)
{
	a->code = code;
	a->what = what;
	a->next = next;
	return false;
}

bool
ctl_ask_parse(struct ctl_ask *ret, const uint8_t *p, size_t len)
{
	const char *name, *nearest = NULL, *bad;
	json_error_t je;
	json_t *j;

	memset(ret, 0, sizeof(*ret));
	j = json_loadb((const char *)p, len, JSON_REJECT_DUPLICATES, &je);
	if (!json_is_object(j)) {
		snprintf(ret->why, sizeof(ret->why), "%s",
		    j == NULL ? je.text : "it is not an object");
		json_decref(j);
		return ask_refused(ret, "syntax", "the request is malformed",
		    "send one JSON object: docs/CONTROL.md");
	}
	ret->args = j;
	ret->attach = json_is_true(json_object_get(j, "attach"));
	if (json_integer_value(json_object_get(j, "v")) != 1) {
		snprintf(ret->why, sizeof(ret->why),
		    "this daemon speaks version 1 of the control protocol");
		return ask_refused(ret, "version", "the request is of another version",
		    "use the noroshi of this version");
	}
	name = json_string_value(json_object_get(j, "cmd"));
	ret->cmd = name != NULL ? find_cmd(name, &nearest) : NULL;
	if (ret->cmd == NULL) {
		snprintf(ret->why, sizeof(ret->why), "there is no command \"%.60s\"%s%s%s",
		    name != NULL ? name : "", nearest != NULL ? "; did you mean \"" : "",
		    nearest != NULL ? nearest : "", nearest != NULL ? "\"?" : "");
		return ask_refused(
		    ret, "unknown", "unknown command", "see docs/CONTROL.md");
	}
	bad = check_members(ret->cmd, j, ret->why, sizeof(ret->why));
	if (bad == NULL && ret->attach == ret->cmd->attach)
		return true;
	if (bad == NULL)
		snprintf(ret->why, sizeof(ret->why), "%s",
		    ret->attach ? "nothing may be attached to this command"
				: "an attachment is missing");
	return ask_refused(
	    ret, "syntax", "the request is not as it should be", "see docs/CONTROL.md");
}

static void
take_json(struct ctl_conn *c, const uint8_t *p, size_t len)
{
	struct ctl_ask a;
	struct ctl_req *r;
	bool ok = ctl_ask_parse(&a, p, len);

	if (a.args == NULL) {
		refuse(c, a.code, a.what, a.why, a.next, EX_USAGE);
		return;
	}
	if ((r = req_new(c, a.args)) == NULL) {
		json_decref(a.args);
		conn_end(c);
		return;
	}
	c->req = r;
	r->cmd = a.cmd;
	if (!ok) {
		ctl_fail(r, a.code, a.what, a.why, a.next, EX_USAGE);
		/* The B that would follow belongs to nothing. */
		c->ending = c->ending || a.attach;
		return;
	}
	if (!a.attach || r->role < a.cmd->role) {
		c->ending = a.attach; /* refused before the B is read */
		run(r);
		return;
	}
	c->req = NULL;
	c->coming = r;
}

static void
take_frame(struct ctl_conn *c)
{
	struct ctl_req *r = c->coming;
	uint8_t *p = c->body;
	size_t len = c->len;

	c->body = NULL;
	if (c->kind == 'J') {
		c->ct->held -= len;
		take_json(c, p, len);
		free(p);
		return;
	}
	c->coming = NULL;
	r->body = p;
	r->body_len = len;
	r->charged = len;
	run(r);
}

/* The five bytes before a body. False: the connection is at its end. */
static bool
take_header(struct ctl_conn *c, struct evbuffer *in)
{
	uint8_t head[5];

	evbuffer_remove(in, head, sizeof(head));
	c->len = nrs_get_u32(head);
	c->kind = (char)head[4];
	c->have = 0;
	if (c->kind != (c->coming != NULL ? 'B' : 'J')) {
		refuse(c, "syntax", "a frame of the wrong kind",
		    c->coming != NULL ? "a B must follow" : "a request begins with a J",
		    "see docs/CONTROL.md", EX_USAGE);
		return false;
	}
	if (c->len > (c->kind == 'J' ? J_MAX : B_MAX)) {
		refuse(c, "limit", "a frame is too long",
		    c->kind == 'J' ? "a J is at most 4 MiB" : "a B is at most 16 MiB",
		    "send less at once", EX_DATAERR);
		return false;
	}
	if (c->ct->held + c->len > HELD_MAX) {
		refuse(c, "busy", "too much is being sent at once",
		    "requests under way already hold 64 MiB", "try again in a moment",
		    EX_TEMPFAIL);
		return false;
	}
	if ((c->body = malloc(c->len + 1)) == NULL) {
		refuse(c, "nomem", "the request cannot be taken", "out of memory",
		    "try again later", EX_TEMPFAIL);
		return false;
	}
	c->ct->held += c->len;
	set_limit(c, BODY_S);
	return true;
}

static void
on_read(struct bufferevent *bev, void *arg)
{
	struct ctl_conn *c = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	ssize_t n;

	while (!c->dead && !c->ending && c->req == NULL) {
		if (c->body == NULL) {
			if (evbuffer_get_length(in) < 5 || !take_header(c, in))
				return;
		}
		n = evbuffer_remove(in, c->body + c->have, c->len - c->have);
		c->have += n > 0 ? (size_t)n : 0;
		if (c->have < c->len)
			return;
		take_frame(c);
	}
}

static void
on_write(struct bufferevent *bev, void *arg)
{
	struct ctl_conn *c = arg;

	if (c->ending && c->req == NULL) {
		if (evbuffer_get_length(bufferevent_get_output(bev)) == 0)
			conn_end(c);
		else
			bufferevent_setwatermark(bev, EV_WRITE, 0, 0);
		return;
	}
	if (c->req != NULL && c->req->drained != NULL)
		c->req->drained(c->req);
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	conn_end(arg);
}

/* --- accepting --------------------------------------------------------------- */

static void
identify(struct ctl_conn *c, int fd)
{
	gid_t groups[GROUPS_MAX + 1];
	socklen_t len = sizeof(struct ucred), glen = GROUPS_MAX * sizeof(gid_t);
	unsigned int n = 0;
	struct ucred cred;

	c->role = CONF_ROLE_NONE;
	snprintf(c->who, sizeof(c->who), "unknown");
	c->uid = UINT32_MAX;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0 ||
	    len != sizeof(cred))
		return;
	snprintf(c->who, sizeof(c->who), "uid %u", (unsigned int)cred.uid);
	c->uid = cred.uid;
	/* The groups the process really has, not what a name service says of its user. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &glen) == 0)
		n = glen / sizeof(gid_t);
	groups[n++] = cred.gid;
	c->role = conf_role_of(c->ct->app->conf, cred.uid, groups, n);
}

static void
on_accept(
    struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int salen, void *arg)
{
	struct control *ct = arg;
	struct ctl_conn *c;

	if ((c = calloc(1, sizeof(*c))) == NULL) {
		close(fd);
		return;
	}
	c->ct = ct;
	c->bev = bufferevent_socket_new(
	    ct->app->base, fd, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	if (c->bev == NULL) {
		close(fd);
		free(c);
		return;
	}
	identify(c, fd);
	TAILQ_INSERT_TAIL(&ct->conns, c, link);
	ct->nconns++;
	bufferevent_setcb(c->bev, on_read, on_write, on_event, c);
	bufferevent_setwatermark(c->bev, EV_READ, 0, 256u << 10);
	bufferevent_setwatermark(c->bev, EV_WRITE, 64u << 10, 0);
	set_limit(c, IDLE_S);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
	if (c->role == CONF_ROLE_NONE) {
		log_notice("control", "connection refused to %s: it has no role", c->who);
		refuse(c, "perm", "not allowed", "you have no role on this node",
		    "ask an operator to name you, or a group of yours, in \"node { readers ... }\"",
		    EX_NOPERM);
	} else if (ct->nconns > ct->app->conf->control_connections) {
		refuse(c, "busy", "too many connections",
		    "the control socket has all it takes", "try again later", EX_TEMPFAIL);
	}
}

static void
on_accept_error(struct evconnlistener *l, void *arg)
{
	const struct timeval tv = { PAUSE_S, 0 };
	struct control *ct = arg;

	log_error(
	    "control", "cannot accept connections, trying again: %s", strerror(errno));
	evconnlistener_disable(l);
	evtimer_add(ct->resume, &tv);
}

static void
on_resume(evutil_socket_t fd, short what, void *arg)
{
	struct control *ct = arg;

	evconnlistener_enable(ct->listener);
}

int
control_new(struct app *app, struct control **ret, struct nrs_detail *d)
{
	struct control *ct;
	int fd = -1, rc = NRS_ENOMEM;

	*ret = NULL;
	if ((ct = calloc(1, sizeof(*ct))) == NULL)
		return nrs_fail(d, NRS_ENOMEM, 0, "no memory for the control socket");
	ct->app = app;
	TAILQ_INIT(&ct->conns);
	TAILQ_INIT(&ct->dying);
	/* Anyone may connect and is told why not: the role decides, not the mode. */
	if ((rc = unix_listen(app->conf->control, 0666, (gid_t)-1, &fd, d)) != 0)
		goto fail;
	snprintf(ct->path, sizeof(ct->path), "%s", app->conf->control);
	rc = NRS_ENOMEM;
	ct->reap = event_new(app->base, -1, 0, on_reap, ct);
	ct->resume = evtimer_new(app->base, on_resume, ct);
	ct->listener = evconnlistener_new(
	    app->base, on_accept, ct, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	if (ct->reap == NULL || ct->resume == NULL || ct->listener == NULL) {
		if (ct->listener == NULL)
			close(fd);
		nrs_fail(d, rc, 0, "no memory for the control socket");
		goto fail;
	}
	evconnlistener_set_error_cb(ct->listener, on_accept_error);
	*ret = ct;
	return 0;
fail:
	control_free(ct);
	return rc;
}

void
control_stop(struct control *ct)
{
	evtimer_del(ct->resume);
	evconnlistener_disable(ct->listener);
}

void
control_free(struct control *ct)
{
	struct ctl_conn *c;

	if (ct == NULL)
		return;
	while ((c = TAILQ_FIRST(&ct->conns)) != NULL)
		conn_end(c);
	while ((c = TAILQ_FIRST(&ct->dying)) != NULL) {
		TAILQ_REMOVE(&ct->dying, c, link);
		conn_free(c);
	}
	/* What the engine has not answered yet ends with its answer. */
	for (unsigned int i = 0; i < ct->reqs.n; i++)
		ct->reqs.v[i]->ct = NULL;
	free(ct->reqs.v);
	if (ct->listener != NULL)
		evconnlistener_free(ct->listener);
	if (ct->path[0] != '\0')
		(void)unlink(ct->path); /* a stale one is replaced at the next start */
	if (ct->resume != NULL)
		event_free(ct->resume);
	if (ct->reap != NULL)
		event_free(ct->reap);
	free(ct);
}
