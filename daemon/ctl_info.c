/* Commands that only look: version, status, peers, communities, configuration. */
#include "daemon/ctl_priv.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "crypto/note.h"
#include "daemon/loop.h"
#include "daemon/net.h"

#ifndef NRS_VERSION
#define NRS_VERSION "0.1.0"
#endif

json_t *
ctl_time(uint64_t ms)
{
	char text[25];

	if (ms == 0)
		return json_null();
	nrs_time_format(text, (struct nrs_wall){ ms });
	return json_string(text);
}

json_t *
ctl_b64(const struct nrs_hash *h)
{
	char text[NRS_B64_LEN(NRS_HASH_LEN) + 1];

	nrs_b64_format(text, h->b, sizeof(h->b));
	return json_string(text);
}

static json_t *
strings(const char *const *v, unsigned int n)
{
	json_t *a = json_array();

	for (unsigned int i = 0; i < n; i++)
		json_array_append_new(a, json_string(v[i]));
	return a;
}

/* Absent or not UTF-8: null. */
static json_t *
text_or_null(const char *s)
{
	json_t *j = s != NULL ? json_string(s) : NULL;

	return j != NULL ? j : json_null();
}

/* --- pieces ----------------------------------------------------------------- */

static json_t *
peer_json(const struct node_peer_info *i)
{
	json_t *o = json_pack("{s:s, s:s, s:o, s:b, s:b, s:I, s:f, s:I, s:I}", "name",
	    i->name, "state", i->state, "why", text_or_null(i->why), "suspended",
	    i->suspended, "dialed", i->dialed, "lag_records", (json_int_t)i->lag_records,
	    "lag_s", (double)i->lag_ms / 1000.0, "behind_records",
	    (json_int_t)i->behind_records, "rx_bytes", (json_int_t)i->rx_bytes);
	json_t *more = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:i, s:o, s:I, s:o}",
	    "tx_bytes", (json_int_t)i->tx_bytes, "rx_records", (json_int_t)i->rx_records,
	    "tx_records", (json_int_t)i->tx_records, "refused_in",
	    (json_int_t)i->refused_in, "refused_out", (json_int_t)i->refused_out,
	    "clock_ms", (json_int_t)i->clock_ms, "up_since", ctl_time(i->up_since_ms),
	    "version", (int)i->version, "quota", text_or_null(i->quota), "kept_bytes",
	    (json_int_t)i->kept_bytes, "communities",
	    strings(i->communities, i->ncommunities));

	json_object_update(o, more);
	json_decref(more);
	return o;
}

static json_t *
community_json(const struct node_community_info *i)
{
	static const char *const onward[] = { "none", "members", "constituents" };

	return json_pack(
	    "{s:s, s:o, s:s, s:I, s:s, s:b, s:b, s:b, s:b, s:b, s:b, s:s, s:o}", "name",
	    i->name, "id", ctl_b64(&i->id), "founder", i->founder, "epoch",
	    (json_int_t)i->epoch, "ceiling", nrs_tlp_name((enum nrs_tlp)i->ceiling),
	    "trusted", i->trusted, "member", i->member, "steward", i->steward, "frozen",
	    i->frozen, "history", i->history, "exercise", i->exercise, "onward",
	    onward[i->onward <= 2 ? i->onward : 0], "members",
	    strings(i->members, i->nmembers));
}

static int
add_peer(void *arg, const struct node_peer_info *i)
{
	json_array_append_new(arg, peer_json(i));
	return 0;
}

static int
add_community(void *arg, const struct node_community_info *i)
{
	json_array_append_new(arg, community_json(i));
	return 0;
}

static int
add_origin(void *arg, const struct node_origin_info *i)
{
	json_array_append_new(arg,
	    json_pack("{s:s, s:b, s:I, s:o, s:I, s:I, s:I, s:b, s:o}", "origin", i->origin,
		"own", i->own, "size", (json_int_t)i->size, "root", ctl_b64(&i->root),
		"opened", (json_int_t)i->opened, "refused", (json_int_t)i->refused,
		"on_checkpoint", (json_int_t)i->on_checkpoint, "frozen", i->frozen,
		"source", text_or_null(i->source)));
	return 0;
}

