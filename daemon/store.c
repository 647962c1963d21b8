/*
 * Storage.  Writes go through one thread, strictly in order, so the order in
 * which the engine asked is the order in which the disk was asked.
 *
 * After one failed sync no later one is believed: the kernel may have dropped
 * the dirty pages and marked them clean, so the next fdatasync would report a
 * success that means nothing.  The store then fails everything with NRS_EIO.
 *
 * Room that is only reserved has to be entered in the file system's own journal
 * by the sync that first uses it, which makes a small one twice as slow.  So
 * while batches are small, zeros are written ahead of them into what reads as
 * zeros already, whenever nothing else is to be done.  Large ones would only pay
 * for the bytes twice.
 */
#include "daemon/store.h"

#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/app.h"
#include "daemon/loop.h"

#define READ_MAX    (64u << 20) /* of one pread: Linux ends at 2 GiB, we need far less */
#define BATCH_SMALL (64u << 10)
#define ZERO_CHUNK  (256u << 10)
#define ZERO_LOW    (128u << 10)

struct handle {
	int fd;		   /* -1: the slot is free */
	unsigned int refs; /* requests in flight that name it */
	bool closing;	   /* closed by the engine; goes with the last of them */
};

struct store {
	int dirfd;
	pthread_mutex_t lock;
	pthread_cond_t work;
	pthread_cond_t idle;
	struct nrs_io *queue; /* oldest first */
	struct nrs_io **queue_end;
	struct nrs_io *done;
	struct nrs_io **done_end;
	struct handle
	    *handles; /* [handle - 1]; the engine's thread changes it, under lock */
	unsigned int nhandles;
	/* Where the last batch ended and how far zeros stand behind it; commit thread only. */
	struct {
		nrs_file file;
		uint64_t end, ready;
	} zero;
	bool broken; /* a sync failed; under lock */
	bool stop;

	struct loop_note note;
	struct app *app;
	unsigned int pending; /* loop's thread only */
	unsigned long thread;
	bool running;
};

static int
errno_err(int e)
{
	switch (e) {
	case ENOENT:
		return NRS_ENOTFOUND;
	case EEXIST:
		return NRS_EEXISTS;
	case ENOSPC:
	case EDQUOT:
		return NRS_EFULL;
	case ENOMEM:
		return NRS_ENOMEM;
	default:
		return NRS_EIO;
	}
}

/* Names come from the engine; this only keeps a slip of it inside the directory. */
static bool
path_ok(const char *path)
{
	const char *p = path;

	if (path == NULL || *path == '\0' || *path == '/')
		return false;
	for (; p != NULL; p = strchr(p, '/')) {
		p += *p == '/';
		if (strncmp(p, "..", 2) == 0 && (p[2] == '/' || p[2] == '\0'))
			return false;
	}
	return true;
}

/* --- handles ------------------------------------------------------------ */

static int
handle_fd(struct store *s, nrs_file f)
{
	int fd = -1;

	pthread_mutex_lock(&s->lock);
	if (f != 0 && f <= s->nhandles)
		fd = s->handles[f - 1].fd;
	pthread_mutex_unlock(&s->lock);
	return fd;
}

static int
handle_add(struct store *s, int fd, nrs_file *ret)
{
	struct handle *v;
	unsigned int i, n;
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	for (i = 0; i < s->nhandles && s->handles[i].fd >= 0; i++)
		;
	if (i == s->nhandles) {
		n = s->nhandles == 0 ? 64 : s->nhandles * 2;
		v = realloc(s->handles, n * sizeof(*v));
		if (v == NULL) {
			rc = NRS_ENOMEM;
			goto out;
		}
		s->handles = v;
		for (; s->nhandles < n; s->nhandles++)
			v[s->nhandles] = (struct handle){ .fd = -1 };
	}
	s->handles[i] = (struct handle){ .fd = fd };
	*ret = i + 1;
out:
	pthread_mutex_unlock(&s->lock);
	return rc;
}

