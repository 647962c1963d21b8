/*
 * Records that come in: everything that must hold before one is kept, in the
 * order of PROTOCOL.md, section 4.
 *
 * The costly part (signatures, expansion, commitment, STIX) is done in jobs on
 * bytes that do not change, each for a group of records: what came in one turn,
 * or while the jobs were busy.  Jobs end in any order; what they found is
 * applied in the order in which the records came, chain by chain.
 */
#include "node/session_priv.h"

#include <noroshi/plant.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/clearance.h"
#include "stix/scan.h"

#define LEAF_TIME   (30 * SECOND)
#define GROUPS_MAX  16u		 /* jobs at one time: more would only wait in a queue */
#define GROUP_MAX   16u		 /* records of one job */
#define GROUP_BYTES (256u << 10) /* of payload, after which a group is full */
#define TOOLS_KEEP  (1u << 20)	 /* bytes of buffer that a worker keeps */
#define ALONE_BYTES 4096u /* a record of so much is checked sooner than a thread wakes up */
#define HOLD_RECS   8u	  /* of so many the leaves wait in a batch */
#define HOLD_BYTES  (64u << 10) /* of a batch that waits */
#define DROPPED_MAX (64u << 20) /* bytes that only jobs still hold: then no new ones */

enum rec_state {
	REC_WAIT, /* for its leaf, or for a free job */
	REC_JOB,
	REC_DONE
};

/* One record on its way in. */
struct rec {
	TAILQ_ENTRY(rec) link;
	struct chain *chain; /* NULL: given up, the job still runs */
	struct node *node;
	enum rec_state state;
	struct nrs_mono since;
	uint8_t *item; /* owned; w has views into it */
	size_t len;
	struct wire_record w;
	struct nrs_header h;
	uint64_t cost;

	/* the job's input and findings */
	struct nrs_pubkey feed;
	struct nrs_hash leaf;
	nrs_record_verify_fn verify;
	bool list;	    /* it is to be the list of a direct audience */
	bool on_checkpoint; /* signatures are there, and not verified */
	int err;	    /* proves nothing about the origin */
	int stix;	    /* the origin's fault */
	struct nrs_hash c;
	struct nrs_bundle bundle;
	struct nrs_direct direct;
	struct nrs_detail d;
};

/* What a worker works with: its caches have it, whatever job comes next. */
struct tools {
	struct nrs_digest *dg;
	struct nrs_expander *x;
};

/* The records of one job: all of one chain. */
struct group {
	LIST_ENTRY(group) link;
	struct nrs_job job;
	struct node *node;
	unsigned int n;
	uint64_t bytes;
	struct rec *v[GROUP_MAX];
};

struct ingest {
	LIST_HEAD(, group) running;
	unsigned int ngroups;
	unsigned int nrecs;	 /* in them */
	uint64_t ended;		 /* groups, ever */
	uint64_t hold;		 /* a batch waits until so many have; 0: none does */
	TAILQ_HEAD(, chain) due; /* they have records to be started */
	struct tools tools[NRS_WORKERS_MAX]; /* each its worker's alone */
	TAILQ_HEAD(, rec) dropped;	     /* their jobs still run */
	uint64_t dropped_bytes;
};

static void
rec_free(struct rec *r)
{
	nrs_direct_fini(&r->direct);
	free(r->item);
	free(r);
}

static bool
header_only(const struct rec *r)
{
	return r->w.flags == WIRE_RECORD_HEADER;
}

/* --- the job ------------------------------------------------------------------ */

static int
check_signed(struct rec *r, struct nrs_digest *dg)
{
	struct nrs_sigs sigs;
	struct nrs_hash leaf;
	int rc;

	rc = nrs_sigs_decode(&sigs, r->w.sigs.p, r->w.sigs.len, &r->d);
	if (rc == 0)
		rc = nrs_sigs_verify(&sigs, r->w.header, &r->feed, r->verify);
	if (rc == 0)
		rc = nrs_record_commit(dg, r->w.header, r->w.sigs.p, r->w.sigs.len, &r->c);
	if (rc == 0)
		rc = nrs_leaf_sealed(dg, &r->c, &leaf);
	if (rc == 0 && !NRS_PLANTED(NO_LEAF_CHECK) && !nrs_hash_eq(&leaf, &r->leaf))
		rc = NRS_ELEAF;
	return rc;
}

