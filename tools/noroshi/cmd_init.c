/*
 * noroshi init: a new origin.  Makes its keys, its manifest 0 signed by the
 * root key, and the directory of its node.  The root key leaves encrypted, to
 * a place of its own; it never stands beside the keys the daemon uses.
 */
#include "tools/noroshi/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/text.h"
#include "crypto/key.h"
#include "crypto/note.h"
#include "record/manifest.h"
#include "tools/noroshi/ask.h"
#include "tools/noroshi/init_dir.h"
#include "tools/noroshi/when.h"

#define PASS_MIN 12
#define PASS_MAX 1024
#define KEK_LEN	 32

struct init_opts {
	const char *origin;
	const char *listen;
	struct opt_list addresses;
	const char *root_out;
	const char *pass_file;
};

enum { KEY_ROOT, KEY_FEED, KEY_LOG, KEY_WITNESS, KEY_TLS, KEY__MAX };

static const char *const key_files[KEY__MAX] = {
	[KEY_FEED] = "keys/feed.pem",
	[KEY_LOG] = "keys/log.pem",
	[KEY_WITNESS] = "keys/witness.pem",
	[KEY_TLS] = "keys/tls.pem",
};

struct init {
	const struct cli *c;
	const struct init_opts *o;
	const char *dir;
	char *root_out;
	char pass[PASS_MAX];
	struct nrs_seckey *keys[KEY__MAX];
	struct nrs_manifest m;
	struct nrs_buf note;
	struct init_dir made;
};

/* --- what is asked for ------------------------------------------------- */

static bool
is_wildcard(const char *host)
{
	return *host == '\0' || strcmp(host, "*") == 0 || strcmp(host, "0.0.0.0") == 0 ||
	    strcmp(host, "::") == 0;
}

/* *ret_any: it names no address that a peer could dial. */
static int
check_listen(const struct cli *c, const char *s, bool *ret_any)
{
	char host[NRS_ORIGIN_MAX + 1];
	uint16_t port;
	char *text;
	int rc;

	if (s[0] == ':' || strncmp(s, "*:", 2) == 0)
		text = cli_fmt("0.0.0.0%s", s + (s[0] == '*'));
	else
		text = cli_strdup(s);
	rc = nrs_addr_parse(text, strlen(text), host, &port);
	free(text);
	if (rc != 0)
		return cli_usage(c,
		    "An example: --listen '*:7373', or --listen 192.0.2.1:7373",
		    "--listen %s: not ADDR:PORT", s);
	*ret_any = is_wildcard(host);
	return 0;
}

static int
add_address(struct init *in, const char *s)
{
	struct nrs_manifest *m = &in->m;
	char host[NRS_ORIGIN_MAX + 1];
	uint16_t port;

	if (nrs_addr_parse(s, strlen(s), host, &port) != 0 ||
	    strlen(s) >= sizeof(m->addr[0]) || is_wildcard(host))
		return cli_usage(in->c,
		    "An example: --address noroshi.cert.example.jp:7373",
		    "--address %s: not HOST:PORT that a peer could connect to", s);
	if (m->naddr == NRS_ADDRS_MAX)
		return cli_usage(in->c, NULL, "at most %d addresses", NRS_ADDRS_MAX);
	for (unsigned int i = 0; i < m->naddr; i++)
		if (strcmp(m->addr[i], s) == 0)
			return cli_usage(in->c, NULL, "--address %s is given twice", s);
	strcpy(m->addr[m->naddr++], s);
	return 0;
}

static int
check_opts(struct init *in)
{
	const struct init_opts *o = in->o;
	bool any = true;
	char *conf;
	int rc;

	if (o->origin == NULL)
		return cli_usage(in->c,
		    "The name of the CERT, like a host: --origin cert.example.jp",
		    "--origin is missing");
	if (!nrs_origin_ok(o->origin, strlen(o->origin)))
		return cli_usage(in->c,
		    "Lower-case letters, digits and hyphens, with at least one dot.",
		    "--origin %s: not a name like cert.example.jp", o->origin);
	if (o->listen != NULL && (rc = check_listen(in->c, o->listen, &any)) != 0)
		return rc;
	for (unsigned int i = 0; i < o->addresses.n; i++)
		if ((rc = add_address(in, o->addresses.v[i])) != 0)
			return rc;
	if (o->addresses.n == 0 && !any && (rc = add_address(in, o->listen)) != 0)
		return rc;
	conf = cli_fmt("%s/noroshi.conf", in->dir);
	rc = access(conf, F_OK) == 0
	    ? cli_fail(in->c, CLI_CONF, "exists", "there is a node already",
		  "Choose another directory: an origin's keys are made once.", "%s", conf)
	    : 0;
	free(conf);
	return rc;
}

