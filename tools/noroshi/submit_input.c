/* Where the objects come from: files, pipes, standard input; STIX or CSV. */
#include "tools/noroshi/submit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD 4096

static ssize_t
read_some(int fd, uint8_t *dst, size_t max)
{
	ssize_t n;

	do
		n = read(fd, dst, max);
	while (n < 0 && errno == EINTR);
	return n;
}

/* What comes through a pipe is gone once read: an unnamed file keeps it. */
static int
spool(struct submit *s, struct input *in)
{
	uint8_t *piece = cli_alloc(65536);
	FILE *f = tmpfile();
	ssize_t n = -1;
	int fd = -1, rc = 0;

	if (f != NULL)
		while ((n = read_some(in->fd, piece, 65536)) > 0)
			if (fwrite(piece, 1, (size_t)n, f) != (size_t)n)
				break;
	if (f == NULL || n != 0 || fflush(f) != 0 ||
	    (fd = fcntl(fileno(f), F_DUPFD_CLOEXEC, 0)) < 0)
		rc = cli_fail_errno(s->c, "With --yes it is read once, and not copied.",
		    "cannot keep a copy of %s", in->name);
	if (f != NULL)
		fclose(f);
	free(piece);
	if (rc != 0)
		return rc;
	close(in->fd);
	in->fd = fd;
	return lseek(fd, 0, SEEK_SET) == 0
	    ? 0
	    : cli_fail_errno(s->c, NULL, "cannot read the copy of %s", in->name);
}

static bool
ends_in(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);

	return n > m && strcasecmp(name + n - m, end) == 0;
}

/* By its name, else by its first character: JSON begins with a brace, and no header does. */
static enum format
detect(const struct input *in)
{
	size_t i = 0;

	if (ends_in(in->name, ".json") || ends_in(in->name, ".stix"))
		return FORMAT_STIX;
	if (ends_in(in->name, ".csv") || ends_in(in->name, ".tsv"))
		return FORMAT_CSV;
	if (in->head_len >= 3 && memcmp(in->head, "\xef\xbb\xbf", 3) == 0)
		i = 3;
	while (i < in->head_len && strchr(" \t\r\n", in->head[i]) != NULL)
		i++;
	return i < in->head_len && in->head[i] == '{' ? FORMAT_STIX : FORMAT_CSV;
}

static int
read_head(struct submit *s, struct input *in)
{
	ssize_t n = 1;

	in->head = cli_alloc(HEAD);
	in->head_len = 0;
	while (n > 0 && in->head_len < HEAD) {
		n = read_some(in->fd, in->head + in->head_len, HEAD - in->head_len);
		if (n < 0)
			return cli_fail_errno(s->c, NULL, "cannot read %s", in->name);
		in->head_len += (size_t)n;
	}
	return 0;
}

int
input_open(
    struct submit *s, struct input *in, const char *path, enum format format, bool again)
{
	struct stat st;
	int rc = 0;

	memset(in, 0, sizeof(*in));
	in->name = strcmp(path, "-") == 0 ? "standard input" : path;
	if (strcmp(path, "-") == 0)
		in->fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
	else
		in->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (in->fd < 0)
		return cli_fail_errno(s->c, NULL, "cannot open %s", in->name);
	if (again && lseek(in->fd, 0, SEEK_CUR) != 0)
		rc = spool(s, in);
	if (rc == 0 && fstat(in->fd, &st) == 0 && S_ISREG(st.st_mode))
		in->size = (uint64_t)st.st_size;
	if (rc == 0)
		rc = read_head(s, in);
	in->format = format != FORMAT_AUTO ? format : detect(in);
	if (rc != 0)
		input_close(in);
	return rc;
}

int
input_rewind(struct submit *s, struct input *in)
{
	free(in->head);
	in->head = NULL;
	if (lseek(in->fd, 0, SEEK_SET) != 0)
		return cli_fail_errno(s->c, NULL, "cannot read %s again", in->name);
	return read_head(s, in);
}

void
input_close(struct input *in)
{
	if (in->fd >= 0)
		close(in->fd);
	in->fd = -1;
	free(in->head);
	in->head = NULL;
}

int
input_read(struct submit *s, struct input *in, uint8_t *dst, size_t max, size_t *ret_len)
{
	ssize_t n;

	if (in->head_len > 0) {
		*ret_len = in->head_len < max ? in->head_len : max;
		memcpy(dst, in->head, *ret_len);
		memmove(in->head, in->head + *ret_len, in->head_len - *ret_len);
		in->head_len -= *ret_len;
	} else {
		if ((n = read_some(in->fd, dst, max)) < 0)
			return cli_fail_errno(s->c, NULL, "cannot read %s", in->name);
		*ret_len = (size_t)n;
	}
	s->bytes_done += *ret_len;
	return 0;
}
