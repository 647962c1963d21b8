/*
 * The daemon's end of the keeper's socket.  Requests go out in order, answers
 * come back in order; completions are called from the loop, never from inside
 * the call that asked, also when an answer was read by a blocking request.
 */
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "crypto/aead.h"
#include "daemon/keeper.h"
#include "daemon/keeper_proto.h"
#include "daemon/sandbox.h"
#include "daemon/secret.h"

struct sign_list {
	struct nrs_sign *head, *tail;
};

struct keeper {
	int fd;
	pid_t pid;
	struct nrs_buf out;
	size_t out_done;
	struct nrs_buf in;
	struct sign_list asked; /* in order; the answer to the first comes next */
	struct sign_list ready; /* answered; done() is due */
	struct event *ev_read, *ev_write, *ev_ready;
	bool dead;
	const char *why;
	void (*answered)(void *arg);
	void (*died)(void *arg, const char *why);
	void *up_arg; /* of both */
};

static void
list_add(struct sign_list *l, struct nrs_sign *s)
{
	s->next = NULL;
	if (l->tail != NULL)
		l->tail->next = s;
	else
		l->head = s;
	l->tail = s;
}

static struct nrs_sign *
list_take(struct sign_list *l)
{
	struct nrs_sign *s = l->head;

	if (s == NULL)
		return NULL;
	l->head = s->next;
	if (l->head == NULL)
		l->tail = NULL;
	s->next = NULL;
	return s;
}

static void
ready_soon(struct keeper *k)
{
	if (k->ev_ready != NULL && (k->ready.head != NULL || k->dead))
		event_active(k->ev_ready, EV_TIMEOUT, 0);
}

/* Nothing will be answered any more. */
static void
keeper_dead(struct keeper *k, const char *why)
{
	struct nrs_sign *s;

	if (k->dead)
		return;
	k->dead = true;
	k->why = why;
	while ((s = list_take(&k->asked)) != NULL) {
		s->rc = NRS_EIO;
		s->out_len = 0;
		list_add(&k->ready, s);
	}
	if (k->ev_read != NULL)
		event_del(k->ev_read);
	if (k->ev_write != NULL)
		event_del(k->ev_write);
	ready_soon(k);
}

/* --- bytes --------------------------------------------------------------- */

static void
pump_out(struct keeper *k)
{
	while (!k->dead && k->out_done < k->out.len) {
		ssize_t n = send(k->fd, k->out.p + k->out_done, k->out.len - k->out_done,
		    MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n <= 0) {
			keeper_dead(k, "its socket is closed");
			return;
		}
		k->out_done += (size_t)n;
	}
	if (k->out_done == k->out.len) {
		/* Seeds went through here. */
		nrs_wipe(k->out.p, k->out.len);
		nrs_buf_reset(&k->out);
		k->out_done = 0;
	} else if (k->ev_write != NULL) {
		event_add(k->ev_write, NULL);
	}
}

static void
take_answer(struct keeper *k, uint32_t rc, const uint8_t *p, size_t len)
{
	struct nrs_sign *s = list_take(&k->asked);

	s->rc = rc <= INT32_MAX ? -(int)rc : NRS_EINTERNAL;
	if (s->rc == 0 && len > s->out_len)
		s->rc = NRS_EINTERNAL;
	s->out_len = s->rc == 0 ? len : 0;
	if (s->out_len > 0)
		memcpy(s->out, p, len);
	list_add(&k->ready, s);
}

static void
parse_in(struct keeper *k)
{
	size_t off = 0;

	while (k->in.len - off >= KEEPER_ANS_HEAD) {
		const uint8_t *p = k->in.p + off;
		uint32_t len = nrs_get_u32(p);

		if (len > KEEPER_BODY_MAX || k->asked.head == NULL) {
			keeper_dead(k, "its answer makes no sense");
			return;
		}
		if (k->in.len - off - KEEPER_ANS_HEAD < len)
			break;
		take_answer(k, nrs_get_u32(p + 4), p + KEEPER_ANS_HEAD, len);
		off += KEEPER_ANS_HEAD + len;
	}
	if (off == 0)
		return;
	memmove(k->in.p, k->in.p + off, k->in.len - off);
	nrs_wipe(k->in.p + (k->in.len - off), off);
	k->in.len -= off;
}

static void
pump_in(struct keeper *k)
{
	while (!k->dead) {
		uint8_t *p = nrs_buf_reserve(&k->in, 65536);
		ssize_t n;

		if (p == NULL) {
			keeper_dead(k, "no memory for its answer");
			return;
		}
		n = recv(k->fd, p, 65536, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n <= 0) {
			keeper_dead(k, "it ended");
			return;
		}
		nrs_buf_grow(&k->in, (size_t)n);
		parse_in(k);
	}
	ready_soon(k);
}