static int
add_refusal(void *arg, const char *name, uint64_t count)
{
	json_object_set_new(arg, name, json_integer((json_int_t)count));
	return 0;
}

static json_t *
list_of_peers(struct node *n)
{
	json_t *a = json_array();

	node_peers(n, add_peer, a);
	return a;
}

static json_t *
list_of_communities(struct node *n)
{
	json_t *a = json_array();

	node_communities(n, add_community, a);
	return a;
}

struct sync_walk {
	bool in_sync;
};

static int
check_sync(void *arg, const struct node_peer_info *i)
{
	struct sync_walk *w = arg;

	if (i->up_since_ms != 0 && (i->lag_records != 0 || i->behind_records != 0))
		w->in_sync = false;
	return !w->in_sync;
}

bool
ctl_in_sync(struct app *app)
{
	struct sync_walk w = { true };

	node_peers(app->node, check_sync, &w);
	return w.in_sync;
}

struct community_walk {
	const char *name;
	struct node_community_info *ret;
	json_t *members;
	bool found;
};

static int
match_community(void *arg, const struct node_community_info *i)
{
	struct community_walk *w = arg;

	if (strcmp(i->name, w->name) != 0 || (w->found && !i->trusted))
		return 0;
	w->found = true;
	*w->ret = *i;
	w->ret->members = NULL; /* the list lives no longer than this call */
	json_decref(w->members);
	w->members = strings(i->members, i->nmembers);
	return i->trusted; /* a trusted one wins over a pending one of its name */
}

bool
ctl_community(struct app *app, const char *name, struct node_community_info *ret,
    json_t **ret_members)
{
	struct community_walk w = { name, ret, NULL, false };

	node_communities(app->node, match_community, &w);
	if (ret_members != NULL)
		*ret_members = w.members;
	else
		json_decref(w.members);
	return w.found;
}

/* --- commands --------------------------------------------------------------- */

static json_t *
identity(struct app *app)
{
	return json_pack("{s:s, s:s, s:s, s:i}", "version", NRS_VERSION, "origin",
	    app->conf->origin, "fingerprint", app->fingerprint, "protocol", 1);
}

void
ctl_version(struct ctl_req *r)
{
	ctl_ok(r, identity(r->app));
}

void
ctl_status(struct ctl_req *r)
{
	struct app *app = r->app;
	struct node_counts c;
	json_t *o = identity(app), *origins = json_array(), *refusals = json_object(),
	       *more;
	uint64_t now = loop_wall().ms;

	node_counts(app->node, &c);
	node_origins(app->node, add_origin, origins);
	node_refusals(app->node, add_refusal, refusals);
	more = json_pack("{s:s, s:o, s:I, s:I, s:{s:I, s:I, s:I}, s:o, s:o, s:o, s:o, s:I}",
	    "state",
	    app->draining ? "draining"
		: c.full  ? "full"
			  : "serving",
	    "started", ctl_time(app->started.ms), "uptime_s",
	    (json_int_t)((now > app->started.ms ? now - app->started.ms : 0) / 1000),
	    "events", (json_int_t)c.events, "journal", "bytes", (json_int_t)c.journal_bytes,
	    "segments", (json_int_t)c.journal_segments, "batches", (json_int_t)c.batches,
	    "origins", origins, "peers", list_of_peers(app->node), "communities",
	    list_of_communities(app->node), "refusals", refusals, "readers",
	    (json_int_t)c.readers);
	json_object_update(o, more);
	json_decref(more);
	ctl_ok(r, o);
}

void
ctl_peer_list(struct ctl_req *r)
{
	ctl_ok(r, json_pack("{s:o}", "peers", list_of_peers(r->app->node)));
}

void
ctl_community_list(struct ctl_req *r)
{
	ctl_ok(r, json_pack("{s:o}", "communities", list_of_communities(r->app->node)));
}

/* --- names that are not known ------------------------------------------------ */

void
ctl_near_init(struct ctl_near *n, const char *name)
{
	memset(n, 0, sizeof(*n));
	n->name = name;
	n->least = (unsigned int)(strlen(name) < 64 ? strlen(name) : 64) / 3 + 2;
}

