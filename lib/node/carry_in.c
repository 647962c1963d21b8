/*
 * Out of a file that somebody carried (docs/FORMAT.md, section 11): the same
 * checks as for a relay's session, because it is one: a session without a
 * connection, whose fetches nobody had to ask for.
 *
 * Here is only what a file has of its own: what is held already is passed over,
 * what does not join is named as a gap, and everything is counted.
 */
#include "node/session_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "wire/carrier.h"

#define HELD_MAX     (8u << 20) /* bytes of records that wait for their checks */
#define ORIGINS_MAX  4096u
#define REFUSALS_MAX 100u
#define TEXT_LEN     200

struct refusal {
	struct node_import_refusal r;
	char text[TEXT_LEN];
	char origin[NRS_ORIGIN_MAX + 1];
};

struct node_import {
	struct node *n; /* NULL: the node is gone */
	void (*wake)(void *arg);
	void *arg;
	struct session s;
	struct peer from; /* stands for whoever carried the file */
	struct wire_carrier file;
	bool started; /* the header was accepted */
	bool broken;
	bool waiting, ended, done;
	char damage[TEXT_LEN];
	struct nrs_buf part; /* a record of which more is to come */
	bool skipping;	     /* its beginning was refused */
	unsigned int unknown;
	uint64_t statements, refused;
	uint64_t handed, settled; /* records given to ingest, and told about */
	struct node_import_origin *v;
	unsigned int nv, cap;
	struct refusal *refusals;
	struct node_import_refusal *shown; /* of refusals, for the result */
	unsigned int nrefusals;
	uint64_t last_refused; /* index; NRS_NONE */
	struct node_wait wait;
	bool wait_set;
};

/* --- counting -------------------------------------------------------------------- */

/* NULL: no memory, or too many; it is counted in the whole all the same. */
static struct node_import_origin *
count_of(struct node_import *im, const struct nrs_hash *id)
{
	struct node_import_origin *v;
	const struct origin *o;

	for (unsigned int i = 0; i < im->nv; i++)
		if (memcmp(im->v[i].id.b, id->b, NRS_HASH_LEN) == 0)
			return &im->v[i];
	if (im->nv == ORIGINS_MAX)
		return NULL;
	if (im->nv == im->cap) {
		v = realloc(im->v, (im->cap * 2u + 8u) * sizeof(*v));
		if (v == NULL)
			return NULL;
		im->v = v;
		im->cap = im->cap * 2u + 8u;
	}
	v = &im->v[im->nv++];
	memset(v, 0, sizeof(*v));
	v->id = *id;
	/* Origins stay as long as the node: so do their names. */
	o = im->n != NULL ? origin_find(im->n, id) : NULL;
	v->origin = o != NULL ? o->name : NULL;
	return v;
}

static void
count_refused(struct node_import *im, int err, const struct nrs_hash *origin,
    uint64_t index, const char *text)
{
	struct node_import_origin *io = origin != NULL ? count_of(im, origin) : NULL;
	unsigned int code = nrs_err_wire(err);
	struct refusal *r;

	im->refused++;
	if (io != NULL) {
		io->refused++;
		io->codes[code < 128 ? code : 0]++;
	}
	if (im->nrefusals == REFUSALS_MAX)
		return;
	r = &im->refusals[im->nrefusals++];
	if (io != NULL && io->origin != NULL)
		snprintf(r->origin, sizeof(r->origin), "%s", io->origin);
	snprintf(r->text, sizeof(r->text), "%s",
	    text != NULL && text[0] != '\0' ? text : nrs_strerror(err));
	r->r.index = index;
	r->r.err = err;
}

/* By the checks that a session has. */
void
carry_refused(struct node_import *im, int err, const struct nrs_hash *origin,
    uint64_t index, const char *text)
{
	count_refused(im, err, origin, index, text);
	im->last_refused = index;
	im->settled++;
}

