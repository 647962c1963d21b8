/*
 * records.export and records.import: carrier files, piece by piece.  Neither
 * side holds more than a few pieces: the one waits for the socket, the other
 * answers a piece when the engine has taken it.
 */
#include "daemon/ctl_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "base/queue.h"
#include "daemon/log.h"

#define PIECE	   (256u << 10)
#define OUTPUT_MAX (1u << 20)
#define BUF_MAX	   (48u << 20) /* of one piece: statements of all communities at the most */

/* --- export ----------------------------------------------------------------- */

struct out {
	struct ctl_req *r;
	struct node_carry *c;
	struct event *go;
	struct nrs_buf buf;
	bool waiting; /* for the socket */
};

static void
out_free(struct out *u)
{
	node_carry_free(u->c);
	if (u->go != NULL)
		event_free(u->go);
	nrs_buf_fini(&u->buf);
	free(u);
}

static void
out_gone(struct ctl_req *r)
{
	out_free(r->priv);
	ctl_ok(r, NULL);
}

static void
out_end(struct out *u)
{
	struct node_carry_info i;
	struct ctl_req *r = u->r;
	json_t *j;

	node_carry_info(u->c, &i);
	log_notice("control",
	    "%" PRIu64 " records, from event %" PRIu64 " to %" PRIu64
	    ", written into a file for %s, by %s",
	    i.records, i.from, i.to, ctl_str(r, "for"), r->who);
	j = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "peer", ctl_str(r, "for"),
	    "from", (json_int_t)i.from, "to", (json_int_t)i.to, "next",
	    (json_int_t)i.to + 1, "leaves", (json_int_t)i.leaves, "records",
	    (json_int_t)i.records, "stopped", (json_int_t)i.stopped);
	out_free(u);
	ctl_ok(r, j);
}

static void
out_piece(struct out *u)
{
	struct node_carry_info i;
	char line[80];
	int n;

	node_carry_info(u->c, &i);
	n = snprintf(line, sizeof(line), "{\"done\":%" PRIu64 ",\"total\":%" PRIu64 "}\n",
	    i.done, i.total);
	ctl_put(u->r, 'L', line, (size_t)n);
	ctl_put(u->r, 'B', u->buf.p, u->buf.len);
	nrs_buf_reset(&u->buf);
	if (u->buf.cap > 4u * PIECE)
		nrs_buf_fini(&u->buf);
}

static void
out_go(evutil_socket_t fd, short what, void *arg)
{
	struct out *u = arg;
	struct ctl_req *r = u->r;
	struct bufferevent *bev = ctl_stream(r);
	int rc;

	if (bev == NULL)
		return;
	u->waiting = evbuffer_get_length(bufferevent_get_output(bev)) >= OUTPUT_MAX;
	if (u->waiting)
		return;
	rc = node_carry_next(u->c, &u->buf, PIECE);
	if (rc < 0) {
		out_free(u);
		ctl_fail_rc(r, rc, "the file cannot be written to its end", NULL, NULL);
		return;
	}
	if (u->buf.len > 0)
		out_piece(u);
	if (r->conn == NULL)
		return; /* the socket is gone, and out_gone() was called */
	if (rc == NODE_CARRY_END)
		out_end(u);
	else
		event_active(u->go, EV_TIMEOUT, 0);
}

static void
out_drained(struct ctl_req *r)
{
	struct out *u = r->priv;

	if (u->waiting)
		event_active(u->go, EV_TIMEOUT, 0);
}

