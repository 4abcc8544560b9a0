"""Name the disjoint counts of a call whose sums are split."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from tracemill.contract import COUNT_MAX
from tracemill.reconciliation.reported import Reported
from tracemill.reconciliation.roles import Kind, Modality, Role, Side

_BY_LIFETIME: Final[tuple[Kind, ...]] = ("cache_write_5m", "cache_write_1h")
_DETAILS: Final = re.compile(r"^[^.]*details$")

_NAMES: Final[dict[tuple[str, str], str]] = {
    ("input", "cache_read"): "input_cached_tokens",
    ("input", "cache_write"): "input_cache_creation",
    ("input", "cache_write_5m"): "input_cache_creation_5m",
    ("input", "cache_write_1h"): "input_cache_creation_1h",
    ("input", "tool"): "input_tool_use_tokens",
    ("output", "reasoning"): "output_reasoning_tokens",
}


def name_of_part(role: Role, reported_name: str, names: str) -> str:
    """Return the usage type of a part: the client's name for it where ``names`` keeps that."""
    if names == "own" and reported_name and "." not in reported_name:
        return reported_name
    path, _, leaf = reported_name.rpartition(".")
    if names == "of details" and _DETAILS.search(path) and leaf == leaf.lower():
        return f"{role.side}_{leaf}"
    if role.kind == "modality":
        return f"{role.side}_{role.modality}_tokens"
    if role.modality:
        return f"{role.side}_cached_{role.modality}_tokens"
    return _NAMES[role.side, role.kind]


class Reconciled(msgspec.Struct, frozen=True):
    """Disjoint counts by usage type; ``total`` among them is the sum of all tokens.

    ``service_tier`` is the tier that the names of the counts state. ``uncertain`` describes
    what does not add up; empty: everything does. ``reported`` are the counts as they were sent,
    if a reader sets them and they differ from ``counts``.
    """

    counts: dict[str, int]
    service_tier: str = ""
    uncertain: str = ""
    reported: dict[str, int] | None = None


class Assembly:
    """Name the counts of a chosen hypothesis."""

    def __init__(
        self,
        reported: Reported,
        *,
        modality_inside: bool,
        input_fresh: int,
        output_fresh: int,
        uncertain: str,
        names: str,
    ) -> None:
        self._reported = reported
        self._modality_inside = modality_inside
        self._input_fresh = input_fresh
        self._output_fresh = output_fresh
        self._uncertain = uncertain
        self._names = names
        self._counts: dict[str, int] = {}

    def result(self) -> Reconciled:
        reported = self._reported
        self._input()
        self._output()
        for (_, name), count in reported.others.items():
            self._put(name, count)
        tokens = sum(self._counts.values())
        if reported.totals and not self._counts and not reported.sums:
            tokens = max(reported.totals)
        if reported.totals:
            self._counts["total"] = tokens
        for name, count in reported.beside.items():
            self._put(name, count)
        tier = next(iter(reported.tiers)) if len(reported.tiers) == 1 else ""
        return Reconciled(self._within_limit(), tier, self._uncertain)

    def _within_limit(self) -> dict[str, int]:
        """Return the counts up to ``COUNT_MAX``; sums of reported counts may exceed it."""
        too_large = [name for name, count in self._counts.items() if count > COUNT_MAX]
        if too_large:
            self._uncertain = f"above the maximum of {COUNT_MAX}: {', '.join(too_large)}"
        return {name: count for name, count in self._counts.items() if count <= COUNT_MAX}

    def _input(self) -> None:
        reported = self._reported
        cached = reported.part("input", "cache_read")
        fresh_by, cached_by = self._modalities(self._input_fresh, cached)
        if "input" in reported.sums or fresh_by.get("", 0):
            self._put("input", fresh_by.pop("", 0), zero="input" in reported.sums)
        for modality, count in fresh_by.items():
            self._put_role("input", "modality", modality, count)
        for modality, count in cached_by.items():
            self._put_role("input", "cache_read", modality, count)
        written = reported.part("input", "cache_write")
        for kind in _BY_LIFETIME:
            count = reported.part("input", kind)
            self._put_role("input", kind, "", count)
            written -= count
        self._put_role("input", "cache_write", "", written)
        self._put_role("input", "tool", "", reported.part("input", "tool"))

    def _output(self) -> None:
        reported = self._reported
        reasoning = reported.part("output", "reasoning")
        fresh = self._output_fresh
        for modality, count in reported.of_modality("output").items():
            if modality == "text":
                continue
            taken = min(count, fresh)
            fresh -= taken
            self._put_role("output", "modality", modality, taken)
        if "output" in reported.sums or fresh:
            self._put("output", fresh, zero="output" in reported.sums)
        self._put_role("output", "reasoning", "", reasoning)

    def _modalities(
        self, fresh: int, cached: int
    ) -> tuple[dict[Modality, int], dict[Modality, int]]:
        """Return uncached and cached input by modality; text and unnamed are under ``""``."""
        reported = self._reported
        by: dict[Modality, int] = {
            m: n for m, n in reported.of_modality("input").items() if m != "text"
        }
        stated = reported.of_modality("input", "cache_read")
        cached_by: dict[Modality, int] = {m: n for m, n in stated.items() if m != "text"}
        if self._covers_cached(fresh, cached):
            unnamed = cached - sum(stated.values())
            self._spread(unnamed, fresh + cached, by, cached_by)
            by = {m: max(n - cached_by.get(m, 0), 0) for m, n in by.items()}
        rest = fresh
        fresh_by: dict[Modality, int] = {}
        for modality, count in by.items():
            fresh_by[modality] = min(count, rest)
            rest -= fresh_by[modality]
        fresh_by[""] = rest
        cached_by[""] = cached - sum(cached_by.values())
        return fresh_by, cached_by

    def _covers_cached(self, fresh: int, cached: int) -> bool:
        """Return whether the counts by modality break down the cached tokens, too."""
        if not cached or not self._modality_inside:
            return False
        by = self._reported.of_modality("input")
        if sum(by.values()) == fresh and "text" in by:
            return False
        stated = self._reported.of_modality("input", "cache_read")
        return all(by.get(m, 0) >= n for m, n in stated.items() if m != "text")

    def _spread(
        self,
        unnamed: int,
        whole: int,
        by: dict[Modality, int],
        cached_by: dict[Modality, int],
    ) -> None:
        """Take cached tokens of no stated modality to be text as far as there is any."""
        if unnamed <= 0 or not by:
            return
        text = whole - sum(by.values())
        left = max(unnamed - text, 0)
        for modality, count in sorted(by.items()):
            taken = min(left, count - cached_by.get(modality, 0))
            if taken > 0:
                cached_by[modality] = cached_by.get(modality, 0) + taken
                left -= taken
        self._uncertain = self._uncertain or "the modality of cached tokens is not reported"

    def _put_role(self, side: Side, kind: Kind, modality: Modality, count: int) -> None:
        reported_name = self._reported.names.get((side, kind, modality), "")
        self._put(name_of_part(Role(side, kind, modality), reported_name, self._names), count)

    def _put(self, name: str, count: int, *, zero: bool = False) -> None:
        if count or zero:
            self._counts[name] = self._counts.get(name, 0) + count
