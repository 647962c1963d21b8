/*
 * LMDB behind kv.h.  What the engine puts is queued; the writer takes the whole
 * queue, sorts it (sorted keys go in several times faster than random ones),
 * and commits it with the newest mark in one transaction.  A batch that could
 * not be written stays and is tried again: a mark never overtakes its items.
 *
 * The map grows when it is full.  LMDB forbids that while a transaction of
 * this process is open, so readers and the growing writer share a lock.
 */
#include "daemon/kv.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <errno.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "daemon/app.h"
#include "daemon/log.h"
#include "daemon/loop.h"

#define MAP_FIRST    ((size_t)1 << 30) /* address space, not disk */
#define BATCH_ITEMS  10000	       /* written at once, without waiting for the second */
#define WRITE_EVERY  1		       /* seconds */
#define ROOM	     (1u << 20) /* with less than that free, a short write is no riddle */
#define MARK_KEY     "mark"
#define MARK_KEY_LEN 4

struct kv {
	MDB_env *env;
	MDB_dbi items, meta;
	MDB_txn *reader;     /* reset between uses; the engine's thread */
	pthread_mutex_t map; /* held while a transaction reads, and while the map grows */

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t work;
	struct nrs_kv_item *queue;
	size_t n, cap;
	uint64_t queue_mark;
	bool queue_clear; /* before the items of the queue */
	bool clearing;	  /* a clear is queued or under way: the old content is not seen */
	bool lost;	  /* out of memory: nothing is kept until the next start */
	uint64_t mark;
	bool stop;

	char dir[4096];
	unsigned long thread;
	bool running;
};

struct kv_batch {
	struct nrs_kv_item *v;
	size_t n;
	uint64_t mark;
	bool clear;
};

static int
item_cmp(const void *a, const void *b)
{
	const struct nrs_kv_item *x = a, *y = b;
	int c = memcmp(x->key, y->key, sizeof(x->key));

	/* Of one key the largest value is written last, whatever qsort does. */
	return c != 0 ? c : (x->value > y->value) - (x->value < y->value);
}

/* LMDB says EIO of a write that fell short, as the last one before the disk is full does. */
static const char *
why(const struct kv *kv, int rc)
{
	struct statvfs fs;

	if (rc == ENOSPC || rc == EDQUOT || rc == MDB_MAP_FULL)
		return "no space";
	if (rc == EIO && statvfs(kv->dir, &fs) == 0 &&
	    (uint64_t)fs.f_bavail * fs.f_frsize < ROOM)
		return "no space";
	return mdb_strerror(rc);
}

/* --- writing ------------------------------------------------------------ */

static int
put_mark(struct kv *kv, MDB_txn *txn, uint64_t mark)
{
	uint8_t raw[8];
	MDB_val k = { MARK_KEY_LEN, (void *)(uintptr_t)MARK_KEY }, v = { sizeof(raw), raw };

	nrs_put_u64(raw, mark);
	return mdb_put(txn, kv->meta, &k, &v, 0);
}

static int
write_txn(struct kv *kv, const struct kv_batch *b)
{
	MDB_txn *txn;
	MDB_val k, v;
	uint8_t raw[8];
	int rc;

	if ((rc = mdb_txn_begin(kv->env, NULL, 0, &txn)) != 0)
		return rc;
	if (b->clear && (rc = mdb_drop(txn, kv->items, 0)) != 0)
		goto fail;
	for (size_t i = 0; i < b->n; i++) {
		k = (MDB_val){ sizeof(b->v[i].key), b->v[i].key };
		v = (MDB_val){ sizeof(raw), raw };
		nrs_put_u64(raw, b->v[i].value);
		if ((rc = mdb_put(txn, kv->items, &k, &v, 0)) != 0)
			goto fail;
	}
	if ((rc = put_mark(kv, txn, b->mark)) != 0)
		goto fail;
	return mdb_txn_commit(txn);
fail:
	mdb_txn_abort(txn);
	return rc;
}

static int
grow_map(struct kv *kv)
{
	MDB_envinfo info;
	int rc;

	pthread_mutex_lock(&kv->map);
	rc = mdb_env_info(kv->env, &info);
	if (rc == 0)
		rc = mdb_env_set_mapsize(kv->env, info.me_mapsize * 2);
	pthread_mutex_unlock(&kv->map);
	return rc;
}

static int
write_batch(struct kv *kv, const struct kv_batch *b)
{
	int rc;

	if (b->n > 0)
		qsort(b->v, b->n, sizeof(*b->v), item_cmp);
	while ((rc = write_txn(kv, b)) == MDB_MAP_FULL)
		if ((rc = grow_map(kv)) != 0)
			return rc;
	return rc;
}

