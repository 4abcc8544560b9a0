"""Every setting is listed as an environment variable; errors name the invalid one."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsError
from typer.main import get_command
from typer.testing import CliRunner

from clickhouse.settings import StoreSettings, TieringSettings
from clickhouse.sink.settings import SinkSettings
from deploy.cli import app
from deploy.settings import ProcessSettings
from deploy.variables import groups, invalid_variables
from producers.control.kinds.project import Project
from producers.settings import InitSettings, KafkaSettings
from streams.notifications.settings import NotifierSettings

ROOT = Path(__file__).parents[2]
ROOMS = ("producers", "streams", "clickhouse", "query_api", "deploy")


def settings_classes() -> Iterator[tuple[str, str]]:
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef) and any(
                    isinstance(base, ast.Name) and base.id == "BaseSettings" for base in node.bases
                ):
                    module = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
                    yield module, node.name


def test_every_settings_class_of_the_project_is_listed() -> None:
    listed = {(group.settings.__module__, group.settings.__name__) for group in groups()}
    assert listed == set(settings_classes())


def printed() -> str:
    result = CliRunner().invoke(app, ["settings"])
    assert result.exit_code == 0
    return result.output


def uncommented() -> str:
    return re.sub(r"^# ([A-Z_]+=)", r"\1", printed(), flags=re.MULTILINE)


def environment_after(script: str) -> dict[str, str]:
    """Return the variables that an empty shell exports after it has read ``script``, silently."""
    read = subprocess.run(
        ["/bin/sh", "-euc", f"set -a\n{script}\nexec /usr/bin/env -0"],
        env={},
        capture_output=True,
        text=True,
        check=True,
    )
    assert read.stderr == ""
    exported = dict(line.split("=", 1) for line in read.stdout.split("\0") if line)
    of_the_shell = {"PWD", "OLDPWD", "SHLVL", "_"}
    return {name: value for name, value in exported.items() if name not in of_the_shell}


def listed() -> dict[str, str]:
    return environment_after(uncommented())


def test_the_unchanged_list_sets_nothing() -> None:
    assert environment_after(printed()) == {}


def test_the_command_lists_every_variable_once_with_its_default() -> None:
    found = listed()
    assert found["TRACEMILL_BROKER"] == "127.0.0.1:9092"
    assert found["TRACEMILL_WEBHOOKS_ALLOW_PRIVATE"] == "false"
    assert found["TRACEMILL_INIT_PUBLIC_KEY"] == "pk-tm-dev"
    assert found["AWS_REGION"] == "us-east-1"
    assert found["TRACEMILL_NOTIFIER_RETRY_SCHEDULE_S"].startswith("[5, 300,")
    assert len(found) == len({each.name for group in groups() for each in group.variables})


def test_the_list_describes_each_variable_and_its_values() -> None:
    output = " ".join(printed().replace("\n#", "").split())
    assert "HOST:PORT, or several separated by commas. (text) TRACEMILL_BROKER=" in output
    assert "(a whole number, at least 1, at most 65535) TRACEMILL_PORT=7700" in output


def test_setting_all_variables_to_what_is_listed_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in listed():
        monkeypatch.delenv(name, raising=False)
    before: list[BaseSettings] = [group.settings() for group in groups()]
    for name, value in listed().items():
        monkeypatch.setenv(name, value)
    assert [group.settings() for group in groups()] == before


@pytest.mark.parametrize(
    ("settings", "name", "value", "said"),
    [
        (ProcessSettings, "TRACEMILL_PORT", "abc", "a whole number, at least 1, at most 65535"),
        (ProcessSettings, "TRACEMILL_LOG_LEVEL", "LOUD", "one of DEBUG, INFO, WARNING, ERROR"),
        (KafkaSettings, "TRACEMILL_EVENT_PARTITIONS", "0", "a whole number, at least 1"),
        (TieringSettings, "TRACEMILL_COLD_URL", "http://x", "matching"),
        (SinkSettings, "TRACEMILL_SINK_FLUSH_INTERVAL_S", "soon", "a number"),
        (NotifierSettings, "TRACEMILL_NOTIFIER_RETRY_SCHEDULE_S", "5,30", "a JSON list"),
    ],
)
def test_the_error_for_an_invalid_value_names_the_variable_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch,
    settings: type[BaseSettings],
    name: str,
    value: str,
    said: str,
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises((ValidationError, SettingsError)) as raised:
        settings()
    (line,) = invalid_variables(raised.value)
    assert line.startswith(f"{name} {value!r} cannot be used: it must be ")
    assert said in line


def test_the_error_for_an_invalid_secret_does_not_contain_it() -> None:
    with pytest.raises(ValidationError) as raised:
        StoreSettings(clickhouse_password=17)
    (line,) = invalid_variables(raised.value)
    assert line.startswith("TRACEMILL_CLICKHOUSE_PASSWORD cannot be used")


def test_an_error_that_is_not_about_a_variable_has_no_lines() -> None:
    with pytest.raises(ValidationError) as raised:
        Project.model_validate({})
    assert invalid_variables(raised.value) == []


def test_the_readme_mentions_only_variables_that_exist() -> None:
    texts = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    text = "\n".join(each.read_text() for each in texts)
    named = set(re.findall(r"\b(?:TRACEMILL|AWS)_[A-Z_]*[A-Z]\b", text))
    of_options = {param.envvar for command in _commands() for param in command.params}
    assert named <= listed().keys() | of_options
    assert {f"TRACEMILL_INIT_{each.upper()}" for each in InitSettings.model_fields} <= named
    assert "`tracemill settings`" in text


def _commands() -> list[Any]:
    return list(get_command(app).commands.values())


def test_every_variable_has_a_description() -> None:
    silent = [each.name for group in groups() for each in group.variables if not each.about]
    assert silent == []
