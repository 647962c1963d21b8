/*
 * One origin's log as this node holds it: frontier, manifests in force, newest
 * checkpoint, and the caches that give a leaf hash or a place in the journal.
 * Everything here changes memory and caches; what is journalled, and when it
 * counts as durable, is decided by the callers and by the ledger.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "node/node_priv.h"

#define ORIGINS_MAX    4096
#define MANIFESTS_MAX  256	    /* successions of one origin */
#define MANIFEST_BYTES (256u << 10) /* of one origin: STATE has them all */
#define CACHE_PAGE     4096	    /* written as a whole by the arrays */
#define CACHE_SECTOR   512

struct origin *
origin_find(const struct node *n, const struct nrs_hash *id)
{
	return nrs_map_find(n->origin_by_id, id->b);
}

struct origin *
origin_find_name(const struct node *n, const char *name)
{
	struct nrs_hash id;

	if (nrs_origin_id(name, strlen(name), &id) != 0)
		return NULL;
	return origin_find(n, &id);
}

int
node_cache_set(struct node *n, struct nrs_array *a, uint64_t i, const void *elem)
{
	n->cache_sets++;
	return nrs_array_set(a, i, elem);
}

/* What replay writes into the caches of positions. */
static int
replay_set(struct node *n, struct nrs_array *a, uint64_t i, const void *elem)
{
	if (n->replaying && NRS_PLANTED(CACHE_NOT_REPLAYED))
		return 0;
	return node_cache_set(n, a, i, elem);
}

int
node_cache_check(struct nrs_array *a, size_t esize, uint64_t i)
{
	static const uint8_t zero[NRS_HASH_LEN];
	uint64_t count = nrs_array_count(a), first = i - i % (CACHE_PAGE / esize), n;
	uint8_t page[CACHE_PAGE];
	int err;

	if (i >= count)
		return 0;
	n = count - first < CACHE_PAGE / esize ? count - first : CACHE_PAGE / esize;
	err = nrs_array_get(a, first, (size_t)n, page);
	/* no element is ever zero: the last one of each sector speaks for it */
	for (size_t at = 0; err == 0 && at < n * esize; at += CACHE_SECTOR) {
		size_t end = at + CACHE_SECTOR < n * esize ? at + CACHE_SECTOR : n * esize;

		if (memcmp(page + end - esize, zero, esize) == 0)
			err = NRS_ECORRUPT;
	}
	return err;
}

static int
store_read(void *arg, unsigned int level, uint64_t index, size_t cnt, struct nrs_hash *ret)
{
	struct origin *o = arg;

	if (level >= NRS_TILE_LEVELS)
		return NRS_ERANGE;
	return nrs_array_get(o->level[level], index, cnt, ret);
}

int
origin_new(struct node *n, const char *name, struct origin **ret)
{
	const struct origin *other;
	struct origin *o;
	unsigned int count = 0;
	uint8_t seed[16];
	int err;

	o = calloc(1, sizeof(*o));
	if (o == NULL)
		return NRS_ENOMEM;
	TAILQ_INIT(&o->audiences);
	o->node = n;
	n->env->ops->random(n->env, seed, sizeof(seed));
	o->audience_by_id = nrs_map_new(NRS_HASH_LEN, seed);
	if (o->audience_by_id == NULL) {
		free(o);
		return NRS_ENOMEM;
	}
	snprintf(o->name, sizeof(o->name), "%s", name);
	nrs_frontier_init(&o->put);
	o->store.read = store_read;
	o->store.arg = o;
	err = nrs_origin_id(o->name, strlen(o->name), &o->id);
	/* directories are named by the first 8 bytes: two origins never share one */
	TAILQ_FOREACH(other, &n->origins, link) {
		count++;
		if (err == 0 && memcmp(other->id.b, o->id.b, 8) == 0)
			err = NRS_EEXISTS;
	}
	if (err == 0 && count >= ORIGINS_MAX)
		err = NRS_EQUOTA;
	if (err == 0)
		err = nrs_map_set(n->origin_by_id, o->id.b, o, NULL);
	if (err != 0) {
		nrs_map_free(o->audience_by_id);
		free(o);
		return err;
	}
	o->own = strcmp(o->name, n->name) == 0;
	if (o->own)
		n->own = o;
	TAILQ_INSERT_TAIL(&n->origins, o, link);
	*ret = o;
	return 0;
}

