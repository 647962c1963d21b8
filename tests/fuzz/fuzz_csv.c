/*
 * Any bytes as a list: the same rows however the bytes are cut, no crash, and
 * every indicator made from a row is an object that the scanner accepts.
 * The first byte chooses the size of the pieces.
 */
#include <stdlib.h>
#include <string.h>

#include "import/csv.h"
#include "stix/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

static void
check_indicator(const struct nrs_csv_row *row, const struct nrs_csv_map *map)
{
	static const char head[] = "{\"type\":\"bundle\",\"id\":\"bundle--"
				   "0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061\",\"objects\":[";
	struct nrs_indicator def = { 0 }, got;
	struct nrs_bundle bundle;
	struct nrs_buf scratch, b;

	def.confidence = -1;
	def.origin = "jp.cert.example";
	nrs_buf_init(&scratch, 1u << 20);
	nrs_buf_init(&b, 64u << 20);
	if (nrs_csv_indicator(row, map, &def, NULL, &scratch, &got, NULL) == 0) {
		nrs_buf_str(&b, head);
		if (nrs_indicator_format(&b, &got) != 0)
			abort();
		nrs_buf_str(&b, "]}");
		if (b.err != 0 ||
		    nrs_bundle_scan(b.p, b.len, &bundle, NULL, NULL, NULL) != 0)
			abort();
	}
	nrs_buf_fini(&b);
	nrs_buf_fini(&scratch);
}

/* Reads all; the rows as text into out. */
static void
read_rows(const uint8_t *p, size_t len, size_t piece, struct nrs_buf *out, bool check)
{
	static struct nrs_csv_row row;
	struct nrs_csv_map map;
	bool header = false, mapped = false;
	size_t at = 0, n;
	struct nrs_csv *c;
	unsigned int i;
	int rc;

	if (nrs_csv_new(0, &c) != 0)
		return;
	while ((rc = nrs_csv_next(c, &row)) == 0 || rc == NRS_CSV_MORE) {
		if (rc == NRS_CSV_MORE) {
			n = len - at < piece ? len - at : piece;
			if (nrs_csv_feed(c, p + at, n, at + n == len) != 0)
				abort();
			at += n;
			continue;
		}
		nrs_buf_fmt(
		    out, "%llu %d %u\n", (unsigned long long)row.line, row.err, row.n);
		for (i = 0; i < row.n && row.err == 0; i++)
			nrs_buf_put(out, row.f[i].p, row.f[i].len);
		if (!header)
			mapped = nrs_csv_map_parse(NULL, &row, &map, NULL) == 0;
		else if (mapped && check)
			check_indicator(&row, &map);
		header = true;
	}
	nrs_buf_fmt(out, "end %d\n", rc);
	nrs_csv_free(c);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	struct nrs_buf whole, cut;
	size_t piece;

	if (len == 0)
		return 0;
	piece = (size_t)*p + 1;
	nrs_buf_init(&whole, 64u << 20);
	nrs_buf_init(&cut, 64u << 20);
	read_rows(p + 1, len - 1, len, &whole, true);
	read_rows(p + 1, len - 1, piece, &cut, false);
	if (whole.len != cut.len || memcmp(whole.p, cut.p, whole.len) != 0)
		abort();
	nrs_buf_fini(&whole);
	nrs_buf_fini(&cut);
	return 0;
}
