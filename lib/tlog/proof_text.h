/*
 * An inclusion proof with its checkpoint, as text: C2SP tlog-proof@v1 in the one
 * form that docs/FORMAT.md, section 10, allows (no "extra" line).
 */
#ifndef TLOG_PROOF_TEXT_H
#define TLOG_PROOF_TEXT_H

#include <noroshi/err.h>
#include <noroshi/types.h>

#include "base/buf.h"
#include "tlog/tree.h"

struct nrs_proof_text {
	uint64_t index;
	struct nrs_proof path;
	struct nrs_str checkpoint; /* a note; what it says is not looked at here */
};

/* first line, index, path, empty line: the most there can be */
#define NRS_PROOF_TEXT_HEAD_MAX (23 + 27 + NRS_PROOF_MAX * 45 + 1)

void nrs_proof_text_format(struct nrs_buf *b, const struct nrs_proof_text *t);
/* Views into text. off in d is a byte of it. */
int nrs_proof_text_parse(struct nrs_proof_text *ret, const uint8_t *text, size_t len,
    struct nrs_detail *d) NRS_MUST_CHECK;

#endif
