#!/bin/sh
# The development PKI is made as its README says, and no private key is in git: test_certs.sh ROOT BUILD
set -u
root=$1
NOROSHI_BUILD=$2
export NOROSHI_BUILD
d=$(mktemp -d) || exit 99
trap 'rm -rf "$d"' EXIT
n=0
ok() { # ok NAME COMMAND...: one test
	name=$1
	shift
	n=$((n + 1))
	if "$@" >"$d/out" 2>&1; then echo "ok $n - $name"; else
		echo "not ok $n - $name"
		sed 's/^/# /' "$d/out"
	fi
}
no_key_in_git() {
	cd "$root" || return 1
	! git grep -lI -e '^-----BEGIN [A-Z ]*PRIVATE KEY' -- . || return 1
	# the wrapped seeds of a journal are no keys, and that one's kek is no secret
	! git ls-files | grep -v '^tests/golden/v1/us/journal/' | grep -E '(\.key|-root\.pem|/kek)$'
}
complete() {
	for f in manifest noroshi.conf keys/feed.pem keys/log.pem keys/witness.pem keys/tls.pem keys/kek; do
		[ -s "$d/pki/$1/$f" ] || { echo "no $f" && return 1; }
	done
	[ "$(stat -c %a "$d/pki/$1/keys/feed.pem" "$d/pki/$1-root.pem" | sort -u)" = 600 ] &&
		grep -q 'BEGIN ENCRYPTED PRIVATE KEY' "$d/pki/$1-root.pem" &&
		"$NOROSHI_BUILD/daemon/noroshid" -n -c "$d/pki/$1/noroshi.conf"
}
fingerprints() { [ "$(grep -cE '^[a-z]+\.cert\.example ([A-Z2-7]{4}-){4}[A-Z2-7]{4}$' "$d/pki/fingerprints")" = "$1" ]; }
again() {
	cp "$d/pki/jp/manifest" "$d/before" && "$root/certs/make" -d "$d/pki" jp sg && cmp "$d/before" "$d/pki/jp/manifest"
}

ok "two identities are made" "$root/certs/make" -d "$d/pki" jp us
ok "jp is complete and its configuration is good" complete jp
ok "us is complete and its configuration is good" complete us
ok "their fingerprints are told" fingerprints 2
ok "what is there is left, what is missing is made" again
ok "so there are three" fingerprints 3
if git -C "$root" rev-parse >/dev/null 2>&1; then
	ok "no private key is in git" no_key_in_git
else
	n=$((n + 1))
	echo "ok $n - no private key is in git # SKIP not a git repository"
fi
echo "1..$n"
