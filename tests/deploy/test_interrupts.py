"""Ctrl-C ends every command with 130 and without a traceback, whatever it is doing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import pytest


def heed_interrupts() -> None:
    """Start a process that does not ignore SIGINT, even if the tests run in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


INTERRUPTED_AT_IMPORT = """
import os, signal, sys

class Interrupt:
    def find_spec(self, name, *_):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
from deploy.__main__ import main
main()
"""


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("deploy.cli", ("--version",)),
        ("typer.main", ("--version",)),
        ("deploy.quarantine_cli", ("--help",)),
        ("rich.progress", ("demo",)),
        ("httpx", ("projects", "list")),
        ("deploy.embedded.up", ("up",)),
        ("producers.settings", ("gateway",)),
        ("pydantic_settings", ("settings",)),
    ],
)
def test_while_modules_are_imported(module: str, words: tuple[str, ...]) -> None:
    program = INTERRUPTED_AT_IMPORT.format(module=module)
    ended = subprocess.run(
        [sys.executable, "-c", program, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=heed_interrupts,
    )
    assert (ended.returncode, ended.stderr) == (130, "")


@pytest.mark.parametrize("words", [("demo",), ("projects", "list"), ("prices", "list")])
def test_while_the_server_does_not_answer(words: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        running = subprocess.Popen(
            [sys.executable, "-m", "deploy", *words],
            env={
                **os.environ,
                "TRACEMILL_URL": f"http://127.0.0.1:{server.getsockname()[1]}",
                "TRACEMILL_ADMIN_SECRET_KEY": "x" * 32,
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=heed_interrupts,  # noqa: PLW1509  # no threads
        )
        server.settimeout(60)
        connection, _ = server.accept()
        with connection:
            assert connection.recv(1)
            running.send_signal(signal.SIGINT)
            _, errors = running.communicate(timeout=60)
    assert (running.returncode, errors) == (130, "")


def test_a_command_that_a_script_starts_in_the_background_ignores_it() -> None:
    """A shell without job control starts it so that it ignores the signal."""
    program = INTERRUPTED_AT_IMPORT.format(module="deploy.quarantine_cli")
    ended = subprocess.run(
        [sys.executable, "-c", program, "--version"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert (ended.returncode, ended.stderr) == (0, "")
