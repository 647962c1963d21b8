/*
 * Membership statements: their text form, which one follows which, and whose
 * signatures make one count (docs/FORMAT.md, section 7).
 */
#include "record/statement.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "crypto/digest.h"
#include "record/line.h"
#include "record/record.h"

/* Lines that later checks point at. */
enum {
	LINE_COMMUNITY = 2,
	LINE_NAME,
	LINE_FOUNDER,
	LINE_NONCE,
	LINE_EPOCH,
	LINE_PREVIOUS,
	LINE_THRESHOLD,
	LINE_EXERCISE = 12,
	LINE_STEWARD
};

static const char *const onward_names[] = { "none", "members", "constituents" };

static void
digest_lstr(struct nrs_digest *dg, const char *s)
{
	size_t len = strlen(s);
	uint8_t n[2];

	nrs_put_u16(n, (uint16_t)len);
	nrs_digest_add(dg, n, sizeof(n));
	nrs_digest_add(dg, s, len);
}

int
nrs_community_id(
    const char *founder, const char *name, const uint8_t nonce[32], struct nrs_hash *ret)
{
	struct nrs_digest *dg;
	int err;

	if (strlen(founder) > NRS_ORIGIN_MAX || strlen(name) > NRS_NAME_MAX)
		return NRS_ELIMIT;
	dg = nrs_digest_new();
	if (dg == NULL)
		return NRS_ENOMEM;
	nrs_digest_label(dg, "noroshi/v1/community");
	digest_lstr(dg, founder);
	digest_lstr(dg, name);
	nrs_digest_add(dg, nonce, 32);
	err = nrs_digest_end(dg, ret);
	nrs_digest_free(dg);
	return err;
}

static void
read_name(struct nrs_line *l, char dst[NRS_NAME_MAX + 1])
{
	struct nrs_str v = nrs_line_get(l, "name");

	if (l->err != 0)
		return;
	if (v.len > NRS_NAME_MAX || !nrs_name_ok((const char *)v.p, v.len)) {
		nrs_line_fail(l, l->no, NRS_ESYNTAX, "not the name of a community");
		return;
	}
	memcpy(dst, v.p, v.len);
	dst[v.len] = '\0';
}

static uint8_t
read_ceiling(struct nrs_line *l)
{
	struct nrs_str v = nrs_line_get(l, "ceiling");

	for (uint8_t t = 0; l->err == 0 && t < NRS_TLP__MAX; t++)
		if (nrs_str_is(v, nrs_tlp_name((enum nrs_tlp)t)))
			return t;
	nrs_line_fail(l, l->no, NRS_ESYNTAX, "not a marking");
	return 0;
}

static uint8_t
read_onward(struct nrs_line *l)
{
	struct nrs_str v = nrs_line_get(l, "onward");

	for (uint8_t i = 0; l->err == 0 && i <= NRS_ONWARD_CONSTITUENTS; i++)
		if (nrs_str_is(v, onward_names[i]))
			return i;
	nrs_line_fail(l, l->no, NRS_ESYNTAX, "expected none, members or constituents");
	return 0;
}

static void
read_rules(struct nrs_line *l, struct nrs_statement *s)
{
	struct nrs_str v;

	nrs_line_magic(l, "noroshi/v1/membership");
	v = nrs_line_get(l, "community");
	nrs_line_b64(l, v, s->community.b);
	read_name(l, s->name);
	v = nrs_line_get(l, "founder");
	nrs_line_origin(l, v, s->founder);
	v = nrs_line_get(l, "nonce");
	nrs_line_b64(l, v, s->nonce);
	v = nrs_line_get(l, "epoch");
	s->epoch = (uint32_t)nrs_line_u64(l, v, UINT32_MAX);
	v = nrs_line_get(l, "previous");
	nrs_line_previous(l, v, s->epoch == 0, &s->previous);
	v = nrs_line_get(l, "threshold");
	s->threshold = (uint32_t)nrs_line_u64(l, v, NRS_MEMBERS_MAX);
	s->ceiling = read_ceiling(l);
	s->onward = read_onward(l);
	v = nrs_line_get(l, "history");
	s->history = nrs_line_bool(l, v);
	v = nrs_line_get(l, "exercise");
	s->exercise = nrs_line_bool(l, v);
}

static void
read_member(struct nrs_line *l, const char *key, struct nrs_member *m,
    const struct nrs_member *before)
{
	struct nrs_str v = nrs_line_get(l, key), origin = nrs_line_word(l, &v);
	int err, cmp;

	nrs_line_origin(l, origin, m->origin);
	nrs_line_b64(l, v, m->root.b);
	if (l->err != 0)
		return;
	cmp = before != NULL ? strcmp(before->origin, m->origin) : -1;
	if (cmp == 0)
		nrs_line_fail(l, l->no, NRS_EDUPLICATE, "given twice");
	else if (cmp > 0)
		nrs_line_fail(l, l->no, NRS_EORDER, "not sorted by origin");
	err = nrs_origin_id(m->origin, strlen(m->origin), &m->origin_id);
	if (err != 0)
		nrs_line_fail(l, l->no, err, "hash of the origin");
}