static int
check_payload(struct rec *r, struct tools *t, const uint8_t **ret)
{
	struct nrs_hash commit;
	int rc;

	rc = nrs_expander_run(t->x, r->w.data.p, r->w.data.len,
	    r->w.flags & WIRE_RECORD_RAW, r->h.payload_len, ret);
	/* What does not expand to what was signed is not what was committed to. */
	if (rc != 0)
		return rc == NRS_ENOMEM ? rc : NRS_ECOMMIT;
	rc = nrs_payload_commit(t->dg, r->w.salt, *ret, r->h.payload_len, &commit);
	if (rc == 0 && !nrs_hash_eq(&commit, &r->h.payload_commit))
		rc = NRS_ECOMMIT;
	return rc;
}

static void
check_content(struct rec *r, const uint8_t *payload)
{
	if (r->h.kind == NRS_KIND_BUNDLE) {
		r->stix = nrs_bundle_scan(
		    payload, r->h.payload_len, &r->bundle, NULL, NULL, &r->d);
	} else if (r->list) {
		r->stix = nrs_direct_parse(&r->direct, payload, r->h.payload_len, &r->d);
		if (r->stix == 0 && !nrs_hash_eq(&r->direct.id, &r->h.audience))
			r->stix = NRS_EMEMBER;
	}
}

static void
rec_check(struct rec *r, struct tools *t)
{
	const uint8_t *payload = NULL;

	r->err = check_signed(r, t->dg);
	if (r->err == 0 && !header_only(r))
		r->err = check_payload(r, t, &payload);
	if (r->err == 0 && !header_only(r))
		check_content(r, payload);
}

static bool
tools_ready(struct tools *t)
{
	if (t->dg == NULL)
		t->dg = nrs_digest_new();
	if (t->x == NULL)
		t->x = nrs_expander_new();
	return t->dg != NULL && t->x != NULL;
}

static void
group_run(struct nrs_job *job)
{
	struct group *g = job->arg;
	struct tools *t = &g->node->ingest->tools[job->worker];
	bool ready = tools_ready(t);

	for (unsigned int i = 0; i < g->n; i++) {
		if (ready)
			rec_check(g->v[i], t);
		else
			g->v[i]->err = NRS_ENOMEM;
	}
	if (ready)
		nrs_expander_trim(t->x, TOOLS_KEEP);
}

/* --- putting --------------------------------------------------------------------- */

/* Memory and journal say different things now: only a restart helps. */
static void
break_node(struct node *n, int rc)
{
	node_fail(n, "taking a record in: %s", nrs_strerror(rc));
}

static int
put_refused(
    struct node *n, const struct rec *r, int why, uint64_t *ret_pos, size_t *ret_len)
{
	const char *text = r->d.text[0] != '\0' ? r->d.text : nrs_strerror(why);
	uint8_t head[16];
	struct nrs_str parts[4] = {
		{ head, sizeof(head) },
		{ r->w.header, NRS_HEADER_LEN },
		r->w.sigs,
		{ (const uint8_t *)text, strlen(text) },
	};

	nrs_put_u64(head, r->w.index);
	head[8] = header_only(r) ? 1 : 2;
	head[9] = 0;
	nrs_put_u16(head + 10, (uint16_t)nrs_err_wire(why));
	nrs_put_u32(head + 12, (uint32_t)r->w.sigs.len);
	*ret_len = sizeof(head) + NRS_HEADER_LEN + r->w.sigs.len + parts[3].len;
	return nrs_journal_put(n->journal, NRS_J_REFUSED, 0, parts, 4, ret_pos);
}

static int
put_record(struct node *n, const struct rec *r, uint64_t *ret_pos, size_t *ret_len)
{
	struct nrs_jrecord j = {
		.index = r->w.index,
		.header = r->w.header,
		.sigs = r->w.sigs,
		.salt = r->w.salt,
		.data = r->w.data,
		.flags = (r->w.flags & WIRE_RECORD_RAW ? NRS_JRECORD_RAW : 0) |
		    (r->on_checkpoint ? NRS_JRECORD_CHECKPOINT : 0),
		.c = r->c,
	};

	*ret_len = nrs_jrecord_len(&j);
	return nrs_journal_put_record(n->journal, &j, ret_pos);
}

