/* Faults in the order of their places, and one line of progress. */
#include "tools/noroshi-fsck/report.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "journal/journal.h"

#define TTY_NS	 UINT64_C(100000000)
#define PLAIN_NS UINT64_C(10000000000)

static const struct {
	const char *name;
	const char *class;
	const char *touched;
	const char *next;
} rows[F__MAX] = {
#define FAULT(id, text, class, touched, next) { text, class, touched, next },
#include "tools/noroshi-fsck/fault.def"
#undef FAULT
};

const char *
fault_name(enum fault_kind k)
{
	return rows[k].name;
}

const char *
frame_name(uint8_t type)
{
	static const char *const names[] = {
		[NRS_J_STATE] = "STATE",
		[NRS_J_RECORD] = "RECORD",
		[NRS_J_LEAVES] = "LEAVES",
		[NRS_J_CONTROL] = "CONTROL",
		[NRS_J_EVENT] = "EVENT",
		[NRS_J_CHECKPOINT] = "CHECKPOINT",
		[NRS_J_COSIGNATURE] = "COSIGNATURE",
		[NRS_J_OUTBOX] = "OUTBOX",
		[NRS_J_STATEMENT] = "STATEMENT",
		[NRS_J_REFUSED] = "REFUSED",
		[NRS_J_COMMIT] = "COMMIT",
		[NRS_J_PEER] = "PEER",
		[NRS_J_DISCLOSURE] = "DISCLOSURE",
	};

	if (type >= sizeof(names) / sizeof(names[0]) || names[type] == NULL)
		return "frame";
	return names[type];
}

static uint64_t
mono_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

void
report_init(struct report *r, bool json, bool quiet)
{
	memset(r, 0, sizeof(*r));
	r->out = stdout;
	r->json = json;
	r->quiet = quiet;
	r->tty = isatty(STDERR_FILENO) == 1;
	pthread_mutex_init(&r->lock, NULL);
	r->begun_ns = r->shown_ns = mono_ns();
}

void
report_fini(struct report *r)
{
	free(r->v);
	pthread_mutex_destroy(&r->lock);
}

double
report_seconds(const struct report *r)
{
	return (double)(mono_ns() - r->begun_ns) / 1e9;
}

static struct fault *
fault_new(struct report *r)
{
	size_t cap = r->cap > 0 ? r->cap * 2 : 16;
	struct fault *v;

	if (r->n == r->cap) {
		if ((v = realloc(r->v, cap * sizeof(*v))) == NULL) {
			r->nomem = true;
			return NULL;
		}
		r->v = v;
		r->cap = cap;
	}
	memset(&r->v[r->n], 0, sizeof(*r->v));
	return &r->v[r->n++];
}

void
report_fault(struct report *r, enum fault_kind kind, const struct place *at,
    const char *touched, const char *fmt, ...)
{
	struct fault *f;
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&r->lock);
	r->total++;
	r->by_kind[kind]++;
	if ((f = fault_new(r)) != NULL) {
		f->kind = kind;
		snprintf(f->file, sizeof(f->file), "%s", at->file);
		f->off = at->off;
		f->len = at->len;
		f->type = at->type;
		f->index = at->index;
		if (at->origin != NULL)
			snprintf(f->origin, sizeof(f->origin), "%s", at->origin);
		/* texts may come from a damaged file: nothing of it reaches a terminal raw */
		(void)nrs_text_escape(f->what, sizeof(f->what), text, strlen(text));
		snprintf(f->touched, sizeof(f->touched), "%s",
		    touched != NULL ? touched : rows[kind].touched);
	}
	pthread_mutex_unlock(&r->lock);
}

void
report_excuse(struct report *r)
{
	pthread_mutex_lock(&r->lock);
	r->excused++;
	pthread_mutex_unlock(&r->lock);
}

static void
line_clear(struct report *r)
{
	if (r->line)
		fputs("\r\033[K", stderr);
	r->line = false;
}

