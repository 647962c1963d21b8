/* noroshi peer: invite, list, show, test, suspend, resume, remove. */
#include "tools/noroshi/cli.h"

#include <stdlib.h>
#include <string.h>

#include "tools/noroshi/answer.h"
#include "tools/noroshi/ask.h"
#include "tools/noroshi/ctl.h"
#include "tools/noroshi/file.h"
#include "tools/noroshi/table.h"

/* --- invite ------------------------------------------------------------ */

struct invite_opts {
	const char *out;
};

static int
run_invite(struct cli *c, void *opts, char **argv, unsigned int argc)
{
	const struct invite_opts *o = opts;
	struct ctl_answer a;
	int rc;

	if ((rc = ctl_call(c, json_pack("{s:s}", "cmd", "peer.invite"), NULL, 0, &a)) != 0)
		return rc;
	if (a.data == NULL)
		rc = cli_fail(
		    c, CLI_LATER, "internal", NULL, NULL, "the answer has no invite");
	else
		rc = file_write(c, o->out, 0644, a.data, a.len);
	ctl_answer_fini(&a);
	if (rc == 0 && o->out != NULL)
		cli_note(c,
		    "%s: send it to the peer by any way, and read them your fingerprint over\n"
		    "another one (\"noroshi version\" prints it). They: noroshi peer accept FILE",
		    o->out);
	return rc;
}

static const struct opt invite_opts[] = {
	{ "output", 'o', OPT_TEXT, "FILE", offsetof(struct invite_opts, out),
	    "where to (default: standard output)", "@file" },
	{ NULL },
};
const struct cmd cmd_peer_invite = { "peer invite", NULL,
	"write what another CERT needs to become a peer", NULL, invite_opts,
	sizeof(struct invite_opts), 0, 0, NULL, run_invite };

/* --- list, show -------------------------------------------------------- */

static int
run_list(struct cli *c, void *opts, char **argv, unsigned int argc)
{
	static const char *const titles[] = { "peer", "state", ">lag", ">behind",
		">received", ">sent", "communities", "why", NULL };
	struct ctl_answer a;
	struct table *t;
	json_t *peers, *p;
	char *s;
	size_t i;
	int rc;

	if ((rc = ctl_call(c, json_pack("{s:s}", "cmd", "peer.list"), NULL, 0, &a)) != 0)
		return rc;
	if (c->form == CLI_JSON) {
		rc = ans_print(a.json);
		ctl_answer_fini(&a);
		return rc;
	}
	peers = json_object_get(a.json, "peers");
	t = table_new(titles);
	json_array_foreach(peers, i, p) {
		table_text(t, ans_text(p, "name"));
		table_state(t,
		    ans_true(p, "suspended") ? "suspended" : ans_text(p, "state"),
		    strcmp(ans_text(p, "state"), "up") == 0);
		table_fmt(t, "%lld", ans_num(p, "lag_records"));
		table_fmt(t, "%lld", ans_num(p, "behind_records"));
		table_fmt(t, "%lld", ans_num(p, "rx_records"));
		table_fmt(t, "%lld", ans_num(p, "tx_records"));
		s = ans_join(json_object_get(p, "communities"), " ");
		table_text(t, s);
		free(s);
		table_text(
		    t, strcmp(ans_text(p, "state"), "up") == 0 ? "" : ans_text(p, "why"));
	}
	table_print(t, c, stdout);
	table_free(t);
	if (json_array_size(peers) == 0)
		cli_note(c,
		    "No peers yet: \"noroshi peer invite\" and \"noroshi peer accept\".");
	ctl_answer_fini(&a);
	return 0;
}

const struct cmd cmd_peer_list = { "peer list", NULL, "peers and how they are", NULL, NULL,
	0, 0, 0, NULL, run_list };

static void
put_field(const char *name, const char *value)
{
	if (*value == '\0')
		return;
	printf("%-13s", name);
	cli_put(stdout, value, false);
	putchar('\n');
}

static void
put_joined(const char *name, const json_t *array)
{
	char *s = ans_join(array, ", ");

	put_field(name, s);
	free(s);
}

static void
put_peer(const json_t *p)
{
	char rx[32], tx[32];
	long long n;

	put_field("peer", ans_text(p, "name"));
	put_field("fingerprint", ans_text(p, "fingerprint"));
	put_field("state", ans_text(p, "state"));
	if (strcmp(ans_text(p, "state"), "up") != 0)
		put_field("why", ans_text(p, "why"));
	put_field("up since", ans_text(p, "up_since"));
	put_joined("addresses", json_object_get(p, "addresses"));
	put_joined("communities", json_object_get(p, "communities"));
	n = ans_num(p, "lag_records");
	printf("%-13s%lld record%s they do not have yet, %lld we do not have yet\n", "lag",
	    n, ans_s(n), ans_num(p, "behind_records"));
	n = ans_num(p, "rx_records");
	printf("%-13s%lld record%s, %s; %lld refused\n", "received", n, ans_s(n),
	    ans_bytes(rx, ans_num(p, "rx_bytes")), ans_num(p, "refused_in"));
	n = ans_num(p, "tx_records");
	printf("%-13s%lld record%s, %s; %lld refused\n", "sent", n, ans_s(n),
	    ans_bytes(tx, ans_num(p, "tx_bytes")), ans_num(p, "refused_out"));
	printf("\n");
	cli_put(stdout, ans_text(p, "manifest"), true);
}

