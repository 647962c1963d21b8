/* What status shows of the node: read-only walks for the driver. */
#include <stdlib.h>
#include <string.h>

#include "node/disclosure.h"
#include "node/node_priv.h"
#include "node/reader_priv.h"
#include "node/session_priv.h"

/* The peer that the leaves of this origin come from, or NULL. */
static const char *
source_name(const struct origin *o)
{
	if (o->source == NULL || o->source->peer == NULL)
		return NULL;
	return o->source->peer->name;
}

void
node_origins(
    struct node *n, int (*each)(void *arg, const struct node_origin_info *i), void *arg)
{
	struct origin *o;

	TAILQ_FOREACH(o, &n->origins, link) {
		struct node_origin_info i = {
			.origin = o->name,
			.own = o->own,
			.size = o->shown.size,
			.root = o->shown.root,
			.opened = o->opened,
			.refused = o->refused,
			.on_checkpoint = o->on_checkpoint,
			.checkpoint_size = o->shown.size,
			.frozen = o->frozen,
			.source = source_name(o),
		};

		if (each(arg, &i) != 0)
			return;
	}
}

static uint64_t
acked(const struct peer *p, const struct audience *a)
{
	const struct peer_ack *k;

	TAILQ_FOREACH(k, &p->acks, link)
		if (memcmp(k->audience.b, a->id.b, sizeof(a->id.b)) == 0 &&
		    memcmp(k->origin.b, a->origin->id.b, sizeof(k->origin.b)) == 0)
			return k->next;
	return 0;
}

/* When the record at seq became ours to give; 0: unknown. */
static uint64_t
record_ms(struct audience *a, uint64_t seq)
{
	struct node_record rec;
	struct nrs_buf buf;
	uint64_t index, ms = 0;

	if (nrs_array_get(a->index, seq, 1, &index) != 0 || index == 0)
		return 0;
	nrs_buf_init(&buf, NRS_JFRAME_MAX + 64);
	if (node_read_record(a->origin, index - 1, &buf, &rec) == 0)
		ms = rec.h.created.ms;
	nrs_buf_fini(&buf);
	return ms;
}

/* Our own records that this peer may have and has not acknowledged. */
static void
fill_lag(struct node *n, struct peer *p, struct node_peer_info *i)
{
	uint64_t now = n->env->ops->wall(n->env).ms, oldest = 0, next, reach, ms;
	struct audience *a;

	i->lag_records = 0;
	i->lag_ms = 0;
	TAILQ_FOREACH(a, &n->own->audiences, link) {
		reach = audience_reach(n, a, p);
		next = acked(p, a);
		if (next >= reach)
			continue;
		i->lag_records += reach - next;
		ms = record_ms(a, next);
		if (ms != 0 && (oldest == 0 || ms < oldest))
			oldest = ms;
	}
	if (oldest != 0 && oldest < now)
		i->lag_ms = now - oldest;
}

/* Names of communities that are accepted here, configured for the peer, and have both as members. */
static const char **
shared(struct node *n, const struct peer *p, unsigned int *ret)
{
	const char **v = calloc(p->ncommunities + 1, sizeof(*v));
	const struct community *c;

	*ret = 0;
	for (unsigned int i = 0; v != NULL && i < p->ncommunities; i++) {
		c = community_find_name(n, p->communities[i]);
		if (c != NULL && c->trusted && community_member_at(c, c->n - 1, p->name) &&
		    community_member_at(c, c->n - 1, n->name))
			v[(*ret)++] = c->name;
	}
	return v;
}

void
node_peers(
    struct node *n, int (*each)(void *arg, const struct node_peer_info *i), void *arg)
{
	struct peer *p;

	TAILQ_FOREACH(p, &n->peers, link) {
		struct node_peer_info i = p->info;
		const char **names;
		int end;

		i.name = p->name;
		i.why = p->why;
		i.suspended = p->suspended;
		if (i.state == NULL)
			i.state = "idle";
		i.nconfigured = p->ncommunities;
		i.kept_bytes = p->origin != NULL ? origin_disk(p->origin) : 0;
		i.behind_records = sync_behind(p);
		fill_lag(n, p, &i);
		names = shared(n, p, &i.ncommunities);
		i.communities = names;
		end = each(arg, &i);
		free(names);
		if (end != 0)
			return;
	}
}

static void
fill_community(
    const struct node *n, const struct community *c, struct node_community_info *i)
{
	const struct nrs_statement *s = &c->v[c->n - 1].s;

	i->name = c->name;
	i->id = c->id;
	i->founder = s->founder;
	i->epoch = s->epoch;
	i->ceiling = s->ceiling;
	i->trusted = c->trusted;
	i->member = nrs_member_find(s->members, s->nmembers, n->name) != NULL;
	i->steward = nrs_member_find(s->stewards, s->nstewards, n->name) != NULL;
	i->frozen = c->frozen;
	i->history = s->history;
	i->exercise = s->exercise;
	i->onward = s->onward;
	i->hash = s->hash;
}

void
node_communities(
    struct node *n, int (*each)(void *arg, const struct node_community_info *i), void *arg)
{
	const struct community *c;

	TAILQ_FOREACH(c, &n->communities, link) {
		const struct nrs_statement *s = &c->v[c->n - 1].s;
		struct node_community_info i = { 0 };
		const char **names = calloc(s->nmembers + 1, sizeof(*names));
		int end;

		fill_community(n, c, &i);
		for (unsigned int k = 0; names != NULL && k < s->nmembers; k++)
			names[i.nmembers++] = s->members[k].origin;
		i.members = names;
		end = each(arg, &i);
		free(names);
		if (end != 0)
			return;
	}
}

void
node_counts(const struct node *n, struct node_counts *ret)
{
	const struct origin *o;
	uint64_t end = nrs_journal_end(n->journal);

	*ret = n->counts;
	disclosure_counts(n, ret);
	reader_counts(n, ret);
	ret->events = n->shown_event;
	ret->opened = 0;
	ret->refused = 0;
	TAILQ_FOREACH(o, &n->origins, link) {
		ret->opened += o->opened;
		ret->refused += o->refused;
	}
	/* the segments before the last are full */
	ret->journal_segments = end >> 32;
	ret->journal_bytes = (ret->journal_segments - 1) * n->segment_bytes + (uint32_t)end;
	ret->batches = nrs_journal_batch(n->journal);
	ret->full = n->full;
}

void
node_refusals(const struct node *n,
    int (*each)(void *arg, const char *name, uint64_t count), void *arg)
{
	for (unsigned int i = 0; i < sizeof(n->refusals) / sizeof(n->refusals[0]); i++)
		if (n->refusals[i] > 0 &&
		    each(arg, nrs_errname(nrs_err_from_wire(i)), n->refusals[i]) != 0)
			return;
}
