/*
 * The ledger of what is durable.  What apply functions touched in a turn is
 * noted down once at its end, with a wait for the journal; when that comes
 * back, exactly those sizes are shown, and never more.  Only what was touched
 * is visited, so the cost does not grow with what a node knows.
 */
#include <stdlib.h>
#include <string.h>

#include "node/ledger.h"

struct mark_origin {
	struct origin *o;
	uint64_t size;
	uint8_t *note; /* NULL: no newer checkpoint */
	size_t note_len;
	struct nrs_checkpoint cp;
};
struct mark_audience {
	struct audience *a;
	uint64_t next;
};
TAILQ_HEAD(node_waits, node_wait);

/* What was put up to one moment. */
struct mark {
	TAILQ_ENTRY(mark) link;
	struct durable *dl;
	struct nrs_jwait wait;
	bool waiting;
	bool done;
	uint64_t event;
	unsigned int norigins, naudiences;
	struct mark_origin *origins;
	struct mark_audience *audiences;
	struct node_waits waits;
};

struct durable {
	struct node *node;
	bool wanted;			  /* something was put since the last mark */
	TAILQ_HEAD(, origin) origins;	  /* dirty */
	TAILQ_HEAD(, audience) audiences; /* dirty */
	unsigned int norigins, naudiences;
	struct node_waits waits; /* for the next mark */
	TAILQ_HEAD(, mark) marks;
};

int
ledger_init(struct node *n)
{
	struct durable *dl = calloc(1, sizeof(*dl));

	if (dl == NULL)
		return NRS_ENOMEM;
	dl->node = n;
	TAILQ_INIT(&dl->origins);
	TAILQ_INIT(&dl->audiences);
	TAILQ_INIT(&dl->waits);
	TAILQ_INIT(&dl->marks);
	n->durable = dl;
	return 0;
}

static void
mark_free(struct mark *m)
{
	if (m == NULL)
		return;
	for (unsigned int i = 0; i < m->norigins; i++)
		free(m->origins[i].note);
	free(m->origins);
	free(m->audiences);
	free(m);
}

void
ledger_fini(struct node *n)
{
	struct durable *dl = n->durable;
	struct mark *m;

	if (dl == NULL)
		return;
	while ((m = TAILQ_FIRST(&dl->marks)) != NULL) {
		TAILQ_REMOVE(&dl->marks, m, link);
		mark_free(m);
	}
	free(dl);
	n->durable = NULL;
}

bool
ledger_idle(const struct node *n)
{
	return !n->durable->wanted && TAILQ_EMPTY(&n->durable->marks);
}

void
node_touch_origin(struct origin *o)
{
	struct durable *dl = o->node->durable;

	if (o->dirty || o->node->replaying)
		return;
	o->dirty = true;
	dl->norigins++;
	TAILQ_INSERT_TAIL(&dl->origins, o, dirty_link);
}

void
node_touch_audience(struct audience *a)
{
	struct durable *dl = a->origin->node->durable;

	if (a->dirty || a->origin->node->replaying)
		return;
	a->dirty = true;
	dl->naudiences++;
	TAILQ_INSERT_TAIL(&dl->audiences, a, dirty_link);
}

void
node_put_done(struct node *n)
{
	n->durable->wanted = true;
}

void
node_when_durable(struct node *n, struct node_wait *w)
{
	TAILQ_INSERT_TAIL(&n->durable->waits, w, link);
	n->durable->wanted = true;
}

static bool
wait_remove(struct node_waits *l, struct node_wait *w)
{
	struct node_wait *x;

	TAILQ_FOREACH(x, l, link) {
		if (x != w)
			continue;
		TAILQ_REMOVE(l, w, link);
		return true;
	}
	return false;
}

void
node_wait_cancel(struct node *n, struct node_wait *w)
{
	struct mark *m;

	if (n->durable == NULL || wait_remove(&n->durable->waits, w))
		return;
	TAILQ_FOREACH(m, &n->durable->marks, link) {
		if (wait_remove(&m->waits, w))
			return;
	}
}

static int
show_checkpoint(struct origin *o)
{
	uint8_t *note;

	if (o->cp_note == NULL)
		return 0;
	note = malloc(o->cp_len);
	if (note == NULL)
		return NRS_ENOMEM;
	memcpy(note, o->cp_note, o->cp_len);
	free(o->shown_note);
	o->shown_note = note;
	o->shown_len = o->cp_len;
	o->shown = o->cp;
	return 0;
}

int
ledger_show_own(struct node *n)
{
	int err = show_checkpoint(n->own);

	if (err != 0)
		return err;
	serve_on_durable(n);
	sync_on_durable(n);
	return 0;
}

int
ledger_all_durable(struct node *n)
{
	struct audience *a;
	struct origin *o;
	int err = 0;

	TAILQ_FOREACH(o, &n->origins, link) {
		o->durable = o->put.size;
		if (err == 0)
			err = show_checkpoint(o);
		o->cp_dirty = false;
		TAILQ_FOREACH(a, &o->audiences, link)
			a->durable = a->next;
	}
	n->shown_event = n->next_event - 1;
	return err;
}

