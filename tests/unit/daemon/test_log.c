/* Log lines: their form, what is escaped, and how many of a kind are written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/log.h"
#include "fixture.h"

static char dir[64], path[96], text[65536];

static int
setup(void **state)
{
	fixture_dir(dir);
	snprintf(path, sizeof(path), "%s/log", dir);
	return log_open(path, NRS_LOG_INFO);
}

static int
teardown(void **state)
{
	log_close();
	fixture_remove(dir);
	return 0;
}

static const char *
written(void)
{
	FILE *fp = fopen(path, "r");

	assert_non_null(fp);
	text[fread(text, 1, sizeof(text) - 1, fp)] = '\0';
	fclose(fp);
	return text;
}

static unsigned int
lines_with(const char *what)
{
	unsigned int n = 0;

	for (const char *s = written(); (s = strstr(s, what)) != NULL; s++)
		n++;
	return n;
}

static void
test_form(void **state)
{
	log_notice(
	    "peer us.cert.example", "up -> idle, %s", "closed\nNOTICE forged: \033[2J");
	log_debug("daemon", "not wanted");
	assert_string_equal(written() + 24,
	    " NOTICE peer us.cert.example: up -> idle, closed\\x0aNOTICE forged: \\x1b[2J\n");
	assert_int_equal(text[4], '-');
	assert_int_equal(text[23], 'Z');
	log_set_level(NRS_LOG_DEBUG);
	log_debug("daemon", "wanted");
	assert_int_equal(lines_with(" DEBUG daemon: wanted\n"), 1);
}

/* Ten of a kind, of each subject; the rest in one line at the end. */
static void
test_rate(void **state)
{
	for (unsigned int i = 0; i < 25; i++) {
		log_warning("network", "refused %u", i);
		log_msg(NRS_LOG_INFO, "peer a", "%s", i % 2 == 0 ? "lag 1" : "lag 22");
	}
	log_warning("peer b", "refused %u", 1u);
	assert_int_equal(lines_with("network: refused"), 10);
	assert_int_equal(lines_with("peer a: lag"), 10);
	assert_int_equal(lines_with("peer b: refused"), 1);
	log_close();
	assert_int_equal(
	    lines_with("network: 15 more like this suppressed: refused 24\n"), 1);
	assert_int_equal(lines_with("peer a: 15 more like this suppressed"), 1);
}

static void
test_reopen(void **state)
{
	char old[128];

	log_notice("daemon", "before");
	snprintf(old, sizeof(old), "%s.1", path);
	assert_int_equal(rename(path, old), 0);
	log_reopen();
	log_notice("daemon", "after");
	assert_int_equal(lines_with("daemon: after"), 1);
	assert_int_equal(lines_with("daemon: before"), 0);
	/* What cannot be opened changes nothing. */
	assert_int_equal(log_open("/nonexistent/log", NRS_LOG_DEBUG), NRS_EIO);
	log_notice("daemon", "still");
	assert_int_equal(lines_with("daemon: still"), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_form, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rate, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reopen, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
