"""States of jobs can be stored as delivery records, including those of earlier versions."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.deliveries import Delivery, delivery_of
from streams.core.jobs.state import (
    Dropped,
    Failed,
    JobState,
    Outcome,
    Succeeded,
    after_attempt,
)
from streams.jobs.kind import JobKind
from streams.jobs.kinds.webhook_delivery import WebhookDeliveries
from streams.jobs.registry import KINDS, JobKinds

COUNTS = st.integers(0, 2**53)
STATES = st.builds(
    JobState,
    status=st.sampled_from(["pending", "done", "exhausted", "dropped"]),
    attempts=COUNTS,
    next_attempt_us=COUNTS,
    updated_us=COUNTS,
    detail=st.text(st.characters(codec="utf-8")),
)


@given(STATES, st.sampled_from(["alert_1", "a"]), st.sampled_from(["wh_1", "w/x"]))
def test_the_state_of_a_delivery_comes_back_from_its_record(
    state: JobState, alert_id: str, webhook_id: str
) -> None:
    delivery = delivery_of(f"{alert_id}/{webhook_id}", state)
    record = msgspec.json.encode(delivery)
    assert msgspec.json.decode(record, type=Delivery).state == state
    assert (delivery.alert_id, delivery.webhook_id) == (alert_id, webhook_id)
    assert (delivery.status == "delivered") == (state.status == "done")
    assert (delivery.status == "gone") == (state.status == "dropped")


def test_the_record_of_a_delivery_keeps_its_format() -> None:
    state = JobState(status="done", attempts=2, updated_us=7, detail="status 204")
    assert msgspec.json.encode(delivery_of("alert_1/w1", state)) == (
        b'{"alert_id":"alert_1","webhook_id":"w1","status":"delivered","attempts":2,'
        b'"updated_us":7,"detail":"status 204"}'
    )


@pytest.mark.parametrize(
    ("outcome", "status", "attempts"),
    [
        (Succeeded("fine"), "done", 1),
        (Failed("no"), "pending", 1),
        (Dropped("gone"), "dropped", 0),
    ],
)
def test_an_outcome_decides_the_state(outcome: Outcome, status: str, attempts: int) -> None:
    after = after_attempt(JobState(), outcome, 10, schedule_s=(5,), jitter=0)
    assert (after.status, after.attempts, after.detail) == (status, attempts, outcome.detail)


def test_delivering_webhooks_is_a_kind_and_no_two_kinds_share_a_name() -> None:
    assert KINDS["webhook_delivery"] is WebhookDeliveries

    class Another(WebhookDeliveries):
        pass

    registered: tuple[type[JobKind[object]], ...] = (WebhookDeliveries, Another)  # type: ignore[type-var]
    with pytest.raises(ValueError, match="webhook_delivery"):
        JobKinds(*registered)
