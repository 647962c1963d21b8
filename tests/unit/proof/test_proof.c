/* Proof files: what verifies, and that nothing else does (docs/FORMAT.md, section 10). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/lib/proofworld.h"

static struct proofworld *world;

static int
setup(void **state)
{
	world = malloc(sizeof(*world));
	assert_non_null(world);
	proofworld_init(world);
	return 0;
}

static int
teardown(void **state)
{
	proofworld_fini(world);
	free(world);
	return 0;
}

/*
 * What verified once verifies again: flips are many, and nearly all leave most
 * signatures as they are.
 */
static int
remembering(uint8_t alg, const uint8_t *pub, size_t pub_len, const uint8_t *msg,
    size_t msg_len, const uint8_t *sig, size_t sig_len)
{
	static struct {
		struct nrs_hash good[16];
		unsigned int n;
	} seen;
	struct nrs_digest *dg = nrs_digest_new();
	struct nrs_hash h;
	int rc;

	assert_non_null(dg);
	nrs_digest_begin(dg);
	nrs_digest_u32(dg, alg);
	nrs_digest_u64(dg, pub_len);
	nrs_digest_add(dg, pub, pub_len);
	nrs_digest_u64(dg, msg_len);
	nrs_digest_add(dg, msg, msg_len);
	nrs_digest_add(dg, sig, sig_len);
	assert_int_equal(nrs_digest_end(dg, &h), 0);
	nrs_digest_free(dg);
	for (unsigned int i = 0; i < seen.n; i++)
		if (nrs_hash_eq(&seen.good[i], &h))
			return 0;
	rc = nrs_verify(alg, pub, pub_len, msg, msg_len, sig, sig_len);
	if (rc == 0 && seen.n < sizeof(seen.good) / sizeof(seen.good[0]))
		seen.good[seen.n++] = h;
	return rc;
}

static int
verify(const uint8_t *p, size_t len, unsigned int ngiven, struct nrs_proof_result *ret,
    struct nrs_detail *d)
{
	struct nrs_str given[PW_MANIFESTS];

	for (unsigned int i = 0; i < ngiven; i++) {
		given[i].p = world->note[i].p;
		given[i].len = world->note[i].len;
	}
	memset(d, 0, sizeof(*d));
	return nrs_proof_file_verify(ret, p, len, given, ngiven, remembering, d);
}

/* --- what holds ------------------------------------------------------------ */

static void
test_all_records(void **state)
{
	static const struct {
		uint64_t index, size;
		unsigned int feed, log, last;
	} v[] = {
		{ 1, 2, 0, 0, 0 },
		{ 1, 3, 0, 0, 1 },
		{ 1, 4, 0, 1, 1 },
		{ 3, 4, 1, 1, 1 },
		{ 3, 5, 1, 1, 2 },
		{ 3, 8, 1, 2, 2 },
		{ 6, 7, 2, 2, 2 },
		{ 5, 6, 2, 2, 2 },
		{ 7, 8, 2, 2, 2 },
	};
	struct nrs_proof_result r;
	struct nrs_detail d;
	struct nrs_buf b;

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		proofworld_file(world, v[i].index, v[i].size, &b);
		assert_int_equal(verify(b.p, b.len, 1, &r, &d), 0);
		assert_int_equal(d.code, 0);
		assert_int_equal(r.check, NRS_PROOF__CHECKS);
		assert_string_equal(r.origin, PW_ORIGIN);
		assert_int_equal(r.index, v[i].index);
		assert_int_equal(r.checkpoint.size, v[i].size);
		assert_true(nrs_hash_eq(&r.leaf, &world->leaf[v[i].index]));
		assert_true(nrs_hash_eq(&r.manifest, &world->m[0].hash));
		assert_int_equal(r.feed_manifest, v[i].feed);
		assert_int_equal(r.log_manifest, v[i].log);
		assert_int_equal(r.last_manifest, v[i].last);
		assert_memory_equal(r.feed.id, world->m[v[i].feed].feed.id, NRS_KEYID_LEN);
		assert_memory_equal(r.log.pub, world->m[v[i].log].log.pub, 32);
		assert_int_equal(r.interpreted, v[i].index % 3 != 0);
		assert_int_equal(r.bundle.n, v[i].index % 3 != 0 ? 1 : 0);
		assert_int_equal(r.header.version, v[i].index == 6 ? 2 : 1);
		assert_int_equal(r.payload.len, world->r[v[i].index].payload.len);
		assert_memory_equal(
		    r.payload.p, world->r[v[i].index].payload.p, r.payload.len);
		assert_false(r.newer);
		/* The verifier knows more manifests than the file has. */
		assert_int_equal(verify(b.p, b.len, PW_MANIFESTS, &r, &d), 0);
		assert_int_equal(r.newer, v[i].last < PW_MANIFESTS - 1);
		nrs_buf_fini(&b);
	}
}

