/* The committed bytes as text. */
#include "tests/golden/v1/golden.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "proof/proof.h"
#include "wire/wire.h"

#define MUST(cond)                                                                   \
	do {                                                                         \
		if (!(cond)) {                                                       \
			fprintf(stderr, "# %s:%d: %s\n", __FILE__, __LINE__, #cond); \
			abort();                                                     \
		}                                                                    \
	} while (0)

static const char *
hex(const void *p, size_t len)
{
	static char text[4][2 * NRS_HASH_LEN + 1];
	static unsigned int next;
	char *s = text[next++ % 4];

	nrs_hex_format(s, p, len < NRS_HASH_LEN ? len : NRS_HASH_LEN);
	return s;
}

static const char *
sha(const void *p, size_t len)
{
	struct nrs_hash h;

	MUST(nrs_sha256(p, len, &h) == 0);
	return hex(h.b, 16);
}

uint8_t *
golden_read(const char *dir, const char *name, size_t *ret_len)
{
	char path[512];
	uint8_t *p;
	long len;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "rb");
	if (f == NULL)
		fprintf(stderr, "# %s cannot be read\n", path);
	MUST(f != NULL);
	MUST(fseek(f, 0, SEEK_END) == 0 && (len = ftell(f)) >= 0);
	rewind(f);
	MUST((p = malloc((size_t)len + 1)) != NULL);
	MUST(fread(p, 1, (size_t)len, f) == (size_t)len);
	fclose(f);
	p[len] = 0;
	*ret_len = (size_t)len;
	return p;
}

/* --- a node ----------------------------------------------------------------- */

static void
put_record(struct node *n, struct origin *o, uint64_t index, struct nrs_buf *out)
{
	struct node_record rec;
	struct nrs_hash leaf;
	uint8_t *payload;
	struct nrs_buf buf;

	nrs_buf_init(&buf, NRS_JFRAME_MAX + 64);
	if (node_read_record(o, index, &buf, &rec) == 0) {
		MUST(origin_leaf(o, index, &leaf) == 0);
		MUST(node_read_payload(n, &rec, &payload) == 0);
		nrs_buf_fmt(out,
		    "  record %llu version %u kind %u tlp %u chain %s seq %llu epoch %u leaf %s "
		    "payload %llu %s\n",
		    (unsigned long long)index, rec.v.header[4], rec.v.header[5], rec.h.tlp,
		    hex(rec.h.audience.b, 8), (unsigned long long)rec.h.seq, rec.h.epoch,
		    hex(leaf.b, 32), (unsigned long long)rec.h.payload_len,
		    sha(payload, (size_t)rec.h.payload_len));
		free(payload);
	}
	nrs_buf_fini(&buf);
}

static void
put_chain(const struct audience *a, struct nrs_buf *out)
{
	nrs_buf_fmt(out, "  chain %s %s next %llu base %llu epoch %u newest %llu link %s\n",
	    hex(a->id.b, 32), a->type == AUD_DIRECT ? "direct" : "community",
	    (unsigned long long)a->next, (unsigned long long)a->base, a->epoch,
	    (unsigned long long)a->newest_index, hex(a->head.b, 32));
}

/* By id: the order in memory is nobody's business. */
static const struct audience *
next_chain(const struct origin *o, const struct audience *after)
{
	const struct audience *a, *best = NULL;

	TAILQ_FOREACH(a, &o->audiences, link) {
		if (a->next == 0)
			continue;
		if (after != NULL && memcmp(a->id.b, after->id.b, 32) <= 0)
			continue;
		if (best == NULL || memcmp(a->id.b, best->id.b, 32) < 0)
			best = a;
	}
	return best;
}

