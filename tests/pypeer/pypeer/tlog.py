"""The Merkle tree of a log and its proofs (RFC 6962 section 2.1, FORMAT.md section 4)."""
from __future__ import annotations

from .formats import sha


def node(left: bytes, right: bytes) -> bytes:
    return sha(b"\1", left, right)


class Tree:
    """Keeps the hashes of all complete subtrees: levels[k][i] is the root of leaves i*2^k to (i+1)*2^k - 1."""

    def __init__(self) -> None:
        self.levels: list[list[bytes]] = [[]]

    def __len__(self) -> int:
        return len(self.levels[0])

    def append(self, leaf: bytes) -> None:
        h, k = leaf, 0
        while True:
            if k == len(self.levels):
                self.levels.append([])
            row = self.levels[k]
            row.append(h)
            if len(row) % 2:
                return
            h, k = node(row[-2], row[-1]), k + 1

    def truncate(self, size: int) -> None:
        for k, row in enumerate(self.levels):
            del row[size >> k:]

    def range(self, lo: int, hi: int) -> bytes:
        """MTH(D[lo:hi]) of the RFC, for the ranges that occur in its proofs."""
        n = hi - lo
        if n & (n - 1) == 0 and lo % n == 0:
            return self.levels[n.bit_length() - 1][lo // n]
        k = 1 << ((n - 1).bit_length() - 1)
        return node(self.range(lo, lo + k), self.range(lo + k, hi))

    def root(self, size: int | None = None) -> bytes:
        size = len(self) if size is None else size
        return self.range(0, size) if size else sha(b"")

    def consistency(self, m: int, n: int) -> list[bytes]:
        """PROOF(m, D[n]); empty when m is 0 or n."""
        return self._sub(m, 0, n, True) if 0 < m < n else []

    def _sub(self, m: int, lo: int, hi: int, whole: bool) -> list[bytes]:
        n = hi - lo
        if m == n:
            return [] if whole else [self.range(lo, hi)]
        k = 1 << ((n - 1).bit_length() - 1)
        if m <= k:
            return self._sub(m, lo, lo + k, whole) + [self.range(lo + k, hi)]
        return self._sub(m - k, lo + k, hi, False) + [self.range(lo, lo + k)]

    def inclusion(self, i: int, n: int) -> list[bytes]:
        """PATH(i, D[n])."""
        def path(i: int, lo: int, hi: int) -> list[bytes]:
            if hi - lo == 1:
                return []
            k = 1 << ((hi - lo - 1).bit_length() - 1)
            if i < k:
                return path(i, lo, lo + k) + [self.range(lo + k, hi)]
            return path(i - k, lo + k, hi) + [self.range(lo, lo + k)]
        return path(i, 0, n)


def verify_consistency(m: int, n: int, old: bytes, new: bytes, proof: list[bytes]) -> bool:
    """RFC 9162 section 2.1.4.2; m = n needs an empty proof and one root, m = 0 an empty proof."""
    if m == n:
        return not proof and old == new
    if m == 0:
        return not proof
    if m > n or not proof:
        return False
    path = list(proof) if m & (m - 1) else [old, *proof]
    fn, sn = m - 1, n - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node(c, fr), node(c, sr)
            if not fn & 1:
                while fn and not fn & 1:
                    fn, sn = fn >> 1, sn >> 1
        else:
            sr = node(sr, c)
        fn, sn = fn >> 1, sn >> 1
    return fr == old and sr == new and sn == 0


def verify_inclusion(i: int, n: int, leaf: bytes, root: bytes, proof: list[bytes]) -> bool:
    """RFC 9162 section 2.1.3.2."""
    if i >= n:
        return False
    fn, sn, r = i, n - 1, leaf
    for c in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            r = node(c, r)
            if not fn & 1:
                while fn and not fn & 1:
                    fn, sn = fn >> 1, sn >> 1
        else:
            r = node(r, c)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and r == root
