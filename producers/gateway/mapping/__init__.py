"""Map spans of every convention to observations of the event contract."""

from producers.gateway.mapping.mapper import Mapped, Refusal, map_in_slices
from producers.gateway.mapping.origin import normalise_environment

__all__ = ["Mapped", "Refusal", "map_in_slices", "normalise_environment"]
