/*
 * A crowd of subscribers in this process: Unix sockets and TLS, one thread, read
 * as fast as they can.  Lines are counted at each; at some, each line's place is
 * checked to follow the one before.
 */
#ifndef BENCH_CROWD_H
#define BENCH_CROWD_H

#include "tools/noroshi-bench/bench.h"

struct crowd;
struct ssl_st;

int crowd_new(struct bench *b, unsigned int max, struct crowd **ret) NRS_MUST_CHECK;
void crowd_free(struct crowd *c); /* closes all; accepts NULL */

/* One more: takes the socket, and the TLS that stands on it, or NULL. */
int crowd_add(struct crowd *c, int fd, struct ssl_st *ssl) NRS_MUST_CHECK;
/* A subscriber's socket, from now on. */
int crowd_unix(struct crowd *c, const char *path) NRS_MUST_CHECK;
/* A stream address of 127.0.0.1, with the key of that seed (crowd_key()). */
int crowd_tls(struct crowd *c, int port, unsigned int seed) NRS_MUST_CHECK;
/* The certificate of that key, PEM; free(). NULL: no memory. */
char *crowd_certificate(unsigned int seed);
/* TLS as a client over a connected socket, key of that seed; NULL: said why. */
struct ssl_st *crowd_connect(struct bench *b, int fd, unsigned int seed, const char *alpn);

/* Reads what has come, waiting for at most so many ms. count: lines, not only bytes. */
int crowd_poll(struct crowd *c, int ms, bool count) NRS_MUST_CHECK;
/* Of all that were read since the last crowd_reset(). */
uint64_t crowd_bytes(const struct crowd *c);
uint64_t crowd_lines(const struct crowd *c);
uint64_t crowd_slowest(const struct crowd *c); /* lines at the one that has fewest */
/* Has everyone the same bytes, and every line that was checked its place? Otherwise says so. */
int crowd_check(const struct crowd *c, uint64_t lines) NRS_MUST_CHECK;
void crowd_reset(struct crowd *c);

#endif