/* Takes the queue; what a failed write left in *b stays in front of it. */
static bool
take_queue(struct kv *kv, struct kv_batch *b)
{
	struct nrs_kv_item *v;

	if (kv->queue_clear) {
		free(b->v);
		*b = (struct kv_batch){ .clear = true };
		kv->queue_clear = false;
	}
	if (b->n == 0) {
		free(b->v);
		b->v = kv->queue;
		b->n = kv->n;
	} else if (kv->n > 0) {
		v = realloc(b->v, (b->n + kv->n) * sizeof(*v));
		if (v == NULL)
			return false; /* the queue stays; next time */
		memcpy(v + b->n, kv->queue, kv->n * sizeof(*v));
		b->v = v;
		b->n += kv->n;
		free(kv->queue);
	} else {
		free(kv->queue);
	}
	b->mark = kv->queue_mark;
	kv->queue = NULL;
	kv->n = kv->cap = 0;
	return true;
}

static void
wait_for_work(struct kv *kv)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += WRITE_EVERY;
	while (!kv->stop && kv->n < BATCH_ITEMS &&
	    pthread_cond_timedwait(&kv->work, &kv->lock, &until) != ETIMEDOUT)
		;
}

static void *
writer(void *arg)
{
	struct kv *kv = arg;
	struct kv_batch b = { 0 };
	bool failing = false, stop;
	int rc;

	pthread_mutex_lock(&kv->lock);
	do {
		wait_for_work(kv);
		stop = kv->stop;
		if (kv->queue_mark == kv->mark && !kv->queue_clear && !b.clear && b.n == 0)
			continue;
		if (!take_queue(kv, &b))
			continue;
		pthread_mutex_unlock(&kv->lock);
		rc = write_batch(kv, &b);
		if (rc != 0 && !failing)
			log_warning("cache",
			    "keys cannot be written, tried again every second: %s",
			    why(kv, rc));
		failing = rc != 0;
		pthread_mutex_lock(&kv->lock);
		if (rc != 0)
			continue;
		if (!kv->queue_clear) {
			kv->clearing = false;
			kv->mark = b.mark;
		}
		free(b.v);
		b = (struct kv_batch){ 0 };
	} while (!stop);
	pthread_mutex_unlock(&kv->lock);
	free(b.v);
	return NULL;
}

/* --- opening ------------------------------------------------------------ */

static int
open_dbs(struct kv *kv)
{
	MDB_val k = { MARK_KEY_LEN, (void *)(uintptr_t)MARK_KEY }, v;
	MDB_txn *txn;
	int rc;

	if ((rc = mdb_txn_begin(kv->env, NULL, 0, &txn)) != 0)
		return rc;
	if ((rc = mdb_dbi_open(txn, "items", MDB_CREATE, &kv->items)) != 0 ||
	    (rc = mdb_dbi_open(txn, "meta", MDB_CREATE, &kv->meta)) != 0)
		goto fail;
	rc = mdb_get(txn, kv->meta, &k, &v);
	if (rc == 0 && v.mv_size == 8)
		kv->mark = nrs_get_u64(v.mv_data);
	else if (rc == 0)
		rc = MDB_CORRUPTED;
	if (rc != 0 && rc != MDB_NOTFOUND)
		goto fail;
	if ((rc = mdb_txn_commit(txn)) != 0)
		return rc;
	if ((rc = mdb_txn_begin(kv->env, NULL, MDB_RDONLY, &kv->reader)) == 0)
		mdb_txn_reset(kv->reader);
	return rc;
fail:
	mdb_txn_abort(txn);
	return rc;
}

static void
close_env(struct kv *kv)
{
	if (kv->reader != NULL)
		mdb_txn_abort(kv->reader);
	if (kv->env != NULL)
		mdb_env_close(kv->env);
	kv->reader = NULL;
	kv->env = NULL;
	kv->mark = 0;
}

static int
open_env(struct kv *kv)
{
	int rc;

	if (mkdir(kv->dir, 0700) != 0 && errno != EEXIST)
		return errno;
	if ((rc = mdb_env_create(&kv->env)) != 0)
		return rc;
	/* Only this process opens it: the data directory is locked. */
	if ((rc = mdb_env_set_maxdbs(kv->env, 4)) == 0 &&
	    (rc = mdb_env_set_mapsize(kv->env, MAP_FIRST)) == 0 &&
	    (rc = mdb_env_open(kv->env, kv->dir, MDB_NOTLS | MDB_NOMETASYNC, 0600)) == 0)
		rc = open_dbs(kv);
	if (rc != 0)
		close_env(kv);
	return rc;
}

/* The damaged files stay for whoever wants to look, one generation of them. */
static void
set_aside(struct kv *kv)
{
	static const char *const names[] = { "data.mdb", "lock.mdb" };
	char from[sizeof(kv->dir) + 16], to[sizeof(kv->dir) + 32];

	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(from, sizeof(from), "%s/%s", kv->dir, names[i]);
		snprintf(to, sizeof(to), "%s.damaged", from);
		if (rename(from, to) != 0 && errno != ENOENT)
			log_warning(
			    "cache", "cannot set aside %s: %s", from, strerror(errno));
	}
}

