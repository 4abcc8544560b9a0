"""Sketches of the stream are ClickHouse states that the engine reads, merges and queries."""

import math
import random
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from chdb import session
from hypothesis import given
from hypothesis import strategies as st

from streams.core.rollups.sketch import (
    VALUE_MAX_US,
    ZERO_KEY,
    bins_of,
    key_of,
    quantile,
    state_hex,
    value_of,
)

LEVELS = (0.5, 0.9, 0.95, 0.99, 0.999)
SAMPLES: dict[str, Callable[[random.Random], float]] = {
    "log-normal": lambda r: r.lognormvariate(13.5, 0.9),
    "bimodal": lambda r: r.gauss(2e5, 2e4) if r.random() < 0.6 else r.gauss(6e6, 5e5),
    "constant": lambda _: 1_234_567.0,
    "heavy-tail": lambda r: 1e4 * r.paretovariate(1.1),
}

STATE_TYPE = "AggregateFunction(quantilesDD(0.01, 0.5, 0.95, 0.99), Float64)"


@pytest.fixture(scope="module")
def engine() -> Iterator[session.Session]:
    with session.Session() as opened:
        yield opened


def ask(engine: session.Session, sql: str) -> list[list[str]]:
    return [line.split("\t") for line in engine.query(sql, "TSV").bytes().decode().splitlines()]


def percentiles(engine: session.Session, states: list[str]) -> list[float]:
    """Return percentiles computed by the engine from the merged states."""
    engine.query(f"CREATE OR REPLACE TABLE states (s {STATE_TYPE}) ENGINE = Memory")
    engine.query("SET max_query_size = 100000000")
    lines = ",".join(f"('{state}')" for state in states)
    engine.query(
        f"INSERT INTO states SELECT CAST(unhex(h) AS {STATE_TYPE}) FROM VALUES('h String', {lines})"
    )
    levels = ", ".join(map(str, LEVELS))
    [[answer]] = ask(engine, f"SELECT quantilesDDMerge(0.01, {levels})(s) FROM states")
    return [float(number) for number in answer.strip("[]").split(",")]


def bins_from(values: list[float]) -> Counter[int]:
    return Counter(key_of(value) for value in values)


def exact(values: list[float], level: float) -> float:
    return sorted(values)[int(level * (len(values) - 1))]


@pytest.mark.parametrize("shape", SAMPLES)
@pytest.mark.parametrize("parts", [1, 10_000])
def test_percentiles_of_merged_states_are_within_one_percent(engine, shape, parts):
    rng = random.Random(f"{shape} {parts}")
    values = [float(int(SAMPLES[shape](rng))) for _ in range(20_000)]
    states = [state_hex(bins_from(values[part::parts])) for part in range(parts)]
    whole = bins_from(values)
    for level, answered in zip(LEVELS, percentiles(engine, states), strict=True):
        truth = exact(values, level)
        assert abs(answered - truth) / truth <= 0.0101
        assert quantile(whole, level) == pytest.approx(answered, rel=1e-9)


def test_states_of_the_stream_merge_with_states_of_the_engine(engine):
    ours = [float(v) for v in range(1_000, 400_000, 700)]
    [[theirs]] = ask(
        engine,
        "SELECT hex(quantilesDDState(0.01, 0.5, 0.95, 0.99)(toFloat64(400000 + number * 700)))"
        " FROM numbers(570)",
    )
    values = ours + [400_000 + 700.0 * n for n in range(570)]
    answers = percentiles(engine, [state_hex(bins_from(ours)), theirs])
    for level, answered in zip(LEVELS, answers, strict=True):
        assert answered == pytest.approx(exact(values, level), rel=0.0101)


@pytest.mark.parametrize(
    ("kind", "expression", "rows"),
    [
        ("dense", "exp(number / 400 + 10)", 400),
        ("sparse", "exp(number + 3)", 15),
        ("with zeros", "number * 1000", 40),
        ("empty", "number", 0),
    ],
)
def test_states_of_the_engine_are_read_back(engine, kind, expression, rows):
    [[state]] = ask(
        engine,
        f"SELECT hex(quantilesDDState(0.01, 0.5, 0.95, 0.99)(toFloat64(floor({expression}))))"
        f" FROM numbers({rows})",
    )
    values = [float(v[0]) for v in ask(engine, f"SELECT floor({expression}) FROM numbers({rows})")]
    assert bins_of(bytes.fromhex(state)) == dict(bins_from(values))


@given(st.dictionaries(st.integers(ZERO_KEY, 2183), st.integers(1, 2**40)))
def test_a_sketch_survives_its_encoding(bins):
    assert bins_of(bytes.fromhex(state_hex(bins))) == bins


def test_bins_that_were_emptied_are_left_out():
    assert state_hex({5: 0, 7: 2, ZERO_KEY: 0}) == state_hex({7: 2})
    assert state_hex({5: 0}) == state_hex({})


@given(st.floats())
def test_every_number_has_a_bin(value):
    key = key_of(value)
    assert ZERO_KEY <= key <= 2183
    if 1 <= value <= VALUE_MAX_US:
        assert value_of(key) == pytest.approx(value, rel=0.0100001)
    elif not value > VALUE_MAX_US:
        assert key == ZERO_KEY


def test_no_values_have_no_percentile():
    assert math.isnan(quantile({}, 0.5))


@pytest.mark.parametrize("cut", [0, 1, 16, 17, 25, 40])
def test_a_state_that_ends_early_is_refused(cut):
    whole = bytes.fromhex(state_hex({100: 3, 200: 1}))
    with pytest.raises(ValueError):
        bins_of(whole[:cut])


def test_a_state_of_another_accuracy_is_refused(engine):
    [[state]] = ask(engine, "SELECT hex(quantilesDDState(0.02, 0.5)(toFloat64(5)))")
    with pytest.raises(ValueError, match="accuracy"):
        bins_of(bytes.fromhex(state))
