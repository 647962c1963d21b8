/* Framing of the control protocol, and what it means when nobody answers. */
#include "tools/noroshi/ctl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"

#define JSON_MAX   (4u << 20)
#define ATTACH_MAX (17u << 20)
#define LINES_MAX  (1u << 20)
/* Longer than anything the daemon lets a caller wait for, but not for ever. */
#define ANSWER_S 120

struct ctl {
	const struct cli *c;
	int fd;
	bool quiet;
};

static int
no_daemon(const struct ctl *ctl, const char *why)
{
	if (ctl->quiet)
		return CLI_NODAEMON;
	return cli_fail(ctl->c, CLI_NODAEMON, "no-daemon", why,
	    "Is noroshid running? \"systemctl status noroshid\" tells; -S or NOROSHI_SOCKET\n"
	    "names another socket.",
	    "no daemon at %s", ctl->c->socket);
}

static int
lost(const struct ctl *ctl, const char *why)
{
	if (ctl->quiet)
		return CLI_LATER;
	return cli_fail(ctl->c, CLI_LATER, "lost", why,
	    "What was not answered may or may not have been done. The daemon's log tells more;\n"
	    "repeating is safe.",
	    "the daemon at %s gave no complete answer", ctl->c->socket);
}

static int
dial(struct ctl *ctl)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct timeval tv = { .tv_sec = ANSWER_S };

	if (strlen(ctl->c->socket) >= sizeof(sun.sun_path))
		return no_daemon(ctl, "the path is too long for a Unix socket");
	strcpy(sun.sun_path, ctl->c->socket);
	ctl->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (ctl->fd < 0)
		return no_daemon(ctl, strerror(errno));
	(void)setsockopt(ctl->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	(void)setsockopt(ctl->fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (connect(ctl->fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
		return 0;
	if (errno == EACCES && !ctl->quiet)
		return cli_fail(ctl->c, CLI_PERM, "perm", strerror(errno),
		    "Your user must be able to reach the socket, and be named in \"operators\",\n"
		    "\"submitters\" or \"readers\" of noroshi.conf.",
		    "cannot connect to %s", ctl->c->socket);
	return no_daemon(ctl, strerror(errno));
}

int
ctl_open(const struct cli *c, struct ctl **ret)
{
	struct ctl *ctl = cli_alloc(sizeof(*ctl));
	int rc;

	ctl->c = c;
	ctl->fd = -1;
	if ((rc = dial(ctl)) != 0) {
		ctl_close(ctl);
		return rc;
	}
	*ret = ctl;
	return 0;
}

void
ctl_close(struct ctl *ctl)
{
	if (ctl == NULL)
		return;
	if (ctl->fd >= 0)
		close(ctl->fd);
	free(ctl);
}

/* --- frames ------------------------------------------------------------ */

static int
write_all(struct ctl *ctl, const void *data, size_t len)
{
	const uint8_t *p = data;
	ssize_t n;

	while (len > 0) {
		n = send(ctl->fd, p, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int
read_all(struct ctl *ctl, void *data, size_t len)
{
	uint8_t *p = data;
	ssize_t n;

	while (len > 0) {
		n = recv(ctl->fd, p, len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0 ? ECONNRESET : errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static const char *
why_of(int e)
{
	return e == EAGAIN || e == EWOULDBLOCK ? "no answer in time"
	    : e == ECONNRESET || e == EPIPE    ? "the connection was closed"
					       : strerror(e);
}

static int
send_frame(struct ctl *ctl, char kind, const void *data, size_t len)
{
	uint8_t head[5];
	int e;

	nrs_put_u32(head, (uint32_t)len);
	head[4] = (uint8_t)kind;
	if ((e = write_all(ctl, head, sizeof(head))) != 0 ||
	    (e = write_all(ctl, data, len)) != 0)
		return e;
	return 0;
}

/* One frame, with a NUL after its body. */
static int
recv_frame(struct ctl *ctl, char *ret_kind, uint8_t **ret, size_t *ret_len)
{
	uint8_t head[5], *p;
	size_t len, max;
	int e;

	if ((e = read_all(ctl, head, sizeof(head))) != 0)
		return lost(ctl, why_of(e));
	len = nrs_get_u32(head);
	max = head[4] == 'J' ? JSON_MAX
	    : head[4] == 'B' ? ATTACH_MAX
	    : head[4] == 'L' ? LINES_MAX
			     : 0;
	if (max == 0 || len > max)
		return lost(ctl, "it does not speak this protocol");
	p = cli_alloc(len + 1);
	if ((e = read_all(ctl, p, len)) != 0) {
		free(p);
		return lost(ctl, why_of(e));
	}
	*ret_kind = (char)head[4];
	*ret = p;
	*ret_len = len;
	return 0;
}

/* --- requests and answers ---------------------------------------------- */

/* The daemon may have refused and closed before it read all: its reason is then still to be read. */
int
ctl_send(struct ctl *ctl, json_t *req, const void *data, size_t len)
{
	char *text;
	int e;

	if (req == NULL || json_object_set_new(req, "v", json_integer(1)) != 0 ||
	    (data != NULL && json_object_set_new(req, "attach", json_true()) != 0) ||
	    (text = json_dumps(req, JSON_COMPACT)) == NULL)
		cli_oom();
	json_decref(req);
	e = send_frame(ctl, 'J', text, strlen(text));
	if (e == 0 && data != NULL)
		e = send_frame(ctl, 'B', data, len);
	free(text);
	return e == 0 || e == EPIPE || e == ECONNRESET ? 0 : lost(ctl, why_of(e));
}

void
ctl_answer_fini(struct ctl_answer *a)
{
	json_decref(a->json);
	free(a->data);
	memset(a, 0, sizeof(*a));
}

static int
parse_answer(struct ctl *ctl, const uint8_t *p, size_t len, struct ctl_answer *ret)
{
	ret->json = json_loadb((const char *)p, len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(ret->json)) {
		ctl_answer_fini(ret);
		return lost(ctl, "the answer is not a JSON object");
	}
	ret->error = json_object_get(ret->json, "error");
	return 0;
}

int
ctl_recv(struct ctl *ctl, struct ctl_answer *ret)
{
	uint8_t *p;
	size_t len;
	char kind;
	int rc;

	memset(ret, 0, sizeof(*ret));
	if ((rc = recv_frame(ctl, &kind, &p, &len)) != 0)
		return rc;
	rc = kind == 'J' ? parse_answer(ctl, p, len, ret)
			 : lost(ctl, "it does not speak this protocol");
	free(p);
	if (rc != 0 || !json_is_true(json_object_get(ret->json, "attach")))
		return rc;
	rc = recv_frame(ctl, &kind, &ret->data, &ret->len);
	if (rc == 0 && kind != 'B')
		rc = lost(ctl, "it does not speak this protocol");
	if (rc != 0)
		ctl_answer_fini(ret);
	return rc;
}

static const char *
member(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

int
ctl_tell(const struct cli *c, const json_t *error)
{
	json_int_t exit = json_integer_value(json_object_get(error, "exit"));
	const char *code = member(error, "code"), *what = member(error, "what");

	if (exit < 1 || exit > 125)
		exit = CLI_LATER;
	return cli_fail(c, (int)exit, code != NULL ? code : "internal",
	    member(error, "why"), member(error, "next"), "%s",
	    what != NULL ? what : "the daemon refused");
}

int
ctl_call(
    const struct cli *c, json_t *req, const void *data, size_t len, struct ctl_answer *ret)
{
	struct ctl_answer a = { 0 };
	struct ctl *ctl;
	int rc;

	if ((rc = ctl_open(c, &ctl)) != 0) {
		json_decref(req);
		return rc;
	}
	if ((rc = ctl_send(ctl, req, data, len)) == 0)
		rc = ctl_recv(ctl, &a);
	if (rc == 0 && a.error != NULL)
		rc = ctl_tell(c, a.error);
	if (rc == 0 && ret != NULL) {
		*ret = a;
		memset(&a, 0, sizeof(a));
	}
	ctl_answer_fini(&a);
	ctl_close(ctl);
	return rc;
}

int
ctl_try(const struct cli *c, const char *cmd, json_t **ret)
{
	struct ctl ctl = { .c = c, .fd = -1, .quiet = true };
	struct ctl_answer a = { 0 };
	int rc;

	if ((rc = dial(&ctl)) == 0 &&
	    (rc = ctl_send(&ctl, json_pack("{s:s}", "cmd", cmd), NULL, 0)) == 0 &&
	    (rc = ctl_recv(&ctl, &a)) == 0 && a.error == NULL)
		*ret = json_incref(a.json);
	else if (rc == 0)
		rc = CLI_PERM;
	ctl_answer_fini(&a);
	if (ctl.fd >= 0)
		close(ctl.fd);
	return rc;
}

static int
each_line(char *p, size_t len, int (*line)(void *arg, char *s, size_t len), void *arg)
{
	char *nl;
	size_t n;
	int rc = 0;

	while (len > 0 && rc == 0) {
		nl = memchr(p, '\n', len);
		n = nl != NULL ? (size_t)(nl - p) : len;
		p[n] = '\0'; /* the newline, or the NUL behind the frame */
		rc = line(arg, p, n);
		n += nl != NULL;
		p += n;
		len -= n;
	}
	return rc;
}

int
ctl_pieces(struct ctl *ctl, int (*line)(void *arg, char *s, size_t len),
    int (*data)(void *arg, const void *p, size_t len), void *arg, json_t **ret_end)
{
	struct timeval none = { 0 };
	struct ctl_answer a = { 0 };
	uint8_t *p;
	size_t len;
	char kind = 'L';
	int rc = 0;

	*ret_end = NULL;
	(void)setsockopt(ctl->fd, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof(none));
	while (rc == 0 && kind != 'J') {
		if ((rc = recv_frame(ctl, &kind, &p, &len)) != 0)
			return rc;
		if (kind == 'L')
			rc = each_line((char *)p, len, line, arg);
		else if (kind == 'B' && data != NULL)
			rc = data(arg, p, len);
		else if (kind == 'J')
			rc = parse_answer(ctl, p, len, &a);
		else
			rc = lost(ctl, "it does not speak this protocol");
		free(p);
	}
	if (rc == 0 && a.error != NULL)
		rc = ctl_tell(ctl->c, a.error);
	if (rc == 0)
		*ret_end = json_incref(a.json);
	ctl_answer_fini(&a);
	return rc;
}

int
ctl_stream(struct ctl *ctl, int (*line)(void *arg, char *s, size_t len), void *arg,
    json_t **ret_end)
{
	return ctl_pieces(ctl, line, NULL, arg, ret_end);
}