/* --- the passphrase of the root key ------------------------------------ */

static int
check_pass(const struct init *in)
{
	if (strlen(in->pass) >= PASS_MIN)
		return 0;
	return cli_fail(in->c, CLI_DATA, "passphrase", NULL,
	    "It guards the one key that can replace all others.",
	    "the passphrase has fewer than %d characters", PASS_MIN);
}

/* The first line of the file. */
static int
read_pass(struct init *in)
{
	int fd = open(in->o->pass_file, O_RDONLY | O_CLOEXEC);
	struct stat st;
	ssize_t n;
	char *nl;

	if (fd < 0)
		return cli_fail_errno(in->c, NULL, "cannot open %s", in->o->pass_file);
	n = read(fd, in->pass, sizeof(in->pass) - 1);
	if (fstat(fd, &st) == 0 && (st.st_mode & 077) != 0)
		cli_note(
		    in->c, "noroshi: others may read %s: chmod 600 it", in->o->pass_file);
	close(fd);
	if (n < 0)
		return cli_fail_errno(in->c, NULL, "cannot read %s", in->o->pass_file);
	in->pass[n] = '\0';
	if ((nl = strpbrk(in->pass, "\r\n")) != NULL)
		*nl = '\0';
	return check_pass(in);
}

static int
get_pass(struct init *in)
{
	char again[PASS_MAX];
	int rc = 0;

	if (in->o->pass_file != NULL)
		return read_pass(in);
	if (!ask_possible() ||
	    !ask_secret("Passphrase for the root key: ", in->pass, sizeof(in->pass)))
		return cli_usage(in->c,
		    "Run it at a terminal, or give a file of mode 0600 with\n"
		    "--root-passphrase-file FILE.",
		    "the root key needs a passphrase, and there is nobody to type it");
	if ((rc = check_pass(in)) != 0)
		return rc;
	if (!ask_secret("Again: ", again, sizeof(again)) || strcmp(in->pass, again) != 0)
		rc = cli_fail(in->c, CLI_DATA, "passphrase", NULL, "Nothing was made.",
		    "the two passphrases differ");
	explicit_bzero(again, sizeof(again));
	return rc;
}

/* --- keys and manifest ------------------------------------------------- */

static int
fail_lib(const struct init *in, int rc, const char *what)
{
	return cli_fail(in->c, rc == NRS_ENOMEM ? CLI_LATER : CLI_IO, nrs_errname(rc),
	    nrs_strerror(rc), NULL, "%s", what);
}

static int
make_keys(struct init *in)
{
	int rc;

	for (int i = 0; i < KEY__MAX; i++)
		if ((rc = nrs_seckey_generate(&in->keys[i])) != 0)
			return fail_lib(in, rc, "cannot make a key");
	return 0;
}

static int
sign_manifest(struct init *in)
{
	char name[NRS_ORIGIN_MAX + 8];
	uint8_t sig[NRS_ED25519_SIG], id[4];
	size_t text_len = in->note.len;
	int rc;

	snprintf(name, sizeof(name), "%s/root", in->m.origin);
	if ((rc = nrs_seckey_sign(in->keys[KEY_ROOT], in->note.p, text_len, sig)) != 0 ||
	    (rc = nrs_note_keyid(name, NRS_NOTE_ED25519, in->m.root.pub, id)) != 0)
		return rc;
	nrs_buf_u8(&in->note, '\n');
	nrs_note_add_sig(&in->note, name, id, sig, sizeof(sig));
	return in->note.err;
}

/* Made, and then read back as every peer will read it. */
static int
make_manifest(struct init *in)
{
	struct nrs_manifest *m = &in->m;
	struct nrs_detail d = { 0 };
	int rc;

	strcpy(m->origin, in->o->origin);
	m->created.ms = when_now().ms / 1000 * 1000;
	nrs_seckey_public(in->keys[KEY_ROOT], &m->root);
	nrs_seckey_public(in->keys[KEY_FEED], &m->feed);
	nrs_seckey_public(in->keys[KEY_LOG], &m->log);
	nrs_seckey_public(in->keys[KEY_WITNESS], &m->witness);
	nrs_seckey_public(in->keys[KEY_TLS], &m->tls[0]);
	m->ntls = 1;
	m->require_ed25519 = true;
	if ((rc = nrs_rootkey_hash(&m->root, &m->next_root)) != 0 ||
	    (rc = nrs_manifest_format(&in->note, m)) != 0 ||
	    (rc = sign_manifest(in)) != 0 ||
	    (rc = nrs_manifest_open(m, in->note.p, in->note.len, NULL, nrs_verify, &d)) !=
		0)
		return fail_lib(
		    in, rc, d.text[0] != '\0' ? d.text : "cannot make the manifest");
	return 0;
}

