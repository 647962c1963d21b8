/*
 * STATE frames and replay (FORMAT-journal.md, section 5): the state of a node
 * as bytes, and every kind of frame applied to it again.  Replay goes through
 * the same apply functions as live work, so that the two cannot come apart.
 */
#include <stdlib.h>
#include <string.h>

#include "node/disclosure.h"
#include "node/node_priv.h"

enum { ORIGIN_OWN = 0x01, ORIGIN_FROZEN = 0x02, ORIGIN_ON_CHECKPOINT = 0x04 };
enum { COMMUNITY_TRUSTED = 0x01, COMMUNITY_FROZEN = 0x02 };

/* --- encoding ------------------------------------------------------------ */

static void
put_blob(struct nrs_buf *b, const uint8_t *p, size_t len)
{
	nrs_buf_u32(b, (uint32_t)len);
	nrs_buf_put(b, p, len);
}

static void
encode_audience(struct nrs_buf *b, const struct audience *a)
{
	nrs_buf_hash(b, &a->id);
	nrs_buf_u8(b, a->type);
	nrs_buf_u64(b, a->next);
	nrs_buf_hash(b, &a->head);
	nrs_buf_u64(b, a->newest_index);
	nrs_buf_u32(b, a->epoch);
	nrs_buf_u64(b, a->base);
}

static void
encode_origin(struct nrs_buf *b, const struct origin *o)
{
	const struct audience *a;
	uint32_t n = 0;

	nrs_buf_lstr(b, o->name, strlen(o->name));
	nrs_buf_u8(b,
	    (o->own ? ORIGIN_OWN : 0) | (o->frozen ? ORIGIN_FROZEN : 0) |
		(o->on_checkpoint > 0 ? ORIGIN_ON_CHECKPOINT : 0));
	nrs_frontier_encode(b, &o->put);
	nrs_buf_u64(b, o->opened);
	nrs_buf_u64(b, o->refused);
	nrs_buf_u64(b, o->kept);
	if (o->on_checkpoint > 0)
		nrs_buf_u64(b, o->on_checkpoint);
	put_blob(b, o->cp_note, o->cp_len);
	nrs_buf_u32(b, o->nmanifests);
	for (unsigned int i = 0; i < o->nmanifests; i++) {
		nrs_buf_u64(b, o->manifests[i].index);
		put_blob(b, o->manifests[i].note, o->manifests[i].note_len);
	}
	/* a chain without a record is nothing yet */
	TAILQ_FOREACH(a, &o->audiences, link)
		n += a->next > 0;
	nrs_buf_u32(b, n);
	TAILQ_FOREACH(a, &o->audiences, link)
		if (a->next > 0)
			encode_audience(b, a);
}

static void
encode_community(struct nrs_buf *b, const struct community *c)
{
	nrs_buf_u8(
	    b, (c->trusted ? COMMUNITY_TRUSTED : 0) | (c->frozen ? COMMUNITY_FROZEN : 0));
	nrs_buf_u32(b, c->n);
	for (unsigned int i = 0; i < c->n; i++)
		put_blob(b, c->v[i].note, c->v[i].note_len);
	put_blob(b, c->rival, c->rival_len);
}

static int
state_encode(void *arg, struct nrs_buf *b)
{
	const struct node *n = arg;
	const struct community *c;
	const struct origin *o;
	uint32_t count = 0;

	TAILQ_FOREACH(o, &n->origins, link)
		count++;
	nrs_buf_u32(b, count);
	TAILQ_FOREACH(o, &n->origins, link)
		encode_origin(b, o);
	count = 0;
	TAILQ_FOREACH(c, &n->communities, link)
		count++;
	nrs_buf_u32(b, count);
	TAILQ_FOREACH(c, &n->communities, link)
		encode_community(b, c);
	nrs_buf_u64(b, n->next_event);
	nrs_buf_u64(b, n->event_ms);
	disclosure_state_encode(n, b);
	return b->err;
}

/* --- decoding ------------------------------------------------------------ */

