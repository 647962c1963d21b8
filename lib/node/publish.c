/*
 * Publishing: from a submission to a signed, durable record of our own log.
 *
 * submit -> checks -> job (scan, commitment, compression) -> idempotence ->
 * queue -> batch: chain, one request to the keeper, frames -> durable -> done.
 * One batch of headers is with the keeper at a time, and nothing is assigned to
 * the log or to a chain before its signatures have come back: a failure of the
 * keeper leaves no trace.
 */
#include <stdlib.h>
#include <string.h>

#include "index/seen.h"
#include "node/checkpoint.h"
#include "policy/clearance.h"
#include "stix/scan.h"

#define BATCH_RECORDS 256
#define PENDING_BYTES ((size_t)64 << 20) /* payloads taken in and not durable */
#define PENDING_MAX   4096
#define SMALL_BUNDLE  1024 /* is scanned sooner than another thread wakes up */

struct pub {
	TAILQ_ENTRY(pub) link;
	struct publish *p;
	struct node_submit *s;
	struct nrs_job job;
	struct community *c; /* NULL: direct */
	struct audience *a;
	uint8_t *payload;
	size_t payload_len;
	size_t charged;
	uint8_t tlp;
	uint8_t salt[NRS_SALT_LEN];
	/* what the job found */
	int rc;
	struct nrs_bundle bundle;
	struct nrs_hash commit;
	struct nrs_buf keys;
	uint8_t *packed; /* NULL: the payload as it is */
	size_t packed_len;
	bool raw;
	bool reserved;
	uint64_t index;
};
TAILQ_HEAD(pubs, pub);

/* One header with the keeper; list: the record that names the recipients. */
struct entry {
	struct pub *pub; /* NULL: list */
	struct audience *a;
	struct nrs_header h;
	uint8_t *list;
	size_t list_len;
	uint8_t salt[NRS_SALT_LEN];
};

struct publish {
	struct node *node;
	struct nrs_packer *packer; /* of small bundles */
	struct nrs_seen *seen;
	bool seen_lost; /* keys could not be kept: the mark stays, opening reads again */
	bool recheck;
	struct pubs jobs;    /* being scanned */
	struct pubs waiting; /* an object of theirs is on its way in another one */
	struct pubs urgent;
	struct pubs normal;
	struct pubs put;	      /* signed, not durable; in order of index */
	struct node_submit *finished; /* chained by priv, d.code is the result */
	struct node_submit **finished_end;
	unsigned int count;
	size_t bytes;

	struct nrs_sign sign;
	struct nrs_job proof;	/* checks what the keeper signed */
	struct nrs_pubkey feed; /* under this key */
	int proof_rc;
	bool signing; /* from the request until its proof is done */
	unsigned int n;
	struct entry v[BATCH_RECORDS];
	uint8_t headers[BATCH_RECORDS * NRS_HEADER_LEN];
	uint8_t sigs[BATCH_RECORDS * NRS_ED25519_SIG];
};

/* --- ends ------------------------------------------------------------------ */

static void
pub_free(struct pub *u)
{
	u->p->count--;
	u->p->bytes -= u->charged;
	free(u->payload);
	free(u->packed);
	nrs_buf_fini(&u->keys);
	free(u);
}

/* done() is called from the next turn, never from inside a call of the submitter. */
static void
finish(struct publish *p, struct node_submit *s, int rc)
{
	struct node_counts *c = &p->node->counts;

	if (rc != 0) {
		(void)nrs_fail(&s->d, rc, 0, "%s", nrs_strerror(rc));
		c->submit_refused += rc != NRS_EEXISTS; /* a repetition is welcome */
	} else {
		c->published++;
	}
	s->d.code = rc;
	s->priv = NULL;
	*p->finished_end = s;
	p->finished_end = (struct node_submit **)&s->priv;
}

static void
pub_end(struct pub *u, int rc)
{
	struct publish *p = u->p;

	if (u->reserved) {
		nrs_seen_release(p->seen, u->keys.p, u->keys.len / NRS_SEEN_KEY);
		p->recheck = true;
	}
	u->s->objects = u->bundle.n;
	finish(p, u->s, rc);
	pub_free(u);
}

static void
deliver(struct publish *p)
{
	struct node_submit *s = p->finished, *next;

	p->finished = NULL;
	p->finished_end = &p->finished;
	for (; s != NULL; s = next) {
		uint32_t *known = s->known;

		next = s->priv;
		s->priv = NULL;
		s->done(s, s->d.code);
		free(known);
	}
}

