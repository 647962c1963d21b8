#!/usr/bin/env python3
"""noroshi(1) against a control socket that answers like the daemon's.

  test_cli.py NOROSHI [CASE...]      prints TAP; exits 1 when a case fails
"""
import json
import os
import pathlib
import pty
import re
import select
import stat
import subprocess
import sys
import tempfile
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import fakedaemon  # noqa: E402

NOROSHI = os.path.abspath(sys.argv[1])
ROOT = pathlib.Path(__file__).resolve().parents[3]
MAP = "value=URL,name=description,seen=date"
HEADER = "date,URL,description\n"


def env(**more):
    e = {k: v for k, v in os.environ.items() if k not in ("NOROSHI_SOCKET", "NO_COLOR")}
    return dict(e, TERM="xterm", LC_ALL="C.UTF-8", **more)


class World:
    """A directory, a daemon in it, and the program to run."""

    def __init__(self, where):
        self.dir = pathlib.Path(where)
        self.daemon = fakedaemon.FakeDaemon(self.dir / "s")

    def run(self, *args, stdin="", expect=0, **more):
        if isinstance(stdin, str):
            stdin = stdin.encode()
        p = subprocess.run([NOROSHI, "-S", self.daemon.path, *map(str, args)], input=stdin, capture_output=True,
                           cwd=self.dir, env=env(**more), start_new_session=True)
        p.out, p.err = p.stdout.decode(), p.stderr.decode()
        assert p.returncode == expect, f"{args}: exit {p.returncode}, not {expect}\n{p.out}\n{p.err}"
        return p

    def submit(self, *args, **kw):
        return self.run("submit", "--community", "iwwn", "--tlp", "AMBER", "--yes", *args, **kw)

    def terminal(self, *args, typed=()):
        """Runs at a terminal; typed: (text to wait for, what is typed then). Gives (exit, all that was shown)."""
        pid, fd = pty.fork()
        if pid == 0:
            os.chdir(self.dir)
            os.execve(NOROSHI, [NOROSHI, "-S", self.daemon.path, *map(str, args)], env())
        shown, typed = b"", list(typed)
        while True:
            if not select.select([fd], [], [], 20)[0]:
                os.kill(pid, 9)
                raise AssertionError(f"{args}: nothing more after {shown!r}")
            try:
                more = os.read(fd, 4096)
            except OSError:
                more = b""
            if not more:
                break
            shown += more
            if typed and shown.endswith(typed[0][0].encode()):
                os.write(fd, typed.pop(0)[1].encode())
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return code, shown.decode().replace("\r\n", "\n")

    def file(self, name, text):
        path = self.dir / name
        path.write_text(text, encoding="utf-8")
        return path

    def objects(self):
        return [o for _, b, _ in self.daemon.bundles for o in b["objects"]]


# --- general ---------------------------------------------------------------

def case_help(w):
    names = re.findall(r"^  (\S.*?)  +", w.run("help").out, re.M)
    assert len(names) >= 19, names
    assert w.run("--help").out.count("\n") <= 30
    for name in names:
        words = [x for x in name.split() if x.islower() and x.isalpha()]
        p = w.run(*words, "--help")
        assert p.out.startswith(f"noroshi {' '.join(words)}"), p.out
        assert p.out.count("\n") <= 24, f"{words}: {p.out}"
        assert max(map(len, p.out.splitlines())) <= 100, p.out
        assert w.run("help", *words).out == p.out


def case_manual(w):
    """noroshi(1) tells of every command and every option that there is, and of every exit status."""
    manual = ROOT / "docs/man/noroshi.1"
    text = manual.read_text()
    for line in w.run("help").out.splitlines():
        if m := re.match(r"  ((?:[a-z]+ ?)+)", line):
            words = m.group(1).strip()
            assert re.search(rf"\.(It|Cm) ?(Cm )?{words}\b", text), f"no command {words} in {manual}"
            for name in re.findall(r"--([a-z-]+)", w.run(*words.split(), "--help").out):
                assert f"Fl -{name}" in text, f"no --{name} in {manual}"
    assert re.findall(r"^\.It (\d+)$", text, re.M) == ["0", "64", "65", "69", "74", "75", "77", "78"]
    try:
        p = subprocess.run(["mandoc", "-Tlint", "-Wwarning", manual], capture_output=True, text=True)
    except FileNotFoundError:
        print("# mandoc is not installed: the form of the page is not checked")
        return
    assert p.returncode == 0 and p.stdout == "", p.stdout


def case_usage(w):
    for args, text in ((["stauts"], "noroshi stat"), (["peer", "lst"], "peer list"), (["submit", "--ltp", "x"], "--tlp"),
                       ([], "submit"), (["peer"], "invite"), (["--color", "pink", "status"], "auto, always or never"),
                       (["--json", "--csv", "status"], "exclude"), (["-q", "-v", "status"], "exclude"),
                       (["peer", "show"], "missing"), (["status", "x"], "too many"), (["-o"], "-o"),
                       (["submit", "--tlp"], "needs a value"), (["tail", "--from", "x"], "cursor"),
                       (["tail", "--from", "1.x"], "cursor"), (["tail", "--from", "1", "--since", "-7d"], "exclude"),
                       (["tail", "--count", "0"], "from 1"), (["tail", "--since", "soon"], "time"),
                       (["--json=yes", "status"], "takes no value")):
        p = w.run(*args, expect=64)
        assert text in p.err, (args, p.err)
    assert w.daemon.requests == []


