/* Keys of an identity that noroshi init made, a log, and records in chains. */
#include "tests/hostile/mal.h"

#include "record/statement.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("mal: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

static void
must(int rc, const char *what)
{
	if (rc != 0)
		die("%s: %s", what, nrs_strerror(rc));
}

/* xorshift: the same run again from the same state. */
uint64_t
mal_random(struct mal *m)
{
	m->rng ^= m->rng << 13;
	m->rng ^= m->rng >> 7;
	m->rng ^= m->rng << 17;
	return m->rng;
}

static void
fill(struct mal *m, uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(mal_random(m) >> 32);
}

static uint8_t *
read_file(const struct mal *m, const char *name, size_t *ret_len)
{
	char path[4096];
	uint8_t *p = malloc(1u << 20);
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", m->dir, name);
	if (p == NULL || (f = fopen(path, "rb")) == NULL)
		die("%s cannot be read", path);
	*ret_len = fread(p, 1, 1u << 20, f);
	fclose(f);
	return p;
}

static void
load_key(struct mal *m, const char *name, struct nrs_seckey **ret, struct nrs_pubkey *pub)
{
	size_t len;
	uint8_t *pem = read_file(m, name, &len);

	must(nrs_seckey_from_pem((char *)pem, len, NULL, ret), name);
	nrs_seckey_public(*ret, pub);
	free(pem);
}

static void
append(struct mal *m, const struct nrs_hash *leaf, const struct nrs_hash *c)
{
	if (m->size == m->cap) {
		m->cap = m->cap * 2 + 1024;
		m->c = realloc(m->c, m->cap * sizeof(*m->c));
		if (m->c == NULL)
			die("out of memory");
	}
	m->c[m->size++] = *c;
	if (m->size == 1)
		must(nrs_frontier_append(m->dg, m->edge_at, leaf, NULL, NULL), "append");
}

void
mal_load(struct mal *m)
{
	static const struct nrs_hash none;
	struct nrs_manifest man;
	struct nrs_hash leaf;

	m->rng = 0x9e3779b97f4a7c15;
	if ((m->dg = nrs_digest_new()) == NULL ||
	    (m->edge_at = calloc(1, sizeof(*m->edge_at))) == NULL)
		die("out of memory");
	m->manifest = read_file(m, "manifest", &m->manifest_len);
	must(nrs_manifest_open(&man, m->manifest, m->manifest_len, NULL, nrs_verify, NULL),
	    "manifest");
	snprintf(m->name, sizeof(m->name), "%s", man.origin);
	must(nrs_origin_id(m->name, strlen(m->name), &m->id), "origin");
	load_key(m, "keys/feed.pem", &m->feed, &m->feed_pub);
	load_key(m, "keys/log.pem", &m->log, &m->log_pub);
	load_key(m, "keys/tls.pem", &m->tls, &m->tls_pub);
	nrs_frontier_init(m->edge_at);
	must(nrs_leaf_control(m->dg, m->manifest, m->manifest_len, &leaf), "leaf");
	append(m, &leaf, &none);
}

uint64_t
mal_leaf(struct mal *m)
{
	struct nrs_hash c, leaf;

	fill(m, c.b, sizeof(c.b));
	must(nrs_leaf_sealed(m->dg, &c, &leaf), "leaf");
	append(m, &leaf, &c);
	return m->size - 1;
}

void
mal_record_as(struct mal *m, struct aud *a, uint8_t kind, const uint8_t *payload,
    size_t len, uint64_t said_len, const uint8_t *data, size_t data_len, uint8_t flags)
{
	struct nrs_header h = { .kind = kind,
		.tlp = NRS_TLP_AMBER,
		.seq = a->n,
		.epoch = a->epoch,
		.audience = a->id,
		.prev = a->head,
		.origin = m->id,
		.payload_len = said_len,
		.ref_index = NRS_NONE };
	uint8_t header[NRS_HEADER_LEN], pae[NRS_PAE_MAX], sig[NRS_ED25519_SIG],
	    salt[NRS_SALT_LEN];
	struct wire_record w = { .flags = flags, .header = header, .salt = salt };
	struct nrs_hash c, leaf;
	struct nrs_buf sigs;
	struct item *it;

	h.created.ms = 1795358400000 + a->n;
	fill(m, h.uuid, sizeof(h.uuid));
	h.uuid[6] = (uint8_t)((h.uuid[6] & 0x0f) | 0x40);
	h.uuid[8] = (uint8_t)((h.uuid[8] & 0x3f) | 0x80);
	fill(m, salt, sizeof(salt));
	must(nrs_payload_commit(m->dg, salt, payload, len, &h.payload_commit), "commit");
	nrs_header_encode(&h, header);
	must(nrs_seckey_sign(m->feed, pae, nrs_header_pae(header, pae), sig), "sign");
	nrs_buf_init(&sigs, NRS_SIGBLOCK_MAX);
	nrs_sigs_encode1(&sigs, m->feed_pub.id, sig);
	must(nrs_record_commit(m->dg, header, sigs.p, sigs.len, &c), "commit");
	must(nrs_leaf_sealed(m->dg, &c, &leaf), "leaf");
	append(m, &leaf, &c);
	must(nrs_header_link(header, &a->head), "link");
	w.index = m->size - 1;
	w.sigs = (struct nrs_str){ sigs.p, sigs.len };
	w.data = (struct nrs_str){ data, data_len };
	a->v = realloc(a->v, (a->n + 1) * sizeof(*a->v));
	if (a->v == NULL)
		die("out of memory");
	it = &a->v[a->n++];
	it->index = w.index;
	nrs_buf_init(&it->wire, WIRE_ITEM_MAX);
	wire_record_encode(&it->wire, &w);
	must(it->wire.err, "record");
	nrs_buf_fini(&sigs);
}

