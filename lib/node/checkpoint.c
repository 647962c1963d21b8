/*
 * Checkpoints of our own log.  A size is signed only when its leaves are
 * durable and have been read back: the tree that is signed is built from the
 * frames on the disk, by a second path, and must agree leaf by leaf with the one
 * in memory.  A flipped bit is found before it is signed, not after.
 *
 * Once signed it is shown: the keeper remembers size and root durably before
 * it answers, and signatures are deterministic.  Its frame follows with the next
 * batch; if the power fails before, opening signs the same bytes again
 * (docs/FORMAT-journal.md, section 3).
 */
#include "node/checkpoint.h"

#include <stdlib.h>
#include <string.h>

#include "node/ledger.h"

#define VERIFY_ENTRIES 1024 /* read back in one turn */
#define VERIFY_BYTES   (16u << 20)
#define RETRY_NS       UINT64_C(1000000000)

struct checkpointer {
	struct nrs_frontier read; /* of what was read back */
	uint64_t goal;		  /* size to be signed next; 0: none */
	struct nrs_buf buf;
	struct nrs_sign sign;
	bool signing;
	struct nrs_mono retry_at; /* ns 0: not waiting */
	struct nrs_checkpoint cp;
	struct nrs_buf text;
	uint8_t sig[NRS_ED25519_SIG];
};

void
checkpoint_fini(struct node *n)
{
	if (n->checkpointer == NULL)
		return;
	nrs_buf_fini(&n->checkpointer->buf);
	nrs_buf_fini(&n->checkpointer->text);
	free(n->checkpointer);
	n->checkpointer = NULL;
}

bool
checkpoint_idle(const struct node *n)
{
	return !n->checkpointer->signing && n->own->shown.size == n->own->put.size;
}

int
checkpoint_init(struct node *n)
{
	struct checkpointer *k = calloc(1, sizeof(*k));

	if (k == NULL)
		return NRS_ENOMEM;
	nrs_buf_init(&k->buf, NRS_JFRAME_MAX + 64);
	nrs_buf_init(&k->text, NRS_NOTE_MAX);
	n->checkpointer = k;
	return nrs_frontier_load(n->dg, &n->own->store, n->own->cp.size, &k->read);
}

/* --- signing --------------------------------------------------------------- */

static int
put_checkpoint(struct node *n, struct checkpointer *k)
{
	const struct nrs_manifest *m = origin_manifest_for_size(n->own, k->cp.size);
	struct nrs_str parts[2];
	int err;

	nrs_buf_reset(&k->text);
	err = nrs_checkpoint_note(&k->text, &k->cp, &m->log, k->sig);
	if (err != 0)
		return err;
	parts[0] = (struct nrs_str){ n->id.b, sizeof(n->id.b) };
	parts[1] = (struct nrs_str){ k->text.p, k->text.len };
	err = nrs_journal_put(n->journal, NRS_J_CHECKPOINT, 0, parts, 2, NULL);
	if (err == 0)
		err = origin_apply_checkpoint(n->own, k->text.p, k->text.len);
	return err;
}

/*
 * What came back from the keeper.  Peers that are shown a signature which is none
 * would take us for a log that lies, and freeze it.
 */
static int
check_signed(struct node *n, const struct checkpointer *k)
{
	const struct nrs_manifest *m = origin_manifest_for_size(n->own, k->cp.size);

	if (k->sign.out_len != sizeof(k->sig))
		return NRS_EINTERNAL;
	return n->env->ops->verify(m->log.alg, m->log.pub, sizeof(m->log.pub), k->sign.in,
	    k->sign.in_len, k->sig, sizeof(k->sig));
}

static void
on_signed(struct nrs_sign *sign)
{
	struct node *n = sign->arg;
	struct checkpointer *k = n->checkpointer;
	int err = sign->rc;

	k->signing = false;
	if (err == 0)
		err = check_signed(n, k);
	if (err != 0) {
		node_log(n, NRS_LOG_ERROR, "keeper",
		    "does not sign the checkpoint of %llu: %s",
		    (unsigned long long)k->cp.size, nrs_strerror(err));
		k->retry_at = n->env->ops->mono(n->env);
		k->retry_at.ns += RETRY_NS;
		node_wake_at(n, k->retry_at);
		return;
	}
	err = put_checkpoint(n, k);
	if (err == 0)
		err = ledger_show_own(n);
	if (err != 0)
		node_fail(n, "own log: checkpoint cannot be kept: %s", nrs_strerror(err));
	node_put_done(n);
}

/* What the keeper is asked: a checkpoint of what was read back. */
static int
request(struct node *n, struct checkpointer *k)
{
	int err;

	memcpy(k->cp.origin, n->name, sizeof(k->cp.origin));
	k->cp.size = k->read.size;
	err = nrs_frontier_root(n->dg, &k->read, &k->cp.root);
	nrs_buf_reset(&k->text);
	if (err == 0)
		err = nrs_checkpoint_format(&k->text, &k->cp);
	k->sign = (struct nrs_sign){
		.what = NRS_SIGN_CHECKPOINT,
		.in = k->text.p,
		.in_len = k->text.len,
		.out = k->sig,
		.out_len = sizeof(k->sig),
		.done = on_signed,
		.arg = n,
	};
	return err;
}

