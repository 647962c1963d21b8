/* Too much of what is allowed: each case goes on until its time or number is over. */
#include "tests/hostile/mal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define UP_MS 5000

static void
up(struct conn *c, struct mal *m)
{
	if (!peer_up(c, m, UP_MS))
		die("no session");
}

static void
say(const char *name, const struct conn *c, uint64_t n, uint64_t ms, bool ok)
{
	printf(
	    "{\"case\":\"%s\",\"n\":%llu,\"ms\":%llu,\"got_bytes\":%llu,\"items\":%llu,"
	    "\"refused\":%llu,\"refuse_code\":%u,\"canceled\":%llu,\"byes\":%llu,\"bye\":%u,"
	    "\"dead\":%s,\"settled\":%s,\"ok\":%s}\n",
	    name, (unsigned long long)n, (unsigned long long)ms, (unsigned long long)c->got,
	    (unsigned long long)c->items, (unsigned long long)c->refused, c->refuse_code,
	    (unsigned long long)c->canceled, (unsigned long long)c->byes, c->bye,
	    c->dead ? "true" : "false", peer_settled(c) ? "true" : "false",
	    ok ? "true" : "false");
}

/* Sealed leaves, as fast as credit comes. */
void
case_leaves(struct mal *m, uint64_t n, int ms)
{
	uint64_t start = now_ms();
	struct conn c;

	up(&c, m);
	for (uint64_t i = 0; i < n; i++)
		mal_leaf(m);
	(void)peer_settle_quota(&c, ms);
	say("leaves", &c, n, now_ms() - start, true);
	conn_close(&c);
}

void
case_records(struct mal *m, uint64_t n, size_t filler, int ms)
{
	uint64_t start = now_ms();
	struct conn c;

	up(&c, m);
	for (uint64_t i = 0; i < n; i++)
		mal_record(m, &m->aud[0], filler);
	(void)peer_settle_quota(&c, ms);
	say("records", &c, n, now_ms() - start, true);
	conn_close(&c);
}

void
case_settle(struct mal *m, int ms)
{
	uint64_t start = now_ms();
	struct conn c;
	bool ok;

	up(&c, m);
	ok = peer_settle(&c, ms);
	say("settle", &c, 0, now_ms() - start, ok);
	conn_close(&c);
}

static void
fetch(struct conn *c, uint16_t stream, bool records, const struct nrs_hash *origin,
    uint32_t credit)
{
	struct wire_fetch w = { .origin = *origin, .credit = credit };
	struct nrs_buf b;

	w.audience = c->community;
	nrs_buf_init(&b, 256);
	wire_fetch_encode(&b, &w, records);
	peer_send(c, records ? WIRE_FETCH_RECORDS : WIRE_FETCH_LEAVES, stream, b.p, b.len);
	nrs_buf_fini(&b);
}

/* Everything is asked for, with all the credit there is, and nothing is read. */
void
case_deaf(struct mal *m, int ms)
{
	uint64_t start = now_ms(), end = start + (uint64_t)ms;
	uint8_t credit[4], token[8] = { 0 };
	uint64_t n = 0;
	struct conn c;

	up(&c, m);
	for (uint16_t s = 1; s < 1001; s = (uint16_t)(s + 2)) {
		fetch(&c, s, s % 4 == 1, &c.victim, UINT32_MAX);
		nrs_put_u32(credit, UINT32_MAX);
		for (unsigned int k = 0; k < 8; k++)
			peer_send(&c, WIRE_CREDIT, s, credit, sizeof(credit));
	}
	conn_flush(&c);
	/* And it asks for answers that are not read either, as long as they are taken. */
	while (!c.dead && now_ms() < end) {
		struct timespec t = { 0, 1000000 };

		peer_send(&c, WIRE_PING, 0, token, sizeof(token));
		if (n++ < 20000)
			conn_flush(&c);
		nanosleep(&t, NULL);
	}
	say("deaf", &c, n, now_ms() - start, true);
	conn_close(&c);
}

/* More streams than are allowed. */
void
case_streams(struct mal *m, unsigned int n)
{
	uint64_t start = now_ms();
	struct conn c;
	uint32_t s = 1;

	up(&c, m);
	for (unsigned int i = 0; i < n; i++, s += 2) {
		if (s > 65535)
			s = 1;
		fetch(&c, (uint16_t)s, i % 2 == 0, &c.victim, 0);
		if (i % 256 == 255)
			conn_pump(&c, 0);
	}
	(void)peer_ping(&c, 30000);
	say("streams", &c, n, now_ms() - start, !c.dead);
	conn_close(&c);
}

