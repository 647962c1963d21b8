/* STATEMENT and DISCLOSURE frames: who is a member, and who was given what. */
#include <string.h>

#include "tools/noroshi-fsck/fsck.h"

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
		if (!excused(f, &seen))
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
	if (rc != 0 && !excused(f, &seen))
		report_fault(&f->rep, F_STATEMENT, at, NULL,
		    "statement of epoch %u of %s: %s", s->epoch, s->name, nrs_strerror(rc));
	if (trusted)
		c->trusted = true;
	(void)model_statement(f, c, s, hash);
}

void
frame_statement(struct fsck *f, const struct nrs_jframe *fr)
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
		frame_bad(f, fr, rc);
		return;
	}
	f->counts.statements++;
	take_statement(f, &at, &s, &note, &hash, trust == 1);
	nrs_statement_fini(&s);
}

/* --- disclosures ---------------------------------------------------------------------- */

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

void
frame_disclosure(struct fsck *f, const struct nrs_jframe *fr)
{
	struct nrs_jdisclosure d;
	int rc = nrs_jdisclosure_decode(&d, fr->body);

	if (rc != 0) {
		frame_bad(f, fr, rc);
		return;
	}
	f->counts.disclosures++;
	if (d.op == NRS_JDISCLOSURE_OPEN)
		range_open(f, fr);
	else if (d.op == NRS_JDISCLOSURE_CLOSE)
		range_close(f, fr, d.range);
	else
		f->ranges.n = 0;
}
