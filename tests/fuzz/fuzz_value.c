/*
 * Any bytes as an indicator's value and as a date: what is detected passes its
 * own check, survives defanging, and has a pattern and an id.
 */
#include "base/text.h"
#include "import/csv.h"
#include "import/date.h"
#include "import/indicator.h"
#include "tests/fuzz/fuzz.h"

static void
fuzz_date(struct nrs_str s)
{
	struct nrs_wall a, b;
	struct nrs_str again;
	struct date d;
	char text[25];
	int rc;

	rc = date_parse(s, &d);
	FUZZ_CHECK(rc == 0 || rc == NRS_ESYNTAX || rc == NRS_ERANGE);
	if (rc == 0)
		FUZZ_CHECK(d.ms < 1000);
	if (nrs_date_parse(s, 540, &a) != 0)
		return;
	nrs_time_format(text, a);
	again.p = (const uint8_t *)text;
	again.len = NRS_TIME_LEN;
	rc = nrs_date_parse(again, 540, &b);
	FUZZ_CHECK(rc == 0 && a.ms == b.ms);
}

static void
check_value(enum nrs_value_type t, struct nrs_str v)
{
	struct nrs_indicator i = { .type = t, .value = v, .confidence = -1 };
	struct nrs_buf pattern, safe, plain;
	struct nrs_str back;
	char id[48];
	int rc;

	nrs_buf_init(&pattern, 4 * v.len + 256);
	nrs_buf_init(&safe, 8 * v.len + 64);
	nrs_buf_init(&plain, 8 * v.len + 64);
	rc = nrs_value_check(t, v, NULL);
	FUZZ_CHECK(rc == 0 && nrs_utf8_ok(v.p, v.len, NULL));
	rc = nrs_indicator_pattern(&pattern, t, v);
	FUZZ_CHECK(rc == 0 && pattern.len > 4 && pattern.p[0] == '[');
	FUZZ_CHECK(pattern.p[pattern.len - 1] == ']');
	i.origin = "jp.cert.example";
	rc = nrs_indicator_id(&i, id);
	FUZZ_CHECK(rc == 0 && strlen(id) == 47);
	nrs_value_defang(&safe, v);
	back.p = safe.p;
	back.len = safe.len;
	nrs_value_refang(&plain, back);
	FUZZ_CHECK(safe.err == 0 && plain.err == 0);
	nrs_buf_fini(&pattern);
	nrs_buf_fini(&safe);
	nrs_buf_fini(&plain);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	struct nrs_str raw = { p, len }, v;
	struct nrs_detail d = { 0 };
	enum nrs_value_type t = 0;
	struct nrs_buf b;
	int rc;

	fuzz_date(raw);
	nrs_buf_init(&b, len + 16);
	nrs_value_refang(&b, raw);
	FUZZ_CHECK(b.err == 0 && b.len <= len);
	v.p = b.p;
	v.len = b.len;
	rc = nrs_value_detect(v, &t, &d);
	FUZZ_DETAIL(rc, &d);
	if (rc == 0) {
		FUZZ_CHECK(t >= NRS_VALUE_URL && t < NRS_VALUE__MAX);
		check_value(t, v);
	} else {
		for (t = NRS_VALUE_URL; t < NRS_VALUE__MAX; t++)
			FUZZ_CHECK(nrs_value_check(t, v, NULL) <= 0);
	}
	nrs_buf_fini(&b);
	return 0;
}
