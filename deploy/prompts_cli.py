"""`tracemill prompts`: list, export, import, compare and roll back prompts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlencode

import typer

from deploy.api_options import AsJson, PublicKey, SecretKey, Url, api_of_project
from deploy.argument_files import write_file
from deploy.errors import RefusedError
from deploy.record_output import print_record, print_records, printable

if TYPE_CHECKING:
    from deploy.admin_client import AdminClient
    from deploy.prompt_files import PromptEntry

prompts = typer.Typer(
    name="prompts",
    no_args_is_help=True,
    help="""List, export, import, compare and roll back prompts.

    The commands use the project's key. Files contain prompts by name:

    {"NAME": {"prompt": "…", "labels": ["production"], "config": {}}}

    Applications can read such a file if no server can be reached. Only `prompt` (or `template`) is
    required; `{"NAME": "…"}` is also accepted.""",
)

_PATH: Final = ("api", "public", "v2", "prompts")
_COLUMNS: Final = ("name", "type", "versions", "labels", "tags", "lastUpdatedAt")
_CHANGE: Final = ("name", "change", "version", "labels")
LATEST: Final = "latest"
PRODUCTION: Final = "production"
NOT_FOUND: Final = 404
PAGE: Final = 100

Label = Annotated[str, typer.Option(help="Label of the versions.")]
Source = Annotated[Path, typer.Argument(metavar="FILE", help="File of prompts.")]


@prompts.command("list")
def list_prompts(
    url: Url = None,
    public_key: PublicKey = None,
    secret_key: SecretKey = None,
    as_json: AsJson = False,
) -> None:
    """List prompts by name."""
    print_records(_listed(api_of_project(url, public_key, secret_key)), as_json, _COLUMNS)


@prompts.command("export")
def export_prompts(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...", help="Prompts; without names, all that have the label."
        ),
    ] = None,
    label: Label = PRODUCTION,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write.", show_default="standard output"),
    ] = None,
    url: Url = None,
    public_key: PublicKey = None,
    secret_key: SecretKey = None,
) -> None:
    """Write the versions with a label to a file of prompts.

    If prompts do not change, the file does not change either.
    """
    from deploy.prompt_files import exported, text_of_file

    client = api_of_project(url, public_key, secret_key)
    if not names:
        listed = _listed(client, label=label)
        names = [str(each["name"]) for each in listed]
    entries: dict[str, Any] = {}
    for name in names:
        resolved = _version(client, name, label=label)
        source = _version(client, name, label=label, resolve="false")
        if resolved is None or source is None:
            raise RefusedError(f"no prompt {printable(name)} has the label {printable(label)}")
        entries[name] = exported(resolved, source)
    text = text_of_file(entries)
    if output is None:
        print(text, end="")
        return
    write_file(output, text)


@prompts.command("import")
def import_prompts(
    file: Source,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            "--label",
            help="Label of imported versions; repeatable.",
            show_default="those of the file",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print what would change.")
    ] = False,
    url: Url = None,
    public_key: PublicKey = None,
    secret_key: SecretKey = None,
    as_json: AsJson = False,
) -> None:
    """Create versions of the prompts of a file that differ from the latest version.

    Labels are moved to the version with the content of the file. A second import changes nothing.
    """
    from deploy.prompt_files import read_entries

    client = api_of_project(url, public_key, secret_key)
    entries = read_entries(file)
    changes = [_imported(client, each, tuple(labels or each.labels), dry_run) for each in entries]
    print_records(changes, as_json, _CHANGE)


@prompts.command("diff")
def diff_prompts(
    file: Source,
    label: Annotated[
        str | None,
        typer.Option(
            help="Label of the versions.",
            show_default="production, if the file gives it to the prompt; else the first label of"
            " the file, or latest",
        ),
    ] = None,
    url: Url = None,
    public_key: PublicKey = None,
    secret_key: SecretKey = None,
) -> None:
    """Print how the prompts of a file differ from the versions with a label.

    Without --label, a prompt is compared with the version that `import` of the file would label,
    so a file does not differ after its import. The exit code is 1 if there is a difference.
    """
    from deploy.prompt_files import diff_lines, read_entries

    client = api_of_project(url, public_key, secret_key)
    is_different = False
    for entry in read_entries(file):
        compared = label or _label_of(entry)
        current = _version(client, entry.name, label=compared, resolve="false")
        for line in diff_lines(entry, current, compared):
            is_different = True
            print(printable(line))
    if is_different:
        raise typer.Exit(1)


@prompts.command("rollback")
def roll_back_prompt(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the prompt.")],
    to: Annotated[
        int | None,
        typer.Option(
            help="Version that gets the label.",
            min=1,
            show_default="the version before the one that has it",
        ),
    ] = None,
    label: Label = PRODUCTION,
    url: Url = None,
    public_key: PublicKey = None,
    secret_key: SecretKey = None,
    as_json: AsJson = False,
) -> None:
    """Move a label to an earlier version of a prompt."""
    client = api_of_project(url, public_key, secret_key)
    current = _version(client, name, label=label, resolve="false")
    if to is None:
        if current is None:
            raise RefusedError(
                f"no version of {printable(name)} has the label {printable(label)}; set --to"
            )
        (listed,) = _listed(client, name=name) or [{"versions": []}]
        earlier = [each for each in listed["versions"] if each < current["version"]]
        if not earlier:
            raise RefusedError(
                f"{printable(name)} has no version before version {current['version']}"
            )
        to = max(earlier)
    moved = _move(client, name, to, (label,))
    change = "unchanged" if current is not None and current["version"] == to else "rolled back"
    print_record(_change(name, change, to, moved["labels"]), as_json, _CHANGE)


def _label_of(entry: PromptEntry) -> str:
    """Return the label with whose version a prompt of a file is compared."""
    if not entry.labels:
        return LATEST
    return PRODUCTION if PRODUCTION in entry.labels else entry.labels[0]


def _imported(
    client: AdminClient, entry: PromptEntry, labels: tuple[str, ...], dry_run: bool
) -> dict[str, Any]:
    """Import a prompt, and return what changed."""
    current = _version(client, entry.name, label=LATEST, resolve="false")
    if current is None or entry.differs_from(current):
        change = "created" if current is None else "changed"
        version = 1 if current is None else int(current["version"]) + 1
        if not dry_run:
            version = client.record(
                "POST", _PATH, entry.body(labels), fields=("version", "labels")
            )["version"]
        return _change(entry.name, change, version, labels)
    if set(labels) <= set(current["labels"]):
        return _change(entry.name, "unchanged", current["version"], current["labels"])
    if not dry_run:
        _move(client, entry.name, current["version"], labels)
    return _change(entry.name, "labeled", current["version"], labels)


def _change(name: str, change: str, version: int, labels: Any) -> dict[str, Any]:
    return {"name": name, "change": change, "version": version, "labels": list(labels)}


def _move(client: AdminClient, name: str, version: int, labels: tuple[str, ...]) -> dict[str, Any]:
    path = (*_PATH, name, "versions", str(version))
    return client.record("PATCH", path, {"newLabels": list(labels)}, fields=("labels",))


def _version(client: AdminClient, name: str, **parameters: str) -> dict[str, Any] | None:
    """Return a version of a prompt; None if there is none."""
    fields = ("type", "prompt", "config", "labels", "tags", "version")
    try:
        return client.record(
            "GET", (*_PATH, name), query=f"?{urlencode(parameters)}", fields=fields
        )
    except RefusedError as error:
        if error.status == NOT_FOUND:
            return None
        raise


def _listed(client: AdminClient, **parameters: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    page = pages = 1
    while page <= pages:
        query = urlencode({"page": page, "limit": PAGE, **parameters})
        answer = client.record("GET", _PATH, query=f"?{query}", fields=("data",))
        found += answer["data"]
        pages = answer.get("meta", {}).get("totalPages", 0)
        page += 1
    return found
