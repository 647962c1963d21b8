/*
 * The fuzz targets as ordinary tests, where no fuzzer is built: every file of
 * the directories given, whole and cut at every length.  The first directory
 * (the corpus) may not be empty; the others (inputs that once failed) may, and
 * may be absent.  Each input is given in memory of exactly its size, so that a
 * sanitizer sees what is read beyond it.
 */
#include <dirent.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

#define CUT_MAX	 4096 /* longer inputs are not cut */
#define FILE_MAX (32u << 20)

/* A target for which each length would take too long says so. */
__attribute__((weak)) unsigned int fuzz_cut_step = 1;

static unsigned int ntests;
static unsigned long nruns;
static FILE *tap;

static void
give(const uint8_t *p, size_t len)
{
	uint8_t *copy = malloc(len);

	if (copy == NULL && len > 0) {
		fprintf(tap, "Bail out! out of memory\n");
		exit(1);
	}
	if (len > 0)
		memcpy(copy, p, len);
	LLVMFuzzerTestOneInput(copy, len);
	free(copy);
	nruns++;
}

static uint8_t *
read_file(const char *path, size_t *ret_len)
{
	FILE *f = fopen(path, "rb");
	uint8_t *p = NULL;
	long size;

	if (f == NULL)
		return NULL;
	if (fseek(f, 0, SEEK_END) == 0 && (size = ftell(f)) >= 0 &&
	    size <= (long)FILE_MAX && fseek(f, 0, SEEK_SET) == 0 &&
	    (p = malloc((size_t)size + 1)) != NULL) {
		*ret_len = (size_t)size;
		if (fread(p, 1, *ret_len, f) != *ret_len) {
			free(p);
			p = NULL;
		}
	}
	fclose(f);
	return p;
}

static void
replay_file(const char *dir, const char *name)
{
	char path[4096];
	uint8_t *p;
	size_t len, n;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	/* before it runs: the last line of a crash says whose it is */
	fprintf(tap, "# %s\n", path);
	fflush(tap);
	ntests++;
	if ((p = read_file(path, &len)) == NULL) {
		fprintf(tap, "not ok %u - %s cannot be read\n", ntests, name);
		exit(1);
	}
	for (n = 0; len <= CUT_MAX && n < len; n += fuzz_cut_step)
		give(p, n);
	give(p, len);
	free(p);
	fprintf(tap, "ok %u - %s\n", ntests, name);
	fflush(tap);
}

static int
by_name(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

static int
replay_dir(const char *dir)
{
	struct dirent **v;
	int n, i;

	if ((n = scandir(dir, &v, by_name, alphasort)) < 0)
		return 0;
	for (i = 0; i < n; i++) {
		replay_file(dir, v[i]->d_name);
		free(v[i]);
	}
	free(v);
	return n;
}

int
main(int argc, char **argv)
{
	int i;

	if (argc < 2) {
		fprintf(stderr, "usage: %s CORPUS [CRASHES]\n", argv[0]);
		return 2;
	}
	/* what a library under test prints by itself (libConfuse does) is not TAP */
	if ((i = dup(1)) < 0 || (tap = fdopen(i, "w")) == NULL ||
	    freopen("/dev/null", "w", stdout) == NULL) {
		perror("stdout");
		return 2;
	}
	for (i = 1; i < argc; i++) {
		if (replay_dir(argv[i]) == 0 && i == 1) {
			fprintf(tap, "Bail out! no input in %s\n", argv[i]);
			return 1;
		}
	}
	fprintf(tap, "# %lu runs\n1..%u\n", nruns, ntests);
	return fclose(tap) == 0 ? 0 : 1;
}
