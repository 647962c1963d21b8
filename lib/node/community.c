/*
 * Membership statements as they come in: what is adopted, what is only listed
 * until the operator accepts it, and what is evidence (FORMAT.md, section 7).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/node_priv.h"

#define PENDING_MAX	    64 /* communities nobody accepted */
#define EPOCHS_MAX	    65536
#define STATEMENT_BYTES_MAX ((size_t)8 << 20) /* STATE has them all: half its frame */
#define PENDING_BYTES_MAX   ((size_t)1 << 20)

struct community *
community_find(const struct node *n, const struct nrs_hash *id)
{
	struct community *c;

	TAILQ_FOREACH(c, &n->communities, link)
		if (memcmp(c->id.b, id->b, sizeof(id->b)) == 0)
			return c;
	return NULL;
}

struct community *
community_find_name(const struct node *n, const char *name)
{
	struct community *c, *pending = NULL;

	TAILQ_FOREACH(c, &n->communities, link) {
		if (strcmp(c->name, name) != 0)
			continue;
		if (c->trusted)
			return c;
		if (pending == NULL)
			pending = c;
	}
	return pending;
}

void
community_free(struct community *c)
{
	if (c == NULL)
		return;
	for (unsigned int i = 0; i < c->n; i++) {
		nrs_statement_fini(&c->v[i].s);
		free(c->v[i].note);
	}
	free(c->v);
	free(c->rival);
	free(c);
}

int
community_set_rival(struct community *c, const uint8_t *note, size_t len)
{
	uint8_t *copy;

	c->frozen = true;
	if (c->rival != NULL)
		return 0; /* one contradiction is proof enough */
	copy = malloc(len);
	if (copy == NULL)
		return NRS_ENOMEM;
	memcpy(copy, note, len);
	c->rival = copy;
	c->rival_len = len;
	return 0;
}

/* Chains of this audience that were met before the community was. */
static void
adopt_audiences(struct node *n, struct community *c)
{
	struct audience *a;
	struct origin *o;

	TAILQ_FOREACH(o, &n->origins, link) {
		a = audience_find(o, &c->id);
		if (a != NULL && a->type == AUD_COMMUNITY)
			a->community = c;
	}
}

static int
community_new(struct node *n, const struct nrs_statement *s, struct community **ret)
{
	struct community *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NRS_ENOMEM;
	c->id = s->community;
	memcpy(c->name, s->name, sizeof(c->name));
	TAILQ_INSERT_TAIL(&n->communities, c, link);
	adopt_audiences(n, c);
	*ret = c;
	return 0;
}

/* Takes s over when it succeeds. */
static int
append_epoch(struct node *n, struct community *c, struct nrs_statement *s,
    const uint8_t *note, size_t len)
{
	struct community_epoch *v = realloc(c->v, (c->n + 1) * sizeof(*v));
	uint8_t *copy;

	if (v == NULL)
		return NRS_ENOMEM;
	c->v = v;
	copy = malloc(len);
	if (copy == NULL)
		return NRS_ENOMEM;
	memcpy(copy, note, len);
	v[c->n] = (struct community_epoch){ .s = *s, .note = copy, .note_len = len };
	memset(s, 0, sizeof(*s));
	c->n++;
	n->statement_bytes += len;
	return 0;
}

static int
open_statement(struct nrs_statement *ret, struct nrs_note *ret_note, const uint8_t *note,
    size_t len, struct nrs_detail *d)
{
	int err = nrs_note_parse(ret_note, note, len, d);

	memset(ret, 0, sizeof(*ret));
	return err != 0 ? err
			: nrs_statement_parse(ret, ret_note->text.p, ret_note->text.len, d);
}

int
community_apply(struct node *n, const uint8_t *note, size_t len, bool trusted)
{
	struct nrs_statement s;
	struct nrs_note parsed;
	struct community *c;
	int err;

	err = open_statement(&s, &parsed, note, len, NULL);
	if (err != 0)
		return err;
	c = community_find(n, &s.community);
	if (c == NULL)
		err = s.epoch == 0 ? community_new(n, &s, &c) : NRS_EORDER;
	if (err != 0)
		goto out;
	if (s.epoch < c->n) {
		if (!nrs_hash_eq(&c->v[s.epoch].s.hash, &s.hash))
			err = community_set_rival(c, note, len);
	} else {
		err = nrs_statement_follows(c->n > 0 ? &c->v[c->n - 1].s : NULL, &s, NULL);
		if (err == 0)
			err = append_epoch(n, c, &s, note, len);
	}
	if (err == 0 && trusted)
		c->trusted = true;
out:
	nrs_statement_fini(&s);
	return err;
}

/* --- taking one --------------------------------------------------------- */

/* The feed key in force of a steward, if its root key is the one that the statement means. */
static const struct nrs_pubkey *
steward_key(void *arg, const struct nrs_member *m)
{
	const struct origin *o = origin_find_name(arg, m->origin);
	struct nrs_hash root;

	if (o == NULL || o->nmanifests == 0)
		return NULL;
	if (nrs_rootkey_hash(&o->manifests[0].m.root, &root) != 0 ||
	    !nrs_hash_eq(&root, &m->root))
		return NULL;
	return &o->manifests[o->nmanifests - 1].m.feed;
}

