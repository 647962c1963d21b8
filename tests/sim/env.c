/*
 * The environment of one simulated machine: requests to the disk with latency
 * and a place in each step where the power can go, jobs that end in any order, a
 * keeper with its rules, a cache that forgets, clocks.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/aead.h"
#include "journal/journal.h"
#include "record/record.h"
#include "sim.h"
#include "tlog/checkpoint.h"

#define BATCHES                                                              \
	(1u << PROTO_RECORDS | 1u << PROTO_LEAVES | 1u << PROTO_CHECKPOINT | \
	    1u << PROTO_STATEMENT)
#define BASE_MS 1763800000000ULL

static struct snode *
of_env(struct nrs_env *e)
{
	return (struct snode *)(void *)e;
}

/* --- turns, clocks --------------------------------------------------------- */

static void
turn_now(struct snode *n)
{
	const char *why;

	n->turn_due = false;
	node_turn(n->node);
	if ((why = node_failed(n->node)) != NULL)
		world_failed(n, why);
}

static void
ev_turn(struct sim *s, const struct sim_ev *e)
{
	if (e->who->node != NULL && e->who->turn_due)
		turn_now(e->who);
}

void
env_turn(struct snode *n)
{
	if (n->node == NULL || n->opening)
		return;
	if (rng_chance(&n->sim->rng, 3, 4)) {
		turn_now(n);
	} else if (!n->turn_due) {
		n->turn_due = true;
		sim_after(
		    n->sim, rng_below(&n->sim->rng, 100 * SIM_US), ev_turn, n, NULL, 0);
	}
}

static struct nrs_wall
env_wall(struct nrs_env *e)
{
	struct snode *n = of_env(e);
	struct nrs_wall w;

	w.ms = BASE_MS + n->sim->now / SIM_MS + (uint64_t)n->skew_ms;
	return w;
}

static struct nrs_mono
env_mono(struct nrs_env *e)
{
	struct snode *n = of_env(e);
	struct nrs_mono m = { n->sim->now - n->boot + 1 };

	return m;
}

static void
ev_timer(struct sim *s, const struct sim_ev *e)
{
	struct snode *n = e->who;

	if (n->node == NULL || e->a != n->wake_gen)
		return;
	n->wake_gen++;
	node_on_timer(n->node);
	env_turn(n);
}

static void
env_wake_at(struct nrs_env *e, struct nrs_mono t)
{
	struct snode *n = of_env(e);
	uint64_t at = n->boot + t.ns - (t.ns > 0), now = n->sim->now;

	sim_after(n->sim, (at > now ? at - now : 0) + rng_below(&n->sim->rng, 200 * SIM_US),
	    ev_timer, n, NULL, ++n->wake_gen);
}

static void
env_random(struct nrs_env *e, void *buf, size_t len)
{
	rng_fill(&of_env(e)->sim->rng, buf, len);
}

/* --- storage --------------------------------------------------------------- */

static int
env_file_open(struct nrs_env *e, const char *path, unsigned int flags, nrs_file *ret)
{
	struct snode *n = of_env(e);

	*ret = 0;
	return n->dead ? NRS_EIO : disk_open(n->disk, path, flags, ret);
}

static void
env_file_close(struct nrs_env *e, nrs_file f)
{
	disk_close(of_env(e)->disk, f);
}

static int
env_file_size(struct nrs_env *e, nrs_file f, uint64_t *ret)
{
	struct snode *n = of_env(e);

	*ret = 0;
	return n->dead ? NRS_EIO : disk_size(n->disk, f, ret);
}

static int
env_file_pread(
    struct nrs_env *e, nrs_file f, uint64_t off, void *buf, size_t len, size_t *ret)
{
	struct snode *n = of_env(e);

	*ret = 0;
	return n->dead ? NRS_EIO : disk_pread(n->disk, f, off, buf, len, ret);
}

static int
env_dir_make(struct nrs_env *e, const char *path)
{
	struct snode *n = of_env(e);

	return n->dead ? NRS_EIO : disk_mkdir(n->disk, path);
}

