/*
 * Times and dates, in UTC and the proleptic Gregorian calendar, with the
 * arithmetic done here: the C library's depends on the environment's zone.
 */
#include "base/text.h"

#define DAY_MS	86400000u
#define LAST_MS 253402300799999u /* 9999-12-31T23:59:59.999Z */

static bool
is_leap(int year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int
month_days(int year, int month)
{
	static const uint8_t days[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return days[month - 1] + (month == 2 && is_leap(year));
}

int
nrs_date_days(int year, int month, int day, int64_t *ret_days)
{
	int64_t y, era, yoe, doy;

	if (year < 1 || year > 9999 || month < 1 || month > 12 || day < 1 ||
	    day > month_days(year, month))
		return NRS_ERANGE;
	/* Years from 1 March, so that the leap day comes last; 400 years = 146097 days. */
	y = month <= 2 ? year - 1 : year;
	era = y / 400;
	yoe = y % 400;
	doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
	*ret_days = era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
	return 0;
}

struct civil {
	unsigned int year, month, day, hour, min, sec, ms;
};

static void
civil_from_wall(struct civil *c, struct nrs_wall t)
{
	/* The formats end with the year 9999; a wilder claim is shown as the end. */
	uint64_t ms = t.ms > LAST_MS ? LAST_MS : t.ms, z = ms / DAY_MS + 719468;
	unsigned int rest = (unsigned int)(ms % DAY_MS), doe, yoe, doy, mp;

	doe = (unsigned int)(z % 146097);
	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	mp = (5 * doy + 2) / 153;
	c->day = doy - (153 * mp + 2) / 5 + 1;
	c->month = mp < 10 ? mp + 3 : mp - 9;
	c->year = (unsigned int)(z / 146097) * 400 + yoe + (c->month <= 2);
	c->hour = rest / 3600000;
	c->min = rest / 60000 % 60;
	c->sec = rest / 1000 % 60;
	c->ms = rest % 1000;
}

static char *
put_digits(char *p, unsigned int v, int n, char after)
{
	int i;

	for (i = n - 1; i >= 0; i--, v /= 10)
		p[i] = (char)('0' + v % 10);
	p[n] = after;
	return p + n + 1;
}

static char *
put_seconds(char *p, const struct civil *c, char after)
{
	p = put_digits(p, c->year, 4, '-');
	p = put_digits(p, c->month, 2, '-');
	p = put_digits(p, c->day, 2, 'T');
	p = put_digits(p, c->hour, 2, ':');
	p = put_digits(p, c->min, 2, ':');
	return put_digits(p, c->sec, 2, after);
}

void
nrs_time_format(char dst[25], struct nrs_wall t)
{
	struct civil c;

	civil_from_wall(&c, t);
	*put_digits(put_seconds(dst, &c, '.'), c.ms, 3, 'Z') = '\0';
}

void
nrs_time_format_s(char dst[21], struct nrs_wall t)
{
	struct civil c;

	civil_from_wall(&c, t);
	*put_seconds(dst, &c, 'Z') = '\0';
}

/* A strict reader: after the first failure nothing moves. */
struct scan {
	const char *p, *end;
	bool bad;
};

static unsigned int
scan_digits(struct scan *s, int n)
{
	unsigned int v = 0;

	for (; n > 0 && !s->bad; n--) {
		if (s->p == s->end || *s->p < '0' || *s->p > '9')
			s->bad = true;
		else
			v = v * 10 + (unsigned int)(*s->p++ - '0');
	}
	return v;
}

static bool
scan_try(struct scan *s, char c)
{
	if (s->bad || s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

static void
scan_char(struct scan *s, char c)
{
	if (!scan_try(s, c))
		s->bad = true;
}

/* ".5" is 500 ms; digits beyond the third are cut, more than nine refused. */
static unsigned int
scan_fraction(struct scan *s)
{
	unsigned int ms = 0;
	int n;

	if (!scan_try(s, '.'))
		return 0;
	for (n = 0; !s->bad && s->p != s->end && *s->p >= '0' && *s->p <= '9'; n++, s->p++)
		if (n < 3)
			ms = ms * 10 + (unsigned int)(*s->p - '0');
	if (n == 0 || n > 9)
		s->bad = true;
	for (; n < 3; n++)
		ms *= 10;
	return ms;
}

/* "Z" or "+hh:mm": minutes east of UTC. */
static int
scan_zone(struct scan *s, bool *ret_range)
{
	unsigned int h, m;
	int sign;

	if (scan_try(s, 'Z'))
		return 0;
	sign = scan_try(s, '-') ? -1 : 1;
	if (sign == 1)
		scan_char(s, '+');
	h = scan_digits(s, 2);
	scan_char(s, ':');
	m = scan_digits(s, 2);
	if (h > 23 || m > 59)
		*ret_range = true;
	return sign * (int)(h * 60 + m);
}

int
nrs_time_parse(const char *text, size_t len, struct nrs_wall *ret)
{
	struct scan s = { text, text, false };
	struct civil c;
	bool range = false;
	int64_t days, ms;
	int zone, rc;

	if (len == 0)
		return NRS_ESYNTAX;
	s.end = text + len;
	c.year = scan_digits(&s, 4);
	scan_char(&s, '-');
	c.month = scan_digits(&s, 2);
	scan_char(&s, '-');
	c.day = scan_digits(&s, 2);
	scan_char(&s, 'T');
	c.hour = scan_digits(&s, 2);
	scan_char(&s, ':');
	c.min = scan_digits(&s, 2);
	scan_char(&s, ':');
	c.sec = scan_digits(&s, 2);
	c.ms = scan_fraction(&s);
	zone = scan_zone(&s, &range);
	if (s.bad || s.p != s.end)
		return NRS_ESYNTAX;
	if (range || c.year < 1970 || c.hour > 23 || c.min > 59 || c.sec > 59)
		return NRS_ERANGE;
	if ((rc = nrs_date_days((int)c.year, (int)c.month, (int)c.day, &days)) != 0)
		return rc;
	ms =
	    days * (int64_t)DAY_MS + c.hour * 3600000 + c.min * 60000 + c.sec * 1000 + c.ms;
	ms -= (int64_t)zone * 60000;
	if (ms < 0 || ms > (int64_t)LAST_MS)
		return NRS_ERANGE;
	ret->ms = (uint64_t)ms;
	return 0;
}
