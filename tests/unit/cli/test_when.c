/* Times and durations as people type them; zones and their gaps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <unistd.h>

#include "tools/noroshi/progress.h"
#include "tools/noroshi/when.h"

static void
test_duration(void **state)
{
	static const struct {
		const char *s;
		int rc;
		uint64_t ms;
	} t[] = {
		{ "45s", 0, 45000 },
		{ "90m", 0, 5400000 },
		{ "12h", 0, 43200000 },
		{ "90d", 0, UINT64_C(7776000000) },
		{ "2w", 0, 1209600000 },
		{ "0d", 0, 0 },
		{ "", NRS_ESYNTAX, 0 },
		{ "d", NRS_ESYNTAX, 0 },
		{ "9", NRS_ESYNTAX, 0 },
		{ "9y", NRS_ESYNTAX, 0 },
		{ "-9d", NRS_ESYNTAX, 0 },
		{ "1.5d", NRS_ESYNTAX, 0 },
		{ "9 d", NRS_ESYNTAX, 0 },
		{ "09d", NRS_ESYNTAX, 0 },
	};
	uint64_t ms;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		ms = 0;
		assert_int_equal(when_duration(t[i].s, &ms), t[i].rc);
		assert_int_equal(ms, t[i].ms);
	}
	assert_int_not_equal(when_duration("99999999999w", &ms), 0);
	assert_int_not_equal(when_duration("18446744073709551616s", &ms), 0);
}

static void
test_parse(void **state)
{
	const struct nrs_wall now = { UINT64_C(1736121600000) }; /* 2025-01-06 */
	static const struct {
		const char *s;
		uint64_t ms;
	} t[] = {
		{ "2025-01-06", UINT64_C(1736121600000) },
		{ "2025-01-06T09:56:00Z", UINT64_C(1736157360000) },
		{ "2025-01-06T09:56:00+09:00", UINT64_C(1736124960000) },
		{ "-1d", UINT64_C(1736035200000) },
		{ "-0s", UINT64_C(1736121600000) },
		{ "-9999w", 0 },
	};
	static const char *const bad[] = { "", "now", "7d", "2025-1-6", "2025-02-30",
		"2025/01/06", "2025-01-06 09:56", "--1d", "1736121600" };
	struct nrs_wall w;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		assert_int_equal(when_parse(t[i].s, now, &w), 0);
		assert_int_equal(w.ms, t[i].ms);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_not_equal(when_parse(bad[i], now, &w), 0);
}

static void
test_fixed_zones(void **state)
{
	static const struct {
		const char *s;
		int64_t east;
	} t[] = { { "UTC", 0 }, { "Z", 0 }, { "+00:00", 0 }, { "+09:00", 32400 },
		{ "-0330", -12600 }, { "+05:45", 20700 } };
	static const char *const bad[] = { "", "+9", "+9:00", "+24:00", "+09:60", "+09-00",
		"+0a:00", "09:00", "utc+9", "../../etc/passwd", "/etc/localtime",
		"Nowhere/Else", "Asia/" };
	struct zone z;
	int64_t utc;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		assert_int_equal(zone_open(&z, t[i].s), 0);
		assert_int_equal(zone_to_utc(&z, 1000000, &utc), 0);
		assert_int_equal(utc, 1000000 - t[i].east);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_not_equal(zone_open(&z, bad[i]), 0);
}

static void
test_named_zones(void **state)
{
	static const struct {
		const char *zone;
		int64_t local;
		int rc;
		int64_t utc;
	} t[] = {
		/* 2019-01-04 10:12 */
		{ "Asia/Tokyo", 1546596720, 0, 1546564320 },
		/* 2025-07-01 12:00, summer, and 2025-01-01 12:00, winter */
		{ "Europe/Berlin", 1751371200, 0, 1751364000 },
		{ "Europe/Berlin", 1735732800, 0, 1735729200 },
		/* 2025-10-26 02:30 comes twice: the first; 2025-03-30 02:30 never */
		{ "Europe/Berlin", 1761445800, 0, 1761438600 },
		{ "Europe/Berlin", 1743301800, NRS_ERANGE, 0 },
		/* the last second before the gap, and the first behind it */
		{ "Europe/Berlin", 1743299999, 0, 1743296399 },
		{ "Europe/Berlin", 1743303600, 0, 1743296400 },
		/* Samoa had no 2011-12-30 */
		{ "Pacific/Apia", 1325246400, NRS_ERANGE, 0 },
		/* Lord Howe moves by half an hour: 2025-04-06 01:45 comes twice */
		{ "Australia/Lord_Howe", 1743903900, 0, 1743864300 },
	};
	struct zone z;
	int64_t utc;

	if (access("/usr/share/zoneinfo/Pacific/Apia", R_OK) != 0) {
		print_message("# skip: no zone data here (package tzdata)\n");
		skip();
	}
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		assert_int_equal(zone_open(&z, t[i].zone), 0);
		utc = 0;
		assert_int_equal(zone_to_utc(&z, t[i].local, &utc), t[i].rc);
		assert_int_equal(utc, t[i].utc);
	}
}

static void
test_eta(void **state)
{
	static const struct {
		double s;
		const char *text;
	} t[] = { { -1, "0 s" }, { 4.4, "4 s" }, { 59.6, "1 min 00 s" },
		{ 200, "3 min 20 s" }, { 3720, "1 h 02 min" }, { 1e300, "100 h 00 min" } };
	char dst[32];

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		assert_string_equal(progress_eta(dst, t[i].s), t[i].text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_duration),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_fixed_zones),
		cmocka_unit_test(test_named_zones),
		cmocka_unit_test(test_eta),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
