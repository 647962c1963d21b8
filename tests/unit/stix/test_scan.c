/* Bundles: each rule kept and broken, TLP markings, order of members, real bundles. */
#include "stix/scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define UUID	   "0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061"
#define UUID2	   "1c7b5b88-8ff7-4a4d-aa9d-feb398cd0061"
#define HEAD	   "{\"type\":\"bundle\",\"id\":\"bundle--" UUID "\",\"objects\":["
#define TAIL	   "]}"
#define TIMES	   "\"created\":\"2025-01-06T09:56:00Z\",\"modified\":\"2025-01-06T09:56:00Z\""
#define V21	   "\"spec_version\":\"2.1\","
#define TOOL(more) "{\"type\":\"tool\"," V21 "\"id\":\"tool--" UUID "\"," TIMES more "}"
#define TOOL2	   "{\"type\":\"tool\"," V21 "\"id\":\"tool--" UUID2 "\"," TIMES "}"
#define TOOLT(created, modified)                                                     \
	"{\"type\":\"tool\"," V21 "\"id\":\"tool--" UUID "\",\"created\":\"" created \
	"\",\"modified\":\"" modified "\"}"
#define TLP2(id, ext)                                                              \
	"{\"type\":\"marking-definition\"," V21 "\"id\":\"marking-definition--" id \
	"\",\"created\":\"2022-10-01T00:00:00Z\",\"extensions\":{"                 \
	"\"extension-definition--" ext "-0d10-413e-aab3-9e08dde9e88d\":"           \
	"{\"extension_type\":\"property-extension\",\"tlp_2_0\":\"red\"}}}"
#define IND(more) \
	"{\"type\":\"indicator\"," V21 "\"id\":\"indicator--" UUID "\"," TIMES more "}"
#define PAT   ",\"pattern\":\"[a:b = 'c']\""
#define PTYPE ",\"pattern_type\":\"stix\""
#define VFROM ",\"valid_from\":\"2025-01-06T09:56:00Z\""
#define MARKED                                                                    \
	"\"object_marking_refs\":[\"marking-definition--5e57c739-391a-4eb3-b6be-" \
	"7d15ca92d5ed\"]"
#define MARK(id)  ",\"object_marking_refs\":[\"marking-definition--" id "\"]"
#define URL(more) "{\"type\":\"url\",\"id\":\"url--" UUID "\"" more "}"
#define OTHER	  "{\"type\":\"other\"}"

static int
scan(const char *s, size_t len, struct nrs_bundle *b, struct nrs_detail *d)
{
	uint8_t *p = malloc(len > 0 ? len : 1);
	int rc;

	assert_non_null(p);
	memcpy(p, s, len);
	memset(d, 0, sizeof(*d));
	rc = nrs_bundle_scan(p, len, b, NULL, NULL, d);
	assert_int_equal(rc, d->code);
	free(p);
	return rc;
}

