/*
 * The rules of a bundle and of its objects.  An object's members are looked at
 * as they come and judged when it ends, so their order never matters.
 */
#include "stix/scan.h"

#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/text.h"
#include "stix/jlex.h"
#include "stix/otype.h"

/* Properties that the scanner looks at, and what kind of value each has. */
enum prop {
	P_TYPE,
	P_ID,
	P_SPEC_VERSION,
	P_CREATED,
	P_MODIFIED,
	P_CREATED_BY_REF,
	P_PATTERN,
	P_PATTERN_TYPE,
	P_VALID_FROM,
	P_DEFINITION_TYPE,
	P_TEXT__MAX, /* before: kept as text */
	P_REVOKED = P_TEXT__MAX,
	P_MARKING_REFS,
	P_GRANULAR,
	P_EXTENSIONS,
	P__MAX
};

static const struct {
	const char *name;
	bool plain; /* ASCII of a fixed form, compared as bytes: escapes are refused */
} props[P__MAX] = {
#define ROW(name, plain)    \
	{                   \
		name, plain \
	}
	[P_TYPE] = ROW("type", true),
	[P_ID] = ROW("id", true),
	[P_SPEC_VERSION] = ROW("spec_version", true),
	[P_CREATED] = ROW("created", true),
	[P_MODIFIED] = ROW("modified", true),
	[P_CREATED_BY_REF] = ROW("created_by_ref", true),
	[P_PATTERN] = ROW("pattern", false),
	[P_PATTERN_TYPE] = ROW("pattern_type", false),
	[P_VALID_FROM] = ROW("valid_from", true),
	[P_DEFINITION_TYPE] = ROW("definition_type", true),
	[P_REVOKED] = ROW("revoked", true),
	[P_MARKING_REFS] = ROW("object_marking_refs", true),
	[P_GRANULAR] = ROW("granular_markings", true),
	[P_EXTENSIONS] = ROW("extensions", false),
#undef ROW
};

/*
 * What objects look like here: the members of one that was accepted.  Those of
 * a bundle are mostly made by one program and have the same members in the same
 * order, which need not be found out again for each.
 */
#define SHAPE_MAX    JLEX_KEYS_SMALL
#define SHAPE_MISSES 8u /* so many other objects, and the shape is that of the next */

struct shape {
	unsigned int n, misses;
	struct jlex_like m[SHAPE_MAX];
};

struct scan {
	struct jlex j;
	struct shape shape, next;
	struct jlex_ent *seen; /* (id, modified) of every object */
	size_t nseen;
	size_t cap;
};

struct object {
	struct nrs_stix_object o;
	size_t start;
	enum otype_class class;
	bool tlp2; /* has the extension that says a marking is of TLP 2.0 */
	struct nrs_str v[P_TEXT__MAX]; /* p NULL: absent */
};

static int
fail_stix(struct scan *s, size_t off, const char *prop, const char *text)
{
	return jlex_fail(&s->j, NRS_ESTIX, off, prop, "%s", text);
}

/* A value of another kind than the rule wants; text that is no value at all comes first. */
static int
fail_kind(struct scan *s, const char *text)
{
	size_t off = jlex_off(&s->j);
	int rc;

	if ((rc = jlex_skip(&s->j)) != 0)
		return rc;
	return fail_stix(s, off, NULL, text);
}

/* --- forms -------------------------------------------------------------- */

/* Lower-case hex digits and hyphens in their places; without branches, for there are many. */
#ifdef __SSE2__
/* Sixteen of them at p, hyphens where the bits say. */
static inline unsigned int
uuid_part_bad(const uint8_t *p, unsigned int hyphens)
{
	const __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
	const __m128i dash = _mm_cmpeq_epi8(x, _mm_set1_epi8('-'));
	const __m128i digit = _mm_and_si128(_mm_cmpgt_epi8(x, _mm_set1_epi8('0' - 1)),
	    _mm_cmplt_epi8(x, _mm_set1_epi8('9' + 1)));
	const __m128i letter = _mm_and_si128(_mm_cmpgt_epi8(x, _mm_set1_epi8('a' - 1)),
	    _mm_cmplt_epi8(x, _mm_set1_epi8('f' + 1)));
	unsigned int hex = (unsigned int)_mm_movemask_epi8(_mm_or_si128(digit, letter));

	return ((unsigned int)_mm_movemask_epi8(dash) ^ hyphens) |
	    (hex ^ (~hyphens & 0xffffu));
}

