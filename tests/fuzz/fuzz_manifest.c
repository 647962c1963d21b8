/*
 * Any bytes as the text of a manifest, and as an address: what is accepted is
 * written again to the same bytes.
 */
#include "base/buf.h"
#include "base/text.h"
#include "record/manifest.h"
#include "tests/fuzz/fuzz.h"

static int
any_verify(uint8_t alg, const uint8_t *pub, size_t pub_len, const uint8_t *msg,
    size_t msg_len, const uint8_t *sig, size_t sig_len)
{
	return 0;
}

static void
fuzz_addr(const uint8_t *p, size_t len)
{
	char host[NRS_ORIGIN_MAX + 1], again[NRS_ORIGIN_MAX + 16];
	uint16_t port = 0;
	int n;

	if (nrs_addr_parse((const char *)p, len, host, &port) != 0)
		return;
	FUZZ_CHECK(port != 0);
	n = snprintf(
	    again, sizeof(again), strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
	FUZZ_CHECK((size_t)n == len && memcmp(again, p, len) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	struct nrs_manifest m, opened;
	struct nrs_detail d = { 0 };
	struct nrs_buf b;
	unsigned int i;
	int rc;

	fuzz_addr(p, len);
	rc = nrs_manifest_parse(&m, p, len, &d);
	FUZZ_DETAIL(rc, &d);
	nrs_buf_init(&b, len + 1);
	if (rc == 0) {
		rc = nrs_manifest_format(&b, &m);
		FUZZ_CHECK(rc == 0);
		FUZZ_SAME(&b, p, len);
		FUZZ_CHECK(m.ntls >= 1 && m.ntls <= 2 && m.naddr <= NRS_ADDRS_MAX);
		FUZZ_CHECK(nrs_origin_ok(m.origin, strlen(m.origin)));
		for (i = 0; i < m.naddr; i++)
			fuzz_addr((const uint8_t *)m.addr[i], strlen(m.addr[i]));
	}
	nrs_buf_fini(&b);
	if (nrs_manifest_open(&opened, p, len, NULL, any_verify, NULL) == 0)
		FUZZ_CHECK(opened.number == 0);
	return 0;
}