void
ctl_records_export(struct ctl_req *r)
{
	struct nrs_detail d = { 0 };
	struct out *u;
	int rc;

	if (ctl_peer(r, ctl_str(r, "for")) == NULL)
		return;
	if ((u = calloc(1, sizeof(*u))) == NULL) {
		ctl_fail_rc(r, NRS_ENOMEM, "the file cannot be written", NULL, NULL);
		return;
	}
	nrs_buf_init(&u->buf, BUF_MAX);
	u->r = r;
	u->go = event_new(r->app->base, -1, 0, out_go, u);
	rc = u->go == NULL ? NRS_ENOMEM
			   : node_carry_open(r->app->node, ctl_str(r, "for"),
				 ctl_int(r, "from", 0), &u->c, &d);
	if (rc != 0) {
		out_free(u);
		ctl_fail_rc(r, rc, "the file cannot be written", &d,
		    rc == NRS_ERANGE ? "the last file ended with the event to go on from; "
				       "0 is everything"
			: rc == NRS_ESUSPENDED ? "noroshi peer resume, if it may have them"
					       : NULL);
		return;
	}
	r->priv = u;
	r->gone = out_gone;
	r->drained = out_drained;
	event_active(u->go, EV_TIMEOUT, 0);
}

/* --- import ------------------------------------------------------------------- */

/* Of one connection; each request brings a piece. */
struct in {
	struct ctl_session session;
	struct app *app;
	struct node_import *im;
	struct event *go;
	struct ctl_req *r; /* being answered; NULL */
	const uint8_t *p;
	size_t left;
	uint64_t bytes;
	bool last; /* the piece is */
	bool ended;
};

static void
in_free(struct in *u)
{
	node_import_free(u->im);
	app_touch(u->app); /* links take over again */
	if (u->go != NULL)
		event_free(u->go);
	free(u);
}

/* The connection is gone; what was taken stays. */
static void
in_end(struct ctl_session *s)
{
	in_free(NRS_CONTAINER(s, struct in, session));
}

static void
in_gone(struct ctl_req *r)
{
	struct in *u = r->priv;

	u->r = NULL;
	ctl_ok(r, NULL);
}

static struct ctl_req *
in_answer(struct in *u)
{
	struct ctl_req *r = u->r;

	u->r = NULL;
	r->gone = NULL;
	return r;
}

static json_t *
codes_json(const struct node_import_origin *o)
{
	json_t *j = json_object();

	for (unsigned int i = 0; i < 128; i++)
		if (o->codes[i] > 0)
			json_object_set_new(j, nrs_errname(nrs_err_from_wire(i)),
			    json_integer((json_int_t)o->codes[i]));
	return j;
}

static json_t *
origin_json(const struct node_import_origin *o)
{
	return json_pack("{s:s?, s:o, s:{s:I, s:I}, s:{s:I, s:I}, s:o}", "origin",
	    o->origin, "id", ctl_b64(&o->id), "leaves", "new", (json_int_t)o->leaves_new,
	    "known", (json_int_t)o->leaves_known, "records", "new",
	    (json_int_t)o->records_new, "known", (json_int_t)o->records_known, "refused",
	    codes_json(o));
}

static json_t *
result_json(const struct node_import_result *res)
{
	json_t *origins = json_array(), *gaps = json_array(), *refusals = json_array();
	const struct node_import_refusal *f;

	for (unsigned int i = 0; i < res->norigins; i++) {
		const struct node_import_origin *o = &res->origins[i];

		json_array_append_new(origins, origin_json(o));
		if (o->begins > 0)
			json_array_append_new(gaps,
			    json_pack("{s:s?, s:I, s:I}", "origin", o->origin, "held",
				(json_int_t)o->held, "begins", (json_int_t)o->begins));
	}
	for (unsigned int i = 0; i < res->nrefusals; i++) {
		f = &res->refusals[i];
		json_array_append_new(refusals,
		    json_pack("{s:s?, s:o, s:s, s:s}", "origin", f->origin, "index",
			f->index == NRS_NONE ? json_null()
					     : json_integer((json_int_t)f->index),
			"code", nrs_errname(f->err), "text", f->text));
	}
	return json_pack("{s:s, s:I, s:I, s:b, s:s?, s:I, s:o, s:I, s:o, s:o}", "source",
	    res->source, "from", (json_int_t)res->from, "to", (json_int_t)res->to, "whole",
	    res->whole, "damage", res->damage, "statements", (json_int_t)res->statements,
	    "origins", origins, "refused", (json_int_t)res->refused, "refusals", refusals,
	    "gaps", gaps);
}

