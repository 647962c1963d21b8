/*
 * Every sound frame, applied to the model: what it says must follow from what
 * the frames before it said.  What only one record can tell is left to threads.
 */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "policy/clearance.h"
#include "tools/noroshi-fsck/fsck.h"

struct place
place_of(const struct fsck *f, const struct nrs_jframe *fr)
{
	return (struct place){
		.file = f->cur->name,
		.off = (uint32_t)fr->pos,
		.len = NRS_JWALK_HEAD + ((fr->body.len + 7) & ~(size_t)7),
		.type = fr->type,
		.index = NRS_NONE,
	};
}

static void
bad_content(struct fsck *f, const struct nrs_jframe *fr, int rc)
{
	struct place at = place_of(f, fr);

	report_fault(&f->rep, F_CONTENT, &at, NULL, "not what the format says: %s",
	    nrs_strerror(rc));
}

/* Of an origin that nothing has introduced; NULL then. */
static struct m_origin *
need_origin(struct fsck *f, const struct nrs_jframe *fr, const struct nrs_hash *id)
{
	struct m_origin *o = model_origin(f, id);
	struct place at = place_of(f, fr);
	uint64_t seen = f->counts_lost;

	if (o == NULL && !excused(f, &seen))
		report_fault(&f->rep, F_ORDER, &at, NULL,
		    "of an origin that no frame before has introduced");
	return o;
}

/* The next entry of a log: is it the one after the last? */
static bool
follows(struct fsck *f, struct m_origin *o, const struct place *at, uint64_t index)
{
	if (o->broken)
		return false;
	if (index > o->put.size && f->lost > o->lost_seen && model_bridge(f, o, index)) {
		o->lost_seen = f->lost;
		return true;
	}
	if (index == o->put.size)
		return true;
	o->broken = true;
	if (!excused(f, &o->lost_seen))
		report_fault(&f->rep, F_ORDER, at, NULL,
		    "entry %llu of a log that has %llu", (unsigned long long)index,
		    (unsigned long long)o->put.size);
	return false;
}

/* --- the log ------------------------------------------------------------------- */

static void
on_leaves(struct fsck *f, const struct nrs_jframe *fr)
{
	struct place at = place_of(f, fr);
	struct nrs_hash id, c, leaf;
	struct m_origin *o;
	struct nrs_rd r;
	uint64_t first;
	uint32_t count;

	nrs_rd_init(&r, fr->body.p, fr->body.len);
	nrs_rd_hash(&r, &id);
	first = nrs_rd_u64(&r);
	count = nrs_rd_u32(&r);
	nrs_rd_zero(&r, 4);
	if (r.err == 0 &&
	    (count == 0 || count > NRS_LEAVES_PER_FRAME ||
		nrs_rd_left(&r) != (size_t)count * NRS_HASH_LEN))
		r.err = NRS_ELIMIT;
	if (r.err != 0) {
		bad_content(f, fr, r.err);
		return;
	}
	f->counts.leaves += count;
	if ((o = need_origin(f, fr, &id)) == NULL)
		return;
	at.origin = o->name;
	at.index = first;
	if (!follows(f, o, &at, first))
		return;
	while (count-- > 0 && !f->failed) {
		nrs_rd_hash(&r, &c);
		if (nrs_leaf_sealed(f->dg, &c, &leaf) != 0)
			f->failed = true;
		else
			(void)model_leaf(f, o, &leaf, fr->pos);
	}
}

static bool
same_text(const struct nrs_manifest *m, const uint8_t *doc, size_t len)
{
	struct nrs_note note;
	struct nrs_hash h;

	return nrs_note_parse(&note, doc, len, NULL) == 0 &&
	    nrs_sha256_label("noroshi/v1/manifest", note.text.p, note.text.len, &h) == 0 &&
	    nrs_hash_eq(&h, &m->hash);
}

static bool
is_manifest(struct nrs_str doc)
{
	static const char first[] = "noroshi/v1/manifest\n";

	return doc.len >= sizeof(first) - 1 && memcmp(doc.p, first, sizeof(first) - 1) == 0;
}

