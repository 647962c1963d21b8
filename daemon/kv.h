/*
 * The small key-value cache (noroshi/env.h): LMDB in kv/ of the data directory,
 * written by a thread of its own about once a second.  A cache: when it cannot
 * be opened it is set aside and begun anew, and the engine fills it again from
 * the journal.
 */
#ifndef DAEMON_KV_H
#define DAEMON_KV_H

#include <noroshi/env.h>
#include <noroshi/err.h>

struct app;
struct kv;

int kv_new(struct app *app, const char *data_dir, struct kv **ret,
    struct nrs_detail *d) NRS_MUST_CHECK;
void kv_free(struct kv *kv); /* writes what is queued; accepts NULL */

/* The environment's. */
int kv_get(struct nrs_env *e, const uint8_t key[16], uint64_t *ret_value) NRS_MUST_CHECK;
void kv_put(struct nrs_env *e, const struct nrs_kv_item *items, size_t n, uint64_t mark);
uint64_t kv_mark(struct nrs_env *e);
void kv_clear(struct nrs_env *e);

#endif
