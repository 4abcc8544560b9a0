"""An evaluator that counts observations, with one alert for each hundred of a project.

``python -m tests.streams.alerting.toy_evaluator`` is a worker of the alerting stage with it alone.
"""

from __future__ import annotations

import asyncio
import os
import signal

import msgspec

from deploy.logs import configure_logs
from producers.control.kinds.budget import Budget
from producers.control.log import ControlLog
from producers.control.record import Change
from producers.kafka.topics import Cleanup, Partitions, Topic
from producers.notifications.alert import Alert
from producers.notifications.event_types.budget_threshold_crossed import ThresholdCrossed
from producers.settings import KafkaSettings
from producers.tiers.log import TierLog
from producers.tiers.record import Tier
from streams.alerting.settings import AlertingSettings
from streams.alerting.stage import AlertingStage
from streams.core.alerting.evaluator import EvaluatorContext, EvaluatorKind, State
from streams.core.rollups.deltas import Delta

TOPIC = Topic("toy-states", Partitions.BY_PROJECT, Cleanup.COMPACT)
STEP = 100


class CountState(msgspec.Struct, frozen=True):
    project_id: str
    count: int
    input_offset: int
    ticks: int = 0
    tier: str = ""


class Counting:
    """Counts the observations of each project."""

    def __init__(self, context: EvaluatorContext) -> None:
        self.context = context
        self.states: dict[str, CountState] = {}
        self.changed: set[str] = set()
        self.alerted: set[str] = set()
        self.alerts: list[Alert] = []
        self.watched: set[str] = set()

    def control_changed(self, change: Change, now_us: int) -> None:
        if isinstance(change, Budget) and self.context.owns(change.project_id):
            self.watched.add(change.project_id)

    def tier_changed(self, tier: Tier, now_us: int) -> None:
        """Write the tier to the state of the project, whose alerts it does not change."""
        assert self.context.tiers.tier_of(tier.project_id, tier.user_id) == tier.tier
        state = self.states.get(tier.project_id) or CountState(tier.project_id, 0, -1)
        self.states[tier.project_id] = msgspec.structs.replace(state, tier=tier.tier)
        self.changed.add(tier.project_id)

    def restore(self, key: str, value: bytes) -> None:
        self.states[key] = msgspec.json.decode(value, type=CountState)

    def restore_alert(self, alert: Alert) -> None:
        self.alerted.add(alert.id)

    def restored(self, now_us: int) -> None:
        assert all(map(self.context.owns, self.states))

    def apply(self, delta: Delta, offset: int, now_us: int) -> None:
        before = self.states.get(delta.project_id) or CountState(delta.project_id, 0, -1)
        if offset <= before.input_offset or delta.project_id not in self.watched:
            return
        count = before.count + sum(window.observations for window in delta.windows)
        if count < 0:
            raise ValueError("too few")
        for step in range(before.count // STEP + 1, count // STEP + 1):
            self._alert(delta.project_id, step, now_us)
        self.states[delta.project_id] = CountState(delta.project_id, count, offset)
        self.changed.add(delta.project_id)

    def _alert(self, project_id: str, step: int, now_us: int) -> None:
        alert_id = f"{project_id}/{step}"
        if alert_id in self.alerted:
            return
        self.alerted.add(alert_id)
        crossed = ThresholdCrossed(
            scope=msgspec.Raw(b"{}"), period_start_us=0, threshold="1", spent_pico=0, limit_pico=0
        )
        self.alerts.append(
            Alert(
                project_id=project_id,
                id=alert_id,
                event="budget.threshold_crossed",
                rule_kind="budget",
                rule_id="toy",
                name="toy",
                episode="e",
                payload=msgspec.Raw(msgspec.json.encode(crossed)),
                created_us=now_us,
            )
        )

    def tick(self, now_us: int) -> None:
        for key, state in self.states.items():
            if not state.ticks:
                self.states[key] = msgspec.structs.replace(state, ticks=1)
                self.changed.add(key)

    def take_alerts(self) -> list[Alert]:
        alerts, self.alerts = self.alerts, []
        return alerts

    def take_states(self) -> list[State]:
        changed, self.changed = self.changed, set()
        return [State(key, self.states[key]) for key in sorted(changed)]


class Raising(Counting):
    """Raises whenever it may."""

    def apply(self, delta: Delta, offset: int, now_us: int) -> None:
        raise RuntimeError("a bad rule")

    tick = take_alerts = take_states = restored = apply  # type: ignore[assignment]


COUNTING = EvaluatorKind("counting", TOPIC, Counting)
RAISING = EvaluatorKind("raising", TOPIC, Raising)


async def main() -> None:
    configure_logs("streams")
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    kafka = KafkaSettings()
    control = ControlLog(kafka)
    await control.start()
    tiers = TierLog(kafka)
    await tiers.start()
    kinds = {"counting": COUNTING}
    if os.environ.get("TOY_RAISES"):
        kinds = {"raising": RAISING} | kinds
    stage = AlertingStage(kafka, control, AlertingSettings(), kinds=kinds, tiers=tiers)
    stage.start()
    print("ready", flush=True)
    await stop.wait()
    await stage.stop()
    await tiers.stop()
    await control.stop()


if __name__ == "__main__":
    asyncio.run(main())