/* The same range again and again. */
void
case_again(struct mal *m, int ms)
{
	uint64_t start = now_ms(), end = start + (uint64_t)ms, n = 0;
	struct conn c;
	uint16_t s = 1;

	up(&c, m);
	while (!c.dead && now_ms() < end) {
		for (unsigned int i = 0; i < 4; i++, n++) {
			fetch(&c, s, i % 2 == 0, &c.victim, 4u << 20);
			if (n >= 8)
				peer_send(&c, WIRE_CANCEL, (uint16_t)(s - 16), NULL, 0);
			s = (uint16_t)(s + 2);
			if (s < 17) {
				s = 17;
				conn_close(&c);
				up(&c, m);
				n += 8 - n % 8;
			}
		}
		conn_pump(&c, 1);
	}
	say("again", &c, n, now_ms() - start, !c.dead);
	conn_close(&c);
}

/* A peer that comes again before its connection before has gone. */
void
case_reconnect(struct mal *m, unsigned int n)
{
	struct conn *v = calloc(n, sizeof(*v)), last;
	uint64_t start = now_ms(), done = 0;
	bool ok;

	if (v == NULL)
		die("out of memory");
	for (unsigned int i = 0; i < n; i++) {
		uint64_t end = now_ms() + 2000;

		conn_open(&v[i], m);
		while (now_ms() < end && conn_pump(&v[i], 5) &&
		    !SSL_is_init_finished(v[i].ssl))
			;
		done += SSL_is_init_finished(v[i].ssl);
		/* The key is known, HELLO never comes, and nothing is closed. */
	}
	up(&last, m);
	ok = peer_settle(&last, 20000);
	say("reconnect", &last, done, now_ms() - start, ok);
	conn_close(&last);
	for (unsigned int i = 0; i < n; i++)
		conn_close(&v[i]);
	free(v);
}

/* --- content ---------------------------------------------------------------------- */

/* Data that expands to much more than was signed, or to less, or that is no zstd. */
static void
bomb(struct mal *m, unsigned int kind)
{
	size_t big = 64u << 20, len = 1000, max = ZSTD_compressBound(big), n;
	uint8_t *zeros = calloc(1, big), *z = malloc(max);

	if (zeros == NULL || z == NULL)
		die("out of memory");
	n = ZSTD_compress(z, max, zeros, kind == 0 ? big : kind == 1 ? 10 : len, 19);
	if (kind == 2)
		n -= 3;
	if (kind == 3)
		memset(z, 0xa5, n);
	if (kind == 4) /* raw, and not as long as it says */
		mal_record_as(m, &m->aud[0], NRS_KIND_BUNDLE, zeros, len, len, zeros,
		    len - 1, WIRE_RECORD_RAW);
	else if (kind == 5) /* says all there may be, and is a little */
		mal_record_as(
		    m, &m->aud[0], NRS_KIND_BUNDLE, zeros, len, NRS_PAYLOAD_MAX, z, n, 0);
	else
		mal_record_as(m, &m->aud[0], NRS_KIND_BUNDLE, zeros, len, len, z, n, 0);
	free(zeros);
	free(z);
}

/*
 * Not what was committed to: refused, and asked for again for ever; so the chain is
 * taken back to where it was, under another record at the next leaf.
 */
void
case_bombs(struct mal *m)
{
	struct aud *a = &m->aud[0];
	uint64_t start = now_ms(), refused = 0;
	struct nrs_hash head;
	struct conn c;
	bool ok;

	up(&c, m);
	ok = peer_settle(&c, 20000);
	for (unsigned int kind = 0; ok && kind < 6; kind++) {
		uint64_t end = now_ms() + 10000, before = c.refused;

		head = a->head;
		bomb(m, kind);
		peer_have(&c);
		while (!c.dead && c.refused == before && now_ms() < end) {
			peer_serve(&c);
			conn_pump(&c, 5);
		}
		refused += c.refused > before;
		nrs_buf_fini(&a->v[--a->n].wire);
		a->head = head;
		mal_record(m, a, 100);
		ok = peer_settle(&c, 20000);
	}
	say("bombs", &c, refused, now_ms() - start, ok && refused == 6);
	conn_close(&c);
}

/* Records of 16 MiB in as many chains as are wanted, all at once. */
void
case_giants(struct mal *m, unsigned int n, int ms)
{
	uint64_t start = now_ms();
	struct conn c;
	bool ok;

	up(&c, m);
	for (unsigned int i = 0; i < n && m->nauds < AUDS_MAX; i++)
		mal_record(m, mal_direct(m, c.h.origin), NRS_PAYLOAD_MAX - 4096);
	ok = peer_settle(&c, ms);
	say("giants", &c, n, now_ms() - start, ok);
	conn_close(&c);
}

static void
fill_id(struct mal *m, struct nrs_hash *id)
{
	for (unsigned int i = 0; i < NRS_HASH_LEN; i++)
		id->b[i] = (uint8_t)mal_random(m);
}

