/* Keys of the objects that are open, and whether one is given twice. */
#ifndef STIX_JKEY_H
#define STIX_JKEY_H

#include "stix/jlex.h"

/* A key of the innermost object. NRS_EDUPLICATE, NRS_ELIMIT, NRS_ENOMEM. */
int jkey_add(struct jlex *j, struct nrs_str key, bool esc) NRS_MUST_CHECK;
/* The innermost object ends: what was put off is checked, its keys are forgotten. */
int jkey_close(struct jlex *j) NRS_MUST_CHECK;

#endif
