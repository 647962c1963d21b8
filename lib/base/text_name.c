/* Names and small numbers: hosts, communities, markings, record kinds. */
#include "base/text.h"

#include <noroshi/limits.h>

#include <string.h>
#include <strings.h>

static bool
is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool
nrs_origin_ok(const char *s, size_t len)
{
	size_t i, label = 0;
	bool dot = false;

	if (len == 0 || len > NRS_ORIGIN_MAX)
		return false;
	for (i = 0; i < len; i++) {
		if (s[i] == '.') {
			/* no empty label, and none ends in a hyphen */
			if (label == 0 || s[i - 1] == '-')
				return false;
			dot = true;
			label = 0;
			continue;
		}
		if (!is_alnum(s[i]) && (s[i] != '-' || label == 0))
			return false;
		if (++label > 63)
			return false;
	}
	return dot && label > 0 && s[len - 1] != '-';
}

bool
nrs_name_ok(const char *s, size_t len)
{
	size_t i;

	if (len == 0 || len > NRS_NAME_MAX || !is_alnum(s[0]))
		return false;
	for (i = 1; i < len; i++)
		if (!is_alnum(s[i]) && s[i] != '-' && s[i] != '_' && s[i] != '.')
			return false;
	return true;
}

int
nrs_u64_parse(const char *s, size_t len, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;
	unsigned int digit;
	bool over = false;
	size_t i;

	if (len == 0 || (len > 1 && s[0] == '0'))
		return NRS_ESYNTAX;
	for (i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return NRS_ESYNTAX;
		digit = (unsigned int)(s[i] - '0');
		over = over || v > (UINT64_MAX - digit) / 10;
		if (!over)
			v = v * 10 + digit;
	}
	if (over || v > max)
		return NRS_ERANGE;
	*ret = v;
	return 0;
}

#define DISTANCE_MAX 64

unsigned int
nrs_text_distance(const char *a, const char *b)
{
	unsigned int row[DISTANCE_MAX + 1], diag, up, best;
	size_t alen = strnlen(a, DISTANCE_MAX + 1), blen = strnlen(b, DISTANCE_MAX + 1);
	size_t i, j;

	if (alen > DISTANCE_MAX || blen > DISTANCE_MAX)
		return DISTANCE_MAX;
	for (j = 0; j <= blen; j++)
		row[j] = (unsigned int)j;
	for (i = 1; i <= alen; i++) {
		diag = row[0];
		row[0] = (unsigned int)i;
		for (j = 1; j <= blen; j++) {
			up = row[j];
			best = diag + (a[i - 1] != b[j - 1]);
			if (up + 1 < best)
				best = up + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			diag = up;
			row[j] = best;
		}
	}
	return row[blen];
}

static const char *const tlp_names[NRS_TLP__MAX] = { "CLEAR", "GREEN", "AMBER",
	"AMBER+STRICT", "RED" };

static const char *const kind_names[NRS_KIND__MAX] = { NULL, "bundle", "retract",
	"supersede", "remark", "erase", "receipt", "padding", "membership" };

static const char *const action_names[NRS_ACTION__MAX] = { NULL, "add", "update", "remove",
	"state" };

const char *
nrs_tlp_name(enum nrs_tlp t)
{
	return (unsigned int)t < NRS_TLP__MAX ? tlp_names[t] : "unknown";
}

static bool
same_word(const char *s, size_t len, const char *word)
{
	return strlen(word) == len && strncasecmp(s, word, len) == 0;
}

int
nrs_tlp_parse(const char *s, size_t len, enum nrs_tlp *ret)
{
	int t;

	if (len >= 4 && strncasecmp(s, "TLP:", 4) == 0) {
		s += 4;
		len -= 4;
	}
	for (t = 0; t < NRS_TLP__MAX; t++) {
		if (same_word(s, len, tlp_names[t])) {
			*ret = (enum nrs_tlp)t;
			return 0;
		}
	}
	if (!same_word(s, len, "WHITE")) /* TLP 1.0 */
		return NRS_ESYNTAX;
	*ret = NRS_TLP_CLEAR;
	return 0;
}

const char *
nrs_kind_name(uint8_t kind)
{
	return kind > 0 && kind < NRS_KIND__MAX ? kind_names[kind] : "unknown";
}

const char *
nrs_action_name(uint8_t action)
{
	return action > 0 && action < NRS_ACTION__MAX ? action_names[action] : "unknown";
}
