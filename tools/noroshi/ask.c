/* Questions go to the controlling terminal, so that standard input may be data. */
#include "tools/noroshi/ask.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <strings.h>
#include <termios.h>
#include <unistd.h>

static int
open_tty(void)
{
	return open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
}

bool
ask_possible(void)
{
	int fd;

	if (isatty(STDERR_FILENO) != 1)
		return false;
	if ((fd = open_tty()) < 0)
		return false;
	close(fd);
	return true;
}

/* Byte by byte: nothing typed ahead for the next question is taken. */
static bool
read_line(int fd, char *dst, size_t max)
{
	size_t len = 0;
	bool fits = true;
	ssize_t n;
	char ch;

	for (;;) {
		n = read(fd, &ch, 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		if (ch == '\n')
			break;
		if (len + 1 < max)
			dst[len++] = ch;
		else
			fits = false;
	}
	dst[len] = '\0';
	return fits;
}

static bool
put(int fd, const char *s)
{
	size_t len = strlen(s);

	return write(fd, s, len) == (ssize_t)len;
}

bool
ask_line(const char *question, char *dst, size_t max)
{
	int fd;
	bool ok;

	if ((fd = open_tty()) < 0)
		return false;
	ok = put(fd, question) && read_line(fd, dst, max);
	close(fd);
	return ok;
}

bool
ask_yes(const char *question)
{
	char answer[16];

	return ask_line(question, answer, sizeof(answer)) &&
	    (strcasecmp(answer, "y") == 0 || strcasecmp(answer, "yes") == 0);
}

bool
ask_secret(const char *question, char *dst, size_t max)
{
	struct termios old, hidden;
	sigset_t all, before;
	bool ok = false;
	int fd;

	if ((fd = open_tty()) < 0)
		return false;
	/* An interrupt waits until the terminal echoes again. */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	if (tcgetattr(fd, &old) == 0) {
		hidden = old;
		hidden.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
		hidden.c_lflag |= ECHONL;
		if (tcsetattr(fd, TCSAFLUSH, &hidden) == 0) {
			ok = put(fd, question) && read_line(fd, dst, max);
			(void)tcsetattr(fd, TCSAFLUSH, &old);
		}
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(fd);
	return ok;
}
