/*
 * Each frame with one bit turned, and cut at each length, at the point of a
 * session where the whole one would count; and sessions cut off at each byte.
 */
#include "tests/hostile/mal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UP_MS	  5000
#define BATCH	  64u
#define SETTLE_MS 20000

struct tally {
	uint64_t sent, flips, cuts, closed, sessions, refused, canceled, byes, missed;
};

static void
tally_conn(struct tally *t, const struct conn *c)
{
	t->refused += c->refused;
	t->canceled += c->canceled;
	t->byes += c->byes;
}

static void
report(const char *name, const char *what, const struct tally *t, bool ok)
{
	printf("{\"case\":\"%s %s\",\"sent\":%llu,\"flips\":%llu,\"truncations\":%llu,"
	       "\"closed\":%llu,\"sessions\":%llu,\"refused\":%llu,\"canceled\":%llu,"
	       "\"byes\":%llu,\"missed\":%llu,\"ok\":%s}\n",
	    name, what, (unsigned long long)t->sent, (unsigned long long)t->flips,
	    (unsigned long long)t->cuts, (unsigned long long)t->closed,
	    (unsigned long long)t->sessions, (unsigned long long)t->refused,
	    (unsigned long long)t->canceled, (unsigned long long)t->byes,
	    (unsigned long long)t->missed, ok ? "true" : "false");
}

/* --- frames that stand for themselves -------------------------------------------- */

struct probe {
	struct mal *m;
	struct conn c;
	bool up;
	uint8_t type;
	uint16_t next_stream;
	struct tally t;
};

static void
probe_up(struct probe *p)
{
	if (p->up && !p->c.dead)
		return;
	if (p->up) {
		tally_conn(&p->t, &p->c);
		conn_close(&p->c);
	}
	if (!peer_up(&p->c, p->m, UP_MS))
		die("no session for %s", wire_type_name(p->type));
	p->up = true;
	p->next_stream = 1;
	p->t.sessions++;
}

static void
probe_down(struct probe *p)
{
	if (!p->up)
		return;
	tally_conn(&p->t, &p->c);
	conn_close(&p->c);
	p->up = false;
}

static void
fetch_body(const struct probe *p, bool records, struct nrs_buf *b)
{
	struct wire_fetch w = { .origin = p->c.victim, .credit = 65536 };

	w.audience = p->c.community;
	wire_fetch_encode(b, &w, records);
}

static void
lists_body(const struct probe *p, struct nrs_buf *b)
{
	struct wire_have_audience ha = { .id = p->c.community, .next = 1 };
	struct wire_community wc = { .id = p->c.community };
	struct wire_ack_audience aa = { .id = p->c.community, .next = 1 };

	if (p->type == WIRE_STATEMENTS) {
		nrs_buf_put(b, p->c.statements.p, p->c.statements.len);
	} else if (p->type == WIRE_COMMUNITIES) {
		nrs_buf_u32(b, 1);
		wire_community_encode(b, &wc);
	} else if (p->type == WIRE_HAVE) {
		nrs_buf_u32(b, 1);
		wire_have_encode(b, &p->m->id, p->m->size, 1);
		wire_have_audience_encode(b, &ha);
	} else {
		wire_ack_encode(b, &p->c.victim, 1, 1);
		wire_ack_audience_encode(b, &aa);
	}
}

/* The frame as it should be, and the stream it uses. */
static uint16_t
probe_frame(struct probe *p, struct nrs_buf *b)
{
	struct wire_refuse refuse = { .code = 4, .stream = 2, .index = 1, .seq = 1 };
	struct wire_bye bye = { .code = 64, .text = "so it ends" };
	uint16_t stream = 0;
	struct nrs_buf body;

	nrs_buf_init(&body, NRS_FRAME_MAX);
	switch (p->type) {
	case WIRE_FETCH_LEAVES:
	case WIRE_FETCH_RECORDS:
		stream = p->next_stream;
		p->next_stream = (uint16_t)(p->next_stream + 2);
		fetch_body(p, p->type == WIRE_FETCH_RECORDS, &body);
		break;
	case WIRE_CREDIT:
		stream = 1;
		wire_credit_encode(&body, 4096);
		break;
	case WIRE_CANCEL:
		stream = 1;
		break;
	case WIRE_REFUSE:
		snprintf(refuse.text, sizeof(refuse.text), "no");
		wire_refuse_encode(&body, &refuse);
		break;
	case WIRE_BYE:
		wire_bye_encode(&body, &bye);
		break;
	case WIRE_PING:
	case WIRE_PONG:
		wire_ping_encode(&body, 0x0123456789abcdef);
		break;
	default:
		lists_body(p, &body);
		break;
	}
	nrs_buf_reset(b);
	frame_put(b, p->type, stream, body.p, body.len);
	nrs_buf_fini(&body);
	return stream;
}