/* --- checks ----------------------------------------------------------------- */

static int
check_community(struct node *n, const struct node_submit *s, struct community **ret,
    struct nrs_detail *d)
{
	struct community *c = community_find_name(n, s->community);
	const struct nrs_statement *st;

	if (c == NULL)
		return nrs_fail(d, NRS_EUNKNOWN, 0, "no community %.64s", s->community);
	if (!c->trusted)
		return nrs_fail(d, NRS_EUNKNOWN, 0,
		    "community %.64s waits to be accepted by the operator", s->community);
	st = &c->v[c->n - 1].s;
	if (!community_member_at(c, c->n - 1, n->name))
		return nrs_fail(
		    d, NRS_EMEMBER, 0, "not a member of community %.64s", s->community);
	if (s->tlp == NRS_TLP_RED)
		return nrs_fail(
		    d, NRS_ECEILING, 0, "TLP:RED goes to named recipients only");
	if (nrs_community_allows(s->tlp, st->ceiling) != 0)
		return nrs_fail(d, NRS_ECEILING, 0, "marking is above the ceiling of %.64s",
		    s->community);
	*ret = c;
	return 0;
}

static const struct peer *
find_peer(const struct node *n, const char *name)
{
	const struct peer *p;

	TAILQ_FOREACH(p, &n->peers, link)
		if (strcmp(p->name, name) == 0)
			return p;
	return NULL;
}

static int
check_recipients(struct node *n, const struct node_submit *s, struct nrs_detail *d)
{
	const struct peer *p;

	if (s->nrecipients == 0 || s->recipients == NULL)
		return nrs_fail(d, NRS_ESYNTAX, 0, "no community and no recipients");
	if (s->nrecipients > NRS_MEMBERS_MAX)
		return nrs_fail(d, NRS_ELIMIT, 0, "too many recipients");
	for (unsigned int i = 0; i < s->nrecipients; i++) {
		const char *name = s->recipients[i];

		p = find_peer(n, name);
		if (p == NULL)
			return nrs_fail(d, NRS_EUNKNOWN, 0, "no peer %.64s", name);
		if (p->suspended)
			return nrs_fail(
			    d, NRS_ESUSPENDED, 0, "peer %.64s is suspended", name);
		if (!nrs_tlp_within(s->tlp, p->ceiling))
			return nrs_fail(d, NRS_ECEILING, 0,
			    "marking is above the ceiling of peer %.64s", name);
		for (unsigned int k = 0; k < i; k++)
			if (strcmp(s->recipients[k], name) == 0)
				return nrs_fail(
				    d, NRS_EDUPLICATE, 0, "%.64s is given twice", name);
	}
	return 0;
}

int
publish_check(struct node *n, const struct node_submit *s, struct community **ret_c,
    struct nrs_detail *d)
{
	*ret_c = NULL;
	if (n->failed)
		return nrs_fail(d, NRS_EIO, 0, "%s", n->failed_why);
	if (n->draining)
		return nrs_fail(d, NRS_ESTATE, 0, "the daemon is shutting down");
	if (n->full || nrs_journal_full(n->journal))
		return nrs_fail(d, NRS_EFULL, 0, "no space left for the journal");
	if (s->tlp >= NRS_TLP__MAX)
		return nrs_fail(d, NRS_ERANGE, 0, "not a TLP marking");
	if ((s->flags & ~NRS_FLAG_URGENT) != 0)
		return nrs_fail(d, NRS_ERESERVED, 0, "only the flag urgent may be given");
	if (s->payload_len > NRS_PAYLOAD_MAX)
		return nrs_fail(d, NRS_ELIMIT, 0, "bundle is above 16 MiB");
	if (s->community != NULL && s->nrecipients > 0)
		return nrs_fail(
		    d, NRS_ESYNTAX, 0, "community and recipients exclude each other");
	if (s->community != NULL)
		return check_community(n, s, ret_c, d);
	return check_recipients(n, s, d);
}

/* --- the job: pure work on the payload --------------------------------------- */

struct scan {
	struct nrs_digest *dg;
	struct pub *u;
};

