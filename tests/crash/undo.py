#!/usr/bin/env python3
"""Takes back what no sync had covered when a process under discard.so was killed.

  undo.py DIR [--seed N] [--all]

Each unsynced 512-byte sector is kept, put back to what it was, or zeroed; each unsynced name is kept or
taken back; --all takes everything back.  Prints one JSON object: what was unsynced and what was done.
"""
import argparse
import json
import os
import pathlib
import random
import struct

SECTOR = 512


def records(log):
    data = log.read_bytes()
    at = 0
    while at + 7 <= len(data):
        length, kind, plen = struct.unpack_from("<IcH", data, at)
        body = data[at + 7:at + 4 + length]
        at += 4 + length
        if at > len(data):
            break  # the kill cut the last note short: its change never began
        yield kind.decode(), body[:plen].decode(), body[plen:]


def pending(entries):
    """Those that no later sync covers, with their place; in order."""
    file_synced, dir_synced = {}, {}
    for i, (kind, path, _) in enumerate(entries):
        if kind == "S":
            file_synced[path] = i
        elif kind == "D":
            dir_synced[path] = i
    out = []
    for i, (kind, path, rest) in enumerate(entries):
        if kind in "WT" and file_synced.get(path, -1) < i:
            out.append((kind, path, rest))
        elif kind in "CUR" and dir_synced.get(os.path.dirname(path), -1) < i:
            out.append((kind, path, rest))
    return out


def undo_write(path, rest, rng, everything, stats):
    off, old_size, have = struct.unpack_from("<QQI", rest)
    old = rest[20:20 + have]
    if not os.path.exists(path):
        return
    size = os.path.getsize(path)
    mode = 0 if everything else rng.random()
    with open(path, "r+b") as f:
        for s in range(0, have, SECTOR):
            fate = 1 if mode < 0.4 else rng.randrange(3)
            if fate == 0:
                stats["kept"] += 1
                continue
            piece = old[s:s + SECTOR] if fate == 1 else bytes(len(old[s:s + SECTOR]))
            f.seek(off + s)
            f.write(piece)
            stats["old" if fate == 1 else "zeroed"] += 1
        if old_size < size and old_size <= off + have and (mode < 0.4 or rng.randrange(2)):
            f.truncate(old_size)


def undo(base, seed, everything):
    log = base / "undo.log"
    stats = {"unsynced_writes": 0, "unsynced_journal": 0, "unsynced_names": 0, "kept": 0, "old": 0, "zeroed": 0}
    if not log.exists():
        return stats
    rng = random.Random(seed)
    todo = pending(list(records(log)))
    for kind, path, rest in todo:
        if kind == "W":
            stats["unsynced_writes"] += 1
            stats["unsynced_journal"] += path.endswith(".nrj")
        elif kind in "CUR":
            stats["unsynced_names"] += 1
    for kind, path, rest in reversed(todo):
        if kind == "W":
            undo_write(path, rest, rng, everything, stats)
        elif kind == "T":
            old = struct.unpack("<Q", rest)[0]
            if os.path.exists(path) and os.path.getsize(path) > old and (everything or rng.randrange(2)):
                os.truncate(path, old)
        elif not everything and rng.randrange(2):
            continue  # this name happened to reach the disk
        elif kind == "C":
            if os.path.exists(path):
                os.unlink(path)
        elif kind == "U":
            n = struct.unpack_from("<H", rest)[0]
            if not os.path.exists(path):
                os.link(rest[2:2 + n].decode(), path)
        elif kind == "R":
            n = struct.unpack_from("<H", rest)[0]
            old = rest[2:2 + n].decode()
            m = struct.unpack_from("<H", rest, 2 + n)[0]
            keep = rest[4 + n:4 + n + m].decode()
            if os.path.exists(path):
                os.rename(path, old)
            if keep:
                os.link(keep, path)
    for p in base.glob("undo.*"):
        p.unlink()
    return stats


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("dir", type=pathlib.Path)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--all", action="store_true")
    a = p.parse_args()
    print(json.dumps(undo(a.dir, a.seed, a.all)))


if __name__ == "__main__":
    main()
