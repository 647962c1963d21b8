"""The configuration, as noroshi.conf(5) describes it."""
from __future__ import annotations

import difflib
import glob
import os
import re
from dataclasses import dataclass, field
from typing import Iterator

from .formats import TLP, is_origin

_TOKEN = re.compile(r"""(?P<space>[ \t\r]+|\#[^\n]*|//[^\n]*|/\*.*?\*/) | (?P<nl>\n) | (?P<punct>[={}(),])
    | "(?P<text>(?:\\.|[^"\\])*)" | (?P<word>[A-Za-z0-9_./:@%*+~-]+)""", re.VERBOSE | re.DOTALL)


class ConfError(Exception):
    def __init__(self, file: str, line: int, why: str) -> None:
        super().__init__(f"{file}:{line}: {why}")


@dataclass
class Stanza:
    kind: str
    title: str | None
    file: str
    line: int
    values: dict[str, object] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)

    def path(self, key: str, default: str) -> str:
        return os.path.join(os.path.dirname(self.file), str(self.values.get(key, default)))


# option: kind of its value
OPTIONS = {
    "node": {"origin": "text", "manifest": "text", "data": "text", "keys": "text", "control": "text", "user": "text",
             "log": "text", "log-level": "text", "operators": "list", "submitters": "list", "readers": "list"},
    "limits": {"job-threads": "text", "connections": "text", "control-connections": "text", "window": "text",
               "segment": "text"},
    "listen": {"backlog": "text"},
    "peer": {"manifest": "text", "communities": "list", "addresses": "list", "bind": "text", "proxy": "text",
             "suspended": "bool", "ceiling": "tlp", "records-per-second": "text", "bytes-per-day": "text"},
    "subscriber": {"socket": "text", "communities": "list", "tlp": "tlp", "direct": "bool", "heartbeat": "number",
                   "mode": "text", "group": "text"},
}
TITLED = {"listen", "peer", "subscriber"}
RESTART = ("origin", "manifest", "data", "keys", "control", "user")


@dataclass
class PeerConf:
    name: str
    manifest: str
    communities: list[str]
    addresses: list[str]
    suspended: bool
    ceiling: int
    file: str
    line: int


@dataclass
class SubscriberConf:
    name: str
    socket: str
    communities: list[str]
    tlp: int
    direct: bool
    heartbeat: float
    mode: int
    file: str
    line: int


@dataclass
class Conf:
    file: str
    node: Stanza
    origin: str
    manifest: str
    data: str
    keys: str
    control: str
    log: str
    roles: dict[str, list[str]]
    listen: list[tuple[str, int]]
    peers: dict[str, PeerConf]
    subscribers: dict[str, SubscriberConf]
    stanzas: list[Stanza]

    def restart_values(self) -> dict[str, object]:
        return {"origin": self.origin, "manifest": self.manifest, "data": self.data, "keys": self.keys,
                "control": self.control, "user": self.node.values.get("user", "")}


def _tokens(file: str, text: str) -> Iterator[tuple[str, str, int]]:
    at, line = 0, 1
    while at < len(text):
        m = _TOKEN.match(text, at)
        if not m:
            raise ConfError(file, line, f"unexpected {text[at]!r}")
        start = line
        line += m[0].count("\n")
        at = m.end()
        if m["punct"]:
            yield "punct", m[0], start
        elif m["text"] is not None:
            yield "value", re.sub(r"\\(.)", r"\1", m["text"]), start
        elif m["word"]:
            yield "value", m["word"], start
    yield "end", "", line


def _near(word: str, known: object) -> str:
    found = difflib.get_close_matches(word, list(known), 1)
    return f'; did you mean "{found[0]}"?' if found else ""


def _convert(file: str, line: int, kind: str, value: object) -> object:
    if (kind == "list") != isinstance(value, list):
        raise ConfError(file, line, "a list expected" if kind == "list" else "one value expected")
    if kind == "bool":
        if value not in ("yes", "no", "true", "false"):
            raise ConfError(file, line, "yes or no expected")
        return value in ("yes", "true")
    if kind == "tlp":
        if value not in TLP:
            raise ConfError(file, line, f"{value} is not a marking")
        return TLP.index(str(value))
    if kind == "number":
        if not re.fullmatch("[0-9]{1,9}", str(value)):
            raise ConfError(file, line, "a number expected")
        return int(str(value))
    return value