static int
env_dir_list(struct nrs_env *e, const char *path, void (*each)(void *arg, const char *name),
    void *arg)
{
	struct snode *n = of_env(e);

	return n->dead ? NRS_EIO : disk_list(n->disk, path, each, arg);
}

static unsigned int
classify_recovery(const struct nrs_io *io)
{
	unsigned int i, p = PROTO_NAMES;

	for (i = 0; i < io->nsteps; i++) {
		if (io->steps[i].op == NRS_IO_REREAD)
			p = PROTO_READ;
		else if (io->steps[i].op == NRS_IO_TRUNCATE)
			p = PROTO_CUT;
		else if (io->steps[i].op == NRS_IO_UNLINK && p != PROTO_CUT)
			p = PROTO_UNUSED;
	}
	return 1u << p;
}

/* What a request is, by the file of its first step and, for a batch, its frames. */
static unsigned int
classify(struct snode *n, const struct nrs_io *io)
{
	const struct nrs_io_step *st = &io->steps[0];
	unsigned int mask = 0;
	const uint8_t *p;
	const char *path;
	size_t at;

	if (n->opening && !n->created)
		return 1u << PROTO_CREATE;
	if (io->nsteps == 0)
		return 0;
	path = st->file != 0 ? disk_path(n->disk, st->file) : st->path;
	if (n->opening && strncmp(path, "journal", 7) == 0)
		return classify_recovery(io);
	if (strstr(path, ".key") != NULL)
		return 1u << PROTO_ROLL;
	if (strstr(path, ".nrj") == NULL || st->op != NRS_IO_PWRITE)
		return 1u << PROTO_CACHE;
	p = st->data;
	for (at = 0; at + 24 <= st->len; at += 24 + ((nrs_get_u32(p + at + 4) + 7) & ~7u))
		switch (p[at]) {
		case NRS_J_RECORD:
			mask |= 1u << PROTO_RECORDS;
			break;
		case NRS_J_LEAVES:
			mask |= 1u << PROTO_LEAVES;
			break;
		case NRS_J_CHECKPOINT:
			mask |= 1u << PROTO_CHECKPOINT;
			break;
		case NRS_J_STATEMENT:
			mask |= 1u << PROTO_STATEMENT;
			break;
		}
	return mask;
}

static void
cov_step(unsigned int protos, unsigned int step, unsigned int op)
{
	unsigned int p;

	for (p = 0; step < COV_STEPS && p < PROTO__MAX; p++)
		if (protos >> p & 1) {
			cov_add(&sim_cov->done[p][step], 1);
			sim_cov->op[p][step] = (uint8_t)op;
		}
}

static void
cov_crash(unsigned int protos, unsigned int step, unsigned int op, unsigned int when)
{
	unsigned int p;

	for (p = 0; step < COV_STEPS && p < PROTO__MAX; p++)
		if (protos >> p & 1) {
			cov_add(&sim_cov->crash[p][step][when], 1);
			sim_cov->op[p][step] = (uint8_t)op;
		}
}

/* The power goes while this step is being done: not begun, half, or done. */
static void
step_interrupted(
    struct snode *n, const struct nrs_io_step *st, unsigned int protos, unsigned int step)
{
	unsigned int when = (unsigned int)rng_below(&n->sim->rng, COV__MAX);

	if (when == COV_INSIDE)
		disk_step_torn(n->disk, st);
	else if (when == COV_AFTER)
		(void)disk_step(n->disk, st);
	cov_crash(protos, step, st->op, when);
}

static int
env_io_run(struct nrs_env *e, struct nrs_io *io)
{
	struct snode *n = of_env(e);
	unsigned int i, protos = io->nsteps > 0 ? classify(n, io) : 0;

	io->rc = 0;
	for (i = 0; i < io->nsteps; i++) {
		if (!n->dead && n->open_steps == 0) {
			step_interrupted(n, &io->steps[i], protos, i);
			n->dead = true;
		}
		if (n->open_steps > 0)
			n->open_steps--;
		io->rc = n->dead ? NRS_EIO : disk_step(n->disk, &io->steps[i]);
		if (io->rc != 0) {
			io->failed = i;
			return io->rc;
		}
		cov_step(protos, i, io->steps[i].op);
	}
	return 0;
}

