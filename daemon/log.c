/*
 * Log lines: where they go, how they look, and how many of a kind are enough.
 */
#include "daemon/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

#define LINE_MAX_LEN 2048
#define RATE_SLOTS   256 /* kinds of lines remembered; a newcomer evicts */
#define RATE_BURST   10
#define RATE_SECONDS 10

/* One kind of line: subject and format. */
struct rate {
	uint64_t key; /* 0: free */
	time_t since;
	unsigned int count;
	unsigned int held;
	enum nrs_level level;
	char subject[96];
	char last[160];
};

static struct {
	pthread_mutex_t lock;
	int fd; /* -1: syslog */
	bool own_fd;
	bool starting;
	bool journal; /* stderr is the journal: say the priority */
	char *path;   /* of the file, to open it again */
	enum nrs_level max;
	struct rate rates[RATE_SLOTS];
} state = { .lock = PTHREAD_MUTEX_INITIALIZER, .fd = STDERR_FILENO, .max = NRS_LOG_INFO };

static const char *const level_names[] = {
	[NRS_LOG_ERROR] = "error",
	[NRS_LOG_WARNING] = "warning",
	[NRS_LOG_NOTICE] = "notice",
	[NRS_LOG_INFO] = "info",
	[NRS_LOG_DEBUG] = "debug",
};

int
log_level_parse(const char *s, enum nrs_level *ret)
{
	for (int i = NRS_LOG_ERROR; i <= NRS_LOG_DEBUG; i++)
		if (strcmp(s, level_names[i]) == 0) {
			*ret = (enum nrs_level)i;
			return 0;
		}
	return NRS_ESYNTAX;
}

const char *
log_level_name(enum nrs_level lvl)
{
	return lvl >= NRS_LOG_ERROR && lvl <= NRS_LOG_DEBUG ? level_names[lvl] : "error";
}

static int
open_file(const char *path)
{
	return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);
}

static void
close_target(void)
{
	if (state.own_fd)
		close(state.fd);
	free(state.path);
	state.own_fd = false;
	state.path = NULL;
	state.fd = STDERR_FILENO;
}

int
log_open(const char *target, enum nrs_level max)
{
	bool file = strcmp(target, "stderr") != 0 && strcmp(target, "syslog") != 0;
	char *path = NULL;
	int fd = STDERR_FILENO;

	if (file) {
		if ((path = strdup(target)) == NULL)
			return NRS_ENOMEM;
		if ((fd = open_file(path)) < 0) {
			int e = errno;

			free(path);
			errno = e;
			return NRS_EIO;
		}
	} else if (strcmp(target, "syslog") == 0) {
		openlog("noroshid", LOG_PID | LOG_NDELAY, LOG_DAEMON);
		fd = -1;
	}
	pthread_mutex_lock(&state.lock);
	close_target();
	state.fd = fd;
	state.own_fd = file;
	state.path = path;
	state.max = max;
	state.journal = fd == STDERR_FILENO && getenv("JOURNAL_STREAM") != NULL;
	pthread_mutex_unlock(&state.lock);
	return 0;
}

void
log_reopen(void)
{
	int fd, e = 0;

	pthread_mutex_lock(&state.lock);
	if (state.path != NULL && (fd = open_file(state.path)) >= 0) {
		close(state.fd);
		state.fd = fd;
	} else if (state.path != NULL) {
		e = errno;
	}
	pthread_mutex_unlock(&state.lock);
	if (e != 0)
		log_error("log", "cannot be opened again: %s; going on in the old file",
		    strerror(e));
}

void
log_starting(bool yes)
{
	pthread_mutex_lock(&state.lock);
	state.starting = yes;
	pthread_mutex_unlock(&state.lock);
}

void
log_set_level(enum nrs_level max)
{
	pthread_mutex_lock(&state.lock);
	state.max = max;
	pthread_mutex_unlock(&state.lock);
}

bool
log_enabled(enum nrs_level lvl)
{
	bool yes;

	pthread_mutex_lock(&state.lock);
	yes = lvl <= state.max;
	pthread_mutex_unlock(&state.lock);
	return yes;
}

/* A line that cannot be written is lost: there is nobody to tell. */
static void
write_all(int fd, const char *p, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		p += n;
		len -= (size_t)n;
	}
}

