/*
 * Limits of processor and disk, one thread each, straight on the libraries:
 * what lib/ adds on top of them is what a scenario's ratio shows.
 */
#include "tools/noroshi-bench/limits_priv.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/noroshi-bench/hist.h"
#include "tools/noroshi-bench/out.h"

#define HEADER 232
#define SIGLEN 64
#define PIECE  (1u << 20)

/* Calls one() until the time is over; returns calls/s, 0 when one of them failed. */
static double
rate(double seconds, unsigned int burst, int (*one)(void *arg), void *arg)
{
	double t0 = bench_now(), t;
	uint64_t n = 0;

	do {
		for (unsigned int i = 0; i < burst; i++)
			if (one(arg) != 0)
				return 0;
		n += burst;
		t = bench_now() - t0;
	} while (t < seconds);
	return (double)n / t;
}

/* --- signatures --------------------------------------------------------- */

struct ed {
	EVP_PKEY *key;
	EVP_MD_CTX *ctx;
	uint8_t msg[HEADER];
	uint8_t sig[SIGLEN];
};

static int
ed_sign(void *arg)
{
	struct ed *e = arg;
	size_t n = SIGLEN;

	e->msg[0]++;
	return EVP_DigestSignInit(e->ctx, NULL, NULL, NULL, e->key) == 1 &&
		EVP_DigestSign(e->ctx, e->sig, &n, e->msg, HEADER) == 1 &&
		EVP_MD_CTX_reset(e->ctx) == 1
	    ? 0
	    : -1;
}

static int
ed_verify(void *arg)
{
	struct ed *e = arg;

	return EVP_DigestVerifyInit(e->ctx, NULL, NULL, NULL, e->key) == 1 &&
		EVP_DigestVerify(e->ctx, e->sig, SIGLEN, e->msg, HEADER) == 1 &&
		EVP_MD_CTX_reset(e->ctx) == 1
	    ? 0
	    : -1;
}

static void
ed_fini(struct ed *e)
{
	EVP_PKEY_free(e->key);
	EVP_MD_CTX_free(e->ctx);
}

static int
ed_init(struct ed *e)
{
	uint8_t seed[32] = { 7 };

	memset(e, 0, sizeof(*e));
	e->key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof(seed));
	e->ctx = EVP_MD_CTX_new();
	if (e->key != NULL && e->ctx != NULL && ed_sign(e) == 0)
		return 0;
	ed_fini(e);
	return -1;
}

double
limit_sign(double seconds)
{
	struct ed e;
	double r;

	if (ed_init(&e) != 0)
		return 0;
	r = rate(seconds, 64, ed_sign, &e);
	ed_fini(&e);
	return r;
}

double
limit_verify(double seconds)
{
	struct ed e;
	double r;

	if (ed_init(&e) != 0)
		return 0;
	r = rate(seconds, 64, ed_verify, &e);
	ed_fini(&e);
	return r;
}

/* --- hashes ------------------------------------------------------------- */

struct sha {
	EVP_MD *md;
	EVP_MD_CTX *ctx;
	const uint8_t *p;
	size_t len;
	uint8_t out[32];
};

static int
sha_one(void *arg)
{
	struct sha *s = arg;
	unsigned int n;

	return EVP_DigestInit_ex2(s->ctx, s->md, NULL) == 1 &&
		EVP_DigestUpdate(s->ctx, s->p, s->len) == 1 &&
		EVP_DigestFinal_ex(s->ctx, s->out, &n) == 1
	    ? 0
	    : -1;
}

double
limit_node(double seconds)
{
	static const uint8_t node[65];
	struct sha s = { .p = node, .len = sizeof(node) };
	double r = 0;

	s.md = EVP_MD_fetch(NULL, "SHA256", NULL);
	s.ctx = EVP_MD_CTX_new();
	if (s.md != NULL && s.ctx != NULL)
		r = rate(seconds, 1024, sha_one, &s);
	EVP_MD_CTX_free(s.ctx);
	EVP_MD_free(s.md);
	return r;
}

/* --- processes and disk --------------------------------------------------- */

