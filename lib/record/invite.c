/* The invite file: notes, each after a line of five hyphens (docs/FORMAT.md, section 6). */
#include "record/manifest.h"

#include <string.h>

#define INVITE_NOTES_MAX 4096
#define SEPARATOR	 "-----\n"
#define SEPARATOR_LEN	 6

/*
 * Takes the next note off the input.  A manifest alone is an invite too, so
 * the separator before the first note may be absent.
 */
static int
next_note(const uint8_t **p, const uint8_t *end, unsigned int *line, struct nrs_str *ret,
    struct nrs_detail *d)
{
	const uint8_t *q = *p, *lf;

	ret->p = q;
	while (q < end) {
		lf = memchr(q, '\n', (size_t)(end - q));
		if (lf == NULL)
			return nrs_fail(d, NRS_ETRUNC, *line, "the last line has no end");
		if (lf - q == SEPARATOR_LEN - 1 && memcmp(q, SEPARATOR, SEPARATOR_LEN) == 0)
			break;
		(*line)++;
		q = lf + 1;
	}
	ret->len = (size_t)(q - ret->p);
	if (ret->len == 0)
		return nrs_fail(d, NRS_ESYNTAX, *line, "expected a note");
	if (ret->len > NRS_NOTE_MAX)
		return nrs_fail(d, NRS_ELIMIT, *line, "note is too long");
	*p = q;
	return 0;
}

static void
skip_separator(const uint8_t **p, const uint8_t *end, unsigned int *line)
{
	if ((size_t)(end - *p) >= SEPARATOR_LEN &&
	    memcmp(*p, SEPARATOR, SEPARATOR_LEN) == 0) {
		*p += SEPARATOR_LEN;
		(*line)++;
	}
}

/* each NULL: only looks at the form */
static int
walk(const uint8_t *buf, size_t len,
    int (*each)(void *arg, const uint8_t *note, size_t len), void *arg,
    struct nrs_detail *d)
{
	const uint8_t *p = buf, *end = buf + len;
	unsigned int line = 1, n = 0;
	struct nrs_str note = { NULL, 0 };
	int err;

	do {
		if (n++ == INVITE_NOTES_MAX)
			return nrs_fail(d, NRS_ELIMIT, line, "too many notes");
		skip_separator(&p, end, &line);
		err = next_note(&p, end, &line, &note, d);
		if (err == 0 && each != NULL)
			err = each(arg, note.p, note.len);
		if (err != 0)
			return err;
	} while (p < end);
	return 0;
}

int
nrs_invite_walk(const uint8_t *buf, size_t len,
    int (*each)(void *arg, const uint8_t *note, size_t len), void *arg,
    struct nrs_detail *d)
{
	int err;

	if (len > NRS_INVITE_MAX)
		return nrs_fail(d, NRS_ELIMIT, 0, "an invite has at most 1 MiB");
	if (len == 0)
		return nrs_fail(d, NRS_ETRUNC, 1, "the invite is empty");
	/* accepted as a whole or not at all: nothing is handed out of a bad file */
	err = walk(buf, len, NULL, NULL, d);
	return err != 0 ? err : walk(buf, len, each, arg, d);
}

void
nrs_invite_add(struct nrs_buf *b, const uint8_t *note, size_t len)
{
	nrs_buf_str(b, SEPARATOR);
	nrs_buf_put(b, note, len);
}