def case_no_daemon(w):
    for args in (["status"], ["version"], ["peer", "list"], ["tail"], ["submit", "--tlp", "AMBER", "--to", "us.cert.example", "--yes", "-"]):
        p = subprocess.run([NOROSHI, "-S", str(w.dir / "nobody"), *args], capture_output=True, text=True, input="", env=env())
        assert p.returncode == 69 and "noroshid running" in p.stderr, p
    p = subprocess.run([NOROSHI, "--json", "status"], capture_output=True, text=True,
                       env=env(NOROSHI_SOCKET=str(w.dir / "nobody")))
    error = json.loads(p.stdout)["error"]
    assert p.returncode == 69 and set(error) == {"code", "what", "why", "next"} and str(w.dir) in error["what"], p
    p = subprocess.run([NOROSHI, "-S", "x" * 200, "status"], capture_output=True, text=True, env=env())
    assert p.returncode == 69 and "too long" in p.stderr


def case_answers_are_hostile(w):
    """Answers that are cut, huge or no JSON end in 75, and nothing worse."""
    import socket
    import threading
    frames = [b"", b"\0\0", b"\xff\xff\xff\xffJ", b"\0\0\0\x02J{", b"\0\0\0\x02J{]", b"\0\0\0\x02J[]", b"\0\0\0\x02X{}",
              b"\0\0\0\x0fJ{\"attach\":true}", b"\0\0\0\x0fJ{\"attach\":true}\0\0\0\x02J{}", b"\0\0\0\x02L{}",
              b"\0\0\0\x0cJ{\"error\":{}}", b"\0\0\0\x0aJ{\"error\":9}"[:5] + b"{\"error\":9"]
    path = str(w.dir / "hostile")
    for frame in frames:
        s = socket.socket(socket.AF_UNIX)
        s.bind(path)
        s.listen(1)

        def serve():
            conn, _ = s.accept()
            conn.recv(4096)
            conn.sendall(frame)
            conn.close()
        t = threading.Thread(target=serve, daemon=True)
        t.start()
        p = subprocess.run([NOROSHI, "-S", path, "version"], capture_output=True, env=env())
        t.join()
        s.close()
        os.unlink(path)
        assert p.returncode == 75, (frame, p)


def case_completion(w):
    def complete(*words):
        return w.run("__complete", *words).out.split()
    assert complete("") == ["init", "peer", "community", "access", "submit", "tail", "export", "verify", "import", "status", "stats", "conf", "reload", "version", "help"]
    assert complete("peer", "") == ["invite", "accept", "list", "show", "test", "suspend", "resume", "remove"]
    assert complete("peer", "show", "") == ["us.cert.example", "sg.cert.example"]
    assert complete("--color", "a") == ["auto", "always"]
    assert complete("submit", "--tlp", "AM") == ["AMBER", "AMBER+STRICT"]
    assert complete("submit", "-C", "") == ["iwwn"]
    assert "--dry-run" in complete("submit", "--community", "iwwn", "--")
    assert complete("submit", "x") == ["@file"]


# --- init ------------------------------------------------------------------

def init(w, *args, expect=0, secret="correct horse battery"):
    pw = w.file("pw", secret + "\n")
    pw.chmod(0o600)
    return w.run("init", *args, "--root-passphrase-file", pw, expect=expect)


def case_init(w):
    p = init(w, "d", "--origin", "jp.cert.example", "--listen", "127.0.0.1:7373", "--root-out", "root.pem")
    fp = p.out.strip()
    assert re.fullmatch(r"([A-Z2-7]{4}-){4}[A-Z2-7]{4}", fp), fp
    d = w.dir / "d"
    modes = {str(q.relative_to(d)): stat.S_IMODE(q.stat().st_mode) for q in d.rglob("*")}
    assert modes == {"conf.d": 0o700, "data": 0o700, "keys": 0o700, "peers": 0o700, "keys/feed.pem": 0o600,
                     "keys/log.pem": 0o600, "keys/witness.pem": 0o600, "keys/tls.pem": 0o600, "keys/kek": 0o600,
                     "manifest": 0o644, "noroshi.conf": 0o644}, modes
    assert stat.S_IMODE(d.stat().st_mode) == 0o700
    assert (d / "keys/kek").stat().st_size == 32
    lines = (d / "manifest").read_text().split("\n")
    assert lines[:4] == ["noroshi/v1/manifest", "origin jp.cert.example", "number 0", "previous -"]
    assert "address 127.0.0.1:7373" in lines and lines[-2].startswith("— jp.cert.example/root ")
    assert "BEGIN ENCRYPTED PRIVATE KEY" in (w.dir / "root.pem").read_text()
    assert stat.S_IMODE((w.dir / "root.pem").stat().st_mode) == 0o600
    keys = {(d / f"keys/{k}.pem").read_text() for k in ("feed", "log", "witness", "tls")}
    assert len(keys) == 4
    # A second one is refused and changes nothing.
    before = (d / "manifest").read_bytes()
    init(w, "d", "--origin", "jp.cert.example", "--root-out", "other.pem", expect=78)
    assert (d / "manifest").read_bytes() == before and not (w.dir / "other.pem").exists()