static int
check_quota(const struct node *n, const struct community *c, size_t len, bool trusted,
    struct nrs_detail *d)
{
	const struct community *v;
	unsigned int pending = 0;
	size_t bytes = 0;

	if (n->statement_bytes + len > STATEMENT_BYTES_MAX)
		return nrs_fail(d, NRS_EQUOTA, 0, "no room for more statements");
	if (c != NULL && c->n >= EPOCHS_MAX)
		return nrs_fail(d, NRS_EQUOTA, 0, "too many epochs");
	if (trusted || (c != NULL && c->trusted))
		return 0;
	TAILQ_FOREACH(v, &n->communities, link) {
		if (v->trusted)
			continue;
		pending++;
		for (unsigned int i = 0; i < v->n; i++)
			bytes += v->v[i].note_len;
	}
	if ((c == NULL && pending >= PENDING_MAX) || bytes + len > PENDING_BYTES_MAX)
		return nrs_fail(
		    d, NRS_EQUOTA, 0, "too many communities wait to be accepted");
	return 0;
}

/* Names are how people and configuration speak of communities: one accepted for each. */
static int
check_name(const struct node *n, const struct nrs_statement *s, struct nrs_detail *d)
{
	const struct community *c = community_find_name(n, s->name);

	if (c != NULL && c->trusted && !nrs_hash_eq(&c->id, &s->community))
		return nrs_fail(d, NRS_EEXISTS, 0,
		    "another community is known by the name %.64s", s->name);
	return 0;
}

static int
put_statement(struct node *n, const uint8_t *note, size_t len, bool trusted)
{
	uint8_t head[8] = { trusted ? 1 : 0 };
	struct nrs_str parts[2] = { { head, sizeof(head) }, { note, len } };
	int err;

	err = nrs_journal_put(n->journal, NRS_J_STATEMENT, 0, parts, 2, NULL);
	if (err == 0)
		err = community_apply(n, note, len, trusted);
	node_put_done(n);
	return err;
}

/* A statement of an epoch that is held: the same, accepted now, or a contradiction. */
static int
take_known(struct node *n, struct community *c, const struct nrs_statement *s,
    const struct nrs_note *parsed, const uint8_t *note, size_t len, bool trusted,
    struct nrs_detail *d)
{
	char subject[NRS_NAME_MAX + 16];
	int err;

	if (nrs_hash_eq(&c->v[s->epoch].s.hash, &s->hash)) {
		if (!trusted || c->trusted)
			return 1;
		err = check_name(n, s, d);
		return err != 0 ? err : put_statement(n, note, len, true);
	}
	err = nrs_statement_verify(s->epoch > 0 ? &c->v[s->epoch - 1].s : NULL, s, parsed,
	    steward_key, n, n->env->ops->verify);
	if (err != 0)
		return nrs_fail(d, err, 0, "statement of epoch %u", s->epoch);
	if (c->rival == NULL) {
		snprintf(subject, sizeof(subject), "community %s", c->name);
		node_log(n, NRS_LOG_ERROR, subject,
		    "two signed statements of epoch %u: no change is taken any more, the "
		    "older members hold",
		    s->epoch);
		err = put_statement(n, note, len, false);
	}
	return err != 0
	    ? err
	    : nrs_fail(d, NRS_EFORK, 0, "rival statement of epoch %u", s->epoch);
}

static int
take(struct node *n, const struct nrs_statement *s, const struct nrs_note *parsed,
    const uint8_t *note, size_t len, bool trusted, struct nrs_detail *d)
{
	struct community *c = community_find(n, &s->community);
	const struct nrs_statement *prev = NULL;
	int err;

	if (c != NULL && s->epoch < c->n)
		return take_known(n, c, s, parsed, note, len, trusted, d);
	if (c != NULL && c->frozen)
		return nrs_fail(d, NRS_EFORK, 0, "community is frozen by rival statements");
	if (c != NULL)
		prev = &c->v[c->n - 1].s;
	err = nrs_statement_follows(prev, s, d);
	if (err == 0)
		err = check_quota(n, c, len, trusted, d);
	if (err == 0 && trusted)
		err = check_name(n, s, d);
	if (err != 0)
		return err;
	err = nrs_statement_verify(prev, s, parsed, steward_key, n, n->env->ops->verify);
	if (err != 0)
		return nrs_fail(d, err, 0, "not signed by enough stewards known here");
	err = put_statement(n, note, len, trusted);
	if (err != 0)
		return err;
	c = community_find(n, &s->community);
	return c != NULL && c->trusted ? 0 : 1;
}

int
community_take(
    struct node *n, const uint8_t *note, size_t len, bool trusted, struct nrs_detail *d)
{
	struct nrs_statement s;
	struct nrs_note parsed;
	uint32_t epoch;
	char subject[NRS_NAME_MAX + 16];
	int err;

	err = open_statement(&s, &parsed, note, len, d);
	if (err != 0)
		return err;
	epoch = s.epoch;
	snprintf(subject, sizeof(subject), "community %s", s.name);
	err = take(n, &s, &parsed, note, len, trusted, d);
	nrs_statement_fini(&s);
	if (err == 0)
		node_log(
		    n, NRS_LOG_NOTICE, subject, "statement of epoch %u adopted", epoch);
	return err;
}
