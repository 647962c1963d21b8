/*
 * Refanging and defanging.  What is certain is undone everywhere ([.], [:]);
 * what may be part of a path ((dot), [at]) only up to the end of the host.
 */
#include "import/indicator.h"

#include <string.h>

#define EVERYWHERE 1

static const struct {
	const char *from;
	const char *to;
	unsigned int flags;
} tokens[] = {
	{ "[.]", ".", EVERYWHERE },
	{ "[:]", ":", EVERYWHERE },
	{ "[://]", "://", EVERYWHERE },
	{ "[dot]", ".", 0 },
	{ "(dot)", ".", 0 },
	{ "{dot}", ".", 0 },
	{ "(.)", ".", 0 },
	{ "{.}", ".", 0 },
	{ "\\.", ".", 0 },
	{ "[@]", "@", 0 },
	{ "(@)", "@", 0 },
	{ "[at]", "@", 0 },
	{ "(at)", "@", 0 },
	{ "{at}", "@", 0 },
	{ "(:)", ":", 0 },
	{ "(://)", "://", 0 },
	{ "[/]", "/", 0 },
	{ "\xe3\x80\x82", ".", 0 }, /* U+3002 and U+FF0E: dots to IDNA */
	{ "\xef\xbc\x8e", ".", 0 },
	/* invisible, and lost or gained by copying: soft hyphen, zero width space,
	 * word joiner, byte order mark */
	{ "\xc2\xad", "", EVERYWHERE },
	{ "\xe2\x80\x8b", "", EVERYWHERE },
	{ "\xe2\x81\xa0", "", EVERYWHERE },
	{ "\xef\xbb\xbf", "", EVERYWHERE },
};

/* Bytes of space or of an invisible character at p, or 0. */
static size_t
blank_at(const uint8_t *p, size_t left)
{
	if (left >= 1 && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n'))
		return 1;
	if (left >= 2 && p[0] == 0xc2 && (p[1] == 0xa0 || p[1] == 0xad))
		return 2;
	if (left < 3)
		return 0;
	if (p[0] == 0xe2 && p[1] == 0x80 && p[2] >= 0x8b && p[2] <= 0x8f)
		return 3;
	if (memcmp(p, "\xe2\x81\xa0", 3) == 0 || memcmp(p, "\xef\xbb\xbf", 3) == 0 ||
	    memcmp(p, "\xe3\x80\x80", 3) == 0)
		return 3;
	return 0;
}

/* The same for what ends a text. */
static size_t
blank_end(struct nrs_str v)
{
	size_t k;

	for (k = 1; k <= 3 && k <= v.len; k++)
		if (blank_at(v.p + v.len - k, k) == k)
			return k;
	return 0;
}

static struct nrs_str
trim(struct nrs_str v)
{
	size_t n;

	while ((n = blank_at(v.p, v.len)) > 0) {
		v.p += n;
		v.len -= n;
	}
	while ((n = blank_end(v)) > 0)
		v.len -= n;
	if (v.len >= 2 && v.p[0] == '<' && v.p[v.len - 1] == '>') {
		v.p++;
		v.len -= 2;
	}
	return v;
}

/* Does this byte, coming after what was written, end the part with the host? */
static bool
ends_host(const struct nrs_buf *b, size_t start, uint8_t c)
{
	const uint8_t *p = b->p;
	size_t n = b->len;

	if (c == '?' || c == '#')
		return true;
	if (c != '/' || n == start)
		return false;
	return p[n - 1] != ':' && !(n - start > 1 && p[n - 1] == '/' && p[n - 2] == ':');
}

/* hxxp, hXXp, h**p, fxp before :// are the same number of letters: in place. */
static void
fix_scheme(uint8_t *p, size_t len)
{
	uint8_t t;

	if (len >= 7 && (p[0] | 0x20) == 'h' && (p[3] | 0x20) == 'p' &&
	    (((p[1] | 0x20) == 'x' && (p[2] | 0x20) == 'x') ||
		(p[1] == '*' && p[2] == '*')) &&
	    (memcmp(p + 4, "://", 3) == 0 ||
		((p[4] | 0x20) == 's' && len >= 8 && memcmp(p + 5, "://", 3) == 0))) {
		t = p[0] == 'H' && p[3] == 'P' ? 'T' : 't';
		p[1] = p[2] = t;
	} else if (len >= 6 && (p[0] | 0x20) == 'f' && (p[1] | 0x20) == 'x' &&
	    (p[2] | 0x20) == 'p' && memcmp(p + 3, "://", 3) == 0) {
		p[1] = 't';
		memcpy(p, p[0] == 'F' && p[2] == 'P' ? "FTP" : "ftp", 3);
	}
}

void
nrs_value_refang(struct nrs_buf *b, struct nrs_str v)
{
	size_t start = b->len, i, k, n;
	bool host = true;

	v = trim(v);
	for (i = 0; i < v.len && b->err == 0;) {
		for (k = 0; k < sizeof(tokens) / sizeof(tokens[0]); k++) {
			n = strlen(tokens[k].from);
			if (n <= v.len - i &&
			    (host || (tokens[k].flags & EVERYWHERE) != 0) &&
			    strncasecmp((const char *)v.p + i, tokens[k].from, n) == 0)
				break;
		}
		if (k < sizeof(tokens) / sizeof(tokens[0])) {
			nrs_buf_str(b, tokens[k].to);
			i += n;
			continue;
		}
		if (host && ends_host(b, start, v.p[i]))
			host = false;
		nrs_buf_u8(b, v.p[i++]);
	}
	if (b->err == 0 && b->len > start)
		fix_scheme(b->p + start, b->len - start);
}

/* The scheme, made harmless, and how many bytes of v it took. */
static size_t
defang_scheme(struct nrs_buf *b, struct nrs_str v)
{
	static const struct {
		const char *from;
		const char *to;
	} schemes[] = {
		{ "http://", "hxxp://" },
		{ "https://", "hxxps://" },
		{ "HTTP://", "HXXP://" },
		{ "HTTPS://", "HXXPS://" },
		{ "ftp://", "fxp://" },
		{ "FTP://", "FXP://" },
	};
	const uint8_t *sep;
	size_t i, n;

	for (i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		n = strlen(schemes[i].from);
		if (v.len >= n && memcmp(v.p, schemes[i].from, n) == 0) {
			nrs_buf_str(b, schemes[i].to);
			return n;
		}
	}
	if (v.len == 0 || (sep = memmem(v.p, v.len, "://", 3)) == NULL)
		return 0;
	n = (size_t)(sep - v.p);
	nrs_buf_put(b, v.p, n);
	nrs_buf_str(b, "[://]");
	return n + 3;
}

void
nrs_value_defang(struct nrs_buf *b, struct nrs_str v)
{
	size_t i, scheme = defang_scheme(b, v), colons = 0;
	bool host = true;

	for (i = scheme; scheme == 0 && i < v.len; i++)
		colons += v.p[i] == ':';
	for (i = scheme; i < v.len && b->err == 0; i++) {
		if (v.p[i] == '/' || v.p[i] == '?' || v.p[i] == '#')
			host = false;
		if (host && v.p[i] == '.')
			nrs_buf_str(b, "[.]");
		else if (host && v.p[i] == '@')
			nrs_buf_str(b, "[@]");
		else if (host && v.p[i] == ':' && colons > 1)
			nrs_buf_str(b, "[:]");
		else
			nrs_buf_u8(b, v.p[i]);
	}
}
