/* noroshi community: list, show, create. */
#include "tools/noroshi/cli.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "tools/noroshi/answer.h"
#include "tools/noroshi/ctl.h"
#include "tools/noroshi/table.h"

static int
get_list(struct cli *c, struct ctl_answer *ret)
{
	return ctl_call(c, json_pack("{s:s}", "cmd", "community.list"), NULL, 0, ret);
}

static const char *
role(const json_t *v)
{
	return ans_true(v, "frozen")  ? "frozen"
	    : !ans_true(v, "trusted") ? "not trusted"
	    : ans_true(v, "steward")  ? "steward"
	    : ans_true(v, "member")   ? "member"
				      : "not a member";
}

static int
run_list(struct cli *c, void *opts, char **argv, unsigned int argc)
{
	static const char *const titles[] = { "community", "founder", ">epoch", "ceiling",
		"onward", "we are", ">members", NULL };
	struct ctl_answer a;
	struct table *t;
	json_t *v;
	size_t i;
	int rc;

	if ((rc = get_list(c, &a)) != 0)
		return rc;
	t = table_new(titles);
	json_array_foreach(json_object_get(a.json, "communities"), i, v) {
		table_text(t, ans_text(v, "name"));
		table_text(t, ans_text(v, "founder"));
		table_fmt(t, "%lld", ans_num(v, "epoch"));
		table_tlp(t, ans_text(v, "ceiling"));
		table_text(t, ans_text(v, "onward"));
		table_state(t, role(v), ans_true(v, "member") && !ans_true(v, "frozen"));
		table_fmt(t, "%zu", json_array_size(json_object_get(v, "members")));
	}
	if (c->form == CLI_JSON)
		ans_print(a.json);
	else
		table_print(t, c, stdout);
	table_free(t);
	ctl_answer_fini(&a);
	return 0;
}

const struct cmd cmd_community_list = { "community list", NULL, "communities known here",
	NULL, NULL, 0, 0, 0, NULL, run_list };

static void
put_field(const char *name, const char *value)
{
	printf("%-13s", name);
	cli_put(stdout, value, false);
	putchar('\n');
}

static void
put_community(const struct cli *c, const json_t *v)
{
	json_t *m;
	size_t i;

	put_field("community", ans_text(v, "name"));
	put_field("id", ans_text(v, "id"));
	put_field("founder", ans_text(v, "founder"));
	printf("%-13s%lld\n", "epoch", ans_num(v, "epoch"));
	printf("%-13s%s%s%s\n", "ceiling", tlp_color(c, ans_text(v, "ceiling")),
	    ans_text(v, "ceiling"), plain_color(c));
	put_field("onward", ans_text(v, "onward"));
	put_field("history", ans_true(v, "history") ? "yes" : "no");
	put_field("exercise", ans_true(v, "exercise") ? "yes" : "no");
	put_field("we are", role(v));
	json_array_foreach(json_object_get(v, "members"), i, m)
		put_field(i == 0 ? "members" : "",
		    json_is_string(m) ? json_string_value(m) : ans_text(m, "name"));
}

static int
run_show(struct cli *c, void *opts, char **argv, unsigned int argc)
{
	struct ctl_answer a;
	bool found = false;
	char *next;
	json_t *v;
	size_t i;
	int rc;

	if ((rc = get_list(c, &a)) != 0)
		return rc;
	json_array_foreach(json_object_get(a.json, "communities"), i, v) {
		if (strcmp(ans_text(v, "name"), argv[0]) != 0 &&
		    strcmp(ans_text(v, "id"), argv[0]) != 0)
			continue;
		if (c->form == CLI_JSON)
			ans_print(v);
		else {
			if (found)
				putchar('\n');
			put_community(c, v);
		}
		found = true;
	}
	if (!found) {
		next = ans_unknown(json_object_get(a.json, "communities"), argv[0],
		    "noroshi community list");
		rc = cli_fail(c, CLI_DATA, "unknown", NULL, next,
		    "there is no community \"%s\" here", argv[0]);
		free(next);
	}
	ctl_answer_fini(&a);
	return rc;
}

const struct cmd cmd_community_show = { "community show", "NAME", "all about one community",
	NULL, NULL, 0, 1, 1, "@community", run_show };

/* --- create ------------------------------------------------------------ */

struct create_opts {
	const char *ceiling;
	const char *onward;
	bool history;
	bool exercise;
};

static int
run_create(struct cli *c, void *opts, char **argv, unsigned int argc)
{
	const struct create_opts *o = opts;
	enum nrs_tlp ceiling = NRS_TLP_AMBER_STRICT;
	const char *onward = o->onward != NULL ? o->onward : "members";
	struct ctl_answer a;
	int rc;

	if (!nrs_name_ok(argv[0], strlen(argv[0])))
		return cli_usage(c,
		    "1 to 64 of a-z 0-9 - _ . , beginning with a letter or a digit.",
		    "\"%s\" cannot be the name of a community", argv[0]);
	if (o->ceiling != NULL &&
	    nrs_tlp_parse(o->ceiling, strlen(o->ceiling), &ceiling) != 0)
		return cli_usage(c, "CLEAR, GREEN, AMBER or AMBER+STRICT.",
		    "--ceiling %s: not a TLP marking", o->ceiling);
	if (ceiling == NRS_TLP_RED)
		return cli_usage(c,
		    "TLP:RED is for named recipients: noroshi submit --to PEER,...",
		    "--ceiling RED: not in a community");
	if (strcmp(onward, "none") != 0 && strcmp(onward, "members") != 0 &&
	    strcmp(onward, "constituents") != 0)
		return cli_usage(
		    c, "none, members or constituents.", "--onward %s", onward);
	rc = ctl_call(c,
	    json_pack("{s:s,s:s,s:s,s:s,s:b,s:b}", "cmd", "community.create", "name",
		argv[0], "ceiling", nrs_tlp_name(ceiling), "onward", onward, "history",
		o->history, "exercise", o->exercise),
	    NULL, 0, &a);
	if (rc != 0)
		return rc;
	if (c->form == CLI_JSON)
		ans_print(a.json);
	else
		printf("%s\n", ans_text(a.json, "id"));
	cli_note(c,
	    "%s: created, up to TLP:%s. Peers join when you accept their invites:\n"
	    "  noroshi peer accept FILE --community %s",
	    argv[0], nrs_tlp_name(ceiling), argv[0]);
	ctl_answer_fini(&a);
	return 0;
}

#define O(f) offsetof(struct create_opts, f)
static const struct opt create_opts[] = {
	{ "ceiling", 0, OPT_TEXT, "TLP", O(ceiling), "strictest marking (AMBER+STRICT)",
	    "CLEAR GREEN AMBER AMBER+STRICT" },
	{ "onward", 0, OPT_TEXT, "WHOM", O(onward),
	    "none, members or constituents (members)", "none members constituents" },
	{ "history", 0, OPT_FLAG, NULL, O(history),
	    "new members also get what was shared before", NULL },
	{ "exercise", 0, OPT_FLAG, NULL, O(exercise), "for drills: never real data", NULL },
	{ NULL },
};
#undef O

const struct cmd cmd_community_create = { "community create", "NAME",
	"found a community, this node its steward", NULL, create_opts,
	sizeof(struct create_opts), 1, 1, NULL, run_create };
