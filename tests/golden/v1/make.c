/*
 * Makes the golden set of format version 1 (README): three nodes with a
 * history, and one session between two.  Run once for a version; what it wrote is
 * committed and only ever read again.
 *
 *   make DIR
 */
#include <sys/stat.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "crypto/note.h"
#include "node/session_priv.h"
#include "proof/proof.h"
#include "tests/golden/v1/golden.h"
#include "tests/unit/node/raw.h"
#include "wire/wire.h"

enum { ROOT, FEED, LOG, WITNESS, TLS }; /* as pair.c makes them */
enum { JP, US, SG };

#define MUST(cond)                                                                   \
	do {                                                                         \
		if (!(cond)) {                                                       \
			fprintf(stderr, "# %s:%d: %s\n", __FILE__, __LINE__, #cond); \
			abort();                                                     \
		}                                                                    \
	} while (0)

static struct world w;
static const char *dir;

static void
save(const char *name, const void *p, size_t len)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	MUST((f = fopen(path, "wb")) != NULL);
	MUST(fwrite(p, 1, len, f) == len && fclose(f) == 0);
}

static void
save_buf(const char *name, struct nrs_buf *b)
{
	MUST(b->err == 0);
	save(name, b->p, b->len);
	nrs_buf_fini(b);
}

static void
make_dir(const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	(void)mkdir(path, 0755);
}

static struct origin *
log_at(unsigned int node, unsigned int origin)
{
	return origin_find_name(w.v[node].n, w.v[origin].name);
}

/* --- a history ------------------------------------------------------------------ */

static void
key_from(const char *text, struct nrs_seckey **ret, struct nrs_pubkey *pub)
{
	struct nrs_hash h;

	MUST(nrs_sha256(text, strlen(text), &h) == 0);
	MUST(nrs_seckey_from_seed(h.b, ret) == 0);
	nrs_seckey_public(*ret, pub);
}

/* JP's manifest 1, by the root key that manifest 0 commits to: new feed and log keys. */
static void
roll_keys(void)
{
	struct world_node *v = &w.v[JP];
	struct nrs_manifest m = log_at(JP, JP)->manifests[0].m;
	struct nrs_seckey *next, *feed, *log, *later;
	struct nrs_pubkey next_pub, later_pub;
	uint8_t seed[32], sig[64], id[4];
	struct nrs_buf text, note;
	char name[64];

	memset(seed, 5, sizeof(seed)); /* as pair.c makes the next root */
	memcpy(seed, v->name, 8);
	seed[31] = 99;
	MUST(nrs_seckey_from_seed(seed, &next) == 0);
	nrs_seckey_public(next, &next_pub);
	key_from("golden jp later root", &later, &later_pub);
	key_from("golden jp feed 1", &feed, &m.feed);
	key_from("golden jp log 1", &log, &m.log);
	m.number = 1;
	m.previous = m.hash;
	m.root = next_pub;
	MUST(nrs_rootkey_hash(&later_pub, &m.next_root) == 0);
	nrs_buf_init(&text, NRS_NOTE_MAX);
	nrs_buf_init(&note, NRS_NOTE_MAX);
	MUST(nrs_manifest_format(&text, &m) == 0);
	MUST(nrs_seckey_sign(next, text.p, text.len, sig) == 0);
	snprintf(name, sizeof(name), "%s/root", v->name);
	MUST(nrs_note_keyid(name, NRS_NOTE_ED25519, next_pub.pub, id) == 0);
	nrs_buf_put(&note, text.p, text.len);
	nrs_buf_str(&note, "\n");
	nrs_note_add_sig(&note, name, id, sig, sizeof(sig));
	raw_control(&w, JP, note.p, note.len);
	world_run(&w, 5); /* the checkpoint with it is the last by the old log key */
	nrs_seckey_free(v->sec[FEED]);
	nrs_seckey_free(v->sec[LOG]);
	v->sec[FEED] = feed;
	v->sec[LOG] = log;
	v->pub[FEED] = m.feed;
	v->pub[LOG] = m.log;
	nrs_seckey_free(next);
	nrs_seckey_free(later);
	nrs_buf_fini(&text);
	save_buf("documents/jp.manifest.1", &note);
}