static bool
uuid_ok(const uint8_t *p)
{
	return (uuid_part_bad(p, 1u << 8 | 1u << 13) |
		   uuid_part_bad(p + 16, 1u << 2 | 1u << 7) |
		   uuid_part_bad(p + 20, 1u << 3)) == 0;
}
#else
static bool
uuid_ok(const uint8_t *p)
{
	static const uint8_t class[256] = {
		['0'] = 1,
		['1'] = 1,
		['2'] = 1,
		['3'] = 1,
		['4'] = 1,
		['5'] = 1,
		['6'] = 1,
		['7'] = 1,
		['8'] = 1,
		['9'] = 1,
		['a'] = 1,
		['b'] = 1,
		['c'] = 1,
		['d'] = 1,
		['e'] = 1,
		['f'] = 1,
		['-'] = 2,
	};
	static const uint8_t want[36] = { 1, 1, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 2, 1, 1, 1,
		1, 2, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };
	unsigned int i, bad = 0;

	for (i = 0; i < 36; i++)
		bad |= class[p[i]] ^ want[i];
	return bad == 0;
}
#endif

/* type--UUID (STIX 2.1, 2.9) */
static bool
id_ok(struct nrs_str id, const void *type, size_t tlen)
{
	return id.len == tlen + 38 && memcmp(id.p, type, tlen) == 0 && id.p[tlen] == '-' &&
	    id.p[tlen + 1] == '-' && uuid_ok(id.p + tlen + 2);
}

static bool
digits2(const uint8_t *p, unsigned int lo, unsigned int hi, unsigned int *ret)
{
	unsigned int v;

	if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9')
		return false;
	v = (p[0] - '0') * 10u + (p[1] - '0');
	*ret = v;
	return v >= lo && v <= hi;
}

/* RFC 3339 in UTC with T and Z, any digits of fraction (STIX 2.1, 2.18) */
static bool
time_ok(struct nrs_str t)
{
	static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	unsigned int cent, yy, mon, day, x, y, max;
	size_t i;

	if (t.len < 20 || t.p[4] != '-' || t.p[7] != '-' || t.p[10] != 'T' ||
	    t.p[13] != ':' || t.p[16] != ':' || t.p[t.len - 1] != 'Z')
		return false;
	if (!digits2(t.p, 0, 99, &cent) || !digits2(t.p + 2, 0, 99, &yy) ||
	    !digits2(t.p + 5, 1, 12, &mon) || !digits2(t.p + 8, 1, 31, &day) ||
	    !digits2(t.p + 11, 0, 23, &x) || !digits2(t.p + 14, 0, 59, &x) ||
	    !digits2(t.p + 17, 0, 59, &x))
		return false;
	y = cent * 100 + yy;
	max = days[mon - 1];
	if (mon == 2 && y % 4 == 0 && (y % 100 != 0 || y % 400 == 0))
		max++;
	if (day > max)
		return false;
	if (t.len == 20)
		return true;
	if (t.p[19] != '.' || t.len == 21)
		return false;
	for (i = 20; i < t.len - 1; i++)
		if (t.p[i] < '0' || t.p[i] > '9')
			return false;
	return true;
}

/* Length of an accepted time without Z and without zeros that say nothing. */
static size_t
time_significant(struct nrs_str t)
{
	size_t n = t.len - 1;

	if (n > 19) {
		while (t.p[n - 1] == '0')
			n--;
		if (t.p[n - 1] == '.')
			n--;
	}
	return n;
}

/* Accepted times in their order, to the last digit. */
static int
time_cmp(struct nrs_str a, struct nrs_str b)
{
	size_t na = time_significant(a), nb = time_significant(b);
	int rc = memcmp(a.p, b.p, na < nb ? na : nb);

	return rc != 0 ? rc : (na > nb) - (na < nb);
}

/* --- one version of an object, once --------------------------------------- */

