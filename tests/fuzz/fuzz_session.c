/*
 * Any bytes as what an accepted peer sends from its first byte on, to a whole node:
 * u16 length, bytes; after each piece the node does what there is to do.  A length
 * above 0xff00 lets the seconds of its lower byte go by instead.
 *
 * Whatever came: the node goes on, holds no more than its limits, and its log and
 * its own records are what they were.
 */
#include "tests/fuzz/fuzz.h"

#include "node/session_priv.h"
#include "tests/fuzz/fuzz_world.h"

#define CONN 0x7fffffffull

unsigned int fuzz_cut_step = 17; /* a world for each */

static void
feed(struct world *w, const uint8_t *p, size_t len)
{
	struct node *n = w->v[FUZZ_NODE].n;
	size_t k;

	while (len >= 2) {
		k = nrs_get_u16(p);
		p += 2;
		len -= 2;
		if (k > 0xff00) {
			world_run(w, (unsigned int)(k & 0xff));
			continue;
		}
		if (k > len)
			k = len;
		node_on_data(n, CONN, p, k);
		world_run(w, 0);
		p += k;
		len -= k;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	static struct world base;
	struct origin *own, *other;
	struct world w;
	struct nrs_hash root;
	uint64_t size;

	if (base.n == 0) {
		fuzz_world_new(&base);
		world_close(&base);
	}
	world_clone(&w, &base);
	world_open(&w, FUZZ_NODE, false);
	world_run(&w, 1);
	own = w.v[FUZZ_NODE].n->own;
	size = own->shown.size;
	root = own->shown.root;
	node_on_connected(w.v[FUZZ_NODE].n, CONN, &w.v[FUZZ_PEER].pin, false);
	feed(&w, p, len);
	node_on_closed(w.v[FUZZ_NODE].n, CONN, "the end of the input");
	world_run(&w, 5);
	FUZZ_CHECK(node_failed(w.v[FUZZ_NODE].n) == NULL);
	FUZZ_CHECK(own->shown.size == size && nrs_hash_eq(&own->shown.root, &root));
	other = origin_find_name(w.v[FUZZ_NODE].n, w.v[FUZZ_PEER].name);
	/* Of the other only what it signed: two records, one list, the manifest. */
	FUZZ_CHECK(other != NULL && other->put.size <= 4 && other->opened <= 3);
	world_clone_free(&w);
	return 0;
}
