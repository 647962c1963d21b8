/*
 * The overlay over the environment's key-value cache.  An entry is reserved
 * (index none), then durable and handed over under a mark, then dropped once
 * the cache's own mark has reached it: so no moment exists in which a key that
 * was shared is in neither place.
 */
#include "index/seen.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/queue.h"

struct entry {
	TAILQ_ENTRY(entry) link;
	uint8_t key[NRS_SEEN_KEY];
	uint64_t index; /* NRS_NONE: on its way */
	uint64_t mark;
};
TAILQ_HEAD(entries, entry);

struct nrs_seen {
	struct nrs_env *env;
	struct nrs_map *map;
	struct entries reserved;
	struct entries added;  /* durable, not handed over yet */
	struct entries handed; /* in order of mark */
	size_t nadded;
};

int
nrs_seen_new(struct nrs_env *env, struct nrs_seen **ret)
{
	struct nrs_seen *s;
	uint8_t seed[16];

	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return NRS_ENOMEM;
	s->env = env;
	TAILQ_INIT(&s->reserved);
	TAILQ_INIT(&s->added);
	TAILQ_INIT(&s->handed);
	env->ops->random(env, seed, sizeof(seed));
	s->map = nrs_map_new(NRS_SEEN_KEY, seed);
	if (s->map == NULL) {
		free(s);
		return NRS_ENOMEM;
	}
	*ret = s;
	return 0;
}

static void
entries_free(struct entries *list)
{
	struct entry *e, *next;

	TAILQ_FOREACH_SAFE(e, list, link, next)
	free(e);
}

void
nrs_seen_free(struct nrs_seen *s)
{
	if (s == NULL)
		return;
	if (s == NULL)
		return;
	entries_free(&s->reserved);
	entries_free(&s->added);
	entries_free(&s->handed);
	nrs_map_free(s->map);
	free(s);
}

uint64_t
nrs_seen_mark(struct nrs_seen *s, uint64_t size)
{
	uint64_t mark = s->env->ops->kv_mark(s->env);

	if (mark <= size)
		return mark;
	/* of another journal, or of a future that was lost: nothing of it may be believed */
	s->env->ops->kv_clear(s->env);
	return 0;
}

int
nrs_seen_find(struct nrs_seen *s, const uint8_t key[NRS_SEEN_KEY], uint64_t *ret_index)
{
	const struct entry *e = nrs_map_find(s->map, key);

	if (e == NULL)
		return s->env->ops->kv_get(s->env, key, ret_index);
	if (e->index == NRS_NONE)
		return NRS_EBUSY;
	*ret_index = e->index;
	return 0;
}

static int
entry_new(struct nrs_seen *s, const uint8_t *key, struct entry **ret)
{
	struct entry *e;
	int err;

	if (nrs_map_count(s->map) >= NRS_SEEN_MAX)
		return NRS_EBUSY;
	e = calloc(1, sizeof(*e));
	if (e == NULL)
		return NRS_ENOMEM;
	memcpy(e->key, key, NRS_SEEN_KEY);
	e->index = NRS_NONE;
	err = nrs_map_set(s->map, key, e, NULL);
	if (err != 0) {
		free(e);
		return err;
	}
	TAILQ_INSERT_TAIL(&s->reserved, e, link);
	*ret = e;
	return 0;
}

int
nrs_seen_reserve(struct nrs_seen *s, const uint8_t *keys, size_t n)
{
	struct entry *e;
	int err = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		const uint8_t *key = keys + i * NRS_SEEN_KEY;

		err = nrs_map_find(s->map, key) != NULL ? NRS_EDUPLICATE
							: entry_new(s, key, &e);
		if (err != 0)
			break;
	}
	if (err != 0)
		nrs_seen_release(s, keys, i);
	return err;
}

void
nrs_seen_release(struct nrs_seen *s, const uint8_t *keys, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct entry *e = nrs_map_find(s->map, keys + i * NRS_SEEN_KEY);

		if (e == NULL || e->index != NRS_NONE)
			continue;
		TAILQ_REMOVE(&s->reserved, e, link);
		(void)nrs_map_del(s->map, e->key);
		free(e);
	}
}

int
nrs_seen_add(struct nrs_seen *s, const uint8_t *keys, size_t n, uint64_t index)
{
	int err;

	for (size_t i = 0; i < n; i++) {
		const uint8_t *key = keys + i * NRS_SEEN_KEY;
		struct entry *e = nrs_map_find(s->map, key);

		if (e == NULL && (err = entry_new(s, key, &e)) != 0)
			return err;
		if (e->index != NRS_NONE)
			continue; /* the first record with it is the one that counts */
		TAILQ_REMOVE(&s->reserved, e, link);
		e->index = index;
		TAILQ_INSERT_TAIL(&s->added, e, link);
		s->nadded++;
	}
	return 0;
}

int
nrs_seen_commit(struct nrs_seen *s, uint64_t size)
{
	struct nrs_kv_item *items = NULL;
	struct entry *e;
	size_t n = 0;

	if (s->nadded > 0) {
		items = calloc(s->nadded, sizeof(*items));
		if (items == NULL)
			return NRS_ENOMEM; /* kept, and handed over next time */
	}
	TAILQ_FOREACH(e, &s->added, link) {
		memcpy(items[n].key, e->key, NRS_SEEN_KEY);
		items[n++].value = e->index;
		e->mark = size;
	}
	TAILQ_CONCAT(&s->handed, &s->added, link);
	s->nadded = 0;
	s->env->ops->kv_put(s->env, items, n, size);
	free(items);
	nrs_seen_trim(s);
	return 0;
}

void
nrs_seen_trim(struct nrs_seen *s)
{
	struct entry *e = TAILQ_FIRST(&s->handed);
	uint64_t mark;

	if (e == NULL)
		return;
	mark = s->env->ops->kv_mark(s->env);
	while ((e = TAILQ_FIRST(&s->handed)) != NULL && e->mark <= mark) {
		TAILQ_REMOVE(&s->handed, e, link);
		(void)nrs_map_del(s->map, e->key);
		free(e);
	}
}

size_t
nrs_seen_count(const struct nrs_seen *s)
{
	return nrs_map_count(s->map);
}
