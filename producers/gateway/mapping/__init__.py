"""Map spans of every convention to observations of the event contract."""

from producers.gateway.mapping.mapper import Mapped, Refusal, map_in_slices
from producers.gateway.mapping.origin import Sdk, normalise_environment

__all__ = ["Mapped", "Refusal", "Sdk", "map_in_slices", "normalise_environment"]