int
origin_open_caches(struct origin *o)
{
	struct nrs_env *env = o->node->env;
	char hex[17], path[64];
	int err;

	nrs_hex_format(hex, o->id.b, 8);
	snprintf(path, sizeof(path), "logs/%s", hex);
	err = env->ops->dir_make(env, "logs");
	if (err == 0)
		err = env->ops->dir_make(env, path);
	if (err != 0)
		return err;
	snprintf(path, sizeof(path), "logs/%s/pos", hex);
	err = nrs_array_open(env, path, sizeof(uint64_t), o->put.size, &o->pos);
	for (unsigned int k = 0; err == 0 && k < NRS_TILE_LEVELS; k++) {
		snprintf(path, sizeof(path), "logs/%s/l%u", hex, k);
		err = nrs_array_open(env, path, NRS_HASH_LEN,
		    o->put.size >> (k * NRS_TILE_HEIGHT), &o->level[k]);
		if (err == 0 && nrs_array_count(o->level[k]) > 0)
			err = node_cache_check(
			    o->level[k], NRS_HASH_LEN, nrs_array_count(o->level[k]) - 1);
	}
	if (err == 0)
		nrs_array_in_order(
		    o->level[0]); /* records ask for their leaves one by one */
	if (err == 0 && o->put.size > 0)
		err = node_cache_check(o->pos, sizeof(uint64_t), o->put.size - 1);
	return err;
}

void
origin_free(struct origin *o)
{
	struct audience *a;

	if (o == NULL)
		return;
	while ((a = TAILQ_FIRST(&o->audiences)) != NULL) {
		TAILQ_REMOVE(&o->audiences, a, link);
		audience_free(a);
	}
	nrs_map_free(o->audience_by_id);
	nrs_array_free(o->pos);
	for (unsigned int k = 0; k < NRS_TILE_LEVELS; k++)
		nrs_array_free(o->level[k]);
	for (unsigned int i = 0; i < o->nmanifests; i++)
		free(o->manifests[i].note);
	free(o->manifests);
	free(o->cp_note);
	free(o->shown_note);
	free(o);
}

int
origin_push_manifest(
    struct origin *o, const uint8_t *note, size_t len, uint64_t index, struct nrs_detail *d)
{
	const struct nrs_manifest *prev;
	struct origin_manifest *v, *m;
	size_t bytes = 0;
	int err;

	if (o->nmanifests >= MANIFESTS_MAX)
		return nrs_fail(d, NRS_EQUOTA, 0, "too many manifests of one origin");
	for (unsigned int i = 0; i < o->nmanifests; i++)
		bytes += o->manifests[i].note_len;
	if (bytes + len > MANIFEST_BYTES)
		return nrs_fail(d, NRS_EQUOTA, 0, "too long manifests of one origin");
	v = realloc(o->manifests, (o->nmanifests + 1) * sizeof(*v));
	if (v == NULL)
		return NRS_ENOMEM;
	o->manifests = v;
	prev = o->nmanifests > 0 ? &v[o->nmanifests - 1].m : NULL;
	m = &v[o->nmanifests];
	err = nrs_manifest_open(&m->m, note, len, prev, o->node->env->ops->verify, d);
	if (err == 0 && strcmp(m->m.origin, o->name) != 0)
		err = nrs_fail(d, NRS_EORIGIN, 0, "manifest of another origin");
	if (err != 0)
		return err;
	m->note = malloc(len);
	if (m->note == NULL)
		return NRS_ENOMEM;
	memcpy(m->note, note, len);
	m->note_len = len;
	m->index = index;
	o->nmanifests++;
	return 0;
}

/* Is this note the manifest 0 that is held? */
static bool
same_first(const struct origin *o, const struct nrs_manifest *m)
{
	return o->nmanifests > 0 && nrs_hash_eq(&o->manifests[0].m.hash, &m->hash);
}

static int
put_peer(struct node *n, const uint8_t *note, size_t len)
{
	uint8_t head[8] = { 1 };
	struct nrs_str parts[2] = { { head, sizeof(head) }, { note, len } };
	int err;

	err = nrs_journal_put(n->journal, NRS_J_PEER, 0, parts, 2, NULL);
	if (err == 0)
		node_put_done(n);
	return err;
}

int
origin_add(struct node *n, const uint8_t *note, size_t len, struct origin **ret,
    struct nrs_detail *d)
{
	struct nrs_manifest m;
	struct origin *o;
	int err;

