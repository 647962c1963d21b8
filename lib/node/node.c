/*
 * Life of a node: opening and recovery, configuration, timer, turn, end.
 */
#include "node/node.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "node/disclosure.h"
#include "node/checkpoint.h"
#include "node/ledger.h"

#define WINDOW_BYTES  (4u << 20)
#define CATCH_UP_MIN  1000 /* records: PROTOCOL.md, section 4 */
#define PEERS_MAX     4096
#define CACHE_SETS    (1u << 19) /* written elements after which caches are flushed */
#define FULL_RETRY_NS UINT64_C(1000000000)

/* --- small services -------------------------------------------------------- */

void
node_log(struct node *n, enum nrs_level lvl, const char *subject, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	n->env->ops->log(n->env, lvl, subject, text);
}

void
node_wake_at(struct node *n, struct nrs_mono t)
{
	if (n->next_wake.ns != 0 && n->next_wake.ns <= t.ns)
		return;
	n->next_wake.ns = t.ns > 0 ? t.ns : 1;
	n->env->ops->wake_at(n->env, n->next_wake);
}

bool
node_room(const struct node *n)
{
	return !n->failed && !n->full && !nrs_journal_full(n->journal) &&
	    nrs_journal_pending(n->journal) < NRS_BATCH_BYTES;
}

void
node_count_refusal(struct node *n, int err)
{
	unsigned int wire = nrs_err_wire(err);

	if (wire < sizeof(n->refusals) / sizeof(n->refusals[0]))
		n->refusals[wire]++;
}

void
node_fail(struct node *n, const char *fmt, ...)
{
	va_list ap;

	if (n->failed)
		return;
	n->failed = true;
	va_start(ap, fmt);
	(void)vsnprintf(n->failed_why, sizeof(n->failed_why), fmt, ap);
	va_end(ap);
	node_log(n, NRS_LOG_ERROR, "node", "stopped: %s", n->failed_why);
}

const char *
node_failed(const struct node *n)
{
	return n->failed ? n->failed_why : NULL;
}

/* --- configuration ------------------------------------------------------------ */

static void
free_names(char **v, unsigned int n)
{
	for (unsigned int i = 0; v != NULL && i < n; i++)
		free(v[i]);
	free(v);
}

static char **
copy_names(const char *const *v, unsigned int n)
{
	char **ret = calloc(n + 1, sizeof(*ret));

	for (unsigned int i = 0; ret != NULL && i < n; i++) {
		ret[i] = strdup(v[i]);
		if (ret[i] == NULL) {
			free_names(ret, n);
			return NULL;
		}
	}
	return ret;
}

static struct peer *
peer_find(const struct node *n, const char *name)
{
	struct peer *p;

	TAILQ_FOREACH(p, &n->peers, link)
		if (strcmp(p->name, name) == 0)
			return p;
	return NULL;
}

/* What can be wrong with one peer, before anything is changed. */
static int
check_peer(struct node *n, const struct node_peer_config *pc, struct nrs_detail *d)
{
	const struct origin *o;
	struct nrs_manifest m;
	int err;

	err = nrs_manifest_open(
	    &m, pc->manifest, pc->manifest_len, NULL, n->env->ops->verify, d);
	if (err != 0)
		return nrs_fail(d, err, 0, "manifest of peer %.64s", pc->origin);
	if (strcmp(m.origin, pc->origin) != 0)
		return nrs_fail(
		    d, NRS_EORIGIN, 0, "manifest of peer %.64s names another", pc->origin);
	if (strcmp(m.origin, n->name) == 0)
		return nrs_fail(d, NRS_EORIGIN, 0, "this node is no peer of itself");
	o = origin_find_name(n, m.origin);
	if (o != NULL && !nrs_hash_eq(&o->manifests[0].m.hash, &m.hash))
		return nrs_fail(d, NRS_EEXISTS, 0, "%.64s is known with another manifest 0",
		    pc->origin);
	if (pc->ceiling >= NRS_TLP__MAX)
		return nrs_fail(d, NRS_ERANGE, 0, "ceiling of peer %.64s", pc->origin);
	for (unsigned int i = 0; i < pc->ncommunities; i++)
		if (!nrs_name_ok(pc->communities[i], strlen(pc->communities[i])))
			return nrs_fail(
			    d, NRS_ESYNTAX, 0, "community of peer %.64s", pc->origin);
	return 0;
}

