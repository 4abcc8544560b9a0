"""The broker's jars: fetched once, verified always."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from deploy.embedded.jars import Jar, ensure_jars, kafka_cache_dir, read_lock
from deploy.errors import DownloadError

CONTENT = {"kafka": b"the broker", "log4j": b"its logs"}


@pytest.fixture
def lock_file(tmp_path: Path) -> Path:
    path = tmp_path / "jars.lock"
    path.write_text(
        "# comment\n"
        + "".join(
            f"org.example:{name}:1.0 sha256={hashlib.sha256(data).hexdigest()} bytes={len(data)}\n"
            for name, data in CONTENT.items()
        )
    )
    return path


class Repository:
    """Serves CONTENT, or what a test puts in its place, and counts."""

    def __init__(self) -> None:
        self.content = dict(CONTENT)
        self.fetched: list[str] = []

    def __call__(self, jar: Jar, directory: Path) -> Path:
        self.fetched.append(jar.artifact)
        directory.mkdir(parents=True)
        path = directory / jar.file_name
        path.write_bytes(self.content[jar.artifact])
        return path


def refuse(jar: Jar, directory: Path) -> Path:
    raise OSError("Network is unreachable")


def test_jars_are_fetched_once(tmp_path: Path, lock_file: Path) -> None:
    repository = Repository()
    paths = ensure_jars(tmp_path / "cache", lock_file=lock_file, fetch=repository)
    assert [path.read_bytes() for path in paths] == list(CONTENT.values())
    assert ensure_jars(tmp_path / "cache", lock_file=lock_file, fetch=refuse) == paths
    assert sorted(repository.fetched) == ["kafka", "log4j"]


def test_nothing_but_the_jars_stays_in_the_cache(tmp_path: Path, lock_file: Path) -> None:
    ensure_jars(tmp_path / "cache", lock_file=lock_file, fetch=Repository())
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == [
        ".lock",
        "kafka-1.0.jar",
        "log4j-1.0.jar",
    ]


def test_a_jar_that_is_not_the_pinned_one_is_refused(tmp_path: Path, lock_file: Path) -> None:
    repository = Repository()
    repository.content["kafka"] = b"THE BROKER"
    with pytest.raises(DownloadError, match=r"org\.example:kafka:1\.0 is refused"):
        ensure_jars(tmp_path / "cache", lock_file=lock_file, fetch=repository)
    assert not (tmp_path / "cache" / "kafka-1.0.jar").exists()


def test_a_damaged_jar_in_the_cache_is_fetched_again(tmp_path: Path, lock_file: Path) -> None:
    paths = ensure_jars(tmp_path / "cache", lock_file=lock_file, fetch=Repository())
    paths[0].write_bytes(b"the brokem")
    repository = Repository()
    ensure_jars(tmp_path / "cache", lock_file=lock_file, fetch=repository)
    assert repository.fetched == ["kafka"]
    assert paths[0].read_bytes() == CONTENT["kafka"]


def test_without_a_network_one_line_explains_how_to_use_another_broker(
    tmp_path: Path, lock_file: Path
) -> None:
    with pytest.raises(DownloadError) as caught:
        ensure_jars(tmp_path / "cache", lock_file=lock_file, fetch=refuse)
    message = str(caught.value)
    assert "Network is unreachable" in message
    assert "--broker HOST:PORT" in message
    assert "\n" not in message


def test_the_error_for_an_invalid_line_of_the_lock_contains_it(tmp_path: Path) -> None:
    lock_file = tmp_path / "jars.lock"
    lock_file.write_text("org.example:kafka\n")
    with pytest.raises(DownloadError, match=r"'org\.example:kafka'"):
        read_lock(lock_file)


def test_every_jar_of_the_real_lock_is_pinned_by_name_hash_and_size() -> None:
    jars = read_lock()
    assert len({jar.file_name for jar in jars}) == len(jars) == 46
    assert all(len(jar.sha256) == 64 and jar.size > 0 for jar in jars)


def test_jars_are_kept_in_the_users_cache_unless_a_setting_changes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert kafka_cache_dir() == tmp_path / "xdg" / "tracemill" / "kafka-4.3.1"
    monkeypatch.setenv("TRACEMILL_CACHE_DIR", str(tmp_path / "told"))
    assert kafka_cache_dir() == tmp_path / "told" / "kafka-4.3.1"
