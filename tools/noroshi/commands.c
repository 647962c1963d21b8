/* The table of commands, in the order of the help. */
#include "tools/noroshi/cli.h"

const struct cmd *const cli_commands[] = {
	&cmd_init,
	&cmd_peer_invite,
	&cmd_peer_accept,
	&cmd_peer_list,
	&cmd_peer_show,
	&cmd_peer_test,
	&cmd_peer_suspend,
	&cmd_peer_resume,
	&cmd_peer_remove,
	&cmd_community_list,
	&cmd_community_show,
	&cmd_community_create,
	&cmd_submit,
	&cmd_tail,
	&cmd_export,
	&cmd_verify,
	&cmd_import,
	&cmd_status,
	&cmd_stats,
	&cmd_conf_show,
	&cmd_reload,
	&cmd_version,
	NULL,
};
