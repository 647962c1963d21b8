/* No service manager to tell. */
#include "daemon/notify.h"

void
notify_ready(const char *status)
{
}

void
notify_reloading(void)
{
}

void
notify_stopping(void)
{
}

void
notify_watchdog(void)
{
}

uint64_t
notify_watchdog_us(void)
{
	return 0;
}