void
carry_kept(struct node_import *im, const struct fetch *f)
{
	struct node_import_origin *io;
	const struct audience *a;

	if (f->chain == NULL || (a = f->chain->audience) == NULL)
		return;
	/* Refused, and kept as that. */
	if (a->newest_index == im->last_refused) {
		im->last_refused = NRS_NONE;
		return;
	}
	im->settled++;
	io = count_of(im, &f->origin->id);
	if (io != NULL)
		io->records_new++;
}

bool
carry_doubtful(const struct node_import *im)
{
	return im->refused > 0;
}

/* --- what may be taken at all -------------------------------------------------------- */

/* Of this origin? Otherwise it was refused. NULL with *ret_own: our own, known. */
static struct origin *
origin_for(struct node_import *im, const struct nrs_hash *id, uint64_t index, bool *ret_own)
{
	struct origin *o = origin_find(im->n, id);

	*ret_own = o != NULL && o->own;
	if (*ret_own)
		return NULL;
	if (o == NULL || o->peer == NULL)
		count_refused(im, NRS_EUNKNOWN, id, index,
		    "its origin is not a peer here: noroshi peer accept");
	else if (o->peer->suspended)
		count_refused(im, NRS_ESUSPENDED, id, index,
		    "its origin is suspended here: noroshi peer resume");
	else if (o->frozen)
		count_refused(im, NRS_EFORK, id, index,
		    "its log is frozen: there is evidence of two histories");
	else
		return o;
	return NULL;
}

static int
check_head(struct node_import *im, struct nrs_detail *d)
{
	const struct wire_carrier_head *h = &im->file.head;
	struct origin *o = origin_find_name(im->n, h->source);

	if (strcmp(h->dest, im->n->name) != 0)
		return nrs_fail(
		    d, NRS_EORIGIN, 0, "it is for %.100s, not for this node", h->dest);
	if (o == NULL || o->peer == NULL)
		return nrs_fail(d, NRS_EUNKNOWN, 0,
		    "it is from %.100s, which is not a peer here", h->source);
	if (o->peer->suspended)
		return nrs_fail(d, NRS_ESUSPENDED, 0,
		    "it is from %.100s, which is suspended", h->source);
	im->started = true;
	return 0;
}

/* --- leaves ----------------------------------------------------------------------------- */

/* What is above those held: the frame without its first entries. */
static int
cut_leaves(const struct wire_leaves *m, uint64_t skip, struct nrs_buf *b)
{
	struct wire_leaves rest = *m;
	struct wire_list l = m->entries;
	struct wire_entry e;

	rest.first += skip;
	rest.count -= (uint32_t)skip;
	wire_leaves_encode(b, &rest);
	for (uint64_t i = 0; wire_leaves_next(&l, &e); i++)
		if (i >= skip)
			wire_entry_encode(b, &e);
	return b->err;
}

static void
gap(struct node_import *im, struct origin *o, uint64_t begins)
{
	struct node_import_origin *io = count_of(im, &o->id);
	char text[TEXT_LEN];

	snprintf(text, sizeof(text),
	    "leaves from %llu, and the log is held here up to %llu: an earlier file is missing",
	    (unsigned long long)begins, (unsigned long long)o->put.size);
	count_refused(im, NRS_EORDER, &o->id, begins, text);
	if (io != NULL && io->begins == 0) {
		io->held = o->put.size;
		io->begins = begins;
	}
}

static int
join_leaves(struct node_import *im, struct origin *o, const struct wire_leaves *m,
    const struct wire_frame *w)
{
	struct node_import_origin *io = count_of(im, &o->id);
	uint64_t had = o->put.size, skip = had - m->first;
	struct fetch *f;
	struct nrs_buf b;
	int rc = 0;

	if (io == NULL || (f = sync_carry_fetch(&im->s, o, NULL)) == NULL)
		return NRS_ENOMEM;
	if (skip >= m->count) {
		io->leaves_known += m->count;
		return 0;
	}
	nrs_buf_init(&b, NRS_FRAME_MAX);
	if (skip > 0)
		rc = cut_leaves(m, skip, &b);
	if (rc == 0)
		ingest_leaves(f, skip > 0 ? b.p : w->body, skip > 0 ? b.len : w->len);
	nrs_buf_fini(&b);
	io->leaves_known += skip;
	io->leaves_new += o->put.size - had;
	return rc;
}