static int
scan_object(void *arg, const struct nrs_stix_object *o)
{
	struct scan *sc = arg;
	uint8_t key[NRS_SEEN_KEY];
	int err;

	err = nrs_object_key(sc->dg, &sc->u->a->id, sc->u->tlp, o->id, o->modified, key);
	if (err != 0)
		return err;
	nrs_buf_put(&sc->u->keys, key, sizeof(key));
	return sc->u->keys.err;
}

static int
scan_payload(struct pub *u, struct nrs_digest *dg, struct nrs_packer *packer)
{
	struct scan sc = { dg, u };
	struct nrs_detail *d = &u->s->d;
	int err;

	err = nrs_bundle_scan(u->payload, u->payload_len, &u->bundle, scan_object, &sc, d);
	if (err != 0)
		return err;
	if (!nrs_tlp_covers(u->tlp, u->bundle.tlp_max))
		return nrs_fail(d, NRS_EMARKING, 0,
		    "an object is marked more strictly than the whole submission");
	err = nrs_payload_commit(dg, u->salt, u->payload, u->payload_len, &u->commit);
	if (err == 0)
		err = nrs_packer_run(packer, u->payload, u->payload_len, &u->packed,
		    &u->packed_len, &u->raw);
	return err;
}

static void
job_run(struct nrs_job *job)
{
	struct pub *u = job->arg;
	struct nrs_digest *dg = nrs_digest_new();

	u->rc = dg != NULL ? scan_payload(u, dg, NULL) : NRS_ENOMEM;
	nrs_digest_free(dg);
}

/* --- idempotence --------------------------------------------------------------- */

static int
keep_known(struct pub *u, size_t i)
{
	struct node_submit *s = u->s;
	uint32_t *v;

	if ((s->nknown & (s->nknown - 1)) == 0) {
		v = realloc(s->known, (s->nknown > 0 ? s->nknown * 2 : 1) * sizeof(*v));
		if (v == NULL)
			return NRS_ENOMEM;
		s->known = v;
	}
	s->known[s->nknown++] = (uint32_t)i;
	return 0;
}

/* 0: all are new and reserved; NRS_EBUSY: wait for another submission. */
static int
check_seen(struct pub *u)
{
	size_t n = u->keys.len / NRS_SEEN_KEY;
	bool busy = false;
	uint64_t index;
	int err;

	for (size_t i = 0; i < n; i++) {
		err = nrs_seen_find(u->p->seen, u->keys.p + i * NRS_SEEN_KEY, &index);
		if (err == 0)
			err = keep_known(u, i);
		else if (err == NRS_EBUSY)
			busy = true;
		if (err != 0 && err != NRS_ENOTFOUND && err != NRS_EBUSY)
			return err;
	}
	if (u->s->nknown > 0)
		return nrs_fail(&u->s->d, NRS_EEXISTS, 0,
		    "%u of %zu objects are shared already", u->s->nknown, n);
	if (busy)
		return NRS_EBUSY;
	err = nrs_seen_reserve(u->p->seen, u->keys.p, n);
	u->reserved = err == 0;
	return err;
}

/* u is on no list. */
static void
enqueue(struct pub *u)
{
	struct publish *p = u->p;
	int err = check_seen(u);

	if (err == NRS_EBUSY)
		TAILQ_INSERT_TAIL(&p->waiting, u, link);
	else if (err != 0)
		pub_end(u, err);
	else if ((u->s->flags & NRS_FLAG_URGENT) != 0)
		TAILQ_INSERT_TAIL(&p->urgent, u, link);
	else
		TAILQ_INSERT_TAIL(&p->normal, u, link);
}

static void
job_done(struct nrs_job *job)
{
	struct pub *u = job->arg;
	struct publish *p = u->p;

	TAILQ_REMOVE(&p->jobs, u, link);
	if (u->rc != 0) {
		pub_end(u, u->rc);
		return;
	}
	if (!u->raw) {
		free(u->payload);
		u->payload = NULL;
	}
	enqueue(u);
}

static void
recheck(struct publish *p)
{
	struct pubs list;
	struct pub *u;

	if (!p->recheck)
		return;
	p->recheck = false;
	TAILQ_INIT(&list);
	TAILQ_CONCAT(&list, &p->waiting, link);
	while ((u = TAILQ_FIRST(&list)) != NULL) {
		TAILQ_REMOVE(&list, u, link);
		enqueue(u);
	}
}

