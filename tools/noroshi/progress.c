/* One line that changes on a terminal, plain lines now and then elsewhere. */
#include "tools/noroshi/progress.h"

#include <time.h>

#define TTY_NS	 UINT64_C(100000000)
#define PLAIN_NS UINT64_C(10000000000)

static uint64_t
mono_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

void
progress_begin(struct progress *p, const struct cli *c, const char *unit)
{
	p->c = c;
	p->unit = unit;
	p->start_ns = p->shown_ns = mono_ns();
	p->line = false;
}

const char *
progress_eta(char dst[32], double seconds)
{
	unsigned long s = seconds < 0 ? 0
	    : seconds > 360000	      ? 360000
				      : (unsigned long)(seconds + 0.5);

	if (s >= 3600)
		snprintf(dst, 32, "%lu h %02lu min", s / 3600, s / 60 % 60);
	else if (s >= 60)
		snprintf(dst, 32, "%lu min %02lu s", s / 60, s % 60);
	else
		snprintf(dst, 32, "%lu s", s);
	return dst;
}

void
progress_at(struct progress *p, uint64_t done, double share)
{
	uint64_t now;
	double elapsed;
	char eta[32];

	if (p->c->quiet)
		return;
	now = mono_ns();
	if (now - p->shown_ns < (p->c->err_tty ? TTY_NS : PLAIN_NS))
		return;
	p->shown_ns = now;
	elapsed = (double)(now - p->start_ns) / 1e9;
	fprintf(stderr, "%s%llu %s, %.0f/s", p->c->err_tty ? "\r\033[K" : "",
	    (unsigned long long)done, p->unit, (double)done / elapsed);
	if (share > 0.001 && share < 1)
		fprintf(stderr, ", %.0f %%, %s left", share * 100,
		    progress_eta(eta, elapsed / share - elapsed));
	if (p->c->err_tty) {
		p->line = true;
		fflush(stderr);
	} else
		fputc('\n', stderr);
}

void
progress_end(struct progress *p)
{
	if (p->line)
		fputs("\r\033[K", stderr);
	p->line = false;
}
