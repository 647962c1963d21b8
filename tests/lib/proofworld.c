#include "tests/lib/proofworld.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/note.h"

#define MUST(cond)                                                                 \
	do {                                                                       \
		if (!(cond)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
			abort();                                                   \
		}                                                                  \
	} while (0)

static const char bundle[] =
    "{\"type\":\"bundle\",\"id\":\"bundle--8d3a1f5e-52d1-4c3a-9d0e-1b2c3d4e5f60\","
    "\"objects\":[{\"type\":\"indicator\",\"spec_version\":\"2.1\","
    "\"id\":\"indicator--0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0\","
    "\"created\":\"2026-11-22T14:41:00.000Z\",\"modified\":\"2026-11-22T14:41:00.000Z\","
    "\"object_marking_refs\":[\"marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb\"],"
    "\"pattern\":\"[url:value = 'http://a.example/']\",\"pattern_type\":\"stix\","
    "\"valid_from\":\"2026-11-22T14:41:00Z\"}]}";

static struct nrs_seckey *
derive(unsigned int generation, const char *role, struct nrs_pubkey *pub)
{
	struct nrs_seckey *k;
	struct nrs_hash h;
	char text[64];

	snprintf(text, sizeof(text), "%u %s", generation, role);
	MUST(nrs_sha256(text, strlen(text), &h) == 0);
	MUST(nrs_seckey_from_seed(h.b, &k) == 0);
	nrs_seckey_public(k, pub);
	return k;
}

static void
sign_note(struct nrs_buf *note, const struct nrs_buf *text, const char *role,
    struct nrs_seckey *sec)
{
	uint8_t sig[NRS_ED25519_SIG], id[4];
	struct nrs_pubkey pub;
	char name[64];

	snprintf(name, sizeof(name), "%s/%s", PW_ORIGIN, role);
	nrs_seckey_public(sec, &pub);
	MUST(nrs_seckey_sign(sec, text->p, text->len, sig) == 0);
	MUST(nrs_note_keyid(name, NRS_NOTE_ED25519, pub.pub, id) == 0);
	nrs_buf_put(note, text->p, text->len);
	nrs_buf_u8(note, '\n');
	nrs_note_add_sig(note, name, id, sig, sizeof(sig));
	MUST(note->err == 0);
}

static void
make_manifests(struct proofworld *w)
{
	struct nrs_pubkey roots[PW_MANIFESTS + 1];
	struct nrs_manifest *m, check;
	struct nrs_buf text;

	for (unsigned int i = 0; i <= PW_MANIFESTS; i++)
		w->k[i].root = derive(i, "root", &roots[i]);
	for (unsigned int i = 0; i < PW_MANIFESTS; i++) {
		m = &w->m[i];
		snprintf(m->origin, sizeof(m->origin), "%s", PW_ORIGIN);
		m->number = i;
		if (i > 0)
			m->previous = w->m[i - 1].hash;
		m->created.ms = 1763800000000 + i * 1000u;
		m->root = roots[i];
		MUST(nrs_rootkey_hash(&roots[i + 1], &m->next_root) == 0);
		w->k[i].feed = derive(i, "feed", &m->feed);
		w->k[i].log = derive(i, "log", &m->log);
		w->k[i].witness = derive(i, "witness", &m->witness);
		w->k[i].tls = derive(i, "tls", &m->tls[0]);
		m->ntls = 1;
		m->require_ed25519 = true;
		nrs_buf_init(&text, NRS_NOTE_MAX);
		nrs_buf_init(&w->note[i], NRS_NOTE_MAX);
		MUST(nrs_manifest_format(&text, m) == 0);
		MUST(nrs_manifest_parse(&check, text.p, text.len, NULL) == 0);
		m->hash = check.hash;
		sign_note(&w->note[i], &text, "root", w->k[i].root);
		nrs_buf_fini(&text);
	}
}

void
proofworld_record(struct proofworld *w, unsigned int index, uint8_t kind, uint8_t tlp,
    const char *payload, unsigned int key)
{
	struct nrs_header h = { .kind = kind,
		.tlp = tlp,
		.flags = NRS_FLAG_URGENT,
		.created.ms = 1763822460000 + index,
		.seq = index - 1,
		.audience = { { 0x11 } },
		.payload_len = strlen(payload),
		.ref_index = NRS_NONE,
		.uuid = { 1, 2, 3, 4, 5, 6, 0x41, 8, 0x89, 10, 11, 12, 13, 14, 15, 16 } };
	uint8_t pae[NRS_PAE_MAX], sig[NRS_ED25519_SIG], other[3] = { 7, 8, 9 };
	struct nrs_buf *sigs = &w->r[index].sigs;
	struct nrs_pubkey feed;
	struct nrs_hash c;
	size_t len;

	if (h.seq > 0)
		h.prev.b[0] = 0x22;
	memset(w->r[index].salt, (int)(0x30 + index), NRS_SALT_LEN);
	MUST(nrs_origin_id(PW_ORIGIN, strlen(PW_ORIGIN), &h.origin) == 0);
	MUST(nrs_payload_commit(w->dg, w->r[index].salt, payload, strlen(payload),
		 &h.payload_commit) == 0);
	nrs_header_encode(&h, w->r[index].header);
	if (kind == 0)
		w->r[index].header[4] = 2; /* of a later version */
	nrs_seckey_public(w->k[key].feed, &feed);
	len = nrs_header_pae(w->r[index].header, pae);
	MUST(nrs_seckey_sign(w->k[key].feed, pae, len, sig) == 0);
	/* One more, of an algorithm that counts for nothing here. */
	nrs_buf_reset(sigs);
	nrs_sigs_encode1(sigs, feed.id, sig);
	sigs->p[0] = 2;
	nrs_buf_u8(sigs, 9);
	nrs_buf_put(sigs, feed.id, NRS_KEYID_LEN);
	nrs_buf_lstr(sigs, other, sizeof(other));
	nrs_buf_reset(&w->r[index].payload);
	nrs_buf_str(&w->r[index].payload, payload);
	MUST(nrs_record_commit(w->dg, w->r[index].header, sigs->p, sigs->len, &c) == 0);
	MUST(nrs_leaf_sealed(w->dg, &c, &w->leaf[index]) == 0);
}

