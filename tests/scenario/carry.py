#!/usr/bin/env python3
"""Two nodes that never connect: what one shares is carried to the other in files, and back.

Usage: carry.py BUILD_DIR
"""
import collections
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import fed  # noqa: E402
from noroshi_ctl import CtlError  # noqa: E402

FLIPS = 24


class Apart(fed.Fed):
    """Nodes without an address: jp founds the community, sg is its member, kr knows nobody."""

    def up(self):
        self.base.mkdir(parents=True, exist_ok=True)
        for n in self.nodes.values():
            n.dir.mkdir()
            secret = n.dir / "root.pass"
            secret.touch(mode=0o600)
            secret.write_text("correct horse battery\n")
            n.cli("init", n.dir, "--origin", n.origin, "--root-out", n.dir / "root.pem",
                  "--root-passphrase-file", secret)
            n.start()
        jp, sg, kr = (self.nodes[x] for x in ("jp", "sg", "kr"))
        jp.cli("community", "create", "iwwn")
        for n in (jp, sg, kr):
            n.cli("peer", "invite", "-o", n.dir / "invite")
            n.fingerprint = json.loads(n.cli("--json", "version").stdout)["fingerprint"]
        for a, b in ((sg, jp), (jp, sg), (jp, kr)):
            a.cli("peer", "accept", b.dir / "invite", "--community", "iwwn", "--fingerprint", b.fingerprint)
        return self


def run(f, name, *args, status=0):
    p = fed.noroshi(f.nodes[name], *args)
    assert p.returncode == status, (name, args, p.returncode, p.stdout, p.stderr)
    return p


def submit(f, name, values, **to):
    to = to or {"community": "iwwn"}
    with f.ctl(name, timeout=60) as c:
        for v in values:
            last = c.call("submit", fed.bundle([v], random.Random(v))[0], tlp="GREEN", **to)["index"]
        # A file has what the newest checkpoint covers, which follows the record.
        end = time.monotonic() + 20
        while not any(o["own"] and o["size"] > last for o in c.call("status")["origins"]):
            assert time.monotonic() < end
            time.sleep(0.01)


def write(f, name, to, start=0):
    """A file; and where the next one goes on."""
    path = f.base / f"{name}-{to}-{start}.nrc"
    end = json.loads(run(f, name, "--json", "-q", "export", "--records", f"{start}..", "--for", f"{to}.cert.example",
                         "-o", path).stdout)
    assert path.stat().st_mode & 0o777 == 0o600 and path.stat().st_size == end["bytes"], end
    return path, end["next"]


def read(f, name, path, status=0):
    p = run(f, name, "--json", "import", path, status=status)
    return json.loads(p.stdout), p.stderr


def values(f, name):
    return collections.Counter(re.fullmatch(r"\[url:value = '(.*)'\]", l["object"]["pattern"])[1] for l in f.events(name))


def check_same(f, origins, want):
    for o in origins:
        roots = f.roots(o)
        assert roots["jp"] == roots["sg"], (o, roots)
    for name in ("jp", "sg"):
        seen = values(f, name)
        assert set(seen) == set(want) and max(seen.values()) == 1, (name, len(seen), len(want))


def sums(result):
    return {k: sum(o[k]["new"] for o in result["origins"]) for k in ("leaves", "records")}


def check_there_and_back(f):
    ours = [f"http://jp{i}.example/" for i in range(40)]
    submit(f, "jp", ours)
    submit(f, "jp", ["http://direct.example/"], to=["sg.cert.example"])
    submit(f, "jp", ["http://large.example/" + "x" * (5 << 20)])
    ours += ["http://direct.example/", "http://large.example/" + "x" * (5 << 20)]
    there, after = write(f, "jp", "sg")
    got, _ = read(f, "sg", there)
    assert got["whole"] and got["refused"] == 0 and got["source"] == "jp.cert.example", got
    assert sums(got)["records"] == 43, got  # and the list of the direct audience
    # What was reported is durable.
    f.kill("sg")
    f.start("sg")
    check_same(f, ["jp.cert.example"], ours)
    theirs = [f"http://sg{i}.example/" for i in range(15)]
    submit(f, "sg", theirs)
    back, _ = write(f, "sg", "jp")
    got, _ = read(f, "jp", back)
    assert got["whole"] and got["refused"] == 0 and sums(got)["records"] == 15, got
    check_same(f, ["jp.cert.example", "sg.cert.example"], ours + theirs)
    for name, path in (("sg", there), ("jp", back)):
        got, _ = read(f, name, path)
        assert sums(got) == {"leaves": 0, "records": 0} and got["refused"] == 0, got
    check_same(f, ["jp.cert.example", "sg.cert.example"], ours + theirs)
    return ours + theirs, after