/* A list that was accepted makes its audience known; there may be too many of them. */
static int
adopt_audience(struct rec *r)
{
	struct chain *c = r->chain;
	int rc = 0;

	if (c->audience == NULL) {
		rc = audience_add(c->origin, &c->id, c->type, &c->audience);
		if (rc != 0) {
			c->audience = NULL;
			return rc;
		}
		c->audience->sync_priv = c;
	}
	if (r->direct.n > 0 && !c->audience->direct_known)
		rc = audience_take_direct(c->audience, &r->direct);
	return rc;
}

static void
keep(struct node *n, struct rec *r, int why)
{
	struct chain *c = r->chain;
	uint64_t pos;
	size_t len;
	int rc;

	rc = why != 0 ? put_refused(n, r, why, &pos, &len) : put_record(n, r, &pos, &len);
	if (rc == 0)
		rc = audience_apply_record(
		    c->audience, &r->h, r->w.header, r->w.index, pos, why != 0);
	if (rc == 0)
		origin_kept_record(c->origin, len);
	if (rc == 0 && why == 0 && r->on_checkpoint)
		c->origin->on_checkpoint++;
	if (rc == 0 && why == 0 && r->h.kind == NRS_KIND_BUNDLE)
		rc = node_put_event(
		    n, NRS_ACTION_ADD, 0, r->bundle.n, &c->origin->id, r->w.index);
	if (rc != 0)
		break_node(n, rc);
}

/* --- the checks that need the node ------------------------------------------------- */

/* May the chain go on at a higher seq? Only past an epoch we were no member of. */
static bool
gap_allowed(struct node *n, const struct chain *c, const struct nrs_header *h)
{
	const struct audience *a = c->audience;
	const struct community *cm;
	uint32_t e;

	if (c->type != AUD_COMMUNITY)
		return false;
	/* What is missing may be what was damaged in the file: another file has it. */
	if (c->fetch->session->import != NULL && carry_doubtful(c->fetch->session->import))
		return false;
	cm = community_find(n, &c->id);
	e = a != NULL && a->next > 0 ? a->epoch : 0;
	for (; cm != NULL && e <= h->epoch; e++) {
		if (!community_member_at(cm, e, n->name))
			return true;
		if (e == UINT32_MAX)
			break;
	}
	return false;
}

static int
check_chain(struct node *n, const struct rec *r)
{
	static const struct nrs_hash zero;
	const struct audience *a = r->chain->audience;
	uint64_t next = sync_next(r->chain);

	if (NRS_PLANTED(REORDER_CHAIN))
		return 0;
	/*
	 * Each record has its own leaf: a chain goes up in the log, and by no more
	 * than the log does.  Without that a gap could be of any size.
	 */
	if (next > 0 &&
	    (a->newest_index >= r->w.index ||
		r->h.seq - (next - 1) > r->w.index - a->newest_index))
		return NRS_ECHAIN;
	if (r->h.seq >= r->w.index)
		return NRS_ECHAIN;
	if (r->h.seq == next)
		return nrs_hash_eq(&r->h.prev, next == 0 ? &zero : &a->head) ? 0
									     : NRS_ECHAIN;
	return gap_allowed(n, r->chain, &r->h) ? 0 : NRS_ECHAIN;
}

static bool
direct_names(const struct nrs_direct *d, const char *name)
{
	for (unsigned int i = 0; i < d->n; i++) {
		if (strcmp(d->recipients[i], name) == 0)
			return true;
	}
	return false;
}

/* Seq 0 of a direct audience is its list; nothing else can be judged before it. */
static int
check_direct(struct node *n, const struct rec *r)
{
	const struct audience *a = r->chain->audience;

	if (a != NULL && a->direct_known)
		return audience_entitled(n, a, &r->h, NULL);
	if (r->h.seq != 0 || r->h.kind != NRS_KIND_MEMBERSHIP || r->stix != 0)
		return NRS_EMEMBER;
	if (strcmp(r->direct.origin, r->chain->origin->name) != 0 ||
	    !direct_names(&r->direct, n->name))
		return NRS_EMEMBER;
	return 0;
}