static void
put_origin(struct node *n, struct origin *o, struct nrs_buf *out)
{
	const struct audience *a = NULL;
	struct nrs_hash root;

	MUST(nrs_frontier_root(n->dg, &o->put, &root) == 0);
	nrs_buf_fmt(out,
	    "origin %s id %s size %llu root %s checkpoint %llu opened %llu refused %llu "
	    "manifests %u%s%s\n",
	    o->name, hex(o->id.b, 32), (unsigned long long)o->put.size, hex(root.b, 32),
	    (unsigned long long)o->cp.size, (unsigned long long)o->opened,
	    (unsigned long long)o->refused, o->nmanifests, o->own ? " own" : "",
	    o->frozen ? " frozen" : "");
	for (unsigned int i = 0; i < o->nmanifests; i++)
		nrs_buf_fmt(out, "  manifest %u at %lld hash %s\n", i,
		    (long long)o->manifests[i].index, hex(o->manifests[i].m.hash.b, 32));
	while ((a = next_chain(o, a)) != NULL)
		put_chain(a, out);
	for (uint64_t i = 0; i < o->put.size; i++)
		put_record(n, o, i, out);
}

void
golden_state(struct node *n, struct nrs_buf *out)
{
	static const char *const names[] = { "jp.cert.example", "us.cert.example",
		"sg.cert.example" };
	const struct community *c;
	struct origin *o;

	for (unsigned int i = 0; i < 3; i++)
		if ((o = origin_find_name(n, names[i])) != NULL)
			put_origin(n, o, out);
	TAILQ_FOREACH(c, &n->communities, link) {
		nrs_buf_fmt(out, "community %s id %s epochs %u%s%s\n", c->name,
		    hex(c->id.b, 32), c->n, c->trusted ? " accepted" : "",
		    c->frozen ? " frozen" : "");
		for (unsigned int i = 0; i < c->n; i++)
			nrs_buf_fmt(
			    out, "  statement %u hash %s\n", i, hex(c->v[i].s.hash.b, 32));
	}
	nrs_buf_fmt(out, "events %llu\n", (unsigned long long)n->shown_event);
}

/* --- the transcript ------------------------------------------------------------ */

int
golden_frame_next(const uint8_t **p, size_t *left, struct golden_frame *ret)
{
	size_t len;

	if (*left == 0)
		return 0;
	MUST(*left >= 1 + WIRE_HEADER_LEN && **p <= 1);
	len = WIRE_HEADER_LEN + nrs_get_u32(*p + 1);
	MUST(len <= NRS_FRAME_MAX + WIRE_HEADER_LEN && *left - 1 >= len);
	ret->to_jp = **p;
	ret->bytes = (struct nrs_str){ *p + 1, len };
	*p += 1 + len;
	*left -= 1 + len;
	return 1;
}

static void
put_lists(const struct wire_frame *f, struct nrs_buf *out)
{
	struct wire_community c;
	struct wire_have_audience a;
	struct wire_have h;
	struct wire_list l;
	struct nrs_str note;

	if (f->type == WIRE_COMMUNITIES) {
		MUST(wire_communities_decode(&l, f->body, f->len) == 0);
		while (wire_communities_next(&l, &c))
			nrs_buf_fmt(out, " [%s epoch %u hash %s]", hex(c.id.b, 8), c.epoch,
			    hex(c.hash.b, 8));
	} else if (f->type == WIRE_STATEMENTS) {
		MUST(wire_statements_decode(&l, f->body, f->len) == 0);
		while (wire_statements_next(&l, &note))
			nrs_buf_fmt(out, " [%s]", sha(note.p, note.len));
	} else {
		MUST(wire_have_decode(&l, f->body, f->len) == 0);
		while (wire_have_next(&l, &h)) {
			nrs_buf_fmt(out, " [%s size %llu", hex(h.origin.b, 8),
			    (unsigned long long)h.size);
			while (wire_have_audience_next(&h.audiences, &a))
				nrs_buf_fmt(out, " %s type %u next %llu", hex(a.id.b, 8),
				    a.type, (unsigned long long)a.next);
			nrs_buf_str(out, "]");
		}
	}
}

static void
put_leaves(const struct wire_frame *f, struct nrs_buf *out)
{
	struct wire_leaves m;
	struct wire_entry e;

	MUST(wire_leaves_decode(&m, f->body, f->len) == 0);
	nrs_buf_fmt(out, " %s first %llu count %u checkpoint %s proof %u",
	    hex(m.origin.b, 8), (unsigned long long)m.first, m.count,
	    sha(m.checkpoint.p, m.checkpoint.len), m.proof.n);
	while (wire_leaves_next(&m.entries, &e)) {
		if (e.control)
			nrs_buf_fmt(out, " control:%s", sha(e.doc.p, e.doc.len));
		else
			nrs_buf_fmt(out, " %s", hex(e.c.b, 8));
	}
}