static void
put_line(enum nrs_level lvl, const char *subject, const char *text)
{
	bool twice = state.starting && lvl == NRS_LOG_ERROR && state.fd != STDERR_FILENO;
	char line[LINE_MAX_LEN], stamp[25], safe[LINE_MAX_LEN - 256], name[128],
	    prefix[8] = "";
	struct timespec ts;
	char level[8] = "";
	int n;

	(void)nrs_text_escape(safe, sizeof(safe), text, strlen(text));
	(void)nrs_text_escape(name, sizeof(name), subject, strlen(subject));
	if (twice &&
	    (n = snprintf(line, sizeof(line), "noroshid: %s: %s\n", name, safe)) > 0)
		write_all(STDERR_FILENO, line, (size_t)n);
	if (state.fd < 0) {
		syslog((int)lvl, "%s: %s", name, safe);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &ts);
	nrs_time_format(stamp,
	    (struct nrs_wall){
		(uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000 });
	for (unsigned int i = 0; i < sizeof(level) - 1 && level_names[lvl][i] != '\0'; i++)
		level[i] = (char)(level_names[lvl][i] - 'a' + 'A');
	if (state.journal)
		snprintf(prefix, sizeof(prefix), "<%u>", (unsigned int)lvl & 7);
	n = snprintf(
	    line, sizeof(line), "%s%s %s %s: %s\n", prefix, stamp, level, name, safe);
	if (n > 0)
		write_all(state.fd, line,
		    (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

static void
rate_flush(struct rate *r)
{
	char text[256];

	if (r->key != 0 && r->held > 0) {
		snprintf(text, sizeof(text), "%u more like this suppressed: %s", r->held,
		    r->last);
		put_line(r->level, r->subject, text);
	}
	r->key = 0;
	r->held = 0;
}

/*
 * FNV-1a; this is a table of our own formats, not of a stranger's keys.  Text
 * made elsewhere ("%s") is told apart by its words, not by its numbers.
 */
static uint64_t
rate_key(const char *subject, const char *fmt, const char *text)
{
	const char *s = strcmp(fmt, "%s") == 0 ? text : fmt;
	uint64_t h = 14695981039346656037u;

	for (; *subject != '\0'; subject++)
		h = (h ^ (uint8_t)*subject) * 1099511628211u;
	h = (h ^ 0xff) * 1099511628211u;
	for (; *s != '\0'; s++)
		if (*s < '0' || *s > '9')
			h = (h ^ (uint8_t)*s) * 1099511628211u;
	return h | 1;
}

/* May this line be written? */
static bool
rate_admit(enum nrs_level lvl, const char *subject, const char *fmt, const char *text)
{
	uint64_t key = rate_key(subject, fmt, text);
	struct rate *r = &state.rates[(key >> 8) % RATE_SLOTS];
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	if (r->key != key || ts.tv_sec - r->since >= RATE_SECONDS) {
		rate_flush(r);
		r->key = key;
		r->since = ts.tv_sec;
		r->count = 0;
	}
	if (r->count < RATE_BURST) {
		r->count++;
		return true;
	}
	r->held++;
	r->level = lvl;
	snprintf(r->subject, sizeof(r->subject), "%s", subject);
	snprintf(r->last, sizeof(r->last), "%.150s", text);
	return false;
}

void
log_msg(enum nrs_level lvl, const char *subject, const char *fmt, ...)
{
	char text[LINE_MAX_LEN / 2];
	va_list ap;

	if (lvl < NRS_LOG_ERROR)
		lvl = NRS_LOG_ERROR;
	if (lvl > NRS_LOG_DEBUG || !log_enabled(lvl))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&state.lock);
	if (rate_admit(lvl, subject, fmt, text))
		put_line(lvl, subject, text);
	pthread_mutex_unlock(&state.lock);
}

void
log_tick(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	pthread_mutex_lock(&state.lock);
	for (unsigned int i = 0; i < RATE_SLOTS; i++)
		if (state.rates[i].key != 0 &&
		    ts.tv_sec - state.rates[i].since >= RATE_SECONDS)
			rate_flush(&state.rates[i]);
	pthread_mutex_unlock(&state.lock);
}

void
log_close(void)
{
	pthread_mutex_lock(&state.lock);
	for (unsigned int i = 0; i < RATE_SLOTS; i++)
		rate_flush(&state.rates[i]);
	close_target();
	pthread_mutex_unlock(&state.lock);
}