static void
tell_human(struct report *r, const struct fault *f)
{
	fprintf(r->out, "%s:%llu: ", f->file, (unsigned long long)f->off);
	if (f->type != 0)
		fprintf(r->out, "%s", frame_name(f->type));
	if (f->origin[0] != '\0' && f->index != NRS_NONE)
		fprintf(r->out, "%s%s/%llu", f->type != 0 ? " of " : "", f->origin,
		    (unsigned long long)f->index);
	else if (f->origin[0] != '\0')
		fprintf(r->out, "%s%s", f->type != 0 ? " of " : "", f->origin);
	fprintf(r->out, "%s%s [%s, %s]\n", f->type != 0 || f->origin[0] != '\0' ? ": " : "",
	    f->what, rows[f->kind].class, rows[f->kind].name);
	fprintf(r->out, "\ttouched: %s\n\tnext: %s\n", f->touched, rows[f->kind].next);
}

static void
tell_json(struct report *r, const struct fault *f)
{
	json_t *j = json_pack("{s:{s:s s:s s:s s:I s:I s:s}}", "fault", "kind",
	    rows[f->kind].name, "class", rows[f->kind].class, "file", f->file, "offset",
	    (json_int_t)f->off, "length", (json_int_t)f->len, "what", f->what);
	json_t *o = json_object_get(j, "fault");

	if (f->type != 0)
		json_object_set_new(o, "type", json_string(frame_name(f->type)));
	if (f->origin[0] != '\0')
		json_object_set_new(o, "origin", json_string(f->origin));
	if (f->index != NRS_NONE)
		json_object_set_new(o, "index", json_integer((json_int_t)f->index));
	json_object_set_new(o, "touched", json_string(f->touched));
	json_object_set_new(o, "next", json_string(rows[f->kind].next));
	json_dumpf(j, r->out, JSON_COMPACT);
	fputc('\n', r->out);
	json_decref(j);
}

static int
compare(const void *a, const void *b)
{
	const struct fault *x = a, *y = b;
	int c = strcmp(x->file, y->file);

	if (c != 0)
		return c;
	return (x->off > y->off) - (x->off < y->off);
}

void
report_flush(struct report *r)
{
	pthread_mutex_lock(&r->lock);
	if (r->n > 0) {
		line_clear(r);
		qsort(r->v, r->n, sizeof(*r->v), compare);
	}
	for (size_t i = 0; i < r->n; i++) {
		if (r->json)
			tell_json(r, &r->v[i]);
		else
			tell_human(r, &r->v[i]);
	}
	if (r->n > 0)
		fflush(r->out);
	r->n = 0;
	pthread_mutex_unlock(&r->lock);
}

void
report_say(struct report *r, const char *fmt, ...)
{
	va_list ap;

	line_clear(r);
	if (r->json)
		return;
	va_start(ap, fmt);
	vfprintf(r->out, fmt, ap);
	va_end(ap);
	fputc('\n', r->out);
}

void
report_progress(struct report *r, uint64_t records)
{
	uint64_t now = mono_ns();
	double s, share;

	if (r->quiet || r->json || now - r->shown_ns < (r->tty ? TTY_NS : PLAIN_NS))
		return;
	r->shown_ns = now;
	s = report_seconds(r);
	share = r->bytes_all > 0 ? (double)r->bytes / (double)r->bytes_all : 0;
	fprintf(stderr, "%s%.1f of %.1f MB, %llu records, %.1f MB/s, %.0f records/s",
	    r->tty ? "\r\033[K" : "", (double)r->bytes / 1e6, (double)r->bytes_all / 1e6,
	    (unsigned long long)records, (double)r->bytes / 1e6 / s, (double)records / s);
	if (share > 0.001 && share < 1)
		fprintf(stderr, ", %.0f %%, %.0f s left", share * 100, s / share - s);
	if (r->total > 0)
		fprintf(stderr, ", %llu faults", (unsigned long long)r->total);
	if (r->tty) {
		r->line = true;
		fflush(stderr);
	} else
		fputc('\n', stderr);
}
