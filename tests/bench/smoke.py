#!/usr/bin/env python3
"""Every scenario of noroshi-bench in its smallest form: what it prints is checked, never how fast it was.

  smoke.py BUILD [SCENARIO...]
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

BUILD = pathlib.Path(sys.argv[1]).absolute()
BENCH = BUILD / "tools/noroshi-bench/noroshi-bench"
# Scenarios that take long by their nature get smaller numbers still.
RECORDS = {"restart": 2000, "tlog": 2000, "journal": 1000, "ingest": 8, "single": 1000, "latency": 200, "fanout": 200}
# Rows that have a target in targets.c: a row that lost its name would lose it silently.
TARGETS = {"ingest": 1, "single": 2, "latency": 3, "fanout": 3, "restart": 4}
NUMBER = (int, float)


def fail(text):
    print(f"smoke: {text}", file=sys.stderr)
    sys.exit(1)


def bench(*args, **kw):
    return subprocess.run([str(BENCH), *map(str, args)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=300, **kw)


def listed():
    """The scenarios of --help."""
    p = bench("--help")
    lines = p.stdout.splitlines()
    if p.returncode != 0 or len(lines) > 40 or max(map(len, lines)) > 100:
        fail("--help is more than a screen")
    at = lines.index("scenarios:")
    names = [l.split()[0] for l in lines[at + 1:lines.index("", at)]]
    return [n for n in names if n != "all"]


def check_row(row, name):
    if not isinstance(row.get("value"), NUMBER) or not row.get("unit"):
        fail(f"{name}: a row without value or unit: {row}")
    if row["value"] < 0:
        fail(f"{name}: less than nothing: {row}")
    if ("limit" in row) != ("ratio" in row):
        fail(f"{name}: limit and ratio go together: {row}")
    if ("target" in row) != ("met" in row):
        fail(f"{name}: a target is met or not: {row}")
    if not (row["bench"] == name or row["bench"].startswith(name + ".")):
        fail(f"{name}: a row of another name: {row}")


def check_scenario(name, where):
    p = bench(name, "--json", "--check", "--runs", 2, "--seconds", 0.2, "--records", RECORDS.get(name, 500), "--dir", where)
    # A target that is missed here is no fault, and no surprise.
    missed = '"met":false' in p.stdout
    if p.returncode != (65 if missed else 0):
        fail(f"{name}: status {p.returncode}\n{p.stdout}{p.stderr}")
    lines = [json.loads(l) for l in p.stdout.splitlines()]
    first = " ".join(l.get("note", "") for l in lines[:3])
    for want in ("processors", "filesystem:", "OpenSSL", "zstd"):
        if want not in first:
            fail(f"{name}: the first lines do not tell {want}")
    rows = [l for l in lines if "bench" in l]
    for row in rows:
        check_row(row, name)
    names = [r["bench"] for r in rows]
    if name not in names:
        fail(f"{name}: no headline among {names}")
    if len(set(names)) != len(names):
        fail(f"{name}: a row is told twice: {names}")
    targets = [r["bench"] for r in rows if "target" in r]
    if len(targets) != TARGETS.get(name, 0):
        fail(f"{name}: rows with a target: {targets}")
    left = [n for n in os.listdir(where)]
    if left:
        fail(f"{name}: left behind: {left}")
    print(f"{name}: {len(rows)} rows")


def check_refusals(where):
    for args, status in (([], 64), (["nosuch"], 64), (["tlog", "--runs", "0"], 64), (["tlog", "--seconds", "x"], 64),
                         (["tlog", "--nosuch"], 64), (["tlog", "--dir", where + "/none"], 74)):
        p = bench(*args)
        if p.returncode != status or not p.stderr.startswith("noroshi-bench: "):
            fail(f"{args}: status {p.returncode} instead of {status}: {p.stderr}")
    shm = subprocess.run(["stat", "-f", "-c", "%T", "/dev/shm"], capture_output=True, text=True).stdout.strip()
    if shm == "tmpfs" and os.access("/dev/shm", os.W_OK):
        p = bench("tlog", "--dir", "/dev/shm")
        if p.returncode != 78 or "memory" not in p.stderr:
            fail(f"/dev/shm is a tmpfs and was taken: status {p.returncode}: {p.stderr}")


def main():
    names = sys.argv[2:] or listed()
    # Not /tmp: that may be a tmpfs, which it refuses.
    with tempfile.TemporaryDirectory(prefix="nb-", dir=BUILD) as where:
        p = subprocess.run(["stat", "-f", "-c", "%T", where], capture_output=True, text=True)
        if p.stdout.strip() in ("tmpfs", "ramfs"):
            print("skipped: the build directory is on a tmpfs")
            sys.exit(77)
        check_refusals(where)
        for name in names:
            check_scenario(name, where)


if __name__ == "__main__":
    main()
