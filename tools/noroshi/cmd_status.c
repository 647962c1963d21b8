/* noroshi status, stats, version, reload, conf show: what the daemon says of itself. */
#include "tools/noroshi/cli.h"

#include <stdlib.h>
#include <string.h>

#include "tools/noroshi/answer.h"
#include "tools/noroshi/ctl.h"
#include "tools/noroshi/table.h"

static int
ask(struct cli *c, const char *cmd, struct ctl_answer *ret)
{
	return ctl_call(c, json_pack("{s:s}", "cmd", cmd), NULL, 0, ret);
}

/* --- status ------------------------------------------------------------ */

static void
put_origins(const struct cli *c, const json_t *origins)
{
	static const char *const titles[] = { "log of", ">size", ">opened", ">refused",
		"root", "from", NULL };
	struct table *t = table_new(titles);
	json_t *v;
	size_t i;

	json_array_foreach(origins, i, v) {
		table_fmt(t, "%s%s%s", ans_text(v, "origin"),
		    ans_true(v, "own") ? " (own)" : "",
		    ans_true(v, "frozen") ? " FROZEN" : "");
		table_fmt(t, "%lld", ans_num(v, "size"));
		table_fmt(t, "%lld", ans_num(v, "opened"));
		table_fmt(t, "%lld", ans_num(v, "refused"));
		table_fmt(t, "%.12s", ans_text(v, "root"));
		table_text(t, ans_text(v, "source"));
	}
	table_print(t, c, stdout);
	table_free(t);
}

static void
put_peers(const struct cli *c, const json_t *peers)
{
	static const char *const titles[] = { "peer", "state", ">lag", ">behind", "why",
		NULL };
	struct table *t = table_new(titles);
	json_t *v;
	size_t i;

	json_array_foreach(peers, i, v) {
		table_text(t, ans_text(v, "name"));
		table_state(t,
		    ans_true(v, "suspended") ? "suspended" : ans_text(v, "state"),
		    strcmp(ans_text(v, "state"), "up") == 0);
		table_fmt(t, "%lld", ans_num(v, "lag_records"));
		table_fmt(t, "%lld", ans_num(v, "behind_records"));
		table_text(
		    t, strcmp(ans_text(v, "state"), "up") == 0 ? "" : ans_text(v, "why"));
	}
	table_print(t, c, stdout);
	table_free(t);
}

static void
put_refusals(const json_t *refusals)
{
	const char *code;
	json_t *v;

	if (json_object_size(refusals) == 0)
		return;
	printf("\nrefused:");
	json_object_foreach((json_t *)refusals, code, v) {
		printf(" ");
		cli_put(stdout, code, false);
		printf(" %lld", (long long)json_integer_value(v));
	}
	putchar('\n');
}

/* One thing that is wrong, and what to do. */
static void
put_wrong(unsigned int *n, const char *who, const char *what, const char *next)
{
	printf("%s ! ", (*n)++ == 0 ? "To do:\n" : "");
	cli_put(stdout, who, false);
	printf(" %s: %s\n", what, next);
}

/* What a person who was woken up wants to know first. */
static void
put_verdict(const json_t *a)
{
	const char *state = ans_text(a, "state");
	unsigned int n = 0;
	long long clock;
	json_t *v;
	size_t i;

	if (strcmp(state, "full") == 0)
		put_wrong(&n, "journal", "has no space, new work is refused",
		    "free some space on its disk; it goes on by itself");
	else if (strcmp(state, "serving") != 0)
		put_wrong(&n, "daemon", "is ending", "start it again when it has ended");
	json_array_foreach(json_object_get(a, "origins"), i, v)
		if (ans_true(v, "frozen"))
			put_wrong(&n, ans_text(v, "origin"),
			    "signed two logs that differ, nothing more is taken",
			    "ask its operators by telephone");
	json_array_foreach(json_object_get(a, "peers"), i, v) {
		clock = ans_num(v, "clock_ms");
		if (ans_true(v, "suspended"))
			put_wrong(&n, ans_text(v, "name"), "is suspended",
			    "noroshi peer resume, if that is over");
		else if (strcmp(ans_text(v, "state"), "up") != 0)
			put_wrong(&n, ans_text(v, "name"), "is not connected",
			    "noroshi peer test tells why");
		else if (clock > 60000 || clock < -60000)
			put_wrong(&n, ans_text(v, "name"), "has another clock by minutes",
			    "timedatectl, here and there");
	}
	if (n == 0)
		printf("All is well.\n");
}

