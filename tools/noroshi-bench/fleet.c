/*
 * Real nodes: made by noroshi(1), run by noroshid(8), asked over their control
 * sockets.  They end when we end, however that happens.
 */
#include "tools/noroshi-bench/fleet.h"

#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/noroshi/answer.h"
#include "tools/noroshi/ctl.h"

#define NODES_MAX  16
#define ARGS_MAX   32
#define START_S	   120
#define STOP_S	   60
#define PORT_FIRST 20000
#define PORT_END   32000

struct fleet {
	struct bench *b;
	char *dir;
	char *noroshi, *noroshid;
	struct fleet_node *node[NODES_MAX];
	unsigned int n;
};

/* --- programs ------------------------------------------------------------ */

/* A program of ours: in a build tree, beside us, or installed. NULL: said where it was looked for. */
static char *
find_program(struct bench *b, const char *name, const char *tree)
{
	const char *const places[] = { tree, "", "../../", "../sbin", "../bin" };
	char *path;

	for (unsigned int i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (strcmp(places[i], "../../") == 0)
			path = bench_fmt("%s/../../%s/%s", b->bin, tree, name);
		else
			path = bench_fmt("%s/%s/%s", b->bin, places[i], name);
		if (access(path, X_OK) == 0)
			return path;
		free(path);
	}
	(void)bench_fail(b, "no %s beside %s: name a build tree with --bin", name, b->bin);
	return NULL;
}

/* The child ends when we do. */
static void
child_begin(int out_fd, int err_fd)
{
	int null = open("/dev/null", O_RDONLY);

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	signal(SIGPIPE, SIG_DFL);
	if (null < 0 || dup2(null, 0) < 0 || dup2(out_fd, 1) < 0 || dup2(err_fd, 2) < 0)
		_exit(127);
}

static int
read_all(int fd, char **ret)
{
	size_t len = 0, cap = 65536;
	char *p = cli_alloc(cap + 1);
	ssize_t n;

	while ((n = read(fd, p + len, cap - len)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		len += (size_t)n;
		if (len == cap)
			p = cli_realloc(p, (cap *= 2) + 1);
	}
	p[len] = '\0';
	*ret = p;
	return n < 0 ? -1 : 0;
}

/* Runs argv; what it prints to *ret_out (free()). Its errors are ours. */
static int
run_program(struct bench *b, const char *path, char *const argv[], char **ret_out)
{
	int fd[2], status = -1;
	pid_t pid;

	*ret_out = NULL;
	if (pipe2(fd, O_CLOEXEC) != 0)
		return bench_fail_errno(b, "cannot make a pipe");
	if ((pid = fork()) == 0) {
		child_begin(fd[1], 2);
		execv(path, argv);
		_exit(127);
	}
	close(fd[1]);
	if (pid > 0 && read_all(fd[0], ret_out) == 0)
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
	close(fd[0]);
	if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	free(*ret_out);
	*ret_out = NULL;
	return bench_fail(b, "%s %s failed", path, argv[1]);
}

int
fleet_cli(struct fleet_node *n, char **ret_out, const char *arg, ...)
{
	char *argv[ARGS_MAX] = { (char *)"noroshi", (char *)"-S", (char *)n->socket };
	unsigned int argc = 3;
	va_list ap;
	char *out;
	int rc;

	va_start(ap, arg);
	for (; arg != NULL && argc < ARGS_MAX - 1; arg = va_arg(ap, const char *))
		argv[argc++] = (char *)arg;
	va_end(ap);
	rc = run_program(n->fleet->b, n->fleet->noroshi, argv, &out);
	if (rc == 0 && ret_out != NULL)
		*ret_out = out;
	else
		free(out);
	return rc;
}

/* --- control socket -------------------------------------------------------- */

int
fleet_call(struct fleet_node *n, json_t *req, const void *attach, size_t len, json_t **ret)
{
	struct cli c = { .socket = n->socket, .quiet = true };
	struct ctl_answer a = { 0 };
	int rc = ctl_call(&c, req, attach, len, &a);

	if (ret != NULL)
		*ret = rc == 0 ? json_incref(a.json) : NULL;
	ctl_answer_fini(&a);
	return rc;
}

double
fleet_metric(struct fleet_node *n, const char *name)
{
	json_t *a, *m;
	double sum = 0;
	size_t i;

	if (fleet_call(n, json_pack("{s:s}", "cmd", "stats"), NULL, 0, &a) != 0)
		return 0;
	json_array_foreach(json_object_get(a, "metrics"), i, m)
		if (strcmp(ans_text(m, "name"), name) == 0)
			sum += json_number_value(json_object_get(m, "value"));
	json_decref(a);
	return sum;
}

/* Does it answer, and is it serving? Quietly: it may not be there yet. */
static bool
serving(struct fleet_node *n)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct cli c = { .socket = n->socket, .quiet = true };
	json_t *a = NULL;
	bool yes;
	int fd;

	/* A connection first: ctl_try() is not needed a thousand times before the socket is there. */
	if (strlen(n->socket) >= sizeof(sun.sun_path))
		return false;
	strcpy(sun.sun_path, n->socket);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	yes = fd >= 0 && connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0;
	if (fd >= 0)
		close(fd);
	if (!yes || ctl_try(&c, "status", &a) != 0)
		return false;
	yes = strcmp(ans_text(a, "state"), "serving") == 0;
	json_decref(a);
	return yes;
}