static int
check_config(struct node *n, const struct node_config *cfg, struct nrs_detail *d)
{
	int err;

	if (strcmp(cfg->origin, n->name) != 0)
		return nrs_fail(d, NRS_EORIGIN, 0, "the origin of a node never changes");
	if (cfg->npeers > PEERS_MAX)
		return nrs_fail(d, NRS_ELIMIT, 0, "too many peers");
	for (unsigned int i = 0; i < cfg->npeers; i++) {
		err = check_peer(n, &cfg->peers[i], d);
		if (err != 0)
			return err;
		for (unsigned int k = 0; k < i; k++)
			if (strcmp(cfg->peers[k].origin, cfg->peers[i].origin) == 0)
				return nrs_fail(d, NRS_EDUPLICATE, 0, "peer %.64s twice",
				    cfg->peers[i].origin);
	}
	return 0;
}

static void
peer_free(struct peer *p)
{
	if (p == NULL)
		return;
	session_peer_fini(p);
	if (p->origin != NULL)
		p->origin->peer = NULL;
	free_names(p->communities, p->ncommunities);
	free(p);
}

static int
peer_new(struct node *n, const struct node_peer_config *pc, struct peer **ret,
    struct nrs_detail *d)
{
	struct peer *p = calloc(1, sizeof(*p));
	int err;

	if (p == NULL)
		return NRS_ENOMEM;
	p->node = n;
	snprintf(p->name, sizeof(p->name), "%s", pc->origin);
	TAILQ_INIT(&p->acks);
	session_peer_init(p);
	err = origin_add(n, pc->manifest, pc->manifest_len, &p->origin, d);
	if (err != 0) {
		p->origin = NULL;
		peer_free(p);
		return err;
	}
	*ret = p;
	return 0;
}

/* What a new configuration needs, made before the old one is touched. */
struct change {
	struct peer **peers; /* new ones; NULL where there is one already */
	char ***communities;
};

static void
change_fini(struct change *ch, const struct node_config *cfg)
{
	for (unsigned int i = 0; i < cfg->npeers; i++) {
		if (ch->peers != NULL)
			peer_free(ch->peers[i]);
		if (ch->communities != NULL)
			free_names(ch->communities[i], cfg->peers[i].ncommunities);
	}
	free(ch->peers);
	free(ch->communities);
}

static int
change_make(
    struct node *n, const struct node_config *cfg, struct change *ch, struct nrs_detail *d)
{
	int err = 0;

	ch->peers = calloc(cfg->npeers + 1, sizeof(*ch->peers));
	ch->communities = calloc(cfg->npeers + 1, sizeof(*ch->communities));
	if (ch->peers == NULL || ch->communities == NULL)
		return NRS_ENOMEM;
	for (unsigned int i = 0; err == 0 && i < cfg->npeers; i++) {
		const struct node_peer_config *pc = &cfg->peers[i];

		ch->communities[i] = copy_names(pc->communities, pc->ncommunities);
		if (ch->communities[i] == NULL)
			return NRS_ENOMEM;
		if (peer_find(n, pc->origin) == NULL)
			err = peer_new(n, pc, &ch->peers[i], d);
	}
	return err;
}

static bool
in_config(const struct node_config *cfg, const char *name)
{
	for (unsigned int i = 0; i < cfg->npeers; i++)
		if (strcmp(cfg->peers[i].origin, name) == 0)
			return true;
	return false;
}

