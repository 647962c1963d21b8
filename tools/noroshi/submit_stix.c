/*
 * A STIX 2.1 bundle goes as it is: the bytes the analyst has are the bytes that
 * are signed.  Only one that is too large for a record, or holds objects that
 * were shared before, is put together anew from the exact bytes of its objects.
 */
#include "tools/noroshi/submit.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "stix/scan.h"

#define FILE_MAX    (256u << 20)
#define OBJECTS_MAX (NRS_PAYLOAD_MAX - (64u << 10))

struct objects {
	struct submit *s;
	const uint8_t *base;
	struct item *v;
	unsigned int n, cap;
	unsigned int above; /* 1 + position of the first object marked above --tlp */
	uint8_t above_tlp;
};

static int
read_all(struct submit *s, struct input *in, struct nrs_buf *b)
{
	uint8_t *at;
	size_t len;
	int rc;

	do {
		if ((at = nrs_buf_reserve(b, 65536)) == NULL)
			return b->err == NRS_ENOMEM
			    ? cli_fail(
				  s->c, CLI_LATER, "nomem", NULL, NULL, "out of memory")
			    : cli_fail(s->c, CLI_DATA, "limit", NULL, NULL,
				  "%s is larger than %u MiB", in->name, FILE_MAX >> 20);
		if ((rc = input_read(s, in, at, 65536, &len)) != 0)
			return rc;
		nrs_buf_grow(b, len);
	} while (len > 0);
	return 0;
}

static int
take_object(void *arg, const struct nrs_stix_object *o)
{
	struct objects *x = arg;

	if (x->n == x->cap) {
		x->cap = x->cap > 0 ? 2 * x->cap : 256;
		x->v = cli_realloc(x->v, x->cap * sizeof(*x->v));
	}
	x->v[x->n++] = (struct item){ (size_t)(o->json.p - x->base), o->json.len };
	if (o->tlp != NRS_TLP_UNMARKED && o->tlp > x->s->tlp && x->above == 0) {
		x->above = o->n + 1;
		x->above_tlp = o->tlp;
	}
	submit_count_type(x->s, (const char *)o->type.p, o->type.len);
	return 0;
}

/* In one piece: takes the buffer's memory. */
static int
put_whole(struct submit *s, const struct objects *x, struct nrs_buf *file)
{
	struct bundle *b = bundle_new(s->tlp);

	nrs_buf_fini(&b->own);
	b->own = *file;
	nrs_buf_init(file, FILE_MAX);
	b->exact = true;
	for (unsigned int i = 0; i < x->n; i++)
		bundle_add(b, x->v[i].off, x->v[i].len);
	return sender_put(s->sender, b);
}

/* In order, as many objects in each as fit. */
static int
put_pieces(struct submit *s, const struct objects *x, const char *name)
{
	struct bundle *b = NULL;
	int rc = 0;

	for (unsigned int i = 0; i < x->n && rc == 0; i++) {
		if (x->v[i].len > OBJECTS_MAX) {
			submit_refuse(
			    s, name, 0, "an object is larger than a record may be", 1);
			continue;
		}
		if (b != NULL &&
		    (b->n >= s->batch || b->own.len + b->n + x->v[i].len > OBJECTS_MAX)) {
			rc = sender_put(s->sender, b);
			b = NULL;
		}
		if (b == NULL)
			b = bundle_new(s->tlp);
		nrs_buf_put(&b->own, x->base + x->v[i].off, x->v[i].len);
		if (b->own.err != 0)
			cli_oom();
		bundle_add(b, b->own.len - x->v[i].len, x->v[i].len);
	}
	if (rc == 0 && b != NULL)
		return sender_put(s->sender, b);
	bundle_free(b);
	return rc;
}

static void
refuse_scan(struct submit *s, const char *name, const struct nrs_detail *d, int rc)
{
	char *why = cli_fmt("byte %llu%s%s: %s", (unsigned long long)d->off,
	    d->path[0] != '\0' ? ", " : "", d->path,
	    d->text[0] != '\0' ? d->text : nrs_strerror(rc));

	submit_refuse(s, name, 0, why, 1);
	free(why);
}

int
submit_stix(struct submit *s, struct input *in)
{
	struct objects x = { .s = s };
	struct nrs_detail d = { 0 };
	struct nrs_bundle info;
	struct nrs_buf file;
	struct tally before = s->t;
	char *why;
	int rc;

	nrs_buf_init(&file, FILE_MAX);
	if ((rc = submit_flush(s)) != 0 || (rc = read_all(s, in, &file)) != 0)
		goto out;
	x.base = file.p;
	rc = nrs_bundle_scan(file.p, file.len, &info, take_object, &x, &d);
	if (rc == NRS_ENOMEM)
		cli_oom();
	if (rc != 0 || x.above != 0)
		s->t = before; /* the types counted so far */
	if (rc != 0) {
		refuse_scan(s, in->name, &d, rc);
		rc = 0;
	} else if (x.above != 0) {
		why = cli_fmt("object %u is marked TLP:%s, stricter than --tlp %s",
		    x.above - 1, nrs_tlp_name(x.above_tlp), nrs_tlp_name(s->tlp));
		submit_refuse(s, in->name, 0, why, x.n);
		free(why);
	} else {
		s->t.objects += x.n;
		if (x.n <= s->batch && file.len <= NRS_PAYLOAD_MAX)
			rc = put_whole(s, &x, &file);
		else
			rc = put_pieces(s, &x, in->name);
	}
out:
	free(x.v);
	nrs_buf_fini(&file);
	return rc;
}
