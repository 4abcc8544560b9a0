"""Run `tracemill migrate`: create topics, tables and the first project. Safe to repeat."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from clickhouse import migrate as schema
from clickhouse.all_topics import ensure_topics
from clickhouse.settings import StoreSettings, TieringSettings
from clickhouse.store import Store
from clickhouse.users import server_script
from deploy.process import run_process
from deploy.processes.log_check import refuse_lost_log
from deploy.processes.prepared import until_engines_respond
from deploy.settings import ProcessSettings
from producers.control.bootstrap import bootstrap
from producers.control.log import ControlLog
from producers.settings import InitSettings, KafkaSettings


def run(*, plan: bool) -> int:
    """Migrate, or only print the SQL; return the exit code."""
    return run_process("migrate", _plan if plan else _migrate)


def users_script() -> str:
    """Return the SQL that creates the roles' users on a ClickHouse server."""
    return server_script(StoreSettings().clickhouse_database)


async def _migrate(process: ProcessSettings, stop: asyncio.Event) -> None:
    """Check the log; create topics and tables concurrently; write the first control records."""
    kafka = KafkaSettings()
    async with AsyncExitStack() as stack:
        store = Store(StoreSettings())
        stack.push_async_callback(store.close)
        if not await until_engines_respond(process, kafka, store, stop):
            return
        await refuse_lost_log(kafka, store)
        async with asyncio.TaskGroup() as group:
            topics = group.create_task(ensure_topics(kafka))
            tables = group.create_task(schema.migrate(store, TieringSettings()))
        for name in topics.result():
            print(f"created topic {name}")
        for step in tables.result():
            print(
                f"applied {step.number:04d} {step.name}" if step.number else f"adjusted {step.name}"
            )
        control = ControlLog(kafka)
        await control.start()
        stack.push_async_callback(control.stop)
        await bootstrap(control, InitSettings())


async def _plan(_: ProcessSettings, __: asyncio.Event) -> None:
    store = Store(StoreSettings())
    try:
        steps = await schema.plan(store, TieringSettings())
    finally:
        await store.close()
    for step in steps:
        print(f"-- {step.number:04d} {step.name}")
        for statement in step.statements:
            print(f"{statement};")
    if not steps:
        print("all migrations are applied")