def parse_file(file: str, main: bool = True) -> list[Stanza]:
    try:
        with open(file, encoding="utf-8") as f:
            text = f.read()
    except (OSError, UnicodeDecodeError) as e:
        raise ConfError(file, 0, str(e)) from None
    toks = _tokens(file, text)
    out: list[Stanza] = []

    def expect(want: str) -> int:
        kind, value, line = next(toks)
        if kind != "punct" or value != want:
            raise ConfError(file, line, f"{want} expected")
        return line

    while True:
        kind, word, line = next(toks)
        if kind == "end":
            return out
        if kind == "value" and word == "include" and main:
            expect("(")
            _, pattern, _ = next(toks)
            expect(")")
            for name in sorted(glob.glob(os.path.join(os.path.dirname(file), pattern))):
                out += parse_file(name, False)
            continue
        if kind != "value" or word not in OPTIONS:
            raise ConfError(file, line, f'unknown stanza "{word}"{_near(word, OPTIONS)}')
        title = next(toks)[1] if word in TITLED else None
        expect("{")
        s = Stanza(word, title, file, line)
        while True:
            kind, key, at = next(toks)
            if (kind, key) == ("punct", "}"):
                break
            if kind != "value" or key not in OPTIONS[word]:
                raise ConfError(file, at, f'unknown option "{key}"{_near(key, OPTIONS[word])}')
            if key in s.values:
                raise ConfError(file, at, f'"{key}" is given twice')
            expect("=")
            kind, value, vline = next(toks)
            got: object = value
            if (kind, value) == ("punct", "{"):
                got = []
                kind, value, vline = next(toks)
                while (kind, value) != ("punct", "}"):
                    if kind == "value":
                        got.append(value)
                    elif value != ",":
                        raise ConfError(file, vline, "a list is values, separated by commas")
                    kind, value, vline = next(toks)
            elif kind != "value":
                raise ConfError(file, vline, "a value expected")
            s.values[key] = _convert(file, at, OPTIONS[word][key], got)
            s.lines[key] = at
        out.append(s)


def load(file: str) -> Conf:
    file = os.path.abspath(file)
    stanzas = parse_file(file)
    nodes = [s for s in stanzas if s.kind == "node"]
    if len(nodes) != 1:
        raise ConfError(file, 1, "there is exactly one node stanza")
    node = nodes[0]
    origin = str(node.values.get("origin", ""))
    if not is_origin(origin):
        raise ConfError(file, node.line, "origin: a host name in lower case, with a dot")
    log = str(node.values.get("log", "stderr"))
    conf = Conf(file, node, origin, node.path("manifest", "manifest"), node.path("data", "data"),
                node.path("keys", "keys"), node.path("control", "/run/noroshi/control.sock"),
                log if log in ("stderr", "syslog") else node.path("log", log),
                {r: list(node.values.get(r, [])) for r in ("operators", "submitters", "readers")}, [], {}, {}, stanzas)
    for s in stanzas:
        v = s.values
        if s.kind == "listen":
            host, _, port = str(s.title).rpartition(":")
            if not port.isdigit():
                raise ConfError(s.file, s.line, "ADDRESS:PORT expected")
            conf.listen.append((host.strip("[]"), int(port)))
        elif s.kind == "peer":
            name = str(s.title)
            if not is_origin(name) or name in conf.peers or name == origin:
                raise ConfError(s.file, s.line, f"peer {name}: not an origin, given twice, or this node itself")
            conf.peers[name] = PeerConf(
                name, s.path("manifest", os.path.join(os.path.dirname(file), f"peers/{name}.manifest")),
                list(v.get("communities", [])), list(v.get("addresses", [])), bool(v.get("suspended", False)),
                int(v.get("ceiling", 4)), s.file, s.line)
        elif s.kind == "subscriber":
            name = str(s.title)
            if name in conf.subscribers or "socket" not in v:
                raise ConfError(s.file, s.line, f"subscriber {name}: given twice, or without a socket")
            conf.subscribers[name] = SubscriberConf(
                name, s.path("socket", ""), list(v.get("communities", [])), int(v.get("tlp", 2)),
                bool(v.get("direct", False)), float(v.get("heartbeat", 30)), int(str(v.get("mode", "0660")), 8),
                s.file, s.line)
    return conf


def quote(v: object) -> str:
    if isinstance(v, list):
        return "{" + ", ".join(quote(x) for x in v) + "}"
    if isinstance(v, bool):
        return "yes" if v else "no"
    return '"' + str(v).replace("\\", "\\\\").replace('"', '\\"') + '"'


def peer_stanza(name: str, values: dict[str, object]) -> str:
    out = "# Written by noroshi peer; changed by it as well.\n" + f'peer "{name}" {{\n'
    for k, v in values.items():
        out += f"\t{k} = {quote(TLP[int(v)] if k == 'ceiling' else v)}\n"
    return out + "}\n"


def show(conf: Conf) -> str:
    out = []
    for s in conf.stanzas:
        out.append(f"{s.kind} {quote(s.title)} {{" if s.title is not None else f"{s.kind} {{")
        for k, v in s.values.items():
            out.append(f"\t{k} = {quote(TLP[int(v)] if OPTIONS[s.kind][k] == 'tlp' else v)}")
        out.append("}")
    return "\n".join(out) + "\n"
