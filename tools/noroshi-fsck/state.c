/*
 * STATE against the model: what the segment claims to begin with must be what
 * the frames before it add up to.  After that it is believed, so that damage
 * before it is not told again behind it.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/noroshi-fsck/fsck.h"

enum { OWN = 1, FROZEN = 2, SOME_ON_CHECKPOINT = 4, TRUSTED = 1 };

struct reading {
	struct fsck *f;
	struct nrs_rd r;
	struct place at;
	bool first;	/* nothing was known before this STATE: all of it is news */
	bool excusable; /* damage came before it */
};

static void differs(struct reading *rd, const char *fmt, ...) NRS_PRINTF(2, 3);

static void
differs(struct reading *rd, const char *fmt, ...)
{
	char text[160];
	va_list ap;

	if (rd->first)
		return;
	if (rd->excusable) {
		report_excuse(&rd->f->rep);
		return;
	}
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	report_fault(&rd->f->rep, F_STATE, &rd->at, NULL, "%s", text);
}

static void
differs_u64(struct reading *rd, const char *what, uint64_t said, uint64_t sum)
{
	if (said != sum)
		differs(rd, "%s is %llu here, the frames before add up to %llu", what,
		    (unsigned long long)said, (unsigned long long)sum);
}

static struct nrs_str
blob(struct nrs_rd *r)
{
	uint32_t len = nrs_rd_u32(r);

	if (r->err == 0 && len > NRS_NOTE_MAX)
		r->err = NRS_ELIMIT;
	return nrs_rd_bytes(r, len);
}

static bool
same_note(const struct nrs_hash *held, struct nrs_str note)
{
	struct nrs_hash h;

	return nrs_sha256(note.p, note.len, &h) == 0 && nrs_hash_eq(&h, held);
}

/* --- origins -------------------------------------------------------------------- */

static void
take_tree(struct reading *rd, struct m_origin *o, const struct nrs_frontier *put)
{
	struct fsck *f = rd->f;
	bool same;

	if (put->size > f->journal_bytes) {
		rd->r.err = NRS_ELIMIT;
		return;
	}
	/* the last leaves may have been lost with their frames */
	if (rd->excusable && o->put.size < put->size)
		(void)model_bridge(f, o, put->size);
	same = !o->broken && o->put.size == put->size &&
	    memcmp(o->put.h, put->h, put->n * sizeof(put->h[0])) == 0;
	if (!same && !o->broken) {
		if (o->put.size != put->size)
			differs_u64(rd, "size of the log", put->size, o->put.size);
		else if (o->bridged_from == o->bridged_to)
			differs(rd, "tree of the log is not that of its %llu leaves",
			    (unsigned long long)put->size);
	}
	if (!same) {
		o->put = o->edge = *put;
		if (put->size > 0 &&
		    (vec_set(&o->leaf, put->size - 1) == NULL ||
			vec_set(&o->pos, put->size - 1) == NULL))
			f->failed = true;
	}
	o->broken = false;
	o->bridged_from = o->bridged_to = 0;
	o->state_size = put->size;
	vec_fini(&o->leaves_pos);
}

static void
take_checkpoint(struct reading *rd, struct m_origin *o, struct nrs_str note)
{
	struct nrs_note parsed;

	if (note.len == 0 && !o->has_cp)
		return;
	if (note.len > 0 && o->has_cp && same_note(&o->cp_note, note))
		return;
	differs(rd, "newest checkpoint is not the last one before");
	o->has_cp = note.len > 0 && nrs_note_parse(&parsed, note.p, note.len, NULL) == 0 &&
	    nrs_checkpoint_parse(&o->cp, parsed.text.p, parsed.text.len, NULL) == 0 &&
	    nrs_sha256(note.p, note.len, &o->cp_note) == 0;
}

static void
take_manifests(struct reading *rd, struct m_origin *o)
{
	uint32_t n = nrs_rd_u32(&rd->r), i;
	struct nrs_detail d = { 0 };
	uint64_t index;
	struct nrs_str note;

	if (n == 0 && rd->r.err == 0)
		rd->r.err = NRS_ERANGE;
	for (i = 0; rd->r.err == 0 && i < n; i++) {
		index = nrs_rd_u64(&rd->r);
		note = blob(&rd->r);
		if (rd->r.err != 0)
			return;
		if (i < o->nmanifests) {
			if (o->manifests[i].index != index ||
			    !same_note(&o->manifests[i].note, note))
				differs(rd, "manifest %u is not the one before", i);
			o->manifests[i].index = index;
			continue;
		}
		differs(rd, "manifest %u stands in no frame before", i);
		if (model_push_manifest(rd->f, o, note.p, note.len, index, &d) != 0)
			report_fault(&rd->f->rep, F_MANIFEST, &rd->at, NULL,
			    "manifest %u: %s", i, d.text);
	}
	if (rd->r.err == 0 && o->nmanifests > n) {
		differs(rd, "manifest %u is missing here", n);
		o->nmanifests = n;
	}
}

