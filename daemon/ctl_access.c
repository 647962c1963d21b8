/* Who may read: access.add, access.list, access.revoke. */
#include "daemon/ctl_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "crypto/key.h"
#include "daemon/log.h"

static void
edit_failed(struct ctl_req *r, int rc, const struct nrs_detail *d)
{
	ctl_fail_rc(r, rc, "the configuration was not changed", d,
	    rc == NRS_EPERM	    ? "edit that file, then: noroshi reload"
		: rc == NRS_EEXISTS ? "revoke it first, or take another name"
				    : NULL);
}

static json_t *
addresses(const struct conf *c)
{
	json_t *a = json_array();

	for (unsigned int i = 0; i < c->nstreams; i++)
		json_array_append_new(a, json_string(c->streams[i].address));
	return a;
}

/* --- add ---------------------------------------------------------------------- */

/* In force, or nothing is there that the next start would read. */
static void
put_in_force(struct ctl_req *r, const struct conf_subscriber_edit *s)
{
	struct nrs_detail d = { 0 };
	struct conf_err e = { 0 };

	if (app_reload(r->app, &e) == 0) {
		log_notice("control", "access given by %s: subscriber %s", r->who, s->name);
		ctl_ok(r,
		    json_pack("{s:b, s:s, s:o}", "ok", 1, "origin", r->app->conf->origin,
			"addresses", addresses(r->app->conf)));
		return;
	}
	if (conf_subscriber_remove(r->app->conf, s->name, &d) != 0)
		log_warning("control",
		    "subscriber %s: its files could not be taken back: %s", s->name,
		    d.text);
	ctl_fail_conf(r, "access was not given", &e);
}

static bool
check(struct ctl_req *r, const struct conf_subscriber_edit *s)
{
	struct nrs_hash pin;

	if (s->certificate == NULL && *s->socket == '\0') {
		ctl_fail(r, "syntax", "access was not given",
		    "a subscriber needs a socket or a certificate", "give one of them",
		    EX_USAGE);
		return false;
	}
	if (*s->socket != '\0' && *s->socket != '/') {
		ctl_fail(r, "syntax", "access was not given",
		    "the path of the socket is not absolute", "begin it with /", EX_USAGE);
		return false;
	}
	if (s->certificate != NULL &&
	    nrs_cert_pin((const char *)s->certificate, s->certificate_len, &pin) != 0) {
		ctl_fail(r, "syntax", "access was not given",
		    "what was attached is not a certificate in PEM with a key that is taken",
		    "take one of Ed25519, ECDSA (P-256, P-384) or RSA from 2048 bits",
		    EX_DATAERR);
		return false;
	}
	return true;
}

void
ctl_access_add(struct ctl_req *r)
{
	const char *socket = ctl_str(r, "socket");
	struct conf_subscriber_edit s = { .name = ctl_str(r, "name"),
		.socket = socket != NULL ? socket : "",
		.direct = ctl_bool(r, "direct"),
		.certificate = r->body_len > 0 ? r->body : NULL,
		.certificate_len = r->body_len };
	const char **names = NULL;
	struct nrs_detail d = { 0 };
	int rc;

	if (ctl_tlp(r, "tlp", NRS_TLP_AMBER, &s.tlp) != 0 || !check(r, &s))
		return;
	if ((rc = ctl_strs(r, "communities", &names, &s.ncommunities)) == 0) {
		s.communities = names;
		rc = conf_subscriber_write(r->app->conf, &s, &d);
	}
	free(names);
	if (rc != 0)
		edit_failed(r, rc, &d);
	else
		put_in_force(r, &s);
}

/* --- list ---------------------------------------------------------------------- */

static json_t *
subscriber_json(const struct conf_subscriber *s)
{
	json_t *names = json_array();

	for (unsigned int i = 0; i < s->communities.n; i++)
		json_array_append_new(names, json_string(s->communities.v[i]));
	return json_pack("{s:s, s:s, s:o, s:s, s:b, s:o, s:o, s:s, s:i}", "name", s->name,
	    "role", "subscriber", "communities", names, "tlp", nrs_tlp_name(s->tlp),
	    "direct", s->direct, "socket",
	    *s->socket != '\0' ? json_string(s->socket) : json_null(), "pin",
	    s->has_pin ? ctl_b64(&s->pin) : json_null(), "file", s->where.file, "line",
	    (int)s->where.line);
}

void
ctl_access_list(struct ctl_req *r)
{
	const struct conf *c = r->app->conf;
	json_t *a = json_array();

	for (unsigned int i = 0; i < c->nsubscribers; i++)
		json_array_append_new(a, subscriber_json(&c->subscribers[i]));
	ctl_ok(r, json_pack("{s:o, s:o}", "access", a, "addresses", addresses(c)));
}

/* --- revoke -------------------------------------------------------------------- */

static void
unknown(struct ctl_req *r, const char *name)
{
	const struct conf *c = r->app->conf;
	struct ctl_near near;

	ctl_near_init(&near, name);
	for (unsigned int i = 0; i < c->nsubscribers; i++)
		ctl_near_try(&near, c->subscribers[i].name);
	ctl_fail(r, "unknown", "nothing was revoked", "there is no subscriber of this name",
	    ctl_near_next(&near, "see: noroshi access list"), EX_DATAERR);
}

void
ctl_access_revoke(struct ctl_req *r)
{
	const char *name = ctl_str(r, "name");
	struct nrs_detail d = { 0 };
	struct conf_err e = { 0 };
	int rc;

	if (conf_subscriber_find(r->app->conf, name) == NULL) {
		unknown(r, name);
		return;
	}
	if ((rc = conf_subscriber_remove(r->app->conf, name, &d)) != 0) {
		edit_failed(r, rc, &d);
		return;
	}
	/* its connections end with its stanza */
	if (app_reload(r->app, &e) != 0) {
		ctl_fail_conf(r, "its files are gone, and it is in force still", &e);
		return;
	}
	log_notice("control", "access revoked by %s: subscriber %s", r->who, name);
	ctl_ok(r, json_pack("{s:b}", "ok", 1));
}