def case_init_refusals(w):
    for args, code in ((["d", "--origin", "Nope"], 64), (["d", "--origin", "jp"], 64), (["d"], 64),
                       (["d", "--origin", "jp.cert.example", "--listen", "7373"], 64),
                       (["d", "--origin", "jp.cert.example", "--address", "0.0.0.0:7373"], 64),
                       (["d", "--origin", "jp.cert.example", "--root-out", "nowhere/x.pem"], 74),
                       (["d", "--origin", "jp.cert.example", "--root-out", "d/keys/x.pem"], 64),
                       (["d", "--origin", "jp.cert.example", "--root-out", "d/data/../keys/x.pem"], 64),
                       (["nowhere/d", "--origin", "jp.cert.example"], 74)):
        init(w, *args, expect=code)
        assert not (w.dir / "d").exists(), args
    init(w, "d", "--origin", "jp.cert.example", secret="short", expect=65)
    assert not (w.dir / "d").exists()
    p = w.run("init", "d", "--origin", "jp.cert.example", expect=64)
    assert "passphrase" in p.err and not (w.dir / "d").exists()
    # What stands in the way stays, what was made goes.
    w.file("root.pem", "precious")
    init(w, "d", "--origin", "jp.cert.example", "--root-out", "root.pem", expect=74)
    assert (w.dir / "root.pem").read_text() == "precious" and not (w.dir / "d").exists()
    (w.dir / "d").mkdir()
    (w.dir / "d/keys").mkdir()
    w.file("d/keys/x", "precious")
    init(w, "d", "--origin", "jp.cert.example", "--root-out", "r", expect=74)
    assert sorted(p.name for p in (w.dir / "d").iterdir()) == ["keys"] and (w.dir / "d/keys/x").exists()
    (w.dir / "d/keys/x").unlink()
    (w.dir / "d/keys").chmod(0o777)
    init(w, "d", "--origin", "jp.cert.example", "--root-out", "r", expect=74)
    (w.dir / "d/keys").rmdir()
    (w.dir / "elsewhere").mkdir()
    (w.dir / "d/keys").symlink_to("../elsewhere")
    init(w, "d", "--origin", "jp.cert.example", "--root-out", "r", expect=74)
    assert sorted(p.name for p in (w.dir / "d").iterdir()) == ["keys"] and not (w.dir / "r").exists()


def case_init_made_before(w):
    """A package makes the directories, empty; a failure leaves them."""
    for name in ("d", "d/keys", "d/data", "d/conf.d", "d/peers"):
        (w.dir / name).mkdir(0o750)
    w.file("r", "precious")
    init(w, "d", "--origin", "jp.cert.example", "--root-out", "r", expect=74)
    assert sorted(p.name for p in (w.dir / "d").rglob("*")) == ["conf.d", "data", "keys", "peers"]
    init(w, "d", "--origin", "jp.cert.example", "--root-out", "root.pem")
    assert (w.dir / "d/noroshi.conf").exists() and (w.dir / "d/keys/log.pem").exists()
    init(w, "d", "--origin", "jp.cert.example", "--root-out", "root2.pem", expect=78)


def case_init_terminal(w):
    ask = [("root key: ", "correct horse battery\n"), ("Again: ", "correct horse battery\n")]
    code, shown = w.terminal("init", "d", "--origin", "jp.cert.example", typed=ask)
    assert code == 0 and "horse" not in shown, shown
    assert (w.dir / "jp.cert.example-root.pem").exists()
    ask[1] = ("Again: ", "correct horse batteries\n")
    code, shown = w.terminal("init", "e", "--origin", "jp.cert.example", "--root-out", "r", typed=ask)
    assert code == 65 and "differ" in shown and not (w.dir / "e").exists()


# --- peers, communities, status --------------------------------------------

def case_tables(w):
    out = w.run("peer", "list").out.splitlines()
    assert out[0].split() == ["peer", "state", "lag", "behind", "received", "sent", "communities", "why"], out
    assert out[1].startswith("us.cert.example  up") and "\x1b" not in "".join(out)
    assert "連絡なし\\x1b[31m" in out[2], out[2]
    assert "\x1b[32mup\x1b[0m" in w.run("--color", "always", "peer", "list").out
    csv = w.run("--csv", "peer", "list").out.split("\r\n")
    assert csv[1] == "us.cert.example,up,0,3,7,2,iwwn,", csv
    assert json.loads(w.run("--json", "peer", "list").out)["peers"][0]["name"] == "us.cert.example"
    assert "AMBER+STRICT" in w.run("community", "list").out
    assert "us.cert.example" in w.run("community", "show", "iwwn").out
    assert "Did you" not in w.run("community", "show", "nope", expect=65).err
    assert "Did you mean iwwn?" in w.run("community", "show", "iwn", expect=65).err
    p = w.run("submit", "--community", "iwnw", "--tlp", "AMBER", "--yes", "-", expect=65)
    assert "Did you mean iwwn?" in p.err and p.out == "", p.err
    assert "1 d 02 h" in w.run("status").out
    assert json.loads(w.run("status", "--json").out)["events"] == 12
    assert w.run("stats").out == ('# HELP noroshi_x xs\n# TYPE noroshi_x counter\nnoroshi_x{a="b"} 4\n'
                                  'noroshi_x{a="c\\"d\\\\"} 12345678901\n# HELP noroshi_y ys\n'
                                  "# TYPE noroshi_y gauge\nnoroshi_y 0.5\n")
    assert "noroshi_x a=b,4,xs" in w.run("--csv", "stats").out
    out = w.run("status").out
    assert "12 events; journal 1.5 KiB in 1 segment; 0 readers" in out and "Note, refused" in out, out
    assert "All is well" not in out and "! us.cert.example has 3 records that we do not have:" in out, out
    w.daemon.peer = dict(fakedaemon.PEER, behind_records=0, lag_records=1, lag_s=59.5)
    assert "All is well." in w.run("status").out
    w.daemon.peer = dict(fakedaemon.PEER, behind_records=0, lag_records=1, lag_s=61.5)
    out = w.run("status").out
    assert "All is well" not in out and "! us.cert.example has not taken 1 record, the oldest of 1 min 01 s" in out, out
    w.daemon.peer = dict(fakedaemon.PEER, behind_records=0)
    for state, text in (("full", "! journal has no space"), ("draining", "! daemon is ending")):
        w.daemon.state = state
        out = w.run("status").out
        assert "All is well" not in out and text in out, out
    w.daemon.state = "serving"
    for more, text in (({"frozen": True}, "two histories, and frozen"),
                       ({"trusted": False, "founder": "sg.cert.example"}, "accept it with noroshi peer accept, or ignore it")):
        w.daemon.more_communities = [dict(w.daemon.communities()[0], name="other", **more)]
        out = w.run("status").out
        assert "All is well" not in out and "! other is a community" in out and text in out, out
    w.daemon.more_communities = []
    assert "All is well." in w.run("status").out
    w.daemon.more_peers = [dict(fakedaemon.PEER, name="sg.cert.example", state="down"),
                           dict(fakedaemon.PEER, name="kr.cert.example", clock_ms=-120000)]
    out = w.run("status").out
    assert "All is well" not in out and "! sg.cert.example is not connected: noroshi peer test" in out, out
    assert "! kr.cert.example has another clock" in out, out
    assert w.run("conf", "show").out == "node {\n}\n"
    assert fakedaemon.FINGERPRINT in w.run("version").out
    p = w.run("reload", expect=78)
    assert "noroshi.conf:3" in p.err and "did you mean origin?" in p.err


