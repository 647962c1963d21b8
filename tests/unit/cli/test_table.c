/* Tables: straight with wide text, harmless on terminals and in spreadsheets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tools/noroshi/table.h"

static const char *const titles[] = { "name", ">count", "what", NULL };

/* rows: cells, ended by NULL. */
static char *
print(const struct cli *c, const char *const *cells)
{
	struct table *t = table_new(titles);
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	for (; *cells != NULL; cells++)
		table_text(t, *cells);
	table_print(t, c, f);
	table_free(t);
	fclose(f);
	return text;
}

static void
check(const struct cli *c, const char *const *cells, const char *expected)
{
	char *text = print(c, cells);

	assert_string_equal(text, expected);
	free(text);
}

static void
test_human(void **state)
{
	static const char *const none[] = { NULL };
	static const char *const wide[] = { "a", "1", "x", "日本", "1000000", "yy", "é",
		"22", "", NULL };
	const struct cli c = { 0 };

	check(&c, none, "name  count  what\n");
	check(&c, wide,
	    "name    count  what\n"
	    "a           1  x\n"
	    "日本  1000000  yy\n"
	    "é          22  \n");
}

static void
test_human_is_escaped(void **state)
{
	static const char *const cells[] = { "\033[31mred", "\xff", "a\nb\xe2\x80\xae",
		NULL };
	const struct cli c = { 0 };

	check(&c, cells,
	    "name         count  what\n"
	    "\\x1b[31mred   \\xff  a\\x0ab\\u{202e}\n");
}

static void
test_csv(void **state)
{
	static const char *const cells[] = { "plain", "=1+1", "a,b", "-x", "+1", "@a",
		"say \"hi\"", "a\nb", "\tx", NULL };
	const struct cli c = { .form = CLI_CSV };

	check(&c, cells,
	    "name,count,what\r\n"
	    "plain,'=1+1,\"a,b\"\r\n"
	    "'-x,'+1,'@a\r\n"
	    "\"say \"\"hi\"\"\",\"a\nb\",'\tx\r\n");
}

static void
test_colour(void **state)
{
	const struct cli plain = { 0 }, color = { .color = true };

	assert_string_equal(tlp_color(&plain, "RED"), "");
	assert_string_equal(tlp_color(&color, "RED"), "\033[91;40m");
	assert_string_equal(tlp_color(&color, "AMBER+STRICT"), tlp_color(&color, "amber"));
	assert_string_equal(tlp_color(&color, "nothing"), "");
	assert_string_equal(plain_color(&plain), "");
}

/* The width of a cell is that of its text, not of its colour. */
static void
test_colour_is_no_width(void **state)
{
	const struct cli c = { .color = true };
	struct table *t = table_new(titles);
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	table_tlp(t, "RED");
	table_fmt(t, "%d", 5);
	table_state(t, "down", false);
	table_print(t, &c, f);
	table_free(t);
	fclose(f);
	assert_string_equal(text,
	    "name  count  what\n"
	    "\033[91;40mRED\033[0m       5  \033[31mdown\033[0m\n");
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_human),
		cmocka_unit_test(test_human_is_escaped),
		cmocka_unit_test(test_csv),
		cmocka_unit_test(test_colour),
		cmocka_unit_test(test_colour_is_no_width),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
