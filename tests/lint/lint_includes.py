#!/usr/bin/env python3
"""Include lint: the layers of the architecture, and the purity of lib/.

A file of lib/ may include headers of its own folder and of folders below it in
the table, public headers, and of the system only what a pure machine needs.
daemon/ may use lib; tools/ may use lib and nothing of daemon/, and of each other
only what they share.  Prints each offence as FILE:LINE and exits 1 when there is one.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BELOW = {
    "base": [],
    "crypto": ["base"],
    "record": ["base", "crypto"],
    "tlog": ["base", "crypto"],
    "stix": ["base", "crypto"],
}
LOW = ["base", "crypto", "record", "tlog", "stix"]
for _name in ("journal", "wire", "policy", "import", "proof"):
    BELOW[_name] = LOW
BELOW["index"] = LOW + ["journal", "wire", "policy", "import", "proof"]
BELOW["node"] = BELOW["index"] + ["index"]

# What a pure machine may take from the system: memory, text, numbers.
PURE = {
    "assert.h", "stdalign.h", "ctype.h", "errno.h", "inttypes.h", "limits.h", "math.h", "stdarg.h",
    "stdbool.h", "stddef.h", "stdint.h", "stdio.h", "stdlib.h", "string.h", "strings.h",
    "sys/queue.h", "sys/types.h", "endian.h", "emmintrin.h", "immintrin.h", "nmmintrin.h",
    "smmintrin.h", "tmmintrin.h", "cpuid.h",
}
EXTRA = {  # folder -> prefixes of other headers it may use
    "crypto": ("openssl/",),
    "journal": ("zstd.h",),
    "node": ("zstd.h",),
    "import": ("uuid/uuid.h", "arpa/inet.h"),  # inet_pton: text to bytes, and no more
    "index": ("lmdb.h",),
}
# What one tool may use of another: the library noroshi_tool.
SHARED = {"tools/noroshi/answer.h", "tools/noroshi/cli.h", "tools/noroshi/ctl.h"}
# A tool that measures libcrypto itself, and plays a peer over TLS.
MEASURES = {"noroshi-bench"}
# Calls that read the world. The names are looked for as calls in lib/.
IMPURE = re.compile(
    r"\b(time|clock_gettime|gettimeofday|getenv|secure_getenv|fopen|open|openat|socket|pthread_create|"
    r"printf|fprintf|puts|abort|exit|rand|random|srand|getrandom|localtime|localtime_r|strtok|setlocale)\s*\("
)
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]')
STATIC = re.compile(r"^static\s+(?!const\b|inline\b|_Thread_local\b)[A-Za-z_][\w\s\*]*?\b\w+(\[[^\]]*\])*\s*(=|;)")


def strip(text):
    """Comments and strings out, lines kept."""
    def blank(m):
        s = m.group(0)
        return re.sub(r"[^\n]", " ", s)
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def lint_lib(path, folder, out):
    text = path.read_text(encoding="utf-8")
    for no, line in enumerate(text.splitlines(), 1):
        m = INCLUDE.match(line)
        if not m:
            continue
        kind, name = m.groups()
        where = f"{path.relative_to(ROOT)}:{no}"
        if kind == '"':
            top = name.split("/")[0]
            if name in ("noroshi/err.def", "noroshi/plant.def"):
                continue
            if "/" not in name or top not in BELOW:
                out.append(f"{where}: \"{name}\" is not a rooted include of lib/")
            elif top != folder and top not in BELOW[folder]:
                out.append(f"{where}: {folder}/ may not include {top}/ (upward or sideways)")
        elif not (name in PURE or name.startswith("noroshi/")
                  or any(name.startswith(p) for p in EXTRA.get(folder, ()))):
            out.append(f"{where}: <{name}> has no place in {folder}/ of a pure library")
    for no, line in enumerate(strip(text).splitlines(), 1):
        where = f"{path.relative_to(ROOT)}:{no}"
        m = IMPURE.search(line)
        if m and not re.search(r"(->|\.)\s*" + m.group(1) + r"\s*\(", line) \
                and not re.search(r"\(\s*\*\s*" + m.group(1), line):
            out.append(f"{where}: {m.group(1)}() reads or changes the world")
        if STATIC.match(line):
            out.append(f"{where}: mutable static data in lib/")


def lint_other(path, allowed_daemon, out):
    for no, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        m = INCLUDE.match(line)
        if m and m.group(1) == '"' and m.group(2).startswith("daemon/") and not allowed_daemon:
            out.append(f"{path.relative_to(ROOT)}:{no}: tools/ may not include daemon/")
        if m and m.group(2).startswith("openssl/") and path.parent.name not in MEASURES \
                and path.name != "remote.c":  # the client of a stream over TLS
            out.append(f"{path.relative_to(ROOT)}:{no}: openssl belongs to lib/crypto and the daemon's TLS")
        if m and m.group(1) == '"' and m.group(2).startswith("tools/") and m.group(2) not in SHARED \
                and pathlib.Path(m.group(2)).parent.name != path.parent.name:
            out.append(f"{path.relative_to(ROOT)}:{no}: {m.group(2)} belongs to another tool")


def main():
    out = []
    seen = 0
    for folder in BELOW:
        for path in sorted((ROOT / "lib" / folder).glob("*.[ch]")):
            lint_lib(path, folder, out)
            seen += 1
    for path in sorted((ROOT / "tools").rglob("*.[ch]")):
        lint_other(path, False, out)
        seen += 1
    for line in out:
        print(line)
    print(f"{seen} files, {len(out)} offences")
    return 1 if out or seen == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
