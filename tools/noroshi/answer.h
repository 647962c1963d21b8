/*
 * Reading what the daemon answered: members that are missing or of another
 * kind read as nothing, since a newer daemon may say more and an older one less.
 */
#ifndef NOROSHI_ANSWER_H
#define NOROSHI_ANSWER_H

#include <jansson.h>
#include <stdbool.h>

#include "tools/noroshi/cli.h"

static inline const char *
ans_text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "";
}

static inline long long
ans_num(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return json_is_real(v) ? (long long)json_real_value(v) : json_integer_value(v);
}

static inline bool
ans_true(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

/* The ending of what is counted: "1 record", "2 records". */
static inline const char *
ans_s(unsigned long long n)
{
	return n == 1 ? "" : "s";
}

/* Texts of an array (of texts, or of objects with a name), joined; free() it. */
char *ans_join(const json_t *array, const char *sep);
/* What to do about a name that is not among those of an array: the nearest, where to look; free() it. */
char *ans_unknown(const json_t *array, const char *name, const char *list);
/* The answer as it is, on one line. Returns 0. */
int ans_print(const json_t *o);
/* "1.2 MiB" */
const char *ans_bytes(char dst[32], long long n);
/* "3 d 04 h", "5 min 02 s" */
const char *ans_age(char dst[32], long long s);
/* Splits texts at commas into a JSON array; empty parts are dropped. */
json_t *ans_split(const struct opt_list *l);

#endif
