/*
 * A disk of files and names, each with what the programs see and what the
 * medium holds.  A crash decides for every 512-byte sector that was not synced,
 * every size and every name by itself whether the new or the old is there.
 *
 * A sector is written whole or not at all, as drives promise, so one that
 * shares synced bytes with newer ones is the old or the new; one that was never
 * synced before is zeros where it is lost.  Caches, which are not the truth, must
 * bear worse: there any sector that was being rewritten may be zeros.
 */
#include <stdlib.h>
#include <string.h>

#include "sim.h"

#define SECTOR	 512
#define DISK_MAX (64u << 20) /* one file; nothing in a simulation is that large */

struct inode {
	uint8_t *cur; /* cap bytes, zeros beyond len */
	uint8_t *dur;
	uint8_t *dirty; /* per sector */
	size_t cap;
	size_t len, dlen;
	bool len_dirty;
	bool dir;
	bool cache; /* what is rewritten here may come out as zeros */
	unsigned int ndirty;
};

struct name {
	char path[96];
	struct inode *live; /* NULL: not there */
	struct inode *dur;
	uint64_t op; /* of the last change; names changed by one op share its fate */
	bool dirty;
};

struct handle {
	struct inode *ino;
	char path[96];
	bool closed;
};

struct disk {
	struct rng *rng;
	struct inode **inodes;
	size_t ninodes;
	struct name *names;
	size_t nnames;
	struct handle *handles;
	size_t nhandles;
	uint64_t op;
	bool full;
	bool eio;
	bool eio_hit;
};

static void *
xrealloc(void *p, size_t n)
{
	p = realloc(p, n);
	if (p == NULL)
		abort();
	return p;
}

static struct inode *
inode_new(struct disk *d, bool dir)
{
	struct inode *i = calloc(1, sizeof(*i));

	if (i == NULL)
		abort();
	i->dir = dir;
	d->inodes = xrealloc(d->inodes, (d->ninodes + 1) * sizeof(*d->inodes));
	d->inodes[d->ninodes++] = i;
	return i;
}

static void
inode_free(struct inode *i)
{
	free(i->cur);
	free(i->dur);
	free(i->dirty);
	free(i);
}

static void
inode_room(struct inode *i, size_t len)
{
	size_t cap = i->cap > 0 ? i->cap : 4096;

	if (len <= i->cap)
		return;
	while (cap < len)
		cap *= 2;
	i->cur = xrealloc(i->cur, cap);
	i->dur = xrealloc(i->dur, cap);
	i->dirty = xrealloc(i->dirty, cap / SECTOR);
	memset(i->cur + i->cap, 0, cap - i->cap);
	memset(i->dur + i->cap, 0, cap - i->cap);
	memset(i->dirty + i->cap / SECTOR, 0, (cap - i->cap) / SECTOR);
	i->cap = cap;
}

static void
inode_dirty(struct inode *i, size_t off, size_t len)
{
	size_t s;

	if (len == 0)
		return;
	for (s = off / SECTOR; s <= (off + len - 1) / SECTOR; s++) {
		i->ndirty += !i->dirty[s];
		i->dirty[s] = 1;
	}
}

static void
inode_resize(struct inode *i, size_t len)
{
	inode_room(i, len);
	if (len < i->len) {
		memset(i->cur + len, 0, i->len - len);
		inode_dirty(i, len, i->len - len);
	}
	if (len != i->len)
		i->len_dirty = true;
	i->len = len;
}

static void
sector_clean(struct inode *i, size_t s, bool written)
{
	if (!i->dirty[s])
		return;
	if (written)
		memcpy(i->dur + s * SECTOR, i->cur + s * SECTOR, SECTOR);
	i->dirty[s] = 0;
	i->ndirty--;
}

static void
inode_sync(struct inode *i)
{
	size_t s;

	for (s = 0; s < i->cap / SECTOR && i->ndirty > 0; s++)
		sector_clean(i, s, true);
	i->dlen = i->len;
	i->len_dirty = false;
}

/* --- names -------------------------------------------------------------- */

static struct name *
name_find(struct disk *d, const char *path)
{
	size_t i;

	for (i = 0; i < d->nnames; i++)
		if (strcmp(d->names[i].path, path) == 0)
			return &d->names[i];
	return NULL;
}

