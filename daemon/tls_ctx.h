/* What every TLS server and client of the daemon has in common: 1.3, and this node's key. */
#ifndef DAEMON_TLS_CTX_H
#define DAEMON_TLS_CTX_H

#include <noroshi/err.h>

struct app;
struct ssl_ctx_st;

/*
 * TLS 1.3 only, nothing resumed, a certificate wanted from the other side, and
 * app->tls_pem as the key, which must be one of the own manifest.  The caller
 * sets ALPN and the verification.  *ret is made even on failure, or NULL.
 */
int tls_ctx_new(
    struct app *app, struct ssl_ctx_st **ret, struct nrs_detail *d) NRS_MUST_CHECK;

#endif
