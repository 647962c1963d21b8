/* CSV: the reader in pieces of every size, the map, rows to indicators, the real lists. */
#include "import/csv.h"

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "stix/scan.h"

/* Rows as text: LINE:field|field; or LINE!CODE; for a bad row. */
static void
read_all(char sep, const char *s, size_t len, size_t piece, struct nrs_buf *out)
{
	static struct nrs_csv_row row;
	struct nrs_csv *c;
	size_t at = 0, n;
	unsigned int i;
	int rc;

	assert_int_equal(nrs_csv_new(sep, &c), 0);
	while ((rc = nrs_csv_next(c, &row)) != NRS_CSV_END) {
		if (rc == NRS_CSV_MORE) {
			n = len - at < piece ? len - at : piece;
			assert_int_equal(nrs_csv_feed(c, s + at, n, at + n == len), 0);
			at += n;
			continue;
		}
		if (rc < 0) {
			nrs_buf_fmt(out, "error %d", rc);
			break;
		}
		nrs_buf_fmt(out, "%u", (unsigned int)row.line);
		if (row.err != 0) {
			assert_true(row.why[0] != '\0');
			nrs_buf_fmt(out, "!%d;", row.err);
			continue;
		}
		for (i = 0; i < row.n; i++) {
			nrs_buf_u8(out, i == 0 ? ':' : '|');
			nrs_buf_put(out, row.f[i].p, row.f[i].len);
		}
		nrs_buf_u8(out, ';');
	}
	nrs_csv_free(c);
}

static void
test_reader(void **state)
{
	static const struct {
		const char *in;
		const char *out;
	} rows[] = {
		{ "", "" },
		{ "\n\r\n\n", "" },
		{ "a,b\n1,2\n", "1:a|b;2:1|2;" },
		{ "a,b\r\n1,2\r\n", "1:a|b;2:1|2;" },
		{ "a,b\n1,2", "1:a|b;2:1|2;" },
		{ "\xef\xbb\xbf\"a\",b\n", "1:a|b;" },
		{ "a;b,c;d\n1;2\n", "1:a|b,c|d;2:1|2;" },
		{ "a\tb\n1\t2,3\n", "1:a|b;2:1|2,3;" },
		{ "\"a;b;c\",d\n", "1:a;b;c|d;" },
		{ "a,b\n\n1,\n,2\n,\n", "1:a|b;3:1|;4:|2;5:|;" },
		{ "a,\"b \"\"c\"\"\",\"\"\n", "1:a|b \"c\"|;" },
		{ "a,\"x\ny\r\nz\",b\nc,d\n", "1:a|x\ny\r\nz|b;4:c|d;" },
		{ "a,b \"c\" d\n", "1:a|b \"c\" d;" },
		{ "a,b\r", "1:a|b\r;" },
		{ "a\rb,c\n", "1:a\rb|c;" },
		/* bad rows cost themselves only */
		{ "a,b\n1,\"2\"x\n3,4\n", "1:a|b;2!-1004;3:3|4;" },
		{ "a,b\n1,\"2\n3,4\n5,6\n", "1:a|b;2!-1001;3:3|4;4:5|6;" },
		{ "a,b\n1,\"2\n3,\"4\n5,6\n", "1:a|b;2!-1004;3!-1001;4:5|6;" },
		{ "a,b\n\"", "1:a|b;2!-1001;" },
		{ "a,b\n\x82\xa0,1\n2,3\n", "1:a|b;2!-1009;3:2|3;" },
	};
	struct nrs_buf out;
	size_t i, piece;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (piece = 1; piece < 40; piece++) {
			nrs_buf_init(&out, 1000);
			read_all(0, rows[i].in, strlen(rows[i].in), piece, &out);
			nrs_buf_u8(&out, 0);
			assert_string_equal(out.p, rows[i].out);
			nrs_buf_fini(&out);
		}
}

static void
test_reader_limits(void **state)
{
	struct nrs_buf in, out;
	unsigned int i;

	nrs_buf_init(&in, 64u << 20);
	nrs_buf_init(&out, 64u << 20);
	read_all(',', "a\0b,c\nd\n", 8, 100, &out);
	nrs_buf_u8(&out, 0);
	assert_string_equal(out.p, "1!-1004;2:d;");
	nrs_buf_reset(&out);
	for (i = 0; i < NRS_CSV_COLS; i++)
		nrs_buf_str(&in, ",");
	nrs_buf_str(&in, "\nx\n");
	read_all(',', (char *)in.p, in.len, in.len, &out);
	nrs_buf_u8(&out, 0);
	assert_string_equal(out.p, "1!-1003;2:x;");
	/* a quote never closed before the limit: that line is lost, the next is not */
	nrs_buf_reset(&in);
	nrs_buf_reset(&out);
	nrs_buf_str(&in, "\"a\nb\n");
	for (i = 0; i < 600000; i++)
		nrs_buf_str(&in, "\n1234567");
	read_all(',', (char *)in.p, in.len, 65536, &out);
	assert_memory_equal(out.p, "1!-1003;2:b;4:1234567;", 22);
	/* a line beyond all limits ends it */
	nrs_buf_reset(&in);
	nrs_buf_reset(&out);
	for (i = 0; i < 600000; i++)
		nrs_buf_str(&in, "12345678");
	read_all(',', (char *)in.p, in.len, 65536, &out);
	nrs_buf_u8(&out, 0);
	assert_string_equal(out.p, "error -1003");
	nrs_buf_fini(&in);
	nrs_buf_fini(&out);
}