static void
read_members(
    struct nrs_line *l, const char *key, struct nrs_member **ret, unsigned int *ret_n)
{
	unsigned int n = nrs_line_count(l, key, NRS_MEMBERS_MAX);
	struct nrs_member *v;

	if (n == 0) {
		(void)nrs_line_get(l, key); /* says what was expected */
		return;
	}
	if (n > NRS_MEMBERS_MAX) {
		nrs_line_fail(l, l->no + n, NRS_ELIMIT, "too many members");
		return;
	}
	v = calloc(n, sizeof(*v));
	if (v == NULL) {
		nrs_line_fail(l, l->no, NRS_ENOMEM, "members");
		return;
	}
	*ret = v;
	*ret_n = n;
	for (unsigned int i = 0; l->err == 0 && i < n; i++)
		read_member(l, key, &v[i], i > 0 ? &v[i - 1] : NULL);
}

/* What the lines say about each other. */
static int
check_whole(const struct nrs_statement *s, struct nrs_detail *d)
{
	const struct nrs_member *m;
	struct nrs_hash id;
	int err;

	if (s->threshold < 1 || s->threshold > s->nstewards)
		return nrs_fail(d, NRS_ERANGE, LINE_THRESHOLD, "threshold does not fit");
	for (unsigned int i = 0; i < s->nstewards; i++) {
		m = nrs_member_find(s->members, s->nmembers, s->stewards[i].origin);
		if (m == NULL)
			return nrs_fail(
			    d, NRS_EMEMBER, LINE_STEWARD + i, "steward is not a member");
		if (!nrs_hash_eq(&m->root, &s->stewards[i].root))
			return nrs_fail(d, NRS_EKEY, LINE_STEWARD + i,
			    "steward and member have different root keys");
	}
	if (s->epoch == 0 && !nrs_member_find(s->stewards, s->nstewards, s->founder))
		return nrs_fail(d, NRS_EMEMBER, LINE_FOUNDER, "founder is not a steward");
	err = nrs_community_id(s->founder, s->name, s->nonce, &id);
	if (err != 0)
		return nrs_fail(d, err, LINE_COMMUNITY, "community id");
	if (!nrs_hash_eq(&id, &s->community))
		return nrs_fail(d, NRS_ESYNTAX, LINE_COMMUNITY,
		    "id is not that of founder, name and nonce");
	return 0;
}

int
nrs_statement_parse(
    struct nrs_statement *ret, const uint8_t *text, size_t len, struct nrs_detail *d)
{
	struct nrs_line l;
	int err;

	memset(ret, 0, sizeof(*ret));
	nrs_line_init(&l, text, len, NRS_NOTE_MAX, d);
	read_rules(&l, ret);
	read_members(&l, "steward", &ret->stewards, &ret->nstewards);
	read_members(&l, "member", &ret->members, &ret->nmembers);
	err = nrs_line_end(&l);
	if (err == 0)
		err = check_whole(ret, d);
	if (err == 0)
		err = nrs_sha256_label("noroshi/v1/statement", text, len, &ret->hash);
	if (err != 0)
		nrs_statement_fini(ret);
	return err != 0 ? nrs_fail(d, err, 0, "statement") : 0;
}

void
nrs_statement_fini(struct nrs_statement *s)
{
	if (s == NULL)
		return;
	free(s->stewards);
	free(s->members);
	memset(s, 0, sizeof(*s));
}

static void
put_members(struct nrs_buf *b, const char *key, const struct nrs_member *v, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		nrs_buf_fmt(b, "%s ", key);
		nrs_line_put_b64(b, v[i].origin, v[i].root.b);
	}
}

int
nrs_statement_format(struct nrs_buf *b, const struct nrs_statement *s)
{
	struct nrs_statement check;
	size_t start = b->len;
	int err;

	if (s->ceiling >= NRS_TLP__MAX || s->onward > NRS_ONWARD_CONSTITUENTS)
		return NRS_ERANGE;
	nrs_buf_str(b, "noroshi/v1/membership\n");
	nrs_line_put_b64(b, "community", s->community.b);
	nrs_buf_fmt(b, "name %s\nfounder %s\n", s->name, s->founder);
	nrs_line_put_b64(b, "nonce", s->nonce);
	nrs_buf_fmt(b, "epoch %u\n", s->epoch);
	nrs_line_put_previous(b, s->epoch == 0, &s->previous);
	nrs_buf_fmt(b, "threshold %u\nceiling %s\nonward %s\n", s->threshold,
	    nrs_tlp_name((enum nrs_tlp)s->ceiling), onward_names[s->onward]);
	nrs_buf_fmt(b, "history %s\nexercise %s\n", s->history ? "yes" : "no",
	    s->exercise ? "yes" : "no");
	put_members(b, "steward", s->stewards, s->nstewards);
	put_members(b, "member", s->members, s->nmembers);
	if (b->err != 0)
		return b->err;
	/* what we write we can read: nothing wrong ever gets as far as a signature */
	err = nrs_statement_parse(&check, b->p + start, b->len - start, NULL);
	if (err != 0)
		b->len = start;
	else
		nrs_statement_fini(&check);
	return err;
}

