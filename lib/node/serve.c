/*
 * Serving: standing fetches of peers, answered from what is durable, under the
 * credit they gave and what the network takes.  Nothing is queued for a slow
 * reader: a fetch is a cursor, and each turn does a bounded piece of work.
 */
#include "node/session_priv.h"

#include <noroshi/plant.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERVINGS_MAX 8192u
#define BACKLOG_MAX  (1u << 20)	  /* bytes queued on one connection */
#define WORK_TURN    (1u << 20)	  /* bytes read or sent for one session in a turn */
#define LEAVES_BYTES (256u << 10) /* entries of one LEAVES frame, about */
#define CACHE_SIZE   8192u

/* One fetch of the other side. */
struct serving {
	TAILQ_ENTRY(serving) link;
	uint16_t stream;
	struct origin *origin;
	struct audience *audience; /* NULL: leaves */
	uint64_t next;
	int64_t credit;
	uint8_t *part; /* a long record of which frames are still to be sent; owned */
	size_t part_len, part_off;
};

struct serve {
	struct nrs_buf frame; /* read from the journal */
	struct nrs_buf body;
	struct nrs_buf plain;
	uint64_t frame_pos; /* of what frame holds; 0: nothing */
	struct nrs_jframe f;
	/* Commitments of recent leaves, so that many peers cost one read. */
	struct {
		const struct origin *origin;
		uint64_t index;
		struct nrs_hash c;
	} * cache;
};

/* --- reading -------------------------------------------------------------------- */

static int
read_frame(struct node *n, uint64_t pos, size_t *work)
{
	struct serve *v = n->serve;
	int rc;

	if (v->frame_pos == pos && pos != 0)
		return 0;
	v->frame_pos = 0;
	rc = nrs_journal_read(n->journal, pos, &v->frame, &v->f);
	if (rc != 0)
		return rc;
	v->frame_pos = pos;
	*work += v->f.body.len;
	return 0;
}

/* Header and signature block of a RECORD or REFUSED frame. */
static int
frame_signed(
    const struct nrs_jframe *f, const uint8_t **ret_header, struct nrs_str *ret_sigs)
{
	struct nrs_jrecord_view v;
	struct nrs_rd r;
	uint32_t len;
	int rc;

	if (f->type == NRS_J_RECORD) {
		rc = nrs_jrecord_decode(&v, f);
		if (rc != 0)
			return rc;
		*ret_header = v.header;
		*ret_sigs = v.sigs;
		return 0;
	}
	if (f->type != NRS_J_REFUSED)
		return NRS_ECORRUPT;
	nrs_rd_init(&r, f->body.p, f->body.len);
	nrs_rd_skip(&r, 8 + 1 + 1 + 2);
	len = nrs_rd_u32(&r);
	*ret_header = nrs_rd_bytes(&r, NRS_HEADER_LEN).p;
	*ret_sigs = nrs_rd_bytes(&r, len);
	return r.err != 0 ? NRS_ECORRUPT : 0;
}

static int
leaves_c(const struct nrs_jframe *f, uint64_t index, struct nrs_hash *ret)
{
	struct nrs_rd r;
	uint64_t first;
	uint32_t count;

	nrs_rd_init(&r, f->body.p, f->body.len);
	nrs_rd_skip(&r, NRS_HASH_LEN);
	first = nrs_rd_u64(&r);
	count = nrs_rd_u32(&r);
	nrs_rd_skip(&r, 4);
	if (r.err != 0 || index < first || index - first >= count)
		return NRS_ECORRUPT;
	nrs_rd_skip(&r, (size_t)(index - first) * NRS_HASH_LEN);
	nrs_rd_hash(&r, ret);
	return r.err != 0 ? NRS_ECORRUPT : 0;
}