static void
test_written_as_read(void **state)
{
	struct nrs_proof_file f;
	struct nrs_detail d = { 0 };
	struct nrs_buf b, again;

	proofworld_file(world, 7, 8, &b);
	assert_int_equal(nrs_proof_file_parse(&f, b.p, b.len, &d), 0);
	assert_int_equal(f.nmanifests, 2);
	nrs_buf_init(&again, NRS_PROOF_FILE_MAX);
	nrs_proof_file_encode(&again, &f);
	assert_int_equal(again.err, 0);
	assert_int_equal(again.len, b.len);
	assert_memory_equal(again.p, b.p, b.len);
	nrs_proof_file_fini(&f);
	nrs_buf_fini(&again);
	nrs_buf_fini(&b);
}

/* --- what does not ------------------------------------------------------------ */

static void
test_every_flip(void **state)
{
	static const struct {
		uint64_t index, size;
	} v[] = { { 1, 2 }, { 3, 8 }, { 7, 8 } };
	struct nrs_proof_result r;
	struct nrs_detail d;
	struct nrs_buf b;
	int rc;

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		proofworld_file(world, v[i].index, v[i].size, &b);
		for (size_t bit = 0; bit < b.len * 8; bit++) {
			b.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
			rc = verify(b.p, b.len, 1, &r, &d);
			if (rc >= 0 || d.code != rc || d.off > b.len || d.text[0] == '\0' ||
			    r.check == NRS_PROOF__CHECKS)
				fail_msg("bit %zu of byte %zu: %d, %d at %llu: %s", bit % 8,
				    bit / 8, rc, d.code, (unsigned long long)d.off, d.text);
			b.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
		assert_int_equal(verify(b.p, b.len, 1, &r, &d), 0);
		nrs_buf_fini(&b);
	}
}

static void
test_every_truncation(void **state)
{
	struct nrs_proof_result r;
	struct nrs_detail d;
	struct nrs_buf b;
	uint8_t *part;
	int rc;

	proofworld_file(world, 7, 8, &b);
	for (size_t len = 0; len < b.len; len++) {
		part = malloc(len > 0 ? len : 1); /* a read beyond it is seen */
		assert_non_null(part);
		memcpy(part, b.p, len);
		rc = verify(part, len, 1, &r, &d);
		free(part);
		assert_int_equal(r.check, NRS_PROOF_FORM);
		assert_int_equal(rc, NRS_ETRUNC);
		assert_int_equal(d.off, len);
	}
	nrs_buf_u8(&b, 0);
	assert_int_equal(verify(b.p, b.len, 1, &r, &d), NRS_ETRAILING);
	assert_int_equal(d.off, b.len - 1);
	nrs_buf_fini(&b);
}

/* Whole files that are made wrongly: the check that finds it, and the error. */
struct wrong {
	const char *name;
	void (*make)(struct nrs_proof_file *f, struct nrs_buf *scratch);
	uint64_t index, size;
	int err;
	enum nrs_proof_check check;
};

static void
no_change(struct nrs_proof_file *f, struct nrs_buf *b)
{
}

static void
other_origin(struct nrs_proof_file *f, struct nrs_buf *b)
{
	strcpy(f->origin, "us.cert.example");
}

static void
old_log_key(struct nrs_proof_file *f, struct nrs_buf *b)
{
	proofworld_checkpoint(world, 8, 1);
	f->text.checkpoint.p = world->checkpoint.p;
}