/* Entry 0 of our own log introduces us. */
static struct m_origin *
introduce(struct fsck *f, const struct nrs_jframe *fr, struct nrs_str doc, uint64_t index)
{
	struct place at = place_of(f, fr);
	struct nrs_detail d = { 0 };
	struct nrs_manifest m;
	struct m_origin *o;
	int rc;

	rc = nrs_manifest_open(&m, doc.p, doc.len, NULL, nrs_verify, &d);
	if (rc != 0) {
		report_fault(&f->rep, F_MANIFEST, &at, NULL, "manifest 0: %s", d.text);
		return NULL;
	}
	if ((o = model_origin(f, &m.origin_id)) != NULL) {
		if (!excused(f, &o->lost_seen))
			report_fault(&f->rep, F_MANIFEST, &at, NULL,
			    "origin is introduced a second time");
		return o;
	}
	if ((o = model_origin_new(f, m.origin)) != NULL &&
	    model_push_manifest(f, o, doc.p, doc.len, index, NULL) != 0)
		f->failed = true;
	return o;
}

static void
on_control(struct fsck *f, const struct nrs_jframe *fr)
{
	struct place at = place_of(f, fr);
	struct nrs_hash id, leaf;
	struct m_origin *o;
	struct nrs_str doc;
	uint64_t index;
	struct nrs_rd r;

	nrs_rd_init(&r, fr->body.p, fr->body.len);
	nrs_rd_hash(&r, &id);
	index = nrs_rd_u64(&r);
	doc = nrs_rd_bytes(&r, nrs_rd_left(&r));
	if (r.err != 0 || doc.len > NRS_CONTROL_MAX) {
		bad_content(f, fr, r.err != 0 ? r.err : NRS_ELIMIT);
		return;
	}
	f->counts.controls++;
	if (index == 0 && nrs_hash_eq(&id, &f->self) && model_origin(f, &id) == NULL)
		(void)introduce(f, fr, doc, 0);
	if ((o = need_origin(f, fr, &id)) == NULL)
		return;
	at.origin = o->name;
	at.index = index;
	o->kept += doc.len;
	if (!follows(f, o, &at, index))
		return;
	if (nrs_leaf_control(f->dg, doc.p, doc.len, &leaf) != 0) {
		f->failed = true;
		return;
	}
	(void)model_leaf(f, o, &leaf, fr->pos);
	if (index > 0) {
		/* one that does not follow has no effect: it is carried like any other */
		if (is_manifest(doc))
			(void)model_push_manifest(f, o, doc.p, doc.len, index, NULL);
		return;
	}
	if (o->nmanifests > 0 && !same_text(&o->manifests[0].m, doc.p, doc.len))
		report_fault(&f->rep, F_MANIFEST, &at, NULL,
		    "entry 0 is not the manifest by which the origin is known here");
	if (o->nmanifests > 0)
		o->manifests[0].index = 0;
}

static void
on_peer(struct fsck *f, const struct nrs_jframe *fr)
{
	struct nrs_rd r;
	struct nrs_str note;

	nrs_rd_init(&r, fr->body.p, fr->body.len);
	if (nrs_rd_u8(&r) != 1 && r.err == 0)
		r.err = NRS_ERANGE;
	nrs_rd_zero(&r, 7);
	note = nrs_rd_bytes(&r, nrs_rd_left(&r));
	if (r.err != 0)
		bad_content(f, fr, r.err);
	else
		(void)introduce(f, fr, note, NRS_NONE);
}

/* --- checkpoints ------------------------------------------------------------------ */

/* Root of the first size leaves; sizes come in order. */
static bool
root_at(struct fsck *f, struct m_origin *o, uint64_t size, struct nrs_hash *ret)
{
	static const struct nrs_hash zero;
	const struct nrs_hash *leaf;

	while (o->edge.size < size) {
		leaf = vec_get(&o->leaf, o->edge.size);
		if (leaf == NULL || nrs_hash_eq(leaf, &zero))
			return false;
		if (nrs_frontier_append(f->dg, &o->edge, leaf, NULL, NULL) != 0) {
			f->failed = true;
			return false;
		}
	}
	return nrs_frontier_root(f->dg, &o->edge, ret) == 0;
}

