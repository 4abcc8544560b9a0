"""A burst of alerts of one rule does not delay the alerts of others."""

from tests.streams.notifier.receivers import receiving
from tests.streams.notifier.rule_alerts import fire

BURST = 100


async def test_alerts_overtake_the_burst_of_another_rule_and_critical_ones_come_first(
    pipeline, until
):
    """The worker starts after all alerts were written, so that all deliveries are due at once."""
    async with receiving() as receiver:
        await pipeline.put_webhook(receiver.url, events=("alert.firing",))
        for number in range(BURST):
            await fire(pipeline, f"burst{number}")
        await fire(pipeline, "other", rule_id="rule_2")
        await fire(pipeline, "critical", rule_id="rule_3", severity="critical")
        pipeline.start_worker()

        async def all_came():
            return len(set(receiver.ids)) == BURST + 2

        await until(all_came)
        assert receiver.ids.index("critical") < 10
        assert receiver.ids.index("other") < 10