double
limit_exec(void)
{
	double t0 = bench_now();
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		execl("/bin/true", "true", (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 0;
	return bench_now() - t0;
}

int
limit_disk_open(struct bench *b, char **ret_path, int *ret_fd)
{
	char *path = bench_fmt("%s/limit-XXXXXX", b->dir);
	int fd = mkostemp(path, O_CLOEXEC);

	if (fd < 0) {
		free(path);
		return bench_fail_errno(b, "cannot make a file in %s", b->dir);
	}
	*ret_path = path;
	*ret_fd = fd;
	return 0;
}

void
limit_disk_close(char *path, int fd)
{
	close(fd);
	(void)unlink(path);
	free(path);
}

/* Bytes that do not compress and are not zero: a device may do less for others. */
void
limit_noise(uint8_t *p, size_t len)
{
	uint64_t v = 0x9e3779b97f4a7c15u;

	for (size_t i = 0; i < len; i++) {
		v ^= v << 13;
		v ^= v >> 7;
		v ^= v << 17;
		p[i] = (uint8_t)v;
	}
}

/* Room in advance, as the journal has it; a filesystem without it does without. */
int
limit_room(int fd)
{
	return fallocate(fd, 0, 0, LIMIT_SEGMENT) == 0 || errno == EOPNOTSUPP ? 0 : -1;
}

static int
append_for(
    int fd, const uint8_t *p, size_t batch, double seconds, struct hist *h, uint64_t *ret_n)
{
	double t0 = bench_now();
	uint64_t off = 0, ns, n = 0;

	do {
		/* A new segment: its room is reserved, and none of it written before. */
		if (off + batch > LIMIT_SEGMENT || off == 0) {
			if (ftruncate(fd, 0) != 0 || limit_room(fd) != 0)
				return -1;
			off = 0;
		}
		if (pwrite(fd, p, batch, (off_t)off) != (ssize_t)batch)
			return -1;
		ns = bench_now_ns();
		if (fdatasync(fd) != 0)
			return -1;
		hist_add(h, bench_now_ns() - ns);
		off += batch;
		n++;
	} while (bench_now() - t0 < seconds);
	*ret_n = n;
	return 0;
}

int
limit_append(struct bench *b, size_t batch, double seconds, struct limit_append *ret)
{
	struct hist *h = bench_alloc(sizeof(*h));
	uint8_t *p = bench_alloc(batch);
	double t0;
	uint64_t n;
	char *path = NULL;
	int fd = -1, rc;

	memset(ret, 0, sizeof(*ret));
	hist_init(h);
	limit_noise(p, batch);
	if ((rc = limit_disk_open(b, &path, &fd)) != 0)
		goto out;
	t0 = bench_now();
	if (batch == 0 || batch > LIMIT_SEGMENT ||
	    append_for(fd, p, batch, seconds, h, &n) != 0) {
		rc = bench_fail_errno(b, "cannot append to %s", path);
	} else {
		ret->syncs_s = (double)n / (bench_now() - t0);
		ret->mb_s = ret->syncs_s * (double)batch / 1e6;
		ret->p50_us = (double)hist_quantile(h, 0.5) / 1e3;
		ret->p99_us = (double)hist_quantile(h, 0.99) / 1e3;
	}
	limit_disk_close(path, fd);
out:
	free(p);
	free(h);
	return rc;
}

double
limit_write(struct bench *b, double seconds)
{
	uint8_t *p = bench_alloc(4 * (size_t)PIECE);
	double t0, r = 0;
	uint64_t n = 0;
	char *path = NULL;
	int fd = -1;

	limit_noise(p, 4 * (size_t)PIECE);
	if (limit_disk_open(b, &path, &fd) != 0)
		goto out;
	t0 = bench_now();
	do {
		/* At most a gigabyte of the disk, again and again. */
		if (pwrite(fd, p, 4 * (size_t)PIECE, (off_t)(n % 256 * 4 * PIECE)) !=
		    (ssize_t)(4 * (size_t)PIECE))
			break;
		n++;
		/* Written back as it comes: else the page cache would be measured. */
		if (n % 16 == 0 && fdatasync(fd) != 0)
			break;
	} while (bench_now() - t0 < seconds);
	if (fdatasync(fd) == 0)
		r = (double)n * 4 * PIECE / (bench_now() - t0);
	limit_disk_close(path, fd);
out:
	free(p);
	return r;
}
