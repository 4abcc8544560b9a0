"""Messages about alerts."""

import msgspec

from producers.alerting.templates import RESULT_CHARS_MAX
from producers.notifications.message import Message, MessageAlert, worded

ALERT = MessageAlert(
    id="a",
    event="alert.firing",
    name="Slow",
    rule_id="r",
    state="firing",
    severity="warning",
    labels={f"label_{number}": "x" * 500 for number in range(20)},
    value="6",
    threshold="5",
    reason="",
    episode_id="e",
    exemplars=(),
    annotations={},
    created_at="",
    text="Slow (warning): firing" + ", label=" + "x" * 10_000,
    data={},
)
MESSAGE = Message(
    id="m",
    project_id="p",
    group_id="g",
    group={},
    status="firing",
    severity="warning",
    alerts=(ALERT,),
    created_us=0,
)


def test_a_message_about_alerts_with_long_labels_is_cut() -> None:
    message = msgspec.structs.replace(MESSAGE, alerts=(ALERT,) * 50)

    text = worded(message, "", "").text

    assert text.startswith("Slow (warning): firing, label=xxx")
    assert text.endswith("x…")
    assert len(text) == RESULT_CHARS_MAX
