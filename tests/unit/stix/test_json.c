/* JSON: every production, and for each the ways to break it, with code and offset. */
#include "stix/jlex.h"
#include "stix/scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define S NRS_ESYNTAX
#define U NRS_EUTF8

/* The text in memory of exactly its size, so that a sanitizer sees a read beyond. */
static int
check(const char *s, size_t len, struct nrs_detail *d)
{
	uint8_t *p = malloc(len > 0 ? len : 1);
	int rc;

	assert_non_null(p);
	memcpy(p, s, len);
	memset(d, 0, sizeof(*d));
	rc = nrs_json_check(p, len, d);
	assert_int_equal(rc, d->code);
	free(p);
	return rc;
}

static void
test_table(void **state)
{
	static const struct {
		const char *text;
		int code;
		unsigned int off;
	} rows[] = {
		/* values */
		{ "null", 0, 0 },
		{ " \t\r\n true \n", 0, 0 },
		{ "false", 0, 0 },
		{ "\"\"", 0, 0 },
		{ "[]", 0, 0 },
		{ "{}", 0, 0 },
		{ "[[],{},[{}],\"\",0,null]", 0, 0 },
		{ "", S, 0 },
		{ "  ", S, 2 },
		{ "nul", S, 0 },
		{ "True", S, 0 },
		{ "nullx", S, 4 },
		{ "null null", S, 5 },
		{ "\xef\xbb\xbf{}", S, 0 },
		{ "\v1", S, 0 },
		{ "'a'", S, 0 },
		{ "NaN", S, 0 },
		{ "Infinity", S, 0 },
		{ "// x\n1", S, 0 },
		/* arrays */
		{ "[1,2,3]", 0, 0 },
		{ "[ 1 , 2 ]", 0, 0 },
		{ "[", S, 1 },
		{ "[1", S, 2 },
		{ "[1,", S, 3 },
		{ "[1,]", S, 3 },
		{ "[,1]", S, 1 },
		{ "[1 2]", S, 3 },
		{ "[1}", S, 2 },
		{ "]", S, 0 },
		{ "[]]", S, 2 },
		/* objects */
		{ "{\"a\":1,\"b\":{\"a\":1}}", 0, 0 },
		{ " { \"a\" : 1 , \"b\" : 2 } ", 0, 0 },
		{ "{", S, 1 },
		{ "{\"a\"", S, 4 },
		{ "{\"a\":", S, 5 },
		{ "{\"a\" 1}", S, 5 },
		{ "{\"a\":1", S, 6 },
		{ "{\"a\":1,}", S, 7 },
		{ "{\"a\":1 \"b\":2}", S, 7 },
		{ "{,}", S, 1 },
		{ "{a:1}", S, 1 },
		{ "{1:1}", S, 1 },
		{ "{\"a\":1]", S, 6 },
		{ "{\"a\"::1}", S, 5 },
		/* duplicate keys, however they are written */
		{ "{\"a\":1,\"a\":2}", NRS_EDUPLICATE, 7 },
		{ "{\"\":1,\"\":2}", NRS_EDUPLICATE, 6 },
		{ "{\"a\":1,\"\\u0061\":2}", NRS_EDUPLICATE, 7 },
		{ "{\"\\u0061\":1,\"a\":2}", NRS_EDUPLICATE, 12 },
		{ "{\"/abcdefghij\":1,\"\\/abcdefghij\":2}", NRS_EDUPLICATE, 17 },
		{ "{\"\xf0\x9f\x98\x80\":1,\"\\ud83d\\uDE00\":2}", NRS_EDUPLICATE, 10 },
		{ "[{\"k\":{\"abcdefgh\":1,\"abcdefgh\":2}}]", NRS_EDUPLICATE, 20 },
		{ "{\"a\":1,\"A\":2,\"a \":3,\"aa\":4}", 0, 0 },
		{ "{\"\\\\u0061\":1,\"a\":2}", 0, 0 },
		{ "[{\"a\":1},{\"a\":2}]", 0, 0 },
		/* strings */
		{ "\"abcdefghijklmnopqrstuvwxyz 0123456789 /\x7f\"", 0, 0 },
		{ "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uABCD\"", 0, 0 },
		{ "\"\\u0000\"", 0, 0 },
		{ "\"abc", S, 4 },
		{ "\"", S, 1 },
		{ "\"abcdefghijklmnopqrstuvwxyz", S, 27 },
		{ "\"a\nb\"", S, 2 },
		{ "\"0123456789abcdef\x1f\"", S, 17 },
		{ "\"\t\"", S, 1 },
		{ "\"\\x41\"", S, 1 },
		{ "\"\\'\"", S, 1 },
		{ "\"\\u12G4\"", S, 1 },
		{ "\"\\u12\"", S, 1 },
		{ "\"\\", S, 2 },
		{ "\"\\u", S, 1 },
		{ "\"\\U0041\"", S, 1 },
		/* surrogates and noncharacters (RFC 7493, 2.1) */
		{ "\"\\ud83d\\ude00\"", 0, 0 },
		{ "\"\\ud83d\"", U, 1 },
		{ "\"\\ude00\"", U, 1 },
		{ "\"\\ud83dx\\ude00\"", U, 1 },
		{ "\"\\ud83d\\ud83d\"", U, 1 },
		{ "\"\\ud83d\\u0041\"", U, 1 },
		{ "\"ab\\ud83d\\", U, 3 },
		{ "\"\\uffff\"", U, 1 },
		{ "\"\\ufdd0\"", U, 1 },
		{ "\"\\ud83f\\udffe\"", U, 1 },
		{ "\"\xef\xbf\xbe\"", U, 1 },
		{ "\"\xef\xb7\x90\"", U, 1 },
		{ "\"\xf0\x9f\xbf\xbf\"", U, 1 },
		{ "\"\xef\xbf\xbd\xef\xb7\x8f\xef\xb7\xb0\"", 0, 0 },
		/* UTF-8 (RFC 3629) */
		{ "\"\xc3\xa9\xe4\xb8\x89\xf0\x9f\x98\x80\xf4\x8f\xbf\xbd\"", 0, 0 },
		{ "\"\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\"", 0, 0 },
		{ "\"\x80\"", U, 1 },
		{ "\"\xc0\xaf\"", U, 1 },
		{ "\"\xc1\xbf\"", U, 1 },
		{ "\"\xc3\"", U, 1 },
		{ "\"\xc3(\"", U, 1 },
		{ "\"a\xe0\x9f\xbf\"", U, 2 },
		{ "\"\xed\xa0\x80\"", U, 1 },
		{ "\"\xe4\xb8\"", U, 1 },
		{ "\"\xf0\x8f\xbf\xbf\"", U, 1 },
		{ "\"\xf4\x90\x80\x80\"", U, 1 },
		{ "\"\xf5\x80\x80\x80\"", U, 1 },
		{ "\"\xff\"", U, 1 },
		{ "\"\xe4\xb8", U, 1 },
		{ "{\"\xff\":1}", U, 2 },
		/* numbers */
		{ "0", 0, 0 },
		{ "-0", 0, 0 },
		{ "[10,-1,1.5,0.1e1,1E+2,1e-2,-0.0]", 0, 0 },
		{ "01", S, 0 },
		{ "-01", S, 1 },
		{ "-", S, 1 },
		{ "+1", S, 0 },
		{ ".5", S, 0 },
		{ "1.", S, 2 },
		{ "1.e1", S, 2 },
		{ "1e", S, 2 },
		{ "1e+", S, 3 },
		{ "1e1.5", S, 3 },
		{ "0x10", S, 1 },
		{ "1_0", S, 1 },
		{ "--1", S, 1 },
		{ "9007199254740991", 0, 0 },
		{ "-9007199254740991", 0, 0 },
		{ "9007199254740992", NRS_ERANGE, 0 },
		{ "-9007199254740992", NRS_ERANGE, 0 },
		{ "[1,100000000000000000000]", NRS_ERANGE, 3 },
		{ "9007199254740993.0", 0, 0 },
		{ "1e308", 0, 0 },
		{ "1.7976931348623157e308", 0, 0 },
		{ "17976931348623157e292", 0, 0 },
		{ "0.00017976931348623157e312", 0, 0 },
		{ "1.7976931348623159e308", NRS_ERANGE, 0 },
		{ "1.8e308", NRS_ERANGE, 0 },
		{ "1e309", NRS_ERANGE, 0 },
		{ "-1e400", NRS_ERANGE, 0 },
		{ "1e999999999999999999999", NRS_ERANGE, 0 },
		{ "1e-999999999999999999999", 0, 0 },
		{ "0e999", 0, 0 },
		{ "0.001e311", 0, 0 },
		{ "0.01e311", NRS_ERANGE, 0 },
	};
	struct nrs_detail d;
	size_t i;
	int rc;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		rc = check(rows[i].text, strlen(rows[i].text), &d);
		if (rc != rows[i].code || (rc != 0 && d.off != rows[i].off))
			fail_msg("%s: %d at %u, wanted %d at %u (%s)", rows[i].text, rc,
			    (unsigned int)d.off, rows[i].code, rows[i].off, d.text);
	}
}

