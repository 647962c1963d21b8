/*
 * The data directory: files by handle, and the commit thread (noroshi/env.h,
 * storage).  All paths are relative to the directory; a symbolic link is never
 * followed to a file.
 *
 * Only the plain calls of libc are used (openat, pread, pwrite, fdatasync, fsync,
 * ftruncate, fallocate, renameat, unlinkat, mkdirat), so that a test can stand
 * between this file and the disk.
 */
#ifndef DAEMON_STORE_H
#define DAEMON_STORE_H

#include <noroshi/env.h>
#include <noroshi/err.h>

struct app;
struct store;

/* data_dir exists; d says what is wrong with it. */
int store_new(struct app *app, const char *data_dir, struct store **ret,
    struct nrs_detail *d) NRS_MUST_CHECK;
/* Ends the commit thread when it is done with what was submitted; hands nothing out. Accepts NULL. */
void store_free(struct store *s);
/* Waits for what was submitted and hands the completions out, until there is nothing. */
void store_drain(struct store *s);
bool store_idle(const struct store *s);

/* The environment's storage. */
int store_file_open(
    struct nrs_env *e, const char *path, unsigned int flags, nrs_file *ret) NRS_MUST_CHECK;
void store_file_close(struct nrs_env *e, nrs_file f);
int store_file_size(struct nrs_env *e, nrs_file f, uint64_t *ret) NRS_MUST_CHECK;
int store_file_pread(struct nrs_env *e, nrs_file f, uint64_t off, void *buf, size_t len,
    size_t *ret_len) NRS_MUST_CHECK;
int store_dir_make(struct nrs_env *e, const char *path) NRS_MUST_CHECK;
int store_dir_list(struct nrs_env *e, const char *path,
    void (*each)(void *arg, const char *name), void *arg) NRS_MUST_CHECK;
int store_io_run(struct nrs_env *e, struct nrs_io *io) NRS_MUST_CHECK;
void store_io_submit(struct nrs_env *e, struct nrs_io *io);

#endif
