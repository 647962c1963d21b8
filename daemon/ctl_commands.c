/* The commands of the control protocol: one row each (docs/CONTROL.md). */
#include "daemon/ctl_priv.h"

#define READER	  CONF_ROLE_READER
#define SUBMITTER CONF_ROLE_SUBMITTER
#define OPERATOR  CONF_ROLE_OPERATOR

const struct ctl_cmd ctl_cmds[] = {
	{ "version", READER, "", false, ctl_version, "version and identity of this node" },
	{ "status", READER, "", false, ctl_status,
	    "what this node holds and whom it talks to" },
	{ "stats", READER, "", false, ctl_stats, "counters and gauges" },
	{ "peer.list", READER, "", false, ctl_peer_list, "all peers" },
	{ "peer.show", READER, "name:s!", false, ctl_peer_show, "one peer" },
	{ "peer.test", OPERATOR, "name:s!", false, ctl_peer_test,
	    "which step of the way to a peer works, and what to do about the first that does not" },
	{ "peer.suspend", OPERATOR, "name:s!", false, ctl_peer_suspend,
	    "end the session with a peer and keep it ended" },
	{ "peer.resume", OPERATOR, "name:s!", false, ctl_peer_resume, "undo peer.suspend" },
	{ "peer.remove", OPERATOR, "name:s!", false, ctl_peer_remove,
	    "take a peer out of the configuration; what came from it stays" },
	{ "peer.invite", OPERATOR, "", false, ctl_peer_invite,
	    "the file a new peer needs" },
	{ "peer.accept", OPERATOR, "communities:S addresses:S fingerprint:s", true,
	    ctl_peer_accept,
	    "add the peer of an invite; without a fingerprint, look at it" },
	{ "community.list", READER, "", false, ctl_community_list, "all communities" },
	{ "community.create", OPERATOR, "name:s! ceiling:s onward:s history:b exercise:b",
	    false, ctl_community_create,
	    "found a community, with this node as its steward" },
	{ "access.add", OPERATOR, "name:s! tlp:s communities:S direct:b socket:s", true,
	    ctl_access_add,
	    "let a subscriber read; attached: its certificate, or nothing" },
	{ "access.list", READER, "", false, ctl_access_list, "who may read the stream" },
	{ "access.revoke", OPERATOR, "name:s!", false, ctl_access_revoke,
	    "take a subscriber out of the configuration and cut it off" },
	{ "submit", SUBMITTER, "community:s to:S tlp:s! urgent:b expires_ms:i dry_run:b",
	    true, ctl_submit, "share a STIX bundle" },
	{ "tail", READER,
	    "from:s since_ms:i follow:b until_idle:b tlp:s communities:S heartbeat_s:i",
	    false, ctl_tail, "objects as they come" },
	{ "export", READER, "id:s! proof:b", false, ctl_export,
	    "one record: its payload, or a proof file" },
	{ "records.export", OPERATOR, "for:s! from:i", false, ctl_records_export,
	    "a carrier file: what a peer may have, for somebody to carry" },
	{ "records.import", OPERATOR, "end:b", true, ctl_records_import,
	    "the next piece of a carrier file" },
	{ "idle", READER, "timeout_s:i", false, ctl_idle,
	    "wait until nothing more is to come from connected peers" },
	{ "conf.show", OPERATOR, "", false, ctl_conf_show, "the configuration in force" },
	{ "reload", OPERATOR, "", false, ctl_reload, "read the configuration again" },
};
const unsigned int ctl_ncmds = sizeof(ctl_cmds) / sizeof(ctl_cmds[0]);