static void
on_read(evutil_socket_t fd, short what, void *arg)
{
	pump_in(arg);
}

static void
on_write(evutil_socket_t fd, short what, void *arg)
{
	pump_out(arg);
}

static void
on_ready(evutil_socket_t fd, short what, void *arg)
{
	struct keeper *k = arg;
	struct sign_list due = k->ready;
	struct nrs_sign *s;
	void (*died)(void *, const char *) = k->died;

	memset(&k->ready, 0, sizeof(k->ready));
	while ((s = list_take(&due)) != NULL)
		s->done(s);
	k->answered(k->up_arg);
	if (k->dead && died != NULL) {
		k->died = NULL;
		died(k->up_arg, k->why);
	}
}

/* --- requests ------------------------------------------------------------- */

static int
enqueue(struct keeper *k, uint8_t what, const uint8_t *in, size_t len)
{
	if (len > KEEPER_BODY_MAX)
		return NRS_ELIMIT;
	if (k->dead)
		return NRS_EIO;
	if (nrs_buf_reserve(&k->out, KEEPER_REQ_HEAD + len) == NULL) {
		k->out.err = 0; /* this request fails, others may go on */
		return NRS_ENOMEM;
	}
	nrs_buf_u32(&k->out, (uint32_t)len);
	nrs_buf_u8(&k->out, what);
	nrs_buf_put(&k->out, in, len);
	return 0;
}

void
keeper_sign(struct keeper *k, struct nrs_sign *s)
{
	int rc = enqueue(k, (uint8_t)s->what, s->in, s->in_len);

	if (rc == 0) {
		list_add(&k->asked, s);
		pump_out(k);
		return;
	}
	s->rc = rc;
	s->out_len = 0;
	/* Completions come in order: this one cannot pass those that are under way. */
	if (k->asked.head != NULL)
		keeper_dead(k, "a request cannot be sent to it");
	list_add(&k->ready, s);
	ready_soon(k);
}

static int
run_what(struct keeper *k, uint8_t what, struct nrs_sign *s)
{
	struct pollfd pfd = { .fd = k->fd };
	int rc;

	s->rc = 1; /* no answer yet */
	if ((rc = enqueue(k, what, s->in, s->in_len)) != 0)
		return s->rc = rc;
	list_add(&k->asked, s);
	for (pump_out(k); s->rc == 1; pump_in(k)) {
		pfd.events = POLLIN;
		if (k->out_done < k->out.len)
			pfd.events |= POLLOUT;
		if (!k->dead && poll(&pfd, 1, -1) > 0 && (pfd.revents & POLLOUT) != 0)
			pump_out(k);
	}
	/* Ours stands last in ready: it was asked last. It has no done(). */
	if (k->ready.head == s) {
		(void)list_take(&k->ready);
	} else {
		struct nrs_sign *p = k->ready.head;

		while (p->next != s)
			p = p->next;
		p->next = s->next;
		if (k->ready.tail == s)
			k->ready.tail = p;
	}
	return s->rc;
}

int
keeper_sign_run(struct keeper *k, struct nrs_sign *s)
{
	return run_what(k, (uint8_t)s->what, s);
}

int
keeper_signed_size(struct keeper *k, uint64_t *ret_size)
{
	uint8_t size[8];
	struct nrs_sign s = { .out = size, .out_len = sizeof(size) };
	int rc = run_what(k, KEEPER_GET_STATE, &s);

	if (rc == 0 && s.out_len != sizeof(size))
		rc = NRS_EINTERNAL;
	if (rc == 0)
		*ret_size = nrs_get_u64(size);
	return rc;
}

/* --- life ----------------------------------------------------------------- */

/* Every descriptor of the daemon's is closed: locks, logs, terminals. */
static void
child_close(int fd)
{
	if (fd > 3)
		(void)close_range(3, (unsigned int)fd - 1, 0);
	(void)close_range((unsigned int)fd + 1, ~0u, 0);
}

/* Errors before the first answer reach the daemon as an answer of their own. */
static void
child_say(int fd, int rc, const struct nrs_detail *d)
{
	uint8_t head[KEEPER_ANS_HEAD];
	size_t len = rc != 0 ? strlen(d->text) : 0;

	nrs_put_u32(head, (uint32_t)len);
	nrs_put_u32(head + 4, (uint32_t)-rc);
	if (send(fd, head, sizeof(head), MSG_NOSIGNAL) == (ssize_t)sizeof(head) && len > 0)
		(void)!send(fd, d->text, len, MSG_NOSIGNAL);
}

