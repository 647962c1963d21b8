/*
 * An origin that exists only here: its keys, its manifest, records signed in
 * advance and the log they stand in.  What peer.c sends of it is encoded
 * beforehand, so that a measurement of a receiver is not one of the sender.
 */
#ifndef BENCH_MAKER_H
#define BENCH_MAKER_H

#include <noroshi/limits.h>
#include <noroshi/types.h>

#include "base/buf.h"
#include "crypto/key.h"
#include "tools/noroshi-bench/bench.h"

struct maker;

/* Keys are made from seed; port: the address in the manifest. */
int maker_new(
    const char *origin, uint64_t seed, int port, struct maker **ret) NRS_MUST_CHECK;
void maker_free(struct maker *m); /* accepts NULL */

/* The invite file: manifest 0, a view. */
struct nrs_str maker_invite(const struct maker *m);
/* As people read it over the phone. */
void maker_fingerprint(const struct maker *m, char out[25]);

/* For whom all records are: a community, and its epoch with this origin in it. */
void maker_audience(struct maker *m, const struct nrs_hash *id, uint32_t epoch);
/* Signs the next record, TLP:GREEN, of this bundle. */
int maker_record(struct maker *m, const void *payload, size_t len,
    const uint8_t uuid[NRS_UUID_LEN]) NRS_MUST_CHECK;
/* The checkpoint, and the frames of the leaves.  No record comes after it. */
int maker_finish(struct maker *m) NRS_MUST_CHECK;

/* --- for peer.c ---------------------------------------------------------- */

/* Whole frames, one after the other; stream numbers are still to be written into them. */
struct maker_frames {
	uint8_t *p;
	size_t len;
	size_t *at; /* where each begins; at[n] is len */
	size_t n;
};

const char *maker_origin(const struct maker *m);
const struct nrs_hash *maker_id(const struct maker *m);
const struct nrs_hash *maker_audience_id(const struct maker *m);
const struct nrs_hash *maker_manifest_hash(const struct maker *m);
struct nrs_seckey *maker_tls_key(const struct maker *m);
uint64_t maker_count(const struct maker *m); /* records */
uint64_t maker_size(const struct maker *m);  /* entries of the log */
uint64_t maker_raw(const struct maker *m);   /* bytes of all payloads */
struct maker_frames *maker_leaves(struct maker *m);
struct maker_frames *maker_records(struct maker *m);

#endif
