/* What the engine sees of the world: each function belongs to one part. */
#include "daemon/env.h"

#include <sys/random.h>

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <string.h>

#include "crypto/aead.h"
#include "crypto/key.h"
#include "daemon/app.h"
#include "daemon/app_priv.h"
#include "daemon/jobs.h"
#include "daemon/keeper.h"
#include "daemon/kv.h"
#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/net.h"
#include "daemon/store.h"

static struct nrs_wall
env_wall(struct nrs_env *e)
{
	return loop_wall();
}

static struct nrs_mono
env_mono(struct nrs_env *e)
{
	return loop_mono();
}

static void
env_wake_at(struct nrs_env *e, struct nrs_mono t)
{
	struct app *a = env_app(e);
	uint64_t now = loop_mono().ns;
	uint64_t us = t.ns > now ? (t.ns - now + 999) / 1000 : 0;
	struct timeval tv = { .tv_sec = (time_t)(us / 1000000),
		.tv_usec = (suseconds_t)(us % 1000000) };

	(void)event_add(a->priv->ev_timer, &tv);
}

/* After start-up getrandom() fails only for mistakes of ours. */
static void
get_random(uint8_t *p, size_t len)
{
	while (len > 0) {
		ssize_t n = getrandom(p, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			abort();
		p += n;
		len -= (size_t)n;
	}
}

#define RANDOM_SMALL 64

/* Small ones, of which each record takes some, come from a page; used bytes are gone. */
static void
env_random(struct nrs_env *e, void *buf, size_t len)
{
	static uint8_t page[2048]; /* the loop's thread only */
	static size_t left;

	if (len > RANDOM_SMALL) {
		get_random(buf, len);
		return;
	}
	if (left < len) {
		get_random(page, sizeof(page));
		left = sizeof(page);
	}
	left -= len;
	memcpy(buf, page + left, len);
	nrs_wipe(page + left, len);
}

/* --- signatures -------------------------------------------------------------- */

/* Each thread keeps the keys that it met last ready for use. */
#define KEYS_READY 8u

struct ready_key {
	uint8_t pub[NRS_ED25519_PUB];
	struct nrs_verifier *v; /* NULL: the slot is free */
};

struct ready_keys {
	struct ready_key k[KEYS_READY];
	unsigned int next; /* to be given up */
};

static pthread_key_t ready_key;
static pthread_once_t ready_once = PTHREAD_ONCE_INIT;
static bool ready_ok;

static void
ready_free(void *arg)
{
	struct ready_keys *r = arg;

	for (unsigned int i = 0; i < KEYS_READY; i++)
		nrs_verifier_free(r->k[i].v);
	free(r);
}

/* The thread that exits the process leaves it to this. */
static void
ready_exit(void)
{
	struct ready_keys *r = pthread_getspecific(ready_key);

	(void)pthread_setspecific(ready_key, NULL);
	if (r != NULL)
		ready_free(r);
}

static void
ready_init(void)
{
	ready_ok =
	    pthread_key_create(&ready_key, ready_free) == 0 && atexit(ready_exit) == 0;
}

static struct ready_keys *
ready_of_thread(void)
{
	struct ready_keys *r;

	if (pthread_once(&ready_once, ready_init) != 0 || !ready_ok)
		return NULL;
	if ((r = pthread_getspecific(ready_key)) != NULL)
		return r;
	if ((r = calloc(1, sizeof(*r))) != NULL && pthread_setspecific(ready_key, r) != 0) {
		free(r);
		return NULL;
	}
	return r;
}

/* NULL: do without. */
static struct nrs_verifier *
ready_find(uint8_t alg, const uint8_t *pub)
{
	struct ready_keys *r = ready_of_thread();
	struct nrs_verifier *v;
	struct ready_key *k;

	for (unsigned int i = 0; r != NULL && i < KEYS_READY; i++)
		if (r->k[i].v != NULL && memcmp(r->k[i].pub, pub, sizeof(r->k[i].pub)) == 0)
			return r->k[i].v;
	if (r == NULL || nrs_verifier_new(alg, pub, NRS_ED25519_PUB, &v) != 0)
		return NULL;
	k = &r->k[r->next++ % KEYS_READY];
	nrs_verifier_free(k->v);
	memcpy(k->pub, pub, sizeof(k->pub));
	k->v = v;
	return v;
}

static int
env_verify(uint8_t alg, const uint8_t *pub, size_t pub_len, const uint8_t *msg,
    size_t msg_len, const uint8_t *sig, size_t sig_len)
{
	struct nrs_verifier *v = NULL;

	if (alg == NRS_ALG_ED25519 && pub_len == NRS_ED25519_PUB)
		v = ready_find(alg, pub);
	return v != NULL ? nrs_verifier_run(v, msg, msg_len, sig, sig_len)
			 : nrs_verify(alg, pub, pub_len, msg, msg_len, sig, sig_len);
}

static void
env_sign(struct nrs_env *e, struct nrs_sign *s)
{
	keeper_sign(env_app(e)->keeper, s);
}

static int
env_sign_run(struct nrs_env *e, struct nrs_sign *s)
{
	return keeper_sign_run(env_app(e)->keeper, s);
}

static void
env_log(struct nrs_env *e, enum nrs_level lvl, const char *subject, const char *text)
{
	log_msg(lvl, subject, "%s", text);
}

const struct nrs_env_ops env_ops = {
	.wall = env_wall,
	.mono = env_mono,
	.wake_at = env_wake_at,
	.random = env_random,
	.file_open = store_file_open,
	.file_close = store_file_close,
	.file_size = store_file_size,
	.file_pread = store_file_pread,
	.dir_make = store_dir_make,
	.dir_list = store_dir_list,
	.io_run = store_io_run,
	.io_submit = store_io_submit,
	.job_submit = jobs_submit,
	.sign = env_sign,
	.sign_run = env_sign_run,
	.verify = env_verify,
	.dial = net_dial,
	.send = net_send,
	.unsent = net_unsent,
	.close = net_close,
	.log = env_log,
	.kv_get = kv_get,
	.kv_put = kv_put,
	.kv_mark = kv_mark,
	.kv_clear = kv_clear,
};
