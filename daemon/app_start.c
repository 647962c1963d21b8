/*
 * The steps before the loop: who we are, whose data this is, which keys may be
 * here.  Each says in the log what is wrong and how to put it right.
 */
#include <sys/file.h>
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "crypto/key.h"
#include "daemon/app_priv.h"
#include "daemon/log.h"
#include "daemon/secret.h"

#define PEM_FILE_MAX 16384

int
app_exit_code(int err)
{
	switch (err) {
	case 0:
		return EX_OK;
	case NRS_ELOCKED:
	case NRS_EBUSY:
		return EX_TEMPFAIL;
	case NRS_EIO:
	case NRS_EFULL:
	case NRS_ECORRUPT:
	case NRS_EROLLBACK:
		return EX_IOERR;
	case NRS_ENOMEM:
		return EX_OSERR;
	case NRS_EPERM:
	case NRS_EKEY:
	case NRS_ENOTFOUND:
	case NRS_EORIGIN:
	case NRS_ESYNTAX:
	case NRS_EPIN:
		return EX_CONFIG;
	default:
		return EX_SOFTWARE;
	}
}

int
app_become_user(const struct conf *c, bool allow_root)
{
	const struct passwd *pw;

	if (geteuid() != 0)
		return EX_OK;
	if (c->user[0] == '\0') {
		if (allow_root)
			return EX_OK;
		log_error("daemon",
		    "started as root: name a user in node { user = \"...\" }, or give "
		    "--allow-root");
		return EX_CONFIG;
	}
	if ((pw = getpwnam(c->user)) == NULL) {
		log_error("daemon", "there is no user \"%s\" here", c->user);
		return EX_CONFIG;
	}
	if (pw->pw_uid == 0 && allow_root)
		return EX_OK;
	if (pw->pw_uid == 0 || initgroups(pw->pw_name, pw->pw_gid) != 0 ||
	    setgid(pw->pw_gid) != 0 || setuid(pw->pw_uid) != 0 || setuid(0) == 0) {
		log_error("daemon", "cannot become user \"%s\": %s", c->user,
		    pw->pw_uid == 0 ? "it is root" : strerror(errno));
		return EX_OSERR;
	}
	return EX_OK;
}

/* The pid that the holder wrote; 0 if it did not. */
static long
lock_holder(int fd)
{
	char text[32] = "";

	if (pread(fd, text, sizeof(text) - 1, 0) <= 0)
		return 0;
	return strtol(text, NULL, 10);
}

int
app_lock_data(struct app *a)
{
	const char *data = a->conf->data;
	char path[4096], pid[32];
	int fd;

	if (mkdir(data, 0700) != 0 && errno != EEXIST) {
		log_error("daemon",
		    "%s:%u: data directory %s cannot be made: %s; make it, for the daemon's "
		    "user alone",
		    a->conf->node_where.file, a->conf->node_where.line, data,
		    strerror(errno));
		return errno == ENOENT || errno == EACCES ? EX_CONFIG : EX_IOERR;
	}
	if ((size_t)snprintf(path, sizeof(path), "%s/lock", data) >= sizeof(path))
		return EX_CONFIG;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		log_error("daemon", "%s: %s", path, strerror(errno));
		return EX_IOERR;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		log_error("daemon",
		    "data directory %s: in use by another noroshid (pid %ld); stop that first",
		    data, lock_holder(fd));
		close(fd);
		return EX_TEMPFAIL;
	}
	snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
	if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, strlen(pid), 0) < 0)
		log_warning("daemon", "%s: %s", path, strerror(errno));
	a->priv->lock_fd = fd;
	return EX_OK;
}

int
app_check_keys(struct app *a)
{
	const struct conf *c = a->conf;
	struct nrs_detail d = { 0 };
	int rc;

	if ((rc = secret_check_no_root(c->keys, &c->m, &d)) == 0)
		rc = secret_check_no_root(c->data, &c->m, &d);
	if (rc != 0)
		log_error("daemon", "%s", d.text);
	return app_exit_code(rc);
}

int
app_load_tls(struct app *a)
{
	const struct nrs_manifest *m = &a->conf->m;
	struct nrs_seckey *k = NULL;
	struct nrs_detail d = { 0 };
	struct nrs_pubkey pub;
	bool known = false;
	int rc;

	nrs_buf_init(&a->tls_pem, PEM_FILE_MAX + 1);
	rc = secret_read(a->conf->keys, "tls.pem", PEM_FILE_MAX, &a->tls_pem, &d);
	if (rc == 0 &&
	    (rc = nrs_seckey_from_pem(
		 (const char *)a->tls_pem.p, a->tls_pem.len, NULL, &k)) != 0)
		(void)nrs_fail(
		    &d, rc, 0, "%s/tls.pem is not an Ed25519 private key", a->conf->keys);
	if (rc == 0) {
		nrs_seckey_public(k, &pub);
		nrs_seckey_free(k);
		for (unsigned int i = 0; i < m->ntls; i++)
			if (memcmp(m->tls[i].pub, pub.pub, sizeof(pub.pub)) == 0)
				known = true;
		if (!known)
			rc = nrs_fail(&d, NRS_EKEY, 0,
			    "%s/tls.pem is not a key that the manifest names",
			    a->conf->keys);
	}
	if (rc != 0)
		log_error("daemon", "%s", d.text);
	return app_exit_code(rc);
}

int
app_journal_exists(const struct conf *c, bool *ret_exists)
{
	struct dirent *e;
	char path[4096];
	DIR *dp;

	*ret_exists = false;
	if ((size_t)snprintf(path, sizeof(path), "%s/journal", c->data) >= sizeof(path))
		return EX_CONFIG;
	if ((dp = opendir(path)) == NULL) {
		if (errno == ENOENT)
			return EX_OK;
		log_error("daemon", "%s: %s", path, strerror(errno));
		return EX_IOERR;
	}
	while ((e = readdir(dp)) != NULL)
		if (strlen(e->d_name) > 4 &&
		    strcmp(e->d_name + strlen(e->d_name) - 4, ".nrj") == 0)
			*ret_exists = true;
	closedir(dp);
	return EX_OK;
}
