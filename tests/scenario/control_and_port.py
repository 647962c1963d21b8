#!/usr/bin/env python3
"""Two real daemons: the control protocol, strangers at the port, a stopped subscriber.

Usage: control_and_port.py BUILD_DIR
"""
import json
import os
import pathlib
import re
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/lib"))
from noroshi_ctl import Ctl, CtlError, call, wait_for  # noqa: E402


def bundle(n):
    day = "2026-01-01T00:00:00.000Z"
    objects = [{"type": "indicator", "spec_version": "2.1", "id": f"indicator--{uuid.uuid4()}",
                "created": day, "modified": day, "valid_from": day, "pattern_type": "stix",
                "pattern": f"[url:value = 'http://x{i}.example/']"} for i in range(n)]
    return json.dumps({"type": "bundle", "id": f"bundle--{uuid.uuid4()}",
                       "objects": objects}).encode()


def refused(code, exit_status, sock, cmd, attach=None, **members):
    try:
        call(sock, cmd, attach, **members)
    except CtlError as e:
        assert (e.code, e.exit) == (code, exit_status), (cmd, e.code, e.exit, e.why)
        assert e.what and e.why and e.next, cmd
        return
    raise AssertionError(f"{cmd}: not refused")


def check_refusals(a):
    refused("unknown", 64, a, "statsu")
    refused("syntax", 64, a, "status", nam="x")
    refused("syntax", 64, a, "peer.show")
    refused("syntax", 64, a, "submit", tlp="AMBER", community="iwwn")
    refused("unknown", 65, a, "peer.show", name="nobody.example.com")
    refused("stix", 65, a, "submit", b"{}", community="iwwn", tlp="AMBER")
    refused("unknown", 65, a, "submit", bundle(1), community="nope", tlp="AMBER")
    refused("range", 64, a, "submit", bundle(1), community="iwwn", tlp="PURPLE")
    refused("range", 65, a, "tail", **{"from": "99999"})
    for junk, code in ((b"GET / HTTP/1.0\r\n\r\n", "syntax"),
                       (struct.pack(">Ic", 2, b"J") + b"[]", "syntax"),
                       (struct.pack(">Ic", 1 << 30, b"J"), "limit"),
                       (struct.pack(">Ic", 5, b"B") + b"abcde", "syntax")):
        with Ctl(a) as c:
            c.sock.sendall(junk)
            assert json.loads(c.recv_frame()[1])["error"]["code"] == code, junk
            try:
                assert c.sock.recv(1) == b"", junk
            except ConnectionResetError:
                pass


def check_accept(a, b):
    invite = call(b, "peer.invite")["data"]
    shown = call(a, "peer.accept", invite)
    assert shown["fingerprint"] == call(b, "version")["fingerprint"]
    refused("pin", 77, a, "peer.accept", invite, communities=["iwwn"],
            fingerprint="AAAA-AAAA-AAAA-AAAA-AAAA")
    refused("unknown", 65, a, "peer.accept", invite, communities=["zzz"],
            fingerprint=shown["fingerprint"])
    call(a, "peer.accept", invite, communities=["iwwn"], fingerprint=shown["fingerprint"])


def check_stream(a, b):
    first = bundle(1000)
    assert call(a, "submit", first, community="iwwn", tlp="AMBER", dry_run=True) == {
        "recipients": ["us.cert.example"], "objects": 1000}
    assert call(a, "submit", first, community="iwwn", tlp="AMBER")["objects"] == 1000
    assert len(call(a, "submit", first, community="iwwn", tlp="AMBER")["known"]) == 1000
    assert len(call(a, "submit", first, community="iwwn", tlp="AMBER", dry_run=True)["known"]) == 1000
    assert call(a, "submit", first, community="iwwn", tlp="GREEN", dry_run=True)["objects"] == 1000
    for _ in range(20):
        call(a, "submit", bundle(200), community="iwwn", tlp="AMBER")
    call(b, "idle", timeout_s=60)
    with Ctl(b) as c:
        lines = list(c.stream("tail", **{"from": "0"}))
        assert len(lines) == 5000 and len({x["object"]["id"] for x in lines}) == 5000
        at = lines[1700]
        rest = list(c.stream("tail", **{"from": f"{at['event']}.{at['n'] + 1}"}))
        assert rest == lines[1701:]
        assert list(c.stream("tail", **{"from": c.end["cursor"]})) == []
    direct = bundle(3)
    for want in ({"recipients": ["us.cert.example"], "objects": 3}, {"known": [0, 1, 2]}):
        assert call(a, "submit", direct, to=["us.cert.example"], tlp="AMBER", dry_run=True) == want
        call(a, "submit", direct, to=["us.cert.example"], tlp="AMBER")