static void
woken(void *arg)
{
}

/* A subscriber at US reads what there is; end: and goes away again. */
static struct node_reader *
read_some(bool end)
{
	struct node_receiver who = {
		.kind = NODE_READER_UNIX, .name = "siem", .uid = 1000
	};
	struct node_clearance cl = { .tlp = NRS_TLP_AMBER, .receiver = &who };
	struct node_cursor from = { 0 };
	struct node_reader *r;
	struct nrs_str s;

	MUST(node_reader_open(w.v[US].n, &cl, from, woken, NULL, &r, NULL) == 0);
	for (unsigned int i = 0; i < 4; i++) {
		world_run(&w, 1);
		if (node_reader_peek(r, &s) == 0)
			node_reader_take(r, s.len);
	}
	if (!end)
		return r;
	node_reader_free(r);
	world_run(&w, 2);
	return NULL;
}

/* SG signs a second history; US keeps the evidence. */
static void
fork_sg(void)
{
	struct origin *o = log_at(US, SG);
	struct nrs_checkpoint cp = o->cp;
	struct wire_leaves m = { .origin = o->id, .first = o->put.size };
	uint8_t sig[64];
	struct nrs_buf text, note, b;
	size_t at;

	cp.root.b[0] ^= 1;
	nrs_buf_init(&text, NRS_NOTE_MAX);
	nrs_buf_init(&note, NRS_NOTE_MAX);
	nrs_buf_init(&b, 1u << 20);
	MUST(nrs_checkpoint_format(&text, &cp) == 0);
	MUST(nrs_seckey_sign(w.v[SG].sec[LOG], text.p, text.len, sig) == 0);
	MUST(nrs_checkpoint_note(&note, &cp, &w.v[SG].pub[LOG], sig) == 0);
	m.checkpoint = (struct nrs_str){ note.p, note.len };
	wire_begin(&b, WIRE_LEAVES, 0, o->source_stream, &at);
	wire_leaves_encode(&b, &m);
	wire_end(&b, at);
	MUST(b.err == 0);
	node_on_data(w.v[US].n, o->source->conn, b.p, b.len);
	world_run(&w, 2);
	MUST(o->frozen);
	nrs_buf_fini(&text);
	nrs_buf_fini(&b);
	save_buf("documents/sg.checkpoint.rival", &note);
}

static void
refused_ones(void)
{
	struct raw_record bad = { .version = 1,
		.kind = NRS_KIND_BUNDLE,
		.tlp = NRS_TLP_GREEN,
		.payload = "{\"type\":\"bundle\"}" };

	raw_publish(&w, JP, &bad); /* not STIX: refused with its header and signatures */
	world_run(&w, 5);
	log_at(JP, US)->peer->ceiling = NRS_TLP_GREEN;
	world_submit(&w, JP, 2, 10); /* above the ceiling: header only */
	world_run(&w, 5);
	log_at(JP, US)->peer->ceiling = NRS_TLP_RED;
	MUST(log_at(US, JP)->refused == 2);
}

static void
later_ones(void)
{
	static const char doc[] = "noroshi/v1/of-a-later-day\nwhat it says\n";
	struct raw_record v[] = {
		{ .version = 1, .kind = 200, .tlp = NRS_TLP_AMBER, .payload = "kind 200" },
		{ .version = 2,
		    .kind = 1,
		    .wild = true,
		    .tlp = NRS_TLP_GREEN,
		    .payload = "v2" },
	};

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++)
		raw_publish(&w, JP, &v[i]);
	raw_control(&w, JP, doc, sizeof(doc) - 1);
	world_run(&w, 5);
}

static void
rounds(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		world_submit(&w, i % 3, 1 + i % 4, 40);
		world_run(&w, 2);
	}
}

/* --- documents ---------------------------------------------------------------------- */

