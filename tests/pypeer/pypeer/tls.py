"""TLS 1.3 between pinned keys (PROTOCOL.md, top): pyOpenSSL, because the standard library cannot ask a client for a
certificate that no authority has signed."""
from __future__ import annotations

import datetime
from typing import Callable

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from OpenSSL import SSL, crypto

ALPN = b"noroshi/1"
RECORD = 16384


class TurnedAway(Exception):
    """Why a connection does not come up, by the words of noroshi_connections_refused_total."""


def make_certificate(key, name: str) -> bytes:
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name[:64])])
    start = datetime.datetime(2020, 1, 1)
    cert = x509.CertificateBuilder().subject_name(who).issuer_name(who).public_key(key.public_key()) \
        .serial_number(x509.random_serial_number()).not_valid_before(start) \
        .not_valid_after(datetime.datetime(9999, 12, 31, 23, 59, 59)).sign(key, None)
    return cert.public_bytes(Encoding.DER)


def public_of(cert: crypto.X509) -> bytes:
    """The raw Ed25519 key of a certificate; what has another kind of key is nobody's."""
    try:
        return cert.to_cryptography().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    except (ValueError, TypeError):
        return b""


class Tls:
    """One end of a connection, on bytes. who(key) names the pinned peer of a key, or None."""

    def __init__(self, key, cert: bytes, server: bool, who: Callable[[bytes], str | None]) -> None:
        self.peer: str | None = None
        self.why: str | None = None
        self.done = False
        ctx = SSL.Context(SSL.TLS_METHOD)
        ctx.set_min_proto_version(SSL.TLS1_3_VERSION)
        ctx.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        ctx.set_options(SSL.OP_NO_TICKET)
        ctx.use_privatekey(crypto.load_privatekey(
            crypto.FILETYPE_PEM, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())))
        ctx.use_certificate(crypto.load_certificate(crypto.FILETYPE_ASN1, cert))

        def check(conn: SSL.Connection, cert: crypto.X509, err: int, depth: int, ok: int) -> bool:
            if depth == 0:
                self.peer = who(public_of(cert))
                if self.peer is None:
                    self.why = "pin"
            return self.peer is not None or depth > 0

        def choose(conn: SSL.Connection, offered: list[bytes]) -> bytes:
            if ALPN not in offered:
                raise TurnedAway("alpn")
            return ALPN

        ctx.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, check)
        if server:
            ctx.set_alpn_select_callback(choose)
        else:
            ctx.set_alpn_protos([ALPN])
        self.server = server
        self.conn = SSL.Connection(ctx, None)
        (self.conn.set_accept_state if server else self.conn.set_connect_state)()
        self.first = True

    def feed(self, data: bytes) -> bytes:
        """Plain bytes that came out of these; raises TurnedAway, or EOFError at the peer's end."""
        if data and self.first:
            self.first = False
            if data[0] not in (0x16, 0x15):
                raise TurnedAway("plain")
        out = []
        if data:
            self.conn.bio_write(data)
        try:
            if not self.done:
                self.conn.do_handshake()
                if self.conn.get_alpn_proto_negotiated() != ALPN:
                    raise TurnedAway("alpn")
                self.done = True
            while True:
                out.append(self.conn.recv(1 << 16))
        except SSL.WantReadError:
            pass
        except (SSL.ZeroReturnError, SSL.SysCallError):
            raise EOFError("it closed") from None
        except SSL.Error as e:
            text = " ".join(str(x) for err in e.args[0] for x in err) if e.args else ""
            why = self.why or ("version" if "unsupported protocol" in text or "version" in text else
                               "cert" if "did not return a certificate" in text else "tls")
            raise TurnedAway(why if not self.done and why != "tls" else f"tls: {text.strip() or 'failed'}") from None
        return b"".join(out)

    def encrypt(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self.conn.send(bytes(view[:RECORD * 16])):]

    def wire(self) -> bytes:
        """What is to be written to the socket."""
        out = []
        try:
            while True:
                out.append(self.conn.bio_read(1 << 18))
        except SSL.WantReadError:
            return b"".join(out)

    def end(self) -> None:
        try:
            self.conn.shutdown()
        except SSL.Error:
            pass
