"""The world around the node: sockets, dialling, who is fetched from, and the moment at which things become durable."""
from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

from . import conf as C
from . import formats as F
from . import note as N
from .node import COMMUNITY, Chain, Log, Node, now_ms, rfc3339
from .session import Session
from .tls import Tls, TurnedAway, make_certificate

HANDSHAKE = 10.0
BUFFER = 1 << 20


@dataclass
class Info:
    """What is known of a peer, over all of its sessions."""
    name: str
    state: str = "idle"
    why: str = "may connect"
    up_since: int | None = None
    clock_ms: int = 0
    rx_bytes: int = 0
    tx_bytes: int = 0
    rx_records: int = 0
    tx_records: int = 0
    refused_in: int = 0
    refused_out: int = 0
    version: int = 0
    dialed: bool = False
    acked: dict[bytes, int] = field(default_factory=dict)
    failures: dict[tuple[bytes, bytes | None], int] = field(default_factory=dict)  # of fetches, and until when they wait
    blocked: dict[tuple[bytes, bytes | None], float] = field(default_factory=dict)


class Link(asyncio.Protocol):
    """One TCP connection; its Session begins when TLS stands."""

    def __init__(self, hub: "Hub", target: str | None) -> None:
        self.hub, self.target = hub, target
        self.session: Session | None = None
        self.out = bytearray()
        self.scheduled = self.over = self.full = False
        self.address = ""

    def connection_made(self, transport) -> None:
        self.transport = transport
        name = transport.get_extra_info("peername")
        self.address = name[0] if name else ""
        self.tls = Tls(self.hub.tls_key, self.hub.cert, self.target is None, self.who)
        self.timer = self.hub.loop.call_later(HANDSHAKE, self.late)
        self.drive(b"")

    def who(self, key: bytes) -> str | None:
        name = self.hub.pinned(key)
        return name if self.target in (None, name) else None

    def late(self) -> None:
        if not self.session:
            self.turned_away("timeout")

    def turned_away(self, why: str) -> None:
        if self.over:
            return
        self.transport.write(self.tls.wire())
        self.finish()
        reason = why.split(":")[0]
        self.hub.turned[reason] += 1
        if self.target:
            text = "the key is not the pinned one" if why == "pin" else f"TLS failed: {why}"
            self.hub.dial_failed(self.target, text)
        else:
            text = {"plain": "no TLS was spoken", "version": "a TLS version other than 1.3", "cert": "no certificate",
                    "pin": "the key is not that of any configured peer", "alpn": "another protocol than noroshi/1",
                    "timeout": "no handshake in time"}.get(why, why)
            if (self.address, reason) not in self.hub.told:
                self.hub.told.add((self.address, reason))
                self.hub.say("NOTICE", f"network: connection from {self.address} refused: {text}")

    def data_received(self, data: bytes) -> None:
        self.drive(data)

    def drive(self, data: bytes) -> None:
        if self.over:
            return
        try:
            plain = self.tls.feed(data)
            if self.tls.done and not self.session and not self.over:
                self.timer.cancel()
                self.session = Session(self.hub, self.tls.peer, self.target is not None, self.write, self.close,
                                       self.room)
                self.hub.connected(self.session)
            if plain and self.session:
                self.session.feed(plain)
        except TurnedAway as e:
            if self.session:
                text = str(e)
                self.lost("the peer does not accept our key" if "alert" in text else text)
            else:
                self.turned_away(str(e))
        except EOFError:
            self.lost("it closed the connection")
        else:
            self.transport.write(self.tls.wire())

    def lost(self, why: str) -> None:
        if self.session:
            self.session.close(why)
        elif not self.over:
            self.turned_away("hangup")
        self.finish()

    def connection_lost(self, exc: Exception | None) -> None:
        self.timer.cancel()
        self.lost(str(exc) if exc else "it closed the connection")

    def write(self, data: bytes) -> None:
        self.out += data
        if not self.scheduled:
            self.scheduled = True
            self.hub.loop.call_soon(self.flush)

    def flush(self) -> None:
        self.scheduled = False
        if self.out and not self.over:
            data, self.out = bytes(self.out), bytearray()
            self.tls.encrypt(data)
            self.transport.write(self.tls.wire())
            self.resume_writing()

    def room(self) -> bool:
        self.full = len(self.out) + self.transport.get_write_buffer_size() >= BUFFER
        return not self.over and not self.full

    def resume_writing(self) -> None:
        """Who was told that there is no room is told when there is."""
        if self.full and self.room():
            self.hub.kick()

    def close(self) -> None:
        """After what was written."""
        self.flush()
        if not self.over:
            self.tls.end()
            self.transport.write(self.tls.wire())
        self.finish()

    def finish(self) -> None:
        if not self.over:
            self.over = True
            self.transport.close()


