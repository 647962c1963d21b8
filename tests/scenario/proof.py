#!/usr/bin/env python3
"""A record of JP, exported at SG, is checked where there is nothing but JP's manifest.

Usage: proof.py BUILD_DIR
"""
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import fed  # noqa: E402

FLIPS = 150


def submit(f, name, values, **to):
    data, ids = fed.bundle(values, random.Random(values[0]))
    with f.ctl(name, timeout=60) as c:
        return data, c.call("submit", data, tlp="AMBER", **to)["id"]


def export(f, name, *args, status=0):
    p = fed.noroshi(f.nodes[name], "export", *args)
    assert p.returncode == status, (args, p.returncode, p.stderr)
    return p


class Stranger:
    """A directory with a manifest and proofs, and no daemon."""

    def __init__(self, where):
        self.dir = where
        where.mkdir()

    def verify(self, *args, status=0, manifest="manifest"):
        binary = os.environ["NOROSHI_BUILD"] + "/tools/noroshi/noroshi"
        env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "NOROSHI_SOCKET": "/nonexistent"}
        env.update((k, v) for k, v in os.environ.items() if k.endswith("SAN_OPTIONS"))
        p = subprocess.run([binary, "--json", "verify", *map(str, args), "--manifest", manifest], cwd=self.dir, env=env,
                           stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert p.returncode == status, (args, p.returncode, p.stdout, p.stderr)
        return [json.loads(line) for line in p.stdout.splitlines()], p.stderr


def check_good(f, base):
    bundle, rid = submit(f, "jp", [f"http://h{i}.example/" for i in range(3)], community="iwwn")
    submit(f, "us", ["http://us.example/"], community="iwwn")
    f.wait()
    assert export(f, "sg", rid).stdout.encode() == bundle
    jp, sg = f.nodes["jp"], f.nodes["sg"]
    away = Stranger(base / "away")
    export(f, "sg", rid, "--proof", "-o", away.dir / "record.proof")
    shutil.copy(jp.dir / "manifest", away.dir / "manifest")
    (got,), _ = away.verify("record.proof")
    index = int(rid.split("/")[1])
    origin = next(o for o in f.status("sg")["origins"] if o["origin"] == "jp.cert.example")
    assert got["ok"] and got["origin"] == "jp.cert.example" and got["index"] == index, got
    assert got["objects"] == 3 and got["kind"] == "bundle" and got["tlp"] == "AMBER" and got["bytes"] == len(bundle), got
    assert (got["size"], got["root"]) == (origin["size"], origin["root"]), (got, origin)
    assert got["fingerprint"] == f.status("jp")["fingerprint"]
    # What each node makes of the same record is the same but for what it knows of the log.
    export(f, "us", f"{rid}~{got['leaf']}", "--proof", "-o", away.dir / "us.proof")
    (other,), _ = away.verify("us.proof")
    assert other["leaf"] == got["leaf"] and other["feed_key"] == got["feed_key"]
    # An invite says who the origin is as well; a manifest of others does not matter, and does not help.
    jp.cli("peer", "invite", "-o", away.dir / "invite")
    away.verify("record.proof", "us.proof", manifest="invite")
    away.verify("record.proof", "-m", f.nodes["us"].dir / "manifest")
    (got,), said = away.verify("record.proof", status=65, manifest=str(sg.dir / "manifest"))
    assert got["check"] == "origin" and "manifest 0 of jp.cert.example" in said, got
    return away, rid


def check_flips(away):
    proof = (away.dir / "record.proof").read_bytes()
    rng = random.Random(3)
    names = []
    for i, bit in enumerate(rng.sample(range(8 * len(proof)), FLIPS)):
        bad = bytearray(proof)
        bad[bit // 8] ^= 1 << bit % 8
        names.append(f"flip-{bit}")
        (away.dir / names[-1]).write_bytes(bad)
    for n in rng.sample(range(len(proof)), 20):
        names.append(f"cut-{n}")
        (away.dir / names[-1]).write_bytes(proof[:n])
    got, _ = away.verify(*names, status=65)
    assert [g["file"] for g in got] == names and not any(g["ok"] for g in got)
    assert {g["check"] for g in got} >= {"form", "inclusion", "payload"}, {g["check"] for g in got}
    away.verify("flip-" + names[0].split("-")[1], "record.proof", status=65)


def check_refusals(f, rid):
    _, direct = submit(f, "jp", ["http://direct.example/"], to=["us.cert.example"])
    f.wait()
    for wanted, why in ((direct, "sealed here"), ("jp.cert.example/0", "public document"),
                        ("jp.cert.example/100000", "newest checkpoint"), ("kr.cert.example/1", "no log of kr"),
                        (rid + "~00000000", "the record at this index is ~")):
        assert why in export(f, "sg", wanted, "--proof", status=65).stderr, wanted
    assert export(f, "us", direct).returncode == 0


def check_large(f, away):
    """The largest payload there can be, with its proof, over the control socket."""
    values = ["http://large.example/" + "x" * 1000] * 12000
    data, rid = submit(f, "jp", values, community="iwwn")
    assert len(data) > 15 << 20, len(data)
    f.wait()
    export(f, "sg", rid, "--proof", "-o", away.dir / "large.proof")
    (got,), _ = away.verify("large.proof")
    assert got["objects"] == 12000 and got["bytes"] == len(data)


def main(build):
    base = pathlib.Path(tempfile.mkdtemp(prefix="proof-"))
    f = fed.Fed(base, ["jp", "sg", "us"], build)
    with f:
        away, rid = check_good(f, base)
        check_flips(away)
        check_refusals(f, rid)
        check_large(f, away)
    shutil.rmtree(base)
    print("proof: ok")


if __name__ == "__main__":
    main(sys.argv[1])
