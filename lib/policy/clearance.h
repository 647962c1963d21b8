/*
 * Who may see what: the order of TLP, what a community allows, and the
 * clearance of a local reader.  Pure functions of their arguments.
 */
#ifndef POLICY_CLEARANCE_H
#define POLICY_CLEARANCE_H

#include <noroshi/err.h>
#include <noroshi/types.h>

/* What an object that names no marking has in scanner results (stix/scan.h). */
#define NRS_TLP_NONE 0xff

/* The marking that holds for an object: its own, or else that of its record. */
uint8_t nrs_tlp_effective(uint8_t object, uint8_t header);
/* May something of this marking go where the ceiling is this? Unknown values: no. */
bool nrs_tlp_within(uint8_t tlp, uint8_t ceiling);
/* Is a header of this marking strict enough for the strictest object in it? */
bool nrs_tlp_covers(uint8_t header, uint8_t objects_max);

/*
 * May a record of this marking be shared in a community with this ceiling?
 * NRS_ECEILING: no.  TLP:RED names its recipients, so a community never takes it.
 */
int nrs_community_allows(uint8_t tlp, uint8_t ceiling) NRS_MUST_CHECK;

/* What a local reader may see; names are the caller's. */
struct nrs_clearance {
	uint8_t tlp;			/* enum nrs_tlp: ceiling */
	bool all;			/* every community, and direct audiences */
	bool direct;			/* direct audiences, when not all */
	const char *const *communities; /* when not all */
	unsigned int ncommunities;
};

/* community: its name, or NULL for a direct audience. */
bool nrs_clearance_audience(const struct nrs_clearance *c, const char *community);
/* Audience and marking together. */
bool nrs_clearance_allows(
    const struct nrs_clearance *c, const char *community, uint8_t tlp);

#endif
