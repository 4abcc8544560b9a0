"""Fills a disk under a running installation, frees it again, and compares every total."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.chaos.small_disks import MIB, fill
from tests.chaos.steady_load import SteadyLoad
from tests.e2e.exact_load import Fact, totals
from tests.e2e.test_exactness import figures, figures_of
from tests.fixtures.installation import Server, running_server

FILL_SPEEDS_MIB_PER_S: tuple[float | None, ...] = (400.0, None, 60.0)
"""As fast as a copy, at once, slowly."""
BACK_WITHIN_S = 120.0
SETTLE_WITHIN_S = 120.0

Say = Callable[[str], None]


def fill_and_free(
    mount: Path, *, cycles: int, hold_s: float, bodies_per_s: float, print_line: Say
) -> None:
    """Run an installation on ``mount`` through ``cycles`` of full and free, under load.

    Raises:
        AssertionError: an accepted event is missing or counted twice, or the installation does not
            resume automatically.
    """
    with running_server(mount / "data") as server:
        load = SteadyLoad(server, bodies_per_s=bodies_per_s, seed=int(time.time()))
        load.start()
        for cycle in range(cycles):
            _grow(load, by=300)
            speed = FILL_SPEEDS_MIB_PER_S[cycle % len(FILL_SPEEDS_MIB_PER_S)]
            ballast = mount / "ballast"
            taken = fill(ballast, mib_per_s=speed)
            print_line(
                f"cycle {cycle + 1}: full ({taken // MIB} MiB of others), "
                f"{len(load.acknowledged)} events accepted"
            )
            _refuses(load)
            _hold_full(mount / "more", hold_s)
            ballast.unlink()
            (mount / "more").unlink()
            freed_s = time.monotonic()
            _grow(load, by=300)
            print_line(
                f"cycle {cycle + 1}: freed; "
                f"accepting again after {time.monotonic() - freed_s:.1f} s"
            )
        accepted = load.finish()
        print_line(f"answers: {dict(load.answers)}; reasons: {dict(load.reasons)}")
        settled(server, accepted, load.start_ns)
        print_line(f"all {len(accepted)} accepted events are there, once each")


def settled(server: Server, accepted: list[Fact], start_ns: int) -> None:
    """Wait until every total is that of ``accepted``.

    Raises:
        AssertionError: it does not come to that.
    """
    expected = figures_of(totals(accepted)) | {"spent by user": {}}
    auth = (server.public_key, server.secret_key)
    deadline_s = time.monotonic() + SETTLE_WITHIN_S
    shown: dict[str, Any] = {}
    with httpx.Client(base_url=server.url, auth=auth, timeout=30) as client:
        while (shown := figures(client, start_ns, {})) != expected:
            assert time.monotonic() < deadline_s, f"{shown} instead of {expected}"
            time.sleep(0.5)


def _grow(load: SteadyLoad, *, by: int) -> None:
    wanted = len(load.acknowledged) + by
    deadline_s = time.monotonic() + BACK_WITHIN_S
    while len(load.acknowledged) < wanted:
        assert not load.failure, load.failure
        assert time.monotonic() < deadline_s, f"nothing was accepted: {load.answers}"
        time.sleep(0.05)


def _refuses(load: SteadyLoad) -> None:
    """Wait until requests are put off for want of space."""
    deadline_s = time.monotonic() + 30
    while not any("disk" in reason for reason in load.reasons):
        assert not load.failure, load.failure
        assert time.monotonic() < deadline_s, f"not refused: {load.answers}"
        time.sleep(0.05)


def _hold_full(path: Path, seconds: float) -> None:
    """Take every byte that is given back meanwhile, as a program that writes on would."""
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        fill(path, mib_per_s=10_000)
        time.sleep(0.2)
