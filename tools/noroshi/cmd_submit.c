/*
 * noroshi submit: from files to signed records.  Says what would go to whom,
 * asks, sends, and tells what became of every row.  Repeating it is safe: what
 * was shared before is not shared again.
 */
#include "tools/noroshi/submit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/text.h"
#include "record/statement.h"
#include "tools/noroshi/answer.h"
#include "tools/noroshi/ask.h"
#include "tools/noroshi/ctl.h"
#include "tools/noroshi/table.h"

#define LISTED_MAX 100

struct submit_opts {
	const char *format, *map, *tz, *sep;
	const char *community;
	struct opt_list to;
	const char *tlp, *valid, *batch;
	bool urgent, dry_run, yes;
};

/* --- counting ---------------------------------------------------------- */

void
submit_refuse(
    struct submit *s, const char *name, uint64_t line, const char *why, uint64_t objects)
{
	s->t.refused += objects;
	if (s->silent)
		return;
	if (s->t.listed++ >= LISTED_MAX && !s->c->verbose)
		return;
	progress_end(&s->progress);
	fflush(stdout);
	cli_put(stderr, name, false);
	if (line > 0)
		fprintf(stderr, ":%llu", (unsigned long long)line);
	fputs(": ", stderr);
	cli_put(stderr, why, false);
	fputc('\n', stderr);
}

void
submit_count_type(struct submit *s, const char *name, size_t len)
{
	unsigned int i;

	if (len >= sizeof(s->t.types[0].name))
		len = sizeof(s->t.types[0].name) - 1;
	for (i = 0; i < s->t.ntypes; i++)
		if (strlen(s->t.types[i].name) == len &&
		    memcmp(s->t.types[i].name, name, len) == 0)
			break;
	if (i == TYPES_MAX)
		return;
	if (i == s->t.ntypes) {
		memcpy(s->t.types[i].name, name, len);
		s->t.types[i].name[len] = '\0';
		s->t.ntypes++;
	}
	s->t.types[i].n++;
}

/* --- options ----------------------------------------------------------- */

static int
take_format(struct submit *s, const struct submit_opts *o, enum format *ret)
{
	*ret = FORMAT_AUTO;
	if (o->format != NULL && strcmp(o->format, "stix") == 0)
		*ret = FORMAT_STIX;
	else if (o->format != NULL && strcmp(o->format, "csv") == 0)
		*ret = FORMAT_CSV;
	else if (o->format != NULL)
		return cli_usage(s->c, "stix or csv.", "--format %s", o->format);
	if (o->sep == NULL)
		return 0;
	if (strcmp(o->sep, "tab") == 0 || strcmp(o->sep, "\\t") == 0)
		s->sep = '\t';
	else if (strlen(o->sep) == 1 && strchr(",;\t|", o->sep[0]) != NULL)
		s->sep = o->sep[0];
	else
		return cli_usage(s->c, "One of , ; | tab.", "--sep %s", o->sep);
	return 0;
}

static int
take_marking(struct submit *s, const struct submit_opts *o)
{
	uint64_t n, ms;

	if (o->tlp == NULL)
		return cli_usage(s->c, "CLEAR, GREEN, AMBER, AMBER+STRICT or RED.",
		    "submit: --tlp says how far this may go");
	if (nrs_tlp_parse(o->tlp, strlen(o->tlp), &s->tlp) != 0)
		return cli_usage(s->c, "CLEAR, GREEN, AMBER, AMBER+STRICT or RED.",
		    "--tlp %s: not a TLP marking", o->tlp);
	if (s->tlp == NRS_TLP_RED && o->community != NULL)
		return cli_usage(s->c, "Name the recipients: --to PEER,...",
		    "TLP:RED does not go to a community");
	s->batch = 1000;
	if (o->batch != NULL) {
		if (nrs_u64_parse(o->batch, strlen(o->batch), 100000, &n) != 0 || n == 0)
			return cli_usage(
			    s->c, NULL, "--batch %s: not 1 to 100000", o->batch);
		s->batch = (unsigned int)n;
	}
	if (o->valid != NULL) {
		if (when_duration(o->valid, &ms) != 0 || ms == 0 ||
		    ms > UINT64_C(253402300799999) - s->now.ms)
			return cli_usage(s->c, "An example: --valid 90d (s m h d w).",
			    "--valid %s: not a duration", o->valid);
		s->expires_ms = s->now.ms + ms;
	}
	return 0;
}

