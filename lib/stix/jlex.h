/*
 * The JSON lexer under the scanner: a cursor over text in place that accepts
 * exactly RFC 8259 within RFC 7493 (I-JSON).  It keeps an explicit stack, so
 * nesting costs no C stack, and refuses duplicate keys at every level.
 *
 * The names do not begin with json_ because jansson's do, and one program
 * links both.
 */
#ifndef STIX_JLEX_H
#define STIX_JLEX_H

#include <noroshi/err.h>
#include <noroshi/limits.h>
#include <noroshi/types.h>

#define JLEX_LEN_MAX	0x7fffffffu /* offsets and lengths are kept in 32 bits */
#define JLEX_KEYS_MAX	65536u /* keys of all objects open at one time: 1 MiB of scratch */
#define JLEX_KEYS_FIXED 256u   /* so many without an allocation */
#define JLEX_KEYS_SMALL 32u    /* up to here an object's keys are compared as they come */

/* Something to be found twice: a key, or an object of a bundle. */
struct jlex_ent {
	uint64_t h;
	uint32_t a; /* offset */
	uint32_t b;
};

struct jlex_level {
	uint64_t bloom; /* of the keys' hashes: most new keys are compared with none */
	uint32_t keys;	/* first of its keys on the stack of keys */
	uint32_t n;	/* members or elements begun */
	bool array;
	bool at_value; /* between a colon and the next key */
};

struct jlex {
	const uint8_t *base;
	const uint8_t *p;
	const uint8_t *end;
	struct nrs_detail *d;
	unsigned int depth;
	uint32_t nkeys;
	uint32_t cap;
	struct jlex_ent *keys; /* fixed, or from the heap */
	struct jlex_level lv[NRS_JSON_DEPTH];
	struct jlex_ent fixed[JLEX_KEYS_FIXED];
};

/* len beyond JLEX_LEN_MAX: NRS_ELIMIT. */
int jlex_init(
    struct jlex *j, const uint8_t *p, size_t len, struct nrs_detail *d) NRS_MUST_CHECK;
void jlex_fini(struct jlex *j);

/* First byte of the next token, or -1 at the end of the text. */
int jlex_peek(struct jlex *j);
size_t jlex_off(const struct jlex *j);

/* The cursor stands at an opening bracket that peek() has shown. */
int jlex_open(struct jlex *j) NRS_MUST_CHECK;
/*
 * To the value of the next member, or past the closing brace: 1 and the raw
 * key, 0 at the end of the object.
 */
int jlex_member(struct jlex *j, struct nrs_str *ret_key, bool *ret_esc) NRS_MUST_CHECK;
/*
 * A member that is expected, because an object like this one had it at that
 * place: the text from the quote of its key to the colon, which may be passed at
 * one look.
 */
#define JLEX_LIKE_LEN 32u
struct jlex_like {
	uint8_t text[JLEX_LIKE_LEN]; /* after len: anything */
	uint32_t len;		     /* 0: no such member */
	uint32_t b;		     /* as in the entry of its key */
	uint64_t h;
	unsigned int tag; /* the caller's */
};
/* Remembers the member just begun, at its value; a key too long, or with escapes: len 0. */
void jlex_learn(const struct jlex *j, struct nrs_str key, bool esc, struct jlex_like *ret);
/*
 * To the value of the next member, if it is this one, with nothing between key
 * and colon; else nothing happens.  Its key is not compared with those before it:
 * all of them must have been passed so, in the order of one object, whose keys
 * were all different.
 */
bool jlex_member_like(struct jlex *j, const struct jlex_like *m);
/* To the next element: 1, or 0 past the closing bracket. */
int jlex_element(struct jlex *j) NRS_MUST_CHECK;
/* A string at the quote that peek() has shown: its inside, and has it escapes? */
int jlex_string(struct jlex *j, struct nrs_str *ret, bool *ret_esc) NRS_MUST_CHECK;
/* Any value, checked and passed. */
int jlex_skip(struct jlex *j) NRS_MUST_CHECK;
/* Nothing but white space follows. */
int jlex_end(struct jlex *j) NRS_MUST_CHECK;

/*
 * Fills the detail, with the path to where the cursor stands and, when prop is
 * not NULL, to that property of it.  Returns code.
 */
int jlex_fail(struct jlex *j, int code, size_t off, const char *prop, const char *fmt, ...)
    NRS_PRINTF(5, 6);

/* The inside of an accepted string, byte by byte, with the escapes resolved. */
struct jlex_dec {
	const uint8_t *p;
	const uint8_t *end;
	uint8_t out[4];
	unsigned int n;
	unsigned int i;
};
void jlex_dec_init(struct jlex_dec *c, struct nrs_str raw);
int jlex_dec_next(struct jlex_dec *c); /* -1 at the end */
/* Length of the character at p (1..4), 0 when malformed or a noncharacter (RFC 7493, 2.1). */
unsigned int jlex_utf8(const uint8_t *p, size_t left);

/*
 * Finds equal entries whatever the hashes are: O(n log n) even for texts made
 * to collide.  cmp orders entries of one hash.  *ret_dup is the place of the
 * first entry that repeats an earlier one, or NULL.
 */
int jlex_dups(struct jlex_ent *e, size_t n,
    int (*cmp)(const void *arg, const struct jlex_ent *x, const struct jlex_ent *y),
    const void *arg, const struct jlex_ent **ret_dup) NRS_MUST_CHECK;

/* The bit of a hash in the filter of an object's keys. */
static inline uint64_t
jlex_bloom(uint64_t h)
{
	return (uint64_t)1 << (h >> 58);
}

static inline uint64_t
jlex_mix(uint64_t a, uint64_t b)
{
	uint64_t x = (a ^ 0x9e3779b97f4a7c15u) * 0xd6e8feb86659fd93u;

	x = (x ^ (x >> 32) ^ b) * 0xff51afd7ed558ccdu;
	return x ^ (x >> 32);
}

#endif