/* --- start and stop ---------------------------------------------------------- */

/* The keeper is the daemon's only child. */
static int
find_keeper(int pid)
{
	char path[64];
	int kid = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	if ((f = fopen(path, "re")) == NULL)
		return 0;
	if (fscanf(f, "%d", &kid) != 1)
		kid = 0;
	fclose(f);
	return kid;
}

static void
tell_log(struct fleet_node *n)
{
	char line[512], path[4096];
	long size;
	FILE *f;

	snprintf(path, sizeof(path), "%s/log", n->dir);
	if ((f = fopen(path, "re")) == NULL)
		return;
	if (fseek(f, 0, SEEK_END) == 0 && (size = ftell(f)) > 1000)
		(void)fseek(f, size - 1000, SEEK_SET);
	else
		rewind(f);
	while (fgets(line, sizeof(line), f) != NULL)
		fprintf(stderr, "  %s", line);
	fclose(f);
}

static pid_t
spawn(struct fleet_node *n)
{
	char *log = bench_fmt("%s/log", n->dir);
	int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	pid_t pid;

	free(log);
	if (fd < 0)
		return -1;
	if ((pid = fork()) == 0) {
		child_begin(fd, fd);
		execl(n->fleet->noroshid, "noroshid", "-c", n->conf,
		    geteuid() == 0 ? "--allow-root" : (char *)NULL, (char *)NULL);
		_exit(127);
	}
	close(fd);
	return pid;
}

int
fleet_start(struct fleet_node *n)
{
	struct bench *b = n->fleet->b;
	double t0 = bench_now();
	pid_t pid;
	int status;

	if (n->pid != 0)
		return 0;
	if ((pid = spawn(n)) < 0)
		return bench_fail_errno(b, "cannot start %s", n->fleet->noroshid);
	n->pid = pid;
	while (!serving(n)) {
		if (waitpid(pid, &status, WNOHANG) == pid) {
			n->pid = 0;
			tell_log(n);
			return bench_fail(b, "node %s ended with status %d", n->name,
			    WIFEXITED(status) ? WEXITSTATUS(status)
					      : 128 + WTERMSIG(status));
		}
		if (bench_now() - t0 > START_S) {
			tell_log(n);
			return bench_fail(
			    b, "node %s did not serve in %d s", n->name, START_S);
		}
		usleep(1000);
	}
	n->start_s = bench_now() - t0;
	n->keeper = find_keeper(n->pid);
	bench_debug(b, "node %s serves after %.3f s", n->name, n->start_s);
	return 0;
}

