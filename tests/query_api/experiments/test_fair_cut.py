"""A list that several runs share is cut so that each run keeps a fair part."""

from __future__ import annotations

import pytest

from query_api.experiments.fair_cut import fair_cut


@pytest.mark.parametrize(
    ("of_runs", "limit", "kept"),
    [
        ([], 3, ""),
        (["aaa"], 5, "aaa"),
        (["aaaa"], 2, "aa"),
        (["aaaaaaaa", "bbbbbbbb", "c"], 5, "aabbc"),
        (["aaaaaaaa", "b", "cccccccc"], 9, "aaaabcccc"),
        (["aaaa", "bbbb", "cccc"], 2, "bc"),
        (["", "bbbb"], 3, "bbb"),
    ],
)
def test_each_run_keeps_an_equal_part_if_it_has_so_many(
    of_runs: list[str], limit: int, kept: str
) -> None:
    assert "".join(fair_cut(of_runs, limit)) == kept
