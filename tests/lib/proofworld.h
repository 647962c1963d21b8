/*
 * The log of a small origin that changed its keys twice, made from fixed seeds,
 * and the proof files of its records: the same bytes in every run.
 */
#ifndef TESTS_PROOFWORLD_H
#define TESTS_PROOFWORLD_H

#include "crypto/key.h"
#include "proof/proof.h"

#define PW_ORIGIN    "jp.cert.example"
#define PW_SIZE	     8 /* entries: manifests at 0, 2 and 4, records elsewhere */
#define PW_MANIFESTS 3

struct proofworld_keys {
	struct nrs_seckey *root, *feed, *log, *witness, *tls;
};

struct proofworld {
	struct proofworld_keys k[PW_MANIFESTS + 1]; /* of the last, the root only */
	struct nrs_manifest m[PW_MANIFESTS];
	struct nrs_buf note[PW_MANIFESTS];
	struct nrs_hash leaf[PW_SIZE];
	struct {
		uint8_t header[NRS_HEADER_LEN];
		struct nrs_buf sigs;
		uint8_t salt[NRS_SALT_LEN];
		struct nrs_buf payload;
	} r[PW_SIZE];
	struct nrs_digest *dg;
	/* what the file filled last refers to */
	struct nrs_buf checkpoint;
	struct nrs_proof_manifest manifests[PW_MANIFESTS];
	struct nrs_proof paths[PW_MANIFESTS];
};

static const unsigned int proofworld_manifest_at[PW_MANIFESTS] = { 0, 2, 4 };

void proofworld_init(struct proofworld *w);
void proofworld_fini(struct proofworld *w);
/* Record 5 has this marking in its header and this payload, of this kind; sealed again. */
void proofworld_record(struct proofworld *w, unsigned int index, uint8_t kind, uint8_t tlp,
    const char *payload, unsigned int key);
/* A checkpoint of size, signed by the log key of manifest key. */
void proofworld_checkpoint(struct proofworld *w, uint64_t size, unsigned int key);
/* Everything for the record at index in the tree of size; not to be given to _fini. */
void proofworld_fill(
    struct proofworld *w, uint64_t index, uint64_t size, struct nrs_proof_file *f);
/* The whole file; b is initialised here. */
void proofworld_file(
    struct proofworld *w, uint64_t index, uint64_t size, struct nrs_buf *b);

#endif
