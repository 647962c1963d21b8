/*
 * Tokens and structure of JSON.  Strings are passed sixteen bytes at a time
 * where the processor can (SSE2), and one by one elsewhere; both stop at the
 * same bytes.
 */
#include "stix/jlex.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "stix/jkey.h"

#define INT_SAFE 9007199254740991u /* 2^53 - 1: RFC 7493, 2.2 */

int
jlex_init(struct jlex *j, const uint8_t *p, size_t len, struct nrs_detail *d)
{
	j->base = j->p = p;
	j->end = p + len;
	j->d = d;
	j->depth = 0;
	j->nkeys = 0;
	j->cap = JLEX_KEYS_FIXED;
	j->keys = j->fixed;
	if (len > JLEX_LEN_MAX)
		return nrs_fail(d, NRS_ELIMIT, 0, "text longer than 2 GiB");
	return 0;
}

void
jlex_fini(struct jlex *j)
{
	if (j->keys != j->fixed)
		free(j->keys);
	j->keys = j->fixed;
}

size_t
jlex_off(const struct jlex *j)
{
	return (size_t)(j->p - j->base);
}

/* --- where and why ------------------------------------------------------ */

/*
 * A key may be written into a path only when it looks like a property's name:
 * dictionaries have keys that are values, and no value goes into a text.
 */
static bool
key_is_name(struct nrs_str k)
{
	size_t i;

	if (k.len == 0 || k.len > 31)
		return false;
	for (i = 0; i < k.len; i++)
		if (!((k.p[i] | 0x20) >= 'a' && (k.p[i] | 0x20) <= 'z') &&
		    !(k.p[i] >= '0' && k.p[i] <= '9') && k.p[i] != '_' && k.p[i] != '-')
			return false;
	return true;
}

static void
format_path(const struct jlex *j, const char *prop, char *dst, size_t max)
{
	const struct jlex_level *lv;
	const struct jlex_ent *e;
	struct nrs_str k;
	unsigned int i;
	size_t n = (size_t)snprintf(dst, max, "$");

	for (i = 0; i < j->depth && n < max; i++) {
		lv = &j->lv[i];
		if (lv->array) {
			if (lv->n > 0)
				n += (size_t)snprintf(dst + n, max - n, "[%u]", lv->n - 1);
			continue;
		}
		if (!lv->at_value)
			continue;
		e = &j->keys[(i + 1 < j->depth ? lv[1].keys : j->nkeys) - 1];
		k = (struct nrs_str){ j->base + e->a, e->b >> 1 };
		if (key_is_name(k))
			n += (size_t)snprintf(
			    dst + n, max - n, ".%.*s", (int)k.len, (const char *)k.p);
		else
			n += (size_t)snprintf(dst + n, max - n, ".?");
	}
	if (prop != NULL && n < max)
		snprintf(dst + n, max - n, ".%s", prop);
}

int
jlex_fail(struct jlex *j, int code, size_t off, const char *prop, const char *fmt, ...)
{
	char text[sizeof(j->d->text)];
	va_list ap;

	if (j->d == NULL || j->d->code != 0)
		return code;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)nrs_fail(j->d, code, off, "%s", text);
	format_path(j, prop, j->d->path, sizeof(j->d->path));
	return code;
}

static int
fail_syntax(struct jlex *j, const uint8_t *at, const char *what)
{
	if (at == j->end)
		return jlex_fail(j, NRS_ESYNTAX, (size_t)(at - j->base), NULL,
		    "the text ends here: %s (RFC 8259)", what);
	return jlex_fail(
	    j, NRS_ESYNTAX, (size_t)(at - j->base), NULL, "%s (RFC 8259)", what);
}

/* --- strings ------------------------------------------------------------ */

unsigned int
jlex_utf8(const uint8_t *p, size_t left)
{
	uint8_t c;

	if (left == 0)
		return 0;
	c = p[0];
	if (c < 0x80)
		return 1;
	if (c < 0xc2 || c > 0xf4 || left < 2 || (p[1] & 0xc0) != 0x80)
		return 0;
	if (c < 0xe0)
		return 2;
	if (left < 3 || (p[2] & 0xc0) != 0x80)
		return 0;
	if (c < 0xf0) {
		if ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f))
			return 0;
		if (c == 0xef &&
		    ((p[1] == 0xb7 && p[2] >= 0x90 && p[2] <= 0xaf) ||
			(p[1] == 0xbf && p[2] >= 0xbe)))
			return 0;
		return 3;
	}
	if (left < 4 || (p[3] & 0xc0) != 0x80 || (c == 0xf0 && p[1] < 0x90) ||
	    (c == 0xf4 && p[1] > 0x8f))
		return 0;
	if ((p[1] & 0x0f) == 0x0f && p[2] == 0xbf && p[3] >= 0xbe)
		return 0;
	return 4;
}

