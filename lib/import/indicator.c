/*
 * From a checked value to an indicator object: pattern, ids, JSON.  Ids are
 * functions of what is shared with whom (docs/FORMAT.md, 9), so submitting the
 * same thing again is the same object.
 */
#include "import/indicator.h"

#include <string.h>
#include <uuid/uuid.h>

#include "base/text.h"
#include "stix/scan.h"

#define PATTERN_MAX (64u << 10)

/* Noroshi's namespace, b2dd6043-20c9-42e7-a59e-6b5e384debf3: random, and fixed for ever. */
static const uint8_t namespace[16] = { 0xb2, 0xdd, 0x60, 0x43, 0x20, 0xc9, 0x42, 0xe7, 0xa5,
	0x9e, 0x6b, 0x5e, 0x38, 0x4d, 0xeb, 0xf3 };

/* What a name in the namespace is of. */
enum { NAME_INDICATOR = 1, NAME_IDENTITY = 2 };

static const char *const paths[NRS_VALUE__MAX] = {
	[NRS_VALUE_URL] = "url:value",
	[NRS_VALUE_DOMAIN] = "domain-name:value",
	[NRS_VALUE_IPV4] = "ipv4-addr:value",
	[NRS_VALUE_IPV6] = "ipv6-addr:value",
	[NRS_VALUE_EMAIL] = "email-addr:value",
	[NRS_VALUE_MD5] = "file:hashes.MD5",
	[NRS_VALUE_SHA1] = "file:hashes.'SHA-1'",
	[NRS_VALUE_SHA256] = "file:hashes.'SHA-256'",
	[NRS_VALUE_SHA512] = "file:hashes.'SHA-512'",
};

int
nrs_indicator_pattern(struct nrs_buf *b, enum nrs_value_type t, struct nrs_str v)
{
	size_t i, from = 0;

	if (t < NRS_VALUE_URL || t >= NRS_VALUE__MAX)
		return NRS_ETYPE;
	nrs_buf_u8(b, '[');
	nrs_buf_str(b, paths[t]);
	nrs_buf_str(b, " = '");
	for (i = 0; i < v.len; i++) {
		if (v.p[i] != '\'' && v.p[i] != '\\')
			continue;
		nrs_buf_put(b, v.p + from, i - from);
		nrs_buf_u8(b, '\\');
		from = i;
	}
	nrs_buf_put(b, v.p + from, v.len - from);
	nrs_buf_str(b, "']");
	return b->err;
}

static void
format_uuid5(const struct nrs_buf *name, char dst[37])
{
	uuid_t uuid;

	uuid_generate_sha1(uuid, namespace, (const char *)name->p, name->len);
	nrs_uuid_format(dst, uuid);
}

static void
put_text32(struct nrs_buf *b, const void *p, size_t len)
{
	nrs_buf_u32(b, (uint32_t)len);
	nrs_buf_put(b, p, len);
}

int
nrs_indicator_id(const struct nrs_indicator *i, char ret[48])
{
	static const char prefix[] = "indicator--";
	struct nrs_buf name, pattern;
	int rc;

	nrs_buf_init(&name, 2 * PATTERN_MAX);
	nrs_buf_init(&pattern, PATTERN_MAX);
	if ((rc = nrs_indicator_pattern(&pattern, i->type, i->value)) != 0)
		goto out;
	nrs_buf_u8(&name, NAME_INDICATOR);
	put_text32(&name, i->origin, strlen(i->origin));
	nrs_buf_hash(&name, &i->audience);
	nrs_buf_u8(&name, (uint8_t)i->tlp);
	put_text32(&name, pattern.p, pattern.len);
	nrs_buf_u64(&name, i->seen.ms);
	if ((rc = name.err) != 0)
		goto out;
	memcpy(ret, prefix, sizeof(prefix));
	format_uuid5(&name, ret + sizeof(prefix) - 1);
out:
	nrs_buf_fini(&pattern);
	nrs_buf_fini(&name);
	return rc;
}