static struct name *
name_get(struct disk *d, const char *path)
{
	struct name *n = name_find(d, path);

	if (n != NULL)
		return n;
	d->names = xrealloc(d->names, (d->nnames + 1) * sizeof(*d->names));
	n = &d->names[d->nnames++];
	memset(n, 0, sizeof(*n));
	if (strlen(path) >= sizeof(n->path))
		abort();
	strcpy(n->path, path);
	return n;
}

static void
name_set(struct disk *d, struct name *n, struct inode *i, uint64_t op)
{
	n->live = i;
	n->dirty = true;
	n->op = op;
}

/* Is path directly inside dir ("." is the root)? */
static bool
in_dir(const char *path, const char *dir)
{
	const char *slash = strrchr(path, '/');
	size_t len = strlen(dir);

	if (strcmp(dir, ".") == 0)
		return slash == NULL;
	return slash != NULL && (size_t)(slash - path) == len &&
	    memcmp(path, dir, len) == 0;
}

static bool
parent_exists(struct disk *d, const char *path)
{
	char dir[96];
	char *slash;
	struct name *n;

	strcpy(dir, path);
	if ((slash = strrchr(dir, '/')) == NULL)
		return true;
	*slash = '\0';
	n = name_find(d, dir);
	return n != NULL && n->live != NULL && n->live->dir;
}

/* --- life --------------------------------------------------------------- */

struct disk *
disk_new(struct rng *r)
{
	struct disk *d = calloc(1, sizeof(*d));

	if (d == NULL)
		abort();
	d->rng = r;
	return d;
}

void
disk_free(struct disk *d)
{
	size_t i;

	if (d == NULL)
		return;
	for (i = 0; i < d->ninodes; i++)
		inode_free(d->inodes[i]);
	free(d->inodes);
	free(d->names);
	free(d->handles);
	free(d);
}

void
disk_restart(struct disk *d)
{
	d->nhandles = 0;
	d->full = false;
	d->eio = false;
	d->eio_hit = false;
}

enum crash_mode { CRASH_MIX, CRASH_ALL_LOST, CRASH_ALL_KEPT, CRASH__MAX };

static bool
keeps(struct disk *d, enum crash_mode m)
{
	return m == CRASH_ALL_KEPT || (m == CRASH_MIX && rng_chance(d->rng, 1, 2));
}

static void
inode_crash(struct disk *d, struct inode *i, enum crash_mode m)
{
	size_t s;

	for (s = 0; s < i->cap / SECTOR && i->ndirty > 0; s++) {
		if (!i->dirty[s])
			continue;
		if (i->cache && m == CRASH_MIX && rng_chance(d->rng, 1, 8))
			memset(i->cur + s * SECTOR, 0, SECTOR);
		sector_clean(i, s, keeps(d, m));
	}
	if (i->len_dirty && keeps(d, m))
		i->dlen = i->len;
	i->len = i->dlen;
	i->len_dirty = false;
	if (i->cap > 0) {
		if (i->len < i->cap)
			memset(i->dur + i->len, 0, i->cap - i->len);
		memcpy(i->cur, i->dur, i->cap);
	}
}

static bool
name_lost_parent(struct disk *d, const struct name *n)
{
	return n->live != NULL && !parent_exists(d, n->path);
}

/* Free what no name holds. */
static void
inodes_sweep(struct disk *d)
{
	size_t i, k, out = 0;

	for (i = 0; i < d->ninodes; i++) {
		for (k = 0; k < d->nnames; k++)
			if (d->names[k].live == d->inodes[i])
				break;
		if (k < d->nnames)
			d->inodes[out++] = d->inodes[i];
		else
			inode_free(d->inodes[i]);
	}
	d->ninodes = out;
}

void
disk_crash(struct disk *d)
{
	enum crash_mode m = CRASH_MIX;
	uint64_t salt = rng_u64(d->rng);
	size_t i;

	if (rng_chance(d->rng, 1, 4))
		m = rng_chance(d->rng, 2, 3) ? CRASH_ALL_LOST : CRASH_ALL_KEPT;
	for (i = 0; i < d->nnames; i++) {
		struct name *n = &d->names[i];
		bool keep = m == CRASH_ALL_KEPT ||
		    (m == CRASH_MIX &&
			((n->op * 0x9e3779b97f4a7c15ULL ^ salt) >> 33 & 1) != 0);

		if (n->dirty && !keep)
			n->live = n->dur;
		n->dur = n->live;
		n->dirty = false;
	}
	for (i = 0; i < d->nnames; i++)
		if (name_lost_parent(d, &d->names[i]))
			d->names[i].live = d->names[i].dur = NULL, i = (size_t)-1;
	for (i = 0; i < d->ninodes; i++)
		inode_crash(d, d->inodes[i], m);
	inodes_sweep(d);
	disk_restart(d);
}

