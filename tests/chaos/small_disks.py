"""Small file systems of one's own, to be filled: tmpfs, and ext4 on a loop device."""

from __future__ import annotations

import errno
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MIB = 1024 * 1024


class MountImpossibleError(Exception):
    """This user or this machine cannot mount it; the message says why."""


@contextmanager
def small_disk(kind: str, size_mib: int, at: Path) -> Iterator[Path]:
    """A file system of ``size_mib`` mounted below ``at`` while the block runs.

    Raises:
        MountImpossibleError: root or a loop device is missing.
    """
    if os.geteuid() != 0:
        raise MountImpossibleError(f"mounting {kind} needs root")
    mount = at / kind
    mount.mkdir(parents=True)
    if kind == "tmpfs":
        _run("mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "tmpfs", str(mount))
    else:
        image = at / f"{kind}.img"
        with image.open("wb") as file:
            file.truncate(size_mib * MIB)
        _run(f"mkfs.{kind}", "-q", str(image))
        _run("mount", "-o", "loop", str(image), str(mount))
    try:
        yield mount
    finally:
        subprocess.run(["umount", str(mount)], capture_output=True, check=False)


def fill(path: Path, *, mib_per_s: float | None) -> int:
    """Write to ``path`` until the disk takes no byte more; the bytes it took.

    Args:
        path: the file that fills it.
        mib_per_s: how fast; None: all at once, as one allocation.
    """
    with path.open("wb") as file:
        taken = 0
        if mib_per_s is None:
            free = os.statvfs(path.parent)
            with_room = free.f_bavail * free.f_frsize
            while with_room >= 4096:
                try:
                    os.posix_fallocate(file.fileno(), taken, with_room)
                except OSError as error:
                    _only_full(error)
                    with_room //= 2
                else:
                    taken += with_room
        os.lseek(file.fileno(), taken, os.SEEK_SET)
        for size in (MIB, 4096):
            block = bytes(size)
            while True:
                try:
                    taken += os.write(file.fileno(), block)
                except OSError as error:
                    _only_full(error)
                    break
                if mib_per_s is not None and size == MIB:
                    time.sleep(1 / mib_per_s)
        return taken


def _only_full(error: OSError) -> None:
    if error.errno != errno.ENOSPC:
        raise error


def _run(*command: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise MountImpossibleError(f"{command[0]} is not installed") from error
    except subprocess.CalledProcessError as error:
        raise MountImpossibleError(f"{command[0]}: {error.stderr.strip()}") from error