static struct nrs_str
quoted_at(const struct scan *s, uint32_t off)
{
	const uint8_t *p = s->j.base + off;

	/* both kinds of text were accepted without escapes */
	return (struct nrs_str){ p, (size_t)((const uint8_t *)rawmemchr(p, '"') - p) };
}

static int
cmp_seen(const void *arg, const struct jlex_ent *x, const struct jlex_ent *y)
{
	const struct scan *s = arg;
	struct nrs_str a = quoted_at(s, x->a), b = quoted_at(s, y->a);
	int rc;

	if (a.len != b.len)
		return a.len < b.len ? -1 : 1;
	if ((rc = memcmp(a.p, b.p, a.len)) != 0)
		return rc;
	if (x->b == 0 || y->b == 0)
		return (x->b != 0) - (y->b != 0);
	return time_cmp(quoted_at(s, x->b), quoted_at(s, y->b));
}

static int
remember(struct scan *s, const struct nrs_stix_object *o)
{
	const uint8_t *uuid = o->id.p + o->id.len - 36;
	struct jlex_ent *e;
	uint64_t w[4];
	size_t cap, n;

	if (s->nseen == s->cap) {
		cap = s->cap == 0 ? 512 : s->cap * 2;
		if ((e = realloc(s->seen, cap * sizeof(*e))) == NULL)
			return NRS_ENOMEM;
		s->seen = e;
		s->cap = cap;
	}
	memcpy(w, uuid, 16);
	memcpy(w + 2, uuid + 20, 16);
	e = &s->seen[s->nseen++];
	e->h = jlex_mix(jlex_mix(w[0], w[1]), jlex_mix(w[2], w[3]));
	e->a = (uint32_t)(o->id.p - s->j.base);
	e->b = 0;
	if (o->modified.p != NULL) {
		e->b = (uint32_t)(o->modified.p - s->j.base);
		n = time_significant(o->modified);
		memcpy(w, o->modified.p + n - 16, 16);
		e->h = jlex_mix(e->h ^ w[0], w[1]);
	}
	return 0;
}

static int
check_unique(struct scan *s)
{
	const struct jlex_ent *dup;
	int rc;

	if ((rc = jlex_dups(s->seen, s->nseen, cmp_seen, s, &dup)) != 0)
		return rc;
	if (dup != NULL)
		return jlex_fail(&s->j, NRS_EDUPLICATE, dup->a - 1u, "objects",
		    "an object is given twice with this id and modified (STIX 2.1, 3.6 and 8)");
	return 0;
}

/* --- members of an object ------------------------------------------------- */

/* Lengths are constants in each case, so that comparing is a load or two. */
#define IS(key, name) (memcmp((key).p, name, sizeof(name) - 1) == 0)
static enum prop
prop_find(struct nrs_str key)
{
	switch (key.len) {
	case 2:
		return IS(key, "id") ? P_ID : P__MAX;
	case 4:
		return IS(key, "type") ? P_TYPE : P__MAX;
	case 7:
		return IS(key, "created") ? P_CREATED
		    : IS(key, "pattern")  ? P_PATTERN
		    : IS(key, "revoked")  ? P_REVOKED
					  : P__MAX;
	case 8:
		return IS(key, "modified") ? P_MODIFIED : P__MAX;
	case 10:
		return IS(key, "valid_from") ? P_VALID_FROM
		    : IS(key, "extensions")  ? P_EXTENSIONS
					     : P__MAX;
	case 12:
		return IS(key, "spec_version") ? P_SPEC_VERSION
		    : IS(key, "pattern_type")  ? P_PATTERN_TYPE
					       : P__MAX;
	case 14:
		return IS(key, "created_by_ref") ? P_CREATED_BY_REF : P__MAX;
	case 15:
		return IS(key, "definition_type") ? P_DEFINITION_TYPE : P__MAX;
	case 17:
		return IS(key, "granular_markings") ? P_GRANULAR : P__MAX;
	case 19:
		return IS(key, "object_marking_refs") ? P_MARKING_REFS : P__MAX;
	default:
		return P__MAX;
	}
}
#undef IS