/* Objects that stand in a bundle: code and where (path). */
static void
test_objects(void **state)
{
	static const struct {
		const char *objects;
		int code;
		const char *path;
	} rows[] = {
		{ TOOL(""), 0, "" },
		{ TOOL("") "," TOOL2, 0, "" },
		{ "", NRS_ESTIX, "$.objects" },
		{ "1", NRS_ESTIX, "$.objects[0]" },
		{ TOOL("") ",[]", NRS_ESTIX, "$.objects[1]" },
		{ TOOL("") "," OTHER, NRS_ESTIX, "$.objects[1].id" },
		{ "{}", NRS_ESTIX, "$.objects[0].type" },
		{ "{\"type\":1}", NRS_ESTIX, "$.objects[0].type" },
		{ "{\"type\":\"b\\u0075ndle\"}", NRS_ESTIX, "$.objects[0].type" },
		{ HEAD TOOL("") TAIL, NRS_ESTIX, "$.objects[0].type" },
		{ "{\"type\":\"X\",\"id\":\"X--" UUID "\"}", NRS_ESTIX,
		    "$.objects[0].type" },
		{ "{\"type\":\"a--b\",\"id\":\"a--b--" UUID "\"}", NRS_ESTIX,
		    "$.objects[0].type" },
		/* a key written with an escape is the key */
		{ "{\"\\u0074ype\":\"url\",\"id\":\"url--" UUID "\"}", 0, "" },
		/* ids */
		{ "{\"type\":\"url\",\"id\":\"uri--" UUID "\"}", NRS_ESTIX,
		    "$.objects[0].id" },
		{ "{\"type\":\"url\",\"id\":\"url-" UUID "\"}", NRS_ESTIX,
		    "$.objects[0].id" },
		{ "{\"type\":\"url\",\"id\":\"url--" UUID "0\"}", NRS_ESTIX,
		    "$.objects[0].id" },
		{ "{\"type\":\"url\",\"id\":\"url--0C7b5b88-8ff7-4a4d-aa9d-feb398cd0061\"}",
		    NRS_ESTIX, "$.objects[0].id" },
		{ "{\"type\":\"url\",\"id\":\"url--0c7b5b8808ff7-4a4d-aa9d-feb398cd0061\"}",
		    NRS_ESTIX, "$.objects[0].id" },
		/* spec_version */
		{ "{\"type\":\"tool\",\"id\":\"tool--" UUID "\"," TIMES "}", NRS_ESTIX,
		    "$.objects[0].spec_version" },
		{ "{\"type\":\"tool\",\"spec_version\":\"2.0\",\"id\":\"tool--" UUID
		  "\"," TIMES "}",
		    NRS_ESTIX, "$.objects[0].spec_version" },
		{ URL(""), 0, "" },
		{ URL(",\"spec_version\":\"2.1\""), 0, "" },
		{ URL(",\"spec_version\":\"2.0\""), NRS_ESTIX,
		    "$.objects[0].spec_version" },
		{ URL(",\"spec_version\":2.1"), NRS_ESTIX, "$.objects[0].spec_version" },
		/* which types have created and modified */
		{ "{\"type\":\"tool\"," V21 "\"id\":\"tool--" UUID "\"}", NRS_ESTIX,
		    "$.objects[0].created" },
		{ "{\"type\":\"relationship\"," V21 "\"id\":\"relationship--" UUID
		  "\",\"created\":\"2025-01-06T09:56:00Z\"}",
		    NRS_ESTIX, "$.objects[0].modified" },
		{ "{\"type\":\"language-content\"," V21 "\"id\":\"language-content--" UUID
		  "\"}",
		    NRS_ESTIX, "$.objects[0].created" },
		{ "{\"type\":\"marking-definition\"," V21
		  "\"id\":\"marking-definition--" UUID "\"}",
		    NRS_ESTIX, "$.objects[0].created" },
		{ "{\"type\":\"marking-definition\"," V21
		  "\"id\":\"marking-definition--" UUID
		  "\",\"created\":\"2025-01-06T09:56:00Z\"}",
		    0, "" },
		{ "{\"type\":\"x-own\",\"id\":\"x-own--" UUID "\"}", 0, "" },
		{ "{\"type\":\"x-own\"," V21 "\"id\":\"x-own--" UUID
		  "\",\"created\":\"2025-01-06T09:56:00Z\"}",
		    NRS_ESTIX, "$.objects[0].modified" },
		{ "{\"type\":\"x-own\",\"id\":\"x-own--" UUID "\"," TIMES "}", NRS_ESTIX,
		    "$.objects[0].spec_version" },
		/* times */
		{ TOOLT("2025-01-06T09:56:00.1Z", "2025-01-06T09:56:00.100Z"), 0, "" },
		{ TOOLT("2025-01-06T09:56:00Z", "2025-01-06T09:56:00.000000001Z"), 0, "" },
		{ TOOLT("2025-01-06T09:56:00.0Z", "2025-01-06T09:56:00Z"), 0, "" },
		{ TOOLT("2024-02-29T23:59:59Z", "2025-01-06T09:56:00Z"), 0, "" },
		{ TOOLT("2025-01-06T09:56:00.1001Z", "2025-01-06T09:56:00.1Z"), NRS_ESTIX,
		    "$.objects[0].modified" },
		{ TOOLT("2025-01-06T09:56:01Z", "2025-01-06T09:56:00.9Z"), NRS_ESTIX,
		    "$.objects[0].modified" },
		{ TOOLT("2023-02-29T00:00:00Z", "2025-01-06T09:56:00Z"), NRS_ESTIX,
		    "$.objects[0].created" },
		{ TOOLT("2025-01-06T09:56:00", "2025-01-06T09:56:00Z"), NRS_ESTIX,
		    "$.objects[0].created" },
		{ TOOLT("2025-01-06T09:56:00+00:00", "2025-01-06T09:56:00Z"), NRS_ESTIX,
		    "$.objects[0].created" },
		{ TOOLT("2025-01-06 09:56:00Z", "2025-01-06T09:56:00Z"), NRS_ESTIX,
		    "$.objects[0].created" },
		{ TOOLT("2025-01-06t09:56:00z", "2025-01-06T09:56:00Z"), NRS_ESTIX,
		    "$.objects[0].created" },
		{ TOOLT("2025-01-06T09:56:00.Z", "2025-01-06T09:56:00Z"), NRS_ESTIX,
		    "$.objects[0].created" },
		{ TOOLT("2025-13-06T09:56:00Z", "2025-01-06T09:56:00Z"), NRS_ESTIX,
		    "$.objects[0].created" },
		{ TOOLT("2025-01-06T24:00:00Z", "2025-01-06T09:56:00Z"), NRS_ESTIX,
		    "$.objects[0].created" },
		{ TOOLT("2025-01-06T09:56:60Z", "2025-01-06T09:57:00Z"), NRS_ESTIX,
		    "$.objects[0].created" },
		{ TOOLT("2025-01-06T09:56:00Z", "2025-01-06T09:56:00.1xZ"), NRS_ESTIX,
		    "$.objects[0].modified" },
		{ TOOLT("", "2025-01-06T09:56:00Z"), NRS_ESTIX, "$.objects[0].created" },
		/* indicators */
		{ IND(PAT PTYPE VFROM), 0, "" },
		{ IND(PTYPE VFROM), NRS_ESTIX, "$.objects[0].pattern" },
		{ IND(PAT VFROM), NRS_ESTIX, "$.objects[0].pattern_type" },
		{ IND(PAT PTYPE), NRS_ESTIX, "$.objects[0].valid_from" },
		{ IND(PAT PTYPE ",\"valid_from\":\"today\""), NRS_ESTIX,
		    "$.objects[0].valid_from" },
		{ IND(",\"pattern\":\"\"" PTYPE VFROM), NRS_ESTIX, "$.objects[0].pattern" },
		{ IND(",\"pattern\":[]" PTYPE VFROM), NRS_ESTIX, "$.objects[0].pattern" },
		{ IND(PAT ",\"pattern_type\":\"\"" VFROM), NRS_ESTIX,
		    "$.objects[0].pattern_type" },
		/* common properties */
		{ TOOL(",\"revoked\":true"), 0, "" },
		{ TOOL(",\"revoked\":\"true\""), NRS_ESTIX, "$.objects[0].revoked" },
		{ TOOL(",\"revoked\":tru"), NRS_ESYNTAX, "$.objects[0].revoked" },
		{ TOOL(",\"created_by_ref\":\"identity--" UUID "\""), 0, "" },
		{ TOOL(",\"created_by_ref\":\"tool--" UUID "\""), NRS_ESTIX,
		    "$.objects[0].created_by_ref" },
		{ TOOL(",\"x_own\":{\"any\":[null]},\"extensions\":{\"a\":{}}"), 0, "" },
		/* markings */
		{ TOOL(MARK(UUID)), 0, "" },
		{ TOOL(",\"object_marking_refs\":[]"), NRS_ESTIX,
		    "$.objects[0].object_marking_refs" },
		{ TOOL(",\"object_marking_refs\":\"x\""), NRS_ESTIX,
		    "$.objects[0].object_marking_refs" },
		{ TOOL(",\"object_marking_refs\":[\"tool--" UUID "\"]"), NRS_ESTIX,
		    "$.objects[0].object_marking_refs[0]" },
		{ TOOL(",\"object_marking_refs\":[7]"), NRS_ESTIX,
		    "$.objects[0].object_marking_refs[0]" },
		{ TOOL(",\"granular_markings\":[{\"marking_ref\":\"tool--" UUID "\"}]"),
		    NRS_ESTIX, "$.objects[0].granular_markings[0].marking_ref" },
		{ TOOL(",\"granular_markings\":[1]"), NRS_ESTIX,
		    "$.objects[0].granular_markings[0]" },
		{ TOOL(
		      ",\"granular_markings\":[{\"lang\":\"ja\",\"selectors\":[\"name\"]}]"),
		    0, "" },
		{ "{\"type\":\"marking-definition\"," V21
		  "\"id\":\"marking-definition--" UUID
		  "\",\"created\":\"2025-01-06T09:56:00Z\",\"definition_type\":\"tlp\"}",
		    NRS_ESTIX, "$.objects[0].id" },
		{ TLP2(UUID, "60a3c5c5"), NRS_ESTIX, "$.objects[0].id" },
		{ TLP2(UUID, "\\u00360a3c5c5"), NRS_ESTIX, "$.objects[0].id" },
		{ TLP2(UUID, "60a3c5c6"), 0, "" },
		{ TLP2("e828b379-4e03-4974-9ac4-e53a884c97c1", "60a3c5c5"), 0, "" },
		{ TOOL(",\"extensions\":[]"), NRS_ESTIX, "$.objects[0].extensions" },
		/* one version of an object once */
		{ TOOL("") "," TOOL(""), NRS_EDUPLICATE, "$.objects" },
		{ TOOL("") "," TOOLT("2025-01-06T09:56:00Z", "2025-01-06T09:56:00.00Z"),
		    NRS_EDUPLICATE, "$.objects" },
		{ TOOL("") "," TOOLT("2025-01-06T09:56:00Z", "2025-01-06T09:56:00.01Z"), 0,
		    "" },
		{ URL("") "," URL(""), NRS_EDUPLICATE, "$.objects" },
		{ TOOL(",\"name\":\"a\",\"name\":\"b\""), NRS_EDUPLICATE, "$.objects[0]" },
		{ TOOL("") "," TOOL2 ",", NRS_ESYNTAX, "$.objects[2]" },
	};
	struct nrs_bundle b;
	struct nrs_detail d;
	char text[2048];
	size_t i;
	int rc;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(text, sizeof(text), HEAD "%s" TAIL, rows[i].objects);
		rc = scan(text, strlen(text), &b, &d);
		if (rc != rows[i].code || strcmp(d.path, rows[i].path) != 0)
			fail_msg("%s: %d %s, wanted %d %s (%s)", rows[i].objects, rc,
			    d.path, rows[i].code, rows[i].path, d.text);
	}
}