static void
extra_signature(struct nrs_proof_file *f, struct nrs_buf *b)
{
	uint8_t sig[64] = { 0 }, id[4] = { 1, 2, 3, 4 };

	nrs_buf_put(b, f->text.checkpoint.p, f->text.checkpoint.len);
	nrs_note_add_sig(b, "sg.cert.example/witness", id, sig, sizeof(sig));
	f->text.checkpoint.p = b->p;
	f->text.checkpoint.len = b->len;
}

static void
hidden_manifest(struct nrs_proof_file *f, struct nrs_buf *b)
{
	f->nmanifests--;
}

static void
manifests_swapped(struct nrs_proof_file *f, struct nrs_buf *b)
{
	struct nrs_proof_manifest m = f->manifests[0];

	f->manifests[0] = f->manifests[1];
	f->manifests[1] = m;
}

/* Its own index decides from where a key counts: it is bound by the inclusion. */
static void
manifest_elsewhere(struct nrs_proof_file *f, struct nrs_buf *b)
{
	f->manifests[1].index = 3;
}

static void
manifest_beyond(struct nrs_proof_file *f, struct nrs_buf *b)
{
	f->manifests[1].index = 8;
}

static void
manifest_twice(struct nrs_proof_file *f, struct nrs_buf *b)
{
	f->manifests[1] = f->manifests[0];
}

static void
other_index(struct nrs_proof_file *f, struct nrs_buf *b)
{
	f->text.index = 6;
}

static void
index_beyond(struct nrs_proof_file *f, struct nrs_buf *b)
{
	f->text.index = 8;
}

static void
longer_path(struct nrs_proof_file *f, struct nrs_buf *b)
{
	memset(&f->text.path.h[f->text.path.n++], 0, NRS_HASH_LEN);
}

static void
shorter_path(struct nrs_proof_file *f, struct nrs_buf *b)
{
	f->text.path.n--;
}

static void
other_record(struct nrs_proof_file *f, struct nrs_buf *b)
{
	f->header = world->r[5].header;
	f->sigs.p = world->r[5].sigs.p;
}

static void
salt_of_another(struct nrs_proof_file *f, struct nrs_buf *b)
{
	f->salt = world->r[6].salt;
}

static const struct wrong wrongs[] = {
	{ "nothing", no_change, 7, 8, 0, NRS_PROOF__CHECKS },
	{ "another origin", other_origin, 7, 8, NRS_EUNKNOWN, NRS_PROOF_ORIGIN },
	{ "checkpoint by the log key of before", old_log_key, 7, 8, NRS_EKEY,
	    NRS_PROOF_CHECKPOINT },
	{ "a second signature line", extra_signature, 7, 8, NRS_ESYNTAX,
	    NRS_PROOF_CHECKPOINT },
	{ "the last manifest left out", hidden_manifest, 7, 8, NRS_EKEY,
	    NRS_PROOF_CHECKPOINT },
	{ "manifests swapped", manifests_swapped, 7, 8, NRS_EORDER, NRS_PROOF_MANIFESTS },
	{ "a manifest at another index", manifest_elsewhere, 7, 8, NRS_EPROOF,
	    NRS_PROOF_INCLUSION },
	{ "a manifest beyond the checkpoint", manifest_beyond, 7, 8, NRS_EORDER,
	    NRS_PROOF_MANIFESTS },
	{ "a manifest twice", manifest_twice, 7, 8, NRS_EORDER, NRS_PROOF_MANIFESTS },
	{ "another index", other_index, 7, 8, NRS_EPROOF, NRS_PROOF_INCLUSION },
	{ "an index beyond the checkpoint", index_beyond, 7, 8, NRS_EPROOF,
	    NRS_PROOF_INCLUSION },
	{ "a hash too many", longer_path, 7, 8, NRS_EPROOF, NRS_PROOF_INCLUSION },
	{ "a hash too few", shorter_path, 7, 8, NRS_EPROOF, NRS_PROOF_INCLUSION },
	{ "another record", other_record, 7, 8, NRS_EPROOF, NRS_PROOF_INCLUSION },
	{ "the salt of another", salt_of_another, 7, 8, NRS_ECOMMIT, NRS_PROOF_PAYLOAD },
};

