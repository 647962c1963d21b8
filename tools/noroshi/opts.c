/*
 * Options of the command line: long and short, anywhere among the arguments,
 * "--" ends them; a mistake names the nearest option there is.
 */
#include "tools/noroshi/cli.h"

#include <string.h>

#include "base/text.h"

struct scan {
	const struct opt_set *sets;
	unsigned int nsets;
	char *why;
	size_t why_len;
};

static const struct opt *
find_long(const struct scan *s, const char *name, size_t len, void **ret_dst)
{
	const struct opt *o;

	for (unsigned int i = 0; i < s->nsets; i++)
		for (o = s->sets[i].rows; o != NULL && o->name != NULL; o++)
			if (strlen(o->name) == len && memcmp(o->name, name, len) == 0) {
				*ret_dst = s->sets[i].dst;
				return o;
			}
	return NULL;
}

static const struct opt *
find_letter(const struct scan *s, char letter, void **ret_dst)
{
	const struct opt *o;

	for (unsigned int i = 0; i < s->nsets; i++)
		for (o = s->sets[i].rows; o != NULL && o->name != NULL; o++)
			if (o->letter == letter) {
				*ret_dst = s->sets[i].dst;
				return o;
			}
	return NULL;
}

static int
fail_unknown(const struct scan *s, const char *name, size_t len)
{
	const struct opt *o, *best = NULL;
	unsigned int d, least = 8;
	char text[64];

	if (len >= sizeof(text))
		len = sizeof(text) - 1;
	memcpy(text, name, len);
	text[len] = '\0';
	for (unsigned int i = 0; i < s->nsets; i++)
		for (o = s->sets[i].rows; o != NULL && o->name != NULL; o++)
			/* Letters swapped are likelier than letters lost. */
			if ((d = 2 * nrs_text_distance(text, o->name) +
				    (strlen(text) != strlen(o->name))) < least) {
				least = d;
				best = o;
			}
	if (best != NULL && least < 2 * strlen(text))
		snprintf(s->why, s->why_len, "there is no option --%s; did you mean --%s?",
		    text, best->name);
	else
		snprintf(s->why, s->why_len, "there is no option --%s", text);
	return NRS_ESYNTAX;
}

static int
store(const struct scan *s, const struct opt *o, void *dst, const char *value)
{
	char *at = (char *)dst + o->off;
	struct opt_list *list;

	switch (o->kind) {
	case OPT_FLAG:
		*(bool *)at = true;
		return 0;
	case OPT_TEXT:
		if (*(const char **)at != NULL) {
			snprintf(s->why, s->why_len, "--%s is given twice", o->name);
			return NRS_ESYNTAX;
		}
		*(const char **)at = value;
		return 0;
	case OPT_LIST:
		list = (struct opt_list *)at;
		if (list->n == OPT_LIST_MAX) {
			snprintf(s->why, s->why_len, "--%s is given too often", o->name);
			return NRS_ESYNTAX;
		}
		list->v[list->n++] = value;
		return 0;
	}
	return NRS_EINTERNAL;
}

/* "--name", "--name=value", "--name value": takes i further when the value is a word of its own. */
static int
take_long(const struct scan *s, char **argv, int argc, int *i)
{
	const char *name = argv[*i] + 2, *eq = strchr(name, '=');
	size_t len = eq != NULL ? (size_t)(eq - name) : strlen(name);
	const char *value = eq != NULL ? eq + 1 : NULL;
	const struct opt *o;
	void *dst;

	if ((o = find_long(s, name, len, &dst)) == NULL)
		return fail_unknown(s, name, len);
	if (o->kind == OPT_FLAG && value != NULL) {
		snprintf(s->why, s->why_len, "--%s takes no value", o->name);
		return NRS_ESYNTAX;
	}
	if (o->kind != OPT_FLAG && value == NULL) {
		if (*i + 1 >= argc) {
			snprintf(
			    s->why, s->why_len, "--%s needs a value: %s", o->name, o->meta);
			return NRS_ESYNTAX;
		}
		value = argv[++*i];
	}
	return store(s, o, dst, value);
}

/* "-v", "-qv", "-oFILE", "-o FILE" */
static int
take_short(const struct scan *s, char **argv, int argc, int *i)
{
	const char *p = argv[*i] + 1, *value;
	const struct opt *o;
	void *dst;
	int rc;

	for (; *p != '\0'; p++) {
		if ((o = find_letter(s, *p, &dst)) == NULL) {
			snprintf(s->why, s->why_len, "there is no option -%c", *p);
			return NRS_ESYNTAX;
		}
		value = NULL;
		if (o->kind != OPT_FLAG) {
			value = p[1] != '\0' ? p + 1 : *i + 1 < argc ? argv[++*i] : NULL;
			if (value == NULL) {
				snprintf(s->why, s->why_len, "-%c needs a value: %s", *p,
				    o->meta);
				return NRS_ESYNTAX;
			}
		}
		if ((rc = store(s, o, dst, value)) != 0)
			return rc;
		if (value != NULL)
			break;
	}
	return 0;
}

int
opts_parse(const struct opt_set *sets, unsigned int nsets, bool stop, int *argc,
    char **argv, int *ret_used, char *why, size_t why_len)
{
	struct scan s = { sets, nsets, why, why_len };
	int i, rc, kept = 0;

	for (i = 0; i < *argc; i++) {
		if (strcmp(argv[i], "--") == 0) {
			for (i++; i < *argc; i++)
				argv[kept++] = argv[i];
			break;
		}
		if (argv[i][0] != '-' || argv[i][1] == '\0') {
			if (stop)
				break;
			argv[kept++] = argv[i];
			continue;
		}
		rc = argv[i][1] == '-' ? take_long(&s, argv, *argc, &i)
				       : take_short(&s, argv, *argc, &i);
		if (rc != 0)
			return rc;
	}
	if (ret_used != NULL)
		*ret_used = i;
	if (!stop)
		*argc = kept;
	return 0;
}
