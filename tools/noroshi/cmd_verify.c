/* noroshi verify: proof files, without a daemon and without a network. */
#include "tools/noroshi/cli.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "crypto/key.h"
#include "proof/proof.h"
#include "tools/noroshi/answer.h"
#include "tools/noroshi/file.h"

struct verify_opts {
	struct opt_list manifests;
};

/* What each check that fails means, and what to do. */
static const struct {
	const char *means;
	const char *next;
} told[NRS_PROOF__CHECKS] = {
	[NRS_PROOF_FORM] = { "the file is not whole, or not a proof file",
	    "Get it again. If it is whole and of a newer version, use a newer noroshi." },
	[NRS_PROOF_ORIGIN] = { "it cannot be known whose keys count",
	    "Give the manifest 0 or the invite of this origin with --manifest, from a source "
	    "that you trust." },
	[NRS_PROOF_MANIFESTS] = { "the change of the origin's keys is not as the origin signed it",
	    "Do not believe it. Get the file again, and the manifests from the origin." },
	[NRS_PROOF_CHECKPOINT] = { "the log's key did not sign this state of the log",
	    "Do not believe it. Get the file again, from somebody else if you can." },
	[NRS_PROOF_INCLUSION] = { "the record does not stand in the log at this index",
	    "Do not believe it. Get the file again, from somebody else if you can." },
	[NRS_PROOF_SIGNATURES] = { "the origin did not sign this record",
	    "Do not believe it, and tell the origin: its log has it." },
	[NRS_PROOF_PAYLOAD] = { "this is not the payload that was signed",
	    "Do not believe it. Get the file again, from somebody else if you can." },
	[NRS_PROOF_CONTENT] = { "the origin signed it, and it is not a valid STIX 2.1 bundle",
	    "Tell the origin." },
	[NRS_PROOF_MARKING] = { "the origin signed it with a marking weaker than an object's own",
	    "Treat it by the stricter one, and tell the origin." },
};

/* --- manifests ------------------------------------------------------------ */

struct trusted {
	struct nrs_str *v; /* views into the files */
	unsigned int n, cap;
	uint8_t **files;
	unsigned int nfiles;
};

static int
add_note(void *arg, const uint8_t *note, size_t len)
{
	struct trusted *t = arg;

	if (t->n == t->cap) {
		t->cap = t->cap * 2 + 8;
		t->v = cli_realloc(t->v, t->cap * sizeof(*t->v));
	}
	t->v[t->n].p = note;
	t->v[t->n++].len = len;
	return 0;
}

static int
read_manifest(const struct cli *c, struct trusted *t, const char *path)
{
	unsigned int had = t->n, sound = 0;
	struct nrs_detail d = { 0 };
	struct nrs_manifest m;
	struct nrs_note n;
	size_t len;
	uint8_t *p;
	int rc;

	if ((rc = file_read(c, path, NRS_INVITE_MAX, &p, &len)) != 0)
		return rc;
	t->files = cli_realloc(t->files, (t->nfiles + 1) * sizeof(*t->files));
	t->files[t->nfiles++] = p;
	rc = nrs_invite_walk(p, len, add_note, t, &d);
	for (unsigned int i = had; rc == 0 && i < t->n; i++)
		if (nrs_note_parse(&n, t->v[i].p, t->v[i].len, NULL) == 0 &&
		    nrs_manifest_parse(&m, n.text.p, n.text.len, NULL) == 0)
			sound++;
	if (rc == 0 && sound > 0)
		return 0;
	return cli_fail(c, CLI_DATA, rc != 0 ? nrs_errname(rc) : "syntax",
	    rc != 0 ? d.text : "no manifest is in it",
	    "It is the file \"manifest\" of the origin's node, or its invite.",
	    "%s is not a manifest", path);
}

static void
trusted_free(struct trusted *t)
{
	for (unsigned int i = 0; i < t->nfiles; i++)
		free(t->files[i]);
	free(t->files);
	free(t->v);
}

/* --- what is told --------------------------------------------------------- */

static const char *
kind_text(char dst[32], const struct nrs_header *h)
{
	uint8_t kind = h->kind;

	if (h->version != NRS_HEADER_VERSION)
		snprintf(dst, 32, "of version %u", h->version);
	else if (kind >= NRS_KIND_BUNDLE && kind < NRS_KIND__MAX)
		snprintf(dst, 32, "%s", nrs_kind_name(kind));
	else
		snprintf(dst, 32, "%u", kind);
	return dst;
}