int
fleet_stop(struct fleet_node *n)
{
	double t0 = bench_now();
	int status;

	if (n->pid == 0)
		return 0;
	kill(n->pid, SIGTERM);
	while (waitpid(n->pid, &status, WNOHANG) == 0) {
		if (bench_now() - t0 > STOP_S)
			kill(n->pid, SIGKILL);
		usleep(2000);
	}
	n->pid = 0;
	n->keeper = 0;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0
	    ? 0
	    : bench_fail(n->fleet->b, "node %s ended badly, see %s/log", n->name, n->dir);
}

double
fleet_cpu(const struct fleet_node *n)
{
	return (n->pid != 0 ? bench_cpu_pid(n->pid) : 0) +
	    (n->keeper != 0 ? bench_cpu_pid(n->keeper) : 0);
}

uint64_t
fleet_rss(const struct fleet_node *n)
{
	return (n->pid != 0 ? bench_rss_pid(n->pid) : 0) +
	    (n->keeper != 0 ? bench_rss_pid(n->keeper) : 0);
}

/* --- making ------------------------------------------------------------------- */

static bool
port_free(int port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool is;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	is = fd >= 0 && bind(fd, (struct sockaddr *)&sin, sizeof(sin)) == 0;
	if (fd >= 0)
		close(fd);
	return is;
}

/* Below those that connections which go out are given: it is to be free still when it is used. */
int
fleet_port(void)
{
	uint16_t r;
	int port;

	for (int i = 0; i < 100; i++) {
		if (getrandom(&r, sizeof(r), 0) != sizeof(r))
			return 0;
		port = PORT_FIRST + r % (PORT_END - PORT_FIRST);
		if (port_free(port))
			return port;
	}
	return 0;
}

static int
put_file(struct bench *b, const char *path, const char *text, int flags)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600);
	size_t n = strlen(text);
	int rc = 0;

	if (fd < 0 || write(fd, text, n) != (ssize_t)n)
		rc = bench_fail_errno(b, "cannot write %s", path);
	if (fd >= 0)
		close(fd);
	return rc;
}

int
fleet_conf(struct fleet_node *n, const char *lines)
{
	char *text = bench_fmt("\n%s\n", lines);
	int rc = put_file(n->fleet->b, n->conf, text, O_APPEND);

	free(text);
	return rc;
}

int
fleet_reload(struct fleet_node *n)
{
	return fleet_call(n, json_pack("{s:s}", "cmd", "reload"), NULL, 0, NULL);
}

/* Lines within the stanza of the node: behind its opening brace. */
static int
edit_node_stanza(struct fleet_node *n, const char *lines)
{
	static const char head[] = "node {\n";
	char *text = NULL, *at, *edited;
	int fd = open(n->conf, O_RDONLY | O_CLOEXEC), rc;

	if (fd < 0 || read_all(fd, &text) != 0 || (at = strstr(text, head)) == NULL) {
		rc = bench_fail_errno(n->fleet->b, "cannot read %s", n->conf);
	} else {
		at += sizeof(head) - 1;
		edited = bench_fmt("%.*s%s\n%s", (int)(at - text), text, lines, at);
		rc = put_file(n->fleet->b, n->conf, edited, O_TRUNC);
		free(edited);
	}
	if (fd >= 0)
		close(fd);
	free(text);
	return rc;
}

static int
init_node(struct fleet_node *n)
{
	struct bench *b = n->fleet->b;
	char *pass = bench_fmt("%s.pass", n->dir), *root = bench_fmt("%s.root.pem", n->dir),
	     *listen = bench_fmt("127.0.0.1:%d", n->port), *out = NULL;
	char *const argv[] = { (char *)"noroshi", (char *)"init", (char *)n->dir,
		(char *)"--origin", (char *)n->origin, (char *)"--listen", listen,
		(char *)"--root-out", root, (char *)"--root-passphrase-file", pass,
		(char *)"-q", NULL };
	int rc;

	if ((rc = put_file(b, pass, "of a node that lasts a minute\n", O_EXCL)) == 0)
		rc = run_program(b, n->fleet->noroshi, argv, &out);
	free(out);
	free(pass);
	free(root);
	free(listen);
	return rc;
}

