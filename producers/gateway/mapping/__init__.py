"""Spans of every convention to observations of the event contract."""

from producers.gateway.mapping.mapper import Mapped, Refusal, map_export
from producers.gateway.mapping.origin import Sdk, normalise_environment

__all__ = ["Mapped", "Refusal", "Sdk", "map_export", "normalise_environment"]
