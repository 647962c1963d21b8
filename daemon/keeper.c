/*
 * The keeper's process: what it holds, and what it will sign.  It takes the
 * daemon for a stranger that may have been taken over: every request is parsed
 * by the same strict code that peers run, must be about this origin, and must
 * not go back behind anything signed before (FORMAT.md, sections 3, 5 and 7).
 */
#include "daemon/keeper.h"

#include <sys/random.h>
#include <sys/socket.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "crypto/aead.h"
#include "crypto/digest.h"
#include "crypto/key.h"
#include "crypto/note.h"
#include "daemon/keeper_proto.h"
#include "daemon/keeper_state.h"
#include "daemon/secret.h"
#include "record/manifest.h"
#include "record/record.h"
#include "record/statement.h"
#include "tlog/checkpoint.h"

#define PEM_FILE_MAX 16384
#define KEK_LEN	     32

struct keeper_keys {
	struct nrs_manifest m;
	struct nrs_hash root; /* what statements call us by */
	struct nrs_seckey *feed, *log, *witness;
	uint8_t kek[KEK_LEN];
	struct keeper_state state;
};

/* --- keys ---------------------------------------------------------------- */

static int
load_key(const char *dir, const char *name, const struct nrs_pubkey *expect,
    struct nrs_seckey **ret, struct nrs_detail *d)
{
	struct nrs_seckey *k = NULL;
	struct nrs_pubkey pub;
	struct nrs_buf b;
	int rc;

	nrs_buf_init(&b, PEM_FILE_MAX + 1);
	rc = secret_read(dir, name, PEM_FILE_MAX, &b, d);
	if (rc == 0 && (rc = nrs_seckey_from_pem((const char *)b.p, b.len, NULL, &k)) != 0)
		(void)nrs_fail(d, rc, 0, "%s/%s is not an Ed25519 private key", dir, name);
	nrs_buf_wipe(&b);
	if (rc != 0)
		return rc;
	nrs_seckey_public(k, &pub);
	if (memcmp(pub.pub, expect->pub, sizeof(pub.pub)) != 0) {
		nrs_seckey_free(k);
		return nrs_fail(d, NRS_EKEY, 0,
		    "%s/%s is not the key that the manifest names", dir, name);
	}
	*ret = k;
	return 0;
}

static int
load_kek(const char *dir, uint8_t kek[KEK_LEN], struct nrs_detail *d)
{
	struct nrs_buf b;
	int rc;

	nrs_buf_init(&b, KEK_LEN + 1);
	rc = secret_read(dir, "kek", KEK_LEN, &b, d);
	if (rc == 0 && b.len != KEK_LEN)
		rc = nrs_fail(d, NRS_EKEY, 0, "%s/kek is not of 32 bytes", dir);
	if (rc == 0)
		memcpy(kek, b.p, KEK_LEN);
	nrs_buf_wipe(&b);
	return rc;
}

int
keeper_keys_load(const char *dir, const struct nrs_manifest *m, struct keeper_keys **ret,
    struct nrs_detail *d)
{
	struct keeper_keys *k = calloc(1, sizeof(*k));
	int rc;

	if (k == NULL)
		return NRS_ENOMEM;
	k->m = *m;
	k->state.fd = -1;
	if ((rc = nrs_rootkey_hash(&m->root, &k->root)) != 0 ||
	    (rc = load_key(dir, "feed.pem", &m->feed, &k->feed, d)) != 0 ||
	    (rc = load_key(dir, "log.pem", &m->log, &k->log, d)) != 0 ||
	    (rc = load_key(dir, "witness.pem", &m->witness, &k->witness, d)) != 0 ||
	    (rc = load_kek(dir, k->kek, d)) != 0 ||
	    (rc = keeper_state_open(&k->state, dir, d)) != 0)
		goto out;
	*ret = k;
	k = NULL;
out:
	keeper_keys_free(k);
	return rc != 0 ? nrs_fail(d, rc, 0, "keys in %s", dir) : 0;
}

void
keeper_keys_free(struct keeper_keys *k)
{
	if (k == NULL)
		return;
	nrs_seckey_free(k->feed);
	nrs_seckey_free(k->log);
	nrs_seckey_free(k->witness);
	keeper_state_fini(&k->state);
	nrs_wipe(k->kek, sizeof(k->kek));
	free(k);
}

void
keeper_keys_warm_up(struct keeper_keys *k)
{
	static const uint8_t nothing[32];
	uint8_t sig[NRS_ED25519_SIG], wrapped[NRS_WRAPPED_SEED], seed[32];
	struct nrs_hash hash;

	(void)!nrs_sha256(nothing, sizeof(nothing), &hash);
	(void)!nrs_origin_id(k->m.origin, strlen(k->m.origin), &hash);
	(void)!nrs_seckey_sign(k->feed, nothing, sizeof(nothing), sig);
	(void)!nrs_seed_wrap(nothing, nothing, 0, nothing, wrapped);
	(void)!nrs_seed_unwrap(nothing, 0, wrapped, seed);
	nrs_wipe(sig, sizeof(sig));
}

