/*
 * Signed notes (C2SP signed-note): UTF-8 text ending in a newline, an empty
 * line, and one or more signature lines "U+2014 SP name SP base64(id || sig)".
 * Checkpoints, cosignatures, manifests and membership statements are notes.
 */
#ifndef CRYPTO_NOTE_H
#define CRYPTO_NOTE_H

#include <noroshi/err.h>
#include <noroshi/types.h>

#include "base/buf.h"

#define NRS_NOTE_ED25519  0x01 /* signature type byte: plain note */
#define NRS_NOTE_COSIGN	  0x04 /* cosignature/v1 */
#define NRS_NOTE_SIGS_MAX 64

/* One signature line of a parsed note; views into the note's bytes. */
struct nrs_note_sig {
	struct nrs_str name;
	uint8_t id[4];
	uint8_t sig[136]; /* after the id */
	size_t sig_len;
};

struct nrs_note {
	struct nrs_str text; /* with its final newline */
	unsigned int nsigs;
	struct nrs_note_sig sigs[NRS_NOTE_SIGS_MAX];
};

/*
 * Splits and checks the form: valid UTF-8, no control characters but newline,
 * at most NRS_NOTE_MAX bytes, at least one signature line, nothing after them.
 * Views into buf.
 */
int nrs_note_parse(struct nrs_note *ret, const uint8_t *buf, size_t len,
    struct nrs_detail *d) NRS_MUST_CHECK;

/* id = first 4 bytes of SHA-256(name || 0x0A || type || public key). */
int nrs_note_keyid(
    const char *name, uint8_t type, const uint8_t pub[32], uint8_t id[4]) NRS_MUST_CHECK;

/* Appends the signature line for a raw signature (64 bytes, or 8 + 64 for cosignatures). */
void nrs_note_add_sig(struct nrs_buf *b, const char *name, const uint8_t id[4],
    const uint8_t *sig, size_t len);

/*
 * Verifies the line of this name and key: 0, NRS_ENOTFOUND when the note has
 * no such line, NRS_ESIG.  For NRS_NOTE_COSIGN, *ret_time (may be NULL) is the
 * time in the signature, in seconds.
 */
typedef int (*nrs_verify_fn)(uint8_t alg, const uint8_t *pub, size_t pub_len,
    const uint8_t *msg, size_t msg_len, const uint8_t *sig, size_t sig_len);
int nrs_note_verify(const struct nrs_note *n, const char *name, uint8_t type,
    const uint8_t pub[32], nrs_verify_fn verify, uint64_t *ret_time) NRS_MUST_CHECK;

/* What a cosignature signs: "cosignature/v1" LF "time " T LF text. */
void nrs_note_cosign_msg(
    struct nrs_buf *b, uint64_t time_s, const uint8_t *text, size_t len);

/* "name+hexid+base64(type || pub)", as verifier keys are written. Appends to b. */
int nrs_note_vkey(struct nrs_buf *b, const char *name, uint8_t type,
    const uint8_t pub[32]) NRS_MUST_CHECK;

#endif
