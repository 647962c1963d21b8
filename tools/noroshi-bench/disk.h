/*
 * What lib/journal needs of the world, on real files: reads at once, writes by
 * one thread in the order asked, as the daemon's store has them.  A key-encryption
 * key that lives as long as this does; no keeper, no network.
 */
#ifndef BENCH_DISK_H
#define BENCH_DISK_H

#include <noroshi/env.h>

struct disk;

/* dir exists. NULL: it cannot be opened. */
struct disk *disk_new(const char *dir);
void disk_free(struct disk *d); /* nothing may be in flight; accepts NULL */
struct nrs_env *disk_env(struct disk *d);
/* Hands out what is done; with wait, something if anything is in flight. True: something was. */
bool disk_turn(struct disk *d, bool wait);

#endif