def check_stopped_reader(a, b):
    stopped = [Ctl(b) for _ in range(20)]
    for c in stopped:
        c.send("tail", follow=True, **{"from": "0"})
    for _ in range(50):
        call(a, "submit", bundle(200), community="iwwn", tlp="AMBER")
    call(b, "idle", timeout_s=60)
    assert call(b, "status")["readers"] == 20
    for c in stopped:
        c.close()
    wait_for(b, lambda s: s["readers"] == 0)


def hand_over(port, data):
    with socket.create_connection(("127.0.0.1", port), timeout=15) as s:
        try:
            s.sendall(data)
            while s.recv(4096):
                pass
        except OSError:
            pass


def handshake(port, **settings):
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ctx.check_hostname = False
    ctx.verify_mode = ssl.CERT_NONE
    for name, value in settings.items():
        if name == "alpn":
            ctx.set_alpn_protocols([value])
        elif name == "cert":
            ctx.load_cert_chain(*value)
        else:
            setattr(ctx, name, value)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=15) as s, \
                ctx.wrap_socket(s) as t:
            while t.recv(4096):
                pass
    except OSError:
        pass


def check_port(a, dir_):
    port = int(re.search(r"127\.0\.0\.1:(\d+)", (dir_ / "jp/noroshi.conf").read_text())[1])
    key, cert = dir_ / "k.pem", dir_ / "c.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-keyout", key,
                    "-out", cert, "-subj", "/CN=x"], check=True, capture_output=True)
    hand_over(port, b"GET / HTTP/1.0\r\n\r\n")
    handshake(port, maximum_version=ssl.TLSVersion.TLSv1_2)
    handshake(port, alpn="noroshi/1")
    handshake(port, alpn="noroshi/1", cert=(cert, key))
    handshake(port, alpn="h2", cert=(cert, key))

    def counts(answer):
        return {m["labels"]["reason"]: m["value"] for m in answer["metrics"]
                if m["name"] == "noroshi_connections_refused_total" and m["value"]}
    want = {"plain": 1, "version": 1, "cert": 1, "pin": 1, "alpn": 1}
    wait_for(a, lambda s: counts(s) == want, cmd="stats")
    for _ in range(50):
        hand_over(port, b"GET / HTTP/1.0\r\n\r\n")
    wait_for(a, lambda s: counts(s).get("plain") == 51, cmd="stats")
    log = (dir_ / "jp/log").read_text()
    assert log.count("refused: no TLS was spoken") == 1, "said once for an address"
    assert call(a, "peer.list")["peers"][0]["up_since"], "the session lives"


def check_peer_test(a):
    checks = call(a, "peer.test", name="us.cert.example")["checks"]
    assert [c["name"] for c in checks] == ["configured", "address", "tls", "pin", "session",
                                           "clock", "version", "communities"]
    assert all(c["ok"] is True for c in checks), checks
    call(a, "peer.suspend", name="us.cert.example")
    assert call(a, "peer.test", name="us.cert.example")["checks"][0]["ok"] is False
    call(a, "peer.resume", name="us.cert.example")
    wait_for(a, lambda s: s["peers"][0]["up_since"])


def main(build):
    env = dict(os.environ, NOROSHI_BUILD=build)
    tool = str(ROOT / "tools/federation")
    with tempfile.TemporaryDirectory(prefix="nrs") as d:
        dir_ = pathlib.Path(d)
        try:
            subprocess.run([tool, "up", d, "jp", "us"], env=env, check=True)
            a, b = str(dir_ / "jp/control.sock"), str(dir_ / "us/control.sock")
            check_refusals(a)
            check_stream(a, b)
            check_stopped_reader(a, b)
            check_port(a, dir_)
            check_accept(a, b)
            check_peer_test(a)
        finally:
            subprocess.run([tool, "down", d], env=env, check=False)
        for log in dir_.glob("*/log"):
            assert "Sanitizer" not in log.read_text(errors="replace"), log
    print("control_and_port: ok")


if __name__ == "__main__":
    main(sys.argv[1])
