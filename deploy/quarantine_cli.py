"""Commands of `tracemill quarantine`: list, show, replay and skip records that crash workers."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from deploy.quarantine_access import QuarantineAccess
    from streams.core.quarantine.quarantined import Entry, Kind

quarantine = typer.Typer(
    name="quarantine",
    no_args_is_help=True,
    help="""List, show, replay and skip records that crash their worker.

    When a worker crashes, runs out of memory or hangs, the next worker finds the event that is the
    cause and quarantines it. All other events are processed. Totals, windows and budgets do not
    contain quarantined events until they are replayed.

    The commands need a broker: TRACEMILL_BROKER, or a running `tracemill up` on
    TRACEMILL_DATA_DIR.""",
)

PAYLOAD_CHARS: Final = 2_000

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Ids = Annotated[
    list[str],
    typer.Argument(
        metavar="ID...", help="Ids as in `tracemill quarantine list`, such as events/0/1234."
    ),
]


@quarantine.command("list")
def list_entries(
    state: Annotated[
        str | None,
        typer.Option(
            help="List only records in this state: quarantined, skipped or replayed.",
            metavar="STATE",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List quarantined records, and partitions whose workers crash repeatedly."""
    if state not in {None, "quarantined", "skipped", "replayed"}:
        message = "must be quarantined, skipped or replayed"
        raise typer.BadParameter(message, param_hint="--state")

    async def run(access: QuarantineAccess) -> None:
        entries = [each for each in access.view.all_entries() if state in {None, each.state}]
        blocked = await _blocked(access)
        if as_json:
            _print_json({"entries": [_as_dict(each) for each in entries], "blocked": blocked})
            return
        _print_table(entries)
        for each in blocked:
            place = f"--topic {each['topic']} --partition {each['partition']}"
            print(
                f"{each['topic']}/{each['partition']}: {each['deaths']} workers crashed at offset "
                f"{each['next_offset']} or soon after it. If this continues, run:\n"
                f"  tracemill quarantine skip {place} --offset {each['next_offset']}"
            )

    _with_quarantine(run)


@quarantine.command()
def show(
    entry_id: Annotated[str, typer.Argument(metavar="ID", help="Such as events/0/1234.")],
    as_json: AsJson = False,
) -> None:
    """Show one record: how its worker crashed, its dead letters and its payload."""

    async def run(access: QuarantineAccess) -> None:
        from deploy.quarantine_actions import entry_of
        from streams.core.quarantine.quarantined import only_lines

        entry = entry_of(access, entry_id)
        record = await access.source_record(entry.kind, entry.partition, entry.offset)
        if record is not None and record.timestamp != entry.timestamp_ms:
            record = None
        payload = None if record is None else only_lines(record.value or b"", entry.lines)
        fields = {
            **_as_dict(entry),
            "payload": None if payload is None else payload.decode(errors="replace"),
        }
        if as_json:
            _print_json(fields)
            return
        text = fields.pop("payload")
        for name, value in fields.items():
            print(f"{name + ':':16}{value}")
        if text is None:
            print("payload:        deleted from its topic; see the dead letters")
        else:
            more = len(text) - PAYLOAD_CHARS
            print(f"payload:\n{text[:PAYLOAD_CHARS]}")
            print(f"… {more} more characters (--json shows all)" if more > 0 else "", end="\n")

    _with_quarantine(run)


@quarantine.command()
def replay(ids: Ids) -> None:
    """Append quarantined records or dead letters to their topics again, by id.

    A replayed record is processed like an event that arrives now. Replaying it twice changes
    nothing. If it crashes its worker again, it is quarantined again with a new id. A dead letter
    can be replayed if its payload is stored completely.
    """

    async def run(access: QuarantineAccess) -> None:
        from clickhouse.settings import StoreSettings
        from clickhouse.store import Store
        from deploy.quarantine_actions import (
            entry_of,
            is_dead_letter_id,
            replay_dead_letter,
            replay_entry,
        )

        store = Store(StoreSettings())
        try:
            for each in ids:
                if is_dead_letter_id(each):
                    print(await replay_dead_letter(access, store, each))
                else:
                    print(await replay_entry(access, entry_of(access, each)))
        finally:
            await store.close()

    _with_quarantine(run)