/* A row from a text; its fields live in c. */
static void
one_row(struct nrs_csv **c, const char *s, struct nrs_csv_row *row)
{
	assert_int_equal(nrs_csv_new(',', c), 0);
	assert_int_equal(nrs_csv_feed(*c, s, strlen(s), true), 0);
	assert_int_equal(nrs_csv_next(*c, row), 0);
}

static void
test_map(void **state)
{
	static const struct {
		const char *header;
		const char *map;
		int code;
		int value, seen, name;
		const char *text; /* part of the reason */
	} rows[] = {
		{ "date,URL,description", NULL, 0, 1, 0, -1, NULL },
		{ "date,URL,description", "value=URL,name=description,seen=date", 0, 1, 0,
		    2, NULL },
		{ "date,URL,description", "value = url , seen=DATE", 0, 1, 0, -1, NULL },
		{ "Url,url", "value=url", 0, 1, -1, -1, NULL },
		{ "URL,Url", "value=url", NRS_EDUPLICATE, 0, 0, 0, "several columns" },
		{ "a,b", NULL, NRS_ENOTFOUND, 0, 0, 0, "there are a, b" },
		{ "a,b", "value=c", NRS_ENOTFOUND, 0, 0, 0,
		    "no column \"c\" for value; there are a, b" },
		{ "a,b", "valu=a", NRS_EUNKNOWN, 0, 0, 0,
		    "no key \"valu\"; there are value, type, name" },
		{ "a,b", "value=a,value=b", NRS_EDUPLICATE, 0, 0, 0,
		    "value is given twice" },
		{ "a,b", "value", NRS_ESYNTAX, 0, 0, 0, "KEY=COLUMN" },
		{ "a,b", "", NRS_ESYNTAX, 0, 0, 0, "KEY=COLUMN" },
		{ "a,b", "name=a", NRS_ENOTFOUND, 0, 0, 0, "no column for value" },
		/* a list without a header: its values are not shown */
		{ "2025-01-06,http://secret.example/", NULL, NRS_ENOTFOUND, 0, 0, 0,
		    "(column 2)" },
	};
	struct nrs_csv_map map;
	struct nrs_csv_row row;
	struct nrs_detail d;
	struct nrs_csv *c;
	size_t i;
	int rc;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		one_row(&c, rows[i].header, &row);
		memset(&d, 0, sizeof(d));
		rc = nrs_csv_map_parse(rows[i].map, &row, &map, &d);
		if (rc != rows[i].code || (rc != 0 && strstr(d.text, rows[i].text) == NULL))
			fail_msg("%s / %s: %d %s", rows[i].header, rows[i].map, rc, d.text);
		assert_null(strstr(d.text, "secret"));
		if (rc == 0) {
			assert_int_equal(map.col[NRS_CSV_VALUE], rows[i].value);
			assert_int_equal(map.col[NRS_CSV_SEEN], rows[i].seen);
			assert_int_equal(map.col[NRS_CSV_NAME], rows[i].name);
		}
		nrs_csv_free(c);
	}
}

/* Tokyo; with an argument, a zone where this time does not exist. */
static int
tokyo(void *arg, int64_t local_s, int64_t *ret_utc_s)
{
	if (arg != NULL)
		return NRS_ERANGE;
	*ret_utc_s = local_s - 9 * 3600;
	return 0;
}

