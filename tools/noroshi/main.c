/* The noroshi command: global options, which command is meant, and its run. */
#include "tools/noroshi/cli.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "tools/noroshi/remote.h"

#define DEFAULT_SOCKET "/run/noroshi/control.sock"

struct globals {
	const char *socket;
	const char *color;
	bool json, csv, quiet, verbose, help, version;
};

#define G(f) offsetof(struct globals, f)
const struct opt cli_global_opts[] = {
	{ "socket", 'S', OPT_TEXT, "SOCKET", G(socket), "of the daemon; tail: or HOST:PORT",
	    "@file" },
	{ "json", 0, OPT_FLAG, NULL, G(json), "exact output for programs", NULL },
	{ "csv", 0, OPT_FLAG, NULL, G(csv), "tables as CSV", NULL },
	{ "quiet", 'q', OPT_FLAG, NULL, G(quiet), "no progress, no summary", NULL },
	{ "verbose", 'v', OPT_FLAG, NULL, G(verbose), "list everything", NULL },
	{ "color", 0, OPT_TEXT, "WHEN", G(color), "auto, always or never",
	    "auto always never" },
	{ "help", 'h', OPT_FLAG, NULL, G(help), "this", NULL },
	{ "version", 'V', OPT_FLAG, NULL, G(version), "of this program", NULL },
	{ NULL },
};
#undef G

static int
apply_globals(struct cli *c, const struct globals *g)
{
	const char *env;

	c->form = g->json ? CLI_JSON : g->csv ? CLI_CSV : CLI_HUMAN;
	c->quiet = g->quiet;
	c->verbose = g->verbose;
	c->socket = g->socket;
	if (c->socket == NULL)
		c->socket = getenv("NOROSHI_SOCKET");
	if (c->socket == NULL || *c->socket == '\0')
		c->socket = DEFAULT_SOCKET;
	if (g->json && g->csv)
		return cli_usage(c, NULL, "--json and --csv exclude each other");
	if (g->quiet && g->verbose)
		return cli_usage(c, NULL, "-q and -v exclude each other");
	if (g->color == NULL || strcmp(g->color, "auto") == 0) {
		env = getenv("NO_COLOR");
		c->color = c->out_tty && (env == NULL || *env == '\0');
		env = getenv("TERM");
		if (env == NULL || strcmp(env, "dumb") == 0)
			c->color = false;
	} else if (strcmp(g->color, "always") == 0)
		c->color = true;
	else if (strcmp(g->color, "never") != 0)
		return cli_usage(c, NULL, "--color is auto, always or never");
	return 0;
}

/* How many words of argv name a command; 0: none does. */
static int
find_cmd(int argc, char **argv, const struct cmd **ret)
{
	char two[64];

	for (int words = argc >= 2 ? 2 : argc; words >= 1; words--) {
		if (words == 2)
			snprintf(two, sizeof(two), "%s %s", argv[0], argv[1]);
		else
			snprintf(two, sizeof(two), "%s", argv[0]);
		for (const struct cmd *const *p = cli_commands; *p != NULL; p++)
			if (strcmp((*p)->name, two) == 0) {
				*ret = *p;
				return words;
			}
	}
	return 0;
}

static bool
is_group(const char *word)
{
	size_t n = strlen(word);

	for (const struct cmd *const *p = cli_commands; *p != NULL; p++)
		if (strncmp((*p)->name, word, n) == 0 && (*p)->name[n] == ' ')
			return true;
	return false;
}

/* The nearest name to what was typed, compared word by word count. */
static int
unknown_cmd(const struct cli *c, int argc, char **argv)
{
	const struct cmd *best = NULL;
	unsigned int d, least = 8;
	bool group = is_group(argv[0]);
	char typed[64], *next = NULL;
	int rc;

	if (group && argc < 2) {
		fprintf(stderr, "noroshi: %s needs one of:\n", argv[0]);
		help_group(stderr, argv[0]);
		return CLI_USAGE;
	}
	for (const struct cmd *const *p = cli_commands; *p != NULL; p++) {
		if (strchr((*p)->name, ' ') != NULL && argc >= 2)
			snprintf(typed, sizeof(typed), "%s %s", argv[0], argv[1]);
		else
			snprintf(typed, sizeof(typed), "%s", argv[0]);
		/* Letters swapped are likelier than letters lost. */
		d = 2 * nrs_text_distance(typed, (*p)->name) +
		    (strlen(typed) != strlen((*p)->name));
		if (d < least) {
			least = d;
			best = *p;
		}
	}
	if (best != NULL)
		next = cli_fmt("Did you mean \"noroshi %s\"?", best->name);
	rc = cli_usage(c, next != NULL ? next : "\"noroshi help\" lists the commands.",
	    "there is no command \"%s%s%s\"", argv[0], group ? " " : "",
	    group ? argv[1] : "");
	free(next);
	return rc;
}

