"""What `tracemill up` prints once all is ready: the address, the keys, and something to paste."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from producers.settings import InitSettings


def greeting(host: str, port: int, broker: str) -> str:
    """Text for the terminal. A secret that the user chose is not repeated."""
    init = InitSettings()
    url = f"http://{'127.0.0.1' if host in {'0.0.0.0', '::'} else host}:{port}"  # noqa: S104
    secret = init.secret_key.get_secret_value()
    shown = (
        secret
        if secret == InitSettings.model_fields["secret_key"].default.get_secret_value()
        else "…"
    )
    return f"""
  tracemill listens on {url}

    export LANGFUSE_HOST={url}
    export LANGFUSE_PUBLIC_KEY={init.public_key}
    export LANGFUSE_SECRET_KEY={shown}

  Any Langfuse SDK with these settings works, and any OpenTelemetry SDK that exports to
  {url}/v1/traces with basic authentication. Or try:

    {_command()} demo --url {url}
    curl -u {init.public_key}:{shown} '{url}/v1/windows?step=1h&group_by=model'

  API: {url}/docs   Kafka: {broker}   Ctrl-C stops everything; the data stays.
"""


def _command() -> str:
    """How the reader starts us: by name if it is on the path, else by the path from here."""
    if shutil.which("tracemill"):
        return "tracemill"
    program = Path(sys.argv[0]).absolute()
    return str(program.relative_to(Path.cwd()) if program.is_relative_to(Path.cwd()) else program)
