/*
 * The keeper: the process that holds the private keys (feed, log, witness) and
 * the journal's key-encryption key, and signs only what an honest engine could
 * ask.  keeper.c is that process, keeper_client.c the daemon's end of the
 * socket between them, keeper_proto.h what they say.
 */
#ifndef DAEMON_KEEPER_H
#define DAEMON_KEEPER_H

#include <sys/types.h>

#include <noroshi/env.h>
#include <noroshi/err.h>

struct event_base;
struct keeper;
struct nrs_manifest;

/* --- the daemon's end --------------------------------------------------- */

/*
 * Forks the keeper; before any thread is made.  Reads the keys in the
 * directory, which must be those of the manifest; d says what does not fit.
 * Returns in the daemon only: the child never comes back.
 */
int keeper_start(const char *keys_dir, const struct nrs_manifest *m, struct keeper **ret,
    struct nrs_detail *d) NRS_MUST_CHECK;
/*
 * From now on completions come through the loop; answered(arg) follows each
 * handful of them, died(arg) is called once if the keeper goes away.
 */
int keeper_attach(struct keeper *k, struct event_base *base, void (*answered)(void *arg),
    void (*died)(void *arg, const char *why), void *arg) NRS_MUST_CHECK;
/* Size of the own log that was signed last, durably; 0: none. */
int keeper_signed_size(struct keeper *k, uint64_t *ret_size) NRS_MUST_CHECK;
/* As env->sign and env->sign_run. */
void keeper_sign(struct keeper *k, struct nrs_sign *s);
int keeper_sign_run(struct keeper *k, struct nrs_sign *s) NRS_MUST_CHECK;
/* Closes the socket, which ends the child, and waits for it. Accepts NULL. */
void keeper_free(struct keeper *k);

/* --- the process itself, for keeper_start() and its test ----------------- */

struct keeper_keys;
int keeper_keys_load(const char *dir, const struct nrs_manifest *m,
    struct keeper_keys **ret, struct nrs_detail *d) NRS_MUST_CHECK;
void keeper_keys_free(struct keeper_keys *k); /* wipes */
/*
 * Uses every algorithm once: the library sets itself up at the first use, by
 * means that the sandbox does not have.
 */
void keeper_keys_warm_up(struct keeper_keys *k);
/* Serves fd until it is closed; 0 then. Takes nothing. */
int keeper_serve(struct keeper_keys *k, int fd);

#endif
