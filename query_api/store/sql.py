"""Define queries as SQL with named parameters, which the store binds.

A query is a frozen dataclass derived from ``StoreQuery``. Its first field is the project and has no
default, so that no query can omit it. Values are not part of the SQL, which has placeholders
(``{name:Type}``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, Final, NamedTuple

Bindable = str | int | float | list[str] | list[int]

OF_PROJECT: Final = "project_id = {project_id:String}"
"""Condition that the WHERE clause of every table must have."""


class Sql(NamedTuple):
    text: str
    params: dict[str, Bindable]


@dataclass(slots=True)
class Binder:
    """Collect parameter values and return their placeholders."""

    params: dict[str, Bindable] = field(default_factory=dict)

    def bind(self, value: Bindable, type_name: str) -> str:
        name = f"p{len(self.params)}"
        self.params[name] = value
        return f"{{{name}:{type_name}}}"

    def text(self, value: str) -> str:
        return self.bind(value, "String")

    def texts(self, values: tuple[str, ...]) -> str:
        return self.bind(list(values), "Array(String)")

    def instant(self, at_us: int) -> str:
        return f"fromUnixTimestamp64Micro({self.bind(at_us, 'Int64')}, 'UTC')"


@dataclass(frozen=True, slots=True)
class StoreQuery(ABC):
    """A query of one project's rows."""

    name: ClassVar[str]
    """Name in metrics and logs."""
    block_rows_max: ClassVar[int] = 0
    """Maximum rows that the store processes at a time; 0: its default."""
    threads_max: ClassVar[int] = 0
    """Maximum threads of the store; 0: its default. Starting several costs more than looking up a
    few rows by their key."""
    project_id: str

    def __post_init__(self) -> None:
        if not self.project_id:
            raise ValueError("a query needs a project_id")

    def block_rows(self) -> int:
        """Return the maximum rows that the store processes at a time; 0: its default."""
        return self.block_rows_max

    def is_long(self) -> bool:
        """Return whether the query reads so many rows that more threads are worth their cost."""
        return False

    @abstractmethod
    def write(self, binder: Binder) -> str:
        """Return the SQL, which must restrict every table by ``OF_PROJECT``."""

    def sql(self) -> Sql:
        binder = Binder({"project_id": self.project_id})
        text = self.write(binder)
        return Sql(text, binder.params)