static void
in_result(struct in *u)
{
	struct ctl_req *r = in_answer(u);
	struct node_import_result res;
	uint64_t taken = 0;
	json_t *j;

	node_import_result(u->im, &res);
	for (unsigned int i = 0; i < res.norigins; i++)
		taken += res.origins[i].records_new;
	log_notice("control",
	    "%" PRIu64 " records taken from a file of %s, by %s; %" PRIu64 " refused%s",
	    taken, res.source[0] != '\0' ? res.source : "an unknown node", r->who,
	    res.refused, res.whole ? "" : "; it is not whole");
	j = result_json(&res);
	ctl_session_set(r, NULL);
	in_free(u);
	ctl_ok(r, j);
}

static void
in_failed(struct in *u, int rc, const struct nrs_detail *d)
{
	struct ctl_req *r = in_answer(u);

	ctl_session_set(r, NULL);
	in_free(u);
	ctl_fail_rc(r, rc, "the file cannot be taken in", d,
	    rc == NRS_EUNKNOWN	       ? "make it a peer first: noroshi peer accept"
		: rc == NRS_ESUSPENDED ? "noroshi peer resume, if it may be believed again"
		: rc == NRS_EORIGIN    ? "give it to the node for which it was written"
		: rc == NRS_EFULL ? "make room, and import it again: what was taken stays"
				  : NULL);
}

static void
in_proceed(struct in *u)
{
	struct node_import_result res;
	struct nrs_detail d = { 0 };
	int rc = 0;

	if (!u->ended)
		rc = node_import_feed(u->im, &u->p, &u->left, &d);
	app_touch(u->app);
	if (rc < 0) {
		in_failed(u, rc, &d);
		return;
	}
	if (rc == 1)
		return; /* it will be woken */
	if (!u->last) {
		ctl_ok(in_answer(u), json_pack("{s:I}", "bytes", (json_int_t)u->bytes));
		return;
	}
	if (!u->ended) {
		u->ended = true;
		node_import_end(u->im);
		return;
	}
	node_import_result(u->im, &res);
	if (res.done)
		in_result(u);
}

static void
in_go(evutil_socket_t fd, short what, void *arg)
{
	struct in *u = arg;

	if (u->r != NULL)
		in_proceed(u);
}

/* From inside the engine: not now. */
static void
in_wake(void *arg)
{
	struct in *u = arg;

	event_active(u->go, EV_TIMEOUT, 0);
}

static struct in *
in_new(struct ctl_req *r)
{
	struct in *u = calloc(1, sizeof(*u));
	int rc = NRS_ENOMEM;

	if (u != NULL) {
		u->app = r->app;
		u->session.end = in_end;
		u->go = event_new(r->app->base, -1, 0, in_go, u);
	}
	if (u != NULL && u->go != NULL)
		rc = node_import_open(r->app->node, in_wake, u, &u->im);
	if (rc == 0) {
		ctl_session_set(r, &u->session);
		return u;
	}
	if (u != NULL && u->go != NULL)
		event_free(u->go);
	free(u);
	ctl_fail_rc(r, rc, "the file cannot be taken in", NULL,
	    rc == NRS_EBUSY ? "another import is under way: try again when it is done"
			    : NULL);
	return NULL;
}

void
ctl_records_import(struct ctl_req *r)
{
	struct ctl_session *s = ctl_session(r);
	struct in *u = s != NULL ? NRS_CONTAINER(s, struct in, session) : in_new(r);

	if (u == NULL)
		return;
	u->r = r;
	u->p = r->body;
	u->left = r->body_len;
	u->bytes += r->body_len;
	u->last = ctl_bool(r, "end");
	r->priv = u;
	r->gone = in_gone;
	in_proceed(u);
}
