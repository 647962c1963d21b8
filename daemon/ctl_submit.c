/* submit: a bundle to a community or to named peers. */
#include "daemon/ctl_priv.h"

#include <stdlib.h>
#include <string.h>

#include "record/record.h"

struct sub {
	struct ctl_req *r;
	struct node_submit s;
	const char **to;
};

static void
sub_free(struct sub *u)
{
	free(u->to);
	free(u);
}

static json_t *
known_json(const uint32_t *known, uint32_t n)
{
	json_t *a = json_array();

	for (uint32_t i = 0; i < n; i++)
		json_array_append_new(a, json_integer((json_int_t)known[i]));
	return json_pack("{s:o}", "known", a);
}

static void
refuse(struct ctl_req *r, const struct node_submit *s, int rc, const char *what,
    const struct nrs_detail *d)
{
	struct ctl_near near;
	unsigned int i = 0;

	if (rc != NRS_EUNKNOWN) {
		ctl_fail_rc(r, rc, what, d, NULL);
		return;
	}
	while (i < s->nrecipients && conf_peer_find(r->app->conf, s->recipients[i]) != NULL)
		i++;
	if (s->community != NULL) {
		ctl_near_init(&near, s->community);
		ctl_near_communities(&near, r->app);
		ctl_fail_rc(r, rc, what, d,
		    ctl_near_next(&near, "noroshi community list tells which there are"));
	} else {
		ctl_near_init(&near, i < s->nrecipients ? s->recipients[i] : "");
		ctl_near_peers(&near, r->app);
		ctl_fail_rc(r, rc, what, d,
		    ctl_near_next(&near, "noroshi peer list tells which there are"));
	}
}

static void
on_done(struct node_submit *s, int rc)
{
	struct sub *u = s->arg;
	struct ctl_req *r = u->r;
	char id[NRS_ORIGIN_MAX + 32];

	if (rc == NRS_EEXISTS) {
		ctl_ok(r, known_json(s->known, s->nknown));
	} else if (rc != 0) {
		refuse(r, s, rc, "the submission was refused", &s->d);
	} else {
		snprintf(id, sizeof(id), "%s/%llu", r->app->conf->origin,
		    (unsigned long long)s->index);
		ctl_ok(r,
		    json_pack("{s:s, s:I, s:I}", "id", id, "index", (json_int_t)s->index,
			"objects", (json_int_t)s->objects));
	}
	sub_free(u);
}

/* Who would get it: the members but for this node, or those named. */
static json_t *
recipients(struct ctl_req *r, const struct node_submit *s)
{
	struct node_community_info c;
	json_t *a = json_array(), *members = NULL, *m;
	size_t k;

	for (unsigned int i = 0; i < s->nrecipients; i++)
		json_array_append_new(a, json_string(s->recipients[i]));
	if (s->community != NULL && ctl_community(r->app, s->community, &c, &members))
		json_array_foreach(members, k, m)
			if (strcmp(json_string_value(m), r->app->conf->origin) != 0)
				json_array_append(a, m);
	json_decref(members);
	return a;
}

/* The engine has checked it already: only the length of one array is wanted here. */
static json_t *
count_objects(const uint8_t *p, size_t len)
{
	json_t *j = json_loadb((const char *)p, len, 0, NULL), *n;

	n = json_integer((json_int_t)json_array_size(json_object_get(j, "objects")));
	json_decref(j);
	return n;
}

static void
dry_run(struct sub *u)
{
	struct ctl_req *r = u->r;
	struct nrs_detail d = { 0 };
	struct node *n = r->app->node;
	uint32_t *known = NULL, nknown = 0;
	int rc = node_submit_check(n, &u->s, &d);

	if (rc == 0)
		rc = node_submit_known(n, &u->s, &known, &nknown);
	if (rc != 0)
		refuse(r, &u->s, rc, "the submission would be refused", &d);
	else if (nknown > 0)
		ctl_ok(r, known_json(known, nknown));
	else
		ctl_ok(r,
		    json_pack("{s:o, s:o}", "recipients", recipients(r, &u->s), "objects",
			count_objects(r->body, r->body_len)));
	free(known);
	sub_free(u);
}

void
ctl_submit(struct ctl_req *r)
{
	struct sub *u = calloc(1, sizeof(*u));
	enum nrs_tlp tlp;

	if (u == NULL || ctl_strs(r, "to", &u->to, &u->s.nrecipients) != 0) {
		free(u);
		ctl_fail_rc(r, NRS_ENOMEM, "the submission cannot be taken", NULL, NULL);
		return;
	}
	u->r = r;
	u->s.community = ctl_str(r, "community");
	if ((u->s.community == NULL) == (u->s.nrecipients == 0)) {
		sub_free(u);
		ctl_fail(r, "syntax", "no recipient, or two kinds of them",
		    "one of \"community\" and \"to\" must be given", "name one", EX_USAGE);
		return;
	}
	if (ctl_tlp(r, "tlp", NRS_TLP_AMBER, &tlp) != 0) {
		sub_free(u);
		return;
	}
	u->s.recipients = u->to;
	u->s.tlp = (uint8_t)tlp;
	u->s.flags = ctl_bool(r, "urgent") ? NRS_FLAG_URGENT : 0;
	u->s.expires.ms = ctl_int(r, "expires_ms", 0);
	u->s.payload = r->body;
	u->s.payload_len = r->body_len;
	u->s.done = on_done;
	u->s.arg = u;
	if (ctl_bool(r, "dry_run")) {
		dry_run(u);
		return;
	}
	r->body = NULL; /* the engine's now, also if it refuses */
	node_submit(r->app->node, &u->s);
}
