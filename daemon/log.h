/*
 * The log: one line an event, "TIME LEVEL subject: fact, reason".  Bytes that
 * came from outside are escaped here; secrets and indicator values never get
 * here.  Lines of one subject and one format are limited to 10 in 10 seconds,
 * the rest are counted and summed up.
 *
 * The only state of the daemon that is not owned by struct app.  Called from
 * the event thread and, rarely, from others: it takes a lock.
 */
#ifndef DAEMON_LOG_H
#define DAEMON_LOG_H

#include <stdbool.h>

#include <noroshi/env.h>
#include <noroshi/err.h>

/*
 * target: "stderr", "syslog", or the path of a file, which is opened for
 * appending.  Replaces what was open before; on failure that stays.
 */
int log_open(const char *target, enum nrs_level max) NRS_MUST_CHECK;
/* Opens the file again by its name (after rotation). Nothing to do for others. */
void log_reopen(void);
/* While it starts, whoever started it is told errors on stderr too, wherever the log goes. */
void log_starting(bool yes);
void log_set_level(enum nrs_level max);
bool log_enabled(enum nrs_level lvl);
/* Writes what is held back and closes. */
void log_close(void);

/* "error" "warning" "notice" "info" "debug"; NRS_ESYNTAX */
int log_level_parse(const char *s, enum nrs_level *ret) NRS_MUST_CHECK;
const char *log_level_name(enum nrs_level lvl);

/* subject: "daemon", "peer us.cert.example", "subscriber siem", "control", "keeper", ... */
void log_msg(enum nrs_level lvl, const char *subject, const char *fmt, ...)
    NRS_PRINTF(3, 4);
/* Writes summaries of what was held back; the application calls it every few seconds. */
void log_tick(void);

#define log_error(subject, ...)	  log_msg(NRS_LOG_ERROR, subject, __VA_ARGS__)
#define log_warning(subject, ...) log_msg(NRS_LOG_WARNING, subject, __VA_ARGS__)
#define log_notice(subject, ...)  log_msg(NRS_LOG_NOTICE, subject, __VA_ARGS__)
#define log_info(subject, ...)	  log_msg(NRS_LOG_INFO, subject, __VA_ARGS__)
#define log_debug(subject, ...)	  log_msg(NRS_LOG_DEBUG, subject, __VA_ARGS__)

#endif
