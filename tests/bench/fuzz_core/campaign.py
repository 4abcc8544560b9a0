"""Fold the same events twice: in random groups with small caches, and one by one in memory."""

from __future__ import annotations

from random import Random
from typing import Final

from streams.core.observations.encoding import RECORD_OVERHEAD_BYTES
from streams.core.observations.limits import ROW_BYTES_MAX
from streams.core.observations.reading import PROCESSING_FAILED, SourceRecord
from streams.core.pricing.tokens import installed_tokens
from streams.core.pricing.valuation import NoTokens
from tests.bench.fuzz_core.core_world import ENCODING, CoreWorld
from tests.bench.fuzz_core.hostile_events import NOW_US, HostileEvents, in_random_groups
from tracemill.contract import encode_event

EVENTS_PER_WORLD: Final = 2_000
_TOKENS: Final = installed_tokens() or NoTokens()


def campaign(seed: int, events: int = EVENTS_PER_WORLD) -> CoreWorld:
    """Fold the events of a seed, and check what came of it.

    Raises:
        AssertionError: an event failed, a record is too large, a total is wrong, or the result
            depends on how records are grouped.
    """
    chance = Random(seed)
    lines = list(map(encode_event, HostileEvents(seed).take(events)))
    records = [
        SourceRecord(offset, NOW_US + offset * 1_000, b"\n".join(group))
        for offset, group in enumerate(in_random_groups(chance, lines, 20), start=1)
    ]
    crowded = CoreWorld(_TOKENS, observations_max=40, text_bytes_max=200_000)
    roomy = CoreWorld(_TOKENS, observations_max=10**6, text_bytes_max=2**40)
    for chunk in in_random_groups(chance, records, 6):
        crowded.fold(chunk)
    for record in records:
        roomy.fold([record])
    for world in (crowded, roomy):
        world.check_totals()
        failed = [row for row in world.dead_letters if row.reason == PROCESSING_FAILED]
        assert not failed, failed[0].detail
        assert world.largest <= ENCODING.record_max_bytes - RECORD_OVERHEAD_BYTES
    assert roomy.largest <= ROW_BYTES_MAX + ENCODING.record_bytes
    assert crowded.read_back > events // 100
    assert crowded.state() == roomy.state()
    return crowded
