"""What a bundle has to be (FORMAT.md section 9): strict JSON, the frame of STIX 2.1, and markings."""
from __future__ import annotations

import datetime
import json
import math
import re
from dataclasses import dataclass

from .formats import Refused

# The marking definitions of TLP 2.0 (STIX common objects repository) and of TLP 1 (STIX 2.1 section 7.2.1.4).
MARKINGS = {
    "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487": 0,
    "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb": 1,
    "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421": 2,
    "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003": 3,
    "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1": 4,
    "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9": 0,
    "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da": 1,
    "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82": 2,
    "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed": 4,
}
_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_ID = re.compile(f"([a-z0-9-]+)--({_UUID})", re.ASCII)
_BUNDLE_ID = re.compile("bundle--[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.ASCII)
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?Z", re.ASCII)
_TYPE = re.compile("(?!.*--)[a-z0-9-]{3,250}", re.ASCII)
_NEVER = re.compile("[\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff" +
                    "".join(chr(p << 16 | x) for p in range(1, 17) for x in (0xFFFE, 0xFFFF)) + "]")
# A string with an escape as the value of what may have none: then everything is read again, slowly.
_ESCAPES = re.compile(rb'"(type|id|spec_version|created|modified|valid_from|created_by_ref|object_marking_refs|marking_ref)"'
                      rb'\s*:\s*(\[[^\]]*)?"[^"\\]*\\')
MAX_DEPTH = 64
# Cyber-observables have neither created nor modified.
_SCO = {"artifact", "autonomous-system", "directory", "domain-name", "email-addr", "email-message", "file",
        "ipv4-addr", "ipv6-addr", "mac-addr", "mutex", "network-traffic", "process", "software", "url",
        "user-account", "windows-registry-key", "x509-certificate"}
_SDO = {"attack-pattern", "campaign", "course-of-action", "grouping", "identity", "incident", "indicator",
        "infrastructure", "intrusion-set", "location", "malware", "malware-analysis", "note", "observed-data",
        "opinion", "report", "threat-actor", "tool", "vulnerability", "relationship", "sighting", "language-content",
        "extension-definition", "marking-definition"}
_TLP2_EXTENSION = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"


def stix(why: str) -> Refused:
    return Refused("stix", why)


class Escaped(str):
    """A string that was written with escapes."""


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise Refused("duplicate", "a member stands twice in one object")
    return out


def _constant(word: str) -> object:
    raise Refused("syntax", f"{word} is not JSON")


def _integer(text: str) -> int:
    n = int(text) if len(text) < 20 else 1 << 64
    if abs(n) > 2**53 - 1:
        raise Refused("range", "an integer beyond 2^53 - 1")
    return n


def _float(text: str) -> float:
    x = float(text)
    if math.isinf(x):
        raise Refused("range", "a number beyond double precision")
    return x


@dataclass
class Bundle:
    id: str
    objects: list[dict]

    def uuid(self) -> bytes:
        return bytes.fromhex(self.id.split("--")[1].replace("-", ""))


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer, parse_float=_float)


def _slow_decoder() -> json.JSONDecoder:
    d = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer, parse_float=_float)

    def string(text: str, start: int, strict: bool) -> tuple[str, int]:
        value, end = json.decoder.scanstring(text, start, strict)
        return (Escaped(value) if "\\" in text[start:end] else value), end
    d.parse_string = string
    d.parse_object = json.decoder.JSONObject
    d.scan_once = json.scanner.py_make_scanner(d)
    return d


def _look(v: object, depth: int) -> None:
    """Depth and characters of everything; strings are the cheap majority."""
    if isinstance(v, str):
        if not v.isascii() and _NEVER.search(v):
            raise Refused("utf8", "an unpaired surrogate or a noncharacter")
    elif isinstance(v, (dict, list)):
        if depth > MAX_DEPTH:
            raise Refused("limit", "nested deeper than 64")
        for x in v:
            _look(x, depth + 1)
        if isinstance(v, dict):
            for x in v.values():
                _look(x, depth + 1)