static void
node_free(struct fleet_node *n)
{
	if (n == NULL)
		return;
	free((char *)n->name);
	free((char *)n->origin);
	free((char *)n->dir);
	free((char *)n->conf);
	free((char *)n->socket);
	free(n);
}

/* A name for a node, and where its files are. */
static struct fleet_node *
node_new(struct fleet *f, const char *name)
{
	struct fleet_node *n = bench_alloc(sizeof(*n));

	n->fleet = f;
	n->name = bench_fmt("%s", name);
	n->origin = bench_fmt("%s.bench.example", name);
	n->dir = bench_fmt("%s/%s", f->dir, name);
	n->conf = bench_fmt("%s/noroshi.conf", n->dir);
	n->socket = bench_fmt("%s/control.sock", n->dir);
	return n;
}

int
fleet_add(struct fleet *f, const char *name, const char *node_conf, const char *conf,
    struct fleet_node **ret)
{
	struct fleet_node *n;
	int rc;

	if (f->n == NODES_MAX)
		return bench_fail(f->b, "too many nodes");
	n = node_new(f, name);
	n->port = fleet_port();
	if (strlen(n->socket) > 100)
		rc = bench_fail(f->b, "%s is too long for a Unix socket", n->socket);
	else
		rc = init_node(n);
	if (rc == 0 && node_conf != NULL)
		rc = edit_node_stanza(n, node_conf);
	if (rc == 0 && conf != NULL)
		rc = fleet_conf(n, conf);
	if (rc == 0)
		rc = fleet_start(n);
	if (rc != 0) {
		(void)fleet_stop(n);
		node_free(n);
		return rc;
	}
	f->node[f->n++] = n;
	*ret = n;
	return 0;
}

int
fleet_open(struct bench *b, const char *dir, struct fleet **ret)
{
	struct fleet *f = bench_alloc(sizeof(*f));

	f->b = b;
	f->dir = bench_fmt("%s", dir);
	f->noroshi = find_program(b, "noroshi", "tools/noroshi");
	f->noroshid = find_program(b, "noroshid", "daemon");
	*ret = f;
	if (f->noroshi != NULL && f->noroshid != NULL)
		return 0;
	fleet_close(f);
	return CLI_IO;
}

int
fleet_find(struct fleet *f, const char *name, struct fleet_node **ret)
{
	struct fleet_node *n = node_new(f, name);

	if (access(n->conf, R_OK) != 0) {
		node_free(n);
		return CLI_IO;
	}
	f->node[f->n++] = n;
	*ret = n;
	return 0;
}

int
fleet_new(struct bench *b, const char *name, struct fleet **ret)
{
	char *dir = bench_mkdir(b, name);
	int rc;

	if (dir == NULL)
		return CLI_IO;
	rc = fleet_open(b, dir, ret);
	if (rc != 0)
		bench_rmdir(b, dir);
	free(dir);
	return rc;
}

void
fleet_close(struct fleet *f)
{
	if (f == NULL)
		return;
	for (unsigned int i = 0; i < f->n; i++) {
		(void)fleet_stop(f->node[i]);
		node_free(f->node[i]);
	}
	free(f->dir);
	free(f->noroshi);
	free(f->noroshid);
	free(f);
}

void
fleet_free(struct fleet *f)
{
	struct bench *b = f != NULL ? f->b : NULL;
	char *dir = f != NULL ? bench_fmt("%s", f->dir) : NULL;

	fleet_close(f);
	if (b != NULL)
		bench_rmdir(b, dir);
	free(dir);
}

/* --- a community ------------------------------------------------------------------ */

int
fleet_found(struct fleet_node *n)
{
	return fleet_cli(n, NULL, "-q", "community", "create", FLEET_COMMUNITY, NULL);
}

static int
fingerprint(struct fleet_node *n, char dst[32])
{
	json_t *a = NULL;
	int rc = fleet_call(n, json_pack("{s:s}", "cmd", "version"), NULL, 0, &a);

	snprintf(dst, 32, "%s", rc == 0 ? ans_text(a, "fingerprint") : "");
	json_decref(a);
	return rc;
}