static _Noreturn void
child_main(int fd, const char *dir, const struct nrs_manifest *m)
{
	static const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGUSR1, SIGUSR2 };
	struct nrs_detail d = { 0 };
	struct keeper_keys *keys = NULL;
	int rc;

	/* It lives as long as the socket: the daemon drains with its help. */
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	prctl(PR_SET_NAME, "keeper", 0, 0, 0);
	child_close(fd);
	if ((rc = secret_harden()) != 0)
		(void)nrs_fail(&d, rc, 0, "the kernel does not let memory be protected");
	else if ((rc = keeper_keys_load(dir, m, &keys, &d)) == 0) {
		keeper_keys_warm_up(keys);
		if ((rc = sandbox_keeper()) != 0)
			(void)nrs_fail(&d, rc, 0, "the kernel refuses the sandbox");
	}
	child_say(fd, rc, &d);
	if (rc == 0)
		rc = keeper_serve(keys, fd);
	keeper_keys_free(keys);
	_exit(rc != 0);
}

static int
recv_all(int fd, uint8_t *p, size_t len)
{
	while (len > 0) {
		ssize_t n = recv(fd, p, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return NRS_EIO;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* The child's word that it holds the right keys and is locked in. */
static int
wait_greeting(struct keeper *k, struct nrs_detail *d)
{
	uint8_t head[KEEPER_ANS_HEAD];
	char text[sizeof(d->text)] = "";
	uint32_t len, rc;

	if (recv_all(k->fd, head, sizeof(head)) != 0)
		return nrs_fail(d, NRS_EIO, 0, "the keeper ended at its start");
	len = nrs_get_u32(head);
	rc = nrs_get_u32(head + 4);
	if (rc == 0 && len == 0)
		return 0;
	if (len >= sizeof(text) || recv_all(k->fd, (uint8_t *)text, len) != 0 || rc == 0 ||
	    rc > INT32_MAX)
		return nrs_fail(d, NRS_EIO, 0, "the keeper ended at its start");
	return nrs_fail(d, -(int)rc, 0, "%s", text);
}

int
keeper_start(const char *keys_dir, const struct nrs_manifest *m, struct keeper **ret,
    struct nrs_detail *d)
{
	struct keeper *k;
	int sv[2], rc;

	if ((k = calloc(1, sizeof(*k))) == NULL)
		return nrs_fail(d, NRS_ENOMEM, 0, "keeper");
	k->fd = -1;
	nrs_buf_init(&k->out, 64u << 20);
	nrs_buf_init(&k->in, 2 * KEEPER_BODY_MAX);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) != 0) {
		rc = nrs_fail(d, NRS_EIO, 0, "socket of the keeper: %s", strerror(errno));
		goto out;
	}
	k->fd = sv[0];
	if ((k->pid = fork()) == 0)
		child_main(sv[1], keys_dir, m);
	close(sv[1]);
	if (k->pid < 0) {
		rc = nrs_fail(d, NRS_EIO, 0, "fork of the keeper: %s", strerror(errno));
		goto out;
	}
	if ((rc = wait_greeting(k, d)) != 0)
		goto out;
	*ret = k;
	k = NULL;
out:
	keeper_free(k);
	return rc;
}

int
keeper_attach(struct keeper *k, struct event_base *base, void (*answered)(void *arg),
    void (*died)(void *arg, const char *why), void *arg)
{
	k->answered = answered;
	k->died = died;
	k->up_arg = arg;
	k->ev_read = event_new(base, k->fd, EV_READ | EV_PERSIST, on_read, k);
	k->ev_write = event_new(base, k->fd, EV_WRITE, on_write, k);
	k->ev_ready = event_new(base, -1, 0, on_ready, k);
	if (k->ev_read == NULL || k->ev_write == NULL || k->ev_ready == NULL ||
	    event_add(k->ev_read, NULL) != 0)
		return NRS_ENOMEM;
	pump_out(k);
	ready_soon(k);
	return 0;
}

void
keeper_free(struct keeper *k)
{
	if (k == NULL)
		return;
	if (k->ev_read != NULL)
		event_free(k->ev_read);
	if (k->ev_write != NULL)
		event_free(k->ev_write);
	if (k->ev_ready != NULL)
		event_free(k->ev_ready);
	if (k->fd >= 0)
		close(k->fd);
	if (k->pid > 0)
		while (waitpid(k->pid, NULL, 0) < 0 && errno == EINTR)
			;
	nrs_buf_wipe(&k->out);
	nrs_buf_wipe(&k->in);
	free(k);
}
