#!/usr/bin/env python3
"""The committed data directory of format version 1 under today's programs: test_dir.py NOROSHID NOROSHI NOROSHI-FSCK

noroshi-fsck finds nothing wrong with the journal; a daemon opens a copy and shows what it showed then, and nothing is
wrong with the journal after it.  What is committed is never written to.
"""
import base64
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
US = HERE / "us"


def digest():
    return {p.relative_to(HERE): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(HERE.rglob("*")) if p.is_file()}


def fsck(exe, datadir, keys):
    p = subprocess.run([exe, "--json", "--keys", str(keys), str(datadir)], capture_output=True, text=True)
    assert p.returncode in (0, 65), p.stderr
    out = [json.loads(l) for l in p.stdout.splitlines()]
    return [o["fault"] for o in out if "fault" in o], out[-1]["summary"]


def expected():
    """{origin: (size, root, opened)} by state.txt."""
    rows = {}
    for l in (US / "state.txt").read_text().splitlines():
        if m := re.match(r"origin (\S+) .*size (\d+) root (\S+) checkpoint (\d+) opened (\d+)", l):
            rows[m[1]] = (int(m[2]), m[3], int(m[5]))
    return rows


def hexed(root):
    """status gives roots in hex or base64."""
    return root if re.fullmatch("[0-9a-f]{64}", root) else base64.b64decode(root).hex()


def write_keys(where):
    """The keeper's files from the seeds: Ed25519 in PKCS #8."""
    where.mkdir(mode=0o700)
    for name, seed in (l.split() for l in (US / "TEST-KEYS.txt").read_text().splitlines()):
        data = bytes.fromhex(seed)
        if name != "kek":
            der = bytes.fromhex("302e020100300506032b657004220420") + data
            kind = "PRIVATE KEY"
            data = f"-----BEGIN {kind}-----\n{base64.b64encode(der).decode()}\n-----END {kind}-----\n".encode()
        path = where / (name if name == "kek" else name + ".pem")
        path.touch(mode=0o600)
        path.write_bytes(data)


def main(noroshid, noroshi, fsck_exe):
    before = digest()
    base = pathlib.Path(tempfile.mkdtemp(prefix="noroshi-golden-"))
    daemon = None
    try:
        shutil.copytree(US, base / "us")
        data, keys = base / "data", base / "keys"
        data.mkdir(mode=0o700)
        (base / "us/journal").rename(data / "journal")
        write_keys(keys)
        faults, s = fsck(fsck_exe, data, keys)
        # the caches are not part of the set: their integers are in the order of a machine
        assert {f["kind"] for f in faults} <= {"cache-missing"}, [f for f in faults if f["class"] != "cache"]
        assert s["bodies_not_opened"] == 0 and s["records"] > 20 and s["refused"] == 2 and s["disclosures"] > 0, s
        (base / "noroshi.conf").write_text(
            'node {\n\torigin = "us.cert.example"\n\tmanifest = "us/manifest"\n\tdata = "data"\n'
            '\tkeys = "keys"\n\tcontrol = "control.sock"\n}\n')
        cmd = [noroshid, "-c", str(base / "noroshi.conf")] + (["--allow-root"] if os.geteuid() == 0 else [])
        daemon = subprocess.Popen(cmd, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        end = time.monotonic() + 60
        while True:
            p = subprocess.run([noroshi, "-S", str(base / "control.sock"), "--json", "status"], capture_output=True,
                               text=True)
            if p.returncode == 0:
                break
            assert daemon.poll() is None, daemon.stderr.read()
            assert time.monotonic() < end, p.stderr
            time.sleep(0.05)
        st = json.loads(p.stdout)
        have = {o["origin"]: (o["size"], hexed(o["root"]), o["opened"]) for o in st["origins"]}
        assert have == expected(), (have, expected())
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(30) == 0, daemon.stderr.read()
        faults, s = fsck(fsck_exe, data, keys)
        assert {f["kind"] for f in faults} <= {"cache-missing"}, faults[:3]
        print(f"golden v1: {s['frames']} frames, {s['records']} records, {s['signatures']} signatures: opened and clean")
    finally:
        if daemon and daemon.poll() is None:
            daemon.kill()
            daemon.wait()
        shutil.rmtree(base, ignore_errors=True)
    assert digest() == before, "the committed set was written to"


if __name__ == "__main__":
    main(*sys.argv[1:])
