/* One node over the small world of tests/lib: keys, configuration, a keeper, a driver. */
#ifndef TESTS_TNODE_H
#define TESTS_TNODE_H

#include "crypto/key.h"
#include "crypto/note.h"
#include "node/node_priv.h"
#include "tests/lib/memenv.h"

#define TN_KV 4096

/* Another origin, for its manifest and its signatures. */
struct tident {
	char origin[64];
	struct nrs_seckey *root, *next, *feed, *log, *witness, *tls;
	struct nrs_manifest m;
	struct nrs_buf note;
};

struct tnode {
	struct memenv *m;
	struct node *n;
	struct tident id;
	struct node_peer_config peers[3];
	struct node_config cfg;
	uint64_t segment_bytes;
	/* the keeper */
	struct nrs_sign *signs, **signs_last;
	int sign_rc;	 /* what it answers to requests for headers */
	int sign_run_rc; /* what it answers while the node is opened */
	bool sign_hold;	 /* it does not answer */
	bool sign_flip;	 /* one bit of what it answers is wrong */
	uint64_t signed_size;
	unsigned int nlog; /* lines for the operator at level error */
	/* the cache of keys */
	struct nrs_kv_item kv[TN_KV];
	size_t nkv;
	uint64_t kv_mark;
};

void tident_init(struct tident *id, const char *origin);
void tident_fini(struct tident *id);
/* A note over text, signed as <origin>/<role> by sec. */
void tident_note(struct nrs_buf *b, const struct tident *id, const char *role,
    struct nrs_seckey *sec, const struct nrs_buf *text);

struct tnode *tnode_new(uint64_t seed);
void tnode_free(struct tnode *t);
void tnode_peer(struct tnode *t, const struct tident *id, const char *const *communities,
    unsigned int ncommunities, uint8_t ceiling);
int tnode_open(struct tnode *t, bool create);
void tnode_run(struct tnode *t);
bool tnode_step(struct tnode *t);
/* The process dies; of the disk stays what how says. */
void tnode_crash(struct tnode *t, enum memenv_crash how, uint64_t seed);
/* Founds a community and waits. */
void tnode_community(struct tnode *t, const char *name, uint8_t ceiling);

/* A submission whose answer is awaited. */
struct tsubmit {
	struct node_submit s;
	unsigned int called;
	int rc;
	uint32_t nknown;
	uint32_t known[8];
};
/* A bundle of count indicators numbered from first, marked tlp (NRS_TLP_UNMARKED: none). */
void tnode_bundle(struct nrs_buf *b, unsigned int first, unsigned int count, uint8_t tlp);
void tnode_submit(struct tnode *t, struct tsubmit *ts, const char *community,
    unsigned int first, unsigned int count, uint8_t tlp);
/* All lines a reader gives from a cursor on, with pages of max bytes. */
unsigned int tnode_read(struct tnode *t, const struct node_clearance *cl,
    struct node_cursor from, size_t max, struct nrs_buf *out, struct node_cursor *ret_at);

#endif
