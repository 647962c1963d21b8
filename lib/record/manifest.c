/*
 * Manifests: their strict text form, and when one follows another
 * (docs/FORMAT.md, section 6).
 */
#include "record/manifest.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "crypto/digest.h"
#include "record/line.h"
#include "record/record.h"

#define MANIFEST_KEYS_MAX 6

/* Keys seen so far: no key may serve twice. */
struct seen {
	unsigned int n;
	const struct nrs_pubkey *v[MANIFEST_KEYS_MAX];
};

static void
read_key(struct nrs_line *l, const char *keyword, struct seen *seen, struct nrs_pubkey *ret)
{
	struct nrs_str v = nrs_line_get(l, keyword), alg = nrs_line_word(l, &v);
	uint8_t pub[NRS_ED25519_PUB] = { 0 };
	int err;

	if (l->err == 0 && !nrs_str_is(alg, "ed25519"))
		nrs_line_fail(l, l->no, NRS_EALG, "algorithm not known");
	nrs_line_b64(l, v, pub);
	if (l->err != 0)
		return;
	err = nrs_pubkey_init(ret, NRS_ALG_ED25519, pub, sizeof(pub));
	if (err != 0) {
		nrs_line_fail(l, l->no, err, "public key is not acceptable");
		return;
	}
	for (unsigned int i = 0; i < seen->n; i++)
		if (memcmp(seen->v[i]->pub, ret->pub, sizeof(ret->pub)) == 0)
			nrs_line_fail(
			    l, l->no, NRS_EDUPLICATE, "this key has another role");
	seen->v[seen->n++] = ret;
}

static void
read_keys(struct nrs_line *l, struct nrs_manifest *m)
{
	struct seen seen = { 0 };
	struct nrs_str v;
	int err;

	read_key(l, "root", &seen, &m->root);
	v = nrs_line_get(l, "next-root");
	nrs_line_b64(l, v, m->next_root.b);
	read_key(l, "key feed", &seen, &m->feed);
	read_key(l, "key log", &seen, &m->log);
	read_key(l, "key witness", &seen, &m->witness);
	read_key(l, "key tls", &seen, &m->tls[0]);
	m->ntls = 1;
	if (nrs_line_count(l, "key tls", 1) > 0)
		read_key(l, "key tls", &seen, &m->tls[m->ntls++]);
	for (unsigned int i = 0; l->err == 0 && i < m->ntls; i++) {
		err = nrs_tls_pin(&m->tls[i], &m->tls_pin[i]);
		if (err != 0)
			nrs_line_fail(l, l->no, err, "no pin of this key");
	}
}

/* The text must be the one that this time has. */
static void
read_created(struct nrs_line *l, struct nrs_manifest *m)
{
	struct nrs_str v = nrs_line_get(l, "created");
	char text[21];

	if (l->err != 0)
		return;
	if (nrs_time_parse((const char *)v.p, v.len, &m->created) != 0) {
		nrs_line_fail(l, l->no, NRS_ESYNTAX, "not a time");
		return;
	}
	nrs_time_format_s(text, m->created);
	if (!nrs_str_is(v, text))
		nrs_line_fail(
		    l, l->no, NRS_ESYNTAX, "time is not in UTC and whole seconds");
}

/*
 * A record must carry every algorithm of this list, so one that is not known
 * here cannot be skipped.
 */
static void
read_require(struct nrs_line *l, struct nrs_manifest *m)
{
	do {
		struct nrs_str v = nrs_line_get(l, "require");

		if (l->err == 0 && !nrs_str_is(v, "ed25519"))
			nrs_line_fail(l, l->no, NRS_EALG, "algorithm not known");
		else if (m->require_ed25519)
			nrs_line_fail(l, l->no, NRS_EDUPLICATE, "required twice");
		m->require_ed25519 = true;
	} while (nrs_line_count(l, "require", 1) > 0);
}

static void
read_addresses(struct nrs_line *l, struct nrs_manifest *m)
{
	char host[NRS_ORIGIN_MAX + 1];
	struct nrs_str v;
	uint16_t port;
	int err;

	while (nrs_line_count(l, "address", 1) > 0) {
		v = nrs_line_get(l, "address");
		if (l->err != 0)
			return;
		if (m->naddr == NRS_ADDRS_MAX) {
			nrs_line_fail(l, l->no, NRS_ELIMIT, "too many addresses");
			return;
		}
		err = nrs_addr_parse((const char *)v.p, v.len, host, &port);
		if (err == 0 && v.len >= sizeof(m->addr[0]))
			err = NRS_ELIMIT;
		if (err != 0) {
			nrs_line_fail(l, l->no, err, "not an address HOST:PORT");
			return;
		}
		for (unsigned int i = 0; i < m->naddr; i++)
			if (nrs_str_is(v, m->addr[i]))
				nrs_line_fail(
				    l, l->no, NRS_EDUPLICATE, "address given twice");
		memcpy(m->addr[m->naddr], v.p, v.len);
		m->addr[m->naddr++][v.len] = '\0';
	}
}

int
nrs_manifest_parse(
    struct nrs_manifest *ret, const uint8_t *text, size_t len, struct nrs_detail *d)
{
	struct nrs_line l;
	struct nrs_str v;
	int err;

