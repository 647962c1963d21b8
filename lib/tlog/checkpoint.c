/* Checkpoints: three lines and the log key's signature (docs/FORMAT.md, section 5). */
#include "tlog/checkpoint.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "tlog/node.h"

#define SIG_NAME_MAX (NRS_ORIGIN_MAX + 8)

int
nrs_checkpoint_format(struct nrs_buf *b, const struct nrs_checkpoint *c)
{
	char root[NRS_B64_LEN(NRS_HASH_LEN) + 1];

	if (!nrs_origin_ok(c->origin, strnlen(c->origin, sizeof(c->origin))))
		return NRS_ESYNTAX;
	if (c->size > NRS_TREE_MAX)
		return NRS_ERANGE;
	nrs_b64_format(root, c->root.b, NRS_HASH_LEN);
	nrs_buf_fmt(b, "%s\n%llu\n%s\n", c->origin, (unsigned long long)c->size, root);
	return b->err;
}

/* Line no of the text, without its LF. */
static int
take_line(const uint8_t **p, const uint8_t *end, unsigned int no, struct nrs_str *ret,
    struct nrs_detail *d)
{
	const uint8_t *lf = NULL;

	if (*p < end)
		lf = memchr(*p, '\n', (size_t)(end - *p));
	if (lf == NULL)
		return nrs_fail(d, NRS_ETRUNC, no, "a checkpoint has three lines");
	ret->p = *p;
	ret->len = (size_t)(lf - *p);
	*p = lf + 1;
	return 0;
}

int
nrs_checkpoint_parse(
    struct nrs_checkpoint *ret, const uint8_t *text, size_t len, struct nrs_detail *d)
{
	const uint8_t *p = text, *end = p + len;
	struct nrs_str line[3];
	size_t n = 0;
	int err;

	for (unsigned int i = 0; i < 3; i++) {
		err = take_line(&p, end, i + 1, &line[i], d);
		if (err != 0)
			return err;
	}
	if (p != end)
		return nrs_fail(d, NRS_ETRAILING, 4, "a checkpoint has three lines");
	if (line[0].len > NRS_ORIGIN_MAX ||
	    !nrs_origin_ok((const char *)line[0].p, line[0].len))
		return nrs_fail(d, NRS_ESYNTAX, 1, "not the name of an origin");
	err = nrs_u64_parse((const char *)line[1].p, line[1].len, NRS_TREE_MAX, &ret->size);
	if (err != 0)
		return nrs_fail(d, err, 2, "not the size of a log");
	if (line[2].len != NRS_B64_LEN(NRS_HASH_LEN) ||
	    nrs_b64_parse(
		(const char *)line[2].p, line[2].len, ret->root.b, NRS_HASH_LEN, &n) != 0 ||
	    n != NRS_HASH_LEN)
		return nrs_fail(d, NRS_ESYNTAX, 3, "not a hash in base64");
	memcpy(ret->origin, line[0].p, line[0].len);
	ret->origin[line[0].len] = '\0';
	return 0;
}

int
nrs_checkpoint_note(struct nrs_buf *b, const struct nrs_checkpoint *c,
    const struct nrs_pubkey *log, const uint8_t sig[NRS_ED25519_SIG])
{
	char name[SIG_NAME_MAX];
	uint8_t id[4];
	int err;

	err = nrs_checkpoint_format(b, c);
	if (err != 0)
		return err;
	snprintf(name, sizeof(name), "%s/log", c->origin);
	err = nrs_note_keyid(name, NRS_NOTE_ED25519, log->pub, id);
	if (err != 0)
		return err;
	nrs_buf_u8(b, '\n');
	nrs_note_add_sig(b, name, id, sig, NRS_ED25519_SIG);
	return b->err;
}

int
nrs_checkpoint_open(struct nrs_checkpoint *ret, const uint8_t *note, size_t len,
    const char *expect, const struct nrs_pubkey *log, nrs_verify_fn verify,
    struct nrs_detail *d)
{
	char name[SIG_NAME_MAX];
	struct nrs_note n;
	int err;

	err = nrs_note_parse(&n, note, len, d);
	if (err == 0)
		err = nrs_checkpoint_parse(ret, n.text.p, n.text.len, d);
	if (err != 0)
		return err;
	if (expect != NULL && strcmp(expect, ret->origin) != 0)
		return nrs_fail(d, NRS_EORIGIN, 1, "checkpoint of another origin");
	snprintf(name, sizeof(name), "%s/log", ret->origin);
	err = nrs_note_verify(&n, name, NRS_NOTE_ED25519, log->pub, verify, NULL);
	if (err == NRS_ENOTFOUND)
		return nrs_fail(d, NRS_EKEY, 0, "no signature by the log key");
	return err != 0 ? nrs_fail(d, err, 0, "signature of the log key") : 0;
}