static int
entry_from_frame(struct node *n, uint64_t index, struct wire_entry *ret)
{
	const struct nrs_jframe *f = &n->serve->f;
	const uint8_t *header;
	struct nrs_str sigs;
	int rc;

	switch (f->type) {
	case NRS_J_CONTROL:
		if (f->body.len < NRS_HASH_LEN + 8)
			return NRS_ECORRUPT;
		ret->control = true;
		ret->doc.p = f->body.p + NRS_HASH_LEN + 8;
		ret->doc.len = f->body.len - NRS_HASH_LEN - 8;
		return 0;
	case NRS_J_LEAVES:
		return leaves_c(f, index, &ret->c);
	case NRS_J_RECORD:
	case NRS_J_REFUSED:
		rc = frame_signed(f, &header, &sigs);
		if (rc == 0)
			rc = nrs_record_commit(n->dg, header, sigs.p, sigs.len, &ret->c);
		return rc;
	default:
		return NRS_ECORRUPT;
	}
}

/* The log entry at index; a document lives until the next read. */
static int
read_entry(
    struct node *n, struct origin *o, uint64_t index, struct wire_entry *ret, size_t *work)
{
	struct serve *v = n->serve;
	unsigned int slot = (unsigned int)((index ^ o->id.b[0] * 31u) % CACHE_SIZE);
	uint64_t pos;
	int rc;

	memset(ret, 0, sizeof(*ret));
	if (v->cache[slot].origin == o && v->cache[slot].index == index) {
		ret->c = v->cache[slot].c;
		return 0;
	}
	rc = origin_pos(o, index, &pos);
	if (rc == 0)
		rc = read_frame(n, pos, work);
	if (rc == 0)
		rc = entry_from_frame(n, index, ret);
	if (rc == 0 && !ret->control) {
		v->cache[slot].origin = o;
		v->cache[slot].index = index;
		v->cache[slot].c = ret->c;
	}
	return rc;
}

/* --- leaves --------------------------------------------------------------------------- */

/* The entries from first on into v->body; *ret_count of them. */
static int
collect_entries(
    struct node *n, struct origin *o, uint64_t first, uint32_t *ret_count, size_t *work)
{
	struct nrs_buf *b = &n->serve->body;
	struct wire_entry e;
	int rc;

	nrs_buf_reset(b);
	*ret_count = 0;
	while (first + *ret_count < o->shown.size && *ret_count < NRS_LEAVES_PER_FRAME &&
	    b->len < LEAVES_BYTES) {
		rc = read_entry(n, o, first + *ret_count, &e, work);
		if (rc != 0)
			return rc;
		wire_entry_encode(b, &e);
		(*ret_count)++;
		if (*work >= WORK_TURN)
			break;
	}
	return b->err;
}

static int
serve_leaves(struct session *s, struct serving *v, size_t *work)
{
	struct node *n = s->node;
	struct origin *o = v->origin;
	struct share *sh = sync_share(s, o, true);
	struct wire_leaves m = { .origin = o->id, .first = v->next };
	size_t at;
	int rc;

	if (sh == NULL)
		return NRS_ENOMEM;
	rc = collect_entries(n, o, v->next, &m.count, work);
	if (rc == 0)
		rc = nrs_tree_consistency(
		    n->dg, &o->store, v->next + m.count, o->shown.size, &m.proof);
	if (rc != 0)
		return rc;
	m.checkpoint.p = o->shown_note;
	m.checkpoint.len = o->shown_len;
	at = session_begin(s, WIRE_LEAVES, 0, v->stream);
	wire_leaves_encode(&s->out, &m);
	nrs_buf_put(&s->out, n->serve->body.p, n->serve->body.len);
	session_end(s, at);
	v->credit -= (int64_t)(s->out.len - at - WIRE_HEADER_LEN);
	*work += s->out.len - at;
	v->next += m.count;
	if (v->next > sh->sent)
		sh->sent = v->next;
	return 0;
}

static bool
leaves_ready(const struct serving *v)
{
	return v->origin->shown_note != NULL && v->next < v->origin->shown.size;
}

/* --- records ----------------------------------------------------------------------------- */

