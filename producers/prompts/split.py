"""Split traffic over labels by weight, without I/O.

A key belongs to one of ``SLOTS`` slots, by its hash. Each label has as many slots as its weight.
When weights change, only as many slots as necessary change their label: labels that lose weight
give slots to those that gain.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Final

SLOTS: Final = 10_000
Runs = tuple[tuple[str, int], ...]
"""Labels and the lengths of their runs of slots; the lengths add up to ``SLOTS``."""


def slot_of(salt: str, key: str) -> int:
    """Return the slot of a key; ``salt`` makes the splits of prompts independent."""
    digest = hashlib.sha256(f"{salt}\0{key}".encode(errors="replace")).digest()
    return int.from_bytes(digest[:8]) * SLOTS >> 64


def label_of_slot(runs: Sequence[tuple[str, int]], slot: int) -> str:
    """Return the label of a slot."""
    for label, length in runs:
        if slot < length:
            return label
        slot -= length
    raise ValueError(f"no run has the slot {slot}")


def slots_of(runs: Sequence[tuple[str, int]]) -> dict[str, int]:
    """Return the number of slots of each label."""
    found: dict[str, int] = {}
    for label, length in runs:
        found[label] = found.get(label, 0) + length
    return found


def shares_of(weights: Mapping[str, Fraction]) -> dict[str, int]:
    """Return the number of slots of each label, by the method of largest remainders.

    Raises:
        ValueError: no weight is positive.
    """
    total = sum(weights.values(), Fraction(0))
    if total <= 0:
        raise ValueError("at least one weight must be positive")
    exact = {label: weight * SLOTS / total for label, weight in weights.items()}
    found = {label: int(share) for label, share in exact.items()}
    by_remainder = sorted(exact, key=lambda label: (found[label] - exact[label], label))
    for label in by_remainder[: SLOTS - sum(found.values())]:
        found[label] += 1
    return {label: count for label, count in found.items() if count}


def reweighted(runs: Sequence[tuple[str, int]], weights: Mapping[str, Fraction]) -> Runs:
    """Return the runs for other weights, with the fewest possible slots changed.

    Raises:
        ValueError: no weight is positive.
    """
    shares = shares_of(weights)
    if not runs:
        return tuple(sorted(shares.items()))
    held = slots_of(runs)
    surplus = {label: count - shares.get(label, 0) for label, count in held.items()}
    gains = [(label, shares[label] - held.get(label, 0)) for label in sorted(shares)]
    gains = [(label, count) for label, count in gains if count > 0]
    changed: list[tuple[str, int]] = []
    for label, length in runs:
        given = min(length, max(0, surplus[label]))
        surplus[label] -= given
        _append(changed, label, length - given)
        while given:
            gaining, wanted = gains[0]
            taken = min(given, wanted)
            _append(changed, gaining, taken)
            given -= taken
            gains[0] = (gaining, wanted - taken)
            if taken == wanted:
                del gains[0]
    return tuple(changed)


def _append(runs: list[tuple[str, int]], label: str, length: int) -> None:
    if not length:
        return
    if runs and runs[-1][0] == label:
        length += runs.pop()[1]
    runs.append((label, length))
