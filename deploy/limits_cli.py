"""`tracemill limits`: show, set and clear how much a project may send."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from deploy.api_options import AsJson, ProjectId, Url
from deploy.errors import RefusedError
from deploy.record_output import print_records

if TYPE_CHECKING:
    from deploy.admin_client import AdminClient, JsonResponse

limits = typer.Typer(
    name="limits",
    no_args_is_help=True,
    help="""Show, set and clear the limits of a project: rates per second, and quotas.

    If a limit is not set for a project, the default of the installation (TRACEMILL_LIMITS_…)
    applies. Limits apply immediately, in every gateway.

    The commands use the admin key in TRACEMILL_ADMIN_SECRET_KEY, or, on the machine of
    `tracemill up`, the key in its data directory: set TRACEMILL_DATA_DIR to that of `tracemill up
    --data-dir`.""",
)

DEFAULT: Final = "default"
NO_LIMIT: Final = "none"
CONFLICTS_MAX: Final = 5
"""Maximum attempts of a change that conflicts with other changes of the limits."""

_NUMBER: Final = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,18})?)([A-Za-z]*)")
_BYTE_UNITS: Final = {
    "": 1,
    "b": 1,
    **{f"{letter}b": 1_000**power for power, letter in enumerate("kmgt", 1)},
    **{f"{letter}ib": 1_024**power for power, letter in enumerate("kmgt", 1)},
}
_FIELDS: Final = (
    *("events_per_s", "bytes_per_s", "burst_s"),
    *("quota_period", "quota_events", "quota_bytes"),
)
_UNLIMITED_BY_0: Final = frozenset(_FIELDS) - {"burst_s", "quota_period"}
_SHAPE: Final = ("own", "in_force", "used")
_SPECIAL_VALUES: Final = "'none' for no limit, 'default' for the default of the installation."

EventsPerS = Annotated[
    str | None, typer.Option(metavar="NUMBER", help=f"Events per second; {_SPECIAL_VALUES}")
]
BytesPerS = Annotated[
    str | None,
    typer.Option(
        metavar="BYTES",
        help=f"Bytes of decompressed bodies per second, such as 5000000 or 5MB; {_SPECIAL_VALUES}",
    ),
]
BurstS = Annotated[
    str | None,
    typer.Option(
        metavar="SECONDS", help="Seconds of a rate that may be sent at once, or 'default'."
    ),
]
Period = Annotated[
    str | None,
    typer.Option(metavar="PERIOD", help="Period of the quotas in UTC: day, month or 'default'."),
]
Events = Annotated[
    str | None, typer.Option(metavar="NUMBER", help=f"Events per period; {_SPECIAL_VALUES}")
]
Bytes = Annotated[
    str | None,
    typer.Option(
        metavar="BYTES",
        help=f"Bytes of decompressed bodies per period, such as 20GB; {_SPECIAL_VALUES}",
    ),
]


@limits.command("show")
def show_limits(project_id: ProjectId, url: Url = None, as_json: AsJson = False) -> None:
    """Show the limits of a project, the limits in force, and the used part of the quotas."""
    client = _client(url)
    path = _path(project_id)
    _print(client.record("GET", path, fields=_SHAPE), as_json)


@limits.command("set")
def set_limits(
    project_id: ProjectId,
    events_per_s: EventsPerS = None,
    bytes_per_s: BytesPerS = None,
    burst_s: BurstS = None,
    quota_period: Period = None,
    quota_events: Events = None,
    quota_bytes: Bytes = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Set limits of a project. Other limits are not changed."""
    given = {
        "events_per_s": _amount(events_per_s, "--events-per-s"),
        "bytes_per_s": _amount(bytes_per_s, "--bytes-per-s", _BYTE_UNITS),
        "burst_s": _amount(burst_s, "--burst-s", none=False),
        "quota_period": _period(quota_period),
        "quota_events": _whole(_amount(quota_events, "--quota-events"), "--quota-events"),
        "quota_bytes": _whole(_amount(quota_bytes, "--quota-bytes", _BYTE_UNITS), "--quota-bytes"),
    }
    changes = {name: value for name, value in given.items() if value is not None}
    if not changes:
        raise typer.BadParameter("at least one limit is required, such as --events-per-s 200")
    _print(_change(_client(url), project_id, changes), as_json)


