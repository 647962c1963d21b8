"""A control socket that answers like noroshid, for tests of the command line.

It speaks docs/CONTROL.md strictly: a request with a member that the document
does not have is an error, as it is for the daemon.
"""
import base64
import json
import os
import socket
import struct
import threading

ORIGIN = "jp.cert.example"
FINGERPRINT = "ABCD-EFGH-IJKL-MNOP-QRST"
COMMUNITY = bytes(range(32))
MEMBERS = ["jp.cert.example", "sg.cert.example", "us.cert.example"]
MEMBERS_OF = {
    "version": set(), "status": set(), "peer.list": set(), "community.list": set(), "stats": set(),
    "conf.show": set(), "reload": set(), "peer.invite": set(),
    "peer.show": {"name"}, "peer.test": {"name"}, "peer.suspend": {"name"}, "peer.resume": {"name"},
    "peer.remove": {"name"},
    "peer.accept": {"communities", "addresses", "fingerprint"},
    "community.create": {"name", "ceiling", "onward", "history", "exercise"},
    "submit": {"community", "to", "tlp", "urgent", "expires_ms", "dry_run"},
    "export": {"id", "proof"}, "records.export": {"for", "from"}, "records.import": {"end"},
    "tail": {"from", "since_ms", "follow", "until_idle", "tlp", "communities", "heartbeat_s"},
}
PEER = {"name": "us.cert.example", "state": "up", "why": None, "suspended": False, "lag_records": 0,
        "lag_s": 0.0, "behind_records": 3, "rx_bytes": 1536, "tx_bytes": 10, "rx_records": 7,
        "tx_records": 2, "refused_in": 0, "refused_out": 0, "clock_ms": 1, "up_since": "2026-11-22T00:00:00Z",
        "communities": ["iwwn"]}


class Refused(Exception):
    pass