static int
take_zone(struct submit *s, const struct submit_opts *o)
{
	int rc = zone_open(&s->zone, o->tz != NULL ? o->tz : "UTC");

	return rc == 0
	    ? 0
	    : cli_usage(s->c, "UTC, an offset as +09:00, or a name as Asia/Tokyo.",
		  "--tz %s: no such time zone here", o->tz);
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted, each once, and what stands for them in the ids of indicators. */
static int
take_recipients(struct submit *s, const struct submit_opts *o)
{
	json_t *all = ans_split(&o->to), *v;
	size_t n = json_array_size(all), i;
	const char **names = cli_alloc((n + 1) * sizeof(*names));
	struct nrs_direct d = { 0 };
	int rc = 0;

	json_array_foreach(all, i, v)
		names[i] = json_string_value(v);
	qsort(names, n, sizeof(*names), compare_names);
	s->to = json_array();
	d.recipients = cli_alloc((n + 1) * sizeof(*d.recipients));
	for (i = 0; i < n && rc == 0; i++) {
		if (!nrs_origin_ok(names[i], strlen(names[i])))
			rc = cli_usage(s->c, "\"noroshi peer list\" tells the names.",
			    "--to %s: not the name of a peer", names[i]);
		else if (i == 0 || strcmp(names[i], names[i - 1]) != 0) {
			strcpy(d.recipients[d.n++], names[i]);
			if (json_array_append_new(s->to, json_string(names[i])) != 0)
				cli_oom();
		}
	}
	strcpy(d.origin, s->origin);
	if (rc == 0 && (d.n == 0 || d.n > NRS_MEMBERS_MAX))
		rc = cli_usage(s->c, NULL, "--to: 1 to %d recipients", NRS_MEMBERS_MAX);
	else if (rc == 0 && nrs_direct_id(&d) != 0)
		cli_oom();
	s->audience = d.id;
	free(d.recipients);
	free(names);
	json_decref(all);
	return rc;
}

static int
find_community(struct submit *s, const char *name)
{
	struct ctl_answer a;
	bool found = false;
	char *next;
	size_t i, len;
	json_t *v;
	int rc;

	rc = ctl_call(s->c, json_pack("{s:s}", "cmd", "community.list"), NULL, 0, &a);
	if (rc != 0)
		return rc;
	json_array_foreach(json_object_get(a.json, "communities"), i, v) {
		const char *id = ans_text(v, "id");

		if (strcmp(ans_text(v, "name"), name) != 0 || found)
			continue;
		found = nrs_hex_parse(id, strlen(id), s->audience.b, NRS_HASH_LEN) == 0 ||
		    (nrs_b64_parse(id, strlen(id), s->audience.b, NRS_HASH_LEN, &len) ==
			    0 &&
			len == NRS_HASH_LEN);
	}
	if (!found) {
		next = ans_unknown(
		    json_object_get(a.json, "communities"), name, "noroshi community list");
		rc = cli_fail(s->c, CLI_DATA, "unknown", NULL, next,
		    "there is no community \"%s\" here", name);
		free(next);
	}
	ctl_answer_fini(&a);
	s->community = name;
	return rc;
}

static int
take_audience(struct submit *s, const struct submit_opts *o)
{
	struct ctl_answer a;
	int rc;

	if ((o->community != NULL) == (o->to.n > 0))
		return cli_usage(s->c, "--community NAME, or --to PEER,...",
		    "submit: say whom it goes to, one way");
	rc = ctl_call(s->c, json_pack("{s:s}", "cmd", "version"), NULL, 0, &a);
	if (rc != 0)
		return rc;
	if (!nrs_origin_ok(ans_text(a.json, "origin"), strlen(ans_text(a.json, "origin"))))
		rc = cli_fail(s->c, CLI_LATER, "internal", NULL, NULL,
		    "the daemon does not say which origin it is");
	else
		strcpy(s->origin, ans_text(a.json, "origin"));
	ctl_answer_fini(&a);
	if (rc != 0)
		return rc;
	return o->community != NULL ? find_community(s, o->community)
				    : take_recipients(s, o);
}

/* --- one run over all inputs ------------------------------------------- */

static void
begin_run(struct submit *s, bool dry)
{
	uint8_t seed[16];

	if (getrandom(seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		memset(seed, 0,
		    sizeof(seed)); /* ids are hashes: slower to attack than to wait */
	s->dry = dry;
	s->t = (struct tally){ 0 };
	nrs_map_free(s->seen);
	if ((s->seen = nrs_map_new(16, seed)) == NULL)
		cli_oom();
	s->sender = sender_new(s);
	s->bytes_done = 0;
	progress_begin(&s->progress, s->c, "objects");
}

static int
end_run(struct submit *s, int rc)
{
	int end = 0;

	if (rc == 0)
		rc = submit_flush(s);
	if (rc == 0)
		end = sender_finish(s->sender);
	for (int i = 0; i < NRS_TLP__MAX; i++) {
		bundle_free(s->open[i]);
		s->open[i] = NULL;
	}
	sender_free(s->sender);
	s->sender = NULL;
	progress_end(&s->progress);
	if (s->t.listed > LISTED_MAX && !s->c->verbose && !s->silent)
		fprintf(stderr, "... and %llu more; --verbose lists all\n",
		    (unsigned long long)(s->t.listed - LISTED_MAX));
	return rc != 0 ? rc : end;
}

static int
run_all(struct submit *s, struct input *in, unsigned int n, bool dry)
{
	int rc = 0;

	begin_run(s, dry);
	for (unsigned int i = 0; i < n && rc == 0; i++)
		rc = in[i].format == FORMAT_STIX ? submit_stix(s, &in[i])
						 : submit_csv(s, &in[i]);
	return end_run(s, rc);
}

/* --- what is told ------------------------------------------------------ */

static void
put_whom(const struct submit *s, FILE *f)
{
	char *names = ans_join(s->recipients != NULL ? s->recipients : s->to, ", ");

	fputs("To ", f);
	if (s->community != NULL) {
		fputs("community ", f);
		cli_put(f, s->community, false);
		fputs(*names != '\0' ? ": " : "", f);
	}
	cli_put(f, names, false);
	fprintf(f, "\nMarked %sTLP:%s%s%s\n", tlp_color(s->c, nrs_tlp_name(s->tlp)),
	    nrs_tlp_name(s->tlp), plain_color(s->c), s->urgent ? ", urgent" : "");
	free(names);
}

static void
put_preview(const struct submit *s, FILE *f)
{
	put_whom(s, f);
	for (unsigned int i = 0; i < s->t.ntypes; i++) {
		fprintf(f, "%10llu  ", (unsigned long long)s->t.types[i].n);
		cli_put(f, s->t.types[i].name, false);
		fputc('\n', f);
	}
}

static void
put_summary(const struct submit *s, const char *verb)
{
	const struct tally *t = &s->t;
	char *rows = t->rows > 0
	    ? cli_fmt("%llu row%s: ", (unsigned long long)t->rows, ans_s(t->rows))
	    : cli_strdup("");

	cli_note(s->c,
	    "%s%llu object%s %s in %llu record%s, %llu already shared, %llu duplicate%s in the "
	    "input, %llu refused",
	    rows, (unsigned long long)t->sent, ans_s(t->sent), verb,
	    (unsigned long long)t->records, ans_s(t->records), (unsigned long long)t->known,
	    (unsigned long long)t->duplicates, ans_s(t->duplicates),
	    (unsigned long long)t->refused);
	free(rows);
}

static void
put_json_summary(const struct submit *s)
{
	const struct tally *t = &s->t;
	json_t *types = json_object(), *o;

	for (unsigned int i = 0; i < t->ntypes; i++)
		json_object_set_new(
		    types, t->types[i].name, json_integer((json_int_t)t->types[i].n));
	o = json_pack("{s:{s:b,s:I,s:I,s:I,s:I,s:I,s:I,s:o,s:O*}}", "summary", "dry_run",
	    s->dry, "rows", (json_int_t)t->rows, "sent", (json_int_t)t->sent, "records",
	    (json_int_t)t->records, "known", (json_int_t)t->known, "duplicates",
	    (json_int_t)t->duplicates, "refused", (json_int_t)t->refused, "types", types,
	    "recipients", s->recipients);
	if (o == NULL)
		cli_oom();
	ans_print(o);
	json_decref(o);
}

static void
tell_result(const struct submit *s, int rc)
{
	if (s->c->form == CLI_JSON)
		put_json_summary(s);
	if (s->dry && s->c->form != CLI_JSON && (rc == 0 || s->t.sent > 0))
		put_preview(s, stdout);
	put_summary(s, s->dry ? "would be sent" : "sent");
	if (rc != 0 && rc != CLI_DATA && rc != CLI_PERM && !s->dry)
		cli_note(s->c,
		    "What was sent is safe. Repeat the same command later: only the rest is sent.");
}

/* Shows a dry run of it all, and asks. *ret_go: the answer. */
static int
preview(struct submit *s, struct input *in, unsigned int n, bool *ret_go)
{
	int rc = run_all(s, in, n, true);

	*ret_go = false;
	if (rc != 0 && rc != CLI_DATA && rc != CLI_PERM)
		return rc;
	put_summary(s, "to send");
	if (s->t.sent == 0) {
		cli_note(s->c, "There is nothing to send.");
		return rc;
	}
	put_preview(s, stderr);
	*ret_go = ask_yes("Send? [y/N] ");
	if (!*ret_go) {
		cli_note(s->c, "Nothing was sent.");
		return CLI_LATER;
	}
	for (unsigned int i = 0; i < n; i++)
		if ((rc = input_rewind(s, &in[i])) != 0)
			return rc;
	s->silent = true;
	return 0;
}

static int
run_inputs(struct submit *s, const struct submit_opts *o, struct input *in, unsigned int n)
{
	bool go = true;
	int rc = 0;

	if (!o->dry_run && !o->yes)
		rc = preview(s, in, n, &go);
	if (go && (rc == 0 || rc == CLI_DATA)) {
		rc = run_all(s, in, n, o->dry_run);
		tell_result(s, rc);
	}
	return rc != 0 ? rc : s->t.refused > 0 ? CLI_DATA : 0;
}

static int
take_opts(struct submit *s, const struct submit_opts *o, enum format *ret_format)
{
	int rc;

	s->now = when_now();
	s->urgent = o->urgent;
	s->map = o->map;
	if ((rc = take_format(s, o, ret_format)) != 0 || (rc = take_marking(s, o)) != 0 ||
	    (rc = take_zone(s, o)) != 0)
		return rc;
	if (!o->yes && !o->dry_run && !ask_possible())
		return cli_usage(s->c, "--yes sends without asking; --dry-run only shows.",
		    "submit shows what it will send and asks, and there is nobody to answer");
	return take_audience(s, o);
}

static int
run_submit(struct cli *c, void *opts, char **argv, unsigned int argc)
{
	const struct submit_opts *o = opts;
	struct submit *s = cli_alloc(sizeof(*s));
	struct input *in = cli_alloc(argc * sizeof(*in));
	enum format format;
	unsigned int n = 0;
	bool sized = true;
	int rc;

	s->c = c;
	rc = take_opts(s, o, &format);
	while (rc == 0 && n < argc) {
		rc = input_open(s, &in[n], argv[n], format, !o->yes && !o->dry_run);
		if (rc == 0) {
			sized = sized && in[n].size > 0;
			s->bytes_all += in[n++].size;
		}
	}
	if (!sized)
		s->bytes_all = 0;
	if (rc == 0)
		rc = run_inputs(s, o, in, n);
	while (n > 0)
		input_close(&in[--n]);
	nrs_map_free(s->seen);
	json_decref(s->recipients);
	json_decref(s->to);
	free(in);
	free(s);
	return rc;
}

#define O(f) offsetof(struct submit_opts, f)
static const struct opt submit_opts[] = {
	{ "community", 'C', OPT_TEXT, "NAME", O(community), "to the members of a community",
	    "@community" },
	{ "to", 0, OPT_LIST, "PEER,...", O(to), "or to these peers only", "@peer" },
	{ "tlp", 0, OPT_TEXT, "TLP", O(tlp), "CLEAR GREEN AMBER AMBER+STRICT RED",
	    "CLEAR GREEN AMBER AMBER+STRICT RED" },
	{ "format", 0, OPT_TEXT, "FORMAT", O(format), "stix or csv (default: as it looks)",
	    "stix csv" },
	{ "map", 0, OPT_TEXT, "K=COL,...", O(map),
	    "value type name description seen until labels", NULL },
	{ "tz", 0, OPT_TEXT, "ZONE", O(tz),
	    "of dates without one: Asia/Tokyo, +09:00 (UTC)", NULL },
	{ "sep", 0, OPT_TEXT, "CHAR", O(sep), "of CSV: , ; | tab (default: as it looks)",
	    ", ; | tab" },
	{ "valid", 0, OPT_TEXT, "TIME", O(valid), "how long it holds: 90d 12h", NULL },
	{ "urgent", 0, OPT_FLAG, NULL, O(urgent), "mark it so", NULL },
	{ "batch", 0, OPT_TEXT, "N", O(batch), "objects in a record (1000)", NULL },
	{ "dry-run", 'n', OPT_FLAG, NULL, O(dry_run), "only tell what would be sent",
	    NULL },
	{ "yes", 'y', OPT_FLAG, NULL, O(yes), "do not ask", NULL },
	{ NULL },
};
#undef O

const struct cmd cmd_submit = { "submit", "FILE...|-",
	"share indicators from STIX 2.1 or CSV",
	"    Shows what goes to whom, asks, and prints the id of each record. What was shared\n"
	"    before is not sent again, so an interrupted submit can be repeated.\n",
	submit_opts, sizeof(struct submit_opts), 1, 1000, "@file", run_submit };
