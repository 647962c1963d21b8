/* Rows of CSV into indicators, indicators into the bundle of their marking. */
#include "tools/noroshi/submit.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "import/csv.h"

#define PIECE	    (256u << 10)
#define SCRATCH_MAX (4u << 20)
/* Room for the bundle around the objects, and commas. */
#define OBJECTS_MAX (NRS_PAYLOAD_MAX - (64u << 10))

struct rows {
	struct submit *s;
	struct input *in;
	struct nrs_csv *csv;
	bool header; /* read */
	struct nrs_csv_map map;
	struct nrs_indicator defaults;
	struct nrs_csv_zone zone;
	struct nrs_buf scratch;
	struct nrs_buf json;
	struct nrs_csv_row row;
};

/* Was it in the input before? */
static bool
is_duplicate(struct submit *s, const char *id)
{
	uint8_t uuid[16];
	const char *text = strstr(id, "--") + 2;

	if (nrs_uuid_parse(text, strlen(text), uuid) != 0)
		return false;
	if (nrs_map_find(s->seen, uuid) != NULL)
		return true;
	if (nrs_map_set(s->seen, uuid, s, NULL) != 0)
		cli_oom();
	return false;
}

static int
put_object(struct submit *s, enum nrs_tlp tlp, const struct nrs_buf *json)
{
	struct bundle *b = s->open[tlp];
	int rc;

	if (b != NULL &&
	    (b->n >= s->batch || b->own.len + b->n + json->len > OBJECTS_MAX)) {
		s->open[tlp] = NULL;
		if ((rc = sender_put(s->sender, b)) != 0)
			return rc;
		b = NULL;
	}
	if (b == NULL)
		b = s->open[tlp] = bundle_new(tlp);
	nrs_buf_put(&b->own, json->p, json->len);
	if (b->own.err != 0)
		cli_oom();
	bundle_add(b, b->own.len - json->len, json->len);
	return 0;
}

static int
take_indicator(struct rows *r, const struct nrs_indicator *i)
{
	struct submit *s = r->s;
	const char *type;
	char id[48];
	int rc;

	if ((rc = nrs_indicator_id(i, id)) == 0) {
		if (is_duplicate(s, id)) {
			s->t.duplicates++;
			return 0;
		}
		nrs_buf_reset(&r->json);
		rc = nrs_indicator_format(&r->json, i);
	}
	rc = rc != 0 ? rc : r->json.err;
	if (rc == NRS_ENOMEM)
		cli_oom();
	if (rc != 0 || r->json.len > OBJECTS_MAX) {
		submit_refuse(s, r->in->name, r->row.line,
		    nrs_strerror(rc != 0 ? rc : NRS_ELIMIT), 1);
		return 0;
	}
	type = nrs_value_type_name(i->type);
	submit_count_type(s, type, strlen(type));
	s->t.objects++;
	return put_object(s, i->tlp, &r->json);
}

/* A date in a column that nobody looks at would be lost without a word. */
static void
tell_unused(const struct rows *r)
{
	char name[64];

	for (unsigned int i = 0; i < r->row.n && !r->s->silent; i++) {
		bool used = r->row.f[i].len == 0;

		for (unsigned int k = 0; k < NRS_CSV_KEY__MAX; k++)
			used = used || r->map.col[k] == (int)i;
		if (used)
			continue;
		(void)nrs_text_escape(
		    name, sizeof(name), (const char *)r->row.f[i].p, r->row.f[i].len);
		cli_note(r->s->c, "%s: column \"%s\" is not used; --map says what it is",
		    r->in->name, name);
	}
}

static int
take_header(struct rows *r)
{
	struct nrs_detail d = { 0 };
	int rc = r->row.err;

	r->header = true;
	if (rc == 0)
		rc = nrs_csv_map_parse(r->s->map, &r->row, &r->map, &d);
	if (rc == 0) {
		tell_unused(r);
		return 0;
	}
	return cli_fail(r->s->c, r->s->map != NULL ? CLI_USAGE : CLI_DATA, nrs_errname(rc),
	    d.text[0] != '\0' ? d.text : r->row.why,
	    "An example: --map value=URL,name=description,seen=date",
	    "%s: it is not clear which column is what", r->in->name);
}

static int
take_row(struct rows *r)
{
	struct nrs_detail d = { 0 };
	struct nrs_indicator i;
	int rc;

	if (!r->header)
		return take_header(r);
	r->s->t.rows++;
	nrs_buf_reset(&r->scratch);
	rc = nrs_csv_indicator(
	    &r->row, &r->map, &r->defaults, &r->zone, &r->scratch, &i, &d);
	if (rc == NRS_ENOMEM)
		cli_oom();
	if (rc != 0) {
		submit_refuse(r->s, r->in->name, r->row.line,
		    d.text[0] != '\0' ? d.text : nrs_strerror(rc), 1);
		return 0;
	}
	return take_indicator(r, &i);
}

/* All rows that the reader has. Positive: it wants more, or is at its end. */
static int
take_rows(struct rows *r)
{
	int rc, bad;

	while ((rc = nrs_csv_next(r->csv, &r->row)) == 0)
		if ((bad = take_row(r)) != 0)
			return -bad;
	if (rc == NRS_ENOMEM)
		cli_oom();
	if (rc < 0)
		return -cli_fail(r->s->c, CLI_DATA, nrs_errname(rc), nrs_strerror(rc),
		    "Rows before it have been taken.", "%s: not readable as CSV",
		    r->in->name);
	return rc;
}

static int
read_all(struct rows *r)
{
	uint8_t *piece = cli_alloc(PIECE);
	size_t len = 1;
	int rc = NRS_CSV_MORE, io;

	while (rc == NRS_CSV_MORE && len > 0) {
		if ((io = input_read(r->s, r->in, piece, PIECE, &len)) != 0) {
			rc = -io;
			break;
		}
		rc = nrs_csv_feed(r->csv, piece, len, len == 0);
		if (rc == NRS_ENOMEM)
			cli_oom();
		if (rc != 0) {
			rc = -cli_fail(r->s->c, CLI_DATA, nrs_errname(rc), nrs_strerror(rc),
			    NULL, "%s: not readable as CSV", r->in->name);
			break;
		}
		rc = take_rows(r);
	}
	free(piece);
	return rc < 0 ? -rc : 0;
}

int
submit_csv(struct submit *s, struct input *in)
{
	struct rows *r = cli_alloc(sizeof(*r));
	uint64_t before = s->t.rows;
	int rc;

	r->s = s;
	r->in = in;
	r->zone.to_utc = zone_to_utc;
	r->zone.arg = &s->zone;
	nrs_buf_init(&r->scratch, SCRATCH_MAX);
	nrs_buf_init(&r->json, NRS_PAYLOAD_MAX);
	r->defaults.confidence = -1;
	r->defaults.tlp = s->tlp;
	r->defaults.audience = s->audience;
	r->defaults.origin = s->origin;
	/* Without a date in the row: today, so that a second try today is the same thing. */
	r->defaults.seen.ms = s->now.ms - s->now.ms % 86400000;
	r->defaults.until.ms = s->expires_ms;
	if (nrs_csv_new(s->sep, &r->csv) != 0)
		cli_oom();
	rc = read_all(r);
	if (rc == 0 && s->t.rows == before)
		rc = cli_fail(s->c, CLI_DATA, "empty",
		    r->header ? "it has a header, and no rows" : "it has no rows",
		    "Nothing of it was sent.", "%s is empty", in->name);
	nrs_csv_free(r->csv);
	nrs_buf_fini(&r->json);
	nrs_buf_fini(&r->scratch);
	free(r);
	return rc;
}