static void
save_documents(void)
{
	const struct community *c = community_find_name(w.v[JP].n, "iwwn");
	struct nrs_buf b;
	char name[64];

	for (unsigned int i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "documents/%.2s.manifest.0", w.v[i].name);
		save(name, w.v[i].manifest.p, w.v[i].manifest.len);
	}
	for (unsigned int i = 0; i < c->n; i++) {
		snprintf(name, sizeof(name), "documents/iwwn.statement.%u", i);
		save(name, c->v[i].note, c->v[i].note_len);
	}
	nrs_buf_init(&b, NRS_INVITE_MAX);
	MUST(node_invite(w.v[JP].n, &b) == 0);
	save_buf("documents/jp.invite", &b);
	save("documents/jp.checkpoint", log_at(US, JP)->cp_note, log_at(US, JP)->cp_len);
}

static void
save_direct(void)
{
	struct audience *a;
	struct nrs_buf b;

	TAILQ_FOREACH(a, &w.v[JP].n->own->audiences, link) {
		if (a->type != AUD_DIRECT)
			continue;
		nrs_buf_init(&b, NRS_NOTE_MAX);
		MUST(nrs_direct_format(&b, &a->direct) == 0);
		save_buf("documents/jp.direct", &b);
	}
}

static void
save_proof(uint64_t index, const char *name)
{
	struct node_export_info info;
	struct nrs_detail d = { 0 };
	struct nrs_buf b;

	nrs_buf_init(&b, NRS_PROOF_FILE_MAX);
	MUST(node_export(w.v[US].n, w.v[JP].name, index, NULL, true, &b, &info, &d) == 0);
	save_buf(name, &b);
}

static void
put_hashes(struct nrs_buf *b, const struct nrs_hash *h, unsigned int n)
{
	char text[2 * NRS_HASH_LEN + 1];

	for (unsigned int i = 0; i < n; i++) {
		nrs_hex_format(text, h[i].b, NRS_HASH_LEN);
		nrs_buf_fmt(b, " %s", text);
	}
}

/* Inclusion in and consistency of JP's log, of many sizes. */
static void
save_tlog(void)
{
	struct origin *o = log_at(US, JP);
	struct nrs_digest *dg = w.v[US].n->dg;
	struct nrs_hash root, root2, leaf;
	struct nrs_proof p;
	struct nrs_buf b;

	nrs_buf_init(&b, 1u << 20);
	for (uint64_t size = 1; size <= o->put.size; size += 1 + size / 4) {
		MUST(nrs_tree_root(dg, &o->store, size, &root) == 0);
		for (uint64_t i = size / 3; i < size; i += 1 + size / 3) {
			MUST(origin_leaf(o, i, &leaf) == 0);
			MUST(nrs_tree_inclusion(dg, &o->store, i, size, &p) == 0);
			nrs_buf_fmt(&b, "inclusion %llu %llu", (unsigned long long)i,
			    (unsigned long long)size);
			put_hashes(&b, &leaf, 1);
			put_hashes(&b, &root, 1);
			put_hashes(&b, p.h, p.n);
			nrs_buf_str(&b, "\n");
		}
		if (size == o->put.size)
			break;
		MUST(nrs_tree_root(dg, &o->store, o->put.size, &root2) == 0);
		MUST(nrs_tree_consistency(dg, &o->store, size, o->put.size, &p) == 0);
		nrs_buf_fmt(&b, "consistency %llu %llu", (unsigned long long)size,
		    (unsigned long long)o->put.size);
		put_hashes(&b, &root, 1);
		put_hashes(&b, &root2, 1);
		put_hashes(&b, p.h, p.n);
		nrs_buf_str(&b, "\n");
	}
	save_buf("documents/tlog.txt", &b);
}

/* --- the data directory ------------------------------------------------------------- */

