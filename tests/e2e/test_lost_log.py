"""Without Kafka's data, the start is refused; `tracemill recover` restores it exactly."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.lost_log import lose_and_recover


def test_after_recover_all_data_is_unchanged_and_totals_stay_exact(tmp_path: Path) -> None:
    lose_and_recover(tmp_path, observations=2_000, print_line=print)