static struct nrs_str
get_blob(struct nrs_rd *r, size_t max)
{
	uint32_t len = nrs_rd_u32(r);

	if (r->err == 0 && len > max)
		r->err = NRS_ELIMIT;
	return nrs_rd_bytes(r, len);
}

static int
decode_audience(struct nrs_rd *r, struct origin *o)
{
	struct audience *a;
	struct nrs_hash id;
	uint8_t type;
	int err;

	nrs_rd_hash(r, &id);
	type = nrs_rd_u8(r);
	if (r->err != 0 || type > AUD_DIRECT || audience_find(o, &id) != NULL)
		return NRS_ECORRUPT;
	err = audience_add(o, &id, type, &a);
	if (err != 0)
		return err;
	a->next = nrs_rd_u64(r);
	nrs_rd_hash(r, &a->head);
	a->newest_index = nrs_rd_u64(r);
	a->epoch = nrs_rd_u32(r);
	a->base = nrs_rd_u64(r);
	if (r->err != 0 || a->next == 0 || a->base >= a->next ||
	    a->newest_index >= o->put.size)
		return NRS_ECORRUPT;
	return 0;
}

static int
decode_manifests(struct nrs_rd *r, struct origin *o)
{
	uint32_t n = nrs_rd_u32(r);
	int err = 0;

	if (n == 0)
		return NRS_ECORRUPT;
	for (uint32_t i = 0; err == 0 && r->err == 0 && i < n; i++) {
		uint64_t index = nrs_rd_u64(r);
		struct nrs_str note = get_blob(r, NRS_NOTE_MAX);

		if (r->err == 0)
			err = origin_push_manifest(o, note.p, note.len, index, NULL);
	}
	return r->err != 0 ? r->err : err;
}

static int
decode_origin(struct nrs_rd *r, struct node *n)
{
	struct nrs_str name = nrs_rd_lstr(r, NRS_ORIGIN_MAX), note;
	char text[NRS_ORIGIN_MAX + 1];
	struct origin *o;
	uint64_t kept;
	uint32_t count;
	uint8_t flags;
	int err;

	if (r->err != 0)
		return r->err;
	memcpy(text, name.p, name.len);
	text[name.len] = '\0';
	err = origin_new(n, text, &o);
	if (err != 0)
		return err;
	flags = nrs_rd_u8(r);
	if ((flags & ~(ORIGIN_OWN | ORIGIN_FROZEN | ORIGIN_ON_CHECKPOINT)) != 0 ||
	    ((flags & ORIGIN_OWN) != 0) != o->own)
		return NRS_ECORRUPT;
	o->frozen = (flags & ORIGIN_FROZEN) != 0;
	nrs_frontier_decode(r, &o->put);
	o->opened = nrs_rd_u64(r);
	o->refused = nrs_rd_u64(r);
	kept = nrs_rd_u64(r);
	if ((flags & ORIGIN_ON_CHECKPOINT) != 0)
		o->on_checkpoint = nrs_rd_u64(r);
	note = get_blob(r, NRS_NOTE_MAX);
	err = r->err;
	if (err == 0)
		err = decode_manifests(r, o);
	if (err == 0 && note.len > 0)
		err = origin_apply_checkpoint(o, note.p, note.len);
	o->kept = kept; /* with what was applied just now */
	count = nrs_rd_u32(r);
	for (uint32_t i = 0; err == 0 && r->err == 0 && i < count; i++)
		err = decode_audience(r, o);
	return r->err != 0 ? r->err : err;
}

static int
decode_community(struct nrs_rd *r, struct node *n)
{
	uint8_t flags = nrs_rd_u8(r);
	uint32_t count = nrs_rd_u32(r);
	struct community *c;
	struct nrs_str note;
	int err = 0;

	if (r->err != 0 || count == 0 ||
	    (flags & ~(COMMUNITY_TRUSTED | COMMUNITY_FROZEN)) != 0)
		return NRS_ECORRUPT;
	for (uint32_t i = 0; err == 0 && r->err == 0 && i < count; i++) {
		note = get_blob(r, NRS_NOTE_MAX);
		if (r->err == 0)
			err = community_apply(n, note.p, note.len, false);
	}
	note = get_blob(r, NRS_NOTE_MAX);
	if (err != 0 || r->err != 0)
		return err != 0 ? err : r->err;
	c = TAILQ_LAST(&n->communities, communities);
	if (c == NULL || c->n != count)
		return NRS_ECORRUPT;
	c->trusted = (flags & COMMUNITY_TRUSTED) != 0;
	c->frozen = (flags & COMMUNITY_FROZEN) != 0;
	return note.len > 0 ? community_set_rival(c, note.p, note.len) : 0;
}

