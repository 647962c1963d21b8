/* The error table of noroshi/err.def as functions. */
#include <noroshi/err.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *
nrs_strerror(int code)
{
	switch (code) {
	case NRS_OK:
		return "success";
#define ERR(name, num, wire, text) \
	case NRS_E##name:          \
		return text;
#include "noroshi/err.def"
#undef ERR
	default:
		return "unknown error";
	}
}

struct err_row {
	int code;
	unsigned int wire;
};

static const struct err_row rows[] = {
#define ERR(name, num, wire, text) { num, wire },
#include "noroshi/err.def"
#undef ERR
};

/* By hand, since the preprocessor cannot lower case; the test compares them with err.def. */
const char *
nrs_errname(int code)
{
	switch (code) {
	case NRS_OK:
		return "ok";
	case NRS_ETRUNC:
		return "trunc";
	case NRS_ETRAILING:
		return "trailing";
	case NRS_ELIMIT:
		return "limit";
	case NRS_ESYNTAX:
		return "syntax";
	case NRS_EMAGIC:
		return "magic";
	case NRS_EVERSION:
		return "version";
	case NRS_ERESERVED:
		return "reserved";
	case NRS_ERANGE:
		return "range";
	case NRS_EUTF8:
		return "utf8";
	case NRS_EDUPLICATE:
		return "duplicate";
	case NRS_ETYPE:
		return "type";
	case NRS_EORDER:
		return "order";
	case NRS_EORIGIN:
		return "origin";
	case NRS_EKEY:
		return "key";
	case NRS_ESIG:
		return "sig";
	case NRS_EALG:
		return "alg";
	case NRS_ECOMMIT:
		return "commit";
	case NRS_ECHAIN:
		return "chain";
	case NRS_ELEAF:
		return "leaf";
	case NRS_EPROOF:
		return "proof";
	case NRS_EFORK:
		return "fork";
	case NRS_EPIN:
		return "pin";
	case NRS_EWEAKKEY:
		return "weakkey";
	case NRS_EROLLBACK:
		return "rollback";
	case NRS_EUNKNOWN:
		return "unknown";
	case NRS_EMEMBER:
		return "member";
	case NRS_EEPOCH:
		return "epoch";
	case NRS_ECEILING:
		return "ceiling";
	case NRS_EMARKING:
		return "marking";
	case NRS_ESTIX:
		return "stix";
	case NRS_EPERM:
		return "perm";
	case NRS_ESUSPENDED:
		return "suspended";
	case NRS_EQUOTA:
		return "quota";
	case NRS_ECORRUPT:
		return "corrupt";
	case NRS_EIO:
		return "io";
	case NRS_EFULL:
		return "full";
	case NRS_ELOCKED:
		return "locked";
	case NRS_ENOTFOUND:
		return "notfound";
	case NRS_EEXISTS:
		return "exists";
	case NRS_EERASED:
		return "erased";
	case NRS_ENOMEM:
		return "nomem";
	case NRS_ESTATE:
		return "state";
	case NRS_EBUSY:
		return "busy";
	case NRS_ECANCELED:
		return "canceled";
	case NRS_ECRYPTO:
		return "crypto";
	case NRS_EINTERNAL:
		return "internal";
	default:
		return "unknown";
	}
}

unsigned int
nrs_err_wire(int code)
{
	size_t i;
	unsigned int internal = 0;

	if (code == NRS_OK)
		return 0;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].code == code && rows[i].wire != 0)
			return rows[i].wire;
		if (rows[i].code == NRS_EINTERNAL)
			internal = rows[i].wire;
	}
	return internal;
}

int
nrs_err_from_wire(unsigned int wire)
{
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (wire != 0 && rows[i].wire == wire)
			return rows[i].code;
	return NRS_EINTERNAL;
}

int
nrs_fail(struct nrs_detail *d, int code, uint64_t off, const char *fmt, ...)
{
	va_list ap;

	if (d == NULL || d->code != 0)
		return code;
	d->code = code;
	d->off = off;
	va_start(ap, fmt);
	if (vsnprintf(d->text, sizeof(d->text), fmt, ap) < 0)
		d->text[0] = '\0';
	va_end(ap);
	return code;
}
