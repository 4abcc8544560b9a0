"""Cut events to the limits of ``streams.core.observations.limits``, deterministically.

Ids, names and dimensions keep their beginning and a hash of the whole, so that different values
stay different and parent ids still match. A text keeps its beginning and a note of its length. The
sums of usage and costs do not change.
"""

from __future__ import annotations

from collections import Counter
from hashlib import sha256
from typing import Final

import msgspec

from producers.usage_units import unit_of
from streams.core.observations.json_texts import json_of
from streams.core.observations.limits import (
    DEFAULT_ROW_LIMITS,
    DIMENSION_CHARS_MAX,
    ESCAPED_BYTES_MAX,
    ID_CHARS_MAX,
    LONG_CHARS_MAX,
    OTHER_USAGE,
    REPORTED_USAGE_CHARS_MAX,
    SCORE_TEXT_CHARS_MAX,
    TRACE_TAGS_MAX,
    USAGE_TYPES_MAX,
    RowLimits,
)
from streams.core.observations.metadata import Metadata
from tracemill.contract import (
    COUNT_MAX,
    Event,
    Observation,
    Score,
    TraceAttributes,
    TraceDeletion,
    TraceUpdate,
)

CUT_TAG: Final = "tracemill.cut"
_HASH_CHARS: Final = 32
_PARAMETER_BYTES_MAX: Final = 1_000
"""Longest single parameter that is kept when all parameters together are too long."""

_encode: Final = msgspec.json.Encoder().encode

_NAMES: Final = {
    "id": ID_CHARS_MAX,
    "name": ID_CHARS_MAX,
    "parent_id": ID_CHARS_MAX,
    "environment": DIMENSION_CHARS_MAX,
    "version": ID_CHARS_MAX,
    "model": ID_CHARS_MAX,
    "usage_uncertain": ID_CHARS_MAX,
    "service_tier": ID_CHARS_MAX,
    "provider": ID_CHARS_MAX,
    "error_type": DIMENSION_CHARS_MAX,
    "prompt_name": ID_CHARS_MAX,
    "service_name": ID_CHARS_MAX,
    "scope_name": ID_CHARS_MAX,
    "scope_version": ID_CHARS_MAX,
    "api_key": ID_CHARS_MAX,
    "user_id": ID_CHARS_MAX,
    "session_id": ID_CHARS_MAX,
    "release": ID_CHARS_MAX,
    "external_id": ID_CHARS_MAX,
    "observation_id": ID_CHARS_MAX,
    "dataset_run_id": ID_CHARS_MAX,
    "config_id": ID_CHARS_MAX,
    "queue_id": ID_CHARS_MAX,
    "author_user_id": ID_CHARS_MAX,
}


class Bounds:
    """The limits of texts, with counts of how often each is reached."""

    def __init__(
        self, limits: RowLimits = DEFAULT_ROW_LIMITS, reached: Counter[str] | None = None
    ) -> None:
        self.limits = limits
        self.reached: Counter[str] = Counter() if reached is None else reached

    def text(self, text: str) -> str:
        """Cut a text to ``text_bytes_max``."""
        kept = cut_text(text, self.limits.text_bytes_max)
        if kept is not text:
            self.reached["text_bytes_max"] += 1
        return kept

    def merge_metadata(self, metadata: Metadata, text: str, logical_ts: int) -> bool:
        """Merge an update into ``metadata``; return whether that changed it."""
        merge = metadata.merge(text, logical_ts, self.limits)
        if merge.cut:
            self.reached["metadata_bytes_max"] += 1
        return merge.changed