static int
open_caches(struct node *n)
{
	struct audience *a;
	struct origin *o;
	int err;

	err = node_events_open(n);
	TAILQ_FOREACH(o, &n->origins, link) {
		if (err == 0)
			err = origin_open_caches(o);
		TAILQ_FOREACH(a, &o->audiences, link)
			if (err == 0)
				err = audience_open_cache(a);
	}
	return err;
}

/* The first STATE of all has nothing after its two counts. */
static int
decode_events(struct nrs_rd *r, struct node *n)
{
	int err;

	if (nrs_rd_left(r) == 0 && TAILQ_EMPTY(&n->origins)) {
		n->next_event = 1;
		return 0;
	}
	n->next_event = nrs_rd_u64(r);
	n->event_ms = nrs_rd_u64(r);
	if (r->err == 0 && n->next_event == 0)
		r->err = NRS_ERANGE;
	err = r->err != 0 ? r->err : disclosure_state_decode(n, r);
	return err != 0 ? err : nrs_rd_end(r);
}

static int
state_decode(void *arg, struct nrs_rd *r)
{
	struct node *n = arg;
	uint32_t count;
	int err = 0;

	if (n->rebuild)
		return 0; /* everything comes from the frames themselves */
	if (nrs_rd_left(r) > 0) {
		count = nrs_rd_u32(r);
		for (uint32_t i = 0; err == 0 && r->err == 0 && i < count; i++)
			err = decode_origin(r, n);
		count = nrs_rd_u32(r);
		for (uint32_t i = 0; err == 0 && r->err == 0 && i < count; i++)
			err = decode_community(r, n);
	}
	if (err == 0 && r->err == 0)
		err = decode_events(r, n);
	if (err != 0 || r->err != 0)
		return err == NRS_ENOMEM || err == NRS_EIO ? err : NRS_ECORRUPT;
	err = open_caches(n);
	if (err == NRS_ECORRUPT) {
		n->rebuild = true; /* node_open() begins again without them */
		err = 0;
	}
	return err;
}

/* --- replay --------------------------------------------------------------- */

/* Which chain a record belongs to: known, of a community, or else direct. */
static int
replay_audience(
    struct node *n, struct origin *o, const struct nrs_header *h, struct audience **ret)
{
	struct audience *a = audience_find(o, &h->audience);
	bool community;

	if (a != NULL) {
		*ret = a;
		return 0;
	}
	community = community_find(n, &h->audience) != NULL;
	return audience_add(o, &h->audience, community ? AUD_COMMUNITY : AUD_DIRECT, ret);
}

/* Common to RECORD and REFUSED: the leaf, then the place in the chain. */
static int
replay_record(struct node *n, uint64_t index, const uint8_t *header, struct nrs_str sigs,
    const struct nrs_jframe *f, bool refused)
{
	struct nrs_hash c, leaf, held;
	struct nrs_header h;
	struct audience *a;
	struct origin *o;
	int err;

	err = nrs_header_decode(&h, header, NRS_HEADER_LEN, NULL);
	if (err != 0)
		return err;
	o = origin_find(n, &h.origin);
	if (o == NULL)
		return NRS_EUNKNOWN;
	err = nrs_record_commit(n->dg, header, sigs.p, sigs.len, &c);
	if (err == 0)
		err = nrs_leaf_sealed(n->dg, &c, &leaf);
	if (err != 0)
		return err;
	if (o->own && index == o->put.size) {
		err = origin_apply_leaf(o, &leaf, f->pos);
	} else {
		err = origin_leaf(o, index, &held);
		if (err == 0 && !nrs_hash_eq(&held, &leaf))
			err = NRS_ELEAF;
	}
	if (err == 0)
		err = replay_audience(n, o, &h, &a);
	if (err == 0)
		err = audience_apply_record(a, &h, header, index, f->pos, refused);
	if (err == 0)
		origin_kept_record(o, f->body.len);
	return err;
}

