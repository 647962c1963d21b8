/* What the service manager is told: notify_systemd.c, or notify_none.c without libsystemd. */
#ifndef DAEMON_NOTIFY_H
#define DAEMON_NOTIFY_H

#include <noroshi/types.h>

void notify_ready(const char *status);
void notify_reloading(void);
void notify_stopping(void);
void notify_watchdog(void);
/* Microseconds within which notify_watchdog() must come again; 0: nobody waits. */
uint64_t notify_watchdog_us(void);

#endif
