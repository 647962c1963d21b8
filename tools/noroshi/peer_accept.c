/*
 * noroshi peer accept: another CERT's invite becomes a peer.  The daemon says
 * what is in it; the person types the fingerprint the other side told by
 * another way.  It is not shown here: who could copy it would not have to ask.
 */
#include "tools/noroshi/cli.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "record/manifest.h"
#include "tools/noroshi/answer.h"
#include "tools/noroshi/ask.h"
#include "tools/noroshi/ctl.h"
#include "tools/noroshi/file.h"

struct accept_opts {
	struct opt_list communities;
	struct opt_list addresses;
	const char *fingerprint;
	bool yes;
};

static json_t *
request(const struct accept_opts *o, const char *fingerprint)
{
	json_t *req = json_pack("{s:s,s:o,s:o}", "cmd", "peer.accept", "communities",
	    ans_split(&o->communities), "addresses", ans_split(&o->addresses));

	if (req == NULL ||
	    (fingerprint != NULL &&
		json_object_set_new(req, "fingerprint", json_string(fingerprint)) != 0))
		cli_oom();
	return req;
}

static void
put_offer(FILE *f, const json_t *offer)
{
	char *members = ans_join(json_object_get(offer, "members"), ", ");

	fputs("  community  ", f);
	cli_put(f, ans_text(offer, "name"), false);
	fputs(", founded by ", f);
	cli_put(f, ans_text(offer, "founder"), false);
	fputs("; members: ", f);
	cli_put(f, members, false);
	fputc('\n', f);
	free(members);
}

static void
put_preview(FILE *f, const json_t *a)
{
	char *addresses = ans_join(json_object_get(a, "addresses"), ", ");
	json_t *v;
	size_t i;

	fputs("This invite says:\n  peer       ", f);
	cli_put(f, ans_text(a, "name"), false);
	fputs("\n  addresses  ", f);
	cli_put(f, *addresses != '\0' ? addresses : "none: it can only dial us", false);
	fputc('\n', f);
	json_array_foreach(json_object_get(a, "offers"), i, v)
		put_offer(f, v);
	free(addresses);
}

/* What the person typed, in canonical form, once it equals what the invite has. */
static int
confirm(const struct cli *c, const json_t *preview, char dst[25])
{
	char typed[128], *question;
	bool there;

	put_preview(stderr, preview);
	question = cli_fmt("Fingerprint, as %s told you by telephone or in person: ",
	    ans_text(preview, "name"));
	there = ask_line(question, typed, sizeof(typed));
	free(question);
	if (!there)
		return cli_usage(c, NULL, "no fingerprint was typed; nothing was done");
	if (nrs_fingerprint_parse(typed, dst) != 0)
		return cli_fail(c, CLI_USAGE, "fingerprint", "nothing was done",
		    "It is 20 letters and digits, as ABCD-EFGH-IJKL-MNOP-QRST.",
		    "that is not a fingerprint");
	if (strcmp(dst, ans_text(preview, "fingerprint")) != 0)
		return cli_fail(c, CLI_PERM, "fingerprint", "nothing was done",
		    "Listen again. If it still differs, this invite is not theirs: do not use it,\n"
		    "and tell them.",
		    "the fingerprint of this invite is another one");
	return 0;
}

static int
ask_fingerprint(struct cli *c, const struct accept_opts *o, const uint8_t *invite,
    size_t len, char dst[25])
{
	struct ctl_answer a;
	int rc;

	if (!ask_possible())
		return cli_usage(c,
		    "Ask the peer for its fingerprint by telephone or in person, and give it with\n"
		    "--fingerprint. --yes does not replace it.",
		    "peer accept has the fingerprint typed, and there is nobody to type it");
	if ((rc = ctl_call(c, request(o, NULL), invite, len, &a)) != 0)
		return rc;
	rc = confirm(c, a.json, dst);
	ctl_answer_fini(&a);
	return rc;
}

static int
run_accept(struct cli *c, void *opts, char **argv, unsigned int argc)
{
	const struct accept_opts *o = opts;
	struct ctl_answer a;
	char fingerprint[25], *communities;
	uint8_t *invite;
	size_t len;
	int rc;

	if (o->communities.n == 0)
		return cli_usage(c, "An example: --community iwwn",
		    "peer accept: --community says what you will share with this peer");
	if (o->fingerprint != NULL &&
	    nrs_fingerprint_parse(o->fingerprint, fingerprint) != 0)
		return cli_usage(c,
		    "It is 20 letters and digits, as ABCD-EFGH-IJKL-MNOP-QRST.",
		    "--fingerprint %s: not a fingerprint", o->fingerprint);
	if ((rc = file_read(c, argv[0], NRS_INVITE_MAX, &invite, &len)) != 0)
		return rc;
	if (o->fingerprint == NULL)
		rc = ask_fingerprint(c, o, invite, len, fingerprint);
	if (rc == 0)
		rc = ctl_call(c, request(o, fingerprint), invite, len, &a);
	free(invite);
	if (rc != 0)
		return rc;
	communities = ans_join(json_object_get(a.json, "communities"), ", ");
	if (c->form == CLI_JSON)
		ans_print(a.json);
	cli_note(c, "%s is a peer now, in %s. \"noroshi peer test %s\" tries the link.",
	    ans_text(a.json, "name"), communities, ans_text(a.json, "name"));
	free(communities);
	ctl_answer_fini(&a);
	return 0;
}

#define O(f) offsetof(struct accept_opts, f)
static const struct opt accept_opts[] = {
	{ "community", 'C', OPT_LIST, "NAME", O(communities),
	    "what to share with it (several)", "@community" },
	{ "address", 0, OPT_LIST, "HOST:PORT", O(addresses),
	    "where to dial it, instead of the invite's (several)", NULL },
	{ "fingerprint", 0, OPT_TEXT, "WORDS", O(fingerprint),
	    "as the peer told it by another way; else it is asked", NULL },
	{ "yes", 'y', OPT_FLAG, NULL, O(yes),
	    "changes nothing: the fingerprint stays asked", NULL },
	{ NULL },
};
#undef O

const struct cmd cmd_peer_accept = { "peer accept", "FILE",
	"make the sender of an invite a peer",
	"    Shows what the invite says and has you type the fingerprint that the peer read\n"
	"    to you over the telephone. The link comes up at once.\n",
	accept_opts, sizeof(struct accept_opts), 1, 1, "@file", run_accept };
