"""Tests of means and shares agree with references, and repeated looks find no false difference."""

from __future__ import annotations

import math
import random
from statistics import mean, variance

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query_api.prompts.statistics import (
    Sample,
    holm,
    mean_interval,
    msprt,
    sample_of_sums,
    two_proportion_z,
    welch_t,
)
from query_api.student_t import t_p_value, t_quantile


@pytest.mark.parametrize(
    ("df", "quantile"),
    [
        (1, 12.706204736174694), (2, 4.302652729749462), (5, 2.5705818356363146),
        (29, 2.045229642132703), (31, 2.039513446396408), (99.5, 1.9840936109906238),
        (1_000, 1.9623390808264083), (100_000, 1.9599877075346095),
    ],
)  # fmt: skip
def test_quantiles_of_the_t_distribution_are_those_of_scipy(df: float, quantile: float) -> None:
    assert t_quantile(df) == pytest.approx(quantile, rel=1e-11)


@pytest.mark.parametrize(
    ("statistic", "df", "p_value"),
    [
        (0, 10, 1.0), (1e-6, 99.5, 0.9999992041176242), (0.01, 12_345, 0.9920214489576892),
        (1.5, 7.25, 0.17584271612439972), (-2.5, 40, 0.01662035283097921),
        (6, 100_000, 1.9799294556017718e-09),
    ],
)  # fmt: skip
def test_p_values_of_the_t_distribution_are_those_of_scipy(
    statistic: float, df: float, p_value: float
) -> None:
    assert t_p_value(statistic, df) == pytest.approx(p_value, rel=1e-10)


def test_welchs_test_gives_the_result_of_a_published_example() -> None:
    # Welch 1947, as in R: t.test(a, b).
    a = [27.5, 21.0, 19.0, 23.6, 17.0, 17.9, 16.9, 20.1, 21.9, 22.6, 23.1, 19.6, 19.0, 21.7, 21.4]
    b = [27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0, 24.8, 20.2, 21.9, 22.1, 22.9, 20.5, 24.4]
    result = welch_t(*(Sample(len(x), mean(x), variance(x)) for x in (a, b)))
    assert result is not None
    assert (result.statistic, result.df) == (
        pytest.approx(2.455356398286006, rel=1e-10), pytest.approx(24.988529290231416, rel=1e-10),
    )  # fmt: skip
    assert result.p_value == pytest.approx(0.021378001462866992, rel=1e-10)
    assert (result.low, result.high) == (
        pytest.approx(0.3492370661924069, rel=1e-9), pytest.approx(3.984096267140929, rel=1e-9),
    )  # fmt: skip


def test_two_proportions_give_the_result_of_a_published_example() -> None:
    result = two_proportion_z(15, 100, 30, 100)
    assert result is not None
    assert result.statistic == pytest.approx(2.5400, abs=1e-3)
    assert result.p_value == pytest.approx(0.01108, abs=1e-4)


@given(st.lists(st.integers(-(10**15), 10**17), min_size=2, max_size=50))
def test_a_sample_of_sums_is_that_of_the_values(values: list[int]) -> None:
    sample = sample_of_sums(len(values), sum(values), sum(x * x for x in values), 10**12)
    assert sample.mean == pytest.approx(mean(values) / 10**12)
    assert sample.variance == pytest.approx(float(variance(values)) / 10**24, rel=1e-9, abs=1e-15)


def test_looking_after_each_call_finds_a_difference_that_is_none_in_few_experiments() -> None:
    generator = random.Random(7)
    found = {"fixed": 0, "sequential": 0}
    experiments = 200
    for _ in range(experiments):
        sums = [[0.0, 0.0], [0.0, 0.0]]
        seen: set[str] = set()
        for count in range(1, 301):
            for each in sums:
                value = generator.gauss(5, 2)
                each[0] += value
                each[1] += value * value
            if count < 20:
                continue
            samples = [
                Sample(count, each[0] / count, (each[1] - each[0] ** 2 / count) / (count - 1))
                for each in sums
            ]
            difference = samples[1].mean - samples[0].mean
            of_mean = sum(each.variance for each in samples) / count
            if abs(difference) > 1.96 * math.sqrt(of_mean):
                seen.add("fixed")
            if msprt(difference, of_mean, sum(each.variance for each in samples) / 2) <= 0.05:
                seen.add("sequential")
        for name in seen:
            found[name] += 1
    assert found["sequential"] <= 0.05 * experiments
    assert found["fixed"] >= 0.15 * experiments, "a fixed test would have been misled"


def test_a_real_difference_is_found_by_the_sequential_test() -> None:
    result = welch_t(Sample(500, 1.0, 1.0), Sample(500, 1.4, 1.0))
    assert result is not None
    assert result.p_value < result.sequential_p_value < 0.001
    assert result.low < 0.4 < result.high


def test_samples_that_are_too_small_or_constant_have_no_spurious_result() -> None:
    assert mean_interval(Sample(1, 2.0, 0.0)) is None
    assert welch_t(Sample(1, 2.0, 0.0), Sample(9, 2.0, 1.0)) is None
    assert two_proportion_z(0, 0, 1, 2) is None
    same = welch_t(Sample(3, 2.0, 0.0), Sample(3, 2.0, 0.0))
    assert same is not None
    assert (same.p_value, same.sequential_p_value) == (1.0, 1.0)
    none = two_proportion_z(0, 10, 0, 12)
    assert none is not None
    assert (none.p_value, none.sequential_p_value) == (1.0, 1.0)


def test_p_values_are_adjusted_by_holm() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
