/* Values: what is what, refanging and its inverse, patterns, ids, objects, dates. */
#include "import/indicator.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/text.h"
#include "import/csv.h"
#include "stix/scan.h"

static struct nrs_str
str(const char *s)
{
	return (struct nrs_str){ (const uint8_t *)s, strlen(s) };
}

#define MD5    "d41d8cd98f00b204e9800998ecf8427e"
#define SHA1   "da39a3ee5e6b4b0d3255bfef95601890afd80709"
#define SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void
test_detect(void **state)
{
	static const struct {
		const char *v;
		int type; /* or an error */
	} rows[] = {
		{ "http://host.example/", NRS_VALUE_URL },
		{ "https://_.card.host.example/", NRS_VALUE_URL },
		{ "https://host.example:443/a?b=[c]#d", NRS_VALUE_URL },
		{ "https://user:pw@host.example:/", NRS_VALUE_URL },
		{ "http://192.0.2.1/", NRS_VALUE_URL },
		{ "http://[2001:db8::1]:8080/x", NRS_VALUE_URL },
		{ "http://localhost", NRS_VALUE_URL },
		{ "http://\xe4\xbe\x8b.example/\xe4\xbe\x8b", NRS_VALUE_URL },
		{ "ftp+x://a-.b_c.example", NRS_VALUE_URL },
		{ "http://h.example/%3C#[email]#%3E'\\\"<>", NRS_VALUE_URL },
		{ "http://", NRS_ESYNTAX },
		{ "http:///path", NRS_ESYNTAX },
		{ "://h.example", NRS_ESYNTAX },
		{ "1http://h.example", NRS_ESYNTAX },
		{ "http://h.example:99999/", NRS_ESYNTAX },
		{ "http://h.example:8x/", NRS_ESYNTAX },
		{ "http://h..example/", NRS_ESYNTAX },
		{ "http://h*.example/", NRS_ESYNTAX },
		{ "http://[2001:db8::1/x", NRS_ESYNTAX },
		{ "http://[1.2.3.4]/x", NRS_ESYNTAX },
		{ "http://[::1]x/", NRS_ESYNTAX },
		{ "http://h.example/a b", NRS_ESYNTAX },
		{ "http://h.example/\x01", NRS_ESYNTAX },
		{ "http://h.example/\xc2\x85", NRS_ESYNTAX },
		{ "http://h.example/\xff", NRS_EUTF8 },
		{ "host.example", NRS_VALUE_DOMAIN },
		{ "_dmarc.a-b.example", NRS_VALUE_DOMAIN },
		{ "xn--r8jz45g.example", NRS_VALUE_DOMAIN },
		{ "host", NRS_ESYNTAX },
		{ "host.example.", NRS_ESYNTAX },
		{ ".host.example", NRS_ESYNTAX },
		{ "-host.example", NRS_ESYNTAX },
		{ "host-.example", NRS_ESYNTAX },
		{ "host.123", NRS_ESYNTAX },
		{ "host.example/path", NRS_ESYNTAX },
		{ "192.0.2.1", NRS_VALUE_IPV4 },
		{ "192.0.2.0/24", NRS_VALUE_IPV4 },
		{ "192.0.2.0/33", NRS_ESYNTAX },
		{ "192.0.2.0/024", NRS_ESYNTAX },
		{ "192.0.2.0/", NRS_ESYNTAX },
		{ "192.0.2.256", NRS_ESYNTAX },
		{ "192.0.02.1", NRS_ESYNTAX },
		{ "192.0.2", NRS_ESYNTAX },
		{ "2001:db8::1", NRS_VALUE_IPV6 },
		{ "2001:db8::/32", NRS_VALUE_IPV6 },
		{ "2001:db8::/129", NRS_ESYNTAX },
		{ "2001:db8::1::2", NRS_ESYNTAX },
		{ "fe80::1%eth0", NRS_ESYNTAX },
		{ "a.b+c@host.example", NRS_VALUE_EMAIL },
		{ "@host.example", NRS_ESYNTAX },
		{ ".a@host.example", NRS_ESYNTAX },
		{ "a@host", NRS_ESYNTAX },
		{ "a(b)@host.example", NRS_ESYNTAX },
		{ MD5, NRS_VALUE_MD5 },
		{ SHA1, NRS_VALUE_SHA1 },
		{ SHA256, NRS_VALUE_SHA256 },
		{ SHA256 SHA256, NRS_VALUE_SHA512 },
		{ "D41D8CD98F00B204E9800998ECF8427E", NRS_VALUE_MD5 },
		{ MD5 "0", NRS_ESYNTAX },
		{ "g41d8cd98f00b204e9800998ecf8427e", NRS_ESYNTAX },
		{ "", NRS_ESYNTAX },
		{ "some words", NRS_ESYNTAX },
	};
	enum nrs_value_type t;
	struct nrs_detail d;
	size_t i;
	int rc;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(&d, 0, sizeof(d));
		t = 0;
		rc = nrs_value_detect(str(rows[i].v), &t, &d);
		if ((rc != 0 ? rc : (int)t) != rows[i].type)
			fail_msg("%s: %d %d (%s)", rows[i].v, rc, t, d.text);
		assert_int_equal(d.code, rc);
		if (rc == 0)
			assert_int_equal(nrs_value_check(t, str(rows[i].v), NULL), 0);
	}
	assert_true(nrs_value_check(NRS_VALUE_DOMAIN, str("http://a.example"), NULL) < 0);
	assert_int_equal(nrs_value_check(0, str("a.example"), NULL), NRS_ETYPE);
	for (i = NRS_VALUE_URL; i < NRS_VALUE__MAX; i++) {
		assert_int_equal(nrs_value_type_parse(nrs_value_type_name(i), &t), 0);
		assert_int_equal(t, i);
	}
	assert_int_equal(nrs_value_type_parse("Domain", &t), 0);
	assert_int_equal(t, NRS_VALUE_DOMAIN);
	assert_int_equal(nrs_value_type_parse("yara", &t), NRS_ETYPE);
}