/* Below this the receiver has the leaves, or they are before the record on the wire. */
static uint64_t
index_limit(struct session *s, struct origin *o)
{
	struct share *sh = sync_share(s, o, false);
	uint64_t limit = 0;

	if (sh != NULL)
		limit = sh->claimed > sh->sent ? sh->claimed : sh->sent;
	/* It may have them from somebody else, and then says so in HAVE only. */
	if (sh != NULL && sh->have > limit)
		limit = sh->have;
	/* What is served is shown: covered by a durable checkpoint. */
	return limit < o->shown.size ? limit : o->shown.size;
}

/* Frames of a long record while there is credit and the network takes them. */
static void
serve_part(struct session *s, struct serving *v, size_t *work)
{
	size_t at, n;

	while (v->part_off < v->part_len && v->credit > 0 && *work < WORK_TURN &&
	    session_backlog(s) < BACKLOG_MAX) {
		n = v->part_len - v->part_off;
		if (n > NRS_FRAME_MAX)
			n = NRS_FRAME_MAX;
		at = session_begin(s, v->part_off == 0 ? WIRE_RECORD : WIRE_DATA,
		    v->part_off + n < v->part_len ? WIRE_MORE : 0, v->stream);
		nrs_buf_put(&s->out, v->part + v->part_off, n);
		session_end(s, at);
		v->part_off += n;
		v->credit -= (int64_t)n;
		*work += n;
	}
	if (v->part_off < v->part_len)
		return;
	free(v->part);
	v->part = NULL;
	v->next++;
	s->long_one = NULL;
}

/*
 * Above the ceiling agreed with the peer: header and signatures, so that its
 * chain goes on.  Only ours: who hides a record of others is not believed.
 */
static int
send_header(struct session *s, struct serving *v, uint64_t index, const uint8_t *header,
    struct nrs_str sigs, size_t *work)
{
	static const uint8_t zero[NRS_SALT_LEN];
	struct wire_record m = { .index = index,
		.flags = WIRE_RECORD_HEADER,
		.header = header,
		.sigs = sigs,
		.salt = zero };
	size_t at;

	if (!v->origin->own)
		return NRS_ENOTFOUND;
	at = session_begin(s, WIRE_RECORD, 0, v->stream);
	wire_record_encode(&s->out, &m);
	session_end(s, at);
	v->credit -= (int64_t)wire_record_len(sigs.len, 0);
	*work += wire_record_len(sigs.len, 0);
	v->next++;
	return 0;
}

static int
send_record(
    struct session *s, struct serving *v, const struct nrs_jrecord_view *j, size_t *work)
{
	struct serve *sv = s->node->serve;
	struct wire_record m = { .index = j->index, .header = j->header, .sigs = j->sigs };
	uint8_t salt[NRS_SALT_LEN];
	size_t at;
	int rc;

	nrs_buf_reset(&sv->plain);
	rc = nrs_journal_unseal(s->node->journal, j, &sv->plain, salt, &m.data);
	if (rc != 0)
		return rc;
	m.salt = salt;
	m.flags = j->flags & NRS_JRECORD_RAW ? WIRE_RECORD_RAW : 0;
	nrs_buf_reset(&sv->body);
	wire_record_encode(&sv->body, &m);
	if (sv->body.err != 0)
		return sv->body.err;
	s->peer->info.tx_records++;
	if (sv->body.len > NRS_FRAME_MAX) {
		v->part = nrs_buf_take(&sv->body, &v->part_len);
		v->part_off = 0;
		s->long_one = v;
		serve_part(s, v, work);
		return 0;
	}
	at = session_begin(s, WIRE_RECORD, 0, v->stream);
	nrs_buf_put(&s->out, sv->body.p, sv->body.len);
	session_end(s, at);
	v->credit -= (int64_t)sv->body.len;
	*work += sv->body.len;
	v->next++;
	return 0;
}

/* Is the peer entitled to this one?  The signed header says. */
static int
may_have(struct session *s, const struct serving *v, const uint8_t *header)
{
	struct nrs_header h;
	int rc;

	rc = nrs_header_decode(&h, header, NRS_HEADER_LEN, NULL);
	if (rc != 0)
		return rc;
	if (NRS_PLANTED(RELAY_MEMBERSHIP) && !v->origin->own)
		return 0;
	return audience_entitled(s->node, v->audience, &h, s->peer);
}