static void
test_bundles(void **state)
{
	static const struct {
		const char *text;
		int code;
		unsigned int off;
	} rows[] = {
		{ HEAD TOOL("") TAIL, 0, 0 },
		{ " " HEAD TOOL("") TAIL "\n", 0, 0 },
		{ "{\"objects\":[" TOOL("") "],\"id\":\"bundle--" UUID
					    "\",\"type\":\"bundle\"}",
		    0, 0 },
		{ "{\"x_a\":[1],\"spec_version\":\"2.1\",\"objects\":[" TOOL(
		      "") "],\"id\":\"bundle--" UUID "\",\"type\":\"bundle\"}",
		    0, 0 },
		{ HEAD TOOL("") TAIL "x", NRS_ESYNTAX, sizeof(HEAD TOOL("") TAIL) - 1 },
		{ "", NRS_ESYNTAX, 0 },
		{ "[]", NRS_ESTIX, 0 },
		{ "[x]", NRS_ESYNTAX, 1 },
		{ " {}", NRS_ESTIX, 1 },
		{ "{\"type\":\"bundle\"}", NRS_ESTIX, 0 },
		{ "{\"type\":\"bundle\",\"id\":\"bundle--" UUID "\"}", NRS_ESTIX, 0 },
		{ "{\"type\":\"bundle\",\"id\":\"bundle--x\",\"objects\":[" TOOL("") "]}",
		    NRS_ESTIX, 22 },
		{ "{\"type\":\"bundle\",\"id\":\"bundle--00000000-0000-0000-0000-"
		  "000000000000\",\"objects\":[" TOOL("") "]}",
		    NRS_ESTIX, 22 },
		{ "{\"type\":\"bundle\",\"id\":\"bundle--0c7b5b88-8ff7-9a4d-aa9d-"
		  "feb398cd0061\",\"objects\":[" TOOL("") "]}",
		    NRS_ESTIX, 22 },
		{ "{\"type\":\"bungle\",\"id\":\"bundle--" UUID
		  "\",\"objects\":[" TOOL("") "]}",
		    NRS_ESTIX, 8 },
		{ "{\"objects\":{}}", NRS_ESTIX, 11 },
		{ "{\"objects\":[]}", NRS_ESTIX, 11 },
		{ "{\"id\":5}", NRS_ESTIX, 6 },
		{ "{\"spec_version\":\"2.0\",\"objects\":[" TOOL(
		      "") "],\"id\":\"bundle--" UUID "\",\"type\":\"bundle\"}",
		    NRS_ESTIX, 16 },
	};
	struct nrs_bundle b;
	struct nrs_detail d;
	size_t i;
	int rc;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		rc = scan(rows[i].text, strlen(rows[i].text), &b, &d);
		if (rc != rows[i].code || (rc != 0 && d.off != rows[i].off))
			fail_msg("%s: %d at %u, wanted %d at %u (%s)", rows[i].text, rc,
			    (unsigned int)d.off, rows[i].code, rows[i].off, d.text);
	}
	assert_int_equal(scan(HEAD TOOL("") TAIL, strlen(HEAD TOOL("") TAIL), &b, &d), 0);
	assert_int_equal(b.n, 1);
	assert_int_equal(b.uuid[0], 0x0c);
	assert_int_equal(b.uuid[15], 0x61);
	assert_int_equal(b.tlp_max, NRS_TLP_UNMARKED);
}

