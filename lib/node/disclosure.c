/*
 * Who was given which events.  A range is in the list from the moment its op 1
 * is put until its op 2 is: that is what STATE must say, and what a start after a
 * crash finds.  A range whose end could not be put stays in the list, so that
 * the next start ends it: it over-states, as it may.
 */
#include "node/disclosure.h"

#include <stdlib.h>
#include <string.h>

struct disclosure {
	TAILQ_ENTRY(disclosure) link;
	struct node *node;
	uint64_t range; /* position of op 1 */
	struct node_wait wait;
	void (*ready)(void *arg);
	void *arg;
	bool durable;
	bool closed; /* its end was put: it only waits for wait */
	size_t len;
	uint8_t body[]; /* op 1, for STATE */
};
TAILQ_HEAD(ranges, disclosure);

struct disclosures {
	struct ranges open;
	struct ranges closed; /* not durable yet, and closed: owned by their waits */
	unsigned int nopen;
	uint64_t opened; /* since the start */
};

int
disclosure_init(struct node *n)
{
	struct disclosures *ds = calloc(1, sizeof(*ds));

	if (ds == NULL)
		return NRS_ENOMEM;
	TAILQ_INIT(&ds->open);
	TAILQ_INIT(&ds->closed);
	n->disclosures = ds;
	return 0;
}

static void
drop_list(struct ranges *list)
{
	struct disclosure *d;

	while ((d = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, d, link);
		free(d);
	}
}

void
disclosure_drop(struct node *n)
{
	if (n->disclosures == NULL)
		return;
	drop_list(&n->disclosures->open);
	n->disclosures->nopen = 0;
}

void
disclosure_fini(struct node *n)
{
	if (n->disclosures == NULL)
		return;
	disclosure_drop(n);
	drop_list(&n->disclosures->closed);
	free(n->disclosures);
	n->disclosures = NULL;
}

void
disclosure_counts(const struct node *n, struct node_counts *ret)
{
	ret->ranges_open = n->disclosures->nopen;
	ret->ranges = n->disclosures->opened;
}

/* --- ranges --------------------------------------------------------------------- */

static int
put(struct node *n, const uint8_t *body, size_t len, uint64_t *ret_pos)
{
	const struct nrs_str part = { body, len };
	int err;

	err = nrs_journal_put(n->journal, NRS_J_DISCLOSURE, 0, &part, 1, ret_pos);
	if (err == 0)
		node_put_done(n);
	return err;
}

static struct disclosure *
range_new(struct node *n, const uint8_t *body, size_t len)
{
	struct disclosure *d = calloc(1, sizeof(*d) + len);

	if (d == NULL)
		return NULL;
	d->node = n;
	d->len = len;
	memcpy(d->body, body, len);
	return d;
}

static void
range_add(struct disclosure *d, uint64_t range)
{
	struct disclosures *ds = d->node->disclosures;

	d->range = range;
	TAILQ_INSERT_TAIL(&ds->open, d, link);
	ds->nopen++;
}

static void
on_durable(void *arg)
{
	struct disclosure *d = arg;

	d->durable = true;
	if (d->closed) {
		TAILQ_REMOVE(&d->node->disclosures->closed, d, link);
		free(d);
	} else if (d->ready != NULL) {
		d->ready(d->arg); /* may close it */
	}
}

int
disclosure_open(struct node *n, struct nrs_jdisclosure *jd, void (*ready)(void *arg),
    void *arg, struct disclosure **ret)
{
	struct disclosure *d;
	struct nrs_buf b;
	uint64_t pos;
	int err;

	if (n->disclosures->nopen >= NRS_JDISCLOSURES)
		return NRS_ELIMIT;
	jd->op = NRS_JDISCLOSURE_OPEN;
	jd->time = n->env->ops->wall(n->env);
	nrs_buf_init(&b, NRS_JDISCLOSURE_MAX);
	nrs_jdisclosure_encode(jd, &b);
	d = b.err == 0 ? range_new(n, b.p, b.len) : NULL;
	err = d == NULL ? NRS_ENOMEM : put(n, b.p, b.len, &pos);
	nrs_buf_fini(&b);
	if (err != 0) {
		free(d);
		return err;
	}
	/* only now: put() may have begun a segment, whose STATE is before this frame */
	range_add(d, pos);
	n->disclosures->opened++;
	d->ready = ready;
	d->arg = arg;
	d->wait.done = on_durable;
	d->wait.arg = d;
	node_when_durable(n, &d->wait);
	*ret = d;
	return 0;
}

bool
disclosure_durable(const struct disclosure *d)
{
	return d->durable;
}

