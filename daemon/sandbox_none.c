/* No sandbox: sanitizer builds, and systems without seccomp. */
#include "daemon/sandbox.h"

int
sandbox_daemon(void)
{
	return 0;
}

int
sandbox_keeper(void)
{
	return 0;
}

const char *
sandbox_name(void)
{
	return "none";
}