static int
check_audience(struct node *n, const struct rec *r)
{
	const struct chain *c = r->chain;
	const struct community *cm;
	int rc;

	if (c->type == AUD_DIRECT)
		return check_direct(n, r);
	cm = community_find(n, &c->id);
	if (cm == NULL || c->audience == NULL)
		return NRS_EUNKNOWN;
	if (r->h.epoch > community_epoch(cm))
		return NRS_EEPOCH;
	/* Back to an epoch of more, or of other, members: no honest origin does that. */
	if (r->h.epoch < c->audience->epoch)
		return NRS_EORDER;
	rc = audience_entitled(n, c->audience, &r->h, NULL);
	if (rc == 0 && !community_member_at(cm, r->h.epoch, c->origin->name))
		rc = NRS_EMEMBER;
	return rc;
}

static int
check_policy(const struct rec *r)
{
	if (r->stix == 0 && r->h.kind == NRS_KIND_BUNDLE &&
	    r->bundle.tlp_max != NRS_TLP_UNMARKED && r->bundle.tlp_max > r->h.tlp)
		return NRS_EMARKING;
	return r->stix;
}

/* --- applying ------------------------------------------------------------------------ */

static void
refuse(const struct rec *r, int err)
{
	struct fetch *f = r->chain->fetch;

	session_refuse(f->session, err, f->stream, &r->chain->origin->id, r->w.index,
	    r->h.seq, r->d.text);
}

static struct rec *
chain_pop(struct chain *c)
{
	struct rec *r = TAILQ_FIRST(&c->recs);

	TAILQ_REMOVE(&c->recs, r, link);
	return r;
}

/* Held already, and its leaf is the one of the log: the same, or a second chain. */
static void
held_already(struct node *n, struct rec *r)
{
	const struct audience *a = r->chain->audience;
	uint64_t held = 0;

	if (nrs_array_get(a->index, r->h.seq, 1, &held) == 0 && held != 0 &&
	    held - 1 != r->w.index) {
		session_peer_log(r->chain->fetch->session->peer, NRS_LOG_ERROR,
		    "evidence: %s signed records %llu and %llu with one sequence number",
		    a->origin->name, (unsigned long long)(held - 1),
		    (unsigned long long)r->w.index);
		refuse(r, NRS_EFORK);
		return;
	}
	node_count_refusal(n, NRS_EDUPLICATE);
	if (NRS_PLANTED(DUP_EVENT) &&
	    node_put_event(n, NRS_ACTION_ADD, 0, r->bundle.n, &a->origin->id, r->w.index) !=
		0)
		break_node(n, NRS_ENOMEM);
}

/* What proves nothing about the origin: the fetch ends, another source may do better. */
static bool
give_up(struct rec *r, int err)
{
	struct fetch *f = r->chain->fetch;

	if (err == NRS_ENOMEM) {
		sync_fail(f, err, false);
		return false;
	}
	refuse(r, err);
	if (err == NRS_EEPOCH)
		sync_wait_epoch(f);
	else
		sync_fail(f, err, err != NRS_EQUOTA);
	return false;
}

/*
 * Applies the oldest record of a chain.  False: the chain was dropped and the
 * caller looks no further.
 */
static bool
apply_one(struct node *n, struct chain *c)
{
	struct rec *r = TAILQ_FIRST(&c->recs);
	struct fetch *f = c->fetch;
	uint64_t cost = r->cost;
	int rc = r->err;

	if (rc == 0 && r->h.seq < sync_next(c)) {
		held_already(n, r);
		sync_unhold(f, r->len);
		rec_free(chain_pop(c));
		sync_return(f, cost);
		return true;
	}
	if (rc == 0)
		rc = check_chain(n, r);
	if (rc == 0 && !session_quota_disk(c->origin))
		rc = NRS_EQUOTA;
	if (rc != 0)
		return give_up(r, rc);
	rc = check_audience(n, r);
	if (rc == 0)
		rc = header_only(r) ? NRS_ECEILING : check_policy(r);
	if (rc == NRS_ENOMEM || rc == NRS_EEPOCH)
		return give_up(r, rc);
	/* Without its list a direct audience has no chain that could go on. */
	if (c->type == AUD_DIRECT && (c->audience == NULL || !c->audience->direct_known)) {
		if (rc == 0)
			rc = adopt_audience(r);
		if (rc != 0)
			return give_up(r, rc);
	}
	if (header_only(r)) /* its own choice: it need not be told */
		node_count_refusal(n, rc);
	else if (rc != 0)
		refuse(r, rc);
	keep(n, r, rc);
	sync_unhold(f, r->len);
	rec_free(chain_pop(c));
	f->session->peer->info.rx_records++;
	sync_progress(f);
	if (rc == 0 || !NRS_PLANTED(CREDIT_LEAK))
		sync_return(f, cost);
	return true;
}

