/* Decides what a line of a manifest, a statement or a direct audience is. */
#include "record/line.h"

#include <string.h>

#include "base/buf.h"
#include "base/text.h"

void
nrs_line_init(
    struct nrs_line *l, const uint8_t *text, size_t len, size_t max, struct nrs_detail *d)
{
	static const uint8_t none[1];

	l->p = len > 0 ? text : none;
	l->end = l->p + len;
	l->no = 0;
	l->err = 0;
	l->d = d;
	if (len > max)
		nrs_line_fail(l, 0, NRS_ELIMIT, "text is too long");
}

void
nrs_line_fail(struct nrs_line *l, unsigned int no, int code, const char *why)
{
	if (l->err == 0)
		l->err = nrs_fail(l->d, code, no, "%s", why);
}

/* The next line without its LF; NULL when there is none (error set). */
static struct nrs_str
line_next(struct nrs_line *l)
{
	struct nrs_str v = { NULL, 0 };
	const uint8_t *lf;

	if (l->err != 0)
		return v;
	l->no++;
	lf = l->p < l->end ? memchr(l->p, '\n', (size_t)(l->end - l->p)) : NULL;
	if (lf == NULL) {
		nrs_line_fail(l, l->no, NRS_ETRUNC, "the text ends here");
		return v;
	}
	v.p = l->p;
	v.len = (size_t)(lf - l->p);
	l->p = lf + 1;
	return v;
}

bool
nrs_str_is(struct nrs_str v, const char *s)
{
	size_t len = strlen(s);

	return v.p != NULL && v.len == len && memcmp(v.p, s, len) == 0;
}

void
nrs_line_magic(struct nrs_line *l, const char *magic)
{
	struct nrs_str v = line_next(l);

	if (l->err == 0 && !nrs_str_is(v, magic))
		nrs_line_fail(l, l->no, NRS_EMAGIC, "not the kind of text expected here");
}

static bool
has_key(const uint8_t *p, size_t len, const char *key, size_t klen)
{
	return len > klen && memcmp(p, key, klen) == 0 && p[klen] == ' ';
}

struct nrs_str
nrs_line_get(struct nrs_line *l, const char *key)
{
	struct nrs_str v = line_next(l);
	size_t klen = strlen(key);

	if (l->err != 0)
		return v;
	if (!has_key(v.p, v.len, key, klen) || v.len == klen + 1) {
		l->err =
		    nrs_fail(l->d, NRS_ESYNTAX, l->no, "expected \"%s\" and a value", key);
		return (struct nrs_str){ NULL, 0 };
	}
	v.p += klen + 1;
	v.len -= klen + 1;
	return v;
}

unsigned int
nrs_line_count(const struct nrs_line *l, const char *key, unsigned int max)
{
	size_t klen = strlen(key);
	const uint8_t *p = l->p, *lf;
	unsigned int n = 0;

	if (l->err != 0)
		return 0;
	while (n <= max && p < l->end && has_key(p, (size_t)(l->end - p), key, klen)) {
		n++;
		lf = memchr(p, '\n', (size_t)(l->end - p));
		if (lf == NULL)
			break;
		p = lf + 1;
	}
	return n;
}

int
nrs_line_end(struct nrs_line *l)
{
	if (l->err == 0 && l->p != l->end)
		nrs_line_fail(l, l->no + 1, NRS_ETRAILING, "nothing may follow");
	return l->err;
}

void
nrs_line_origin(struct nrs_line *l, struct nrs_str v, char dst[NRS_ORIGIN_MAX + 1])
{
	if (l->err != 0)
		return;
	if (v.len > NRS_ORIGIN_MAX || !nrs_origin_ok((const char *)v.p, v.len)) {
		nrs_line_fail(l, l->no, NRS_ESYNTAX, "not the name of an origin");
		return;
	}
	memcpy(dst, v.p, v.len);
	dst[v.len] = '\0';
}

void
nrs_line_b64(struct nrs_line *l, struct nrs_str v, uint8_t dst[32])
{
	size_t n = 0;

	if (l->err != 0)
		return;
	if (v.len != NRS_B64_LEN(32) ||
	    nrs_b64_parse((const char *)v.p, v.len, dst, 32, &n) != 0 || n != 32)
		nrs_line_fail(l, l->no, NRS_ESYNTAX, "not 32 bytes in base64");
}

uint64_t
nrs_line_u64(struct nrs_line *l, struct nrs_str v, uint64_t max)
{
	uint64_t u = 0;
	int ret;

	if (l->err != 0)
		return 0;
	ret = nrs_u64_parse((const char *)v.p, v.len, max, &u);
	if (ret != 0) {
		nrs_line_fail(l, l->no, ret, "not a number in the range allowed here");
		return 0;
	}
	return u;
}

void
nrs_line_previous(struct nrs_line *l, struct nrs_str v, bool none, struct nrs_hash *ret)
{
	if (l->err != 0)
		return;
	memset(ret, 0, sizeof(*ret));
	if (none != nrs_str_is(v, "-")) {
		nrs_line_fail(l, l->no, NRS_ESYNTAX, "\"-\" belongs to the first one only");
		return;
	}
	if (!none)
		nrs_line_b64(l, v, ret->b);
}

bool
nrs_line_bool(struct nrs_line *l, struct nrs_str v)
{
	bool yes = nrs_str_is(v, "yes");

	if (l->err == 0 && !yes && !nrs_str_is(v, "no"))
		nrs_line_fail(l, l->no, NRS_ESYNTAX, "expected yes or no");
	return yes;
}

struct nrs_str
nrs_line_word(struct nrs_line *l, struct nrs_str *v)
{
	struct nrs_str w = { NULL, 0 };
	const uint8_t *sp;

	if (l->err != 0)
		return w;
	sp = memchr(v->p, ' ', v->len);
	if (sp == NULL) {
		nrs_line_fail(l, l->no, NRS_ESYNTAX, "a word is missing");
		return w;
	}
	w.p = v->p;
	w.len = (size_t)(sp - v->p);
	v->p = sp + 1;
	v->len -= w.len + 1;
	return w;
}

void
nrs_line_put_b64(struct nrs_buf *b, const char *key, const uint8_t v[32])
{
	char text[NRS_B64_LEN(32) + 1];

	nrs_b64_format(text, v, 32);
	nrs_buf_fmt(b, "%s %s\n", key, text);
}

void
nrs_line_put_previous(struct nrs_buf *b, bool none, const struct nrs_hash *h)
{
	if (none)
		nrs_buf_str(b, "previous -\n");
	else
		nrs_line_put_b64(b, "previous", h->b);
}
