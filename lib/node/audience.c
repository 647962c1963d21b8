/*
 * Chains of records, one for each (origin, audience), and who is entitled to
 * what in them (FORMAT.md, sections 7 and 8).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "node/node_priv.h"
#include "policy/clearance.h"

#define AUDIENCES_MAX	 4096		    /* of one origin: STATE names them all */
#define AUDIENCES_ALL	 32768		    /* each has a file that stays open */
#define DIRECT_BYTES_MAX ((size_t)64 << 20) /* lists held in memory, of all origins */
#define DIRECT_BYTES_ONE ((size_t)8 << 20)  /* of one other: it takes no room from ours */

struct audience *
audience_find(const struct origin *o, const struct nrs_hash *id)
{
	return nrs_map_find(o->audience_by_id, id->b);
}

int
audience_open_cache(struct audience *a)
{
	char dir[17], hex[17], path[80];
	int err;

	nrs_hex_format(dir, a->origin->id.b, 8);
	nrs_hex_format(hex, a->id.b, 8);
	snprintf(path, sizeof(path), "logs/%s/aud-%s", dir, hex);
	err = nrs_array_open(
	    a->origin->node->env, path, sizeof(uint64_t), a->next, &a->index);
	/*
	 * A gap of a whole sector looks like a lost one: then it is read again for
	 * nothing.  The newest element is known, and a list is at seq 0.
	 */
	if (err == 0 && a->next > 0)
		err = node_cache_check(a->index, sizeof(uint64_t), a->next - 1);
	return err;
}

/* Cache files are named by the first 8 bytes, which an origin chooses: no two alike. */
static int
check_new(const struct origin *o, const struct nrs_hash *id)
{
	const struct audience *a;
	const struct origin *other;
	size_t all = 0;

	TAILQ_FOREACH(a, &o->audiences, link) {
		if (memcmp(a->id.b, id->b, 8) == 0)
			return NRS_EEXISTS;
	}
	TAILQ_FOREACH(other, &o->node->origins, link)
		all += nrs_map_count(other->audience_by_id);
	if (nrs_map_count(o->audience_by_id) >= AUDIENCES_MAX || all >= AUDIENCES_ALL)
		return NRS_EQUOTA;
	return 0;
}

int
audience_add(
    struct origin *o, const struct nrs_hash *id, uint8_t type, struct audience **ret)
{
	struct audience *a = audience_find(o, id);
	int err;

	if (a != NULL) {
		*ret = a;
		/* what was only heard of may have been called by the wrong name */
		if (a->next == 0 && !a->direct_known)
			a->type = type;
		return a->type == type ? 0 : NRS_ETYPE;
	}
	err = check_new(o, id);
	if (err != 0)
		return err;
	a = calloc(1, sizeof(*a));
	if (a == NULL)
		return NRS_ENOMEM;
	a->origin = o;
	a->id = *id;
	a->type = type;
	a->newest_index = NRS_NONE;
	a->community = community_find(o->node, id);
	/* while STATE is decoded the length is not known yet */
	if (!o->node->rebuild && o->pos != NULL)
		err = audience_open_cache(a);
	if (err == 0)
		err = nrs_map_set(o->audience_by_id, a->id.b, a, NULL);
	if (err != 0) {
		nrs_array_free(a->index);
		free(a);
		return err;
	}
	TAILQ_INSERT_TAIL(&o->audiences, a, link);
	*ret = a;
	return 0;
}

static size_t
direct_size(const struct nrs_direct *d)
{
	return d->n * sizeof(*d->recipients);
}

static size_t
direct_bytes_of(const struct origin *o)
{
	const struct audience *a;
	size_t bytes = 0;

	TAILQ_FOREACH(a, &o->audiences, link)
		bytes += a->direct_known ? direct_size(&a->direct) : 0;
	return bytes;
}

void
audience_free(struct audience *a)
{
	if (a == NULL)
		return;
	nrs_array_free(a->index);
	if (a->direct_known && direct_size(&a->direct) <= a->origin->node->direct_bytes)
		a->origin->node->direct_bytes -= direct_size(&a->direct);
	nrs_direct_fini(&a->direct);
	free(a);
}

