/* The text form of an inclusion proof: https://c2sp.org/tlog-proof */
#include "tlog/proof_text.h"

#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "tlog/node.h"

static const char first_line[] = "c2sp.org/tlog-proof@v1";
static const char index_word[] = "index ";

void
nrs_proof_text_format(struct nrs_buf *b, const struct nrs_proof_text *t)
{
	char b64[NRS_B64_LEN(NRS_HASH_LEN) + 1];

	nrs_buf_fmt(b, "%s\n%s%" PRIu64 "\n", first_line, index_word, t->index);
	for (unsigned int i = 0; i < t->path.n; i++) {
		nrs_b64_format(b64, t->path.h[i].b, NRS_HASH_LEN);
		nrs_buf_fmt(b, "%s\n", b64);
	}
	nrs_buf_u8(b, '\n');
	nrs_buf_put(b, t->checkpoint.p, t->checkpoint.len);
}

/* The line at *off, without its LF; *off moves behind it. */
static int
take_line(
    const uint8_t *text, size_t len, size_t *off, struct nrs_str *ret, struct nrs_detail *d)
{
	const uint8_t *lf = *off < len ? memchr(text + *off, '\n', len - *off) : NULL;

	if (lf == NULL)
		return nrs_fail(d, NRS_ETRUNC, len, "the proof ends inside a line");
	ret->p = text + *off;
	ret->len = (size_t)(lf - ret->p);
	*off += ret->len + 1;
	return 0;
}

static int
take_index(struct nrs_proof_text *t, struct nrs_str line, size_t off, struct nrs_detail *d)
{
	const size_t n = sizeof(index_word) - 1;

	if (line.len < n || memcmp(line.p, index_word, n) != 0)
		return nrs_fail(d, NRS_ESYNTAX, off, "expected the index of the entry");
	if (nrs_u64_parse(
		(const char *)line.p + n, line.len - n, NRS_TREE_MAX, &t->index) != 0)
		return nrs_fail(d, NRS_ESYNTAX, off + n, "not an index");
	return 0;
}

static int
take_hash(struct nrs_proof *path, struct nrs_str line, size_t off, struct nrs_detail *d)
{
	size_t n = 0;

	if (path->n == NRS_PROOF_MAX)
		return nrs_fail(d, NRS_ELIMIT, off, "too many hashes");
	if (line.len != NRS_B64_LEN(NRS_HASH_LEN) ||
	    nrs_b64_parse((const char *)line.p, line.len, path->h[path->n].b, NRS_HASH_LEN,
		&n) != 0 ||
	    n != NRS_HASH_LEN)
		return nrs_fail(d, NRS_ESYNTAX, off, "not a hash in base64");
	path->n++;
	return 0;
}

int
nrs_proof_text_parse(
    struct nrs_proof_text *ret, const uint8_t *text, size_t len, struct nrs_detail *d)
{
	struct nrs_str line;
	size_t off = 0, at;
	int err;

	ret->path.n = 0;
	err = take_line(text, len, &off, &line, d);
	if (err == 0 &&
	    (line.len != sizeof(first_line) - 1 ||
		memcmp(line.p, first_line, line.len) != 0))
		err = nrs_fail(d, NRS_EMAGIC, 0, "not a tlog-proof of version 1");
	at = off;
	if (err == 0)
		err = take_line(text, len, &off, &line, d);
	if (err == 0)
		err = take_index(ret, line, at, d);
	while (err == 0) {
		at = off;
		err = take_line(text, len, &off, &line, d);
		if (err != 0 || line.len == 0)
			break;
		err = take_hash(&ret->path, line, at, d);
	}
	ret->checkpoint.p = text + off;
	ret->checkpoint.len = len - off;
	return err;
}
