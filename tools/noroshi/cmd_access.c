/* noroshi access: add, list, revoke. */
#include "tools/noroshi/cli.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "crypto/key.h"
#include "record/manifest.h"
#include "tools/noroshi/answer.h"
#include "tools/noroshi/ctl.h"
#include "tools/noroshi/file.h"
#include "tools/noroshi/remote.h"
#include "tools/noroshi/table.h"

#define PEM_MAX 65536

struct add_opts {
	const char *role, *tlp, *out, *cert, *socket;
	struct opt_list communities;
	bool direct;
};

/* What is made for the subscriber, or taken from the caller. */
struct pair {
	char *key, *cert; /* PEM; key NULL: it is not ours */
	size_t key_len, cert_len;
	char *key_path, *cert_path, *manifest_path;
};

static void
pair_fini(struct pair *p)
{
	if (p->key != NULL)
		explicit_bzero(p->key, p->key_len);
	free(p->key);
	free(p->cert);
	free(p->key_path);
	free(p->cert_path);
	free(p->manifest_path);
}

static int
check_opts(struct cli *c, const struct add_opts *o, const char *name, enum nrs_tlp *tlp)
{
	if (!nrs_name_ok(name, strlen(name)))
		return cli_usage(c, "Letters a-z, digits, - _ and .",
		    "access add: %s is no name for a subscriber", name);
	if (o->role != NULL && strcmp(o->role, "subscriber") != 0)
		return cli_usage(c,
		    "Users of the control socket are named in \"node { operators, submitters, "
		    "readers }\".",
		    "--role %s: there is only subscriber", o->role);
	if (o->communities.n == 0)
		return cli_usage(c, "--community '*' is all of them.",
		    "access add needs --community: which records?");
	if (o->tlp == NULL || nrs_tlp_parse(o->tlp, strlen(o->tlp), tlp) != 0)
		return cli_usage(c, "CLEAR, GREEN, AMBER, AMBER+STRICT or RED.",
		    o->tlp == NULL
			? "access add needs --tlp: the strictest marking to be seen"
			: "--tlp %s: not a TLP marking",
		    o->tlp);
	if (o->cert != NULL && o->out != NULL)
		return cli_usage(c, NULL, "--cert and --output exclude each other");
	return 0;
}

static int
make_pair(struct cli *c, const char *name, const char *dir, struct pair *p)
{
	struct nrs_seckey *k = NULL;
	uint8_t *der = NULL;
	size_t der_len, n = strlen(dir);
	int rc;

	while (n > 1 && dir[n - 1] == '/')
		n--;

	if ((rc = nrs_seckey_generate(&k)) != 0 ||
	    (rc = nrs_seckey_to_pem(k, NULL, &p->key, &p->key_len)) != 0 ||
	    (rc = nrs_tls_cert(k, name, &der, &der_len)) != 0 ||
	    (rc = nrs_cert_to_pem(der, der_len, &p->cert, &p->cert_len)) != 0)
		rc = cli_fail(c, CLI_IO, nrs_errname(rc), NULL, NULL, "cannot make a key");
	p->key_path = cli_fmt("%.*s/%s.key", (int)n, dir, name);
	p->cert_path = cli_fmt("%.*s/%s.pem", (int)n, dir, name);
	p->manifest_path = cli_fmt("%.*s/server.manifest", (int)n, dir);
	free(der);
	nrs_seckey_free(k);
	if (rc == 0 && mkdir(dir, 0700) != 0 && access(dir, W_OK) != 0)
		rc = cli_fail_errno(c, NULL, "cannot make %s", dir);
	if (rc == 0 && access(p->key_path, F_OK) == 0)
		rc = cli_fail(c, CLI_DATA, "exists", NULL,
		    "Take another directory, or move it away.", "%s is there already",
		    p->key_path);
	return rc;
}

static int
take_cert(struct cli *c, const char *path, struct pair *p)
{
	struct nrs_hash pin;
	uint8_t *pem;
	int rc;

	if ((rc = file_read(c, path, PEM_MAX, &pem, &p->cert_len)) != 0)
		return rc;
	p->cert = (char *)pem;
	if (nrs_cert_pin(p->cert, p->cert_len, &pin) != 0)
		return cli_fail(c, CLI_DATA, "cert", NULL,
		    "A key of Ed25519, ECDSA (P-256, P-384) or RSA from 2048 bits, in PEM.",
		    "--cert %s: not a certificate that is taken", path);
	return 0;
}

