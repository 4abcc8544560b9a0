"""Control records are restored from the store: latest versions, in order, with secrets."""

from __future__ import annotations

from typing import Final

import msgspec
import pytest
from aiokafka.structs import ConsumerRecord

from clickhouse.rows import ControlLogRow
from clickhouse.sink.control_log import control_row
from deploy.recovery.control_records import ControlLogEntry, restore_control
from producers.control.keys import new_api_key
from producers.control.kinds.budget import Budget
from producers.control.kinds.project import Project
from producers.control.kinds.webhook import Webhook
from producers.control.record import ControlRecord
from producers.control.secret_box import SecretBox
from producers.control.state import value_of

BOX: Final = SecretBox("the key of this installation")
WEBHOOK: Final = Webhook(
    id="w",
    project_id="p",
    url="https://example.com/hook",
    events=("budget.threshold_crossed",),
    secret="whsec_MDEyMzQ1Njc4OWFiY2RlZg==",
    created_us=1,
)
PROJECT: Final = Project(id="p", name="p", created_us=1)
KEY: Final = new_api_key(key_id="k", project_id="p", public_key="pk", secret="sk", created_us=1)
BUDGET: Final = Budget(
    id="b",
    project_id="p",
    name="b",
    period="day",
    limit_pico=1,
    thresholds=("0.5", "1"),
    created_us=1,
)


def stored(
    log_key: str, record: ControlRecord | None, *, box: SecretBox | None = BOX
) -> ControlLogEntry:
    """What the sink makes of a record of the log."""
    value = None if record is None else value_of(record, None)
    source = ConsumerRecord("control", 0, 0, 0, 0, log_key.encode(), value, None, 0, 0, ())
    row = msgspec.json.decode(control_row(source, box), type=ControlLogRow)
    return ControlLogEntry(log_key, row.is_tombstone, row.record)


def test_records_of_every_kind_are_restored() -> None:
    records = [PROJECT, KEY, BUDGET, WEBHOOK]
    entries = [stored(f"{each.kind}/{each.id}/1", each) for each in records]
    restored = restore_control(entries, BOX)
    assert restored.records == records
    assert restored.new_secrets == []


def test_the_secret_of_a_webhook_is_not_readable_in_the_store() -> None:
    assert WEBHOOK.secret not in stored("webhook/w/1", WEBHOOK).record


@pytest.mark.parametrize("box", [None, SecretBox("another installation's key")])
def test_without_the_key_a_webhook_has_a_new_secret_and_that_is_reported(
    box: SecretBox | None,
) -> None:
    restored = restore_control([stored("webhook/w/1", WEBHOOK)], box)
    (webhook,) = restored.records
    assert isinstance(webhook, Webhook)
    assert webhook.secret != WEBHOOK.secret
    assert webhook.url == WEBHOOK.url
    assert restored.new_secrets == ["webhook w"]


def test_a_secret_that_is_missing_in_the_copy_is_replaced() -> None:
    restored = restore_control([stored("webhook/w/1", WEBHOOK, box=None)], BOX)
    assert restored.new_secrets == ["webhook w"]


def test_the_latest_version_is_restored_and_deleted_records_stay_deleted() -> None:
    renamed = PROJECT.model_copy(update={"name": "renamed"})
    restored = restore_control(
        [
            stored("project/p/1", PROJECT),
            stored("budget/b/1", BUDGET),
            stored("project/p/1", renamed),
            stored("budget/b/1", None),
        ],
        BOX,
    )
    assert restored.records == [renamed]


def test_of_two_records_with_one_public_key_the_first_is_restored_also_across_logs() -> None:
    other = KEY.model_copy(update={"id": "other"})
    restored = restore_control(
        [stored("api_key/k/1", KEY), stored("api_key/other/1", other), stored("api_key/k/1", KEY)],
        BOX,
    )
    assert restored.records == [KEY]


def test_an_unreadable_record_is_listed_and_the_others_are_restored() -> None:
    restored = restore_control(
        [ControlLogEntry("project/x/1", 0, ""), stored("project/p/1", PROJECT)], BOX
    )
    assert restored.records == [PROJECT]
    assert restored.unreadable == ["project/x/1"]
