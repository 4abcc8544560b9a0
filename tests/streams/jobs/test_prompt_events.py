"""Changes of prompts are announced to webhooks once, also if the worker is killed."""

from __future__ import annotations

from typing import Any

import msgspec

from clickhouse.alert_rows import row_of_alert
from producers.control.kinds.prompt_change import ChangedVersion, PromptChange
from producers.notifications.prompt_event import alerts_of_change
from producers.notifications.registry import EVENT_TYPES
from tests.streams.notifier.receivers import receiving
from tracemill.clock import now_us

WORKER = "tests.streams.jobs.worker_of_kinds"
EVENTS = ("prompt.version_created", "prompt.labels_changed", "prompt.deleted")


def change(number: int, *versions: ChangedVersion) -> PromptChange:
    return PromptChange(
        id=f"pch_{number}", project_id="p1", name="folder/greet", type="text", tags=("t",),
        versions=versions, author="pk-1", created_us=now_us(),
    )  # fmt: skip


async def test_each_change_is_delivered_once_over_kills(pipeline: Any, until: Any) -> None:
    async with receiving() as hook:
        await pipeline.put_webhook(hook.url, events=EVENTS)
        created = ChangedVersion(
            event="prompt.version_created", id="pv_1.1", version=1, labels=("production", "latest"),
            added=("production", "latest"),
        )  # fmt: skip
        moved = ChangedVersion(
            event="prompt.labels_changed", id="pv_1.1", version=1, removed=("production",)
        )
        newer = created.model_copy(update={"version": 2, "id": "pv_1.2"})
        deleted = created.model_copy(update={"event": "prompt.deleted"})
        await pipeline.control.put(change(1, created))
        pipeline.start_worker(WORKER)

        async def received(count: int) -> None:
            async def enough() -> bool:
                return len(set(hook.ids)) >= count and not pipeline.control.view[PromptChange]

            await until(enough)

        await received(1)
        pipeline.kill_workers()
        await pipeline.control.put(change(2, moved, newer))
        await pipeline.control.put(change(3, deleted))
        pipeline.start_worker(WORKER)
        await received(4)
        # A worker that is killed before it removes the change writes the same alert again.
        pipeline.kill_workers()
        interrupted = change(4, deleted)
        (alert,) = alerts_of_change(interrupted, {"prompt.deleted": "deleted"})
        value = msgspec.json.encode(row_of_alert(alert, EVENT_TYPES[alert.event]))
        topic = pipeline.kafka.topics.alerts
        await pipeline.producer.send_and_wait(topic, value, key=alert.id.encode(), partition=0)
        await pipeline.control.put(interrupted)
        pipeline.start_worker(WORKER)
        await received(5)
    assert len(hook.ids) == len(set(hook.ids)) == 5
    bodies = [msgspec.json.decode(body) for _, body in hook.requests]
    assert bodies[0]["type"] == "prompt.version_created"
    assert bodies[0]["data"] == {
        "action": "created",
        "prompt": {
            "id": "pv_1.1", "name": "folder/greet", "version": 1, "type": "text",
            "labels": ["production", "latest"], "tags": ["t"],
        },
        "added_labels": ["production", "latest"], "removed_labels": [], "author": "pk-1",
    }  # fmt: skip
    found = sorted((each["type"], each["data"]["prompt"]["version"]) for each in bodies)
    assert found == [
        ("prompt.deleted", 1), ("prompt.deleted", 1), ("prompt.labels_changed", 1),
        ("prompt.version_created", 1), ("prompt.version_created", 2),
    ]  # fmt: skip
