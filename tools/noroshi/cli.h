/*
 * What every command of noroshi(1) sees: the global options, how a command and
 * its options are described (one row each: parser, help and completion read the
 * same rows), how a failure is told, and how the exit status is chosen.
 */
#ifndef NOROSHI_CLI_H
#define NOROSHI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <noroshi/err.h>

/* Exit statuses, as sysexits(3) has them. */
enum cli_exit {
	CLI_OK = 0,
	CLI_USAGE = 64,
	CLI_DATA = 65,	   /* some input refused */
	CLI_NODAEMON = 69, /* no daemon */
	CLI_IO = 74,
	CLI_LATER = 75, /* try again */
	CLI_PERM = 77,	/* not allowed */
	CLI_CONF = 78,
};

enum cli_form {
	CLI_HUMAN,
	CLI_JSON,
	CLI_CSV,
};

struct cli {
	const char *socket;
	enum cli_form form;
	bool quiet;
	bool verbose;
	bool color; /* decided: stdout is to be coloured */
	bool out_tty;
	bool err_tty;
};

/* --- options ----------------------------------------------------------- */

enum opt_kind {
	OPT_FLAG, /* bool */
	OPT_TEXT, /* const char * */
	OPT_LIST, /* struct opt_list: may be given several times */
};

#define OPT_LIST_MAX 64
struct opt_list {
	const char *v[OPT_LIST_MAX];
	unsigned int n;
};

struct opt {
	const char *name; /* without the dashes; NULL ends a table */
	char letter;	  /* or 0 */
	enum opt_kind kind;
	const char *meta; /* name of its value in help */
	size_t off;	  /* in the struct of options */
	const char *help;
	const char
	    *words; /* what the value may be, for completion: "a b c", or "@file" ... */
};

/* A table of options and where their values go. */
struct opt_set {
	const struct opt *rows;
	void *dst;
};

/*
 * Takes options out of argv; what is left are argc arguments at its front.
 * With stop, ends at the first argument.  Sets are searched in order.  On a
 * mistake returns NRS_ESYNTAX and says what in why.
 */
int opts_parse(const struct opt_set *sets, unsigned int nsets, bool stop, int *argc,
    char **argv, int *ret_used, char *why, size_t why_len) NRS_MUST_CHECK;

/* --- commands ---------------------------------------------------------- */

struct cmd {
	const char *name;  /* "peer accept" */
	const char *args;  /* "FILE" */
	const char *brief; /* one line */
	const char *more;  /* a few lines, or NULL */
	const struct opt *opts;
	size_t opts_size;
	unsigned int min, max; /* arguments */
	const char *words;     /* of its arguments, for completion */
	int (*run)(struct cli *c, void *opts, char **argv, unsigned int argc);
};

extern const struct cmd cmd_init;
extern const struct cmd cmd_peer_invite, cmd_peer_accept, cmd_peer_list, cmd_peer_show,
    cmd_peer_test, cmd_peer_suspend, cmd_peer_resume, cmd_peer_remove;
extern const struct cmd cmd_access_add, cmd_access_list, cmd_access_revoke;
extern const struct cmd cmd_community_list, cmd_community_show, cmd_community_create;
extern const struct cmd cmd_submit, cmd_tail, cmd_export, cmd_verify, cmd_import;
extern const struct cmd cmd_status, cmd_stats, cmd_version, cmd_reload, cmd_conf_show;

/* All commands, ended by NULL (commands.c). */
extern const struct cmd *const cli_commands[];
extern const struct opt cli_global_opts[];

/* help.c */
void help_all(FILE *f);
void help_group(FILE *f, const char *group);
void help_cmd(FILE *f, const struct cmd *cmd);
/* The candidates for the last of the words, one a line. */
int help_complete(struct cli *c, char **words, int n);

/* --- failures ---------------------------------------------------------- */

/* Whose words they are: "noroshi" unless another tool says otherwise at its start. */
extern const char *cli_program;

/*
 * Says what went wrong, why (NULL: nothing more is known) and what to do next
 * (NULL: nothing), on standard error; with --json also as an object on
 * standard output.  Text from elsewhere is escaped.  Returns exit.
 */
int cli_fail(const struct cli *c, int exit, const char *code, const char *why,
    const char *next, const char *fmt, ...) NRS_PRINTF(6, 7);
/* As above, of a call that set errno. */
int cli_fail_errno(const struct cli *c, const char *next, const char *fmt, ...)
    NRS_PRINTF(3, 4);
/* A mistake in the command line. */
int cli_usage(const struct cli *c, const char *next, const char *fmt, ...) NRS_PRINTF(3, 4);
/* To standard error unless -q; escaped. */
void cli_note(const struct cli *c, const char *fmt, ...) NRS_PRINTF(2, 3);
/* Writes text with control and bidirectional characters escaped; line breaks stay when lines. */
void cli_put(FILE *f, const char *s, bool lines);

/* Memory or the end: there is nothing a command could do instead. */
void *cli_alloc(size_t n);
void *cli_realloc(void *p, size_t n);
char *cli_strdup(const char *s);
char *cli_fmt(const char *fmt, ...) NRS_PRINTF(1, 2); /* free() it */
_Noreturn void cli_oom(void);

#endif
