"""Frames and their bodies (PROTOCOL.md section 1), and zstd."""
from __future__ import annotations

import ctypes
import struct
from dataclasses import dataclass

from .formats import MAX_PAYLOAD, Refused, parse_block

HELLO, BYE, MANIFESTS, STATEMENTS, COMMUNITIES, HAVE, FETCH_LEAVES, FETCH_RECORDS = range(1, 9)
CREDIT, CANCEL, LEAVES, RECORD, DATA, ACK, REFUSE, PING, PONG = range(9, 18)
NAMES = ["", "HELLO", "BYE", "MANIFESTS", "STATEMENTS", "COMMUNITIES", "HAVE", "FETCH_LEAVES", "FETCH_RECORDS",
         "CREDIT", "CANCEL", "LEAVES", "RECORD", "DATA", "ACK", "REFUSE", "PING", "PONG"]
MAX_BODY = 1 << 20
MAX_ITEM = 17 << 20
MORE = 1
RAW, HEADER_ONLY = 1, 2
NONE32 = b"\xff" * 32
NONE64 = (1 << 64) - 1
ON_STREAM = {FETCH_LEAVES, FETCH_RECORDS, CREDIT, CANCEL, LEAVES, RECORD, DATA}


def frame(kind: int, stream: int, body: bytes, flags: int = 0) -> bytes:
    return struct.pack(">IBBH", len(body), kind, flags, stream) + body


