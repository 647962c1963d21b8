/*
 * Statements that this node signs: founding a community, taking members in and
 * out.  One at a time, from the text to its place in the journal, because two
 * that are signed for one epoch would be evidence against ourselves.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "node/node_priv.h"

#define OPS_MAX 256

enum job_kind { JOB_CREATE, JOB_MEMBER };

struct job {
	TAILQ_ENTRY(job) link;
	struct node *node;
	struct node_op *op;
	enum job_kind kind;
	char name[NRS_NAME_MAX + 1];
	struct node_community_opts opts;
	char peer[NRS_ORIGIN_MAX + 1];
	bool add;
	int rc;
	struct nrs_buf text;
	struct nrs_sign sign;
	uint8_t sig[NRS_ED25519_SIG];
	struct node_wait wait;
};
TAILQ_HEAD(jobs, job);

struct steward {
	struct jobs queue;
	struct job *signing;
	struct jobs durable;	 /* put, waiting for the disk */
	struct jobs finished;	 /* done() is owed */
	struct node_op *starved; /* likewise, without a job; chained by priv */
	unsigned int count;
};

int
steward_init(struct node *n)
{
	struct steward *st = calloc(1, sizeof(*st));

	if (st == NULL)
		return NRS_ENOMEM;
	TAILQ_INIT(&st->queue);
	TAILQ_INIT(&st->durable);
	TAILQ_INIT(&st->finished);
	n->steward = st;
	return 0;
}

static void
job_free(struct job *j)
{
	if (j == NULL)
		return;
	nrs_buf_fini(&j->text);
	free(j);
}

static void
free_jobs(struct jobs *list)
{
	struct job *j;

	while ((j = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, j, link);
		job_free(j);
	}
}

void
steward_fini(struct node *n)
{
	struct steward *st = n->steward;

	if (st == NULL)
		return;
	free_jobs(&st->queue);
	free_jobs(&st->durable);
	free_jobs(&st->finished);
	job_free(st->signing);
	free(st);
	n->steward = NULL;
}

bool
steward_idle(const struct node *n)
{
	return n->steward->count == 0;
}

static void
finish(struct job *j, int rc)
{
	j->rc = rc;
	if (rc != 0)
		(void)nrs_fail(&j->op->d, rc, 0, "%s", nrs_strerror(rc));
	TAILQ_INSERT_TAIL(&j->node->steward->finished, j, link);
	node_wake_at(j->node, j->node->env->ops->mono(j->node->env));
}

static void
on_durable(void *arg)
{
	struct job *j = arg;

	TAILQ_REMOVE(&j->node->steward->durable, j, link);
	finish(j, 0);
}

static void
wait_durable(struct job *j)
{
	TAILQ_INSERT_TAIL(&j->node->steward->durable, j, link);
	j->wait.done = on_durable;
	j->wait.arg = j;
	node_when_durable(j->node, &j->wait);
	session_communities_changed(j->node);
}

/* --- texts ------------------------------------------------------------------- */

/* What a statement says of an origin: its name and the root key of its manifest 0. */
static int
member_of(const struct origin *o, struct nrs_member *ret)
{
	memset(ret, 0, sizeof(*ret));
	memcpy(ret->origin, o->name, sizeof(ret->origin));
	ret->origin_id = o->id;
	return nrs_rootkey_hash(&o->manifests[0].m.root, &ret->root);
}

static int
create_text(struct job *j)
{
	struct node *n = j->node;
	struct nrs_detail *d = &j->op->d;
	struct nrs_statement s = { .threshold = 1, .nstewards = 1, .nmembers = 1 };
	struct community *c = community_find_name(n, j->name);
	struct nrs_member self;
	int err;

	if (c != NULL && c->trusted)
		return nrs_fail(d, NRS_EEXISTS, 0, "there is a community %s", j->name);
	memcpy(s.name, j->name, sizeof(s.name));
	memcpy(s.founder, n->name, sizeof(s.founder));
	n->env->ops->random(n->env, s.nonce, sizeof(s.nonce));
	s.ceiling = j->opts.ceiling;
	s.onward = j->opts.onward;
	s.history = j->opts.history;
	s.exercise = j->opts.exercise;
	err = member_of(n->own, &self);
	s.stewards = s.members = &self;
	if (err == 0)
		err = nrs_community_id(s.founder, s.name, s.nonce, &s.community);
	return err == 0 ? nrs_statement_format(&j->text, &s) : err;
}

/* v with m put in, or name taken out; sorted as it was. ret has room for one more. */
static unsigned int
change(const struct nrs_member *v, unsigned int n, const struct nrs_member *m, bool add,
    struct nrs_member *ret)
{
	unsigned int k = 0, i = 0;