/* The oldest records, as far as they are ready and there is room. */
static void
apply_ready(struct node *n, struct chain *c)
{
	struct rec *r;
	bool any = false;

	while ((r = TAILQ_FIRST(&c->recs)) != NULL && r->state == REC_DONE) {
		if (!node_room(n) || n->failed)
			break;
		any = true;
		if (!apply_one(n, c))
			break;
	}
	if (any)
		node_put_done(n);
}

/* --- groups ---------------------------------------------------------------------------- */

static void
due_add(struct chain *c)
{
	struct ingest *in = c->origin->node->ingest;

	if (c->due)
		return;
	c->due = true;
	TAILQ_INSERT_TAIL(&in->due, c, due_link);
}

static void
due_del(struct chain *c)
{
	if (!c->due)
		return;
	c->due = false;
	TAILQ_REMOVE(&c->origin->node->ingest->due, c, due_link);
}

/* Of all that was dropped; the chain of the others, or NULL. */
static struct chain *
group_end(struct group *g)
{
	struct ingest *in = g->node->ingest;
	struct chain *c = NULL;
	struct rec *r;

	LIST_REMOVE(g, link);
	in->ngroups--;
	in->nrecs -= g->n;
	in->ended++;
	for (unsigned int i = 0; i < g->n; i++) {
		r = g->v[i];
		r->state = REC_DONE;
		if (r->chain != NULL) {
			c = r->chain;
			continue;
		}
		TAILQ_REMOVE(&in->dropped, r, link);
		in->dropped_bytes -= r->len;
		rec_free(r);
	}
	return c;
}

static void
group_done(struct nrs_job *job)
{
	struct group *g = job->arg;
	struct node *n = g->node;
	struct chain *c = group_end(g);

	free(g);
	if (c != NULL)
		ingest_chain_run(n, c);
	ingest_turn(n);
}

/* In the place of verification: the signature is there, and the checkpoint vouches for it. */
static int
verify_none(uint8_t alg, const uint8_t *pub, size_t pub_len, const uint8_t *msg,
    size_t msg_len, const uint8_t *sig, size_t sig_len)
{
	return 0;
}

/*
 * Part of a backlog that the operator lets in on its checkpoint?  Far from the
 * end by the own copy of the log, not only by what the source claims to have.
 */
static bool
in_backlog(const struct node *n, const struct rec *r)
{
	const struct origin *o = r->chain->origin;
	uint64_t offered = sync_offered(r->chain->fetch);

	if (o->peer == NULL || !(o->peer->catch_up || NRS_PLANTED(CATCH_UP_UNASKED)))
		return false;
	if (header_only(r) || r->list)
		return false;
	return o->put.size - r->w.index > n->catch_up_min && offered > r->h.seq &&
	    offered - r->h.seq > n->catch_up_min;
}

/* Its leaf is known: what the signature must be by. */
static int
rec_ready(struct node *n, struct rec *r)
{
	struct origin *o = r->chain->origin;
	const struct nrs_manifest *m = origin_manifest_at(o, r->w.index);
	int rc;

	if (NRS_PLANTED(STALE_KEY))
		m = &o->manifests[0].m;
	if (m == NULL)
		return NRS_EKEY;
	rc = origin_leaf(o, r->w.index, &r->leaf);
	if (rc != 0)
		return rc;
	r->feed = m->feed;
	r->list = r->h.kind == NRS_KIND_MEMBERSHIP && r->chain->type == AUD_DIRECT &&
	    r->h.seq == 0;
	r->on_checkpoint = in_backlog(n, r);
	r->verify = r->on_checkpoint ? verify_none : n->env->ops->verify;
	return 0;
}

