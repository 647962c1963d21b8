/* A fake origin: manifest, records, log, checkpoint (docs/FORMAT.md). */
#include "tools/noroshi-bench/maker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>
#include <zstd.h>

#include "base/text.h"
#include "record/manifest.h"
#include "record/record.h"
#include "tlog/checkpoint.h"
#include "tlog/tree.h"
#include "wire/wire.h"

enum role { ROLE_ROOT, ROLE_NEXT, ROLE_FEED, ROLE_LOG, ROLE_WITNESS, ROLE_TLS, ROLE__MAX };

#define ZSTD_LEVEL 1 /* of the daemon (lib/journal/payload.c) */
#define FRAMES_MAX ((size_t)4 << 30)
#define LEVELS	   4 /* 256^4 leaves: enough for anything measured here */

/* A vector of hashes. */
struct hashes {
	struct nrs_hash *v;
	size_t n, cap;
};

struct maker {
	struct nrs_seckey *sec[ROLE__MAX];
	struct nrs_pubkey pub[ROLE__MAX];
	struct nrs_manifest manifest;
	struct nrs_buf invite;
	struct nrs_digest *dg;
	ZSTD_CCtx *zstd;

	struct nrs_hash audience;
	uint32_t epoch;
	uint64_t seq;
	struct nrs_hash head;

	struct hashes c; /* of sealed entries, from index 1 on */
	struct hashes level[LEVELS];
	struct nrs_frontier edge;
	uint64_t raw;
	struct nrs_buf buf[2]; /* frames of leaves, of records */
	struct maker_frames frames[2];
	size_t cap[2];
};

static int
hashes_add(struct hashes *h, const struct nrs_hash *one)
{
	size_t cap = h->cap > 0 ? h->cap * 2 : 1024;
	struct nrs_hash *v;

	if (h->n == h->cap) {
		v = realloc(h->v, cap * sizeof(*v));
		if (v == NULL)
			return NRS_ENOMEM;
		h->v = v;
		h->cap = cap;
	}
	h->v[h->n++] = *one;
	return 0;
}

/* --- keys and manifest -------------------------------------------------- */

static int
make_keys(struct maker *m, const char *origin, uint64_t seed)
{
	struct nrs_hash h;
	char text[160];
	int n, rc = 0;

	for (int i = 0; rc == 0 && i < ROLE__MAX; i++) {
		n = snprintf(text, sizeof(text), "bench key %d of %s, seed %llu", i, origin,
		    (unsigned long long)seed);
		rc = nrs_sha256(text, (size_t)n, &h);
		if (rc == 0)
			rc = nrs_seckey_from_seed(h.b, &m->sec[i]);
		if (rc == 0)
			nrs_seckey_public(m->sec[i], &m->pub[i]);
	}
	return rc;
}

static int
make_manifest(struct maker *m, const char *origin, int port)
{
	struct nrs_manifest f = { .created.ms = UINT64_C(1763800000000) };
	char name[NRS_ORIGIN_MAX + 16];
	struct nrs_buf text;
	uint8_t sig[64], id[4];
	int rc;

	snprintf(f.origin, sizeof(f.origin), "%s", origin);
	f.root = m->pub[ROLE_ROOT];
	f.feed = m->pub[ROLE_FEED];
	f.log = m->pub[ROLE_LOG];
	f.witness = m->pub[ROLE_WITNESS];
	f.tls[0] = m->pub[ROLE_TLS];
	f.ntls = 1;
	f.require_ed25519 = true;
	snprintf(f.addr[0], sizeof(f.addr[0]), "127.0.0.1:%d", port);
	f.naddr = 1;
	snprintf(name, sizeof(name), "%s/root", origin);
	nrs_buf_init(&text, NRS_NOTE_MAX);
	rc = nrs_rootkey_hash(&m->pub[ROLE_NEXT], &f.next_root);
	if (rc == 0)
		rc = nrs_manifest_format(&text, &f);
	if (rc == 0)
		rc = nrs_seckey_sign(m->sec[ROLE_ROOT], text.p, text.len, sig);
	if (rc == 0)
		rc = nrs_note_keyid(name, NRS_NOTE_ED25519, m->pub[ROLE_ROOT].pub, id);
	if (rc == 0) {
		nrs_buf_put(&m->invite, text.p, text.len);
		nrs_buf_str(&m->invite, "\n");
		nrs_note_add_sig(&m->invite, name, id, sig, sizeof(sig));
		rc = m->invite.err;
	}
	if (rc == 0)
		rc = nrs_manifest_open(
		    &m->manifest, m->invite.p, m->invite.len, NULL, nrs_verify, NULL);
	nrs_buf_fini(&text);
	return rc;
}