static void
put_record_frame(const struct wire_frame *f, struct nrs_buf *out)
{
	struct wire_record m;

	MUST(wire_record_decode(&m, f->body, f->len) == 0);
	nrs_buf_fmt(out, " index %llu flags %u header %s sigs %s data %zu %s",
	    (unsigned long long)m.index, m.flags, sha(m.header, NRS_HEADER_LEN),
	    sha(m.sigs.p, m.sigs.len), m.data.len, sha(m.data.p, m.data.len));
}

static void
put_ack(const struct wire_frame *f, struct nrs_buf *out)
{
	struct wire_ack_audience a;
	struct wire_ack m;

	MUST(wire_ack_decode(&m, f->body, f->len) == 0);
	nrs_buf_fmt(out, " %s size %llu", hex(m.origin.b, 8), (unsigned long long)m.size);
	while (wire_ack_audience_next(&m.audiences, &a))
		nrs_buf_fmt(
		    out, " %s next %llu", hex(a.id.b, 8), (unsigned long long)a.next);
}

static void
put_session(const struct wire_frame *f, struct nrs_buf *out)
{
	struct wire_refuse r;
	struct wire_hello h;
	struct wire_bye b;
	uint64_t token;

	if (f->type == WIRE_HELLO) {
		MUST(wire_hello_decode(&h, f->body, f->len) == 0);
		nrs_buf_fmt(out, " version %u %s clock %llu manifest %llu %s", h.version,
		    h.origin, (unsigned long long)h.clock.ms,
		    (unsigned long long)h.manifest, hex(h.manifest_hash.b, 8));
	} else if (f->type == WIRE_BYE) {
		MUST(wire_bye_decode(&b, f->body, f->len) == 0);
		nrs_buf_fmt(out, " code %u %s", b.code, b.text);
	} else if (f->type == WIRE_REFUSE) {
		MUST(wire_refuse_decode(&r, f->body, f->len) == 0);
		nrs_buf_fmt(out, " code %u stream %u %s index %lld seq %lld %s", r.code,
		    r.stream, hex(r.origin.b, 8), (long long)r.index, (long long)r.seq,
		    r.text);
	} else {
		MUST(wire_ping_decode(&token, f->body, f->len) == 0);
		nrs_buf_fmt(out, " token %016llx", (unsigned long long)token);
	}
}

static void
put_fetch(const struct wire_frame *f, struct nrs_buf *out)
{
	bool records = f->type == WIRE_FETCH_RECORDS;
	struct wire_fetch m;
	uint32_t bytes;

	if (f->type == WIRE_CREDIT) {
		MUST(wire_credit_decode(&bytes, f->body, f->len) == 0);
		nrs_buf_fmt(out, " %u", bytes);
		return;
	}
	MUST(wire_fetch_decode(&m, records, f->body, f->len) == 0);
	nrs_buf_fmt(out, " %s%s%s from %llu credit %u", hex(m.origin.b, 8),
	    records ? " " : "", records ? hex(m.audience.b, 8) : "",
	    (unsigned long long)m.from, m.credit);
}

static void
put_frame(const struct wire_frame *f, struct nrs_buf *out)
{
	switch (f->type) {
	case WIRE_HELLO:
	case WIRE_BYE:
	case WIRE_REFUSE:
	case WIRE_PING:
	case WIRE_PONG:
		put_session(f, out);
		break;
	case WIRE_STATEMENTS:
	case WIRE_COMMUNITIES:
	case WIRE_HAVE:
		put_lists(f, out);
		break;
	case WIRE_FETCH_LEAVES:
	case WIRE_FETCH_RECORDS:
	case WIRE_CREDIT:
		put_fetch(f, out);
		break;
	case WIRE_LEAVES:
		put_leaves(f, out);
		break;
	case WIRE_RECORD:
		put_record_frame(f, out);
		break;
	case WIRE_ACK:
		put_ack(f, out);
		break;
	default:
		MUST(f->type == WIRE_CANCEL && f->len == 0);
	}
}

