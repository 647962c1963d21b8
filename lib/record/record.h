/*
 * The record: header, signature block, commitments, log entries
 * (docs/FORMAT.md, sections 3 and 4).  Pure encoding and checking.
 */
#ifndef RECORD_RECORD_H
#define RECORD_RECORD_H

#include <noroshi/err.h>
#include <noroshi/limits.h>
#include <noroshi/types.h>

#include "base/buf.h"
#include "crypto/digest.h"
#include "crypto/key.h"

#define NRS_HEADER_LEN	  232
#define NRS_HEADER_ORIGIN 104 /* where the origin id stands in it */
#define NRS_SALT_LEN	  32
#define NRS_SEALED_LEN	  40 /* a sealed log entry */

#define NRS_FLAG_URGENT	      0x01
#define NRS_FLAG_EXERCISE     0x02
#define NRS_FLAG_ONWARD_SHIFT 2
#define NRS_FLAG_ONWARD_MASK  0x0c

#define NRS_HEADER_VERSION 1

struct nrs_header {
	uint8_t version; /* decoded; what is encoded is always of this version */
	uint8_t kind;	 /* NRS_KIND_NONE: of a later version, whatever it is there */
	uint8_t tlp;
	uint8_t flags;
	struct nrs_wall created;
	struct nrs_wall expires; /* ms 0: none */
	uint64_t seq;
	uint32_t epoch;
	struct nrs_hash audience;
	struct nrs_hash prev;
	struct nrs_hash origin;
	uint64_t payload_len;
	struct nrs_hash payload_commit;
	uint64_t ref_index; /* NRS_NONE: refers to nothing */
	struct nrs_hash ref_leaf;
	uint8_t uuid[NRS_UUID_LEN];
};

/* One signature; views into the block it was parsed from. */
struct nrs_sig {
	uint8_t alg;
	uint8_t key_id[NRS_KEYID_LEN];
	struct nrs_str sig;
};

struct nrs_sigs {
	unsigned int n;
	struct nrs_sig v[NRS_SIGS_MAX];
};

void nrs_header_encode(const struct nrs_header *h, uint8_t out[NRS_HEADER_LEN]);
/*
 * Strict: magic, version, ranges, zero bytes, ref consistency, uuid version
 * and variant.  A kind unknown here is accepted, and so is a later version, of
 * which only the fields are checked and returned that all versions share.
 */
int nrs_header_decode(struct nrs_header *ret, const uint8_t *p, size_t len,
    struct nrs_detail *d) NRS_MUST_CHECK;

/* The signed bytes (DSSE PAE) of an encoded header; room of NRS_PAE_MAX. */
#define NRS_PAE_MAX 320
size_t nrs_header_pae(const uint8_t header[NRS_HEADER_LEN], uint8_t out[NRS_PAE_MAX]);
/* Link of the audience chain: H(label header, header). */
int nrs_header_link(
    const uint8_t header[NRS_HEADER_LEN], struct nrs_hash *ret) NRS_MUST_CHECK;
/* The same in a context that is kept: for many. */
int nrs_header_link_with(struct nrs_digest *dg, const uint8_t header[NRS_HEADER_LEN],
    struct nrs_hash *ret) NRS_MUST_CHECK;

int nrs_origin_id(const char *origin, size_t len, struct nrs_hash *ret) NRS_MUST_CHECK;

/* Signature block with one Ed25519 signature: appends 1 + 11 + 64 bytes. */
void nrs_sigs_encode1(struct nrs_buf *b, const uint8_t key_id[NRS_KEYID_LEN],
    const uint8_t sig[NRS_ED25519_SIG]);
#define NRS_SIGS1_LEN 76
/* Strict form of section 3; views into p. */
int nrs_sigs_decode(struct nrs_sigs *ret, const uint8_t *p, size_t len,
    struct nrs_detail *d) NRS_MUST_CHECK;
/* Every required algorithm present with this feed key and verified: 0, NRS_EALG,
 * NRS_EKEY (no signature by this key), NRS_ESIG. */
typedef int (*nrs_record_verify_fn)(uint8_t alg, const uint8_t *pub, size_t pub_len,
    const uint8_t *msg, size_t msg_len, const uint8_t *sig, size_t sig_len);
int nrs_sigs_verify(const struct nrs_sigs *s, const uint8_t header[NRS_HEADER_LEN],
    const struct nrs_pubkey *feed, nrs_record_verify_fn verify) NRS_MUST_CHECK;

/* H(label payload, salt, u64 len, payload) */
int nrs_payload_commit(struct nrs_digest *dg, const uint8_t salt[NRS_SALT_LEN],
    const void *payload, size_t len, struct nrs_hash *ret) NRS_MUST_CHECK;
/* C of header and signature block. */
int nrs_record_commit(struct nrs_digest *dg, const uint8_t header[NRS_HEADER_LEN],
    const uint8_t *sigs, size_t sigs_len, struct nrs_hash *ret) NRS_MUST_CHECK;

/* Sealed entry of C, and leaf hashes of either class. */
void nrs_entry_sealed(const struct nrs_hash *c, uint8_t out[NRS_SEALED_LEN]);
int nrs_leaf_sealed(
    struct nrs_digest *dg, const struct nrs_hash *c, struct nrs_hash *ret) NRS_MUST_CHECK;
int nrs_leaf_control(struct nrs_digest *dg, const void *doc, size_t len,
    struct nrs_hash *ret) NRS_MUST_CHECK;

/* "origin/index" or "origin/index~hex8"; *ret_hex8 (9 bytes) is "" without. */
int nrs_record_id_parse(const char *s, char origin[NRS_ORIGIN_MAX + 1], uint64_t *ret_index,
    char ret_hex8[9]) NRS_MUST_CHECK;

/* First 16 bytes of H(label object, audience, TLP, id, modified) (section 9). */
int nrs_object_key(struct nrs_digest *dg, const struct nrs_hash *audience, uint8_t tlp,
    struct nrs_str id, struct nrs_str modified, uint8_t ret[16]) NRS_MUST_CHECK;

#endif
