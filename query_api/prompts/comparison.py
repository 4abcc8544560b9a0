"""Compare versions of a prompt by what their calls cost, how long they took, and their scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from producers.money import PICO_PER_USD, usd_text
from producers.token_sides import tokens_of
from query_api.money import usd_of_statistic
from query_api.prompts.statistics import (
    Sample,
    TestResult,
    holm,
    mean_interval,
    sample_of_sums,
    two_proportion_z,
    welch_t,
)
from query_api.times import MILLISECOND_US

ALPHA: Final = 0.05
COST: Final = "cost_usd"


class UsageRow(msgspec.Struct):
    """A row of ``FindPromptUsage``."""

    version: int
    calls: int = 0
    errors: int = 0
    priced: int = 0
    cost_sum: str = "0"
    cost_squares: str = "0"
    ended: int = 0
    latency_sum: str = "0"
    latency_squares: str = "0"
    latency_quantiles_us: list[float | None] = []
    tokens: dict[str, int] = {}


class ScoreRow(msgspec.Struct):
    """A row of ``FindPromptScores``."""

    version: int
    name: str
    data_type: str
    count: int
    hits: int
    mean: float
    variance: float

    @property
    def sample(self) -> Sample:
        """Return the scores as a sample."""
        return Sample(self.count, self.mean, self.variance)


class CostOut(msgspec.Struct):
    mean: str | None
    ci95: list[str] | None
    """95 % confidence interval of the mean; null for fewer than two calls."""
    total: str
    count: int
    """Calls with a known cost."""


class LatencyOut(msgspec.Struct):
    mean: float | None
    ci95: list[float] | None
    p50: float | None
    p95: float | None
    p99: float | None
    count: int
    """Calls that have ended."""


class TokensOut(msgspec.Struct):
    input: int
    output: int
    input_mean: float | None
    output_mean: float | None


class ScoreStatistics(msgspec.Struct):
    data_type: str
    mean: float
    """Of boolean scores, the share of true ones."""
    count: int
    ci95: list[float] | None


class VersionOut(msgspec.Struct, kw_only=True):
    label: str | None
    version: int
    calls: int
    errors: int
    error_rate: float | None
    cost_usd: CostOut
    latency_ms: LatencyOut
    tokens: TokensOut
    scores: dict[str, ScoreStatistics]


class ArmOut(msgspec.Struct):
    label: str | None
    version: int
    count: int


class SequentialOut(msgspec.Struct):
    method: str
    """`msprt`: a mixture sequential probability ratio test."""
    p_value: float
    """Valid at every look while data arrives."""
    adjusted_p_value: float
    """Adjusted for the number of tests, by Holm's method."""


class TestOut(msgspec.Struct, kw_only=True):
    metric: str
    """`cost_usd`, `latency_ms`, `error_rate`, or `score:NAME`."""
    test: str
    """`welch_t` or `two_proportion_z`."""
    a: ArmOut
    b: ArmOut
    difference: float | str
    """`b` minus `a`; of `cost_usd`, a decimal string."""
    ci95: list[float | str]
    statistic: float
    df: float | None
    p_value: float
    """Valid for a single look at a sample of a size that was fixed before."""
    sequential: SequentialOut
    significant: bool
    """Whether the adjusted sequential p-value is at most 0.05."""


@dataclass(frozen=True, slots=True)
class Arm:
    """A version that is compared."""

    label: str | None
    version: int
    usage: UsageRow
    scores: dict[str, ScoreRow]

    @property
    def cost(self) -> Sample:
        """Return the costs in dollars."""
        usage = self.usage
        return sample_of_sums(
            usage.priced, int(usage.cost_sum), int(usage.cost_squares), PICO_PER_USD
        )

    @property
    def latency(self) -> Sample:
        """Return the latencies in milliseconds."""
        usage = self.usage
        return sample_of_sums(
            usage.ended, int(usage.latency_sum), int(usage.latency_squares), MILLISECOND_US
        )