void
disclosure_close(struct disclosure *d, struct node_cursor at)
{
	struct nrs_jdisclosure jd = { .op = NRS_JDISCLOSURE_CLOSE };
	struct disclosures *ds;
	struct nrs_buf b;
	int err;

	if (d == NULL)
		return;
	ds = d->node->disclosures;
	jd.range = d->range;
	jd.event = at.event;
	jd.n = at.n;
	jd.time = d->node->env->ops->wall(d->node->env);
	nrs_buf_init(&b, NRS_JDISCLOSURE_MAX);
	nrs_jdisclosure_encode(&jd, &b);
	err = b.err != 0 ? b.err : put(d->node, b.p, b.len, NULL);
	nrs_buf_fini(&b);
	if (err != 0) {
		/* stays open: STATE says so, and the next start ends it */
		d->ready = NULL;
		return;
	}
	TAILQ_REMOVE(&ds->open, d, link);
	ds->nopen--;
	if (d->durable) {
		free(d);
		return;
	}
	d->closed = true;
	TAILQ_INSERT_TAIL(&ds->closed, d, link);
}

/* --- state and replay --------------------------------------------------------------- */

void
disclosure_state_encode(const struct node *n, struct nrs_buf *b)
{
	const struct disclosure *d;

	if (n->disclosures->nopen == 0)
		return;
	nrs_buf_u32(b, n->disclosures->nopen);
	TAILQ_FOREACH(d, &n->disclosures->open, link) {
		nrs_buf_u64(b, d->range);
		nrs_buf_u32(b, (uint32_t)d->len);
		nrs_buf_put(b, d->body, d->len);
	}
}

static int
restore(struct node *n, uint64_t range, struct nrs_str body)
{
	const struct disclosure *last = TAILQ_LAST(&n->disclosures->open, ranges);
	struct nrs_jdisclosure jd;
	struct disclosure *d;
	int err;

	err = nrs_jdisclosure_decode(&jd, body);
	if (err != 0)
		return err;
	if (jd.op != NRS_JDISCLOSURE_OPEN || range == 0 ||
	    (last != NULL && range <= last->range))
		return NRS_EORDER;
	if (n->disclosures->nopen >= NRS_JDISCLOSURES)
		return NRS_ELIMIT;
	d = range_new(n, body.p, body.len);
	if (d == NULL)
		return NRS_ENOMEM;
	range_add(d, range);
	return 0;
}

int
disclosure_state_decode(struct node *n, struct nrs_rd *r)
{
	struct nrs_str body;
	uint32_t count, len;
	uint64_t range;
	int err = 0;

	if (nrs_rd_left(r) == 0)
		return 0;
	count = nrs_rd_u32(r);
	if (r->err == 0 && count == 0)
		return NRS_ERANGE; /* none is told by leaving it away */
	for (uint32_t i = 0; err == 0 && r->err == 0 && i < count; i++) {
		range = nrs_rd_u64(r);
		len = nrs_rd_u32(r);
		if (r->err == 0 && len > NRS_JDISCLOSURE_MAX)
			return NRS_ELIMIT;
		body = nrs_rd_bytes(r, len);
		if (r->err == 0)
			err = restore(n, range, body);
	}
	return r->err != 0 ? r->err : err;
}

static int
replay_close(struct node *n, uint64_t range)
{
	struct disclosure *d;

	TAILQ_FOREACH(d, &n->disclosures->open, link) {
		if (d->range != range)
			continue;
		TAILQ_REMOVE(&n->disclosures->open, d, link);
		n->disclosures->nopen--;
		free(d);
		return 0;
	}
	return NRS_EUNKNOWN;
}

int
disclosure_replay(struct node *n, const struct nrs_jframe *f)
{
	struct nrs_jdisclosure jd;
	int err;

	err = nrs_jdisclosure_decode(&jd, f->body);
	if (err != 0)
		return err;
	if (jd.op == NRS_JDISCLOSURE_OPEN)
		return restore(n, f->pos, f->body);
	if (jd.op == NRS_JDISCLOSURE_CLOSE)
		return replay_close(n, jd.range);
	disclosure_drop(n);
	return 0;
}

int
disclosure_recover(struct node *n)
{
	struct nrs_jdisclosure jd = { .op = NRS_JDISCLOSURE_CRASH };
	struct nrs_buf b;
	int err;

	if (n->disclosures->nopen == 0)
		return 0;
	jd.event = n->next_event - 1;
	jd.time = n->env->ops->wall(n->env);
	nrs_buf_init(&b, NRS_JDISCLOSURE_MAX);
	nrs_jdisclosure_encode(&jd, &b);
	err = b.err != 0 ? b.err : put(n, b.p, b.len, NULL);
	nrs_buf_fini(&b);
	if (err == 0)
		disclosure_drop(n);
	return err;
}