static json_t *
named(const char *cmd, const char *name)
{
	return json_pack("{s:s,s:s}", "cmd", cmd, "name", name);
}

static int
run_show(struct cli *c, void *opts, char **argv, unsigned int argc)
{
	struct ctl_answer a;
	int rc;

	if ((rc = ctl_call(c, named("peer.show", argv[0]), NULL, 0, &a)) != 0)
		return rc;
	if (c->form == CLI_JSON)
		ans_print(a.json);
	else
		put_peer(a.json);
	ctl_answer_fini(&a);
	return 0;
}

const struct cmd cmd_peer_show = { "peer show", "PEER",
	"all about one peer, its manifest too", NULL, NULL, 0, 1, 1, "@peer", run_show };

/* --- test -------------------------------------------------------------- */

static int
run_test(struct cli *c, void *opts, char **argv, unsigned int argc)
{
	static const char *const titles[] = { "check", "result", "fact", NULL };
	struct ctl_answer a;
	struct table *t;
	json_t *checks, *ok, *v;
	bool failed = false;
	size_t i;
	int rc;

	if ((rc = ctl_call(c, named("peer.test", argv[0]), NULL, 0, &a)) != 0)
		return rc;
	checks = json_object_get(a.json, "checks");
	t = table_new(titles);
	json_array_foreach(checks, i, v) {
		ok = json_object_get(v, "ok");
		failed = failed || !json_is_true(ok);
		table_text(t, ans_text(v, "name"));
		table_state(t,
		    json_is_true(ok)	    ? "ok"
			: json_is_false(ok) ? "FAILED"
					    : "not reached",
		    json_is_true(ok));
		table_text(t, ans_text(v, "fact"));
	}
	if (c->form == CLI_JSON)
		ans_print(a.json);
	else
		table_print(t, c, stdout);
	table_free(t);
	json_array_foreach(checks, i, v)
		if (!json_is_true(json_object_get(v, "ok")) && *ans_text(v, "next") != '\0')
			cli_note(c, "%s: %s", ans_text(v, "name"), ans_text(v, "next"));
	ctl_answer_fini(&a);
	return failed ? CLI_NODAEMON : 0;
}

const struct cmd cmd_peer_test = { "peer test", "PEER",
	"try the link step by step, and say what to do",
	"    Exits 0 when every check is good, 69 when one is not.\n", NULL, 0, 1, 1,
	"@peer", run_test };

/* --- suspend, resume, remove ------------------------------------------- */

static int
change(struct cli *c, const char *cmd, const char *name, const char *done)
{
	struct ctl_answer a;
	int rc;

	if ((rc = ctl_call(c, named(cmd, name), NULL, 0, &a)) != 0)
		return rc;
	if (c->form == CLI_JSON)
		ans_print(a.json);
	ctl_answer_fini(&a);
	cli_note(c, "%s: %s", name, done);
	return 0;
}

static int
run_suspend(struct cli *c, void *opts, char **argv, unsigned int argc)
{
	return change(c, "peer.suspend", argv[0],
	    "suspended; nothing goes in or out until \"noroshi peer resume\"");
}

static int
run_resume(struct cli *c, void *opts, char **argv, unsigned int argc)
{
	return change(c, "peer.resume", argv[0], "resumed; it catches up now");
}

const struct cmd cmd_peer_suspend = { "peer suspend", "PEER", "cut the link, keep the peer",
	NULL, NULL, 0, 1, 1, "@peer", run_suspend };
const struct cmd cmd_peer_resume = { "peer resume", "PEER", "undo suspend", NULL, NULL, 0,
	1, 1, "@peer", run_resume };

struct remove_opts {
	bool yes;
};

static int
run_remove(struct cli *c, void *opts, char **argv, unsigned int argc)
{
	const struct remove_opts *o = opts;
	char *question;
	bool yes = o->yes;

	if (!yes && !ask_possible())
		return cli_usage(c, "Add --yes when you mean it.",
		    "peer remove asks first, and there is nobody to answer");
	if (!yes) {
		question = cli_fmt(
		    "Remove peer %s and its link? What it shared stays. [y/N] ", argv[0]);
		yes = ask_yes(question);
		free(question);
	}
	if (!yes) {
		cli_note(c, "Nothing was removed.");
		return CLI_LATER;
	}
	return change(c, "peer.remove", argv[0], "removed");
}

static const struct opt remove_opts[] = {
	{ "yes", 'y', OPT_FLAG, NULL, offsetof(struct remove_opts, yes), "do not ask",
	    NULL },
	{ NULL },
};
const struct cmd cmd_peer_remove = { "peer remove", "PEER", "forget a peer", NULL,
	remove_opts, sizeof(struct remove_opts), 1, 1, "@peer", run_remove };
