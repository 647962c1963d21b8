/*
 * The configuration against its golden files: tests/golden/conf/NAME.in is a
 * tree of files ("### NAME" begins one; the first is noroshi.conf), NAME.ok what is said and
 * printed, with DIR for the directory.  NOROSHI_GOLDEN_UPDATE=1 writes them anew.
 */
#include <sys/stat.h>

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/conf_table.h"
#include "fixture.h"

/* libConfuse 3.3 loses the list it was reading when a file ends in the middle of one. */
const char *__lsan_default_suppressions(void);
__attribute__((visibility("default"))) const char *
__lsan_default_suppressions(void)
{
	return "leak:libconfuse";
}

static char dir[64], main_file[96];

/* A certificate of a key made of seed. */
static void
write_cert(uint8_t seed, const char *name)
{
	struct nrs_seckey *k;
	uint8_t raw[32], *der;
	size_t der_len, len;
	char *pem;

	memset(raw, seed, sizeof(raw));
	assert_int_equal(nrs_seckey_from_seed(raw, &k), 0);
	assert_int_equal(nrs_tls_cert(k, "soc", &der, &der_len), 0);
	assert_int_equal(nrs_cert_to_pem(der, der_len, &pem, &len), 0);
	fixture_write(dir, name, pem, len, 0644);
	free(pem);
	free(der);
	nrs_seckey_free(k);
}

static int
setup(void **state)
{
	struct nrs_manifest m;

	fixture_dir(dir);
	snprintf(main_file, sizeof(main_file), "%s/noroshi.conf", dir);
	fixture_manifest("jp.cert.example", 1, dir, "manifest", &m);
	fixture_manifest("us.cert.example", 2, dir, "peers/us.cert.example.manifest", &m);
	fixture_manifest("sg.cert.example", 3, dir, "peers/sg.cert.example.manifest", &m);
	/* The name of one and the keys of another. */
	fixture_manifest("xx.cert.example", 2, dir, "peers/xx.cert.example.manifest", &m);
	write_cert(4, "soc.pem");
	write_cert(4, "soc-again.pem");
	fixture_write(dir, "peers/bad.cert.example.manifest", "hello\n", 6, 0644);
	return 0;
}

static int
teardown(void **state)
{
	fixture_remove(dir);
	return 0;
}

static char *
read_all(const char *path)
{
	char *p = calloc(1, 1u << 20);
	FILE *fp = fopen(path, "r");

	assert_non_null(p);
	if (fp != NULL) {
		assert_true(fread(p, 1, (1u << 20) - 1, fp) < (1u << 20) - 1);
		fclose(fp);
	}
	return p;
}

static void
unpack(char *text)
{
	const char *name = "noroshi.conf";

	while (text != NULL) {
		char *next = strncmp(text, "### ", 4) == 0 ? text : strstr(text, "\n### ");
		char *end;

		if (next == text) {
			name = text + 4;
			end = strchr(name, '\n');
			assert_non_null(end);
			*end = '\0';
			text = end + 1;
			next = strstr(text, "\n### ");
		}
		end = next != NULL ? next + 1 : text + strlen(text);
		fixture_write(dir, name, text, (size_t)(end - text), 0644);
		text = next != NULL ? next + 1 : NULL;
	}
}

static void
add_without_dir(struct nrs_buf *b, const char *s)
{
	for (const char *at; (at = strstr(s, dir)) != NULL; s = at + strlen(dir)) {
		nrs_buf_put(b, s, (size_t)(at - s));
		nrs_buf_str(b, "DIR");
	}
	nrs_buf_str(b, s);
}

static char *
printed(const struct conf *c)
{
	struct nrs_buf b;
	size_t len;

	nrs_buf_init(&b, 1u << 20);
	assert_int_equal(conf_print(c, &b), 0);
	nrs_buf_u8(&b, 0);
	assert_int_equal(b.err, 0);
	return (char *)nrs_buf_take(&b, &len);
}