static void
test_truncations(void **state)
{
	static const char s[] = HEAD IND(PAT PTYPE VFROM MARK(UUID)) "," URL("") TAIL;
	struct nrs_bundle b;
	struct nrs_detail d;
	size_t n;

	for (n = 0; n < sizeof(s) - 1; n++)
		assert_int_equal(scan(s, n, &b, &d), NRS_ESYNTAX);
	assert_int_equal(scan(s, n, &b, &d), 0);
}

struct got {
	unsigned int n;
	struct nrs_stix_object o[8];
	int rc;
};

static int
on_object(void *arg, const struct nrs_stix_object *o)
{
	struct got *g = arg;

	assert_int_equal(o->n, g->n);
	g->o[g->n++] = *o;
	return g->n == 2 ? g->rc : 0;
}

static bool
is(struct nrs_str s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.p, text, s.len) == 0;
}

static void
test_each(void **state)
{
	static const char s[] =
	    HEAD IND(PAT PTYPE VFROM ",\"revoked\":true") " , " URL("") "," TOOL("") TAIL;
	struct got g = { 0 };
	struct nrs_bundle b;

	assert_int_equal(
	    nrs_bundle_scan((const uint8_t *)s, sizeof(s) - 1, &b, on_object, &g, NULL), 0);
	assert_int_equal(g.n, 3);
	assert_true(is(g.o[0].json, IND(PAT PTYPE VFROM ",\"revoked\":true")));
	assert_true(is(g.o[0].type, "indicator"));
	assert_true(is(g.o[0].id, "indicator--" UUID));
	assert_true(is(g.o[0].created, "2025-01-06T09:56:00Z"));
	assert_true(is(g.o[0].pattern, "[a:b = 'c']"));
	assert_true(g.o[0].revoked);
	assert_true(is(g.o[1].json, URL("")));
	assert_int_equal(g.o[1].created.len, 0);
	assert_int_equal(g.o[1].modified.len, 0);
	assert_false(g.o[2].revoked);
	assert_int_equal(g.o[2].pattern.len, 0);
	/* a reader that has enough ends the scan */
	memset(&g, 0, sizeof(g));
	g.rc = 42;
	assert_int_equal(
	    nrs_bundle_scan((const uint8_t *)s, sizeof(s) - 1, &b, on_object, &g, NULL),
	    42);
	assert_int_equal(g.n, 2);
}

