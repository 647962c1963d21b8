/*
 * CSV (RFC 4180, and what spreadsheets make of it) into rows of fields: quoted
 * fields with line breaks inside, CRLF or LF, a byte order mark, a header
 * line; separator , ; or tab found from the header.  Bad rows are reported
 * with their line and the rest goes on.
 */
#ifndef IMPORT_CSV_H
#define IMPORT_CSV_H

#include <noroshi/err.h>
#include <noroshi/types.h>

#include "import/indicator.h"

#define NRS_CSV_COLS	  256
#define NRS_CSV_FIELD_MAX (1u << 20)

struct nrs_csv; /* a streaming reader: feed it pieces, take rows out */

/* sep 0: found from the first line. */
int nrs_csv_new(char sep, struct nrs_csv **ret) NRS_MUST_CHECK;
void nrs_csv_free(struct nrs_csv *c);
/* Adds input; last = nothing follows. NRS_ELIMIT: give up (a field beyond the limit). */
int nrs_csv_feed(struct nrs_csv *c, const void *p, size_t len, bool last) NRS_MUST_CHECK;
struct nrs_csv_row {
	uint64_t line; /* of its first byte, from 1 */
	unsigned int n;
	struct nrs_str f[NRS_CSV_COLS]; /* valid until the next call on c */
	int err;			/* 0, or why this row is not usable */
	char why[96];
};
enum { NRS_CSV_MORE = 1, NRS_CSV_END = 2 };
/* 0: a row; NRS_CSV_MORE: feed; NRS_CSV_END: done; or an error. */
int nrs_csv_next(struct nrs_csv *c, struct nrs_csv_row *ret) NRS_MUST_CHECK;

/* Which column is what: "value=URL,name=description,seen=date". */
enum nrs_csv_key {
	NRS_CSV_VALUE,
	NRS_CSV_TYPE,
	NRS_CSV_NAME,
	NRS_CSV_DESCRIPTION,
	NRS_CSV_SEEN,
	NRS_CSV_UNTIL,
	NRS_CSV_LABELS,
	NRS_CSV_CONFIDENCE,
	NRS_CSV_TLP,
	NRS_CSV_KEY__MAX
};
struct nrs_csv_map {
	int col[NRS_CSV_KEY__MAX]; /* -1: not mapped */
};
/*
 * Resolves the --map text against the header row; without a text (NULL) the
 * usual names are looked for.  Column names match exactly, then without case.
 * Errors name the key or column and list what there is.
 */
int nrs_csv_map_parse(const char *text, const struct nrs_csv_row *header,
    struct nrs_csv_map *ret, struct nrs_detail *d) NRS_MUST_CHECK;

/*
 * A date as people write it (RFC 3339; 2025-01-06 or 2025/01/06, optional time
 * with or without seconds), in the zone that tz_offset_min names for texts without
 * one.
 */
int nrs_date_parse(
    struct nrs_str s, int tz_offset_min, struct nrs_wall *ret) NRS_MUST_CHECK;

/*
 * One row into an indicator (views into the row and into scratch).  defaults
 * give tlp, audience, origin, seen.  A row's own TLP may raise, never lower.
 * tz: see zone.h of the CLI; here a callback from local civil seconds to UTC,
 * NULL = UTC.  Reset scratch between rows: the last indicator lives in it.  An
 * error names the column and the reason, and the row's line in d->off.
 */
struct nrs_csv_zone {
	int (*to_utc)(void *arg, int64_t local_s, int64_t *ret_utc_s);
	void *arg;
};
int nrs_csv_indicator(const struct nrs_csv_row *row, const struct nrs_csv_map *map,
    const struct nrs_indicator *defaults, const struct nrs_csv_zone *tz,
    struct nrs_buf *scratch, struct nrs_indicator *ret,
    struct nrs_detail *d) NRS_MUST_CHECK;

#endif
