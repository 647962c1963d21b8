/*
 * Leaves that come in: an origin's log grows here only by what a checkpoint of
 * its log key proves to extend what is held (PROTOCOL.md, section 3).
 *
 * Everything is tried on a copy of the tree's edge first; the journal and the
 * node's memory see a run only when all of it holds.
 */
#include "node/session_priv.h"

#include <noroshi/plant.h>

#include <stdlib.h>
#include <string.h>

#define BAD_PROOFS_MAX	  3 /* of the origin itself, at one size: it has another history */
#define NEW_MANIFESTS_MAX 16

/* One LEAVES frame being checked. */
struct run {
	struct node *node;
	struct origin *o;
	struct fetch *f;
	struct wire_leaves w;
	struct nrs_checkpoint cp;
	struct nrs_frontier edge; /* after the entries */
	struct nrs_hash root;
	struct nrs_hash *c; /* of the sealed entries between two control ones */
	unsigned int nnew;
	struct {
		struct nrs_manifest m;
		uint64_t index;
	} * fresh;	     /* manifests in this very run */
	bool other_manifest; /* entry 0 is not the one that was configured */
};

/* A manifest in the run may bring the key that signs its checkpoint. */
static void
see_control(struct run *r, uint64_t index, struct nrs_str doc)
{
	const struct nrs_manifest *prev = &r->o->manifests[r->o->nmanifests - 1].m;
	struct nrs_detail d = { 0 };

	if (index == 0) {
		r->other_manifest = origin_check_first(r->o, doc.p, doc.len) != 0;
		return;
	}
	if (!origin_is_manifest(doc.p, doc.len) || r->nnew == NEW_MANIFESTS_MAX)
		return;
	if (r->nnew > 0)
		prev = &r->fresh[r->nnew - 1].m;
	if (nrs_manifest_open(&r->fresh[r->nnew].m, doc.p, doc.len, prev,
		r->node->env->ops->verify, &d) == 0) {
		r->fresh[r->nnew++].index = index;
		return;
	}
	node_log(r->node, NRS_LOG_WARNING, r->o->name,
	    "entry %llu of its log is a manifest that does not count: %s",
	    (unsigned long long)index, d.text);
}

/* Appends the entries to the copy of the edge. */
static int
try_entries(struct run *r)
{
	struct wire_list l = r->w.entries;
	struct nrs_hash leaf;
	struct wire_entry e;
	int rc = 0;

	while (rc == 0 && wire_leaves_next(&l, &e)) {
		if (e.control) {
			see_control(r, r->edge.size, e.doc);
			rc = nrs_leaf_control(r->node->dg, e.doc.p, e.doc.len, &leaf);
		} else {
			/* Entry 0 of every log is manifest 0. */
			r->other_manifest = r->other_manifest || r->edge.size == 0;
			rc = nrs_leaf_sealed(r->node->dg, &e.c, &leaf);
		}
		if (rc == 0)
			rc = nrs_frontier_append(r->node->dg, &r->edge, &leaf, NULL, NULL);
	}
	return rc;
}

/* The checkpoint, under the log key in force at its size. */
static int
open_checkpoint(struct run *r, struct nrs_detail *d)
{
	const struct nrs_manifest *m;
	struct nrs_checkpoint cp;
	struct nrs_note note;
	int rc;

	rc = nrs_note_parse(&note, r->w.checkpoint.p, r->w.checkpoint.len, d);
	if (rc == 0)
		rc = nrs_checkpoint_parse(&cp, note.text.p, note.text.len, d);
	if (rc != 0)
		return rc;
	m = origin_manifest_for_size(r->o, cp.size);
	for (unsigned int i = 0; i < r->nnew; i++) {
		if (cp.size > r->fresh[i].index + 1)
			m = &r->fresh[i].m;
	}
	if (m == NULL)
		return NRS_EKEY;
	rc = nrs_checkpoint_open(&r->cp, r->w.checkpoint.p, r->w.checkpoint.len, r->o->name,
	    &m->log, r->node->env->ops->verify, d);
	return rc == NRS_ENOTFOUND ? NRS_EKEY : rc;
}