def case_peer(w):
    assert w.run("peer", "invite").out == "-----\ninvite\n"
    w.run("peer", "invite", "-o", "inv")
    assert (w.dir / "inv").read_text() == "-----\ninvite\n"
    assert "origin us.cert.example" in w.run("peer", "show", "us.cert.example").out
    w.run("peer", "show", "xx.cert.example", expect=65)
    w.run("peer", "test", "us.cert.example")
    p = w.run("peer", "test", "sg.cert.example", expect=69)
    assert "FAILED" in p.out and "not reached" in p.out and "ask them" in p.err
    w.run("peer", "suspend", "us.cert.example")
    w.run("peer", "resume", "us.cert.example")
    w.run("peer", "remove", "us.cert.example", expect=64)
    w.run("peer", "remove", "us.cert.example", "--yes")
    assert [r["cmd"] for r, _ in w.daemon.requests[-3:]] == ["peer.suspend", "peer.resume", "peer.remove"]
    code, shown = w.terminal("peer", "remove", "us.cert.example", typed=[("[y/N] ", "n\n")])
    assert code == 75 and "Nothing was removed" in shown
    code, shown = w.terminal("peer", "remove", "us.cert.example", typed=[("[y/N] ", "y\n")])
    assert code == 0


def case_accept(w):
    inv = w.file("inv", "x")
    fp = fakedaemon.FINGERPRINT
    w.run("peer", "accept", inv, expect=64)
    assert "nobody to type it" in w.run("peer", "accept", inv, "--community", "iwwn", "--yes", expect=64).err
    w.run("peer", "accept", inv, "--community", "iwwn", "--fingerprint", "abc", expect=64)
    w.run("peer", "accept", inv, "--community", "iwwn", "--fingerprint", "AAAA" * 5, expect=77)
    w.run("peer", "accept", inv, "--community", "iwwn", "--fingerprint", fp.lower().replace("-", " "))
    w.run("peer", "accept", "-", "--community", "iwwn,aj-cert", "--address", "h.example:1", "--fingerprint", fp, stdin="x")
    req, data = w.daemon.requests[-1]
    assert req["communities"] == ["iwwn", "aj-cert"] and req["addresses"] == ["h.example:1"] and data == b"x"
    w.run("peer", "accept", "missing", "--community", "iwwn", "--fingerprint", fp, expect=74)
    n = len(w.daemon.requests)
    code, shown = w.terminal("peer", "accept", inv, "--community", "iwwn", typed=[("person: ", "AAAA" * 5 + "\n")])
    assert code == 77 and fp not in shown and len(w.daemon.requests) == n + 1, shown
    code, shown = w.terminal("peer", "accept", inv, "--community", "iwwn", "--yes", typed=[("person: ", fp.lower() + "\n")])
    assert code == 0 and w.daemon.requests[-1][0]["fingerprint"] == fp, shown


def case_create(w):
    w.run("community", "create", "Iwwn", expect=64)
    w.run("community", "create", "iwwn", "--ceiling", "RED", expect=64)
    w.run("community", "create", "iwwn", "--onward", "all", expect=64)
    w.run("community", "create", "iwwn", "--ceiling", "green", "--onward", "none", "--history")
    assert w.daemon.requests[-1][0] == {"v": 1, "cmd": "community.create", "name": "iwwn", "ceiling": "GREEN",
                                        "onward": "none", "history": True, "exercise": False}


# --- export, verify ---------------------------------------------------------

