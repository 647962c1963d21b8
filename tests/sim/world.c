/*
 * The script of a run: who exists, what operators and submitters do, which
 * faults come when, and how it ends: all faults over, all machines up, and
 * everybody must have everything.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "record/record.h"
#include "record/statement.h"
#include "sim.h"

#define CRASHES_MIN    3
#define PARTITIONS_MIN 2
#define HEAL_MAX       (400 * SIM_S) /* back-off is up to a minute, jittered */

struct snode *
sim_find(struct sim *s, const char *name)
{
	unsigned int i;

	for (i = 0; i < s->n; i++)
		if (strcmp(s->node[i].name, name) == 0)
			return &s->node[i];
	return NULL;
}

/* --- starting, stopping --------------------------------------------------- */

static void
ev_start(struct sim *s, const struct sim_ev *e)
{
	world_start(e->who);
}

static void
node_lost(struct snode *n, bool power)
{
	struct sim *s = n->sim;
	size_t i;

	if (power && n->node != NULL)
		env_interrupt(n);
	check_reader_close(n);
	node_free(n->node);
	n->node = NULL;
	if (disk_handles(n->disk) != 0)
		sim_fail(s, "no leak", "%s: %u files are open after node_free()", n->name,
		    disk_handles(n->disk));
	env_lost(n, power);
	net_node_down(s->net, n->id, power);
	n->outstanding = 0;
	for (i = 0; i < s->nsubs; i++)
		if (s->subs[i]->node == n && s->subs[i]->state == SUB_SENT)
			s->subs[i]->state = SUB_AGAIN;
	if (n->op != NULL) {
		nrs_buf_fini(&n->op->note);
		free(n->op);
		n->op = NULL;
	}
}

static uint64_t
down_time(struct sim *s)
{
	return rng_chance(&s->rng, 1, 4) ? rng_below(&s->rng, 4 * SIM_S)
					 : rng_below(&s->rng, 400 * SIM_MS);
}

void
world_crash(struct snode *n, bool power, const char *why)
{
	struct sim *s = n->sim;

	if (n->node == NULL)
		return;
	sim_trace(s, "%s: %s, %s", n->name, power ? "POWER LOST" : "KILLED", why);
	check_node(n);
	node_lost(n, power);
	s->crashes++;
	cov_add(power ? &sim_cov->crashes : &sim_cov->kills, 1);
	sim_after(s, down_time(s), ev_start, n, NULL, 0);
}

/* The engine gave up, as it should after EIO: the daemon exits and is started again. */
static void
ev_failed(struct sim *s, const struct sim_ev *e)
{
	if (e->who->node != NULL)
		world_crash(e->who, false, "it had failed");
}

void
world_failed(struct snode *n, const char *why)
{
	if (!disk_eio_hit(n->disk))
		sim_fail(n->sim, "the engine works", "%s: failed: %s", n->name, why);
	sim_after(n->sim, 0, ev_failed, n, NULL, 0);
}

static int
try_open(struct snode *n, struct nrs_detail *d)
{
	int rc;

	memset(d, 0, sizeof(*d));
	n->cfg.signed_size = n->keeper.any ? n->keeper.size : 0;
	n->opening = true;
	n->boot = n->sim->now;
	rc = node_open(&n->env, &n->cfg, !n->created, &n->node, d);
	n->opening = false;
	cov_add(&sim_cov->opens, 1);
	return rc;
}

/* Open, lose it at once, open again: nothing may have changed. */
static void
open_twice(struct snode *n)
{
	struct sim *s = n->sim;
	uint64_t before = check_status(n), after;
	bool power = rng_chance(&s->rng, 3, 4);
	struct nrs_detail d;
	int rc;

	node_lost(n, power);
	if ((rc = try_open(n, &d)) != 0)
		sim_fail(s, "recovery is idempotent", "%s: second open: %s: %s %s", n->name,
		    nrs_errname(rc), d.path, d.text);
	after = check_status(n);
	if (before != after)
		sim_fail(s, "recovery is idempotent",
		    "%s: another state after a second open", n->name);
	cov_add(&sim_cov->idempotent, 1);
}

