"""A short run of `python -m tests.bench.fuzz_doors`; ``FUZZ_BODIES`` makes it a long one."""

from __future__ import annotations

import os

import pytest

from tests.bench.fuzz_doors.doors import DOORS
from tests.bench.fuzz_doors.run import fuzz

BODIES = int(os.environ.get("FUZZ_BODIES", "400"))


@pytest.mark.parametrize("door", DOORS)
async def test_no_mutated_body_is_a_500_or_costs_the_good_item_beside_it(door: str) -> None:
    report = await fuzz(door, BODIES, seed=0)

    assert sum(report.statuses.values()) == BODIES
    assert report.failures == []
