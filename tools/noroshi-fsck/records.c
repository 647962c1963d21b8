/*
 * RECORD, REFUSED and EVENT frames against the model: leaf, chain, audience, and
 * that readers are shown each bundle once.  What only one record can tell is
 * left to threads (record.c).
 */
#include <string.h>

#include "policy/clearance.h"
#include "tools/noroshi-fsck/fsck.h"

/* --- records ------------------------------------------------------------------------ */

/* The leaf that the log has for this record: the next one of ours, or one that is held. */
static void
check_leaf(struct fsck *f, struct m_origin *o, const struct place *at, uint64_t index,
    const struct nrs_hash *leaf, uint64_t pos)
{
	static const struct nrs_hash zero;
	const struct nrs_hash *held;
	uint64_t *place, *was;

	if (o->own && (index >= o->put.size || o->broken)) {
		if (frame_follows(f, o, at, index))
			(void)model_leaf(f, o, leaf, pos);
		return;
	}
	held = vec_get(&o->leaf, index);
	if (held == NULL && !o->broken && f->lost > o->lost_seen)
		(void)model_bridge(f, o, index + 1);
	held = vec_get(&o->leaf, index);
	if (held == NULL) {
		if (!o->broken && !excused(f, &o->lost_seen))
			report_fault(&f->rep, F_ORDER, at, NULL,
			    "record at %llu of a log that has %llu",
			    (unsigned long long)index, (unsigned long long)o->put.size);
		return;
	}
	if (!nrs_hash_eq(held, &zero) && !nrs_hash_eq(held, leaf))
		report_fault(&f->rep, F_LEAF, at, NULL,
		    "record is not the one that the log has at its index");
	place = vec_set(&o->pos, index);
	was = vec_set(&o->leaves_pos, index);
	if (place == NULL || was == NULL) {
		f->failed = true;
		return;
	}
	*was = *place;
	*place = pos;
}

static bool
member_at(const struct m_community *c, uint32_t epoch, const char *name)
{
	const struct nrs_statement *s;

	if (epoch >= c->n)
		return false;
	s = &c->v[epoch].s;
	return nrs_member_find(s->members, s->nmembers, name) != NULL;
}

/* PROTOCOL.md, section 4: only past an epoch that we were no member of. */
static bool
gap_allowed(struct fsck *f, const struct m_audience *a, const struct nrs_header *h)
{
	const struct m_origin *self = model_origin(f, &f->self);
	const struct m_community *c = model_community(f, &a->id, false);
	uint32_t e = a->next > 0 ? a->epoch : 0;

	if (a->type != AUD_COMMUNITY || c == NULL || self == NULL)
		return false;
	for (; e <= h->epoch && e < c->n; e++)
		if (!member_at(c, e, self->name))
			return true;
	return h->epoch >= c->n;
}

static const char *
chain_fault(struct fsck *f, const struct m_origin *o, const struct m_audience *a,
    const struct nrs_header *h, uint64_t index)
{
	static const struct nrs_hash zero;

	if (h->seq < a->next)
		return "sequence number was there before";
	if (h->seq >= index)
		return "sequence number is above the index";
	if (a->next > 0 && a->newest_index >= index)
		return "chain goes back in the log";
	if (a->next > 0 && h->seq - (a->next - 1) > index - a->newest_index)
		return "chain goes up by more than the log does";
	if (h->seq == a->next)
		return nrs_hash_eq(&h->prev, a->next == 0 ? &zero : &a->head)
		    ? NULL
		    : "link is not that of the record before";
	return !o->own && gap_allowed(f, a, h) ? NULL : "records of this chain are missing";
}

static void
check_chain(struct fsck *f, struct m_origin *o, const struct place *at,
    const struct nrs_header *h, const uint8_t *header, uint64_t index)
{
	struct m_audience *a = model_audience(f, o, &h->audience, true);
	const char *why;
	uint64_t *mark;

	if (a == NULL)
		return;
	why = chain_fault(f, o, a, h, index);
	if (why != NULL && !excused(f, &a->lost_seen))
		report_fault(&f->rep, F_CHAIN, at, NULL, "audience chain: %s", why);
	if (h->seq < a->next || h->seq > f->journal_bytes)
		return;
	if ((mark = vec_set(&a->index, h->seq)) == NULL ||
	    nrs_header_link(header, &a->head) != 0) {
		f->failed = true;
		return;
	}
	*mark = index + 1;
	if (a->next == 0)
		a->base = h->seq;
	a->next = h->seq + 1;
	if (h->epoch > a->epoch)
		a->epoch = h->epoch;
	a->newest_index = index;
}

