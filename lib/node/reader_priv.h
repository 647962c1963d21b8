/* What reader.c, chunk.c and lines.c share. */
#ifndef NODE_READER_PRIV_H
#define NODE_READER_PRIV_H

#include "node/node_priv.h"
#include "policy/clearance.h"

struct cached;
struct group;

/* --- lines.c: events as lines ------------------------------------------------ */

/* Records that several readers pass one after the other are expanded once. */
struct expanded {
	TAILQ_HEAD(cached_list, cached) list; /* newest first */
	size_t bytes;
	unsigned int n;
	struct nrs_buf frame; /* the one that is being looked at */
};
void expanded_init(struct expanded *x);
void expanded_fini(struct expanded *x);

struct walk {
	struct node *node;
	const struct nrs_clearance *cl;
	struct node_cursor at; /* in and out */
	struct nrs_buf *out;
	size_t max; /* stop when out has as many bytes */
	/* After each line (out->len is its end), and again when its event turns out to be done. */
	int (*line)(void *arg, struct node_cursor after);
	void *arg;
	size_t expanded; /* work done in this call */
};
/* 0: out has max bytes, or enough was done for one call; NODE_READER_IDLE; or an error. */
int lines_walk(struct walk *w) NRS_MUST_CHECK;
/* Reads one event; buf is for its frame. */
int lines_event(struct node *n, uint64_t number, struct nrs_buf *buf,
    struct nrs_jevent *ret) NRS_MUST_CHECK;

/* --- chunk.c: lines made once ---------------------------------------------------- */

/* Where a line ends, and the cursor after it. */
struct line_end {
	size_t off;
	struct node_cursor after;
};

/* Consecutive lines as readers of one clearance see them. */
struct chunk {
	TAILQ_ENTRY(chunk) link; /* of its group */
	TAILQ_ENTRY(chunk) lru;
	struct group *group;
	struct node_cursor start, end;
	struct nrs_buf b;
	struct line_end *v;
	uint32_t n, cap;
	TAILQ_HEAD(, node_reader) readers; /* that stand in it */
};

/* Readers of one clearance. */
struct group {
	TAILQ_ENTRY(group) link;
	struct reader_cache *rc;
	struct nrs_clearance cl;
	char **names; /* sorted */
	struct nrs_hash digest;
	unsigned int nreaders;
	TAILQ_HEAD(, chunk) chunks; /* used last: first */
};

struct reader_cache {
	struct node *node;
	struct expanded expanded;
	TAILQ_HEAD(, group) groups;
	TAILQ_HEAD(chunks, chunk) lru; /* used last: first */
	unsigned int nchunks;
	size_t bytes;
	uint64_t woken_event; /* readers know of events up to this */
	uint64_t lines, given;
	bool stopped;
};

struct node_reader {
	TAILQ_ENTRY(node_reader) link;
	struct node_readers *on;
	struct node *node;
	struct group *group;
	struct disclosure *range; /* NULL: not told */
	/* In a chunk at off, or at a cursor with skip bytes of its first line gone. */
	struct chunk *chunk;
	TAILQ_ENTRY(node_reader) in_chunk;
	size_t off;
	struct node_cursor at;
	size_t skip;
	struct node_cursor after; /* that line */
	void (*wake)(void *arg);
	void *arg;
};

/* The group of this clearance, made if need be. */
int group_get(struct reader_cache *rc, const struct node_clearance *cl,
    struct group **ret) NRS_MUST_CHECK;
void group_put(struct group *g); /* one reader less */
/*
 * The chunk in which the cursor stands, at *ret_off, found or begun.  It is not
 * the reader's before chunk_enter().
 */
int chunk_at(struct group *g, struct node_cursor at, struct chunk **ret,
    size_t *ret_off) NRS_MUST_CHECK;
void chunk_enter(struct chunk *c, struct node_reader *r);
void chunk_leave(struct node_reader *r);
/* From the end of its chunk into the one used last, if that goes on from there. */
bool chunk_join(struct node_reader *r);
bool chunk_full(const struct chunk *c);
/* More lines at its end, as lines_walk(). */
int chunk_extend(struct chunk *c) NRS_MUST_CHECK;
/* Number of the first line that ends at or after off. */
uint32_t chunk_line(const struct chunk *c, size_t off);
void chunks_fini(struct reader_cache *rc);

/* --- reader.c, for info.c --- */
void reader_counts(const struct node *n, struct node_counts *ret);

#endif