def case_export(w):
    record = b'{"type":"bundle"}'
    w.daemon.records = {"jp.cert.example/1": record, "us.cert.example/7": b"x" * (16 << 20)}
    assert w.run("export", "jp.cert.example/1").stdout == record
    assert w.run("export", "jp.cert.example/1", "-o", "-").stdout == record
    assert w.run("export", "jp.cert.example/1", "--proof").stdout == b"NRP1" + record
    assert w.daemon.requests[-1][0] == {"v": 1, "cmd": "export", "id": "jp.cert.example/1", "proof": True}
    p = w.run("export", "jp.cert.example/1~01234567", "--proof", "-o", "a.proof")
    assert p.out == "" and "bundle, TLP:AMBER" in p.err and "a.proof" in p.err, p.err
    assert stat.S_IMODE((w.dir / "a.proof").stat().st_mode) == 0o600
    (w.dir / "d").mkdir()
    p = w.run("--json", "export", "jp.cert.example/1~01234567", "us.cert.example/7", "--proof", "-o", "d")
    assert [json.loads(line)["file"] for line in p.out.splitlines()] == ["d/jp.cert.example-1.proof", "d/us.cert.example-7.proof"]
    assert (w.dir / "d/us.cert.example-7.proof").stat().st_size == (16 << 20) + 4
    w.run("export", "jp.cert.example/1", "-o", "d")
    assert (w.dir / "d/jp.cert.example-1.json").read_bytes() == record
    # One that is not here does not keep the others away.
    p = w.run("export", "jp.cert.example/2", "us.cert.example/7", "-o", "d", expect=65)
    assert "sealed" in p.err and (w.dir / "d/us.cert.example-7.json").exists()
    n = len(w.daemon.requests)
    for args, text in ((["bundle--8d3a1f5e-52d1-4c3a-9d0e-1b2c3d4e5f60"], "id of STIX"), (["17"], "not the id of a record"),
                       (["jp.cert.example/01"], "not the id"), (["jp.cert.example/1~xyz"], "not the id"),
                       (["jp.cert.example/1", "jp.cert.example/2"], "a directory"),
                       (["jp.cert.example/1", "jp.cert.example/2", "-o", "nowhere"], "a directory")):
        assert text in w.run("export", *args, expect=64).err, args
    code, shown = w.terminal("export", "jp.cert.example/1", "--proof")
    assert code == 64 and "terminal" in shown and len(w.daemon.requests) == n
    w.run("export", "jp.cert.example/1", "-o", "nowhere/x", expect=74)


def case_verify(w):
    """Only what needs no proof: the files themselves are tests/unit/proof and tests/scenario."""
    init(w, "d", "--origin", "jp.cert.example", "--root-out", "root.pem")
    bad = w.file("bad", "NRP2")
    assert "--manifest is missing" in w.run("verify", bad, expect=64).err
    assert "not a manifest" in w.run("verify", bad, "-m", bad, expect=65).err
    assert "missing" in w.run("verify", "-m", "d/manifest", expect=64).err
    w.run("verify", "nowhere", "-m", "d/manifest", expect=74)
    w.run("verify", bad, "-m", "nowhere", expect=74)
    p = w.run("verify", bad, bad, "-m", "d/manifest", expect=65)
    assert p.out == "" and p.err.count("does not verify: form") == 2 and "byte 4" in p.err, p.err
    p = w.run("verify", "-", "-m", "d/manifest", "--json", stdin=b"NRP1\2\0\0\0", expect=65)
    answer = json.loads(p.out)
    assert answer["check"] == "form" and answer["offset"] == 4 and not answer["ok"], answer
    assert set(answer["error"]) == {"code", "what", "why", "next"} and answer["error"]["code"] == "version"
    assert w.daemon.requests == []


def case_carry(w):
    """export --records and import: pieces in order, a name for whole files only, what is told and with which status."""
    w.daemon.pieces = [b"NRC1" + b"a" * 70000, b"b" * 300000, b"c"]
    whole = b"".join(w.daemon.pieces)
    assert w.run("export", "--records", "17..", "--for", "us.cert.example").stdout == whole
    assert w.daemon.requests[-1][0] == {"v": 1, "cmd": "records.export", "for": "us.cert.example", "from": 17}
    p = w.run("export", "--records", "0", "--for", "us.cert.example", "-o", "f")
    assert (w.dir / "f").read_bytes() == whole and stat.S_IMODE((w.dir / "f").stat().st_mode) == 0o600
    assert p.out == "" and "2 records and 9 leaves" in p.err and "--records 43.." in p.err and "not encrypted" in p.err, p.err
    assert json.loads(w.run("--json", "-q", "export", "--records", "0..", "--for", "us.cert.example", "-o", "f").out)["bytes"] == len(whole)
    w.file("f", "old")
    w.daemon.stream_error = True
    w.run("export", "--records", "0..", "--for", "us.cert.example", "-o", "f", expect=75)
    assert (w.dir / "f").read_text() == "old" and sorted(x.name for x in w.dir.iterdir() if x.name.startswith("f")) == ["f"]
    n = len(w.daemon.requests)
    for args, text in ((["--records", "x..", "--for", "p"], "not where to begin"), (["--records", "1..5", "--for", "p"], "not where"),
                       (["--records", "1.."], "--for"), (["--for", "p", "jp.cert.example/1"], "--records only"), ([], "missing"),
                       (["--records", "0..", "--for", "p", "--proof"], "no --proof")):
        assert text in w.run("export", *args, expect=64).err, args
    code, shown = w.terminal("export", "--records", "0..", "--for", "us.cert.example")
    assert code == 64 and "terminal" in shown and len(w.daemon.requests) == n
    for size in (0, 1, 262143, 262144, 262145, 800000):
        (w.dir / "in").write_bytes(bytes(size))
        w.daemon.imported = b""
        p = w.run("import", "in")
        pieces = [len(d) for r, d in w.daemon.requests if r["cmd"] == "records.import"]
        assert w.daemon.imported == bytes(size), (size, len(w.daemon.imported), pieces)
        assert "us.cert.example: 3 new, 1 known record; 5 new, 0 known leaves" in p.out, p.out
    assert w.run("import", "-", stdin=b"x" * 300000).err == "" and len(w.daemon.imported) == 300000 + 800000
    w.daemon.result = {"whole": False, "damage": "it is cut short, at byte 9", "refused": 2,
                       "refusals": [{"origin": "us.cert.example", "index": 7, "code": "sig", "text": "bad\x1b[31m"},
                                    {"origin": None, "index": None, "code": "type", "text": "a frame"}],
                       "gaps": [{"origin": "us.cert.example", "held": 4, "begins": 9}]}
    p = w.run("import", "in", expect=65)
    assert "refused: us.cert.example/7: bad\\x1b[31m (sig)" in p.err and "refused: a frame (type)" in p.err, p.err
    assert "held up to 4, and the file begins at 9" in p.err and "in is not whole: it is cut short" in p.err, p.err
    assert json.loads(w.run("--json", "import", "in", expect=65).out)["refused"] == 2
    w.run("import", "nowhere", expect=74)


