/* noroshi tail: the stream of what arrives and what is shared here. */
#include "tools/noroshi/cli.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/text.h"
#include "import/indicator.h"
#include "tools/noroshi/answer.h"
#include "tools/noroshi/ctl.h"
#include "tools/noroshi/remote.h"
#include "tools/noroshi/table.h"
#include "tools/noroshi/when.h"

#define ENOUGH (-1) /* --count is reached: not an exit status */

struct tail_opts {
	const char *from, *since, *count, *tlp;
	const char *cert, *key, *server;
	struct opt_list communities;
	bool until_idle, follow;
};

struct tail {
	struct cli *c;
	bool raw;
	uint64_t left; /* UINT64_MAX: no end */
};

/* --- a line for people ------------------------------------------------- */

static void
put_defanged(const char *s)
{
	struct nrs_buf b;

	nrs_buf_init(&b, 1u << 20);
	nrs_value_defang(&b, (struct nrs_str){ (const uint8_t *)s, strlen(s) });
	nrs_buf_u8(&b, '\0');
	if (b.err == 0)
		cli_put(stdout, (const char *)b.p, false);
	nrs_buf_fini(&b);
}

static void
put_human(const struct tail *t, const json_t *o)
{
	const json_t *obj = json_object_get(o, "object");
	const char *tlp = ans_text(o, "tlp"), *name = ans_text(obj, "name");
	const char *pattern = ans_text(obj, "pattern");

	cli_put(stdout, ans_text(o, "time"), false);
	printf("  %s%-12s%s  ", tlp_color(t->c, tlp), tlp, plain_color(t->c));
	cli_put(stdout, ans_text(o, "origin"), false);
	printf("/%lld  %s", ans_num(o, "index"), ans_text(o, "action"));
	fputs("  ", stdout);
	cli_put(stdout, ans_text(obj, "type"), false);
	fputs("  ", stdout);
	put_defanged(*pattern != '\0' ? pattern : ans_text(obj, "id"));
	if (*name != '\0') {
		fputs("  ", stdout);
		put_defanged(name);
	}
	putchar('\n');
}

/* The daemon's lines begin in one order; an object that has such a text inside does not matter. */
static bool
is_heartbeat(const char *s)
{
	static const char begin[] = "{\"action\":\"heartbeat\"";

	return strncmp(s, begin, sizeof(begin) - 1) == 0;
}

static int
take_line(void *arg, char *s, size_t len)
{
	struct tail *t = arg;
	json_t *o;

	if (len == 0 || is_heartbeat(s))
		return 0;
	if (t->raw && !t->c->out_tty) {
		fwrite(s, 1, len, stdout);
		putchar('\n');
	} else {
		o = json_loadb(s, len, 0, NULL);
		if (t->raw && o != NULL)
			ans_print(o);
		else
			put_human(t, o);
		json_decref(o);
	}
	if (t->left != UINT64_MAX && --t->left == 0)
		return ENOUGH;
	/* Whoever reads a pipe wants it now; a file may wait for the buffer. */
	if (fflush(stdout) != 0)
		return cli_fail_errno(t->c, NULL, "cannot write the output");
	return 0;
}

/* --- the request ------------------------------------------------------- */

static bool
cursor_ok(const char *s)
{
	const char *dot = strchr(s, '.');
	size_t n = dot != NULL ? (size_t)(dot - s) : strlen(s);
	uint64_t v;

	return nrs_u64_parse(s, n, INT64_MAX, &v) == 0 &&
	    (dot == NULL || nrs_u64_parse(dot + 1, strlen(dot + 1), UINT32_MAX, &v) == 0);
}

static int
check_opts(struct cli *c, const struct tail_opts *o, struct tail *t, struct nrs_wall *since,
    enum nrs_tlp *tlp)
{
	if (o->from != NULL && o->since != NULL)
		return cli_usage(c, NULL, "--from and --since exclude each other");
	if (o->follow && o->until_idle)
		return cli_usage(c, NULL, "--follow and --until-idle exclude each other");
	if (o->from != NULL && !cursor_ok(o->from))
		return cli_usage(c,
		    "EVENT or EVENT.N, as in \"event\" and \"n\" of a line; 0 is all.",
		    "--from %s: not a cursor", o->from);
	if (o->since != NULL && when_parse(o->since, when_now(), since) != 0)
		return cli_usage(c, "2025-01-06T09:56:00Z, 2025-01-06 or -7d.",
		    "--since %s: not a time", o->since);
	if (o->count != NULL &&
	    (nrs_u64_parse(o->count, strlen(o->count), INT64_MAX, &t->left) != 0 ||
		t->left == 0))
		return cli_usage(c, NULL, "--count %s: not a number from 1", o->count);
	if (o->tlp != NULL && nrs_tlp_parse(o->tlp, strlen(o->tlp), tlp) != 0)
		return cli_usage(c, "CLEAR, GREEN, AMBER, AMBER+STRICT or RED.",
		    "--tlp %s: not a TLP marking", o->tlp);
	return 0;
}

