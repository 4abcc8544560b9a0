"""Convert forms of alert rules to bodies of ``/v1/alert-rules``, and rules to forms."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from producers.alerting.registry import METRICS
from producers.control.kinds.alert_rule import AlertRule
from query_api.alerting.rule_bodies import AlertRuleBody
from query_api.alerting.rule_records import shown_rule
from query_api.console.form_bodies import FormError, body_of, checked, pairs_of, whole_number

NAMES: Final = tuple(
    dict.fromkeys(name for each in METRICS.values() for name in (*each.dimensions(), *each.filters))
)
"""Names that filters of some metric accept."""
DIMENSIONS: Final = tuple(
    dict.fromkeys(name for each in METRICS.values() for name in each.dimensions())
)
COMMON_NAMES: Final = ("model", "environment", "user_id", "trace_name")
"""Names that forms show first."""
ANOMALY: Final = "anomaly"
"""The choice to compare a value with the usual ones, instead of an earlier one."""
_TEXTS: Final = ("name", "description", "metric", "comparison", "window", "no_data", "severity")
_DURATIONS: Final = ("for", "keep_firing_for", "renotify_interval")
_ANOMALY_NUMBERS: Final = ("weeks", "samples_min")
FIELDS: Final = (
    *_TEXTS,
    *_DURATIONS,
    *("threshold", "recovery_threshold", "time_zone", "min_count", "group_by", "filter"),
    *(f"filter.{name}" for name in NAMES),
    *("labels", "annotations", "inhibited_by", "compare_with", "anomaly"),
    *("anomaly.weeks", "anomaly.samples_min", "anomaly.season", "anomaly.direction"),
)
_FILTER: Final = "filter."
_GROUP: Final = "group_by."


def rule_body(form: Mapping[str, str], **changed: Any) -> AlertRuleBody:
    """Return the body that a form describes, with some fields changed.

    Raises:
        FormError: the form is not valid.
    """
    values: dict[str, Any] = {
        name: text for name in _TEXTS if (text := form.get(name, "").strip()) or name == "name"
    }
    values |= {name: form.get(name, "").strip() or "0s" for name in _DURATIONS}
    values |= {
        "enabled": "enabled" in form,
        "shadow": "shadow" in form,
        "filter": {
            name: _values(form[_FILTER + name], _FILTER + name)
            for name in NAMES
            if form.get(_FILTER + name, "").strip()
        },
        "group_by": checked(form, _GROUP),
        "threshold": form.get("threshold", "").strip() or None,
        "recovery_threshold": form.get("recovery_threshold", "").strip() or None,
        "time_zone": form.get("time_zone", "").strip() or "UTC",
        "min_count": whole_number(form.get("min_count", "").strip() or "0", "min_count"),
        "labels": texts_of(form.get("labels", ""), "labels"),
        "annotations": texts_of(form.get("annotations", ""), "annotations"),
        "inhibited_by": _values(form.get("inhibited_by", ""), "inhibited_by"),
    }
    reference = form.get("compare_with", "")
    if reference == ANOMALY:
        values["anomaly"] = _anomaly(form)
    elif reference:
        values["compare_with"] = reference
    return body_of(AlertRuleBody, values | changed)


def form_of_rule(rule: AlertRule) -> dict[str, str]:
    """Return the fields of the form of a rule."""
    shown: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(shown_rule(rule)))
    form = {name: shown[name] for name in (*_TEXTS, *_DURATIONS)}
    form |= {
        "threshold": rule.threshold,
        "recovery_threshold": rule.recovery_threshold or "",
        "time_zone": rule.time_zone,
        "min_count": str(rule.min_count or ""),
        "labels": text_of(rule.labels),
        "annotations": text_of(rule.annotations),
        "inhibited_by": _line(rule.inhibited_by),
        "compare_with": ANOMALY if rule.anomaly else rule.compare_with,
    }
    form |= {name: "on" for name in ("enabled", "shadow") if shown[name]}
    form |= {_FILTER + name: _line(values) for name, values in rule.filter.items()}
    form |= {_GROUP + name: "on" for name in rule.group_by}
    if rule.anomaly:
        form |= {f"anomaly.{name}": str(each) for name, each in rule.anomaly.model_dump().items()}
    return form


def new_form(parameters: Mapping[str, str], time_zone: str) -> dict[str, str]:
    """Return the fields of the form of a new rule; links can fill them in."""
    form = {
        "enabled": "on",
        "metric": "p95_latency",
        "comparison": ">",
        "window": "5m",
        "severity": "warning",
        "no_data": "ok",
        "time_zone": time_zone or "UTC",
    }
    known = {name for name in parameters if name in FIELDS or name.startswith(_GROUP)}
    return form | {name: parameters[name] for name in known}


def texts_of(text: str, field: str) -> dict[str, str]:
    """Return texts by name: lines such as `name = text`, or JSON if texts have several lines.

    Raises:
        FormError: a line has no `=`, a name appears twice, or the JSON is not valid.
    """
    if text.lstrip().startswith("{") and not text.lstrip().startswith("{{"):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise FormError({field: f"not valid JSON: {error}"}) from error
        return found if isinstance(found, dict) else {}
    return pairs_of(text, field, "text", at_first=True)


def text_of(texts: Mapping[str, str]) -> str:
    """Return the text that ``texts_of`` reads."""
    lines = "\n".join(f"{name} = {text}" for name, text in texts.items())
    is_plain = all(len(text.splitlines()) < 2 and text == text.strip() for text in texts.values())
    if is_plain and texts_of(lines, "") == dict(texts):
        return lines
    return json.dumps(texts, ensure_ascii=False, indent=1)


def _values(text: str, field: str) -> list[str]:
    """Return the values of a line: separated by commas, with quotes around those with commas."""
    try:
        rows = list(csv.reader(io.StringIO(text), skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise FormError({field: f"not values separated by commas: {error}"}) from error
    return [each.strip() for row in rows for each in row if each.strip()]


def _line(values: tuple[str, ...]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(values)
    return line.getvalue().replace("\r", "")


def _anomaly(form: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: text
        for name in ("season", "direction")
        if (text := form.get(f"anomaly.{name}", "").strip())
    }
    for name in _ANOMALY_NUMBERS:
        field = f"anomaly.{name}"
        if text := form.get(field, "").strip():
            found[name] = whole_number(text, field)
    return found