/* Nothing fails from here on. */
static void
change_apply(struct node *n, const struct node_config *cfg, struct change *ch)
{
	struct peer *p, *next;

	TAILQ_FOREACH_SAFE(p, &n->peers, link, next)
	{
		if (in_config(cfg, p->name))
			continue;
		TAILQ_REMOVE(&n->peers, p, link);
		peer_free(p);
	}
	for (unsigned int i = 0; i < cfg->npeers; i++) {
		const struct node_peer_config *pc = &cfg->peers[i];

		p = ch->peers[i];
		if (p != NULL) {
			TAILQ_INSERT_TAIL(&n->peers, p, link);
			p->origin->peer = p;
			ch->peers[i] = NULL;
		} else {
			p = peer_find(n, pc->origin);
			free_names(p->communities, p->ncommunities);
		}
		p->communities = ch->communities[i];
		p->ncommunities = pc->ncommunities;
		ch->communities[i] = NULL;
		p->suspended = pc->suspended;
		p->ceiling = pc->ceiling;
		p->records_per_s = pc->records_per_s;
		p->bytes_per_day = pc->bytes_per_day;
		p->leaves_per_day = pc->leaves_per_day;
		p->disk_share = pc->disk_share;
		p->catch_up = pc->catch_up;
	}
	n->window = cfg->window_bytes > 0 ? cfg->window_bytes : WINDOW_BYTES;
}

static int
configure(struct node *n, const struct node_config *cfg, struct nrs_detail *d)
{
	struct change ch = { 0 };
	int err;

	err = check_config(n, cfg, d);
	if (err != 0)
		return err;
	err = change_make(n, cfg, &ch, d);
	if (err == 0)
		change_apply(n, cfg, &ch);
	change_fini(&ch, cfg);
	return err != 0 ? nrs_fail(d, err, 0, "configuration") : 0;
}

int
node_reconfigure(struct node *n, const struct node_config *cfg, struct nrs_detail *d)
{
	int err = configure(n, cfg, d);

	if (err == 0)
		session_peers_changed(n);
	return err;
}

/* --- opening -------------------------------------------------------------------- */

static void
drop_state(struct node *n)
{
	struct community *c;
	struct origin *o;

	while ((o = TAILQ_FIRST(&n->origins)) != NULL) {
		TAILQ_REMOVE(&n->origins, o, link);
		if (n->origin_by_id != NULL)
			(void)nrs_map_del(n->origin_by_id, o->id.b);
		if (n->sync != NULL)
			sync_origin_fini(o);
		origin_free(o);
	}
	while ((c = TAILQ_FIRST(&n->communities)) != NULL) {
		TAILQ_REMOVE(&n->communities, c, link);
		community_free(c);
	}
	nrs_array_free(n->events);
	n->events = NULL;
	n->own = NULL;
	disclosure_drop(n);
	n->next_event = 1;
	n->event_ms = 0;
	n->statement_bytes = 0;
}

static int
rebuild_frame(void *arg, const struct nrs_jframe *f)
{
	return node_replay_frame(arg, f);
}

/* Caches are missing or too short: the journal is read from its beginning. */
static int
rebuild(struct node *n, struct nrs_detail *d)
{
	int err;

	node_log(n, NRS_LOG_WARNING, "journal",
	    "a cache is missing or short: everything is read again");
	drop_state(n);
	n->rebuild = false;
	err = node_events_open(n);
	if (err == 0)
		err = nrs_journal_scan(n->journal, 0, rebuild_frame, n, d);
	return err != 0 ? nrs_fail(d, err, 0, "the journal does not fit itself") : 0;
}

static int
open_journal(
    struct node *n, const struct node_config *cfg, bool create, struct nrs_detail *d)
{
	struct nrs_journal_config jc = {
		.env = n->env,
		.ops = &node_journal_ops,
		.arg = n,
		.origin_id = n->id,
		.segment_bytes = cfg->segment_bytes,
		.signed_size = cfg->signed_size,
	};
	int err;

