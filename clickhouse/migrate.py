"""Apply the migrations: ordered files, each applied once and recorded with its checksum.

A migration is a template of idempotent statements. Its variables are ``$database``, ``$hot_days``,
``$storage_policy`` and ``$old_before``, the first day with a partition of its own. Applied
migrations are never edited; a change is a new file. If the setting ``hot_days`` changes later, the
tables are adjusted without a migration.
"""

from __future__ import annotations

import hashlib
import re
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib import resources
from string import Template

from clickhouse.errors import MigrationEdited, MigrationError, PolicyMissing
from clickhouse.levels.schema import follow_windows
from clickhouse.repartition import DIRECTIVE, repartition
from clickhouse.settings import TieringSettings
from clickhouse.store import Store

_FILE_NAME = re.compile(r"(\d{4})_(\w+)\.sql\Z")
_TTL_DAYS = re.compile(r"toIntervalDay\((\d+)\) TO VOLUME")
_SHAPE_OF_KEY = "toStartOfYear("
"""Text in all partition keys of migration 15. Their dates depend on the time of the migration."""
_TTL = re.compile(r" TTL (.+ TO VOLUME '\w+')")


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    name: str
    template: str

    @property
    def checksum(self) -> str:
        """Return the template's SHA-256, which does not depend on settings."""
        return hashlib.sha256(self.template.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Step:
    """A migration to apply (``number`` > 0), or an adjustment to the settings."""

    number: int
    name: str
    statements: tuple[str, ...]
    checksum: str = ""


def migrations() -> list[Migration]:
    """Return all migrations in order.

    Raises:
        MigrationError: a number is missing or occurs twice.
    """
    found = []
    for entry in resources.files("clickhouse").joinpath("migrations").iterdir():
        match = _FILE_NAME.match(entry.name)
        if match:
            found.append(Migration(int(match.group(1)), match.group(2), entry.read_text()))
    found.sort(key=lambda migration: migration.number)
    numbers = [migration.number for migration in found]
    if numbers != list(range(1, len(found) + 1)):
        raise MigrationError(f"migrations must be numbered from 0001 without gaps, not {numbers}")
    return found


async def migrate(store: Store, tiering: TieringSettings) -> list[Step]:
    """Apply the steps of ``plan`` and return them; calls may be repeated.

    For each step: 1. Run its statements. 2. Write its row in ``schema_history``. After a crash
    between 1 and 2, the next call repeats the statements. Then add new columns of windows to the
    tables of levels.

    Raises:
        MigrationEdited, PolicyMissing, MigrationError: nothing was applied.
        StoreUnavailable, QueryRejected: a step failed.
    """
    steps = await plan(store, tiering)
    await _prepare(store)
    for step in steps:
        started_s = time.monotonic()
        for statement in step.statements:
            await _run(store, statement)
        if step.number:
            await _record(store, step, int((time.monotonic() - started_s) * 1000))
    await follow_windows(store)
    return steps


async def plan(store: Store, tiering: TieringSettings) -> list[Step]:
    """Return the steps that ``migrate`` would apply. Raises like ``migrate``."""
    applied = await _applied(store)
    known = migrations()
    _check_history(known, applied)
    await _check_policy(store, tiering)
    values = {
        "database": store.database,
        "hot_days": str(tiering.hot_days),
        "storage_policy": tiering.storage_policy,
        "old_before": _month_before(datetime.now(UTC).date()).isoformat(),
    }
    steps = [
        Step(
            migration.number,
            migration.name,
            tuple(_statements(Template(migration.template).substitute(values))),
            migration.checksum,
        )
        for migration in known
        if migration.number not in applied
    ]
    return steps + await _hot_days_steps(store, tiering)


async def _run(store: Store, statement: str) -> None:
    directive = DIRECTIVE.match(statement)
    if directive is None:
        await store.command(statement, use_database=False)
    else:
        await repartition(store, directive.group(2), directive.group(3), shape=_SHAPE_OF_KEY)


def _month_before(day: date) -> date:
    """Return the first day of the month before the month of ``day``."""
    return (day.replace(day=1) - timedelta(days=1)).replace(day=1)


async def pending(store: Store) -> list[int]:
    """Return the numbers of the migrations that are not applied yet. Raises like ``plan``."""
    applied = await _applied(store)
    known = migrations()
    _check_history(known, applied)
    return [migration.number for migration in known if migration.number not in applied]


def _statements(text: str) -> list[str]:
    without_comments = "\n".join(
        line for line in text.splitlines() if not line.lstrip().startswith("--")
    )
    return [part.strip() for part in without_comments.split(";\n") if part.strip(" ;\n")]


def _check_history(known: list[Migration], applied: dict[int, tuple[str, str]]) -> None:
    by_number = {migration.number: migration for migration in known}
    for number, (name, checksum) in sorted(applied.items()):
        migration = by_number.get(number)
        if migration is None:
            raise MigrationError(
                f"the database has migration {number:04}_{name} of a newer version of tracemill: "
                "use that version or a newer one"
            )
        if migration.checksum != checksum:
            raise MigrationEdited(
                f"migration {number:04}_{name} was changed after it was applied: "
                "restore the file and move the change to a new migration"
            )


async def _check_policy(store: Store, tiering: TieringSettings) -> None:
    policy = tiering.storage_policy
    rows = await store.query(
        "SELECT volume_name FROM system.storage_policies WHERE policy_name = {policy:String}",
        {"policy": policy},
        use_database=False,
    )
    if "cold" in {row["volume_name"] for row in rows}:
        return
    raise PolicyMissing(
        f"the ClickHouse server has no storage policy {policy!r} with a volume 'cold'. Add this to"
        " a file in its config.d/ and restart it (the disk 'cold' may be of any type, for example"
        " s3):\n"
        "<clickhouse><storage_configuration>\n"
        "  <disks><cold><type>s3</type><endpoint>https://HOST/BUCKET/PREFIX/</endpoint>"
        "<access_key_id>…</access_key_id><secret_access_key>…</secret_access_key></cold></disks>\n"
        f"  <policies><{policy}>"
        "<volumes><hot><disk>default</disk></hot><cold><disk>cold</disk></cold></volumes>"
        f"<move_factor>0</move_factor></{policy}></policies>\n"
        "</storage_configuration></clickhouse>"
    )


async def _prepare(store: Store) -> None:
    database = store.database
    await store.command(
        f"CREATE DATABASE IF NOT EXISTS {database} ENGINE = Atomic", use_database=False
    )
    await store.command(
        f"CREATE TABLE IF NOT EXISTS {database}.schema_history"
        " (number UInt32, name String, checksum String,"
        " applied_time DateTime64(3, 'UTC') DEFAULT now64(3), duration_ms UInt32)"
        " ENGINE = MergeTree ORDER BY number",
        use_database=False,
    )


async def _applied(store: Store) -> dict[int, tuple[str, str]]:
    """Return name and checksum by number; empty if there is no history yet."""
    exists = await store.query(
        "SELECT 1 FROM system.tables"
        " WHERE database = {database:String} AND name = 'schema_history'",
        {"database": store.database},
        use_database=False,
    )
    if not exists:
        return {}
    rows = await store.query(
        "SELECT number, argMax(name, applied_time) AS name,"
        " argMax(checksum, applied_time) AS checksum FROM schema_history GROUP BY number"
    )
    return {row["number"]: (row["name"], row["checksum"]) for row in rows}


async def _record(store: Store, step: Step, duration_ms: int) -> None:
    await store.command(
        "INSERT INTO schema_history (number, name, checksum, duration_ms)"
        " SELECT {number:UInt32}, {name:String}, {checksum:String}, {duration_ms:UInt32}",
        {
            "number": step.number,
            "name": step.name,
            "checksum": step.checksum,
            "duration_ms": duration_ms,
        },
    )


async def _hot_days_steps(store: Store, tiering: TieringSettings) -> list[Step]:
    """Return a step for each table whose TTL differs from the setting ``hot_days``."""
    rows = await store.query(
        "SELECT name, engine_full FROM system.tables"
        " WHERE database = {database:String} AND engine_full LIKE '% TO VOLUME %' ORDER BY name",
        {"database": store.database},
        use_database=False,
    )
    steps = []
    for row in rows:
        days, ttl = _TTL_DAYS.search(row["engine_full"]), _TTL.search(row["engine_full"])
        if days and ttl and int(days.group(1)) != tiering.hot_days:
            wanted = _TTL_DAYS.sub(f"toIntervalDay({tiering.hot_days}) TO VOLUME", ttl.group(1))
            # Existing parts are updated in the background (materialize_ttl_after_modify), without
            # being rewritten.
            statement = f"ALTER TABLE {store.database}.{row['name']} MODIFY TTL {wanted}"
            steps.append(Step(0, f"hot_days_of_{row['name']}", (statement,)))
    return steps