/* The same for a key with escapes; room is for the longest name and one more. */
static struct nrs_str
key_plain(struct nrs_str key, bool esc, uint8_t room[32])
{
	struct jlex_dec dec;
	size_t n = 0;
	int c;

	if (!esc)
		return key;
	jlex_dec_init(&dec, key);
	while (n < 32 && (c = jlex_dec_next(&dec)) >= 0)
		room[n++] = (uint8_t)c;
	return (struct nrs_str){ room, n };
}

static int
scan_text(struct scan *s, bool plain, struct nrs_str *ret)
{
	bool esc;
	int rc;

	if (jlex_peek(&s->j) != '"')
		return fail_kind(s, "must be a string (STIX 2.1, 2)");
	if ((rc = jlex_string(&s->j, ret, &esc)) != 0)
		return rc;
	if (plain && esc)
		return fail_stix(s, (size_t)(ret->p - s->j.base) - 1, NULL,
		    "is written with escapes, which nothing in it needs");
	return 0;
}

static int
scan_marking_id(struct scan *s, struct object *ob)
{
	static const char type[] = "marking-definition";
	struct nrs_str id;
	int rc;

	if ((rc = scan_text(s, true, &id)) != 0)
		return rc;
	if (!id_ok(id, type, sizeof(type) - 1))
		return fail_stix(s, (size_t)(id.p - s->j.base) - 1, NULL,
		    "is not the id of a marking-definition (STIX 2.1, 7.2)");
	ob->o.tlp = otype_tlp_max(ob->o.tlp, otype_tlp_find(id.p + sizeof(type) + 1));
	return 0;
}

static int
open_list(struct scan *s)
{
	if (jlex_peek(&s->j) != '[')
		return fail_kind(s, "must be a list (STIX 2.1, 2.11)");
	return jlex_open(&s->j);
}

/* STIX lists are never empty (2.11); off is the list's. */
static int
check_not_empty(struct scan *s, size_t off, unsigned int n)
{
	if (n > 0)
		return 0;
	return fail_stix(s, off, NULL, "is an empty list (STIX 2.1, 2.11)");
}

static int
scan_marking_refs(struct scan *s, struct object *ob)
{
	size_t off = jlex_off(&s->j);
	unsigned int n = 0;
	int rc;

	if ((rc = open_list(s)) != 0)
		return rc;
	while ((rc = jlex_element(&s->j)) > 0) {
		n++;
		if ((rc = scan_marking_id(s, ob)) != 0)
			return rc;
	}
	return rc != 0 ? rc : check_not_empty(s, off, n);
}

static int
scan_granular(struct scan *s, struct object *ob)
{
	struct nrs_str key, name;
	uint8_t room[32];
	bool esc;
	int rc;

	if (jlex_peek(&s->j) != '{')
		return fail_kind(s, "must be a granular-marking object (STIX 2.1, 7.2.3)");
	if ((rc = jlex_open(&s->j)) != 0)
		return rc;
	while ((rc = jlex_member(&s->j, &key, &esc)) > 0) {
		name = key_plain(key, esc, room);
		if (name.len == 11 && memcmp(name.p, "marking_ref", 11) == 0)
			rc = scan_marking_id(s, ob);
		else
			rc = jlex_skip(&s->j);
		if (rc != 0)
			return rc;
	}
	return rc;
}

static int
scan_granulars(struct scan *s, struct object *ob)
{
	size_t off = jlex_off(&s->j);
	unsigned int n = 0;
	int rc;

	if ((rc = open_list(s)) != 0)
		return rc;
	while ((rc = jlex_element(&s->j)) > 0) {
		n++;
		if ((rc = scan_granular(s, ob)) != 0)
			return rc;
	}
	return rc != 0 ? rc : check_not_empty(s, off, n);
}

static int
scan_revoked(struct scan *s, struct object *ob)
{
	int c = jlex_peek(&s->j);

	if (c != 't' && c != 'f')
		return fail_kind(s, "must be a boolean (STIX 2.1, 2.2)");
	ob->o.revoked = c == 't';
	return jlex_skip(&s->j);
}

/* However its bytes are escaped. */
static bool
key_is(struct nrs_str key, bool esc, const char *text, size_t len)
{
	struct jlex_dec dec;

	if (!esc)
		return key.len == len && memcmp(key.p, text, len) == 0;
	jlex_dec_init(&dec, key);
	for (size_t i = 0; i < len; i++)
		if (jlex_dec_next(&dec) != (uint8_t)text[i])
			return false;
	return jlex_dec_next(&dec) < 0;
}

