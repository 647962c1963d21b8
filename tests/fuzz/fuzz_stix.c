/*
 * Any bytes as a bundle: no crash, objects lie inside, and what was accepted is
 * accepted again after compacting, with the same objects and marking.
 */
#include <stdlib.h>
#include <string.h>

#include "stix/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

struct seen {
	const uint8_t *p;
	size_t len;
	unsigned int n;
};

static int
on_object(void *arg, const struct nrs_stix_object *o)
{
	struct seen *s = arg;
	struct nrs_buf b;

	if (o->n != s->n++ || o->json.p < s->p || o->json.len > s->len ||
	    o->json.p + o->json.len > s->p + s->len ||
	    nrs_json_check(o->json.p, o->json.len, NULL) != 0)
		abort();
	if (o->id.len != o->type.len + 38 || memcmp(o->id.p, o->type.p, o->type.len) != 0)
		abort();
	nrs_buf_init(&b, s->len + 1);
	nrs_json_unescape(&b, o->pattern);
	if (b.err != 0 || b.len > o->pattern.len)
		abort();
	nrs_buf_fini(&b);
	return 0;
}

static void
check_compact(const uint8_t *p, size_t len, const struct nrs_bundle *first)
{
	struct nrs_bundle b;
	struct nrs_buf c;

	nrs_buf_init(&c, len + 1);
	nrs_json_compact(&c, p, len);
	if (c.err != 0 || nrs_bundle_scan(c.p, c.len, &b, NULL, NULL, NULL) != 0 ||
	    b.n != first->n || b.tlp_max != first->tlp_max)
		abort();
	nrs_buf_fini(&c);
}

/* Any text can be quoted, and is then a string. */
static void
check_quote(const uint8_t *p, size_t len)
{
	struct nrs_buf b;

	nrs_buf_init(&b, len * 6 + 2);
	nrs_json_quote(&b, (const char *)p, len);
	if (b.err != 0 || nrs_json_check(b.p, b.len, NULL) != 0)
		abort();
	nrs_buf_fini(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	struct seen s = { p, len, 0 };
	struct nrs_detail d = { 0 };
	struct nrs_bundle b;
	int rc;

	rc = nrs_bundle_scan(p, len, &b, on_object, &s, &d);
	if (rc > 0 || (rc != 0 && rc != NRS_ENOMEM && (d.code != rc || d.off > len)))
		abort();
	if (rc == 0 && (b.n == 0 || nrs_json_check(p, len, NULL) != 0))
		abort();
	if (rc == 0)
		check_compact(p, len, &b);
	check_quote(p, len);
	return 0;
}