static void
take_audience(struct reading *rd, struct m_origin *o)
{
	struct m_audience *a;
	struct nrs_hash id, head;
	uint64_t next, newest, base;
	uint32_t epoch;
	uint8_t type;

	nrs_rd_hash(&rd->r, &id);
	type = nrs_rd_u8(&rd->r);
	next = nrs_rd_u64(&rd->r);
	nrs_rd_hash(&rd->r, &head);
	newest = nrs_rd_u64(&rd->r);
	epoch = nrs_rd_u32(&rd->r);
	base = nrs_rd_u64(&rd->r);
	if (rd->r.err == 0 &&
	    (type > AUD_DIRECT || next == 0 || base >= next || next > rd->f->journal_bytes))
		rd->r.err = NRS_ERANGE;
	if (rd->r.err != 0)
		return;
	if ((a = model_audience(rd->f, o, &id, false)) == NULL) {
		differs(rd, "a chain stands in no frame before");
		if ((a = model_audience(rd->f, o, &id, true)) == NULL)
			return;
	} else if (a->next != next)
		differs_u64(rd, "next number of a chain", next, a->next);
	else if (a->type != type || a->newest_index != newest || a->epoch != epoch ||
	    a->base != base || !nrs_hash_eq(&a->head, &head))
		differs(rd, "a chain of %llu records is not the one before",
		    (unsigned long long)next);
	a->type = type;
	a->next = a->state_next = next;
	a->head = head;
	a->newest_index = newest;
	a->epoch = epoch;
	a->base = base;
	a->lost_seen = rd->f->lost;
	a->seen = true;
	if (vec_set(&a->index, next - 1) == NULL)
		rd->f->failed = true;
}

static void
take_audiences(struct reading *rd, struct m_origin *o)
{
	struct m_audience *a;
	uint32_t n;
	size_t it = 0;

	while ((a = nrs_map_next(o->audiences, &it, NULL)) != NULL)
		a->seen = false;
	for (n = nrs_rd_u32(&rd->r); rd->r.err == 0 && n > 0; n--)
		take_audience(rd, o);
	for (it = 0; rd->r.err == 0 && (a = nrs_map_next(o->audiences, &it, NULL)) != NULL;)
		if (!a->seen && a->next > 0)
			differs(rd, "a chain of %llu records is missing here",
			    (unsigned long long)a->next);
}

static void
take_origin(struct reading *rd)
{
	struct fsck *f = rd->f;
	struct nrs_str name = nrs_rd_lstr(&rd->r, NRS_ORIGIN_MAX), note;
	char text[NRS_ORIGIN_MAX + 1];
	uint64_t opened, refused, kept, on_checkpoint = 0;
	struct nrs_frontier put;
	struct m_origin *o;
	struct nrs_hash id;
	uint8_t flags;

	if (rd->r.err != 0 || nrs_origin_id((const char *)name.p, name.len, &id) != 0)
		return;
	memcpy(text, name.p, name.len);
	text[name.len] = '\0';
	if ((o = model_origin(f, &id)) == NULL) {
		differs(rd, "an origin stands in no frame before");
		if ((o = model_origin_new(f, text)) == NULL)
			return;
	}
	rd->at.origin = o->name;
	o->seen = true;
	flags = nrs_rd_u8(&rd->r);
	nrs_frontier_decode(&rd->r, &put);
	opened = nrs_rd_u64(&rd->r);
	refused = nrs_rd_u64(&rd->r);
	kept = nrs_rd_u64(&rd->r);
	if ((flags & SOME_ON_CHECKPOINT) != 0 &&
	    (on_checkpoint = nrs_rd_u64(&rd->r)) == 0 && rd->r.err == 0)
		rd->r.err = NRS_ERANGE;
	note = blob(&rd->r);
	if (rd->r.err == 0 &&
	    ((flags & ~(OWN | FROZEN | SOME_ON_CHECKPOINT)) != 0 ||
		((flags & OWN) != 0) != o->own))
		rd->r.err = NRS_ERESERVED;
	if (rd->r.err != 0)
		return;
	if (o->frozen != ((flags & FROZEN) != 0))
		differs(rd, "%s here, not so before", o->frozen ? "not frozen" : "frozen");
	o->frozen = (flags & FROZEN) != 0;
	differs_u64(rd, "number of records opened", opened, o->opened);
	differs_u64(rd, "number of records refused", refused, o->refused);
	differs_u64(rd, "number of bytes kept", kept, o->kept);
	differs_u64(rd, "number of records accepted on checkpoints", on_checkpoint,
	    o->on_checkpoint);
	o->on_checkpoint = on_checkpoint;
	o->opened = opened;
	o->refused = refused;
	o->kept = kept;
	take_manifests(rd, o);
	if (rd->r.err == 0)
		take_tree(rd, o, &put);
	if (rd->r.err == 0)
		take_checkpoint(rd, o, note);
	if (rd->r.err == 0)
		take_audiences(rd, o);
	o->lost_seen = f->lost;
	rd->at.origin = NULL;
}

