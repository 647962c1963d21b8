/*
 * Export of one record: as a proof file (docs/FORMAT.md, section 10), or its
 * payload alone.  Only what is opened here, and covered by the checkpoint that
 * this node shows.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "node/node_priv.h"
#include "proof/proof.h"

/* What is gathered for one file. */
struct gather {
	struct node *n;
	struct origin *o;
	uint64_t index;
	struct nrs_buf frame, plain, checkpoint;
	struct node_record rec;
	uint8_t salt[NRS_SALT_LEN];
	uint8_t *payload;
	struct nrs_proof *paths; /* of manifests */
	struct nrs_proof_file f;
};

/* Why there is no record to give: from the frame that stands at the index. */
static int
not_opened(struct gather *x, struct nrs_detail *d)
{
	const struct nrs_jframe *f = &x->rec.frame;

	switch (f->type) {
	case NRS_J_CONTROL:
		return nrs_fail(d, NRS_ENOTFOUND, 0,
		    "entry %llu of this log is a public document, not a record",
		    (unsigned long long)x->index);
	case NRS_J_LEAVES:
		return nrs_fail(d, NRS_ENOTFOUND, 0,
		    "it is sealed here: this node was not given the record, only its leaf");
	case NRS_J_REFUSED:
		if (f->body.len > 8 && f->body.p[8] == 1)
			return nrs_fail(d, NRS_ENOTFOUND, 0,
			    "its header alone is here: it is above the ceiling agreed "
			    "with its origin");
		return nrs_fail(d, NRS_ENOTFOUND, 0, "it was refused here, and not kept");
	default:
		return nrs_fail(d, NRS_ECORRUPT, 0, "its place in the journal is wrong");
	}
}

static int
find(struct gather *x, const char *origin, const char *hex8, struct nrs_detail *d)
{
	struct nrs_hash leaf;
	char hex[9];
	int rc;

	x->o = origin_find_name(x->n, origin);
	if (x->o == NULL)
		return nrs_fail(
		    d, NRS_EUNKNOWN, 0, "there is no log of %.100s here", origin);
	if (x->index >= x->o->shown.size)
		return nrs_fail(d, NRS_ENOTFOUND, 0,
		    "its log has entries up to %lld here, by the newest checkpoint",
		    (long long)x->o->shown.size - 1);
	rc = node_read_record(x->o, x->index, &x->frame, &x->rec);
	if (rc == NRS_ENOTFOUND)
		return not_opened(x, d);
	if (rc == 0)
		rc = origin_leaf(x->o, x->index, &leaf);
	if (rc != 0)
		return nrs_fail(d, rc, 0, "it cannot be read: %s", nrs_strerror(rc));
	nrs_hex_format(hex, leaf.b, 4);
	if (hex8 != NULL && hex8[0] != '\0' && strcmp(hex8, hex) != 0)
		return nrs_fail(d, NRS_ELEAF, 0, "the record at this index is ~%s", hex);
	return 0;
}

static int
read_payload(struct gather *x)
{
	struct nrs_str data;
	int rc;

	rc = nrs_journal_unseal(x->n->journal, &x->rec.v, &x->plain, x->salt, &data);
	if (rc == 0)
		rc = nrs_payload_expand(data.p, data.len,
		    (x->rec.v.flags & NRS_JRECORD_RAW) != 0, (size_t)x->rec.h.payload_len,
		    &x->payload);
	return rc;
}

/* Those that stand in the tree of the checkpoint; their documents are the entries. */
static int
gather_manifests(struct gather *x)
{
	struct origin *o = x->o;
	struct nrs_proof_manifest *m;
	unsigned int n = 0;
	int rc = 0;

	x->f.manifests = calloc(o->nmanifests, sizeof(*x->f.manifests));
	x->paths = calloc(o->nmanifests, sizeof(*x->paths));
	if (x->f.manifests == NULL || x->paths == NULL)
		return NRS_ENOMEM;
	for (unsigned int i = 1; rc == 0 && i < o->nmanifests; i++) {
		if (o->manifests[i].index >= o->shown.size)
			break;
		m = &x->f.manifests[n];
		rc = nrs_tree_inclusion(x->n->dg, &o->store, o->manifests[i].index,
		    o->shown.size, &x->paths[n]);
		m->index = o->manifests[i].index;
		m->note.p = o->manifests[i].note;
		m->note.len = o->manifests[i].note_len;
		m->path.p = x->paths[n].h[0].b;
		m->path.len = x->paths[n].n * NRS_HASH_LEN;
		n++;
	}
	x->f.nmanifests = n;
	return rc;
}

static int
gather_all(struct gather *x)
{
	const struct nrs_manifest *m = origin_manifest_for_size(x->o, x->o->shown.size);
	struct origin *o = x->o;
	int rc;

	if (m == NULL)
		return NRS_EKEY;
	snprintf(x->f.origin, sizeof(x->f.origin), "%s", o->name);
	x->f.text.index = x->index;
	rc = nrs_tree_inclusion(
	    x->n->dg, &o->store, x->index, o->shown.size, &x->f.text.path);
	if (rc == 0)
		rc = nrs_proof_strip(
		    &x->checkpoint, o->shown_note, o->shown_len, o->name, &m->log);
	if (rc == 0)
		rc = gather_manifests(x);
	x->f.text.checkpoint.p = x->checkpoint.p;
	x->f.text.checkpoint.len = x->checkpoint.len;
	x->f.header = x->rec.v.header;
	x->f.sigs = x->rec.v.sigs;
	x->f.salt = x->salt;
	x->f.payload.p = x->payload;
	x->f.payload.len = (size_t)x->rec.h.payload_len;
	return rc;
}

static int
fill_info(struct gather *x, struct node_export_info *ret)
{
	struct nrs_hash leaf;
	char hex[9];
	int rc = origin_leaf(x->o, x->index, &leaf);

	if (rc != 0)
		return rc;
	nrs_hex_format(hex, leaf.b, 4);
	snprintf(ret->id, sizeof(ret->id), "%s/%llu~%s", x->o->name,
	    (unsigned long long)x->index, hex);
	ret->kind = x->rec.h.kind;
	ret->tlp = x->rec.h.tlp;
	return 0;
}

int
node_export(struct node *n, const char *origin, uint64_t index, const char *hex8,
    bool proof, struct nrs_buf *b, struct node_export_info *ret, struct nrs_detail *d)
{
	struct gather x = { .n = n, .index = index };
	int rc;

	nrs_buf_init(&x.frame, NRS_JFRAME_MAX + 64);
	nrs_buf_init(&x.plain, NRS_JFRAME_MAX);
	nrs_buf_init(&x.checkpoint, NRS_NOTE_MAX);
	rc = find(&x, origin, hex8, d);
	if (rc == 0)
		rc = read_payload(&x);
	if (rc == 0)
		rc = fill_info(&x, ret);
	if (rc == 0 && proof)
		rc = gather_all(&x);
	if (rc == 0 && proof)
		nrs_proof_file_encode(b, &x.f);
	else if (rc == 0)
		nrs_buf_put(b, x.payload, (size_t)x.rec.h.payload_len);
	if (rc == 0)
		rc = b->err;
	if (rc != 0)
		(void)nrs_fail(d, rc, 0, "it cannot be read: %s", nrs_strerror(rc));
	nrs_buf_fini(&x.frame);
	nrs_buf_fini(&x.plain);
	nrs_buf_fini(&x.checkpoint);
	free(x.payload);
	free(x.paths);
	free(x.f.manifests);
	return rc;
}
