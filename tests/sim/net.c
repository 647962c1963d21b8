/*
 * The network: connections that carry bytes in order or break.  Each direction
 * has a rate, a delay that varies, bytes not taken yet and bytes on the way;
 * between two machines nothing may pass for a while, silently or with a cut.
 */
#include <stdlib.h>
#include <string.h>

#include "sim.h"

#define HIGH_MARK (256u << 10)
#define CHUNK_MAX 16384
#define MACHINES  (SIM_NODES_MAX + 1)

struct chunk {
	struct chunk *next;
	size_t len;
	uint8_t p[];
};

/* One end: what it sends. */
struct end {
	unsigned int who;
	bool up;      /* its node knows the connection and has not closed it */
	bool told;    /* on_connected was called */
	bool sending; /* a pump event is on its way */
	bool above;   /* was above the high mark */
	bool fin;     /* closed: what was sent still arrives, then the end */
	uint8_t *buf;
	size_t len, cap, off;
	struct chunk *first, **last; /* on the way */
	uint64_t last_at;
};

struct conn {
	struct end e[2]; /* e[0] dialled */
	bool broken;
	bool used;
	uint64_t rate; /* bytes a second */
	uint64_t delay;
};

struct net {
	struct sim *s;
	struct conn **conns; /* numbers: 2 * i + 1 and 2 * i + 2 */
	size_t nconns;
	unsigned int blocked[MACHINES][MACHINES];
};

struct net *
net_new(struct sim *s)
{
	struct net *net = calloc(1, sizeof(*net));

	if (net == NULL)
		abort();
	net->s = s;
	return net;
}

static void
end_drop(struct end *e)
{
	struct chunk *c;

	while ((c = e->first) != NULL) {
		e->first = c->next;
		free(c);
	}
	e->last = &e->first;
	e->len = e->off = 0;
}

static void
conn_drop(struct conn *c)
{
	int i;

	c->broken = true;
	for (i = 0; i < 2; i++) {
		end_drop(&c->e[i]);
		free(c->e[i].buf);
		c->e[i].buf = NULL;
		c->e[i].cap = 0;
	}
}

void
net_free(struct net *net)
{
	size_t i;

	for (i = 0; i < net->nconns; i++) {
		conn_drop(net->conns[i]);
		free(net->conns[i]);
	}
	free(net->conns);
	free(net);
}

static struct conn *
conn_get(struct net *net, nrs_conn id, unsigned int *ret_side)
{
	size_t i = (size_t)((id - 1) / 2);

	*ret_side = (unsigned int)((id - 1) & 1);
	return id == 0 || i >= net->nconns ? NULL : net->conns[i];
}

static nrs_conn
conn_id(size_t i, unsigned int side)
{
	return 2 * (nrs_conn)i + 1 + side;
}

/* The machine a number names; NULL: the one that lies, or it is down. */
static struct snode *
machine(struct net *net, unsigned int who)
{
	return who < net->s->n && net->s->node[who].node != NULL ? &net->s->node[who]
								 : NULL;
}

bool
net_blocked(struct net *net, unsigned int a, unsigned int b)
{
	return net->blocked[a][b] != 0;
}

/* --- breaking --------------------------------------------------------------- */

static void
tell_closed(struct net *net, size_t i, unsigned int side)
{
	struct end *e = &net->conns[i]->e[side];
	struct snode *n = machine(net, e->who);

	if (!e->up)
		return;
	e->up = false;
	if (e->who >= net->s->n) {
		mal_closed(net->s->mal, conn_id(i, side));
	} else if (n != NULL) {
		node_on_closed(n->node, conn_id(i, side), "the simulated network broke");
		env_turn(n);
	}
}

static void
ev_closed(struct sim *s, const struct sim_ev *ev)
{
	tell_closed(s->net, (size_t)ev->a / 2, (unsigned int)(ev->a & 1));
}

/* Bytes on the way are lost; both ends hear of it, some time. */
static void
conn_break(struct net *net, size_t i, uint64_t within)
{
	struct conn *c = net->conns[i];
	unsigned int side;

	if (c->broken)
		return;
	conn_drop(c);
	for (side = 0; side < 2; side++)
		if (c->e[side].up)
			sim_after(net->s, rng_below(&net->s->rng, within), ev_closed, NULL,
			    NULL, 2 * (uint64_t)i + side);
}

void
net_node_down(struct net *net, unsigned int id, bool power)
{
	struct conn *c;
	size_t i;
	int side;

	for (i = 0; i < net->nconns; i++) {
		c = net->conns[i];
		for (side = 0; side < 2; side++) {
			if (c->e[side].who != id || c->broken ||
			    (c->e[side].told && !c->e[side].up))
				continue;
			c->e[side].up = false;
			/* Without power nobody says good-bye: the other side waits. */
			conn_break(net, i,
			    power && rng_chance(&net->s->rng, 1, 3) ? 30 * SIM_S
								    : 20 * SIM_MS);
		}
	}
}

