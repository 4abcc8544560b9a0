"""What senders choose does not decide how much memory is used to remember it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.bounded_cache import ENTRY_BYTES, BoundedCache, size_of
from producers.gateway.mapping import normalise_environment
from producers.gateway.mapping.values import object_text_of
from producers.gateway.values.usage import usage_of_counts

MIB = 1024 * 1024


@given(st.lists(st.tuples(st.integers(0, 50), st.binary(max_size=200)), max_size=200))
def test_no_more_is_kept_than_the_limit_and_what_is_kept_is_right(
    entries: list[tuple[int, bytes]],
) -> None:
    cache: BoundedCache[int, bytes] = BoundedCache("test", 30_000)
    last: dict[int, bytes] = {}
    for key, value in entries:
        last[key] = value
        assert cache.keep(key, value) == value
        assert sum(size_of(k) + size_of(v) + ENTRY_BYTES for k, v in cache.items()) <= 60_000
        assert cache.bytes <= cache.max_bytes
    for key, value in cache.items():
        assert value in {each for number, each in entries if number == key}


def test_an_entry_that_is_a_great_part_of_the_limit_is_not_kept() -> None:
    cache: BoundedCache[str, str] = BoundedCache("test", 64_000)
    cache.keep("a", "b")

    assert cache.keep("large", "x" * 1_000) == "x" * 1_000
    assert list(cache) == ["a"]


@pytest.mark.parametrize(
    "remember",
    [
        lambda text: normalise_environment(text * 1_000),
        lambda text: usage_of_counts({f"{text * 100}{n}": 1 for n in range(50)}),
        lambda text: object_text_of(f'{{"{text * 400}": 1}}'),
    ],
    ids=["environments", "token counts", "objects"],
)
def test_texts_of_senders_are_not_remembered_without_end(
    remember: Callable[[str], object],
) -> None:
    tracemalloc.start()
    for number in range(2_000):
        remember(f"é€😀{number}")
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert kept < 4 * MIB
