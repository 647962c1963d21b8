/*
 * Any bytes as every text form: what a strict parser accepts, its formatter
 * writes; what is escaped for people holds nothing that moves a terminal.
 */
#include "base/text.h"
#include "record/record.h"
#include "tests/fuzz/fuzz.h"

static void
fuzz_bytes(const uint8_t *p, size_t len)
{
	char *text = malloc(len * 2 + 4);
	uint8_t *back = malloc(len + 1);
	size_t n;
	int rc;

	if (text != NULL && back != NULL) {
		nrs_hex_format(text, p, len);
		rc = nrs_hex_parse(text, 2 * len, back, len);
		FUZZ_CHECK(rc == 0 && memcmp(back, p, len) == 0);
		nrs_b64_format(text, p, len);
		FUZZ_CHECK(strlen(text) == NRS_B64_LEN(len));
		rc = nrs_b64_parse(text, strlen(text), back, len, &n);
		FUZZ_CHECK(rc == 0 && n == len && memcmp(back, p, len) == 0);
	}
	free(text);
	free(back);
}

static void
fuzz_codes(const char *s, size_t len)
{
	uint8_t uuid[16], *back = malloc(len + 1);
	char *text = malloc(len + 4), out[37];
	size_t n;

	if (back != NULL && text != NULL && nrs_b64_parse(s, len, back, len, &n) == 0) {
		nrs_b64_format(text, back, n);
		FUZZ_CHECK(strlen(text) == len && memcmp(text, s, len) == 0);
	}
	if (back != NULL && text != NULL && nrs_hex_parse(s, len, back, len / 2) == 0) {
		nrs_hex_format(text, back, len / 2);
		FUZZ_CHECK(strlen(text) == len && strncasecmp(text, s, len) == 0);
	}
	free(back);
	free(text);
	if (nrs_uuid_parse(s, len, uuid) == 0) {
		nrs_uuid_format(out, uuid);
		FUZZ_CHECK(len == 36 && memcmp(out, s, len) == 0);
	}
}

static void
fuzz_time(const char *s, size_t len)
{
	struct nrs_wall t, u;
	char out[25];
	int rc;

	if (nrs_time_parse(s, len, &t) != 0)
		return;
	nrs_time_format(out, t);
	rc = nrs_time_parse(out, NRS_TIME_LEN, &u);
	FUZZ_CHECK(rc == 0 && t.ms == u.ms);
	if (len == NRS_TIME_LEN && s[len - 1] == 'Z')
		FUZZ_CHECK(memcmp(out, s, len) == 0);
	nrs_time_format_s(out, t);
	rc = nrs_time_parse(out, 20, &u);
	FUZZ_CHECK(rc == 0 && t.ms - t.ms % 1000 == u.ms);
}

/* What is given as a C string. */
static void
fuzz_typed(const char *s, size_t len)
{
	char out[25], again[25], origin[NRS_ORIGIN_MAX + 1], hex8[9], *id;
	uint64_t index, v;
	enum nrs_tlp tlp;
	int n, rc;

	if (nrs_fingerprint_parse(s, out) == 0) {
		rc = nrs_fingerprint_parse(out, again);
		FUZZ_CHECK(rc == 0 && strlen(out) == 24 && strcmp(out, again) == 0);
	}
	if (nrs_record_id_parse(s, origin, &index, hex8) == 0) {
		FUZZ_CHECK((id = malloc(len + 32)) != NULL);
		n = snprintf(id, len + 32, "%s/%llu%s%s", origin, (unsigned long long)index,
		    hex8[0] != '\0' ? "~" : "", hex8);
		FUZZ_CHECK((size_t)n == len && memcmp(id, s, len) == 0);
		free(id);
	}
	if (nrs_u64_parse(s, len, UINT64_MAX, &v) == 0) {
		n = snprintf(out, sizeof(out), "%llu", (unsigned long long)v);
		FUZZ_CHECK((size_t)n == len && memcmp(out, s, len) == 0);
	}
	if (nrs_tlp_parse(s, len, &tlp) == 0)
		FUZZ_CHECK(tlp < NRS_TLP__MAX && nrs_tlp_name(tlp) != NULL);
	if (nrs_origin_ok(s, len))
		FUZZ_CHECK(len <= NRS_ORIGIN_MAX && memchr(s, '.', len) != NULL);
	FUZZ_CHECK(nrs_text_distance(s, s) == 0 || len > 64);
}

/* Printable and well-formed, whatever went in and however short the room. */
static void
fuzz_escape(const char *s, size_t len, size_t room)
{
	char *out = malloc(room);
	size_t n, off, k;
	uint32_t cp;

	if (out == NULL)
		return;
	n = nrs_text_escape(out, room, s, len);
	FUZZ_CHECK(n < room && out[n] == '\0' && strlen(out) == n);
	for (off = 0; off < n; off += k) {
		k = nrs_utf8_next((const uint8_t *)out + off, n - off, &cp);
		FUZZ_CHECK(k > 0 && cp >= 0x20 && !(cp >= 0x7f && cp <= 0x9f));
		FUZZ_CHECK(cp != 0x2028 && cp != 0x2029 && cp != 0x61c);
		FUZZ_CHECK(cp != 0x200e && cp != 0x200f && !(cp >= 0x202a && cp <= 0x202e));
		FUZZ_CHECK(!(cp >= 0x2066 && cp <= 0x2069));
	}
	free(out);
}

/* Fields of text are not ended by NUL in the formats: a view of exactly len. */
static void
fuzz_utf8(const uint8_t *p, size_t len)
{
	size_t off = 0, bad, n;
	uint32_t cp;
	bool ok;

	ok = nrs_utf8_ok(p, len, &bad);
	while (off < len && (n = nrs_utf8_next(p + off, len - off, &cp)) > 0) {
		FUZZ_CHECK(
		    n <= len - off && cp <= 0x10ffff && (cp < 0xd800 || cp > 0xdfff));
		FUZZ_CHECK(nrs_utf8_width(cp) >= 0 && nrs_utf8_width(cp) <= 2);
		off += n;
	}
	FUZZ_CHECK(ok == (off == len) && bad == off);
	FUZZ_CHECK(nrs_text_width((const char *)p, len) <= 8 * len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	char *s;

	if ((s = malloc(len + 1)) == NULL)
		return 0;
	if (len > 0)
		memcpy(s, p, len);
	s[len] = '\0';
	if (len > 0)
		fuzz_bytes(p, len);
	fuzz_codes((const char *)p, len);
	fuzz_time((const char *)p, len);
	if (strlen(s) == len)
		fuzz_typed(s, len);
	fuzz_utf8(p, len);
	fuzz_escape(s, len, 10 * len + 1);
	fuzz_escape(s, len, len / 2 + 1);
	free(s);
	return 0;
}