# --- submit ----------------------------------------------------------------

def case_csv_unused_column(w):
    csv = w.file("u.csv", "url,last_seen,\nhttp://a.example/x,2026-01-05,\n")
    p = w.submit(csv)
    assert p.err.count("is not used") == 1 and 'column "last_seen" is not used; --map' in p.err, p.err
    assert "is not used" not in w.submit(csv, "--map", "value=url,seen=last_seen").err


def case_csv(w):
    csv = w.file("a.csv", HEADER + "2019/01/04 10:12:00,http://a.example/x,偽の銀行\n"
                 "2019/01/04 10:12:00,hxxp://a[.]example/x,again\n"
                 "2019/13/04,http://b.example/,bad date\n"
                 "2019/01/04 10:12:00,not a value,bad value\n"
                 "2019/01/05 00:00:00,203.0.113.7,ip\n")
    p = w.submit(csv, "--map", MAP, expect=65)
    assert p.out == "jp.cert.example/1\n"
    assert f"{csv}:4: " in p.err and f"{csv}:5: " in p.err and f"{csv}:3" not in p.err, p.err
    assert "5 rows: 2 objects sent in 1 record, 0 already shared, 1 duplicate in the input, 2 refused" in p.err
    a, b = w.objects()
    assert a["name"] == "偽の銀行" and a["pattern"] == "[url:value = 'http://a.example/x']"
    assert a["modified"] == "2019-01-04T10:12:00.000Z" and b["pattern"] == "[ipv4-addr:value = '203.0.113.7']"
    req = w.daemon.bundles[0][0]
    assert req["tlp"] == "AMBER" and req["community"] == "iwwn" and req["urgent"] is False
    p = w.submit(csv, "--map", MAP, expect=65)
    assert p.out == "" and "2 already shared" in p.err and len(w.daemon.bundles) == 1
    # One new row among the known ones: only it goes.
    csv.write_text(csv.read_text() + "2019/01/06,http://c.example/,new\n")
    p = w.submit(csv, "--map", MAP, expect=65)
    assert p.out == "jp.cert.example/2\n" and len(w.daemon.bundles[1][1]["objects"]) == 1
    # Another community or marking is another sharing.
    w.run("submit", csv, "--map", MAP, "--to", "us.cert.example,sg.cert.example", "--tlp", "RED", "--yes", expect=65)
    assert w.daemon.bundles[2][0]["to"] == ["sg.cert.example", "us.cert.example"]
    assert not {o["id"] for o in w.daemon.bundles[2][1]["objects"]} & {a["id"], b["id"]}


def case_batches(w):
    rows = "".join(f"2019/01/04 10:{i % 60:02}:00,http://h{i}.example/,n{i}\n" for i in range(25))
    w.file("a.csv", HEADER + rows[:rows.index("http://h10.")].rsplit("\n", 1)[0] + "\n")
    w.file("b.csv", HEADER + rows[rows.index("http://h10."):].split("\n", 1)[1])
    p = w.submit("a.csv", "b.csv", "--map", MAP, "--batch", "7")
    # Several are on their way at once: the order of the records is the daemon's.
    names = sorted([o["name"] for o in b["objects"]] for _, b, _ in w.daemon.bundles)
    all_names = [f"n{i}" for i in range(25) if i != 10]
    assert names == sorted(all_names[i:i + 7] for i in range(0, 24, 7)), p.err
    assert sorted(p.out.split()) == [f"jp.cert.example/{i}" for i in range(1, 5)]
    assert len({b["id"] for _, b, _ in w.daemon.bundles}) == 4
    for _, b, _ in w.daemon.bundles:
        assert re.fullmatch(r"bundle--[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", b["id"])


def case_stdin_and_json(w):
    p = w.run("--json", "submit", "-", "--community", "iwwn", "--tlp", "AMBER", "--yes", stdin="url,tlp\nhttp://a.example/,RED\nhttp://b.example/,CLEAR\n")
    lines = [json.loads(x) for x in p.out.splitlines()]
    assert [x.get("objects") for x in lines[:2]] == [1, 1], lines
    assert lines[2]["summary"]["sent"] == 2 and lines[2]["summary"]["types"] == {"url": 2}
    assert sorted(r["tlp"] for r, _, _ in w.daemon.bundles) == ["AMBER", "RED"]