/* --- the log -------------------------------------------------------------- */

static int
on_hash(void *arg, unsigned int level, uint64_t index, const struct nrs_hash *h)
{
	struct maker *m = arg;

	return level < LEVELS ? hashes_add(&m->level[level], h) : NRS_ELIMIT;
}

static int
store_read(void *arg, unsigned int level, uint64_t index, size_t n, struct nrs_hash *ret)
{
	const struct maker *m = arg;

	if (level >= LEVELS || index + n > m->level[level].n)
		return NRS_ERANGE;
	memcpy(ret, m->level[level].v + index, n * sizeof(*ret));
	return 0;
}

/* --- frames --------------------------------------------------------------- */

static int
frame_begins(struct maker *m, int which)
{
	struct maker_frames *f = &m->frames[which];
	size_t cap = m->cap[which] > 0 ? m->cap[which] * 2 : 1024, *at;

	if (f->n + 2 > m->cap[which]) {
		at = realloc(f->at, cap * sizeof(*at));
		if (at == NULL)
			return NRS_ENOMEM;
		f->at = at;
		m->cap[which] = cap;
	}
	f->at[f->n++] = m->buf[which].len;
	return 0;
}

static void
frames_end(struct maker *m, int which)
{
	struct maker_frames *f = &m->frames[which];

	f->p = m->buf[which].p;
	f->len = m->buf[which].len;
	if (f->at != NULL)
		f->at[f->n] = f->len;
}

/* --- records -------------------------------------------------------------- */

static int
make_header(struct maker *m, const void *payload, size_t len, const uint8_t *uuid,
    const uint8_t *salt, uint8_t out[NRS_HEADER_LEN])
{
	struct nrs_header h = { .kind = NRS_KIND_BUNDLE, .tlp = NRS_TLP_GREEN };
	int rc;

	h.created.ms = UINT64_C(1763823600000);
	h.seq = m->seq;
	h.epoch = m->epoch;
	h.audience = m->audience;
	h.prev = m->head;
	h.origin = m->manifest.origin_id;
	h.payload_len = len;
	h.ref_index = NRS_NONE;
	memcpy(h.uuid, uuid, NRS_UUID_LEN);
	rc = nrs_payload_commit(m->dg, salt, payload, len, &h.payload_commit);
	if (rc == 0)
		nrs_header_encode(&h, out);
	return rc;
}

static int
put_frame(struct maker *m, const struct wire_record *w)
{
	struct nrs_buf *b = &m->buf[1];
	size_t at;
	int rc;

	if (wire_record_len(w->sigs.len, w->data.len) > NRS_FRAME_MAX)
		return NRS_ELIMIT;
	if ((rc = frame_begins(m, 1)) != 0)
		return rc;
	wire_begin(b, WIRE_RECORD, 0, 0, &at);
	wire_record_encode(b, w);
	wire_end(b, at);
	return b->err;
}

/* What was signed goes into log and chain. */
static int
append(struct maker *m, const struct wire_record *w)
{
	struct nrs_hash c, leaf;
	int rc;

	rc = nrs_record_commit(m->dg, w->header, w->sigs.p, w->sigs.len, &c);
	if (rc == 0)
		rc = nrs_leaf_sealed(m->dg, &c, &leaf);
	if (rc == 0)
		rc = hashes_add(&m->c, &c);
	if (rc == 0)
		rc = nrs_frontier_append(m->dg, &m->edge, &leaf, on_hash, m);
	if (rc == 0)
		rc = nrs_header_link(w->header, &m->head);
	if (rc == 0)
		m->seq++;
	return rc;
}