/* Lists as long as a frame takes, of things that do not exist. */
void
case_lists(struct mal *m)
{
	struct wire_have_audience ha = { .type = 1, .next = 1000 };
	struct wire_community wc = { .epoch = 7 };
	uint64_t start = now_ms(), n = 0;
	struct nrs_proof proof = { .n = NRS_PROOF_MAX };
	struct wire_leaves wl = { .origin = m->id, .proof = proof };
	struct nrs_buf b, note;
	struct conn c;
	bool ok;

	up(&c, m);
	nrs_buf_init(&b, NRS_FRAME_MAX);
	for (unsigned int round = 0; round < 8; round++) {
		nrs_buf_reset(&b);
		nrs_buf_u32(&b, 4096);
		for (unsigned int i = 0; i < 4096; i++, n++) {
			fill_id(m, &wc.id);
			wire_community_encode(&b, &wc);
		}
		peer_send(&c, WIRE_COMMUNITIES, 0, b.p, b.len);
		nrs_buf_reset(&b);
		nrs_buf_u32(&b, 1);
		wire_have_encode(&b, &m->id, m->size + 1000, 20000);
		for (unsigned int i = 0; i < 20000; i++, n++) {
			fill_id(m, &ha.id);
			wire_have_audience_encode(&b, &ha);
		}
		peer_send(&c, WIRE_HAVE, 0, b.p, b.len);
		nrs_buf_reset(&b);
		nrs_buf_u32(&b, 15);
		nrs_buf_init(&note, NRS_NOTE_MAX);
		nrs_buf_str(&note, "noroshi/v1/membership\n");
		while (note.len < NRS_NOTE_MAX - 200)
			nrs_buf_str(&note, "member mal.cert.example\n");
		nrs_buf_str(&note, "\n\xe2\x80\x94 x/feed AAAAAAAAAAAAAAAAAAAAAAAA\n");
		for (unsigned int i = 0; i < 15; i++, n++)
			wire_statement_encode(&b, note.p, note.len);
		nrs_buf_fini(&note);
		peer_send(&c, WIRE_STATEMENTS, 0, b.p, b.len);
		(void)peer_ping(&c, 10000);
	}
	/* The longest proof there can be, under a checkpoint that is good. */
	mal_leaf(m);
	nrs_buf_reset(&b);
	mal_leaves(m, m->size - 1, 1, &b);
	if (wire_leaves_decode(&wl, b.p, b.len) == 0 && c.leaf_stream != 0) {
		struct nrs_buf out;
		struct wire_entry e = { .c = m->c[m->size - 1] };

		wl.proof = proof;
		nrs_buf_init(&out, NRS_FRAME_MAX);
		wire_leaves_encode(&out, &wl);
		wire_entry_encode(&out, &e);
		peer_send(&c, WIRE_LEAVES, c.leaf_stream, out.p, out.len);
		nrs_buf_fini(&out);
		(void)peer_ping(&c, 10000);
		n++;
	}
	nrs_buf_fini(&b);
	say("lists", &c, n, now_ms() - start, !c.dead);
	conn_close(&c);
	up(&c, m);
	ok = peer_settle(&c, 30000);
	conn_close(&c);
	if (!ok)
		die("no way back to being in sync");
}

/*
 * One byte in a while, both ways: from the beginning of TLS, from HELLO on, in the
 * middle of a frame, or all the time that something is fetched.
 */
void
case_slow(struct mal *m, const char *where, int ms)
{
	uint8_t header[WIRE_HEADER_LEN] = { 0, 15, 255, 255, WIRE_HAVE };
	uint64_t start = now_ms(), end = start + (uint64_t)ms, tx, rx;
	struct nrs_buf hello;
	struct conn c;

	nrs_buf_init(&hello, 1024);
	if (strcmp(where, "tls") == 0 || strcmp(where, "hello") == 0) {
		conn_open(&c, m);
		c.slow_ms = strcmp(where, "tls") == 0 ? 500 : 0;
		while (now_ms() < end && conn_pump(&c, 5) && !SSL_is_init_finished(c.ssl))
			;
		peer_hello(&c, &hello);
		peer_send(&c, WIRE_HELLO, 0, hello.p, hello.len);
	} else {
		up(&c, m);
		if (strcmp(where, "frame") == 0)
			conn_put(&c, header, sizeof(header));
		for (uint16_t s = 1; strcmp(where, "reader") == 0 && s < 64;
		     s = (uint16_t)(s + 2))
			fetch(&c, s, s % 4 == 1, &c.victim, UINT32_MAX);
		conn_flush(&c);
	}
	tx = c.tx;
	rx = c.rx;
	c.slow_ms = 500;
	while (now_ms() < end && conn_pump(&c, 20)) {
		if (strcmp(where, "frame") == 0 && c.pend.len == 0)
			conn_put(&c, "x", 1);
	}
	nrs_buf_fini(&hello);
	printf("{\"case\":\"slow %s\",\"sent\":%llu,\"read\":%llu,\"ms\":%llu,\"dead\":%s,"
	       "\"byes\":%llu,\"bye\":%u,\"ok\":true}\n",
	    where, (unsigned long long)(c.tx - tx), (unsigned long long)(c.rx - rx),
	    (unsigned long long)(now_ms() - start), c.dead ? "true" : "false",
	    (unsigned long long)c.byes, c.bye);
	conn_close(&c);
}