void
net_block(struct net *net, unsigned int a, unsigned int b, bool blocked, bool cut)
{
	size_t i;

	if (blocked) {
		net->blocked[a][b]++;
		net->blocked[b][a]++;
	} else {
		net->blocked[a][b]--;
		net->blocked[b][a]--;
	}
	for (i = 0; cut && i < net->nconns; i++) {
		const struct conn *c = net->conns[i];

		if ((c->e[0].who == a && c->e[1].who == b) ||
		    (c->e[0].who == b && c->e[1].who == a))
			conn_break(net, i, 100 * SIM_MS);
	}
}

void
net_cut_some(struct net *net)
{
	size_t i;

	for (i = 0; i < net->nconns; i++)
		if (!net->conns[i]->broken && rng_chance(&net->s->rng, 1, 2))
			conn_break(net, i, 50 * SIM_MS);
}

/* --- carrying ---------------------------------------------------------------- */

static void ev_pump(struct sim *s, const struct sim_ev *ev);
static void ev_arrive(struct sim *s, const struct sim_ev *ev);

static void
pump_later(struct net *net, size_t i, unsigned int side, uint64_t dt)
{
	net->conns[i]->e[side].sending = true;
	sim_after(net->s, dt, ev_pump, NULL, NULL, 2 * (uint64_t)i + side);
}

static void
ev_fin(struct sim *s, const struct sim_ev *ev)
{
	struct net *net = s->net;
	size_t i = (size_t)ev->a / 2;
	unsigned int side = (unsigned int)(ev->a & 1);
	struct conn *c = net->conns[i];

	if (c->broken)
		return;
	if (c->e[side].first != NULL || c->e[side].len > 0) {
		sim_after(s, 5 * SIM_MS, ev_fin, NULL, NULL, ev->a);
		return;
	}
	tell_closed(net, i, !side);
	conn_drop(c);
}

static void
deliver(struct net *net, size_t i, unsigned int side, const uint8_t *p, size_t len)
{
	struct end *to = &net->conns[i]->e[!side];
	struct snode *n;
	size_t part;

	while (len > 0 && to->up) {
		part =
		    rng_chance(&net->s->rng, 1, 8) ? 1 + rng_below(&net->s->rng, len) : len;
		n = machine(net, to->who);
		if (to->who >= net->s->n)
			mal_data(net->s->mal, conn_id(i, !side), p, part);
		else if (n != NULL)
			node_on_data(n->node, conn_id(i, !side), p, part);
		p += part;
		len -= part;
		if (n != NULL)
			env_turn(n);
	}
}

static void
ev_arrive(struct sim *s, const struct sim_ev *ev)
{
	struct net *net = s->net;
	size_t i = (size_t)ev->a / 2;
	unsigned int side = (unsigned int)(ev->a & 1);
	struct conn *c = net->conns[i];
	struct end *e = &c->e[side];
	struct chunk *ch;

	if (c->broken || e->first == NULL)
		return;
	if (net_blocked(net, c->e[0].who, c->e[1].who) || !c->e[!side].told) {
		sim_after(s, 20 * SIM_MS, ev_arrive, NULL, NULL, ev->a);
		return;
	}
	ch = e->first;
	e->first = ch->next;
	if (e->first == NULL)
		e->last = &e->first;
	deliver(net, i, side, ch->p, ch->len);
	free(ch);
}

static void
ev_pump(struct sim *s, const struct sim_ev *ev)
{
	struct net *net = s->net;
	size_t i = (size_t)ev->a / 2, len;
	unsigned int side = (unsigned int)(ev->a & 1);
	struct conn *c = net->conns[i];
	struct end *e = &c->e[side];
	struct snode *n;
	struct chunk *ch;
	uint64_t at;

	e->sending = false;
	if (c->broken || e->len == 0)
		return;
	if (net_blocked(net, c->e[0].who, c->e[1].who)) {
		pump_later(net, i, side, 20 * SIM_MS);
		return;
	}
	len = 1 + rng_below(&s->rng, CHUNK_MAX);
	if (len > e->len)
		len = e->len;
	if ((ch = malloc(sizeof(*ch) + len)) == NULL)
		abort();
	ch->next = NULL;
	ch->len = len;
	memcpy(ch->p, e->buf + e->off, len);
	e->off += len;
	e->len -= len;
	*e->last = ch;
	e->last = &ch->next;
	at = s->now + c->delay + rng_below(&s->rng, c->delay);
	if (at <= e->last_at)
		at = e->last_at + 1;
	e->last_at = at;
	sim_after(s, at - s->now, ev_arrive, NULL, NULL, ev->a);
	if (e->len > 0)
		pump_later(net, i, side, len * SIM_S / c->rate);
	if (e->above && e->len <= HIGH_MARK / 4) {
		e->above = false;
		if (e->up && (n = machine(net, e->who)) != NULL) {
			node_on_writable(n->node, conn_id(i, side));
			env_turn(n);
		}
	}
}