/* What was printed is read as the same thing, wherever it lies. */
static void
check_fixed_point(const char *text)
{
	struct conf_err e;
	struct conf *c;
	char path[128], *again;

	snprintf(path, sizeof(path), "%s/elsewhere/printed.conf", dir);
	fixture_write(dir, "elsewhere/printed.conf", text, strlen(text), 0644);
	if (conf_load(path, &c, &e) != 0)
		fail_msg("printed form does not load: %s", e.text);
	again = printed(c);
	assert_string_equal(again, text);
	free(again);
	conf_free(c);
}

static char *
outcome(void)
{
	struct conf_err e;
	struct conf *c;
	struct nrs_buf b;
	size_t len;
	char *text;
	int rc = conf_load(main_file, &c, &e);

	assert_int_equal(rc != 0, e.n != 0);
	nrs_buf_init(&b, 1u << 20);
	add_without_dir(&b, e.text);
	add_without_dir(&b, e.warn);
	if (rc == 0) {
		text = printed(c);
		add_without_dir(&b, text);
		check_fixed_point(text);
		free(text);
		conf_free(c);
	}
	nrs_buf_u8(&b, 0);
	assert_int_equal(b.err, 0);
	return (char *)nrs_buf_take(&b, &len);
}

static void
check_case(const char *name)
{
	char in[512], ok[512], *text, *expect, *got;

	snprintf(in, sizeof(in), "%s/%s.in", GOLDEN_DIR, name);
	snprintf(ok, sizeof(ok), "%s/%s.ok", GOLDEN_DIR, name);
	setup(NULL);
	text = read_all(in);
	unpack(text);
	got = outcome();
	if (getenv("NOROSHI_GOLDEN_UPDATE") != NULL) {
		FILE *fp = fopen(ok, "w");

		assert_non_null(fp);
		fputs(got, fp);
		fclose(fp);
	}
	expect = read_all(ok);
	if (strcmp(got, expect) != 0)
		print_error("case %s\n", name);
	assert_string_equal(got, expect);
	free(text);
	free(expect);
	free(got);
	teardown(NULL);
}

static void
test_golden(void **state)
{
	DIR *dp = opendir(GOLDEN_DIR);
	struct dirent *d;
	unsigned int n = 0;

	assert_non_null(dp);
	while ((d = readdir(dp)) != NULL) {
		size_t len = strlen(d->d_name);
		char name[256];

		if (len < 4 || strcmp(d->d_name + len - 3, ".in") != 0)
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)len - 3, d->d_name);
		check_case(name);
		n++;
	}
	closedir(dp);
	assert_true(n >= 15);
}

static const char base[] = "node { origin = \"jp.cert.example\" }\n"
			   "include(\"conf.d/*.conf\")\n";

static void
put_main(const char *text)
{
	fixture_write(dir, "noroshi.conf", text, strlen(text), 0644);
}

static struct conf *
load(void)
{
	struct conf_err e;
	struct conf *c = NULL;

	if (conf_load(main_file, &c, &e) != 0)
		fail_msg("%s", e.text);
	return c;
}

/* Cut anywhere, a file is an error or another configuration, never a crash. */
static void
test_truncations(void **state)
{
	static const char text[] =
	    "# c\nnode {\n origin = \"jp.cert.example\" /* x */\n"
	    " operators = {\"root\", '@root'}\n}\n// d\nlisten \"*:1\" {}\n"
	    "peer us.cert.example { ceiling = RED }\ninclude(\"x/*\")\n";

	for (size_t i = 0; i < sizeof(text); i++) {
		struct conf_err e;
		struct conf *c;
		int rc;

		fixture_write(dir, "noroshi.conf", text, i, 0644);
		rc = conf_load(main_file, &c, &e);
		assert_int_equal(rc != 0, e.n != 0);
		conf_free(c);
	}
}

static void
test_nul_and_size(void **state)
{
	struct conf_err e;
	struct conf *c;

	fixture_write(dir, "noroshi.conf", "node\0{}", 7, 0644);
	assert_int_equal(conf_load(main_file, &c, &e), NRS_ESYNTAX);
	assert_non_null(strstr(e.text, "NUL"));
	assert_int_equal(conf_load("/nonexistent/x.conf", &c, &e), NRS_ESYNTAX);
	assert_non_null(strstr(e.text, "/nonexistent/x.conf: No such file"));
	put_main(base);
	assert_int_equal(chmod(main_file, 0666), 0);
	assert_int_equal(conf_load(main_file, &c, &e), NRS_ESYNTAX);
	assert_non_null(strstr(e.text, "chmod o-w"));
	assert_int_equal(chmod(main_file, 0644), 0);
}

