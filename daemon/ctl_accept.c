/*
 * peer.accept: from an invite to a link that is up.  The file is believed in no
 * point before the operator has named its fingerprint, which they got from the
 * peer by another way; from then on, manifest 0 is the root of all that follows.
 *
 * Steps: read, show or compare, write the configuration, reload, accept the
 * statements of the communities wanted, make the peer a member where this node
 * is steward, dial.
 */
#include "daemon/ctl_priv.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "crypto/key.h"
#include "crypto/note.h"
#include "daemon/log.h"
#include "record/manifest.h"
#include "record/statement.h"

struct offer {
	struct nrs_hash id;
	unsigned int last;	/* position in notes of its newest statement */
	struct nrs_statement s; /* that one */
};

struct accept {
	struct ctl_req *r;
	struct nrs_str *notes; /* views into the body, manifests first */
	unsigned int nnotes, capnotes;
	unsigned int nmanifests;
	struct nrs_manifest first, newest;
	struct offer *offers;
	unsigned int noffers;
	const char **want;
	unsigned int nwant;

	/* the steps after the reload */
	struct node_op op;
	unsigned int next_note, next_want;
	char name[NRS_ORIGIN_MAX + 1];
};

static void
accept_free(struct accept *a)
{
	for (unsigned int i = 0; i < a->noffers; i++)
		nrs_statement_fini(&a->offers[i].s);
	free(a->offers);
	free(a->notes);
	free(a->want);
	free(a);
}

/* --- reading -------------------------------------------------------------------- */

static int
add_note(void *arg, const uint8_t *note, size_t len)
{
	struct accept *a = arg;
	struct nrs_str *v;

	if (a->nnotes == a->capnotes) {
		a->capnotes = a->capnotes * 2 + 16;
		if ((v = realloc(a->notes, a->capnotes * sizeof(*v))) == NULL)
			return NRS_ENOMEM;
		a->notes = v;
	}
	a->notes[a->nnotes++] = (struct nrs_str){ note, len };
	return 0;
}

static bool
begins(struct nrs_str s, const char *with)
{
	return s.len >= strlen(with) && memcmp(s.p, with, strlen(with)) == 0;
}

static int
read_manifests(struct accept *a, struct nrs_detail *d)
{
	struct nrs_manifest m;
	int rc;

	for (unsigned int i = 0;
	     i < a->nnotes && begins(a->notes[i], "noroshi/v1/manifest\n"); i++) {
		rc = nrs_manifest_open(&m, a->notes[i].p, a->notes[i].len,
		    i > 0 ? &a->newest : NULL, nrs_verify, d);
		if (rc != 0)
			return rc;
		if (i == 0)
			a->first = m;
		a->newest = m;
		a->nmanifests++;
	}
	if (a->nmanifests == 0)
		return nrs_fail(d, NRS_EMAGIC, 1, "it does not begin with a manifest");
	return 0;
}

static struct offer *
find_offer(struct accept *a, const struct nrs_hash *id)
{
	for (unsigned int i = 0; i < a->noffers; i++)
		if (memcmp(a->offers[i].id.b, id->b, sizeof(id->b)) == 0)
			return &a->offers[i];
	return NULL;
}

/* Form and succession are checked here; signatures where the keys are, in the engine. */
static int
take_statement(struct accept *a, unsigned int i, struct nrs_detail *d)
{
	struct nrs_statement s = { 0 };
	struct nrs_note note;
	struct offer *o;
	int rc;

	if ((rc = nrs_note_parse(&note, a->notes[i].p, a->notes[i].len, d)) != 0 ||
	    (rc = nrs_statement_parse(&s, note.text.p, note.text.len, d)) != 0)
		return rc;
	o = find_offer(a, &s.community);
	if ((rc = nrs_statement_follows(o != NULL ? &o->s : NULL, &s, d)) != 0)
		goto out;
	if (o == NULL) {
		o = realloc(a->offers, (a->noffers + 1) * sizeof(*o));
		if (o == NULL) {
			rc = NRS_ENOMEM;
			goto out;
		}
		a->offers = o;
		o += a->noffers++;
		*o = (struct offer){ .id = s.community };
	}
	nrs_statement_fini(&o->s);
	o->s = s;
	o->last = i;
	return 0;
out:
	nrs_statement_fini(&s);
	return rc;
}

static int
read_invite(struct accept *a, struct nrs_detail *d)
{
	int rc;

	rc = nrs_invite_walk(a->r->body, a->r->body_len, add_note, a, d);
	if (rc == 0)
		rc = read_manifests(a, d);
	for (unsigned int i = a->nmanifests; rc == 0 && i < a->nnotes; i++)
		rc = take_statement(a, i, d);
	return rc;
}

/* --- showing -------------------------------------------------------------------- */