static void
check_root(struct fsck *f, struct m_origin *o, const struct place *at,
    const struct nrs_checkpoint *cp)
{
	struct nrs_hash root;

	if (o->broken || !root_at(f, o, cp->size, &root))
		return;
	if (nrs_hash_eq(&root, &cp->root)) {
		if (cp->size >= o->bridged_to)
			o->bridged_from = o->bridged_to = 0;
		return;
	}
	if (o->bridged_from == o->bridged_to)
		report_fault(&f->rep, F_ROOT, at, NULL,
		    "root of the checkpoint of %llu is not that of the leaves",
		    (unsigned long long)cp->size);
	else
		f->rep.excused++;
	o->broken = true;
}

static void
checkpoint_job(struct fsck *f, const struct m_origin *o, const struct place *at,
    uint64_t size, struct nrs_str note)
{
	const struct nrs_manifest *m = model_manifest_for_size(o, size);
	struct job *j;

	if (m == NULL || (j = pool_job(f->pool)) == NULL)
		return;
	j->what = JOB_CHECKPOINT;
	j->at = *at;
	j->origin = o;
	j->index = size;
	j->note = note;
	j->key = m->log;
	f->counts.signatures++;
	pool_push(f->pool, j);
}

/* Evidence: by any log key of it, of a history that is not the one held. */
static void
on_rival(struct fsck *f, struct m_origin *o, const struct place *at, struct nrs_str note,
    const struct nrs_checkpoint *cp)
{
	struct nrs_checkpoint opened;
	int rc = NRS_EKEY;

	o->frozen = true;
	for (unsigned int i = 0; rc != 0 && i < o->nmanifests; i++)
		rc = nrs_checkpoint_open(&opened, note.p, note.len, o->name,
		    &o->manifests[i].m.log, nrs_verify, NULL);
	f->counts.signatures++;
	if (rc != 0)
		report_fault(&f->rep, F_SIGNATURE, at, NULL,
		    "evidence of another history is not signed by a log key of the origin");
	else if (o->has_cp && cp->size == o->cp.size && nrs_hash_eq(&cp->root, &o->cp.root))
		report_fault(&f->rep, F_ROOT, at, NULL,
		    "kept as evidence, but it is the checkpoint that is held");
}

static void
on_checkpoint(struct fsck *f, const struct nrs_jframe *fr)
{
	struct place at = place_of(f, fr);
	struct nrs_checkpoint cp;
	struct nrs_note parsed;
	struct m_origin *o;
	struct nrs_hash id;
	struct nrs_str note;
	struct nrs_rd r;
	int rc;

	nrs_rd_init(&r, fr->body.p, fr->body.len);
	nrs_rd_hash(&r, &id);
	note = nrs_rd_bytes(&r, nrs_rd_left(&r));
	rc = r.err;
	if (rc == 0)
		rc = nrs_note_parse(&parsed, note.p, note.len, NULL);
	if (rc == 0)
		rc = nrs_checkpoint_parse(&cp, parsed.text.p, parsed.text.len, NULL);
	if (rc != 0) {
		bad_content(f, fr, rc);
		return;
	}
	f->counts.checkpoints++;
	if ((o = need_origin(f, fr, &id)) == NULL)
		return;
	at.origin = o->name;
	if (strcmp(cp.origin, o->name) != 0) {
		bad_content(f, fr, NRS_EORIGIN);
		return;
	}
	if ((fr->flags & NRS_JCHECKPOINT_RIVAL) != 0) {
		on_rival(f, o, &at, note, &cp);
		return;
	}
	checkpoint_job(f, o, &at, cp.size, note);
	o->kept += note.len;
	if (!o->broken && cp.size > o->put.size) {
		if (f->lost > o->lost_seen && model_bridge(f, o, cp.size)) {
			o->lost_seen = f->lost;
		} else {
			o->broken = true;
			if (!excused(f, &o->lost_seen))
				report_fault(&f->rep, F_ORDER, &at, NULL,
				    "checkpoint of %llu of a log that has %llu",
				    (unsigned long long)cp.size,
				    (unsigned long long)o->put.size);
		}
	}
	if (o->has_cp && cp.size < o->cp.size) {
		report_fault(&f->rep, F_ORDER, &at, NULL,
		    "checkpoint of %llu after one of %llu", (unsigned long long)cp.size,
		    (unsigned long long)o->cp.size);
		return;
	}
	check_root(f, o, &at, &cp);
	o->has_cp = true;
	o->cp = cp;
	if (nrs_sha256(note.p, note.len, &o->cp_note) != 0)
		f->failed = true;
}

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
		if (follows(f, o, at, index))
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
		uint64_t seen = c->lost_seen;

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
	if ((o = need_origin(f, fr, &ret->origin)) == NULL)
		return NULL;
	at->origin = o->name;
	if (nrs_record_commit(f->dg, header, sigs.p, sigs.len, &c) != 0 ||
	    nrs_leaf_sealed(f->dg, &c, &leaf) != 0) {
		f->failed = true;
		return NULL;
	}
	if (at->index > f->journal_bytes) {
		bad_content(f, fr, NRS_ERANGE);
		return NULL;
	}
	check_leaf(f, o, at, at->index, &leaf, fr->pos);
	check_chain(f, o, at, ret, header, at->index);
	if (!o->own)
		o->kept += fr->body.len;
	return o;
}