/* Of a record that is open to readers: may it be in this community at all? */
static void
check_audience(struct fsck *f, const struct m_origin *o, const struct place *at,
    const struct nrs_header *h)
{
	const struct m_community *c = model_community(f, &h->audience, false);
	const struct nrs_statement *s;

	if (c == NULL)
		return;
	if (h->epoch >= c->n) {
		uint64_t seen = f->counts_lost;

		if (!excused(f, &seen))
			report_fault(&f->rep, F_CHAIN, at, NULL,
			    "epoch %u of its community is not known", h->epoch);
		return;
	}
	s = &c->v[h->epoch].s;
	if (!member_at(c, h->epoch, o->name))
		report_fault(&f->rep, F_CHAIN, at, NULL,
		    "its origin is no member of the community at epoch %u", h->epoch);
	else if (nrs_community_allows(h->tlp, s->ceiling) != 0)
		report_fault(&f->rep, F_CHAIN, at, NULL,
		    "its marking is above the ceiling of the community");
}

static struct job *
record_job(struct fsck *f, enum job_what what, const struct m_origin *o,
    const struct place *at, const uint8_t *header, struct nrs_str sigs)
{
	const struct nrs_manifest *m = model_manifest_at(o, at->index);
	struct job *j;

	if (m == NULL || (j = pool_job(f->pool)) == NULL)
		return NULL;
	j->what = what;
	j->at = *at;
	j->origin = o;
	j->index = at->index;
	j->header = header;
	j->sigs = sigs;
	j->key = m->feed;
	j->doubt = f->lost > f->counts_lost;
	f->counts.signatures++;
	return j;
}

static const uint8_t *
seed_of(const struct fsck *f, uint32_t seg)
{
	for (uint32_t i = 0; i < f->nsegs; i++)
		if (f->segs[i].no == seg)
			return f->segs[i].has_seed ? f->segs[i].seed : NULL;
	return NULL;
}

/* Common to RECORD and REFUSED. NULL: nothing more can be said. */
static struct m_origin *
take_record(struct fsck *f, const struct nrs_jframe *fr, const uint8_t *header,
    struct nrs_str sigs, struct place *at, struct nrs_header *ret)
{
	struct nrs_detail d = { 0 };
	struct nrs_hash c, leaf;
	struct m_origin *o;

	if (nrs_header_decode(ret, header, NRS_HEADER_LEN, &d) != 0) {
		report_fault(
		    &f->rep, F_CONTENT, at, NULL, "header of the record: %s", d.text);
		return NULL;
	}
	if ((o = frame_origin(f, fr, &ret->origin)) == NULL)
		return NULL;
	at->origin = o->name;
	if (nrs_record_commit(f->dg, header, sigs.p, sigs.len, &c) != 0 ||
	    nrs_leaf_sealed(f->dg, &c, &leaf) != 0) {
		f->failed = true;
		return NULL;
	}
	if (at->index > f->journal_bytes) {
		frame_bad(f, fr, NRS_ERANGE);
		return NULL;
	}
	check_leaf(f, o, at, at->index, &leaf, fr->pos);
	check_chain(f, o, at, ret, header, at->index);
	if (!o->own)
		o->kept += fr->body.len;
	return o;
}

void
frame_record(struct fsck *f, const struct nrs_jframe *fr)
{
	struct place at = place_of(f, fr);
	struct nrs_jrecord_view v;
	struct nrs_header h;
	struct m_origin *o;
	struct job *j;
	int rc;

	if ((rc = nrs_jrecord_decode(&v, fr)) != 0) {
		frame_bad(f, fr, rc);
		return;
	}
	f->counts.records++;
	at.index = v.index;
	if ((o = take_record(f, fr, v.header, v.sigs, &at, &h)) == NULL)
		return;
	o->opened++;
	if ((v.flags & NRS_JRECORD_CHECKPOINT) != 0) {
		o->on_checkpoint++;
		f->counts.on_checkpoint++;
	}
	check_audience(f, o, &at, &h);
	if ((j = record_job(f, JOB_RECORD, o, &at, v.header, v.sigs)) == NULL)
		return;
	j->v = v;
	j->seed = seed_of(f, v.seed_segment);
	j->list = h.kind == NRS_KIND_MEMBERSHIP && h.seq == 0 &&
	    model_community(f, &h.audience, false) == NULL;
	pool_push(f->pool, j);
	if (h.kind != NRS_KIND_BUNDLE)
		return;
	if (f->npending == sizeof(f->pending) / sizeof(f->pending[0]))
		frame_batch_end(f);
	f->pending[f->npending++] = j;
}

