"""Random seeds that differ in each run of the tests."""

from __future__ import annotations

import os
import secrets
from random import Random


def fresh_seeds(count: int) -> list[int]:
    """Return the seeds of this run; all processes of it have to collect the same tests."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or secrets.token_hex()
    chance = Random(run)
    return [chance.getrandbits(48) for _ in range(count)]
