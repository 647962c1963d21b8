/*
 * Keys of simulated origins.  Signatures are a MAC that the public key alone
 * makes and checks: worthless outside, and it lets many more seeds run.  With
 * keys_real they are Ed25519.  Keys depend on the origin's name only.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/note.h"
#include "sim.h"

bool keys_real;

static struct cached {
	char origin[64];
	struct keys k;
} cache[SIM_NODES_MAX + 2];

static void
key_derive(
    const char *origin, unsigned int role, struct nrs_seckey **sec, struct nrs_pubkey *pub)
{
	char text[128];
	struct nrs_hash h;
	int n;

	n = snprintf(text, sizeof(text), "simulated key %u of %s", role, origin);
	if (nrs_sha256(text, (size_t)n, &h) != 0 || nrs_seckey_from_seed(h.b, sec) != 0)
		abort();
	nrs_seckey_public(*sec, pub);
}

void
keys_init(struct keys *k, const char *origin)
{
	unsigned int i, role;

	for (i = 0; i < SIM_NODES_MAX + 2; i++) {
		if (strcmp(cache[i].origin, origin) == 0)
			break;
		if (cache[i].origin[0] != '\0')
			continue;
		strcpy(cache[i].origin, origin);
		for (role = 0; role < KEY__MAX; role++)
			key_derive(
			    origin, role, &cache[i].k.sec[role], &cache[i].k.pub[role]);
		if (nrs_tls_pin(&cache[i].k.pub[KEY_TLS], &cache[i].k.pin) != 0)
			abort();
		break;
	}
	if (i == SIM_NODES_MAX + 2)
		abort();
	*k = cache[i].k;
}

static void
mac(const uint8_t *pub, const uint8_t *msg, size_t len, uint8_t sig[64])
{
	static struct nrs_digest *dg;
	struct nrs_hash h;
	unsigned int i;

	if (dg == NULL && (dg = nrs_digest_new()) == NULL)
		abort();
	nrs_digest_label(dg, "simulated signature");
	nrs_digest_add(dg, pub, 32);
	nrs_digest_add(dg, msg, len);
	if (nrs_digest_end(dg, &h) != 0)
		abort();
	for (i = 0; i < 32; i++) {
		sig[i] = h.b[i];
		sig[32 + i] = h.b[i] ^ 0x5c;
	}
}

void
keys_sign(
    const struct keys *k, enum key_role role, const void *msg, size_t len, uint8_t sig[64])
{
	if (!keys_real)
		mac(k->pub[role].pub, msg, len, sig);
	else if (nrs_seckey_sign(k->sec[role], msg, len, sig) != 0)
		abort();
}

int
keys_verify(uint8_t alg, const uint8_t *pub, size_t pub_len, const uint8_t *msg,
    size_t msg_len, const uint8_t *sig, size_t sig_len)
{
	uint8_t want[64];

	if (keys_real)
		return nrs_verify(alg, pub, pub_len, msg, msg_len, sig, sig_len);
	if (alg != NRS_ALG_ED25519 || pub_len != 32 || sig_len != 64)
		return NRS_ESIG;
	mac(pub, msg, msg_len, want);
	return memcmp(want, sig, 64) == 0 ? 0 : NRS_ESIG;
}

void
keys_note(struct nrs_buf *b, const struct keys *k, enum key_role role, const char *origin,
    const char *suffix, const void *text, size_t len)
{
	uint8_t sig[64], id[4];
	char name[NRS_ORIGIN_MAX + 16];

	snprintf(name, sizeof(name), "%s/%s", origin, suffix);
	keys_sign(k, role, text, len, sig);
	if (nrs_note_keyid(name, NRS_NOTE_ED25519, k->pub[role].pub, id) != 0)
		abort();
	nrs_buf_put(b, text, len);
	nrs_buf_str(b, "\n");
	nrs_note_add_sig(b, name, id, sig, sizeof(sig));
	if (b->err != 0)
		abort();
}

void
keys_manifest(struct nrs_buf *b, const struct keys *k, const char *origin,
    unsigned int number, const struct nrs_manifest *prev)
{
	struct nrs_manifest m;
	struct nrs_buf text;

	memset(&m, 0, sizeof(m));
	strcpy(m.origin, origin);
	m.number = number;
	if (prev != NULL)
		m.previous = prev->hash;
	m.created.ms = 1763800000000;
	m.root = k->pub[number == 0 ? KEY_ROOT : KEY_NEXT];
	if (nrs_rootkey_hash(&k->pub[number == 0 ? KEY_NEXT : KEY_ROOT], &m.next_root) != 0)
		abort();
	m.feed = k->pub[number == 0 ? KEY_FEED : KEY_FEED2];
	m.log = k->pub[KEY_LOG];
	m.witness = k->pub[KEY_WITNESS];
	m.tls[0] = k->pub[KEY_TLS];
	m.ntls = 1;
	m.require_ed25519 = true;
	strcpy(m.addr[0], "127.0.0.1:4000");
	m.naddr = 1;
	nrs_buf_init(&text, NRS_NOTE_MAX);
	if (nrs_manifest_format(&text, &m) != 0)
		abort();
	keys_note(
	    b, k, number == 0 ? KEY_ROOT : KEY_NEXT, origin, "root", text.p, text.len);
	nrs_buf_fini(&text);
}
