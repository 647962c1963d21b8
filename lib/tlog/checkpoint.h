/* Checkpoints (C2SP tlog-checkpoint) and their cosignatures (docs/FORMAT.md, section 5). */
#ifndef TLOG_CHECKPOINT_H
#define TLOG_CHECKPOINT_H

#include <noroshi/err.h>
#include <noroshi/limits.h>
#include <noroshi/types.h>

#include "crypto/key.h"
#include "crypto/note.h"

#define NRS_CHECKPOINT_TEXT_MAX (NRS_ORIGIN_MAX + 1 + 21 + 45 + 1)

struct nrs_checkpoint {
	char origin[NRS_ORIGIN_MAX + 1];
	uint64_t size;
	struct nrs_hash root;
};

/* The three lines. Parse is strict: these three lines and nothing else. */
int nrs_checkpoint_format(struct nrs_buf *b, const struct nrs_checkpoint *c) NRS_MUST_CHECK;
int nrs_checkpoint_parse(struct nrs_checkpoint *ret, const uint8_t *text, size_t len,
    struct nrs_detail *d) NRS_MUST_CHECK;

/* Appends the whole note: text, empty line, signature by "<origin>/log". */
int nrs_checkpoint_note(struct nrs_buf *b, const struct nrs_checkpoint *c,
    const struct nrs_pubkey *log, const uint8_t sig[NRS_ED25519_SIG]) NRS_MUST_CHECK;
/* Parses the note and verifies the log key's signature. NRS_EORIGIN if expect (may be NULL)
 * names another origin. */
int nrs_checkpoint_open(struct nrs_checkpoint *ret, const uint8_t *note, size_t len,
    const char *expect, const struct nrs_pubkey *log, nrs_verify_fn verify,
    struct nrs_detail *d) NRS_MUST_CHECK;

#endif
