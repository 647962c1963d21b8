/*
 * Files with secrets: read only when they are private, and never the root key
 * where a running node could reach it.
 */
#ifndef DAEMON_SECRET_H
#define DAEMON_SECRET_H

#include <noroshi/err.h>
#include <noroshi/types.h>

#include "base/buf.h"

struct nrs_manifest;

/*
 * Appends the file dir/name: a regular file of ours (or of root's) that nobody
 * else may read, at most max bytes; b has room for it and is to be wiped.
 */
int secret_read(const char *dir, const char *name, size_t max, struct nrs_buf *b,
    struct nrs_detail *d) NRS_MUST_CHECK;
/*
 * NRS_EPERM if a file of the directory is a root key: an encrypted private key,
 * or one whose public key is that of the manifest's root or of the root after it.
 */
int secret_check_no_root(
    const char *dir, const struct nrs_manifest *m, struct nrs_detail *d) NRS_MUST_CHECK;
/* No core files, no ptrace by others of the same user, no new privileges. */
int secret_harden(void) NRS_MUST_CHECK;

#endif
