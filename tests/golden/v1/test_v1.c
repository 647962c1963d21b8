/*
 * Format version 1, as it was when it was new: the committed bytes still say what
 * they said.  They are only read; a journal that is opened is opened in memory.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/golden/v1/golden.h"
#include "wire/wire.h"

enum { JP, US };
#define CONN 1000 /* of the session that is played again */

static const char *dir;
static struct world w;

/* What is said now is what was said then: the first line that differs is shown. */
static void
assert_text(struct nrs_buf *now, const char *name)
{
	const char *a, *b;
	uint8_t *then;
	size_t len;

	nrs_buf_u8(now, 0);
	assert_int_equal(now->err, 0);
	then = golden_read(dir, name, &len);
	a = (const char *)now->p;
	b = (const char *)then;
	while (*a != '\0' && strcspn(a, "\n") == strcspn(b, "\n") &&
	    memcmp(a, b, strcspn(a, "\n")) == 0) {
		a += strcspn(a, "\n") + 1;
		b += strcspn(b, "\n") + 1;
	}
	if (*a != '\0' || *b != '\0')
		fail_msg("%s: now \"%.*s\", then \"%.*s\"", name, (int)strcspn(a, "\n"), a,
		    (int)strcspn(b, "\n"), b);
	free(then);
	nrs_buf_fini(now);
}

static void
test_documents(void **state)
{
	struct nrs_buf b;

	nrs_buf_init(&b, GOLDEN_TEXT_MAX);
	golden_documents(dir, &b);
	assert_text(&b, "documents.txt");
}

static void
load(struct memenv *e, const char *name)
{
	char from[64], to[64];
	uint8_t *p;
	size_t len;

	snprintf(from, sizeof(from), "us/journal/%s", name);
	snprintf(to, sizeof(to), "journal/%s", name);
	p = golden_read(dir, from, &len);
	memenv_write(e, to, p, len);
	free(p);
}

static void
test_journal(void **state)
{
	char name[32];
	struct nrs_buf b;

	world_new(&w, 3);
	w.segment_bytes = GOLDEN_SEGMENT;
	assert_int_equal(w.v[US].e->env.ops->dir_make(&w.v[US].e->env, "journal"), 0);
	for (unsigned int i = 1; i <= GOLDEN_SEGMENTS; i++) {
		snprintf(name, sizeof(name), "%08u.nrj", i);
		load(w.v[US].e, name);
		snprintf(name, sizeof(name), "%08u.key", i);
		load(w.v[US].e, name);
	}
	world_open(&w, US, false);
	nrs_buf_init(&b, GOLDEN_TEXT_MAX);
	golden_state(w.v[US].n, &b);
	assert_text(&b, "us/state.txt");
	world_free(&w);
}

static void
test_carrier(void **state)
{
	struct nrs_buf b;

	nrs_buf_init(&b, GOLDEN_TEXT_MAX);
	golden_import(dir, &b);
	assert_text(&b, "carrier/state.txt");
}

static void
test_transcript_frames(void **state)
{
	struct nrs_buf b;
	uint8_t *p;
	size_t len;

	p = golden_read(dir, "transcript/frames", &len);
	nrs_buf_init(&b, GOLDEN_TEXT_MAX);
	golden_transcript(p, len, &b);
	assert_text(&b, "transcript/frames.txt");
	free(p);
}

/* Its fetches are odd if it dialled. */
static bool
us_dialed(const uint8_t *p, size_t len)
{
	struct golden_frame g;

	while (golden_frame_next(&p, &len, &g) == 1)
		if (g.to_jp && g.bytes.p[4] == WIRE_FETCH_LEAVES)
			return nrs_get_u16(g.bytes.p + 6) % 2 == 1;
	fail_msg("no FETCH_LEAVES by us");
	return false;
}

/* What JP said then, said to a new node, leads to the same state. */
static void
test_transcript_played(void **state)
{
	struct golden_frame g;
	const uint8_t *at;
	struct nrs_buf b;
	uint8_t *p;
	size_t len, left;

	p = golden_read(dir, "transcript/frames", &len);
	world_new(&w, 2);
	world_open(&w, US, true);
	golden_accept(&w, US, dir, "transcript/statement.0");
	golden_accept(&w, US, dir, "transcript/statement.1");
	node_on_connected(w.v[US].n, CONN, &w.v[JP].pin, us_dialed(p, len));
	world_run(&w, 0);
	for (at = p, left = len; golden_frame_next(&at, &left, &g) == 1;) {
		if (g.to_jp)
			continue;
		node_on_data(w.v[US].n, CONN, g.bytes.p, g.bytes.len);
		world_run(&w, 0);
	}
	world_run(&w, 1);
	nrs_buf_init(&b, GOLDEN_TEXT_MAX);
	golden_state(w.v[US].n, &b);
	assert_text(&b, "transcript/state.txt");
	world_free(&w);
	free(p);
}

/* A byte of it changed is a state that is not the same: the test can fail. */
static void
test_transcript_mangled(void **state)
{
	struct nrs_buf a, b;
	uint8_t *p;
	size_t len;

	p = golden_read(dir, "transcript/frames", &len);
	nrs_buf_init(&a, GOLDEN_TEXT_MAX);
	nrs_buf_init(&b, GOLDEN_TEXT_MAX);
	golden_transcript(p, len, &a);
	p[1 + WIRE_HEADER_LEN + 4 + 2] ^= 1; /* in the name of the first HELLO */
	golden_transcript(p, len, &b);
	assert_true(a.len != b.len || memcmp(a.p, b.p, a.len) != 0);
	nrs_buf_fini(&a);
	nrs_buf_fini(&b);
	free(p);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_documents),
		cmocka_unit_test(test_journal),
		cmocka_unit_test(test_carrier),
		cmocka_unit_test(test_transcript_frames),
		cmocka_unit_test(test_transcript_played),
		cmocka_unit_test(test_transcript_mangled),
	};

	if (argc != 2) {
		fprintf(stderr, "test_v1 DIR\n");
		return 64;
	}
	dir = argv[1];
	return cmocka_run_group_tests_name("golden v1", tests, NULL, NULL);
}