static void
put_status(const struct cli *c, const json_t *a)
{
	const json_t *j = json_object_get(a, "journal");
	char age[32], size[32], *s;

	cli_put(stdout, ans_text(a, "origin"), false);
	printf("  %s  noroshid ", ans_text(a, "state"));
	cli_put(stdout, ans_text(a, "version"), false);
	printf(", up %s\n", ans_age(age, ans_num(a, "uptime_s")));
	printf("fingerprint %s\n", ans_text(a, "fingerprint"));
	printf("%lld events; journal %s in %lld segments; %lld readers\n",
	    ans_num(a, "events"), ans_bytes(size, ans_num(j, "bytes")),
	    ans_num(j, "segments"), ans_num(a, "readers"));
	s = ans_join(json_object_get(a, "communities"), ", ");
	printf("communities: ");
	cli_put(stdout, *s != '\0' ? s : "none", false);
	free(s);
	printf("\n\n");
	put_origins(c, json_object_get(a, "origins"));
	if (json_array_size(json_object_get(a, "peers")) > 0) {
		putchar('\n');
		put_peers(c, json_object_get(a, "peers"));
	}
	put_refusals(json_object_get(a, "refusals"));
	putchar('\n');
	put_verdict(a);
}

static int
run_status(struct cli *c, void *opts, char **argv, unsigned int argc)
{
	struct ctl_answer a;
	int rc;

	if ((rc = ask(c, "status", &a)) != 0)
		return rc;
	if (c->form == CLI_JSON)
		ans_print(a.json);
	else if (c->form == CLI_CSV)
		put_origins(c, json_object_get(a.json, "origins"));
	else
		put_status(c, a.json);
	ctl_answer_fini(&a);
	return 0;
}

const struct cmd cmd_status = { "status", NULL, "the node, its logs and its peers", NULL,
	NULL, 0, 0, 0, NULL, run_status };

/* --- stats ------------------------------------------------------------- */

static void
put_metric(struct table *t, const json_t *m)
{
	const char *key;
	char *name = cli_strdup(ans_text(m, "name")), *more;
	json_t *v, *value = json_object_get(m, "value");

	json_object_foreach(json_object_get(m, "labels"), key, v) {
		more = cli_fmt(
		    "%s %s=%s", name, key, json_is_string(v) ? json_string_value(v) : "");
		free(name);
		name = more;
	}
	table_text(t, name);
	if (json_is_real(value))
		table_fmt(t, "%.15g", json_real_value(value));
	else
		table_fmt(t, "%lld", (long long)json_integer_value(value));
	table_text(t, ans_text(m, "help"));
	free(name);
}

/* Text of a help or label in the exposition format: backslash, newline, quote. */
static void
put_quoted(const char *s, bool quote)
{
	for (; *s != '\0'; s++) {
		if (*s == '\n')
			fputs("\\n", stdout);
		else if (*s == '\\' || (quote && *s == '"'))
			printf("\\%c", *s);
		else
			putchar(*s);
	}
}

static void
put_sample(const json_t *m)
{
	const char *key, *sep = "{";
	json_t *v, *value = json_object_get(m, "value");

	fputs(ans_text(m, "name"), stdout);
	json_object_foreach(json_object_get(m, "labels"), key, v) {
		printf("%s%s=\"", sep, key);
		put_quoted(json_is_string(v) ? json_string_value(v) : "", true);
		putchar('"');
		sep = ",";
	}
	printf("%s %.15g\n", *sep == ',' ? "}" : "", json_number_value(value));
}