int
audience_take_direct(struct audience *a, struct nrs_direct *d)
{
	struct node *n = a->origin->node;
	size_t bytes = direct_size(d);
	int err = 0;

	if (!a->origin->own)
		bytes += direct_bytes_of(a->origin);
	if (a->type != AUD_DIRECT || a->direct_known)
		err = NRS_ESTATE;
	else if (strcmp(d->origin, a->origin->name) != 0 || !nrs_hash_eq(&d->id, &a->id))
		err = NRS_EORIGIN;
	else if (n->direct_bytes + direct_size(d) > DIRECT_BYTES_MAX ||
	    (!a->origin->own && bytes > DIRECT_BYTES_ONE))
		err = NRS_EQUOTA;
	if (err != 0) {
		nrs_direct_fini(d);
		return err;
	}
	n->direct_bytes += direct_size(d);
	a->direct = *d;
	a->direct_known = true;
	memset(d, 0, sizeof(*d));
	return 0;
}

/* Reads the list from the record at seq 0. One that is not opened here stays unknown. */
static int
load_direct(struct audience *a, struct nrs_buf *buf)
{
	struct node *n = a->origin->node;
	struct node_record rec;
	struct nrs_direct d;
	uint8_t *payload = NULL;
	uint64_t index;
	int err;

	err = nrs_array_get(a->index, 0, 1, &index);
	if (err != 0 || index == 0)
		return err;
	err = node_read_record(a->origin, index - 1, buf, &rec);
	if (err == NRS_ENOTFOUND)
		return 0;
	if (err == 0)
		err = node_read_payload(n, &rec, &payload);
	if (err == 0)
		err = nrs_direct_parse(&d, payload, (size_t)rec.h.payload_len, NULL);
	if (err == 0)
		err = audience_take_direct(a, &d);
	free(payload);
	return err;
}

int
audience_load_directs(struct node *n, struct nrs_detail *d)
{
	struct audience *a;
	struct nrs_buf buf;
	struct origin *o;
	int err = 0;

	nrs_buf_init(&buf, NRS_JFRAME_MAX + 64);
	TAILQ_FOREACH(o, &n->origins, link) {
		TAILQ_FOREACH(a, &o->audiences, link) {
			if (a->type != AUD_DIRECT || a->direct_known || a->next == 0)
				continue;
			err = load_direct(a, &buf);
			if (err != 0)
				goto out;
		}
	}
out:
	nrs_buf_fini(&buf);
	return err != 0 ? nrs_fail(d, err, 0, "list of a direct audience") : 0;
}

