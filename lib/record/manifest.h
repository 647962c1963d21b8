/* Manifests: who an origin is (docs/FORMAT.md, section 6). */
#ifndef RECORD_MANIFEST_H
#define RECORD_MANIFEST_H

#include <noroshi/err.h>
#include <noroshi/limits.h>
#include <noroshi/types.h>

#include "crypto/key.h"
#include "crypto/note.h"

struct nrs_manifest {
	char origin[NRS_ORIGIN_MAX + 1];
	struct nrs_hash origin_id;
	uint64_t number;
	struct nrs_hash previous; /* zeros for number 0 */
	struct nrs_wall created;
	struct nrs_pubkey root;
	struct nrs_hash next_root;
	struct nrs_pubkey feed;
	struct nrs_pubkey log;
	struct nrs_pubkey witness;
	struct nrs_pubkey tls[2];
	struct nrs_hash tls_pin[2]; /* SHA-256 of SubjectPublicKeyInfo */
	unsigned int ntls;
	bool require_ed25519;
	char addr[NRS_ADDRS_MAX][NRS_ORIGIN_MAX + 8];
	unsigned int naddr;
	struct nrs_hash hash; /* H(label manifest, text); computed by parse */
};

/* Parses the text of a manifest (not the signatures). off = line number in d. */
int nrs_manifest_parse(struct nrs_manifest *ret, const uint8_t *text, size_t len,
    struct nrs_detail *d) NRS_MUST_CHECK;
/* Writes the text. Fields hash, origin_id and tls_pin are not read. */
int nrs_manifest_format(struct nrs_buf *b, const struct nrs_manifest *m) NRS_MUST_CHECK;
/*
 * A whole note: parse, verify the root's signature, and for number > 0 check
 * that it follows prev (NULL for manifest 0).  The stand in the log is the
 * caller's business.
 */
int nrs_manifest_open(struct nrs_manifest *ret, const uint8_t *note, size_t len,
    const struct nrs_manifest *prev, nrs_verify_fn verify,
    struct nrs_detail *d) NRS_MUST_CHECK;

/* "host:port" or "[v6]:port": splits; port 1..65535. host has NRS_ORIGIN_MAX + 1 bytes. */
int nrs_addr_parse(
    const char *s, size_t len, char *host, uint16_t *ret_port) NRS_MUST_CHECK;

/*
 * Invite files: notes, each preceded by a line "-----", which the first may
 * lack.  Calls each() for every note in order, once the form of the whole file
 * is known to be good; it returns 0 to go on.  Limits: 1 MiB, 4096 notes.  off =
 * line number in d.
 */
int nrs_invite_walk(const uint8_t *buf, size_t len,
    int (*each)(void *arg, const uint8_t *note, size_t len), void *arg,
    struct nrs_detail *d) NRS_MUST_CHECK;
#define NRS_INVITE_MAX (1u << 20)
/* Appends one note and the line before it. */
void nrs_invite_add(struct nrs_buf *b, const uint8_t *note, size_t len);

#endif