static int
on_record(struct node *n, const struct nrs_jframe *f)
{
	struct nrs_jrecord_view v;
	struct nrs_hash id;
	int err;

	err = nrs_jrecord_decode(&v, f);
	if (err == 0)
		err = replay_record(n, v.index, v.header, v.sigs, f, false);
	if (err != 0 || (v.flags & NRS_JRECORD_CHECKPOINT) == 0)
		return err;
	/* it was found a moment ago */
	memcpy(id.b, v.header + NRS_HEADER_ORIGIN, sizeof(id.b));
	origin_find(n, &id)->on_checkpoint++;
	return 0;
}

static int
on_refused(struct node *n, const struct nrs_jframe *f)
{
	struct nrs_str header, sigs;
	struct nrs_rd r;
	uint64_t index;
	uint32_t len;

	nrs_rd_init(&r, f->body.p, f->body.len);
	index = nrs_rd_u64(&r);
	nrs_rd_skip(&r, 4);
	len = nrs_rd_u32(&r);
	header = nrs_rd_bytes(&r, NRS_HEADER_LEN);
	sigs = nrs_rd_bytes(&r, len);
	if (r.err != 0)
		return r.err;
	return replay_record(n, index, header.p, sigs, f, true);
}

static int
on_leaves(struct node *n, const struct nrs_jframe *f)
{
	struct nrs_hash id, c, leaf;
	struct origin *o;
	struct nrs_rd r;
	uint64_t first;
	uint32_t count;
	int err = 0;

	nrs_rd_init(&r, f->body.p, f->body.len);
	nrs_rd_hash(&r, &id);
	first = nrs_rd_u64(&r);
	count = nrs_rd_u32(&r);
	nrs_rd_zero(&r, 4);
	o = origin_find(n, &id);
	if (r.err != 0 || o == NULL || first != o->put.size || count > NRS_LEAVES_PER_FRAME)
		return NRS_ECORRUPT;
	for (uint32_t i = 0; err == 0 && i < count; i++) {
		nrs_rd_hash(&r, &c);
		err = r.err != 0 ? r.err : nrs_leaf_sealed(n->dg, &c, &leaf);
		if (err == 0)
			err = origin_apply_leaf(o, &leaf, f->pos);
	}
	return err != 0 ? err : nrs_rd_end(&r);
}

static int
on_control(struct node *n, const struct nrs_jframe *f)
{
	struct nrs_hash id;
	struct origin *o;
	struct nrs_str doc;
	struct nrs_rd r;
	uint64_t index;
	int err;

	nrs_rd_init(&r, f->body.p, f->body.len);
	nrs_rd_hash(&r, &id);
	index = nrs_rd_u64(&r);
	doc = nrs_rd_bytes(&r, nrs_rd_left(&r));
	if (r.err != 0)
		return r.err;
	o = origin_find(n, &id);
	if (o == NULL) {
		/* entry 0 of our own log is where we come from */
		if (index != 0 || !nrs_hash_eq(&id, &n->id))
			return NRS_EUNKNOWN;
		err = origin_add(n, doc.p, doc.len, &o, NULL);
		if (err != 0)
			return err;
	}
	return origin_apply_control(o, index, doc.p, doc.len, f->pos);
}

static int
on_event(struct node *n, const struct nrs_jframe *f)
{
	struct nrs_jevent e;
	int err;

	err = nrs_jevent_decode(&e, f->body);
	if (err != 0)
		return err;
	if (e.number != n->next_event)
		return NRS_EORDER;
	if (!NRS_PLANTED(CACHE_NOT_REPLAYED))
		err = node_cache_set(n, n->events, e.number - 1, &f->pos);
	n->next_event++;
	if (e.time.ms > n->event_ms)
		n->event_ms = e.time.ms;
	return err;
}

