/* mal DIR ADDRESS: commands on standard input, one object of JSON for each. */
#include "tests/hostile/mal.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
say_state(const struct mal *m)
{
	struct nrs_frontier f;
	struct nrs_hash leaf, root;
	uint64_t records = 0;

	nrs_frontier_init(&f);
	for (uint64_t i = 0; i < m->size; i++) {
		int rc = i == 0
		    ? nrs_leaf_control(m->dg, m->manifest, m->manifest_len, &leaf)
		    : nrs_leaf_sealed(m->dg, &m->c[i], &leaf);

		if (rc != 0 || nrs_frontier_append(m->dg, &f, &leaf, NULL, NULL) != 0)
			die("tree");
	}
	if (nrs_frontier_root(m->dg, &f, &root) != 0)
		die("root");
	for (unsigned int i = 0; i < m->nauds; i++)
		records += m->aud[i].n;
	printf("{\"case\":\"state\",\"size\":%llu,\"records\":%llu,\"root\":\"",
	    (unsigned long long)m->size, (unsigned long long)records);
	for (unsigned int i = 0; i < NRS_HASH_LEN; i++)
		printf("%02x", root.b[i]);
	printf("\"}\n");
}

static void
run(struct mal *m, char *line)
{
	char what[32] = "", arg[64] = "";
	unsigned long long a = 0, b = 0;
	int n;

	n = sscanf(line, "%31s %63s %llu %llu", what, arg, &a, &b);
	if (n < 1)
		return;
	if (strcmp(what, "flips") == 0)
		case_flips(m, arg, (unsigned int)(a > 0 ? a : 1));
	else if (strcmp(what, "cuts") == 0)
		case_cuts(m, arg, (unsigned int)(a > 0 ? a : 1));
	else if (strcmp(what, "leaves") == 0)
		case_leaves(m, strtoull(arg, NULL, 10), (int)a);
	else if (strcmp(what, "records") == 0)
		case_records(m, strtoull(arg, NULL, 10), (size_t)a, (int)b);
	else if (strcmp(what, "settle") == 0)
		case_settle(m, atoi(arg));
	else if (strcmp(what, "deaf") == 0)
		case_deaf(m, atoi(arg));
	else if (strcmp(what, "streams") == 0)
		case_streams(m, (unsigned int)atoi(arg));
	else if (strcmp(what, "again") == 0)
		case_again(m, atoi(arg));
	else if (strcmp(what, "reconnect") == 0)
		case_reconnect(m, (unsigned int)atoi(arg));
	else if (strcmp(what, "bombs") == 0)
		case_bombs(m);
	else if (strcmp(what, "giants") == 0)
		case_giants(m, (unsigned int)atoi(arg), (int)a);
	else if (strcmp(what, "lists") == 0)
		case_lists(m);
	else if (strcmp(what, "slow") == 0)
		case_slow(m, arg, (int)a);
	else if (strcmp(what, "state") == 0)
		say_state(m);
	else
		die("what is \"%s\"?", what);
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	struct mal m = { 0 };
	char line[256];

	if (argc != 3) {
		fprintf(stderr, "usage: mal DIR ADDRESS\n");
		return 64;
	}
	signal(SIGPIPE, SIG_IGN);
	m.dir = argv[1];
	m.address = argv[2];
	mal_load(&m);
	while (fgets(line, sizeof(line), stdin) != NULL)
		run(&m, line);
	return 0;
}
