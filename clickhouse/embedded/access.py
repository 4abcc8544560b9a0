"""Authenticate the embedded store's users and check what their requests may do."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from clickhouse.embedded.engine import Engine, Session
from clickhouse.embedded.lexer import UnreadableSql, is_one_statement, tokens
from clickhouse.embedded.policy import (
    FUNCTIONS_SQL,
    NotAllowed,
    Policy,
    function_names,
)
from clickhouse.embedded.request import BadRequest, Call
from clickhouse.embedded.statement import FormattedInsert, first_word
from clickhouse.settings import EmbeddedStoreSettings, StoreSettings
from clickhouse.users import INGEST, MIGRATE, QUERY, READ_ONLY, THREADS_MAX, USERS, UserPrivileges

ADMIN: Final = UserPrivileges("admin", "a user set by TRACEMILL_CLICKHOUSE_USER", ("ALL",))
SYNTAX_ERROR: Final = 62
ACCESS_DENIED: Final = 497
AUTHENTICATION_FAILED: Final = 516
_BROWSER_HEADERS: Final = frozenset({b"origin", b"sec-fetch-site", b"sec-fetch-mode"})


class AccessDenied(BadRequest):
    """The request is not authenticated, or is from a browser; its body is not read."""


@dataclass(frozen=True, slots=True)
class User:
    """An authenticated user."""

    privileges: UserPrivileges
    policy: Policy | None
    """Restrictions of the user's statements; None: only the engine's privileges apply."""

    def session(self, call: Call, execution_time_max_s: int) -> Session:
        """Return the engine's session of a request.

        Raises:
            BadRequest: the user may not use the database or a setting.
        """
        session = replace(call.session, role=self.privileges.name)
        if self.policy is None:
            return session
        with self._denials():
            self.policy.check_settings(session.database, session.settings)
        limit = {"max_execution_time": str(execution_time_max_s)}
        return replace(session, settings={**limit, **session.settings})

    def check(self, sql: bytes, insert: FormattedInsert | None) -> None:
        """Reject a statement that the user may not run, or more than one statement.

        Raises:
            BadRequest: the message names the reason.
        """
        with self._denials():
            if self.policy is None:
                self._require_one(sql, insert)
            elif insert is None and self.privileges is INGEST and first_word(sql) == "ALTER":
                self.policy.check_delete(sql)
            elif insert is None and self.privileges is INGEST and first_word(sql) == "INSERT":
                self.policy.check_insert_select(sql)
            elif insert is None:
                self.policy.check_query(sql)
            elif self.privileges is INGEST:
                self.policy.check_insert(insert.head, insert.settings)
            else:
                raise NotAllowed("only SELECT is allowed")

    def _require_one(self, sql: bytes, insert: FormattedInsert | None) -> None:
        """Reject more than one statement; the rows of an insert are not read."""
        text = sql if insert is None else insert.head + insert.settings
        try:
            found = list(tokens(text))
        except UnreadableSql as error:
            raise BadRequest(400, SYNTAX_ERROR, f"The statement {error} (SYNTAX_ERROR)") from None
        if not is_one_statement(found) or (insert is not None and found[-1].is_symbol(";")):
            raise BadRequest(400, SYNTAX_ERROR, "Multi-statements are not allowed (SYNTAX_ERROR)")

    @contextmanager
    def _denials(self) -> Iterator[None]:
        try:
            yield
        except NotAllowed as refusal:
            raise BadRequest(
                403, ACCESS_DENIED,
                f"{self.privileges.name}: Not enough privileges: {refusal}. (ACCESS_DENIED)",
            ) from None  # fmt: skip


class Users:
    """The users by name and password."""

    def __init__(self, passwords: Mapping[str, tuple[str, UserPrivileges]], policy: Policy) -> None:
        self._users = [
            (
                _digest(name, password),
                User(privileges, policy if privileges in (INGEST, QUERY) else None),
            )
            for name, (password, privileges) in passwords.items()
        ]

    def authenticate(self, name: str, password: str) -> User:
        """Return the user; a wrong name takes as long as a wrong password.

        Raises:
            AccessDenied: no user has this name and password.
        """
        given, found = _digest(name, password), None
        for expected, user in self._users:
            if hmac.compare_digest(given, expected):
                found = user
        if found is None:
            shown = name[:64].encode(errors="replace").decode()
            raise AccessDenied(
                403, AUTHENTICATION_FAILED,
                f"{shown}: Authentication failed: password is incorrect,"
                " or there is no user with such name. (AUTHENTICATION_FAILED)",
            )  # fmt: skip
        return found


def configured_passwords(
    store: StoreSettings, embedded: EmbeddedStoreSettings
) -> dict[str, tuple[str, UserPrivileges]]:
    """Return password and privileges of the users that have a password, by name."""
    passwords = {
        INGEST: embedded.ingest_password,
        QUERY: embedded.query_password,
        MIGRATE: embedded.migrate_password,
    }
    found = {
        user.name: (password.get_secret_value(), user)
        for user, password in passwords.items()
        if password.get_secret_value()
    }
    own = store.clickhouse_password.get_secret_value()
    if own:
        found.setdefault(store.clickhouse_user, (own, ADMIN))
    return found


def new_policy(engine: Engine, embedded: EmbeddedStoreSettings) -> Policy:
    """Return the policy of the users ``ingest`` and ``query``, from the engine's functions."""
    functions = function_names(engine.rows(FUNCTIONS_SQL))
    limits = {
        "max_execution_time": embedded.execution_time_max_s,
        "max_memory_usage": embedded.memory_max_bytes,
        "max_threads": THREADS_MAX,
        "max_final_threads": THREADS_MAX,
        "readonly": READ_ONLY,
    }
    return Policy(functions, limits)


def refuse_browsers(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Reject requests of web pages in a browser, also with DNS rebinding.

    Raises:
        AccessDenied: the request has a browser's headers, or ``Host`` is neither an IP address nor
            ``localhost``.
    """
    for name, value in headers:
        if name in _BROWSER_HEADERS:
            raise AccessDenied(403, ACCESS_DENIED, "Browsers are not allowed. (ACCESS_DENIED)")
        if name == b"host" and not _is_address(value.decode("latin-1")):
            raise AccessDenied(
                403, ACCESS_DENIED, "Host must be an IP address or localhost. (ACCESS_DENIED)"
            )


def users_xml(database: str) -> str:
    """Return the engine's users file: one user that can only switch a connection to a role."""
    # Between two requests a connection is in the database `default`, which is empty.
    roles = [
        (user.name, [*user.grants(database), "GRANT SHOW DATABASES ON default.*"]) for user in USERS
    ]
    roles.append((ADMIN.name, ["GRANT ALL ON *.* WITH GRANT OPTION"]))
    defined = "".join(
        f"<{name}><grants>{_queries(grants)}</grants></{name}>" for name, grants in roles
    )
    own = _queries([f"GRANT {name}" for name, _ in roles])
    return (
        "<clickhouse><profiles><default/></profiles><quotas><default/></quotas>"
        f"<roles>{defined}</roles><users><default><no_password/><networks><ip>::/0</ip></networks>"
        f"<profile>default</profile><quota>default</quota><grants>{own}</grants></default></users>"
        "</clickhouse>\n"
    )


def _queries(grants: Iterable[str]) -> str:
    return "".join(f"<query>{grant}</query>" for grant in grants)


def _is_address(host: str) -> bool:
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    if name == "localhost":
        return True
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _digest(name: str, password: str) -> bytes:
    text = f"{name}\0{password}".encode(errors="surrogateescape")
    return hashlib.sha256(text).digest()
