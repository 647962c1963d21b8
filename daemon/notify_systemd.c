/* Readiness, reload and watchdog, told to systemd. */
#include "daemon/notify.h"

#include <systemd/sd-daemon.h>
#include <time.h>

void
notify_ready(const char *status)
{
	(void)sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

/* Type=notify-reload compares this time with that of its signal. */
void
notify_reloading(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu",
	    (unsigned long long)ts.tv_sec * 1000000 +
		(unsigned long long)ts.tv_nsec / 1000);
}

void
notify_stopping(void)
{
	(void)sd_notify(0, "STOPPING=1");
}

void
notify_watchdog(void)
{
	(void)sd_notify(0, "WATCHDOG=1");
}

uint64_t
notify_watchdog_us(void)
{
	uint64_t us = 0;

	return sd_watchdog_enabled(0, &us) > 0 ? us : 0;
}