	while (i < n && strcmp(v[i].origin, m->origin) < 0)
		ret[k++] = v[i++];
	if (add)
		ret[k++] = *m;
	if (i < n && strcmp(v[i].origin, m->origin) == 0)
		i++;
	while (i < n)
		ret[k++] = v[i++];
	return k;
}

static int
next_text(struct job *j, const struct nrs_statement *cur, const struct nrs_member *m)
{
	struct nrs_statement s = *cur;
	int err = NRS_ENOMEM;

	s.epoch = cur->epoch + 1;
	s.previous = cur->hash;
	s.members = calloc(cur->nmembers + 1, sizeof(*s.members));
	s.stewards = calloc(cur->nstewards + 1, sizeof(*s.stewards));
	if (s.members == NULL || s.stewards == NULL)
		goto out;
	s.nmembers = change(cur->members, cur->nmembers, m, j->add, s.members);
	/* who leaves leaves as a steward, too; nobody becomes one by joining */
	if (j->add)
		memcpy(s.stewards, cur->stewards, cur->nstewards * sizeof(*s.stewards));
	else
		s.nstewards = change(cur->stewards, cur->nstewards, m, false, s.stewards);
	err = NRS_ELIMIT;
	if (s.nmembers > NRS_MEMBERS_MAX)
		goto out;
	err = nrs_statement_format(&j->text, &s);
out:
	free(s.members);
	free(s.stewards);
	return err;
}

/* 1: nothing to change. */
static int
member_text(struct job *j)
{
	struct node *n = j->node;
	struct nrs_detail *d = &j->op->d;
	struct community *c = community_find_name(n, j->name);
	const struct nrs_member *held;
	const struct nrs_statement *s;
	const struct origin *o;
	struct nrs_member m;
	int err;

	if (c == NULL || !c->trusted)
		return nrs_fail(d, NRS_EUNKNOWN, 0, "no community %s", j->name);
	if (c->frozen)
		return nrs_fail(d, NRS_EFORK, 0, "frozen by rival statements");
	s = &c->v[c->n - 1].s;
	if (nrs_member_find(s->stewards, s->nstewards, n->name) == NULL)
		return nrs_fail(d, NRS_EPERM, 0, "this node is no steward of %s", j->name);
	if (s->threshold > 1)
		return nrs_fail(
		    d, NRS_EPERM, 0, "%u stewards must sign together", s->threshold);
	if (strcmp(j->peer, n->name) == 0 && !j->add)
		return nrs_fail(d, NRS_EPERM, 0, "a steward does not take itself out");
	o = origin_find_name(n, j->peer);
	if (o == NULL)
		return nrs_fail(d, NRS_EUNKNOWN, 0, "no peer %.64s", j->peer);
	err = member_of(o, &m);
	if (err != 0)
		return err;
	held = nrs_member_find(s->members, s->nmembers, j->peer);
	if (j->add ? held != NULL && nrs_hash_eq(&held->root, &m.root) : held == NULL)
		return 1;
	return next_text(j, s, &m);
}

/* --- signing -------------------------------------------------------------------- */

static int
signed_note(struct job *j)
{
	struct node *n = j->node;
	const struct nrs_manifest *m = &n->own->manifests[n->own->nmanifests - 1].m;
	char name[NRS_ORIGIN_MAX + 8];
	uint8_t id[4];
	int err;

	snprintf(name, sizeof(name), "%s/feed", n->name);
	err = nrs_note_keyid(name, NRS_NOTE_ED25519, m->feed.pub, id);
	if (err != 0)
		return err;
	nrs_buf_str(&j->text, "\n");
	nrs_note_add_sig(&j->text, name, id, j->sig, sizeof(j->sig));
	if (j->text.err != 0)
		return j->text.err;
	return community_take(n, j->text.p, j->text.len, true, &j->op->d);
}

static void
on_signed(struct nrs_sign *sign)
{
	struct job *j = sign->arg;
	int err = sign->rc;

	j->node->steward->signing = NULL;
	if (err == 0 && sign->out_len != sizeof(j->sig))
		err = NRS_EINTERNAL;
	if (err == 0)
		err = signed_note(j);
	if (err < 0)
		finish(j, err);
	else
		wait_durable(j);
}

static void
start(struct job *j)
{
	struct node *n = j->node;
	int err = j->kind == JOB_CREATE ? create_text(j) : member_text(j);

	if (err != 0) {
		finish(j, err == 1 ? 0 : err);
		return;
	}
	j->sign = (struct nrs_sign){
		.what = NRS_SIGN_STATEMENT,
		.in = j->text.p,
		.in_len = j->text.len,
		.out = j->sig,
		.out_len = sizeof(j->sig),
		.done = on_signed,
		.arg = j,
	};
	n->steward->signing = j;
	n->env->ops->sign(n->env, &j->sign);
}

