/* The honest half of a session: HELLO, what we have, and answers to fetches. */
#include "tests/hostile/mal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LEAVES_FRAME 4096u

void
frame_put(struct nrs_buf *b, uint8_t type, uint16_t stream, const void *body, size_t len)
{
	size_t at;

	wire_begin(b, type, 0, stream, &at);
	nrs_buf_put(b, body, len);
	wire_end(b, at);
}

void
peer_send(struct conn *c, uint8_t type, uint16_t stream, const void *body, size_t len)
{
	frame_put(&c->buf, type, stream, body, len);
	if (c->buf.err != 0)
		die("too much to send");
}

void
peer_hello(struct conn *c, struct nrs_buf *b)
{
	struct wire_hello h = { .version = WIRE_VERSION };
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	snprintf(h.origin, sizeof(h.origin), "%s", c->m->name);
	h.clock.ms = (uint64_t)t.tv_sec * 1000;
	wire_hello_encode(b, &h);
}

void
peer_have(struct conn *c)
{
	struct mal *m = c->m;
	struct nrs_buf b;

	nrs_buf_init(&b, NRS_FRAME_MAX);
	nrs_buf_u32(&b, 1);
	wire_have_encode(&b, &m->id, m->size, m->nauds);
	for (unsigned int i = 0; i < m->nauds; i++) {
		struct wire_have_audience a = {
			.id = m->aud[i].id, .type = m->aud[i].type, .next = m->aud[i].n
		};

		wire_have_audience_encode(&b, &a);
	}
	peer_send(c, WIRE_HAVE, 0, b.p, b.len);
	nrs_buf_fini(&b);
}

static struct aud *
aud_find(struct mal *m, const struct nrs_hash *id)
{
	for (unsigned int i = 0; i < m->nauds; i++)
		if (memcmp(m->aud[i].id.b, id->b, NRS_HASH_LEN) == 0)
			return &m->aud[i];
	return NULL;
}

static struct aud *
aud_stream(struct mal *m, uint16_t stream)
{
	for (unsigned int i = 0; i < m->nauds; i++)
		if (m->aud[i].stream == stream && stream != 0)
			return &m->aud[i];
	return NULL;
}

static void
on_fetch(struct conn *c, const struct wire_frame *f)
{
	bool records = f->type == WIRE_FETCH_RECORDS;
	struct wire_fetch w;
	struct aud *a;

	if (wire_fetch_decode(&w, records, f->body, f->len) != 0 ||
	    memcmp(w.origin.b, c->m->id.b, NRS_HASH_LEN) != 0)
		return;
	if (!records) {
		c->leaf_stream = f->stream;
		c->leaf_next = w.from;
		c->leaf_credit = w.credit;
		if (w.from > c->acked)
			c->acked = w.from;
	} else if ((a = aud_find(c->m, &w.audience)) != NULL) {
		a->stream = f->stream;
		a->next = w.from;
		a->credit = w.credit;
		if (w.from > a->served)
			a->served = w.from;
	}
}

static void
on_credit(struct conn *c, const struct wire_frame *f)
{
	struct aud *a = aud_stream(c->m, f->stream);
	uint32_t bytes;

	if (wire_credit_decode(&bytes, f->body, f->len) != 0)
		return;
	if (f->stream == c->leaf_stream)
		c->leaf_credit += bytes;
	else if (a != NULL)
		a->credit += bytes;
}

static void
on_cancel(struct conn *c, const struct wire_frame *f)
{
	struct aud *a = aud_stream(c->m, f->stream);

	c->canceled++;
	if (f->stream == c->leaf_stream)
		c->leaf_stream = 0;
	else if (a != NULL)
		a->stream = 0;
}

static void
on_ack(struct conn *c, const struct wire_frame *f)
{
	struct wire_ack_audience m;
	struct wire_ack w;
	struct aud *a;

	if (wire_ack_decode(&w, f->body, f->len) != 0 ||
	    memcmp(w.origin.b, c->m->id.b, NRS_HASH_LEN) != 0)
		return;
	c->acked = w.size;
	while (wire_ack_audience_next(&w.audiences, &m))
		if ((a = aud_find(c->m, &m.id)) != NULL)
			a->served = m.next;
}

/* The community that we share, as the other side names it. */
static void
on_communities(struct conn *c, const struct wire_frame *f)
{
	struct wire_community w;
	struct wire_list l;
	struct aud *a = &c->m->aud[0];

	if (wire_communities_decode(&l, f->body, f->len) != 0 ||
	    !wire_communities_next(&l, &w))
		return;
	c->has_community = true;
	c->community = w.id;
	c->epoch = w.epoch;
	if (c->m->nauds == 0) {
		a->id = w.id;
		a->epoch = w.epoch;
		c->m->nauds = 1;
	}
}

