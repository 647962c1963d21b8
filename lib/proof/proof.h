/*
 * Proof files: one record with all that shows a stranger who signed it and that
 * it stands in the log (docs/FORMAT.md, section 10).  Needs no node, no store
 * and no network; the daemon writes them, the command line checks them.
 */
#ifndef PROOF_PROOF_H
#define PROOF_PROOF_H

#include <noroshi/err.h>
#include <noroshi/limits.h>
#include <noroshi/types.h>

#include "base/buf.h"
#include "record/manifest.h"
#include "record/record.h"
#include "stix/scan.h"
#include "tlog/checkpoint.h"
#include "tlog/proof_text.h"

#define NRS_PROOF_FILE_MAX	(17u << 20) /* a payload and all that goes with it */
#define NRS_PROOF_MANIFESTS_MAX 255	    /* after manifest 0 */
#define NRS_PROOF_TEXT_MAX	8192

/* A manifest after number 0; views into the file. */
struct nrs_proof_manifest {
	uint64_t index;
	struct nrs_str note;
	struct nrs_str path; /* hashes, one after the other */
};

/* What stands in a file; views into it. */
struct nrs_proof_file {
	char origin[NRS_ORIGIN_MAX + 1];
	unsigned int nmanifests;
	struct nrs_proof_manifest *manifests; /* owned by whoever filled the struct */
	struct nrs_proof_text text;
	struct nrs_str raw_text; /* parse only: as it stands in the file */
	const uint8_t *header;	 /* NRS_HEADER_LEN */
	struct nrs_str sigs;
	const uint8_t *salt; /* NRS_SALT_LEN */
	struct nrs_str payload;
};

/*
 * The note with its text and one signature line only: that by this key, as
 * <origin>/log.  NRS_ENOTFOUND when it has none.
 */
int nrs_proof_strip(struct nrs_buf *b, const uint8_t *note, size_t len, const char *origin,
    const struct nrs_pubkey *log) NRS_MUST_CHECK;
void nrs_proof_file_encode(struct nrs_buf *b, const struct nrs_proof_file *f);
/* Form only. off in d is a byte of the file. On failure nothing is owned. */
int nrs_proof_file_parse(struct nrs_proof_file *ret, const uint8_t *p, size_t len,
    struct nrs_detail *d) NRS_MUST_CHECK;
void nrs_proof_file_fini(struct nrs_proof_file *f); /* what parse allocated */

/* The checks, in their order. */
enum nrs_proof_check {
	NRS_PROOF_FORM,
	NRS_PROOF_ORIGIN,
	NRS_PROOF_MANIFESTS,
	NRS_PROOF_CHECKPOINT,
	NRS_PROOF_INCLUSION,
	NRS_PROOF_SIGNATURES,
	NRS_PROOF_PAYLOAD,
	NRS_PROOF_CONTENT,
	NRS_PROOF_MARKING,
	NRS_PROOF__CHECKS
};
const char *nrs_proof_check_name(enum nrs_proof_check c);

struct nrs_proof_result {
	enum nrs_proof_check check; /* that failed; NRS_PROOF__CHECKS when none did */
	char origin[NRS_ORIGIN_MAX + 1];
	struct nrs_hash manifest; /* hash of manifest 0: its fingerprint */
	uint64_t index;
	struct nrs_hash leaf;
	struct nrs_header header;
	struct nrs_checkpoint checkpoint;
	struct nrs_pubkey feed, log;	      /* the keys that counted */
	uint64_t feed_manifest, log_manifest; /* the numbers of their manifests */
	uint64_t last_manifest;		      /* the newest in the file */
	bool newer;			      /* the verifier was given a newer one */
	bool interpreted;		      /* a bundle, and scanned */
	struct nrs_bundle bundle;
	struct nrs_str payload; /* view into the file */
};

/*
 * All of section 10.  manifests: the notes that the verifier trusts, of any
 * origin and in any order; of the file's origin there must be number 0.  0 only
 * when every check holds; else ret->check tells which one did not, nothing else
 * in *ret counts, and off in d is a byte of the file.
 */
int nrs_proof_file_verify(struct nrs_proof_result *ret, const uint8_t *p, size_t len,
    const struct nrs_str *manifests, unsigned int nmanifests, nrs_verify_fn verify,
    struct nrs_detail *d) NRS_MUST_CHECK;

#endif