static void io_next(struct snode *n);

static void
ev_io_done(struct sim *s, const struct sim_ev *e)
{
	struct snode *n = e->who;
	struct nrs_io *io = n->io_first;

	n->io_first = io->next;
	if (n->io_first == NULL)
		n->io_last = &n->io_first;
	n->io_busy = false;
	if (io->nsteps > 0 && n->io_protos != 1u << PROTO_CACHE)
		n->rolled = n->io_protos == 1u << PROTO_ROLL;
	io->next = NULL;
	io->done(io);
	if (!n->io_busy)
		io_next(n);
	env_turn(n);
}

static uint64_t
step_latency(struct rng *r, enum nrs_io_op op)
{
	if (op != NRS_IO_SYNC && op != NRS_IO_SYNCDIR)
		return rng_range(r, 10 * SIM_US, 150 * SIM_US);
	if (rng_chance(r, 1, 100))
		return rng_range(r, 5 * SIM_MS, 60 * SIM_MS);
	return rng_range(r, 200 * SIM_US, 3 * SIM_MS);
}

static void io_step(struct snode *n);

static void
ev_io_step(struct sim *s, const struct sim_ev *e)
{
	struct snode *n = e->who;
	struct nrs_io *io = n->io_first;

	io->rc = disk_step(n->disk, &io->steps[n->io_step]);
	if (rng_chance(&s->rng, 1, 16))
		disk_writeback(n->disk);
	if (io->rc != 0) {
		io->failed = n->io_step;
		sim_after(s, rng_below(&s->rng, 50 * SIM_US), ev_io_done, n, NULL, 0);
		return;
	}
	cov_step(n->io_protos, n->io_step, io->steps[n->io_step].op);
	n->io_step++;
	io_step(n);
}

static void
io_step(struct snode *n)
{
	struct nrs_io *io = n->io_first;
	struct rng *r = &n->sim->rng;
	uint64_t lat;

	if (n->io_step == io->nsteps) {
		sim_after(n->sim, rng_below(r, 50 * SIM_US), ev_io_done, n, NULL, 0);
		return;
	}
	lat = step_latency(r, io->steps[n->io_step].op);
	world_arm_hit(n, n->io_protos, n->io_step, lat);
	sim_after(n->sim, lat, ev_io_step, n, NULL, 0);
}

static void
io_next(struct snode *n)
{
	if (n->io_first == NULL)
		return;
	n->io_busy = true;
	n->io_step = 0;
	n->io_first->rc = 0;
	n->io_protos = n->io_first->nsteps > 0 ? classify(n, n->io_first) : 0;
	if (n->rolled && (n->io_protos & BATCHES) != 0)
		n->io_protos |= 1u << PROTO_FIRST;
	io_step(n);
}

static void
env_io_submit(struct nrs_env *e, struct nrs_io *io)
{
	struct snode *n = of_env(e);

	io->next = NULL;
	*n->io_last = io;
	n->io_last = &io->next;
	if (!n->io_busy)
		io_next(n);
}

/* --- jobs ------------------------------------------------------------------ */

static void
ev_job(struct sim *s, const struct sim_ev *e)
{
	struct nrs_job *job = e->p;

	e->who->jobs--;
	if (e->a == 0)
		job->run(job);
	job->done(job);
	env_turn(e->who);
}

static void
env_job_submit(struct nrs_env *e, struct nrs_job *job)
{
	struct snode *n = of_env(e);
	struct rng *r = &n->sim->rng;
	bool early = rng_chance(r, 1, 3);

	if (early)
		job->run(job);
	n->jobs++;
	sim_after(n->sim,
	    rng_range(r, 5 * SIM_US, rng_chance(r, 1, 20) ? 20 * SIM_MS : 2 * SIM_MS),
	    ev_job, n, job, early);
}

/* --- keeper ---------------------------------------------------------------- */

