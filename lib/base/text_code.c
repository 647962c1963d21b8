/*
 * Bytes as text: hex, base64, the base32 fingerprint, UUIDs.  One text for one
 * value: a decoder refuses whatever its encoder would not have written.
 */
#include "base/text.h"

#include <string.h>

static const char hex_digits[] = "0123456789abcdef";

void
nrs_hex_format(char *dst, const uint8_t *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		*dst++ = hex_digits[p[i] >> 4];
		*dst++ = hex_digits[p[i] & 15];
	}
	*dst = '\0';
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int
nrs_hex_parse(const char *s, size_t slen, uint8_t *dst, size_t len)
{
	size_t i;
	int hi, lo;

	if (slen % 2 != 0 || slen / 2 != len)
		return NRS_ESYNTAX;
	for (i = 0; i < len; i++) {
		hi = hex_value(s[2 * i]);
		lo = hex_value(s[2 * i + 1]);
		if (hi < 0 || lo < 0)
			return NRS_ESYNTAX;
		dst[i] = (uint8_t)(hi << 4 | lo);
	}
	return 0;
}

static const char b64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void
nrs_b64_format(char *dst, const uint8_t *p, size_t len)
{
	uint32_t v;

	for (; len >= 3; len -= 3, p += 3) {
		v = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
		*dst++ = b64_digits[v >> 18];
		*dst++ = b64_digits[v >> 12 & 63];
		*dst++ = b64_digits[v >> 6 & 63];
		*dst++ = b64_digits[v & 63];
	}
	if (len > 0) {
		v = (uint32_t)p[0] << 16 | (len == 2 ? (uint32_t)p[1] << 8 : 0);
		*dst++ = b64_digits[v >> 18];
		*dst++ = b64_digits[v >> 12 & 63];
		*dst++ = len == 2 ? b64_digits[v >> 6 & 63] : '=';
		*dst++ = '=';
	}
	*dst = '\0';
}

static int
b64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

int
nrs_b64_parse(const char *s, size_t slen, uint8_t *dst, size_t max, size_t *ret_len)
{
	size_t pad, digits, i, n = 0;
	uint32_t acc = 0;
	int v, bits = 0;

	*ret_len = 0;
	if (slen % 4 != 0)
		return NRS_ESYNTAX;
	if (slen == 0)
		return 0;
	pad = s[slen - 1] != '=' ? 0 : s[slen - 2] != '=' ? 1 : 2;
	digits = slen - pad;
	if (digits * 6 / 8 > max)
		return NRS_ELIMIT;
	for (i = 0; i < digits; i++) {
		if ((v = b64_value(s[i])) < 0)
			return NRS_ESYNTAX;
		acc = (acc & 0xff) << 6 | (uint32_t)v;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			dst[n++] = (uint8_t)(acc >> bits);
		}
	}
	/* A second spelling of the same bytes would make signed text malleable. */
	if ((acc & ((1u << bits) - 1)) != 0)
		return NRS_ESYNTAX;
	*ret_len = n;
	return 0;
}

static const char b32_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

void
nrs_fingerprint_format(char dst[25], const struct nrs_hash *h)
{
	unsigned int acc = 0, bits = 0, in = 0, i;

	for (i = 0; i < 20; i++) {
		if (i > 0 && i % 4 == 0)
			*dst++ = '-';
		if (bits < 5) {
			acc = (acc & 0xff) << 8 | h->b[in++];
			bits += 8;
		}
		bits -= 5;
		*dst++ = b32_digits[acc >> bits & 31];
	}
	*dst = '\0';
}

int
nrs_fingerprint_parse(const char *s, char dst[25])
{
	char out[25];
	unsigned int n = 0, at = 0;
	char c;

	for (; *s != '\0'; s++) {
		if (*s == '-' || *s == ' ')
			continue;
		c = *s >= 'a' && *s <= 'z' ? (char)(*s - 'a' + 'A') : *s;
		if (n == 20 || strchr(b32_digits, c) == NULL)
			return NRS_ESYNTAX;
		if (n > 0 && n % 4 == 0)
			out[at++] = '-';
		out[at++] = c;
		n++;
	}
	if (n != 20)
		return NRS_ESYNTAX;
	out[at] = '\0';
	memcpy(dst, out, sizeof(out));
	return 0;
}

/* Where the dashes of a UUID stand: before these bytes. */
static bool
uuid_dash(size_t i)
{
	return i == 4 || i == 6 || i == 8 || i == 10;
}

void
nrs_uuid_format(char dst[37], const uint8_t uuid[16])
{
	size_t i;

	for (i = 0; i < 16; i++) {
		if (uuid_dash(i))
			*dst++ = '-';
		*dst++ = hex_digits[uuid[i] >> 4];
		*dst++ = hex_digits[uuid[i] & 15];
	}
	*dst = '\0';
}

int
nrs_uuid_parse(const char *s, size_t len, uint8_t uuid[16])
{
	uint8_t out[16];
	size_t i;

	if (len != 36)
		return NRS_ESYNTAX;
	for (i = 0; i < 16; i++) {
		if (uuid_dash(i) && *s++ != '-')
			return NRS_ESYNTAX;
		if ((s[0] >= 'A' && s[0] <= 'F') || (s[1] >= 'A' && s[1] <= 'F'))
			return NRS_ESYNTAX;
		if (nrs_hex_parse(s, 2, &out[i], 1) != 0)
			return NRS_ESYNTAX;
		s += 2;
	}
	memcpy(uuid, out, sizeof(out));
	return 0;
}
