"""Read the attributes with which SDKs describe the experiment of a span.

SDKs encode values as JSON. Observations keep the attributes in their metadata.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from query_api.json_texts import EXPERIMENT
from query_api.times import instant_us

_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_FAILURES: Final = (msgspec.DecodeError, UnicodeEncodeError, RecursionError)


@dataclass(frozen=True, slots=True)
class ExperimentAttributes:
    """The experiment of a span, and the item on which it ran."""

    name: str
    item_id: str
    dataset_id: str | None
    """None: the data of the experiment is not in a dataset."""
    description: str | None
    metadata: dict[str, Any] | None
    item_version_us: int | None
    item_metadata: dict[str, Any] | None
    expected_output: Any


def attributes_of(metadata: str) -> ExperimentAttributes:
    """Return the attributes in the metadata of an observation; absent ones are None or empty."""
    try:
        members = _members.decode(metadata)
    except _FAILURES:
        members = {}
    found = {
        key[len(EXPERIMENT) :]: _value(value)
        for key, value in members.items()
        if key.startswith(EXPERIMENT)
    }
    return ExperimentAttributes(
        name=_text(found.get("name")) or _text(found.get("id")) or "",
        item_id=_text(found.get("item.id")) or "",
        dataset_id=_text(found.get("dataset.id")),
        description=_text(found.get("description")),
        metadata=_object(found, "metadata"),
        item_version_us=_time_us(found.get("item.version")),
        item_metadata=_object(found, "item.metadata"),
        expected_output=_decoded(found.get("item.expected_output")),
    )


def _value(raw: msgspec.Raw) -> Any:
    """Return the value of a member; one that cannot be represented, such as `1e999`, is its text.

    Raw values are checked only for their syntax.
    """
    try:
        return msgspec.json.decode(raw)
    except _FAILURES:
        return bytes(raw).decode()


def _text(value: Any) -> str | None:
    if value is None or value == "":
        return None
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _decoded(value: Any) -> Any:
    """Return the value that a text encodes; texts that are no JSON unchanged."""
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)
    except _FAILURES:
        return value


def _object(found: dict[str, Any], name: str) -> dict[str, Any] | None:
    """Return an object that is one attribute, or has an attribute for each member."""
    whole = _decoded(found.get(name))
    entries = {
        key[len(name) + 1 :]: _decoded(value)
        for key, value in found.items()
        if key.startswith(f"{name}.")
    }
    if isinstance(whole, dict):
        return {**whole, **entries}
    if whole is not None:
        return {"metadata": whole, **entries}
    return entries or None


def _time_us(value: Any) -> int | None:
    try:
        return instant_us(value)
    except ValueError:
        return None