static void
handle_unref(struct store *s, nrs_file f, bool close_it)
{
	struct handle *h;
	int fd = -1;

	pthread_mutex_lock(&s->lock);
	if (f != 0 && f <= s->nhandles && s->handles[f - 1].fd >= 0) {
		h = &s->handles[f - 1];
		if (close_it)
			h->closing = true;
		else if (h->refs > 0)
			h->refs--;
		if (h->closing && h->refs == 0) {
			fd = h->fd;
			h->fd = -1;
		}
	}
	pthread_mutex_unlock(&s->lock);
	if (fd >= 0)
		close(fd);
}

static void
io_ref(struct store *s, const struct nrs_io *io)
{
	pthread_mutex_lock(&s->lock);
	for (unsigned int i = 0; i < io->nsteps; i++)
		if (io->steps[i].file != 0 && io->steps[i].file <= s->nhandles)
			s->handles[io->steps[i].file - 1].refs++;
	pthread_mutex_unlock(&s->lock);
}

static void
io_unref(struct store *s, const struct nrs_io *io)
{
	for (unsigned int i = 0; i < io->nsteps; i++)
		if (io->steps[i].file != 0)
			handle_unref(s, io->steps[i].file, false);
}

/* --- files -------------------------------------------------------------- */

/* Recovery must see what the medium has, not what the cache of a failed disk claims. */
static void
drop_cache(const char *path, int fd)
{
	size_t len = strlen(path);

	if (len > 4 && strcmp(path + len - 4, ".nrj") == 0)
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); /* advice */
}

int
store_file_open(struct nrs_env *e, const char *path, unsigned int flags, nrs_file *ret)
{
	struct store *s = env_app(e)->store;
	int oflags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, fd, rc;
	struct stat st;

	*ret = 0;
	if (!path_ok(path))
		return NRS_EINTERNAL;
	if ((flags & (NRS_OPEN_CREATE | NRS_OPEN_WRITE | NRS_OPEN_MAYBE)) != 0)
		oflags = (oflags & ~O_ACCMODE) | O_RDWR;
	if ((flags & NRS_OPEN_CREATE) != 0)
		oflags |= O_CREAT | O_EXCL;
	else if ((flags & NRS_OPEN_MAYBE) != 0)
		oflags |= O_CREAT;
	do
		fd = openat(s->dirfd, path, oflags, 0600);
	while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return errno_err(errno);
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return NRS_EIO;
	}
	if ((flags & NRS_OPEN_CREATE) == 0)
		drop_cache(path, fd);
	if ((rc = handle_add(s, fd, ret)) != 0)
		close(fd);
	return rc;
}

void
store_file_close(struct nrs_env *e, nrs_file f)
{
	struct store *s = env_app(e)->store;
	handle_unref(s, f, true);
}

int
store_file_size(struct nrs_env *e, nrs_file f, uint64_t *ret)
{
	struct store *s = env_app(e)->store;
	struct stat st;
	int fd = handle_fd(s, f);

	*ret = 0;
	if (fd < 0)
		return NRS_EINTERNAL;
	if (fstat(fd, &st) != 0)
		return NRS_EIO;
	*ret = (uint64_t)st.st_size;
	return 0;
}