void
world_start(struct snode *n)
{
	struct sim *s = n->sim;
	struct nrs_detail d;
	int rc;

	if (n->node != NULL)
		return;
	if (!s->healing && rng_chance(&s->rng, 1, 4))
		n->open_steps = (int)rng_below(&s->rng, n->created ? 8 : 14);
	rc = try_open(n, &d);
	if (n->dead) {
		sim_trace(s, "%s: POWER LOST while opening", n->name);
		if (rc == 0)
			check_reader_close(n);
		node_lost(n, true);
		s->crashes++;
		cov_add(&sim_cov->crashes, 1);
		sim_after(s, down_time(s), ev_start, n, NULL, 0);
		return;
	}
	n->open_steps = -1;
	if (rc != 0)
		sim_fail(s, "recovery succeeds", "%s: %s: %s offset %llu: %s", n->name,
		    nrs_errname(rc), d.path, (unsigned long long)d.off, d.text);
	n->created = true;
	if (!s->healing && rng_chance(&s->rng, 1, 4))
		open_twice(n);
	sim_trace(s, "%s: up", n->name);
	check_recovered(n);
	check_reader_open(n);
	node_on_timer(n->node);
	env_turn(n);
}

/* --- operators -------------------------------------------------------------- */

enum op_what { OP_CREATE, OP_ADD, OP_REMOVE, OP_ACCEPT };

static void
op_done(struct node_op *op, int rc)
{
	struct sim_op *o = op->arg;
	struct snode *n = o->node;
	struct sim *s = n->sim;

	sim_trace(s, "%s: operator's request %d: %s %s", n->name, o->what & 0xff,
	    rc == 0 ? "done" : nrs_errname(rc), rc == 0 ? "" : op->d.text);
	if (rc != 0 && rc != NRS_EEXISTS && rc != NRS_EFULL && rc != NRS_EBUSY &&
	    rc != NRS_EIO && rc != NRS_ESTATE && rc != NRS_EUNKNOWN)
		sim_fail(s, "operators are served", "%s: request %d: %s: %s", n->name,
		    o->what & 0xff, nrs_errname(rc), op->d.text);
	if (rc == 0 || (rc == NRS_EEXISTS && (o->what & 0xff) != OP_ADD))
		switch (o->what & 0xff) {
		case OP_CREATE:
			s->created = true;
			n->member = n->accepted = true;
			break;
		case OP_ADD:
			s->node[o->what >> 8].member = true;
			break;
		case OP_REMOVE:
			s->left = true;
			break;
		}
	if (rc == 0 && (o->what & 0xff) == OP_ACCEPT && o->what >> 8 != 0)
		n->accepted = true;
	n->op = NULL;
	nrs_buf_fini(&o->note);
	free(o);
}

static struct sim_op *
op_new(struct snode *n, int what)
{
	struct sim_op *o = calloc(1, sizeof(*o));

	if (o == NULL)
		abort();
	o->op.done = op_done;
	o->op.arg = o;
	o->node = n;
	o->what = what;
	nrs_buf_init(&o->note, NRS_NOTE_MAX);
	n->op = o;
	return o;
}

struct walk {
	struct nrs_buf *b;
	unsigned int n;
};

/* The founding statement is enough; the others come by themselves, or also here. */
static int
invite_note(void *arg, const uint8_t *note, size_t len)
{
	static const char magic[] = "noroshi/v1/membership";
	struct walk *w = arg;

	if (len < sizeof(magic) || memcmp(note, magic, sizeof(magic) - 1) != 0)
		return 0;
	if (w->n++ == 0)
		nrs_buf_put(w->b, note, len);
	return 0;
}

