"""Decide by arithmetic which reported counts include which, and return disjoint counts.

Each kind of part (cache reads, cache writes, tool prompts, reasoning, modalities, others) is
either included in the sum of its side (input or output) or reported in addition to it. The
documented meaning of the source is tried first; if it does not add up to the reported total, the
nearest other hypothesis that does is taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import NamedTuple

from tracemill.reconciliation.counts import Assembly, Reconciled
from tracemill.reconciliation.dialects import Dialect
from tracemill.reconciliation.reported import Reported
from tracemill.reconciliation.roles import Side


class _Hypothesis(NamedTuple):
    """Which kinds of parts are inside their sums."""

    cache_read: bool
    cache_write: bool
    tool: bool
    modality: bool
    reasoning: bool
    other: bool

    def deviations(self, documented: _Hypothesis) -> float:
        """Count the kinds that differ.

        Cache reads and cache writes count 1 if both differ, and 1.25 if only one of them does.
        """
        differ = [mine != theirs for mine, theirs in zip(self, documented, strict=True)]
        read, write, *others = differ
        return sum(others) + (1 if read and write else 1.25 * (read + write))


class _Split(NamedTuple):
    """Tokens under a hypothesis: of each side without its parts, and of all sides and parts."""

    input_fresh: int
    output_fresh: int
    tokens: int


def reconcile(pairs: Iterable[tuple[str, int]], dialect: Dialect) -> Reconciled:
    """Return disjoint counts of what ``pairs`` (name, count) report.

    The order of the pairs does not matter, and parts with the count 0 have no effect. No token is
    counted twice: where nothing adds up to the reported total, the nearest sum that is possible is
    taken, and ``uncertain`` contains what was reported.
    """
    reported = Reported(pairs)
    documented = _Hypothesis(
        dialect.cache_read_inside,
        dialect.cache_write_inside,
        dialect.tool_inside,
        dialect.modality_inside,
        dialect.reasoning_inside,
        dialect.other_inside,
    )
    chosen, split, uncertain = _choose(reported, documented, dialect)
    return Assembly(
        reported,
        modality_inside=chosen.modality,
        input_fresh=split.input_fresh,
        output_fresh=split.output_fresh,
        uncertain=uncertain or reported.doubt(),
        names=dialect.names,
    ).result()


def _choose(
    reported: Reported, documented: _Hypothesis, dialect: Dialect
) -> tuple[_Hypothesis, _Split, str]:
    totals = reported.totals
    if not dialect.total_proves:
        totals = totals - {reported.sum_of_sums}
    split = _split(reported, documented)
    if split is not None and (not totals or split.tokens in totals) and _rests_fit(reported, split):
        return documented, split, ""
    possible = [
        (hypothesis, split)
        for hypothesis in _hypotheses(reported, documented)
        if (split := _split(reported, hypothesis)) is not None
    ]
    possible.sort(key=lambda found: found[0].deviations(documented))
    for hypothesis, split in possible:
        if (not totals or split.tokens in totals) and _rests_fit(reported, split):
            return hypothesis, split, ""
    if totals:
        return _nearest(reported, possible, totals, dialect)
    hypothesis, split = possible[0]
    return hypothesis, split, _rests_text(reported, split)


def _nearest(
    reported: Reported,
    possible: list[tuple[_Hypothesis, _Split]],
    totals: set[int],
    dialect: Dialect,
) -> tuple[_Hypothesis, _Split, str]:
    """Return the best hypothesis if none agrees with all counts.

    In order of preference: it adds up to a total; the tokens missing to the total can be added to
    one side; the total is that of the two sums; it is nearest to a total. In the last case,
    hypotheses that exceed all totals are used only if there is no other.
    """
    for hypothesis, split in possible:
        if split.tokens in totals:
            return hypothesis, split, _rests_text(reported, split)
    if reported.has_only_totals and len(totals) == 1:
        return *possible[0], ""
    side = reported.missing_side
    if side is None and dialect.rest_is_output and not reported.part("output", "reasoning"):
        side = "output"
    if side is not None and (filled := _filled(side, possible, totals)):
        return filled
    if reported.sum_of_sums in totals:
        # The total adds the two sums and leaves out what is beside them.
        hypothesis, split = possible[0]
        return hypothesis, split, ""

    def distance(found: tuple[_Hypothesis, _Split]) -> tuple[bool, int]:
        tokens = found[1].tokens
        return all(tokens > total for total in totals), min(abs(tokens - t) for t in totals)

    hypothesis, split = min(possible, key=distance)
    stated = ", ".join(str(total) for total in sorted(totals))
    return hypothesis, split, f"total is {stated}, but the counts add up to {split.tokens}"


def _filled(
    side: Side, possible: list[tuple[_Hypothesis, _Split]], totals: set[int]
) -> tuple[_Hypothesis, _Split, str] | None:
    """Return the first hypothesis below the total, with the missing tokens added to ``side``."""
    total = max(totals)
    for hypothesis, split in possible:
        if (rest := total - split.tokens) <= 0:
            continue
        fresh_in = split.input_fresh + (rest if side == "input" else 0)
        fresh_out = split.output_fresh + (rest if side == "output" else 0)
        uncertain = f"{rest} tokens are only in the total of {total}, and taken as {side}"
        return hypothesis, _Split(fresh_in, fresh_out, total), uncertain
    return None


def _hypotheses(reported: Reported, documented: _Hypothesis) -> Iterator[_Hypothesis]:
    """Yield every combination for the kinds of parts that are reported."""
    present = (
        reported.part("input", "cache_read"),
        reported.part("input", "cache_write"),
        reported.part("input", "tool"),
        reported.modalities.get(("input", "modality"))
        or reported.modalities.get(("output", "modality")),
        reported.part("output", "reasoning"),
        reported.others,
    )
    choices = [
        (inside, not inside) if there else (inside,)
        for there, inside in zip(present, documented, strict=True)
    ]
    yield from (_Hypothesis(*combination) for combination in product(*choices))


def _split(reported: Reported, hypothesis: _Hypothesis) -> _Split | None:
    """Return the split under a hypothesis; ``None`` if a sum is less than its parts."""
    fresh_in = _fresh(
        reported,
        "input",
        [
            (reported.part("input", "cache_read"), hypothesis.cache_read),
            (reported.part("input", "cache_write"), hypothesis.cache_write),
            (reported.part("input", "tool"), hypothesis.tool),
            (reported.others_of("input"), hypothesis.other),
        ],
        hypothesis,
        cached=reported.part("input", "cache_read"),
    )
    fresh_out = _fresh(
        reported,
        "output",
        [
            (reported.part("output", "reasoning"), hypothesis.reasoning),
            (reported.others_of("output"), hypothesis.other),
        ],
        hypothesis,
        cached=min(
            reported.part("output", "reasoning"), reported.of_modality("output").get("text", 0)
        ),
    )
    if fresh_in is None or fresh_out is None:
        return None
    tokens = fresh_in + fresh_out
    tokens += sum(reported.part("input", kind) for kind in ("cache_read", "cache_write", "tool"))
    tokens += reported.part("output", "reasoning") + sum(reported.others.values())
    return _Split(fresh_in, fresh_out, tokens)


def _fresh(
    reported: Reported,
    side: Side,
    parts: list[tuple[int, bool]],
    hypothesis: _Hypothesis,
    *,
    cached: int,
) -> int | None:
    """Return a side's tokens that are in none of ``parts``; ``None`` if its sum is too small."""
    by_modality = sum(reported.of_modality(side).values())
    stated = reported.sums.get(side)
    if stated is None:
        # Without a sum, use the count of tokens outside all parts, or the counts by modality.
        rest = reported.rests.get(side)
        if rest is not None:
            return max(rest, by_modality)
        inner = cached if cached <= by_modality and hypothesis.modality else 0
        return by_modality - inner
    fresh = stated - sum(count for count, inside in parts if inside)
    if fresh < 0:
        return None
    if hypothesis.modality:
        return fresh if by_modality <= fresh + cached else None
    return fresh + by_modality


def _rests_fit(reported: Reported, split: _Split) -> bool:
    """Return whether counts such as ``prompt_cache_miss_tokens`` agree with a split."""
    rests = reported.rests
    return (
        rests.get("input", split.input_fresh) == split.input_fresh
        and rests.get("output", split.output_fresh) == split.output_fresh
    )


def _rests_text(reported: Reported, split: _Split) -> str:
    fresh_of: dict[Side, int] = {"input": split.input_fresh, "output": split.output_fresh}
    for side, fresh in fresh_of.items():
        rest = reported.rests.get(side)
        if rest is not None and rest != fresh:
            return f"{side} without its parts is {rest}, but the counts leave {fresh}"
    return ""