void
proofworld_init(struct proofworld *w)
{
	unsigned int key = 0;

	memset(w, 0, sizeof(*w));
	w->dg = nrs_digest_new();
	MUST(w->dg != NULL);
	nrs_buf_init(&w->checkpoint, NRS_NOTE_MAX);
	make_manifests(w);
	for (unsigned int i = 0; i < PW_SIZE; i++) {
		nrs_buf_init(&w->r[i].sigs, NRS_SIGBLOCK_MAX);
		nrs_buf_init(&w->r[i].payload, NRS_PAYLOAD_MAX);
		if (key < PW_MANIFESTS && proofworld_manifest_at[key] == i) {
			MUST(nrs_leaf_control(w->dg, w->note[key].p, w->note[key].len,
				 &w->leaf[i]) == 0);
			key++;
		} else if (i == 3) {
			proofworld_record(
			    w, i, 42, NRS_TLP_RED, "of times to come", key - 1);
		} else if (i == 6) {
			proofworld_record(
			    w, i, 0, NRS_TLP_RED, "of another version", key - 1);
		} else {
			proofworld_record(
			    w, i, NRS_KIND_BUNDLE, NRS_TLP_GREEN, bundle, key - 1);
		}
	}
}

void
proofworld_fini(struct proofworld *w)
{
	for (unsigned int i = 0; i <= PW_MANIFESTS; i++) {
		nrs_seckey_free(w->k[i].root);
		nrs_seckey_free(w->k[i].feed);
		nrs_seckey_free(w->k[i].log);
		nrs_seckey_free(w->k[i].witness);
		nrs_seckey_free(w->k[i].tls);
	}
	for (unsigned int i = 0; i < PW_MANIFESTS; i++)
		nrs_buf_fini(&w->note[i]);
	for (unsigned int i = 0; i < PW_SIZE; i++) {
		nrs_buf_fini(&w->r[i].sigs);
		nrs_buf_fini(&w->r[i].payload);
	}
	nrs_buf_fini(&w->checkpoint);
	nrs_digest_free(w->dg);
}

static int
leaf_read(void *arg, unsigned int level, uint64_t index, size_t n, struct nrs_hash *ret)
{
	struct proofworld *w = arg;

	MUST(level == 0 && index + n <= PW_SIZE);
	memcpy(ret, w->leaf + index, n * sizeof(*ret));
	return 0;
}

void
proofworld_checkpoint(struct proofworld *w, uint64_t size, unsigned int key)
{
	struct nrs_tile_store store = { leaf_read, w };
	struct nrs_checkpoint cp = { .origin = PW_ORIGIN, .size = size };
	struct nrs_buf text;

	nrs_buf_init(&text, NRS_NOTE_MAX);
	MUST(nrs_tree_root(w->dg, &store, size, &cp.root) == 0);
	MUST(nrs_checkpoint_format(&text, &cp) == 0);
	nrs_buf_reset(&w->checkpoint);
	sign_note(&w->checkpoint, &text, "log", w->k[key].log);
	nrs_buf_fini(&text);
}

void
proofworld_fill(
    struct proofworld *w, uint64_t index, uint64_t size, struct nrs_proof_file *f)
{
	struct nrs_tile_store store = { leaf_read, w };
	unsigned int key = 0, at;

	memset(f, 0, sizeof(*f));
	snprintf(f->origin, sizeof(f->origin), "%s", PW_ORIGIN);
	f->manifests = w->manifests;
	for (unsigned int i = 1; i < PW_MANIFESTS; i++) {
		at = proofworld_manifest_at[i];
		if (at >= size)
			break;
		if (at + 1 < size)
			key = i;
		MUST(nrs_tree_inclusion(w->dg, &store, at, size, &w->paths[i - 1]) == 0);
		w->manifests[i - 1].index = at;
		w->manifests[i - 1].note.p = w->note[i].p;
		w->manifests[i - 1].note.len = w->note[i].len;
		w->manifests[i - 1].path.p = w->paths[i - 1].h[0].b;
		w->manifests[i - 1].path.len = w->paths[i - 1].n * NRS_HASH_LEN;
		f->nmanifests = i;
	}
	f->text.index = index;
	MUST(nrs_tree_inclusion(w->dg, &store, index, size, &f->text.path) == 0);
	proofworld_checkpoint(w, size, key);
	f->text.checkpoint.p = w->checkpoint.p;
	f->text.checkpoint.len = w->checkpoint.len;
	f->header = w->r[index].header;
	f->sigs.p = w->r[index].sigs.p;
	f->sigs.len = w->r[index].sigs.len;
	f->salt = w->r[index].salt;
	f->payload.p = w->r[index].payload.p;
	f->payload.len = w->r[index].payload.len;
}

void
proofworld_file(struct proofworld *w, uint64_t index, uint64_t size, struct nrs_buf *b)
{
	struct nrs_proof_file f;

	nrs_buf_init(b, NRS_PROOF_FILE_MAX);
	proofworld_fill(w, index, size, &f);
	nrs_proof_file_encode(b, &f);
	MUST(b->err == 0);
}