/* By which the subscriber knows this node: the first note of the invite. */
static int
write_manifest(struct cli *c, const char *path)
{
	struct ctl_answer a;
	struct nrs_str note;
	int rc;

	if ((rc = ctl_call(c, json_pack("{s:s}", "cmd", "peer.invite"), NULL, 0, &a)) != 0)
		return rc;
	note = (struct nrs_str){ a.data, a.len };
	(void)!nrs_invite_walk(a.data, a.len, remote_first_note, &note, NULL);
	rc = file_write(c, path, 0644, note.p, note.len);
	ctl_answer_fini(&a);
	return rc;
}

static json_t *
request(const struct add_opts *o, const char *name, enum nrs_tlp tlp)
{
	json_t *req = json_pack("{s:s, s:s, s:s, s:b, s:o}", "cmd", "access.add", "name",
	    name, "tlp", nrs_tlp_name(tlp), "direct", o->direct, "communities",
	    ans_split(&o->communities));

	if (req == NULL ||
	    (o->socket != NULL &&
		json_object_set_new(req, "socket", json_string(o->socket)) != 0))
		cli_oom();
	return req;
}

/* A misspelt community gives nothing, and would not be noticed. */
static void
tell_unknown(struct cli *c, const struct add_opts *o)
{
	json_t *names = ans_split(&o->communities), *known, *v;
	struct ctl_answer a;
	size_t i, k;

	if (ctl_call(c, json_pack("{s:s}", "cmd", "community.list"), NULL, 0, &a) == 0) {
		known = json_object_get(a.json, "communities");
		json_array_foreach(names, i, v) {
			const char *name = json_string_value(v);

			for (k = 0; k < json_array_size(known); k++)
				if (strcmp(ans_text(json_array_get(known, k), "name"),
					name) == 0)
					break;
			if (k == json_array_size(known) && strcmp(name, "*") != 0)
				cli_note(c, "There is no community %s here (yet).", name);
		}
		ctl_answer_fini(&a);
	}
	json_decref(names);
}

/* What to hand over, and what to type there. */
static void
tell_use(struct cli *c, const struct add_opts *o, const struct pair *p, const json_t *a)
{
	const json_t *first = json_array_get(json_object_get(a, "addresses"), 0);
	const char *address = json_string_value(first);

	if (o->socket != NULL)
		cli_note(c, "On this machine: lines of JSON at %s", o->socket);
	if (p->cert == NULL)
		return;
	if (address == NULL) {
		cli_note(c,
		    "No stream stanza says where to connect yet: stream \"*:7374\" { }, and "
		    "reload.");
		address = "HOST:PORT";
	} else if (strncmp(address, "*:", 2) == 0) {
		cli_note(c, "HOST is this machine's name, as they reach it.");
	}
	if (p->key != NULL)
		cli_note(c,
		    "Give them %s, %s and %s; the first is secret and is nowhere else.\n"
		    "They: noroshi -S %s%s tail --cert %s --key %s --server %s",
		    p->key_path, p->cert_path, p->manifest_path,
		    *address == '*' ? "HOST" : "", *address == '*' ? address + 1 : address,
		    p->cert_path, p->key_path, p->manifest_path);
	else
		cli_note(c,
		    "They: noroshi -S %s%s tail --cert %s --key KEY --server MANIFEST",
		    *address == '*' ? "HOST" : "", *address == '*' ? address + 1 : address,
		    o->cert);
}

static int
run_add(struct cli *c, void *opts, char **argv, unsigned int argc)
{
	const struct add_opts *o = opts;
	const char *name = argv[0];
	struct ctl_answer a = { 0 };
	struct pair p = { 0 };
	bool made = false; /* a key that was there before is never touched */
	enum nrs_tlp tlp;
	int rc;

	if ((rc = check_opts(c, o, name, &tlp)) != 0)
		return rc;
	if (o->cert != NULL)
		rc = take_cert(c, o->cert, &p);
	else if (o->socket == NULL || o->out != NULL)
		rc = make_pair(c, name, o->out != NULL ? o->out : ".", &p);
	/* The secret is on the disk before anything trusts it. */
	if (rc == 0 && p.key != NULL) {
		made = true;
		if ((rc = file_write(c, p.key_path, 0600, p.key, p.key_len)) == 0)
			rc = file_write(c, p.cert_path, 0644, p.cert, p.cert_len);
		if (rc == 0)
			rc = write_manifest(c, p.manifest_path);
	}
	if (rc == 0)
		rc = ctl_call(
		    c, request(o, name, tlp), p.cert != NULL ? p.cert : "", p.cert_len, &a);
	if (rc == 0 && c->form == CLI_JSON)
		rc = ans_print(a.json);
	if (rc == 0) {
		tell_use(c, o, &p, a.json);
		tell_unknown(c, o);
	} else if (made)
		(void)unlink(p.key_path); /* it opens nothing */
	ctl_answer_fini(&a);
	pair_fini(&p);
	return rc;
}