/* To the first byte that is a quote, a backslash, a control or not ASCII. */
static inline const uint8_t *
pass_plain(const uint8_t *p, const uint8_t *end)
{
#ifdef __SSE2__
	const __m128i quote = _mm_set1_epi8('"'), back = _mm_set1_epi8('\\');
	const __m128i space = _mm_set1_epi8(0x20);
	unsigned int mask;
	__m128i x;

	for (; end - p >= 16; p += 16) {
		x = _mm_loadu_si128((const __m128i *)(const void *)p);
		/* signed: bytes from 0x80 on are below the space as well */
		mask =
		    (unsigned int)_mm_movemask_epi8(_mm_or_si128(_mm_cmplt_epi8(x, space),
			_mm_or_si128(_mm_cmpeq_epi8(x, quote), _mm_cmpeq_epi8(x, back))));
		if (mask != 0)
			return p + __builtin_ctz(mask);
	}
#endif
	while (p < end && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\')
		p++;
	return p;
}

/* Four hex digits, or -1. */
static int
hex4(const uint8_t *p, const uint8_t *end)
{
	unsigned int i, c, v = 0;

	if (end - p < 4)
		return -1;
	for (i = 0; i < 4; i++) {
		c = p[i];
		if (c >= '0' && c <= '9')
			c -= '0';
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			c = (c | 0x20) - 'a' + 10;
		else
			return -1;
		v = v << 4 | c;
	}
	return (int)v;
}

/* The character of \uXXXX or of a pair of them at p; its length in *ret_len. -1: none. */
static long
escape_u(const uint8_t *p, const uint8_t *end, size_t *ret_len)
{
	int hi, lo;

	*ret_len = 6;
	if ((hi = hex4(p + 2, end)) < 0)
		return -1;
	if (hi < 0xd800 || hi > 0xdfff)
		return hi;
	if (hi > 0xdbff || end - p < 12 || p[6] != '\\' || p[7] != 'u')
		return -2;
	lo = hex4(p + 8, end);
	if (lo < 0xdc00 || lo > 0xdfff)
		return -2;
	*ret_len = 12;
	return 0x10000 + ((long)(hi - 0xd800) << 10) + (lo - 0xdc00);
}

static int
pass_escape(struct jlex *j, const uint8_t **pp)
{
	const uint8_t *p = *pp;
	size_t n;
	long cp;

	if (j->end - p < 2)
		return fail_syntax(j, j->end, "inside a string");
	if (p[1] != 'u') {
		if (p[1] == 0 || strchr("\"\\/bfnrt", p[1]) == NULL)
			return fail_syntax(j, p, "no such escape");
		*pp = p + 2;
		return 0;
	}
	cp = escape_u(p, j->end, &n);
	if (cp == -1)
		return fail_syntax(j, p, "\\u needs four hex digits");
	if (cp == -2)
		return jlex_fail(j, NRS_EUTF8, (size_t)(p - j->base), NULL,
		    "an unpaired surrogate is escaped (RFC 7493, 2.1)");
	if ((cp & 0xfffe) == 0xfffe || (cp >= 0xfdd0 && cp <= 0xfdef))
		return jlex_fail(j, NRS_EUTF8, (size_t)(p - j->base), NULL,
		    "a noncharacter is escaped (RFC 7493, 2.1)");
	*pp = p + n;
	return 0;
}

int
jlex_string(struct jlex *j, struct nrs_str *ret, bool *ret_esc)
{
	const uint8_t *p = j->p + 1, *end = j->end;
	unsigned int n;
	int rc;

	*ret_esc = false;
	for (;;) {
		p = pass_plain(p, end);
		if (p == end)
			return fail_syntax(j, p, "inside a string");
		if (*p == '"')
			break;
		if (*p == '\\') {
			*ret_esc = true;
			if ((rc = pass_escape(j, &p)) != 0)
				return rc;
		} else if (*p < 0x20)
			return fail_syntax(j, p, "a control character in a string");
		while (p < end && *p >= 0x80) {
			if ((n = jlex_utf8(p, (size_t)(end - p))) == 0)
				return jlex_fail(j, NRS_EUTF8, (size_t)(p - j->base), NULL,
				    "malformed UTF-8 or a noncharacter (RFC 7493, 2.1)");
			p += n;
		}
	}
	ret->p = j->p + 1;
	ret->len = (size_t)(p - ret->p);
	j->p = p + 1;
	return 0;
}

void
jlex_dec_init(struct jlex_dec *c, struct nrs_str raw)
{
	c->p = raw.p;
	c->end = raw.p + raw.len;
	c->n = c->i = 0;
}

static void
dec_put(struct jlex_dec *c, unsigned long cp)
{
	c->i = 0;
	if (cp < 0x80) {
		c->out[0] = (uint8_t)cp;
		c->n = 1;
	} else if (cp < 0x800) {
		c->out[0] = (uint8_t)(0xc0 | cp >> 6);
		c->out[1] = (uint8_t)(0x80 | (cp & 0x3f));
		c->n = 2;
	} else if (cp < 0x10000) {
		c->out[0] = (uint8_t)(0xe0 | cp >> 12);
		c->out[1] = (uint8_t)(0x80 | (cp >> 6 & 0x3f));
		c->out[2] = (uint8_t)(0x80 | (cp & 0x3f));
		c->n = 3;
	} else {
		c->out[0] = (uint8_t)(0xf0 | cp >> 18);
		c->out[1] = (uint8_t)(0x80 | (cp >> 12 & 0x3f));
		c->out[2] = (uint8_t)(0x80 | (cp >> 6 & 0x3f));
		c->out[3] = (uint8_t)(0x80 | (cp & 0x3f));
		c->n = 4;
	}
}

int
jlex_dec_next(struct jlex_dec *c)
{
	static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
	const char *at;
	size_t n;
	long cp;

	if (c->i < c->n)
		return c->out[c->i++];
	if (c->p >= c->end)
		return -1;
	if (*c->p != '\\' || c->end - c->p < 2)
		return *c->p++;
	if (c->p[1] == 'u') {
		cp = escape_u(c->p, c->end, &n);
		dec_put(c, cp < 0 ? 0xfffd : (unsigned long)cp);
		c->p += (size_t)(c->end - c->p) < n ? (size_t)(c->end - c->p) : n;
		return c->out[c->i++];
	}
	at = c->p[1] == 0 ? NULL : strchr(from, c->p[1]);
	c->p += 2;
	return at != NULL ? to[at - from] : c->p[-1];
}

/* --- numbers and words -------------------------------------------------- */

static const uint8_t *
pass_digits(const uint8_t *p, const uint8_t *end)
{
	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p;
}

/*
 * Is a number with fraction or exponent beyond the largest double?  mant is
 * its digits and point, exp its exponent.
 */
static bool
beyond_double(const uint8_t *mant, const uint8_t *mend, long exp)
{
	static const char limit[] =
	    "17976931348623158079"; /* where rounding gives infinity */
	const uint8_t *p, *first = NULL;
	bool point = false;
	size_t i = 0;

	for (p = mant; p < mend; p++) {
		if (*p == '.') {
			point = true;
			continue;
		}
		if (first == NULL && *p != '0')
			first = p;
		if (!point && first != NULL)
			exp++;
		else if (point && first == NULL)
			exp--;
	}
	if (first == NULL || exp < 309)
		return false;
	if (exp > 309)
		return true;
	for (p = first; p < mend && limit[i] != '\0'; p++) {
		if (*p == '.')
			continue;
		if (*p != (uint8_t)limit[i])
			return *p > (uint8_t)limit[i];
		i++;
	}
	return limit[i] == '\0';
}

static int
check_integer(struct jlex *j, const uint8_t *p, const uint8_t *q)
{
	const uint8_t *at = j->p;
	uint64_t v = 0;

	if (q - p > 16)
		v = UINT64_MAX;
	else
		for (; p < q; p++)
			v = v * 10 + (uint64_t)(*p - '0');
	if (v > INT_SAFE)
		return jlex_fail(j, NRS_ERANGE, (size_t)(at - j->base), NULL,
		    "an integer beyond 2^53 - 1 (RFC 7493, 2.2)");
	return 0;
}

static int
pass_exponent(struct jlex *j, const uint8_t **pp, long *ret_exp)
{
	const uint8_t *q, *p = *pp + 1;
	bool neg = false;
	long v = 0;

	if (p < j->end && (*p == '+' || *p == '-'))
		neg = *p++ == '-';
	q = pass_digits(p, j->end);
	if (q == p)
		return fail_syntax(j, p, "an exponent needs digits");
	for (; p < q; p++)
		if (v < 100000000)
			v = v * 10 + (*p - '0');
	*ret_exp = neg ? -v : v;
	*pp = q;
	return 0;
}

static int
pass_number(struct jlex *j)
{
	const uint8_t *p = j->p, *q, *mant, *mend;
	bool real = false;
	long exp = 0;
	int rc;

	if (*p == '-')
		p++;
	mant = p;
	q = pass_digits(p, j->end);
	if (q == p)
		return fail_syntax(j, p, "a number needs digits");
	if (*p == '0' && q - p > 1)
		return fail_syntax(j, p, "a number with a leading zero");
	mend = q;
	if (q < j->end && *q == '.') {
		mend = pass_digits(q + 1, j->end);
		if (mend == q + 1)
			return fail_syntax(j, mend, "a fraction needs digits");
		real = true;
	}
	p = mend;
	if (p < j->end && (*p | 0x20) == 'e') {
		if ((rc = pass_exponent(j, &p, &exp)) != 0)
			return rc;
		real = true;
	}
	if (!real && (rc = check_integer(j, mant, q)) != 0)
		return rc;
	if (real && beyond_double(mant, mend, exp))
		return jlex_fail(j, NRS_ERANGE, jlex_off(j), NULL,
		    "a number beyond IEEE 754 double precision (RFC 7493, 2.2)");
	j->p = p;
	return 0;
}

static int
pass_word(struct jlex *j, const char *word, size_t len)
{
	if ((size_t)(j->end - j->p) < len || memcmp(j->p, word, len) != 0)
		return fail_syntax(j, j->p, "not a JSON value");
	j->p += len;
	return 0;
}

/* --- structure ---------------------------------------------------------- */

static inline void
pass_space(struct jlex *j)
{
	const uint8_t *p = j->p;

	while (p < j->end && *p <= ' ' &&
	    (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
		p++;
	j->p = p;
}

int
jlex_peek(struct jlex *j)
{
	pass_space(j);
	return j->p < j->end ? *j->p : -1;
}

int
jlex_open(struct jlex *j)
{
	struct jlex_level *lv;

	if (j->depth == NRS_JSON_DEPTH)
		return jlex_fail(j, NRS_ELIMIT, jlex_off(j), NULL, "nested deeper than %d",
		    NRS_JSON_DEPTH);
	lv = &j->lv[j->depth++];
	lv->bloom = 0;
	lv->keys = j->nkeys;
	lv->n = 0;
	lv->array = *j->p == '[';
	lv->at_value = false;
	j->p++;
	return 0;
}

int
jlex_member(struct jlex *j, struct nrs_str *ret_key, bool *ret_esc)
{
	struct jlex_level *lv = &j->lv[j->depth - 1];
	int c, rc;

	c = jlex_peek(j);
	if (c == '}') {
		if ((rc = jkey_close(j)) != 0)
			return rc;
		j->p++;
		j->depth--;
		return 0;
	}
	if (lv->n > 0) {
		if (c != ',')
			return fail_syntax(j, j->p, "',' or '}' is expected");
		lv->at_value = false;
		j->p++;
		c = jlex_peek(j);
	}
	if (c != '"')
		return fail_syntax(j, j->p, "a key is expected");
	if ((rc = jlex_string(j, ret_key, ret_esc)) != 0 ||
	    (rc = jkey_add(j, *ret_key, *ret_esc)) != 0)
		return rc;
	lv->n++;
	lv->at_value = true;
	if (jlex_peek(j) != ':')
		return fail_syntax(j, j->p, "':' is expected");
	j->p++;
	pass_space(j);
	return 1;
}

void
jlex_learn(const struct jlex *j, struct nrs_str key, bool esc, struct jlex_like *ret)
{
	const struct jlex_ent *e = &j->keys[j->nkeys - 1];

	ret->len = 0;
	if (esc || key.len + 3 > JLEX_LIKE_LEN)
		return;
	memset(ret->text, 0, sizeof(ret->text));
	ret->text[0] = '"';
	memcpy(ret->text + 1, key.p, key.len);
	memcpy(ret->text + 1 + key.len, "\":", 2);
	ret->len = (uint32_t)key.len + 3;
	ret->b = e->b;
	ret->h = e->h;
}

/* JLEX_LIKE_LEN bytes can be read from both. */
static inline bool
same_text(const uint8_t *x, const uint8_t *y, uint32_t len)
{
#ifdef __SSE2__
	const __m128i *a = (const __m128i *)(const void *)x,
		      *b = (const __m128i *)(const void *)y;
	uint32_t lo = (uint32_t)_mm_movemask_epi8(
	    _mm_cmpeq_epi8(_mm_loadu_si128(a), _mm_loadu_si128(b)));
	uint32_t hi = (uint32_t)_mm_movemask_epi8(
	    _mm_cmpeq_epi8(_mm_loadu_si128(a + 1), _mm_loadu_si128(b + 1)));
	uint32_t want = UINT32_MAX >> (JLEX_LIKE_LEN - len);

	return ((lo | hi << 16) & want) == want;
#else
	return memcmp(x, y, len) == 0;
#endif
}

bool
jlex_member_like(struct jlex *j, const struct jlex_like *m)
{
	struct jlex_level *lv = &j->lv[j->depth - 1];
	const uint8_t *p = j->p;
	struct jlex_ent *e;

	if (m->len == 0 || j->nkeys == j->cap)
		return false;
	if (lv->n > 0 && (p == j->end || *p++ != ','))
		return false;
	while (p < j->end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
		p++;
	if ((size_t)(j->end - p) < JLEX_LIKE_LEN || !same_text(p, m->text, m->len))
		return false;
	/* As if it had been added: a key that is not expected is compared with it. */
	e = &j->keys[j->nkeys++];
	e->h = m->h;
	e->a = (uint32_t)(p + 1 - j->base);
	e->b = m->b;
	lv->bloom |= jlex_bloom(m->h);
	lv->n++;
	lv->at_value = true;
	j->p = p + m->len;
	pass_space(j);
	return true;
}

int
jlex_element(struct jlex *j)
{
	struct jlex_level *lv = &j->lv[j->depth - 1];
	int c;

	c = jlex_peek(j);
	if (lv->n > 0 && c == ',') {
		j->p++;
		c = jlex_peek(j);
		if (c == ']') {
			lv->n++;
			return fail_syntax(j, j->p, "a value is expected");
		}
	} else if (c == ']') {
		j->p++;
		j->depth--;
		return 0;
	} else if (lv->n > 0)
		return fail_syntax(j, j->p, "',' or ']' is expected");
	lv->n++;
	return 1;
}

int
jlex_skip(struct jlex *j)
{
	unsigned int floor = j->depth;
	struct nrs_str s;
	bool esc;
	int c, rc;

	for (;;) {
		c = jlex_peek(j);
		if (c == '"')
			rc = jlex_string(j, &s, &esc);
		else if (c == '{' || c == '[')
			rc = jlex_open(j);
		else if (c == '-' || (c >= '0' && c <= '9'))
			rc = pass_number(j);
		else if (c == 't')
			rc = pass_word(j, "true", 4);
		else if (c == 'f')
			rc = pass_word(j, "false", 5);
		else if (c == 'n')
			rc = pass_word(j, "null", 4);
		else
			rc = fail_syntax(j, j->p, "a value is expected");
		if (rc != 0)
			return rc;
		/* after a value: the next one of what encloses it, or out of it */
		do {
			if (j->depth == floor)
				return 0;
			if (j->lv[j->depth - 1].array)
				rc = jlex_element(j);
			else
				rc = jlex_member(j, &s, &esc);
			if (rc < 0)
				return rc;
		} while (rc == 0);
	}
}

int
jlex_end(struct jlex *j)
{
	if (jlex_peek(j) >= 0)
		return fail_syntax(j, j->p, "something follows the value");
	return 0;
}
