/* See fixture.h. */
#include "fixture.h"

#include <sys/stat.h>

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "crypto/aead.h"
#include "crypto/key.h"
#include "crypto/note.h"

void
fixture_dir(char dir[64])
{
	const char *tmp = getenv("TMPDIR");

	snprintf(dir, 64, "%s/nrs-XXXXXX", tmp != NULL && strlen(tmp) < 48 ? tmp : "/tmp");
	assert_non_null(mkdtemp(dir));
}

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	return remove(path);
}

void
fixture_remove(const char *dir)
{
	assert_int_equal(nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

void
fixture_write(const char *dir, const char *name, const void *p, size_t len, int mode)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	for (char *s = strchr(path + strlen(dir) + 1, '/'); s != NULL;
	     s = strchr(s + 1, '/')) {
		*s = '\0';
		(void)mkdir(path, 0700);
		*s = '/';
	}
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, len), len);
	assert_int_equal(fchmod(fd, (mode_t)mode), 0);
	close(fd);
}

struct nrs_seckey *
fixture_key(uint8_t seed, unsigned int role)
{
	uint8_t s[32] = { seed, (uint8_t)role };
	struct nrs_seckey *k;

	assert_int_equal(nrs_seckey_from_seed(s, &k), 0);
	return k;
}

static void
public_of(uint8_t seed, unsigned int role, struct nrs_pubkey *ret)
{
	struct nrs_seckey *k = fixture_key(seed, role);

	nrs_seckey_public(k, ret);
	nrs_seckey_free(k);
}

void
fixture_manifest(const char *origin, uint8_t seed, const char *dir, const char *name,
    struct nrs_manifest *ret)
{
	struct nrs_manifest m = { .created = { 1763800000000u }, .require_ed25519 = true };
	uint8_t sig[NRS_ED25519_SIG], id[4];
	struct nrs_seckey *root = fixture_key(seed, 0);
	struct nrs_pubkey next;
	char signer[300];
	struct nrs_buf b;

	snprintf(m.origin, sizeof(m.origin), "%s", origin);
	snprintf(m.addr[0], sizeof(m.addr[0]), "%.200s:7373", origin);
	m.naddr = 1;
	public_of(seed, 0, &m.root);
	public_of(seed, 1, &next);
	assert_int_equal(nrs_rootkey_hash(&next, &m.next_root), 0);
	public_of(seed, 2, &m.feed);
	public_of(seed, 3, &m.log);
	public_of(seed, 4, &m.witness);
	public_of(seed, 5, &m.tls[0]);
	m.ntls = 1;
	nrs_buf_init(&b, NRS_NOTE_MAX);
	assert_int_equal(nrs_manifest_format(&b, &m), 0);
	assert_int_equal(nrs_manifest_parse(ret, b.p, b.len, NULL), 0);
	assert_int_equal(nrs_seckey_sign(root, b.p, b.len, sig), 0);
	nrs_seckey_free(root);
	snprintf(signer, sizeof(signer), "%s/root", origin);
	assert_int_equal(nrs_note_keyid(signer, NRS_NOTE_ED25519, m.root.pub, id), 0);
	nrs_buf_u8(&b, '\n');
	nrs_note_add_sig(&b, signer, id, sig, sizeof(sig));
	assert_int_equal(b.err, 0);
	if (name != NULL)
		fixture_write(dir, name, b.p, b.len, 0644);
	nrs_buf_fini(&b);
}

void
fixture_keys(const char *dir, uint8_t seed)
{
	static const char *const names[] = { "feed.pem", "log.pem", "witness.pem",
		"tls.pem" };
	uint8_t kek[32] = { seed, 0x6b };

	for (unsigned int i = 0; i < 4; i++) {
		struct nrs_seckey *k = fixture_key(seed, i + 2);
		char *pem;
		size_t len;

		assert_int_equal(nrs_seckey_to_pem(k, NULL, &pem, &len), 0);
		fixture_write(dir, names[i], pem, len, 0600);
		nrs_wipe(pem, len);
		free(pem);
		nrs_seckey_free(k);
	}
	fixture_write(dir, "kek", kek, sizeof(kek), 0600);
}