/* --- submitting ------------------------------------------------------------------ */

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char **
sorted_recipients(const struct node_submit *s)
{
	const char **names = calloc(s->nrecipients + 1, sizeof(*names));

	if (names == NULL)
		return NULL;
	for (unsigned int i = 0; i < s->nrecipients; i++)
		names[i] = s->recipients[i];
	qsort(names, s->nrecipients, sizeof(*names), by_name);
	return names;
}

static int
choose_audience(struct node *n, struct pub *u)
{
	struct node_submit *s = u->s;
	const char **names;
	int err;

	if (u->c != NULL)
		return audience_add(n->own, &u->c->id, AUD_COMMUNITY, &u->a);
	if ((names = sorted_recipients(s)) == NULL)
		return NRS_ENOMEM;
	err = audience_own_direct(n, names, s->nrecipients, &u->a);
	free(names);
	return err;
}

static int
submit(struct node *n, struct node_submit *s, struct pub **ret)
{
	struct publish *p = n->publish;
	struct community *c;
	struct pub *u;
	int err;

	err = publish_check(n, s, &c, &s->d);
	if (err != 0)
		return err;
	if (p->count >= PENDING_MAX || p->bytes + s->payload_len > PENDING_BYTES)
		return nrs_fail(&s->d, NRS_EBUSY, 0, "too many submissions at once");
	u = calloc(1, sizeof(*u));
	if (u == NULL)
		return NRS_ENOMEM;
	u->p = p;
	u->s = s;
	u->c = c;
	u->tlp = s->tlp;
	err = choose_audience(n, u);
	if (err != 0) {
		free(u);
		return err;
	}
	*ret = u;
	return 0;
}

void
node_submit(struct node *n, struct node_submit *s)
{
	struct publish *p = n->publish;
	struct pub *u = NULL;
	int err;

	memset(&s->d, 0, sizeof(s->d));
	s->index = NRS_NONE;
	s->objects = 0;
	s->known = NULL;
	s->nknown = 0;
	n->counts.submitted++;
	err = submit(n, s, &u);
	if (err != 0) {
		free(s->payload);
		s->payload = NULL;
		finish(p, s, err);
		return;
	}
	u->payload = s->payload;
	u->payload_len = s->payload_len;
	s->payload = NULL;
	u->charged = u->payload_len;
	p->bytes += u->charged;
	p->count++;
	nrs_buf_init(&u->keys, (size_t)NRS_OBJECTS_MAX * NRS_SEEN_KEY);
	n->env->ops->random(n->env, u->salt, sizeof(u->salt));
	u->job = (struct nrs_job){ .run = job_run, .done = job_done, .arg = u };
	TAILQ_INSERT_TAIL(&p->jobs, u, link);
	if (u->payload_len <= SMALL_BUNDLE) {
		u->rc = scan_payload(u, n->dg, p->packer);
		job_done(&u->job);
		return;
	}
	n->env->ops->job_submit(n->env, &u->job);
}

int
node_submit_check(struct node *n, const struct node_submit *s, struct nrs_detail *d)
{
	struct nrs_bundle bundle;
	struct community *c;
	int err;

	err = publish_check(n, s, &c, d);
	if (err != 0 || s->payload == NULL)
		return err;
	err = nrs_bundle_scan(s->payload, s->payload_len, &bundle, NULL, NULL, d);
	if (err == 0 && !nrs_tlp_covers(s->tlp, bundle.tlp_max))
		err = nrs_fail(d, NRS_EMARKING, 0,
		    "an object is marked more strictly than the whole submission");
	return err;
}

int
node_submit_known(
    struct node *n, const struct node_submit *s, uint32_t **ret, uint32_t *ret_n)
{
	struct node_submit found = { .known = NULL };
	struct pub u = { .s = &found, .p = n->publish, .tlp = s->tlp };
	struct nrs_digest *dg = NULL;
	struct scan sc = { .u = &u };
	const char **names = NULL;
	uint64_t index;
	int err;

