/*
 * peer.test: which step of the way to a peer works.  It dials when there is no
 * session, waits for the outcome, and then names the first thing that is wrong
 * and what to do about it.
 */
#include "daemon/ctl_priv.h"

#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/text.h"
#include "daemon/loop.h"
#include "daemon/net.h"

#define POLL_MS	   100
#define LIMIT_NS   (UINT64_C(14) * 1000000000)
#define SESSION_NS (UINT64_C(3) * 1000000000) /* after TLS: HELLO and what follows */
#define SKEW_MS	   NRS_CLOCK_SKEW_MS

struct test {
	struct ctl_req *r;
	struct event *ev;
	char name[NRS_ORIGIN_MAX + 1];
	struct nrs_mono until, tls_since;
	uint64_t attempts; /* when it began */
	struct node_peer_info info;
	char state[32], why[160];
	bool found, up;
	json_t *checks;
};

static void
test_free(struct test *t)
{
	if (t->ev != NULL)
		event_free(t->ev);
	json_decref(t->checks);
	free(t);
}

static void
test_gone(struct ctl_req *r)
{
	test_free(r->priv);
	ctl_ok(r, NULL);
}

static int
match(void *arg, const struct node_peer_info *i)
{
	struct test *t = arg;

	if (strcmp(i->name, t->name) != 0)
		return 0;
	t->info = *i;
	snprintf(t->state, sizeof(t->state), "%s", i->state);
	nrs_text_escape(t->why, sizeof(t->why), i->why != NULL ? i->why : "",
	    i->why != NULL ? strlen(i->why) : 0);
	t->found = true;
	t->up = i->up_since_ms != 0;
	return 1;
}

static void
look(struct test *t)
{
	t->found = t->up = false;
	node_peers(t->r->app->node, match, t);
}

/* ok: 1, 0, or -1 for not reached */
static void
check(struct test *t, const char *name, int ok, const char *fact, const char *next)
{
	char safe[600];

	nrs_text_escape(safe, sizeof(safe), fact, strlen(fact));
	json_array_append_new(t->checks,
	    json_pack("{s:s, s:o, s:s, s:s}", "name", name, "ok",
		ok < 0	     ? json_null()
		    : ok > 0 ? json_true()
			     : json_false(),
		"fact", ok < 0 ? "not reached" : safe, "next", ok == 0 ? next : ""));
}

static void
check_path(struct test *t, const struct conf_peer *p)
{
	const struct net_last *l = net_last_find(t->r->app->net, t->name);
	enum net_stage stage = t->up ? NET_STAGE_PIN
	    : l != NULL		     ? l->stage
				     : NET_STAGE_NONE;
	bool came = l != NULL && l->attempts > t->attempts;
	const char *why = l != NULL && l->why[0] != '\0' ? l->why
	    : p->addresses.n == 0			 ? "no address is known"
							 : "no answer in time";
	char at[320] = "the peer dialed this node";

	if (!t->up && !came)
		stage = NET_STAGE_NONE;
	if (l != NULL && l->address[0] != '\0')
		snprintf(at, sizeof(at), "%s answers", l->address);
	check(t, "address", stage >= NET_STAGE_ADDRESS,
	    stage >= NET_STAGE_ADDRESS ? at : why,
	    "check the addresses here (peer { addresses }), that the peer's daemon listens "
	    "there, and every firewall between");
	check(t, "tls", stage < NET_STAGE_ADDRESS ? -1 : stage >= NET_STAGE_TLS,
	    stage >= NET_STAGE_TLS ? "TLS 1.3 stands" : why,
	    "is it Noroshi that listens there? A TLS-inspecting proxy must be told to let this "
	    "connection through");
	check(t, "pin", stage < NET_STAGE_TLS ? -1 : stage >= NET_STAGE_PIN,
	    stage >= NET_STAGE_PIN ? "the key is the pinned one" : why,
	    "the peer has another TLS key than its manifest here says: ask it for its invite, "
	    "compare the fingerprint by phone, accept it again");
}