static void
test_tlp(void **state)
{
	static const struct {
		const char *more;
		uint8_t tlp;
	} rows[] = {
		{ "", NRS_TLP_UNMARKED },
		{ MARK(UUID), NRS_TLP_UNMARKED },
		{ MARK("613f2e26-407d-48c7-9eca-b8e91df99dc9"), NRS_TLP_CLEAR },
		{ MARK("34098fce-860f-48ae-8e50-ebd3cc5e41da"), NRS_TLP_GREEN },
		{ MARK("f88d31f6-486f-44da-b317-01333bde0b82"), NRS_TLP_AMBER },
		{ MARK("5e57c739-391a-4eb3-b6be-7d15ca92d5ed"), NRS_TLP_RED },
		{ MARK("94868c89-83c2-464b-929b-a1a8aa3c8487"), NRS_TLP_CLEAR },
		{ MARK("bab4a63c-aed9-4cf5-a766-dfca5abac2bb"), NRS_TLP_GREEN },
		{ MARK("55d920b0-5e8b-4f79-9ee9-91f868d9b421"), NRS_TLP_AMBER },
		{ MARK("939a9414-2ddd-4d32-a0cd-375ea402b003"), NRS_TLP_AMBER_STRICT },
		{ MARK("e828b379-4e03-4974-9ac4-e53a884c97c1"), NRS_TLP_RED },
		/* the strictest of several, wherever it stands */
		{ ",\"object_marking_refs\":[\"marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1\","
		  "\"marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487\"]",
		    NRS_TLP_RED },
		{ MARK(
		      "94868c89-83c2-464b-929b-a1a8aa3c8487") ",\"granular_markings\":[{\"selectors\":"
							      "[\"name\"],\"m\\u0061rking_ref\":\"marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003\"}]",
		    NRS_TLP_AMBER_STRICT },
	};
	struct nrs_bundle b;
	struct nrs_detail d;
	struct got g;
	char text[2048];
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(text, sizeof(text), HEAD TOOL2 "," TOOL("%s") TAIL, rows[i].more);
		assert_int_equal(scan(text, strlen(text), &b, &d), 0);
		assert_int_equal(b.tlp_max, rows[i].tlp);
		memset(&g, 0, sizeof(g));
		assert_int_equal(nrs_bundle_scan((const uint8_t *)text, strlen(text), &b,
				     on_object, &g, NULL),
		    0);
		assert_int_equal(g.o[0].tlp, NRS_TLP_UNMARKED);
		assert_int_equal(g.o[1].tlp, rows[i].tlp);
	}
	for (i = 0; i < NRS_TLP__MAX; i++) {
		snprintf(text, sizeof(text),
		    HEAD TOOL(",\"object_marking_refs\":[\"%s\"]") TAIL,
		    nrs_tlp_marking_id(i));
		assert_int_equal(scan(text, strlen(text), &b, &d), 0);
		assert_int_equal(b.tlp_max, i);
	}
	assert_null(nrs_tlp_marking_id(NRS_TLP__MAX));
}

