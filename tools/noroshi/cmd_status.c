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
	printf("\nNote, refused here since the start:");
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
	putchar(' ');
	cli_put(stdout, what, false);
	printf(": %s\n", next);
}

static void
judge_daemon(unsigned int *n, const char *state)
{
	if (strcmp(state, "full") == 0)
		put_wrong(n, "journal", "has no space, new work is refused",
		    "free some space on its disk; it goes on by itself");
	else if (strcmp(state, "serving") != 0)
		put_wrong(n, "daemon", "is ending", "start it again when it has ended");
}

static void
judge_community(unsigned int *n, const json_t *v)
{
	const char *name = ans_text(v, "name");
	char *what;

	if (ans_true(v, "frozen"))
		put_wrong(n, name, "is a community with two histories, and frozen",
		    "ask its stewards by telephone");
	else if (!ans_true(v, "trusted")) {
		what = cli_fmt("is a community of %s that nobody accepted here",
		    ans_text(v, "founder"));
		put_wrong(
		    n, name, what, "accept it with noroshi peer accept, or ignore it");
		free(what);
	}
}

/* A record that is just on its way is no reason to call anybody. */
#define LAG_MAX_S 60

static void
judge_lag(unsigned int *n, const json_t *v)
{
	long long lag = ans_num(v, "lag_records"), behind = ans_num(v, "behind_records"),
		  age = ans_num(v, "lag_s");
	char *what, text[32];

	if (lag > 0 && age > LAG_MAX_S) {
		what = cli_fmt("has not taken %lld record%s, the oldest of %s ago", lag,
		    ans_s(lag), ans_age(text, age));
		put_wrong(n, ans_text(v, "name"), what,
		    "noroshi peer show tells if it refuses them; else it is slow");
		free(what);
	}
	if (behind > 0) {
		what =
		    cli_fmt("has %lld record%s that we do not have", behind, ans_s(behind));
		put_wrong(n, ans_text(v, "name"), what,
		    "wait a minute; if they do not come, noroshi peer test");
		free(what);
	}
}

static void
judge_quota(unsigned int *n, const json_t *v)
{
	char *what;

	if (!json_is_string(json_object_get(v, "quota")))
		return;
	what = cli_fmt("is beyond its %s, it has to wait", ans_text(v, "quota"));
	put_wrong(n, ans_text(v, "name"), what,
	    "ask what it is doing; raise the option and reload, or suspend it");
	free(what);
}

static void
judge_peer(unsigned int *n, const json_t *v)
{
	const char *name = ans_text(v, "name");
	long long clock = ans_num(v, "clock_ms");

	if (ans_true(v, "suspended")) {
		put_wrong(n, name, "is suspended", "noroshi peer resume, if that is over");
		return;
	}
	if (strcmp(ans_text(v, "state"), "up") != 0)
		put_wrong(n, name, "is not connected", "noroshi peer test tells why");
	else if (clock > 60000 || clock < -60000)
		put_wrong(
		    n, name, "has another clock by minutes", "timedatectl, here and there");
	judge_lag(n, v);
	judge_quota(n, v);
}

/* What a person who was woken up wants to know first. */
static void
put_verdict(const json_t *a)
{
	unsigned int n = 0;
	json_t *v;
	size_t i;

	judge_daemon(&n, ans_text(a, "state"));
	json_array_foreach(json_object_get(a, "origins"), i, v)
		if (ans_true(v, "frozen"))
			put_wrong(&n, ans_text(v, "origin"),
			    "signed two logs that differ, nothing more is taken",
			    "ask its operators by telephone");
	json_array_foreach(json_object_get(a, "communities"), i, v)
		judge_community(&n, v);
	json_array_foreach(json_object_get(a, "peers"), i, v)
		judge_peer(&n, v);
	if (n == 0)
		printf("All is well.\n");
}

static void
put_counts(const json_t *a, const json_t *journal)
{
	long long events = ans_num(a, "events"), readers = ans_num(a, "readers"),
		  segments = ans_num(journal, "segments");
	char size[32];

	printf("%lld event%s; journal %s in %lld segment%s; %lld reader%s\n", events,
	    ans_s(events), ans_bytes(size, ans_num(journal, "bytes")), segments,
	    ans_s(segments), readers, ans_s(readers));
}

static void
put_status(const struct cli *c, const json_t *a)
{
	char age[32], *s;

	cli_put(stdout, ans_text(a, "origin"), false);
	printf("  %s  noroshid ", ans_text(a, "state"));
	cli_put(stdout, ans_text(a, "version"), false);
	printf(", up %s\n", ans_age(age, ans_num(a, "uptime_s")));
	printf("fingerprint %s\n", ans_text(a, "fingerprint"));
	put_counts(a, json_object_get(a, "journal"));
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