static int
keeper_headers(struct snode *n, struct nrs_sign *s)
{
	uint8_t pae[NRS_PAE_MAX];
	struct nrs_header h;
	size_t i, count = s->in_len / NRS_HEADER_LEN, len;

	if (s->in_len % NRS_HEADER_LEN != 0 || s->out_len < count * 64)
		return NRS_EINTERNAL;
	for (i = 0; i < count; i++) {
		const uint8_t *p = s->in + i * NRS_HEADER_LEN;

		if (nrs_header_decode(&h, p, NRS_HEADER_LEN, NULL) != 0 ||
		    !nrs_hash_eq(&h.origin, &n->origin_id))
			sim_fail(
			    n->sim, "keeper", "%s: asked to sign a bad header", n->name);
		len = nrs_header_pae(p, pae);
		keys_sign(&n->keys, KEY_FEED, pae, len, s->out + i * 64);
	}
	s->out_len = count * 64;
	return 0;
}

static int
keeper_checkpoint(struct snode *n, struct nrs_sign *s)
{
	struct nrs_checkpoint c;
	struct keeper *k = &n->keeper;

	if (nrs_checkpoint_parse(&c, s->in, s->in_len, NULL) != 0 ||
	    strcmp(c.origin, n->name) != 0)
		sim_fail(n->sim, "keeper", "%s: asked to sign a bad checkpoint", n->name);
	if (k->any && c.size == k->size && !nrs_hash_eq(&c.root, &k->root))
		sim_fail(n->sim, "one root for one size", "%s: two roots of size %llu",
		    n->name, (unsigned long long)c.size);
	if (k->any && c.size < k->size)
		sim_fail(n->sim, "checkpoints grow", "%s: size %llu after %llu", n->name,
		    (unsigned long long)c.size, (unsigned long long)k->size);
	k->any = true;
	k->size = c.size;
	k->root = c.root;
	check_signed(n, c.size, &c.root);
	keys_sign(&n->keys, KEY_LOG, s->in, s->in_len, s->out);
	s->out_len = 64;
	return 0;
}

static void
kek(const struct snode *n, uint8_t out[32])
{
	memcpy(out, n->keys.pin.b, 32);
}

static int
keeper_do(struct snode *n, struct nrs_sign *s)
{
	uint8_t key[32], nonce[12];
	int rc;

	kek(n, key);
	switch (s->what) {
	case NRS_SIGN_HEADERS:
		return keeper_headers(n, s);
	case NRS_SIGN_CHECKPOINT:
		return keeper_checkpoint(n, s);
	case NRS_SIGN_STATEMENT:
		keys_sign(&n->keys, KEY_FEED, s->in, s->in_len, s->out);
		s->out_len = 64;
		return 0;
	case NRS_SIGN_COSIGN:
		return NRS_EPERM; /* nobody witnesses here */
	case NRS_KEK_WRAP:
		rng_fill(&n->sim->rng, nonce, sizeof(nonce));
		rc = nrs_seed_wrap(key, nonce, nrs_get_u64(s->in + 32), s->in, s->out);
		s->out_len = NRS_WRAPPED_SEED;
		return rc;
	case NRS_KEK_UNWRAP:
		rc = nrs_seed_unwrap(key, nrs_get_u64(s->in + 60), s->in, s->out);
		s->out_len = 32;
		return rc;
	}
	return NRS_EINTERNAL;
}

static int
env_sign_run(struct nrs_env *e, struct nrs_sign *s)
{
	struct snode *n = of_env(e);

	s->rc = n->dead ? NRS_EIO : keeper_do(n, s);
	if (s->rc == 0 && s->what == NRS_SIGN_CHECKPOINT)
		cov_add(&sim_cov->signed_again, 1);
	return s->rc;
}

static void sign_next(struct snode *n);

static unsigned int
sign_proto(const struct nrs_sign *s)
{
	return s->what == NRS_SIGN_CHECKPOINT ? 1u << PROTO_KEEPER : 0;
}

