"""`tracemill projects` and `tracemill keys`: create, list, show, rotate, revoke and delete."""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote

import typer

from deploy.record_output import print_record, print_records, printable

if TYPE_CHECKING:
    from deploy.admin_client import AdminClient

_ABOUT: Final = """

    The commands use the admin key in TRACEMILL_ADMIN_SECRET_KEY, or, on the machine of
    `tracemill up`, the key in its data directory. They exit with 1 if the server refuses or does
    not answer, 2 for invalid options, and 78 if there is no admin key."""

projects = typer.Typer(
    name="projects",
    no_args_is_help=True,
    help=f"Create, list, show, rename and delete projects.{_ABOUT}",
)
keys = typer.Typer(
    name="keys",
    no_args_is_help=True,
    help=f"Create, list, show, rotate and revoke the keys of projects.{_ABOUT}",
)

_DURATION: Final = re.compile(r"([1-9][0-9]{0,8})([smhdw])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}

Url = Annotated[
    str | None,
    typer.Option(
        help="Address of tracemill.",
        envvar="TRACEMILL_URL",
        show_default="that of `tracemill up` on this machine, or http://127.0.0.1:7700",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ProjectId = Annotated[str, typer.Argument(metavar="PROJECT", help="Id of the project.")]
OfProject = Annotated[str, typer.Option("--project", help="Id of the project.")]
KeyId = Annotated[str, typer.Argument(metavar="KEY", help="Id of the key: key_….")]


@projects.command("create")
def create_project(
    project_id: ProjectId,
    name: Annotated[str | None, typer.Option(help="Its name.", show_default="its id")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Create a project, without keys."""
    body = {"id": project_id, "name": name or project_id}
    made = _client(url).call("POST", "/v1/admin/projects", body)
    print_record(made, as_json, _PROJECT)
    if not as_json:
        print(f"Create a key with: tracemill keys create --project {project_id}")


@projects.command("list")
def list_projects(url: Url = None, as_json: AsJson = False) -> None:
    """List all projects, oldest first."""
    print_records(_client(url).pages("/v1/admin/projects"), as_json, _PROJECT)


@projects.command("show")
def show_project(project_id: ProjectId, url: Url = None, as_json: AsJson = False) -> None:
    """Show a project."""
    print_record(_client(url).call("GET", _project(project_id)), as_json, _PROJECT)


@projects.command("rename")
def rename_project(
    project_id: ProjectId,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its new name.")],
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Change the name of a project."""
    changed = _client(url).call("PATCH", _project(project_id), {"name": name})
    print_record(changed, as_json, _PROJECT)


@projects.command("delete")
def delete_project(
    project_id: ProjectId,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Delete a project with all its data. Its keys are refused immediately."""
    client = _client(url)
    found = client.call("GET", _project(project_id))
    if not yes:
        _confirm(f"Delete the project {printable(found['name'])} ({project_id}) with its data?")
    print_record(client.call("DELETE", _project(project_id)), as_json, _PROJECT)


@keys.command("create")
def create_key(
    project: OfProject,
    scopes: Annotated[
        str,
        typer.Option(help="Scopes, separated by commas: ingest, scores, read, write, admin."),
    ] = "ingest,scores,read,write",
    expires: Annotated[
        str | None,
        typer.Option(
            help="Duration or time of expiry, such as 12h, 90d or 2027-01-31T00:00:00Z.",
            show_default="never",
        ),
    ] = None,
    note: Annotated[str, typer.Option(help="Note about the purpose of the key.")] = "",
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Create a key and show its secret, which cannot be shown again."""
    body: dict[str, Any] = {
        "scopes": [each.strip() for each in scopes.split(",") if each.strip()],
        "note": note,
    }
    if expires is not None:
        body["expires_at"] = _expiry(expires)
    _print_secret(_client(url).call("POST", f"{_project(project)}/keys", body), as_json)


@keys.command("list")
def list_keys(project: OfProject, url: Url = None, as_json: AsJson = False) -> None:
    """List the keys of a project, oldest first, without secrets."""
    print_records(_client(url).pages(f"{_project(project)}/keys"), as_json, _KEY)


@keys.command("show")
def show_key(key_id: KeyId, project: OfProject, url: Url = None, as_json: AsJson = False) -> None:
    """Show a key, without its secret."""
    print_record(_client(url).call("GET", _key(project, key_id)), as_json, _KEY)


@keys.command("rotate")
def rotate_key(
    key_id: KeyId,
    project: OfProject,
    overlap: Annotated[
        str, typer.Option(help="Time for which the old secret stays valid, such as 30m or 24h.")
    ] = "0s",
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Rotate the secret of a key and show the new one, which cannot be shown again."""
    body = {"overlap_s": 0 if overlap in {"0", "0s"} else _seconds(overlap, "--overlap")}
    rotated = _client(url).call("POST", f"{_key(project, key_id)}/rotate", body)
    _print_secret(rotated, as_json)


@keys.command("revoke")
def revoke_key(key_id: KeyId, project: OfProject, url: Url = None, as_json: AsJson = False) -> None:
    """Revoke a key. It is refused immediately."""
    _client(url).call("DELETE", _key(project, key_id))
    print(json.dumps({"id": key_id, "revoked": True}) if as_json else f"revoked {key_id}")


_PROJECT: Final = ("id", "name", "state", "created_at", "deleting_since", "deleted_at", "rows_left")
_KEY: Final = (
    *("id", "public_key", "hint", "scopes", "note"),
    *("created_at", "expires_at", "last_used_at"),
)


def _client(url: str | None) -> AdminClient:
    from deploy.admin_client import admin_client

    return admin_client(url)


def _project(project_id: str) -> str:
    return f"/v1/admin/projects/{quote(project_id, safe='')}"


def _key(project_id: str, key_id: str) -> str:
    return f"{_project(project_id)}/keys/{quote(key_id, safe='')}"


def _confirm(question: str) -> None:
    if not sys.stdin.isatty():
        raise typer.BadParameter("confirm with --yes where nobody can answer", param_hint="--yes")
    typer.confirm(question, abort=True)


def _seconds(text: str, option: str) -> int:
    found = _DURATION.fullmatch(text)
    if found is None:
        message = f"{text!r} is not a duration such as 30m, 12h or 90d"
        raise typer.BadParameter(message, param_hint=option)
    return int(found[1]) * _SECONDS[found[2]]


def _expiry(text: str) -> str:
    """Convert a time, or a duration from now, to a time for the API."""
    if not _DURATION.fullmatch(text) and "T" in text:
        return text
    try:
        at = datetime.now(UTC) + timedelta(seconds=_seconds(text, "--expires"))
    except OverflowError:
        raise typer.BadParameter("that is too late", param_hint="--expires") from None
    return at.isoformat(timespec="seconds")


def _print_secret(record: dict[str, Any], as_json: bool) -> None:
    print_record(
        record, as_json, (*_KEY[:2], "secret_key", *_KEY[3:], "previous_secret_valid_until")
    )
    if not as_json:
        print("The secret key is not shown again.")
