/*
 * From a value to a STIX 2.1 indicator: what kind of value it is, a valid
 * pattern, a deterministic id, and the object's JSON.
 */
#ifndef IMPORT_INDICATOR_H
#define IMPORT_INDICATOR_H

#include <noroshi/err.h>
#include <noroshi/types.h>

#include "base/buf.h"

enum nrs_value_type {
	NRS_VALUE_URL = 1,
	NRS_VALUE_DOMAIN,
	NRS_VALUE_IPV4, /* with or without /prefix */
	NRS_VALUE_IPV6,
	NRS_VALUE_EMAIL,
	NRS_VALUE_MD5,
	NRS_VALUE_SHA1,
	NRS_VALUE_SHA256,
	NRS_VALUE_SHA512,
	NRS_VALUE__MAX
};

struct nrs_indicator {
	enum nrs_value_type type;
	struct nrs_str value;	    /* as given, refanged, UTF-8 */
	struct nrs_str name;	    /* empty: none */
	struct nrs_str description; /* empty: none */
	struct nrs_str labels;	    /* comma separated; empty: none */
	struct nrs_wall seen;	    /* valid_from, created and modified */
	struct nrs_wall until;	    /* valid_until; ms 0: none */
	int confidence;		    /* 0..100, or -1: none */
	enum nrs_tlp tlp;
	struct nrs_hash audience; /* part of the id, so that each sharing has its own */
	const char *origin;	  /* likewise; created_by_ref is derived from it */
};

const char *nrs_value_type_name(
    enum nrs_value_type t); /* "url" "domain-name" "ipv4-addr" ... */
int nrs_value_type_parse(const char *s, enum nrs_value_type *ret) NRS_MUST_CHECK;
/* What the value is, by strict rules for each type; NRS_ESYNTAX with a reason for people. */
int nrs_value_detect(
    struct nrs_str v, enum nrs_value_type *ret, struct nrs_detail *d) NRS_MUST_CHECK;
/* Is it a well-formed value of this type? */
int nrs_value_check(
    enum nrs_value_type t, struct nrs_str v, struct nrs_detail *d) NRS_MUST_CHECK;
/* hxxp, [.], (dot), [:] and their kin into plain form. Appends to b. */
void nrs_value_refang(struct nrs_buf *b, struct nrs_str v);
/* The other way, for people's eyes. Appends to b. */
void nrs_value_defang(struct nrs_buf *b, struct nrs_str v);

/* Appends the STIX pattern, e.g. [url:value = 'http://x/'], escaped as section 9.7 asks. */
int nrs_indicator_pattern(
    struct nrs_buf *b, enum nrs_value_type t, struct nrs_str v) NRS_MUST_CHECK;
/*
 * The id: "indicator--" and a version 5 UUID under Noroshi's namespace of
 * origin, audience, TLP, pattern and seen; the same submission has the same id.
 * 48 bytes with its NUL.
 */
int nrs_indicator_id(const struct nrs_indicator *i, char ret[48]) NRS_MUST_CHECK;
/* "identity--UUIDv5" of an origin name: 47 bytes with its NUL. */
int nrs_identity_id(const char *origin, char ret[47]) NRS_MUST_CHECK;
/* Appends the object's JSON on one line. */
int nrs_indicator_format(struct nrs_buf *b, const struct nrs_indicator *i) NRS_MUST_CHECK;

#endif
