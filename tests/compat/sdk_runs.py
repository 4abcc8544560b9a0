"""Programs that use an SDK, run against an installation, and their traces read back."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from typing import Any

import httpx

from tests.fixtures.installation import Server

PROGRAM_TIMEOUT_S = 180
VISIBLE_TIMEOUT_S = 90


def run_program(installation: Server, command: list[str], **settings: str) -> str:
    """The last line that ``command`` prints, told of ``installation`` as SDKs expect it.

    SDKs that are not content with an answer say so on standard error: it has to stay empty.
    """
    environment = {
        "PATH": os.environ["PATH"],
        "LANGFUSE_HOST": installation.url,
        "LANGFUSE_BASEURL": installation.url,  # what JavaScript's SDKs of every version read
        "LANGFUSE_PUBLIC_KEY": installation.public_key,
        "LANGFUSE_SECRET_KEY": installation.secret_key,
        "LANGFUSE_TIMEOUT": "30",  # seconds: most give up after 5, which a slow machine may take
        "PYTHONWARNINGS": "ignore::DeprecationWarning",  # of an SDK's own names
        **settings,
    }
    done = subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PROGRAM_TIMEOUT_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout.splitlines()[-1]


def read_trace(
    client: httpx.Client,
    trace_id: str,
    observations: int,
    scores: int,
    when: Callable[[dict[str, Any]], bool] = lambda _: True,
) -> dict[str, Any]:
    """The trace, once all of it is there."""
    deadline_s = time.monotonic() + VISIBLE_TIMEOUT_S
    while True:
        answer = client.get(f"/api/public/traces/{trace_id}")
        body = answer.json()
        if (
            answer.status_code == 200
            and len(body["observations"]) == observations
            and len(body["scores"]) == scores
            and when(body)
        ):
            return body
        assert time.monotonic() < deadline_s, f"not complete in time: {answer.text[:2000]}"
        time.sleep(0.05)


def wait_for_scores(client: httpx.Client, trace_id: str, count: int) -> None:
    """Until ``count`` scores of the trace are there, corrections among them."""
    deadline_s = time.monotonic() + VISIBLE_TIMEOUT_S
    while True:
        answer = client.get("/api/public/v2/scores", params={"traceId": trace_id})
        if answer.status_code == 200 and answer.json()["meta"]["totalItems"] == count:
            return
        assert time.monotonic() < deadline_s, f"not complete in time: {answer.text[:2000]}"
        time.sleep(0.05)
