"""The control protocol (docs/CONTROL.md) for tests: small, strict, no retries."""
import json
import socket
import struct


class CtlError(Exception):
    """The daemon refused: .code, .what, .why, .next, .exit."""

    def __init__(self, error):
        super().__init__("%(code)s: %(what)s: %(why)s" % error)
        self.__dict__.update(error)


class Ctl:
    def __init__(self, path, timeout=30):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(timeout)
        self.sock.connect(path)

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def send_frame(self, kind, body):
        self.sock.sendall(struct.pack(">Ic", len(body), kind) + body)

    def _exactly(self, n):
        parts = []
        while n > 0:
            b = self.sock.recv(min(n, 1 << 16))
            if not b:
                raise EOFError("the daemon closed the connection")
            parts.append(b)
            n -= len(b)
        return b"".join(parts)

    def recv_frame(self):
        n, kind = struct.unpack(">Ic", self._exactly(5))
        return kind, self._exactly(n)

    def send(self, cmd, attach=None, **members):
        members.update(v=1, cmd=cmd)
        if attach is not None:
            members["attach"] = True
        self.send_frame(b"J", json.dumps(members).encode())
        if attach is not None:
            self.send_frame(b"B", attach)

    def recv(self):
        """The answer, with what was attached under "data"."""
        kind, body = self.recv_frame()
        assert kind == b"J", kind
        answer = json.loads(body)
        if "error" in answer:
            raise CtlError(answer["error"])
        if answer.get("attach"):
            kind, answer["data"] = self.recv_frame()
            assert kind == b"B", kind
        return answer

    def call(self, cmd, attach=None, **members):
        self.send(cmd, attach, **members)
        return self.recv()

    def stream(self, cmd, **members):
        """Yields the lines of a stream as objects; the last J is in self.end."""
        self.send(cmd, **members)
        rest = b""
        while True:
            kind, body = self.recv_frame()
            if kind == b"J":
                self.end = json.loads(body)
                if "error" in self.end:
                    raise CtlError(self.end["error"])
                assert rest == b"", "the stream ended inside a line"
                return
            assert kind == b"L", kind
            *lines, rest = (rest + body).split(b"\n")
            for line in lines:
                yield json.loads(line)


def call(path, cmd, attach=None, **members):
    with Ctl(path) as c:
        return c.call(cmd, attach, **members)


def wait_for(path, condition, timeout=30, cmd="status", **members):
    """Asks until condition(answer) holds; the last answer. Never sleeps longer than 50 ms."""
    import time
    end = time.monotonic() + timeout
    while True:
        try:
            answer = call(path, cmd, **members)
            if condition(answer):
                return answer
        except (OSError, EOFError):
            answer = None
        if time.monotonic() > end:
            raise TimeoutError("condition not met; last answer: %r" % (answer,))
        time.sleep(0.05)
