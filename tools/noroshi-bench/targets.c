/* What is asked for, in one place. --check compares; nothing else looks here. */
#include "tools/noroshi-bench/out.h"

const struct bench_target bench_targets[] = {
	/* of the same bytes through TLS, SHA-256, zstd, AES-GCM, write and fdatasync */
	{ "ingest", BENCH_OF_RATIO, BENCH_MORE, 0.5 },
	/* of one core's Ed25519 verify rate; by the checkpoint fast path, records/s */
	{ "single", BENCH_OF_RATIO, BENCH_MORE, 0.7 },
	{ "single.fast", BENCH_OF_VALUE, BENCH_MORE, 30000 },
	/* ms, submit at one node to a subscriber at another: idle, and at 1,000 records/s */
	{ "latency.idle.p50", BENCH_OF_VALUE, BENCH_LESS, 3 },
	{ "latency.idle.p99", BENCH_OF_VALUE, BENCH_LESS, 20 },
	{ "latency.load.p99", BENCH_OF_VALUE, BENCH_LESS, 50 },
	/* deliveries/s; bytes of an idle subscriber */
	{ "fanout", BENCH_OF_VALUE, BENCH_MORE, 300000 },
	{ "fanout.idle_unix", BENCH_OF_VALUE, BENCH_LESS, 8192 },
	{ "fanout.idle_tls", BENCH_OF_VALUE, BENCH_LESS, 28672 },
	/* s from exec to serving, MB resident: records of one indicator, bundles of 1,000 */
	{ "restart", BENCH_OF_VALUE, BENCH_LESS, 1 },
	{ "restart.bundles", BENCH_OF_VALUE, BENCH_LESS, 1 },
	{ "restart.rss", BENCH_OF_VALUE, BENCH_LESS, 96 },
	{ "restart.bundles.rss", BENCH_OF_VALUE, BENCH_LESS, 96 },
	{ 0 },
};
