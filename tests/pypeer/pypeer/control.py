"""The control protocol and the streams of subscribers (CONTROL.md)."""
from __future__ import annotations

import asyncio
import datetime
import difflib
import grp
import json
import os
import pwd
import re
import socket
import struct
import time
from typing import Awaitable, Callable

from . import conf as C
from . import formats as F
from . import note as N
from . import stix
from .formats import Refused
from .hub import Hub
from .node import COMMUNITY, DIRECT, Event, Held, Log, Submission, now_ms, rfc3339

VERSION = "0.1.0-python"
READER, SUBMITTER, OPERATOR = 1, 2, 3
LINE_FRAME = 1 << 20


class Failed(Exception):
    def __init__(self, code: str, what: str, why: str, next_: str = "see docs/CONTROL.md", status: int = 64) -> None:
        super().__init__(why)
        self.answer = {"error": {"code": code, "what": what, "why": why, "next": next_, "exit": status}}


class Closing(Exception):
    """Malformed: told, and then the connection is closed."""

    def __init__(self, code: str, why: str) -> None:
        self.failed = Failed(code, "the request is not as it should be", why)


# name: role, members that may stand in the request and their types, whether bytes are attached (None: either)
TEXT, LIST, FLAG, NUMBER = str, list, bool, (int, float)
COMMANDS: dict[str, tuple[int, dict[str, object], bool]] = {
    "version": (READER, {}, False),
    "status": (READER, {}, False),
    "stats": (READER, {}, False),
    "peer.list": (READER, {}, False),
    "peer.show": (READER, {"name": TEXT}, False),
    "peer.test": (OPERATOR, {"name": TEXT}, False),
    "peer.suspend": (OPERATOR, {"name": TEXT}, False),
    "peer.resume": (OPERATOR, {"name": TEXT}, False),
    "peer.remove": (OPERATOR, {"name": TEXT}, False),
    "peer.invite": (OPERATOR, {}, False),
    "peer.accept": (OPERATOR, {"communities": LIST, "addresses": LIST, "fingerprint": TEXT}, True),
    "community.list": (READER, {}, False),
    "community.create": (OPERATOR, {"name": TEXT, "ceiling": TEXT, "onward": TEXT, "history": FLAG, "exercise": FLAG},
                         False),
    "export": (READER, {"id": TEXT, "proof": FLAG}, False),
    "submit": (SUBMITTER, {"community": TEXT, "to": LIST, "tlp": TEXT, "urgent": FLAG, "expires_ms": NUMBER,
                           "dry_run": FLAG}, True),
    "tail": (READER, {"from": TEXT, "since_ms": NUMBER, "follow": FLAG, "until_idle": FLAG, "tlp": TEXT,
                      "communities": LIST, "heartbeat_s": NUMBER}, False),
    "idle": (READER, {"timeout_s": NUMBER}, False),
    "conf.show": (OPERATOR, {}, False),
    "reload": (OPERATOR, {}, False),
}


def json_bytes(v: object) -> bytes:
    return json.dumps(v, ensure_ascii=False, separators=(",", ":")).encode()


class Filter:
    """A clearance: which events a reader may see."""

    def __init__(self, tlp: int = F.RED, communities: list[str] | None = None, direct: bool = True) -> None:
        self.tlp, self.communities, self.direct = tlp, communities, direct

    def passes(self, tlp: int, community: str | None) -> bool:
        if tlp > self.tlp:
            return False
        if community is None:
            return self.direct
        return self.communities is None or "*" in self.communities or community in self.communities


