"""Convert attribute values; no function here raises an exception for any value."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from producers import metrics
from producers.bounded_cache import BoundedCache
from producers.gateway.otlp import TOO_DEEP, AttributeValue
from producers.gateway.values.huge_numbers import quote_huge_numbers
from producers.gateway.values.json_size import check_item, decode_json
from producers.gateway.values.numbers import decimal_of
from producers.provider_names import normal_provider
from tracemill.reconciliation.objects import tier_of

_encoder: Final = msgspec.json.Encoder(decimal_format="number")
_exact_decoder: Final = msgspec.json.Decoder(float_hook=decimal_of)

_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")
TAGS_MAX: Final = 100
DEPTH_MAX: Final = 100
_CACHED_TEXT_LENGTH_MAX: Final = 500


def encode_json(value: Any) -> bytes:
    """Encode a value as JSON; cut a value that is too deep for the encoder at ``DEPTH_MAX``."""
    try:
        return _encoder.encode(value)
    except RecursionError:
        return _encoder.encode(_cut(value, DEPTH_MAX))


def _cut(value: Any, depth: int) -> Any:
    if not isinstance(value, list | dict):
        return value
    if depth == 0:
        return TOO_DEEP
    if isinstance(value, list):
        return [_cut(item, depth - 1) for item in value]
    return {key: _cut(item, depth - 1) for key, item in value.items()}


def attribute_text(value: AttributeValue) -> str | None:
    """Return a string unchanged and other values as JSON; ``None`` for ``None`` and ``""``."""
    if value is None or value == "":
        return None
    return value if isinstance(value, str) else encode_json(value).decode()


def reference_of(value: AttributeValue) -> str | None:
    """Return an id; ``None`` for one with control characters, which cannot be part of a URL."""
    if isinstance(value, str) and value and value.isprintable():  # fast path
        return value
    text = attribute_text(value)
    if text is None or text.isprintable() or not _CONTROLS.search(text):
        return text
    metrics.VALUES_DROPPED.labels(field="session_id").inc()
    return None


def _decode(text: str) -> Any:
    """Decode a JSON text; numbers that are out of range become strings.

    Raises:
        msgspec.DecodeError: it is not JSON, or ``check_item`` refuses it.
    """
    try:
        return decode_json(text)
    except msgspec.ValidationError:  # a number is out of range
        return decode_json(quote_huge_numbers(text.encode(errors="replace")))


def json_of(value: Any) -> Any:
    """Decode a JSON text; return other values unchanged, and ``None`` for other texts."""
    if not isinstance(value, str):
        return value
    try:
        return _decode(value)
    except msgspec.DecodeError:
        return None


def decoded(value: AttributeValue) -> AttributeValue:
    """Decode a JSON text; return other texts and values unchanged."""
    if not isinstance(value, str):
        return value
    try:
        found: AttributeValue = _decode(value)
    except msgspec.DecodeError:
        return value
    return found


def amounts_of(value: Any) -> Any:
    """Decode a JSON text like ``json_of``, with fractions as ``Decimal``, for amounts of money."""
    if not isinstance(value, str):
        return value
    try:
        check_item(value)
        return _exact_decoder.decode(value)
    except msgspec.DecodeError:
        return None


def object_of(value: AttributeValue) -> dict[str, Any] | None:
    """Return an object that is given as JSON text or as a key-value list; otherwise ``None``."""
    found = json_of(value)
    return found if isinstance(found, dict) else None


_objects: BoundedCache[str, bool] = BoundedCache("cached_objects_max_bytes", 1024 * 1024)
"""Whether a text is a non-empty JSON object; cached, because model parameters repeat often."""


def _is_object(text: str) -> bool:
    known = _objects.get(text)
    if known is not None:
        return known
    is_object = object_of(text) not in (None, {})
    return _objects.keep(text, is_object) if len(text) <= _CACHED_TEXT_LENGTH_MAX else is_object


def object_text_of(value: AttributeValue) -> str | None:
    """Return an object as JSON text, like ``object_of``; ``None`` if it is empty."""
    if isinstance(value, str):
        return value if _is_object(value) else None
    return attribute_text(value) if isinstance(value, dict) and value else None


def is_true(value: AttributeValue) -> bool:
    return value is True or value == "true"


def true_or_none(value: AttributeValue) -> bool | None:
    return is_true(value) or None


def tags_of(value: AttributeValue) -> tuple[str, ...] | None:
    """Return the tags of an array, a JSON array, a comma-separated list or a single tag."""
    if isinstance(value, str):
        text = value.strip()
        found = json_of(text) if text.startswith("[") else None
        value = found if isinstance(found, list) else text.split(",")
    if not isinstance(value, list | tuple):
        return None
    return _distinct((attribute_text(tag) or "").strip() for tag in value)


def _distinct(tags: Iterable[str]) -> tuple[str, ...] | None:
    distinct = tuple(dict.fromkeys(tag for tag in tags if tag))
    if len(distinct) > TAGS_MAX:
        metrics.LIMIT_REACHED.labels(limit="tags_max").inc()
    return distinct[:TAGS_MAX] or None


def time_us_of(value: AttributeValue) -> int | None:
    """Convert an ISO 8601 time (UTC if it has no offset) to microseconds since the epoch.

    Quotes around it (JSON within JSON) are removed.
    """
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value.strip('" '))
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def provider_name_of(value: AttributeValue) -> str | None:
    """Return the normal form of a provider's name."""
    name = attribute_text(value)
    return normal_provider(name) or None if name else None


def service_tier_of(value: AttributeValue) -> str | None:
    """Return the service tier in a value of the metadata; ``None`` for ``auto``."""
    return tier_of(attribute_text(value)) or None