@limits.command("clear")
def clear_limits(project_id: ProjectId, url: Url = None, as_json: AsJson = False) -> None:
    """Clear all limits of a project, so that the defaults of the installation apply."""
    client = _client(url)
    client.call("DELETE", _path(project_id))
    _print(client.record("GET", _path(project_id), fields=_SHAPE), as_json)


def _client(url: str | None) -> AdminClient:
    from deploy.admin_client import admin_client

    return admin_client(url)


def _path(project_id: str) -> tuple[str, ...]:
    return ("v1", "admin", "projects", project_id, "limits")


def _change(client: AdminClient, project_id: str, changes: dict[str, Any]) -> dict[str, Any]:
    """Apply ``changes`` to the current limits; repeat this if they change at the same time."""
    for attempt in range(CONFLICTS_MAX):
        read = client.exchange("GET", _path(project_id))
        try:
            return _put(client, project_id, read, changes)
        except RefusedError as error:
            if error.status not in {409, 412} or attempt == CONFLICTS_MAX - 1:
                raise
    raise AssertionError


def _put(
    client: AdminClient, project_id: str, read: JsonResponse, changes: dict[str, Any]
) -> dict[str, Any]:
    path = _path(project_id)
    own = client.checked("GET", path, read.body, _SHAPE)["own"]
    body = {name: own.get(name) for name in _FIELDS}
    body |= {name: None if value == DEFAULT else value for name, value in changes.items()}
    written = client.call("PUT", path, body, if_match=read.etag)
    return client.checked("PUT", path, written, _SHAPE)


def _amount(
    text: str | None, option: str, units: dict[str, int] | None = None, *, none: bool = True
) -> float | int | str | None:
    """Return a limit as a number or `default`; None if there is no such option."""
    if text is None or text == DEFAULT:
        return text
    if none and text == NO_LIMIT:
        return 0
    found = _NUMBER.fullmatch(text)
    unit = (units or {"": 1}).get(found[2].lower()) if found is not None else None
    if found is None or unit is None:
        kind = "a number of 0 or more"
        if units:
            kind += ", perhaps with a unit such as MB or MiB"
        words = f"{kind}, nor '{NO_LIMIT}' or '{DEFAULT}'" if none else f"{kind}, nor '{DEFAULT}'"
        raise typer.BadParameter(f"{text!r} is not {words}", param_hint=option)
    number = float(found[1]) if "." in found[1] else int(found[1])
    return number * unit


def _whole(amount: float | str | None, option: str) -> int | str | None:
    if amount is None or isinstance(amount, str):
        return amount
    if amount != int(amount):
        raise typer.BadParameter(f"{amount} is not a whole number", param_hint=option)
    return int(amount)


def _period(text: str | None) -> str | None:
    if text not in {None, "day", "month", DEFAULT}:
        message = f"{text!r} is not day, month or '{DEFAULT}'"
        raise typer.BadParameter(message, param_hint="--quota-period")
    return text


def _print(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    used = found["used"] or {}
    rows = [
        {
            "limit": name.replace("_", " "),
            "of_the_project": _shown(found["own"].get(name), name, "default"),
            "in_force": _shown(found["in_force"].get(name), name, ""),
            "used": used.get(name.removeprefix("quota_")) if name.startswith("quota_") else None,
        }
        for name in _FIELDS
    ]
    print_records(rows, False, tuple(rows[0]))
    if used:
        print(f"The period ends at {used.get('period_ends_at')}.")


def _shown(value: Any, name: str, if_none: str) -> str:
    if value is None:
        return if_none
    if value == 0 and name in _UNLIMITED_BY_0:
        return NO_LIMIT
    return (
        f"{value:g}" if isinstance(value, float) and value < 1e6 else f"{value}".removesuffix(".0")
    )
