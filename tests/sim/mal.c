#include "sim.h"
struct mal *
mal_new(struct sim *s)
{
	return NULL;
}
void
mal_free(struct mal *m)
{
}
const char *
mal_name(void)
{
	return "mal.cert.example";
}
const struct nrs_buf *
mal_manifest(const struct mal *m)
{
	return NULL;
}
const struct nrs_hash *
mal_pin(const struct mal *m)
{
	return NULL;
}
void
mal_connected(struct mal *m, nrs_conn c, unsigned int with)
{
}
void
mal_data(struct mal *m, nrs_conn c, const uint8_t *p, size_t len)
{
}
void
mal_closed(struct mal *m, nrs_conn c)
{
}
const char *
mal_in_sync(struct mal *m, struct snode *n)
{
	return NULL;
}
void
mal_check_end(struct mal *m, struct snode *n)
{
}
struct origin;
const char *sync_source(const struct origin *o);
__attribute__((weak)) const char *
sync_source(const struct origin *o)
{
	return NULL;
}
