"""Labels, ids, record headers, signature blocks and commitments (FORMAT.md sections 1-4)."""
from __future__ import annotations

import hashlib
import re
import struct
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

NONE64 = (1 << 64) - 1
ZERO32 = bytes(32)
MAX_PAYLOAD = 16 << 20
ALG_ED25519 = 1
TLP = ["CLEAR", "GREEN", "AMBER", "AMBER+STRICT", "RED"]
RED = 4
ONWARD = ["none", "members", "constituents"]
KINDS = {1: "bundle", 2: "retract", 3: "supersede", 4: "remark", 5: "erase", 6: "receipt", 7: "padding",
         8: "membership"}
KIND_BUNDLE, KIND_MEMBERSHIP = 1, 8
FLAG_URGENT, FLAG_EXERCISE = 1, 2


CODES = {"short": 1, "trailing": 2, "limit": 3, "syntax": 4, "magic": 5, "version": 6, "reserved": 7, "range": 8,
         "utf8": 9, "duplicate": 10, "type": 11, "order": 12, "origin": 21, "key": 22, "signature": 23, "alg": 24,
         "commitment": 25, "chain": 26, "leaf": 27, "proof": 28, "fork": 29, "pin": 30, "badkey": 31,
         "rollback": 32, "unknown": 41, "member": 42, "epoch": 43, "ceiling": 44, "marking": 45, "stix": 46,
         "perm": 47, "suspended": 48, "quota": 49, "full": 63, "notfound": 65, "exists": 66, "erased": 67,
         "memory": 71, "state": 72, "busy": 73}
CODE_NAMES = {n: name for name, n in CODES.items()}