/* --- requests ------------------------------------------------------------ */

static int
put_sig(struct nrs_seckey *key, const uint8_t *msg, size_t len, struct nrs_buf *out)
{
	uint8_t *sig = nrs_buf_reserve(out, NRS_ED25519_SIG);
	int rc;

	if (sig == NULL)
		return out->err;
	if ((rc = nrs_seckey_sign(key, msg, len, sig)) == 0)
		nrs_buf_grow(out, NRS_ED25519_SIG);
	return rc;
}

/* All or none: a batch with one bad header is not an honest engine's. */
static int
sign_headers(struct keeper_keys *k, const uint8_t *in, size_t len, struct nrs_buf *out)
{
	uint8_t pae[NRS_PAE_MAX];
	struct nrs_header h;
	int rc = 0;

	if (len == 0 || len % NRS_HEADER_LEN != 0)
		return NRS_ETRUNC;
	for (size_t i = 0; i < len; i += NRS_HEADER_LEN) {
		if ((rc = nrs_header_decode(&h, in + i, NRS_HEADER_LEN, NULL)) != 0)
			return rc;
		if (h.version != NRS_HEADER_VERSION)
			return NRS_EVERSION;
		if (!nrs_hash_eq(&h.origin, &k->m.origin_id))
			return NRS_EORIGIN;
	}
	for (size_t i = 0; rc == 0 && i < len; i += NRS_HEADER_LEN)
		rc = put_sig(k->feed, pae, nrs_header_pae(in + i, pae), out);
	return rc;
}

static int
sign_checkpoint(struct keeper_keys *k, const uint8_t *in, size_t len, struct nrs_buf *out)
{
	struct nrs_checkpoint c;
	int rc, err;

	if ((rc = nrs_checkpoint_parse(&c, in, len, NULL)) != 0)
		return rc;
	if (strcmp(c.origin, k->m.origin) != 0)
		return NRS_EORIGIN;
	if ((rc = keeper_state_own_begin(&k->state, c.size, &c.root)) != 0)
		return rc;
	/* It signs while the disk writes; the signature leaves only if that succeeds. */
	rc = put_sig(k->log, in, len, out);
	err = keeper_state_sync(&k->state);
	return err != 0 ? err : rc;
}

static int
check_statement(const struct keeper_keys *k, const struct nrs_statement *s)
{
	const struct nrs_member *me;

	me = nrs_member_find(s->stewards, s->nstewards, k->m.origin);
	if (me == NULL || !nrs_hash_eq(&me->root, &k->root))
		return NRS_EPERM;
	if (s->epoch == 0 && strcmp(s->founder, k->m.origin) != 0)
		return NRS_EPERM;
	return 0;
}

static int
sign_statement(struct keeper_keys *k, const uint8_t *in, size_t len, struct nrs_buf *out)
{
	struct nrs_statement s;
	int rc;

	if ((rc = nrs_statement_parse(&s, in, len, NULL)) != 0)
		return rc;
	if ((rc = check_statement(k, &s)) == 0 &&
	    (rc = keeper_state_advance(
		 &k->state, &k->state.communities, &s.community, s.epoch, &s.hash)) == 0)
		rc = put_sig(k->feed, in, len, out);
	nrs_statement_fini(&s);
	return rc;
}

static int
sign_cosign(struct keeper_keys *k, const uint8_t *in, size_t len, struct nrs_buf *out)
{
	struct nrs_checkpoint c;
	struct nrs_hash id;
	struct nrs_buf msg;
	int rc;

	if (len < 8)
		return NRS_ETRUNC;
	if ((rc = nrs_checkpoint_parse(&c, in + 8, len - 8, NULL)) != 0)
		return rc;
	if (strcmp(c.origin, k->m.origin) == 0)
		return NRS_EORIGIN; /* nobody is a witness of itself */
	if ((rc = nrs_origin_id(c.origin, strlen(c.origin), &id)) != 0 ||
	    (rc = keeper_state_advance(
		 &k->state, &k->state.cosigned, &id, c.size, &c.root)) != 0)
		return rc;
	nrs_buf_init(&msg, NRS_CHECKPOINT_TEXT_MAX + 64);
	nrs_note_cosign_msg(&msg, nrs_get_u64(in), in + 8, len - 8);
	rc = msg.err != 0 ? msg.err : put_sig(k->witness, msg.p, msg.len, out);
	nrs_buf_fini(&msg);
	return rc;
}

static int
random_fill(uint8_t *p, size_t len)
{
	ssize_t n;

	do
		n = getrandom(p, len, 0);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)len ? 0 : NRS_ECRYPTO;
}