void
peer_frame(struct conn *c, const struct wire_frame *f)
{
	struct wire_refuse r;
	struct wire_bye bye;

	c->got += f->len;
	switch (f->type) {
	case WIRE_HELLO:
		c->hello = wire_hello_decode(&c->h, f->body, f->len) == 0;
		if (nrs_origin_id(c->h.origin, strlen(c->h.origin), &c->victim) != 0)
			die("what origin is that?");
		break;
	case WIRE_BYE:
		c->byes++;
		if (wire_bye_decode(&bye, f->body, f->len) == 0)
			c->bye = bye.code;
		break;
	case WIRE_COMMUNITIES:
		on_communities(c, f);
		break;
	case WIRE_STATEMENTS:
		nrs_buf_reset(&c->statements);
		nrs_buf_put(&c->statements, f->body, f->len);
		break;
	case WIRE_FETCH_LEAVES:
	case WIRE_FETCH_RECORDS:
		on_fetch(c, f);
		break;
	case WIRE_CREDIT:
		on_credit(c, f);
		break;
	case WIRE_CANCEL:
		on_cancel(c, f);
		break;
	case WIRE_ACK:
		on_ack(c, f);
		break;
	case WIRE_REFUSE:
		c->refused++;
		if (wire_refuse_decode(&r, f->body, f->len) == 0)
			c->refuse_code = r.code;
		break;
	case WIRE_LEAVES:
	case WIRE_RECORD:
		c->items++;
		break;
	case WIRE_PING:
		peer_send(c, WIRE_PONG, 0, f->body, f->len);
		break;
	case WIRE_PONG:
		if (wire_ping_decode(&c->pong, f->body, f->len) != 0)
			die("what PONG is that?");
		break;
	default:
		break;
	}
}

static void
serve_leaves(struct conn *c)
{
	struct mal *m = c->m;
	struct nrs_buf b;
	uint32_t n;

	while (c->leaf_stream != 0 && c->leaf_credit > 0 && c->leaf_next < m->size &&
	    c->buf.len < (1u << 20)) {
		n = m->size - c->leaf_next < LEAVES_FRAME
		    ? (uint32_t)(m->size - c->leaf_next)
		    : LEAVES_FRAME;
		nrs_buf_init(&b, NRS_FRAME_MAX);
		mal_leaves(m, c->leaf_next, n, &b);
		peer_send(c, WIRE_LEAVES, c->leaf_stream, b.p, b.len);
		c->leaf_next += n;
		c->leaf_credit -= (int64_t)b.len;
		nrs_buf_fini(&b);
	}
}

static void
serve_records(struct conn *c, struct aud *a)
{
	const struct item *it;

	while (
	    a->stream != 0 && a->credit > 0 && a->next < a->n && c->buf.len < (1u << 20)) {
		it = &a->v[a->next];
		if (it->index >= c->leaf_next && it->index >= c->acked)
			return;
		wire_record_frames(&c->buf, a->stream, it->wire.p, it->wire.len);
		a->credit -= (int64_t)it->wire.len;
		a->next++;
	}
}

void
peer_serve(struct conn *c)
{
	if (!c->honest)
		return;
	serve_leaves(c);
	for (unsigned int i = 0; i < c->m->nauds; i++)
		serve_records(c, &c->m->aud[i]);
	conn_flush(c);
}

bool
peer_settled(const struct conn *c)
{
	if (c->acked < c->m->size)
		return false;
	for (unsigned int i = 0; i < c->m->nauds; i++)
		if (c->m->aud[i].served < c->m->aud[i].n)
			return false;
	return true;
}

static bool
settle(struct conn *c, int ms, bool again)
{
	uint64_t end = now_ms() + (uint64_t)ms;

	peer_have(c);
	while (!c->dead && !peer_settled(c) && now_ms() < end) {
		peer_serve(c);
		conn_pump(c, 5);
		/* Beyond a quota nothing more is taken, however long it lasts. */
		if (c->refuse_code == nrs_err_wire(NRS_EQUOTA) && !again)
			break;
	}
	return peer_settled(c);
}

bool
peer_settle(struct conn *c, int ms)
{
	return settle(c, ms, true);
}

bool
peer_settle_quota(struct conn *c, int ms)
{
	return settle(c, ms, false);
}

bool
peer_ping(struct conn *c, int ms)
{
	uint64_t end = now_ms() + (uint64_t)ms, token = mal_random(c->m);
	uint8_t body[8];

	nrs_put_u64(body, token);
	peer_send(c, WIRE_PING, 0, body, sizeof(body));
	while (!c->dead && c->pong != token && now_ms() < end)
		conn_pump(c, 20);
	return c->pong == token;
}

bool
peer_up(struct conn *c, struct mal *m, int ms)
{
	uint64_t end = now_ms() + (uint64_t)ms;
	struct nrs_buf b;
	bool told = false;

	conn_open(c, m);
	nrs_buf_init(&b, 1024);
	peer_hello(c, &b);
	peer_send(c, WIRE_HELLO, 0, b.p, b.len);
	nrs_buf_fini(&b);
	while (now_ms() < end && conn_pump(c, 20)) {
		if (c->has_community && !told) {
			nrs_buf_init(&b, 4);
			nrs_buf_u32(&b, 0);
			peer_send(c, WIRE_COMMUNITIES, 0, b.p, b.len);
			nrs_buf_fini(&b);
			peer_have(c);
			told = true;
		}
		if (told && c->leaf_stream != 0)
			return true;
	}
	return false;
}
