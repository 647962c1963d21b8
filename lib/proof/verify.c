/*
 * What a proof file proves, and what not: the checks of docs/FORMAT.md,
 * section 10, one after the other, each with its place in the file.
 */
#include "proof/proof.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ORIGIN_OFF 10 /* of its name in the file */

static const char *const check_names[] = {
	[NRS_PROOF_FORM] = "form",
	[NRS_PROOF_ORIGIN] = "origin",
	[NRS_PROOF_MANIFESTS] = "manifests",
	[NRS_PROOF_CHECKPOINT] = "checkpoint",
	[NRS_PROOF_INCLUSION] = "inclusion",
	[NRS_PROOF_SIGNATURES] = "signatures",
	[NRS_PROOF_PAYLOAD] = "payload",
	[NRS_PROOF_CONTENT] = "content",
	[NRS_PROOF_MARKING] = "marking",
};

const char *
nrs_proof_check_name(enum nrs_proof_check c)
{
	return c < NRS_PROOF__CHECKS ? check_names[c] : "none";
}

/* A manifest of this origin that the verifier trusts. */
struct given {
	uint64_t number;
	struct nrs_hash hash;
};

struct proof {
	const uint8_t *base;
	struct nrs_proof_file f;
	struct nrs_proof_result *ret;
	struct nrs_digest *dg;
	nrs_verify_fn verify;
	struct nrs_detail *d;
	struct given *given;
	unsigned int ngiven;
	struct nrs_manifest first, feed, log; /* in force, for the two */
	struct nrs_manifest prev, next;	      /* of the walk */
};

/* where is a place in the file. */
static int
fail(struct proof *p, int err, const void *where, const char *what,
    const struct nrs_detail *sub)
{
	uint64_t off = (uint64_t)((const uint8_t *)where - p->base);

	if (err == NRS_ENOMEM)
		return nrs_fail(p->d, err, off, "out of memory");
	return nrs_fail(p->d, err, off, "%s%s%s", what,
	    sub != NULL && sub->text[0] == '\0' ? "" : ": ",
	    sub != NULL ? sub->text : nrs_strerror(err));
}

/* --- origin ------------------------------------------------------------------- */

/* Those of others, and what is no manifest, say nothing about this origin. */
static bool
of_origin(struct proof *p, struct nrs_str note)
{
	struct nrs_note n;

	return nrs_note_parse(&n, note.p, note.len, NULL) == 0 &&
	    nrs_manifest_parse(&p->next, n.text.p, n.text.len, NULL) == 0 &&
	    strcmp(p->next.origin, p->f.origin) == 0;
}

static int
add_given(struct proof *p)
{
	const struct nrs_manifest *m = &p->next;

	for (unsigned int i = 0; i < p->ngiven; i++) {
		if (p->given[i].number == m->number &&
		    !nrs_hash_eq(&p->given[i].hash, &m->hash))
			return nrs_fail(p->d, NRS_EFORK, ORIGIN_OFF,
			    "two different manifests %llu of %.100s were given",
			    (unsigned long long)m->number, m->origin);
	}
	p->given[p->ngiven].number = m->number;
	p->given[p->ngiven++].hash = m->hash;
	return 0;
}

static int
check_origin(struct proof *p, const struct nrs_str *v, unsigned int n)
{
	struct nrs_detail sub = { 0 };
	int err = 0, open = NRS_EUNKNOWN;

	p->given = calloc(n + 1u, sizeof(*p->given));
	if (p->given == NULL)
		return fail(p, NRS_ENOMEM, p->base, "", NULL);
	for (unsigned int i = 0; err == 0 && i < n; i++) {
		if (!of_origin(p, v[i]))
			continue;
		err = add_given(p);
		if (err == 0 && p->next.number == 0 && open != 0)
			open = nrs_manifest_open(
			    &p->first, v[i].p, v[i].len, NULL, p->verify, &sub);
	}
	if (err != 0)
		return err;
	if (open != 0)
		return nrs_fail(p->d, open, ORIGIN_OFF, "manifest 0 of %.80s: %s",
		    p->f.origin, sub.text[0] != '\0' ? sub.text : "none was given");
	p->ret->manifest = p->first.hash;
	return 0;
}

/* --- manifests and checkpoint --------------------------------------------------- */

static int
check_given(struct proof *p, const void *where)
{
	for (unsigned int i = 0; i < p->ngiven; i++) {
		if (p->given[i].number == p->next.number &&
		    !nrs_hash_eq(&p->given[i].hash, &p->next.hash))
			return fail(p, NRS_EFORK, where,
			    "a manifest differs from the one given of the same number",
			    NULL);
	}
	return 0;
}

