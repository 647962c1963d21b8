/*
 * The keeper, spoken to as a daemon that was taken over would: over its socket,
 * with requests an honest engine never makes; and its memory, torn.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "crypto/aead.h"
#include "crypto/digest.h"
#include "daemon/keeper.h"
#include "daemon/keeper_proto.h"
#include "daemon/keeper_state.h"
#include "daemon/secret.h"
#include "fixture.h"
#include "record/record.h"
#include "record/statement.h"
#include "tlog/checkpoint.h"

static char dir[64];
static struct nrs_manifest self, other;

static int
setup(void **state)
{
	fixture_dir(dir);
	fixture_manifest("jp.cert.example", 1, NULL, NULL, &self);
	fixture_manifest("us.cert.example", 2, NULL, NULL, &other);
	fixture_keys(dir, 1);
	return 0;
}

static int
teardown(void **state)
{
	fixture_remove(dir);
	return 0;
}

static struct keeper *
start(void)
{
	struct nrs_detail d = { 0 };
	struct keeper *k = NULL;

	if (keeper_start(dir, &self, &k, &d) != 0)
		fail_msg("%s", d.text);
	return k;
}

static int
ask(struct keeper *k, enum nrs_sign_what what, const void *in, size_t len, uint8_t *out,
    size_t *out_len)
{
	struct nrs_sign s = {
		.what = what, .in = in, .in_len = len, .out = out, .out_len = 4096
	};
	int rc = keeper_sign_run(k, &s);

	if (out_len != NULL)
		*out_len = s.out_len;
	return rc;
}

static void
header(uint8_t p[NRS_HEADER_LEN], const struct nrs_hash *origin)
{
	struct nrs_header h = { .kind = NRS_KIND_BUNDLE,
		.ref_index = NRS_NONE,
		.origin = *origin,
		.uuid = { 0, 1, 2, 3, 4, 5, 0x46, 7, 0x88, 9, 1, 1, 1, 1, 1, 1 } };

	nrs_header_encode(&h, p);
}

static void
test_headers(void **state)
{
	uint8_t in[3 * NRS_HEADER_LEN], out[4096], pae[NRS_PAE_MAX];
	struct keeper *k = start();
	size_t n;

	for (unsigned int i = 0; i < 3; i++)
		header(in + i * NRS_HEADER_LEN, &self.origin_id);
	assert_int_equal(ask(k, NRS_SIGN_HEADERS, in, sizeof(in), out, &n), 0);
	assert_int_equal(n, 3 * 64);
	for (unsigned int i = 0; i < 3; i++) {
		size_t len = nrs_header_pae(in + i * NRS_HEADER_LEN, pae);

		assert_int_equal(nrs_verify(NRS_ALG_ED25519, self.feed.pub, 32, pae, len,
				     out + 64 * i, 64),
		    0);
	}
	/* One bad among good ones: nothing is signed. */
	header(in + NRS_HEADER_LEN, &other.origin_id);
	assert_int_equal(ask(k, NRS_SIGN_HEADERS, in, sizeof(in), out, &n), NRS_EORIGIN);
	assert_int_equal(n, 0);
	header(in + NRS_HEADER_LEN, &self.origin_id);
	in[NRS_HEADER_LEN] ^= 1;
	assert_int_equal(ask(k, NRS_SIGN_HEADERS, in, sizeof(in), out, NULL), NRS_EMAGIC);
	/* What it cannot read it relays, but never signs. */
	header(in + NRS_HEADER_LEN, &self.origin_id);
	in[NRS_HEADER_LEN + 4] = 2;
	assert_int_equal(ask(k, NRS_SIGN_HEADERS, in, sizeof(in), out, NULL), NRS_EVERSION);
	assert_int_equal(ask(k, NRS_SIGN_HEADERS, in, 231, out, NULL), NRS_ETRUNC);
	assert_int_equal(ask(k, NRS_SIGN_HEADERS, in, 0, out, NULL), NRS_ETRUNC);
	assert_int_equal(ask(k, (enum nrs_sign_what)63, in, 10, out, NULL), NRS_ETYPE);
	assert_int_equal(ask(k, (enum nrs_sign_what)255, in, 0, out, NULL), NRS_ETYPE);
	keeper_free(k);
}

