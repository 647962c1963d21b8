/* From rows to indicators: which column is what, and what each cell means. */
#include "import/csv.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "import/date.h"

/* Of each key: how --map calls it, and how lists in the world call the column. */
static const struct {
	const char *key;
	const char *usual[14];
} keys[NRS_CSV_KEY__MAX] = {
	[NRS_CSV_VALUE] = { "value",
	    { "value", "indicator", "ioc", "observable", "url", "domain", "domain-name",
		"hostname", "ip", "address", "email", "hash", "sha256" } },
	[NRS_CSV_TYPE] = { "type", { "type", "value_type", "indicator_type" } },
	[NRS_CSV_NAME] = { "name", { "name", "title" } },
	[NRS_CSV_DESCRIPTION] = { "description",
	    { "description", "comment", "comments", "note", "notes" } },
	[NRS_CSV_SEEN] = { "seen",
	    { "seen", "date", "first_seen", "valid_from", "timestamp", "time",
		"created" } },
	[NRS_CSV_UNTIL] = { "until", { "until", "valid_until", "expires", "expiry" } },
	[NRS_CSV_LABELS] = { "labels", { "labels", "label", "tags", "tag" } },
	[NRS_CSV_CONFIDENCE] = { "confidence", { "confidence" } },
	[NRS_CSV_TLP] = { "tlp", { "tlp", "marking" } },
};

static struct nrs_str
trim(struct nrs_str v)
{
	while (v.len > 0 && *v.p <= ' ') {
		v.p++;
		v.len--;
	}
	while (v.len > 0 && v.p[v.len - 1] <= ' ')
		v.len--;
	return v;
}

static bool
same(struct nrs_str a, struct nrs_str b, bool exact)
{
	if (a.len != b.len || a.len == 0)
		return false;
	return exact ? memcmp(a.p, b.p, a.len) == 0
		     : strncasecmp((const char *)a.p, (const char *)b.p, a.len) == 0;
}

/* The column of this name: its number, -1: none, -2: several. */
static int
find_column(const struct nrs_csv_row *header, struct nrs_str name)
{
	unsigned int i, pass;
	int found = -1;

	for (pass = 0; pass < 2 && found == -1; pass++)
		for (i = 0; i < header->n; i++)
			if (same(trim(header->f[i]), name, pass == 0))
				found = found == -1 ? (int)i : -2;
	return found;
}

/*
 * The columns there are.  A list without a header has values where the names
 * should be, and no value goes into a text: what does not look like a name is
 * shown by its number.
 */
static const char *
list_columns(const struct nrs_csv_row *header, char *dst, size_t max)
{
	struct nrs_str f;
	unsigned int i;
	size_t k, n = 0;
	bool name;

	dst[0] = '\0';
	for (i = 0; i < header->n && n < max; i++) {
		f = trim(header->f[i]);
		name = f.len > 0 && f.len <= 31;
		for (k = 0; name && k < f.len; k++)
			name = f.p[k] >= ' ' && strchr("./@:[", f.p[k]) == NULL;
		if (name)
			n += (size_t)snprintf(dst + n, max - n, "%s%.*s", i > 0 ? ", " : "",
			    (int)f.len, (const char *)f.p);
		else
			n += (size_t)snprintf(
			    dst + n, max - n, "%s(column %u)", i > 0 ? ", " : "", i + 1);
	}
	return dst;
}

static const char *
list_keys(char *dst, size_t max)
{
	unsigned int k;
	size_t n = 0;

	for (k = 0; k < NRS_CSV_KEY__MAX && n < max; k++)
		n += (size_t)snprintf(
		    dst + n, max - n, "%s%s", k > 0 ? ", " : "", keys[k].key);
	return dst;
}

static void
find_usual(const struct nrs_csv_row *header, struct nrs_csv_map *ret)
{
	struct nrs_str name;
	unsigned int k, i;
	int col;

	for (k = 0; k < NRS_CSV_KEY__MAX; k++)
		for (i = 0; i < 14 && keys[k].usual[i] != NULL && ret->col[k] < 0; i++) {
			name.p = (const uint8_t *)keys[k].usual[i];
			name.len = strlen(keys[k].usual[i]);
			if ((col = find_column(header, name)) >= 0)
				ret->col[k] = col;
		}
}