/* The type may come after them: what only matters in a marking is noted for all. */
static int
scan_extensions(struct scan *s, struct object *ob)
{
	static const char tlp2[] =
	    "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d";
	struct nrs_str key;
	bool esc;
	int rc;

	if (jlex_peek(&s->j) != '{')
		return fail_kind(s, "must be an object of extensions (STIX 2.1, 3.2)");
	if ((rc = jlex_open(&s->j)) != 0)
		return rc;
	while ((rc = jlex_member(&s->j, &key, &esc)) > 0) {
		ob->tlp2 = ob->tlp2 || key_is(key, esc, tlp2, sizeof(tlp2) - 1);
		if ((rc = jlex_skip(&s->j)) != 0)
			return rc;
	}
	return rc;
}

static int
scan_member(struct scan *s, struct object *ob, enum prop prop)
{
	switch (prop) {
	case P_EXTENSIONS:
		return scan_extensions(s, ob);
	case P_REVOKED:
		return scan_revoked(s, ob);
	case P_MARKING_REFS:
		return scan_marking_refs(s, ob);
	case P_GRANULAR:
		return scan_granulars(s, ob);
	case P__MAX:
		return jlex_skip(&s->j);
	default:
		return scan_text(s, props[prop].plain, &ob->v[prop]);
	}
}

/* --- rules of an object --------------------------------------------------- */

static size_t
text_off(const struct scan *s, const struct object *ob, enum prop prop)
{
	return (size_t)(ob->v[prop].p - s->j.base) - 1;
}

static int
check_present(struct scan *s, const struct object *ob, enum prop prop, const char *section)
{
	if (ob->v[prop].p != NULL)
		return 0;
	return jlex_fail(&s->j, NRS_ESTIX, ob->start, props[prop].name,
	    "%s is required (STIX 2.1, %s)", props[prop].name, section);
}

static int
check_type_and_id(struct scan *s, struct object *ob)
{
	int rc;

	if ((rc = check_present(s, ob, P_TYPE, "3.2")) != 0 ||
	    (rc = check_present(s, ob, P_ID, "3.2")) != 0)
		return rc;
	ob->class = otype_find(ob->v[P_TYPE]);
	if (ob->class == OTYPE_BUNDLE)
		return fail_stix(s, text_off(s, ob, P_TYPE), "type",
		    "a bundle is not an object of a bundle (STIX 2.1, 8)");
	if (ob->class == OTYPE_CUSTOM && !otype_name_ok(ob->v[P_TYPE]))
		return fail_stix(s, text_off(s, ob, P_TYPE), "type",
		    "a type has 3 to 250 of a-z, 0-9 and single hyphens (STIX 2.1, 11.2)");
	if (!id_ok(ob->v[P_ID], ob->v[P_TYPE].p, ob->v[P_TYPE].len))
		return fail_stix(s, text_off(s, ob, P_ID), "id",
		    "an id is the object's type, \"--\" and a lower-case UUID (STIX 2.1, 2.9)");
	return 0;
}

static int
check_spec_version(struct scan *s, const struct object *ob, bool required)
{
	const struct nrs_str *v = &ob->v[P_SPEC_VERSION];

	if (v->p == NULL)
		return required ? check_present(s, ob, P_SPEC_VERSION, "3.2") : 0;
	if (v->len != 3 || memcmp(v->p, "2.1", 3) != 0)
		return fail_stix(s, text_off(s, ob, P_SPEC_VERSION), "spec_version",
		    "spec_version must be \"2.1\" (STIX 2.1, 3.2)");
	return 0;
}

static int
check_time(struct scan *s, const struct object *ob, enum prop prop)
{
	const struct nrs_str *t = &ob->v[prop], *first = &ob->v[P_CREATED];

	/* Mostly they are all the same, and that one was looked at before. */
	if (t->p == NULL ||
	    (prop != P_CREATED && first->p != NULL && t->len == first->len &&
		memcmp(t->p, first->p, t->len) == 0) ||
	    time_ok(*t))
		return 0;
	return fail_stix(s, text_off(s, ob, prop), props[prop].name,
	    "a timestamp is RFC 3339 in UTC, with T and Z (STIX 2.1, 2.18)");
}

