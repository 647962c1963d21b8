/* The TLP lattice and clearances: total functions, unknown values see nothing. */
#include "policy/clearance.h"

#include <string.h>

uint8_t
nrs_tlp_effective(uint8_t object, uint8_t header)
{
	return object == NRS_TLP_NONE ? header : object;
}

bool
nrs_tlp_within(uint8_t tlp, uint8_t ceiling)
{
	return tlp < NRS_TLP__MAX && ceiling < NRS_TLP__MAX && tlp <= ceiling;
}

bool
nrs_tlp_covers(uint8_t header, uint8_t objects_max)
{
	if (header >= NRS_TLP__MAX)
		return false;
	return objects_max == NRS_TLP_NONE || objects_max <= header;
}

int
nrs_community_allows(uint8_t tlp, uint8_t ceiling)
{
	if (tlp == NRS_TLP_RED || !nrs_tlp_within(tlp, ceiling))
		return NRS_ECEILING;
	return 0;
}

bool
nrs_clearance_audience(const struct nrs_clearance *c, const char *community)
{
	if (c->all)
		return true;
	if (community == NULL)
		return c->direct;
	for (unsigned int i = 0; i < c->ncommunities; i++)
		if (strcmp(c->communities[i], community) == 0)
			return true;
	return false;
}

bool
nrs_clearance_allows(const struct nrs_clearance *c, const char *community, uint8_t tlp)
{
	return nrs_clearance_audience(c, community) && nrs_tlp_within(tlp, c->tlp);
}