void
golden_transcript(const uint8_t *p, size_t len, struct nrs_buf *out)
{
	struct wire_reader r = { 0 };
	struct golden_frame g;
	struct wire_frame f;
	unsigned int no = 0;

	while (golden_frame_next(&p, &len, &g)) {
		MUST(wire_reader_next(&r, &g.bytes.p, &g.bytes.len, &f) == 1);
		MUST(g.bytes.len == 0 && wire_frame_check(&f) == 0);
		nrs_buf_fmt(out, "%u %s %s stream %u flags %u body %u %s:", ++no,
		    g.to_jp ? "us>jp" : "jp>us", wire_type_name(f.type), f.stream, f.flags,
		    f.len, sha(f.body, f.len));
		put_frame(&f, out);
		nrs_buf_str(out, "\n");
	}
	wire_reader_fini(&r);
}

/* --- documents ------------------------------------------------------------------ */

static void
open_manifest(
    struct nrs_manifest *m, const uint8_t *p, size_t len, const struct nrs_manifest *prev)
{
	MUST(nrs_manifest_open(m, p, len, prev, nrs_verify, NULL) == 0);
}

static void
put_manifest(const struct nrs_manifest *m, struct nrs_buf *out)
{
	struct nrs_hash root;
	char finger[25];

	MUST(nrs_rootkey_hash(&m->root, &root) == 0);
	nrs_fingerprint_format(finger, &m->hash);
	nrs_buf_fmt(out, "manifest %s number %llu hash %s\n", m->origin,
	    (unsigned long long)m->number, hex(m->hash.b, 32));
	if (m->number == 0)
		nrs_buf_fmt(out, "  fingerprint %s\n", finger);
	nrs_buf_fmt(
	    out, "  root-key %s next-root %s\n", hex(root.b, 32), hex(m->next_root.b, 32));
	nrs_buf_fmt(out, "  key-ids feed %s log %s witness %s tls-pin %s\n",
	    hex(m->feed.id, 8), hex(m->log.id, 8), hex(m->witness.id, 8),
	    hex(m->tls_pin[0].b, 32));
}

static void
put_manifest_file(
    const uint8_t *p, size_t len, const uint8_t *prev, size_t prev_len, struct nrs_buf *out)
{
	struct nrs_manifest m, before;

	if (prev != NULL)
		open_manifest(&before, prev, prev_len, NULL);
	open_manifest(&m, p, len, prev != NULL ? &before : NULL);
	put_manifest(&m, out);
}

static void
put_statement_file(const uint8_t *p, size_t len, struct nrs_buf *out)
{
	struct nrs_statement s;
	struct nrs_note note;

	MUST(nrs_note_parse(&note, p, len, NULL) == 0);
	MUST(nrs_statement_parse(&s, note.text.p, note.text.len, NULL) == 0);
	nrs_buf_fmt(out, "statement %s community %s epoch %u hash %s previous %s\n", s.name,
	    hex(s.community.b, 32), s.epoch, hex(s.hash.b, 32), hex(s.previous.b, 32));
	nrs_buf_fmt(out, "  threshold %u ceiling %u onward %u history %u exercise %u\n",
	    s.threshold, s.ceiling, s.onward, s.history, s.exercise);
	for (unsigned int i = 0; i < s.nmembers; i++)
		nrs_buf_fmt(out, "  member %s id %s root-key %s\n", s.members[i].origin,
		    hex(s.members[i].origin_id.b, 32), hex(s.members[i].root.b, 32));
	nrs_statement_fini(&s);
}

struct invite {
	struct nrs_buf *out;
	struct nrs_manifest last;
	bool any;
};

static int
invite_note(void *arg, const uint8_t *p, size_t len)
{
	struct invite *v = arg;
	struct nrs_manifest m;

	if (!origin_is_manifest(p, len)) {
		put_statement_file(p, len, v->out);
		return 0;
	}
	open_manifest(&m, p, len, v->any ? &v->last : NULL);
	put_manifest(&m, v->out);
	v->last = m;
	v->any = true;
	return 0;
}