static void
on_record(struct fsck *f, const struct nrs_jframe *fr)
{
	struct place at = place_of(f, fr);
	struct nrs_jrecord_view v;
	struct nrs_header h;
	struct m_origin *o;
	struct job *j;
	int rc;

	if ((rc = nrs_jrecord_decode(&v, fr)) != 0) {
		bad_content(f, fr, rc);
		return;
	}
	f->counts.records++;
	at.index = v.index;
	if ((o = take_record(f, fr, v.header, v.sigs, &at, &h)) == NULL)
		return;
	o->opened++;
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

static void
on_refused(struct fsck *f, const struct nrs_jframe *fr)
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
		bad_content(f, fr, r.err);
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

static void
on_event(struct fsck *f, const struct nrs_jframe *fr)
{
	struct place at = place_of(f, fr);
	struct nrs_jevent e;
	struct m_origin *o;
	struct job *j;
	uint64_t *pos;
	int rc;

	if ((rc = nrs_jevent_decode(&e, fr->body)) != 0) {
		bad_content(f, fr, rc);
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

/* --- statements ---------------------------------------------------------------------- */

struct keys_of {
	struct fsck *f;
	unsigned int age; /* 0: the newest key of each, 1: the one before, ... */
};

static const struct nrs_pubkey *
steward_key(void *arg, const struct nrs_member *m)
{
	const struct keys_of *k = arg;
	const struct m_origin *o = model_origin(k->f, &m->origin_id);
	struct nrs_hash root;
	unsigned int n;

	if (o == NULL || o->nmanifests == 0 ||
	    nrs_rootkey_hash(&o->manifests[0].m.root, &root) != 0 ||
	    !nrs_hash_eq(&root, &m->root))
		return NULL;
	n = o->nmanifests - 1;
	return &o->manifests[n > k->age ? n - k->age : 0].m.feed;
}

/* A statement may have been signed before stewards changed their keys, and kept later. */
static int
statement_verify(struct fsck *f, const struct nrs_statement *prev,
    const struct nrs_statement *s, const struct nrs_note *note)
{
	struct keys_of k = { .f = f };
	unsigned int oldest = 0;
	int rc = NRS_ESIG;

	for (size_t i = 0; i < f->norigins; i++)
		if (f->origins[i]->nmanifests > oldest)
			oldest = f->origins[i]->nmanifests;
	f->counts.signatures++;
	for (; rc != 0 && (k.age == 0 || k.age < oldest); k.age++)
		rc = nrs_statement_verify(prev, s, note, steward_key, &k, nrs_verify);
	return rc;
}

static void
take_statement(struct fsck *f, const struct place *at, struct nrs_statement *s,
    const struct nrs_note *note, const struct nrs_hash *hash, bool trusted)
{
	struct m_community *c = model_community(f, &s->community, s->epoch == 0);
	const struct nrs_statement *prev = NULL;
	uint64_t seen = f->counts_lost;
	int rc = 0;

	if (c == NULL || s->epoch > c->n) {
		if (!excused(f, c != NULL ? &c->lost_seen : &seen))
			report_fault(&f->rep, F_STATEMENT, at, NULL,
			    "statement of epoch %u of %s has none before it", s->epoch,
			    s->name);
		return;
	}
	if (s->epoch > 0)
		prev = &c->v[s->epoch - 1].s;
	if (s->epoch == c->n)
		rc = nrs_statement_follows(prev, s, NULL);
	if (rc == 0)
		rc = statement_verify(f, prev, s, note);
	if (rc != 0 && !excused(f, &c->lost_seen))
		report_fault(&f->rep, F_STATEMENT, at, NULL,
		    "statement of epoch %u of %s: %s", s->epoch, s->name, nrs_strerror(rc));
	if (trusted)
		c->trusted = true;
	(void)model_statement(f, c, s, hash);
}

static void
on_statement(struct fsck *f, const struct nrs_jframe *fr)
{
	struct place at = place_of(f, fr);
	struct nrs_statement s = { 0 };
	struct nrs_note note;
	struct nrs_hash hash;
	struct nrs_str doc;
	struct nrs_rd r;
	uint8_t trust;
	int rc;

	nrs_rd_init(&r, fr->body.p, fr->body.len);
	trust = nrs_rd_u8(&r);
	nrs_rd_zero(&r, 7);
	doc = nrs_rd_bytes(&r, nrs_rd_left(&r));
	rc = r.err == 0 && trust > 1 ? NRS_ERANGE : r.err;
	if (rc == 0)
		rc = nrs_note_parse(&note, doc.p, doc.len, NULL);
	if (rc == 0)
		rc = nrs_statement_parse(&s, note.text.p, note.text.len, NULL);
	if (rc == 0)
		rc = nrs_sha256(doc.p, doc.len, &hash);
	if (rc != 0) {
		bad_content(f, fr, rc);
		return;
	}
	f->counts.statements++;
	take_statement(f, &at, &s, &note, &hash, trust == 1);
	nrs_statement_fini(&s);
}

/* --- disclosures ---------------------------------------------------------------------- */

#define J_DISCLOSURE 13

static void
range_open(struct fsck *f, const struct nrs_jframe *fr)
{
	struct m_range *m = vec_set(&f->ranges, f->ranges.n);

	if (m == NULL || nrs_sha256(fr->body.p, fr->body.len, &m->body) != 0)
		f->failed = true;
	else
		m->pos = fr->pos;
}

static void
range_close(struct fsck *f, const struct nrs_jframe *fr, uint64_t pos)
{
	struct place at = place_of(f, fr);
	struct m_range *v = (struct m_range *)(void *)f->ranges.p;

	for (uint64_t i = 0; i < f->ranges.n; i++) {
		if (v[i].pos != pos)
			continue;
		memmove(&v[i], &v[i + 1], (f->ranges.n - i - 1) * sizeof(*v));
		f->ranges.n--;
		return;
	}
	if (!excused(f, &f->ranges_seen))
		report_fault(
		    &f->rep, F_ORDER, &at, NULL, "ends a disclosure that is not open");
}

static void
on_disclosure(struct fsck *f, const struct nrs_jframe *fr)
{
	struct nrs_rd r;
	uint8_t op;

	nrs_rd_init(&r, fr->body.p, fr->body.len);
	op = nrs_rd_u8(&r);
	if (op == 1) {
		/* 112 fixed bytes and the name of who reads */
		nrs_rd_skip(&r, 111);
		(void)nrs_rd_lstr(&r, NRS_NAME_MAX);
		if (nrs_rd_end(&r) == 0)
			range_open(f, fr);
	} else if (op == 2) {
		nrs_rd_zero(&r, 7);
		range_close(f, fr, nrs_rd_u64(&r));
		nrs_rd_skip(&r, 24);
	} else if (op == 3) {
		nrs_rd_zero(&r, 7);
		nrs_rd_skip(&r, 16);
		f->ranges.n = 0;
	} else
		r.err = NRS_ERANGE;
	if (nrs_rd_end(&r) != 0)
		bad_content(f, fr, r.err);
}

/* --- all -------------------------------------------------------------------------------- */

void
frame_apply(struct fsck *f, const struct nrs_jframe *fr)
{
	switch (fr->type) {
	case NRS_J_STATE:
		state_apply(f, fr);
		break;
	case NRS_J_RECORD:
		on_record(f, fr);
		break;
	case NRS_J_LEAVES:
		on_leaves(f, fr);
		break;
	case NRS_J_CONTROL:
		on_control(f, fr);
		break;
	case NRS_J_EVENT:
		on_event(f, fr);
		break;
	case NRS_J_CHECKPOINT:
		on_checkpoint(f, fr);
		break;
	case NRS_J_STATEMENT:
		on_statement(f, fr);
		break;
	case NRS_J_REFUSED:
		on_refused(f, fr);
		break;
	case NRS_J_PEER:
		on_peer(f, fr);
		break;
	case J_DISCLOSURE:
		on_disclosure(f, fr);
		break;
	default:
		bad_content(f, fr, NRS_EVERSION); /* reserved */
	}
}

static void
guess_origin(struct fsck *f, const uint8_t *id, struct place *at)
{
	struct m_origin *o;
	struct nrs_hash h;

	memcpy(h.b, id, sizeof(h.b));
	if ((o = model_origin(f, &h)) != NULL)
		at->origin = o->name;
}

void
frame_guess(
    struct fsck *f, const struct nrs_jwalk_item *it, struct place *at, char touched[240])
{
	const uint8_t *p = it->f.body.p;
	size_t len = it->f.body.len;
	const char *name;

	at->type = it->f.type;
	touched[0] = '\0';
	if (it->f.type == NRS_J_RECORD && len >= 40 + NRS_HEADER_LEN) {
		guess_origin(f, p + 40 + 104, at);
		at->index = nrs_get_u64(p);
	} else if (it->f.type == NRS_J_REFUSED && len >= 16 + NRS_HEADER_LEN) {
		guess_origin(f, p + 16 + 104, at);
		at->index = nrs_get_u64(p);
	} else if ((it->f.type == NRS_J_LEAVES || it->f.type == NRS_J_CONTROL) &&
	    len >= NRS_HASH_LEN + 8) {
		guess_origin(f, p, at);
		at->index = nrs_get_u64(p + NRS_HASH_LEN);
	} else if (it->f.type == NRS_J_CHECKPOINT && len >= NRS_HASH_LEN) {
		guess_origin(f, p, at);
	} else if (it->f.type == NRS_J_EVENT && len == NRS_JEVENT_LEN) {
		guess_origin(f, p + 16, at);
		at->index = nrs_get_u64(p + 48);
	}
	if (at->index > f->journal_bytes)
		at->index = NRS_NONE;
	name = at->origin != NULL ? at->origin : "an origin";
	switch (it->f.type) {
	case NRS_J_RECORD:
	case NRS_J_REFUSED:
		snprintf(touched, 240, "record %.150s/%llu, as far as the frame can be read",
		    name, (unsigned long long)at->index);
		break;
	case NRS_J_LEAVES:
		snprintf(touched, 240, "leaves of %.150s from %llu on; its records keep theirs",
		    name, (unsigned long long)at->index);
		break;
	case NRS_J_STATE:
		snprintf(touched, 240,
		    "no record: what it says follows from the segments before this one");
		break;
	case NRS_J_COMMIT:
		snprintf(touched, 240, "every frame of batch %llu",
		    (unsigned long long)it->f.batch);
		break;
	case 0:
		snprintf(touched, 240,
		    "what stood in these %u bytes: its header cannot be read", it->len);
		break;
	}
}