/* A positive outcome: evidence of two histories. */
enum { RUN_FORK = 1 };

static int
check_against_held(const struct run *r)
{
	const struct origin *o = r->o;
	uint64_t end = r->w.first + r->w.count;

	if (r->cp.size == o->cp.size && o->cp_note != NULL &&
	    !nrs_hash_eq(&r->cp.root, &o->cp.root))
		return RUN_FORK;
	if (r->cp.size < end || (r->w.count == 0 && r->cp.size != end))
		return NRS_EPROOF;
	/* The root at our size was proven when its leaves were taken in. */
	if (r->w.count == 0 && r->w.first > 0 && !nrs_hash_eq(&r->root, &r->cp.root))
		return RUN_FORK;
	return 0;
}

static int
check_run(struct run *r, struct nrs_detail *d)
{
	uint64_t end = r->w.first + r->w.count;
	int rc;

	if (r->w.first != r->o->put.size)
		return NRS_EORDER;
	r->edge = r->o->put;
	rc = try_entries(r);
	if (rc == 0)
		rc = open_checkpoint(r, d);
	if (rc == 0)
		rc = nrs_frontier_root(r->node->dg, &r->edge, &r->root);
	if (rc == 0)
		rc = check_against_held(r);
	if (rc != 0 || NRS_PLANTED(NO_CONSISTENCY))
		return rc;
	rc = nrs_consistency_verify(
	    r->node->dg, end, r->cp.size, &r->root, &r->cp.root, &r->w.proof);
	if (rc == NRS_EPROOF && r->f->session->peer->origin == r->o &&
	    ++((struct osync *)r->o->sync_priv)->bad_proofs >= BAD_PROOFS_MAX)
		return RUN_FORK;
	if (rc == 0 && r->other_manifest)
		return RUN_FORK;
	return rc;
}

/* --- keeping --------------------------------------------------------------------- */

static int
put_sealed(struct run *r, uint64_t first, uint32_t n)
{
	struct nrs_hash leaf;
	uint8_t head[8 + 4 + 4];
	struct nrs_str parts[3] = {
		{ r->o->id.b, NRS_HASH_LEN },
		{ head, sizeof(head) },
		{ r->c[0].b, (size_t)n * NRS_HASH_LEN },
	};
	uint64_t pos;
	int rc;

	if (n == 0)
		return 0;
	nrs_put_u64(head, first);
	nrs_put_u32(head + 8, n);
	nrs_put_u32(head + 12, 0);
	rc = nrs_journal_put(r->node->journal, NRS_J_LEAVES, 0, parts, 3, &pos);
	for (uint32_t i = 0; rc == 0 && i < n; i++) {
		rc = nrs_leaf_sealed(r->node->dg, &r->c[i], &leaf);
		if (rc == 0)
			rc = origin_apply_leaf(r->o, &leaf, pos);
	}
	return rc;
}

static int
put_control(struct run *r, uint64_t index, struct nrs_str doc)
{
	uint8_t head[8];
	struct nrs_str parts[3] = {
		{ r->o->id.b, NRS_HASH_LEN },
		{ head, sizeof(head) },
		doc,
	};
	uint64_t pos;
	int rc;

	nrs_put_u64(head, index);
	rc = nrs_journal_put(r->node->journal, NRS_J_CONTROL, 0, parts, 3, &pos);
	if (rc == 0)
		rc = origin_apply_control(r->o, index, doc.p, doc.len, pos);
	return rc;
}

static int
put_checkpoint(struct run *r, uint8_t flags)
{
	struct nrs_str parts[2] = { { r->o->id.b, NRS_HASH_LEN }, r->w.checkpoint };

	return nrs_journal_put(r->node->journal, NRS_J_CHECKPOINT, flags, parts, 2, NULL);
}

