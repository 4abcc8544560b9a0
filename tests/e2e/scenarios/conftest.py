"""Applications with the libraries that people use, run against an installation."""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.compat.environments import Environments
from tests.compat.sdk_runs import PROGRAM_TIMEOUT_S, VISIBLE_TIMEOUT_S, read_trace
from tests.e2e.scenarios.provider import Provider, running_provider
from tests.fixtures.installation import Server

PROGRAMS: Final = Path(__file__).parent / "programs"


@dataclass(frozen=True)
class Run:
    """A program that has ended."""

    session: str
    """The id of the session that the program gave to its traces."""
    printed: str
    """Its last line."""


class Scenarios:
    """Run programs, each in its environment, and read what they sent."""

    def __init__(
        self, server: Server, environments: Environments, provider: Provider, client: httpx.Client
    ) -> None:
        self._server = server
        self._environments = environments
        self.provider = provider
        self.client = client

    def run(
        self, program: str, requirements: Sequence[str], *arguments: str, **settings: str
    ) -> Run:
        session = f"session-{secrets.token_hex(4)}"
        python = self._environments.python(*requirements)
        done = subprocess.run(
            [str(python), str(PROGRAMS / program), *arguments],
            env={**self._variables(), "SESSION": session, **settings},
            capture_output=True,
            text=True,
            timeout=PROGRAM_TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return Run(session, done.stdout.splitlines()[-1] if done.stdout else "")

    def trace(
        self, run: Run, name: str, observations: int, scores: int = 0, **conditions: str
    ) -> Trace:
        """Return a trace of a run, once all of it is there; empty conditions are ignored."""
        given = {"sessionId": run.session, "name": name, **conditions}
        parameters = {key: value for key, value in given.items() if value}
        deadline_s = time.monotonic() + VISIBLE_TIMEOUT_S
        while True:
            found = self.client.get("/api/public/traces", params=parameters).json()["data"]
            if found:
                break
            assert time.monotonic() < deadline_s, f"no trace {parameters}"
            time.sleep(0.05)
        return Trace(read_trace(self.client, found[0]["id"], observations, scores))

    def _variables(self) -> dict[str, str]:
        url, keys = self._server.url, (self._server.public_key, self._server.secret_key)
        credentials = httpx.BasicAuth(*keys)._auth_header
        return {
            "PATH": os.environ["PATH"],
            "HOME": os.environ["HOME"],
            "LANGFUSE_HOST": url,
            "LANGFUSE_PUBLIC_KEY": keys[0],
            "LANGFUSE_SECRET_KEY": keys[1],
            "LANGFUSE_TIMEOUT": "30",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{url}/v1/traces",
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS": f"Authorization={credentials}".replace(" ", "%20"),
            "OTEL_EXPORTER_OTLP_TIMEOUT": "30",
            "PROVIDER_URL": self.provider.url,
            "DSP_CACHEBOOL": "false",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # otherwise it asks the internet
        }


@dataclass(frozen=True)
class Trace:
    """A trace as Langfuse's API returns it."""

    body: Mapping[str, Any]

    @property
    def names(self) -> list[str]:
        return [each["name"] for each in self._in_order()]

    def named(self, name: str) -> dict[str, Any]:
        """Return the only observation with a name."""
        (found,) = [each for each in self.body["observations"] if each["name"] == name]
        return found

    def path(self, name: str) -> list[str]:
        """Return the names of an observation and of those above it, the outermost first."""
        by_id = {each["id"]: each for each in self.body["observations"]}
        names, at = list[str](), self.named(name)
        while at:
            names.insert(0, at["name"])
            at = by_id.get(at["parentObservationId"] or "")
        return names

    def _in_order(self) -> list[dict[str, Any]]:
        return sorted(self.body["observations"], key=lambda each: each["startTime"])


@pytest.fixture(scope="session")
def provider() -> Iterator[Provider]:
    with running_provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def scenarios(
    installation: Server, environments: Environments, provider: Provider, client: httpx.Client
) -> Scenarios:
    return Scenarios(installation, environments, provider, client)
