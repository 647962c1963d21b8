"""The state of a peer, and what may change it: logs, audiences, communities (FORMAT.md 3-8, PROTOCOL.md 2-4).

Everything happens in one thread.  What changes is put into the store's pending batch; flush() makes it durable,
and only then does anybody hear of it.
"""
from __future__ import annotations

import json
import os
import struct
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Callable

from . import formats as F
from . import note as N
from . import stix, store, wire
from .formats import Refused
from .tlog import Tree, verify_consistency

COMMUNITY, DIRECT = 0, 1
OPENED = 0
MAX_PENDING_COMMUNITIES = 64
BAD_PROOFS = 3


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def rfc3339(ms: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms // 1000)) + f".{ms % 1000:03d}Z"


@dataclass
class Held:
    """A record of which at least header and signatures are here; code is why it was not opened, or OPENED."""
    header: F.Header
    block: bytes
    code: int
    flags: int = 0
    salt: bytes = b""
    where: int = 0
    size: int = 0


@dataclass(eq=False)
class Chain:
    """The records of one audience in one log."""
    id: bytes
    kind: int
    next_seq: int = 0
    link: bytes = F.ZERO32
    last_index: int = -1
    last_epoch: int = 0
    seqs: dict[int, int] = field(default_factory=dict)
    direct: N.Direct | None = None


@dataclass(eq=False)
class Log:
    name: str
    id: bytes
    manifests: list[tuple[int, N.Manifest]]
    tree: Tree = field(default_factory=Tree)
    entries: list[tuple[int, bytes]] = field(default_factory=list)
    checkpoint: N.Checkpoint | None = None
    records: dict[int, Held] = field(default_factory=dict)
    chains: dict[bytes, Chain] = field(default_factory=dict)
    frozen: bool = False
    opened: int = 0
    refused: int = 0
    bad_proofs: int = 0  # that the origin itself sent
    source: str | None = None

    def manifest_at(self, index: int) -> N.Manifest:
        """In force for entry or size - 1 = index: it holds after its own entry, the first from the start."""
        found = self.manifests[0][1]
        for at, m in self.manifests[1:]:
            if at < index:
                found = m
        return found

    def proven(self) -> int:
        """How much of it can be passed on: up to the newest checkpoint that this tree reaches."""
        return self.checkpoint.size if self.checkpoint else 0


@dataclass
class Community:
    statements: list[N.Statement]
    trusted: bool = False
    frozen: bool = False

    @property
    def last(self) -> N.Statement:
        return self.statements[-1]

    def member_at(self, name: str, epoch: int) -> bool:
        if epoch >= len(self.statements):
            return False
        return name in self.statements[epoch].members or (self.last.history and name in self.last.members)


@dataclass
class Event:
    log: Log
    index: int
    time_ms: int
    objects: int


@dataclass
class Submission:
    audience: bytes
    kind: int
    tlp: int
    flags: int
    expires_ms: int
    payload: bytes
    uuid: bytes
    objects: int
    epoch: int
    done: Callable[[int], None] | None


@dataclass
class Keys:
    feed: object
    log: object


class Node:
    def __init__(self, manifest: N.Manifest, keys: Keys, path: str, say: Callable[[str, str], None]) -> None:
        self.manifest, self.keys, self.say = manifest, keys, say
        self.name = manifest.origin
        self.started = now_ms()
        self.id = F.origin_id(self.name)
        self.logs: dict[bytes, Log] = {}
        self.communities: dict[bytes, Community] = {}
        self.events: list[Event] = []
        self.durable_events = 0
        self.known: dict[bytes, int] = {}
        self.by_recipients: dict[tuple[str, ...], bytes] = {}
        self.queue: list[Submission] = []
        self.refusals: Counter[str] = Counter()
        self.changed: dict[bytes, set[bytes]] = {}  # logs, and their audiences, that this batch touches
        self.communities_changed = False
        self.after: list[Callable[[], None]] = []
        self.counts: Counter[str] = Counter()
        self.pins: dict[str, N.Manifest] = {}
        self.ceilings: dict[str, int] = {}
        self.store = store.Store(path)
        self.own = self.add_log(manifest)
        for kind, where, data in self.store.replay():
            self._replay(kind, where, data)
        self.durable_events = len(self.events)
        self.changed.clear()
        if not len(self.own.tree):
            self._append_own([(1, manifest.raw)])

    # -- logs ---------------------------------------------------------------------------------------------------

    def add_log(self, manifest: N.Manifest) -> Log:
        oid = F.origin_id(manifest.origin)
        if oid not in self.logs:
            self.logs[oid] = Log(manifest.origin, oid, [(0, manifest)])
        return self.logs[oid]

    def _entry_bytes(self, entry: tuple[int, bytes]) -> bytes:
        return F.control(entry[1]) if entry[0] else F.sealed(entry[1])

    def _extend(self, log: Log, entries: list[tuple[int, bytes]]) -> None:
        """Appends to the tree; a control entry that is a manifest must be the next one."""
        for cls, data in entries:
            at = len(log.tree)
            if cls == 1 and data.startswith(b"noroshi/v1/manifest\n"):
                if at == 0:
                    if N.parse_manifest(data).text != log.manifests[0][1].text:
                        raise Refused("fork", "entry 0 is not the manifest that was accepted")
                else:
                    self._renew(log, at, data)
            elif at == 0:
                raise Refused("origin", "entry 0 is not a manifest")
            log.entries.append((cls, data))
            log.tree.append(F.leaf_hash(self._entry_bytes((cls, data))))

    def _renew(self, log: Log, at: int, data: bytes) -> None:
        """A manifest that does not follow has no effect: it is a leaf like any other."""
        try:
            m = N.parse_manifest(data)
            N.follows(m, log.manifests[-1][1])
            log.manifests.append((at, m))
        except Refused:
            pass

    def _cut(self, log: Log, size: int) -> None:
        log.tree.truncate(size)
        del log.entries[size:]
        log.manifests = [m for m in log.manifests if m[0] < size or m[0] == 0]

    def check_checkpoint(self, log: Log, raw: bytes) -> N.Checkpoint:
        cp, signed = N.parse_checkpoint(raw)
        if cp.origin != log.name:
            raise Refused("origin", "a checkpoint of another origin")
        key, name = log.manifest_at(max(cp.size - 1, 0)).log, log.name + "/log"
        if not signed.signed_by(name, key):
            raise Refused("signature" if signed.names(name, key) else "key",
                          "the checkpoint is not signed by the log key in force")
        return cp

    def take_leaves(self, v: wire.Leaves, source: str) -> None:
        log = self.logs.get(v.origin)
        if log is None:
            raise Refused("unknown", "leaves of an unknown origin")
        if log is self.own:
            raise Refused("perm", "nobody else extends this log")
        first = len(log.tree)
        if v.first != first:
            raise Refused("order", f"leaves from {v.first}, not {first}")
        size = first + len(v.entries)
        try:
            self._extend(log, v.entries)
            cp = self.check_checkpoint(log, v.checkpoint)
            if cp.size < size or not size or not v.entries and cp.size != size:
                raise Refused("range", "the checkpoint does not cover the leaves")
            old = log.checkpoint
            if old and cp.size == old.size and cp.root != old.root:
                self._freeze(log, v.checkpoint, f"two roots of size {cp.size}")
                raise Refused("fork", "another root of a size already held")
            if not verify_consistency(size, cp.size, log.tree.root(), cp.root, v.proof):
                log.bad_proofs += log.name == source  # of a relay it proves nothing
                if log.bad_proofs >= BAD_PROOFS:
                    self._freeze(log, v.checkpoint, f"leaves of {size} do not lead to the checkpoint of {cp.size}")
                    raise Refused("fork", "no proof from what is held to the checkpoint, again and again")
                raise Refused("proof", "leaves, proof and checkpoint do not fit")
        except Refused:
            self._cut(log, first)
            raise
        if not v.entries and old and old.size == cp.size:
            return
        if cp.size == size:
            log.checkpoint = cp
        log.source = source
        self.store.add(store.LEAVES, wire.leaves(wire.Leaves(log.id, first, v.checkpoint, [], v.entries)))
        self.changed.setdefault(log.id, set())

    def _freeze(self, log: Log, evidence: bytes, why: str) -> None:
        """Kept first, then said; reception goes on."""
        if not log.frozen:
            log.frozen = True
            self.say("ERROR", f"{log.name}: evidence of two histories, {why}. Its log is frozen")
        self.store.add(store.EVIDENCE, log.id + evidence)

    # -- records ------------------------------------------------------------------------------------------------

    def take_record(self, log: Log, chain: Chain, item: wire.Item, source: str) -> bool:
        """Checks in the order of PROTOCOL.md section 4. Refused before the chain proves nothing about the origin and
        is raised; what is the origin's own fault is journalled and raised as Fault. False: it was here already."""
        h = F.Header.parse(item.header)
        if h.origin != log.id or log is self.own:
            raise Refused("origin", "a record of another origin")
        if h.audience != chain.id:
            raise Refused("perm", "a record of another audience than was asked for")
        if item.index == 0 or item.index >= len(log.tree):
            raise Refused("leaf", "a record above the log that is here")
        m = log.manifest_at(item.index)
        F.check_signatures(h, item.block, m.feed, m.require)
        if log.entries[item.index] != (0, F.commitment(item.header, item.block)):
            raise Refused("leaf", "not the record of its leaf")
        head_only = bool(item.flags & wire.HEADER_ONLY)
        if head_only and source != log.name:
            raise Refused("perm", "a header alone, and not from its origin")
        payload = b""
        if not head_only:
            try:
                payload = wire.expand(item, h.payload_len)
            except Refused as e:
                raise Refused("commitment", e.why) from None
            if F.payload_commit(item.salt, payload) != h.payload_commit:
                raise Refused("commitment", "the payload is not the one that was signed")
        if h.seq < chain.next_seq:
            at = chain.seqs.get(h.seq)
            if at is not None and at != item.index:
                self._freeze(log, item.header + item.block,
                             f"records {at} and {item.index} with one sequence number")
                raise Refused("fork", "two records with one sequence number")
            return False
        gap = h.seq != chain.next_seq
        community = self.communities.get(chain.id)
        if chain.kind == COMMUNITY and community and h.epoch >= len(community.statements):
            raise Refused("epoch", f"epoch {h.epoch} is not known here")
        if not gap and h.prev != chain.link:
            raise Refused("chain", "the record does not follow the one before")
        if gap and not self._gap_allowed(chain, community, h):
            raise Refused("chain", f"sequence number {h.seq} where {chain.next_seq} is due")
        objects, code = 0, OPENED
        direct = chain.direct
        try:
            if h.seq >= item.index or item.index <= chain.last_index or h.epoch < chain.last_epoch:
                raise Refused("order", "index, sequence number or epoch go back")
            if gap and h.seq - max(chain.next_seq - 1, 0) > item.index - max(chain.last_index, 0):
                raise Refused("order", "more records than the log has room for")
            if chain.kind == DIRECT and h.seq == 0 and not head_only:
                direct = self._check_list(log, h, payload)
            self._check_audience(log, chain, community, direct, h)
            if head_only:
                raise Refused("ceiling", "given as a header only")
            if h.kind == F.KIND_BUNDLE:
                bundle = self._check_bundle(h, payload)
                objects = len(bundle.objects)
            self._check_ceiling(log, chain, community, h, source)
        except Refused as e:
            code = e.number
            self._keep(log, chain, item, h, code, 0)
            log.refused += 1
            if not head_only:
                self.refusals[e.code] += 1
                raise Fault(e) from None
            return True
        chain.direct = direct
        self._keep(log, chain, item, h, OPENED, objects)
        return True

    def _keep(self, log: Log, chain: Chain, item: wire.Item, h: F.Header, code: int, objects: int) -> None:
        t = now_ms()
        if code == OPENED:
            head = struct.pack(">32sQIB", log.id, t, objects, chain.kind)
            where = self.store.add(store.RECORD, head + wire.record(item))
            self._apply(log, chain.kind, item, h, OPENED, where + len(head), t, objects)
        else:
            bare = wire.Item(item.index, wire.HEADER_ONLY, item.header, item.block)
            self.store.add(store.REFUSED, struct.pack(">32sHB", log.id, code, chain.kind) + wire.record(bare))
            self._apply(log, chain.kind, bare, h, code, 0, t, 0)
        self.changed.setdefault(log.id, set()).add(chain.id)

    def _apply(self, log: Log, kind: int, item: wire.Item, h: F.Header, code: int, where: int, t: int,
               objects: int) -> None:
        """A record that was accepted, or read back, into memory; payloads stay in the file."""
        chain = log.chains.setdefault(h.audience, Chain(h.audience, kind))
        at = where + 20 + 232 + len(item.block) + 32
        log.records[item.index] = Held(h, item.block, code, item.flags, item.salt, at, len(item.data))
        chain.seqs[h.seq] = item.index
        chain.next_seq, chain.link = h.seq + 1, h.link()
        chain.last_index, chain.last_epoch = item.index, h.epoch
        if code == OPENED:
            log.opened += 1
            if objects:
                self.events.append(Event(log, item.index, t, objects))

    def _gap_allowed(self, chain: Chain, community: Community | None, h: F.Header) -> bool:
        if community is None or chain.kind != COMMUNITY or h.epoch >= len(community.statements):
            return False
        return any(self.name not in community.statements[e].members for e in range(chain.last_epoch, h.epoch + 1))

    def _check_list(self, log: Log, h: F.Header, payload: bytes) -> N.Direct:
        if h.kind != F.KIND_MEMBERSHIP:
            raise Refused("member", "a direct audience begins with its list")
        d = N.parse_direct(payload)
        if d.origin != log.name or F.direct_id(log.id, d.nonce, d.recipients) != h.audience:
            raise Refused("member", "the list is not that of this audience")
        return d

    def _check_audience(self, log: Log, chain: Chain, community: Community | None, direct: N.Direct | None,
                        h: F.Header) -> None:
        if chain.kind == DIRECT:
            if h.epoch != 0:
                raise Refused("range", "a direct audience has no epochs")
            if direct is None or self.name not in direct.recipients:
                raise Refused("member", "not addressed to this origin")
            return
        if community is None or not community.trusted:
            raise Refused("unknown", "a community that was not accepted here")
        if log.name not in community.statements[h.epoch].members:
            raise Refused("member", f"{log.name} is no member at epoch {h.epoch}")
        if not community.member_at(self.name, h.epoch):
            raise Refused("member", f"not a member at epoch {h.epoch}")
        if bool(h.flags & F.FLAG_EXERCISE) != community.last.exercise:
            raise Refused("marking", "exercise and earnest do not mix")

    def _check_bundle(self, h: F.Header, payload: bytes) -> stix.Bundle:
        bundle = stix.parse(payload)
        stix.check_marking(bundle, h.tlp)
        return bundle

    def _check_ceiling(self, log: Log, chain: Chain, community: Community | None, h: F.Header, source: str) -> None:
        if h.tlp > min(self.ceilings.get(log.name, F.RED), self.ceilings.get(source, F.RED)):
            raise Refused("ceiling", "above the ceiling of the peer")
        if community and h.tlp > community.statements[h.epoch].ceiling:
            raise Refused("ceiling", "above the ceiling of the community")

    def payload(self, held: Held) -> bytes:
        item = wire.Item(0, held.flags, b"", b"", b"", self.store.read(held.where, held.size))
        return wire.expand(item, held.header.payload_len)

    def item(self, index: int, held: Held) -> wire.Item:
        if held.code != OPENED:
            return wire.Item(index, wire.HEADER_ONLY, held.header.raw, held.block)
        return wire.Item(index, held.flags, held.header.raw, held.block, held.salt,
                         self.store.read(held.where, held.size))

    # -- who may have what --------------------------------------------------------------------------------------

    def entitled(self, who: str, chain: Chain, held: Held) -> bool:
        if chain.kind == DIRECT:
            return chain.direct is not None and who in chain.direct.recipients
        c = self.communities.get(chain.id)
        return c is not None and c.trusted and c.member_at(who, held.header.epoch)

    def offered(self, who: str, log: Log, chain: Chain, names: set[str]) -> int:
        """One past the last record of the chain that may go to a peer with which these communities are shared."""
        if chain.kind == COMMUNITY:
            c = self.communities.get(chain.id)
            if c is None or c.last.name not in names:
                return 0
        for seq in range(chain.next_seq - 1, -1, -1):
            at = chain.seqs.get(seq)
            if at is not None and at < log.proven() and self.entitled(who, chain, log.records[at]):
                return seq + 1
        return 0

    # -- publishing ---------------------------------------------------------------------------------------------

    def submit(self, s: Submission) -> None:
        self.queue.append(s)

    def direct_audience(self, recipients: list[str]) -> bytes:
        """The audience of these recipients; its list is published when there is none yet."""
        aid = self.by_recipients.get(tuple(recipients))
        if aid is None:
            d = N.Direct(self.name, os.urandom(32), recipients)
            aid = F.direct_id(self.id, d.nonce, recipients)
            self.by_recipients[tuple(recipients)] = aid
            self.submit(Submission(aid, F.KIND_MEMBERSHIP, 3, 0, 0, d.make_text(), _uuid4(), 0, 0, None))
        return aid

    def community_named(self, name: str) -> Community | None:
        found = [c for c in self.communities.values() if c.last.name == name]
        return next((c for c in found if c.trusted), found[0] if found else None)

    def _publish(self) -> None:
        if not self.queue:
            return
        batch, self.queue = self.queue, []
        heads: dict[bytes, tuple[int, bytes]] = {}
        made, entries, first = [], [], len(self.own.tree)
        for s in batch:
            chain = self.own.chains.get(s.audience)
            seq, link = heads.get(s.audience, (chain.next_seq, chain.link) if chain else (0, F.ZERO32))
            salt = os.urandom(32)
            h = F.Header(s.kind, s.tlp, s.flags, now_ms(), s.expires_ms, seq, s.epoch, s.audience, link, self.id,
                         len(s.payload), F.payload_commit(salt, s.payload), s.uuid)
            raw = h.pack()
            h = F.Header.parse(raw)
            block = F.sign_block(self.keys.feed, self.manifest.feed, h)
            flags, data = wire.pack_payload(s.payload)
            made.append((s, h, wire.Item(first + len(entries), flags, raw, block, salt, data)))
            entries.append((0, F.commitment(raw, block)))
            heads[s.audience] = seq + 1, h.link()
        self._append_own(entries)
        for s, h, item in made:
            kind = COMMUNITY if s.audience in self.communities else DIRECT
            chain = self.own.chains.setdefault(s.audience, Chain(s.audience, kind))
            if kind == DIRECT and h.seq == 0:
                chain.direct = N.parse_direct(s.payload)
            self._keep(self.own, chain, item, h, OPENED, s.objects)
            if s.done:
                self.after.append(lambda done=s.done, index=item.index: done(index))

    def _append_own(self, entries: list[tuple[int, bytes]]) -> None:
        """Extends the own log; its checkpoint is written in the same batch, so nobody sees it before it is durable."""
        first = len(self.own.tree)
        self._extend(self.own, entries)
        cp = N.Checkpoint(self.name, len(self.own.tree), self.own.tree.root())
        cp.raw = N.sign_note(cp.text(), self.name + "/log", self.keys.log, self.manifest.log)
        self.own.checkpoint = cp
        self.store.add(store.LEAVES, wire.leaves(wire.Leaves(self.id, first, cp.raw, [], entries)))
        self.changed.setdefault(self.id, set())

    def remember(self, bundle: stix.Bundle, audience: bytes, tlp: int, index: int) -> None:
        for o in bundle.objects:
            self.known[F.object_key(audience, tlp, o["id"], o.get("modified", ""))] = index

    # -- communities --------------------------------------------------------------------------------------------

    def feed_key(self, origin: str, root: bytes) -> bytes | None:
        """The feed key in force of a steward whose manifest is known here and has this root."""
        log = self.logs.get(F.origin_id(origin))
        if log is None or F.root_hash(log.manifests[0][1].root) != root:
            return None
        return log.manifests[-1][1].feed

    def _signed_enough(self, s: N.Statement, by: N.Statement) -> bool:
        got = 0
        for origin, root in by.stewards.items():
            feed = self.feed_key(origin, root)
            got += feed is not None and s.note.signed_by(origin + "/feed", feed)
        return got >= by.threshold

    def take_statement(self, s: N.Statement, trusted: bool = False) -> bool:
        """Adopts what follows; a second successor that verifies freezes. False: it was known."""
        c = self.communities.get(s.community)
        if c is None:
            if s.epoch != 0:
                raise Refused("order", "a statement of an unknown community")
            if not self._signed_enough(s, s):
                raise Refused("signature", "the founding statement is not signed by its stewards")
            if sum(not x.trusted for x in self.communities.values()) >= MAX_PENDING_COMMUNITIES:
                raise Refused("limit", "too many communities wait for the operator")
            self._adopt(None, s, trusted)
            return True
        if s.epoch < len(c.statements):
            if c.statements[s.epoch].text == s.text:
                return False
            before = c.statements[s.epoch - 1] if s.epoch else s
            if (s.epoch == 0 or s.previous == before.hash()) and self._signed_enough(s, before) and not c.frozen:
                c.frozen = True
                self.store.add(store.EVIDENCE, s.community + s.raw)
                self.say("ERROR", f"community {s.name}: two signed statements of epoch {s.epoch}; changes freeze")
            raise Refused("fork", "another statement of this epoch is held")
        if c.frozen:
            raise Refused("fork", "the community is frozen")
        if s.epoch != c.last.epoch + 1 or s.previous != c.last.hash():
            raise Refused("order", "the statement does not follow the last one held")
        same = (s.name, s.founder, s.nonce, s.exercise)
        if same != (c.last.name, c.last.founder, c.last.nonce, c.last.exercise):
            raise Refused("syntax", "what can never change has changed")
        if not self._signed_enough(s, c.last):
            raise Refused("signature", "the statement is not signed by the stewards before it")
        self._adopt(c, s, trusted)
        return True

    def _adopt(self, c: Community | None, s: N.Statement, trusted: bool) -> None:
        if c is None:
            c = self.communities[s.community] = Community([], trusted)
        c.statements.append(s)
        self.store.add(store.STATEMENT, bytes([trusted]) + s.raw)
        self.communities_changed = True
        self.say("NOTICE", f"community {s.name}: statement of epoch {s.epoch} adopted")

    def trust(self, c: Community) -> None:
        if not c.trusted:
            c.trusted = True
            self.store.add(store.STATEMENT, b"\1" + c.statements[0].raw)
            self.communities_changed = True

    def _sign_statement(self, s: N.Statement) -> N.Statement:
        raw = N.sign_note(s.make_text(), self.name + "/feed", self.keys.feed, self.manifest.feed)
        return N.parse_statement(raw)

    def found_community(self, name: str, ceiling: int, onward: int, history: bool, exercise: bool) -> Community:
        nonce = os.urandom(32)
        me = {self.name: F.root_hash(self.manifest.root)}
        s = N.Statement(F.community_id(self.name, name, nonce), name, self.name, nonce, 0, None, 1, ceiling, onward,
                        history, exercise, dict(me), dict(me))
        self.take_statement(self._sign_statement(s), trusted=True)
        return self.communities[s.community]

    def add_member(self, c: Community, peer: N.Manifest) -> None:
        """As its steward; with others beside us it would take their signatures too."""
        last = c.last
        if peer.origin in last.members or self.name not in last.stewards or last.threshold != 1 or c.frozen:
            return
        members = dict(last.members)
        members[peer.origin] = F.root_hash(peer.root)
        s = N.Statement(last.community, last.name, last.founder, last.nonce, last.epoch + 1, last.hash(), 1,
                        last.ceiling, last.onward, last.history, last.exercise, dict(last.stewards), members)
        self.take_statement(self._sign_statement(s), trusted=True)

    # -- the store ----------------------------------------------------------------------------------------------

    def flush(self) -> dict[bytes, set[bytes]]:
        """One batch: publish what waits, make everything durable, answer who waits. What changed."""
        self._publish()
        self.store.commit()
        changed, self.changed = self.changed, {}
        self.durable_events = len(self.events)
        after, self.after = self.after, []
        for f in after:
            f()
        return changed

    def _replay(self, kind: int, where: int, data: bytes) -> None:
        if kind == store.LEAVES:
            v = wire.parse_leaves(data)
            log = self.logs.get(v.origin)
            if log is None:  # a peer whose manifest 0 stands in entry 0
                log = self.add_log(N.parse_manifest(v.entries[0][1]))
            self._extend(log, v.entries)
            cp, _ = N.parse_checkpoint(v.checkpoint)
            if cp.size == len(log.tree):
                log.checkpoint = cp
        elif kind == store.RECORD:
            oid, t, objects, ckind = struct.unpack(">32sQIB", data[:45])
            log, item = self.logs[oid], wire.parse_record(data[45:])
            h = F.Header.parse(item.header)
            self._apply(log, ckind, item, h, OPENED, where + 45, t, objects)
            if ckind == DIRECT and h.seq == 0:
                d = N.parse_direct(wire.expand(item, h.payload_len))
                log.chains[h.audience].direct = d
                if log is self.own:
                    self.by_recipients[tuple(d.recipients)] = h.audience
            if log is self.own and h.kind == F.KIND_BUNDLE:
                bundle = stix.Bundle("", json.loads(wire.expand(item, h.payload_len))["objects"])
                self.remember(bundle, h.audience, h.tlp, item.index)
        elif kind == store.REFUSED:
            oid, code, ckind = struct.unpack(">32sHB", data[:35])
            item = wire.parse_record(data[35:])
            self._apply(self.logs[oid], ckind, item, F.Header.parse(item.header), code, 0, 0, 0)
            self.logs[oid].refused += 1
        elif kind == store.STATEMENT:
            s = N.parse_statement(data[1:])
            c = self.communities.setdefault(s.community, Community([]))
            c.trusted = c.trusted or bool(data[0])
            if s.epoch == len(c.statements):
                c.statements.append(s)
        elif kind == store.EVIDENCE:
            if data[:32] in self.logs:
                self.logs[data[:32]].frozen = True
            elif data[:32] in self.communities:
                self.communities[data[:32]].frozen = True


class Fault(Exception):
    """The origin's own fault: journalled as refused; the stream goes on."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(str(refused))
        self.refused = refused


def _uuid4() -> bytes:
    u = bytearray(os.urandom(16))
    u[6], u[8] = u[6] & 0x0F | 0x40, u[8] & 0x3F | 0x80
    return bytes(u)