/* One KEY=COLUMN of the text, at offset off of it. */
static int
parse_pair(struct nrs_str pair, size_t off, const struct nrs_csv_row *header,
    struct nrs_csv_map *ret, struct nrs_detail *d)
{
	const uint8_t *eq = pair.len > 0 ? memchr(pair.p, '=', pair.len) : NULL;
	struct nrs_str key, name;
	unsigned int k;
	char list[96];
	int col;

	if (eq == NULL)
		return nrs_fail(
		    d, NRS_ESYNTAX, off, "a map is KEY=COLUMN, separated by commas");
	key = trim((struct nrs_str){ pair.p, (size_t)(eq - pair.p) });
	name = trim((struct nrs_str){ eq + 1, pair.len - (size_t)(eq - pair.p) - 1 });
	for (k = 0; k < NRS_CSV_KEY__MAX; k++)
		if (same(key,
			(struct nrs_str){
			    (const uint8_t *)keys[k].key, strlen(keys[k].key) },
			true))
			break;
	if (k == NRS_CSV_KEY__MAX)
		return nrs_fail(d, NRS_EUNKNOWN, off, "no key \"%.*s\"; there are %s",
		    (int)(key.len < 24 ? key.len : 24), (const char *)key.p,
		    list_keys(list, sizeof(list)));
	if (ret->col[k] >= 0)
		return nrs_fail(
		    d, NRS_EDUPLICATE, off, "key %s is given twice", keys[k].key);
	if ((col = find_column(header, name)) == -2)
		return nrs_fail(d, NRS_EDUPLICATE, off,
		    "several columns are named as the one for %s", keys[k].key);
	if (col < 0)
		return nrs_fail(d, NRS_ENOTFOUND, off,
		    "no column \"%.*s\" for %s; there are %s",
		    (int)(name.len < 24 ? name.len : 24), (const char *)name.p, keys[k].key,
		    list_columns(header, list, sizeof(list)));
	ret->col[k] = col;
	return 0;
}

int
nrs_csv_map_parse(const char *text, const struct nrs_csv_row *header,
    struct nrs_csv_map *ret, struct nrs_detail *d)
{
	const char *p, *comma;
	unsigned int k;
	char list[96];
	int rc;

	for (k = 0; k < NRS_CSV_KEY__MAX; k++)
		ret->col[k] = -1;
	if (text == NULL)
		find_usual(header, ret);
	for (p = text; p != NULL; p = comma == NULL ? NULL : comma + 1) {
		comma = strchr(p, ',');
		rc = parse_pair((struct nrs_str){ (const uint8_t *)p,
				    comma == NULL ? strlen(p) : (size_t)(comma - p) },
		    (size_t)(p - text), header, ret, d);
		if (rc != 0)
			return rc;
	}
	if (ret->col[NRS_CSV_VALUE] < 0)
		return nrs_fail(d, NRS_ENOTFOUND, 0, "no column for value; there are %s",
		    list_columns(header, list, sizeof(list)));
	return 0;
}

/* --- cells ------------------------------------------------------------- */

struct rowctx {
	const struct nrs_csv_row *row;
	const struct nrs_csv_map *map;
	const struct nrs_csv_zone *tz;
	struct nrs_detail *d;
};

/* The cell of a key, trimmed; empty when not mapped or not there. */
static struct nrs_str
cell(const struct rowctx *x, enum nrs_csv_key key)
{
	int col = x->map->col[key];

	if (col < 0 || (unsigned int)col >= x->row->n)
		return (struct nrs_str){ (const uint8_t *)"", 0 };
	return trim(x->row->f[col]);
}

static int
fail_cell(const struct rowctx *x, int code, enum nrs_csv_key key, const char *why)
{
	return nrs_fail(x->d, code, x->row->line, "%s: %s", keys[key].key, why);
}

static int
take_date(const struct rowctx *x, enum nrs_csv_key key, struct nrs_wall *ret)
{
	struct nrs_str s = cell(x, key);
	struct date date;
	int rc;

	if (s.len == 0)
		return 0;
	if ((rc = date_parse(s, &date)) == NRS_ERANGE)
		return fail_cell(x, rc, key, "there is no such day");
	if (rc != 0)
		return fail_cell(x, rc, key,
		    "not a date; write 2025-01-06, 2025/01/06 09:56:00 or RFC 3339");
	if (!date.zoned && x->tz != NULL && x->tz->to_utc != NULL &&
	    (rc = x->tz->to_utc(x->tz->arg, date.s, &date.s)) != 0)
		return fail_cell(x, rc, key, "there is no such local time in this zone");
	if ((rc = date_wall(date.s, date.ms, ret)) != 0)
		return fail_cell(x, rc, key, "before 1970 or after 9999");
	return 0;
}

