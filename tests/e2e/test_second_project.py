"""A second project, created by the CLI, sends and reads events, and sees none of the first."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from typing import Any

import grpc
import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from producers.gateway.otlp_grpc.server import TRACES
from tests.e2e.conftest import Cli
from tests.fixtures.installation import Server

WITHIN_S = 60.0


def json_of(ended: subprocess.CompletedProcess[str]) -> Any:
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def export(trace_id: bytes, name: str) -> bytes:
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add()
    span.trace_id, span.span_id, span.name = trace_id, trace_id[:8], name
    span.start_time_unix_nano = time.time_ns() - 10**9
    span.end_time_unix_nano = span.start_time_unix_nano + 10**6
    return request.SerializeToString()


def by_http(server: Server, key: dict[str, Any], body: bytes) -> int:
    headers = {"content-type": "application/x-protobuf"}
    auth = (key["public_key"], key["secret_key"])
    url = f"{server.url}/v1/traces"
    return httpx.post(url, content=body, headers=headers, auth=auth, timeout=30).status_code


def by_grpc(server: Server, key: dict[str, Any], body: bytes) -> grpc.StatusCode:
    pair = base64.b64encode(f"{key['public_key']}:{key['secret_key']}".encode()).decode()
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        call = channel.unary_unary(f"/{TRACES}/Export")
        try:
            call(body, metadata=(("authorization", f"Basic {pair}"),), timeout=30)
        except grpc.RpcError as error:
            return error.code()
    return grpc.StatusCode.OK


def traces_of(server: Server, key: dict[str, Any]) -> list[str]:
    auth = (key["public_key"], key["secret_key"])
    answer = httpx.get(f"{server.url}/api/public/traces", auth=auth, timeout=30)
    assert answer.status_code == 200, answer.text
    return sorted(each["name"] or "" for each in answer.json()["data"])


def test_a_second_project_sends_by_both_doors_and_sees_nothing_of_the_first(
    installation: Server, cli: Cli
) -> None:
    first = {"public_key": installation.public_key, "secret_key": installation.secret_key}
    assert by_http(installation, first, export(b"\x01" * 16, "of the first")) == 200
    json_of(cli("projects", "create", "second", "--name", "The second", "--json"))
    key = json_of(cli("keys", "create", "--project", "second", "--scopes", "ingest,read", "--json"))
    sends = json_of(
        cli(
            *("keys", "create", "--project", "second", "--scopes", "ingest"),
            *("--expires", "90d", "--note", "sends only", "--json"),
        )
    )
    reads = json_of(cli("keys", "create", "--project", "second", "--scopes", "read", "--json"))

    assert by_http(installation, sends, export(b"\x02" * 16, "by http")) == 200
    assert by_grpc(installation, key, export(b"\x03" * 16, "by grpc")) is grpc.StatusCode.OK
    assert by_http(installation, reads, export(b"\x04" * 16, "never")) == 403
    denied = by_grpc(installation, reads, export(b"\x04" * 16, "never"))
    assert denied is grpc.StatusCode.PERMISSION_DENIED

    deadline_s = time.monotonic() + WITHIN_S
    while (found := traces_of(installation, reads)) != ["by grpc", "by http"]:
        assert time.monotonic() < deadline_s, found
        time.sleep(0.1)
    assert "by http" not in traces_of(installation, first)

    rotate = ("keys", "rotate", key["id"], "--project", "second", "--json")
    rotated = json_of(cli(*rotate, "--overlap", "1h"))
    assert rotated["public_key"] == key["public_key"]
    assert [traces_of(installation, each) for each in (key, rotated)] == [found, found]
    assert cli("keys", "revoke", key["id"], "--project", "second").returncode == 0
    assert by_http(installation, rotated, export(b"\x05" * 16, "never")) == 401

    unconfirmed = cli("projects", "delete", "second")
    assert (unconfirmed.returncode, "--yes" in unconfirmed.stderr) == (2, True)
    deleted = json_of(cli("projects", "delete", "second", "--yes", "--json"))
    assert deleted["state"] in {"deleting", "deleted"}
    assert by_http(installation, sends, export(b"\x05" * 16, "never")) == 401
    assert by_http(installation, first, export(b"\x06" * 16, "of the first")) == 200


def test_people_read_tables_in_which_no_secret_is_repeated(cli: Cli) -> None:
    assert cli("projects", "create", "tables").returncode == 0
    made = cli("keys", "create", "--project", "tables", "--note", "a\x1b[31mb")
    secret = next(line.split()[-1] for line in made.stdout.splitlines() if "sk-tm-" in line)
    assert "not shown again" in made.stdout
    listed = cli("keys", "list", "--project", "tables")
    heads, row = listed.stdout.splitlines()
    assert heads.split()[:2] == ["id", "public"]
    assert "ingest,scores,read,write" in row
    assert (secret in listed.stdout, "\x1b" in listed.stdout + made.stdout) == (False, False)
    assert "tables" in cli("projects", "list").stdout


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("projects", "delete", "default/limits", "--yes"), 2, "is not an id"),
        (("projects", "show", "nowhere"), 1, "no project 'nowhere' (404)"),
        (("projects", "create", "default"), 1, "'default' (409)"),
        (("projects", "create", "a b"), 2, "is not an id"),
        (("keys", "create", "--project", "default", "--scopes", "all"), 1, "scopes.0: "),
        (("keys", "create", "--project", "default", "--expires", "soon"), 2, "--expires"),
        (("keys", "revoke", "key_0", "--project", "default"), 1, "no key 'key_0' (404)"),
    ],
)
def test_what_is_refused_is_one_line(
    cli: Cli, words: tuple[str, ...], code: int, says: str
) -> None:
    ended = cli(*words)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert says in ended.stderr
    assert code == 2 or len(ended.stderr.splitlines()) == 1


def test_a_wrong_admin_key_and_a_server_that_is_not_there_are_named(cli: Cli) -> None:
    wrong = cli("projects", "list", TRACEMILL_ADMIN_SECRET_KEY="x" * 32)
    assert (wrong.returncode, "refuses this admin key" in wrong.stderr) == (1, True)
    absent = cli("projects", "list", "--url", "http://127.0.0.1:9")
    assert (absent.returncode, "no answer from tracemill" in absent.stderr) == (1, True)
    elsewhere = cli("projects", "list", "--url", "http://example.com")
    assert (elsewhere.returncode, "there is no admin key" in elsewhere.stderr) == (78, True)