static void
test_reloadable(void **state)
{
	struct conf_err e = { 0 };
	struct conf *a, *b;

	put_main(base);
	a = load();
	put_main("node { origin = \"jp.cert.example\"\n log-level = debug }\n");
	b = load();
	assert_int_equal(conf_reloadable(a, b, &e), 0);
	conf_free(b);
	put_main("node { origin = \"jp.cert.example\"\n data = \"/elsewhere\" }\n"
		 "limits { \n\n job-threads = 3 }\n");
	b = load();
	assert_int_equal(conf_reloadable(a, b, &e), NRS_EPERM);
	assert_int_equal(e.n, 2);
	assert_non_null(strstr(e.text, "noroshi.conf:2: \"data\" cannot be changed"));
	assert_non_null(
	    strstr(e.text, "noroshi.conf:5: \"job-threads\" cannot be changed"));
	conf_free(a);
	conf_free(b);
}

static void
test_edit(void **state)
{
	static const char *const communities[] = { "iwwn", "apcert" };
	static const char *const addresses[] = { "192.0.2.7:7373" };
	struct conf_peer_edit edit = { "us.cert.example", communities, 2, addresses, 1,
		NULL, 0 };
	struct nrs_detail d = { 0 };
	const struct conf_peer *p;
	struct conf *c;
	char path[128], *note;

	snprintf(path, sizeof(path), "%s/peers/us.cert.example.manifest", dir);
	note = read_all(path);
	edit.manifest = (const uint8_t *)note;
	edit.manifest_len = strlen(note);
	put_main("node { origin = \"jp.cert.example\" }\n");
	c = load();
	assert_int_equal(conf_peer_write(c, &edit, &d), NRS_EPERM);
	assert_non_null(strstr(d.text, "include"));
	conf_free(c);

	put_main(base);
	c = load();
	assert_int_equal(conf_peer_suspend(c, "us.cert.example", true, NULL), NRS_EUNKNOWN);
	assert_int_equal(conf_peer_write(c, &edit, NULL), 0);
	conf_free(c);
	c = load();
	p = conf_peer_find(c, "us.cert.example");
	assert_non_null(p);
	assert_int_equal(p->communities.n, 2);
	assert_string_equal(p->communities.v[1], "apcert");
	assert_string_equal(p->addresses.v[0], "192.0.2.7:7373");
	assert_false(p->suspended);
	/* the quotas by which a node protects its disk are not written away */
	assert_int_equal(p->leaves_per_day, 10000000);
	assert_int_equal(p->disk_share, UINT64_C(32) << 30);
	assert_int_equal(conf_peer_suspend(c, "us.cert.example", true, NULL), 0);
	conf_free(c);

	/* Accepting again keeps what else was set. */
	c = load();
	assert_true(conf_peer_find(c, "us.cert.example")->suspended);
	edit.naddresses = 0;
	assert_int_equal(conf_peer_write(c, &edit, NULL), 0);
	conf_free(c);
	c = load();
	p = conf_peer_find(c, "us.cert.example");
	assert_true(p->suspended);
	assert_string_equal(p->addresses.v[0], "us.cert.example:7373");

	/* One that does not load is taken back: to what is in force, or to nothing. */
	edit.manifest = (const uint8_t *)"rubbish";
	edit.manifest_len = 7;
	edit.ncommunities = 1;
	assert_int_equal(conf_peer_write(c, &edit, NULL), 0);
	assert_int_equal(conf_peer_undo(c, "us.cert.example", NULL), 0);
	conf_free(c);
	c = load();
	p = conf_peer_find(c, "us.cert.example");
	assert_non_null(p);
	assert_true(p->suspended);
	assert_int_equal(p->communities.n, 2);
	assert_int_equal(conf_peer_remove(c, "us.cert.example", NULL), 0);
	conf_free(c);
	c = load();
	assert_null(conf_peer_find(c, "us.cert.example"));
	assert_int_not_equal(access(path, F_OK), 0);
	assert_int_equal(conf_peer_write(c, &edit, NULL), 0);
	assert_int_equal(conf_peer_undo(c, "us.cert.example", NULL), 0);
	assert_int_not_equal(access(path, F_OK), 0);
	conf_free(c);
	c = load();
	assert_null(conf_peer_find(c, "us.cert.example"));
	conf_free(c);
	free(note);
}

