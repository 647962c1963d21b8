/* Two threads: the caller's, and one that writes and syncs. */
#include "tools/noroshi-bench/disk.h"

#include <sys/random.h>
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "crypto/aead.h"
#include "tools/noroshi-bench/bench.h"

#define FILES_MAX 256

struct disk {
	struct nrs_env env;
	int dir;
	int fd[FILES_MAX]; /* [handle - 1]; -1: free */
	uint8_t kek[32];
	struct nrs_sign *signs; /* to be answered in the next turn */

	pthread_mutex_t lock;
	pthread_cond_t work, done_one;
	struct nrs_io *queue, **queue_end;
	struct nrs_io *done, **done_end;
	unsigned int flying; /* the caller's thread only */
	pthread_t thread;
	bool stop;
};

static struct disk *
disk_of(struct nrs_env *e)
{
	return (struct disk *)e;
}

/* --- clocks and randomness -------------------------------------------------- */

static uint64_t
clock_ms(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static struct nrs_wall
d_wall(struct nrs_env *e)
{
	(void)e;
	return (struct nrs_wall){ clock_ms(CLOCK_REALTIME) };
}

static struct nrs_mono
d_mono(struct nrs_env *e)
{
	(void)e;
	return (struct nrs_mono){ clock_ms(CLOCK_MONOTONIC) };
}

static void
d_random(struct nrs_env *e, void *buf, size_t len)
{
	uint8_t *p = buf;
	ssize_t n;

	(void)e;
	for (; len > 0; p += n, len -= (size_t)n)
		if ((n = getrandom(p, len < 256 ? len : 256, 0)) < 0)
			n = 0;
}

/* --- files -------------------------------------------------------------------- */

static int
d_open(struct nrs_env *e, const char *path, unsigned int flags, nrs_file *ret)
{
	int mode = (flags & (NRS_OPEN_CREATE | NRS_OPEN_WRITE | NRS_OPEN_MAYBE)) != 0
	    ? O_RDWR
	    : O_RDONLY;
	struct disk *d = disk_of(e);
	unsigned int i;

	if ((flags & NRS_OPEN_CREATE) != 0)
		mode |= O_CREAT | O_EXCL;
	else if ((flags & NRS_OPEN_MAYBE) != 0)
		mode |= O_CREAT;
	for (i = 0; i < FILES_MAX && d->fd[i] >= 0; i++)
		;
	if (i == FILES_MAX)
		return NRS_ELIMIT;
	d->fd[i] = openat(d->dir, path, mode | O_CLOEXEC, 0600);
	if (d->fd[i] < 0)
		return errno == ENOENT ? NRS_ENOTFOUND
		    : errno == EEXIST  ? NRS_EEXISTS
				       : NRS_EIO;
	*ret = i + 1;
	return 0;
}

static void
d_close(struct nrs_env *e, nrs_file f)
{
	struct disk *d = disk_of(e);

	close(d->fd[f - 1]);
	d->fd[f - 1] = -1;
}

static int
d_size(struct nrs_env *e, nrs_file f, uint64_t *ret)
{
	struct stat st;

	if (fstat(disk_of(e)->fd[f - 1], &st) != 0)
		return NRS_EIO;
	*ret = (uint64_t)st.st_size;
	return 0;
}

static int
d_pread(struct nrs_env *e, nrs_file f, uint64_t off, void *buf, size_t len, size_t *ret)
{
	size_t got = 0;
	ssize_t n;

	while (got < len &&
	    (n = pread(disk_of(e)->fd[f - 1], (uint8_t *)buf + got, len - got,
		 (off_t)(off + got))) != 0) {
		if (n < 0)
			return NRS_EIO;
		got += (size_t)n;
	}
	*ret = got;
	return 0;
}

static int
d_mkdir(struct nrs_env *e, const char *path)
{
	return mkdirat(disk_of(e)->dir, path, 0700) == 0 || errno == EEXIST ? 0 : NRS_EIO;
}

static int
d_list(struct nrs_env *e, const char *path, void (*each)(void *arg, const char *name),
    void *arg)
{
	int fd = openat(disk_of(e)->dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *ent;
	DIR *dir;

	if (fd < 0)
		return errno == ENOENT ? NRS_ENOTFOUND : NRS_EIO;
	if ((dir = fdopendir(fd)) == NULL) {
		close(fd);
		return NRS_ENOMEM;
	}
	while ((ent = readdir(dir)) != NULL)
		if (ent->d_name[0] != '.')
			each(arg, ent->d_name);
	closedir(dir);
	return 0;
}

/* --- writing -------------------------------------------------------------------- */

static int
sync_dir(struct disk *d, const char *path)
{
	int fd = openat(d->dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

	if (fd < 0)
		return -1;
	rc = fsync(fd);
	close(fd);
	return rc;
}

static int
step(struct disk *d, const struct nrs_io_step *s)
{
	int fd = s->file != 0 ? d->fd[s->file - 1] : -1;

	switch (s->op) {
	case NRS_IO_PWRITE:
		return pwrite(fd, s->data, s->len, (off_t)s->off) == (ssize_t)s->len ? 0
										     : -1;
	case NRS_IO_SYNC:
		return fdatasync(fd);
	case NRS_IO_PREALLOC:
		return fallocate(fd, 0, 0, (off_t)s->off) == 0 || errno == EOPNOTSUPP ? 0
										      : -1;
	case NRS_IO_TRUNCATE:
		return ftruncate(fd, (off_t)s->off);
	case NRS_IO_PUNCH:
		return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		    (off_t)s->off, (off_t)s->len);
	case NRS_IO_RENAME:
		return renameat(d->dir, s->path, d->dir, s->path2);
	case NRS_IO_UNLINK:
		return unlinkat(d->dir, s->path, 0) == 0 || errno == ENOENT ? 0 : -1;
	case NRS_IO_SYNCDIR:
		return sync_dir(d, s->path);
	case NRS_IO_REREAD:
		return pread(fd, s->data, s->len, (off_t)s->off) == (ssize_t)s->len ? 0
										    : -1;
	}
	return -1;
}

static int
d_io_run(struct nrs_env *e, struct nrs_io *io)
{
	io->rc = 0;
	for (unsigned int i = 0; i < io->nsteps && io->rc == 0; i++)
		if (step(disk_of(e), &io->steps[i]) != 0) {
			io->rc = errno == ENOSPC ? NRS_EFULL : NRS_EIO;
			io->failed = i;
		}
	return io->rc;
}

static void *
writer(void *arg)
{
	struct disk *d = arg;
	struct nrs_io *io;

	pthread_mutex_lock(&d->lock);
	for (;;) {
		while (d->queue == NULL && !d->stop)
			pthread_cond_wait(&d->work, &d->lock);
		if ((io = d->queue) == NULL)
			break;
		if ((d->queue = io->next) == NULL)
			d->queue_end = &d->queue;
		pthread_mutex_unlock(&d->lock);
		(void)d_io_run(&d->env, io);
		pthread_mutex_lock(&d->lock);
		io->next = NULL;
		*d->done_end = io;
		d->done_end = &io->next;
		pthread_cond_signal(&d->done_one);
	}
	pthread_mutex_unlock(&d->lock);
	return NULL;
}

static void
d_io_submit(struct nrs_env *e, struct nrs_io *io)
{
	struct disk *d = disk_of(e);

	io->next = NULL;
	d->flying++;
	pthread_mutex_lock(&d->lock);
	*d->queue_end = io;
	d->queue_end = &io->next;
	pthread_cond_signal(&d->work);
	pthread_mutex_unlock(&d->lock);
}

/* --- the key that wraps seeds ------------------------------------------------------ */

static int
d_sign_run(struct nrs_env *e, struct nrs_sign *s)
{
	struct disk *d = disk_of(e);
	uint8_t nonce[12];

	if (s->what == NRS_KEK_WRAP) {
		d_random(e, nonce, sizeof(nonce));
		s->rc =
		    nrs_seed_wrap(d->kek, nonce, nrs_get_u64(s->in + 32), s->in, s->out);
		s->out_len = NRS_WRAPPED_SEED;
	} else if (s->what == NRS_KEK_UNWRAP) {
		s->rc = nrs_seed_unwrap(
		    d->kek, nrs_get_u64(s->in + NRS_WRAPPED_SEED), s->in, s->out);
		s->out_len = 32;
	} else {
		s->rc = NRS_ENOTFOUND;
	}
	return s->rc;
}

static void
d_sign(struct nrs_env *e, struct nrs_sign *s)
{
	struct disk *d = disk_of(e);

	(void)d_sign_run(e, s);
	s->next = d->signs;
	d->signs = s;
}

static void
d_log(struct nrs_env *e, enum nrs_level lvl, const char *subject, const char *text)
{
	(void)e, (void)lvl, (void)subject, (void)text;
}

/* --- turns, life --------------------------------------------------------------------- */

bool
disk_turn(struct disk *d, bool wait)
{
	struct nrs_sign *s = d->signs;
	struct nrs_io *list, *next;
	bool any = s != NULL;

	if (s != NULL) {
		d->signs = s->next;
		s->done(s);
	}
	pthread_mutex_lock(&d->lock);
	while (wait && !any && d->flying > 0 && d->done == NULL)
		pthread_cond_wait(&d->done_one, &d->lock);
	list = d->done;
	d->done = NULL;
	d->done_end = &d->done;
	pthread_mutex_unlock(&d->lock);
	for (; list != NULL; list = next, any = true) {
		next = list->next;
		d->flying--;
		list->done(list);
	}
	return any;
}

static const struct nrs_env_ops disk_ops = {
	.wall = d_wall,
	.mono = d_mono,
	.random = d_random,
	.file_open = d_open,
	.file_close = d_close,
	.file_size = d_size,
	.file_pread = d_pread,
	.dir_make = d_mkdir,
	.dir_list = d_list,
	.io_run = d_io_run,
	.io_submit = d_io_submit,
	.sign = d_sign,
	.sign_run = d_sign_run,
	.log = d_log,
};

struct disk *
disk_new(const char *dir)
{
	struct disk *d = bench_alloc(sizeof(*d));

	d->env.ops = &disk_ops;
	for (unsigned int i = 0; i < FILES_MAX; i++)
		d->fd[i] = -1;
	d->queue_end = &d->queue;
	d->done_end = &d->done;
	d_random(&d->env, d->kek, sizeof(d->kek));
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->work, NULL);
	pthread_cond_init(&d->done_one, NULL);
	d->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->dir >= 0 && pthread_create(&d->thread, NULL, writer, d) == 0)
		return d;
	if (d->dir >= 0)
		close(d->dir);
	free(d);
	return NULL;
}

void
disk_free(struct disk *d)
{
	if (d == NULL)
		return;
	pthread_mutex_lock(&d->lock);
	d->stop = true;
	pthread_cond_signal(&d->work);
	pthread_mutex_unlock(&d->lock);
	pthread_join(d->thread, NULL);
	for (unsigned int i = 0; i < FILES_MAX; i++)
		if (d->fd[i] >= 0)
			close(d->fd[i]);
	close(d->dir);
	pthread_mutex_destroy(&d->lock);
	pthread_cond_destroy(&d->work);
	pthread_cond_destroy(&d->done_one);
	free(d);
}

struct nrs_env *
disk_env(struct disk *d)
{
	return &d->env;
}