static int
take_leaves(struct node_import *im, const struct wire_frame *w)
{
	struct wire_leaves m;
	struct origin *o;
	bool own;
	int rc = wire_leaves_decode(&m, w->body, w->len);

	if (rc != 0) {
		count_refused(im, rc, NULL, NRS_NONE, "leaves that are malformed");
		return 0;
	}
	o = origin_for(im, &m.origin, m.first, &own);
	if (o == NULL)
		return 0;
	if (m.first > o->put.size) {
		gap(im, o, m.first);
		return 0;
	}
	return join_leaves(im, o, &m, w);
}

/* --- records ------------------------------------------------------------------------------ */

enum held { HELD_NOT, HELD_SAME, HELD_PASSED };

/*
 * Held already at this very index: then it is the same, or no leaf of the log.
 * Passed over: the chain has gone on behind it, and nothing goes in between.
 */
static int
look_up(const struct origin *o, const struct nrs_header *h, uint64_t index, enum held *ret)
{
	const struct audience *a = audience_find(o, &h->audience);
	uint64_t held = 0;
	int rc;

	*ret = HELD_NOT;
	if (a == NULL || h->seq >= a->next)
		return 0;
	rc = nrs_array_get(a->index, h->seq, 1, &held);
	if (rc == 0 && held == 0)
		*ret = HELD_PASSED;
	else if (rc == 0 && held - 1 == index)
		*ret = HELD_SAME;
	return rc;
}

static int
hand_over(struct node_import *im, struct origin *o, const struct nrs_header *h,
    uint64_t index, const uint8_t *p, size_t len)
{
	struct chain *c = sync_carry_chain(o, &h->audience, &im->unknown);
	struct fetch *f;
	uint8_t *item;

	if (c == NULL) {
		count_refused(im, NRS_EMEMBER, &o->id, index, NULL);
		return 0;
	}
	f = sync_carry_fetch(&im->s, o, c);
	item = f != NULL ? malloc(len) : NULL;
	if (item == NULL)
		return NRS_ENOMEM;
	memcpy(item, p, len);
	f->held += len;
	im->s.held += len;
	im->handed++;
	ingest_record(f, item, len, 0);
	return 0;
}

static int
take_item(struct node_import *im, const uint8_t *p, size_t len)
{
	struct nrs_detail d = { 0 };
	struct node_import_origin *io;
	struct wire_record m;
	struct nrs_header h;
	struct origin *o;
	enum held held;
	bool own;
	int rc;

	rc = wire_record_decode(&m, p, len);
	if (rc == 0)
		rc = nrs_header_decode(&h, m.header, NRS_HEADER_LEN, &d);
	if (rc != 0) {
		count_refused(im, rc, NULL, NRS_NONE,
		    d.text[0] != '\0' ? d.text : "a record that is malformed");
		return 0;
	}
	o = origin_for(im, &h.origin, m.index, &own);
	if (o == NULL)
		return 0;
	if (m.index >= o->put.size) {
		count_refused(im, NRS_ELEAF, &o->id, m.index, "its leaf is not held here");
		return 0;
	}
	rc = look_up(o, &h, m.index, &held);
	if (rc != 0)
		return rc;
	if (held == HELD_NOT)
		return hand_over(im, o, &h, m.index, p, len);
	if (held == HELD_PASSED) {
		count_refused(im, NRS_ECHAIN, &o->id, m.index,
		    "it was passed over before, and its chain has gone on");
		return 0;
	}
	io = count_of(im, &o->id);
	if (io != NULL)
		io->records_known++;
	return 0;
}