/*
 * An object is judged alike whatever came before it: objects of the same form,
 * which are passed at a look, and those that leave it at any place.
 */
struct seen {
	const uint8_t *base;
	struct nrs_stix_object o;
};

static int
see(void *arg, const struct nrs_stix_object *o)
{
	((struct seen *)arg)->o = *o;
	return 0;
}

static void
same_view(struct nrs_str a, const uint8_t *a_base, struct nrs_str b, const uint8_t *b_base,
    size_t shift)
{
	assert_int_equal(a.len, b.len);
	assert_int_equal(a.p == NULL, b.p == NULL);
	if (a.p != NULL)
		assert_int_equal(a.p - a_base, b.p - b_base + (ptrdiff_t)shift);
}

static unsigned int alike_n, alike_good;

static void
alike(const char *object, size_t len)
{
	static const char before[] =
	    "{\"type\":\"indicator\"," V21 "\"id\":\"indicator--eeeeeeee-8ff7-4a4d-aa9d-"
	    "feb398cd0061\"," TIMES PAT PTYPE VFROM ",\"x_n\":1},";
	static char one[8192], after[8192];
	struct seen a = { (const uint8_t *)after }, b = { (const uint8_t *)one };
	size_t shift = sizeof(before) - 1, n1, n2;
	struct nrs_bundle ba, bb;
	struct nrs_detail da, db;
	int rc;

	memset(&da, 0, sizeof(da));
	memset(&db, 0, sizeof(db));
	n1 = (size_t)snprintf(one, sizeof(one), HEAD "%.*s" TAIL, (int)len, object);
	n2 = (size_t)snprintf(
	    after, sizeof(after), HEAD "%s%.*s" TAIL, before, (int)len, object);
	rc = nrs_bundle_scan((const uint8_t *)one, n1, &bb, see, &b, &db);
	assert_int_equal(
	    nrs_bundle_scan((const uint8_t *)after, n2, &ba, see, &a, &da), rc);
	alike_n++;
	assert_string_equal(da.text, db.text);
	if (rc != 0) {
		assert_int_equal(da.off, db.off + shift);
		return;
	}
	alike_good++;
	assert_int_equal(ba.tlp_max, bb.tlp_max);
	assert_int_equal(a.o.tlp, b.o.tlp);
	assert_int_equal(a.o.revoked, b.o.revoked);
	same_view(a.o.type, a.base, b.o.type, b.base, shift);
	same_view(a.o.id, a.base, b.o.id, b.base, shift);
	same_view(a.o.created, a.base, b.o.created, b.base, shift);
	same_view(a.o.modified, a.base, b.o.modified, b.base, shift);
	same_view(a.o.pattern, a.base, b.o.pattern, b.base, shift);
	same_view(a.o.json, a.base, b.o.json, b.base, shift);
}