/* One frame that is wrong: bit < 0: cut to len. True: its length is not what it says. */
static bool
probe_put(struct probe *p, int64_t bit, size_t len)
{
	struct nrs_buf b;
	uint16_t stream;
	bool lost = bit >= 0 && bit < 32;

	nrs_buf_init(&b, NRS_FRAME_MAX + 64);
	stream = probe_frame(p, &b);
	if (bit >= 0) {
		b.p[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		p->t.flips++;
	} else {
		nrs_put_u32(b.p, (uint32_t)len);
		b.len = WIRE_HEADER_LEN + len;
		p->t.cuts++;
	}
	p->t.sent++;
	conn_put(&p->c, b.p, b.len);
	if (!lost && (p->type == WIRE_FETCH_LEAVES || p->type == WIRE_FETCH_RECORDS))
		peer_send(&p->c, WIRE_CANCEL, stream, NULL, 0);
	nrs_buf_fini(&b);
	return lost;
}

/* What closed the session, one frame after the other. */
static void
probe_range(
    struct probe *p, bool flips, uint64_t from, uint64_t to, unsigned int step, bool alone)
{
	for (uint64_t i = from; i < to; i += step) {
		probe_up(p);
		if (probe_put(p, flips ? (int64_t)i : -1, (size_t)i)) {
			/* What follows is swallowed: nothing is known before it closes. */
			conn_flush(&p->c);
			conn_pump(&p->c, 1);
			probe_down(p);
			continue;
		}
		if (!alone && (i - from) / step + 1 < BATCH && i + step < to)
			continue;
		if (!peer_ping(&p->c, UP_MS)) {
			if (!p->c.dead)
				p->t.missed++;
			p->t.closed++;
			p->c.dead = true;
		}
	}
}

static void
flips_plain(struct mal *m, uint8_t type, unsigned int step)
{
	struct probe p = { .m = m, .type = type };
	struct nrs_buf b;
	uint64_t len;
	bool alone = type == WIRE_BYE; /* most of them are still one */
	struct conn c;
	bool ok;

	probe_up(&p);
	nrs_buf_init(&b, NRS_FRAME_MAX + 64);
	(void)probe_frame(&p, &b);
	len = b.len;
	nrs_buf_fini(&b);
	for (uint64_t i = 0; i < len * 8; i += (uint64_t)step * BATCH)
		probe_range(&p, true, i,
		    i + (uint64_t)step * BATCH < len * 8 ? i + (uint64_t)step * BATCH
							 : len * 8,
		    step, alone);
	probe_range(&p, false, 0, len - WIRE_HEADER_LEN, step > 8 ? step / 8 : 1, alone);
	probe_down(&p);
	ok = peer_up(&c, m, UP_MS) && peer_settle(&c, SETTLE_MS);
	conn_close(&c);
	report("flips", wire_type_name(type), &p.t, ok && p.t.missed == 0);
}

/* --- HELLO ------------------------------------------------------------------------ */

static void
hello_one(
    struct mal *m, struct tally *t, const struct nrs_buf *hello, int64_t bit, size_t cut)
{
	uint64_t end = now_ms() + (bit >= 0 && bit < 32 ? 20 : UP_MS);
	struct nrs_buf b;
	struct conn c;

	conn_open(&c, m);
	nrs_buf_init(&b, 4096);
	frame_put(&b, WIRE_HELLO, 0, hello->p, bit >= 0 ? hello->len : cut);
	if (bit >= 0)
		b.p[bit / 8] ^= (uint8_t)(1u << (bit % 8));
	conn_put(&c, b.p, b.len);
	nrs_buf_fini(&b);
	while (now_ms() < end && conn_pump(&c, 10) && !c.has_community && c.refused == 0 &&
	    c.byes == 0)
		;
	t->sent++;
	t->sessions++;
	t->closed += c.dead || c.byes > 0;
	t->missed += c.has_community; /* taken: a clock, a number that is not compared */
	tally_conn(t, &c);
	conn_close(&c);
}

static void
flips_hello(struct mal *m, unsigned int step)
{
	struct tally t = { 0 };
	struct nrs_buf hello;
	struct conn c;
	bool ok;

	conn_open(&c, m);
	nrs_buf_init(&hello, 1024);
	peer_hello(&c, &hello);
	conn_close(&c);
	for (uint64_t i = 0; i < (WIRE_HEADER_LEN + hello.len) * 8; i += step, t.flips++)
		hello_one(m, &t, &hello, (int64_t)i, 0);
	for (size_t i = 0; i<hello.len; i += step> 8 ? step / 8 : 1, t.cuts++)
		hello_one(m, &t, &hello, -1, i);
	nrs_buf_fini(&hello);
	ok = peer_up(&c, m, UP_MS) && peer_settle(&c, SETTLE_MS);
	conn_close(&c);
	report("flips", "HELLO", &t, ok);
}

/* --- LEAVES, RECORD, DATA ----------------------------------------------------------- */

/*
 * A bad one ends its fetch, which comes again later; the good one that follows is
 * taken, so that the next bad one is judged by itself.
 */
struct stream_probe {
	struct mal *m;
	struct conn c;
	uint8_t type;
	size_t filler;
	struct tally t;
};

static void
stream_up(struct stream_probe *p)
{
	if (p->c.ssl != NULL && !p->c.dead)
		return;
	if (p->c.ssl != NULL) {
		tally_conn(&p->t, &p->c);
		conn_close(&p->c);
	}
	if (!peer_up(&p->c, p->m, UP_MS))
		die("no session for %s", wire_type_name(p->type));
	p->t.sessions++;
}

/* Until the fetch that the frame needs is there. */
static bool
stream_ready(struct stream_probe *p)
{
	uint64_t end = now_ms() + SETTLE_MS;
	const struct aud *a = &p->m->aud[0];

	while (now_ms() < end) {
		stream_up(p);
		if (p->type == WIRE_LEAVES ? p->c.leaf_stream != 0
					   : a->stream != 0 && p->c.acked >= p->m->size)
			return true;
		if (p->type != WIRE_LEAVES) {
			/* The leaf first, and not the record. */
			p->c.honest = true;
			a = &p->m->aud[0];
			if (p->c.leaf_stream != 0) {
				uint16_t keep = p->m->aud[0].stream;

				p->m->aud[0].stream = 0;
				peer_serve(&p->c);
				p->m->aud[0].stream = keep;
			}
		}
		conn_pump(&p->c, 5);
	}
	return false;
}

static void
stream_frames(struct stream_probe *p, struct nrs_buf *b)
{
	struct aud *a = &p->m->aud[0];
	struct nrs_buf body;

	if (p->type == WIRE_LEAVES) {
		nrs_buf_init(&body, NRS_FRAME_MAX);
		mal_leaves(
		    p->m, p->c.leaf_next, (uint32_t)(p->m->size - p->c.leaf_next), &body);
		frame_put(b, WIRE_LEAVES, p->c.leaf_stream, body.p, body.len);
		nrs_buf_fini(&body);
		return;
	}
	wire_record_frames(b, a->stream, a->v[a->n - 1].wire.p, a->v[a->n - 1].wire.len);
}

/* Where the frame in question begins in what is sent. */
static size_t
stream_at(const struct stream_probe *p)
{
	return p->type == WIRE_DATA ? WIRE_HEADER_LEN + NRS_FRAME_MAX : 0;
}

static void
stream_one(struct stream_probe *p, int64_t bit, size_t cut)
{
	size_t at = stream_at(p);
	uint64_t canceled, refused, end;
	struct nrs_buf b;

	if (p->type == WIRE_LEAVES)
		mal_leaf(p->m);
	else
		mal_record(p->m, &p->m->aud[0], p->filler);
	stream_up(p);
	peer_have(&p->c);
	if (!stream_ready(p)) {
		p->t.missed++;
		return;
	}
	nrs_buf_init(&b, 4u << 20);
	stream_frames(p, &b);
	if (bit >= 0) {
		b.p[at + (size_t)bit / 8] ^= (uint8_t)(1u << (bit % 8));
	} else {
		nrs_put_u32(b.p + at, (uint32_t)cut);
		b.len = at + WIRE_HEADER_LEN + cut;
	}
	canceled = p->c.canceled;
	refused = p->c.refused;
	conn_put(&p->c, b.p, b.len);
	nrs_buf_fini(&b);
	p->t.sent++;
	if (bit >= 0 && bit < 32) {
		conn_flush(&p->c);
		conn_pump(&p->c, 1);
		p->c.dead = true;
		p->t.closed++;
	} else if (!peer_ping(&p->c, UP_MS)) {
		p->t.missed += !p->c.dead;
		p->t.closed++;
		p->c.dead = true;
	} else {
		/* Records are judged by another thread. */
		end = now_ms() + 30;
		while (
		    p->c.canceled == canceled && p->c.refused == refused && now_ms() < end)
			conn_pump(&p->c, 2);
	}
	stream_up(p);
	if (!peer_settle(&p->c, SETTLE_MS))
		p->t.missed++;
	else if (p->type != WIRE_LEAVES) /* it is not asked for again */
		nrs_buf_fini(&p->m->aud[0].v[p->m->aud[0].n - 1].wire);
}

static void
flips_stream(struct mal *m, uint8_t type, unsigned int step)
{
	struct stream_probe p = { .m = m,
		.type = type,
		.filler = type == WIRE_DATA ? NRS_FRAME_MAX + 1000 : 100 };
	size_t len;
	struct nrs_buf b;

	stream_up(&p);
	if (!peer_settle(&p.c, SETTLE_MS))
		die("not in sync");
	if (type == WIRE_LEAVES)
		mal_leaf(m);
	else
		mal_record(m, &m->aud[0], p.filler);
	nrs_buf_init(&b, 4u << 20);
	stream_frames(&p, &b);
	len = b.len - stream_at(&p);
	nrs_buf_fini(&b);
	for (uint64_t i = 0; i < len * 8; i += step, p.t.flips++)
		stream_one(&p, (int64_t)i, 0);
	for (size_t i = 0; i<len - WIRE_HEADER_LEN; i += step> 8 ? step / 8 : 1, p.t.cuts++)
		stream_one(&p, -1, i);
	tally_conn(&p.t, &p.c);
	report("flips", wire_type_name(type), &p.t, p.t.missed == 0 && peer_settled(&p.c));
	conn_close(&p.c);
}

void
case_flips(struct mal *m, const char *family, unsigned int step)
{
	uint8_t type = 1;

	while (type < WIRE__MAX && strcmp(wire_type_name(type), family) != 0)
		type++;
	if (type == WIRE__MAX)
		die("%s is no frame", family);
	if (type == WIRE_HELLO)
		flips_hello(m, step);
	else if (type >= WIRE_LEAVES && type <= WIRE_DATA)
		flips_stream(m, type, step);
	else
		flips_plain(m, type, step);
}

/* --- sessions cut off ------------------------------------------------------------------ */

/* One session as an honest peer has it, until it is cut or all is acknowledged. */
static void
cut_session(struct conn *c, uint64_t tx, uint64_t rx)
{
	uint64_t end = now_ms() + SETTLE_MS;
	struct nrs_buf b;
	bool told = false;

	c->cut_tx = tx;
	c->cut_rx = rx;
	nrs_buf_init(&b, 1024);
	peer_hello(c, &b);
	peer_send(c, WIRE_HELLO, 0, b.p, b.len);
	nrs_buf_fini(&b);
	while (!c->dead && now_ms() < end && !(told && peer_settled(c))) {
		conn_pump(c, 20);
		if (c->has_community && !told) {
			told = true;
			peer_have(c);
		}
		peer_serve(c);
	}
}

void
case_cuts(struct mal *m, const char *way, unsigned int step)
{
	bool tx = strcmp(way, "tx") == 0;
	struct tally t = { 0 };
	uint64_t total;
	struct conn c;
	bool ok;

	if (!peer_up(&c, m, UP_MS) || !peer_settle(&c, SETTLE_MS))
		die("not in sync");
	conn_close(&c);
	mal_record(m, &m->aud[0], 100);
	conn_open(&c, m);
	cut_session(&c, UINT64_MAX, UINT64_MAX);
	total = tx ? c.tx : c.rx;
	ok = peer_settled(&c);
	conn_reset(&c);
	conn_close(&c);
	for (uint64_t k = 1; ok && k < total; k += step) {
		if (peer_settled(&c))
			mal_record(m, &m->aud[0], 100);
		conn_open(&c, m);
		cut_session(&c, tx ? k : UINT64_MAX, tx ? UINT64_MAX : k);
		t.sent++;
		t.closed += c.reset;
		conn_reset(&c);
		tally_conn(&t, &c);
		uint64_t acked = c.acked;
		conn_close(&c);
		c.acked = acked;
	}
	t.sessions = total;
	ok = ok && peer_up(&c, m, UP_MS) && peer_settle(&c, SETTLE_MS);
	conn_close(&c);
	report("cuts", way, &t, ok);
}