void
disk_writeback(struct disk *d)
{
	struct inode *i;
	size_t s, n = 0;

	if (d->ninodes == 0)
		return;
	i = d->inodes[rng_below(d->rng, d->ninodes)];
	for (s = 0; s < i->cap / SECTOR && i->ndirty > 0 && n < 64; s++)
		if (i->dirty[s] && rng_chance(d->rng, 1, 2)) {
			sector_clean(i, s, true);
			n++;
		}
}

void
disk_set_full(struct disk *d, bool full)
{
	d->full = full;
}

void
disk_set_eio(struct disk *d)
{
	d->eio = true;
}

bool
disk_eio_hit(const struct disk *d)
{
	return d->eio_hit;
}

/* --- calls -------------------------------------------------------------- */

static struct handle *
handle_get(struct disk *d, nrs_file f)
{
	if (f == 0 || f > d->nhandles)
		abort();
	return &d->handles[f - 1];
}

const char *
disk_path(struct disk *d, nrs_file f)
{
	return handle_get(d, f)->path;
}

unsigned int
disk_handles(const struct disk *d)
{
	unsigned int n = 0;
	size_t i;

	for (i = 0; i < d->nhandles; i++)
		n += !d->handles[i].closed;
	return n;
}

int
disk_open(struct disk *d, const char *path, unsigned int flags, nrs_file *ret)
{
	struct name *n = name_find(d, path);
	bool there = n != NULL && n->live != NULL;
	struct handle *h;

	*ret = 0;
	if (there && n->live->dir)
		return NRS_EIO;
	if (there && (flags & NRS_OPEN_CREATE) != 0)
		return NRS_EEXISTS;
	if (!there) {
		if ((flags & (NRS_OPEN_CREATE | NRS_OPEN_MAYBE)) == 0 ||
		    !parent_exists(d, path))
			return NRS_ENOTFOUND;
		if (d->full && rng_chance(d->rng, 1, 2))
			return NRS_EFULL;
		n = name_get(d, path);
		name_set(d, n, inode_new(d, false), ++d->op);
		n->live->cache = strncmp(path, "journal/", 8) != 0;
	}
	d->handles = xrealloc(d->handles, (d->nhandles + 1) * sizeof(*d->handles));
	h = &d->handles[d->nhandles++];
	memset(h, 0, sizeof(*h));
	h->ino = n->live;
	strcpy(h->path, path);
	*ret = (nrs_file)d->nhandles;
	return 0;
}

void
disk_close(struct disk *d, nrs_file f)
{
	struct handle *h = handle_get(d, f);

	if (h->closed)
		abort();
	h->closed = true; /* requests in flight still name it */
}

int
disk_size(struct disk *d, nrs_file f, uint64_t *ret)
{
	*ret = handle_get(d, f)->ino->len;
	return 0;
}

int
disk_pread(struct disk *d, nrs_file f, uint64_t off, void *buf, size_t len, size_t *ret)
{
	struct handle *h = handle_get(d, f);

	if (h->closed)
		abort();
	*ret = 0;
	if (off >= h->ino->len)
		return 0;
	if (len > h->ino->len - off)
		len = (size_t)(h->ino->len - off);
	memcpy(buf, h->ino->cur + off, len);
	*ret = len;
	return 0;
}

int
disk_mkdir(struct disk *d, const char *path)
{
	struct name *n = name_find(d, path);

	if (n != NULL && n->live != NULL)
		return n->live->dir ? 0 : NRS_EEXISTS;
	if (!parent_exists(d, path))
		return NRS_ENOTFOUND;
	if (d->full)
		return NRS_EFULL;
	n = name_get(d, path);
	name_set(d, n, inode_new(d, true), ++d->op);
	return 0;
}

int
disk_list(
    struct disk *d, const char *path, void (*each)(void *arg, const char *name), void *arg)
{
	struct name *n = strcmp(path, ".") == 0 ? NULL : name_find(d, path);
	size_t i, start = d->nnames > 0 ? rng_below(d->rng, d->nnames) : 0;
	const char *slash;