def case_zones(w):
    def sent(*args, text):
        n = len(w.daemon.bundles)
        w.submit("-", "--format", "csv", *args, stdin="seen,value\n" + text)
        return [o["modified"][:19] for _, b, _ in w.daemon.bundles[n:] for o in b["objects"]]
    assert sent("--tz", "+09:00", text="2019/01/04 10:12:00,http://a.example/1\n") == ["2019-01-04T01:12:00"]
    assert sent("--tz", "-0330", text="2019/01/04 10:12:00,http://a.example/2\n") == ["2019-01-04T13:42:00"]
    assert sent("--tz", "UTC", text="2019-01-04T10:12:00+09:00,http://a.example/3\n") == ["2019-01-04T01:12:00"]
    if not pathlib.Path("/usr/share/zoneinfo/Asia/Tokyo").exists():
        print("# no zone data here: named zones are not tested")
        return
    assert sent("--tz", "Asia/Tokyo", text="2019/01/04 10:12:00,http://a.example/4\n") == ["2019-01-04T01:12:00"]
    # Berlin: 02:30 of 2025-10-26 comes twice, the first one counts; 02:30 of 2025-03-30 never comes.
    assert sent("--tz", "Europe/Berlin", text="2025-10-26 02:30,http://a.example/5\n") == ["2025-10-26T00:30:00"]
    p = w.submit("-", "--tz", "Europe/Berlin", stdin="seen,value\n2025-03-30 02:30,http://a.example/6\n", expect=65)
    assert "no such local time" in p.err
    for bad in ("Asia/Nowhere", "../etc/passwd", "+9", "+24:00", "/etc/localtime", ""):
        w.submit("-", "--tz", bad, stdin="value\nhttp://a.example/\n", expect=64)


def stix(objects, bundle="bundle--5f0d2f6e-7a0a-4f43-9d2e-1d6a3d2b9f10"):
    return json.dumps({"type": "bundle", "id": bundle, "objects": objects}, indent=1, ensure_ascii=False)


def indicator(i, **more):
    return dict({"type": "indicator", "spec_version": "2.1", "id": f"indicator--00000000-0000-4000-8000-{i:012}",
                 "created": "2024-01-01T00:00:00.000Z", "modified": "2024-01-01T00:00:00.000Z", "pattern_type": "stix",
                 "pattern": f"[url:value = 'http://h{i}.example/']", "valid_from": "2024-01-01T00:00:00Z"}, **more)


def case_stix(w):
    text = stix([indicator(i) for i in range(5)])
    f = w.file("a.json", text)
    w.submit(f)
    assert w.daemon.bundles[0][2] == text.encode(), "the exact bytes"
    p = w.submit(f)
    assert p.out == "" and "5 already shared" in p.err
    f.write_text(stix([indicator(i) for i in range(7)]))
    w.submit(f)
    assert [o["id"][-1] for o in w.daemon.bundles[1][1]["objects"]] == ["5", "6"]
    assert w.daemon.bundles[1][1]["id"] != w.daemon.bundles[0][1]["id"]
    # More than a batch: the exact bytes of every object, in order.
    many = [indicator(100 + i, description="日本語 \u2028") for i in range(10)]
    w.file("b.json", stix(many))
    w.submit("b.json", "--batch", "4")
    pieces = sorted((b["objects"] for _, b, _ in w.daemon.bundles[2:]), key=lambda v: v[0]["id"])
    assert pieces == [many[:4], many[4:8], many[8:]]


def case_stix_refused(w):
    red = "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1"
    w.file("a.json", stix([indicator(1), indicator(2, object_marking_refs=[red])]))
    p = w.submit("a.json", expect=65)
    assert "object 1 is marked TLP:RED, stricter than --tlp AMBER" in p.err and w.daemon.bundles == []
    w.file("b.json", stix([indicator(1)])[:-3])
    w.file("c.json", stix([indicator(3)]))
    p = w.submit("b.json", "c.json", expect=65)
    assert "b.json: byte " in p.err and len(w.objects()) == 1
    assert "1 object sent in 1 record," in p.err


def case_preview(w):
    csv = w.file("a.csv", HEADER + "2019/01/04,http://a.example/,x\n2019/99/04,http://b.example/,x\n")
    args = ["submit", csv, "--map", MAP, "--community", "iwwn", "--tlp", "AMBER"]
    assert "--yes" in w.run(*args, expect=64).err
    assert w.daemon.requests == []
    code, shown = w.terminal(*args, typed=[("[y/N] ", "n\n")])
    assert code == 75 and "sg.cert.example, us.cert.example" in shown and "Marked \x1b[93;40mTLP:AMBER" in shown, shown
    assert re.search(r"1 +url", shown) and "Nothing was sent" in shown and w.daemon.bundles == []
    code, shown = w.terminal(*args, typed=[("[y/N] ", "yes\n")])
    assert code == 65 and shown.count("a.csv:3: ") == 1 and len(w.daemon.bundles) == 1, shown
    p = w.run(*args, "--dry-run", expect=65)
    assert "1 object would be sent" in p.err and "us.cert.example" in p.out and len(w.daemon.bundles) == 1


def case_daemon_refuses(w):
    rows = HEADER + "".join(f"2019/01/04,http://h{i}.example/,x\n" for i in range(30))
    csv = w.file("a.csv", rows)
    e = w.daemon.error
    w.daemon.fail_next = [None, e("ceiling", "above the ceiling", 77, "because")] + [None] * 4 + [e("ceiling", "above the ceiling", 77, "because")]
    p = w.submit(csv, "--map", MAP, "--batch", "3", expect=77)
    assert "6 refused" in p.err and p.err.count("above the ceiling") == 1 and len(w.objects()) == 24, p.err
    w.daemon.fail_next = [e("full", "disk full", 75, "", "make room")]
    p = w.submit(csv, "--map", MAP, "--batch", "100", "--tlp=GREEN", expect=64)
    p = w.run("submit", csv, "--map", MAP, "--community", "iwwn", "--tlp", "GREEN", "--yes", expect=75)
    assert "make room" in p.err and "only the rest is sent" in p.err
    p = w.run("submit", csv, "--map", MAP, "--community", "iwwn", "--tlp", "GREEN", "--yes")
    assert "30 objects sent" in p.err


