"""A token bucket holds its rate in the long run and refuses no amount forever."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from producers.gateway.limits.rate_limit import RateLimit
from producers.gateway.limits.token_bucket import TokenBucket

RATES = st.floats(0.1, 1e6)
BURSTS = st.floats(1, 1e6)
REQUESTS = st.lists(st.tuples(st.floats(0, 10), st.floats(0, 1e6)), max_size=60)
"""Pauses and amounts."""


@given(RATES, BURSTS, REQUESTS)
def test_what_is_taken_before_the_last_request_is_within_burst_and_rate(
    rate: float, burst: float, requests: list[tuple[float, float]]
) -> None:
    bucket = TokenBucket(rate, burst, 0.0)
    now_s = taken = 0.0
    for pause_s, amount in requests:
        now_s += pause_s
        if not bucket.wait_s(amount, now_s):
            # Whatever was owed has been paid before anything more is taken.
            assert taken <= (burst + rate * now_s) * (1 + 1e-9) + 1e-6
            bucket.take(amount)
            taken += amount


@given(RATES, BURSTS, st.floats(0, 1e9), REQUESTS)
def test_any_amount_is_taken_after_the_time_that_it_was_asked_to_wait(
    rate: float, burst: float, amount: float, requests: list[tuple[float, float]]
) -> None:
    bucket = TokenBucket(rate, burst, 0.0)
    now_s = 0.0
    for pause_s, other in requests:
        now_s += pause_s
        if not bucket.wait_s(other, now_s):
            bucket.take(other)
    wait_s = bucket.wait_s(amount, now_s)
    # Clients wait whole seconds, at least one.
    assert bucket.wait_s(amount, now_s + wait_s + 1) == 0


@given(
    st.lists(
        st.tuples(st.floats(0, 10), st.floats(0, 100), st.sampled_from([0, 1, 7])), max_size=60
    )
)
def test_changes_of_a_limit_hand_out_no_bursts(steps: list[tuple[float, float, int]]) -> None:
    """Pauses, amounts and rates; a burst has 2 seconds."""
    limit, burst_s, rate_max = RateLimit(), 2.0, 7
    now_s = taken = 0.0
    for pause_s, amount, rate in steps:
        now_s += pause_s
        bucket = limit.change(rate, burst_s, now_s)
        if bucket is not None and amount <= bucket.burst and not bucket.wait_s(amount, now_s):
            bucket.take(amount)
            taken += amount
    # One burst at the beginning, and one for each time of a burst in which it was set again.
    bursts = 2 + now_s / burst_s
    assert taken <= rate_max * now_s + bursts * burst_s * rate_max + 1e-6


def test_a_clock_that_goes_back_gives_no_tokens() -> None:
    bucket = TokenBucket(1, 10, 100.0)
    bucket.take(10)
    assert bucket.wait_s(1, 50.0) == 1
    assert bucket.wait_s(1, 101.0) == 0


def test_what_is_given_back_can_be_taken_again_and_no_more_than_the_burst() -> None:
    bucket = TokenBucket(1, 10, 0.0)
    bucket.take(10)
    bucket.put_back(10)
    bucket.put_back(10)
    assert bucket.wait_s(10, 0.0) == 0
    bucket.take(10)
    assert bucket.wait_s(1, 0.0) == 1