void
frame_refused(struct fsck *f, const struct nrs_jframe *fr)
{
	struct place at = place_of(f, fr);
	struct nrs_str header, sigs;
	struct nrs_header h;
	struct m_origin *o;
	struct nrs_rd r;
	struct job *j;
	uint32_t len;
	uint8_t state;

	nrs_rd_init(&r, fr->body.p, fr->body.len);
	at.index = nrs_rd_u64(&r);
	state = nrs_rd_u8(&r);
	nrs_rd_zero(&r, 1);
	nrs_rd_skip(&r, 2);
	len = nrs_rd_u32(&r);
	header = nrs_rd_bytes(&r, NRS_HEADER_LEN);
	sigs = nrs_rd_bytes(&r, len);
	if (r.err == 0 && (state < 1 || state > 2 || len > NRS_SIGBLOCK_MAX))
		r.err = NRS_ERANGE;
	if (r.err != 0) {
		frame_bad(f, fr, r.err);
		return;
	}
	f->counts.refused++;
	if ((o = take_record(f, fr, header.p, sigs, &at, &h)) == NULL)
		return;
	o->refused++;
	if ((j = record_job(f, JOB_REFUSED, o, &at, header.p, sigs)) != NULL)
		pool_push(f->pool, j);
}

/* --- events ------------------------------------------------------------------------ */

static struct job *
pending_take(struct fsck *f, const struct nrs_jevent *e)
{
	struct job *j;

	for (unsigned int i = 0; i < f->npending; i++) {
		j = f->pending[i];
		if (j->index != e->index || !nrs_hash_eq(&j->origin->id, &e->origin))
			continue;
		f->pending[i] = f->pending[--f->npending];
		return j;
	}
	return NULL;
}

void
frame_event(struct fsck *f, const struct nrs_jframe *fr)
{
	struct place at = place_of(f, fr);
	struct nrs_jevent e;
	struct m_origin *o;
	struct job *j;
	uint64_t *pos;
	int rc;

	if ((rc = nrs_jevent_decode(&e, fr->body)) != 0) {
		frame_bad(f, fr, rc);
		return;
	}
	f->counts.events++;
	o = model_origin(f, &e.origin);
	at.origin = o != NULL ? o->name : NULL;
	at.index = e.index;
	if (e.number != f->next_event && !excused(f, &f->events_seen))
		report_fault(&f->rep, F_EVENT, &at, NULL,
		    "event %llu stands where %llu is due", (unsigned long long)e.number,
		    (unsigned long long)f->next_event);
	if (e.time.ms < f->event_ms)
		report_fault(&f->rep, F_EVENT, &at, NULL, "time of the event goes back");
	if (e.number == 0 || e.number > f->journal_bytes)
		return;
	if ((pos = vec_set(&f->events, e.number - 1)) == NULL) {
		f->failed = true;
		return;
	}
	*pos = fr->pos;
	f->next_event = e.number + 1;
	if (e.time.ms > f->event_ms)
		f->event_ms = e.time.ms;
	if (e.action != NRS_ACTION_ADD)
		return;
	if ((j = pending_take(f, &e)) != NULL) {
		j->has_event = true;
		j->event_objects = e.objects;
	} else {
		uint64_t seen = f->counts_lost;

		if (!excused(f, &seen))
			report_fault(&f->rep, F_EVENT, &at, NULL,
			    "event %llu adds a record that is not in its batch",
			    (unsigned long long)e.number);
	}
}

void
frame_batch_end(struct fsck *f)
{
	uint64_t seen;

	for (unsigned int i = 0; i < f->npending; i++) {
		seen = f->counts_lost;
		if (!excused(f, &seen))
			report_fault(&f->rep, F_EVENT, &f->pending[i]->at, NULL,
			    "the bundle has no event in its batch: no reader is shown it");
	}
	f->npending = 0;
}

void
frame_job_end(struct fsck *f, struct job *j)
{
	if (j->what != JOB_RECORD)
		return;
	if (j->opened)
		f->counts.opened++;
	else if (j->seed == NULL)
		f->counts.unopened++;
	if (j->has_event && j->scanned && j->objects != j->event_objects)
		report_fault(&f->rep, F_EVENT, &j->at, NULL,
		    "bundle has %u objects, its event says %u", j->objects,
		    j->event_objects);
}