/* The chain; and of it, who may sign the record and who the checkpoint. */
static int
check_manifests(struct proof *p)
{
	const struct nrs_proof_manifest *m;
	struct nrs_proof_result *ret = p->ret;
	struct nrs_detail sub = { 0 };
	uint64_t last = 0;
	int err;

	p->prev = p->feed = p->log = p->first;
	for (unsigned int i = 0; i < p->f.nmanifests; i++) {
		m = &p->f.manifests[i];
		err = nrs_manifest_open(
		    &p->next, m->note.p, m->note.len, &p->prev, p->verify, &sub);
		if (err != 0)
			return fail(p, err, m->note.p, "a later manifest", &sub);
		if (m->index <= last || m->index >= ret->checkpoint.size)
			return fail(p, NRS_EORDER, m->note.p - 12,
			    "index of a later manifest", NULL);
		err = check_given(p, m->note.p);
		if (err != 0)
			return err;
		if (m->index < p->f.text.index)
			p->feed = p->next;
		if (m->index + 1 < ret->checkpoint.size)
			p->log = p->next;
		last = m->index;
		p->prev = p->next;
	}
	ret->feed = p->feed.feed;
	ret->feed_manifest = p->feed.number;
	ret->log = p->log.log;
	ret->log_manifest = p->log.number;
	ret->last_manifest = p->prev.number;
	for (unsigned int i = 0; i < p->ngiven; i++)
		ret->newer = ret->newer || p->given[i].number > p->prev.number;
	return 0;
}

/* Its size decides which keys count, so its text is read first; it is believed once signed. */
static int
read_checkpoint(struct proof *p)
{
	struct nrs_str c = p->f.text.checkpoint;
	struct nrs_detail sub = { 0 };
	struct nrs_note n;
	int err;

	err = nrs_note_parse(&n, c.p, c.len, &sub);
	if (err == 0)
		err = nrs_checkpoint_parse(&p->ret->checkpoint, n.text.p, n.text.len, &sub);
	if (err == 0 && n.nsigs != 1)
		err = nrs_fail(&sub, NRS_ESYNTAX, 0, "more than one signature line");
	if (err == 0 && strcmp(p->ret->checkpoint.origin, p->f.origin) != 0)
		err = nrs_fail(&sub, NRS_EORIGIN, 0, "of another origin");
	return err != 0 ? fail(p, err, c.p, "checkpoint", &sub) : 0;
}

static int
check_checkpoint(struct proof *p)
{
	struct nrs_str c = p->f.text.checkpoint;
	struct nrs_detail sub = { 0 };
	struct nrs_checkpoint cp;
	int err;

	err =
	    nrs_checkpoint_open(&cp, c.p, c.len, p->f.origin, &p->log.log, p->verify, &sub);
	return err != 0 ? fail(p, err, c.p, "checkpoint", &sub) : 0;
}

/* --- inclusion -------------------------------------------------------------------- */

static int
check_leaf(struct proof *p, uint64_t index, const struct nrs_hash *leaf,
    const struct nrs_proof *path)
{
	const struct nrs_checkpoint *cp = &p->ret->checkpoint;

	return nrs_inclusion_verify(p->dg, index, cp->size, leaf, path, &cp->root);
}

static int
check_inclusion(struct proof *p)
{
	const struct nrs_proof_manifest *m;
	struct nrs_proof path;
	struct nrs_hash c, leaf;
	int err;

	err = nrs_record_commit(p->dg, p->f.header, p->f.sigs.p, p->f.sigs.len, &c);
	if (err == 0)
		err = nrs_leaf_sealed(p->dg, &c, &p->ret->leaf);
	if (err == 0)
		err = check_leaf(p, p->ret->index, &p->ret->leaf, &p->f.text.path);
	if (err != 0)
		return fail(p, err, p->f.raw_text.p,
		    "the record is not in the tree of the checkpoint", NULL);
	for (unsigned int i = 0; i < p->f.nmanifests; i++) {
		m = &p->f.manifests[i];
		path.n = (unsigned int)(m->path.len / NRS_HASH_LEN);
		memcpy(path.h, m->path.p, m->path.len);
		err = nrs_leaf_control(p->dg, m->note.p, m->note.len, &leaf);
		if (err == 0)
			err = check_leaf(p, m->index, &leaf, &path);
		if (err != 0)
			return fail(p, err, m->note.p,
			    "a later manifest is not in the tree of the checkpoint", NULL);
	}
	return 0;
}

/* --- the record --------------------------------------------------------------------- */