def check_parts(f, want, start):
    """Three files; the third alone does not join."""
    files = []
    for part in range(3):
        new = [f"http://part{part}-{i}.example/" for i in range(5)]
        submit(f, "jp", new)
        want += new
        path, start = write(f, "jp", "sg", start)
        files.append(path)
    got, said = read(f, "sg", files[0])
    assert sums(got)["records"] == 5, got
    got, said = read(f, "sg", files[2], 65)
    assert got["whole"] and got["gaps"] and sums(got) == {"leaves": 0, "records": 0}, got
    assert "A gap: the log of jp.cert.example is held up to" in said and "--records 0.." in said, said
    read(f, "sg", files[1])
    read(f, "sg", files[2])
    check_same(f, ["jp.cert.example"], want)
    return start


def check_damage(f, want, start):
    new = [f"http://damage{i}.example/" for i in range(8)]
    submit(f, "jp", new)
    want += new
    path, after = write(f, "jp", "sg", start)
    data = path.read_bytes()
    bad = f.base / "bad.nrc"
    rng = random.Random(5)
    for bit in rng.sample(range(8 * 60, 8 * len(data)), FLIPS):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        bad.write_bytes(changed)
        got, said = read(f, "sg", bad, 65)
        assert not got["whole"] and got["damage"] and "is not whole" in said, (bit, got)
    for cut in (30, len(data) // 2, len(data) - 1):
        bad.write_bytes(data[:cut])
        got, said = read(f, "sg", bad, 65)
        assert "cut short" in got["damage"] and "cut short" in said, got
    assert not any(o["frozen"] for o in f.status("sg")["origins"])
    got, _ = read(f, "sg", path)
    assert got["whole"] and got["refused"] == 0, got
    check_same(f, ["jp.cert.example"], want)
    return after


def check_cut_keeps(f, want, start):
    """Of a file that ends too early, what is whole is kept."""
    new = [f"http://kept{i}.example/" for i in range(20)]
    submit(f, "jp", new)
    path, after = write(f, "jp", "sg", start)
    data = path.read_bytes()
    bad = f.base / "bad.nrc"
    bad.write_bytes(data[:len(data) * 2 // 3])
    got, said = read(f, "sg", bad, 65)
    assert 0 < sums(got)["records"] < 20 and "What was good in it is taken" in said, got
    assert sums(got)["records"] == len(set(values(f, "sg")) & set(new))
    read(f, "sg", path)
    want += new
    check_same(f, ["jp.cert.example"], want)
    return after


def check_refusals(f):
    path, _ = write(f, "jp", "sg")
    for name, file, text in (("jp", path, "not for this node"), ("kr", path, "not for this node"),
                             ("sg", f.nodes["jp"].dir / "manifest", "not a carrier file")):
        p = run(f, name, "import", file, status=65)
        assert text in p.stderr, p.stderr
    kr, _ = write(f, "jp", "kr")
    p = run(f, "kr", "import", kr, status=65)
    assert "not a peer here" in p.stderr and "peer accept" in p.stderr, p.stderr
    run(f, "jp", "export", "--records", "0..", "--for", "us.cert.example", "-o", f.base / "x", status=65)
    run(f, "jp", "export", "--records", "99999..", "--for", "sg.cert.example", "-o", f.base / "x", status=65)
    assert not (f.base / "x").exists()
    run(f, "jp", "peer", "suspend", "sg.cert.example")
    p = run(f, "jp", "export", "--records", "0..", "--for", "sg.cert.example", "-o", f.base / "x", status=77)
    assert "suspended" in p.stderr, p.stderr
    run(f, "jp", "peer", "resume", "sg.cert.example")
    # One at a time; whoever goes away makes room, and what was taken stays.
    data = path.read_bytes()
    with f.ctl("sg") as c:
        assert c.call("records.import", data[:len(data) // 2])["bytes"] == len(data) // 2
        p = run(f, "sg", "import", path, status=75)
        assert "another import" in p.stderr, p.stderr
        try:
            c.call("records.import", b"\xff" * 64, end=False)
        except CtlError as e:
            raise AssertionError("damage is no error of the request") from e
    end = time.monotonic() + 20
    while fed.noroshi(f.nodes["sg"], "import", path).returncode == 75:
        assert time.monotonic() < end
    binary = os.environ["NOROSHI_BUILD"] + "/tools/noroshi/noroshi"
    out = subprocess.run(f"{binary} -q -S {f.nodes['jp'].sock} export --records 0.. --for sg.cert.example | "
                         f"{binary} -S {f.nodes['sg'].sock} import -", shell=True, capture_output=True, text=True)
    assert out.returncode == 0 and "jp.cert.example: 0 new" in out.stdout, out


def main(build):
    base = pathlib.Path(tempfile.mkdtemp(prefix="carry-"))
    f = Apart(base, ["jp", "sg", "kr"], build)
    with f:
        want, start = check_there_and_back(f)
        start = check_parts(f, want, start)
        start = check_damage(f, want, start)
        check_cut_keeps(f, want, start)
        check_refusals(f)
    shutil.rmtree(base)
    print("carry: ok")


if __name__ == "__main__":
    main(sys.argv[1])