/* Text of a checkpoint whose root is all root. */
static size_t
checkpoint(char text[512], const char *origin, uint64_t size, uint8_t root)
{
	struct nrs_checkpoint c = { .size = size };
	struct nrs_buf b;
	size_t n;

	snprintf(c.origin, sizeof(c.origin), "%s", origin);
	memset(c.root.b, root, sizeof(c.root.b));
	nrs_buf_init(&b, 512);
	assert_int_equal(nrs_checkpoint_format(&b, &c), 0);
	memcpy(text, b.p, n = b.len);
	nrs_buf_fini(&b);
	return n;
}

static int
ask_checkpoint(struct keeper *k, const char *origin, uint64_t size, uint8_t root)
{
	uint8_t out[4096];
	char text[512];
	size_t len = checkpoint(text, origin, size, root), n;
	int rc = ask(k, NRS_SIGN_CHECKPOINT, text, len, out, &n);

	if (rc == 0) {
		assert_int_equal(n, 64);
		assert_int_equal(nrs_verify(NRS_ALG_ED25519, self.log.pub, 32,
				     (const uint8_t *)text, len, out, 64),
		    0);
	}
	return rc;
}

static uint64_t
signed_size(struct keeper *k)
{
	uint64_t size = 99;

	assert_int_equal(keeper_signed_size(k, &size), 0);
	return size;
}

static void
test_checkpoints(void **state)
{
	static const char garbage[] = "jp.cert.example\n6\nAAAA\n";
	struct keeper *k = start();
	uint8_t out[4096];

	assert_int_equal(signed_size(k), 0);
	assert_int_equal(ask_checkpoint(k, "jp.cert.example", 5, 1), 0);
	assert_int_equal(signed_size(k), 5);
	assert_int_equal(ask_checkpoint(k, "jp.cert.example", 5, 1), 0);
	assert_int_equal(ask_checkpoint(k, "jp.cert.example", 5, 2), NRS_EFORK);
	assert_int_equal(ask_checkpoint(k, "jp.cert.example", 4, 1), NRS_EROLLBACK);
	assert_int_equal(ask_checkpoint(k, "us.cert.example", 9, 1), NRS_EORIGIN);
	assert_int_equal(
	    ask(k, NRS_SIGN_CHECKPOINT, garbage, sizeof(garbage) - 1, out, NULL),
	    NRS_ESYNTAX);
	assert_int_equal(ask_checkpoint(k, "jp.cert.example", 9, 3), 0);
	keeper_free(k);

	/* It remembers over its death. */
	k = start();
	assert_int_equal(signed_size(k), 9);
	assert_int_equal(ask_checkpoint(k, "jp.cert.example", 8, 3), NRS_EROLLBACK);
	assert_int_equal(ask_checkpoint(k, "jp.cert.example", 9, 4), NRS_EFORK);
	assert_int_equal(ask_checkpoint(k, "jp.cert.example", 10, 4), 0);
	keeper_free(k);
}

static size_t
statement(uint8_t *text, const struct nrs_manifest *founder,
    const struct nrs_manifest *steward, uint32_t epoch, uint32_t ceiling)
{
	struct nrs_statement s = {
		.epoch = epoch, .threshold = 1, .nstewards = 1, .nmembers = 1
	};
	struct nrs_member m = { 0 };
	struct nrs_buf b;
	size_t n;

	snprintf(s.name, sizeof(s.name), "iwwn");
	snprintf(s.founder, sizeof(s.founder), "%s", founder->origin);
	memset(s.nonce, 7, sizeof(s.nonce));
	if (epoch > 0)
		memset(s.previous.b, 9, sizeof(s.previous.b));
	s.ceiling = (uint8_t)ceiling;
	snprintf(m.origin, sizeof(m.origin), "%s", steward->origin);
	assert_int_equal(nrs_rootkey_hash(&steward->root, &m.root), 0);
	s.stewards = s.members = &m;
	assert_int_equal(nrs_community_id(s.founder, s.name, s.nonce, &s.community), 0);
	nrs_buf_init(&b, 4096);
	assert_int_equal(nrs_statement_format(&b, &s), 0);
	memcpy(text, b.p, n = b.len);
	nrs_buf_fini(&b);
	return n;
}

