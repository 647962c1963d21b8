/*
 * What is checked of one record apart from all others: its signatures under the
 * key in force, its sealed body, its commitment, and what is in it.  Runs in
 * threads; values never leave it.
 */
#include <stdlib.h>
#include <string.h>

#include "policy/clearance.h"
#include "stix/scan.h"
#include "tools/noroshi-fsck/fsck.h"

static void
check_signature(struct fsck *f, struct job *j)
{
	struct nrs_detail d = { 0 };
	struct nrs_sigs sigs;
	int rc;

	rc = nrs_sigs_decode(&sigs, j->sigs.p, j->sigs.len, &d);
	if (rc == 0)
		rc = nrs_sigs_verify(&sigs, j->header, &j->key, nrs_verify);
	if (rc == NRS_EKEY && j->doubt)
		report_excuse(&f->rep); /* the manifest may be what was lost */
	else if (rc != 0)
		report_fault(&f->rep, F_SIGNATURE, &j->at, NULL,
		    "signature of the record%s: %s",
		    (j->v.flags & NRS_JRECORD_CHECKPOINT) != 0
			? ", which was accepted on its checkpoint without it"
			: "",
		    nrs_strerror(rc));
}

static void
check_list(
    struct fsck *f, const struct job *j, const struct nrs_header *h, const uint8_t *payload)
{
	struct nrs_direct list;
	int rc;

	rc = nrs_direct_parse(&list, payload, (size_t)h->payload_len, NULL);
	if (rc == 0 && !nrs_hash_eq(&list.id, &h->audience)) {
		nrs_direct_fini(&list);
		rc = NRS_EMEMBER;
	} else if (rc == 0)
		nrs_direct_fini(&list);
	if (rc != 0)
		report_fault(&f->rep, F_BUNDLE, &j->at, NULL,
		    "it is not the list of its direct audience: %s", nrs_strerror(rc));
}

static void
check_bundle(
    struct fsck *f, struct job *j, const struct nrs_header *h, const uint8_t *payload)
{
	struct nrs_bundle b;
	int rc;

	rc = nrs_bundle_scan(payload, (size_t)h->payload_len, &b, NULL, NULL, NULL);
	if (rc != 0) {
		report_fault(
		    &f->rep, F_BUNDLE, &j->at, NULL, "payload: %s", nrs_strerror(rc));
		return;
	}
	j->scanned = true;
	j->objects = b.n;
	if (!nrs_tlp_covers(h->tlp, b.tlp_max))
		report_fault(&f->rep, F_BUNDLE, &j->at, NULL,
		    "header marking is weaker than the payload's");
}

/* Opens the body as far as it can be; *ret is malloc'd. */
static int
open_body(struct fsck *f, struct job *j, const struct nrs_header *h, struct nrs_digest *dg,
    struct nrs_buf *buf, uint8_t **ret)
{
	uint8_t salt[NRS_SALT_LEN];
	struct nrs_hash commit;
	struct nrs_str data;
	int rc;

	rc = nrs_jrecord_unseal(dg, j->seed, &j->v, buf, salt, &data);
	if (rc != 0) {
		report_fault(&f->rep, F_SEALED, &j->at, NULL,
		    "sealed body does not open: %s", nrs_strerror(rc));
		return rc;
	}
	rc = nrs_payload_expand(data.p, data.len, (j->v.flags & NRS_JRECORD_RAW) != 0,
	    (size_t)h->payload_len, ret);
	if (rc == 0)
		rc = nrs_payload_commit(dg, salt, *ret, (size_t)h->payload_len, &commit);
	if (rc == 0 && !nrs_hash_eq(&commit, &h->payload_commit))
		rc = NRS_ECOMMIT;
	if (rc != 0)
		report_fault(
		    &f->rep, F_COMMITMENT, &j->at, NULL, "payload: %s", nrs_strerror(rc));
	return rc;
}

static void
check_body(struct fsck *f, struct job *j, struct nrs_digest *dg, struct nrs_buf *buf)
{
	uint8_t *payload = NULL;
	struct nrs_header h;

	if (nrs_header_decode(&h, j->header, NRS_HEADER_LEN, NULL) != 0)
		return; /* told when it was read */
	if (open_body(f, j, &h, dg, buf, &payload) == 0) {
		j->opened = true;
		if (h.kind == NRS_KIND_BUNDLE)
			check_bundle(f, j, &h, payload);
		else if (j->list)
			check_list(f, j, &h, payload);
	}
	if (payload != NULL)
		explicit_bzero(payload, (size_t)h.payload_len);
	free(payload);
}

void
job_run(struct fsck *f, struct job *j, struct nrs_digest *dg, struct nrs_buf *buf)
{
	struct nrs_checkpoint cp;
	int rc;

	if (j->what == JOB_CHECKPOINT) {
		rc = nrs_checkpoint_open(&cp, j->note.p, j->note.len, j->origin->name,
		    &j->key, nrs_verify, NULL);
		if (rc == NRS_ENOTFOUND && j->doubt)
			report_excuse(&f->rep);
		else if (rc != 0)
			report_fault(&f->rep, F_SIGNATURE, &j->at, NULL,
			    "checkpoint of %llu: %s", (unsigned long long)j->index,
			    rc == NRS_ENOTFOUND ? "not signed by the log key in force"
						: nrs_strerror(rc));
		return;
	}
	check_signature(f, j);
	if (j->what == JOB_RECORD && j->seed != NULL)
		check_body(f, j, dg, buf);
}