static void
test_nul(void **state)
{
	struct nrs_detail d;

	assert_int_equal(check("1\0", 2, &d), NRS_ESYNTAX);
	assert_int_equal(d.off, 1);
	assert_int_equal(check("\"a\0b\"", 5, &d), NRS_ESYNTAX);
	assert_int_equal(d.off, 2);
	assert_int_equal(check("\"\\\0\"", 4, &d), NRS_ESYNTAX);
}

/* A bad byte at every distance from the ends of the wide reads. */
static void
test_alignment(void **state)
{
	static const struct {
		uint8_t byte;
		int code;
	} bad[] = { { 0x1f, NRS_ESYNTAX }, { 0x80, NRS_EUTF8 }, { 0xff, NRS_EUTF8 },
		{ '\0', NRS_ESYNTAX } };
	struct nrs_detail d;
	char s[80];
	size_t n, at, k;

	for (n = 3; n < 70; n++)
		for (at = 1; at < n - 1; at++)
			for (k = 0; k < 4; k++) {
				memset(s, 'x', n);
				s[0] = s[n - 1] = '"';
				assert_int_equal(check(s, n, &d), 0);
				s[at] = (char)bad[k].byte;
				assert_int_equal(check(s, n, &d), bad[k].code);
				assert_int_equal(d.off, at);
			}
}

