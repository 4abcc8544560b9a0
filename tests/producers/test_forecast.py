"""Forecasts by hour of the week: shares of the usual spend, in exact integers."""

from hypothesis import given
from hypothesis import strategies as st

from producers.budgets.forecast import LINEAR, HourOfWeek, forecaster_of, history_bounds_s

HOUR_US = 3_600_000_000
MONDAY_US = 4 * 24 * HOUR_US  # the first Monday of the epoch
FLAT = HourOfWeek(dict.fromkeys(range(168), 7))
NIGHT = HourOfWeek({(4 * 24 + hour) % 168: 1 if hour < 12 else 3 for hour in range(24)})

instants = st.integers(0, 400 * 24 * HOUR_US)


@given(instants, st.integers(1, 24 * HOUR_US), st.integers(0, 10**15))
def test_equal_hours_are_the_linear_forecast(start_us: int, passed_us: int, spent: int) -> None:
    end_us, now_us = start_us + 24 * HOUR_US, start_us + passed_us
    assert FLAT.expected_pico(spent, start_us, end_us, now_us) == LINEAR.expected_pico(
        spent, start_us, end_us, now_us
    )
    reached = FLAT.reached_at_us(spent, 10**14, start_us, end_us, now_us)
    linear = LINEAR.reached_at_us(spent, 10**14, start_us, end_us, now_us)
    assert reached == linear or (reached is None and linear is not None and linear >= end_us - 1)


def test_usual_peaks_are_expected_and_not_extrapolated() -> None:
    noon_us, end_us = MONDAY_US + 12 * HOUR_US, MONDAY_US + 24 * HOUR_US
    assert NIGHT.expected_pico(12, MONDAY_US, end_us, noon_us) == 48
    assert LINEAR.expected_pico(12, MONDAY_US, end_us, noon_us) == 24
    # 12 are spent at noon and 3 each hour from then on, so that 30 are reached at 18 h.
    assert NIGHT.reached_at_us(12, 30, MONDAY_US, end_us, noon_us) == MONDAY_US + 18 * HOUR_US
    assert NIGHT.reached_at_us(12, 49, MONDAY_US, end_us, noon_us) is None


def test_a_period_without_usual_spend_is_forecast_linearly() -> None:
    tuesday_us = MONDAY_US + 24 * HOUR_US
    arguments = (5, tuesday_us, tuesday_us + 24 * HOUR_US, tuesday_us + 6 * HOUR_US)
    assert NIGHT.expected_pico(*arguments) == LINEAR.expected_pico(*arguments) == 20
    assert forecaster_of("hour_of_week", {}) is LINEAR
    assert forecaster_of("hour_of_week", None) is LINEAR
    assert forecaster_of("linear", {1: 1}) is LINEAR


@given(st.dictionaries(st.integers(0, 167), st.integers(0, 10**15), min_size=1), instants)
def test_more_spend_is_never_a_lower_forecast(usual: dict[int, int], start_us: int) -> None:
    found = forecaster_of("hour_of_week", usual)
    end_us, now_us = start_us + 30 * 24 * HOUR_US, start_us + 10 * 24 * HOUR_US
    assert found.expected_pico(10, start_us, end_us, now_us) >= 10
    reached = found.reached_at_us(10, 15, start_us, end_us, now_us)
    assert reached is None or now_us <= reached < end_us


def test_the_history_ends_with_the_last_whole_day() -> None:
    assert history_bounds_s(30 * 86_400 + 5) == (2 * 86_400, 30 * 86_400)