	if (strcmp(path, ".") != 0 && (n == NULL || n->live == NULL))
		return NRS_ENOTFOUND;
	for (i = 0; i < d->nnames; i++) {
		n = &d->names[(i + start) % d->nnames];
		if (n->live == NULL || !in_dir(n->path, path))
			continue;
		slash = strrchr(n->path, '/');
		each(arg, slash != NULL ? slash + 1 : n->path);
	}
	return 0;
}

static int
step_sync(struct disk *d, struct inode *i)
{
	size_t s;

	if (!d->eio) {
		inode_sync(i);
		return 0;
	}
	/* The pages are marked clean, and some of them were never written. */
	for (s = 0; s < i->cap / SECTOR && i->ndirty > 0; s++)
		sector_clean(i, s, rng_chance(d->rng, 1, 2));
	d->eio = false;
	d->eio_hit = true;
	return NRS_EIO;
}

static void
step_write(struct inode *i, uint64_t off, const uint8_t *p, size_t len)
{
	if (off > DISK_MAX || len > DISK_MAX)
		abort();
	if (off + len > i->len)
		inode_resize(i, off + len);
	memcpy(i->cur + off, p, len);
	inode_dirty(i, off, len);
}

static void
step_names(struct disk *d, const struct nrs_io_step *s)
{
	struct name *n, *to;
	uint64_t op = ++d->op;
	size_t i;

	if (s->op == NRS_IO_SYNCDIR) {
		for (i = 0; i < d->nnames; i++)
			if (in_dir(d->names[i].path, s->path)) {
				d->names[i].dur = d->names[i].live;
				d->names[i].dirty = false;
			}
		return;
	}
	n = name_find(d, s->path);
	if (n == NULL || n->live == NULL)
		return;
	if (s->op == NRS_IO_RENAME) {
		struct inode *ino = n->live;

		to = name_get(d, s->path2);
		n = name_find(d, s->path); /* the array may have moved */
		name_set(d, to, ino, op);
	}
	name_set(d, n, NULL, op);
}

/* Reads past the cache: pages that are clean come from the medium, for ever. */
static void
step_reread(struct inode *i, const struct nrs_io_step *s)
{
	size_t k, len = s->len;

	for (k = 0; k < i->cap / SECTOR; k++)
		if (!i->dirty[k])
			memcpy(i->cur + k * SECTOR, i->dur + k * SECTOR, SECTOR);
	memset(s->data, 0, s->len);
	if (s->off >= i->len)
		return;
	if (len > i->len - s->off)
		len = (size_t)(i->len - s->off);
	memcpy(s->data, i->cur + s->off, len);
}

int
disk_step(struct disk *d, const struct nrs_io_step *s)
{
	struct inode *i = s->file != 0 ? handle_get(d, s->file)->ino : NULL;

	switch (s->op) {
	case NRS_IO_PWRITE:
		if (d->full && s->off + s->len > i->len) {
			if (s->off < i->len || rng_chance(d->rng, 1, 2))
				step_write(i, s->off, s->data, rng_below(d->rng, s->len));
			return NRS_EFULL;
		}
		step_write(i, s->off, s->data, s->len);
		return 0;
	case NRS_IO_SYNC:
		return step_sync(d, i);
	case NRS_IO_PREALLOC:
		if (s->off <= i->len)
			return 0;
		if (d->full)
			return NRS_EFULL;
		inode_resize(i, s->off);
		return 0;
	case NRS_IO_TRUNCATE:
		inode_resize(i, s->off);
		return 0;
	case NRS_IO_PUNCH:
		if (s->off < i->len) {
			size_t len = s->off + s->len > i->len ? i->len - s->off : s->len;

			memset(i->cur + s->off, 0, len);
			inode_dirty(i, s->off, len);
		}
		return 0;
	case NRS_IO_REREAD:
		step_reread(i, s);
		return 0;
	case NRS_IO_RENAME:
	case NRS_IO_UNLINK:
	case NRS_IO_SYNCDIR:
		step_names(d, s);
		return 0;
	}
	abort();
}

void
disk_step_torn(struct disk *d, const struct nrs_io_step *s)
{
	struct inode *i = s->file != 0 ? handle_get(d, s->file)->ino : NULL;
	size_t k;

	if (s->op == NRS_IO_PWRITE && s->len > 0) {
		step_write(i, s->off, s->data, 1 + rng_below(d->rng, s->len));
	} else if (s->op == NRS_IO_SYNC) {
		for (k = 0; k < i->cap / SECTOR && i->ndirty > 0; k++)
			if (rng_chance(d->rng, 1, 2))
				sector_clean(i, k, true);
	}
}