static json_t *
time_json(struct nrs_wall t)
{
	char text[25];

	if (t.ms == 0)
		return json_null();
	nrs_time_format(text, t);
	return json_string(text);
}

/* The log's key as verifiers of C2SP name it. */
static char *
log_key(const struct nrs_proof_result *r)
{
	char name[NRS_ORIGIN_MAX + 8], hex[9];
	uint8_t id[4];

	snprintf(name, sizeof(name), "%s/log", r->origin);
	if (nrs_note_keyid(name, NRS_NOTE_ED25519, r->log.pub, id) != 0)
		cli_oom();
	nrs_hex_format(hex, id, sizeof(id));
	return cli_fmt("%s+%s", name, hex);
}

static void
put_json(const char *path, const struct nrs_proof_result *r)
{
	char root[NRS_B64_LEN(32) + 1], leaf[9], audience[65], feed[17], fp[25], kind[32];
	char *log = log_key(r);
	json_t *o;

	nrs_b64_format(root, r->checkpoint.root.b, NRS_HASH_LEN);
	nrs_hex_format(leaf, r->leaf.b, 4);
	nrs_hex_format(audience, r->header.audience.b, NRS_HASH_LEN);
	nrs_hex_format(feed, r->feed.id, NRS_KEYID_LEN);
	nrs_fingerprint_format(fp, &r->manifest);
	o = json_pack("{s:s,s:b,s:s,s:s,s:I,s:s,s:b,s:o,s:o,s:s,s:I}", "file", path, "ok",
	    1, "origin", r->origin, "fingerprint", fp, "index", (json_int_t)r->index,
	    "leaf", leaf, "interpreted", r->interpreted, "created",
	    time_json(r->header.created), "expires", time_json(r->header.expires), "kind",
	    kind_text(kind, &r->header), "bytes", (json_int_t)r->header.payload_len);
	if (o == NULL)
		cli_oom();
	json_object_set_new(
	    o, "tlp", json_string(nrs_tlp_name((enum nrs_tlp)r->header.tlp)));
	json_object_set_new(o, "audience", json_string(audience));
	json_object_set_new(o, "objects",
	    r->interpreted ? json_integer((json_int_t)r->bundle.n) : json_null());
	json_object_set_new(o, "size", json_integer((json_int_t)r->checkpoint.size));
	json_object_set_new(o, "root", json_string(root));
	json_object_set_new(o, "feed_key", json_string(feed));
	json_object_set_new(o, "feed_manifest", json_integer((json_int_t)r->feed_manifest));
	json_object_set_new(o, "log_key", json_string(log));
	json_object_set_new(o, "log_manifest", json_integer((json_int_t)r->log_manifest));
	json_object_set_new(o, "newer_manifest_given", json_boolean(r->newer));
	ans_print(o);
	json_decref(o);
	free(log);
}

static void
put_human(const struct cli *c, const char *path, const struct nrs_proof_result *r)
{
	char root[NRS_B64_LEN(32) + 1], hex[65], when[25], fp[25], kind[32];
	char *log = log_key(r);

	printf("%s: ", c->color ? "\033[32mgood\033[0m" : "good");
	cli_put(stdout, path, false);
	nrs_hex_format(hex, r->leaf.b, 4);
	printf("\n  record     %s/%" PRIu64 "~%s\n", r->origin, r->index, hex);
	nrs_fingerprint_format(fp, &r->manifest);
	printf("  origin     fingerprint %s\n", fp);
	printf("  kind       %s", kind_text(kind, &r->header));
	if (r->interpreted)
		printf(", %u object%s", r->bundle.n, ans_s(r->bundle.n));
	else
		printf(": verified, its payload is not interpreted");
	printf("\n  marking    TLP:%s\n", nrs_tlp_name((enum nrs_tlp)r->header.tlp));
	nrs_time_format(when, r->header.created);
	printf("  created    %s, as the origin says\n", when);
	if (r->header.expires.ms != 0) {
		nrs_time_format(when, r->header.expires);
		printf("  expires    %s\n", when);
	}
	printf("  payload    %" PRIu64 " bytes\n", r->header.payload_len);
	nrs_hex_format(hex, r->header.audience.b, NRS_HASH_LEN);
	printf("  audience   %s\n", hex);
	nrs_b64_format(root, r->checkpoint.root.b, NRS_HASH_LEN);
	printf("  log        %" PRIu64 " entries, root %s\n", r->checkpoint.size, root);
	nrs_hex_format(hex, r->feed.id, NRS_KEYID_LEN);
	printf("  signed by  feed key %s of manifest %" PRIu64 "\n", hex, r->feed_manifest);
	printf("             %s of manifest %" PRIu64 "\n", log, r->log_manifest);
	if (r->newer)
		printf("  note       the origin has a newer manifest than this file knows "
		       "of: the file is older, or hides it\n");
	free(log);
}

