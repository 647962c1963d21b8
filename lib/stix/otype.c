/*
 * Tables of the standard: object types (STIX 2.1, 4 to 7) and the ids of the
 * TLP markings, 1.0 (STIX 2.1, 7.2.1.4) and 2.0 (the OASIS extension to it).
 */
#include "stix/otype.h"

#include <string.h>

#include "stix/scan.h"

struct otype_row {
	const char *name;
	uint8_t len;
	uint8_t class;
};

#define ROW(name, class)                      \
	{                                     \
		name, sizeof(name) - 1, class \
	}
/* the frequent ones first */
static const struct otype_row types[] = {
	ROW("indicator", OTYPE_SDO),
	ROW("relationship", OTYPE_SRO),
	ROW("malware", OTYPE_SDO),
	ROW("identity", OTYPE_SDO),
	ROW("sighting", OTYPE_SRO),
	ROW("observed-data", OTYPE_SDO),
	ROW("url", OTYPE_SCO),
	ROW("domain-name", OTYPE_SCO),
	ROW("ipv4-addr", OTYPE_SCO),
	ROW("file", OTYPE_SCO),
	ROW("attack-pattern", OTYPE_SDO),
	ROW("campaign", OTYPE_SDO),
	ROW("course-of-action", OTYPE_SDO),
	ROW("grouping", OTYPE_SDO),
	ROW("incident", OTYPE_SDO),
	ROW("infrastructure", OTYPE_SDO),
	ROW("intrusion-set", OTYPE_SDO),
	ROW("location", OTYPE_SDO),
	ROW("malware-analysis", OTYPE_SDO),
	ROW("note", OTYPE_SDO),
	ROW("opinion", OTYPE_SDO),
	ROW("report", OTYPE_SDO),
	ROW("threat-actor", OTYPE_SDO),
	ROW("tool", OTYPE_SDO),
	ROW("vulnerability", OTYPE_SDO),
	ROW("artifact", OTYPE_SCO),
	ROW("autonomous-system", OTYPE_SCO),
	ROW("directory", OTYPE_SCO),
	ROW("email-addr", OTYPE_SCO),
	ROW("email-message", OTYPE_SCO),
	ROW("ipv6-addr", OTYPE_SCO),
	ROW("mac-addr", OTYPE_SCO),
	ROW("mutex", OTYPE_SCO),
	ROW("network-traffic", OTYPE_SCO),
	ROW("process", OTYPE_SCO),
	ROW("software", OTYPE_SCO),
	ROW("user-account", OTYPE_SCO),
	ROW("windows-registry-key", OTYPE_SCO),
	ROW("x509-certificate", OTYPE_SCO),
	ROW("marking-definition", OTYPE_MARKING),
	ROW("language-content", OTYPE_META),
	ROW("extension-definition", OTYPE_META),
	ROW("bundle", OTYPE_BUNDLE),
};

enum otype_class
otype_find(struct nrs_str type)
{
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i].len == type.len &&
		    memcmp(types[i].name, type.p, type.len) == 0)
			return types[i].class;
	return OTYPE_CUSTOM;
}

bool
otype_name_ok(struct nrs_str t)
{
	size_t i;

	if (t.len < 3 || t.len > 250)
		return false;
	for (i = 0; i < t.len; i++) {
		if (t.p[i] == '-' && i > 0 && t.p[i - 1] == '-')
			return false;
		if (!(t.p[i] >= 'a' && t.p[i] <= 'z') &&
		    !(t.p[i] >= '0' && t.p[i] <= '9') && t.p[i] != '-')
			return false;
	}
	return true;
}

#define MARKING "marking-definition--"
static const struct {
	const char *id;
	uint8_t tlp;
} tlps[] = {
	/* 2.0, by level */
	{ MARKING "94868c89-83c2-464b-929b-a1a8aa3c8487", NRS_TLP_CLEAR },
	{ MARKING "bab4a63c-aed9-4cf5-a766-dfca5abac2bb", NRS_TLP_GREEN },
	{ MARKING "55d920b0-5e8b-4f79-9ee9-91f868d9b421", NRS_TLP_AMBER },
	{ MARKING "939a9414-2ddd-4d32-a0cd-375ea402b003", NRS_TLP_AMBER_STRICT },
	{ MARKING "e828b379-4e03-4974-9ac4-e53a884c97c1", NRS_TLP_RED },
	/* 1.0: WHITE, GREEN, AMBER, RED */
	{ MARKING "613f2e26-407d-48c7-9eca-b8e91df99dc9", NRS_TLP_CLEAR },
	{ MARKING "34098fce-860f-48ae-8e50-ebd3cc5e41da", NRS_TLP_GREEN },
	{ MARKING "f88d31f6-486f-44da-b317-01333bde0b82", NRS_TLP_AMBER },
	{ MARKING "5e57c739-391a-4eb3-b6be-7d15ca92d5ed", NRS_TLP_RED },
};

uint8_t
otype_tlp_find(const uint8_t *uuid)
{
	size_t i;

	for (i = 0; i < sizeof(tlps) / sizeof(tlps[0]); i++)
		if (memcmp(tlps[i].id + sizeof(MARKING) - 1, uuid, 36) == 0)
			return tlps[i].tlp;
	return NRS_TLP_UNMARKED;
}

uint8_t
otype_tlp_max(uint8_t a, uint8_t b)
{
	if (a == NRS_TLP_UNMARKED)
		return b;
	if (b == NRS_TLP_UNMARKED)
		return a;
	return a > b ? a : b;
}

const char *
nrs_tlp_marking_id(enum nrs_tlp t)
{
	return (unsigned int)t < NRS_TLP__MAX ? tlps[t].id : NULL;
}
