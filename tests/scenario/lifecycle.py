#!/usr/bin/env python3
"""Two real daemons, ended and started in every way an operator or a bad day does it.

Usage: lifecycle.py BUILD_DIR
"""
import collections
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import fed  # noqa: E402
from noroshi_ctl import Ctl, CtlError, wait_for  # noqa: E402

ROWS = 20000
PEER = "us.cert.example"


def until(condition, what, timeout=30):
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.01)


def ended(pid, timeout):
    """The exit status of a daemon, a child of ours, within timeout."""
    end = time.monotonic() + timeout
    while True:
        got, status = os.waitpid(pid, os.WNOHANG)
        if got:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > end:
            raise TimeoutError(f"noroshid {pid} has not ended after {timeout} s")
        time.sleep(0.01)


def cli(node, *args, status=0):
    p = fed.noroshi(node, *args)
    assert p.returncode == status, (args, p.returncode, p.stderr)
    return p


def foreground(node):
    """A start that is expected to fail."""
    cmd = [os.environ["NOROSHI_BUILD"] + "/daemon/noroshid", "-c", str(node.dir / "noroshi.conf"), "--allow-root"]
    return subprocess.run(cmd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)


def values(f, name):
    """Counter of the values a node shows."""
    return collections.Counter(re.fullmatch(r"\[url:value = '(.*)'\]", l["object"]["pattern"])[1]
                               for l in f.events(name))


def check_once(f, want, exact=True):
    """Each value is there exactly once at both nodes; with exact, nothing else is."""
    f.wait()
    for name in f.names:
        seen = values(f, name)
        assert want <= set(seen), f"{name}: {len(want - set(seen))} of {len(want)} are missing"
        assert not exact or set(seen) == want, f"{name}: {len(set(seen) - want)} too many"
        assert max(seen.values()) == 1, f"{name}: {sum(c > 1 for c in seen.values())} are there twice"
    return seen


def publish(f, name, value):
    with f.ctl(name) as c:
        c.call("submit", fed.bundle([value], random.Random(value))[0], community="iwwn", tlp="GREEN")
    return value


def check_term(f):
    """SIGTERM under load: ends with 0, what was acknowledged is kept."""
    acked, odd = [], []

    def lane(n):
        rng = random.Random(n)
        try:
            with f.ctl("jp") as c:
                for i in range(100000):
                    value = f"http://term-{n}-{i}.example/"
                    c.call("submit", fed.bundle([value], rng)[0], community="iwwn", tlp="GREEN")
                    acked.append(value)
        except (EOFError, ConnectionError):
            pass
        except CtlError as e:
            if e.exit != 75:  # "later": it drains
                odd.append(e)

    threads = [threading.Thread(target=lane, args=(n,)) for n in range(4)]
    for x in threads:
        x.start()
    until(lambda: len(acked) > 100, "nothing is acknowledged")
    pid = f.nodes["jp"].pid()
    os.kill(pid, signal.SIGTERM)
    status = ended(pid, 12)
    for x in threads:
        x.join()
    assert status == 0, f"SIGTERM: status {status}"
    assert not odd, odd
    assert not f.nodes["jp"].sock.exists(), "control.sock is left behind"
    assert "not drained" not in (f.nodes["jp"].dir / "log").read_text()
    f.start("jp")
    # One that was signed, but not answered any more, is there too.
    return set(check_once(f, set(acked), exact=False))


