"""`make screenshots`: renew the screenshots of the README, which journeys make."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.e2e.console.chromium import DESK

ROOT = Path(__file__).parents[3]
TARGET = ROOT / "docs" / "screenshots"
BYTES_MAX = 150_000
# The screenshots, and the tests that make them.
SHOWN = {
    "overview": "test_journeys_of_traces.py::test_why_a_request_was_slow",
    "slow-trace": "test_journeys_of_traces.py::test_why_a_request_was_slow",
    "rule-form": "test_journeys_of_alerting.py::test_an_alert_rule_is_written_with_its_preview",
    "compared-runs": (
        "test_journeys_of_datasets.py::test_two_runs_are_compared_and_the_worst_regression_opened"
    ),
}


def main() -> int:
    tests = sorted({f"{Path(__file__).parent}/{each}[{DESK}]" for each in SHOWN.values()})
    with tempfile.TemporaryDirectory(prefix="tracemill-screenshots-") as directory:
        ended = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-n", "0", *tests],
            cwd=ROOT,
            env={**os.environ, "TRACEMILL_TEST_SCREENSHOTS": directory},
            check=False,
        )
        if ended.returncode:
            return ended.returncode
        TARGET.mkdir(exist_ok=True)
        for name in SHOWN:
            path = Path(directory) / f"{name}-{DESK}.png"
            size = path.stat().st_size
            assert size <= BYTES_MAX, f"{path} has {size:,} bytes, more than {BYTES_MAX:,}"
            shutil.copyfile(path, TARGET / f"{name}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
