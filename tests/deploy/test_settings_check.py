"""`tracemill up` finds the invalid settings of all roles before it starts anything."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.embedded.roles import UpOptions, variables_of_engines
from deploy.errors import EX_CONFIG
from deploy.settings_check import invalid_settings, misspelled_variables
from deploy.variables import groups

INVALID = {
    "TRACEMILL_SINK_FLUSH_INTERVAL_S": "soon",
    "TRACEMILL_NOTIFIER_RETRY_SCHEDULE_S": "5,30",
    "TRACEMILL_QUERY_PROJECTS_MAX": "0",
    "TRACEMILL_STORE_QUERIES_MAX": "many",
    "TRACEMILL_HTTP_CONNECTIONS_MAX": "-1",
    "TRACEMILL_LIMITS_QUOTA_PERIOD": "week",
    "TRACEMILL_DELETION_CHECK_INTERVAL_S": "x",
    "TRACEMILL_ADMIN_SECRET_KEY": "too-short-to-be-shown",
}


def up(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deploy", "up", "--data-dir", str(tmp_path / "data")],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_all_are_listed_at_once_and_nothing_is_created(tmp_path: Path) -> None:
    ended = up(tmp_path, **INVALID)
    assert ended.returncode == EX_CONFIG
    lines = ended.stderr.splitlines()
    named = {line.removeprefix("tracemill: ").split()[0]: line for line in lines}
    known = {each.name for group in groups() for each in group.variables}
    assert named.keys() == INVALID.keys() & known
    assert len(named) >= 7
    assert "'soon' cannot be used: it must be a number" in named["TRACEMILL_SINK_FLUSH_INTERVAL_S"]
    assert INVALID["TRACEMILL_ADMIN_SECRET_KEY"] not in ended.stderr
    assert ended.stdout == ""
    assert not (tmp_path / "data").exists()


def test_several_lists_that_are_no_json_are_all_found(monkeypatch: pytest.MonkeyPatch) -> None:
    lists = [
        each.name for group in groups() for each in group.variables if "JSON list" in each.allowed
    ]
    for name in lists:
        monkeypatch.setenv(name, "5,30")
    assert [line.split()[0] for line in invalid_settings(())] == lists


def test_what_up_sets_itself_is_not_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACEMILL_BROKER_SASL_MECHANISM", "nonsense")
    assert (
        len(invalid_settings(variables_of_engines(UpOptions(tmp_path, broker="kafka:9092")))) == 1
    )
    assert invalid_settings(variables_of_engines(UpOptions(tmp_path))) == []


def test_a_misspelled_setting_is_named_with_the_right_one() -> None:
    environment = {
        "TRACEMILL_SINK_FLUSH_INTERVALL_S": "1",
        "TRACEMILL_URL": "http://127.0.0.1:7700",
        "TRACEMILL_INIT_PUBLIC_KEY": "pk",
        "TRACEMILL_SOMETHING_ELSE": "1",
        "PATH": "/bin",
    }
    (line,) = misspelled_variables(environment)
    assert line.startswith("TRACEMILL_SINK_FLUSH_INTERVALL_S is not a setting; did you mean")
    assert line.endswith("TRACEMILL_SINK_FLUSH_INTERVAL_S?")
