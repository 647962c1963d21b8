/* Export of records: what a node gives out verifies elsewhere, what it does not have it names. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proof/proof.h"
#include "tests/unit/node/pair.h"

static struct world w;

static uint64_t
newest(unsigned int i)
{
	return w.v[i].n->own->put.size - 1;
}

static int export(unsigned int at, const char *origin, uint64_t index, const char *hex8,
    bool proof, struct nrs_buf *b, struct node_export_info *info, struct nrs_detail *d)
{
	memset(d, 0, sizeof(*d));
	nrs_buf_init(b, NRS_PROOF_FILE_MAX);
	return node_export(w.v[at].n, origin, index, hex8, proof, b, info, d);
}

static void
assert_refused(unsigned int at, const char *origin, uint64_t index, const char *hex8,
    int err, const char *why)
{
	struct node_export_info info;
	struct nrs_detail d;
	struct nrs_buf b;

	assert_int_equal(export(at, origin, index, hex8, true, &b, &info, &d), err);
	assert_int_equal(d.code, err);
	assert_int_equal(b.len, 0);
	if (strstr(d.text, why) == NULL)
		fail_msg("not \"%s\": %s", why, d.text);
	nrs_buf_fini(&b);
}

/* Small and large, at the origin and elsewhere: with nothing but the origin's manifest. */
static void
assert_proves(unsigned int at, uint64_t index)
{
	struct nrs_str given = { w.v[0].manifest.p, w.v[0].manifest.len };
	struct node_export_info info;
	struct nrs_proof_result r;
	struct nrs_buf b, plain;
	struct nrs_detail d;

	assert_int_equal(export(at, w.v[0].name, index, NULL, true, &b, &info, &d), 0);
	assert_int_equal(
	    nrs_proof_file_verify(&r, b.p, b.len, &given, 1, nrs_verify, &d), 0);
	assert_int_equal(r.index, index);
	assert_int_equal(info.kind, NRS_KIND_BUNDLE);
	assert_int_equal(info.tlp, r.header.tlp);
	assert_int_equal(export(at, w.v[0].name, index, strchr(info.id, '~') + 1, false,
			     &plain, &info, &d),
	    0);
	assert_int_equal(plain.len, r.payload.len);
	assert_memory_equal(plain.p, r.payload.p, plain.len);
	nrs_buf_fini(&plain);
	nrs_buf_fini(&b);
}

static void
test_export(void **state)
{
	uint64_t small, large, direct;

	world_new(&w, 3);
	for (unsigned int i = 0; i < 3; i++)
		world_open(&w, i, true);
	world_run(&w, 5);
	world_community(&w);
	world_submit(&w, 0, 3, 0);
	small = newest(0);
	world_submit(&w, 0, 2, 2u << 20);
	large = newest(0);
	world_submit_direct(&w, 0, 1, 1, 0);
	direct = newest(0);
	world_run(&w, 30);
	for (unsigned int at = 0; at < 3; at++) {
		assert_proves(at, small);
		assert_proves(at, large);
	}
	assert_proves(0, direct);
	assert_proves(1, direct);
	assert_refused(2, w.v[0].name, direct, NULL, NRS_ENOTFOUND, "sealed here");
	assert_refused(2, w.v[0].name, 0, NULL, NRS_ENOTFOUND, "a public document");
	assert_refused(
	    2, w.v[0].name, newest(0) + 1, NULL, NRS_ENOTFOUND, "newest checkpoint");
	assert_refused(2, w.v[0].name, NRS_NONE - 1, NULL, NRS_ENOTFOUND, "checkpoint");
	assert_refused(2, w.v[0].name, small, "00000000", NRS_ELEAF, "is ~");
	assert_refused(2, "kr.cert.example", 1, NULL, NRS_EUNKNOWN, "no log of");
	world_free(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_export),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
