/* noroshi export: records out of the node into files; --records is in cmd_carry.c. */
#include "tools/noroshi/cli.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "record/record.h"
#include "tools/noroshi/answer.h"
#include "tools/noroshi/carry.h"
#include "tools/noroshi/ctl.h"
#include "tools/noroshi/file.h"

struct export_opts {
	const char *output;
	const char *records;
	const char *peer;
	bool proof;
};

static bool
is_dir(const char *path)
{
	struct stat st;

	return path != NULL && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Names that records have elsewhere, and that are not looked up. */
static int
check_id(const struct cli *c, const char *id)
{
	static const char how[] =
	    "noroshi tail --from 0 --json tells the origin and index of each object: "
	    "export ORIGIN/INDEX.";
	char origin[NRS_ORIGIN_MAX + 1], hex8[9];
	uint64_t index;

	if (nrs_record_id_parse(id, origin, &index, hex8) == 0)
		return 0;
	if (strstr(id, "--") != NULL)
		return cli_usage(c, how,
		    "\"%s\" is an id of STIX, by which records cannot be looked up", id);
	return cli_usage(c, how, "\"%s\" is not the id of a record", id);
}

/* "DIR/jp.cert.example-17.proof" */
static char *
path_in(const char *dir, const char *id, bool proof)
{
	char *path = cli_fmt(
	    "%s/%.*s%s", dir, (int)strcspn(id, "~"), id, proof ? ".proof" : ".json");

	*strchr(path + strlen(dir) + 1, '/') = '-';
	return path;
}

static int
export_one(struct cli *c, struct ctl *ctl, const struct export_opts *o, const char *id)
{
	struct ctl_answer a;
	char *path = NULL;
	int rc;

	rc = ctl_send(ctl,
	    json_pack("{s:s,s:s,s:b}", "cmd", "export", "id", id, "proof", o->proof), NULL,
	    0);
	if (rc != 0 || (rc = ctl_recv(ctl, &a)) != 0)
		return rc;
	if (a.error != NULL) {
		rc = ctl_tell(c, a.error);
		ctl_answer_fini(&a);
		return rc;
	}
	if (is_dir(o->output))
		path = path_in(o->output, id, o->proof);
	/* What a record holds is for those who may see it. */
	rc = file_write(c, path != NULL ? path : o->output, 0600, a.data, a.len);
	if (rc == 0 &&
	    (path != NULL || (o->output != NULL && strcmp(o->output, "-") != 0))) {
		if (c->form == CLI_JSON) {
			json_object_set_new(
			    a.json, "file", json_string(path != NULL ? path : o->output));
			json_object_del(a.json, "attach");
			ans_print(a.json);
		} else {
			cli_note(c, "%s: %s, TLP:%s, %zu bytes in %s",
			    ans_text(a.json, "id"), ans_text(a.json, "kind"),
			    ans_text(a.json, "tlp"), a.len,
			    path != NULL ? path : o->output);
		}
	}
	free(path);
	ctl_answer_fini(&a);
	return rc;
}

static int
run_export(struct cli *c, void *opts, char **argv, unsigned int argc)
{
	const struct export_opts *o = opts;
	struct ctl *ctl;
	int rc, worst = 0;

	if (o->records != NULL && (argc > 0 || o->proof))
		return cli_usage(c, NULL,
		    "--records exports all from an event on: no IDs, and no --proof");
	if (o->records != NULL)
		return carry_export(c, o->records, o->peer, o->output);
	if (argc == 0 || o->peer != NULL)
		return cli_usage(c,
		    "noroshi export ID...  or  noroshi export --records EVENT.. --for PEER",
		    argc == 0 ? "export: an argument is missing"
			      : "--for goes with --records only");
	for (unsigned int i = 0; i < argc; i++)
		if ((rc = check_id(c, argv[i])) != 0)
			return rc;
	if (argc > 1 && !is_dir(o->output))
		return cli_usage(c,
		    "Name a directory that exists: noroshi export ... -o DIR",
		    "several records go into a directory, one file each");
	if (o->proof && o->output == NULL && c->out_tty)
		return cli_usage(c, "Name a file: -o FILE, or - for standard output.",
		    "a proof file is binary, and standard output is a terminal");
	if ((rc = ctl_open(c, &ctl)) != 0)
		return rc;
	for (unsigned int i = 0; i < argc; i++) {
		rc = export_one(c, ctl, o, argv[i]);
		if (rc != 0)
			worst = rc;
		/* Without its daemon, or a place to write to, the next would fail too. */
		if (rc != 0 && rc != CLI_DATA)
			break;
	}
	ctl_close(ctl);
	return worst;
}

#define O(f) offsetof(struct export_opts, f)
static const struct opt export_opts[] = {
	{ "proof", 0, OPT_FLAG, NULL, O(proof),
	    "with all that proves it, for noroshi verify", NULL },
	{ "records", 0, OPT_TEXT, "EVENT..", O(records),
	    "instead: all from an event on, for --for to import", NULL },
	{ "for", 0, OPT_TEXT, "PEER", O(peer), "whose file it is", "@peer" },
	{ "output", 'o', OPT_TEXT, "FILE", O(output),
	    "or a directory; - is standard output", "@file" },
	{ NULL },
};
#undef O

const struct cmd cmd_export = { "export", "ID...", "records into files, with proofs", NULL,
	export_opts, sizeof(struct export_opts), 0, UINT_MAX, NULL, run_export };