/* Takes what waits, as far as one job may go.  NULL: nothing, or no memory. */
static struct group *
group_collect(struct node *n, struct chain *c)
{
	struct group *g = calloc(1, sizeof(*g));
	struct rec *r;

	if (g == NULL) {
		r = c->waiting;
		r->err = NRS_ENOMEM;
		r->state = REC_DONE;
		c->waiting = TAILQ_NEXT(r, link);
		return NULL;
	}
	g->node = n;
	for (; (r = c->waiting) != NULL; c->waiting = TAILQ_NEXT(r, link)) {
		if (r->w.index >= c->origin->put.size || g->n == GROUP_MAX ||
		    g->bytes >= GROUP_BYTES)
			break;
		r->err = rec_ready(n, r);
		r->state = r->err != 0 ? REC_DONE : REC_JOB;
		if (r->err != 0)
			continue;
		g->v[g->n++] = r;
		g->bytes += r->h.payload_len;
	}
	if (g->n > 0)
		return g;
	free(g);
	return NULL;
}

static bool
may_start(const struct node *n, const struct chain *c)
{
	const struct rec *r = c->waiting;

	return r != NULL && r->w.index < c->origin->put.size;
}

/* One job of this chain, if there is anything to be done.  False: not now. */
static bool
chain_start(struct node *n, struct chain *c)
{
	struct ingest *in = n->ingest;
	struct group *g;

	if (in->ngroups >= GROUPS_MAX || in->dropped_bytes > DROPPED_MAX)
		return false;
	g = group_collect(n, c);
	if (g == NULL)
		return true;
	g->job.run = group_run;
	g->job.done = group_done;
	g->job.arg = g;
	LIST_INSERT_HEAD(&in->running, g, link);
	in->ngroups++;
	in->nrecs += g->n;
	/*
	 * One record and nothing else to be done: to hand it over would only cost.  No
	 * job runs, so that the tools of worker 0 are free.
	 */
	if (g->n == 1 && in->ngroups == 1 && TAILQ_NEXT(c, due_link) == NULL &&
	    g->bytes <= ALONE_BYTES) {
		group_run(&g->job);
		(void)group_end(g);
		free(g);
		return true;
	}
	n->env->ops->job_submit(n->env, &g->job);
	return true;
}

/*
 * Leaves come just before their records.  While there are only a few, the
 * batch waits for the jobs that run now, so that one sync covers leaves,
 * records and events.  With more of them the journal is never idle, and the
 * next batch forms while this one is written.
 */
bool
ingest_hold(struct node *n)
{
	struct ingest *in = n->ingest;

	if (in->ngroups == 0 || in->nrecs > HOLD_RECS ||
	    nrs_journal_pending(n->journal) > HOLD_BYTES) {
		in->hold = 0;
		return false;
	}
	if (in->hold == 0)
		in->hold = in->ended + in->ngroups;
	if (in->ended < in->hold)
		return true;
	in->hold = 0;
	return false;
}

/* Chains in turn, a job each, so that none waits for another. */
void
ingest_turn(struct node *n)
{
	struct chain *c;

	while (!n->failed && (c = TAILQ_FIRST(&n->ingest->due)) != NULL) {
		if (may_start(n, c) && !chain_start(n, c))
			return;
		due_del(c);
		if (may_start(n, c))
			due_add(c);
		apply_ready(n, c);
	}
}

/* Applies what is ready, in order; what can be started is, at the end of the turn. */
void
ingest_chain_run(struct node *n, struct chain *c)
{
	if (n->failed)
		return;
	if (may_start(n, c))
		due_add(c);
	apply_ready(n, c);
}

/* A relay could hide what it likes, and a carrier; but not what is not taken here in any case. */
static bool
may_hide(const struct fetch *f, const struct nrs_header *h)
{
	if (f->session->import != NULL)
		return f->origin->peer != NULL &&
		    !nrs_tlp_within(h->tlp, f->origin->peer->ceiling);
	return f->session->peer->origin == f->origin;
}

/* --- entry --------------------------------------------------------------------------- */