static json_t *
offer_json(const struct offer *o)
{
	json_t *members = json_array();

	for (unsigned int i = 0; i < o->s.nmembers; i++)
		json_array_append_new(members, json_string(o->s.members[i].origin));
	return json_pack("{s:s, s:o, s:s, s:o}", "name", o->s.name, "id", ctl_b64(&o->id),
	    "founder", o->s.founder, "members", members);
}

static void
preview(struct accept *a)
{
	json_t *addrs = json_array(), *offers = json_array();
	char fp[25];

	nrs_fingerprint_format(fp, &a->first.hash);
	for (unsigned int i = 0; i < a->newest.naddr; i++)
		json_array_append_new(addrs, json_string(a->newest.addr[i]));
	for (unsigned int i = 0; i < a->noffers; i++)
		json_array_append_new(offers, offer_json(&a->offers[i]));
	ctl_ok(a->r,
	    json_pack("{s:s, s:s, s:o, s:o}", "name", a->first.origin, "fingerprint", fp,
		"addresses", addrs, "offers", offers));
}

/* --- deciding ------------------------------------------------------------------- */

static bool
same_fingerprint(struct accept *a)
{
	char given[25], fp[25];

	nrs_fingerprint_format(fp, &a->first.hash);
	if (nrs_fingerprint_parse(ctl_str(a->r, "fingerprint"), given) == 0 &&
	    strcmp(given, fp) == 0)
		return true;
	ctl_fail(a->r, "pin", "the peer was not accepted",
	    "the fingerprint is not that of the invite",
	    "ask the peer to read its fingerprint to you again; if it still differs, the file "
	    "is not theirs",
	    EX_NOPERM);
	return false;
}

static void
unknown_community(struct accept *a, const char *name, const char *why)
{
	struct ctl_near near;

	ctl_near_init(&near, name);
	ctl_near_communities(&near, a->r->app);
	for (unsigned int i = 0; i < a->noffers; i++)
		ctl_near_try(&near, a->offers[i].s.name);
	ctl_fail(a->r, "unknown", "the peer was not accepted", why,
	    ctl_near_next(&near,
		"create it (noroshi community create), or ask a steward for an invite"),
	    EX_DATAERR);
}

/* Is every community wanted one that the invite offers or that is trusted here? */
static bool
known_communities(struct accept *a)
{
	struct node_community_info here;
	bool have, clash;
	unsigned int offered;
	char why[300], shown[100];

	for (unsigned int i = 0; i < a->nwant; i++) {
		have = ctl_community(a->r->app, a->want[i], &here, NULL) && here.trusted;
		offered = 0;
		clash = false;
		for (unsigned int k = 0; k < a->noffers; k++)
			if (strcmp(a->offers[k].s.name, a->want[i]) == 0) {
				offered++;
				clash = clash ||
				    (have &&
					memcmp(here.id.b, a->offers[k].id.b,
					    NRS_HASH_LEN) != 0);
			}
		if ((have || offered == 1) && !clash && offered <= 1)
			continue;
		nrs_text_escape(shown, sizeof(shown), a->want[i], strlen(a->want[i]));
		snprintf(why, sizeof(why), "the community \"%s\" is %s", shown,
		    clash	      ? "another one here than in the invite"
			: offered > 1 ? "offered twice, with different ids"
				      : "neither known here nor offered by the invite");
		if (clash || offered > 1)
			ctl_fail(a->r, "unknown", "the peer was not accepted", why,
			    "ask its founder which one is meant", EX_DATAERR);
		else
			unknown_community(a, a->want[i], why);
		return false;
	}
	return true;
}

static int
write_peer(struct accept *a, struct nrs_detail *d)
{
	struct conf_peer_edit e = { .origin = a->first.origin,
		.communities = a->want,
		.ncommunities = a->nwant,
		.manifest = a->notes[0].p,
		.manifest_len = a->notes[0].len };
	const char *newer[NRS_ADDRS_MAX];
	const char **given = NULL;
	int rc;

	if ((rc = ctl_strs(a->r, "addresses", &given, &e.naddresses)) != 0)
		return rc;
	e.addresses = given;
	if (e.naddresses == 0 && a->nmanifests > 1) {
		/* Manifest 0 has the addresses of once; the newest one those of now. */
		for (; e.naddresses < a->newest.naddr; e.naddresses++)
			newer[e.naddresses] = a->newest.addr[e.naddresses];
		e.addresses = newer;
	}
	rc = conf_peer_write(a->r->app->conf, &e, d);
	free(given);
	return rc;
}

/* --- doing ---------------------------------------------------------------------- */

static void step(struct accept *a);