static void
test_wrong_files(void **state)
{
	struct nrs_proof_result r;
	struct nrs_proof_file f;
	struct nrs_buf b, scratch;
	struct nrs_detail d;
	int rc;

	for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
		nrs_buf_init(&b, NRS_PROOF_FILE_MAX);
		nrs_buf_init(&scratch, NRS_NOTE_MAX);
		proofworld_fill(world, wrongs[i].index, wrongs[i].size, &f);
		wrongs[i].make(&f, &scratch);
		nrs_proof_file_encode(&b, &f);
		assert_int_equal(b.err, 0);
		rc = verify(b.p, b.len, 1, &r, &d);
		if (rc != wrongs[i].err || r.check != wrongs[i].check)
			fail_msg("%s: %s at %s: %s", wrongs[i].name, nrs_errname(rc),
			    nrs_proof_check_name(r.check), d.text);
		nrs_buf_fini(&scratch);
		nrs_buf_fini(&b);
	}
}

/* Signed by whom it may not be, too weakly marked, not a bundle: the log has it all the same. */
static void
test_wrong_records(void **state)
{
	char marked[2048], bad[] = "{\"type\":\"bundle\"}";
	struct nrs_proof_result r;
	struct nrs_detail d;
	struct nrs_buf b;

	snprintf(marked, sizeof(marked), "%.*s", (int)world->r[5].payload.len,
	    (const char *)world->r[5].payload.p);
	proofworld_record(world, 5, NRS_KIND_BUNDLE, NRS_TLP_GREEN, marked, 1);
	proofworld_file(world, 5, 8, &b);
	assert_int_equal(verify(b.p, b.len, 1, &r, &d), NRS_EKEY);
	assert_int_equal(r.check, NRS_PROOF_SIGNATURES);
	nrs_buf_fini(&b);
	proofworld_record(world, 5, NRS_KIND_BUNDLE, NRS_TLP_CLEAR, marked, 2);
	proofworld_file(world, 5, 8, &b);
	assert_int_equal(verify(b.p, b.len, 1, &r, &d), NRS_EMARKING);
	assert_int_equal(r.check, NRS_PROOF_MARKING);
	nrs_buf_fini(&b);
	proofworld_record(world, 5, NRS_KIND_BUNDLE, NRS_TLP_CLEAR, bad, 2);
	proofworld_file(world, 5, 8, &b);
	assert_int_not_equal(verify(b.p, b.len, 1, &r, &d), 0);
	assert_int_equal(r.check, NRS_PROOF_CONTENT);
	assert_true(d.off >= b.len - strlen(bad) && d.off <= b.len);
	nrs_buf_fini(&b);
	proofworld_record(world, 5, NRS_KIND_BUNDLE, NRS_TLP_GREEN, marked, 2);
	proofworld_file(world, 5, 8, &b);
	assert_int_equal(verify(b.p, b.len, 1, &r, &d), 0);
	nrs_buf_fini(&b);
}

/* --- who is trusted --------------------------------------------------------------- */

static void
test_given_manifests(void **state)
{
	struct nrs_str given[2], sound = { world->note[0].p, world->note[0].len };
	struct nrs_proof_result r;
	struct nrs_detail d = { 0 };
	struct nrs_buf b, note;

	proofworld_file(world, 7, 8, &b);
	assert_int_equal(verify(b.p, b.len, 0, &r, &d), NRS_EUNKNOWN);
	assert_int_equal(r.check, NRS_PROOF_ORIGIN);
	assert_int_equal(d.off, 10);

	/* Later ones without number 0. */
	given[0].p = world->note[1].p;
	given[0].len = world->note[1].len;
	memset(&d, 0, sizeof(d));
	assert_int_equal(
	    nrs_proof_file_verify(&r, b.p, b.len, given, 1, nrs_verify, &d), NRS_EUNKNOWN);

	/* A manifest 0 with a broken signature, and then a sound one beside it. */
	nrs_buf_init(&note, NRS_NOTE_MAX);
	nrs_buf_put(&note, sound.p, sound.len);
	note.p[note.len - 20] = note.p[note.len - 20] == 'A' ? 'B' : 'A';
	given[0].p = note.p;
	given[0].len = note.len;
	given[1] = sound;
	memset(&d, 0, sizeof(d));
	assert_int_equal(
	    nrs_proof_file_verify(&r, b.p, b.len, given, 1, nrs_verify, &d), NRS_ESIG);
	assert_int_equal(r.check, NRS_PROOF_ORIGIN);
	memset(&d, 0, sizeof(d));
	assert_int_equal(
	    nrs_proof_file_verify(&r, b.p, b.len, given, 2, nrs_verify, &d), 0);

	/* Bytes that are no note say nothing. */
	given[0].p = (const uint8_t *)"x";
	given[0].len = 1;
	memset(&d, 0, sizeof(d));
	assert_int_equal(
	    nrs_proof_file_verify(&r, b.p, b.len, given, 2, nrs_verify, &d), 0);
	nrs_buf_fini(&note);
	nrs_buf_fini(&b);
}