void
mal_record(struct mal *m, struct aud *a, size_t filler)
{
	struct nrs_buf b;
	uint64_t r = mal_random(m), q = mal_random(m);

	nrs_buf_init(&b, NRS_PAYLOAD_MAX);
	nrs_buf_fmt(&b,
	    "{\"type\":\"bundle\",\"id\":\"bundle--%08x-%04x-4d42-9000-%012llx\",\"objects\":["
	    "{\"type\":\"indicator\",\"spec_version\":\"2.1\","
	    "\"id\":\"indicator--%08x-%04x-4d49-8000-%012llx\","
	    "\"created\":\"2026-01-02T03:04:05.678Z\",\"modified\":\"2026-01-02T03:04:05.678Z\","
	    "\"pattern\":\"[url:value = 'http://%llx.example/",
	    (unsigned int)r, (unsigned int)(r >> 48), (unsigned long long)(q >> 16),
	    (unsigned int)q, (unsigned int)(q >> 48), (unsigned long long)(r >> 16),
	    (unsigned long long)r);
	while (filler-- > 0)
		nrs_buf_u8(&b, (uint8_t)('a' + (mal_random(m) >> 33) % 26));
	nrs_buf_str(&b,
	    "']\",\"pattern_type\":\"stix\",\"valid_from\":\"2026-01-02T03:04:05Z\"}]}");
	must(b.err, "payload");
	mal_record_as(
	    m, a, NRS_KIND_BUNDLE, b.p, b.len, b.len, b.p, b.len, WIRE_RECORD_RAW);
	nrs_buf_fini(&b);
}

struct aud *
mal_direct(struct mal *m, const char *to)
{
	struct aud *a = &m->aud[m->nauds];
	char names[1][NRS_ORIGIN_MAX + 1];
	struct nrs_direct d = { .n = 1, .recipients = names };
	struct nrs_buf b;

	if (m->nauds == AUDS_MAX)
		die("too many audiences");
	snprintf(d.origin, sizeof(d.origin), "%s", m->name);
	fill(m, d.nonce, sizeof(d.nonce));
	snprintf(names[0], sizeof(names[0]), "%s", to);
	must(nrs_direct_id(&d), "direct");
	nrs_buf_init(&b, NRS_PAYLOAD_MAX);
	must(nrs_direct_format(&b, &d), "direct");
	a->id = d.id;
	a->type = 1;
	mal_record_as(
	    m, a, NRS_KIND_MEMBERSHIP, b.p, b.len, b.len, b.p, b.len, WIRE_RECORD_RAW);
	nrs_buf_fini(&b);
	m->nauds++;
	return a;
}

/* The edge of the tree at a size that only grows, from one call to the next. */
static void
edge_to(struct mal *m, uint64_t size)
{
	struct nrs_hash leaf;

	if (size < m->edge_at->size) {
		nrs_frontier_init(m->edge_at);
		must(nrs_leaf_control(m->dg, m->manifest, m->manifest_len, &leaf), "leaf");
		must(nrs_frontier_append(m->dg, m->edge_at, &leaf, NULL, NULL), "append");
	}
	while (m->edge_at->size < size) {
		must(nrs_leaf_sealed(m->dg, &m->c[m->edge_at->size], &leaf), "leaf");
		must(nrs_frontier_append(m->dg, m->edge_at, &leaf, NULL, NULL), "append");
	}
}

void
mal_leaves(struct mal *m, uint64_t first, uint32_t count, struct nrs_buf *b)
{
	struct wire_leaves w = { .origin = m->id, .first = first, .count = count };
	struct nrs_checkpoint cp = { .size = first + count };
	struct wire_entry e = { 0 };
	uint8_t sig[NRS_ED25519_SIG];
	struct nrs_buf text, note;

	nrs_buf_init(&text, NRS_NOTE_MAX);
	nrs_buf_init(&note, NRS_NOTE_MAX);
	edge_to(m, first + count);
	must(nrs_frontier_root(m->dg, m->edge_at, &cp.root), "root");
	snprintf(cp.origin, sizeof(cp.origin), "%s", m->name);
	must(nrs_checkpoint_format(&text, &cp), "checkpoint");
	must(nrs_seckey_sign(m->log, text.p, text.len, sig), "sign");
	must(nrs_checkpoint_note(&note, &cp, &m->log_pub, sig), "checkpoint");
	w.checkpoint = (struct nrs_str){ note.p, note.len };
	wire_leaves_encode(b, &w);
	for (uint32_t i = 0; i < count; i++) {
		e.control = first + i == 0;
		e.c = m->c[first + i];
		e.doc = (struct nrs_str){ m->manifest, m->manifest_len };
		wire_entry_encode(b, &e);
	}
	must(b->err, "leaves");
	nrs_buf_fini(&text);
	nrs_buf_fini(&note);
}