static void
take_origins(struct reading *rd)
{
	struct fsck *f = rd->f;
	uint32_t n;

	for (size_t i = 0; i < f->norigins; i++)
		f->origins[i]->seen = false;
	for (n = nrs_rd_u32(&rd->r); rd->r.err == 0 && !f->failed && n > 0; n--)
		take_origin(rd);
	for (size_t i = 0; rd->r.err == 0 && i < f->norigins; i++) {
		if (f->origins[i]->seen)
			continue;
		rd->at.origin = f->origins[i]->name;
		differs(rd, "the origin is missing here");
		rd->at.origin = NULL;
	}
}

/* --- communities --------------------------------------------------------------------- */

static void
take_epoch(struct reading *rd, struct m_community **c, uint32_t i)
{
	struct nrs_str doc = blob(&rd->r);
	struct nrs_statement s = { 0 };
	struct nrs_note note;
	struct nrs_hash hash;

	if (rd->r.err != 0)
		return;
	if (nrs_note_parse(&note, doc.p, doc.len, NULL) != 0 ||
	    nrs_statement_parse(&s, note.text.p, note.text.len, NULL) != 0 ||
	    nrs_sha256(doc.p, doc.len, &hash) != 0 || s.epoch != i) {
		rd->r.err = NRS_ESYNTAX;
		goto out;
	}
	if (i == 0) {
		*c = model_community(rd->f, &s.community, false);
		if (*c == NULL)
			differs(rd, "a community stands in no frame before");
		if (*c == NULL)
			*c = model_community(rd->f, &s.community, true);
	}
	if (*c == NULL || !nrs_hash_eq(&(*c)->id, &s.community)) {
		rd->r.err = NRS_EORDER;
		goto out;
	}
	if (i < (*c)->n) {
		if (!nrs_hash_eq(&(*c)->v[i].note, &hash))
			differs(rd, "statement of epoch %u of %s is not the one before", i,
			    s.name);
		goto out;
	}
	differs(rd, "statement of epoch %u of %s stands in no frame before", i, s.name);
	(void)model_statement(rd->f, *c, &s, &hash);
out:
	nrs_statement_fini(&s);
}

static void
take_community(struct reading *rd)
{
	uint8_t flags = nrs_rd_u8(&rd->r);
	uint32_t n = nrs_rd_u32(&rd->r);
	struct m_community *c = NULL;
	struct nrs_str rival;

	if (rd->r.err == 0 && (n == 0 || (flags & ~(TRUSTED | FROZEN)) != 0))
		rd->r.err = NRS_ERANGE;
	for (uint32_t i = 0; rd->r.err == 0 && i < n; i++)
		take_epoch(rd, &c, i);
	rival = blob(&rd->r);
	if (rd->r.err != 0 || c == NULL)
		return;
	if (c->n != n)
		differs(rd, "%u statements of a community here, %u before", n, c->n);
	if (c->trusted != ((flags & TRUSTED) != 0))
		differs(rd, "a community is %s here, not so before",
		    c->trusted ? "not accepted" : "accepted");
	if (c->frozen != ((flags & FROZEN) != 0) || c->has_rival != (rival.len > 0) ||
	    (c->has_rival && !same_note(&c->rival, rival)))
		differs(rd, "evidence against a community is not the one before");
	c->trusted = (flags & TRUSTED) != 0;
	c->frozen = (flags & FROZEN) != 0;
	c->has_rival = rival.len > 0 && nrs_sha256(rival.p, rival.len, &c->rival) == 0;
	c->seen = true;
}

