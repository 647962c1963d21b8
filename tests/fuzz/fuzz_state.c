/*
 * Any bytes as the state of a node in a STATE frame: refused, or taken and written
 * again as it was.  Where caches that it counts on are missing, everything would be
 * read again: nothing of it counts then.
 */
#include "tests/fuzz/fuzz.h"

#include "node/disclosure.h"
#include "node/ledger.h"
#include "tests/fuzz/fuzz_world.h"

static struct node *
node_empty(struct world *w)
{
	static const uint8_t seed[16];
	struct node *n = calloc(1, sizeof(*n));

	FUZZ_CHECK(n != NULL);
	n->env = &w->v[0].e->env;
	TAILQ_INIT(&n->origins);
	TAILQ_INIT(&n->communities);
	TAILQ_INIT(&n->peers);
	TAILQ_INIT(&n->readers);
	TAILQ_INIT(&n->idle_readers);
	TAILQ_INIT(&n->woken_readers);
	n->next_event = 1;
	n->replaying = true;
	snprintf(n->name, sizeof(n->name), "%s", w->v[0].name);
	FUZZ_CHECK(nrs_origin_id(n->name, strlen(n->name), &n->id) == 0);
	n->dg = nrs_digest_new();
	n->origin_by_id = nrs_map_new(NRS_HASH_LEN, seed);
	n->conns = nrs_map_new(sizeof(nrs_conn), seed);
	FUZZ_CHECK(n->dg != NULL && n->origin_by_id != NULL && n->conns != NULL);
	FUZZ_CHECK(disclosure_init(n) == 0 && ledger_init(n) == 0);
	return n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	struct nrs_buf out;
	struct nrs_rd r;
	struct world w;
	struct node *n;
	int rc;

	world_new(&w, 1);
	n = node_empty(&w);
	nrs_rd_init(&r, p, len);
	rc = node_journal_ops.state_decode(n, &r);
	FUZZ_CHECK(rc == 0 || rc == NRS_ECORRUPT);
	if (rc == 0 && len > 8) {
		nrs_buf_init(&out, 64u << 20);
		FUZZ_CHECK(node_journal_ops.state_encode(n, &out) == 0);
		FUZZ_SAME(&out, p, len);
		nrs_buf_fini(&out);
	}
	node_free(n);
	world_free(&w);
	return 0;
}
