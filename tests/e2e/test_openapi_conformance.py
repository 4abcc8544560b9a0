"""Every operation of the OpenAPI description answers generated requests as described.

schemathesis generates valid and invalid requests. With TRACEMILL_SCHEMATHESIS_EXAMPLES=100, it
generates more of them, on installations of their own and with the admin key, too.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from tests.compat.environments import Environments
from tests.e2e.conftest import Cli
from tests.fixtures.installation import Server, running_server

REQUIREMENT: Final = "schemathesis==4.32.5"
EXAMPLES_VARIABLE: Final = "TRACEMILL_SCHEMATHESIS_EXAMPLES"
EXAMPLES: Final = 3
"""Generated requests per operation, besides those that the description contains."""
OTHER_CHECKS: Final = (
    "negative_data_rejection",
    "positive_data_acceptance",
    "missing_required_header",
    "use_after_free",
    "ensure_resource_availability",
    "ignored_auth",
    "object_level_authorization",
)
"""Checks that do not run. If the checks that run were listed instead, the list would replace those
of ``CONFIG``."""
CONFIG: Final = """
[[operations]]
include-path = "/api/public/health"
checks.not_a_server_error.enabled = false  # 503 is the answer if there are no recent events

[[operations]]
include-path = "/api/public/ready"
checks.not_a_server_error.enabled = false  # 503 is the answer if a process is not ready
"""
ENDLESS: Final = "/v1/stream"
"""What sends events without end; ``tests/query_api/test_event_stream.py`` requests it."""
TIMEOUT_S: Final = 600


class Schemathesis:
    """Runs schemathesis on an installation."""

    def __init__(self, server: Server, environments: Environments, directory: Path) -> None:
        self._url = server.url
        self._command = environments.python(REQUIREMENT).with_name("schemathesis")
        self._directory = directory

    def run(self, *options: str, phases: str, examples: int) -> None:
        config = self._directory / "schemathesis.toml"
        config.write_text(CONFIG)
        done = subprocess.run(
            [
                str(self._command), "--no-color", "--config-file", str(config),
                "run", f"{self._url}/openapi.json", "--url", self._url,
                "--exclude-checks", ",".join(OTHER_CHECKS),
                "--phases", phases, "--max-examples", str(examples),
                "--continue-on-failure", "--request-timeout", "30", "--warnings", "off",
                "--exclude-path", ENDLESS,
                *options,
            ],
            cwd=self._directory,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S if examples == EXAMPLES else None,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def schemathesis(installation: Server, environments: Environments, tmp_path: Path) -> Schemathesis:
    return Schemathesis(installation, environments, tmp_path)


def test_requests_with_a_key_of_a_project_are_answered_as_described(
    schemathesis: Schemathesis, cli: Cli
) -> None:
    """The project is not that of other tests, which would see its prices and rules."""
    json_of(cli("projects", "create", "generated-requests", "--json"))
    key = json_of(cli("keys", "create", "--project", "generated-requests", "--json"))
    auth = f"{key['public_key']}:{key['secret_key']}"
    schemathesis.run("--auth", auth, phases="examples,fuzzing", examples=EXAMPLES)


@pytest.mark.skipif(EXAMPLES_VARIABLE not in os.environ, reason=f"{EXAMPLES_VARIABLE} is not set")
@pytest.mark.parametrize("key", ["project", "admin"])
def test_many_requests_are_answered_as_described(
    key: str, environments: Environments, tmp_path: Path
) -> None:
    with running_server(tmp_path / "data") as server:
        admin = (tmp_path / "data" / "credentials" / "admin").read_text().strip()
        auth = f"admin:{admin}" if key == "admin" else f"{server.public_key}:{server.secret_key}"
        Schemathesis(server, environments, tmp_path).run(
            "--auth", auth, "--workers", "2",
            phases="examples,coverage,fuzzing,stateful",
            examples=int(os.environ[EXAMPLES_VARIABLE]),
        )  # fmt: skip


def json_of(ended: subprocess.CompletedProcess[str]) -> Any:
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)
