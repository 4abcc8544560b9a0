"""The command line: settings of the environment apply, and expected errors are one line."""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from typer.main import get_command
from typer.testing import CliRunner

from clickhouse.errors import PolicyMissing, TooManyRefusals
from deploy import local
from deploy.cli import app
from deploy.embedded.data_dir import data_dir_lock
from deploy.embedded.ports import free_ports
from deploy.errors import EX_CONFIG, EngineError, NotPreparedError
from deploy.examples import EXAMPLES
from deploy.failures import exit_code_for, lines_for
from producers.errors import InitError, TopicError, TopicMismatchError
from streams.core.dead_letters.limit import TooManyDeadLettersError
from streams.errors import RecordGapError


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deploy", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("role", ["gateway", "store"])
def test_a_setting_that_cannot_be_used_is_one_line_that_names_its_variable(role: str) -> None:
    ended = run(role, TRACEMILL_PORT="abc")
    assert ended.returncode == EX_CONFIG
    assert re.fullmatch(
        r"tracemill( gateway)?: TRACEMILL_PORT 'abc' cannot be used: "
        r"it must be a whole number, at least 1, at most 65535 \(default 7700\)\n",
        ended.stderr,
    )


@pytest.mark.parametrize(
    "error",
    [
        TooManyRefusals("the store refused 20 rows"),
        TooManyDeadLettersError("half of it is unreadable"),
        RecordGapError("records of events/0 are missing: offset 5 followed 3"),
        TopicError("no topic"),
    ],
)
def test_an_expected_error_of_a_role_is_printed_in_one_line(error: Exception) -> None:
    assert lines_for(error) == [str(error)]
    assert lines_for(ExceptionGroup("", [ExceptionGroup("", [error])])) == [str(error)]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PolicyMissing("no policy"), EX_CONFIG),
        (TopicMismatchError("2 partitions"), EX_CONFIG),
        (InitError("no project"), EX_CONFIG),
        (TopicError("no topic"), 1),
        (NotPreparedError("no broker"), 1),
    ],
)
def test_an_error_that_a_restart_cannot_fix_has_its_own_exit_code(
    error: Exception, code: int
) -> None:
    assert exit_code_for(error) == code
    assert exit_code_for(ExceptionGroup("", [NotPreparedError("x"), error])) == code


def test_a_defect_keeps_its_traceback() -> None:
    assert lines_for(KeyError("x")) == []
    assert lines_for(ExceptionGroup("", [TopicError("no topic"), KeyError("x")])) == []


def test_a_plan_without_a_store_is_one_line_that_names_its_address() -> None:
    ended = run("migrate", "--plan", TRACEMILL_CLICKHOUSE_URL="http://user:secret@127.0.0.1:1")
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == (
        "tracemill migrate: cannot connect to http://127.0.0.1:1 (TRACEMILL_CLICKHOUSE_URL)"
    )


def test_a_demo_without_a_server_explains_how_to_set_another_address() -> None:
    ended = run("demo", TRACEMILL_URL="http://127.0.0.1:1")
    assert ended.returncode == 1
    assert ended.stderr == (
        "tracemill demo: no answer from tracemill at http://127.0.0.1:1: "
        "[Errno 111] Connection refused; "
        "set its address with --url or TRACEMILL_URL\n"
    )


def test_up_takes_the_data_directory_from_the_environment(tmp_path: Path) -> None:
    with data_dir_lock(tmp_path):
        ended = run("up", TRACEMILL_DATA_DIR=str(tmp_path))
    assert ended.stderr == f"tracemill: already running on {tmp_path} (process {os.getpid()})\n"


def test_up_takes_address_and_port_from_the_environment(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.2", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run(
            "up",
            TRACEMILL_DATA_DIR=str(tmp_path),
            TRACEMILL_HOST="127.0.0.2",
            TRACEMILL_PORT=str(port),
        )
    assert ended.stderr == f"tracemill: port {port} is in use: the public API needs it\n"


