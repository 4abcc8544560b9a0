"""A disk runs full under load and is freed again: nothing accepted is lost or doubled, and it goes on by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.full_disk import fill_and_free
from tests.chaos.small_disks import MountImpossibleError, small_disk

SIZE_MIB = 700


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_a_full_disk_loses_nothing_that_was_accepted(kind: str, tmp_path: Path) -> None:
    try:
        with small_disk(kind, SIZE_MIB, tmp_path) as mount:
            fill_and_free(mount, cycles=1, hold_s=2, bodies_per_s=10, say=print)
    except MountImpossibleError as error:
        pytest.skip(str(error))
