/*
 * What the files of "noroshi submit" share: inputs become objects, objects
 * become bundles, bundles go to the daemon over a few connections.  Private to
 * submit_*.c and cmd_submit.c.
 */
#ifndef NOROSHI_SUBMIT_H
#define NOROSHI_SUBMIT_H

#include <jansson.h>
#include <stdint.h>

#include <noroshi/limits.h>
#include <noroshi/types.h>

#include "base/buf.h"
#include "base/map.h"
#include "import/indicator.h"
#include "tools/noroshi/cli.h"
#include "tools/noroshi/progress.h"
#include "tools/noroshi/when.h"

/* --- bundles (submit_send.c) ------------------------------------------- */

struct item {
	size_t off, len; /* in own */
};

struct bundle {
	enum nrs_tlp tlp;
	struct nrs_buf
	    own; /* the objects one after the other, or with exact the bundle itself */
	bool exact;
	struct item *v;
	unsigned int n, cap;
};

struct bundle *bundle_new(enum nrs_tlp tlp);
void bundle_free(struct bundle *b); /* accepts NULL */
/* The object's bytes that were appended to own from off on. */
void bundle_add(struct bundle *b, size_t off, size_t len);
/* Takes the objects at these positions (sorted or not) out. Returns how many. */
unsigned int bundle_drop(struct bundle *b, const json_t *positions);
/* The STIX bundle, under a new id unless exact: appends to buf. */
int bundle_format(const struct bundle *b, struct nrs_buf *buf) NRS_MUST_CHECK;

/* --- one run over the inputs ------------------------------------------- */

#define TYPES_MAX 32
struct tally {
	uint64_t rows;	     /* of CSV */
	uint64_t objects;    /* taken from the input */
	uint64_t sent;	     /* objects */
	uint64_t records;    /* sent */
	uint64_t known;	     /* shared already */
	uint64_t duplicates; /* in the input */
	uint64_t refused;
	uint64_t listed; /* refusals shown */
	struct {
		char name[40];
		uint64_t n;
	} types[TYPES_MAX];
	unsigned int ntypes;
};

struct sender;

struct submit {
	struct cli *c;
	/* whom, how */
	const char *community; /* or NULL */
	json_t *to;	       /* sorted, each once; or NULL */
	struct nrs_hash audience;
	char origin[NRS_ORIGIN_MAX + 1];
	enum nrs_tlp tlp;
	bool urgent;
	uint64_t expires_ms; /* 0: never */
	unsigned int batch;
	/* CSV */
	const char *map;
	char sep;
	struct zone zone;
	struct nrs_wall now;
	/* this run */
	bool dry;
	bool silent; /* refusals were listed by the run before */
	struct tally t;
	struct nrs_map *seen; /* ids of this run */
	struct bundle *open[NRS_TLP__MAX];
	struct sender *sender;
	struct progress progress;
	uint64_t bytes_done, bytes_all; /* bytes_all 0: nobody knows */
	json_t *recipients;		/* what a dry run was told */
};

/* All return 0 to go on, or the exit status to end with, told. */

/* Shows FILE:LINE: why, and counts it. line 0: the whole file. */
void submit_refuse(
    struct submit *s, const char *name, uint64_t line, const char *why, uint64_t objects);
void submit_count_type(struct submit *s, const char *name, size_t len);

/* submit_send.c */
struct sender *sender_new(struct submit *s);
void sender_free(struct sender *x); /* accepts NULL */
/* Takes b. Up to four bundles are on their way at once. */
int sender_put(struct sender *x, struct bundle *b) NRS_MUST_CHECK;
/* Waits for all. Returns the worst refusal (65 or 77), when there was one. */
int sender_finish(struct sender *x) NRS_MUST_CHECK;
/* Puts the bundles that rows have filled so far. */
int submit_flush(struct submit *s) NRS_MUST_CHECK;

/* submit_input.c */
enum format { FORMAT_AUTO, FORMAT_STIX, FORMAT_CSV };
struct input {
	const char *name;
	int fd;
	uint64_t size; /* 0: unknown */
	enum format format;
	uint8_t *head; /* read already, to see what it is */
	size_t head_len;
};
/* "-" is standard input. again: it will be read twice, so what cannot be rewound is copied. */
int input_open(struct submit *s, struct input *in, const char *path, enum format format,
    bool again) NRS_MUST_CHECK;
int input_rewind(struct submit *s, struct input *in) NRS_MUST_CHECK;
void input_close(struct input *in);
/* The next piece; *ret_len 0 at the end. */
int input_read(struct submit *s, struct input *in, uint8_t *dst, size_t max,
    size_t *ret_len) NRS_MUST_CHECK;

/* submit_csv.c, submit_stix.c */
int submit_csv(struct submit *s, struct input *in) NRS_MUST_CHECK;
int submit_stix(struct submit *s, struct input *in) NRS_MUST_CHECK;

#endif
