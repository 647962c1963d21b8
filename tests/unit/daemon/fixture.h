/* A directory of a test's own, with manifests and keys made from fixed seeds. */
#ifndef TESTS_UNIT_DAEMON_FIXTURE_H
#define TESTS_UNIT_DAEMON_FIXTURE_H

#include "record/manifest.h"

/* Makes it; the path stays in dir. */
void fixture_dir(char dir[64]);
void fixture_remove(const char *dir);
void fixture_write(const char *dir, const char *name, const void *p, size_t len, int mode);
/* Manifest 0 of an origin whose keys come from seed; note into dir/name when name is given. */
void fixture_manifest(const char *origin, uint8_t seed, const char *dir, const char *name,
    struct nrs_manifest *ret);
/* feed.pem log.pem witness.pem tls.pem kek of the same seed. */
void fixture_keys(const char *dir, uint8_t seed);
/* The key of a role: 0 root 1 next root 2 feed 3 log 4 witness 5 tls. */
struct nrs_seckey *fixture_key(uint8_t seed, unsigned int role);

#endif