static void
put_invite_file(const uint8_t *p, size_t len, struct nrs_buf *out)
{
	struct invite v = { .out = out };

	MUST(nrs_invite_walk(p, len, invite_note, &v, NULL) == 0);
}

static void
put_checkpoint_file(const uint8_t *note, size_t len, const uint8_t *manifest,
    size_t manifest_len, struct nrs_buf *out)
{
	struct nrs_checkpoint cp;
	struct nrs_manifest m;

	open_manifest(&m, manifest, manifest_len, NULL);
	MUST(nrs_checkpoint_open(&cp, note, len, m.origin, &m.log, nrs_verify, NULL) == 0);
	nrs_buf_fmt(out, "checkpoint %s size %llu root %s\n", cp.origin,
	    (unsigned long long)cp.size, hex(cp.root.b, 32));
}

static void
put_direct_file(const uint8_t *p, size_t len, struct nrs_buf *out)
{
	struct nrs_direct d;

	MUST(nrs_direct_parse(&d, p, len, NULL) == 0);
	nrs_buf_fmt(out, "direct %s id %s\n", d.origin, hex(d.id.b, 32));
	for (unsigned int i = 0; i < d.n; i++)
		nrs_buf_fmt(out, "  recipient %s\n", d.recipients[i]);
	nrs_direct_fini(&d);
}

static void
put_proof_file(const uint8_t *p, size_t len, const uint8_t *manifest, size_t manifest_len,
    struct nrs_buf *out)
{
	struct nrs_str given = { manifest, manifest_len };
	struct nrs_proof_result r;

	MUST(nrs_proof_file_verify(&r, p, len, &given, 1, nrs_verify, NULL) == 0);
	nrs_buf_fmt(out,
	    "proof %s/%llu leaf %s checkpoint %llu feed %s of manifest %llu log %s of "
	    "manifest %llu objects %u payload %s\n",
	    r.origin, (unsigned long long)r.index, hex(r.leaf.b, 32),
	    (unsigned long long)r.checkpoint.size, hex(r.feed.id, 8),
	    (unsigned long long)r.feed_manifest, hex(r.log.id, 8),
	    (unsigned long long)r.log_manifest, r.bundle.n,
	    sha(r.payload.p, r.payload.len));
}

/* --- proofs in trees ---------------------------------------------------------------- */

static const char *
take_hash(const char *s, struct nrs_hash *ret)
{
	MUST(
	    *s == ' ' && nrs_hex_parse(s + 1, 2 * NRS_HASH_LEN, ret->b, NRS_HASH_LEN) == 0);
	return s + 1 + 2 * NRS_HASH_LEN;
}

static void
tlog_line(const char *s)
{
	struct nrs_digest *dg = nrs_digest_new();
	unsigned long long a, b;
	struct nrs_hash h1, h2;
	struct nrs_proof p = { 0 };
	char what[16];
	int n = 0;

	MUST(dg != NULL && sscanf(s, "%15s %llu %llu%n", what, &a, &b, &n) == 3);
	s = take_hash(take_hash(s + n, &h1), &h2);
	while (*s == ' ')
		s = take_hash(s, &p.h[p.n++]);
	MUST(*s == '\n');
	if (strcmp(what, "inclusion") == 0) {
		MUST(nrs_inclusion_verify(dg, a, b, &h1, &p, &h2) == 0);
		h1.b[0] ^= 1;
		MUST(nrs_inclusion_verify(dg, a, b, &h1, &p, &h2) == NRS_EPROOF);
	} else {
		MUST(strcmp(what, "consistency") == 0);
		MUST(nrs_consistency_verify(dg, a, b, &h1, &h2, &p) == 0);
		h2.b[31] ^= 1;
		MUST(nrs_consistency_verify(dg, a, b, &h1, &h2, &p) == NRS_EPROOF);
	}
	nrs_digest_free(dg);
}

static unsigned int
tlog_lines(const uint8_t *p, size_t len)
{
	const char *s = (const char *)p, *end;
	unsigned int n = 0;

	for (; *s != '\0'; s = end + 1, n++) {
		MUST((end = strchr(s, '\n')) != NULL);
		tlog_line(s);
	}
	MUST((size_t)(s - (const char *)p) == len);
	return n;
}

/* --- all documents -------------------------------------------------------------------- */