	*ret = NULL;
	*ret_n = 0;
	nrs_buf_init(&u.keys, (size_t)NRS_OBJECTS_MAX * NRS_SEEN_KEY);
	if ((err = publish_check(n, s, &u.c, &found.d)) != 0)
		goto out;
	if (u.c != NULL)
		u.a = audience_find(n->own, &u.c->id);
	else if ((names = sorted_recipients(s)) != NULL)
		u.a = audience_find_direct(n, names, s->nrecipients);
	if (u.a == NULL) /* nothing was ever sent there */
		goto out;
	if ((sc.dg = dg = nrs_digest_new()) == NULL) {
		err = NRS_ENOMEM;
		goto out;
	}
	err = nrs_bundle_scan(
	    s->payload, s->payload_len, &u.bundle, scan_object, &sc, &found.d);
	for (size_t i = 0; err == 0 && i < u.keys.len / NRS_SEEN_KEY; i++) {
		err = nrs_seen_find(u.p->seen, u.keys.p + i * NRS_SEEN_KEY, &index);
		if (err == 0)
			err = keep_known(&u, i);
		else if (err == NRS_ENOTFOUND || err == NRS_EBUSY)
			err = 0;
	}
out:
	if (err == 0) {
		*ret = found.known;
		*ret_n = found.nknown;
	} else {
		free(found.known);
	}
	nrs_digest_free(dg);
	nrs_buf_fini(&u.keys);
	free(names);
	return err;
}

/* --- batches ------------------------------------------------------------------------ */

/* Where the chain of this audience stands, with what this batch has added to it. */
static int
chain_tip(
    struct publish *p, const struct audience *a, uint64_t *ret_seq, struct nrs_hash *ret)
{
	for (unsigned int i = p->n; i > 0; i--) {
		if (p->v[i - 1].a != a)
			continue;
		*ret_seq = p->v[i - 1].h.seq + 1;
		return nrs_header_link(p->headers + (size_t)(i - 1) * NRS_HEADER_LEN, ret);
	}
	*ret_seq = a->next;
	*ret = a->head;
	return 0;
}

static int
add_entry(struct publish *p, struct entry *e)
{
	uint8_t *at = p->headers + (size_t)p->n * NRS_HEADER_LEN;
	struct nrs_header check;
	int err;

	e->h.audience = e->a->id;
	e->h.origin = p->node->id;
	e->h.ref_index = NRS_NONE;
	e->h.created = p->node->env->ops->wall(p->node->env);
	err = chain_tip(p, e->a, &e->h.seq, &e->h.prev);
	if (err != 0)
		return err;
	nrs_header_encode(&e->h, at);
	/* what others would refuse is not signed */
	err = nrs_header_decode(&check, at, NRS_HEADER_LEN, NULL);
	if (err == 0)
		p->v[p->n++] = *e;
	return err;
}

static void
random_uuid(struct node *n, uint8_t uuid[NRS_UUID_LEN])
{
	n->env->ops->random(n->env, uuid, NRS_UUID_LEN);
	uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40);
	uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
}

/* seq 0 of a direct audience: the list of its recipients (FORMAT.md, section 8). */
static int
add_list(struct publish *p, struct audience *a)
{
	struct node *n = p->node;
	struct entry e = { .a = a, .h = { .kind = NRS_KIND_MEMBERSHIP } };
	struct nrs_buf b;
	int err;

	nrs_buf_init(&b, NRS_PAYLOAD_MAX);
	err = nrs_direct_format(&b, &a->direct);
	if (err != 0)
		goto out;
	e.list = nrs_buf_take(&b, &e.list_len);
	if (e.list == NULL)
		return NRS_ENOMEM;
	n->env->ops->random(n->env, e.salt, sizeof(e.salt));
	e.h.tlp = NRS_TLP_AMBER_STRICT;
	e.h.payload_len = e.list_len;
	random_uuid(n, e.h.uuid);
	err = nrs_payload_commit(n->dg, e.salt, e.list, e.list_len, &e.h.payload_commit);
	if (err == 0)
		err = add_entry(p, &e);
	if (err != 0)
		free(e.list);
out:
	nrs_buf_fini(&b);
	return err;
}

