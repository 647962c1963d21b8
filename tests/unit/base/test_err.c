/* The error table and the first-error-wins detail. */
#include <noroshi/err.h>

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

struct row {
	const char *name;
	int code;
	unsigned int wire;
	const char *text;
};

static const struct row rows[] = {
#define ERR(name, num, wire, text) { #name, num, wire, text },
#include "noroshi/err.def"
#undef ERR
};

#define NROWS (sizeof(rows) / sizeof(rows[0]))

static void
test_table(void **state)
{
	char lower[32];
	size_t i, j;

	for (i = 0; i < NROWS; i++) {
		for (j = 0; rows[i].name[j] != '\0'; j++)
			lower[j] = (char)tolower((unsigned char)rows[i].name[j]);
		lower[j] = '\0';
		assert_string_equal(nrs_errname(rows[i].code), lower);
		assert_string_equal(nrs_strerror(rows[i].code), rows[i].text);
		for (j = 0; j < i; j++) {
			assert_int_not_equal(rows[i].code, rows[j].code);
			assert_true(rows[i].wire == 0 || rows[i].wire != rows[j].wire);
		}
	}
	assert_string_equal(nrs_strerror(1), "unknown error");
	assert_string_equal(nrs_errname(-1), "unknown");
	assert_string_equal(nrs_errname(0), "ok");
}

static void
test_wire(void **state)
{
	size_t i;

	for (i = 0; i < NROWS; i++) {
		if (rows[i].wire == 0) {
			assert_int_equal(nrs_err_wire(rows[i].code), 79);
			continue;
		}
		assert_int_equal(nrs_err_wire(rows[i].code), rows[i].wire);
		assert_int_equal(nrs_err_from_wire(rows[i].wire), rows[i].code);
	}
	assert_int_equal(nrs_err_wire(NRS_EIO), 79);
	assert_int_equal(nrs_err_from_wire(0), NRS_EINTERNAL);
	assert_int_equal(nrs_err_from_wire(4000), NRS_EINTERNAL);
}

static void
test_detail(void **state)
{
	struct nrs_detail d = { 0 };
	char big[400];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	assert_int_equal(nrs_fail(NULL, NRS_ESIG, 1, "x"), NRS_ESIG);
	assert_int_equal(nrs_fail(&d, NRS_ESYNTAX, 7, "%s", big), NRS_ESYNTAX);
	assert_int_equal(strlen(d.text), sizeof(d.text) - 1);
	assert_int_equal(nrs_fail(&d, NRS_ELIMIT, 8, "later"), NRS_ELIMIT);
	assert_int_equal(d.code, NRS_ESYNTAX);
	assert_int_equal(d.off, 7);
	assert_int_equal(d.text[0], 'x');
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_wire),
		cmocka_unit_test(test_detail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
