/*
 * Real nodes, started from the binaries, each with a data directory of its
 * own: what a scenario measures is what an operator runs.
 *
 * All calls return 0 or an exit status, having said what was wrong.
 */
#ifndef BENCH_FLEET_H
#define BENCH_FLEET_H

#include <jansson.h>

#include "tools/noroshi-bench/bench.h"

#define FLEET_COMMUNITY "bench"

struct fleet;

struct fleet_node {
	struct fleet *fleet;
	const char *name;   /* "a" */
	const char *origin; /* "a.bench.example" */
	const char *dir;    /* noroshi.conf, control.sock, data/, log, invite */
	const char *conf;
	const char *socket; /* the control socket */
	int port;	    /* it listens on 127.0.0.1:port */
	int pid;	    /* 0: not running */
	int keeper;	    /* pid of the keeper process; 0: not running */
	double start_s;	    /* the last start: from exec to serving */
};

/* A new directory under b->dir. */
int fleet_new(struct bench *b, const char *name, struct fleet **ret) NRS_MUST_CHECK;
/* Stops all nodes; removes the directory unless --keep. Accepts NULL. */
void fleet_free(struct fleet *f);

/* One that is kept between calls: in a directory that exists. fleet_close() leaves it there. */
int fleet_open(struct bench *b, const char *dir, struct fleet **ret) NRS_MUST_CHECK;
void fleet_close(struct fleet *f);
/* A node made before in such a directory; not started, its port not known. Non-zero: none, quietly. */
int fleet_find(struct fleet *f, const char *name, struct fleet_node **ret) NRS_MUST_CHECK;

/*
 * Makes and starts a node.  conf: more lines of noroshi.conf, or NULL;
 * node_conf: more lines within its "node" stanza, or NULL.
 */
int fleet_add(struct fleet *f, const char *name, const char *node_conf, const char *conf,
    struct fleet_node **ret) NRS_MUST_CHECK;
/* Makes the first node found the community, all accept each other; waits until in sync. */
int fleet_join(struct fleet *f) NRS_MUST_CHECK;
/*
 * Makes the node found the community alone.  A peer made by the scenario
 * itself joins with: noroshi peer accept INVITE --community bench.
 */
int fleet_found(struct fleet_node *n) NRS_MUST_CHECK;
/* Until each pair of nodes is up, without lag, and shows the same size and root of each log. */
int fleet_wait(struct fleet *f, double seconds) NRS_MUST_CHECK;

/* From exec until the control socket answers with state "serving"; sets start_s. */
int fleet_start(struct fleet_node *n) NRS_MUST_CHECK;
/* SIGTERM, and waits for it; SIGKILL after 60 s. */
int fleet_stop(struct fleet_node *n);
/* Appends lines to noroshi.conf; takes effect at the next start or fleet_reload(). */
int fleet_conf(struct fleet_node *n, const char *lines) NRS_MUST_CHECK;
int fleet_reload(struct fleet_node *n) NRS_MUST_CHECK;

/* Processor time of daemon and keeper in seconds, resident bytes of both. */
double fleet_cpu(const struct fleet_node *n);
uint64_t fleet_rss(const struct fleet_node *n);

/* Runs "noroshi -S SOCKET ARGS... NULL"; its standard output to *ret_out (free()) unless NULL. */
int fleet_cli(struct fleet_node *n, char **ret_out, const char *arg, ...) NRS_MUST_CHECK
    __attribute__((sentinel));
/* One request on the control socket (docs/CONTROL.md). Takes req. ret may be NULL (json_decref). */
int fleet_call(struct fleet_node *n, json_t *req, const void *attach, size_t len,
    json_t **ret) NRS_MUST_CHECK;
/* The metric of that name in "stats", summed over its labels; 0 when there is none. */
double fleet_metric(struct fleet_node *n, const char *name);
/* A port of 127.0.0.1 that was free a moment ago; 0: none. */
int fleet_port(void);

#endif
