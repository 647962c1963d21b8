/* Carrier files (docs/FORMAT.md, section 11), for cmd_export.c. */
#ifndef NOROSHI_CARRY_H
#define NOROSHI_CARRY_H

#include "tools/noroshi/cli.h"

/* records: "EVENT.."; output NULL or "-": standard output. */
int carry_export(struct cli *c, const char *records, const char *peer,
    const char *output) NRS_MUST_CHECK;

#endif