static void
operator_accepts(struct snode *n)
{
	struct snode *founder = &n->sim->node[0];
	struct nrs_buf b;
	struct sim_op *o;
	struct walk w;

	if (founder->node == NULL)
		return;
	nrs_buf_init(&b, NRS_INVITE_MAX);
	o = op_new(n, OP_ACCEPT | 1 << 8);
	w.b = &o->note;
	w.n = 0;
	if (node_invite(founder->node, &b) != 0 ||
	    nrs_invite_walk(b.p, b.len, invite_note, &w, NULL) != 0)
		sim_fail(n->sim, "invites are well-formed", "%s", founder->name);
	nrs_buf_fini(&b);
	if (w.n == 0) { /* not durable yet */
		nrs_buf_fini(&o->note);
		free(o);
		n->op = NULL;
		return;
	}
	node_statement_accept(n->node, o->note.p, o->note.len, NULL, &o->op);
	env_turn(n);
}

static void
operator_founder(struct snode *n)
{
	struct sim *s = n->sim;
	struct node_community_opts opts;
	unsigned int i;

	if (!s->created) {
		memset(&opts, 0, sizeof(opts));
		opts.ceiling = NRS_TLP_AMBER_STRICT;
		opts.onward = 1;
		opts.history = s->history;
		node_community_create(
		    n->node, SIM_COMMUNITY, &opts, &op_new(n, OP_CREATE)->op);
		env_turn(n);
		return;
	}
	for (i = 1; i < s->n; i++)
		if (!s->node[i].member &&
		    (s->join[i] <= s->now || (s->healing && s->join[i] != NRS_NONE))) {
			node_community_member(n->node, SIM_COMMUNITY, s->node[i].name, true,
			    &op_new(n, OP_ADD | (int)i << 8)->op);
			env_turn(n);
			return;
		}
	if (!s->left && s->leave <= s->now && s->node[s->n - 1].member) {
		node_community_member(n->node, SIM_COMMUNITY, s->node[s->n - 1].name, false,
		    &op_new(n, OP_REMOVE)->op);
		env_turn(n);
	}
}

static void
operators(struct sim *s)
{
	unsigned int i;

	if (s->node[0].node != NULL && s->node[0].op == NULL)
		operator_founder(&s->node[0]);
	for (i = 1; i < s->n; i++)
		if (s->created && s->node[i].node != NULL && s->node[i].op == NULL &&
		    !s->node[i].accepted &&
		    (s->node[i].member || rng_chance(&s->rng, 1, 8)))
			operator_accepts(&s->node[i]);
}

/* --- submitters ---------------------------------------------------------------- */

static struct sub *
sub_new(struct snode *n)
{
	struct sim *s = n->sim;
	struct sub *u = calloc(1, sizeof(*u));

	if (s->nsubs == s->subs_cap) {
		s->subs_cap = s->subs_cap > 0 ? s->subs_cap * 2 : 256;
		s->subs = realloc(s->subs, s->subs_cap * sizeof(struct sub *));
	}
	if (u == NULL || s->subs == NULL)
		abort();
	u->id = (unsigned int)s->nsubs;
	u->node = n;
	s->subs[s->nsubs++] = u;
	return u;
}

static uint32_t
object_new(struct sim *s, struct sub *u)
{
	if (s->nobjects == s->objects_cap) {
		s->objects_cap = s->objects_cap > 0 ? s->objects_cap * 2 : 512;
		s->objects = realloc(s->objects, s->objects_cap * sizeof(struct sub *));
		if (s->objects == NULL)
			abort();
	}
	s->objects[s->nobjects] = u;
	return s->nobjects++;
}

