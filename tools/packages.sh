# Sourced by tools/check and tools/quickstart: installs the Debian packages that are missing.
# Nothing is asked of the network when all are there.

packages_build="gcc meson ninja-build pkg-config libssl-dev libevent-dev libjansson-dev uuid-dev
 liblmdb-dev libzstd-dev libconfuse-dev libsystemd-dev libseccomp-dev python3"
packages_check="$packages_build git clang libclang-rt-14-dev llvm-14 clang-format libcmocka-dev mandoc openssl
 python3-cryptography python3-openssl"

# packages_need LIST: those of LIST that are not installed
packages_need() {
	for p in $1; do
		dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || echo "$p"
	done
}

# packages_install LIST
packages_install() {
	need=$(packages_need "$1")
	[ -n "$need" ] || return 0
	echo "Installing:" $need
	sudo=
	if [ "$(id -u)" -ne 0 ]; then
		command -v sudo >/dev/null 2>&1 || {
			echo "These Debian packages are missing, and only root can install them:" >&2
			echo "  apt-get install --no-install-recommends" $need >&2
			return 1
		}
		sudo=sudo
	fi
	log=$(mktemp)
	if ! { $sudo apt-get update &&
	    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y --no-install-recommends $need; } >"$log" 2>&1; then
		tail -n 20 "$log" >&2
		rm -f "$log"
		echo "The installation failed; the lines above are apt-get's." >&2
		return 1
	fi
	rm -f "$log"
}