static void
finish(struct accept *a)
{
	struct ctl_req *r = a->r;
	json_t *names = json_array();

	for (unsigned int i = 0; i < a->nwant; i++)
		json_array_append_new(names, json_string(a->want[i]));
	if (node_peer_kick(r->app->node, a->name) != 0)
		log_warning("control", "peer %s: accepted, and cannot be dialed", a->name);
	log_notice("control", "peer accepted by %s: %s", r->who, a->name);
	ctl_ok(r, json_pack("{s:s, s:o}", "name", a->name, "communities", names));
	accept_free(a);
}

static void
on_step(struct node_op *op, int rc)
{
	struct accept *a = op->arg;
	struct ctl_req *r = a->r;

	if (rc != 0 || r->app->node == NULL) {
		ctl_fail_rc(r, rc != 0 ? rc : NRS_ECANCELED,
		    "the peer is configured, and its communities are not settled", &a->op.d,
		    "put right what is wrong, then accept it again");
		accept_free(a);
		return;
	}
	step(a);
}

static bool
wanted(const struct accept *a, unsigned int note)
{
	struct nrs_statement s = { 0 };
	struct nrs_note n;
	bool yes = false;

	if (nrs_note_parse(&n, a->notes[note].p, a->notes[note].len, NULL) != 0 ||
	    nrs_statement_parse(&s, n.text.p, n.text.len, NULL) != 0)
		return false;
	for (unsigned int i = 0; i < a->nwant; i++)
		yes = yes || strcmp(a->want[i], s.name) == 0;
	nrs_statement_fini(&s);
	return yes;
}

static bool
must_add(struct accept *a, const char *community)
{
	struct node_community_info c;
	json_t *members = NULL, *m;
	bool must = false;
	size_t i;

	if (ctl_community(a->r->app, community, &c, &members))
		must = c.trusted && c.steward;
	json_array_foreach(members, i, m)
		must = must && strcmp(json_string_value(m), a->name) != 0;
	json_decref(members);
	return must;
}

/* One operation of the engine at a time: statements in order, then memberships. */
static void
step(struct accept *a)
{
	struct node *n = a->r->app->node;

	memset(&a->op, 0, sizeof(a->op));
	a->op.done = on_step;
	a->op.arg = a;
	while (a->next_note < a->nnotes) {
		unsigned int i = a->next_note++;

		if (!wanted(a, i))
			continue;
		node_statement_accept(n, a->notes[i].p, a->notes[i].len, NULL, &a->op);
		return;
	}
	while (a->next_want < a->nwant) {
		const char *c = a->want[a->next_want++];

		if (!must_add(a, c))
			continue;
		node_community_member(n, c, a->name, true, &a->op);
		return;
	}
	finish(a);
}

static void
accept_now(struct accept *a)
{
	struct ctl_req *r = a->r;
	struct conf_err e = { 0 };
	struct nrs_detail d = { 0 };
	int rc;

	if (!same_fingerprint(a) || !known_communities(a)) {
		accept_free(a);
		return;
	}
	if ((rc = write_peer(a, &d)) != 0) {
		ctl_fail_rc(r, rc, "the peer was not accepted", &d,
		    rc == NRS_EPERM ? "edit that file, then: noroshi reload" : NULL);
		accept_free(a);
		return;
	}
	if (app_reload(r->app, &e) != 0) {
		/* What is in force stays, and so must what the next start reads. */
		if (conf_peer_undo(r->app->conf, a->name, &d) != 0)
			log_warning("control",
			    "peer %s: its files could not be taken back: %s", a->name,
			    d.text);
		ctl_fail_conf(r, "the peer was not accepted", &e);
		accept_free(a);
		return;
	}
	step(a);
}

void
ctl_peer_accept(struct ctl_req *r)
{
	struct accept *a = calloc(1, sizeof(*a));
	struct nrs_detail d = { 0 };
	int rc;

	if (a == NULL || ctl_strs(r, "communities", &a->want, &a->nwant) != 0) {
		free(a);
		ctl_fail_rc(r, NRS_ENOMEM, "the invite cannot be read", NULL, NULL);
		return;
	}
	a->r = r;
	if ((rc = read_invite(a, &d)) != 0) {
		ctl_fail_rc(r, rc, "the invite is not good", &d,
		    "ask the peer to make and send it again");
		accept_free(a);
		return;
	}
	memcpy(a->name, a->first.origin, sizeof(a->name));
	a->next_note = a->nmanifests;
	if (strcmp(a->name, r->app->conf->origin) == 0) {
		ctl_fail(r, "origin", "the invite is not good", "it is this node's own",
		    "give it to the peer, and accept the peer's here", EX_DATAERR);
		accept_free(a);
	} else if (ctl_str(r, "fingerprint") == NULL) {
		preview(a);
		accept_free(a);
	} else {
		accept_now(a);
	}
}