/* --- the directory ----------------------------------------------------- */

static int
put_file(struct init *in, const char *rel, mode_t mode, const void *data, size_t len)
{
	char *path = cli_fmt("%s/%s", in->dir, rel);
	int rc = init_file(&in->made, path, mode, data, len);

	free(path);
	return rc;
}

static int
put_key(struct init *in, int which, const char *path, const char *pass)
{
	char *pem = NULL;
	size_t len;
	int rc;

	if ((rc = nrs_seckey_to_pem(in->keys[which], pass, &pem, &len)) != 0)
		return fail_lib(in, rc, "cannot encode a key");
	if (path != NULL)
		rc = init_file(&in->made, path, 0600, pem, len);
	else
		rc = put_file(in, key_files[which], 0600, pem, len);
	explicit_bzero(pem, len);
	free(pem);
	return rc;
}

static int
put_kek(struct init *in)
{
	uint8_t kek[KEK_LEN];
	int rc;

	if (getrandom(kek, sizeof(kek), 0) != (ssize_t)sizeof(kek))
		return cli_fail_errno(in->c, NULL, "cannot get random bytes");
	rc = put_file(in, "keys/kek", 0600, kek, sizeof(kek));
	explicit_bzero(kek, sizeof(kek));
	return rc;
}

static int
put_conf(struct init *in)
{
	struct nrs_buf b;
	int rc;

	nrs_buf_init(&b, 65536);
	nrs_buf_fmt(&b,
	    "# The node of %s. noroshi.conf(5) tells every option and its default.\n"
	    "# Paths are relative to this file. \"noroshid -n -c FILE\" checks it;\n"
	    "# \"noroshi reload\" takes changes into force.\n\n"
	    "node {\n"
	    "\torigin = \"%s\"\n"
	    "\tmanifest = \"manifest\"\n"
	    "\tdata = \"data\"\n"
	    "\tkeys = \"keys\"\n"
	    "\tcontrol = \"control.sock\"\n"
	    "\t# user = \"noroshi\"             # to become, when started as root\n"
	    "\t# operators = {\"alice\"}         # who else may do everything\n"
	    "\t# submitters = {\"@analysts\"}    # ... submit and read; @ is a group\n"
	    "\t# readers = {\"soc\"}             # ... read\n"
	    "}\n\n",
	    in->m.origin, in->m.origin);
	if (in->o->listen != NULL)
		nrs_buf_fmt(&b, "listen \"%s\" {\n}\n\n", in->o->listen);
	else
		nrs_buf_str(&b,
		    "# Without this, the node dials its peers and none can dial it.\n"
		    "# listen \"*:7373\" {\n# }\n\n");
	nrs_buf_str(&b,
	    "# \"noroshi peer accept\" writes one file for each peer.\n"
	    "include(\"conf.d/*.conf\")\n");
	rc = b.err != 0 ? fail_lib(in, b.err, "cannot make the configuration")
			: put_file(in, "noroshi.conf", 0644, b.p, b.len);
	nrs_buf_fini(&b);
	return rc;
}

