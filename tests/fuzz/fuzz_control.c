/*
 * Any bytes as the J of a request on the control socket: refused with a code, a
 * reason and what to do, or a command with members of the types of its row, and
 * then the same when it is written and read again.
 */
#include "tests/fuzz/fuzz.h"

#include "daemon/ctl_priv.h"

/* The type that a row gives to a member: "name:s! communities:S". */
static char
row_type(const char *members, const char *key)
{
	size_t n = strlen(key);

	for (const char *p = members; *p != '\0'; p += strcspn(p, " ")) {
		p += strspn(p, " ");
		if (strncmp(p, key, n) == 0 && p[n] == ':')
			return p[n + 1];
	}
	return '\0';
}

static void
check_member(const struct ctl_cmd *cmd, const char *key, const json_t *v)
{
	char type = row_type(cmd->members, key);
	size_t i;
	json_t *e;

	if (strcmp(key, "v") == 0 || strcmp(key, "cmd") == 0 || strcmp(key, "attach") == 0)
		return;
	FUZZ_CHECK(type != '\0');
	FUZZ_CHECK((type == 's') == json_is_string(v));
	FUZZ_CHECK((type == 'b') == json_is_boolean(v));
	FUZZ_CHECK((type == 'i') == json_is_integer(v));
	FUZZ_CHECK((type == 'S') == json_is_array(v));
	if (type == 'i')
		FUZZ_CHECK(json_integer_value(v) >= 0);
	json_array_foreach((json_t *)(uintptr_t)v, i, e)
		FUZZ_CHECK(json_is_string(e));
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	struct ctl_ask a, again;
	const char *key;
	char *text;
	json_t *v;
	bool ok = ctl_ask_parse(&a, p, len);

	FUZZ_CHECK(ok == (a.code == NULL));
	if (ok) {
		FUZZ_CHECK(a.args != NULL && a.cmd != NULL && a.attach == a.cmd->attach);
		json_object_foreach(a.args, key, v)
			check_member(a.cmd, key, v);
		text = json_dumps(a.args, JSON_COMPACT);
		FUZZ_CHECK(text != NULL);
		FUZZ_CHECK(ctl_ask_parse(&again, (const uint8_t *)text, strlen(text)));
		FUZZ_CHECK(again.cmd == a.cmd && json_equal(again.args, a.args));
		json_decref(again.args);
		free(text);
	} else {
		FUZZ_CHECK(a.what != NULL && a.next != NULL && a.why[0] != '\0');
	}
	json_decref(a.args);
	return 0;
}
