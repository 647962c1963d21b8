/*
 * Bundles on their way to the daemon.  Each answer stands for a commit on the
 * daemon's disk, so a few connections wait for theirs at the same time and the
 * daemon makes one commit of them.
 */
#include "tools/noroshi/submit.h"

#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

#include "base/text.h"
#include "tools/noroshi/answer.h"
#include "tools/noroshi/ctl.h"

#define CONNECTIONS 4

/* --- bundles ----------------------------------------------------------- */

struct bundle *
bundle_new(enum nrs_tlp tlp)
{
	struct bundle *b = cli_alloc(sizeof(*b));

	b->tlp = tlp;
	nrs_buf_init(&b->own, 2 * NRS_PAYLOAD_MAX);
	return b;
}

void
bundle_free(struct bundle *b)
{
	if (b == NULL)
		return;
	nrs_buf_fini(&b->own);
	free(b->v);
	free(b);
}

void
bundle_add(struct bundle *b, size_t off, size_t len)
{
	if (b->n == b->cap) {
		b->cap = b->cap > 0 ? 2 * b->cap : 64;
		b->v = cli_realloc(b->v, b->cap * sizeof(*b->v));
	}
	b->v[b->n++] = (struct item){ off, len };
}

unsigned int
bundle_drop(struct bundle *b, const json_t *positions)
{
	unsigned int kept = 0, dropped;
	json_int_t at;
	json_t *v;
	size_t i;

	json_array_foreach(positions, i, v) {
		at = json_integer_value(v);
		if (json_is_integer(v) && at >= 0 && at < (json_int_t)b->n)
			b->v[at].len = 0;
	}
	for (i = 0; i < b->n; i++)
		if (b->v[i].len > 0)
			b->v[kept++] = b->v[i];
	dropped = b->n - kept;
	b->n = kept;
	if (dropped > 0)
		b->exact = false;
	return dropped;
}

int
bundle_format(const struct bundle *b, struct nrs_buf *buf)
{
	uuid_t uuid;
	char text[37];

	if (b->exact) {
		nrs_buf_put(buf, b->own.p, b->own.len);
		return buf->err;
	}
	uuid_generate_random(uuid);
	nrs_uuid_format(text, uuid);
	nrs_buf_fmt(buf, "{\"type\":\"bundle\",\"id\":\"bundle--%s\",\"objects\":[", text);
	for (unsigned int i = 0; i < b->n; i++) {
		if (i > 0)
			nrs_buf_u8(buf, ',');
		nrs_buf_put(buf, b->own.p + b->v[i].off, b->v[i].len);
	}
	nrs_buf_str(buf, "]}");
	return buf->err;
}

/* --- sending ----------------------------------------------------------- */

struct slot {
	struct ctl *ctl;
	struct bundle *b; /* on its way */
};

struct sender {
	struct submit *s;
	struct slot slots[CONNECTIONS];
	unsigned int next;
	struct nrs_buf payload;
	int refusal;
	char told[256]; /* the refusal shown last: a thousand alike are one */
};

struct sender *
sender_new(struct submit *s)
{
	struct sender *x = cli_alloc(sizeof(*x));

	x->s = s;
	nrs_buf_init(&x->payload, NRS_PAYLOAD_MAX);
	return x;
}

static void
slot_close(struct slot *slot)
{
	ctl_close(slot->ctl);
	slot->ctl = NULL;
}

void
sender_free(struct sender *x)
{
	if (x == NULL)
		return;
	for (unsigned int i = 0; i < CONNECTIONS; i++) {
		slot_close(&x->slots[i]);
		bundle_free(x->slots[i].b);
	}
	nrs_buf_fini(&x->payload);
	free(x);
}

static json_t *
request(const struct submit *s, enum nrs_tlp tlp)
{
	json_t *req = json_pack("{s:s,s:s,s:b}", "cmd", "submit", "tlp", nrs_tlp_name(tlp),
	    "urgent", s->urgent);
	int rc = req == NULL ? -1 : 0;

	if (rc == 0 && s->community != NULL)
		rc = json_object_set_new(req, "community", json_string(s->community));
	else if (rc == 0)
		rc = json_object_set(req, "to", s->to);
	if (rc == 0 && s->expires_ms != 0)
		rc = json_object_set_new(
		    req, "expires_ms", json_integer((json_int_t)s->expires_ms));
	if (rc == 0 && s->dry)
		rc = json_object_set_new(req, "dry_run", json_true());
	if (rc != 0)
		cli_oom();
	return req;
}