static void
test_refang(void **state)
{
	static const struct {
		const char *from;
		const char *to;
	} rows[] = {
		{ "hxxp://a[.]example/x", "http://a.example/x" },
		{ "hXXps://a(.)b{.}example", "https://a.b.example" },
		{ "HXXP://A[.]EXAMPLE", "HTTP://A.EXAMPLE" },
		{ "h**p://a.example", "http://a.example" },
		{ "fxp://a[dot]example", "ftp://a.example" },
		{ "hxxp[:]//a[.]example[:]8080/", "http://a.example:8080/" },
		{ "hxxps[://]a(dot)b[DOT]example", "https://a.b.example" },
		{ "hxxp(://)a[.]example", "http://a.example" },
		{ "user[@]a[.]example", "user@a.example" },
		{ "user[at]a(dot)example", "user@a.example" },
		{ "192[.]0[.]2[.]1", "192.0.2.1" },
		{ "2001[:]db8[:][:]1", "2001:db8::1" },
		{ "a\\.b.example", "a.b.example" },
		{ "  \xef\xbb\xbfhxxp://a.example\xe2\x80\x8b \r\n", "http://a.example" },
		{ "<https://a.example/>", "https://a.example/" },
		{ "a\xe3\x80\x82"
		  "example",
		    "a.example" },
		{ "a\xe2\x80\x8b.example", "a.example" },
		/* what may belong to a path stays */
		{ "https://a.example/x(dot)y[at]z#[email]#",
		    "https://a.example/x(dot)y[at]z#[email]#" },
		{ "https://a.example/?u=hxxp://b(.)c",
		    "https://a.example/?u=hxxp://b(.)c" },
		{ "https://a[.]example/b[.]html", "https://a.example/b.html" },
		{ "hxxpx.example", "hxxpx.example" },
		{ "", "" },
		{ " ", "" },
	};
	struct nrs_buf b;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		nrs_buf_init(&b, 1000);
		nrs_value_refang(&b, str(rows[i].from));
		nrs_buf_u8(&b, 0);
		assert_string_equal(b.p, rows[i].to);
		nrs_buf_fini(&b);
	}
}

static void
test_defang(void **state)
{
	static const struct {
		const char *from;
		const char *to;
	} rows[] = {
		{ "http://a.b.example/c.d", "hxxp://a[.]b[.]example/c.d" },
		{ "https://u@a.example:8/", "hxxps://u[@]a[.]example:8/" },
		{ "HTTP://A.EXAMPLE", "HXXP://A[.]EXAMPLE" },
		{ "ftp://a.example", "fxp://a[.]example" },
		{ "gopher://a.example", "gopher[://]a[.]example" },
		{ "a.example", "a[.]example" },
		{ "u@a.example", "u[@]a[.]example" },
		{ "192.0.2.1", "192[.]0[.]2[.]1" },
		{ "2001:db8::1", "2001[:]db8[:][:]1" },
		{ MD5, MD5 },
	};
	struct nrs_buf b, back;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		nrs_buf_init(&b, 1000);
		nrs_buf_init(&back, 1000);
		nrs_value_defang(&b, str(rows[i].from));
		nrs_value_refang(&back, (struct nrs_str){ b.p, b.len });
		nrs_buf_u8(&b, 0);
		nrs_buf_u8(&back, 0);
		assert_string_equal(b.p, rows[i].to);
		assert_string_equal(back.p, rows[i].from);
		nrs_buf_fini(&b);
		nrs_buf_fini(&back);
	}
}

