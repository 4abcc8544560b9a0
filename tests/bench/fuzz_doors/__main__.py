"""`python -m tests.bench.fuzz_doors --bodies N --door NAME --seed S`: send mutated bodies.

The exit code is 1 if a body was answered 500, or caused the loss of a valid item.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import time
from pathlib import Path

import structlog

from tests.bench.fuzz_doors.doors import DOORS
from tests.bench.fuzz_doors.run import fuzz

SHOWN_MAX = 10


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fuzz_doors", description=__doc__)
    parser.add_argument("--bodies", type=int, default=10_000, help="of each door")
    parser.add_argument("--door", choices=[*DOORS, "all"], default="all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="directory for the bodies that were found")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    failures = 0
    for door in DOORS if options.door == "all" else (options.door,):
        started_s = time.monotonic()
        report = asyncio.run(fuzz(door, options.bodies, options.seed))
        taken_s = time.monotonic() - started_s
        statuses = ", ".join(f"{count:,} × {s}" for s, count in sorted(report.statuses.items()))
        print(f"{door}: {options.bodies:,} bodies in {taken_s:,.0f} s: {statuses}")
        print(f"  {len(report.failures)} failures")
        for number, body, fault in report.failures[:SHOWN_MAX]:
            print(f"  seed {options.seed}, body {number} ({len(body)} bytes): {fault[:300]}")
            if options.keep:
                options.keep.mkdir(parents=True, exist_ok=True)
                (options.keep / f"{door}-{options.seed}-{number}").write_bytes(body)
        failures += len(report.failures)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