def parse(payload: bytes) -> Bundle:
    """Checks all but markings."""
    try:
        text = payload.decode("utf-8")
        top = (_slow_decoder() if _ESCAPES.search(payload) else _decoder).decode(text)
    except UnicodeDecodeError:
        raise Refused("utf8", "not UTF-8") from None
    except RecursionError:
        raise Refused("limit", "nested too deeply") from None
    except ValueError as e:
        raise Refused("syntax", f"not JSON: {e}") from None
    _look(top, 1)
    if not isinstance(top, dict) or top.get("type") != "bundle" or top.get("spec_version", "2.1") != "2.1":
        raise stix("not a bundle")
    if not _plain(top.get("id")) or not _BUNDLE_ID.fullmatch(top["id"]):
        raise stix("the id of the bundle")
    objects = top.get("objects")
    if not isinstance(objects, list) or not objects:
        raise stix("a bundle without objects")
    seen = set()
    for i, o in enumerate(objects):
        try:
            _check(o)
        except Refused as e:
            raise Refused(e.code, f"objects[{i}]: {e.why}") from None
        key = (o["id"], o.get("modified"))
        if key in seen:
            raise Refused("duplicate", f"objects[{i}]: given twice with this id and modified")
        seen.add(key)
    return Bundle(top["id"], objects)


def _plain(v: object) -> bool:
    return isinstance(v, str) and not isinstance(v, Escaped)


def _moment(v: object) -> tuple[datetime.datetime, str] | None:
    m = _TIME.fullmatch(v) if _plain(v) else None
    try:
        return (datetime.datetime.fromisoformat(m[1]), (m[2] or "").rstrip("0")) if m else None
    except ValueError:
        return None


def _reference(v: object, kind: str) -> bool:
    m = _ID.fullmatch(v) if _plain(v) else None
    return m is not None and m[1] == kind


def _check(o: object) -> None:
    if not isinstance(o, dict):
        raise stix("not an object")
    kind = o.get("type")
    if not _plain(kind) or not _TYPE.fullmatch(kind) or kind == "bundle":
        raise stix("type")
    if not _reference(o.get("id"), kind):
        raise stix("id")
    bare = kind in _SCO or kind not in _SDO and not {"spec_version", "created", "modified"} & set(o)
    if (not bare or "spec_version" in o) and (o.get("spec_version") != "2.1" or not _plain(o["spec_version"])):
        raise stix("spec_version")
    need = set() if bare else {"created"} if kind == "marking-definition" else {"created", "modified"}
    if kind == "indicator":
        need.add("valid_from")
        for name in ("pattern", "pattern_type"):
            if not isinstance(o.get(name), str) or not o[name]:
                raise stix(name)
    for name in need:
        if _moment(o.get(name)) is None:
            raise stix(name)
    if "modified" in need and _moment(o["modified"]) < _moment(o["created"]):
        raise stix("modified is earlier than created")
    if not isinstance(o.get("revoked", False), bool):
        raise stix("revoked")
    if "created_by_ref" in o and not _reference(o["created_by_ref"], "identity"):
        raise stix("created_by_ref")
    extensions = o.get("extensions", {})
    if not isinstance(extensions, dict):
        raise stix("extensions")
    tlp = o.get("definition_type") == "tlp" or _TLP2_EXTENSION in extensions
    if kind == "marking-definition" and tlp and o["id"] not in MARKINGS:
        raise stix("a TLP marking has the id that the standard gives it")
    _check_marks(o)


def _check_marks(o: dict) -> None:
    for name in ("object_marking_refs", "granular_markings"):
        if name in o and (not isinstance(o[name], list) or not o[name]):
            raise stix(name)
    for r in o.get("object_marking_refs", []):
        if not _reference(r, "marking-definition"):
            raise stix("object_marking_refs")
    for g in o.get("granular_markings", []):
        if not isinstance(g, dict) or "marking_ref" in g and not _reference(g["marking_ref"], "marking-definition"):
            raise stix("granular_markings")


def marking(o: dict) -> int | None:
    """The strictest TLP marking that an object names, of the whole or of a part; None without one."""
    refs = list(o.get("object_marking_refs", []))
    for g in o.get("granular_markings", []) or []:
        if isinstance(g, dict) and isinstance(g.get("marking_ref"), str):
            refs.append(g["marking_ref"])
    found = [MARKINGS[r] for r in refs if r in MARKINGS]
    return max(found) if found else None


def check_marking(bundle: Bundle, tlp: int) -> None:
    for i, o in enumerate(bundle.objects):
        m = marking(o)
        if m is not None and m > tlp:
            raise Refused("marking", f"objects[{i}] is marked more strictly than the record")