static void
test_depth(void **state)
{
	char s[2 * NRS_JSON_DEPTH + 4];
	struct nrs_detail d;

	memset(s, '[', NRS_JSON_DEPTH);
	memset(s + NRS_JSON_DEPTH, ']', NRS_JSON_DEPTH);
	assert_int_equal(check(s, 2 * NRS_JSON_DEPTH, &d), 0);
	memset(s, '[', NRS_JSON_DEPTH + 1);
	memset(s + NRS_JSON_DEPTH + 1, ']', NRS_JSON_DEPTH + 1);
	assert_int_equal(check(s, 2 * NRS_JSON_DEPTH + 2, &d), NRS_ELIMIT);
	assert_int_equal(d.off, NRS_JSON_DEPTH);
}

/* An object of n keys, where key number dup (if below n) repeats key number 0. */
static char *
big_object(unsigned int n, unsigned int dup, bool collide, size_t *ret_len, size_t *ret_off)
{
	char *s = malloc((size_t)n * 32 + 8);
	size_t len = 0;
	unsigned int i;

	assert_non_null(s);
	s[len++] = '{';
	for (i = 0; i < n; i++) {
		if (i > 0)
			s[len++] = ',';
		if (i == dup)
			*ret_off = len;
		/* colliding keys share both ends and their length */
		len += (size_t)sprintf(s + len,
		    collide ? "\"abcdefgh%06uabcdefgh\":0" : "\"%u\":0", i == dup ? 0 : i);
	}
	s[len++] = '}';
	*ret_len = len;
	return s;
}