class Control:
    def __init__(self, hub: Hub, reload: Callable[[], Awaitable[None]]) -> None:
        self.hub, self.node, self.reload = hub, hub.node, reload
        self.tasks: set[asyncio.Task] = set()
        self.subscribers: dict[str, tuple[C.SubscriberConf, asyncio.AbstractServer]] = {}

    async def listen(self) -> asyncio.AbstractServer:
        path = self.hub.conf.control
        return await asyncio.start_unix_server(self.serve, sock=bind(path, 0o666))

    # -- requests -----------------------------------------------------------------------------------------------

    def role(self, writer: asyncio.StreamWriter) -> int:
        raw = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        _, uid, gid = struct.unpack("3i", raw)
        if uid in (0, os.geteuid()):
            return OPERATOR
        try:
            user = pwd.getpwuid(uid)
            groups = {f"@{grp.getgrgid(g).gr_name}" for g in os.getgrouplist(user.pw_name, gid)}
        except KeyError:
            return 0
        names = groups | {user.pw_name}
        for role, key in ((OPERATOR, "operators"), (SUBMITTER, "submitters"), (READER, "readers")):
            if names & set(self.hub.conf.roles[key]):
                return role
        return 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self.tasks.add(task)
        try:
            role = self.role(writer)
            if not role:
                raise Closing("perm", "you have no role here")
            while True:
                await self.one(role, reader, writer)
        except Closing as e:
            writer.write(frame(b"J", json_bytes(e.failed.answer)))
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.tasks.discard(task)
            writer.close()

    async def one(self, role: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        kind, body = await read_frame(reader)
        if kind != b"J":
            raise Closing("syntax", "a request is a J frame")
        try:
            request = json.loads(body)
        except ValueError:
            raise Closing("syntax", "not JSON") from None
        if not isinstance(request, dict) or request.pop("v", None) != 1 or not isinstance(request.get("cmd"), str):
            raise Closing("syntax", '{"v":1,"cmd":NAME, ...} expected')
        data = None
        if request.pop("attach", False):
            kind, data = await read_frame(reader)
            if kind != b"B":
                raise Closing("syntax", "the attachment is missing")
        try:
            answer = await self.answer(role, request, data, reader, writer)
        except Failed as e:
            answer = e.answer
        attached = answer.pop("data", None)
        if attached is not None:
            answer["attach"] = True
        writer.write(frame(b"J", json_bytes(answer)))
        if attached is not None:
            writer.write(frame(b"B", attached))
        await writer.drain()

    async def answer(self, role: int, request: dict, data: bytes | None, reader, writer) -> dict:
        cmd = request.pop("cmd")
        if cmd not in COMMANDS:
            near = difflib.get_close_matches(cmd, COMMANDS, 1)
            raise Failed("unknown", "unknown command",
                         f'there is no command "{cmd}"' + (f'; did you mean "{near[0]}"?' if near else ""))
        needs, members, attach = COMMANDS[cmd]
        if role < needs:
            raise Failed("perm", "not allowed", f"{cmd} takes another role", "ask the operator", 77)
        bad = "the request is not as it should be"
        for k, v in request.items():
            if k not in members:
                raise Failed("syntax", bad, f'unknown member "{k}"')
            want = members[k]
            if not isinstance(v, want) or want is NUMBER and isinstance(v, bool) or \
                    want is LIST and not all(isinstance(x, str) for x in v):
                raise Failed("syntax", bad, f'"{k}" is of another type')
        if "name" in members and "name" not in request:
            raise Failed("syntax", bad, '"name" is missing')
        if attach != (data is not None):
            raise Failed("syntax", bad, "an attachment is missing" if attach else "nothing is attached to this")
        method = getattr(self, "do_" + cmd.replace(".", "_"))
        if cmd == "tail":
            return await self.do_tail(request, reader, writer)
        result = method(data, **request) if attach else method(**request)
        return await result if asyncio.iscoroutine(result) else result

    # -- what there is ------------------------------------------------------------------------------------------

    def do_version(self) -> dict:
        return {"version": VERSION, "origin": self.node.name, "fingerprint": self.node.manifest.fingerprint(),
                "protocol": 1}

    def do_status(self) -> dict:
        node = self.node
        origins = [{"origin": l.name, "own": l is node.own, "size": len(l.tree), "root": N.b64(l.tree.root()),
                    "opened": l.opened, "refused": l.refused, "frozen": l.frozen, "source": l.source}
                   for l in node.logs.values()]
        return {**self.do_version(), "state": "draining" if self.hub.draining else "serving",
                "started": rfc3339(node.started), "uptime_s": (now_ms() - node.started) // 1000,
                "events": node.durable_events,
                "journal": {"bytes": node.store.end, "segments": 1, "batches": node.store.batches},
                "origins": origins, **self.do_peer_list(), **self.do_community_list(),
                "refusals": dict(node.refusals), "readers": self.hub.readers}

    def do_stats(self) -> dict:
        def metric(name: str, help_: str, kind: str, value: float, **labels: str) -> dict:
            return {"name": f"noroshi_{name}", "help": help_, "type": kind, "value": value, "labels": labels}
        out = [metric("events_total", "Events of this node, durable.", "counter", self.node.durable_events),
               metric("readers", "Readers of the stream of objects.", "gauge", self.hub.readers)]
        for p in self.hub.conf.peers:
            out.append(metric("peer_up", "1 while there is a session with the peer.", "gauge",
                              int(p in self.hub.sessions), peer=p))
            out.append(metric("peer_lag_records", "Records it has not acknowledged yet.", "gauge",
                              self.hub.lag(p)[0], peer=p))
        for r in ("plain", "version", "cert", "pin", "alpn", "timeout", "hangup", "tls"):
            out.append(metric("connections_refused_total", "Connections that were turned away, by reason.", "counter",
                              self.hub.turned[r], reason=r))
        return {"metrics": out}

    def do_peer_list(self) -> dict:
        return {"peers": [self.hub.peer_status(p) for p in self.hub.conf.peers]}

    def do_community_list(self) -> dict:
        me = self.node.name
        return {"communities": [
            {"name": c.last.name, "id": N.b64(c.last.community), "founder": c.last.founder, "epoch": c.last.epoch,
             "ceiling": F.TLP[c.last.ceiling], "trusted": c.trusted, "member": me in c.last.members,
             "steward": me in c.last.stewards, "frozen": c.frozen, "history": c.last.history,
             "exercise": c.last.exercise, "onward": F.ONWARD[c.last.onward], "members": sorted(c.last.members)}
            for c in self.node.communities.values()]}

    def peer(self, name: str) -> C.PeerConf:
        if name not in self.hub.conf.peers:
            raise Failed("unknown", "unknown peer", f'there is no peer "{name}" in the configuration',
                         "list the peers (noroshi peer list), or add it (noroshi peer accept)", 65)
        return self.hub.conf.peers[name]

    def do_peer_show(self, name: str) -> dict:
        p, m = self.peer(name), self.hub.manifests[name]
        return {**self.hub.peer_status(name), "fingerprint": m.fingerprint(), "manifest": m.raw.decode(),
                "addresses": p.addresses or m.addresses}

    async def do_peer_test(self, name: str) -> dict:
        p = self.peer(name)
        end = time.monotonic() + 12
        self.hub.next_dial[name] = 0
        self.hub.dial_due()
        while name not in self.hub.sessions and not p.suspended and time.monotonic() < end:
            await asyncio.sleep(0.05)
        up = name in self.hub.sessions
        i, shared = self.hub.info(name), self.hub.peer_status(name)["communities"]
        checks: list[tuple[str, bool | None, str, str]] = [
            ("configured", not p.suspended, p.file, "noroshi peer resume" if p.suspended else "")]
        fails = [("address", "a connection stands"), ("tls", "TLS 1.3 stands"), ("pin", "the key is the pinned one"),
                 ("session", i.why), ("clock", f"its clock is {i.clock_ms / 1000:+.3f} s from ours"),
                 ("version", f"protocol version {i.version}"),
                 ("communities", f"{len(shared)} shared of {len(p.communities)} configured here")]
        for check, fact in fails:
            ok: bool | None = True if up else None
            if check == "session" and not up:
                ok = False
            if check == "communities" and up:
                ok = len(shared) == len(p.communities)
            checks.append((check, ok if not p.suspended else None, fact, "" if ok else "see noroshi status"))
        return {"checks": [dict(zip(("name", "ok", "fact", "next"), c)) for c in checks]}

    # -- changes by the operator --------------------------------------------------------------------------------

    async def rewrite(self, name: str, change: dict[str, object] | None) -> None:
        """Changes the file that peer commands keep, and reloads."""
        base = os.path.dirname(self.hub.conf.file)
        path = os.path.join(base, "conf.d", f"peer-{name}.conf")
        stanza = next((s for s in self.hub.conf.stanzas if s.kind == "peer" and s.title == name), None)
        if stanza and stanza.file != path:
            raise Failed("perm", "the stanza of the peer is not ours to change",
                         f"it stands in {stanza.file}:{stanza.line}", "edit it there, and noroshi reload", 77)
        if change is None:
            os.unlink(path)
        else:
            write_file(path, C.peer_stanza(name, {**(stanza.values if stanza else {}), **change}).encode())
        await self.reload()

    async def do_peer_suspend(self, name: str) -> dict:
        self.peer(name)
        await self.rewrite(name, {"suspended": True})
        return {"ok": True}

    async def do_peer_resume(self, name: str) -> dict:
        self.peer(name)
        await self.rewrite(name, {"suspended": False})
        return {"ok": True}

    async def do_peer_remove(self, name: str) -> dict:
        self.peer(name)
        await self.rewrite(name, None)
        return {"ok": True}

    def do_peer_invite(self) -> dict:
        notes = [m.raw for _, m in self.node.own.manifests]
        for c in self.node.communities.values():
            if c.trusted and self.node.name in c.last.members:
                notes += [s.raw for s in c.statements]
        return {"data": N.write_invite(notes)}

    async def do_peer_accept(self, data: bytes, communities: list[str] | None = None,
                             addresses: list[str] | None = None, fingerprint: str | None = None) -> dict:
        what = "the peer was not accepted"
        try:
            invite = N.parse_invite(data)
        except Refused as e:
            raise Failed(e.code, what, f"not an invite: {e.why}", "ask for another one", 65) from None
        m = invite.manifests[0]
        offered: dict[str, list[N.Statement]] = {}
        for s in invite.statements:
            offered.setdefault(s.name, []).append(s)
        if fingerprint is None:
            return {"name": m.origin, "fingerprint": m.fingerprint(), "addresses": m.addresses,
                    "offers": [{"name": n, "id": N.b64(s[-1].community), "founder": s[-1].founder,
                                "members": sorted(s[-1].members)} for n, s in offered.items()]}
        if fingerprint.upper() != m.fingerprint():
            raise Failed("pin", what, "the fingerprint is not that of the invite",
                         "ask the peer to read its fingerprint to you again; if it still differs, the file is not "
                         "theirs", 77)
        if m.origin == self.node.name:
            raise Failed("exists", what, "this is our own invite", "take the one that the peer sent", 65)
        held = self.node.logs.get(F.origin_id(m.origin))
        if held and held.manifests[0][1].text != m.text:
            raise Failed("fork", what, "another manifest 0 of this origin is held", "ask the peer", 77)
        for name in communities or []:
            if name not in offered and self.node.community_named(name) is None:
                raise Failed("unknown", what, f'the community "{name}" is neither known here nor offered by the invite',
                             "ask who founded it for an invite", 65)
        self.node.add_log(m)
        for name in communities or []:
            try:
                for s in offered.get(name, []):
                    self.node.take_statement(s, trusted=True)
            except Refused as e:
                raise Failed(e.code, what, f"community {name}: {e.why}", "ask the peer", 65) from None
            c = self.node.community_named(name)
            self.node.trust(c)
            if self.node.name in c.last.stewards:
                self.node.add_member(c, m)
        self.hub.kick()
        base = os.path.dirname(self.hub.conf.file)
        write_file(os.path.join(base, "peers", f"{m.origin}.manifest"), m.raw)
        change: dict[str, object] = {"communities": communities or []}
        if addresses:
            change["addresses"] = addresses
        await self.rewrite(m.origin, change)
        self.hub.say("NOTICE", f"control: peer accepted: {m.origin}")
        return {"name": m.origin, "communities": communities or []}

    def do_community_create(self, name: str, ceiling: str = "AMBER+STRICT", onward: str = "members",
                            history: bool = False, exercise: bool = False) -> dict:
        what = "the community was not founded"
        if not F.is_community(name) or ceiling not in F.TLP[:4] or onward not in F.ONWARD:
            raise Failed("range", what, "the name, the ceiling or onward cannot be", "see noroshi(1)", 64)
        if self.node.community_named(name):
            raise Failed("exists", what, f"there is a community {name}", "take another name", 65)
        c = self.node.found_community(name, F.tlp_of(ceiling), F.ONWARD.index(onward), history, exercise)
        self.hub.kick()
        return {"id": N.b64(c.last.community)}

    def do_conf_show(self) -> dict:
        return {"text": C.show(self.hub.conf)}

    async def do_reload(self) -> dict:
        await self.reload()
        return {"ok": True}

    def do_export(self, id: str = "", proof: bool = False) -> dict:
        what = "the record cannot be exported"
        m = re.fullmatch(r"([a-z0-9.-]+)/(0|[1-9][0-9]{0,18})(?:~([0-9a-f]{8}))?", id)
        if not m:
            raise Failed("syntax", what, "an id is ORIGIN/INDEX", "noroshi tail shows ids")
        log, index = self.node.logs.get(F.origin_id(m[1])), int(m[2])
        if log is None:
            raise Failed("unknown", what, f"there is no log of {m[1]} here", "noroshi status lists them", 65)
        if index >= log.proven():
            raise Failed("notfound", what, f"the newest checkpoint of {m[1]} covers {log.proven()} entries",
                         "wait for it", 65)
        held = log.records.get(index)
        leaf = log.tree.levels[0][index].hex()[:8]
        if m[3] and m[3] != leaf:
            raise Failed("leaf", what, f"the record at this index is ~{leaf}", "ask who gave you the id", 65)
        if held is None or held.code:
            why = "is a public document" if log.entries[index][0] else "is sealed here"
            raise Failed("notfound", what, f"the entry {why}", "ask a node that is entitled to it", 65)
        data = self.proof(log, index, held) if proof else self.node.payload(held)
        return {"id": f"{m[1]}/{index}~{leaf}", "kind": F.KINDS.get(held.header.kind, str(held.header.kind)),
                "tlp": F.TLP[held.header.tlp], "data": data}

    def proof(self, log: Log, index: int, held: Held) -> bytes:
        """FORMAT.md section 10."""
        size, later = log.proven(), [x for x in log.manifests[1:] if x[0] < log.proven()]
        out = [b"NRP1\1\0\0\0", F.u16str(log.name), struct.pack(">H", len(later))]
        for at, m in later:
            path = log.tree.inclusion(at, size)
            out += [struct.pack(">QI", at, len(m.raw)), m.raw, struct.pack(">H", len(path)), *path]
        lines = ["c2sp.org/tlog-proof@v1", f"index {index}", *(N.b64(h) for h in log.tree.inclusion(index, size)), ""]
        text = "\n".join(lines).encode() + b"\n" + log.checkpoint.raw
        return b"".join([*out, struct.pack(">I", len(text)), text, held.header.raw,
                         struct.pack(">I", len(held.block)), held.block, held.salt, self.node.payload(held)])

    # -- sharing ------------------------------------------------------------------------------------------------

    async def do_submit(self, data: bytes, community: str | None = None, to: list[str] | None = None,
                        tlp: str | None = None, urgent: bool = False, expires_ms: int = 0,
                        dry_run: bool = False) -> dict:
        what, node = "the submission was refused", self.node
        if tlp is None or tlp not in F.TLP:
            raise Failed("range", "the marking is not known", "it is not a TLP 2.0 marking",
                         "use CLEAR, GREEN, AMBER, AMBER+STRICT or RED", 64)
        if (community is None) == (not to):
            raise Failed("syntax", "no recipient, or two kinds of them", 'one of "community" and "to" must be given',
                         "name one", 64)
        level = F.tlp_of(tlp)
        audience, recipients, flags, epoch = self.audience(community, to, level, dry_run)
        flags |= F.FLAG_URGENT if urgent else 0
        try:
            bundle = stix.parse(data)
            stix.check_marking(bundle, level)
        except Refused as e:
            raise Failed(e.code, what, e.why, "correct the input", 65) from None
        keys = [F.object_key(audience, level, o["id"], o.get("modified", "")) if audience else b""
                for o in bundle.objects]
        known = [i for i, k in enumerate(keys) if k in node.known]
        if known:
            return {"known": known}
        if dry_run:
            return {"recipients": recipients, "objects": len(bundle.objects)}
        if self.hub.draining:
            raise Failed("busy", what, "this node is ending", "try again later", 75)
        for k in keys:
            node.known[k] = 0
        done = self.hub.loop.create_future()
        node.submit(Submission(audience, F.KIND_BUNDLE, level, flags, int(expires_ms), data, bundle.uuid(),
                               len(bundle.objects), epoch, done.set_result))
        self.hub.kick()
        index = await asyncio.shield(done)
        return {"id": f"{node.name}/{index}", "index": index, "objects": len(bundle.objects)}

    def audience(self, community: str | None, to: list[str] | None, level: int, dry_run: bool) \
            -> tuple[bytes, list[str], int, int]:
        """id (empty: not made yet), recipients, flags and epoch of what is submitted."""
        what, node = "the submission was refused", self.node
        if community is not None:
            c = node.community_named(community)
            if c is None or not c.trusted:
                raise Failed("unknown", what, f"no community {community}", "noroshi community list tells which there are",
                             65)
            last = c.last
            if node.name not in last.members:
                raise Failed("member", what, f"this node is no member of {community}", "ask its steward", 77)
            if level == F.RED:
                raise Failed("ceiling", what, "TLP:RED goes to named recipients only", "correct the input", 65)
            if level > last.ceiling:
                raise Failed("ceiling", what, f"the ceiling of {community} is TLP:{F.TLP[last.ceiling]}",
                             "correct the input", 65)
            flags = last.onward << 2 | (F.FLAG_EXERCISE if last.exercise else 0)
            return last.community, [m for m in sorted(last.members) if m != node.name], flags, last.epoch
        recipients = sorted(set(to or []))
        for r in recipients:
            if r not in self.hub.conf.peers:
                raise Failed("unknown", what, f"no peer {r}", "noroshi peer list tells which there are", 65)
        aid = node.by_recipients.get(tuple(recipients), b"") if dry_run else node.direct_audience(recipients)
        return aid, recipients, 0, 0

    async def do_idle(self, timeout_s: float = 60) -> dict:
        end = time.monotonic() + timeout_s
        while True:
            if self.hub.in_sync() and time.monotonic() - self.hub.active >= 1:
                return {"ok": True}
            if time.monotonic() >= end:
                raise Failed("busy", "not idle yet", "records are still to come or to go",
                             "wait longer, or see noroshi status", 75)
            await asyncio.sleep(0.05)

    # -- reading ------------------------------------------------------------------------------------------------

    def cursor(self, text: str) -> tuple[int, int]:
        """(event, object) to begin with: "E" is what comes after event E, "E.N" its object N and what follows."""
        event, _, n = text.partition(".")
        if not event.isdigit() or "." in text and not n.isdigit():
            raise Failed("syntax", "cannot begin the stream", "a cursor is E or E.N", "begin at a cursor of this node")
        if int(event) > self.node.durable_events:
            raise Failed("range", "cannot begin the stream", "the cursor is ahead of this node",
                         "begin at a cursor of this node, or at a time", 65)
        return (int(event), int(n)) if n else (int(event) + 1, 0)

    def since(self, ms: float) -> tuple[int, int]:
        for i, e in enumerate(self.node.events):
            if e.time_ms >= ms:
                return i + 1, 0
        return self.node.durable_events + 1, 0

    def lines(self, number: int, event: Event, skip: int, clearance: Filter) -> list[bytes]:
        held = event.log.records[event.index]
        chain = event.log.chains[held.header.audience]
        community = self.node.communities[chain.id].last.name if chain.kind == COMMUNITY else None
        if not clearance.passes(held.header.tlp, community):
            return []
        head = {"event": number, "n": 0, "action": "add", "reason": "new", "origin": event.log.name,
                "index": event.index, "community": community}
        if chain.kind == DIRECT:
            head["to"] = chain.direct.recipients
        head.update(tlp=F.TLP[held.header.tlp], time=rfc3339(event.time_ms))
        out = []
        for n, o in enumerate(json.loads(self.node.payload(held))["objects"]):
            if n >= skip:
                head["n"] = n
                out.append(json_bytes({**head, "object": o}) + b"\n")
        return out

    async def stream(self, at: tuple[int, int], clearance: Filter, follow: bool, until_idle: bool,
                     heartbeat: float | None, send: Callable[[bytes], Awaitable[None]]) -> str:
        """From a cursor on; each send waits for its reader, and for nobody else's. Returns the cursor to go on from."""
        number, skip = max(at[0], 1), at[1] if at[0] else 0
        while True:
            some: list[bytes] = []
            size = 0
            while number <= self.node.durable_events and size < 1 << 16:
                for line in self.lines(number, self.node.events[number - 1], skip, clearance):
                    some.append(line)
                    size += len(line)
                number, skip = number + 1, 0
            if some:
                await send(b"".join(some))
                continue
            if number <= self.node.durable_events:
                await asyncio.sleep(0)
                continue
            if until_idle and self.hub.in_sync() and time.monotonic() - self.hub.active >= 1 or \
                    not follow and not until_idle:
                return str(number - 1)
            try:
                await asyncio.wait_for(self.hub.wake.wait(), 0.1 if until_idle else heartbeat)
            except asyncio.TimeoutError:
                if not until_idle:
                    await send(json_bytes({"action": "heartbeat", "event": number - 1, "time": rfc3339(now_ms())})
                               + b"\n")

    async def until_closed(self, reader: asyncio.StreamReader, work: Awaitable) -> object:
        """Runs work, and ends it when the client closes."""
        task = asyncio.ensure_future(work)
        eof = asyncio.ensure_future(reader.read(1))
        self.hub.readers += 1
        try:
            await asyncio.wait({task, eof}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise ConnectionError
        finally:
            self.hub.readers -= 1
            for t in (task, eof):
                t.cancel()
            await asyncio.gather(task, eof, return_exceptions=True)

    async def do_tail(self, request: dict, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> dict:
        if "from" in request and "since_ms" in request:
            raise Failed("syntax", "cannot begin the stream", "one of from and since_ms", "name one")
        if request.get("tlp", "RED") not in F.TLP:
            raise Failed("range", "the marking is not known", "it is not a TLP 2.0 marking")
        at = self.cursor(request["from"]) if "from" in request else \
            self.since(request["since_ms"]) if "since_ms" in request else (self.node.durable_events + 1, 0)
        clearance = Filter(F.tlp_of(request.get("tlp", "RED")), request.get("communities"))

        async def send(text: bytes) -> None:
            for body in pieces(text):
                writer.write(frame(b"L", body))
                await writer.drain()

        end = await self.until_closed(reader, self.stream(
            at, clearance, request.get("follow", False), request.get("until_idle", False),
            request.get("heartbeat_s"), send))
        return {"cursor": end}

    # -- subscribers --------------------------------------------------------------------------------------------

    async def subscribe(self, wanted: dict[str, C.SubscriberConf]) -> Callable[[], None]:
        """Opens the sockets that are new; what it returns closes those that are gone. ConfError leaves all as it was."""
        new: dict[str, tuple[C.SubscriberConf, asyncio.AbstractServer]] = {}
        try:
            for name, s in wanted.items():
                if name in self.subscribers and self.subscribers[name][0].socket == s.socket:
                    new[name] = s, self.subscribers[name][1]
                    continue
                try:
                    sock = bind(s.socket, s.mode)
                except OSError as e:
                    raise C.ConfError(s.file, s.line, f"subscriber {name}: {s.socket}: {e.strerror}") from None
                new[name] = s, await asyncio.start_unix_server(
                    lambda r, w, name=name: self.subscriber(name, r, w), sock=sock)
        except C.ConfError:
            for name, (s, server) in new.items():
                if name not in self.subscribers:
                    server.close()
                    os.unlink(s.socket)
            raise

        def use() -> None:
            for name, (s, server) in self.subscribers.items():
                if new.get(name, (None, None))[1] is not server:
                    server.close()
                    if s.socket not in {x.socket for x, _ in new.values()}:
                        os.unlink(s.socket)
            self.subscribers = new
        return use

    async def subscriber(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self.tasks.add(task)
        s = self.subscribers[name][0]
        at = (self.node.durable_events + 1, 0)
        try:
            try:
                line = (await asyncio.wait_for(reader.readline(), 0.2)).strip()
                if line:
                    at = self.asked(json.loads(line))
            except asyncio.TimeoutError:
                pass

            async def send(text: bytes) -> None:
                writer.write(text)
                await writer.drain()
            await self.until_closed(reader, self.stream(at, Filter(s.tlp, s.communities, s.direct), True, False,
                                                        s.heartbeat, send))
        except Failed as e:
            writer.write(json_bytes(e.answer) + b"\n")
        except (ValueError, KeyError, TypeError, ConnectionError, asyncio.IncompleteReadError,
                asyncio.CancelledError):
            pass
        finally:
            self.tasks.discard(task)
            writer.close()

    def asked(self, line: dict) -> tuple[int, int]:
        if set(line) == {"from"}:
            return self.cursor(str(line["from"]))
        t = datetime.datetime.fromisoformat(str(line["since"]).replace("Z", "+00:00"))
        return self.since(t.timestamp() * 1000)

    async def end(self) -> None:
        for s, server in self.subscribers.values():
            server.close()
            os.unlink(s.socket)
        some = [t for t in self.tasks if t is not asyncio.current_task()]
        for t in some:
            t.cancel()
        await asyncio.gather(*some, return_exceptions=True)


def frame(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">Ic", len(body), kind) + body


async def read_frame(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    size, kind = struct.unpack(">Ic", await reader.readexactly(5))
    limit = {b"J": 4 << 20, b"B": 16 << 20}.get(kind)
    if limit is None:
        raise Closing("syntax", "not a frame of this protocol")
    if size > limit:
        raise Closing("limit", "a frame is too long")
    return kind, await reader.readexactly(size)


def pieces(text: bytes):
    """Frames end where lines end, but for lines that are longer than a frame."""
    while len(text) > LINE_FRAME:
        cut = text.rfind(b"\n", 0, LINE_FRAME) + 1 or LINE_FRAME
        yield text[:cut]
        text = text[cut:]
    if text:
        yield text


def bind(path: str, mode: int) -> socket.socket:
    """A Unix socket; one that was left behind is no hindrance, because the lock on the data directory is ours."""
    sock = socket.socket(socket.AF_UNIX)
    try:
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        sock.bind(path)
        os.chmod(path, mode)
        sock.listen(128)
    except OSError:
        sock.close()
        raise
    return sock


def write_file(path: str, data: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".new", "wb") as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())
    os.rename(path + ".new", path)