/* Member at that epoch; or now, where newcomers get the history. */
static bool
entitled_at(const struct community *c, uint32_t epoch, const char *name)
{
	return community_member_at(c, epoch, name) ||
	    (c->v[c->n - 1].s.history && community_member_at(c, c->n - 1, name));
}

/* Epoch of a record held here. */
static int
record_epoch(
    struct node *n, const struct serving *v, uint64_t index, size_t *work, uint32_t *ret)
{
	struct nrs_header h;
	const uint8_t *header;
	struct nrs_str sigs;
	uint64_t pos;
	int rc;

	rc = origin_pos(v->origin, index - 1, &pos);
	if (rc == 0)
		rc = read_frame(n, pos, work);
	if (rc == 0)
		rc = frame_signed(&n->serve->f, &header, &sigs);
	if (rc == 0)
		rc = nrs_header_decode(&h, header, NRS_HEADER_LEN, NULL);
	if (rc == 0)
		*ret = h.epoch;
	return rc;
}

/*
 * Records that are not held here are of epochs that we were no member of.
 * Passing them over looks to the peer like epochs that it was no member of
 * either, so that must be true; else another source has them.  A chain's epochs
 * never go back: those of the records around the gap are its bounds.
 */
static int
pass_gap(struct session *s, struct serving *v, size_t *work)
{
	const struct community *c = v->audience->community;
	struct node *n = s->node;
	uint64_t index = 0, seq = v->next;
	uint32_t lo = 0, hi = 0;
	bool any = false;
	int rc = 0;

	if (v->audience->type != AUD_COMMUNITY || c == NULL || c->n == 0)
		return NRS_ENOTFOUND;
	if (seq > 0) {
		rc = nrs_array_get(v->audience->index, seq - 1, 1, &index);
		if (rc == 0 && index != 0)
			rc = record_epoch(n, v, index, work, &lo);
	}
	for (index = 0; rc == 0 && index == 0; seq++) {
		if (seq >= v->audience->durable)
			return NRS_ENOTFOUND;
		rc = nrs_array_get(v->audience->index, seq, 1, &index);
		*work += 1;
	}
	if (rc == 0)
		rc = record_epoch(n, v, index, work, &hi);
	if (rc != 0)
		return rc;
	for (uint32_t e = lo; e <= hi && e < c->n; e++) {
		if (entitled_at(c, e, n->name))
			continue;
		if (entitled_at(c, e, s->peer->name))
			return NRS_ENOTFOUND;
		any = true;
	}
	if (!any)
		return NRS_ENOTFOUND;
	v->next = seq - 1;
	return 0;
}

/* The next record, or one that is passed over. */
static int
serve_record(struct session *s, struct serving *v, size_t *work)
{
	struct node *n = s->node;
	struct nrs_jrecord_view j;
	const uint8_t *header;
	struct nrs_str sigs;
	uint64_t index, pos;
	int rc;

	if (v->part != NULL) {
		serve_part(s, v, work);
		return 0;
	}
	*work += 64; /* what is passed over costs a little too */
	rc = nrs_array_get(v->audience->index, v->next, 1, &index);
	if (rc != 0)
		return rc;
	if (index == 0)
		return pass_gap(s, v, work);
	rc = origin_pos(v->origin, index - 1, &pos);
	if (rc == 0)
		rc = read_frame(n, pos, work);
	if (rc != 0)
		return rc;
	rc = frame_signed(&n->serve->f, &header, &sigs);
	if (rc != 0)
		return rc;
	rc = may_have(s, v, header);
	if (rc == NRS_ECEILING)
		return send_header(s, v, index - 1, header, sigs, work);
	if (rc != 0) {
		v->next++;
		return 0;
	}
	/* Refused here: another source has it. */
	if (n->serve->f.type != NRS_J_RECORD)
		return NRS_ENOTFOUND;
	rc = nrs_jrecord_decode(&j, &n->serve->f);
	if (rc != 0)
		return rc;
	return send_record(s, v, &j, work);
}