static bool
path_within(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* Is the root key's place one that the daemon works in? */
static int
check_root_place(const struct init *in)
{
	static const char *const subs[] = { "data", "keys" };
	char *copy = cli_strdup(in->root_out), *slash = strrchr(copy, '/');
	char parent[PATH_MAX], inside[PATH_MAX];
	char *sub;
	int rc = 0;

	if (slash != NULL)
		slash[slash == copy] = '\0';
	if (realpath(slash != NULL ? copy : ".", parent) == NULL)
		rc = cli_fail_errno(in->c, "Name another place with --root-out FILE.",
		    "cannot put the root key at %s", in->root_out);
	for (int i = 0; i < 2 && rc == 0; i++) {
		sub = cli_fmt("%s/%s", in->dir, subs[i]);
		if (realpath(sub, inside) != NULL && path_within(parent, inside))
			rc = cli_usage(in->c,
			    "Name a place away from the node, best on a medium you can lock away.",
			    "--root-out %s: the root key may not stay in %s", in->root_out,
			    sub);
		free(sub);
	}
	free(copy);
	return rc;
}

static int
make_dirs(struct init *in)
{
	static const char *const subs[] = { "keys", "data", "conf.d", "peers" };
	char *path;
	int rc = init_mkdir(&in->made, in->dir, true);

	for (size_t i = 0; i < sizeof(subs) / sizeof(subs[0]) && rc == 0; i++) {
		path = cli_fmt("%s/%s", in->dir, subs[i]);
		rc = init_mkdir(&in->made, path, false);
		free(path);
	}
	return rc;
}

/* The configuration comes last: what has one is complete. */
static int
make_all(struct init *in)
{
	int rc;

	if ((rc = make_dirs(in)) != 0 || (rc = check_root_place(in)) != 0 ||
	    (rc = make_keys(in)) != 0 || (rc = make_manifest(in)) != 0 ||
	    (rc = put_key(in, KEY_ROOT, in->root_out, in->pass)) != 0)
		return rc;
	for (int i = KEY_FEED; i < KEY__MAX; i++)
		if ((rc = put_key(in, i, NULL, NULL)) != 0)
			return rc;
	if ((rc = put_kek(in)) != 0 ||
	    (rc = put_file(in, "manifest", 0644, in->note.p, in->note.len)) != 0 ||
	    (rc = put_conf(in)) != 0)
		return rc;
	return init_sync(&in->made);
}

static int
report(const struct init *in)
{
	char fp[25];
	json_t *o;

	nrs_fingerprint_format(fp, &in->m.hash);
	if (in->c->form == CLI_JSON) {
		o = json_pack("{s:s,s:s,s:s,s:s}", "origin", in->m.origin, "fingerprint",
		    fp, "dir", in->dir, "root_key", in->root_out);
		if (o == NULL || json_dumpf(o, stdout, JSON_COMPACT) != 0)
			cli_oom();
		putchar('\n');
		json_decref(o);
		return 0;
	}
	printf("%s\n", fp);
	cli_note(in->c,
	    "\n%s is %s. The line above is its fingerprint: peers ask for it.\n"
	    "Next:\n"
	    "  move %s to a place that is not this machine, and keep its passphrase;\n"
	    "  start the node:     noroshid -c %s/noroshi.conf\n"
	    "  make an invite:     noroshi -S %s/control.sock peer invite -o invite",
	    in->dir, in->m.origin, in->root_out, in->dir, in->dir);
	if (in->m.naddr == 0)
		cli_note(in->c,
		    "The manifest names no address: peers cannot dial this node unless you tell\n"
		    "them one. (--address HOST:PORT puts one into a manifest.)");
	return 0;
}

static int
run_init(struct cli *c, void *opts, char **argv, unsigned int argc)
{
	struct init in = { .c = c, .o = opts, .made = { .c = c } };
	struct init_opts *o = opts;
	size_t len = strlen(argv[0]);
	int rc;

	while (len > 1 && argv[0][len - 1] == '/')
		argv[0][--len] = '\0';
	if (o->listen != NULL && strcmp(o->listen, "0") == 0)
		o->listen = NULL;
	in.dir = argv[0];
	nrs_buf_init(&in.note, NRS_NOTE_MAX);
	if ((rc = check_opts(&in)) != 0)
		goto out;
	in.root_out = o->root_out != NULL ? cli_strdup(o->root_out)
					  : cli_fmt("./%s-root.pem", o->origin);
	if ((rc = get_pass(&in)) == 0)
		rc = make_all(&in);
	init_end(&in.made, rc == 0);
	if (rc == 0)
		rc = report(&in);
out:
	explicit_bzero(in.pass, sizeof(in.pass));
	for (int i = 0; i < KEY__MAX; i++)
		nrs_seckey_free(in.keys[i]);
	nrs_buf_fini(&in.note);
	free(in.root_out);
	return rc;
}

#define O(f) offsetof(struct init_opts, f)
static const struct opt init_opts[] = {
	{ "origin", 0, OPT_TEXT, "NAME", O(origin), "who this is, like cert.example.jp",
	    NULL },
	{ "listen", 0, OPT_TEXT, "ADDR:PORT", O(listen), "where peers connect", NULL },
	{ "address", 0, OPT_LIST, "HOST:PORT", O(addresses),
	    "what peers dial (several; default: --listen)", NULL },
	{ "root-out", 0, OPT_TEXT, "FILE", O(root_out),
	    "for the root key (default: ./NAME-root.pem)", "@file" },
	{ "root-passphrase-file", 0, OPT_TEXT, "FILE", O(pass_file),
	    "its first line is the passphrase", "@file" },
	{ NULL },
};
#undef O

const struct cmd cmd_init = { "init", "DIR",
	"make the keys, manifest and directory of a node",
	"    Asks for the root key's passphrase twice; prints the fingerprint. The root key\n"
	"    is the identity of the origin: keep it off this machine.\n",
	init_opts, sizeof(struct init_opts), 1, 1, "@dir", run_init };
