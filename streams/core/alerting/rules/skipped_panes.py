"""Find the panes at whose ends states can change, among those that pass without an event."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from streams.core.alerting.rules.panes import PANE_S
from streams.core.alerting.rules.rule import Rule
from streams.core.alerting.rules.series import Series, SeriesKey


def ends_s(
    from_s: int, to_s: int, series: Mapping[SeriesKey, Series], rules: Mapping[str, Rule]
) -> Iterator[int]:
    """Yield ends of panes after that of ``from_s``, in order; always the first one and ``to_s``.

    They are the ends at which data leave a window or a duration of a state ends, and the end after
    each: a state may need two evaluations of the same values, such as from no data over resolved to
    pending. Their number depends on the data and the states, not on the time that passed.

    Args:
        from_s: start of the pane that was current so far, 0 if there was none.
        to_s: end of the last pane that has passed.
        series: the series; they are moved to each end before the next one is taken.
        rules: the rules; they are evaluated before the next end is taken.
    """
    if not from_s:
        return
    end_s = from_s + PANE_S
    changes_s = {end_s}
    if end_s < to_s:
        changes_s.update(*(each.ends_of_changes_s(end_s, to_s) for each in series.values()))
    due_s = sorted(changes_s | {each + PANE_S for each in changes_s}, reverse=True)
    while end_s < to_s:
        yield end_s
        while due_s and due_s[-1] <= end_s:
            due_s.pop()
        next_s = min(due_s[-1] if due_s else to_s, _next_timer_s(rules, to_s), to_s)
        end_s = max(next_s, end_s + PANE_S)
    yield to_s


def _next_timer_s(rules: Mapping[str, Rule], to_s: int) -> int:
    """Return the end of the pane in which a duration of a state ends, at most ``to_s``."""
    timers_s = (rule.next_timer_s() for rule in rules.values() if rule.active)
    first_s = min((each for each in timers_s if each is not None), default=to_s)
    return min(-(-first_s // PANE_S) * PANE_S, to_s)