static int
add_pub(struct publish *p, struct pub *u)
{
	struct node *n = p->node;
	struct entry e = { .pub = u, .a = u->a, .h = { .kind = NRS_KIND_BUNDLE } };
	const struct nrs_statement *st;
	struct community *c;
	struct nrs_hash tip;
	uint64_t seq;
	int err;

	/* the rules may have changed while it waited */
	if (u->c != NULL) {
		err = check_community(n, u->s, &c, &u->s->d);
		if (err != 0)
			return err;
		st = &u->c->v[u->c->n - 1].s;
		e.h.epoch = st->epoch;
		e.h.flags = (uint8_t)(st->onward << NRS_FLAG_ONWARD_SHIFT);
		if (st->exercise)
			e.h.flags |= NRS_FLAG_EXERCISE;
	} else {
		err = chain_tip(p, u->a, &seq, &tip);
		if (err == 0 && seq == 0)
			err = add_list(p, u->a);
		if (err != 0)
			return err;
	}
	e.h.flags |= u->s->flags;
	e.h.tlp = u->tlp;
	e.h.expires = u->s->expires;
	e.h.payload_len = u->payload_len;
	e.h.payload_commit = u->commit;
	memcpy(e.h.uuid, u->bundle.uuid, sizeof(e.h.uuid));
	memcpy(e.salt, u->salt, sizeof(e.salt));
	return add_entry(p, &e);
}

static size_t
stored_len(const struct pub *u)
{
	return u->raw ? u->payload_len : u->packed_len;
}

static struct nrs_jrecord
entry_record(const struct publish *p, const struct entry *e, const uint8_t *header)
{
	struct nrs_jrecord r = {
		.index = p->node->own->put.size,
		.header = header,
		.salt = e->salt,
	};

	if (e->pub == NULL) {
		r.data = (struct nrs_str){ e->list, e->list_len };
		r.flags = NRS_JRECORD_RAW;
	} else if (e->pub->raw) {
		r.data = (struct nrs_str){ e->pub->payload, e->pub->payload_len };
		r.flags = NRS_JRECORD_RAW;
	} else {
		r.data = (struct nrs_str){ e->pub->packed, e->pub->packed_len };
	}
	return r;
}

/* Puts and applies one signed record, and its event. */
static int
put_entry(struct publish *p, unsigned int i)
{
	struct node *n = p->node;
	struct entry *e = &p->v[i];
	const uint8_t *header = p->headers + (size_t)i * NRS_HEADER_LEN;
	struct nrs_jrecord r = entry_record(p, e, header);
	const struct nrs_manifest *m = origin_manifest_at(n->own, r.index);
	struct nrs_hash leaf;
	struct nrs_buf sigs;
	uint64_t pos;
	int err;

	nrs_buf_init(&sigs, NRS_SIGS1_LEN);
	nrs_sigs_encode1(&sigs, m->feed.id, p->sigs + (size_t)i * NRS_ED25519_SIG);
	r.sigs = (struct nrs_str){ sigs.p, sigs.len };
	err = sigs.err;
	if (err == 0)
		err = nrs_record_commit(n->dg, header, sigs.p, sigs.len, &r.c);
	if (err == 0)
		err = nrs_leaf_sealed(n->dg, &r.c, &leaf);
	if (err == 0)
		err = nrs_journal_put_record(n->journal, &r, &pos);
	if (err == 0)
		err = origin_apply_leaf(n->own, &leaf, pos);
	if (err == 0)
		err = audience_apply_record(e->a, &e->h, header, r.index, pos, false);
	if (err == 0 && e->pub != NULL)
		err =
		    node_put_event(n, NRS_ACTION_ADD, 0, e->pub->bundle.n, &n->id, r.index);
	nrs_buf_fini(&sigs);
	if (err == 0 && e->pub != NULL)
		e->pub->index = r.index;
	return err;
}

static void
entry_end(struct publish *p, struct entry *e, int rc)
{
	struct pub *u = e->pub;

	free(e->list);
	if (u == NULL)
		return;
	if (rc != 0) {
		pub_end(u, rc);
		return;
	}
	/* sealed into the journal's own buffer by now */
	free(u->payload);
	free(u->packed);
	u->payload = u->packed = NULL;
	TAILQ_INSERT_TAIL(&p->put, u, link);
}

static void
keep_batch(struct publish *p, int err)
{
	struct node *n = p->node;

	p->signing = false;
	if (err != 0)
		node_log(n, NRS_LOG_ERROR, "keeper", "does not sign records: %s",
		    nrs_strerror(err));
	for (unsigned int i = 0; i < p->n; i++) {
		if (err == 0) {
			err = put_entry(p, i);
			/* frames without their effect would be durable: no way back */
			if (err != 0)
				node_fail(n, "own log: record cannot be kept: %s",
				    nrs_strerror(err));
		}
		entry_end(p, &p->v[i], err);
	}
	p->n = 0;
	node_put_done(n);
}

/*
 * A signature that does not verify would be refused by every peer, and the
 * chain behind it for ever: one flipped bit must not reach the log.
 */
