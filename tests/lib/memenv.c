/* The world in memory of memenv.h. Out of memory ends the test program. */
#include "tests/lib/memenv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/aead.h"

struct memenv_file {
	uint8_t *cur; /* what readers see */
	size_t len;
	uint8_t *med; /* what is on the medium */
	size_t med_len;
	bool *dirty; /* by sector of cur: not on its way to the medium yet */
	size_t room; /* of all three, a multiple of the sector */
	struct memenv_file *next;
};

struct memenv_name {
	char path[96];
	struct memenv_file *cur;
	struct memenv_file *med;
	struct memenv_name *next;
};

struct memenv_handle {
	nrs_file id;
	struct memenv_file *file;
	bool write;
	struct memenv_handle *next;
};

static void *
need(void *p)
{
	if (p == NULL) {
		fprintf(stderr, "memenv: out of memory\n");
		abort();
	}
	return p;
}

uint64_t
memenv_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static struct memenv *
self(struct nrs_env *env)
{
	return (struct memenv *)(void *)env;
}

/* --- files -------------------------------------------------------------- */

static struct memenv_file *
file_new(struct memenv *e)
{
	struct memenv_file *f = need(calloc(1, sizeof(*f)));

	f->next = e->files;
	e->files = f;
	return f;
}

static void
file_room(struct memenv_file *f, size_t len)
{
	size_t room = f->room > 0 ? f->room : 16 * MEMENV_SECTOR;

	if (len <= f->room)
		return;
	while (room < len)
		room *= 2;
	f->cur = need(realloc(f->cur, room));
	f->med = need(realloc(f->med, room));
	f->dirty = need(realloc(f->dirty, room / MEMENV_SECTOR * sizeof(*f->dirty)));
	memset(f->cur + f->room, 0, room - f->room);
	memset(f->med + f->room, 0, room - f->room);
	memset(f->dirty + f->room / MEMENV_SECTOR, 0,
	    (room - f->room) / MEMENV_SECTOR * sizeof(*f->dirty));
	f->room = room;
}

static void
file_touch(struct memenv_file *f, size_t off, size_t len)
{
	size_t i;

	for (i = off / MEMENV_SECTOR; len > 0 && i <= (off + len - 1) / MEMENV_SECTOR; i++)
		f->dirty[i] = true;
}

/* Bytes behind the end are zero, in cur and in med, always. */
static void
file_size_set(struct memenv_file *f, size_t len)
{
	file_room(f, len);
	if (len < f->len) {
		memset(f->cur + len, 0, f->len - len);
		file_touch(f, len, f->len - len);
	}
	f->len = len;
}

static void
file_sync(struct memenv_file *f)
{
	size_t i;

	for (i = 0; i < f->room / MEMENV_SECTOR; i++)
		if (f->dirty[i])
			memcpy(f->med + i * MEMENV_SECTOR, f->cur + i * MEMENV_SECTOR,
			    MEMENV_SECTOR);
	if (f->room > 0)
		memset(f->dirty, 0, f->room / MEMENV_SECTOR * sizeof(*f->dirty));
	if (f->len < f->med_len)
		memset(f->med + f->len, 0, f->med_len - f->len);
	f->med_len = f->len;
}

/* A failed sync: the kernel believes its pages clean, the medium has the old. */
static void
file_sync_failed(struct memenv_file *f)
{
	if (f->room > 0)
		memset(f->dirty, 0, f->room / MEMENV_SECTOR * sizeof(*f->dirty));
}

static struct memenv_name *
name_find(struct memenv *e, const char *path)
{
	struct memenv_name *n;

	for (n = e->names; n != NULL; n = n->next)
		if (strcmp(n->path, path) == 0)
			return n;
	return NULL;
}

static struct memenv_name *
name_need(struct memenv *e, const char *path)
{
	struct memenv_name *n = name_find(e, path);

	if (n != NULL)
		return n;
	n = need(calloc(1, sizeof(*n)));
	snprintf(n->path, sizeof(n->path), "%s", path);
	n->next = e->names;
	e->names = n;
	return n;
}

/* The last part of path when it stands directly in dir ("." is the top), or NULL. */
static const char *
name_in(const char *path, const char *dir)
{
	const char *slash = strrchr(path, '/');
	size_t len = strlen(dir);

	if (strcmp(dir, ".") == 0 || len == 0)
		return slash == NULL ? path : NULL;
	if (slash == NULL || (size_t)(slash - path) != len || memcmp(path, dir, len) != 0)
		return NULL;
	return slash + 1;
}