/* --- marks ---------------------------------------------------------------- */

static void
advance_origin(struct mark_origin *mo)
{
	struct origin *o = mo->o;

	if (mo->size > o->durable)
		o->durable = mo->size;
	/* our own may be shown before its frame is durable: ledger_show_own() */
	if (mo->note == NULL || mo->cp.size < o->shown.size)
		return;
	free(o->shown_note);
	o->shown_note = mo->note;
	o->shown_len = mo->note_len;
	o->shown = mo->cp;
	mo->note = NULL;
}

static void
advance(struct node *n, struct mark *m)
{
	struct node_wait *w;

	for (unsigned int i = 0; i < m->norigins; i++)
		advance_origin(&m->origins[i]);
	for (unsigned int i = 0; i < m->naudiences; i++)
		if (m->audiences[i].next > m->audiences[i].a->durable)
			m->audiences[i].a->durable = m->audiences[i].next;
	if (m->event > n->shown_event)
		n->shown_event = m->event;
	serve_on_durable(n);
	sync_on_durable(n);
	publish_on_durable(n);
	reader_on_durable(n);
	while ((w = TAILQ_FIRST(&m->waits)) != NULL) {
		TAILQ_REMOVE(&m->waits, w, link);
		w->done(w->arg);
	}
}

static void
on_wait(void *arg, int rc)
{
	struct mark *m = arg;
	struct durable *dl = m->dl;
	struct node *n = dl->node;

	m->waiting = false;
	if (rc != 0) {
		/* no space: it is written later, and waited for again when there is room */
		if (rc != NRS_EFULL)
			node_fail(n, "journal: %s", nrs_strerror(rc));
		return;
	}
	m->done = true;
	while ((m = TAILQ_FIRST(&dl->marks)) != NULL && m->done) {
		TAILQ_REMOVE(&dl->marks, m, link);
		advance(n, m);
		mark_free(m);
	}
}

static int
note_origin(struct mark *m, struct origin *o)
{
	struct mark_origin *mo = &m->origins[m->norigins++];

	mo->o = o;
	mo->size = o->put.size;
	if (!o->cp_dirty)
		return 0;
	mo->note = malloc(o->cp_len);
	if (mo->note == NULL)
		return NRS_ENOMEM;
	memcpy(mo->note, o->cp_note, o->cp_len);
	mo->note_len = o->cp_len;
	mo->cp = o->cp;
	return 0;
}

static int
mark_fill(struct mark *m, struct durable *dl)
{
	struct audience *a;
	struct origin *o;
	int err = 0;

	m->origins = calloc(dl->norigins + 1, sizeof(*m->origins));
	m->audiences = calloc(dl->naudiences + 1, sizeof(*m->audiences));
	if (m->origins == NULL || m->audiences == NULL)
		return NRS_ENOMEM;
	TAILQ_FOREACH(o, &dl->origins, dirty_link)
		if (err == 0)
			err = note_origin(m, o);
	TAILQ_FOREACH(a, &dl->audiences, dirty_link)
		m->audiences[m->naudiences++] = (struct mark_audience){ a, a->next };
	m->event = dl->node->next_event - 1;
	return err;
}

static void
clean(struct durable *dl)
{
	struct audience *a;
	struct origin *o;

	while ((o = TAILQ_FIRST(&dl->origins)) != NULL) {
		TAILQ_REMOVE(&dl->origins, o, dirty_link);
		o->dirty = false;
		o->cp_dirty = false;
	}
	while ((a = TAILQ_FIRST(&dl->audiences)) != NULL) {
		TAILQ_REMOVE(&dl->audiences, a, dirty_link);
		a->dirty = false;
	}
	dl->norigins = dl->naudiences = 0;
	dl->wanted = false;
}

static int
mark_new(struct durable *dl)
{
	struct mark *m = calloc(1, sizeof(*m));
	int err;

	if (m == NULL)
		return NRS_ENOMEM;
	TAILQ_INIT(&m->waits);
	m->dl = dl;
	m->wait.done = on_wait;
	m->wait.arg = m;
	err = mark_fill(m, dl);
	if (err != 0) {
		mark_free(m);
		return err;
	}
	TAILQ_CONCAT(&m->waits, &dl->waits, link);
	clean(dl);
	TAILQ_INSERT_TAIL(&dl->marks, m, link);
	return 0;
}

void
ledger_turn(struct node *n)
{
	struct durable *dl = n->durable;
	struct mark *m;

	if (dl->wanted && mark_new(dl) != 0)
		node_wake_at(n, n->env->ops->mono(n->env)); /* no memory: the next turn */
	/* while the disk is full nothing comes back: asking again would only spin */
	if (nrs_journal_full(n->journal) || n->failed)
		return;
	TAILQ_FOREACH(m, &dl->marks, link) {
		if (m->waiting || m->done)
			continue;
		m->waiting = true;
		nrs_journal_wait(n->journal, &m->wait);
	}
}
