"""A disk fills up under load and is freed: no accepted event is lost or doubled."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from deploy.embedded.ports import free_ports
from tests.chaos.full_disk import fill_and_free
from tests.chaos.small_disks import MountImpossibleError, fill, small_disk

SIZE_MIB = 700


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_a_full_disk_loses_nothing_that_was_accepted(kind: str, tmp_path: Path) -> None:
    try:
        with small_disk(kind, SIZE_MIB, tmp_path) as mount:
            fill_and_free(mount, cycles=1, hold_s=2, bodies_per_s=10, print_line=print)
    except MountImpossibleError as error:
        pytest.skip(str(error))


def test_a_first_start_on_a_full_disk_ends_with_one_line(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    try:
        with small_disk("tmpfs", 1, tmp_path) as mount:
            fill(mount / "ballast", mib_per_s=10_000)
            up = [sys.executable, "-m", "deploy", "up", "--port", str(port)]
            ended = subprocess.run(
                [*up, "--data-dir", str(mount / "data")],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
    except MountImpossibleError as error:
        pytest.skip(str(error))
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("tracemill: ")
    assert "full" in line or "No space left" in line