/* RECORD and DATA: whole records. One bad piece costs its record. */
static int
take_piece(struct node_import *im, const struct wire_frame *w)
{
	bool more = (w->flags & WIRE_MORE) != 0;
	int rc = 0;

	if (w->type == WIRE_RECORD) {
		if (im->part.len > 0)
			count_refused(
			    im, NRS_ETRUNC, NULL, NRS_NONE, "a record that is not whole");
		nrs_buf_reset(&im->part);
		im->skipping = false;
		if (!more)
			return take_item(im, w->body, w->len);
	} else if (im->part.len == 0) {
		if (!im->skipping)
			count_refused(im, NRS_EORDER, NULL, NRS_NONE,
			    "the end of a record without its beginning");
		im->skipping = more;
		return 0;
	}
	nrs_buf_put(&im->part, w->body, w->len);
	if (im->part.err == NRS_ENOMEM)
		return NRS_ENOMEM;
	if (im->part.err != 0) {
		count_refused(im, NRS_ELIMIT, NULL, NRS_NONE, "a record that is too long");
		im->skipping = more;
		nrs_buf_reset(&im->part);
		return 0;
	}
	if (more)
		return 0;
	rc = take_item(im, im->part.p, im->part.len);
	nrs_buf_reset(&im->part);
	return rc;
}

/* --- frames --------------------------------------------------------------------------------- */

static int
take_frame(struct node_import *im, const struct wire_frame *w)
{
	int rc = 0;

	switch (w->type) {
	case WIRE_STATEMENTS:
		im->statements++;
		if (session_statements(&im->s, w) != 0)
			count_refused(im, NRS_ESIG, NULL, NRS_NONE,
			    "statements of a community that do not count");
		break;
	case WIRE_LEAVES:
		rc = take_leaves(im, w);
		break;
	default:
		rc = take_piece(im, w);
		break;
	}
	nrs_buf_reset(&im->s.out); /* what would be said to a peer */
	return rc;
}

static void
damaged(struct node_import *im, const struct nrs_detail *d)
{
	im->broken = true;
	snprintf(im->damage, sizeof(im->damage), "%s, at byte %llu", d->text,
	    (unsigned long long)d->off);
}

/* 1: no room now. */
static int
room(struct node_import *im)
{
	if (im->n == NULL || im->n->failed || im->n->draining)
		return NRS_ESTATE;
	if (im->n->full)
		return NRS_EFULL;
	if (im->s.held >= HELD_MAX || !node_room(im->n)) {
		im->waiting = true;
		return 1;
	}
	return 0;
}

int
node_import_feed(
    struct node_import *im, const uint8_t **p, size_t *len, struct nrs_detail *d)
{
	struct nrs_detail sub = { 0 };
	struct wire_frame w;
	int rc, err;

	while ((rc = room(im)) == 0) {
		if (im->broken) {
			*p += *len;
			*len = 0;
			return 0;
		}
		rc = wire_carrier_next(&im->file, p, len, &w, &err, &sub);
		if (rc == 0)
			return 0;
		if (rc < 0 && !im->started)
			return nrs_fail(d, rc, 0, "%s", sub.text);
		if (rc < 0) {
			damaged(im, &sub);
			continue;
		}
		if (rc == 2)
			rc = check_head(im, d);
		else if (w.body == NULL)
			count_refused(
			    im, err, NULL, NRS_NONE, "a frame that may not be here");
		else
			rc = take_frame(im, &w);
		if (rc < 0)
			return rc;
	}
	return rc;
}

/* --- the end ---------------------------------------------------------------------------------- */

static void
on_durable(void *arg)
{
	struct node_import *im = arg;

	im->wait_set = false;
	im->done = true;
	im->wake(im->arg);
}

void
node_import_end(struct node_import *im)
{
	struct nrs_detail d = { 0 };

	im->ended = true;
	if (!im->broken && wire_carrier_finish(&im->file, &d) != 0)
		damaged(im, &d);
	if (im->part.len > 0)
		count_refused(im, NRS_ETRUNC, NULL, NRS_NONE, "a record that is not whole");
	nrs_buf_reset(&im->part);
	if (im->n != NULL)
		node_wake_at(im->n, session_now(im->n));
}

