/* What is an address of a peer: HOST:PORT, IPv6 in brackets (docs/FORMAT.md, section 6). */
#include "record/manifest.h"

#include <string.h>

#include "base/text.h"

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_alnum(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Four numbers 0-255 without leading zeros: there is one reading of it. */
static bool
ipv4_ok(const char *s, size_t len)
{
	const char *dot;
	uint64_t v;
	size_t n;

	for (int i = 0; i < 4; i++) {
		dot = i < 3 ? memchr(s, '.', len) : s + len;
		if (dot == NULL)
			return false;
		n = (size_t)(dot - s);
		if (nrs_u64_parse(s, n, 255, &v) != 0)
			return false;
		if (i < 3) {
			s += n + 1;
			len -= n + 1;
		}
	}
	return true;
}

/* RFC 4291, 2.2: eight groups, one "::", the last two groups possibly as IPv4. */
static bool
ipv6_ok(const char *s, size_t len)
{
	unsigned int groups = 0;
	bool gap = false;
	size_t i = 0, n;

	if (len >= 2 && s[0] == ':' && s[1] == ':') {
		gap = true;
		i = 2;
	}
	while (i < len) {
		for (n = 0; i + n < len && is_hex(s[i + n]); n++)
			;
		if (i + n < len && s[i + n] == '.') {
			groups += 2;
			if (!ipv4_ok(s + i, len - i))
				return false;
			break;
		}
		if (n == 0 || n > 4 || ++groups > 8)
			return false;
		i += n;
		if (i == len)
			break;
		if (s[i++] != ':' || i == len)
			return false;
		if (s[i] == ':') {
			if (gap)
				return false;
			gap = true;
			i++;
		}
	}
	return gap ? groups < 8 : groups == 8;
}

static bool
label_ok(const char *s, size_t len)
{
	if (len < 1 || len > 63 || s[0] == '-' || s[len - 1] == '-')
		return false;
	for (size_t i = 0; i < len; i++)
		if (!is_alnum(s[i]) && s[i] != '-')
			return false;
	return true;
}

/* A name whose last label is a number would be read as IPv4 by some: it must be one. */
static bool
host_ok(const char *s, size_t len)
{
	const char *label = s, *end = s + len, *dot;
	bool digits = true;

	if (len < 1 || len > NRS_ORIGIN_MAX)
		return false;
	for (;;) {
		dot = memchr(label, '.', (size_t)(end - label));
		if (!label_ok(label, (size_t)((dot != NULL ? dot : end) - label)))
			return false;
		if (dot == NULL)
			break;
		label = dot + 1;
	}
	for (; label < end; label++)
		digits = digits && is_digit(*label);
	return !digits || ipv4_ok(s, len);
}

int
nrs_addr_parse(const char *s, size_t len, char *host, uint16_t *ret_port)
{
	const char *h = s, *colon;
	uint64_t port = 0;
	size_t hlen;
	int ret;

	if (len > 0 && s[0] == '[') {
		colon = memchr(s, ']', len);
		if (colon == NULL)
			return NRS_ESYNTAX;
		h = s + 1;
		hlen = (size_t)(colon - h);
		colon++;
		if (colon == s + len || *colon != ':' || hlen > 45 || !ipv6_ok(h, hlen))
			return NRS_ESYNTAX;
	} else {
		colon = len > 0 ? memchr(s, ':', len) : NULL;
		if (colon == NULL)
			return NRS_ESYNTAX;
		hlen = (size_t)(colon - h);
		if (!host_ok(h, hlen))
			return NRS_ESYNTAX;
	}
	colon++;
	ret = nrs_u64_parse(colon, (size_t)(s + len - colon), UINT16_MAX, &port);
	if (ret != 0)
		return ret;
	if (port == 0)
		return NRS_ERANGE;
	memcpy(host, h, hlen);
	host[hlen] = '\0';
	*ret_port = (uint16_t)port;
	return 0;
}