static void
test_statements(void **state)
{
	struct nrs_manifest impostor = self;
	struct keeper *k = start();
	uint8_t t[4096], out[4096];
	size_t n;

	n = statement(t, &self, &self, 0, 2);
	assert_int_equal(ask(k, NRS_SIGN_STATEMENT, t, n, out, NULL), 0);
	assert_int_equal(nrs_verify(NRS_ALG_ED25519, self.feed.pub, 32, t, n, out, 64), 0);
	assert_int_equal(ask(k, NRS_SIGN_STATEMENT, t, n, out, NULL), 0);
	assert_int_equal(ask(k, NRS_SIGN_STATEMENT, t, n - 1, out, NULL), NRS_ETRUNC);
	n = statement(t, &self, &self, 0, 3);
	assert_int_equal(ask(k, NRS_SIGN_STATEMENT, t, n, out, NULL), NRS_EFORK);
	n = statement(t, &self, &self, 4, 3);
	assert_int_equal(ask(k, NRS_SIGN_STATEMENT, t, n, out, NULL), 0);
	n = statement(t, &self, &self, 3, 3);
	assert_int_equal(ask(k, NRS_SIGN_STATEMENT, t, n, out, NULL), NRS_EROLLBACK);
	/* Of others: as a steward yes, founded by others at epoch 0 no, not named no. */
	n = statement(t, &other, &self, 2, 3);
	assert_int_equal(ask(k, NRS_SIGN_STATEMENT, t, n, out, NULL), 0);
	n = statement(t, &other, &other, 5, 3);
	assert_int_equal(ask(k, NRS_SIGN_STATEMENT, t, n, out, NULL), NRS_EPERM);
	/* Our name with another root key is somebody else. */
	impostor.root = other.root;
	n = statement(t, &self, &impostor, 6, 3);
	assert_int_equal(ask(k, NRS_SIGN_STATEMENT, t, n, out, NULL), NRS_EPERM);
	keeper_free(k);
}

static int
ask_cosign(struct keeper *k, const char *origin, uint64_t size, uint8_t root)
{
	uint8_t in[600] = { 0 }, out[4096];
	char text[512];
	size_t n = checkpoint(text, origin, size, root);
	struct nrs_buf b;
	int rc;

	nrs_put_u64(in, 1763800000);
	memcpy(in + 8, text, n);
	if ((rc = ask(k, NRS_SIGN_COSIGN, in, n + 8, out, NULL)) != 0)
		return rc;
	nrs_buf_init(&b, 1024);
	nrs_note_cosign_msg(&b, 1763800000, (const uint8_t *)text, n);
	assert_int_equal(
	    nrs_verify(NRS_ALG_ED25519, self.witness.pub, 32, b.p, b.len, out, 64), 0);
	nrs_buf_fini(&b);
	return 0;
}

static void
test_cosign(void **state)
{
	struct keeper *k = start();
	uint8_t out[4096];

	assert_int_equal(ask_cosign(k, "us.cert.example", 5, 1), 0);
	assert_int_equal(ask_cosign(k, "sg.cert.example", 3, 1), 0);
	assert_int_equal(ask_cosign(k, "us.cert.example", 5, 2), NRS_EFORK);
	assert_int_equal(ask_cosign(k, "us.cert.example", 4, 1), NRS_EROLLBACK);
	assert_int_equal(ask_cosign(k, "jp.cert.example", 4, 1), NRS_EORIGIN);
	assert_int_equal(ask(k, NRS_SIGN_COSIGN, "1234567", 7, out, NULL), NRS_ETRUNC);
	keeper_free(k);
	k = start();
	assert_int_equal(ask_cosign(k, "us.cert.example", 4, 1), NRS_EROLLBACK);
	assert_int_equal(ask_cosign(k, "sg.cert.example", 4, 1), 0);
	keeper_free(k);
}

static void
test_kek(void **state)
{
	uint8_t seed[40], wrapped[68], out[4096];
	struct keeper *k = start();
	size_t n;

	memset(seed, 0x5a, sizeof(seed));
	nrs_put_u64(seed + 32, 3);
	assert_int_equal(ask(k, NRS_KEK_WRAP, seed, 40, out, &n), 0);
	assert_int_equal(n, 60);
	memcpy(wrapped, out, 60);
	nrs_put_u64(wrapped + 60, 3);
	assert_int_equal(ask(k, NRS_KEK_UNWRAP, wrapped, 68, out, &n), 0);
	assert_int_equal(n, 32);
	assert_memory_equal(out, seed, 32);
	nrs_put_u64(wrapped + 60, 4); /* of another segment */
	assert_int_equal(ask(k, NRS_KEK_UNWRAP, wrapped, 68, out, &n), NRS_ECORRUPT);
	assert_int_equal(n, 0);
	assert_int_equal(ask(k, NRS_KEK_WRAP, seed, 39, out, NULL), NRS_ETRUNC);
	keeper_free(k);
}

