/* What the engine sees of the world: each function belongs to one part. */
#include "daemon/env.h"

#include <sys/random.h>

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

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
env_random(struct nrs_env *e, void *buf, size_t len)
{
	uint8_t *p = buf;

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
	.verify = nrs_verify,
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