static void
ev_sign_done(struct sim *s, const struct sim_ev *e)
{
	struct snode *n = e->who;
	struct nrs_sign *sg = n->sign_first;

	cov_step(sign_proto(sg), 1, 10);
	n->sign_first = sg->next;
	if (n->sign_first == NULL)
		n->sign_last = &n->sign_first;
	n->sign_busy = false;
	sg->next = NULL;
	sg->done(sg);
	if (!n->sign_busy)
		sign_next(n);
	env_turn(n);
}

/* The signature is made, and remembered; the engine does not have it yet. */
static void
ev_sign(struct sim *s, const struct sim_ev *e)
{
	struct snode *n = e->who;
	uint64_t lat = rng_range(&s->rng, 20 * SIM_US, SIM_MS);

	n->sign_first->rc = keeper_do(n, n->sign_first);
	n->sign_made = true;
	cov_step(sign_proto(n->sign_first), 0, 9);
	world_arm_hit(n, sign_proto(n->sign_first), 1, lat);
	sim_after(s, lat, ev_sign_done, n, NULL, 0);
}

static void
sign_next(struct snode *n)
{
	uint64_t lat = rng_range(&n->sim->rng, 20 * SIM_US, SIM_MS);

	if (n->sign_first == NULL)
		return;
	n->sign_busy = true;
	n->sign_made = false;
	world_arm_hit(n, sign_proto(n->sign_first), 0, lat);
	sim_after(n->sim, lat, ev_sign, n, NULL, 0);
}

static void
env_sign(struct nrs_env *e, struct nrs_sign *s)
{
	struct snode *n = of_env(e);

	s->next = NULL;
	*n->sign_last = s;
	n->sign_last = &s->next;
	if (!n->sign_busy)
		sign_next(n);
}

/* --- network, log ---------------------------------------------------------- */

static void
env_dial(struct nrs_env *e, const char *peer)
{
	struct snode *n = of_env(e);

	net_dial(n->sim->net, n->id, peer);
}

static int
env_send(struct nrs_env *e, nrs_conn c, const void *p, size_t len)
{
	return net_send(of_env(e)->sim->net, c, p, len);
}

static size_t
env_unsent(struct nrs_env *e, nrs_conn c)
{
	return net_unsent(of_env(e)->sim->net, c);
}

static void
env_close(struct nrs_env *e, nrs_conn c)
{
	net_close(of_env(e)->sim->net, c);
}

static void
env_log(struct nrs_env *e, enum nrs_level lvl, const char *subject, const char *text)
{
	struct snode *n = of_env(e);

	check_log_line(n, subject);
	check_log_line(n, text);
	sim_trace(n->sim, "%s: <%d> %s: %s", n->name, (int)lvl, subject, text);
}

/* --- the key-value cache ---------------------------------------------------- */

static void
kv_index(struct kv *kv)
{
	static const uint8_t seed[16] = "simulated kv";
	size_t i;

	nrs_map_free(kv->map);
	if ((kv->map = nrs_map_new(16, seed)) == NULL)
		abort();
	for (i = 0; i < kv->nputs; i++)
		if (nrs_map_set(
			kv->map, kv->puts[i].key, (void *)(uintptr_t)(i + 1), NULL) != 0)
			abort();
}

int
kv_get(struct kv *kv, const uint8_t key[16], uint64_t *ret)
{
	uintptr_t i;

	if (kv->map == NULL)
		kv_index(kv);
	i = (uintptr_t)nrs_map_find(kv->map, key);
	*ret = i != 0 ? kv->puts[i - 1].value : 0;
	return i != 0 ? 0 : NRS_ENOTFOUND;
}

/* What was applied lately may be lost, with its mark, from the end. */
void
kv_crash(struct kv *kv, struct rng *r)
{
	kv->nmarks = rng_range(r, kv->durable, kv->nmarks);
	kv->durable = kv->nmarks;
	kv->nputs = kv->nmarks > 0 ? kv->marks[kv->nmarks - 1].end : 0;
	kv_index(kv);
}

static int
env_kv_get(struct nrs_env *e, const uint8_t key[16], uint64_t *ret)
{
	return kv_get(&of_env(e)->kv, key, ret);
}

