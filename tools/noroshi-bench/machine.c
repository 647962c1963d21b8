/* What machine this is, whether its directory will do, and how busy it is with others. */
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/vfs.h>

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "tools/noroshi-bench/out.h"
#include "tools/noroshi/cli.h"

/* f_type is of another width on each machine: compared as 32 bits. */
static const struct {
	uint32_t magic;
	const char *name;
	bool memory;
} filesystems[] = {
	{ 0x01021994, "tmpfs", true },
	{ 0x858458f6, "ramfs", true },
	{ 0x0000ef53, "ext2/3/4", false },
	{ 0x58465342, "xfs", false },
	{ 0x9123683e, "btrfs", false },
	{ 0x794c7630, "overlayfs", false },
	{ 0x2fc12fc1, "zfs", false },
	{ 0xf2f52010, "f2fs", false },
	{ 0x6969, "nfs", false },
};

static int
tell_filesystem(struct bench *b)
{
	const char *name = "unknown";
	struct statfs fs;
	bool memory = false;

	if (statfs(b->dir, &fs) != 0)
		return bench_fail_errno(b, "%s", b->dir);
	for (unsigned int i = 0; i < sizeof(filesystems) / sizeof(filesystems[0]); i++)
		if ((uint32_t)fs.f_type == filesystems[i].magic) {
			name = filesystems[i].name;
			memory = filesystems[i].memory;
		}
	if (memory) {
		(void)bench_fail(b,
		    "%s is on %s, which is memory: nothing there is ever durable, and every figure "
		    "would flatter; name a directory on a disk with --dir",
		    b->dir, name);
		return CLI_CONF;
	}
	bench_note(b, "filesystem: %s (type 0x%x), %.1f GB free, at %s", name,
	    (unsigned int)fs.f_type, (double)fs.f_bavail * (double)fs.f_bsize / 1e9,
	    b->dir);
	return 0;
}

/* The value of the first line that begins with key; free() it. NULL: none. */
static char *
cpuinfo(const char *key)
{
	char *line = NULL, *ret = NULL, *colon;
	size_t cap = 0;
	FILE *f = fopen("/proc/cpuinfo", "re");

	if (f == NULL)
		return NULL;
	while (ret == NULL && getline(&line, &cap, f) > 0) {
		if (strncmp(line, key, strlen(key)) != 0 ||
		    (colon = strchr(line, ':')) == NULL)
			continue;
		colon[1 + strcspn(colon + 1, "\n")] = '\0';
		ret = bench_fmt(" %s ", colon + 1 + strspn(colon + 1, " "));
	}
	free(line);
	fclose(f);
	return ret;
}

static void
tell_processor(struct bench *b)
{
	static const char *const want[] = { "sha_ni", "aes", "vaes", "pclmulqdq", "avx2",
		"avx512f", "sse4_2", "bmi2", "adx", "sha2", "asimd" };
	char *model = cpuinfo("model name"), *flags = cpuinfo("flags"), have[256] = "",
	     key[32];
	struct utsname u = { 0 };

	if (flags == NULL)
		flags = cpuinfo("Features");
	for (unsigned int i = 0; flags != NULL && i < sizeof(want) / sizeof(want[0]); i++) {
		snprintf(key, sizeof(key), " %s ", want[i]);
		if (strstr(flags, key) != NULL)
			strncat(
			    have, key + (have[0] == '\0'), sizeof(have) - strlen(have) - 1);
	}
	uname(&u);
	bench_note(b, "machine: %ld processors,%s; flags %s; %s %s",
	    sysconf(_SC_NPROCESSORS_ONLN), model != NULL ? model : " unknown",
	    have[0] != '\0' ? have : "unknown", u.sysname, u.release);
	free(model);
	free(flags);
}

int
machine_tell(struct bench *b)
{
	int rc;

	tell_processor(b);
	if ((rc = tell_filesystem(b)) != 0)
		return rc;
	bench_note(b, "libraries: %s, zstd %s; noroshi-bench " NOROSHI_VERSION,
	    OpenSSL_version(OPENSSL_VERSION), ZSTD_versionString());
	return 0;
}

/* --- weather ------------------------------------------------------------ */

static double
seconds_of(const struct timeval *tv)
{
	return (double)tv->tv_sec + (double)tv->tv_usec / 1e6;
}

/* Processor time of ours, and of the nodes that ended. */
static double
own_cpu(void)
{
	static const int whose[] = { RUSAGE_SELF, RUSAGE_CHILDREN };
	struct rusage u;
	double s = 0;

	for (unsigned int i = 0; i < 2; i++)
		if (getrusage(whose[i], &u) == 0)
			s += seconds_of(&u.ru_utime) + seconds_of(&u.ru_stime);
	return s;
}

static void
look(struct weather *w)
{
	unsigned long long v[8] = { 0 };
	double tick = (double)sysconf(_SC_CLK_TCK);
	FILE *f;

	memset(w, 0, sizeof(*w));
	w->wall = bench_now();
	w->own = own_cpu();
	(void)getloadavg(&w->load, 1);
	if ((f = fopen("/proc/stat", "re")) == NULL)
		return;
	/* user nice system idle iowait irq softirq steal */
	if (fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &v[0], &v[1], &v[2],
		&v[3], &v[4], &v[5], &v[6], &v[7]) == 8) {
		w->busy = (double)(v[0] + v[1] + v[2] + v[5] + v[6]) / tick;
		w->steal = (double)v[7] / tick;
	}
	fclose(f);
}

void
weather_begin(struct weather *w)
{
	look(w);
}

void
weather_end(struct bench *b, const struct weather *w)
{
	double all, others, steal;
	struct weather now;

	look(&now);
	all = (now.wall - w->wall) * (double)sysconf(_SC_NPROCESSORS_ONLN);
	if (all <= 0)
		return;
	others = ((now.busy - w->busy) - (now.own - w->own)) / all;
	steal = (now.steal - w->steal) / all;
	/* Interrupts and the kernel's own threads are counted as others: some of it is ours. */
	if (others < 0.1 && steal < 0.02)
		return;
	bench_note(b,
	    "warning: others took %.0f %% of the processors meanwhile, the hypervisor %.0f %% (load "
	    "%.2f): the figures are lower than this machine's",
	    100 * (others > 0 ? others : 0), 100 * steal, now.load);
}
