/*
 * mal: a peer with good keys that an honest node has accepted, and that does what
 * it likes.  It has a log and a chain of its own and can serve both as an honest
 * node would, so that a case can put one thing wrong at the right point.
 *   mal_log.c    keys, log, records
 *   mal_conn.c   TLS over memory, so that each byte of a connection can be the last
 *   mal_peer.c   the honest half of a session
 *   mal_flip.c   flipped and cut frames
 *   mal_flood.c  too much of what is allowed
 *   main.c       commands on standard input, an object of JSON for each
 */
#ifndef TESTS_HOSTILE_MAL_H
#define TESTS_HOSTILE_MAL_H

#include <openssl/ssl.h>

#include "crypto/digest.h"
#include "crypto/key.h"
#include "record/manifest.h"
#include "record/record.h"
#include "tlog/checkpoint.h"
#include "tlog/tree.h"
#include "wire/wire.h"

/* A record as it was published. */
struct item {
	uint64_t index;
	struct nrs_buf wire; /* as RECORD carries it */
};

/* A chain of ours: of the community, or of a direct audience. */
struct aud {
	struct nrs_hash id;
	uint8_t type;
	uint32_t epoch;
	struct nrs_hash head;
	struct item *v;
	uint64_t n;
	uint64_t served; /* by the other side's ACK */
	uint16_t stream; /* its fetch; 0: none */
	uint64_t next;
	int64_t credit;
};
#define AUDS_MAX 64

struct mal {
	const char *dir, *address;
	char name[NRS_ORIGIN_MAX + 1];
	struct nrs_hash id;
	struct nrs_seckey *feed, *log, *tls;
	struct nrs_pubkey feed_pub, log_pub, tls_pub;
	uint8_t *manifest;
	size_t manifest_len;
	struct nrs_digest *dg;
	SSL_CTX *ctx;
	/* the log: entry 0 is the manifest */
	struct nrs_hash *c;
	uint64_t size, cap;
	struct nrs_frontier *edge_at; /* the edge at size edge_at->size */
	struct aud aud[AUDS_MAX];
	unsigned int nauds;
	uint64_t rng;
};

struct conn {
	struct mal *m;
	int fd;
	SSL *ssl;
	BIO *in, *out;
	uint64_t tx, rx, cut_tx, cut_rx; /* bytes of the connection, and the last of them */
	bool dead, reset;
	uint64_t slow_ms;	   /* one byte in so long; 0: as fast as it goes */
	uint64_t slow_tx, slow_rx; /* when the next one may */
	struct nrs_buf pend;	   /* of TLS, not sent yet */
	struct wire_reader rd;
	struct nrs_buf buf;
	/* what the other side said */
	bool hello, honest; /* honest: fetches are answered */
	struct wire_hello h;
	uint16_t leaf_stream;
	uint64_t leaf_next, acked;
	int64_t leaf_credit;
	uint64_t pong, refused, canceled, byes, items;
	uint16_t bye, refuse_code;
	uint64_t got; /* bytes of bodies */
	struct nrs_hash victim;
	struct nrs_hash community;
	uint32_t epoch;
	bool has_community;
	struct nrs_buf statements; /* body of the last STATEMENTS */
};

/* --- mal_log.c --- */
void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
uint64_t mal_random(struct mal *m);
void mal_load(struct mal *m);
/* An entry that stands for nothing; its index. */
uint64_t mal_leaf(struct mal *m);
/* A bundle of one object with filler bytes; false data: see mal_record_as(). */
void mal_record(struct mal *m, struct aud *a, size_t filler);
/* payload_len as the header says, and data with the flags of the wire. */
void mal_record_as(struct mal *m, struct aud *a, uint8_t kind, const uint8_t *payload,
    size_t len, uint64_t said_len, const uint8_t *data, size_t data_len, uint8_t flags);
struct aud *mal_direct(struct mal *m, const char *to); /* with its list published */
/* Body of LEAVES of [first, first + count) under a checkpoint of that size. */
void mal_leaves(struct mal *m, uint64_t first, uint32_t count, struct nrs_buf *b);

/* --- mal_conn.c --- */
void conn_open(struct conn *c, struct mal *m); /* TCP and the beginning of TLS */
void conn_close(struct conn *c);
void conn_reset(struct conn *c); /* RST */
/* Frames; nothing is sent before conn_flush(). */
void conn_put(struct conn *c, const void *p, size_t len);
void conn_flush(struct conn *c);
/* Reads what there is within ms and hands over frames; false: the end. */
bool conn_pump(struct conn *c, int ms);
uint64_t now_ms(void);

/* --- mal_peer.c --- */
void peer_frame(struct conn *c, const struct wire_frame *f);
void frame_put(
    struct nrs_buf *b, uint8_t type, uint16_t stream, const void *body, size_t len);
void peer_send(struct conn *c, uint8_t type, uint16_t stream, const void *body, size_t len);
void peer_hello(struct conn *c, struct nrs_buf *b);
void peer_have(struct conn *c);
/* A session that is up, with its fetches; false: not within ms. */
bool peer_up(struct conn *c, struct mal *m, int ms);
void peer_serve(struct conn *c);
/* Serves until all that was published is acknowledged. */
bool peer_settle(struct conn *c, int ms);
bool peer_settle_quota(struct conn *c, int ms); /* or REFUSE(QUOTA) */
bool peer_settled(const struct conn *c);
bool peer_ping(struct conn *c, int ms);

/* --- the cases; each prints one line --- */
void case_flips(struct mal *m, const char *family, unsigned int step);
void case_cuts(struct mal *m, const char *way, unsigned int step);
void case_leaves(struct mal *m, uint64_t n, int ms);
void case_records(struct mal *m, uint64_t n, size_t filler, int ms);
void case_settle(struct mal *m, int ms);
void case_deaf(struct mal *m, int ms);
void case_streams(struct mal *m, unsigned int n);
void case_again(struct mal *m, int ms);
void case_reconnect(struct mal *m, unsigned int n);
void case_bombs(struct mal *m);
void case_giants(struct mal *m, unsigned int n, int ms);
void case_lists(struct mal *m);
void case_slow(struct mal *m, const char *where, int ms);

#endif