static int
check_signatures(struct proof *p)
{
	struct nrs_detail sub = { 0 };
	struct nrs_sigs sigs;
	struct nrs_hash id;
	int err;

	err = nrs_origin_id(p->f.origin, strlen(p->f.origin), &id);
	if (err == 0 && !nrs_hash_eq(&id, &p->ret->header.origin))
		err = NRS_EORIGIN;
	if (err != 0)
		return fail(p, err, p->f.header + 104, "header", NULL);
	err = nrs_sigs_decode(&sigs, p->f.sigs.p, p->f.sigs.len, &sub);
	if (err != 0)
		return fail(p, err, p->f.sigs.p + sub.off, "signature block", &sub);
	err = nrs_sigs_verify(&sigs, p->f.header, &p->feed.feed, p->verify);
	return err != 0 ? fail(p, err, p->f.sigs.p, "signature of the feed key", NULL) : 0;
}

static int
check_payload(struct proof *p)
{
	struct nrs_hash commit;
	int err;

	err =
	    nrs_payload_commit(p->dg, p->f.salt, p->f.payload.p, p->f.payload.len, &commit);
	if (err == 0 && !nrs_hash_eq(&commit, &p->ret->header.payload_commit))
		err = NRS_ECOMMIT;
	return err != 0 ? fail(p, err, p->f.salt, "salt and payload", NULL) : 0;
}

static int
check_content(struct proof *p)
{
	struct nrs_detail sub = { 0 };
	uint64_t off = (uint64_t)(p->f.payload.p - p->base);
	int err;

	p->ret->interpreted = p->ret->header.kind == NRS_KIND_BUNDLE;
	if (!p->ret->interpreted)
		return 0;
	err = nrs_bundle_scan(
	    p->f.payload.p, p->f.payload.len, &p->ret->bundle, NULL, NULL, &sub);
	if (err == 0)
		return 0;
	sub.off += off;
	if (p->d != NULL && p->d->code == 0)
		*p->d = sub;
	return err;
}

static int
check_marking(struct proof *p)
{
	const struct nrs_proof_result *r = p->ret;

	if (r->interpreted && r->bundle.tlp_max != NRS_TLP_UNMARKED &&
	    r->bundle.tlp_max > r->header.tlp)
		return fail(p, NRS_EMARKING, p->f.header + 6, "header", NULL);
	return 0;
}

static int
run_checks(struct proof *p, const struct nrs_str *v, unsigned int n)
{
	static int (*const steps[])(struct proof *) = {
		[NRS_PROOF_MANIFESTS] = check_manifests,
		[NRS_PROOF_CHECKPOINT] = check_checkpoint,
		[NRS_PROOF_INCLUSION] = check_inclusion,
		[NRS_PROOF_SIGNATURES] = check_signatures,
		[NRS_PROOF_PAYLOAD] = check_payload,
		[NRS_PROOF_CONTENT] = check_content,
		[NRS_PROOF_MARKING] = check_marking,
	};
	struct nrs_proof_result *ret = p->ret;
	int err;

	ret->check = NRS_PROOF_ORIGIN;
	err = check_origin(p, v, n);
	if (err == 0) {
		ret->check = NRS_PROOF_CHECKPOINT;
		err = read_checkpoint(p);
	}
	for (int s = NRS_PROOF_MANIFESTS; err == 0 && s < NRS_PROOF__CHECKS; s++) {
		ret->check = (enum nrs_proof_check)s;
		err = steps[s](p);
	}
	if (err == 0)
		ret->check = NRS_PROOF__CHECKS;
	return err;
}

int
nrs_proof_file_verify(struct nrs_proof_result *ret, const uint8_t *buf, size_t len,
    const struct nrs_str *manifests, unsigned int nmanifests, nrs_verify_fn verify,
    struct nrs_detail *d)
{
	struct proof *p = calloc(1, sizeof(*p));
	int err = NRS_ENOMEM;

	memset(ret, 0, sizeof(*ret));
	if (p == NULL || (p->dg = nrs_digest_new()) == NULL) {
		(void)nrs_fail(d, err, 0, "out of memory");
		goto out;
	}
	p->base = buf;
	p->ret = ret;
	p->verify = verify;
	p->d = d;
	err = nrs_proof_file_parse(&p->f, buf, len, d);
	if (err == 0)
		err = nrs_header_decode(&ret->header, p->f.header, NRS_HEADER_LEN, d);
	if (err != 0)
		goto out;
	memcpy(ret->origin, p->f.origin, sizeof(ret->origin));
	ret->index = p->f.text.index;
	ret->payload = p->f.payload;
	err = run_checks(p, manifests, nmanifests);
out:
	if (p != NULL) {
		nrs_proof_file_fini(&p->f);
		nrs_digest_free(p->dg);
		free(p->given);
	}
	free(p);
	return err;
}