	err = nrs_manifest_open(&m, note, len, NULL, n->env->ops->verify, d);
	if (err != 0)
		return err;
	o = origin_find_name(n, m.origin);
	if (o != NULL) {
		*ret = o;
		return same_first(o, &m)
		    ? 0
		    : nrs_fail(d, NRS_EEXISTS, 0, "%.64s is known with another manifest 0",
			  m.origin);
	}
	err = origin_new(n, m.origin, &o);
	if (err != 0)
		return nrs_fail(d, err, 0, "origin cannot be added");
	err = origin_push_manifest(o, note, len, NRS_NONE, d);
	if (err == 0)
		err = origin_open_caches(o);
	/* our own manifest is entry 0 of the log; those of others are frames of their own */
	if (err == 0 && !n->replaying && !o->own)
		err = put_peer(n, note, len);
	if (err != 0) {
		TAILQ_REMOVE(&n->origins, o, link);
		(void)nrs_map_del(n->origin_by_id, o->id.b);
		if (n->own == o)
			n->own = NULL;
		origin_free(o);
		return nrs_fail(d, err, 0, "origin cannot be added");
	}
	*ret = o;
	return 0;
}

const struct nrs_manifest *
origin_manifest_at(const struct origin *o, uint64_t index)
{
	const struct nrs_manifest *m = NULL;

	/* a manifest holds for indices after its own (FORMAT.md, section 6) */
	for (unsigned int i = 0; i < o->nmanifests; i++) {
		if (i > 0 && o->manifests[i].index >= index)
			break;
		m = &o->manifests[i].m;
	}
	return m;
}

const struct nrs_manifest *
origin_manifest_for_size(const struct origin *o, uint64_t size)
{
	const struct nrs_manifest *m = NULL;

	/* "in force at size - 1": for sizes larger than its own index + 1 */
	for (unsigned int i = 0; i < o->nmanifests; i++) {
		if (i > 0 && o->manifests[i].index + 1 >= size)
			break;
		m = &o->manifests[i].m;
	}
	return m;
}

static int
emit(void *arg, unsigned int level, uint64_t index, const struct nrs_hash *h)
{
	struct origin *o = arg;

	/* beyond the last level (2^64 leaves) nothing is ever asked for */
	if (level >= NRS_TILE_LEVELS)
		return 0;
	return node_cache_set(o->node, o->level[level], index, h);
}

int
origin_apply_leaf(struct origin *o, const struct nrs_hash *leaf, uint64_t pos)
{
	int err;

	err = replay_set(o->node, o->pos, o->put.size, &pos);
	if (err == 0)
		err = nrs_frontier_append(o->node->dg, &o->put, leaf, emit, o);
	if (err == 0)
		node_touch_origin(o);
	return err;
}

void
origin_kept_record(struct origin *o, size_t len)
{
	/* Of the own log nobody's share is reckoned, and publishing does not count here. */
	if (!o->own)
		o->kept += len;
}

uint64_t
origin_disk(const struct origin *o)
{
	/* In the journal, and in the caches: its place, its hash and those above it. */
	return o->kept + o->put.size * (NRS_HASH_LEN + 8 + NRS_HASH_LEN);
}

bool
origin_is_manifest(const uint8_t *doc, size_t len)
{
	static const char first[] = "noroshi/v1/manifest\n";

	return len >= sizeof(first) - 1 && memcmp(doc, first, sizeof(first) - 1) == 0;
}

int
origin_check_first(const struct origin *o, const uint8_t *doc, size_t len)
{
	const struct origin_manifest *m = &o->manifests[0];
	struct nrs_note a, b;
	int err;

	err = nrs_note_parse(&a, doc, len, NULL);
	if (err == 0)
		err = nrs_note_parse(&b, m->note, m->note_len, NULL);
	if (err != 0)
		return NRS_EORIGIN;
	if (a.text.len != b.text.len || memcmp(a.text.p, b.text.p, a.text.len) != 0)
		return NRS_EORIGIN;
	return 0;
}

int
origin_apply_control(
    struct origin *o, uint64_t index, const uint8_t *doc, size_t len, uint64_t pos)
{
	struct nrs_hash leaf;
	int err;