static int
check_times(struct scan *s, const struct object *ob, bool versioned)
{
	int rc;

	if (versioned || ob->class == OTYPE_MARKING)
		if ((rc = check_present(s, ob, P_CREATED, "3.2")) != 0)
			return rc;
	if (versioned && (rc = check_present(s, ob, P_MODIFIED, "3.2")) != 0)
		return rc;
	if ((rc = check_time(s, ob, P_CREATED)) != 0 ||
	    (rc = check_time(s, ob, P_MODIFIED)) != 0)
		return rc;
	if (ob->v[P_CREATED].p != NULL && ob->v[P_MODIFIED].p != NULL &&
	    time_cmp(ob->v[P_CREATED], ob->v[P_MODIFIED]) > 0)
		return fail_stix(s, text_off(s, ob, P_MODIFIED), "modified",
		    "modified is earlier than created (STIX 2.1, 3.2)");
	return 0;
}

static int
check_indicator(struct scan *s, struct object *ob)
{
	int rc;

	if ((rc = check_present(s, ob, P_PATTERN, "4.7")) != 0 ||
	    (rc = check_present(s, ob, P_PATTERN_TYPE, "4.7")) != 0 ||
	    (rc = check_present(s, ob, P_VALID_FROM, "4.7")) != 0 ||
	    (rc = check_time(s, ob, P_VALID_FROM)) != 0)
		return rc;
	if (ob->v[P_PATTERN].len == 0)
		return fail_stix(s, text_off(s, ob, P_PATTERN), "pattern",
		    "a pattern is not empty (STIX 2.1, 4.7)");
	if (ob->v[P_PATTERN_TYPE].len == 0)
		return fail_stix(s, text_off(s, ob, P_PATTERN_TYPE), "pattern_type",
		    "a pattern_type is not empty (STIX 2.1, 4.7)");
	ob->o.pattern = ob->v[P_PATTERN];
	return 0;
}

/*
 * TLP has fixed ids, in 1.0 and in 2.0: a "tlp" of another id would look marked
 * to people and be unmarked to programs.
 */
static int
check_marking(struct scan *s, const struct object *ob)
{
	const struct nrs_str *t = &ob->v[P_DEFINITION_TYPE], *id = &ob->v[P_ID];
	bool tlp1 = t->p != NULL && t->len == 3 && memcmp(t->p, "tlp", 3) == 0;

	if ((tlp1 || ob->tlp2) && otype_tlp_find(id->p + id->len - 36) == NRS_TLP_UNMARKED)
		return fail_stix(s, text_off(s, ob, P_ID), "id",
		    "a TLP marking has the id that the standard gives it (STIX 2.1, 7.2.1.4)");
	return 0;
}

static int
check_object(struct scan *s, struct object *ob)
{
	static const char identity[] = "identity";
	bool versioned;
	int rc;

	if ((rc = check_type_and_id(s, ob)) != 0)
		return rc;
	versioned = ob->class == OTYPE_SDO || ob->class == OTYPE_SRO ||
	    ob->class == OTYPE_META ||
	    (ob->class == OTYPE_CUSTOM &&
		(ob->v[P_CREATED].p != NULL || ob->v[P_MODIFIED].p != NULL));
	if ((rc = check_spec_version(s, ob, versioned || ob->class == OTYPE_MARKING)) !=
		0 ||
	    (rc = check_times(s, ob, versioned)) != 0)
		return rc;
	if (ob->v[P_CREATED_BY_REF].p != NULL &&
	    !id_ok(ob->v[P_CREATED_BY_REF], identity, sizeof(identity) - 1))
		return fail_stix(s, text_off(s, ob, P_CREATED_BY_REF), "created_by_ref",
		    "created_by_ref is the id of an identity (STIX 2.1, 3.2)");
	if (ob->class == OTYPE_MARKING && (rc = check_marking(s, ob)) != 0)
		return rc;
	if (ob->class == OTYPE_SDO && ob->v[P_TYPE].len == 9 &&
	    memcmp(ob->v[P_TYPE].p, "indicator", 9) == 0 &&
	    (rc = check_indicator(s, ob)) != 0)
		return rc;
	ob->o.type = ob->v[P_TYPE];
	ob->o.id = ob->v[P_ID];
	ob->o.created = ob->v[P_CREATED];
	ob->o.modified = ob->v[P_MODIFIED];
	return 0;
}