static json_t *
request(const struct tail_opts *o, struct nrs_wall since, enum nrs_tlp tlp)
{
	json_t *req = json_pack(
	    "{s:s,s:b}", "cmd", "tail", o->until_idle ? "until_idle" : "follow", true);
	int rc = req == NULL ? -1 : 0;

	if (rc == 0 && o->from != NULL)
		rc = json_object_set_new(req, "from", json_string(o->from));
	if (rc == 0 && o->since != NULL)
		rc = json_object_set_new(
		    req, "since_ms", json_integer((json_int_t)since.ms));
	if (rc == 0 && o->tlp != NULL)
		rc = json_object_set_new(req, "tlp", json_string(nrs_tlp_name(tlp)));
	if (rc == 0 && o->communities.n > 0)
		rc = json_object_set_new(req, "communities", ans_split(&o->communities));
	if (rc != 0)
		cli_oom();
	return req;
}

/* From another machine: what may be seen is for its node to say. */
static int
tail_remote(struct cli *c, const struct tail_opts *o, struct tail *t, struct nrs_wall since)
{
	struct remote_opts ro = { .cert = o->cert,
		.key = o->key,
		.server = o->server,
		.from = o->from,
		.patient = o->follow };
	char time[25];
	int rc;

	if (o->until_idle || o->tlp != NULL || o->communities.n > 0)
		return cli_usage(c, "They are for the control socket.",
		    "--until-idle, --tlp and --community do not go with -S HOST:PORT");
	if (o->since != NULL) {
		nrs_time_format(time, since);
		ro.since = time;
	}
	rc = remote_stream(c, &ro, take_line, t);
	return rc == ENOUGH ? 0 : rc;
}

static int
run_tail(struct cli *c, void *opts, char **argv, unsigned int argc)
{
	const struct tail_opts *o = opts;
	struct tail t = {
		.c = c, .raw = !c->out_tty || c->form == CLI_JSON, .left = UINT64_MAX
	};
	struct nrs_wall since = { 0 };
	enum nrs_tlp tlp = NRS_TLP_RED;
	json_t *end = NULL;
	struct ctl *ctl;
	int rc;

	if ((rc = check_opts(c, o, &t, &since, &tlp)) != 0)
		return rc;
	if (remote_address(c->socket))
		return tail_remote(c, o, &t, since);
	if (o->cert != NULL || o->key != NULL || o->server != NULL)
		return cli_usage(c, "noroshi -S HOST:PORT tail --cert ...",
		    "--cert, --key and --server are for -S HOST:PORT");
	if ((rc = ctl_open(c, &ctl)) != 0)
		return rc;
	if ((rc = ctl_send(ctl, request(o, since, tlp), NULL, 0)) == 0)
		rc = ctl_stream(ctl, take_line, &t, &end);
	if (rc == 0 && *ans_text(end, "cursor") != '\0')
		cli_note(c, "To go on from here: --from %s", ans_text(end, "cursor"));
	json_decref(end);
	ctl_close(ctl);
	return rc == ENOUGH ? 0 : rc;
}

#define O(f) offsetof(struct tail_opts, f)
static const struct opt tail_opts[] = {
	{ "from", 0, OPT_TEXT, "CURSOR", O(from), "EVENT or EVENT.N; 0: from the beginning",
	    NULL },
	{ "since", 0, OPT_TEXT, "TIME", O(since), "2025-01-06, RFC 3339, or -7d", NULL },
	{ "until-idle", 0, OPT_FLAG, NULL, O(until_idle),
	    "end once in sync with all peers and quiet", NULL },
	{ "follow", 'f', OPT_FLAG, NULL, O(follow), "go on until interrupted (the default)",
	    NULL },
	{ "count", 0, OPT_TEXT, "N", O(count), "end after N objects", NULL },
	{ "tlp", 0, OPT_TEXT, "TLP", O(tlp), "nothing stricter than this",
	    "CLEAR GREEN AMBER AMBER+STRICT RED" },
	{ "community", 'C', OPT_LIST, "NAME", O(communities), "only these (several)",
	    "@community" },
	{ "cert", 0, OPT_TEXT, "FILE", O(cert), "-S HOST:PORT: our certificate", "@file" },
	{ "key", 0, OPT_TEXT, "FILE", O(key), "-S HOST:PORT: the key of it", "@file" },
	{ "server", 0, OPT_TEXT, "FILE", O(server),
	    "-S HOST:PORT: manifest of the CERT, or the pin of its TLS key", "@file" },
	{ NULL },
};
#undef O

const struct cmd cmd_tail = { "tail", NULL, "print what arrives, as it arrives",
	"    One line for each object: NDJSON in a pipe or with --json, exactly as subscribers\n"
	"    get it; for people on a terminal, with values made harmless to click.\n"
	"    Without --from or --since, from now on. With -S HOST:PORT from another machine's\n"
	"    stream, connecting again and going on where it was whenever the link is lost.\n",
	tail_opts, sizeof(struct tail_opts), 0, 0, NULL, run_tail };