def case_submit_usage(w):
    csv = w.file("a.csv", "url\nhttp://a.example/\n")
    for args, code in ((["--tlp", "AMBER"], 64), (["--community", "iwwn"], 64), (["--community", "iwwn", "--to", "a.b", "--tlp", "AMBER"], 64),
                       (["--community", "iwwn", "--tlp", "PINK"], 64), (["--community", "iwwn", "--tlp", "RED"], 64),
                       (["--community", "nope", "--tlp", "AMBER"], 65), (["--to", "US", "--tlp", "AMBER"], 64),
                       (["--community", "iwwn", "--tlp", "AMBER", "--batch", "0"], 64),
                       (["--community", "iwwn", "--tlp", "AMBER", "--valid", "soon"], 64),
                       (["--community", "iwwn", "--tlp", "AMBER", "--format", "xml"], 64),
                       (["--community", "iwwn", "--tlp", "AMBER", "--sep", "xx"], 64),
                       (["--community", "iwwn", "--tlp", "AMBER", "--map", "value=nope"], 64),
                       (["--community", "iwwn", "--tlp", "AMBER", "--map", "valu=url"], 64)):
        w.run("submit", csv, "--yes", *args, expect=code)
    w.submit("missing.csv", expect=74)
    for text in ("", "url\n", "url", "\ufeff\n"):
        for mode in ("--yes", "--dry-run"):
            p = w.run("submit", w.file("empty.csv", text), "--community", "iwwn", "--tlp", "AMBER", mode, expect=65)
            assert "no rows" in p.err and p.out == "", (text, mode, p.out, p.err)
    w.submit(w.file("b.csv", "colour\nred\n"), expect=65)
    assert w.daemon.bundles == []
    w.submit(csv, "--valid", "90d")
    o, req = w.objects()[0], w.daemon.bundles[0][0]
    assert req["expires_ms"] > 0 and "valid_until" in o


def case_many_refusals(w):
    w.file("a.csv", "value\n" + "no value\n" * 150 + "http://a.example/\n")
    p = w.submit("a.csv", expect=65)
    assert p.err.count("a.csv:") == 100 and "... and 50 more; --verbose lists all" in p.err
    assert w.submit("-v", "a.csv", expect=65).err.count("a.csv:") == 150


# --- tail ------------------------------------------------------------------

LINE = ('{"event":3,"n":0,"action":"add","reason":"new","origin":"us.cert.example","index":7,"community":"iwwn","tlp":"AMBER",'
        '"time":"2026-11-22T00:00:00Z","object":{"type":"indicator","id":"indicator--x","name":"偽\\u202e\\u001b[31m",'
        '"pattern":"[url:value = \'http://bad.example/x\']"}}')


def case_tail(w):
    w.daemon.lines = [LINE, '{"action":"heartbeat","event":9,"time":"2026-11-22T00:00:00Z"}', LINE.replace('"n":0', '"n":1')]
    p = w.run("tail", "--from", "0", "--until-idle")
    assert p.out == LINE + "\n" + LINE.replace('"n":0', '"n":1') + "\n" and "--from 12.3" in p.err
    assert w.daemon.requests[-1][0] == {"v": 1, "cmd": "tail", "from": "0", "until_idle": True}
    assert w.run("tail", "--from", "3.1", "--count", "1").out == LINE + "\n"
    w.run("tail", "--since", "2025-01-06", "--tlp", "green", "-C", "iwwn")
    assert w.daemon.requests[-1][0] == {"v": 1, "cmd": "tail", "since_ms": 1736121600000, "tlp": "GREEN",
                                        "communities": ["iwwn"], "follow": True}
    code, shown = w.terminal("--color", "never", "tail", "--from", "0")
    assert code == 0 and "us.cert.example/7" in shown and "AMBER" in shown, shown
    assert "http[://]bad[.]example/x" in shown and "http://bad" not in shown and "\x1b" not in shown and "\u202e" not in shown, shown
    # as JSON, too: what is seen is the same value
    w.daemon.lines = [LINE.replace("\\u202e", "\u202e\u009b\x7f")]
    code, shown = w.terminal("--json", "tail", "--from", "0", "--count", "1")
    assert code == 0 and json.loads(shown)["object"]["name"] == "偽\u202e\u009b\x7f\x1b[31m", shown
    assert all(" " <= c <= "~" or c in "\n\x7f" for c in shown), shown


def main():
    wanted = sys.argv[2:]
    cases = [(n[5:], f) for n, f in list(globals().items()) if n.startswith("case_") and (not wanted or n[5:] in wanted)]
    print(f"1..{len(cases)}")
    bad = 0
    for i, (name, f) in enumerate(cases, 1):
        with tempfile.TemporaryDirectory(prefix="nrs") as where:
            w = World(where)
            try:
                f(w)
                print(f"ok {i} {name}", flush=True)
            except Exception:
                bad += 1
                print(f"not ok {i} {name}\n" + "".join("# " + l + "\n" for l in traceback.format_exc().splitlines()), flush=True)
            finally:
                w.daemon.close()
    sys.exit(1 if bad or not cases else 0)


if __name__ == "__main__":
    main()