static bool
dir_exists(struct memenv *e, const char *path)
{
	size_t i;

	if (strcmp(path, ".") == 0)
		return true;
	for (i = 0; i < e->ndirs; i++)
		if (strcmp(e->dirs[i], path) == 0)
			return true;
	return false;
}

static struct memenv_handle *
handle_find(struct memenv *e, nrs_file id)
{
	struct memenv_handle *h;

	for (h = e->handles; h != NULL; h = h->next)
		if (h->id == id)
			return h;
	return NULL;
}

/* --- storage calls ------------------------------------------------------ */

static int
env_file_open(struct nrs_env *env, const char *path, unsigned int flags, nrs_file *ret)
{
	struct memenv *e = self(env);
	struct memenv_name *n = name_find(e, path);
	struct memenv_handle *h;
	const char *slash = strrchr(path, '/');
	char dir[96] = ".";

	*ret = 0;
	if (e->dead)
		return NRS_EIO;
	if (slash != NULL)
		snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
	if (!dir_exists(e, dir))
		return NRS_ENOTFOUND;
	if (n == NULL || n->cur == NULL) {
		if ((flags & (NRS_OPEN_CREATE | NRS_OPEN_MAYBE)) == 0)
			return NRS_ENOTFOUND;
		if (e->full)
			return NRS_EFULL;
		n = name_need(e, path);
		n->cur = file_new(e);
	} else if ((flags & NRS_OPEN_CREATE) != 0) {
		return NRS_EEXISTS;
	}
	h = need(calloc(1, sizeof(*h)));
	h->id = e->next_handle++;
	h->file = n->cur;
	h->write = (flags & NRS_OPEN_WRITE) != 0;
	h->next = e->handles;
	e->handles = h;
	*ret = h->id;
	return 0;
}

static void
env_file_close(struct nrs_env *env, nrs_file id)
{
	struct memenv *e = self(env);
	struct memenv_handle **link, *h;

	for (link = &e->handles; (h = *link) != NULL; link = &h->next)
		if (h->id == id) {
			*link = h->next;
			free(h);
			return;
		}
}

static int
env_file_size(struct nrs_env *env, nrs_file id, uint64_t *ret)
{
	struct memenv *e = self(env);
	struct memenv_handle *h = handle_find(e, id);

	if (h == NULL || e->dead)
		return NRS_EIO;
	*ret = h->file->len;
	return 0;
}

static int
env_file_pread(
    struct nrs_env *env, nrs_file id, uint64_t off, void *buf, size_t len, size_t *ret_len)
{
	struct memenv *e = self(env);
	struct memenv_handle *h = handle_find(e, id);

	*ret_len = 0;
	if (h == NULL || e->dead)
		return NRS_EIO;
	if (off >= h->file->len)
		return 0;
	if (len > h->file->len - off)
		len = h->file->len - (size_t)off;
	memcpy(buf, h->file->cur + off, len);
	*ret_len = len;
	return 0;
}

static int
env_dir_make(struct nrs_env *env, const char *path)
{
	struct memenv *e = self(env);

	if (e->dead)
		return NRS_EIO;
	if (dir_exists(e, path))
		return 0;
	e->dirs = need(realloc(e->dirs, (e->ndirs + 1) * sizeof(*e->dirs)));
	snprintf(e->dirs[e->ndirs++], sizeof(*e->dirs), "%s", path);
	return 0;
}

static int
env_dir_list(struct nrs_env *env, const char *path,
    void (*each)(void *arg, const char *name), void *arg)
{
	struct memenv *e = self(env);
	struct memenv_name *n;
	const char *name;

	if (e->dead)
		return NRS_EIO;
	if (!dir_exists(e, path))
		return NRS_ENOTFOUND;
	for (n = e->names; n != NULL; n = n->next)
		if (n->cur != NULL && (name = name_in(n->path, path)) != NULL)
			each(arg, name);
	return 0;
}

/* --- requests ----------------------------------------------------------- */

static int
step_write(struct memenv *e, struct memenv_file *f, const struct nrs_io_step *s)
{
	size_t end = (size_t)s->off + s->len;

	if (e->full && end > f->len)
		return NRS_EFULL;
	if (end > f->len)
		file_size_set(f, end);
	memcpy(f->cur + s->off, s->data, s->len);
	file_touch(f, (size_t)s->off, s->len);
	return 0;
}

/* Past the cache: pages that the kernel believes clean come from the medium. */
static int
step_reread(struct memenv_file *f, const struct nrs_io_step *s)
{
	uint8_t *dst = s->data;
	size_t i, at;

	if (s->off + s->len > f->len)
		return NRS_EIO;
	for (i = 0; i < s->len; i++) {
		at = (size_t)s->off + i;
		dst[i] = f->dirty[at / MEMENV_SECTOR] ? f->cur[at] : f->med[at];
	}
	return 0;
}

