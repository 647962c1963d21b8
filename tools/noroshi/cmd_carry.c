/* noroshi export --records, noroshi import: carrier files, for nodes that never connect. */
#include "tools/noroshi/carry.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "tools/noroshi/answer.h"
#include "tools/noroshi/ctl.h"
#include "tools/noroshi/progress.h"

#define PIECE (256u << 10)

/* --- export ---------------------------------------------------------------- */

struct out {
	struct cli *c;
	int fd;
	const char *path;
	struct progress progress;
	uint64_t bytes;
	double share;
};

static int
out_line(void *arg, char *s, size_t len)
{
	struct out *u = arg;
	json_t *j = json_loadb(s, len, 0, NULL);
	long long total = ans_num(j, "total");

	u->share = total > 0 ? (double)ans_num(j, "done") / (double)total : -1;
	json_decref(j);
	return 0;
}

static int
out_data(void *arg, const void *p, size_t len)
{
	struct out *u = arg;
	const char *q = p;
	ssize_t n;

	for (; len > 0; q += n, len -= (size_t)n, u->bytes += (uint64_t)n) {
		n = write(u->fd, q, len);
		if (n < 0)
			return cli_fail_errno(u->c, NULL, "cannot write %s", u->path);
	}
	progress_at(&u->progress, u->bytes >> 10, u->share);
	return 0;
}

static int
out_run(struct out *u, uint64_t from, const char *peer, json_t **ret)
{
	struct ctl *ctl;
	int rc;

	if ((rc = ctl_open(u->c, &ctl)) != 0)
		return rc;
	rc = ctl_send(ctl,
	    json_pack("{s:s,s:s,s:I}", "cmd", "records.export", "for", peer, "from",
		(json_int_t)from),
	    NULL, 0);
	progress_begin(&u->progress, u->c, "KiB");
	if (rc == 0)
		rc = ctl_pieces(ctl, out_line, out_data, u, ret);
	progress_end(&u->progress);
	ctl_close(ctl);
	return rc;
}

static void
out_tell(const struct out *u, json_t *end)
{
	char size[32];

	if (u->c->form == CLI_JSON && u->fd != STDOUT_FILENO) {
		json_object_set_new(end, "file", json_string(u->path));
		json_object_set_new(end, "bytes", json_integer((json_int_t)u->bytes));
		ans_print(end);
	}
	if (ans_num(end, "to") < ans_num(end, "from"))
		cli_note(u->c, "%s: %s for %s. Nothing was stored here since event %lld.",
		    u->path, ans_bytes(size, (long long)u->bytes), ans_text(end, "peer"),
		    ans_num(end, "to"));
	else
		cli_note(u->c,
		    "%s: %s for %s, %lld record%s and %lld %s, events %lld to %lld.",
		    u->path, ans_bytes(size, (long long)u->bytes), ans_text(end, "peer"),
		    ans_num(end, "records"),
		    ans_s((unsigned long long)ans_num(end, "records")),
		    ans_num(end, "leaves"), ans_num(end, "leaves") == 1 ? "leaf" : "leaves",
		    ans_num(end, "from"), ans_num(end, "to"));
	if (ans_num(end, "stopped") > 0)
		cli_note(u->c,
		    "%lld chain%s not here from some record on: another node has to give %s.",
		    ans_num(end, "stopped"), ans_num(end, "stopped") == 1 ? " is" : "s are",
		    ans_num(end, "stopped") == 1 ? "it" : "them");
	cli_note(u->c, "It is not encrypted. The next one: --records %lld..",
	    ans_num(end, "next"));
}

/* Only a whole file gets the name. */
static int
out_to_file(struct out *u, uint64_t from, const char *peer, json_t **end)
{
	char *temp = cli_fmt("%s.XXXXXX", u->path);
	int rc;

	if ((u->fd = mkostemp(temp, O_CLOEXEC)) < 0) {
		rc = cli_fail_errno(u->c, NULL, "cannot write %s", u->path);
		free(temp);
		return rc;
	}
	rc = out_run(u, from, peer, end);
	if (rc == 0 && (fsync(u->fd) != 0 || rename(temp, u->path) != 0))
		rc = cli_fail_errno(u->c, NULL, "cannot write %s", u->path);
	if (rc != 0)
		(void)unlink(temp); /* the failure is told already */
	close(u->fd);
	free(temp);
	return rc;
}

int
carry_export(struct cli *c, const char *records, const char *peer, const char *output)
{
	struct out u = { .c = c, .fd = STDOUT_FILENO, .path = output, .share = -1 };
	size_t n = strcspn(records, ".");
	json_t *end = NULL;
	uint64_t from;
	int rc;

	if (nrs_u64_parse(records, n, INT64_MAX, &from) != 0 ||
	    (records[n] != '\0' && strcmp(records + n, "..") != 0))
		return cli_usage(c,
		    "An event and two dots: 0.. is everything, and each file tells from where "
		    "the next one goes on.",
		    "--records %s: not where to begin", records);
	if (peer == NULL)
		return cli_usage(c, "Name the peer that is to read it: --for PEER",
		    "--records needs --for: a file is written for one peer");
	if ((output == NULL || strcmp(output, "-") == 0) && c->out_tty)
		return cli_usage(c, "Name a file: -o FILE.",
		    "a carrier file is binary, and standard output is a terminal");
	if (output == NULL || strcmp(output, "-") == 0) {
		u.path = "standard output";
		rc = out_run(&u, from, peer, &end);
	} else {
		rc = out_to_file(&u, from, peer, &end);
	}
	if (rc == 0)
		out_tell(&u, end);
	json_decref(end);
	return rc;
}

