"""Find matchers of silences that match no label of any alert rule or recent alert."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

import msgspec

from clickhouse.rows import AlertStateRow
from producers.alerting.silences import labels_of, matches
from producers.control.kinds.alert_rule import AlertRule
from producers.control.kinds.silence import Matcher, Silence
from query_api.context import AppContext
from query_api.errors import TooCostlyError, UnavailableError
from query_api.store.queries.alert_states import FindAlertStates

_OF_EVERY_RULE: Final = ("rule_id", "rule_name", "metric", "severity")
RECENT_MAX: Final = 500
"""Maximum number of groups of rules that are considered, those whose state changed last."""


@dataclass(frozen=True, slots=True)
class KnownLabels:
    """The labels of the alert rules and of the recent alerts of a project."""

    sets: Sequence[Mapping[str, str]]
    dimensions: AbstractSet[str]
    """Those by which rules group; their values are not known in advance."""
    names: AbstractSet[str]


async def known_labels(context: AppContext, project_id: str) -> KnownLabels:
    """Return the labels that matchers can match; without the store, only those of rules."""
    rules = context.control.view.in_project(AlertRule, project_id).values()
    sets: list[Mapping[str, str]] = [labels_of(rule, {}) for rule in rules]
    dimensions = {name for rule in rules for name in rule.group_by}
    try:
        rows = await context.reader.rows(FindAlertStates(project_id, RECENT_MAX), AlertStateRow)
    except (UnavailableError, TooCostlyError):
        rows = []
    sets += [{**row.labels, **_group_of(row)} for row in rows]
    return KnownLabels(sets, dimensions, dimensions.union(_OF_EVERY_RULE, *sets))


async def silence_warnings(context: AppContext, silence: Silence) -> list[str]:
    """Return a text for each matcher that matches no label of any rule or recent alert."""
    return warnings_about(silence, await known_labels(context, silence.project_id))


def warnings_about(silence: Silence, known: KnownLabels) -> list[str]:
    """Return the same for labels that were read before."""
    found = [_fault(each, known) for each in silence.matchers]
    return [f"matchers.{at}: {fault}" for at, fault in enumerate(found) if fault]


def _fault(matcher: Matcher, known: KnownLabels) -> str:
    if matcher.name not in known.names:
        effect = "all of them" if matches([matcher], {}) else "none of them"
        return f"no alert rule or recent alert has the label {matcher.name!r}; it matches {effect}"
    if matcher.name in known.dimensions or any(matches([matcher], each) for each in known.sets):
        return ""
    text = f"{matcher.name} {matcher.op} {matcher.value[:64]}"
    return f"no alert rule or recent alert has a label with {text!r}"


def _group_of(row: AlertStateRow) -> Mapping[str, str]:
    return msgspec.json.decode(row.group, type=dict[str, str]) if row.group else {}
