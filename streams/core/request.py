"""What a request's parameters say about its price: service tier, batch processing, speed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

_REMEMBERED_MAX: Final = 4_096
"""Parameter texts whose meaning is remembered: applications repeat themselves."""

NO_CONTEXT: Final[Mapping[str, str]] = {}


class _Parameters(msgspec.Struct):
    service_tier: Any = None
    serviceTier: Any = None  # noqa: N815 - Vercel's spelling
    speed: Any = None
    processing: Any = None
    batch: Any = None
    route: Any = None
    search_type: Any = None


_decode: Final = msgspec.json.Decoder(_Parameters).decode


@lru_cache(_REMEMBERED_MAX)
def context_of(parameters: str) -> Mapping[str, str]:
    """The pricing conditions in ``parameters``, the JSON text of an object; empty when it says nothing or is no such text."""
    if not parameters:
        return NO_CONTEXT
    try:
        said = _decode(parameters)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return NO_CONTEXT
    tier = said.service_tier or said.serviceTier
    context = {
        "service_tier": tier,
        "speed": said.speed,
        "processing": said.processing,
        "route": said.route,
        "search_type": said.search_type,
    }
    if said.batch is True or (isinstance(tier, str) and tier.lower() == "batch"):
        context["processing"] = "batch"
    return {key: value.lower() for key, value in context.items() if isinstance(value, str)}
