"""Directories that cannot be used give one line, and no command needs a home directory."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.directories import absolute, default_cache_dir, default_data_dir
from deploy.embedded.roles import UpOptions
from deploy.embedded.up import up
from deploy.errors import DeployError
from deploy.settings import ProcessSettings


@pytest.fixture
def without_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a container with a user that it does not know."""

    def unknown(_: int) -> object:
        raise KeyError

    for name in ("HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)


@pytest.mark.usefixtures("without_home")
def test_without_a_home_directory_a_system_directory_is_used() -> None:
    assert default_data_dir() == Path("/var/lib/tracemill")
    assert default_cache_dir() == Path("/var/cache/tracemill")


def test_an_empty_variable_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACEMILL_DATA_DIR", "")
    assert ProcessSettings().data_dir == default_data_dir()


def test_links_in_a_loop_and_unknown_users_are_named(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for path in (loop, Path("~no-such-user/data")):
        with pytest.raises(DeployError, match="cannot use the directory"):
            absolute(path)


@pytest.mark.parametrize(
    "name", ["a" * 300, "/".join(["a"] * 3_000), "file", "file/below"], ids=lambda name: name[:10]
)
def test_an_unusable_data_directory_gives_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / "file").touch()

    assert up(UpOptions(tmp_path / name, port=None), startup_message=lambda _: "") == 1

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("tracemill: cannot use the data directory")


@pytest.mark.parametrize("variable", ["TRACEMILL_DATA_DIR"])
def test_a_directory_of_an_unknown_user_is_an_invalid_setting(variable: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "deploy", "store"],
        env={**os.environ, variable: "~no-such-user/x"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.stderr == (
        f"tracemill: {variable} '~no-such-user/x' cannot be used: "
        "there is no such user, or the user "
        f"has no home directory (default {default_data_dir()})\n"
    )