void
ingest_record(struct fetch *f, uint8_t *p, size_t len, uint64_t cost)
{
	struct node *n = f->session->node;
	struct rec *r = calloc(1, sizeof(*r));
	int rc;

	if (r == NULL) {
		free(p);
		sync_fail(f, NRS_ENOMEM, false);
		return;
	}
	r->item = p;
	r->len = len;
	r->node = n;
	r->chain = f->chain;
	r->cost = cost;
	r->since = session_now(n);
	r->w.index = NRS_NONE;
	r->h.seq = NRS_NONE;
	rc = wire_record_decode(&r->w, p, len);
	if (rc == 0)
		rc = nrs_header_decode(&r->h, r->w.header, NRS_HEADER_LEN, &r->d);
	if (rc == 0 && !nrs_hash_eq(&r->h.origin, &f->origin->id))
		rc = NRS_EORIGIN;
	if (rc == 0 && !nrs_hash_eq(&r->h.audience, &f->chain->id))
		rc = NRS_ECHAIN;
	if (rc == 0 && header_only(r) && !may_hide(f, &r->h))
		rc = NRS_EPERM;
	if (rc != 0) {
		refuse(r, rc);
		rec_free(r);
		sync_fail(f, rc, true);
		return;
	}
	TAILQ_INSERT_TAIL(&f->chain->recs, r, link);
	if (f->chain->waiting == NULL)
		f->chain->waiting = r;
	if (r->w.index >= f->origin->put.size)
		node_wake_at(n, (struct nrs_mono){ r->since.ns + LEAF_TIME });
	ingest_chain_run(n, f->chain);
}

void
ingest_chain_drop(struct chain *c)
{
	struct rec *r;

	if (c->origin->node->ingest != NULL)
		due_del(c);
	c->waiting = NULL;
	while ((r = TAILQ_FIRST(&c->recs)) != NULL) {
		TAILQ_REMOVE(&c->recs, r, link);
		/* At the end of the node no job comes back any more. */
		if (r->state != REC_JOB || r->node->ingest == NULL) {
			rec_free(r);
			continue;
		}
		TAILQ_INSERT_TAIL(&r->node->ingest->dropped, r, link);
		r->node->ingest->dropped_bytes += r->len;
		r->chain = NULL;
	}
}

void
ingest_resume(struct node *n)
{
	struct osync *os;
	struct origin *o;
	struct chain *c;

	TAILQ_FOREACH(o, &n->origins, link) {
		os = o->sync_priv;
		if (os == NULL)
			continue;
		TAILQ_FOREACH(c, &os->chains, link) {
			if (!TAILQ_EMPTY(&c->recs))
				ingest_chain_run(n, c);
		}
	}
}

/* A record whose leaf did not come in time is asked for again, later. */
void
ingest_on_timer(struct node *n, struct nrs_mono now)
{
	struct osync *os;
	struct origin *o;
	struct chain *c;
	struct rec *r;

	TAILQ_FOREACH(o, &n->origins, link) {
		os = o->sync_priv;
		if (os == NULL)
			continue;
		TAILQ_FOREACH(c, &os->chains, link) {
			r = TAILQ_FIRST(&c->recs);
			if (r == NULL || r->state != REC_WAIT || r->w.index < o->put.size)
				continue;
			if (now.ns - r->since.ns >= LEAF_TIME)
				sync_fail(c->fetch, NRS_ELEAF, true);
			else
				node_wake_at(
				    n, (struct nrs_mono){ r->since.ns + LEAF_TIME });
		}
	}
}

int
ingest_init(struct node *n)
{
	n->ingest = calloc(1, sizeof(*n->ingest));
	if (n->ingest == NULL)
		return NRS_ENOMEM;
	TAILQ_INIT(&n->ingest->dropped);
	TAILQ_INIT(&n->ingest->due);
	LIST_INIT(&n->ingest->running);
	return 0;
}

void
ingest_fini(struct node *n)
{
	struct group *g;
	struct rec *r;

	if (n->ingest == NULL)
		return;
	while ((g = LIST_FIRST(&n->ingest->running)) != NULL) {
		LIST_REMOVE(g, link);
		free(g);
	}
	for (unsigned int i = 0; i < NRS_WORKERS_MAX; i++) {
		nrs_digest_free(n->ingest->tools[i].dg);
		nrs_expander_free(n->ingest->tools[i].x);
	}
	while ((r = TAILQ_FIRST(&n->ingest->dropped)) != NULL) {
		TAILQ_REMOVE(&n->ingest->dropped, r, link);
		rec_free(r);
	}
	free(n->ingest);
	n->ingest = NULL;
}

bool
ingest_idle(const struct node *n)
{
	return n->ingest == NULL || n->ingest->ngroups == 0;
}