	if (index != o->put.size)
		return NRS_EORDER;
	err = nrs_leaf_control(o->node->dg, doc, len, &leaf);
	if (err == 0 && index == 0)
		err = origin_check_first(o, doc, len);
	if (err == 0)
		err = origin_apply_leaf(o, &leaf, pos);
	if (err != 0)
		return err;
	o->kept += len;
	if (index == 0) {
		o->manifests[0].index = 0;
		return 0;
	}
	if (!origin_is_manifest(doc, len))
		return 0;
	/* one that does not follow has no effect: it is carried like any other document */
	err = origin_push_manifest(o, doc, len, index, NULL);
	return err == NRS_ENOMEM ? err : 0;
}

/* At the size of the tree that is held, the root can be compared at once. */
static int
check_root(struct origin *o, const struct nrs_checkpoint *cp)
{
	struct nrs_hash root;
	int err;

	if (cp->size > o->put.size)
		return NRS_ERANGE;
	if (cp->size < o->cp.size)
		return NRS_EORDER;
	if (cp->size < o->put.size)
		return 0;
	err = nrs_frontier_root(o->node->dg, &o->put, &root);
	if (err != 0)
		return err;
	return nrs_hash_eq(&root, &cp->root) ? 0 : NRS_EPROOF;
}

int
origin_apply_checkpoint(struct origin *o, const uint8_t *note, size_t len)
{
	struct nrs_checkpoint cp;
	struct nrs_note parsed;
	uint8_t *copy;
	int err;

	err = nrs_note_parse(&parsed, note, len, NULL);
	if (err == 0)
		err = nrs_checkpoint_parse(&cp, parsed.text.p, parsed.text.len, NULL);
	if (err == 0 && strcmp(cp.origin, o->name) != 0)
		err = NRS_EORIGIN;
	if (err == 0)
		err = check_root(o, &cp);
	if (err != 0)
		return err;
	copy = malloc(len);
	if (copy == NULL)
		return NRS_ENOMEM;
	memcpy(copy, note, len);
	free(o->cp_note);
	o->cp_note = copy;
	o->cp_len = len;
	o->cp = cp;
	o->kept += len;
	o->cp_dirty = true;
	node_touch_origin(o);
	return 0;
}

int
origin_leaf(struct origin *o, uint64_t index, struct nrs_hash *ret)
{
	if (index >= o->put.size)
		return NRS_ERANGE;
	return nrs_array_get(o->level[0], index, 1, ret);
}

int
origin_pos(struct origin *o, uint64_t index, uint64_t *ret)
{
	int err = origin_moves_apply(o->node);

	if (err != 0)
		return err;
	if (index >= o->put.size)
		return NRS_ERANGE;
	return nrs_array_get(o->pos, index, 1, ret);
}

/*
 * The old place is overwritten, and a page may reach the medium at any time: if
 * the new place were not durable by then, a crash would leave one that holds
 * nothing, below what STATE counts and out of replay's reach.
 */
int
origin_moves_apply(struct node *n)
{
	const struct origin_move *m;
	int err = 0;

	while (err == 0 && n->moves_done < n->nmoves) {
		m = &n->moves[n->moves_done];
		if (m->pos >= nrs_journal_end(n->journal))
			return 0;
		err = node_cache_set(n, m->o->pos, m->index, &m->pos);
		if (err == 0)
			n->moves_done++;
	}
	if (n->moves_done == n->nmoves)
		n->moves_done = n->nmoves = 0;
	return err;
}

static int
move_later(struct origin *o, uint64_t index, uint64_t pos)
{
	struct node *n = o->node;
	struct origin_move *v;
	size_t cap;

	if (n->nmoves == n->moves_cap) {
		cap = n->moves_cap > 0 ? n->moves_cap * 2 : 64;
		v = realloc(n->moves, cap * sizeof(*v));
		if (v == NULL)
			return NRS_ENOMEM;
		n->moves = v;
		n->moves_cap = cap;
	}
	n->moves[n->nmoves++] = (struct origin_move){ o, index, pos };
	return 0;
}

int
origin_set_pos(struct origin *o, uint64_t index, uint64_t pos)
{
	struct node *n = o->node;
	uint64_t held;
	int err;

	if (index >= o->put.size)
		return NRS_ERANGE;
	if (!n->replaying) {
		err = nrs_array_get(o->pos, index, 1, &held);
		/* our own: its leaf was put with it */
		return err != 0 || held == pos ? err : move_later(o, index, pos);
	}
	/* the page around it may have been in flight when the power failed */
	err = node_cache_check(o->pos, sizeof(pos), index);
	if (err == NRS_ECORRUPT) {
		n->rebuild = true;
		return 0;
	}
	return err != 0 ? err : replay_set(n, o->pos, index, &pos);
}