int
nrs_statement_follows(const struct nrs_statement *prev, const struct nrs_statement *next,
    struct nrs_detail *d)
{
	if (prev == NULL) {
		if (next->epoch != 0)
			return nrs_fail(d, NRS_EORDER, LINE_EPOCH, "epoch 0 is the first");
		return 0;
	}
	if (!nrs_hash_eq(&prev->community, &next->community))
		return nrs_fail(d, NRS_ESYNTAX, LINE_COMMUNITY, "another community");
	if (strcmp(prev->name, next->name) != 0)
		return nrs_fail(d, NRS_ESYNTAX, LINE_NAME, "the name never changes");
	if (strcmp(prev->founder, next->founder) != 0)
		return nrs_fail(d, NRS_ESYNTAX, LINE_FOUNDER, "the founder never changes");
	if (memcmp(prev->nonce, next->nonce, sizeof(prev->nonce)) != 0)
		return nrs_fail(d, NRS_ESYNTAX, LINE_NONCE, "the nonce never changes");
	if (prev->exercise != next->exercise)
		return nrs_fail(d, NRS_ESYNTAX, LINE_EXERCISE, "exercise never changes");
	if (prev->epoch == next->epoch && !nrs_hash_eq(&prev->hash, &next->hash))
		return nrs_fail(
		    d, NRS_EFORK, LINE_EPOCH, "another statement of this epoch");
	if ((uint64_t)prev->epoch + 1 != next->epoch)
		return nrs_fail(d, NRS_EORDER, LINE_EPOCH, "not the next epoch");
	if (!nrs_hash_eq(&prev->hash, &next->previous))
		return nrs_fail(d, NRS_EORDER, LINE_PREVIOUS, "follows another statement");
	return 0;
}

/* Does the note carry a valid signature of this steward? 0, NRS_ESIG, or a failure. */
static int
steward_signed(const struct nrs_note *note, const struct nrs_member *m,
    const struct nrs_pubkey *key, nrs_verify_fn verify)
{
	char name[NRS_ORIGIN_MAX + 8];
	int err;

	if (key == NULL)
		return NRS_ESIG;
	snprintf(name, sizeof(name), "%s/feed", m->origin);
	err = nrs_note_verify(note, name, NRS_NOTE_ED25519, key->pub, verify, NULL);
	return err == NRS_ENOTFOUND ? NRS_ESIG : err;
}

int
nrs_statement_verify(const struct nrs_statement *prev, const struct nrs_statement *next,
    const struct nrs_note *note,
    const struct nrs_pubkey *(*key)(void *arg, const struct nrs_member *m), void *arg,
    nrs_verify_fn verify)
{
	const struct nrs_statement *by = prev != NULL ? prev : next;
	bool founder = prev != NULL; /* only epoch 0 needs the founder's own */
	unsigned int valid = 0;
	struct nrs_hash hash;
	int err;

	if (prev == NULL && next->epoch != 0)
		return NRS_EORDER;
	err = nrs_sha256_label("noroshi/v1/statement", note->text.p, note->text.len, &hash);
	if (err != 0)
		return err;
	if (!nrs_hash_eq(&hash, &next->hash))
		return NRS_ESIG; /* signatures under another text */
	for (unsigned int i = 0; i < by->nstewards; i++) {
		const struct nrs_member *m = &by->stewards[i];

		err = steward_signed(note, m, key(arg, m), verify);
		if (err == NRS_ESIG)
			continue; /* one bad line is no veto */
		if (err != 0)
			return err;
		valid++;
		if (strcmp(m->origin, next->founder) == 0)
			founder = true;
	}
	return founder && valid > 0 && valid >= by->threshold ? 0 : NRS_ESIG;
}

const struct nrs_member *
nrs_member_find(const struct nrs_member *v, unsigned int n, const char *origin)
{
	unsigned int lo = 0, hi = n, mid;
	int cmp;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		cmp = strcmp(origin, v[mid].origin);
		if (cmp == 0)
			return &v[mid];
		if (cmp < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}