static int
on_checkpoint(struct node *n, const struct nrs_jframe *f)
{
	struct nrs_hash id;
	struct origin *o;
	struct nrs_str note;
	struct nrs_rd r;

	nrs_rd_init(&r, f->body.p, f->body.len);
	nrs_rd_hash(&r, &id);
	note = nrs_rd_bytes(&r, nrs_rd_left(&r));
	o = origin_find(n, &id);
	if (r.err != 0 || o == NULL)
		return NRS_EUNKNOWN;
	if ((f->flags & NRS_JCHECKPOINT_RIVAL) != 0) {
		o->frozen = true;
		return 0;
	}
	return origin_apply_checkpoint(o, note.p, note.len);
}

static int
on_statement(struct node *n, const struct nrs_jframe *f)
{
	struct nrs_str note;
	struct nrs_rd r;
	uint8_t trust;

	nrs_rd_init(&r, f->body.p, f->body.len);
	trust = nrs_rd_u8(&r);
	nrs_rd_zero(&r, 7);
	note = nrs_rd_bytes(&r, nrs_rd_left(&r));
	if (r.err != 0 || trust > 1)
		return NRS_ERANGE;
	return community_apply(n, note.p, note.len, trust == 1);
}

static int
on_peer(struct node *n, const struct nrs_jframe *f)
{
	struct origin *o;
	struct nrs_str note;
	struct nrs_rd r;
	uint8_t op;

	nrs_rd_init(&r, f->body.p, f->body.len);
	op = nrs_rd_u8(&r);
	nrs_rd_zero(&r, 7);
	note = nrs_rd_bytes(&r, nrs_rd_left(&r));
	if (r.err != 0 || op != 1)
		return NRS_ERANGE;
	return origin_add(n, note.p, note.len, &o, NULL);
}

int
node_replay_frame(struct node *n, const struct nrs_jframe *f)
{
	switch (f->type) {
	case NRS_J_RECORD:
		return on_record(n, f);
	case NRS_J_LEAVES:
		return on_leaves(n, f);
	case NRS_J_CONTROL:
		return on_control(n, f);
	case NRS_J_EVENT:
		return on_event(n, f);
	case NRS_J_CHECKPOINT:
		return on_checkpoint(n, f);
	case NRS_J_STATEMENT:
		return on_statement(n, f);
	case NRS_J_REFUSED:
		return on_refused(n, f);
	case NRS_J_PEER:
		return on_peer(n, f);
	case NRS_J_DISCLOSURE:
		return disclosure_replay(n, f);
	case NRS_J_STATE:
	case NRS_J_COMMIT:
		return 0;
	default:
		return NRS_EVERSION; /* reserved: a newer version wrote here */
	}
}

static int
replay(void *arg, const struct nrs_jframe *f)
{
	struct node *n = arg;
	int err;

	if (n->rebuild)
		return 0;
	err = node_replay_frame(n, f);
	if (err == 0 || err == NRS_ENOMEM || err == NRS_EIO || err == NRS_EVERSION)
		return err;
	node_log(n, NRS_LOG_ERROR, "journal", "frame of type %u at %u:%u does not fit: %s",
	    f->type, (unsigned int)(f->pos >> 32), (unsigned int)f->pos, nrs_strerror(err));
	return NRS_ECORRUPT;
}

/* --- the rest of what the journal asks ------------------------------------ */

static int
flush_one(struct nrs_array *a, bool sync)
{
	return a != NULL ? nrs_array_flush(a, sync) : 0;
}

int
node_flush_caches(struct node *n, bool sync)
{
	struct audience *a;
	struct origin *o;
	int err;

	err = origin_moves_apply(n);
	if (err == 0)
		err = flush_one(n->events, sync);
	TAILQ_FOREACH(o, &n->origins, link) {
		if (err == 0)
			err = flush_one(o->pos, sync);
		for (unsigned int k = 0; err == 0 && k < NRS_TILE_LEVELS; k++)
			err = flush_one(o->level[k], sync);
		TAILQ_FOREACH(a, &o->audiences, link)
			if (err == 0)
				err = flush_one(a->index, sync);
	}
	n->cache_sets = 0;
	return err;
}

