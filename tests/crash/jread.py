"""Segments of a journal, read and written again by hand (docs/FORMAT-journal.md), for tests that damage them."""
import pathlib
import struct

NAMES = {1: "STATE", 2: "RECORD", 3: "LEAVES", 4: "CONTROL", 5: "EVENT", 6: "CHECKPOINT", 9: "STATEMENT",
         10: "REFUSED", 11: "COMMIT", 12: "PEER", 13: "DISCLOSURE"}
FIRST, HEAD = 72, 24

TABLE = []
for _i in range(256):
    _r = _i
    for _ in range(8):
        _r = _r >> 1 ^ (0x82F63B78 if _r & 1 else 0)
    TABLE.append(_r)


def crc32c(data, crc=0):
    r = crc ^ 0xFFFFFFFF
    for b in data:
        r = r >> 8 ^ TABLE[(r ^ b) & 255]
    return r ^ 0xFFFFFFFF


def pad(n):
    return (n + 7) & ~7


class Frame:
    def __init__(self, seg, off, kind, flags, length, batch):
        self.seg, self.off, self.kind, self.flags, self.length, self.batch = seg, off, kind, flags, length, batch
        self.size = HEAD + pad(length)

    @property
    def name(self):
        return NAMES.get(self.kind, str(self.kind))

    @property
    def end(self):
        return self.off + self.size


class Segment:
    """One segment file; frames up to the zeros at its end."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.data = bytearray(self.path.read_bytes())
        self.salt = bytes(self.data[16:32])
        self.frames = []
        at = FIRST
        while at + HEAD <= len(self.data) and self.data[at] != 0:
            kind, flags, zero, length, batch = struct.unpack_from(">BBHIQ", self.data, at)
            assert zero == 0 and at + HEAD + pad(length) <= len(self.data), (self.path, at)
            self.frames.append(Frame(self, at, kind, flags, length, batch))
            at = self.frames[-1].end
        self.used = at

    def body(self, f):
        return bytes(self.data[f.off + HEAD:f.off + HEAD + f.length])

    def seal(self, f):
        """Checksums of a frame whose body was changed, and of its batch."""
        body = self.body(f)
        struct.pack_into(">I", self.data, f.off + 20, crc32c(self.salt + struct.pack(">Q", f.batch) + body))
        head = bytes(self.data[f.off:f.off + 16]) + bytes(self.data[f.off + 20:f.off + 24])
        struct.pack_into(">I", self.data, f.off + 16, crc32c(self.salt + head))
        if f.kind == 11:
            return
        batch = [g for g in self.frames if g.batch == f.batch]
        commit = batch[-1]
        assert commit.kind == 11
        struct.pack_into(">I", self.data, commit.off + HEAD + 4, crc32c(self.data[batch[0].off:commit.off]))
        self.seal(commit)

    def save(self):
        self.path.write_bytes(self.data)


def segments(datadir):
    return [Segment(p) for p in sorted(pathlib.Path(datadir).glob("journal/*.nrj"))]
