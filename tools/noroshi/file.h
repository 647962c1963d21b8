/* Whole files: read with a limit, written so that a reader never sees half of one. */
#ifndef NOROSHI_FILE_H
#define NOROSHI_FILE_H

#include <stdint.h>
#include <sys/types.h>

#include "tools/noroshi/cli.h"

/* "-" is standard input. 0 or an exit status, told. *ret: free() it; a NUL stands behind it. */
int file_read(const struct cli *c, const char *path, size_t max, uint8_t **ret,
    size_t *ret_len) NRS_MUST_CHECK;
/* Replaces path atomically; NULL or "-": standard output. */
int file_write(const struct cli *c, const char *path, mode_t mode, const void *data,
    size_t len) NRS_MUST_CHECK;

#endif