static int
flush_caches(void *arg)
{
	return node_flush_caches(arg, true);
}

static void
on_full(void *arg, bool full)
{
	struct node *n = arg;

	if (full == n->full)
		return;
	n->full = full;
	if (full)
		node_log(n, NRS_LOG_ERROR, "journal",
		    "no space left: new work is refused, reading and serving go on");
	else
		node_log(n, NRS_LOG_NOTICE, "journal", "there is space again");
	node_wake_at(n, n->env->ops->mono(n->env));
}

static void
on_failed(void *arg, int rc, const char *why)
{
	node_fail(arg, "journal: %s: %s", nrs_strerror(rc), why != NULL ? why : "");
}

/* While caches are to be rebuilt, replay has not counted; the signed tail is still looked at. */
static uint64_t
own_size(void *arg)
{
	const struct node *n = arg;

	if (n->rebuild)
		return UINT64_MAX;
	return n->own != NULL ? n->own->put.size : 0;
}

const struct nrs_journal_ops node_journal_ops = {
	.state_encode = state_encode,
	.state_decode = state_decode,
	.replay = replay,
	.flush_caches = flush_caches,
	.full = on_full,
	.failed = on_failed,
	.own_size = own_size,
};

int
node_events_open(struct node *n)
{
	int err;

	err = nrs_array_open(
	    n->env, "events", sizeof(uint64_t), n->next_event - 1, &n->events);
	if (err == 0 && n->next_event > 1)
		err = node_cache_check(n->events, sizeof(uint64_t), n->next_event - 2);
	return err;
}

int
node_put_event(struct node *n, uint8_t action, uint8_t reason, uint32_t objects,
    const struct nrs_hash *origin, uint64_t index)
{
	uint64_t now = n->env->ops->wall(n->env).ms, pos;
	uint8_t body[NRS_JEVENT_LEN];
	struct nrs_str part = { body, sizeof(body) };
	struct nrs_jevent e = {
		.number = n->next_event,
		.action = action,
		.reason = reason,
		.objects = objects,
		.origin = *origin,
		.index = index,
		.time.ms = now > n->event_ms ? now : n->event_ms,
	};
	int err;

	nrs_jevent_encode(&e, body);
	err = nrs_journal_put(n->journal, NRS_J_EVENT, 0, &part, 1, &pos);
	if (err == 0)
		err = node_cache_set(n, n->events, e.number - 1, &pos);
	if (err != 0)
		return err;
	n->next_event++;
	n->event_ms = e.time.ms;
	if (NRS_PLANTED(EVENT_BELOW_CURSOR)) {
		n->shown_event = e.number;
		reader_on_durable(n);
	}
	return 0;
}

int
node_read_record(
    struct origin *o, uint64_t index, struct nrs_buf *buf, struct node_record *ret)
{
	uint64_t pos;
	int err;

	err = origin_pos(o, index, &pos);
	if (err == 0)
		err = nrs_journal_read(o->node->journal, pos, buf, &ret->frame);
	if (err != 0)
		return err;
	if (ret->frame.type != NRS_J_RECORD)
		return NRS_ENOTFOUND;
	err = nrs_jrecord_decode(&ret->v, &ret->frame);
	if (err == 0)
		err = nrs_header_decode(&ret->h, ret->v.header, NRS_HEADER_LEN, NULL);
	if (err == 0 && (ret->v.index != index || !nrs_hash_eq(&ret->h.origin, &o->id)))
		err = NRS_ECORRUPT;
	return err;
}

int
node_read_payload(struct node *n, const struct node_record *r, uint8_t **ret)
{
	uint8_t salt[NRS_SALT_LEN];
	struct nrs_str data;
	struct nrs_buf out;
	int err;

	nrs_buf_init(&out, NRS_JFRAME_MAX + 64);
	err = nrs_journal_unseal(n->journal, &r->v, &out, salt, &data);
	if (err == 0)
		err = nrs_payload_expand(data.p, data.len,
		    (r->v.flags & NRS_JRECORD_RAW) != 0, (size_t)r->h.payload_len, ret);
	nrs_buf_fini(&out);
	return err;
}
