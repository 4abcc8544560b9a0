"""Random seeds that differ in each run of the tests."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random


def fresh_seeds(count: int) -> list[int]:
    """Return the seeds of this run; all processes of it have to collect the same tests."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or secrets.token_hex()
    chance = Random(run)
    return [chance.getrandbits(48) for _ in range(count)]


def seeds_of_environment(seconds: float) -> Iterator[int]:
    """Yield fresh seeds for some seconds, or those that the environment names.

    ``TRACEMILL_SIMULATION_SECONDS`` is another time, ``TRACEMILL_SIMULATION_SEEDS=7:8`` seed 7.
    """
    given = os.environ.get("TRACEMILL_SIMULATION_SEEDS")
    if given is not None:
        yield from range(*map(int, given.split(":")))
        return
    end_s = time.monotonic() + float(os.environ.get("TRACEMILL_SIMULATION_SECONDS", seconds))
    seed = secrets.randbits(40)
    while time.monotonic() < end_s:
        yield seed
        seed += 1


@contextmanager
def named_seed(seed: int) -> Iterator[None]:
    """Add to an exception of the block how this seed alone is run."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"seed {seed}: TRACEMILL_SIMULATION_SEEDS={seed}:{seed + 1}")
        raise