class Hub:
    def __init__(self, conf: C.Conf, node: Node, tls_key, log) -> None:
        self.conf, self.node, self.tls_key, self.log = conf, node, tls_key, log
        self.loop = asyncio.get_event_loop()
        self.cert = make_certificate(tls_key, node.name)
        self.infos: dict[str, Info] = {}
        self.sessions: dict[str, Session] = {}
        self.pending: set[Session] = set()
        self.manifests: dict[str, N.Manifest] = {}
        self.turned: Counter[str] = Counter()
        self.told: set[tuple[str, str]] = set()
        self.dialing: dict[str, asyncio.Task] = {}
        self.backoff: dict[str, float] = {}
        self.next_dial: dict[str, float] = {}
        self.acks: dict[Log, set[Session]] = {}
        self.scheduled = False
        self.draining = False
        self.wake = asyncio.Event()
        self.active = time.monotonic()
        self.readers = 0
        self.servers: list[asyncio.AbstractServer] = []

    def say(self, level: str, text: str) -> None:
        self.log(level, text)

    # -- peers --------------------------------------------------------------------------------------------------

    def info(self, name: str) -> Info:
        return self.infos.setdefault(name, Info(name))

    def load_peers(self, conf: C.Conf) -> dict[str, N.Manifest]:
        """The manifests of all configured peers; raises ConfError."""
        out = {}
        for p in conf.peers.values():
            try:
                with open(p.manifest, "rb") as f:
                    m = N.parse_manifest(f.read(N.MAX_NOTE + 1))
                if m.origin != p.name or m.number != 0:
                    raise F.Refused("origin", "not manifest 0 of this peer")
            except (OSError, F.Refused) as e:
                raise C.ConfError(p.file, p.line, f"manifest of {p.name}: {e}") from None
            out[p.name] = m
        return out

    def apply(self, conf: C.Conf, manifests: dict[str, N.Manifest]) -> None:
        """Peers of a configuration take force."""
        self.conf, self.manifests = conf, manifests
        for name, m in manifests.items():
            self.node.add_log(m)
            self.node.ceilings[name] = conf.peers[name].ceiling
            self.next_dial[name] = self.backoff[name] = 0.0
        for name in list(self.infos):
            if name not in conf.peers:
                self.infos.pop(name)
        for s in [*self.sessions.values(), *self.pending]:
            p = conf.peers.get(s.peer)
            if p is None or p.suspended:
                s.bye("suspended", "closed by the operator")
        for s in self.sessions.values():
            s.told.clear()
        for p in conf.peers.values():
            i = self.info(p.name)
            if i.state == "idle":
                i.why = "suspended" if p.suspended else "may connect"
        self.node.communities_changed = True
        self.kick()
        self.dial_due()

    def pinned(self, key: bytes) -> str | None:
        for name, m in self.manifests.items():
            log = self.node.logs.get(F.origin_id(name))
            if key in (log.manifests[-1][1] if log else m).tls and not self.conf.peers[name].suspended:
                return name
        return None

    def shared(self, peer: str) -> set[str]:
        p = self.conf.peers.get(peer)
        return set(p.communities) if p else set()

    # -- sessions -----------------------------------------------------------------------------------------------

    def connected(self, s: Session) -> None:
        self.pending.add(s)
        if s.peer not in self.sessions:
            self.state(s.peer, "hello", "connected" if s.dialed else "it connected")

    def state(self, peer: str, state: str, why: str) -> None:
        i = self.info(peer)
        if peer in self.sessions and state in ("dialing", "hello"):
            return  # another connection is tried beside the one that stands
        if i.state != state:
            self.say("NOTICE" if "up" in (state, i.state) else "INFO", f"peer {peer}: {i.state} -> {state}, {why}")
        i.state, i.why = state, why

    def up(self, s: Session) -> None:
        """HELLO was exchanged: of two sessions with one peer, one stays (PROTOCOL.md section 2)."""
        self.pending.discard(s)
        old = self.sessions.get(s.peer)
        if old is not None:
            smaller = self.node.id < F.origin_id(s.peer)
            if old.dialed != s.dialed and s.dialed != smaller:
                return s.bye("exists", "another connection took its place")
            del self.sessions[s.peer]
            old.bye("exists", "another connection took its place")
        self.sessions[s.peer] = s
        i = self.info(s.peer)
        i.up_since, i.version, i.dialed = now_ms(), s.version, s.dialed
        self.state(s.peer, "up", "HELLO agreed")
        self.backoff[s.peer] = 0.0
        self.kick()

    def closed(self, s: Session, why: str) -> None:
        self.pending.discard(s)
        if self.sessions.get(s.peer) is s:
            del self.sessions[s.peer]
            self.backoff[s.peer] = 0.0
        elif s.peer in self.sessions or any(x.peer == s.peer for x in self.pending):
            return
        if s.peer in self.conf.peers:
            self.info(s.peer).up_since = None
            self.state(s.peer, "idle", why)
            self.dial_later(s.peer)
        self.kick()

    def dial_later(self, peer: str) -> None:
        b = self.backoff[peer] = min(60.0, max(1.0, self.backoff.get(peer, 0.0) * 2))
        self.next_dial[peer] = time.monotonic() + random.uniform(0, b)

    def dial_failed(self, peer: str, why: str) -> None:
        if peer not in self.sessions and peer in self.conf.peers:
            self.state(peer, "idle", why)
        self.dial_later(peer)

    def dial_due(self) -> None:
        now = time.monotonic()
        for p in self.conf.peers.values():
            busy = p.name in self.sessions or p.name in self.dialing or any(s.peer == p.name for s in self.pending)
            if not p.suspended and not busy and not self.draining and self.next_dial.get(p.name, 0) <= now:
                self.dialing[p.name] = self.loop.create_task(self.dial(p))

    async def dial(self, p: C.PeerConf) -> None:
        why = "no address"
        try:
            for address in p.addresses or self.manifests[p.name].addresses:
                host, _, port = address.rpartition(":")
                try:
                    self.state(p.name, "dialing", "time to connect")
                    await asyncio.wait_for(self.loop.create_connection(
                        lambda: Link(self, p.name), host.strip("[]"), int(port)), 10)
                    self.next_dial[p.name] = time.monotonic() + HANDSHAKE
                    return
                except (OSError, asyncio.TimeoutError) as e:
                    why = f"{address}: {e}"
            self.dial_failed(p.name, why)
        finally:
            self.dialing.pop(p.name, None)

    async def listen(self) -> None:
        for host, port in self.conf.listen:
            self.servers.append(await self.loop.create_server(
                lambda: Link(self, None), None if host == "*" else host, port, backlog=128))

    # -- what becomes durable, and what follows from it ---------------------------------------------------------

    def durable_for(self, log: Log, s: Session) -> None:
        self.acks.setdefault(log, set()).add(s)
        self.kick()

    def kick(self) -> None:
        if not self.scheduled:
            self.scheduled = True
            self.loop.call_soon(self.turn)

    def turn(self) -> None:
        """One turn: a batch becomes durable, then everybody hears of it."""
        self.scheduled = False
        node, before = self.node, self.node.durable_events
        try:
            changed = node.flush()
        except OSError as e:
            self.say("ERROR", f"store: {e}; ending")
            os._exit(74)
        communities, node.communities_changed = node.communities_changed, False
        if changed or communities:
            self.active = time.monotonic()
        sources, self.acks = self.acks, {}
        for log_id, audiences in changed.items():
            log = node.logs[log_id]
            if log is not node.own:
                to = {s for s in sources.get(log, set()) if s.state == "up"}
                if log.name in self.sessions:
                    to.add(self.sessions[log.name])
                for s in to:
                    s.tell_ack(log, audiences)
        for s in list(self.sessions.values()):
            if communities:
                s.info.blocked.clear()
                s.tell_communities()
                s.tell_statements()
            if changed or communities:
                s.tell_have()
        self.plan()
        again = False
        for s in list(self.sessions.values()):
            again |= s.pump()
        if node.durable_events != before:
            self.wake.set()
            self.wake = asyncio.Event()
        if again:
            self.kick()

    def plan(self) -> None:
        """Each log and audience is fetched from one: its origin when connected, else somebody who is ahead."""
        for log in self.node.logs.values():
            if log is self.node.own:
                continue
            if log.frozen:
                for s in self.sessions.values():
                    s.abandon(log)
                continue
            first = self.sessions.get(log.name)
            order = [first] if first else []
            order += [s for s in self.sessions.values() if s is not first]
            self._choose(log, None, [s for s in order if s is first or log.id in s.have and
                                     s.have[log.id].size > len(log.tree)])
            offers: dict[bytes, list[Session]] = {}
            kinds: dict[bytes, int] = {}
            for s in order:
                h = s.have.get(log.id)
                for aid, kind, seq in h.audiences if h else []:
                    community = self.node.communities.get(aid)
                    if kind == COMMUNITY and (community is None or not community.trusted or
                                              community.last.name not in self.shared(s.peer)):
                        continue
                    chain = log.chains.get(aid)
                    if s is first or chain is None or seq > chain.next_seq:
                        offers.setdefault(aid, []).append(s)
                        kinds[aid] = kind
            for aid, some in offers.items():
                if aid not in log.chains:
                    log.chains[aid] = Chain(aid, kinds[aid])
                self._choose(log, aid, some)

    def _choose(self, log: Log, aid: bytes | None, some: list[Session]) -> None:
        some = [s for s in some if s.fetching(log, aid) or s.may_fetch(log, aid)]
        if not some:
            return
        best = some[0]
        has = next((s for s in self.sessions.values() if s.fetching(log, aid)), None)
        if has is best or has is not None and best.peer != log.name:
            return
        if has is not None:
            has.cancel(log, aid)
        best.fetch(log, log.chains[aid] if aid is not None else None)

    async def clock(self) -> None:
        while True:
            await asyncio.sleep(0.25)
            for s in [*self.sessions.values(), *self.pending]:
                s.tick()
            self.dial_due()
            self.plan()

    # -- what can be said of it ---------------------------------------------------------------------------------

    def lag(self, peer: str) -> tuple[int, float]:
        """Own records that this peer may have and has not acknowledged, and the age of the oldest in seconds."""
        n, oldest = 0, 0
        names, own = self.shared(peer), self.node.own
        for chain in own.chains.values():
            acked = self.info(peer).acked.get(chain.id, 0)
            for seq in range(acked, self.node.offered(peer, own, chain, names)):
                at = chain.seqs.get(seq)
                if at is not None and self.node.entitled(peer, chain, own.records[at]):
                    n += 1
                    oldest = min(oldest or 1 << 62, own.records[at].header.created_ms)
        return n, max(0.0, (now_ms() - oldest) / 1000) if n else 0.0

    def behind(self, s: Session) -> int:
        """Records of the peer itself that are not here yet, of what we want of it."""
        log = self.node.logs.get(F.origin_id(s.peer))
        h = s.have.get(log.id) if log else None
        if not log or not h:
            return 0
        n = 0
        for aid, kind, seq in h.audiences:
            c = self.node.communities.get(aid)
            if kind != COMMUNITY or c and c.trusted and c.last.name in self.shared(s.peer):
                chain = log.chains.get(aid)
                n += max(0, seq - (chain.next_seq if chain else 0))
        return n

    def in_sync(self) -> bool:
        if self.node.queue or self.scheduled:
            return False
        for s in self.sessions.values():
            if self.lag(s.peer)[0] or self.behind(s):
                return False
            if any(h.size > len(self.node.logs[o].tree) for o, h in s.have.items() if o != self.node.id):
                return False
            if s.leaves_sent.get(self.node.id, 0) < len(self.node.own.tree):
                return False
        return True

    def peer_status(self, name: str) -> dict:
        i, p = self.info(name), self.conf.peers[name]
        s = self.sessions.get(name)
        lag, age = self.lag(name)
        up = [c.last.name for c in self.node.communities.values()
              if c.trusted and c.last.name in p.communities and name in c.last.members
              and self.node.name in c.last.members]
        return {"name": name, "state": "off" if p.suspended else i.state, "why": i.why, "suspended": p.suspended,
                "dialed": i.dialed, "lag_records": lag, "lag_s": age, "behind_records": self.behind(s) if s else 0,
                "rx_bytes": i.rx_bytes, "tx_bytes": i.tx_bytes, "rx_records": i.rx_records,
                "tx_records": i.tx_records, "refused_in": i.refused_in, "refused_out": i.refused_out,
                "clock_ms": i.clock_ms, "up_since": rfc3339(i.up_since) if i.up_since else None,
                "version": i.version or None, "communities": up}


def logger(target: str):
    """(say, reopen): lines as noroshid writes them."""
    state = {"path": target, "file": None if target in ("stderr", "syslog") else open(target, "a", encoding="utf-8")}

    def say(level: str, text: str) -> None:
        line = f"{rfc3339(now_ms())} {level} {text}\n"
        f = state["file"] or sys.stderr
        f.write(line)
        f.flush()

    def reopen(path: str) -> None:
        new = None if path in ("stderr", "syslog") else open(path, "a", encoding="utf-8")
        if state["file"]:
            state["file"].close()
        state["path"], state["file"] = path, new
    return say, reopen
