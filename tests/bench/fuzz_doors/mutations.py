"""Mutate bodies with a seeded generator: bytes, JSON trees and protobuf messages."""

from __future__ import annotations

import gzip
import json
import zlib
from random import Random
from typing import Any, Final

from tests.bench.fuzz_doors.extremes import BROKEN_FRAGMENTS, JSON_FRAGMENTS, KEYS, VARINTS

_MARK: Final = "@fragment-%d@"
Field = tuple[int, int, bytes]
"""Number, wire type, and what follows the tag (without the length of a field that has one)."""


def mutated_bytes(body: bytes, chance: Random) -> bytes:
    """Flip, cut, repeat, insert or exchange some bytes."""
    data = bytearray(body)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(6):
            case 0 if data:
                data[at % len(data)] ^= 1 << chance.randrange(8)
            case 1:
                del data[at:]
            case 2:
                del data[at : at + chance.randrange(1, 20)]
            case 3:
                begin = chance.randrange(len(data) + 1)
                data[at:at] = data[begin : begin + chance.randrange(1, 200)]
            case 4:
                fragments = (*JSON_FRAGMENTS, *BROKEN_FRAGMENTS, *VARINTS)
                data[at:at] = chance.choice(fragments)
            case _ if data:
                data[at % len(data)] = chance.randrange(256)
    return bytes(data)


def mutated_gzip(body: bytes, chance: Random) -> bytes:
    """A gzip of the body: valid, damaged, cut, in several members, or followed by other bytes."""
    packed = gzip.compress(body, 1)
    match chance.randrange(6):
        case 0:
            return mutated_bytes(packed, chance)
        case 1:
            cut = chance.randrange(len(body) + 1)
            return gzip.compress(body[:cut]) + gzip.compress(body[cut:])
        case 2:
            return packed + chance.choice((b"\0" * 9, b"x", packed[:9]))
        case 3:
            return zlib.compress(body)
        case 4:
            return packed[: chance.randrange(len(packed))]
        case _:
            return packed


def mutated_json(tree: Any, chance: Random) -> bytes:
    """JSON of a tree in which some nodes, keys or members were exchanged; always JSON."""
    tree = json.loads(json.dumps(tree))
    holder: dict[str, Any] = {"tree": tree}
    fragments: list[bytes] = []
    for _ in range(chance.choice((1, 1, 2, 3))):
        parent, key = chance.choice(_places(holder))
        match chance.randrange(8):
            case 0 | 1 | 2 | 3:
                fragments.append(chance.choice(JSON_FRAGMENTS))
                parent[key] = _MARK % (len(fragments) - 1)
            case 4 if isinstance(parent, dict) and parent is not holder:
                parent[chance.choice(KEYS)] = parent.pop(key)
            case 5 if parent is not holder:
                del parent[key]
            case 6 if isinstance(parent, dict) and parent is not holder:
                fragments.append(chance.choice(JSON_FRAGMENTS))
                parent[chance.choice(KEYS)] = _MARK % (len(fragments) - 1)
            case _:
                other, name = chance.choice(_places(holder))
                parent[key] = json.loads(json.dumps(other[name]))
    encoded = json.dumps(holder["tree"], ensure_ascii=chance.random() < 0.5).encode()
    for number, fragment in enumerate(fragments):
        encoded = encoded.replace(json.dumps(_MARK % number).encode(), fragment)
    return encoded


def _places(node: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in items:
        found.append((node, key))
        if isinstance(value, dict | list):
            found += _places(value)
    return found


def mutated_message(message: bytes, chance: Random, depth: int = 0) -> bytes:
    """A protobuf message with fields that were dropped, repeated, retyped, cut, or mutated."""
    fields = _fields_of(message)
    if not fields:
        return mutated_bytes(message, chance)
    at = chance.randrange(len(fields))
    number, kind, content = fields[at]
    match chance.randrange(9):
        case 0:
            del fields[at]
        case 1:
            fields[at:at] = [fields[at]] * chance.choice((1, 2, 100))
        case 2:
            fields[at] = (number, chance.choice((0, 1, 5)), chance.choice(VARINTS))
        case 3:
            fields[at] = (number, chance.choice((3, 4, 6, 7)), content)
        case 4:
            fields[at] = (chance.choice((0, 1, 2, 99, 536_870_911)), kind, content)
        case 5 if kind == 2:
            fields[at] = (number, 2, mutated_bytes(content, chance))
        case 6 if kind == 2:
            fields[at] = (number, 2, chance.choice(JSON_FRAGMENTS).strip(b'"'))
        case _ if kind == 2 and depth < 6:
            fields[at] = (number, 2, mutated_message(content, chance, depth + 1))
        case _:
            return mutated_bytes(message, chance)
    return b"".join(field_of(*each) for each in fields)


def field_of(number: int, kind: int, content: bytes) -> bytes:
    length = varint(len(content)) if kind == 2 else b""
    return varint(number << 3 | kind) + length + content


def varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    return bytes((*encoded, number))


def _fields_of(message: bytes) -> list[Field]:
    """The fields of a message; none where it is no message."""
    fields: list[Field] = []
    at = 0
    try:
        while at < len(message):
            tag, at = _read_varint(message, at)
            begin = at
            match tag & 7:
                case 0:
                    _, at = _read_varint(message, at)
                case 1:
                    at += 8
                case 2:
                    size, begin = _read_varint(message, at)
                    at = begin + size
                case 5:
                    at += 4
                case _:
                    return []
            if at > len(message):
                return []
            fields.append((tag >> 3, tag & 7, message[begin:at]))
    except IndexError:
        return []
    return fields


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
        shift += 7
