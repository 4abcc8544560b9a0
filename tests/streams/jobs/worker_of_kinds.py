"""A worker of all kinds of jobs that need no store, which tests may kill."""

from __future__ import annotations

import asyncio

from producers.control.log import ControlLog
from producers.settings import KafkaSettings, WebhookSettings
from streams.jobs.kind import JobContext
from streams.jobs.registry import KINDS
from streams.jobs.stage import JobStage


async def main() -> None:
    kafka = KafkaSettings()
    control = ControlLog(kafka)
    await control.start()
    for kind in KINDS.values():
        if kind.name not in {"project_deletion", "trace_deletion", "dead_letter_replay"}:
            JobStage(kind, JobContext(kafka, control, WebhookSettings(), kind.settings())).start()
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
