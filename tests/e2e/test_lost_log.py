"""Kafka's data directory is gone: the start is refused, and `tracemill recover` goes on exactly."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.lost_log import lose_and_recover


def test_after_recover_everything_is_as_before_and_totals_stay_exact(tmp_path: Path) -> None:
    lose_and_recover(tmp_path, observations=2_000, say=print)