def cut_text(text: str, bytes_max: int) -> str:
    """Return ``text``, cut and with a note if it takes more than ``bytes_max`` bytes as JSON."""
    if len(text) * ESCAPED_BYTES_MAX <= bytes_max or len(_encode(text)) <= bytes_max:
        return text
    note_bytes = 100
    kept = text[:bytes_max]
    while (size := len(_encode(kept))) > bytes_max - note_bytes:
        kept = kept[: min(len(kept) * max(bytes_max - note_bytes, 1) // size, len(kept) - 1)]
    return f"{kept}… (cut: the first {len(kept)} of {len(text)} characters)"


def cut_name(text: str, chars_max: int) -> str:
    """Return ``text``; if it has more than ``chars_max`` characters, its beginning and hash."""
    if len(text) <= chars_max:
        return text
    digest = sha256(text.encode(errors="surrogatepass")).hexdigest()[:_HASH_CHARS]
    return f"{text[: chars_max - _HASH_CHARS - 2]}…#{digest}"


def cut_tags(tags: set[str]) -> bool:
    """Keep the first ``TRACE_TAGS_MAX`` tags in sorted order; return whether any was removed.

    Tags are only ever added, so the result does not depend on their order of arrival.
    """
    if len(tags) <= TRACE_TAGS_MAX:
        return False
    stay = sorted(tags - {CUT_TAG})[: TRACE_TAGS_MAX - 1]
    tags.intersection_update(stay)
    tags.add(CUT_TAG)
    return True


def bounded_event(event: Event, bounds: Bounds) -> Event:
    """Bound every field of ``event`` in place, except the ids of project and trace.

    Those two cannot be cut, because the partition was computed from them.
    """
    reached = bounds.reached
    _bound_names(event, reached)
    if isinstance(event, Score):
        if event.trace_id is not None:
            event.trace_id = _named(event.trace_id, ID_CHARS_MAX, reached)
        for field in ("string_value", "comment", "metadata"):
            _bound_long(event, field, SCORE_TEXT_CHARS_MAX, reached)
        return event
    if isinstance(event, TraceDeletion):
        return event
    if event.trace is not None:
        _bound_attributes(event.trace, reached)
    if isinstance(event, TraceUpdate):
        return event
    _bound_long(event, "status_message", LONG_CHARS_MAX, reached)
    if event.model_parameters is not None and len(event.model_parameters) > LONG_CHARS_MAX:
        event.model_parameters = _cut_parameters(event.model_parameters)
        reached["text_bytes_max"] += 1
    _bound_amounts(event, reached)
    _bound_texts(event, bounds)
    return event


def _bound_names(event: msgspec.Struct, reached: Counter[str]) -> None:
    for field in event.__struct_fields__:
        chars_max = _NAMES.get(field)
        if chars_max is not None:
            name = getattr(event, field)
            if name is not None and len(name) > chars_max:
                setattr(event, field, _named(name, chars_max, reached))


def _named(name: str, chars_max: int, reached: Counter[str]) -> str:
    if len(name) > chars_max:
        reached["name_chars_max"] += 1
    return cut_name(name, chars_max)


def _bound_long(event: msgspec.Struct, field: str, chars_max: int, reached: Counter[str]) -> None:
    text = getattr(event, field)
    if text is not None and len(text) > chars_max:
        note = f"… (cut: the first characters of {len(text)})"
        setattr(event, field, text[: chars_max - len(note)] + note)
        reached["text_bytes_max"] += 1


def _bound_attributes(attributes: TraceAttributes, reached: Counter[str]) -> None:
    _bound_names(attributes, reached)
    if attributes.tags is not None:
        tags = {_named(tag, DIMENSION_CHARS_MAX, reached) for tag in attributes.tags}
        reached["trace_tags_max"] += cut_tags(tags)
        attributes.tags = tuple(sorted(tags))


def _bound_amounts(event: Observation, reached: Counter[str]) -> None:
    if event.reported_usage is not None and len(event.reported_usage) > REPORTED_USAGE_CHARS_MAX:
        event.reported_usage = "{}"
        reached["text_bytes_max"] += 1
    if event.usage is not None:
        event.usage = _bounded_amounts(event.usage, reached)
        if OTHER_USAGE in event.usage:
            event.usage[OTHER_USAGE] = min(event.usage[OTHER_USAGE], COUNT_MAX)
    if event.cost is not None:
        event.cost = _bounded_amounts(event.cost, reached)


def _bounded_amounts(amounts: dict[str, int], reached: Counter[str]) -> dict[str, int]:
    """Keep at most ``USAGE_TYPES_MAX`` amounts, known units first, and add up the rest.

    The rest is counted as ``OTHER_USAGE``.
    """
    named: dict[str, int] = {}
    for usage_type, amount in amounts.items():
        name = _named(usage_type, DIMENSION_CHARS_MAX, reached)
        named[name] = named.get(name, 0) + amount
    if len(named) <= USAGE_TYPES_MAX:
        return named
    reached["usage_types_max"] += 1
    total = named.pop("total", None)
    ordered = sorted(named, key=lambda usage_type: (unit_of(usage_type) is None, usage_type))
    kept = {usage_type: named.pop(usage_type) for usage_type in ordered[: USAGE_TYPES_MAX - 2]}
    kept[OTHER_USAGE] = kept.get(OTHER_USAGE, 0) + sum(named.values())
    if total is not None:
        kept["total"] = total
    return kept


def _cut_parameters(text: str) -> str:
    """Keep the short parameters while they fit: those are the ones that prices depend on."""
    parameters = json_of(text)
    if not isinstance(parameters, dict):
        return text[: LONG_CHARS_MAX - 1] + "…"
    kept: dict[str, object] = {}
    chars = 100
    for key, value in parameters.items():
        size = len(_encode({key: value}))
        if size <= _PARAMETER_BYTES_MAX and chars + size <= LONG_CHARS_MAX:
            kept[key] = value
            chars += size
    return _encode(kept | {CUT_TAG: len(text)}).decode()


def _bound_texts(event: Observation, bounds: Bounds) -> None:
    """Cut input, output and metadata if they exceed ``texts_bytes_max`` together."""
    limits = bounds.limits
    texts = {field: getattr(event, field) or "" for field in ("input", "output", "metadata")}
    if sum(map(len, texts.values())) * ESCAPED_BYTES_MAX <= limits.texts_bytes_max:
        return
    if sum(len(_encode(text)) for text in texts.values()) <= limits.texts_bytes_max:
        return
    for field in ("input", "output"):
        setattr(event, field, bounds.text(texts[field]) or None)
    if len(_encode(texts["metadata"])) > limits.metadata_bytes_max:
        whole = Metadata()
        bounds.merge_metadata(whole, texts["metadata"], 0)
        event.metadata = whole.text()
