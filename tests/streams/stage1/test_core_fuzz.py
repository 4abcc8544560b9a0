"""Random valid events, however hostile: none fails, every record fits, and it makes no difference how they are grouped or what was read back.

`python -m tests.bench.fuzz_core --events 1000000` is the same at length.
"""

from __future__ import annotations

import os

import pytest

from tests.bench.fuzz_core.campaign import campaign

SEEDS = int(os.environ.get("TRACEMILL_CORE_FUZZ_SEEDS", "2"))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_event_costs_more_than_itself(seed: int) -> None:
    campaign(seed, 1_000)
