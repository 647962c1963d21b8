/*
 * A small world in memory for unit tests: one process, one disk, one keeper.
 *
 * Nothing happens by itself: requests wait until memenv_step() does one step
 * of one of them, so that a test can stop the world anywhere.  Everything
 * random comes from the seed.
 *
 * The disk: files are 512-byte sectors.  A write changes what readers see at
 * once and the medium only with SYNC; names reach the medium with SYNCDIR of
 * their directory.  After a loss of power each unsynced sector, each unsynced
 * size and each unsynced name is the old or the new one, independently;
 * sectors are never torn inside and never damage their neighbours.
 */
#ifndef TESTS_MEMENV_H
#define TESTS_MEMENV_H

#include <noroshi/env.h>
#include <noroshi/err.h>
#include <noroshi/types.h>

#define MEMENV_SECTOR 512

enum memenv_crash {
	MEMENV_KILL, /* the process dies, the machine lives: all writes stay, unsynced */
	MEMENV_LOSE, /* power fails: nothing unsynced reached the medium */
	MEMENV_TEAR, /* power fails: the seed decides for each sector, size and name */
};

struct memenv_file;
struct memenv_name;
struct memenv_handle;

struct memenv {
	struct nrs_env env; /* first: what the library sees */
	uint64_t rng;

	struct memenv_file *files;
	struct memenv_name *names;
	struct memenv_handle *handles;
	char (*dirs)[64];
	size_t ndirs;
	nrs_file next_handle;

	struct nrs_io *ios, **ios_last;
	unsigned int io_at; /* steps of ios that were done */
	struct nrs_sign *signs, **signs_last;
	struct nrs_job *jobs, **jobs_last;

	/* what went by, and what shall go wrong */
	uint64_t steps;	  /* storage steps done, io_run's included */
	uint64_t fail_at; /* this step (from 1) fails with fail_rc; 0: none */
	int fail_rc;
	bool full;	 /* no file grows, nothing is reserved */
	uint64_t die_at; /* after this many steps the process is dead; 0: never */
	bool dead;	 /* every call fails until memenv_crash() */
	bool nosync;	 /* SYNC and SYNCDIR lie: the tests of the tests */

	uint8_t kek[32];
	struct nrs_wall wall;
	struct nrs_mono mono;
	struct nrs_mono wake;
};

struct memenv *memenv_new(uint64_t seed);
void memenv_free(struct memenv *e);
/* The same disk and clocks once more; nothing may be open or under way. */
struct memenv *memenv_clone(const struct memenv *e);

/* One step of one waiting request, or one completion; false: nothing waits. */
bool memenv_step(struct memenv *e);
void memenv_run(struct memenv *e); /* until nothing waits */
bool memenv_idle(const struct memenv *e);
/* The rc-th kind of failure at the n-th storage step from now (1: the next). */
void memenv_fail(struct memenv *e, uint64_t n, int rc);

/*
 * The process is gone: requests and handles are forgotten, faults are cleared,
 * and of the disk stays what how says.  The caller frees its journal first.
 */
void memenv_crash(struct memenv *e, enum memenv_crash how, uint64_t seed);

/* The medium by hand. NULL: no such file. */
const uint8_t *memenv_bytes(struct memenv *e, const char *path, size_t *ret_len);
void memenv_poke(struct memenv *e, const char *path, size_t off, uint8_t xor);
void memenv_resize(struct memenv *e, const char *path, size_t len);
void memenv_write(struct memenv *e, const char *path, const void *p, size_t len);
void memenv_remove(struct memenv *e, const char *path);

uint64_t memenv_random(uint64_t *state); /* splitmix64 */

#endif
