/* What STIX 2.1 says of each object type, as far as the scanner asks; TLP markings. */
#ifndef STIX_OTYPE_H
#define STIX_OTYPE_H

#include <noroshi/types.h>

enum otype_class {
	OTYPE_CUSTOM, /* not of the standard */
	OTYPE_SDO,
	OTYPE_SRO,
	OTYPE_SCO,
	OTYPE_META,    /* language-content, extension-definition */
	OTYPE_MARKING, /* marking-definition */
	OTYPE_BUNDLE,
};

enum otype_class otype_find(struct nrs_str type);
/* a-z 0-9 and single hyphens, 3 to 250 (STIX 2.1, 2.16 and 11.2)? */
bool otype_name_ok(struct nrs_str type);

/* The level a marking-definition's UUID (36 characters) stands for, or NRS_TLP_UNMARKED. */
uint8_t otype_tlp_find(const uint8_t *uuid);
/* The stricter of two, where unmarked is below all. */
uint8_t otype_tlp_max(uint8_t a, uint8_t b);

#endif