static void
check_session(struct test *t, const struct conf_peer *p)
{
	const struct net_last *l = net_last_find(t->r->app->net, t->name);
	bool tls =
	    t->up || (l != NULL && l->attempts > t->attempts && l->stage >= NET_STAGE_PIN);
	char fact[400];
	int64_t ms = t->info.clock_ms;

	if (t->up)
		snprintf(fact, sizeof(fact), "up");
	else
		snprintf(fact, sizeof(fact), "%s: %s", t->state,
		    l != NULL && l->closed[0] != '\0' ? l->closed : t->why);
	check(t, "session", !tls ? -1 : t->up, fact,
	    "has the peer accepted this node's invite, and not suspended it? Ask it to run "
	    "noroshi peer test too");
	snprintf(fact, sizeof(fact), "its clock is %s%lld.%03lld s from ours",
	    ms < 0 ? "-" : "+", (long long)(llabs(ms) / 1000),
	    (long long)(llabs(ms) % 1000));
	check(t, "clock", !t->up ? -1 : llabs(ms) <= SKEW_MS, fact,
	    "set both clocks by NTP: times of records are off by that much");
	snprintf(fact, sizeof(fact), "protocol version %u", t->info.version);
	check(t, "version", !t->up ? -1 : t->info.version == 1, fact,
	    "bring both daemons to the same version");
	snprintf(fact, sizeof(fact), "%u shared of %u configured here",
	    t->info.ncommunities, p->communities.n);
	check(t, "communities",
	    !t->up ? -1
		   : t->info.ncommunities >= p->communities.n && t->info.ncommunities > 0,
	    fact,
	    p->communities.n == 0
		? "configure a community for the peer: noroshi peer accept FILE --community NAME"
		: "both sides must name the community for each other, and a steward must have "
		  "made both members");
}

static void
finish(struct test *t)
{
	struct ctl_req *r = t->r;
	const struct conf_peer *p = conf_peer_find(r->app->conf, t->name);
	static const char *const rest[] = { "address", "tls", "pin", "session", "clock",
		"version", "communities" };
	json_t *checks;

	t->checks = json_array();
	if (p == NULL || p->suspended) {
		check(t, "configured", 0,
		    p == NULL ? "no such peer in the configuration" : "it is suspended",
		    p == NULL ? "add it: noroshi peer accept FILE"
			      : "noroshi peer resume NAME");
		for (size_t i = 0; i < sizeof(rest) / sizeof(rest[0]); i++)
			check(t, rest[i], -1, "", "");
	} else {
		check(t, "configured", 1, p->where.file != NULL ? p->where.file : "", "");
		check_path(t, p);
		check_session(t, p);
	}
	checks = t->checks;
	t->checks = NULL;
	test_free(t);
	ctl_ok(r, json_pack("{s:o}", "checks", checks));
}

/* Is there anything left to wait for? */
static bool
waiting(struct test *t)
{
	const struct net_last *l = net_last_find(t->r->app->net, t->name);
	struct nrs_mono now = loop_mono();

	look(t);
	if (t->up || now.ns >= t->until.ns)
		return false;
	if (l == NULL || l->attempts == t->attempts)
		return true;
	if (l->stage < NET_STAGE_PIN)
		return false;
	if (t->tls_since.ns == 0)
		t->tls_since = now;
	return now.ns - t->tls_since.ns < SESSION_NS;
}

static void
on_poll(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval tv = { 0, POLL_MS * 1000 };
	struct test *t = arg;

	if (waiting(t))
		evtimer_add(t->ev, &tv);
	else
		finish(t);
}

void
ctl_peer_test(struct ctl_req *r)
{
	struct test *t = calloc(1, sizeof(*t));
	const char *name = ctl_str(r, "name");
	const struct conf_peer *p;
	const struct net_last *l;

	if (t == NULL || strlen(name) > NRS_ORIGIN_MAX ||
	    (t->ev = evtimer_new(r->app->base, on_poll, t)) == NULL) {
		free(t);
		ctl_fail_rc(r, NRS_EUNKNOWN, "the peer cannot be tested", NULL, NULL);
		return;
	}
	t->r = r;
	snprintf(t->name, sizeof(t->name), "%s", name);
	r->priv = t;
	r->gone = test_gone;
	l = net_last_find(r->app->net, name);
	t->attempts = l != NULL ? l->attempts : 0;
	t->until.ns = loop_mono().ns + LIMIT_NS;
	p = conf_peer_find(r->app->conf, name);
	look(t);
	if (p == NULL || p->suspended || t->up) {
		finish(t);
		return;
	}
	/* An attempt that is under way counts as ours. */
	if (node_peer_kick(r->app->node, name) != 0) {
		finish(t);
		return;
	}
	on_poll(-1, 0, t);
}