static void
sub_payload(struct sub *u, unsigned int pad)
{
	struct rng *r = &u->node->sim->rng;
	struct nrs_buf b;
	unsigned int i, k;

	nrs_buf_init(&b, NRS_PAYLOAD_MAX);
	nrs_buf_fmt(&b,
	    "{\"type\":\"bundle\",\"id\":\"bundle--%08x-5351-4d42-9000-%012llx\",\"objects\":[",
	    u->first, (unsigned long long)(rng_u64(r) & 0xffffffffffff));
	for (i = 0; i < u->n; i++) {
		nrs_buf_fmt(&b,
		    "%s{\"type\":\"indicator\",\"spec_version\":\"2.1\","
		    "\"id\":\"indicator--%08x-5351-4d49-8000-000000000000\","
		    "\"created\":\"2026-01-02T03:04:05.678Z\","
		    "\"modified\":\"2026-01-02T03:04:05.678Z\","
		    "\"pattern\":\"[url:value = 'http://" SIM_MARKER "-%u.example/",
		    i > 0 ? "," : "", u->first + i, u->first + i);
		for (k = 0; k < pad; k++)
			nrs_buf_u8(&b, (uint8_t)('a' + rng_below(r, 26)));
		nrs_buf_str(&b,
		    "']\",\"pattern_type\":\"stix\",\"valid_from\":\"2026-01-02T03:04:05Z\"}");
	}
	nrs_buf_str(&b, "]}");
	if (b.err != 0)
		abort();
	u->payload = nrs_buf_take(&b, &u->len);
}

static void
sub_audience(struct sub *u)
{
	struct snode *n = u->node;
	struct sim *s = n->sim;
	unsigned int i;

	u->direct = !n->accepted || !n->member || n->out || rng_chance(&s->rng, 1, 8);
	u->s.tlp = (uint8_t)rng_below(&s->rng, u->direct ? NRS_TLP__MAX : NRS_TLP_RED);
	if (!u->direct)
		return;
	while (u->to == 0)
		u->to =
		    (unsigned int)rng_u64(&s->rng) & ((1u << s->n) - 1) & ~(1u << n->id);
	/* Who cannot be reached directly needs one who passes it on. */
	if (s->apart &&
	    ((n->id == 0 && (u->to >> (s->n - 1) & 1)) ||
		(n->id == s->n - 1 && (u->to & 1))))
		u->to |= 1u << 1;
	for (i = 0; i < s->n; i++)
		if (u->to >> i & 1)
			u->names[u->s.nrecipients++] = s->node[i].name;
}

static struct sub *
sub_make(struct snode *n)
{
	struct sim *s = n->sim;
	struct sub *u = sub_new(n);
	unsigned int i;

	sub_audience(u);
	u->n = 1 + (unsigned int)rng_below(&s->rng, rng_chance(&s->rng, 1, 20) ? 12 : 3);
	for (i = 0; i < u->n; i++) {
		uint32_t o = object_new(s, u);

		u->first = i == 0 ? o : u->first;
	}
	sub_payload(
	    u, rng_chance(&s->rng, 1, 40) ? 6000 : (unsigned int)rng_below(&s->rng, 200));
	n->generated++;
	cov_add(&sim_cov->records, 1);
	return u;
}

/* The same objects once more: the answer must be that they are known. */
static struct sub *
sub_repeat(struct snode *n)
{
	struct sim *s = n->sim;
	struct sub *u, *old = s->nsubs > 0 ? s->subs[rng_below(&s->rng, s->nsubs)] : NULL;
	unsigned int i;

	if (old == NULL || old->node != n || old->state != SUB_ACKED || old->repeat ||
	    (!old->direct && (!n->accepted || n->out)))
		return NULL;
	u = sub_new(n);
	u->repeat = true;
	u->direct = old->direct;
	u->to = old->to;
	u->s.tlp = old->s.tlp;
	for (i = 0; i < old->s.nrecipients; i++)
		u->names[u->s.nrecipients++] = old->names[i];
	u->first = old->first;
	u->n = old->n;
	if ((u->payload = malloc(old->len)) == NULL)
		abort();
	memcpy(u->payload, old->payload, old->len);
	u->len = old->len;
	return u;
}

