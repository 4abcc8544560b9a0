"""Group by role the counts that a client reports."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tracemill.reconciliation.roles import Beside, Modality, Role, Side, Total, role_of

PARTS_MAX: Final = 100
"""Reported counts of one call that are read; further ones are ignored."""


class Reported:
    """Counts by role, as reported."""

    def __init__(self, pairs: Iterable[tuple[str, int]]) -> None:
        self.sums: dict[Side, int] = {}
        self.rests: dict[Side, int] = {}
        self.totals: set[int] = set()
        self.parts: dict[tuple[Side, str], int] = {}
        self.modalities: dict[tuple[Side, str], dict[Modality, int]] = {}
        self.others: dict[tuple[Side, str], int] = {}
        self.beside: dict[str, int] = {}
        self.of_no_side: dict[Modality, str] = {}
        """By modality: the name of a count that does not say whether it is input or output."""
        self.tiers: set[str] = set()
        self.names: dict[tuple[Side, str, Modality], str] = {}
        for name, count in sorted(pairs)[:PARTS_MAX]:
            self._add(name, count)
        self._complete()

    def _add(self, name: str, count: int) -> None:
        role = role_of(name)
        if isinstance(role, Beside):
            path, _, leaf = name.rpartition(".")
            if role.modality not in ("", "text") and count:
                self.of_no_side[role.modality] = leaf
            if not path or role.is_unit:
                self.beside[leaf] = max(count, self.beside.get(leaf, 0))
        elif isinstance(role, Total):
            if count:
                self.totals.add(count)
        elif isinstance(role, Role):
            self._add_role(name, role, count)

    def _add_role(self, name: str, role: Role, count: int) -> None:
        side, kind, modality, tier = role
        if kind == "sum":
            self.sums[side] = max(count, self.sums.get(side, 0))
            return
        if not count:
            return
        if tier:
            self.tiers.add(tier)
        if kind == "rest":
            self.rests[side] = max(count, self.rests.get(side, 0))
        elif kind in ("other", "prediction"):
            leaf = name.rpartition(".")[2]
            leaf = leaf if leaf.startswith(side) else f"{side}_{leaf}"
            key = (side, leaf)
            self.others[key] = max(count, self.others.get(key, 0))
        elif modality:
            found = self.modalities.setdefault((side, kind), {})
            found[modality] = max(count, found.get(modality, 0))
        else:
            self.parts[side, kind] = max(count, self.parts.get((side, kind), 0))
        self.names.setdefault((side, kind, modality), name)

    def _complete(self) -> None:
        """Compute parts of which only the counts by modality or by cache lifetime are reported.

        A sum of zero counts as not reported if parts of its side are above zero, or if only a total
        of the call is.
        """
        if self.totals and not any(self.sums.values()) and not self._has_parts:
            self.sums.clear()
        for side in [side for side, count in self.sums.items() if not count]:
            with_parts = {of for of, *_ in (*self.parts, *self.modalities, *self.others)}
            if side in with_parts or side in self.rests:
                del self.sums[side]
        for (side, kind), found in self.modalities.items():
            if kind != "modality":
                self.parts[side, kind] = max(self.parts.get((side, kind), 0), sum(found.values()))
        by_lifetime = self.part("input", "cache_write_5m") + self.part("input", "cache_write_1h")
        if by_lifetime:
            written = self.part("input", "cache_write")
            self.parts["input", "cache_write"] = max(written, by_lifetime)

    def doubt(self) -> str:
        """Return what is reported, but cannot be used; empty if nothing is."""
        of_a_side = {modality for found in self.modalities.values() for modality in found}
        names = [name for modality, name in self.of_no_side.items() if modality not in of_a_side]
        return f"{', '.join(names)}: input or output is not reported" if names else ""

    @property
    def _has_parts(self) -> bool:
        return bool(self.parts or self.modalities or self.others or self.rests)

    @property
    def has_only_totals(self) -> bool:
        return not (self.sums or self._has_parts)

    @property
    def missing_side(self) -> Side | None:
        """Return the side that has no tokens, if the other one has some."""
        found = {side for side, count in self.sums.items() if count}
        found |= {side for side, *_ in (*self.parts, *self.modalities, *self.others)}
        found |= set(self.rests)
        if len(found) != 1:
            return None
        return "output" if "input" in found else "input"

    @property
    def sum_of_sums(self) -> int:
        return self.sums.get("input", 0) + self.sums.get("output", 0)

    def part(self, side: Side, kind: str) -> int:
        return self.parts.get((side, kind), 0)

    def of_modality(self, side: Side, kind: str = "modality") -> dict[Modality, int]:
        return self.modalities.get((side, kind), {})

    def others_of(self, side: Side) -> int:
        return sum(count for (of, _), count in self.others.items() if of == side)
