"""Bundles with one oddity each: what noroshid and this peer must agree about (FORMAT.md section 9)."""
from __future__ import annotations

import json
import uuid
from typing import Iterator

from .stix import MARKINGS

DAY = "2026-01-01T00:00:00.000Z"
RED = "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1"


def ind(**kw) -> dict:
    o = {"type": "indicator", "spec_version": "2.1", "id": f"indicator--{uuid.uuid4()}", "created": DAY,
         "modified": DAY, "valid_from": DAY, "pattern_type": "stix", "pattern": "[url:value = 'http://x.example/']"}
    o.update(kw)
    return {k: v for k, v in o.items() if v is not None}


def bun(*objects, **kw) -> bytes:
    b = {"type": "bundle", "id": f"bundle--{uuid.uuid4()}", "objects": list(objects)}
    b.update(kw)
    return json.dumps({k: v for k, v in b.items() if v is not None}).encode()


def cases() -> Iterator[tuple[str, bytes, str]]:
    """(title, bundle, TLP that it is submitted with)."""
    for m in MARKINGS:
        yield 'mark ' + m[-5:], bun(ind(object_marking_refs=[m])), 'CLEAR'
    for m in MARKINGS:
        yield 'mark AMBER+S ' + m[-5:], bun(ind(object_marking_refs=[m])), 'AMBER+STRICT'
    r = RED
    yield 'granular red', bun(ind(granular_markings=[{'marking_ref': r, 'selectors': ['pattern']}])), 'CLEAR'
    yield 'unknown marking', bun(ind(object_marking_refs=['marking-definition--' + str(uuid.uuid4())])), 'CLEAR'
    yield 'empty refs', bun(ind(object_marking_refs=[])), 'CLEAR'
    yield 'no objects', bun(objects=[]), 'CLEAR'
    yield 'objects missing', bun(objects=None), 'CLEAR'
    yield 'extra top', bun(ind(), x_foo=1), 'CLEAR'
    yield 'spec_version top', bun(ind(), spec_version='2.0'), 'CLEAR'
    yield 'spec top 2.1', bun(ind(), spec_version='2.1'), 'CLEAR'
    yield 'no modified', bun(ind(modified=None)), 'CLEAR'
    yield 'no created', bun(ind(created=None)), 'CLEAR'
    yield 'no pattern', bun(ind(pattern=None)), 'CLEAR'
    yield 'no pattern_type', bun(ind(pattern_type=None)), 'CLEAR'
    yield 'no valid_from', bun(ind(valid_from=None)), 'CLEAR'
    yield 'spec 2.0', bun(ind(spec_version='2.0')), 'CLEAR'
    yield 'no spec', bun(ind(spec_version=None)), 'CLEAR'
    yield 'modified<created', bun(ind(created='2026-02-01T00:00:00.000Z')), 'CLEAR'
    yield 'bad date', bun(ind(created='2026-02-31T00:00:00.000Z')), 'CLEAR'
    yield 'leap sec', bun(ind(valid_from='2016-12-31T23:59:60Z')), 'CLEAR'
    yield 'no ms', bun(ind(created='2026-01-01T00:00:00Z')), 'CLEAR'
    yield 'offset', bun(ind(created='2026-01-01T00:00:00+00:00')), 'CLEAR'
    yield 'lower', bun(ind(created='2026-01-01t00:00:00z')), 'CLEAR'
    yield 'nine digits', bun(ind(created='2026-01-01T00:00:00.123456789Z')), 'CLEAR'
    yield 'until before from', bun(ind(valid_until='2025-01-01T00:00:00Z')), 'CLEAR'
    yield 'until=from', bun(ind(valid_until=DAY)), 'CLEAR'
    yield 'uuid1', bun(ind(id='indicator--f47ac10b-58cc-1372-8567-0e02b2c3d479')), 'CLEAR'
    yield 'uuid5', bun(ind(id='indicator--f47ac10b-58cc-5372-8567-0e02b2c3d479')), 'CLEAR'
    yield 'uuid upper', bun(ind(id='indicator--F47AC10B-58CC-4372-8567-0E02B2C3D479')), 'CLEAR'
    yield 'uuid nil', bun(ind(id='indicator--00000000-0000-0000-0000-000000000000')), 'CLEAR'
    yield 'uuid v8', bun(ind(id='indicator--f47ac10b-58cc-8372-8567-0e02b2c3d479')), 'CLEAR'
    yield 'variant', bun(ind(id='indicator--f47ac10b-58cc-4372-0567-0e02b2c3d479')), 'CLEAR'
    yield 'id other type', bun(ind(id=f'malware--{uuid.uuid4()}')), 'CLEAR'
    x = ind()
    yield 'same id twice', bun(x, x), 'CLEAR'
    yield 'dup id other modified', bun(x, dict(x, modified='2026-03-01T00:00:00.000Z')), 'CLEAR'
    yield 'conf 101', bun(ind(confidence=101)), 'CLEAR'
    yield 'conf text', bun(ind(confidence='5')), 'CLEAR'
    yield 'name number', bun(ind(name=5)), 'CLEAR'
    yield 'null member', bun(ind()).replace(b'"pattern_type"', b'"name":null,"pattern_type"'), 'CLEAR'
    yield 'empty list', bun(ind(labels=[])), 'CLEAR'
    yield 'empty obj', bun(ind(extensions={})), 'CLEAR'
    yield ('custom type', bun({'type': 'x-foo', 'spec_version': '2.1', 'id': f'x-foo--{uuid.uuid4()}',
           'created': DAY, 'modified': DAY}), 'CLEAR')
    yield 'unknown type bare', bun({'type': 'x-foo', 'id': f'x-foo--{uuid.uuid4()}'}), 'CLEAR'
    yield ('type 2 chars', bun({'type': 'ab', 'spec_version': '2.1', 'id': f'ab--{uuid.uuid4()}', 'created': DAY,
           'modified': DAY}), 'CLEAR')
    yield ('type caps', bun({'type': 'Abc', 'spec_version': '2.1', 'id': f'Abc--{uuid.uuid4()}', 'created': DAY,
           'modified': DAY}), 'CLEAR')
    yield ('type underscore', bun({'type': 'a_bc', 'spec_version': '2.1', 'id': f'a_bc--{uuid.uuid4()}',
           'created': DAY, 'modified': DAY}), 'CLEAR')
    yield ('type --', bun({'type': 'a--bc', 'spec_version': '2.1', 'id': f'a--bc--{uuid.uuid4()}', 'created': DAY,
           'modified': DAY}), 'CLEAR')
    yield ('SCO', bun({'type': 'url', 'spec_version': '2.1', 'id': f'url--{uuid.uuid4()}', 'value': 'http://a/'}),
           'CLEAR')
    yield 'SCO no spec', bun({'type': 'url', 'id': f'url--{uuid.uuid4()}', 'value': 'http://a/'}), 'CLEAR'
    yield 'SCO no value', bun({'type': 'url', 'id': f'url--{uuid.uuid4()}'}), 'CLEAR'
    yield ('identity', bun({'type': 'identity', 'spec_version': '2.1', 'id': f'identity--{uuid.uuid4()}',
           'created': DAY, 'modified': DAY, 'name': 'x'}), 'CLEAR')
    yield ('identity no name', bun({'type': 'identity', 'spec_version': '2.1', 'id': f'identity--{uuid.uuid4()}',
           'created': DAY, 'modified': DAY}), 'CLEAR')
    yield 'nested bundle', bun(json.loads(bun(ind()))), 'CLEAR'
    md = {'type': 'marking-definition', 'spec_version': '2.1', 'id': r, 'created': '2022-10-01T00:00:00.000Z',
         'name': 'TLP:RED', 'extensions': {'extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d':
                                        {'extension_type': 'property-extension', 'tlp_2_0': 'red'}}}
    yield 'md tlp2 std', bun(md), 'CLEAR'
    yield 'md tlp2 foreign', bun(dict(md, id='marking-definition--' + str(uuid.uuid4()))), 'CLEAR'
    yield ('md statement', bun({'type': 'marking-definition', 'spec_version': '2.1', 'id': 'marking-definition--'
           + str(uuid.uuid4()), 'created': DAY, 'definition_type': 'statement', 'definition': {'statement': 'x'}}),
           'CLEAR')
    yield ('md tlp1 foreign', bun({'type': 'marking-definition', 'spec_version': '2.1',
           'id': 'marking-definition--' + str(uuid.uuid4()), 'created': DAY, 'definition_type': 'tlp',
           'definition': {'tlp': 'red'}}), 'CLEAR')
    yield 'revoked md ref', bun(ind(object_marking_refs='x')), 'CLEAR'
    yield 'ref malformed', bun(ind(object_marking_refs=['x'])), 'CLEAR'
    yield 'ref other type', bun(ind(object_marking_refs=[f'malware--{uuid.uuid4()}'])), 'CLEAR'
    yield 'created_by', bun(ind(created_by_ref='x')), 'CLEAR'
    g = bun(ind())
    yield 'dup member', g.replace(b'"type": "bundle"', b'"type": "bundle","type": "bundle"'), 'CLEAR'
    yield 'BOM', b'\xef\xbb\xbf' + g, 'CLEAR'
    yield 'trail', g + b'x', 'CLEAR'
    yield 'trail ws', g + b' \n', 'CLEAR'
    yield 'NaN', g.replace(b'"pattern_type"', b'"x":NaN,"pattern_type"'), 'CLEAR'
    yield 'big int', g.replace(b'"pattern_type"', b'"x":123456789012345678901234567890,"pattern_type"'), 'CLEAR'
    yield '1e999', g.replace(b'"pattern_type"', b'"x":1e999,"pattern_type"'), 'CLEAR'
    yield 'bad utf8', g.replace(b'x.example', b'\xff.example'), 'CLEAR'
    yield 'surrogate', g.replace(b'x.example', b'\\ud800.example'), 'CLEAR'
    yield 'nonchar', g.replace(b'x.example', b'\\ufffe.example'), 'CLEAR'
    yield 'nonchar raw', g.replace(b'x.example', '\uffff.example'.encode()), 'CLEAR'
    yield 'nul', g.replace(b'x.example', b'\\u0000.example'), 'CLEAR'
    yield 'esc in type', g.replace(b'"type": "indicator"', b'"type": "\\u0069ndicator"'), 'CLEAR'
    yield 'esc in id', g.replace(b'"id": "indicator', b'"id": "\\u0069ndicator'), 'CLEAR'
    yield 'esc key', g.replace(b'"pattern"', b'"\\u0070attern"'), 'CLEAR'
    yield 'deep', g.replace(b'"pattern_type"', b'"x":' + b'[' * 100 + b']' * 100 + b',"pattern_type"'), 'CLEAR'
    yield 'deep30', g.replace(b'"pattern_type"', b'"x":' + b'[' * 30 + b']' * 30 + b',"pattern_type"'), 'CLEAR'
    yield 'ctrl char', g.replace(b'x.example', b'\x01.example'), 'CLEAR'
    yield '-0', g.replace(b'"pattern_type"', b'"x":-0,"pattern_type"'), 'CLEAR'
    yield '01', g.replace(b'"pattern_type"', b'"x":01,"pattern_type"'), 'CLEAR'
    yield 'empty pattern', bun(ind(pattern='')), 'CLEAR'