	memset(ret, 0, sizeof(*ret));
	nrs_line_init(&l, text, len, NRS_NOTE_MAX, d);
	nrs_line_magic(&l, "noroshi/v1/manifest");
	v = nrs_line_get(&l, "origin");
	nrs_line_origin(&l, v, ret->origin);
	v = nrs_line_get(&l, "number");
	ret->number = nrs_line_u64(&l, v, UINT64_MAX);
	v = nrs_line_get(&l, "previous");
	nrs_line_previous(&l, v, ret->number == 0, &ret->previous);
	read_created(&l, ret);
	read_keys(&l, ret);
	read_require(&l, ret);
	read_addresses(&l, ret);
	err = nrs_line_end(&l);
	if (err != 0)
		return err;
	err = nrs_origin_id(ret->origin, strlen(ret->origin), &ret->origin_id);
	if (err == 0)
		err = nrs_sha256_label("noroshi/v1/manifest", text, len, &ret->hash);
	return err != 0 ? nrs_fail(d, err, 0, "hash of the manifest") : 0;
}

/* What we write we can read: nothing wrong ever gets as far as a signature. */
static int
format_check(struct nrs_buf *b, size_t start)
{
	struct nrs_manifest check;
	int err = b->err;

	if (err == 0)
		err = nrs_manifest_parse(&check, b->p + start, b->len - start, NULL);
	if (err != 0 && b->err == 0)
		b->len = start;
	return err;
}

int
nrs_manifest_format(struct nrs_buf *b, const struct nrs_manifest *m)
{
	size_t start = b->len;
	char created[21];

	if (m->ntls < 1 || m->ntls > 2 || m->naddr > NRS_ADDRS_MAX)
		return NRS_ERANGE;
	nrs_time_format_s(created, m->created);
	nrs_buf_fmt(b, "noroshi/v1/manifest\norigin %s\nnumber %llu\n", m->origin,
	    (unsigned long long)m->number);
	nrs_line_put_previous(b, m->number == 0, &m->previous);
	nrs_buf_fmt(b, "created %s\n", created);
	nrs_line_put_b64(b, "root ed25519", m->root.pub);
	nrs_line_put_b64(b, "next-root", m->next_root.b);
	nrs_line_put_b64(b, "key feed ed25519", m->feed.pub);
	nrs_line_put_b64(b, "key log ed25519", m->log.pub);
	nrs_line_put_b64(b, "key witness ed25519", m->witness.pub);
	for (unsigned int i = 0; i < m->ntls; i++)
		nrs_line_put_b64(b, "key tls ed25519", m->tls[i].pub);
	if (m->require_ed25519)
		nrs_buf_str(b, "require ed25519\n");
	for (unsigned int i = 0; i < m->naddr; i++)
		nrs_buf_fmt(b, "address %s\n", m->addr[i]);
	return format_check(b, start);
}

static int
manifest_follows(
    const struct nrs_manifest *prev, const struct nrs_manifest *m, struct nrs_detail *d)
{
	struct nrs_hash root;
	int err;

	if (prev == NULL) {
		if (m->number != 0)
			return nrs_fail(d, NRS_EORDER, 3, "manifest 0 is the first");
		return 0;
	}
	if (strcmp(m->origin, prev->origin) != 0)
		return nrs_fail(d, NRS_EORIGIN, 2, "manifest of another origin");
	if (m->number == prev->number && !nrs_hash_eq(&m->hash, &prev->hash))
		return nrs_fail(d, NRS_EFORK, 3, "another manifest of the same number");
	if (prev->number == UINT64_MAX || m->number != prev->number + 1)
		return nrs_fail(d, NRS_EORDER, 3, "not the next manifest");
	if (!nrs_hash_eq(&m->previous, &prev->hash))
		return nrs_fail(d, NRS_EORDER, 4, "follows another manifest");
	err = nrs_rootkey_hash(&m->root, &root);
	if (err != 0)
		return nrs_fail(d, err, 6, "hash of the root key");
	if (!nrs_hash_eq(&root, &prev->next_root))
		return nrs_fail(d, NRS_EKEY, 6, "not the root key announced before");
	return 0;
}

int
nrs_manifest_open(struct nrs_manifest *ret, const uint8_t *note, size_t len,
    const struct nrs_manifest *prev, nrs_verify_fn verify, struct nrs_detail *d)
{
	char name[NRS_ORIGIN_MAX + 8];
	struct nrs_note n;
	int err;

	err = nrs_note_parse(&n, note, len, d);
	if (err == 0)
		err = nrs_manifest_parse(ret, n.text.p, n.text.len, d);
	if (err == 0)
		err = manifest_follows(prev, ret, d);
	if (err != 0)
		return err;
	snprintf(name, sizeof(name), "%s/root", ret->origin);
	err = nrs_note_verify(&n, name, NRS_NOTE_ED25519, ret->root.pub, verify, NULL);
	if (err == NRS_ENOTFOUND)
		return nrs_fail(d, NRS_EKEY, 0, "no signature by the root key");
	return err != 0 ? nrs_fail(d, err, 0, "signature of the root key") : 0;
}
