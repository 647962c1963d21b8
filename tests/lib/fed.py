"""A federation under test: the nodes of tools/federation, asked over their control sockets."""
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import time
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from noroshi_ctl import Ctl, CtlError  # noqa: E402,F401  (CtlError is for those who import this)

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DATA = ROOT.parent / "shared" / "data"

_loader = importlib.machinery.SourceFileLoader("federation", str(ROOT / "tools" / "federation"))
sys.dont_write_bytecode = True
federation = importlib.util.module_from_spec(importlib.util.spec_from_loader("federation", _loader))
_loader.exec_module(federation)


class Fed:
    """tools/federation in a directory of its own."""

    def __init__(self, base, names, build=None, preload=None, env=None, python=None):
        """python: names that tests/pypeer/peer plays; else NOROSHI_TEST_PYTHON says which."""
        if python is not None:
            os.environ["NOROSHI_TEST_PYTHON"] = ",".join(sorted(python))
        self.base = pathlib.Path(base).absolute()
        if build:
            os.environ["NOROSHI_BUILD"] = str(pathlib.Path(build).absolute())
        if preload:
            os.environ["FEDERATION_PRELOAD"] = str(preload)
        else:
            os.environ.pop("FEDERATION_PRELOAD", None)
        os.environ.update(env or {})
        self.names = list(names)
        self.nodes = {n: federation.Node(self.base, n) for n in names}

    def up(self):
        federation.up(self.base, self.names)
        return self

    def down(self):
        for n in self.nodes.values():
            federation.stop(n, 15)
        for n in self.nodes.values():
            log = n.dir / "log"
            if not log.exists():
                continue
            said = [l for l in log.read_text(errors="replace").splitlines()
                    if "Sanitizer" in l or "runtime error:" in l]
            if said:
                raise AssertionError(f"{log}: {len(said)} reports of a sanitizer; {said[0]}")

    def __enter__(self):
        return self.up()

    def __exit__(self, *exc):
        self.down()

    def wait(self):
        federation.wait(self.base)

    def ctl(self, name, **kw):
        return Ctl(str(self.nodes[name].sock), **kw)

    def status(self, name):
        with self.ctl(name) as c:
            return c.call("status")

    def events(self, name, start="0"):
        """Everything a node shows after a cursor, heartbeats left out."""
        with self.ctl(name, timeout=300) as c:
            return [l for l in c.stream("tail", **{"from": start}, follow=False, until_idle=False)
                    if l.get("action") != "heartbeat"]

    def kill(self, name):
        """kill -9 of the daemon and of its keeper, as a power failure takes both."""
        node = self.nodes[name]
        pid = node.pid()
        if pid is None:
            return
        kids = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for p in [pid, *map(int, kids)]:
            try:
                os.kill(p, 9)
            except ProcessLookupError:
                pass
        for p in [pid, *map(int, kids)]:
            while alive(p):
                time.sleep(0.002)

    def start(self, name):
        self.nodes[name].start()

    def roots(self, origin):
        """{node: (size, root)} of an origin's log."""
        out = {}
        for name in self.names:
            for o in self.status(name)["origins"]:
                if o["origin"] == origin:
                    out[name] = (o["size"], o["root"])
        return out


def alive(pid):
    """Anything left of it? A leader is a zombie while its threads still hold files and locks."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == 0  # reaps our own children
    except ChildProcessError:
        return federation.alive(pid)


def bundle(values, rng, created="2026-11-22T14:41:00.000Z"):
    """A STIX bundle with one indicator for each value; ids from rng. Returns (bytes, ids)."""
    ids, objects = [], []
    for v in values:
        oid = "indicator--" + str(uuid.UUID(int=rng.getrandbits(128), version=4))
        ids.append(oid)
        objects.append({"type": "indicator", "spec_version": "2.1", "id": oid, "created": created, "modified": created,
                        "name": "試験", "pattern": f"[url:value = '{v}']", "pattern_type": "stix",
                        "valid_from": created})
    b = {"type": "bundle", "id": "bundle--" + str(uuid.UUID(int=rng.getrandbits(128), version=4)), "objects": objects}
    return json.dumps(b, ensure_ascii=False).encode(), ids


def noroshi(node, *args, build=None, **kw):
    binary = pathlib.Path(os.environ["NOROSHI_BUILD"]) / "tools/noroshi/noroshi"
    return subprocess.run([str(binary), "-S", str(node.sock), *map(str, args)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, **kw)
