"""Convert totals of projects to Prometheus metrics with a limited number of label values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from prometheus_client.core import (
    CounterMetricFamily,
    Exemplar,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from query_api.prometheus.queries import (
    BUCKETS_S,
    BudgetGroup,
    FiringRule,
    ModelTotals,
    RecentCalls,
)
from query_api.prometheus.sketches import SketchCounts
from query_api.v1.caches import Caches

OTHER: Final = "other"
_Bucket = tuple[str, float] | tuple[str, float, Exemplar]


@dataclass(slots=True)
class ProjectTotals:
    """What the metrics of a project are computed from."""

    project_id: str
    models: Sequence[ModelTotals] = ()
    recent: Sequence[RecentCalls] = ()
    caches: Caches | None = None
    budgets: Sequence[tuple[str, BudgetGroup]] = ()
    """With the names of the budgets."""
    firing: Sequence[tuple[str, FiringRule]] = ()
    """With the names of the rules."""


@dataclass(slots=True)
class _Model:
    count: int = 0
    errors: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0
    active: int = 0
    tokens: Counter[str] = field(default_factory=Counter)
    latencies: Counter[float] = field(default_factory=Counter)
    exemplars: dict[int, RecentCalls] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LabelLimits:
    """Maximum numbers of values of labels; those with less traffic are ``other``."""

    models: int
    token_types: int


class Families:
    """A collector of the metrics of one project, or of several with the label ``project``."""

    def __init__(
        self,
        projects: Iterable[ProjectTotals],
        limits: LabelLimits,
        sketch_counts: SketchCounts,
        *,
        by_project: bool,
    ) -> None:
        self._labels = ("project",) if by_project else ()
        self._requests = self._counter("llm_requests", "LLM calls by status.", "model", "status")
        self._latency = HistogramMetricFamily(
            "llm_latency_seconds",
            "Latency of LLM calls. The counts of calls near a bound have an error of 1 %.",
            labels=(*self._labels, "model"),
        )
        self._tokens = self._counter("llm_tokens", "Tokens of LLM calls.", "model", "type")
        self._cost = self._counter("llm_cost_usd", "Cost of LLM calls in US dollars.", "model")
        self._unpriced = self._counter(
            "llm_unpriced_requests", "LLM calls without a known price, which cost nothing.", "model"
        )
        self._active = self._gauge(
            "llm_active_requests", "LLM calls that began lately and have not ended.", "model"
        )
        self._cache = self._gauge(
            "llm_cache_hit_ratio",
            "Share of input tokens (prompt) or look-ups of the last hour that caches answered.",
            "type",
        )
        of_budget = ("budget_id", "budget", "limit", "period", "group")
        self._spend = self._gauge(
            "llm_budget_spend_usd", "Spend of a budget in its current period.", *of_budget
        )
        self._limit = self._gauge("llm_budget_limit_usd", "Limit of a budget.", *of_budget)
        self._firing = self._gauge(
            "llm_alerts_firing", "Groups of an alert rule that fire.", "rule_id", "rule", "severity"
        )
        for totals in projects:
            self._add(totals, limits, sketch_counts)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        yield self._requests
        yield self._latency
        yield self._tokens
        yield self._cost
        yield self._unpriced
        yield self._active
        yield self._cache
        yield self._spend
        yield self._limit
        yield self._firing

    def _counter(self, name: str, about: str, *labels: str) -> CounterMetricFamily:
        return CounterMetricFamily(name, about, labels=(*self._labels, *labels))

    def _gauge(self, name: str, about: str, *labels: str) -> GaugeMetricFamily:
        return GaugeMetricFamily(name, about, labels=(*self._labels, *labels))

    def _add(self, totals: ProjectTotals, limits: LabelLimits, sketch_counts: SketchCounts) -> None:
        own = (totals.project_id,) if self._labels else ()
        for model, found in _models(totals, limits, sketch_counts).items():
            for status, count in (
                ("success", found.count - found.errors),
                ("error", found.errors),
            ):
                self._requests.add_metric((*own, model, status), count)
            self._latency.add_metric((*own, model), *_histogram(found))
            for token_type, count in sorted(found.tokens.items()):
                self._tokens.add_metric((*own, model, token_type), count)
            self._cost.add_metric((*own, model), found.cost_usd)
            self._unpriced.add_metric((*own, model), found.unpriced)
            self._active.add_metric((*own, model), found.active)
        for cache_type, ratio in _cache_ratios(totals.caches):
            self._cache.add_metric((*own, cache_type), ratio)
        for name, group in totals.budgets:
            labels = (group.budget_id, name, group.limit_name, group.period, group.group)
            self._spend.add_metric((*own, *labels), group.spent_usd)
            self._limit.add_metric((*own, *labels), group.limit_usd)
        for name, rule in totals.firing:
            self._firing.add_metric((*own, rule.rule_id, name, rule.severity), rule.count)


def _models(
    totals: ProjectTotals, limits: LabelLimits, sketch_counts: SketchCounts
) -> dict[str, _Model]:
    """Return the totals of the models with most calls; the rest is ``other``."""
    shown = {each.model for each in totals.models[: limits.models]}
    models: dict[str, _Model] = {}
    for each in totals.models:
        found = models.setdefault(each.model if each.model in shown else OTHER, _Model())
        found.count += each.count
        found.errors += each.errors
        found.cost_usd += each.cost_usd
        found.unpriced += each.unpriced
        found.tokens.update(each.tokens)
        for value_us, count in sketch_counts(bytes.fromhex(each.latency_state)).items():
            found.latencies[value_us / 1e6] += count
    for recent in totals.recent:
        label = recent.model
        if label not in shown:
            label = label if len(shown) < limits.models else OTHER
            shown.add(label)
        found = models.setdefault(label, _Model())
        if recent.bucket < 0:
            found.active += recent.count
        elif found.exemplars.get(recent.bucket, recent).ended_s <= recent.ended_s:
            found.exemplars[recent.bucket] = recent
    _limit_token_types(models.values(), limits.token_types)
    return models


def _limit_token_types(models: Iterable[_Model], types_max: int) -> None:
    """Replace the least frequent types of tokens of a project by ``other``."""
    models = list(models)
    whole: Counter[str] = Counter()
    for model in models:
        whole.update(model.tokens)
    for token_type, _ in whole.most_common()[types_max:]:
        for model in models:
            count = model.tokens.pop(token_type, 0)
            if count:
                model.tokens[OTHER] += count


def _histogram(model: _Model) -> tuple[list[_Bucket], float]:
    """Return cumulative buckets, with an exemplar each, and the sum of the latencies."""
    buckets: list[_Bucket] = []
    for at, bound_s in enumerate((*BUCKETS_S, float("inf"))):
        count = sum(times for value_s, times in model.latencies.items() if value_s <= bound_s)
        label = "+Inf" if bound_s == float("inf") else str(bound_s)
        exemplar = _exemplar(model.exemplars.get(at))
        buckets.append((label, count, exemplar) if exemplar else (label, count))
    return buckets, sum(value_s * times for value_s, times in model.latencies.items())


def _exemplar(recent: RecentCalls | None) -> Exemplar | None:
    # OpenMetrics limits the labels of an exemplar to 128 characters.
    if recent is None or len(recent.trace_id) > _TRACE_ID_MAX:
        return None
    return Exemplar({"trace_id": recent.trace_id}, recent.latency_s, recent.ended_s)


_TRACE_ID_MAX: Final = 100


def _cache_ratios(caches: Caches | None) -> Iterator[tuple[str, float]]:
    """Yield the ratio of each kind of cache that was used."""
    if caches is None:
        return
    if caches.prompt.hit_ratio is not None:
        yield "prompt", caches.prompt.hit_ratio
    app = caches.application
    lookups = app.exact + app.semantic + app.miss
    if lookups > 0:
        yield "exact", app.exact / lookups
        yield "semantic", app.semantic / lookups
