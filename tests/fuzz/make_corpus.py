#!/usr/bin/env python3
"""Writes the seeds of the fuzzers: make_corpus.py [DIRECTORY, default corpus/ beside it].

One small valid input for each thing a format can hold, so that a fuzzer begins
behind the magic numbers, hashes and checksums.  The formats are written here a
second time, from docs/FORMAT.md; files that a fuzzer found since stay.
"""
import base64
import hashlib
import pathlib
import struct
import sys

ROOT = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent / "corpus"

# Public keys of RFC 8032, section 7.1, and of RFC 8410, section 10.1: points of large order.
KEYS = [bytes.fromhex(k) for k in (
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
    "278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e",
    "ec172b93ad5e563f4932c70e8181e75b2ccf8ee3b2ab1a1f1aaf84d56e7ce1ef",
    "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1",
)]


def put(target, name, data):
    d = ROOT / target
    d.mkdir(parents=True, exist_ok=True)
    (d / name).write_bytes(data if isinstance(data, bytes) else data.encode())


def b64(b):
    return base64.b64encode(b).decode()


def label_hash(label, *parts):
    return hashlib.sha256(f"noroshi/v1/{label}".encode().ljust(32, b"\0") + b"".join(parts)).digest()


def lstr(b):
    return struct.pack(">H", len(b)) + b


# --- records (section 3) ---------------------------------------------------

def header(kind=1, tlp=2, flags=5, expires=0, seq=4, epoch=2, length=100, ref=None, uuid_version=4):
    uuid = bytearray(range(16))
    uuid[6] = uuid_version << 4 | 1
    uuid[8] = 0x85
    out = b"NRS1" + bytes([1, kind, tlp, flags])
    out += struct.pack(">QQQII", 1763822460000, expires, seq, epoch, 0)
    out += b"\x11" * 32 + (b"\x22" * 32 if seq else bytes(32)) + b"\x33" * 32
    out += struct.pack(">Q", length) + b"\x44" * 32
    out += struct.pack(">Q", ref if ref is not None else 2**64 - 1) + (b"\x55" * 32 if ref is not None else bytes(32))
    return out + bytes(uuid)


def sig(alg=1, key=b"\x07" * 8, n=64):
    return bytes([alg]) + key + lstr(b"\x66" * n)


def sigs(*v):
    return bytes([len(v)]) + b"".join(v)


def records():
    one = sigs(sig())
    put("record", "bundle", header() + one)
    put("record", "first", header(seq=0, epoch=0) + one)
    for kind, name in enumerate("retract supersede remark erase receipt padding membership unknown".split(), 2):
        put("record", name, header(kind=kind, ref=7 if kind < 6 else None) + one)
    put("record", "red_expires", header(tlp=4, flags=0, expires=1763822460001, uuid_version=5) + one)
    put("record", "two_keys", header() + sigs(sig(), sig(key=b"\x08" * 8)))
    put("record", "other_algorithm", header() + sigs(sig(), sig(alg=2, n=200)))
    put("record", "sixteen", header() + sigs(*[sig(alg=9, key=bytes([i] * 8), n=1) for i in range(16)]))
    put("record", "header_alone", header())


# --- notes (section 5) -----------------------------------------------------

def keyid(name, typ, pub):
    return hashlib.sha256(name.encode() + b"\n" + bytes([typ]) + pub).digest()[:4]


def sig_line(name, typ=1, pub=KEYS[0], n=64):
    return f"\u2014 {name} " + b64(keyid(name, typ, pub) + b"\x5a" * n) + "\n"


def note(text, *lines):
    return text + "\n" + "".join(lines)


WEAK = b"\x01" + bytes(31)  # the key that the targets verify with, by a verifier that says yes


def notes():
    put("note", "plain", note("hello\n", sig_line("example.org/log", pub=WEAK)))
    put("note", "cosigned", note("hello\n\ntwo parts\n", sig_line("example.org/log"),
                                 sig_line("example.org/witness", 4, WEAK, 72)))
    put("note", "two_names", note("a\n", sig_line("a.example/feed"), sig_line("b.example/feed")))
    put("note", "long_signature", note("a\n", sig_line("a.example/feed", n=400)))
    put("note", "unicode", note("\u72fc\u7159\n", sig_line("\u72fc.example/x", n=1)))
    put("note", "lines64", note("a\n", *[sig_line(f"n{i}", n=1) for i in range(64)]))


def checkpoint(origin, size):
    return f"{origin}\n{size}\n{b64(hashlib.sha256(b'').digest())}\n"


