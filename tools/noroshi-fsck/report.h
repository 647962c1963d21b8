/* What was found, told to a person or as JSON, and how far the work is. */
#ifndef FSCK_REPORT_H
#define FSCK_REPORT_H

#include <pthread.h>
#include <stdio.h>

#include <noroshi/err.h>
#include <noroshi/limits.h>
#include <noroshi/types.h>

enum fault_kind {
#define FAULT(name, text, class, touched, next) F_##name,
#include "tools/noroshi-fsck/fault.def"
#undef FAULT
	F__MAX
};

/* Where something stands; origin NULL and index NRS_NONE: not known. */
struct place {
	const char *file;
	uint64_t off;
	uint64_t len;
	uint8_t type; /* of the frame; 0: none */
	const char *origin;
	uint64_t index;
};

struct fault {
	enum fault_kind kind;
	char file[80];
	uint64_t off, len;
	uint8_t type;
	char origin[NRS_ORIGIN_MAX + 1]; /* or "" */
	uint64_t index;
	char what[240];
	char touched[240];
};

struct report {
	FILE *out;
	bool json, quiet, tty;
	pthread_mutex_t lock;
	struct fault *v; /* not told yet */
	size_t n, cap;
	uint64_t total;
	uint64_t by_kind[F__MAX];
	uint64_t excused; /* consequences of damage that was told already */
	bool nomem;
	/* progress */
	uint64_t begun_ns, shown_ns;
	uint64_t bytes, bytes_all;
	bool line;
};

void report_init(struct report *r, bool json, bool quiet);
void report_fini(struct report *r);
/* From any thread. touched NULL: what the row of the kind says. */
void report_fault(struct report *r, enum fault_kind kind, const struct place *at,
    const char *touched, const char *fmt, ...) NRS_PRINTF(5, 6);
/* Something that does not fit because of damage that was told. From any thread. */
void report_excuse(struct report *r);
/* Tells what was found since, in order of place. */
void report_flush(struct report *r);
/* A line for people; with --json it is left out. */
void report_say(struct report *r, const char *fmt, ...) NRS_PRINTF(2, 3);
void report_progress(struct report *r, uint64_t records);
double report_seconds(const struct report *r);

const char *fault_name(enum fault_kind k);
const char *frame_name(uint8_t type);

#endif