void
steward_turn(struct node *n)
{
	struct steward *st = n->steward;
	struct node_op *op;
	struct jobs list;
	struct job *j;

	while (st->signing == NULL && !n->failed && (j = TAILQ_FIRST(&st->queue)) != NULL) {
		TAILQ_REMOVE(&st->queue, j, link);
		start(j);
	}
	while ((op = st->starved) != NULL) {
		st->starved = op->priv;
		st->count--;
		(void)nrs_fail(&op->d, NRS_ENOMEM, 0, "%s", nrs_strerror(NRS_ENOMEM));
		op->done(op, NRS_ENOMEM);
	}
	TAILQ_INIT(&list);
	TAILQ_CONCAT(&list, &st->finished, link);
	while ((j = TAILQ_FIRST(&list)) != NULL) {
		int rc = j->rc;

		op = j->op;
		TAILQ_REMOVE(&list, j, link);
		st->count--;
		job_free(j);
		op->done(op, rc);
	}
}

/* --- requests ---------------------------------------------------------------------- */

/* NULL: no memory even for a job; the operation is told so in the next turn. */
static struct job *
job_new(struct node *n, struct node_op *op)
{
	struct job *j = calloc(1, sizeof(*j));

	memset(&op->d, 0, sizeof(op->d));
	if (j == NULL) {
		op->priv = n->steward->starved;
		n->steward->starved = op;
		n->steward->count++;
		node_wake_at(n, n->env->ops->mono(n->env));
		return NULL;
	}
	j->node = n;
	j->op = op;
	nrs_buf_init(&j->text, NRS_NOTE_MAX);
	n->steward->count++;
	return j;
}

static void
enqueue(struct job *j)
{
	struct steward *st = j->node->steward;

	if (j->node->draining)
		finish(j, NRS_ESTATE);
	else if (nrs_journal_full(j->node->journal))
		finish(j, NRS_EFULL);
	else if (st->count > OPS_MAX)
		finish(j, NRS_EBUSY);
	else
		TAILQ_INSERT_TAIL(&st->queue, j, link);
}

void
node_community_create(struct node *n, const char *name, const struct node_community_opts *o,
    struct node_op *op)
{
	struct job *j = job_new(n, op);

	if (j == NULL)
		return;
	j->kind = JOB_CREATE;
	j->opts = *o;
	if (!nrs_name_ok(name, strlen(name))) {
		(void)nrs_fail(&op->d, NRS_ESYNTAX, 0, "not the name of a community");
		finish(j, NRS_ESYNTAX);
		return;
	}
	if (o->ceiling >= NRS_TLP_RED || o->onward > NRS_ONWARD_CONSTITUENTS) {
		(void)nrs_fail(
		    &op->d, NRS_ERANGE, 0, "a community's ceiling is at most AMBER+STRICT");
		finish(j, NRS_ERANGE);
		return;
	}
	snprintf(j->name, sizeof(j->name), "%s", name);
	enqueue(j);
}

void
node_community_member(
    struct node *n, const char *name, const char *peer, bool add, struct node_op *op)
{
	struct job *j = job_new(n, op);

	if (j == NULL)
		return;
	j->kind = JOB_MEMBER;
	j->add = add;
	if (strlen(name) > NRS_NAME_MAX || strlen(peer) > NRS_ORIGIN_MAX) {
		finish(j, NRS_EUNKNOWN);
		return;
	}
	snprintf(j->name, sizeof(j->name), "%s", name);
	snprintf(j->peer, sizeof(j->peer), "%s", peer);
	enqueue(j);
}

void
node_statement_accept(struct node *n, const uint8_t *note, size_t len,
    const struct node_config *with_peers, struct node_op *op)
{
	struct job *j = job_new(n, op);
	int err = 0;

	if (j == NULL)
		return;
	if (with_peers != NULL)
		err = node_reconfigure(n, with_peers, &op->d);
	if (err == 0)
		err = community_take(n, note, len, true, &op->d);
	if (err < 0)
		finish(j, err);
	else
		wait_durable(j);
}

int
node_invite(struct node *n, struct nrs_buf *b)
{
	const struct community *c;

	for (unsigned int i = 0; i < n->own->nmanifests; i++)
		nrs_invite_add(b, n->own->manifests[i].note, n->own->manifests[i].note_len);
	TAILQ_FOREACH(c, &n->communities, link) {
		if (!c->trusted || !community_member_at(c, c->n - 1, n->name))
			continue;
		for (unsigned int i = 0; i < c->n; i++)
			nrs_invite_add(b, c->v[i].note, c->v[i].note_len);
	}
	return b->err;
}
