/* What the fuzz targets share. A target is one file with one entry. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern unsigned int fuzz_cut_step; /* fuzz_main.c: 1 unless a target has its own */

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

/* A property that every input must have. */
#define FUZZ_CHECK(cond)                                                          \
	do {                                                                      \
		if (!(cond)) {                                                    \
			fprintf(stderr, "%s:%d: property broken: %s\n", __FILE__, \
			    __LINE__, #cond);                                     \
			abort();                                                  \
		}                                                                 \
	} while (0)

/* An accepted text must be written again as it was. */
#define FUZZ_SAME(b, text, text_len)                          \
	FUZZ_CHECK((b)->err == 0 && (b)->len == (text_len) && \
	    ((text_len) == 0 || memcmp((b)->p, (text), (text_len)) == 0))

/* Every error has one detail that says so; success has none. */
#define FUZZ_DETAIL(rc, d) FUZZ_CHECK((rc) <= 0 && (d)->code == (rc))

#endif
