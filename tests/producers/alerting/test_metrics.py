import pytest

from producers.alerting.metric import Metric
from producers.alerting.registry import METRICS
from producers.dimensions.registry import REGISTRY


def test_the_metrics_of_distributions_have_a_mean_and_percentiles() -> None:
    for name in ("latency", "ttft", "tokens_per_s"):
        assert {f"{each}_{name}" for each in ("avg", "p50", "p90", "p95", "p99")} <= set(METRICS)


def test_a_metric_is_computed_from_the_first_source_that_has_all_dimensions() -> None:
    cost = METRICS["cost"]
    assert cost.source_for([]) == "windows"
    assert cost.source_for(["model", "name"]) == "windows"
    assert cost.source_for(["model", "user_id"]) == "spend"
    assert cost.source_for(["name", "user_id"]) is None


def test_additional_filters_need_the_first_source() -> None:
    assert METRICS["error_count"].source_for(["error_type", "model"]) == "windows"
    assert METRICS["error_count"].source_for(["error_type", "user_id"]) is None


def test_a_metric_accepts_the_dimensions_of_its_sources_in_their_order() -> None:
    spend = {each.name for each in REGISTRY.of_spend()}
    windows = {each.name for each in REGISTRY.of_windows()}
    assert set(METRICS["cost"].dimensions()) == spend | windows
    assert set(METRICS["avg_latency"].dimensions()) == windows
    order = [each.name for each in REGISTRY.all()]
    assert list(METRICS["cost"].dimensions()) == [each for each in order if each in spend | windows]


@pytest.mark.parametrize("metric", METRICS.values(), ids=list(METRICS))
def test_every_metric_has_a_source_without_dimensions(metric: Metric) -> None:
    assert metric.source_for([]) in metric.sources or metric.group == ("session_id",)
    assert (metric.quantile is not None) == (metric.aggregate == "quantile")
    assert bool(metric.per) == (metric.aggregate in ("share", "average"))