static void
proof_run(struct nrs_job *job)
{
	struct publish *p = job->arg;
	uint8_t pae[NRS_PAE_MAX];
	size_t len;

	p->proof_rc = 0;
	for (unsigned int i = 0; i < p->n && p->proof_rc == 0; i++) {
		len = nrs_header_pae(p->headers + (size_t)i * NRS_HEADER_LEN, pae);
		p->proof_rc =
		    p->node->env->ops->verify(p->feed.alg, p->feed.pub, sizeof(p->feed.pub),
			pae, len, p->sigs + (size_t)i * NRS_ED25519_SIG, NRS_ED25519_SIG);
	}
}

static void
proof_done(struct nrs_job *job)
{
	struct publish *p = job->arg;

	keep_batch(p, p->proof_rc);
}

static void
on_signed(struct nrs_sign *sign)
{
	struct publish *p = sign->arg;
	struct node *n = p->node;
	int err = sign->rc;

	if (err == 0 && sign->out_len != (size_t)p->n * NRS_ED25519_SIG)
		err = NRS_EINTERNAL;
	if (err != 0) {
		keep_batch(p, err);
		return;
	}
	p->feed = origin_manifest_at(n->own, n->own->put.size)->feed;
	p->proof = (struct nrs_job){ .run = proof_run, .done = proof_done, .arg = p };
	if (p->n == 1) { /* nothing else to do meanwhile: a hand-over would only cost */
		proof_run(&p->proof);
		proof_done(&p->proof);
		return;
	}
	n->env->ops->job_submit(n->env, &p->proof);
}

static void
fill_batch(struct publish *p)
{
	size_t bytes = 0;
	struct pub *u;
	int err;

	/* an entry may need its list before it: room for two */
	while (p->n + 2 <= BATCH_RECORDS && bytes < NRS_BATCH_BYTES) {
		struct pubs *q = !TAILQ_EMPTY(&p->urgent) ? &p->urgent : &p->normal;

		u = TAILQ_FIRST(q);
		if (u == NULL || (bytes > 0 && bytes + stored_len(u) > NRS_BATCH_BYTES))
			break;
		TAILQ_REMOVE(q, u, link);
		bytes += stored_len(u);
		err = add_pub(p, u);
		if (err != 0)
			pub_end(u, err);
	}
}

static void
start_batch(struct publish *p)
{
	struct node *n = p->node;

	if (p->signing || n->failed || !node_room(n))
		return;
	fill_batch(p);
	if (p->n == 0)
		return;
	p->sign = (struct nrs_sign){
		.what = NRS_SIGN_HEADERS,
		.in = p->headers,
		.in_len = (size_t)p->n * NRS_HEADER_LEN,
		.out = p->sigs,
		.out_len = (size_t)p->n * NRS_ED25519_SIG,
		.done = on_signed,
		.arg = p,
	};
	p->signing = true;
	n->env->ops->sign(n->env, &p->sign);
}

void
publish_on_durable(struct node *n)
{
	struct publish *p = n->publish;
	bool any = false;
	struct pub *u;

	while ((u = TAILQ_FIRST(&p->put)) != NULL && u->index < n->own->durable) {
		TAILQ_REMOVE(&p->put, u, link);
		if (nrs_seen_add(
			p->seen, u->keys.p, u->keys.len / NRS_SEEN_KEY, u->index) != 0)
			p->seen_lost = true;
		u->reserved = false;
		u->s->index = u->index;
		p->recheck = true;
		any = true;
		pub_end(u, 0);
	}
	if (any && !p->seen_lost && nrs_seen_commit(p->seen, n->own->durable) != 0)
		p->recheck = true; /* handed over with the next ones */
}

/* What is not in the journal yet is new work: it is not made to wait for space. */
static void
refuse_queued(struct publish *p)
{
	struct pubs *q[] = { &p->waiting, &p->urgent, &p->normal };
	struct pub *u;

	for (unsigned int i = 0; i < sizeof(q) / sizeof(q[0]); i++) {
		while ((u = TAILQ_FIRST(q[i])) != NULL) {
			TAILQ_REMOVE(q[i], u, link);
			pub_end(u, NRS_EFULL);
		}
	}
}

