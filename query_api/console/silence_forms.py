"""Convert forms of silences to bodies of ``/v1/silences``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from producers.control.kinds.silence import WEEKDAYS
from query_api.alerting.silence_bodies import SilenceBody
from query_api.console.form_bodies import FormError, body_of, checked, lines_of

FIELDS: Final = (
    *("matchers", "author", "reason", "duration", "recurring"),
    *("recurring.days", "recurring.start", "recurring.end", "recurring.time_zone"),
)
DURATIONS: Final = ("30m", "1h", "4h", "1d", "1w")
UNTIL_EXPIRED: Final = "until_expired"
_MATCHER: Final = re.compile(r"(?P<name>[^=!~\s]+)\s*(?P<op>=~|!~|!=|=)\s*(?P<value>.*)")
_DAY: Final = "recurring.days."


def silence_body(form: Mapping[str, str]) -> SilenceBody:
    """Return the body that a form describes.

    Raises:
        FormError: the form is not valid.
    """
    values: dict[str, Any] = {
        "matchers": _matchers(form.get("matchers", "")),
        "author": form.get("author", "").strip(),
        "reason": form.get("reason", "").strip(),
    }
    duration = form.get("duration", "").strip()
    if duration != UNTIL_EXPIRED:
        values["duration"] = duration or "0s"
    if "is_recurring" in form:
        values["recurring"] = {
            "days": [day for day in WEEKDAYS if day in checked(form, _DAY)],
            "start": form.get("recurring.start", "").strip() or "00:00",
            "end": form.get("recurring.end", "").strip() or "24:00",
            "time_zone": form.get("recurring.time_zone", "").strip() or "UTC",
        }
    return body_of(SilenceBody, values)


def new_form(parameters: Mapping[str, str], time_zone: str, author: str) -> dict[str, str]:
    """Return the fields of the form of a new silence; links can fill them in."""
    form = {"duration": "1h", "author": author, "recurring.time_zone": time_zone or "UTC"}
    form |= {_DAY + day: "on" for day in WEEKDAYS}
    return form | {name: parameters[name] for name in FIELDS if name in parameters}


def matchers_of(labels: Mapping[str, str]) -> str:
    """Return the lines of a form that match labels."""
    return "\n".join(f"{name} = {value}" for name, value in labels.items() if "\n" not in value)


def _matchers(text: str) -> list[dict[str, str]]:
    matchers = []
    for line in lines_of(text, "matchers"):
        found = _MATCHER.fullmatch(line)
        if found is None:
            message = f"{line[:64]!r} is not a line such as team = search"
            raise FormError({"matchers": message})
        matchers.append(found.groupdict())
    return matchers
