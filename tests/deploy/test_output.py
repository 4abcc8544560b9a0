"""Output is printed in every encoding, and a failed write gives one line."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

COMMANDS = [("settings",), ("--version",), ("up", "-h"), ("migrate", "--users")]
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}


def run(*arguments: str, stdout: int, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "deploy", *arguments],
        env={**os.environ, **environment},
        stdout=stdout,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_terminal_without_unicode_shows_all_of_it(arguments: tuple[str, ...]) -> None:
    ended = run(*arguments, stdout=subprocess.PIPE, **ASCII)

    assert (ended.returncode, ended.stderr) == (0, b"")
    assert ended.stdout.isascii()


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_output_to_a_full_disk_fails_with_one_line(
    arguments: tuple[str, ...], unbuffered: str
) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        ended = run(*arguments, stdout=full, PYTHONUNBUFFERED=unbuffered)
    finally:
        os.close(full)

    assert ended.returncode == 1
    assert ended.stderr == b"tracemill: cannot write to standard output: No space left on device\n"


def test_a_role_whose_log_cannot_be_written_continues() -> None:
    script = (
        "from deploy.logs import configure_logs; import structlog; configure_logs('x');"
        "structlog.get_logger().warning('lost'); print('done')"
    )
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        ended = subprocess.run(
            [sys.executable, "-c", script],
            stdout=subprocess.PIPE,
            stderr=full,
            timeout=60,
            check=False,
        )
    finally:
        os.close(full)

    assert ended.stdout == b"done\n"
