/*
 * The strict scanner: one pass over a STIX 2.1 bundle in place, nothing
 * allocated per value.  RFC 8259 and RFC 7493 (well-formed UTF-8, no unpaired
 * surrogates, no duplicate keys however they are escaped, integers within
 * 2^53 - 1, nothing after the value), and of STIX 2.1 what routing, marking
 * and identity rest on; the complete object model builds on these callbacks.
 */
#ifndef STIX_SCAN_H
#define STIX_SCAN_H

#include <noroshi/err.h>
#include <noroshi/limits.h>
#include <noroshi/types.h>

#include "base/buf.h"

#define NRS_TLP_UNMARKED 0xff

/* One object of the bundle; views into the payload, as written there. */
struct nrs_stix_object {
	unsigned int n;	     /* position in the bundle, from 0 */
	struct nrs_str json; /* the object's bytes, braces included */
	struct nrs_str type;
	struct nrs_str id;
	struct nrs_str created;	 /* empty for objects that have none (SCOs) */
	struct nrs_str modified; /* likewise */
	struct nrs_str pattern;	 /* an indicator's, raw (escaped) form; else empty */
	uint8_t tlp;		 /* strictest TLP marking named, or NRS_TLP_UNMARKED */
	bool revoked;
};

struct nrs_bundle {
	uint8_t uuid[NRS_UUID_LEN]; /* of "bundle--UUID" */
	unsigned int n;		    /* objects */
	uint8_t tlp_max; /* strictest of all, or NRS_TLP_UNMARKED when none is marked */
};

/*
 * Checks the whole bundle and calls each() (may be NULL) for every object, in
 * order, once it is complete; a non-zero return ends the scan and is returned.
 * Checked: "type":"bundle", id "bundle--" UUID, "objects" a non-empty array of
 * objects, no other properties of the wrong kind (x- and extension keys are
 * left alone); every object has type and id of its own type, spec_version
 * "2.1" where the standard requires it, created and modified (RFC 3339, Z)
 * with created <= modified for SDOs and SROs and language content, id unique
 * within the bundle together with modified; indicators have a pattern,
 * pattern_type and valid_from; object_marking_refs are marking-definition ids;
 * TLP 1.0 and 2.0 ids are understood.  Objects that are open at one time have
 * 65,536 keys at most, texts 2 GiB.  What each() saw counts only when the scan
 * returns 0: repeated objects are found at the end.  Errors: NRS_ESTIX, NRS_ESYNTAX,
 * NRS_EUTF8, NRS_EDUPLICATE, NRS_ELIMIT, NRS_ERANGE with byte offset, JSON
 * path, rule and section of the standard in d.
 */
int nrs_bundle_scan(const uint8_t *p, size_t len, struct nrs_bundle *ret,
    int (*each)(void *arg, const struct nrs_stix_object *o), void *arg,
    struct nrs_detail *d) NRS_MUST_CHECK;

/* Is it well-formed strict JSON (any value)? Same errors. */
int nrs_json_check(const uint8_t *p, size_t len, struct nrs_detail *d) NRS_MUST_CHECK;

/* Appends JSON that nrs_bundle_scan accepted, without white space between tokens: one line. */
void nrs_json_compact(struct nrs_buf *b, const uint8_t *p, size_t len);
/* Appends a JSON string with quotes, escaped; input is UTF-8 (malformed bytes become U+FFFD). */
void nrs_json_quote(struct nrs_buf *b, const char *s, size_t len);
/* Decodes the inside of a JSON string that was accepted (escapes resolved) and appends it. */
void nrs_json_unescape(struct nrs_buf *b, struct nrs_str raw);

/* marking-definition id of a TLP 2.0 level (CLEAR..RED), static text. */
const char *nrs_tlp_marking_id(enum nrs_tlp t);

#endif
