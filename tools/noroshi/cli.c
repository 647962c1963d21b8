/* How noroshi(1) and its kin tell failures and writes text that others wrote. */
#include "tools/noroshi/cli.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

const char *cli_program = "noroshi";

_Noreturn void
cli_oom(void)
{
	fprintf(stderr, "%s: out of memory\n", cli_program);
	exit(CLI_LATER);
}

void *
cli_alloc(size_t n)
{
	void *p = calloc(1, n > 0 ? n : 1);

	if (p == NULL)
		cli_oom();
	return p;
}

void *
cli_realloc(void *p, size_t n)
{
	if ((p = realloc(p, n > 0 ? n : 1)) == NULL)
		cli_oom();
	return p;
}

char *
cli_strdup(const char *s)
{
	char *d = strdup(s);

	if (d == NULL)
		cli_oom();
	return d;
}

__attribute__((format(printf, 1, 0))) static char *
vfmt(const char *fmt, va_list ap)
{
	char *s;

	if (vasprintf(&s, fmt, ap) < 0)
		cli_oom();
	return s;
}

char *
cli_fmt(const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	s = vfmt(fmt, ap);
	va_end(ap);
	return s;
}

static void
put_line(FILE *f, const char *s, size_t len)
{
	size_t max = 8 * len + 8; /* the longest escape of one byte is \u{NNNN} */
	char *dst = cli_alloc(max);

	/* A backslash of ours or theirs stays readable: only a terminal needs protection. */
	while (len > 0) {
		const char *bs = memchr(s, '\\', len);
		size_t n = bs == NULL ? len : (size_t)(bs - s);

		fwrite(dst, 1, nrs_text_escape(dst, max, s, n), f);
		if (bs == NULL)
			break;
		fputc('\\', f);
		s += n + 1;
		len -= n + 1;
	}
	free(dst);
}

void
cli_put(FILE *f, const char *s, bool lines)
{
	const char *nl;

	while (lines && (nl = strchr(s, '\n')) != NULL) {
		put_line(f, s, (size_t)(nl - s));
		fputc('\n', f);
		s = nl + 1;
	}
	put_line(f, s, strlen(s));
}

/* Continuation lines are indented, so that one failure reads as one block. */
static void
put_block(const char *s)
{
	const char *nl;

	for (; *s != '\0'; s = nl + (*nl == '\n')) {
		nl = strchrnul(s, '\n');
		fputs("    ", stderr);
		put_line(stderr, s, (size_t)(nl - s));
		fputc('\n', stderr);
	}
}

static void
tell(const struct cli *c, const char *code, const char *what, const char *why,
    const char *next)
{
	json_t *o;

	fflush(stdout);
	fprintf(stderr, "%s: ", cli_program);
	cli_put(stderr, what, false);
	if (why != NULL && *why != '\0' && strchr(why, '\n') == NULL) {
		fputs(": ", stderr);
		cli_put(stderr, why, false);
	}
	fputc('\n', stderr);
	if (why != NULL && strchr(why, '\n') != NULL)
		put_block(why);
	if (next != NULL && *next != '\0')
		put_block(next);
	if (c == NULL || c->form != CLI_JSON)
		return;
	o = json_pack("{s:{s:s,s:s,s:s,s:s}}", "error", "code", code, "what", what, "why",
	    why != NULL ? why : "", "next", next != NULL ? next : "");
	if (o != NULL) {
		json_dumpf(o, stdout, JSON_COMPACT);
		fputc('\n', stdout);
	}
	json_decref(o);
}

int
cli_fail(const struct cli *c, int exit, const char *code, const char *why, const char *next,
    const char *fmt, ...)
{
	va_list ap;
	char *what;

	va_start(ap, fmt);
	what = vfmt(fmt, ap);
	va_end(ap);
	tell(c, code, what, why, next);
	free(what);
	return exit;
}

int
cli_fail_errno(const struct cli *c, const char *next, const char *fmt, ...)
{
	int e = errno;
	va_list ap;
	char *what;

	va_start(ap, fmt);
	what = vfmt(fmt, ap);
	va_end(ap);
	tell(c, "io", what, strerror(e), next);
	free(what);
	return e == EACCES || e == EPERM ? CLI_PERM : CLI_IO;
}

int
cli_usage(const struct cli *c, const char *next, const char *fmt, ...)
{
	va_list ap;
	char *what;

	va_start(ap, fmt);
	what = vfmt(fmt, ap);
	va_end(ap);
	tell(c, "usage", what, NULL, next);
	free(what);
	return CLI_USAGE;
}

void
cli_note(const struct cli *c, const char *fmt, ...)
{
	va_list ap;
	char *s;

	if (c->quiet)
		return;
	fflush(stdout);
	va_start(ap, fmt);
	s = vfmt(fmt, ap);
	va_end(ap);
	cli_put(stderr, s, true);
	fputc('\n', stderr);
	free(s);
}