static void
save_file(void *arg, const char *name)
{
	struct nrs_env *env = &w.v[US].e->env;
	char from[64], to[64];
	uint8_t *p;
	uint64_t size;
	size_t len;
	nrs_file f;

	snprintf(from, sizeof(from), "journal/%s", name);
	snprintf(to, sizeof(to), "us/journal/%s", name);
	MUST(env->ops->file_open(env, from, 0, &f) == 0);
	MUST(env->ops->file_size(env, f, &size) == 0);
	MUST((p = malloc((size_t)size + 1)) != NULL);
	MUST(env->ops->file_pread(env, f, 0, p, (size_t)size, &len) == 0 && len == size);
	env->ops->file_close(env, f);
	save(to, p, len);
	free(p);
}

/* As seeds in hex: no file of the set looks like a key of somebody. */
static void
save_keys(void)
{
	static const char *const names[] = { "feed", "log", "witness", "tls" };
	struct world_node *v = &w.v[US];
	char hex[2 * NRS_HASH_LEN + 1];
	struct nrs_seckey *k;
	struct nrs_pubkey pub;
	uint8_t seed[32];
	struct nrs_buf b;

	nrs_buf_init(&b, 4096);
	for (unsigned int i = 0; i < 4; i++) {
		memset(seed, (int)(FEED + i + 1), sizeof(seed)); /* as pair.c makes them */
		memcpy(seed, v->name, 8);
		MUST(nrs_seckey_from_seed(seed, &k) == 0);
		nrs_seckey_public(k, &pub);
		MUST(memcmp(pub.pub, v->pub[FEED + i].pub, sizeof(pub.pub)) == 0);
		nrs_seckey_free(k);
		nrs_hex_format(hex, seed, sizeof(seed));
		nrs_buf_fmt(&b, "%s %s\n", names[i], hex);
	}
	nrs_hex_format(hex, v->e->kek, sizeof(v->e->kek));
	nrs_buf_fmt(&b, "kek %s\n", hex);
	save_buf("us/TEST-KEYS.txt", &b);
}

/* All that SG may have of what US holds, in a file, and what it makes of a new SG. */
static void
save_carrier(void)
{
	struct nrs_detail d = { 0 };
	struct node_carry *c;
	struct nrs_buf b;
	int rc;

	nrs_buf_init(&b, 4u << 20);
	MUST(node_carry_open(w.v[US].n, w.v[SG].name, 0, &c, &d) == 0);
	while ((rc = node_carry_next(c, &b, 65536)) == 0)
		world_run(&w, 0);
	MUST(rc == NODE_CARRY_END);
	node_carry_free(c);
	save_buf("carrier/us-to-sg", &b);
}

static void
make_journal(void)
{
	struct node_reader *r;
	struct nrs_buf b;

	world_new(&w, 3);
	w.segment_bytes = GOLDEN_SEGMENT;
	for (unsigned int i = 0; i < 3; i++)
		world_open(&w, i, true);
	world_run(&w, 5);
	world_community(&w);
	rounds(7);
	save_documents();
	save_proof(log_at(US, JP)->put.size - 1, "documents/jp.proof");
	roll_keys();
	rounds(6);
	save_proof(log_at(US, JP)->put.size - 1, "documents/jp.proof.later-keys");
	refused_ones();
	later_ones();
	world_submit_direct(&w, JP, US, 2, 10);
	world_submit_direct(&w, US, SG, 1, 10);
	world_run(&w, 5);
	save_direct();
	save_carrier();
	(void)read_some(true);
	r = read_some(false);
	rounds(9);
	save_tlog();
	fork_sg();
	world_submit(&w, US, 1, 10); /* the others go on */
	world_run(&w, 30);
	nrs_buf_init(&b, GOLDEN_TEXT_MAX);
	golden_state(w.v[US].n, &b);
	save_buf("us/state.txt", &b);
	node_reader_free(r);
	MUST(
	    w.v[US].e->env.ops->dir_list(&w.v[US].e->env, "journal", save_file, NULL) == 0);
	save_keys();
	save("us/manifest", w.v[US].manifest.p, w.v[US].manifest.len);
	world_free(&w);
}

/* --- the session -------------------------------------------------------------------- */

static struct {
	struct nrs_buf out;
	struct nrs_buf part[2]; /* bytes of a frame that is not whole yet; 1: to JP */
	nrs_conn conn[2];
} tape;