static void
test_shape(void **state)
{
	static const char *const members[] = { "\"type\":\"indicator\"",
		"\"spec_version\":\"2.1\"", "\"id\":\"indicator--" UUID "\"",
		"\"created\":\"2025-01-06T09:56:00Z\"",
		"\"modified\":\"2025-01-06T09:56:00Z\"", "\"pattern\":\"[a:b = 'c']\"",
		"\"pattern_type\":\"stix\"", "\"valid_from\":\"2025-01-06T09:56:00Z\"",
		"\"x_n\":1", "\"revoked\":true", MARKED, "\"x_\\u006e\":2", "\"\":0",
		"\"a_key_of_a_length_that_is_not_looked_for\":null" };
	static const char put[] = "\"\\,:{}[] a-1Z\x01\xc3";
	enum { N = sizeof(members) / sizeof(members[0]), USUAL = 9 };
	char text[4096], cut[4096];
	size_t n, len;

	/* Each member once more, or another one, or none, at each place. */
	for (unsigned int at = 0; at <= USUAL; at++) {
		for (unsigned int extra = 0; extra <= N; extra++) {
			n = (size_t)snprintf(text, sizeof(text), "{");
			for (unsigned int i = 0; i <= USUAL; i++) {
				if (i == at && extra < N)
					n += (size_t)snprintf(text + n, sizeof(text) - n,
					    "%s%s", n > 1 ? "," : "", members[extra]);
				if (i < USUAL && (i != at || extra < N))
					n += (size_t)snprintf(text + n, sizeof(text) - n,
					    "%s%s", n > 1 ? "," : "", members[i]);
			}
			text[n++] = '}';
			alike(text, n);
		}
	}
	/* Another byte at each place, one more, one less, white space. */
	n = (size_t)snprintf(text, sizeof(text), "{");
	for (unsigned int i = 0; i < USUAL; i++)
		n += (size_t)snprintf(
		    text + n, sizeof(text) - n, "%s%s", i > 0 ? "," : "", members[i]);
	text[n++] = '}';
	for (size_t at = 1; at < n; at++) {
		for (size_t k = 0; k < sizeof(put) - 1; k++) {
			memcpy(cut, text, n);
			cut[at] = put[k];
			alike(cut, n);
			len = at;
			memcpy(cut, text, at);
			cut[len++] = put[k];
			memcpy(cut + len, text + at, n - at);
			alike(cut, n + 1);
		}
		memcpy(cut, text, at);
		memcpy(cut + at, text + at + 1, n - at - 1);
		alike(cut, n - 1);
		if (at > 0 && at < n - 1)
			alike(text, at);
	}
	assert_true(alike_n > 5000 && alike_good > 100);
}

/* The verdict does not depend on the order of an object's members: all 720 of six. */
static void
test_order(void **state)
{
	static const struct {
		const char *m[6];
		int code;
	} rows[] = {
		{ { "\"type\":\"tool\"", "\"spec_version\":\"2.1\"",
		      "\"id\":\"tool--" UUID "\"", "\"created\":\"2025-01-06T09:56:00Z\"",
		      "\"modified\":\"2025-01-06T09:56:00Z\"", "\"revoked\":false" },
		    0 },
		{ { "\"type\":\"tool\"", "\"spec_version\":\"2.1\"",
		      "\"id\":\"tool--" UUID "\"", "\"created\":\"2025-01-06T09:56:01Z\"",
		      "\"modified\":\"2025-01-06T09:56:00Z\"", "\"revoked\":false" },
		    NRS_ESTIX },
		{ { "\"type\":\"indicator\"", "\"spec_version\":\"2.1\"",
		      "\"id\":\"indicator--" UUID "\"", TIMES, "\"pattern\":\"x\"",
		      "\"valid_from\":\"2025-01-06T09:56:00Z\"" },
		    NRS_ESTIX },
		{ { "\"type\":\"tool\"", "\"spec_version\":\"2.1\"",
		      "\"id\":\"tool--" UUID "\"", TIMES, "\"name\":\"x\"",
		      "\"n\\u0061me\":\"x\"" },
		    NRS_EDUPLICATE },
	};
	unsigned int p, k, r, i, left, pick[6];
	struct nrs_bundle b;
	struct nrs_detail d;
	char text[1024];
	size_t n;

	for (r = 0; r < sizeof(rows) / sizeof(rows[0]); r++)
		for (p = 0; p < 720; p++) {
			for (i = 0; i < 6; i++)
				pick[i] = i;
			n = (size_t)sprintf(text, HEAD "{");
			for (i = 0, k = p, left = 6; left > 0; i++, left--) {
				n += (size_t)sprintf(text + n, "%s%s", i > 0 ? "," : "",
				    rows[r].m[pick[k % left]]);
				memmove(&pick[k % left], &pick[k % left + 1],
				    (left - k % left - 1) * sizeof(pick[0]));
				k /= left;
			}
			n += (size_t)sprintf(text + n, "}" TAIL);
			if (scan(text, n, &b, &d) != rows[r].code)
				fail_msg("row %u, order %u: %d (%s)", r, p, d.code, d.text);
		}
}

