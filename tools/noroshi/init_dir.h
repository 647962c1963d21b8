/* Making a node's directory: all of it, or nothing. */
#ifndef NOROSHI_INIT_DIR_H
#define NOROSHI_INIT_DIR_H

#include <sys/types.h>

#include "tools/noroshi/cli.h"

struct made {
	char *path;
	bool dir;
};

struct init_dir {
	const struct cli *c;
	struct made v[32];
	unsigned int n;
};

/* Each returns 0 or an exit status, having said what was wrong. */
/* It may be there already, as a package made it: empty, or with full also with something in it. */
int init_mkdir(struct init_dir *d, const char *path, bool full) NRS_MUST_CHECK;
/* A new file with this content, on the disk when the call returns. */
int init_file(struct init_dir *d, const char *path, mode_t mode, const void *data,
    size_t len) NRS_MUST_CHECK;
/* Makes the names durable. */
int init_sync(struct init_dir *d) NRS_MUST_CHECK;
/* keep: forgets what was made; else removes it, newest first. */
void init_end(struct init_dir *d, bool keep);

#endif