/* The same name, another root: nothing of it is believed; two of them at once neither. */
static void
test_impostor(void **state)
{
	struct nrs_str given[2] = { { world->note[0].p, world->note[0].len } };
	char name[64] = PW_ORIGIN "/root";
	uint8_t sig[64], id[4];
	struct nrs_manifest m = world->m[0];
	struct nrs_proof_result r;
	struct nrs_detail d = { 0 };
	struct nrs_buf b, note;

	proofworld_file(world, 7, 8, &b);
	m.root = world->m[1].root;
	nrs_buf_init(&note, NRS_NOTE_MAX);
	assert_int_equal(nrs_manifest_format(&note, &m), 0);
	assert_int_equal(nrs_seckey_sign(world->k[1].root, note.p, note.len, sig), 0);
	assert_int_equal(nrs_note_keyid(name, NRS_NOTE_ED25519, m.root.pub, id), 0);
	nrs_buf_u8(&note, '\n');
	nrs_note_add_sig(&note, name, id, sig, sizeof(sig));
	given[1].p = note.p;
	given[1].len = note.len;
	assert_int_equal(
	    nrs_proof_file_verify(&r, b.p, b.len, given + 1, 1, nrs_verify, &d),
	    NRS_EORDER); /* its manifest 1 follows another manifest 0 */
	assert_int_equal(r.check, NRS_PROOF_MANIFESTS);
	memset(&d, 0, sizeof(d));
	assert_int_equal(
	    nrs_proof_file_verify(&r, b.p, b.len, given, 2, nrs_verify, &d), NRS_EFORK);
	assert_int_equal(r.check, NRS_PROOF_ORIGIN);
	nrs_buf_fini(&note);
	nrs_buf_fini(&b);
}

/* A checkpoint as kept may have lines of others; a file has the log's alone. */
static void
test_strip(void **state)
{
	uint8_t sig[64] = { 0 }, id[4] = { 1, 2, 3, 4 };
	struct nrs_buf note, b;

	proofworld_checkpoint(world, 8, 2);
	nrs_buf_init(&note, NRS_NOTE_MAX);
	nrs_buf_init(&b, NRS_NOTE_MAX);
	nrs_buf_put(&note, world->checkpoint.p, world->checkpoint.len);
	nrs_note_add_sig(&note, "sg.cert.example/witness", id, sig, sizeof(sig));
	assert_int_equal(
	    nrs_proof_strip(&b, note.p, note.len, PW_ORIGIN, &world->m[2].log), 0);
	assert_int_equal(b.len, world->checkpoint.len);
	assert_memory_equal(b.p, world->checkpoint.p, b.len);
	assert_int_equal(nrs_proof_strip(&b, note.p, note.len, PW_ORIGIN, &world->m[1].log),
	    NRS_ENOTFOUND);
	nrs_buf_fini(&note);
	nrs_buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_records),
		cmocka_unit_test(test_written_as_read),
		cmocka_unit_test(test_every_flip),
		cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_wrong_files),
		cmocka_unit_test(test_wrong_records),
		cmocka_unit_test(test_given_manifests),
		cmocka_unit_test(test_impostor),
		cmocka_unit_test(test_strip),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
