"""Convert the form of a dashboard to the body of a request, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from producers.documents.kinds.dashboard import Dashboard
from query_api.console.form_bodies import lines_of
from query_api.dashboards.bodies import VARIABLES_MAX
from query_api.dashboards.variables import DIMENSIONS

PARTS: Final = ("name", "dimension", "values")
FIELDS: Final = (
    "name", "description", "range",
    *(f"variables.{at}.{part}" for at in range(VARIABLES_MAX) for part in PARTS),
    "variables",
)  # fmt: skip
VARIABLES: Final = tuple(DIMENSIONS)


def form_of_dashboard(dashboard: Dashboard) -> dict[str, str]:
    """Return the fields of the form of a dashboard."""
    form = {name: getattr(dashboard, name) for name in ("name", "description", "range")}
    for at, each in enumerate(dashboard.variables):
        form[f"variables.{at}.name"] = each.name
        form[f"variables.{at}.dimension"] = each.dimension
        form[f"variables.{at}.values"] = "\n".join(each.values)
    return form


def settings_of(form: Mapping[str, str]) -> dict[str, Any]:
    """Return the members of the body that the form has.

    A variable without a dimension is left out; one without a name has that of its dimension.

    Raises:
        FormError: there are too many lines.
    """
    variables: list[dict[str, Any]] = []
    for at in range(VARIABLES_MAX):
        name, dimension, values = (form.get(f"variables.{at}.{part}", "") for part in PARTS)
        if dimension.strip():
            variables.append(
                {
                    "name": name.strip() or dimension,
                    "dimension": dimension,
                    "values": lines_of(values, f"variables.{len(variables)}.values"),
                }
            )
    return {
        "name": form.get("name", ""),
        "description": form.get("description", "").replace("\r\n", "\n").strip(),
        "range": form.get("range", "") or "24h",
        "variables": variables,
    }


def compacted(form: Mapping[str, str]) -> dict[str, str]:
    """Return a form whose variables are numbered as those of its body."""
    kept = {name: value for name, value in form.items() if not name.startswith("variables.")}
    number = 0
    for at in range(VARIABLES_MAX):
        if form.get(f"variables.{at}.dimension", "").strip():
            for part in PARTS:
                kept[f"variables.{number}.{part}"] = form.get(f"variables.{at}.{part}", "")
            number += 1
    return kept
