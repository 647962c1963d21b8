"""A session with one peer (PROTOCOL.md sections 2-5): no sockets here, bytes in and bytes out."""
from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Callable

from . import formats as F
from . import note as N
from . import wire
from .formats import Refused
from .node import COMMUNITY, OPENED, Chain, Fault, Log, now_ms

if TYPE_CHECKING:
    from .hub import Hub

WINDOW = 4 << 20
RETURN = 1 << 20  # credit is given back in portions of this
CLOCK_ALARM_MS = 600_000
LEAVES_AT_ONCE = 500  # few, so that the proofs between them are worth something
LONGEST = 60.0  # seconds at most until a fetch that failed is tried again


@dataclass
class Fetch:
    """What we asked the peer for; leaves when chain is None."""
    log: Log
    chain: Chain | None
    credit: int = WINDOW
    owed: int = 0
    parts: list[bytes] = field(default_factory=list)


@dataclass
class Serve:
    """What the peer asked us for."""
    log: Log
    audience: bytes | None
    next: int
    credit: int


class Session:
    def __init__(self, hub: "Hub", peer: str, dialed: bool, write: Callable[[bytes], None],
                 close: Callable[[], None], room: Callable[[], bool]) -> None:
        self.hub, self.node, self.peer, self.dialed = hub, hub.node, peer, dialed
        self.write, self.close_link, self.room = write, close, room
        self.info = hub.info(peer)
        self.splitter = wire.Splitter()
        self.state = "hello"
        self.opened = self.heard = time.monotonic()
        self.pinged = False
        self.version = 0
        self.fetches: dict[int, Fetch] = {}
        self.serves: dict[int, Serve] = {}
        self.have: dict[bytes, wire.Have] = {}
        self.next_stream = 1 if dialed else 2
        self.leaves_sent: dict[bytes, int] = {}  # sizes the peer has, or will have when it read what we wrote
        self.told: dict[bytes, tuple] = {}  # the last HAVE of each origin
        self.epochs: dict[bytes, int] | None = None  # of communities, as the peer has them once it listed them
        self.refused_at: list[float] = []
        self.send(wire.HELLO, 0, wire.hello(self.node.name, now_ms(), self.node.manifest.number,
                                            self.node.manifest.hash()))

    # -- sending ------------------------------------------------------------------------------------------------

    def send(self, kind: int, stream: int, body: bytes, flags: int = 0) -> None:
        self.info.tx_bytes += 8 + len(body)
        self.write(wire.frame(kind, stream, body, flags))

    def bye(self, code: str, text: str) -> None:
        if self.state != "closed":
            self.send(wire.BYE, 0, wire.bye(F.CODES[code], text))
            self.close(text)

    def close(self, why: str) -> None:
        if self.state == "closed":
            return
        self.state = "closed"
        self.close_link()
        self.hub.closed(self, why)

    def refuse(self, code: str, text: str, stream: int = 0, origin: bytes = F.ZERO32, index: int = F.NONE64,
               seq: int = F.NONE64) -> None:
        """At most 100 a second; the rest is only counted."""
        now = time.monotonic()
        self.info.refused_in += 1
        self.refused_at = [t for t in self.refused_at if t > now - 1]
        if len(self.refused_at) < 100:
            self.refused_at.append(now)
            self.send(wire.REFUSE, 0, wire.refuse(wire.Refusal(F.CODES[code], stream, origin, index, seq, text)))
            self.hub.say("INFO", f"peer {self.peer}: refused to it: {code}, {text}")

    # -- receiving ----------------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        self.heard = time.monotonic()
        self.pinged = False
        self.info.rx_bytes += len(data)
        for kind, flags, stream, body in self.splitter.feed(data):
            if self.state == "closed":
                return
            try:
                self.one(kind, flags, stream, body)
            except Refused as e:
                if kind == wire.HELLO and self.state == "hello":
                    self.bye(e.code, f"HELLO: {e.why}")
                else:
                    self.refuse(e.code, e.why, stream)

    def one(self, kind: int, flags: int, stream: int, body: bytes | None) -> None:
        if body is None:
            raise Refused("limit", "a frame of more than 1 MiB")
        if not wire.HELLO <= kind <= wire.PONG or kind == wire.MANIFESTS:
            raise Refused("type", "unknown type")
        if flags & ~(wire.MORE if kind in (wire.RECORD, wire.DATA) else 0):
            raise Refused("reserved", "unknown flags")
        if (stream == 0) == (kind in wire.ON_STREAM):
            raise Refused("range", "on the wrong stream")
        if flags & wire.MORE and len(body) != wire.MAX_BODY:
            raise Refused("range", "a frame with more is exactly full")
        if self.state == "hello" and kind not in (wire.HELLO, wire.BYE):
            raise Refused("state", "HELLO comes first")
        getattr(self, "on_" + wire.NAMES[kind].lower())(stream, body, flags)

    def on_hello(self, stream: int, body: bytes, flags: int) -> None:
        if self.state != "hello":
            raise Refused("state", "HELLO comes once")
        version, origin, clock, number, hash_ = wire.parse_hello(body)
        if version != 1:
            return self.bye("version", f"HELLO: version {version} is not supported")
        if origin != self.peer:
            return self.bye("pin", "the key is pinned for another origin")
        self.version, self.state = version, "up"
        self.info.clock_ms = clock - now_ms()
        if abs(self.info.clock_ms) > CLOCK_ALARM_MS:
            self.hub.say("WARNING", f"peer {self.peer}: its clock differs from ours by {self.info.clock_ms // 1000} s")
        self.hub.up(self)
        if self.state == "up":
            self.tell_communities()
            self.tell_have()
            for log in self.node.logs.values():
                if log is not self.node.own:
                    self.tell_ack(log, set(log.chains))

    def on_bye(self, stream: int, body: bytes, flags: int) -> None:
        r = wire.Reader(body)
        code, = r.get("H")
        self.close(f"it closed: {F.CODE_NAMES.get(code, code)}, {r.lstr().decode('utf-8', 'replace')}")

    def on_ping(self, stream: int, body: bytes, flags: int) -> None:
        if len(body) != 8:
            raise Refused("trailing" if len(body) > 8 else "short", "PING has 8 bytes")
        self.send(wire.PONG, 0, body)

    def on_pong(self, stream: int, body: bytes, flags: int) -> None:
        pass

    def on_refuse(self, stream: int, body: bytes, flags: int) -> None:
        r = wire.parse_refuse(body)
        self.info.refused_out += 1
        what = f"record {r.index}" if r.index != F.NONE64 else f"stream {r.stream}"
        self.hub.say("INFO", f"peer {self.peer}: refused {what}: {F.CODE_NAMES.get(r.code, r.code)}, {r.text}")

    # -- communities --------------------------------------------------------------------------------------------

    def tell_communities(self) -> None:
        known = [(c.last.community, c.last.epoch, c.last.hash()) for c in self.node.communities.values()
                 if self.peer in c.last.members]
        self.send(wire.COMMUNITIES, 0, wire.communities(known))

    def send_statements(self, statements: list[N.Statement]) -> None:
        """Of one community; several frames when they do not fit in one."""
        some: list[bytes] = []
        for s in statements:
            if some and sum(map(len, some)) + 4 * len(some) + len(s.raw) > wire.MAX_BODY - 64:
                self.send(wire.STATEMENTS, 0, wire.statements(some))
                some = []
            some.append(s.raw)
        if some:
            self.send(wire.STATEMENTS, 0, wire.statements(some))

    def on_communities(self, stream: int, body: bytes, flags: int) -> None:
        self.epochs = {}
        for cid, epoch, hash_ in wire.parse_communities(body):
            self.epochs[cid] = epoch
            c = self.node.communities.get(cid)
            if c and epoch < len(c.statements) and c.statements[epoch].hash() != hash_:
                self.hub.say("WARNING", f"community {c.last.name}: {self.peer} has another statement of epoch {epoch}")
                self.epochs[cid] = -1
        self.tell_statements()
        self.hub.kick()

    def tell_statements(self) -> None:
        """Those that a member lacks, once it has said what it has."""
        if self.epochs is None:
            return
        for c in self.node.communities.values():
            cid = c.last.community
            if self.peer in c.last.members and self.epochs.get(cid, -1) < c.last.epoch:
                self.send_statements(c.statements[self.epochs.get(cid, -1) + 1:])
                self.epochs[cid] = c.last.epoch

    def on_statements(self, stream: int, body: bytes, flags: int) -> None:
        for raw in wire.parse_statements(body):
            s = N.parse_statement(raw)
            self.node.take_statement(s)
        self.hub.kick()

    # -- what there is ------------------------------------------------------------------------------------------

    def tell_have(self) -> None:
        """Of each log that changed for this peer: how far it may fetch here."""
        out = []
        names = self.hub.shared(self.peer)
        for log in self.node.logs.values():
            audiences = []
            for chain in log.chains.values():
                seq = self.node.offered(self.peer, log, chain, names)
                if seq:
                    audiences.append((chain.id, chain.kind, seq))
            now = (log.proven(), tuple(audiences))
            if now != self.told.get(log.id) and log.proven():
                self.told[log.id] = now
                out.append(wire.Have(log.id, log.proven(), audiences))
        while out:
            size, n = 4, 0
            while n < len(out) and size + 44 + 44 * len(out[n].audiences) <= wire.MAX_BODY:
                size += 44 + 44 * len(out[n].audiences)
                n += 1
            if not n:  # one log with more audiences than a frame names: the first of them
                out[0].audiences, n = out[0].audiences[:20000], 1
            self.send(wire.HAVE, 0, wire.have(out[:n]))
            del out[:n]

    def on_have(self, stream: int, body: bytes, flags: int) -> None:
        for h in wire.parse_have(body):
            if h.origin in self.node.logs:
                # What is not named has not changed: audiences add up over a session.
                old = self.have.get(h.origin)
                known = {a: (a, kind, seq) for a, kind, seq in [*(old.audiences if old else []), *h.audiences]}
                self.have[h.origin] = wire.Have(h.origin, h.size, list(known.values()))
                self.leaves_sent[h.origin] = max(self.leaves_sent.get(h.origin, 0), h.size)
        self.hub.kick()

    def tell_ack(self, log: Log, audiences: set[bytes]) -> None:
        self.send(wire.ACK, 0, wire.ack(log.id, len(log.tree),
                                        [(a, log.chains[a].next_seq) for a in audiences if a in log.chains]))

    def on_ack(self, stream: int, body: bytes, flags: int) -> None:
        origin, size, audiences = wire.parse_ack(body)
        if origin not in self.node.logs:
            return
        self.leaves_sent[origin] = max(self.leaves_sent.get(origin, 0), size)
        for aid, seq in audiences:
            self.acked(origin, aid, seq)
        self.hub.kick()

    def acked(self, origin: bytes, audience: bytes, seq: int) -> None:
        if origin == self.node.id:
            self.info.acked[audience] = max(self.info.acked.get(audience, 0), seq)

    # -- fetching -----------------------------------------------------------------------------------------------

    def fetching(self, log: Log, audience: bytes | None) -> bool:
        return any(f.log is log and (f.chain.id if f.chain else None) == audience for f in self.fetches.values())

    def may_fetch(self, log: Log, audience: bytes | None) -> bool:
        return self.info.blocked.get((log.id, audience), 0) < time.monotonic()

    def fetch(self, log: Log, chain: Chain | None) -> None:
        while self.next_stream in self.fetches:
            self.next_stream = self.next_stream + 2 if self.next_stream < 0xFFFD else 2 - self.next_stream % 2
        s = self.next_stream
        self.next_stream = s + 2 if s < 0xFFFD else 2 - s % 2
        self.fetches[s] = Fetch(log, chain)
        if chain is None:
            self.send(wire.FETCH_LEAVES, s, wire.fetch_leaves(log.id, len(log.tree), WINDOW))
        else:
            self.send(wire.FETCH_RECORDS, s, wire.fetch_records(log.id, chain.id, chain.next_seq, WINDOW))

    def cancel(self, log: Log, audience: bytes | None) -> None:
        for s, f in list(self.fetches.items()):
            if f.log is log and (f.chain.id if f.chain else None) == audience:
                self.drop(s)

    def abandon(self, log: Log) -> None:
        """Nothing more of a frozen origin."""
        for s, f in list(self.fetches.items()):
            if f.log is log:
                self.drop(s)

    def drop(self, stream: int, failed: bool = False) -> None:
        """Ends a fetch of ours."""
        f = self.fetches.pop(stream, None)
        if f:
            self.send(wire.CANCEL, stream, b"")
            if failed:
                self.failed(f)

    def failed(self, f: Fetch) -> None:
        """It is tried again later, and later each time until something is taken."""
        key = f.log.id, f.chain.id if f.chain else None
        n = self.info.failures[key] = self.info.failures.get(key, 0) + 1
        self.info.blocked[key] = time.monotonic() + random.uniform(0, min(LONGEST, 2.0 ** min(n - 1, 6)))

    def charge(self, stream: int, size: int, more: bool) -> Fetch | None:
        f = self.fetches.get(stream)
        if f is None:
            return None  # cancelled, and still on its way
        if f.credit <= 0:
            self.refuse("quota", "more than there was credit for", stream, f.log.id)
            self.drop(stream, True)
            return None
        f.credit -= size
        if more:
            self.give(stream, f, size)
        return f

    def give(self, stream: int, f: Fetch, size: int) -> None:
        f.owed += size
        if f.owed >= RETURN:
            self.send(wire.CREDIT, stream, f.owed.to_bytes(4, "big"))
            f.credit, f.owed = f.credit + f.owed, 0

    def on_leaves(self, stream: int, body: bytes, flags: int) -> None:
        f = self.charge(stream, len(body), False)
        if f is None:
            return
        try:
            v = wire.parse_leaves(body)
            if f.chain is not None or v.origin != f.log.id:
                raise Refused("origin", "leaves that were not asked for")
            self.node.take_leaves(v, self.peer)
        except Refused as e:
            self.refuse(e.code, e.why, stream, f.log.id)
            self.drop(stream, True)
            self.hub.kick()
            return
        self.info.failures.pop((f.log.id, None), None)
        self.give(stream, f, len(body))
        self.hub.durable_for(f.log, self)

    def on_record(self, stream: int, body: bytes, flags: int) -> None:
        f = self.charge(stream, len(body), bool(flags & wire.MORE))
        if f is None:
            return
        if f.parts:
            f.parts = []
            self.refuse("state", "a record inside another", stream, f.log.id)
            return self.drop(stream, True)
        self.part(stream, f, body, flags)

    def on_data(self, stream: int, body: bytes, flags: int) -> None:
        f = self.charge(stream, len(body), bool(flags & wire.MORE))
        if f is None:
            return
        if not f.parts:
            self.refuse("state", "DATA without a record", stream, f.log.id)
            return self.drop(stream, True)
        self.part(stream, f, body, flags)

    def part(self, stream: int, f: Fetch, body: bytes, flags: int) -> None:
        f.parts.append(body)
        if sum(map(len, f.parts)) > wire.MAX_ITEM:
            f.parts = []
            self.refuse("limit", "an item of more than 17 MiB", stream, f.log.id)
            return self.drop(stream, True)
        if flags & wire.MORE:
            return
        whole, f.parts = b"".join(f.parts), []
        self.take(stream, f, whole, len(body))

    def take(self, stream: int, f: Fetch, whole: bytes, last: int) -> None:
        chain = f.chain
        index = seq = F.NONE64
        try:
            item = wire.parse_record(whole)
            index = item.index
            if chain is None:
                raise Refused("perm", "a record where leaves were asked for")
            seq = F.Header.parse(item.header).seq
            self.info.rx_records += self.node.take_record(f.log, chain, item, self.peer)
            chain = f.log.chains.get(chain.id, chain)
        except Fault as e:
            self.info.rx_records += 1
            self.refuse(e.refused.code, e.refused.why, stream, f.log.id, index, seq)
        except Refused as e:
            self.node.refusals[e.code] += 1
            self.refuse(e.code, e.why, stream, f.log.id, index, seq)
            self.drop(stream, True)
            if e.code == "epoch":
                self.info.blocked[f.log.id, chain.id] = float("inf")  # until a statement comes
                self.tell_communities()
            self.hub.kick()
            return
        self.info.failures.pop((f.log.id, chain.id), None)
        self.give(stream, f, last)
        self.hub.durable_for(f.log, self)

    # -- serving ------------------------------------------------------------------------------------------------

    def serve(self, stream: int, s: Serve) -> None:
        if stream % 2 != (0 if self.dialed else 1):
            raise Refused("range", "a stream of the other side's numbers")
        if stream in self.serves:
            raise Refused("duplicate", "this stream is in use")
        self.serves[stream] = s
        self.hub.kick()

    def turn_down(self, stream: int, code: str, why: str, origin: bytes) -> None:
        self.refuse(code, why, stream, origin)
        self.send(wire.CANCEL, stream, b"")

    def on_fetch_leaves(self, stream: int, body: bytes, flags: int) -> None:
        r = wire.Reader(body)
        origin, start, credit = r.get("32sQI")
        r.end()
        log = self.node.logs.get(origin)
        if log is None:
            return self.turn_down(stream, "unknown", "unknown origin", origin)
        self.serve(stream, Serve(log, None, start, credit))
        self.leaves_sent[origin] = max(self.leaves_sent.get(origin, 0), start)

    def on_fetch_records(self, stream: int, body: bytes, flags: int) -> None:
        r = wire.Reader(body)
        origin, audience, seq, credit = r.get("32s32sQI")
        r.end()
        log = self.node.logs.get(origin)
        chain = log.chains.get(audience) if log else None
        # Named only to those who may have something of it, whether it is not here or not theirs.
        if chain is None or not self.node.offered(self.peer, log, chain, self.hub.shared(self.peer)):
            return self.turn_down(stream, "unknown", "unknown origin or community", origin)
        self.serve(stream, Serve(log, audience, seq, credit))
        self.acked(origin, audience, seq)

    def on_credit(self, stream: int, body: bytes, flags: int) -> None:
        if len(body) != 4:
            raise Refused("trailing" if len(body) > 4 else "short", "CREDIT has 4 bytes")
        s = self.serves.get(stream)
        if s:
            s.credit += int.from_bytes(body, "big")
            self.hub.kick()

    def on_cancel(self, stream: int, body: bytes, flags: int) -> None:
        if body:
            raise Refused("trailing", "CANCEL has no body")
        if self.serves.pop(stream, None) is None:
            f = self.fetches.pop(stream, None)
            if f:
                self.failed(f)
                self.hub.kick()

    def pump(self) -> bool:
        """Sends what may be sent; True when there is more, and it stopped only for others to have their turn."""
        again = False
        for stream, s in list(self.serves.items()):
            if s.audience is None:
                again |= self.pump_leaves(stream, s)
        for stream, s in list(self.serves.items()):
            if s.audience is not None:
                again |= self.pump_records(stream, s)
        return again

    def pump_leaves(self, stream: int, s: Serve) -> bool:
        log = s.log
        end = log.proven()
        while s.next < end and s.credit > 0 and self.room():
            size, entries = 1024 + len(log.checkpoint.raw) + 64 * 33, []
            for cls, data in log.entries[s.next:min(end, s.next + LEAVES_AT_ONCE)]:
                size += 33 if cls == 0 else 3 + len(data)
                if entries and size > wire.MAX_BODY:
                    break
                entries.append((cls, data))
            to = s.next + len(entries)
            body = wire.leaves(wire.Leaves(log.id, s.next, log.checkpoint.raw, log.tree.consistency(to, end), entries))
            self.send(wire.LEAVES, stream, body)
            s.credit -= len(body)
            s.next = to
            self.leaves_sent[log.id] = max(self.leaves_sent.get(log.id, 0), to)
        return False

    def pump_records(self, stream: int, s: Serve) -> bool:
        chain = s.log.chains.get(s.audience)
        community = self.node.communities.get(s.audience)
        if chain is None or chain.kind == COMMUNITY and (
                community is None or community.last.name not in self.hub.shared(self.peer)):
            return False
        ceiling = self.node.ceilings.get(self.peer, F.RED)
        limit = min(self.leaves_sent.get(s.log.id, 0), s.log.proven())
        for _ in range(500):
            if s.next >= chain.next_seq or s.credit <= 0 or not self.room():
                return False
            at = chain.seqs.get(s.next)
            if at is not None:
                if at >= limit:
                    return False
                held = s.log.records[at]
                if self.node.entitled(self.peer, chain, held):
                    above = held.header.tlp > ceiling
                    if (above or held.code != OPENED) and s.log is not self.node.own:
                        del self.serves[stream]
                        self.send(wire.CANCEL, stream, b"")
                        return False
                    item = self.node.item(at, held)
                    if above:
                        item = wire.Item(at, wire.HEADER_ONLY, held.header.raw, held.block)
                    for f, cost in wire.record_frames(item, stream):
                        self.info.tx_bytes += len(f)
                        self.write(f)
                        s.credit -= cost
                    self.info.tx_records += 1
            s.next += 1
        return True

    # -- time ---------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        now = time.monotonic()
        if self.state == "hello" and now - self.opened > 10:
            self.close("no HELLO within 10 s")
        elif now - self.heard > 60:
            self.close("nothing heard for 60 s")
        elif now - self.heard > 20 and not self.pinged:
            self.pinged = True
            self.send(wire.PING, 0, int(now * 1000).to_bytes(8, "big"))