static void
test_many_keys(void **state)
{
	static const unsigned int sizes[] = { 2, 31, 32, 33, 34, 255, 256, 257, 1000,
		65536 };
	struct nrs_detail d;
	size_t i, len, off = 0;
	char *s;
	int collide;

	for (collide = 0; collide < 2; collide++)
		for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			s = big_object(sizes[i], sizes[i], collide, &len, &off);
			assert_int_equal(check(s, len, &d), 0);
			free(s);
			s = big_object(sizes[i], sizes[i] - 1, collide, &len, &off);
			assert_int_equal(check(s, len, &d), NRS_EDUPLICATE);
			assert_int_equal(d.off, off);
			free(s);
		}
	s = big_object(JLEX_KEYS_MAX + 1, JLEX_KEYS_MAX + 1, false, &len, &off);
	assert_int_equal(check(s, len, &d), NRS_ELIMIT);
	free(s);
}

static void
test_path(void **state)
{
	static const char s[] = "{\"a\":[0,{\"b_c\":[[1,2,x]]}]}";
	static const char t[] = "{\"http://h.example/\":x}";
	struct nrs_detail d;

	assert_int_equal(check(s, sizeof(s) - 1, &d), NRS_ESYNTAX);
	assert_string_equal(d.path, "$.a[1].b_c[0][2]");
	/* a key that may be a value is not shown */
	assert_int_equal(check(t, sizeof(t) - 1, &d), NRS_ESYNTAX);
	assert_string_equal(d.path, "$.?");
}

static void
test_text(void **state)
{
	static const char in[] = "a\"b\\c\n\x01/\xc3\xa9\xff\xef\xbf\xbf\xe4\xb8";
	static const char out[] =
	    "\"a\\\"b\\\\c\\n\\u0001/\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef"
	    "\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"";
	static const char esc[] =
	    "x\\u0041\\ud83d\\ude00\\n\\/\\\"\\u00e9\\u20ac\\b\\f\\r\\t\\\\";
	static const char plain[] = "xA\xf0\x9f\x98\x80\n/\"\xc3\xa9\xe2\x82\xac\b\f\r\t\\";
	static const char wide[] =
	    " { \"a b\" : [ 1 , \"c \\\" \\\\\" , { } ] ,\n\"d\":-1.5e3 } ";
	struct nrs_buf b;

	nrs_buf_init(&b, 1000);
	nrs_json_quote(&b, in, sizeof(in) - 1);
	assert_int_equal(b.len, sizeof(out) - 1);
	assert_memory_equal(b.p, out, b.len);
	assert_int_equal(nrs_json_check(b.p, b.len, NULL), 0);
	nrs_buf_reset(&b);
	nrs_json_unescape(&b, (struct nrs_str){ (const uint8_t *)esc, sizeof(esc) - 1 });
	assert_int_equal(b.len, sizeof(plain) - 1);
	assert_memory_equal(b.p, plain, b.len);
	nrs_buf_reset(&b);
	nrs_json_compact(&b, (const uint8_t *)wide, sizeof(wide) - 1);
	nrs_buf_u8(&b, 0);
	assert_string_equal(b.p, "{\"a b\":[1,\"c \\\" \\\\\",{}],\"d\":-1.5e3}");
	nrs_buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_alignment),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_many_keys),
		cmocka_unit_test(test_path),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