void
publish_turn(struct node *n)
{
	struct publish *p = n->publish;

	recheck(p);
	if (nrs_journal_full(n->journal))
		refuse_queued(p);
	deliver(p);
	nrs_seen_trim(p->seen);
	start_batch(p);
	checkpoint_turn(n);
}

void
publish_on_timer(struct node *n)
{
	checkpoint_on_timer(n);
}

bool
publish_idle(const struct node *n)
{
	const struct publish *p = n->publish;

	return p->count == 0 && p->finished == NULL && !p->signing && checkpoint_idle(n);
}

/* --- life ---------------------------------------------------------------------------- */

static int
collect_key(void *arg, const struct nrs_stix_object *o)
{
	return scan_object(arg, o);
}

/* Reads one of our own records again for the keys of its objects. */
static int
rebuild_one(struct publish *p, uint64_t index, struct nrs_buf *buf, struct pub *u)
{
	struct node *n = p->node;
	struct scan sc = { n->dg, u };
	struct audience fake;
	struct node_record rec;
	uint8_t *payload = NULL;
	int err;

	err = node_read_record(n->own, index, buf, &rec);
	if (err == NRS_ENOTFOUND)
		return 0; /* a control entry */
	if (err != 0 || rec.h.kind != NRS_KIND_BUNDLE)
		return err;
	err = node_read_payload(n, &rec, &payload);
	if (err != 0)
		return err;
	memset(&fake, 0, sizeof(fake));
	fake.id = rec.h.audience;
	u->a = &fake;
	u->tlp = rec.h.tlp;
	nrs_buf_reset(&u->keys);
	err = nrs_bundle_scan(
	    payload, (size_t)rec.h.payload_len, &u->bundle, collect_key, &sc, NULL);
	if (err == 0)
		err = nrs_seen_add(p->seen, u->keys.p, u->keys.len / NRS_SEEN_KEY, index);
	free(payload);
	return err;
}

/* The cache of object keys may lag behind the journal, or be gone. */
static int
rebuild_seen(struct publish *p)
{
	uint64_t size = p->node->own->durable, from = nrs_seen_mark(p->seen, size);
	struct nrs_buf buf;
	struct pub u = { .p = p };
	int err = 0;

	nrs_buf_init(&buf, NRS_JFRAME_MAX + 64);
	nrs_buf_init(&u.keys, (size_t)NRS_OBJECTS_MAX * NRS_SEEN_KEY);
	for (uint64_t i = from; err == 0 && i < size; i++) {
		err = rebuild_one(p, i, &buf, &u);
		if (err == 0 &&
		    (i + 1 == size || nrs_seen_count(p->seen) > NRS_SEEN_MAX / 2))
			err = nrs_seen_commit(p->seen, i + 1);
	}
	nrs_buf_fini(&u.keys);
	nrs_buf_fini(&buf);
	return err;
}

int
publish_init(struct node *n)
{
	struct publish *p = calloc(1, sizeof(*p));
	int err;

	if (p == NULL)
		return NRS_ENOMEM;
	p->node = n;
	TAILQ_INIT(&p->jobs);
	TAILQ_INIT(&p->waiting);
	TAILQ_INIT(&p->urgent);
	TAILQ_INIT(&p->normal);
	TAILQ_INIT(&p->put);
	p->finished_end = &p->finished;
	n->publish = p;
	p->packer = nrs_packer_new();
	err = p->packer != NULL ? nrs_seen_new(n->env, &p->seen) : NRS_ENOMEM;
	if (err == 0)
		err = rebuild_seen(p);
	return err == 0 ? checkpoint_init(n) : err;
}

static void
free_list(struct pubs *list)
{
	struct pub *u;

	while ((u = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, u, link);
		free(u->s->known);
		pub_free(u);
	}
}

void
publish_fini(struct node *n)
{
	struct publish *p = n->publish;

	if (p == NULL)
		return;
	checkpoint_fini(n);
	for (unsigned int i = 0; i < p->n; i++) {
		free(p->v[i].list);
		if (p->v[i].pub != NULL)
			pub_free(p->v[i].pub);
	}
	free_list(&p->jobs);
	free_list(&p->waiting);
	free_list(&p->urgent);
	free_list(&p->normal);
	free_list(&p->put);
	for (struct node_submit *s = p->finished; s != NULL; s = s->priv)
		free(s->known);
	nrs_seen_free(p->seen);
	nrs_packer_free(p->packer);
	free(p);
	n->publish = NULL;
}