static void
on_bytes(struct world *world, const struct pipe_end *e, const uint8_t *p, size_t len)
{
	unsigned int to_jp = e->node == JP;
	struct nrs_buf *b = &tape.part[to_jp];
	size_t n;

	MUST(tape.conn[to_jp] == 0 || tape.conn[to_jp] == e->id); /* one connection */
	tape.conn[to_jp] = e->id;
	nrs_buf_put(b, p, len);
	while (b->len >= WIRE_HEADER_LEN &&
	    b->len >= (n = WIRE_HEADER_LEN + nrs_get_u32(b->p))) {
		nrs_buf_u8(&tape.out, (uint8_t)to_jp);
		nrs_buf_put(&tape.out, b->p, n);
		memmove(b->p, b->p + n, b->len - n);
		b->len -= n;
	}
	MUST(b->err == 0 && tape.out.err == 0);
}

static void
make_transcript(void)
{
	struct raw_record kind = {
		.version = 1, .kind = 200, .tlp = NRS_TLP_AMBER, .payload = "kind 200"
	};
	struct raw_record bad = {
		.version = 1, .kind = NRS_KIND_BUNDLE, .tlp = NRS_TLP_GREEN, .payload = "{}"
	};
	struct nrs_buf b;

	nrs_buf_init(&tape.out, 4u << 20);
	nrs_buf_init(&tape.part[0], 4u << 20);
	nrs_buf_init(&tape.part[1], 4u << 20);
	world_new(&w, 2);
	world_open(&w, JP, true);
	world_open(&w, US, true);
	world_cut(&w, JP, US, true);
	world_run(&w, 5);
	world_community(&w);
	for (unsigned int i = 0; i < community_find_name(w.v[JP].n, "iwwn")->n; i++) {
		const struct community *c = community_find_name(w.v[JP].n, "iwwn");
		char name[64];

		snprintf(name, sizeof(name), "transcript/statement.%u", i);
		save(name, c->v[i].note, c->v[i].note_len);
	}
	world_submit(&w, JP, 1, 10);
	world_submit(&w, JP, 30, 60);
	raw_publish(&w, JP, &kind);
	raw_control(&w, JP, "noroshi/v1/of-a-later-day\n", 26);
	world_run(&w, 5);
	w.tap = on_bytes;
	world_cut(&w, JP, US, false);
	world_run(&w, 120);
	world_submit(&w, JP, 3, 10); /* pushed as it comes */
	world_run(&w, 5);
	raw_publish(&w, JP, &bad);
	world_run(&w, 5);
	world_submit_direct(&w, JP, US, 2, 10);
	world_run(&w, 45); /* PING */
	node_drain(w.v[JP].n);
	world_run(&w, 5);
	nrs_buf_init(&b, GOLDEN_TEXT_MAX);
	golden_state(w.v[US].n, &b);
	save_buf("transcript/state.txt", &b);
	nrs_buf_init(&b, GOLDEN_TEXT_MAX);
	golden_transcript(tape.out.p, tape.out.len, &b);
	save_buf("transcript/frames.txt", &b);
	save("transcript/jp.manifest", w.v[JP].manifest.p, w.v[JP].manifest.len);
	save_buf("transcript/frames", &tape.out);
	world_free(&w);
}

int
main(int argc, char **argv)
{
	struct nrs_buf b;

	if (argc != 2) {
		fprintf(stderr, "make DIR\n");
		return 64;
	}
	dir = argv[1];
	make_dir("us");
	make_dir("us/journal");
	make_dir("documents");
	make_dir("transcript");
	make_dir("carrier");
	make_journal();
	make_transcript();
	nrs_buf_init(&b, GOLDEN_TEXT_MAX);
	golden_import(dir, &b);
	save_buf("carrier/state.txt", &b);
	nrs_buf_init(&b, GOLDEN_TEXT_MAX);
	golden_documents(dir, &b);
	save_buf("documents.txt", &b);
	return 0;
}