	if (create) {
		/* there may be one since a start that was cut short: it is opened */
		err = nrs_journal_create(&jc, NULL);
		if (err != 0 && err != NRS_EEXISTS)
			return nrs_fail(d, err, 0, "the journal cannot be created");
	}
	n->replaying = true;
	err = nrs_journal_open(&jc, &n->journal, d);
	if (err == 0 && n->rebuild)
		err = rebuild(n, d);
	n->replaying = false;
	if (err == 0 && n->own != NULL && n->own->put.size < cfg->signed_size)
		return nrs_fail(d, NRS_EROLLBACK, 0,
		    "the journal is an older state than what was signed: put back the newest copy");
	return err;
}

/* Entry 0 of our log: the manifest by which others know us. */
static int
put_manifest(struct node *n, const struct node_config *cfg, struct nrs_detail *d)
{
	uint8_t index[8] = { 0 };
	struct nrs_str parts[3] = { { n->id.b, sizeof(n->id.b) }, { index, sizeof(index) },
		{ cfg->manifest, cfg->manifest_len } };
	uint64_t pos;
	int err = 0;

	if (n->own == NULL)
		err = origin_add(n, cfg->manifest, cfg->manifest_len, &n->own, d);
	if (err == 0)
		err = nrs_journal_put(n->journal, NRS_J_CONTROL, 0, parts, 3, &pos);
	if (err == 0)
		err =
		    origin_apply_control(n->own, 0, cfg->manifest, cfg->manifest_len, pos);
	node_put_done(n);
	return err;
}

static int
check_own(struct node *n, const struct node_config *cfg, struct nrs_detail *d)
{
	struct nrs_manifest m;
	int err;

	err = nrs_manifest_open(
	    &m, cfg->manifest, cfg->manifest_len, NULL, n->env->ops->verify, d);
	if (err != 0)
		return nrs_fail(d, err, 0, "own manifest");
	if (strcmp(m.origin, n->name) != 0)
		return nrs_fail(d, NRS_EORIGIN, 0, "own manifest names another origin");
	if (n->own != NULL && !nrs_hash_eq(&n->own->manifests[0].m.hash, &m.hash))
		return nrs_fail(
		    d, NRS_EORIGIN, 0, "the journal begins with another manifest");
	return 0;
}

static int
node_new(struct nrs_env *env, const struct node_config *cfg, struct node **ret)
{
	struct node *n = calloc(1, sizeof(*n));
	uint8_t seed[16];
	int err;

	if (n == NULL)
		return NRS_ENOMEM;
	*ret = n;
	n->env = env;
	TAILQ_INIT(&n->origins);
	TAILQ_INIT(&n->communities);
	TAILQ_INIT(&n->peers);
	TAILQ_INIT(&n->readers);
	TAILQ_INIT(&n->idle_readers);
	TAILQ_INIT(&n->woken_readers);
	LIST_INIT(&n->carries);
	n->next_event = 1;
	n->real_time_off = cfg->real_time_off;
	n->segment_bytes = cfg->segment_bytes > 0 ? cfg->segment_bytes : NRS_SEGMENT_BYTES;
	n->window = cfg->window_bytes > 0 ? cfg->window_bytes : WINDOW_BYTES;
	n->catch_up_min = cfg->catch_up_min > 0 ? cfg->catch_up_min : CATCH_UP_MIN;
	if (!nrs_origin_ok(cfg->origin, strlen(cfg->origin)))
		return NRS_EORIGIN;
	snprintf(n->name, sizeof(n->name), "%s", cfg->origin);
	err = nrs_origin_id(n->name, strlen(n->name), &n->id);
	if (err != 0)
		return err;
	n->dg = nrs_digest_new();
	env->ops->random(env, seed, sizeof(seed));
	n->origin_by_id = nrs_map_new(NRS_HASH_LEN, seed);
	n->conns = nrs_map_new(sizeof(nrs_conn), seed);
	if (n->dg == NULL || n->origin_by_id == NULL || n->conns == NULL)
		return NRS_ENOMEM;
	err = disclosure_init(n);
	return err != 0 ? err : ledger_init(n);
}