def checkpoints():
    for name, size in (("empty", 0), ("one", 1), ("large", 2**63 - 1)):
        put("checkpoint", "text_" + name, checkpoint("jp.cert.example", size))
    for origin in ("jp.cert.example", "other.example"):
        put("checkpoint", "note_" + origin, note(checkpoint(origin, 12), sig_line(origin + "/log", pub=WEAK)))
    put("checkpoint", "cosigned", note(checkpoint("jp.cert.example", 12), sig_line("jp.cert.example/log", pub=WEAK),
                                       sig_line("a.example/witness", 4, WEAK, 72)))


# --- manifests, statements, lists (sections 6 to 8) ------------------------

def manifest(number=0, tls=1, addresses=()):
    out = "noroshi/v1/manifest\norigin jp.cert.example\n"
    out += f"number {number}\nprevious {'-' if number == 0 else b64(b'q' * 32)}\ncreated 2026-11-22T14:41:00Z\n"
    out += f"root ed25519 {b64(KEYS[0])}\nnext-root {b64(b'n' * 32)}\n"
    for role, key in zip(["feed", "log", "witness"] + ["tls"] * tls, KEYS[1:]):
        out += f"key {role} ed25519 {b64(key)}\n"
    return out + "require ed25519\n" + "".join(f"address {a}\n" for a in addresses)


def manifests():
    put("manifest", "plain", manifest())
    put("manifest", "second", manifest(1, 2, ["jp.cert.example:7373"]))
    put("manifest", "addresses", manifest(addresses=["192.0.2.1:1", "[2001:db8::1]:65535", "[::ffff:192.0.2.1]:7", "a:80"]))
    put("manifest", "note", note(manifest(), sig_line("jp.cert.example/root", pub=KEYS[0])))
    for name, a in (("name", "a-b.example:1"), ("v4", "192.0.2.1:443"), ("v6", "[2001:db8::1]:65535"), ("v46", "[::1.2.3.4]:9")):
        put("manifest", "address_" + name, a)


def statement(epoch=0, threshold=1, members=("jp.cert.example", "sg.cert.example"), stewards=1,
              ceiling="AMBER+STRICT", onward="members", yes="no"):
    founder, name, nonce = b"jp.cert.example", b"iwwn", b"\x42" * 32
    community = label_hash("community", lstr(founder), lstr(name), nonce)
    out = f"noroshi/v1/membership\ncommunity {b64(community)}\nname iwwn\nfounder jp.cert.example\nnonce {b64(nonce)}\n"
    out += f"epoch {epoch}\nprevious {'-' if epoch == 0 else b64(b'q' * 32)}\nthreshold {threshold}\nceiling {ceiling}\n"
    out += f"onward {onward}\nhistory {yes}\nexercise {yes}\n"
    line = lambda word, m: f"{word} {m} {b64(hashlib.sha256(m.encode()).digest())}\n"
    return out + "".join(line("steward", m) for m in members[:stewards]) + "".join(line("member", m) for m in members)


def statements():
    put("statement", "plain", statement())
    put("statement", "later", statement(epoch=7, onward="none", ceiling="GREEN", yes="yes"))
    put("statement", "threshold", statement(threshold=2, stewards=2, onward="constituents", ceiling="CLEAR"))
    put("statement", "one", statement(members=("jp.cert.example",)))
    put("statement", "eight", statement(members=tuple(sorted(["jp.cert.example"] + [f"m{i}.example" for i in range(7)]))))


def direct(*names):
    return f"noroshi/v1/direct\norigin jp.cert.example\nnonce {b64(b'z' * 32)}\n" + "".join(f"recipient {n}\n" for n in names)


def directs():
    put("direct", "one", direct("sg.cert.example"))
    put("direct", "three", direct("a.b", "sg.cert.example", "us.cert.example"))
    put("direct", "itself", direct("jp.cert.example"))
    put("direct", "none", direct())


def invites():
    m = note(manifest(), sig_line("jp.cert.example/root"))
    s = note(statement(), sig_line("jp.cert.example/feed"))
    put("invite", "manifest", m)
    put("invite", "whole", f"-----\n{m}-----\n{s}-----\n{s}")
    put("invite", "no_first_line", f"{m}-----\n{s}")
    put("invite", "small", "-----\na\n-----\nb\n")
    put("invite", "empty_note", "-----\n-----\na\n")


# --- proofs ----------------------------------------------------------------

