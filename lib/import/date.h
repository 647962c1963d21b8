/* Dates as people write them, before their zone is known. */
#ifndef IMPORT_DATE_H
#define IMPORT_DATE_H

#include <noroshi/err.h>
#include <noroshi/types.h>

struct date {
	int64_t s; /* civil seconds since 1970, UTC when zoned */
	unsigned int ms;
	bool zoned; /* the text says its offset */
};

int date_parse(struct nrs_str s, struct date *ret) NRS_MUST_CHECK;
/* NRS_ERANGE before 1970. */
int date_wall(int64_t utc_s, unsigned int ms, struct nrs_wall *ret) NRS_MUST_CHECK;

#endif
