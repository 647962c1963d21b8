/*
 * The line form that manifests, membership statements and direct audiences
 * share (docs/FORMAT.md, sections 6 to 8): fixed keywords in a fixed order, one
 * space between words, each line ended by LF.  Private to this folder.
 *
 * The reader is sticky: after the first failure it returns empty values and
 * moves nothing, so a parser reads like the format document.
 */
#ifndef RECORD_LINE_H
#define RECORD_LINE_H

#include <noroshi/err.h>
#include <noroshi/limits.h>
#include <noroshi/types.h>

struct nrs_line {
	const uint8_t *p;
	const uint8_t *end;
	unsigned int no; /* of the line read last; the first is 1 */
	int err;
	struct nrs_detail *d;
};

/* Longer than max: NRS_ELIMIT. d (may be NULL) gets line numbers. */
void nrs_line_init(
    struct nrs_line *l, const uint8_t *text, size_t len, size_t max, struct nrs_detail *d);
/* Records the first failure, at a line. */
void nrs_line_fail(struct nrs_line *l, unsigned int no, int code, const char *why);
/* The first line, which says what the text is. Else NRS_EMAGIC. */
void nrs_line_magic(struct nrs_line *l, const char *magic);
/* The next line must be "key value": the value, not empty. */
struct nrs_str nrs_line_get(struct nrs_line *l, const char *key);
/* How many of the next lines begin with "key "; counts no further than max + 1. */
unsigned int nrs_line_count(const struct nrs_line *l, const char *key, unsigned int max);
/* Nothing may follow. Returns the sticky error. */
int nrs_line_end(struct nrs_line *l) NRS_MUST_CHECK;

/* Values of the line read last; on failure they fail the reader. */
void nrs_line_origin(struct nrs_line *l, struct nrs_str v, char dst[NRS_ORIGIN_MAX + 1]);
void nrs_line_b64(struct nrs_line *l, struct nrs_str v, uint8_t dst[32]);
uint64_t nrs_line_u64(struct nrs_line *l, struct nrs_str v, uint64_t max);
/* "-" exactly when there is none; zeros then. */
void nrs_line_previous(
    struct nrs_line *l, struct nrs_str v, bool none, struct nrs_hash *ret);
/* "yes" or "no" */
bool nrs_line_bool(struct nrs_line *l, struct nrs_str v);
/* Splits "word rest" at the first space. */
struct nrs_str nrs_line_word(struct nrs_line *l, struct nrs_str *v);
bool nrs_str_is(struct nrs_str v, const char *s);

struct nrs_buf;
/* "key BASE64 LF" of 32 bytes. */
void nrs_line_put_b64(struct nrs_buf *b, const char *key, const uint8_t v[32]);
void nrs_line_put_previous(struct nrs_buf *b, bool none, const struct nrs_hash *h);

#endif
