"""Compare the results of runs, item by item and in total, without I/O."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from query_api.experiments.statistics import Mean, mean_of, percentile
from query_api.money import PICO_PER_USD, usd_of_statistic, usd_text

COST: Final = "cost_usd"
LATENCY: Final = "latency_ms"
TOKENS: Final = "tokens"
SCORE: Final = "scores."
"""Prefix of the names of scores among the measures."""
ROUNDING: Final = 1e-12
"""Differences up to this fraction of the values are rounding errors, and count as 0."""


@dataclass(frozen=True, slots=True)
class ItemResult:
    """What a run did for an item."""

    trace_id: str
    has_trace: bool = True
    """Whether the trace is stored."""
    failed: bool = False
    """Whether an observation of the trace has the level ERROR."""
    cost_pico: int = 0
    unpriced: int = 0
    """Calls without a known price, which the cost does not include."""
    latency_ms: float = 0.0
    tokens: int = 0
    scores: Mapping[str, float] = field(default_factory=dict)

    def measures(self) -> dict[str, float]:
        """Return the comparable numbers by name; costs are picodollars."""
        scores = {f"{SCORE}{name}": value for name, value in self.scores.items()}
        if not self.has_trace:
            return scores
        return {
            COST: self.cost_pico,
            LATENCY: self.latency_ms,
            TOKENS: float(self.tokens),
            **scores,
        }


@dataclass(frozen=True, slots=True)
class RunResults:
    """A run, and its results by the ids of items."""

    id: str
    name: str
    items: Mapping[str, ItemResult]


class Cost(msgspec.Struct):
    mean: str | None
    """Exact, rounded to picodollars."""
    total: str


class Latency(msgspec.Struct):
    mean: float | None
    p50: float | None
    p95: float | None
    max: float | None


class TokenMean(msgspec.Struct):
    mean: float | None


class RunSummary(msgspec.Struct, kw_only=True):
    name: str
    id: str
    items: int
    failed: int
    """Items whose trace has an error."""
    cost_usd: Cost
    latency_ms: Latency
    tokens: TokenMean
    scores: dict[str, Mean]


class Difference(msgspec.Struct, kw_only=True):
    """The mean of paired differences: the values of a run minus those of the baseline."""

    run: str
    baseline: str
    measure: str
    """`cost_usd`, `latency_ms`, `tokens`, or `scores.NAME`."""
    items: int
    """Items that have the measure in both runs."""
    mean: float | str
    """Of `cost_usd`, an exact decimal string, rounded to picodollars."""
    ci95: tuple[float | str, float | str] | None
    """95 % confidence interval; of `cost_usd`, decimal strings."""
    significant: bool
    """Whether the confidence interval does not include 0."""


class ScoreChange(msgspec.Struct, kw_only=True, rename={"before": "from", "after": "to"}):
    """A score of an item that differs from the baseline."""

    run: str
    item_id: str
    score: str
    before: float
    after: float


class Missing(msgspec.Struct, kw_only=True):
    run: str
    item_id: str
    reason: str
    """`not_run`: the run lacks the item; `no_trace`: its trace is not stored."""


class Failed(msgspec.Struct, kw_only=True):
    run: str
    item_id: str
    trace_id: str


def summary_of(run: RunResults) -> RunSummary:
    """Summarize the results of a run; items without a stored trace have only scores."""
    traced = [each for each in run.items.values() if each.has_trace]
    latencies = [each.latency_ms for each in traced]
    total_pico = sum(each.cost_pico for each in traced)
    latency, tokens = mean_of(latencies), mean_of([float(each.tokens) for each in traced])
    mean_pico = _rounded_mean([total_pico], len(traced)) if traced else 0
    return RunSummary(
        name=run.name,
        id=run.id,
        items=len(run.items),
        failed=sum(each.failed for each in traced),
        cost_usd=Cost(usd_text(mean_pico) if traced else None, usd_text(total_pico)),
        latency_ms=Latency(
            mean=None if latency is None else latency.mean,
            p50=percentile(latencies, 0.5) if latencies else None,
            p95=percentile(latencies, 0.95) if latencies else None,
            max=max(latencies, default=None),
        ),
        tokens=TokenMean(None if tokens is None else tokens.mean),
        scores=_score_means(run.items.values()),
    )


def differences(baseline: RunResults, run: RunResults) -> list[Difference]:
    """Return the mean of paired differences for each measure that both runs have."""
    pairs: dict[str, list[float]] = {}
    largest: dict[str, float] = {}
    for item_id, after in run.items.items():
        before = baseline.items.get(item_id)
        if before is None:
            continue
        old = before.measures()
        for measure, value in after.measures().items():
            if measure in old:
                # Costs are whole picodollars, so their differences are exact.
                is_equal = measure != COST and math.isclose(value, old[measure], rel_tol=ROUNDING)
                pairs.setdefault(measure, []).append(0.0 if is_equal else value - old[measure])
                values = (largest.get(measure, 0.0), abs(value), abs(old[measure]))
                largest[measure] = max(values)
    found = []
    for measure in sorted(pairs):
        mean = mean_of(pairs[measure])
        assert mean is not None
        ci95 = mean.ci95
        difference = Difference(
            run=run.name,
            baseline=baseline.name,
            measure=measure,
            items=mean.count,
            mean=0.0 if abs(mean.mean) <= ROUNDING * largest[measure] else mean.mean,
            ci95=ci95,
            significant=ci95 is not None and not ci95[0] <= 0 <= ci95[1],
        )
        if measure == COST:
            difference.mean = usd_text(_rounded_mean(map(int, pairs[measure]), mean.count))
            if ci95 is not None:
                low, high = (usd_of_statistic(bound / PICO_PER_USD) for bound in ci95)
                difference.ci95 = low, high
        found.append(difference)
    return found


def _rounded_mean(values: Iterable[int], count: int) -> int:
    return (2 * sum(values) + count) // (2 * count)


def score_changes(baseline: RunResults, run: RunResults) -> list[ScoreChange]:
    """Return the scores that differ from the baseline, the largest change first."""
    found = [
        ScoreChange(
            run=run.name, item_id=item_id, score=name, before=before.scores[name], after=value
        )
        for item_id, after in run.items.items()
        if (before := baseline.items.get(item_id)) is not None
        for name, value in after.scores.items()
        if name in before.scores and not math.isclose(value, before.scores[name], rel_tol=ROUNDING)
    ]
    return sorted(found, key=lambda each: (-abs(each.after - each.before), each.item_id))


def missing_of(run: RunResults, item_ids: Sequence[str]) -> list[Missing]:
    """Return the items of the dataset that the run lacks, and those without a stored trace."""
    reasons = {each: "not_run" for each in item_ids if each not in run.items}
    reasons |= {each: "no_trace" for each, result in run.items.items() if not result.has_trace}
    return [Missing(run=run.name, item_id=each, reason=reason) for each, reason in reasons.items()]


def failed_of(run: RunResults) -> list[Failed]:
    """Return the items whose traces have errors."""
    return [
        Failed(run=run.name, item_id=each, trace_id=result.trace_id)
        for each, result in run.items.items()
        if result.failed
    ]


def _score_means(results: Iterable[ItemResult]) -> dict[str, Mean]:
    values: dict[str, list[float]] = {}
    for each in results:
        for name, value in each.scores.items():
            values.setdefault(name, []).append(value)
    means = {name: mean_of(values[name]) for name in sorted(values)}
    return {name: mean for name, mean in means.items() if mean is not None}