static void
test_pattern(void **state)
{
	static const struct {
		enum nrs_value_type t;
		const char *v;
		const char *pattern;
	} rows[] = {
		{ NRS_VALUE_URL, "http://x/", "[url:value = 'http://x/']" },
		{ NRS_VALUE_URL, "http://x/'a\\b''",
		    "[url:value = 'http://x/\\'a\\\\b\\'\\'']" },
		{ NRS_VALUE_DOMAIN, "a.b", "[domain-name:value = 'a.b']" },
		{ NRS_VALUE_IPV4, "192.0.2.0/24", "[ipv4-addr:value = '192.0.2.0/24']" },
		{ NRS_VALUE_IPV6, "::1", "[ipv6-addr:value = '::1']" },
		{ NRS_VALUE_EMAIL, "a@b.c", "[email-addr:value = 'a@b.c']" },
		{ NRS_VALUE_MD5, "00", "[file:hashes.MD5 = '00']" },
		{ NRS_VALUE_SHA1, "00", "[file:hashes.'SHA-1' = '00']" },
		{ NRS_VALUE_SHA256, "00", "[file:hashes.'SHA-256' = '00']" },
		{ NRS_VALUE_SHA512, "00", "[file:hashes.'SHA-512' = '00']" },
	};
	struct nrs_buf b;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		nrs_buf_init(&b, 1000);
		assert_int_equal(nrs_indicator_pattern(&b, rows[i].t, str(rows[i].v)), 0);
		nrs_buf_u8(&b, 0);
		assert_string_equal(b.p, rows[i].pattern);
		nrs_buf_fini(&b);
	}
	nrs_buf_init(&b, 1000);
	assert_int_equal(nrs_indicator_pattern(&b, NRS_VALUE__MAX, str("x")), NRS_ETYPE);
	nrs_buf_fini(&b);
}

static struct nrs_indicator
sample(void)
{
	struct nrs_indicator i = { NRS_VALUE_URL };

	i.value = str("http://h.example/'x'");
	i.seen.ms = 1736124960000; /* 2025-01-06T00:56:00Z */
	i.confidence = -1;
	i.tlp = NRS_TLP_GREEN;
	i.origin = "jp.cert.example";
	return i;
}

static void
test_id(void **state)
{
	struct nrs_indicator a = sample(), b;
	char id[48], other[48], who[47];

	assert_int_equal(nrs_indicator_id(&a, id), 0);
	/* fixed for ever, computed once by an independent implementation of RFC 4122 */
	assert_string_equal(id, "indicator--1dc80557-86d7-5049-946e-a2d4f3070ae5");
	assert_int_equal(nrs_identity_id(a.origin, who), 0);
	assert_string_equal(who, "identity--ed3b07ff-d4f3-5cc3-911e-603a148f9838");
	assert_int_equal(strlen(id), 47);
	assert_int_equal(strlen(who), 46);
	assert_int_equal(id[25], '5');
	assert_int_equal(nrs_indicator_id(&a, other), 0);
	assert_string_equal(id, other);
#define DIFFERS(change)                                           \
	do {                                                      \
		b = a;                                            \
		change;                                           \
		assert_int_equal(nrs_indicator_id(&b, other), 0); \
		assert_string_not_equal(id, other);               \
	} while (0)
	DIFFERS(b.origin = "us.cert.example");
	DIFFERS(b.audience.b[31] = 1);
	DIFFERS(b.tlp = NRS_TLP_AMBER);
	DIFFERS(b.value.len--);
	DIFFERS(b.seen.ms++);
	/* what people write about it does not make it another one */
	b = a;
	b.description = str("x");
	b.confidence = 3;
	assert_int_equal(nrs_indicator_id(&b, other), 0);
	assert_string_equal(id, other);
}

