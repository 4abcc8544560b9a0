"""Commands of the installation's admin, against the API that they call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from types import SimpleNamespace

import pytest
from click.testing import Result
from typer.testing import CliRunner

from deploy import deletion_wait
from deploy.cli import app
from deploy.embedded.ports import free_ports
from deploy.errors import RefusedError, WaitTimeoutError
from deploy.serving import serving
from producers.control.kinds.limits import Limits
from producers.control.kinds.price import Price
from producers.control.kinds.project import Project
from tests.query_api.harness import ADMIN_KEY, NOON_US, PROJECT, Api, observation

Command = Callable[..., Awaitable[Result]]


@pytest.fixture
async def command(api: Api, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Command]:
    """Run a command against the API, from another thread."""
    (port,) = free_ports(1)
    monkeypatch.setenv("TRACEMILL_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("TRACEMILL_ADMIN_SECRET_KEY", ADMIN_KEY)

    async def run(*words: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, words)

    async with serving(api.admin._transport.app, "127.0.0.1", port):
        yield run


def rows_of(output: str) -> dict[str, list[str]]:
    """Return the cells of a table after the first, by the first."""
    lines = [line.split("  ") for line in output.splitlines() if "  " in line]
    return {line[0]: [cell.strip() for cell in line[1:] if cell.strip()] for line in lines}


async def test_limits_are_set_one_by_one_and_cleared_together(api: Api, command: Command) -> None:
    assert (await command("limits", "set", PROJECT, "--events-per-s", "200")).exit_code == 0
    shown = await command("limits", "set", PROJECT, "--bytes-per-s", "5MiB", "--quota-events", "9")
    assert rows_of(shown.output) == {
        "limit": ["of the project", "in force", "used"],
        "events per s": ["200", "200", "-"],
        "bytes per s": ["5242880", "5242880", "-"],
        "burst s": ["default", "10", "-"],
        "quota period": ["default", "month", "-"],
        "quota events": ["9", "9", "0"],
        "quota bytes": ["default", "none", "0"],
    }
    assert "The period ends at 20" in shown.output
    await command("limits", "set", PROJECT, "--events-per-s", "default", "--bytes-per-s", "none")
    own = api.control.view[Limits][PROJECT]
    assert (own.events_per_s, own.bytes_per_s, own.quota_events) == (None, 0, 9)
    answer = json.loads((await command("limits", "show", PROJECT, "--json")).output)
    assert answer["own"]["quota_events"] == 9
    assert (await command("limits", "clear", PROJECT)).exit_code == 0
    assert PROJECT not in api.control.view[Limits]


async def test_limits_that_change_meanwhile_are_kept(
    api: Api, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, others = api.control.put, [Limits(id=PROJECT, project_id=PROJECT, created_us=1, burst_s=3)]
    api.control.keep(others[0].model_copy(update={"burst_s": 2}))

    async def put_after_another(record: Limits, *, expected: int | None = None) -> Limits:
        if others:
            api.control.keep(others.pop())
        return await put(record, expected=expected)

    monkeypatch.setattr(api.control, "put", put_after_another)
    assert (await command("limits", "set", PROJECT, "--events-per-s", "1.5")).exit_code == 0
    own = api.control.view[Limits][PROJECT]
    assert (own.events_per_s, own.burst_s) == (1.5, 3)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ((), "at least one limit"),
        (("--events-per-s", "many"), "'many' is not a number of 0 or more, nor 'none'"),
        (("--events-per-s", "-5"), "'-5' is not a number of 0 or more"),
        (("--events-per-s", "5MB"), "'5MB' is not a number"),
        (("--bytes-per-s", "5 apples"), "a unit such as MB or MiB"),
        (("--burst-s", "none"), "'none' is not a number"),
        (("--quota-events", "1.5"), "1.5 is not a whole number"),
        (("--quota-period", "week"), "'week' is not day, month or 'default'"),
    ],
)
def test_what_a_limit_can_be_is_named(words: tuple[str, ...], named: str) -> None:
    ended = CliRunner().invoke(app, ("limits", "set", "x", *words), env={"COLUMNS": "300"})
    assert ended.exit_code == 2
    assert named in ended.output


async def test_the_limits_of_an_unknown_project_are_refused(api: Api, command: Command) -> None:
    ended = await command("limits", "show", "nowhere")
    assert str(ended.exception) == "no project 'nowhere' (404)"
    assert isinstance(ended.exception, RefusedError)


async def test_deleting_waits_until_nothing_is_left(
    api: Api, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    await api.insert(observation("t", "1"), observation("t", "2"))
    deleted = await command("projects", "delete", PROJECT, "--yes")
    assert f"tracemill projects show {PROJECT}" in deleted.output
    assert "rows left (observations 2" in (await command("projects", "show", PROJECT)).output

    async def complete() -> None:
        done = {"state": "deleted", "deleted_at_us": NOON_US}
        api.control.keep(api.control.view[Project][PROJECT].model_copy(update=done))

    steps = iter((api.empty, complete))

    def next_step(_: float) -> None:
        asyncio.run_coroutine_threadsafe(next(steps)(), loop).result()

    monkeypatch.setattr(deletion_wait, "time", SimpleNamespace(monotonic=float, sleep=next_step))
    ended = await command("projects", "delete", PROJECT, "--yes", "--wait")
    assert ended.exit_code == 0
    first, second = ended.stderr.splitlines()
    assert "rows left (observations 2" in first
    assert "no rows left" in second
    assert rows_of(ended.stdout)["state"] == ["deleted"]


async def test_a_deletion_that_takes_longer_has_its_own_exit_code(
    api: Api, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(monotonic=count().__next__, sleep=lambda _: None)
    monkeypatch.setattr(deletion_wait, "time", clock)
    ended = await command("projects", "delete", PROJECT, "--yes", "--wait", "--timeout", "3s")
    assert isinstance(ended.exception, WaitTimeoutError)
    assert ended.exception.exit_code == 124
    assert "is not deleted after 3 s: no rows left" in str(ended.exception)


async def test_a_price_is_replaced(api: Api, command: Command) -> None:
    api.control.keep(Price(id="p", project_id=None, match="a", prices={"input": 1}, created_us=1))
    new = ("--match", "b", "--price", "output=2")
    ended = await command("prices", "replace", "p", *new, "--installation")
    assert ended.exit_code == 0
    replaced = api.control.view[Price]["p"]
    assert (replaced.match, replaced.prices, replaced.created_us) == ("b", {"output": 2_000_000}, 1)


async def test_the_admin_reads_default_prices(api: Api, command: Command) -> None:
    made = ("--match", "gpt-4o", "--price", "input=7", "--installation")
    assert (await command("prices", "create", *made)).exit_code == 0
    listed = await command("prices", "list", "--defaults", "--model", "gpt-4o", "--json")
    origins = [each["origin"] for each in json.loads(listed.output)["data"]]
    assert origins == ["installation", "shipped"]


def test_without_a_server_the_prices_of_this_version_are_listed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    (port,) = free_ports(1)
    for name in ("URL", "ADMIN_SECRET_KEY", "INIT_PUBLIC_KEY", "INIT_SECRET_KEY"):
        monkeypatch.delenv(f"TRACEMILL_{name}", raising=False)
    monkeypatch.setenv("TRACEMILL_DATA_DIR", str(tmp_path))
    monkeypatch.setattr("deploy.admin_client.DEFAULT_URL", f"http://127.0.0.1:{port}")
    words = ("prices", "list", "--defaults", "--model", "gpt-4o")
    listed = CliRunner().invoke(app, words)
    assert listed.exit_code == 0
    assert "openai/gpt-4o" in listed.stdout
    assert "the prices in this version" in listed.stderr
    refused = CliRunner().invoke(app, (*words, "--url", f"http://127.0.0.1:{port}"))
    assert "no answer from tracemill" in str(refused.exception)