static void
sub_done(struct node_submit *ns, int rc)
{
	struct sub *u = ns->arg;
	struct snode *n = u->node;
	struct sim *s = n->sim;

	n->outstanding--;
	sim_trace(s, "%s: submission %u: %s index %lld", n->name, u->id,
	    rc == 0 ? "done" : nrs_errname(rc), rc == 0 ? (long long)ns->index : -1LL);
	switch (rc) {
	case 0:
		if (u->repeat)
			sim_fail(s, "idempotence",
			    "%s: objects of submission %u again, at %llu", n->name, u->id,
			    (unsigned long long)ns->index);
		u->state = SUB_ACKED;
		u->has_index = true;
		u->index = ns->index;
		cov_add(&sim_cov->acked, 1);
		check_acked(u);
		return;
	case NRS_EEXISTS:
		if (ns->nknown != u->n)
			sim_fail(s, "idempotence",
			    "%s: %u of %u objects of submission %u known", n->name,
			    ns->nknown, u->n, u->id);
		u->state = SUB_ACKED;
		return;
	case NRS_EMEMBER:
		if (n->id == s->n - 1 && s->leave != NRS_NONE) {
			/* taken out of the community: it can share with named peers only */
			u->state = SUB_AGAIN;
			u->not_before = NRS_NONE;
			n->out = true;
			return;
		}
		/* fallthrough */
	case NRS_EFULL:
	case NRS_EUNKNOWN:
	case NRS_EBUSY:
	case NRS_EIO:
		u->state = SUB_AGAIN;
		u->not_before = s->now + rng_range(&s->rng, 50 * SIM_MS, 500 * SIM_MS);
		return;
	}
	sim_fail(s, "submitters are served", "%s: submission %u: %s: %s", n->name, u->id,
	    nrs_errname(rc), ns->d.text);
}

static void
sub_send(struct sub *u)
{
	struct snode *n = u->node;
	uint8_t tlp = u->s.tlp;
	unsigned int nrec = u->s.nrecipients;

	memset(&u->s, 0, sizeof(u->s));
	u->s.tlp = tlp;
	u->s.nrecipients = nrec;
	if (u->direct)
		u->s.recipients = u->names;
	else
		u->s.community = SIM_COMMUNITY;
	u->s.flags = rng_chance(&n->sim->rng, 1, 16) ? 1 : 0;
	if ((u->s.payload = malloc(u->len)) == NULL)
		abort();
	memcpy(u->s.payload, u->payload, u->len);
	u->s.payload_len = u->len;
	u->s.done = sub_done;
	u->s.arg = u;
	if (u->state == SUB_AGAIN)
		cov_add(&sim_cov->resubmitted, 1);
	u->state = SUB_SENT;
	n->outstanding++;
	node_submit(n->node, &u->s);
}

static struct sub *
sub_again(struct snode *n)
{
	struct sim *s = n->sim;
	size_t i;

	for (i = 0; i < s->nsubs; i++)
		if (s->subs[i]->node == n && s->subs[i]->state == SUB_AGAIN &&
		    s->subs[i]->not_before <= s->now)
			return s->subs[i];
	return NULL;
}

static void
ev_submit(struct sim *s, const struct sim_ev *e)
{
	struct snode *n = &s->node[e->a];
	unsigned int burst =
	    rng_chance(&s->rng, 1, 6) ? (unsigned int)rng_range(&s->rng, 2, 8) : 1;
	struct sub *u;

	if (n->node != NULL && n->outstanding < 12) {
		while (burst-- > 0) {
			u = sub_again(n);
			if (u == NULL && n->generated < s->target && !s->healing)
				u = rng_chance(&s->rng, 1, 12) ? sub_repeat(n)
							       : sub_make(n);
			if (u != NULL)
				sub_send(u);
		}
		env_turn(n);
	}
	sim_after(s, rng_below(&s->rng, 70 * SIM_MS), ev_submit, NULL, NULL, e->a);
}

/* --- faults ---------------------------------------------------------------------- */

static void
ev_crash(struct sim *s, const struct sim_ev *e)
{
	world_crash(e->who, e->a != 0, e->p);
}