static void
test_format(void **state)
{
	struct nrs_indicator i = sample();
	struct nrs_bundle bundle;
	struct nrs_detail d = { 0 };
	struct nrs_buf b;

	nrs_buf_init(&b, 1u << 16);
	assert_int_equal(nrs_indicator_format(&b, &i), 0);
	nrs_buf_u8(&b, 0);
	assert_string_equal(b.p,
	    "{\"type\":\"indicator\",\"spec_version\":\"2.1\",\"id\":\"indicator--1dc80557-86d7-5049-946e-a2d4f3070ae5\","
	    "\"created_by_ref\":\"identity--ed3b07ff-d4f3-5cc3-911e-603a148f9838\",\"created\":\"2025-01-06T00:56:00.000Z\","
	    "\"modified\":\"2025-01-06T00:56:00.000Z\",\"name\":\"http://h.example/'x'\","
	    "\"pattern\":\"[url:value = 'http://h.example/\\\\'x\\\\'']\","
	    "\"pattern_type\":\"stix\",\"valid_from\":\"2025-01-06T00:56:00.000Z\","
	    "\"object_marking_refs\":[\"marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb\"]}");
	i.name = str("a \"name\"");
	i.description = str("line\n\xe4\xb8\x89\xff");
	i.labels = str(" one, two,,");
	i.confidence = 0;
	i.until.ms = i.seen.ms + 1;
	nrs_buf_reset(&b);
	nrs_buf_str(&b,
	    "{\"type\":\"bundle\",\"id\":\"bundle--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061\","
	    "\"objects\":[");
	assert_int_equal(nrs_indicator_format(&b, &i), 0);
	nrs_buf_str(&b, "]}");
	assert_int_equal(nrs_bundle_scan(b.p, b.len, &bundle, NULL, NULL, &d), 0);
	assert_int_equal(bundle.tlp_max, NRS_TLP_GREEN);
	nrs_buf_u8(&b, 0);
	assert_non_null(strstr((char *)b.p, "\"name\":\"a \\\"name\\\"\""));
	assert_non_null(
	    strstr((char *)b.p, "\"description\":\"line\\n\xe4\xb8\x89\xef\xbf\xbd\""));
	assert_non_null(
	    strstr((char *)b.p, "\"labels\":[\"one\",\"two\"],\"confidence\":0,"));
	assert_non_null(
	    strstr((char *)b.p, "\"valid_until\":\"2025-01-06T00:56:00.001Z\""));
	i.until.ms = i.seen.ms;
	assert_int_equal(nrs_indicator_format(&b, &i), NRS_ERANGE);
	i = sample();
	i.confidence = 101;
	assert_int_equal(nrs_indicator_format(&b, &i), NRS_ERANGE);
	nrs_buf_fini(&b);
}

static void
test_date(void **state)
{
	static const struct {
		const char *s;
		int tz;
		int code;
		uint64_t ms;
	} rows[] = {
		{ "2025-01-06T09:56:00Z", 540, 0, 1736157360000 },
		{ "2025/01/06 09:56:00", 0, 0, 1736157360000 },
		{ "2025/01/06 09:56:00", 540, 0, 1736124960000 },
		{ "2025/1/6 9:56", 540, 0, 1736124960000 },
		{ "2025-01-06T09:56:00+09:00", -60, 0, 1736124960000 },
		{ "2025-01-06 09:56:00 +0900", 0, 0, 1736124960000 },
		{ "2025-01-06 09:56:00.1239 UTC", 540, 0, 1736157360123 },
		{ " 2025-01-06 ", 0, 0, 1736121600000 },
		{ "1970-01-01", 0, 0, 0 },
		{ "1970-01-01", 1, NRS_ERANGE, 0 },
		{ "9999-12-31T23:59:59Z", 0, 0, 253402300799000 },
		{ "9999-12-31T23:59:59", -1, NRS_ERANGE, 0 },
		{ "2025-02-29", 0, NRS_ERANGE, 0 },
		{ "2025-13-01", 0, NRS_ERANGE, 0 },
		{ "06/01/2025", 0, NRS_ESYNTAX, 0 },
		{ "2025-1-6", 0, NRS_ESYNTAX, 0 },
		{ "2025/01-06", 0, NRS_ESYNTAX, 0 },
		{ "2025-01-06T", 0, NRS_ESYNTAX, 0 },
		{ "2025-01-06T24:00:00Z", 0, NRS_ESYNTAX, 0 },
		{ "2025-01-06T09:56:60Z", 0, NRS_ESYNTAX, 0 },
		{ "2025-01-06T09:56:00.Z", 0, NRS_ESYNTAX, 0 },
		{ "2025-01-06T09:56:00ZZ", 0, NRS_ESYNTAX, 0 },
		{ "2025-01-06T09:56:00+9", 0, NRS_ESYNTAX, 0 },
		{ "2025-01-06T09:56:00 JST", 0, NRS_ESYNTAX, 0 },
		{ "", 0, NRS_ESYNTAX, 0 },
		{ "today", 0, NRS_ESYNTAX, 0 },
	};
	struct nrs_wall w;
	size_t i;
	int rc;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		w.ms = 0;
		rc = nrs_date_parse(str(rows[i].s), rows[i].tz, &w);
		if (rc != rows[i].code || w.ms != rows[i].ms)
			fail_msg("%s: %d %llu", rows[i].s, rc, (unsigned long long)w.ms);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_detect),
		cmocka_unit_test(test_refang),
		cmocka_unit_test(test_defang),
		cmocka_unit_test(test_pattern),
		cmocka_unit_test(test_id),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_date),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
