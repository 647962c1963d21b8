/*
 * The generator decides what a phishing list looks like: campaigns that last
 * for some values, each with a brand, a style of hosts and a style of paths;
 * lengths and shares were fitted to the public lists of JPCERT/CC.
 *
 * Every value carries seven letters that are a permutation of its number, so
 * no two are the same, and nobody can compress them below their entropy.
 */
#include "tools/noroshi-bench/gen.h"

#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>
#include <zstd.h>

#include "import/indicator.h"
#include "tools/noroshi-bench/bench.h"

#define LETTERS	  7
#define SPACE	  8031810176ull /* 26^LETTERS */
#define STRIDE	  5003240521ull /* coprime to it: a walk through all of it */
#define SLICES	  29u		/* seeds that share no value */
#define CAMPAIGNS 24
#define T0	  1735689600000ull /* 2025-01-01 */

/* What a campaign's hosts and paths are made of. */
struct campaign {
	unsigned int brand, tld;
	unsigned int left; /* values until it ends */
	unsigned int host; /* style */
	unsigned int path;
	char domain[16]; /* shared by all its hosts, in some styles */
	char word[16];
};

struct gen {
	uint64_t rng[2];
	uint64_t next; /* number of the next value */
	uint64_t base;
	uint64_t ms;
	char *origin;
	uint8_t uuid[16];
	unsigned int brand; /* of the value made last */
	unsigned int now;   /* the campaign that goes on */
	struct campaign c[CAMPAIGNS];
	struct nrs_buf value;
};

/* Brands are made up; their lengths and scripts are those of real ones. */
static const char *const brands[] = { "三星住連カード", "JNバンク", "JDB", "SPI証券",
	"マナックス証券", "クレジットセンター", "UD Card", "Apfel ID", "大河証券",
	"メルカロ", "えきなび", "Amazonas", "ヤマネコ運輸", "Vpath",
	"JPMorton Cheese & Co.", "Oriko", "TS CUBE CARD_MY TS9", "av", "いずみ銀行",
	"イオリカード", "楽園カード", "エポカカード", "Viewpass", "American Express",
	"BIGROBE", "松野井証券", "野村川證券", "国税局", "全国信用金庫連盟", "PayPoi",
	"佐川急送", "日本郵送" };
static const char *const tlds[] = { "com", "com", "com", "com", "com", "com", "cn", "cn",
	"cn", "cn", "cn", "org", "cfd", "top", "cc", "net", "shop", "xyz", "ru", "icu",
	"sbs", "love", "club", "tokyo" };
static const char *const words[] = { "login", "account", "mail", "signin", "update", "jp",
	"card", "index", "support", "secure", "auth", "verify", "web", "info", "pay",
	"member", "service", "co", "user", "online", "customer", "bank", "mypage",
	"security", "redirect", "home", "app", "portal", "id", "form", "smbs", "vpass",
	"select", "ja", "www", "screen", "check", "token", "session", "confirm" };

#define N(a) (sizeof(a) / sizeof((a)[0]))

/* xorshift128+: quick, and the same everywhere. */
static uint64_t
draw(struct gen *g)
{
	uint64_t a = g->rng[0], b = g->rng[1];

	g->rng[0] = b;
	a ^= a << 23;
	g->rng[1] = a ^ b ^ (a >> 17) ^ (b >> 26);
	return g->rng[1] + b;
}

static unsigned int
below(struct gen *g, unsigned int n)
{
	return (unsigned int)((draw(g) >> 32) % n);
}

static void
put_random(struct gen *g, const char *set, unsigned int nset, unsigned int n)
{
	while (n-- > 0)
		nrs_buf_u8(&g->value, (uint8_t)set[below(g, nset)]);
}

static void
put_letters(struct gen *g, unsigned int n)
{
	put_random(g, "abcdefghijklmnopqrstuvwxyz", 26, n);
}

