"""What a page shows of a text is bounded, and its links lead to what they name."""

from __future__ import annotations

import tracemalloc

import msgspec
import pytest

from query_api.console.listing import Listing
from query_api.console.preferences import known_zone
from query_api.console.shown_values import shown_value
from query_api.console.time_ranges import TimeRange

CHARS_MAX = 2_000
MESSAGE = '[{"role":"user","content":[%s]}]'
TOOL_CALL = '[{"role":"assistant","tool_calls":[{"name":"f","arguments":%s}]}]'


@pytest.mark.parametrize("around", ["%s", MESSAGE, TOOL_CALL])
def test_indentation_does_not_multiply_a_nested_text(around: str) -> None:
    lines = "1," * 20_000
    text = around % f"{'[' * 500}{lines}1{']' * 500}"
    tracemalloc.start()
    try:
        found = shown_value(text, chars_max=CHARS_MAX, nodes_max=100)
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    parts = [part.text for message in found.messages for part in message.parts]
    assert len("".join(parts) or found.text) == CHARS_MAX
    assert (found.is_cut, found.chars) == (True, len(text))
    assert most_bytes < 5_000_000


def test_a_text_at_any_depth_is_shown() -> None:
    for depth in range(800, 1_100):
        text = f"{'[' * depth}{']' * depth}"
        assert shown_value(text, chars_max=CHARS_MAX, nodes_max=100).text.startswith("[")


def test_a_short_text_with_many_values_is_indented_whole() -> None:
    text = msgspec.json.encode({"a": [1] * 50}).decode()
    found = shown_value(text, chars_max=CHARS_MAX, nodes_max=10)
    assert (found.kind, found.is_cut) == ("text", False)
    assert msgspec.json.decode(found.text) == {"a": [1] * 50}
    assert "\n    1,\n" in found.text


@pytest.mark.parametrize(
    ("name", "zone"),
    [("Europe/Berlin", "Europe/Berlin"), ("Europe%2FBerlin", "Europe/Berlin"), ("localtime", ""),
     ("Factory", ""), ("posixrules", ""), ("posix/UTC", ""), ("Mars", ""), ("", ""), ("x\0", "")],
)  # fmt: skip
def test_a_zone_is_one_that_queries_accept(name: str, zone: str) -> None:
    assert known_zone(name) == zone


def test_a_term_is_added_once_and_no_other_is_taken_for_it() -> None:
    listing = Listing(
        "user:ada x", TimeRange("7d", None, None), "timestamp", True, None, "timestamp"
    )
    assert listing.term_url("user", "ada") == "?q=user%3Aada+x"
    assert listing.term_url("user", "ad") == "?q=user%3Aada+x+user%3Aad"
