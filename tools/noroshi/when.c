/* Times as people type them. */
#include "tools/noroshi/when.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

#define YEAR_MAX_MS UINT64_C(253402300799999) /* 9999-12-31T23:59:59.999Z */

struct nrs_wall
when_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (
	    struct nrs_wall){ (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000 };
}

int
when_duration(const char *s, uint64_t *ret_ms)
{
	static const struct {
		char letter;
		uint64_t ms;
	} units[] = { { 's', 1000 }, { 'm', 60000 }, { 'h', 3600000 }, { 'd', 86400000 },
		{ 'w', 604800000 } };
	size_t len = strlen(s);
	uint64_t n;

	if (len < 2)
		return NRS_ESYNTAX;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (s[len - 1] == units[i].letter) {
			int rc = nrs_u64_parse(s, len - 1, YEAR_MAX_MS / units[i].ms, &n);

			if (rc == 0)
				*ret_ms = n * units[i].ms;
			return rc;
		}
	return NRS_ESYNTAX;
}

int
when_parse(const char *s, struct nrs_wall now, struct nrs_wall *ret)
{
	char text[32];
	uint64_t ms;
	int rc;

	if (s[0] == '-') {
		if ((rc = when_duration(s + 1, &ms)) == 0)
			ret->ms = ms < now.ms ? now.ms - ms : 0;
		return rc;
	}
	if (strlen(s) == 10) {
		snprintf(text, sizeof(text), "%sT00:00:00Z", s);
		s = text;
	}
	return nrs_time_parse(s, strlen(s), ret);
}

/* --- zones ------------------------------------------------------------- */

static int
two_digits(const char *s)
{
	return s[0] >= '0' && s[0] <= '9' && s[1] >= '0' && s[1] <= '9'
	    ? (s[0] - '0') * 10 + s[1] - '0'
	    : -1;
}

/* "+09:00" or "+0900" */
static int
parse_offset(const char *s, int64_t *ret)
{
	size_t len = strlen(s);
	int h, m;

	if ((len != 6 && len != 5) || (len == 6 && s[3] != ':'))
		return NRS_ESYNTAX;
	h = two_digits(s + 1);
	m = two_digits(s + len - 2);
	if (h < 0 || m < 0)
		return NRS_ESYNTAX;
	if (h > 23 || m > 59)
		return NRS_ERANGE;
	*ret = (s[0] == '-' ? -1 : 1) * (h * 3600 + m * 60);
	return 0;
}

/* The C library takes an unknown name for UTC without a word, so it is looked for first. */
static bool
zone_exists(const char *name)
{
	const char *dir = getenv("TZDIR");
	char *path;
	bool found;

	for (const char *p = name; *p != '\0'; p++)
		if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
			(*p >= '0' && *p <= '9') || strchr("/_+-", *p) != NULL))
			return false;
	if (name[0] == '/' || name[0] == '\0' || name[strlen(name) - 1] == '/')
		return false;
	path = cli_fmt("%s/%s", dir != NULL ? dir : "/usr/share/zoneinfo", name);
	found = access(path, R_OK) == 0;
	free(path);
	return found;
}

int
zone_open(struct zone *z, const char *name)
{
	char *value;

	memset(z, 0, sizeof(*z));
	if (strcmp(name, "UTC") == 0 || strcmp(name, "Z") == 0)
		return 0;
	if (name[0] == '+' || name[0] == '-')
		return parse_offset(name, &z->fixed_s);
	if (!zone_exists(name))
		return NRS_EUNKNOWN;
	value = cli_fmt(":%s", name);
	if (setenv("TZ", value, 1) != 0)
		cli_oom();
	free(value);
	tzset();
	z->named = true;
	return 0;
}

/* Seconds east of UTC at a moment. */
static bool
offset_at(int64_t utc, int64_t *ret)
{
	time_t t = (time_t)utc;
	struct tm tm;

	if (localtime_r(&t, &tm) == NULL)
		return false;
	*ret = tm.tm_gmtoff;
	return true;
}

/*
 * Whatever the rules of the zone, the offset that holds is one in force a day
 * before or a day after: no zone changes twice within two days.  The larger
 * offset gives the earlier moment.
 */
int
zone_to_utc(void *zone, int64_t local_s, int64_t *ret_utc_s)
{
	const struct zone *z = zone;
	int64_t cand[2], tmp, at;

	if (!z->named) {
		*ret_utc_s = local_s - z->fixed_s;
		return 0;
	}
	if (!offset_at(local_s - 86400, &cand[0]) || !offset_at(local_s + 86400, &cand[1]))
		return NRS_ERANGE;
	if (cand[1] > cand[0]) {
		tmp = cand[0];
		cand[0] = cand[1];
		cand[1] = tmp;
	}
	for (int i = 0; i < 2; i++)
		if (offset_at(local_s - cand[i], &at) && at == cand[i]) {
			*ret_utc_s = local_s - cand[i];
			return 0;
		}
	return NRS_ERANGE;
}
