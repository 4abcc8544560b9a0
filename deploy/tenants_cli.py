"""`tracemill projects` and `tracemill keys`: create, list, show, rotate, revoke and delete."""

from __future__ import annotations

import json
import sys
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from deploy.api_options import AsJson, KeyId, OfProject, ProjectId, Url, Yes
from deploy.durations import A_DURATION, is_duration, seconds_in
from deploy.record_output import print_record, print_records, printable

if TYPE_CHECKING:
    from deploy.admin_client import AdminClient

_ABOUT: Final = """

    The commands use the admin key in TRACEMILL_ADMIN_SECRET_KEY, or, on the machine of
    `tracemill up`, the key in its data directory: set TRACEMILL_DATA_DIR to that of `tracemill up
    --data-dir`. The exit code is 1 if the server refuses the request or does not respond, 2 if an
    option is invalid, and 78 if there is no admin key."""

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

_YEAR_MAX: Final = 2254
"""Latest year of times in records."""
_PROJECTS: Final = ("v1", "admin", "projects")


@projects.command("create")
def create_project(
    project_id: ProjectId,
    name: Annotated[str | None, typer.Option(help="Its name.", show_default="its id")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Create a project, without keys."""
    body = {"id": project_id, "name": name or project_id}
    made = _client(url).record("POST", _PROJECTS, body)
    print_record(made, as_json, _PROJECT)
    if not as_json:
        print(f"Create a key with: tracemill keys create --project {project_id}")


@projects.command("list")
def list_projects(url: Url = None, as_json: AsJson = False) -> None:
    """List all projects, oldest first."""
    print_records(_client(url).pages(_PROJECTS), as_json, _PROJECT)


@projects.command("show")
def show_project(project_id: ProjectId, url: Url = None, as_json: AsJson = False) -> None:
    """Show a project, and while it is being deleted, the progress."""
    found = _client(url).record("GET", _project(project_id))
    if as_json:
        print_record(found, as_json, _PROJECT)
        return
    from deploy.deletion_wait import progress_of

    shown = {**found, "progress": progress_of(found)}
    print_record(shown, as_json, (*_PROJECT, "progress"))


@projects.command("rename")
def rename_project(
    project_id: ProjectId,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its new name.")],
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Change the name of a project."""
    changed = _client(url).record("PATCH", _project(project_id), {"name": name})
    print_record(changed, as_json, _PROJECT)


@projects.command("delete")
def delete_project(
    project_id: ProjectId,
    yes: Yes = False,
    wait: Annotated[
        bool,
        typer.Option(
            "--wait",
            help="Wait until the project is deleted, and show the progress. This also works for a"
            " project that is already being deleted.",
        ),
    ] = False,
    timeout: Annotated[
        str,
        typer.Option(
            help="Maximum time of --wait, such as 90s or 2h. After it, the command exits with 124,"
            " and the deletion continues."
        ),
    ] = "30m",
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Delete a project with all its data. Its keys are refused immediately.

    The data is deleted in the background.
    """
    timeout_s = seconds_in(timeout, "--timeout")
    client = _client(url)
    found = client.record("GET", _project(project_id))
    if not yes:
        _confirm(
            f"Delete the project {printable(str(found.get('name')))} ({project_id}) with its data?"
        )
    deleting = client.record("DELETE", _project(project_id))
    if wait:
        from deploy.deletion_wait import wait_until_deleted

        deleting = wait_until_deleted(client, project_id, _project(project_id), timeout_s)
    print_record(deleting, as_json, _PROJECT)
    if not as_json and not wait:
        print(f"To show the progress: tracemill projects show {project_id}")


@keys.command("create")
def create_key(
    project: OfProject,
    scopes: Annotated[
        str,
        typer.Option(
            help="Scopes, separated by commas: ingest, scores, read, write, metrics, admin."
        ),
    ] = "ingest,scores,read,write",
    expires: Annotated[
        str | None,
        typer.Option(
            help="Duration, date or time of expiry: 12h, 90d, 2027-01-31 (0:00 UTC) or"
            " 2027-01-31T00:00:00Z.",
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
    _print_secret(_client(url).record("POST", _keys(project), body), as_json)


@keys.command("list")
def list_keys(project: OfProject, url: Url = None, as_json: AsJson = False) -> None:
    """List the keys of a project, oldest first, without secrets."""
    found = _client(url).pages(_keys(project))
    print_records(found if as_json else [*map(_with_last_use, found)], as_json, _KEY)


@keys.command("show")
def show_key(key_id: KeyId, project: OfProject, url: Url = None, as_json: AsJson = False) -> None:
    """Show a key, without its secret."""
    found = _client(url).record("GET", _key(project, key_id))
    print_record(found if as_json else _with_last_use(found), as_json, (*_KEY, _OVERLAP))


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
    body = {"overlap_s": 0 if overlap in {"0", "0s"} else seconds_in(overlap, "--overlap")}
    rotated = _client(url).record("POST", (*_key(project, key_id), "rotate"), body)
    _print_secret(rotated, as_json)


@keys.command("revoke")
def revoke_key(key_id: KeyId, project: OfProject, url: Url = None, as_json: AsJson = False) -> None:
    """Revoke a key. It is refused immediately."""
    _client(url).call("DELETE", _key(project, key_id))
    print(json.dumps({"id": key_id, "revoked": True}) if as_json else f"revoked {key_id}")


_PROJECT: Final = ("id", "name", "state", "created_at", "deleting_since", "deleted_at")
_KEY: Final = (
    *("id", "public_key", "hint", "scopes", "note"),
    *("created_at", "expires_at", "last_used"),
)
_OVERLAP: Final = "previous_secret_valid_until"


def _client(url: str | None) -> AdminClient:
    from deploy.admin_client import admin_client

    return admin_client(url)


def _project(project_id: str) -> tuple[str, ...]:
    return (*_PROJECTS, project_id)


def _keys(project_id: str) -> tuple[str, ...]:
    return (*_project(project_id), "keys")


def _key(project_id: str, key_id: str) -> tuple[str, ...]:
    return (*_keys(project_id), key_id)


def _with_last_use(key: dict[str, Any]) -> dict[str, Any]:
    """Return a key with a description of its last use.

    By default, the API records a use at most once per hour, so the last use may be later than
    recorded.
    """
    at = str(key.get("last_used_at") or "")
    return {**key, "last_used": f"in the hour after {at[:16]}Z" if at else "never"}


def _confirm(question: str) -> None:
    if not sys.stdin.isatty():
        raise typer.BadParameter("use --yes if there is no terminal", param_hint="--yes")
    typer.confirm(question, abort=True)


def _expiry(text: str) -> str:
    """Convert a time, a date or a duration from now to a time for the API."""
    try:
        if is_duration(text):
            at = datetime.now(UTC) + timedelta(seconds=seconds_in(text, "--expires"))
        else:
            at = _time(text)
    except (ValueError, OverflowError):
        at = None
    if at is None or at.tzinfo is None or at.year > _YEAR_MAX:
        raise typer.BadParameter(
            f"{text!r} is neither {A_DURATION}, nor a date such as 2027-01-31 (0:00 UTC), nor a"
            f" time such as 2027-01-31T00:00:00Z; the latest year is {_YEAR_MAX}",
            param_hint="--expires",
        )
    return at.isoformat()


def _time(text: str) -> datetime:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return datetime.fromisoformat(text)
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _print_secret(record: dict[str, Any], as_json: bool) -> None:
    print_record(record, as_json, (*_KEY[:2], "secret_key", *_KEY[3:], _OVERLAP))
    if not as_json:
        print("The secret key is not shown again.")