static void
take_communities(struct reading *rd)
{
	struct fsck *f = rd->f;
	uint32_t n;

	for (size_t i = 0; i < f->ncommunities; i++)
		f->communities[i]->seen = false;
	for (n = nrs_rd_u32(&rd->r); rd->r.err == 0 && !f->failed && n > 0; n--)
		take_community(rd);
	for (size_t i = 0; rd->r.err == 0 && i < f->ncommunities; i++)
		if (!f->communities[i]->seen)
			differs(rd, "a community is missing here");
}

/* --- the rest --------------------------------------------------------------------------- */

static void
take_ranges(struct reading *rd)
{
	struct fsck *f = rd->f;
	const struct m_range *have = (const struct m_range *)(const void *)f->ranges.p;
	struct m_range *m;
	struct vec v = { .esize = sizeof(*m) };
	struct nrs_str body;
	uint32_t n = 0, i;
	bool same;

	if (nrs_rd_left(&rd->r) > 0 && (n = nrs_rd_u32(&rd->r)) == 0)
		rd->r.err = NRS_ERANGE;
	same = n == f->ranges.n;
	for (i = 0; rd->r.err == 0 && i < n; i++) {
		if ((m = vec_set(&v, i)) == NULL) {
			f->failed = true;
			break;
		}
		m->pos = nrs_rd_u64(&rd->r);
		body = blob(&rd->r);
		if (rd->r.err == 0)
			rd->r.err = nrs_sha256(body.p, body.len, &m->body);
		same =
		    same && have[i].pos == m->pos && nrs_hash_eq(&have[i].body, &m->body);
	}
	if (rd->r.err == 0 && !same)
		differs(rd, "disclosures that are open are not those before");
	vec_fini(&f->ranges);
	f->ranges = v;
	f->ranges_seen = f->lost;
}

static void
take_events(struct reading *rd, uint64_t fixed)
{
	struct fsck *f = rd->f;
	uint64_t next = nrs_rd_u64(&rd->r), ms = nrs_rd_u64(&rd->r);

	if (rd->r.err == 0 && (next == 0 || next > f->journal_bytes))
		rd->r.err = NRS_ERANGE;
	if (rd->r.err != 0)
		return;
	if (next != fixed)
		differs(rd, "two numbers of the next event: %llu and %llu",
		    (unsigned long long)fixed, (unsigned long long)next);
	differs_u64(rd, "number of the next event", next, f->next_event);
	differs_u64(rd, "time of the newest event", ms, f->event_ms);
	f->next_event = f->state_event = next;
	f->event_ms = ms;
	f->events_seen = f->lost;
	if (next > 1 && vec_set(&f->events, next - 2) == NULL)
		f->failed = true;
	take_ranges(rd);
}

void
state_apply(struct fsck *f, const struct nrs_jframe *fr)
{
	struct reading rd = { .f = f, .at = place_of(f, fr) };
	uint64_t fixed;

	rd.first = !f->any_state;
	rd.excusable = f->lost > f->counts_lost;
	f->any_state = true;
	nrs_rd_init(&rd.r, fr->body.p, fr->body.len);
	nrs_rd_skip(&rd.r, 8);
	fixed = nrs_rd_u64(&rd.r);
	if (rd.first && f->cur->no == 1 && f->lost == 0) {
		/* the very first of a node is its two counts, both 0 */
		if (nrs_rd_u32(&rd.r) != 0 || nrs_rd_u32(&rd.r) != 0 ||
		    nrs_rd_end(&rd.r) != 0 || fixed != 1)
			report_fault(&f->rep, F_STATE, &rd.at, NULL,
			    "the first STATE of a node is not empty");
		f->next_event = f->state_event = 1;
		return;
	}
	take_origins(&rd);
	if (rd.r.err == 0)
		take_communities(&rd);
	if (rd.r.err == 0 && nrs_rd_left(&rd.r) > 0)
		take_events(&rd, fixed);
	if (rd.r.err == 0)
		rd.r.err = nrs_rd_end(&rd.r);
	if (rd.r.err != 0) {
		report_fault(&f->rep, F_CONTENT, &rd.at, NULL,
		    "not what the format says: %s", nrs_strerror(rd.r.err));
		f->lost++;
	} else
		f->counts_lost = f->lost;
}