static int
step_file(struct memenv *e, const struct nrs_io_step *s, bool fails)
{
	struct memenv_handle *h = handle_find(e, s->file);
	struct memenv_file *f;

	if (h == NULL || (s->op != NRS_IO_REREAD && !h->write))
		return NRS_EIO;
	f = h->file;
	if (fails) {
		if (s->op == NRS_IO_SYNC)
			file_sync_failed(f);
		return e->fail_rc;
	}
	switch (s->op) {
	case NRS_IO_PWRITE:
		return step_write(e, f, s);
	case NRS_IO_SYNC:
		if (!e->nosync && f->room > 0)
			file_sync(f);
		return 0;
	case NRS_IO_PREALLOC:
		if (s->off <= f->len)
			return 0;
		if (e->full)
			return NRS_EFULL;
		file_size_set(f, (size_t)s->off);
		return 0;
	case NRS_IO_TRUNCATE:
		file_size_set(f, (size_t)s->off);
		return 0;
	case NRS_IO_PUNCH:
		if (s->off < f->len)
			memset(f->cur + s->off, 0,
			    s->len < f->len - s->off ? s->len : f->len - (size_t)s->off);
		file_touch(f, (size_t)s->off, s->len);
		return 0;
	case NRS_IO_REREAD:
		return step_reread(f, s);
	default:
		return NRS_EINTERNAL;
	}
}

static int
step_do(struct memenv *e, const struct nrs_io_step *s)
{
	struct memenv_name *n;
	bool fails;

	if (e->dead)
		return NRS_EIO;
	e->steps++;
	fails = e->fail_at != 0 && e->steps == e->fail_at;
	if (e->die_at != 0 && e->steps >= e->die_at)
		e->dead = true; /* after this one */
	switch (s->op) {
	case NRS_IO_RENAME:
		if (fails || (n = name_find(e, s->path)) == NULL || n->cur == NULL)
			return fails ? e->fail_rc : NRS_ENOTFOUND;
		name_need(e, s->path2)->cur = n->cur;
		n->cur = NULL;
		return 0;
	case NRS_IO_UNLINK:
		if (!fails && (n = name_find(e, s->path)) != NULL)
			n->cur = NULL;
		return fails ? e->fail_rc : 0;
	case NRS_IO_SYNCDIR:
		for (n = e->names; n != NULL && !fails && !e->nosync; n = n->next)
			if (name_in(n->path, s->path) != NULL)
				n->med = n->cur;
		return fails ? e->fail_rc : 0;
	default:
		return step_file(e, s, fails);
	}
}

static int
env_io_run(struct nrs_env *env, struct nrs_io *io)
{
	io->rc = 0;
	for (io->failed = 0; io->failed < io->nsteps; io->failed++)
		if ((io->rc = step_do(self(env), &io->steps[io->failed])) != 0)
			break;
	return io->rc;
}

static void
env_io_submit(struct nrs_env *env, struct nrs_io *io)
{
	struct memenv *e = self(env);

	io->rc = 0;
	io->failed = 0;
	io->next = NULL;
	*e->ios_last = io;
	e->ios_last = &io->next;
}

static void
env_job_submit(struct nrs_env *env, struct nrs_job *job)
{
	struct memenv *e = self(env);

	job->next = NULL;
	*e->jobs_last = job;
	e->jobs_last = &job->next;
}

static int
env_sign_run(struct nrs_env *env, struct nrs_sign *s)
{
	struct memenv *e = self(env);
	uint8_t nonce[12];

	env->ops->random(env, nonce, sizeof(nonce));
	if (s->what == NRS_KEK_WRAP && s->in_len == 40 && s->out_len >= NRS_WRAPPED_SEED) {
		s->rc = nrs_seed_wrap(
		    e->kek, nonce, s->in[39] | (uint64_t)s->in[38] << 8, s->in, s->out);
		s->out_len = NRS_WRAPPED_SEED;
	} else if (s->what == NRS_KEK_UNWRAP && s->in_len == 68 && s->out_len >= 32) {
		s->rc = nrs_seed_unwrap(
		    e->kek, s->in[67] | (uint64_t)s->in[66] << 8, s->in, s->out);
		s->out_len = 32;
	} else {
		s->rc = NRS_EINTERNAL;
	}
	return s->rc;
}

