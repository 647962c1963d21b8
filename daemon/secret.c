/* Which files may hold secrets, and which secrets may not be here at all. */
#include "daemon/secret.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "crypto/aead.h"
#include "crypto/digest.h"
#include "crypto/key.h"
#include "record/manifest.h"

#define PEM_FILE_MAX 16384

static int
check_private(int fd, const char *dir, const char *name, struct nrs_detail *d)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return nrs_fail(d, NRS_EIO, 0, "%s/%s: %s", dir, name, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return nrs_fail(d, NRS_EPERM, 0, "%s/%s is not a regular file", dir, name);
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return nrs_fail(
		    d, NRS_EPERM, 0, "%s/%s belongs to another user: chown it", dir, name);
	if ((st.st_mode & 077) != 0)
		return nrs_fail(
		    d, NRS_EPERM, 0, "others may read %s/%s: chmod 600 it", dir, name);
	return 0;
}

/* As much as there is, up to max + 1 bytes. */
static int
read_upto(int fd, size_t max, struct nrs_buf *b)
{
	uint8_t *p = nrs_buf_reserve(b, max + 1);
	size_t got = 0;
	ssize_t n;

	if (p == NULL)
		return b->err;
	while (got < max + 1) {
		n = read(fd, p + got, max + 1 - got);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return NRS_EIO;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	nrs_buf_grow(b, got);
	return got > max ? NRS_ELIMIT : 0;
}

/* Who may write the directory may put other keys there. */
static int
open_in(const char *dir, const char *name, struct nrs_detail *d)
{
	int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	int fd, e;

	if (dirfd < 0)
		return -1;
	if (fstat(dirfd, &st) == 0 && (st.st_mode & 022) != 0) {
		(void)nrs_fail(
		    d, NRS_EPERM, 0, "others may write into %s: chmod 700 it", dir);
		close(dirfd);
		errno = EPERM;
		return -1;
	}
	fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	e = errno;
	close(dirfd);
	errno = e;
	return fd;
}

int
secret_read(
    const char *dir, const char *name, size_t max, struct nrs_buf *b, struct nrs_detail *d)
{
	int fd, rc;

	fd = open_in(dir, name, d);
	if (fd < 0 && errno == EPERM)
		return NRS_EPERM;
	if (fd < 0 && errno == ENOENT)
		return nrs_fail(d, NRS_ENOTFOUND, 0,
		    "%s/%s is missing: restore it from the backup of the keys", dir, name);
	if (fd < 0)
		return nrs_fail(d, errno == EACCES ? NRS_EPERM : NRS_EIO, 0, "%s/%s: %s",
		    dir, name, strerror(errno));
	rc = check_private(fd, dir, name, d);
	if (rc == 0 && (rc = read_upto(fd, max, b)) != 0)
		(void)nrs_fail(d, rc, 0, "%s/%s: %s", dir, name, nrs_strerror(rc));
	close(fd);
	return rc;
}

/* A root key, judged by what the file holds and not by its name. */
static bool
is_root_key(const struct nrs_buf *b, const struct nrs_manifest *m)
{
	static const char encrypted[] = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
	struct nrs_seckey *k = NULL;
	struct nrs_pubkey pub;
	struct nrs_hash hash;
	bool root;

	if (b->len >= sizeof(encrypted) - 1 &&
	    memmem(b->p, b->len, encrypted, sizeof(encrypted) - 1) != NULL)
		return true;
	if (nrs_seckey_from_pem((const char *)b->p, b->len, NULL, &k) != 0)
		return false;
	nrs_seckey_public(k, &pub);
	nrs_seckey_free(k);
	root = memcmp(pub.pub, m->root.pub, sizeof(pub.pub)) == 0;
	if (!root && nrs_rootkey_hash(&pub, &hash) == 0)
		root = nrs_hash_eq(&hash, &m->next_root);
	return root;
}

static bool
file_is_root_key(int dirfd, const char *name, const struct nrs_manifest *m)
{
	struct nrs_buf b;
	struct stat st;
	bool root = false;
	int fd;

	fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return false;
	nrs_buf_init(&b, PEM_FILE_MAX + 1);
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= PEM_FILE_MAX &&
	    read_upto(fd, PEM_FILE_MAX, &b) == 0 && b.len > 0)
		root = is_root_key(&b, m);
	nrs_buf_wipe(&b);
	close(fd);
	return root;
}

int
secret_check_no_root(const char *dir, const struct nrs_manifest *m, struct nrs_detail *d)
{
	struct dirent *e;
	DIR *dp = opendir(dir);
	int rc = 0;

	if (dp == NULL)
		return nrs_fail(d, errno == ENOENT ? NRS_ENOTFOUND : NRS_EIO, 0,
		    "%s: %s; it must be there for the daemon's user: see node { keys, data }",
		    dir, strerror(errno));
	while (rc == 0 && (e = readdir(dp)) != NULL)
		if (file_is_root_key(dirfd(dp), e->d_name, m))
			rc = nrs_fail(d, NRS_EPERM, 0,
			    "%s/%s is a root key: move it to a place that is offline", dir,
			    e->d_name);
	closedir(dp);
	return rc;
}

int
secret_harden(void)
{
	const struct rlimit none = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return NRS_EPERM;
	return 0;
}