/* --- the bundle ----------------------------------------------------------- */

/* Members from the first one on that are as expected; what follows them is left. */
static int
scan_expected(struct scan *s, struct object *ob, unsigned int *ret_n)
{
	unsigned int i;
	int rc = 0;

	for (i = 0; i < s->shape.n && jlex_member_like(&s->j, &s->shape.m[i]); i++)
		if ((rc = scan_member(s, ob, s->shape.m[i].tag)) != 0)
			return rc;
	*ret_n = i;
	return 0;
}

/* One whose members are to be the shape of those after it. */
static int
scan_learning(struct scan *s, struct object *ob)
{
	struct shape *sh = &s->next;
	struct nrs_str key;
	bool esc, more = true;
	uint8_t room[32];
	enum prop prop;
	int rc;

	sh->n = sh->misses = 0;
	while ((rc = jlex_member(&s->j, &key, &esc)) > 0) {
		prop = prop_find(key_plain(key, esc, room));
		if (more && sh->n < SHAPE_MAX) {
			jlex_learn(&s->j, key, esc, &sh->m[sh->n]);
			sh->m[sh->n].tag = prop;
			more = sh->m[sh->n].len > 0;
			sh->n += more;
		}
		if ((rc = scan_member(s, ob, prop)) != 0)
			return rc;
	}
	/* Now it is known that no key was given twice. */
	if (rc == 0)
		s->shape = *sh;
	return rc;
}

static int
scan_members(struct scan *s, struct object *ob)
{
	unsigned int expected = 0;
	struct nrs_str key;
	uint8_t room[32];
	bool esc;
	int rc;

	if (s->shape.n == 0 || s->shape.misses >= SHAPE_MISSES)
		return scan_learning(s, ob);
	if ((rc = scan_expected(s, ob, &expected)) != 0)
		return rc;
	if (expected < s->shape.n)
		s->shape.misses++;
	while ((rc = jlex_member(&s->j, &key, &esc)) > 0)
		if ((rc = scan_member(s, ob, prop_find(key_plain(key, esc, room)))) != 0)
			return rc;
	return rc;
}

static int
scan_object(struct scan *s, struct object *ob)
{
	int rc;

	if (jlex_peek(&s->j) != '{')
		return fail_kind(s, "must be an object (STIX 2.1, 8)");
	ob->start = jlex_off(&s->j);
	ob->o.tlp = NRS_TLP_UNMARKED;
	if ((rc = jlex_open(&s->j)) != 0 || (rc = scan_members(s, ob)) != 0 ||
	    (rc = check_object(s, ob)) != 0)
		return rc;
	ob->o.json.p = s->j.base + ob->start;
	ob->o.json.len = jlex_off(&s->j) - ob->start;
	return remember(s, &ob->o);
}

static int
scan_objects(struct scan *s, struct nrs_bundle *ret,
    int (*each)(void *, const struct nrs_stix_object *), void *arg)
{
	size_t off = jlex_off(&s->j);
	struct object ob;
	int rc;

	if ((rc = open_list(s)) != 0)
		return rc;
	while ((rc = jlex_element(&s->j)) > 0) {
		if (ret->n == NRS_OBJECTS_MAX)
			return jlex_fail(&s->j, NRS_ELIMIT, jlex_off(&s->j), NULL,
			    "more than %d objects", NRS_OBJECTS_MAX);
		memset(&ob, 0, sizeof(ob));
		ob.o.n = ret->n;
		if ((rc = scan_object(s, &ob)) != 0)
			return rc;
		ret->n++;
		ret->tlp_max = otype_tlp_max(ret->tlp_max, ob.o.tlp);
		if (each != NULL && (rc = each(arg, &ob.o)) != 0)
			return rc;
	}
	return rc != 0 ? rc : check_not_empty(s, off, ret->n);
}