class FakeDaemon:
    def __init__(self, path):
        self.path = str(path)
        self.requests = []     # (request, attached)
        self.bundles = []      # of real submissions
        self.shared = set()    # (tlp, id, modified)
        self.fail_next = []    # errors for the submissions to come
        self.lines = []        # of tail
        self.peer = PEER       # in status
        self.more_peers = []
        self.records = {}      # of export: id -> payload
        self.pieces = []       # of records.export
        self.stream_error = False
        self.imported = b""
        self.result = {}       # of records.import, besides what is usual
        self.more_communities = []
        self.state = "serving"
        self.lock = threading.Lock()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(16)
        self.acceptor = threading.Thread(target=self.accept, daemon=True)
        self.acceptor.start()

    def close(self):
        # Ended before its descriptor is free: else it would accept for the next one.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.acceptor.join()
        self.listener.close()
        os.unlink(self.path)

    def accept(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    @staticmethod
    def read(conn, n):
        data = b""
        while len(data) < n:
            more = conn.recv(n - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def frame(self, conn):
        n, kind = struct.unpack(">Ic", self.read(conn, 5))
        return kind, self.read(conn, n)

    @staticmethod
    def send(conn, kind, data):
        conn.sendall(struct.pack(">Ic", len(data), kind) + data)

    def serve(self, conn):
        try:
            while True:
                kind, body = self.frame(conn)
                assert kind == b"J", kind
                req = json.loads(body)
                data = None
                if req.get("attach"):
                    kind, data = self.frame(conn)
                    assert kind == b"B", kind
                with self.lock:
                    self.requests.append((req, data))
                    answer, attached = self.answer(req, data)
                if req["cmd"] == "tail" and "error" not in answer:
                    for line in self.lines:
                        self.send(conn, b"L", line.encode() + b"\n")
                if req["cmd"] == "records.export":
                    for i, piece in enumerate(self.pieces):
                        self.send(conn, b"L", b'{"done":%d,"total":%d}\n' % (i, len(self.pieces)))
                        self.send(conn, b"B", piece)
                if attached is not None:
                    answer["attach"] = True
                self.send(conn, b"J", json.dumps(answer).encode())
                if attached is not None:
                    self.send(conn, b"B", attached)
        except (EOFError, OSError):
            pass
        finally:
            conn.close()

    @staticmethod
    def error(code, what, exit_code, why="", next_step=""):
        return {"error": {"code": code, "what": what, "why": why, "next": next_step, "exit": exit_code}}

    def answer(self, req, data):
        cmd = req.get("cmd")
        allowed = MEMBERS_OF.get(cmd)
        if req.get("v") != 1 or allowed is None or set(req) - allowed - {"v", "cmd", "attach"}:
            return self.error("syntax", f"not a request: {sorted(req)}", 64), None
        return getattr(self, "do_" + cmd.replace(".", "_"))(req, data)

    def do_version(self, req, data):
        return {"version": "0.1.0", "origin": ORIGIN, "fingerprint": FINGERPRINT, "protocol": 1}, None

    def do_status(self, req, data):
        return {"version": "0.1.0", "origin": ORIGIN, "fingerprint": FINGERPRINT, "state": self.state,
                "started": "2026-11-22T00:00:00Z", "uptime_s": 93784, "events": 12,
                "journal": {"bytes": 1536, "segments": 1, "batches": 3},
                "origins": [{"origin": ORIGIN, "own": True, "size": 5, "root": "A" * 44, "opened": 5,
                             "refused": 0, "frozen": False, "source": None}],
                "peers": [self.peer] + self.more_peers,
                "communities": self.communities() + self.more_communities, "refusals": {"syntax": 2}, "readers": 0}, None

    def communities(self):
        return [{"name": "iwwn", "id": base64.b64encode(COMMUNITY).decode(), "founder": ORIGIN, "epoch": 2,
                 "ceiling": "AMBER+STRICT", "trusted": True, "member": True, "steward": True, "frozen": False,
                 "history": False, "exercise": False, "onward": "members", "members": MEMBERS}]

    def do_community_list(self, req, data):
        return {"communities": self.communities()}, None

    def do_community_create(self, req, data):
        return {"id": base64.b64encode(COMMUNITY).decode()}, None

    def do_peer_list(self, req, data):
        return {"peers": [PEER, dict(PEER, name="sg.cert.example", state="down", why="連絡なし\x1b[31m")]}, None

    def do_peer_show(self, req, data):
        if req["name"] != PEER["name"]:
            return self.error("unknown", "unknown peer", 65, "there are: us.cert.example"), None
        return dict(PEER, manifest="noroshi/v1/manifest\norigin us.cert.example\n", addresses=["127.0.0.1:1"],
                    fingerprint=FINGERPRINT), None

    def do_peer_test(self, req, data):
        good = req["name"] == PEER["name"]
        return {"checks": [{"name": "configured", "ok": True, "fact": "yes", "next": None},
                           {"name": "address", "ok": good, "fact": "127.0.0.1:1", "next": "ask them"},
                           {"name": "tls", "ok": True if good else None, "fact": "", "next": None}]}, None

    def do_peer_suspend(self, req, data):
        return {"ok": True}, None

    do_peer_resume = do_peer_remove = do_peer_suspend

    def do_peer_invite(self, req, data):
        return {}, b"-----\ninvite\n"

    def do_peer_accept(self, req, data):
        if "fingerprint" not in req:
            return {"name": "us.cert.example", "fingerprint": FINGERPRINT, "addresses": [], "offers": []}, None
        if req["fingerprint"] != FINGERPRINT:
            return self.error("fingerprint", "the fingerprint differs", 77), None
        return {"name": "us.cert.example", "communities": req["communities"]}, None

    def do_conf_show(self, req, data):
        return {"text": "node {\n}\n"}, None

    def do_reload(self, req, data):
        return self.error("conf", "noroshi.conf:3: unknown key \"orgin\"", 78, "", "did you mean origin?"), None

    def do_stats(self, req, data):
        return {"metrics": [{"name": "noroshi_x", "help": "xs", "type": "counter", "value": 4, "labels": {"a": "b"}},
                            {"name": "noroshi_y", "help": "ys", "type": "gauge", "value": 0.5, "labels": {}},
                            {"name": "noroshi_x", "help": "xs", "type": "counter", "value": 12345678901.0,
                             "labels": {"a": 'c"d\\'}}]}, None

    def do_submit(self, req, data):
        bundle = json.loads(data)
        assert bundle["type"] == "bundle" and bundle["objects"], bundle
        if self.fail_next and (error := self.fail_next.pop(0)) is not None:
            return error, None
        if req.get("dry_run"):
            return {"recipients": req.get("to") or MEMBERS[1:], "objects": len(bundle["objects"])}, None
        keys = [(req["tlp"], o["id"], o.get("modified")) for o in bundle["objects"]]
        known = [i for i, k in enumerate(keys) if k in self.shared]
        if known:
            return {"known": known}, None
        self.shared.update(keys)
        self.bundles.append((req, bundle, data))
        n = len(self.bundles)
        return {"id": f"{ORIGIN}/{n}", "index": n, "objects": len(keys)}, None

    def do_export(self, req, data):
        name = req["id"].split("~")[0]
        if name not in self.records:
            return self.error("notfound", "the record cannot be exported", 65, "it is sealed here"), None
        proof = b"NRP1" if req["proof"] else b""
        return {"id": name + "~01234567", "kind": "bundle", "tlp": "AMBER"}, proof + self.records[name]

    def do_records_export(self, req, data):
        if self.stream_error:
            return self.error("state", "the file cannot be written to its end", 75), None
        return {"peer": req["for"], "from": req["from"], "to": 42, "next": 43, "leaves": 9, "records": 2, "stopped": 0}, None

    def do_records_import(self, req, data):
        assert len(data) <= 1 << 20
        self.imported += data
        if not req["end"]:
            return {"bytes": len(self.imported)}, None
        origin = {"origin": "us.cert.example", "id": "A" * 44, "leaves": {"new": 5, "known": 0},
                  "records": {"new": 3, "known": 1}, "refused": {}}
        return dict({"source": "us.cert.example", "from": 1, "to": 42, "whole": True, "damage": None, "statements": 1,
                     "origins": [origin], "refused": 0, "refusals": [], "gaps": []}, **self.result), None

    def do_tail(self, req, data):
        return {"cursor": "12.3"}, None
