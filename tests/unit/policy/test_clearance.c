/* The TLP lattice and clearances, as truth tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "policy/clearance.h"

static void
test_within(void **state)
{
	for (unsigned int t = 0; t < 256; t++) {
		for (unsigned int c = 0; c < 256; c++) {
			bool want = t <= NRS_TLP_RED && c <= NRS_TLP_RED && t <= c;

			assert_int_equal(nrs_tlp_within((uint8_t)t, (uint8_t)c), want);
		}
	}
}

static void
test_covers(void **state)
{
	for (uint8_t h = 0; h < NRS_TLP__MAX; h++) {
		assert_true(nrs_tlp_covers(h, NRS_TLP_NONE));
		for (uint8_t o = 0; o < NRS_TLP__MAX; o++)
			assert_int_equal(nrs_tlp_covers(h, o), h >= o);
	}
	assert_false(nrs_tlp_covers(5, 0));
	assert_false(nrs_tlp_covers(4, 5));
}

static void
test_effective(void **state)
{
	assert_int_equal(nrs_tlp_effective(NRS_TLP_NONE, NRS_TLP_AMBER), NRS_TLP_AMBER);
	assert_int_equal(nrs_tlp_effective(NRS_TLP_CLEAR, NRS_TLP_AMBER), NRS_TLP_CLEAR);
}

static void
test_community(void **state)
{
	static const struct {
		uint8_t tlp, ceiling;
		int want;
	} v[] = {
		{ NRS_TLP_CLEAR, NRS_TLP_CLEAR, 0 },
		{ NRS_TLP_GREEN, NRS_TLP_CLEAR, NRS_ECEILING },
		{ NRS_TLP_AMBER_STRICT, NRS_TLP_AMBER, NRS_ECEILING },
		{ NRS_TLP_AMBER_STRICT, NRS_TLP_RED, 0 },
		{ NRS_TLP_RED, NRS_TLP_RED, NRS_ECEILING },
		{ 5, NRS_TLP_RED, NRS_ECEILING },
	};

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++)
		assert_int_equal(nrs_community_allows(v[i].tlp, v[i].ceiling), v[i].want);
}

static void
test_clearance(void **state)
{
	static const char *const names[] = { "iwwn", "apcert" };
	struct nrs_clearance all = { .tlp = NRS_TLP_AMBER, .all = true };
	struct nrs_clearance some = {
		.tlp = NRS_TLP_RED, .communities = names, .ncommunities = 2
	};

	assert_true(nrs_clearance_allows(&all, "iwwn", NRS_TLP_AMBER));
	assert_true(nrs_clearance_allows(&all, NULL, NRS_TLP_AMBER));
	assert_false(nrs_clearance_allows(&all, "iwwn", NRS_TLP_AMBER_STRICT));
	assert_true(nrs_clearance_allows(&some, "apcert", NRS_TLP_RED));
	assert_false(nrs_clearance_allows(&some, "apcer", NRS_TLP_CLEAR));
	assert_false(nrs_clearance_allows(&some, "other", NRS_TLP_CLEAR));
	assert_false(nrs_clearance_allows(&some, NULL, NRS_TLP_CLEAR));
	some.direct = true;
	assert_true(nrs_clearance_allows(&some, NULL, NRS_TLP_CLEAR));
	assert_false(nrs_clearance_allows(&some, NULL, NRS_TLP_NONE));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_within),
		cmocka_unit_test(test_covers),
		cmocka_unit_test(test_effective),
		cmocka_unit_test(test_community),
		cmocka_unit_test(test_clearance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
