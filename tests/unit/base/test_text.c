/* Text forms: one text for one value, and nothing that fools a reader. */
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#define N(a) (sizeof(a) / sizeof((a)[0]))

static void
test_hex(void **state)
{
	static const struct {
		const char *s;
		int rc;
	} t[] = { { "00ff10", 0 }, { "00FF10", 0 }, { "00ff1", NRS_ESYNTAX },
		{ "00ff1000", NRS_ESYNTAX }, { "00fg10", NRS_ESYNTAX }, { "", NRS_ESYNTAX },
		{ " 0ff10", NRS_ESYNTAX }, { "0x0f10", NRS_ESYNTAX } };
	uint8_t b[3];
	char s[7];
	size_t i;

	for (i = 0; i < N(t); i++)
		assert_int_equal(nrs_hex_parse(t[i].s, strlen(t[i].s), b, 3), t[i].rc);
	assert_int_equal(nrs_hex_parse("00fF10", 6, b, 3), 0);
	nrs_hex_format(s, b, 3);
	assert_string_equal(s, "00ff10");
}

static void
test_b64(void **state)
{
	/* RFC 4648 section 10 */
	static const char *const ok[][2] = { { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" },
		{ "foo", "Zm9v" }, { "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" }, { "\xff\xef\xbe", "/+++" } };
	static const char *const bad[] = { "Zg=", "Zg", "Z===", "====", "=",
		"Zh==", "Zm9=", "Zm9v\n", "Zm9v Zm9v", "Zg==Zg==", "Zm-v", "Zm_v",
		"Zm9v====", "Z=g=", "\0\0\0\0" };
	uint8_t out[16];
	char text[32];
	size_t i, n;

	for (i = 0; i < N(ok); i++) {
		n = strlen(ok[i][0]);
		nrs_b64_format(text, (const uint8_t *)ok[i][0], n);
		assert_string_equal(text, ok[i][1]);
		assert_int_equal(strlen(text), NRS_B64_LEN(n));
		assert_int_equal(nrs_b64_parse(text, strlen(text), out, n, &n), 0);
		assert_int_equal(n, strlen(ok[i][0]));
		assert_memory_equal(out, ok[i][0], n);
		if (n > 0)
			assert_int_equal(
			    nrs_b64_parse(text, strlen(text), out, n - 1, &n), NRS_ELIMIT);
	}
	for (i = 0; i < N(bad); i++)
		assert_int_equal(nrs_b64_parse(bad[i], i == N(bad) - 1 ? 4 : strlen(bad[i]),
				     out, sizeof(out), &n),
		    NRS_ESYNTAX);
}

static void
test_fingerprint(void **state)
{
	/* SHA-256("abc") */
	static const uint8_t abc[] = { 0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41,
		0x41, 0x40, 0xde, 0x5d };
	static const char *const bad[] = { "", "XJ4B-NP4P-AHH6-UQKB-IDP",
		"XJ4B-NP4P-AHH6-UQKB-IDPFF", "XJ4B-NP4P-AHH6-UQKB-IDP1",
		"XJ4B_NP4P_AHH6_UQKB_IDPF" };
	struct nrs_hash h = { { 0 } };
	char s[25], t[25] = "unchanged";
	size_t i;

	memcpy(h.b, abc, sizeof(abc));
	nrs_fingerprint_format(s, &h);
	assert_string_equal(s, "XJ4B-NP4P-AHH6-UQKB-IDPF");
	for (i = 0; i < N(bad); i++)
		assert_int_equal(nrs_fingerprint_parse(bad[i], t), NRS_ESYNTAX);
	assert_string_equal(t, "unchanged");
	assert_int_equal(nrs_fingerprint_parse(" xj4bnp4p ahh6-uqkB-IDpf", t), 0);
	assert_string_equal(t, s);
}

static void
test_uuid(void **state)
{
	static const char *const bad[] = { "", "123e4567-e89b-42d3-a456-42661417400",
		"123e4567-e89b-42d3-a456-4266141740000",
		"123E4567-e89b-42d3-a456-426614174000",
		"123e4567ee89b-42d3-a456-426614174000",
		"123e4567-e89b-42d3-a456-42661417400g",
		"{23e4567-e89b-42d3-a456-426614174000" };
	const char *ok = "123e4567-e89b-42d3-a456-426614174000";
	uint8_t u[16];
	char s[37];
	size_t i;

	assert_int_equal(nrs_uuid_parse(ok, 36, u), 0);
	nrs_uuid_format(s, u);
	assert_string_equal(s, ok);
	for (i = 0; i < N(bad); i++)
		assert_int_equal(nrs_uuid_parse(bad[i], strlen(bad[i]), u), NRS_ESYNTAX);
}

static void
test_utf8(void **state)
{
	static const struct {
		const char *s;
		size_t bad; /* offset of the first bad byte; length if none */
	} t[] = { { "plain", 5 }, { "\xc2\x80\xdf\xbf", 4 },
		{ "\xe0\xa0\x80\xef\xbf\xbf", 6 },
		{ "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 8 }, { "a\x80", 1 },
		{ "\xc0\x80", 0 }, { "\xc1\xbf", 0 }, { "\xe0\x9f\xbf", 0 },
		{ "\xed\xa0\x80", 0 }, { "\xed\xbf\xbf", 0 },
		{ "\xed\x9f\xbf\xee\x80\x80", 6 }, { "\xf0\x8f\xbf\xbf", 0 },
		{ "\xf4\x90\x80\x80", 0 }, { "ab\xe3\x81", 2 }, { "\xf5\x80\x80\x80", 0 },
		{ "\xff", 0 }, { "\xc3(", 0 } };
	size_t i, off;
	uint32_t cp;

	for (i = 0; i < N(t); i++) {
		assert_true(nrs_utf8_ok((const uint8_t *)t[i].s, strlen(t[i].s), &off) ==
		    (t[i].bad == strlen(t[i].s)));
		assert_int_equal(off, t[i].bad);
	}
	assert_int_equal(nrs_utf8_next((const uint8_t *)"\xf0\x9f\x94\xa5", 4, &cp), 4);
	assert_int_equal(cp, 0x1f525);
	assert_int_equal(
	    nrs_utf8_next((const uint8_t *)"", 1, &cp), 1); /* NUL is a character */
	assert_int_equal(nrs_utf8_next(NULL, 0, &cp), 0);
}

static void
test_width(void **state)
{
	static const struct {
		uint32_t cp;
		int width;
	} t[] = { { 'a', 1 }, { 0xe9, 1 }, { 0x300, 0 }, { 0x36f, 0 }, { 0x370, 1 },
		{ 0x3b1, 1 }, { 0x10ff, 1 }, { 0x1100, 2 }, { 0x1160, 0 }, { 0x200b, 0 },
		{ 0x200d, 0 }, { 0x2010, 1 }, { 0x2026, 1 }, { 0x3042, 2 }, { 0x3099, 0 },
		{ 0x4e00, 2 }, { 0xac00, 2 }, { 0xd7a3, 2 }, { 0xfe0f, 0 }, { 0xff01, 2 },
		{ 0xff61, 1 }, { 0x1f525, 2 }, { 0x1f600, 2 }, { 0x20000, 2 },
		{ 0xe0100, 0 }, { 0x10ffff, 1 } };
	size_t i;

	for (i = 0; i < N(t); i++)
		assert_int_equal(nrs_utf8_width(t[i].cp), t[i].width);
	assert_int_equal(nrs_text_width("ab\xe3\x81\x82"
					"e\xcc\x81\xff",
			     9),
	    6);
}

static void
test_escape(void **state)
{
	static const struct {
		const char *in;
		const char *out;
	} t[] = { { "plain \xe3\x81\x82", "plain \xe3\x81\x82" }, { "a\\b", "a\\\\b" },
		{ "\x1b[31m\n\t\x7f", "\\x1b[31m\\x0a\\x09\\x7f" },
		{ "\xc2\x85\xc2\x9b\xc2\xa0", "\\u{0085}\\u{009b}\xc2\xa0" },
		{ "\xd8\x9c", "\\u{061c}" },
		{ "\xe2\x80\x8e\xe2\x80\x8f", "\\u{200e}\\u{200f}" },
		{ "\xe2\x80\xaa\xe2\x80\xae", "\\u{202a}\\u{202e}" },
		{ "\xe2\x80\xa9\xe2\x80\xa8", "\\u{2029}\\u{2028}" },
		{ "\xe2\x81\xa6\xe2\x81\xa9", "\\u{2066}\\u{2069}" },
		{ "\xe2\x81\xa5\xe2\x80\xaf", "\xe2\x81\xa5\xe2\x80\xaf" },
		{ "\xef\xbb\xbf", "\\u{feff}" }, { "\xff\xc3(", "\\xff\\xc3(" },
		{ "\xed\xa0\x80", "\\xed\\xa0\\x80" } };
	char out[128];
	size_t i, max, n;

	for (i = 0; i < N(t); i++) {
		n = nrs_text_escape(out, sizeof(out), t[i].in, strlen(t[i].in));
		assert_string_equal(out, t[i].out);
		assert_int_equal(n, strlen(t[i].out));
	}
	assert_int_equal(nrs_text_escape(out, sizeof(out), "a\0b", 3), 6);
	assert_string_equal(out, "a\\x00b");
	/* whole escapes only, and never past the end */
	for (max = 1; max < 12; max++) {
		memset(out, '#', sizeof(out));
		n = nrs_text_escape(out, max, "\nx\xe2\x80\xae", 5);
		assert_true(n < max && (n == 0 || n == 4 || n == 5));
		assert_int_equal(out[n], '\0');
		assert_int_equal(out[max], '#');
	}
	out[0] = '#';
	assert_int_equal(nrs_text_escape(out, 0, "x", 1), 0);
	assert_int_equal(out[0], '#');
}

static void
test_time(void **state)
{
	static const struct {
		const char *s;
		int rc;
		uint64_t ms;
	} t[] = { { "1970-01-01T00:00:00Z", 0, 0 },
		{ "2026-11-22T14:41:00.123Z", 0, 1795358460123 },
		{ "2000-02-29T23:59:59.999Z", 0, 951868799999 },
		{ "9999-12-31T23:59:59.999999999Z", 0, 253402300799999 },
		{ "2026-11-22T14:41:00.5Z", 0, 1795358460500 },
		{ "2026-11-22T23:41:00+09:00", 0, 1795358460000 },
		{ "2026-11-22T09:11:00-05:30", 0, 1795358460000 },
		{ "1970-01-01T00:59:59+01:00", NRS_ERANGE, 0 },
		{ "9999-12-31T23:59:59-00:01", NRS_ERANGE, 0 },
		{ "1969-12-31T23:59:59Z", NRS_ERANGE, 0 },
		{ "2026-02-29T00:00:00Z", NRS_ERANGE, 0 },
		{ "2100-02-29T00:00:00Z", NRS_ERANGE, 0 },
		{ "2026-13-01T00:00:00Z", NRS_ERANGE, 0 },
		{ "2026-00-01T00:00:00Z", NRS_ERANGE, 0 },
		{ "2026-04-31T00:00:00Z", NRS_ERANGE, 0 },
		{ "2026-01-00T00:00:00Z", NRS_ERANGE, 0 },
		{ "2026-01-01T24:00:00Z", NRS_ERANGE, 0 },
		{ "2026-01-01T00:60:00Z", NRS_ERANGE, 0 },
		{ "2016-12-31T23:59:60Z", NRS_ERANGE, 0 },
		{ "2026-01-01T00:00:00+24:00", NRS_ERANGE, 0 },
		{ "2026-01-01T00:00:00+00:60", NRS_ERANGE, 0 }, { "", NRS_ESYNTAX, 0 },
		{ "2026-01-01t00:00:00Z", NRS_ESYNTAX, 0 },
		{ "2026-01-01T00:00:00z", NRS_ESYNTAX, 0 },
		{ "2026-01-01 00:00:00Z", NRS_ESYNTAX, 0 },
		{ "2026-01-01T00:00:00", NRS_ESYNTAX, 0 },
		{ "2026-01-01T00:00:00.Z", NRS_ESYNTAX, 0 },
		{ "2026-01-01T00:00:00.1234567890Z", NRS_ESYNTAX, 0 },
		{ "2026-01-01T00:00:00Z ", NRS_ESYNTAX, 0 },
		{ "2026-1-01T00:00:00Z", NRS_ESYNTAX, 0 },
		{ "+026-01-01T00:00:00Z", NRS_ESYNTAX, 0 },
		{ "2026-01-01T00:00:00+0900", NRS_ESYNTAX, 0 } };
	struct nrs_wall w;
	char s[25], u[21];
	size_t i;

	for (i = 0; i < N(t); i++) {
		assert_int_equal(nrs_time_parse(t[i].s, strlen(t[i].s), &w), t[i].rc);
		if (t[i].rc == 0)
			assert_true(w.ms == t[i].ms);
	}
	w.ms = 1795358460123;
	nrs_time_format(s, w);
	assert_string_equal(s, "2026-11-22T14:41:00.123Z");
	assert_int_equal(strlen(s), NRS_TIME_LEN);
	nrs_time_format_s(u, w);
	assert_string_equal(u, "2026-11-22T14:41:00Z");
	w.ms = UINT64_MAX;
	nrs_time_format(s, w);
	assert_string_equal(s, "9999-12-31T23:59:59.999Z");
}

/* Every day until 9999, there and back. */
static void
test_days(void **state)
{
	struct nrs_wall w = { 0 }, back;
	int64_t day;
	char s[21];

	for (; w.ms <= 253402300799999; w.ms += 86400000) {
		nrs_time_format_s(s, w);
		if (nrs_time_parse(s, 20, &back) != 0 || back.ms != w.ms)
			fail_msg("%s", s);
	}
	assert_int_equal(nrs_date_days(1, 1, 1, &day), 0);
	assert_int_equal(day, -719162);
	assert_int_equal(nrs_date_days(1969, 12, 31, &day), 0);
	assert_int_equal(day, -1);
	assert_int_equal(nrs_date_days(0, 1, 1, &day), NRS_ERANGE);
	assert_int_equal(nrs_date_days(10000, 1, 1, &day), NRS_ERANGE);
	assert_int_equal(nrs_date_days(1900, 2, 29, &day), NRS_ERANGE);
}

static void
test_names(void **state)
{
	static const char *const origins[] = { "cert.example.jp", "a.b", "xn--fsq.example",
		"1.2" };
	static const char *const not_origins[] = { "", "cert", ".", "a.", ".a", "a..b",
		"A.b", "a_b.c", "-a.b", "a-.b", "a.-b", "a.b-", "a.b/", "a.b ", "a.b\n",
		"\xc3\xa9.b" };
	static const char *const names[] = { "a", "9", "iwwn", "jp-cert_2.x" };
	static const char *const not_names[] = { "", "-a", ".a", "_a", "A", "a b", "a,",
		"a/b" };
	char big[300];
	size_t i;

	for (i = 0; i < N(origins); i++)
		assert_true(nrs_origin_ok(origins[i], strlen(origins[i])));
	for (i = 0; i < N(not_origins); i++)
		assert_false(nrs_origin_ok(not_origins[i], strlen(not_origins[i])));
	for (i = 0; i < N(names); i++)
		assert_true(nrs_name_ok(names[i], strlen(names[i])));
	for (i = 0; i < N(not_names); i++)
		assert_false(nrs_name_ok(not_names[i], strlen(not_names[i])));
	memset(big, 'a', sizeof(big));
	assert_true(nrs_name_ok(big, 64));
	assert_false(nrs_name_ok(big, 65));
	big[63] = big[127] = big[191] = '.';
	assert_true(nrs_origin_ok(big, 253));
	assert_false(nrs_origin_ok(big, 254));
	big[63] = 'a';
	big[64] = '.';
	assert_false(nrs_origin_ok(big, 100));
}

static void
test_numbers(void **state)
{
	static const struct {
		const char *s;
		uint64_t max;
		int rc;
		uint64_t v;
	} t[] = { { "0", 10, 0, 0 }, { "10", 10, 0, 10 }, { "11", 10, NRS_ERANGE, 0 },
		{ "18446744073709551615", UINT64_MAX, 0, UINT64_MAX },
		{ "18446744073709551616", UINT64_MAX, NRS_ERANGE, 0 },
		{ "99999999999999999999999", UINT64_MAX, NRS_ERANGE, 0 },
		{ "99999999999999999999999x", UINT64_MAX, NRS_ESYNTAX, 0 },
		{ "", 9, NRS_ESYNTAX, 0 }, { "00", 9, NRS_ESYNTAX, 0 },
		{ "01", 9, NRS_ESYNTAX, 0 }, { "-1", 9, NRS_ESYNTAX, 0 },
		{ "+1", 9, NRS_ESYNTAX, 0 }, { " 1", 9, NRS_ESYNTAX, 0 },
		{ "1 ", 9, NRS_ESYNTAX, 0 } };
	uint64_t v;
	size_t i;

	for (i = 0; i < N(t); i++) {
		v = 0;
		assert_int_equal(
		    nrs_u64_parse(t[i].s, strlen(t[i].s), t[i].max, &v), t[i].rc);
		assert_true(v == t[i].v);
	}
}

static void
test_words(void **state)
{
	static const struct {
		const char *s;
		int t; /* -1: refused */
	} tlp[] = { { "CLEAR", 0 }, { "TLP:WHITE", 0 }, { "white", 0 }, { "tlp:green", 1 },
		{ "Amber", 2 }, { "TLP:AMBER+STRICT", 3 }, { "RED", 4 },
		{ "TLP:TLP:RED", -1 }, { "TLP:", -1 }, { "", -1 }, { "AMBER STRICT", -1 },
		{ "REDD", -1 }, { "RE", -1 } };
	enum nrs_tlp got;
	char big[80];
	size_t i;

	for (i = 0; i < N(tlp); i++) {
		int rc = nrs_tlp_parse(tlp[i].s, strlen(tlp[i].s), &got);

		assert_int_equal(rc, tlp[i].t < 0 ? NRS_ESYNTAX : 0);
		if (rc == 0)
			assert_int_equal(got, tlp[i].t);
	}
	assert_string_equal(nrs_tlp_name(NRS_TLP_AMBER_STRICT), "AMBER+STRICT");
	assert_string_equal(nrs_tlp_name(NRS_TLP__MAX), "unknown");
	assert_string_equal(nrs_kind_name(NRS_KIND_BUNDLE), "bundle");
	assert_string_equal(nrs_kind_name(NRS_KIND_MEMBERSHIP), "membership");
	assert_string_equal(nrs_kind_name(0), "unknown");
	assert_string_equal(nrs_kind_name(255), "unknown");
	assert_string_equal(nrs_action_name(NRS_ACTION_STATE), "state");
	assert_string_equal(nrs_action_name(NRS_ACTION__MAX), "unknown");

	assert_int_equal(nrs_text_distance("kitten", "sitting"), 3);
	assert_int_equal(nrs_text_distance("", "abc"), 3);
	assert_int_equal(nrs_text_distance("abc", "abc"), 0);
	memset(big, 'a', 65);
	big[64] = '\0';
	assert_int_equal(nrs_text_distance(big, big), 0);
	big[64] = 'a';
	big[65] = '\0';
	assert_int_equal(nrs_text_distance(big, "a"), 64);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hex),
		cmocka_unit_test(test_b64),
		cmocka_unit_test(test_fingerprint),
		cmocka_unit_test(test_uuid),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_width),
		cmocka_unit_test(test_escape),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_days),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
