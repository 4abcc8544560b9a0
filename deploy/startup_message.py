"""Compose the message of `tracemill up` when all is ready: the address, the keys and examples."""

from __future__ import annotations

import base64
import shlex
import shutil
import sys
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from deploy.embedded.otlp_port import VARIABLE
from producers.settings import InitSettings, KafkaSettings
from query_api.console.links import link_path
from query_api.console.settings import ConsoleSettings

ANSWER_WITHIN_S = 5.0
HIDDEN = "…"
LINK_VALID_MIN = ConsoleSettings.model_fields["link_valid_s"].default // 60


def startup_message(
    host: str,
    port: int,
    grpc_port: int,
    kafka: KafkaSettings,
    password_file: Path | None,
    console_secret: str,
) -> str:
    """Return the message, with valid keys; a secret that the user has chosen is hidden.

    ``password_file`` is the file with the password of an embedded broker. ``console_secret`` signs
    the link to the console.
    """
    init = InitSettings()
    public_key, secret = init.public_key, init.secret_key.get_secret_value()
    reachable = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104
    shown, remark = HIDDEN, ""
    if not _works(reachable, port, public_key, secret):
        public_key = _first_public_key(kafka, init) or public_key
        remark = _KEYS_HINT.format(command=_command())
    elif secret == InitSettings.model_fields["secret_key"].default.get_secret_value():
        shown = secret
    url = f"http://{reachable}:{port}"
    return f"""
  tracemill listens on {url}

  Open this link within {LINK_VALID_MIN} minutes to sign in to the console; it works once:

    {url}{link_path(console_secret.split(","), public_key)}

  Settings for Langfuse SDKs (for JavaScript, set LANGFUSE_BASEURL instead of LANGFUSE_HOST):

    export LANGFUSE_HOST={url}
    export LANGFUSE_PUBLIC_KEY={public_key}
    export LANGFUSE_SECRET_KEY={shown}
{remark}
  OpenTelemetry SDKs export to {url}/v1/traces{_over_grpc(reachable, grpc_port)},
  with basic authentication by the same keys.

{_examples(url, public_key, shown) if not remark else ""}{_for_tracers(kafka, password_file)}\
  API: {url}/docs   Kafka: {kafka.broker}   Ctrl-C stops everything; the data is kept.
"""


_KEYS_HINT = """
  The configured keys are not valid here: they were rotated, revoked or replaced. Secret keys are
  shown only when they are created; `{command} keys create --project PROJECT` creates new ones.
"""


def _examples(url: str, public_key: str, secret: str) -> str:
    return f"""  To send example traces and query them:

    {_command()} demo --url {url}
    curl -u {public_key}:{secret} '{url}/v1/windows?step=1h&group_by=model'

"""


def _over_grpc(host: str, port: int) -> str:
    if not port:
        return f", but not over gRPC (see {VARIABLE})"
    return f", over gRPC to http://{host}:{port}"


def _for_tracers(kafka: KafkaSettings, password_file: Path | None) -> str:
    """Return the settings that a program with ``Tracer`` needs in addition to the address."""
    if password_file is None:
        return ""
    return f"""\
  Programs that use tracemill's Tracer, which sends to Kafka directly, also need:

    export TRACEMILL_BROKER_USERNAME={kafka.broker_username}
    export TRACEMILL_BROKER_PASSWORD="$(cat {shlex.quote(str(password_file))})"

"""


def _works(host: str, port: int, public_key: str, secret: str) -> bool:
    """Return whether the server accepts this pair of keys, regardless of their scopes."""
    credential = base64.b64encode(f"{public_key}:{secret}".encode()).decode()
    connection = HTTPConnection(host, port, timeout=ANSWER_WITHIN_S)
    try:
        connection.request(
            "GET", "/api/public/projects", headers={"Authorization": f"Basic {credential}"}
        )
        return connection.getresponse().status in (HTTPStatus.OK, HTTPStatus.FORBIDDEN)
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _first_public_key(kafka: KafkaSettings, init: InitSettings) -> str | None:
    # Imported only if the configured keys are not valid, because importing it takes long.
    from deploy.existing_key import existing_public_key  # noqa: PLC0415

    return existing_public_key(kafka, init)


def _command() -> str:
    """Return the name of the command if it is on the search path, or else its path."""
    if shutil.which("tracemill"):
        return "tracemill"
    program = Path(sys.argv[0]).absolute()
    return str(program.relative_to(Path.cwd()) if program.is_relative_to(Path.cwd()) else program)
