/*
 * Kinds of values: their names, what makes a text one of them, and which one a
 * text is.  The rules say what is certainly not such a value; they never say
 * that something exists, and nothing is resolved.
 */
#include "import/indicator.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/text.h"

#define VALUE_MAX 16384 /* the longest URL seen in real lists is a tenth of this */

static const struct {
	const char *name;
	const char *alias[3];
} types[NRS_VALUE__MAX] = {
	[NRS_VALUE_URL] = { "url", { "uri", "link" } },
	[NRS_VALUE_DOMAIN] = { "domain-name", { "domain", "hostname", "fqdn" } },
	[NRS_VALUE_IPV4] = { "ipv4-addr", { "ipv4", "ip-dst", "ip-src" } },
	[NRS_VALUE_IPV6] = { "ipv6-addr", { "ipv6" } },
	[NRS_VALUE_EMAIL] = { "email-addr", { "email", "email-src", "mail" } },
	[NRS_VALUE_MD5] = { "md5" },
	[NRS_VALUE_SHA1] = { "sha1", { "sha-1" } },
	[NRS_VALUE_SHA256] = { "sha256", { "sha-256" } },
	[NRS_VALUE_SHA512] = { "sha512", { "sha-512" } },
};

const char *
nrs_value_type_name(enum nrs_value_type t)
{
	if (t < NRS_VALUE_URL || t >= NRS_VALUE__MAX)
		return "unknown";
	return types[t].name;
}

int
nrs_value_type_parse(const char *s, enum nrs_value_type *ret)
{
	unsigned int t, i;

	for (t = NRS_VALUE_URL; t < NRS_VALUE__MAX; t++) {
		if (strcasecmp(s, types[t].name) == 0) {
			*ret = t;
			return 0;
		}
		for (i = 0; i < 3 && types[t].alias[i] != NULL; i++)
			if (strcasecmp(s, types[t].alias[i]) == 0) {
				*ret = t;
				return 0;
			}
	}
	return NRS_ETYPE;
}

