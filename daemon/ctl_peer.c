/* Commands that change peers and communities by one step. */
#include "daemon/ctl_priv.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "daemon/log.h"
#include "record/manifest.h"
#include "record/statement.h"

/* --- suspend, resume, remove ------------------------------------------------- */

static void
edit_failed(struct ctl_req *r, int rc, const struct nrs_detail *d)
{
	ctl_fail_rc(r, rc, "the configuration was not changed", d,
	    rc == NRS_EPERM ? "edit that file, then: noroshi reload" : NULL);
}

/* What stands in the files now is put in force. */
static void
put_in_force(struct ctl_req *r, const char *did)
{
	struct conf_err e = { 0 };

	if (app_reload(r->app, &e) != 0) {
		ctl_fail_conf(r, "it is written, and is not in force", &e);
		return;
	}
	log_notice("control", "%s by %s: %s", did, r->who, ctl_str(r, "name"));
	ctl_ok(r, json_pack("{s:b}", "ok", 1));
}

static void
set_suspended(struct ctl_req *r, bool suspended)
{
	const struct conf_peer *p = ctl_peer(r, ctl_str(r, "name"));
	struct nrs_detail d = { 0 };
	int rc;

	if (p == NULL)
		return;
	if (p->suspended == suspended) {
		ctl_ok(r, json_pack("{s:b}", "ok", 1));
		return;
	}
	rc = conf_peer_suspend(r->app->conf, ctl_str(r, "name"), suspended, &d);
	if (rc != 0)
		edit_failed(r, rc, &d);
	else
		put_in_force(r, suspended ? "peer suspended" : "peer resumed");
}

void
ctl_peer_suspend(struct ctl_req *r)
{
	set_suspended(r, true);
}

void
ctl_peer_resume(struct ctl_req *r)
{
	set_suspended(r, false);
}

void
ctl_peer_remove(struct ctl_req *r)
{
	struct nrs_detail d = { 0 };
	int rc;

	if (ctl_peer(r, ctl_str(r, "name")) == NULL)
		return;
	rc = conf_peer_remove(r->app->conf, ctl_str(r, "name"), &d);
	if (rc != 0)
		edit_failed(r, rc, &d);
	else
		put_in_force(r, "peer removed");
}

/* --- invite -------------------------------------------------------------------- */

void
ctl_peer_invite(struct ctl_req *r)
{
	struct nrs_buf b;
	int rc;

	nrs_buf_init(&b, NRS_INVITE_MAX);
	rc = node_invite(r->app->node, &b);
	if (rc == NRS_ELIMIT)
		ctl_fail(r, "limit", "the invite cannot be made",
		    "its communities have more statements than an invite may hold",
		    "give the new peer the manifest of this node alone", EX_DATAERR);
	else if (rc != 0)
		ctl_fail_rc(r, rc, "the invite cannot be made", NULL, NULL);
	else
		ctl_ok_data(r, json_pack("{s:b}", "ok", 1), b.p, b.len);
	nrs_buf_fini(&b);
}

/* --- community.create ------------------------------------------------------------ */

struct create {
	struct ctl_req *r;
	struct node_op op;
};

static void
on_created(struct node_op *op, int rc)
{
	struct create *c = op->arg;
	struct ctl_req *r = c->r;
	struct node_community_info i;

	if (rc != 0)
		ctl_fail_rc(r, rc, "the community was not created", &op->d,
		    rc == NRS_EEXISTS ? "choose another name" : NULL);
	else if (!ctl_community(r->app, ctl_str(r, "name"), &i, NULL))
		ctl_fail_rc(r, NRS_EINTERNAL, "the community was not created", NULL, NULL);
	else
		ctl_ok(r, json_pack("{s:o}", "id", ctl_b64(&i.id)));
	free(c);
}

static bool
parse_onward(const char *s, uint8_t *ret)
{
	static const char *const names[] = { "none", "members", "constituents" };

	*ret = NRS_ONWARD_MEMBERS;
	if (s == NULL)
		return true;
	for (uint8_t i = 0; i < 3; i++)
		if (strcmp(s, names[i]) == 0) {
			*ret = i;
			return true;
		}
	return false;
}

void
ctl_community_create(struct ctl_req *r)
{
	const char *name = ctl_str(r, "name");
	struct node_community_opts o = { .history = ctl_bool(r, "history"),
		.exercise = ctl_bool(r, "exercise") };
	struct create *c;
	enum nrs_tlp tlp;

	if (!nrs_name_ok(name, strlen(name))) {
		ctl_fail(r, "syntax", "the name is not allowed",
		    "it is not 1 to 64 of a-z 0-9 - _ . , beginning with a letter or digit",
		    "choose another name", EX_USAGE);
		return;
	}
	if (!parse_onward(ctl_str(r, "onward"), &o.onward)) {
		ctl_fail(r, "range", "\"onward\" is not known",
		    "it says to whom members may pass things on",
		    "use none, members or constituents", EX_USAGE);
		return;
	}
	if (ctl_tlp(r, "ceiling", NRS_TLP_AMBER_STRICT, &tlp) != 0)
		return;
	o.ceiling = (uint8_t)tlp;
	if ((c = calloc(1, sizeof(*c))) == NULL) {
		ctl_fail_rc(r, NRS_ENOMEM, "the community was not created", NULL, NULL);
		return;
	}
	c->r = r;
	c->op.done = on_created;
	c->op.arg = c;
	node_community_create(r->app->node, name, &o, &c->op);
}
