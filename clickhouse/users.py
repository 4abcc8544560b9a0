"""Define the store's users with least privilege, for the embedded store and ClickHouse servers."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

SYSTEM_TABLES: Final = (
    "columns", "databases", "disks", "one", "parts", "settings", "storage_policies", "tables",
)  # fmt: skip
"""Tables of ``system`` that clients and processes read; none contains other users' statements."""

READ_ONLY: Final = 2
"""Value of ClickHouse's ``readonly`` that forbids writes and DDL but permits settings."""
EXECUTION_TIME_MAX_S: Final = 600
MEMORY_MAX_BYTES: Final = 4 * 2**30
THREADS_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class UserPrivileges:
    """A user: its privileges, and the processes or commands of tracemill that use it."""

    name: str
    used_by: str
    on_tables: tuple[str, ...]
    on_system: tuple[str, ...] = SYSTEM_TABLES
    is_read_only: bool = False

    def grants(self, database: str) -> list[str]:
        """Return the privileges as ``GRANT`` statements without ``TO``."""
        tables = [f"GRANT {', '.join(self.on_tables)} ON {database}.*"]
        return tables + [f"GRANT SELECT ON system.{name}" for name in self.on_system]


INGEST: Final = UserPrivileges("ingest", "sink and streams", ("SELECT", "INSERT", "ALTER DELETE"))
"""This user may delete rows, because the streams delete those of deleted projects. To withhold
that privilege would not protect rows, because the user can also replace any row by a higher
version."""
QUERY: Final = UserPrivileges("query", "query and edge", ("SELECT",), is_read_only=True)
MIGRATE: Final = UserPrivileges(
    "migrate",
    "migrate and maintenance commands",
    (
        "SELECT", "INSERT", "ALTER", "CREATE DATABASE", "CREATE TABLE", "CREATE VIEW",
        "DROP DATABASE", "DROP TABLE", "DROP VIEW", "TRUNCATE", "OPTIMIZE", "SHOW", "CHECK",
        "SYSTEM MERGES", "SYSTEM TTL MERGES", "SYSTEM MOVES",
    ),
    ("*",),
)  # fmt: skip
USERS: Final = (INGEST, QUERY, MIGRATE)


def server_statements(database: str) -> Iterator[str]:
    """Yield the SQL statements that create the users on a ClickHouse server.

    Each call generates new passwords. Running the SQL again changes only the passwords.
    """
    for user in USERS:
        name = f"{database}_{user.name}"
        profile = ""
        if user.is_read_only:
            yield (
                f"CREATE SETTINGS PROFILE IF NOT EXISTS {name} SETTINGS readonly = {READ_ONLY},"
                f" max_execution_time = {EXECUTION_TIME_MAX_S} MIN 1 MAX {EXECUTION_TIME_MAX_S},"
                f" max_memory_usage = {MEMORY_MAX_BYTES} MIN 1 MAX {MEMORY_MAX_BYTES},"
                f" max_threads MAX {THREADS_MAX}"
            )
            profile = f" SETTINGS PROFILE {name}"
        password = secrets.token_urlsafe(24)
        yield f"CREATE USER IF NOT EXISTS {name} IDENTIFIED WITH sha256_password BY '{password}'"
        yield f"ALTER USER {name} IDENTIFIED WITH sha256_password BY '{password}'{profile}"
        for grant in user.grants(database):
            yield f"{grant} TO {name}"


def server_script(database: str) -> str:
    """Return ``server_statements`` as a commented script."""
    roles = "\n".join(
        f"--   {user.used_by}: TRACEMILL_CLICKHOUSE_USER={database}_{user.name}" for user in USERS
    )
    statements = "\n".join(f"{statement};" for statement in server_statements(database))
    return (
        "-- Users of tracemill on a ClickHouse server, with new passwords. Run it as an\n"
        "-- administrator, and give each role its user and TRACEMILL_CLICKHOUSE_PASSWORD:\n"
        f"{roles}\n{statements}\n"
    )
