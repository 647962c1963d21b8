/*
 * A peer of canned frames: dials a real node over TLS, answers its fetches of
 * one origin within the credit it gives, and waits until it has acknowledged
 * all records as durable.  It checks nothing and encodes next to nothing, so
 * that the processor is the receiver's; its own share is told.
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include "tools/noroshi-bench/fleet.h"
#include "tools/noroshi-bench/maker.h"

/* The node accepts the origin as a peer, in the community of the fleet. */
int peer_accept(struct fleet_node *n, const struct maker *m) NRS_MUST_CHECK;
/* That community as it is once all were accepted: for maker_audience(). */
int peer_audience(struct bench *b, struct fleet_node *n, struct nrs_hash *ret_id,
    uint32_t *ret_epoch) NRS_MUST_CHECK;

struct peer_result {
	double seconds; /* from the fetch of records to the last ACK */
	double cpu;	/* processor time of this side meanwhile */
	double first_s; /* from the connection to the fetch of records */
	uint64_t bytes; /* of frames sent meanwhile */
	uint64_t acks;	/* ACKs that came */
	unsigned int refused;
	char why[256]; /* when it failed: what the node said */
};

/*
 * Dials 127.0.0.1:port and plays until all is acknowledged.  NRS_ECANCELED: the
 * node closed or refused; NRS_EQUOTA: not done after so many seconds.
 */
int peer_play(
    struct maker *m, int port, double seconds, struct peer_result *ret) NRS_MUST_CHECK;

#endif