static void
sign(struct node *n, struct checkpointer *k)
{
	int err = request(n, k);

	if (err != 0) {
		node_fail(n, "own log: checkpoint: %s", nrs_strerror(err));
		return;
	}
	k->signing = true;
	n->env->ops->sign(n->env, &k->sign);
}

/* --- reading back ------------------------------------------------------------ */

static int
leaf_of(struct node *n, const struct nrs_jframe *f, uint64_t index, struct nrs_hash *ret)
{
	struct nrs_jrecord_view v;
	struct nrs_hash c;
	int err;

	if (f->type == NRS_J_CONTROL && f->body.len >= 40)
		return nrs_leaf_control(n->dg, f->body.p + 40, f->body.len - 40, ret);
	if (f->type != NRS_J_RECORD)
		return NRS_ETYPE;
	err = nrs_jrecord_decode(&v, f);
	if (err == 0 && v.index != index)
		err = NRS_EORDER;
	if (err == 0)
		err = nrs_record_commit(n->dg, v.header, v.sigs.p, v.sigs.len, &c);
	return err != 0 ? err : nrs_leaf_sealed(n->dg, &c, ret);
}

static int
read_back(struct node *n, struct checkpointer *k, size_t *ret_bytes)
{
	struct nrs_hash leaf, held;
	struct nrs_jframe f;
	uint64_t pos;
	int err;

	err = origin_pos(n->own, k->read.size, &pos);
	if (err == 0)
		err = nrs_journal_read(n->journal, pos, &k->buf, &f);
	if (err == 0)
		err = leaf_of(n, &f, k->read.size, &leaf);
	if (err == 0)
		err = origin_leaf(n->own, k->read.size, &held);
	if (err == 0 && !nrs_hash_eq(&leaf, &held))
		err = NRS_ELEAF;
	if (err == 0)
		err = nrs_frontier_append(n->dg, &k->read, &leaf, NULL, NULL);
	if (err == 0)
		*ret_bytes += f.body.len;
	return err;
}

/*
 * The keeper signed a size, and its frame was lost with the power: it may have
 * been shown.  It is signed again, by the same path, before anything else; a
 * log that is not the one that was signed is found here.
 */
int
checkpoint_recover(struct node *n, uint64_t size)
{
	struct checkpointer *k = n->checkpointer;
	size_t bytes = 0;
	int err = 0;

	if (size <= n->own->cp.size || NRS_PLANTED(NO_SIGN_AGAIN))
		return 0;
	while (err == 0 && k->read.size < size)
		err = read_back(n, k, &bytes);
	if (err == 0)
		err = request(n, k);
	if (err == 0)
		err = n->env->ops->sign_run(n->env, &k->sign);
	if (err == 0)
		err = check_signed(n, k);
	if (err == 0)
		err = put_checkpoint(n, k);
	if (err == 0)
		err = ledger_show_own(n);
	if (err != 0)
		node_log(n, NRS_LOG_ERROR, "own log",
		    "what was signed at %llu entries cannot be signed again: %s",
		    (unsigned long long)size, nrs_strerror(err));
	node_put_done(n);
	return err;
}

void
checkpoint_turn(struct node *n)
{
	struct checkpointer *k = n->checkpointer;
	size_t bytes = 0;
	int err = 0;

	if (k->signing || n->failed || k->retry_at.ns != 0)
		return;
	if (NRS_PLANTED(SIGN_BEFORE_SYNC)) {
		k->read = n->own->put;
		if (k->read.size > n->own->cp.size)
			sign(n, k);
		return;
	}
	/*
	 * The goal stands until it is reached: a size between would be smaller than
	 * one the keeper may have signed before a crash.
	 */
	if (k->goal <= n->own->cp.size)
		k->goal = n->own->durable;
	if (k->goal <= n->own->cp.size)
		return;
	for (unsigned int i = 0; err == 0 && i < VERIFY_ENTRIES && bytes < VERIFY_BYTES &&
	     k->read.size < k->goal;
	     i++)
		err = read_back(n, k, &bytes);
	if (err != 0)
		node_fail(n, "own log: entry %llu reads back differently: %s",
		    (unsigned long long)k->read.size, nrs_strerror(err));
	else if (k->read.size == k->goal)
		sign(n, k);
	else
		node_wake_at(n, n->env->ops->mono(n->env));
}

void
checkpoint_on_timer(struct node *n)
{
	struct checkpointer *k = n->checkpointer;

	if (k->retry_at.ns == 0)
		return;
	if (n->env->ops->mono(n->env).ns >= k->retry_at.ns)
		k->retry_at.ns = 0; /* the turn that follows tries again */
	else
		node_wake_at(n, k->retry_at);
}
