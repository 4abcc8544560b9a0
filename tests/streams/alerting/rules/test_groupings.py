"""What is announced does not depend on how many deltas are applied together."""

from random import Random

import pytest

from tests.simulation.fresh_seeds import fresh_seeds
from tests.streams.alerting.rules.rule_book import Book, rule

SEEDS = [*range(20), *fresh_seeds(10)]


def announced(seed: int, groups_of: int) -> list[tuple[str, str]]:
    """Return the ids and events of the alerts of a run."""
    chance = Random(seed)
    book = Book()
    metrics = ("count", "error_rate", "avg_latency", "cost", "rate")
    for number, metric in enumerate(metrics):
        book.put(
            rule(
                id=f"rule_{number}",
                metric=metric,
                threshold={"cost": "0.000000000020", "error_rate": "0.5", "rate": "0.5"}.get(
                    metric, "6"
                ),
                window_s=chance.choice((10, 20, 60)),
                group_by=chance.choice(((), ("model",))),
                keep_firing_for_s=chance.choice((0, 20)),
            )
        )
    for number in range(1, 120):
        book.now_s += chance.choice((0.1, 0.5, 2, 7))
        count = chance.randint(1, 3)
        book.send(
            book.now_s - chance.choice((0, 0, 3, 15)),
            count=count,
            errors=chance.randint(0, count),
            cost_pico=chance.randint(0, 9),
            latency_s=chance.choice((1, 5, 20)),
            model=chance.choice("ab"),
            collect=number % groups_of == 0,
        )
    book.collect()
    return sorted((alert.id, alert.event) for alert in book.alerts)


@pytest.mark.parametrize("seed", SEEDS)
def test_alerts_are_the_same_however_deltas_are_grouped(seed: int) -> None:
    alone = announced(seed, 1)
    assert alone
    assert announced(seed, 7) == alone
    assert announced(seed, 1_000) == alone
