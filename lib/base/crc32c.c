/*
 * CRC-32C: the SSE4.2 instruction where the processor has it, slicing-by-8
 * otherwise.  No state: asking libgcc's processor model is one load.
 *
 * A table row is linear in its index (T[i ^ j] = T[i] ^ T[j]), so eight
 * constants a row are enough and the compiler makes the 2048 entries.
 */
#include "base/crc32c.h"

#include <string.h>

#define BIT(n, i, v) (((n) >> (i)&1) != 0 ? (v) : 0u)
#define ROW(n, a, b, c, d, e, f, g, h)                                              \
	(BIT(n, 0, a) ^ BIT(n, 1, b) ^ BIT(n, 2, c) ^ BIT(n, 3, d) ^ BIT(n, 4, e) ^ \
	    BIT(n, 5, f) ^ BIT(n, 6, g) ^ BIT(n, 7, h))

#define T0(n)                                                                   \
	ROW(n, 0xf26b8303u, 0xe13b70f7u, 0xc79a971fu, 0x8ad958cfu, 0x105ec76fu, \
	    0x20bd8edeu, 0x417b1dbcu, 0x82f63b78u)
#define T1(n)                                                                   \
	ROW(n, 0x13a29877u, 0x274530eeu, 0x4e8a61dcu, 0x9d14c3b8u, 0x3fc5f181u, \
	    0x7f8be302u, 0xff17c604u, 0xfbc3faf9u)
#define T2(n)                                                                   \
	ROW(n, 0xa541927eu, 0x4f6f520du, 0x9edea41au, 0x38513ec5u, 0x70a27d8au, \
	    0xe144fb14u, 0xc76580d9u, 0x8b277743u)
#define T3(n)                                                                   \
	ROW(n, 0xdd45aab8u, 0xbf672381u, 0x7b2231f3u, 0xf64463e6u, 0xe964b13du, \
	    0xd725148bu, 0xaba65fe7u, 0x52a0c93fu)
#define T4(n)                                                                   \
	ROW(n, 0x38116facu, 0x7022df58u, 0xe045beb0u, 0xc5670b91u, 0x8f2261d3u, \
	    0x1ba8b557u, 0x37516aaeu, 0x6ea2d55cu)
#define T5(n)                                                                   \
	ROW(n, 0xef306b19u, 0xdb8ca0c3u, 0xb2f53777u, 0x6006181fu, 0xc00c303eu, \
	    0x85f4168du, 0x0e045bebu, 0x1c08b7d6u)
#define T6(n)                                                                   \
	ROW(n, 0x68032cc8u, 0xd0065990u, 0xa5e0c5d1u, 0x4e2dfd53u, 0x9c5bfaa6u, \
	    0x3d5b83bdu, 0x7ab7077au, 0xf56e0ef4u)
#define T7(n)                                                                   \
	ROW(n, 0x493c7d27u, 0x9278fa4eu, 0x211d826du, 0x423b04dau, 0x847609b4u, \
	    0x0d006599u, 0x1a00cb32u, 0x34019664u)

#define X4(t, n)  t(n), t(n + 1u), t(n + 2u), t(n + 3u)
#define X16(t, n) X4(t, n), X4(t, n + 4u), X4(t, n + 8u), X4(t, n + 12u)
#define X64(t, n) X16(t, n), X16(t, n + 16u), X16(t, n + 32u), X16(t, n + 48u)
#define X256(t)                                                     \
	{                                                           \
		X64(t, 0u), X64(t, 64u), X64(t, 128u), X64(t, 192u) \
	}

static const uint32_t table[8][256] = { X256(T0), X256(T1), X256(T2), X256(T3), X256(T4),
	X256(T5), X256(T6), X256(T7) };

static uint32_t
load_le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	    (uint32_t)p[3] << 24;
}

uint32_t
nrs_crc32c_table(uint32_t crc, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint32_t c = ~crc, hi;

	for (; len >= 8; len -= 8, p += 8) {
		c ^= load_le32(p);
		hi = load_le32(p + 4);
		c = table[7][c & 0xff] ^ table[6][c >> 8 & 0xff] ^
		    table[5][c >> 16 & 0xff] ^ table[4][c >> 24] ^ table[3][hi & 0xff] ^
		    table[2][hi >> 8 & 0xff] ^ table[1][hi >> 16 & 0xff] ^
		    table[0][hi >> 24];
	}
	while (len-- > 0)
		c = c >> 8 ^ table[0][(c ^ *p++) & 0xff];
	return ~c;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t
crc32c_sse42(uint32_t crc, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t c = (uint32_t)~crc, w;

	for (; len >= 8; len -= 8, p += 8) {
		memcpy(&w, p, 8);
		c = __builtin_ia32_crc32di(c, w);
	}
	while (len-- > 0)
		c = __builtin_ia32_crc32qi((uint32_t)c, *p++);
	return ~(uint32_t)c;
}
#endif

uint32_t
nrs_crc32c(uint32_t crc, const void *p, size_t len)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("sse4.2"))
		return crc32c_sse42(crc, p, len);
#endif
	return nrs_crc32c_table(crc, p, len);
}