static int
read_full(int fd, uint64_t off, void *buf, size_t len, size_t *ret_len)
{
	uint8_t *p = buf;
	size_t got = 0, want;
	ssize_t n;

	*ret_len = 0;
	if (off > INT64_MAX - len)
		return NRS_ERANGE;
	while (got < len) {
		want = len - got < READ_MAX ? len - got : READ_MAX;
		n = pread(fd, p + got, want, (off_t)(off + got));
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

int
store_file_pread(
    struct nrs_env *e, nrs_file f, uint64_t off, void *buf, size_t len, size_t *ret_len)
{
	struct store *s = env_app(e)->store;
	int fd = handle_fd(s, f);

	*ret_len = 0;
	return fd < 0 ? NRS_EINTERNAL : read_full(fd, off, buf, len, ret_len);
}

int
store_dir_make(struct nrs_env *e, const char *path)
{
	struct store *s = env_app(e)->store;
	struct stat st;

	if (!path_ok(path))
		return NRS_EINTERNAL;
	if (mkdirat(s->dirfd, path, 0700) == 0)
		return 0;
	if (errno != EEXIST)
		return errno_err(errno);
	if (fstatat(s->dirfd, path, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(st.st_mode))
		return NRS_EIO;
	return 0;
}

static int
open_dir(struct store *s, const char *path)
{
	if (!path_ok(path))
		path = ".";
	return openat(s->dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

int
store_dir_list(struct nrs_env *e, const char *path,
    void (*each)(void *arg, const char *name), void *arg)
{
	struct store *s = env_app(e)->store;
	struct dirent *ent;
	DIR *d;
	int fd, rc = 0;

	if ((fd = open_dir(s, path)) < 0)
		return errno_err(errno);
	if ((d = fdopendir(fd)) == NULL) {
		close(fd);
		return NRS_ENOMEM;
	}
	for (;;) {
		errno = 0;
		if ((ent = readdir(d)) == NULL) {
			rc = errno == 0 ? 0 : NRS_EIO;
			break;
		}
		if (strcmp(ent->d_name, ".") != 0 && strcmp(ent->d_name, "..") != 0)
			each(arg, ent->d_name);
	}
	closedir(d);
	return rc;
}

/* --- steps -------------------------------------------------------------- */

static int
write_full(int fd, uint64_t off, const void *buf, size_t len)
{
	const uint8_t *p = buf;
	ssize_t n;

	if (off > INT64_MAX - len)
		return NRS_ERANGE;
	while (len > 0) {
		n = pwrite(fd, p, len, (off_t)off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno_err(errno);
		if (n == 0)
			return NRS_EIO;
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

static int
step_prealloc(int fd, uint64_t size)
{
	struct stat st;
	int rc;

	do
		rc = fallocate(fd, 0, 0, (off_t)size);
	while (rc != 0 && errno == EINTR);
	if (rc == 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != ENOSYS)
		return errno_err(errno);
	/* A file system without reservations: the size is all it can promise. */
	if (fstat(fd, &st) != 0)
		return NRS_EIO;
	if ((uint64_t)st.st_size >= size)
		return 0;
	return ftruncate(fd, (off_t)size) == 0 ? 0 : errno_err(errno);
}

static int
step_punch(int fd, uint64_t off, uint64_t len)
{
	static const uint8_t zeros[65536];
	size_t n;
	int rc;

	if (len == 0)
		return 0;
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off,
		(off_t)len) == 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != ENOSYS)
		return errno_err(errno);
	for (; len > 0; off += n, len -= n) {
		n = len < sizeof(zeros) ? (size_t)len : sizeof(zeros);
		if ((rc = write_full(fd, off, zeros, n)) != 0)
			return rc;
	}
	return 0;
}

static int
step_reread(int fd, const struct nrs_io_step *st)
{
	size_t got;
	int rc;

	(void)posix_fadvise(fd, (off_t)st->off, (off_t)st->len, POSIX_FADV_DONTNEED);
	rc = read_full(fd, st->off, st->data, st->len, &got);
	return rc != 0 ? rc : got == st->len ? 0 : NRS_EIO;
}

static int
step_syncdir(struct store *s, const char *path)
{
	int fd = open_dir(s, path), rc;

	if (fd < 0)
		return NRS_EIO;
	rc = fsync(fd) == 0 ? 0 : NRS_EIO;
	close(fd);
	return rc;
}

static int
step_name(struct store *s, const struct nrs_io_step *st)
{
	if (!path_ok(st->path))
		return NRS_EINTERNAL;
	if (st->op == NRS_IO_UNLINK)
		return unlinkat(s->dirfd, st->path, 0) == 0 || errno == ENOENT
		    ? 0
		    : errno_err(errno);
	if (!path_ok(st->path2))
		return NRS_EINTERNAL;
	return renameat(s->dirfd, st->path, s->dirfd, st->path2) == 0 ? 0
								      : errno_err(errno);
}

static int
step_do(struct store *s, const struct nrs_io_step *st)
{
	int fd = -1;

	if (st->op != NRS_IO_RENAME && st->op != NRS_IO_UNLINK &&
	    st->op != NRS_IO_SYNCDIR && (fd = handle_fd(s, st->file)) < 0)
		return NRS_EINTERNAL;
	switch (st->op) {
	case NRS_IO_PWRITE:
		return write_full(fd, st->off, st->data, st->len);
	case NRS_IO_SYNC:
		return fdatasync(fd) == 0 ? 0 : NRS_EIO;
	case NRS_IO_PREALLOC:
		return step_prealloc(fd, st->off);
	case NRS_IO_TRUNCATE:
		return ftruncate(fd, (off_t)st->off) == 0 ? 0 : errno_err(errno);
	case NRS_IO_PUNCH:
		return step_punch(fd, st->off, st->len);
	case NRS_IO_RENAME:
	case NRS_IO_UNLINK:
		return step_name(s, st);
	case NRS_IO_SYNCDIR:
		return step_syncdir(s, st->path);
	case NRS_IO_REREAD:
		return step_reread(fd, st);
	}
	return NRS_EINTERNAL;
}

static void
io_do(struct store *s, struct nrs_io *io)
{
	const struct nrs_io_step *st;
	bool broken;
	int rc = 0;

	io->rc = 0;
	io->failed = 0;
	pthread_mutex_lock(&s->lock);
	broken = s->broken;
	pthread_mutex_unlock(&s->lock);
	for (unsigned int i = 0; i < io->nsteps; i++) {
		st = &io->steps[i];
		rc = broken ? NRS_EIO : step_do(s, st);
		if (rc == 0)
			continue;
		/* All that a caller can tell apart: no space, and not to be believed. */
		io->rc = rc == NRS_EFULL ? NRS_EFULL : NRS_EIO;
		io->failed = i;
		if (st->op == NRS_IO_SYNC || st->op == NRS_IO_SYNCDIR) {
			pthread_mutex_lock(&s->lock);
			s->broken = true;
			pthread_mutex_unlock(&s->lock);
		}
		return;
	}
}

int
store_io_run(struct nrs_env *e, struct nrs_io *io)
{
	struct store *s = env_app(e)->store;
	io_do(s, io);
	return io->rc;
}

/* --- zeros ahead --------------------------------------------------------- */

/* Was this a small batch, with little written room behind it? */
static bool
zero_wanted(struct store *s, const struct nrs_io *io)
{
	const struct nrs_io_step *st = io->steps;
	uint64_t end;

	if (io->rc != 0 || io->nsteps != 2 || st[0].op != NRS_IO_PWRITE ||
	    st[1].op != NRS_IO_SYNC || st[0].file != st[1].file)
		return false;
	end = st[0].off + st[0].len;
	if (s->zero.file != st[0].file || end < s->zero.end || end > s->zero.ready)
		s->zero.ready = end;
	s->zero.file = st[0].file;
	s->zero.end = end;
	return st[0].len <= BATCH_SMALL && s->zero.ready - end < ZERO_LOW;
}

static bool
reads_as_zeros(int fd, uint64_t off, const uint8_t *zeros, size_t len)
{
	uint8_t held[4096];
	size_t n, got;

	for (; len > 0; off += n, len -= n) {
		n = len < sizeof(held) ? len : sizeof(held);
		if (read_full(fd, off, held, n, &got) != 0 || got != n ||
		    memcmp(held, zeros, n) != 0)
			return false;
	}
	return true;
}

/* Only over what reads as zeros, and never past the end: the file stays the same. */
static void
zero_ahead(struct store *s)
{
	static const uint8_t zeros[ZERO_CHUNK];
	uint64_t from = s->zero.ready;
	int fd = handle_fd(s, s->zero.file);
	struct stat st;
	size_t len = ZERO_CHUNK;

	if (fd < 0 || fstat(fd, &st) != 0 || (uint64_t)st.st_size <= from)
		return;
	if ((uint64_t)st.st_size - from < len)
		len = (size_t)((uint64_t)st.st_size - from);
	/* also when it fails: what cannot be had is not asked for again and again */
	s->zero.ready = from + len;
	if (!reads_as_zeros(fd, from, zeros, len) || write_full(fd, from, zeros, len) != 0)
		return;
	if (fdatasync(fd) == 0)
		return;
	/* The next sync of the file would not tell of it any more. */
	pthread_mutex_lock(&s->lock);
	s->broken = true;
	pthread_mutex_unlock(&s->lock);
}

/* --- the commit thread -------------------------------------------------- */

static void *
committer(void *arg)
{
	struct store *s = arg;
	struct nrs_io *io;
	bool first, zero;

	pthread_mutex_lock(&s->lock);
	for (;;) {
		while (s->queue == NULL && !s->stop)
			pthread_cond_wait(&s->work, &s->lock);
		if ((io = s->queue) == NULL)
			break;
		if ((s->queue = io->next) == NULL)
			s->queue_end = &s->queue;
		pthread_mutex_unlock(&s->lock);
		io->next = NULL;
		io_do(s, io);
		zero = zero_wanted(s, io);
		pthread_mutex_lock(&s->lock);
		zero = zero && s->queue == NULL && !s->stop;
		if (zero)
			s->handles[s->zero.file - 1].refs++;
		first = s->done == NULL;
		*s->done_end = io;
		s->done_end = &io->next;
		pthread_cond_signal(&s->idle);
		/* Who is woken wants the lock. */
		pthread_mutex_unlock(&s->lock);
		if (first)
			loop_note_post(&s->note);
		if (zero) {
			zero_ahead(s);
			handle_unref(s, s->zero.file, false);
		}
		pthread_mutex_lock(&s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static void
hand_out(struct store *s)
{
	struct nrs_io *list, *next;

	pthread_mutex_lock(&s->lock);
	list = s->done;
	s->done = NULL;
	s->done_end = &s->done;
	pthread_mutex_unlock(&s->lock);
	for (; list != NULL; list = next) {
		next = list->next;
		list->next = NULL;
		s->pending--;
		io_unref(s, list);
		list->done(list);
	}
}

static void
on_done(void *arg)
{
	struct store *s = arg;

	hand_out(s);
	app_touch(s->app);
}

void
store_io_submit(struct nrs_env *e, struct nrs_io *io)
{
	struct store *s = env_app(e)->store;
	io_ref(s, io);
	s->pending++;
	io->next = NULL;
	pthread_mutex_lock(&s->lock);
	*s->queue_end = io;
	s->queue_end = &io->next;
	pthread_mutex_unlock(&s->lock);
	pthread_cond_signal(&s->work); /* who is woken wants the lock */
}

bool
store_idle(const struct store *s)
{
	return s->pending == 0;
}

int
store_new(struct app *app, const char *data_dir, struct store **ret, struct nrs_detail *d)
{
	struct store *s;
	int rc;

	*ret = NULL;
	if ((s = calloc(1, sizeof(*s))) == NULL)
		return nrs_fail(d, NRS_ENOMEM, 0, "no memory for the store");
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->work, NULL);
	pthread_cond_init(&s->idle, NULL);
	s->queue_end = &s->queue;
	s->done_end = &s->done;
	s->app = app;
	s->dirfd = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dirfd < 0) {
		rc = nrs_fail(
		    d, NRS_EIO, 0, "cannot open the data directory: %s", strerror(errno));
		goto fail;
	}
	if ((rc = loop_note_init(&s->note, app->base, on_done, s)) != 0 ||
	    (rc = loop_thread(&s->thread, committer, s, "noroshi-commit")) != 0) {
		nrs_fail(d, rc, 0, "cannot start the commit thread");
		goto fail;
	}
	s->running = true;
	*ret = s;
	return 0;
fail:
	store_free(s);
	return rc;
}

void
store_drain(struct store *s)
{
	while (s->pending > 0) {
		pthread_mutex_lock(&s->lock);
		while (s->done == NULL)
			pthread_cond_wait(&s->idle, &s->lock);
		pthread_mutex_unlock(&s->lock);
		hand_out(s);
	}
}

void
store_free(struct store *s)
{
	if (s == NULL)
		return;
	if (s->running) {
		pthread_mutex_lock(&s->lock);
		s->stop = true;
		pthread_cond_broadcast(&s->work);
		pthread_mutex_unlock(&s->lock);
		pthread_join(s->thread, NULL);
	}
	loop_note_fini(&s->note);
	for (unsigned int i = 0; i < s->nhandles; i++)
		if (s->handles[i].fd >= 0)
			close(s->handles[i].fd);
	free(s->handles);
	if (s->dirfd >= 0)
		close(s->dirfd);
	pthread_cond_destroy(&s->idle);
	pthread_cond_destroy(&s->work);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