int
maker_record(
    struct maker *m, const void *payload, size_t len, const uint8_t uuid[NRS_UUID_LEN])
{
	uint8_t header[NRS_HEADER_LEN], salt[NRS_SALT_LEN], sig[64], pae[NRS_PAE_MAX];
	struct wire_record w = { .index = m->edge.size, .header = header, .salt = salt };
	size_t bound = ZSTD_compressBound(len), n;
	uint8_t *z = malloc(bound);
	struct nrs_buf sigs;
	int rc = NRS_ENOMEM;

	nrs_buf_init(&sigs, 256);
	if (z == NULL || RAND_bytes(salt, sizeof(salt)) != 1)
		goto out;
	if ((rc = make_header(m, payload, len, uuid, salt, header)) != 0)
		goto out;
	n = nrs_header_pae(header, pae);
	if ((rc = nrs_seckey_sign(m->sec[ROLE_FEED], pae, n, sig)) != 0)
		goto out;
	nrs_sigs_encode1(&sigs, m->pub[ROLE_FEED].id, sig);
	if ((rc = sigs.err) != 0)
		goto out;
	w.sigs = (struct nrs_str){ sigs.p, sigs.len };
	n = ZSTD_compressCCtx(m->zstd, z, bound, payload, len, ZSTD_LEVEL);
	if (ZSTD_isError(n) || n >= len) {
		w.flags = WIRE_RECORD_RAW;
		w.data = (struct nrs_str){ payload, len };
	} else {
		w.data = (struct nrs_str){ z, n };
	}
	rc = put_frame(m, &w);
	if (rc == 0)
		rc = append(m, &w);
	m->raw += len;
out:
	nrs_buf_fini(&sigs);
	free(z);
	return rc;
}

/* --- leaves --------------------------------------------------------------- */

static int
make_checkpoint(struct maker *m, struct nrs_buf *note)
{
	struct nrs_checkpoint cp = { .size = m->edge.size };
	struct nrs_buf text;
	uint8_t sig[64];
	int rc;

	snprintf(cp.origin, sizeof(cp.origin), "%s", m->manifest.origin);
	nrs_buf_init(&text, NRS_NOTE_MAX);
	rc = nrs_frontier_root(m->dg, &m->edge, &cp.root);
	if (rc == 0)
		rc = nrs_checkpoint_format(&text, &cp);
	if (rc == 0)
		rc = nrs_seckey_sign(m->sec[ROLE_LOG], text.p, text.len, sig);
	if (rc == 0)
		rc = nrs_checkpoint_note(note, &cp, &m->pub[ROLE_LOG], sig);
	nrs_buf_fini(&text);
	return rc;
}

static int
put_leaves(struct maker *m, uint64_t first, uint32_t count, const struct nrs_buf *note)
{
	struct nrs_tile_store store = { store_read, m };
	struct wire_leaves w = {
		.origin = m->manifest.origin_id,
		.first = first,
		.count = count,
		.checkpoint = { note->p, note->len },
	};
	struct wire_entry e = { 0 };
	struct nrs_buf *b = &m->buf[0];
	size_t at;
	int rc;

	rc = nrs_tree_consistency(m->dg, &store, first + count, m->edge.size, &w.proof);
	if (rc != 0 || (rc = frame_begins(m, 0)) != 0)
		return rc;
	wire_begin(b, WIRE_LEAVES, 0, 0, &at);
	wire_leaves_encode(b, &w);
	for (uint64_t i = first; i < first + count; i++) {
		e.control = i == 0;
		if (e.control)
			e.doc = (struct nrs_str){ m->invite.p, m->invite.len };
		else
			e.c = m->c.v[i - 1];
		wire_entry_encode(b, &e);
	}
	wire_end(b, at);
	return b->err;
}