static int
init_modules(struct node *n)
{
	int err;

	err = steward_init(n);
	if (err == 0)
		err = publish_init(n);
	if (err == 0)
		err = ingest_init(n);
	if (err == 0)
		err = serve_init(n);
	if (err == 0)
		err = sync_init(n);
	if (err == 0)
		err = session_init(n);
	return err;
}

int
node_open(struct nrs_env *env, const struct node_config *cfg, bool create,
    struct node **ret, struct nrs_detail *d)
{
	struct node *n = NULL;
	int err;

	err = node_new(env, cfg, &n);
	if (err == 0)
		err = open_journal(n, cfg, create, d);
	if (err == 0)
		err = check_own(n, cfg, d);
	if (err == 0)
		err = audience_load_directs(n, d);
	if (err == 0)
		err = ledger_all_durable(n);
	if (err == 0 && (n->own == NULL || n->own->put.size == 0))
		err = put_manifest(n, cfg, d);
	if (err == 0)
		err = disclosure_recover(n);
	if (err == 0)
		err = init_modules(n);
	if (err == 0)
		err = checkpoint_recover(n, cfg->signed_size);
	if (err == 0)
		err = configure(n, cfg, d);
	if (err != 0) {
		node_free(n);
		return nrs_fail(d, err, 0, "node cannot be opened");
	}
	session_peers_changed(n);
	node_wake_at(n, env->ops->mono(env));
	*ret = n;
	return 0;
}

/* --- running ---------------------------------------------------------------------- */

void
node_on_timer(struct node *n)
{
	struct nrs_mono now = n->env->ops->mono(n->env);

	n->next_wake.ns = 0;
	if (n->failed)
		return;
	session_on_timer(n, now);
	sync_on_timer(n, now);
	publish_on_timer(n);
	if (nrs_journal_full(n->journal)) {
		nrs_journal_retry(n->journal);
		node_wake_at(n, (struct nrs_mono){ now.ns + FULL_RETRY_NS });
	}
}

void
node_turn(struct node *n)
{
	if (!n->failed) {
		ingest_turn(n);
		steward_turn(n);
		publish_turn(n);
	}
	session_turn(n);
	carry_turn(n);
	ledger_turn(n);
	if (n->failed)
		return;
	if (!ingest_hold(n))
		nrs_journal_kick(n->journal);
	if (n->cache_sets > CACHE_SETS && node_flush_caches(n, false) != 0)
		node_log(
		    n, NRS_LOG_WARNING, "caches", "cannot be written: tried again later");
}

void
node_drain(struct node *n)
{
	n->draining = true;
	session_drain(n);
	node_wake_at(n, n->env->ops->mono(n->env));
}

bool
node_drained(const struct node *n)
{
	return publish_idle(n) && steward_idle(n) && ingest_idle(n) && ledger_idle(n) &&
	    nrs_journal_pending(n->journal) == 0;
}

void
node_free(struct node *n)
{
	struct peer *p;

	if (n == NULL)
		return;
	reader_fini(n);
	session_fini(n); /* first: what is freed says nothing to peers any more */
	carry_fini(n);
	while ((p = TAILQ_FIRST(&n->peers)) != NULL) {
		TAILQ_REMOVE(&n->peers, p, link);
		peer_free(p);
	}
	serve_fini(n);
	ingest_fini(n);
	publish_fini(n);
	steward_fini(n);
	drop_state(n);
	sync_fini(n);
	disclosure_fini(n);
	ledger_fini(n);
	free(n->moves);
	nrs_journal_free(n->journal);
	nrs_map_free(n->conns);
	nrs_map_free(n->origin_by_id);
	nrs_digest_free(n->dg);
	free(n);
}
