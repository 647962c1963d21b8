/* Times and durations as people type them, and time zones by name. */
#ifndef NOROSHI_WHEN_H
#define NOROSHI_WHEN_H

#include <noroshi/types.h>

#include "import/csv.h"
#include "tools/noroshi/cli.h"

/* Now, by the system's clock. */
struct nrs_wall when_now(void);
/* "30d", "12h", "90m", "45s", "2w": in milliseconds. NRS_ESYNTAX, NRS_ERANGE. */
int when_duration(const char *s, uint64_t *ret_ms) NRS_MUST_CHECK;
/* RFC 3339, a date (its beginning in UTC), or "-7d" (before now). */
int when_parse(const char *s, struct nrs_wall now, struct nrs_wall *ret) NRS_MUST_CHECK;

/*
 * A zone for texts that do not name theirs: "UTC", "+09:00", or a name of the
 * system's database ("Asia/Tokyo").  A local time that comes twice is taken as
 * the earlier one; one that never comes is NRS_ERANGE.
 */
struct zone {
	bool named;	 /* the process's zone is set to it */
	int64_t fixed_s; /* else: seconds east of UTC */
};
int zone_open(
    struct zone *z, const char *name) NRS_MUST_CHECK; /* NRS_EUNKNOWN, NRS_ESYNTAX */
int zone_to_utc(void *zone, int64_t local_s, int64_t *ret_utc_s); /* struct nrs_csv_zone */

#endif