def test_options_on_the_command_line_take_precedence_over_the_environment(tmp_path: Path) -> None:
    (free,) = free_ports(1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run("up", "--port", port, "--data-dir", str(tmp_path), TRACEMILL_PORT=str(free))
    assert ended.stderr.startswith(f"tracemill: port {port} is in use")


def test_the_broker_keeps_its_log_below_the_data_directory_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []

    def exec_broker(data_dir: Path, _port: int, _password: SecretStr) -> int:
        asked.append(data_dir)
        raise EngineError("not here")

    monkeypatch.setattr(local, "exec_broker", exec_broker)
    monkeypatch.setenv("TRACEMILL_DATA_DIR", str(tmp_path))
    assert CliRunner().invoke(app, ["broker"]).exit_code == 1
    assert CliRunner().invoke(app, ["broker", "--data-dir", str(tmp_path / "x")]).exit_code == 1
    assert asked == [tmp_path / "kafka", tmp_path / "x"]


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_the_version_is_one_line_and_imports_nothing_heavy(option: str) -> None:
    heavy = "{'aiokafka', 'faust', 'httpx', 'pydantic_core', 'chdb'} & set(sys.modules)"
    program = (
        "import sys\n"
        "from deploy.cli import main\n"
        "try: main()\n"
        f"finally: print(sorted({heavy}), file=sys.stderr)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, option],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0
    assert re.fullmatch(r"tracemill \d+\.\d+\.\d+, Python 3\.\d+\.\d+\S*, \w+ \w+\n", ended.stdout)
    assert ended.stderr == "['pydantic_core']\n"


def help_of(command: str) -> str:
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "300"}).output
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", shown).split())


@pytest.mark.parametrize(
    ("command", "variables"),
    [
        ("gateway", ["TRACEMILL_BROKER", "TRACEMILL_HOST", "TRACEMILL_PORT"]),
        ("query", ["TRACEMILL_CLICKHOUSE_URL", "TRACEMILL_HOST", "TRACEMILL_PORT"]),
        ("streams", ["TRACEMILL_BROKER", "TRACEMILL_METRICS_PORT"]),
        ("sink", ["TRACEMILL_BROKER", "TRACEMILL_METRICS_PORT"]),
        ("migrate", ["TRACEMILL_BROKER", "TRACEMILL_HOT_DAYS", "TRACEMILL_INIT_SECRET_KEY"]),
        ("store", ["TRACEMILL_COLD_URL", "AWS_ENDPOINT_URL", "TRACEMILL_DATA_DIR"]),
        ("broker", ["TRACEMILL_DATA_DIR"]),
        ("demo", ["TRACEMILL_URL", "TRACEMILL_INIT_SECRET_KEY"]),
        ("up", ["TRACEMILL_DATA_DIR", "TRACEMILL_HOST", "TRACEMILL_PORT"]),
    ],
)
def test_the_help_of_a_command_lists_the_variables_that_it_reads(
    command: str, variables: list[str]
) -> None:
    shown = help_of(command)
    assert [name for name in variables if name not in shown] == []


def test_every_option_of_every_command_is_explained() -> None:
    for name, command in _commands():
        silent = [each.name for each in command.params if not getattr(each, "help", None)]
        assert silent == [], name


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_every_command_has_an_example_that_it_accepts(name: str) -> None:
    commands = dict(_commands())
    words = [word for word in shlex.split(EXAMPLES[name]) if not re.match("[A-Z_]+=", word)]
    assert words[0] == "tracemill"
    path = name.split()
    assert words[1 : 1 + len(path)] == path
    commands[name].make_context(name, words[1 + len(path) :])
    help_text = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "300"}).output
    assert f"Example: {EXAMPLES[name]}" in help_text


def test_no_command_lacks_an_example() -> None:
    assert [name for name, _ in _commands() if name not in EXAMPLES] == []


@pytest.mark.parametrize(
    ("words", "suggestion"),
    [(("projcts",), "projects"), (("projects", "list", "--jsn"), "--json"), (("dmo",), "demo")],
)
def test_a_misspelled_word_is_answered_with_the_right_one(
    words: tuple[str, ...], suggestion: str
) -> None:
    ended = CliRunner().invoke(app, words, env={"COLUMNS": "300"})
    assert ended.exit_code == 2
    assert suggestion in ended.output


def test_completion_can_be_installed() -> None:
    shown = run("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert shown.returncode == 0
    assert "complete" in shown.stdout


def _commands() -> Iterator[tuple[str, Any]]:
    """Yield every command with its words."""
    for name, command in get_command(app).commands.items():
        inner = getattr(command, "commands", None)
        if inner is None:
            yield name, command
        else:
            yield from ((f"{name} {each}", found) for each, found in inner.items())
