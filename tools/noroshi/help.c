/* Help and completion, made from the rows of the commands and their options. */
#include "tools/noroshi/cli.h"

#include <jansson.h>
#include <string.h>

#include "tools/noroshi/ctl.h"

static void
put_opts(FILE *f, const struct opt *o)
{
	char left[64];
	int n;

	for (; o != NULL && o->name != NULL; o++) {
		n = snprintf(left, sizeof(left), "  %c%c%s --%s%s%s", o->letter ? '-' : ' ',
		    o->letter ? o->letter : ' ', o->letter ? "," : " ", o->name,
		    o->meta != NULL ? " " : "", o->meta != NULL ? o->meta : "");
		fprintf(f, "%-34s %s%s\n", left,
		    n > 34 ? "\n                                   " : "", o->help);
	}
}

void
help_cmd(FILE *f, const struct cmd *cmd)
{
	fprintf(f, "noroshi %s%s%s%s\n    %s\n", cmd->name,
	    cmd->opts != NULL ? " [OPTION]..." : "", cmd->args != NULL ? " " : "",
	    cmd->args != NULL ? cmd->args : "", cmd->brief);
	if (cmd->more != NULL)
		fprintf(f, "%s", cmd->more);
	put_opts(f, cmd->opts);
}

static bool
in_group(const struct cmd *cmd, const char *group)
{
	size_t n = strlen(group);

	return strncmp(cmd->name, group, n) == 0 && cmd->name[n] == ' ';
}

static void
put_brief(FILE *f, const struct cmd *cmd)
{
	char left[64];

	snprintf(left, sizeof(left), "%s%s%s", cmd->name, cmd->args != NULL ? " " : "",
	    cmd->args != NULL ? cmd->args : "");
	fprintf(f, "  %-24s %s\n", left, cmd->brief);
}

void
help_group(FILE *f, const char *group)
{
	for (const struct cmd *const *c = cli_commands; *c != NULL; c++)
		if (in_group(*c, group))
			put_brief(f, *c);
}

void
help_all(FILE *f)
{
	fputs("noroshi [-S SOCKET] [--json|--csv] [-q|-v] [--color WHEN] COMMAND\n", f);
	for (const struct cmd *const *c = cli_commands; *c != NULL; c++)
		put_brief(f, *c);
	fputs(
	    "\"noroshi COMMAND --help\" tells a command's options; noroshi(1) tells all.\n",
	    f);
}

/* --- completion -------------------------------------------------------- */

static void
put_if(const char *word, const char *prefix)
{
	if (strncmp(word, prefix, strlen(prefix)) == 0)
		puts(word);
}

/* Names that only the daemon knows. Nothing is said when it is not there. */
static void
put_names(struct cli *c, const char *cmd, const char *array, const char *prefix)
{
	json_t *answer = NULL, *v;
	size_t i;

	if (ctl_try(c, cmd, &answer) != 0)
		return;
	json_array_foreach(json_object_get(answer, array), i, v)
		if (json_is_string(json_object_get(v, "name")))
			put_if(json_string_value(json_object_get(v, "name")), prefix);
	json_decref(answer);
}

/* "@file": the shell completes it. */
static void
put_words(struct cli *c, const char *words, const char *prefix)
{
	char word[64];
	size_t n;

	if (words == NULL)
		return;
	if (strcmp(words, "@peer") == 0) {
		put_names(c, "peer.list", "peers", prefix);
		return;
	}
	if (strcmp(words, "@subscriber") == 0) {
		put_names(c, "access.list", "access", prefix);
		return;
	}
	if (strcmp(words, "@community") == 0) {
		put_names(c, "community.list", "communities", prefix);
		return;
	}
	for (; *words != '\0'; words += n + (words[n] == ' ')) {
		n = strcspn(words, " ");
		if (n < sizeof(word)) {
			memcpy(word, words, n);
			word[n] = '\0';
			if (word[0] == '@')
				puts(word);
			else
				put_if(word, prefix);
		}
	}
}

static const struct opt *
opt_of(const struct cmd *cmd, const char *word)
{
	const struct opt *sets[] = { cmd != NULL ? cmd->opts : NULL, cli_global_opts };
	const struct opt *o;

	for (int i = 0; i < 2; i++)
		for (o = sets[i]; o != NULL && o->name != NULL; o++)
			if ((word[0] == '-' && word[1] == '-' &&
				strcmp(word + 2, o->name) == 0) ||
			    (word[0] == '-' && word[1] != '\0' && word[1] == o->letter &&
				word[2] == '\0'))
				return o;
	return NULL;
}

static void
put_opt_names(const struct opt *o, const char *prefix)
{
	char name[40];

	for (; o != NULL && o->name != NULL; o++) {
		snprintf(name, sizeof(name), "--%s", o->name);
		put_if(name, prefix);
	}
}

/* The next word of command names that begin with what has been typed. */
static void
put_commands(const char *before, const char *prefix)
{
	char word[64], last[64] = "";
	size_t skip = strlen(before), n;

	for (const struct cmd *const *c = cli_commands; *c != NULL; c++) {
		if (skip > 0 && !in_group(*c, before))
			continue;
		n = strcspn((*c)->name + skip + (skip > 0), " ");
		snprintf(
		    word, sizeof(word), "%.*s", (int)n, (*c)->name + skip + (skip > 0));
		if (strcmp(word, last) != 0)
			put_if(word, prefix);
		strcpy(last, word);
	}
	if (skip == 0)
		put_if("help", prefix);
}

static const struct cmd *
cmd_named(const char *name)
{
	for (const struct cmd *const *c = cli_commands; *c != NULL; c++)
		if (strcmp((*c)->name, name) == 0)
			return *c;
	return NULL;
}

int
help_complete(struct cli *c, char **words, int n)
{
	const struct cmd *cmd = NULL;
	const struct opt *o, *value_of = NULL;
	char name[64] = "";
	const char *prefix = n > 0 ? words[n - 1] : "";
	size_t len;

	for (int i = 0; i < n - 1; i++) {
		if (value_of != NULL) {
			value_of = NULL;
			continue;
		}
		if (words[i][0] == '-') {
			o = opt_of(cmd, words[i]);
			value_of = o != NULL && o->kind != OPT_FLAG ? o : NULL;
			continue;
		}
		if (cmd != NULL || (i == 0 && strcmp(words[i], "help") == 0))
			continue;
		len = strlen(name);
		snprintf(
		    name + len, sizeof(name) - len, "%s%s", len > 0 ? " " : "", words[i]);
		cmd = cmd_named(name);
	}
	if (value_of != NULL)
		put_words(c, value_of->words, prefix);
	else if (prefix[0] == '-') {
		put_opt_names(cmd != NULL ? cmd->opts : NULL, prefix);
		put_opt_names(cli_global_opts, prefix);
	} else if (cmd != NULL)
		put_words(c, cmd->words, prefix);
	else
		put_commands(name, prefix);
	return 0;
}
