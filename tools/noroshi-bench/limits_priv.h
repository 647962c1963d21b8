/* Files of the limits, for the stages too. */
#ifndef BENCH_LIMITS_PRIV_H
#define BENCH_LIMITS_PRIV_H

#include "tools/noroshi-bench/limits.h"

#define LIMIT_SEGMENT (64u << 20)

int limit_disk_open(struct bench *b, char **ret_path, int *ret_fd) NRS_MUST_CHECK;
void limit_disk_close(char *path, int fd);
void limit_noise(uint8_t *p, size_t len);
int limit_room(int fd) NRS_MUST_CHECK;

/* TCP on loopback: 0 accepted, 1 dialled. Non-zero: none. */
int limit_socket_pair(int fd[2]) NRS_MUST_CHECK;

/* A TLS 1.3 connection of two ends on loopback, blocking. */
struct limit_tls_pair {
	void *ctx[2]; /* SSL_CTX */
	void *ssl[2]; /* SSL: 0 reads, 1 writes */
	int fd[2];
};
int limit_tls_open(struct limit_tls_pair *t) NRS_MUST_CHECK;
void limit_tls_close(struct limit_tls_pair *t);

#endif