static bool
is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool
is_alnum(uint8_t c)
{
	return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static int
fail(struct nrs_detail *d, size_t off, const char *why)
{
	return nrs_fail(d, NRS_ESYNTAX, off, "%s", why);
}

/* What no value has, of whatever kind. */
static int
check_text(struct nrs_str v, struct nrs_detail *d)
{
	size_t i, off;
	uint32_t cp;

	if (v.len == 0)
		return fail(d, 0, "the value is empty");
	if (v.len > VALUE_MAX)
		return nrs_fail(
		    d, NRS_ELIMIT, 0, "the value is longer than %d bytes", VALUE_MAX);
	if (!nrs_utf8_ok(v.p, v.len, &off))
		return nrs_fail(d, NRS_EUTF8, off, "the value is not UTF-8");
	for (i = 0; i < v.len; i += nrs_utf8_next(v.p + i, v.len - i, &cp)) {
		if (v.p[i] < 0x20 || v.p[i] == 0x7f ||
		    (v.p[i] == 0xc2 && v.p[i + 1] < 0xa0))
			return fail(d, i, "a control character in the value");
		if (v.p[i] == ' ')
			return fail(d, i, "a space in the value");
	}
	return 0;
}

/*
 * A host as it stands in a URL or alone.  Underscores and non-ASCII letters
 * are what real lists have; hyphens may stand anywhere in a URL's host.
 */
static int
check_host(struct nrs_str h, bool strict, struct nrs_detail *d)
{
	size_t i, label = 0, labels = 1;
	bool letter = false;

	if (h.len == 0)
		return fail(d, 0, "there is no host");
	if (h.len > 1024 || (strict && h.len > 253))
		return fail(d, 0, "the host name is too long");
	for (i = 0; i < h.len; i++) {
		if (h.p[i] == '.') {
			if (label == 0 || (strict && h.p[i - 1] == '-'))
				return fail(d, i, "a label of the host name is malformed");
			label = 0;
			labels++;
			letter = false;
			continue;
		}
		if (!is_alnum(h.p[i]) && h.p[i] < 0x80 && h.p[i] != '-' && h.p[i] != '_')
			return fail(d, i, "a character that no host name has");
		if (strict && label == 0 && h.p[i] == '-')
			return fail(d, i, "a label of the host name is malformed");
		letter = letter || !is_digit(h.p[i]);
		if (++label > 63 && strict)
			return fail(d, i, "a label of the host name is too long");
	}
	if (!strict)
		return 0;
	if (labels < 2)
		return fail(d, 0, "a domain name has a dot");
	if (label == 0 || h.p[h.len - 1] == '-' || !letter)
		return fail(d, h.len, "the last label of the domain name is malformed");
	return 0;
}

/* An address, optionally with /prefix, up to max bits. */
static int
check_address(int family, unsigned int max, struct nrs_str v, struct nrs_detail *d)
{
	const uint8_t *slash = memchr(v.p, '/', v.len);
	size_t n = slash == NULL ? v.len : (size_t)(slash - v.p);
	char text[INET6_ADDRSTRLEN];
	uint8_t addr[16];
	uint64_t bits;

	if (n >= sizeof(text))
		return fail(d, 0, "not an address");
	memcpy(text, v.p, n);
	text[n] = '\0';
	if (strlen(text) != n || inet_pton(family, text, addr) != 1)
		return fail(d, 0, "not an address");
	if (slash != NULL &&
	    nrs_u64_parse((const char *)slash + 1, v.len - n - 1, max, &bits) != 0)
		return fail(d, n, "the prefix length is not possible");
	return 0;
}

/* host, host:port, [v6], [v6]:port, each with user@ before it or not */
static int
check_authority(struct nrs_str a, struct nrs_detail *d)
{
	const uint8_t *at = memrchr(a.p, '@', a.len), *close, *colon;
	struct nrs_str host;
	uint64_t port;
	int rc;

	if (at != NULL) {
		a.len -= (size_t)(at + 1 - a.p);
		a.p = at + 1;
	}
	if (a.len > 0 && a.p[0] == '[') {
		if ((close = memchr(a.p, ']', a.len)) == NULL)
			return fail(d, 0, "the address in the URL has no closing bracket");
		host = (struct nrs_str){ a.p + 1, (size_t)(close - a.p) - 1 };
		if ((rc = check_address(AF_INET6, 0, host, d)) != 0)
			return rc;
		if (close + 1 == a.p + a.len)
			return 0;
		colon = close + 1;
		if (*colon != ':')
			return fail(d, 0, "something follows the address in the URL");
	} else {
		colon = memchr(a.p, ':', a.len);
		host =
		    (struct nrs_str){ a.p, colon == NULL ? a.len : (size_t)(colon - a.p) };
		if ((rc = check_host(host, false, d)) != 0 || colon == NULL)
			return rc;
	}
	colon++;
	/* "host:" with an empty port is a URL (RFC 3986, 3.2.3) */
	if (colon < a.p + a.len &&
	    nrs_u64_parse(
		(const char *)colon, (size_t)(a.p + a.len - colon), 65535, &port) != 0)
		return fail(d, 0, "the port in the URL is not possible");
	return 0;
}

static int
check_url(struct nrs_str v, struct nrs_detail *d)
{
	const uint8_t *p = v.p, *end = v.p + v.len, *q;

	if (!is_alnum(*p) || is_digit(*p))
		return fail(d, 0, "a URL begins with a scheme and ://");
	while (p < end && (is_alnum(*p) || *p == '+' || *p == '-' || *p == '.'))
		p++;
	if (end - p < 3 || memcmp(p, "://", 3) != 0)
		return fail(d, 0, "a URL begins with a scheme and ://");
	p += 3;
	for (q = p; q < end && *q != '/' && *q != '?' && *q != '#' && *q != '\\'; q++)
		;
	return check_authority((struct nrs_str){ p, (size_t)(q - p) }, d);
}

static int
check_email(struct nrs_str v, struct nrs_detail *d)
{
	static const char atext[] = "!#$%&'*+-/=?^_`{|}~.";
	const uint8_t *at = memrchr(v.p, '@', v.len);
	size_t i, n;

	if (at == NULL)
		return fail(d, 0, "an e-mail address has an @");
	n = (size_t)(at - v.p);
	if (n == 0 || n > 64 || v.p[0] == '.' || v.p[n - 1] == '.')
		return fail(d, 0, "the part before the @ is malformed");
	for (i = 0; i < n; i++)
		if (!is_alnum(v.p[i]) && v.p[i] < 0x80 && strchr(atext, v.p[i]) == NULL)
			return fail(d, i, "a character that no e-mail address has");
	return check_host((struct nrs_str){ at + 1, v.len - n - 1 }, true, d);
}

static int
check_hash(struct nrs_str v, size_t digits, struct nrs_detail *d)
{
	size_t i;

	if (v.len != digits)
		return fail(d, 0, "the hash has another length");
	for (i = 0; i < v.len; i++)
		if (!is_digit(v.p[i]) &&
		    !((v.p[i] | 0x20) >= 'a' && (v.p[i] | 0x20) <= 'f'))
			return fail(d, i, "a hash is written in hex digits");
	return 0;
}

int
nrs_value_check(enum nrs_value_type t, struct nrs_str v, struct nrs_detail *d)
{
	int rc;

	if ((rc = check_text(v, d)) != 0)
		return rc;
	switch (t) {
	case NRS_VALUE_URL:
		return check_url(v, d);
	case NRS_VALUE_DOMAIN:
		return check_host(v, true, d);
	case NRS_VALUE_IPV4:
		return check_address(AF_INET, 32, v, d);
	case NRS_VALUE_IPV6:
		return check_address(AF_INET6, 128, v, d);
	case NRS_VALUE_EMAIL:
		return check_email(v, d);
	case NRS_VALUE_MD5:
		return check_hash(v, 32, d);
	case NRS_VALUE_SHA1:
		return check_hash(v, 40, d);
	case NRS_VALUE_SHA256:
		return check_hash(v, 64, d);
	case NRS_VALUE_SHA512:
		return check_hash(v, 128, d);
	default:
		return nrs_fail(d, NRS_ETYPE, 0, "unknown type of value");
	}
}

int
nrs_value_detect(struct nrs_str v, enum nrs_value_type *ret, struct nrs_detail *d)
{
	static const enum nrs_value_type order[] = { NRS_VALUE_MD5, NRS_VALUE_SHA1,
		NRS_VALUE_SHA256, NRS_VALUE_SHA512, NRS_VALUE_IPV4, NRS_VALUE_IPV6,
		NRS_VALUE_DOMAIN };
	size_t i;
	int rc;

	if ((rc = check_text(v, d)) != 0)
		return rc;
	/* these two say what they are, so their own reason is the helpful one */
	if (memmem(v.p, v.len, "://", 3) != NULL) {
		*ret = NRS_VALUE_URL;
		return check_url(v, d);
	}
	if (memchr(v.p, '@', v.len) != NULL) {
		*ret = NRS_VALUE_EMAIL;
		return check_email(v, d);
	}
	for (i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		if (nrs_value_check(order[i], v, NULL) == 0) {
			*ret = order[i];
			return 0;
		}
	return fail(d, 0,
	    "neither a URL, a domain name, an IP address, an e-mail address nor a hash");
}