def half_submit(f, rows):
    """A submission of which some is acknowledged and the rest not yet given: (process, rest)."""
    before = f.status("jp")["events"]
    p = subprocess.Popen([os.environ["NOROSHI_BUILD"] + "/tools/noroshi/noroshi", "-S", f.nodes["jp"].sock, *CSV],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    half = "".join(rows[:len(rows) // 2 + 1]).encode()
    p.stdin.write(half)
    p.stdin.flush()
    wait_for(str(f.nodes["jp"].sock), lambda s: s["events"] > before)
    return p, "".join(rows[len(rows) // 2 + 1:]).encode()


CSV = ["submit", "-", "--format", "csv", "--map", "value=url", "--community", "iwwn", "--tlp", "GREEN", "--yes"]


def again(f, rows):
    p = subprocess.run([os.environ["NOROSHI_BUILD"] + "/tools/noroshi/noroshi", "-S", f.nodes["jp"].sock, *CSV],
                       input="".join(rows), capture_output=True, text=True)
    assert p.returncode == 0, (p.returncode, p.stderr)
    told = re.search(r"(\d+) objects? sent in .* (\d+) already shared", p.stderr)
    assert told, p.stderr
    sent, known = map(int, told.groups())
    assert sent + known == ROWS and sent > 0 and known > 0, p.stderr


def check_killed_submit(f, there):
    for who in ("cli", "daemon"):
        urls = [f"http://{who}-{i}.example/" for i in range(ROWS)]
        rows = ["url\n", *(u + "\n" for u in urls)]
        p, rest = half_submit(f, rows)
        if who == "cli":
            p.kill()
            p.communicate()
        else:
            f.kill("jp")
            _, err = p.communicate(rest)
            assert p.returncode in (69, 75) and b"Repeat the same command" in err, (p.returncode, err)
            f.start("jp")
        again(f, rows)
        there |= set(urls)
        check_once(f, there)


def link(f, name):
    peers = f.status(name)["peers"]
    return peers[0]["state"] if peers else None


def check_peer(f, there):
    """Suspended and resumed, removed and accepted: each catches up, with no restart."""
    jp = f.nodes["jp"]
    pids = [n.pid() for n in f.nodes.values()]
    us = json.loads(cli(f.nodes["us"], "--json", "version").stdout)["fingerprint"]
    ways = ((("peer", "suspend", PEER), ("peer", "resume", PEER)),
            (("peer", "remove", PEER, "--yes"),
             ("peer", "accept", f.nodes["us"].dir / "invite", "--community", "iwwn", "--fingerprint", us)))
    for off, on in ways:
        cli(jp, *off)
        until(lambda: link(f, "us") != "up" and link(f, "jp") != "up", "the link stays")
        for name in f.names:
            there.add(publish(f, name, f"http://{off[1]}-{name}.example/"))
        cli(jp, *on)
        check_once(f, there)
    assert pids == [n.pid() for n in f.nodes.values()]


def check_reload(f, there):
    node = f.nodes["jp"]
    conf = node.dir / "noroshi.conf"
    good = conf.read_text()
    want = good + '\nsubscriber "soc" {\n\tsocket = "soc.sock"\n}\n'
    for bad, line in ((good + '\nsubscriber "soc" {\n\tsockte = "soc.sock"\n}\n', good.count("\n") + 3),
                      (good + '\nsubscriber "soc" {\n\tsocket = "no/such/soc.sock"\n}\n', good.count("\n") + 2),
                      (good.replace('data = "data"', 'data = "data2"'), None)):
        conf.write_text(bad)
        p = fed.noroshi(node, "reload")
        assert p.returncode == 78, (p.returncode, p.stderr)
        assert f"noroshi.conf:{line or ''}" in p.stderr, p.stderr
        os.kill(node.pid(), signal.SIGHUP)  # the same by signal, and it lives
        there.add(publish(f, "jp", f"http://reload-{line}.example/"))
        assert f.status("jp")["state"] == "serving" and not (node.dir / "soc.sock").exists()
    conf.write_text(want)
    cli(node, "reload")
    assert (node.dir / "soc.sock").is_socket()
    check_once(f, there)


def check_log(f):
    """SIGHUP opens the log again after it was moved away."""
    node = f.nodes["jp"]
    conf = node.dir / "noroshi.conf"
    conf.write_text(conf.read_text().replace("node {\n", 'node {\n\tlog = "noroshid.log"\n', 1))
    cli(node, "reload")
    log, old = node.dir / "noroshid.log", node.dir / "noroshid.log.1"
    until(log.exists, "the log is not there")
    log.rename(old)
    os.kill(node.pid(), signal.SIGHUP)
    until(lambda: log.exists() and "reloaded" in log.read_text(), "the log was not opened again")
    size = old.stat().st_size
    cli(node, "reload")
    assert old.stat().st_size == size, "something still writes to the old log"


def check_leftovers(f, there):
    """A second daemon is turned away; sockets of one that was killed are no hindrance."""
    node = f.nodes["jp"]
    pid = node.pid()
    p = foreground(node)
    said = p.stderr + (node.dir / "noroshid.log").read_text()
    assert p.returncode == 75 and f"in use by another noroshid (pid {pid})" in said, (p.returncode, p.stderr)
    assert f"(pid {pid})" in p.stderr, f"who starts it by hand is told nothing: {p.stderr!r}"
    assert node.pid() == pid and f.status("jp")["state"] == "serving"
    there.add(publish(f, "jp", "http://second.example/"))
    f.kill("jp")
    assert node.sock.is_socket() and (node.dir / "soc.sock").is_socket()
    f.start("jp")
    with Ctl(str(node.sock)) as c:
        c.call("status")
    assert (node.dir / "soc.sock").is_socket()
    check_once(f, there)


def check_keeper(f, there):
    node = f.nodes["jp"]
    if node.python():
        print("check_keeper: skipped: the Python peer is one process, without a keeper")
        return
    pid = node.pid()
    keeper, = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    os.kill(int(keeper), signal.SIGKILL)
    assert ended(pid, 12) == 70
    assert "ERROR keeper: " in (node.dir / "noroshid.log").read_text()
    f.start("jp")
    there.add(publish(f, "jp", "http://keeper.example/"))
    check_once(f, there)


def check_root_key(f, there):
    """The root key does not belong on this machine's disk, wherever it is put."""
    node = f.nodes["jp"]
    pid = node.pid()
    os.kill(pid, signal.SIGTERM)
    assert ended(pid, 12) == 0
    for where in ("data/root.pem", "keys/backup"):
        shutil.copy(node.dir / "root.pem", node.dir / where)
        p = foreground(node)
        assert p.returncode == 78 and where in p.stderr and "root" in p.stderr, (where, p.returncode, p.stderr)
        (node.dir / where).unlink()
    f.start("jp")
    check_once(f, there)


def main(build):
    base = pathlib.Path(tempfile.mkdtemp(prefix="life-"))
    f = fed.Fed(base, ["jp", "us"], build)
    with f:
        there = check_term(f)
        for check in (check_killed_submit, check_peer, check_reload):
            t = time.monotonic()
            check(f, there)
            print(f"{check.__name__}: {time.monotonic() - t:.1f} s", flush=True)
        check_log(f)
        for check in (check_leftovers, check_keeper, check_root_key):
            t = time.monotonic()
            check(f, there)
            print(f"{check.__name__}: {time.monotonic() - t:.1f} s", flush=True)
    shutil.rmtree(base)
    print("lifecycle: ok")


if __name__ == "__main__":
    main(sys.argv[1])