def shown_arm(arm: Arm) -> VersionOut:
    """Return the statistics of a version."""
    usage, cost, latency = arm.usage, arm.cost, arm.latency
    quantiles = [None if not usage.ended else each for each in usage.latency_quantiles_us]
    p50, p95, p99 = (
        None if each is None else each / MILLISECOND_US for each in quantiles or [None] * 3
    )
    sent, received, _ = tokens_of(usage.tokens)
    cost_interval = mean_interval(cost)
    return VersionOut(
        label=arm.label,
        version=arm.version,
        calls=usage.calls,
        errors=usage.errors,
        error_rate=usage.errors / usage.calls if usage.calls else None,
        cost_usd=CostOut(
            mean=_usd_mean(int(usage.cost_sum), usage.priced),
            ci95=None
            if cost_interval is None
            else [usd_of_statistic(each) for each in cost_interval],
            total=usd_text(int(usage.cost_sum)),
            count=usage.priced,
        ),
        latency_ms=LatencyOut(
            mean=latency.mean if latency.count else None,
            ci95=_listed(mean_interval(latency)),
            p50=p50,
            p95=p95,
            p99=p99,
            count=usage.ended,
        ),
        tokens=TokensOut(
            sent,
            received,
            sent / usage.calls if usage.calls else None,
            received / usage.calls if usage.calls else None,
        ),
        scores={
            name: ScoreStatistics(
                row.data_type, row.mean, row.count, _listed(mean_interval(row.sample))
            )
            for name, row in arm.scores.items()
        },
    )


def tests_of(arms: Sequence[Arm]) -> list[TestOut]:
    """Return the tests of each version against the first one, adjusted for their number."""
    found = [
        (metric, arms[0], arm, result, counts)
        for arm in arms[1:]
        if arm.version != arms[0].version
        for metric, result, counts in _tests(arms[0], arm)
    ]
    adjusted = holm([result.sequential_p_value for _, _, _, result, _ in found])
    return [
        TestOut(
            metric=metric,
            test=result.name,
            a=ArmOut(first.label, first.version, counts[0]),
            b=ArmOut(second.label, second.version, counts[1]),
            difference=usd_of_statistic(result.difference) if metric == COST else result.difference,
            ci95=[usd_of_statistic(each) for each in (result.low, result.high)]
            if metric == COST
            else [result.low, result.high],
            statistic=result.statistic,
            df=result.df,
            p_value=result.p_value,
            sequential=SequentialOut("msprt", result.sequential_p_value, p_value),
            significant=p_value <= ALPHA,
        )
        for (metric, first, second, result, counts), p_value in zip(found, adjusted, strict=True)
    ]


def _tests(first: Arm, second: Arm) -> Iterator[tuple[str, TestResult, tuple[int, int]]]:
    for metric, a, b in (
        (COST, first.cost, second.cost),
        ("latency_ms", first.latency, second.latency),
    ):
        result = welch_t(a, b)
        if result is not None:
            yield metric, result, (a.count, b.count)
    a_usage, b_usage = first.usage, second.usage
    result = two_proportion_z(a_usage.errors, a_usage.calls, b_usage.errors, b_usage.calls)
    if result is not None:
        yield "error_rate", result, (a_usage.calls, b_usage.calls)
    for name in sorted(first.scores.keys() & second.scores.keys()):
        a_score, b_score = first.scores[name], second.scores[name]
        if a_score.data_type == b_score.data_type == "BOOLEAN":
            result = two_proportion_z(a_score.hits, a_score.count, b_score.hits, b_score.count)
        else:
            result = welch_t(a_score.sample, b_score.sample)
        if result is not None:
            yield f"score:{name}", result, (a_score.count, b_score.count)


def scores_by_name(rows: Sequence[ScoreRow]) -> dict[str, ScoreRow]:
    """Return the scores of a version by name; with several types, that of the most scores."""
    found: dict[str, ScoreRow] = {}
    for row in rows:
        held = found.get(row.name)
        if held is None or held.count < row.count:
            found[row.name] = row
    return found


def _usd_mean(total_pico: int, count: int) -> str | None:
    """Return the mean of exact costs, rounded to picodollars."""
    return None if not count else usd_text((2 * total_pico + count) // (2 * count))


def _listed(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else list(interval)
