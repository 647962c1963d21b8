"""Signed notes: checkpoints, manifests, membership statements, invites (FORMAT.md sections 5-8, C2SP signed-note)."""
from __future__ import annotations

import base64
import binascii
import datetime
import re
import struct
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from .formats import (ONWARD, RED, TLP, Refused, community_id, is_community, is_origin, is_public_key,
                      labelled, root_hash, sha, tlp_of, verify)

MAX_NOTE = 65527
MAX_INVITE = 1 << 20
SEPARATOR = b"-----\n"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def unb64(text: str, size: int | None = None) -> bytes:
    """Canonical base64 only: what it decodes to must encode to it again."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refused("syntax", "not base64") from None
    if b64(data) != text:
        raise Refused("syntax", "base64 is not canonical")
    if size is not None and len(data) != size:
        raise Refused("short", f"{len(data)} bytes of base64, not {size}")
    return data


def note_key_id(name: str, kind: int, public: bytes) -> bytes:
    return sha(name.encode(), b"\n", bytes([kind]), public)[:4]


def vkey(name: str, kind: int, public: bytes) -> str:
    return f"{name}+{note_key_id(name, kind, public).hex()}+{b64(bytes([kind]) + public)}"


@dataclass
class Note:
    text: bytes
    signatures: list[tuple[str, bytes, bytes]]  # name, id[4], signature

    def signed_by(self, name: str, public: bytes) -> bool:
        want = note_key_id(name, 1, public)
        return any(n == name and i == want and len(s) == 64 and verify(public, s, self.text)
                   for n, i, s in self.signatures)

    def names(self, name: str, public: bytes) -> bool:
        """A line of this key is there, whether it verifies or not."""
        want = note_key_id(name, 1, public)
        return any(n == name and i == want for n, i, _ in self.signatures)

    def cosigned_by(self, name: str, public: bytes) -> int | None:
        """The time of a valid cosignature (C2SP tlog-cosignature), or None."""
        want = note_key_id(name, 4, public)
        for n, i, s in self.signatures:
            if n == name and i == want and len(s) == 72:
                t = struct.unpack(">Q", s[:8])[0]
                if verify(public, s[8:], f"cosignature/v1\ntime {t}\n".encode() + self.text):
                    return t
        return None


def parse_note(raw: bytes) -> Note:
    if len(raw) > MAX_NOTE:
        raise Refused("limit", "a note of more than 65,527 bytes")
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("utf8", "a note is not UTF-8") from None
    if any(b < 0x20 and b != 0x0A or b == 0x7F for b in raw):
        raise Refused("syntax", "control characters in a note")
    cut = raw.rfind(b"\n\n")
    if cut < 0 or not raw.endswith(b"\n"):
        raise Refused("syntax", "not a signed note")
    text, lines = raw[:cut + 1], raw[cut + 2:].decode().split("\n")[:-1]
    if not 1 <= len(lines) <= 64:
        raise Refused("syntax", f"{len(lines)} signature lines")
    sigs = []
    for line in lines:
        m = re.fullmatch("\u2014 ([^ +\\s]+) ([A-Za-z0-9+/=]+)", line)
        if not m:
            raise Refused("syntax", "a signature line is malformed")
        blob = unb64(m[2])
        if len(blob) < 5:
            raise Refused("short", "a signature is too short")
        sigs.append((m[1], blob[:4], blob[4:]))
    return Note(text, sigs)


def sign_note(text: bytes, name: str, key: Ed25519PrivateKey, public: bytes) -> bytes:
    blob = note_key_id(name, 1, public) + key.sign(text)
    return text + f"\n\u2014 {name} {b64(blob)}\n".encode()


@dataclass
class Checkpoint:
    origin: str
    size: int
    root: bytes
    raw: bytes = b""

    def text(self) -> bytes:
        return f"{self.origin}\n{self.size}\n{b64(self.root)}\n".encode()


def parse_checkpoint(raw: bytes) -> tuple[Checkpoint, Note]:
    note = parse_note(raw)
    lines = note.text.decode().split("\n")
    if len(lines) != 4 or not is_origin(lines[0]) or not re.fullmatch("0|[1-9][0-9]{0,19}", lines[1]):
        raise Refused("syntax", "not a checkpoint")
    size = int(lines[1])
    if size >= 1 << 64:
        raise Refused("range", "size of a checkpoint")
    return Checkpoint(lines[0], size, unb64(lines[2], 32), raw), note


class Lines:
    """Reads a text of `word value` lines in their order."""

    def __init__(self, text: bytes, first: str) -> None:
        self.lines = text.decode().split("\n")[:-1]
        self.at = 0
        if not self.lines or self.lines[0] != first:
            raise Refused("syntax", f"the first line is not {first}")
        self.at = 1

    def maybe(self, word: str) -> str | None:
        if self.at < len(self.lines) and self.lines[self.at].startswith(word + " "):
            self.at += 1
            value = self.lines[self.at - 1][len(word) + 1:]
            if not value or value != " ".join(value.split()):
                raise Refused("syntax", f"line {self.at}: spaces")
            return value
        return None

    def one(self, word: str) -> str:
        value = self.maybe(word)
        if value is None:
            raise Refused("syntax", f"line {self.at + 1}: {word} expected")
        return value

    def many(self, word: str, least: int, most: int) -> list[str]:
        out: list[str] = []
        while (v := self.maybe(word)) is not None:
            out.append(v)
        if not least <= len(out) <= most:
            raise Refused("range", f"{len(out)} lines of {word}")
        return out

    def number(self, word: str, most: int) -> int:
        v = self.one(word)
        if not re.fullmatch("0|[1-9][0-9]{0,9}", v) or int(v) > most:
            raise Refused("syntax", f"line {self.at}: a number expected")
        return int(v)

    def yes(self, word: str) -> bool:
        v = self.one(word)
        if v not in ("yes", "no"):
            raise Refused("syntax", f"line {self.at}: yes or no expected")
        return v == "yes"

    def origin(self, word: str) -> str:
        v = self.one(word)
        if not is_origin(v):
            raise Refused("syntax", f"line {self.at}: not an origin")
        return v

    def end(self) -> None:
        if self.at != len(self.lines):
            raise Refused("trailing", f"line {self.at + 1}: nothing may follow here")


def public_key(words: str) -> bytes:
    alg, _, key = words.partition(" ")
    if alg != "ed25519":
        raise Refused("alg", f"key of an unknown algorithm {alg}")
    public = unb64(key, 32)
    if not is_public_key(public):
        raise Refused("badkey", "a public key that is not canonical, or of small order")
    return public


@dataclass
class Manifest:
    origin: str
    number: int
    previous: bytes | None
    created: str
    root: bytes
    next_root: bytes
    feed: bytes
    log: bytes
    witness: bytes
    tls: list[bytes]
    require: list[str]
    addresses: list[str]
    raw: bytes = b""
    text: bytes = b""

    def make_text(self) -> bytes:
        out = ["noroshi/v1/manifest", f"origin {self.origin}", f"number {self.number}",
               f"previous {b64(self.previous) if self.previous else '-'}", f"created {self.created}",
               f"root ed25519 {b64(self.root)}", f"next-root {b64(self.next_root)}",
               f"key feed ed25519 {b64(self.feed)}", f"key log ed25519 {b64(self.log)}",
               f"key witness ed25519 {b64(self.witness)}", *(f"key tls ed25519 {b64(k)}" for k in self.tls),
               *(f"require {r}" for r in self.require), *(f"address {a}" for a in self.addresses)]
        return ("\n".join(out) + "\n").encode()

    def hash(self) -> bytes:
        return labelled("manifest", self.text)

    def fingerprint(self) -> str:
        s = base64.b32encode(self.hash())[:20].decode()
        return "-".join(s[i:i + 4] for i in range(0, 20, 4))


def parse_manifest(raw: bytes) -> Manifest:
    """Of one that stands alone its own signature is checked; that it follows another is follows()."""
    note = parse_note(raw)
    l = Lines(note.text, "noroshi/v1/manifest")
    origin, number, previous = l.origin("origin"), l.number("number", 0xFFFFFFFF), l.one("previous")
    if (previous == "-") != (number == 0):
        raise Refused("range", "only manifest 0 has no previous one")
    created = l.one("created")
    try:
        if datetime.datetime.strptime(created, "%Y-%m-%dT%H:%M:%SZ").strftime("%Y-%m-%dT%H:%M:%SZ") != created:
            raise ValueError
    except ValueError:
        raise Refused("syntax", "created is not a time") from None
    root, next_root = public_key(l.one("root")), unb64(l.one("next-root"), 32)
    feed, log, witness = (public_key(l.one(f"key {k}")) for k in ("feed", "log", "witness"))
    tls = [public_key(k) for k in l.many("key tls", 1, 2)]
    require, addresses = l.many("require", 1, 16), l.many("address", 0, 8)
    l.end()
    keys = [root, feed, log, witness, *tls]
    if len(set(keys)) != len(keys):
        raise Refused("duplicate", "a key appears twice")
    if len(set(require)) != len(require):
        raise Refused("duplicate", "an algorithm is required twice")
    m = Manifest(origin, number, None if previous == "-" else unb64(previous, 32), created, root, next_root, feed,
                 log, witness, tls, require, addresses, raw, note.text)
    if not note.signed_by(origin + "/root", root):
        raise Refused("signature", "the manifest is not signed by its root key")
    return m


def follows(new: Manifest, old: Manifest) -> None:
    if new.origin != old.origin or new.number != old.number + 1 or new.previous != old.hash():
        raise Refused("chain", "the manifest does not follow the last one")
    if root_hash(new.root) != old.next_root:
        raise Refused("key", "the manifest's root key was not announced")


@dataclass
class Statement:
    community: bytes
    name: str
    founder: str
    nonce: bytes
    epoch: int
    previous: bytes | None
    threshold: int
    ceiling: int
    onward: int
    history: bool
    exercise: bool
    stewards: dict[str, bytes]
    members: dict[str, bytes]
    raw: bytes = b""
    text: bytes = b""
    note: Note | None = field(default=None, repr=False)

    def make_text(self) -> bytes:
        yes = {True: "yes", False: "no"}
        out = ["noroshi/v1/membership", f"community {b64(self.community)}", f"name {self.name}",
               f"founder {self.founder}", f"nonce {b64(self.nonce)}", f"epoch {self.epoch}",
               f"previous {b64(self.previous) if self.previous else '-'}", f"threshold {self.threshold}",
               f"ceiling {TLP[self.ceiling]}", f"onward {ONWARD[self.onward]}", f"history {yes[self.history]}",
               f"exercise {yes[self.exercise]}",
               *(f"steward {o} {b64(self.stewards[o])}" for o in sorted(self.stewards)),
               *(f"member {o} {b64(self.members[o])}" for o in sorted(self.members))]
        return ("\n".join(out) + "\n").encode()

    def hash(self) -> bytes:
        return labelled("statement", self.text)


def _people(lines: list[str]) -> dict[str, bytes]:
    out: dict[str, bytes] = {}
    last = ""
    for line in lines:
        name, _, key = line.partition(" ")
        if not is_origin(name):
            raise Refused("syntax", "not an origin")
        if name <= last:
            raise Refused("order", "members are not sorted")
        out[name], last = unb64(key, 32), name
    return out


def parse_statement(raw: bytes) -> Statement:
    note = parse_note(raw)
    l = Lines(note.text, "noroshi/v1/membership")
    community, name, founder = unb64(l.one("community"), 32), l.one("name"), l.origin("founder")
    nonce, epoch, previous = unb64(l.one("nonce"), 32), l.number("epoch", 0xFFFFFFFF), l.one("previous")
    threshold, ceiling, onward = l.number("threshold", 65535), tlp_of(l.one("ceiling")), l.one("onward")
    history, exercise = l.yes("history"), l.yes("exercise")
    stewards, members = _people(l.many("steward", 1, 65535)), _people(l.many("member", 1, 65535))
    l.end()
    if not is_community(name):
        raise Refused("syntax", "not the name of a community")
    if onward not in ONWARD or ceiling >= RED or not 1 <= threshold <= len(stewards):
        raise Refused("range", "a field of the statement is out of range")
    if (previous == "-") != (epoch == 0):
        raise Refused("range", "only epoch 0 has no previous statement")
    if any(members.get(s) != k for s, k in stewards.items()):
        raise Refused("member", "a steward is no member")
    if epoch == 0 and founder not in stewards:
        raise Refused("member", "the founder is no steward")
    if community != community_id(founder, name, nonce):
        raise Refused("syntax", "the id of the community is not that of its founder, name and nonce")
    return Statement(community, name, founder, nonce, epoch, None if previous == "-" else unb64(previous, 32),
                     threshold, ceiling, ONWARD.index(onward), history, exercise, stewards, members, raw, note.text,
                     note)


@dataclass
class Direct:
    origin: str
    nonce: bytes
    recipients: list[str]

    def make_text(self) -> bytes:
        return (f"noroshi/v1/direct\norigin {self.origin}\nnonce {b64(self.nonce)}\n" +
                "".join(f"recipient {r}\n" for r in self.recipients)).encode()


def parse_direct(text: bytes) -> Direct:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("utf8", "a list of recipients is not UTF-8") from None
    if not text.endswith(b"\n"):
        raise Refused("syntax", "a list of recipients ends early")
    l = Lines(text, "noroshi/v1/direct")
    origin, nonce = l.origin("origin"), unb64(l.one("nonce"), 32)
    recipients = l.many("recipient", 1, 1024)
    l.end()
    if any(not is_origin(r) for r in recipients) or origin in recipients:
        raise Refused("syntax", "not a recipient")
    if any(a >= b for a, b in zip(recipients, recipients[1:])):
        raise Refused("order", "recipients are not sorted")
    return Direct(origin, nonce, recipients)


@dataclass
class Invite:
    manifests: list[Manifest]
    statements: list[Statement]


def write_invite(notes: list[bytes]) -> bytes:
    return b"".join(SEPARATOR + n for n in notes)


def parse_invite(raw: bytes) -> Invite:
    """As a whole: one thing that is wrong refuses all of it."""
    if len(raw) > MAX_INVITE:
        raise Refused("limit", "an invite of more than 1 MiB")
    if not raw.startswith(SEPARATOR):
        raise Refused("syntax", "not an invite")
    notes = [n if n.endswith(b"\n") else n + b"\n" for n in raw[len(SEPARATOR):].split(b"\n" + SEPARATOR)]
    out = Invite([], [])
    for n in notes:
        kind = n.split(b"\n", 1)[0]
        if kind == b"noroshi/v1/manifest" and not out.statements:
            m = parse_manifest(n)
            if out.manifests:
                follows(m, out.manifests[-1])
            elif m.number:
                raise Refused("chain", "the first manifest is not manifest 0")
            out.manifests.append(m)
        elif kind == b"noroshi/v1/membership" and out.manifests:
            s = parse_statement(n)
            last = out.statements[-1] if out.statements else None
            if last and last.community == s.community:
                if s.epoch != last.epoch + 1 or s.previous != last.hash():
                    raise Refused("chain", "a statement does not follow the one before")
            elif s.epoch != 0 or any(o.community == s.community for o in out.statements):
                raise Refused("order", "statements are not in order of epoch")
            out.statements.append(s)
        else:
            raise Refused("syntax", "an unexpected note in an invite")
    return out