static void
test_indicator(void **state)
{
	static const struct nrs_csv_map map = { { 0, 1, 2, 3, 4, 5, 6, 7, 8 } };
	static const struct {
		const char *row;
		int code;
		const char *why;
	} rows[] = {
		{ "hxxp://h[.]example/,,n,d,2025/01/06 09:56:00,2025-02-06,a,50,RED", 0,
		    "" },
		{ "h.example", 0, "" },
		{ "h.example,domain", 0, "" },
		{ "h.example,url", NRS_ESYNTAX, "value: a URL begins" },
		{ "h.example,sigma", NRS_ETYPE, "type: unknown" },
		{ ",,", NRS_ESYNTAX, "value: the cell is empty" },
		{ "\xc2\xad", NRS_ESYNTAX, "value: nothing visible" },
		{ "not a value", NRS_ESYNTAX, "value: a space" },
		{ "h.example,,,,yesterday", NRS_ESYNTAX, "seen: not a date" },
		{ "h.example,,,,2025-02-30", NRS_ERANGE, "seen: there is no such day" },
		{ "h.example,,,,1969-12-31", NRS_ERANGE, "seen: before 1970" },
		{ "h.example,,,,2025-01-06,2025-01-06", NRS_ERANGE, "until: not later" },
		{ "h.example,,,,,,,101", NRS_ERANGE, "confidence: not a whole" },
		{ "h.example,,,,,,,-1", NRS_ERANGE, "confidence: not a whole" },
		{ "h.example,,,,,,,,PURPLE", NRS_ESYNTAX, "tlp: not a TLP" },
		{ "h.example,\"x\"y", NRS_ESYNTAX, "text follows" },
	};
	int here = 0;
	const struct nrs_csv_zone zone = { tokyo, NULL }, gap = { tokyo, &here };
	struct nrs_indicator def = { 0 }, got;
	struct nrs_csv_row row;
	struct nrs_buf scratch;
	struct nrs_detail d;
	struct nrs_csv *c;
	size_t i;
	int rc;

	def.confidence = -1;
	def.tlp = NRS_TLP_AMBER;
	def.origin = "jp.cert.example";
	def.seen.ms = 77;
	nrs_buf_init(&scratch, 1u << 20);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		one_row(&c, rows[i].row, &row);
		memset(&d, 0, sizeof(d));
		rc = nrs_csv_indicator(&row, &map, &def, &zone, &scratch, &got, &d);
		if (rc != rows[i].code ||
		    strncmp(d.text, rows[i].why, strlen(rows[i].why)) != 0)
			fail_msg("%s: %d %s", rows[i].row, rc, d.text);
		if (rc != 0)
			assert_int_equal(d.off, 1);
		if (i == 0) {
			assert_int_equal(got.type, NRS_VALUE_URL);
			assert_int_equal(got.value.len, 17);
			assert_memory_equal(got.value.p, "http://h.example/", 17);
			assert_int_equal(got.seen.ms, 1736124960000);
			assert_int_equal(got.until.ms, 1738767600000);
			assert_int_equal(got.confidence, 50);
			assert_int_equal(got.tlp, NRS_TLP_RED);
			assert_int_equal(got.name.len, 1);
		}
		if (i == 1) {
			assert_int_equal(got.seen.ms, 77);
			assert_int_equal(got.confidence, -1);
			assert_int_equal(got.tlp, NRS_TLP_AMBER);
		}
		nrs_csv_free(c);
	}
	/* a row's marking raises, never lowers */
	one_row(&c, "h.example,,,,,,,,CLEAR", &row);
	assert_int_equal(
	    nrs_csv_indicator(&row, &map, &def, NULL, &scratch, &got, NULL), 0);
	assert_int_equal(got.tlp, NRS_TLP_AMBER);
	nrs_csv_free(c);
	one_row(&c, "h.example,,,,2025-03-30 02:30", &row);
	assert_int_equal(
	    nrs_csv_indicator(&row, &map, &def, &gap, &scratch, &got, NULL), NRS_ERANGE);
	/* no zone given: UTC */
	assert_int_equal(
	    nrs_csv_indicator(&row, &map, &def, NULL, &scratch, &got, NULL), 0);
	assert_int_equal(got.seen.ms, 1743301800000);
	nrs_csv_free(c);
	nrs_buf_fini(&scratch);
}

/* --- the lists of JPCERT/CC ---------------------------------------------- */

struct real {
	unsigned int rows;
	size_t nids;
	size_t nurls;
	char (*ids)[48];
	struct nrs_hash *urls; /* two FNV values of the URL are enough to count */
	struct nrs_buf bundle;
};

static void
hash_url(struct nrs_str s, struct nrs_hash *ret)
{
	uint64_t a = 0xcbf29ce484222325u, b = 0x84222325cbf29ce4u;
	size_t i;

	memset(ret, 0, sizeof(*ret));
	for (i = 0; i < s.len; i++) {
		a = (a ^ s.p[i]) * 0x100000001b3u;
		b = (b ^ s.p[i] ^ (b >> 29)) * 0x100000001b3u;
	}
	memcpy(ret->b, &a, 8);
	memcpy(ret->b + 8, &b, 8);
}

