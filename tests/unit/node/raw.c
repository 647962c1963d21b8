/* Records and control documents put into a node's own log behind its back. */
#include "tests/unit/node/raw.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/key.h"

enum { KEY_FEED = 1 }; /* as pair.c makes them */

static void
make_header(
    struct node *n, struct raw_record *l, const struct audience *a, const uint8_t *salt)
{
	struct nrs_header h = { .kind = l->kind,
		.tlp = l->tlp,
		.flags = NRS_ONWARD_MEMBERS << NRS_FLAG_ONWARD_SHIFT,
		.seq = a->next,
		.prev = a->head,
		.epoch = community_epoch(a->community),
		.audience = a->id,
		.origin = n->id,
		.ref_index = NRS_NONE,
		.payload_len = strlen(l->payload) };

	h.created = n->env->ops->wall(n->env);
	h.uuid[6] = 0x40;
	h.uuid[8] = 0x80;
	assert_int_equal(nrs_payload_commit(n->dg, salt, l->payload, strlen(l->payload),
			     &h.payload_commit),
	    0);
	nrs_header_encode(&h, l->header);
	l->header[4] = l->version;
	if (l->wild) {
		l->header[7] |= 0xf0;
		memset(l->header + 36, 0xa5, 4);
		memset(l->header + 176, 0x5a, 56);
	}
}

void
raw_publish(struct world *w, unsigned int i, struct raw_record *l)
{
	struct node *n = w->v[i].n;
	struct community *c = community_find_name(n, "iwwn");
	uint8_t pae[NRS_PAE_MAX], sig[64], salt[NRS_SALT_LEN];
	struct nrs_jrecord r = {
		.header = l->header, .salt = salt, .flags = NRS_JRECORD_RAW
	};
	struct nrs_header h;
	struct audience *a;
	struct nrs_hash leaf;
	struct nrs_buf sigs;
	uint64_t pos;

	assert_int_equal(audience_add(n->own, &c->id, AUD_COMMUNITY, &a), 0);
	memset(salt, 0x33, sizeof(salt));
	make_header(n, l, a, salt);
	assert_int_equal(nrs_seckey_sign(w->v[i].sec[KEY_FEED], pae,
			     nrs_header_pae(l->header, pae), sig),
	    0);
	nrs_buf_init(&sigs, sizeof(l->sigs));
	nrs_sigs_encode1(&sigs, w->v[i].pub[KEY_FEED].id, sig);
	memcpy(l->sigs, sigs.p, sizeof(l->sigs));
	nrs_buf_fini(&sigs);
	l->index = r.index = n->own->put.size;
	r.sigs = (struct nrs_str){ l->sigs, sizeof(l->sigs) };
	r.data = (struct nrs_str){ (const uint8_t *)l->payload, strlen(l->payload) };
	assert_int_equal(
	    nrs_record_commit(n->dg, l->header, l->sigs, sizeof(l->sigs), &r.c), 0);
	assert_int_equal(nrs_leaf_sealed(n->dg, &r.c, &leaf), 0);
	assert_int_equal(nrs_header_decode(&h, l->header, sizeof(l->header), NULL), 0);
	assert_int_equal(nrs_journal_put_record(n->journal, &r, &pos), 0);
	assert_int_equal(origin_apply_leaf(n->own, &leaf, pos), 0);
	assert_int_equal(audience_apply_record(a, &h, l->header, r.index, pos, false), 0);
	node_put_done(n);
	node_turn(n);
}

void
raw_control(struct world *w, unsigned int i, const void *doc, size_t len)
{
	struct node *n = w->v[i].n;
	uint8_t index[8];
	struct nrs_str parts[3] = { { n->id.b, sizeof(n->id.b) }, { index, sizeof(index) },
		{ doc, len } };
	uint64_t pos;

	nrs_put_u64(index, n->own->put.size);
	assert_int_equal(nrs_journal_put(n->journal, NRS_J_CONTROL, 0, parts, 3, &pos), 0);
	assert_int_equal(
	    origin_apply_control(n->own, n->own->put.size, parts[2].p, parts[2].len, pos),
	    0);
	node_put_done(n);
	node_turn(n);
}