static bool
records_ready(struct session *s, const struct serving *v)
{
	uint64_t index;

	if (v->part != NULL)
		return true;
	if (s->long_one != NULL || v->next >= v->audience->durable)
		return false;
	if (nrs_array_get(v->audience->index, v->next, 1, &index) != 0)
		return true; /* serving it finds the error */
	return index == 0 || index - 1 < index_limit(s, v->origin);
}

/* --- turns --------------------------------------------------------------------------------- */

static void
serving_free(struct session *s, struct serving *v)
{
	if (s->long_one == v)
		s->long_one = NULL;
	TAILQ_REMOVE(&s->servings, v, link);
	s->nservings--;
	free(v->part);
	free(v);
}

static void
serving_cancel(struct session *s, struct serving *v, int err)
{
	session_peer_log(s->peer, NRS_LOG_WARNING, "serving %s stopped: %s",
	    v->origin->name, nrs_strerror(err));
	session_end(s, session_begin(s, WIRE_CANCEL, 0, v->stream));
	serving_free(s, v);
}

static bool
ready(struct session *s, const struct serving *v)
{
	if (v->credit <= 0)
		return false;
	return v->audience == NULL ? leaves_ready(v) : records_ready(s, v);
}

/* The next turn goes on where this one ends: else the first fetches take all of each. */
static void
begin_with(struct session *s, struct serving *v)
{
	struct serving *first;

	while ((first = TAILQ_FIRST(&s->servings)) != v) {
		TAILQ_REMOVE(&s->servings, first, link);
		TAILQ_INSERT_TAIL(&s->servings, first, link);
	}
}

/* One step for each fetch in turn, so that none waits for another. */
void
serve_session(struct session *s)
{
	struct serving *v, *tmp;
	size_t work = 0;
	bool any = true;
	int rc;

	s->serve_more = false;
	while (any && !s->broken) {
		any = false;
		TAILQ_FOREACH_SAFE(v, &s->servings, link, tmp)
		{
			if (!ready(s, v))
				continue;
			any = true;
			if (work >= WORK_TURN || session_backlog(s) >= BACKLOG_MAX) {
				begin_with(s, v);
				s->serve_more = true;
				return;
			}
			rc = v->audience == NULL ? serve_leaves(s, v, &work)
						 : serve_record(s, v, &work);
			if (rc != 0)
				serving_cancel(s, v, rc);
		}
	}
}

void
serve_on_durable(struct node *n)
{
	struct peer *p;

	TAILQ_FOREACH(p, &n->peers, link) {
		if (p->session != NULL && p->session->up &&
		    !TAILQ_EMPTY(&p->session->servings))
			p->session->serve_more = true;
	}
}

/* --- into a file ------------------------------------------------------------------------------- */

struct serving *
serve_carry(struct session *s, struct origin *o, struct audience *a, uint64_t from)
{
	struct share *sh = sync_share(s, o, true);
	struct serving *v = sh != NULL ? calloc(1, sizeof(*v)) : NULL;

	if (v == NULL)
		return NULL;
	v->stream = 1; /* FORMAT.md, section 11 */
	v->origin = o;
	v->audience = a;
	v->next = from;
	v->credit = INT64_MAX / 2;
	if (a == NULL && from > sh->claimed)
		sh->claimed = from;
	TAILQ_INSERT_TAIL(&s->servings, v, link);
	s->nservings++;
	return v;
}

int
serve_carry_step(struct session *s, struct serving *v)
{
	size_t work = 0;

	if (!ready(s, v))
		return 1;
	return v->audience == NULL ? serve_leaves(s, v, &work) : serve_record(s, v, &work);
}

uint64_t
serve_carry_at(const struct serving *v)
{
	return v->next;
}

void
serve_carry_end(struct session *s, struct serving *v)
{
	serving_free(s, v);
}

/* --- what comes from the other side ----------------------------------------------------------- */