int
maker_finish(struct maker *m)
{
	uint64_t first, left;
	struct nrs_buf note;
	uint32_t n;
	int rc;

	nrs_buf_init(&note, NRS_NOTE_MAX);
	rc = make_checkpoint(m, &note);
	for (first = 0; rc == 0 && first < m->edge.size; first += n) {
		left = m->edge.size - first;
		n = left < NRS_LEAVES_PER_FRAME ? (uint32_t)left : NRS_LEAVES_PER_FRAME;
		rc = put_leaves(m, first, n, &note);
	}
	nrs_buf_fini(&note);
	frames_end(m, 0);
	frames_end(m, 1);
	return rc;
}

/* --- life ----------------------------------------------------------------- */

int
maker_new(const char *origin, uint64_t seed, int port, struct maker **ret)
{
	struct maker *m = calloc(1, sizeof(*m));
	struct nrs_hash leaf;
	int rc;

	*ret = NULL;
	if (m == NULL)
		return NRS_ENOMEM;
	nrs_buf_init(&m->invite, NRS_NOTE_MAX);
	nrs_buf_init(&m->buf[0], FRAMES_MAX);
	nrs_buf_init(&m->buf[1], FRAMES_MAX);
	nrs_frontier_init(&m->edge);
	m->dg = nrs_digest_new();
	m->zstd = ZSTD_createCCtx();
	rc = m->dg == NULL || m->zstd == NULL ? NRS_ENOMEM : make_keys(m, origin, seed);
	if (rc == 0)
		rc = make_manifest(m, origin, port);
	if (rc == 0)
		rc = nrs_leaf_control(m->dg, m->invite.p, m->invite.len, &leaf);
	if (rc == 0)
		rc = nrs_frontier_append(m->dg, &m->edge, &leaf, on_hash, m);
	if (rc != 0) {
		maker_free(m);
		return rc;
	}
	*ret = m;
	return 0;
}

void
maker_free(struct maker *m)
{
	if (m == NULL)
		return;
	for (int i = 0; i < ROLE__MAX; i++)
		nrs_seckey_free(m->sec[i]);
	for (int i = 0; i < LEVELS; i++)
		free(m->level[i].v);
	for (int i = 0; i < 2; i++) {
		nrs_buf_fini(&m->buf[i]);
		free(m->frames[i].at);
	}
	free(m->c.v);
	nrs_buf_fini(&m->invite);
	nrs_digest_free(m->dg);
	ZSTD_freeCCtx(m->zstd);
	free(m);
}

void
maker_audience(struct maker *m, const struct nrs_hash *id, uint32_t epoch)
{
	m->audience = *id;
	m->epoch = epoch;
}

void
maker_fingerprint(const struct maker *m, char out[25])
{
	nrs_fingerprint_format(out, &m->manifest.hash);
}

struct nrs_str
maker_invite(const struct maker *m)
{
	return (struct nrs_str){ m->invite.p, m->invite.len };
}

const char *
maker_origin(const struct maker *m)
{
	return m->manifest.origin;
}

const struct nrs_hash *
maker_id(const struct maker *m)
{
	return &m->manifest.origin_id;
}

const struct nrs_hash *
maker_audience_id(const struct maker *m)
{
	return &m->audience;
}

const struct nrs_hash *
maker_manifest_hash(const struct maker *m)
{
	return &m->manifest.hash;
}

struct nrs_seckey *
maker_tls_key(const struct maker *m)
{
	return m->sec[ROLE_TLS];
}

uint64_t
maker_count(const struct maker *m)
{
	return m->seq;
}

uint64_t
maker_size(const struct maker *m)
{
	return m->edge.size;
}

uint64_t
maker_raw(const struct maker *m)
{
	return m->raw;
}

struct maker_frames *
maker_leaves(struct maker *m)
{
	return &m->frames[0];
}

struct maker_frames *
maker_records(struct maker *m)
{
	return &m->frames[1];
}