int
kv_new(struct app *app, const char *data_dir, struct kv **ret, struct nrs_detail *d)
{
	pthread_condattr_t mono;
	struct kv *kv;
	int rc;

	*ret = NULL;
	if ((kv = calloc(1, sizeof(*kv))) == NULL)
		return nrs_fail(d, NRS_ENOMEM, 0, "no memory for the cache");
	pthread_condattr_init(&mono);
	pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
	pthread_mutex_init(&kv->map, NULL);
	pthread_mutex_init(&kv->lock, NULL);
	pthread_cond_init(&kv->work, &mono);
	pthread_condattr_destroy(&mono);
	if (snprintf(kv->dir, sizeof(kv->dir), "%s/kv", data_dir) >= (int)sizeof(kv->dir)) {
		rc = nrs_fail(
		    d, NRS_ELIMIT, 0, "the path of the data directory is too long");
		goto fail;
	}
	/* LMDB's own errors are negative; of others (no space, no right) a new start is no cure. */
	if ((rc = open_env(kv)) < 0) {
		log_warning(
		    "cache", "%s is damaged and begun anew: %s", kv->dir, mdb_strerror(rc));
		set_aside(kv);
		rc = open_env(kv);
	}
	if (rc != 0) {
		rc = nrs_fail(d, NRS_EIO, 0, "cannot open kv/: %s", why(kv, rc));
		goto fail;
	}
	kv->queue_mark = kv->mark;
	if ((rc = loop_thread(&kv->thread, writer, kv, "noroshi-kv")) != 0) {
		nrs_fail(d, rc, 0, "cannot start the thread of the cache");
		goto fail;
	}
	kv->running = true;
	*ret = kv;
	return 0;
fail:
	kv_free(kv);
	return rc;
}

void
kv_free(struct kv *kv)
{
	if (kv == NULL)
		return;
	if (kv->running) {
		pthread_mutex_lock(&kv->lock);
		kv->stop = true;
		pthread_cond_signal(&kv->work);
		pthread_mutex_unlock(&kv->lock);
		pthread_join(kv->thread, NULL);
	}
	close_env(kv);
	free(kv->queue);
	pthread_cond_destroy(&kv->work);
	pthread_mutex_destroy(&kv->lock);
	pthread_mutex_destroy(&kv->map);
	free(kv);
}

/* --- the environment's calls -------------------------------------------- */

int
kv_get(struct nrs_env *e, const uint8_t key[16], uint64_t *ret_value)
{
	struct kv *kv = env_app(e)->kv;
	MDB_val k = { 16, (void *)(uintptr_t)key }, v;
	bool clearing;
	int rc;

	*ret_value = 0;
	pthread_mutex_lock(&kv->lock);
	clearing = kv->clearing;
	pthread_mutex_unlock(&kv->lock);
	if (clearing)
		return NRS_ENOTFOUND;
	pthread_mutex_lock(&kv->map);
	rc = mdb_txn_renew(kv->reader);
	if (rc == 0 && (rc = mdb_get(kv->reader, kv->items, &k, &v)) == 0) {
		if (v.mv_size == 8)
			*ret_value = nrs_get_u64(v.mv_data);
		else
			rc = MDB_CORRUPTED;
	}
	mdb_txn_reset(kv->reader);
	pthread_mutex_unlock(&kv->map);
	return rc == 0 ? 0 : rc == MDB_NOTFOUND ? NRS_ENOTFOUND : NRS_EIO;
}

void
kv_put(struct nrs_env *e, const struct nrs_kv_item *items, size_t n, uint64_t mark)
{
	struct kv *kv = env_app(e)->kv;
	struct nrs_kv_item *v;
	size_t cap;

	pthread_mutex_lock(&kv->lock);
	if (kv->lost)
		goto out;
	if (kv->n + n > kv->cap) {
		cap = (kv->n + n) * 2;
		if ((v = realloc(kv->queue, cap * sizeof(*v))) == NULL) {
			kv->lost = true; /* the mark stays: the next start fills it in */
			goto out;
		}
		kv->queue = v;
		kv->cap = cap;
	}
	if (n > 0)
		memcpy(kv->queue + kv->n, items, n * sizeof(*items));
	kv->n += n;
	kv->queue_mark = mark;
	if (kv->n >= BATCH_ITEMS)
		pthread_cond_signal(&kv->work);
out:
	pthread_mutex_unlock(&kv->lock);
}

uint64_t
kv_mark(struct nrs_env *e)
{
	struct kv *kv = env_app(e)->kv;
	uint64_t mark;

	pthread_mutex_lock(&kv->lock);
	mark = kv->clearing ? 0 : kv->mark;
	pthread_mutex_unlock(&kv->lock);
	return mark;
}

void
kv_clear(struct nrs_env *e)
{
	struct kv *kv = env_app(e)->kv;

	pthread_mutex_lock(&kv->lock);
	kv->n = 0;
	kv->queue_mark = 0;
	kv->queue_clear = kv->clearing = true;
	kv->lost = false;
	pthread_cond_signal(&kv->work);
	pthread_mutex_unlock(&kv->lock);
}