void
world_arm_hit(struct snode *n, unsigned int protos, unsigned int step, uint64_t lat)
{
	struct sim *s = n->sim;

	if (n->arm_proto < 0 || !(protos >> n->arm_proto & 1) || n->arm_step != step)
		return;
	n->arm_proto = -1;
	sim_after(s, rng_below(&s->rng, lat), ev_crash, n,
	    (void *)(uintptr_t) "at a chosen step", rng_chance(&s->rng, 7, 8));
}

static void
ev_unblock(struct sim *s, const struct sim_ev *e)
{
	unsigned int a = (unsigned int)(e->a & 0xff), b = (unsigned int)(e->a >> 8);

	sim_trace(s, "link %u-%u works again", a, b);
	net_block(s->net, a, b, false, rng_chance(&s->rng, 1, 2));
}

static void
partition(struct sim *s)
{
	unsigned int a = (unsigned int)rng_below(&s->rng, s->n), b;
	uint64_t dt = rng_range(&s->rng, 50 * SIM_MS, 4 * SIM_S);
	bool all = rng_chance(&s->rng, 1, 2), cut = rng_chance(&s->rng, 1, 2);
	unsigned int only = (unsigned int)rng_below(&s->rng, s->n);

	for (b = 0; b < s->n; b++)
		if (b != a && (all || b == only || (only == a && b == (a + 1) % s->n))) {
			sim_trace(s, "link %u-%u blocked%s", a, b, cut ? " and cut" : "");
			net_block(s->net, a, b, true, cut);
			sim_after(s, dt, ev_unblock, NULL, NULL, a | b << 8);
		}
	s->partitions++;
	cov_add(&sim_cov->partitions, 1);
}

static void
ev_not_full(struct sim *s, const struct sim_ev *e)
{
	disk_set_full(e->who->disk, false);
}

static void
crash_somehow(struct sim *s, struct snode *n)
{
	static const struct {
		uint8_t proto, steps;
	} targets[] = { { PROTO_RECORDS, 2 }, { PROTO_LEAVES, 2 }, { PROTO_CHECKPOINT, 2 },
		{ PROTO_STATEMENT, 2 }, { PROTO_FIRST, 2 }, { PROTO_FIRST, 2 },
		{ PROTO_ROLL, 7 }, { PROTO_ROLL, 7 }, { PROTO_CACHE, 5 },
		{ PROTO_CACHE, 5 }, { PROTO_KEEPER, 2 } };
	unsigned int i;

	if (rng_chance(&s->rng, 1, 3)) {
		world_crash(n, rng_chance(&s->rng, 3, 4), "at random");
		return;
	}
	i = (unsigned int)rng_below(&s->rng, sizeof(targets) / sizeof(targets[0]));
	n->arm_proto = targets[i].proto;
	n->arm_step = (unsigned int)rng_below(&s->rng, targets[i].steps);
}

static void
ev_fault(struct sim *s, const struct sim_ev *e)
{
	struct snode *n = &s->node[rng_below(&s->rng, s->n)];

	if (s->healing)
		return;
	sim_after(s, rng_below(&s->rng, 1200 * SIM_MS), ev_fault, NULL, NULL, 0);
	switch (rng_below(&s->rng, 10)) {
	case 0:
	case 1:
	case 2:
	case 3:
		crash_somehow(s, n);
		return;
	case 4:
	case 5:
		partition(s);
		return;
	case 6:
		net_cut_some(s->net);
		return;
	case 7:
		if (n->node == NULL)
			return;
		sim_trace(s, "%s: disk full", n->name);
		disk_set_full(n->disk, true);
		cov_add(&sim_cov->full, 1);
		sim_after(
		    s, rng_range(&s->rng, 50 * SIM_MS, 3 * SIM_S), ev_not_full, n, NULL, 0);
		return;
	case 8:
		if (n->node == NULL || !rng_chance(&s->rng, 1, 2))
			return;
		sim_trace(s, "%s: the next sync fails", n->name);
		disk_set_eio(n->disk);
		cov_add(&sim_cov->eio, 1);
		return;
	case 9:
		n->skew_ms += (int64_t)rng_below(&s->rng, 4000) - 2000;
		return;
	}
}