/*
 * Once every check is done, what was put is waited for.  What was given to the
 * checks and not told about stood behind something refused in its chain.
 */
static void
settle(struct node_import *im)
{
	for (; im->settled < im->handed; im->settled++)
		count_refused(im, NRS_ECHAIN, NULL, NRS_NONE,
		    "records behind one that was refused, in the same chain");
	im->wait.done = on_durable;
	im->wait.arg = im;
	im->wait_set = true;
	node_put_done(im->n);
	node_when_durable(im->n, &im->wait);
}

void
carry_turn(struct node *n)
{
	struct node_import *im = n->import;

	if (im == NULL)
		return;
	nrs_buf_reset(&im->s.out);
	if (im->waiting &&
	    (n->full || n->failed || n->draining ||
		(im->s.held < HELD_MAX / 2 && node_room(n)))) {
		im->waiting = false;
		im->wake(im->arg);
		return; /* it may be gone */
	}
	if (im->ended && !im->wait_set && !im->done && im->s.held == 0 && !n->failed)
		settle(im);
}

int
node_import_open(
    struct node *n, void (*wake)(void *arg), void *arg, struct node_import **ret)
{
	struct node_import *im;

	if (n->import != NULL)
		return NRS_EBUSY;
	im = calloc(1, sizeof(*im));
	if (im == NULL)
		return NRS_ENOMEM;
	im->refusals = calloc(REFUSALS_MAX, sizeof(*im->refusals));
	im->shown = calloc(REFUSALS_MAX, sizeof(*im->shown));
	if (im->refusals == NULL || im->shown == NULL ||
	    wire_carrier_init(&im->file) != 0) {
		free(im->refusals);
		free(im->shown);
		free(im);
		return NRS_ENOMEM;
	}
	im->n = n;
	im->wake = wake;
	im->arg = arg;
	im->last_refused = NRS_NONE;
	nrs_buf_init(&im->part, WIRE_ITEM_MAX);
	/* Nobody's origin: what it gives proves no more than what a relay gives. */
	im->from.node = n;
	snprintf(im->from.name, sizeof(im->from.name), "in a file");
	carry_session_init(&im->s, n, &im->from);
	im->s.import = im;
	n->import = im;
	*ret = im;
	return 0;
}

void
node_import_result(struct node_import *im, struct node_import_result *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->done = im->done;
	ret->source = im->file.head.source;
	ret->from = im->file.head.from;
	ret->to = im->file.head.to;
	ret->whole = im->ended && !im->broken;
	ret->damage = im->broken ? im->damage : NULL;
	ret->statements = im->statements;
	ret->refused = im->refused;
	ret->norigins = im->nv;
	ret->origins = im->v;
	for (unsigned int i = 0; i < im->nrefusals; i++) {
		im->shown[i] = im->refusals[i].r;
		im->shown[i].text = im->refusals[i].text;
		if (im->refusals[i].origin[0] != '\0')
			im->shown[i].origin = im->refusals[i].origin;
	}
	ret->nrefusals = im->nrefusals;
	ret->refusals = im->shown;
}

void
carry_import_detach(struct node *n)
{
	struct node_import *im = n->import;

	if (im == NULL)
		return;
	if (im->wait_set)
		node_wait_cancel(n, &im->wait);
	im->wait_set = false;
	carry_session_fini(&im->s);
	n->import = NULL;
	im->n = NULL;
}

void
node_import_free(struct node_import *im)
{
	struct node *n;

	if (im == NULL)
		return;
	n = im->n;
	if (n != NULL) {
		carry_import_detach(n);
		node_wake_at(n, session_now(n)); /* links go on where it took over */
	}
	wire_carrier_fini(&im->file);
	nrs_buf_fini(&im->part);
	free(im->refusals);
	free(im->shown);
	free(im->v);
	free(im);
}
