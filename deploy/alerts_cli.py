"""`tracemill alerts`: list rules and current alerts, acknowledge episodes, and silence alerts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Final

import typer

from deploy.api_options import AsJson, PublicKey, SecretKey, Url, api_of_project
from deploy.arguments import checked_id
from deploy.record_output import print_record, print_records
from producers.notifications.wording import amount_text, unit_compared

alerts = typer.Typer(
    name="alerts",
    no_args_is_help=True,
    help="""List alert rules and current alerts, acknowledge episodes, and silence alerts.

    The commands use the project's key.""",
)

_RULE_COLUMNS: Final = (
    *("id", "name", "metric", "comparison", "threshold", "window", "severity", "enabled"),
    *("shadow", "fault"),
)
_STATE_COLUMNS: Final = (
    *("episode_id", "rule_name", "state", "severity", "group", "value", "threshold", "since"),
    *("acknowledged_by", "suppressed_by", "incomplete"),
)
_SILENCE_FIELDS: Final = ("id", "state", "matchers", "author", "reason", "starts_at", "ends_at")
_ACKNOWLEDGEMENT_FIELDS: Final = ("episode_id", "rule_id", "author", "note", "created_at")
_MATCHER: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]{0,63})(=~|!~|!=|=)(.*)", re.DOTALL)

Author = Annotated[str, typer.Option(help="Your name.")]
Episode = Annotated[
    str, typer.Argument(metavar="EPISODE", help="Id of the episode, from `tracemill alerts list`.")
]
SilenceId = Annotated[
    str, typer.Argument(metavar="SILENCE", help="Id of the silence: sil_….", callback=checked_id)
]


@alerts.command("rules")
def list_rules(
    url: Url = None,
    public_key: PublicKey = None,
    secret_key: SecretKey = None,
    as_json: AsJson = False,
) -> None:
    """List the alert rules of the project."""
    client = api_of_project(url, public_key, secret_key)
    rules = client.pages(("v1", "alert-rules"))
    shown = rules if as_json else [{**each, **_with_units(each)} for each in rules]
    print_records(shown, as_json, _RULE_COLUMNS)


@alerts.command("list")
def list_alerts(
    state: Annotated[
        str, typer.Option(help="States, separated by commas, such as firing,no_data.")
    ] = "pending,firing,recovering,no_data,error",
    url: Url = None,
    public_key: PublicKey = None,
    secret_key: SecretKey = None,
    as_json: AsJson = False,
) -> None:
    """List the groups of rules that are in some states now, the latest change first."""
    client = api_of_project(url, public_key, secret_key)
    states = client.pages(("v1", "alerts"), state=state)
    shown = states if as_json else [{**each, **_with_units(each)} for each in states]
    print_records(shown, as_json, _STATE_COLUMNS)


@alerts.command("ack")
def acknowledge(
    episode: Episode,
    author: Author = "",
    note: Annotated[str, typer.Option(help="A note, which is shown with the episode.")] = "",
    url: Url = None,
    public_key: PublicKey = None,
    secret_key: SecretKey = None,
    as_json: AsJson = False,
) -> None:
    """Acknowledge an episode, so that its notifications are not repeated."""
    client = api_of_project(url, public_key, secret_key)
    body = {"author": author, "note": note}
    path = ("v1", "alerts", episode, "acknowledge")
    found = client.record("POST", path, body, fields=("episode_id",))
    print_record(found, as_json, _ACKNOWLEDGEMENT_FIELDS)


@alerts.command("silence")
def create_silence(
    matchers: Annotated[
        list[str],
        typer.Argument(
            metavar="MATCHER...",
            help="Conditions on labels, such as team=search or model=~gpt-4.*; all must match.",
        ),
    ],
    duration: Annotated[str, typer.Option("--for", help="Time from now, such as 30m or 2h.")],
    author: Author = "",
    reason: Annotated[str, typer.Option(help="Reason of the silence.")] = "",
    url: Url = None,
    public_key: PublicKey = None,
    secret_key: SecretKey = None,
    as_json: AsJson = False,
) -> None:
    """Silence alerts for some time: they are evaluated and recorded, but not delivered."""
    body = {
        "matchers": [_matcher(each) for each in matchers],
        "duration": duration,
        "author": author,
        "reason": reason,
    }
    client = api_of_project(url, public_key, secret_key)
    print_record(client.record("POST", ("v1", "silences"), body), as_json, _SILENCE_FIELDS)


@alerts.command("silences")
def list_silences(
    url: Url = None,
    public_key: PublicKey = None,
    secret_key: SecretKey = None,
    as_json: AsJson = False,
) -> None:
    """List the silences of the project, oldest first."""
    client = api_of_project(url, public_key, secret_key)
    print_records(client.pages(("v1", "silences")), as_json, _SILENCE_FIELDS)


@alerts.command("expire")
def expire_silence(
    silence_id: SilenceId,
    url: Url = None,
    public_key: PublicKey = None,
    secret_key: SecretKey = None,
    as_json: AsJson = False,
) -> None:
    """End a silence now."""
    client = api_of_project(url, public_key, secret_key)
    found = client.record("POST", ("v1", "silences", silence_id, "expire"))
    print_record(found, as_json, _SILENCE_FIELDS)


def _with_units(record: Mapping[str, Any]) -> dict[str, str]:
    """Return the value and the threshold of a rule or a state as texts with their unit."""
    compared = unit_compared(record.get("compare_with"), record.get("anomaly"))  # of a rule
    unit = compared or record.get("unit") or ""
    texts = {}
    for name in ("value", "threshold"):
        if record.get(name) is not None:
            texts[name] = amount_text(Decimal(str(record[name])), unit)
    return texts


def _matcher(text: str) -> dict[str, str]:
    found = _MATCHER.fullmatch(text)
    if found is None:
        message = f"{text[:128]!r} is not a condition such as team=search, !=, =~ or !~"
        raise typer.BadParameter(message, param_hint="MATCHER")
    return {"name": found[1], "op": found[2], "value": found[3]}