#define O(f) offsetof(struct add_opts, f)
static const struct opt add_opts[] = {
	{ "role", 0, OPT_TEXT, "ROLE", O(role), "subscriber (the default)", "subscriber" },
	{ "tlp", 0, OPT_TEXT, "TLP", O(tlp), "the strictest marking to be seen",
	    "CLEAR GREEN AMBER AMBER+STRICT RED" },
	{ "community", 'C', OPT_LIST, "NAME", O(communities),
	    "of these (several); '*' is all", "@community" },
	{ "direct", 0, OPT_FLAG, NULL, O(direct), "also what is sent to this node alone",
	    NULL },
	{ "output", 'o', OPT_TEXT, "DIR", O(out),
	    "where key, certificate and manifest go (default: here)", "@dir" },
	{ "cert", 0, OPT_TEXT, "FILE", O(cert), "the certificate they have", "@file" },
	{ "socket", 0, OPT_TEXT, "PATH", O(socket), "a Unix socket, for a program here",
	    "@file" },
	{ NULL },
};
#undef O

const struct cmd cmd_access_add = { "access add", "NAME", "let a program read the stream",
	"    Over TLS, with a key and certificate made here (or --cert, theirs); with --socket\n"
	"    on this machine.\n",
	add_opts, sizeof(struct add_opts), 1, 1, NULL, run_add };

/* --- list, revoke -------------------------------------------------------- */

static int
run_list(struct cli *c, void *opts, char **argv, unsigned int argc)
{
	static const char *const titles[] = { "name", "role", "tlp", "communities",
		"direct", "socket", "pin", NULL };
	struct ctl_answer a;
	json_t *list, *s;
	struct table *t;
	char *names;
	size_t i;
	int rc;

	if ((rc = ctl_call(c, json_pack("{s:s}", "cmd", "access.list"), NULL, 0, &a)) != 0)
		return rc;
	if (c->form == CLI_JSON) {
		rc = ans_print(a.json);
		ctl_answer_fini(&a);
		return rc;
	}
	list = json_object_get(a.json, "access");
	t = table_new(titles);
	json_array_foreach(list, i, s) {
		table_text(t, ans_text(s, "name"));
		table_text(t, ans_text(s, "role"));
		table_text(t, ans_text(s, "tlp"));
		names = ans_join(json_object_get(s, "communities"), " ");
		table_text(t, names);
		free(names);
		table_text(t, ans_true(s, "direct") ? "yes" : "no");
		table_text(t, ans_text(s, "socket"));
		table_text(t, ans_text(s, "pin"));
	}
	table_print(t, c, stdout);
	table_free(t);
	if (json_array_size(list) == 0)
		cli_note(c, "Nobody yet: \"noroshi access add\".");
	ctl_answer_fini(&a);
	return 0;
}

const struct cmd cmd_access_list = { "access list", NULL, "who may read the stream", NULL,
	NULL, 0, 0, 0, NULL, run_list };

static int
run_revoke(struct cli *c, void *opts, char **argv, unsigned int argc)
{
	struct ctl_answer a;
	int rc;

	rc = ctl_call(c, json_pack("{s:s,s:s}", "cmd", "access.revoke", "name", argv[0]),
	    NULL, 0, &a);
	if (rc != 0)
		return rc;
	if (c->form == CLI_JSON)
		rc = ans_print(a.json);
	ctl_answer_fini(&a);
	cli_note(c, "%s: revoked; what was open is closed", argv[0]);
	return rc;
}

const struct cmd cmd_access_revoke = { "access revoke", "NAME",
	"take that away, and cut it off at once", NULL, NULL, 0, 1, 1, "@subscriber",
	run_revoke };