static int
accept_peer(struct fleet_node *n, struct fleet_node *peer)
{
	char *invite = bench_fmt("%s/invite", peer->dir), words[32];
	int rc = fingerprint(peer, words);

	if (rc == 0 && access(invite, R_OK) != 0)
		rc = fleet_cli(peer, NULL, "-q", "peer", "invite", "-o", invite, NULL);
	if (rc == 0)
		rc = fleet_cli(n, NULL, "-q", "peer", "accept", invite, "--community",
		    FLEET_COMMUNITY, "--fingerprint", words, NULL);
	free(invite);
	return rc;
}

/* The founder first: its acceptance makes the others members, its invite carries the community. */
int
fleet_join(struct fleet *f)
{
	struct fleet_node *founder = f->node[0];
	int rc = f->n > 0 ? fleet_found(founder) : CLI_IO;

	for (unsigned int i = 1; i < f->n && rc == 0; i++)
		rc = accept_peer(founder, f->node[i]);
	for (unsigned int i = 1; i < f->n && rc == 0; i++)
		rc = accept_peer(f->node[i], founder);
	for (unsigned int i = 1; i < f->n; i++)
		for (unsigned int k = 1; k < f->n && rc == 0; k++)
			if (i != k)
				rc = accept_peer(f->node[i], f->node[k]);
	return rc == 0 ? fleet_wait(f, 60) : rc;
}

/* Is every other node among the peers, up, and nothing left to send? */
static bool
peers_even(const struct fleet *f, const struct fleet_node *n, const json_t *status)
{
	unsigned int seen = 0;
	json_t *p;
	size_t i;

	json_array_foreach(json_object_get(status, "peers"), i, p)
		for (unsigned int k = 0; k < f->n; k++) {
			if (f->node[k] == n || f->node[k]->pid == 0 ||
			    strcmp(f->node[k]->origin, ans_text(p, "name")) != 0)
				continue;
			if (strcmp(ans_text(p, "state"), "up") != 0 ||
			    ans_num(p, "lag_records") != 0 ||
			    ans_num(p, "behind_records") != 0)
				return false;
			seen++;
		}
	for (unsigned int k = 0; k < f->n; k++)
		seen += f->node[k]->pid == 0;
	return seen + 1 == f->n;
}

/* What it shows of the logs of our nodes, in a form that compares. */
static json_t *
logs_of(const struct fleet *f, const json_t *status)
{
	json_t *ret = json_object(), *o;
	size_t i;

	json_array_foreach(json_object_get(status, "origins"), i, o)
		for (unsigned int k = 0; k < f->n; k++)
			if (strcmp(f->node[k]->origin, ans_text(o, "origin")) == 0)
				json_object_set_new(ret, f->node[k]->origin,
				    json_pack("[I,s]", (json_int_t)ans_num(o, "size"),
					ans_text(o, "root")));
	return ret;
}

static int
in_sync(struct fleet *f, bool *ret)
{
	json_t *first = NULL, *status, *logs;
	int rc = 0;

	*ret = true;
	for (unsigned int i = 0; i < f->n && rc == 0 && *ret; i++) {
		if (f->node[i]->pid == 0)
			continue;
		rc = fleet_call(
		    f->node[i], json_pack("{s:s}", "cmd", "status"), NULL, 0, &status);
		if (rc != 0)
			break;
		logs = logs_of(f, status);
		*ret = peers_even(f, f->node[i], status) &&
		    (first == NULL || json_equal(first, logs));
		if (first == NULL)
			first = json_incref(logs);
		json_decref(logs);
		json_decref(status);
	}
	json_decref(first);
	return rc;
}

int
fleet_wait(struct fleet *f, double seconds)
{
	double end = bench_now() + seconds;
	bool even = false;
	int rc;

	while ((rc = in_sync(f, &even)) == 0 && !even) {
		if (bench_now() > end)
			return bench_fail(
			    f->b, "the nodes are not in sync after %.0f s", seconds);
		usleep(20000);
	}
	return rc;
}
