#!/usr/bin/env python3
"""A disk that fills up under a running node, and has space again.

Usage: full_disk.py BUILD_DIR

Submissions are refused with that reason (full, exit 75), reading and serving go
on, the peer keeps its session; with space again all goes on without a restart,
what was signed before goes out, and nothing is there twice.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/lib"))
from noroshi_ctl import Ctl, CtlError, call, wait_for  # noqa: E402


def bundle(n):
    day = "2026-01-01T00:00:00.000Z"
    noise = [uuid.uuid4().hex for _ in range(n)]
    objects = [{"type": "indicator", "spec_version": "2.1", "id": f"indicator--{uuid.uuid4()}",
                "created": day, "modified": day, "valid_from": day, "pattern_type": "stix",
                "pattern": f"[url:value = 'http://{x}.example/']"} for x in noise]
    return json.dumps({"type": "bundle", "id": f"bundle--{uuid.uuid4()}", "objects": objects}).encode()


def seen(sock):
    with Ctl(sock) as c:
        return [x["object"]["id"] for x in c.stream("tail", **{"from": "0"})]


def submit(sock, data):
    return call(sock, "submit", data, community="iwwn", tlp="AMBER")


def try_it(dir_, tool, env):
    a, b = (str(dir_ / n / "control.sock") for n in ("jp", "us"))
    subprocess.run([tool, "kill", dir_, "jp"], env=env, check=True)
    with open(dir_ / "jp/noroshi.conf", "a") as f:
        f.write("\nlimits { segment = 1M }\n")
    preload = dict(env, FEDERATION_PRELOAD=str(pathlib.Path(env["NOROSHI_BUILD"]) / "tests/crash/full.so"))
    subprocess.run([tool, "start", dir_, "jp"], env=preload, check=True)
    wait_for(a, lambda s: s["peers"][0]["state"] == "up")

    for _ in range(3):
        submit(a, bundle(200))
    call(b, "idle", timeout_s=60)
    # A reader that is there goes on; what it is given is in the journal already.
    reader = Ctl(a)
    lines = reader.stream("tail", **{"from": "0"}, follow=True)
    before = [next(lines)["object"]["id"]]
    (dir_ / "jp/full").touch()
    # What is reserved already may be used up; the one that meets the end waits, signed.
    held = Ctl(a)
    for _ in range(2000):
        if call(a, "status")["state"] == "full":
            break
        shown = call(a, "status")["events"]
        held.send("submit", bundle(1000), community="iwwn", tlp="AMBER")
        wait_for(a, lambda s, n=shown: s["events"] > n or s["state"] == "full")
        if call(a, "status")["state"] == "full":
            break
        held.close()
        held = Ctl(a)
    late = bundle(10)
    try:
        submit(a, late)
        raise AssertionError("taken on a full disk")
    except CtlError as e:
        assert (e.code, e.exit) == ("full", 75) and "space" in e.why and e.next, (e.code, e.exit, e.why)
    while len(before) < 600:
        before.append(next(lines)["object"]["id"])
    reader.close()
    try:
        seen(a)
        raise AssertionError("a new reader on a full disk: the journal cannot say so")
    except CtlError as e:
        assert (e.code, e.exit) == ("full", 75) and e.next, (e.code, e.exit, e.why)
    assert call(a, "peer.list")["peers"][0]["state"] == "up"
    submit(b, bundle(10))
    (dir_ / "jp/full").unlink()
    wait_for(a, lambda s: s["state"] == "serving")
    submit(a, late)
    held.close()
    call(a, "idle", timeout_s=60)
    call(b, "idle", timeout_s=60)
    here, there = seen(a), seen(b)
    assert len(here) == len(set(here)) and set(here) == set(there) and len(there) == len(set(there))
    assert here[:len(before)] == before and len(here) >= len(before) + 20
    log = (dir_ / "jp/log").read_text()
    assert log.count("journal: no space left") == 1 and "there is space again" in log


def main(build):
    if "jp" in os.environ.get("NOROSHI_TEST_PYTHON", "").split(","):
        print("skipped: the layer that fills the disk up knows the journal of noroshid, and jp is the Python peer")
        sys.exit(77)
    env = dict(os.environ, NOROSHI_BUILD=build)
    tool = str(ROOT / "tools/federation")
    with tempfile.TemporaryDirectory(prefix="nrs") as d:
        try:
            subprocess.run([tool, "up", d, "jp", "us"], env=env, check=True)
            try_it(pathlib.Path(d), tool, env)
        except BaseException:
            sys.stderr.write((pathlib.Path(d) / "jp/log").read_text()[-2000:])
            raise
        finally:
            subprocess.run([tool, "down", d], env=env, check=False)
    print("full_disk: ok")


if __name__ == "__main__":
    main(str(pathlib.Path(sys.argv[1]).resolve()))