/* Raw bytes: a length beyond the limit, or half a request, end the conversation. */
static void
test_raw(void **state)
{
	static const uint8_t huge[] = { 0x7f, 0xff, 0xff, 0xff, 0 },
			     half[] = { 0, 0, 0, 9, 0, 1 };
	struct keeper_keys *keys;
	int sv[2];

	assert_int_equal(keeper_keys_load(dir, &self, &keys, NULL), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	assert_int_equal(write(sv[0], huge, sizeof(huge)), sizeof(huge));
	assert_int_equal(keeper_serve(keys, sv[1]), NRS_ELIMIT);
	assert_int_equal(write(sv[0], half, sizeof(half)), sizeof(half));
	close(sv[0]);
	assert_int_equal(keeper_serve(keys, sv[1]), NRS_EIO);
	close(sv[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	close(sv[0]);
	assert_int_equal(keeper_serve(keys, sv[1]), 0);
	close(sv[1]);
	keeper_keys_free(keys);
}

static void
test_keys(void **state)
{
	struct nrs_detail d = { 0 };
	struct keeper *k;
	char path[128];

	assert_int_equal(keeper_start(dir, &other, &k, &d), NRS_EKEY);
	assert_non_null(strstr(d.text, "not the key that the manifest names"));
	snprintf(path, sizeof(path), "%s/log.pem", dir);
	assert_int_equal(chmod(path, 0640), 0);
	memset(&d, 0, sizeof(d));
	assert_int_equal(keeper_start(dir, &self, &k, &d), NRS_EPERM);
	assert_non_null(strstr(d.text, "chmod 600"));
	assert_int_equal(chmod(dir, 0770), 0);
	memset(&d, 0, sizeof(d));
	assert_int_equal(keeper_start(dir, &self, &k, &d), NRS_EPERM);
	assert_non_null(strstr(d.text, "chmod 700"));
	assert_int_equal(chmod(dir, 0700), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(keeper_start(dir, &self, &k, NULL), NRS_ENOTFOUND);
}

static void
test_one_keeper(void **state)
{
	struct keeper_keys *keys;
	struct nrs_detail d = { 0 };
	struct keeper *k = start();

	assert_int_equal(keeper_keys_load(dir, &self, &keys, &d), NRS_ELOCKED);
	keeper_free(k);
	assert_int_equal(keeper_keys_load(dir, &self, &keys, &d), 0);
	keeper_keys_free(keys);
}

static void
test_root_key(void **state)
{
	static const char *const passphrases[] = { NULL, NULL, "secret" };
	static const unsigned int roles[] = { 0, 1, 3 };
	struct nrs_detail d;

	assert_int_equal(secret_check_no_root(dir, &self, NULL), 0);
	for (unsigned int i = 0; i < 3; i++) {
		struct nrs_seckey *k = fixture_key(1, roles[i]);
		char path[128], *pem;
		size_t len;

		assert_int_equal(nrs_seckey_to_pem(k, passphrases[i], &pem, &len), 0);
		fixture_write(dir, "innocent", pem, len, 0600);
		memset(&d, 0, sizeof(d));
		assert_int_equal(secret_check_no_root(dir, &self, &d), NRS_EPERM);
		assert_non_null(strstr(d.text, "innocent"));
		snprintf(path, sizeof(path), "%s/innocent", dir);
		assert_int_equal(unlink(path), 0);
		free(pem);
		nrs_seckey_free(k);
	}
}

/* --- the state file ---------------------------------------------------------- */

#define STATE_LEN (2 * (size_t)KEEPER_SLOT_LEN)

static void
read_state(uint8_t *p)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/keeper.state", dir);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	memset(p, 0, STATE_LEN);
	assert_true(read(fd, p, STATE_LEN) > 0);
	close(fd);
}

/* 0 and the size that is remembered, or an error. */
static int
remembered(uint64_t *ret)
{
	struct keeper_state st;
	int rc = keeper_state_open(&st, dir, NULL);

	if (rc == 0) {
		*ret = st.own.n;
		keeper_state_fini(&st);
	}
	return rc;
}

/*
 * The write from 10 to 11, torn after every number of bytes: the state is 11 or
 * it is 10, and never anything else.
 */
static void
test_torn(void **state)
{
	uint8_t *before = malloc(STATE_LEN), *after = malloc(STATE_LEN),
		*torn = malloc(STATE_LEN);
	struct nrs_hash h = { { 1 } };
	struct keeper_state st;
	size_t lo = STATE_LEN, hi = 0;
	unsigned int old = 0, new = 0;
	uint64_t n = 0;

	assert_int_equal(keeper_state_open(&st, dir, NULL), 0);
	assert_int_equal(keeper_state_own(&st, 10, &h), 0);
	read_state(before);
	assert_int_equal(keeper_state_own(&st, 11, &h), 0);
	read_state(after);
	keeper_state_fini(&st);
	for (size_t i = 0; i < STATE_LEN; i++)
		if (before[i] != after[i]) {
			lo = i < lo ? i : lo;
			hi = i + 1;
		}
	assert_true(lo < hi && hi - lo < 4096);
	for (size_t cut = lo; cut <= hi; cut++) {
		memcpy(torn, before, STATE_LEN);
		memcpy(torn + lo, after + lo, cut - lo);
		fixture_write(dir, "keeper.state", torn, STATE_LEN, 0600);
		assert_int_equal(remembered(&n), 0);
		assert_true(n == 10 || n == 11);
		old += n == 10;
		new += n == 11;
	}
	assert_true(old > 0 && new == 1);
	free(before);
	free(after);
	free(torn);
}

/* Each bit of the newest slot counts: the older one is taken, or nothing. */
static void
test_flips(void **state)
{
	uint8_t *p = malloc(STATE_LEN);
	struct nrs_hash h = { { 1 } };
	struct keeper_state st;
	uint64_t n = 0;

	assert_int_equal(keeper_state_open(&st, dir, NULL), 0);
	assert_int_equal(keeper_state_own(&st, 10, &h), 0);
	keeper_state_fini(&st);
	read_state(p);
	for (size_t bit = 0; bit < (24 + 48) * 8; bit++) {
		p[bit / 8] ^= (uint8_t)(1 << bit % 8); /* sequence 2: slot 0 */
		fixture_write(dir, "keeper.state", p, STATE_LEN, 0600);
		assert_int_equal(remembered(&n), 0);
		assert_true(n == NRS_NONE);
		p[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	p[30] ^= 1;
	p[KEEPER_SLOT_LEN + 30] ^= 1;
	fixture_write(dir, "keeper.state", p, STATE_LEN, 0600);
	assert_int_equal(remembered(&n), NRS_ECORRUPT);
	fixture_write(dir, "keeper.state", p, 0, 0600);
	assert_int_equal(remembered(&n), NRS_ECORRUPT);
	free(p);
}

static void
test_full(void **state)
{
	struct nrs_hash id = { { 0 } }, h = { { 1 } };
	struct keeper_state st;

	assert_int_equal(keeper_state_open(&st, dir, NULL), 0);
	for (unsigned int i = 0; i < KEEPER_ENTRIES_MAX; i++) {
		nrs_put_u32(id.b, i);
		st.communities.v[i].id = id;
	}
	st.communities.n = KEEPER_ENTRIES_MAX - 1;
	nrs_put_u32(id.b, KEEPER_ENTRIES_MAX - 1);
	assert_int_equal(keeper_state_advance(&st, &st.cosigned, &id, 1, &h), 0);
	nrs_put_u32(id.b, KEEPER_ENTRIES_MAX);
	assert_int_equal(keeper_state_advance(&st, &st.cosigned, &id, 1, &h), NRS_ELIMIT);
	keeper_state_fini(&st);
	assert_int_equal(keeper_state_open(&st, dir, NULL), 0);
	assert_int_equal(st.communities.n, KEEPER_ENTRIES_MAX - 1);
	assert_int_equal(st.cosigned.n, 1);
	keeper_state_fini(&st);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_headers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_checkpoints, setup, teardown),
		cmocka_unit_test_setup_teardown(test_statements, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cosign, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kek, setup, teardown),
		cmocka_unit_test_setup_teardown(test_raw, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keys, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_keeper, setup, teardown),
		cmocka_unit_test_setup_teardown(test_root_key, setup, teardown),
		cmocka_unit_test_setup_teardown(test_torn, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flips, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