int
nrs_identity_id(const char *origin, char ret[47])
{
	static const char prefix[] = "identity--";
	struct nrs_buf name;
	int rc;

	nrs_buf_init(&name, PATTERN_MAX);
	nrs_buf_u8(&name, NAME_IDENTITY);
	put_text32(&name, origin, strlen(origin));
	if ((rc = name.err) == 0) {
		memcpy(ret, prefix, sizeof(prefix));
		format_uuid5(&name, ret + sizeof(prefix) - 1);
	}
	nrs_buf_fini(&name);
	return rc;
}

static void
put_text(struct nrs_buf *b, const char *key, struct nrs_str v)
{
	nrs_buf_fmt(b, ",\"%s\":", key);
	nrs_json_quote(b, (const char *)v.p, v.len);
}

static void
put_time(struct nrs_buf *b, const char *key, struct nrs_wall t)
{
	char text[NRS_TIME_LEN + 1];

	nrs_time_format(text, t);
	nrs_buf_fmt(b, ",\"%s\":\"%s\"", key, text);
}

static struct nrs_str
trim(struct nrs_str v)
{
	while (v.len > 0 && (v.p[0] == ' ' || v.p[0] == '\t')) {
		v.p++;
		v.len--;
	}
	while (v.len > 0 && (v.p[v.len - 1] == ' ' || v.p[v.len - 1] == '\t'))
		v.len--;
	return v;
}

/* A STIX list is never empty: without a label there is no property. */
static void
put_labels(struct nrs_buf *b, struct nrs_str all)
{
	const uint8_t *comma;
	struct nrs_str one;
	bool any = false;

	while (all.len > 0) {
		comma = memchr(all.p, ',', all.len);
		one.p = all.p;
		one.len = comma == NULL ? all.len : (size_t)(comma - all.p);
		all.p += one.len;
		all.len -= one.len;
		if (comma != NULL) {
			all.p++;
			all.len--;
		}
		one = trim(one);
		if (one.len == 0)
			continue;
		nrs_buf_str(b, any ? "," : ",\"labels\":[");
		nrs_json_quote(b, (const char *)one.p, one.len);
		any = true;
	}
	if (any)
		nrs_buf_u8(b, ']');
}

static int
put_pattern(struct nrs_buf *b, const struct nrs_indicator *i)
{
	struct nrs_buf pattern;
	int rc;

	nrs_buf_init(&pattern, PATTERN_MAX);
	if ((rc = nrs_indicator_pattern(&pattern, i->type, i->value)) == 0)
		put_text(b, "pattern", (struct nrs_str){ pattern.p, pattern.len });
	nrs_buf_fini(&pattern);
	return rc;
}

int
nrs_indicator_format(struct nrs_buf *b, const struct nrs_indicator *i)
{
	char id[48], identity[47];
	const char *marking;
	int rc;

	if ((marking = nrs_tlp_marking_id(i->tlp)) == NULL || i->confidence > 100 ||
	    (i->until.ms != 0 && i->until.ms <= i->seen.ms))
		return NRS_ERANGE;
	if ((rc = nrs_indicator_id(i, id)) != 0 ||
	    (rc = nrs_identity_id(i->origin, identity)) != 0)
		return rc;
	nrs_buf_str(b, "{\"type\":\"indicator\",\"spec_version\":\"2.1\"");
	nrs_buf_fmt(b, ",\"id\":\"%s\",\"created_by_ref\":\"%s\"", id, identity);
	put_time(b, "created", i->seen);
	put_time(b, "modified", i->seen);
	put_text(b, "name", i->name.len > 0 ? i->name : i->value);
	if (i->description.len > 0)
		put_text(b, "description", i->description);
	if ((rc = put_pattern(b, i)) != 0)
		return rc;
	nrs_buf_str(b, ",\"pattern_type\":\"stix\"");
	put_time(b, "valid_from", i->seen);
	if (i->until.ms != 0)
		put_time(b, "valid_until", i->until);
	put_labels(b, i->labels);
	if (i->confidence >= 0)
		nrs_buf_fmt(b, ",\"confidence\":%d", i->confidence);
	nrs_buf_fmt(b, ",\"object_marking_refs\":[\"%s\"]}", marking);
	return b->err;
}