static void
put_alnum(struct gen *g, unsigned int n)
{
	put_random(
	    g, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", 62, n);
}

static void
put_word(struct gen *g)
{
	nrs_buf_str(&g->value, words[below(g, N(words))]);
}

static void
put_unique(struct gen *g)
{
	uint64_t v = (uint64_t)((__uint128_t)(g->base + g->next++) * STRIDE % SPACE);

	for (unsigned int i = 0; i < LETTERS; i++, v /= 26)
		nrs_buf_u8(&g->value, (uint8_t)('a' + v % 26));
}

static void
make_name(struct gen *g, char *dst, unsigned int least, unsigned int most)
{
	unsigned int n = least + below(g, most - least + 1);

	for (unsigned int i = 0; i < n; i++)
		dst[i] = (char)('a' + below(g, 26));
	dst[n] = '\0';
}

static void
begin_campaign(struct gen *g, struct campaign *c)
{
	c->brand = below(g, N(brands));
	c->tld = below(g, N(tlds));
	c->host = below(g, 100);
	c->path = below(g, 100);
	c->left = 4 + below(g, 60);
	make_name(g, c->domain, 4, 9);
	make_name(g, c->word, 4, 9);
}

static void
put_host(struct gen *g, const struct campaign *c)
{
	if (c->host < 38) { /* a domain for each value */
		put_unique(g);
		if (c->host < 12)
			put_letters(g, below(g, 6));
	} else if (c->host < 58) { /* hosts below one domain */
		put_unique(g);
		nrs_buf_fmt(&g->value, ".%s", c->domain);
	} else if (c->host < 76) {
		nrs_buf_fmt(&g->value, "%s.", c->word);
		put_unique(g);
	} else if (c->host < 92) {
		nrs_buf_fmt(&g->value, "%s-%s", c->word, words[c->path % N(words)]);
		nrs_buf_u8(&g->value, '.');
		put_unique(g);
	} else {
		put_word(g);
		nrs_buf_u8(&g->value, '.');
		put_letters(g, 2 + below(g, 8));
		nrs_buf_u8(&g->value, '.');
		put_unique(g);
	}
	nrs_buf_fmt(&g->value, ".%s", tlds[c->tld]);
}

static void
put_path(struct gen *g, const struct campaign *c)
{
	if (c->path < 8)
		return;
	nrs_buf_u8(&g->value, '/');
	if (c->path < 28)
		return;
	if (c->path < 52) {
		put_letters(g, 5 + below(g, 6));
	} else if (c->path < 70) {
		put_word(g);
		nrs_buf_u8(&g->value, '/');
	} else if (c->path < 82) {
		nrs_buf_fmt(&g->value, "%s/", c->word);
		put_word(g);
		nrs_buf_u8(&g->value, '/');
	} else if (c->path < 92) {
		nrs_buf_fmt(&g->value, "%s/?%s=", c->word, words[c->brand % N(words)]);
		put_alnum(g, 6 + below(g, 22));
	} else {
		put_word(g);
		nrs_buf_u8(&g->value, '/');
		put_word(g);
		nrs_buf_fmt(&g->value, "/%s/", c->word);
		put_alnum(g, 8 + below(g, below(g, 8) == 0 ? 160 : 30));
		nrs_buf_str(&g->value, ".php");
	}
}

/* The next value in g->value, and its time. */
static int
make_value(struct gen *g)
{
	struct campaign *c;

	/* A list is written campaign by campaign, more or less. */
	if (below(g, 4) == 0)
		g->now = below(g, CAMPAIGNS);
	c = &g->c[g->now];
	if (c->left-- == 0)
		begin_campaign(g, c);
	nrs_buf_reset(&g->value);
	nrs_buf_str(&g->value, below(g, 14) == 0 ? "http://" : "https://");
	put_host(g, c);
	put_path(g, c);
	g->brand = c->brand;
	if (below(g, 8) == 0)
		g->ms += 60000ull * (1 + below(g, 9));
	return g->value.err;
}

int
gen_new(uint64_t seed, const char *origin, struct gen **ret)
{
	struct gen *g = bench_alloc(sizeof(*g));

	/* Never both zero; neighbouring seeds are far apart. */
	g->rng[0] = (seed + 1) * 0x9e3779b97f4a7c15u;
	g->rng[1] = (seed ^ 0x6e6f726f736869u) * 0xbf58476d1ce4e5b9u | 1;
	for (int i = 0; i < 16; i++)
		(void)draw(g);
	g->base = (seed % SLICES) * (SPACE / SLICES);
	g->ms = T0 + seed % SLICES;
	g->origin = bench_fmt("%s", origin);
	nrs_buf_init(&g->value, 4096);
	for (unsigned int i = 0; i < CAMPAIGNS; i++)
		begin_campaign(g, &g->c[i]);
	*ret = g;
	return 0;
}

void
gen_free(struct gen *g)
{
	if (g == NULL)
		return;
	nrs_buf_fini(&g->value);
	free(g->origin);
	free(g);
}

static void
make_uuid(struct gen *g)
{
	for (unsigned int i = 0; i < 2; i++) {
		uint64_t v = draw(g);

		memcpy(g->uuid + 8 * i, &v, 8);
	}
	g->uuid[6] = (uint8_t)((g->uuid[6] & 0x0f) | 0x40);
	g->uuid[8] = (uint8_t)((g->uuid[8] & 0x3f) | 0x80);
}

static int
put_indicator(struct gen *g, struct nrs_buf *dst)
{
	struct nrs_indicator i = { .type = NRS_VALUE_URL,
		.confidence = -1,
		.tlp = NRS_TLP_GREEN,
		.origin = g->origin };
	int rc;

	if ((rc = make_value(g)) != 0)
		return rc;
	i.value = (struct nrs_str){ g->value.p, g->value.len };
	i.name =
	    (struct nrs_str){ (const uint8_t *)brands[g->brand], strlen(brands[g->brand]) };
	i.seen.ms = g->ms;
	return nrs_indicator_format(dst, &i);
}

int
gen_bundle(struct gen *g, unsigned int n, struct nrs_buf *dst)
{
	char text[37];
	int rc;

	make_uuid(g);
	uuid_unparse_lower(g->uuid, text);
	nrs_buf_fmt(dst, "{\"type\":\"bundle\",\"id\":\"bundle--%s\",\"objects\":[", text);
	for (unsigned int i = 0; i < n; i++) {
		if (i > 0)
			nrs_buf_u8(dst, ',');
		if ((rc = put_indicator(g, dst)) != 0)
			return rc;
	}
	nrs_buf_str(dst, "]}");
	return dst->err;
}

int
gen_value(struct gen *g, struct nrs_buf *dst)
{
	int rc = make_value(g);

	nrs_buf_put(dst, g->value.p, g->value.len);
	return rc != 0 ? rc : dst->err;
}

const uint8_t *
gen_uuid(const struct gen *g)
{
	return g->uuid;
}

uint64_t
gen_count(const struct gen *g)
{
	return g->next;
}

double
gen_ratio(const void *p, size_t len, int level)
{
	size_t cap = ZSTD_compressBound(len), n;
	void *dst = malloc(cap);

	if (dst == NULL || len == 0) {
		free(dst);
		return 0;
	}
	n = ZSTD_compress(dst, cap, p, len, level);
	free(dst);
	return ZSTD_isError(n) ? 0 : (double)len / (double)n;
}