static struct serving *
serving_find(struct session *s, uint16_t stream)
{
	struct serving *v;

	TAILQ_FOREACH(v, &s->servings, link) {
		if (v->stream == stream)
			return v;
	}
	return NULL;
}

static int
fetch_check(struct session *s, const struct wire_fetch *m, bool records,
    struct origin **ret_origin, struct audience **ret_audience)
{
	struct origin *o = origin_find(s->node, &m->origin);

	*ret_origin = o;
	*ret_audience = NULL;
	if (s->nservings >= SERVINGS_MAX)
		return NRS_ELIMIT;
	if (o == NULL)
		return NRS_EUNKNOWN;
	if (!records)
		return 0;
	*ret_audience = audience_find(o, &m->audience);
	if (*ret_audience == NULL)
		return NRS_EUNKNOWN;
	if (NRS_PLANTED(RELAY_MEMBERSHIP) && !o->own)
		return 0;
	return audience_shared(s->node, *ret_audience, s->peer) ? 0 : NRS_EMEMBER;
}

int
serve_fetch(struct session *s, const struct wire_frame *f)
{
	bool records = f->type == WIRE_FETCH_RECORDS;
	struct wire_fetch m;
	struct audience *a;
	struct serving *v;
	struct origin *o;
	struct share *sh;
	int rc = wire_fetch_decode(&m, records, f->body, f->len);

	if (rc != 0)
		return rc;
	if (serving_find(s, f->stream) != NULL)
		return NRS_EDUPLICATE;
	rc = fetch_check(s, &m, records, &o, &a);
	v = rc == 0 ? calloc(1, sizeof(*v)) : NULL;
	if (rc == 0 && v == NULL)
		rc = NRS_ENOMEM;
	if (rc != 0) {
		session_refuse(s, rc, f->stream, &m.origin, NRS_NONE, NRS_NONE, NULL);
		session_end(s, session_begin(s, WIRE_CANCEL, 0, f->stream));
		return 0;
	}
	v->stream = f->stream;
	v->origin = o;
	v->audience = a;
	v->next = m.from;
	v->credit = m.credit;
	TAILQ_INSERT_TAIL(&s->servings, v, link);
	s->nservings++;
	if (!records) {
		sh = sync_share(s, o, true);
		if (sh != NULL && m.from > sh->claimed)
			sh->claimed = m.from;
	}
	s->serve_more = true;
	return 0;
}

void
serve_credit(struct session *s, uint16_t stream, uint32_t bytes)
{
	struct serving *v = serving_find(s, stream);

	if (v == NULL)
		return; /* it was cancelled meanwhile */
	if (v->credit < INT64_MAX / 2)
		v->credit += bytes;
	s->serve_more = true;
}

void
serve_canceled(struct session *s, uint16_t stream)
{
	struct serving *v = serving_find(s, stream);

	if (v != NULL)
		serving_free(s, v);
}

void
serve_session_down(struct session *s)
{
	struct serving *v;

	while ((v = TAILQ_FIRST(&s->servings)) != NULL)
		serving_free(s, v);
}

int
serve_init(struct node *n)
{
	struct serve *v = calloc(1, sizeof(*v));

	if (v == NULL)
		return NRS_ENOMEM;
	v->cache = calloc(CACHE_SIZE, sizeof(*v->cache));
	if (v->cache == NULL) {
		free(v);
		return NRS_ENOMEM;
	}
	nrs_buf_init(&v->frame, NRS_JFRAME_MAX + 64);
	nrs_buf_init(&v->plain, NRS_JFRAME_MAX);
	nrs_buf_init(&v->body, WIRE_ITEM_MAX);
	n->serve = v;
	return 0;
}

void
serve_fini(struct node *n)
{
	struct serve *v = n->serve;

	if (v == NULL)
		return;
	nrs_buf_fini(&v->frame);
	nrs_buf_fini(&v->plain);
	nrs_buf_fini(&v->body);
	free(v->cache);
	free(v);
	n->serve = NULL;
}
