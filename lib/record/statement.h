/* Communities, membership statements, direct audiences (docs/FORMAT.md, 7 and 8). */
#ifndef RECORD_STATEMENT_H
#define RECORD_STATEMENT_H

#include <noroshi/err.h>
#include <noroshi/limits.h>
#include <noroshi/types.h>

#include "crypto/key.h"
#include "crypto/note.h"

enum nrs_onward {
	NRS_ONWARD_NONE = 0,
	NRS_ONWARD_MEMBERS = 1,
	NRS_ONWARD_CONSTITUENTS = 2
};

struct nrs_member {
	char origin[NRS_ORIGIN_MAX + 1];
	struct nrs_hash origin_id;
	struct nrs_hash root; /* root-key hash of its manifest 0 */
};

struct nrs_statement {
	struct nrs_hash community;
	char name[NRS_NAME_MAX + 1];
	char founder[NRS_ORIGIN_MAX + 1];
	uint8_t nonce[32];
	uint32_t epoch;
	struct nrs_hash previous; /* zeros for epoch 0 */
	uint32_t threshold;
	uint8_t ceiling;
	uint8_t onward;
	bool history;
	bool exercise;
	unsigned int nstewards;
	unsigned int nmembers;
	struct nrs_member *stewards; /* sorted by origin; owned */
	struct nrs_member *members;  /* sorted by origin; owned */
	struct nrs_hash hash;	     /* H(label statement, text); computed by parse */
};

int nrs_community_id(const char *founder, const char *name, const uint8_t nonce[32],
    struct nrs_hash *ret) NRS_MUST_CHECK;

/* Parses the text; off = line number in d. Checks everything that one statement alone allows,
 * the community id included. On failure nothing is owned. */
int nrs_statement_parse(struct nrs_statement *ret, const uint8_t *text, size_t len,
    struct nrs_detail *d) NRS_MUST_CHECK;
void nrs_statement_fini(struct nrs_statement *s); /* accepts a zeroed struct */
/* Writes the text; sorts nothing: the caller keeps the order. */
int nrs_statement_format(struct nrs_buf *b, const struct nrs_statement *s) NRS_MUST_CHECK;

/* Does next follow prev (NULL: next is epoch 0)? NRS_EORDER, NRS_EFORK (same epoch, other
 * hash), NRS_ESYNTAX for changed constants. Signatures are checked by the next function. */
int nrs_statement_follows(const struct nrs_statement *prev,
    const struct nrs_statement *next, struct nrs_detail *d) NRS_MUST_CHECK;
/*
 * At least prev's threshold (next's own for epoch 0; the founder must be among
 * them) of stewards' valid signatures.  key() gives the feed key in force of an
 * origin whose root-key hash is the one in the statement, or NULL.
 */
int nrs_statement_verify(const struct nrs_statement *prev, const struct nrs_statement *next,
    const struct nrs_note *note,
    const struct nrs_pubkey *(*key)(void *arg, const struct nrs_member *m), void *arg,
    nrs_verify_fn verify) NRS_MUST_CHECK;

/* Binary search by origin name; NULL when absent. */
const struct nrs_member *nrs_member_find(
    const struct nrs_member *v, unsigned int n, const char *origin);

/* Direct audience. recipients: sorted names. */
struct nrs_direct {
	char origin[NRS_ORIGIN_MAX + 1];
	uint8_t nonce[32];
	unsigned int n;
	char (*recipients)[NRS_ORIGIN_MAX + 1]; /* owned */
	struct nrs_hash id;			/* computed by parse and by nrs_direct_id */
};

int nrs_direct_id(struct nrs_direct *d) NRS_MUST_CHECK; /* fills d->id */
int nrs_direct_parse(struct nrs_direct *ret, const uint8_t *text, size_t len,
    struct nrs_detail *dt) NRS_MUST_CHECK;
void nrs_direct_fini(struct nrs_direct *d);
int nrs_direct_format(struct nrs_buf *b, const struct nrs_direct *d) NRS_MUST_CHECK;

#endif