static int
run_help(const struct cli *c, int argc, char **argv)
{
	const struct cmd *cmd;

	if (argc == 0) {
		help_all(stdout);
		return 0;
	}
	if (find_cmd(argc, argv, &cmd) > 0)
		help_cmd(stdout, cmd);
	else if (is_group(argv[0]))
		help_group(stdout, argv[0]);
	else
		return unknown_cmd(c, argc, argv);
	return 0;
}

static int
run_cmd(struct cli *c, struct globals *g, const struct cmd *cmd, int argc, char **argv)
{
	void *opts = cli_alloc(cmd->opts_size);
	struct opt_set sets[] = { { cmd->opts, opts }, { cli_global_opts, g } };
	char why[256], *next = NULL;
	int rc;

	if (opts_parse(sets, 2, false, &argc, argv, NULL, why, sizeof(why)) != 0) {
		next = cli_fmt("\"noroshi %s --help\" lists its options.", cmd->name);
		rc = cli_usage(c, next, "%s: %s", cmd->name, why);
		goto out;
	}
	if (g->help) {
		help_cmd(stdout, cmd);
		rc = 0;
		goto out;
	}
	if ((rc = apply_globals(c, g)) != 0)
		goto out;
	if (cmd != &cmd_tail && remote_address(c->socket)) {
		rc = cli_usage(c, "Only \"noroshi tail\" goes to another machine.",
		    "%s needs the control socket, not %s", cmd->name, c->socket);
		goto out;
	}
	if ((unsigned int)argc < cmd->min || (unsigned int)argc > cmd->max) {
		next = cli_fmt("noroshi %s%s%s", cmd->name, cmd->args != NULL ? " " : "",
		    cmd->args != NULL ? cmd->args : "");
		rc = cli_usage(c, next, "%s: %s", cmd->name,
		    (unsigned int)argc < cmd->min ? "an argument is missing"
						  : "too many arguments");
		goto out;
	}
	rc = cmd->run(c, opts, argv, (unsigned int)argc);
out:
	free(next);
	free(opts);
	return rc;
}

static int
dispatch(struct cli *c, int argc, char **argv)
{
	struct globals g = { 0 };
	struct opt_set set = { cli_global_opts, &g };
	const struct cmd *cmd;
	char why[256];
	int used, words, rc;

	if (opts_parse(&set, 1, true, &argc, argv, &used, why, sizeof(why)) != 0)
		return cli_usage(
		    c, "\"noroshi help\" lists commands and options.", "%s", why);
	argc -= used;
	argv += used;
	if ((rc = apply_globals(c, &g)) != 0)
		return rc;
	if (g.version) {
		printf("noroshi %s\n", NOROSHI_VERSION);
		return 0;
	}
	if (g.help)
		return run_help(c, argc, argv);
	if (argc == 0) {
		help_all(stderr);
		return CLI_USAGE;
	}
	if (strcmp(argv[0], "help") == 0)
		return run_help(c, argc - 1, argv + 1);
	if (strcmp(argv[0], "__complete") == 0)
		return help_complete(c, argv + 1, argc - 1);
	if ((words = find_cmd(argc, argv, &cmd)) > 0)
		return run_cmd(c, &g, cmd, argc - words, argv + words);
	if (is_group(argv[0]) && argc == 2 &&
	    (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
		return run_help(c, 1, argv);
	return unknown_cmd(c, argc, argv);
}

int
main(int argc, char **argv)
{
	struct cli c = { .socket = DEFAULT_SOCKET };
	int rc;

	/* A reader that has seen enough ends us quietly, whatever our parent ignored. */
	signal(SIGPIPE, SIG_DFL);
	c.out_tty = isatty(STDOUT_FILENO) == 1;
	c.err_tty = isatty(STDERR_FILENO) == 1;
	rc = dispatch(&c, argc - 1, argv + 1);
	if ((fflush(stdout) != 0 || ferror(stdout)) && rc == 0)
		rc = cli_fail_errno(&c, NULL, "cannot write the output");
	return rc;
}
