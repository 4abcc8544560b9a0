"""A DDSketch whose bytes are a ClickHouse ``quantilesDD(0.01, …)`` state.

A sketch maps bin keys to counts. Values are microseconds. Bin ``k`` contains the values in [γ^k,
γ^(k+1)), γ = 1.01/0.99. It is represented by γ^k · 1.01, which is within 1 % of each of them. The
key is the integer part of log(v)/log(γ), as in ClickHouse (``DDSketch/Mapping.h``). Values below
1 µs, including negative ones from clock skew, are counted under ``ZERO_KEY``.

Sketches are merged by adding counts. A change of a sketch is a sketch whose counts may be negative,
so removing a value is exact.

The state has little-endian integers (ClickHouse ``DDSketch.h``, ``Store.h``; the format of
DataDog's sketches-java):

    02 γ:f64 offset:f64 · 01 store · 03 store · 04 count-of-zeros:f64     (01 positive, 03 negative)
    store = 04 n:varint (key delta: zigzag varint, count: f64)*                         (sparse)
          | 0C n:varint first key: zigzag varint, step: zigzag varint, (count: f64)*    (dense)
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Final

from clickhouse.percentiles import RANK_MARGIN

RELATIVE_ACCURACY: Final = 0.01

ZERO_KEY: Final = -1
"""Key of values below 1 µs; no other key is negative."""

VALUE_MAX_US: Final = float(2**63 - 1)
"""Maximum value; greater ones are counted as this value. So a sketch has at most 2,184 bins, and
one under ``ZERO_KEY``."""

_GAMMA: Final = (1 + RELATIVE_ACCURACY) / (1 - RELATIVE_ACCURACY)
_MULTIPLIER: Final = 1 / math.log2(_GAMMA)
_KEY_MAX: Final = int(math.log2(VALUE_MAX_US) * _MULTIPLIER)

_MAPPING, _POSITIVE, _NEGATIVE, _ZEROS = 0x02, 0x01, 0x03, 0x04
_SPARSE, _DENSE = 0x04, 0x0C
_F64 = struct.Struct("<d")
_HEAD: Final = struct.pack("<BddBB", _MAPPING, _GAMMA, 0.0, _POSITIVE, _SPARSE)
_NO_NEGATIVES: Final = bytes((_NEGATIVE, _SPARSE, 0, _ZEROS))
_ONE: Final = _F64.pack(1.0)

_log2 = math.log2  # three times as fast as math.log


def key_of(value_us: float) -> int:
    """Return the bin of a value in microseconds; NaN counts as zero."""
    if 1.0 <= value_us <= VALUE_MAX_US:
        return int(_log2(value_us) * _MULTIPLIER)
    return _KEY_MAX if value_us > VALUE_MAX_US else ZERO_KEY


def value_of(key: int) -> float:
    """Return the value of a bin in microseconds."""
    return 0.0 if key == ZERO_KEY else 2.0 ** (key / _MULTIPLIER) * (1 + RELATIVE_ACCURACY)


def quantile(bins: Mapping[int, int], q: float) -> float:
    """Return the ``q``-quantile in microseconds; NaN if there are no values.

    It is the value at the nearest rank, as in ``clickhouse.percentiles``.
    """
    count = sum(bins.values())
    if count <= 0:
        return math.nan
    rank = (q - RANK_MARGIN) * count
    seen = 0
    key = ZERO_KEY
    for key in sorted(bins):
        seen += bins[key]
        if seen > rank:
            break
    return value_of(key)


def state_hex(bins: Mapping[int, int]) -> str:
    """Encode bins as a state in hexadecimal; bins without a positive count are left out."""
    store = bytearray()
    previous = stored = 0
    for key in sorted(bins):
        count = bins[key]
        if key < 0 or count <= 0:
            continue
        distance = (key - previous) << 1  # zigzag of a number that is never negative
        while distance > 0x7F:
            store.append(distance & 0x7F | 0x80)
            distance >>= 7
        store.append(distance)
        store += _ONE if count == 1 else _F64.pack(count)
        previous = key
        stored += 1
    zeros = _F64.pack(max(bins.get(ZERO_KEY, 0), 0))
    return (_HEAD + _varint(stored) + store + _NO_NEGATIVES + zeros).hex()


def bins_of(state: bytes) -> dict[int, int]:
    """Return the bins of a state, encoded here or by ClickHouse.

    Raises:
        ValueError: the bytes are no such state, or the accuracy differs.
    """
    try:
        return _parse(state)
    except (IndexError, struct.error) as error:
        raise ValueError(f"sketch state of {len(state)} bytes is truncated") from error


def _parse(state: bytes) -> dict[int, int]:
    flag, gamma, offset = struct.unpack_from("<Bdd", state)
    if flag != _MAPPING or gamma != _GAMMA or offset != 0.0:
        raise ValueError(f"not a quantilesDD state of accuracy {RELATIVE_ACCURACY}")
    at = 17
    bins: dict[int, int] = {}
    zeros = 0
    for expected in (_POSITIVE, _NEGATIVE):
        if state[at] != expected:
            raise ValueError(f"sketch state has {state[at]:#x} instead of a store's type")
        store, at = _parse_store(state, at + 1)
        if expected == _POSITIVE:
            bins = {key: count for key, count in store.items() if key >= 0}
            zeros = sum(count for key, count in store.items() if key < 0)
        else:
            zeros += sum(store.values())
    if state[at] != _ZEROS or len(state) != at + 9:
        raise ValueError("sketch state does not end with the count of zeros")
    zeros += round(_F64.unpack_from(state, at + 1)[0])
    if zeros:
        bins[ZERO_KEY] = zeros
    return bins


def _parse_store(state: bytes, at: int) -> tuple[dict[int, int], int]:
    encoding = state[at]
    length, at = _read_varint(state, at + 1)
    bins: dict[int, int] = {}
    if encoding == _DENSE:
        key, at = _read_zigzag(state, at)
        step, at = _read_zigzag(state, at)
        key -= step
    elif encoding == _SPARSE:
        key = step = 0
    else:
        raise ValueError(f"sketch state has the unknown store encoding {encoding:#x}")
    for _ in range(length):
        if encoding == _SPARSE:
            step, at = _read_zigzag(state, at)
        key += step
        count = round(_F64.unpack_from(state, at)[0])
        at += 8
        if count:
            bins[key] = bins.get(key, 0) + count
    return bins, at


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _read_varint(state: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = state[at]
        number |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return number, at
        shift += 7


def _read_zigzag(state: bytes, at: int) -> tuple[int, int]:
    number, at = _read_varint(state, at)
    return (number >> 1) ^ -(number & 1), at
