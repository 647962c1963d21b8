"""What a bundle has to be (FORMAT.md section 9): strict JSON, the frame of STIX 2.1, and markings."""
from __future__ import annotations

import json
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
_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
_ID = re.compile(f"([a-z][a-z0-9-]*)--({_UUID})", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", re.ASCII)
_TYPE = re.compile("[a-z][a-z0-9-]{2,249}", re.ASCII)
# Cyber-observables have neither created nor modified.
_SCO = {"artifact", "autonomous-system", "directory", "domain-name", "email-addr", "email-message", "file",
        "ipv4-addr", "ipv6-addr", "mac-addr", "mutex", "network-traffic", "process", "software", "url",
        "user-account", "windows-registry-key", "x509-certificate"}


def stix(why: str) -> Refused:
    return Refused("stix", why)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise stix("a member stands twice in one object")
    return out


def _constant(word: str) -> object:
    raise stix(f"{word} is not JSON")


@dataclass
class Bundle:
    id: str
    objects: list[dict]

    def uuid(self) -> bytes:
        return bytes.fromhex(self.id.split("--")[1].replace("-", ""))


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)


def parse(payload: bytes) -> Bundle:
    """Checks all but markings."""
    try:
        text = payload.decode("utf-8")
        if text.startswith("\ufeff"):
            raise stix("a byte order mark")
        top = _decoder.decode(text)
    except UnicodeDecodeError:
        raise Refused("utf8", "not UTF-8") from None
    except (ValueError, RecursionError) as e:
        raise stix(f"not JSON: {e}") from None
    if not isinstance(top, dict) or top.get("type") != "bundle":
        raise stix("not a bundle")
    m = _ID.fullmatch(top["id"]) if isinstance(top.get("id"), str) else None
    if not m or m[1] != "bundle":
        raise stix("the id of the bundle")
    objects = top.get("objects")
    if not isinstance(objects, list) or not objects:
        raise stix("a bundle without objects")
    for i, o in enumerate(objects):
        _check(i, o)
    return Bundle(top["id"], objects)


def _check(i: int, o: object) -> None:
    if not isinstance(o, dict):
        raise stix(f"objects[{i}] is not an object")
    kind = o.get("type")
    if not isinstance(kind, str) or not _TYPE.fullmatch(kind) or kind == "bundle":
        raise stix(f"objects[{i}]: type")
    m = _ID.fullmatch(o["id"]) if isinstance(o.get("id"), str) else None
    if not m or m[1] != kind:
        raise stix(f"objects[{i}]: id")
    if o.get("spec_version", "2.1" if kind in _SCO else None) != "2.1":
        raise stix(f"objects[{i}]: spec_version")
    need = [] if kind in _SCO else ["created"] if kind == "marking-definition" else ["created", "modified"]
    if kind == "indicator":
        need.append("valid_from")
        for name in ("pattern", "pattern_type"):
            if not isinstance(o.get(name), str) or not o[name]:
                raise stix(f"objects[{i}]: {name}")
    for name in need:
        if not isinstance(o.get(name), str) or not _TIME.fullmatch(o[name]):
            raise stix(f"objects[{i}]: {name}")
    refs = o.get("object_marking_refs", [])
    if not isinstance(refs, list) or not all(isinstance(r, str) for r in refs):
        raise stix(f"objects[{i}]: object_marking_refs")


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