/* --- the end ------------------------------------------------------------------------ */

static bool
work_done(const struct sim *s)
{
	unsigned int i, n = 0;

	for (i = 0; i < s->n; i++)
		n += s->node[i].generated;
	return n >= s->o.records && s->crashes >= CRASHES_MIN &&
	    s->partitions >= PARTITIONS_MIN;
}

static bool
all_acked(const struct sim *s)
{
	size_t i;

	for (i = 0; i < s->nsubs; i++)
		if (s->subs[i]->state != SUB_ACKED && s->subs[i]->not_before != NRS_NONE)
			return false;
	return true;
}

static const char *
end_state(struct sim *s)
{
	unsigned int i;

	for (i = 0; i < s->n; i++)
		if (s->node[i].node == NULL)
			return "a machine is down";
	if (!s->created)
		return "the community was not created";
	for (i = 1; i < s->n; i++)
		if (s->join[i] != NRS_NONE && !(i == s->n - 1 && s->left) &&
		    (!s->node[i].member || !s->node[i].accepted))
			return "an operator is not done";
	if (!all_acked(s))
		return "a submission is not acknowledged";
	return check_in_sync(s);
}

static void
heal(struct sim *s)
{
	unsigned int i;

	sim_trace(s, "HEALING: no more faults");
	s->healing = true;
	s->heal_at = s->now;
	for (i = 0; i < s->n; i++) {
		s->node[i].arm_proto = -1;
		disk_set_full(s->node[i].disk, false);
	}
}

static void
ev_tick(struct sim *s, const struct sim_ev *e)
{
	const char *why;
	unsigned int i;

	operators(s);
	for (i = 0; i < s->n; i++)
		if (s->node[i].node != NULL)
			check_node(&s->node[i]);
	if (!s->healing && work_done(s))
		heal(s);
	if (s->healing) {
		why = end_state(s);
		if (why == NULL) {
			s->done = true;
			return;
		}
		if (s->now - s->heal_at > HEAL_MAX)
			sim_fail(s, "liveness", "%s, %llu s after the last fault", why,
			    (unsigned long long)(HEAL_MAX / SIM_S));
	}
	sim_after(s, s->healing ? 250 * SIM_MS : 100 * SIM_MS, ev_tick, NULL, NULL, 0);
}

/* --- the population -------------------------------------------------------------------- */

static void
node_setup(struct sim *s, unsigned int i)
{
	static const char *const names[SIM_NODES_MAX] = { "jp.cert.example",
		"us.cert.example", "sg.cert.example", "de.cert.example", "br.cert.example",
		"ke.cert.example", "nz.cert.example", "fi.cert.example" };
	struct snode *n = &s->node[i];

	n->sim = s;
	n->id = i;
	strcpy(n->name, names[i]);
	keys_init(&n->keys, n->name);
	nrs_buf_init(&n->manifest, NRS_NOTE_MAX);
	keys_manifest(&n->manifest, &n->keys, n->name, 0, NULL);
	if (nrs_origin_id(n->name, strlen(n->name), &n->origin_id) != 0)
		abort();
	env_init(n);
	s->join[i] = rng_chance(&s->rng, 3, 4) ? 0 : rng_below(&s->rng, 8 * SIM_S);
}

