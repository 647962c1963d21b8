/* Small readings of the daemon's answers. */
#include "tools/noroshi/answer.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

char *
ans_join(const json_t *array, const char *sep)
{
	char *all = cli_strdup(""), *more;
	const char *s;
	json_t *v;
	size_t i;

	json_array_foreach(array, i, v) {
		s = json_is_object(v) ? ans_text(v, "name") : json_string_value(v);
		if (s == NULL)
			continue;
		more = cli_fmt("%s%s%s", all, *all != '\0' ? sep : "", s);
		free(all);
		all = more;
	}
	return all;
}

char *
ans_unknown(const json_t *array, const char *name, const char *list)
{
	unsigned int d,
	    least = (unsigned int)(strlen(name) < 64 ? strlen(name) : 64) / 3 + 2;
	const char *best = NULL;
	json_t *v;
	size_t i;

	json_array_foreach(array, i, v) {
		d = nrs_text_distance(name, ans_text(v, "name"));
		if (d > 0 && d < least) {
			least = d;
			best = ans_text(v, "name");
		}
	}
	if (best != NULL)
		return cli_fmt(
		    "Did you mean %s? \"%s\" tells which there are.", best, list);
	return cli_fmt("\"%s\" tells which there are.", list);
}

int
ans_print(const json_t *o)
{
	/* A terminal must not take what stands in a record for orders. */
	size_t ascii = isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0;

	if (json_dumpf(o, stdout, JSON_COMPACT | ascii) != 0 && !ferror(stdout))
		cli_oom();
	putchar('\n');
	return 0;
}

const char *
ans_bytes(char dst[32], long long n)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	double v = (double)n;
	int u = 0;

	for (; v >= 1024 && u < 4; u++)
		v /= 1024;
	snprintf(dst, 32, u == 0 ? "%.0f %s" : "%.1f %s", v, units[u]);
	return dst;
}

const char *
ans_age(char dst[32], long long s)
{
	if (s >= 86400)
		snprintf(dst, 32, "%lld d %02lld h", s / 86400, s / 3600 % 24);
	else if (s >= 3600)
		snprintf(dst, 32, "%lld h %02lld min", s / 3600, s / 60 % 60);
	else if (s >= 60)
		snprintf(dst, 32, "%lld min %02lld s", s / 60, s % 60);
	else
		snprintf(dst, 32, "%lld s", s);
	return dst;
}

json_t *
ans_split(const struct opt_list *l)
{
	json_t *array = json_array();
	const char *s;
	size_t n;

	for (unsigned int i = 0; i < l->n; i++)
		for (s = l->v[i]; *s != '\0'; s += n + (s[n] == ',')) {
			n = strcspn(s, ",");
			if (n > 0 && json_array_append_new(array, json_stringn(s, n)) != 0)
				cli_oom();
		}
	if (array == NULL)
		cli_oom();
	return array;
}