/* The bundle's own texts, judged when the bundle ends. */
static int
check_bundle(struct scan *s, const struct object *b, size_t start, struct nrs_bundle *ret)
{
	static const char bundle[] = "bundle";
	const struct nrs_str *t = &b->v[P_TYPE], *id = &b->v[P_ID];
	int rc;

	if (t->p == NULL || t->len != 6 || memcmp(t->p, bundle, 6) != 0)
		return fail_stix(s, t->p == NULL ? start : text_off(s, b, P_TYPE), "type",
		    "a bundle has the type \"bundle\" (STIX 2.1, 8)");
	if (id->p == NULL || !id_ok(*id, bundle, 6))
		return fail_stix(s, id->p == NULL ? start : text_off(s, b, P_ID), "id",
		    "a bundle has an id, \"bundle--\" and a lower-case UUID (STIX 2.1, 8)");
	if ((rc = check_spec_version(s, b, false)) != 0)
		return rc;
	if (ret->n == 0)
		return fail_stix(s, start, "objects", "a bundle has objects (STIX 2.1, 8)");
	if ((rc = nrs_uuid_parse((const char *)id->p + 8, 36, ret->uuid)) != 0)
		return rc;
	/* It becomes the UUID of the record's header. */
	if (ret->uuid[6] >> 4 < 1 || ret->uuid[6] >> 4 > 8 || (ret->uuid[8] & 0xc0) != 0x80)
		return fail_stix(s, text_off(s, b, P_ID), "id",
		    "the UUID of a bundle is of version 1 to 8 and variant 1 (RFC 9562, 4)");
	return 0;
}

static int
scan_bundle_member(struct scan *s, struct nrs_str name, struct object *b,
    struct nrs_bundle *ret, int (*each)(void *, const struct nrs_stix_object *), void *arg)
{
	enum prop prop;

	if (name.len == 7 && memcmp(name.p, "objects", 7) == 0)
		return scan_objects(s, ret, each, arg);
	prop = prop_find(name);
	if (prop == P_TYPE || prop == P_ID || prop == P_SPEC_VERSION)
		return scan_text(s, true, &b->v[prop]);
	return jlex_skip(&s->j);
}

static int
scan_bundle(struct scan *s, struct nrs_bundle *ret,
    int (*each)(void *, const struct nrs_stix_object *), void *arg)
{
	struct object b = { 0 };
	struct nrs_str key;
	uint8_t room[32];
	size_t start;
	bool esc;
	int c, rc;

	c = jlex_peek(&s->j);
	start = jlex_off(&s->j);
	if (c != '{')
		return fail_kind(s, "a bundle is a JSON object (STIX 2.1, 8)");
	if ((rc = jlex_open(&s->j)) != 0)
		return rc;
	while ((rc = jlex_member(&s->j, &key, &esc)) > 0) {
		rc = scan_bundle_member(s, key_plain(key, esc, room), &b, ret, each, arg);
		if (rc != 0)
			return rc;
	}
	if (rc != 0 || (rc = jlex_end(&s->j)) != 0 ||
	    (rc = check_bundle(s, &b, start, ret)) != 0)
		return rc;
	return check_unique(s);
}

int
nrs_bundle_scan(const uint8_t *p, size_t len, struct nrs_bundle *ret,
    int (*each)(void *arg, const struct nrs_stix_object *o), void *arg,
    struct nrs_detail *d)
{
	struct scan s;
	int rc;

	/* Not the whole of it, most of which is room. */
	s.seen = NULL;
	s.nseen = s.cap = 0;
	s.shape.n = s.shape.misses = 0;

	memset(ret, 0, sizeof(*ret));
	ret->tlp_max = NRS_TLP_UNMARKED;
	if ((rc = jlex_init(&s.j, p, len, d)) == 0)
		rc = scan_bundle(&s, ret, each, arg);
	jlex_fini(&s.j);
	free(s.seen);
	return rc;
}

int
nrs_json_check(const uint8_t *p, size_t len, struct nrs_detail *d)
{
	struct jlex j;
	int rc;

	if ((rc = jlex_init(&j, p, len, d)) == 0 && (rc = jlex_skip(&j)) == 0)
		rc = jlex_end(&j);
	jlex_fini(&j);
	return rc;
}
