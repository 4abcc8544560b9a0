"""npm packages of the console: fetched once, verified always."""

from __future__ import annotations

import io
import re
import tarfile
from pathlib import Path

import pytest

from deploy.assets.install import file_for_tests, install, npm_cache_dir
from deploy.assets.packages import (
    CONSOLE,
    Package,
    ensure_packages,
    integrity_of,
    place,
    read_lock,
)
from deploy.errors import DownloadError
from query_api.console.static_files import PACKAGES_DIRECTORY


def archive_of(path: Path, content: bytes) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name in ("package/dist/chart.js", "package/LICENSE"):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


class Registry:
    """Serves an archive and counts."""

    def __init__(self, directory: Path) -> None:
        self.archive = archive_of(directory / "served.tgz", b"drawn")
        self.fetched = 0

    def package(self, *files: str) -> Package:
        wanted = files or ("dist/chart.js", "LICENSE")
        return Package("chart", "1.0.0", integrity_of(self.archive), CONSOLE, wanted)

    def __call__(self, package: Package, directory: Path) -> Path:
        self.fetched += 1
        path = directory / "fetched.tgz"
        path.write_bytes(self.archive.read_bytes())
        return path


def refuse(package: Package, directory: Path) -> Path:
    raise OSError("Network is unreachable\n  at line 2")


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path)


def test_a_package_is_fetched_once_and_its_files_are_placed(
    tmp_path: Path, registry: Registry
) -> None:
    package, cache = registry.package(), tmp_path / "cache"
    files = ensure_packages(cache, [package], registry)
    assert {name: path.read_bytes() for name, path in files.items()} == {
        "chart.js": b"drawn", "chart.LICENSE": b"drawn",
    }  # fmt: skip
    assert ensure_packages(cache, [package], refuse) == files
    assert registry.fetched == 1
    served = tmp_path / "served"
    served.mkdir()
    (served / "of-an-earlier-version.js").write_bytes(b"old")
    place(files, served)
    assert sorted(path.name for path in served.iterdir()) == ["chart.LICENSE", "chart.js"]


def test_a_damaged_archive_in_the_cache_is_fetched_again(
    tmp_path: Path, registry: Registry
) -> None:
    package = registry.package()
    ensure_packages(tmp_path / "cache", [package], registry)
    (tmp_path / "cache" / "chart-1.0.0.tgz").write_bytes(b"damaged")
    ensure_packages(tmp_path / "cache", [package], registry)
    assert registry.fetched == 2


def test_an_archive_that_is_not_the_pinned_one_is_refused(
    tmp_path: Path, registry: Registry
) -> None:
    package = registry.package()
    archive_of(registry.archive, b"changed")
    with pytest.raises(DownloadError, match=r"chart@1\.0\.0 is refused"):
        ensure_packages(tmp_path / "cache", [package], registry)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [".lock"]


def test_without_a_registry_one_line_names_the_package(tmp_path: Path, registry: Registry) -> None:
    with pytest.raises(DownloadError) as caught:
        ensure_packages(tmp_path / "cache", [registry.package()], refuse)
    message = str(caught.value)
    assert "cannot fetch chart@1.0.0 of npm (Network is unreachable" in message
    assert "\n" not in message


def test_a_file_that_the_archive_lacks_is_named(tmp_path: Path, registry: Registry) -> None:
    with pytest.raises(DownloadError, match=r"contains no file dist/other\.js"):
        ensure_packages(tmp_path / "cache", [registry.package("dist/other.js")], registry)


@pytest.mark.parametrize("line", ["chart@1.0.0", "chart sha512-x console a", "c@1 md5-x console a",
                                  "c@1 sha512-x other a"])  # fmt: skip
def test_an_invalid_line_of_the_lock_is_shown(tmp_path: Path, line: str) -> None:
    lock_file = tmp_path / "npm.lock"
    lock_file.write_text(f"# comment\n{line}\n")
    with pytest.raises(DownloadError, match=re.escape(repr(line))):
        read_lock(lock_file)


def test_setup_has_placed_the_pinned_files_of_the_console() -> None:
    wanted = [each for each in read_lock() if each.used_by == CONSOLE]
    names = {each.file_name(path) for each in wanted for path in each.files}
    assert {path.name for path in PACKAGES_DIRECTORY.iterdir()} >= names
    assert {"htmx.min.js", "uPlot.iife.min.js", "uPlot.min.css"} <= names


@pytest.mark.slow
def test_npm_fetches_what_tests_use() -> None:
    assert b"axe" in file_for_tests("axe.min.js").read_bytes()[:200]
    install()
    assert list(npm_cache_dir().glob("axe-core-*.tgz"))
