/*
 * Every sound frame, applied to the model: what it says must follow from what
 * the frames before it said.  Here: the dispatch, logs and their checkpoints.
 */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
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

void
frame_bad(struct fsck *f, const struct nrs_jframe *fr, int rc)
{
	struct place at = place_of(f, fr);

	report_fault(&f->rep, F_CONTENT, &at, NULL, "not what the format says: %s",
	    nrs_strerror(rc));
}

/* Of an origin that nothing has introduced; NULL then. */
struct m_origin *
frame_origin(struct fsck *f, const struct nrs_jframe *fr, const struct nrs_hash *id)
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
bool
frame_follows(struct fsck *f, struct m_origin *o, const struct place *at, uint64_t index)
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
		frame_bad(f, fr, r.err);
		return;
	}
	f->counts.leaves += count;
	if ((o = frame_origin(f, fr, &id)) == NULL)
		return;
	at.origin = o->name;
	at.index = first;
	if (!frame_follows(f, o, &at, first))
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
		frame_bad(f, fr, r.err != 0 ? r.err : NRS_ELIMIT);
		return;
	}
	f->counts.controls++;
	if (index == 0 && nrs_hash_eq(&id, &f->self) && model_origin(f, &id) == NULL)
		(void)introduce(f, fr, doc, 0);
	if ((o = frame_origin(f, fr, &id)) == NULL)
		return;
	at.origin = o->name;
	at.index = index;
	o->kept += doc.len;
	if (!frame_follows(f, o, &at, index))
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
		frame_bad(f, fr, r.err);
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
		report_excuse(&f->rep);
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
	j->doubt = f->lost > f->counts_lost;
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
		frame_bad(f, fr, rc);
		return;
	}
	f->counts.checkpoints++;
	if ((o = frame_origin(f, fr, &id)) == NULL)
		return;
	at.origin = o->name;
	if (strcmp(cp.origin, o->name) != 0) {
		frame_bad(f, fr, NRS_EORIGIN);
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

/* --- all -------------------------------------------------------------------------------- */

void
frame_apply(struct fsck *f, const struct nrs_jframe *fr)
{
	switch (fr->type) {
	case NRS_J_STATE:
		state_apply(f, fr);
		break;
	case NRS_J_RECORD:
		frame_record(f, fr);
		break;
	case NRS_J_LEAVES:
		on_leaves(f, fr);
		break;
	case NRS_J_CONTROL:
		on_control(f, fr);
		break;
	case NRS_J_EVENT:
		frame_event(f, fr);
		break;
	case NRS_J_CHECKPOINT:
		on_checkpoint(f, fr);
		break;
	case NRS_J_STATEMENT:
		frame_statement(f, fr);
		break;
	case NRS_J_REFUSED:
		frame_refused(f, fr);
		break;
	case NRS_J_PEER:
		on_peer(f, fr);
		break;
	case NRS_J_DISCLOSURE:
		frame_disclosure(f, fr);
		break;
	default:
		frame_bad(f, fr, NRS_EVERSION); /* reserved */
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
		snprintf(touched, 240,
		    "record %.150s/%llu, as far as the frame can be read", name,
		    (unsigned long long)at->index);
		break;
	case NRS_J_LEAVES:
		snprintf(touched, 240,
		    "leaves of %.150s from %llu on; its records keep theirs", name,
		    (unsigned long long)at->index);
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