static int
slot_send(struct sender *x, struct slot *slot)
{
	int rc;

	if (slot->ctl == NULL && (rc = ctl_open(x->s->c, &slot->ctl)) != 0)
		return rc;
	nrs_buf_reset(&x->payload);
	if ((rc = bundle_format(slot->b, &x->payload)) == NRS_ENOMEM)
		cli_oom();
	if (rc != 0)
		return cli_fail(x->s->c, CLI_DATA, nrs_errname(rc), nrs_strerror(rc),
		    "A smaller --batch makes smaller bundles.", "a bundle is too large");
	return ctl_send(
	    slot->ctl, request(x->s, slot->b->tlp), x->payload.p, x->payload.len);
}

/* Refused for what it is: the others may still go. Anything else ends the run. */
static int
take_error(struct sender *x, struct slot *slot, const json_t *error)
{
	json_int_t exit = json_integer_value(json_object_get(error, "exit"));
	char text[256];
	int rc = 0;

	snprintf(
	    text, sizeof(text), "%s %s", ans_text(error, "code"), ans_text(error, "why"));
	if (exit != CLI_DATA && exit != CLI_PERM)
		return ctl_tell(x->s->c, error);
	if (strcmp(text, x->told) != 0 && !x->s->silent) {
		progress_end(&x->s->progress);
		rc = ctl_tell(x->s->c, error);
		strcpy(x->told, text);
	}
	if (rc > x->refusal || x->refusal == 0)
		x->refusal = (int)exit;
	x->s->t.refused += slot->b->n;
	slot_close(slot);
	return 0;
}

static void
take_done(struct sender *x, const struct slot *slot, json_t *a)
{
	struct submit *s = x->s;
	json_t *r = json_object_get(a, "recipients");

	s->t.sent += slot->b->n;
	s->t.records++;
	if (s->dry) {
		if (s->recipients == NULL && r != NULL)
			s->recipients = json_incref(r);
		return;
	}
	if (s->c->form == CLI_JSON)
		ans_print(a);
	else
		printf("%s\n", ans_text(a, "id"));
}

/* Waits for the answer of what is on its way here; sends what is left of it again. */
static int
settle(struct sender *x, struct slot *slot)
{
	struct ctl_answer a;
	unsigned int known;
	int rc = 0;

	while (slot->b != NULL) {
		if ((rc = ctl_recv(slot->ctl, &a)) != 0)
			return rc;
		known = a.error != NULL
		    ? 0
		    : bundle_drop(slot->b, json_object_get(a.json, "known"));
		x->s->t.known += known;
		if (a.error != NULL)
			rc = take_error(x, slot, a.error);
		else if (known == 0)
			take_done(x, slot, a.json);
		else if (slot->b->n > 0)
			rc = slot_send(x, slot);
		ctl_answer_fini(&a);
		if (rc != 0)
			return rc;
		if (known == 0 || slot->b->n == 0) {
			bundle_free(slot->b);
			slot->b = NULL;
		}
	}
	return 0;
}

int
sender_put(struct sender *x, struct bundle *b)
{
	struct slot *slot = &x->slots[x->next];
	struct submit *s = x->s;
	int rc;

	x->next = (x->next + 1) % CONNECTIONS;
	if ((rc = settle(x, slot)) != 0) {
		bundle_free(b);
		return rc;
	}
	slot->b = b;
	progress_at(&s->progress, s->t.sent + s->t.known,
	    s->bytes_all > 0 ? (double)s->bytes_done / (double)s->bytes_all : -1);
	return slot_send(x, slot);
}

int
sender_finish(struct sender *x)
{
	int rc = 0, one;

	for (unsigned int i = 0; i < CONNECTIONS; i++) {
		one = settle(x, &x->slots[(x->next + i) % CONNECTIONS]);
		rc = rc != 0 ? rc : one;
	}
	return rc != 0 ? rc : x->refusal;
}

int
submit_flush(struct submit *s)
{
	struct bundle *b;
	int rc = 0;

	for (int tlp = 0; tlp < NRS_TLP__MAX; tlp++) {
		if ((b = s->open[tlp]) == NULL)
			continue;
		s->open[tlp] = NULL;
		if (rc == 0)
			rc = sender_put(s->sender, b);
		else
			bundle_free(b);
	}
	return rc;
}