static int
tell_bad(const struct cli *c, const char *path, const struct nrs_proof_result *r, int rc,
    const struct nrs_detail *d)
{
	const char *reason = nrs_strerror(rc);
	bool said = strstr(d->text, reason) != NULL;
	struct cli plain = *c;
	char *why;
	json_t *o;

	why = cli_fmt("%s (%s%sbyte %" PRIu64 "%s%s)\nThis means: %s.", d->text,
	    said ? "" : reason, said ? "" : ", ", d->off, d->path[0] != '\0' ? ", " : "",
	    d->path, told[r->check].means);
	plain.form = CLI_HUMAN;
	cli_fail(&plain, CLI_DATA, nrs_errname(rc), why, told[r->check].next,
	    "%s does not verify: %s", path, nrs_proof_check_name(r->check));
	if (c->form == CLI_JSON) {
		o = json_pack("{s:s,s:b,s:s,s:I,s:{s:s,s:s,s:s,s:s}}", "file", path, "ok",
		    0, "check", nrs_proof_check_name(r->check), "offset",
		    (json_int_t)d->off, "error", "code", nrs_errname(rc), "what",
		    told[r->check].means, "why", d->text, "next", told[r->check].next);
		if (o == NULL)
			cli_oom();
		ans_print(o);
		json_decref(o);
	}
	free(why);
	return CLI_DATA;
}

static int
verify_one(const struct cli *c, const struct trusted *t, const char *path)
{
	struct nrs_proof_result *r;
	struct nrs_detail d = { 0 };
	size_t len;
	uint8_t *p;
	int rc;

	if ((rc = file_read(c, path, NRS_PROOF_FILE_MAX, &p, &len)) != 0)
		return rc;
	r = cli_alloc(sizeof(*r));
	rc = nrs_proof_file_verify(r, p, len, t->v, t->n, nrs_verify, &d);
	if (rc == NRS_ENOMEM)
		cli_oom();
	if (rc != 0)
		rc = tell_bad(c, path, r, rc, &d);
	else if (c->form == CLI_JSON)
		put_json(path, r);
	else
		put_human(c, path, r);
	free(r);
	free(p);
	return rc;
}

static int
run_verify(struct cli *c, void *opts, char **argv, unsigned int argc)
{
	const struct verify_opts *o = opts;
	struct trusted t = { 0 };
	int rc, worst = 0;

	if (o->manifests.n == 0)
		return cli_usage(c,
		    "Give the origin's manifest 0, or its invite, from a source that you "
		    "trust.",
		    "--manifest is missing: without it nobody says whose keys count");
	for (unsigned int i = 0; worst == 0 && i < o->manifests.n; i++)
		worst = read_manifest(c, &t, o->manifests.v[i]);
	if (worst != 0)
		argc = 0;
	for (unsigned int i = 0; i < argc; i++)
		if ((rc = verify_one(c, &t, argv[i])) != 0)
			worst = rc;
	trusted_free(&t);
	return worst;
}

#define O(f) offsetof(struct verify_opts, f)
static const struct opt verify_opts[] = {
	{ "manifest", 'm', OPT_LIST, "FILE", O(manifests),
	    "of the origin, or its invite; may be given several times", "@file" },
	{ NULL },
};
#undef O

const struct cmd cmd_verify = { "verify", "FILE...", "check proof files; needs no daemon",
	NULL, verify_opts, sizeof(struct verify_opts), 1, UINT_MAX, "@file", run_verify };