/* --- import ------------------------------------------------------------------ */

static void
put_origin(const struct cli *c, const json_t *o)
{
	const json_t *leaves = json_object_get(o, "leaves");
	const json_t *records = json_object_get(o, "records");
	const json_t *v;
	const char *code, *name = ans_text(o, "origin");

	cli_put(stdout, *name != '\0' ? name : "an origin that is no peer here", false);
	printf(": %lld new, %lld known record%s; %lld new, %lld known leaves",
	    ans_num(records, "new"), ans_num(records, "known"),
	    ans_s((unsigned long long)ans_num(records, "known")), ans_num(leaves, "new"),
	    ans_num(leaves, "known"));
	json_object_foreach(json_object_get(o, "refused"), code, v) {
		printf("; %lld refused: ", (long long)json_integer_value(v));
		cli_put(stdout, code, false);
	}
	putchar('\n');
}

static void
put_refusals(const struct cli *c, const json_t *a)
{
	const char *origin;
	json_t *r;
	size_t i;

	json_array_foreach(json_object_get(a, "refusals"), i, r) {
		if (i == 10 && !c->verbose) {
			cli_note(c, "... and more; -v shows them");
			break;
		}
		origin = ans_text(r, "origin");
		if (json_is_integer(json_object_get(r, "index")))
			cli_note(c, "refused: %s/%lld: %s (%s)",
			    *origin != '\0' ? origin : "?", ans_num(r, "index"),
			    ans_text(r, "text"), ans_text(r, "code"));
		else
			cli_note(c, "refused: %s (%s)", ans_text(r, "text"),
			    ans_text(r, "code"));
	}
}

static int
in_tell(const struct cli *c, const char *path, json_t *a)
{
	json_t *o, *g;
	size_t i;
	int rc = 0;

	if (c->form == CLI_JSON)
		ans_print(a);
	else
		json_array_foreach(json_object_get(a, "origins"), i, o)
			put_origin(c, o);
	if (json_array_size(json_object_get(a, "origins")) == 0 && ans_true(a, "whole"))
		cli_note(c, "%s: no leaf and no record in it", path);
	put_refusals(c, a);
	json_array_foreach(json_object_get(a, "gaps"), i, g) {
		cli_note(c,
		    "A gap: the log of %s is held up to %lld, and the file begins at %lld. "
		    "Import the file before it, or ask %s for one with --records 0..",
		    ans_text(g, "origin"), ans_num(g, "held"), ans_num(g, "begins"),
		    ans_text(a, "source"));
	}
	if (!ans_true(a, "whole")) {
		cli_note(c,
		    "%s is not whole: %s. What was good in it is taken; get it again.",
		    path, ans_text(a, "damage"));
		rc = CLI_DATA;
	}
	if (ans_num(a, "refused") > 0)
		rc = CLI_DATA;
	return rc;
}

/* Reads as much of a piece as there is. */
static int
read_piece(const struct cli *c, int fd, const char *path, uint8_t *p, size_t *ret)
{
	ssize_t n;

	for (*ret = 0; *ret < PIECE; *ret += (size_t)n) {
		n = read(fd, p + *ret, PIECE - *ret);
		if (n < 0 && errno == EINTR)
			n = 0;
		else if (n < 0)
			return cli_fail_errno(c, NULL, "cannot read %s", path);
		else if (n == 0)
			break;
	}
	return 0;
}

static int
send_piece(struct cli *c, struct ctl *ctl, const uint8_t *p, size_t len, bool end,
    struct ctl_answer *ret)
{
	int rc;

	rc = ctl_send(
	    ctl, json_pack("{s:s,s:b}", "cmd", "records.import", "end", end), p, len);
	if (rc == 0)
		rc = ctl_recv(ctl, ret);
	if (rc != 0 || ret->error == NULL)
		return rc;
	rc = ctl_tell(c, ret->error);
	ctl_answer_fini(ret);
	return rc;
}

static int
in_run(struct cli *c, struct ctl *ctl, int fd, const char *path)
{
	uint8_t *p = cli_alloc(PIECE);
	struct progress progress;
	struct ctl_answer a;
	struct stat st;
	uint64_t done = 0;
	double size = 0;
	size_t n;
	int rc;

	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		size = (double)st.st_size;
	progress_begin(&progress, c, "KiB");
	for (;;) {
		rc = read_piece(c, fd, path, p, &n);
		if (rc != 0)
			break;
		rc = send_piece(c, ctl, p, n, n < PIECE, &a);
		if (rc != 0)
			break;
		done += n;
		progress_at(&progress, done >> 10, size > 0 ? (double)done / size : -1);
		if (n < PIECE)
			break;
		ctl_answer_fini(&a);
	}
	progress_end(&progress);
	free(p);
	if (rc != 0)
		return rc;
	rc = in_tell(c, path, a.json);
	ctl_answer_fini(&a);
	return rc;
}

static int
run_import(struct cli *c, void *opts, char **argv, unsigned int argc)
{
	bool std = strcmp(argv[0], "-") == 0;
	const char *path = std ? "standard input" : argv[0];
	struct ctl *ctl;
	int fd, rc;

	fd = std ? STDIN_FILENO : open(argv[0], O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return cli_fail_errno(c, NULL, "cannot open %s", path);
	if ((rc = ctl_open(c, &ctl)) == 0) {
		rc = in_run(c, ctl, fd, path);
		ctl_close(ctl);
	}
	if (!std)
		close(fd);
	return rc;
}

const struct cmd cmd_import = { "import", "FILE", "take in a file of export --records",
	NULL, NULL, 0, 1, 1, "@file", run_import };
