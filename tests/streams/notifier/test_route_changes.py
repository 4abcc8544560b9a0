"""A changed route applies to alerts from then on; ends of episodes go where they began."""

from __future__ import annotations

from producers.control.kinds.channel import Channel
from producers.control.kinds.route import EARLIER_MAX, Route
from producers.notifications.alert import Alert
from streams.core.notifications.groups import GroupKey
from streams.core.notifications.selection import groups_of, is_selected
from tests.streams.notifier.receivers import receiving
from tests.streams.notifier.rule_alerts import fire, now
from tests.streams.notifier.test_channels import FAST, PROCESS, messages, put_channel, put_route

DAY_US = 86_400_000_000
CHANNELS = [
    Channel(id=name, project_id="p", name=name, type="slack", created_us=0) for name in "ab"
]


def route(**fields) -> Route:
    given = {"id": "r", "project_id": "p", "name": "r", "channel_ids": ("a",), "created_us": 10}
    return Route(**given | fields)


def alert(at_us: int, state: str = "firing", severity: str = "warning") -> Alert:
    return Alert(
        project_id="p", id=f"a{at_us}", event=f"alert.{state}", rule_kind="alert_rule",
        rule_id="x", name="n", episode="e", state=state, severity=severity, created_us=at_us,
    )  # fmt: skip


def channels_of(each: Alert, changed: Route, *fired_us: int) -> set[str]:
    return {key.channel_id for key, _ in groups_of(each, CHANNELS, [changed], fired_us=fired_us)}


def test_an_alert_is_selected_by_the_conditions_of_its_time() -> None:
    changed = route().changed({"channel_ids": ("b",)}, 100)
    changed = changed.changed({"severities": ("critical",)}, 200)
    assert channels_of(alert(9), changed) == set()
    assert channels_of(alert(99), changed) == {"a"}
    assert channels_of(alert(100), changed) == {"b"}
    assert channels_of(alert(200), changed) == set()
    assert channels_of(alert(200, severity="critical"), changed) == {"b"}


def test_the_end_of_an_episode_is_sent_to_where_it_began() -> None:
    changed = route().changed({"channel_ids": ("b",)}, 100)
    end = alert(150, "resolved")
    assert channels_of(end, changed) == {"b"}
    assert channels_of(end, changed, 50) == {"a", "b"}
    moved_before = route().changed({"channel_ids": ("b",), "severities": ("info",)}, 40)
    assert channels_of(end, moved_before, 50) == set()


def test_alerts_of_the_time_in_which_a_route_or_channel_was_disabled_are_never_sent() -> None:
    changed = route().changed({"disabled": True}, 100).changed({"disabled": False}, 200)
    assert [channels_of(alert(at), changed) for at in (50, 150, 250)] == [{"a"}, set(), {"a"}]
    channel = CHANNELS[0].model_copy(update={"enabled_us": 100})
    assert not dict(groups_of(alert(50), [channel], [route()]))
    assert dict(groups_of(alert(150), [channel], [route()]))


def test_a_change_of_a_pause_or_of_nothing_is_no_change_of_conditions() -> None:
    changed = route().changed({"group_wait_s": 1.0, "channel_ids": ("a",), "name": "new"}, 100)
    assert (changed.earlier, changed.group_wait_s, changed.name) == ((), 1.0, "new")


def test_few_and_recent_conditions_are_remembered_and_older_alerts_are_not_selected() -> None:
    changed = route()
    for number in range(EARLIER_MAX + 2):
        changed = changed.changed({"channel_ids": ("ab"[number % 2],)}, DAY_US + number)
        changed = changed.changed({"rule_ids": (f"x{number}",)}, DAY_US + number)
    assert len(changed.earlier) == EARLIER_MAX
    assert channels_of(alert(DAY_US - 1), changed) == set()
    late = changed.changed({"rule_ids": ()}, 9 * DAY_US)
    assert len(late.earlier) == 1
    assert channels_of(alert(DAY_US - 1), late) == set()
    assert channels_of(alert(9 * DAY_US), late) == {"b"}
    large = {"labels": {f"l{n}": ("x" * 500,) * 50 for n in range(3)}}
    for number in range(3):
        changed = changed.changed(large | {"rule_ids": (str(number),)}, 10 * DAY_US + number)
    assert len(changed.model_dump_json()) < 300_000


def test_a_repeated_message_has_only_alerts_that_the_route_still_selects() -> None:
    key = GroupKey("a", "r", (("rule_id", "x"),))
    assert is_selected(alert(50), key, route())
    for change in (
        {"channel_ids": ("b",)}, {"severities": ("info",)}, {"disabled": True},
        {"group_by": ("event",)},
    ):  # fmt: skip
        assert not is_selected(alert(50), key, route().changed(change, 100))


async def test_a_worker_sends_by_the_changed_route_also_after_a_restart(pipeline, until):
    async with receiving() as first, receiving() as second:
        await put_channel(pipeline, first.url, id="c1")
        await put_channel(pipeline, second.url, id="c2")
        await put_route(pipeline, group_by=("episode_id",), group_wait_s=0.0)
        pipeline.start_worker(PROCESS, **FAST)
        await fire(pipeline, "a0", episode="e")

        async def has(receiver, *ids):
            found = {each for ids in messages(receiver).values() for each in ids}
            return found - {"a1"} == {*ids} - {"a1"} and found >= {*ids}

        await until(lambda: has(first, "a0"))
        changed = route(
            id="r1", project_id="p1", group_by=("episode_id",), group_wait_s=0.0,
            group_interval_s=0.0, repeat_interval_s=0.0, channel_ids=("c1",),
        ).changed({"channel_ids": ("c2",)}, now())  # fmt: skip
        await pipeline.control.put(changed)
        # The worker may read this alert before the change, and then sends it to both.
        await fire(pipeline, "a1")
        await until(lambda: has(second, "a1"))
        pipeline.kill_workers()
        pipeline.start_worker(PROCESS, **FAST)
        await fire(pipeline, "end", state="resolved", episode="e")
        await fire(pipeline, "a2")
        await until(lambda: has(first, "a0", "end"))
        await until(lambda: has(second, "a1", "end", "a2"))
