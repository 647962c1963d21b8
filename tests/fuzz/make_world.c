/*
 * Seeds of the targets session and state: make_world CORPUS.  What a node really
 * sends to another that lacks two records, piece by piece, and what it would write
 * into STATE.
 */
#include "tests/fuzz/fuzz.h"

#include "tests/fuzz/fuzz_world.h"

static struct nrs_buf pieces;

/* Bytes under way: written down, and left as they are. */
static void
record(struct world *w, unsigned int to, uint8_t *p, size_t len)
{
	size_t n;

	if (to != FUZZ_NODE)
		return;
	for (; len > 0; p += n, len -= n) {
		n = len < 0xff00 ? len : 0xff00;
		nrs_buf_u16(&pieces, (uint16_t)n);
		nrs_buf_put(&pieces, p, n);
	}
}

static void
put_file(const char *dir, const char *name, const void *p, size_t len)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "wb");
	if (f == NULL || fwrite(p, 1, len, f) != len || fclose(f) != 0) {
		perror(path);
		exit(1);
	}
}

static void
put_state(const char *dir, const char *name, struct node *n)
{
	struct nrs_buf b;

	nrs_buf_init(&b, 64u << 20);
	FUZZ_CHECK(node_journal_ops.state_encode(n, &b) == 0);
	put_file(dir, name, b.p, b.len);
	nrs_buf_fini(&b);
}

int
main(int argc, char **argv)
{
	struct world base, w;

	if (argc != 2)
		return 64;
	nrs_buf_init(&pieces, 64u << 20);
	fuzz_world_new(&base);
	put_state(argv[1], "state/origin", base.v[FUZZ_PEER].n);
	/* As the target has it: opened anew, and the peer is the one that dials. */
	world_close(&base);
	world_clone(&w, &base);
	w.mangle = record;
	w.cut[FUZZ_PEER][FUZZ_NODE] = false;
	world_open(&w, FUZZ_NODE, false);
	world_run(&w, 1);
	world_open(&w, FUZZ_PEER, false);
	for (unsigned int i = 0; i < 60; i++)
		world_run(&w, 1);
	FUZZ_CHECK(origin_find_name(w.v[FUZZ_NODE].n, w.v[FUZZ_PEER].name)->opened == 3);
	put_file(argv[1], "session/whole", pieces.p, pieces.len);
	put_state(argv[1], "state/member", w.v[FUZZ_NODE].n);
	nrs_buf_fini(&pieces);
	world_clone_free(&w);
	world_free(&base);
	return 0;
}
