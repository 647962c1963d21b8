/*
 * A cache file of fixed-size elements: appended to, sometimes overwritten,
 * never the truth.  Writes stay in memory pages until a flush; how many
 * elements count is decided by the journal's STATE, never by the file's size.
 */
#ifndef JOURNAL_ARRAY_H
#define JOURNAL_ARRAY_H

#include <noroshi/env.h>
#include <noroshi/err.h>
#include <noroshi/types.h>

struct nrs_array;

/* Opens (or creates) path with elements of esize bytes, count of them believed.
 * NRS_ECORRUPT when the file is too short for count: rebuild. The file is opened lazily. */
int nrs_array_open(struct nrs_env *env, const char *path, size_t esize, uint64_t count,
    struct nrs_array **ret) NRS_MUST_CHECK;
void nrs_array_free(struct nrs_array *a); /* nothing in flight; accepts NULL */
uint64_t nrs_array_count(const struct nrs_array *a);
/* i < count: overwrite; i == count: append; i beyond count: the gap reads as zeros. */
int nrs_array_set(struct nrs_array *a, uint64_t i, const void *elem) NRS_MUST_CHECK;
/* n elements from i; NRS_ERANGE beyond count. Sees what is not flushed yet. */
int nrs_array_get(struct nrs_array *a, uint64_t i, size_t n, void *ret) NRS_MUST_CHECK;
/*
 * Is mostly read element by element, in order: from now on the page of the file
 * that was read last is kept (4 KiB of memory, once it is needed).
 */
void nrs_array_in_order(struct nrs_array *a);
/* Cuts back to count elements in memory (recovery). */
void nrs_array_truncate(struct nrs_array *a, uint64_t count);
/*
 * Submits the dirty pages to io_submit (sync: with a SYNC step, and of the
 * directory the first time). Pages stay readable; several flushes may be in flight.
 * A flush that fails leaves its pages dirty; the next call submits them again,
 * and every call returns that failure (NRS_EFULL, NRS_EIO) until a flush with
 * sync has made it good.  So, of two calls with sync, the first of which has ended,
 * a second 0 says that all that was set before the first is durable.
 * NRS_ECORRUPT: bytes that were flushed without sync, and are no longer in memory,
 * were lost before their sync: only a restart, which sets them again, helps.
 */
int nrs_array_flush(struct nrs_array *a, bool sync) NRS_MUST_CHECK;
/* Bytes held in memory. */
size_t nrs_array_dirty(const struct nrs_array *a);
bool nrs_array_busy(const struct nrs_array *a); /* a flush is in flight */

#endif