static int
keep_run(struct run *r)
{
	struct wire_list l = r->w.entries;
	uint64_t index = r->w.first;
	struct wire_entry e;
	uint32_t n = 0;
	int rc = 0;

	while (rc == 0 && wire_leaves_next(&l, &e)) {
		if (!e.control) {
			r->c[n++] = e.c;
			index++;
			continue;
		}
		rc = put_sealed(r, index - n, n);
		n = 0;
		if (rc == 0)
			rc = put_control(r, index++, e.doc);
	}
	if (rc == 0)
		rc = put_sealed(r, index - n, n);
	if (rc != 0 || r->cp.size != r->o->put.size || r->cp.size == r->o->cp.size)
		return rc;
	rc = put_checkpoint(r, 0);
	if (rc == 0)
		rc = origin_apply_checkpoint(r->o, r->w.checkpoint.p, r->w.checkpoint.len);
	return rc;
}

/* The rival checkpoint is kept; nothing else of this origin is from now on. */
static void
freeze(struct run *r)
{
	struct node *n = r->node;
	struct origin *o = r->o;
	int rc;

	o->frozen = true;
	node_log(n, NRS_LOG_ERROR, o->name,
	    "evidence of two histories: held %llu entries, checkpoint %llu; shown another checkpoint %llu%s. "
	    "Its log is frozen",
	    (unsigned long long)o->put.size, (unsigned long long)o->cp.size,
	    (unsigned long long)r->cp.size,
	    r->other_manifest ? " with another manifest 0" : "");
	/* Marked, because replay could make nothing of it: it fits no tree that is held. */
	rc = put_checkpoint(r, NRS_JCHECKPOINT_RIVAL);
	if (rc != 0)
		node_fail(n, "keeping evidence: %s", nrs_strerror(rc));
	else
		node_put_done(n);
}

static void
finish(struct run *r, int rc, const struct nrs_detail *d, size_t cost)
{
	struct osync *os = r->o->sync_priv;
	struct node *n = r->node;
	struct origin *o = r->o;
	struct chain *c;

	if (rc == RUN_FORK) {
		freeze(r);
		rc = NRS_EFORK;
	} else if (rc == 0) {
		rc = keep_run(r);
		if (rc != 0) {
			node_fail(n, "taking leaves in: %s", nrs_strerror(rc));
			return;
		}
	}
	if (rc != 0) {
		session_refuse(
		    r->f->session, rc, r->f->stream, &o->id, r->w.first, NRS_NONE, d->text);
		sync_fail(r->f, rc, rc != NRS_ENOMEM && rc != NRS_EQUOTA);
		return;
	}
	session_quota_charge_leaves(o, r->w.count);
	os->bad_proofs = 0;
	node_put_done(n);
	sync_progress(r->f);
	sync_return(r->f, cost);
	/* From here on the fetch may be another: records may move it. */
	TAILQ_FOREACH(c, &os->chains, link) {
		if (!TAILQ_EMPTY(&c->recs))
			ingest_chain_run(n, c);
	}
}

void
ingest_leaves(struct fetch *f, const uint8_t *p, size_t len)
{
	struct node *n = f->session->node;
	struct nrs_detail d = { 0 };
	struct run *r = calloc(1, sizeof(*r));
	int rc = NRS_ENOMEM;

	if (r != NULL) {
		r->node = n;
		r->o = f->origin;
		r->f = f;
		r->c = malloc(NRS_LEAVES_PER_FRAME * sizeof(*r->c));
		r->fresh = malloc(NEW_MANIFESTS_MAX * sizeof(*r->fresh));
	}
	if (r == NULL || r->c == NULL || r->fresh == NULL) {
		sync_fail(f, rc, false);
		goto out;
	}
	rc = wire_leaves_decode(&r->w, p, len);
	if (rc == 0 && !nrs_hash_eq(&r->w.origin, &f->origin->id))
		rc = NRS_EORIGIN;
	if (rc == 0 && (f->origin->frozen || f->origin->nmanifests == 0))
		rc = NRS_ESTATE;
	/* What was asked for before the quota was used up. */
	if (rc == 0 && r->w.count > 0 && !session_quota_leaves(f->origin))
		rc = NRS_EQUOTA;
	if (rc == 0)
		rc = check_run(r, &d);
	finish(r, rc, &d, len);
out:
	if (r != NULL) {
		free(r->c);
		free(r->fresh);
	}
	free(r);
}