class Refused(Exception):
    """Something that has to be refused: its code (PROTOCOL.md section 6), and what is wrong."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(f"{code}: {why}")
        self.code, self.why = code, why

    @property
    def number(self) -> int:
        return CODES[self.code]


def label(name: str) -> bytes:
    return f"noroshi/v1/{name}".encode().ljust(32, b"\0")


def sha(*parts: bytes) -> bytes:
    h = hashlib.sha256()
    for p in parts:
        h.update(p)
    return h.digest()


def labelled(name: str, *parts: bytes) -> bytes:
    return sha(label(name), *parts)


def u16str(s: str) -> bytes:
    b = s.encode()
    return struct.pack(">H", len(b)) + b


_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_ORIGIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})+", re.ASCII)
_COMMUNITY = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)


def is_origin(name: str) -> bool:
    return 3 <= len(name) <= 253 and _ORIGIN.fullmatch(name) is not None


def is_community(name: str) -> bool:
    return _COMMUNITY.fullmatch(name) is not None


def origin_id(name: str) -> bytes:
    return labelled("origin", name.encode())


def key_id(alg: int, public: bytes) -> bytes:
    return labelled("keyid", bytes([alg]), public)[:8]


def root_hash(public: bytes, alg: int = ALG_ED25519) -> bytes:
    return labelled("rootkey", bytes([alg]), public)


# Ed25519: canonical encoding, not of small order (RFC 8032 section 5.1.3; the eight points of small order).
_P = 2**255 - 19
_D = -121665 * pow(121666, _P - 2, _P) % _P


def _small_order_y() -> set[int]:
    # Order 1 and 2: y = 1, -1; order 4: y = 0; order 8: 2 y^2 = 1 +- sqrt(1 + d), solved over the field.
    ys = {0, 1, _P - 1}
    def root(a: int) -> int | None:
        x = pow(a, (_P + 3) // 8, _P)
        for c in (x, x * pow(2, (_P - 1) // 4, _P) % _P):
            if c * c % _P == a % _P:
                return c
        return None
    # A point of order 8 doubles to (x, 0): y^2 = -x^2 with the curve equation gives d y^4 + 2 y^2 - 1 = 0.
    s = root((1 + _D) % _P)
    assert s is not None
    for sign in (s, -s):
        y = root((-1 + sign) * pow(_D, _P - 2, _P) % _P)
        if y is not None:
            ys |= {y, _P - y}
    return ys


_SMALL = _small_order_y()


def is_public_key(public: bytes) -> bool:
    if len(public) != 32:
        return False
    y = int.from_bytes(public, "little") & ((1 << 255) - 1)
    if y >= _P or y in _SMALL:
        return False
    # On the curve: x^2 = (y^2 - 1) / (d y^2 + 1) must have a root.
    x2 = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    return pow(x2, (_P - 1) // 2, _P) == 1


_keys: dict[bytes, Ed25519PublicKey] = {}


def verify(public: bytes, signature: bytes, message: bytes) -> bool:
    key = _keys.get(public)
    if key is None:
        key = _keys[public] = Ed25519PublicKey.from_public_bytes(public)
    try:
        key.verify(signature, message)
        return True
    except InvalidSignature:
        return False


HEADER = struct.Struct(">4sBBBBQQQII32s32s32sQ32sQ32s16s")
assert HEADER.size == 232


@dataclass(frozen=True)
class Header:
    kind: int
    tlp: int
    flags: int
    created_ms: int
    expires_ms: int
    seq: int
    epoch: int
    audience: bytes
    prev: bytes
    origin: bytes
    payload_len: int
    payload_commit: bytes
    uuid: bytes
    ref_index: int = NONE64
    ref_leaf: bytes = ZERO32
    raw: bytes = field(default=b"", compare=False)

    def pack(self) -> bytes:
        return HEADER.pack(b"NRS1", 1, self.kind, self.tlp, self.flags, self.created_ms, self.expires_ms, self.seq,
                           self.epoch, 0, self.audience, self.prev, self.origin, self.payload_len,
                           self.payload_commit, self.ref_index, self.ref_leaf, self.uuid)

    @staticmethod
    def parse(raw: bytes) -> "Header":
        if len(raw) != 232:
            raise Refused("short", "a header has 232 bytes")
        (magic, version, kind, tlp, flags, created, expires, seq, epoch, zero, audience, prev, origin, plen, commit,
         ref_index, ref_leaf, uuid) = HEADER.unpack(raw)
        if magic != b"NRS1":
            raise Refused("magic", "not a record")
        if version == 0:
            raise Refused("version", "record of version 0")
        if version > 1:  # what a later version may use as it likes is not looked at (FORMAT, section 3)
            kind, flags, zero, ref_index, ref_leaf, uuid = 0, flags & 0x0F, 0, NONE64, ZERO32, bytes(16)
        if zero or flags & 0xF0:
            raise Refused("reserved", "reserved bits of the header are set")
        if tlp > RED or flags >> 2 & 3 == 3 or plen > MAX_PAYLOAD:
            raise Refused("range", "a field of the header is out of range")
        if ref_index == NONE64 and ref_leaf != ZERO32:
            raise Refused("reserved", "a leaf without a reference")
        if seq == 0 and prev != ZERO32:
            raise Refused("chain", "the first of a chain follows nothing")
        # A bundle's UUID is that of its STIX id, of whatever version; all others are random.
        if version == 1 and (uuid[8] >> 6 != 2 or not (1 <= uuid[6] >> 4 <= 8 if kind == KIND_BUNDLE else
                                                       uuid[6] >> 4 == 4)):
            raise Refused("range", "not a UUID of the right version")
        return Header(kind, tlp, flags, created, expires, seq, epoch, audience, prev, origin, plen, commit, uuid,
                      ref_index, ref_leaf, raw)

    def link(self) -> bytes:
        return labelled("header", self.raw or self.pack())

    def signed_bytes(self) -> bytes:
        raw = self.raw or self.pack()
        t = f"noroshi/v{raw[4]}/record/{KINDS.get(raw[5], raw[5])}"
        return f"DSSEv1 {len(t)} {t} 232 ".encode() + raw


def payload_commit(salt: bytes, payload: bytes) -> bytes:
    return labelled("payload", salt, struct.pack(">Q", len(payload)), payload)


def commitment(header: bytes, block: bytes) -> bytes:
    return labelled("leaf", struct.pack(">I", len(header) + len(block)), header, block)


def sign_block(key: Ed25519PrivateKey, public: bytes, header: Header) -> bytes:
    return struct.pack(">BB8sH", 1, ALG_ED25519, key_id(ALG_ED25519, public), 64) + key.sign(header.signed_bytes())


def parse_block(block: bytes) -> list[tuple[int, bytes, bytes]]:
    """[(alg, key id, signature)], sorted and unique, nothing after it."""
    if not 1 <= len(block) <= 65536:
        raise Refused("short", "size of the signature block")
    n, at, out = block[0], 1, []
    if not 1 <= n <= 16:
        raise Refused("range", f"{n} signatures")
    for _ in range(n):
        if at + 11 > len(block):
            raise Refused("short", "the signature block ends early")
        alg, kid, size = struct.unpack_from(">B8sH", block, at)
        at += 11
        if at + size > len(block):
            raise Refused("short", "the signature block ends early")
        if alg == ALG_ED25519 and size != 64:
            raise Refused("short", "an Ed25519 signature has 64 bytes")
        if out and (alg, kid) <= out[-1][:2]:
            raise Refused("order", "signatures are not sorted")
        out.append((alg, kid, block[at:at + size]))
        at += size
    if at != len(block):
        raise Refused("trailing", "bytes after the signature block")
    return out


def check_signatures(header: Header, block: bytes, feed: bytes, require: list[str]) -> None:
    """Every algorithm that the manifest requires is there, by its feed key, and verifies."""
    want = key_id(ALG_ED25519, feed)
    entries = parse_block(block)
    for alg in require:
        if alg != "ed25519":
            raise Refused("alg", f"{alg} is required and not known here")
        sig = next((s for a, k, s in entries if (a, k) == (ALG_ED25519, want)), None)
        if all(a != ALG_ED25519 for a, _, _ in entries):
            raise Refused("alg", "a required algorithm is missing")
        if sig is None:
            raise Refused("key", "not signed by the feed key in force")
        if not verify(feed, sig, header.signed_bytes()):
            raise Refused("signature", "the record's signature does not verify")


def sealed(c: bytes) -> bytes:
    return b"NRL1\0\0\0\0" + c


def control(document: bytes) -> bytes:
    if len(document) > 65527:
        raise Refused("limit", "a document of more than 65,527 bytes")
    return b"NRL1\1\0" + struct.pack(">H", len(document)) + document


def leaf_hash(entry: bytes) -> bytes:
    return sha(b"\0", entry)


def tlp_of(name: str) -> int:
    if name not in TLP:
        raise Refused("range", f"{name} is not a marking")
    return TLP.index(name)


def direct_id(origin: bytes, nonce: bytes, recipients: list[str]) -> bytes:
    return labelled("direct", origin, nonce, *(u16str(r) for r in recipients))


def community_id(founder: str, name: str, nonce: bytes) -> bytes:
    return labelled("community", u16str(founder), u16str(name), nonce)


def object_key(audience: bytes, tlp: int, stix_id: str, modified: str) -> bytes:
    return labelled("object", audience, bytes([tlp]), u16str(stix_id), u16str(modified))[:16]