static int
take_value(const struct rowctx *x, struct nrs_buf *scratch, struct nrs_indicator *ret)
{
	struct nrs_str raw = cell(x, NRS_CSV_VALUE), type = cell(x, NRS_CSV_TYPE);
	struct nrs_detail why = { 0 };
	size_t start = scratch->len;
	char name[32];
	int rc;

	if (raw.len == 0)
		return fail_cell(
		    x, NRS_ESYNTAX, NRS_CSV_VALUE, "the cell is empty or missing");
	nrs_value_refang(scratch, raw);
	if (scratch->err != 0)
		return scratch->err;
	if (scratch->len == start)
		return fail_cell(
		    x, NRS_ESYNTAX, NRS_CSV_VALUE, "nothing visible in the cell");
	ret->value = (struct nrs_str){ scratch->p + start, scratch->len - start };
	if (type.len == 0)
		rc = nrs_value_detect(ret->value, &ret->type, &why);
	else {
		if (type.len >= sizeof(name))
			return fail_cell(
			    x, NRS_ETYPE, NRS_CSV_TYPE, "unknown type of value");
		memcpy(name, type.p, type.len);
		name[type.len] = '\0';
		if ((rc = nrs_value_type_parse(name, &ret->type)) != 0)
			return fail_cell(x, rc, NRS_CSV_TYPE, "unknown type of value");
		rc = nrs_value_check(ret->type, ret->value, &why);
	}
	return rc == 0 ? 0 : fail_cell(x, rc, NRS_CSV_VALUE, why.text);
}

static int
take_marks(const struct rowctx *x, struct nrs_indicator *ret)
{
	struct nrs_str s = cell(x, NRS_CSV_CONFIDENCE);
	enum nrs_tlp tlp;
	uint64_t v;

	if (s.len > 0) {
		if (nrs_u64_parse((const char *)s.p, s.len, 100, &v) != 0)
			return fail_cell(x, NRS_ERANGE, NRS_CSV_CONFIDENCE,
			    "not a whole number from 0 to 100");
		ret->confidence = (int)v;
	}
	s = cell(x, NRS_CSV_TLP);
	if (s.len == 0)
		return 0;
	if (nrs_tlp_parse((const char *)s.p, s.len, &tlp) != 0)
		return fail_cell(x, NRS_ESYNTAX, NRS_CSV_TLP, "not a TLP marking");
	if (tlp > ret->tlp)
		ret->tlp = tlp;
	return 0;
}

static void
take_text(const struct rowctx *x, enum nrs_csv_key key, struct nrs_str *ret)
{
	struct nrs_str s = cell(x, key);

	if (s.len > 0)
		*ret = s;
}

int
nrs_csv_indicator(const struct nrs_csv_row *row, const struct nrs_csv_map *map,
    const struct nrs_indicator *defaults, const struct nrs_csv_zone *tz,
    struct nrs_buf *scratch, struct nrs_indicator *ret, struct nrs_detail *d)
{
	struct rowctx x = { row, map, tz, d };
	int rc;

	if (row->err != 0)
		return nrs_fail(d, row->err, row->line, "%s", row->why);
	*ret = *defaults;
	take_text(&x, NRS_CSV_NAME, &ret->name);
	take_text(&x, NRS_CSV_DESCRIPTION, &ret->description);
	take_text(&x, NRS_CSV_LABELS, &ret->labels);
	if ((rc = take_value(&x, scratch, ret)) != 0 ||
	    (rc = take_date(&x, NRS_CSV_SEEN, &ret->seen)) != 0 ||
	    (rc = take_date(&x, NRS_CSV_UNTIL, &ret->until)) != 0 ||
	    (rc = take_marks(&x, ret)) != 0)
		return rc;
	if (ret->until.ms != 0 && ret->until.ms <= ret->seen.ms)
		return fail_cell(&x, NRS_ERANGE, NRS_CSV_UNTIL, "not later than seen");
	return 0;
}