static void *
grow(void *p, size_t n, size_t *cap, size_t size)
{
	if (n < *cap)
		return p;
	*cap = *cap > 0 ? *cap * 2 : 64;
	if ((p = realloc(p, *cap * size)) == NULL)
		abort();
	return p;
}

static void
env_kv_put(struct nrs_env *e, const struct nrs_kv_item *items, size_t n, uint64_t mark)
{
	struct snode *sn = of_env(e);
	struct kv *kv = &sn->kv;
	size_t i;

	if (kv->map == NULL)
		kv_index(kv);
	for (i = 0; i < n; i++) {
		kv->puts = grow(kv->puts, kv->nputs, &kv->cap, sizeof(*kv->puts));
		memcpy(kv->puts[kv->nputs].key, items[i].key, 16);
		kv->puts[kv->nputs++].value = items[i].value;
		if (nrs_map_set(
			kv->map, items[i].key, (void *)(uintptr_t)kv->nputs, NULL) != 0)
			abort();
	}
	kv->marks = grow(kv->marks, kv->nmarks, &kv->marks_cap, sizeof(*kv->marks));
	kv->marks[kv->nmarks].mark = mark;
	kv->marks[kv->nmarks++].end = kv->nputs;
	if (rng_chance(&sn->sim->rng, 1, 8))
		kv->durable = rng_range(&sn->sim->rng, kv->durable, kv->nmarks);
}

static uint64_t
env_kv_mark(struct nrs_env *e)
{
	struct kv *kv = &of_env(e)->kv;

	return kv->nmarks > 0 ? kv->marks[kv->nmarks - 1].mark : 0;
}

static void
env_kv_clear(struct nrs_env *e)
{
	struct kv *kv = &of_env(e)->kv;

	kv->nputs = kv->nmarks = kv->durable = 0;
	kv_index(kv);
}

/* --- life ------------------------------------------------------------------ */

static const struct nrs_env_ops env_ops = {
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
	.verify = keys_verify,
	.dial = env_dial,
	.send = env_send,
	.unsent = env_unsent,
	.close = env_close,
	.log = env_log,
	.kv_get = env_kv_get,
	.kv_put = env_kv_put,
	.kv_mark = env_kv_mark,
	.kv_clear = env_kv_clear,
};

static void
env_reset(struct snode *n)
{
	n->io_first = NULL;
	n->io_last = &n->io_first;
	n->io_busy = false;
	n->rolled = false;
	n->sign_first = NULL;
	n->sign_last = &n->sign_first;
	n->sign_busy = false;
	n->jobs = 0;
	n->turn_due = false;
}

void
env_init(struct snode *n)
{
	n->env.ops = &env_ops;
	n->disk = disk_new(&n->sim->rng);
	n->open_steps = -1;
	n->arm_proto = -1;
	env_reset(n);
}

void
env_fini(struct snode *n)
{
	disk_free(n->disk);
	free(n->kv.puts);
	free(n->kv.marks);
	nrs_map_free(n->kv.map);
}

void
env_interrupt(struct snode *n)
{
	struct nrs_io *io = n->io_first;
	unsigned int step;

	if (io != NULL && n->io_busy && n->io_step < io->nsteps)
		step_interrupted(n, &io->steps[n->io_step], n->io_protos, n->io_step);
	if (n->sign_busy) {
		step = n->sign_made ? 1 : 0;
		cov_crash(sign_proto(n->sign_first), step, 9 + step,
		    n->sign_made ? COV_INSIDE : COV_BEFORE);
	}
}

void
env_lost(struct snode *n, bool power)
{
	env_reset(n);
	n->inc++;
	n->arm_proto = -1;
	n->open_steps = -1;
	n->dead = false;
	if (power)
		disk_crash(n->disk);
	else
		disk_restart(n->disk);
	kv_crash(&n->kv, &n->sim->rng);
}

bool
env_quiet(const struct snode *n)
{
	return n->io_first == NULL && n->jobs == 0 && n->sign_first == NULL;
}