def lstr(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data


class Reader:
    def __init__(self, body: bytes) -> None:
        self.body, self.at = body, 0

    def take(self, n: int) -> bytes:
        if self.at + n > len(self.body):
            raise Refused("short", "a frame ends early")
        self.at += n
        return self.body[self.at - n:self.at]

    def get(self, fmt: str) -> tuple:
        return struct.unpack(">" + fmt, self.take(struct.calcsize(">" + fmt)))

    def lstr(self) -> bytes:
        return self.take(*self.get("H"))

    def count(self, least: int) -> int:
        """A u32 count of things of at least so many bytes: never more than can follow."""
        n, = self.get("I")
        if n * least > len(self.body) - self.at:
            raise Refused("short", "a frame names more than it holds")
        return n

    def end(self) -> None:
        if self.at != len(self.body):
            raise Refused("trailing", "bytes after the end of a frame")


def hello(origin: str, clock_ms: int, number: int, hash_: bytes) -> bytes:
    return struct.pack(">HH", 1, 0) + lstr(origin.encode()) + struct.pack(">QQ32sI", clock_ms, number, hash_, 0)


def parse_hello(body: bytes) -> tuple[int, str, int, int, bytes]:
    """version, origin, clock, number of the manifest, its hash."""
    r = Reader(body)
    version, zero = r.get("HH")
    if version != 1:
        return version, "", 0, 0, b""
    origin = r.lstr()
    clock, number, hash_, caps = r.get("QQ32sI")
    r.end()
    if zero or caps:
        raise Refused("reserved", "reserved bytes of HELLO are set")
    return version, origin.decode("ascii", "replace"), clock, number, hash_


def bye(code: int, text: str) -> bytes:
    return struct.pack(">H", code) + lstr(text.encode())


def statements(notes: list[bytes]) -> bytes:
    return struct.pack(">I", len(notes)) + b"".join(struct.pack(">I", len(n)) + n for n in notes)


def parse_statements(body: bytes) -> list[bytes]:
    r = Reader(body)
    out = [r.take(*r.get("I")) for _ in range(r.count(4))]
    r.end()
    return out


def communities(known: list[tuple[bytes, int, bytes]]) -> bytes:
    return struct.pack(">I", len(known)) + b"".join(struct.pack(">32sI32s", *k) for k in known)


def parse_communities(body: bytes) -> list[tuple[bytes, int, bytes]]:
    r = Reader(body)
    out = [r.get("32sI32s") for _ in range(r.count(68))]
    r.end()
    if len({c for c, _, _ in out}) != len(out):
        raise Refused("duplicate", "a community is named twice")
    return out


@dataclass
class Have:
    origin: bytes
    size: int
    audiences: list[tuple[bytes, int, int]]  # id, type (0 community, 1 direct), next seq


def have(known: list[Have]) -> bytes:
    out = [struct.pack(">I", len(known))]
    for h in known:
        out.append(struct.pack(">32sQI", h.origin, h.size, len(h.audiences)))
        out += [struct.pack(">32sB3xQ", *a) for a in h.audiences]
    return b"".join(out)


def parse_have(body: bytes) -> list[Have]:
    r = Reader(body)
    out = []
    for _ in range(r.count(44)):
        origin, size = r.get("32sQ")
        audiences = []
        for _ in range(r.count(44)):
            aid, kind, zero, seq = r.get("32sB3sQ")
            if any(zero) or kind > 1:
                raise Refused("reserved", "reserved bytes of HAVE are set")
            audiences.append((aid, kind, seq))
        out.append(Have(origin, size, audiences))
    r.end()
    return out


def ack(origin: bytes, size: int, audiences: list[tuple[bytes, int]]) -> bytes:
    return struct.pack(">32sQI", origin, size, len(audiences)) + \
        b"".join(struct.pack(">32sQ", *a) for a in audiences)


def parse_ack(body: bytes) -> tuple[bytes, int, list[tuple[bytes, int]]]:
    r = Reader(body)
    origin, size = r.get("32sQ")
    out = [r.get("32sQ") for _ in range(r.count(40))]
    r.end()
    return origin, size, out


def fetch_leaves(origin: bytes, start: int, credit: int) -> bytes:
    return struct.pack(">32sQI", origin, start, credit)


def fetch_records(origin: bytes, audience: bytes, seq: int, credit: int) -> bytes:
    return struct.pack(">32s32sQI", origin, audience, seq, credit)


@dataclass
class Leaves:
    origin: bytes
    first: int
    checkpoint: bytes
    proof: list[bytes]
    entries: list[tuple[int, bytes]]  # class, C or document


def leaves(v: Leaves) -> bytes:
    out = [v.origin, struct.pack(">QI", v.first, len(v.entries)), lstr(v.checkpoint),
           struct.pack(">H", len(v.proof)), *v.proof]
    for cls, data in v.entries:
        out.append(b"\0" + data if cls == 0 else b"\1" + lstr(data))
    return b"".join(out)


def parse_leaves(body: bytes) -> Leaves:
    r = Reader(body)
    origin, first = r.get("32sQ")
    count = r.get("I")[0]
    checkpoint = r.lstr()
    proof = [r.take(32) for _ in range(r.get("H")[0])]
    if count * 3 > len(body) - r.at:
        raise Refused("short", "LEAVES name more than they hold")
    entries = []
    for _ in range(count):
        cls, = r.get("B")
        if cls > 1:
            raise Refused("range", "an entry of an unknown class")
        entries.append((cls, r.lstr() if cls else r.take(32)))
    r.end()
    return Leaves(origin, first, checkpoint, proof, entries)


@dataclass
class Item:
    """What a RECORD and its DATA carry."""
    index: int
    flags: int
    header: bytes
    block: bytes
    salt: bytes = bytes(32)
    data: bytes = b""


def record(item: Item) -> bytes:
    out = struct.pack(">QIB3xI", item.index, len(item.block), item.flags, len(item.data)) + item.header + \
        item.block + item.salt + item.data
    return out + bytes(-len(out) % 256)


def record_frames(item: Item, stream: int) -> list[tuple[bytes, int]]:
    """[(frame, what it costs in credit)]."""
    whole = record(item)
    out = []
    for at in range(0, len(whole), MAX_BODY):
        part = whole[at:at + MAX_BODY]
        more = MORE if at + MAX_BODY < len(whole) else 0
        out.append((frame(DATA if at else RECORD, stream, part, more), len(part)))
    return out


def parse_record(body: bytes) -> Item:
    r = Reader(body)
    index, sigs_len, flags, zero, data_len = r.get("QIB3sI")
    if any(zero) or flags & ~3:
        raise Refused("reserved", "reserved bits of RECORD are set")
    if flags == RAW | HEADER_ONLY:
        raise Refused("reserved", "a header without payload has no raw data")
    if not 1 <= sigs_len <= 65536 or data_len > MAX_ITEM:
        raise Refused("range", "a length in RECORD is out of range")
    item = Item(index, flags, r.take(232), r.take(sigs_len), r.take(32), r.take(data_len))
    rest = r.take(len(body) - r.at)
    if len(body) % 256 or any(rest):
        raise Refused("reserved", "RECORD is not padded with zeros to the next 256 bytes")
    if len(rest) > 255:
        raise Refused("trailing", "more padding than to the next 256 bytes")
    if flags & HEADER_ONLY and (data_len or any(item.salt)):
        raise Refused("reserved", "a header without payload has neither data nor salt")
    parse_block(item.block)
    return item


@dataclass
class Refusal:
    code: int
    stream: int = 0xFFFF
    origin: bytes = NONE32
    index: int = NONE64
    seq: int = NONE64
    text: str = ""


def refuse(v: Refusal) -> bytes:
    return struct.pack(">HH32sQQ", v.code, v.stream, v.origin, v.index, v.seq) + lstr(v.text.encode()[:1000])


def parse_refuse(body: bytes) -> Refusal:
    r = Reader(body)
    code, stream, origin, index, seq = r.get("HH32sQQ")
    text = r.lstr()
    r.end()
    return Refusal(code, stream, origin, index, seq, text.decode("utf-8", "replace"))


class Splitter:
    """Bytes from the peer into frames; what is longer than a frame may be is skipped, and told as body None."""

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.skip = 0

    def feed(self, data: bytes):
        self.buffer += data
        at = 0
        while True:
            if self.skip:
                n = min(self.skip, len(self.buffer) - at)
                at, self.skip = at + n, self.skip - n
            if self.skip or len(self.buffer) - at < 8:
                break
            size, kind, flags, stream = struct.unpack_from(">IBBH", self.buffer, at)
            if size > MAX_BODY:
                at, self.skip = at + 8, size
                yield kind, flags, stream, None
                continue
            if len(self.buffer) - at < 8 + size:
                break
            body = bytes(self.buffer[at + 8:at + 8 + size])
            at += 8 + size
            yield kind, flags, stream, body
        del self.buffer[:at]


_zstd = ctypes.CDLL("libzstd.so.1")
_size_t, _buf = ctypes.c_size_t, ctypes.c_char_p
for _name, _args, _ret in (("ZSTD_compressBound", [_size_t], _size_t),
                           ("ZSTD_compress", [_buf, _size_t, _buf, _size_t, ctypes.c_int], _size_t),
                           ("ZSTD_decompress", [_buf, _size_t, _buf, _size_t], _size_t),
                           ("ZSTD_findFrameCompressedSize", [_buf, _size_t], _size_t),
                           ("ZSTD_isError", [_size_t], ctypes.c_uint)):
    _f = getattr(_zstd, _name)
    _f.argtypes, _f.restype = _args, _ret


def compress(data: bytes) -> bytes:
    out = ctypes.create_string_buffer(_zstd.ZSTD_compressBound(len(data)))
    n = _zstd.ZSTD_compress(out, len(out), data, len(data), 3)
    assert not _zstd.ZSTD_isError(n)
    return out.raw[:n]


def expand(item: Item, length: int) -> bytes:
    """The payload: as it is, or one zstd frame, of exactly the length that was signed."""
    if item.flags & RAW:
        if len(item.data) != length:
            raise Refused("short", "the payload is not as long as its header says")
        return item.data
    if _zstd.ZSTD_findFrameCompressedSize(item.data, len(item.data)) != len(item.data) or not item.data:
        raise Refused("syntax", "not one zstd frame")
    out = ctypes.create_string_buffer(length + 1)
    n = _zstd.ZSTD_decompress(out, length, item.data, len(item.data))
    if _zstd.ZSTD_isError(n) or n != length:
        raise Refused("syntax", "the payload does not expand to what its header says")
    return out.raw[:n]


def pack_payload(payload: bytes) -> tuple[int, bytes]:
    """(RECORD flags, data): whichever is shorter."""
    z = compress(payload)
    return (0, z) if len(z) < len(payload) else (RAW, payload)
