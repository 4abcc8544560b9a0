"""Fetch files of npm packages, pinned by name, version and hash, into a cache directory.

The lock file lists every package with the hash of its archive, so no versions are resolved when
they are fetched. An archive with another hash than in the lock file is never used.
"""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import mkdtemp
from types import MappingProxyType
from typing import Final

from deploy.cache_lock import locked_cache
from deploy.errors import DownloadError

LOCK_FILE: Final = Path(__file__).parent.parent / "locks" / "npm-packages.lock"
FILE_BYTES_MAX: Final = 4 * 1024 * 1024
"""Maximum size of a file that is taken from an archive."""
CONSOLE: Final = "console"
TESTS: Final = "tests"
_LICENSE: Final = "LICENSE"
_LINE: Final = re.compile(rf"(\S+)@(\S+) (sha512-\S+) ({CONSOLE}|{TESTS})((?: \S+)+)")


@dataclass(frozen=True, slots=True)
class Package:
    """A pinned package; `integrity` is its archive's hash as npm writes it, sha512 in base64."""

    name: str
    version: str
    integrity: str
    used_by: str
    """`console` or `tests`."""
    files: Sequence[str]
    """Paths in the archive of the files that are used."""

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"

    @property
    def line(self) -> str:
        """The line of the lock file."""
        return " ".join((str(self), self.integrity, self.used_by, *self.files)) + "\n"

    def file_name(self, path: str) -> str:
        """Return the name of a file outside its archive."""
        name = PurePosixPath(path).name
        return f"{self.name}.{name}" if name == _LICENSE else name


Fetcher = Callable[[Package, Path], Path]
"""Download an archive into the given directory and return its path; raise OSError if that fails."""


def read_lock(lock_file: Path = LOCK_FILE) -> list[Package]:
    """Return the pinned packages in the order of the file.

    Raises:
        DownloadError: a line of the file is invalid.
    """
    packages = []
    for line in lock_file.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            message = f"{lock_file}: {line!r} is not 'NAME@VERSION sha512-… console|tests FILE …'"
            raise DownloadError(message)
        name, version, integrity, used_by, files = found.groups()
        packages.append(Package(name, version, integrity, used_by, files.split()))
    return packages


def ensure_packages(
    cache_dir: Path, packages: Sequence[Package], fetch: Fetcher
) -> Mapping[str, Path]:
    """Return the paths of the packages' files by their names; fetch archives that are missing.

    The archives stay in the cache, and their hashes are compared each time.

    Raises:
        DownloadError: an archive cannot be fetched, its hash differs, or it lacks a file.
    """
    found: dict[str, Path] = {}
    with locked_cache(cache_dir):
        for package in packages:
            archive = cache_dir / f"{package.name.replace('/', '-')}-{package.version}.tgz"
            if not archive.exists() or integrity_of(archive) != package.integrity:
                _fetch(package, archive, fetch)
            found |= _unpacked(package, archive)
    return MappingProxyType(found)


def integrity_of(archive: Path) -> str:
    """Return the hash of a file as npm writes it."""
    digest = hashlib.sha512(archive.read_bytes()).digest()
    return f"sha512-{base64.b64encode(digest).decode()}"


def place(files: Mapping[str, Path], directory: Path) -> None:
    """Copy files into a directory that contains nothing else afterwards.

    Raises:
        DownloadError: the directory cannot be written.
    """
    try:
        directory.mkdir(exist_ok=True)
        for name, path in files.items():
            copied = shutil.copyfile(path, directory / f".{name}.new")
            copied.replace(directory / name)
        for other in set(directory.iterdir()) - {directory / name for name in files}:
            other.unlink()
    except OSError as error:
        raise DownloadError(f"cannot write the console's files to {directory}: {error}") from error


def _fetch(package: Package, archive: Path, fetch: Fetcher) -> None:
    # In the cache, because a rename is atomic only within one file system.
    staging = Path(mkdtemp(prefix=".staging-", dir=archive.parent))
    try:
        fetched = fetch(package, staging)
        if integrity_of(fetched) != package.integrity:
            raise DownloadError(f"{package} is refused, because its hash is not the pinned one")
        fetched.replace(archive)
    except OSError as error:
        reason = " ".join(str(error).split())[-200:]
        raise DownloadError(f"cannot fetch {package} of npm ({reason})") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _unpacked(package: Package, archive: Path) -> dict[str, Path]:
    directory = archive.with_suffix("")
    directory.mkdir(exist_ok=True)
    found = {}
    with tarfile.open(archive) as opened:
        for path in package.files:
            try:
                member = opened.getmember(f"package/{path}")
            except KeyError as error:
                raise DownloadError(f"{package} contains no file {path}") from error
            content = opened.extractfile(member)
            if content is None or member.size > FILE_BYTES_MAX:
                message = f"{package}: {path} is no file of at most {FILE_BYTES_MAX} bytes"
                raise DownloadError(message)
            placed = directory / package.file_name(path)
            placed.write_bytes(content.read())
            found[placed.name] = placed
    return found