def proofs():
    for size, index in ((1, 0), (2, 1), (8, 3), (9, 8), (255, 129), (5, 5)):
        put("proof", f"inclusion_{size}_{index}", bytes([size, index, 0, 0]))
        put("proof", f"consistency_{size}_{index}", bytes([size, index, 1, 0]))
    put("proof", "one_more", bytes([8, 3, 0, 1]))
    put("proof", "one_less", bytes([8, 3, 1, 255]))
    put("proof", "one_bit", bytes([8, 3, 0, 0]) + bytes(40) + b"\1")
    put("proof", "wild", bytes([0, 0, 2]) + struct.pack(">QQ", 5, 9) + bytes(64) + b"\x01" * 128)
    put("proof", "wild_trivial", bytes([0, 0, 2]) + struct.pack(">QQ", 0, 9) + hashlib.sha256(b"").digest() + bytes(32))
    put("proof", "wild_large", bytes([0, 0, 2]) + struct.pack(">QQ", 2**63 - 2, 2**63 - 1) + bytes(64) + b"\x02" * 2016)
    for size in (0, 1, 0b101101, 2**63 - 1):
        put("proof", f"frontier_{size}", bytes([0, 0, 3]) + struct.pack(">Q", size) + b"\x09" * (32 * bin(size).count("1")))


# --- texts and values ------------------------------------------------------

def prooffiles():
    """Edits of files that fuzz_prooffile makes itself: u16 place, u8 length, u8 mode, bytes."""
    def change(at, data, mode=0):
        return struct.pack(">HBB", at, len(data), mode) + data
    for n in range(8):
        put("prooffile", f"true_{n}", bytes([n]))
    put("prooffile", "version", b"\x07" + change(4, b"\x02"))
    put("prooffile", "other_origin", b"\x07" + change(10, b"us"))
    put("prooffile", "no_manifests", b"\x07" + change(25, b"\0\0"))
    put("prooffile", "cut", b"\x07" + struct.pack(">HBB", 700, 255, 1))
    put("prooffile", "longer", b"\x01" + change(0xffff, b"\0", 2))
    put("prooffile", "index", b"\x00" + change(27 + 4 + 23 + 6, b"2"))
    put("prooffile", "extra_line", b"\x00" + change(27 + 4 + 23, b"extra QQ==\n", 2))
    put("prooffile", "raw", b"\xffNRP1\x01\0\0\0" + lstr(b"jp.cert.example") + b"\0\0\0\0\0\x20c2sp.org/tlog-proof@v1\nindex 1\n\n")


def carriers():
    def frame(typ, body, stream=1):
        return struct.pack(">IBBH", len(body), typ, 0, stream) + body
    head = b"NRC1\x01\0\0\0" + lstr(b"jp.cert.example") + lstr(b"sg.cert.example") + struct.pack(">QQQ", 1, 7, 1763822460000)
    body = frame(4, b"\0\0\0\0", 0) + frame(11, b"x" * 80) + frame(12, b"y" * 256)

    def end(data, frames, leaves=1, records=1):
        whole = frame(0, struct.pack(">QQQ", leaves, records, frames) + bytes(64), 0)[:-32]
        return whole + hashlib.sha256(data + whole).digest()
    put("carrier", "empty", b"\0" + head + end(head, 0))
    put("carrier", "three", b"\0" + head + body + end(head + body, 3))
    put("carrier", "cut", b"\0" + head + body)
    put("carrier", "changed", b"\0" + head + body + end(body, 3))
    put("carrier", "count", b"\0" + head + body + end(head + body, 4))
    put("carrier", "trailing", b"\0" + head + end(head, 0) + b"\0")
    put("carrier", "other_type", b"\0" + head + frame(1, b"hello", 0) + end(head + frame(1, b"hello", 0), 1))
    put("carrier", "too_long", b"\0" + head + b"\xff\xff\xff\xff\x0c\0\0\1abc")
    put("carrier", "made", b"\1\1\2" + b"\0\4abcd\1\2ef\2\0\3\1g")


def texts():
    for name, s in (("b64", "AAECAwQFBgc="), ("hex", "00ff10AB"), ("uuid", "b2dd6043-20c9-42e7-a59e-6b5e384debf3"),
                    ("fingerprint", "ABCD-EFGH-IJKL-MNOP-QRST"), ("fingerprint_typed", "abcd efgh ijkl mnop qrst"),
                    ("time", "2026-11-22T14:41:00.123Z"), ("time_zone", "2024-02-29T23:59:59+09:00"),
                    ("time_last", "9999-12-31T23:59:59.999Z"), ("record_id", "jp.cert.example/48213~01234567"),
                    ("number", "18446744073709551615"), ("tlp", "TLP:AMBER+STRICT"), ("tlp_white", "white"),
                    ("japanese", "\u72fc\u7159 \u306e\u308d\u3057"), ("bidi", "a\u202eb\u2066c\u200fd\u2028e"),
                    ("controls", "a\x1b[31mb\x7f\u0085\\\r\n"), ("combining", "e\u0301\u200d\U0001f600"), ("origin", "a-b.example")):
        put("text", name, s)
    put("text", "malformed", b"\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80\xff")


