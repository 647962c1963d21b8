/*
 * Errors of libnoroshi.
 *
 * Every function that can fail returns int: 0 is success, a negative NRS_E*
 * value is a failure that is passed up unchanged, a positive value is an
 * outcome documented at that function alone and never passed on.
 */
#ifndef NOROSHI_ERR_H
#define NOROSHI_ERR_H

#include <stdint.h>

#define NRS_MUST_CHECK	 __attribute__((warn_unused_result))
#define NRS_PRINTF(f, a) __attribute__((format(printf, f, a)))

enum nrs_err {
	NRS_OK = 0,
#define ERR(name, num, wire, text) NRS_E##name = num,
#include "noroshi/err.def"
#undef ERR
};

/*
 * Where and why, for people.  The caller provides it (NULL: not wanted), the
 * first error wins: later nrs_fail() calls on a filled detail change nothing.
 * off is a byte offset into the input, or a line number where the function
 * says so.  text never holds an indicator value or a secret.
 */
struct nrs_detail {
	int code;
	uint64_t off;
	char path[128];
	char text[160];
};

/* Text of an error code; "unknown error" for others.  Never NULL. */
const char *nrs_strerror(int code);

/* Short lower-case name ("trunc"), as used in logs, JSON and metrics. */
const char *nrs_errname(int code);

/* The code a peer is told (PROTOCOL.md), NRS_EINTERNAL's when there is none. */
unsigned int nrs_err_wire(int code);

/* The error that a peer's wire code stands for; NRS_EINTERNAL when unknown. */
int nrs_err_from_wire(unsigned int wire);

/*
 * Fills *d (may be NULL) unless it already holds an error, and returns code,
 * so that "return nrs_fail(d, NRS_ESYNTAX, off, "...");" reads in one line.
 */
int nrs_fail(struct nrs_detail *d, int code, uint64_t off, const char *fmt, ...)
    NRS_PRINTF(4, 5);

#endif
