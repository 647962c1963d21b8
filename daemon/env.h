/* The environment's table of functions, gathered from the parts. */
#ifndef DAEMON_ENV_H
#define DAEMON_ENV_H

#include <noroshi/env.h>

extern const struct nrs_env_ops env_ops;

#endif