def values():
    for name, s in (("url", "http://example.com/a?b=c#d"), ("url_fanged", "hxxps://evil[.]example/(dot)"), ("domain", "evil.example.com"),
                    ("idn", "\u4f8b\u3048.jp"), ("ipv4", "192.0.2.1"), ("cidr", "198.51.100.0/24"), ("ipv6", "2001:db8::1"),
                    ("ipv6_cidr", "2001:db8::/32"), ("ipv6_fanged", "2001[:]db8[:][:]1"), ("email", "a.b@example.com"),
                    ("email_fanged", "a[at]b[.]example"), ("md5", "d41d8cd98f00b204e9800998ecf8427e"), ("sha1", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
                    ("sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"), ("sha512", "0" * 128),
                    ("url_quote", "ftp://x.example/'\\"), ("url_v6", "http://[2001:db8::1]:8080/"), ("date", "2025-01-06"),
                    ("date_slash", "2025/1/6 9:05"), ("date_zone", "2025-01-06T01:02:03.5+0900"), ("date_utc", "2025-01-06 01:02:03 UTC"),
                    ("blank", " \u200bexample.com\u3000"), ("angle", "<http://example.com>"), ("dots", "example\u3002com")):
        put("value", name, s)


# --- the journal (docs/FORMAT-journal.md) -----------------------------------

def crc32c(data, crc=0):
    crc ^= 0xFFFFFFFF
    for b in data:
        crc ^= b
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


ORIGIN = bytes([0x0a, 0x0b, 0x0c]) + bytes(29)
SALT = bytes(range(16))


def segment_header(n):
    out = b"NRJ1" + bytes([1, 0, 0, 0]) + struct.pack(">II", n, 0) + SALT + ORIGIN
    return out + struct.pack(">II", crc32c(out), 0)


def frame(typ, batch, body, flags=0):
    head = bytes([typ, flags, 0, 0]) + struct.pack(">IQ", len(body), batch)
    body_crc = struct.pack(">I", crc32c(SALT + struct.pack(">Q", batch) + body))
    return head + struct.pack(">I", crc32c(SALT + head + body_crc)) + body_crc + body + bytes(-len(body) % 8)


def segment(n, prev_end, first, *batches):
    out = segment_header(n)
    state = struct.pack(">IIQ", n - 1, prev_end, 1)
    for number, frames in enumerate([[(1, state)], *batches], first):
        start = len(out)
        for f in frames:
            out += frame(f[0], number, *f[1:])
        out += frame(11, number, struct.pack(">IIQ", len(frames), crc32c(out[start:]), start))
    return out


def journal_bodies():
    one = sigs(sig())
    record = struct.pack(">QII", 2, len(one), 64) + b"n" * 16 + struct.pack(">II", 1, 0) + header() + one + b"s" * 64
    return {
        "record": (2, record), "record_raw": (2, record, 1),
        "leaves": (3, ORIGIN + struct.pack(">QII", 4, 2, 0) + b"c" * 64),
        "control": (4, ORIGIN + struct.pack(">Q", 0) + note(manifest(), sig_line("jp.cert.example/root")).encode()),
        "event": (5, struct.pack(">QBBHI", 1, 1, 0, 0, 3) + ORIGIN + struct.pack(">QQ", 2, 1763822460000)),
        "checkpoint": (6, ORIGIN + note(checkpoint("jp.cert.example", 3), sig_line("jp.cert.example/log")).encode()),
        "statement": (9, bytes(8) + note(statement(), sig_line("jp.cert.example/feed")).encode()),
        "refused": (10, struct.pack(">QBBHI", 3, 2, 0, 5, len(one)) + header() + one + b"why"),
    }


def journals():
    bodies = journal_bodies()
    small = (4, ORIGIN + struct.pack(">Q", 5) + b"doc")
    for name, f in bodies.items():
        put("journal", name, bytes([0x0f, 0]) + segment(1, 0, 1, [f]))
    put("journal", "new", bytes([0x0f, 0]) + segment(1, 0, 1))
    two = segment(1, 0, 1, [small], [small, bodies["event"]])
    put("journal", "as_it_is", bytes([0, 0]) + two)
    put("journal", "reserved_space", bytes([0, 0]) + two + bytes(256))
    put("journal", "torn", bytes([0, 0]) + two + frame(4, 4, b"torn")[:-9])
    put("journal", "torn_signed", bytes([0x10, 0]) + two + frame(4, 4, ORIGIN + struct.pack(">Q", 1)))
    put("journal", "damaged", bytes([0, 0]) + two[:300] + b"\xff" + two[301:] + frame(4, 9, b"later"))
    put("journal", "newer_version", bytes([0, 0]) + two + frame(77, 4, b"x"))
    put("journal", "not_begun", bytes([0x20, 0]) + segment_header(1))
    for key, keyname in ((0, ""), (0x20, "_no_key")):
        # the second segment begins where a whole number of 1/256 falls: pad the first with zeros
        first = segment(1, 0, 1, [small])
        second = segment(2, len(first), 3, [small])
        size = max(len(first), len(second))
        put("journal", "two_segments" + keyname, bytes([0x00 | key, 128]) + first.ljust(size, b"\0") + second.ljust(size, b"\0"))
        put("journal", "second_unused" + keyname, bytes([0x00 | key, 128]) + first.ljust(size, b"\0") + segment_header(2).ljust(size, b"\0"))


# Zstandard frames (RFC 8878) by hand: magic, header with a content size, blocks.

def zstd(size, *blocks, single=True):
    out = struct.pack("<I", 0xFD2FB528)
    out += bytes([0x20, size]) if single else bytes([0x00, 0x00])
    for i, (typ, data, n) in enumerate(blocks):
        out += struct.pack("<I", n << 3 | typ << 1 | (i == len(blocks) - 1))[:3] + data
    return out


def payloads():
    def put_one(name, size, raw, data):
        put("payload", name, size.to_bytes(3, "big") + bytes([raw]) + data)
    put_one("raw", 5, 1, b"hello")
    put_one("raw_other_size", 6, 1, b"hello")
    put_one("empty", 0, 1, b"")
    put_one("raw_block", 5, 0, zstd(5, (0, b"hello", 5)))
    put_one("run_block", 200, 0, zstd(200, (1, b"a", 200)))
    put_one("two_blocks", 105, 0, zstd(105, (0, b"hello", 5), (1, b"x", 100)))
    put_one("other_size", 6, 0, zstd(5, (0, b"hello", 5)))
    put_one("lies", 200, 0, zstd(200, (0, b"hello", 5)))
    put_one("two_frames", 5, 0, zstd(5, (0, b"hello", 5)) * 2)
    put_one("no_size", 5, 0, zstd(5, (0, b"hello", 5), single=False))
    put_one("repetition", 0, 0, b"the same words, " * 40)


# --- the configuration -------------------------------------------------------

def confs():
    put("conf", "node", 'node { origin = "jp.cert.example" }\nlisten "*:7373" { }\n')
    put("conf", "all", """# all kinds of values
node {
\torigin = "jp.cert.example"	/* the one of the manifest */
\tdata = /var/lib/noroshi
\tkeys = 'keys'
\tlog-level = debug
\toperators = {"root", "@root"}
}
limits { job-threads = 2 window-bytes = 4M }
listen "[::1]:7373" { backlog = 7 }
peer us.cert.example {
\tmanifest = "peers/us.cert.example.manifest"
\tcommunities = {"iwwn"}
\taddresses = {"us.cert.example:7373", "[2001:db8::1]:7373"}
\tproxy = "socks5://proxy.example:1080"
\tceiling = AMBER+STRICT
\tsuspended = yes
}
subscriber siem { socket = "/run/noroshi/siem.sock" communities = {"*"} tlp = AMBER mode = 0660 heartbeat = 30 }
""")
    put("conf", "unclosed", "node {\n")
    put("conf", "two_nodes", 'node { origin = "a.b" }\nnode { origin = "a.b" }\n')
    put("conf", "unknown", "node { colour = blue }\n")
    put("conf", "list", "node { operators += {a, b,} }\n")
    put("conf", "string", 'node { origin = "a\\"b\\x41\\n\\\n" }\n// end')
    put("conf", "environment", 'node { data = "${NOROSHI_NONE:-/x}" }\n')


def main():
    records()
    confs()
    payloads()
    notes()
    checkpoints()
    manifests()
    statements()
    directs()
    invites()
    proofs()
    prooffiles()
    carriers()
    texts()
    values()
    journals()


if __name__ == "__main__":
    main()