/* No reason shows a value. */
static void
test_no_value_in_detail(void **state)
{
	static const char *const texts[] = {
		HEAD IND(",\"pattern\":[\"SECRET\"]") TAIL,
		HEAD TOOL(",\"created_by_ref\":\"SECRET\"") TAIL,
		HEAD TOOLT("SECRET", "SECRET") TAIL,
		HEAD "{\"type\":\"SECRET\",\"id\":\"SECRET\"}" TAIL,
		HEAD TOOL(",\"x\":{\"http://SECRET/\":SECRET}") TAIL,
	};
	struct nrs_bundle b;
	struct nrs_detail d;
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_true(scan(texts[i], strlen(texts[i]), &b, &d) < 0);
		assert_null(strstr(d.text, "SECRET"));
		assert_null(strstr(d.path, "SECRET"));
		assert_true(d.text[0] != '\0' && d.path[0] == '$');
	}
}

static void
test_many_objects(void **state)
{
	static const char object[] =
	    "{\"type\":\"url\",\"id\":\"url--%08x-8ff7-4a4d-aa9d-feb398cd0061\"},";
	const unsigned int n = 5000;
	struct nrs_bundle b;
	struct nrs_detail d;
	struct nrs_buf t;
	unsigned int i;

	nrs_buf_init(&t, 1u << 20);
	nrs_buf_str(&t, HEAD);
	for (i = 0; i < n; i++)
		nrs_buf_fmt(&t, object, i);
	t.len--;
	nrs_buf_str(&t, TAIL);
	assert_int_equal(scan((char *)t.p, t.len, &b, &d), 0);
	assert_int_equal(b.n, n);
	nrs_buf_reset(&t);
	nrs_buf_str(&t, HEAD);
	for (i = 0; i < n; i++)
		nrs_buf_fmt(&t, object, i == 4321 ? 1234 : i);
	t.len--;
	nrs_buf_str(&t, TAIL);
	assert_int_equal(scan((char *)t.p, t.len, &b, &d), NRS_EDUPLICATE);
	nrs_buf_fini(&t);
}

static uint8_t *
load(const char *path, size_t *ret_len)
{
	uint8_t *p;
	FILE *f;
	long n;

	if ((f = fopen(path, "rb")) == NULL)
		return NULL;
	fseek(f, 0, SEEK_END);
	n = ftell(f);
	rewind(f);
	p = malloc((size_t)n);
	assert_non_null(p);
	assert_int_equal(fread(p, 1, (size_t)n, f), n);
	fclose(f);
	*ret_len = (size_t)n;
	return p;
}

static void
test_real(void **state)
{
	static const struct {
		const char *path;
		unsigned int n;
	} rows[] = {
		{ "../shared/data/stix21/cytrox.json", 687 },
		{ "../shared/data/stix21/novispy.json", 37 },
		{ "../shared/data/stix21/pegasus.json", 3099 },
	};
	struct nrs_buf once, twice;
	struct nrs_bundle b;
	struct nrs_detail d;
	size_t i, len = 0;
	uint8_t *p;

	for (i = 0; i < 3; i++) {
		if ((p = load(rows[i].path, &len)) == NULL) {
			print_message("# SKIP: %s is not there\n", rows[i].path);
			skip();
		}
		memset(&d, 0, sizeof(d));
		if (nrs_bundle_scan(p, len, &b, NULL, NULL, &d) != 0)
			fail_msg("%s: %s %s", rows[i].path, d.path, d.text);
		assert_int_equal(b.n, rows[i].n);
		/* compacting keeps the verdict, and does nothing the second time */
		nrs_buf_init(&once, len);
		nrs_buf_init(&twice, len);
		nrs_json_compact(&once, p, len);
		assert_int_equal(
		    nrs_bundle_scan(once.p, once.len, &b, NULL, NULL, NULL), 0);
		assert_int_equal(b.n, rows[i].n);
		assert_null(memchr(once.p, '\n', once.len));
		nrs_json_compact(&twice, once.p, once.len);
		assert_int_equal(once.len, twice.len);
		assert_memory_equal(once.p, twice.p, once.len);
		nrs_buf_fini(&once);
		nrs_buf_fini(&twice);
		free(p);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_objects),
		cmocka_unit_test(test_bundles),
		cmocka_unit_test(test_truncations),
		cmocka_unit_test(test_each),
		cmocka_unit_test(test_tlp),
		cmocka_unit_test(test_shape),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_no_value_in_detail),
		cmocka_unit_test(test_many_objects),
		cmocka_unit_test(test_real),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
