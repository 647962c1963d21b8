/* noroshid: what the command line means. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "daemon/app.h"

#define DEFAULT_CONF "/etc/noroshi/noroshi.conf"

enum { OPT_ALLOW_ROOT = 256, OPT_CONF_MAN };

static const struct option options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "check", no_argument, NULL, 'n' },
	{ "allow-root", no_argument, NULL, OPT_ALLOW_ROOT },
	{ "version", no_argument, NULL, 'V' },
	{ "help", no_argument, NULL, 'h' },
	{ "conf-man", no_argument, NULL, OPT_CONF_MAN },
	{ NULL, 0, NULL, 0 },
};

static void
usage(FILE *fp)
{
	fputs(
	    "usage: noroshid [-hnV] [-c FILE] [--allow-root]\n"
	    "\n"
	    "  -c, --config FILE   configuration (" DEFAULT_CONF ")\n"
	    "  -n, --check         check it, print it in canonical form, and end\n"
	    "      --allow-root    run as root although no user is configured\n"
	    "      --conf-man      print the options of the configuration for a manual page\n"
	    "  -V, --version       print the version\n"
	    "  -h, --help          print this\n"
	    "\n"
	    "It stays in the foreground. SIGHUP reloads the configuration, SIGTERM drains and\n"
	    "ends. Status: 0 ended as told, 64 usage, 70 internal, 74 input/output, 75 in use,\n"
	    "78 configuration. See noroshid(8) and noroshi.conf(5).\n",
	    fp);
}

static int
put_out(struct nrs_buf *b, int rc)
{
	if (rc == 0 && fwrite(b->p, 1, b->len, stdout) != b->len)
		rc = NRS_EIO;
	if (fflush(stdout) != 0)
		rc = NRS_EIO;
	nrs_buf_fini(b);
	return rc == 0 ? EX_OK : EX_IOERR;
}

static int
print_man(void)
{
	struct nrs_buf b;

	nrs_buf_init(&b, 1u << 20);
	return put_out(&b, conf_print_man(&b));
}

static int
print_conf(struct conf *c)
{
	struct nrs_buf b;
	int rc;

	nrs_buf_init(&b, 64u << 20);
	rc = conf_print(c, &b);
	conf_free(c);
	return put_out(&b, rc);
}

static int
run(const char *path, bool check, bool allow_root)
{
	struct conf_err e;
	struct conf *c;
	int rc = conf_load(path, &c, &e);

	fputs(e.warn, stderr);
	if (rc != 0) {
		fputs(e.text, stderr);
		fprintf(
		    stderr, "noroshid: %s: %u error%s\n", path, e.n, e.n == 1 ? "" : "s");
		return rc == NRS_ENOMEM ? EX_OSERR : EX_CONFIG;
	}
	return check ? print_conf(c) : app_run(c, allow_root);
}

int
main(int argc, char **argv)
{
	const char *path = DEFAULT_CONF;
	bool check = false, allow_root = false;
	int opt;

	while ((opt = getopt_long(argc, argv, "c:hnV", options, NULL)) != -1) {
		switch (opt) {
		case 'c':
			path = optarg;
			break;
		case 'n':
			check = true;
			break;
		case OPT_ALLOW_ROOT:
			allow_root = true;
			break;
		case 'V':
			puts("noroshid " NRS_VERSION);
			return EX_OK;
		case 'h':
			usage(stdout);
			return EX_OK;
		case OPT_CONF_MAN:
			return print_man();
		default:
			usage(stderr);
			return EX_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "noroshid: \"%s\" is not understood\n", argv[optind]);
		usage(stderr);
		return EX_USAGE;
	}
	return run(path, check, allow_root);
}
