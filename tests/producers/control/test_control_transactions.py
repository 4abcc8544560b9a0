"""Several records change together, in every process, and processes may keep outlines only."""

from __future__ import annotations

import asyncio

import pytest

from producers.control.kinds.project import Project
from producers.control.kinds.prompt_version import PromptReference, PromptVersion
from producers.control.log import ControlLog
from producers.control.record import Change, Tombstone
from producers.settings import KafkaSettings
from tests.fixtures.control_log import following
from tests.producers.control.conftest import WRITERS

TASKS = 3
"""Of each writer."""
CHANGES = 3


def project(name: str, text: str) -> Project:
    return Project(id=name, name=f"{name} {text}", created_us=1)


def text_of(log: ControlLog, name: str) -> str:
    return log.view[Project][name].name.rpartition(" ")[2]


def version(content: str = '"Hello"') -> PromptVersion:
    return PromptVersion(
        id="pv_1.1", project_id="p", prompt_id="prm_1", name="greet", version=1, type="text",
        content=content, references=(PromptReference(name="rules", version=1),), created_us=1,
    )  # fmt: skip


async def test_transactions_of_several_processes_take_effect_one_after_the_other(
    logs: list[ControlLog],
) -> None:
    async def add(log: ControlLog) -> None:
        for _ in range(CHANGES):

            def planned(log: ControlLog = log) -> list[Change]:
                number = int(text_of(log, "head")) + 1 if "head" in log.view[Project] else 1
                gone = Tombstone(kind="project", id=f"v{number - 3}")
                return [project(f"v{number}", str(number)), project("head", str(number)), gone]

            await log.transact(planned)

    await asyncio.gather(*map(add, logs * TASKS))
    total = WRITERS * TASKS * CHANGES
    for log in logs:
        await log.caught_up()
        assert text_of(log, "head") == str(total)
        left = {f"v{each}" for each in range(total - 2, total + 1)}
        assert set(log.view[Project]) == {"head", *left}


async def test_a_refused_transaction_writes_nothing_and_sees_the_writes_of_others(
    logs: list[ControlLog],
) -> None:
    here, there, _ = logs
    await here.transact(lambda: [project("a", "1")])

    def refused() -> list[Change]:
        raise ValueError(text_of(there, "a"))

    await there.transact(lambda: [project("b", "1")])
    await here.transact(lambda: [project("a", "2")])
    with pytest.raises(ValueError, match="2"):
        await there.transact(refused)
    assert there.view == here.view


async def test_a_process_of_outlines_keeps_no_contents_and_cannot_lose_them(
    kafka: KafkaSettings, logs: list[ControlLog]
) -> None:
    await logs[0].create(version())
    async with following(kafka, outlines=True) as outlined:
        held = outlined.view[PromptVersion]["pv_1.1"]
        assert (held.content, held.references) == ("", version().references)
        with pytest.raises(ValueError, match="does not keep"):
            await outlined.put(held)
        with pytest.raises(ValueError, match="does not keep"):
            await outlined.transact(lambda: [held])
        await logs[0].caught_up()
        assert logs[0].view[PromptVersion]["pv_1.1"].content == '"Hello"'
        assert await outlined.delete("prompt_version", "pv_1.1")
    await logs[0].caught_up()
    assert not logs[0].view[PromptVersion]
