"""A peer on a plain socket that says what a test wants it to say: with good keys, and no will of its own."""
from __future__ import annotations

import socket
import ssl
import time

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from . import formats as F
from . import note as N
from . import wire
from .tls import make_certificate
from .tlog import Tree


class Liar:
    """The log and the chain of us, and whatever is to be said about them."""

    def __init__(self, node, port):
        self.keys = {n: load_pem_private_key((node.dir / "keys" / f"{n}.pem").read_bytes(), None)
                     for n in ("feed", "log", "tls")}
        self.manifest = N.parse_manifest((node.dir / "manifest").read_bytes())
        self.name, self.id, self.port = self.manifest.origin, F.origin_id(self.manifest.origin), port
        self.entries = [(1, self.manifest.raw)]
        self.tree = Tree()
        self.tree.append(F.leaf_hash(F.control(self.manifest.raw)))
        self.seq, self.link = 0, F.ZERO32
        self.cert = node.dir / "liar.crt"
        self.cert.write_text(ssl.DER_cert_to_PEM_cert(make_certificate(self.keys["tls"], "us")))
        self.key = node.dir / "keys/tls.pem"

    def append(self, cls, data):
        self.entries.append((cls, data))
        self.tree.append(F.leaf_hash(F.control(data) if cls else F.sealed(data)))

    def checkpoint(self, size=None, root=None, origin=None, key="log"):
        size = len(self.tree) if size is None else size
        cp = N.Checkpoint(origin or self.name, size, root or self.tree.root(size))
        k = self.keys[key]
        return N.sign_note(cp.text(), (origin or self.name) + "/log", k, public_of_key(k))

    def broken(self):
        raw = self.checkpoint()
        head, blob = raw[:-1].rsplit(b" ", 1)
        sig = bytearray(N.unb64(blob.decode()))
        sig[-40] ^= 1
        return head + b" " + N.b64(bytes(sig)).encode() + b"\n"

    def connect(self):
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        ctx.check_hostname, ctx.verify_mode = False, ssl.CERT_NONE
        ctx.minimum_version = ssl.TLSVersion.TLSv1_3
        ctx.set_alpn_protocols(["noroshi/1"])
        ctx.load_cert_chain(self.cert, self.key)
        self.sock = ctx.wrap_socket(socket.create_connection(("127.0.0.1", self.port), timeout=10))
        self.splitter, self.frames, self.streams = wire.Splitter(), [], {}
        self.send(wire.HELLO, 0, wire.hello(self.name, time.time_ns() // 10**6, 0, self.manifest.hash()))
        self.send(wire.COMMUNITIES, 0, wire.communities([]))

    def send(self, kind, stream, body, flags=0):
        self.sock.sendall(wire.frame(kind, stream, body, flags))

    def wait(self, *kinds, timeout=20):
        """The next frame of one of these kinds; what comes before it is dropped."""
        end = time.monotonic() + timeout
        while True:
            while self.frames:
                kind, _, stream, body = self.frames.pop(0)
                if kind == wire.PING:
                    self.send(wire.PONG, 0, body)
                if kind == wire.FETCH_LEAVES:
                    self.streams[body[:32], None] = stream
                if kind == wire.FETCH_RECORDS:
                    self.streams[body[:32], body[32:64]] = stream
                if kind in kinds:
                    return kind, stream, body
            self.sock.settimeout(max(0.01, end - time.monotonic()))
            data = self.sock.recv(1 << 16)
            if not data:
                raise EOFError("the node closed the connection")
            self.frames += self.splitter.feed(data)

    def have(self, audience, size=None):
        self.send(wire.HAVE, 0, wire.have([wire.Have(self.id, size or len(self.tree),
                                                     [(audience, 0, self.seq + 1)])]))

    def close(self):
        self.sock.close()


def public_of_key(key):
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
