/* Options of the command line: forms, order, mistakes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "tools/noroshi/cli.h"

struct vals {
	bool flag;
	bool quiet;
	const char *text;
	struct opt_list list;
};

static const struct opt rows[] = {
	{ "flag", 'f', OPT_FLAG, NULL, offsetof(struct vals, flag), "", NULL },
	{ "text", 't', OPT_TEXT, "TEXT", offsetof(struct vals, text), "", NULL },
	{ "list", 'l', OPT_LIST, "X", offsetof(struct vals, list), "", NULL },
	{ NULL },
};
static const struct opt more[] = {
	{ "quiet", 'q', OPT_FLAG, NULL, offsetof(struct vals, quiet), "", NULL },
	{ NULL },
};

/* Splits at spaces; "~" stands for an empty word. */
static int
parse(const char *line, bool stop, struct vals *v, char *left, int *ret_used, char why[128])
{
	struct opt_set sets[] = { { rows, v }, { more, v } };
	static char copy[1024];
	char *argv[32];
	int argc = 0, rc, used;

	memset(v, 0, sizeof(*v));
	strcpy(copy, line);
	for (char *p = strtok(copy, " "); p != NULL; p = strtok(NULL, " "))
		argv[argc++] = strcmp(p, "~") == 0 ? p + 1 : p;
	why[0] = '\0';
	rc = opts_parse(sets, 2, stop, &argc, argv, &used, why, 128);
	left[0] = '\0';
	for (int i = stop ? used : 0; rc == 0 && i < argc; i++) {
		strcat(left, argv[i]);
		strcat(left, "|");
	}
	if (ret_used != NULL)
		*ret_used = used;
	return rc;
}

static void
test_forms(void **state)
{
	static const struct {
		const char *line, *text, *left;
		bool flag, quiet;
		unsigned int nlist;
	} t[] = {
		{ "", NULL, "", false, false, 0 },
		{ "a b", NULL, "a|b|", false, false, 0 },
		{ "a --flag b", NULL, "a|b|", true, false, 0 },
		{ "--text x a", "x", "a|", false, false, 0 },
		{ "--text=x a", "x", "a|", false, false, 0 },
		{ "--text= a", "", "a|", false, false, 0 },
		{ "--text=a=b", "a=b", "", false, false, 0 },
		{ "--text -f a", "-f", "a|", false, false, 0 },
		{ "-tx a", "x", "a|", false, false, 0 },
		{ "-t x a", "x", "a|", false, false, 0 },
		{ "-fq a", NULL, "a|", true, true, 0 },
		{ "-fqtx a", "x", "a|", true, true, 0 },
		{ "- a", NULL, "-|a|", false, false, 0 },
		{ "-- -f a", NULL, "-f|a|", false, false, 0 },
		{ "a -- --text", NULL, "a|--text|", false, false, 0 },
		{ "--list a --list=b -lc", NULL, "", false, false, 3 },
		{ "~ a", NULL, "|a|", false, false, 0 },
	};
	char left[256], why[128];
	struct vals v;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		assert_int_equal(parse(t[i].line, false, &v, left, NULL, why), 0);
		assert_string_equal(left, t[i].left);
		assert_int_equal(v.flag, t[i].flag);
		assert_int_equal(v.quiet, t[i].quiet);
		assert_int_equal(v.list.n, t[i].nlist);
		if (t[i].text == NULL)
			assert_null(v.text);
		else
			assert_string_equal(v.text, t[i].text);
	}
}

static void
test_stop(void **state)
{
	char left[256], why[128];
	struct vals v;
	int used;

	assert_int_equal(parse("-q -t x cmd -f y", true, &v, left, &used, why), 0);
	assert_int_equal(used, 3);
	assert_true(v.quiet);
	assert_false(v.flag);
	assert_string_equal(left, "cmd|-f|y|");
}

static void
test_mistakes(void **state)
{
	static const struct {
		const char *line, *why;
	} t[] = {
		{ "--nope", "there is no option --nope" },
		{ "--txet x", "there is no option --txet; did you mean --text?" },
		{ "--quite", "there is no option --quite; did you mean --quiet?" },
		{ "-x", "there is no option -x" },
		{ "-fx", "there is no option -x" },
		{ "--text", "--text needs a value: TEXT" },
		{ "-t", "-t needs a value: TEXT" },
		{ "--flag=1", "--flag takes no value" },
		{ "--text a --text b", "--text is given twice" },
		{ "--tex x", "there is no option --tex; did you mean --text?" },
	};
	char left[256], why[128];
	struct vals v;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		assert_int_equal(parse(t[i].line, false, &v, left, NULL, why), NRS_ESYNTAX);
		assert_string_equal(why, t[i].why);
	}
}

static void
test_list_is_bounded(void **state)
{
	struct vals v = { 0 };
	struct opt_set set = { rows, &v };
	char *argv[2 * OPT_LIST_MAX + 2], why[128];
	char word[] = "-lx";
	int argc = OPT_LIST_MAX + 1;

	for (int i = 0; i < argc; i++)
		argv[i] = word;
	assert_int_equal(
	    opts_parse(&set, 1, false, &argc, argv, NULL, why, sizeof(why)), NRS_ESYNTAX);
	assert_string_equal(why, "--list is given too often");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_list_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