void
ctl_near_try(struct ctl_near *n, const char *candidate)
{
	unsigned int d = nrs_text_distance(n->name, candidate);

	if (d >= n->least)
		return;
	n->least = d;
	snprintf(n->best, sizeof(n->best), "%s", candidate);
}

void
ctl_near_peers(struct ctl_near *n, struct app *app)
{
	for (unsigned int i = 0; i < app->conf->npeers; i++)
		ctl_near_try(n, app->conf->peers[i].origin);
}

static int
near_community(void *arg, const struct node_community_info *i)
{
	ctl_near_try(arg, i->name);
	return 0;
}

void
ctl_near_communities(struct ctl_near *n, struct app *app)
{
	node_communities(app->node, near_community, n);
}

const char *
ctl_near_next(struct ctl_near *n, const char *otherwise)
{
	/* The name itself: something else is wrong with it. */
	if (n->best[0] == '\0' || n->least == 0)
		return otherwise;
	snprintf(
	    n->text, sizeof(n->text), "did you mean %s? Otherwise %s", n->best, otherwise);
	return n->text;
}

const struct conf_peer *
ctl_peer(struct ctl_req *r, const char *name)
{
	const struct conf_peer *p = conf_peer_find(r->app->conf, name);
	char why[400], shown[128];
	struct ctl_near near;

	if (p != NULL)
		return p;
	ctl_near_init(&near, name);
	ctl_near_peers(&near, r->app);
	nrs_text_escape(shown, sizeof(shown), name, strlen(name));
	snprintf(why, sizeof(why), "there is no peer \"%s\" in the configuration", shown);
	ctl_fail(r, "unknown", "unknown peer", why,
	    ctl_near_next(&near,
		"list the peers (noroshi peer list), or add it (noroshi peer accept)"),
	    EX_DATAERR);
	return NULL;
}

struct show_walk {
	const char *name;
	json_t *found;
};

static int
match_peer(void *arg, const struct node_peer_info *i)
{
	struct show_walk *w = arg;

	if (strcmp(i->name, w->name) != 0)
		return 0;
	w->found = peer_json(i);
	return 1;
}

void
ctl_peer_show(struct ctl_req *r)
{
	const char *name = ctl_str(r, "name");
	const struct conf_peer *p = ctl_peer(r, name);
	struct show_walk w = { name, NULL };
	char fp[25];

	if (p == NULL)
		return;
	node_peers(r->app->node, match_peer, &w);
	if (w.found == NULL)
		w.found = json_pack("{s:s, s:s}", "name", name, "state", "idle");
	nrs_fingerprint_format(fp, &p->m.hash);
	json_object_set_new(w.found, "fingerprint", json_string(fp));
	json_object_set_new(
	    w.found, "manifest", json_stringn((const char *)p->manifest, p->manifest_len));
	json_object_set_new(w.found, "addresses",
	    strings((const char *const *)p->addresses.v, p->addresses.n));
	ctl_ok(r, w.found);
}

void
ctl_conf_show(struct ctl_req *r)
{
	struct nrs_buf b;
	int rc;

	nrs_buf_init(&b, 4u << 20);
	if ((rc = conf_print(r->app->conf, &b)) != 0 || (rc = b.err) != 0)
		ctl_fail_rc(r, rc, "the configuration cannot be shown", NULL, NULL);
	else
		ctl_ok(
		    r, json_pack("{s:o}", "text", json_stringn((const char *)b.p, b.len)));
	nrs_buf_fini(&b);
}

void
ctl_fail_conf(struct ctl_req *r, const char *what, const struct conf_err *e)
{
	ctl_fail(r, "conf", what, e->text[0] != '\0' ? e->text : "it could not be read",
	    "correct it and reload; the configuration before stays in force", EX_CONFIG);
}

void
ctl_reload(struct ctl_req *r)
{
	struct conf_err e = { 0 };

	if (app_reload(r->app, &e) != 0)
		ctl_fail_conf(r, "the configuration was not reloaded", &e);
	else
		ctl_ok(r, json_pack("{s:b}", "ok", 1));
}
