"""The append-only file in which the peer keeps what it must not lose.

A batch is `u32 length | u32 CRC-32 | u32 entries | entries`, an entry `u8 type | u32 length | bytes`.  It is
written and synced as one; what does not verify at the end was never acknowledged, and is cut off.
"""
from __future__ import annotations

import os
import struct
import zlib
from typing import Iterator

MAGIC = b"pypeer store 1\n\0"
LEAVES, RECORD, REFUSED, CHECKPOINT, STATEMENT, EVIDENCE = range(1, 7)


class Store:
    def __init__(self, path: str) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.pending: list[tuple[int, bytes]] = []
        self.pending_size = 12
        self.end = os.fstat(self.fd).st_size
        self.batches = 0
        if self.end < len(MAGIC):
            os.pwrite(self.fd, MAGIC, 0)
            os.ftruncate(self.fd, len(MAGIC))
            os.fsync(self.fd)
            dir_ = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY)
            os.fsync(dir_)
            os.close(dir_)
            self.end = len(MAGIC)
        elif os.pread(self.fd, len(MAGIC), 0) != MAGIC:
            raise ValueError(f"{path}: not a store of this program")

    def replay(self) -> Iterator[tuple[int, int, bytes]]:
        """(type, offset of the bytes in the file, bytes) of everything that was synced."""
        at, size = len(MAGIC), os.fstat(self.fd).st_size
        while at + 12 <= size:
            length, crc, count = struct.unpack(">III", os.pread(self.fd, 12, at))
            body = os.pread(self.fd, length, at + 12) if at + 12 + length <= size else b""
            if len(body) != length or zlib.crc32(body, count) != crc or not length:
                break
            pos = 0
            for _ in range(count):
                kind, n = struct.unpack_from(">BI", body, pos)
                yield kind, at + 12 + pos + 5, body[pos + 5:pos + 5 + n]
                pos += 5 + n
            at += 12 + length
            self.batches += 1
        if at < size:
            os.ftruncate(self.fd, at)
            os.fsync(self.fd)
        self.end = at

    def add(self, kind: int, data: bytes) -> int:
        """Into the batch that is being made; where its bytes will stand."""
        where = self.end + self.pending_size + 5
        self.pending.append((kind, data))
        self.pending_size += 5 + len(data)
        return where

    def commit(self) -> None:
        if not self.pending:
            return
        body = b"".join(struct.pack(">BI", k, len(d)) + d for k, d in self.pending)
        count = len(self.pending)
        out = struct.pack(">III", len(body), zlib.crc32(body, count), count) + body
        done = 0
        while done < len(out):
            done += os.pwrite(self.fd, out[done:] if done else out, self.end + done)
        os.fdatasync(self.fd)
        self.end += len(out)
        self.pending, self.pending_size = [], 12
        self.batches += 1

    def read(self, where: int, size: int) -> bytes:
        return os.pread(self.fd, size, where)
