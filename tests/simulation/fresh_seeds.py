"""Seeds that nobody has tried, other ones in each run of the tests."""

from __future__ import annotations

import os
import secrets
from random import Random


def fresh_seeds(count: int) -> list[int]:
    """The same ones in all workers of one run, which have to agree about the tests there are."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or secrets.token_hex()
    chance = Random(run)
    return [chance.getrandbits(48) for _ in range(count)]
