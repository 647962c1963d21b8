/*
 * The keeper's memory on disk.  It decides nothing about what a signature
 * means: only that a number never goes back, and that a crash never makes it.
 */
#include "daemon/keeper_state.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/crc32c.h"
#include "crypto/digest.h"

#define SLOT_HEAD  24
#define LOCK_TRIES 60 /* of 50 ms: a keeper whose daemon was killed is about to end */

static const char magic[4] = "NRKS";

static void
put_entry(uint8_t **p, const struct keeper_entry *e, bool id)
{
	if (id) {
		memcpy(*p, e->id.b, NRS_HASH_LEN);
		*p += NRS_HASH_LEN;
	}
	nrs_put_u64(*p, e->n);
	memcpy(*p + 8, e->hash.b, NRS_HASH_LEN);
	*p += 8 + NRS_HASH_LEN;
}

static void
put_table(uint8_t **p, const struct keeper_table *t)
{
	nrs_put_u32(*p, t->n);
	*p += 4;
	for (unsigned int i = 0; i < t->n; i++)
		put_entry(p, &t->v[i], true);
}

/* Encodes with the next sequence number; the length. */
static size_t
encode(struct keeper_state *st, uint64_t sequence)
{
	uint8_t *p = st->slot + SLOT_HEAD;
	uint32_t crc;
	size_t len;

	put_entry(&p, &st->own, false);
	put_table(&p, &st->communities);
	put_table(&p, &st->cosigned);
	len = (size_t)(p - st->slot);
	memcpy(st->slot, magic, sizeof(magic));
	nrs_put_u32(st->slot + 4, 1);
	nrs_put_u64(st->slot + 8, sequence);
	nrs_put_u32(st->slot + 16, (uint32_t)(len - SLOT_HEAD));
	crc = nrs_crc32c(0, st->slot, 20);
	crc = nrs_crc32c(crc, st->slot + SLOT_HEAD, len - SLOT_HEAD);
	nrs_put_u32(st->slot + 20, crc);
	return len;
}

