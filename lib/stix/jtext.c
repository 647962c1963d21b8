/* JSON text in and out of other text: compacting, quoting, resolving escapes. */
#include "stix/scan.h"

#include <string.h>

#include "stix/jlex.h"

void
nrs_json_compact(struct nrs_buf *b, const uint8_t *p, size_t len)
{
	const uint8_t *end = p + len, *from;

	while (p < end) {
		while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
			p++;
		from = p;
		while (p < end && *p != ' ' && *p != '\n' && *p != '\r' && *p != '\t') {
			if (*p++ != '"')
				continue;
			while (p < end && *p != '"')
				p += *p == '\\' && end - p > 1 ? 2 : 1;
			if (p < end)
				p++;
		}
		nrs_buf_put(b, from, (size_t)(p - from));
	}
}

static void
put_control(struct nrs_buf *b, uint8_t c)
{
	static const char hex[] = "0123456789abcdef", from[] = "\b\f\n\r\t", to[] = "bfnrt";
	const char *at = c == 0 ? NULL : strchr(from, c);
	char esc[6] = { '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] };

	if (at == NULL) {
		nrs_buf_put(b, esc, 6);
		return;
	}
	esc[1] = to[at - from];
	nrs_buf_put(b, esc, 2);
}

void
nrs_json_quote(struct nrs_buf *b, const char *s, size_t len)
{
	const uint8_t *p = (const uint8_t *)s, *end = p + len, *from = p;
	unsigned int n;

	nrs_buf_u8(b, '"');
	while (p < end) {
		n = jlex_utf8(p, (size_t)(end - p));
		if (n > 0 && *p >= 0x20 && *p != '"' && *p != '\\') {
			p += n;
			continue;
		}
		nrs_buf_put(b, from, (size_t)(p - from));
		if (n == 0)
			nrs_buf_put(b, "\xef\xbf\xbd", 3);
		else if (*p < 0x20)
			put_control(b, *p);
		else {
			nrs_buf_u8(b, '\\');
			nrs_buf_u8(b, *p);
		}
		from = ++p;
	}
	nrs_buf_put(b, from, (size_t)(p - from));
	nrs_buf_u8(b, '"');
}

void
nrs_json_unescape(struct nrs_buf *b, struct nrs_str raw)
{
	const uint8_t *slash;
	struct jlex_dec dec;
	int c;

	slash = raw.len > 0 ? memchr(raw.p, '\\', raw.len) : NULL;
	if (slash == NULL) {
		nrs_buf_put(b, raw.p, raw.len);
		return;
	}
	nrs_buf_put(b, raw.p, (size_t)(slash - raw.p));
	raw.len -= (size_t)(slash - raw.p);
	raw.p = slash;
	jlex_dec_init(&dec, raw);
	while ((c = jlex_dec_next(&dec)) >= 0)
		nrs_buf_u8(b, (uint8_t)c);
}