static int
kek_wrap(struct keeper_keys *k, const uint8_t *in, size_t len, struct nrs_buf *out)
{
	uint8_t nonce[12], *p;
	int rc;

	if (len != 32 + 8)
		return NRS_ETRUNC;
	if ((p = nrs_buf_reserve(out, NRS_WRAPPED_SEED)) == NULL)
		return out->err;
	if ((rc = random_fill(nonce, sizeof(nonce))) == 0 &&
	    (rc = nrs_seed_wrap(k->kek, nonce, nrs_get_u64(in + 32), in, p)) == 0)
		nrs_buf_grow(out, NRS_WRAPPED_SEED);
	return rc;
}

static int
kek_unwrap(struct keeper_keys *k, const uint8_t *in, size_t len, struct nrs_buf *out)
{
	uint8_t *p;
	int rc;

	if (len != NRS_WRAPPED_SEED + 8)
		return NRS_ETRUNC;
	if ((p = nrs_buf_reserve(out, 32)) == NULL)
		return out->err;
	rc = nrs_seed_unwrap(k->kek, nrs_get_u64(in + NRS_WRAPPED_SEED), in, p);
	if (rc == 0)
		nrs_buf_grow(out, 32);
	return rc;
}

static int
get_state(struct keeper_keys *k, const uint8_t *in, size_t len, struct nrs_buf *out)
{
	if (len != 0)
		return NRS_ETRAILING;
	nrs_buf_u64(out, k->state.own.n == NRS_NONE ? 0 : k->state.own.n);
	return out->err;
}

static const struct request_def {
	uint8_t what;
	int (*fn)(
	    struct keeper_keys *k, const uint8_t *in, size_t len, struct nrs_buf *out);
} requests[] = {
	{ NRS_SIGN_HEADERS, sign_headers },
	{ NRS_SIGN_CHECKPOINT, sign_checkpoint },
	{ NRS_SIGN_STATEMENT, sign_statement },
	{ NRS_SIGN_COSIGN, sign_cosign },
	{ NRS_KEK_WRAP, kek_wrap },
	{ NRS_KEK_UNWRAP, kek_unwrap },
	{ KEEPER_GET_STATE, get_state },
};

/* Appends the answer to out. */
static int
answer(
    struct keeper_keys *k, uint8_t what, const uint8_t *in, size_t len, struct nrs_buf *out)
{
	int rc = NRS_ETYPE;

	nrs_buf_reset(out);
	nrs_buf_zero(out, KEEPER_ANS_HEAD);
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		if (requests[i].what == what)
			rc = requests[i].fn(k, in, len, out);
	if (out->p == NULL || out->len < KEEPER_ANS_HEAD)
		return NRS_ENOMEM;
	if (rc != 0) { /* half an answer is none */
		nrs_wipe(out->p + KEEPER_ANS_HEAD, out->len - KEEPER_ANS_HEAD);
		out->len = KEEPER_ANS_HEAD;
		out->err = 0;
	}
	nrs_put_u32(out->p, (uint32_t)(out->len - KEEPER_ANS_HEAD));
	nrs_put_u32(out->p + 4, (uint32_t)-rc);
	return 0;
}

/* --- the conversation ----------------------------------------------------- */

/* 0: whole; 1: closed before the first byte; NRS_EIO. */
static int
read_all(int fd, uint8_t *p, size_t len)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = read(fd, p + got, len - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0 && got == 0)
			return 1;
		if (n <= 0)
			return NRS_EIO;
		got += (size_t)n;
	}
	return 0;
}

static int
write_all(int fd, const uint8_t *p, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return NRS_EIO;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int
keeper_serve(struct keeper_keys *k, int fd)
{
	uint8_t head[KEEPER_REQ_HEAD];
	struct nrs_buf in, out;
	uint32_t len;
	int rc;

	nrs_buf_init(&in, KEEPER_BODY_MAX + 1);
	nrs_buf_init(&out, KEEPER_BODY_MAX + KEEPER_ANS_HEAD);
	for (;;) {
		if ((rc = read_all(fd, head, sizeof(head))) != 0)
			break;
		len = nrs_get_u32(head);
		nrs_buf_reset(&in);
		if (len > KEEPER_BODY_MAX) {
			rc = NRS_ELIMIT;
			break;
		}
		if (nrs_buf_reserve(&in, (size_t)len + 1) == NULL) {
			rc = NRS_ENOMEM;
			break;
		}
		if (len > 0 && read_all(fd, in.p, len) != 0) {
			rc = NRS_EIO;
			break;
		}
		if ((rc = answer(k, head[4], in.p, len, &out)) != 0 ||
		    (rc = write_all(fd, out.p, out.len)) != 0)
			break;
	}
	nrs_buf_wipe(&in);
	nrs_buf_wipe(&out);
	return rc == 1 ? 0 : rc;
}