static void
env_sign(struct nrs_env *env, struct nrs_sign *s)
{
	struct memenv *e = self(env);

	s->next = NULL;
	*e->signs_last = s;
	e->signs_last = &s->next;
}

/* --- time, chance, silence ---------------------------------------------- */

static struct nrs_wall
env_wall(struct nrs_env *env)
{
	return self(env)->wall;
}

static struct nrs_mono
env_mono(struct nrs_env *env)
{
	return self(env)->mono;
}

static void
env_wake_at(struct nrs_env *env, struct nrs_mono t)
{
	self(env)->wake = t;
}

static void
env_random(struct nrs_env *env, void *buf, size_t len)
{
	uint8_t *p = buf;
	size_t i;

	for (i = 0; i < len; i++)
		p[i] = (uint8_t)(memenv_random(&self(env)->rng) >> 32);
}

static void
env_log(struct nrs_env *env, enum nrs_level lvl, const char *subject, const char *text)
{
}

static const struct nrs_env_ops ops = {
	.wall = env_wall,
	.mono = env_mono,
	.wake_at = env_wake_at,
	.random = env_random,
	.file_open = env_file_open,
	.file_close = env_file_close,
	.file_size = env_file_size,
	.file_pread = env_file_pread,
	.dir_make = env_dir_make,
	.dir_list = env_dir_list,
	.io_run = env_io_run,
	.io_submit = env_io_submit,
	.job_submit = env_job_submit,
	.sign = env_sign,
	.sign_run = env_sign_run,
	.log = env_log,
};

/* --- the world ---------------------------------------------------------- */

static void
queues_reset(struct memenv *e)
{
	e->ios = NULL;
	e->ios_last = &e->ios;
	e->io_at = 0;
	e->signs = NULL;
	e->signs_last = &e->signs;
	e->jobs = NULL;
	e->jobs_last = &e->jobs;
}

struct memenv *
memenv_new(uint64_t seed)
{
	struct memenv *e = need(calloc(1, sizeof(*e)));

	e->env.ops = &ops;
	e->rng = seed;
	e->next_handle = 1;
	e->wall.ms = 1795358460000u;
	memset(e->kek, 0x4b, sizeof(e->kek));
	queues_reset(e);
	return e;
}

static void
handles_close(struct memenv *e)
{
	while (e->handles != NULL)
		env_file_close(&e->env, e->handles->id);
}

static void *
copy(const void *p, size_t len)
{
	void *q = len > 0 ? need(malloc(len)) : NULL;

	if (len > 0)
		memcpy(q, p, len);
	return q;
}

static struct memenv_file *
file_copy(struct memenv *e, const struct memenv_file *f)
{
	struct memenv_file *c = file_new(e), *next = c->next;

	*c = *f;
	c->next = next;
	c->cur = copy(f->cur, f->room);
	c->med = copy(f->med, f->room);
	c->dirty = copy(f->dirty, f->room / MEMENV_SECTOR * sizeof(*f->dirty));
	return c;
}

struct memenv *
memenv_clone(const struct memenv *e)
{
	struct memenv *c = memenv_new(e->rng);
	struct memenv_name *n, *m, **last = &c->names;

	for (const struct memenv_file *f = e->files; f != NULL; f = f->next) {
		struct memenv_file *g = file_copy(c, f);

		/* Names by the file they stand for; the same file has few. */
		for (n = e->names; n != NULL; n = n->next) {
			if (n->cur != f && (n->cur != NULL || n->med != f))
				continue;
			m = need(calloc(1, sizeof(*m)));
			memcpy(m->path, n->path, sizeof(m->path));
			m->cur = n->cur == f ? g : NULL;
			m->med = n->med == f ? g : NULL;
			*last = m;
			last = &m->next;
		}
	}
	c->dirs = copy(e->dirs, e->ndirs * sizeof(*e->dirs));
	c->ndirs = e->ndirs;
	c->wall = e->wall;
	c->mono = e->mono;
	memcpy(c->kek, e->kek, sizeof(c->kek));
	return c;
}

void
memenv_free(struct memenv *e)
{
	struct memenv_file *f;
	struct memenv_name *n;

	if (e == NULL)
		return;
	handles_close(e);
	while ((f = e->files) != NULL) {
		e->files = f->next;
		free(f->cur);
		free(f->med);
		free(f->dirty);
		free(f);
	}
	while ((n = e->names) != NULL) {
		e->names = n->next;
		free(n);
	}
	free(e->dirs);
	free(e);
}

bool
memenv_idle(const struct memenv *e)
{
	return e->dead || (e->ios == NULL && e->signs == NULL && e->jobs == NULL);
}