@quarantine.command()
def skip(
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID...]", help="Ids of quarantined records."),
    ] = None,
    topic: Annotated[
        str | None,
        typer.Option(help="Topic of a record that is not in quarantine: events or deltas."),
    ] = None,
    partition: Annotated[int | None, typer.Option(help="Its partition.", min=0)] = None,
    offset: Annotated[int | None, typer.Option(help="Its offset.", min=0)] = None,
) -> None:
    """Skip quarantined records, or one record that blocks its partition.

    Totals, windows and budgets do not contain skipped records unless they are replayed later. Each
    event is kept as a dead letter. A skipped record of `deltas` is missing only in windows and
    budgets; traces and observations are complete. If a worker crashed between writing the changes
    of windows and the rows of a record, windows contain these changes even if it is skipped.
    Running workers skip the record immediately, others when they start. For a record that is not in
    quarantine, use --topic, --partition and --offset.
    """
    place = (topic, partition, offset)
    if (ids and any(each is not None for each in place)) or (
        not ids and any(each is None for each in place)
    ):
        raise typer.BadParameter("ids, or --topic, --partition and --offset, are required")
    name = "" if topic is None else topic.rpartition(".")[2]
    if topic is not None and name not in {"events", "deltas"}:
        raise typer.BadParameter("must be events or deltas", param_hint="--topic")

    async def run(access: QuarantineAccess) -> None:
        from deploy.quarantine_actions import entry_of, skip_entry, skip_record

        if partition is not None and offset is not None:
            kind: Kind = "events" if name == "events" else "deltas"
            print(await skip_record(access, kind, partition, offset))
        for each in ids or ():
            print(await skip_entry(access, entry_of(access, each)))

    _with_quarantine(run)


def _with_quarantine(run: Callable[[QuarantineAccess], Awaitable[None]]) -> None:
    """Run a command on the quarantine of the configured broker, or of the local installation."""
    from deploy.failures import exit_code_for, lines_for
    from deploy.local import use_local_installation
    from deploy.logs import configure_logs
    from deploy.quarantine_access import open_quarantine
    from producers.settings import KafkaSettings

    async def main() -> None:
        async with open_quarantine(KafkaSettings()) as access:
            await run(access)

    try:
        use_local_installation(store_user="query")
        configure_logs("quarantine", level="ERROR")
        asyncio.run(main())
    except Exception as error:
        lines = lines_for(error)
        if not lines:
            raise
        for line in lines:
            print(f"tracemill quarantine: {line}", file=sys.stderr)
        raise SystemExit(exit_code_for(error)) from None


async def _blocked(access: QuarantineAccess) -> list[dict[str, Any]]:
    """List partitions whose workers crashed more than once at their current offset."""
    from streams.core.quarantine.quarantined import DEATHS_BEFORE_SINGLE

    blocked = []
    for (kind, number), attempt in sorted(access.view.attempts.items()):
        if attempt.ended or attempt.deaths < DEATHS_BEFORE_SINGLE:
            continue
        next_offset = attempt.resume_after + 1
        if await access.committed(kind, number) <= next_offset:
            blocked.append(
                {
                    "topic": kind,
                    "partition": number,
                    "next_offset": next_offset,
                    "deaths": attempt.deaths,
                }
            )
    return blocked


def _as_dict(entry: Entry) -> dict[str, Any]:
    import msgspec

    fields = msgspec.to_builtins(entry)
    fields = {name: fields.get(name, getattr(entry, name)) for name in entry.__struct_fields__}
    for name in ("created_us", "changed_us"):
        fields[name.removesuffix("_us")] = _time(fields.pop(name))
    return {"id": entry.id, **fields, "lines": list(entry.lines) or "all"}


def _time(us: int) -> str:
    return datetime.fromtimestamp(us / 1e6, UTC).isoformat(timespec="seconds")


def _print_json(fields: object) -> None:
    import json

    print(json.dumps(fields, indent=2, ensure_ascii=False))


def _print_table(entries: list[Entry]) -> None:
    from rich.console import Console
    from rich.table import Table

    if not entries:
        print("no records are in quarantine")
        return
    table = Table("ID", "state", "lines", "cause", "bytes", "since")
    for each in entries:
        lines = ",".join(map(str, each.lines[:8])) or "all"
        table.add_row(
            each.id, each.state, lines, each.cause, str(each.payload_bytes), _time(each.created_us)
        )
    Console().print(table)