int
net_send(struct net *net, nrs_conn id, const void *p, size_t len)
{
	unsigned int side;
	struct conn *c = conn_get(net, id, &side);
	struct end *e;

	if (c == NULL || !c->e[side].up)
		sim_fail(net->s, "environment contract", "send on a closed connection");
	e = &c->e[side];
	if (c->broken)
		return 0; /* it will hear of it */
	if (e->off > 0) {
		memmove(e->buf, e->buf + e->off, e->len);
		e->off = 0;
	}
	if (e->len + len > e->cap) {
		e->cap = (e->len + len) * 2;
		if ((e->buf = realloc(e->buf, e->cap)) == NULL)
			abort();
	}
	if (len > 0)
		memcpy(e->buf + e->len, p, len);
	e->len += len;
	if (e->len > HIGH_MARK)
		e->above = true;
	if (!e->sending && e->len > 0)
		pump_later(net, (size_t)((id - 1) / 2), side, 10 * SIM_US);
	return 0;
}

size_t
net_unsent(struct net *net, nrs_conn id)
{
	unsigned int side;
	struct conn *c = conn_get(net, id, &side);

	if (c == NULL || !c->e[side].up)
		sim_fail(net->s, "environment contract", "unsent of a closed connection");
	return c->e[side].len;
}

void
net_close(struct net *net, nrs_conn id)
{
	unsigned int side;
	struct conn *c = conn_get(net, id, &side);
	size_t i = (size_t)((id - 1) / 2);

	if (c == NULL || !c->e[side].up)
		sim_fail(net->s, "environment contract", "close of a closed connection");
	c->e[side].up = false;
	if (c->broken)
		return;
	if (rng_chance(&net->s->rng, 1, 2))
		conn_break(net, i, 5 * SIM_MS);
	else
		sim_after(net->s, c->delay * 2, ev_fin, NULL, NULL, 2 * (uint64_t)i + side);
}

/* --- dialling ------------------------------------------------------------------ */

static const struct nrs_hash *
pin_of(struct net *net, unsigned int who)
{
	return who < net->s->n ? &net->s->node[who].keys.pin : mal_pin(net->s->mal);
}

static void
connected(struct net *net, size_t i, unsigned int side)
{
	struct conn *c = net->conns[i];
	struct end *e = &c->e[side];
	struct snode *n = machine(net, e->who);

	if (c->broken)
		return;
	e->told = true;
	e->up = true;
	if (e->who >= net->s->n) {
		mal_connected(net->s->mal, conn_id(i, side), c->e[!side].who);
	} else if (n != NULL) {
		node_on_connected(
		    n->node, conn_id(i, side), pin_of(net, c->e[!side].who), side == 0);
		env_turn(n);
	} else {
		e->up = false;
		conn_break(net, i, SIM_MS);
	}
}

static void
ev_up(struct sim *s, const struct sim_ev *ev)
{
	connected(s->net, (size_t)ev->a, 0);
}

static void
ev_dial_failed(struct sim *s, const struct sim_ev *ev)
{
	if (ev->who->node == NULL)
		return;
	node_on_dial_failed(ev->who->node, ev->p, "refused by the simulated network");
	env_turn(ev->who);
}

/* who dials, ev->a is dialled */
static void
ev_dial(struct sim *s, const struct sim_ev *ev)
{
	struct net *net = s->net;
	struct conn *c;
	unsigned int to = (unsigned int)ev->a;
	int side;

	if (ev->who->node == NULL)
		return;
	if (net_blocked(net, ev->who->id, to) || (to < s->n && s->node[to].node == NULL)) {
		/* the name is a constant of the world: it outlives the event */
		sim_after(s, rng_below(&s->rng, 300 * SIM_MS), ev_dial_failed, ev->who,
		    to < s->n ? s->node[to].name : (void *)(uintptr_t)mal_name(), 0);
		return;
	}
	if ((c = calloc(1, sizeof(*c))) == NULL ||
	    (net->conns = realloc(net->conns, (net->nconns + 1) * sizeof(struct conn *))) ==
		NULL)
		abort();
	for (side = 0; side < 2; side++) {
		c->e[side].last = &c->e[side].first;
		c->e[side].who = side == 0 ? ev->who->id : to;
	}
	c->delay = rng_range(&s->rng, 100 * SIM_US, 30 * SIM_MS);
	c->rate = rng_chance(&s->rng, 1, 8) ? 64u << 10 : 4u << 20;
	net->conns[net->nconns++] = c;
	/* the dialler hears a little later */
	sim_after(s, rng_below(&s->rng, 5 * SIM_MS), ev_up, ev->who, NULL, net->nconns - 1);
	connected(net, net->nconns - 1, 1);
}

void
net_dial(struct net *net, unsigned int from, const char *peer)
{
	struct snode *to = sim_find(net->s, peer);
	unsigned int id = to != NULL ? to->id : net->s->n;

	sim_after(net->s, rng_range(&net->s->rng, SIM_MS, 20 * SIM_MS), ev_dial,
	    &net->s->node[from], NULL, id);
}