static void
test_edit_by_hand(void **state)
{
	struct nrs_detail d = { 0 };
	struct conf *c;

	put_main("include(\"conf.d/*.conf\")\nnode { origin = \"jp.cert.example\" }\n\n"
		 "peer sg.cert.example { }\n");
	c = load();
	assert_int_equal(conf_peer_suspend(c, "sg.cert.example", true, &d), NRS_EPERM);
	assert_non_null(strstr(d.text, "noroshi.conf:4"));
	d.code = 0;
	assert_int_equal(conf_peer_remove(c, "sg.cert.example", &d), NRS_EPERM);
	conf_free(c);
}

static void
test_roles(void **state)
{
	static const gid_t staff[] = { 7, 0 };
	struct conf *c;

	put_main("node { origin = \"jp.cert.example\"\n submitters = {\"@root\"}\n"
		 " readers = {\"nobody\"} }\n");
	c = load();
	assert_int_equal(conf_role_of(c, 0, NULL, 0), CONF_ROLE_OPERATOR);
	assert_int_equal(conf_role_of(c, geteuid(), NULL, 0), CONF_ROLE_OPERATOR);
	assert_int_equal(conf_role_of(c, 54321, staff, 1), CONF_ROLE_NONE);
	assert_int_equal(conf_role_of(c, 54321, staff, 2), CONF_ROLE_SUBMITTER);
	assert_int_equal(c->reader_ids.nuids, 1);
	assert_int_equal(
	    conf_role_of(c, c->reader_ids.uids[0], staff, 1), CONF_ROLE_READER);
	conf_free(c);
}

/* The files that are installed as examples are what they say. */
static void
test_samples(void **state)
{
	static const char *const names[] = { "noroshi.conf", "noroshi-minimal.conf" };
	struct nrs_manifest m;

	fixture_manifest("cert.example.org", 9, dir, "manifest", &m);
	for (unsigned int i = 0; i < 2; i++) {
		char path[512], *text;
		struct conf *c;

		snprintf(path, sizeof(path), "%s/%s", SAMPLE_DIR, names[i]);
		text = read_all(path);
		put_main(text);
		c = load();
		assert_int_equal(c->nlistens, 1);
		assert_int_equal(c->includes.n, 1);
		conf_free(c);
		free(text);
	}
}

/* One row, one paragraph of the manual page; and rows of a section stand together. */
static void
test_table(void **state)
{
	struct nrs_buf b;
	unsigned int n = 0;
	char *s;

	nrs_buf_init(&b, 1u << 20);
	assert_int_equal(conf_print_man(&b), 0);
	nrs_buf_u8(&b, 0);
	for (s = (char *)b.p; (s = strstr(s, ".TP\n.B ")) != NULL; s++)
		n++;
	assert_int_equal(n, conf_nrows);
	nrs_buf_fini(&b);
	for (unsigned int i = 0; i < conf_nrows; i++) {
		assert_true(conf_row_index(&conf_rows[i]) < CONF_KEYS_MAX);
		assert_ptr_equal(
		    conf_row_find(conf_rows[i].sec, conf_rows[i].key), &conf_rows[i]);
		assert_true(i == 0 || conf_rows[i].sec >= conf_rows[i - 1].sec);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test_setup_teardown(test_truncations, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nul_and_size, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reloadable, setup, teardown),
		cmocka_unit_test_setup_teardown(test_edit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_edit_by_hand, setup, teardown),
		cmocka_unit_test_setup_teardown(test_roles, setup, teardown),
		cmocka_unit_test_setup_teardown(test_samples, setup, teardown),
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
