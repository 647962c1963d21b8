/* Whole files in and out. */
#include "tools/noroshi/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int
read_fd(const struct cli *c, const char *name, int fd, size_t max, uint8_t **ret,
    size_t *ret_len)
{
	size_t cap = 65536, len = 0;
	uint8_t *p = cli_alloc(cap + 1);
	ssize_t n;

	for (;;) {
		if (len == cap) {
			cap *= 2;
			p = cli_realloc(p, cap + 1);
		}
		n = read(fd, p + len, cap - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		if ((len += (size_t)n) > max) {
			free(p);
			return cli_fail(c, CLI_DATA, "limit", NULL, NULL,
			    "%s is larger than %zu bytes", name, max);
		}
	}
	if (n < 0) {
		free(p);
		return cli_fail_errno(c, NULL, "cannot read %s", name);
	}
	p[len] = '\0';
	*ret = p;
	*ret_len = len;
	return 0;
}

int
file_read(const struct cli *c, const char *path, size_t max, uint8_t **ret, size_t *ret_len)
{
	int fd, rc;

	if (strcmp(path, "-") == 0)
		return read_fd(c, "standard input", STDIN_FILENO, max, ret, ret_len);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		return cli_fail_errno(c, NULL, "cannot open %s", path);
	rc = read_fd(c, path, fd, max, ret, ret_len);
	close(fd);
	return rc;
}

static int
write_fd(int fd, const char *p, size_t len)
{
	ssize_t n;

	for (; len > 0; p += n, len -= (size_t)n)
		if ((n = write(fd, p, len)) < 0)
			return -1;
	return 0;
}

int
file_write(const struct cli *c, const char *path, mode_t mode, const void *data, size_t len)
{
	char *temp;
	int fd, rc = 0;

	if (path == NULL || strcmp(path, "-") == 0) {
		fwrite(data, 1, len, stdout);
		return 0;
	}
	temp = cli_fmt("%s.XXXXXX", path);
	if ((fd = mkostemp(temp, O_CLOEXEC)) < 0) {
		rc = cli_fail_errno(c, NULL, "cannot write %s", path);
		free(temp);
		return rc;
	}
	if (fchmod(fd, mode) != 0 || write_fd(fd, data, len) != 0 || fsync(fd) != 0 ||
	    rename(temp, path) != 0) {
		rc = cli_fail_errno(c, NULL, "cannot write %s", path);
		(void)unlink(temp); /* the failure is told already */
	}
	close(fd);
	free(temp);
	return rc;
}
