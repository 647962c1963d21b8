/* export: one record, as its payload or as a proof file. */
#include "daemon/ctl_priv.h"

#include <stdio.h>

#include "base/text.h"
#include "daemon/log.h"
#include "proof/proof.h"
#include "record/record.h"

static void
refuse(struct ctl_req *r, int rc, const struct nrs_detail *d)
{
	const char *next = NULL;

	if (rc == NRS_EUNKNOWN)
		next = "noroshi status lists the logs that are here";
	else if (rc == NRS_ENOTFOUND)
		next = "only what was given to this node can be taken out: noroshi tail "
		       "--from 0 --json names each record as origin and index";
	else if (rc == NRS_ELEAF)
		next = "leave the part after ~ away, or ask whoever gave you the id";
	ctl_fail_rc(r, rc, "the record cannot be exported", d, next);
}

static json_t *
info_json(const struct node_export_info *i)
{
	char kind[32];

	if (i->kind >= NRS_KIND_BUNDLE && i->kind < NRS_KIND__MAX)
		snprintf(kind, sizeof(kind), "%s", nrs_kind_name(i->kind));
	else
		snprintf(kind, sizeof(kind), "%u", i->kind);
	return json_pack("{s:s, s:s, s:s}", "id", i->id, "kind", kind, "tlp",
	    nrs_tlp_name((enum nrs_tlp)i->tlp));
}

void
ctl_export(struct ctl_req *r)
{
	char origin[NRS_ORIGIN_MAX + 1], hex8[9];
	struct node_export_info info;
	struct nrs_detail d = { 0 };
	bool proof = ctl_bool(r, "proof");
	struct nrs_buf b;
	uint64_t index;
	int rc;

	if (nrs_record_id_parse(ctl_str(r, "id"), origin, &index, hex8) != 0) {
		ctl_fail(r, "syntax", "the record cannot be exported",
		    "its id is not ORIGIN/INDEX or ORIGIN/INDEX~HEX8",
		    "noroshi tail --from 0 --json names each record as origin and index",
		    EX_USAGE);
		return;
	}
	nrs_buf_init(&b, NRS_PROOF_FILE_MAX);
	rc = node_export(r->app->node, origin, index, hex8, proof, &b, &info, &d);
	if (rc != 0) {
		refuse(r, rc, &d);
	} else {
		log_notice("control", "%s exported by %s%s", info.id, r->who,
		    proof ? ", with proof" : "");
		ctl_ok_data(r, info_json(&info), b.p, b.len);
	}
	nrs_buf_fini(&b);
}
