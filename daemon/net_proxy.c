/*
 * Through a proxy: SOCKS5 (RFC 1928, without authentication) or HTTP CONNECT
 * (RFC 9110).  The name goes to the proxy unresolved.  Replies are read byte by
 * byte where their end is not known, so that not one byte of TLS is taken.
 */
#include "daemon/net_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/buf.h"

#define REPLY_MAX 4096

struct proxy {
	int fd;
	enum conf_proxy type;
	char host[NRS_ORIGIN_MAX + 1];
	uint16_t port;
	struct event *ev;
	void (*done)(void *arg, const char *why);
	void *arg;
	unsigned int step;
	uint8_t in[REPLY_MAX + 1];
	size_t have, want;
	char why[128];
};

static bool
put(struct proxy *p, const void *buf, size_t len)
{
	/* A few hundred bytes into an empty socket buffer: all or failure. */
	return send(p->fd, buf, len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len;
}

static bool
expect(struct proxy *p, size_t n)
{
	p->have = 0;
	p->want = n;
	return true;
}

static const char *
socks_reason(uint8_t code)
{
	static const char *const text[] = { "", "general failure",
		"not allowed by its rules", "network unreachable", "host unreachable",
		"connection refused", "TTL expired", "command not supported",
		"address type not supported" };

	return code < sizeof(text) / sizeof(text[0]) ? text[code] : "unknown reply";
}

static bool
socks_request(struct proxy *p)
{
	uint8_t b[4 + 1 + NRS_ORIGIN_MAX + 2] = { 5, 1, 0, 0 };
	size_t n = 4, len = strlen(p->host);

	if (inet_pton(AF_INET, p->host, b + 4) == 1) {
		b[3] = 1;
		n += 4;
	} else if (inet_pton(AF_INET6, p->host, b + 4) == 1) {
		b[3] = 4;
		n += 16;
	} else {
		b[3] = 3;
		b[4] = (uint8_t)len;
		memcpy(b + 5, p->host, len);
		n += 1 + len;
	}
	nrs_put_u16(b + n, p->port);
	return put(p, b, n + 2);
}

/* -1 failed, 0 goes on, 1 the tunnel stands */
static int
socks_step(struct proxy *p)
{
	switch (p->step++) {
	case 0:
		if (p->in[0] != 5 || p->in[1] != 0) {
			snprintf(p->why, sizeof(p->why), "it wants a password");
			return -1;
		}
		return socks_request(p) && expect(p, 5) ? 0 : -1;
	case 1:
		if (p->in[0] != 5 || p->in[1] != 0) {
			snprintf(p->why, sizeof(p->why), "%s", socks_reason(p->in[1]));
			return -1;
		}
		/* The bound address follows: of the fifth byte's kind, less that byte, and a port. */
		if (p->in[3] != 1 && p->in[3] != 3 && p->in[3] != 4)
			return -1;
		return expect(p,
			   p->in[3] == 1       ? 3 + 2
			       : p->in[3] == 4 ? 15 + 2
					       : p->in[4] + 2u)
		    ? 0
		    : -1;
	default:
		return 1;
	}
}

static bool
http_request(struct proxy *p)
{
	char at[NRS_ORIGIN_MAX + 16], b[2 * sizeof(at) + 64];
	bool v6 = strchr(p->host, ':') != NULL;
	int n;

	snprintf(at, sizeof(at), v6 ? "[%s]:%u" : "%s:%u", p->host, p->port);
	n = snprintf(b, sizeof(b), "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", at, at);
	return n > 0 && (size_t)n < sizeof(b) && put(p, b, (size_t)n) && expect(p, 1);
}

static int
http_step(struct proxy *p)
{
	if (p->have < 4 || memcmp(p->in + p->have - 4, "\r\n\r\n", 4) != 0) {
		p->want = p->have + 1;
		if (p->want <= REPLY_MAX)
			return 0;
		snprintf(p->why, sizeof(p->why), "its reply is too long");
		return -1;
	}
	p->in[p->have] = '\0';
	if (p->have > 12 && memcmp(p->in, "HTTP/1.", 7) == 0 && p->in[8] == ' ' &&
	    p->in[9] == '2')
		return 1;
	snprintf(p->why, sizeof(p->why), "it answers \"%.*s\"",
	    (int)strcspn((const char *)p->in, "\r\n"), (const char *)p->in);
	return -1;
}

static void
finish(struct proxy *p, bool ok)
{
	char why[sizeof(p->why) + 16];

	snprintf(why, sizeof(why), "proxy: %s", p->why[0] != '\0' ? p->why : "bad reply");
	event_del(p->ev);
	p->done(p->arg, ok ? NULL : why); /* may free p */
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct proxy *p = arg;
	ssize_t n;
	int r = 0;

	while (r == 0) {
		if (p->have < p->want) {
			n = recv(p->fd, p->in + p->have, p->want - p->have, MSG_DONTWAIT);
			if (n < 0 && (errno == EAGAIN || errno == EINTR))
				return;
			if (n <= 0) {
				snprintf(p->why, sizeof(p->why), "%s",
				    n == 0 ? "it closed the connection" : strerror(errno));
				finish(p, false);
				return;
			}
			p->have += (size_t)n;
		}
		if (p->have >= p->want)
			r = p->type == CONF_PROXY_SOCKS5 ? socks_step(p) : http_step(p);
	}
	finish(p, r > 0);
}

int
proxy_start(struct net *net, int fd, enum conf_proxy type, const char *host, uint16_t port,
    void (*done)(void *arg, const char *why), void *arg, struct proxy **ret)
{
	struct proxy *p = calloc(1, sizeof(*p));
	bool ok;

	*ret = NULL;
	if (p == NULL)
		return NRS_ENOMEM;
	p->fd = fd;
	p->type = type;
	snprintf(p->host, sizeof(p->host), "%s", host);
	p->port = port;
	p->done = done;
	p->arg = arg;
	p->ev = event_new(net->app->base, fd, EV_READ | EV_PERSIST, on_readable, p);
	ok = p->ev != NULL && event_add(p->ev, NULL) == 0;
	if (ok && type == CONF_PROXY_SOCKS5)
		ok = put(p, "\x05\x01\x00", 3) && expect(p, 2);
	else if (ok)
		ok = http_request(p);
	if (!ok) {
		proxy_free(p);
		return NRS_EIO;
	}
	*ret = p;
	return 0;
}

void
proxy_free(struct proxy *p)
{
	if (p == NULL)
		return;
	if (p->ev != NULL)
		event_free(p->ev);
	free(p);
}
