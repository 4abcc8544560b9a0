"""`make chaos-disk`: full disks and a lost log, each on its own small file system.

As root, the disk becomes full and free again five times, on tmpfs and on ext4; then the log is
deleted. Without root, the mounts are skipped with a message, and the log is deleted in a temporary
directory.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.chaos.full_disk import fill_and_free
from tests.chaos.lost_log import lose_and_recover
from tests.chaos.small_disks import MountImpossibleError, small_disk

KINDS = ("tmpfs", "ext4")


def main() -> int:
    """Run all of it; 0 when everything was exact, also where mounts were skipped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=5, help="how often each disk is filled")
    parser.add_argument("--hold-s", type=float, default=15.0, help="how long it stays full")
    parser.add_argument("--size-mib", type=int, default=1_200, help="of each file system")
    parser.add_argument("--bodies-per-s", type=float, default=20.0, help="100 spans each")
    parser.add_argument("--observations", type=int, default=20_000, help="around the lost log")
    chosen = parser.parse_args()
    began_s = time.monotonic()
    verdicts: dict[str, str] = {}

    def print_line(line: str) -> None:
        print(f"{time.monotonic() - began_s:7.1f} s  {line}", flush=True)

    def show(what: str, run: Callable[[], None]) -> None:
        print_line(f"== {what}")
        try:
            run()
        except MountImpossibleError as error:
            verdicts[what] = f"skipped: {error}"
        except Exception as error:  # noqa: BLE001  # the others are shown all the same
            traceback.print_exc()
            verdicts[what] = f"FAILED: {str(error)[:300]}"
        else:
            verdicts[what] = "exact: 0 accepted lost, 0 doubled, went on by itself"
        print_line(f"== {what}: {verdicts[what]}")

    with tempfile.TemporaryDirectory(prefix="tracemill-chaos-") as directory:
        for kind in KINDS:

            def full(kind: str = kind) -> None:
                with small_disk(kind, chosen.size_mib, Path(directory)) as mount:
                    fill_and_free(
                        mount,
                        cycles=chosen.cycles,
                        hold_s=chosen.hold_s,
                        bodies_per_s=chosen.bodies_per_s,
                        print_line=print_line,
                    )

            show(f"full disk on {kind}, {chosen.cycles} times", full)
        show(
            "lost log and recover",
            lambda: lose_and_recover(
                Path(directory),
                observations=chosen.observations,
                print_line=print_line,
                recover_twice=True,
            ),
        )
    print()
    for what, verdict in verdicts.items():
        print(f"{what}: {verdict}")
    return int(any(verdict.startswith("FAILED") for verdict in verdicts.values()))


if __name__ == "__main__":
    sys.exit(main())