void
golden_documents(const char *dir, struct nrs_buf *out)
{
	static const char *const manifests[] = { "jp", "us", "sg" };
	uint8_t *jp, *p, *sg;
	size_t jp_len, sg_len, len;
	char name[64];

	jp = golden_read(dir, "documents/jp.manifest.0", &jp_len);
	sg = golden_read(dir, "documents/sg.manifest.0", &sg_len);
	for (unsigned int i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "documents/%s.manifest.0", manifests[i]);
		p = golden_read(dir, name, &len);
		put_manifest_file(p, len, NULL, 0, out);
		free(p);
	}
	p = golden_read(dir, "documents/jp.manifest.1", &len);
	put_manifest_file(p, len, jp, jp_len, out);
	free(p);
	for (unsigned int i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "documents/iwwn.statement.%u", i);
		p = golden_read(dir, name, &len);
		put_statement_file(p, len, out);
		free(p);
	}
	p = golden_read(dir, "documents/jp.invite", &len);
	nrs_buf_str(out, "invite:\n");
	put_invite_file(p, len, out);
	free(p);
	p = golden_read(dir, "documents/jp.checkpoint", &len);
	put_checkpoint_file(p, len, jp, jp_len, out);
	free(p);
	p = golden_read(dir, "documents/sg.checkpoint.rival", &len);
	put_checkpoint_file(p, len, sg, sg_len, out);
	free(p);
	p = golden_read(dir, "documents/jp.direct", &len);
	put_direct_file(p, len, out);
	free(p);
	p = golden_read(dir, "documents/jp.proof", &len);
	put_proof_file(p, len, jp, jp_len, out);
	free(p);
	p = golden_read(dir, "documents/jp.proof.later-keys", &len);
	put_proof_file(p, len, jp, jp_len, out);
	free(p);
	p = golden_read(dir, "documents/tlog.txt", &len);
	nrs_buf_fmt(out, "tlog %u proofs\n", tlog_lines(p, len));
	free(p);
	free(jp);
	free(sg);
	MUST(out->err == 0);
}

/* --- what comes in by other ways --------------------------------------------------------- */

static void
accepted(struct node_op *op, int rc)
{
	*(int *)op->arg = rc;
}

void
golden_accept(struct world *w, unsigned int i, const char *dir, const char *name)
{
	struct node_op op = { .done = accepted };
	int rc = 1;
	uint8_t *p;
	size_t len;

	op.arg = &rc;
	p = golden_read(dir, name, &len);
	node_statement_accept(w->v[i].n, p, len, NULL, &op);
	world_run(w, 1);
	MUST(rc == 0);
	free(p);
}

static void
woken(void *arg)
{
}

static void
put_import(struct node_import *im, struct nrs_buf *out)
{
	struct node_import_result r;

	node_import_result(im, &r);
	MUST(r.done);
	nrs_buf_fmt(out, "file of %s, events %llu to %llu, %s, refused %llu\n", r.source,
	    (unsigned long long)r.from, (unsigned long long)r.to,
	    r.whole ? "whole" : "not whole", (unsigned long long)r.refused);
}

void
golden_import(const char *dir, struct nrs_buf *out)
{
	static struct world w;
	struct node_import *im;
	struct nrs_detail d = { 0 };
	const uint8_t *at;
	size_t len, left;
	uint8_t *p;
	int rc = 0;

	world_new(&w, 3);
	world_open(&w, 2, true);
	golden_accept(&w, 2, dir, "documents/iwwn.statement.0");
	golden_accept(&w, 2, dir, "documents/iwwn.statement.1");
	golden_accept(&w, 2, dir, "documents/iwwn.statement.2");
	at = p = golden_read(dir, "carrier/us-to-sg", &len);
	MUST(node_import_open(w.v[2].n, woken, NULL, &im) == 0);
	for (left = len; left > 0 && rc >= 0; world_run(&w, 1))
		rc = node_import_feed(im, &at, &left, &d);
	MUST(rc >= 0);
	node_import_end(im);
	world_run(&w, 5);
	put_import(im, out);
	node_import_free(im);
	golden_state(w.v[2].n, out);
	world_free(&w);
	free(p);
}
