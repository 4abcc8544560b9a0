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
from producers.sentences import FieldWarning, Sentence
from query_api.context import AppContext
from query_api.errors import TooCostlyError, UnavailableError
from query_api.store.queries.alert_states import FindAlertStates

_MATCHES_ALL: Final = (
    "no alert rule or recent alert has the label %(label)s; it matches all of them"
)
_MATCHES_NONE: Final = (
    "no alert rule or recent alert has the label %(label)s; it matches none of them"
)
_NO_VALUE: Final = "no alert rule or recent alert has a label with %(matcher)s"
TEMPLATES: Final = (_MATCHES_ALL, _MATCHES_NONE, _NO_VALUE)
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
    known = await known_labels(context, silence.project_id)
    return [str(each) for each in warnings_about(silence, known)]


def warnings_about(silence: Silence, known: KnownLabels) -> list[FieldWarning]:
    """Return the same for labels that were read before."""
    found = [_fault(each, known) for each in silence.matchers]
    return [
        FieldWarning(f"matchers.{at}", fault) for at, fault in enumerate(found) if fault is not None
    ]


def _fault(matcher: Matcher, known: KnownLabels) -> Sentence | None:
    if matcher.name not in known.names:
        template = _MATCHES_ALL if matches([matcher], {}) else _MATCHES_NONE
        return Sentence(template, {"label": repr(matcher.name)})
    if matcher.name in known.dimensions or any(matches([matcher], each) for each in known.sets):
        return None
    text = f"{matcher.name} {matcher.op} {matcher.value[:64]}"
    return Sentence(_NO_VALUE, {"matcher": repr(text)})


def _group_of(row: AlertStateRow) -> Mapping[str, str]:
    return msgspec.json.decode(row.group, type=dict[str, str]) if row.group else {}
