/*
 * The data directory: only ever read, and never locked, so that a node can run
 * in it meanwhile.
 */
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/text.h"
#include "crypto/aead.h"
#include "tools/noroshi-fsck/fsck.h"

#define KEEPER_SLOT (128u << 10)
#define KEEPER_HEAD 24

int
dir_open(struct fsck *f)
{
	f->dirfd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f->dirfd >= 0)
		return 0;
	return errno == ENOENT || errno == ENOTDIR ? NRS_ENOTFOUND : NRS_EIO;
}

void
dir_close(struct fsck *f)
{
	if (f->dirfd >= 0)
		close(f->dirfd);
	if (f->segs != NULL)
		nrs_wipe(f->segs, f->nsegs * sizeof(*f->segs));
	free(f->segs);
	nrs_wipe(f->kek, sizeof(f->kek));
}

/* Up to len bytes at off; the number in *ret. */
static int
read_at(int fd, uint64_t off, uint8_t *p, size_t len, size_t *ret)
{
	ssize_t n;

	*ret = 0;
	while (len > 0) {
		n = pread(fd, p, len, (off_t)off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return NRS_EIO;
		if (n == 0)
			break;
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
		*ret += (size_t)n;
	}
	return 0;
}

static int
open_at(int dirfd, const char *path)
{
	return openat(dirfd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
}

static int
read_fd(int fd, uint64_t max, uint8_t **ret, size_t *ret_len)
{
	struct stat st;
	int rc;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return NRS_EIO;
	if ((uint64_t)st.st_size > max)
		return NRS_ELIMIT;
	if ((*ret = malloc((size_t)st.st_size + 1)) == NULL)
		return NRS_ENOMEM;
	if ((rc = read_at(fd, 0, *ret, (size_t)st.st_size, ret_len)) != 0) {
		free(*ret);
		*ret = NULL;
	}
	return rc;
}

int
dir_read(struct fsck *f, const char *path, uint64_t max, uint8_t **ret, size_t *ret_len)
{
	int fd = open_at(f->dirfd, path), rc;

	*ret = NULL;
	*ret_len = 0;
	if (fd < 0)
		return errno == ENOENT ? NRS_ENOTFOUND : NRS_EIO;
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	rc = read_fd(fd, max, ret, ret_len);
	close(fd);
	return rc;
}

int
dir_part(struct fsck *f, const char *path, uint64_t off, void *buf, size_t len)
{
	int fd = open_at(f->dirfd, path), rc;
	size_t got;

	if (fd < 0)
		return errno == ENOENT ? NRS_ENOTFOUND : NRS_EIO;
	rc = read_at(fd, off, buf, len, &got);
	close(fd);
	if (rc == 0 && got < len)
		rc = NRS_ETRUNC;
	return rc;
}

int
dir_size(struct fsck *f, const char *path, uint64_t *ret)
{
	struct stat st;

	if (fstatat(f->dirfd, path, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? NRS_ENOTFOUND : NRS_EIO;
	*ret = (uint64_t)st.st_size;
	return 0;
}

/* --- segments ----------------------------------------------------------------- */

static int
seg_add(struct fsck *f, uint32_t no, uint32_t file)
{
	struct seg *v = realloc(f->segs, (f->nsegs + 1) * sizeof(*v)), *s;

	if (v == NULL)
		return NRS_ENOMEM;
	f->segs = v;
	s = &v[f->nsegs++];
	memset(s, 0, sizeof(*s));
	s->no = no;
	s->file = file;
	snprintf(s->name, sizeof(s->name), "journal/%08u.nrj", (unsigned int)file);
	snprintf(s->key_name, sizeof(s->key_name), "journal/%08u.key", (unsigned int)no);
	return 0;
}

static int
compare(const void *a, const void *b)
{
	const struct seg *x = a, *y = b;

	if (x->no != y->no)
		return (x->no > y->no) - (x->no < y->no);
	return (x->file > y->file) - (x->file < y->file);
}

static int
list(struct fsck *f)
{
	int fd = openat(f->dirfd, "journal", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
	struct dirent *e;
	uint32_t no;
	DIR *d;

	if (fd < 0)
		return errno == ENOENT ? NRS_ENOTFOUND : NRS_EIO;
	if ((d = fdopendir(fd)) == NULL) {
		close(fd);
		return NRS_EIO;
	}
	while (rc == 0 && (e = readdir(d)) != NULL)
		if ((no = nrs_jwalk_name(e->d_name, "nrj")) != 0)
			rc = seg_add(f, no, no);
	closedir(d);
	return rc;
}

static bool
taken(const struct fsck *f, uint32_t no)
{
	for (uint32_t i = 0; i < f->nsegs; i++)
		if (f->segs[i].no == no && f->segs[i].file == no)
			return true;
	return false;
}

/*
 * Whose journal it is, and the order: a sound header says the number, also
 * where the file has the name of another.
 */
static int
read_headers(struct fsck *f)
{
	uint8_t head[NRS_JWALK_FIRST];
	struct nrs_hash origin;
	bool known = false;
	uint64_t size;
	uint32_t no;

	for (uint32_t i = 0; i < f->nsegs; i++) {
		struct seg *s = &f->segs[i];

		if (dir_size(f, s->name, &size) == 0)
			f->journal_bytes += size;
		if (dir_part(f, s->name, 0, head, sizeof(head)) != 0 ||
		    nrs_jwalk_header(head, sizeof(head), &no, &origin) != 0)
			continue;
		if (!known)
			f->self = origin;
		known = true;
		s->no = no;
	}
	/* a copy under a second name does not push the right one out */
	for (uint32_t i = 0; i < f->nsegs; i++)
		if (f->segs[i].no != f->segs[i].file && taken(f, f->segs[i].no))
			f->segs[i].no = f->segs[i].file;
	for (uint32_t i = 0; i < f->nsegs; i++)
		snprintf(f->segs[i].key_name, sizeof(f->segs[i].key_name),
		    "journal/%08u.key", (unsigned int)f->segs[i].no);
	return known ? 0 : NRS_ECORRUPT;
}

static int
fill_gaps(struct fsck *f)
{
	uint32_t n = f->nsegs, last = f->segs[n - 1].no, have = 0, rc = 0;

	if (last > n + 100000)
		return NRS_ECORRUPT;
	for (uint32_t no = 1; rc == 0 && no <= last; no++) {
		while (have < n && f->segs[have].no < no)
			have++;
		if (have < n && f->segs[have].no == no)
			continue;
		if (seg_add(f, no, no) != 0)
			return NRS_ENOMEM;
		f->segs[f->nsegs - 1].missing = true;
	}
	qsort(f->segs, f->nsegs, sizeof(*f->segs), compare);
	return 0;
}

int
dir_segments(struct fsck *f)
{
	int rc = list(f);

	if (rc != 0)
		return rc;
	if (f->nsegs == 0)
		return NRS_ENOTFOUND;
	rc = read_headers(f);
	qsort(f->segs, f->nsegs, sizeof(*f->segs), compare);
	return rc != 0 ? rc : fill_gaps(f);
}

/* --- is a node running in it? --------------------------------------------------- */

/* The kernel lists who holds a lock: asking that way takes none. */
bool
dir_live(struct fsck *f)
{
	unsigned int maj, min;
	unsigned long long ino;
	char line[256], kind[16];
	struct stat st;
	bool held = false;
	FILE *in;

	if (fstatat(f->dirfd, "lock", &st, AT_SYMLINK_NOFOLLOW) != 0)
		return false;
	if ((in = fopen("/proc/locks", "re")) == NULL)
		return true; /* it may be */
	while (!held && fgets(line, sizeof(line), in) != NULL)
		held = sscanf(line, "%*s %15s %*s %*s %*s %x:%x:%llu", kind, &maj, &min,
			   &ino) == 4 &&
		    strcmp(kind, "FLOCK") == 0 && maj == major(st.st_dev) &&
		    min == minor(st.st_dev) && ino == st.st_ino;
	fclose(in);
	return held;
}

/* --- keys ---------------------------------------------------------------------------- */

static int
keys_file(struct fsck *f, const char *name, size_t max, uint8_t **ret, size_t *ret_len)
{
	static const char *const where[] = { "keys", "../keys" };
	int dirfd, fd, rc = NRS_ENOTFOUND;

	*ret = NULL;
	for (size_t i = 0; i < (f->keys != NULL ? 1 : 2) && rc == NRS_ENOTFOUND; i++) {
		if (f->keys != NULL)
			dirfd = open(f->keys, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		else
			dirfd =
			    openat(f->dirfd, where[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dirfd < 0)
			continue;
		fd = open_at(dirfd, name);
		close(dirfd);
		if (fd < 0)
			continue;
		rc = read_fd(fd, max, ret, ret_len);
		close(fd);
	}
	return rc;
}

static void
seg_key(struct fsck *f, struct seg *s, bool last)
{
	struct place at = { .file = s->key_name, .index = NRS_NONE };
	uint8_t *p, wrapped[60];
	size_t len;
	int rc;

	rc = dir_read(f, s->key_name, 4096, &p, &len);
	if (rc == NRS_ENOTFOUND && last) {
		s->no_key = true; /* it may have been begun and never used */
		return;
	}
	if (rc == 0)
		rc = nrs_jwalk_key(p, len, s->no, wrapped);
	free(p);
	if (rc != 0)
		report_fault(&f->rep, F_KEY, &at, NULL, "key file is %s",
		    rc == NRS_ENOTFOUND ? "missing" : "damaged");
	else if (f->has_kek) {
		s->has_seed = nrs_seed_unwrap(f->kek, s->no, wrapped, s->seed) == 0;
		if (!s->has_seed)
			report_fault(&f->rep, F_KEK, &at, NULL,
			    "the key-encryption key does not open it");
	}
	nrs_wipe(wrapped, sizeof(wrapped));
}

void
dir_keys(struct fsck *f)
{
	uint8_t *p;
	size_t len;

	if (keys_file(f, "kek", 4096, &p, &len) == 0) {
		f->has_kek = len == sizeof(f->kek);
		if (f->has_kek)
			memcpy(f->kek, p, len);
		nrs_wipe(p, len);
	}
	free(p);
	if (!f->has_kek && f->keys != NULL && !f->rep.json)
		fprintf(stderr, "noroshi-fsck: %s: no kek there: payloads stay closed\n",
		    f->keys);
	for (uint32_t i = 0; i < f->nsegs; i++)
		seg_key(f, &f->segs[i], i + 1 == f->nsegs);
}

/* keeper.state: two slots, the one with the higher sequence holds. */
uint64_t
dir_signed(struct fsck *f)
{
	uint64_t best = 0, size = 0;
	uint8_t *p, *s;
	uint32_t len, crc;
	size_t n;

	if (keys_file(f, "keeper.state", 2 * KEEPER_SLOT, &p, &n) != 0)
		return 0;
	for (size_t off = 0; off + KEEPER_HEAD + 8 <= n; off += KEEPER_SLOT) {
		s = p + off;
		len = nrs_get_u32(s + 16);
		if (memcmp(s, "NRKS", 4) != 0 || len < 8 || len > n - off - KEEPER_HEAD)
			continue;
		crc = nrs_crc32c(nrs_crc32c(0, s, 20), s + KEEPER_HEAD, len);
		if (crc != nrs_get_u32(s + 20) || nrs_get_u64(s + 8) < best)
			continue;
		best = nrs_get_u64(s + 8);
		size = nrs_get_u64(s + KEEPER_HEAD);
	}
	free(p);
	return size == NRS_NONE ? 0 : size;
}