static void
io_advance(struct memenv *e)
{
	struct nrs_io *io = e->ios;

	if (io->rc == 0 && e->io_at < io->nsteps) {
		io->failed = e->io_at;
		io->rc = step_do(e, &io->steps[e->io_at++]);
		return;
	}
	e->ios = io->next;
	if (e->ios == NULL)
		e->ios_last = &e->ios;
	e->io_at = 0;
	io->done(io);
}

bool
memenv_step(struct memenv *e)
{
	unsigned int pick, kinds;
	struct nrs_sign *s;
	struct nrs_job *job;

	if (memenv_idle(e))
		return false;
	kinds = (e->ios != NULL) + (e->signs != NULL) + (e->jobs != NULL);
	pick = (unsigned int)(memenv_random(&e->rng) % kinds);
	if (e->ios != NULL && pick-- == 0) {
		io_advance(e);
	} else if (e->signs != NULL && pick-- == 0) {
		s = e->signs;
		if ((e->signs = s->next) == NULL)
			e->signs_last = &e->signs;
		s->rc = env_sign_run(&e->env, s);
		s->done(s);
	} else {
		job = e->jobs;
		if ((e->jobs = job->next) == NULL)
			e->jobs_last = &e->jobs;
		job->run(job);
		job->done(job);
	}
	return true;
}

void
memenv_run(struct memenv *e)
{
	while (memenv_step(e))
		continue;
}

void
memenv_fail(struct memenv *e, uint64_t n, int rc)
{
	e->fail_at = e->steps + n;
	e->fail_rc = rc;
}

static void
file_lose(struct memenv_file *f, bool tear, uint64_t *rng)
{
	size_t i, len = f->med_len;

	if (f->room == 0)
		return;
	for (i = 0; i < f->room / MEMENV_SECTOR; i++)
		if (f->dirty[i] && tear && (memenv_random(rng) & 1) != 0)
			memcpy(f->med + i * MEMENV_SECTOR, f->cur + i * MEMENV_SECTOR,
			    MEMENV_SECTOR);
	if (tear && (memenv_random(rng) & 1) != 0)
		len = f->len;
	memset(f->med + len, 0, f->room - len);
	memcpy(f->cur, f->med, f->room);
	memset(f->dirty, 0, f->room / MEMENV_SECTOR * sizeof(*f->dirty));
	f->len = f->med_len = len;
}

void
memenv_crash(struct memenv *e, enum memenv_crash how, uint64_t seed)
{
	struct memenv_file *f;
	struct memenv_name *n;

	queues_reset(e);
	handles_close(e);
	e->dead = false;
	e->die_at = 0;
	e->fail_at = 0;
	e->full = false;
	if (how == MEMENV_KILL)
		return;
	for (f = e->files; f != NULL; f = f->next)
		file_lose(f, how == MEMENV_TEAR, &seed);
	for (n = e->names; n != NULL; n = n->next) {
		if (how == MEMENV_TEAR && (memenv_random(&seed) & 1) != 0)
			n->med = n->cur;
		n->cur = n->med;
	}
}

const uint8_t *
memenv_bytes(struct memenv *e, const char *path, size_t *ret_len)
{
	struct memenv_name *n = name_find(e, path);

	if (n == NULL || n->cur == NULL)
		return NULL;
	*ret_len = n->cur->len;
	return n->cur->cur;
}

void
memenv_poke(struct memenv *e, const char *path, size_t off, uint8_t xor)
{
	struct memenv_name *n = name_find(e, path);

	if (n == NULL || n->cur == NULL || off >= n->cur->len)
		return;
	n->cur->cur[off] ^= xor;
	n->cur->med[off] = n->cur->cur[off];
}

void
memenv_resize(struct memenv *e, const char *path, size_t len)
{
	struct memenv_name *n = name_find(e, path);

	if (n == NULL || n->cur == NULL)
		return;
	file_size_set(n->cur, len);
	file_sync(n->cur);
}

void
memenv_write(struct memenv *e, const char *path, const void *p, size_t len)
{
	struct memenv_name *n = name_need(e, path);

	if (n->cur == NULL)
		n->cur = file_new(e);
	n->med = n->cur;
	file_size_set(n->cur, len);
	if (len > 0)
		memcpy(n->cur->cur, p, len);
	file_touch(n->cur, 0, len);
	file_sync(n->cur);
}

void
memenv_remove(struct memenv *e, const char *path)
{
	struct memenv_name *n = name_find(e, path);

	if (n != NULL)
		n->cur = n->med = NULL;
}
