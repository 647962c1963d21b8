/*
 * Dates: year first, always; day-month orders cannot be told apart, so they are
 * refused.  2025-01-06, 2025/1/6, then optionally a time, then a zone.
 */
#include "import/date.h"

#include "base/text.h"
#include "import/csv.h"

/* A decimal number of lo..hi digits; moves past it. */
static bool
take_number(struct nrs_str *s, size_t lo, size_t hi, int *ret)
{
	size_t i;
	int v = 0;

	for (i = 0; i < hi && i < s->len && s->p[i] >= '0' && s->p[i] <= '9'; i++)
		v = v * 10 + (s->p[i] - '0');
	if (i < lo)
		return false;
	s->p += i;
	s->len -= i;
	*ret = v;
	return true;
}

static bool
take_char(struct nrs_str *s, char c)
{
	if (s->len == 0 || *s->p != (uint8_t)c)
		return false;
	s->p++;
	s->len--;
	return true;
}

static bool
take_day(struct nrs_str *s, int *y, int *m, int *d)
{
	char sep;

	if (!take_number(s, 4, 4, y) || s->len == 0)
		return false;
	sep = (char)*s->p;
	/* RFC 3339 has two digits; spreadsheets write 2025/1/6 */
	return (sep == '-' || sep == '/') && take_char(s, sep) &&
	    take_number(s, sep == '-' ? 2 : 1, 2, m) && take_char(s, sep) &&
	    take_number(s, sep == '-' ? 2 : 1, 2, d);
}

/* h:mm, hh:mm:ss or hh:mm:ss.fraction */
static bool
take_time(struct nrs_str *s, int64_t *ret_s, unsigned int *ret_ms)
{
	unsigned int scale = 100;
	int h, m, sec = 0;

	if (!take_number(s, 1, 2, &h) || !take_char(s, ':') || !take_number(s, 2, 2, &m))
		return false;
	if (take_char(s, ':')) {
		if (!take_number(s, 2, 2, &sec))
			return false;
		if (take_char(s, '.')) {
			if (s->len == 0 || *s->p < '0' || *s->p > '9')
				return false;
			for (; s->len > 0 && *s->p >= '0' && *s->p <= '9';
			     s->p++, s->len--) {
				*ret_ms += (unsigned int)(*s->p - '0') * scale;
				scale /= 10;
			}
		}
	}
	*ret_s = h * 3600 + m * 60 + sec;
	return h < 24 && m < 60 && sec < 60;
}

/* Z, UTC, +09:00 or +0900; nothing is a text without a zone. */
static bool
take_zone(struct nrs_str *s, bool *ret_zoned, int64_t *ret_off)
{
	bool minus;
	int h, m;

	*ret_off = 0;
	*ret_zoned = s->len > 0;
	if (s->len == 0)
		return true;
	if (take_char(s, 'Z') || take_char(s, 'z'))
		return true;
	if (s->len == 3 && s->p[0] == 'U' && s->p[1] == 'T' && s->p[2] == 'C') {
		s->len = 0;
		return true;
	}
	minus = *s->p == '-';
	if ((!take_char(s, '+') && !take_char(s, '-')) || !take_number(s, 2, 2, &h))
		return false;
	take_char(s, ':');
	if (!take_number(s, 2, 2, &m) || h > 23 || m > 59)
		return false;
	*ret_off = (minus ? -1 : 1) * (h * 3600 + m * 60);
	return true;
}

int
date_parse(struct nrs_str s, struct date *ret)
{
	int64_t days, sec = 0, off = 0;
	unsigned int ms = 0;
	bool zoned = false;
	int y, m, d;

	while (s.len > 0 && (*s.p == ' ' || *s.p == '\t')) {
		s.p++;
		s.len--;
	}
	while (s.len > 0 && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t'))
		s.len--;
	if (!take_day(&s, &y, &m, &d))
		return NRS_ESYNTAX;
	if (s.len > 0) {
		if (!take_char(&s, 'T') && !take_char(&s, 't') && !take_char(&s, ' '))
			return NRS_ESYNTAX;
		if (!take_time(&s, &sec, &ms))
			return NRS_ESYNTAX;
		take_char(&s, ' ');
		if (!take_zone(&s, &zoned, &off) || s.len > 0)
			return NRS_ESYNTAX;
	}
	if (nrs_date_days(y, m, d, &days) != 0)
		return NRS_ERANGE;
	ret->s = days * 86400 + sec - off;
	ret->ms = ms;
	ret->zoned = zoned;
	return 0;
}

int
date_wall(int64_t utc_s, unsigned int ms, struct nrs_wall *ret)
{
	/* 253402300799 is the last second of 9999 */
	if (utc_s < 0 || utc_s > 253402300799)
		return NRS_ERANGE;
	ret->ms = (uint64_t)utc_s * 1000 + ms;
	return 0;
}

int
nrs_date_parse(struct nrs_str s, int tz_offset_min, struct nrs_wall *ret)
{
	struct date d;
	int rc;

	if ((rc = date_parse(s, &d)) != 0)
		return rc;
	if (!d.zoned)
		d.s -= (int64_t)tz_offset_min * 60;
	return date_wall(d.s, d.ms, ret);
}