static void
node_peers_setup(struct sim *s, unsigned int i)
{
	static const char *const communities[] = { SIM_COMMUNITY };
	struct snode *n = &s->node[i];
	unsigned int k, np = 0;

	/* By the seed alone: what older seeds do stays as it was. */
	n->catch_up = (s->o.seed + i) % 4 == 0;
	for (k = 0; k <= s->n; k++) {
		struct node_peer_config *p = &n->peers[np];
		const struct nrs_buf *m;

		if (k == i || (k == s->n && s->mal == NULL))
			continue;
		m = k == s->n ? mal_manifest(s->mal) : &s->node[k].manifest;
		p->origin = k == s->n ? mal_name() : s->node[k].name;
		p->manifest = m->p;
		p->manifest_len = m->len;
		p->communities = communities;
		p->ncommunities = 1;
		p->ceiling = NRS_TLP_RED;
		/* The liar has its log key, and could do what the threat model says. */
		p->catch_up = n->catch_up && k != s->n;
		np++;
	}
	n->cfg.origin = n->name;
	n->cfg.manifest = n->manifest.p;
	n->cfg.manifest_len = n->manifest.len;
	n->cfg.peers = n->peers;
	n->cfg.npeers = np;
	n->cfg.catch_up_min = 4;
	n->cfg.segment_bytes = 16384 << rng_below(&s->rng, 3);
	n->cfg.window_bytes = rng_chance(&s->rng, 1, 2) ? 32768 : 0;
}

void
world_init(struct sim *s)
{
	unsigned int i;

	s->n = s->o.nodes;
	if (s->n == 0)
		s->n =
		    rng_chance(&s->rng, 3, 4) ? 3 : (unsigned int)rng_range(&s->rng, 4, 5);
	s->history = rng_chance(&s->rng, 1, 2);
	s->leave =
	    rng_chance(&s->rng, 1, 5) ? rng_range(&s->rng, SIM_S, 10 * SIM_S) : NRS_NONE;
	s->target = (s->o.records + s->n - 1) / s->n;
	s->net = net_new(s);
	for (i = 0; i < s->n; i++)
		node_setup(s, i);
	if (rng_chance(&s->rng, 1, 6))
		s->join[s->n - 1] = NRS_NONE;
	if (rng_chance(&s->rng, 2, 5))
		s->mal = mal_new(s);
	s->apart = rng_chance(&s->rng, 1, 4) && s->n > 2;
	if (s->apart) { /* everything between the first and the last goes by others */
		net_block(s->net, 0, s->n - 1, true, false);
		s->join[1] = 0;
	}
	sim_trace(s, "seed %llu: %u nodes, %u records%s", (unsigned long long)s->o.seed,
	    s->n, s->o.records, s->mal != NULL ? ", one peer lies" : "");
	for (i = 0; i < s->n; i++) {
		node_peers_setup(s, i);
		sim_after(
		    s, rng_below(&s->rng, 200 * SIM_MS), ev_start, &s->node[i], NULL, 0);
		sim_after(
		    s, SIM_S / 2 + rng_below(&s->rng, SIM_S), ev_submit, NULL, NULL, i);
	}
	sim_after(s, SIM_S / 2, ev_tick, NULL, NULL, 0);
	sim_after(s, SIM_S, ev_fault, NULL, NULL, 0);
	if (s->mal != NULL)
		cov_add(&sim_cov->mal_seeds, 1);
}

void
world_step(struct sim *s)
{
	struct snode *n = &s->node[s->nevents % s->n];

	if (s->nevents % 61 == 0 && n->node != NULL)
		check_node(n);
}

void
world_fini(struct sim *s)
{
	unsigned int i;
	size_t k;

	for (i = 0; i < s->n; i++) {
		node_lost(&s->node[i], false);
		env_fini(&s->node[i]);
		nrs_buf_fini(&s->node[i].manifest);
		free(s->node[i].shown);
	}
	for (i = 0; i <= SIM_NODES_MAX; i++) {
		free(s->ref[i].leaf);
		free(s->ref[i].root);
		free(s->ref[i].sig);
	}
	for (k = 0; k < s->nsubs; k++) {
		free(s->subs[k]->payload);
		free(s->subs[k]);
	}
	free(s->subs);
	free(s->objects);
	net_free(s->net);
	mal_free(s->mal);
}