/* The format of Prometheus: all samples of one name together, after its head. */
static void
put_exposition(const json_t *metrics)
{
	json_t *m, *other, *said = json_object();
	size_t i, k;

	json_array_foreach(metrics, i, m) {
		const char *name = ans_text(m, "name");

		if (json_object_get(said, name) != NULL)
			continue;
		if (json_object_set_new(said, name, json_true()) != 0)
			cli_oom();
		printf("# HELP %s ", name);
		put_quoted(ans_text(m, "help"), false);
		printf("\n# TYPE %s %s\n", name, ans_text(m, "type"));
		json_array_foreach(metrics, k, other)
			if (strcmp(ans_text(other, "name"), name) == 0)
				put_sample(other);
	}
	json_decref(said);
}

static int
run_stats(struct cli *c, void *opts, char **argv, unsigned int argc)
{
	static const char *const titles[] = { "metric", ">value", "what", NULL };
	struct ctl_answer a;
	struct table *t;
	json_t *v;
	size_t i;
	int rc;

	if ((rc = ask(c, "stats", &a)) != 0)
		return rc;
	t = table_new(titles);
	json_array_foreach(json_object_get(a.json, "metrics"), i, v)
		put_metric(t, v);
	if (c->form == CLI_JSON)
		ans_print(a.json);
	else if (c->form == CLI_CSV || c->out_tty)
		table_print(t, c, stdout);
	else
		put_exposition(json_object_get(a.json, "metrics"));
	table_free(t);
	ctl_answer_fini(&a);
	return 0;
}

const struct cmd cmd_stats = { "stats", NULL, "every counter and gauge of the daemon",
	"    A table on a terminal; in a pipe, the text format of Prometheus.\n", NULL, 0,
	0, 0, NULL, run_stats };

/* --- version, reload, conf show ---------------------------------------- */

static int
run_version(struct cli *c, void *opts, char **argv, unsigned int argc)
{
	struct ctl_answer a;
	int rc;

	if ((rc = ask(c, "version", &a)) != 0)
		return rc;
	if (c->form == CLI_JSON)
		ans_print(a.json);
	else {
		printf("noroshid %s, protocol %lld\n%s\n%s\n", ans_text(a.json, "version"),
		    ans_num(a.json, "protocol"), ans_text(a.json, "origin"),
		    ans_text(a.json, "fingerprint"));
	}
	ctl_answer_fini(&a);
	return 0;
}

const struct cmd cmd_version = { "version", NULL,
	"the daemon's version, origin and fingerprint",
	"    \"noroshi --version\" tells this program's own.\n", NULL, 0, 0, 0, NULL,
	run_version };

static int
run_reload(struct cli *c, void *opts, char **argv, unsigned int argc)
{
	struct ctl_answer a;
	int rc;

	if ((rc = ask(c, "reload", &a)) != 0)
		return rc;
	if (c->form == CLI_JSON)
		ans_print(a.json);
	ctl_answer_fini(&a);
	cli_note(c, "The configuration is in force.");
	return 0;
}

const struct cmd cmd_reload = { "reload", NULL, "read the configuration again",
	"    All or nothing: with a mistake in it, the old one stays in force.\n", NULL, 0,
	0, 0, NULL, run_reload };

static int
run_conf_show(struct cli *c, void *opts, char **argv, unsigned int argc)
{
	struct ctl_answer a;
	int rc;

	if ((rc = ask(c, "conf.show", &a)) != 0)
		return rc;
	if (c->form == CLI_JSON)
		ans_print(a.json);
	else if (c->out_tty)
		cli_put(stdout, ans_text(a.json, "text"), true);
	else
		fputs(ans_text(a.json, "text"), stdout);
	ctl_answer_fini(&a);
	return 0;
}

const struct cmd cmd_conf_show = { "conf show", NULL,
	"the configuration in force, complete", NULL, NULL, 0, 0, 0, NULL, run_conf_show };
