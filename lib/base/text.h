/*
 * Text forms of bytes and numbers: hex, base64, base32, UTF-8, times, host
 * names, and the escaping of text for people.  Decoders are strict: one text
 * for one value, nothing skipped.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <noroshi/err.h>
#include <noroshi/types.h>

#define NRS_B64_LEN(n) (((n) + 2) / 3 * 4) /* without the NUL */
#define NRS_TIME_LEN   24		   /* 2026-11-22T14:41:00.000Z */

/* Lower-case hex and a NUL: dst has 2 * len + 1 bytes. */
void nrs_hex_format(char *dst, const uint8_t *p, size_t len);
/* Exactly 2 * len digits. NRS_ESYNTAX otherwise. */
int nrs_hex_parse(const char *s, size_t slen, uint8_t *dst, size_t len) NRS_MUST_CHECK;

/* RFC 4648 section 4 with padding, and a NUL: dst has NRS_B64_LEN(len) + 1 bytes. */
void nrs_b64_format(char *dst, const uint8_t *p, size_t len);
/* Strict: padding required, unused bits zero, nothing else. max = room at dst. */
int nrs_b64_parse(
    const char *s, size_t slen, uint8_t *dst, size_t max, size_t *ret_len) NRS_MUST_CHECK;

/* First 100 bits of the hash as "ABCD-EFGH-IJKL-MNOP-QRST" (RFC 4648 base32): 25 bytes with NUL. */
void nrs_fingerprint_format(char dst[25], const struct nrs_hash *h);
/* As people type it: any case, with or without separators; 20 letters. Writes the canonical form. */
int nrs_fingerprint_parse(const char *s, char dst[25]) NRS_MUST_CHECK;

/* RFC 4122 text and a NUL: 37 bytes. */
void nrs_uuid_format(char dst[37], const uint8_t uuid[16]);
int nrs_uuid_parse(
    const char *s, size_t len, uint8_t uuid[16]) NRS_MUST_CHECK; /* lower case only */

/* Well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms)? Offset of the first bad byte
 * in *ret_off (may be NULL). */
bool nrs_utf8_ok(const uint8_t *p, size_t len, size_t *ret_off);
/* Decodes one character; returns its length 1..4, or 0 when malformed. */
size_t nrs_utf8_next(const uint8_t *p, size_t len, uint32_t *ret_cp);
/* Columns on a terminal: 0 for combining, 2 for East Asian wide, 1 otherwise. */
int nrs_utf8_width(uint32_t cp);
/* Columns of a whole text. */
size_t nrs_text_width(const char *s, size_t len);
/*
 * For terminals and logs: control characters (C0, C1, DEL), bidirectional
 * controls, line separators and malformed bytes become \xNN or \u{NNNN};
 * backslash becomes \\. Appends at most max - 1 bytes and a NUL to dst, whole escapes
 * only; returns the length written.
 */
size_t nrs_text_escape(char *dst, size_t max, const char *s, size_t len);

/* Proleptic Gregorian, UTC. "2026-11-22T14:41:00.123Z" and a NUL: 25 bytes. */
void nrs_time_format(char dst[25], struct nrs_wall t);
/* The same without milliseconds: "2026-11-22T14:41:00Z" and a NUL: 21 bytes. */
void nrs_time_format_s(char dst[21], struct nrs_wall t);
/*
 * RFC 3339 with "T" and "Z" or an offset, 0..9 digits of fraction (beyond
 * milliseconds cut); years 1970..9999; :60 is refused.
 */
int nrs_time_parse(const char *s, size_t len, struct nrs_wall *ret) NRS_MUST_CHECK;
/* Days since 1970-01-01 of a civil date; NRS_ERANGE for dates that do not exist. */
int nrs_date_days(int year, int month, int day, int64_t *ret_days) NRS_MUST_CHECK;

/* A lower-case host name of 1..253 bytes with at least one dot, LDH labels of 1..63. */
bool nrs_origin_ok(const char *s, size_t len);
/* A community, subscriber or peer name: 1..64 of a-z 0-9 - _ . , starts with a letter or digit. */
bool nrs_name_ok(const char *s, size_t len);
/* Decimal without sign or leading zero, up to max. */
int nrs_u64_parse(const char *s, size_t len, uint64_t max, uint64_t *ret) NRS_MUST_CHECK;
/* Edit distance, for suggestions; texts of up to 64 bytes, longer ones give 64. */
unsigned int nrs_text_distance(const char *a, const char *b);

const char *nrs_tlp_name(enum nrs_tlp t); /* "CLEAR" ... "AMBER+STRICT" "RED" */
/* With or without "TLP:", any case; "WHITE" is CLEAR. */
int nrs_tlp_parse(const char *s, size_t len, enum nrs_tlp *ret) NRS_MUST_CHECK;
const char *nrs_kind_name(uint8_t kind);     /* "bundle" ...; "unknown" */
const char *nrs_action_name(uint8_t action); /* "add" "update" "remove" "state" */

#endif
