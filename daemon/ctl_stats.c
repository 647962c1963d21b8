/* Metrics: one table of rows, and three families with a label. */
#include "daemon/ctl_priv.h"

#include <stddef.h>

#include "daemon/loop.h"
#include "daemon/net.h"
#include "daemon/stream.h"

struct snapshot {
	struct node_counts n;
	uint64_t uptime_s, connections, accepted;
};

struct row {
	const char *name, *help, *type;
	size_t off;
};

#define ROW(name, type, member, help)                               \
	{                                                           \
		name, help, type, offsetof(struct snapshot, member) \
	}

static const struct row rows[] = {
	ROW("noroshi_uptime_seconds", "gauge", uptime_s,
	    "Seconds since the daemon started."),
	ROW("noroshi_events_total", "counter", n.events, "Events of this node, durable."),
	ROW("noroshi_opened_total", "counter", n.opened,
	    "Records that were opened and accepted."),
	ROW("noroshi_published_total", "counter", n.published, "Own records published."),
	ROW("noroshi_refused_total", "counter", n.refused,
	    "Records of others that were refused."),
	ROW("noroshi_submitted_total", "counter", n.submitted, "Submissions received."),
	ROW("noroshi_submit_refused_total", "counter", n.submit_refused,
	    "Submissions refused."),
	ROW("noroshi_journal_bytes", "gauge", n.journal_bytes, "Size of the journal."),
	ROW("noroshi_journal_segments", "gauge", n.journal_segments,
	    "Segments of the journal."),
	ROW("noroshi_journal_batches_total", "counter", n.batches, "Batches made durable."),
	ROW("noroshi_readers", "gauge", n.readers, "Readers of the stream of objects."),
	ROW("noroshi_disclosures", "gauge", n.ranges_open,
	    "Ranges of events given to readers that are open in the journal."),
	ROW("noroshi_disclosures_total", "counter", n.ranges,
	    "Ranges opened since the daemon started."),
	ROW("noroshi_lines_total", "counter", n.lines,
	    "Lines made, each once for all readers that may see the same."),
	ROW("noroshi_line_bytes", "gauge", n.chunk_bytes, "Memory of lines that are held."),
	ROW("noroshi_given_bytes_total", "counter", n.given_bytes,
	    "Bytes of lines handed to readers."),
	ROW("noroshi_connections", "gauge", connections,
	    "Connections with peers, handshakes included."),
	ROW("noroshi_accepted_total", "counter", accepted,
	    "Connections accepted on the peers' port."),
};

static void
add(json_t *a, const char *name, const char *help, const char *type, double value,
    json_t *labels)
{
	json_array_append_new(a,
	    json_pack("{s:s, s:s, s:s, s:f, s:o}", "name", name, "help", help, "type", type,
		"value", value, "labels", labels));
}

static int
add_peer(void *arg, const struct node_peer_info *i)
{
	const struct {
		const char *name, *help, *type;
		double value;
	} v[] = {
		{ "noroshi_peer_up", "1 while there is a session with the peer.", "gauge",
		    i->up_since_ms != 0 },
		{ "noroshi_peer_lag_records", "Records it has not acknowledged yet.",
		    "gauge", (double)i->lag_records },
		{ "noroshi_peer_lag_seconds", "Age of the oldest of them.", "gauge",
		    (double)i->lag_ms / 1000.0 },
		{ "noroshi_peer_behind_records", "Its records that are not here yet.",
		    "gauge", (double)i->behind_records },
		{ "noroshi_peer_rx_bytes_total", "Bytes received.", "counter",
		    (double)i->rx_bytes },
		{ "noroshi_peer_tx_bytes_total", "Bytes sent.", "counter",
		    (double)i->tx_bytes },
		{ "noroshi_peer_rx_records_total", "Records received.", "counter",
		    (double)i->rx_records },
		{ "noroshi_peer_tx_records_total", "Records sent.", "counter",
		    (double)i->tx_records },
		{ "noroshi_peer_quota", "1 while it is beyond a quota and has to wait.",
		    "gauge", i->quota != NULL },
		{ "noroshi_peer_quota_stops_total", "How often it came to be so.",
		    "counter", (double)i->quota_stops },
		{ "noroshi_peer_kept_bytes", "Bytes kept of its log and records.", "gauge",
		    (double)i->kept_bytes },
		{ "noroshi_peer_refused_in_total", "Refusals we sent it.", "counter",
		    (double)i->refused_in },
		{ "noroshi_peer_refused_out_total", "Refusals it sent us.", "counter",
		    (double)i->refused_out },
	};

	for (size_t k = 0; k < sizeof(v) / sizeof(v[0]); k++)
		add(arg, v[k].name, v[k].help, v[k].type, v[k].value,
		    json_pack("{s:s}", "peer", i->name));
	return 0;
}

static int
add_origin(void *arg, const struct node_origin_info *i)
{
	add(arg, "noroshi_on_checkpoint_total",
	    "Records accepted on their checkpoint, without a look at their signatures.",
	    "counter", (double)i->on_checkpoint, json_pack("{s:s}", "origin", i->origin));
	return 0;
}

static int
add_refusal(void *arg, const char *name, uint64_t count)
{
	add(arg, "noroshi_refusals_total", "Refusals by code.", "counter", (double)count,
	    json_pack("{s:s}", "code", name));
	return 0;
}

static void
add_turned_away(void *arg, const struct net_refusal *r)
{
	add(arg, "noroshi_connections_refused_total",
	    "Connections that were turned away before they were up, by reason.", "counter",
	    (double)r->count, json_pack("{s:s}", "reason", r->name));
}

static void
add_stream_refusal(void *arg, const char *name, uint64_t count)
{
	add(arg, "noroshi_stream_refused_total",
	    "Connections of subscribers that were refused, by reason.", "counter",
	    (double)count, json_pack("{s:s}", "reason", name));
}

static void
add_stream(json_t *a, const struct stream *s)
{
	static const char name[] = "noroshi_stream_connections";
	static const char help[] = "Connections of subscribers.";
	struct stream_counts c;

	stream_info(s, &c);
	add(a, name, help, "gauge", (double)c.local, json_pack("{s:s}", "over", "unix"));
	add(a, name, help, "gauge", (double)c.tls, json_pack("{s:s}", "over", "tls"));
	stream_refusals(s, add_stream_refusal, a);
}

void
ctl_stats(struct ctl_req *r)
{
	struct app *app = r->app;
	struct snapshot s = { 0 };
	json_t *a = json_array();

	node_counts(app->node, &s.n);
	s.uptime_s = (loop_wall().ms - app->started.ms) / 1000;
	s.connections = net_connections(app->net);
	s.accepted = net_accepted(app->net);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		add(a, rows[i].name, rows[i].help, rows[i].type,
		    (double)*(
			const uint64_t *)(const void *)((const char *)&s + rows[i].off),
		    json_object());
	add(a, "noroshi_journal_full", "1 while there is no space for new work.", "gauge",
	    s.n.full, json_object());
	node_peers(app->node, add_peer, a);
	node_origins(app->node, add_origin, a);
	node_refusals(app->node, add_refusal, a);
	net_refusals(app->net, add_turned_away, a);
	add_stream(a, app->stream);
	ctl_ok(r, json_pack("{s:o}", "metrics", a));
}
