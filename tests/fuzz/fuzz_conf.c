/*
 * Any bytes as a configuration: refused with a file, a line and a reason, or
 * taken.  Includes are left out, they would read what lies about in the machine.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/conf_table.h"
#include "tests/fuzz/fuzz.h"

static void
fuzz_lines(const char *p, size_t len)
{
	struct conf_stmts s = { 0 };
	unsigned int i;

	if (conf_stmts_scan(&s, p, len) == 0)
		for (i = 0; i < s.n; i++) {
			FUZZ_CHECK(s.v[i].line >= 1 && s.v[i].parent < (int)i);
			FUZZ_CHECK(memchr(s.v[i].name, '\0', sizeof(s.v[i].name)) != NULL);
			(void)conf_stmts_option(&s, s.v[i].parent, s.v[i].name, 0);
		}
	FUZZ_CHECK(s.open < (int)s.n);
	conf_stmts_fini(&s);
}

static int
write_all(int fd, const uint8_t *p, size_t len)
{
	if (ftruncate(fd, 0) != 0)
		return -1;
	return pwrite(fd, p, len, 0) == (ssize_t)len ? 0 : -1;
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	static int fd = -1;
	static struct conf_err e;
	struct conf *c = NULL;
	struct nrs_buf b;
	char path[64], *text;
	int rc;

	if (memmem(p, len, "include", 7) != NULL || (text = malloc(len + 1)) == NULL)
		return 0;
	/* as conf_parse.c gives it: no NUL inside, one after */
	if (len > 0)
		memcpy(text, p, len);
	text[len] = '\0';
	if (strlen(text) == len)
		fuzz_lines(text, len);
	free(text);
	if (fd < 0)
		fd = memfd_create("conf", MFD_CLOEXEC);
	FUZZ_CHECK(fd >= 0 && write_all(fd, p, len) == 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	rc = conf_load(path, &c, &e);
	FUZZ_CHECK(rc <= 0 && (rc == 0) == (c != NULL));
	FUZZ_CHECK(memchr(e.text, '\0', sizeof(e.text)) != NULL);
	if (rc == NRS_ESYNTAX)
		FUZZ_CHECK(e.n > 0 && strstr(e.text, path) != NULL);
	if (rc == 0) {
		nrs_buf_init(&b, 1u << 22);
		FUZZ_CHECK(conf_print(c, &b) == 0 && b.len > 0);
		nrs_buf_fini(&b);
	}
	conf_free(c);
	return 0;
}