static void
check_real_row(struct real *r, const struct nrs_csv_row *row, const struct nrs_csv_map *map,
    struct nrs_buf *scratch)
{
	static const struct nrs_csv_zone zone = { tokyo, NULL };
	const struct nrs_str *raw = &row->f[map->col[NRS_CSV_VALUE]];
	struct nrs_indicator def = { 0 }, got;
	struct nrs_detail d = { 0 };

	def.confidence = -1;
	def.origin = "jp.cert.example";
	nrs_buf_reset(scratch);
	if (nrs_csv_indicator(row, map, &def, &zone, scratch, &got, &d) != 0)
		fail_msg("line %u: %s", (unsigned int)row->line, d.text);
	assert_int_equal(got.type, NRS_VALUE_URL);
	/* none of them is defanged: each is kept exactly as it stands */
	assert_int_equal(got.value.len, raw->len);
	assert_memory_equal(got.value.p, raw->p, raw->len);
	assert_true(got.description.len > 0);
	assert_int_equal(nrs_indicator_id(&got, r->ids[r->nids++]), 0);
	hash_url(got.value, &r->urls[r->nurls++]);
	nrs_buf_str(&r->bundle, r->rows++ > 0 ? "," : "");
	assert_int_equal(nrs_indicator_format(&r->bundle, &got), 0);
}

static void
check_real_file(struct real *r, const char *path)
{
	static struct nrs_csv_row row;
	struct nrs_csv_map map;
	struct nrs_buf scratch;
	bool header = false;
	struct nrs_csv *c;
	char piece[8192];
	size_t n;
	FILE *f;
	int rc;

	assert_non_null(f = fopen(path, "rb"));
	assert_int_equal(nrs_csv_new(0, &c), 0);
	nrs_buf_init(&scratch, 1u << 20);
	while ((rc = nrs_csv_next(c, &row)) != NRS_CSV_END) {
		if (rc == NRS_CSV_MORE) {
			n = fread(piece, 1, sizeof(piece), f);
			assert_int_equal(nrs_csv_feed(c, piece, n, n == 0), 0);
			continue;
		}
		assert_int_equal(rc, 0);
		assert_int_equal(row.err, 0);
		if (header)
			check_real_row(r, &row, &map, &scratch);
		else
			assert_int_equal(
			    nrs_csv_map_parse("value=URL,description=description,seen=date",
				&row, &map, NULL),
			    0);
		header = true;
	}
	nrs_buf_fini(&scratch);
	nrs_csv_free(c);
	fclose(f);
}

static int
cmp48(const void *a, const void *b)
{
	return memcmp(a, b, 48);
}

static int
cmp32(const void *a, const void *b)
{
	return memcmp(a, b, 32);
}

static unsigned int
distinct(const void *p, size_t n, size_t size)
{
	unsigned int k = n > 0;
	size_t i;

	for (i = 1; i < n; i++)
		k += memcmp((const char *)p + i * size, (const char *)p + (i - 1) * size,
			 size) != 0;
	return k;
}

static void
test_real(void **state)
{
	struct real r = { 0 };
	struct nrs_bundle b;
	struct nrs_detail d = { 0 };
	size_t i;
	glob_t g;

	if (glob("../shared/data/jpcert-phishing/*.csv", 0, NULL, &g) != 0) {
		print_message("# SKIP: ../shared/data/jpcert-phishing is not there\n");
		skip();
	}
	assert_int_equal(g.gl_pathc, 8);
	r.ids = calloc(21000, sizeof(*r.ids));
	r.urls = calloc(21000, sizeof(*r.urls));
	nrs_buf_init(&r.bundle, 64u << 20);
	nrs_buf_str(&r.bundle,
	    "{\"type\":\"bundle\",\"id\":\"bundle--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061\","
	    "\"objects\":[");
	for (i = 0; i < g.gl_pathc; i++)
		check_real_file(&r, g.gl_pathv[i]);
	nrs_buf_str(&r.bundle, "]}");
	assert_int_equal(r.rows, 20469);
	qsort(r.ids, r.nids, sizeof(*r.ids), cmp48);
	qsort(r.urls, r.nurls, sizeof(*r.urls), cmp32);
	assert_int_equal(distinct(r.ids, r.nids, sizeof(*r.ids)), 20464);
	assert_int_equal(distinct(r.urls, r.nurls, sizeof(*r.urls)), 19915);
	/* the scanner takes every object, and sees the five that are there twice */
	assert_int_equal(
	    nrs_bundle_scan(r.bundle.p, r.bundle.len, &b, NULL, NULL, &d), NRS_EDUPLICATE);
	assert_int_equal(b.n, 20469);
	nrs_buf_fini(&r.bundle);
	free(r.ids);
	free(r.urls);
	globfree(&g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reader),
		cmocka_unit_test(test_reader_limits),
		cmocka_unit_test(test_map),
		cmocka_unit_test(test_indicator),
		cmocka_unit_test(test_real),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
