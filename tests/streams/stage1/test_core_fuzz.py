"""Random hostile events never fail, fit into records, and fold the same in any grouping.

`python -m tests.bench.fuzz_core --events 1000000` runs more of them.
"""

from __future__ import annotations

import os

import pytest

from tests.bench.fuzz_core.campaign import campaign

SEEDS = int(os.environ.get("TRACEMILL_CORE_FUZZ_SEEDS", "2"))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_event_affects_others(seed: int) -> None:
    campaign(seed, 1_000)