static int
pwrite_all(int fd, const uint8_t *p, size_t len, off_t off)
{
	while (len > 0) {
		ssize_t n = pwrite(fd, p, len, off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 && errno == ENOSPC ? NRS_EFULL : NRS_EIO;
		p += n;
		off += n;
		len -= (size_t)n;
	}
	return 0;
}

/*
 * The slot that is not in use is written: the other stays good whatever happens.
 * The disk begins at once, and the caller may do something else meanwhile.
 */
static int
write_slot(struct keeper_state *st)
{
	uint64_t sequence = st->sequence + 1;
	off_t off = (off_t)(sequence % 2 * KEEPER_SLOT_LEN);
	size_t len = encode(st, sequence);
	int err;

	if (st->broken)
		return NRS_EIO;
	err = pwrite_all(st->fd, st->slot, len, off);
	st->broken = err == NRS_EIO;
	if (err != 0)
		return err;
	st->unsynced = true;
	/* only a beginning: what is durable is decided by keeper_state_sync() */
	(void)sync_file_range(st->fd, off, (off_t)len, SYNC_FILE_RANGE_WRITE);
	return 0;
}

int
keeper_state_sync(struct keeper_state *st)
{
	if (st->broken)
		return NRS_EIO;
	if (!st->unsynced)
		return 0;
	if (fdatasync(st->fd) != 0) {
		st->broken = true;
		return NRS_EIO;
	}
	st->unsynced = false;
	st->sequence++;
	return 0;
}

static int
save(struct keeper_state *st)
{
	int err = write_slot(st);

	return err == 0 ? keeper_state_sync(st) : err;
}

static void
read_table(struct nrs_rd *r, struct keeper_table *t)
{
	unsigned int n = nrs_rd_u32(r);

	if (r->err == 0 && n > KEEPER_ENTRIES_MAX)
		r->err = NRS_ELIMIT;
	for (t->n = 0; r->err == 0 && t->n < n; t->n++) {
		nrs_rd_hash(r, &t->v[t->n].id);
		t->v[t->n].n = nrs_rd_u64(r);
		nrs_rd_hash(r, &t->v[t->n].hash);
	}
}

/* Sequence of a valid slot, or 0. */
static uint64_t
slot_check(const uint8_t *p, size_t len)
{
	uint32_t n, crc;

	if (len < SLOT_HEAD || memcmp(p, magic, sizeof(magic)) != 0 ||
	    nrs_get_u32(p + 4) != 1)
		return 0;
	n = nrs_get_u32(p + 16);
	if (n > len - SLOT_HEAD)
		return 0;
	crc = nrs_crc32c(0, p, 20);
	crc = nrs_crc32c(crc, p + SLOT_HEAD, n);
	return crc == nrs_get_u32(p + 20) ? nrs_get_u64(p + 8) : 0;
}

static int
decode(struct keeper_state *st, const uint8_t *p)
{
	struct nrs_rd r;

	nrs_rd_init(&r, p + SLOT_HEAD, nrs_get_u32(p + 16));
	st->own.n = nrs_rd_u64(&r);
	nrs_rd_hash(&r, &st->own.hash);
	read_table(&r, &st->communities);
	read_table(&r, &st->cosigned);
	if (nrs_rd_end(&r) != 0 || st->communities.n + st->cosigned.n > KEEPER_ENTRIES_MAX)
		return NRS_ECORRUPT;
	st->sequence = nrs_get_u64(p + 8);
	return 0;
}

/* All there is: a newest slot read in part would let the older one count. */
static int
pread_all(int fd, uint8_t *p, size_t len, size_t *ret_len)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = pread(fd, p + got, len - got, (off_t)got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return NRS_EIO;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	*ret_len = got;
	return 0;
}

static int
load(struct keeper_state *st, struct nrs_detail *d)
{
	uint8_t *both = calloc(2, KEEPER_SLOT_LEN);
	uint64_t seq[2];
	size_t len[2], n;
	int rc;

	if (both == NULL)
		return NRS_ENOMEM;
	if (pread_all(st->fd, both, 2 * (size_t)KEEPER_SLOT_LEN, &n) != 0) {
		free(both);
		return nrs_fail(d, NRS_EIO, 0, "keeper.state: %s", strerror(errno));
	}
	len[0] = n < KEEPER_SLOT_LEN ? n : KEEPER_SLOT_LEN;
	len[1] = n - len[0];
	for (unsigned int i = 0; i < 2; i++) {
		seq[i] = slot_check(both + i * (size_t)KEEPER_SLOT_LEN, len[i]);
		if (seq[i] % 2 != i) /* the other slot's */
			seq[i] = 0;
	}
	if (seq[0] == 0 && seq[1] == 0)
		rc = NRS_ECORRUPT;
	else
		rc = decode(st, both + (seq[1] > seq[0] ? (size_t)KEEPER_SLOT_LEN : 0));
	free(both);
	if (rc != 0)
		return nrs_fail(d, rc, 0,
		    "keeper.state is damaged: restore it from a backup, or the log could be "
		    "signed twice");
	return 0;
}

/* The name appears only with a good slot behind it. */
static int
create(struct keeper_state *st, int dirfd, struct nrs_detail *d)
{
	static const char tmp[] = "keeper.state.new";
	int err;

	st->fd = openat(dirfd, tmp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (st->fd < 0)
		return nrs_fail(d, NRS_EIO, 0, "keeper.state: %s", strerror(errno));
	/* Room for both slots now, so that a full disk is seen here and not later. */
	if ((err = posix_fallocate(st->fd, 0, 2 * (off_t)KEEPER_SLOT_LEN)) == ENOSPC)
		return nrs_fail(d, NRS_EFULL, 0, "no space for keeper.state");
	st->own.n = NRS_NONE;
	if ((err = save(st)) != 0)
		return nrs_fail(d, err, 0, "keeper.state cannot be written");
	if (flock(st->fd, LOCK_EX | LOCK_NB) != 0 ||
	    renameat(dirfd, tmp, dirfd, "keeper.state") != 0 || fsync(dirfd) != 0)
		return nrs_fail(d, NRS_EIO, 0, "keeper.state: %s", strerror(errno));
	return 0;
}

static int
lock_file(int fd, struct nrs_detail *d)
{
	const struct timespec nap = { .tv_nsec = 50000000 };

	for (unsigned int i = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; i++) {
		if (errno != EWOULDBLOCK)
			return nrs_fail(d, NRS_EIO, 0, "keeper.state: %s", strerror(errno));
		if (i == LOCK_TRIES)
			return nrs_fail(
			    d, NRS_ELOCKED, 0, "another keeper holds these keys");
		nanosleep(&nap, NULL);
	}
	return 0;
}

int
keeper_state_open(struct keeper_state *st, const char *dir, struct nrs_detail *d)
{
	int dirfd, rc;

	memset(st, 0, sizeof(*st));
	st->fd = -1;
	st->slot = calloc(1, KEEPER_SLOT_LEN);
	st->communities.v = calloc(KEEPER_ENTRIES_MAX, sizeof(*st->communities.v));
	st->cosigned.v = calloc(KEEPER_ENTRIES_MAX, sizeof(*st->cosigned.v));
	if (st->slot == NULL || st->communities.v == NULL || st->cosigned.v == NULL) {
		keeper_state_fini(st);
		return NRS_ENOMEM;
	}
	dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0) {
		rc = nrs_fail(d, NRS_EIO, 0, "%s: %s", dir, strerror(errno));
		goto out;
	}
	st->fd = openat(dirfd, "keeper.state", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (st->fd >= 0) {
		rc = lock_file(st->fd, d);
		if (rc == 0)
			rc = load(st, d);
	} else if (errno == ENOENT) {
		rc = create(st, dirfd, d);
	} else {
		rc = nrs_fail(d, NRS_EIO, 0, "keeper.state: %s", strerror(errno));
	}
	close(dirfd);
out:
	if (rc != 0)
		keeper_state_fini(st);
	return rc;
}

void
keeper_state_fini(struct keeper_state *st)
{
	if (st->fd >= 0)
		close(st->fd);
	free(st->slot);
	free(st->communities.v);
	free(st->cosigned.v);
	memset(st, 0, sizeof(*st));
	st->fd = -1;
}

/* Takes the value over, or leaves the entry as it was. */
static int
entry_advance(struct keeper_state *st, struct keeper_entry *e, bool fresh, uint64_t n,
    const struct nrs_hash *hash, int (*keep)(struct keeper_state *st))
{
	struct keeper_entry before = *e;
	int err;

	if (!fresh && n < e->n)
		return NRS_EROLLBACK;
	if (!fresh && n == e->n)
		return nrs_hash_eq(&e->hash, hash) ? 0 : NRS_EFORK;
	e->n = n;
	e->hash = *hash;
	if ((err = keep(st)) != 0)
		*e = before;
	return err;
}

int
keeper_state_own(struct keeper_state *st, uint64_t n, const struct nrs_hash *hash)
{
	int err = keeper_state_own_begin(st, n, hash);

	return err == 0 ? keeper_state_sync(st) : err;
}

int
keeper_state_own_begin(struct keeper_state *st, uint64_t n, const struct nrs_hash *hash)
{
	if (n == NRS_NONE)
		return NRS_ERANGE;
	return entry_advance(st, &st->own, st->own.n == NRS_NONE, n, hash, write_slot);
}

int
keeper_state_advance(struct keeper_state *st, struct keeper_table *t,
    const struct nrs_hash *id, uint64_t n, const struct nrs_hash *hash)
{
	int err;

	for (unsigned int i = 0; i < t->n; i++)
		if (nrs_hash_eq(&t->v[i].id, id))
			return entry_advance(st, &t->v[i], false, n, hash, save);
	if (st->communities.n + st->cosigned.n >= KEEPER_ENTRIES_MAX)
		return NRS_ELIMIT;
	t->v[t->n].id = *id;
	t->n++;
	if ((err = entry_advance(st, &t->v[t->n - 1], true, n, hash, save)) != 0)
		t->n--;
	return err;
}
