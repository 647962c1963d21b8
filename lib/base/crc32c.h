/* CRC-32C (Castagnoli), in hardware where the processor has it. */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continues crc (0 at the start) over len bytes; crc32c("123456789") = 0xe3069283. */
uint32_t nrs_crc32c(uint32_t crc, const void *p, size_t len);
/* The same without the instruction: what other processors run, and the tests' second opinion. */
uint32_t nrs_crc32c_table(uint32_t crc, const void *p, size_t len);

#endif