static bool
direct_names(const struct nrs_direct *d, const char *origin)
{
	unsigned int lo = 0, hi = d->n, mid;
	int cmp;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		cmp = strcmp(origin, d->recipients[mid]);
		if (cmp == 0)
			return true;
		if (cmp < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return false;
}

static bool
same_recipients(const struct nrs_direct *d, const char *const *names, unsigned int n)
{
	if (d->n != n)
		return false;
	for (unsigned int i = 0; i < n; i++)
		if (strcmp(d->recipients[i], names[i]) != 0)
			return false;
	return true;
}

struct audience *
audience_find_direct(const struct node *n, const char *const *names, unsigned int nnames)
{
	struct audience *a;

	TAILQ_FOREACH(a, &n->own->audiences, link)
		if (a->direct_known && same_recipients(&a->direct, names, nnames))
			return a;
	return NULL;
}

int
audience_own_direct(
    struct node *n, const char *const *names, unsigned int nnames, struct audience **ret)
{
	struct nrs_direct d = { 0 };
	struct audience *a;
	int err;

	if ((*ret = audience_find_direct(n, names, nnames)) != NULL)
		return 0;
	snprintf(d.origin, sizeof(d.origin), "%s", n->name);
	n->env->ops->random(n->env, d.nonce, sizeof(d.nonce));
	d.recipients = calloc(nnames, sizeof(*d.recipients));
	if (d.recipients == NULL)
		return NRS_ENOMEM;
	d.n = nnames;
	for (unsigned int i = 0; i < nnames; i++)
		snprintf(d.recipients[i], sizeof(d.recipients[i]), "%s", names[i]);
	err = nrs_direct_id(&d);
	if (err == 0)
		err = audience_add(n->own, &d.id, AUD_DIRECT, &a);
	if (err != 0) {
		nrs_direct_fini(&d);
		return err;
	}
	*ret = a;
	return audience_take_direct(a, &d);
}

/* --- entitlement -------------------------------------------------------- */

bool
community_member_at(const struct community *c, uint32_t epoch, const char *origin)
{
	const struct nrs_statement *s;

	if (epoch >= c->n)
		return false;
	s = &c->v[epoch].s;
	return nrs_member_find(s->members, s->nmembers, origin) != NULL;
}

uint32_t
community_epoch(const struct community *c)
{
	return c->n > 0 ? c->n - 1 : 0;
}

static bool
peer_shares(const struct peer *p, const struct community *c)
{
	for (unsigned int i = 0; i < p->ncommunities; i++)
		if (strcmp(p->communities[i], c->name) == 0)
			return true;
	return false;
}

/* Member at that epoch; or now, where newcomers get the history. */
static bool
member_for(const struct community *c, uint32_t epoch, const char *name)
{
	if (community_member_at(c, epoch, name))
		return true;
	return c->v[c->n - 1].s.history && community_member_at(c, c->n - 1, name);
}

static int
entitled_community(struct node *n, const struct audience *a, const struct nrs_header *h,
    const struct peer *p)
{
	const struct community *c = a->community;
	const struct nrs_statement *s;
	bool relayed = p != NULL && !a->origin->own;

	if (c == NULL || !c->trusted || c->n == 0)
		return NRS_EUNKNOWN;
	if (h->epoch >= c->n)
		return NRS_EEPOCH;
	if (relayed && NRS_PLANTED(RELAY_MEMBERSHIP))
		return 0;
	s = &c->v[h->epoch].s;
	if (!community_member_at(c, h->epoch, a->origin->name))
		return NRS_EMEMBER;
	if (!member_for(c, h->epoch, p != NULL ? p->name : n->name))
		return NRS_EMEMBER;
	if (p != NULL && !peer_shares(p, c))
		return NRS_EMEMBER;
	if (((h->flags & NRS_FLAG_EXERCISE) != 0) != s->exercise)
		return NRS_EMARKING;
	return nrs_community_allows(h->tlp, s->ceiling);
}

static int
entitled_direct(const struct node *n, const struct audience *a, const struct nrs_header *h,
    const struct peer *p)
{
	const char *name = p != NULL ? p->name : n->name;

	/* the list itself is how it becomes known; until then who is on it is not */
	if (!a->direct_known)
		return h->seq == 0 && p == NULL ? 0 : NRS_EUNKNOWN;
	if (p == NULL && a->origin->own)
		return 0;
	return direct_names(&a->direct, name) ? 0 : NRS_EMEMBER;
}

int
audience_entitled(struct node *n, const struct audience *a, const struct nrs_header *h,
    const struct peer *p)
{
	const struct peer *by = p != NULL ? p : a->origin->peer;
	int err;

	if (a->type == AUD_DIRECT)
		err = entitled_direct(n, a, h, p);
	else
		err = entitled_community(n, a, h, p);
	if (err != 0)
		return err;
	/* the list of a direct audience says who, not what: its chain needs it */
	if (a->type == AUD_DIRECT && h->seq == 0)
		return 0;
	if (by != NULL && !nrs_tlp_within(h->tlp, by->ceiling))
		return NRS_ECEILING;
	return 0;
}

bool
audience_shared(struct node *n, const struct audience *a, const struct peer *p)
{
	const struct community *c = a->community;

	if (p->suspended)
		return false;
	if (a->type == AUD_DIRECT)
		return a->direct_known &&
		    (direct_names(&a->direct, p->name) ||
			strcmp(a->origin->name, p->name) == 0);
	if (c == NULL || !c->trusted || !peer_shares(p, c))
		return false;
	if (!a->origin->own && NRS_PLANTED(RELAY_MEMBERSHIP))
		return true;
	/* a former member is still entitled to what was shared while it was one */
	for (unsigned int i = c->n; i > 0; i--)
		if (community_member_at(c, i - 1, p->name))
			return true;
	return false;
}

/* Epoch of the record at seq; false when it is not held. */
static bool
epoch_at(const struct audience *a, uint64_t seq, struct nrs_buf *buf, uint32_t *ret)
{
	struct node_record rec;
	uint64_t index;

	if (nrs_array_get(a->index, seq, 1, &index) != 0 || index == 0 ||
	    node_read_record(a->origin, index - 1, buf, &rec) != 0)
		return false;
	*ret = rec.h.epoch;
	return true;
}

/* First seq from *lo whose epoch is above epoch: epochs never fall along a chain. */
static bool
epoch_end(const struct audience *a, uint32_t epoch, uint64_t *lo, struct nrs_buf *buf)
{
	uint64_t hi = a->durable, mid;
	uint32_t e;

	while (*lo < hi) {
		mid = *lo + (hi - *lo) / 2;
		if (!epoch_at(a, mid, buf, &e))
			return false;
		if (e <= epoch)
			*lo = mid + 1;
		else
			hi = mid;
	}
	return true;
}

uint64_t
audience_reach(struct node *n, const struct audience *a, const struct peer *p)
{
	const struct community *c = a->community;
	uint64_t reach;
	struct nrs_buf buf;
	uint32_t e = a->epoch;

	if (!audience_shared(n, a, p) || a->durable == 0)
		return 0;
	if (a->type == AUD_DIRECT || c == NULL || community_member_at(c, e, p->name) ||
	    (c->v[c->n - 1].s.history &&
		community_member_at(c, community_epoch(c), p->name)))
		return a->durable;
	nrs_buf_init(&buf, NRS_JFRAME_MAX + 64);
	for (reach = a->durable;;) {
		while (e > 0 && !community_member_at(c, e, p->name))
			e--;
		if (!community_member_at(c, e, p->name)) {
			reach = 0;
			break;
		}
		reach = a->base;
		if (!epoch_end(a, e, &reach, &buf)) {
			reach =
			    a->durable; /* a chain with holes: too much rather than too little */
			break;
		}
		if (reach == a->base) {
			reach = 0;
			break;
		}
		if (!epoch_at(a, reach - 1, &buf, &e)) {
			reach = a->durable;
			break;
		}
		if (community_member_at(c, e, p->name))
			break;
	}
	nrs_buf_fini(&buf);
	return reach;
}

/* --- records -------------------------------------------------------------- */

int
audience_apply_record(struct audience *a, const struct nrs_header *h,
    const uint8_t header[NRS_HEADER_LEN], uint64_t index, uint64_t pos, bool refused)
{
	struct origin *o = a->origin;
	uint64_t mark = index + 1;
	struct nrs_hash link;
	int err;

	if (h->seq < a->next)
		return NRS_EORDER;
	err = nrs_header_link_with(o->node->dg, header, &link);
	if (err == 0)
		err = origin_set_pos(o, index, pos);
	if (err == 0 && !(o->node->replaying && NRS_PLANTED(CACHE_NOT_REPLAYED)))
		err = node_cache_set(o->node, a->index, h->seq, &mark);
	if (err != 0)
		return err;
	if (a->next == 0)
		a->base = h->seq;
	a->next = h->seq + 1;
	a->head = link;
	/* one that was refused may have gone back: what follows may not */
	if (h->epoch > a->epoch)
		a->epoch = h->epoch;
	a->newest_index = index;
	if (refused)
		o->refused++;
	else
		o->opened++;
	node_touch_audience(a);
	return 0;
}
